//! Do commits stall while a snapshot is made beside them? The slowest in a thousand, with and without, in turns.

#![allow(missing_docs, clippy::disallowed_methods, reason = "a benchmark reads the time")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use everlog::{Durability, Journal, Transaction};

mod paired;

use paired::fill::options;
use paired::scratch;

const COMMITS_PER_SIDE: usize = 200_000;
const COMMITS_PER_TURN: usize = 2_000;

/// Commits by one writer; adds the time of each to `times`.
fn turn(journal: &Journal, transaction: &Transaction, durability: Durability, times: &mut Vec<Duration>) {
    for _ in 0..COMMITS_PER_TURN {
        let start = Instant::now();
        journal.commit(transaction, durability).expect("commits");
        times.push(start.elapsed());
    }
}

fn report(word: &str, side: &str, times: &mut [Duration]) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    println!(
        "| {word} | {side} | {} | {:.0} | {:.0} | {:.0} | {:.0} |",
        times.len(),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}

fn ask(word: &str, durability: Durability, commits_per_side: usize) {
    let directory = scratch();
    let journal = options().open(directory.path().join("journal")).expect("opens");
    let transaction = Transaction::new().record(vec![0xA5; 128]);
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    let mut snapshots = 0;
    while alone.len() < commits_per_side {
        turn(&journal, &transaction, durability, &mut alone);
        let over = AtomicBool::new(false);
        snapshots += std::thread::scope(|scope| {
            let maker = scope.spawn(|| {
                let mut made = 0;
                while !over.load(Ordering::SeqCst) {
                    journal.snapshot().expect("a snapshot");
                    made += 1;
                }
                made
            });
            turn(&journal, &transaction, durability, &mut beside);
            over.store(true, Ordering::SeqCst);
            maker.join().expect("the maker")
        });
    }
    report(word, "alone", &mut alone);
    report(word, &format!("beside {snapshots} snapshots"), &mut beside);
    journal.close().expect("closes");
}

fn main() {
    // Under `cargo test --benches` there is nothing to compare.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("| commits | side | number | p50 us | p99 us | p99.9 us | max us |");
    println!("| --- | --- | ---: | ---: | ---: | ---: | ---: |");
    // A word on the command line asks one of the two questions.
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    for (word, durability) in [("synced", Durability::Synced), ("buffered", Durability::Buffered)] {
        if only.as_deref().is_none_or(|only| only == word) {
            ask(word, durability, COMMITS_PER_SIDE);
        }
    }
}
