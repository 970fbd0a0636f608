//! Mirrors: a readable file follows a collection, is always whole, and edits in it are never lost nor taken by themselves (T06).

#![cfg(feature = "store")]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::disallowed_methods, reason = "this is a test")]

mod store_kit;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use everlog::store::{Collection, Import, Mirror, Value};
use everlog::{ErrorKind, Store, path};
use store_kit::{patiently, quiet, scratch, scratch_with, shut};

struct Scene {
    store: Store,
    file: PathBuf,
    directory: tempfile::TempDir,
}

/// A store without threads: a mirror is written when that is asked.
fn scene() -> Scene {
    let (directory, store) = scratch_with(quiet());
    Scene { store, file: directory.path().join("my settings.json"), directory }
}

fn text(file: &Path) -> String {
    std::fs::read_to_string(file).expect("reads")
}

fn documents(file: &Path) -> String {
    let mut value: serde_json::Value = serde_json::from_str(&text(file)).expect("JSON");
    value.as_object_mut().expect("an object").remove("$everlog").expect("a header");
    value.to_string()
}

fn edit(file: &Path, from: &str, to: &str) {
    let old = text(file);
    assert!(old.contains(from), "{old}");
    // An editor takes longer than the clock of a file system is coarse.
    std::thread::sleep(Duration::from_millis(20));
    std::fs::write(file, old.replace(from, to)).expect("writes");
}

fn conflict(mirror: &Mirror) -> String {
    let error = mirror.write().expect_err("refuses");
    assert_eq!(error.kind(), &ErrorKind::Conflict, "{error}");
    assert_eq!(mirror.status().failure.expect("a failure").kind(), &ErrorKind::Conflict);
    error.to_string()
}

#[test]
fn the_file_follows_commits_by_itself_and_shows_the_end_after_a_close() {
    let (directory, store) = scratch();
    let file = directory.path().join("settings.json");
    store.set("settings.theme", "dark").unwrap();
    let mirror = store.mirror("settings", &file).unwrap();
    assert_eq!(documents(&file), r#"{"theme":"dark"}"#);
    for n in 0..50 {
        store.set("settings.n", &n).unwrap();
    }
    let end = store.position();
    patiently("the file does not follow", || documents(&file) == r#"{"n":49,"theme":"dark"}"#);
    assert_eq!(mirror.status().position, Some(end));
    store.set("settings.n", "last").unwrap();
    store.close().unwrap();
    drop(mirror);
    assert_eq!(documents(&file), r#"{"n":"last","theme":"dark"}"#);
    let names = directory.path().read_dir().unwrap().count();
    assert_eq!(names, 2, "nothing lies beside the file and the store");
}

#[test]
fn a_commit_elsewhere_does_not_write_the_file_again() {
    let Scene { store, file, directory: _directory } = scene();
    store.set("settings.a", &1).unwrap();
    let mirror = store.mirror("settings", &file).unwrap();
    let before = text(&file);
    store.set("other.a", &1).unwrap();
    mirror.write().unwrap();
    assert_eq!(text(&file), before);
    store.set("settings.a", &2).unwrap();
    mirror.write().unwrap();
    assert_ne!(text(&file), before);
}

#[test]
fn edits_are_neither_written_over_nor_read_until_somebody_asks() {
    let Scene { store, file, directory: _directory } = scene();
    store.set("settings.a", &1).unwrap();
    store.set("settings.b.x", &1).unwrap();
    store.set("settings.gone", &1).unwrap();
    let mirror = store.mirror("settings", &file).unwrap();
    edit(&file, "\"a\": 1", "\"a\": 5, \"new\": [1]");
    edit(&file, "\"gone\": 1,", "");
    let edited = text(&file);
    store.set("settings.b.x", &2).unwrap();
    assert!(conflict(&mirror).contains("edited"));
    assert_eq!((text(&file), store.get::<u8>("settings.a").unwrap()), (edited, Some(1)));

    let taken = store.import_mirror(&file).unwrap();
    assert_eq!(taken.changed, [path!("settings", "a"), path!("settings", "new")]);
    assert_eq!(taken.removed, [path!("settings", "gone")]);
    let json = r#"{"a":5,"b":{"x":2},"new":[1]}"#;
    assert_eq!(store.get_value("settings").unwrap().unwrap().to_string(), json);
    assert_eq!(documents(&file), json, "the file has what happened meanwhile");
    mirror.write().unwrap();
    assert_eq!(mirror.status().failure.map(|error| error.to_string()), None);
    assert!(store.import_mirror(&file).unwrap().changed.is_empty());
}

#[test]
fn what_both_changed_is_a_conflict_that_changes_nothing() {
    let Scene { store, file, directory: _directory } = scene();
    store.set("settings.a", &1).unwrap();
    store.set("settings.b", &1).unwrap();
    let _mirror = store.mirror("settings", &file).unwrap();
    edit(&file, "\"a\": 1", "\"a\": 5");
    edit(&file, "\"b\": 1", "\"b\": 5");
    store.set("settings.b", &2).unwrap();
    let before = store.position();
    let error = store.import_mirror(&file).expect_err("conflict");
    assert_eq!(error.kind(), &ErrorKind::Conflict);
    assert!(error.what().contains("settings.b") && !error.what().contains("settings.a"), "{error}");
    assert_eq!((store.position(), store.get::<u8>("settings.a").unwrap()), (before, Some(1)));
    store.set("settings.b", &5).unwrap();
    assert_eq!(store.import_mirror(&file).unwrap().changed.len(), 2, "the same change twice is none");
}

#[test]
fn a_file_that_is_something_else_is_left_alone() {
    let Scene { store, file, directory } = scene();
    store.set("settings.a", &1).unwrap();
    for foreign in ["{\"mine\": true}", "not JSON"] {
        std::fs::write(&file, foreign).unwrap();
        let error = store.mirror("settings", &file).expect_err("refuses");
        assert_eq!(error.kind(), &ErrorKind::Conflict);
        assert_eq!(store.import_mirror(&file).expect_err("refuses").kind(), &ErrorKind::Input);
        assert_eq!(text(&file), foreign);
    }
    std::fs::remove_file(&file).unwrap();
    drop(store.mirror("settings", &file).unwrap());
    assert_eq!(store.mirror("other", &file).expect_err("another collection").kind(), &ErrorKind::Conflict);
    assert_eq!(
        store.mirror("settings", directory.path().join("no/such")).expect_err("missing").kind(),
        &ErrorKind::Missing
    );
}

#[test]
fn a_mirror_goes_on_where_an_earlier_one_ended_also_after_edits() {
    let Scene { store, file, directory } = scene();
    store.set("settings.a", &1).unwrap();
    drop(store.mirror("settings", &file).unwrap());
    store.set("settings.a", &2).unwrap();
    shut(store);
    let store = quiet().open(directory.path().join("store")).unwrap();
    let mirror = store.mirror("settings", &file).unwrap();
    assert_eq!(documents(&file), r#"{"a":2}"#);
    drop(mirror);
    edit(&file, "\"a\": 2", "\"a\": 3");
    assert_eq!(store.mirror("settings", &file).expect_err("edited").kind(), &ErrorKind::Conflict);
    store.import_mirror(&file).unwrap();
    store.mirror("settings", &file).unwrap();
    assert_eq!(documents(&file), r#"{"a":3}"#);
}

#[test]
fn documents_called_like_the_header_are_kept_apart_and_a_mirror_can_be_imported_as_a_file() {
    let Scene { store, file, directory: _directory } = scene();
    store.set(path!("settings", "$everlog"), &1).unwrap();
    store.set(path!("settings", "$$everlog"), &2).unwrap();
    let _mirror = store.mirror("settings", &file).unwrap();
    assert!(store.import_mirror(&file).unwrap().changed.is_empty());
    let report = store.import(file.as_path(), &Import::new().as_collection("copy")).unwrap();
    assert!(report.kept_aside.is_some());
    let whole = |collection: &str| store.get_value(collection).unwrap().unwrap();
    assert_eq!(whole("copy"), whole("settings"));
}

#[test]
fn an_edit_is_compared_with_what_is_stored_and_not_with_the_defaults_under_it() {
    let defaults = serde_json::json!({"window": {"width": 1, "height": 2}, "theme": "light"});
    let settings = Collection::new("settings").defaults(&defaults).unwrap();
    let (directory, store) = scratch_with(quiet().collection(settings));
    let file = directory.path().join("settings.json");
    store.set("settings.window.width", &5).unwrap();
    let _mirror = store.mirror("settings", &file).unwrap();
    edit(&file, "\"width\": 5", "\"width\": 6");
    assert_eq!(store.import_mirror(&file).unwrap().changed, [path!("settings", "window")]);
    assert_eq!(documents(&file), r#"{"window":{"width":6}}"#, "no default was written");
    assert_eq!(store.get::<u8>("settings.window.height").unwrap(), Some(2));
    edit(&file, "\"window\": {", "\"theme\": \"dark\", \"window\": {");
    assert_eq!(store.import_mirror(&file).unwrap().changed, [path!("settings", "theme")]);
    edit(&file, "\"theme\": \"dark\",", "");
    assert_eq!(store.import_mirror(&file).unwrap().removed, [path!("settings", "theme")]);
    assert_eq!(store.get::<String>("settings.theme").unwrap().as_deref(), Some("light"));
    store.set("settings.window.width", &7).unwrap();
    edit(&file, "\"width\": 6", "\"width\": 8");
    assert_eq!(store.import_mirror(&file).expect_err("both").kind(), &ErrorKind::Conflict);
}

#[test]
fn what_no_value_can_hold_is_refused_and_what_is_only_nearly_held_is_told() {
    let Scene { store, file, directory: _directory } = scene();
    store.set("settings.a", "\u{fffd}").unwrap();
    store.set("settings.n", &Value::Null).unwrap();
    let mirror = store.mirror("settings", &file).unwrap();
    let written = text(&file);
    for edited in [
        written.replace("null", "1e400"),
        written.replace("null", "[-1e999]"),
        written.replace('\u{fffd}', "\\ud800"),
        written.replace("\"n\"", "\"n\\udfff\""),
    ] {
        assert_ne!(edited, written);
        std::fs::write(&file, &edited).unwrap();
        let error = store.import_mirror(&file).expect_err("refused");
        assert_eq!(error.kind(), &ErrorKind::Input, "{error}");
        // A change of the store does not write over it either.
        store.increment("settings.turn", 1).unwrap();
        conflict(&mirror);
        assert_eq!(text(&file), edited);
    }
    let mut bytes = written.clone().into_bytes();
    let place = written.find('\u{fffd}').unwrap();
    bytes[place] = 0xff;
    std::fs::write(&file, &bytes).unwrap();
    assert_eq!(store.import_mirror(&file).expect_err("no UTF-8").kind(), &ErrorKind::Input);
    assert_eq!(store.get::<String>("settings.a").unwrap().as_deref(), Some("\u{fffd}"));

    let edited = written
        .replace("null", "123456789012345678901234567890, \"b\": {\"c\": 1, \"c\": 2}, \"a\": \"twice\"");
    std::fs::write(&file, edited).unwrap();
    let taken = store.import_mirror(&file).unwrap();
    assert_eq!((taken.numbers.count, taken.duplicates.count), (1, 2), "{taken:?}");
    assert_eq!(taken.changed, [path!("settings", "a"), path!("settings", "b"), path!("settings", "n")]);
    assert_eq!(store.get::<f64>("settings.n").unwrap(), Some(123_456_789_012_345_678_901_234_567_890.0));
}

#[test]
fn two_who_write_the_file_at_once_never_show_half_of_it_and_the_newest_stays() {
    let (directory, store) = scratch();
    let file = directory.path().join("notes.json");
    let filler = "x".repeat(100);
    store
        .transaction(|tx| (0..3_000).try_for_each(|n| tx.set(path!("notes", n), &filler).map(drop)))
        .unwrap();
    let mirror = store.mirror("notes", &file).unwrap();
    for round in 0..12 {
        // As a good editor does it, so that no half is this test's own.
        let edited = text(&file).replacen(&filler, &format!("{round}{filler}"), 1);
        let beside = directory.path().join("edited");
        std::fs::write(&beside, edited).unwrap();
        std::fs::rename(&beside, &file).unwrap();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    assert!(text(&file).ends_with("}\n"), "half of a file");
                }
            });
            let taken = store.import_mirror(&file);
            over.store(true, Ordering::SeqCst);
            let taken = taken.unwrap();
            assert_eq!((taken.changed.len(), taken.file_failure.map(|error| error.to_string())), (1, None));
        });
        store.set("notes.round", &round).unwrap();
        let shown = || documents(&file) == store.get_value("notes").unwrap().unwrap().to_string();
        patiently("the file does not show the newest state", shown);
        assert_eq!(mirror.status().failure.map(|error| error.to_string()), None);
    }
}
