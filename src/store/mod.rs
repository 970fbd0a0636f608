//! JSON documents with their whole history: what replaces the JSON file.
//!
//! A [`Store`] holds collections of documents, each a JSON value of any shape, and is changed by small operations that
//! are each a record of its journal: one field of a large document costs one field. A commit returns when it is on the
//! disk. Readers take an immutable [`View`] and wait for nobody.
//!
//! # Examples
//!
//! ```
//! # fn main() -> everlog::Result<()> {
//! # let directory = tempfile::tempdir().expect("a directory");
//! # let path = directory.path().join("store");
//! use everlog::{Store, path};
//!
//! let store = Store::open(&path)?;
//! store.set("settings.theme", "dark")?;
//! store.transaction(|tx| {
//!     tx.set(path!("notes", 17, "title"), "Milk")?;
//!     tx.increment("settings.notes", 1)
//! })?;
//! let theme: Option<String> = store.get("settings.theme")?;
//! assert_eq!(theme.as_deref(), Some("dark"));
//! store.close()?;
//! # Ok(())
//! # }
//! ```

mod app_dir;
mod base;
#[cfg(feature = "cli")]
mod beside;
mod bounds;
mod bytes;
mod cache;
mod collection;
mod condition;
mod diff;
mod document;
mod encoded;
mod export;
mod feed;
mod follow;
mod fork;
#[cfg(feature = "sim")]
pub(crate) mod fuzzing;
mod history;
mod import;
mod key;
mod maker;
mod migrate;
mod mirror;
mod mirror_file;
mod offer;
mod once;
mod op;
mod options;
mod order;
mod page;
mod path;
mod preflight;
mod publish;
mod replay;
mod rollback;
mod rules;
#[cfg(feature = "schema")]
mod schema;
mod series;
mod status;
mod submit;
mod subscription;
mod tally;
mod timeline;
mod transaction;
mod undo;
mod upkeep;
mod value;
mod version;
mod view;
mod walk;
mod watch;

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::journal::{Compacted, Durability, Pin, Receipt, RecordKind, Report, Retention, Status};
use crate::position::Position;
use crate::state::commit::Manner;
use crate::state::when::resolve;
use crate::state::{Meta, TransactionError, When};
use crate::store::order::Order;

pub use app_dir::app_dir;
pub use bounds::{CollectionUsage, Usage};
pub use collection::{Collection, CollectionHandle, Handle};
pub use condition::Expected;
pub use diff::{Diff, PathChange};
pub use export::{Exported, Form};
pub use history::{Changed, History};
pub use import::{Format, Import, ImportReport, Imported, Problem, Source, Told};
pub use migrate::{DataVersion, DryRun, Migration, Migrations};
pub use mirror::{Mirror, MirrorImport, MirrorStatus};
pub use offer::OFFER_INTERVAL;
pub use once::{ONCE_AGE, ONCE_KEYS_KEPT, ONCE_KEYS_MAX, Once};
pub use options::StoreOptions;
pub use page::{Listed, PAGE_MAX, PAGE_SIZE, Page};
pub use path::{IntoPath, Path, SEGMENT_BYTES_MAX};
pub use preflight::Preflight;
pub use rollback::RollbackPreview;
#[cfg(feature = "schema")]
pub use schema::Schema;
pub use series::{Series, SeriesEntry, SeriesView};
pub use status::{Saving, StatusChanges};
pub use submit::StoreTicket;
pub use subscription::{Delivered, StoreSubscription, Touched};
#[cfg(feature = "cli")]
pub(crate) use tally::recount;
pub use timeline::{RestorePoint, Timeline, TimelinePage};
pub use transaction::Tx;
pub use undo::UndoScope;
pub use value::{Array, DEPTH_MAX, Object, Value};
pub use view::{Entry, View};
pub use watch::{WATCH_WAITING_MAX, Watch, WatchItem};

/// JSON documents in one directory, by path. Cheap to clone; all clones are one store.
#[derive(Clone)]
pub struct Store {
    order: Arc<Order>,
    manner: Manner,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("position", &self.position()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in the directory `path`; a missing or empty directory becomes an empty store, which the report
    /// says.
    ///
    /// # Errors
    ///
    /// `NotAJournal`, `WrongType` if it holds something else; `Held` if another process writes it; `Damaged` if bytes that
    /// were acknowledged do not check: nothing is then replaced by defaults (J6).
    pub fn open(path: impl AsRef<std::path::Path>) -> Result<Store> {
        StoreOptions::new().open(path)
    }

    /// Settings before opening.
    pub fn options() -> StoreOptions {
        StoreOptions::new()
    }

    pub(crate) fn of(order: Arc<Order>) -> Store {
        Store { order, manner: Manner { meta: None, durability: Durability::Synced } }
    }

    /// A handle whose commits say this about themselves.
    #[must_use]
    pub fn with_meta(&self, meta: Meta) -> Store {
        let manner = Manner { meta: Some(Arc::new(meta)), ..self.manner.clone() };
        Store { manner, ..self.clone() }
    }

    /// A handle whose commits are acknowledged with this durability.
    #[must_use]
    pub fn with_durability(&self, durability: Durability) -> Store {
        let manner = Manner { durability, ..self.manner.clone() };
        Store { manner, ..self.clone() }
    }

    /// The newest durable state. Waits for nobody.
    pub fn view(&self) -> View {
        View::new(self.order.view(), true)
    }

    /// The state at a moment of the past. Folds what lies between the snapshot before it and the moment.
    ///
    /// # Errors
    ///
    /// `BeforeHorizon` names the earliest moment that can be read; `Diverged` if the position was cut after a crash;
    /// `Absent` if there is no such record or pin; `Damaged` if what has to be read does not check.
    pub fn at(&self, when: impl Into<When>) -> Result<View> {
        let when = when.into();
        let journal = &self.order.journal;
        loop {
            let horizon = journal.horizon();
            let attempt = resolve(journal, &when).and_then(|resolved| {
                let version = self.order.fold_to(resolved.position.lsn)?;
                Ok(View::new(Arc::new(version), resolved.is_open))
            });
            match attempt {
                // The horizon passed by; a moment such as now is a later position by now, any other is gone for good.
                Err(_) if journal.horizon() != horizon => {}
                outcome => return outcome,
            }
        }
    }

    /// The value at `path` as a `T`, if there is one.
    ///
    /// # Errors
    ///
    /// As [`View::get`].
    pub fn get<T: DeserializeOwned>(&self, path: impl IntoPath) -> Result<Option<T>> {
        self.view().get(path)
    }

    /// The value at `path`, if there is one.
    ///
    /// # Errors
    ///
    /// As [`View::get`].
    pub fn get_value(&self, path: impl IntoPath) -> Result<Option<Value>> {
        self.view().get_value(path)
    }

    /// The value at `path` with where it comes from, if there is one.
    ///
    /// # Errors
    ///
    /// As [`View::get`].
    pub fn entry(&self, path: impl IntoPath) -> Result<Option<Entry>> {
        self.view().entry(path)
    }

    /// Whether there is a value at `path`, be it null.
    ///
    /// # Errors
    ///
    /// As [`View::get`].
    pub fn contains(&self, path: impl IntoPath) -> Result<bool> {
        self.view().contains(path)
    }

    /// The keys at `path`, in order.
    ///
    /// # Errors
    ///
    /// As [`View::get`].
    pub fn keys(&self, path: impl IntoPath) -> Result<Vec<String>> {
        self.view().keys(path)
    }

    /// Puts `value` at `path` and returns when it is on the disk. An equal value is not written; its receipt names a
    /// durable position all the same. `None` is stored as null.
    ///
    /// # Errors
    ///
    /// As [`Tx::set`]; `Full`, `Quota`: nothing was written; `FateUnknown` if the write or sync failed; `Poisoned` after
    /// that; `ReadOnly`; `Closed`; `Reentered` from inside a closure of this store.
    pub fn set<T: Serialize + ?Sized>(&self, path: impl IntoPath, value: &T) -> Result<Receipt> {
        let (path, value) = (path.into_path()?, Value::of(value)?);
        self.one(|tx| tx.set_value(path, value))
    }

    /// Takes out what is at `path`.
    ///
    /// # Errors
    ///
    /// As [`Tx::remove`] and [`Store::set`].
    pub fn remove(&self, path: impl IntoPath) -> Result<Receipt> {
        let path = path.into_path()?;
        self.one(|tx| tx.remove(path))
    }

    /// Applies a merge patch (RFC 7396) at `path`.
    ///
    /// # Errors
    ///
    /// As [`Tx::merge`] and [`Store::set`].
    pub fn merge<T: Serialize + ?Sized>(&self, path: impl IntoPath, patch: &T) -> Result<Receipt> {
        let (path, patch) = (path.into_path()?, Value::of(patch)?);
        self.one(|tx| tx.merge(path, &patch))
    }

    /// Changes the value at `path` as a `T`; only what differs is written.
    ///
    /// # Errors
    ///
    /// As [`Tx::update`] and [`Store::set`].
    pub fn update<T: Serialize + DeserializeOwned + Default>(
        &self,
        path: impl IntoPath,
        change: impl FnOnce(&mut T),
    ) -> Result<Receipt> {
        let path = path.into_path()?;
        self.one(|tx| tx.update(path, change))
    }

    /// Adds `by` to the integer at `path`; returns the sum.
    ///
    /// # Errors
    ///
    /// As [`Tx::increment`] and [`Store::set`].
    pub fn increment(&self, path: impl IntoPath, by: i64) -> Result<i64> {
        let path = path.into_path()?;
        Ok(self.transaction(|tx| tx.increment(path, by))?.0)
    }

    /// Adds `value` to the list at `path`, which keeps its last `keep_last` elements if that is given.
    ///
    /// # Errors
    ///
    /// As [`Tx::append`] and [`Store::set`].
    pub fn append<T: Serialize + ?Sized>(
        &self,
        path: impl IntoPath,
        value: &T,
        keep_last: Option<u64>,
    ) -> Result<Receipt> {
        let (path, value) = (path.into_path()?, Value::of(value)?);
        self.one(|tx| tx.append(path, &value, keep_last))
    }

    /// Does several things at once: all of it is there or nothing, and nobody sees a part. `body` runs exactly once, while
    /// everything else waits; what it returns comes back with the receipt. If it fails nothing is written.
    ///
    /// # Errors
    ///
    /// What `body` fails with, and as [`Store::set`].
    pub fn transaction<T>(&self, body: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<(T, Receipt)> {
        self.try_transaction(body).map_err(|error| match error {
            TransactionError::Refused(error) | TransactionError::Journal(error) => error,
        })
    }

    /// [`Store::transaction`] with an error of your own.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Refused`] with what `body` failed with; [`TransactionError::Journal`] as [`Store::set`].
    pub fn try_transaction<T, E>(
        &self,
        body: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<(T, Receipt), TransactionError<E>> {
        self.order.commit(&self.manner, body)
    }

    fn one<T>(&self, body: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<Receipt> {
        Ok(self.transaction(body)?.1)
    }

    /// Makes a snapshot at the durable end: opening again replays only what follows it. Writes what changed since the last.
    ///
    /// # Errors
    ///
    /// `Damaged` if the log reads back differently from what was written (J10); `Full`; `ReadOnly`.
    pub fn snapshot(&self) -> Result<Position> {
        self.order.outside()?;
        self.order.snapshot()
    }

    /// Reads everything that snapshots hold anew. Where something does not check, what was there is folded from the log and
    /// from the snapshots that do, and a new snapshot takes the place of the bad ones. For when a read has said `Damaged`.
    ///
    /// # Errors
    ///
    /// `Damaged` if neither the log nor another snapshot has it: nothing is changed then, and everything else stays readable.
    /// And as [`Store::snapshot`].
    pub fn mend(&self) -> Result<Position> {
        self.order.outside()?;
        self.order.mend()
    }

    /// Lets history go that `retention` does not keep; what it keeps stays readable at every instant. What lies in the
    /// file that is written to goes with a compaction after the next commit, as [`Journal::compact`] says.
    ///
    /// [`Journal::compact`]: crate::Journal::compact
    ///
    /// # Errors
    ///
    /// As [`Store::snapshot`].
    pub fn compact(&self, retention: &Retention) -> Result<Compacted> {
        self.order.outside()?;
        self.order.compact(retention)
    }

    /// What opening found and did.
    pub fn report(&self) -> &Report {
        self.order.journal.report()
    }

    /// The last durable position.
    pub fn position(&self) -> Position {
        self.order.journal.position()
    }

    /// The earliest position whose state can be read.
    pub fn horizon(&self) -> Position {
        self.order.journal.horizon()
    }

    /// How the journal below is doing.
    pub fn status(&self) -> Status {
        self.order.journal.status()
    }

    /// Returns when `position` is durable.
    ///
    /// # Errors
    ///
    /// As [`Journal::wait`](crate::Journal::wait).
    pub fn wait(&self, position: Position) -> Result<()> {
        self.order.journal.wait(position)
    }

    /// Names a moment, which retention then keeps; a pin of the same name moves. Durable on return. Waits while history is
    /// being compacted, so that the moment cannot pass below the horizon.
    ///
    /// # Errors
    ///
    /// `Input` if name or note are over 1024 bytes or the name is empty; and as [`Store::at`] and [`Store::set`].
    pub fn pin(&self, name: &str, when: impl Into<When>, note: &str) -> Result<Receipt> {
        self.order.outside()?;
        let journal = &self.order.journal;
        journal.writer_core()?;
        let _alone = journal.keep_upkeep_away();
        let position = resolve(journal, &when.into())?.position;
        let payload = journal.pin_record(name, position, note)?;
        self.commit_own(RecordKind::Pin, payload)
    }

    /// Lets a pin go. Durable on return.
    ///
    /// # Errors
    ///
    /// `Absent` if there is none of that name; and as [`Store::set`].
    pub fn unpin(&self, name: &str) -> Result<Receipt> {
        self.order.outside()?;
        let journal = &self.order.journal;
        journal.writer_core()?;
        // Whoever pins holds this, so that what is found stands.
        let _alone = journal.keep_upkeep_away();
        let payload = journal.unpin_record(name)?;
        self.commit_own(RecordKind::Unpin, payload)
    }

    /// Commits a record of the journal's own in the order of everything else: nobody may write past it.
    fn commit_own(&self, kind: RecordKind, payload: Vec<u8>) -> Result<Receipt> {
        let manner = Manner { durability: Durability::Synced, ..self.manner.clone() };
        let committed = self.order.commit(&manner, |tx| {
            tx.draft.put_own(kind, payload);
            Ok::<_, Error>(())
        });
        Ok(committed.map_err(Error::from)?.1)
    }

    /// All pins, by name.
    pub fn pins(&self) -> Vec<Pin> {
        self.order.journal.pins()
    }

    /// The time of the last durable record.
    pub fn time(&self) -> Timestamp {
        self.view().time()
    }

    /// Accepts nothing from now on, makes everything accepted durable, seals the journal and frees it for others.
    ///
    /// # Errors
    ///
    /// As [`Journal::close`](crate::Journal::close).
    pub fn close(&self) -> Result<()> {
        self.order.outside()?;
        self.order.close_tidily()
    }
}

impl From<TransactionError<Error>> for Error {
    fn from(error: TransactionError<Error>) -> Error {
        match error {
            TransactionError::Refused(error) | TransactionError::Journal(error) => error,
        }
    }
}
