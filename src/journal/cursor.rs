//! Reading the history in order, from a position or a time, checking every frame on the way (J14: never writes).

use std::sync::Arc;

use parking_lot::Mutex;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::history::{History, Leg};
use crate::journal::root::{RootFile, before_horizon};
use crate::position::{Lsn, Position};
use crate::segment::frame::{FrameHeader, FrameKind};
use crate::segment::reader::{FrameReader, Place, Step};
use crate::segment::record::{RecordKind, RecordView, Records};

/// One record of the history, as read back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// Where it stands in the order.
    pub position: Position,
    /// When it was accepted; never before the record before it (J8).
    pub time: Timestamp,
    /// What it is.
    pub kind: RecordKind,
    /// The version of the event's type.
    pub type_version: u16,
    /// Whether it ends its transaction.
    pub ends_transaction: bool,
    /// What was said about the commit, as stored.
    pub meta: Option<Vec<u8>>,
    /// The content.
    pub payload: Vec<u8>,
}

#[cfg(feature = "cli")]
impl Record {
    pub(crate) fn of(position: Position, view: &RecordView<'_>) -> Record {
        RecordRef::of(position, view).to_record()
    }
}

/// One record of the history, borrowed from the cursor that read it: nothing was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordRef<'a> {
    /// Where it stands in the order.
    pub position: Position,
    /// When it was accepted; never before the record before it (J8).
    pub time: Timestamp,
    /// What it is.
    pub kind: RecordKind,
    /// The version of the event's type.
    pub type_version: u16,
    /// Whether it ends its transaction.
    pub ends_transaction: bool,
    /// What was said about the commit, as stored.
    pub meta: Option<&'a [u8]>,
    /// The content.
    pub payload: &'a [u8],
}

impl RecordRef<'_> {
    fn of<'a>(position: Position, view: &RecordView<'a>) -> RecordRef<'a> {
        RecordRef {
            position,
            time: view.time,
            kind: view.kind,
            type_version: view.type_version,
            ends_transaction: view.end,
            meta: view.meta,
            payload: view.payload,
        }
    }

    /// A copy that outlives the cursor's next step.
    pub fn to_record(&self) -> Record {
        Record {
            position: self.position,
            time: self.time,
            kind: self.kind,
            type_version: self.type_version,
            ends_transaction: self.ends_transaction,
            meta: self.meta.map(<[u8]>::to_vec),
            payload: self.payload.to_vec(),
        }
    }
}

/// Reads whole frames in order, up to a record that is known to be written.
#[derive(Debug)]
pub(crate) struct FrameCursor {
    history: Arc<History>,
    reader: Option<FrameReader>,
    /// The active segment's end, learnt when the cursor came to it.
    leg_end: Option<u64>,
    next_lsn: Lsn,
    /// Where the reader has forgotten what it had read ahead and looked again.
    looked_again_at: Option<u64>,
    /// The offset from which the next waypoint may stand.
    waypoint_from: u64,
}

impl FrameCursor {
    /// Starts at the frame that holds `from`.
    pub(crate) fn new(history: Arc<History>, from: Lsn) -> FrameCursor {
        FrameCursor {
            history,
            reader: None,
            leg_end: None,
            next_lsn: from,
            looked_again_at: None,
            waypoint_from: 0,
        }
    }

    fn open(&mut self, leg: Leg) {
        let known = self.history.waypoint_at(leg.segment.birth.number, self.next_lsn);
        let start = known.unwrap_or(Place::start(&leg.segment.birth));
        let end = leg.end.unwrap_or(leg.segment.frames_end());
        self.leg_end = leg.end;
        self.looked_again_at = None;
        self.waypoint_from = 0;
        self.reader = Some(FrameReader::new(leg.segment, start, end));
    }

    /// The next data frame with a record at or after the start, if it begins at or before `last`.
    pub(crate) fn next(&mut self, last: Lsn) -> Result<Option<FrameHeader>> {
        loop {
            if self.next_lsn > last {
                return Ok(None);
            }
            if self.reader.is_none() {
                let leg = self.history.leg_for(self.next_lsn).ok_or_else(nothing_to_read)?;
                self.open(leg);
            }
            let Some(reader) = &mut self.reader else { continue };
            match reader.step()? {
                Step::Frame(header) if header.kind == FrameKind::Data => {
                    if reader.place().offset >= self.waypoint_from {
                        let number = reader.segment().birth.number;
                        let time = || last_time(reader.body());
                        self.waypoint_from = self.history.pass(number, reader.place(), time);
                    }
                    if header.next_lsn() > self.next_lsn {
                        if header.first_lsn > self.next_lsn {
                            let name = &reader.segment().name;
                            let error = Error::damaged(name, header.offset, "records are missing");
                            return Err(error.at_lsn(self.next_lsn));
                        }
                        self.next_lsn = header.next_lsn();
                        return Ok(Some(header));
                    }
                }
                Step::Frame(_) => {}
                stop => self.turn(stop)?,
            }
        }
    }

    /// Goes on to the next segment, or says what is wrong with this one.
    fn turn(&mut self, stop: Step) -> Result<()> {
        let Some(reader) = &mut self.reader else { return Ok(()) };
        let number = reader.segment().birth.number;
        let here = reader.place().offset;
        if let Some(leg) = self.history.leg_instead_of(number, self.next_lsn) {
            self.open(leg);
            return Ok(());
        }
        let after = self.history.leg_after(number);
        if self.leg_end.is_none() && after.is_some() {
            // It was the active segment when the cursor came; now it has an end, and frames may have been added.
            let legs = self.history.legs();
            let same = legs.iter().find(|leg| leg.segment.birth.number == number);
            if let Some(end) = same.and_then(|leg| leg.end) {
                self.leg_end = Some(end);
                reader.extend(end);
                return Ok(());
            }
        }
        if self.leg_end.is_none() && after.is_none() && self.looked_again_at != Some(here) {
            // The record is written by now; what was read ahead may be older.
            self.looked_again_at = Some(here);
            reader.extend(u64::MAX);
            return Ok(());
        }
        match (self.leg_end, after) {
            (Some(end), Some(next)) if here == end => {
                self.open(next);
                Ok(())
            }
            _ => {
                let what = match stop {
                    Step::Hole(what) => what,
                    _ => "frames end too early",
                };
                Err(reader.damage(what).at_lsn(self.next_lsn).advise("run everlog verify"))
            }
        }
    }

    /// The body of the frame that [`FrameCursor::next`] returned last.
    pub(crate) fn body(&self) -> &[u8] {
        self.reader.as_ref().map_or(&[], FrameReader::body)
    }
}

/// The time of the last record in a checked body.
fn last_time(body: &[u8]) -> Timestamp {
    Records::new(body).filter_map(Result::ok).last().map_or(Timestamp::ZERO, |record| record.time)
}

fn nothing_to_read() -> Error {
    Error::new(ErrorKind::Absent, "the journal has no segments to read")
}

/// Up to where a cursor reads.
pub(crate) trait Limit: Send + Sync {
    /// The last record that may be shown.
    fn last(&self) -> Lsn;
}

/// Reads records in order. Sees only what is durable; ends there, and goes on when asked again later.
///
/// As an iterator it copies each record; [`Cursor::read`] lends them instead.
pub struct Cursor {
    frames: FrameCursor,
    limit: Arc<dyn Limit>,
    /// Knows the horizon, which may pass what was not read yet.
    root: Arc<Mutex<RootFile>>,
    /// The first record wanted.
    from: Lsn,
    from_time: Timestamp,
    /// Where the next record stands.
    next: Position,
    /// The same as a place in the frame's body.
    body_offset: usize,
    failed: bool,
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor").field("from", &self.from).finish_non_exhaustive()
    }
}

impl Cursor {
    pub(crate) fn new(
        history: Arc<History>,
        limit: Arc<dyn Limit>,
        root: Arc<Mutex<RootFile>>,
        from: Lsn,
    ) -> Cursor {
        Cursor {
            frames: FrameCursor::new(history, from),
            limit,
            root,
            from,
            from_time: Timestamp::ZERO,
            next: Position::default(),
            body_offset: 0,
            failed: false,
        }
    }

    /// The same, without records before `time`.
    pub(crate) fn not_before(mut self, time: Timestamp) -> Cursor {
        self.from_time = time;
        self
    }

    /// The next record, lent until the next step; `None` at the durable end for now.
    ///
    /// Reads and checks a frame at a time, and allocates nothing for a record.
    ///
    /// # Errors
    ///
    /// [`BeforeHorizon`](ErrorKind::BeforeHorizon) if compaction took what comes next, and names the earliest that can
    /// be read; [`Damaged`](ErrorKind::Damaged) where the history does not check. The cursor has ended then.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> everlog::Result<()> {
    /// # let directory = tempfile::tempdir().expect("a directory");
    /// # let journal = everlog::Journal::open(directory.path().join("journal"))?;
    /// journal.append("one")?;
    /// let mut cursor = journal.records()?;
    /// let mut bytes = 0;
    /// while let Some(record) = cursor.read()? {
    ///     bytes += record.payload.len();
    /// }
    /// assert_eq!(bytes, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn read(&mut self) -> Result<Option<RecordRef<'_>>> {
        if self.failed {
            return Ok(None);
        }
        // Set again below, once the step has gone well.
        self.failed = true;
        let there = self.seek()?;
        self.failed = false;
        if !there {
            return Ok(None);
        }
        let rest = &self.frames.body()[self.body_offset..];
        let (view, _) = RecordView::decode(rest)?;
        let position = self.next;
        self.body_offset += view.encoded_bytes();
        self.next.lsn = position.lsn.next();
        Ok(Some(RecordRef::of(position, &view)))
    }

    /// What compaction took is not damaged.
    fn or_overtaken(&self, error: Error) -> Error {
        let (slot, wanted) = (self.root.lock().slot, self.frames.next_lsn);
        match slot.horizon().lsn >= wanted {
            true => before_horizon(&slot, &format!("record {wanted} was compacted away")),
            false => error,
        }
    }

    /// Goes to the next record wanted, over frames and records that are not; false at the durable end.
    fn seek(&mut self) -> Result<bool> {
        loop {
            let rest = &self.frames.body()[self.body_offset..];
            if rest.is_empty() {
                let header = self.frames.next(self.limit.last()).map_err(|error| self.or_overtaken(error))?;
                let Some(header) = header else { return Ok(false) };
                self.next = Position::new(header.epoch, header.first_lsn);
                self.body_offset = 0;
                continue;
            }
            if self.next.lsn >= self.from && self.from_time == Timestamp::ZERO {
                return Ok(true);
            }
            let (view, _) = RecordView::decode(rest)?;
            if self.next.lsn >= self.from && view.time >= self.from_time {
                // Neither goes back, so no later record need be asked (J8).
                self.from_time = Timestamp::ZERO;
                return Ok(true);
            }
            self.body_offset += view.encoded_bytes();
            self.next.lsn = self.next.lsn.next();
        }
    }
}

impl Iterator for Cursor {
    type Item = Result<Record>;

    /// The next record; `None` at the durable end for now; after an error always `None`.
    fn next(&mut self) -> Option<Result<Record>> {
        self.read().map(|record| record.map(|record| record.to_record())).transpose()
    }
}

/// Those that hold records, and the last one: where the next begins with the same record, none are here.
fn filled(mut legs: Vec<Leg>) -> Vec<Leg> {
    let nexts: Vec<Lsn> = legs.iter().skip(1).map(|leg| leg.first_lsn).collect();
    let mut nexts = nexts.into_iter();
    legs.retain(|leg| nexts.next().is_none_or(|next| next > leg.first_lsn));
    legs
}

/// Finds the first record at or after `time` between `first` and `last`: by halves over the segments, then inside one.
pub(crate) fn find_time(history: &Arc<History>, time: Timestamp, first: Lsn, last: Lsn) -> Result<Lsn> {
    let legs = filled(history.legs());
    let (mut low, mut high) = (0, legs.len());
    while low < high {
        let middle = low + (high - low) / 2;
        match legs[middle].segment.first_record()? {
            Some((_, found)) if found < time => low = middle + 1,
            Some(_) => high = middle,
            // It is the last one, and nothing is in it yet.
            None => high = middle,
        }
    }
    let leg = legs.get(low.saturating_sub(1));
    let start = leg.map_or(first, |leg| {
        let number = leg.segment.birth.number;
        history.waypoint_before(number, time).unwrap_or(leg.first_lsn)
    });
    let start = start.max(first);
    let mut frames = FrameCursor::new(Arc::clone(history), start);
    while let Some(header) = frames.next(last)? {
        let mut lsn = header.first_lsn;
        for record in Records::new(frames.body()) {
            if record?.time >= time && lsn >= first {
                return Ok(lsn);
            }
            lsn = lsn.next();
        }
    }
    Ok(last.next())
}
