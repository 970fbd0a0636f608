//! What is offered may be lost and is logged now and then, the newest only; whoever reads sees nothing that is not durable,
//! and a commit comes after all that was offered before it (T14, T34; J4, J12).

#![cfg(all(feature = "sim", feature = "store"))]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is a test")]

use std::sync::Arc;
use std::time::Duration;

use everlog::journal::Background;
use everlog::medium::Sim;
use everlog::store::{Collection, OFFER_INTERVAL, StoreOptions};
use everlog::testing::{Crashes, ManualClock, Outcome};
use everlog::{ErrorKind, Store};

fn options() -> StoreOptions {
    StoreOptions::new().background(Background::Inline).collection(Collection::new("ui").relaxed())
}

struct Bench {
    sim: Sim,
    clock: Arc<ManualClock>,
}

impl Bench {
    fn new() -> Bench {
        let wall = "2026-11-19T18:00:00Z".parse().expect("a time");
        Bench { sim: Sim::new(1), clock: Arc::new(ManualClock::new(wall)) }
    }

    fn open(&self) -> Store {
        options().clock(self.clock.clone()).open_on(Arc::new(self.sim.clone())).expect("opens")
    }
}

#[test]
fn sixty_values_a_second_are_one_record_a_second() {
    let bench = Bench::new();
    let store = bench.open();
    for frame in 0..600 {
        store.offer("ui.list.scroll", &frame).unwrap();
        store.offer("ui.window.x", &frame).unwrap();
        bench.clock.advance(OFFER_INTERVAL / 60);
    }
    assert_eq!(store.offered("ui.list.scroll").unwrap(), Some(599));
    store.close().unwrap();
    drop(store);
    let store = bench.open();
    assert_eq!(store.get("ui.list.scroll").unwrap(), Some(599), "the newest is logged on closing");
    assert_eq!(store.get("ui.window.x").unwrap(), Some(599));
    let records = store.position().lsn.get();
    assert!((20..=44).contains(&records), "{records} records for 1200 values in ten seconds");
}

/// J4: what is held is in no view; J12: a commit sees what was offered before it and comes after it.
#[test]
fn readers_see_what_is_durable_and_commits_come_after_what_was_offered() {
    let bench = Bench::new();
    let store = bench.open();
    store.offer("ui.y", &0).unwrap();
    store.set("notes.a", &0).unwrap();
    let before = store.position();
    store.offer("ui.y", &1).unwrap();
    store.offer("ui.y", &2).unwrap();
    assert_eq!((store.get("ui.y").unwrap(), store.offered("ui.y").unwrap()), (Some(0), Some(2)));
    assert_eq!(store.position(), before, "held, not logged");
    let (seen, receipt) = store
        .transaction(|tx| {
            tx.set("notes.a", &1)?;
            tx.get::<u8>("ui.y")
        })
        .unwrap();
    assert_eq!((seen, receipt.position.lsn), (Some(2), before.lsn.plus(2)), "one record for two values");
    assert_eq!(store.get("ui.y").unwrap(), Some(2));
    store.offer("ui.y", &3).unwrap();
    store.set("ui.y", &4).unwrap();
    bench.clock.advance(OFFER_INTERVAL);
    store.offer("ui.z", &1).unwrap();
    store.snapshot().unwrap();
    assert_eq!(store.get("ui.y").unwrap(), Some(4), "what was set later stays");
    assert_eq!(store.get("ui.z").unwrap(), Some(1), "a snapshot has what was offered");
}

#[test]
fn parents_and_parts_are_set_in_the_order_in_which_they_were_offered() {
    let bench = Bench::new();
    let store = bench.open();
    store.offer("ui.first", &0).unwrap();
    for (path, value) in [
        ("ui.w.x", "1"),
        ("ui.w", "[]"),
        ("ui.w.0", "1"),
        ("ui.w.1", "1"),
        ("ui.w.0", "2"),
        ("ui.v", "{}"),
        ("ui.v.a", "1"),
        ("ui.v", r#"{"b":1}"#),
    ] {
        store.offer(path, &value.parse::<everlog::store::Value>().unwrap()).unwrap();
    }
    store.close().unwrap();
    drop(store);
    let store = bench.open();
    assert_eq!(store.get_value("ui").unwrap().unwrap().to_string(), r#"{"first":0,"v":{"b":1},"w":[2,1]}"#);
}

#[test]
fn only_relaxed_collections_take_offers_and_one_that_cannot_be_set_takes_no_other_with_it() {
    let bench = Bench::new();
    let store = bench.open();
    for path in ["notes.a", "ui", "$everlog.x"] {
        assert_eq!(store.offer(path, &1).expect_err(path).kind(), &ErrorKind::Input);
        assert_eq!(store.offered::<u8>(path).expect_err(path).kind(), &ErrorKind::Input);
    }
    let inside = store.transaction(|_| store.offer("ui.a", &1)).expect_err("inside");
    assert_eq!(inside.kind(), &ErrorKind::Reentered);
    store.offer("ui.a", &1).unwrap();
    store.offer("ui.a.into.a.number", &1).unwrap();
    store.offer("ui.b", &2).unwrap();
    store.set("notes.a", &1).unwrap();
    assert_eq!((store.get("ui.a").unwrap(), store.get("ui.b").unwrap()), (Some(1), Some(2)));
    assert!(store.status().background.is_some(), "it is told");
}

#[test]
fn a_thread_logs_what_is_held_when_nobody_offers_any_more() {
    let directory = tempfile::tempdir().unwrap();
    let options = || StoreOptions::new().collection(Collection::new("ui").relaxed());
    let store = options().open(directory.path().join("store")).unwrap();
    (0..100).for_each(|y| store.offer("ui.y", &y).unwrap());
    let is_logged = || store.get::<u8>("ui.y").unwrap() == Some(99);
    let waited = (0..6000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        is_logged()
    });
    assert!(waited, "{:?}", store.get::<u8>("ui.y"));
}

/// J1: what is offered beside commits takes nothing from what they were acknowledged for, wherever a crash comes.
#[test]
fn whatever_becomes_of_offers_no_acknowledged_commit_is_lost() {
    let workload = |sim: &Sim, acknowledged: &mut u64| -> Outcome {
        let store = options().open_on(Arc::new(sim.clone()))?;
        for number in 1..4 {
            store.offer("ui.y", &(10 * number))?;
            store.offer("ui.y", &(10 * number + 1))?;
            store.set("notes.n", &number)?;
            *acknowledged = number;
        }
        Ok(store.close()?)
    };
    let check = |sim: &Sim, acknowledged: &u64| -> Outcome {
        let store = options().open_on(Arc::new(sim.clone()))?;
        let (number, offered) = (store.get::<u64>("notes.n")?, store.get::<u64>("ui.y")?);
        if number.unwrap_or(0) < *acknowledged {
            return Err(format!("{number:?} of {acknowledged}").into());
        }
        // One order: a commit that is there has what was offered before it.
        if offered.unwrap_or(0) < number.map_or(0, |number| 10 * number + 1) {
            return Err(format!("{offered:?} at {number:?}").into());
        }
        Ok(store.close()?)
    };
    let tally = Crashes::new(5).images(4).recoveries(1, 1).everywhere(workload, check);
    assert!(tally.states > 20, "{tally:?}");
}
