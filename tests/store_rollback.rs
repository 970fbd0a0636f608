//! Going back is a commit: it is looked at first, leaves alone what is to be left alone, and can be undone.

#![cfg(all(feature = "sim", feature = "store"))]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is a test")]

mod store_kit;

use std::sync::Arc;

use everlog::medium::Sim;
use everlog::store::{PathChange, Value};
use everlog::{ErrorKind, Meta, Store, When, path};
use proptest::prelude::*;
use store_kit::{json, on, quiet, shut};

fn open(sim: &Sim) -> Store {
    on(quiet().not_rolled_back(["tokens", "users.a.secret"]), sim)
}

fn store() -> Store {
    open(&Sim::new(1))
}

fn paths(changes: &[PathChange]) -> Vec<String> {
    changes.iter().map(|change| change.path.to_string()).collect()
}

/// T30, E38, T25: back to any moment; and a rollback of the rollback restores.
#[test]
fn a_rollback_brings_back_what_was_and_a_rollback_of_it_what_was_after() {
    let sim = Sim::new(1);
    let store = open(&sim);
    store.set("settings.a", &serde_json::json!({"x": 1, "list": [1, 2, 3]})).unwrap();
    store.set("settings.gone", &1).unwrap();
    let before = store.position();
    store.set("settings.a.x", &2).unwrap();
    store.append("settings.a.list", &4, None).unwrap();
    store.remove("settings.gone").unwrap();
    store.set("settings.new", &1).unwrap();
    let after = store.position();
    let (old, new) =
        (r#"{"a":{"list":[1,2,3],"x":1},"gone":1}"#, r#"{"a":{"list":[1,2,3,4],"x":2},"new":1}"#);
    assert_eq!(json(&store, "settings"), new);
    let preview = store.with_meta(Meta::new().actor("anna")).rollback_to(before).unwrap();
    assert_eq!((preview.target(), preview.from()), (before, after));
    assert_eq!(
        paths(preview.changes()),
        ["settings.a.list", "settings.a.x", "settings.gone", "settings.new"]
    );
    assert_eq!(store.position(), after, "a preview writes nothing");
    let receipt = preview.commit().unwrap();
    assert_eq!(json(&store, "settings"), old);
    let point = store.timeline().page(1, None).unwrap().points.remove(0);
    assert_eq!((point.position, point.rollback_to), (receipt.position, Some(before)));
    assert_eq!(point.actor(), Some("anna"));
    shut(store);
    let store = open(&sim);
    assert_eq!(json(&store, "settings"), old, "also after reopening");
    store.rollback_to(after).unwrap().commit().unwrap();
    assert_eq!(json(&store, "settings"), new);
    let position = store.position();
    let preview = store.rollback_to(When::now()).unwrap();
    assert!(preview.changes().is_empty());
    preview.commit().unwrap();
    assert_eq!(store.position(), position, "nothing to do is nothing written");
}

#[test]
fn a_rollback_of_some_paths_leaves_the_others_alone() {
    let store = store();
    store.set("settings.a", &serde_json::json!({"x": 1, "y": 1})).unwrap();
    store.set("notes.n", &1).unwrap();
    let before = store.position();
    store.set("settings.a", &serde_json::json!({"x": 2, "y": 2})).unwrap();
    store.remove("notes").unwrap();
    let preview = store.rollback_to(before).unwrap().only(["settings.a.x", "notes.other"]).unwrap();
    assert_eq!(paths(preview.changes()), ["settings.a.x"]);
    preview.commit().unwrap();
    assert_eq!(json(&store, "settings.a"), r#"{"x":1,"y":2}"#);
    assert_eq!(json(&store, "notes"), "-");
    store.remove("settings.a").unwrap();
    store.rollback_to(before).unwrap().only(["settings.a.x"]).unwrap().commit().unwrap();
    assert_eq!(
        json(&store, "settings.a"),
        r#"{"x":1}"#,
        "a part of a document that is gone comes back alone"
    );
    let error = store.rollback_to(before).unwrap().only([] as [&str; 0]).expect_err("no paths");
    assert_eq!(error.kind(), &ErrorKind::Input);
}

/// A place inside a list is what has its number: the elements around it stay, each of them.
#[test]
fn places_of_a_list_are_rolled_back_by_their_numbers_and_the_other_elements_stay() {
    let store = store();
    let long: Vec<u8> = (0..12).collect();
    let back = |target: &[u8], now: &[u8], places: &[usize]| {
        let before = store.set("c.k.list", target).unwrap().position;
        store.set("c.k.list", now).unwrap();
        let places: Vec<_> = places.iter().map(|place| path!("c", "k", "list", place)).collect();
        store.rollback_to(before).unwrap().only(places).unwrap().commit().unwrap();
        json(&store, "c.k.list")
    };
    assert_eq!(back(&[1], &[1, 2, 3, 4], &[1, 2]), "[1,4]");
    assert_eq!(back(&long[..2], &long, &[2, 3, 9, 10]), "[0,1,4,5,6,7,8,11]");
    assert_eq!(back(&long, &long[..9], &[9, 10]), "[0,1,2,3,4,5,6,7,8,9,10]");
    assert_eq!(back(&[7, 8], &[1, 2, 3, 4], &[0, 3]), "[7,2,3]");
}

#[test]
fn places_of_a_list_that_are_not_rolled_back_stay_and_the_elements_behind_them_come_back() {
    let options = Store::options().background(Background::Inline).not_rolled_back(["c.k.1", "c.k.2"]);
    let store = options.open_on(Arc::new(Sim::new(1))).expect("opens");
    let before = store.set("c.k", &[1, 2, 3, 4]).unwrap().position;
    store.set("c.k", &[9]).unwrap();
    store.rollback_to(before).unwrap().commit().unwrap();
    assert_eq!(json(&store, "c.k"), "[1,4]", "neither of the two comes back");
}

/// S32: what moved since the preview is a conflict, and nothing is overwritten; what did not touch it is none.
#[test]
fn a_path_that_moved_since_the_preview_is_a_conflict_and_nothing_is_written() {
    let store = store();
    store.set("settings.a", &serde_json::json!({"x": 1, "y": 1, "list": [1]})).unwrap();
    store.set("settings.b", &1).unwrap();
    let before = store.position();
    store.set("settings.a.x", &2).unwrap();
    store.append("settings.a.list", &2, None).unwrap();
    store.set("settings.b", &2).unwrap();
    for (path, value) in [("settings.a.x", 3), ("settings.b", 3), ("settings.a.list.1", 9)] {
        let preview = store.rollback_to(before).unwrap();
        let stood = json(&store, path);
        store.set(path, &value).unwrap();
        let position = store.position();
        let error = preview.commit().expect_err("moved");
        assert_eq!(error.kind(), &ErrorKind::Conflict);
        assert!(error.what().contains("settings"), "{error}");
        assert_eq!(store.position(), position);
        store.set_value(path, stood.parse::<Value>().unwrap());
    }
    let preview = store.rollback_to(before).unwrap();
    store.set("settings.a.y", &7).unwrap();
    store.set("settings.c", &7).unwrap();
    preview.commit().unwrap();
    assert_eq!(json(&store, "settings"), r#"{"a":{"list":[1],"x":1,"y":7},"b":1,"c":7}"#);
}

/// S32: an element that is somewhere else now is not to be taken for the one that was seen.
#[test]
fn a_list_in_which_others_moved_elements_since_the_preview_is_a_conflict() {
    let store = store();
    let before = store.set("c.k", &serde_json::json!({"list": [0, 5, 7, 9], "n": 1})).unwrap().position;
    store.set("c.k.list.1", &7).unwrap();
    let preview = store.rollback_to(before).unwrap();
    assert_eq!(paths(preview.changes()), ["c.k.list.1"]);
    store.remove("c.k.list.0").unwrap();
    assert_eq!(json(&store, "c.k.list"), "[7,7,9]");
    assert_eq!(preview.commit().expect_err("moved").kind(), &ErrorKind::Conflict);
    assert_eq!(json(&store, "c.k.list"), "[7,7,9]", "nothing was written");
    store.set("c.k.list", &[0, 7, 7, 9]).unwrap();
    let preview = store.rollback_to(before).unwrap();
    store.set("c.k.n", &2).unwrap();
    preview.commit().unwrap();
    assert_eq!(
        json(&store, "c.k"),
        r#"{"list":[0,5,7,9],"n":2}"#,
        "what stands beside the list is another place"
    );
}

trait SetValue {
    fn set_value(&self, path: &str, value: Value);
}

impl SetValue for Store {
    fn set_value(&self, path: &str, value: Value) {
        self.transaction(|tx| tx.set_value(path, value)).unwrap();
    }
}

/// T30 against C10: what is not to be rolled back stays as it is, wherever it stands, and the preview says so.
#[test]
fn what_is_not_rolled_back_stays_and_the_preview_tells_of_it() {
    let store = store();
    store.set("tokens.api", &"old").unwrap();
    store.set("users.a", &serde_json::json!({"name": "A", "secret": "old"})).unwrap();
    let before = store.position();
    store.set("tokens.api", &"new").unwrap();
    store.set("users.a", &serde_json::json!({"name": "B", "secret": "new"})).unwrap();
    let preview = store.rollback_to(before).unwrap();
    assert_eq!(paths(preview.changes()), ["users.a.name"]);
    assert_eq!(paths(preview.kept()), ["tokens.api", "users.a.secret"]);
    preview.commit().unwrap();
    assert_eq!(json(&store, "tokens.api"), r#""new""#);
    assert_eq!(json(&store, "users.a"), r#"{"name":"A","secret":"new"}"#);
    store.rollback_to(everlog::Position::START).unwrap().commit().unwrap();
    assert_eq!(json(&store, "users"), r#"{"a":{"secret":"new"}}"#, "it stays also where its document goes");
    assert_eq!(json(&store, "tokens"), r#"{"api":"new"}"#);
    store.remove("users.a").unwrap();
    store.rollback_to(before).unwrap().commit().unwrap();
    assert_eq!(json(&store, "users.a"), r#"{"name":"A"}"#, "and what was removed is not brought back");
}

/// The limit of a value is for what comes in; what was there may come back.
#[test]
fn a_document_larger_than_one_value_may_be_comes_back() {
    let half = "x".repeat(7_900_000);
    let store = store();
    store.set("c.k.a", &half).unwrap();
    store.set("c.k.b", &1).unwrap();
    let (one, first) = (store.position(), store.get_value("c").unwrap());
    store.set("c.k.a", &1).unwrap();
    store.set("c.k.b", &half).unwrap();
    let (other, second) = (store.position(), store.get_value("c").unwrap());
    store.set("c.k.a", &half[..5_000_000]).unwrap();
    let (whole, third) = (store.position(), store.get_value("c").unwrap());
    store.remove("c.k").unwrap();
    for (position, state) in [(whole, third), (one, first.clone()), (other, second), (one, first)] {
        store.rollback_to(position).unwrap().commit().unwrap();
        assert!(store.get_value("c").unwrap() == state, "the state at {position}");
    }
    let refused =
        store.set("c.k", &[half.as_str(), "more than eight mebibytes in one value", &half[..500_000]]);
    assert!(matches!(refused.expect_err("too large").kind(), ErrorKind::TooLarge { .. }));
}

#[test]
fn a_path_not_to_be_rolled_back_that_leads_nowhere_is_told_at_opening() {
    let error =
        Store::options().not_rolled_back(["a..b"]).open_on(Arc::new(Sim::new(1))).expect_err("no path");
    assert_eq!(error.kind(), &ErrorKind::Input);
}

/// S30, T31: a named moment with what was said about it.
#[test]
fn a_rollback_goes_to_a_pin_and_not_beyond_the_horizon() {
    let store = store();
    store.set("a.n", &1).unwrap();
    store.pin("good", When::now(), "before the update").unwrap();
    let pin = store.pins().remove(0);
    assert_eq!((pin.name.as_str(), pin.note.as_str()), ("good", "before the update"));
    store.set("a.n", &2).unwrap();
    store.rollback_to(When::pin("good")).unwrap().commit().unwrap();
    assert_eq!(json(&store, "a.n"), "1");
    assert_eq!(store.rollback_to(When::pin("bad")).expect_err("none").kind(), &ErrorKind::Absent);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happened, a rollback to any moment gives the state of that moment.
    #[test]
    fn a_rollback_to_any_moment_gives_the_state_of_that_moment(
        steps in proptest::collection::vec((0..5_u8, 0..3_u8, 0..9_u8), 1..40), jumps in proptest::collection::vec(0..40_usize, 1..4),
    ) {
        let store = store();
        let mut states = vec![(store.position(), json(&store, "c"))];
        for (key, member, value) in steps {
            match value {
                0 => drop(store.remove(path!("c", key)).unwrap()),
                1 => drop(store.snapshot().unwrap()),
                2 => drop(store.set(path!("c", key), &[member])),
                3 => drop(store.append(path!("c", key), &member, Some(3))),
                _ => drop(store.set(path!("c", key, member), &value)),
            }
            states.push((store.position(), json(&store, "c")));
        }
        for jump in jumps {
            let (position, state) = states[jump % states.len()].clone();
            store.rollback_to(position).unwrap().commit().unwrap();
            prop_assert_eq!(json(&store, "c"), state.clone());
            states.push((store.position(), state));
        }
    }
}
