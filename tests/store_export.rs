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

/// A writer with room for so many bytes.
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

#[test]
fn a_writer_that_fails_is_an_error_and_not_a_short_export() {
    let (_directory, store) = filled();
    let whole = json(&store.view(), "notes", Form::Compact).len();
    for size in 0..whole {
        let error = store.view().export_json("notes", Form::Compact, Small(size)).expect_err("full");
        assert_eq!(error.kind(), &ErrorKind::Full);
    }
    store.view().export_json("notes", Form::Compact, Small(whole)).expect("fits");
}

fn some(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|place| (place * 31 + seed + place / 251) as u8).collect()
}

/// Bytes of all sizes: inside a document, at and over the border, several megabytes, in a list, one after another.
fn with_bytes() -> (tempfile::TempDir, Store, Vec<(everlog::store::Path, Vec<u8>)>) {
    let (directory, store) = scratch();
    let sizes = [0, 3, 64 * 1024, 64 * 1024 + 1, 256 * 1024, 512 * 1024 + 2, 5_000_000];
    let mut all = Vec::new();
    for (seed, size) in sizes.into_iter().enumerate() {
        let at = path!("files", size, "inside", "data");
        store.set_bytes(&at, &some(size, seed)).unwrap();
        all.push((at, some(size, seed)));
    }
    store.set("files.list", &["first", "second"]).unwrap();
    store.set_bytes("files.list.1", &some(100_000, 9)).unwrap();
    all.push((path!("files", "list", 1), some(100_000, 9)));
    store.set("files.beside", "a text").unwrap();
    (directory, store, all)
}

#[track_caller]
fn has_all(store: &Store, all: &[(everlog::store::Path, Vec<u8>)]) {
    for (at, bytes) in all {
        assert_eq!(store.get_bytes(at).unwrap().as_ref(), Some(bytes), "{at}");
    }
    assert!(store.entry("files.5000000").unwrap().unwrap().value.bytes() < 100, "large ones are out of line");
}

/// H62: bytes of any size are in an export, in a form that anybody can read, and an import has them again.
#[test]
fn bytes_are_exported_whole_and_imported_as_bytes() {
    let (_directory, store, all) = with_bytes();
    let read: serde_json::Value =
        serde_json::from_str(&json(&store.view(), "files.65537.inside", Form::Pretty)).unwrap();
    let text = read["data"]["$bytes"].as_str().expect("a text");
    use base64::Engine as _;
    assert_eq!(base64::engine::general_purpose::STANDARD.decode(text).unwrap(), some(65_537, 3));
    let part = json(&store.view(), "files.65537.inside.data.$bytes", Form::Compact);
    assert_eq!(part, format!("{text:?}"), "also where only the text is asked for");

    let exports = [
        (json(&store.view(), "files", Form::Compact), Import::new().as_collection("files")),
        (lines(&store.view(), &[]), Import::new()),
    ];
    for (text, how) in exports {
        let (_other_directory, other) = scratch();
        let report = other.import(text.clone().into_bytes(), &how).unwrap();
        assert_eq!((report.added, report.problem_count), (9, 0));
        has_all(&other, &all);
        assert_eq!(json(&other.view(), "files", Form::Compact), json(&store.view(), "files", Form::Compact));
        let before = other.position();
        let report = other.import(text.clone().into_bytes(), &how.clone().again().dry_run()).unwrap();
        assert_eq!((report.unchanged, report.replaced), (9, 0), "what is there is known again");
        assert_eq!(other.position(), before);
        other.set_bytes("files.list.1", b"x").unwrap();
        let report = other.import(text.into_bytes(), &how.again()).unwrap();
        assert_eq!((report.unchanged, report.replaced), (8, 1));
        has_all(&other, &all);
        other.remove("files").unwrap();
        assert!(other.view().bytes() < 1000, "nothing is left of what was replaced");
    }
}

#[test]
fn bytes_are_exported_as_they_were_at_any_time() {
    let (_directory, store, all) = with_bytes();
    let (then, before) = (store.position(), lines(&store.view(), &[]));
    store.set_bytes("files.5000000.inside.data", &some(600_000, 1)).unwrap();
    store.remove("files.list").unwrap();
    store.snapshot().unwrap();
    assert_ne!(lines(&store.view(), &[]), before);
    assert_eq!(lines(&store.at(then).unwrap(), &[]), before);
    let (_other_directory, other) = scratch();
    other.import(lines(&store.at(then).unwrap(), &[]).into_bytes(), &Import::new()).unwrap();
    has_all(&other, &all);
}

#[test]
fn a_writer_that_fails_among_bytes_is_an_error_and_neither_a_panic_nor_a_short_export() {
    let (_directory, store, _) = with_bytes();
    let whole = json(&store.view(), "files", Form::Compact).len();
    for size in (0..whole).step_by(whole / 40) {
        let error = store.view().export_json("files", Form::Compact, Small(size)).expect_err("full");
        assert_eq!(error.kind(), &ErrorKind::Full);
        let error = store.view().export_lines(&[], Small(size)).expect_err("full");
        assert_eq!(error.kind(), &ErrorKind::Full);
    }
}

#[test]
fn what_only_stands_for_bytes_elsewhere_is_a_problem_of_its_document() {
    let (_directory, store, _) = with_bytes();
    let stands = store.get_value("files.list").unwrap().expect("there");
    let text = format!(r#"{{"list": {stands}, "good": 1}}"#);
    let how = Import::new().as_collection("files");
    let (_other_directory, other) = scratch();
    let error = other.import(text.clone().into_bytes(), &how).expect_err("no bytes");
    assert_eq!(error.kind(), &ErrorKind::Input);
    assert!(error.what().contains("files.list"), "{error}");
    assert_eq!(other.view().collections().len(), 0);
    let report = other.import(text.clone().into_bytes(), &how.clone().dry_run()).unwrap();
    assert_eq!((report.documents, report.problem_count), (1, 1));
    let report = other.import(text.clone().into_bytes(), &how.clone().salvage()).unwrap();
    assert_eq!((report.documents, report.problem_count), (1, 1));
    assert_eq!(json(&other.view(), "files", Form::Compact), r#"{"good":1}"#);
    // In its own store it stands for what is there.
    let report = store.import(text.into_bytes(), &how).unwrap();
    assert_eq!((report.unchanged, report.added), (1, 1));
}
