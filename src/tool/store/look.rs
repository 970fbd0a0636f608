//! `everlog get`, `keys` and `state`: what a store holds, now or at any earlier moment.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::store::{Form as Layout, Path, Value, View};
use crate::tool::outcome::{Outcome, command, quiet};
use crate::tool::render::{Form, Output, clean, plural};
use crate::tool::store::open::{absent, finish, path_of, reading, view_at};
use crate::tool::when::When;

/// Show the value at a path of a store
#[derive(Debug, Args)]
pub(crate) struct Get {
    /// The store's directory
    pub(crate) dir: PathBuf,
    /// Where: notes.a.title, or /notes/a/title; a collection's name gives all of it
    path: String,
    /// As it was at this moment
    #[arg(long, value_name = "WHEN")]
    at: Option<When>,
    /// Print text without its quotes, and bytes as they are
    #[arg(long)]
    raw: bool,
}

/// List the collections of a store, or the keys at a path
#[derive(Debug, Args)]
pub(crate) struct Keys {
    /// The store's directory
    pub(crate) dir: PathBuf,
    /// Where; without it the collections are listed
    path: Option<String>,
    /// As it was at this moment
    #[arg(long, value_name = "WHEN")]
    at: Option<When>,
}

/// Show the whole state of a store as one JSON object, a member for each collection
#[derive(Debug, Args)]
pub(crate) struct State {
    /// The store's directory
    pub(crate) dir: PathBuf,
    /// As it was at this moment
    #[arg(long, value_name = "WHEN")]
    at: Option<When>,
    /// On several lines, for people
    #[arg(long)]
    pretty: bool,
}

#[derive(Serialize)]
struct Got<'a> {
    path: &'a str,
    value: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a str>,
    /// The position of the state that was looked at.
    at: String,
}

pub(crate) fn get(args: &Get, form: Form) -> Outcome {
    let mut output = Output::new(form);
    let store = reading(&args.dir)?;
    let view = view_at(&store, args.at.as_ref())?;
    let path = path_of(&args.path, &args.dir)?;
    if args.raw && view.is_bytes(&path)? {
        view.read_bytes(&path, output.writer()).map_err(quiet)?;
        return finish(&store, &args.dir, &mut output);
    }
    let Some(value) = view.get_value(&path)? else {
        if !has_series(&view, &path)? {
            return Err(absent(&args.path, &args.dir));
        }
        series(&mut output, &view, &path)?;
        return finish(&store, &args.dir, &mut output);
    };
    if output.is_json() {
        let entry = if path.key().is_some() { view.entry(&path)? } else { None };
        output.json(&Got {
            path: &args.path,
            value: &value,
            revision: entry.as_ref().map(|entry| entry.revision.to_string()),
            time: entry.as_ref().map(|entry| entry.time.to_string()),
            actor: entry.as_ref().and_then(|entry| entry.actor.as_deref()),
            at: view.position().to_string(),
        })?;
    } else {
        let text = match value.as_str() {
            Some(text) if args.raw => text.to_owned(),
            _ => value.to_string(),
        };
        let is_terminal = output.is_terminal();
        output.line(if is_terminal { clean(&text) } else { text })?;
    }
    finish(&store, &args.dir, &mut output)
}

fn has_series(view: &View, path: &Path) -> Outcome<bool> {
    if path.segments().len() != 2 {
        return Ok(false);
    }
    Ok(!view.series::<Value>(path)?.is_empty()?)
}

/// The entries of a series, the earliest first.
fn series(output: &mut Output, view: &View, path: &Path) -> Outcome<()> {
    for entry in view.series::<Value>(path)?.range(..)? {
        match output.is_json() {
            true => output.json(&serde_json::json!({
                "time": entry.time.to_string(),
                "value": entry.value,
                "revision": entry.revision.to_string(),
                "actor": entry.actor.as_deref(),
            }))?,
            false => output.line(format!("{} {}", entry.time, clean(&entry.value.to_string())))?,
        }
    }
    Ok(())
}

pub(crate) fn keys(args: &Keys, form: Form) -> Outcome {
    let mut output = Output::new(form);
    let store = reading(&args.dir)?;
    let view = view_at(&store, args.at.as_ref())?;
    let path = args.path.as_deref().map(|path| path_of(path, &args.dir)).transpose()?;
    let (keys, series) = match &path {
        None => (view.collections(), Vec::new()),
        Some(path) => {
            let is_there = match path.key() {
                Some(_) => view.contains(path)?,
                None => view.collections().iter().any(|name| name == path.collection()),
            };
            if !is_there {
                return Err(absent(&path.to_string(), &args.dir));
            }
            let value = if path.key().is_some() { view.get_value(path)? } else { None };
            if let Some(value) =
                value.filter(|value| value.as_object().is_none() && value.as_array().is_none())
            {
                eprintln!("note: at {path} stands {}, which has no keys", value.kind());
            }
            let series = if path.key().is_none() { view.series_keys(path)? } else { Vec::new() };
            (view.keys(path)?, series)
        }
    };
    for key in keys {
        match output.is_json() {
            true => output.json(&serde_json::json!({ "key": key }))?,
            false => output.line(clean(&key))?,
        }
    }
    for (key, entries) in series {
        match output.is_json() {
            true => output.json(&serde_json::json!({ "series": key, "entries": entries }))?,
            false => output.line(format!("{} (series, {entries})", clean(&key)))?,
        }
    }
    finish(&store, &args.dir, &mut output)
}

pub(crate) fn state(args: &State, form: Form) -> Outcome {
    let mut output = Output::new(form);
    let store = reading(&args.dir)?;
    let view = view_at(&store, args.at.as_ref())?;
    let layout = if args.pretty { Layout::Pretty } else { Layout::Compact };
    let exported = view.export_whole(layout, output.writer()).map_err(quiet)?;
    output.line("")?;
    left_out(exported.entries_left_out, &args.dir);
    finish(&store, &args.dir, &mut output)
}

/// Says that entries of series have no place in an object of documents.
pub(crate) fn left_out(entries: u64, dir: &std::path::Path) {
    if entries > 0 {
        let number = self::entries(entries);
        eprintln!("note: {number} of series left out; they are in {}", command("export", dir, "--lines"));
    }
}

/// A number of entries.
pub(crate) fn entries(number: u64) -> String {
    plural(number, "entry").replace("entrys", "entries")
}
