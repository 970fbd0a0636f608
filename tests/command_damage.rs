//! Wherever a byte is changed, a file cut or removed: verify says so, and salvage brings back a true prefix.

#![cfg(feature = "cli")]
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by them, also in its helpers")]
#![allow(clippy::disallowed_methods, reason = "files are prepared and damaged from outside")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use everlog::{Durability, Journal, Transaction};
use serde_json::Value;

const RECORDS: u64 = 2400;

fn run(verb: &str, directory: &Path, rest: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_everlog"));
    command.arg(verb).arg(directory).args(rest).env("NO_COLOR", "1");
    command.stdin(Stdio::null()).output().expect("runs")
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("killed or panicked: {output:?}"))
}

fn json(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

/// Several segments, two sessions, a snapshot, and transactions of more than one record.
fn prepare(directory: &Path) {
    for _session in 0..2 {
        let journal = Journal::options().segment_bytes(32 * 1024, 32 * 1024).open(directory).expect("opens");
        for number in (0..RECORDS / 2).step_by(3) {
            let mut transaction = Transaction::new().meta("three of them");
            for part in 0..3 {
                transaction = transaction.record(format!("record {number} part {part}"));
            }
            journal.commit(&transaction, Durability::Synced).expect("committed");
        }
        journal.close().expect("closes");
    }
    assert_eq!(code(&run("snapshot", directory, &[])), 0);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("created");
    for entry in fs::read_dir(from).expect("lists") {
        let path = entry.expect("listed").path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().expect("named"))).expect("copied");
        }
    }
}

fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(directory).expect("lists").map(|entry| entry.expect("listed").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    paths.sort();
    paths
}

/// What verify and salvage must do with one damaged copy, given all records of the sound one.
fn check(name: &str, directory: &Path, out: &Path, all: &[Value], expected: i32) {
    let verified = run("verify", directory, &["--json"]);
    assert_eq!(code(&verified), expected, "{name}: {}", String::from_utf8_lossy(&verified.stdout));
    for fault in json(&verified.stdout).iter().filter(|line| line["level"] == "fault") {
        assert!(fault["next"].is_string() && fault["kind"] == "damaged", "{name}: {fault}");
    }
    for verb in ["log", "inspect", "stats"] {
        assert!(matches!(code(&run(verb, directory, &["--json"])), 0 | 1), "{name}: {verb}");
    }
    let salvaged = run("salvage", directory, &[out.to_str().expect("text")]);
    assert_eq!(code(&salvaged), 0, "{name}: {}", String::from_utf8_lossy(&salvaged.stderr));
    assert_eq!(code(&run("verify", out, &[])), 0, "{name}: the copy is sound");
    let prefix = json(&run("log", out, &["--json"]).stdout);
    assert_eq!(prefix, all[..prefix.len()], "{name}: not a prefix");
    assert!(prefix.last().is_none_or(|last| last["transaction"].is_null()), "{name}: half a transaction");
    let beyond = fs::read(out.join("beyond.jsonl")).map(|bytes| json(&bytes)).unwrap_or_default();
    let known: BTreeSet<&str> = all.iter().filter_map(|record| record["position"].as_str()).collect();
    let mut seen: BTreeSet<&str> = prefix.iter().filter_map(|record| record["position"].as_str()).collect();
    for record in &beyond {
        let position = record["position"].as_str().expect("a position");
        assert!(
            known.contains(position) && seen.insert(position),
            "{name}: {position} twice or from nowhere"
        );
    }
    // A frame of one transaction is the most that one changed byte can take.
    let lost = all.len() - seen.len();
    assert!(expected == 1 || lost == 0, "{name}: {lost} lost without a fault");
}

#[test]
fn any_change_in_any_file_is_found_and_what_is_whole_comes_back() {
    let home = tempfile::tempdir().expect("a directory");
    let sound = home.path().join("sound");
    prepare(&sound);
    let all = json(&run("log", &sound, &["--json"]).stdout);
    assert_eq!(all.len() as u64, RECORDS);
    let mut case = 0;
    let mut damaged = |name: &str, expected: i32, damage: &dyn Fn(&Path)| {
        case += 1;
        let (directory, out) =
            (home.path().join(format!("case-{case}")), home.path().join(format!("out-{case}")));
        copy(&sound, &directory);
        damage(&directory);
        check(name, &directory, &out, &all, expected);
    };
    damaged("nothing", 0, &|_| {});
    let segments = files(&sound, "seg");
    assert!(segments.len() >= 4, "several segments");
    for (index, segment) in segments.iter().enumerate() {
        let file = segment.file_name().expect("named").to_owned();
        let last = index + 1 == segments.len();
        let flip = |offset: usize| {
            let file = file.clone();
            move |directory: &Path| {
                let mut bytes = fs::read(directory.join(&file)).expect("reads");
                bytes[offset] ^= 0x10;
                fs::write(directory.join(&file), bytes).expect("writes");
            }
        };
        damaged(&format!("birth header of {index}"), 1, &flip(48));
        damaged(&format!("first frame of {index}"), 1, &flip(8192 + 60));
        damaged(&format!("first header of {index}"), 1, &flip(8192 + 24));
        if !last {
            damaged(&format!("middle of {index}"), 1, &flip(16_000));
            damaged(&format!("roll seal of {index}"), 1, &flip(32 * 1024 - 4096 + 30));
        }
        let path = |directory: &Path| directory.join(&file);
        damaged(&format!("{index} removed"), 1, &|directory| {
            fs::remove_file(path(directory)).expect("removed")
        });
        damaged(&format!("{index} cut short"), 1, &|directory| {
            let bytes = fs::read(path(directory)).expect("reads");
            fs::write(path(directory), &bytes[..9000]).expect("writes");
        });
    }
    damaged("root removed", 1, &|directory| fs::remove_file(directory.join("journal")).expect("removed"));
    damaged("root zeroed", 1, &|directory| fs::write(directory.join("journal"), [0; 16384]).expect("writes"));
    damaged("snapshot emptied", 1, &|directory| {
        fs::write(&files(directory, "snap")[0], []).expect("writes");
    });
}
