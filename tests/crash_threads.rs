//! Many writers with helper threads, crashed at a random step (J1, J2, J3, J5, J12): thousands of seeds, each a power cut
//! or an error at one step of whatever interleaving the threads made. `EVERLOG_SEEDS` asks for more.
#![cfg(feature = "sim")]

mod crash_kit;

use std::sync::Arc;
use std::time::Duration;

use crash_kit::{open, options};
use everlog::journal::Background;
use everlog::medium::Sim;
use everlog::medium::sim::{Crash, Fault};
use everlog::testing::payloads;
use everlog::{Durability, ErrorKind, Journal, Transaction};

const WRITERS: u8 = 3;
const ROUNDS: u8 = 12;

/// A small generator: the interleaving is random anyway.
fn pick(seed: u64, salt: u64, below: u64) -> u64 {
    let mut value = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ salt.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value ^= value >> 29;
    value = value.wrapping_mul(0x94D0_49BB_1331_11EB);
    (value ^ (value >> 32)) % below
}

/// Record `half` of transaction `round` of `writer`.
fn payload(writer: u8, round: u8, half: u8, bytes: usize) -> Vec<u8> {
    let mut payload = vec![writer, round, half];
    payload.resize(bytes, writer);
    payload
}

/// What one writer was told.
#[derive(Debug, Default)]
struct Told {
    /// All transactions below this round that were not refused are durable.
    synced: u8,
    /// Rounds that were refused: nothing of them may be there.
    refused: Vec<u8>,
}

impl Told {
    fn hear(&mut self, round: u8, outcome: &everlog::Result<everlog::Receipt>) {
        match outcome {
            Ok(receipt) if receipt.durability == Durability::Synced => {
                self.synced = self.synced.max(round + 1)
            }
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::FateUnknown) => {}
            Err(_) => self.refused.push(round),
        }
    }
}

/// One writer's life.
fn write(journal: &Journal, seed: u64, writer: u8) -> Told {
    let mut told = Told::default();
    let mut tickets = Vec::new();
    for round in 0..ROUNDS {
        let salt = u64::from(writer) * 100 + u64::from(round);
        let bytes = 10 + pick(seed, salt, 400) as usize;
        let transaction = [0, 1]
            .iter()
            .fold(Transaction::new(), |tx, half| tx.record(payload(writer, round, *half, bytes)));
        let outcome = match pick(seed, salt + 7, 4) {
            0 => journal.commit(&transaction, Durability::Buffered),
            1 => match journal.submit(&transaction, Durability::Synced) {
                Ok(ticket) => {
                    tickets.push((round, ticket));
                    continue;
                }
                Err(error) => Err(error),
            },
            _ => journal.commit(&transaction, Durability::Synced),
        };
        told.hear(round, &outcome);
        if outcome.is_err() {
            break;
        }
    }
    for (round, ticket) in tickets {
        told.hear(round, &ticket.wait());
    }
    told
}

/// What a device must show: of each writer a prefix of whole transactions, in order, with all that was acknowledged.
fn check(sim: &Sim, told: &[Told], place: &str) -> Vec<Vec<u8>> {
    let journal = open(sim).unwrap_or_else(|error| panic!("{place}: J6: {error:?}"));
    let found = payloads(&journal).unwrap_or_else(|error| panic!("{place}: {error}"));
    for writer in 0..WRITERS {
        let mine: Vec<_> = found.iter().filter(|payload| payload[0] == writer).collect();
        let told = &told[usize::from(writer)];
        let sent = (0..ROUNDS).filter(|round| !told.refused.contains(round));
        let sent: Vec<_> = sent.flat_map(|round| [[round, 0], [round, 1]]).collect();
        for (payload, sent) in mine.iter().zip(&sent) {
            assert_eq!(payload[1..3], *sent, "{place}: J3, writer {writer}, {told:?}");
        }
        assert_eq!(mine.len() % 2, 0, "{place}: J2, writer {writer}");
        let due = sent.iter().filter(|sent| sent[0] < told.synced).count();
        assert!(mine.len() >= due, "{place}: J1, writer {writer} has {} of {due}, {told:?}", mine.len());
    }
    found
}

/// Runs on a thread of its own, so that a writer whom nobody wakes fails the test instead of hanging it.
fn run(seed: u64, fault: (u64, Fault)) -> (Sim, Vec<Told>) {
    let (done, outcome) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(run_here(seed, fault)));
    let outcome = outcome.recv_timeout(Duration::from_secs(60));
    outcome.unwrap_or_else(|_| panic!("seed {seed}, {fault:?}: somebody waits for ever, or panicked"))
}

fn run_here(seed: u64, fault: (u64, Fault)) -> (Sim, Vec<Told>) {
    let sim = Sim::new(seed);
    let opened = options().background(Background::Threads).open_on(Arc::new(sim.clone()));
    let journal = opened.expect("opens");
    sim.fail_step(sim.steps() + fault.0, fault.1);
    let told = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn({
                    let journal = &journal;
                    move || write(journal, seed, writer)
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().expect("no panic")).collect()
    });
    if pick(seed, 1, 2) == 0 {
        // Closing may fail; what was acknowledged is durable even then.
        drop(journal.close());
    }
    (sim, told)
}

#[test]
fn random_power_cuts_under_many_writers_lose_nothing_acknowledged() {
    let seeds = std::env::var("EVERLOG_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1500);
    let mut states = 0;
    for seed in 0..seeds {
        let (sim, told) = run(seed, (1 + pick(seed, 3, 110), Fault::PowerCut));
        for (label, image) in sim.crash_images(6, seed).into_iter().rev().take(2) {
            let place = format!("seed {seed}, {label}");
            let found = check(&image, &told, &place);
            assert_eq!(check(&image.crash(Crash::LoseAll), &told, &place), found, "{place}: J7");
            states += 2;
        }
    }
    println!("{seeds} seeds, {states} states");
}

#[test]
fn random_errors_under_many_writers_lose_nothing_acknowledged() {
    let seeds = std::env::var("EVERLOG_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1000);
    let faults = [
        Fault::Error(std::io::ErrorKind::Other),
        Fault::ErrorPartly(std::io::ErrorKind::Other),
        Fault::Error(std::io::ErrorKind::StorageFull),
    ];
    for seed in 0..seeds {
        let fault = faults[(seed % 3) as usize];
        let (sim, told) = run(seed, (1 + pick(seed, 3, 110), fault));
        let place = format!("seed {seed}, {fault:?}");
        check(&sim.crash(Crash::LoseAll), &told, &place);
        // The next owner builds on a cache that lies; what it shows is durable.
        let next = sim.kill();
        let found = check(&next, &told, &place);
        assert_eq!(check(&next.crash(Crash::LoseAll), &told, &place), found, "{place}: J7");
    }
    println!("{seeds} seeds");
}
