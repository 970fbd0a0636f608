//! Pins beside commits: each transaction stands where it was decided, and memory is what the log says (J10, J12).

#![cfg(all(feature = "sim", feature = "store"))]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is a test")]

mod store_kit;

use everlog::medium::Sim;
use everlog::medium::sim::Crash;
use everlog::{ErrorKind, When, path};
use store_kit::{inline, threads};

#[test]
fn pins_come_and_go_beside_transactions_and_none_is_moved() {
    let sim = Sim::new(5);
    let store = threads(&sim);
    store.set("a.start", &0).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..60 {
                let name = format!("pin{n}");
                store.pin(&name, When::now(), "").unwrap();
                store.unpin(&name).unwrap();
            }
        });
        for writer in 0..3 {
            let store = &store;
            scope.spawn(move || {
                let series = store.series::<u32>(path!("log", writer)).keep_last(1);
                for n in 0..60 {
                    store
                        .transaction(|tx| {
                            tx.push(&series, &n)?;
                            tx.push(&series, &(n + 1))?;
                            tx.set(path!("a", writer), &n).map(drop)
                        })
                        .unwrap();
                }
            });
        }
    });
    // Compares what is in memory with the fold of the log.
    store.snapshot().unwrap();
    let bytes = store.view().bytes();
    for writer in 0..3 {
        assert_eq!(store.series::<u32>(path!("log", writer)).len().unwrap(), 1);
    }
    store.close().unwrap();
    drop(store);
    let store = threads(&sim);
    assert_eq!(store.view().bytes(), bytes);
    assert!(store.pins().is_empty());
}

/// Only what was declared so is relaxed; a transaction with a pin and nothing else is nobody's to relax.
#[test]
fn a_pin_before_nothing_is_durable_when_it_is_answered() {
    let sim = Sim::new(6);
    let store = inline(&sim);
    store.set("a.start", &0).unwrap();
    store.pin_before("here", |_| Ok(())).unwrap();
    let store = threads(&sim.crash(Crash::LoseAll));
    assert_eq!(store.pins().len(), 1);
}

/// A pin has its place in the order as a commit has: memory is at its position, and stays so after a crash.
#[test]
fn a_pin_moves_the_store_on_as_a_commit_does() {
    let sim = Sim::new(7);
    let store = threads(&sim);
    let set = store.set("a.b", &1).unwrap();
    let pinned = store.pin("one", set.position, "a note").unwrap();
    assert_eq!(store.view().position(), pinned.position);
    assert_eq!(store.unpin("two").unwrap_err().kind(), &ErrorKind::Absent);
    assert_eq!(store.pin("", set.position, "").unwrap_err().kind(), &ErrorKind::Input);
    let moved = store.pin("one", pinned.position, "").unwrap();
    let pins = store.pins();
    assert_eq!((pins.len(), pins[0].position), (1, pinned.position));
    let store = threads(&sim.crash(Crash::LoseAll));
    assert_eq!(store.view().position(), moved.position);
    assert_eq!(store.at(When::pin("one")).unwrap().get::<u8>("a.b").unwrap(), Some(1));
}
