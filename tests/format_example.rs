//! The worked example of `docs/format.md` is what the library writes and reads, byte for byte.

#![cfg(feature = "sim")]
#![allow(clippy::expect_used, clippy::panic, reason = "what helps a test is a test")]

mod frame_kit;

use everlog::fuzzing::{self, Birth, Frame, Record};

const PAGE: &str = include_str!("../docs/format.md");
const SALT: u64 = 0x0123_4567_89ab_cdef;
const CAPACITY: usize = 16_384;

/// The bytes of a page's example: each line is an offset, bytes and, behind two spaces, what they are.
fn example() -> Vec<u8> {
    let mut bytes = vec![0; CAPACITY];
    let block = PAGE.split("```hex\n").nth(1).expect("an example").split("```").next().expect("an end");
    for line in block.lines() {
        let mut parts = line.splitn(3, "  ");
        let at = usize::from_str_radix(parts.next().expect("an offset"), 16).expect("hex");
        for (index, byte) in parts.next().expect("bytes").split_whitespace().enumerate() {
            bytes[at + index] = u8::from_str_radix(byte, 16).expect("hex");
        }
    }
    bytes
}

fn birth() -> Birth {
    Birth { journal_id: *b"journal of tests", number: 1, salt: SALT, capacity: CAPACITY as u64 }
}

fn record() -> Record {
    let time = "2025-11-19T18:00:00Z".parse::<everlog::Timestamp>().expect("a time").micros();
    Record { type_version: 1, time, ..frame_kit::record(b"hello") }
}

fn frame() -> Frame {
    let block = fuzzing::write_birth(&birth());
    frame_kit::frame_of(&record(), u32::from_le_bytes(*block.last_chunk().expect("a checksum")))
}

#[test]
fn the_example_is_what_the_library_writes() {
    let mut written = fuzzing::write_birth(&birth());
    written.resize(CAPACITY, 0);
    let (bytes, _) = fuzzing::write_frame(&frame(), SALT).expect("a kind");
    written[8192..8192 + bytes.len()].copy_from_slice(&bytes);
    assert!(written == example());
}

#[test]
fn the_example_is_what_the_library_reads() {
    let bytes = example();
    assert_eq!(fuzzing::read_birth(&bytes[..4096]).expect("valid"), birth());
    assert_eq!(fuzzing::read_link(&bytes[4096..8192], SALT).expect("known"), None);
    let found = fuzzing::read_frame(&bytes[8192..], SALT, 8192).expect("known").expect("valid");
    assert_eq!(found, frame());
    assert!(fuzzing::check_body(&found.body, found.record_count, found.continues).expect("known"));
    let (records, error) = fuzzing::read_records(&found.body);
    assert!(error.is_none());
    assert_eq!(records, [record()]);
}
