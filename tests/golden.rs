//! The bytes of format 1, kept for ever: today's code writes them for the same inputs, and reads them.
//!
//! `EVERLOG_WRITE_GOLDEN=1 cargo test --features sim --test golden` writes them anew, for a new version of the format.

#![cfg(feature = "sim")]
#![allow(clippy::expect_used, clippy::panic, reason = "what helps a test is a test")]
#![allow(clippy::disallowed_methods, reason = "fixtures are files of the repository, not of a journal")]

mod frame_kit;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use everlog::fuzzing::{self, Birth, Frame, Record, Root};
use everlog::journal::{Background, Options, RecordKind};
use everlog::medium::Sim;
use everlog::medium::sim::Crash;
use everlog::{Durability, Journal, Transaction};

const ID: [u8; 16] = *b"journal of tests";
const SALT: u64 = 0x0123_4567_89ab_cdef;
const TIME: u64 = 1_763_575_200_000_000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn writing() -> bool {
    std::env::var_os("EVERLOG_WRITE_GOLDEN").is_some()
}

/// Compares `bytes` with the golden file `name`, or writes it if asked to.
fn hold(name: &str, bytes: &[u8]) {
    let path = folder().join(name);
    if writing() {
        std::fs::write(&path, bytes).expect("writes");
    }
    assert!(std::fs::read(&path).expect(name) == bytes, "the bytes of {name} have changed");
}

fn event() -> Record {
    Record { type_version: 3, time: TIME, ..frame_kit::record(b"payload") }
}

fn own(kind: RecordKind, payload: everlog::Result<Vec<u8>>) -> Record {
    Record { kind, type_version: 0, payload: payload.expect("encodes"), ..event() }
}

#[test]
fn records_of_each_kind_with_each_option() {
    let records = [
        ("event", event()),
        ("event-open", Record { end: false, ..event() }),
        ("event-meta", Record { meta: Some(b"who".to_vec()), ..event() }),
        ("event-key", Record { key_id: Some(9), ..event() }),
        ("event-key-meta", Record { key_id: Some(9), meta: Some(Vec::new()), ..event() }),
        ("pin", own(RecordKind::Pin, fuzzing::write_pin("here", (2, 41), TIME, "why"))),
        ("unpin", own(RecordKind::Unpin, fuzzing::write_unpin("here"))),
        ("rollback", own(RecordKind::Rollback, fuzzing::write_rollback((2, 41), 7, (0xfeed, 358, 4, 5, 8)))),
        ("clock", own(RecordKind::Clock, fuzzing::write_clock(TIME, TIME + 7_200_000_000))),
    ];
    for (name, record) in records {
        let bytes = fuzzing::write_records(std::slice::from_ref(&record));
        hold(&format!("record-{name}-v1.bin"), &bytes);
        let (read, error) = fuzzing::read_records(&bytes);
        assert!(error.is_none() && read == [record], "{name}");
    }
}

fn data() -> Frame {
    Frame { epoch: 2, first_lsn: 42, mark: 41, ..frame_kit::frame_of(&event(), 0x5eed) }
}

#[test]
fn frames_of_each_kind_with_each_flag() {
    let open = Frame { body: fuzzing::write_records(&[Record { end: false, ..event() }]), ..data() };
    let large = Record { payload: vec![0xA5; 70_000], ..event() };
    let bare = Frame { record_count: 0, body: Vec::new(), ..data() };
    let frames = [
        ("data", data()),
        ("data-continues", Frame { continues: true, ..open }),
        ("data-aligned", Frame { aligned: true, ..data() }),
        ("data-chain", Frame { chain: Some(*b"0123456789abcdef0123456789abcdef"), ..data() }),
        ("data-two-checks", Frame { body: fuzzing::write_records(&[large]), ..data() }),
        ("mark", Frame { kind: 2, ..bare.clone() }),
        ("seal", Frame { kind: 3, ..bare }),
    ];
    for (name, frame) in frames {
        let (bytes, _) = fuzzing::write_frame(&frame, SALT).expect("a kind");
        hold(&format!("frame-{name}-v1.bin"), &bytes);
        assert_eq!(fuzzing::read_frame(&bytes, SALT, 8192).expect("known"), Some(frame), "{name}");
    }
}

#[test]
fn headers_slots_and_the_root_file() {
    let birth = Birth { journal_id: ID, number: 3, salt: SALT, capacity: 65_536 };
    hold("birth-v1.bin", &fuzzing::write_birth(&birth));
    assert_eq!(fuzzing::read_birth(&fuzzing::write_birth(&birth)).expect("valid"), birth);

    let seal = (9000, 77, (4, 1234), (1, 40), (TIME, TIME + 1));
    let bytes = fuzzing::write_roll_seal(seal, 2, SALT, 65_536).expect("encodes");
    hold("roll-seal-v1.bin", &bytes);
    assert_eq!(fuzzing::read_roll_seal(&bytes, SALT, 65_536).expect("known"), Some(seal));

    let link = (1, 40, 17, (3, 8, 8200, 5));
    let bytes = fuzzing::write_link(link, 2, SALT).expect("encodes");
    hold("link-v1.bin", &bytes);
    assert_eq!(fuzzing::read_link(&bytes, SALT).expect("known"), Some((2, link)));

    let root = Root {
        journal_id: ID,
        face: 1,
        codec: 1,
        aligned: true,
        created: TIME,
        segment_bytes: (65_536, 1 << 26),
        frame_bytes_max: 1 << 20,
        type_name: "bank".to_owned(),
        sequence: 9,
        epoch: 2,
        floor: 40,
        horizon: (1, 20, TIME + 5),
        first_segment: (2, 99),
        newest_segment: 3,
        clean: (3, 8248),
    };
    let bytes = fuzzing::write_root(&root).expect("encodes");
    hold("root-v1.bin", &bytes);
    assert_eq!(fuzzing::read_root(&bytes).expect("valid"), root);
}

fn options() -> Options {
    Options::new().background(Background::Inline).segment_bytes(24 * 1024, 24 * 1024).frame_bytes_max(1024)
}

const SPANNING: u8 = 6;

/// What the golden journals were made of: events, one of them with metadata, a transaction over frames and segments, a
/// pin, and a crash that left a torn record and was mended.
fn make() -> Sim {
    let sim = Sim::new(1);
    let journal = options().open_on(Arc::new(sim.clone())).expect("opens");
    journal.append("first").expect("appends");
    journal.commit(&Transaction::new().meta("who").record("second"), Durability::Synced).expect("commits");
    let spanning = (0..SPANNING).fold(Transaction::new(), |tx, index| tx.record(vec![index; 1500]));
    let receipt = journal.commit(&spanning, Durability::Synced).expect("commits");
    journal.pin("here", receipt.position, "why").expect("pins");
    torn(&sim, &journal)
}

/// A power cut that leaves half of a buffered record.
fn torn(sim: &Sim, journal: &Journal) -> Sim {
    journal.commit(&Transaction::new().record("torn in two"), Durability::Buffered).expect("buffers");
    let after = sim.crash(Crash::KeepAll);
    for (file, _) in after.files() {
        let bytes = after.bytes(&file).expect("a file");
        if let Some(at) = bytes.windows(11).position(|window| window == b"torn in two") {
            after.overwrite(&file, at as u64 + 5, &[0; 10]).expect("a file");
        }
    }
    after
}

/// Kind and payload of each record; a pin's payload is left out.
fn expected(last: &str) -> Vec<(RecordKind, Vec<u8>)> {
    let event = |payload: &[u8]| (RecordKind::Event, payload.to_vec());
    let mut records = vec![event(b"first"), event(b"second")];
    records.extend((0..SPANNING).map(|index| event(&[index; 1500])));
    records.push((RecordKind::Pin, Vec::new()));
    records.push(event(last.as_bytes()));
    records
}

fn found(journal: &Journal) -> Vec<(RecordKind, Vec<u8>)> {
    let records = journal.records().expect("readable").map(|record| record.expect("checks"));
    records
        .map(|record| match record.kind {
            RecordKind::Event => (record.kind, record.payload),
            _ => (record.kind, Vec::new()),
        })
        .collect()
}

fn keep(sim: &Sim, name: &str) {
    let folder = folder().join(name);
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(&folder).expect("creates");
    for (file, _) in sim.files().into_iter().filter(|(file, _)| file == "journal" || file.ends_with(".seg")) {
        std::fs::write(folder.join(&file), sim.bytes(&file).expect("a file")).expect("writes");
    }
}

/// A copy, as opening writes.
fn copy(name: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a directory");
    for file in std::fs::read_dir(folder().join(name)).expect(name) {
        let file = file.expect("an entry");
        std::fs::copy(file.path(), copy.path().join(file.file_name())).expect("copies");
    }
    copy
}

#[test]
fn journals_of_version_1_open_and_give_their_records() {
    if writing() {
        let unclean = make();
        let journal = options().open_on(Arc::new(unclean.clone())).expect("opens");
        journal.append("last").expect("appends");
        keep(&torn(&unclean, &journal), "journal-v1-crashed");
        let clean = make();
        let journal = options().open_on(Arc::new(clean.clone())).expect("opens");
        journal.append("last").expect("appends");
        journal.close().expect("closes");
        keep(&clean, "journal-v1-clean");
    }
    for (name, clean) in [("journal-v1-clean", true), ("journal-v1-crashed", false)] {
        let copy = copy(name);
        let journal = Journal::open(copy.path()).expect(name);
        assert_eq!(journal.report().clean, clean, "{name}: {}", journal.report());
        assert_eq!(journal.report().cut.is_some(), !clean, "{name}: {}", journal.report());
        assert!(found(&journal) == expected("last"), "{name}");
        assert_eq!(journal.find_pin("here").expect("pinned").note, "why");
        assert_eq!(
            journal.records().expect("readable").nth(1).expect("one").expect("checks").meta,
            Some(b"who".to_vec())
        );
        journal.append("and on").expect("appends");
        journal.close().expect("closes");
        assert_eq!(found(&Journal::open(copy.path()).expect(name)).len(), 11);
    }
}
