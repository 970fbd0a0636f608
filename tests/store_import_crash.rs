//! An import whose power is cut at any step is there as a whole, with its remembrance, or not at all.

#![cfg(all(feature = "store", feature = "sim"))]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is a test")]

use std::sync::Arc;

use everlog::Store;
use everlog::journal::Background;
use everlog::medium::Sim;
use everlog::store::Import;
use everlog::testing::Crashes;

/// Larger than a frame, so that the transaction spans several.
fn source() -> Vec<u8> {
    let member = |n: usize| format!("\"key {n}\": {{\"body\": \"{}\"}}", "x".repeat(300));
    format!("{{{}}}", (0..12).map(member).collect::<Vec<_>>().join(",")).into_bytes()
}

fn open(sim: &Sim) -> everlog::Result<Store> {
    let small =
        |journal: everlog::journal::Options| journal.segment_bytes(16 << 10, 16 << 10).frame_bytes_max(1024);
    Store::options().journal(small).background(Background::Inline).open_on(Arc::new(sim.clone()))
}

#[test]
fn an_import_is_all_there_or_not_at_all_whenever_the_power_fails() {
    let how = Import::new().as_collection("c");
    let tally = Crashes::new(11).images(4).recoveries(1, 1).run(
        |sim, promised: &mut bool| {
            let store = open(sim)?;
            store.set("c.before", &1)?;
            store.import(source(), &how)?;
            *promised = true;
            Ok(store.close()?)
        },
        |sim, promised| {
            let store = open(sim)?;
            let keys = store.keys("c")?;
            let again = store.import(source(), &how)?;
            let known = again.already_imported.is_some();
            match (keys.len(), known) {
                (13, true) => {}
                (0 | 1, false) if !*promised => {}
                other => return Err(format!("keys and remembrance: {other:?}, promised {promised}").into()),
            }
            if store.keys("c")?.len() < 12 {
                return Err("the second import did not complete it".into());
            }
            Ok(())
        },
    );
    let tally = tally.unwrap_or_else(|violation| panic!("{violation}"));
    assert!(tally.states > 50, "{tally:?}");
}
