// Property: no bytes imported as any format make the reader panic or hang; what the report says adds up, a dry run says the
// same and writes nothing, a second time changes nothing; where serde_json takes the text, what came in is what it reads; and
// an export of it imports as the same.
#![no_main]

use std::collections::BTreeMap;
use std::sync::Arc;

use everlog::journal::Background;
use everlog::medium::Sim;
use everlog::store::{Format, Import, ImportReport, SEGMENT_BYTES_MAX, StoreOptions};
use everlog::{Result, Store};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

const FORMATS: [Format; 6] =
    [Format::Auto, Format::Json, Format::Conf, Format::Lowdb, Format::Tauri, Format::Lines];

/// Documents by collection and key.
type Documents = BTreeMap<(String, String), Value>;

fuzz_target!(|input: &[u8]| {
    let Some((control, text)) = input.split_first() else { return };
    let format = FORMATS[usize::from(control % 6)];
    let (salvages, splits) = (control & 64 != 0, control & 128 != 0);
    let mut how = Import::new().as_collection("c").format(format);
    if salvages {
        how = how.salvage();
    }
    if splits {
        how = how.split("posts", "id").split("", "id");
    }
    let store = open();
    let start = store.position();
    let dry = store.import(text, &how.clone().dry_run());
    assert_eq!(store.position(), start, "a dry run writes nothing");
    let outcome = store.import(text, &how);
    match &outcome {
        Ok(report) => imported(&store, text, &how, report, &dry.expect("a dry run takes what the import takes")),
        Err(_) => {
            assert!(store.view().collections().is_empty());
            assert!(dry.is_err() || dry.is_ok_and(|report| report.problem_count > 0));
        }
    }
    if format != Format::Lines {
        object(&store, text, splits, &outcome);
    }
});

fn open() -> Store {
    let options = StoreOptions::new().background(Background::Inline);
    options.open_on(Arc::new(Sim::new(0))).expect("opens")
}

fn adds_up(report: &ImportReport) {
    assert_eq!(report.documents, report.added + report.replaced + report.unchanged);
    let each = report.collections.values();
    let sums = each.fold((0, 0, 0), |(documents, entries, bytes), one| {
        (documents + one.documents, entries + one.entries, bytes + one.bytes)
    });
    assert_eq!((report.documents, report.entries, report.bytes), sums);
    assert_eq!(report.problems.len() as u64, report.problem_count.min(1000));
    for told in [&report.duplicates, &report.numbers] {
        assert!(told.first.len() as u64 <= told.count);
    }
}

fn imported(store: &Store, text: &[u8], how: &Import, report: &ImportReport, dry: &ImportReport) {
    adds_up(report);
    adds_up(dry);
    let counts = |report: &ImportReport| {
        let ImportReport { documents, added, entries, bytes, problem_count, .. } = *report;
        (documents, added, entries, bytes, problem_count, report.duplicates.clone(), report.numbers.clone())
    };
    assert_eq!(counts(report), counts(dry));
    assert_eq!((report.source_bytes, report.added), (text.len() as u64, report.documents));
    let found = documents(store);
    assert_eq!(found.len() as u64, report.documents);
    assert_eq!(entries(store), report.entries);

    let end = store.position();
    let again = store.import(text, how).expect("once more");
    assert!(again.already_imported.is_some());
    assert_eq!((again.documents, store.position()), (0, end));

    if report.format == Format::Lines {
        lines(&found, text, report);
    }
    let (mut export, other) = (Vec::new(), open());
    store.view().export_lines(&[], &mut export).expect("exports");
    let report = other.import(export, &Import::new().format(Format::Lines)).expect("imports");
    assert_eq!(report.problem_count, 0);
    assert_eq!((documents(&other), entries(&other)), (found, entries(store)));
}

fn documents(store: &Store) -> Documents {
    let view = store.view();
    let mut all = Documents::new();
    for name in view.collections() {
        let path = everlog::store::Path::of_segments([name.as_str()]);
        let members: Map<String, Value> = view.get(path).expect("reads").unwrap_or_default();
        all.extend(members.into_iter().map(|(key, value)| ((name.clone(), key), value)));
    }
    all
}

fn entries(store: &Store) -> u64 {
    store.usage().collections.iter().map(|collection| collection.entries).sum()
}

/// What becomes of an element of a list that is split.
fn element(into: &mut Documents, collection: &str, value: Value) -> Option<()> {
    let key = match value.get("id")? {
        Value::String(key) => key.clone(),
        Value::Number(number) if !number.is_f64() => number.to_string(),
        _ => return None,
    };
    into.insert((collection.to_owned(), key), value);
    Some(())
}

/// What serde_json takes as an object comes in as it reads it.
fn object(store: &Store, text: &[u8], splits: bool, outcome: &Result<ImportReport>) {
    let Ok(Value::Object(members)) = serde_json::from_slice(text) else { return };
    // Parts that mean something to a store, or do not fit into one.
    let is_special = |key: &String| key.starts_with("$everlog") || key.starts_with("$$") || key.len() > SEGMENT_BYTES_MAX;
    if members.keys().any(is_special) || members.values().any(stands_for_bytes) {
        return;
    }
    let report = match outcome {
        Ok(report) if report.format == Format::Lines => return,
        Ok(report) => report,
        Err(error) => {
            assert!(splits, "{error}");
            return;
        }
    };
    let mut expected = Documents::new();
    for (key, value) in members {
        match value {
            Value::Array(elements) if splits && key == "posts" => {
                for value in elements {
                    element(&mut expected, "posts", value);
                }
            }
            _ if splits && key == "posts" => {}
            _ if report.format == Format::Conf && key == "__internal__" => {}
            value => drop(expected.insert(("c".to_owned(), key), value)),
        }
    }
    if report.problem_count == 0 || !splits {
        assert_eq!(report.problem_count, 0);
        assert_eq!(documents(store), expected);
    }
}

/// Whether there is something in it that stands for bytes in another store, which are not there.
fn stands_for_bytes(value: &Value) -> bool {
    match value {
        Value::Array(elements) => elements.iter().any(stands_for_bytes),
        Value::Object(members) => {
            let is_one = |text: &str| text.starts_with('#') && text.contains(' ');
            members.get("$bytes").and_then(Value::as_str).is_some_and(is_one)
                || members.values().any(stands_for_bytes)
        }
        _ => false,
    }
}

/// The same for lines, if serde_json takes each of them and none is left out.
fn lines(found: &Documents, text: &[u8], report: &ImportReport) {
    if report.problem_count > 0 {
        return;
    }
    let mut expected = Documents::new();
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
        let Ok(value) = serde_json::from_slice::<Value>(line) else { return };
        let word = |key: &str| value.get(key).and_then(Value::as_str);
        match (word("key"), word("series"), value.get("value")) {
            (Some(key), None, Some(value)) => {
                expected.insert(("c".to_owned(), key.to_owned()), value.clone());
            }
            (None, Some(_), Some(_)) => {}
            _ => element(&mut expected, "c", value).expect("a problem would be told"),
        }
    }
    assert_eq!(*found, expected);
}
