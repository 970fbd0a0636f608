//! Many random lives of one device, with faults at random steps, against a list of what was acknowledged (J1, J2, J3).

#![cfg(feature = "sim")]

use std::io::ErrorKind as IoKind;
use std::sync::Arc;

use everlog::journal::{Background, Options, Retention};
use everlog::medium::Sim;
use everlog::medium::sim::{Crash, Fault};
use everlog::{Durability, Journal, Transaction};

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

fn options() -> Options {
    Options::new().background(Background::Inline).segment_bytes(16 * 1024, 32 * 1024).frame_bytes_max(2048)
}

/// What was handed in since the horizon began, in order: the payload's seed and whether a transaction ends there.
#[derive(Default)]
struct Model {
    records: Vec<(u64, bool)>,
    /// How many of them are acknowledged as synced.
    synced: usize,
}

fn payload(seed: u64) -> Vec<u8> {
    let mut bytes = vec![seed as u8; 20 + (seed % 900) as usize];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes
}

fn check(journal: &Journal, model: &mut Model, label: &str) {
    let horizon = journal.horizon().lsn.get() as usize;
    let there: Vec<Vec<u8>> =
        journal.records().expect("readable").map(|r| r.expect("checks").payload).collect();
    let end = horizon + there.len();
    assert!(end >= model.synced, "{label}: {end} records, {} acknowledged", model.synced);
    assert!(end <= model.records.len(), "{label}: {end} records of {}", model.records.len());
    for (index, payload_there) in there.iter().enumerate() {
        assert!(
            *payload_there == payload(model.records[horizon + index].0),
            "{label}: record {}",
            horizon + index + 1
        );
    }
    assert!(end == 0 || model.records[end - 1].1, "{label}: half a transaction at {end}");
    model.records.truncate(end);
    model.synced = end;
}

/// One life; tells whether the fate of everything handed in is known at its end.
fn live(journal: &Journal, model: &mut Model, dice: &mut Dice) -> bool {
    for _ in 0..dice.roll(25) {
        match dice.roll(14) {
            0..=8 => {
                let count = if dice.roll(8) == 0 { 1 + dice.roll(60) } else { 1 + dice.roll(3) };
                let durability = if dice.roll(3) == 0 { Durability::Buffered } else { Durability::Synced };
                let mut transaction = Transaction::new();
                let before = model.records.len();
                for index in 0..count {
                    let seed = dice.roll(u64::MAX);
                    transaction = transaction.record(payload(seed));
                    model.records.push((seed, index + 1 == count));
                }
                match journal.commit(&transaction, durability) {
                    Ok(receipt) => {
                        assert_eq!(receipt.position.lsn.get() as usize, model.records.len());
                        if receipt.durability == Durability::Synced {
                            model.synced = model.records.len();
                        }
                    }
                    Err(error) if *error.kind() == everlog::ErrorKind::Full => model.records.truncate(before),
                    Err(error) if *error.kind() == everlog::ErrorKind::Poisoned => {
                        model.records.truncate(before);
                        return true;
                    }
                    // Its fate is unknown: it may be there, whole.
                    Err(_) => return false,
                }
            }
            9 | 10 => drop(journal.tick()),
            11 => drop(journal.snapshot()),
            12 => drop(journal.compact(&Retention::forever().bytes(100 * 1024))),
            _ => drop(journal.wait(journal.position())),
        }
    }
    true
}

fn lives(seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut sim = Sim::new(seed);
    let mut model = Model::default();
    for life in 0..14 {
        let label = format!("seed {seed}, life {life}");
        // Some openings meet faults, some only the life after them.
        let early = dice.roll(3) == 0;
        let fault = match dice.roll(6) {
            0 => Some(Fault::Error(IoKind::Other)),
            1 => Some(Fault::ErrorPartly(IoKind::Other)),
            2 => Some(Fault::Error(IoKind::StorageFull)),
            3 | 4 => Some(Fault::PowerCut),
            _ => None,
        };
        if early && let Some(fault) = fault {
            sim.fail_step(sim.steps() + 1 + dice.roll(25), fault);
        }
        match options().open_on(Arc::new(sim.clone())) {
            Ok(journal) => {
                if !sim.power_lost() {
                    check(&journal, &mut model, &label);
                }
                if !early && let Some(fault) = fault {
                    sim.fail_step(sim.steps() + 1 + dice.roll(60), fault);
                }
                let known = live(&journal, &mut model, &mut dice);
                if dice.roll(4) == 0 && known && journal.close().is_ok() {
                    model.synced = model.records.len();
                }
                let next = next(&sim, &mut dice);
                drop(journal);
                sim = next;
            }
            Err(error) => {
                assert!(
                    *error.kind() != everlog::ErrorKind::Damaged && (early || sim.power_lost()),
                    "{label} does not open: {error}"
                );
                sim = next(&sim, &mut dice);
            }
        }
        sim.clear_faults();
    }
}

fn next(sim: &Sim, dice: &mut Dice) -> Sim {
    match (sim.power_lost(), dice.roll(6)) {
        (false, 0..=2) => sim.kill(),
        (_, 3) => sim.crash(Crash::LoseAll),
        (_, 4) => sim.crash(Crash::KeepAll),
        _ => sim.crash(Crash::Random(dice.roll(u64::MAX))),
    }
}

#[test]
fn every_life_keeps_what_the_ones_before_acknowledged() {
    let asked = std::env::var("REVIEW_SEEDS").ok().and_then(|range| {
        let (from, to) = range.split_once('-')?;
        Some((from.parse().ok()?, to.parse().ok()?))
    });
    let (from, to) = asked.unwrap_or((1, 200));
    for seed in from..to {
        lives(seed);
    }
}
