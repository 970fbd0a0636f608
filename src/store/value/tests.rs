//! Values: texts round trip, sizes and sums are kept up, changes lead from one value to the other.

#![allow(clippy::expect_used, reason = "this is a test")]

use proptest::prelude::*;

use super::*;

fn value(text: &str) -> Value {
    text.parse().expect("JSON")
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("finite", |float| Number::from_f64(float).map(Value::Number)),
        ".{0,6}".prop_map(|text| Value::from(text.as_str())),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5)
                .prop_map(|list| Value::Array(list.into_iter().collect())),
            proptest::collection::vec(("[a-c0-2]{0,2}", inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_value_is_what_its_text_says_and_knows_the_size_of_it(value in any_value()) {
        let text = value.to_string();
        prop_assert_eq!(text.len() as u64, value.bytes());
        let back: Value = text.parse().expect("own text");
        prop_assert_eq!(&back, &value);
        prop_assert_eq!(back.sum(), value.sum());
        let json: serde_json::Value = value.read().expect("any JSON");
        prop_assert_eq!(Value::of(&json).expect("JSON"), value);
    }

    #[test]
    fn the_changes_from_one_value_to_another_make_it(old in any_value(), new in any_value()) {
        let mut made = old.clone();
        for change in old.changes_to(&new) {
            match change.new {
                Some(value) => made.set_at(&change.path, value).expect("a place"),
                None => {
                    made.remove_at(&change.path).expect("there");
                }
            }
        }
        prop_assert_eq!(made.sum(), new.sum(), "kept up");
        prop_assert_eq!(made.bytes(), new.bytes());
        prop_assert_eq!(made, new);
    }
}

#[test]
fn numbers_are_exact_and_written_as_they_came() {
    for text in ["-9223372036854775808", "18446744073709551615", "0.1", "1e300", "-0.0", "1.0"] {
        let number = value(text);
        assert_eq!(value(&number.to_string()), number, "{text}");
    }
    assert_ne!(value("1"), value("1.0"));
    assert_ne!(value("0.0"), value("-0.0"));
    let (plain, negative) = (value("[null,0.0]"), value("[null,-0.0]"));
    assert_eq!(plain.changes_to(&negative).len(), 1, "the sums differ, so the values do");
}

#[test]
fn nesting_is_bounded_in_text_and_in_types() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert_eq!(value(&nested(DEPTH_MAX)).depth(), DEPTH_MAX);
    for depth in [DEPTH_MAX + 1, 10_000, 1_000_000] {
        let error = nested(depth).parse::<Value>().expect_err("too deep");
        assert!(error.what().contains("nested deeper"), "{error}");
    }
    let mut json = serde_json::Value::Null;
    (0..=DEPTH_MAX).for_each(|_| json = serde_json::Value::Array(vec![json.take()]));
    assert!(Value::of(&json).is_err());
}

#[test]
fn setting_creates_parents_and_refuses_scalars_on_the_way() {
    let mut document = value("{}");
    document.set_at(&["a", "b"], Value::from(1_i64)).expect("creates");
    assert_eq!(document, value(r#"{"a":{"b":1}}"#));
    let fault = document.set_at(&["a", "b", "c"], Value::Null).expect_err("scalar");
    assert_eq!(fault, Fault::Scalar { segments: 2, kind: "a number" });
    let mut list = value(r#"{"l":[1,{"x":2}]}"#);
    list.set_at(&["l", "2"], Value::Null).expect("adds");
    list.set_at(&["l", "1", "x"], Value::from(3_i64)).expect("sets");
    assert_eq!(list, value(r#"{"l":[1,{"x":3},null]}"#));
    let fault = list.set_at(&["l", "9"], Value::Null).expect_err("beyond");
    assert_eq!(fault, Fault::Index { segments: 1, len: 3 });
    assert_eq!(list.remove_at(&["l", "0"]), Some(value("1")));
    assert_eq!(list.remove_at(&["l", "01"]), None, "not an index");
    assert_eq!(list, value(r#"{"l":[{"x":3},null]}"#));
}

#[test]
fn a_merge_patch_follows_the_examples_of_rfc_7396() {
    for (target, patch, expected) in [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
        (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"a":1,"e":null}"#),
        ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
        ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
    ] {
        assert_eq!(value(target).merged(&value(patch)), value(expected), "{target} with {patch}");
    }
}

#[test]
fn types_with_numbers_for_keys_options_and_variants_read_back() {
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    enum Kind {
        Plain,
        Named { x: u8 },
        Pair(u8, u8),
        One(String),
    }
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct All {
        by_number: std::collections::BTreeMap<u32, bool>,
        none: Option<u8>,
        kinds: Vec<Kind>,
        wide: u64,
        float: f32,
        letter: char,
    }
    let all = All {
        by_number: [(7, true), (10, false)].into(),
        none: None,
        kinds: vec![Kind::Plain, Kind::Named { x: 1 }, Kind::Pair(2, 3), Kind::One("one".to_owned())],
        wide: u64::MAX,
        float: 0.1,
        letter: 'ä',
    };
    assert_eq!(Value::of(&all).expect("JSON").read::<All>().expect("the same type"), all);
    let error = value(r#"{"wide":"text"}"#).read::<All>().expect_err("another shape");
    assert_eq!(error.kind(), &crate::error::ErrorKind::WrongType);
}

#[test]
fn what_was_not_seen_stays_also_inside_lists_that_lost_an_element() {
    for (stored, before, after, expected) in [
        (r#"{"a":1,"x":9}"#, r#"{"a":1,"d":[]}"#, r#"{"a":2,"d":[1]}"#, r#"{"a":2,"d":[1],"x":9}"#),
        (
            r#"[{"n":1,"x":1},{"n":2,"x":2},{"n":3,"x":3}]"#,
            r#"[{"n":1},{"n":2},{"n":3}]"#,
            r#"[{"n":1},{"n":3},{"n":4}]"#,
            r#"[{"n":1,"x":1},{"n":3,"x":3},{"n":4}]"#,
        ),
        (
            r#"[{"n":1,"x":1},{"n":2,"x":2},{"n":3,"x":3}]"#,
            r#"[{"n":1},{"n":2},{"n":3}]"#,
            r#"[{"n":1},{"n":3}]"#,
            r#"[{"n":1,"x":1},{"n":3,"x":3}]"#,
        ),
        (r#"{"a":{"b":1}}"#, r#"{"a":{"b":1}}"#, "{}", "{}"),
    ] {
        assert_eq!(value(stored).rebased(&value(before), &value(after)), value(expected), "{stored} {after}");
    }
}
