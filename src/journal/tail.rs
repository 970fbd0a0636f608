//! The writing end: puts groups into the active segment, rolls to the next, and keeps marks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::commit::{Sink, WriteError};
use crate::journal::group::{Draft, Group};
use crate::journal::history::History;
use crate::journal::keeper::Bell;
use crate::journal::lease::Lease;
use crate::journal::options::Limits;
use crate::journal::root::{RootFile, Slot};
use crate::journal::spare::Spares;
use crate::journal::summary::{Pins, Summary};
use crate::medium::{MediumFile, read_range, write_all};
use crate::position::{Epoch, Lsn, Position};
use crate::segment::frame::{self, FrameHeader, FrameKind};
use crate::segment::reader::{Place, SegmentFile};
use crate::segment::slot::{self, Extent, RollSeal, SlotPlace};
use crate::segment::{BLOCK_BYTES, FRAMES_OFFSET};

mod quota;

/// Room kept at the end of a segment for a mark and a seal.
pub(crate) const fn reserve_bytes(aligned: bool) -> u64 {
    2 * frame::room(0, aligned)
}

/// Where a tail starts.
#[derive(Debug)]
pub(crate) struct TailStart {
    pub(crate) segment: SegmentFile,
    pub(crate) place: Place,
    pub(crate) epoch: Epoch,
    pub(crate) summary: Summary,
    /// Bytes of all live segments.
    pub(crate) live_bytes: u64,
    /// Bytes of frames in the live segments before this one.
    pub(crate) used_bytes: u64,
    /// Whether the last frame is the seal of a clean close.
    pub(crate) sealed: bool,
    /// Bytes of the frames that opening replayed, and how many records they had.
    pub(crate) bytes_since_snapshot: u64,
    pub(crate) records_since_snapshot: u64,
}

/// The sink of the commit core.
#[derive(Debug)]
pub(crate) struct Tail {
    limits: Limits,
    /// Segments being made ready.
    pub(crate) spares: Arc<Spares>,
    root: Arc<Mutex<RootFile>>,
    history: Arc<History>,
    /// The same for the whole session, so that a receipt needs no lock.
    epoch: Epoch,
    /// The bytes of the newest snapshot, for the quota.
    snapshot_bytes: AtomicU64,
    /// Bytes and records appended since the newest snapshot was begun, about.
    bytes_since_snapshot: AtomicU64,
    records_since_snapshot: AtomicU64,
    /// Wakes the keeper when there is something to prepare or to mark.
    bell: Arc<Bell>,
    /// The right to write here.
    lease: Arc<Lease>,
    /// Locked for the time of a write, never for the time of a group's sync.
    end: Mutex<End>,
    /// Held for the time of a sync, so that they come one after another; locked after `end` where both are. Once one
    /// has failed none is tried again: the system tells a failure to one caller only, and the next sync would say yes
    /// to bytes that the device has not got (J5).
    syncing: Mutex<Option<Error>>,
}

#[derive(Debug)]
struct End {
    segment: SegmentFile,
    offset: u64,
    previous: u32,
    epoch: Epoch,
    summary: Summary,
    /// The last record whose bytes were all written before a successful sync began.
    proven: Lsn,
    /// The last record that ends a transaction.
    whole: Lsn,
    /// The last end of a group that is durable.
    point: Proven,
    /// The pins at that point: what readers see of them (J4).
    pins: Pins,
    /// The highest mark that some frame carries.
    marked: Lsn,
    /// Data frames since the last sync began.
    frames_unsynced: u32,
    /// Up to where the active segment is durable, marks included.
    durable_offset: u64,
    /// Whether the last frame is a seal.
    sealed: bool,
    live_bytes: u64,
    /// Bytes of frames in the segments before the active one: segments grow with what they hold, not with their size.
    used_bytes: u64,
    /// What was written since the last sync, to be compared; only with the option `read_back`.
    unread: Vec<Unread>,
    /// Why a write failed. The summary may count records since then that stand nowhere, so nothing is written, synced
    /// or vouched for any more (J5).
    broken: Option<Error>,
}

#[derive(Debug)]
struct Unread {
    file: Arc<dyn MediumFile>,
    name: String,
    offset: u64,
    bytes: Vec<u8>,
}

/// A point of the history that is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proven {
    pub(crate) position: Position,
    pub(crate) time: Timestamp,
    /// CRC-32 over all bodies up to here.
    pub(crate) fingerprint: u32,
}

impl Proven {
    fn of(summary: &Summary) -> Proven {
        Proven { position: summary.position(), time: summary.time(), fingerprint: summary.fingerprint }
    }
}

impl Tail {
    pub(crate) fn new(
        limits: Limits,
        spares: Arc<Spares>,
        root: Arc<Mutex<RootFile>>,
        history: Arc<History>,
        bell: Arc<Bell>,
        lease: Arc<Lease>,
        start: TailStart,
    ) -> Tail {
        let end = End {
            offset: start.place.offset,
            previous: start.place.previous,
            segment: start.segment,
            epoch: start.epoch,
            proven: start.summary.position().lsn,
            whole: start.summary.position().lsn,
            point: Proven::of(&start.summary),
            pins: Arc::clone(start.summary.pins()),
            // What recovery kept is proven; in a mended segment only a later frame will say so.
            marked: if start.sealed { start.summary.position().lsn } else { Lsn::ZERO },
            summary: start.summary,
            frames_unsynced: 0,
            durable_offset: start.place.offset,
            sealed: start.sealed,
            live_bytes: start.live_bytes,
            used_bytes: start.used_bytes,
            unread: Vec::new(),
            broken: None,
        };
        let tail = Tail {
            limits,
            spares,
            root,
            history,
            epoch: end.epoch,
            snapshot_bytes: AtomicU64::new(0),
            bytes_since_snapshot: AtomicU64::new(start.bytes_since_snapshot),
            records_since_snapshot: AtomicU64::new(start.records_since_snapshot),
            bell,
            lease,
            end: Mutex::new(end),
            syncing: Mutex::new(None),
        };
        tail.want_spare(&tail.end.lock());
        tail
    }

    fn want_spare(&self, end: &End) {
        self.spares.want(self.next_capacity(end));
        self.bell.ring();
    }

    /// What is durable now.
    pub(crate) fn proven(&self) -> Proven {
        self.end.lock().point
    }

    /// The pins that are durable now.
    pub(crate) fn pins(&self) -> Pins {
        Arc::clone(&self.end.lock().pins)
    }

    /// Looks at the summary without copying it.
    pub(crate) fn with_summary<T>(&self, look: impl FnOnce(&Summary) -> T) -> T {
        look(&self.end.lock().summary)
    }

    /// Forgets what lies below the horizon.
    pub(crate) fn prune_summary(&self, horizon: Lsn) {
        self.end.lock().summary.prune(horizon);
    }

    /// Bytes appended since the newest snapshot was begun, about.
    pub(crate) fn bytes_since_snapshot(&self) -> u64 {
        self.bytes_since_snapshot.load(Ordering::Relaxed)
    }

    /// Records appended since then, about.
    pub(crate) fn records_since_snapshot(&self) -> u64 {
        self.records_since_snapshot.load(Ordering::Relaxed)
    }

    /// Notes that a snapshot was begun at the durable end.
    pub(crate) fn begin_snapshot(&self) {
        self.bytes_since_snapshot.store(0, Ordering::Relaxed);
        self.records_since_snapshot.store(0, Ordering::Relaxed);
    }

    /// Notes how large the newest snapshot is.
    pub(crate) fn note_snapshot(&self, bytes: u64) {
        self.snapshot_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Notes that segments of so many bytes were removed, and that so many of these were frames.
    pub(crate) fn released(&self, bytes: u64, used_bytes: u64) {
        let mut end = self.end.lock();
        end.live_bytes = end.live_bytes.saturating_sub(bytes);
        end.used_bytes = end.used_bytes.saturating_sub(used_bytes);
    }

    /// Ends segment `number`, if it is still the active one, though it has room: a later compaction can let it go then.
    /// What comes next is made before anything is locked, and is no larger than it has to be. Without space or quota for
    /// it everything stays as it is.
    pub(crate) fn end_early(&self, number: u64) -> Result<(), WriteError> {
        let end = self.end.lock();
        let (capacity, following) = (self.limits.segment_capacity(end.used_bytes), self.next_capacity(&end));
        let is_due = end.segment.birth.number == number && end.broken.is_none();
        // It may use the reserve, as what comes of it makes the journal smaller, but for room to go on.
        if !is_due || self.check_quota_of(&end, capacity + following, false).is_err() {
            return Ok(());
        }
        drop(end);
        self.check_lease().map_err(WriteError::Failed)?;
        self.spares.give_up_over(capacity);
        let next = self.spares.take(capacity, reserve_bytes(self.limits.aligned) + BLOCK_BYTES);
        let mut end = self.end.lock();
        match next {
            Ok(next) if end.segment.birth.number == number && end.broken.is_none() => {
                let rolled = self.roll(&mut end, next);
                rolled.map_err(|error| WriteError::Failed(end.broken.insert(error).clone()))
            }
            Ok(unneeded) => {
                self.want_spare(&end);
                drop(end);
                self.spares.discard(&unneeded);
                Ok(())
            }
            Err(error) if *error.kind() == ErrorKind::Full => Ok(()),
            Err(error) => Err(WriteError::Refused(error)),
        }
    }

    /// The bytes of frames in the active segment.
    pub(crate) fn active_bytes(&self) -> u64 {
        self.end.lock().offset - FRAMES_OFFSET
    }

    /// The epoch that this session writes.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether the last durable records are not yet vouched for by any frame.
    pub(crate) fn wants_mark(&self) -> bool {
        let end = self.end.lock();
        end.proven > end.marked && !end.sealed
    }

    /// Whether the path still leads to what is written; if not, the journal must be poisoned.
    pub(crate) fn check_lease(&self) -> Result<()> {
        self.lease.check()
    }

    /// Writes and syncs a mark, so that what is durable is also known to be (rule 6).
    pub(crate) fn mark(&self) -> Result<()> {
        self.check_lease()?;
        let mut end = self.end.lock();
        end.check()?;
        end.write_bare(FrameKind::Mark, &self.limits)?;
        let file = Arc::clone(&end.segment.file);
        let name = end.segment.name.clone();
        let covered = (end.segment.birth.number, end.offset);
        drop(end);
        self.force(&*file, &name)?;
        self.end.lock().durable_up_to(covered);
        Ok(())
    }

    /// Seals after a drained close: everything is durable, then the seal, then the root says so.
    pub(crate) fn seal(&self) -> Result<()> {
        let mut end = self.end.lock();
        end.check()?;
        if end.sealed {
            return Ok(());
        }
        if end.durable_offset < end.offset {
            // The last sync may have left a mark behind it. A power cut could keep the seal and lose the mark, and a hole
            // before a seal is damage.
            self.sync_now(&mut end)?;
        }
        end.write_bare(FrameKind::Seal, &self.limits)?;
        self.sync_now(&mut end)?;
        end.sealed = true;
        let mut root = self.root.lock();
        let slot = root.slot.raised(end.epoch, end.proven);
        root.write_slot(slot.closed_at(end.segment.birth.number, end.offset))
    }

    fn write_group(&self, end: &mut End, group: &mut Group) -> Result<(), WriteError> {
        let rooms = group.drafts.iter().map(|draft| frame::room(draft.body().len(), self.limits.aligned));
        let total: u64 = rooms.clone().sum();
        let largest = rooms.max().unwrap_or(0);
        self.check_quota(end, total, group.ordinary).map_err(WriteError::Refused)?;
        let reserve = reserve_bytes(self.limits.aligned);
        let (mut written, first) = (false, end.summary.position().lsn.get());
        for draft in &mut group.drafts {
            let needed = frame::room(draft.body().len(), self.limits.aligned);
            if end.room(&self.limits) < needed {
                self.check_lease().map_err(WriteError::Failed)?;
                let next = self.spares.take(self.next_capacity(end), largest + reserve);
                let next = next.map_err(|error| match written {
                    false => WriteError::Refused(full_or_same(error)),
                    true => WriteError::Failed(error),
                })?;
                self.roll(end, next).map_err(WriteError::Failed)?;
            }
            end.write_draft(draft, &self.limits).map_err(WriteError::Failed)?;
            self.history.pass(end.segment.birth.number, end.reading_place(), || draft.last_time);
            self.bytes_since_snapshot.fetch_add(draft.bytes.len() as u64, Ordering::Relaxed);
            written = true;
        }
        let records = end.summary.position().lsn.get() - first;
        self.records_since_snapshot.fetch_add(records, Ordering::Relaxed);
        Ok(())
    }

    /// Ends the active segment and goes on in `next`. Data first, then the roll seal, then the root: each durable
    /// before the next begins, so that no segment but the newest is ever unsynced.
    fn roll(&self, end: &mut End, next: SegmentFile) -> Result<()> {
        self.sync_now(end)?;
        let last_lsn = end.summary.position().lsn;
        let (first_lsn, first_time) =
            end.segment.first_record()?.unwrap_or((last_lsn.next(), end.summary.time()));
        let extent = Extent { first_lsn, last_lsn, first_time, last_time: end.summary.time() };
        let successor = (next.birth.number, next.birth.salt);
        let seal = RollSeal::new(end.offset, end.previous, successor, extent);
        let birth = end.segment.birth;
        let place = SlotPlace { salt: birth.salt, epoch: end.epoch, last_lsn };
        let bytes = slot::encode_roll_seal(seal, place, birth.capacity)?;
        write_all(&*end.segment.file, &end.segment.name, &bytes, end.segment.frames_end())?;
        self.force(&*end.segment.file, &end.segment.name)?;
        let mut root = self.root.lock();
        // A transaction may go on in the next segment; what recovery would drop as unfinished must not be asked for.
        let slot: Slot = root.slot.raised(end.epoch, end.whole).moved_to(next.birth.number);
        root.write_slot(slot)?;
        drop(root);
        self.history.roll(end.offset, next.clone(), last_lsn.next());
        end.enter(next);
        self.want_spare(end);
        Ok(())
    }

    /// Forces `file` to the device, unless a sync has failed before.
    fn force(&self, file: &dyn MediumFile, name: &str) -> Result<()> {
        self.force_and_compare(file, name, Vec::new())
    }

    /// The same, and reads back what it made durable: bytes that differ count as a sync that failed, so that nothing vouches
    /// for them any more.
    fn force_and_compare(&self, file: &dyn MediumFile, name: &str, unread: Vec<Unread>) -> Result<()> {
        let mut failed = self.syncing.lock();
        if let Some(error) = &*failed {
            return Err(error.clone());
        }
        let forced = file.sync().map_err(|error| Error::io("sync", name, error));
        forced.and_then(|()| compare(unread)).map_err(|error| failed.insert(error).clone())
    }

    fn sync_now(&self, end: &mut End) -> Result<()> {
        let unread = std::mem::take(&mut end.unread);
        self.force_and_compare(&*end.segment.file, &end.segment.name, unread)?;
        end.proven = end.summary.position().lsn;
        end.frames_unsynced = 0;
        end.durable_offset = end.offset;
        Ok(())
    }
}

/// Refuses bytes that are not on the device as they were written.
fn compare(unread: Vec<Unread>) -> Result<()> {
    for piece in unread {
        piece.file.drop_cache(piece.offset..piece.offset + piece.bytes.len() as u64);
        let there = read_range(&*piece.file, &piece.name, piece.offset, piece.bytes.len() as u64)?;
        if there != piece.bytes {
            let what = "bytes read back after the sync differ from those written";
            return Err(Error::damaged(piece.name, piece.offset, what));
        }
    }
    Ok(())
}

impl Sink for Tail {
    fn write(&self, group: &mut Group) -> Result<(), WriteError> {
        let mut end = self.end.lock();
        end.check().map_err(WriteError::Failed)?;
        let written = self.write_group(&mut end, group);
        if let Err(WriteError::Failed(error)) = &written {
            end.broken = Some(error.clone());
        }
        written
    }

    fn sync(&self) -> Result<()> {
        let mut end = self.end.lock();
        end.check()?;
        let file = Arc::clone(&end.segment.file);
        let name = end.segment.name.clone();
        let covered = Proven::of(&end.summary);
        let pins = Arc::clone(end.summary.pins());
        let covered_place = (end.segment.birth.number, end.offset);
        let frames = std::mem::take(&mut end.frames_unsynced);
        let unread = std::mem::take(&mut end.unread);
        drop(end);
        self.force_and_compare(&*file, &name, unread)?;
        let mut end = self.end.lock();
        end.proven = end.proven.max(covered.position.lsn);
        end.durable_up_to(covered_place);
        if covered.position.lsn > end.point.position.lsn {
            end.point = covered;
            end.pins = pins;
        }
        if frames > 1 && end.broken.is_none() {
            end.write_bare(FrameKind::Mark, &self.limits)?;
        }
        drop(end);
        self.bell.ring();
        Ok(())
    }
}

impl End {
    /// Notes what a sync covered, unless the segment was left meanwhile.
    fn durable_up_to(&mut self, (number, offset): (u64, u64)) {
        if self.segment.birth.number == number {
            self.durable_offset = self.durable_offset.max(offset);
        }
    }

    fn check(&self) -> Result<()> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    fn room(&self, limits: &Limits) -> u64 {
        (self.segment.frames_end() - self.offset).saturating_sub(reserve_bytes(limits.aligned))
    }

    /// Where a reader would stand now.
    fn reading_place(&self) -> Place {
        Place {
            offset: self.offset,
            previous: self.previous,
            next_lsn: Some(self.summary.position().lsn.next()),
            epoch: self.epoch,
        }
    }

    fn header(&self, kind: FrameKind, limits: &Limits) -> FrameHeader {
        FrameHeader {
            kind,
            continues: false,
            chain: false,
            aligned: limits.aligned,
            body_bytes: 0,
            record_count: 0,
            epoch: self.epoch,
            previous: self.previous,
            first_lsn: self.summary.position().lsn.next(),
            mark: self.proven,
            offset: self.offset,
        }
    }

    fn write_draft(&mut self, draft: &mut Draft, limits: &Limits) -> Result<()> {
        let header = FrameHeader {
            continues: draft.continues,
            body_bytes: draft.body().len() as u32,
            record_count: draft.record_count,
            first_lsn: draft.first_lsn,
            ..self.header(FrameKind::Data, limits)
        };
        self.summary.apply(&header, draft.body())?;
        let sum = frame::complete(&mut draft.bytes, &header, self.segment.birth.salt);
        write_all(&*self.segment.file, &self.segment.name, &draft.bytes, self.offset)?;
        if limits.read_back {
            self.unread.push(Unread {
                file: Arc::clone(&self.segment.file),
                name: self.segment.name.clone(),
                offset: self.offset,
                bytes: draft.bytes.clone(),
            });
        }
        if !draft.continues {
            self.whole = header.next_lsn().before();
        }
        self.frames_unsynced += 1;
        self.sealed = false;
        self.advance(&header, sum);
        Ok(())
    }

    /// Writes a frame without records, if there is room for it.
    fn write_bare(&mut self, kind: FrameKind, limits: &Limits) -> Result<()> {
        let header = self.header(kind, limits);
        let needed = frame::room(0, limits.aligned);
        let keep = if kind == FrameKind::Seal { 0 } else { needed };
        if self.segment.frames_end() - self.offset < needed + keep {
            // A mark that does not fit is given up: the roll seal will say the same.
            return match kind {
                FrameKind::Seal => Err(Error::new(ErrorKind::Io, "no room was left for the seal")),
                _ => {
                    // Or the keeper would try, and sync, for as long as nothing else happens.
                    self.marked = self.marked.max(self.proven);
                    Ok(())
                }
            };
        }
        self.sealed = false;
        let (bytes, sum) = header.encode(self.segment.birth.salt);
        write_all(&*self.segment.file, &self.segment.name, &bytes, self.offset)?;
        self.advance(&header, sum);
        Ok(())
    }

    fn advance(&mut self, header: &FrameHeader, sum: u32) {
        self.marked = self.marked.max(header.mark);
        self.previous = sum;
        self.offset = header.next_offset();
    }

    fn enter(&mut self, next: SegmentFile) {
        let start = Place::start(&next.birth);
        self.live_bytes += next.birth.capacity;
        self.used_bytes += self.offset;
        self.offset = start.offset;
        self.durable_offset = start.offset;
        self.previous = start.previous;
        self.segment = next;
        // The seal of a clean close, if there was one, is that of the segment before.
        self.sealed = false;
    }
}

/// Running out of space before anything was written is reported as such (J5).
fn full_or_same(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Full => Error::new(ErrorKind::Full, "the disk is full: no room for the next segment")
            .advise("free some space and try again; nothing was written and everything acknowledged is safe"),
        _ => error,
    }
}
