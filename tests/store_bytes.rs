//! Bytes as values: they read back as they were set, at every moment, and their chunks go with them.

#![cfg(feature = "store")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is a test")]

mod store_kit;

use everlog::ErrorKind;
use everlog::store::Value;
use serde_json::json;
use store_kit::{reopen, scratch};

fn some(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|place| (place * 31 + seed + place / 251) as u8).collect()
}

#[test]
fn bytes_of_every_size_read_back_also_from_a_snapshot_and_from_the_past() {
    let (directory, mut store) = scratch();
    let sizes = [0, 1, 64 * 1024, 64 * 1024 + 1, 256 * 1024, 1_000_000];
    for size in sizes {
        store.set_bytes(everlog::path!("files", size, "data"), &some(size, 1)).unwrap();
    }
    let before = store.position();
    store.set_bytes("files.1000000.data", &some(300_000, 2)).unwrap();
    for _ in 0..2 {
        for size in &sizes[..5] {
            let path = everlog::path!("files", size, "data");
            assert_eq!(store.get_bytes(&path).unwrap(), Some(some(*size, 1)));
        }
        let mut streamed = Vec::new();
        assert_eq!(store.read_bytes("files.1000000.data", &mut streamed).unwrap(), Some(300_000));
        assert_eq!(streamed, some(300_000, 2));
        let past = store.at(before).unwrap();
        assert_eq!(past.get_bytes("files.1000000.data").unwrap(), Some(some(1_000_000, 1)));
        store.snapshot().unwrap();
        store = reopen(&directory, store);
    }
    assert_eq!(store.get_bytes("files.none").unwrap(), None);
    assert!(store.entry("files.1000000").unwrap().unwrap().value.bytes() < 100, "the document stays small");
    assert_eq!(store.view().collections(), ["files"], "chunks are nobody's collection");
}

#[test]
fn chunks_go_with_their_value_however_it_goes() {
    let (_directory, store) = scratch();
    let large = some(700_000, 1);
    let goes = |what: &str, go: &dyn Fn()| {
        store.set_bytes("a.doc.deep.data", &large).unwrap();
        store.set("a.other", &1).unwrap();
        assert!(store.view().bytes() > 900_000);
        go();
        assert!(store.view().bytes() < 1000, "{what} leaves nothing");
    };
    goes("removing it", &|| _ = store.remove("a.doc.deep.data").unwrap());
    goes("removing what it is in", &|| _ = store.remove("a.doc").unwrap());
    goes("emptying the collection", &|| _ = store.remove("a").unwrap());
    goes("setting something else", &|| _ = store.set("a.doc.deep", &json!({"data": 1})).unwrap());
    goes("a merge patch", &|| _ = store.merge("a.doc", &json!({"deep": null})).unwrap());
    goes("taking the mark away", &|| _ = store.remove("a.doc.deep.data.$bytes").unwrap());
    goes("a merge patch into the mark", &|| {
        store.merge("a.doc.deep.data", &json!({"$bytes": "AA==", "more": 1})).unwrap();
    });
    goes("setting small ones", &|| _ = store.set_bytes("a.doc.deep.data", b"x").unwrap());
    goes("setting and removing at once", &|| {
        store
            .transaction(|tx| {
                tx.set_bytes("a.doc.new", &large)?;
                assert_eq!(tx.get_bytes("a.doc.new")?.as_ref(), Some(&large));
                tx.remove("a.doc")
            })
            .unwrap();
    });
    goes("not getting there", &|| {
        store.remove("a").unwrap();
        store.set("a.text", "x").unwrap();
        let ((), _) = store
            .transaction(|tx| {
                tx.set_bytes("a.text.deeper", &large).expect_err("a text is in the way");
                Ok(())
            })
            .unwrap();
    });
    store.set_bytes("a.doc.data", &large).unwrap();
    store.set("a.doc.beside", &1).unwrap();
    store
        .update("a.doc", |doc: &mut serde_json::Map<String, serde_json::Value>| {
            doc.insert("more".to_owned(), json!(2));
        })
        .unwrap();
    assert_eq!(store.get_bytes("a.doc.data").unwrap(), Some(large), "changes beside it leave it");
}

#[test]
fn equal_bytes_are_not_written_again() {
    let (_directory, store) = scratch();
    for size in [10, 700_000] {
        let first = store.set_bytes("a.b", &some(size, 1)).unwrap();
        assert_eq!(store.set_bytes("a.b", &some(size, 1)).unwrap().position, first.position);
        assert_ne!(store.set_bytes("a.b", &some(size, 2)).unwrap().position, first.position);
    }
}

#[test]
fn what_stands_for_bytes_cannot_be_copied_or_made_up_and_other_values_are_no_bytes() {
    let (_directory, store) = scratch();
    store.set_bytes("a.b", &some(700_000, 1)).unwrap();
    let value: Value = store.get_value("a.b").unwrap().unwrap();
    let made_up = json!({"$bytes": "#9-9 5"});
    for error in [
        store.set("a.c", &value).expect_err("a copy"),
        store.set("a.c", &json!([made_up])).expect_err("made up"),
        store.series::<Value>("a.s").push(&value).expect_err("a copy"),
    ] {
        assert_eq!(error.kind(), &ErrorKind::Input, "{error}");
    }
    store.transaction(|tx| tx.remove("a.b").and_then(|_| tx.set("a.c", &value))).expect("it moves");
    assert_eq!(store.get_bytes("a.c").unwrap(), Some(some(700_000, 1)));
    store.set("a.text", "x").unwrap();
    assert_eq!(store.get_bytes("a.text").expect_err("a text").kind(), &ErrorKind::WrongType);
}

#[test]
fn bytes_come_back_with_a_rollback_also_of_a_part() {
    let (_directory, store) = scratch();
    let large = some(700_000, 1);
    store.set("b.x", &1).unwrap();
    let before = store.set_bytes("a.b", &large).unwrap().position;
    store.set_bytes("a.b", &some(600_000, 2)).unwrap();
    let between = store.position();
    store.remove("a.b").unwrap();
    store.set("b.x", &2).unwrap();
    store.rollback_to(before).unwrap().commit().unwrap();
    assert_eq!(store.get_bytes("a.b").unwrap().as_ref(), Some(&large));
    store.set("b.x", &3).unwrap();
    store.rollback_to(between).unwrap().only(["a"]).unwrap().commit().unwrap();
    assert_eq!(store.get_bytes("a.b").unwrap(), Some(some(600_000, 2)));
    assert_eq!(store.get::<u8>("b.x").unwrap(), Some(3));
    store.remove("a").unwrap();
    assert!(store.view().bytes() < 100);
}

#[test]
fn bytes_come_back_with_an_undo() {
    let (_directory, store) = scratch();
    let scope = store.undo_scope("editor", ["a"]).unwrap();
    scope.transaction("first", |tx| tx.set_bytes("a.b", &some(700_000, 1))).unwrap();
    scope.transaction("second", |tx| tx.set_bytes("a.b", &some(600_000, 2))).unwrap();
    scope.undo().unwrap();
    assert_eq!(store.get_bytes("a.b").unwrap(), Some(some(700_000, 1)));
    scope.redo().unwrap();
    assert_eq!(store.get_bytes("a.b").unwrap(), Some(some(600_000, 2)));
    scope.undo().unwrap();
    scope.undo().unwrap();
    assert_eq!(store.get_bytes("a.b").unwrap(), None);
    assert!(store.view().bytes() < 100);
}

#[test]
fn removing_one_value_never_takes_the_bytes_of_another() {
    let (_directory, store) = scratch();
    let made_up = |ahead: u64| {
        let position = store.position();
        json!({"$bytes": format!("#{}-{} 5", position.epoch.get(), position.lsn.get() + ahead)})
    };
    store.set("notes.x", &1).unwrap();
    let before = store.position();
    for ahead in 0..4 {
        let error = store.set("notes.forged", &made_up(ahead)).expect_err("there are no such bytes");
        assert_eq!(error.kind(), &ErrorKind::Input, "{error}");
        let nested = json!({"a": [{"b": made_up(ahead)}]});
        assert!(store.set("notes.forged", &nested).is_err());
        assert!(store.merge("notes", &json!({"forged": made_up(ahead)})).is_err());
        assert!(store.series::<serde_json::Value>("notes.log").push(&made_up(ahead)).is_err());
    }
    assert!(store.set("notes.x.$bytes", "#1-3 5").is_err());
    assert_eq!(store.position(), before, "nothing was written");
    store.set_bytes("notes.real", &some(100_000, 1)).unwrap();
    store.remove("notes.x").unwrap();
    assert_eq!(store.get_bytes("notes.real").unwrap(), Some(some(100_000, 1)));
}

#[test]
fn bytes_have_other_names_in_every_store_and_at_every_time() {
    let (_one, one) = scratch();
    let (_other, other) = scratch();
    let mut seen = std::collections::BTreeSet::new();
    for store in [&one, &other] {
        for seed in 0..3 {
            store.set_bytes("notes.real", &some(100_000, seed)).unwrap();
            assert!(seen.insert(store.get_value("notes.real").unwrap().unwrap().to_string()), "{seen:?}");
        }
    }
    // A value of one store says nothing in another one.
    let foreign = one.get_value("notes.real").unwrap().unwrap();
    assert_eq!(other.set("notes.foreign", &foreign).expect_err("foreign").kind(), &ErrorKind::Input);
    assert_eq!(other.get_bytes("notes.real").unwrap(), Some(some(100_000, 2)));
}
