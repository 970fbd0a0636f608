//! What goes in and what can be asked: transactions, pins, status.

use std::sync::atomic::Ordering;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::commit::{Entered, Reserved, Sitter};
use crate::journal::group::NewRecord;
use crate::journal::options::Limits;
#[cfg(feature = "store")]
use crate::journal::seat::Cell;
use crate::journal::seat::Need;
use crate::journal::summary::{PIN_TEXT_BYTES_MAX, PinRecord, encode_own};
use crate::journal::ticket::{Durability, Receipt};
use crate::journal::{Journal, RecordKind};
use crate::position::{Epoch, Lsn, Position};
use crate::segment::record::META_BYTES_MAX;

/// Records that are all there or not at all.
#[derive(Clone, Debug, Default)]
pub struct Transaction {
    payloads: Vec<Vec<u8>>,
    meta: Option<Vec<u8>>,
}

impl Transaction {
    /// An empty transaction.
    pub fn new() -> Transaction {
        Transaction::default()
    }

    /// Adds a record.
    #[must_use]
    pub fn record(mut self, payload: impl Into<Vec<u8>>) -> Transaction {
        self.payloads.push(payload.into());
        self
    }

    /// Says something about the commit, up to 65,535 bytes; kept with its first record.
    #[must_use]
    pub fn meta(mut self, meta: impl Into<Vec<u8>>) -> Transaction {
        self.meta = Some(meta.into());
        self
    }

    pub(crate) fn records(&self) -> Vec<NewRecord<'_>> {
        let mut meta = self.meta.as_deref();
        self.payloads
            .iter()
            .map(|payload| NewRecord { meta: meta.take(), ..NewRecord::event(payload, 0) })
            .collect()
    }
}

/// Refuses what would not fit, before anything is written.
pub(crate) fn check_sizes(records: &[NewRecord<'_>], limits: &Limits) -> Result<()> {
    if records.is_empty() {
        return Err(Error::new(ErrorKind::Input, "a transaction needs at least one record"));
    }
    let mut total = 0;
    for record in records {
        let actual = record.payload.len() as u64;
        if actual > limits.record_bytes_max {
            return Err(too_large("record", actual, limits.record_bytes_max));
        }
        let meta = record.meta.map_or(0, <[u8]>::len);
        if meta > META_BYTES_MAX {
            return Err(too_large("metadata", meta as u64, META_BYTES_MAX as u64));
        }
        total += record.encoded_bytes() as u64;
    }
    if total > limits.transaction_bytes_max {
        return Err(too_large("transaction", total, limits.transaction_bytes_max));
    }
    Ok(())
}

fn too_large(what: &str, actual: u64, max: u64) -> Error {
    Error::new(
        ErrorKind::TooLarge { actual, max },
        format!("{what} of {actual} bytes is over the limit of {max}"),
    )
    .advise("split it, or raise the limit when opening; nothing was written")
}

/// A named position that retention keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pin {
    /// Its name.
    pub name: String,
    /// The position it keeps.
    pub position: Position,
    /// The time of that position.
    pub time: Timestamp,
    /// What was said about it.
    pub note: String,
}

/// How a journal is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// The last durable record.
    pub durable: Position,
    /// The last record that has a place in the order; equal to `durable` when nothing is under way.
    pub latest: Lsn,
    /// Why nothing is accepted any more, if so (J5).
    pub failure: Option<Error>,
    /// The first error of background work; it stays until the journal is reopened, and `close` returns it.
    pub background: Option<Error>,
    /// How often the wall clock was seen to step by more than an hour in this session.
    pub clock_steps: u64,
    /// The bytes of all segments.
    pub segment_bytes: u64,
    /// The number of segments.
    pub segments: u64,
}

fn check_pin(name: &str, note: &str) -> Result<()> {
    if name.is_empty() || name.len() > PIN_TEXT_BYTES_MAX || note.len() > PIN_TEXT_BYTES_MAX {
        let what = "a pin's name must have 1 to 1024 bytes, its note at most 1024";
        return Err(Error::new(ErrorKind::Input, what));
    }
    Ok(())
}

/// The content of a pin's record.
pub(crate) fn pin_payload(name: &str, position: Position, time: Timestamp, note: &str) -> Result<Vec<u8>> {
    check_pin(name, note)?;
    encode_own(PinRecord {
        name: name.to_owned(),
        epoch: position.epoch.get(),
        lsn: position.lsn.get(),
        time: time.micros(),
        note: note.to_owned(),
    })
}

impl Journal {
    /// How the journal is doing.
    pub fn status(&self) -> Status {
        let durable = self.position();
        let legs = self.inner.history.legs();
        let segment_bytes = legs.iter().map(|leg| leg.segment.birth.capacity).sum();
        let writer = self.inner.writer.as_ref();
        Status {
            durable,
            latest: writer.map_or(durable.lsn, |writer| writer.core.latest()),
            failure: writer.and_then(|writer| writer.core.failure()),
            background: writer.and_then(|writer| writer.bell.trouble()),
            clock_steps: writer.map_or(0, |writer| writer.clock_steps.load(Ordering::Relaxed)),
            segment_bytes,
            segments: legs.len() as u64,
        }
    }

    /// Keeps `position` from being compacted away, under a name; a pin of the same name moves. Durable on return.
    ///
    /// # Errors
    ///
    /// `BeforeHorizon`, `Diverged` or `Absent` if the position cannot be read; `Input` if name or note are over
    /// 1024 bytes or the name is empty; and as [`Journal::append`].
    pub fn pin(&self, name: &str, position: Position, note: &str) -> Result<Receipt> {
        // Held so that the horizon does not pass the position meanwhile.
        let _upkeep = self.inner.upkeep.lock();
        let payload = self.pin_record(name, position, note)?;
        self.commit_own(RecordKind::Pin, &payload)
    }

    /// The content of a pin's record for a position that can be read.
    pub(crate) fn pin_record(&self, name: &str, position: Position, note: &str) -> Result<Vec<u8>> {
        check_pin(name, note)?;
        if position.lsn < self.horizon().lsn {
            return Err(self.before_horizon(&format!("position {position} lies before the horizon")));
        }
        pin_payload(name, position, self.time_of(position)?, note)
    }

    /// The content of the record that removes a pin, which there is.
    pub(crate) fn unpin_record(&self, name: &str) -> Result<Vec<u8>> {
        self.find_pin(name)?;
        encode_own(name.to_owned())
    }

    /// Removes a pin. Durable on return.
    ///
    /// # Errors
    ///
    /// `Absent` if there is none of that name; and as [`Journal::append`].
    pub fn unpin(&self, name: &str) -> Result<Receipt> {
        self.commit_own(RecordKind::Unpin, &self.unpin_record(name)?)
    }

    /// All pins that are durable, by name.
    pub fn pins(&self) -> Vec<Pin> {
        let pin = |(name, pin): (&String, &PinRecord)| Pin {
            name: name.clone(),
            position: Position::new(Epoch::new(pin.epoch), Lsn::new(pin.lsn)),
            time: Timestamp::from_micros(pin.time),
            note: pin.note.clone(),
        };
        match &self.inner.writer {
            Some(writer) => writer.core.sink().pins().iter().map(pin).collect(),
            None => self.inner.fixed.1.pins().iter().map(pin).collect(),
        }
    }

    /// The pin called `name`.
    ///
    /// # Errors
    ///
    /// `Absent` if there is none.
    pub fn find_pin(&self, name: &str) -> Result<Pin> {
        let found = self.pins().into_iter().find(|pin| pin.name == name);
        found.ok_or_else(|| {
            Error::new(ErrorKind::Absent, format!("there is no pin called {name:?}"))
                .advise("everlog pin DIR lists them")
        })
    }

    /// Refuses what would not fit, before anything is written.
    pub(crate) fn check_records(&self, records: &[NewRecord<'_>]) -> Result<()> {
        check_sizes(records, &self.inner.options.limits)
    }

    /// Gives records exactly the reserved place; `None` if somebody came between.
    pub(crate) fn enter_reserved(
        &self,
        records: &[NewRecord<'_>],
        durability: Durability,
        sitter: Sitter,
        reserved: &Reserved,
    ) -> Result<Option<Entered>> {
        let writer = self.writer()?;
        let need = durability.need();
        if sitter == Sitter::Ticket || need == Need::Written {
            writer.ensure_pump(self.inner.options.background);
        }
        writer.core.enter_reserved(records, need, sitter, reserved)
    }

    /// A seat for a ticket that is settled when `lsn` is durable; none if it is already.
    #[cfg(feature = "store")]
    pub(crate) fn sit_until_durable(&self, lsn: Lsn) -> Result<Option<crate::sync::Arc<Cell>>> {
        let writer = self.writer()?;
        writer.ensure_pump(self.inner.options.background);
        writer.core.sit_until_durable(lsn, Sitter::Ticket)
    }

    fn commit_own(&self, kind: RecordKind, payload: &[u8]) -> Result<Receipt> {
        let record = NewRecord { kind, ..NewRecord::event(payload, 0) };
        self.commit_records(&[record], Durability::Synced)
    }

    /// The last durable record and its time, of one and the same moment.
    pub(crate) fn durable_end(&self) -> Result<(Lsn, Timestamp)> {
        match &self.inner.writer {
            Some(writer) => {
                let proven = writer.core.sink().proven();
                Ok((proven.position.lsn, proven.time))
            }
            None => Ok((self.durable_lsn(), self.time_of(self.position())?)),
        }
    }

    /// The time of the record at `position`, or of the horizon.
    pub(crate) fn time_of(&self, position: Position) -> Result<Timestamp> {
        if position.lsn == self.horizon().lsn {
            return Ok(Timestamp::from_micros(self.inner.root.lock().slot.horizon_time));
        }
        self.check_branch(position)?;
        let mut records = self.records_after(Position { lsn: position.lsn.before(), ..position })?;
        match records.next() {
            Some(record) => Ok(record?.time),
            None => Err(Error::new(ErrorKind::Absent, format!("there is no record {position} yet"))),
        }
    }
}
