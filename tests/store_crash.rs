//! A store, cut at every step of the device: sets, transactions, snapshots with merging runs, compaction, closing and the
//! next owner. Whatever is left opens and is a state that was noted, none that was acknowledged missing (J1-J3, J6, J7, J9;
//! E16, E31, E32, T26).

#![cfg(all(feature = "sim", feature = "store"))]
#![allow(clippy::expect_used, clippy::print_stdout, reason = "this is a test")]

use std::sync::Arc;

use everlog::journal::{Background, Retention};
use everlog::medium::Sim;
use everlog::store::StoreOptions;
use everlog::testing::{Crashes, Outcome};
use everlog::{Durability, ErrorKind, Position, Store, path};
use serde_json::{Value, json};

fn open_on(sim: &Sim) -> everlog::Result<Store> {
    StoreOptions::new()
        .background(Background::Inline)
        .journal(|journal| journal.segment_bytes(16 * 1024, 16 * 1024).frame_bytes_max(1024))
        .open_on(Arc::new(sim.clone()))
}

/// What the workload was promised: each state it may be in, in order, and how far it is sure.
#[derive(Debug)]
struct Notes {
    states: Vec<(Option<Position>, Value)>,
    sure: usize,
    /// How many states there were when compaction was last asked for: at most those may be out of reach.
    compacting: usize,
}

impl Default for Notes {
    fn default() -> Notes {
        Notes { states: vec![(Some(Position::START), json!({}))], sure: 1, compacting: 0 }
    }
}

impl Notes {
    fn now(&self) -> Value {
        self.states[self.states.len() - 1].1.clone()
    }

    /// Notes what is about to be done, does it, and notes that it is done.
    fn commit(
        &mut self,
        store: &Store,
        change: impl FnOnce(&mut Value),
        write: impl FnOnce(&mut everlog::Tx<'_>) -> everlog::Result<()>,
    ) -> Outcome {
        let mut state = self.now();
        change(&mut state);
        self.states.push((None, state));
        let ((), receipt) = store.transaction(write)?;
        let last = self.states.len() - 1;
        self.states[last].0 = Some(receipt.position);
        self.sure = self.states.len();
        Ok(())
    }

    fn set(&mut self, store: &Store, key: &str, value: Value) -> Outcome {
        let there = value.clone();
        self.commit(store, |state| state[key] = there, |tx| tx.set(path!("notes", key), &value).map(drop))
    }

    /// The next owner sees what is durable, and only that goes on.
    fn reopened(&mut self, store: &Store) -> Outcome {
        let kept = self.check(store)?;
        self.states.truncate(kept + 1);
        self.states[kept].0 = Some(store.position());
        self.sure = self.states.len();
        Ok(())
    }

    /// Which of the states it is.
    fn check(&self, store: &Store) -> Result<usize, Box<dyn std::error::Error>> {
        let found = everything(&store.view())?;
        let index = self.states.iter().rposition(|(_, state)| *state == found);
        let index = index.ok_or_else(|| format!("J2, J3: {found} was never a state"))?;
        if index + 1 < self.sure {
            return Err(format!(
                "J1: state {index} of {}, {} were acknowledged",
                self.states.len(),
                self.sure
            )
            .into());
        }
        Ok(index)
    }
}

fn everything(view: &everlog::View) -> Result<Value, Box<dyn std::error::Error>> {
    Ok(view.get::<Value>("notes")?.unwrap_or_else(|| json!({})))
}

fn workload(sim: &Sim, notes: &mut Notes) -> Outcome {
    let store = open_on(sim)?;
    for number in 0..4 {
        notes.set(&store, &format!("n{number}"), json!({ "text": "x".repeat(300), "n": number }))?;
    }
    store.snapshot()?;
    notes.commit(
        &store,
        |state| {
            state["n0"]["n"] = json!(17);
            state.as_object_mut().expect("an object").remove("n1");
            state["list"] = json!(["a", "b"]);
        },
        |tx| {
            tx.set("notes.n0.n", &17)?;
            tx.remove("notes.n1")?;
            tx.append("notes.list", "a", None)?;
            tx.append("notes.list", "b", None).map(drop)
        },
    )?;
    store.snapshot()?;
    // More than a frame and more than a segment, all or nothing.
    notes.commit(
        &store,
        |state| (0..40).for_each(|n| state[format!("bulk{n}")] = json!("y".repeat(500))),
        |tx| (0..40).try_for_each(|n| tx.set(path!("notes", format!("bulk{n}")), &"y".repeat(500)).map(drop)),
    )?;
    store.snapshot()?;
    store.close()?;
    let store = open_on(sim)?;
    notes.reopened(&store)?;
    notes.set(&store, "n1", json!("back"))?;
    store.pin("here", store.position(), "")?;
    notes.compacting = notes.states.len();
    store.compact(&Retention::forever().bytes(20_000))?;
    notes.set(&store, "after", json!(null))?;
    // Nobody waits for the disk: these may be lost together, from the end.
    let loose = store.with_durability(Durability::Buffered);
    let sure = notes.sure;
    notes.set(&loose, "loose", json!(1))?;
    notes.sure = sure;
    notes.set(&loose, "loose", json!(2))?;
    notes.sure = sure;
    store.snapshot()?;
    notes.sure = notes.states.len();
    drop((loose, store));
    let store = open_on(sim)?;
    notes.reopened(&store)?;
    notes.set(&store, "last", json!(3))?;
    store.close()?;
    notes.sure = notes.states.len();
    Ok(())
}

fn check(sim: &Sim, notes: &Notes) -> Outcome {
    let store = open_on(sim)?;
    let kept = notes.check(&store)?;
    let horizon = store.horizon();
    for (index, (position, state)) in notes.states[..=kept].iter().enumerate() {
        let Some(position) = position.filter(|position| position.lsn <= store.position().lsn) else {
            continue;
        };
        match store.at(position) {
            Ok(view) if everything(&view)? == *state => {}
            Ok(view) => return Err(format!("J3: at {position} it was {}", everything(&view)?).into()),
            Err(error) if matches!(error.kind(), ErrorKind::BeforeHorizon { .. }) => {
                if position.lsn >= horizon.lsn || index >= notes.compacting {
                    return Err(format!("J9: {position} is out of reach, the horizon is {horizon}").into());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    // It goes on; in a collection of its own, because this check is cut, too.
    let state = everything(&store.view())?;
    let count = store.increment("probe.count", 1)?;
    store.snapshot()?;
    store.close()?;
    let store = open_on(sim)?;
    if everything(&store.view())? != state || store.get("probe.count")? != Some(count) {
        return Err("J1: what was there, or was added by the check, is gone".into());
    }
    Ok(())
}

#[test]
fn a_store_cut_at_any_step_keeps_what_it_acknowledged_and_every_moment_within_its_horizon() {
    let seed = 7;
    let tally = Crashes::new(seed).images(6).recoveries(3, 2).everywhere(workload, check);
    println!("seed {seed}: {tally:?}");
    assert!(tally.steps > 200, "{tally:?}");
}
