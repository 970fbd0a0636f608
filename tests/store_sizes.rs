//! Sizes and crowds that applications have: many threads, many samples, long histories, and what stays on the disk (H15, C38,
//! C39, T41).

#![cfg(feature = "store")]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::disallowed_methods, reason = "this is a test")]

mod store_kit;

use std::path::Path;
use std::sync::Barrier;

use everlog::journal::Retention;
use everlog::{Durability, Lsn, Store, When, path};
use store_kit::{place, reopen, scratch, shut};

/// What all files in a directory take.
fn bytes_in(directory: &Path) -> u64 {
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
    files.sum()
}

#[test]
fn of_fifty_thousand_samples_the_last_thousand_come_back_and_the_past_has_the_rest() {
    let (directory, store) = scratch();
    let series = store.series::<u64>("channels.a").keep_last(1000);
    let mut middle = None;
    for round in 0..50_u64 {
        let (_, receipt) = store
            .transaction(|tx| (0..1000).try_for_each(|sample| tx.push(&series, &(1000 * round + sample))))
            .unwrap();
        if round == 24 {
            middle = Some(receipt.position.lsn);
        }
    }
    let store = reopen(&directory, store);
    let values = |entries: Vec<everlog::store::SeriesEntry<u64>>| -> Vec<u64> {
        entries.into_iter().map(|entry| entry.value).collect()
    };
    let series = store.series::<u64>("channels.a");
    assert_eq!(values(series.range(..).unwrap()), (49_000..50_000).collect::<Vec<_>>());
    let then = store.at(When::lsn(middle.unwrap())).unwrap().series::<u64>("channels.a").unwrap();
    assert_eq!(values(then.range(..).unwrap()), (24_000..25_000).collect::<Vec<_>>());
    assert_eq!(store.view().series_keys("channels").unwrap(), [("a".to_owned(), 1000)]);
}

#[test]
fn two_hundred_threads_save_at_once_and_nothing_of_it_is_lost() {
    const THREADS: usize = 200;
    const SAVES: u64 = 20;
    let (directory, store) = scratch();
    let start = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, start) = (&store, &start);
            scope.spawn(move || {
                start.wait();
                for save in 0..SAVES {
                    store.set(path!("windows", thread, "save"), &save).unwrap();
                    store.increment("counts.saves", 1).unwrap();
                    // What was acknowledged is there.
                    assert_eq!(store.get::<u64>(path!("windows", thread, "save")).unwrap(), Some(save));
                }
            });
        }
    });
    let store = reopen(&directory, store);
    assert_eq!(store.get::<u64>("counts.saves").unwrap(), Some(THREADS as u64 * SAVES));
    for thread in 0..THREADS {
        assert_eq!(store.get::<u64>(path!("windows", thread, "save")).unwrap(), Some(SAVES - 1));
    }
}

#[test]
fn half_a_megabyte_of_state_takes_less_than_one_on_the_disk_once_compacted() {
    let (directory, path) = place();
    let store = Store::open(&path).unwrap();
    for round in 0..10 {
        // 500 documents of about 1,000 bytes, each written ten times.
        let written = store.transaction(|tx| {
            (0..500).try_for_each(|note| {
                tx.set(path!("notes", note), &format!("{round} {}", "x".repeat(980))).map(drop)
            })
        });
        written.unwrap();
    }
    assert!(store.view().bytes() > 490_000, "{}", store.view().bytes());
    assert!(bytes_in(&path) > 5_000_000);
    let nothing = Retention::forever().age(std::time::Duration::ZERO);
    store.compact(&nothing).unwrap();
    // What is written to stays; the next commit begins another segment.
    store.set("settings.theme", "dark").unwrap();
    store.compact(&nothing).unwrap();
    shut(store);
    let left = bytes_in(&path);
    assert!(left < 1_000_000, "{left}");
    let store = Store::open(&path).unwrap();
    assert!(store.get::<String>("notes.499").unwrap().unwrap().starts_with("9 "));
    drop(store);
    drop(directory);
}

#[test]
fn a_history_of_ten_megabytes_opens_at_its_end_and_shows_its_beginning() {
    let (directory, store) = scratch();
    let buffered = store.with_durability(Durability::Buffered);
    for round in 0..1000_u64 {
        buffered.set("settings.text", &format!("{round} {}", "x".repeat(10_000))).unwrap();
    }
    let store = reopen(&directory, store);
    assert!(store.position().lsn >= Lsn::new(1000));
    assert!(store.get::<String>("settings.text").unwrap().unwrap().starts_with("999 "));
    let changes = store.history("settings.text").unwrap();
    let first = changes.into_iter().next().unwrap().unwrap();
    let then = store.at(When::lsn(first.position.lsn)).unwrap();
    assert!(then.get::<String>("settings.text").unwrap().unwrap().starts_with("0 "));
}
