//! What a leader does: closes the open group, writes it, syncs, settles the seats, and calls the next leader.

use crate::error::{Error, ErrorKind};
use crate::journal::commit::{Core, Sink, State, WriteError, ring_unlocked};
use crate::journal::group::Group;
use crate::journal::seat::{Call, Need, Seat};
use crate::sync::{MutexGuard, Ordering, thread, wait};

impl<S: Sink> Core<S> {
    /// Decides who works next. At most one writes and one syncs; the calls ring after the lock is released.
    pub(super) fn designate(&self, state: &mut State) -> Vec<Call> {
        let mut calls = Vec::new();
        if state.failure.is_some() {
            return calls;
        }
        let may_write = !state.open.wants_sync || !state.syncing;
        if !state.writing && !state.open.is_empty() && may_write {
            state.writing = true;
            state.writer_syncs = state.open.wants_sync;
            state.syncing |= state.open.wants_sync;
            match state.open.seats.iter().find(|seat| state.may_lead(seat)) {
                Some(seat) => calls.push(seat.call_to_write()),
                None => {
                    state.pump_write = true;
                    self.ring_the_bell(state);
                }
            }
        }
        if !state.syncing && state.written > state.durable {
            state.syncing = true;
            let covered = state.awaiting.iter().filter(|seat| seat.last_lsn <= state.written);
            match covered.into_iter().find(|seat| state.may_lead(seat)) {
                Some(seat) => calls.push(seat.call_to_sync()),
                None => {
                    state.pump_sync = true;
                    self.ring_the_bell(state);
                }
            }
        }
        calls
    }

    /// Tells the pump, or whoever waits for room and can do its work.
    fn ring_the_bell(&self, state: &State) {
        self.pump_due.store(1, Ordering::Release);
        if state.pump_runs {
            self.bell.notify_one();
        }
        // The pump may be waking tasks, and one of these may wait for somebody who waits for room.
        if state.waiting_for_room > 0 {
            self.room.notify_all();
        }
    }

    /// Writes the open group and, with the right to, syncs it.
    pub(super) fn lead_write(&self) {
        let mut rescue = Rescue { core: self, armed: true };
        // Whoever is about to commit may still join: this costs a lone writer nothing and doubles the rate of two.
        // Waiting longer, for all who shared the last sync, was measured to gain nothing.
        thread::yield_now();
        let mut state = self.state.lock();
        if state.failure.is_some() {
            rescue.armed = false;
            return;
        }
        let mut group = state.take_open();
        state.in_flight = std::mem::take(&mut group.seats);
        let mut syncs = std::mem::take(&mut state.writer_syncs);
        if group.wants_sync && !syncs && !state.syncing {
            state.syncing = true;
            syncs = true;
        }
        if state.waiting_for_room > 0 {
            self.room.notify_all();
        }
        drop(state);
        let written = self.sink.write(&mut group);
        let state = self.state.lock();
        rescue.armed = false;
        drop(rescue);
        match written {
            // Whoever failed it has settled every seat, and nothing is written or synced after that (J5).
            _ if state.failure.is_some() => {}
            Ok(()) => self.wrote(state, group, syncs),
            Err(WriteError::Refused(error)) => self.refuse(state, group, syncs, &error),
            Err(WriteError::Failed(error)) => self.fail(state, error),
        }
    }

    fn wrote(&self, mut state: MutexGuard<'_, State>, mut group: Group, syncs: bool) {
        state.writing = false;
        state.written = group.last_lsn;
        let mut calls = Vec::new();
        for seat in std::mem::take(&mut state.in_flight) {
            match seat.need {
                Need::Written => calls.push(seat.settle(&Ok(()))),
                Need::Synced => state.awaiting.push(seat),
            }
        }
        group.reset(2 * self.frame_bytes_max);
        state.idle = Some(group);
        if syncs {
            ring_unlocked(state, calls);
            self.lead_sync();
        } else {
            let mut next = self.designate(&mut state);
            next.append(&mut calls);
            ring_unlocked(state, next);
        }
    }

    /// Takes the numbers of a refused group back, and of those that queued behind it.
    fn refuse(&self, mut state: MutexGuard<'_, State>, mut group: Group, syncs: bool, error: &Error) {
        state.writing = false;
        state.refusals += 1;
        state.last_refusal = Some(error.clone());
        if syncs {
            state.syncing = false;
        }
        let behind = state.take_open();
        state.stamper.take_back();
        state.next_lsn = state.written.next();
        let outcome = Err(error.clone());
        // Whoever waits behind the end for what was being written waits for numbers that are no more.
        let written = state.written;
        let (beyond, rest): (Vec<_>, Vec<_>) =
            state.awaiting.drain(..).partition(|seat| seat.last_lsn > written);
        state.awaiting = rest;
        let seats = std::mem::take(&mut state.in_flight).into_iter().chain(behind.seats).chain(beyond);
        let mut calls: Vec<_> = seats.map(|seat| seat.settle(&outcome)).collect();
        group.reset(2 * self.frame_bytes_max);
        state.idle = Some(group);
        if state.waiting_for_room > 0 {
            self.room.notify_all();
        }
        if state.watchers > 0 {
            self.changed.notify_all();
        }
        let mut next = self.designate(&mut state);
        next.append(&mut calls);
        ring_unlocked(state, next);
    }

    /// Syncs what is written and settles who waited for it. The caller has the right to sync.
    pub(super) fn lead_sync(&self) {
        let mut rescue = Rescue { core: self, armed: true };
        let state = self.state.lock();
        if state.failure.is_some() {
            drop(state);
            rescue.armed = false;
            return;
        }
        let covered = state.written;
        drop(state);
        let synced = self.sink.sync();
        let mut state = self.state.lock();
        rescue.armed = false;
        drop(rescue);
        match synced {
            // After another failure a good answer acknowledges nothing either (J5).
            _ if state.failure.is_some() => return,
            Ok(()) => {}
            Err(error) => return self.fail(state, error),
        }
        state.syncing = false;
        state.proven = true;
        state.durable = state.durable.max(covered);
        self.durable.store(state.durable.get(), Ordering::Release);
        let durable = state.durable;
        let (done, rest): (Vec<_>, Vec<_>) =
            state.awaiting.drain(..).partition(|seat| seat.last_lsn <= durable);
        state.awaiting = rest;
        // The next leader is called first, so that the disk rests as short as possible.
        let mut calls = self.designate(&mut state);
        calls.extend(done.into_iter().map(|seat| seat.settle(&Ok(()))));
        if state.watchers > 0 {
            self.changed.notify_all();
        }
        ring_unlocked(state, calls);
    }

    /// Poisons: everyone who waits wakes with the same error, and nothing is accepted any more (J5).
    pub(super) fn fail(&self, mut state: MutexGuard<'_, State>, error: Error) {
        let failure = state.failure.get_or_insert(error).clone();
        let outcome = Err(failure.fate_unknown());
        let open = state.take_open();
        state.writing = false;
        state.syncing = false;
        state.pump_write = false;
        state.pump_sync = false;
        let in_flight = std::mem::take(&mut state.in_flight);
        let awaiting = std::mem::take(&mut state.awaiting);
        let all = awaiting.into_iter().chain(in_flight).chain(open.seats);
        let calls = all.map(|seat| seat.settle(&outcome)).collect();
        self.room.notify_all();
        self.changed.notify_all();
        self.bell.notify_all();
        ring_unlocked(state, calls);
    }

    /// Does the pump's work, if there is any that nobody has begun. Tells whether there was.
    pub(crate) fn drive(&self) -> bool {
        self.pump_due.load(Ordering::Acquire) != 0 && self.drive_surely()
    }

    /// The same, without the quick look that can miss what is decided at this moment.
    pub(super) fn drive_surely(&self) -> bool {
        let mut state = self.state.lock();
        self.pump_due.store(u32::from(state.pump_write && state.pump_sync), Ordering::Release);
        if std::mem::take(&mut state.pump_write) {
            drop(state);
            self.lead_write();
            true
        } else if std::mem::take(&mut state.pump_sync) {
            drop(state);
            self.lead_sync();
            true
        } else {
            false
        }
    }

    /// The pump's life: leads for tickets and syncs behind buffered commits, until told to stop.
    pub(crate) fn pump(&self) {
        self.state.lock().pump_runs = true;
        loop {
            if self.drive() {
                continue;
            }
            let mut state = self.state.lock();
            while !state.pump_write && !state.pump_sync {
                if state.pump_stops || state.failure.is_some() {
                    state.pump_runs = false;
                    return;
                }
                state = wait(&self.bell, state);
            }
        }
    }
}

impl State {
    /// Whether a thread blocks on the seat. One that waits for a ticket is left alone while the pump can lead.
    fn may_lead(&self, seat: &Seat) -> bool {
        seat.can_lead || (!self.pump_runs && seat.cell.has_thread())
    }
}

/// Poisons the journal if a leader panics, so that nobody waits for ever.
struct Rescue<'a, S: Sink> {
    core: &'a Core<S>,
    armed: bool,
}

impl<S: Sink> Drop for Rescue<'_, S> {
    fn drop(&mut self) {
        if self.armed {
            self.core.poison(Error::new(ErrorKind::Io, "the thread that led the commit panicked"));
        }
    }
}
