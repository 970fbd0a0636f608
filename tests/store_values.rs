//! What is nested too deep to be stored is refused, compared, printed and dropped however it was made.

#![cfg(feature = "store")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is a test")]

use everlog::store::{Array, Collection, DEPTH_MAX, Object, Value};
use everlog::{ErrorKind, Result, Store};
use serde_json::json;

fn scratch() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path().join("store")).expect("opens");
    (directory, store)
}

fn list_of(value: Value) -> Value {
    Value::Array(Array::from_iter([value]))
}

/// `inner` in lists and objects by turns, so many levels deep.
fn nested(inner: Value, depth: usize) -> Value {
    (0..depth).fold(inner, |inner, level| match level % 2 {
        0 => list_of(inner),
        _ => Value::Object(Object::from_iter([("a", inner)])),
    })
}

#[test]
fn what_was_nested_too_deep_in_memory_is_compared_printed_and_dropped() {
    const DEPTH: usize = 20_000;
    let deep = nested(Value::Null, DEPTH);
    assert_eq!(deep.depth(), DEPTH);
    assert!(deep == nested(Value::Null, DEPTH));
    assert!(deep != nested(Value::from(true), DEPTH));
    assert!(deep != nested(Value::Null, DEPTH - 2));
    let text = deep.to_string();
    assert_eq!(text.len() as u64, deep.bytes());
    assert!(text.starts_with(r#"{"a":[{"a":["#) && text.ends_with("]}]}"));
    assert!(text.parse::<Value>().is_err());
    assert_eq!(format!("{deep:#}"), text, "there is no room to indent it");
    assert_eq!(format!("{deep:?}"), text);
    assert!(serde_json::to_string(&deep).unwrap_err().to_string().contains("nested deeper"));
    // What others still have stays when the rest is dropped.
    let inner = deep.get("a").cloned().unwrap();
    drop(deep);
    assert_eq!(inner.depth(), DEPTH - 1);
    drop(inner);
    drop(nested(Value::Null, 1_000_000));
}

#[test]
fn what_was_nested_too_deep_in_memory_is_refused_and_nothing_is_written() {
    let (_directory, store) = scratch();
    let start = store.set("n.list", &json!([1])).unwrap().position;
    let deep = nested(Value::Null, 10_000);
    store.transaction(|tx| tx.set("n.same", "x")).unwrap();
    let refused: [(&str, Result<()>); 10] = [
        ("set", store.set("n.a", &deep).map(drop)),
        ("set inside", store.set("n.list.0", &deep).map(drop)),
        ("set_value", store.transaction(|tx| tx.set_value("n.a", deep.clone())).map(drop)),
        ("append", store.append("n.list", &deep, None).map(drop)),
        ("merge", store.merge("n.a", &deep).map(drop)),
        ("push", store.series::<Value>("n.s").push(&deep).map(drop)),
        ("replace", store.collection("n").replace(&deep, start).map(drop)),
        ("of", Value::of(&deep).map(drop)),
        ("defaults", Collection::new("n").defaults(&deep).map(drop)),
        ("one level too many", store.set("n.a", &nested(Value::Null, DEPTH_MAX + 1)).map(drop)),
    ];
    for (what, refusal) in refused {
        assert_eq!(refusal.expect_err(what).kind(), &ErrorKind::Input, "{what}");
    }
    assert!(deep.read::<serde_json::Value>().is_err());
    assert!(deep.read::<Value>().is_err());
    assert_eq!(store.keys("n").unwrap(), ["list", "same"]);
    assert_eq!(store.position().lsn, start.lsn.next());
    let most = nested(Value::Null, DEPTH_MAX);
    store.transaction(|tx| tx.set_value("n.a", most.clone())).unwrap();
    assert_eq!(store.get_value("n.a").unwrap(), Some(most));
}

#[test]
fn what_is_no_longer_nested_too_deep_is_a_value_like_any_other() {
    let (_directory, store) = scratch();
    let mut list = Array::from_iter([nested(Value::Null, 10_000)]);
    assert!(list.set(0, Value::from(true)));
    let value = Value::Array(list);
    assert_eq!(value.depth(), 1);
    assert_eq!(value.to_string(), "[true]");
    store.set("n.a", &value).unwrap();
    store.transaction(|tx| tx.set_value("n.b", value.clone())).unwrap();
    assert_eq!(store.get::<Vec<bool>>("n.b").unwrap(), Some(vec![true]));
    assert_eq!(value.read::<Vec<bool>>().unwrap(), [true]);
}
