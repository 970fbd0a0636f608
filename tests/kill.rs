//! A writer killed at any moment loses nothing that it said was durable: real processes, SIGKILL, real files.

#![cfg(feature = "cli")]
#![allow(clippy::expect_used, reason = "a test fails by them, also in its helpers")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

const ROUNDS: u64 = 8;
const WRITERS: &str = "8";

/// Feeds numbered lines until nobody takes them any more.
fn feed(mut stdin: ChildStdin, round: u64) {
    for number in 0.. {
        if writeln!(stdin, "{round} {number}").is_err() {
            return;
        }
    }
}

/// The numbers that were printed whole.
fn listen(stdout: ChildStdout) -> Vec<u64> {
    let mut reader = BufReader::new(stdout);
    let mut numbers = Vec::new();
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|count| count > 0) && line.ends_with('\n') {
        numbers.push(line.trim_end().parse().expect("a number"));
        line.clear();
    }
    numbers
}

/// Lets `everlog append` run for `life` and kills it; returns what it acknowledged.
fn one_life(directory: &Path, round: u64, life: Duration) -> Vec<u64> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_everlog"))
        .arg("append")
        .arg(directory)
        .args(["--writers", WRITERS])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let (stdin, stdout) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    let feeder = thread::spawn(move || feed(stdin, round));
    let listener = thread::spawn(move || listen(stdout));
    thread::sleep(life);
    child.kill().expect("killed");
    child.wait().expect("gone");
    feeder.join().expect("fed");
    listener.join().expect("heard")
}

#[test]
fn every_number_that_was_printed_is_there_after_the_writer_was_killed() {
    let home = tempfile::tempdir().expect("a directory");
    let directory = home.path().join("journal");
    // From moments in which it still opens to well under way; the primes keep the moments apart.
    let lives = (0..ROUNDS).map(|round| Duration::from_millis(5 + round * 97));
    let mut acknowledged: Vec<u64> = Vec::new();
    let mut before: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for (round, life) in (0..ROUNDS).zip(lives) {
        let heard = one_life(&directory, round, life);
        let fresh = |number: &&u64| before.contains_key(number);
        assert_eq!(heard.iter().find(fresh), None, "a number was given twice");
        acknowledged.extend(heard);
        let journal = everlog::Journal::open(&directory).expect("opens after every kill");
        let mut now = BTreeMap::new();
        for record in journal.records().expect("reads") {
            let record = record.expect("whole");
            now.insert(record.position.lsn.get(), record.payload);
        }
        for number in &acknowledged {
            assert!(now.contains_key(number), "round {round}: record {number} was acknowledged and is gone");
        }
        for (number, payload) in &before {
            assert_eq!(now.get(number), Some(payload), "round {round}: record {number} has changed");
        }
        let mut payloads: Vec<&Vec<u8>> = now.values().collect();
        let all = payloads.len();
        payloads.sort_unstable();
        payloads.dedup();
        assert_eq!(payloads.len(), all, "round {round}: a line is there twice");
        before = now;
        journal.close().expect("closes");
    }
    assert!(acknowledged.len() > 100, "only {} acknowledgements were heard", acknowledged.len());
}
