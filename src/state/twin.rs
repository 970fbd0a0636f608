//! The two states of a handle: *pending*, on which commits decide, and *durable*, which readers see (J4).
//!
//! Every event is applied twice: to pending before it enters the log, and to durable once a sync covers it. Between the
//! two it waits in a queue. When numbers are taken back (a full disk) or a fold panics, pending is made anew from durable
//! and what still waits; the log itself is the judge of what became of the numbers.
//!
//! Locks are taken in the order pending, durable, queue, and those of the journal last.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::error::{Error, ErrorKind, Result};
use crate::journal::Journal;
use crate::position::{Epoch, Lsn};
use crate::state::fold::{Fold, Stamp, state_version};
use crate::state::inside::{self, Inside};
use crate::state::refold::{Folded, apply, catch_up, fold_to, snapshot};
use crate::state::registry::{self, Place};

/// From this many waiting commits on, a committer waits for readers to let it apply them.
const WAITING_MAX: usize = 4096;

/// What all clones of a handle share.
pub(crate) struct Twin<S: Fold> {
    /// Tells handles apart.
    pub(crate) id: u64,
    pub(crate) journal: Journal,
    pub(crate) epoch: Epoch,
    /// Held while a commit decides, applies and takes its place: the one order (J12).
    pending: Mutex<Pending<S>>,
    durable: RwLock<Durable<S>>,
    queue: Mutex<Queue<S>>,
    place: Option<Place>,
}

/// The state of everything that has a place in the order.
pub(crate) struct Pending<S> {
    /// `None` when opened for reading only.
    state: Option<S>,
    /// The last record that changed it.
    pub(crate) last: Lsn,
    /// How often numbers had been taken back when it was made.
    pub(crate) refusals: u64,
    /// It is half changed, or has something that did not enter.
    pub(crate) broken: bool,
    /// The journal has failed, and it was made from durable for the last time.
    frozen: bool,
}

impl<S> Pending<S> {
    pub(crate) fn state(&mut self) -> Result<&mut S> {
        self.state.as_mut().ok_or_else(|| {
            let what = "the journal was opened for reading only";
            Error::new(ErrorKind::ReadOnly, what).advise("open it for writing")
        })
    }
}

/// The state that a sync covers.
struct Durable<S> {
    folded: Folded<S>,
    /// All records up to it are in the state, perhaps more that change nothing.
    through: Lsn,
    /// A fold panicked halfway.
    broken: bool,
}

struct Queue<S: Fold> {
    waiting: VecDeque<Waiting<S>>,
    /// How often numbers had been taken back when its numbers were given.
    refusals: u64,
}

/// A commit that is not known to be durable.
struct Waiting<S: Fold> {
    last: Lsn,
    change: Change<S>,
}

/// What a commit does to the state.
pub(crate) enum Change<S: Fold> {
    /// These happen.
    Events(Vec<(S::Event, Stamp)>),
    /// It becomes this, encoded.
    State(Vec<u8>),
}

impl<S: Fold> Change<S> {
    pub(crate) fn apply_to(&self, state: &mut S) -> Result<()> {
        match self {
            Change::Events(events) => events.iter().try_for_each(|(event, stamp)| apply(state, event, stamp)),
            Change::State(bytes) => {
                *state = S::decode_state(state_version::<S>(), bytes)?;
                Ok(())
            }
        }
    }
}

impl<S: Fold> Twin<S> {
    /// Folds the log of an opened journal.
    pub(crate) fn new(journal: Journal, place: Option<Place>) -> Result<Twin<S>> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let _inside = inside::enter(id);
        let through = journal.durable_lsn();
        let core = journal.writer_core().ok();
        let (epoch, copies) = core.map_or((Epoch::ZERO, 1), |core| (core.sink().epoch(), 2));
        let mut folded = fold_to::<S>(&journal, through, copies)?;
        let last = folded.changed;
        let state = if copies == 2 { folded.states.pop() } else { None };
        let pending = Pending { state, last, refusals: 0, broken: false, frozen: false };
        Ok(Twin {
            id,
            journal,
            epoch,
            pending: Mutex::new(pending),
            durable: RwLock::new(Durable { folded, through, broken: false }),
            queue: Mutex::new(Queue { waiting: VecDeque::new(), refusals: 0 }),
            place,
        })
    }

    /// Closes the journal and frees its directory for another handle.
    pub(crate) fn close(&self) -> Result<()> {
        registry::close(self.place.as_ref(), self.id, &self.journal)
    }

    /// Notes that a closure of the user is about to run.
    pub(crate) fn inside(&self) -> (Inside, Option<Inside>) {
        (inside::enter(self.id), self.place.as_ref().map(Place::enter))
    }

    /// Refuses calls from inside a closure.
    pub(crate) fn outside(&self) -> Result<()> {
        inside::refuse(self.id)
    }

    /// Takes the order, with a pending state that is what the order says.
    pub(crate) fn lock_pending(&self) -> Result<MutexGuard<'_, Pending<S>>> {
        let mut pending = self.pending.lock();
        pending.state()?;
        self.refresh(&mut pending)?;
        Ok(pending)
    }

    /// Makes pending anew if something became of it: numbers taken back, a panic, a failed journal.
    pub(crate) fn refresh(&self, pending: &mut Pending<S>) -> Result<()> {
        let core = self.journal.writer_core()?;
        let _inside = self.inside();
        loop {
            if core.failure().is_some() {
                return self.freeze(pending);
            }
            let refusals = core.refusals();
            if refusals == pending.refusals && !pending.broken {
                return Ok(());
            }
            if refusals == pending.refusals {
                return self.renew(pending, &mut self.durable.write());
            }
            // What still has a place will be durable or be taken back, too; then the log tells what is left.
            let waited = core.wait_durable(core.latest());
            let mut durable = self.durable.write();
            if core.refusals() != refusals || core.failure().is_some() {
                continue;
            }
            waited?;
            durable.read_log(&self.journal)?;
            let mut queue = self.queue.lock();
            queue.waiting.clear();
            queue.refusals = refusals;
            drop(queue);
            pending.refusals = refusals;
            pending.broken = true;
        }
    }

    /// After a failure pending is what is durable: the fate of the rest is unknown until the journal is reopened (J5).
    fn freeze(&self, pending: &mut Pending<S>) -> Result<()> {
        if pending.frozen {
            return Ok(());
        }
        let mut durable = self.durable.write();
        self.advance(&mut durable)?;
        self.queue.lock().waiting.clear();
        self.renew(pending, &mut durable)?;
        pending.frozen = true;
        Ok(())
    }

    /// Pending becomes durable and what waits behind it.
    fn renew(&self, pending: &mut Pending<S>, durable: &mut Durable<S>) -> Result<()> {
        durable.mend(&self.journal)?;
        let bytes = S::CODEC.encode(durable.state()?)?;
        let mut state = S::decode_state(state_version::<S>(), &bytes)?;
        let mut last = durable.folded.changed;
        let queue = self.queue.lock();
        for waiting in queue.waiting.iter().filter(|waiting| waiting.last > durable.through) {
            waiting.change.apply_to(&mut state)?;
            last = waiting.last;
        }
        pending.state = Some(state);
        pending.last = last;
        pending.broken = false;
        Ok(())
    }

    /// Notes a commit that has its place, so that readers see it once it is durable. The order is held.
    pub(crate) fn enqueue(&self, pending: &mut Pending<S>, last: Lsn, change: Change<S>) {
        pending.last = last;
        self.queue.lock().waiting.push_back(Waiting { last, change });
    }

    /// What follows a commit: readers get to see it, and now and then there is a snapshot.
    pub(crate) fn keep_up(&self) {
        self.drain();
        self.journal.snapshot_if_due(snapshot::<S>);
    }

    /// Applies what became durable, unless readers are at it; then they do, or the next.
    fn drain(&self) {
        if !self.lags() {
            return;
        }
        let crowded = self.queue.lock().waiting.len() > WAITING_MAX;
        let durable = if crowded { Some(self.durable.write()) } else { self.durable.try_write() };
        if let Some(mut durable) = durable {
            // A reader meets the error and can tell somebody.
            let _unheard = self.advance(&mut durable);
        }
    }

    /// Whether something durable is not in the durable state yet.
    fn lags(&self) -> bool {
        let end = self.journal.durable_lsn();
        self.queue.lock().waiting.front().is_some_and(|first| first.last <= end)
    }

    /// Locks the durable state with everything in it that is durable now.
    pub(crate) fn lock_durable(&self) -> Result<Reading<'_, S>> {
        let durable = self.durable.read();
        if !durable.broken && !self.lags() {
            return Ok(Reading(durable));
        }
        drop(durable);
        let mut durable = self.durable.write();
        self.advance(&mut durable)?;
        Ok(Reading(RwLockWriteGuard::downgrade(durable)))
    }

    fn advance(&self, durable: &mut Durable<S>) -> Result<()> {
        let _inside = self.inside();
        durable.mend(&self.journal)?;
        // The end is read first: if no number was taken back by the time the refusals are looked at, then none that
        // waits at or below it was.
        let end = self.journal.durable_lsn();
        let mut queue = self.queue.lock();
        let refusals = self.journal.writer_core().map_or(0, |core| core.refusals());
        if refusals != queue.refusals {
            drop(queue);
            return durable.read_log(&self.journal);
        }
        let count = queue.waiting.partition_point(|waiting| waiting.last <= end);
        let due: Vec<_> = queue.waiting.drain(..count).collect();
        drop(queue);
        due.into_iter().try_for_each(|due| durable.take(due))
    }

    /// Returns when the state that something was decided on is durable (J4). If it was taken back, that is the error.
    pub(crate) fn settle(&self, last: Lsn, refusals: u64) -> Result<()> {
        let core = self.journal.writer_core()?;
        let waited = core.wait_durable(last);
        match core.refusal_since(refusals) {
            Some(refusal) => Err(refusal),
            None => waited,
        }
    }
}

impl<S: Fold> Drop for Twin<S> {
    fn drop(&mut self) {
        registry::abandon(self.place.as_ref(), self.id, &self.journal);
    }
}

impl<S: Fold> Durable<S> {
    fn state(&self) -> Result<&S> {
        let state = self.folded.states.first();
        state.ok_or_else(|| Error::new(ErrorKind::Absent, "no state was folded"))
    }

    fn take(&mut self, waiting: Waiting<S>) -> Result<()> {
        if waiting.last <= self.through {
            return Ok(());
        }
        self.broken = true;
        if let Some(state) = self.folded.states.first_mut() {
            waiting.change.apply_to(state)?;
        }
        self.folded.changed = waiting.last;
        self.through = waiting.last;
        self.broken = false;
        Ok(())
    }

    /// Takes in from the log what is durable and not in the state.
    fn read_log(&mut self, journal: &Journal) -> Result<()> {
        let end = journal.durable_lsn();
        if end > self.through {
            self.broken = true;
            catch_up(journal, &mut self.folded, self.through, end)?;
            self.through = end;
            self.broken = false;
        }
        Ok(())
    }

    /// Folds anew after a panic.
    fn mend(&mut self, journal: &Journal) -> Result<()> {
        if self.broken {
            let end = journal.durable_lsn();
            self.folded = fold_to(journal, end, 1)?;
            self.through = end;
            self.broken = false;
        }
        Ok(())
    }
}

/// The durable state, locked.
pub(crate) struct Reading<'a, S>(RwLockReadGuard<'a, Durable<S>>);

impl<S: Fold> Reading<'_, S> {
    pub(crate) fn state(&self) -> Result<&S> {
        self.0.state()
    }
}
