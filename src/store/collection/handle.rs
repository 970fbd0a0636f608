//! Typed handles: a collection as one value of a type, and one path as a value of a type.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};
use crate::journal::Receipt;
use crate::position::Position;
use crate::store::collection::check_users;
use crate::store::path::{IntoPath, Path};
use crate::store::value::{Object, Value};
use crate::store::view::Entry;
use crate::store::{Store, Tx};

/// A collection as one value: what a JSON file was. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CollectionHandle {
    store: Store,
    name: String,
}

impl CollectionHandle {
    /// The name of the collection.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn path(&self) -> Result<Path> {
        check_users(&self.name)?;
        Ok(Path::of_segments([&self.name]))
    }

    /// All documents as one `T`, over the defaults. An empty collection reads as an empty object. O(collection).
    ///
    /// # Errors
    ///
    /// `WrongType` if the documents do not have that shape; `Damaged` if they cannot be read; `Input` if the name cannot
    /// be that of a collection.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(self.read_at()?.0)
    }

    /// The same, with the position of the state that it was read from, for [`CollectionHandle::replace`].
    ///
    /// # Errors
    ///
    /// As [`CollectionHandle::read`].
    pub fn read_at<T: DeserializeOwned>(&self) -> Result<(T, Position)> {
        let view = self.store.view();
        let value = view.version().layered(&self.path()?)?;
        Ok((value.unwrap_or_else(|| Value::Object(Object::new())).read()?, view.position()))
    }

    /// Reads all documents as a `T`, lets `change` change it, and writes only the fields that differ before and after: what
    /// `T` does not know stays, and no default is written that was not changed. O(collection).
    ///
    /// # Errors
    ///
    /// As [`CollectionHandle::read`] and [`Store::set`].
    pub fn update<T: Serialize + DeserializeOwned>(&self, change: impl FnOnce(&mut T)) -> Result<Receipt> {
        let path = self.path()?;
        self.store.one(|tx| tx.update_collection(&path, change))
    }

    /// Makes `value`, an object of documents by key, the whole collection. `expected` is the position that the caller's
    /// knowledge is of, such as that of [`CollectionHandle::read_at`]: if anything in the collection was changed since, by
    /// anybody, nothing is written. What was there stays in the history. Only what differs is written. O(collection).
    ///
    /// # Errors
    ///
    /// `Conflict` if the collection changed after `expected`, or there is no such position in this history; `Input` if `value`
    /// is not an object; and as [`Store::set`].
    pub fn replace<T: Serialize + ?Sized>(&self, value: &T, expected: Position) -> Result<Receipt> {
        let (path, value) = (self.path()?, Value::of(value)?);
        let common = self.store.order.journal.with_summary(|summary| summary.common(expected));
        if common != expected {
            let what = format!("position {expected} is not part of this history, which left it at {common}");
            return Err(Error::new(ErrorKind::Conflict, what).advise("read the collection again"));
        }
        self.store.one(|tx| tx.replace_collection(&path, value, expected))
    }
}

impl Tx<'_> {
    fn update_collection<T: Serialize + DeserializeOwned>(
        &mut self,
        path: &Path,
        change: impl FnOnce(&mut T),
    ) -> Result<bool> {
        let old = self.draft.version().layered(path)?.unwrap_or_else(|| Value::Object(Object::new()));
        let mut state: T = old.read()?;
        let before = Value::of(&state)?;
        change(&mut state);
        let new = old.rebased(&before, &documents(path, Value::of(&state)?)?);
        self.change_to(path, Some(old), new)
    }

    fn replace_collection(&mut self, path: &Path, new: Value, expected: Position) -> Result<bool> {
        let version = self.draft.version();
        let changed = version.tally(path.collection()).changed;
        // Pins have numbers, too, and change nothing: what is expected may be one of these.
        if changed > expected.lsn || expected.lsn >= self.draft.start().lsn {
            let what = format!(
                "collection {path} was last changed at record {changed}, and what is to replace it was made of {expected}"
            );
            return Err(Error::new(ErrorKind::Conflict, what)
                .advise("read the collection again, or change only what has changed"));
        }
        let old = version.value(path)?.unwrap_or_else(|| Value::Object(Object::new()));
        self.change_to(path, Some(old), documents(path, new)?)
    }
}

/// The value, if it is an object of documents.
fn documents(path: &Path, value: Value) -> Result<Value> {
    match value {
        Value::Object(_) => Ok(value),
        other => {
            let what = format!("collection {path} is an object of documents, not {}", other.kind());
            Err(Error::new(ErrorKind::Input, what))
        }
    }
}

/// One path as a value of type `T`. Cheap to clone.
///
/// # Examples
///
/// ```
/// # fn main() -> everlog::Result<()> {
/// # let directory = tempfile::tempdir().expect("a directory");
/// # let store = everlog::Store::open(directory.path().join("store"))?;
/// let width = store.handle::<u32>("settings.window.width");
/// width.set(&640)?;
/// width.update(|width| *width *= 2)?;
/// assert_eq!(width.get()?, Some(1280));
/// # Ok(())
/// # }
/// ```
pub struct Handle<T> {
    store: Store,
    /// A path that leads nowhere is told when it is used.
    path: Result<Path>,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Handle<T> {
        Handle { store: self.store.clone(), path: self.path.clone(), of: PhantomData }
    }
}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.path).finish()
    }
}

impl<T: Serialize + DeserializeOwned> Handle<T> {
    /// The path.
    ///
    /// # Errors
    ///
    /// `Input` if it leads nowhere.
    pub fn path(&self) -> Result<&Path> {
        self.path.as_ref().map_err(Clone::clone)
    }

    /// The value, if there is one.
    ///
    /// # Errors
    ///
    /// As [`Store::get`].
    pub fn get(&self) -> Result<Option<T>> {
        self.store.get(self.path()?)
    }

    /// The value with where it comes from, if there is one.
    ///
    /// # Errors
    ///
    /// As [`Store::entry`].
    pub fn entry(&self) -> Result<Option<Entry>> {
        self.store.entry(self.path()?)
    }

    /// Puts `value` there and returns when it is on the disk.
    ///
    /// # Errors
    ///
    /// As [`Store::set`].
    pub fn set(&self, value: &T) -> Result<Receipt> {
        self.store.set(self.path()?, value)
    }

    /// Changes the value; only what differs is written. A missing value starts as the default.
    ///
    /// # Errors
    ///
    /// As [`Store::update`].
    pub fn update(&self, change: impl FnOnce(&mut T)) -> Result<Receipt>
    where
        T: Default,
    {
        self.store.update(self.path()?, change)
    }

    /// Takes the value out; a default shows again.
    ///
    /// # Errors
    ///
    /// As [`Store::remove`].
    pub fn remove(&self) -> Result<Receipt> {
        self.store.remove(self.path()?)
    }
}

impl Store {
    /// The collection `name` as one value. The name is one, not a path: dots in it are dots.
    pub fn collection(&self, name: impl Into<String>) -> CollectionHandle {
        CollectionHandle { store: self.clone(), name: name.into() }
    }

    /// The value at `path` as a handle. A path that leads nowhere is told when the handle is used.
    pub fn handle<T>(&self, path: impl IntoPath) -> Handle<T> {
        Handle { store: self.clone(), path: path.into_path(), of: PhantomData }
    }
}
