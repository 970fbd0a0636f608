//! Rare turns of recovery: a quarantine that stays bounded, snapshots that cannot be used, and a report that says so.

#![cfg(feature = "sim")]
#![allow(clippy::expect_used, reason = "this is a test")]

use std::sync::Arc;

use everlog::journal::{Background, Options, Retention};
use everlog::medium::Sim;
use everlog::{ErrorKind, Journal, Lsn};

const KIB: u64 = 1024;

fn options() -> Options {
    Options::new().background(Background::Inline).segment_bytes(16 * KIB, 16 * KIB)
}

fn open(sim: &Sim) -> Journal {
    options().open_on(Arc::new(sim.clone())).expect("opens")
}

fn named(sim: &Sim, part: &str) -> Vec<String> {
    let mut names: Vec<String> = sim.files().into_iter().map(|(name, _)| name).collect();
    names.retain(|name| name.contains(part));
    names.sort();
    names
}

#[test]
fn the_quarantine_keeps_the_newest_cuts_and_stays_bounded() {
    let mut sim = Sim::new(1);
    open(&sim).append(b"kept").expect("appends");
    for round in 0..80_u8 {
        sim = sim.kill();
        let newest = named(&sim, ".seg").pop().expect("there is a segment");
        sim.overwrite(&newest, 10 * KIB, &[round + 1; 100]).expect("leaves garbage behind the tail");
        let journal = open(&sim);
        let cut = journal.report().cut.clone().expect("garbage is cut");
        assert!(cut.bytes >= 100);
        let kept_in = cut.kept_in.expect("and kept");
        assert_eq!(sim.bytes(&kept_in).expect("there").last(), Some(&(round + 1)));
        assert!(journal.report().to_string().contains("torn tail cut"), "{}", journal.report());
    }
    let kept = named(&sim, "quarantine/").len();
    assert!((60..=65).contains(&kept), "{kept} cuts kept");
    assert_eq!(open(&sim.kill()).records().expect("readable").count(), 1);
}

#[test]
fn above_a_horizon_without_a_good_snapshot_nothing_is_opened() {
    let sim = Sim::new(2);
    let journal = open(&sim);
    for _ in 0..200 {
        journal.append([7; 200]).expect("appends");
    }
    let compacted = journal.compact(&Retention::forever().bytes(48 * KIB)).expect("compacts");
    assert!(compacted.horizon.lsn > Lsn::ZERO);
    journal.close().expect("closes");
    for name in named(&sim, ".snap") {
        sim.flip(&name, 90, 1).expect("flips");
    }
    let error = options().open_on(Arc::new(sim.clone())).expect_err("refused");
    assert_eq!(error.kind(), &ErrorKind::Damaged);
    assert!(error.what().contains("no snapshot"), "{error}");
}

#[test]
fn a_snapshot_of_another_journal_is_a_flaw_and_is_not_used() {
    let (one, other) = (Sim::new(3), Sim::new(4));
    for sim in [&one, &other] {
        let journal = open(sim);
        for _ in 0..5 {
            journal.append(b"x").expect("appends");
        }
        journal.snapshot().expect("snapshot");
        journal.close().expect("closes");
    }
    let name = named(&one, ".snap").pop().expect("there is one");
    let bytes = other.bytes(&name).expect("the other has one at the same position");
    one.overwrite(&name, 0, &bytes).expect("swaps");
    let journal = open(&one);
    assert_eq!(journal.report().snapshot, None);
    assert_eq!(journal.report().replayed, 5);
    assert_eq!(journal.report().flaws.len(), 1);
}

#[test]
fn the_report_says_in_words_what_opening_found() {
    let sim = Sim::new(5);
    let journal = open(&sim);
    assert_eq!(journal.report().to_string(), "created");
    journal.append(b"x").expect("appends");
    journal.snapshot().expect("snapshot");
    let ticket = journal
        .submit(&everlog::Transaction::new().record(b"y".to_vec()), everlog::Durability::Synced)
        .expect("accepted");
    assert_eq!(ticket.position().lsn, Lsn::new(2));
    assert!(!ticket.is_settled());
    ticket.wait().expect("durable");
    journal.close().expect("closes");
    let text = open(&sim).report().to_string();
    assert_eq!(text, "at position 1:2, 1 records replayed after the snapshot at 1:1, closed cleanly");
    sim.flip(&named(&sim, ".seg")[0], 8192, 1).expect("flips");
    let damaged = options().damaged(everlog::journal::Damaged::ReadOnly).open_on(Arc::new(sim.clone()));
    let text = damaged.expect("the prefix opens").report().to_string();
    assert!(text.contains("damaged: "), "{text}");
}
