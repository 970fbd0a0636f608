//! A transaction that spans frames and segments is there whole or not at all, also when a crash falls between two
//! segments and the journal is opened again and again (J2, J7). Found by the fuzz target `model`.

#![cfg(feature = "sim")]
#![allow(clippy::expect_used, clippy::panic, reason = "what helps a test is a test")]

use std::sync::Arc;
use std::time::Duration;

use everlog::clock::Clock;
use everlog::journal::{Background, Options};
use everlog::medium::Sim;
use everlog::medium::sim::Crash;
use everlog::{Durability, Journal, Timestamp, Transaction};
use std::sync::atomic::{AtomicU64, Ordering};

fn options() -> Options {
    Options::new()
        .background(Background::Inline)
        .segment_bytes(16 * 1024, 16 * 1024)
        .frame_bytes_max(2048)
        .align_groups()
}

fn spanning() -> Transaction {
    (0..5).fold(Transaction::new(), |transaction, _| transaction.record(vec![7; 500]))
}

fn count(journal: &Journal) -> usize {
    journal.records().expect("readable").collect::<everlog::Result<Vec<_>>>().expect("checks").len()
}

#[test]
fn a_crash_inside_a_transaction_that_rolled_is_mended_again_and_again() {
    let sim = Sim::new(1);
    let journal = options().open_on(Arc::new(sim.clone())).expect("opens");
    journal.commit(&spanning(), Durability::Synced).expect("commits");
    let synced = sim.steps();
    journal.commit(&spanning(), Durability::Synced).expect("commits");
    for step in synced..=sim.steps() {
        let sim = Sim::new(1);
        let journal = options().open_on(Arc::new(sim.clone())).expect("opens");
        journal.commit(&spanning(), Durability::Synced).expect("commits");
        sim.power_cut_at(step);
        let done = journal.commit(&spanning(), Durability::Synced).is_ok();
        let mut after = sim.crash(Crash::LoseAll);
        for opening in 0..3 {
            let journal = options().open_on(Arc::new(after.clone()));
            let journal = journal.unwrap_or_else(|error| panic!("step {step}, opening {opening}: {error}"));
            let found = count(&journal);
            assert!(found == 10 || (found == 5 && !done), "step {step}, opening {opening}: {found} records");
            after = after.crash(Crash::LoseAll);
        }
    }
}

#[test]
fn a_reader_after_a_crash_sees_a_transaction_whole_or_not_at_all() {
    let sim = Sim::new(1);
    let journal = options().open_on(Arc::new(sim.clone())).expect("opens");
    let mut cut_in_two = 0;
    for committed in 1..=8 {
        journal.commit(&spanning(), Durability::Synced).expect("commits");
        let after = sim.crash(Crash::KeepAll);
        let reader = options().read_only().open_on(Arc::new(after)).expect("opens");
        let found = count(&reader);
        assert_eq!(found % 5, 0, "half a transaction after {committed}");
        assert_eq!(found as u64 + reader.report().unproven, 5 * committed);
        cut_in_two += usize::from(journal.status().segments > 1);
    }
    assert!(cut_in_two > 0, "a transaction spans segments");
}

/// A wall clock that steps by two hours whenever it is looked at; no time passes.
#[derive(Debug, Default)]
struct Leaping(AtomicU64);

impl Clock for Leaping {
    fn wall(&self) -> Timestamp {
        Timestamp::from_micros(1 << 50)
            .plus(Duration::from_secs(7200 * self.0.fetch_add(1, Ordering::Relaxed)))
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

#[test]
fn a_spanning_transaction_begins_a_frame_of_its_own_behind_a_clock_record() {
    let sim = Sim::new(1);
    let leaping = || options().clock(Arc::new(Leaping::default()));
    let journal = leaping().open_on(Arc::new(sim.clone())).expect("opens");
    journal.commit(&spanning(), Durability::Synced).expect("commits");
    assert_eq!(count(&journal), 6, "with the clock record");
    drop(journal);
    let journal = leaping().open_on(Arc::new(sim.crash(Crash::LoseAll))).expect("opens");
    assert_eq!(count(&journal), 6);
}
