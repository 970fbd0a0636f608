//! Group commit: one total order, one write and one sync for all who commit meanwhile. Knows no file.
//!
//! A commit first takes its place in the order and a seat in the open group, without I/O. Then it waits for
//! durability: a blocked thread among those seated is called upon to lead, writes the group, syncs, settles the seats
//! and calls the next leader. When only tickets wait, the pump leads. While one group syncs the next fills; a group
//! that wants a sync is written only after the previous sync returned. No timer: the disk sets the pace. This file
//! is what a committing thread meets; what a leader does is in `lead`.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::group::{Group, NewRecord};
use crate::journal::seat::{Call, Cell, Fate, Need, Seat};
pub(crate) use crate::journal::seat::{Entered, Patience, Sitter};
use crate::position::Lsn;
use crate::segment::record::RecordKind;
use crate::sync::{Arc, AtomicU32, AtomicU64, Condvar, Mutex, MutexGuard, Ordering, wait, wait_while_for};

mod lead;
mod reserve;

pub(crate) use reserve::Reserved;

/// Where groups go.
pub(crate) trait Sink: Send + Sync {
    /// Hands the group's frames to the system.
    fn write(&self, group: &mut Group) -> Result<(), WriteError>;

    /// Forces everything written before this call to the device.
    fn sync(&self) -> Result<()>;
}

/// Why a group could not be written.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// Nothing was written: the disk is full or a limit was met. Later groups may succeed.
    Refused(Error),
    /// Perhaps something was written: final (J5).
    Failed(Error),
}

/// What orders records in time.
pub(crate) trait Stamper: Send {
    /// The time for the next transaction, never before the last one, and a record to precede it when the clock
    /// stepped.
    fn stamp(&mut self) -> (Timestamp, Option<Vec<u8>>);

    /// The last records were not written, perhaps with the one that told of a step: it is to be told again.
    fn take_back(&mut self) {}
}

/// The order and the group commit over a sink.
pub(crate) struct Core<S> {
    state: Mutex<State>,
    /// Signalled when the open group was taken and there is room again.
    room: Condvar,
    /// Signalled when the pump has work or must stop.
    bell: Condvar,
    /// Signalled when the durable end moved or the journal failed, if anybody watches.
    changed: Condvar,
    /// The last Lsn that is durable; a copy of the state's, for readers without the lock. Only grows.
    durable: AtomicU64,
    /// Not zero when the pump may have work; looked at without the lock, decided under it.
    pump_due: AtomicU32,
    sink: S,
    frame_bytes_max: usize,
}

struct State {
    open: Group,
    idle: Option<Group>,
    stamper: Box<dyn Stamper>,
    next_lsn: Lsn,
    written: Lsn,
    durable: Lsn,
    /// Somebody is called upon to write or writes. At most one.
    writing: bool,
    /// The writer also has the right to sync.
    writer_syncs: bool,
    /// Somebody is called upon to sync or syncs. At most one.
    syncing: bool,
    /// The pump is the one called upon to write.
    pump_write: bool,
    /// The pump is the one called upon to sync.
    pump_sync: bool,
    pump_stops: bool,
    /// Whether there is a pump; otherwise a thread that waits for a ticket or for room does its work.
    pump_runs: bool,
    /// Being written.
    in_flight: Vec<Seat>,
    /// Written, not yet synced.
    awaiting: Vec<Seat>,
    /// Whether a sync of this session succeeded; until then a buffered commit waits for one too, so that no
    /// position is given out whose epoch could vanish.
    proven: bool,
    failure: Option<Error>,
    closed: bool,
    /// How often a group was refused and its numbers were taken back.
    refusals: u64,
    /// What the last refused group was refused with.
    last_refusal: Option<Error>,
    /// A step of the clock that the next transaction is to be preceded by.
    clock_note: Option<Vec<u8>>,
    watchers: u32,
    waiting_for_room: u32,
}

impl<S: Sink> Core<S> {
    pub(crate) fn new(sink: S, last: Lsn, stamper: Box<dyn Stamper>, frame_bytes_max: usize) -> Core<S> {
        let state = State {
            open: Group::default(),
            idle: Some(Group::default()),
            stamper,
            next_lsn: last.next(),
            written: last,
            durable: last,
            writing: false,
            writer_syncs: false,
            syncing: false,
            pump_write: false,
            pump_sync: false,
            pump_stops: false,
            pump_runs: false,
            in_flight: Vec::new(),
            awaiting: Vec::new(),
            proven: false,
            failure: None,
            closed: false,
            refusals: 0,
            last_refusal: None,
            clock_note: None,
            watchers: 0,
            waiting_for_room: 0,
        };
        Core {
            state: Mutex::new(state),
            room: Condvar::new(),
            bell: Condvar::new(),
            changed: Condvar::new(),
            durable: AtomicU64::new(last.get()),
            pump_due: AtomicU32::new(0),
            sink,
            frame_bytes_max,
        }
    }

    /// Gives a transaction its place in the order. No I/O unless it has to wait for room.
    pub(crate) fn enter(
        &self,
        records: &[NewRecord<'_>],
        need: Need,
        sitter: Sitter,
        patience: Patience,
    ) -> Result<Entered> {
        let bytes = records.iter().map(NewRecord::encoded_bytes).sum();
        let mut state = self.wait_for_room(bytes, patience)?;
        let time = state.stamp();
        Ok(self.take_seat(state, records, time, need, sitter))
    }

    fn take_seat(
        &self,
        mut state: MutexGuard<'_, State>,
        records: &[NewRecord<'_>],
        time: Timestamp,
        need: Need,
        sitter: Sitter,
    ) -> Entered {
        if let Some(step) = state.clock_note.take() {
            let clock = NewRecord { kind: RecordKind::Clock, ..NewRecord::event(&step, 0) };
            self.join(&mut state, &[clock], time);
        }
        let first_lsn = self.join(&mut state, records, time);
        let need = if state.proven { need } else { Need::Synced };
        let cell = cell_for(sitter);
        let last_lsn = state.open.last_lsn;
        let seat = Seat { cell: Arc::clone(&cell), last_lsn, need, can_lead: sitter == Sitter::Thread };
        state.open.wants_sync |= need == Need::Synced;
        state.open.seats.push(seat);
        let calls = self.designate(&mut state);
        ring_unlocked(state, calls);
        Entered { first_lsn, last_lsn, time, need, cell }
    }

    fn join(&self, state: &mut State, records: &[NewRecord<'_>], time: Timestamp) -> Lsn {
        let first = state.next_lsn;
        state.open.push(records, first, time, self.frame_bytes_max);
        state.next_lsn = first.plus(records.len() as u64);
        first
    }

    fn wait_for_room(&self, bytes: usize, patience: Patience) -> Result<MutexGuard<'_, State>> {
        let mut state = self.state.lock();
        loop {
            state.check()?;
            if state.open.fits(bytes, self.frame_bytes_max) {
                return Ok(state);
            }
            if patience == Patience::Try {
                return Err(Error::new(ErrorKind::Busy, "the open group is full")
                    .advise("try again, or use the waiting form"));
            }
            if state.pump_write || state.pump_sync {
                drop(state);
                self.drive();
                state = self.state.lock();
            } else {
                state.waiting_for_room += 1;
                state = wait(&self.room, state);
                state.waiting_for_room -= 1;
            }
        }
    }

    /// Waits for the fate of a commit, leading when called upon.
    pub(crate) fn complete(&self, cell: &Cell) -> Result<()> {
        loop {
            match cell.fate() {
                Fate::Settled(outcome) => return outcome,
                Fate::LeadWrite if cell.take_the_lead() => self.lead_write(),
                Fate::LeadSync if cell.take_the_lead() => self.lead_sync(),
                Fate::LeadWrite | Fate::LeadSync => {}
                Fate::Waiting => {
                    if !self.drive() {
                        cell.sleep();
                    }
                }
            }
        }
    }

    /// Blocks on a ticket's cell; leads when called upon, and does the pump's work if nobody else does.
    pub(crate) fn complete_ticket(&self, cell: &Cell) -> Result<()> {
        // Who collects outcomes that are known must not lead: it would sync what it has only begun to submit.
        if let Fate::Settled(outcome) = cell.fate() {
            return outcome;
        }
        cell.wake_this_thread();
        // Under the lock: either this sees the work that was left to the pump, or a later decision sees this thread.
        self.drive_surely();
        self.complete(cell)
    }

    /// Returns when `lsn` is durable; the barrier.
    pub(crate) fn wait_durable(&self, lsn: Lsn) -> Result<()> {
        match self.sit_until_durable(lsn, Sitter::Thread)? {
            Some(cell) => self.complete(&cell),
            None => Ok(()),
        }
    }

    /// Takes a seat that is settled when `lsn` is durable; none if it is already. Does no I/O.
    pub(crate) fn sit_until_durable(&self, lsn: Lsn, sitter: Sitter) -> Result<Option<Arc<Cell>>> {
        if self.durable() >= lsn {
            return Ok(None);
        }
        let mut state = self.state.lock();
        if state.durable >= lsn {
            return Ok(None);
        }
        if let Some(failure) = &state.failure {
            return Err(failure.poisoned());
        }
        if lsn >= state.next_lsn {
            return Err(Error::new(ErrorKind::Input, "position lies beyond the end").at_lsn(lsn));
        }
        let cell = cell_for(sitter);
        let can_lead = sitter == Sitter::Thread;
        let seat = Seat { cell: Arc::clone(&cell), last_lsn: lsn, need: Need::Synced, can_lead };
        if lsn <= state.written {
            state.awaiting.push(seat);
        } else if !state.open.is_empty() && lsn >= state.open.first_lsn {
            state.open.wants_sync = true;
            state.open.seats.push(seat);
        } else {
            // It is being written right now; whoever syncs next covers it.
            state.awaiting.push(seat);
        }
        let calls = self.designate(&mut state);
        ring_unlocked(state, calls);
        Ok(Some(cell))
    }

    /// Accepts nothing from now on, writes and syncs what was accepted, and stops the pump.
    pub(crate) fn close(&self) -> Result<()> {
        let drained = loop {
            let (last, refusals) = {
                let mut state = self.state.lock();
                state.closed = true;
                self.room.notify_all();
                (state.next_lsn.before(), state.refusals)
            };
            let drained = self.wait_durable(last);
            // A refusal takes numbers back, and the end may be another one now.
            if drained.is_ok() || self.refusals() == refusals {
                break drained;
            }
        };
        let mut state = self.state.lock();
        state.pump_stops = true;
        self.bell.notify_all();
        self.changed.notify_all();
        match &state.failure {
            Some(failure) => Err(failure.poisoned()),
            None => drained,
        }
    }

    /// Poisons from outside the commit path, after a failure that acknowledged bytes depend on.
    pub(crate) fn poison(&self, error: Error) {
        self.fail(self.state.lock(), error);
    }

    /// The last durable record.
    pub(crate) fn durable(&self) -> Lsn {
        Lsn::new(self.durable.load(Ordering::Acquire))
    }

    /// The last record that has a place in the order.
    pub(crate) fn latest(&self) -> Lsn {
        self.state.lock().next_lsn.before()
    }

    /// Why nothing is accepted, if so.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.state.lock().failure.clone()
    }

    pub(crate) fn sink(&self) -> &S {
        &self.sink
    }

    /// Waits until more than `lsn` is durable; returns the durable end, which is no larger after `timeout`, a failure
    /// or the close.
    pub(crate) fn watch(&self, lsn: Lsn, timeout: Duration) -> Lsn {
        self.watch_or(lsn, timeout, |_| false)
    }

    /// The same, but returns also when `enough` says so of how often numbers were taken back. It is asked again when that
    /// was once more, and after [`Core::nudge`].
    pub(crate) fn watch_or(&self, lsn: Lsn, timeout: Duration, enough: impl Fn(u64) -> bool) -> Lsn {
        let mut state = self.state.lock();
        state.watchers += 1;
        let goes_on = |state: &mut State| {
            let more = state.durable > lsn || state.failure.is_some() || state.closed;
            !more && !enough(state.refusals)
        };
        state = wait_while_for(&self.changed, state, goes_on, timeout);
        state.watchers -= 1;
        state.durable
    }

    /// Lets those who watch look whether it is enough.
    #[cfg(feature = "store")]
    pub(crate) fn nudge(&self) {
        let _state = self.state.lock();
        self.changed.notify_all();
    }
}

impl State {
    fn take_open(&mut self) -> Group {
        std::mem::replace(&mut self.open, self.idle.take().unwrap_or_default())
    }
}

fn cell_for(sitter: Sitter) -> Arc<Cell> {
    match sitter {
        Sitter::Thread => Cell::for_this_thread(),
        Sitter::Ticket => Cell::for_ticket(),
    }
}

fn ring_unlocked(state: MutexGuard<'_, State>, calls: Vec<Call>) {
    drop(state);
    calls.into_iter().for_each(Call::ring);
}

#[cfg(all(test, not(loom)))]
#[path = "commit_tests.rs"]
mod tests;

#[cfg(all(test, loom))]
#[path = "loom_tests.rs"]
mod loom_tests;
