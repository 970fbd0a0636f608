//! The verbs that look: they find what was asked for and every fault, and change nothing.

#![cfg(feature = "cli")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by them, also in its helpers")]
#![allow(clippy::disallowed_methods, reason = "files are prepared and damaged from outside")]

use std::fs;

use serde_json::Value;

mod command_kit;

use command_kit::{code, damage, err, journal, json, out, run_at, segments, tree};

#[test]
fn log_finds_its_ends_by_position_number_time_span_and_pin() {
    let (_home, directory) = journal(10);
    let count = |rest: &[&str]| json(&run_at(&directory, "log", &[rest, &["--json"]].concat())).len();
    assert_eq!(count(&[]), 10);
    assert_eq!(count(&["--from", "4"]), 7);
    assert_eq!(count(&["--from", "1:4", "--to", "1:6"]), 3);
    assert_eq!(count(&["--from", "1h ago"]), 10);
    assert_eq!(count(&["--to", "1h ago"]), 0);
    assert_eq!(count(&["--from", "2020-01-01T00:00:00Z", "--limit", "2"]), 2);
    let record = &json(&run_at(&directory, "log", &["--from", "6", "--limit", "1", "--json"]))[0];
    assert_eq!(record["position"], "1:6");
    assert_eq!(record["kind"], "event");
    assert_eq!(record["payload"], "line 6 of several");
    assert_eq!(count(&["--from", record["time"].as_str().unwrap()]), 5);
    assert_eq!(code(&run_at(&directory, "pin", &["here", "6"])), 0);
    assert_eq!(count(&["--from", "pin:here", "--to", "8"]), 3);
    assert_eq!(code(&run_at(&directory, "log", &["--from", "pin:nowhere"])), 4, "the answer is no");
    assert_eq!(code(&run_at(&directory, "log", &["--from", "sometime"])), 2, "usage");
}

#[test]
fn log_shows_bytes_that_are_not_text_as_base64() {
    let (_home, directory) = journal(0);
    let journal = everlog::Journal::open(&directory).unwrap();
    journal.append([0xff, 0xfe]).unwrap();
    journal.close().unwrap();
    let record = &json(&run_at(&directory, "log", &["--json"]))[0];
    assert_eq!(record["payload_base64"], "//4=");
    assert_eq!(record.get("payload"), None);
}

#[test]
fn a_sound_journal_verifies_and_nothing_is_changed_by_looking() {
    let (_home, directory) = journal(50);
    let before = tree(&directory);
    for verb in ["verify", "inspect", "log", "stats", "pin"] {
        let output = run_at(&directory, verb, &[]);
        assert_eq!(code(&output), 0, "{verb}: {}{}", out(&output), err(&output));
        for line in json(&run_at(&directory, verb, &["--json"])) {
            assert!(line.is_object(), "{verb}");
        }
    }
    for dry in [&["recover", "--dry-run"][..], &["compact", "--dry-run", "--keep-bytes", "1"]] {
        assert_eq!(code(&run_at(&directory, dry[0], &dry[1..])), 0, "{dry:?}");
    }
    assert_eq!(tree(&directory), before);
}

#[test]
fn verify_names_file_offset_position_and_the_next_command_for_every_fault() {
    let (_home, directory) = journal(40);
    let (file, first) = damage(&directory, "line 12 of");
    let (_, second) = damage(&directory, "line 30 of");
    let output = run_at(&directory, "verify", &["--json"]);
    assert_eq!(code(&output), 1);
    let found = json(&output);
    let faults: Vec<&Value> = found.iter().filter(|line| line["level"] == "fault").collect();
    assert_eq!(faults.len(), 2, "{found:?}");
    for (fault, byte, position) in [(faults[0], first, "12"), (faults[1], second, "30")] {
        let offset = fault["offset"].as_u64().expect("an offset");
        assert!(offset < byte && byte < offset + 128, "{fault}");
        assert_eq!(fault["kind"], "damaged");
        assert_eq!(fault["file"], file.as_str());
        assert_eq!(fault["position"], position);
        let next = fault["next"].as_str().expect("a command");
        assert!(next.starts_with("everlog salvage "), "{next}");
    }
    let text = out(&run_at(&directory, "verify", &[]));
    assert!(
        text.contains(&file) && text.contains("record 12") && text.contains("next: everlog salvage"),
        "{text}"
    );
}

#[test]
fn verify_finds_a_bad_root_copy_a_bad_header_and_strange_files() {
    let (_home, directory) = journal(5);
    fs::write(directory.join("notes.txt"), "mine").unwrap();
    let root = directory.join("journal");
    let mut bytes = fs::read(&root).unwrap();
    bytes[4096 + 40] ^= 1;
    fs::write(&root, bytes).unwrap();
    let found = json(&run_at(&directory, "verify", &["--json"]));
    assert!(
        found
            .iter()
            .any(|line| line["level"] == "fault" && line["file"] == "journal" && line["offset"] == 4096)
    );
    assert!(found.iter().any(|line| line["level"] == "note" && line["file"] == "notes.txt"));
    let segment = &segments(&directory)[0];
    let mut bytes = fs::read(segment).unwrap();
    bytes[50] ^= 1;
    fs::write(segment, bytes).unwrap();
    let found = json(&run_at(&directory, "verify", &["--json"]));
    let name = segment.file_name().unwrap().to_str().unwrap();
    assert!(found.iter().any(|line| line["level"] == "fault" && line["file"] == name), "{found:?}");
}

#[test]
fn a_damaged_snapshot_is_a_fault_that_costs_nothing() {
    let (_home, directory) = journal(20);
    assert_eq!(code(&run_at(&directory, "snapshot", &[])), 0);
    let list = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "snap"))
        .expect("a snapshot");
    let mut bytes = fs::read(&list).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&list, bytes).unwrap();
    let output = run_at(&directory, "verify", &["--json"]);
    assert_eq!(code(&output), 1);
    let next = json(&output)[0]["next"].as_str().unwrap().to_owned();
    assert!(next.starts_with("everlog snapshot "), "{next}");
    assert_eq!(json(&run_at(&directory, "log", &["--json"])).len(), 20);
}

#[test]
fn stats_counts_what_was_appended() {
    let (_home, directory) = journal(25);
    let counts = &json(&run_at(&directory, "stats", &["--json"]))[0];
    assert_eq!((&counts["records"], &counts["events"]), (&25.into(), &25.into()));
    assert_eq!(counts["payload_bytes_min"], "line 1 of several".len());
    assert!(out(&run_at(&directory, "stats", &[])).contains("records per"));
}
