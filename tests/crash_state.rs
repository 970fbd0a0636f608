//! Crash at every step of a typed journal with a rollback in it (J1, J2, J3, J6, J7): the state is the fold of a prefix
//! that holds everything acknowledged, and so is every moment of the past that is still within the horizon.
#![cfg(feature = "sim")]
#![allow(clippy::expect_used, clippy::panic, reason = "this is a test")]

mod crash_kit;
mod state_parts;

use std::collections::BTreeMap;
use std::sync::Arc;

use crash_kit::{KIB, Lie, Shim};
use everlog::journal::Retention;
use everlog::medium::Sim;
use everlog::medium::sim::{Crash, Fault};
use everlog::testing::{Crashes, Outcome};
use everlog::{Durability, Error, ErrorKind, Item, Journaled, Lsn, Meta, Position, Recorded, When};
use state_parts::{Bank, Event, deposit, inline};

type Failure = Box<dyn std::error::Error>;
/// Says in the log that a record is the check's and not the workload's.
const CHECK: &str = "check";

/// The end of a transaction that was handed in, and the state there.
#[derive(Clone, Debug)]
struct Mark {
    lsn: u64,
    bank: Bank,
    /// Whether the state was read from the journal, or only told by a plain map.
    is_whole: bool,
}

/// What a run was promised.
#[derive(Debug)]
struct Notes {
    marks: Vec<Mark>,
    /// How many of the marks must be there.
    sure: usize,
    /// The pins that must be there, and what they keep.
    pins: Vec<(String, u64)>,
    pins_made: u64,
    /// The rollbacks that were acknowledged.
    rollbacks: Vec<u64>,
    /// How far a compaction may have moved the horizon.
    horizon_max: u64,
}

impl Default for Notes {
    fn default() -> Notes {
        let start = Mark { lsn: 0, bank: Bank::default(), is_whole: true };
        let (pins, rollbacks) = (Vec::new(), Vec::new());
        Notes { marks: vec![start], sure: 1, pins, pins_made: 0, rollbacks, horizon_max: 0 }
    }
}

impl Notes {
    fn last(&mut self) -> &mut Mark {
        self.marks.last_mut().expect("one at least")
    }

    /// A transaction of so many records is about to be handed in.
    fn hand_in(&mut self, records: u64, change: impl FnOnce(&mut Bank)) {
        let mut mark = self.last().clone();
        mark.lsn += records;
        change(&mut mark.bank);
        mark.is_whole = false;
        self.marks.push(mark);
    }

    /// What was handed in last was acknowledged as synced.
    fn acknowledged(&mut self, bank: &Journaled<Bank>) -> Outcome {
        self.read_back(bank.read(Bank::clone)?)?;
        self.sure = self.marks.len();
        Ok(())
    }

    fn read_back(&mut self, found: Bank) -> Outcome {
        let mark = self.last();
        mark.agrees(&found)?;
        mark.bank = found;
        mark.is_whole = true;
        Ok(())
    }
}

impl Mark {
    fn agrees(&self, found: &Bank) -> Outcome {
        let same = (&self.bank.balances, self.bank.events) == (&found.balances, found.events);
        match same && (!self.is_whole || self.bank == *found) {
            true => Ok(()),
            false => Err(format!("record {}: the state is {found:?}, not {:?}", self.lsn, self.bank).into()),
        }
    }

    fn when(&self) -> When {
        if self.lsn == 0 { When::position(Position::START) } else { When::lsn(Lsn::new(self.lsn)) }
    }
}

/// One thing a workload does.
enum Act {
    /// Something with the journal.
    Do(fn(&Journaled<Bank>, &mut Notes) -> Outcome),
    /// The same while the next sync fails, and the next owner in the same cache.
    FailSync(fn(&Journaled<Bank>, &mut Notes) -> Outcome),
    /// A clean close, and the next owner.
    Close,
    /// The process dies, and the next owner in the same cache.
    Die,
}

/// Everything a typed journal can be put through, with rollbacks between all of it.
const ACTS: &[Act] = &[
    Act::Do(commits),
    Act::Do(transaction),
    Act::Do(snapshot),
    Act::Do(pin),
    Act::Do(loose),
    Act::Do(rollback_near),
    Act::Do(commits),
    Act::Do(rollback_far),
    Act::Close,
    Act::Do(rolls),
    Act::FailSync(rollback_near),
    Act::Do(loose),
    Act::Die,
    Act::Do(rollback_near),
    Act::Do(compact),
    Act::Do(snapshot),
    Act::Do(unpin),
    Act::Do(rolls),
    Act::Do(compact),
    Act::Do(rollback_near),
    Act::Do(commits),
    Act::Close,
    Act::Do(rolls),
    Act::Do(compact),
    Act::Do(rollback_far),
    Act::Die,
    Act::Do(commits),
];

fn add(model: &mut Bank, account: u32, cents: u64) {
    *model.balances.entry(account).or_default() += cents;
    model.events += 1;
}

fn commit(bank: &Journaled<Bank>, notes: &mut Notes, account: u32) -> Outcome {
    notes.hand_in(1, |model| add(model, account, 1));
    bank.commit(deposit(account, 1))?;
    notes.acknowledged(bank)
}

fn commits(bank: &Journaled<Bank>, notes: &mut Notes) -> Outcome {
    (1..=2).try_for_each(|account| commit(bank, notes, account))
}

fn transaction(bank: &Journaled<Bank>, notes: &mut Notes) -> Outcome {
    notes.hand_in(5, |model| (1..=5).for_each(|account| add(model, account, 10)));
    bank.transaction(|_| Ok((1..=5).map(|account| deposit(account, 10))))?;
    notes.acknowledged(bank)
}

/// A transaction over several frames, then enough to fill more than a segment.
fn rolls(bank: &Journaled<Bank>, notes: &mut Notes) -> Outcome {
    let wordy = bank.with_meta(Meta::new().cause("w".repeat(900)));
    transaction(&wordy, notes)?;
    let wordier = bank.with_meta(Meta::new().cause("w".repeat(5000)));
    (0..3).try_for_each(|account| commit(&wordier, notes, account))
}

/// Written, and nobody waits for the disk.
fn loose(bank: &Journaled<Bank>, notes: &mut Notes) -> Outcome {
    for account in 3..=5 {
        notes.hand_in(1, |model| add(model, account, 7));
        bank.with_durability(Durability::Buffered).commit(deposit(account, 7))?;
        notes.read_back(bank.latest(Bank::clone)?)?;
    }
    Ok(())
}

fn snapshot(bank: &Journaled<Bank>, _notes: &mut Notes) -> Outcome {
    bank.snapshot()?;
    Ok(())
}

fn pin(bank: &Journaled<Bank>, notes: &mut Notes) -> Outcome {
    notes.pins_made += 1;
    let (name, kept) = (format!("pin {}", notes.pins_made), notes.last().lsn);
    notes.hand_in(1, |_| {});
    bank.pin(&name, When::now(), "")?;
    notes.pins.push((name, kept));
    notes.acknowledged(bank)
}

fn unpin(bank: &Journaled<Bank>, notes: &mut Notes) -> Outcome {
    while let Some((name, _)) = notes.pins.pop() {
        notes.hand_in(1, |_| {});
        bank.unpin(&name)?;
        notes.acknowledged(bank)?;
    }
    Ok(())
}

/// Keeps two segments: less than a rollback and what it returned to need.
fn compact(bank: &Journaled<Bank>, notes: &mut Notes) -> Outcome {
    bank.tick()?;
    notes.sure = notes.marks.len();
    notes.horizon_max = notes.last().lsn;
    bank.compact(&Retention::forever().bytes(32 * KIB))?;
    Ok(())
}

/// To the state before the last four transactions.
fn rollback_near(bank: &Journaled<Bank>, notes: &mut Notes) -> Outcome {
    rollback(bank, notes, notes.marks.len().saturating_sub(5))
}

/// As far back as can be.
fn rollback_far(bank: &Journaled<Bank>, notes: &mut Notes) -> Outcome {
    rollback(bank, notes, 0)
}

fn rollback(bank: &Journaled<Bank>, notes: &mut Notes, index: usize) -> Outcome {
    let horizon = bank.horizon().lsn.get();
    let target = notes.marks[index..].iter().find(|mark| mark.lsn >= horizon).expect("the last one").clone();
    let preview = bank.rollback_to(target.when())?;
    target.agrees(preview.state_after())?;
    notes.hand_in(1, |model| *model = target.bank);
    preview.commit()?;
    notes.rollbacks.push(notes.marks[notes.marks.len() - 1].lsn);
    notes.acknowledged(bank)
}

fn open_on(shim: &Shim) -> everlog::Result<Journaled<Bank>> {
    let options = inline().journal(|journal| journal.segment_bytes(16 * KIB, 16 * KIB).frame_bytes_max(1024));
    options.open_on(Arc::new(shim.clone()))
}

/// Plays `acts`. When a call fails and the power is still there, the next owner opens the journal in the same cache,
/// finds what it must, and goes on with the next act.
fn play(sim: &Sim, notes: &mut Notes, acts: &[Act], lie: Lie) -> Outcome {
    let (mut shim, mut bank) = next_owner(sim, notes, lie)?;
    for act in acts {
        let outcome = match act {
            Act::Do(act) => act(&bank, notes),
            Act::FailSync(act) => {
                sim.fail_next_sync();
                act(&bank, notes).and(Err("went on after it".into()))
            }
            Act::Close => bank.close().map_err(Into::into).and(Err("closed".into())),
            Act::Die => Err("died".into()),
        };
        if outcome.is_err() {
            shim.die();
            drop(bank);
            if sim.power_lost() {
                return outcome;
            }
            (shim, bank) = next_owner(sim, notes, lie)?;
        }
    }
    shim.die();
    Ok(())
}

/// Opens until no scripted fault hits the opening. What it shows is durable, and what it does not show is gone.
fn next_owner(sim: &Sim, notes: &mut Notes, lie: Lie) -> Result<(Shim, Journaled<Bank>), Failure> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let shim = Shim::new(sim.clone(), lie);
        match open_on(&shim) {
            Ok(bank) => {
                let found = match look(&bank, notes) {
                    Err(error) if !sim.power_lost() && lie == Lie::None => panic!("the next owner: {error}"),
                    found => found?,
                };
                notes.marks.truncate(found.index + 1);
                notes.acknowledged(&bank)?;
                return Ok((shim, bank));
            }
            Err(error) => {
                shim.die();
                if sim.power_lost() || attempts > 3 {
                    return Err(refused(error));
                }
                if *error.kind() == ErrorKind::Damaged && lie == Lie::None {
                    panic!("the next owner refuses: {error}");
                }
            }
        }
    }
}

/// What an opening shows.
#[derive(Debug, PartialEq)]
struct Found {
    position: Position,
    bank: Bank,
    /// The last mark that is there.
    index: usize,
    /// How many records the check itself has left after it.
    own: usize,
}

/// Holds the present state and what there is of the past against the notes.
fn look(bank: &Journaled<Bank>, notes: &Notes) -> Result<Found, Failure> {
    let events = bank.events(..)?.collect::<everlog::Result<Vec<_>>>()?;
    let is_own = |recorded: &&Recorded<Event>| {
        recorded.meta.as_ref().is_some_and(|meta| meta.actor.as_deref() == Some(CHECK))
    };
    let own: Vec<_> = events.iter().filter(is_own).collect();
    let position = bank.position();
    let base = position.lsn.get() - own.len() as u64;
    let Some(index) = notes.marks.iter().position(|mark| mark.lsn == base) else {
        return Err(format!("J2: {base} records are no whole number of transactions").into());
    };
    if index + 1 < notes.sure {
        return Err(format!("J1: {base} records found, mark {} of {} is sure", notes.sure, index + 1).into());
    }
    let marks = expected(&notes.marks[..=index], &own);
    let (state, horizon) = (bank.read(Bank::clone)?, bank.horizon().lsn.get());
    marks[&position.lsn.get()].agrees(&state).map_err(|error| format!("J3: {error}"))?;
    if horizon > notes.horizon_max {
        return Err(format!("the horizon is at {horizon}, beyond {}", notes.horizon_max).into());
    }
    if bank.at(When::now())?.into_state() != state {
        return Err("J10: the log says something else than the live state".into());
    }
    for mark in marks.values() {
        match bank.at(mark.when()) {
            Ok(past) if mark.lsn >= horizon => mark.agrees(&past)?,
            Err(error) if mark.lsn < horizon && matches!(error.kind(), ErrorKind::BeforeHorizon { .. }) => {}
            other => return Err(format!("record {}, horizon {horizon}: {other:?}", mark.lsn).into()),
        }
    }
    for (name, kept) in &notes.pins {
        marks[kept].agrees(&*bank.at(When::pin(name))?).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(Found { position, bank: state, index, own: own.len() })
}

/// The marks with those of the check's own records after them, told without a fold.
fn expected(marks: &[Mark], own: &[&Recorded<Event>]) -> BTreeMap<u64, Mark> {
    let mut expected: BTreeMap<u64, Mark> = marks.iter().map(|mark| (mark.lsn, mark.clone())).collect();
    for recorded in own {
        let lsn = recorded.position.lsn.get();
        let mut bank = expected[&(lsn - 1)].bank.clone();
        match &recorded.item {
            Item::Rollback { target } => bank = expected[&target.lsn.get()].bank.clone(),
            _ => add(&mut bank, 99, 1),
        }
        expected.insert(lsn, Mark { lsn, bank, is_whole: false });
    }
    expected
}

/// Opens what a crash left: everything promised is there, opening again finds the same, and the journal goes on, with
/// one more rollback as far back as can be.
fn check(sim: &Sim, notes: &Notes) -> Outcome {
    let found = recover(sim, notes)?;
    let again = recover(&sim.crash(Crash::LoseAll), notes)?;
    if again != found {
        return Err(format!("J7: {found:?}, then {again:?}").into());
    }
    let shim = Shim::new(sim.clone(), Lie::None);
    let bank = open_on(&shim).map_err(refused)?.with_meta(Meta::new().actor(CHECK));
    bank.commit(deposit(99, 1))?;
    let horizon = bank.horizon().lsn.get();
    let oldest = notes.marks.iter().find(|mark| mark.lsn >= horizon).ok_or("nothing is left")?;
    bank.rollback_to(oldest.when())?.commit()?;
    shim.die();
    drop(bank);
    let left = recover(&sim.crash(Crash::LoseAll), notes)?;
    oldest.agrees(&left.bank)?;
    match (left.index, left.own) == (found.index, found.own + 2) {
        true => Ok(()),
        false => Err(format!("J1: {found:?} and two more records, then {left:?}").into()),
    }
}

/// Opens, looks and dies.
fn recover(sim: &Sim, notes: &Notes) -> Result<Found, Failure> {
    let shim = Shim::new(sim.clone(), Lie::None);
    let bank = open_on(&shim).map_err(refused)?;
    let found = look(&bank, notes);
    shim.die();
    found
}

fn refused(error: Error) -> Failure {
    format!("J6: a legal crash is refused: {error:?}").into()
}

fn seeds(usual: u64) -> u64 {
    std::env::var("EVERLOG_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn all_acts(sim: &Sim, notes: &mut Notes) -> Outcome {
    play(sim, notes, ACTS, Lie::None)
}

#[test]
fn the_horizon_passes_some_of_the_rollbacks_and_not_others() {
    let (sim, mut notes) = (Sim::new(1), Notes::default());
    all_acts(&sim, &mut notes).expect("plays");
    let shim = Shim::new(sim, Lie::None);
    let horizon = open_on(&shim).expect("opens").horizon().lsn.get();
    let passed = notes.rollbacks.iter().filter(|lsn| **lsn <= horizon).count();
    assert!(passed >= 3 && notes.rollbacks.len() > passed, "horizon {horizon}: {notes:?}");
}

#[test]
fn a_power_cut_at_every_step_of_a_typed_journal_leaves_the_fold_of_a_prefix_with_all_acknowledged() {
    for seed in 0..seeds(1) {
        let tally = Crashes::new(seed).images(8).recoveries(3, 2).everywhere(all_acts, check);
        println!("seed {seed}, typed: {tally}");
        assert!(tally.states > 1000, "{tally}");
    }
}

#[test]
fn an_error_at_every_step_of_a_typed_journal_loses_nothing_and_the_next_owner_goes_on() {
    for fault in [std::io::ErrorKind::Other, std::io::ErrorKind::StorageFull].map(Fault::Error) {
        let tally = Crashes::new(3).fault(fault).images(1).recoveries(0, 0).everywhere(all_acts, check);
        println!("{fault:?}, typed: {tally}");
    }
}

/// What the checker says about `lie`.
fn caught(lie: Lie) -> String {
    let acts = [Act::Do(commits), Act::Do(rollback_near), Act::Do(commits)];
    let crashes = Crashes::new(5).images(12).recoveries(0, 0);
    let found = crashes.run(|sim, notes| play(sim, notes, &acts, lie), check);
    let violation = found.expect_err("the lie goes unnoticed").to_string();
    println!("{lie:?}: {violation}");
    violation
}

#[test]
fn leaving_out_the_sync_of_a_rollbacks_state_is_caught() {
    assert!(caught(Lie::SkipRunSync).contains("J6"));
}
