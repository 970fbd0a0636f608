//! Pins beside commits: each transaction stands where it was decided, and memory is what the log says (J10, J12).

#![cfg(all(feature = "sim", feature = "store"))]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is a test")]

use std::sync::Arc;

use everlog::medium::Sim;
use everlog::store::StoreOptions;
use everlog::{Store, When, path};

fn open_on(sim: &Sim) -> Store {
    StoreOptions::new().open_on(Arc::new(sim.clone())).expect("opens")
}

#[test]
fn pins_come_and_go_beside_transactions_and_none_is_moved() {
    let sim = Sim::new(5);
    let store = open_on(&sim);
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
    let store = open_on(&sim);
    assert_eq!(store.view().bytes(), bytes);
    assert!(store.pins().is_empty());
}
