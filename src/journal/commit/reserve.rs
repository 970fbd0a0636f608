//! Two-step entry for those who must know place and time before they commit: look at the next place, then take it.

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::commit::{Core, Entered, Patience, Sink, Sitter, State};
use crate::journal::group::NewRecord;
use crate::journal::seat::Need;
use crate::position::Lsn;

/// The place and time that the next commit gets, if nobody comes between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reserved {
    pub(crate) first_lsn: Lsn,
    pub(crate) time: Timestamp,
    /// How often numbers had been taken back by then.
    pub(crate) refusals: u64,
}

impl<S: Sink> Core<S> {
    /// Says which place and time the next commit would get. Holds nothing.
    pub(crate) fn reserve(&self) -> Result<Reserved> {
        let mut state = self.state.lock();
        state.check()?;
        let time = state.stamp();
        Ok(Reserved { first_lsn: state.next_event_lsn(), time, refusals: state.refusals })
    }

    /// Gives a transaction exactly the reserved place; `None` if somebody came between. If numbers were taken back
    /// since, it is the error that they were refused with: what was decided on them is void.
    pub(crate) fn enter_reserved(
        &self,
        records: &[NewRecord<'_>],
        need: Need,
        sitter: Sitter,
        reserved: &Reserved,
    ) -> Result<Option<Entered>> {
        let bytes = records.iter().map(NewRecord::encoded_bytes).sum();
        let state = self.wait_for_room(bytes, Patience::Wait)?;
        if let Some(refusal) = state.refusal_since(reserved.refusals) {
            return Err(refusal);
        }
        if state.next_event_lsn() != reserved.first_lsn {
            return Ok(None);
        }
        Ok(Some(self.take_seat(state, records, reserved.time, need, sitter)))
    }

    /// Whether commits are accepted; else why not.
    pub(crate) fn accepting(&self) -> Result<()> {
        self.state.lock().check()
    }

    /// How often numbers were taken back.
    pub(crate) fn refusals(&self) -> u64 {
        self.state.lock().refusals
    }

    /// What the latest refusal was, if there was one after the first `refusals`.
    pub(crate) fn refusal_since(&self, refusals: u64) -> Option<Error> {
        self.state.lock().refusal_since(refusals)
    }

    /// Whether it was closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }
}

impl State {
    /// Whether anything is accepted.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(failure) = &self.failure {
            Err(failure.poisoned())
        } else if self.closed {
            Err(Error::new(ErrorKind::Closed, "the journal was closed").advise("open it again"))
        } else {
            Ok(())
        }
    }

    /// The time for the next transaction; a step of the clock is noted, to be put before it.
    pub(crate) fn stamp(&mut self) -> Timestamp {
        let (time, step) = self.stamper.stamp();
        self.clock_note = self.clock_note.take().or(step);
        time
    }

    /// The number that the first record of the next transaction gets.
    fn next_event_lsn(&self) -> Lsn {
        self.next_lsn.plus(u64::from(self.clock_note.is_some()))
    }

    fn refusal_since(&self, refusals: u64) -> Option<Error> {
        if self.refusals == refusals { None } else { self.last_refusal.clone() }
    }
}
