//! How values and changes of a store look: as JSON, and shortened where a person looks.

use serde::Serialize;

use crate::clock::Timestamp;
use crate::journal::Receipt;
use crate::store::{Changed, Path, PathChange, Value};
use crate::tool::outcome::Outcome;
use crate::tool::render::{Colour, Output, clean, paint};

/// How much of a value a person sees in a table on a terminal.
const SHOWN_CHARACTERS: usize = 48;

/// One change as one line of JSON.
#[derive(Debug, Serialize)]
pub(crate) struct ChangeShown<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    rollback: Option<&'static str>,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
    /// The time of the entry, if it is one of a series.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<&'a Value>,
}

impl<'a> ChangeShown<'a> {
    /// A difference.
    pub(crate) fn of(change: &'a PathChange) -> ChangeShown<'a> {
        ChangeShown {
            rollback: None,
            path: change.path.to_string(),
            position: None,
            time: None,
            actor: None,
            cause: None,
            entry: change.entry.map(|(time, _)| time.to_string()),
            old: change.old.as_ref(),
            new: change.new.as_ref(),
        }
    }

    /// The same as part of a rollback: `changes`, or `kept` where it is left alone.
    pub(crate) fn in_rollback(self, word: &'static str) -> ChangeShown<'a> {
        ChangeShown { rollback: Some(word), ..self }
    }

    /// A change as it happened.
    pub(crate) fn happened(change: &'a Changed) -> ChangeShown<'a> {
        ChangeShown {
            rollback: None,
            path: change.path.to_string(),
            position: Some(change.position.to_string()),
            time: Some(change.time.to_string()),
            actor: change.actor(),
            cause: change.meta.as_ref().and_then(|meta| meta.cause.as_deref()),
            entry: change.entry.map(|(time, _)| time.to_string()),
            old: change.old.as_ref(),
            new: change.new.as_ref(),
        }
    }
}

/// A place as people read it.
pub(crate) fn place(path: &Path, entry: Option<Timestamp>) -> String {
    match entry {
        None => clean(&path.to_string()),
        Some(time) => format!("{} at {time}", clean(&path.to_string())),
    }
}

/// `old -> new`, where a dash is nothing.
pub(crate) fn step(output: &Output, old: Option<&Value>, new: Option<&Value>) -> String {
    let (on, _) = output.colours();
    let width = output.is_terminal().then_some(SHOWN_CHARACTERS);
    let text = |value: Option<&Value>| value.map_or("-".to_owned(), |value| short(&value.to_string(), width));
    format!("{} -> {}", paint(on, Colour::Red, &text(old)), paint(on, Colour::Green, &text(new)))
}

/// Text for a cell, cut to `width` characters if one is given.
fn short(text: &str, width: Option<usize>) -> String {
    match width {
        Some(width) if text.chars().nth(width).is_some() => {
            let cut: String = text.chars().take(width).collect();
            format!("{}… ({} bytes)", clean(&cut), text.len())
        }
        _ => clean(text),
    }
}

/// Differences: a line of JSON each, or a table.
pub(crate) fn changes(output: &mut Output, changes: &[PathChange]) -> Outcome<()> {
    if output.is_json() {
        return changes.iter().try_for_each(|change| output.json(&ChangeShown::of(change)));
    }
    let row = |change: &PathChange| {
        let entry = change.entry.map(|(time, _)| time);
        vec![place(&change.path, entry), step(output, change.old.as_ref(), change.new.as_ref())]
    };
    let rows: Vec<Vec<String>> = changes.iter().map(row).collect();
    match rows.is_empty() {
        true => Ok(()),
        false => output.table(&["path", "old -> new"], rows, &[]),
    }
}

/// What a commit came to.
#[derive(Debug, Serialize)]
struct Committed {
    position: String,
    lsn: u64,
    time: String,
    changed: bool,
}

/// The position of a commit, which is durable.
pub(crate) fn committed(output: &mut Output, receipt: &Receipt, changed: bool) -> Outcome<()> {
    let position = receipt.position;
    if output.is_json() {
        let (lsn, time) = (position.lsn.get(), receipt.time.to_string());
        output.json(&Committed { position: position.to_string(), lsn, time, changed })?;
    } else {
        output.line(position)?;
    }
    output.flush()
}
