//! `everlog append`: a number is printed when its line is durable, never earlier, and no line is lost.

#![cfg(feature = "cli")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by them, also in its helpers")]
#![allow(clippy::disallowed_methods, reason = "files are prepared and damaged from outside")]

use std::fs;
use std::io::{BufRead, BufReader, Write};

mod command_kit;

use command_kit::{append, code, err, json, lines, out, run_at, start_append};

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

#[test]
fn a_line_over_the_limit_is_named_and_the_lines_before_it_are_kept() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("lines");
    fs::write(&file, [b"first\n".as_slice(), &vec![b'x'; (16 << 20) + 1], b"\nthird\n"].concat()).unwrap();
    let output = run_at(&home.path().join("new"), "append", &[file.to_str().unwrap()]);
    assert_eq!((code(&output), out(&output).as_str()), (2, "1\n"));
    assert!(err(&output).contains("line 2 of "), "{}", err(&output));
}
