//! `everlog salvage`: copies what is whole to a new place, and says what is not. Never touches the damaged directory.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};
use crate::journal::chain::Ending;
use crate::journal::options::{FACE_RAW, Face};
use crate::journal::root::{Creation, Identity, RootFile, Slot};
use crate::journal::summary::Summary;
use crate::journal::{Options, spare};
use crate::medium::name::{self, ROOT};
use crate::medium::{Access, Disk, Medium, Presence, read_range, write_all};
use crate::position::{Epoch, Lsn, Position};
use crate::segment::reader::SegmentFile;
use crate::segment::{BLOCK_BYTES, FRAMES_OFFSET};
use crate::snapshot::list::{self, SnapshotList};
use crate::tool::beyond::{self, BEYOND, Kept};
use crate::tool::outcome::{Outcome, Verdict, command, with_next};
use crate::tool::render::{Form, Output, plural, progress};
use crate::tool::show::Payloads;
use crate::tool::site::Site;
use crate::tool::walk::{self, Keep};

const CHUNK_BYTES: u64 = 1024 * 1024;

/// Copy what is whole to OUT: the history before the first hole as a journal, whole records beyond it as JSON Lines
#[derive(Debug, Args)]
pub(crate) struct Salvage {
    /// The damaged journal's directory; it is not changed
    pub(crate) dir: PathBuf,
    /// Where the copy goes: missing or empty
    out: PathBuf,
}

/// What was brought back.
#[derive(Debug, Serialize)]
struct Salvaged {
    out: String,
    last: String,
    horizon: String,
    records_beyond: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    beyond: Option<String>,
    identity_known: bool,
    snapshots: u64,
    next: String,
}

pub(crate) fn run(args: &Salvage, form: Form) -> Outcome {
    let mut output = Output::new(form);
    let site = Site::look(&args.dir)?;
    let out: Arc<dyn Medium> = Arc::new(empty_place(&args.out)?);
    let plan = plan(&site)?;
    let slot = copy_segments(&plan, &site, &*out)?;
    let snapshots = copy_snapshots(&site, &plan, &*out)?;
    let (records_beyond, newest) = beyond::write(&site, &plan.kept, &*out)?;
    publish(&plan, slot.raised(newest, plan.kept.keep.last), &*out)?;
    let last = settle(&args.out, plan.kept.keep.last)?;
    let salvaged = Salvaged {
        out: args.out.display().to_string(),
        last: last.to_string(),
        horizon: plan.slot.horizon().to_string(),
        records_beyond,
        beyond: (records_beyond > 0).then(|| args.out.join(BEYOND).display().to_string()),
        identity_known: site.identity.is_some(),
        snapshots,
        next: command("verify", &args.out, ""),
    };
    print(&mut output, &salvaged, &site, plan.kept.keep.last)?;
    output.flush()?;
    Ok(Verdict::Well)
}

fn empty_place(out: &Path) -> Result<Disk> {
    let disk = Disk::open(out, Presence::CreateMissing)?;
    let names = disk.names().map_err(|error| Error::io("list", &disk.label(), error))?;
    if names.is_empty() {
        return Ok(disk);
    }
    let what = format!("{} is not empty", out.display());
    Err(Error::new(ErrorKind::Input, what)
        .advise("name a directory that is missing or empty; nothing was changed"))
}

/// What goes where, decided before anything is written.
struct Plan {
    identity: Identity,
    slot: Slot,
    /// Segments to copy: how far, and whether their end with the roll seal too.
    copies: Vec<(SegmentFile, u64, Tail)>,
    kept: Kept,
}

/// Whether a segment is copied with what stands in its roll seal slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    Whole,
    Cut,
}

fn plan(site: &Site) -> Result<Plan> {
    let identity = identity(site)?;
    let known = site.slot_or_guess();
    let horizon = known.map(|slot| slot.horizon()).unwrap_or_default();
    let mut copies = Vec::new();
    let mut keep = Keep { stretch: 0, offset: FRAMES_OFFSET, last: horizon.lsn, epoch: horizon.epoch };
    let mut hole = None;
    if let (Some(chain), Some(slot)) = (&site.chain, known) {
        keep = walk::walk(chain, &slot, Lsn::ZERO, &mut |_| {})?.keep;
        for (index, stretch) in chain.stretches.iter().enumerate().take(keep.stretch + 1) {
            let (end, tail) = match (index == keep.stretch, stretch.ending) {
                (true, _) | (_, Ending::Open) => (keep.offset, Tail::Cut),
                (false, Ending::Rolled(seal)) => (seal.end, Tail::Whole),
                (false, Ending::Left(junction)) => (junction.end, Tail::Cut),
            };
            copies.push((stretch.segment.clone(), end, tail));
            hole = Some((stretch.number(), end));
        }
    }
    let horizon_segment = copies.first().map(|(segment, _, _)| (segment.birth.number, segment.birth.salt));
    let newest = copies.last().map_or(1, |(segment, _, _)| segment.birth.number);
    let (number, salt) = horizon_segment.unwrap_or((1, 0));
    let time = known.map_or(0, |slot| slot.horizon_time);
    let floor_epoch = known.map_or(Epoch::ZERO, |slot| slot.epoch()).max(newest_epoch(site));
    let slot = Slot::first(number, salt)
        .with_horizon(horizon, time, number, salt)
        .raised(floor_epoch, keep.last)
        .moved_to(newest);
    let payloads = Payloads::of(&identity.creation);
    Ok(Plan { identity, slot, copies, kept: Kept { keep, hole, payloads } })
}

/// Who the journal is; without a root what segments and snapshots tell.
fn identity(site: &Site) -> Result<Identity> {
    if let Some(identity) = &site.identity {
        return Ok(identity.clone());
    }
    let id = site.id().or_else(|| site.snapshots.first().map(|list| list.journal_id));
    let id = id.ok_or_else(|| {
        Error::damaged(
            ROOT,
            0,
            "neither the root file nor any segment or snapshot says which journal this is",
        )
        .advise("restore the directory from a backup")
    })?;
    let defaults = Options::new().limits;
    let told = site.snapshots.first();
    let creation = Creation {
        face: told.map_or(FACE_RAW, |list| list.face),
        codec: told.map_or(0, |list| list.codec),
        aligned: false,
        created_micros: 0,
        segment_bytes_min: defaults.segment_bytes_min,
        segment_bytes_max: defaults.segment_bytes_max,
        frame_bytes_max: defaults.frame_bytes_max,
        type_name: told.map(|list| list.type_name.clone()).unwrap_or_default(),
    };
    Ok(Identity { id, creation })
}

/// The highest epoch that any link began, so that the copy's next one is new.
fn newest_epoch(site: &Site) -> Epoch {
    let links = site.segments.values().filter_map(|segment| segment.link().ok().flatten());
    links.map(|(epoch, _)| epoch).max().unwrap_or_default()
}

/// Copies the history up to the hole; returns what the root must say.
fn copy_segments(plan: &Plan, site: &Site, out: &dyn Medium) -> Result<Slot> {
    let bytes = plan.copies.iter().map(|(_, end, _)| end).sum();
    let bar = progress(bytes, "copying");
    for (segment, end, tail) in &plan.copies {
        copy_segment(segment, *end, *tail, out)?;
        bar.inc(*end);
    }
    bar.finish_and_clear();
    if !plan.copies.is_empty() {
        return Ok(plan.slot);
    }
    // The first segment is lost: an empty one stands in its place.
    let number = site.slot.map_or(1, |slot| slot.first_segment);
    let capacity = plan.identity.creation.segment_bytes_min;
    let salt = spare::make(out, plan.identity.id, number, capacity)?.birth.salt;
    let slot =
        Slot::first(number, salt).with_horizon(plan.slot.horizon(), plan.slot.horizon_time, number, salt);
    Ok(slot.raised(plan.slot.epoch(), plan.slot.floor()))
}

/// Writes the root last: from here on the copy is a journal.
fn publish(plan: &Plan, slot: Slot, out: &dyn Medium) -> Result<()> {
    sync_names(out)?;
    let file = out.create(ROOT).map_err(|error| Error::io("create", ROOT, error))?;
    RootFile::create(file, plan.identity.clone(), slot)?;
    sync_names(out)
}

fn sync_names(out: &dyn Medium) -> Result<()> {
    out.sync_names().map_err(|error| Error::io("sync of the directory", &out.label(), error))
}

fn copy_segment(segment: &SegmentFile, end: u64, tail: Tail, out: &dyn Medium) -> Result<()> {
    let name = &segment.name;
    let copy = out.create(name).map_err(|error| Error::io("create", name, error))?;
    let mut ranges = vec![(0, end)];
    if tail == Tail::Whole {
        ranges.push((segment.frames_end(), segment.birth.capacity));
    }
    for (from, to) in ranges {
        let mut at = from;
        while at < to {
            let bytes = read_range(&*segment.file, name, at, (to - at).min(CHUNK_BYTES))?;
            if bytes.is_empty() {
                break;
            }
            write_all(&*copy, name, &bytes, at)?;
            at += bytes.len() as u64;
        }
    }
    if tail == Tail::Cut {
        write_all(&*copy, name, &[0; BLOCK_BYTES as usize], segment.frames_end())?;
    }
    copy.sync().map_err(|error| Error::io("sync", name, error))
}

/// Copies the snapshots of the kept history whose every block checks, and the runs that kept rollbacks need.
fn copy_snapshots(site: &Site, plan: &Plan, out: &dyn Medium) -> Result<u64> {
    let mut runs = BTreeSet::new();
    let mut lists: Vec<&SnapshotList> = Vec::new();
    for found in &site.snapshots {
        let inside =
            found.position.lsn >= plan.slot.horizon().lsn && found.position.lsn <= plan.kept.keep.last;
        if inside && list::verify(&*site.medium, found).is_ok() {
            runs.extend(found.runs.iter().map(|run| run.id));
            lists.push(found);
        }
    }
    if let Some(summary) = lists.first().and_then(|list| Summary::decode(&list.summary).ok()) {
        runs.extend(summary.rollback_runs(plan.slot.horizon().lsn));
    }
    runs.extend(site.run_ids());
    for id in runs {
        // A run that is gone or bad shows when the record that needs it is read.
        let _checked_when_read = copy_file(site, &name::run(id), out);
    }
    for list in &lists {
        copy_file(site, &name::snapshot(list.position), out)?;
    }
    Ok(lists.len() as u64)
}

fn copy_file(site: &Site, file_name: &str, out: &dyn Medium) -> Result<()> {
    let source = site.medium.open(file_name, Access::Read);
    let source = source.map_err(|error| Error::io("open", file_name, error))?;
    let copy = out.create(file_name).map_err(|error| Error::io("create", file_name, error))?;
    let mut at = 0;
    loop {
        let bytes = read_range(&*source, file_name, at, CHUNK_BYTES)?;
        if bytes.is_empty() {
            return copy.sync().map_err(|error| Error::io("sync", file_name, error));
        }
        write_all(&*copy, file_name, &bytes, at)?;
        at += bytes.len() as u64;
    }
}

/// Opens the copy once, as its application will: proves that it opens with all that was kept, and closes it cleanly.
fn settle(out: &Path, kept: Lsn) -> Outcome<Position> {
    let options = Options::new().must_exist().face(Face::any());
    let journal = options.open(out).map_err(|error| with_next(error, out))?;
    let position = journal.position();
    journal.close()?;
    if position.lsn == kept {
        return Ok(position);
    }
    let what = format!("the copy ends at {position} and not at record {kept} as it should");
    Err(Error::new(ErrorKind::Damaged, what).advise("keep both directories and report this").into())
}

fn print(output: &mut Output, salvaged: &Salvaged, site: &Site, keep: Lsn) -> Outcome<()> {
    if output.is_json() {
        return output.json(salvaged);
    }
    output.line(format!(
        "{} is a journal again, whole up to position {}; positions, times and transactions are the old ones",
        salvaged.out, salvaged.last
    ))?;
    match &salvaged.beyond {
        Some(file) => output.line(format!(
            "{} beyond the hole: {file} (JSON Lines, not in the history; append what you want back)",
            plural(salvaged.records_beyond, "whole record"),
        ))?,
        None => output.line("no whole records beyond it")?,
    }
    if !salvaged.identity_known {
        output.line("the root file was lost, so what the journal holds was taken from its snapshots, or else raw records")?;
    }
    let newer = site.newest_snapshot();
    if newer.lsn > keep {
        let text = "a snapshot beyond the hole stays in the damaged directory: the state at";
        output.line(format!("{text} {newer}"))?;
    }
    output.line(format!("next: {}", salvaged.next))
}
