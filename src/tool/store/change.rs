//! `everlog set` and `remove`: one change of a store, durable before its position is printed.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;

use crate::error::{Error, ErrorKind};
use crate::store::{IntoPath, Path, PathChange, Value, View};
use crate::tool::outcome::{Outcome, Stop, Verdict};
use crate::tool::render::{Form, Output};
use crate::tool::store::open::{Missing, Said, absent, reading, writing};
use crate::tool::store::show::{changes, committed};

/// Put a JSON value at a path of a store; print the commit's position when it is durable
#[derive(Debug, Args)]
pub(crate) struct Set {
    /// The store's directory; created if it is missing
    pub(crate) dir: PathBuf,
    /// Where: notes.a.title, or /notes/a/title
    path: String,
    /// JSON, such as 42, '"text"' or '{"a": [1]}'; - reads it from standard input
    #[arg(allow_negative_numbers = true)]
    value: String,
    /// The value is text as it stands, not JSON
    #[arg(long)]
    text: bool,
    /// Refuse to create a store
    #[arg(long)]
    must_exist: bool,
    /// Only say what would change; change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    said: Said,
}

/// Take out what is at a path of a store
#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// The store's directory
    pub(crate) dir: PathBuf,
    /// Where; the name of a collection alone empties it
    path: String,
    /// Only say what would change; change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    said: Said,
}

pub(crate) fn set(args: &Set, form: Form) -> Outcome {
    let mut output = Output::new(form);
    let path = args.path.as_str().into_path()?;
    let value = value_of(args)?;
    if args.dry_run {
        let view = match (reading(&args.dir), args.must_exist) {
            (Err(Stop::Failed(error)), false) if *error.kind() == ErrorKind::Missing => View::nothing(),
            (opened, _) => opened?.view(),
        };
        let after = view.rehearse_set(&path, value)?;
        return foresee(&mut output, path, &view, &after);
    }
    let missing = if args.must_exist { Missing::Refuse } else { Missing::Create };
    let (changed, receipt) = writing(&args.dir, missing, &args.said, |store| {
        Ok(store.transaction(|tx| tx.set_value(&path, value))?)
    })?;
    committed(&mut output, &receipt, changed)?;
    Ok(Verdict::Well)
}

pub(crate) fn remove(args: &Remove, form: Form) -> Outcome {
    let mut output = Output::new(form);
    let path = args.path.as_str().into_path()?;
    // Looked at first, so that a no leaves no trace of a writer.
    let view = reading(&args.dir)?.view();
    if args.dry_run {
        is_there(&view, &args.path, &args.dir)?;
        let after = view.rehearse_remove(&path)?;
        return foresee(&mut output, path, &view, &after);
    }
    let (changed, receipt) = writing(&args.dir, Missing::Refuse, &args.said, |store| {
        Ok(store.transaction(|tx| tx.remove(&path))?)
    })?;
    if !changed {
        return Err(absent(&args.path, &args.dir));
    }
    committed(&mut output, &receipt, changed)?;
    Ok(Verdict::Well)
}

fn is_there(view: &View, path: &str, dir: &std::path::Path) -> Outcome<()> {
    if view.contains(path)? { Ok(()) } else { Err(absent(path, dir)) }
}

/// Says what a change would do.
fn foresee(output: &mut Output, path: Path, view: &View, after: &View) -> Outcome {
    let (old, new) = (view.get_value(&path)?, after.get_value(&path)?);
    if old != new {
        changes(output, &[PathChange { path, old, new, entry: None }])?;
    }
    if !output.is_json() {
        output.line("nothing was changed: this is a dry run")?;
    }
    output.flush()?;
    Ok(Verdict::Well)
}

/// The value as typed, or as it comes from standard input.
fn value_of(args: &Set) -> Outcome<Value> {
    let mut piped = String::new();
    let text = match args.value.as_str() {
        "-" => {
            let read = std::io::stdin().read_to_string(&mut piped);
            read.map_err(|error| Error::io("read", "standard input", error))?;
            piped.as_str()
        }
        typed => typed,
    };
    if args.text {
        return Ok(Value::from(text));
    }
    Value::parse(text.as_bytes()).map_err(|error| {
        let next = "write it as JSON, '\"text\"' with its quotes, or give --text";
        Error::new(ErrorKind::Input, format!("the value is not JSON: {}", error.what())).advise(next).into()
    })
}
