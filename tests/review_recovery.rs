//! Recovery that dies at any of its own steps, by power cut, error or kill, can be repeated without end (J7).

#![cfg(feature = "sim")]

use std::io::ErrorKind as IoKind;
use std::sync::Arc;

use everlog::journal::{Background, Options};
use everlog::medium::Sim;
use everlog::medium::sim::{Crash, Fault};
use everlog::{Durability, Journal, Transaction};

fn options() -> Options {
    Options::new().background(Background::Inline).segment_bytes(16 * 1024, 64 * 1024).frame_bytes_max(4096)
}

fn payloads(journal: &Journal) -> Vec<Vec<u8>> {
    journal.records().expect("readable").map(|record| record.expect("checks").payload).collect()
}

/// What may be left of `device` when a recovery of it dies at step `step`; `None` when it had fewer steps.
fn died_at(device: &Sim, step: u64) -> Option<Vec<(String, Sim)>> {
    let mut images = Vec::new();
    let copy = device.kill();
    copy.power_cut_at(step);
    let journal = options().open_on(Arc::new(copy.clone()));
    if !copy.power_lost() {
        return None;
    }
    for style in [Crash::LoseAll, Crash::KeepAll, Crash::Random(step)] {
        images.push((format!("cut at {step}, {style:?}"), copy.crash(style)));
    }
    drop(journal);
    for fault in [Fault::Error(IoKind::Other), Fault::ErrorPartly(IoKind::Other)] {
        let copy = device.kill();
        copy.fail_step(step, fault);
        let journal = options().open_on(Arc::new(copy.clone()));
        images.push((format!("{fault:?} at {step}, kill"), copy.kill()));
        images.push((format!("{fault:?} at {step}, lost"), copy.crash(Crash::LoseAll)));
        drop(journal);
    }
    Some(images)
}

/// Opens again and again, each time with one record more and a power cut, and holds each life against the last.
fn lives_on(label: &str, device: &Sim, allowed: &[Vec<Vec<u8>>]) {
    let mut device = device.kill();
    let mut expected: Option<Vec<Vec<u8>>> = None;
    for life in 0..3_u8 {
        let journal = options().open_on(Arc::new(device.clone()));
        let journal = journal.unwrap_or_else(|error| panic!("{label}: life {life} does not open: {error}"));
        let there = payloads(&journal);
        match &expected {
            Some(expected) => assert!(there == *expected, "{label}: life {life} has {} records", there.len()),
            None => assert!(allowed.contains(&there), "{label}: {} records", there.len()),
        }
        journal.append([life]).expect("goes on");
        expected = Some(payloads(&journal));
        device = device.crash(Crash::LoseAll);
    }
}

fn survives_every_death(label: &str, device: &Sim, allowed: &[Vec<Vec<u8>>]) {
    for step in 1.. {
        let Some(images) = died_at(device, step) else { break };
        for (how, image) in images {
            lives_on(&format!("{label}, {how}"), &image, allowed);
            // Faults come in pairs: recovery of the half-recovered dies as well.
            if how.starts_with("cut") {
                for second in (1..).step_by(3) {
                    let Some(images) = died_at(&image, second) else { break };
                    for (again, image) in images.into_iter().step_by(2) {
                        lives_on(&format!("{label}, {how}, then {again}"), &image, allowed);
                    }
                }
            }
        }
    }
}

#[test]
fn records_vouched_for_only_by_a_mark_are_not_doubled_by_a_recovery_that_dies_twice() {
    let sim = Sim::new(1);
    let journal = options().open_on(Arc::new(sim.clone())).expect("opens");
    journal.append(b"a").expect("appends");
    journal.append(b"b").expect("appends");
    journal.tick().expect("marks");
    survives_every_death("marked", &sim.crash(Crash::LoseAll), &[vec![b"a".to_vec(), b"b".to_vec()]]);
}

#[test]
fn records_behind_a_clean_close_are_not_doubled_by_a_recovery_that_dies_twice() {
    let sim = Sim::new(2);
    let journal = options().open_on(Arc::new(sim.clone())).expect("opens");
    journal.append(b"a").expect("appends");
    journal.append(b"b").expect("appends");
    journal.close().expect("closes");
    let journal = options().open_on(Arc::new(sim.clone())).expect("opens");
    journal.append(b"c").expect("appends");
    let all = [b"a", b"b", b"c"].map(|payload| payload.to_vec()).to_vec();
    survives_every_death("closed", &sim.crash(Crash::LoseAll), &[all]);
}

#[test]
fn a_transaction_torn_across_a_roll_is_cut_even_if_the_recovery_dies() {
    let large = (0..30).fold(Transaction::new(), |tx, index| tx.record(vec![index; 4000]));
    let whole: Vec<Vec<u8>> =
        std::iter::once(b"before".to_vec()).chain((0..30).map(|index| vec![index; 4000])).collect();
    for cut_at in (1..).step_by(5) {
        let sim = Sim::new(7);
        let journal = options().open_on(Arc::new(sim.clone())).expect("opens");
        journal.append(b"before").expect("appends");
        sim.power_cut_at(sim.steps() + cut_at);
        if journal.commit(&large, Durability::Synced).is_ok() {
            break;
        }
        let image = sim.crash(Crash::KeepAll);
        let allowed = [vec![b"before".to_vec()], whole.clone()];
        for step in 1.. {
            let Some(images) = died_at(&image, step) else { break };
            for (how, image) in images {
                lives_on(&format!("torn at {cut_at}, {how}"), &image, &allowed);
            }
        }
    }
}
