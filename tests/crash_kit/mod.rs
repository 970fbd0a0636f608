//! What the crash tests share: a workload with everything in it, and the check of what must hold after any crash.
#![allow(dead_code, reason = "each test file uses its part")]

mod shim;

use std::sync::Arc;
use std::time::Duration;

use everlog::journal::{Background, Options, Retention};
use everlog::medium::sim::Crash;
use everlog::medium::{Medium, Sim};
use everlog::testing::{Acked, Outcome, payloads};
use everlog::{Durability, Error, ErrorKind, Journal, Transaction};

pub(crate) use shim::{Lie, Shim};

pub(crate) const KIB: u64 = 1024;
/// What the check appends to see that the journal goes on.
pub(crate) const PROBE: &[u8] = b"probe";

/// Small segments and frames, no threads.
pub(crate) fn options() -> Options {
    Options::new().background(Background::Inline).segment_bytes(16 * KIB, 16 * KIB).frame_bytes_max(1024)
}

pub(crate) fn open(sim: &Sim) -> everlog::Result<Journal> {
    options().open_on(Arc::new(sim.clone()))
}

pub(crate) fn open_on(medium: impl Medium + 'static) -> everlog::Result<Journal> {
    options().open_on(Arc::new(medium))
}

/// What a run was promised.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) acked: Acked,
    pub(crate) pins: Vec<String>,
    /// How many records there were when a compaction was last asked for: at most so many may be gone.
    compacting: usize,
    /// Numbers the payloads.
    next: u64,
}

impl Notes {
    /// A payload that no other equals.
    pub(crate) fn payload(&mut self, bytes: usize) -> Vec<u8> {
        self.next += 1;
        let mut payload = self.next.to_le_bytes().to_vec();
        payload.resize(bytes.max(8), self.next as u8);
        payload
    }

    pub(crate) fn append(&mut self, journal: &Journal, bytes: usize) -> Outcome {
        let payload = self.payload(bytes);
        self.acked.submit([payload.clone()]);
        journal.append(payload)?;
        self.acked.all_synced();
        Ok(())
    }

    pub(crate) fn transaction(&mut self, count: usize, bytes: usize) -> Transaction {
        let payloads: Vec<_> = (0..count).map(|_| self.payload(bytes)).collect();
        self.acked.submit(payloads.clone());
        payloads.into_iter().fold(Transaction::new(), |transaction, payload| transaction.record(payload))
    }
}

/// One thing a workload does.
pub(crate) enum Act {
    /// Something with the journal.
    Do(fn(&Journal, &mut Notes) -> Outcome),
    /// A clean close, and the next owner.
    Close,
    /// A sync that fails, and the next owner in the same cache.
    FailSync,
    /// The process dies, and the next owner in the same cache.
    Die,
}

/// Everything a journal of records can be put through. More acts are added by those who add more verbs.
pub(crate) const ACTS: &[Act] = &[
    Act::Do(appends),
    Act::Do(buffered),
    Act::Do(ticks),
    Act::Do(tickets),
    Act::Die,
    Act::Do(transactions),
    Act::Do(rolls),
    Act::Close,
    Act::Do(pins),
    Act::Do(spanning),
    Act::FailSync,
    Act::Do(appends),
    Act::FailSync,
    Act::FailSync,
    Act::Do(buffered_unwaited),
    Act::Die,
    Act::Do(spanning),
    Act::Die,
    Act::Do(ticks),
    Act::Close,
    Act::Close,
    Act::Do(buffered_unwaited),
];

/// Snapshots and compactions between everything that may go wrong.
pub(crate) const COMPACTING: &[Act] = &[
    Act::Do(rolls),
    Act::Do(snapshots),
    Act::Do(pins),
    Act::Do(rolls),
    Act::Do(compacts),
    Act::Do(unpins),
    Act::Do(compacts),
    Act::Die,
    Act::Do(compacts),
    Act::Do(appends),
    Act::FailSync,
    Act::Do(rolls),
    Act::Close,
    Act::Do(compacts),
    Act::Do(snapshots),
    Act::Die,
    Act::Do(rolls),
    Act::Do(compacts),
    Act::Do(appends),
    Act::Do(compacts_all),
    Act::Do(appends),
    Act::Do(compacts_all),
    Act::Die,
    Act::Do(compacts_all),
    Act::Do(spanning),
    Act::Do(compacts_all),
];

pub(crate) fn appends(journal: &Journal, notes: &mut Notes) -> Outcome {
    (0..3).try_for_each(|index| notes.append(journal, 10 * index))
}

pub(crate) fn buffered(journal: &Journal, notes: &mut Notes) -> Outcome {
    buffered_unwaited(journal, notes)?;
    let transaction = notes.transaction(1, 20);
    let receipt = journal.commit(&transaction, Durability::Buffered)?;
    journal.wait(receipt.position)?;
    notes.acked.all_synced();
    Ok(())
}

pub(crate) fn buffered_unwaited(journal: &Journal, notes: &mut Notes) -> Outcome {
    for index in 0..4 {
        let transaction = notes.transaction(1 + index % 2, 150);
        let receipt = journal.commit(&transaction, Durability::Buffered)?;
        if receipt.durability == Durability::Synced {
            notes.acked.all_synced();
        }
    }
    Ok(())
}

pub(crate) fn tickets(journal: &Journal, notes: &mut Notes) -> Outcome {
    let mut tickets = Vec::new();
    for index in 0..4 {
        let transaction = notes.transaction(1, 30);
        let ticket = journal.submit(&transaction, Durability::Synced)?;
        if index != 1 {
            tickets.push(ticket);
        }
    }
    for ticket in tickets {
        ticket.wait()?;
    }
    notes.acked.all_synced();
    Ok(())
}

pub(crate) fn transactions(journal: &Journal, notes: &mut Notes) -> Outcome {
    for count in [2, 5] {
        let transaction = notes.transaction(count, 40).meta("why");
        journal.commit(&transaction, Durability::Synced)?;
        notes.acked.all_synced();
    }
    Ok(())
}

pub(crate) fn rolls(journal: &Journal, notes: &mut Notes) -> Outcome {
    (0..12).try_for_each(|_| notes.append(journal, 700))
}

/// A transaction over several frames and segments.
pub(crate) fn spanning(journal: &Journal, notes: &mut Notes) -> Outcome {
    let transaction = notes.transaction(9, 900);
    journal.commit(&transaction, Durability::Synced)?;
    notes.acked.all_synced();
    notes.append(journal, 5)
}

pub(crate) fn pins(journal: &Journal, notes: &mut Notes) -> Outcome {
    let name = format!("pin {}", notes.pins.len());
    journal.pin(&name, journal.position(), "")?;
    notes.pins.push(name);
    Ok(())
}

pub(crate) fn unpins(journal: &Journal, notes: &mut Notes) -> Outcome {
    while let Some(name) = notes.pins.pop() {
        journal.unpin(&name)?;
    }
    Ok(())
}

pub(crate) fn snapshots(journal: &Journal, notes: &mut Notes) -> Outcome {
    journal.snapshot()?;
    notes.append(journal, 20)
}

pub(crate) fn compacts(journal: &Journal, notes: &mut Notes) -> Outcome {
    notes.compacting = notes.acked.synced();
    journal.compact(&Retention::forever().bytes(32 * KIB))?;
    Ok(())
}

/// The segment that is written to ends early, and with the next commit it can go.
pub(crate) fn compacts_all(journal: &Journal, notes: &mut Notes) -> Outcome {
    notes.compacting = notes.acked.synced();
    journal.compact(&Retention::forever().age(Duration::ZERO))?;
    Ok(())
}

pub(crate) fn ticks(journal: &Journal, _notes: &mut Notes) -> Outcome {
    Ok(journal.tick()?)
}

/// Plays `acts`. When a call fails and the power is still there, the next owner opens the journal in the same cache,
/// finds what it must, and goes on with the next act.
pub(crate) fn play(sim: &Sim, notes: &mut Notes, acts: &[Act], lie: Lie) -> Outcome {
    let (mut shim, mut journal) = next_owner(sim, notes, lie)?;
    for act in acts {
        let outcome = match act {
            Act::Do(act) => act(&journal, notes),
            Act::Close => journal.close().map_err(Into::into).and(Err("closed".into())),
            Act::FailSync => {
                sim.fail_next_sync();
                notes.append(&journal, 50)
            }
            Act::Die => Err("died".into()),
        };
        if outcome.is_err() {
            shim.die();
            drop(journal);
            if sim.power_lost() {
                return outcome;
            }
            (shim, journal) = next_owner(sim, notes, lie)?;
        }
    }
    shim.die();
    Ok(())
}

/// Opens until no scripted fault hits the opening.
fn next_owner(sim: &Sim, notes: &mut Notes, lie: Lie) -> Result<(Shim, Journal), Box<dyn std::error::Error>> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let shim = Shim::new(sim.clone(), lie);
        match open_on(shim.clone()) {
            Ok(journal) => {
                let found = found_in(&journal, notes)?;
                if let Err(error) = notes.acked.reopened(&found)
                    && lie == Lie::None
                {
                    panic!("the next owner finds less: {error}");
                }
                return Ok((shim, journal));
            }
            Err(error) => {
                shim.die();
                if sim.power_lost() || attempts > 3 {
                    return Err(error.into());
                }
                if *error.kind() == ErrorKind::Damaged && lie == Lie::None {
                    panic!("the next owner refuses: {error}");
                }
            }
        }
    }
}

/// Opens what a crash left: everything promised is there, the journal goes on, and opening again finds the same.
pub(crate) fn check(sim: &Sim, notes: &Notes) -> Outcome {
    let found = recover(sim, notes)?;
    let same = |again: Vec<Vec<u8>>| match again == found {
        true => Ok(()),
        false => Err(format!("J7: {} records, then {}", found.len(), again.len())),
    };
    same(recover(&sim.crash(Crash::LoseAll), notes)?)?;
    let shim = Shim::new(sim.clone(), Lie::None);
    let journal = open_on(shim.clone()).map_err(refused)?;
    same(found_in(&journal, notes)?)?;
    journal.append(PROBE)?;
    shim.die();
    drop(journal);
    let mut left = found;
    left.push(PROBE.to_vec());
    let journal = open(&sim.crash(Crash::LoseAll)).map_err(refused)?;
    match found_in(&journal, notes)? == left {
        true => Ok(()),
        false => Err("J1: what was appended after the recovery is not there".into()),
    }
}

/// What the journal shows, with what was compacted away put in front again.
fn found_in(journal: &Journal, notes: &Notes) -> everlog::Result<Vec<Vec<u8>>> {
    let shown = payloads(journal)?;
    if journal.horizon().lsn.get() == 0 {
        return Ok(shown);
    }
    let sent = notes.acked.submitted();
    let first = shown.first().filter(|payload| *payload != PROBE);
    let gone =
        first.map_or(notes.compacting, |first| sent.iter().position(|sent| sent == first).unwrap_or(0));
    assert!(gone <= notes.compacting, "compacted too much: {gone} records");
    Ok(sent[..gone].iter().cloned().chain(shown).collect())
}

/// Opens and dies; what was found.
fn recover(sim: &Sim, notes: &Notes) -> Result<Vec<Vec<u8>>, Box<dyn std::error::Error>> {
    let shim = Shim::new(sim.clone(), Lie::None);
    let journal = open_on(shim.clone()).map_err(refused)?;
    let found = found_in(&journal, notes)?;
    let probes = found.iter().rev().take_while(|payload| *payload == PROBE).count();
    notes.acked.check(&found[..found.len() - probes])?;
    let pins = journal.pins();
    if let Some(lost) = notes.pins.iter().find(|name| pins.iter().all(|pin| pin.name != **name)) {
        return Err(format!("J1: {lost:?} is gone").into());
    }
    shim.die();
    Ok(found)
}

fn refused(error: Error) -> Box<dyn std::error::Error> {
    format!("J6: a legal crash is refused: {error:?}").into()
}
