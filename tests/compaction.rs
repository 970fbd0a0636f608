//! Snapshots and retention: the horizon moves only where it may, and everything inside the window stays readable.

#![cfg(feature = "sim")]

use std::sync::Arc;
use std::time::Duration;

use everlog::journal::{Background, Options, Retention};
use everlog::medium::Sim;
use everlog::medium::sim::Crash;
use everlog::{ErrorKind, Journal, Lsn, Position};

fn options() -> Options {
    Options::new().background(Background::Inline).segment_bytes(16 * 1024, 16 * 1024)
}

fn filled(sim: &Sim, records: u32) -> Journal {
    let journal = options().open_on(Arc::new(sim.clone())).expect("opens");
    for index in 0..records {
        journal.append([index as u8; 200]).expect("appends");
    }
    journal
}

fn lsns(journal: &Journal) -> Vec<u64> {
    journal.records().expect("readable").map(|record| record.expect("checks").position.lsn.get()).collect()
}

#[test]
fn a_snapshot_shortens_the_next_replay_and_changes_nothing_else() {
    let sim = Sim::new(1);
    let journal = filled(&sim, 100);
    let position = journal.snapshot().expect("snapshot");
    assert_eq!(position.lsn, Lsn::new(100));
    assert_eq!(journal.snapshot().expect("again"), position);
    journal.append(b"after").expect("appends");
    let reopened = options().open_on(Arc::new(sim.crash(Crash::LoseAll))).expect("opens");
    assert_eq!(reopened.report().snapshot, Some(position));
    assert_eq!(reopened.report().replayed, 1);
    assert_eq!(lsns(&reopened), (1..=101).collect::<Vec<_>>());
}

#[test]
fn compaction_keeps_what_it_was_told_and_names_the_earliest_position() {
    let sim = Sim::new(2);
    let journal = filled(&sim, 300);
    let before = journal.status().segments;
    assert!(before >= 7, "{before} segments");
    let compacted = journal.compact(&Retention::forever()).expect("nothing to do");
    assert_eq!((compacted.horizon, compacted.segments_removed), (Position::START, 0));
    let compacted = journal.compact(&Retention::forever().bytes(64 * 1024)).expect("compacts");
    assert!(compacted.segments_removed > 1, "{compacted:?}");
    assert!(compacted.horizon.lsn > Lsn::ZERO);
    let kept = lsns(&journal);
    assert_eq!(kept, (compacted.horizon.lsn.get() + 1..=300).collect::<Vec<_>>());
    let error = journal.records_after(Position::START).expect_err("gone");
    assert!(
        matches!(error.kind(), ErrorKind::BeforeHorizon { earliest, .. } if *earliest == compacted.horizon)
    );
    journal.append(b"goes on").expect("appends");
    for style in [Crash::LoseAll, Crash::KeepAll, Crash::Random(7)] {
        let reopened = options().open_on(Arc::new(sim.crash(style))).expect("opens");
        assert_eq!(lsns(&reopened), (compacted.horizon.lsn.get() + 1..=301).collect::<Vec<_>>());
    }
    journal.close().expect("closes");
}

#[test]
fn what_is_written_to_goes_with_the_compaction_after_the_next_commit() {
    let sim = Sim::new(12);
    let options = || Options::new().background(Background::Inline).segment_bytes(64 * 1024, 1024 * 1024);
    let journal = options().open_on(Arc::new(sim.clone())).expect("opens");
    for index in 0..2000 {
        journal.append([index as u8; 200]).expect("appends");
    }
    let nothing = Retention::forever().age(Duration::ZERO);
    let before = journal.status().segment_bytes;
    let compacted = journal.compact(&nothing).expect("compacts");
    assert!(compacted.segments_removed > 0 && compacted.horizon.lsn < Lsn::new(2000), "{compacted:?}");
    let after = journal.status().segment_bytes;
    assert_eq!(after, before - compacted.bytes_freed + 64 * 1024, "another one, no larger than it has to be");
    let again = journal.compact(&nothing).expect("compacts");
    assert_eq!(again.segments_removed, 0, "two snapshots stay, and the older one is in that segment");
    assert_eq!(journal.status().segment_bytes, after, "there is nothing in the new one yet");
    journal.append(b"in another one").expect("appends");
    let compacted = journal.compact(&nothing).expect("compacts");
    assert_eq!((compacted.horizon.lsn, compacted.segments_removed), (Lsn::new(2000), 1));
    assert_eq!(lsns(&journal), [2001]);
    journal.append(b"in a third one").expect("appends");
    let before = journal.status().segments;
    // Nothing more is asked for: neither age nor bytes are over.
    for retention in [Retention::forever(), Retention::forever().age(Duration::MAX).bytes(1 << 20)] {
        journal.compact(&retention).expect("compacts");
        journal.append(b"stays").expect("appends");
    }
    assert_eq!(journal.status().segments, before);
    let reopened = options().open_on(Arc::new(sim.crash(Crash::LoseAll))).expect("opens");
    assert_eq!(lsns(&reopened), [2001, 2002, 2003, 2004]);
}

#[test]
fn a_session_that_only_compacts_ends_the_segment_and_closes_cleanly_and_the_next_one_frees_it() {
    let sim = Sim::new(16);
    let nothing = Retention::forever().age(Duration::ZERO);
    let session = |work: &dyn Fn(&Journal)| {
        let journal = options().open_on(Arc::new(sim.clone())).expect("opens");
        work(&journal);
        journal.close().expect("closes");
        drop(journal);
        let opened = options().open_on(Arc::new(sim.clone())).expect("opens");
        assert!(opened.report().cut.is_none() && opened.report().clean, "{:?}", opened.report());
        opened.close().expect("closes");
    };
    session(&|journal| drop((0..10).map(|_| journal.append(b"over").expect("appends")).collect::<Vec<_>>()));
    session(&|journal| assert_eq!(journal.compact(&nothing).expect("compacts").segments_removed, 0));
    session(&|journal| {
        journal.append(b"new").expect("appends");
        assert_eq!(journal.compact(&nothing).expect("compacts").segments_removed, 1);
        assert_eq!(lsns(journal), [11]);
    });
}

#[test]
fn an_empty_segment_in_the_middle_is_in_nobodys_way() {
    let sim = Sim::new(17);
    let nothing = Retention::forever().age(Duration::ZERO);
    let options = || Options::new().background(Background::Inline).segment_bytes(64 * 1024, 1024 * 1024);
    let journal = options().open_on(Arc::new(sim.clone())).expect("opens");
    journal.append(b"small").expect("appends");
    journal.compact(&nothing).expect("ends the segment");
    let before = journal.status().segments;
    journal.append([7; 200_000]).expect("does not fit into what was made for it");
    assert_eq!(journal.status().segments, before + 1);
    assert_eq!(lsns(&journal), [1, 2]);
    for style in [Crash::LoseAll, Crash::KeepAll, Crash::Random(7)] {
        let crashed = sim.crash(style);
        let reopened = options().open_on(Arc::new(crashed.clone())).expect("opens");
        assert_eq!(lsns(&reopened), [1, 2]);
        reopened.append(b"goes on").expect("appends");
        let compacted = reopened.compact(&nothing).expect("compacts");
        assert!(compacted.segments_removed > 0, "{compacted:?}");
        reopened.append(b"and on").expect("appends");
        reopened.close().expect("closes");
        let again = options().open_on(Arc::new(crashed)).expect("opens");
        assert_eq!(lsns(&again).last(), Some(&4));
    }
}

#[test]
fn a_segment_that_holds_more_than_half_of_what_may_be_kept_ends_early() {
    let sim = Sim::new(13);
    let options = Options::new().background(Background::Inline).segment_bytes(1024 * 1024, 1024 * 1024);
    let journal = options.open_on(Arc::new(sim.clone())).expect("opens");
    for index in 0..200 {
        journal.append([index as u8; 200]).expect("appends");
    }
    let segments_after = |bytes| {
        journal.compact(&Retention::forever().bytes(bytes)).expect("compacts");
        journal.append(b"and on").expect("appends");
        journal.status().segments
    };
    assert_eq!(segments_after(512 * 1024), 1, "it is far from half of it");
    assert_eq!(segments_after(64 * 1024), 2);
}

#[test]
fn a_segment_does_not_end_early_where_there_is_no_space_or_quota_for_another_or_a_pin_holds_it() {
    let nothing = Retention::forever().age(Duration::ZERO);
    let options = || Options::new().background(Background::Inline).segment_bytes(64 * 1024, 64 * 1024);
    let sim = Sim::new(14);
    let journal = options().open_on(Arc::new(sim.clone())).expect("opens");
    journal.append(b"one").expect("appends");
    let snapshot = journal.snapshot().expect("a snapshot while there is space");
    assert_eq!(snapshot.lsn, Lsn::new(1));
    sim.capacity(Some(0));
    journal.compact(&nothing).expect("nothing is due but to end the segment, and that is not a must");
    journal.append(b"two").expect("there is room where it is");
    assert_eq!(journal.status().segments, 1);
    sim.capacity(None);
    journal.pin("here", journal.position(), "").expect("pins");
    journal.compact(&nothing).expect("compacts");
    journal.append(b"three").expect("appends");
    assert_eq!(journal.status().segments, 1, "the pin holds it in any case");
    journal.close().expect("closes");

    let journal = options().journal_bytes_max(180 * 1024).open_on(Arc::new(Sim::new(15))).expect("opens");
    journal.append(b"one").expect("appends");
    journal.compact(&nothing).expect("compacts");
    journal.append(b"two").expect("there is room where it is");
    assert_eq!(journal.status().segments, 1);
}

#[test]
fn a_pin_holds_the_horizon_until_it_is_removed() {
    let sim = Sim::new(3);
    let journal = filled(&sim, 300);
    let pinned =
        journal.records_after(Position::START).expect("readable").nth(9).expect("there").expect("checks");
    journal.pin("release", pinned.position, "before the update").expect("pins");
    assert_eq!(journal.find_pin("release").expect("there").position, pinned.position);
    let keep = Retention::forever().bytes(64 * 1024);
    let compacted = journal.compact(&keep).expect("compacts");
    assert!(compacted.horizon.lsn <= pinned.position.lsn);
    journal.close().expect("closes");
    let journal = options().open_on(Arc::new(sim.crash(Crash::LoseAll))).expect("opens");
    assert_eq!(journal.pins().len(), 1);
    journal.unpin("release").expect("unpins");
    assert_eq!(journal.unpin("release").expect_err("gone").kind(), &ErrorKind::Absent);
    let compacted = journal.compact(&keep).expect("compacts");
    assert!(compacted.horizon.lsn > pinned.position.lsn);
}

#[test]
fn a_damaged_snapshot_is_never_trusted_and_deleting_all_loses_nothing() {
    let sim = Sim::new(4);
    let journal = filled(&sim, 50);
    journal.snapshot().expect("snapshot");
    journal.append(b"x").expect("appends");
    journal.snapshot().expect("snapshot");
    journal.close().expect("closes");
    let names: Vec<String> =
        sim.files().into_iter().map(|(name, _)| name).filter(|name| name.ends_with(".snap")).collect();
    assert_eq!(names.len(), 2);
    sim.flip(&names[1], 100, 1).expect("flips");
    let journal = options().open_on(Arc::new(sim.clone())).expect("opens");
    assert_eq!(journal.report().snapshot.map(|position| position.lsn), Some(Lsn::new(50)));
    assert_eq!(journal.report().flaws.len(), 1);
    journal.close().expect("closes");
    for name in &names {
        sim.remove_at_rest(name).expect("removes");
    }
    let journal = options().open_on(Arc::new(sim.clone())).expect("opens");
    assert_eq!(journal.report().replayed, 51);
    assert_eq!(lsns(&journal).len(), 51);
}

#[test]
fn a_journal_snapshots_by_itself_and_close_waits_for_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = || Options::new().snapshot_every_bytes(Some(100_000));
    let journal = options().open(directory.path()).expect("opens");
    for _ in 0..300 {
        journal.append([5; 1000]).expect("appends");
    }
    journal.close().expect("closes");
    assert_eq!(journal.snapshot().expect_err("closed").kind(), &ErrorKind::Closed);
    let reopened = options().open(directory.path()).expect("opens");
    let snapshot = reopened.report().snapshot.expect("there is a snapshot");
    assert!(snapshot.lsn.get() > 50, "{snapshot}");
    assert_eq!(lsns(&reopened).len(), 300);
}

#[test]
fn so_many_records_are_enough_for_a_snapshot_also_of_an_earlier_session() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = || Options::new().snapshot_every_records(100);
    let session = |records: usize| {
        let journal = options().open(directory.path()).expect("opens");
        let found = journal.report().snapshot;
        for _ in 0..records {
            journal.append(b"small").expect("appends");
        }
        journal.close().expect("closes and waits for it");
        found
    };
    assert_eq!((session(60), session(60)), (None, None));
    let snapshot = session(0).expect("both sessions were enough together");
    assert!((100..=120).contains(&snapshot.lsn.get()), "{snapshot}");
    assert_eq!(session(60), Some(snapshot));
    assert_eq!(session(0), Some(snapshot), "the last ones do not count again");
}

#[test]
fn snapshots_are_thinned_out_and_the_newest_two_stay() {
    let sim = Sim::new(8);
    let journal = filled(&sim, 1);
    for _ in 0..10 {
        journal.append(b"x").expect("appends");
        journal.snapshot().expect("snapshot");
    }
    let count = sim.files().iter().filter(|(name, _)| name.ends_with(".snap")).count();
    assert!((2..=4).contains(&count), "{count} snapshots");
}
