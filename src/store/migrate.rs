//! Migrations: the steps that bring the data of a store to the version that its program is made for.

mod plan;
mod rename;
mod run;

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::store::{StoreOptions, Tx};

pub use run::DryRun;
pub(crate) use run::bring_up;

/// The version of a store's data. A minor version adds; a major version changes what is there, and needs a migration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DataVersion {
    /// What counts what older programs would not understand.
    pub major: u32,
    /// What counts what was added.
    pub minor: u32,
}

impl DataVersion {
    fn parse(text: &str) -> Option<DataVersion> {
        let (major, minor) = text.split_once('.')?;
        Some(DataVersion { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

impl fmt::Display for DataVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

type Body = dyn Fn(&mut Tx<'_>) -> Result<()> + Send + Sync;

/// One step: what brings the data from the version before to its own.
///
/// A step must be pure: what it does depends on the data only, so that it comes to the same when it is tried out, when it
/// runs, and when an earlier state is looked at in today's form. It may run several times, but counts once.
#[derive(Clone)]
#[must_use]
pub struct Migration {
    version: DataVersion,
    name: String,
    renames: Vec<(String, String)>,
    body: Option<Arc<Body>>,
}

impl fmt::Debug for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "migration {} {:?}", self.version, self.name)
    }
}

impl Migration {
    /// The step to version `major.minor`, done by `body`.
    pub fn new(
        major: u32,
        minor: u32,
        name: impl Into<String>,
        body: impl Fn(&mut Tx<'_>) -> Result<()> + Send + Sync + 'static,
    ) -> Migration {
        Migration { body: Some(Arc::new(body)), ..Migration::renaming(major, minor, name) }
    }

    /// The step to version `major.minor` that does nothing but what is said with [`rename`](Migration::rename).
    pub fn renaming(major: u32, minor: u32, name: impl Into<String>) -> Migration {
        let version = DataVersion { major, minor };
        Migration { version, name: name.into(), renames: Vec::new(), body: None }
    }

    /// Moves what is at the path `old` to the path `new`, before the body runs. A segment `*` stands for every key or index:
    /// those of `new` are filled in with what those of `old` met. A path of one segment is a whole collection. Where nothing
    /// is at `old` nothing happens; where something is at `new` already the migration fails with `Conflict`.
    pub fn rename(mut self, old: impl Into<String>, new: impl Into<String>) -> Migration {
        self.renames.push((old.into(), new.into()));
        self
    }

    fn apply(&self, tx: &mut Tx<'_>) -> Result<()> {
        self.renames.iter().try_for_each(|(old, new)| rename::apply(tx, old, new))?;
        self.body.as_ref().map_or(Ok(()), |body| body(tx))
    }
}

/// All steps that a program knows, and so the version of the data that it is made for.
///
/// When a store is opened for writing, the steps that its data have not seen run in order, in one transaction behind a pin
/// called `before-migration-` and the version that is left, and are recorded in it. A step that fails leaves everything as
/// it was, and opening returns its error; the data can still be read with
/// [`read_only`](StoreOptions::read_only). A fresh store starts with the newest version. Data without a version
/// are older than every step.
///
/// Data that are newer than the program open for reading only; writing them is `NewerFormat`.
///
/// # Examples
///
/// ```
/// # fn main() -> everlog::Result<()> {
/// # let directory = tempfile::tempdir().expect("a directory");
/// # let path = directory.path().join("store");
/// use everlog::Store;
/// use everlog::store::{Migration, Migrations};
///
/// let store = Store::open(&path)?;
/// store.set("settings.theme", "dark")?;
/// store.close()?;
/// # drop(store);
///
/// let migrations = Migrations::new()
///     .add(Migration::renaming(1, 0, "looks").rename("settings.theme", "settings.look.theme"))
///     .add(Migration::new(1, 1, "zoom", |tx| tx.set("settings.look.zoom", &1).map(drop)));
/// let store = Store::options().migrations(migrations).open(&path)?;
/// assert_eq!(store.get::<String>("settings.look.theme")?.as_deref(), Some("dark"));
/// assert_eq!(store.data_version()?.map(|version| version.to_string()).as_deref(), Some("1.1"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Migrations {
    /// In order.
    steps: Vec<Migration>,
    version: Option<DataVersion>,
}

impl Migrations {
    /// None yet.
    pub fn new() -> Migrations {
        Migrations::default()
    }

    /// One step more. Steps run in the order of their versions.
    #[allow(clippy::should_implement_trait, reason = "it is one more, not a sum")]
    pub fn add(mut self, migration: Migration) -> Migrations {
        let place = self.steps.partition_point(|step| step.version <= migration.version);
        self.steps.insert(place, migration);
        self
    }

    /// The version of the program's data, where that is a minor version past the last step.
    pub fn version(mut self, major: u32, minor: u32) -> Migrations {
        self.version = Some(DataVersion { major, minor });
        self
    }

    /// The version that the data are brought to.
    fn target(&self) -> DataVersion {
        self.version.or(self.steps.last().map(|last| last.version)).unwrap_or_default()
    }

    /// Refuses what makes no sense for any data.
    pub(crate) fn check(&self) -> Result<()> {
        let fault = |what: String| Err(Error::new(ErrorKind::Input, what));
        if let Some(pair) = self.steps.windows(2).find(|pair| pair[0].version == pair[1].version) {
            return fault(format!("{} and {} have the same version", pair[0], pair[1]));
        }
        match self.steps.last() {
            Some(last) if last.version > self.target() => {
                fault(format!("{last} lies past the version {} that was named for the data", self.target()))
            }
            _ => Ok(()),
        }
    }
}

impl StoreOptions {
    /// The steps that bring older data to the version that the program is made for, see [`Migrations`].
    #[must_use]
    pub fn migrations(mut self, migrations: Migrations) -> StoreOptions {
        self.migrations = Some(migrations);
        self
    }
}
