//! `everlog salvage` and `recover`: what is whole comes back, and nothing disappears silently.

#![cfg(feature = "cli")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by them, also in its helpers")]
#![allow(clippy::disallowed_methods, reason = "files are prepared and damaged from outside")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

mod command_kit;

use command_kit::{append, code, damage, err, journal, json, long_journal, out, run_at, segments, tree};

#[test]
fn salvage_brings_back_the_prefix_as_a_journal_and_the_rest_as_lines() {
    let (home, directory) = journal(40);
    let times = json(&run_at(&directory, "log", &["--json"]));
    damage(&directory, "line 12 of");
    damage(&directory, "line 30 of");
    let before = tree(&directory);
    let copy = home.path().join("copy");
    let output = run_at(&directory, "salvage", &[copy.to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert!(out(&output).contains("27 whole records beyond the hole"), "{}", out(&output));
    assert_eq!(
        json(&run_at(&copy, "log", &["--json"])),
        times[..11],
        "positions, times and payloads are the old ones"
    );
    assert_eq!(code(&run_at(&copy, "verify", &[])), 0);
    let beyond = fs::read_to_string(copy.join("beyond.jsonl")).unwrap();
    let beyond: Vec<Value> = beyond.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let lost = [12, 30];
    let expected: Vec<Value> = (12..=40)
        .filter(|number| !lost.contains(number))
        .map(|number| format!("1:{number}").into())
        .collect();
    assert_eq!(beyond.iter().map(|line| line["position"].clone()).collect::<Vec<_>>(), expected);
    assert!(
        beyond
            .iter()
            .all(|line| line["file"].is_string() && line["offset"].is_u64() && line["time"].is_string())
    );
    assert_eq!(tree(&directory), before, "the damaged directory is as it was");
    assert_eq!(append(&copy, "goes on\n", &[]).stdout, b"12\n");
    assert_eq!(code(&run_at(&directory, "salvage", &[copy.to_str().unwrap()])), 2, "OUT is not empty");
}

#[test]
fn salvage_and_log_work_without_a_root_file_and_without_the_first_segment() {
    let (home, directory) = long_journal(3000);
    assert!(segments(&directory).len() > 2, "several segments");
    fs::remove_file(directory.join("journal")).unwrap();
    let shown = run_at(&directory, "log", &["--json"]);
    assert_eq!(code(&shown), 1);
    assert_eq!(json(&shown).len(), 3001, "all records and the fault");
    let copy = home.path().join("copy");
    let output = run_at(&directory, "salvage", &[copy.to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{}{}", out(&output), err(&output));
    assert_eq!(json(&run_at(&copy, "log", &["--json"])).len(), 3000);
    let (home, directory) = long_journal(3000);
    fs::remove_file(&segments(&directory)[0]).unwrap();
    assert_eq!(code(&run_at(&directory, "verify", &[])), 1);
    assert_eq!(code(&run_at(&directory, "inspect", &[])), 1);
    let copy = home.path().join("copy");
    assert_eq!(code(&run_at(&directory, "salvage", &[copy.to_str().unwrap()])), 0);
    assert_eq!(json(&run_at(&copy, "log", &["--json"])).len(), 0, "nothing stands before the hole");
    let beyond = fs::read_to_string(copy.join("beyond.jsonl")).unwrap();
    assert!(beyond.lines().count() > 1000);
}

#[test]
fn a_torn_tail_is_a_note_and_recover_cuts_it_into_quarantine() {
    let (_home, directory) = journal(5);
    let writer = everlog::Journal::open(&directory).unwrap();
    writer.append("acknowledged").unwrap();
    let torn = copy_of(&directory);
    let holds = |path: &PathBuf| fs::read(path).unwrap().windows(12).any(|window| window == b"acknowledged");
    let segment = segments(torn.path()).into_iter().find(holds).unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let used = bytes[..bytes.len() - 4096].iter().rposition(|byte| *byte != 0).unwrap();
    bytes[used + 64..used + 68].copy_from_slice(b"torn");
    fs::write(&segment, bytes).unwrap();
    let output = run_at(torn.path(), "verify", &["--json"]);
    assert_eq!(code(&output), 0, "a torn tail is a note");
    let found = json(&output);
    let is_torn = |line: &&Value| line["what"].as_str().is_some_and(|what| what.starts_with("torn tail"));
    let note = found.iter().find(is_torn).expect("a note of the torn tail");
    assert_eq!((&note["level"], &note["position"]), (&"note".into(), &"7".into()));
    let foreseen = json(&run_at(torn.path(), "recover", &["--dry-run", "--json"]));
    let cut_bytes = foreseen.last().unwrap()["cut_bytes"].as_u64().unwrap();
    assert!((64..=76).contains(&cut_bytes), "{cut_bytes}");
    assert!(!torn.path().join("quarantine").exists());
    let done = json(&run_at(torn.path(), "recover", &["--json"]));
    assert_eq!(done[0]["cut"]["bytes"], cut_bytes);
    assert!(torn.path().join(done[0]["cut"]["kept_in"].as_str().unwrap()).exists());
    assert_eq!(json(&run_at(torn.path(), "log", &["--json"])).len(), 6);
    writer.close().unwrap();
}

/// The files as a crash would leave them now.
fn copy_of(directory: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for (path, bytes) in tree(directory) {
        fs::write(copy.path().join(path.file_name().unwrap()), bytes).unwrap();
    }
    copy
}
