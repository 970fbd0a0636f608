//! Whatever is done to a store in whatever order, with crashes between, it is what a plain map says, now and at every
//! earlier position (J2, J3, J8, J10; E08, E12, E17, T30).

#![cfg(all(feature = "sim", feature = "store"))]
#![allow(clippy::expect_used, clippy::panic, reason = "this is a test")]

use std::collections::BTreeMap;
use std::sync::Arc;

use everlog::journal::{Background, Retention};
use everlog::medium::Sim;
use everlog::medium::sim::Crash;
use everlog::store::StoreOptions;
use everlog::{Durability, ErrorKind, Position, Store, path};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Collection, then key.
type Model = BTreeMap<String, BTreeMap<String, Value>>;

#[derive(Clone, Debug)]
enum Change {
    Set(usize, usize, Value),
    /// A member of a document, or a refusal where that is no object.
    Member(usize, usize, u8, Value),
    Remove(usize, usize),
    RemoveMember(usize, usize, u8),
    Append(usize, usize, u64),
    Merge(usize, usize, Value),
    Clear(usize),
}

#[derive(Clone, Debug)]
enum Step {
    One(Change),
    /// Several at once; with `true` the closure fails at the end.
    Many(Vec<Change>, bool),
    /// Buffered, and nobody waits for the disk.
    Loose(Change),
    Snapshot,
    Compact(u64),
    Past(usize),
    Reopen,
    Crash(u64),
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        (0..5_u32).prop_map(|n| json!(n)),
        "[a-c]{0,40}".prop_map(|text| json!(text)),
        (0..3_u8, 0..3_u8).prop_map(|(n, m)| json!({ "m0": n, "m1": { "deep": m } })),
        prop::collection::vec(0..9_u8, 0..4).prop_map(|list| json!(list)),
    ]
}

fn changes() -> impl Strategy<Value = Change> {
    let place = (0..2_usize, 0..5_usize);
    prop_oneof![
        4 => (place.clone(), values()).prop_map(|((c, k), value)| Change::Set(c, k, value)),
        3 => (place.clone(), 0..3_u8, values()).prop_map(|((c, k), m, value)| Change::Member(c, k, m, value)),
        2 => place.clone().prop_map(|(c, k)| Change::Remove(c, k)),
        1 => (place.clone(), 0..3_u8).prop_map(|((c, k), m)| Change::RemoveMember(c, k, m)),
        2 => (place.clone(), 1..4_u64).prop_map(|((c, k), keep)| Change::Append(c, k, keep)),
        2 => (place, values()).prop_map(|((c, k), patch)| Change::Merge(c, k, patch)),
        1 => (0..2_usize).prop_map(Change::Clear),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => changes().prop_map(Step::One),
        3 => (prop::collection::vec(changes(), 0..12), prop::bool::weighted(0.2))
            .prop_map(|(changes, fails)| Step::Many(changes, fails)),
        3 => changes().prop_map(Step::Loose),
        2 => Just(Step::Snapshot),
        1 => (0..30_000_u64).prop_map(Step::Compact),
        3 => (0..30_usize).prop_map(Step::Past),
        1 => Just(Step::Reopen),
        1 => any::<u64>().prop_map(Step::Crash),
    ];
    prop::collection::vec(step, 1..60)
}

fn open_on(sim: &Sim) -> Store {
    StoreOptions::new()
        .background(Background::Inline)
        .journal(|journal| journal.segment_bytes(16 * 1024, 16 * 1024).frame_bytes_max(1024))
        .open_on(Arc::new(sim.clone()))
        .expect("opens")
}

const COLLECTIONS: [&str; 2] = ["notes", "settings"];
/// Keys that sort in another order than they are listed, and such that need escaping.
const KEYS: [&str; 5] = ["b", "a.b/c", "", "ä", "a"];

/// What the change does to the model; `None` if it must be refused.
fn apply(model: &Model, change: &Change) -> Option<Model> {
    let mut model = model.clone();
    match change {
        Change::Set(c, k, value) => drop(document(&mut model, *c).insert(KEYS[*k].to_owned(), value.clone())),
        Change::Member(c, k, m, value) => {
            let there = document(&mut model, *c).entry(KEYS[*k].to_owned()).or_insert_with(|| json!({}));
            there.as_object_mut()?.insert(format!("m{m}"), value.clone());
        }
        Change::Remove(c, k) => drop(document(&mut model, *c).remove(KEYS[*k])),
        Change::RemoveMember(c, k, m) => {
            if let Some(Value::Object(there)) = document(&mut model, *c).get_mut(KEYS[*k]) {
                there.remove(&format!("m{m}"));
            }
        }
        Change::Append(c, k, keep) => {
            let there = document(&mut model, *c).entry(KEYS[*k].to_owned()).or_insert_with(|| json!([]));
            let list = there.as_array_mut()?;
            list.push(json!("new"));
            let surplus = list.len().saturating_sub(*keep as usize);
            list.drain(..surplus);
        }
        Change::Merge(c, k, patch) => {
            let there = document(&mut model, *c).entry(KEYS[*k].to_owned()).or_insert(Value::Null);
            merge(there, patch);
        }
        Change::Clear(c) => document(&mut model, *c).clear(),
    }
    Some(model)
}

fn document(model: &mut Model, collection: usize) -> &mut BTreeMap<String, Value> {
    model.entry(COLLECTIONS[collection].to_owned()).or_default()
}

/// RFC 7396, as its pseudo-code has it.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let members = target.as_object_mut().expect("an object");
    for (key, change) in patch {
        if change.is_null() {
            members.remove(key);
        } else {
            merge(members.entry(key.clone()).or_insert(Value::Null), change);
        }
    }
}

fn carry_out(tx: &mut everlog::Tx<'_>, change: &Change) -> everlog::Result<bool> {
    let place = |c: &usize, k: &usize| path!(COLLECTIONS[*c], KEYS[*k]);
    match change {
        Change::Set(c, k, value) => tx.set(place(c, k), value),
        Change::Member(c, k, m, value) => tx.set(place(c, k).join(format!("m{m}")), value),
        Change::Remove(c, k) => tx.remove(place(c, k)),
        Change::RemoveMember(c, k, m) => tx.remove(place(c, k).join(format!("m{m}"))),
        Change::Append(c, k, keep) => tx.append(place(c, k), "new", Some(*keep)),
        Change::Merge(c, k, patch) => tx.merge(place(c, k), patch),
        Change::Clear(c) => tx.remove(COLLECTIONS[*c]),
    }
}

/// Everything that a view shows.
fn shown(view: &everlog::View) -> Model {
    let mut model = Model::new();
    for collection in view.collections() {
        let keys = view.keys(path!(&collection)).expect("reads");
        let documents = keys.into_iter().map(|key| {
            let value = view.get::<Value>(path!(&collection, &key)).expect("reads").expect("is there");
            (key, value)
        });
        model.insert(collection.clone(), documents.collect());
    }
    model
}

/// Without collections that have nothing.
fn plain(model: &Model) -> Model {
    model.iter().filter(|(_, documents)| !documents.is_empty()).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// The store, and every state that it was in after a commit.
struct Run {
    sim: Sim,
    store: Store,
    noted: Vec<(Position, Model)>,
    /// How many of them are durable for sure.
    sure: usize,
}

impl Run {
    fn new() -> Run {
        let sim = Sim::new(1);
        Run { store: open_on(&sim), sim, noted: vec![(Position::START, Model::new())], sure: 1 }
    }

    fn model(&self) -> &Model {
        &self.noted.last().expect("one at least").1
    }

    fn note(&mut self, position: Position, model: Model) {
        if self.noted.last().expect("one at least").0.lsn == position.lsn {
            assert_eq!(plain(self.model()), plain(&model), "nothing was written");
        } else {
            self.noted.push((position, model));
        }
    }

    fn all_sure(&mut self) {
        self.sure = self.noted.len();
        assert_eq!(shown(&self.store.view()), plain(self.model()), "what is shown");
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::One(change) => self.commit(std::slice::from_ref(change), false, Durability::Synced),
            Step::Many(changes, fails) => self.commit(changes, *fails, Durability::Synced),
            Step::Loose(change) => self.commit(std::slice::from_ref(change), false, Durability::Buffered),
            Step::Snapshot => {
                self.store.snapshot().expect("makes a snapshot");
                self.all_sure();
            }
            Step::Compact(bytes) => self.compact(*bytes),
            Step::Past(back) => self.past(*back),
            Step::Reopen => {
                self.store.close().expect("closes");
                self.all_sure();
                self.reopen(self.sim.clone());
            }
            Step::Crash(seed) => self.reopen(self.sim.crash(Crash::Random(*seed))),
        }
    }

    fn commit(&mut self, changes: &[Change], fails: bool, durability: Durability) {
        let mut model = self.model().clone();
        let outcome = self.store.with_durability(durability).transaction(|tx| {
            for change in changes {
                let expected = apply(&model, change);
                match (carry_out(tx, change), expected) {
                    (Ok(_), Some(after)) => model = after,
                    (Err(error), None) => {
                        assert!(matches!(error.kind(), ErrorKind::WrongType | ErrorKind::Input), "{error}");
                    }
                    (outcome, expected) => panic!("{change:?}: {outcome:?}, expected {expected:?}"),
                }
            }
            if fails { Err(refusal()) } else { Ok(()) }
        });
        match outcome {
            Ok(((), receipt)) => {
                self.note(receipt.position, model);
                if durability == Durability::Synced {
                    self.all_sure();
                }
            }
            Err(_) => {
                assert!(fails);
                self.all_sure();
            }
        }
    }

    fn compact(&mut self, bytes: u64) {
        self.store.compact(&Retention::forever().bytes(bytes)).expect("compacts");
        let horizon = self.store.horizon();
        self.sure = self.sure.max(self.noted.partition_point(|(position, _)| position.lsn <= horizon.lsn));
    }

    fn past(&self, back: usize) {
        let index = self.sure.saturating_sub(1 + back);
        let (position, model) = &self.noted[index];
        match self.store.at(*position) {
            Ok(view) => {
                assert_eq!(view.position().lsn, position.lsn);
                assert_eq!(shown(&view), plain(model), "at {position}");
            }
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::BeforeHorizon { .. }), "{error}");
                assert!(position.lsn < self.store.horizon().lsn);
            }
        }
    }

    /// What is there is a state that was noted, and none that was sure is missing.
    fn reopen(&mut self, sim: Sim) {
        self.store = open_on(&sim);
        self.sim = sim;
        let end = self.store.position().lsn;
        let kept = self.noted.partition_point(|(position, _)| position.lsn <= end);
        assert!(kept >= self.sure, "{} of {} states are left, up to {end}", kept, self.sure);
        self.noted.truncate(kept);
        self.all_sure();
    }
}

fn refusal() -> everlog::Error {
    Store::options().must_exist().open("/nonexistent/for/sure").expect_err("there is none")
}

/// How many runs; `EVERLOG_CASES` asks for more.
fn cases() -> u32 {
    std::env::var("EVERLOG_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(96)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn a_store_is_what_a_plain_map_says_now_and_at_every_earlier_position(steps in steps()) {
        let mut run = Run::new();
        for step in &steps {
            run.step(step);
        }
        for back in 0..run.sure {
            run.past(back);
        }
    }
}
