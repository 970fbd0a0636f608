//! A journal on the real disk and on a simulated one: what goes in comes out, after every kind of ending.

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
