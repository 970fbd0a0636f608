//! How long does it take to find the first record at or after a random time among a million?

#![allow(missing_docs, reason = "a benchmark")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};

mod paired;

use paired::fill::{Sharing, fill, options};
use paired::scratch;

const RECORDS: u64 = 1_000_000;

fn as_of(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("as of");
    for sharing in [Sharing::Alone, Sharing::Groups] {
        let directory = scratch();
        let journal = options().open(directory.path().join("journal")).expect("opens");
        fill(&journal, RECORDS, 128, sharing);
        let first = journal.records().expect("readable").next().expect("one").expect("checks").time;
        let span = journal.append(b"end").expect("appends").time.since(first);
        // A fixed sequence, so that two runs ask for the same shares of the time.
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        group.bench_function(format!("first record since a random time, {sharing:?}"), |bencher| {
            bencher.iter(|| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let share = (state >> 40) as f64 / (1_u64 << 24) as f64;
                let time = first.plus(span.mul_f64(share));
                let record =
                    journal.records_since(time).expect("readable").next().expect("one").expect("checks");
                assert!(black_box(record).time >= time);
            });
        });
        journal.close().expect("closes");
    }
    group.finish();
}

criterion_group!(benches, as_of);
criterion_main!(benches);
