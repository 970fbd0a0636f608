//! One store, every state that it was in after a commit, and what is done to it.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use everlog::journal::{Background, Receipt, Retention};
use everlog::medium::Sim;
use everlog::store::{Expected, StoreOptions};
use everlog::testing::ManualClock;
use everlog::{Durability, ErrorKind, Lsn, Position, Store, Timestamp, Tx, path};
use serde_json::Value;

use super::data::{COLLECTIONS, Change, Data, Draft, KEYS, Place, member, next};
use super::marks::path_of;
use super::world::meet;

/// What no rollback touches.
pub(crate) const KEPT: Place = (1, 0);

/// A group of an undo scope.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) label: String,
    pub(crate) first: Lsn,
    /// In which session it was made: there it is remembered, later it is read from the log.
    pub(crate) session: u64,
    pub(crate) before: Data,
    pub(crate) after: Data,
    /// Entries that only had to make room.
    pub(crate) displaced: Vec<(Place, (u64, u64))>,
}

/// The newest last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stacks {
    pub(crate) undo: Vec<Rc<Group>>,
    pub(crate) redo: Vec<Rc<Group>>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) data: Data,
    pub(crate) revisions: BTreeMap<Place, u64>,
    pub(crate) pins: BTreeMap<String, Lsn>,
    pub(crate) once: BTreeMap<u8, (u64, Receipt)>,
    pub(crate) stacks: [Stacks; 3],
}

pub(crate) struct Run {
    pub(crate) sim: Sim,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Store,
    pub(crate) session: u64,
    pub(crate) noted: Vec<(Position, State)>,
    /// How many of them are durable for sure.
    pub(crate) sure: usize,
}

fn open_on(sim: &Sim, clock: &Arc<ManualClock>) -> Store {
    StoreOptions::new()
        .background(Background::Inline)
        .clock(clock.clone())
        .not_rolled_back([path_of(KEPT)])
        .journal(|journal| journal.segment_bytes(16 * 1024, 16 * 1024).frame_bytes_max(1024))
        .open_on(Arc::new(sim.clone()))
        .expect("opens")
}

pub(crate) fn refusal() -> everlog::Error {
    Store::options().must_exist().open("/nonexistent/for/sure").expect_err("there is none")
}

pub(crate) fn name(number: u8) -> String {
    format!("name {number}")
}

/// Does the changes to the store and to the model, which must agree on what is refused. Tells the time under which
/// entries were pushed that have none of their own.
pub(crate) fn carry_out(
    tx: &mut Tx<'_>,
    store: &Store,
    draft: &mut Draft,
    changes: &[Change],
) -> Option<Timestamp> {
    let mut own = None;
    for change in changes {
        let done = carry_out_one(tx, store, change);
        if let (Ok(_), Change::Push(place, None, ..)) = (&done, change) {
            let last =
                tx.series::<Value>(path_of(*place)).and_then(|series| series.latest(1)).expect("reads");
            own = Some(last[0].time);
        }
        match (done, draft.apply(change, own.map_or(0, Timestamp::micros))) {
            (Ok(_), Some(())) => {}
            (Err(error), None) => {
                assert!(matches!(error.kind(), ErrorKind::WrongType | ErrorKind::Input), "{error}");
            }
            (outcome, expected) => panic!("{change:?}: {outcome:?}, expected {expected:?}"),
        }
    }
    own
}

fn carry_out_one(tx: &mut Tx<'_>, store: &Store, change: &Change) -> everlog::Result<()> {
    let place = |place: &Place| path!(COLLECTIONS[place.0], KEYS[place.1]);
    match change {
        Change::Set(at, value) => tx.set(place(at), value).map(drop),
        Change::Member(at, m, value) => tx.set(place(at).join(member(*m)), value).map(drop),
        Change::Remove(at) => tx.remove(place(at)).map(drop),
        Change::RemoveMember(at, m) => tx.remove(place(at).join(member(*m))).map(drop),
        Change::Append(at, keep) => tx.append(place(at), "new", Some(*keep)).map(drop),
        Change::Merge(at, patch) => tx.merge(place(at), patch).map(drop),
        Change::Clear(collection) => tx.remove(COLLECTIONS[*collection]).map(drop),
        Change::Push(at, time, value, keep) => {
            let series = store.series::<Value>(place(at));
            let series = keep.map_or(series.clone(), |keep| series.keep_last(keep));
            let value = Value::from(*value);
            match time {
                Some(time) => tx.push_at(&series, Timestamp::from_micros(*time), &value),
                None => tx.push(&series, &value),
            }
        }
        Change::Cut(at, time) => {
            tx.cut(&store.series::<Value>(place(at)), Timestamp::from_micros(*time)).map(drop)
        }
    }
}

impl Run {
    pub(crate) fn new() -> Run {
        let clock = ManualClock::new("2026-11-19T18:00:00Z".parse().expect("a time"));
        Run::on(Sim::new(1), Arc::new(clock), (Position::START, State::default()))
    }

    pub(crate) fn on(sim: Sim, clock: Arc<ManualClock>, start: (Position, State)) -> Run {
        let store = open_on(&sim, &clock);
        Run { sim, clock, store, session: next(), noted: vec![start], sure: 1 }
    }

    pub(crate) fn state(&self) -> &State {
        &self.noted.last().expect("one at least").1
    }

    pub(crate) fn state_mut(&mut self) -> &mut State {
        &mut self.noted.last_mut().expect("one at least").1
    }

    /// The state after the record of that number.
    pub(crate) fn state_at(&self, lsn: Lsn) -> &State {
        let index = self.noted.partition_point(|(position, _)| position.lsn <= lsn);
        &self.noted[index.checked_sub(1).expect("not before the first")].1
    }

    /// One of the durable states, counted from the last.
    pub(crate) fn back(&self, count: usize) -> (Position, State) {
        self.noted[(self.sure - 1).saturating_sub(count)].clone()
    }

    pub(crate) fn is_lost(&self, position: Position) -> bool {
        position.lsn < self.store.horizon().lsn
    }

    pub(crate) fn draft(&self) -> Draft {
        Draft::new(&self.state().data, &self.state().revisions)
    }

    fn note(&mut self, position: Position, state: State) {
        if position.lsn <= self.noted.last().expect("one at least").0.lsn {
            assert_eq!(self.state().data, state.data, "nothing was written");
        } else {
            self.noted.push((position, state));
        }
    }

    /// Takes in a commit that succeeded.
    pub(crate) fn done(&mut self, receipt: &Receipt, mut draft: Draft, more: impl FnOnce(&mut State, &Run)) {
        draft.end();
        let mut state = State { data: draft.data, revisions: draft.revisions, ..self.state().clone() };
        more(&mut state, self);
        self.note(receipt.position, state);
        if receipt.durability == Durability::Synced {
            self.all_sure();
        }
    }

    /// Everything noted is durable, and shown.
    pub(crate) fn all_sure(&mut self) {
        self.sure = self.noted.len();
        self.check_view();
        let pins = self.store.pins().into_iter().map(|pin| (pin.name, pin.position.lsn));
        assert_eq!(pins.collect::<BTreeMap<_, _>>(), self.state().pins, "the pins");
    }

    pub(crate) fn tick(&self) {
        self.clock.advance(Duration::from_secs(1));
    }

    pub(crate) fn clock_back(&self) {
        self.clock.set_wall("2026-11-19T12:00:00Z".parse().expect("a time"));
    }

    pub(crate) fn commit(&mut self, changes: &[Change], fails: bool, durability: Durability) {
        let mut draft = self.draft();
        let store = self.store.with_durability(durability);
        let outcome = store.transaction(|tx| {
            let own = carry_out(tx, &store, &mut draft, changes);
            if fails { Err(refusal()) } else { Ok(own) }
        });
        match outcome {
            Ok((own, receipt)) => {
                assert!(own.is_none_or(|own| own == receipt.time), "{own:?}, {receipt:?}");
                self.done(&receipt, draft, |_, _| {});
            }
            Err(error) => {
                assert!(fails, "{error}");
                self.all_sure();
            }
        }
    }

    pub(crate) fn once(&mut self, key: u8, changes: &[Change]) {
        let (mut draft, answer, mut ran) = (self.draft(), next(), false);
        let once = self.store.transaction_once(&name(key), |tx| {
            ran = true;
            carry_out(tx, &self.store, &mut draft, changes);
            Ok(answer)
        });
        let once = once.expect("happens once");
        if let Some((answer, receipt)) = self.state().once.get(&key) {
            assert!(once.repeated && !ran);
            meet("once, again");
            assert_eq!((once.answer, once.receipt), (*answer, *receipt), "as it was the first time");
            self.all_sure();
        } else {
            assert!(!once.repeated && ran && once.answer == answer);
            let receipt = once.receipt;
            self.done(&receipt, draft, |state, _| {
                state.once.insert(key, (answer, receipt));
            });
        }
    }

    pub(crate) fn compare(&mut self, place: Place, back: usize, new: &Value) {
        let (position, then) = self.back(back);
        if self.is_lost(position) {
            return;
        }
        let entry = self.store.at(position).and_then(|view| view.entry(path_of(place))).expect("reads");
        let (was, is) = (then.data.documents.get(&place), self.state().data.documents.get(&place));
        assert_eq!(entry.is_some(), was.is_some());
        let met = match entry {
            Some(_) => is.is_some() && then.revisions.get(&place) == self.state().revisions.get(&place),
            None => is.is_none(),
        };
        let expected = entry.map_or(Expected::Absent, |entry| Expected::Revision(entry.revision));
        let mut draft = self.draft();
        let allowed = met && draft.apply(&Change::Set(place, new.clone()), 0).is_some();
        match self.store.compare_and_set(path_of(place), expected, new) {
            Ok(receipt) => {
                assert!(allowed, "{place:?} is not what was expected");
                meet("compared and set");
                self.done(&receipt, draft, |_, _| {});
            }
            Err(error) => {
                assert!(!allowed && (met || *error.kind() == ErrorKind::Conflict), "{error}");
                self.all_sure();
            }
        }
    }

    pub(crate) fn snapshot(&mut self) {
        self.store.snapshot().expect("makes a snapshot");
        self.all_sure();
    }

    pub(crate) fn compact(&mut self, bytes: u64) {
        let before = self.store.horizon();
        self.store.compact(&Retention::forever().bytes(bytes)).expect("compacts");
        let horizon = self.store.horizon();
        if horizon != before {
            meet("compaction that let history go");
        }
        self.sure = self.sure.max(self.noted.partition_point(|(position, _)| position.lsn <= horizon.lsn));
        self.check_pins();
    }

    pub(crate) fn close_and_reopen(&mut self) {
        self.store.close().expect("closes");
        self.all_sure();
        self.reopen(self.sim.clone());
    }

    /// What is there is a state that was noted, and none that was sure is missing.
    pub(crate) fn reopen(&mut self, sim: Sim) {
        self.store = open_on(&sim, &self.clock);
        self.sim = sim;
        self.session = next();
        let end = self.store.position().lsn;
        let kept = self.noted.partition_point(|(position, _)| position.lsn <= end);
        assert!(kept >= self.sure, "{} of {} states are left, up to {end}", kept, self.sure);
        if kept < self.noted.len() {
            meet("crash that lost what nobody was promised");
        }
        self.noted.truncate(kept);
        self.all_sure();
        self.check_pins();
    }
}
