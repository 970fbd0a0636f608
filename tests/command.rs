//! The command does what its help says: each verb on a real directory, run as a real process.

#![cfg(feature = "cli")]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by them, also in its helpers"
)]
#![allow(clippy::disallowed_methods, reason = "files are prepared and damaged from outside")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

fn everlog() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_everlog"));
    command.env("NO_COLOR", "1");
    command
}

fn run<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Output {
    everlog().args(arguments).stdin(Stdio::null()).output().expect("runs")
}

fn run_at(directory: &Path, verb: &str, rest: &[&str]) -> Output {
    everlog().arg(verb).arg(directory).args(rest).stdin(Stdio::null()).output().expect("runs")
}

fn append(directory: &Path, lines: &str, rest: &[&str]) -> Output {
    let mut child = everlog()
        .arg("append")
        .arg(directory)
        .args(rest)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    child.stdin.take().expect("piped").write_all(lines.as_bytes()).expect("written");
    child.wait_with_output().expect("ends")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("not killed")
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

fn json(output: &Output) -> Vec<Value> {
    out(output).lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

fn lines(count: u32) -> String {
    (1..=count).map(|number| format!("line {number} of several\n")).collect()
}

/// A journal in a directory of its own, with `count` records appended one sync each, so that frames are small.
fn journal(count: u32) -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().expect("a directory");
    let directory = home.path().join("journal");
    let journal = everlog::Journal::open(&directory).expect("opens");
    for number in 1..=count {
        journal.append(format!("line {number} of several")).expect("appended");
    }
    journal.close().expect("closes");
    (home, directory)
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .expect("lists")
        .map(|entry| entry.expect("listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    paths.sort();
    paths
}

/// Flips a byte of the record that holds `text`; returns the file's name and the byte's offset.
fn damage(directory: &Path, text: &str) -> (String, u64) {
    for path in segments(directory) {
        let mut bytes = fs::read(&path).expect("reads");
        if let Some(at) = bytes.windows(text.len()).position(|window| window == text.as_bytes()) {
            bytes[at] ^= 0x20;
            fs::write(&path, bytes).expect("writes");
            return (path.file_name().expect("named").to_string_lossy().into_owned(), at as u64);
        }
    }
    panic!("{text:?} is in no segment");
}

fn tree(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(directory)
        .expect("lists")
        .map(|entry| entry.expect("listed").path())
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), fs::read(&path).expect("reads")))
        .collect();
    files.sort();
    files
}

#[test]
fn append_prints_each_number_in_order_and_says_created() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("new");
    let first = append(&directory, "one\ntwo\r\n\nfour", &[]);
    assert_eq!((code(&first), out(&first).as_str()), (0, "1\n2\n3\n4\n"));
    assert!(err(&first).starts_with("created "), "{}", err(&first));
    let second = append(&directory, "five\n", &["--json"]);
    assert_eq!(json(&second)[0]["lsn"], 5);
    assert_eq!(err(&second), "");
    let shown = json(&run_at(&directory, "log", &["--json"]));
    let payloads: Vec<&str> = shown.iter().map(|record| record["payload"].as_str().unwrap()).collect();
    assert_eq!(payloads, ["one", "two", "", "four", "five"]);
}

#[test]
fn append_spreads_lines_over_threads_and_loses_none() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("new");
    let output = append(&directory, &lines(2000), &["--writers", "8"]);
    let mut numbers: Vec<u64> = out(&output).lines().map(|line| line.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=2000).collect::<Vec<u64>>());
    let shown = json(&run_at(&directory, "log", &["--json"]));
    let mut payloads: Vec<String> = shown.iter().map(|record| record["payload"].to_string()).collect();
    payloads.sort();
    let mut expected: Vec<String> = lines(2000).lines().map(|line| format!("{line:?}")).collect();
    expected.sort();
    assert_eq!(payloads, expected);
}

#[test]
fn append_prints_a_number_while_its_input_is_still_open() {
    let home = tempfile::tempdir().unwrap();
    for writers in ["1", "3"] {
        let directory = home.path().join(writers);
        let mut child = start_append(&directory, &["--writers", writers]);
        let mut stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        for number in 1..=3 {
            writeln!(stdin, "line {number}").unwrap();
            stdin.flush().unwrap();
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            assert_eq!(line, format!("{number}\n"));
        }
        drop(stdin);
        assert!(child.wait().unwrap().success());
    }
}

fn start_append(directory: &Path, rest: &[&str]) -> Child {
    everlog()
        .arg("append")
        .arg(directory)
        .args(rest)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts")
}

#[test]
fn a_line_over_the_limit_is_named_and_the_lines_before_it_are_kept() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("lines");
    fs::write(&file, [b"first\n".as_slice(), &vec![b'x'; (16 << 20) + 1], b"\nthird\n"].concat()).unwrap();
    let output = run_at(&home.path().join("new"), "append", &[file.to_str().unwrap()]);
    assert_eq!((code(&output), out(&output).as_str()), (2, "1\n"));
    assert!(err(&output).contains("line 2 of "), "{}", err(&output));
}

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
    let (home, directory) = journal(3000);
    assert!(segments(&directory).len() > 2, "several segments");
    fs::remove_file(directory.join("journal")).unwrap();
    let shown = run_at(&directory, "log", &["--json"]);
    assert_eq!(code(&shown), 1);
    assert_eq!(json(&shown).len(), 3001, "all records and the fault");
    let copy = home.path().join("copy");
    let output = run_at(&directory, "salvage", &[copy.to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{}{}", out(&output), err(&output));
    assert_eq!(json(&run_at(&copy, "log", &["--json"])).len(), 3000);
    let (home, directory) = journal(3000);
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

#[test]
fn reading_verbs_create_nothing_and_say_what_is_missing() {
    let home = tempfile::tempdir().unwrap();
    let missing = home.path().join("missing");
    for verb in ["verify", "inspect", "log", "stats", "pin", "recover", "snapshot"] {
        let output = run_at(&missing, verb, &["--json"]);
        assert_eq!(code(&output), 3, "{verb}");
        let error = &json(&output)[0];
        assert_eq!((&error["level"], &error["kind"]), (&"error".into(), &"missing".into()), "{verb}");
        assert!(error["next"].is_string(), "{verb}");
        assert!(!missing.exists(), "{verb}");
        assert_eq!(code(&run_at(home.path(), verb, &[])), 3, "{verb} of an empty directory");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "{verb}");
    }
    fs::write(home.path().join("notes.txt"), "mine").unwrap();
    assert_eq!(code(&append(home.path(), "x\n", &[])), 3, "a directory with other files is not a journal");
}

#[test]
fn a_held_journal_is_exit_code_5_and_names_the_holder_while_readers_work() {
    let (_home, directory) = journal(3);
    let holder = everlog::Journal::open(&directory).unwrap();
    holder.append("while held").unwrap();
    for verb in ["append", "recover", "snapshot"] {
        let output = run_at(&directory, verb, &[]);
        assert_eq!(code(&output), 5, "{verb}");
        assert!(err(&output).contains(&std::process::id().to_string()), "{verb}: {}", err(&output));
    }
    for verb in ["verify", "inspect", "log"] {
        assert_eq!(code(&run_at(&directory, verb, &[])), 0, "{verb}");
    }
    holder.close().unwrap();
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_ends_quietly() {
    let (_home, directory) = journal(3000);
    for arguments in [&["log"][..], &["log", "--json"], &["verify"], &["append"]] {
        let mut child = everlog()
            .arg(arguments[0])
            .arg(&directory)
            .args(&arguments[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        if let Some(mut stdin) = child.stdin.take() {
            // The reader may be gone already.
            let _unheard = stdin.write_all(b"a line\n");
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!((code(&output), err(&output).as_str()), (0, ""), "{arguments:?}");
    }
}

#[test]
fn pins_are_set_listed_and_removed() {
    let (_home, directory) = journal(5);
    assert_eq!(code(&run_at(&directory, "pin", &["before", "3", "--note", "the migration"])), 0);
    let pins = json(&run_at(&directory, "pin", &["--json"]));
    assert_eq!(pins[0]["pin"], "before");
    assert_eq!((&pins[0]["position"], &pins[0]["note"]), (&"1:3".into(), &"the migration".into()));
    assert_eq!(code(&run_at(&directory, "pin", &["before", "99"])), 4, "no such record");
    assert_eq!(code(&run_at(&directory, "pin", &["before", "--remove"])), 0);
    assert_eq!(code(&run_at(&directory, "pin", &["before", "--remove"])), 4, "removed already");
    assert_eq!(json(&run_at(&directory, "pin", &["--json"])).len(), 0);
}

#[test]
fn snapshot_and_compact_shorten_the_history_and_verify_agrees() {
    let (_home, directory) = journal(3000);
    assert_eq!(code(&run_at(&directory, "snapshot", &[])), 0);
    let foreseen = json(&run_at(&directory, "compact", &["--keep-bytes", "64KiB", "--dry-run", "--json"]));
    assert!(foreseen[0]["segments_removed"].as_u64().unwrap() > 0);
    let before = segments(&directory).len();
    let done = json(&run_at(&directory, "compact", &["--keep-bytes", "64KiB", "--json"]));
    assert!(done[0]["segments_removed"].as_u64().unwrap() > 0, "{done:?}");
    assert!(segments(&directory).len() < before);
    let output = run_at(&directory, "verify", &[]);
    assert_eq!(code(&output), 0, "{}", out(&output));
    assert_eq!(code(&run_at(&directory, "log", &["--from", "1"])), 4, "before the horizon");
    assert_eq!(code(&run_at(&directory, "compact", &[])), 2, "how much to keep must be said");
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

#[test]
fn damaged_directories_are_exit_code_1_for_every_verb_that_needs_them_whole() {
    let (_home, directory) = journal(20);
    damage(&directory, "line 5 of");
    for verb in ["append", "recover", "snapshot", "verify", "log", "inspect"] {
        let output = run_at(&directory, verb, &[]);
        assert_eq!(code(&output), 1, "{verb}: {}", err(&output));
        let said = format!("{}{}", out(&output), err(&output));
        assert!(said.contains("next:") && said.contains("everlog "), "{verb}: {said}");
    }
    let shown = run_at(&directory, "log", &["--json"]);
    let found = json(&shown);
    assert_eq!(found.len(), 5, "four records and the fault");
    assert_eq!(found[4]["position"], "5");
}

#[test]
fn help_completions_and_the_manual_name_every_verb() {
    let help = out(&run(&["--help"]));
    let page = out(&run(&["man"]));
    let script = out(&run(&["completions", "bash"]));
    for verb in "inspect verify log stats recover salvage append pin snapshot compact demo".split(' ') {
        for (name, text) in [("help", &help), ("manual", &page), ("completions", &script)] {
            assert!(text.contains(verb), "{name} without {verb}");
        }
        assert_eq!(code(&run(&[verb, "--help"])), 0);
    }
    assert!(!help.contains("demo-writer"));
    assert_eq!(code(&run(&["no-such-verb"])), 2);
    let error = &json(&run(&["no-such-verb", "--json"]))[0];
    assert_eq!(error["level"], "error");
}

#[test]
fn the_demo_finds_everything_that_was_acknowledged() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("demo");
    let output = run_at(&directory, "demo", &["--rounds", "2", "--json"]);
    assert_eq!(code(&output), 0, "{}", err(&output));
    let found = json(&output);
    for round in &found[..2] {
        assert_eq!((&round["lost"], &round["doubled"]), (&0.into(), &0.into()));
    }
    assert!(found[2]["acknowledged"].as_u64().unwrap() > 0);
    assert_eq!(found.last().unwrap()["cents"], found[4]["cents"], "rolled back to the middle one of three");
    assert_eq!(code(&run_at(&directory, "demo", &[])), 2, "only in a directory of its own");
}
