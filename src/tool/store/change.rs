//! `everlog set` and `remove`: one change of a store, durable before its position is printed.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;

use crate::error::{Error, ErrorKind};
use crate::store::{IntoPath, Value};
use crate::tool::outcome::{Outcome, Verdict};
use crate::tool::render::{Form, Output};
use crate::tool::store::open::{Missing, Said, Way, absent, trying, writing};
use crate::tool::store::show::{committed, foreseen};

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
    #[command(flatten)]
    way: Way,
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
    let Way { dry_run, said, .. } = &args.way;
    // What is refused leaves no empty store behind.
    if *dry_run || !args.dir.exists() {
        let store = trying(&args.dir, args.way.missing(), said)?;
        let preflight = store.try_out(|tx| tx.set_value(&path, value.clone()))?.1.clear()?;
        if *dry_run {
            return foreseen(&mut output, &preflight);
        }
    }
    let (changed, receipt) = writing(&args.dir, args.way.missing(), said, |store| {
        Ok(store.transaction(|tx| tx.set_value(&path, value))?)
    })?;
    committed(&mut output, &receipt, changed)?;
    Ok(Verdict::Well)
}

pub(crate) fn remove(args: &Remove, form: Form) -> Outcome {
    let mut output = Output::new(form);
    let path = args.path.as_str().into_path()?;
    // Tried out first, so that a no leaves no trace of a writer.
    let store = trying(&args.dir, Missing::Refuse, &args.said)?;
    let (changed, preflight) = store.try_out(|tx| tx.remove(&path))?;
    if !changed && preflight.is_clear() && store.report().unproven == 0 {
        return Err(absent(&args.path, &args.dir));
    }
    if args.dry_run {
        return foreseen(&mut output, &preflight.clear()?);
    }
    drop(store);
    let (changed, receipt) = writing(&args.dir, Missing::Refuse, &args.said, |store| {
        Ok(store.transaction(|tx| tx.remove(&path))?)
    })?;
    if !changed {
        return Err(absent(&args.path, &args.dir));
    }
    committed(&mut output, &receipt, changed)?;
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
        let reason = error.what().trim_start_matches("text is not JSON: ");
        let next = "write it as JSON, '\"text\"' with its quotes, or give --text";
        Error::new(ErrorKind::Input, format!("the value is not JSON: {reason}")).advise(next).into()
    })
}
