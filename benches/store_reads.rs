//! What do pages, ranges, series, watches, schemas and pins of a store cost?

#![allow(missing_docs, clippy::disallowed_methods, reason = "a benchmark reads the time and files by itself")]

use std::hint::black_box;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use everlog::store::{Path, Schema};
use everlog::{Durability, Store, path};

mod paired;

use paired::large::large;
use paired::{Pairs, scratch};

const ENTRIES: u64 = 1_000_000;

/// Numbers that look random, the same in each run.
fn next(n: &mut u64) -> u64 {
    *n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    *n >> 33
}

fn fill(store: &Store) {
    let buffered = store.with_durability(Durability::Buffered);
    let series = buffered.series::<u64>("log.samples");
    for round in 0..ENTRIES / 1000 {
        let filled = buffered.transaction(|tx| {
            (round * 1000..(round + 1) * 1000).try_for_each(|n| {
                tx.push(&series, &n)?;
                tx.set(path!("documents", format!("{n:08}")), &n).map(drop)
            })
        });
        filled.expect("fills");
    }
}

fn reads(criterion: &mut Criterion) {
    let directory = scratch();
    let store = Store::open(directory.path().join("store")).expect("opens");
    fill(&store);
    store.snapshot().expect("makes a snapshot");
    let series = store.series::<u64>("log.samples");
    let times: Vec<_> =
        series.latest(usize::MAX).expect("reads").into_iter().map(|entry| entry.time).collect();
    let mut n = 7;
    let mut group = criterion.benchmark_group("store with a million documents and a series of a million");
    group.sample_size(20);
    group.bench_function("the latest 20 of the series", |bencher| {
        bencher.iter(|| black_box(series.latest(20).expect("reads")));
    });
    group.bench_function("the 1,000 entries of a random time", |bencher| {
        bencher.iter(|| {
            let time = times[next(&mut n) as usize % times.len()];
            black_box(series.range(time..=time).expect("reads"))
        });
    });
    group.bench_function("100 documents from a random key on", |bencher| {
        bencher.iter(|| {
            let from = next(&mut n) % (ENTRIES - 100);
            let (from, to) = (format!("{from:08}"), format!("{:08}", from + 100));
            black_box(store.view().range("documents", from.as_str()..to.as_str()).expect("reads"))
        });
    });
    group.bench_function("a page of 20 behind a cursor", |bencher| {
        let cursor = store.view().page("documents", Some(100), None).expect("reads").next;
        bencher
            .iter(|| black_box(store.view().page("documents", Some(20), cursor.as_deref()).expect("reads")));
    });
    let buffered = store.with_durability(Durability::Buffered).series::<u64>("log.samples");
    group.bench_function("push, buffered", |bencher| {
        bencher.iter(|| buffered.push(&next(&mut n)).expect("pushes"));
    });
    let last = store.position().lsn.get();
    group.bench_function("as of a random moment, and get", |bencher| {
        bencher.iter(|| {
            let lsn = everlog::Lsn::new(1 + next(&mut n) % last);
            let view = store.at(everlog::When::lsn(lsn)).expect("reads");
            black_box(view.get::<u64>("documents.00000000").expect("reads"))
        });
    });
    group.finish();
    store.close().expect("closes");
}

const MEMBER: &str = r#"{"type": "object", "additionalProperties": {
    "type": "object",
    "required": ["title", "done", "tags", "n"],
    "properties": {
        "title": {"type": "string", "maxLength": 200}, "done": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}}, "n": {"type": "integer", "minimum": 0}
    }
}}"#;

fn writes(criterion: &mut Criterion) {
    let directory = scratch();
    let plain = Store::open(directory.path().join("plain")).expect("opens");
    let ruled = Store::options().schema("documents", Schema::each(MEMBER));
    let ruled = ruled.open(directory.path().join("ruled")).expect("opens");
    let mut group = criterion.benchmark_group("store, one field of 418 KB, buffered");
    group.sample_size(20);
    for (name, store) in [("without a schema", &plain), ("with a schema", &ruled)] {
        store.set("documents.large", &large()).expect("sets");
        let buffered = store.with_durability(Durability::Buffered);
        let mut n = 0_u64;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                n += 1;
                let path = path!("documents", "large", format!("entry{:04}", n % 2500), "n");
                buffered.set(path, &n).expect("sets")
            });
        });
    }
    group.finish();
}

/// A commit behind a pin of its own beside a plain one, in slices that take turns.
fn pins(_: &mut Criterion) {
    const SLICE: Duration = Duration::from_millis(20);
    const ROUNDS: usize = 300;
    let directory = scratch();
    let store = Store::open(directory.path().join("store")).expect("opens");
    store.set("documents.large", &large()).expect("sets");
    println!("\n| one field of 418 KB | behind a pin /s | plain /s | ratio | middle half | pairs |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for (name, durability) in [("buffered", Durability::Buffered), ("synced", Durability::Synced)] {
        let store = store.with_durability(durability);
        let mut n = 0_u64;
        let mut slice = |commit: &dyn Fn(Path, u64)| {
            let (start, first) = (Instant::now(), n);
            while start.elapsed() < SLICE {
                n += 1;
                commit(path!("documents", "large", format!("entry{:04}", n % 2500), "n"), n);
            }
            (n - first, start.elapsed())
        };
        let plain = |path, n| {
            store.set(path, &n).expect("sets");
        };
        let pinned = |path, n| {
            store.pin_before("here", |tx| tx.set(path, &n)).expect("sets");
        };
        let mut pairs = Pairs::default();
        for round in 0..ROUNDS {
            // Who goes first takes turns, too.
            let (behind, before) = match round % 2 {
                0 => (slice(&pinned), slice(&plain)),
                _ => {
                    let before = slice(&plain);
                    (slice(&pinned), before)
                }
            };
            pairs.add(behind, before);
        }
        println!("{}", pairs.line(name));
    }
    store.close().expect("closes");
}

/// From the acknowledgement of a commit to a thread that waits for the change.
fn watch(criterion: &mut Criterion) {
    let directory = scratch();
    let store = Store::open(directory.path().join("store")).expect("opens");
    let (tell, told) = channel();
    let mut watch = store.watch("settings").expect("watches");
    std::thread::spawn(move || {
        while let Some(Ok(_)) = watch.next() {
            if tell.send(Instant::now()).is_err() {
                return;
            }
        }
    });
    // That there is nothing yet, and that all is told.
    let caught_up = told.recv_timeout(Duration::from_secs(10));
    caught_up.expect("is told");
    let mut n = 0_u64;
    criterion.bench_function("store: from the answer to a commit to a thread that watches", |bencher| {
        bencher.iter_custom(|iterations| {
            let one = |_| {
                n += 1;
                store.set("settings.n", &n).expect("sets");
                let answered = Instant::now();
                told.recv().expect("is told").saturating_duration_since(answered)
            };
            (0..iterations).map(one).sum()
        });
    });
    store.close().expect("closes");
}

criterion_group!(benches, reads, writes, pins, watch);
criterion_main!(benches);
