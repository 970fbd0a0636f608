//! What a later minor version may write is read and kept; what must not be overlooked is refused by name, with nothing
//! changed (`docs/format.md`, Versions).

#![cfg(feature = "sim")]
#![allow(clippy::expect_used, clippy::panic, reason = "what helps a test is a test")]

mod frame_kit;

use std::sync::Arc;

use everlog::fuzzing::{self, Birth, Frame, Record, Root};
use everlog::journal::{Background, Options};
use everlog::medium::{Medium, Sim};
use everlog::{ErrorKind, Journal, Result};

const ID: [u8; 16] = *b"journal of tests";
const SALT: u64 = 0x0123_4567_89ab_cdef;
const CAPACITY: usize = 32 * 1024;
const SEGMENT: &str = "0000000001.seg";

type Change<'a> = &'a dyn Fn(&mut Vec<u8>);

fn frame(previous: u32) -> Frame {
    frame_kit::frame_of(&record(None), previous)
}

fn record(key_id: Option<u32>) -> Record {
    Record { key_id, ..frame_kit::record(b"hello") }
}

/// A journal of one record, after a crash: changed in birth header, frame, the frame's bytes, and root file.
fn journal(birth: Change<'_>, change: &dyn Fn(&mut Frame), bytes: Change<'_>, root: Change<'_>) -> Sim {
    let sim = Sim::new(1);
    let mut block =
        fuzzing::write_birth(&Birth { journal_id: ID, number: 1, salt: SALT, capacity: CAPACITY as u64 });
    reseal(&mut block, birth);
    let mut frame = frame(u32::from_le_bytes(*block.last_chunk().expect("a checksum")));
    change(&mut frame);
    let (mut stored, _) = fuzzing::write_frame(&frame, SALT).expect("a kind");
    bytes(&mut stored);
    block.resize(8192, 0);
    block.append(&mut stored);
    block.resize(CAPACITY, 0);
    put(&sim, SEGMENT, &block);
    let mut file = fuzzing::write_root(&Root {
        journal_id: ID,
        face: 0,
        codec: 0,
        aligned: false,
        created: 7,
        segment_bytes: (16_384, 16_384),
        frame_bytes_max: 1 << 20,
        type_name: String::new(),
        sequence: 1,
        epoch: 1,
        floor: 0,
        horizon: (0, 0, 0),
        first_segment: (1, SALT),
        newest_segment: 1,
        clean: (0, 0),
    })
    .expect("encodes");
    root(&mut file);
    put(&sim, "journal", &file);
    sim.sync_names().expect("no fault is scripted");
    sim
}

/// Changes a preamble block and gives it its checksum again.
fn reseal(block: &mut Vec<u8>, change: Change<'_>) {
    change(block);
    let sum = crc32(&block[..4092]);
    block[4092..4096].copy_from_slice(&sum.to_le_bytes());
}

/// CRC-32, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xEDB8_8320 & (sum & 1).wrapping_neg()))
    })
}

fn put(sim: &Sim, name: &str, bytes: &[u8]) {
    let file = sim.create(name).expect("no fault is scripted");
    assert_eq!(file.write_at(bytes, 0).expect("no fault is scripted"), bytes.len());
    file.sync().expect("no fault is scripted");
}

fn open(sim: &Sim) -> Result<Journal> {
    Options::new().background(Background::Inline).open_on(Arc::new(sim.clone()))
}

fn payloads(journal: &Journal) -> Vec<Vec<u8>> {
    journal.records().expect("readable").map(|record| record.expect("checks").payload).collect()
}

fn same(_: &mut Vec<u8>) {}

#[test]
fn a_chain_field_is_read_over() {
    let sim = journal(&same, &|frame| frame.chain = Some([0xC4; 32]), &same, &same);
    let journal = open(&sim).expect("opens");
    assert_eq!(payloads(&journal), [b"hello"]);
    journal.append("more").expect("appends");
    journal.close().expect("closes");
    assert_eq!(payloads(&open(&sim).expect("opens again")), [b"hello".to_vec(), b"more".to_vec()]);
}

#[test]
fn a_birth_header_of_a_later_minor_version_is_continued_by_its_own_frames() {
    let later = |block: &mut Vec<u8>| {
        block[10] = 3;
        block[24] = 1;
        block[100] = 7;
    };
    let sim = journal(&later, &|_| {}, &same, &same);
    let journal = open(&sim).expect("opens");
    assert_eq!(payloads(&journal), [b"hello"]);
    journal.close().expect("closes");
    assert_eq!(payloads(&open(&sim).expect("opens again")), [b"hello"]);
}

#[test]
fn an_identity_of_a_later_minor_version_is_mended_byte_for_byte() {
    let later = |file: &mut Vec<u8>| {
        let mut block = file[..4096].to_vec();
        reseal(&mut block, &|block| {
            block[10] = 3;
            block[24] = 1;
            block[4000] = 7;
        });
        file[..4096].copy_from_slice(&block);
        file[4096..8192].copy_from_slice(&block);
        file[4096 + 50] ^= 1;
    };
    let sim = journal(&same, &|_| {}, &same, &later);
    let before = sim.bytes("journal").expect("a root file");
    open(&sim).expect("opens").close().expect("closes");
    let after = sim.bytes("journal").expect("a root file");
    assert!(after[..4096] == before[..4096] && after[4096..8192] == before[..4096]);
}

#[test]
fn what_must_not_be_overlooked_is_refused_by_name() {
    let forge = |change: fn(&mut [u8])| {
        move |bytes: &mut Vec<u8>| {
            change(bytes);
            let seed = [&SALT.to_le_bytes()[..], &1_u32.to_le_bytes(), &8192_u64.to_le_bytes()].concat();
            let sum = crc32(&[&seed, &bytes[..52]].concat());
            bytes[52..56].copy_from_slice(&sum.to_le_bytes());
        }
    };
    let keyed = |frame: &mut Frame| frame.body = fuzzing::write_records(&[record(Some(9))]);
    let version = |block: &mut Vec<u8>| block[8] = 2;
    let feature = |block: &mut Vec<u8>| block[17] = 4;
    let cases = [
        ("compression 3", journal(&same, &|_| {}, &forge(|bytes| bytes[6] = 3), &same)),
        ("frame flag 64", journal(&same, &|_| {}, &forge(|bytes| bytes[5] = 64), &same)),
        ("frame kind 6", journal(&same, &|_| {}, &forge(|bytes| bytes[4] = 6), &same)),
        ("reserved field", journal(&same, &|_| {}, &forge(|bytes| bytes[48] = 1), &same)),
        ("key 9", journal(&same, &keyed, &same, &same)),
        ("version 2", journal(&version, &|_| {}, &same, &same)),
        ("feature bit 10", journal(&feature, &|_| {}, &same, &same)),
    ];
    for (name, sim) in cases {
        let before = sim.bytes(SEGMENT);
        let error = open(&sim).expect_err(name);
        assert_eq!(error.kind(), &ErrorKind::NewerFormat, "{error}");
        assert!(error.what().contains(name), "{name}: {error}");
        assert!(sim.bytes(SEGMENT) == before, "{name}");
    }
}
