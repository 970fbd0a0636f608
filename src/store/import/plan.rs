//! What an import is going to do, made from its source before anything is touched.

use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::store::bytes::around_chunks;
use crate::store::import::report::{ImportReport, Problem};
use crate::store::key;
use crate::store::path::{IntoPath, Path};
use crate::store::value::{Value, text};

/// One thing that an import puts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Put {
    Document { collection: String, key: String, value: Value },
    Entry { collection: String, key: String, time: Timestamp, value: Value },
}

impl Put {
    /// About the bytes of its records.
    pub(crate) fn bytes(&self) -> u64 {
        let (Put::Document { collection, key, value } | Put::Entry { collection, key, value, .. }) = self;
        let bytes = value.bytes();
        bytes + around_chunks(bytes) + 2 * (collection.len() + key.len()) as u64
    }

    /// Where it goes.
    pub(crate) fn path(&self) -> Path {
        let (Put::Document { collection, key, .. } | Put::Entry { collection, key, .. }) = self;
        Path::of_segments([collection, key])
    }

    /// What is put there.
    pub(crate) fn value(&self) -> &Value {
        let (Put::Document { value, .. } | Put::Entry { value, .. }) = self;
        value
    }
}

/// What is to be done, and what there is to tell.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) report: ImportReport,
    pub(crate) puts: Vec<Put>,
    /// Where each document stands among the puts: of two with one key the last counts.
    places: BTreeMap<(String, String), usize>,
}

impl Plan {
    /// Adds a document, or a problem if it cannot be one.
    pub(crate) fn document(&mut self, collection: &str, key: &str, value: Value, line: Option<u64>) {
        let path = Path::of_segments([collection, key]);
        if let Err(error) = check(&path) {
            return self.problem(line, None, error.what());
        }
        let put = Put::Document { collection: collection.to_owned(), key: key.to_owned(), value };
        match self.places.get(&(collection.to_owned(), key.to_owned())) {
            Some(place) => {
                self.puts[*place] = put;
                let what = format!("key {} of {collection} came twice; the last counts", text::short(key));
                self.report.duplicates.push(line, what);
            }
            None => {
                self.places.insert((collection.to_owned(), key.to_owned()), self.puts.len());
                self.puts.push(put);
            }
        }
    }

    /// Adds an entry of a series, or a problem if it cannot be one.
    pub(crate) fn entry(
        &mut self,
        collection: &str,
        key: &str,
        time: Timestamp,
        value: Value,
        line: Option<u64>,
    ) {
        match check(&Path::of_segments([collection, key])) {
            Err(error) => self.problem(line, None, error.what()),
            Ok(()) => {
                let (collection, key) = (collection.to_owned(), key.to_owned());
                self.puts.push(Put::Entry { collection, key, time, value });
            }
        }
    }

    /// Tells why something is not imported.
    pub(crate) fn problem(&mut self, line: Option<u64>, column: Option<u64>, what: &str) {
        self.report.problem(Problem { line, column, what: what.to_owned() });
    }

    /// Takes in what the reader of a text had to tell.
    pub(crate) fn notes(&mut self, notes: text::Notes) {
        self.report.surrogates_replaced += notes.surrogates;
        self.report.bytes_replaced += notes.bytes;
        self.report.duplicates.take(notes.twice, notes.twice_count);
        self.report.numbers.take(notes.inexact, notes.inexact_count);
    }
}

fn check(path: &Path) -> Result<()> {
    key::check_users(path.collection())?;
    path.into_path().map(drop)
}
