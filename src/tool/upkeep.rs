//! `everlog snapshot`, `compact` and `pin`: what keeps a journal small, and what holds it back.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::error::{Error, ErrorKind};
use crate::journal::options::{FACE_RAW, FACE_STORE, Face};
use crate::journal::{Journal, Options, Pin, Retention};
use crate::position::Lsn;
use crate::tool::log::open_for_reading;
use crate::tool::outcome::{Outcome, Verdict, command, usage, with_next};
use crate::tool::render::{Form, Output, bytes, clean, plural};
use crate::tool::store::{Missing, Said, writing};
use crate::tool::when::{When, parse_bytes, parse_span};

/// Make a snapshot, so that the next opening replays only what follows it
#[derive(Debug, Args)]
pub(crate) struct Snapshot {
    /// The journal's directory
    pub(crate) dir: PathBuf,
}

/// Remove history older than asked for; pinned positions stay
#[derive(Debug, Args)]
pub(crate) struct Compact {
    /// The journal's directory
    pub(crate) dir: PathBuf,
    /// Keep every instant as far back as this: 90s, 15m, 2h, 7d
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    keep_age: Option<Duration>,
    /// Keep at most this many bytes of segments: 4096, 64KiB, 2GiB
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    keep_bytes: Option<u64>,
    /// Only say what would go; change nothing
    #[arg(long)]
    dry_run: bool,
}

/// List pins, or keep a position from being compacted away, under a name
#[derive(Debug, Args)]
pub(crate) struct PinVerb {
    /// The journal's directory
    pub(crate) dir: PathBuf,
    /// The pin's name; without it all pins are listed
    name: Option<String>,
    /// What it keeps; the last record if not given
    #[arg(conflicts_with = "remove")]
    when: Option<When>,
    /// Something to remember about it
    #[arg(long, requires = "name", conflicts_with = "remove")]
    note: Option<String>,
    /// Remove the pin
    #[arg(long, requires = "name")]
    remove: bool,
}

/// Opens an existing journal of any face for writing.
fn open_for_writing(dir: &Path) -> Outcome<Journal> {
    Options::new().must_exist().face(Face::any()).open(dir).map_err(|error| with_next(error, dir).into())
}

/// Runs `work` and closes; the first error counts.
fn closing<T>(journal: &Journal, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    let worked = work();
    let closed = journal.close();
    let value = worked?;
    closed?;
    Ok(value)
}

/// What can be kept small from here.
enum Kept {
    /// Raw records, which have no state.
    Records,
    /// A store, whose fold is ours.
    Store,
}

/// Of anything else only the application knows the fold, and has to do it.
fn kept_here(dir: &Path, verb: &str) -> Outcome<Kept> {
    let journal = open_for_reading(dir)?;
    let creation = journal.identity().creation;
    match creation.face {
        FACE_RAW => return Ok(Kept::Records),
        FACE_STORE => return Ok(Kept::Store),
        _ => {}
    }
    let what = format!(
        "the journal holds events of the type {:?}: only the application that folds them can {verb} it",
        creation.type_name
    );
    Err(Error::new(ErrorKind::WrongType, what)
        .advise(format!("call {verb}() in the application; nothing was changed"))
        .into())
}

pub(crate) fn snapshot(args: &Snapshot, form: Form) -> Outcome {
    let mut output = Output::new(form);
    let position = match kept_here(&args.dir, "snapshot")? {
        Kept::Store => writing(&args.dir, Missing::Refuse, &Said::default(), |store| Ok(store.snapshot()?))?,
        Kept::Records => {
            let journal = open_for_writing(&args.dir)?;
            closing(&journal, || Ok(journal.snapshot()?))?
        }
    };
    if output.is_json() {
        output.json(&serde_json::json!({ "position": position.to_string() }))?;
    } else {
        output.line(format!("snapshot at {position}; the next opening replays what follows it"))?;
    }
    output.flush()?;
    Ok(Verdict::Well)
}

#[derive(Serialize)]
struct Compacted {
    dry_run: bool,
    horizon: String,
    segments_removed: u64,
    bytes_freed: u64,
    snapshots_removed: u64,
}

pub(crate) fn compact(args: &Compact, form: Form) -> Outcome {
    let mut output = Output::new(form);
    let mut retention = Retention::forever();
    if args.keep_age.is_none() && args.keep_bytes.is_none() {
        let next = command("compact", &args.dir, "--keep-age 7d --dry-run");
        return Err(usage("say how much to keep, with --keep-age or --keep-bytes", next));
    }
    if let Some(age) = args.keep_age {
        retention = retention.age(age);
    }
    if let Some(bytes) = args.keep_bytes {
        retention = retention.bytes(bytes);
    }
    let kept = kept_here(&args.dir, "compact")?;
    let compacted =
        if args.dry_run { foresee(&args.dir, &retention)? } else { let_go(args, &kept, &retention)? };
    if output.is_json() {
        output.json(&compacted)?;
    } else {
        let (would, horizon) =
            if args.dry_run { ("would remove", "would be at least") } else { ("removed", "is now") };
        output.line(format!(
            "{would} {} ({}); the horizon {horizon} {}",
            plural(compacted.segments_removed, "segment"),
            bytes(compacted.bytes_freed),
            compacted.horizon
        ))?;
    }
    output.flush()?;
    Ok(Verdict::Well)
}

fn let_go(args: &Compact, kept: &Kept, retention: &Retention) -> Outcome<Compacted> {
    let done = match kept {
        Kept::Store => {
            writing(&args.dir, Missing::Refuse, &Said::default(), |store| Ok(store.compact(retention)?))?
        }
        Kept::Records => {
            let journal = open_for_writing(&args.dir)?;
            closing(&journal, || Ok(journal.compact(retention)?))?
        }
    };
    Ok(Compacted {
        dry_run: false,
        horizon: done.horizon.to_string(),
        segments_removed: done.segments_removed,
        bytes_freed: done.bytes_freed,
        snapshots_removed: done.snapshots_removed,
    })
}

/// What compaction would free, found by reading.
fn foresee(dir: &Path, retention: &Retention) -> Outcome<Compacted> {
    let journal = open_for_reading(dir)?;
    if let Some(damage) = &journal.report().damage {
        return Err(with_next(damage.clone(), dir).into());
    }
    let horizon = journal.horizon();
    let target = journal.compaction_target(retention)?.unwrap_or(Lsn::ZERO);
    let legs = journal.history().legs();
    let going = legs.windows(2).filter(|pair| pair[1].first_lsn.before() <= target);
    let bytes: Vec<u64> = going.map(|pair| pair[0].segment.birth.capacity).collect();
    let horizon = match target > horizon.lsn {
        true => journal.with_summary(|summary| summary.position_of(target)),
        false => horizon,
    };
    Ok(Compacted {
        dry_run: true,
        horizon: horizon.to_string(),
        segments_removed: bytes.len() as u64,
        bytes_freed: bytes.iter().sum(),
        snapshots_removed: 0,
    })
}

pub(crate) fn pin(args: &PinVerb, form: Form) -> Outcome {
    let mut output = Output::new(form);
    match &args.name {
        None => list(&open_for_reading(&args.dir)?.pins(), &mut output)?,
        Some(name) if args.remove => {
            let journal = open_for_writing(&args.dir)?;
            closing(&journal, || Ok(journal.unpin(name)?))?;
            say(&mut output, name, "removed")?;
        }
        Some(name) => {
            let journal = open_for_writing(&args.dir)?;
            let pin = closing(&journal, || {
                let position = match &args.when {
                    Some(when) => when.position(&journal)?,
                    None => journal.position(),
                };
                journal.pin(name, position, args.note.as_deref().unwrap_or_default())?;
                Ok(journal.find_pin(name)?)
            })?;
            list(&[pin], &mut output)?;
        }
    }
    output.flush()?;
    Ok(Verdict::Well)
}

fn say(output: &mut Output, name: &str, done: &str) -> Outcome<()> {
    match output.is_json() {
        true => output.json(&serde_json::json!({ "pin": name, "done": done })),
        false => output.line(format!("pin {} {done}", clean(name))),
    }
}

fn list(pins: &[Pin], output: &mut Output) -> Outcome<()> {
    if output.is_json() {
        for pin in pins {
            let (position, time) = (pin.position.to_string(), pin.time.to_string());
            let line =
                serde_json::json!({ "pin": pin.name, "position": position, "time": time, "note": pin.note });
            output.json(&line)?;
        }
        return Ok(());
    }
    if pins.is_empty() {
        return output.line("no pins");
    }
    let row =
        |pin: &Pin| vec![clean(&pin.name), pin.position.to_string(), pin.time.to_string(), clean(&pin.note)];
    output.table(&["pin", "position", "time", "note"], pins.iter().map(row).collect(), &[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::tool::outcome::Stop;

    fn refusal<T>(outcome: Outcome<T>) -> Error {
        match outcome {
            Err(Stop::Failed(error)) => error,
            _ => panic!("not refused"),
        }
    }

    #[test]
    fn journals_of_typed_events_are_left_to_their_application() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("typed");
        let face = Face { kind: Some(1), type_name: "bank".to_owned(), codec: 1, type_version: 1 };
        Options::new().face(face).open(&dir).unwrap().close().unwrap();
        let compact = Compact { dir: dir.clone(), keep_age: None, keep_bytes: Some(1), dry_run: false };
        for refused in [
            refusal(snapshot(&Snapshot { dir: dir.clone() }, Form::Json)),
            refusal(self::compact(&compact, Form::Json)),
            refusal(crate::tool::append::open(&dir)),
        ] {
            assert_eq!(*refused.kind(), ErrorKind::WrongType);
            assert!(refused.what().contains("bank"), "{refused}");
            assert!(refused.next().is_some_and(|next| next.contains("application")), "{refused}");
        }
        let open = Options::new().must_exist().face(Face::any()).open(&dir).unwrap();
        assert_eq!(open.report().replayed, 0, "nothing was appended");
    }
}
