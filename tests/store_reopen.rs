//! What a store has committed it opens again, whatever is inside of its documents: rules for what may be written as a path
//! are rules of entry, not of what stands in the log.

#![cfg(feature = "store")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is a test")]

use std::path::Path;

use everlog::Store;
use everlog::store::{Migration, Migrations, SEGMENT_BYTES_MAX, Value};

fn scratch() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path());
    (directory, store)
}

fn open(directory: &Path) -> Store {
    Store::open(directory.join("store")).expect("opens")
}

/// An object of which a key is longer than a segment of a path may be.
fn long(number: u32) -> Value {
    let key = "x".repeat(SEGMENT_BYTES_MAX + 1);
    format!(r#"{{"{key}":{{"old":{number}}},"a":1}}"#).parse().unwrap()
}

/// An object so deep that the path to its innermost member has more segments than may be written.
fn deep(number: u32) -> Value {
    let nested = (0..511).fold(number.to_string(), |inner, _| format!(r#"{{"a":{inner},"b":0}}"#));
    nested.parse().unwrap()
}

/// Closes the store and opens it again: it has what it had, also when it is read by its log alone.
fn comes_back(directory: &tempfile::TempDir, store: Store) -> Store {
    let before = store.get_value("c").unwrap();
    assert_eq!(store.at(store.position()).unwrap().get_value("c").unwrap(), before);
    store.close().unwrap();
    drop(store);
    let store = open(directory.path());
    assert_eq!(store.get_value("c").unwrap(), before);
    store.snapshot().unwrap();
    store
}

#[test]
fn a_rollback_of_a_place_that_no_path_may_name_is_read_back() {
    for value in [long, deep] {
        let (directory, store) = scratch();
        let before = store.set("c.k", &value(1)).unwrap().position;
        store.set("c.k", &value(2)).unwrap();
        store.rollback_to(before).unwrap().commit().unwrap();
        assert_eq!(store.get_value("c.k").unwrap(), Some(value(1)));
        comes_back(&directory, store);
    }
}

#[test]
fn an_undo_of_a_place_that_no_path_may_name_is_read_back() {
    for value in [long, deep] {
        let (directory, store) = scratch();
        let scope = store.undo_scope("editor", ["c"]).unwrap();
        scope.transaction("one", |tx| tx.set("c.k", &value(1))).unwrap();
        scope.transaction("two", |tx| tx.set("c.k", &value(2))).unwrap();
        scope.undo().unwrap();
        drop(scope);
        let store = comes_back(&directory, store);
        let scope = store.undo_scope("editor", ["c"]).unwrap();
        scope.redo().unwrap();
        assert_eq!(store.get_value("c.k").unwrap(), Some(value(2)));
    }
}

#[test]
fn a_migration_that_renames_inside_of_a_place_that_no_path_may_name_is_read_back() {
    let (directory, store) = scratch();
    store.set("c.k", &long(1)).unwrap();
    store.close().unwrap();
    drop(store);
    let step = Migration::renaming(1, 0, "names").rename("c.k.*.old", "c.k.*.new");
    let migrations = Migrations::new().add(step);
    let store = Store::options().migrations(migrations).open(directory.path().join("store")).unwrap();
    let found = store.get_value("c.k").unwrap().unwrap();
    let member = found.get(&"x".repeat(SEGMENT_BYTES_MAX + 1)).and_then(|member| member.get("new"));
    assert_eq!(member.and_then(Value::as_u64), Some(1));
    comes_back(&directory, store);
}
