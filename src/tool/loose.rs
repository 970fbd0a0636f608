//! Frames where the history ends or breaks: the tail beside a live writer, and whole frames beyond a hole.

use crate::error::Result;
use crate::medium::{read_most, read_range};
use crate::segment::FRAME_ALIGN;
use crate::segment::frame::{self, FrameHeader, FrameKind};
use crate::segment::reader::{FrameReader, SegmentFile, Step};
use crate::segment::record;
use crate::segment::scan::{self, Survey};

const CHUNK_BYTES: usize = 1024 * 1024;

/// A whole frame of records.
#[derive(Debug)]
pub(crate) struct LooseFrame {
    pub(crate) header: FrameHeader,
    pub(crate) body: Vec<u8>,
}

/// Passes the next frame of the tail, or says what stands there and what lies behind it.
///
/// A live writer may have written since the reader's bytes were read, so what stands there is read once more *after*
/// the survey: frames are written in order, and whatever the survey saw was written after all that stands before it.
pub(crate) fn step_at_tail(reader: &mut FrameReader) -> Result<(Step, Survey)> {
    let step = reader.step()?;
    if matches!(step, Step::Frame(_)) {
        return Ok((step, Survey::default()));
    }
    let survey = scan::survey(reader.segment(), reader.place().offset)?;
    reader.extend(u64::MAX);
    Ok((reader.step()?, survey))
}

/// The first whole frame of records at or after `from` and before `end`. Time and memory are bounded by the file.
pub(crate) fn next_whole(segment: &SegmentFile, from: u64, end: u64) -> Result<Option<LooseFrame>> {
    let end = end.min(segment.frames_end());
    let magic = frame::MAGIC.to_le_bytes();
    let mut at = crate::segment::align_up(from, FRAME_ALIGN);
    let mut buffer = Vec::new();
    while at + (frame::HEADER_BYTES as u64) <= end {
        let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(CHUNK_BYTES);
        buffer.resize(wanted, 0);
        let count = read_most(&*segment.file, &segment.name, &mut buffer, at)?;
        if count < frame::HEADER_BYTES {
            break;
        }
        let starts = (0..=count - frame::HEADER_BYTES).step_by(FRAME_ALIGN as usize);
        for index in starts.filter(|index| buffer[*index..index + 4] == magic) {
            if let Some(found) = whole_at(segment, at + index as u64, end)? {
                return Ok(Some(found));
            }
        }
        if count < wanted || at + count as u64 >= end {
            break;
        }
        // The next chunk starts early enough to hold a header that straddles the border.
        at += ((count - frame::HEADER_BYTES) as u64) & !(FRAME_ALIGN - 1);
    }
    Ok(None)
}

fn whole_at(segment: &SegmentFile, offset: u64, end: u64) -> Result<Option<LooseFrame>> {
    let head = read_range(&*segment.file, &segment.name, offset, frame::HEADER_BYTES as u64)?;
    // A frame of a newer format cannot be told from here; it is passed over like any other bytes.
    let Ok(Some((header, _))) = FrameHeader::decode(&head, segment.birth.salt, offset) else {
        return Ok(None);
    };
    if header.kind != FrameKind::Data || header.frame_bytes() > end - offset {
        return Ok(None);
    }
    let bytes = read_range(&*segment.file, &segment.name, offset, header.frame_bytes())?;
    if (bytes.len() as u64) < header.frame_bytes() || !header.body_checks(&bytes, segment.birth.salt) {
        return Ok(None);
    }
    let start = header.body_start();
    let body = bytes[start..start + header.body_bytes as usize].to_vec();
    let fits = record::check_body(&body, header.record_count, header.continues).unwrap_or(false);
    Ok(fits.then_some(LooseFrame { header, body }))
}
