//! `everlog verify`: checks everything that is stored, changes nothing, and says for each fault what to do.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};
use crate::medium::name::{self, FileName};
use crate::position::{Lsn, Position};
use crate::snapshot::{Reading, Run, RunInfo, list};
use crate::store::recount;
use crate::tool::outcome::{Outcome, Trouble, Verdict, command, place, quoted};
use crate::tool::render::{Colour, Form, Output, bytes, clean, count, paint, plural, progress};
use crate::tool::site::Site;
use crate::tool::walk::{self, Torn, Walked};

/// How often a directory with faults is looked at again: a live writer may roll or compact while we read.
const LOOKS_MAX: usize = 3;

/// Check everything that is stored: root, segments, every frame, snapshots. Changes nothing
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The journal's directory
    pub(crate) dir: PathBuf,
}

/// All that was found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Damage, each with the command to run next.
    pub(crate) faults: Vec<Error>,
    /// What is not as it could be, but costs nothing.
    pub(crate) notes: Vec<Error>,
    pub(crate) segments: u64,
    pub(crate) snapshots: u64,
    pub(crate) walked: Walked,
}

#[derive(Serialize)]
struct Summary {
    level: &'static str,
    faults: u64,
    notes: u64,
    segments: u64,
    snapshots: u64,
    frames: u64,
    records: u64,
    bytes: u64,
    last: String,
}

pub(crate) fn run(args: &Verify, form: Form) -> Outcome {
    let mut output = Output::new(form);
    let mut site = Site::look(&args.dir)?;
    let mut findings = gather(&site)?;
    for _ in 1..LOOKS_MAX {
        if findings.faults.is_empty() {
            break;
        }
        site = Site::look(&args.dir)?;
        findings = gather(&site)?;
    }
    print(&mut output, &findings, &site)?;
    output.flush()?;
    Ok(if findings.faults.is_empty() { Verdict::Well } else { Verdict::Findings })
}

/// Checks all of a site. An error only if reading itself fails.
pub(crate) fn gather(site: &Site) -> Result<Findings> {
    let mut findings = Findings { segments: site.segments.len() as u64, ..Findings::default() };
    check_root(site, &mut findings);
    findings.faults.extend(site.bad_segments.iter().cloned());
    check_history(site, &mut findings)?;
    check_snapshots(site, &mut findings)?;
    check_rollbacks(site, &mut findings);
    check_place(site, &mut findings);
    let salvage = command("salvage", &site.directory, "OUT");
    for fault in &mut findings.faults {
        // The library's own advice is for programs that open; here it becomes a command.
        let is_command = |next: &str| next.starts_with("everlog ") || next.starts_with("restore this file");
        if !fault.next().is_some_and(is_command) {
            *fault = fault.clone().advise(salvage.clone());
        }
    }
    Ok(findings)
}

fn check_root(site: &Site, findings: &mut Findings) {
    let next = match site.has_whole_root() {
        true => format!("{} (the other copy is good)", command("recover", &site.directory, "")),
        false => command("salvage", &site.directory, "OUT"),
    };
    findings.faults.extend(site.root_faults.iter().map(|fault| fault.clone().advise(next.clone())));
    findings.notes.extend(site.torn_slot.iter().map(|slot| slot.clone().advise(next.clone())));
}

fn check_history(site: &Site, findings: &mut Findings) -> Result<()> {
    if let Some(fault) = &site.chain_fault {
        add(&mut findings.faults, fault.clone());
    }
    let (Some(chain), Some(slot)) = (&site.chain, site.slot_or_guess()) else { return Ok(()) };
    let live: u64 = chain.stretches.iter().map(|stretch| stretch.segment.birth.capacity).sum();
    let bar = progress(live, "verifying");
    let walked = walk::walk(chain, &slot, site.newest_snapshot().lsn, &mut |bytes| bar.inc(bytes))?;
    bar.finish_and_clear();
    for fault in &walked.faults {
        add(&mut findings.faults, fault.clone());
    }
    if let Some(torn) = &walked.torn {
        findings.notes.push(torn_note(torn, site));
    }
    findings.walked = walked;
    Ok(())
}

/// The note for a torn tail: it costs nothing, because it was never acknowledged.
pub(crate) fn torn_note(torn: &Torn, site: &Site) -> Error {
    let unfinished = match torn.unfinished {
        0 => String::new(),
        number => format!(", with {} of an unfinished transaction", plural(number, "record")),
    };
    let what = format!(
        "torn tail of {}{unfinished} ({}): never acknowledged as synced, the next opening for writing cuts it",
        plural(torn.bytes, "byte"),
        torn.what
    );
    Error::new(ErrorKind::Absent, what)
        .in_file(&torn.file)
        .at_offset(torn.offset)
        .at_lsn(torn.lsn)
        .advise(command("recover", &site.directory, ""))
}

fn add(faults: &mut Vec<Error>, fault: Error) {
    let known = faults.iter().any(|known| known.file() == fault.file() && known.offset() == fault.offset());
    if !known {
        faults.push(fault);
    }
}

/// Snapshots above the horizon are disposable while the log is whole; the one at the horizon is data (J9).
fn check_snapshots(site: &Site, findings: &mut Findings) -> Result<()> {
    let horizon = site.slot.map_or(Lsn::ZERO, |slot| slot.horizon().lsn);
    let bar = progress(site.snapshots.len() as u64, "snapshots");
    findings.snapshots += site.bad_snapshots.len() as u64;
    let mut good_at_horizon = horizon == Lsn::ZERO;
    let mut bad: Vec<(Lsn, Error)> = Vec::new();
    for found in &site.snapshots {
        findings.snapshots += 1;
        bar.inc(1);
        match list::verify(&*site.medium, found).and_then(|()| recount(&*site.medium, found)) {
            Ok(()) => good_at_horizon |= found.position.lsn == horizon,
            // A live writer thins them out.
            Err(_) if found.position.lsn > horizon && !is_listed(site, found.position) => {
                findings.snapshots -= 1;
            }
            Err(error) => bad.push((found.position.lsn, error)),
        }
    }
    bar.finish_and_clear();
    let below = |error: &Error| match error.file().map(name::parse) {
        Some(FileName::Snapshot(position)) => position.lsn,
        _ => Lsn::MAX,
    };
    bad.extend(site.bad_snapshots.iter().map(|error| (below(error), error.clone())));
    for (lsn, error) in bad {
        let next = match lsn == horizon && horizon > Lsn::ZERO {
            true => "restore this file from a backup: the log before it was compacted away".to_owned(),
            false => format!(
                "{} (the log is still there, so nothing is lost)",
                command("snapshot", &site.directory, "")
            ),
        };
        add(&mut findings.faults, error.advise(next));
    }
    if !good_at_horizon && findings.faults.is_empty() {
        let what = format!("there is no snapshot at the horizon, record {horizon}");
        findings.faults.push(Error::new(ErrorKind::Damaged, what).at_lsn(horizon));
    }
    Ok(())
}

/// Whether a snapshot is still there.
fn is_listed(site: &Site, position: Position) -> bool {
    list::positions(&*site.medium).map_or(true, |positions| positions.contains(&position))
}

/// The states that rollbacks returned to are part of the log while their records are.
fn check_rollbacks(site: &Site, findings: &mut Findings) {
    let horizon = site.slot.map_or(Lsn::ZERO, |slot| slot.horizon().lsn);
    let Some(id) = site.id() else { return };
    let needed: Vec<(Lsn, RunInfo)> = findings.walked.rollbacks.clone();
    for (lsn, info) in needed.into_iter().filter(|(lsn, _)| *lsn > horizon) {
        let run = Run::open(&*site.medium, &info, id, Reading::Read);
        if let Err(error) = run.and_then(|run| run.verify()) {
            let next = "restore this file from a backup: a rollback needs it".to_owned();
            add(&mut findings.faults, error.at_lsn(lsn).advise(next));
        }
    }
}

fn check_place(site: &Site, findings: &mut Findings) {
    let note = |what: String, file: &str, next: String| {
        Error::new(ErrorKind::Unsupported, what).in_file(file).advise(next)
    };
    for file in site.names.iter().filter(|name| name::parse(name) == FileName::Foreign) {
        let next = format!("move it away: mv {} ELSEWHERE", quoted(&site.directory.join(file)));
        findings.notes.push(note("not a file of everlog; it is left alone".to_owned(), file, next));
    }
    if let Some(caution) = site.medium.caution() {
        findings.notes.push(note(caution, ".", format!("look at {}", quoted(&site.directory))));
    }
    for name in std::iter::once(".").chain(site.names.iter().map(String::as_str)) {
        if let Some(mode) = mode_beyond_owner(site, name) {
            let path = if name == "." { site.directory.clone() } else { site.directory.join(name) };
            let next = format!("chmod go-rwx {}", quoted(&path));
            findings.notes.push(note(
                format!("others than the owner may reach it (mode {mode:o})"),
                name,
                next,
            ));
        }
    }
    for number in site.chain.iter().flat_map(|chain| &chain.unused) {
        let frames = site.segments.get(number).and_then(|segment| segment.first_frame().ok().flatten());
        if frames.is_some() {
            let what = "segment was superseded; the next opening for writing removes it".to_owned();
            let next = command("recover", &site.directory, "");
            findings.notes.push(note(what, &name::segment(*number), next));
        }
    }
}

/// The permissions of a file if others than the owner have some.
#[cfg(unix)]
fn mode_beyond_owner(site: &Site, name: &str) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let path = if name == "." { site.directory.clone() } else { site.directory.join(name) };
    let mode = std::fs::symlink_metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn mode_beyond_owner(_: &Site, _: &str) -> Option<u32> {
    None
}

fn print(output: &mut Output, findings: &Findings, site: &Site) -> Outcome<()> {
    if output.is_json() {
        return print_json(output, findings);
    }
    let (on, _) = output.colours();
    let levels = [("fault", Colour::Red, &findings.faults), ("note", Colour::Yellow, &findings.notes)];
    for (level, colour, errors) in levels {
        for error in errors {
            let place = place(error);
            let colon = if place.is_empty() { "" } else { ": " };
            output.line(format!("{} {place}{colon}{}", paint(on, colour, level), clean(error.what())))?;
            if let Some(next) = error.next() {
                output.line(format!("      next: {}", clean(next)))?;
            }
        }
    }
    let walked = &findings.walked;
    output.line(format!(
        "{}, {}, {}, {} of frames, {}; last record {}:{}",
        plural(findings.segments, "segment"),
        plural(walked.frames, "frame"),
        plural(walked.records, "record"),
        bytes(walked.bytes),
        plural(findings.snapshots, "snapshot"),
        walked.keep.epoch,
        walked.keep.last,
    ))?;
    if findings.faults.is_empty() {
        return output.line(paint(on, Colour::Green, "well: everything that was acknowledged is there"));
    }
    let beyond = match walked.records_beyond {
        0 => String::new(),
        number => format!("; {} stand whole beyond the first hole", plural(number, "record")),
    };
    let faults = findings.faults.len() as u64;
    let text =
        format!("{}; whole up to record {}{beyond}", plural(faults, "fault"), count(walked.keep.last.get()));
    output.line(paint(on, Colour::Red, &text))?;
    let next = findings
        .faults
        .first()
        .and_then(Error::next)
        .map_or_else(|| command("salvage", &site.directory, "OUT"), str::to_owned);
    output.line(format!("next: {next}"))
}

fn print_json(output: &mut Output, findings: &Findings) -> Outcome<()> {
    for fault in &findings.faults {
        output.json(&Trouble::of("fault", fault))?;
    }
    for note in &findings.notes {
        output.json(&Trouble { kind: "note", ..Trouble::of("note", note) })?;
    }
    let walked = &findings.walked;
    output.json(&Summary {
        level: "summary",
        faults: findings.faults.len() as u64,
        notes: findings.notes.len() as u64,
        segments: findings.segments,
        snapshots: findings.snapshots,
        frames: walked.frames,
        records: walked.records,
        bytes: walked.bytes,
        last: format!("{}:{}", walked.keep.epoch, walked.keep.last),
    })
}
