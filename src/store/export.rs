//! Exporting a view: as JSON, or as JSON Lines, in an order that only depends on what is there.
//!
//! Bytes are written whole, as `{"$bytes": "…"}` with their base64, wherever the store has them.

use std::cell::Cell;
use std::io::Write;

use serde::Serialize;
use serde::ser::SerializeMap;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

use crate::error::{Error, ErrorKind, Result};
use crate::position::Position;
use crate::store::bytes::Reading;
use crate::store::document::Document;
use crate::store::key::{self, Named};
use crate::store::mirror_file::{HEADER, Header, escape};
use crate::store::path::{IntoPath, Path};
use crate::store::value::keyed_sum;
use crate::store::version::Version;
use crate::store::view::View;

/// How JSON is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// Over several lines, for people.
    #[default]
    Pretty,
    /// Without spaces.
    Compact,
}

/// What an export wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exported {
    /// Documents.
    pub documents: u64,
    /// Entries of series.
    pub entries: u64,
    /// Entries of series of the collection, which have no place in its JSON object: take lines to have them.
    pub entries_left_out: u64,
}

impl View {
    /// Writes what is at `path` as JSON; a collection as one object of its documents. One document is in memory at a time.
    ///
    /// Bytes ([`Store::set_bytes`](crate::Store::set_bytes)) are written whole, as `{"$bytes": "…"}` with their base64, and
    /// chunk by chunk: they need not fit into memory. [`Store::import`](crate::Store::import) makes bytes of them again.
    ///
    /// # Errors
    ///
    /// `Absent` if there is nothing; `Input` if `path` leads nowhere; `Damaged` if something cannot be read; `Io` and its
    /// relatives if `to` fails. What was written by then is not whole.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> everlog::Result<()> {
    /// # let directory = tempfile::tempdir().expect("a directory");
    /// # let store = everlog::Store::open(directory.path().join("store"))?;
    /// use everlog::store::Form;
    ///
    /// store.set("settings.theme", "dark")?;
    /// let mut text = Vec::new();
    /// store.view().export_json("settings", Form::Compact, &mut text)?;
    /// assert_eq!(text, br#"{"theme":"dark"}"#);
    /// # Ok(())
    /// # }
    /// ```
    pub fn export_json(&self, path: impl IntoPath, form: Form, to: impl Write) -> Result<Exported> {
        let path = path.into_path()?;
        match form {
            Form::Pretty => self.json(&path, to, PrettyFormatter::new()),
            Form::Compact => self.json(&path, to, CompactFormatter),
        }
    }

    fn json(&self, path: &Path, to: impl Write, formatter: impl Formatter) -> Result<Exported> {
        let absent = || Error::new(ErrorKind::Absent, format!("there is nothing at {path}"));
        let mut to = serde_json::Serializer::with_formatter(to, formatter);
        if path.key().is_some() {
            let value = self.version().value(path)?.ok_or_else(absent)?;
            let reading = Reading::new(self.version());
            let key = path.inner().last().map(String::as_str);
            reading.outcome(reading.whole(key, &value).serialize(&mut to))?;
            return Ok(Exported { documents: 1, ..Exported::default() });
        }
        let tally = self.version().tally(path.collection());
        if tally.documents == 0 || !key::is_users(path.collection()) {
            return Err(absent());
        }
        let (documents, _) = write_collection(self.version(), path.collection(), false, &mut to)?;
        Ok(Exported { documents, entries: 0, entries_left_out: tally.documents - documents })
    }

    /// Writes collections as JSON Lines, all if none is named: one line for each document and each entry of a series, in
    /// order of collection, key and time. One document is in memory at a time.
    ///
    /// A document: `{"collection": …, "key": …, "value": …, "revision": "epoch:number", "time": …, "actor": …}`; of an
    /// entry `series` stands in the place of `key`. Bytes are written as in [`View::export_json`]. [`Store::import`](crate::Store::import) reads them again; revision,
    /// time of a document and actor are then those of the import.
    ///
    /// # Errors
    ///
    /// `Absent` if a named collection has nothing; otherwise as [`View::export_json`].
    pub fn export_lines(&self, collections: &[&str], mut to: impl Write) -> Result<Exported> {
        let mut names = self.collections();
        if let Some(missing) = collections.iter().find(|name| !names.iter().any(|known| known == *name)) {
            return Err(Error::new(ErrorKind::Absent, format!("there is nothing in collection {missing:?}")));
        }
        names.retain(|name| collections.is_empty() || collections.contains(&name.as_str()));
        let (mut exported, reading) = (Exported::default(), Reading::new(self.version()));
        for name in names {
            let prefix = [name.as_bytes(), &[0]].concat();
            for pair in self.version().range(&prefix) {
                let (bytes, document) = pair?;
                let Some(named) = key::read(&bytes) else { continue };
                let line = Line { named: &named, document: &document, reading: &reading };
                reading.outcome(serde_json::to_writer(&mut to, &line))?;
                to.write_all(b"\n").map_err(|error| Error::io("write", "export", error))?;
                match named {
                    Named::Document { .. } => exported.documents += 1,
                    Named::Entry { .. } => exported.entries += 1,
                }
            }
        }
        Ok(exported)
    }
}

/// Writes the documents of a collection as one object, and behind them, if that is wanted, the member that a mirror has.
/// Tells how many documents there are, and their sum. In a mirror bytes that are out of line stay so.
pub(crate) fn write_collection<W: Write, F: Formatter>(
    version: &Version,
    collection: &str,
    as_mirror: bool,
    to: &mut serde_json::Serializer<W, F>,
) -> Result<(u64, u128)> {
    let reading = Reading::new(version);
    let documents = Documents { reading: &reading, collection, as_mirror, found: Cell::default() };
    reading.outcome(documents.serialize(to))?;
    Ok(documents.found.get())
}

/// All documents of a collection.
struct Documents<'a> {
    reading: &'a Reading<'a>,
    collection: &'a str,
    as_mirror: bool,
    /// How many there were, and their sum.
    found: Cell<(u64, u128)>,
}

impl Serialize for Documents<'_> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Documents { reading, collection, as_mirror, .. } = *self;
        let mut members = to.serialize_map(None)?;
        let (mut count, mut sum) = (0, 0u128);
        for pair in reading.version.range(&key::documents(collection)) {
            let (bytes, document) = pair.map_err(|error| reading.fail::<S::Error>(error))?;
            let Some(Named::Document { key, .. }) = key::read(&bytes) else { continue };
            match as_mirror {
                true => members.serialize_entry(&escape(key), &document.value)?,
                false => members.serialize_entry(key, &reading.whole(None, &document.value))?,
            }
            count += 1;
            sum = sum.wrapping_add(keyed_sum(key.as_bytes(), &document.value));
        }
        if as_mirror {
            let position = reading.version.position;
            let header = Header { collection: collection.to_owned(), position, sum };
            members.serialize_entry(HEADER, &header.to_value(&reading.version.time.to_string()))?;
        }
        self.found.set((count, sum));
        members.end()
    }
}

/// A whole state: a member for each collection that has documents.
#[cfg(feature = "cli")]
struct Collections<'a> {
    reading: &'a Reading<'a>,
    found: Cell<u64>,
}

#[cfg(feature = "cli")]
impl Serialize for Collections<'_> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let reading = self.reading;
        let mut members = to.serialize_map(None)?;
        let tallies = reading.version.tallies();
        for (collection, _) in
            tallies.filter(|(name, tally)| tally.documents > tally.entries && key::is_users(name))
        {
            let documents = Documents { reading, collection, as_mirror: false, found: Cell::default() };
            members.serialize_entry(collection, &documents)?;
            self.found.set(self.found.get() + documents.found.get().0);
        }
        members.end()
    }
}

#[cfg(feature = "cli")]
impl View {
    /// Writes everything as one JSON object, with a member for each collection. One document is in memory at a time.
    ///
    /// # Errors
    ///
    /// As [`View::export_json`].
    pub(crate) fn export_whole(&self, form: Form, to: impl Write) -> Result<Exported> {
        let reading = Reading::new(self.version());
        let all = Collections { reading: &reading, found: Cell::default() };
        reading.outcome(match form {
            Form::Pretty => serde_json::to_writer_pretty(to, &all),
            Form::Compact => serde_json::to_writer(to, &all),
        })?;
        let tallies = self.version().tallies().filter(|(name, _)| key::is_users(name));
        let entries_left_out = tallies.map(|(_, tally)| tally.entries).sum();
        Ok(Exported { documents: all.found.get(), entries: 0, entries_left_out })
    }
}

struct Line<'a> {
    named: &'a Named<'a>,
    document: &'a Document,
    reading: &'a Reading<'a>,
}

impl Serialize for Line<'_> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut line = to.serialize_map(None)?;
        let time = match self.named {
            Named::Document { collection, key } => {
                line.serialize_entry("collection", collection)?;
                line.serialize_entry("key", key)?;
                self.document.time
            }
            Named::Entry { collection, key, time, .. } => {
                line.serialize_entry("collection", collection)?;
                line.serialize_entry("series", key)?;
                *time
            }
        };
        line.serialize_entry("value", &self.reading.whole(None, &self.document.value))?;
        line.serialize_entry("revision", &Position::to_string(&self.document.revision))?;
        line.serialize_entry("time", &time.to_string())?;
        if let Some(actor) = &self.document.actor {
            line.serialize_entry("actor", &**actor)?;
        }
        line.end()
    }
}

#[cfg(test)]
mod tests {
    use crate::clock::Timestamp;
    use crate::path;
    use crate::store::op::Op;
    use crate::store::{Form, Import, Store, Value};

    #[test]
    fn what_was_exported_as_lines_and_imported_has_the_same_sum_and_its_entries() {
        let directory = tempfile::tempdir().expect("a directory");
        let open = |name: &str| Store::open(directory.path().join(name)).expect("opens");
        let (store, other) = (open("one"), open("other"));
        store.set("notes.a", &[1, 2]).expect("sets");
        store.set(path!("notes", "\0", "x"), "y").expect("sets");
        let push = |micros: u64| {
            let time = Timestamp::from_micros(1_700_000_000_000_000 + micros);
            let op = Op::Push { path: path!("log", "s\0x"), time, value: Value::from(micros) };
            store.transaction(|tx| tx.apply(op)).expect("pushes");
        };
        [5, 1, 5].into_iter().for_each(push);
        let export = |store: &Store| {
            let mut text = Vec::new();
            let exported = store.view().export_lines(&[], &mut text).expect("exports");
            assert_eq!((exported.documents, exported.entries), (2, 3));
            text
        };
        let report = other.import(export(&store), &Import::new()).expect("imports");
        assert_eq!((report.documents, report.entries, report.problem_count), (2, 3, 0));
        let sum = |store: &Store| store.view().version().tally("notes").sum;
        assert_eq!(sum(&store), sum(&other));
        let bare = |store: &Store| {
            let text = String::from_utf8(export(store)).expect("text");
            let lines = text.lines().filter(|line| line.contains("series"));
            lines
                .map(|line| line.split("\"revision\"").next().unwrap_or_default().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(bare(&store), bare(&other));
        let error = store.view().export_json("missing", Form::Pretty, Vec::new()).expect_err("absent");
        assert_eq!(error.kind(), &crate::error::ErrorKind::Absent);
        let left = store.view().export_json("log", Form::Pretty, Vec::new()).expect("exports");
        assert_eq!((left.documents, left.entries_left_out), (0, 3));
    }
}
