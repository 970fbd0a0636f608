//! The way of a commit: decide on pending, try the fold, take a place in the order, wait for the disk.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::journal::commit::{Entered, Reserved, Sitter};
use crate::journal::group::NewRecord;
use crate::journal::{Durability, Receipt};
use crate::position::Position;
use crate::state::fold::{Fold, Meta, Stamp};
use crate::state::refold::apply;
use crate::state::twin::{Change, Pending, Twin};

/// Why a [`try_transaction`](crate::state::Journaled::try_transaction) did not commit.
#[derive(Clone, Debug)]
pub enum TransactionError<E> {
    /// The closure said no. The state that it decided on is durable (J4).
    Refused(E),
    /// The journal could not: nothing of the transaction is in it, unless the kind is `FateUnknown`.
    Journal(Error),
}

impl<E> From<Error> for TransactionError<E> {
    fn from(error: Error) -> TransactionError<E> {
        TransactionError::Journal(error)
    }
}

impl<E: fmt::Display> fmt::Display for TransactionError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TransactionError::Refused(error) => error.fmt(f),
            TransactionError::Journal(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for TransactionError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            TransactionError::Refused(error) => Some(error),
            TransactionError::Journal(error) => Some(error),
        }
    }
}

/// What goes with the commits of one handle.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    pub(crate) meta: Option<Arc<Meta>>,
    pub(crate) durability: Durability,
}

/// Events ready to enter: as bytes, and as they read back.
struct Prepared<S: Fold> {
    payloads: Vec<Vec<u8>>,
    events: Vec<S::Event>,
    meta: Option<Vec<u8>>,
}

impl<S: Fold> Prepared<S> {
    fn records(&self) -> Vec<NewRecord<'_>> {
        let meta = self.meta.as_deref();
        let record = |payload| NewRecord { meta, ..NewRecord::event(payload, S::VERSION) };
        self.payloads.iter().map(|payload| record(payload)).collect()
    }
}

impl<S: Fold> Twin<S> {
    /// Lets `decide` choose events by the pending state, runs it exactly once, and gives them their place in the order.
    /// `None` means that there were none. Whatever was decided is answered once it stands on a durable state (J4).
    pub(crate) fn decide<E>(
        &self,
        manner: &Manner,
        sitter: Sitter,
        decide: impl FnOnce(&S) -> Result<Vec<S::Event>, E>,
    ) -> Result<Option<Entered>, TransactionError<E>> {
        self.outside()?;
        let mut pending = self.lock_pending()?;
        self.journal.writer_core()?.accepting()?;
        let (last, refusals) = (pending.last, pending.refusals);
        let decided = {
            let _inside = self.inside();
            decide(pending.state()?)
        };
        let outcome = match decided {
            Ok(events) if events.is_empty() => Ok(None),
            Ok(events) => match self.enter(&mut pending, manner, sitter, events) {
                Ok(entered) => return Ok(Some(entered)),
                Err(error) => Err(TransactionError::Journal(error)),
            },
            Err(refusal) => Err(TransactionError::Refused(refusal)),
        };
        drop(pending);
        self.settle(last, refusals)?;
        outcome
    }

    /// Commits what `decide` chooses and returns when it is as durable as the manner says.
    pub(crate) fn commit_decided<E>(
        &self,
        manner: &Manner,
        decide: impl FnOnce(&S) -> Result<Vec<S::Event>, E>,
    ) -> Result<Option<Receipt>, TransactionError<E>> {
        let Some(entered) = self.decide(manner, Sitter::Thread, decide)? else { return Ok(None) };
        let receipt = self.journal.complete(entered)?;
        self.keep_up();
        Ok(Some(receipt))
    }

    fn enter(
        &self,
        pending: &mut Pending<S>,
        manner: &Manner,
        sitter: Sitter,
        events: Vec<S::Event>,
    ) -> Result<Entered> {
        let prepared = prepare::<S>(manner, &events)?;
        self.journal.check_records(&prepared.records())?;
        let refusals = pending.refusals;
        loop {
            let reserved = self.reserve(refusals)?;
            // From here on pending has what is not in the log yet.
            pending.broken = true;
            let stamps = self.stamps(manner, prepared.events.len(), &reserved);
            {
                let _inside = self.inside();
                let state = pending.state()?;
                let mut both = prepared.events.iter().zip(&stamps);
                both.try_for_each(|(event, stamp)| apply(state, event, stamp))?;
            }
            let records = prepared.records();
            match self.journal.enter_reserved(&records, manner.durability, sitter, &reserved)? {
                Some(entered) => {
                    pending.broken = false;
                    let events = prepared.events.into_iter().zip(stamps).collect();
                    self.enqueue(pending, entered.last_lsn, Change::Events(events));
                    return Ok(entered);
                }
                // A pin came between: the same events once more, at their new place.
                None => self.refresh(pending)?,
            }
        }
    }

    /// Looks at the next place. If numbers were taken back after the first `refusals`, what was decided then may be
    /// void, and the error is what they were refused with.
    pub(crate) fn reserve(&self, refusals: u64) -> Result<Reserved> {
        let core = self.journal.writer_core()?;
        let reserved = core.reserve()?;
        match core.refusal_since(refusals) {
            Some(refusal) => Err(refusal),
            None => Ok(reserved),
        }
    }

    fn stamps(&self, manner: &Manner, count: usize, reserved: &Reserved) -> Vec<Stamp> {
        let stamp = |index| Stamp {
            meta: manner.meta.clone(),
            ..Stamp::new(Position::new(self.epoch, reserved.first_lsn.plus(index)), reserved.time)
        };
        (0..count as u64).map(stamp).collect()
    }
}

/// Encodes events and makes sure that they read back as what they were.
fn prepare<S: Fold>(manner: &Manner, events: &[S::Event]) -> Result<Prepared<S>> {
    let mut prepared = Prepared { payloads: Vec::new(), events: Vec::new(), meta: None };
    for event in events {
        let bytes = S::CODEC.encode(event)?;
        let back = S::decode(S::VERSION, &bytes).map_err(|error| {
            let what = format!("the event does not read back as it was written: {}", error.what());
            Error::new(ErrorKind::Input, what).advise(SHAPE_ADVICE)
        })?;
        if !S::CODEC.same(&bytes, &S::CODEC.encode(&back)?) {
            let what = "the event reads back as another one than was written";
            return Err(Error::new(ErrorKind::Input, what).advise(SHAPE_ADVICE));
        }
        prepared.payloads.push(bytes);
        prepared.events.push(back);
    }
    prepared.meta = manner.meta.as_ref().map(|meta| meta.encode()).transpose()?;
    Ok(prepared)
}

const SHAPE_ADVICE: &str = "use types that survive their codec: no NaN, no skipped fields, with bincode no \
                            maps without order and no untagged enums; nothing was written";
