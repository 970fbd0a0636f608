//! Importing: nothing of a file is lost or changed without being told, and all of it comes in or nothing (E48, H46).

#![cfg(feature = "store")]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::disallowed_methods, reason = "this is a test")]

use everlog::store::{Format, Import, ImportReport, Value};
use everlog::{ErrorKind, Store, path};

fn scratch() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path().join("store")).expect("opens");
    (directory, store)
}

fn import(store: &Store, text: &str, how: &Import) -> everlog::Result<ImportReport> {
    store.import(text.as_bytes(), how)
}

fn whole(store: &Store, collection: &str) -> String {
    store.get_value(collection).unwrap().map_or("nothing".to_owned(), |value| value.to_string())
}

#[test]
fn each_member_of_a_file_is_a_document_of_the_collection_called_like_it() {
    let (directory, store) = scratch();
    let file = directory.path().join("settings.json");
    let text = "\u{feff}{\n  \"theme\": \"dark\", \"a.b\": {\"c\": [1, 2.50]}, \"\": null, \"__proto__\": 18446744073709551615 }\n";
    std::fs::write(&file, text).unwrap();
    let report = store.import(file.as_path(), &Import::new()).unwrap();
    assert_eq!((report.format, report.documents, report.added), (Format::Json, 4, 4));
    assert_eq!(report.collections["settings"].documents, 4);
    assert_eq!((report.source_bytes, report.problem_count), (text.len() as u64, 0));
    let json = r#"{"":null,"__proto__":18446744073709551615,"a.b":{"c":[1,2.5]},"theme":"dark"}"#;
    assert_eq!(whole(&store, "settings"), json);
    assert_eq!(store.get::<f64>(path!("settings", "a.b", "c", 1)).unwrap(), Some(2.5));
    store.close().unwrap();
    drop(store);
    let store = Store::open(directory.path().join("store")).unwrap();
    assert_eq!(whole(&store, "settings"), json, "and so it is read back");
    assert_eq!(store.view().collections(), ["settings"], "the store's own collection is not listed");
}

#[test]
fn the_same_source_imported_again_changes_nothing_and_says_so() {
    let (_directory, store) = scratch();
    let how = Import::new().as_collection("c");
    let first = import(&store, r#"{"a": 1, "b": 2}"#, &how).unwrap();
    let receipt = first.receipt.expect("a receipt");
    store.set("c.a", &7).unwrap();
    let before = store.position();
    let again = import(&store, r#"{"a": 1, "b": 2}"#, &how).unwrap();
    assert_eq!(again.already_imported.expect("known").0.lsn, receipt.position.lsn);
    assert_eq!(again.hash, first.hash);
    assert_eq!((store.position(), whole(&store, "c").as_str()), (before, r#"{"a":7,"b":2}"#));

    let forced = import(&store, r#"{"a": 1, "b": 2}"#, &how.clone().again()).unwrap();
    assert_eq!((forced.already_imported, forced.replaced, forced.unchanged), (None, 1, 1));
    let other = import(&store, r#"{"a": 1, "b": 2}"#, &Import::new().as_collection("d")).unwrap();
    assert_eq!((other.already_imported, other.added), (None, 2), "elsewhere it is new");
}

#[test]
fn equal_bytes_that_go_elsewhere_or_are_read_otherwise_are_another_import() {
    let (directory, store) = scratch();
    let text = r#"{"1": {"name": "x"}}"#;
    for name in ["users", "teams"] {
        let file = directory.path().join(format!("{name}.json"));
        std::fs::write(&file, text).unwrap();
        let report = store.import(&file, &Import::new()).unwrap();
        assert_eq!((report.already_imported, report.added), (None, 1), "{name}");
        let again = store.import(&file, &Import::new()).unwrap();
        assert!(again.already_imported.is_some(), "{name} again");
        let named = import(&store, text, &Import::new().as_collection(name)).unwrap();
        assert!(named.already_imported.is_some(), "{name} is where it went, said or not");
    }
    assert_eq!(whole(&store, "users"), whole(&store, "teams"));

    let text = r#"{"__internal__": {"migrations": {"version": "1"}}, "a": 1}"#;
    let how = Import::new().as_collection("c");
    assert_eq!(import(&store, text, &how.clone().format(Format::Json)).unwrap().added, 2);
    let other = import(&store, text, &how.clone().format(Format::Conf)).unwrap();
    assert_eq!((other.already_imported, other.unchanged), (None, 1), "what is kept aside is another");
    let found_out = import(&store, text, &how).unwrap();
    assert!(found_out.already_imported.is_some(), "the same format, found out");
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let (_directory, store) = scratch();
    store.set("c.a", &1).unwrap();
    store.set("c.b", &1).unwrap();
    store.set("c.kept", &1).unwrap();
    let before = store.position();
    let how = Import::new().as_collection("c");
    let report = import(&store, r#"{"a": 1, "b": 2, "d": 3}"#, &how.clone().dry_run()).unwrap();
    assert!(report.is_dry_run && report.receipt.is_none());
    assert_eq!((report.unchanged, report.replaced, report.added), (1, 1, 1));
    assert_eq!(store.position(), before);
    let report = import(&store, r#"{"a": 1, "b": 2, "d": 3}"#, &how).unwrap();
    assert_eq!((report.unchanged, report.replaced, report.added), (1, 1, 1));
    assert_eq!(whole(&store, "c"), r#"{"a":1,"b":2,"d":3,"kept":1}"#);
}

#[test]
fn what_was_replaced_on_the_way_is_told() {
    let (_directory, store) = scratch();
    let text = concat!(
        "{\"a\": \"\\ud83d\", \"b\": \"\\ud83d\\ude00\",\n",
        "\"big\": 123456789012345678901234567890, \"even\": 36893488147419103232,\n",
        "\"a\": \"last\", \"in\": {\"k\": 1, \"k\": 2}}"
    );
    let report = import(&store, text, &Import::new().as_collection("c")).unwrap();
    assert_eq!(report.surrogates_replaced, 1);
    assert_eq!((report.duplicates.count, report.numbers.count), (2, 1));
    assert!(report.duplicates.first.iter().all(|(line, _)| *line == Some(3)), "{:?}", report.duplicates);
    assert_eq!(report.numbers.first[0].0, Some(2));
    let json =
        r#"{"a":"last","b":"😀","big":1.2345678901234568e+29,"even":3.6893488147419103e+19,"in":{"k":2}}"#;
    assert_eq!(whole(&store, "c"), json);
}

#[test]
fn nesting_as_deep_as_a_store_goes_is_kept_and_deeper_is_an_error_with_its_place() {
    let (directory, store) = scratch();
    let deep = |levels: usize| format!("{{\"a\": {}{}}}", "[".repeat(levels), "]".repeat(levels));
    let how = Import::new().as_collection("c");
    import(&store, &deep(500), &how).unwrap();
    for levels in [600, 1_000_000] {
        let error = import(&store, &deep(levels), &how).expect_err("too deep");
        assert_eq!(error.kind(), &ErrorKind::Input);
        assert!(error.to_string().contains("line 1, column 5"), "{error}");
    }
    store.close().unwrap();
    drop(store);
    let store = Store::open(directory.path().join("store")).unwrap();
    assert_eq!(store.get_value("c.a").unwrap().unwrap().depth(), 500);
}

#[test]
fn what_conf_keeps_for_itself_is_told_and_not_imported() {
    let (_directory, store) = scratch();
    let text = r#"{"a.b": 1, "__internal__": {"migrations": {"version": "2.1.0"}}}"#;
    let report = import(&store, text, &Import::new().as_collection("c")).unwrap();
    assert_eq!((report.format, report.migrated_to.as_deref()), (Format::Conf, Some("2.1.0")));
    assert_eq!(
        report.kept_aside.unwrap().get("__internal__").unwrap().get("migrations").unwrap().bytes(),
        19
    );
    assert_eq!(whole(&store, "c"), r#"{"a.b":1}"#);
    let plain = Import::new().as_collection("d").format(Format::Json);
    assert_eq!(import(&store, text, &plain).unwrap().documents, 2, "as plain JSON it is data");
}

#[test]
fn lists_stay_documents_unless_they_are_split() {
    let (_directory, store) = scratch();
    let text =
        r#"{"posts": [{"id": 7, "t": "a"}, {"id": "x/y", "t": "b"}, {"id": 7, "t": "c"}], "user": {}}"#;
    import(&store, text, &Import::new().as_collection("db")).unwrap();
    assert_eq!(store.keys("db").unwrap(), ["posts", "user"]);
    let how = Import::new().as_collection("rest").format(Format::Lowdb).split("posts", "id");
    let report = import(&store, text, &how).unwrap();
    assert_eq!(whole(&store, "posts"), r#"{"7":{"id":7,"t":"c"},"x/y":{"id":"x/y","t":"b"}}"#);
    assert_eq!(store.keys("rest").unwrap(), ["user"]);
    assert_eq!((report.duplicates.count, report.documents), (1, 3));

    let list = Import::new().as_collection("list").split("", "id");
    import(&store, r#"[{"id": 1}, {"id": 2}]"#, &list).unwrap();
    assert_eq!(store.keys("list").unwrap(), ["1", "2"]);
}

#[test]
fn elements_without_a_key_are_problems_and_stop_an_import_unless_the_rest_is_asked_for() {
    let (_directory, store) = scratch();
    let text = r#"{"posts": [{"id": 1}, {"id": null}, 5, {"id": 1.5}, {"id": 2}], "user": {}}"#;
    let how = Import::new().as_collection("c").split("posts", "id");
    let error = import(&store, text, &how).expect_err("problems");
    assert_eq!(error.kind(), &ErrorKind::Input);
    assert!(error.what().contains("element 1 of posts") && error.what().contains("2 more"), "{error}");
    assert!(store.view().collections().is_empty());
    assert_eq!(import(&store, text, &how.clone().dry_run()).unwrap().problem_count, 3);
    let report = import(&store, text, &how.salvage()).unwrap();
    assert_eq!((report.documents, report.problem_count), (3, 3));
    assert_eq!(store.keys("posts").unwrap(), ["1", "2"]);
}

#[test]
fn of_a_file_cut_in_the_middle_the_whole_members_are_offered_and_the_rest_is_told() {
    let (_directory, store) = scratch();
    let text = "{\"a\": 1,\n \"b\": {\"c\": 2},\n \"posts\": [{\"id\": 1}, {\"id\": 2}, {\"id\":";
    let how = Import::new().as_collection("c");
    let error = import(&store, text, &how).expect_err("cut");
    assert!(error.what().contains("line 3, column 40") && error.what().contains("2 parts before"), "{error}");
    assert!(error.next().unwrap().contains("salvage"));
    assert!(store.view().collections().is_empty());

    let report = import(&store, text, &how.clone().salvage()).unwrap();
    assert_eq!((report.documents, report.problems.len()), (2, 1));
    assert_eq!((report.problems[0].line, report.problems[0].column), (Some(3), Some(40)));
    assert!(report.problems[0].what.contains("inside of \"posts\""), "{}", report.problems[0]);
    assert_eq!(whole(&store, "c"), r#"{"a":1,"b":{"c":2}}"#);

    let report = import(&store, text, &how.salvage().split("posts", "id")).unwrap();
    assert_eq!(report.documents, 4, "of a list that is split the whole elements, too");
    assert_eq!(store.keys("posts").unwrap(), ["1", "2"]);
}

#[test]
fn a_bad_line_takes_no_other_with_it() {
    let (_directory, store) = scratch();
    let text = concat!(
        "{\"collection\":\"c\",\"key\":\"a\",\"value\":1}\r\n",
        "{\"collection\":\"c\",\"key\":\"b\",\"value\":}\n",
        "\n",
        "[1]\n",
        "{\"collection\":\"c\",\"key\":\"d\",\"value\":{\"x\":1,\"x\":2}}\n",
        "{\"collection\":\"$everlog\",\"key\":\"d\",\"value\":1}\n",
        "{\"collection\":\"c\",\"key\":\"e\",\"val",
    );
    let report = import(&store, text, &Import::new()).unwrap();
    assert_eq!(report.format, Format::Lines);
    let lines: Vec<_> = report.problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [Some(2), Some(4), Some(6), Some(7)]);
    assert!(report.problems[3].what.contains("ends in the middle"), "{}", report.problems[3]);
    assert_eq!(report.duplicates.first[0].0, Some(5));
    assert_eq!(whole(&store, "c"), r#"{"a":1,"d":{"x":2}}"#);

    let how = Import::new().as_collection("n").format(Format::Lines).split("", "id");
    let report = import(&store, "{\"id\":\"x\"}\n{\"no\":1}\n", &how).unwrap();
    assert_eq!((report.documents, report.problems[0].line), (1, Some(2)));
}

#[test]
fn what_is_no_json_or_has_no_keys_is_refused_with_the_reason() {
    let (_directory, store) = scratch();
    let how = Import::new().as_collection("c");
    let long_key = format!("{{\"{}\": 1}}", "k".repeat(1025));
    for (text, what) in [
        ("", "ends in the middle"),
        ("[1, 2]", "list"),
        ("7", "neither"),
        ("{a: 1}", "column 2"),
        ("{\"a\": 1}}", "follows"),
        (long_key.as_str(), "1025 bytes"),
    ] {
        let error = import(&store, text, &how).expect_err(text);
        assert_eq!(error.kind(), &ErrorKind::Input, "{text}");
        assert!(error.what().contains(what), "{text}: {error}");
    }
    let error = store.import(b"\xff\xfe{\0}\0".as_slice(), &how).expect_err("UTF-16");
    assert!(error.what().contains("UTF-16"), "{error}");
    let error =
        import(&store, "{\"a\": 1}", &Import::new().as_collection("$everlog")).expect_err("not theirs");
    assert!(error.what().contains("store's own"), "{error}");
    let error = import(&store, "{}", &Import::new()).expect_err("no name");
    assert!(error.next().unwrap().contains("as_collection"), "{error}");
    let error = store.import(std::path::Path::new("no such file"), &how).expect_err("missing");
    assert_eq!(error.kind(), &ErrorKind::Missing);
    let sealed = [b"0123456789abcdef:".as_slice(), &[7; 32]].concat();
    let error = store.import(sealed, &how).expect_err("sealed");
    assert!(error.what().contains("encrypted"), "{error}");
}

#[test]
fn more_than_a_transaction_holds_is_refused_with_the_number_and_nothing_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let small = Store::options().journal(|journal| journal.transaction_bytes_max(10_000));
    let store = small.open(directory.path().join("store")).unwrap();
    let text: Vec<String> = (0..100).map(|n| format!("\"{n}\": \"{}\"", "x".repeat(100))).collect();
    let text = format!("{{{}}}", text.join(","));
    let error = import(&store, &text, &Import::new().as_collection("c")).expect_err("too large");
    let ErrorKind::TooLarge { actual, max: 10_000 } = *error.kind() else { panic!("{error:?}") };
    assert!(error.next().unwrap().contains(&actual.to_string()), "{error}");
    assert!(store.view().collections().is_empty());
    store.close().unwrap();
    drop(store);
    let large = Store::options().journal(|journal| journal.transaction_bytes_max(actual));
    let store = large.open(directory.path().join("store")).unwrap();
    assert_eq!(import(&store, &text, &Import::new().as_collection("c")).unwrap().documents, 100);
}

#[cfg(feature = "import-encrypted")]
mod encrypted {
    use super::*;

    // Made with the calls that conf makes, by Node.js: `{"theme":"dark","a.b":1,"__internal__":{…"1.2.3"}}`.
    const SALTED_BY_VECTOR: &str = "\
        00ff80c3a9e282f09f98ed5a6b7c8d9e3af475fa276254ad8203baef3ddea01ff8cb151d940b5633ed0bcfc444f4aefa\
        1cdf6272aa2bc021f80ae13e9c28eb16b6ab90357d1f6ec78737683897e6c0d027b5d61b532b7c07f946a80adfb4fc33\
        9a7fd9d2d20e55726cfcb20157d74c29c2e8bf37badfe79601a21c85ed2d579946";
    const SALTED_BY_TEXT: &str = "\
        00ff80c3a9e282f09f98ed5a6b7c8d9e3a70ad748e4855b0f8071520307fa181233ac5ff465941c2a52bbbe43f673fab\
        5865d8103503ebd1be0141ecabc76643977d7b2179280beb83dafe8c4429e3a33ddcf4cf723835fc2b664f9c83edd021\
        7b9f96d82044f84c153619b02bd85d88383ed98958a9b19446718156dcad2d5bd9";

    fn bytes(hex: &str) -> Vec<u8> {
        let digits = hex.as_bytes().chunks(2).map(|two| std::str::from_utf8(two).unwrap());
        digits.map(|two| u8::from_str_radix(two, 16).unwrap()).collect()
    }

    #[test]
    fn files_of_both_versions_of_conf_open_with_their_key() {
        for sealed in [SALTED_BY_VECTOR, SALTED_BY_TEXT] {
            let (_directory, store) = scratch();
            let how = Import::new().as_collection("c").key("sesame");
            let report = store.import(bytes(sealed), &how).unwrap();
            assert_eq!((report.format, report.migrated_to.as_deref()), (Format::Conf, Some("1.2.3")));
            assert_eq!(whole(&store, "c"), r#"{"a.b":1,"theme":"dark"}"#);
        }
    }

    #[test]
    fn a_wrong_key_or_a_cut_file_is_a_clear_error() {
        let (_directory, store) = scratch();
        let sealed = bytes(SALTED_BY_VECTOR);
        for key in ["", "Sesame", "sesame "] {
            let error =
                store.import(sealed.clone(), &Import::new().as_collection("c").key(key)).expect_err(key);
            assert!(error.what().contains("key does not open"), "{error}");
        }
        let how = Import::new().as_collection("c").key("sesame");
        let error = store.import(&sealed[..40], &how).expect_err("cut");
        assert!(error.what().contains("neither JSON"), "{error}");
        assert_eq!(
            import(&store, r#"{"a": 1}"#, &how).unwrap().documents,
            1,
            "as conf, which reads plain files, too"
        );
    }
}

#[test]
fn one_document_of_ten_megabytes_is_not_harmed_h16() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("store");
    // More than the default lets in at once.
    let store = Store::options().value_bytes_max(16 * 1024 * 1024).open(&path).unwrap();
    let body = "0123456789abcdé\\n".repeat(10 * 1024 * 1024 / 18);
    let text = format!("{{\"large\": {{\"body\": \"{body}\"}}}}");
    import(&store, &text, &Import::new().as_collection("c")).unwrap();
    store.close().unwrap();
    drop(store);
    let store = Store::open(&path).unwrap();
    let found: String = store.get("c.large.body").unwrap().expect("there");
    assert!(found == body.replace("\\n", "\n"));
}

#[test]
fn fifty_megabytes_come_in_whole_h16() {
    let (directory, store) = scratch();
    let mut text = String::from("{");
    let mut count = 0;
    while text.len() < 50 * 1024 * 1024 {
        let comma = if count == 0 { "" } else { "," };
        let body = "ä\\u20ac\\n".repeat(count % 200);
        text.push_str(&format!(
            "{comma}\n \"key {count}\": {{\"n\": {count}, \"body\": \"{body}\", \"list\": [1, 2.5, null]}}"
        ));
        count += 1;
    }
    text.push('}');
    let report = import(&store, &text, &Import::new().as_collection("c")).unwrap();
    assert_eq!((report.documents, report.problem_count), (count as u64, 0));
    store.close().unwrap();
    drop(store);
    let store = Store::open(directory.path().join("store")).unwrap();
    let expected =
        |n: usize| format!("{{\"body\":\"{}\",\"list\":[1,2.5,null],\"n\":{n}}}", "ä€\\n".repeat(n % 200));
    let view = store.view();
    for n in (0..count).step_by(997).chain([count - 1]) {
        let value: Value = view.get_value(path!("c", format!("key {n}"))).unwrap().expect("there");
        assert_eq!(value.to_string(), expected(n));
    }
    assert_eq!(view.keys("c").unwrap().len(), count);
}

/// T26: a dry run finds what would keep the import from being written, also where nothing can be written.
#[test]
fn a_dry_run_is_refused_by_what_would_refuse_the_import() {
    use everlog::store::Collection;
    let directory = tempfile::tempdir().expect("a directory");
    let options = || {
        Store::options()
            .collection(Collection::new("small").bytes_max(50))
            .collection(Collection::new("recent").keep_last(1))
            .value_bytes_max(1000)
    };
    let store = options().open(directory.path().join("store")).expect("opens");
    store.set("small.a", "x").unwrap();
    let long = format!(r#"{{"a": "{}"}}"#, "x".repeat(2000));
    let some = format!(r#"{{"b": "{}"}}"#, "x".repeat(100));
    let quota = |error: &everlog::Error| matches!(error.kind(), ErrorKind::Quota { max: 50, .. });
    let large = |error: &everlog::Error| matches!(error.kind(), ErrorKind::TooLarge { max: 1000, .. });
    let mut handle = store;
    for is_read_only in [false, true] {
        if is_read_only {
            handle.close().unwrap();
            drop(handle);
            handle = options().read_only().open(directory.path().join("store")).expect("opens");
        }
        let before = handle.position();
        let dry = |text: &str, collection: &str| {
            import(&handle, text, &Import::new().as_collection(collection).dry_run())
        };
        let error = dry(&some, "small").expect_err("too much for the collection");
        assert!(quota(&error), "{error}");
        let error = dry(&long, "free").expect_err("too large a value");
        assert!(large(&error), "{error}");
        let report = dry(r#"{"b": 1, "c": 2}"#, "recent").unwrap();
        assert_eq!((report.is_dry_run, report.added), (true, 2));
        assert_eq!(handle.position(), before);
        if !is_read_only {
            assert!(quota(&import(&handle, &some, &Import::new().as_collection("small")).unwrap_err()));
            assert!(large(&import(&handle, &long, &Import::new().as_collection("free")).unwrap_err()));
        }
    }
}
