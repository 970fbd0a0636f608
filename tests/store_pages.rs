//! Lists of bounded size: pages that miss and repeat nothing while others write, and lists that read no values (S14, S28).

#![cfg(feature = "store")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is a test")]

mod store_kit;

use everlog::{ErrorKind, Meta, Store, View, path};
use store_kit::scratch;

fn fill(store: &Store, numbers: std::ops::Range<u32>) {
    store
        .transaction(|tx| {
            numbers.clone().try_for_each(|n| tx.set(path!("notes", format!("n{n:03}")), &n).map(|_| ()))
        })
        .unwrap();
}

/// All keys by pages, of the newest view each.
fn walk(store: &Store, size: Option<usize>, mut between: impl FnMut(&Store, usize)) -> Vec<String> {
    let (mut cursor, mut keys) = (None, Vec::new());
    for number in 0.. {
        let page = store.view().page("notes", size, cursor.as_deref()).unwrap();
        keys.extend(page.items.into_iter().map(|(key, _)| key));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
        between(store, number);
    }
    keys
}

#[test]
fn a_page_has_twenty_documents_and_never_more_than_a_hundred() {
    let (_directory, store) = scratch();
    fill(&store, 0..250);
    let count = |size| store.view().page("notes", size, None).unwrap().items.len();
    assert_eq!([count(None), count(Some(7)), count(Some(0)), count(Some(5000))], [20, 7, 1, 100]);
    let all: Vec<String> = (0..250).map(|n| format!("n{n:03}")).collect();
    for size in [1, 7, 50, 100] {
        assert_eq!(walk(&store, Some(size), |_, _| ()), all);
    }
    store.snapshot().unwrap();
    fill(&store, 250..251);
    assert_eq!(walk(&store, None, |_, _| ()).len(), 251, "over a run and what is newer");
    let page = store.view().page(path!("notes", "n01"), None, None).unwrap();
    assert_eq!((page.items.len(), page.next.is_none()), (10, true), "keys that start with a text");
    assert_eq!(store.view().page("none", None, None).unwrap().items, []);
}

#[test]
fn a_cursor_goes_on_after_the_last_key_whatever_comes_or_goes() {
    let (_directory, store) = scratch();
    fill(&store, 0..60);
    let keys = walk(&store, Some(20), |store, number| {
        // What was seen goes, something comes before, and the key that the cursor stands on goes as well.
        let last = 20 * (number + 1) - 1;
        store.remove(path!("notes", format!("n{last:03}"))).unwrap();
        store.remove("notes.n000").unwrap();
        store.set(path!("notes", format!("a{number}")), &1).unwrap();
    });
    assert_eq!(keys, (0..60).map(|n| format!("n{n:03}")).collect::<Vec<_>>());
}

#[test]
fn a_cursor_of_another_store_or_prefix_or_of_nobody_is_a_clear_error() {
    let (_one, store) = scratch();
    let (_two, other) = scratch();
    fill(&store, 0..60);
    fill(&other, 0..60);
    let cursor = store.view().page("notes", None, None).unwrap().next.unwrap();
    let refused = |view: View, prefix: &str, cursor: &str| {
        let error = view.page(prefix, None, Some(cursor)).expect_err("refused");
        assert_eq!(error.kind(), &ErrorKind::Input);
        error.what().to_owned()
    };
    assert!(refused(other.view(), "notes", &cursor).contains("another store"));
    assert!(refused(store.view(), "notes.n", &cursor).contains("another prefix"));
    assert!(refused(store.view(), "other", &cursor).contains("another prefix"));
    assert!(refused(store.view(), "notes", "guess").contains("not one"));
    assert!(refused(store.view(), "notes.n.deeper", &cursor).contains("into a document"));
    assert!(store.view().list_page("notes", None, Some(&cursor)).is_ok(), "lists and pages share cursors");
}

#[test]
fn a_list_tells_of_documents_without_reading_their_values() {
    let (_directory, store) = scratch();
    let store = store.with_meta(Meta::new().actor("ann"));
    let receipt = store.set("notes.a", "ä\n").unwrap();
    store.snapshot().unwrap();
    store.set("notes.b", &[1, 2]).unwrap();
    let list = store.view().list("notes").unwrap();
    assert_eq!(list.iter().map(|one| one.key.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(list.iter().map(|one| one.bytes).collect::<Vec<_>>(), [6, 5]);
    assert_eq!((list[0].revision, list[0].time), (receipt.position, receipt.time));
    assert_eq!(list[0].actor.as_deref(), Some("ann"));
}

#[test]
fn what_changed_last_comes_first_and_what_changed_between_two_times_is_found() {
    let (_directory, store) = scratch();
    fill(&store, 0..30);
    store.snapshot().unwrap();
    for key in ["n007", "n003", "n020"] {
        store.set(path!("notes", key), &1000).unwrap();
    }
    let from = store.entry("notes.n003").unwrap().unwrap().time;
    let keys = |found: Vec<(String, everlog::store::Entry)>| {
        found.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    assert_eq!(keys(store.view().latest("notes", 4).unwrap()), ["n020", "n003", "n007", "n029"]);
    assert_eq!(keys(store.view().latest(path!("notes", "n00"), 2).unwrap()), ["n003", "n007"]);
    assert!(keys(store.view().latest("notes", 0).unwrap()).is_empty());
    let changed = store.view().changed("notes", from..).unwrap();
    assert!(changed.iter().any(|one| one.key == "n020"));
    assert!(!changed.iter().any(|one| one.key == "n029"));
}

#[test]
fn a_range_of_keys_has_its_ends_as_they_are_said() {
    let (_directory, store) = scratch();
    fill(&store, 0..30);
    store.set("notes.n0051", &1).unwrap();
    let keys = |found: Vec<(String, everlog::store::Entry)>| {
        found.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    let view = store.view();
    assert_eq!(keys(view.range("notes", "n004".."n006").unwrap()), ["n004", "n005", "n0051"]);
    assert_eq!(keys(view.range("notes", "n028"..).unwrap()), ["n028", "n029"]);
    assert_eq!(keys(view.range("notes", "n004"..="n005").unwrap()), ["n004", "n005"]);
    assert_eq!(view.range("notes", ..).unwrap().len(), 31);
    assert_eq!(view.range("notes", "z".."a").unwrap(), []);
    assert_eq!(view.range("notes.a", ..).expect_err("a document").kind(), &ErrorKind::Input);
}

#[test]
fn a_cursor_that_was_made_up_does_not_lead_out_of_its_prefix() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let (_directory, store) = scratch();
    for key in ["alice/1", "alice/2", "bob/1", "bob/2", "carol/1"] {
        store.set(path!("notes", key), key).unwrap();
    }
    let prefix = path!("notes", "bob/");
    let given = store.view().page(&prefix, Some(1), None).unwrap().next.expect("there is more");
    // Version, store and prefix stay; the last key that was seen is another.
    for (last, wanted) in [
        ("", &["bob/1", "bob/2"][..]),
        ("alice/1", &["bob/1", "bob/2"]),
        ("bob/1", &["bob/2"]),
        ("carol", &[]),
    ] {
        let mut bytes = URL_SAFE_NO_PAD.decode(&given).unwrap()[..9].to_vec();
        bytes.extend_from_slice(last.as_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        let forged = URL_SAFE_NO_PAD.encode(bytes);
        let page = store.view().page(&prefix, None, Some(&forged)).unwrap();
        assert_eq!(
            page.items.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(),
            wanted,
            "after {last:?}"
        );
        let list = store.view().list_page(&prefix, None, Some(&forged)).unwrap();
        assert_eq!(
            list.items.iter().map(|one| one.key.as_str()).collect::<Vec<_>>(),
            wanted,
            "after {last:?}"
        );
    }
}
