//! How values and changes of a store look: as JSON, and shortened where a person looks.

use serde::Serialize;

use crate::clock::Timestamp;
use crate::journal::Receipt;
use crate::position::Position;
use crate::store::{Changed, Path, PathChange, Preflight, Value};
use crate::tool::outcome::{Outcome, Verdict};
use crate::tool::render::{Colour, Output, bytes, clean, paint};

/// How much of a value a person sees in a table on a terminal.
const SHOWN_CHARACTERS: usize = 48;

/// Which commit it was, when and by whom.
#[derive(Debug, Serialize)]
pub(crate) struct CommitShown<'a> {
    position: String,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
}

impl<'a> CommitShown<'a> {
    pub(crate) fn new(
        position: Position,
        time: Timestamp,
        actor: Option<&'a str>,
        cause: Option<&'a str>,
    ) -> CommitShown<'a> {
        CommitShown { position: position.to_string(), time: time.to_string(), actor, cause }
    }

    /// The first cells of a row about it; their heads are [`COMMIT`].
    pub(crate) fn into_cells(self) -> [String; 3] {
        [self.position, self.time, clean(self.actor.unwrap_or("-"))]
    }
}

/// What stands over the cells of a commit.
pub(crate) const COMMIT: [&str; 3] = ["position", "time", "actor"];

/// One change as one line of JSON.
#[derive(Debug, Serialize)]
pub(crate) struct ChangeShown<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    rollback: Option<&'static str>,
    path: String,
    #[serde(flatten)]
    commit: Option<CommitShown<'a>>,
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
            commit: None,
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
        let cause = change.meta.as_ref().and_then(|meta| meta.cause.as_deref());
        ChangeShown {
            rollback: None,
            path: change.path.to_string(),
            commit: Some(CommitShown::new(change.position, change.time, change.actor(), cause)),
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

/// What a commit would come to that was only tried out.
pub(crate) fn foreseen(output: &mut Output, preflight: &Preflight) -> Outcome {
    let is_users = |change: &&PathChange| !change.path.collection().starts_with('$');
    let found: Vec<PathChange> = preflight.changes.iter().filter(is_users).cloned().collect();
    changes(output, &found)?;
    if !output.is_json() {
        output.line(match preflight.records {
            0 => "nothing would change".to_owned(),
            _ => format!("nothing was changed: a dry run of {}", bytes(preflight.bytes)),
        })?;
    }
    output.flush()?;
    Ok(Verdict::Well)
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
