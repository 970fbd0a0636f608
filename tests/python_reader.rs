//! A reader in another language, `python_reader.py`, which shares no code with the library and does what
//! `docs/format.md` says, reads what the library reads.

#![cfg(feature = "sim")]
#![allow(clippy::expect_used, clippy::panic, reason = "what helps a test is a test")]
#![allow(clippy::disallowed_methods, reason = "the reader is another program and wants files")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use everlog::journal::{Background, Options};
use everlog::medium::Sim;
use everlog::medium::sim::Crash;
use everlog::{Durability, Journal, Transaction};

fn options() -> Options {
    Options::new().background(Background::Inline).segment_bytes(16 * 1024, 32 * 1024).frame_bytes_max(2048)
}

fn open(sim: &Sim) -> Journal {
    options().open_on(Arc::new(sim.clone())).expect("opens")
}

/// Several segments, a record larger than one, a spanning transaction, metadata, pins, and a mended crash.
fn history() -> Sim {
    let sim = Sim::new(5);
    let journal = open(&sim);
    for index in 0..120_u32 {
        journal.append(vec![index as u8; 100 + index as usize]).expect("appends");
    }
    journal.append(vec![0xA5; 150_000]).expect("appends a record larger than a segment");
    let large = (0..40).fold(Transaction::new().meta("import"), |tx, index| tx.record(vec![index; 900]));
    journal.commit(&large, Durability::Synced).expect("commits a spanning transaction");
    let receipt = journal.append(b"pinned").expect("appends");
    journal.pin("here", receipt.position, "why").expect("pins");
    journal.pin("gone", receipt.position, "").expect("pins");
    journal.unpin("gone").expect("unpins");
    journal.commit(&Transaction::new().record("torn"), Durability::Buffered).expect("buffers");
    let after = sim.crash(Crash::LoseAll);
    let journal = open(&after);
    assert!(!journal.report().clean);
    journal.append(b"after the crash").expect("appends");
    journal.close().expect("closes");
    after
}

fn put_down(sim: &Sim, folder: &Path) {
    for (name, _) in sim.files().into_iter().filter(|(name, _)| !name.contains('/')) {
        std::fs::write(folder.join(&name), sim.bytes(&name).expect("a file")).expect("writes");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn as_lines(journal: &Journal) -> Vec<String> {
    let line = |record: everlog::Record| {
        let meta = record.meta.map_or("null".to_owned(), |meta| format!("\"{}\"", hex(&meta)));
        format!(
            "{{\"epoch\": {}, \"lsn\": {}, \"kind\": \"{}\", \"end\": {}, \"version\": {}, \"time\": {}, \
             \"meta\": {meta}, \"payload\": \"{}\"}}",
            record.position.epoch,
            record.position.lsn,
            record.kind.word(),
            record.ends_transaction,
            record.type_version,
            record.time.micros(),
            hex(&record.payload),
        )
    };
    journal.records().expect("readable").map(|record| line(record.expect("checks"))).collect()
}

/// The reader's lines, or its refusal; `None` where there is no Python.
fn python(sim: &Sim) -> Option<Result<Vec<String>, String>> {
    let folder = tempfile::tempdir().expect("a directory");
    put_down(sim, folder.path());
    let reader = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python_reader.py");
    let Ok(output) = Command::new("python3").arg(reader).arg(folder.path()).output() else {
        println!("note: there is no python3 here, so the independent reader was not run");
        return None;
    };
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Some(match output.status.success() {
        true => Ok(text(output.stdout).lines().map(str::to_owned).collect()),
        false => Err(text(output.stderr)),
    })
}

#[test]
fn an_independent_reader_reads_the_same_records() {
    let sim = history();
    let Some(found) = python(&sim) else { return };
    let journal = options().read_only().open_on(Arc::new(sim)).expect("opens");
    let expected = as_lines(&journal);
    assert!(expected.len() > 160);
    assert_eq!(found.expect("no refusal"), expected);
}

#[test]
fn an_independent_reader_ends_where_recovery_does() {
    let sim = history();
    let journal = open(&sim);
    let large = (0..30).fold(Transaction::new(), |tx, index| tx.record(vec![index; 900]));
    journal.commit(&large, Durability::Synced).expect("commits");
    for index in 0..3_u8 {
        journal.commit(&large.clone().record([index]), Durability::Buffered).expect("buffers");
    }
    for (label, image) in sim.crash_images(12, 9) {
        let Some(found) = python(&image) else { return };
        assert_eq!(found.expect(&label), as_lines(&open(&image)), "{label}");
    }
}

#[test]
fn an_independent_reader_refuses_damage_too() {
    let sim = history();
    for (file, offset) in [("0000000002.seg", 8300), ("0000000002.seg", 40), ("journal", 2 * 4096 + 40)] {
        let damaged = sim.crash(Crash::LoseAll);
        damaged.flip(file, offset, 4).expect("a file");
        if file == "journal" {
            damaged.flip(file, offset + 4096, 4).expect("a file");
        }
        let Some(found) = python(&damaged) else { return };
        assert!(found.is_err(), "{file} at {offset}");
        assert!(options().open_on(Arc::new(damaged)).is_err(), "{file} at {offset}");
    }
}
