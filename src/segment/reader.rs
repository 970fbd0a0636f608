//! Reads the frames of one segment in order, checking each before it is believed. Never writes, never decides.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::medium::{MediumFile, read_most, read_range};
use crate::position::{Epoch, Lsn};
use crate::segment::frame::{self, FrameHeader, FrameKind};
use crate::segment::header::{Birth, PREAMBLE_BYTES};
use crate::segment::record::{self, Records};
use crate::segment::slot::{self, Link, RollSeal};
use crate::segment::{BLOCK_BYTES, FRAMES_OFFSET, LINK_OFFSET, roll_seal_offset};

const CHUNK_BYTES: usize = 256 * 1024;

/// An open segment with a valid birth header.
#[derive(Clone, Debug)]
pub(crate) struct SegmentFile {
    pub(crate) file: Arc<dyn MediumFile>,
    pub(crate) name: String,
    pub(crate) birth: Birth,
}

impl SegmentFile {
    /// Reads the birth header of an open file.
    pub(crate) fn open(file: Arc<dyn MediumFile>, name: String) -> Result<SegmentFile> {
        let block = read_range(&*file, &name, 0, PREAMBLE_BYTES as u64)?;
        let birth = Birth::decode(&block, &name)?;
        Ok(SegmentFile { file, name, birth })
    }

    /// Where frames must end.
    pub(crate) fn frames_end(&self) -> u64 {
        roll_seal_offset(self.birth.capacity)
    }

    /// The link, if its slot holds a valid one.
    pub(crate) fn link(&self) -> Result<Option<(Epoch, Link)>> {
        let bytes = read_range(&*self.file, &self.name, LINK_OFFSET, BLOCK_BYTES)?;
        slot::decode_link(&bytes, self.birth.salt).map_err(|error| error.in_file(&self.name))
    }

    /// The roll seal, if its slot holds a valid one.
    pub(crate) fn roll_seal(&self) -> Result<Option<RollSeal>> {
        let bytes = read_range(&*self.file, &self.name, self.frames_end(), BLOCK_BYTES)?;
        slot::decode_roll_seal(&bytes, self.birth.salt, self.birth.capacity)
            .map_err(|error| error.in_file(&self.name))
    }

    /// Whether the roll seal slot holds anything at all.
    pub(crate) fn roll_slot_is_zero(&self) -> Result<bool> {
        let bytes = read_range(&*self.file, &self.name, self.frames_end(), BLOCK_BYTES)?;
        Ok(bytes.iter().all(|byte| *byte == 0))
    }

    /// The header of the first frame, if it is valid.
    pub(crate) fn first_frame(&self) -> Result<Option<FrameHeader>> {
        let bytes = read_range(&*self.file, &self.name, FRAMES_OFFSET, frame::HEADER_BYTES as u64)?;
        let found = FrameHeader::decode(&bytes, self.birth.salt, FRAMES_OFFSET)
            .map_err(|error| error.in_file(&self.name))?;
        Ok(found.map(|(header, _)| header))
    }

    /// Number and time of the first record; `None` if it holds none that checks.
    pub(crate) fn first_record(&self) -> Result<Option<(Lsn, Timestamp)>> {
        let mut reader = FrameReader::new(self.clone(), Place::start(&self.birth), self.frames_end());
        while let Step::Frame(header) = reader.step()? {
            if let Some(record) = Records::new(reader.body()).next() {
                return Ok(Some((header.first_lsn, record?.time)));
            }
        }
        Ok(None)
    }
}

/// Where a reader stands in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The offset of the next frame.
    pub(crate) offset: u64,
    /// The header checksum of the frame before it.
    pub(crate) previous: u32,
    /// The next record's number; `None` before the first frame of a segment was seen.
    pub(crate) next_lsn: Option<Lsn>,
    /// The epoch of the frame before it.
    pub(crate) epoch: Epoch,
}

impl Place {
    /// The start of a segment.
    pub(crate) fn start(birth: &Birth) -> Place {
        Place { offset: FRAMES_OFFSET, previous: birth.first_previous(), next_lsn: None, epoch: Epoch::ZERO }
    }
}

/// What stands at a reader's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A valid frame, now passed.
    Frame(FrameHeader),
    /// The given end of the frames, reached exactly.
    End,
    /// Zeros where a header would stand.
    Zeros,
    /// Something else.
    Hole(&'static str),
}

/// Reads frames one after the other.
#[derive(Debug)]
pub(crate) struct FrameReader {
    segment: SegmentFile,
    end: u64,
    place: Place,
    buffer: Vec<u8>,
    buffer_offset: u64,
    /// Whether the present step looks at bytes that an earlier one read.
    stale: bool,
    body: (usize, usize),
}

impl FrameReader {
    /// Reads from `place` up to `end`, which is at most the end of the segment's frames.
    pub(crate) fn new(segment: SegmentFile, place: Place, end: u64) -> FrameReader {
        let end = end.min(segment.frames_end());
        FrameReader { segment, end, place, buffer: Vec::new(), buffer_offset: 0, stale: false, body: (0, 0) }
    }

    /// Passes the next frame, or says what stands there instead, as read just now: a writer may have been here since
    /// the bytes around it were read. Then it stays there.
    pub(crate) fn step(&mut self) -> Result<Step> {
        self.stale = true;
        match self.try_step()? {
            Step::Zeros | Step::Hole(_) if self.stale => {
                self.buffer.clear();
                self.body = (0, 0);
                self.try_step()
            }
            step => Ok(step),
        }
    }

    fn try_step(&mut self) -> Result<Step> {
        let offset = self.place.offset;
        if offset >= self.end {
            return Ok(if offset == self.end { Step::End } else { Step::Hole("frame passes the end") });
        }
        self.fill(offset, frame::HEADER_BYTES)?;
        let bytes = self.buffered(offset, frame::HEADER_BYTES);
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(Step::Zeros);
        }
        let salt = self.segment.birth.salt;
        let decoded = FrameHeader::decode(bytes, salt, offset);
        let Some((header, sum)) = decoded.map_err(|error| error.in_file(&self.segment.name))? else {
            return Ok(Step::Hole("frame header does not check"));
        };
        if let Some(what) = self.misfit(&header) {
            return Ok(Step::Hole(what));
        }
        let length = header.frame_bytes();
        if length > self.end - offset {
            return Ok(Step::Hole("frame passes the end"));
        }
        let length = length as usize;
        self.fill(offset, length)?;
        let frame = self.buffered(offset, length);
        if frame.len() < length || !header.body_checks(frame, salt) {
            return Ok(Step::Hole("frame body does not check"));
        }
        let start = header.body_start();
        let body = &frame[start..start + header.body_bytes as usize];
        if !record::check_body(body, header.record_count, header.continues)
            .map_err(|error| error.in_file(&self.segment.name).at_offset(offset))?
        {
            return Ok(Step::Hole("records do not fit their frame"));
        }
        let within = (offset - self.buffer_offset) as usize + start;
        self.body = (within, within + header.body_bytes as usize);
        self.place = Place {
            offset: header.next_offset(),
            previous: sum,
            next_lsn: Some(header.next_lsn()),
            epoch: header.epoch,
        };
        Ok(Step::Frame(header))
    }

    fn misfit(&self, header: &FrameHeader) -> Option<&'static str> {
        let out_of_place = matches!(header.kind, FrameKind::RollSeal | FrameKind::Link);
        let has_records = header.record_count > 0;
        let bare = header.body_bytes == 0 && !header.continues;
        if out_of_place {
            Some("frame stands outside its slot")
        } else if has_records != (header.kind == FrameKind::Data) || !(has_records || bare) {
            Some("frame of this kind cannot have this body")
        } else if header.previous != self.place.previous {
            Some("frame does not continue the one before it")
        } else if self.place.next_lsn.is_some_and(|next| next != header.first_lsn) {
            Some("frame does not continue the numbers")
        } else if header.epoch < self.place.epoch {
            Some("frame is of an older epoch than the one before it")
        } else {
            None
        }
    }

    /// The body of the frame passed last.
    pub(crate) fn body(&self) -> &[u8] {
        &self.buffer[self.body.0..self.body.1]
    }

    /// Where the reader stands.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// The segment being read.
    pub(crate) fn segment(&self) -> &SegmentFile {
        &self.segment
    }

    /// Lets the reader go on up to a later end.
    pub(crate) fn extend(&mut self, end: u64) {
        self.end = end.min(self.segment.frames_end());
        self.buffer.clear();
    }

    /// The error for damage at the reader's place.
    pub(crate) fn damage(&self, what: &str) -> Error {
        let error = Error::damaged(&self.segment.name, self.place.offset, what);
        match self.place.next_lsn {
            Some(lsn) => error.at_lsn(lsn),
            None => error,
        }
    }

    fn fill(&mut self, offset: u64, length: usize) -> Result<()> {
        let have_to = self.buffer_offset + self.buffer.len() as u64;
        if offset >= self.buffer_offset && offset + length as u64 <= have_to {
            return Ok(());
        }
        let room = usize::try_from(self.end - offset).unwrap_or(usize::MAX);
        let wanted = length.max(CHUNK_BYTES).min(room);
        if length > CHUNK_BYTES {
            // Memory only for bytes that are there (J13).
            let there = self.segment.file.len();
            let there = there.map_err(|error| Error::io("stat", &self.segment.name, error))?;
            if there < offset + length as u64 {
                return Err(Error::new(ErrorKind::Damaged, "segment is shorter than its frames")
                    .in_file(&self.segment.name)
                    .at_offset(offset));
            }
        }
        self.stale = false;
        self.buffer.clear();
        self.buffer.resize(wanted, 0);
        self.buffer_offset = offset;
        let count = read_most(&*self.segment.file, &self.segment.name, &mut self.buffer, offset)?;
        self.buffer.truncate(count);
        Ok(())
    }

    fn buffered(&self, offset: u64, length: usize) -> &[u8] {
        let start = ((offset - self.buffer_offset) as usize).min(self.buffer.len());
        let end = (start + length).min(self.buffer.len());
        &self.buffer[start..end]
    }
}
