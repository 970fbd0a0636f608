//! What does a change of one field cost beside a rewritten JSON file and SQLite, and what does opening?

#![allow(missing_docs, clippy::disallowed_methods, reason = "a benchmark reads the time and files by itself")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use everlog_peers::{Document, EverlogStore, Many, Reopen, RewrittenFile, Way};
#[cfg(feature = "sqlite")]
use everlog_peers::{Row, Sqlite, sqlite_version};

mod crew;
#[path = "../paired/mod.rs"]
mod paired;

use crew::{Crew, Round, Written, turns};
use paired::{Floor, scratch};

/// What a change of one field takes in everlog's journal, and so what the floor writes.
const FLOOR_BYTES: usize = 128;
/// How long changes are made to count their bytes.
const COUNTING: Duration = Duration::from_secs(2);
/// Syncs a second of the floor from which on the disk counts as fast: a virtual disk may change its mind meanwhile.
const FAST_DISK: f64 = 3000.0;
/// The heading of the table of changes.
const HEADING: &str = "\n| document | disk | way | changes/s | floor/s | of the floor | everlog is faster by | middle half | \
    bytes handed over | bytes the disk took | rounds |\n\
    | --- | --- | --- | ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: |";
/// Fewer rounds in a state of the disk are no figure.
const ROUNDS_MIN: usize = 5;

fn ways(directory: &Path, document: Document, threads: usize) -> Vec<Arc<dyn Way>> {
    let mut ways: Vec<Arc<dyn Way>> = vec![
        Arc::new(RewrittenFile::kept(directory, document)),
        Arc::new(RewrittenFile::read_first(directory, document)),
    ];
    #[cfg(feature = "sqlite")]
    ways.extend(
        [Row::Text, Row::Binary, Row::Field]
            .map(|row| -> Arc<dyn Way> { Arc::new(Sqlite::with(directory, document, row)) }),
    );
    // Several threads and a file that is read first would only show the lock.
    if threads > 1 {
        ways.remove(1);
    }
    ways
}

/// The lines of one way in the table of changes: one for each state of the disk that it met.
fn add_lines(lines: &mut Vec<String>, question: &str, name: &str, rounds: &[Round], written: Written) {
    let (fast, slow) = rounds.iter().partition(|round| round.floor >= FAST_DISK);
    for (state, rounds) in [("fast", fast), ("slow", slow)] as [(&str, Vec<Round>); 2] {
        if rounds.len() < ROUNDS_MIN {
            continue;
        }
        let quantile = |of: fn(&Round) -> f64, share: f64| {
            let mut values: Vec<f64> = rounds.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values[((values.len() as f64 - 1.0) * share).round() as usize]
        };
        let faster: fn(&Round) -> f64 = |round| round.everlog / round.way;
        lines.push(format!(
            "| {question} | {state} | {name} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2} to {:.2} | {:.0} | {:.0} | {} |",
            quantile(|round| round.way, 0.5),
            quantile(|round| round.floor, 0.5),
            quantile(|round| round.way / round.floor, 0.5),
            quantile(faster, 0.5),
            quantile(faster, 0.25),
            quantile(faster, 0.75),
            written.handed,
            written.taken,
            rounds.len(),
        ));
    }
}

/// Sets fields of one document in every way, each beside everlog and the floor.
fn changes(
    criterion: &mut Criterion,
    lines: &mut Vec<String>,
    question: &str,
    document: Document,
    threads: usize,
) {
    let directory = scratch();
    let mut floor = Floor::new(directory.path(), FLOOR_BYTES);
    let mut everlog = Crew::new(Arc::new(EverlogStore::with(directory.path(), document)), threads);
    let mut group = criterion.benchmark_group(question);
    group.sample_size(10).throughput(Throughput::Elements(1));
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    let mut rounds = Vec::new();
    group.bench_function(everlog.name(), |bencher| {
        bencher.iter_custom(|count| turns(count, &mut everlog, None, &mut floor, &mut rounds));
    });
    if !rounds.is_empty() {
        let written = everlog.written(COUNTING, directory.path());
        add_lines(lines, question, everlog.name(), &rounds, written);
    }
    for way in ways(directory.path(), document, threads) {
        let mut way = Crew::new(way, threads);
        let mut rounds = Vec::new();
        group.bench_function(way.name(), |bencher| {
            let beside = &mut everlog;
            bencher.iter_custom(|count| turns(count, &mut way, Some(&mut *beside), &mut floor, &mut rounds));
        });
        if !rounds.is_empty() {
            let written = way.written(COUNTING, directory.path());
            add_lines(lines, question, way.name(), &rounds, written);
        }
    }
    group.finish();
}

/// Opens once: the time to the value, and the time to close.
fn open_once(way: &dyn Reopen, n: u64) -> (Duration, Duration) {
    let n = n.wrapping_mul(6_364_136_223_846_793_005) >> 33;
    let (start, mut until_read) = (Instant::now(), Duration::ZERO);
    way.open_and_read(&Many::key(n), &mut |id| {
        until_read = start.elapsed();
        assert_eq!(id, n % Many::COUNT);
    });
    (until_read, start.elapsed() - until_read)
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Opens a store of many documents and reads one value, in every way in turns.
fn openings(criterion: &mut Criterion, lines: &mut Vec<String>) {
    let directory = scratch();
    let everlog: Box<dyn Reopen> = Box::new(EverlogStore::with_many(directory.path()));
    let mut ways: Vec<Box<dyn Reopen>> = vec![Box::new(RewrittenFile::with_many(directory.path()))];
    #[cfg(feature = "sqlite")]
    ways.push(Box::new(Sqlite::with_many(directory.path())));
    let mut group = criterion.benchmark_group("open 100,000 documents and read a value");
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    let (mut ours, mut ours_closing) = (Vec::new(), Vec::new());
    let mut others = Vec::new();
    for way in &ways {
        let (mut times, mut closing) = (Vec::new(), Vec::new());
        group.bench_function(way.name(), |bencher| {
            bencher.iter_custom(|count| {
                let turn = |n| {
                    let theirs = open_once(way.as_ref(), n);
                    times.push(theirs.0);
                    closing.push(theirs.1);
                    let beside = open_once(everlog.as_ref(), n);
                    ours.push(beside.0);
                    ours_closing.push(beside.1);
                    theirs.0
                };
                (0..count).map(turn).sum()
            });
        });
        if !times.is_empty() {
            others.push((way.name(), median(&mut times), median(&mut closing)));
        }
    }
    group.bench_function(everlog.name(), |bencher| {
        bencher.iter_custom(|count| (0..count).map(|n| open_once(everlog.as_ref(), n).0).sum());
    });
    group.finish();
    if !others.is_empty() {
        others.insert(0, (everlog.name(), median(&mut ours), median(&mut ours_closing)));
    }
    for (name, read, closing) in others {
        lines.push(format!("| {name} | {:.2} | {:.2} |", millis(read), millis(closing)));
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let (mut lines, mut opened) = (Vec::new(), Vec::new());
    changes(&mut criterion, &mut lines, "418 KB", Document::LARGE, 1);
    changes(&mut criterion, &mut lines, "2 KB", Document::SMALL, 1);
    changes(&mut criterion, &mut lines, "2 KB, 16 threads", Document::SMALL, 16);
    openings(&mut criterion, &mut opened);
    criterion.final_summary();
    #[cfg(feature = "sqlite")]
    println!("\nSQLite {}", sqlite_version());
    println!("{HEADING}");
    lines.iter().for_each(|line| println!("{line}"));
    println!("\n| 100,000 documents | to the value, ms | closing, ms |\n| --- | ---: | ---: |");
    opened.iter().for_each(|line| println!("{line}"));
}
