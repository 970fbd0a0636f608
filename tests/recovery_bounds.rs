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
    assert_eq!(kept, 64, "cuts kept");
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

#[test]
fn many_crashes_leave_a_small_journal_small() {
    let mut sim = Sim::new(6);
    for round in 0..12 {
        let journal =
            Options::new().background(Background::Inline).open_on(Arc::new(sim.clone())).expect("opens");
        journal.append([round; 1000]).expect("appends");
        let status = journal.status();
        assert!(status.segment_bytes <= status.segments * 128 * KIB, "{} bytes", status.segment_bytes);
        sim = sim.kill();
    }
    assert_eq!(open(&sim).records().expect("readable").count(), 12);
}

#[test]
fn aligned_groups_stay_aligned_through_recovery() {
    let mut sim = Sim::new(7);
    let aligned = || options().align_groups().segment_bytes(64 * KIB, 64 * KIB);
    for round in 0..4 {
        let journal = aligned().open_on(Arc::new(sim.clone())).expect("opens");
        assert_eq!(journal.records().expect("readable").count(), 2 * usize::from(round));
        journal.append([round; 100]).expect("appends");
        journal.append([round; 100]).expect("appends");
        sim = sim.kill();
    }
    let newest = named(&sim, ".seg").pop().expect("there is a segment");
    let bytes = sim.bytes(&newest).expect("there");
    let starts = bytes.windows(4).enumerate().filter(|(_, window)| window == b"EVL1").map(|(at, _)| at);
    assert!(starts.clone().count() >= 3, "a link, a kept frame and new ones");
    assert!(starts.into_iter().all(|at| at % 4096 == 0), "each at a block of its own");
}

/// Closed or killed, and opened again by `options`.
fn next_life(sim: &Sim, journal: Journal, closed: bool, options: Options) -> (Sim, Journal) {
    if closed {
        journal.close().expect("closes");
    }
    let sim = sim.kill();
    let journal = options.open_on(Arc::new(sim.clone())).expect("opens");
    (sim, journal)
}

#[test]
fn a_quota_counts_what_was_there_before_the_opening() {
    for closed in [false, true] {
        let sim = Sim::new(8);
        let journal = open(&sim);
        (0..20).for_each(|_| journal.append([1; 1000]).map(drop).expect("appends"));
        let (_sim, journal) = next_life(&sim, journal, closed, options().journal_bytes_max(200 * KIB));
        let error = loop {
            if let Err(error) = journal.append([2; 1000]) {
                break error;
            }
        };
        let there = journal.status().segment_bytes;
        assert!(there >= 128 * KIB, "{there}");
        assert!(matches!(error.kind(), ErrorKind::Quota { current, .. } if *current == there), "{error}");
    }
}

#[test]
fn segments_are_as_large_after_an_opening_as_the_journal_has_become() {
    for closed in [false, true] {
        let growing = || options().segment_bytes(16 * KIB, 1024 * KIB);
        let sim = Sim::new(9);
        let journal = growing().open_on(Arc::new(sim.clone())).expect("opens");
        (0..300).for_each(|_| journal.append([1; 1000]).map(drop).expect("appends"));
        let before = named(&sim, ".seg");
        let (sim, journal) = next_life(&sim, journal, closed, growing());
        (0..300).for_each(|_| journal.append([2; 1000]).map(drop).expect("appends"));
        let new = named(&sim, ".seg").into_iter().filter(|name| !before.contains(name));
        let sizes: Vec<_> = new.map(|name| sim.bytes(&name).expect("there").len() as u64).collect();
        assert!(!sizes.is_empty() && sizes.iter().all(|bytes| *bytes >= 256 * KIB), "{closed}: {sizes:?}");
    }
}

#[test]
fn what_is_kept_is_aligned_as_the_new_session_asks() {
    let sim = Sim::new(10);
    let journal = open(&sim);
    journal.append([1; 100]).expect("appends");
    for record in 2..5_u8 {
        let transaction = everlog::Transaction::new().record([record; 100]);
        journal.commit(&transaction, everlog::Durability::Buffered).expect("commits");
    }
    let (sim, journal) =
        next_life(&sim, journal.clone(), false, options().align_groups().segment_bytes(64 * KIB, 64 * KIB));
    assert_eq!(journal.records().expect("readable").count(), 4);
    let bytes = sim.bytes(&named(&sim, ".seg").pop().expect("there is one")).expect("there");
    let starts = bytes.windows(4).enumerate().filter(|(_, window)| window == b"EVL1").map(|(at, _)| at);
    assert!(starts.clone().count() >= 2 && starts.into_iter().all(|at| at % 4096 == 0));
}

#[test]
fn the_quarantine_keeps_the_first_16_mib_of_a_cut_and_64_mib_in_all() {
    const MIB: u64 = 1024 * KIB;
    let mut sim = Sim::new(11);
    let large = || options().segment_bytes(18 * MIB, 18 * MIB);
    large().open_on(Arc::new(sim.clone())).expect("opens").append(b"kept").expect("appends");
    for round in 0..5_u8 {
        sim = sim.kill();
        let newest = named(&sim, ".seg").pop().expect("there is one");
        sim.overwrite(&newest, 10 * KIB, &[round + 1; 100]).expect("leaves garbage");
        sim.overwrite(&newest, 10 * KIB + 17 * MIB, &[round + 1; 100]).expect("and more far behind");
        let journal = large().open_on(Arc::new(sim.clone())).expect("opens");
        let cut = journal.report().cut.clone().expect("cut");
        assert!(cut.bytes > 17 * MIB && !cut.what.contains("unfinished"), "{cut:?}");
        let kept = sim.bytes(&cut.kept_in.expect("kept")).expect("there");
        assert_eq!(kept.len() as u64, 16 * MIB);
        assert_eq!(named(&sim, "quarantine/").len(), usize::from(round + 1).min(4));
    }
}

#[test]
fn a_full_disk_during_recovery_is_called_full_and_loses_nothing() {
    let sim = Sim::new(12);
    open(&sim).append(b"kept").expect("appends");
    let sim = sim.kill();
    sim.overwrite(&named(&sim, ".seg")[0], 10 * KIB, &[7; 100]).expect("leaves garbage");
    let whole = sim.kill();
    drop(open(&whole));
    for step in 1..=whole.steps() {
        let full = sim.kill();
        full.fail_step(step, everlog::medium::sim::Fault::Error(std::io::ErrorKind::StorageFull));
        if let Err(error) = options().open_on(Arc::new(full.clone())) {
            assert_eq!(error.kind(), &ErrorKind::Full, "step {step}: {error}");
        }
        assert_eq!(open(&full.kill()).records().expect("readable").count(), 1, "step {step}");
    }
}
