//! `everlog rollback` and `undo`: the way back, looked at first and then taken as an ordinary commit.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::error::{Error, ErrorKind};
use crate::store::{RollbackPreview, Store, UndoScope};
use crate::tool::outcome::{Outcome, Stop, Verdict, command, quoted};
use crate::tool::render::{Form, Output, clean, plural};
use crate::tool::store::open::{Missing, Said, path_of, reading, trying, writing};
use crate::tool::store::show::{ChangeShown, changes, committed};
use crate::tool::when::When;

/// Return a store to the state of an earlier moment; shows what would change, and asks first
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// The store's directory
    pub(crate) dir: PathBuf,
    /// The moment
    when: When,
    /// Only what lies below this path; may be given several times
    #[arg(long, value_name = "PATH")]
    only: Vec<String>,
    /// Only say what would change; change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short = 'y', conflicts_with = "dry_run")]
    yes: bool,
    #[command(flatten)]
    said: Said,
}

/// Take back the newest commit of an undo scope, or do it again
#[derive(Debug, Args)]
pub(crate) struct Undo {
    /// The store's directory
    pub(crate) dir: PathBuf,
    /// The scope's name
    scope: String,
    /// Do again what was taken back last
    #[arg(long)]
    redo: bool,
    /// Let it go without taking it back, or doing it again: for one in conflict with what others did
    #[arg(long, conflicts_with = "dry_run")]
    skip: bool,
    /// List what can be taken back and done again
    #[arg(long, conflicts_with_all = ["redo", "skip", "dry_run"])]
    list: bool,
    /// Only say what would change; change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    said: Said,
}

pub(crate) fn rollback(args: &Rollback, form: Form) -> Outcome {
    let mut output = Output::new(form);
    if !args.yes {
        let store = trying(&args.dir, Missing::Refuse, &args.said)?;
        let preview = prepare(&store, args)?;
        show(&mut output, &preview)?;
        preview.foresee()?;
        if args.dry_run || preview.changes().is_empty() {
            if !output.is_json() {
                output.line("nothing was changed")?;
            }
            output.flush()?;
            return Ok(Verdict::Well);
        }
        output.flush()?;
        if !is_agreed(&output)? {
            let only = args.only.iter().map(|path| format!("--only {} ", quoted(Path::new(path))));
            let rest = format!("{} {}--yes", preview.target(), only.collect::<String>());
            let next = command("rollback", &args.dir, &rest);
            let error = Error::new(ErrorKind::Refused, "not rolled back: nobody agreed to it");
            return Err(Stop::Failed(error.advise(next)));
        }
    }
    let receipt = writing(&args.dir, Missing::Refuse, &args.said, |store| {
        let preview = prepare(store, args)?;
        if args.yes {
            show(&mut output, &preview)?;
        }
        let is_empty = preview.changes().is_empty();
        Ok((preview.commit()?, !is_empty))
    })?;
    committed(&mut output, &receipt.0, receipt.1)?;
    Ok(Verdict::Well)
}

fn prepare(store: &Store, args: &Rollback) -> Outcome<RollbackPreview> {
    let preview = store.rollback_to(&args.when)?;
    if args.only.is_empty() {
        return Ok(preview);
    }
    let only: Vec<_> = args.only.iter().map(|path| path_of(path, &args.dir)).collect::<Outcome<_>>()?;
    Ok(preview.only(only)?)
}

fn show(output: &mut Output, preview: &RollbackPreview) -> Outcome<()> {
    if output.is_json() {
        for (word, changes) in [("changes", preview.changes()), ("kept", preview.kept())] {
            for change in changes {
                output.json(&ChangeShown::of(change).in_rollback(word))?;
            }
        }
        return Ok(());
    }
    let (from, target) = (preview.from(), preview.target());
    let number = plural(preview.changes().len() as u64, "change");
    output.line(format!("from {from} back to the state at {target}: {number}"))?;
    changes(output, preview.changes())?;
    if !preview.kept().is_empty() {
        output.line("left as it is, since it is not rolled back:")?;
        changes(output, preview.kept())?;
    }
    Ok(())
}

/// Asks, where somebody is there to answer.
fn is_agreed(output: &Output) -> Outcome<bool> {
    if output.is_json() || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(false);
    }
    let failed = |error| Error::io("read", "the terminal", error);
    io::stderr().write_all(b"roll back? [y/N] ").map_err(failed)?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(failed)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

pub(crate) fn undo(args: &Undo, form: Form) -> Outcome {
    let mut output = Output::new(form);
    if args.list || args.dry_run {
        let store = reading(&args.dir)?;
        let scope = scope_of(&store, &args.scope, &args.dir)?;
        if args.list {
            list(&mut output, &scope)?;
        } else {
            foresee(&mut output, &scope, args.redo)?;
        }
        output.flush()?;
        return Ok(Verdict::Well);
    }
    let receipt = writing(&args.dir, Missing::Refuse, &args.said, |store| {
        let scope = scope_of(store, &args.scope, &args.dir)?;
        Ok(match (args.skip, args.redo) {
            (false, false) => scope.undo()?,
            (false, true) => scope.redo()?,
            (true, false) => scope.skip_undo()?,
            (true, true) => scope.skip_redo()?,
        })
    })?;
    committed(&mut output, &receipt, true)?;
    Ok(Verdict::Well)
}

/// The scope over all that the store ever had: what it may change is what it did.
fn scope_of(store: &Store, name: &str, dir: &Path) -> Outcome<UndoScope> {
    let collections = store.view().collections_ever();
    if collections.is_empty() {
        let error = Error::new(ErrorKind::Absent, "the store has nothing to undo");
        return Err(error.advise(command("timeline", dir, "")).into());
    }
    let prefixes = collections.iter().map(|name| crate::store::Path::of_segments([name.as_str()]));
    Ok(store.undo_scope(name, prefixes)?)
}

fn list(output: &mut Output, scope: &UndoScope) -> Outcome<()> {
    if !output.is_json() && scope.redo_labels().is_empty() && scope.undo_labels().is_empty() {
        return output.line("nothing to undo or redo");
    }
    for (can, labels) in [("redo", scope.redo_labels()), ("undo", scope.undo_labels())] {
        for label in labels {
            match output.is_json() {
                true => output.json(&serde_json::json!({ "can": can, "label": label }))?,
                false => output.line(format!("{can} {}", clean(&label)))?,
            }
        }
    }
    Ok(())
}

fn foresee(output: &mut Output, scope: &UndoScope, redo: bool) -> Outcome<()> {
    let (label, found) = if redo { scope.foresee_redo()? } else { scope.foresee_undo()? };
    if !output.is_json() {
        let way = if redo { "redo" } else { "undo" };
        output.line(format!("would {way} {}; nothing was changed", clean(&label)))?;
    }
    changes(output, &found)
}
