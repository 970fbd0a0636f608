//! Series: time-keyed entries under one path, pushed at the end, read by time, bounded in number and age.

mod state;

use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeBounds;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::Receipt;
use crate::position::{Lsn, Position};
use crate::store::document::Document;
use crate::store::key::{self, Key, Named};
use crate::store::op::Op;
use crate::store::path::{IntoPath, Path};
use crate::store::value::Value;
use crate::store::version::Version;
use crate::store::{Store, Tx, View};

pub(crate) use state::{Keep, check_path};

/// Entries of type `T` under one path, in the order of their times: messages of a session, samples of a sensor. Cheap to
/// clone.
///
/// A push costs its entry, however many there are; reading costs O(log n) and what is read. A series has no values of its
/// own inside the document tree: its path, a collection and one key, is either that of a document or of a series.
///
/// # Examples
///
/// ```
/// # fn main() -> everlog::Result<()> {
/// # let directory = tempfile::tempdir().expect("a directory");
/// use everlog::{Store, path};
///
/// let store = Store::open(directory.path().join("store"))?;
/// let messages = store.series::<String>(path!("messages", 17)).keep_last(1000);
/// messages.push(&"hello".to_owned())?;
/// store.transaction(|tx| {
///     tx.push(&messages, &"again".to_owned())?;
///     tx.set(path!("sessions", 17, "messages"), &2)
/// })?;
/// assert_eq!(messages.len()?, 2);
/// assert_eq!(messages.latest(1)?[0].value, "again");
/// # Ok(())
/// # }
/// ```
pub struct Series<T> {
    store: Store,
    /// A path that cannot be one of a series is told when it is used.
    path: Result<Path>,
    keep: Keep,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Series<T> {
    fn clone(&self) -> Series<T> {
        Series { store: self.store.clone(), path: self.path.clone(), keep: self.keep, of: PhantomData }
    }
}

impl<T> fmt::Debug for Series<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Series").field(&self.path).finish()
    }
}

/// One entry of a series.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SeriesEntry<T> {
    /// The value.
    pub value: T,
    /// The time that it stands under: when it was pushed, or what the push said.
    pub time: Timestamp,
    /// The record that pushed it.
    pub revision: Position,
    /// When that was.
    pub recorded: Timestamp,
    /// Who did it, if that was said.
    pub actor: Option<Arc<str>>,
}

impl<T: DeserializeOwned> SeriesEntry<T> {
    fn read((key, document): (Key, Arc<Document>)) -> Result<SeriesEntry<T>> {
        let Some(Named::Entry { time, .. }) = key::read(&key) else {
            return Err(Error::new(ErrorKind::Damaged, "key of an entry of a series does not check"));
        };
        let (revision, recorded, actor) = (document.revision, document.time, document.actor.clone());
        Ok(SeriesEntry { value: document.value.read()?, time, revision, recorded, actor })
    }
}

/// A series in one state, such as that of a [`View`]: does not change any more.
pub struct SeriesView<T> {
    version: Version,
    path: Path,
    of: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for SeriesView<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SeriesView({} at {})", self.path, self.version.position)
    }
}

impl<T: DeserializeOwned> SeriesView<T> {
    fn new(version: Version, path: Path) -> Result<SeriesView<T>> {
        check_path(&path)?;
        Ok(SeriesView { version, path, of: PhantomData })
    }

    /// The number of entries. O(log n).
    ///
    /// # Errors
    ///
    /// `Damaged` if the count cannot be read.
    pub fn len(&self) -> Result<u64> {
        Ok(self.version.series(&self.path)?.map_or(0, |known| known.count))
    }

    /// Whether there are no entries. O(log n).
    ///
    /// # Errors
    ///
    /// As [`SeriesView::len`].
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// The entries whose times lie in `times`, the earliest first. O(log n) and what is read.
    ///
    /// # Errors
    ///
    /// `WrongType` if an entry does not have the shape of a `T`; `Damaged`, with file and offset, if it cannot be read.
    pub fn range(&self, times: impl RangeBounds<Timestamp>) -> Result<Vec<SeriesEntry<T>>> {
        self.version.entries(&self.path, &times)?.map(|pair| SeriesEntry::read(pair?)).collect()
    }

    /// Shows the entries whose times lie in `times` one after the other, the earliest first, without holding them all.
    ///
    /// # Errors
    ///
    /// As [`SeriesView::range`], and what `show` fails with.
    pub fn each(
        &self,
        times: impl RangeBounds<Timestamp>,
        mut show: impl FnMut(SeriesEntry<T>) -> Result<()>,
    ) -> Result<()> {
        self.version.entries(&self.path, &times)?.try_for_each(|pair| show(SeriesEntry::read(pair?)?))
    }

    /// The last `count` entries, the latest first. O(log n) and what is read.
    ///
    /// # Errors
    ///
    /// As [`SeriesView::range`].
    pub fn latest(&self, count: usize) -> Result<Vec<SeriesEntry<T>>> {
        self.latest_within(.., count)
    }

    /// The last `count` entries whose times lie in `times`, the latest first. O(log n) and what is read.
    ///
    /// # Errors
    ///
    /// As [`SeriesView::range`].
    pub fn latest_within(
        &self,
        times: impl RangeBounds<Timestamp>,
        count: usize,
    ) -> Result<Vec<SeriesEntry<T>>> {
        let entries = self.version.entries_back(&self.path, &times)?.take(count);
        entries.map(|pair| SeriesEntry::read(pair?)).collect()
    }
}

impl<T: Serialize + DeserializeOwned> Series<T> {
    /// The path of the series.
    ///
    /// # Errors
    ///
    /// `Input` if it cannot be one.
    pub fn path(&self) -> Result<&Path> {
        self.path.as_ref().map_err(Clone::clone)
    }

    /// A handle whose pushes leave only the last `count` entries, at least one. The cut is part of the push's transaction.
    #[must_use]
    pub fn keep_last(mut self, count: u64) -> Series<T> {
        self.keep = self.keep.and(Keep { last: Some(count.max(1)), max_age: None });
        self
    }

    /// A handle whose pushes let entries go that were written longer ago, from the earliest time on. The cut is part of the
    /// push's transaction. It counts time that has passed for sure: a step of the clock lets nothing go (J8). An entry that
    /// stands behind a younger one in the order of times stays until that one goes.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Series<T> {
        self.keep = self.keep.and(Keep { last: None, max_age: Some(age) });
        self
    }

    /// Adds an entry under the time of its record, and returns when it is on the disk.
    ///
    /// # Errors
    ///
    /// `WrongType` if a document is at the path; `TooLarge`; `Quota`; and as [`Store::set`].
    pub fn push(&self, value: &T) -> Result<Receipt> {
        let value = Value::of(value)?;
        self.store.one(|tx| tx.push_value(self, None, value))
    }

    /// [`Series::push`] under a time of your own. Entries of the same time stand in the order of their pushes.
    ///
    /// # Errors
    ///
    /// As [`Series::push`].
    pub fn push_at(&self, time: Timestamp, value: &T) -> Result<Receipt> {
        let value = Value::of(value)?;
        self.store.one(|tx| tx.push_value(self, Some(time), value))
    }

    /// Takes out all entries before `time`.
    ///
    /// # Errors
    ///
    /// As [`Store::set`].
    pub fn cut(&self, time: Timestamp) -> Result<Receipt> {
        self.store.one(|tx| tx.cut(self, time))
    }

    /// Takes out all entries.
    ///
    /// # Errors
    ///
    /// As [`Store::set`].
    pub fn clear(&self) -> Result<Receipt> {
        let op = Op::Cut { path: self.path()?.clone(), time: Timestamp::MAX, lsn: Lsn::MAX };
        self.store.one(|tx| tx.apply(op))
    }

    /// The series in the newest durable state.
    ///
    /// # Errors
    ///
    /// `Input` if the path cannot be one of a series.
    pub fn view(&self) -> Result<SeriesView<T>> {
        self.store.view().series(self.path()?)
    }

    /// As [`SeriesView::len`], in the newest durable state.
    ///
    /// # Errors
    ///
    /// As [`SeriesView::len`].
    pub fn len(&self) -> Result<u64> {
        self.view()?.len()
    }

    /// As [`SeriesView::is_empty`], in the newest durable state.
    ///
    /// # Errors
    ///
    /// As [`SeriesView::len`].
    pub fn is_empty(&self) -> Result<bool> {
        self.view()?.is_empty()
    }

    /// As [`SeriesView::range`], in the newest durable state.
    ///
    /// # Errors
    ///
    /// As [`SeriesView::range`].
    pub fn range(&self, times: impl RangeBounds<Timestamp>) -> Result<Vec<SeriesEntry<T>>> {
        self.view()?.range(times)
    }

    /// As [`SeriesView::latest`], in the newest durable state.
    ///
    /// # Errors
    ///
    /// As [`SeriesView::range`].
    pub fn latest(&self, count: usize) -> Result<Vec<SeriesEntry<T>>> {
        self.view()?.latest(count)
    }
}

impl Store {
    /// The series at `path`: a collection and one key. A path that cannot be one is told when the series is used.
    pub fn series<T>(&self, path: impl IntoPath) -> Series<T> {
        let path = path.into_path().and_then(|path| check_path(&path).map(|()| path));
        Series { store: self.clone(), path, keep: Keep::default(), of: PhantomData }
    }
}

impl View {
    /// The series at `path`, as it is in this state.
    ///
    /// # Errors
    ///
    /// `Input` if `path` cannot name a series.
    pub fn series<T: DeserializeOwned>(&self, path: impl IntoPath) -> Result<SeriesView<T>> {
        SeriesView::new((**self.version()).clone(), path.into_path()?)
    }

    /// The keys of all series of a collection that have entries, in order, each with how many it has.
    ///
    /// # Errors
    ///
    /// `Input` if that names no collection; `Damaged` if the counts cannot be read.
    pub fn series_keys(&self, collection: impl IntoPath) -> Result<Vec<(String, u64)>> {
        self.version().all_series(collection.into_path()?.collection())
    }
}

impl Tx<'_> {
    /// Adds an entry to a series under the time of this transaction. What the handle or the collection was told to keep is
    /// then cut to that.
    ///
    /// # Errors
    ///
    /// As [`Series::push`].
    pub fn push<T: Serialize>(&mut self, series: &Series<T>, value: &T) -> Result<()> {
        self.push_value(series, None, Value::of(value)?).map(|_| ())
    }

    /// [`Tx::push`] under a time of your own.
    ///
    /// # Errors
    ///
    /// As [`Series::push`].
    pub fn push_at<T: Serialize>(&mut self, series: &Series<T>, time: Timestamp, value: &T) -> Result<()> {
        self.push_value(series, Some(time), Value::of(value)?).map(|_| ())
    }

    fn push_value<T>(&mut self, series: &Series<T>, time: Option<Timestamp>, value: Value) -> Result<bool> {
        let path = series.path.clone()?;
        let time = time.unwrap_or(self.draft.time());
        let pushed = self.draft.apply(Op::Push { path: path.clone(), time, value })?;
        self.draft.keep_series(&path, series.keep);
        Ok(pushed)
    }

    /// Takes out all entries of a series before `time`. Tells whether there were any.
    ///
    /// # Errors
    ///
    /// `Damaged` if what is there cannot be read.
    pub fn cut<T>(&mut self, series: &Series<T>, time: Timestamp) -> Result<bool> {
        self.draft.apply(Op::Cut { path: series.path.clone()?, time, lsn: Lsn::ZERO })
    }

    /// A series as it is now, after the changes of this transaction so far.
    ///
    /// # Errors
    ///
    /// `Input` if `path` cannot name a series.
    pub fn series<T: DeserializeOwned>(&self, path: impl IntoPath) -> Result<SeriesView<T>> {
        SeriesView::new(self.draft.version().clone(), path.into_path()?)
    }
}
