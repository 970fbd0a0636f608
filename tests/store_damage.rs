//! A block of a run that rots is told when it is touched, never returned and never dropped by a merge; the log brings back
//! what it had (J6, J9; E08, E37).

#![cfg(all(feature = "sim", feature = "store"))]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is a test")]

mod store_kit;

use everlog::journal::Retention;
use everlog::medium::Sim;
use everlog::store::StoreOptions;
use everlog::{ErrorKind, Store, path};
use store_kit::{on, quiet};

const COUNT: usize = 400;

fn options() -> StoreOptions {
    quiet().journal(|journal| journal.segment_bytes(64 << 10, 64 << 10))
}

fn text(n: usize) -> String {
    format!("{n}-{}", "x".repeat(300))
}

fn filled() -> Sim {
    let sim = Sim::new(3);
    let store = on(options(), &sim);
    for n in 0..COUNT {
        store.set(path!("notes", format!("{n:04}")), &text(n)).unwrap();
    }
    store.snapshot().unwrap();
    store.close().unwrap();
    sim
}

/// Damages the middle of the largest run.
fn rot(sim: &Sim) -> String {
    let runs = sim.files().into_iter().filter(|(name, _)| name.ends_with(".run"));
    let (name, bytes) = runs.max_by_key(|(_, bytes)| *bytes).expect("a run");
    sim.flip(&name, bytes / 2, 0x10).unwrap();
    name
}

fn readable(store: &Store) -> (usize, Option<everlog::Error>) {
    let mut damaged = None;
    let mut count = 0;
    for n in 0..COUNT {
        match store.get::<String>(path!("notes", format!("{n:04}"))) {
            Ok(found) => {
                assert_eq!(found, Some(text(n)), "what is returned is what was written");
                count += 1;
            }
            Err(error) => damaged = Some(error),
        }
    }
    (count, damaged)
}

#[test]
fn a_rotten_block_is_told_when_touched_and_the_log_brings_it_back() {
    let sim = filled();
    let run = rot(&sim);
    let store = on(options(), &sim);
    let (count, damaged) = readable(&store);
    let error = damaged.expect("some of it is damaged");
    assert!(count > COUNT / 2, "only a block is: {count} of {COUNT}");
    assert_eq!(error.kind(), &ErrorKind::Damaged);
    assert!(error.to_string().contains(&run) && error.what().contains("lost are the keys from"), "{error}");
    // Changes beside it go on, and a snapshot that does not touch it takes nothing away.
    store.set("notes.more", &1).unwrap();
    store.mend().unwrap();
    assert_eq!(readable(&store).0, COUNT);
    store.close().unwrap();
    let store = on(options(), &sim);
    assert_eq!(readable(&store).0, COUNT);
    assert_eq!(store.get::<u8>("notes.more").unwrap(), Some(1));
}

#[test]
fn a_merge_over_a_rotten_block_never_leaves_out_what_it_had() {
    let sim = filled();
    rot(&sim);
    let store = on(options(), &sim);
    // So much that the runs would be merged.
    for n in 0..COUNT {
        store.set(path!("other", n), &text(n)).unwrap();
    }
    // It is made from the log instead, which is whole.
    store.snapshot().unwrap();
    assert_eq!(readable(&store).0, COUNT);
}

#[test]
fn what_only_the_rotten_block_had_is_refused_and_the_rest_stays() {
    let sim = filled();
    let store = on(options(), &sim);
    for n in 0..COUNT {
        store.set(path!("other", n), &text(n)).unwrap();
    }
    store.snapshot().unwrap();
    store.compact(&Retention::forever().bytes(1)).unwrap();
    assert!(store.horizon().lsn.get() > COUNT as u64, "the log of it is gone");
    store.close().unwrap();
    // The horizon stands on one snapshot, and there is a second from which the newest state could be rebuilt: both rot.
    for (name, bytes) in sim.files().into_iter().filter(|(name, _)| name.ends_with(".run")) {
        sim.flip(&name, bytes / 2, 0x10).unwrap();
    }
    let store = on(options(), &sim);
    let all = |store: &Store| {
        let read =
            |n: &usize| store.get::<String>(path!("other", n)).is_ok_and(|found| found == Some(text(*n)));
        readable(store).0 + (0..COUNT).filter(read).count()
    };
    let count = all(&store);
    assert!(count > COUNT && count < 2 * COUNT, "{count}");
    assert_eq!(store.mend().expect_err("nothing else has it").kind(), &ErrorKind::Damaged);
    assert_eq!(all(&store), count, "the rest is as readable as before");
    store.set("more.a", &1).unwrap();
    assert_eq!(store.get::<u8>("more.a").unwrap(), Some(1));
}
