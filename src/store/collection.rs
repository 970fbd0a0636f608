//! Collections as a program declares them: defaults and bounds that hold for every writer; and typed handles.

mod handle;
mod layers;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};
use crate::journal::Retention;
use crate::store::key;
use crate::store::path::Path;
#[cfg(feature = "schema")]
use crate::store::schema::Schema;
use crate::store::series::Keep;
use crate::store::value::{Object, Value};

pub use handle::{CollectionHandle, Handle};

const MIB: u64 = 1024 * 1024;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What a program declares of a collection, for [`StoreOptions::collection`](crate::store::StoreOptions::collection).
///
/// Declarations are the program's, not the store's: they are not written down. A collection that is not declared works,
/// too; it has no defaults and no bounds of its own.
///
/// # Examples
///
/// ```
/// # fn main() -> everlog::Result<()> {
/// # let directory = tempfile::tempdir().expect("a directory");
/// use everlog::Store;
/// use everlog::store::Collection;
/// use serde_json::json;
///
/// let store = Store::options()
///     .collection(Collection::new("settings").defaults(&json!({"theme": "light", "size": 12}))?)
///     .collection(Collection::new("recent").keep_last(20))
///     .open(directory.path().join("store"))?;
/// assert_eq!(store.get::<String>("settings.theme")?.as_deref(), Some("light"));
/// store.set("settings.theme", "dark")?;
/// store.remove("settings.theme")?;
/// assert_eq!(store.get::<String>("settings.theme")?.as_deref(), Some("light"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Collection {
    pub(crate) name: String,
    pub(crate) defaults: Option<Value>,
    pub(crate) keep_last: Option<u64>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) bytes_max: Option<u64>,
    pub(crate) series: Keep,
    pub(crate) is_not_rolled_back: bool,
    pub(crate) is_relaxed: bool,
    /// How far back its history is to be readable; `None` as far as that of the store.
    pub(crate) history: Option<Window>,
    #[cfg(feature = "schema")]
    pub(crate) schemas: Vec<Schema>,
}

/// How far back something is to be readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    Age(Duration),
    Forever,
}

impl Collection {
    /// The collection `name`, with nothing declared yet. A name that cannot be one is refused when the store is opened.
    pub fn new(name: impl Into<String>) -> Collection {
        Collection {
            name: name.into(),
            defaults: None,
            keep_last: None,
            max_age: None,
            bytes_max: None,
            series: Keep::default(),
            is_not_rolled_back: false,
            is_relaxed: false,
            history: None,
            #[cfg(feature = "schema")]
            schemas: Vec::new(),
        }
    }

    /// What is read where nothing is stored. Objects are layered member by member, and what is stored wins; a list or a
    /// text is stored or not as a whole. Reading never writes defaults; removing a value gives its default again.
    ///
    /// # Errors
    ///
    /// `Input` if `values` is not an object of documents by key.
    pub fn defaults<T: Serialize + ?Sized>(mut self, values: &T) -> Result<Collection> {
        let values = Value::of(values)?;
        if values.as_object().is_none() {
            let what = format!("defaults of {} are {}, not an object of documents", self.name, values.kind());
            return Err(Error::new(ErrorKind::Input, what));
        }
        self.defaults = Some(values);
        Ok(self)
    }

    /// At most so many documents, at least one: a transaction that makes more removes those whose last change is the
    /// longest ago. What is removed stays in the history. Where there are many more when this is declared, each transaction
    /// removes a thousand beside as many as it writes, until no more are left than that.
    pub fn keep_last(mut self, documents: u64) -> Collection {
        self.keep_last = Some(documents.max(1));
        self
    }

    /// Documents whose last change is longer ago go with the next transaction that changes the collection. Counts time that
    /// has passed for sure: a step of the clock removes nothing (J8).
    pub fn max_age(mut self, age: Duration) -> Collection {
        self.max_age = Some(age);
        self
    }

    /// At most so many bytes of keys and values as text: what would pass that is refused with `Quota`. Transactions that
    /// do not add are accepted even above it.
    pub fn bytes_max(mut self, bytes: u64) -> Collection {
        self.bytes_max = Some(bytes);
        self
    }

    /// Each series of the collection keeps its last so many entries, at least one, whoever pushes.
    pub fn series_keep_last(mut self, entries: u64) -> Collection {
        self.series = self.series.and(Keep { last: Some(entries.max(1)), max_age: None });
        self
    }

    /// Each series of the collection lets entries go that were written longer ago, whoever pushes; as
    /// [`Series::max_age`](crate::store::Series::max_age).
    pub fn series_max_age(mut self, age: Duration) -> Collection {
        self.series = self.series.and(Keep { last: None, max_age: Some(age) });
        self
    }

    /// Rollbacks leave this collection as it is, such as a log of what happened or a licence.
    pub fn not_rolled_back(mut self) -> Collection {
        self.is_not_rolled_back = true;
        self
    }

    /// *Lossy*: a transaction that changes only relaxed collections returns before it is on the disk, as with
    /// [`Durability::Buffered`](crate::Durability::Buffered). A crash may take the last ones, whole and from the end; readers
    /// see them once they are durable. Nothing is left out or merged: each has a receipt, and is in the log.
    ///
    /// Only what is [offered](crate::store::Store::offer) to such a collection is merged: what changes many times a second.
    pub fn relaxed(mut self) -> Collection {
        self.is_relaxed = true;
        self
    }

    /// How far back the history of this collection is to be readable. Histories have one end: the longest window that is
    /// declared, of the store or a collection, is that of all.
    pub fn history(mut self, window: Duration) -> Collection {
        self.history = Some(Window::Age(window));
        self
    }

    /// The history of this collection stays readable, and so that of all.
    pub fn history_forever(mut self) -> Collection {
        self.history = Some(Window::Forever);
        self
    }
}

/// How much a store may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoreLimits {
    pub(crate) store_bytes_max: u64,
    pub(crate) value_bytes_max: u64,
    /// How far back history is kept, and up to how many bytes.
    pub(crate) window: Window,
    pub(crate) history_bytes_max: u64,
}

impl Default for StoreLimits {
    fn default() -> StoreLimits {
        StoreLimits {
            store_bytes_max: 256 * MIB,
            value_bytes_max: 8 * MIB,
            window: Window::Age(7 * DAY),
            history_bytes_max: 1024 * MIB,
        }
    }
}

/// All that was declared when a store was opened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Declared {
    /// Which store it is.
    pub(crate) store: [u8; 16],
    pub(crate) limits: StoreLimits,
    collections: BTreeMap<String, Collection>,
}

impl Declared {
    /// The same, for the store with this identity.
    pub(crate) fn of_store(self, store: [u8; 16]) -> Declared {
        Declared { store, ..self }
    }

    /// Takes in a declaration; a later one of the same name counts.
    pub(crate) fn add(&mut self, collection: Collection) {
        self.collections.insert(collection.name.clone(), collection);
    }

    /// Refuses names that no collection can have.
    pub(crate) fn check(&self) -> Result<()> {
        self.collections.keys().try_for_each(|name| check_users(name))
    }

    /// What was declared of a collection.
    pub(crate) fn of(&self, name: &str) -> Option<&Collection> {
        self.collections.get(name)
    }

    /// The collections that have a limit of bytes, each with it.
    pub(crate) fn limited(&self) -> impl Iterator<Item = (&str, u64)> {
        self.collections.values().filter_map(|declared| Some((declared.name.as_str(), declared.bytes_max?)))
    }

    /// The schemas of all collections, each with the name of its collection.
    #[cfg(feature = "schema")]
    pub(crate) fn schemas(&self) -> impl Iterator<Item = (&str, &Schema)> {
        let collections = self.collections.iter();
        collections
            .flat_map(|(name, declared)| declared.schemas.iter().map(move |schema| (name.as_str(), schema)))
    }

    /// The default at `path`; a path of one segment gives those of all documents.
    pub(crate) fn default_at(&self, path: &Path) -> Option<&Value> {
        self.of(path.collection())?.defaults.as_ref()?.at(path.segments().get(1..).unwrap_or_default())
    }

    /// The defaults of a collection, by key.
    pub(crate) fn defaults(&self, name: &str) -> Option<&Object> {
        self.of(name)?.defaults.as_ref()?.as_object()
    }

    /// The names of the collections that rollbacks leave as they are.
    pub(crate) fn not_rolled_back(&self) -> impl Iterator<Item = &str> {
        let left = self.collections.values().filter(|collection| collection.is_not_rolled_back);
        left.map(|collection| collection.name.as_str())
    }

    /// What history is to be kept: as far back as the longest window, up to a number of bytes.
    pub(crate) fn retention(&self) -> Retention {
        let own = self.collections.values().filter_map(|collection| collection.history);
        let longest = own.chain([self.limits.window]).reduce(|one, other| match (one, other) {
            (Window::Age(one), Window::Age(other)) => Window::Age(one.max(other)),
            _ => Window::Forever,
        });
        match longest {
            Some(Window::Age(age)) => Retention::forever().age(age).bytes(self.limits.history_bytes_max),
            _ => Retention::forever(),
        }
    }
}

/// Refuses what cannot name a collection of a user.
pub(crate) fn check_users(name: &str) -> Result<()> {
    key::check_collection(name)?;
    if !key::is_users(name) {
        let what = format!("collection {name:?}: names that start with a dollar are the store's own");
        return Err(Error::new(ErrorKind::Input, what));
    }
    Ok(())
}
