//! Trying a transaction out: what it would change, and what stands in its way, without writing anything.

use crate::error::{Error, ErrorKind, Result, Violation};
use crate::journal::group::NewRecord;
use crate::position::Position;
use crate::segment::frame;
use crate::store::Store;
use crate::store::diff::PathChange;
use crate::store::encoded::Encoded;
use crate::store::transaction::{Draft, Tx};
use crate::store::version::Effect;

/// What a transaction would come to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Preflight {
    /// The position of the state that it was tried on.
    pub position: Position,
    /// Why the closure said no, such as a condition that does not hold. The rest is then about what it did before.
    pub refused: Option<Error>,
    /// What would break the schemas, all of it.
    pub violations: Vec<Violation>,
    /// The limit that would be passed: `TooLarge` or `Quota`.
    pub limit: Option<Error>,
    /// The records that would be written; none if nothing would change.
    pub records: u64,
    /// The bytes that they would take in the log, with all that goes with them.
    pub bytes: u64,
    /// What would change, in the order of the changes.
    pub changes: Vec<PathChange>,
}

impl Preflight {
    /// Whether nothing was found that would keep it from being committed.
    pub fn is_clear(&self) -> bool {
        self.refused.is_none() && self.violations.is_empty() && self.limit.is_none()
    }

    /// What was found as the error that the commit would have; itself if nothing was.
    pub(crate) fn clear(self) -> Result<Preflight> {
        match (&self.refused, &self.limit, self.violations.is_empty()) {
            (Some(error), _, _) | (None, Some(error), _) => Err(error.clone()),
            (None, None, false) => Err(Error::invalid(self.violations)),
            (None, None, true) => Ok(self),
        }
    }
}

impl PathChange {
    /// What was done, change by change.
    pub(crate) fn all_of(effects: &[(Position, Effect)]) -> Vec<PathChange> {
        let effects = effects.iter().map(|(_, effect)| effect.clone());
        let change = |Effect { path, old, new, entry }| PathChange { path, old, new, entry };
        effects.map(change).collect()
    }
}

impl Store {
    /// Runs `body` as [`Store::transaction`] would, and tells what would be written and what stands in its way: schemas,
    /// limits, conditions. Writes nothing. The state that it was tried on is durable when this returns (J4); another commit
    /// may come before yours.
    ///
    /// # Errors
    ///
    /// What keeps the store from deciding anything: `ReadOnly`, `Closed`, `Poisoned`, `Reentered`. What `body` fails with is
    /// part of the answer.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> everlog::Result<()> {
    /// # let directory = tempfile::tempdir().expect("a directory");
    /// # let store = everlog::Store::open(directory.path().join("store"))?;
    /// let preflight = store.preflight(|tx| tx.set("settings.theme", "dark"))?;
    /// assert!(preflight.is_clear());
    /// assert_eq!(preflight.changes.len(), 1);
    /// assert!(!store.contains("settings.theme")?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn preflight<T>(&self, body: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<Preflight> {
        let body = |tx: &mut Tx<'_>| Ok::<_, Error>(body(tx).err());
        let look = |draft: &Draft, bounded| self.look(draft, bounded);
        let (refused, preflight) = self.order.rehearse(&self.manner, body, look)?;
        Ok(Preflight { refused, ..preflight })
    }

    /// The same, with what `body` returns; also in a store that is only read, on the state that is seen there. What only a
    /// writer knows, how full the journal is, is left out then.
    pub(crate) fn try_out<T>(&self, body: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<(T, Preflight)> {
        let order = &self.order;
        let look = |draft: &Draft, bounded| self.look(draft, bounded);
        let is_read = order.journal.writer_core().is_err_and(|error| *error.kind() == ErrorKind::ReadOnly);
        let tried = match is_read {
            true => order.rehearse_on(&order.view(), &self.manner, body, look),
            false => order.rehearse(&self.manner, body, look),
        };
        tried.map_err(Error::from)
    }

    fn look(&self, draft: &Draft, bounded: Result<()>) -> Result<Preflight> {
        let encoded = Encoded::of(draft, &self.manner)?;
        let records = encoded.records();
        let (bytes, limit) = self.weigh(&records)?;
        Ok(Preflight {
            position: draft.base().position,
            refused: None,
            violations: self.order.rules.violations(draft.ops(), draft.version())?,
            limit: bounded.err().or(limit),
            records: records.len() as u64,
            bytes,
            changes: PathChange::all_of(draft.effects()),
        })
    }

    /// The bytes that records would take, and the limit that they would pass.
    fn weigh(&self, records: &[NewRecord<'_>]) -> Result<(u64, Option<Error>)> {
        if records.is_empty() {
            return Ok((0, None));
        }
        let journal = &self.order.journal;
        let body = records.iter().map(NewRecord::encoded_bytes).sum();
        let fits = journal.check_records(records).and_then(|()| match journal.writer_core() {
            Ok(core) => core.sink().would_fit(body),
            Err(_) => Ok(()),
        });
        Ok((frame::room(body, journal.opened_with().limits.aligned), fits.err()))
    }
}
