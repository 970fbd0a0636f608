//! A dry run of a verb says what the verb would: the same refusals with the same exit codes, and it leaves no trace.
//! Row T26 of docs/requirements.md.

#![cfg(feature = "cli")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by them, also in its helpers")]
#![allow(clippy::disallowed_methods, reason = "files are prepared and damaged from outside")]

use std::path::Path;

use everlog::Store;
use serde_json::json;
use tempfile::TempDir;

mod command_kit;

use command_kit::{code, damage, err, out, place, run_at, tree};

fn file(home: &TempDir, name: &str, text: &str) -> String {
    let path = home.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Tries a verb out and then does it: both must refuse with the same words, and the first must change nothing.
#[track_caller]
fn refused_alike(directory: &Path, verb: &str, rest: &[&str], expected: i32, words: &str) {
    let before = directory.exists().then(|| tree(directory));
    let dry = run_at(directory, verb, &[rest, &["--dry-run"]].concat());
    assert_eq!(directory.exists().then(|| tree(directory)), before, "{verb} leaves no trace");
    assert_eq!(code(&dry), expected, "{verb}: {}{}", out(&dry), err(&dry));
    assert!(err(&dry).contains(words), "{verb}: {}", err(&dry));
    let rest = if verb == "rollback" { [rest, &["--yes"]].concat() } else { rest.to_vec() };
    let wet = run_at(directory, verb, &rest);
    assert_eq!(code(&wet), expected, "{verb}: {}{}", out(&wet), err(&wet));
    assert_eq!(err(&dry), err(&wet), "{verb}");
    assert_eq!(directory.exists(), before.is_some(), "{verb} leaves no empty store behind");
}

#[test]
fn what_is_too_large_is_refused_by_both() {
    let (home, directory) = place();
    let value = format!("\"{}\"", "x".repeat(9 << 20));
    let long = file(&home, "long.json", &format!("{{\"a\": {value}}}"));
    for is_there in [false, true] {
        if is_there {
            assert_eq!(code(&run_at(&directory, "set", &["notes.b", "1"])), 0);
        }
        refused_alike(&directory, "import", &[&long], 2, "8388608");
    }
    // Nine documents of seven megabytes each: each is small enough, all together are not one transaction.
    let value = "x".repeat(7 << 20);
    let members: Vec<String> = (0..10).map(|key| format!("\"{key}\": \"{value}\"")).collect();
    let many = file(&home, "many.json", &format!("{{{}}}", members.join(",")));
    refused_alike(&directory, "import", &[&many], 2, "transaction");
}

#[test]
fn a_path_that_leads_nowhere_is_refused_by_both() {
    let (home, directory) = place();
    for (path, words) in [
        ("notes", "names a collection"),
        ("notes..a", "JSON Pointer"),
        ("$everlog.x", "the store's own"),
        ("notes.a.title.x", "another path"),
        ("notes.log", "series"),
    ] {
        if path == "notes.a.title.x" {
            assert_eq!(code(&run_at(&directory, "set", &["notes.a.title", "1"])), 0);
            let store = Store::open(&directory).unwrap();
            store.series::<u8>("notes.log").push(&1).unwrap();
            store.close().unwrap();
        }
        refused_alike(&directory, "set", &[path, "1"], 2, words);
    }
    refused_alike(&directory, "remove", &["notes.none"], 4, "everlog keys");
    let missing = directory.with_file_name("missing");
    let cut = file(&home, "cut.json", r#"{"a": 1, "b": ["#);
    let refused = run_at(&missing, "import", &[&cut]);
    assert_eq!(code(&refused), 2);
    assert!(err(&refused).contains("--salvage") && !missing.exists(), "{}", err(&refused));
    let taken = file(&home, "notes.json", r#"{"log": 1}"#);
    refused_alike(&directory, "import", &[&taken], 2, "series");
}

#[test]
fn the_limit_of_a_store_is_known_to_both() {
    let (_home, directory) = place();
    let store = Store::options().store_bytes_max(u64::MAX).open(&directory).unwrap();
    let value = "x".repeat(8_000_000);
    for key in 0..34 {
        store.set(everlog::path!("full", key), &value).unwrap();
    }
    // So that opening it each time does not read all of it again.
    store.snapshot().unwrap();
    store.close().unwrap();
    drop(store);
    refused_alike(&directory, "set", &["notes.b", "1"], 3, "268435456");
}

#[test]
fn an_undo_over_the_changes_of_others_is_refused_by_both() {
    let (_home, directory) = place();
    let store = Store::open(&directory).unwrap();
    let editor = store.undo_scope("editor", ["notes"]).unwrap();
    editor.transaction("words", |tx| tx.set("notes.a", "mine")).unwrap();
    store.set("notes.a", "yours").unwrap();
    store.close().unwrap();
    drop((store, editor));
    refused_alike(&directory, "undo", &["editor"], 4, "others have changed");
    refused_alike(&directory, "undo", &["editor", "--redo"], 4, "nothing to redo");
}

#[test]
fn a_damaged_store_is_refused_by_both() {
    let (home, directory) = place();
    for value in ["1", "\"Butter\"", "2"] {
        assert_eq!(code(&run_at(&directory, "set", &["notes.a", value])), 0);
    }
    damage(&directory, "Butter");
    let some = file(&home, "some.json", "{\"a\": 1}");
    for (verb, rest) in
        [("set", &["notes.a", "3"][..]), ("remove", &["notes.a"]), ("import", &[&some]), ("rollback", &["1"])]
    {
        let dry = run_at(&directory, verb, &[rest, &["--dry-run"]].concat());
        assert_eq!(code(&dry), 1, "{verb}: {}{}", out(&dry), err(&dry));
        assert!(err(&dry).contains("everlog verify "), "{}", err(&dry));
    }
}

#[test]
fn what_goes_well_says_what_it_would_change_and_how_much_it_would_write() {
    let (home, directory) = place();
    let output = run_at(&directory, "set", &["notes.a", "1", "--dry-run", "--actor", "ann"]);
    assert_eq!(code(&output), 0, "{}", err(&output));
    assert!(out(&output).contains("a dry run of ") && out(&output).contains(" B"), "{}", out(&output));
    assert!(!directory.exists());
    assert_eq!(code(&run_at(&directory, "set", &["notes.a", "1"])), 0);
    assert_eq!(code(&run_at(&directory, "set", &["notes.b", "2"])), 0);
    let before = tree(&directory);
    let same = run_at(&directory, "set", &["notes.a", "1", "--dry-run"]);
    assert!(out(&same).contains("nothing would change"), "{}", out(&same));
    let steps = command_kit::json(&run_at(&directory, "remove", &["notes", "--dry-run", "--json"]));
    assert_eq!(steps, [json!({"path": "notes.a", "old": 1}), json!({"path": "notes.b", "old": 2})]);
    let some = file(&home, "notes.json", r#"{"b": 2, "c": 3}"#);
    let report = &command_kit::json(&run_at(&directory, "import", &[&some, "--dry-run", "--json"]))[0];
    assert_eq!((&report["added"], &report["unchanged"]), (&json!(1), &json!(1)), "{report}");
    assert_eq!(tree(&directory), before);
}
