//! Walks every frame of the history, past holes too, and gathers all that is wrong with it. Reads, never writes.

use crate::error::{Error, ErrorKind, Result};
use crate::journal::chain::{Chain, Ending, Origin, Stretch};
use crate::journal::judge::{Evidence, Verdict, judge};
use crate::journal::root::Slot;
use crate::journal::summary::{RollbackRecord, Summary, decode_own};
use crate::position::{Epoch, Lsn};
use crate::segment::frame::{FrameHeader, FrameKind};
use crate::segment::reader::{FrameReader, Place, SegmentFile, Step};
use crate::segment::record::{RecordKind, RecordView, Records};
use crate::segment::scan::Survey;
use crate::segment::slot::RollSeal;
use crate::snapshot::RunInfo;
use crate::tool::loose;

/// What walking the history came to.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    /// Damage, in the order of the history.
    pub(crate) faults: Vec<Error>,
    /// Where the whole transactions before the first hole, or before the end, stop.
    pub(crate) keep: Keep,
    /// What a crash left behind and the next opening for writing cuts.
    pub(crate) torn: Option<Torn>,
    /// Whether the last writer closed the journal and nothing happened since.
    pub(crate) clean: bool,
    /// Whole frames and records in live segments, holes passed over.
    pub(crate) frames: u64,
    pub(crate) records: u64,
    /// Of these, records that stand after the first hole.
    pub(crate) records_beyond: u64,
    /// Bytes of live frames.
    pub(crate) bytes: u64,
    /// The states that rollbacks returned to, by the record that needs them.
    pub(crate) rollbacks: Vec<(Lsn, RunInfo)>,
}

/// The end of what is whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Keep {
    /// Which stretch of the chain.
    pub(crate) stretch: usize,
    /// Where in it.
    pub(crate) offset: u64,
    /// The last whole record.
    pub(crate) last: Lsn,
    pub(crate) epoch: Epoch,
}

/// A torn tail: bytes never acknowledged as synced.
#[derive(Clone, Debug)]
pub(crate) struct Torn {
    pub(crate) file: String,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    /// The first number that is lost.
    pub(crate) lsn: Lsn,
    /// Whole records of an unfinished transaction that go with it.
    pub(crate) unfinished: u64,
    pub(crate) what: &'static str,
}

/// Why no frame stands at a place, and what lies behind it.
#[derive(Clone, Copy, Debug)]
struct Stopped {
    what: &'static str,
    survey: Survey,
}

impl Stopped {
    fn of(step: Step, survey: Survey) -> Stopped {
        let what = match step {
            Step::Hole(what) => what,
            _ => "frames end too early",
        };
        Stopped { what, survey }
    }
}

struct Walk<'a> {
    chain: &'a Chain,
    slot: &'a Slot,
    walked: Walked,
    proven: Lsn,
    next_lsn: Option<Lsn>,
    epoch: Epoch,
    after_seal: bool,
    /// Records of a transaction that has not ended yet.
    open_records: u64,
    hole_seen: bool,
    summary: Summary,
    step: &'a mut dyn FnMut(u64),
}

/// Walks all stretches of `chain`. `base` is the newest snapshot's record; `step` hears how many bytes were read.
pub(crate) fn walk(chain: &Chain, slot: &Slot, base: Lsn, step: &mut dyn FnMut(u64)) -> Result<Walked> {
    let mut walk = Walk {
        chain,
        slot,
        walked: Walked::default(),
        proven: slot.floor().max(base),
        next_lsn: None,
        epoch: Epoch::ZERO,
        after_seal: false,
        open_records: 0,
        hole_seen: false,
        summary: Summary::default(),
        step,
    };
    let start = chain.stretches.first().map_or(0, |first| Place::start(&first.segment.birth).offset);
    walk.walked.keep =
        Keep { offset: start, last: slot.horizon().lsn, epoch: slot.horizon().epoch, stretch: 0 };
    for index in 0..chain.stretches.len() {
        walk.stretch(index)?;
    }
    if let Some(damage) = &chain.damage {
        walk.fault(damage.clone());
    }
    Ok(walk.walked)
}

impl Walk<'_> {
    fn fault(&mut self, error: Error) {
        self.hole_seen = true;
        let place = |error: &Error| (error.file().map(str::to_owned), error.offset());
        if self.walked.faults.iter().all(|known| place(known) != place(&error)) {
            self.walked.faults.push(error);
        }
    }

    fn stretch(&mut self, index: usize) -> Result<()> {
        let stretch = &self.chain.stretches[index];
        let segment = stretch.segment.clone();
        let end = stretch.end().unwrap_or(segment.frames_end());
        if index == 0 {
            self.check_start(stretch);
        }
        let mut reader = FrameReader::new(segment.clone(), Place::start(&segment.birth), end);
        loop {
            let before = reader.place().offset;
            let Some((step, survey)) = self.next(stretch, &mut reader)? else { return Ok(()) };
            if let Step::Frame(header) = step {
                self.frame(index, &reader, &header);
                (self.step)(reader.place().offset - before);
                continue;
            }
            if self.ended(stretch, &reader) {
                return Ok(());
            }
            let Some(found) = self.hole(index, &reader, Stopped::of(step, survey))? else { return Ok(()) };
            let place = Place {
                offset: found.offset,
                previous: found.previous,
                next_lsn: Some(found.first_lsn),
                epoch: found.epoch,
            };
            self.next_lsn = Some(found.first_lsn);
            self.open_records = 0;
            reader = FrameReader::new(segment.clone(), place, end);
        }
    }

    /// The next step; `None` after damage that nothing can be read behind.
    fn next(&mut self, stretch: &Stretch, reader: &mut FrameReader) -> Result<Option<(Step, Survey)>> {
        let step = match stretch.ending {
            Ending::Open => loose::step_at_tail(reader),
            Ending::Rolled(_) | Ending::Left(_) => reader.step().map(|step| (step, Survey::default())),
        };
        match step {
            Ok(step) => Ok(Some(step)),
            Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::NewerFormat) => {
                self.fault(error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The first segment must reach down to the horizon.
    fn check_start(&mut self, stretch: &Stretch) {
        let horizon = self.slot.horizon().lsn;
        if stretch.first_lsn.is_some_and(|first| first > horizon.next()) {
            let start = Place::start(&stretch.segment.birth).offset;
            let what = "records after the horizon are missing";
            self.fault(Error::damaged(&stretch.segment.name, start, what).at_lsn(horizon.next()));
        }
    }

    fn frame(&mut self, index: usize, reader: &FrameReader, header: &FrameHeader) {
        let name = &reader.segment().name;
        self.walked.frames += 1;
        self.walked.bytes += header.frame_bytes();
        self.proven = self.proven.max(header.mark);
        self.after_seal = header.kind == FrameKind::Seal;
        self.epoch = self.epoch.max(header.epoch);
        if header.kind != FrameKind::Data {
            return;
        }
        if let Some(expected) = self.next_lsn.filter(|next| *next != header.first_lsn) {
            let what = format!("records {expected} to {} are missing", header.first_lsn.before());
            self.fault(Error::damaged(name, header.offset, what).at_lsn(expected));
            self.open_records = 0;
        }
        self.check_link(index, header, name);
        if let Err(error) = self.summary.apply(header, reader.body()) {
            self.fault(error.in_file(name).at_offset(header.offset));
        }
        each_record(header, reader.body(), &mut |lsn, record| {
            self.walked.rollbacks.extend(rollback_run(record).map(|run| (lsn, run)));
        });
        self.next_lsn = Some(header.next_lsn());
        self.walked.records += u64::from(header.record_count);
        if self.hole_seen {
            self.walked.records_beyond += u64::from(header.record_count);
        }
        self.open_records =
            if header.continues { self.open_records + u64::from(header.record_count) } else { 0 };
        if !self.hole_seen && !header.continues {
            let (offset, last) = (reader.place().offset, header.next_lsn().before());
            self.walked.keep = Keep { stretch: index, offset, last, epoch: header.epoch };
        }
    }

    /// The first frame of a link's epoch goes on where the link says that the old epoch ended.
    fn check_link(&mut self, index: usize, header: &FrameHeader, name: &str) {
        if let Origin::Linked(epoch, link) = self.chain.stretches[index].origin {
            let expected = link.last_kept().next();
            let copied = header.epoch < epoch;
            if (copied && header.first_lsn >= expected) || (!copied && header.first_lsn < expected) {
                let what = "frame does not agree with the link of its segment";
                self.fault(Error::damaged(name, header.offset, what).at_lsn(header.first_lsn));
            }
        }
    }

    /// Whether the frames end where seal or link say.
    fn ended(&mut self, stretch: &Stretch, reader: &FrameReader) -> bool {
        let place = reader.place();
        match stretch.ending {
            Ending::Open => false,
            Ending::Left(junction) => place.offset == junction.end && place.previous == junction.sum,
            Ending::Rolled(seal) => {
                let right = place.offset == seal.end && place.previous == seal.end_sum;
                if right && !self.hole_seen {
                    self.check_extent(&stretch.segment, &seal);
                }
                right
            }
        }
    }

    fn check_extent(&mut self, segment: &SegmentFile, seal: &RollSeal) {
        let sealed = seal.extent().last_lsn;
        if let Some(last) = self.next_lsn.map(Lsn::before).filter(|last| *last != sealed) {
            let what = format!("roll seal names record {sealed} as the last, the segment ends with {last}");
            self.fault(Error::damaged(&segment.name, segment.frames_end(), what).at_lsn(last));
        }
    }

    /// Judges what stands at the reader's place. Returns the frame to go on with, if it is a hole with some behind it.
    fn hole(&mut self, index: usize, reader: &FrameReader, stopped: Stopped) -> Result<Option<FrameHeader>> {
        let stretch = &self.chain.stretches[index];
        let (segment, offset) = (reader.segment(), reader.place().offset);
        let damaged = match (stretch.ending, &self.chain.damage) {
            (Ending::Open, Some(_)) => self.broken_end(segment, offset, stopped)?,
            (Ending::Open, None) => self.tail(stretch, reader, stopped),
            _ => {
                self.fault_at(segment, offset, stopped.what);
                true
            }
        };
        if !damaged {
            return Ok(None);
        }
        let end = stretch.end().unwrap_or(segment.frames_end());
        self.hole_seen = true;
        let found = loose::next_whole(segment, offset + 1, end)?;
        if found.is_none() {
            self.next_lsn = None;
        }
        Ok(found.map(|found| found.header))
    }

    fn fault_at(&mut self, segment: &SegmentFile, offset: u64, what: &str) {
        let error = Error::damaged(&segment.name, offset, what);
        self.fault(self.next_lsn.map_or(error.clone(), |lsn| error.at_lsn(lsn)));
    }

    /// The end of a segment that should have gone on: a hole if anything stands there.
    fn broken_end(&mut self, segment: &SegmentFile, offset: u64, stopped: Stopped) -> Result<bool> {
        let remains = stopped.survey.remains_end.is_some();
        if remains {
            self.fault_at(segment, offset, stopped.what);
        }
        if segment.roll_seal()?.is_none() && !segment.roll_slot_is_zero()? {
            self.fault_at(segment, segment.frames_end(), "roll seal does not check");
        }
        self.hole_seen = true;
        Ok(remains)
    }

    /// The end of the history. True if it is damage.
    fn tail(&mut self, stretch: &Stretch, reader: &FrameReader, Stopped { what, survey }: Stopped) -> bool {
        let (segment, offset) = (reader.segment(), reader.place().offset);
        let next_lsn = self.next_lsn.unwrap_or(self.slot.horizon().lsn.next());
        let clean = self.slot.clean().filter(|(number, _)| *number == stretch.number());
        let evidence = Evidence {
            offset,
            next_lsn,
            proven: self.proven,
            after_seal: self.after_seal,
            open_transaction: self.open_records > 0,
            clean_end: clean.map(|(_, end)| end),
            survey,
        };
        match judge(&evidence) {
            Verdict::Continue => self.walked.clean = true,
            Verdict::Refuse(why) => {
                let why = format!("{why}: {what}");
                self.fault(Error::damaged(&segment.name, offset, why).at_lsn(next_lsn));
                return true;
            }
            Verdict::Mend => {
                let bytes = survey.remains(offset);
                if bytes > 0 || self.open_records > 0 {
                    self.walked.torn = Some(Torn {
                        file: segment.name.clone(),
                        offset,
                        bytes,
                        lsn: Lsn::new(next_lsn.get().saturating_sub(self.open_records)),
                        unfinished: self.open_records,
                        what: if bytes > 0 { what } else { "unfinished transaction" },
                    });
                }
            }
        }
        false
    }
}

/// The run that a rollback record needs.
fn rollback_run(record: &RecordView<'_>) -> Option<RunInfo> {
    if record.kind != RecordKind::Rollback {
        return None;
    }
    // One that does not decode is a fault of the frame already.
    let rollback: RollbackRecord = decode_own(record.payload).ok()?;
    Some(RunInfo {
        id: rollback.run_id,
        bytes: rollback.run_bytes,
        blocks: rollback.run_blocks,
        entries: rollback.run_entries,
        checksum: rollback.run_sum,
    })
}

/// Calls `visit` for each record of a checked body with its number.
pub(crate) fn each_record(header: &FrameHeader, body: &[u8], visit: &mut dyn FnMut(Lsn, &RecordView<'_>)) {
    let mut lsn = header.first_lsn;
    for record in Records::new(body).flatten() {
        visit(lsn, &record);
        lsn = lsn.next();
    }
}
