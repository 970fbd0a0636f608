// Property: whatever is done to a store (sets, members, removals, patches, transactions that fail, snapshots, compaction,
// closes, power cuts), it is what a plain map is: a state that was noted, none acknowledged missing, also in the past.
#![no_main]

use std::sync::Arc;

use everlog::journal::{Background, Retention};
use everlog::medium::Sim;
use everlog::medium::sim::Crash;
use everlog::store::StoreOptions;
use everlog::{Durability, ErrorKind, Position, Store, path};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};

const STEPS_MAX: usize = 60;
const KEYS: [&str; 4] = ["b", "a.b/c", "", "a"];

fuzz_target!(|input: &[u8]| {
    let mut input = input.iter().copied().take(4 * STEPS_MAX);
    let Some(seed) = input.next() else { return };
    let sim = Sim::new(u64::from(seed));
    let mut run = Run { store: open(&sim), sim, noted: vec![(Position::START, Map::new())], sure: 1 };
    while let Some(step) = input.next() {
        run.step(step, &mut input);
    }
    run.reopen(run.sim.crash(Crash::LoseAll));
    (0..run.sure).for_each(|index| run.past(index));
});

fn open(sim: &Sim) -> Store {
    StoreOptions::new()
        .background(Background::Inline)
        .journal(|journal| journal.segment_bytes(16 * 1024, 16 * 1024).frame_bytes_max(1024))
        .open_on(Arc::new(sim.clone()))
        .expect("opens")
}

struct Run {
    sim: Sim,
    store: Store,
    noted: Vec<(Position, Map<String, Value>)>,
    /// How many of them are durable for sure.
    sure: usize,
}

impl Run {
    fn step(&mut self, step: u8, input: &mut impl Iterator<Item = u8>) {
        let mut byte = || input.next().unwrap_or_default();
        match step % 16 {
            0..10 => {
                let (what, place) = (byte(), byte());
                let durability = if step & 16 == 0 { Durability::Synced } else { Durability::Buffered };
                self.commit(what, place, step & 32 != 0, durability);
            }
            10 => drop(self.store.snapshot().expect("makes a snapshot")),
            11 => {
                let retention = Retention::forever().bytes(u64::from(byte()) * 128);
                self.store.compact(&retention).expect("compacts");
            }
            12 => {
                self.store.close().expect("closes");
                self.sure = self.noted.len();
                self.reopen(self.sim.clone());
            }
            13 => self.reopen(self.sim.crash(Crash::Random(u64::from(byte())))),
            14 => self.reopen(self.sim.kill()),
            _ => self.past(usize::from(byte()) % self.sure),
        }
    }

    fn commit(&mut self, what: u8, place: u8, fails: bool, durability: Durability) {
        let (key, member) = (KEYS[usize::from(place) % 4], format!("m{}", place / 4 % 4));
        let value = match what / 4 % 8 {
            0 => json!(null),
            1 => json!([what]),
            2 => json!({ "m0": what, "m1": { "deep": place } }),
            3 => json!("x".repeat(usize::from(place))),
            _ => json!(what),
        };
        let mut model = self.noted.last().expect("one").1.clone();
        let there = model.get(key).cloned();
        let allowed = what % 4 != 1 || there.as_ref().is_none_or(Value::is_object);
        match what % 4 {
            0 => drop(model.insert(key.to_owned(), value.clone())),
            1 if allowed => model.entry(key).or_insert_with(|| json!({}))[&member] = value.clone(),
            2 => drop(model.remove(key)),
            3 => {
                let there = model.entry(key).or_insert(Value::Null);
                if !there.is_object() {
                    *there = json!({});
                }
                there["merged"] = json!(what);
            }
            _ => {}
        }
        let outcome = self.store.with_durability(durability).transaction(|tx| {
            match what % 4 {
                0 => tx.set(path!("c", key), &value)?,
                1 => tx.set(path!("c", key, member), &value)?,
                2 => tx.remove(path!("c", key))?,
                _ => tx.merge(path!("c", key), &json!({ "merged": what }))?,
            };
            if fails { Err(Store::options().must_exist().open("/nonexistent").expect_err("none")) } else { Ok(()) }
        });
        match outcome {
            Ok(((), receipt)) if allowed && !fails => {
                if self.noted.last().expect("one").0.lsn != receipt.position.lsn {
                    self.noted.push((receipt.position, model));
                }
                if durability == Durability::Synced {
                    self.settled();
                }
            }
            Err(_) if !allowed || fails => self.settled(),
            other => panic!("{other:?}"),
        }
    }

    /// Everything noted is durable, and shown.
    fn settled(&mut self) {
        self.sure = self.noted.len();
        assert_eq!(shown(&self.store.view()), self.noted[self.sure - 1].1);
    }

    fn past(&self, index: usize) {
        let (position, model) = &self.noted[index];
        match self.store.at(*position) {
            Ok(view) => assert_eq!(shown(&view), *model, "at {position}"),
            Err(error) => assert!(matches!(error.kind(), ErrorKind::BeforeHorizon { .. }), "{error}"),
        }
    }

    fn reopen(&mut self, sim: Sim) {
        self.store = open(&sim);
        self.sim = sim;
        let end = self.store.position().lsn;
        let kept = self.noted.partition_point(|(position, _)| position.lsn <= end);
        assert!(kept >= self.sure);
        self.noted.truncate(kept);
        self.settled();
    }
}

fn shown(view: &everlog::View) -> Map<String, Value> {
    view.get("c").expect("reads").unwrap_or_default()
}
