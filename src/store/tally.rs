//! What a collection has: how many documents of how many bytes, and the sum over all of them, kept up with each change.
//!
//! # Format
//!
//! In a run they stand under a key of their own, as JSON: by collection `[documents, entries, bytes, sum, lsn]`, the sum as 32
//! hexadecimal digits.

use std::collections::BTreeMap;
use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use crate::error::{Error, ErrorKind, Result};
use crate::position::Lsn;
use crate::store::document::Slot;
use crate::store::key;
use crate::store::value::{Value, keyed_sum};

/// What a collection has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Documents and entries of series.
    pub(crate) documents: u64,
    /// Only the entries of series among them.
    pub(crate) entries: u64,
    /// The bytes of their keys and values as text.
    pub(crate) bytes: u64,
    /// The sum over all of them (J10).
    pub(crate) sum: u128,
    /// The last record that changed anything here.
    pub(crate) changed: Lsn,
}

impl Tally {
    /// Takes in what stands under `key` from now on.
    pub(crate) fn enter(&mut self, key: &[u8], value: &Value) {
        let (bytes, sum) = weigh(key, value);
        self.documents += 1;
        self.entries += u64::from(key::is_entry(key));
        self.bytes += bytes;
        self.sum = self.sum.wrapping_add(sum);
    }

    /// Lets go what stood under `key` until now.
    pub(crate) fn leave(&mut self, key: &[u8], value: &Value) {
        let (bytes, sum) = weigh(key, value);
        self.documents -= 1;
        self.entries -= u64::from(key::is_entry(key));
        self.bytes -= bytes;
        self.sum = self.sum.wrapping_sub(sum);
    }
}

/// What a document counts for: bytes of key, without the collection, and value as text, and its part of the sum.
fn weigh(key: &[u8], value: &Value) -> (u64, u128) {
    let within = &key[key::collection(key).len()..];
    (within.len() as u64 + value.bytes(), keyed_sum(within, value))
}

/// What all collections that ever had something have, by name.
pub(crate) type Tallies = RedBlackTreeMapSync<Arc<str>, Tally>;

type Record = (u64, u64, u64, String, u64);

/// The bytes that stand for them in a run.
pub(crate) fn write(tallies: &Tallies) -> Vec<u8> {
    let record: BTreeMap<&str, Record> = tallies
        .iter()
        .map(|(name, tally)| {
            let sum = format!("{:032x}", tally.sum);
            (&**name, (tally.documents, tally.entries, tally.bytes, sum, tally.changed.get()))
        })
        .collect();
    // OK because texts and numbers always have a JSON text, and a vector takes all of it.
    serde_json::to_vec(&record).unwrap_or_default()
}

/// Reads them back.
pub(crate) fn read(bytes: &[u8]) -> Result<Tallies> {
    let damage = || Error::new(ErrorKind::Damaged, "counts of the collections in a snapshot do not check");
    let record: BTreeMap<String, Record> = serde_json::from_slice(bytes).map_err(|_| damage())?;
    record
        .into_iter()
        .map(|(name, (documents, entries, bytes, sum, changed))| {
            let sum = u128::from_str_radix(&sum, 16).map_err(|_| damage())?;
            Ok((name.into(), Tally { documents, entries, bytes, sum, changed: Lsn::new(changed) }))
        })
        .collect()
}

/// The documents of a run that has everything, counted anew: the counts that a run has are kept up with each change, and
/// would not show that a document was lost on the way (J10).
#[derive(Default)]
pub(crate) struct Recount {
    found: BTreeMap<String, Tally>,
    /// How many entries the counts of series say there are.
    in_series: BTreeMap<String, u64>,
    /// What the run says itself.
    said: Option<Tallies>,
}

impl Recount {
    /// Takes in a pair.
    pub(crate) fn take(&mut self, key: &[u8], bytes: &[u8]) -> Result<()> {
        if key == key::TALLIES {
            self.said = Some(read(bytes)?);
        }
        let is_counted = key::is_counted(key) || key::is_known(key);
        let Some(document) = is_counted.then(|| Slot::decode(bytes)).transpose()?.and_then(|slot| slot.document())
        else {
            return Ok(());
        };
        let name = key::collection(key).to_owned();
        if key::is_known(key) {
            let count = document.value.get("0").and_then(Value::as_u64).unwrap_or_default();
            let sum = self.in_series.entry(name).or_default();
            *sum = sum.saturating_add(count);
        } else {
            self.found.entry(name).or_default().enter(key, &document.value);
        }
        Ok(())
    }

    /// Refuses if what is there is not what the run says.
    pub(crate) fn check(mut self) -> Result<()> {
        for (name, said) in self.said.unwrap_or_default().iter() {
            let found = Tally { changed: said.changed, ..self.found.remove(&**name).unwrap_or_default() };
            let in_series = self.in_series.remove(&**name).unwrap_or_default();
            if found != *said || in_series != said.entries {
                return Err(differs(name, said, &found));
            }
        }
        self.found.iter().try_for_each(|(name, found)| Err(differs(name, &Tally::default(), found)))
    }
}

fn differs(name: &str, said: &Tally, found: &Tally) -> Error {
    let what = format!(
        "collection {name:?} should have {} documents, {} of them in series, of {} bytes and with the sum {:032x} in a \
         snapshot, and has {}, {}, {} and {:032x}",
        said.documents, said.entries, said.bytes, said.sum, found.documents, found.entries, found.bytes, found.sum
    );
    Error::new(ErrorKind::Damaged, what)
        .advise("the log is the truth, and nothing of it is lost; please report this")
}
