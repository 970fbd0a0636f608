//! The whole records that are not part of a salvaged history: one line of JSON each, never silently anywhere else.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};
use crate::journal::Record;
use crate::medium::{Medium, MediumFile, write_all};
use crate::position::{Epoch, Position};
use crate::segment::FRAMES_OFFSET;
use crate::tool::loose::{self, LooseFrame};
use crate::tool::show::{Payloads, Shown};
use crate::tool::site::Site;
use crate::tool::walk::{Keep, each_record};

/// The file that holds them.
pub(crate) const BEYOND: &str = "beyond.jsonl";

/// What the salvaged history has, so that it is not told twice.
pub(crate) struct Kept {
    pub(crate) keep: Keep,
    /// The segment and the offset where the history stops; `None` if not even its first segment opens.
    pub(crate) hole: Option<(u64, u64)>,
    pub(crate) payloads: Payloads,
}

/// One record beyond the hole, and where it stands.
#[derive(Serialize)]
struct Beyond<'a> {
    #[serde(flatten)]
    record: Shown,
    file: &'a str,
    offset: u64,
}

/// Writes every whole record after the kept history, each once, wherever it stands. Returns how many there are, and
/// the newest epoch among them.
pub(crate) fn write(site: &Site, kept: &Kept, out: &dyn Medium) -> Result<(u64, Epoch)> {
    let mut seen = BTreeSet::new();
    let mut lines = Lines { out, file: None, bytes: 0, records: 0 };
    let mut newest = Epoch::ZERO;
    for (number, segment) in &site.segments {
        let mut from = match kept.hole {
            Some((hole, _)) if *number < hole => continue,
            Some((hole, end)) if *number == hole => end,
            _ => FRAMES_OFFSET,
        };
        while let Some(frame) = loose::next_whole(segment, from, u64::MAX)? {
            let header = &frame.header;
            from = header.next_offset();
            let copied = header.next_lsn().before() <= kept.keep.last && header.epoch <= kept.keep.epoch;
            if !copied && seen.insert((header.epoch, header.first_lsn)) {
                newest = newest.max(header.epoch);
                lines.write(&frame, &segment.name, kept.payloads)?;
            }
        }
    }
    lines.finish().map(|records| (records, newest))
}

/// The file of records beyond, created with the first of them.
struct Lines<'a> {
    out: &'a dyn Medium,
    file: Option<Arc<dyn MediumFile>>,
    bytes: u64,
    records: u64,
}

impl Lines<'_> {
    fn write(&mut self, frame: &LooseFrame, segment: &str, payloads: Payloads) -> Result<()> {
        let mut text = String::new();
        let mut failed = None;
        let records = &mut self.records;
        each_record(&frame.header, &frame.body, &mut |lsn, view| {
            let record = Shown::of(&Record::of(Position::new(frame.header.epoch, lsn), view), payloads);
            match serde_json::to_string(&Beyond { record, file: segment, offset: frame.header.offset }) {
                Ok(line) => text.push_str(&line),
                Err(error) => failed = Some(error),
            }
            text.push('\n');
            *records += 1;
        });
        if let Some(error) = failed {
            return Err(Error::new(ErrorKind::Input, format!("cannot be shown as JSON: {error}")));
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => self.out.create(BEYOND).map_err(|error| Error::io("create", BEYOND, error))?,
        };
        write_all(&*file, BEYOND, text.as_bytes(), self.bytes)?;
        self.bytes += text.len() as u64;
        self.file = Some(file);
        Ok(())
    }

    fn finish(self) -> Result<u64> {
        if let Some(file) = self.file {
            file.sync().map_err(|error| Error::io("sync", BEYOND, error))?;
        }
        Ok(self.records)
    }
}
