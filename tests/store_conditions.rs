//! What a transaction demands is decided inside the order, exactly, and answered when what it saw is durable (J4, J12).

#![cfg(all(feature = "sim", feature = "store"))]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "this is a test")]

mod store_kit;

use std::time::Duration;

use everlog::journal::Retention;
use everlog::medium::Sim;
use everlog::medium::sim::Crash;
use everlog::store::{Collection, Expected, ONCE_AGE, ONCE_KEYS_MAX};
use everlog::{Durability, ErrorKind, Position, Store, Timestamp, path};
use proptest::prelude::*;
use store_kit::{clock, clocked, kind, on, quiet, small, threads};

/// Lets the past go, for which it takes some more of the present.
fn forget(store: &Store) {
    for n in 0..400 {
        store.set("filler.n", &format!("{n:0100}")).expect("commits");
    }
    store.compact(&Retention::forever().bytes(40_000)).expect("compacts");
}

/// E11: a revision says whether something changed.
#[test]
fn compare_and_set_sets_only_over_what_was_expected_and_names_what_is_there() {
    let store = on(small(), &Sim::new(1));
    let first = store.compare_and_set("notes.1", Expected::Absent, "Milk").unwrap();
    let error = store.compare_and_set("notes.1", Expected::Absent, "Eggs").expect_err("taken");
    assert_eq!(error.kind(), &ErrorKind::Conflict);
    assert!(
        error.what().contains(r#""Milk""#) && error.what().contains(&first.position.to_string()),
        "{error}"
    );
    let second = store.compare_and_set("notes.1", first.position, "Eggs").unwrap();
    assert_eq!(kind(store.compare_and_set("notes.1", first.position, "Bread")), ErrorKind::Conflict);
    store.compare_and_set("notes.1", Expected::value("Eggs").unwrap(), "Bread").unwrap();
    assert_eq!(
        kind(store.compare_and_set("notes.1", Expected::value("Eggs").unwrap(), "x")),
        ErrorKind::Conflict
    );
    assert_eq!(kind(store.compare_and_set("notes.2", second.position, "x")), ErrorKind::Conflict);
    assert_eq!(store.get::<String>("notes.1").unwrap().as_deref(), Some("Bread"));
    let outcome = store.transaction(|tx| {
        tx.set("notes.3", "kept back")?;
        tx.compare_and_set("notes.3", Expected::value("kept back")?, "seen")?;
        tx.compare_and_set("notes.1", Expected::Absent, "x")
    });
    assert_eq!(kind(outcome), ErrorKind::Conflict);
    assert!(!store.contains("notes.3").unwrap());
}

#[test]
fn of_many_who_compare_and_set_the_same_revision_one_gets_it() {
    let store = threads(&Sim::new(2));
    let mut revision = store.set("a.b", &0).unwrap().position;
    for _ in 0..20 {
        let winners: Vec<Position> = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..4)
                .map(|thread| {
                    let store = &store;
                    scope.spawn(move || store.compare_and_set("a.b", revision, &[thread, revision.lsn.get()]))
                })
                .collect();
            racers
                .into_iter()
                .filter_map(|racer| racer.join().expect("no panic").ok())
                .map(|r| r.position)
                .collect()
        });
        assert_eq!(winners.len(), 1);
        revision = winners[0];
    }
}

/// J4: a conflict says what is there, so that must be durable.
#[test]
fn a_conflict_is_answered_only_when_what_it_saw_is_durable() {
    let sim = Sim::new(3);
    let store = on(small(), &sim);
    store.set("a.b", &0).unwrap();
    drop(store.with_durability(Durability::Buffered).submit(|tx| tx.set("a.b", &1)).unwrap());
    assert_eq!(kind(store.compare_and_set("a.b", Expected::value(&0).unwrap(), &2)), ErrorKind::Conflict);
    let after = on(small(), &sim.crash(Crash::LoseAll));
    assert_eq!(after.get::<u64>("a.b").unwrap(), Some(1));
}

#[test]
fn a_prefix_that_did_not_change_since_a_position_lets_through_and_others_do_not() {
    let store = on(small(), &Sim::new(4));
    store.set("notes.1", &serde_json::json!({"title": "Milk", "tags": ["a", "b"], "n": 1})).unwrap();
    store.set("notes.2", "Eggs").unwrap();
    let since = store.set("settings.theme", "dark").unwrap().position;
    let unchanged = |prefix: &str| match store.transaction(|tx| tx.require_unchanged(prefix, since)) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), &ErrorKind::Conflict, "{error}");
            assert!(error.lsn().is_some_and(|lsn| lsn > since.lsn), "{error}");
            false
        }
    };
    for prefix in ["notes", "notes.1", "notes.1.title", "notes.3", "elsewhere", "settings.theme"] {
        assert!(unchanged(prefix), "{prefix}");
    }
    store.set("notes.1.n", &2).unwrap();
    assert!(!unchanged("notes") && !unchanged("notes.1") && !unchanged("notes.1.n"));
    assert!(unchanged("notes.1.title") && unchanged("notes.2") && unchanged("notes.3"), "exactly there");
    // All of the document is set, and most of it to what it was.
    store.set("notes.1", &serde_json::json!({"title": "Milk", "tags": ["a", "b"], "n": 3})).unwrap();
    assert!(unchanged("notes.1.title") && unchanged("notes.1.tags.1") && !unchanged("notes.1.n"));
    store.remove("notes.1.tags.0").unwrap();
    assert!(!unchanged("notes.1.tags.1") && !unchanged("notes.1.tags") && unchanged("notes.1.title"));
    store.transaction(|tx| tx.set("notes.4", &1)).unwrap();
    store.remove("notes.4").unwrap();
    assert!(!unchanged("notes.4"), "there and gone again");
    store.remove("notes").unwrap();
    assert!(!unchanged("notes.1.title") && !unchanged("notes.2") && unchanged("notes.9"));
    let own = store.transaction(|tx| {
        tx.set("settings.theme", "light")?;
        tx.require_unchanged("settings", since)
    });
    assert!(own.is_ok(), "what the transaction itself does is not meant");
}

#[test]
fn changes_that_are_not_durable_yet_count_and_positions_that_cannot_be_compared_are_refused() {
    let sim = Sim::new(5);
    let store = on(small(), &sim);
    store.set("notes.1", &serde_json::json!({"title": "Milk"})).unwrap();
    let since = store.position();
    drop(store.submit(|tx| tx.set("notes.1", &serde_json::json!({"title": "Milk", "n": 1}))).unwrap());
    drop(store.submit(|tx| tx.set("notes.2.title", "Eggs")).unwrap());
    let outcome = store.transaction(|tx| {
        tx.require_unchanged("notes.1.title", since)?;
        tx.require_unchanged("notes.3", since)?;
        let changed = tx.require_unchanged("notes.1.n", since).is_err();
        Ok((changed, tx.require_unchanged("notes.2.title", since).is_err()))
    });
    assert_eq!(outcome.unwrap().0, (true, true));
    let lost =
        store.with_durability(Durability::Buffered).submit(|tx| tx.set("notes.4", &1)).unwrap().position();
    let store = on(small(), &sim.crash(Crash::LoseAll));
    store.set("notes.5", &1).unwrap();
    let outcome = store.transaction(|tx| tx.require_unchanged("notes.6", lost));
    assert!(matches!(kind(outcome), ErrorKind::Diverged { .. }));
    store.set("notes.1.n", &2).unwrap();
    forget(&store);
    assert!(store.horizon().lsn > since.lsn, "the past is gone");
    let outcome = store.transaction(|tx| tx.require_unchanged("notes.1.title", since));
    assert!(matches!(kind(outcome), ErrorKind::BeforeHorizon { .. }));
    store.transaction(|tx| tx.require_unchanged("elsewhere", since)).expect("needs no log");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The condition against what a comparison of every state in between says.
    #[test]
    fn the_condition_says_what_comparing_all_states_says(
        steps in proptest::collection::vec((0..3_u8, 0..3_usize, 0..3_usize, 0..2_u8), 1..12),
        at in 0..12_usize,
    ) {
        let store = on(small(), &Sim::new(6));
        let documents = ["c.a", "c.b", "d.a"];
        let inner = ["", ".x", ".0"];
        let mut positions = vec![store.position()];
        for (what, document, part, value) in steps {
            let path = format!("{}{}", documents[document], inner[part]);
            let done = match what {
                0 => store.set(&path, &value),
                1 => store.set(&path, &serde_json::json!({"x": value, "0": [value, 1, 0]})),
                _ => store.remove(&path),
            };
            if let Ok(receipt) = done {
                positions.push(receipt.position);
            }
        }
        let since = positions[at % positions.len()];
        for prefix in ["c", "c.a", "c.b.x", "c.a.0", "c.a.0.1", "d", "d.a.x", "e.f"] {
            let states: Vec<_> = positions
                .iter()
                .filter(|position| position.lsn >= since.lsn)
                .map(|position| store.at(*position).unwrap().get_value(prefix).unwrap())
                .collect();
            let same = states.iter().all(|state| *state == states[0]);
            let told = store.transaction(|tx| tx.require_unchanged(prefix, since)).is_ok();
            prop_assert_eq!(told, same, "{} since {}: {:?}", prefix, since, states);
        }
    }
}

/// S05: at most once in an interval.
#[test]
fn at_most_once_in_an_interval_is_decided_by_the_times_of_the_records() {
    let sim = Sim::new(7);
    let clock = clock();
    let store = clocked(&sim, &clock);
    let minute = Duration::from_secs(60);
    let once = |store: &Store| {
        store.transaction(|tx| {
            tx.at_most_once_per("snapshot", minute)?;
            tx.increment("counters.snapshots", 1)
        })
    };
    once(&store).unwrap();
    let error = once(&store).expect_err("too soon");
    assert_eq!(error.kind(), &ErrorKind::Conflict);
    assert!(error.what().contains("2026-11-19T18:01:00Z"), "says when it may be again: {error}");
    clock.advance(minute - Duration::from_micros(1));
    assert_eq!(kind(once(&store)), ErrorKind::Conflict);
    store.transaction(|tx| tx.at_most_once_per("another", minute)).unwrap();
    clock.set_wall(Timestamp::ZERO);
    assert_eq!(kind(once(&store)), ErrorKind::Conflict, "a clock that went back allows nothing");
    clock.set_wall("2026-11-19T18:01:00Z".parse().unwrap());
    store.close().unwrap();
    drop(store);
    let store = clocked(&sim, &clock);
    assert_eq!(once(&store).unwrap().0, 2, "after the interval, also after a restart");
    for n in 0..100 {
        clock.advance(minute * 61);
        store.transaction(|tx| tx.at_most_once_per(&format!("key {n}"), minute)).unwrap();
    }
    let kept = store.get_value("$everlog").unwrap().expect("the store's own");
    assert!(kept.as_object().expect("documents").len() < 10, "keys that are over are let go: {kept}");
    assert_eq!(kind(store.transaction(|tx| tx.at_most_once_per("", minute))), ErrorKind::Input);
}

#[test]
fn a_key_counts_by_the_interval_that_is_asked_for_and_not_by_an_earlier_one() {
    let clock = clock();
    let store = clocked(&Sim::new(17), &clock);
    let once = |key: &str, interval: Duration| store.transaction(|tx| tx.at_most_once_per(key, interval));
    let moment = Duration::from_millis(10);
    once("k", moment).unwrap();
    clock.advance(5 * moment);
    for n in 0..5 {
        once(&format!("j{n}"), moment).unwrap();
    }
    assert_eq!(kind(once("k", Duration::from_secs(3600))), ErrorKind::Conflict);
    assert!(once("k", moment).is_ok(), "by the shorter one it is over");
}

#[test]
fn a_transaction_with_a_key_happens_once_and_answers_as_it_did_the_first_time() {
    let sim = Sim::new(8);
    let store = on(small(), &sim);
    let pay = |store: &Store| {
        store.transaction_once("order 17", |tx| {
            tx.increment("balance.cents", -500)?;
            tx.set("orders.17", "paid")?;
            Ok(("paid".to_owned(), 500))
        })
    };
    let failed =
        store.transaction_once("order 17", |tx| tx.set("balance.cents.x.y", &1).and(tx.increment("x", 1)));
    assert!(failed.is_err(), "a key is not used by one that fails");
    let first = pay(&store).unwrap();
    assert!(!first.repeated);
    assert_eq!(first.receipt.first_lsn.get(), 1);
    assert_eq!(first.receipt.position, store.position());
    let again = pay(&store).unwrap();
    assert!(again.repeated);
    assert_eq!((&again.answer, again.receipt), (&first.answer, first.receipt));
    let store = on(small(), &sim.crash(Crash::LoseAll));
    let again = pay(&store).unwrap();
    assert_eq!((again.repeated, again.receipt, again.answer), (true, first.receipt, first.answer));
    assert_eq!(store.get::<i64>("balance.cents").unwrap(), Some(-500));
    let other = store.transaction_once::<u64>("order 17", |_| Ok(1));
    assert_eq!(kind(other), ErrorKind::WrongType);
    assert_eq!(store.view().collections(), ["balance", "orders"]);
    for refused in [store.remove("$everlog"), store.set("$everlog.keys", &1), store.merge("$own.x", &1)] {
        assert_eq!(kind(refused), ErrorKind::Input, "that is the store's own");
    }
}

/// What bounds remove belongs to the transaction, and its receipt tells where all of it ends.
#[test]
fn a_repeated_transaction_with_a_key_answers_the_same_receipt_where_bounds_removed_something() {
    let open = |sim: &Sim| on(quiet().collection(Collection::new("recent").keep_last(1)), sim);
    let sim = Sim::new(8);
    let store = open(&sim);
    store.set("recent.a", &1).unwrap();
    let add = |store: &Store| store.transaction_once("add", |tx| tx.set("recent.b", &1)).unwrap();
    let first = add(&store);
    assert_eq!(store.keys("recent").unwrap(), ["b"]);
    assert_eq!(first.receipt.position, store.position());
    assert_eq!(add(&store).receipt, first.receipt);
    let store = open(&sim.crash(Crash::LoseAll));
    let again = add(&store);
    assert_eq!((again.repeated, again.receipt), (true, first.receipt));
}

/// C10: of many who ask at once, one does it.
#[test]
fn of_many_threads_with_the_same_keys_each_key_happens_once() {
    let store = threads(&Sim::new(9));
    let ran: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let once =
                        |n: usize| store.transaction_once(&format!("key {n}"), |tx| tx.increment("a.n", 1));
                    (0..30).filter(|n| !once(*n).expect("commits").repeated).count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!((ran, store.get::<usize>("a.n").unwrap()), (30, Some(30)));
}

#[test]
fn keys_are_forgotten_by_number_and_by_age_but_never_the_newest() {
    let clock = clock();
    let store = clocked(&Sim::new(10), &clock).with_durability(Durability::Buffered);
    let once = |n: usize| store.transaction_once(&format!("key {n}"), |_| Ok(n)).unwrap().repeated;
    let kept = || {
        store.wait(store.set("other.n", &0).unwrap().position).unwrap();
        store.get_value("$everlog.keys").unwrap().expect("keys").as_object().expect("keys").len()
    };
    for n in 0..ONCE_KEYS_MAX + 5 {
        assert!(!once(n));
    }
    assert_eq!(kept(), ONCE_KEYS_MAX);
    assert!(once(5) && once(ONCE_KEYS_MAX + 4), "the newest are known");
    assert!(!once(0), "the oldest is not");
    assert!(store.contains(path!("$everlog", "key:key 7")).unwrap());
    clock.advance(ONCE_AGE + Duration::from_secs(1));
    let first = ONCE_KEYS_MAX + 5;
    for n in first..first + 500 {
        assert!(!once(n));
    }
    assert_eq!(kept(), ONCE_KEYS_MAX - 500, "two old ones go with each new one");
    for n in first + 500..first + ONCE_KEYS_MAX {
        assert!(!once(n));
    }
    assert!(once(first), "of those that came since none went");
}
