//! How many records a second does a replay deliver, against a plain scan with a checksum of the same files?

#![allow(missing_docs, clippy::disallowed_methods, reason = "a benchmark reads files by itself")]

use std::hint::black_box;
use std::io::Read;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

mod paired;

use paired::fill::{Sharing, fill, options};
use paired::scratch;

const RECORDS: u64 = 1_000_000;

/// Reads every segment through a buffer of 256 KiB and sums it: what any verifying reader pays at least.
fn scan(directory: &Path) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    let mut buffer = vec![0; 256 * 1024];
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let mut file = std::fs::File::open(entry.expect("an entry").path()).expect("a file");
        while let Ok(count @ 1..) = file.read(&mut buffer) {
            sum.update(&buffer[..count]);
        }
    }
    sum.finalize()
}

fn replay(criterion: &mut Criterion) {
    for sharing in [Sharing::Alone, Sharing::Groups] {
        let directory = scratch();
        let path = directory.path().join("journal");
        let journal = options().open(&path).expect("opens");
        fill(&journal, RECORDS, 128, sharing);
        journal.close().expect("closes");
        let reader = options().read_only().open(&path).expect("opens");
        let mut group = criterion.benchmark_group(format!("replay/{sharing:?}"));
        group.sample_size(10).throughput(Throughput::Elements(RECORDS));
        group.bench_function("plain scan with crc32", |bencher| bencher.iter(|| black_box(scan(&path))));
        group.bench_function("lent records", |bencher| {
            bencher.iter(|| {
                let (mut cursor, mut bytes) = (reader.records().expect("readable"), 0);
                while let Some(record) = cursor.read().expect("checks") {
                    bytes += record.payload.len();
                }
                assert_eq!(bytes as u64, RECORDS * 128 + 4);
            });
        });
        group.bench_function("records", |bencher| {
            bencher.iter(|| {
                let records = reader.records().expect("readable");
                let bytes: usize = records.map(|record| record.expect("checks").payload.len()).sum();
                assert_eq!(bytes as u64, RECORDS * 128 + 4);
            });
        });
        group.finish();
    }
}

criterion_group!(benches, replay);
criterion_main!(benches);
