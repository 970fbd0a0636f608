//! What the model test of the store has found, made small: each was wrong once.

#![cfg(all(feature = "sim", feature = "store"))]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is a test")]

use std::sync::Arc;

use everlog::journal::Background;
use everlog::medium::Sim;
use everlog::medium::sim::Crash;
use everlog::{ErrorKind, Store, Timestamp, When};

fn open(sim: &Sim) -> Store {
    Store::options().background(Background::Inline).open_on(Arc::new(sim.clone())).expect("opens")
}

fn values(store: &Store) -> Vec<u64> {
    let entries = store.series::<u64>("notes.log").range(..).expect("reads");
    entries.into_iter().map(|entry| entry.value).collect()
}

fn at(micros: u64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// T30: the path into a document says nothing of a series that stands in its place.
#[test]
fn a_rollback_of_a_part_of_a_document_leaves_a_series_of_that_name_alone() {
    let store = open(&Sim::new(1));
    let before = store.set("notes.a.x", &1).unwrap().position;
    store.set("notes.a.x", &2).unwrap();
    store.series::<u64>("notes.log").push(&7).unwrap();
    let preview = store.rollback_to(before).unwrap().only(["notes.log.x", "notes.a.x"]).unwrap();
    assert_eq!(preview.changes().len(), 1);
    preview.commit().unwrap();
    assert_eq!((values(&store), store.get("notes.a.x").unwrap()), (vec![7], Some(1)));
    let diff = store.diff(before, When::now()).unwrap().only(["notes.log.x"]).unwrap();
    assert!(diff.changes().unwrap().is_empty());
}

/// E33: clearing a collection clears its series, and undoing it brings them back.
#[test]
fn a_collection_that_was_cleared_in_an_undo_scope_comes_back_with_its_series() {
    let sim = Sim::new(1);
    let mut store = open(&sim);
    store.set("notes.a", &1).unwrap();
    store.series::<u64>("notes.log").push(&7).unwrap();
    for reopened in [false, true] {
        let editor = store.undo_scope("editor", ["notes"]).unwrap();
        editor.transaction("clear", |tx| tx.remove("notes")).unwrap();
        assert!(values(&store).is_empty());
        if reopened {
            store.close().unwrap();
            drop(store);
            store = open(&sim);
        }
        let editor = store.undo_scope("editor", ["notes"]).unwrap();
        editor.undo().unwrap();
        assert_eq!((values(&store), store.get("notes.a").unwrap()), (vec![7], Some(1)));
        editor.redo().unwrap();
        assert!(values(&store).is_empty());
        editor.undo().unwrap();
    }
}

/// J4: nobody declared it relaxed, so it is on the disk when it returns.
#[test]
fn a_pin_before_no_changes_is_durable_when_it_is_there() {
    let sim = Sim::new(1);
    let store = open(&sim);
    let before = store.set("notes.a", &1).unwrap().position;
    let ((), receipt) = store.pin_before("here", |_| Ok(())).unwrap();
    assert_eq!(store.position(), receipt.position);
    for store in [store, open(&sim.crash(Crash::LoseAll))] {
        let pins: Vec<_> = store.pins().into_iter().map(|pin| (pin.name, pin.position)).collect();
        assert_eq!(pins, [("here".to_owned(), before)]);
    }
}

/// H35: a change that is refused leaves the transaction as it was before it.
#[test]
fn a_push_that_was_refused_cuts_nothing() {
    let store = open(&Sim::new(1));
    let log = store.series::<u64>("notes.log");
    store
        .transaction(|tx| {
            tx.set("notes.log", &1)?;
            let refused = tx.push_at(&log.clone().keep_last(1), at(1), &1).expect_err("a document is there");
            assert_eq!(refused.kind(), &ErrorKind::WrongType);
            tx.remove("notes.log")?;
            (1..4).try_for_each(|n| tx.push_at(&log, at(n), &n))
        })
        .unwrap();
    assert_eq!(values(&store), [1, 2, 3]);
}

/// E14: the receipt is that of the whole transaction, also of what keeps bounds in it.
#[test]
fn a_repeated_transaction_that_cut_a_series_gives_its_first_receipt() {
    let sim = Sim::new(1);
    let mut store = open(&sim);
    let push = |store: &Store| {
        let log = store.series::<u64>("notes.log").keep_last(2);
        store.transaction_once("key", |tx| (0..4).try_for_each(|n| tx.push_at(&log, at(n), &n))).unwrap()
    };
    let first = push(&store);
    assert_eq!(first.receipt.position, store.position());
    for _ in 0..2 {
        let again = push(&store);
        assert!(again.repeated && !first.repeated);
        assert_eq!((again.receipt, values(&store)), (first.receipt, vec![2, 3]));
        store.close().unwrap();
        drop(store);
        store = open(&sim);
    }
}
