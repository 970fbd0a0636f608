//! Recovery's reading half: walks the history from a base to its end and gathers what the decision needs.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::journal::chain::{ADVICE, Chain, Ending, Origin, Stretch};
use crate::journal::judge::Evidence;
use crate::journal::root::Slot;
use crate::journal::summary::{Pins, Summary};
use crate::position::{Epoch, Lsn};
use crate::segment::frame::{FrameHeader, FrameKind};
use crate::segment::reader::{FrameReader, Place, Step};
use crate::segment::scan::{self, Survey};
use crate::segment::slot::Junction;

/// A checked frame, kept in memory because its bytes are not proven durable where they stand.
#[derive(Clone, Debug)]
pub(crate) struct KeptFrame {
    pub(crate) header: FrameHeader,
    pub(crate) body: Vec<u8>,
    /// The last record of the whole transactions before it.
    pub(crate) whole_before: Lsn,
    /// The place just after it.
    after: Junction,
    /// The pins after it.
    pins: Pins,
}

impl KeptFrame {
    /// The place just after it.
    pub(crate) fn after(&self) -> Junction {
        self.after
    }
}

/// What reading the history came to.
#[derive(Debug)]
pub(crate) struct Replayed {
    /// What the journal knows of itself after the last whole transaction.
    pub(crate) summary: Summary,
    /// Whole transactions above the last proven mark, in order.
    pub(crate) kept: Vec<KeptFrame>,
    /// The place after the last proven frame of a whole transaction: what a link continues.
    pub(crate) anchor: Junction,
    /// The pins there.
    pub(crate) pins: Pins,
    /// Where the frames of the last segment end.
    pub(crate) place: Place,
    /// The facts for the judge.
    pub(crate) evidence: Evidence,
    /// Why the last segment's frames end there.
    pub(crate) stop: &'static str,
    /// Records read.
    pub(crate) records: u64,
    /// Bytes of their frames' bodies.
    pub(crate) bytes: u64,
    /// How many records of an unfinished transaction were dropped.
    pub(crate) unfinished: u64,
    /// Damage inside the history: what is here is the whole prefix before it.
    pub(crate) damage: Option<Error>,
}

struct Walk<'a> {
    slot: &'a Slot,
    summary: Summary,
    base: Lsn,
    recent: VecDeque<KeptFrame>,
    anchor: Junction,
    /// The pins at the anchor.
    pins: Pins,
    proven: Lsn,
    /// The summary before an unfinished transaction.
    before_open: Option<Summary>,
    /// The epoch of an unfinished transaction: it cannot go on in another one.
    open_epoch: Epoch,
    open_records: u64,
    after_seal: bool,
    next_lsn: Lsn,
    records: u64,
    bytes: u64,
}

/// Reads everything after `base`, up to damage inside the history or to its end, which is for the judge.
pub(crate) fn replay(chain: &Chain, slot: &Slot, base: Summary) -> Result<Replayed> {
    let first = first_to_read(&chain.stretches, base.position().lsn);
    let stretches = &chain.stretches[first..];
    let birth = stretches[0].segment.birth;
    let start = Place::start(&birth);
    let base_lsn = base.position().lsn;
    let mut walk = Walk {
        slot,
        base: base_lsn,
        pins: Arc::clone(base.pins()),
        summary: base,
        recent: VecDeque::new(),
        anchor: Junction { number: birth.number, salt: birth.salt, end: start.offset, sum: start.previous },
        proven: slot.floor().max(base_lsn),
        before_open: None,
        open_epoch: Epoch::ZERO,
        open_records: 0,
        after_seal: false,
        // Not the base's: a first frame that does not check must not pass for records that were never written.
        next_lsn: stretches[0].first_lsn.unwrap_or(slot.horizon().lsn.next()),
        records: 0,
        bytes: 0,
    };
    if walk.next_lsn > base_lsn.next() {
        let what = "records after the base are missing";
        let error = Error::damaged(&stretches[0].segment.name, start.offset, what).at_lsn(base_lsn.next());
        return Err(error.advise(ADVICE));
    }
    let mut damage = None;
    let mut last = (start, "", Survey::default());
    for stretch in stretches {
        match walk.stretch(stretch) {
            Ok(end) => last = end,
            Err(error) if *error.kind() == ErrorKind::Damaged => {
                damage = Some(error);
                break;
            }
            Err(error) => return Err(error),
        }
    }
    let (place, stop, survey) = last;
    let mut replayed = walk.finish(&stretches[stretches.len() - 1], place, stop, survey);
    replayed.damage = damage;
    Ok(replayed)
}

/// The last segment whose first record is at or before the one after the base.
fn first_to_read(stretches: &[Stretch], base: Lsn) -> usize {
    let starts_early = |stretch: &Stretch| stretch.first_lsn.is_some_and(|first| first <= base.next());
    stretches.iter().rposition(starts_early).unwrap_or(0)
}

impl Walk<'_> {
    fn stretch(&mut self, stretch: &Stretch) -> Result<(Place, &'static str, Survey)> {
        let segment = stretch.segment.clone();
        let birth = segment.birth;
        let start = Place::start(&birth);
        if let Origin::Linked(epoch, link) = stretch.origin {
            // A link continues the end of what was proven; the mark that proved it may lie behind it and be dead. Were
            // these frames kept again, a second mending would give their numbers twice.
            self.proven = self.proven.max(self.next_lsn.before());
            self.settle();
            let known = self.slot.newest_segment == birth.number || self.slot.epoch() >= epoch;
            self.anchor = match known {
                true => Junction {
                    number: birth.number,
                    salt: birth.salt,
                    end: start.offset,
                    sum: start.previous,
                },
                false => link.junction(),
            };
        }
        let end = stretch.end().unwrap_or(segment.frames_end());
        let mut reader = FrameReader::new(segment, start, end);
        loop {
            match reader.step()? {
                Step::Frame(header) => self.frame(&reader, &header, stretch)?,
                stop => {
                    let found = self.stopped(&reader, stop, stretch)?;
                    // Beside a live writer the frame may have come after this look and before that at what follows.
                    let vouched = found.2.sealed || found.2.mark >= self.next_lsn;
                    match if vouched { reader.step()? } else { stop } {
                        Step::Frame(header) => self.frame(&reader, &header, stretch)?,
                        _ => return Ok(found),
                    }
                }
            }
        }
    }

    fn frame(&mut self, reader: &FrameReader, header: &FrameHeader, stretch: &Stretch) -> Result<()> {
        if header.kind == FrameKind::Data && header.first_lsn != self.next_lsn {
            let what = "frame does not continue the history's numbers";
            return Err(passed(stretch, header, what).at_lsn(self.next_lsn));
        }
        self.after_seal = header.kind == FrameKind::Seal;
        self.proven = self.proven.max(header.mark);
        if header.kind == FrameKind::Data {
            self.data(reader, header, stretch)?;
        }
        self.settle();
        Ok(())
    }

    fn data(&mut self, reader: &FrameReader, header: &FrameHeader, stretch: &Stretch) -> Result<()> {
        self.next_lsn = header.next_lsn();
        let place = reader.place();
        let birth = stretch.segment.birth;
        let after =
            Junction { number: birth.number, salt: birth.salt, end: place.offset, sum: place.previous };
        if self.next_lsn.before() <= self.base {
            self.anchor = after;
            return Ok(());
        }
        self.records += u64::from(header.record_count);
        self.bytes += u64::from(header.body_bytes);
        if self.before_open.is_some() && header.epoch != self.open_epoch {
            let what = "transaction goes on in another epoch";
            return Err(passed(stretch, header, what).at_lsn(header.first_lsn));
        }
        if header.continues && self.before_open.is_none() {
            self.before_open = Some(self.summary.clone());
            self.open_epoch = header.epoch;
            self.open_records = 0;
        }
        self.open_records += u64::from(header.record_count);
        let applied = self.summary.apply(header, reader.body());
        let place = |error: Error| error.in_file(&stretch.segment.name).at_offset(header.offset);
        applied.map_err(|error| place(error).advise(ADVICE))?;
        let whole = self.before_open.as_ref().map(|before| before.position().lsn);
        let whole_before = whole.unwrap_or(header.first_lsn.before());
        if !header.continues {
            self.before_open = None;
        }
        let pins = Arc::clone(self.summary.pins());
        let body = reader.body().to_vec();
        self.recent.push_back(KeptFrame { header: *header, body, whole_before, after, pins });
        Ok(())
    }

    /// Lets go of frames that are proven where they stand, up to the last whole transaction.
    fn settle(&mut self) {
        if self.before_open.is_some() {
            return;
        }
        while let Some(front) = self.recent.front() {
            if front.header.next_lsn().before() > self.proven {
                break;
            }
            self.anchor = front.after;
            self.pins = Arc::clone(&front.pins);
            self.recent.pop_front();
        }
    }

    fn stopped(
        &mut self,
        reader: &FrameReader,
        stop: Step,
        stretch: &Stretch,
    ) -> Result<(Place, &'static str, Survey)> {
        let place = reader.place();
        let what = match stop {
            Step::Hole(what) => what,
            _ => "zeros",
        };
        let ends_right = match stretch.ending {
            Ending::Open => {
                let survey = scan::survey(reader.segment(), place.offset)?;
                return Ok((place, what, survey));
            }
            Ending::Rolled(seal) => place.offset == seal.end && place.previous == seal.end_sum,
            Ending::Left(junction) => place.offset == junction.end && place.previous == junction.sum,
        };
        if ends_right {
            return Ok((place, what, Survey::default()));
        }
        let what = if what == "zeros" { "frames end too early" } else { what };
        Err(reader.damage(what).at_lsn(self.next_lsn).advise(ADVICE))
    }

    fn finish(mut self, tail: &Stretch, place: Place, stop: &'static str, survey: Survey) -> Replayed {
        let next_lsn = self.next_lsn;
        let open_transaction = self.before_open.is_some();
        let mut unfinished = 0;
        if let Some(before) = self.before_open.take() {
            let whole = before.position().lsn;
            self.recent.retain(|frame| frame.header.first_lsn <= whole);
            self.summary = before;
            unfinished = self.open_records;
        }
        self.settle();
        let clean = self.slot.clean().filter(|(number, _)| *number == tail.number());
        let evidence = Evidence {
            offset: place.offset,
            next_lsn,
            proven: self.proven,
            after_seal: self.after_seal,
            open_transaction,
            clean_end: clean.map(|(_, end)| end),
            survey,
        };
        Replayed {
            summary: self.summary,
            kept: self.recent.into(),
            anchor: self.anchor,
            pins: self.pins,
            place,
            evidence,
            stop,
            records: self.records,
            bytes: self.bytes,
            unfinished,
            damage: None,
        }
    }
}

/// The error for a frame that the reader has passed already.
fn passed(stretch: &Stretch, header: &FrameHeader, what: &str) -> Error {
    let error = Error::damaged(&stretch.segment.name, header.offset, what);
    error.advise(ADVICE)
}

/// The highest epoch that anything in the history or in the root has used.
pub(crate) fn epoch_used(chain: &Chain, slot: &Slot, replayed: &Replayed) -> Epoch {
    chain.link_epoch.max(slot.epoch()).max(replayed.place.epoch).max(replayed.summary.position().epoch)
}
