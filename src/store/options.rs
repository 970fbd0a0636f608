//! How a store is opened.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::journal::Options;
use crate::journal::options::{Background, Damaged, FACE_STORE, Face};
use crate::medium::{Disk, Medium, Presence};
use crate::state::Codec;
use crate::state::registry::{Found, Place};
use crate::store::collection::{Collection, Declared, Window};
use crate::store::diff::Scope;
use crate::store::op::OP_VERSION;
use crate::store::order::Order;
use crate::store::path::{IntoPath, Path};
use crate::store::rules::Rules;
#[cfg(feature = "schema")]
use crate::store::schema::{Schema, Schemas};
use crate::store::{Migrations, Store, migrate};

/// What so many small changes leave takes some fifteen megabytes of memory, and a twentieth of a second to fold at opening.
const SNAPSHOT_EVERY_RECORDS: u64 = 30_000;

/// How a store is opened. All settings have defaults.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    journal: Options,
    #[cfg(feature = "schema")]
    pub(super) schemas: Vec<(String, Schema)>,
    pub(super) migrations: Option<Migrations>,
    check_all: bool,
    declared: Declared,
    /// What a rollback leaves alone.
    kept: Scope,
    /// What is wrong with these options; told at opening.
    fault: Option<Error>,
}

impl Default for StoreOptions {
    fn default() -> StoreOptions {
        StoreOptions::new()
    }
}

impl StoreOptions {
    /// The defaults.
    pub fn new() -> StoreOptions {
        StoreOptions {
            journal: Options::new().snapshot_every_records(SNAPSHOT_EVERY_RECORDS),
            #[cfg(feature = "schema")]
            schemas: Vec::new(),
            migrations: None,
            check_all: false,
            declared: Declared::default(),
            kept: Scope::default(),
            fault: None,
        }
    }

    /// Settings of the journal below: limits, segment sizes, read-back.
    #[must_use]
    pub fn journal(mut self, change: impl FnOnce(Options) -> Options) -> StoreOptions {
        self.journal = change(self.journal);
        self
    }

    /// Declares a collection: its defaults and bounds. A later declaration of the same name takes the place of an earlier.
    #[must_use]
    pub fn collection(mut self, collection: Collection) -> StoreOptions {
        self.declared.add(collection);
        self
    }

    /// The most that the store may hold, as bytes of keys and values; 256 MiB by default. What would pass it is refused with
    /// `Quota` before anything is written; what does not add is accepted.
    #[must_use]
    pub fn store_bytes_max(mut self, bytes: u64) -> StoreOptions {
        self.declared.limits.store_bytes_max = bytes;
        self
    }

    /// The largest value that may be set, appended or pushed at once, in bytes of its text; 8 MiB by default.
    #[must_use]
    pub fn value_bytes_max(mut self, bytes: u64) -> StoreOptions {
        self.declared.limits.value_bytes_max = bytes;
        self
    }

    /// How far back every instant stays readable when the store tidies itself; 7 days by default. History over
    /// [`StoreOptions::history_bytes_max`] goes earlier.
    #[must_use]
    pub fn history(mut self, window: Duration) -> StoreOptions {
        self.declared.limits.window = Window::Age(window);
        self
    }

    /// All history stays readable.
    #[must_use]
    pub fn history_forever(mut self) -> StoreOptions {
        self.declared.limits.window = Window::Forever;
        self
    }

    /// The bytes of segments that history may take, unless it is kept forever; 1 GiB by default.
    #[must_use]
    pub fn history_bytes_max(mut self, bytes: u64) -> StoreOptions {
        self.declared.limits.history_bytes_max = bytes;
        self
    }

    /// Refuses to create: an unmounted disk must not look like an empty store (J16).
    #[must_use]
    pub fn must_exist(self) -> StoreOptions {
        self.journal(Options::must_exist)
    }

    /// Opens for reading only, also beside a writer.
    #[must_use]
    pub fn read_only(self) -> StoreOptions {
        self.journal(Options::read_only)
    }

    /// What to do about damage.
    #[must_use]
    pub fn damaged(self, damaged: Damaged) -> StoreOptions {
        self.journal(|journal| journal.damaged(damaged))
    }

    /// What lies below these paths is not rolled back: credentials, positions in queues, and whatever else must not be what
    /// it was. A rollback leaves it as it is and its preview says so. A path that leads nowhere is told at opening.
    #[must_use]
    pub fn not_rolled_back(mut self, prefixes: impl IntoIterator<Item = impl IntoPath>) -> StoreOptions {
        match Scope::of(prefixes) {
            Ok(kept) => self.kept = kept,
            Err(error) => self.fault = Some(error),
        }
        self
    }

    /// Who does the work beside the commits.
    #[must_use]
    pub fn background(self, background: Background) -> StoreOptions {
        self.journal(|journal| journal.background(background))
    }

    /// The clock, for tests.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> StoreOptions {
        self.journal(|journal| journal.clock(clock))
    }

    /// Holds the whole state against the schemas when the store is opened. What is not valid does not keep it from opening:
    /// it is told by [`Store::violations`].
    #[must_use]
    pub fn check_all(mut self) -> StoreOptions {
        self.check_all = true;
        self
    }

    /// Opens the store in the directory `path`, which is created if it is missing. A directory that this process has open
    /// already as a store, for writing, gives the live handle; the options mean nothing then.
    ///
    /// # Errors
    ///
    /// As [`Store::open`].
    pub fn open(self, path: impl AsRef<std::path::Path>) -> Result<Store> {
        let checked = self.checked()?;
        let rules = checked.rules()?;
        checked.open_checked(path.as_ref(), rules)
    }

    fn open_checked(self, path: &std::path::Path, rules: Rules) -> Result<Store> {
        let presence = if self.journal.must_exist { Presence::MustExist } else { Presence::CreateMissing };
        let disk = Disk::open(path, presence)?;
        if self.journal.read_only {
            return Ok(Store::of(self.raise(Arc::new(disk), rules)?));
        }
        let place = Place::at(disk.real_path());
        match place.look::<Order>()? {
            Found::Live(order) => Ok(Store::of(order)),
            Found::Free(vacancy) => {
                let order = self.raise(Arc::new(disk), rules)?;
                if order.rules.barred.get().is_none() && order.place.set(place.clone()).is_ok() {
                    vacancy.move_in(order.id, &order);
                }
                Ok(Store::of(order))
            }
        }
    }

    /// Opens the store on a medium, such as a simulated one.
    ///
    /// # Errors
    ///
    /// As [`Store::open`]; `Held` if this or another process has it open for writing.
    pub fn open_on(self, medium: Arc<dyn Medium>) -> Result<Store> {
        let checked = self.checked()?;
        let rules = checked.rules()?;
        Ok(Store::of(checked.raise(medium, rules)?))
    }

    /// What the program demands, checked before anything is touched.
    fn rules(&self) -> Result<Rules> {
        if let Some(migrations) = &self.migrations {
            migrations.check()?;
        }
        Ok(Rules {
            #[cfg(feature = "schema")]
            schemas: Schemas::compile(
                self.schemas
                    .iter()
                    .map(|(name, schema)| (name.as_str(), schema))
                    .chain(self.declared.schemas()),
            )?,
            migrations: self.migrations.clone(),
            ..Rules::default()
        })
    }

    /// Opens the journal, folds it, and brings the data to the version that the program is made for. Data that is newer is
    /// opened for reading only.
    fn raise(self, medium: Arc<dyn Medium>, rules: Rules) -> Result<Arc<Order>> {
        let (rules, check_all) = (Arc::new(rules), self.check_all);
        let (kept, declared) = (self.kept.clone(), self.declared.clone());
        let options = self.face();
        let open = |options: Options| {
            let journal = options.open_on(Arc::clone(&medium))?;
            Order::new(journal, Arc::clone(&rules), kept.clone(), declared.clone())
        };
        let mut order = open(options.clone())?;
        if let Some(newer) = migrate::bring_up(&order)? {
            if !options.read_only {
                order.close()?;
                order = open(options.read_only())?;
            }
            rules.barred.get_or_init(|| newer);
        }
        if check_all {
            let found = rules.check_all(&order.view())?;
            rules.found_at_open.get_or_init(|| found);
        }
        Ok(order)
    }

    fn checked(mut self) -> Result<StoreOptions> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        self.declared.check()?;
        let declared = self.declared.not_rolled_back().map(|name| Path::of_segments([name]));
        self.kept = Scope::of(self.kept.paths().iter().cloned().chain(declared))?;
        Ok(self)
    }

    /// The options with what the journal is to hold (J15).
    fn face(self) -> Options {
        self.journal.face(Face {
            kind: Some(FACE_STORE),
            type_name: String::new(),
            codec: Codec::Json.number(),
            type_version: OP_VERSION,
        })
    }
}
