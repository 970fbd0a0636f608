//! An undo scope takes back what was done through it, in order, and never what others did (E33).

#![cfg(all(feature = "sim", feature = "store"))]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is a test")]

mod store_kit;

use std::time::Duration;

use everlog::journal::Retention;
use everlog::medium::Sim;
use everlog::store::UndoScope;
use everlog::{ErrorKind, Store, path};
use proptest::prelude::*;
use store_kit::{clock, clocked, json};

fn store() -> Store {
    clocked(&Sim::new(1), &clock())
}

fn group(scope: &UndoScope, label: &str, path: &str, value: impl serde::Serialize) {
    scope.transaction(label, |tx| tx.set(path, &value)).unwrap();
}

#[test]
fn groups_are_undone_newest_first_and_done_again_in_turn() {
    let store = store();
    let editor = store.undo_scope("editor", ["notes"]).unwrap();
    assert!(!editor.can_undo() && !editor.can_redo());
    assert_eq!(editor.undo().expect_err("nothing").kind(), &ErrorKind::Absent);
    group(&editor, "one", "notes.a", serde_json::json!({"title": "Milk", "tags": [1]}));
    editor
        .transaction("two", |tx| {
            tx.append("notes.a.tags", &2, None)?;
            tx.append("notes.a.tags", &3, None)?;
            tx.remove("notes.a.title")?;
            tx.set("notes.b", &1)
        })
        .unwrap();
    let (one, two) = (r#"{"a":{"tags":[1],"title":"Milk"}}"#, r#"{"a":{"tags":[1,2,3]},"b":1}"#);
    assert_eq!((json(&store, "notes").as_str(), editor.undo_label().as_deref()), (two, Some("two")));
    assert_eq!(editor.undo_labels(), ["two", "one"]);
    editor.undo().unwrap();
    assert_eq!(json(&store, "notes"), one);
    assert_eq!((editor.undo_label().as_deref(), editor.redo_label().as_deref()), (Some("one"), Some("two")));
    editor.undo().unwrap();
    assert_eq!(json(&store, "notes"), "-");
    assert_eq!(editor.redo_labels(), ["one", "two"]);
    editor.redo().unwrap();
    editor.redo().unwrap();
    assert_eq!(json(&store, "notes"), two);
    editor.undo().unwrap();
    group(&editor, "three", "notes.c", 1);
    assert!(!editor.can_redo(), "what is new takes the place of what could be done again");
    let point = store.timeline().page(1, None).unwrap().points.remove(0);
    assert_eq!(point.label.as_deref(), Some("three"));
    let nothing = editor.transaction("nothing", |tx| tx.set("notes.c", &1)).unwrap();
    assert!(!nothing.0);
    assert_eq!(editor.undo_label().as_deref(), Some("three"), "what changes nothing is no group");
}

/// A path that others have changed since is a conflict; what they changed beside it is not.
#[test]
fn what_others_changed_since_is_never_overwritten() {
    let store = store();
    store.set("notes.a", &serde_json::json!({"x": 1, "y": 1})).unwrap();
    let (editor, other) =
        (store.undo_scope("editor", ["notes"]).unwrap(), store.undo_scope("other", ["notes"]).unwrap());
    group(&editor, "x", "notes.a.x", 2);
    group(&other, "y", "notes.a.y", 2);
    editor.undo().unwrap();
    assert_eq!(json(&store, "notes.a"), r#"{"x":1,"y":2}"#, "beside it");
    store.set("notes.a.x", &9).unwrap();
    let position = store.position();
    let error = editor.redo().expect_err("moved");
    assert_eq!(error.kind(), &ErrorKind::Conflict);
    assert!(error.what().contains("notes.a.x"), "{error}");
    store.set("notes.a.y", &9).unwrap();
    assert_eq!(other.undo().expect_err("moved").kind(), &ErrorKind::Conflict);
    assert_eq!(
        (position.lsn.next(), json(&store, "notes.a")),
        (store.position().lsn, r#"{"x":9,"y":9}"#.into())
    );
    assert!(other.can_undo() && editor.can_redo(), "both stay where they are");
    group(&editor, "whole", "notes.b", serde_json::json!({"x": 1}));
    store.set("notes.b.added", &1).unwrap();
    assert_eq!(editor.undo().expect_err("has something new in it").kind(), &ErrorKind::Conflict);
    store.remove("notes.b.added").unwrap();
    editor.undo().unwrap();
    assert_eq!(json(&store, "notes.b"), "-");
}

/// An element that is somewhere else now is not to be taken for that of the group.
#[test]
fn a_list_in_which_others_moved_elements_is_a_conflict_and_nothing_is_overwritten() {
    let store = store();
    store.set("c.k", &serde_json::json!({"list": [0, 5, 7, 9], "n": 1})).unwrap();
    let editor = store.undo_scope("editor", ["c"]).unwrap();
    group(&editor, "seven", "c.k.list.1", 7);
    store.remove("c.k.list.0").unwrap();
    assert_eq!(editor.undo().expect_err("moved").kind(), &ErrorKind::Conflict);
    assert_eq!(json(&store, "c.k.list"), "[7,7,9]");
    store.set("c.k.list", &serde_json::json!({"1": 7})).unwrap();
    assert_eq!(editor.undo().expect_err("no list").kind(), &ErrorKind::Conflict);
    store.set("c.k.list", &[0, 7, 7, 9]).unwrap();
    store.set("c.k.n", &2).unwrap();
    editor.undo().unwrap();
    assert_eq!(
        json(&store, "c.k"),
        r#"{"list":[0,5,7,9],"n":2}"#,
        "what stands beside the list is another place"
    );
    store.transaction(|tx| Ok((tx.remove("c.k.list.0")?, tx.append("c.k.list", &0, None)?))).unwrap();
    assert_eq!(editor.redo().expect_err("moved").kind(), &ErrorKind::Conflict);
    assert_eq!(json(&store, "c.k.list"), "[5,7,9,0]");
}

#[test]
fn a_scope_of_one_place_in_a_list_brings_the_whole_list_back_that_it_changed() {
    let store = store();
    store.set("c.k.list", &["a", "b", "c"]).unwrap();
    let editor = store.undo_scope("editor", ["c.k.list.1"]).unwrap();
    editor.transaction("takes b out", |tx| tx.remove("c.k.list.1")).unwrap();
    assert_eq!(json(&store, "c.k.list"), r#"["a","c"]"#);
    editor.undo().unwrap();
    assert_eq!(json(&store, "c.k.list"), r#"["a","b","c"]"#);
    editor.redo().unwrap();
    assert_eq!(json(&store, "c.k.list"), r#"["a","c"]"#);
    let other = store.undo_scope("editor", ["c.k.list", "c.k.n"]).unwrap();
    group(&other, "n", "c.k.n", 1);
    let error = editor.undo().expect_err("not of this handle");
    assert_eq!(error.kind(), &ErrorKind::Input);
    other.undo().unwrap();
    editor.undo().unwrap();
    assert_eq!(json(&store, "c.k"), r#"{"list":["a","b","c"]}"#);
}

#[test]
fn paths_outside_the_scope_are_refused_and_nothing_is_written() {
    let store = store();
    let editor = store.undo_scope("editor", ["notes.a", "notes.b.text"]).unwrap();
    for path in ["other.a", "notes.c", "notes.b", "notes.b.other"] {
        let position = store.position();
        let refused = editor.transaction("outside", |tx| {
            tx.set("notes.a.x", &1)?;
            tx.set(path, &1)
        });
        assert_eq!(refused.expect_err(path).kind(), &ErrorKind::Input);
        assert_eq!((store.position(), editor.can_undo()), (position, false));
    }
    group(&editor, "inside", "notes.b.text", "hello");
    editor.undo().unwrap();
    assert_eq!(json(&store, "notes.b"), "{}");
    for (name, prefixes) in [("", vec!["a"]), ("x", vec![]), ("x", vec!["a..b"])] {
        assert_eq!(store.undo_scope(name, prefixes).expect_err(name).kind(), &ErrorKind::Input);
    }
}

/// The limit of a value is for what comes in; what was there may come back.
#[test]
fn a_document_larger_than_one_value_may_be_comes_back() {
    let options = Store::options().background(Background::Inline).value_bytes_max(1000);
    let store = options.open_on(Arc::new(Sim::new(1))).expect("opens");
    store.set("c.k.a", &"a".repeat(700)).unwrap();
    store.set("c.k.b", &"b".repeat(700)).unwrap();
    let before = json(&store, "c");
    let editor = store.undo_scope("editor", ["c"]).unwrap();
    editor.transaction("takes it out", |tx| tx.remove("c.k")).unwrap();
    editor.undo().unwrap();
    assert_eq!(json(&store, "c"), before);
    let refused = store.set("c.l", &"a".repeat(1001)).expect_err("too large");
    assert!(matches!(refused.kind(), ErrorKind::TooLarge { .. }));
}

/// The stack survives reopening, undos and redos included, as far back as history is kept.
#[test]
fn the_stack_is_the_same_after_reopening() {
    let (sim, clock) = (Sim::new(1), clock());
    let store = clocked(&sim, &clock);
    let editor = store.undo_scope("editor", ["notes"]).unwrap();
    for number in 0..6 {
        group(&editor, &format!("group {number}"), "notes.n", number);
        store.set("other.n", &number).unwrap();
        store
            .undo_scope("another", ["other"])
            .unwrap()
            .transaction("x", |tx| tx.set("other.m", &number))
            .unwrap();
    }
    for _ in 0..3 {
        editor.undo().unwrap();
    }
    editor.redo().unwrap();
    store.snapshot().unwrap();
    let labels = |editor: &UndoScope| (editor.undo_labels(), editor.redo_labels());
    let expected = labels(&editor);
    assert_eq!((expected.0.len(), expected.1.len()), (4, 2));
    store.close().unwrap();
    drop((store, editor));
    let store = clocked(&sim, &clock);
    let editor = store.undo_scope("editor", ["notes"]).unwrap();
    assert_eq!(labels(&editor), expected);
    editor.redo().unwrap();
    editor.redo().unwrap();
    assert_eq!(json(&store, "notes.n"), "5");
    for number in (0..5).rev() {
        editor.undo().unwrap();
        assert_eq!(json(&store, "notes.n"), number.to_string());
    }
    editor.undo().unwrap();
    assert_eq!(json(&store, "notes.n"), "-");
}

#[test]
fn what_the_history_no_longer_has_cannot_be_undone_after_reopening() {
    let (sim, clock) = (Sim::new(1), clock());
    let store = clocked(&sim, &clock);
    let editor = store.undo_scope("editor", ["notes"]).unwrap();
    group(&editor, "old", "notes.old", 1);
    for number in 0..2000 {
        store.set("other.n", &number).unwrap();
        clock.advance(Duration::from_secs(60));
    }
    group(&editor, "young", "notes.young", 1);
    store.compact(&Retention::forever().age(Duration::from_secs(3600))).unwrap();
    assert_eq!(editor.undo_labels(), ["young", "old"], "in this session it is remembered");
    store.close().unwrap();
    drop((store, editor));
    let editor = clocked(&sim, &clock).undo_scope("editor", ["notes"]).unwrap();
    assert_eq!(editor.undo_labels(), ["young"]);
    editor.undo().unwrap();
    assert!(!editor.can_undo());
}

#[test]
fn no_more_groups_are_kept_than_the_depth_allows_and_all_handles_share_them() {
    let store = store();
    let editor = store.undo_scope("editor", ["notes"]).unwrap().depth(3);
    for number in 0..5 {
        group(&editor, &format!("group {number}"), "notes.n", number);
    }
    let same = store.undo_scope("editor", ["notes"]).unwrap();
    assert_eq!(same.undo_labels(), ["group 4", "group 3", "group 2"]);
    while same.can_undo() {
        same.undo().unwrap();
    }
    assert_eq!(json(&store, "notes.n"), "1");
    let inside = store.transaction(|_| editor.undo().map(drop)).expect_err("inside");
    assert_eq!(inside.kind(), &ErrorKind::Reentered);
    editor.transaction("looks at itself", |tx| tx.set("notes.m", &editor.can_redo())).unwrap();
    assert_eq!(json(&store, "notes.m"), "true");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Undoing everything gives the state before, doing everything again the state after, reopened or not.
    #[test]
    fn undoing_all_and_doing_all_again_comes_back_to_the_same(
        groups in proptest::collection::vec(
            proptest::collection::vec((0..3_u8, 0..3_u8, 0..6_u8), 1..4), 1..12), reopen in any::<bool>(),
    ) {
        let (sim, clock) = (Sim::new(1), clock());
        let mut store = clocked(&sim, &clock);
        store.set("c.0", &serde_json::json!({"0": 1, "1": [1, 2]})).unwrap();
        let mut editor = store.undo_scope("editor", ["c"]).unwrap();
        let mut states = vec![json(&store, "c")];
        for group in groups {
            let (changed, _) = editor.transaction("group", |tx| {
                for (key, member, value) in group {
                    match value {
                        0 => drop(tx.remove(path!("c", key))),
                        1 => drop(tx.append(path!("c", key, member), &value, Some(2))),
                        2 => drop(tx.remove("c")),
                        _ => drop(tx.set(path!("c", key, member), &value)),
                    }
                }
                Ok(())
            }).map(|(_, receipt)| ((), receipt)).unwrap();
            let () = changed;
            let now = json(&store, "c");
            if editor.undo_labels().len() == states.len() {
                states.push(now);
            }
        }
        if reopen {
            store.close().unwrap();
            drop((store, editor));
            store = clocked(&sim, &clock);
            editor = store.undo_scope("editor", ["c"]).unwrap();
        }
        for state in states.iter().rev().skip(1) {
            editor.undo().unwrap();
            prop_assert_eq!(&json(&store, "c"), state);
        }
        prop_assert!(!editor.can_undo());
        for state in states.iter().skip(1) {
            editor.redo().unwrap();
            prop_assert_eq!(&json(&store, "c"), state);
        }
    }
}
