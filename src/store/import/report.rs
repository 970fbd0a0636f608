//! What an import did, or would do, and everything about its source that is worth telling.

use std::collections::BTreeMap;
use std::fmt;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::journal::Receipt;
use crate::position::Position;
use crate::store::import::Format;
use crate::store::value::Value;
use crate::store::value::text::{Noted, TOLD_MAX};

/// What an import did, or would do.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ImportReport {
    /// What the source was read as.
    pub format: Format,
    /// A hash of the source, by which the same one is known again. It does not protect against somebody who makes two
    /// sources alike.
    pub hash: String,
    /// The bytes of the source.
    pub source_bytes: u64,
    /// Nothing was written, because only that was asked.
    pub is_dry_run: bool,
    /// The same source was imported in the same way then; nothing was changed now.
    pub already_imported: Option<(Position, Timestamp)>,
    /// The documents of the source that have a place in the store.
    pub documents: u64,
    /// The bytes of their values as text, and of the entries.
    pub bytes: u64,
    /// The documents that were not there before.
    pub added: u64,
    /// The documents that were there with another value.
    pub replaced: u64,
    /// The documents that were there as they are in the source, and were not written.
    pub unchanged: u64,
    /// The entries of series that were added.
    pub entries: u64,
    /// The same by collection.
    pub collections: BTreeMap<String, Imported>,
    /// Keys that came twice; the last counts.
    pub duplicates: Told,
    /// Numbers that are not held exactly.
    pub numbers: Told,
    /// Halves of surrogate pairs that became U+FFFD.
    pub surrogates_replaced: u64,
    /// Sequences of bytes that are no text and became U+FFFD.
    pub bytes_replaced: u64,
    /// What was not imported, and why: the first thousand.
    pub problems: Vec<Problem>,
    /// How many problems there are.
    pub problem_count: u64,
    /// What the program that wrote the source keeps there for itself; it is no data.
    pub kept_aside: Option<Value>,
    /// The version that the migrations of conf have come to.
    pub migrated_to: Option<String>,
    /// The proof of what was written; `None` after a dry run.
    pub receipt: Option<Receipt>,
}

/// What came to one collection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// Documents.
    pub documents: u64,
    /// Entries of series.
    pub entries: u64,
    /// The bytes of their values as text.
    pub bytes: u64,
}

/// Something that could not be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The line of the source, from 1.
    pub line: Option<u64>,
    /// The character in that line, from 1.
    pub column: Option<u64>,
    /// What is the matter.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (Some(line), Some(column)) => write!(f, "line {line}, column {column}: {}", self.what),
            (Some(line), None) => write!(f, "line {line}: {}", self.what),
            _ => f.write_str(&self.what),
        }
    }
}

/// Things worth telling: how many, and the first thousand of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Told {
    /// How many there are.
    pub count: u64,
    /// The first of them, each with its line where that is known.
    pub first: Vec<(Option<u64>, String)>,
}

impl Told {
    pub(crate) fn push(&mut self, line: Option<u64>, what: String) {
        self.count += 1;
        if self.first.len() < TOLD_MAX {
            self.first.push((line, what));
        }
    }

    pub(crate) fn take(&mut self, noted: Vec<Noted>, count: u64) {
        self.count += count;
        let room = TOLD_MAX.saturating_sub(self.first.len());
        self.first.extend(noted.into_iter().take(room).map(|noted| (Some(noted.line), noted.what)));
    }
}

impl ImportReport {
    pub(super) fn problem(&mut self, problem: Problem) {
        self.problem_count += 1;
        if self.problems.len() < TOLD_MAX {
            self.problems.push(problem);
        }
    }

    /// Tells of something that the store cannot take, and that the rest goes on without.
    pub(super) fn leave_out(&mut self, error: &Error) -> Result<()> {
        self.problem(Problem { line: None, column: None, what: error.what().to_owned() });
        Ok(())
    }

    pub(super) fn count(&mut self, collection: &str, bytes: u64, changed: bool, was_there: bool) {
        self.documents += 1;
        self.bytes += bytes;
        match (changed, was_there) {
            (false, _) => self.unchanged += 1,
            (true, false) => self.added += 1,
            (true, true) => self.replaced += 1,
        }
        let imported = self.imported(collection);
        imported.documents += 1;
        imported.bytes += bytes;
    }

    pub(super) fn count_entry(&mut self, collection: &str, bytes: u64) {
        self.entries += 1;
        self.bytes += bytes;
        let imported = self.imported(collection);
        imported.entries += 1;
        imported.bytes += bytes;
    }

    fn imported(&mut self, collection: &str) -> &mut Imported {
        self.collections.entry(collection.to_owned()).or_default()
    }
}
