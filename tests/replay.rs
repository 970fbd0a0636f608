//! Replay equals live (J10): a snapshot is made from the log as read back, and says when that is not what was written.

#![cfg(feature = "sim")]

use std::sync::Arc;

use everlog::journal::{Background, Options};
use everlog::medium::Sim;
use everlog::{ErrorKind, Journal};

fn options() -> Options {
    Options::new().background(Background::Inline).segment_bytes(16 * 1024, 16 * 1024)
}

fn written(sim: &Sim) -> Journal {
    let journal = options().open_on(Arc::new(sim.clone())).expect("opens");
    for index in 0..100_u8 {
        journal.append([index; 200]).expect("appends");
    }
    journal
}

fn snapshots(sim: &Sim) -> usize {
    sim.files().iter().filter(|(name, _)| name.ends_with(".snap")).count()
}

#[test]
fn a_log_that_does_not_read_back_gives_no_snapshot() {
    let sim = Sim::new(1);
    let journal = written(&sim);
    sim.flip("0000000002.seg", 9000, 1).expect("flips");
    let error = journal.snapshot().expect_err("does not read back");
    assert_eq!(error.kind(), &ErrorKind::Damaged);
    assert_eq!(error.file(), Some("0000000002.seg"));
    assert_eq!(snapshots(&sim), 0);
}

#[test]
fn old_bytes_that_still_check_are_not_taken_for_the_log() {
    // The device lost a whole segment's frames and shows what is there in another journal of the same shape.
    let sim = Sim::new(2);
    let journal = written(&sim);
    let other = Sim::new(3);
    let _other = written(&other);
    let foreign = other.bytes("0000000002.seg").expect("there");
    sim.overwrite("0000000002.seg", 8192, &foreign[8192..]).expect("overwrites");
    assert_eq!(journal.snapshot().expect_err("not ours").kind(), &ErrorKind::Damaged);
    assert_eq!(snapshots(&sim), 0);
}

#[test]
fn what_a_snapshot_and_the_rest_of_the_log_give_is_what_the_whole_log_gives() {
    let sim = Sim::new(4);
    let journal = written(&sim);
    journal.pin("here", journal.position(), "").expect("pins");
    journal.snapshot().expect("a snapshot");
    journal.append(b"after").expect("appends");
    journal.close().expect("closes");
    let short = options().read_only().open_on(Arc::new(sim.clone())).expect("opens");
    for (name, _) in sim.files().iter().filter(|(name, _)| name.ends_with(".snap")) {
        sim.remove_at_rest(name).expect("removes");
    }
    let long = options().read_only().open_on(Arc::new(sim.clone())).expect("opens");
    assert!(short.report().replayed < long.report().replayed);
    assert_eq!((short.position(), short.pins()), (long.position(), long.pins()));
}
