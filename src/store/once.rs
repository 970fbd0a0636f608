//! Transactions that happen once, however often they are asked for: the key of each is kept with its first receipt and
//! answer.
//!
//! # Format
//!
//! In the collection `$everlog`: the document `key:KEY` is the list of the key's number, the count of the transaction's
//! records and its answer; it is the transaction's last record. The document `keys` has the keys by number, as twenty
//! digits, so that the oldest comes first.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};
use crate::journal::{Durability, Receipt};
use crate::position::Lsn;
use crate::store::Store;
use crate::store::condition::own_path;
use crate::store::document::Document;
use crate::store::key;
use crate::store::op::Op;
use crate::store::path::Path;
use crate::store::transaction::Tx;
use crate::store::value::Value;

/// The most keys that are remembered; beyond that the oldest are forgotten.
pub const ONCE_KEYS_MAX: usize = 10_000;
/// How long a key is remembered at least, while there are no more than [`ONCE_KEYS_MAX`].
pub const ONCE_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
/// So many of the newest are remembered however old they are: a clock that leaps forgets no key that is in use.
pub const ONCE_KEYS_KEPT: usize = 1_000;

/// The outcome of a transaction that happens once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Once<T> {
    /// What the closure returned, when it ran.
    pub answer: T,
    /// The receipt of the transaction, when it was committed.
    pub receipt: Receipt,
    /// It had happened before: the closure did not run now.
    pub repeated: bool,
}

impl Store {
    /// [`Store::transaction`] that happens once for a `key` of your choice: a second call with the same key, also after a
    /// restart, runs nothing and gives the first receipt and answer, when they are durable. If `body` fails the key is
    /// not used.
    ///
    /// A key is remembered for [`ONCE_AGE`] and as long as there are no more than [`ONCE_KEYS_MAX`] newer ones.
    ///
    /// # Errors
    ///
    /// `Input` if `key` is empty or over 512 bytes, or the answer has no JSON form; `WrongType` if the first answer was of
    /// another shape than `T`; and as [`Store::transaction`].
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> everlog::Result<()> {
    /// # let directory = tempfile::tempdir().expect("a directory");
    /// # let store = everlog::Store::open(directory.path().join("store"))?;
    /// let pay = || store.transaction_once("order-17", |tx| tx.increment("balance.cents", -500));
    /// let first = pay()?;
    /// let again = pay()?; // a click too many
    /// assert!(again.repeated && again.receipt == first.receipt && again.answer == -500);
    /// # Ok(())
    /// # }
    /// ```
    pub fn transaction_once<T: Serialize + DeserializeOwned>(
        &self,
        key: &str,
        body: impl FnOnce(&mut Tx<'_>) -> Result<T>,
    ) -> Result<Once<T>> {
        let path = own_path("key:", key)?;
        let ((answer, earlier), now) = self.transaction(|tx| {
            if let Some(document) = tx.version().document(&path)? {
                let (answer, receipt) = recall(&document)?;
                return Ok((answer.read()?, Some(receipt)));
            }
            let answer = body(tx)?;
            tx.keep_key(key, &path, Value::of(&answer)?)?;
            Ok((answer, None))
        })?;
        Ok(Once { answer, repeated: earlier.is_some(), receipt: earlier.unwrap_or(now) })
    }
}

/// What was kept with a key.
fn recall(document: &Document) -> Result<(Value, Receipt)> {
    let damage =
        || Error::new(ErrorKind::Damaged, "what was kept with a key of a transaction does not check");
    let count = document.value.get("1").and_then(Value::as_u64).ok_or_else(damage)?;
    let answer = document.value.get("2").cloned().ok_or_else(damage)?;
    let (position, time) = (document.revision, document.time);
    let first_lsn = Lsn::new((position.lsn.get() + 1).saturating_sub(count));
    Ok((answer, Receipt { position, first_lsn, time, durability: Durability::Synced }))
}

fn keys() -> Path {
    Path::of_segments([key::SYSTEM, "keys"])
}

impl Tx<'_> {
    /// Remembers a key, with the last change of its transaction.
    fn keep_key(&mut self, key: &str, path: &Path, answer: Value) -> Result<()> {
        self.forget_keys()?;
        let number = format!("{:020}", self.draft.start().lsn.get());
        self.apply(Op::Set { path: keys().join(number.as_str()), value: Value::from(key) })?;
        let path = path.clone();
        // After what the bounds remove, so that the revision is the position that the receipt tells.
        self.draft.finish_with(move |count| {
            let kept = [Value::from(number.as_str()), Value::from(count as u64), answer];
            Op::Set { path, value: Value::Array(kept.into_iter().collect()) }
        });
        Ok(())
    }

    /// Forgets the oldest keys if there are too many or they are old: at most two, so that no transaction pays for all.
    fn forget_keys(&mut self) -> Result<()> {
        let version = self.version();
        let Some(all) = version.document(&keys())? else { return Ok(()) };
        let Some(all) = all.value.as_object() else { return Ok(()) };
        let mut gone = Vec::new();
        for (place, (number, key)) in all.iter().take(2).enumerate() {
            let path = own_path("key:", key.as_str().unwrap_or_default())?;
            let document = version.document(&path)?;
            let age = document.map_or(Duration::MAX, |document| self.draft.time().since(document.time));
            let left = all.len() - place;
            if left >= ONCE_KEYS_MAX || (left > ONCE_KEYS_KEPT && age > ONCE_AGE) {
                gone.push(path);
                gone.push(keys().join(number));
            }
        }
        gone.into_iter().try_for_each(|path| self.apply(Op::Remove { path }).map(drop))
    }
}
