//! Trying a transaction out: what it would change, and what stands in its way, without writing anything.

use crate::error::{Error, Result, Violation};
use crate::journal::group::NewRecord;
use crate::position::Position;
use crate::store::Store;
use crate::store::op::{OP_VERSION, Op};
use crate::store::path::Path;
use crate::store::transaction::{Draft, Tx};
use crate::store::value::Value;

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
    /// The bytes of those records, metadata and headers included.
    pub bytes: u64,
    /// What would change, in the order of the changes.
    pub changes: Vec<Change>,
}

impl Preflight {
    /// Whether nothing was found that would keep it from being committed.
    pub fn is_clear(&self) -> bool {
        self.refused.is_none() && self.violations.is_empty() && self.limit.is_none()
    }
}

/// A place that would change.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Change {
    /// The place.
    pub path: Path,
    /// What is there; `None` if nothing is.
    pub old: Option<Value>,
    /// What would be there; `None` if nothing would be.
    pub new: Option<Value>,
}

impl Change {
    /// What a draft did so far.
    pub(crate) fn all_of(draft: &Draft) -> Vec<Change> {
        let effects = draft.effects().iter().map(|(_, effect)| effect.clone());
        effects.map(|effect| Change { path: effect.path, old: effect.old, new: effect.new }).collect()
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
        let order = &self.order;
        let meta = self.manner.meta.as_ref().map(|meta| meta.encode()).transpose()?;
        order.try_out(&self.manner, |draft| {
            let position = draft.version().position;
            let refused = body(&mut Tx::new(draft)).err();
            let violations = order.rules.violations(draft.ops(), draft.version())?;
            let payloads: Vec<Vec<u8>> = draft.ops().iter().map(Op::encode).collect();
            let mut first = meta.as_deref();
            let records: Vec<NewRecord<'_>> = payloads
                .iter()
                .map(|payload| NewRecord { meta: first.take(), ..NewRecord::event(payload, OP_VERSION) })
                .collect();
            let bytes: usize = records.iter().map(NewRecord::encoded_bytes).sum();
            let fits = match records.is_empty() {
                true => Ok(()),
                false => {
                    let checked = order.journal.check_records(&records);
                    checked.and_then(|()| order.journal.writer_core()?.sink().would_fit(bytes))
                }
            };
            Ok(Preflight {
                position,
                refused,
                violations,
                limit: fits.err(),
                records: records.len() as u64,
                bytes: bytes as u64,
                changes: Change::all_of(draft),
            })
        })?
    }
}
