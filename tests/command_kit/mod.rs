//! What the tests of the command share: running it, and journals to run it on.

#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test file uses its share")]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by them, also in its helpers"
)]
#![allow(clippy::disallowed_methods, reason = "files are prepared and damaged from outside")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A directory that goes with its handle, and where in it a store is to be.
pub fn place() -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().expect("a directory");
    let directory = home.path().join("store");
    (home, directory)
}

pub fn everlog() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_everlog"));
    command.env("NO_COLOR", "1");
    command
}

pub fn run<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Output {
    everlog().args(arguments).stdin(Stdio::null()).output().expect("runs")
}

pub fn run_at(directory: &Path, verb: &str, rest: &[&str]) -> Output {
    everlog().arg(verb).arg(directory).args(rest).stdin(Stdio::null()).output().expect("runs")
}

pub fn start_append(directory: &Path, rest: &[&str]) -> Child {
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

pub fn append(directory: &Path, lines: &str, rest: &[&str]) -> Output {
    let mut child = start_append(directory, rest);
    match child.stdin.take().expect("piped").write_all(lines.as_bytes()) {
        // It was refused before it read anything; its exit code tells.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        written => written.expect("written"),
    }
    child.wait_with_output().expect("ends")
}

pub fn code(output: &Output) -> i32 {
    output.status.code().expect("not killed")
}

pub fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

pub fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

pub fn json(output: &Output) -> Vec<Value> {
    out(output).lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

pub fn lines(count: u32) -> String {
    (1..=count).map(|number| format!("line {number} of several\n")).collect()
}

/// A journal in a directory of its own, with `count` records appended one sync each, so that frames are small.
pub fn journal(count: u32) -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().expect("a directory");
    let directory = home.path().join("journal");
    let journal = everlog::Journal::open(&directory).expect("opens");
    for number in 1..=count {
        journal.append(format!("line {number} of several")).expect("appended");
    }
    journal.close().expect("closes");
    (home, directory)
}

/// A journal of several segments, whose records share syncs.
pub fn long_journal(count: u32) -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().expect("a directory");
    let directory = home.path().join("journal");
    // Small frames, so that a group does not fill a segment of its own.
    let options = everlog::Journal::options().segment_bytes(64 << 10, 64 << 10).frame_bytes_max(4096);
    let journal = options.open(&directory).expect("opens");
    let submit = |number: u32| {
        let transaction = everlog::Transaction::new().record(format!("line {number:0100} of several"));
        journal.submit(&transaction, everlog::Durability::Synced).expect("accepted")
    };
    let tickets: Vec<_> = (1..=count).map(submit).collect();
    for ticket in tickets {
        ticket.wait().expect("appended");
    }
    journal.close().expect("closes");
    (home, directory)
}

pub fn segments(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .expect("lists")
        .map(|entry| entry.expect("listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    paths.sort();
    paths
}

/// Flips a byte of the record that holds `text`; returns the file's name and the byte's offset.
pub fn damage(directory: &Path, text: &str) -> (String, u64) {
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

pub fn tree(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(directory)
        .expect("lists")
        .map(|entry| entry.expect("listed").path())
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), fs::read(&path).expect("reads")))
        .collect();
    files.sort();
    files
}
