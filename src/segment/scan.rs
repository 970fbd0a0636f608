//! Looks at what lies behind a hole in a segment: evidence for recovery's judgement. Reports, never cuts.

use crate::error::Result;
use crate::medium::read_most;
use crate::position::Lsn;
use crate::segment::FRAME_ALIGN;
use crate::segment::frame::{self, FrameHeader, FrameKind};
use crate::segment::reader::SegmentFile;

const CHUNK_BYTES: usize = 1024 * 1024;

/// What lies between an offset and the end of a segment's frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    /// Just after the last byte that is not zero; `None` if all are zero.
    pub(crate) remains_end: Option<u64>,
    /// How many valid frame headers of this segment stand there.
    pub(crate) headers: u64,
    /// The highest mark among them. A header vouches for its mark even when its body is torn.
    pub(crate) mark: Lsn,
    /// Whether one of them is a seal.
    pub(crate) sealed: bool,
}

impl Survey {
    /// How many bytes from `offset` on are remains of something.
    #[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "the command uses it"))]
    pub(crate) fn remains(&self, offset: u64) -> u64 {
        self.remains_end.map_or(0, |end| end - offset)
    }
}

/// Surveys `segment` from `offset` to the end of its frames. Time and memory are bounded by the file.
pub(crate) fn survey(segment: &SegmentFile, offset: u64) -> Result<Survey> {
    let mut survey = Survey::default();
    let end = segment.frames_end();
    let mut buffer = Vec::new();
    let mut at = offset;
    while at < end {
        let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(CHUNK_BYTES);
        buffer.resize(wanted, 0);
        let count = read_most(&*segment.file, &segment.name, &mut buffer, at)?;
        look_at(&buffer[..count], at, segment, &mut survey)?;
        if count < wanted {
            break;
        }
        let last = at + count as u64 == end;
        // The next chunk starts early enough to hold a header that straddles the border.
        at += if last { count as u64 } else { (count - frame::HEADER_BYTES) as u64 };
    }
    Ok(survey)
}

fn look_at(bytes: &[u8], offset: u64, segment: &SegmentFile, survey: &mut Survey) -> Result<()> {
    if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
        let end = offset + last as u64 + 1;
        survey.remains_end = survey.remains_end.max(Some(end));
    } else {
        return Ok(());
    }
    let magic = frame::MAGIC.to_le_bytes();
    let mut index = 0;
    while index + frame::HEADER_BYTES <= bytes.len() {
        let candidate = &bytes[index..index + frame::HEADER_BYTES];
        if candidate[..4] == magic {
            let found = FrameHeader::decode(candidate, segment.birth.salt, offset + index as u64)
                .map_err(|error| error.in_file(&segment.name))?;
            if let Some((header, _)) = found {
                survey.headers += 1;
                survey.mark = survey.mark.max(header.mark);
                survey.sealed |= header.kind == FrameKind::Seal;
            }
        }
        index += FRAME_ALIGN as usize;
    }
    Ok(())
}
