//! Opening: look, lock, read, judge, and only then act.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::journal::chain::{self, Chain};
use crate::journal::create::{self, Found};
use crate::journal::judge::{Verdict, judge};
use crate::journal::lease::{self, Lease};
use crate::journal::options::{Damaged, Face, Options};
use crate::journal::recovery;
use crate::journal::replay::{self, Replayed};
use crate::journal::report::Report;
use crate::journal::root::RootFile;
use crate::journal::summary::Summary;
use crate::journal::tail::TailStart;
use crate::medium::{Access, Medium};
use crate::position::Lsn;
use crate::snapshot;

/// How often a read-only opening looks again when the ground moves under it.
const LOOKS_MAX: usize = 8;

/// An opened journal, before its threads and handles.
pub(crate) struct Opened {
    pub(crate) root: RootFile,
    pub(crate) chain: Chain,
    pub(crate) report: Report,
    /// The last record to show.
    pub(crate) last: Lsn,
    pub(crate) summary: Summary,
    /// The writing end; `None` when opened for reading only.
    pub(crate) writer: Option<(TailStart, Arc<Lease>)>,
}

/// Opens a journal as the options say.
pub(crate) fn open(medium: &Arc<dyn Medium>, options: &Options) -> Result<Opened> {
    if options.read_only { open_read_only(medium, options) } else { open_for_writing(medium, options) }
}

fn open_for_writing(medium: &Arc<dyn Medium>, options: &Options) -> Result<Opened> {
    // What cannot be a journal is refused before anything in it is touched.
    let first_look = create::look(&**medium, Access::Write)?;
    if matches!(first_look, Found::Nothing) && options.must_exist {
        return Err(nothing_there(&**medium));
    }
    let lease = lease::take(&**medium)?;
    let mut created = false;
    let mut root = match create::look(&**medium, Access::Write)? {
        Found::Journal(root) => {
            create::end_forking(&**medium)?;
            *root
        }
        Found::Nothing => {
            created = true;
            create::create(medium, options, options.clock.wall())?
        }
    };
    check_face(&root, &options.face)?;
    let looked = read(medium, Access::Write, &root)?;
    let (mut chain, replayed, mut report) = (looked.chain, looked.replayed, looked.report);
    check_version(&replayed.summary, &options.face)?;
    if let Some(damage) = chain.damage.clone().or(replayed.damage.clone()) {
        return Err(damage);
    }
    let limits = options.limits.clone();
    let (start, cut) = match judge(&replayed.evidence) {
        Verdict::Refuse(what) => return Err(refusal(&chain, &replayed, what)),
        Verdict::Continue => (recovery::resume(&chain, &root, replayed)?, None),
        Verdict::Mend if created => (fresh_start(&chain, replayed)?, None),
        Verdict::Mend => recovery::mend(medium, &mut chain, &mut root, &limits, replayed)?,
    };
    recovery::sweep(&**medium, &mut chain);
    root.mend_identity()?;
    lease::sign(&**medium, options.clock.wall());
    report.created = created;
    report.clean = start.sealed || created;
    report.cut = cut;
    let summary = start.summary.clone();
    let last = summary.position().lsn;
    Ok(Opened { root, chain, report, last, summary, writer: Some((start, lease)) })
}

/// A journal created just now has nothing to mend: its first segment is empty and durable.
fn fresh_start(chain: &Chain, replayed: Replayed) -> Result<TailStart> {
    let tail = &chain.stretches[chain.stretches.len() - 1];
    let first = crate::position::Epoch::ZERO.next();
    Ok(TailStart {
        segment: tail.segment.clone(),
        place: replayed.place,
        epoch: first.unwrap_or_default(),
        summary: replayed.summary,
        live_bytes: tail.segment.birth.capacity,
        used_bytes: 0,
        sealed: false,
        bytes_since_snapshot: replayed.bytes,
        records_since_snapshot: replayed.records,
    })
}

fn open_read_only(medium: &Arc<dyn Medium>, options: &Options) -> Result<Opened> {
    let mut looks = 0;
    loop {
        looks += 1;
        let opened = look_once(medium, options);
        // A live writer may roll, compact or append while we read; what is really damaged stays so.
        match opened {
            Err(error) if *error.kind() == ErrorKind::Damaged && looks < LOOKS_MAX => {
                std::thread::yield_now()
            }
            Ok(opened) if opened.report.damage.is_some() && looks < LOOKS_MAX => std::thread::yield_now(),
            opened => return opened,
        }
    }
}

fn look_once(medium: &Arc<dyn Medium>, options: &Options) -> Result<Opened> {
    let root = match create::look(&**medium, Access::Read)? {
        Found::Journal(root) => *root,
        Found::Nothing => return Err(nothing_there(&**medium)),
    };
    check_face(&root, &options.face)?;
    let looked = read(medium, Access::Read, &root)?;
    let (chain, replayed, mut report) = (looked.chain, looked.replayed, looked.report);
    check_version(&replayed.summary, &options.face)?;
    let verdict = judge(&replayed.evidence);
    let mut damage = chain.damage.clone().or(replayed.damage.clone());
    if let (None, Verdict::Refuse(what)) = (&damage, verdict) {
        damage = Some(refusal(&chain, &replayed, what));
    }
    let whole = replayed.summary.position().lsn;
    let mut summary = replayed.summary;
    let last = match (damage, options.damaged) {
        (Some(damage), Damaged::Refuse) => return Err(damage),
        (Some(damage), Damaged::ReadOnly) => {
            report.damage = Some(damage);
            whole
        }
        (None, _) if verdict == Verdict::Continue => whole,
        (None, _) => {
            summary = summary.with_pins(replayed.pins);
            // A mark may prove a part of a transaction, and none of it is shown before all of it.
            replayed.kept.first().map_or(whole, |kept| kept.whole_before)
        }
    };
    report.clean = verdict == Verdict::Continue;
    report.unproven = whole.get() - last.get();
    report.position = summary.position_of(last);
    Ok(Opened { root, chain, report, last, summary, writer: None })
}

struct Looked {
    chain: Chain,
    replayed: Replayed,
    report: Report,
}

/// Reads what opening has to check: birth headers, seals, links, the newest snapshot's list and all frames after it.
fn read(medium: &Arc<dyn Medium>, access: Access, root: &RootFile) -> Result<Looked> {
    let mut flaws = root.flaws.clone();
    let (base, snapshot) = base(&**medium, root, &mut flaws)?;
    // With a copy that does not check, the slot may be an older one.
    let newest = root.flaws.is_empty();
    let chain = chain::assemble(&**medium, access, root.identity.id, &root.slot, newest)?;
    flaws.extend(chain.remarks.iter().cloned());
    let replayed = replay::replay(&chain, &root.slot, base)?;
    let report = Report {
        position: replayed.summary.position(),
        horizon: root.slot.horizon(),
        snapshot,
        replayed: replayed.records,
        flaws,
        cautions: medium.caution().into_iter().collect(),
        ..Report::default()
    };
    Ok(Looked { chain, replayed, report })
}

/// What replay starts from: the newest snapshot that checks, or nothing while the log is whole.
fn base(
    medium: &dyn Medium,
    root: &RootFile,
    flaws: &mut Vec<Error>,
) -> Result<(Summary, Option<crate::position::Position>)> {
    let horizon = root.slot.horizon();
    for position in snapshot::list::positions(medium)? {
        if position.lsn < horizon.lsn {
            continue;
        }
        let list = snapshot::list::read(medium, position);
        let summary = list.and_then(|list| match list.journal_id == root.identity.id {
            true => Summary::decode(&list.summary),
            false => {
                Err(Error::damaged(crate::medium::name::snapshot(position), 0, "snapshot of another journal"))
            }
        });
        match summary {
            Ok(summary) => return Ok((summary, Some(position))),
            Err(error) if *error.kind() == ErrorKind::NewerFormat => return Err(error),
            Err(error) => flaws.push(error),
        }
    }
    if horizon.lsn > Lsn::ZERO {
        let error = Error::new(ErrorKind::Damaged, "no snapshot at or above the horizon checks");
        return Err(error.at_lsn(horizon.lsn).advise("restore a snapshot file from a backup"));
    }
    Ok((Summary::default(), None))
}

fn refusal(chain: &Chain, replayed: &Replayed, what: &str) -> Error {
    let tail = &chain.stretches[chain.stretches.len() - 1];
    let what = format!("{what}: {}", replayed.stop);
    Error::damaged(&tail.segment.name, replayed.evidence.offset, what)
        .at_lsn(replayed.evidence.next_lsn)
        .advise("run everlog verify, then everlog salvage; nothing was changed")
}

fn nothing_there(medium: &dyn Medium) -> Error {
    Error::new(ErrorKind::Missing, format!("there is no journal in {}", medium.label()))
        .advise("check the path, or mount the disk; nothing was created")
}

/// A journal is opened as what it is, or not at all (J15).
fn check_face(root: &RootFile, face: &Face) -> Result<()> {
    let creation = &root.identity.creation;
    let Some(kind) = face.kind else { return Ok(()) };
    if creation.face == kind && creation.type_name == face.type_name && creation.codec == face.codec {
        return Ok(());
    }
    let words = ["raw records", "events of the type", "a store"];
    let word = |face: u8| words.get(usize::from(face)).copied().unwrap_or("something unknown");
    let what = format!(
        "the journal holds {} {:?} (codec {}), not {} {:?} (codec {})",
        word(creation.face),
        creation.type_name,
        creation.codec,
        word(kind),
        face.type_name,
        face.codec,
    );
    Err(Error::new(ErrorKind::WrongType, what).advise("open it as what it is; nothing was changed"))
}

fn check_version(summary: &Summary, face: &Face) -> Result<()> {
    if face.kind.is_none() || summary.type_version_max <= face.type_version {
        return Ok(());
    }
    let what = format!(
        "the journal holds events of version {}, this program knows {} at most",
        summary.type_version_max, face.type_version
    );
    Err(Error::new(ErrorKind::WrongType, what).advise("use the newer program; nothing was changed"))
}
