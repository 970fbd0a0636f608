//! A journal on the real disk and on a simulated one: what goes in comes out, after every kind of ending.

#![cfg(feature = "sim")]

use std::sync::Arc;

use everlog::journal::{Background, Options};
use everlog::medium::Sim;
use everlog::medium::sim::Crash;
use everlog::{Durability, ErrorKind, Journal, Lsn, Transaction};

fn payloads(journal: &Journal) -> Vec<Vec<u8>> {
    journal.records().expect("readable").map(|record| record.expect("checks").payload).collect()
}

fn inline() -> Options {
    Options::new().background(Background::Inline).segment_bytes(16 * 1024, 64 * 1024)
}

#[test]
fn what_was_appended_is_there_after_a_clean_close() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let journal = Journal::open(&path).expect("opens");
    assert!(journal.report().created);
    for index in 0..100_u32 {
        journal.append(index.to_le_bytes()).expect("appends");
    }
    journal.close().expect("closes");
    let journal = Journal::open(&path).expect("opens again");
    assert!(!journal.report().created);
    assert!(journal.report().clean, "{}", journal.report());
    assert_eq!(payloads(&journal), (0..100_u32).map(|index| index.to_le_bytes()).collect::<Vec<_>>());
}

#[test]
fn records_survive_every_crash_of_a_simulated_device_and_large_ones_span_segments() {
    let sim = Sim::new(1);
    let journal = inline().open_on(Arc::new(sim.clone())).expect("opens");
    for index in 0..200_u32 {
        journal.append([index as u8; 300]).expect("appends");
    }
    journal.append(vec![9; 200_000]).expect("appends a record larger than a segment");
    let transaction = (0..50).fold(Transaction::new(), |tx, _| tx.record(vec![5; 100_000]));
    let receipt = journal.commit(&transaction, Durability::Synced).expect("commits");
    assert_eq!(receipt.position.lsn, Lsn::new(251));
    let before = payloads(&journal);
    assert_eq!(before.len(), 251);
    for style in [Crash::LoseAll, Crash::KeepAll, Crash::Random(3)] {
        let after = sim.crash(style);
        let reopened = inline().open_on(Arc::new(after.clone())).expect("opens after the crash");
        assert!(!reopened.report().clean);
        assert!(payloads(&reopened) == before);
        reopened.append(b"more").expect("goes on");
        reopened.close().expect("closes");
        let again = inline().open_on(Arc::new(after.crash(Crash::LoseAll))).expect("opens");
        assert!(again.report().clean, "{}", again.report());
        assert_eq!(payloads(&again).len(), 252);
    }
}

#[test]
fn a_second_opener_is_told_who_holds_the_journal() {
    let directory = tempfile::tempdir().expect("a directory");
    let journal = Journal::open(directory.path()).expect("opens");
    let error = Journal::open(directory.path()).expect_err("held");
    assert_eq!(error.kind(), &ErrorKind::Held);
    assert!(error.what().contains(&std::process::id().to_string()), "{error}");
    let reader = Options::new().read_only().open(directory.path()).expect("readers may look");
    assert_eq!(reader.append(b"x").expect_err("read-only").kind(), &ErrorKind::ReadOnly);
    journal.close().expect("closes");
    Journal::open(directory.path()).expect("free again");
}

#[test]
fn cursors_start_anywhere_by_position_and_by_time() {
    let clock = Arc::new(Steady::default());
    let sim = Sim::new(5);
    let options = || inline().clock(Arc::clone(&clock) as Arc<dyn everlog::clock::Clock>);
    let journal = options().open_on(Arc::new(sim.clone())).expect("opens");
    let mut times = Vec::new();
    for index in 0..500_u32 {
        times.push(journal.append(vec![index as u8; 700]).expect("appends").time);
    }
    let check = |journal: &Journal| {
        for index in [0_usize, 1, 17, 250, 498, 499] {
            let position = everlog::Position::new(everlog::Epoch::new(1), Lsn::new(index as u64));
            let next =
                journal.records_after(position).expect("readable").next().expect("there").expect("checks");
            assert_eq!(next.position.lsn, Lsn::new(index as u64 + 1));
            let at = journal
                .records_since(times[index])
                .expect("readable")
                .next()
                .expect("there")
                .expect("checks");
            assert_eq!(at.position.lsn, Lsn::new(index as u64 + 1), "at the record's own time");
        }
        let late = times[499].plus(std::time::Duration::from_secs(1));
        assert!(journal.records_since(late).expect("readable").next().is_none());
    };
    check(&journal);
    check(&journal);
    drop(journal);
    let reopened = options().open_on(Arc::new(sim.clone())).expect("opens");
    check(&reopened);
    check(&reopened);
}

#[derive(Debug, Default)]
struct Steady(std::sync::atomic::AtomicU64);

impl everlog::clock::Clock for Steady {
    fn wall(&self) -> everlog::Timestamp {
        let ticks = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        everlog::Timestamp::from_micros(1_700_000_000_000_000 + ticks * 1000)
    }

    fn elapsed(&self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.load(std::sync::atomic::Ordering::SeqCst))
    }
}

#[test]
fn the_quota_is_checked_before_a_byte_is_written_and_leaves_a_reserve() {
    let sim = Sim::new(6);
    let quota = 160 * 1024;
    let options = || inline().segment_bytes(16 * 1024, 16 * 1024).journal_bytes_max(quota);
    let journal = options().open_on(Arc::new(sim.clone())).expect("opens");
    let mut appended = 0;
    let error = loop {
        match journal.append([1; 200]) {
            Ok(_) => appended += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error.kind(), ErrorKind::Quota { max, .. } if *max == quota), "{error}");
    assert!(appended > 50);
    assert_eq!(payloads(&journal).len(), appended, "the refused one is not there");
    journal.compact(&everlog::journal::Retention::forever().bytes(32 * 1024)).expect("there is a reserve");
    journal.append([1; 200]).expect("there is room again");
    journal.close().expect("closes");
}

#[test]
fn a_transaction_torn_across_a_roll_goes_whole_and_its_numbers_are_given_again() {
    let sim = Sim::new(7);
    let journal = inline().frame_bytes_max(4096).open_on(Arc::new(sim.clone())).expect("opens");
    journal.append(b"before").expect("appends");
    drop(journal);
    let journal = inline().frame_bytes_max(4096).open_on(Arc::new(sim.clone())).expect("opens");
    let start = sim.steps();
    let large = (0..30).fold(Transaction::new(), |tx, index| tx.record(vec![index; 4000]));
    journal.commit(&large, Durability::Synced).expect("commits");
    let steps = sim.steps() - start;
    drop(journal);
    for cut_at in 1..=steps {
        let sim = Sim::new(7);
        let options = || inline().frame_bytes_max(4096);
        options().open_on(Arc::new(sim.clone())).expect("opens").append(b"before").expect("appends");
        let journal = options().open_on(Arc::new(sim.clone())).expect("opens");
        sim.power_cut_at(sim.steps() + cut_at);
        assert!(journal.commit(&large, Durability::Synced).is_err());
        drop(journal);
        for style in [Crash::LoseAll, Crash::KeepAll, Crash::Random(cut_at)] {
            let after = sim.crash(style);
            let journal = options().open_on(Arc::new(after.clone())).expect("opens after the crash");
            let there = payloads(&journal);
            assert!(there.len() == 1 || there.len() == 31, "{} records at step {cut_at}", there.len());
            journal.append(b"after").expect("goes on");
            drop(journal);
            let again = options().open_on(Arc::new(after.crash(Crash::LoseAll))).expect("opens again");
            assert_eq!(payloads(&again).len(), there.len() + 1);
            again.append(b"and on").expect("goes on");
            let third = options().open_on(Arc::new(after.crash(Crash::LoseAll)));
            third.expect("opens a third time");
        }
    }
}
