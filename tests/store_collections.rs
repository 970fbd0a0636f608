//! Declared collections and typed handles: defaults are read and never written, a type changes only its own fields, and
//! replacing the whole demands that nobody else was faster (E04, E06, T11, T47).

#![cfg(feature = "store")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is a test")]

mod store_kit;

use std::collections::BTreeMap;

use everlog::store::{Collection, StoreOptions, Value};
use everlog::{ErrorKind, Store, path};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store_kit::{json, place, reopen, scratch, scratch_with};

fn defaults() -> Collection {
    let values = json!({"theme": "light", "window": {"w": 1, "h": 2}, "tags": ["a", "b"], "count": 5});
    Collection::new("settings").defaults(&values).unwrap()
}

fn declared() -> StoreOptions {
    Store::options().collection(defaults())
}

#[test]
fn defaults_show_under_what_is_stored_and_are_never_written_by_reading() {
    let (_directory, store) = scratch_with(declared());
    let read = |path: &str| json(&store, path);
    assert_eq!(read("settings.theme"), r#""light""#);
    assert_eq!(read("settings.window"), r#"{"h":2,"w":1}"#);
    assert_eq!(read("settings.tags.1"), r#""b""#);
    assert!(store.contains("settings.window.w").unwrap());
    assert_eq!(store.keys("settings").unwrap(), ["count", "tags", "theme", "window"]);
    assert_eq!(store.entry("settings.theme").unwrap(), None, "a default comes from nowhere");
    store.collection("settings").read::<Value>().unwrap();
    assert_eq!(store.position().lsn.get(), 0, "nothing was written");

    store.set("settings.window.w", &7).unwrap();
    assert_eq!(read("settings.window"), r#"{"h":2,"w":7}"#);
    assert_eq!(store.keys("settings.window").unwrap(), ["h", "w"]);
    store.set("settings.theme", &None::<u8>).unwrap();
    assert_eq!(read("settings.theme"), "null", "a null that is stored wins");
    store.remove("settings.theme").unwrap();
    assert_eq!(read("settings.theme"), r#""light""#, "removing gives the default again");
    store.set("settings.window", &3).unwrap();
    assert_eq!(read("settings.window.h"), "-", "nothing shows below a stored number");
}

#[test]
fn transactions_and_views_of_the_past_see_the_defaults() {
    let (_directory, store) = scratch_with(declared());
    let (sum, first) = store.transaction(|tx| tx.increment("settings.count", 1)).unwrap();
    assert_eq!(sum, 6);
    store
        .transaction(|tx| {
            assert_eq!(tx.get::<String>("settings.theme")?.as_deref(), Some("light"));
            tx.set("settings.theme", "dark")?;
            assert_eq!(tx.get::<String>("settings.theme")?.as_deref(), Some("dark"));
            Ok(())
        })
        .unwrap();
    let past = store.at(first.position).unwrap();
    assert_eq!(past.get::<String>("settings.theme").unwrap().as_deref(), Some("light"));
    assert_eq!(past.keys("settings").unwrap(), ["count", "tags", "theme", "window"]);
}

#[test]
fn a_list_of_the_defaults_is_stored_before_a_part_of_it_changes() {
    let (_directory, store) = scratch_with(declared());
    store.append("settings.tags", "c", None).unwrap();
    assert_eq!(json(&store, "settings.tags"), r#"["a","b","c"]"#);
    store.remove("settings.tags").unwrap();
    store.set("settings.tags.0", "x").unwrap();
    assert_eq!(json(&store, "settings.tags"), r#"["x","b"]"#);
    store.remove("settings.tags").unwrap();
    store.remove("settings.tags.0").unwrap();
    assert_eq!(json(&store, "settings.tags"), r#"["b"]"#);
    store.remove("settings.tags").unwrap();
    store.update("settings.tags", |tags: &mut Vec<String>| tags.push("z".to_owned())).unwrap();
    assert_eq!(json(&store, "settings.tags"), r#"["a","b","z"]"#);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Settings {
    theme: String,
    window: Window,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Window {
    w: u32,
}

#[test]
fn a_typed_collection_writes_only_the_fields_that_changed_and_keeps_those_it_does_not_know() {
    let (directory, store) = scratch_with(declared());
    store.set("settings.later", &json!({"x": 1})).unwrap();
    let settings = store.collection("settings");
    let read: Settings = settings.read().unwrap();
    assert_eq!(read, Settings { theme: "light".to_owned(), window: Window { w: 1 } });
    let before = store.position();
    settings.update(|settings: &mut Settings| settings.window.w = 9).unwrap();
    assert_eq!(store.position().lsn.get(), before.lsn.get() + 1, "one field, one record");
    settings.update(|_: &mut Settings| ()).unwrap();
    assert_eq!(store.position().lsn.get(), before.lsn.get() + 1, "and none for none");
    drop(settings);
    let bare = reopen(&directory, store);
    assert_eq!(json(&bare, "settings"), r#"{"later":{"x":1},"window":{"w":9}}"#, "no default was stored");
}

#[test]
fn replacing_a_whole_collection_from_stale_knowledge_is_a_conflict_and_loses_nothing() {
    let (_directory, store) = scratch();
    for number in 0..100 {
        store.set(path!("workflows", number), &json!({"name": number})).unwrap();
    }
    let workflows = store.collection("workflows");
    let (mut known, position) = workflows.read_at::<BTreeMap<String, Value>>().unwrap();
    store.set("workflows.other", &1).unwrap();
    known.insert("mine".to_owned(), Value::from(true));
    let error = workflows.replace(&known, position).expect_err("stale");
    assert_eq!(error.kind(), &ErrorKind::Conflict, "{error}");
    assert_eq!(store.keys("workflows").unwrap().len(), 101, "nothing was lost");
    assert!(workflows.replace(&1, store.position()).is_err());

    let (mut known, position) = workflows.read_at::<BTreeMap<String, Value>>().unwrap();
    store.set("elsewhere.x", &1).unwrap();
    known.retain(|key, _| key == "17");
    known.insert("mine".to_owned(), Value::from(true));
    workflows.replace(&known, position).expect("nothing in the collection moved");
    assert_eq!(store.keys("workflows").unwrap(), ["17", "mine"]);
    assert_eq!(store.at(position).unwrap().keys("workflows").unwrap().len(), 101, "it is in the history");
    let ahead = everlog::Position::new(position.epoch, everlog::Lsn::new(1 << 40));
    let error = workflows.replace(&known, ahead).expect_err("no such position");
    assert_eq!(error.kind(), &ErrorKind::Conflict);
}

#[test]
fn a_collection_is_replaced_at_the_position_of_a_view_also_when_a_pin_stands_before_it() {
    let (_directory, store) = scratch();
    let workflows = store.collection("workflows");
    store.set("workflows.one", &1).unwrap();
    store.pin("before", everlog::When::now(), "").unwrap();
    let view = store.at(everlog::When::now()).unwrap();
    workflows.replace(&BTreeMap::from([("two", 2)]), view.position()).expect("nothing changed since");
    assert_eq!(store.keys("workflows").unwrap(), ["two"]);
    let ahead = everlog::Position::new(view.position().epoch, store.position().lsn.next());
    let error = workflows.replace(&BTreeMap::from([("three", 3)]), ahead).expect_err("not there yet");
    assert_eq!(error.kind(), &ErrorKind::Conflict);
}

#[test]
fn names_of_the_store_itself_and_impossible_ones_are_refused() {
    let (_directory, path) = place();
    for name in ["", "$everlog", "a\0b"] {
        let options = Store::options().collection(Collection::new(name));
        let error = options.open(&path).expect_err(name);
        assert_eq!(error.kind(), &ErrorKind::Input, "{name:?}");
    }
    assert_eq!(Collection::new("x").defaults(&[1]).expect_err("a list").kind(), &ErrorKind::Input);
    let store = Store::open(&path).unwrap();
    assert_eq!(store.collection("$x").read::<Value>().expect_err("dollar").kind(), &ErrorKind::Input);
    assert_eq!(store.handle::<u8>("a..b").get().expect_err("empty").kind(), &ErrorKind::Input);
}

#[test]
fn a_handle_is_one_path_with_a_type() {
    let (_directory, store) = scratch_with(declared());
    let count = store.handle::<u32>("settings.count");
    assert_eq!(count.get().unwrap(), Some(5));
    count.update(|count| *count += 1).unwrap();
    assert_eq!(count.get().unwrap(), Some(6));
    assert_eq!(count.entry().unwrap().unwrap().revision, store.position());
    count.remove().unwrap();
    assert_eq!(count.get().unwrap(), Some(5));
    store.set("settings.count", "many").unwrap();
    assert_eq!(count.get().expect_err("a text").kind(), &ErrorKind::WrongType);
}
