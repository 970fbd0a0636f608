//! What readers are shown of a journal's own affairs: pins when they are durable (J4), and the horizon when it overtook
//! them.
#![cfg(feature = "sim")]

mod crash_kit;

use std::sync::Arc;

use crash_kit::{KIB, Lie, Shim, open, open_on, options};
use everlog::journal::Retention;
use everlog::medium::Sim;
use everlog::medium::sim::Crash;
use everlog::{Error, ErrorKind, Journal};

fn pins(journal: &Journal) -> Vec<String> {
    journal.pins().into_iter().map(|pin| pin.name).collect()
}

#[test]
fn a_pin_is_shown_and_a_removed_one_hidden_when_that_is_durable() {
    let sim = Sim::new(1);
    let shim = Shim::new(sim.clone(), Lie::None);
    let journal = open_on(shim.clone()).expect("opens");
    let here = journal.append("here").expect("appends").position;
    journal.pin("old", here, "").expect("pins");
    let while_it_hangs = |work: &(dyn Fn() + Sync), shown: &[&str]| {
        let gate = shim.hang();
        let before = sim.unsynced_writes();
        std::thread::scope(|scope| {
            scope.spawn(work);
            while sim.unsynced_writes() == before {
                std::thread::yield_now();
            }
            assert_eq!(pins(&journal), shown, "written, not synced");
            drop(gate);
        });
    };
    while_it_hangs(&|| journal.pin("new", here, "").map(|_| ()).expect("pins"), &["old"]);
    assert_eq!(pins(&journal), ["new", "old"]);
    while_it_hangs(&|| journal.unpin("old").map(|_| ()).expect("unpins"), &["new", "old"]);
    assert_eq!(pins(&journal), ["new"]);
    assert_eq!(pins(&open(&sim.crash(Crash::LoseAll)).expect("opens")), ["new"]);
}

#[test]
fn a_reading_opening_shows_no_pin_that_nothing_vouches_for() {
    let sim = Sim::new(2);
    let journal = open(&sim).expect("opens");
    let here = journal.append("here").expect("appends").position;
    journal.pin("proven", here, "").expect("pins");
    journal.append("vouches for what is before it").expect("appends");
    journal.pin("unproven", here, "").expect("pins");
    let left = sim.crash(Crash::KeepAll);
    let reader = options().read_only().open_on(Arc::new(left.clone())).expect("opens");
    assert!(reader.report().unproven > 0);
    assert_eq!(pins(&reader), ["proven"]);
    assert_eq!(pins(&open(&left).expect("mends")), ["proven", "unproven"]);
}

#[test]
fn a_cursor_that_compaction_overtook_names_the_earliest_record_and_speaks_of_no_damage() {
    let journal = open(&Sim::new(3)).expect("opens");
    let fill = || (0..60).for_each(|_| journal.append([1; 700]).map(|_| ()).expect("appends"));
    fill();
    let mut overtaken = journal.records().expect("reads");
    let mut lent = journal.records().expect("reads");
    let mut ahead = journal.records_after(journal.position()).expect("reads");
    overtaken.next().expect("is there").expect("checks");
    fill();
    journal.compact(&Retention::forever().bytes(32 * KIB)).expect("compacts");
    let (earliest, wanted) = (journal.horizon(), |error: &Error| match error.kind() {
        ErrorKind::BeforeHorizon { earliest, .. } => *earliest,
        _ => panic!("{error}"),
    });
    assert!(earliest.lsn.get() > 60);
    assert_eq!(overtaken.find_map(Result::err).map(|error| wanted(&error)), Some(earliest));
    assert!(overtaken.next().is_none(), "it has ended");
    let refused = loop {
        match lent.read() {
            Ok(record) => assert!(record.is_some()),
            Err(error) => break error,
        }
    };
    assert_eq!(wanted(&refused), earliest);
    assert!(ahead.next().expect("an answer").is_err(), "its first record is gone, too");
    assert_eq!(
        journal.records_after(earliest).expect("reads").filter(Result::is_ok).count() as u64,
        120 - earliest.lsn.get()
    );
}
