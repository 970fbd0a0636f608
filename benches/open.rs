//! How long does opening take with a million records, after a clean close and after a kill?

#![allow(missing_docs, clippy::disallowed_methods, reason = "a benchmark reads the time and files by itself")]

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};

mod paired;

use paired::fill::{Sharing, fill, options};
use paired::{copy, scratch};

const RECORDS: u64 = 1_000_000;

/// Opens a fresh copy of `from` each time; a mended journal is not mended twice.
fn opening(from: &Path, scratch: &Path, times: u64) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..times {
        let path = scratch.join("copy");
        copy(from, &path);
        let start = Instant::now();
        let journal = black_box(options().open(&path).expect("opens"));
        total += start.elapsed();
        drop(journal);
        std::fs::remove_dir_all(&path).expect("removed");
    }
    total
}

fn open(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("open");
    group.sample_size(10).measurement_time(Duration::from_secs(8));
    for snapshot in [false, true] {
        let directory = scratch();
        let (path, killed) = (directory.path().join("journal"), directory.path().join("killed"));
        let journal = options().open(&path).expect("opens");
        fill(&journal, RECORDS, 128, Sharing::Groups);
        if snapshot {
            journal.snapshot().expect("a snapshot");
        }
        copy(&path, &killed);
        journal.close().expect("closes");
        let word = if snapshot { "with a snapshot" } else { "without" };
        for (ending, from) in [("clean", &path), ("killed", &killed)] {
            group.bench_function(format!("{ending}, {word}"), |bencher| {
                bencher.iter_custom(|times| opening(from, directory.path(), times));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, open);
criterion_main!(benches);
