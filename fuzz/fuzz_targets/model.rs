// Property: whatever is done to a journal (commits, rolls, snapshots, closes, power cuts, kills, failed syncs), it holds
// what a plain Vec of the commits holds: a prefix of whole transactions with all that was acknowledged as synced.
#![no_main]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use everlog::clock::Clock;
use everlog::journal::{Background, Options};
use everlog::medium::Sim;
use everlog::medium::sim::Crash;
use everlog::{Durability, ErrorKind, Journal, Timestamp, Transaction};
use libfuzzer_sys::fuzz_target;

const OPERATIONS_MAX: usize = 60;

fuzz_target!(|input: &[u8]| {
    let mut input = input.iter().copied().take(4 * OPERATIONS_MAX);
    let Some(mut run) = input.next().map(Run::new) else { return };
    while let Some(operation) = input.next() {
        run.step(operation, &mut input);
    }
    let sim = run.sim.clone();
    run.reopen(sim.crash(Crash::LoseAll));
});

struct Run {
    sim: Sim,
    journal: Journal,
    aligned: bool,
    clock: Arc<Ticking>,
    /// What was handed in, in order.
    records: Vec<Vec<u8>>,
    /// How many records there are after each transaction.
    ends: Vec<usize>,
    /// How many of the records are acknowledged as synced.
    synced: usize,
    made: u32,
}

impl Run {
    fn new(seed: u8) -> Run {
        let (sim, clock, aligned) = (Sim::new(u64::from(seed)), Arc::new(Ticking::default()), seed & 1 == 1);
        let journal = options(aligned, &clock).open_on(Arc::new(sim.clone())).expect("creates");
        Run { sim, journal, aligned, clock, records: Vec::new(), ends: Vec::new(), synced: 0, made: 0 }
    }

    fn step(&mut self, operation: u8, input: &mut impl Iterator<Item = u8>) {
        let more = input.next().unwrap_or_default();
        let size = usize::from(more) * 8;
        match operation % 13 {
            0 | 1 => self.commit(1, size, Durability::Synced),
            2 | 3 => self.commit(1 + usize::from(more) % 5, size / 4, Durability::Buffered),
            4 => self.commit(2 + usize::from(more) % 9, 700, Durability::Synced),
            5 => self.commit(1, 20_000 + size * 16, Durability::Synced),
            6 => drop(self.journal.tick()),
            7 => {
                if self.journal.wait(self.journal.position()).is_ok() && self.journal.tick().is_ok() {
                    self.synced = self.records.len();
                }
            }
            8 => {
                if self.journal.close().is_ok() {
                    self.synced = self.records.len();
                }
                self.reopen(self.sim.crash(Crash::LoseAll));
            }
            9 => self.reopen(self.sim.crash(style(more))),
            10 => self.reopen(self.sim.kill()),
            11 => {
                self.sim.fail_next_sync();
                self.commit(1, size, Durability::Synced);
            }
            // It may fail when the journal is poisoned.
            _ => drop(self.journal.snapshot()),
        }
    }

    fn commit(&mut self, count: usize, size: usize, durability: Durability) {
        let mut transaction = Transaction::new();
        for _ in 0..count {
            self.made += 1;
            let mut payload = self.made.to_le_bytes().to_vec();
            payload.resize(4 + size, self.made as u8);
            transaction = transaction.record(payload.clone());
            self.records.push(payload);
        }
        self.ends.push(self.records.len());
        match self.journal.commit(&transaction, durability) {
            Ok(receipt) if receipt.durability == Durability::Synced => self.synced = self.records.len(),
            Ok(_) => {}
            Err(error) if *error.kind() == ErrorKind::FateUnknown => {}
            // Refused before anything was written.
            Err(_) => {
                self.ends.pop();
                self.records.truncate(self.records.len() - count);
            }
        }
    }

    fn reopen(&mut self, sim: Sim) {
        let journal = options(self.aligned, &self.clock).open_on(Arc::new(sim.clone()));
        self.journal = journal.unwrap_or_else(|error| panic!("a crash is no damage: {error:?}"));
        self.sim = sim;
        let found: Vec<_> =
            self.journal.records().expect("a cursor").map(|record| record.expect("checks").payload).collect();
        assert!(found.len() >= self.synced, "{} of {} synced records are there", found.len(), self.synced);
        assert!(
            found == self.records[..found.len().min(self.records.len())],
            "a prefix of what was handed in"
        );
        assert!(found.is_empty() || self.ends.contains(&found.len()), "a transaction is there in part");
        self.synced = found.len();
        self.records = found;
        let count = self.records.len();
        self.ends.retain(|end| *end <= count);
    }
}

fn style(byte: u8) -> Crash {
    let seed = u64::from(byte >> 2);
    match byte & 3 {
        0 => Crash::LoseAll,
        1 => Crash::KeepAll,
        2 => Crash::Torn { writes: seed as usize % 6, seed },
        _ => Crash::Random(seed),
    }
}

fn options(aligned: bool, clock: &Arc<Ticking>) -> Options {
    let options = Options::new()
        .background(Background::Inline)
        .segment_bytes(16 * 1024, 32 * 1024)
        .frame_bytes_max(2048)
        .clock(Arc::clone(clock) as Arc<dyn Clock>);
    if aligned { options.align_groups() } else { options }
}

/// Goes on by a microsecond whenever it is looked at.
#[derive(Debug, Default)]
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn wall(&self) -> Timestamp {
        Timestamp::from_micros(1 << 50).plus(self.elapsed())
    }

    fn elapsed(&self) -> Duration {
        Duration::from_micros(self.0.fetch_add(1, Ordering::Relaxed))
    }
}
