//! How the command opens a store: for reading beside anybody, for writing, and what a commit says about itself.

use std::path::Path;
use std::sync::Arc;

use clap::Args;

use crate::error::{Error, ErrorKind};
use crate::journal::options::{FACE_RAW, FACE_STORE};
use crate::journal::{Background, Damaged};
use crate::medium::Sim;
use crate::state::Meta;
use crate::store::{IntoPath, Store, View};
use crate::tool::log::open_for_reading;
use crate::tool::outcome::{Outcome, Stop, Verdict, command, tell, with_next};
use crate::tool::render::{Output, plural};
use crate::tool::when::When;

/// What a commit says about itself.
#[derive(Debug, Default, Args)]
pub(crate) struct Said {
    /// Who does it, for the history
    #[arg(long, value_name = "WHO")]
    actor: Option<String>,
    /// Why, for the history
    #[arg(long, value_name = "WHY")]
    cause: Option<String>,
}

impl Said {
    fn meta(&self) -> Option<Meta> {
        if self.actor.is_none() && self.cause.is_none() {
            return None;
        }
        let meta = self.actor.iter().fold(Meta::new(), |meta, actor| meta.actor(actor));
        Some(self.cause.iter().fold(meta, |meta, cause| meta.cause(cause)))
    }
}

/// Whether a missing store is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Create,
    Refuse,
}

/// How a verb that may make a store writes.
#[derive(Debug, Args)]
pub(crate) struct Way {
    /// Refuse to create a store
    #[arg(long)]
    must_exist: bool,
    /// Only say what would change; change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) said: Said,
}

impl Way {
    pub(crate) fn missing(&self) -> Missing {
        if self.must_exist { Missing::Refuse } else { Missing::Create }
    }
}

/// Opens a store for reading, beside a live writer too; a damaged one up to the damage. Creates nothing.
pub(crate) fn reading(dir: &Path) -> Outcome<Store> {
    let opened = Store::options().damaged(Damaged::ReadOnly).open(dir);
    opened.map_err(|error| explain(error, dir).into())
}

/// Opens a store to try out what a commit would come to, without a trace: as for reading. One that would be made is there
/// in memory.
pub(crate) fn trying(dir: &Path, missing: Missing, said: &Said) -> Outcome<Store> {
    let store = match reading(dir) {
        Err(Stop::Failed(error)) if missing == Missing::Create && *error.kind() == ErrorKind::Missing => {
            let options = Store::options().journal(|journal| journal.background(Background::Inline));
            options.open_on(Arc::new(Sim::new(0)))?
        }
        opened => opened?,
    };
    if let Some(damage) = &store.report().damage {
        return Err(damage.clone().advise(command("verify", dir, "")).into());
    }
    Ok(said.meta().map_or(store.clone(), |meta| store.with_meta(meta)))
}

/// Opens a store for writing and runs `work` on it; the first error counts.
pub(crate) fn writing<T>(
    dir: &Path,
    missing: Missing,
    said: &Said,
    work: impl FnOnce(&Store) -> Outcome<T>,
) -> Outcome<T> {
    let options = match missing {
        Missing::Create => Store::options(),
        Missing::Refuse => Store::options().must_exist(),
    };
    let store = options.open(dir).map_err(|error| explain(error, dir))?;
    if store.report().created {
        eprintln!("created {}", dir.display());
    }
    let worked = work(&said.meta().map_or(store.clone(), |meta| store.with_meta(meta)));
    let closed = store.close();
    let value = worked?;
    closed?;
    Ok(value)
}

/// Says what to use where the directory holds no store.
fn explain(error: Error, dir: &Path) -> Error {
    if *error.kind() != ErrorKind::WrongType {
        return with_next(error, dir);
    }
    let Ok(journal) = open_for_reading(dir) else { return error };
    let creation = journal.identity().creation;
    let (what, next) = match creation.face {
        FACE_RAW => ("raw records, which have no state", command("log", dir, "")),
        FACE_STORE => return error,
        _ => (
            "events of a type that only its application folds",
            format!("ask the application for its state, or see the events: {}", command("log", dir, "")),
        ),
    };
    Error::new(ErrorKind::WrongType, format!("not a store: the journal holds {what}")).advise(next)
}

/// The state at a moment, or the newest.
pub(crate) fn view_at(store: &Store, at: Option<&When>) -> Outcome<View> {
    Ok(match at {
        Some(when) => store.at(when)?,
        None => store.view(),
    })
}

/// A path that may be looked at: not into what the store keeps for itself.
pub(crate) fn path_of(text: &str, dir: &Path) -> Outcome<crate::store::Path> {
    let path = text.into_path()?;
    check_users(&path, dir)?;
    Ok(path)
}

pub(crate) fn check_users(path: &crate::store::Path, dir: &Path) -> Outcome<()> {
    if path.collection().starts_with('$') {
        let what = format!("collection {:?} is the store's own, and no verb shows it", path.collection());
        return Err(Error::new(ErrorKind::Input, what).advise(command("keys", dir, "")).into());
    }
    Ok(())
}

/// Ends a reading verb: says what it could not see.
pub(crate) fn finish(store: &Store, dir: &Path, output: &mut Output) -> Outcome {
    let report = store.report();
    if report.unproven > 0 && !output.is_json() {
        let what = format!(
            "{} beyond the last proven mark not looked at: a writer is at work, or crashed",
            plural(report.unproven, "more record")
        );
        let note = Error::new(ErrorKind::Busy, what).advise(command("recover", dir, "--dry-run"));
        tell(output, "note", &note)?;
    }
    let verdict = match &report.damage {
        None => Verdict::Well,
        Some(damage) => {
            tell(output, "fault", &damage.clone().advise(command("verify", dir, "")))?;
            Verdict::Findings
        }
    };
    output.flush()?;
    Ok(verdict)
}

/// There is nothing at a path.
pub(crate) fn absent(path: &str, dir: &Path) -> Stop {
    let error = Error::new(ErrorKind::Absent, format!("there is nothing at {path}"));
    Stop::Failed(error.advise(command("keys", dir, "")))
}
