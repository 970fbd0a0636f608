//! Exporting: what is written reads back as the same, at any time of the history, and always in the same order (H62, H65).

#![cfg(feature = "store")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is a test")]

mod store_kit;

use std::io::{self, Write};

use everlog::store::{Form, Format, Import};
use everlog::{ErrorKind, Meta, Store, View, path};
use store_kit::{reopen, scratch};

fn json(view: &View, path: &str, form: Form) -> String {
    let mut text = Vec::new();
    view.export_json(path, form, &mut text).expect("exports");
    String::from_utf8(text).expect("text")
}

fn lines(view: &View, collections: &[&str]) -> String {
    let mut text = Vec::new();
    view.export_lines(collections, &mut text).expect("exports");
    String::from_utf8(text).expect("text")
}

fn filled() -> (tempfile::TempDir, Store) {
    let (directory, store) = scratch();
    store.set(path!("notes", "ä\0\u{1F600}", "title"), "a \"quoted\" text\n").unwrap();
    store.set("notes.b", &[1.5, -0.0, 1e300]).unwrap();
    store.set(path!("notes", ""), &u64::MAX).unwrap();
    store.set("a.none", &None::<u8>).unwrap();
    store.with_meta(Meta::new().actor("ann")).set("a.b.c", &i64::MIN).unwrap();
    (directory, store)
}

#[test]
fn a_collection_a_document_and_a_part_of_one_are_written_as_json() {
    let (_directory, store) = filled();
    let view = store.view();
    assert_eq!(json(&view, "a", Form::Compact), r#"{"b":{"c":-9223372036854775808},"none":null}"#);
    assert_eq!(json(&view, "a.b", Form::Compact), r#"{"c":-9223372036854775808}"#);
    assert_eq!(json(&view, "a.b.c", Form::Pretty), "-9223372036854775808");
    assert_eq!(json(&view, "a.b", Form::Pretty), "{\n  \"c\": -9223372036854775808\n}");
    for path in ["none", "a.missing", "a.b.missing"] {
        let error = view.export_json(path, Form::Pretty, io::sink()).expect_err(path);
        assert_eq!(error.kind(), &ErrorKind::Absent, "{path}");
    }
}

#[test]
fn the_past_is_exported_as_it_was() {
    let (_directory, store) = filled();
    let (then, before) = (store.position(), lines(&store.view(), &[]));
    store.set("a.b.c", &0).unwrap();
    store.remove("notes").unwrap();
    assert_eq!(lines(&store.at(then).unwrap(), &[]), before);
    assert_eq!(json(&store.at(then).unwrap(), "a.b.c", Form::Compact), i64::MIN.to_string());
    assert_eq!(lines(&store.view(), &[]).lines().count(), 2);
}

#[test]
fn lines_say_where_each_document_comes_from() {
    let (_directory, store) = filled();
    let text = lines(&store.view(), &["a"]);
    let first: serde_json::Value = serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
    let entry = store.entry("a.b").unwrap().expect("there");
    assert_eq!(first["collection"], "a");
    assert_eq!(first["key"], "b");
    assert_eq!(first["value"]["c"], i64::MIN);
    assert_eq!(first["revision"], entry.revision.to_string());
    assert_eq!(first["time"], entry.time.to_string());
    assert_eq!(first["actor"], "ann");
    let error = store.view().export_lines(&["missing"], io::sink()).expect_err("missing");
    assert_eq!(error.kind(), &ErrorKind::Absent);
}

#[test]
fn what_was_exported_and_imported_exports_as_the_same() {
    let (_directory, store) = filled();
    let view = store.view();
    let (_other_directory, other) = scratch();
    let report = other.import(lines(&view, &[]).into_bytes(), &Import::new()).unwrap();
    assert_eq!((report.format, report.documents, report.problem_count), (Format::Lines, 5, 0));
    for collection in ["a", "notes"] {
        let text = json(&view, collection, Form::Pretty);
        assert_eq!(json(&other.view(), collection, Form::Pretty), text);
        let (_third_directory, third) = scratch();
        third.import(text.into_bytes(), &Import::new().as_collection(collection)).unwrap();
        let compact = json(&third.view(), collection, Form::Compact);
        assert_eq!(compact, json(&view, collection, Form::Compact));
    }
    assert_eq!(other.view().collections(), ["a", "notes"]);
    // A single line of an export is known as one.
    let one = lines(&view, &["a"]).lines().next().expect("a line").to_owned();
    assert_eq!(scratch().1.import(one.into_bytes(), &Import::new()).unwrap().format, Format::Lines);
}

#[test]
fn snapshots_and_reopening_do_not_change_an_export() {
    let (directory, store) = filled();
    let before = lines(&store.view(), &[]);
    store.snapshot().unwrap();
    let store = reopen(&directory, store);
    assert_eq!(lines(&store.view(), &[]), before);
}

#[test]
fn a_writer_that_fails_is_an_error_and_not_a_short_export() {
    struct Small(usize);
    impl Write for Small {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (_directory, store) = filled();
    let whole = json(&store.view(), "notes", Form::Compact).len();
    for size in 0..whole {
        let error = store.view().export_json("notes", Form::Compact, Small(size)).expect_err("full");
        assert_eq!(error.kind(), &ErrorKind::Full);
    }
    store.view().export_json("notes", Form::Compact, Small(whole)).expect("fits");
}
