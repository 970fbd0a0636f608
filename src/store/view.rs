//! Reading: an immutable state at one position, with the same methods for now and for any earlier moment.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::position::Position;
use crate::store::key;
use crate::store::path::{IntoPath, Path};
use crate::store::value::Value;
use crate::store::version::Version;

/// The state of a store at one position: of its own, whatever happens to the store. Cheap to clone; its reads wait for
/// nobody.
#[derive(Clone, Debug)]
pub struct View {
    version: Arc<Version>,
    is_open: bool,
}

impl View {
    pub(crate) fn new(version: Arc<Version>, is_open: bool) -> View {
        View { version, is_open }
    }

    pub(crate) fn version(&self) -> &Arc<Version> {
        &self.version
    }

    /// The last record that is in this state.
    pub fn position(&self) -> Position {
        self.version.position
    }

    /// The time of that record.
    pub fn time(&self) -> Timestamp {
        self.version.time
    }

    /// Whether something may still happen at or before the moment asked for, so that asking again may give a later
    /// position (J8). Never so for a position or a pin.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// The value at `path` as a `T`, if there is one. A path of one segment gives the whole collection.
    ///
    /// # Errors
    ///
    /// `Input` if `path` leads nowhere; `WrongType` if the value does not have that shape; `Damaged`, with file and offset,
    /// if it cannot be read.
    pub fn get<T: DeserializeOwned>(&self, path: impl IntoPath) -> Result<Option<T>> {
        self.get_value(path)?.map(|value| value.read()).transpose()
    }

    /// The value at `path`, if there is one.
    ///
    /// # Errors
    ///
    /// As [`View::get`].
    pub fn get_value(&self, path: impl IntoPath) -> Result<Option<Value>> {
        self.version.layered(&path.into_path()?)
    }

    /// The value at `path` with where it comes from, if it is stored: defaults come from nowhere and are left out.
    ///
    /// # Errors
    ///
    /// As [`View::get`].
    pub fn entry(&self, path: impl IntoPath) -> Result<Option<Entry>> {
        Entry::at(&self.version, &path.into_path()?)
    }

    /// Whether there is a value at `path`, be it null.
    ///
    /// # Errors
    ///
    /// As [`View::get`].
    pub fn contains(&self, path: impl IntoPath) -> Result<bool> {
        Ok(self.get_value(path)?.is_some())
    }

    /// The keys at `path`, in order: of the documents of a collection, or of the members of an object.
    ///
    /// # Errors
    ///
    /// As [`View::get`].
    pub fn keys(&self, path: impl IntoPath) -> Result<Vec<String>> {
        self.version.keys(&path.into_path()?)
    }

    /// The names of all collections that have something, in order; not those of the store itself.
    pub fn collections(&self) -> Vec<String> {
        let tallies =
            self.version.tallies().filter(|(name, tally)| tally.documents > 0 && key::is_users(name));
        tallies.map(|(name, _)| name.to_owned()).collect()
    }

    /// The bytes of all keys and values as text. O(collections).
    pub fn bytes(&self) -> u64 {
        self.version.bytes()
    }
}

/// A value with where it comes from.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// The value.
    pub value: Value,
    /// The record that last changed the document which the value is in.
    pub revision: Position,
    /// When that was.
    pub time: Timestamp,
    /// Who did it, if that was said.
    pub actor: Option<Arc<str>>,
}

impl Entry {
    pub(crate) fn at(version: &Version, path: &Path) -> Result<Option<Entry>> {
        let Some(document) = version.document(path)? else { return Ok(None) };
        let value = document.value.at(path.inner()).cloned();
        let (revision, time, actor) = (document.revision, document.time, document.actor.clone());
        Ok(value.map(|value| Entry { value, revision, time, actor }))
    }
}
