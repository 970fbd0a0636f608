//! A preflight tells what a transaction would come to and leaves no trace.

#![cfg(all(feature = "sim", feature = "store"))]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is a test")]

mod store_kit;

use std::time::Duration;

use everlog::medium::Sim;
use everlog::{Error, ErrorKind, Store};
use store_kit::{clock, clocked, scratch, scratch_with};

/// T26, S09, S20: what would be written is known before.
#[test]
fn what_would_be_written_is_told_and_not_written() {
    let (_directory, store) = scratch();
    store.set("settings.theme", "dark").unwrap();
    let before = store.position();
    let work = |tx: &mut everlog::Tx<'_>| {
        tx.set("settings.theme", "light")?;
        tx.set("settings.theme", "light")?;
        tx.increment("settings.count", 2)
    };
    let preflight = store.preflight(work).unwrap();
    assert!(preflight.is_clear());
    assert_eq!(preflight.position, before);
    assert_eq!(preflight.records, 2);
    assert_eq!(preflight.bytes, store.estimate_size(work).unwrap());
    let changes: Vec<String> = preflight
        .changes
        .iter()
        .map(|change| format!("{} {:?} {:?}", change.path, change.old, change.new))
        .collect();
    assert_eq!(changes, [r#"settings.theme Some("dark") Some("light")"#, "settings.count None Some(2)"]);
    assert_eq!(store.position(), before);
    assert_eq!(store.get::<String>("settings.theme").unwrap().as_deref(), Some("dark"));
    let (_, receipt) = store.transaction(work).unwrap();
    assert_eq!(receipt.position.lsn.get(), before.lsn.get() + preflight.records);
    assert_eq!(
        store.preflight(|tx| tx.set("settings.theme", "light")).unwrap().records,
        0,
        "nothing would change"
    );
}

#[test]
fn what_the_closure_refuses_is_part_of_the_answer() {
    let (_directory, store) = scratch();
    let preflight = store
        .preflight(|tx| {
            tx.set("a.b", &1)?;
            Err::<(), _>(Error::new(ErrorKind::Conflict, "someone was faster"))
        })
        .unwrap();
    assert!(!preflight.is_clear());
    assert_eq!(preflight.refused.expect("refused").kind(), &ErrorKind::Conflict);
    assert_eq!(preflight.changes.len(), 1);
    let inner = store.clone();
    let preflight = store.preflight(|_| inner.set("a.b", &1)).unwrap();
    assert_eq!(preflight.refused.expect("refused").kind(), &ErrorKind::Reentered);
}

/// S09, S10: sizes and quota.
#[test]
fn limits_that_would_be_passed_are_named() {
    let options =
        Store::options().journal(|journal| journal.record_bytes_max(100 << 10).journal_bytes_max(4 << 20));
    let (_directory, store) = scratch_with(options);
    let large = "x".repeat(200 << 10);
    let limit = store.preflight(|tx| tx.set("a.b", &large)).unwrap().limit.expect("too large");
    assert!(matches!(limit.kind(), ErrorKind::TooLarge { .. }), "{limit}");
    let block = "x".repeat(90 << 10);
    let mut quota = None;
    for number in 0..100 {
        let path = everlog::path!("a", number);
        let preflight = store.preflight(|tx| tx.set(&path, &block)).unwrap();
        let outcome = store.set(&path, &block);
        assert_eq!(preflight.limit.is_none(), outcome.is_ok(), "{number}: {:?} {outcome:?}", preflight.limit);
        if let Some(limit) = preflight.limit {
            quota = Some(limit);
            break;
        }
    }
    assert!(matches!(quota.expect("is reached").kind(), ErrorKind::Quota { .. }));
}

#[test]
fn bounds_of_collections_are_kept_and_their_limits_named() {
    use everlog::store::Collection;
    let options = Store::options()
        .collection(Collection::new("recent").keep_last(1))
        .collection(Collection::new("small").bytes_max(20));
    let (_directory, store) = scratch_with(options);
    store.set("recent.a", &1).unwrap();
    let preflight = store.preflight(|tx| tx.set("recent.b", &2)).unwrap();
    let paths: Vec<String> = preflight.changes.iter().map(|change| change.path.to_string()).collect();
    assert_eq!(paths, ["recent.b", "recent.a"], "what goes is part of it");
    assert!(preflight.is_clear());
    let preflight = store.preflight(|tx| tx.set("small.a", &"x".repeat(100))).unwrap();
    assert!(matches!(preflight.limit.expect("over").kind(), ErrorKind::Quota { .. }));
}

/// J4: the answer waits for what it was decided on.
#[test]
fn a_closed_store_and_one_for_reading_answer_with_an_error() {
    let (directory, store) = scratch();
    store.close().unwrap();
    let error = store.preflight(|tx| tx.set("a.b", &1)).expect_err("closed");
    assert_eq!(error.kind(), &ErrorKind::Closed);
    drop(store);
    let store = Store::options().read_only().open(directory.path().join("store")).unwrap();
    let error = store.preflight(|tx| tx.set("a.b", &1)).expect_err("for reading");
    assert_eq!(error.kind(), &ErrorKind::ReadOnly);
}

#[cfg(feature = "schema")]
#[test]
fn all_violations_are_told_at_once() {
    use everlog::store::Schema;
    let options = Store::options().schema("notes", Schema::each(r#"{"required": ["title"]}"#));
    let (_directory, store) = scratch_with(options);
    let preflight = store
        .preflight(|tx| Ok((tx.set("notes.a.b", &1)?, tx.set("notes.c.d", &1)?, tx.set("free.a", &1)?)))
        .unwrap();
    let paths: Vec<&str> = preflight.violations.iter().map(|violation| violation.path.as_str()).collect();
    assert_eq!(paths, ["notes.a", "notes.c"]);
    assert!(!preflight.is_clear());
}

/// J8: what was only looked at, or refused, says nothing of when the last commit was.
#[test]
fn a_preflight_leaves_no_trace_in_the_ages_of_entries() {
    let hour = Duration::from_secs(3600);
    for tries in 0..3 {
        let clock = clock();
        let store = clocked(&Sim::new(1), &clock);
        let series = store.series::<u32>("log.here").max_age(hour);
        match tries {
            0 => {}
            1 => assert!(store.preflight(|tx| tx.push(&series, &0)).unwrap().is_clear()),
            _ => drop(store.transaction(|tx| {
                tx.push(&series, &0)?;
                Err::<(), _>(Error::new(ErrorKind::Conflict, "not now"))
            })),
        }
        clock.advance(10 * hour);
        series.push(&1).unwrap();
        // The wall clock leaps; a second has passed.
        clock.advance(Duration::from_secs(1));
        clock.advance_wall(10 * hour);
        series.push(&2).unwrap();
        assert_eq!(series.len().unwrap(), 2, "after {tries}");
    }
}
