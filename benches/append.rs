//! How fast are commits, against the raw floor of the same disk, slice by slice?

#![allow(missing_docs, clippy::disallowed_methods, reason = "a benchmark reads the time")]

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use everlog::journal::Options;
use everlog::{Durability, Journal, Transaction};

mod paired;

use paired::{Floor, HEADING, Pairs, scratch};

/// One slice lasts about this long; then it is the other's turn.
const SLICE: Duration = Duration::from_millis(40);
const OUTSTANDING: usize = 1000;

/// Writers that commit whenever they are given a number of commits to share.
struct Writers {
    todo: Arc<AtomicI64>,
    over: Arc<AtomicBool>,
    start: Arc<Barrier>,
    end: Arc<Barrier>,
    threads: Vec<JoinHandle<()>>,
}

impl Writers {
    fn new(journal: &Journal, count: usize, payload_bytes: usize, durability: Durability) -> Writers {
        let todo = Arc::new(AtomicI64::new(0));
        let over = Arc::new(AtomicBool::new(false));
        let (start, end) = (Arc::new(Barrier::new(count + 1)), Arc::new(Barrier::new(count + 1)));
        let threads = (0..count)
            .map(|_| {
                let (journal, todo, over) = (journal.clone(), Arc::clone(&todo), Arc::clone(&over));
                let (start, end) = (Arc::clone(&start), Arc::clone(&end));
                let transaction = Transaction::new().record(vec![0xA5; payload_bytes]);
                std::thread::spawn(move || {
                    loop {
                        start.wait();
                        if over.load(Ordering::SeqCst) {
                            return;
                        }
                        while todo.fetch_sub(1, Ordering::Relaxed) > 0 {
                            black_box(journal.commit(&transaction, durability).expect("commits"));
                        }
                        end.wait();
                    }
                })
            })
            .collect();
        Writers { todo, over, start, end, threads }
    }

    fn run(&self, commits: u64) -> Duration {
        self.todo.store(commits as i64, Ordering::SeqCst);
        self.start.wait();
        let start = Instant::now();
        self.end.wait();
        start.elapsed()
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        self.start.wait();
        for thread in self.threads.drain(..) {
            thread.join().expect("a writer");
        }
    }
}

/// Repeats slices of `ours` and of the floor until `iterations` are done; returns the time of ours.
fn alternate(
    iterations: u64,
    floor: &mut Floor,
    pairs: &mut Pairs,
    rate: &mut f64,
    mut ours: impl FnMut(u64) -> Duration,
) -> Duration {
    let mut left = iterations;
    let mut total = Duration::ZERO;
    while left > 0 {
        let slice = ((*rate * SLICE.as_secs_f64()) as u64).clamp(1, left);
        let time = ours(slice);
        *rate = slice as f64 / time.as_secs_f64();
        total += time;
        left -= slice;
        let beside = floor.run(time.min(SLICE));
        // Very short slices, as when criterion warms up, say little.
        if time > SLICE / 4 {
            pairs.add((slice, time), beside);
        }
    }
    total
}

fn ask(
    criterion: &mut Criterion,
    lines: &mut Vec<String>,
    name: &str,
    payload_bytes: usize,
    mut make: impl FnMut(&Journal) -> Box<dyn FnMut(u64) -> Duration>,
) {
    let directory = scratch();
    let mut floor = Floor::new(directory.path(), frame_bytes(payload_bytes));
    let mut pairs = Pairs::default();
    let mut rate = 5000.0;
    let mut group = criterion.benchmark_group("append");
    group.sample_size(10).throughput(Throughput::Elements(1));
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    group.bench_function(name, |bencher| {
        let journal = options().open(directory.path().join("journal")).expect("opens");
        let mut ours = make(&journal);
        bencher.iter_custom(|iterations| alternate(iterations, &mut floor, &mut pairs, &mut rate, &mut ours));
        drop(ours);
        journal.close().expect("closes");
    });
    group.finish();
    lines.push(pairs.line(name));
}

/// What a record alone in its frame takes in a segment.
fn frame_bytes(payload_bytes: usize) -> usize {
    (56 + 16 + payload_bytes + 4).next_multiple_of(8)
}

fn options() -> Options {
    const MIB: u64 = 1024 * 1024;
    match std::env::var("EVERLOG_BENCH_SEGMENT_MIB").ok().and_then(|mib| mib.parse::<u64>().ok()) {
        Some(mib) => Options::new().segment_bytes(mib * MIB, mib * MIB),
        None => Options::new(),
    }
}

/// The other way to make bytes durable: one call that writes and syncs.
#[cfg(target_os = "linux")]
fn one_call(criterion: &mut Criterion, lines: &mut Vec<String>) {
    for payload_bytes in [128, 4096] {
        let other = scratch();
        ask(
            criterion,
            lines,
            &format!("pwritev2 with RWF_DSYNC/{payload_bytes}B"),
            payload_bytes,
            |_journal| {
                let mut floor = Floor::new(other.path(), frame_bytes(payload_bytes));
                Box::new(move |commits| {
                    floor.run_count(commits, |file, bytes, offset| {
                        let slices = [std::io::IoSlice::new(bytes)];
                        let flags = rustix::io::ReadWriteFlags::DSYNC;
                        let count = rustix::io::pwritev2(file, &slices, offset, flags).expect("writes");
                        assert_eq!(count, bytes.len());
                    })
                })
            },
        );
    }
}

/// One thread that keeps many tickets outstanding and waits for the oldest.
fn tickets(journal: &Journal, payload_bytes: usize) -> Box<dyn FnMut(u64) -> Duration> {
    let journal = journal.clone();
    let transaction = Transaction::new().record(vec![0xA5; payload_bytes]);
    Box::new(move |commits| {
        let start = Instant::now();
        let mut outstanding = VecDeque::with_capacity(OUTSTANDING);
        for _ in 0..commits {
            if outstanding.len() == OUTSTANDING {
                let oldest: everlog::Ticket = outstanding.pop_front().expect("there are some");
                black_box(oldest.wait().expect("commits"));
            }
            outstanding.push_back(journal.submit(&transaction, Durability::Synced).expect("submits"));
        }
        for ticket in outstanding {
            black_box(ticket.wait().expect("commits"));
        }
        start.elapsed()
    })
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut lines = Vec::new();
    for payload_bytes in [128, 4096] {
        for (word, durability) in [("synced", Durability::Synced), ("buffered", Durability::Buffered)] {
            for count in [1, 2, 4, 16, 64] {
                let name = format!("{word}/{payload_bytes}B/{count} writers");
                ask(&mut criterion, &mut lines, &name, payload_bytes, |journal| {
                    let writers = Writers::new(journal, count, payload_bytes, durability);
                    Box::new(move |commits| writers.run(commits))
                });
            }
        }
        let name = format!("synced/{payload_bytes}B/{OUTSTANDING} tickets");
        ask(&mut criterion, &mut lines, &name, payload_bytes, |journal| tickets(journal, payload_bytes));
    }
    #[cfg(target_os = "linux")]
    one_call(&mut criterion, &mut lines);
    criterion.final_summary();
    println!("{HEADING}");
    for line in lines.iter().filter(|line| !line.contains("| 0 |")) {
        println!("{line}");
    }
}
