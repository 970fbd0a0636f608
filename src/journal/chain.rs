//! Which segments make up the history, in order: from the first one along roll seals and links. Reads, never writes.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, ErrorKind, Result};
use crate::journal::root::Slot;
use crate::medium::name::{self, FileName};
use crate::medium::{Access, Medium, read_range};
use crate::position::{Epoch, Lsn};
use crate::segment::header::JournalId;
use crate::segment::reader::SegmentFile;
use crate::segment::slot::{Junction, Link, RollSeal};

/// What to do about damage that no file can be restored for.
pub(crate) const ADVICE: &str = "run everlog verify, then everlog salvage; nothing was changed";

/// How the history enters a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Reading starts here.
    First,
    /// The segment before was full.
    Rolled,
    /// It was mended here; the epoch is the one that the link began.
    Linked(Epoch, Link),
}

/// How the history leaves a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It does not: this is the tail.
    Open,
    /// At its roll seal.
    Rolled(RollSeal),
    /// At a junction named by the link of the next one; what follows in this segment is dead.
    Left(Junction),
}

/// One segment of the history.
#[derive(Clone, Debug)]
pub(crate) struct Stretch {
    pub(crate) segment: SegmentFile,
    pub(crate) origin: Origin,
    pub(crate) ending: Ending,
    /// The first record in it; `None` if it has none.
    pub(crate) first_lsn: Option<Lsn>,
}

impl Stretch {
    pub(crate) fn number(&self) -> u64 {
        self.segment.birth.number
    }

    /// Where its live frames end, if that is settled.
    pub(crate) fn end(&self) -> Option<u64> {
        match self.ending {
            Ending::Open => None,
            Ending::Rolled(seal) => Some(seal.end),
            Ending::Left(junction) => Some(junction.end),
        }
    }
}

/// The history's segments in order, and the files that are not part of it.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) stretches: Vec<Stretch>,
    /// Segments that hold nothing of the history: unborn, prepared, superseded.
    pub(crate) unused: Vec<u64>,
    /// The highest number any segment file has.
    pub(crate) newest_number: u64,
    /// The highest epoch that any link began.
    pub(crate) link_epoch: Epoch,
    /// Damage in the chain itself: the stretches are those before it.
    pub(crate) damage: Option<Error>,
    /// Files that do not check and that nothing was or will be read from.
    pub(crate) remarks: Vec<Error>,
}

struct Found {
    /// Files that cannot be used, with the reason.
    bad: BTreeMap<u64, Error>,
    /// Those of them whose header checks and names another journal or number.
    strangers: BTreeSet<u64>,
    segments: BTreeMap<u64, SegmentFile>,
    links: Vec<(Epoch, SegmentFile, Link)>,
    unborn: Vec<u64>,
    newest_number: u64,
}

/// Opens all segments and puts them in order, up to damage, which is noted with the file's name. An error only if
/// not even the first segment can be read. Only a slot that is surely the `newest` says what is not needed.
pub(crate) fn assemble(
    medium: &dyn Medium,
    access: Access,
    id: JournalId,
    slot: &Slot,
    newest: bool,
) -> Result<Chain> {
    let found = gather(medium, access, id)?;
    let mut stretches = Vec::new();
    let first = found.segments.get(&slot.first_segment).filter(|first| first.birth.salt == slot.first_salt);
    let first = first.cloned().ok_or_else(|| found.missing(slot.first_segment))?;
    let mut next = Some((first, Origin::First));
    let mut damage = None;
    while let Some((segment, origin)) = next.take() {
        let first_lsn = segment.first_frame()?.map(|header| header.first_lsn);
        let (ending, after) = match leave(&found, &segment) {
            Ok(way) => way,
            Err(error) if *error.kind() == ErrorKind::Damaged => {
                damage = Some(error);
                (Ending::Open, None)
            }
            Err(error) => return Err(error),
        };
        stretches.push(Stretch { segment, origin, ending, first_lsn });
        if stretches.len() > found.segments.len() {
            let what = "segments form a circle";
            return Err(Error::damaged(name::segment(slot.first_segment), 0, what).advise(ADVICE));
        }
        next = after;
    }
    let no_newest = check_newest(&found, &stretches, slot).err();
    let used: Vec<u64> = stretches.iter().map(Stretch::number).collect();
    let settled = newest && damage.is_none() && no_newest.is_none() && used.contains(&slot.newest_segment);
    let (remarks, bad) = found.sort_bad(|number| settled && found.is_unneeded(number, slot));
    // A segment that does not open is named before one that nothing leads to: it held what would have led there.
    let damage = damage.or_else(|| bad.into_iter().next()).or(no_newest);
    let mut unused = found.unborn;
    unused.extend(found.segments.keys().filter(|number| !used.contains(number)));
    let link_epoch = found.links.iter().map(|(epoch, _, _)| *epoch).max().unwrap_or_default();
    Ok(Chain { stretches, unused, newest_number: found.newest_number, link_epoch, damage, remarks })
}

fn gather(medium: &dyn Medium, access: Access, id: JournalId) -> Result<Found> {
    let mut found = Found {
        bad: BTreeMap::new(),
        strangers: BTreeSet::new(),
        segments: BTreeMap::new(),
        links: Vec::new(),
        unborn: Vec::new(),
        newest_number: 0,
    };
    let mut names = medium.names().map_err(|error| Error::io("list", &medium.label(), error))?;
    names.sort();
    for file_name in names {
        let FileName::Segment(number) = name::parse(&file_name) else { continue };
        found.newest_number = found.newest_number.max(number);
        match admit(medium, access, &file_name, number, id) {
            Ok(Some(segment)) => {
                if let Some((epoch, link)) = segment.link()? {
                    found.links.push((epoch, segment.clone(), link));
                }
                found.segments.insert(number, segment);
            }
            Ok(None) => found.unborn.push(number),
            Err(error) if *error.kind() == ErrorKind::Damaged => {
                found.bad.insert(number, error);
                if is_stranger(medium, &file_name, number, id) {
                    found.strangers.insert(number);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Whether the file says itself, in a header that checks, that it is another journal's or another number's.
fn is_stranger(medium: &dyn Medium, file_name: &str, number: u64, id: JournalId) -> bool {
    let opened = medium.open(file_name, Access::Read).ok();
    let segment = opened.and_then(|file| SegmentFile::open(file, file_name.to_owned()).ok());
    segment.is_some_and(|segment| segment.birth.journal_id != id || segment.birth.number != number)
}

/// Opens one segment file and checks that it is what its name says. `None`: it was never used.
pub(crate) fn admit(
    medium: &dyn Medium,
    access: Access,
    file_name: &str,
    number: u64,
    id: JournalId,
) -> Result<Option<SegmentFile>> {
    let file = match medium.open(file_name, access) {
        // A live writer removed it since its name was read; if it was needed the chain will miss it.
        Err(error) if access == Access::Read && error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(None);
        }
        opened => opened.map_err(|error| Error::io("open", file_name, error))?,
    };
    let length = file.len().map_err(|error| Error::io("stat", file_name, error))?;
    let segment = match SegmentFile::open(file.clone(), file_name.to_owned()) {
        Ok(segment) => segment,
        Err(error) if *error.kind() == ErrorKind::Damaged => {
            if is_zero_after_header(&*file, file_name)? {
                return Ok(None);
            }
            return Err(error.advise("the file was used, so its header was good once; run everlog verify"));
        }
        Err(error) => return Err(error),
    };
    let birth = segment.birth;
    if birth.journal_id != id {
        return Err(Error::damaged(file_name, 32, "segment belongs to another journal")
            .advise("move the file out of the directory if you put it there"));
    }
    if birth.number != number {
        let what = format!("segment {} stands under the name of segment {number}", birth.number);
        return Err(Error::damaged(file_name, 48, what).advise("give the files their own names back"));
    }
    if length < birth.capacity {
        if is_zero_after_header(&*file, file_name)? {
            return Ok(None);
        }
        let what = format!("segment is cut short: {length} of {} bytes", birth.capacity);
        return Err(Error::damaged(file_name, length, what).advise("run everlog verify"));
    }
    Ok(Some(segment))
}

/// Whether all bytes after the birth header are zero: such a segment was never used.
pub(crate) fn is_zero_after_header(file: &dyn crate::medium::MediumFile, name: &str) -> Result<bool> {
    const CHUNK_BYTES: u64 = 1024 * 1024;
    let mut offset = crate::segment::BLOCK_BYTES;
    loop {
        let bytes = read_range(file, name, offset, CHUNK_BYTES)?;
        if bytes.is_empty() {
            return Ok(true);
        }
        if bytes.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        offset += bytes.len() as u64;
    }
}

/// Where the history goes after `segment`: a link beats a roll seal, the newest link beats the others.
fn leave(found: &Found, segment: &SegmentFile) -> Result<(Ending, Option<(SegmentFile, Origin)>)> {
    let birth = segment.birth;
    let mut linked: Option<&(Epoch, SegmentFile, Link)> = None;
    for candidate in &found.links {
        let (epoch, next, link) = candidate;
        if link.predecessor != birth.number || link.predecessor_salt != birth.salt {
            continue;
        }
        match linked {
            Some((best, _, _)) if best == epoch => {
                let what = "two links of the same epoch continue the same segment";
                return Err(Error::damaged(&next.name, crate::segment::LINK_OFFSET, what).advise(ADVICE));
            }
            Some((best, _, _)) if best > epoch => {}
            _ => linked = Some(candidate),
        }
    }
    if let Some((epoch, next, link)) = linked {
        return Ok((Ending::Left(link.junction()), Some((next.clone(), Origin::Linked(*epoch, *link)))));
    }
    let Some(seal) = segment.roll_seal()? else {
        return Ok((Ending::Open, None));
    };
    let next = found.segments.get(&seal.successor);
    let next = next.filter(|next| next.birth.salt == seal.successor_salt);
    let next = next.cloned().ok_or_else(|| found.missing(seal.successor))?;
    Ok((Ending::Rolled(seal), Some((next, Origin::Rolled))))
}

/// The newest segment that the root knows must be part of the history, or be superseded by a later link.
fn check_newest(found: &Found, stretches: &[Stretch], slot: &Slot) -> Result<()> {
    let reached = stretches.iter().any(|stretch| stretch.number() == slot.newest_segment);
    let superseded = stretches.iter().any(|stretch| match stretch.origin {
        Origin::Linked(epoch, _) => epoch > slot.epoch(),
        Origin::First | Origin::Rolled => false,
    });
    if reached || superseded {
        return Ok(());
    }
    if !found.segments.contains_key(&slot.newest_segment) {
        return Err(found.missing(slot.newest_segment));
    }
    if let Some(last) = stretches.last()
        && last.ending == Ending::Open
        && !last.segment.roll_slot_is_zero()?
    {
        let what = "the roll seal does not check, and the history goes on in a later segment";
        return Err(
            Error::damaged(&last.segment.name, last.segment.frames_end(), what).advise("run everlog verify")
        );
    }
    let what = "nothing leads to this segment: a roll seal or link before it is damaged";
    Err(Error::damaged(name::segment(slot.newest_segment), 0, what).advise("run everlog verify"))
}

impl Found {
    /// Whether a bad file outside a chain that is whole and reaches the newest segment can be done without. Records below
    /// the horizon are gone; a stranger holds none of ours, and what it may have replaced is not missing. A file that does
    /// not say what it is may be ours (J6).
    fn is_unneeded(&self, number: u64, slot: &Slot) -> bool {
        number < slot.first_segment || self.strangers.contains(&number)
    }

    /// The errors of the bad files that `is_unneeded`, and of the others.
    fn sort_bad(&self, is_unneeded: impl Fn(u64) -> bool) -> (Vec<Error>, Vec<Error>) {
        let (unneeded, needed): (Vec<_>, Vec<_>) =
            self.bad.iter().partition(|(number, _)| is_unneeded(**number));
        let errors = |files: Vec<(&u64, &Error)>| files.into_iter().map(|(_, error)| error.clone()).collect();
        (errors(unneeded), errors(needed))
    }

    fn missing(&self, number: u64) -> Error {
        if let Some(error) = self.bad.get(&number) {
            return error.clone();
        }
        Error::damaged(name::segment(number), 0, "segment is missing or another one stands in its place")
            .advise("restore the file from a backup, or run everlog salvage")
    }
}
