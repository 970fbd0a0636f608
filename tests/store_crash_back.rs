//! A store, cut at every step of the device on its way back: rollbacks, undo and redo, pins before changes, forks, series
//! and collections with bounds, runs that merge. What is left is a state that was noted, with its pins and its stacks of
//! undo, and none that was acknowledged is missing (J1-J3, J6, J9; E31, E33, E38, T30, T31).

#![cfg(all(feature = "sim", feature = "store"))]
#![allow(clippy::expect_used, clippy::print_stdout, reason = "this is a test")]

use std::sync::{Arc, OnceLock};

use everlog::journal::{Background, Receipt, Retention};
use everlog::medium::Sim;
use everlog::store::{Collection, StoreOptions, UndoScope};
use everlog::testing::{Crashes, ManualClock, Outcome};
use everlog::{ErrorKind, Position, Store, Tx, When, path};
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;

fn open_on(sim: &Sim) -> everlog::Result<Store> {
    StoreOptions::new()
        .background(Background::Inline)
        .clock(Arc::new(ManualClock::new("2026-11-19T18:00:00Z".parse().expect("a time"))))
        .collection(Collection::new("recent").keep_last(3))
        .journal(|journal| journal.segment_bytes(16 * 1024, 16 * 1024).frame_bytes_max(1024))
        .open_on(Arc::new(sim.clone()))
}

fn editor(store: &Store) -> everlog::Result<UndoScope> {
    store.undo_scope("editor", ["notes", "log"])
}

/// What a view shows.
fn data(view: &everlog::View) -> everlog::Result<Value> {
    let log = view.series::<Value>("log.a")?.range(..)?;
    Ok(json!({
        "notes": view.get::<Value>("notes")?,
        "recent": view.get::<Value>("recent")?,
        "log": log.into_iter().map(|entry| entry.value).collect::<Vec<_>>(),
    }))
}

/// That, and what else is to survive.
fn everything(store: &Store) -> everlog::Result<Value> {
    let editor = editor(store)?;
    let pins: Vec<String> =
        store.pins().iter().map(|pin| format!("{} {}", pin.name, pin.position.lsn)).collect();
    let (undo, redo) = (editor.undo_labels(), editor.redo_labels());
    Ok(json!({ "data": data(&store.view())?, "pins": pins, "undo": undo, "redo": redo }))
}

/// Each state that the workload goes through, found out when nothing goes wrong.
static STATES: OnceLock<Vec<Value>> = OnceLock::new();

#[derive(Debug, Default)]
struct Notes {
    /// The positions after the commits so far.
    done: Vec<Position>,
    /// A commit was begun and may be there.
    begun: bool,
    /// How many commits there were when compaction was last asked for: at most those may be out of reach.
    compacting: usize,
    /// The states, while they are found out.
    states: Vec<Value>,
    /// The fork, and what it started with.
    fork: Option<(Sim, Value)>,
}

impl Notes {
    fn commit(&mut self, store: &Store, write: impl FnOnce(&Store) -> everlog::Result<Receipt>) -> Outcome {
        self.begun = true;
        let receipt = write(store)?;
        self.begun = false;
        self.done.push(receipt.position);
        let now = everything(store)?;
        if let Some(states) = STATES.get() {
            assert_eq!(now, states[self.done.len() - 1], "the same each time");
        }
        self.states.push(now);
        Ok(())
    }

    fn transact(&mut self, store: &Store, write: impl FnOnce(&mut Tx<'_>) -> everlog::Result<()>) -> Outcome {
        self.commit(store, |store| Ok(store.transaction(write)?.1))
    }

    fn now(&self) -> &Value {
        &self.states[self.states.len() - 1]
    }
}

fn fill(store: &Store, notes: &mut Notes) -> Outcome {
    notes.transact(store, |tx| {
        tx.set("notes.a", &json!({ "n": 1, "m": "x".repeat(300) }))?;
        (0..3).try_for_each(|n| tx.set(path!("recent", n), &n).map(drop))
    })?;
    let log = store.series::<Value>("log.a").keep_last(2);
    for number in 0..3 {
        notes.commit(store, |_| log.push(&json!(number)))?;
    }
    store.snapshot()?;
    notes.commit(store, |store| store.set("recent.3", &3))?;
    // More than a frame and more than a segment, all or nothing.
    notes.transact(store, |tx| {
        (0..40).try_for_each(|n| tx.set(path!("notes", n), &"y".repeat(500)).map(drop))
    })?;
    store.snapshot()?;
    assert_eq!(notes.now()["data"]["log"], json!([1, 2]));
    assert_eq!(notes.now()["data"]["recent"], json!({ "1": 1, "2": 2, "3": 3 }));
    Ok(())
}

fn go_back(store: &Store, notes: &mut Notes) -> Outcome {
    let full = notes.now()["data"].clone();
    notes.commit(store, |store| {
        let remove = |tx: &mut Tx<'_>| tx.remove("notes").and(tx.remove("log"));
        Ok(store.pin_before("before", remove)?.1)
    })?;
    assert_eq!(notes.now()["data"]["log"], json!([]));
    notes.commit(store, |store| store.rollback_to(When::pin("before"))?.commit())?;
    assert_eq!(notes.now()["data"], full);
    store.snapshot()?;
    let (editor, log) = (editor(store)?, store.series::<Value>("log.a"));
    notes.commit(store, |_| {
        Ok(editor.transaction("one", |tx| tx.set("notes.a.n", &5).and(tx.push(&log, &json!("p"))))?.1)
    })?;
    let one = notes.now()["data"].clone();
    notes
        .commit(store, |_| Ok(editor.transaction("all", |tx| tx.remove("notes").and(tx.remove("log")))?.1))?;
    let all = notes.now()["data"].clone();
    notes.commit(store, |_| editor.undo())?;
    assert_eq!(notes.now()["data"], one);
    notes.commit(store, |_| editor.redo())?;
    assert_eq!(notes.now()["data"], all);
    notes.commit(store, |_| editor.undo())?;
    Ok(())
}

fn go_on(sim: &Sim, store: &Store, notes: &mut Notes) -> Outcome {
    // From the log, in a session of its own.
    let editor = editor(store)?;
    notes.commit(store, |_| editor.undo())?;
    let (fork, from) = (Sim::new(9), notes.done[9]);
    store.fork_on(from, Arc::new(fork.clone()))?;
    notes.fork = Some((fork, notes.states[9]["data"].clone()));
    notes.commit(store, |store| store.set("notes.a.n", &77))?;
    let refused = editor.redo().expect_err("others changed it");
    if *refused.kind() != ErrorKind::Conflict {
        return Err(refused.into());
    }
    notes.compacting = notes.done.len();
    store.compact(&Retention::forever().bytes(20_000))?;
    let earlier = notes.done[notes.done.len() - 3];
    notes.commit(store, |store| store.rollback_to(earlier)?.only(["notes.a.n", "log"])?.commit())?;
    notes.commit(store, |store| {
        let once = || store.transaction_once("key", |tx| tx.increment("notes.count", 1));
        let (first, again) = (once()?, once()?);
        assert!(!first.repeated && again.repeated && first.receipt == again.receipt);
        Ok(first.receipt)
    })?;
    store.snapshot()?;
    store.close()?;
    let store = open_on(sim)?;
    notes.commit(&store, |store| store.set("recent.last", &true))?;
    Ok(store.close()?)
}

fn workload(sim: &Sim, notes: &mut Notes) -> Outcome {
    let store = open_on(sim)?;
    notes.states.push(everything(&store)?);
    notes.done.push(store.position());
    fill(&store, notes)?;
    go_back(&store, notes)?;
    store.close()?;
    let store = open_on(sim)?;
    go_on(sim, &store, notes)
}

fn check(sim: &Sim, notes: &Notes) -> Outcome {
    let store = open_on(sim)?;
    let states = STATES.get().expect("found out before");
    let (found, sure) = (everything(&store)?, notes.done.len().max(1) - 1);
    let may_be = &states[sure..=(sure + usize::from(notes.begun)).min(states.len() - 1)];
    if !may_be.contains(&found) {
        return Err(format!("J1-J3: {found} after {sure} commits, which were to be {may_be:?}").into());
    }
    for (index, position) in notes.done.iter().enumerate() {
        look_at(&store, *position, &states[index]["data"], index < notes.compacting)?;
    }
    for pin in store.pins() {
        store.at(When::pin(&pin.name))?;
    }
    if let Some((fork, state)) = &notes.fork {
        let fork = open_on(&fork.kill())?;
        fork.set("notes.own", &1)?;
        look_at(&fork, fork.horizon(), state, false)?;
    }
    // It goes on; in a collection of its own, because this check is cut, too.
    let count = store.increment("probe.count", 1)?;
    store.snapshot()?;
    store.close()?;
    let store = open_on(sim)?;
    if everything(&store)? != found || store.get("probe.count")? != Some(count) {
        return Err("J1: what was there, or was added by the check, is gone".into());
    }
    Ok(())
}

fn look_at(store: &Store, position: Position, state: &Value, may_be_lost: bool) -> Result<(), Failure> {
    match store.at(position) {
        Ok(view) if data(&view)? == *state => Ok(()),
        Ok(view) => Err(format!("J3: at {position} it was {}", data(&view)?).into()),
        Err(error) if matches!(error.kind(), ErrorKind::BeforeHorizon { .. }) && may_be_lost => Ok(()),
        Err(error) => Err(format!("J9: {position}: {error}").into()),
    }
}

#[test]
fn a_store_cut_at_any_step_of_its_way_back_is_in_one_of_its_states_with_pins_and_undo() {
    let mut notes = Notes::default();
    workload(&Sim::new(7), &mut notes).expect("nothing goes wrong");
    STATES.set(notes.states).expect("once");
    let seed = 7;
    let tally = Crashes::new(seed).images(3).recoveries(1, 2).everywhere(workload, check);
    println!("seed {seed}: {tally:?}");
    assert!(tally.steps > 200, "{tally:?}");
}
