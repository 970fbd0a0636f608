//! The store as an application uses it: what was set is there, also after reopening and at every earlier moment.

#![cfg(feature = "store")]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::disallowed_methods, reason = "this is a test")]

mod store_kit;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use everlog::store::Value;
use everlog::{ErrorKind, Store, When, path};
use serde::{Deserialize, Serialize};
use store_kit::{quiet, reopen, scratch, scratch_with};

#[test]
fn what_was_set_is_there_after_a_clean_close_and_from_a_snapshot() {
    let (directory, store) = scratch();
    assert!(store.report().created);
    store.set("settings.theme", "dark").unwrap();
    store.set(path!("notes", "a.b/c", "title"), "Milk").unwrap();
    store.set("settings.none", &None::<u8>).unwrap();
    store.set("settings.wide", &u64::MAX).unwrap();
    let check = |store: &Store| {
        assert_eq!(store.get::<String>("settings.theme").unwrap().as_deref(), Some("dark"));
        assert_eq!(store.get_value(r"notes.a\.b/c").unwrap().unwrap().to_string(), r#"{"title":"Milk"}"#);
        assert_eq!(store.get_value("settings.none").unwrap(), Some(Value::Null));
        assert_eq!(store.get::<u64>("settings.wide").unwrap(), Some(u64::MAX));
        assert_eq!(store.keys("settings").unwrap(), ["none", "theme", "wide"]);
        assert!(!store.contains("settings.missing").unwrap());
        assert_eq!(store.view().collections(), ["notes", "settings"]);
    };
    check(&store);
    let store = reopen(&directory, store);
    check(&store);
    store.snapshot().unwrap();
    let store = reopen(&directory, store);
    check(&store);
    store.remove("settings.none").unwrap();
    store.set("settings.theme", "light").unwrap();
    store.snapshot().unwrap();
    let store = reopen(&directory, store);
    assert_eq!(store.keys("settings").unwrap(), ["theme", "wide"], "a removal hides what an older run has");
    assert_eq!(store.get::<String>("settings.theme").unwrap().as_deref(), Some("light"));
}

#[test]
fn an_equal_value_is_not_written_and_is_answered_with_a_durable_position() {
    let (_directory, store) = scratch();
    let first = store.set("a.b.c", &1).unwrap();
    let again = store.set("a.b.c", &1).unwrap();
    assert_eq!(again.position, first.position);
    let ((), receipt) = store
        .transaction(|tx| {
            assert!(tx.set("a.b.c", &2)?);
            assert!(!tx.set("a.b.c", &2)?);
            Ok(())
        })
        .unwrap();
    assert_eq!(receipt.position.lsn.get(), 2);
    assert_eq!(store.position(), receipt.position);
    store.set("a.b.d", &1).unwrap();
    assert_eq!(store.position().lsn.get(), 3);
}

#[test]
fn a_transaction_that_fails_leaves_nothing_and_one_that_succeeds_all() {
    let (_directory, store) = scratch();
    store.set("account.a", &100).unwrap();
    let error = store
        .transaction(|tx| {
            tx.increment("account.a", -60)?;
            tx.increment("account.b", 60)?;
            assert_eq!(tx.get::<i64>("account.b")?, Some(60), "sees its own changes");
            tx.set("account.a.deeper", &1)
        })
        .expect_err("a scalar is in the way");
    assert_eq!(error.kind(), &ErrorKind::WrongType);
    assert!(error.what().contains("account.a"), "{error}");
    assert_eq!(store.get::<i64>("account.a").unwrap(), Some(100));
    assert!(!store.contains("account.b").unwrap());
    let (left, receipt) = store.transaction(|tx| tx.increment("account.a", -60)).unwrap();
    assert_eq!((left, receipt.position.lsn.get()), (40, 2));
}

#[test]
fn every_earlier_moment_reads_as_it_was() {
    let (_directory, store) = scratch();
    let mut positions = Vec::new();
    for number in 0..50 {
        positions.push(store.set(path!("counters", number % 7), &number).unwrap().position);
        if number == 20 {
            store.snapshot().unwrap();
        }
    }
    for (number, position) in positions.iter().enumerate() {
        let view = store.at(*position).unwrap();
        assert_eq!(view.position(), *position);
        assert_eq!(view.get::<usize>(path!("counters", number % 7)).unwrap(), Some(number));
        assert_eq!(view.keys("counters").unwrap().len(), (number + 1).min(7));
    }
    store.pin("before", positions[10], "").unwrap();
    assert_eq!(store.at(When::pin("before")).unwrap().position(), positions[10]);
}

#[test]
fn fields_that_a_type_does_not_know_survive_an_update() {
    #[derive(Default, Serialize, Deserialize)]
    struct Window {
        width: u32,
        #[serde(default)]
        tags: Vec<String>,
    }
    let (_directory, store) = scratch();
    store.set("settings.window", &serde_json::json!({"width": 1, "later": {"x": [1, 2]}})).unwrap();
    let before = store.position();
    store
        .update("settings.window", |window: &mut Window| {
            window.width = 2;
            window.tags.push("new".to_owned());
        })
        .unwrap();
    let value = store.get_value("settings.window").unwrap().unwrap();
    assert_eq!(value.to_string(), r#"{"later":{"x":[1,2]},"tags":["new"],"width":2}"#);
    assert_eq!(store.position().lsn.get(), before.lsn.get() + 2, "one record for each member that differs");
}

/// The files of a store, by name.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let names = directory.read_dir().expect("lists").map(|entry| entry.expect("listed").path());
    names
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), std::fs::read(path).expect("reads")))
        .collect()
}

/// Where and how far the files differ, which must be in one place of one of them.
fn changed(
    before: &BTreeMap<PathBuf, Vec<u8>>,
    after: &BTreeMap<PathBuf, Vec<u8>>,
) -> (PathBuf, Range<usize>) {
    assert!(before.keys().eq(after.keys()), "no file came or went");
    let mut places = after.iter().filter_map(|(name, bytes)| {
        let old = &before[name];
        assert_eq!(old.len(), bytes.len(), "{name:?}");
        let differs = |at: &usize| old[*at] != bytes[*at];
        let first = (0..bytes.len()).find(differs)?;
        let last = (0..bytes.len()).rfind(differs)?;
        Some((name.clone(), first..last + 1))
    });
    let place = places.next().expect("something was written");
    assert_eq!(places.next(), None, "in one file");
    place
}

/// S23, T25: a payload of 50 bytes, and 128 on the disk.
#[test]
fn one_field_of_a_large_document_costs_one_field_in_the_log() {
    let (directory, store) = scratch_with(quiet());
    let path = directory.path().join("store");
    let large: serde_json::Map<String, serde_json::Value> = (0..2500)
        .map(|n| (format!("entry{n:04}"), serde_json::json!({"text": "x".repeat(130), "position": n})))
        .collect();
    store.set("workflows.all", &large).unwrap();
    assert!((400_000..450_000).contains(&store.view().bytes()), "{}", store.view().bytes());
    let mut seen = files(&path);
    let places: Vec<(PathBuf, Range<usize>)> = (1018..1021)
        .map(|n| {
            store.set("workflows.all.entry1017.position", &n).unwrap();
            let before = std::mem::replace(&mut seen, files(&path));
            changed(&before, &seen)
        })
        .collect();
    for (pair, n) in places.windows(2).zip(1018..) {
        let [(file, this), (next_file, next)] = pair else { unreachable!("two") };
        assert_eq!(file, next_file);
        assert!(this.end <= next.start && next.start - this.start <= 128, "{this:?} and then {next:?}");
        let payload = format!(r#"["set","/workflows/all/entry1017/position",{n}]"#);
        assert!(payload.len() <= 50);
        let written = &seen[file][this.clone()];
        assert!(written.windows(payload.len()).any(|bytes| bytes == payload.as_bytes()), "{written:?}");
    }
    let store = reopen(&directory, store);
    assert_eq!(store.get::<u32>("workflows.all.entry1017.position").unwrap(), Some(1020));
}

#[test]
fn calling_the_store_from_inside_its_own_transaction_is_an_error_and_no_deadlock() {
    let (_directory, store) = scratch();
    let error = store.transaction(|_| store.set("a.b", &1).map(|_| ())).expect_err("inside");
    assert_eq!(error.kind(), &ErrorKind::Reentered);
    store.set("a.b", &1).unwrap();
}

#[test]
fn a_path_that_names_no_document_is_refused_and_nothing_is_written() {
    let (_directory, store) = scratch();
    for path in ["settings", "", "a..b"] {
        let error = store.set(path, &1).expect_err(path);
        assert_eq!(error.kind(), &ErrorKind::Input, "{path}");
    }
    assert_eq!(store.position().lsn.get(), 0);
}

#[test]
fn what_is_accepted_can_be_read_back_however_deep_and_whatever_its_keys() {
    let (directory, store) = scratch();
    let nested = |depth: usize| -> Value { ("[".repeat(depth) + &"]".repeat(depth)).parse().unwrap() };
    store.set("a.deep", &nested(everlog::store::DEPTH_MAX)).unwrap();
    store.set("a.half", &nested(400)).unwrap();
    for (path, value) in [("a.half.0.0".to_owned(), 511), (format!("a.long{}", ".x".repeat(300)), 300)] {
        let error = store.set(path.as_str(), &nested(value)).expect_err("too deep");
        assert_eq!(error.kind(), &ErrorKind::Input);
    }
    assert!(store.append("a.list", &nested(everlog::store::DEPTH_MAX), None).is_err());
    // The key under which serde_json hands numbers on among its own.
    let key = "$serde_json::private::Number";
    store.set(path!("a", "token", key), "not a number").unwrap();
    let before = store.get_value("a").unwrap();
    let store = reopen(&directory, store);
    assert_eq!(store.get_value("a").unwrap(), before);
    store.snapshot().unwrap();
    let store = reopen(&directory, store);
    assert_eq!(store.get_value("a").unwrap(), before);
}

#[test]
fn no_name_reaches_into_another_collection() {
    let (_directory, store) = scratch();
    let at = path!("a", "x\0dk");
    store.set(&at, &1).unwrap();
    let alias = path!("a\0dx", "k");
    let long = path!("a".repeat(129), "k");
    for wrong in [&alias, &long] {
        let refused = [
            store.set(wrong, &2).map(drop),
            store.get_value(wrong).map(drop),
            store.remove(wrong).map(drop),
            store.keys(wrong).map(drop),
            store.entry(wrong).map(drop),
            store.history(wrong).map(drop),
            store.watch(wrong).map(drop),
            store.transaction(|tx| tx.contains(wrong)).map(drop),
            store.transaction(|tx| tx.remove(wrong)).map(drop),
        ];
        for refusal in refused {
            assert_eq!(refusal.expect_err("no collection").kind(), &ErrorKind::Input);
        }
    }
    assert_eq!(store.get::<u8>(&at).unwrap(), Some(1));
    assert_eq!(store.keys("a").unwrap(), ["x\0dk"]);
}

#[test]
fn a_patch_makes_a_collection_that_is_not_there_yet() {
    let (_directory, store) = scratch();
    store.merge("settings", &serde_json::json!({"a": 1, "b": {"c": 2}, "d": null})).unwrap();
    assert_eq!(store.get_value("settings").unwrap().unwrap().to_string(), r#"{"a":1,"b":{"c":2}}"#);
    let before = store.position();
    store.merge("empty", &serde_json::json!({})).unwrap();
    assert_eq!(store.position(), before, "nothing differs");
    assert_eq!(store.merge("empty", &1).expect_err("no documents").kind(), &ErrorKind::Input);
    #[derive(Default, Serialize, Deserialize)]
    struct Settings {
        width: u32,
    }
    store.update("other", |settings: &mut Settings| settings.width = 7).unwrap();
    assert_eq!(store.get_value("other").unwrap().unwrap().to_string(), r#"{"width":7}"#);
}
