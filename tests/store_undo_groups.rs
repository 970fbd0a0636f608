//! An undo scope and its groups: what bounds displaced comes back with an undo, a group that is stuck can be let go, and
//! finding the groups again reads the log since the oldest of them and no more (E33).

#![cfg(all(feature = "sim", feature = "store"))]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is a test")]

mod store_kit;

use std::time::Duration;

use everlog::medium::Sim;
use everlog::store::{Collection, UndoScope};
use everlog::{ErrorKind, Store, path};
use store_kit::{json, on, quiet, shut};

const SEGMENT: u64 = 16 << 10;

fn open(sim: &Sim) -> Store {
    let recent = Collection::new("recent").keep_last(3).series_keep_last(2);
    let aged = Collection::new("aged").keep_last(3).max_age(Duration::from_secs(60));
    let options = quiet().collection(recent).collection(aged);
    on(options.journal(|journal| journal.segment_bytes(SEGMENT, SEGMENT)), sim)
}

fn group(scope: &UndoScope, label: &str, path: &str, value: impl serde::Serialize) {
    scope.transaction(label, |tx| tx.set(path, &value)).unwrap();
}

fn reopened(store: Store, sim: &Sim) -> Store {
    shut(store);
    open(sim)
}

#[test]
fn what_a_group_displaced_comes_back_with_its_undo_and_goes_with_its_redo() {
    let sim = Sim::new(1);
    let mut store = open(&sim);
    for key in ["a", "b", "c"] {
        store.set(path!("recent", key), &1).unwrap();
    }
    let log = store.series::<u8>("recent.log");
    (0..2).try_for_each(|number| log.push(&number).map(|_| ())).unwrap();
    let entries = |store: &Store| {
        let entries = store.series::<u8>("recent.log").range(..).unwrap();
        entries.iter().map(|entry| entry.value).collect::<Vec<_>>()
    };
    for _ in 0..2 {
        let editor = store.undo_scope("editor", ["recent"]).unwrap();
        if !editor.can_undo() {
            editor
                .transaction("two", |tx| {
                    tx.push(&log, &2)?;
                    (0..9).try_for_each(|key| tx.set(path!("recent", key), &2).map(drop))?;
                    tx.set("recent.c", &2)
                })
                .unwrap();
        }
        let after = json(&store, "recent");
        assert_eq!((after.as_str(), entries(&store)), (r#"{"7":2,"8":2,"c":2}"#, vec![1, 2]));
        editor.undo().unwrap();
        assert_eq!(
            (json(&store, "recent").as_str(), entries(&store)),
            (r#"{"a":1,"b":1,"c":1}"#, vec![0, 1])
        );
        assert_eq!((editor.undo_labels(), editor.redo_labels()), (vec![], vec!["two".to_owned()]));
        store = reopened(store, &sim);
        let editor = store.undo_scope("editor", ["recent"]).unwrap();
        assert_eq!((editor.undo_labels(), editor.redo_labels()), (vec![], vec!["two".to_owned()]));
        editor.redo().unwrap();
        assert_eq!((json(&store, "recent"), entries(&store)), (after, vec![1, 2]));
    }
}

/// What bounds remove stands behind the note of its group in the log, and the stacks that are made of it know.
#[test]
fn the_stacks_are_the_same_after_reopening_also_where_bounds_removed_something() {
    let sim = Sim::new(1);
    let mut store = open(&sim);
    let labels = |store: &Store| {
        let editor = store.undo_scope("editor", ["recent", "files"]).unwrap();
        (editor.undo_labels(), editor.redo_labels())
    };
    {
        let editor = store.undo_scope("editor", ["recent", "files"]).unwrap();
        for key in ["a", "b", "c", "d", "e"] {
            group(&editor, key, &format!("recent.{key}"), 1);
        }
        let log = store.series::<u8>("recent.log");
        for n in 0..4 {
            editor.transaction("entry", |tx| tx.push(&log, &n)).unwrap();
        }
        for n in 0..3 {
            let bytes = vec![n; 100_000];
            editor.transaction("bytes", |tx| tx.set_bytes("files.a", &bytes)).unwrap();
        }
    }
    // Some undone and done again by the session that made them, then each by one that read the log.
    let turn = |store: &Store, is_undo: bool| {
        let editor = store.undo_scope("editor", ["recent", "files"]).unwrap();
        if is_undo { editor.undo() } else { editor.redo() }.unwrap();
    };
    (0..8).for_each(|_| turn(&store, true));
    (0..3).for_each(|_| turn(&store, false));
    for undone in 5..12 {
        let live = labels(&store);
        assert_eq!((live.0.len(), live.1.len()), (12 - undone, undone));
        store = reopened(store, &sim);
        assert_eq!(labels(&store), live, "with {undone} undone");
        turn(&store, true);
    }
    assert_eq!((json(&store, "recent").as_str(), json(&store, "files").as_str()), ("-", "-"));
    for done in 0..12 {
        let live = labels(&store);
        store = reopened(store, &sim);
        assert_eq!(labels(&store), live, "with {done} done again");
        turn(&store, false);
    }
    assert_eq!(json(&store, "recent"), r#"{"c":1,"d":1,"e":1}"#);
    assert_eq!(store.get_bytes("files.a").unwrap(), Some(vec![2; 100_000]));
}

#[test]
fn what_was_displaced_stays_away_where_something_stands_again_or_where_ages_count() {
    let store = open(&Sim::new(1));
    for key in ["a", "b", "c"] {
        store.set(path!("recent", key), &1).unwrap();
        store.set(path!("aged", key), &1).unwrap();
    }
    let editor = store.undo_scope("editor", ["recent", "aged"]).unwrap();
    group(&editor, "displaces a", "recent.d", 1);
    store.remove("recent.b").unwrap();
    store.set("recent.a", &"again").unwrap();
    editor.undo().unwrap();
    assert_eq!(json(&store, "recent"), r#"{"a":"again","c":1}"#, "neither overwritten nor in the way");
    group(&editor, "displaces a", "aged.d", 1);
    editor.undo().unwrap();
    assert_eq!(json(&store, "aged"), r#"{"b":1,"c":1}"#, "what goes for its age must not come back");
    let narrow = store.undo_scope("narrow", ["recent.x", "recent.y"]).unwrap();
    group(&narrow, "fills", "recent.y", 1);
    group(&narrow, "displaces what is not in the scope", "recent.x", 1);
    assert_eq!(json(&store, "recent"), r#"{"a":"again","x":1,"y":1}"#);
    narrow.undo().unwrap();
    assert_eq!(json(&store, "recent"), r#"{"a":"again","y":1}"#);
}

#[test]
fn a_group_that_is_stuck_can_be_let_go_and_stays_away_after_reopening() {
    let sim = Sim::new(1);
    let mut store = open(&sim);
    {
        let editor = store.undo_scope("editor", ["notes"]).unwrap();
        assert_eq!(editor.skip_undo().expect_err("nothing").kind(), &ErrorKind::Absent);
        group(&editor, "one", "notes.a", 1);
        group(&editor, "two", "notes.b", 1);
        group(&editor, "three", "notes.c", 1);
        editor.undo().unwrap();
        store.set("notes.b", &"theirs").unwrap();
        store.set("notes.c", &"theirs").unwrap();
        assert_eq!(editor.undo().expect_err("stuck").kind(), &ErrorKind::Conflict);
        assert_eq!(editor.redo().expect_err("stuck").kind(), &ErrorKind::Conflict);
        editor.skip_undo().unwrap();
        editor.skip_redo().unwrap();
        assert_eq!((editor.undo_labels(), editor.redo_labels()), (vec!["one".to_owned()], vec![]));
    }
    store = reopened(store, &sim);
    let editor = store.undo_scope("editor", ["notes"]).unwrap();
    assert_eq!((editor.undo_labels(), editor.redo_labels()), (vec!["one".to_owned()], vec![]));
    editor.undo().unwrap();
    assert_eq!(json(&store, "notes"), r#"{"b":"theirs","c":"theirs"}"#, "what was let go stays as it is");
}

/// The log before the oldest group is damaged, and nobody notices: it is not read.
#[test]
fn finding_the_groups_again_reads_the_log_since_the_oldest_of_them_and_no_more() {
    const DEPTH: usize = 5;
    let sim = Sim::new(1);
    let store = open(&sim);
    let fill = |store: &Store, name: &str| {
        for number in 0..300 {
            store.set(path!("other", name), &format!("{number} {}", "x".repeat(200))).unwrap();
        }
        store.snapshot().unwrap();
    };
    let segments = |sim: &Sim| sim.files().into_iter().filter(|(name, _)| name.ends_with(".seg")).count();
    {
        let editor = store.undo_scope("editor", ["notes"]).unwrap().depth(DEPTH);
        fill(&store, "before");
        (0..3 * DEPTH).for_each(|number| group(&editor, &format!("old {number}"), "notes.n", number));
        fill(&store, "after");
    }
    let damaged = segments(&sim) - 2;
    {
        let editor = store.undo_scope("editor", ["notes"]).unwrap().depth(DEPTH);
        (0..2 * DEPTH + 1).for_each(|number| group(&editor, &format!("new {number}"), "notes.n", number));
    }
    store.close().unwrap();
    drop(store);
    let names = sim.files().into_iter().filter(|(name, _)| name.ends_with(".seg")).take(damaged);
    names.for_each(|(name, _)| {
        (9000..SEGMENT - 5000).step_by(1000).for_each(|at| sim.flip(&name, at, 0xff).unwrap())
    });
    let store = open(&sim);
    let never = store.undo_scope("never used", ["notes"]).unwrap();
    assert!(!never.can_undo());
    let editor = store.undo_scope("editor", ["notes"]).unwrap();
    let labels = editor.undo_labels();
    assert!((DEPTH..=2 * DEPTH + 1).contains(&labels.len()), "{labels:?}");
    assert!(labels.iter().all(|label| label.starts_with("new")), "{labels:?}");
    (0..DEPTH).try_for_each(|_| editor.undo().map(|_| ())).unwrap();
    assert_eq!(json(&store, "notes.n"), DEPTH.to_string());
}
