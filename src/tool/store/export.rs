//! `everlog export`: a store, or a part of it, as JSON or JSON Lines, as it is or was.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::medium::outside;
use crate::store::{Form as Layout, Path, View};
use crate::tool::outcome::{Outcome, Stop, quiet, usage};
use crate::tool::render::{Form, Output};
use crate::tool::store::look::left_out;
use crate::tool::store::open::{absent, finish, path_of, reading, view_at};
use crate::tool::when::When;

/// Write a store, or what is at a path, as JSON or JSON Lines
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The store's directory
    pub(crate) dir: PathBuf,
    /// What: a collection, or anything in one; all if not given
    path: Option<String>,
    /// As it was at this moment
    #[arg(long, value_name = "WHEN")]
    at: Option<When>,
    /// One line of JSON for each document and each entry of a series, which import reads again
    #[arg(long)]
    lines: bool,
    /// The file to write or replace; standard output if not given
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn export(args: &Export, form: Form) -> Outcome {
    let mut output = Output::new(form);
    let path = args.path.as_deref().map(|path| path_of(path, &args.dir)).transpose()?;
    if args.lines && path.as_ref().is_some_and(|path| path.key().is_some()) {
        return Err(usage(
            "lines are written of whole collections",
            "leave out --lines, or name a collection",
        ));
    }
    let store = reading(&args.dir)?;
    let view = view_at(&store, args.at.as_ref())?;
    if let Some(path) = path.as_ref().filter(|path| !is_there(&view, path)) {
        return Err(absent(&path.to_string(), &args.dir));
    }
    let mut left = 0;
    match &args.output {
        None => left = write(args, form, &view, path.as_ref(), output.writer())?,
        Some(file) => {
            let mut fault = None;
            let replaced = outside::replace(file, |to| {
                let written = write(args, form, &view, path.as_ref(), to);
                match written {
                    Ok(entries) => left = entries,
                    Err(Stop::Failed(error)) => return Err(error),
                    Err(Stop::ClosedPipe) => fault = Some(Stop::ClosedPipe),
                }
                Ok(())
            });
            replaced?;
            fault.map_or(Ok(()), Err)?;
        }
    }
    left_out(left, &args.dir);
    finish(&store, &args.dir, &mut output)
}

/// Also where it cannot be read, which writing then says.
fn is_there(view: &View, path: &Path) -> bool {
    match path.key() {
        None => view.collections().iter().any(|name| name == path.collection()),
        Some(_) => view.contains(path).unwrap_or(true),
    }
}

/// Writes what was asked for; returns how many entries of series have no place in it.
fn write(
    args: &Export,
    form: Form,
    view: &View,
    path: Option<&Path>,
    mut to: &mut dyn Write,
) -> Outcome<u64> {
    if args.lines {
        let collections: Vec<&str> = path.iter().map(|path| path.collection()).collect();
        view.export_lines(&collections, to).map_err(quiet)?;
        return Ok(0);
    }
    let layout = if form == Form::Json { Layout::Compact } else { Layout::Pretty };
    let exported = match path {
        None => view.export_whole(layout, &mut to),
        Some(path) => view.export_json(path, layout, &mut to),
    };
    let left = exported.map_err(quiet)?.entries_left_out;
    to.write_all(b"\n")?;
    Ok(left)
}
