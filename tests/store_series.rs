//! Series: entries by time, read from both ends, counted, bounded inside the transaction that pushes (H13, H33, H35, H47).

#![cfg(feature = "store")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is a test")]

mod store_kit;

use std::collections::BTreeMap;

use everlog::store::{Collection, Series, Value};
use everlog::{ErrorKind, Store, Timestamp, path};
use proptest::prelude::*;
use store_kit::{reopen, scratch, scratch_with};

fn at(micros: u64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn values(series: &Series<u64>) -> Vec<u64> {
    series.range(..).unwrap().into_iter().map(|entry| entry.value).collect()
}

#[test]
fn entries_come_in_the_order_of_time_from_both_ends_also_over_runs() {
    let (directory, mut store) = scratch();
    for step in 0..4 {
        let series = store.series::<u64>(path!("samples", "a"));
        for number in 0..25u64 {
            series.push_at(at(1000 - 4 * number - step), &(1000 - 4 * number - step)).unwrap();
        }
        store.series::<u64>(path!("samples", "b")).push(&7).unwrap();
        store.snapshot().unwrap();
        store = reopen(&directory, store);
    }
    let series = store.series::<u64>(path!("samples", "a"));
    let all: Vec<u64> = (901..=1000).collect();
    assert_eq!(values(&series), all);
    assert_eq!(series.len().unwrap(), 100);
    let latest = |count| series.latest(count).unwrap().iter().map(|entry| entry.value).collect::<Vec<_>>();
    assert_eq!(latest(3), [1000, 999, 998]);
    assert_eq!(latest(1000).len(), 100);
    let range = |times: &dyn Fn() -> Vec<everlog::store::SeriesEntry<u64>>| {
        times().iter().map(|entry| entry.time.micros()).collect::<Vec<_>>()
    };
    assert_eq!(range(&|| series.range(at(950)..at(953)).unwrap()), [950, 951, 952]);
    assert_eq!(range(&|| series.range(at(950)..=at(953)).unwrap()), [950, 951, 952, 953]);
    assert_eq!(range(&|| series.range(..at(903)).unwrap()), [901, 902]);
    assert_eq!(range(&|| series.range(at(2000)..).unwrap()), [] as [u64; 0]);
    assert_eq!(range(&|| series.range(at(953)..at(950)).unwrap()), [] as [u64; 0]);
    let view = store.view().series::<u64>(path!("samples", "a")).unwrap();
    assert_eq!(range(&|| view.latest_within(..=at(930), 2).unwrap()), [930, 929]);
    assert_eq!(range(&|| view.latest_within(at(953)..at(950), 2).unwrap()), [] as [u64; 0]);
    assert_eq!(store.view().series_keys("samples").unwrap(), [("a".to_owned(), 100), ("b".to_owned(), 4)]);
    assert_eq!(store.keys("samples").unwrap(), [] as [&str; 0], "entries are no documents");
    assert_eq!(store.get_value("samples").unwrap(), None);
}

#[test]
fn a_series_without_entries_reads_as_such_from_both_ends() {
    let (directory, store) = scratch();
    let series = store.series::<u64>("a.x");
    assert_eq!((values(&series), series.latest(3).unwrap()), (vec![], vec![]));
    series.push(&1).unwrap();
    store.snapshot().unwrap();
    series.clear().unwrap();
    store.snapshot().unwrap();
    let store = reopen(&directory, store);
    for path in ["a.x", "a.never", "b.x"] {
        let series = store.series::<u64>(path);
        assert_eq!((values(&series), series.latest(3).unwrap()), (vec![], vec![]));
        assert!(series.is_empty().unwrap());
    }
}

#[test]
fn entries_of_one_time_stay_in_the_order_of_their_pushes_and_carry_who_and_when() {
    let (_directory, store) = scratch();
    let store = store.with_meta(everlog::Meta::new().actor("ann"));
    let series = store.series::<u64>("log.x");
    for number in 0..5 {
        series.push_at(at(7), &number).unwrap();
    }
    assert_eq!(values(&series), [0, 1, 2, 3, 4]);
    let receipt = series.push(&9).unwrap();
    let last = series.latest(1).unwrap().remove(0);
    assert_eq!((last.revision, last.recorded, last.time), (receipt.position, receipt.time, receipt.time));
    assert_eq!(last.actor.as_deref(), Some("ann"));
}

#[test]
fn keep_last_is_part_of_the_transaction_that_pushes_and_holds_at_every_moment() {
    let (directory, store) = scratch();
    let series = store.series::<u64>("log.x").keep_last(3);
    let mut positions = Vec::new();
    for number in 0..10 {
        positions.push(series.push(&number).unwrap().position);
    }
    assert_eq!(values(&series), [7, 8, 9]);
    let ((), receipt) = store
        .transaction(|tx| {
            for number in 10..20 {
                tx.push(&series, &number)?;
            }
            assert_eq!(tx.series::<u64>("log.x")?.latest(1)?[0].value, 19, "sees its own pushes");
            tx.set("sessions.x.count", &20)
        })
        .map(|(_, receipt)| ((), receipt))
        .unwrap();
    assert_eq!(values(&series), [17, 18, 19]);
    assert_eq!(receipt.position, store.position());
    for (number, position) in positions.iter().enumerate() {
        let past = store.at(*position).unwrap().series::<u64>("log.x").unwrap();
        let number = number as u64;
        let found: Vec<u64> = past.range(..).unwrap().iter().map(|entry| entry.value).collect();
        assert_eq!(found, (number.saturating_sub(2)..=number).collect::<Vec<_>>());
    }
    let store = reopen(&directory, store);
    let series = store.series::<u64>("log.x");
    assert_eq!((values(&series), series.len().unwrap()), (vec![17, 18, 19], 3));
    store.snapshot().unwrap();
    let store = reopen(&directory, store);
    let series = store.series::<u64>("log.x").keep_last(2);
    series.push(&20).unwrap();
    assert_eq!((values(&series), series.len().unwrap()), (vec![19, 20], 2));
}

#[test]
fn what_a_collection_declares_holds_for_every_handle() {
    let options = Store::options().collection(Collection::new("log").series_keep_last(4));
    let (_directory, store) = scratch_with(options);
    let (plain, tight) = (store.series::<u64>("log.x"), store.series::<u64>("log.x").keep_last(2));
    for number in 0..6 {
        plain.push(&number).unwrap();
    }
    assert_eq!(values(&plain), [2, 3, 4, 5]);
    tight.push(&6).unwrap();
    assert_eq!(values(&plain), [5, 6], "the tighter bound counts");
}

#[test]
fn a_path_is_either_a_document_or_a_series() {
    let (_directory, store) = scratch();
    store.set("a.document", &1).unwrap();
    store.series::<u64>("a.series").push(&1).unwrap();
    let error = store.series::<u64>("a.document").push(&1).expect_err("a document is there");
    assert_eq!(error.kind(), &ErrorKind::WrongType, "{error}");
    for path in ["a.series", "a.series.deeper"] {
        let error = store.set(path, &1).expect_err("a series is there");
        assert_eq!(error.kind(), &ErrorKind::WrongType, "{error}");
    }
    for path in ["a", "a.b.c", "a..b"] {
        let error = store.series::<u64>(path).push(&1).expect_err(path);
        assert_eq!(error.kind(), &ErrorKind::Input, "{path}");
    }
    store.series::<u64>("a.series").clear().unwrap();
    store.set("a.series", &1).unwrap();
    store.remove("a.document").unwrap();
    store.series::<u64>("a.document").push(&1).unwrap();
    assert_eq!(store.view().collections(), ["a"]);
    store.remove("a").unwrap();
    assert!(store.series::<u64>("a.document").is_empty().unwrap(), "an emptied collection has no series");
    assert_eq!(store.view().collections(), [] as [&str; 0]);
    assert_eq!(store.view().bytes(), 0);
}

#[test]
fn a_rollback_makes_a_series_of_a_document_again_and_a_document_of_a_series() {
    let (_directory, store) = scratch();
    let series = store.series::<u64>("a.x");
    for number in 0..3 {
        series.push(&number).unwrap();
    }
    let as_series = store.position();
    series.clear().unwrap();
    let as_document = store.set("a.x", "text").unwrap().position;
    store.rollback_to(as_series).unwrap().commit().unwrap();
    assert_eq!((values(&series), series.len().unwrap()), (vec![0, 1, 2], 3));
    assert_eq!(series.latest(1).unwrap()[0].value, 2);
    store.rollback_to(as_document).unwrap().commit().unwrap();
    assert_eq!(store.get::<String>("a.x").unwrap().as_deref(), Some("text"));
    assert_eq!(series.len().unwrap(), 0);
}

#[test]
fn a_value_that_is_no_entry_of_the_type_is_told_and_others_are_read() {
    let (_directory, store) = scratch();
    store.series::<String>("a.x").push(&"text".to_owned()).unwrap();
    assert_eq!(store.series::<u64>("a.x").range(..).expect_err("a text").kind(), &ErrorKind::WrongType);
    assert_eq!(store.series::<Value>("a.x").latest(5).unwrap().len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_series_is_a_sorted_list_whatever_is_done_to_it(
        steps in proptest::collection::vec((0u8..12, 0u64..40, 1u64..12), 1..60),
    ) {
        let (directory, mut store) = scratch();
        let mut model: BTreeMap<(u64, u64), u64> = BTreeMap::new();
        for (next, (verb, time, count)) in (0..).zip(steps) {
            let series = store.series::<u64>("m.x");
            match verb {
                0..=5 => {
                    let position = series.push_at(at(time), &next).unwrap().position;
                    model.insert((time, position.lsn.get()), next);
                }
                6 | 7 => {
                    let position = series.clone().keep_last(count).push_at(at(time), &next).unwrap();
                    model.insert((time, position.first_lsn.get()), next);
                    while model.len() as u64 > count {
                        model.pop_first();
                    }
                }
                8 => {
                    series.cut(at(time)).unwrap();
                    model.retain(|(entry, _), _| *entry >= time);
                }
                9 => {
                    store.snapshot().unwrap();
                }
                10 => store = reopen(&directory, store),
                _ => {
                    let (from, to) = (at(time), at(time + count));
                    let found: Vec<u64> =
                        series.range(from..to).unwrap().iter().map(|entry| entry.value).collect();
                    let wanted: Vec<u64> =
                        model.range((time, 0)..(time + count, 0)).map(|(_, value)| *value).collect();
                    prop_assert_eq!(found, wanted);
                }
            }
            let series = store.series::<u64>("m.x");
            prop_assert_eq!(series.len().unwrap(), model.len() as u64);
            prop_assert_eq!(values(&series), model.values().copied().collect::<Vec<_>>());
            let back: Vec<u64> =
                series.latest(count as usize).unwrap().iter().map(|entry| entry.value).collect();
            prop_assert_eq!(back, model.values().rev().take(count as usize).copied().collect::<Vec<_>>());
        }
    }
}
