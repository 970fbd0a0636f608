//! Reading events in order: those of a range of the past, [`Events`], and those to come, [`Subscription`].

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::journal::summary::{RollbackRecord, decode_own};
use crate::journal::{Cursor, Journal, Record, RecordKind};
use crate::position::{Epoch, Lsn, Position};
use crate::state::fold::{Fold, Meta};
use crate::state::refold::stamp_of;
use crate::state::twin::Twin;

/// What happened at a position.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recorded<E> {
    /// Where it stands in the order.
    pub position: Position,
    /// When it was accepted.
    pub time: Timestamp,
    /// What was said about the commit.
    pub meta: Option<Arc<Meta>>,
    /// What it is.
    pub item: Item<E>,
}

/// An event or a rollback.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Item<E> {
    /// An event was committed.
    Event(E),
    /// The state returned to what it was at `target`.
    Rollback {
        /// The position whose state is the state again.
        target: Position,
    },
}

impl<E> Item<E> {
    /// The event, unless it is a rollback.
    pub fn event(&self) -> Option<&E> {
        match self {
            Item::Event(event) => Some(event),
            Item::Rollback { .. } => None,
        }
    }
}

/// Decodes a record; `None` if it is one of those that mean nothing to a fold.
fn read<S: Fold>(record: &Record) -> Result<Option<Recorded<S::Event>>> {
    let lsn = record.position.lsn;
    let item = match record.kind {
        RecordKind::Event => {
            let event = S::decode(record.type_version, &record.payload);
            Item::Event(event.map_err(|error| error.at_lsn(lsn))?)
        }
        RecordKind::Rollback => {
            let rollback: RollbackRecord = decode_own(&record.payload).map_err(|error| error.at_lsn(lsn))?;
            let target = Position::new(Epoch::new(rollback.target_epoch), Lsn::new(rollback.target_lsn));
            Item::Rollback { target }
        }
        _ => return Ok(None),
    };
    let stamp = stamp_of(record.position, record.time, record.meta.as_deref())?;
    Ok(Some(Recorded { position: stamp.position, time: stamp.time, meta: stamp.meta, item }))
}

/// The events of a range, read from the log one by one. After an error it ends.
pub struct Events<S> {
    cursor: Cursor,
    last: Lsn,
    ended: bool,
    fold: PhantomData<fn() -> S>,
}

impl<S: Fold> Events<S> {
    /// The events from record `first` through `last`.
    pub(crate) fn new(journal: &Journal, first: Lsn, last: Lsn) -> Events<S> {
        Events { cursor: journal.cursor(first), last, ended: false, fold: PhantomData }
    }

    fn step(&mut self) -> Result<Option<Recorded<S::Event>>> {
        while let Some(record) = self.cursor.next().transpose()? {
            if record.position.lsn > self.last {
                break;
            }
            if let Some(recorded) = read::<S>(&record)? {
                return Ok(Some(recorded));
            }
        }
        Ok(None)
    }
}

impl<S: Fold> Iterator for Events<S> {
    type Item = Result<Recorded<S::Event>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let step = self.step().transpose();
        self.ended = !matches!(step, Some(Ok(_)));
        step
    }
}

impl<S> fmt::Debug for Events<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("last", &self.last).finish_non_exhaustive()
    }
}

/// How long one wait for something new lasts before the subscription looks around.
const WAIT: Duration = Duration::from_secs(3600);

/// Everything that becomes durable after a position, in order, each once: events and rollbacks.
///
/// As an iterator it blocks until there is something, and ends when the journal is closed or an error was given.
/// Remember the position of the last item that was dealt with, and subscribe from there after a restart. It reads from
/// the log, so that one that is slow costs no memory. It keeps the journal open until that is closed.
pub struct Subscription<S: Fold> {
    twin: Arc<Twin<S>>,
    cursor: Cursor,
    /// The last record that was read.
    seen: Position,
    ended: bool,
}

impl<S: Fold> Subscription<S> {
    pub(crate) fn new(twin: Arc<Twin<S>>, from: Position) -> Result<Subscription<S>> {
        let cursor = twin.journal.records_after(from)?;
        Ok(Subscription { twin, cursor, seen: from, ended: false })
    }

    /// The next item, waiting for it at most `timeout`; `None` if there is none by then, or no more
    /// ([`Subscription::has_ended`]).
    ///
    /// # Errors
    ///
    /// `Reentered` from inside a closure of the same handle; `Damaged` and `WrongType` if a record does not check or
    /// decode; `Poisoned` after a failed write or sync. The subscription has ended then.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<Result<Recorded<S::Event>>> {
        if self.ended {
            return None;
        }
        let step = self.step(timeout).transpose();
        self.ended |= matches!(step, Some(Err(_)));
        step
    }

    /// Whether nothing more will come: the journal was closed, or there was an error.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    fn step(&mut self, timeout: Duration) -> Result<Option<Recorded<S::Event>>> {
        self.twin.outside()?;
        let clock = Arc::clone(&self.twin.journal.opened_with().clock);
        let start = clock.elapsed();
        loop {
            if let Some(recorded) = self.read_on()? {
                return Ok(Some(recorded));
            }
            let Ok(core) = self.twin.journal.writer_core() else {
                self.ended = true;
                return Ok(None);
            };
            if core.is_closed() {
                // What was accepted before the close still becomes durable.
                let _failed = core.wait_durable(core.latest());
                self.ended = true;
                return self.read_on();
            }
            let left = timeout.saturating_sub(clock.elapsed().saturating_sub(start));
            let more = self.twin.journal.wait_beyond(self.seen, left.min(WAIT))?;
            if !more && !core.is_closed() {
                return Ok(None);
            }
        }
    }

    fn read_on(&mut self) -> Result<Option<Recorded<S::Event>>> {
        while let Some(record) = self.cursor.next().transpose()? {
            self.seen = record.position;
            if let Some(recorded) = read::<S>(&record)? {
                return Ok(Some(recorded));
            }
        }
        Ok(None)
    }
}

impl<S: Fold> Iterator for Subscription<S> {
    type Item = Result<Recorded<S::Event>>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            let next = self.next_timeout(WAIT);
            if next.is_some() {
                return next;
            }
        }
        None
    }
}

impl<S: Fold> fmt::Debug for Subscription<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("seen", &self.seen).finish_non_exhaustive()
    }
}
