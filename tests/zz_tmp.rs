//! Temporary test of something, to be removed.
#![allow(clippy::unwrap_used)]
use everlog::journal::Background;
use everlog::medium::Sim;
use everlog::store::StoreOptions;
use std::sync::Arc;
#[test]
fn snapshots() {
    let sim = Sim::new(1);
    let store = StoreOptions::new().background(Background::Inline).open_on(Arc::new(sim.clone())).unwrap();
    store.set("other.x", "1:1").unwrap();
    for n in 0..3 {
        store.set("a.b", &n).unwrap();
        eprintln!("snapshot {n}");
        store.snapshot().unwrap();
    }
}
