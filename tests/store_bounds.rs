//! What a store may hold: bounds are kept inside the transaction that passes them, whoever writes, and limits are told
//! before anything is written (E21, E22, H03, H13, H21, H47, S08, S10).

#![cfg(all(feature = "sim", feature = "store"))]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "this is a test")]

use std::sync::Arc;
use std::time::Duration;

use everlog::journal::Background;
use everlog::medium::Sim;
use everlog::store::{Collection, Saving, StatusChanges, StoreOptions};
use everlog::testing::ManualClock;
use everlog::{ErrorKind, Store, Timestamp, path};
use serde_json::json;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

struct Bench {
    sim: Sim,
    clock: Arc<ManualClock>,
}

impl Bench {
    fn new() -> Bench {
        let wall = Timestamp::from_micros(1_763_575_200_000_000);
        Bench { sim: Sim::new(1), clock: Arc::new(ManualClock::new(wall)) }
    }

    fn open(&self, change: impl FnOnce(StoreOptions) -> StoreOptions) -> Store {
        let options = Store::options().background(Background::Inline).clock(self.clock.clone());
        change(options).open_on(Arc::new(self.sim.clone())).expect("opens")
    }
}

#[test]
fn the_documents_changed_the_longest_ago_go_in_the_same_transaction() {
    let bench = Bench::new();
    let declare = |options: StoreOptions| options.collection(Collection::new("recent").keep_last(3));
    let store = bench.open(declare);
    for key in ["a", "b", "c"] {
        store.set(path!("recent", key), &1).unwrap();
    }
    store.set("recent.a", &2).unwrap();
    let receipt = store.set("recent.d", &1).unwrap();
    assert_eq!(store.keys("recent").unwrap(), ["a", "c", "d"], "b was changed the longest ago");
    assert_eq!(store.position().lsn, receipt.first_lsn.next(), "the removal is part of the commit");
    assert_eq!(store.at(store.position()).unwrap().keys("recent").unwrap(), ["a", "c", "d"]);
    store.series::<u8>("recent.log").push(&1).unwrap();
    assert_eq!(store.keys("recent").unwrap().len(), 3, "entries of series are no documents");
    store.snapshot().unwrap();
    store.close().unwrap();
    let store = bench.open(declare);
    store
        .transaction(|tx| ["x", "y"].iter().try_for_each(|key| tx.set(path!("recent", key), &1).map(|_| ())))
        .unwrap();
    assert_eq!(store.keys("recent").unwrap(), ["d", "x", "y"]);
    store.transaction(|tx| (0..9).try_for_each(|n| tx.set(path!("recent", n), &1).map(|_| ()))).unwrap();
    assert_eq!(store.keys("recent").unwrap(), ["6", "7", "8"]);
    store.close().unwrap();
    let store = bench.open(|options| options);
    assert_eq!(store.keys("recent").unwrap(), ["6", "7", "8"], "the log tells it without any declaration");
}

#[test]
fn a_bound_that_is_new_to_a_large_collection_locks_nobody_out_and_is_reached_step_by_step() {
    const DOCUMENTS: u64 = 12_000;
    let bench = Bench::new();
    let store = bench.open(|options| options);
    // Each removal has more than six thousand bytes in the log: all at once are more than a transaction may have.
    let key = |number: u64| format!("{number:05}{}", "\u{1}".repeat(1000));
    for tenth in 0..10 {
        let numbers = (tenth * DOCUMENTS / 10)..((tenth + 1) * DOCUMENTS / 10);
        let set = |tx: &mut everlog::store::Tx<'_>| {
            numbers.clone().try_for_each(|number| tx.set(path!("recent", key(number)), &1).map(drop))
        };
        store.transaction(set).unwrap();
    }
    store.close().unwrap();
    drop(store);
    let store = bench.open(|options| options.collection(Collection::new("recent").keep_last(20)));
    let mut left = DOCUMENTS;
    for number in DOCUMENTS.. {
        store.set(path!("recent", key(number)), &1).expect("a bound is no lock");
        let now = store.usage().collections[0].documents;
        assert!(now < left, "{now} of {left}");
        left = now;
        if left == 20 {
            break;
        }
    }
    store.remove(path!("recent", "none")).unwrap();
    // What a transaction adds never waits for the next one.
    let add = |tx: &mut everlog::store::Tx<'_>| {
        (0..3000).try_for_each(|number| tx.set(path!("recent", number), &1).map(drop))
    };
    store.transaction(add).unwrap();
    assert_eq!(store.keys("recent").unwrap().len(), 20);
}

#[test]
fn old_documents_and_entries_go_with_the_next_change_and_no_step_of_the_clock_removes_any() {
    let bench = Bench::new();
    let store =
        bench.open(|options| options.collection(Collection::new("cache").max_age(DAY).series_max_age(DAY)));
    let log = store.series::<u32>("cache.log");
    let change = |number: u32| {
        store
            .transaction(|tx| {
                tx.set(path!("cache", number), &number)?;
                tx.push(&log, &number)
            })
            .unwrap();
    };
    let left = || {
        let entries = log.range(..).unwrap().iter().map(|entry| entry.value).collect::<Vec<_>>();
        let mut keys: Vec<u32> =
            store.keys("cache").unwrap().iter().map(|key| key.parse().unwrap()).collect();
        keys.sort_unstable();
        assert_eq!(entries, keys);
        keys
    };
    for number in 0..4 {
        change(number);
        bench.clock.advance(10 * HOUR);
    }
    assert_eq!(left(), [1, 2, 3], "by the last change, 30 hours after the first");
    change(4);
    assert_eq!(left(), [2, 3, 4]);
    bench.clock.advance_wall(3650 * DAY);
    for number in 5..9 {
        change(number);
        assert_eq!(left(), (2..=number).collect::<Vec<_>>(), "ten years on the wall, and no time at all");
    }
    bench.clock.advance(5 * HOUR);
    change(9);
    assert_eq!(left(), (3..=9).collect::<Vec<_>>(), "25 hours have passed since the third");
    bench.clock.set_wall(Timestamp::from_micros(1));
    change(10);
    assert_eq!(left(), (3..=10).collect::<Vec<_>>());
}

#[test]
fn a_series_handle_with_an_age_cuts_by_the_time_of_the_record() {
    let bench = Bench::new();
    let store = bench.open(|options| options);
    let series = store.series::<u32>("log.x").max_age(HOUR);
    series.push_at(Timestamp::from_micros(5), &1).unwrap();
    series.push(&2).unwrap();
    assert_eq!(series.len().unwrap(), 2, "an old time does not make an old entry");
    bench.clock.advance(2 * HOUR);
    series.push(&3).unwrap();
    assert_eq!(series.range(..).unwrap().iter().map(|entry| entry.value).collect::<Vec<_>>(), [3]);
}

#[test]
fn over_a_limit_nothing_is_written_and_what_makes_it_smaller_is_accepted() {
    let bench = Bench::new();
    let store = bench
        .open(|options| options.store_bytes_max(2000).collection(Collection::new("small").bytes_max(500)));
    store.set("big.a", &"x".repeat(1000)).unwrap();
    let position = store.position();
    let error = store.set("big.b", &"x".repeat(1000)).expect_err("over");
    let ErrorKind::Quota { current, proposed, max } = *error.kind() else { panic!("{error}") };
    assert_eq!((current, max), (store.view().bytes(), 2000));
    assert!(current + proposed > max, "{error}");
    let error = store.set("small.b", &"x".repeat(600)).expect_err("over");
    assert!(matches!(error.kind(), ErrorKind::Quota { max: 500, current: 0, .. }), "{error}");
    assert!(error.what().contains("small"), "{error}");
    assert_eq!(store.position(), position, "nothing was written");
    store
        .transaction(|tx| {
            tx.set("big.b", &"x".repeat(1000))?;
            tx.remove("big.a")
        })
        .expect("what counts is what is left");
    store.close().unwrap();

    let store = bench.open(|options| options.store_bytes_max(100));
    assert!(matches!(store.set("big.c", &1).expect_err("over").kind(), ErrorKind::Quota { .. }));
    store.set("big.b", &"x".repeat(900)).expect("smaller, and still over");
    store.remove("big.b").expect("can be emptied");
    store.set("big.c", &1).expect("fits again");
}

#[test]
fn a_value_over_its_limit_tells_size_and_limit() {
    let bench = Bench::new();
    let store = bench.open(|options| options.value_bytes_max(1000));
    let long = "x".repeat(1000);
    for error in [
        store.set("a.b", &long).expect_err("set"),
        store.append("a.list", &long, None).expect_err("append"),
        store.series::<String>("a.s").push(&long).expect_err("push"),
    ] {
        assert_eq!(error.kind(), &ErrorKind::TooLarge { actual: 1002, max: 1000 }, "{error}");
    }
    assert_eq!(store.position().lsn.get(), 0);
}

#[test]
fn a_store_says_when_it_is_half_full() {
    let bench = Bench::new();
    let store = bench
        .open(|options| options.store_bytes_max(10_000).collection(Collection::new("small").bytes_max(500)));
    store.set("small.a", &"x".repeat(100)).unwrap();
    store.series::<u8>("small.s").push(&1).unwrap();
    let usage = store.usage();
    assert!(!usage.is_high, "{usage:?}");
    let small = &usage.collections[0];
    assert_eq!((small.name.as_str(), small.documents, small.entries), ("small", 1, 1));
    assert_eq!((usage.bytes, usage.bytes_max, small.bytes_max), (small.bytes, 10_000, Some(500)));
    store.set("small.b", &"x".repeat(200)).unwrap();
    assert!(store.usage().is_high, "a collection is");
    store.remove("small.b").unwrap();
    assert!(!store.usage().is_high);
    store.set("big.a", &"x".repeat(5000)).unwrap();
    assert!(store.usage().is_high, "the store is");
}

/// H12: said by itself, with what there is and what there may be, once each time that half is passed; to whoever is slow,
/// and to whoever comes later, too.
#[test]
fn half_of_a_limit_is_told_once_each_time_it_is_passed() {
    let bench = Bench::new();
    let declare = |options: StoreOptions| {
        options.store_bytes_max(10_000).collection(Collection::new("small").bytes_max(500))
    };
    let store = bench.open(declare);
    let mut changes = store.status_changes();
    let told = |changes: &mut StatusChanges| {
        let all = std::iter::from_fn(|| changes.next_timeout(Duration::ZERO));
        let half = |change| match change {
            Saving::HalfFull { collection, current, max } => Some((collection, current, max)),
            _ => None,
        };
        all.filter_map(half).collect::<Vec<_>>()
    };
    store.set("small.a", &"x".repeat(100)).unwrap();
    assert_eq!(told(&mut changes), []);
    store.set("small.b", &"x".repeat(200)).unwrap();
    let usage = store.usage();
    assert_eq!(told(&mut changes), [(Some("small".to_owned()), usage.collections[0].bytes, 500)]);
    store.set("small.c", &1).unwrap();
    assert_eq!(told(&mut changes), [], "not again while it stays so");
    store.remove("small.b").unwrap();
    store.set("small.b", &"x".repeat(200)).unwrap();
    assert_eq!(told(&mut changes).len(), 1, "passed again");
    store.set("big.a", &"x".repeat(5000)).unwrap();
    for number in 0..200 {
        store.set("other.n", &number).unwrap();
    }
    let late = told(&mut changes);
    assert_eq!((late.len(), late[0].0.clone(), late[0].2), (1, None, 10_000), "who is slow misses none");
    assert!(late[0].1 >= 5000, "{late:?}");
    assert_eq!(told(&mut store.status_changes()).len(), 2, "both are so when one begins to listen");
}

#[test]
fn a_full_journal_still_takes_what_makes_the_state_smaller() {
    let bench = Bench::new();
    let store = bench.open(|options| options.journal(|journal| journal.journal_bytes_max(256 * 1024)));
    let mut number = 0;
    let error = loop {
        match store.set(path!("a", number), &"x".repeat(500)) {
            Ok(_) => number += 1,
            Err(error) => break error,
        }
        assert!(number < 10_000, "the limit is met some time");
    };
    assert!(matches!(error.kind(), ErrorKind::Quota { .. }), "{error}");
    while store.set("a.b", &json!(number)).is_ok() {
        number += 1;
    }
    store.remove("a").expect("removing may use the reserve");
    assert_eq!(store.keys("a").unwrap(), [] as [&str; 0]);
}

#[test]
fn relaxed_collections_alone_are_acknowledged_before_they_are_durable() {
    let bench = Bench::new();
    let store = bench.open(|options| options.collection(Collection::new("scroll").relaxed()));
    store.set("notes.a", &1).unwrap();
    let durability = |receipt: everlog::Receipt| receipt.durability;
    assert_eq!(durability(store.set("scroll.y", &1).unwrap()), everlog::Durability::Buffered);
    let (_, receipt) =
        store.transaction(|tx| tx.set("scroll.y", &2).and_then(|_| tx.set("notes.a", &2))).unwrap();
    assert_eq!(durability(receipt), everlog::Durability::Synced, "one that is not relaxed decides");
    assert_eq!(store.get::<u8>("scroll.y").unwrap(), Some(2));
}

#[test]
fn tidying_keeps_the_longest_window_that_was_declared() {
    for (forever, is_kept) in [(false, false), (true, true)] {
        let bench = Bench::new();
        let store = bench.open(|options| {
            let options = options.journal(|journal| journal.segment_bytes(16 * 1024, 16 * 1024)).history(DAY);
            let log = Collection::new("log");
            options.collection(if forever { log.history_forever() } else { log.history(2 * DAY) })
        });
        let mut positions = Vec::new();
        for day in 0..8 {
            for number in 0..60 {
                store.set(path!("a", number), &format!("{day}{}", "x".repeat(400))).unwrap();
            }
            positions.push(store.position());
            store.snapshot().unwrap();
            bench.clock.advance(DAY);
        }
        store.tidy().unwrap();
        assert_eq!(store.at(positions[0]).is_ok(), is_kept);
        assert!(store.at(positions[6]).is_ok(), "within two days");
    }
}

#[test]
fn a_collection_that_is_not_rolled_back_stays_as_it_is() {
    let bench = Bench::new();
    let store = bench.open(|options| options.collection(Collection::new("log").not_rolled_back()));
    let before = store.set("a.b", &1).unwrap().position;
    store.set("log.x", &1).unwrap();
    store.set("a.b", &2).unwrap();
    store.rollback_to(before).unwrap().commit().unwrap();
    assert_eq!(store.get::<u8>("a.b").unwrap(), Some(1));
    assert_eq!(store.get::<u8>("log.x").unwrap(), Some(1));
}
