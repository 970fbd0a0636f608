//! Importing JSON files: of electron-store and conf, lowdb, tauri-plugin-store, any other, and lines of JSON.
//!
//! Reading makes a *plan*, what is to be put where and what there is to tell; one transaction then carries it out, or
//! nothing. A document of the store's own remembers what was imported.

#[cfg(feature = "import-encrypted")]
mod encrypted;
mod lines;
mod plan;
mod report;
mod shape;

use std::hash::Hasher as _;
use std::path::{Path as FilePath, PathBuf};

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::error::{Error, ErrorKind, Result};
use crate::medium::outside;
use crate::store::import::plan::{Plan, Put};
use crate::store::op::Op;
use crate::store::path::Path;
use crate::store::value::{Object, Value};
use crate::store::{Store, Tx, key};

pub use report::{ImportReport, Imported, Problem, Told};

/// What a file to be imported looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Found out from name and contents.
    #[default]
    Auto,
    /// One JSON object, each member a document.
    Json,
    /// The same, of conf or electron-store: `__internal__` is kept aside, and the file may be encrypted.
    Conf,
    /// The same, of lowdb: lists may be split into a document for each element ([`Import::split`]).
    Lowdb,
    /// The same, of tauri-plugin-store.
    Tauri,
    /// One JSON object a line: as [`View::export_lines`](crate::View::export_lines) writes them, or with a key in each.
    Lines,
}

impl Format {
    /// A stable word for it.
    pub fn word(self) -> &'static str {
        match self {
            Format::Auto => "auto",
            Format::Json => "json",
            Format::Conf => "conf",
            Format::Lowdb => "lowdb",
            Format::Tauri => "tauri",
            Format::Lines => "lines",
        }
    }
}

/// What is imported: a file, or its bytes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// The bytes of one.
    Bytes(Vec<u8>),
}

impl From<&FilePath> for Source {
    fn from(path: &FilePath) -> Source {
        Source::File(path.to_path_buf())
    }
}

impl From<&PathBuf> for Source {
    fn from(path: &PathBuf) -> Source {
        Source::File(path.clone())
    }
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Source {
        Source::File(path)
    }
}

impl From<Vec<u8>> for Source {
    fn from(bytes: Vec<u8>) -> Source {
        Source::Bytes(bytes)
    }
}

impl From<&[u8]> for Source {
    fn from(bytes: &[u8]) -> Source {
        Source::Bytes(bytes.to_vec())
    }
}

/// How something is imported.
#[derive(Clone, Debug, Default)]
pub struct Import {
    pub(crate) collection: Option<String>,
    pub(crate) format: Format,
    /// Members and the keys of their elements.
    pub(crate) splits: Vec<(String, String)>,
    dry_run: bool,
    pub(crate) salvage: bool,
    again: bool,
    #[cfg(feature = "import-encrypted")]
    pub(crate) key: Option<Vec<u8>>,
}

impl Import {
    /// The defaults: the format is found out, the collection is called like the file.
    pub fn new() -> Import {
        Import::default()
    }

    /// The collection that takes the documents.
    #[must_use]
    pub fn as_collection(mut self, name: &str) -> Import {
        self.collection = Some(name.to_owned());
        self
    }

    /// What the file looks like.
    #[must_use]
    pub fn format(mut self, format: Format) -> Import {
        self.format = format;
        self
    }

    /// Makes each element of the list `member` a document of the collection `member`, under what the element has as `id`,
    /// a text or an integer. An empty `member` means a list, or lines, that is the whole file; its elements go to the
    /// collection of the import. May be called for several members.
    #[must_use]
    pub fn split(mut self, member: &str, id: &str) -> Import {
        self.splits.push((member.to_owned(), id.to_owned()));
        self
    }

    /// Only says what would happen.
    #[must_use]
    pub fn dry_run(mut self) -> Import {
        self.dry_run = true;
        self
    }

    /// Of a file that is cut or has problems, imports what is whole; the report says what is not.
    #[must_use]
    pub fn salvage(mut self) -> Import {
        self.salvage = true;
        self
    }

    /// Imports also what was imported before, as after a rollback: that does not forget imports.
    #[must_use]
    pub fn again(mut self) -> Import {
        self.again = true;
        self
    }

    /// The `encryptionKey` of a file of conf or electron-store.
    #[cfg(feature = "import-encrypted")]
    #[must_use]
    pub fn key(mut self, key: impl AsRef<[u8]>) -> Import {
        self.key = Some(key.as_ref().to_vec());
        self
    }

    /// A name for this source imported in this way: what it is read as and what it goes to, given or found out, count.
    fn name_of(&self, plan: &Plan, file: Option<&str>) -> String {
        let collection = shape::collection_of(file, self);
        let way = format!("{collection:?} {} {} {:?}", plan.report.format.word(), self.salvage, self.splits);
        format!("import:{}:{}", plan.report.hash, hash_of(way.as_bytes()))
    }
}

/// A hash of bytes as text. It tells files apart; it is no protection against somebody who makes two alike.
fn hash_of(bytes: &[u8]) -> String {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    format!("{:032x}", hasher.finish128().as_u128())
}

impl Store {
    /// Imports JSON: all of it in one transaction, or nothing. Documents that are there already and equal are not written
    /// again; others of the same key are replaced, and what the file does not name stays. The same source imported once more
    /// in the same way changes nothing, which the report says: a hash of it stands in the store with the documents.
    ///
    /// With [`Import::dry_run`] it all happens but for the writing: the same is counted, and refused, also by a store that is
    /// only read.
    ///
    /// Bytes in an export, `{"$bytes": "…"}` with their base64, are put as
    /// [`set_bytes`](Store::set_bytes) puts them: large ones out of line.
    ///
    /// Text is read as `JSON.parse` does: of keys that come twice the last counts, a byte order mark is skipped, halves of
    /// surrogate pairs become U+FFFD, and numbers beyond 64 bits the nearest float. Each is told in the report.
    ///
    /// # Errors
    ///
    /// `Input`, with line and column, if the source is not what it should be, or has parts that cannot be imported; of JSON
    /// Lines the good ones are imported, of other formats only with [`Import::salvage`]. `TooLarge` if a document, or the
    /// whole, is over its limit: the advice names the number. `Missing` if there is no such file; `Unsupported` if it is
    /// encrypted and the feature `import-encrypted` is off; and as [`Store::set`]. Nothing is changed then.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> everlog::Result<()> {
    /// # let directory = tempfile::tempdir().expect("a directory");
    /// # let store = everlog::Store::open(directory.path().join("store"))?;
    /// use everlog::store::Import;
    ///
    /// let json = br#"{"theme": "dark", "window.width": 800}"#.to_vec();
    /// let report = store.import(json, &Import::new().as_collection("settings"))?;
    /// assert_eq!(report.documents, 2);
    /// assert_eq!(store.get::<u32>(r"settings.window\.width")?, Some(800));
    /// # Ok(())
    /// # }
    /// ```
    pub fn import(&self, source: impl Into<Source>, import: &Import) -> Result<ImportReport> {
        let (plan, name) = plan_of(source.into(), import)?;
        self.check_transaction(&plan)?;
        let record = import.name_of(&plan, name.as_deref());
        let body = |tx: &mut Tx<'_>| carry_out(tx, plan, &record, name.as_deref(), import);
        if import.dry_run {
            let (report, preflight) = self.try_out(body)?;
            return preflight.clear().map(|_| report);
        }
        let (mut report, receipt) = self.transaction(body)?;
        report.receipt = Some(receipt);
        Ok(report)
    }

    /// Refuses what no transaction can hold, before anything is done.
    fn check_transaction(&self, plan: &Plan) -> Result<()> {
        // What a record has around its payload, and the payload around path and value.
        const AROUND: u64 = 64;
        let bytes: u64 = plan.puts.iter().map(|put| AROUND + put.bytes()).sum();
        let max = self.order.journal.opened_with().limits.transaction_bytes_max;
        if bytes > max {
            let kind = ErrorKind::TooLarge { actual: bytes, max };
            let what = format!("import takes up to {bytes} bytes, and a transaction at most {max}");
            let next =
                format!("open the store with .journal(|journal| journal.transaction_bytes_max({bytes}))");
            return Err(Error::new(kind, what).advise(next));
        }
        Ok(())
    }
}

/// Reads a source, and tells what it is called.
fn plan_of(source: Source, import: &Import) -> Result<(Plan, Option<String>)> {
    let (bytes, name) = match source {
        Source::Bytes(bytes) => (bytes, None),
        Source::File(path) => {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            (outside::read(&path)?, name)
        }
    };
    let plan = plan(&bytes, name.as_deref(), import).map_err(|error| match &name {
        Some(name) => error.in_file(name),
        None => error,
    })?;
    Ok((plan, name))
}

/// Reads a source.
fn plan(bytes: &[u8], name: Option<&str>, import: &Import) -> Result<Plan> {
    let mut plan = Plan::default();
    plan.report.hash = hash_of(bytes);
    plan.report.source_bytes = bytes.len() as u64;
    plan.report.is_dry_run = import.dry_run;
    shape::read(&mut plan, bytes, name, import)?;
    let takes_parts = import.salvage || (plan.report.format == Format::Lines && !plan.puts.is_empty());
    let refuses = !takes_parts && !import.dry_run;
    if refuses && let Some(first) = plan.report.problems.first() {
        let more = match plan.report.problem_count - 1 {
            0 => String::new(),
            others => format!(" (and {others} more)"),
        };
        let error = Error::new(ErrorKind::Input, format!("{first}{more}"));
        return Err(error
            .advise("nothing was imported; see all with a dry run, or import what is whole with salvage"));
    }
    Ok(plan)
}

fn carry_out(
    tx: &mut Tx<'_>,
    plan: Plan,
    record: &str,
    name: Option<&str>,
    import: &Import,
) -> Result<ImportReport> {
    let Plan { mut report, puts, .. } = plan;
    let record = Path::of_segments([key::SYSTEM, record]);
    if let Some(known) = tx.entry(&record)?.filter(|_| !import.again) {
        report.already_imported = Some((known.revision, known.time));
        return Ok(report);
    }
    for put in puts {
        carry_out_one(tx, put, &mut report, import)?;
    }
    let value = remember(&report, name);
    tx.apply(Op::Set { path: record, value })?;
    Ok(report)
}

fn carry_out_one(tx: &mut Tx<'_>, put: Put, report: &mut ImportReport, import: &Import) -> Result<()> {
    let (path, bytes) = (put.path(), put.value().bytes());
    let stored = match put {
        Put::Document { .. } => tx.entry(&path)?.map(|entry| entry.value),
        Put::Entry { .. } => None,
    };
    let value = match tx.version().known_bytes(stored.as_ref(), put.value().clone()) {
        Ok(value) => value,
        Err(error) if *error.kind() == ErrorKind::Input => {
            let error = error.during(&format!("document {path}"));
            let takes_parts = import.salvage || import.dry_run || report.format == Format::Lines;
            return if takes_parts { report.leave_out(&error) } else { Err(error) };
        }
        Err(error) => return Err(error),
    };
    match put {
        Put::Document { collection, .. } => {
            let changed = stored.as_ref() != Some(&value);
            if changed {
                let value = tx.draft.put_bytes_out(value)?;
                tx.set_value(path, value)?;
            }
            report.count(&collection, bytes, changed, stored.is_some());
        }
        Put::Entry { collection, time, .. } => {
            let value = tx.draft.put_bytes_out(value)?;
            tx.apply(Op::Push { path, time, value })?;
            report.count_entry(&collection, bytes);
        }
    }
    Ok(())
}

/// What the store keeps about an import.
fn remember(report: &ImportReport, name: Option<&str>) -> Value {
    let mut object = Object::new();
    object.insert("from", name.map_or(Value::Null, Value::from));
    object.insert("hash", Value::from(report.hash.as_str()));
    object.insert("bytes", Value::from(report.source_bytes));
    object.insert("format", Value::from(report.format.word()));
    object.insert("documents", Value::from(report.documents));
    object.insert("problems", Value::from(report.problem_count));
    if let Some(aside) = &report.kept_aside {
        object.insert("aside", aside.clone());
    }
    Value::from(object)
}
