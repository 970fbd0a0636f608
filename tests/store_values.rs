//! A value comes back as what was set, to the bit, and what is nested too deep to be stored is refused, compared, printed
//! and dropped however it was made.

#![cfg(feature = "store")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is a test")]

use std::collections::BTreeMap;

use everlog::store::{Array, Collection, DEPTH_MAX, Object, Value};
use everlog::{ErrorKind, Result, Store, path};
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

#[test]
fn a_float_is_equal_to_what_is_written_alike_and_to_nothing_else() {
    let (_directory, store) = scratch();
    let zero = store.set("n.a", &0.0).unwrap().position;
    let minus = store.set("n.a", &-0.0).unwrap().position;
    assert!(minus > zero, "it is another value, so it is written");
    assert_eq!(store.get_value("n.a").unwrap().unwrap().to_string(), "-0.0");
    assert_eq!(store.set("n.a", &-0.0).unwrap().position, minus);
    assert_ne!("0.0".parse::<Value>().unwrap(), "-0.0".parse().unwrap());
    store.rollback_to(zero).unwrap().commit().unwrap();
    assert_eq!(store.get_value("n.a").unwrap().unwrap().to_string(), "0.0");
}

#[test]
fn maps_read_back_whatever_numbers_their_keys_are() {
    let (_directory, store) = scratch();
    let wide: BTreeMap<u128, u8> = [(0, 1), (u128::MAX, 2)].into();
    let signed: BTreeMap<i128, u8> = [(i128::MIN, 1), (-1, 2)].into();
    store.set("n.wide", &wide).unwrap();
    store.set("n.signed", &signed).unwrap();
    assert_eq!(store.get::<BTreeMap<u128, u8>>("n.wide").unwrap(), Some(wide));
    assert_eq!(store.get::<BTreeMap<i128, u8>>("n.signed").unwrap(), Some(signed));
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Floats(#[serde(with = "pairs")] Vec<(f64, f32)>);
    let floats = Floats(vec![(0.1, 1.5), (-2.5e300, 0.25)]);
    store.set("n.floats", &floats).unwrap();
    assert_eq!(store.get::<Floats>("n.floats").unwrap(), Some(floats));
}

/// Pairs as a map whose keys are floats.
mod pairs {
    use std::fmt;

    use serde::de::{Deserializer, MapAccess, Visitor};
    use serde::ser::Serializer;

    pub(crate) fn serialize<S: Serializer>(pairs: &[(f64, f32)], to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(pairs.iter().copied())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(f64, f32)>, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Vec<(f64, f32)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of floats")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = members.next_entry()? {
                    pairs.push(pair);
                }
                pairs.sort_by(|one: &(f64, f32), other| other.0.total_cmp(&one.0));
                Ok(pairs)
            }
        }
        from.deserialize_map(Pairs)
    }
}

#[test]
fn no_object_is_taken_for_a_number_whatever_its_key() {
    let (_directory, store) = scratch();
    let key = "$serde_json::private::Number";
    store.set(path!("n", "t", key), "5").unwrap();
    let stored = store.get_value("n.t").unwrap().unwrap();
    assert_eq!(stored.get(key).and_then(Value::as_str), Some("5"));
    assert_eq!(store.get::<Value>("n.t").unwrap().as_ref(), Some(&stored));
    assert_eq!(store.get::<Vec<Value>>("n.missing").unwrap(), None);
    assert_eq!(list_of(stored.clone()).read::<Vec<Value>>().unwrap(), std::slice::from_ref(&stored));
    assert_eq!(Value::of(&stored).unwrap(), stored);
}
