//! The error for damage names the file and the place that are at fault, so that people look there (J6).

#![cfg(feature = "sim")]

mod crash_kit;
mod frame_kit;

use std::sync::Arc;

use crash_kit::{open, options};
use everlog::fuzzing::{self, Frame};
use everlog::journal::Damaged;
use everlog::medium::Sim;
use everlog::medium::sim::Crash;
use everlog::{Error, ErrorKind};
use frame_kit::{FRAMES, frame_of, record};

const FIRST: &str = "0000000001.seg";
const SECOND: &str = "0000000002.seg";

fn u32_at(bytes: &[u8], at: u64) -> u32 {
    u32::from_le_bytes(*bytes[at as usize..].first_chunk().expect("there"))
}

fn u64_at(bytes: &[u8], at: u64) -> u64 {
    u64::from_le_bytes(*bytes[at as usize..].first_chunk().expect("there"))
}

/// A data frame of one record, behind the frame or birth header whose checksum is `previous`.
fn frame(epoch: u32, first_lsn: u64, previous: u32, offset: u64) -> Frame {
    Frame { epoch, first_lsn, offset, ..frame_of(&record(b"forged"), previous) }
}

/// Puts a frame where it says that it stands. Returns its header's checksum and where it ends.
fn put(sim: &Sim, file: &str, frame: &Frame) -> (u32, u64) {
    let salt = u64_at(&sim.bytes(file).expect("there"), 56);
    let (bytes, sum) = fuzzing::write_frame(frame, salt).expect("a kind");
    sim.overwrite(file, frame.offset, &bytes).expect("writes");
    (sum, (frame.offset + bytes.len() as u64).next_multiple_of(8))
}

/// What a writer and a reader say, who must say the same.
fn refusal(sim: &Sim) -> Error {
    let error = open(sim).expect_err("damaged");
    let reader = options().damaged(Damaged::ReadOnly).open_on(Arc::new(sim.clone()));
    let told = reader.expect("readable up to there").report().damage.clone().expect("told");
    assert_eq!((told.file(), told.offset(), told.lsn()), (error.file(), error.offset(), error.lsn()));
    assert_eq!(error.kind(), &ErrorKind::Damaged);
    error
}

/// A journal of three full segments, after a crash.
fn rolled() -> Sim {
    let sim = Sim::new(1);
    let journal = open(&sim).expect("opens");
    (0..7).for_each(|index| {
        journal.append([index; 1000]).expect("appends");
    });
    sim.crash(Crash::KeepAll)
}

#[test]
fn a_transaction_that_goes_on_in_another_epoch_is_named_by_the_frame_that_does() {
    let sim = Sim::new(1);
    let _journal = open(&sim).expect("opens");
    let sim = sim.crash(Crash::KeepAll);
    let birth_sum = u32_at(&sim.bytes(FIRST).expect("there"), 4092);
    let mut unfinished = frame(1, 1, birth_sum, FRAMES);
    unfinished.continues = true;
    unfinished.body[5] = 0; // The record's flags: it is not the last of its transaction.
    let (sum, end) = put(&sim, FIRST, &unfinished);
    put(&sim, FIRST, &frame(2, 2, sum, end));
    let error = refusal(&sim);
    assert!(error.what().contains("another epoch"), "{error}");
    assert_eq!((error.file(), error.offset()), (Some(FIRST), Some(end)), "{error}");
}

#[test]
fn a_gap_in_the_numbers_is_named_by_the_frame_behind_it() {
    let sim = rolled();
    let bytes = sim.bytes(SECOND).expect("there");
    let lsn = u64_at(&bytes, FRAMES + 24);
    put(&sim, SECOND, &frame(1, lsn + 1, u32_at(&bytes, 4092), FRAMES));
    let error = refusal(&sim);
    assert!(error.what().contains("numbers"), "{error}");
    assert_eq!((error.file(), error.offset()), (Some(SECOND), Some(FRAMES)), "{error}");
    assert_eq!(error.lsn(), Some(everlog::Lsn::new(lsn)), "{error}");
}

#[test]
fn a_mended_segment_cut_short_is_named_and_not_the_one_behind_it() {
    let mut sim = Sim::new(1);
    for _life in 0..3 {
        let journal = open(&sim).expect("opens");
        (0..3).for_each(|index| {
            journal.append([index; 100]).expect("appends");
        });
        sim = sim.crash(Crash::KeepAll);
    }
    assert!(sim.bytes("0000000003.seg").is_some(), "mended twice");
    sim.truncate(SECOND, 9000).expect("cuts");
    let error = refusal(&sim);
    assert!(error.what().contains("cut short"), "{error}");
    assert_eq!((error.file(), error.offset()), (Some(SECOND), Some(9000)), "{error}");
}
