//! Damage at rest (J6, J13, J14): every byte flipped, every file cut at every byte. Opening refuses, naming the file, or
//! everything that was vouched for is there; nothing panics, and nothing is changed by a refusal.
#![cfg(feature = "sim")]

mod crash_kit;

use std::sync::Arc;

use crash_kit::{open, options};
use everlog::journal::Damaged;
use everlog::medium::Sim;
use everlog::medium::sim::Crash;
use everlog::testing::payloads;
use everlog::{Durability, Error, ErrorKind, Transaction};

/// Three segments with records of several sizes and a transaction over two segments.
fn journal(ending: Ending) -> (Sim, Vec<Vec<u8>>, usize) {
    let sim = Sim::new(1);
    let journal = open(&sim).expect("opens");
    let mut sent: Vec<Vec<u8>> = Vec::new();
    for index in 0..6_u8 {
        sent.push(vec![index + 1; 11 * usize::from(index)]);
        journal.append(&sent[usize::from(index)]).expect("appends");
    }
    let large: Vec<Vec<u8>> = (0..5).map(|index| vec![index + 65; 900]).collect();
    let transaction = large.iter().fold(Transaction::new(), |tx, payload| tx.record(payload.clone()));
    journal.commit(&transaction, Durability::Synced).expect("commits");
    sent.extend(large);
    journal.tick().expect("writes a mark");
    let vouched = sent.len();
    match ending {
        Ending::Closed => journal.close().expect("closes"),
        Ending::Crashed => {
            for payload in [b"after", b"marks"] {
                sent.push(payload.to_vec());
                journal.append(payload).expect("appends");
            }
        }
    }
    // The mark of the second of these vouches for the first.
    let vouched = if ending == Ending::Crashed { vouched + 1 } else { vouched };
    (sim.crash(Crash::KeepAll), sent, vouched)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Closed,
    Crashed,
}

/// The offsets worth damaging: all within reach of a byte that is not zero, and a sample of the others.
fn offsets(bytes: &[u8]) -> Vec<usize> {
    let mut near = vec![false; bytes.len()];
    for at in (0..bytes.len()).filter(|at| bytes[*at] != 0) {
        let (from, to) = (at.saturating_sub(9), (at + 9).min(bytes.len()));
        // Long payloads of the same byte are sampled too.
        if from == 0 || bytes[from..to].iter().any(|byte| *byte != bytes[at]) || at % 16 == 0 {
            near[from..to].fill(true);
        }
    }
    (0..bytes.len()).filter(|at| near[*at] || at % 509 == 0 || at % 4096 == 0).collect()
}

fn files(sim: &Sim) -> Vec<(String, Vec<u8>)> {
    let names = sim.files().into_iter().map(|file| file.0).filter(|name| name != "holder");
    names.map(|name| (name.clone(), sim.bytes(&name).expect("there"))).collect()
}

/// What a damaged device must give: a refusal that changes nothing, or what was vouched for.
fn judge(sim: &Sim, sent: &[Vec<u8>], vouched: usize, place: &str) -> bool {
    let hash = sim.image_hash();
    match open(sim) {
        Err(error) => {
            refusal(&error, place);
            assert_eq!(sim.image_hash(), hash, "{place}: a refusal changed something");
            true
        }
        Ok(journal) => {
            let found = payloads(&journal).unwrap_or_else(|error| panic!("{place}: opened, but {error}"));
            assert!(sent.starts_with(&found), "{place}: other records");
            assert!(
                found.len() >= vouched,
                "{place}: {} of {vouched} records, {}",
                found.len(),
                journal.report()
            );
            let cut = journal.report().cut.is_some();
            assert!(
                cut || found.len() == sent.len(),
                "{place}: {} lost in silence",
                sent.len() - found.len()
            );
            false
        }
    }
}

fn refusal(error: &Error, place: &str) {
    assert!(matches!(error.kind(), ErrorKind::Damaged | ErrorKind::NewerFormat), "{place}: {error:?}");
    assert!(error.file().is_some() && error.offset().is_some(), "{place}: {error:?}");
}

/// Readers of a damaged device: no panic, nothing changed, and what they show is true.
fn look(sim: &Sim, sent: &[Vec<u8>], place: &str) {
    let hash = sim.image_hash();
    for reader in [options().read_only(), options().damaged(Damaged::ReadOnly)] {
        if let Ok(journal) = reader.open_on(Arc::new(sim.clone())) {
            let shown = journal.records().into_iter().flatten().map_while(Result::ok);
            let shown: Vec<_> = shown.map(|record| record.payload).collect();
            assert!(sent.starts_with(&shown), "{place}: a reader shows other records");
        }
    }
    assert_eq!((sim.image_hash(), sim.steps()), (hash, 0), "{place}: a reader changed something");
}

fn flip_everything(ending: Ending) {
    let (sim, sent, vouched) = journal(ending);
    let (mut count, mut refused) = (0, 0);
    for (name, bytes) in files(&sim) {
        for at in offsets(&bytes) {
            let mask = 1 << (count % 8);
            let damaged = sim.kill();
            damaged.flip(&name, at as u64, mask).expect("flips");
            let place = format!("{name} byte {at} mask {mask}");
            if count % 4 == 0 {
                look(&damaged, &sent, &place);
            }
            refused += usize::from(judge(&damaged, &sent, vouched, &place));
            count += 1;
        }
    }
    println!("{count} flips, {refused} refused");
    assert!(count > 3000 && refused > count / 4, "{count} {refused}");
}

fn cut_everything(ending: Ending) {
    let (sim, sent, vouched) = journal(ending);
    let (mut count, mut refused) = (0, 0);
    for (name, bytes) in files(&sim) {
        for at in offsets(&bytes).into_iter().filter(|at| at % 3 == 0 || at % 4096 < 2) {
            let damaged = sim.kill();
            damaged.truncate(&name, at as u64).expect("cuts");
            let place = format!("{name} cut at {at}");
            if count % 4 == 0 {
                look(&damaged, &sent, &place);
            }
            refused += usize::from(judge(&damaged, &sent, vouched, &place));
            count += 1;
        }
    }
    println!("{count} cuts, {refused} refused");
    assert!(count > 1000 && refused > count / 2, "{count} {refused}");
}

#[test]
fn every_byte_flipped_after_a_clean_close_is_refused_or_harmless() {
    flip_everything(Ending::Closed);
}

#[test]
fn every_byte_flipped_after_a_crash_is_refused_or_cuts_only_what_nothing_vouched_for() {
    flip_everything(Ending::Crashed);
}

#[test]
fn every_file_cut_at_every_byte_after_a_clean_close_is_refused_or_harmless() {
    cut_everything(Ending::Closed);
}

#[test]
fn every_file_cut_at_every_byte_after_a_crash_is_refused_or_cuts_only_what_nothing_vouched_for() {
    cut_everything(Ending::Crashed);
}

#[test]
fn every_block_zeroed_swapped_or_doubled_is_refused_or_harmless() {
    for ending in [Ending::Closed, Ending::Crashed] {
        let (sim, sent, vouched) = journal(ending);
        // All frames of the last segment fit into one block: when it goes after a crash, nothing but the root's floor is
        // left to vouch, and that was written at the roll, amid a transaction.
        let vouched = if ending == Ending::Crashed { 6 } else { vouched };
        for (name, bytes) in files(&sim) {
            let blocks = bytes.len() / 4096;
            let block = |index: usize| &bytes[index * 4096..(index + 1) * 4096];
            for one in 0..blocks {
                let damaged = sim.kill();
                damaged.overwrite(&name, one as u64 * 4096, &[0; 4096]).expect("damages");
                judge(&damaged, &sent, vouched, &format!("{name} block {one} zeroed"));
                for other in 0..blocks {
                    let damaged = sim.kill();
                    damaged.overwrite(&name, one as u64 * 4096, block(other)).expect("damages");
                    judge(&damaged, &sent, vouched, &format!("{name} block {other} over {one}"));
                    let damaged = sim.kill();
                    damaged.overwrite(&name, one as u64 * 4096, block(other)).expect("damages");
                    damaged.overwrite(&name, other as u64 * 4096, block(one)).expect("damages");
                    judge(&damaged, &sent, vouched, &format!("{name} blocks {one} and {other} swapped"));
                }
            }
        }
    }
}
