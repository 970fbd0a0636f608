//! The command as a whole: exit codes, words for what is wrong, help, and what it leaves alone.

#![cfg(feature = "cli")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by them, also in its helpers")]
#![allow(clippy::disallowed_methods, reason = "files are prepared and damaged from outside")]

use std::fs;
use std::io::Write;
use std::process::Stdio;

mod command_kit;

use command_kit::{append, code, damage, err, everlog, journal, json, long_journal, out, run, run_at};

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
    let (_home, directory) = long_journal(3000);
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

#[test]
fn looking_beside_a_busy_writer_finds_no_fault() {
    let (_home, directory) = journal(1);
    let writer = everlog::Journal::open(&directory).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _thread in 0..2 {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    writer.append(b"a record").unwrap();
                    std::thread::sleep(std::time::Duration::from_micros(50));
                }
            });
        }
        let looks: [&[&str]; 4] =
            [&["verify"], &["log", "--limit", "1"], &["inspect"], &["recover", "--dry-run"]];
        let looked =
            looks.iter().cycle().take(16).map(|look| (look, run_at(&directory, look[0], &look[1..])));
        let bad: Vec<_> = looked.filter(|(_, output)| code(output) != 0).collect();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(bad.is_empty(), "{bad:?}");
    });
    writer.close().unwrap();
}
