//! What does a store cost: one field of a large document, a read, opening a million documents, a moment of the past?

#![allow(missing_docs, clippy::disallowed_methods, reason = "a benchmark reads the time and files by itself")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use everlog::{Durability, Store, path};

mod paired;

use paired::large::large;
use paired::{copy, scratch};

fn commits(criterion: &mut Criterion) {
    let directory = scratch();
    let store = Store::open(directory.path().join("store")).expect("opens");
    store.set("documents.large", &large()).expect("sets");
    println!("the large document has {} bytes", store.view().bytes());
    let mut group = criterion.benchmark_group("store");
    group.sample_size(20).measurement_time(Duration::from_secs(3)).throughput(Throughput::Elements(1));
    let mut n = 0_u64;
    // Buffered, so that what is measured is the processor's time and a write, not the disk's.
    let buffered = store.with_durability(Durability::Buffered);
    group.bench_function("set one field of 418 KB, buffered", |bencher| {
        bencher.iter(|| {
            n += 1;
            buffered.set(path!("documents", "large", format!("entry{:04}", n % 2500), "n"), &n).expect("sets")
        });
    });
    group.bench_function("set one field of 418 KB, synced", |bencher| {
        bencher.iter(|| {
            n += 1;
            store.set(path!("documents", "large", format!("entry{:04}", n % 2500), "n"), &n).expect("sets")
        });
    });
    group.bench_function("set a small document, buffered", |bencher| {
        bencher.iter(|| {
            n += 1;
            buffered.set(path!("small", n % 1000), &n).expect("sets")
        });
    });
    group.bench_function("get one field of 418 KB", |bencher| {
        bencher.iter(|| black_box(store.get::<u64>("documents.large.entry1234.n").expect("reads")));
    });
    group.bench_function("get and read 418 KB as a type", |bencher| {
        bencher.iter(|| black_box(store.get::<serde_json::Value>("documents.large").expect("reads")));
    });
    group.finish();
    store.close().expect("closes");
    let mut group = criterion.benchmark_group("store");
    group.sample_size(10);
    group.bench_function("open, and touch one field of 418 KB for the first time", |bencher| {
        bencher.iter_custom(|iterations| {
            (0..iterations)
                .map(|_| {
                    let start = Instant::now();
                    let store = Store::open(directory.path().join("store")).expect("opens");
                    black_box(store.get::<u64>("documents.large.entry1234.n").expect("reads"));
                    let passed = start.elapsed();
                    store.close().expect("closes");
                    passed
                })
                .sum()
        });
    });
    group.finish();
}

const DOCUMENTS: u64 = 1_000_000;

fn fill(store: &Store, documents: u64) {
    let text = "x".repeat(150);
    let buffered = store.with_durability(Durability::Buffered);
    for round in 0..documents / 1000 {
        let ((), _) = buffered
            .transaction(|tx| {
                (0..1000).try_for_each(|n| {
                    let id = round * 1000 + n;
                    tx.set(
                        path!("documents", format!("{id:08}")),
                        &serde_json::json!({ "id": id, "text": text }),
                    )
                    .map(drop)
                })
            })
            .expect("sets");
    }
}

/// Memory of its own: pages of mapped files go when others need the room.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let mut pages = status.split(' ').skip(1).filter_map(|pages| pages.parse::<u64>().ok());
    let (all, of_files) = (pages.next().unwrap_or_default(), pages.next().unwrap_or_default());
    all.saturating_sub(of_files) * 4096
}

fn million(criterion: &mut Criterion) {
    let directory = scratch();
    let path = directory.path().join("store");
    let start = Instant::now();
    let store = Store::open(&path).expect("opens");
    fill(&store, DOCUMENTS);
    store.close().expect("closes");
    drop(store);
    println!("{DOCUMENTS} documents filled in {:?}", start.elapsed());
    let before = resident_bytes();
    let store = Store::open(&path).expect("opens");
    println!("opening takes {} KiB of memory", (resident_bytes().saturating_sub(before)) / 1024);
    let mut group = criterion.benchmark_group("store of a million documents");
    group.sample_size(10);
    let mut n = 7_u64;
    group.bench_function("get", |bencher| {
        bencher.iter(|| {
            n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let key = format!("{:08}", (n >> 33) % DOCUMENTS);
            black_box(store.get::<u64>(path!("documents", key, "id")).expect("reads"))
        });
    });
    let last = store.position().lsn.get();
    group.bench_function("as of a random time", |bencher| {
        bencher.iter(|| {
            n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let lsn = 1 + (n >> 33) % last;
            black_box(store.at(everlog::When::lsn(everlog::Lsn::new(lsn))).expect("reads").bytes())
        });
    });
    store.close().expect("closes");
    drop(store);
    group.bench_function("open after a clean close", |bencher| {
        bencher.iter_custom(|iterations| {
            (0..iterations)
                .map(|_| {
                    let start = Instant::now();
                    let store = Store::open(&path).expect("opens");
                    let passed = start.elapsed();
                    store.close().expect("closes");
                    passed
                })
                .sum()
        });
    });
    group.finish();
}

/// Memory that the series of an application take, before and after a snapshot.
fn channels(_: &mut Criterion) {
    const CHANNELS: usize = 200;
    const SAMPLES: u64 = 1000;
    let directory = scratch();
    let store = Store::open(directory.path().join("store")).expect("opens");
    let buffered = store.with_durability(Durability::Buffered);
    let series: Vec<_> = (0..CHANNELS)
        .map(|channel| buffered.series::<serde_json::Value>(path!("channels", channel)))
        .collect();
    let before = resident_bytes();
    for sample in 0..SAMPLES {
        let taken = store.transaction(|tx| {
            series
                .iter()
                .try_for_each(|series| tx.push(series, &serde_json::json!({ "latency": sample, "ok": true })))
        });
        taken.expect("pushes");
    }
    let megabytes = || resident_bytes().saturating_sub(before) as f64 / 1e6;
    println!("{CHANNELS} channels of {SAMPLES} samples take {:.1} MB of memory", megabytes());
    store.snapshot().expect("makes a snapshot");
    println!("and behind a snapshot {:.1} MB", megabytes());
    store.close().expect("closes");
}

/// What a kill leaves: 10 MB of log behind no snapshot at all, and 10,000 documents.
fn killed(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("open a store after a kill");
    group.sample_size(10);
    for (name, documents) in [("10,000 documents", 10_000), ("10 MB of log", 42_000)] {
        let directory = scratch();
        let (path, left) = (directory.path().join("store"), directory.path().join("killed"));
        let store = Store::open(&path).expect("opens");
        fill(&store, documents);
        copy(&path, &left);
        println!("{name}: the log has {} records", store.position().lsn.get());
        store.close().expect("closes");
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| {
                let one = |_| {
                    let path = directory.path().join("copy");
                    copy(&left, &path);
                    let start = Instant::now();
                    let store = Store::open(&path).expect("opens");
                    let passed = start.elapsed();
                    store.close().expect("closes");
                    std::fs::remove_dir_all(&path).expect("removed");
                    passed
                };
                (0..iterations).map(one).sum()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, channels, commits, killed, million);
criterion_main!(benches);
