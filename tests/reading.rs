//! Reading never writes (J14): cursors and read-only openings take no step on the device, whatever they find there.

#![cfg(feature = "sim")]

use std::sync::Arc;

use everlog::journal::{Background, Damaged, Options};
use everlog::medium::Sim;
use everlog::{Durability, ErrorKind, Journal, Position, Timestamp, Transaction};

fn options() -> Options {
    Options::new().background(Background::Inline).segment_bytes(16 * 1024, 16 * 1024)
}

fn written(seed: u64) -> (Sim, Journal) {
    let sim = Sim::new(seed);
    let journal = options().open_on(Arc::new(sim.clone())).expect("opens");
    for index in 0..150_u8 {
        journal.append([index; 200]).expect("appends");
    }
    (sim, journal)
}

/// Reads all that can be read, and asks for all that can be asked.
fn look(journal: &Journal) -> usize {
    let count = journal.records().expect("readable").map_while(Result::ok).count();
    let since = journal
        .records_since(Timestamp::from_micros(0))
        .map_or(0, |records| records.map_while(Result::ok).count());
    assert!(since <= count);
    let _asked = (journal.status(), journal.pins(), journal.position(), journal.horizon());
    let _maybe = journal.records_after(Position::START).map(Iterator::count);
    count
}

/// Runs `read` and checks that the device is as it was.
fn unchanged<T>(sim: &Sim, what: &str, read: impl FnOnce() -> T) -> T {
    let before = (sim.steps(), sim.image_hash());
    let out = read();
    assert_eq!((sim.steps(), sim.image_hash()), before, "{what}");
    out
}

#[test]
fn a_live_journal_and_one_beside_it_are_read_without_a_step() {
    let (sim, journal) = written(1);
    assert_eq!(unchanged(&sim, "own cursors", || look(&journal)), 150);
    let beside = || options().read_only().open_on(Arc::new(sim.clone())).map(|journal| look(&journal));
    let seen = unchanged(&sim, "beside a writer", beside).expect("opens");
    assert!(seen >= 149, "all but what no mark vouches for yet: {seen}");
}

#[test]
fn what_a_crash_left_is_read_without_mending_it() {
    let (sim, journal) = written(2);
    let transaction = (0..20).fold(Transaction::new(), |tx, _| tx.record(vec![7; 900]));
    journal.commit(&transaction, Durability::Buffered).expect("commits");
    for (label, after) in sim.crash_images(60, 3) {
        let read = || options().read_only().open_on(Arc::new(after.clone())).map(|journal| look(&journal));
        let seen = unchanged(&after, &label, read).expect("opens");
        assert!((149..=170).contains(&seen), "{label}: {seen}");
    }
}

#[test]
fn damage_is_refused_or_read_up_to_without_a_step() {
    let (sim, journal) = written(3);
    journal.close().expect("closes");
    sim.flip("0000000001.seg", 9000, 0x10).expect("flips");
    let refuse = || options().open_on(Arc::new(sim.clone())).map(|_| ());
    assert_eq!(refuse().expect_err("damaged").kind(), &ErrorKind::Damaged);
    let read = || options().damaged(Damaged::ReadOnly).open_on(Arc::new(sim.clone()));
    let journal = unchanged(&sim, "read-only", read).expect("opens");
    assert!(journal.report().damage.is_some());
    assert!(unchanged(&sim, "cursors", || look(&journal)) < 150);
    assert_eq!(journal.append(b"no").expect_err("read-only").kind(), &ErrorKind::ReadOnly);
}
