//! Recovery's acting half: the only place that cuts. Keeps what was cut, copies what is whole, then makes it live.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::journal::chain::{Chain, Ending, Origin, Stretch};
use crate::journal::options::Limits;
use crate::journal::replay::{Replayed, epoch_used};
use crate::journal::report::Cut;
use crate::journal::root::RootFile;
use crate::journal::spare;
use crate::journal::tail::{TailStart, reserve_bytes};
use crate::medium::name::{self, QUARANTINE};
use crate::medium::{Access, Medium, Presence, read_range, write_all};
use crate::position::Epoch;
use crate::segment::checksum;
use crate::segment::frame::{self, FrameHeader};
use crate::segment::reader::{Place, SegmentFile};
use crate::segment::slot::{self, Link, SlotPlace};
use crate::segment::{FRAMES_OFFSET, LINK_OFFSET};

/// At most this many files and bytes are kept in quarantine; the oldest go first.
const QUARANTINE_FILES_MAX: usize = 64;
const QUARANTINE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// At most this many bytes of one cut are kept.
const CUT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Continues after a clean close, right behind the seal, in a new epoch.
pub(crate) fn resume(chain: &Chain, root: &RootFile, replayed: Replayed) -> Result<TailStart> {
    let epoch = next_epoch(chain, root, &replayed)?;
    let tail = &chain.stretches[chain.stretches.len() - 1];
    Ok(TailStart {
        segment: tail.segment.clone(),
        place: replayed.place,
        epoch,
        summary: replayed.summary,
        live_bytes: live_bytes(&chain.stretches),
        used_bytes: used_bytes(&chain.stretches, 0),
        sealed: true,
        bytes_since_snapshot: replayed.bytes,
        records_since_snapshot: replayed.records,
    })
}

/// Goes on in a fresh segment. Each step is durable before the next; a crash at any of them leaves the old history
/// as it was (J7):
///
/// 1. the root is on the device, not only in the cache;
/// 2. what is cut is kept aside;
/// 3. a fresh segment is born and gets the whole frames above the last proven mark, from the memory in which they
///    were checked;
/// 4. its link makes it live;
/// 5. the root says so.
pub(crate) fn mend(
    medium: &Arc<dyn Medium>,
    chain: &mut Chain,
    root: &mut RootFile,
    limits: &Limits,
    replayed: Replayed,
) -> Result<(TailStart, Option<Cut>)> {
    let old_epoch = epoch_used(chain, &root.slot, &replayed);
    let epoch = next_epoch(chain, root, &replayed)?;
    root.restate()?;
    if root.slot.epoch() == Epoch::ZERO {
        // The creation may have ended before the root's name was durable, and no segment may outlive its root.
        medium.sync_names().map_err(|error| Error::io("sync of the directory", &medium.label(), error))?;
    }
    let cut = set_aside(medium, chain, &replayed, old_epoch)?;
    let bytes_cut = cut.as_ref().map_or(0, |cut| cut.bytes);
    let room: u64 = replayed.kept.iter().map(|frame| frame::room(frame.body.len(), limits.aligned)).sum();
    let capacity = limits
        .segment_capacity(used_bytes(&chain.stretches, replayed.place.offset))
        .max(spare::capacity_for(room + reserve_bytes(limits.aligned)));
    // An unused segment may have the next number; numbers are never given twice while a file has them.
    let number = spare::after(chain.newest_number)?;
    let fresh = spare::make(&**medium, root.identity.id, number, capacity)?;
    chain.newest_number = number;
    let place = copy_frames(&fresh, &replayed, limits)?;
    let last_kept = replayed.summary.position().lsn;
    let link = Link::new(old_epoch, last_kept, bytes_cut, replayed.anchor);
    let slot_place = SlotPlace { salt: fresh.birth.salt, epoch, last_lsn: last_kept };
    write_all(&*fresh.file, &fresh.name, &slot::encode_link(link, slot_place)?, LINK_OFFSET)?;
    fresh.file.sync().map_err(|error| Error::io("sync", &fresh.name, error))?;
    root.write_slot(root.slot.mended(epoch, last_kept, number))?;
    splice(chain, &fresh, epoch, link, &replayed);
    let start = TailStart {
        segment: fresh,
        place,
        epoch,
        summary: replayed.summary,
        live_bytes: live_bytes(&chain.stretches),
        used_bytes: used_bytes(&chain.stretches, 0),
        sealed: false,
        bytes_since_snapshot: replayed.bytes,
        records_since_snapshot: replayed.records,
    };
    Ok((start, cut))
}

fn next_epoch(chain: &Chain, root: &RootFile, replayed: &Replayed) -> Result<Epoch> {
    epoch_used(chain, &root.slot, replayed)
        .next()
        .ok_or_else(|| Error::new(ErrorKind::Unsupported, "the epochs of this journal are used up"))
}

fn live_bytes(stretches: &[Stretch]) -> u64 {
    stretches.iter().map(|stretch| stretch.segment.birth.capacity).sum()
}

/// Bytes up to the end of the frames in each segment; `open_end` is that of one without an end of its own.
fn used_bytes(stretches: &[Stretch], open_end: u64) -> u64 {
    stretches.iter().map(|stretch| stretch.end().unwrap_or(open_end)).sum()
}

/// Writes the kept frames into `fresh`, each bound anew to its place, and syncs them.
fn copy_frames(fresh: &SegmentFile, replayed: &Replayed, limits: &Limits) -> Result<Place> {
    let mut place = Place::start(&fresh.birth);
    for kept in &replayed.kept {
        let header = FrameHeader {
            chain: false,
            aligned: limits.aligned,
            previous: place.previous,
            offset: place.offset,
            ..kept.header
        };
        let mut bytes = vec![0; frame::HEADER_BYTES];
        bytes.extend_from_slice(&kept.body);
        let sum = frame::complete(&mut bytes, &header, fresh.birth.salt);
        write_all(&*fresh.file, &fresh.name, &bytes, place.offset)?;
        place = Place {
            offset: header.next_offset(),
            previous: sum,
            next_lsn: Some(header.next_lsn()),
            epoch: header.epoch,
        };
    }
    fresh.file.sync().map_err(|error| Error::io("sync", &fresh.name, error))?;
    Ok(place)
}

/// Puts the fresh segment at the end of the chain, behind the segment that its link continues.
fn splice(chain: &mut Chain, fresh: &SegmentFile, epoch: Epoch, link: Link, replayed: &Replayed) {
    let junction = link.junction();
    if let Some(index) = chain.stretches.iter().position(|stretch| stretch.number() == junction.number) {
        let superseded = chain.stretches.split_off(index + 1);
        chain.unused.extend(superseded.iter().map(Stretch::number));
        chain.stretches[index].ending = Ending::Left(junction);
    }
    let first_lsn = replayed.kept.first().map(|kept| kept.header.first_lsn);
    chain.stretches.push(Stretch {
        segment: fresh.clone(),
        origin: Origin::Linked(epoch, link),
        ending: Ending::Open,
        first_lsn,
    });
    chain.link_epoch = chain.link_epoch.max(epoch);
}

/// Bytes of one segment that are about to be left behind.
struct Piece<'a> {
    stretch: &'a Stretch,
    offset: u64,
    bytes: u64,
}

/// What lies behind the last whole transaction, segment by segment: the tail's remains, and an unfinished transaction
/// from where it started, be that in an earlier segment.
fn left_behind<'a>(chain: &'a Chain, replayed: &Replayed) -> Vec<Piece<'a>> {
    let evidence = &replayed.evidence;
    let last_place = replayed.kept.last().map_or(replayed.anchor, |kept| kept.after());
    let tail = chain.stretches.len() - 1;
    let start = chain.stretches.iter().position(|stretch| stretch.number() == last_place.number);
    let (first, first_offset) = match (replayed.unfinished, start) {
        (1.., Some(start)) => (start, last_place.end),
        _ => (tail, evidence.offset),
    };
    let mut pieces = Vec::new();
    for (index, stretch) in chain.stretches.iter().enumerate().skip(first) {
        let offset = if index == first { first_offset } else { FRAMES_OFFSET };
        let end = stretch.end().or(evidence.survey.remains_end).unwrap_or(evidence.offset);
        if end > offset {
            pieces.push(Piece { stretch, offset, bytes: end - offset });
        }
    }
    pieces
}

/// Keeps the bytes that are about to be left behind. Named by place and checksum, so that doing it twice is once.
fn set_aside(
    medium: &Arc<dyn Medium>,
    chain: &Chain,
    replayed: &Replayed,
    old_epoch: Epoch,
) -> Result<Option<Cut>> {
    let pieces = left_behind(chain, replayed);
    let Some(first) = pieces.first() else { return Ok(None) };
    let kept_in = keep(medium, first)?;
    for piece in &pieces[1..] {
        keep(medium, piece)?;
    }
    Ok(Some(Cut {
        file: first.stretch.segment.name.clone(),
        offset: first.offset,
        bytes: pieces.iter().map(|piece| piece.bytes).sum(),
        lsn: replayed.summary.position().lsn.next(),
        old_epoch,
        unfinished_records: replayed.unfinished,
        what: match replayed.unfinished {
            0 => replayed.stop.to_owned(),
            _ => "unfinished transaction".to_owned(),
        },
        kept_in: Some(kept_in),
    }))
}

/// Keeps one piece in quarantine; returns where.
fn keep(medium: &Arc<dyn Medium>, piece: &Piece<'_>) -> Result<String> {
    let segment = &piece.stretch.segment;
    let content = read_range(&*segment.file, &segment.name, piece.offset, piece.bytes.min(CUT_BYTES_MAX))?;
    let name = name::cut(segment.birth.number, piece.offset, checksum::plain(&content));
    let wrap = |call: &'static str| move |error: io::Error| Error::io(call, QUARANTINE, error);
    let place = medium.child(QUARANTINE, Presence::CreateMissing).map_err(wrap("create"))?;
    medium.sync_names().map_err(wrap("sync of the directory"))?;
    let file = match place.create(&name) {
        // An earlier recovery may have got this far or a little further.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => place.open(&name, Access::Write),
        created => created,
    };
    let file = file.map_err(|error| Error::io("create", &name, error))?;
    write_all(&*file, &name, &content, 0)?;
    file.sync().map_err(|error| Error::io("sync", &name, error))?;
    place.sync_names().map_err(wrap("sync of the directory"))?;
    thin_out(&*place, &name);
    Ok(format!("{QUARANTINE}/{name}"))
}

/// Keeps the quarantine bounded. Best effort: what cannot be removed now is removed another time.
fn thin_out(place: &dyn Medium, newest: &str) {
    let names: BTreeSet<String> = place.names().unwrap_or_default().into_iter().collect();
    let mut bytes = 0;
    let mut count = 0;
    let newest_first = names.iter().filter(|name| *name != newest).rev();
    for name in std::iter::once(newest).chain(newest_first.map(String::as_str)) {
        let length = place.open(name, Access::Read).and_then(|file| file.len()).unwrap_or_default();
        bytes += length;
        count += 1;
        if name != newest && (count > QUARANTINE_FILES_MAX || bytes > QUARANTINE_BYTES_MAX) {
            let _unneeded = place.remove(name);
        }
    }
}

/// Removes segments that are not part of the history. Best effort, after everything else is durable.
pub(crate) fn sweep(medium: &dyn Medium, chain: &mut Chain) {
    let mut removed = false;
    for number in std::mem::take(&mut chain.unused) {
        removed |= medium.remove(&name::segment(number)).is_ok();
    }
    if removed {
        let _unneeded = medium.sync_names();
    }
}

const _: () = assert!(FRAMES_OFFSET > LINK_OFFSET, "the link does not share a block with frames");
