//! A store of its own that starts with the state of another one at a moment of its past.
//!
//! # Format
//!
//! The first record of a fork is `["note", "fork", {"of": identity, "at": position}]`: of which store it is, and from where on
//! it is one of its own.

use std::path::Path;
use std::sync::Arc;

use crate::error::{ErrorKind, Result};
use crate::journal::fork::{self, Start};
use crate::journal::group::NewRecord;
use crate::journal::{Durability, Journal, Options};
use crate::medium::{Disk, Medium, Presence};
use crate::position::{Lsn, Position};
use crate::snapshot::list;
use crate::state::When;
use crate::store::Store;
use crate::store::maker::with_maker_afresh;
use crate::store::op::{OP_VERSION, Op};
use crate::store::replay::{FOLD_REVISION, STATE_VERSION};
use crate::store::timeline::object;
use crate::store::value::Value;

/// What the note of a fork is called.
const FORK: &str = "fork";

impl Store {
    /// Makes a store in the directory `path`, missing or empty, that starts with the state at a moment. It is a store of
    /// its own, with an identity of its own; nothing that happens to one is seen by the other. Its history begins with that
    /// state: revisions, times and series stay what they were, and its records are numbered on from there. Pins stay behind.
    /// Returns the position that it starts from; a record that says so is the fork's first.
    ///
    /// The log before it stays behind, so there are two ways to the state (J9): two snapshots that share nothing, one before
    /// that record and one after it, each with every block read back before the fork counts as made. When a block of one
    /// rots, [`Store::mend`] makes the newest state anew from the other. Runs are bound to the identity of their journal, so that none
    /// can be shared with this store. Takes time in proportion to the state, twice; nobody waits for it.
    ///
    /// # Durability
    ///
    /// Durable on return. A crash or an error on the way leaves no store, and forking there again is as if it had never been
    /// tried; or it leaves the whole one, with one of its snapshots at least.
    ///
    /// # Errors
    ///
    /// As [`Store::at`]; `Conflict` if there is a journal already, `NotAJournal` if there is something else, and then
    /// nothing is changed; `Full`, `Denied` and `Io` as they say.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> everlog::Result<()> {
    /// # let directory = tempfile::tempdir().expect("a directory");
    /// # let store = everlog::Store::open(directory.path().join("store"))?;
    /// let before = store.set("settings.theme", "dark")?.position;
    /// store.set("settings.theme", "light")?;
    /// store.fork(before, directory.path().join("fork"))?;
    /// let fork = everlog::Store::open(directory.path().join("fork"))?;
    /// assert_eq!(fork.get::<String>("settings.theme")?.as_deref(), Some("dark"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn fork(&self, when: impl Into<When>, path: impl AsRef<Path>) -> Result<Position> {
        let disk = Disk::open(path.as_ref(), Presence::CreateMissing)?;
        self.fork_on(when, Arc::new(disk))
    }

    /// [`Store::fork`] on a medium, such as a simulated one.
    ///
    /// # Errors
    ///
    /// As [`Store::fork`].
    pub fn fork_on(&self, when: impl Into<When>, medium: Arc<dyn Medium>) -> Result<Position> {
        self.order.outside()?;
        let version = self.version_at(&when.into())?;
        let options =
            Options { read_only: false, must_exist: false, ..self.order.journal.opened_with().clone() };
        let start = Start {
            position: version.position,
            time: version.time,
            state_version: STATE_VERSION,
            fold_revision: FOLD_REVISION,
        };
        fork::create(&medium, &options, &start, |run| {
            version.whole().try_for_each(|pair| pair.and_then(|(key, bytes)| run.push(&key, &bytes)))
        })?;
        // It is opened once, which proves that it opens, and closed cleanly.
        match options.open_on(medium) {
            Ok(journal) => {
                if version.position.lsn > Lsn::ZERO {
                    self.add_second_way(&journal, version.position)?;
                }
                journal.close()?;
            }
            // Somebody has it already.
            Err(error) if *error.kind() == ErrorKind::Held => {}
            Err(error) => return Err(error),
        }
        Ok(version.position)
    }

    /// Has a fork say where it comes from, and makes a snapshot after that which does not rest on the first one (J9).
    fn add_second_way(&self, fork: &Journal, position: Position) -> Result<()> {
        let of: String = self.order.journal.identity().id.iter().map(|byte| format!("{byte:02x}")).collect();
        let (of, at) = (Value::from(of.as_str()), Value::from(position.to_string().as_str()));
        let said = Op::Note { what: FORK.to_owned(), value: object([("of", of), ("at", at)]) }.encode();
        fork.commit_records(&[NewRecord::event(&said, OP_VERSION)], Durability::Synced)?;
        let made = with_maker_afresh(fork, |maker| fork.make_snapshot(maker))?;
        let medium = &**fork.medium();
        list::verify(medium, &list::read(medium, made)?)
    }
}
