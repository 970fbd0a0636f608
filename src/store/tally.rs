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
#[cfg(feature = "cli")]
use crate::medium::{Medium, name};
use crate::position::Lsn;
#[cfg(feature = "cli")]
use crate::snapshot::SnapshotList;
#[cfg(feature = "cli")]
use crate::store::base::Base;
use crate::store::document::Slot;
use crate::store::key;
#[cfg(feature = "cli")]
use crate::store::replay::accepts;
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
    /// With what stands under `key` from now on; nothing if that is more than can be.
    pub(crate) fn with(self, key: &[u8], value: &Value) -> Option<Tally> {
        let (bytes, sum) = weigh(key, value);
        Some(Tally {
            documents: self.documents.checked_add(1)?,
            entries: self.entries.checked_add(u64::from(key::is_entry(key)))?,
            bytes: self.bytes.checked_add(bytes)?,
            sum: self.sum.wrapping_add(sum),
            ..self
        })
    }

    /// Without what stood under `key` until now; nothing if that was not counted.
    pub(crate) fn without(self, key: &[u8], value: &Value) -> Option<Tally> {
        let (bytes, sum) = weigh(key, value);
        let tally = Tally {
            documents: self.documents.checked_sub(1)?,
            entries: self.entries.checked_sub(u64::from(key::is_entry(key)))?,
            bytes: self.bytes.checked_sub(bytes)?,
            sum: self.sum.wrapping_sub(sum),
            ..self
        };
        (tally.entries <= tally.documents).then_some(tally)
    }
}

/// What is said when counts that a file has cannot be those of what it has.
pub(crate) fn miscounted(collection: &str) -> Error {
    let what =
        format!("the counts of collection {collection:?} in a snapshot are not those of what is in it");
    Error::new(ErrorKind::Damaged, what)
        .advise("run everlog verify; a snapshot that is made anew from the log counts anew")
}

/// What a document counts for: bytes of key, without the collection, and value as text, and its part of the sum.
fn weigh(key: &[u8], value: &Value) -> (u64, u128) {
    let within = &key[key::collection(key).len()..];
    (within.len() as u64 + value.bytes(), keyed_sum(within, value))
}

/// What all collections that ever had something have, by name.
pub(crate) type Tallies = RedBlackTreeMapSync<Arc<str>, Tally>;

/// More bytes than this are in no store: what a file says of its collections can be added without a thought.
const BYTES_MAX: u64 = 1 << 60;

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
    let mut room = BYTES_MAX;
    record
        .into_iter()
        .map(|(name, (documents, entries, bytes, sum, changed))| {
            room = room.checked_sub(bytes).ok_or_else(damage)?;
            if entries > documents || documents > bytes {
                return Err(damage());
            }
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
        let Some(document) =
            is_counted.then(|| Slot::decode(bytes)).transpose()?.and_then(|slot| slot.document())
        else {
            return Ok(());
        };
        let name = key::collection(key).to_owned();
        if key::is_known(key) {
            let count = document.value.get("0").and_then(Value::as_u64).unwrap_or_default();
            let sum = self.in_series.entry(name).or_default();
            *sum = sum.saturating_add(count);
        } else {
            let tally = self.found.entry(name).or_default();
            *tally = tally.with(key, &document.value).ok_or_else(|| miscounted(key::collection(key)))?;
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

/// Counts what a snapshot of a store has, and refuses if it is not what the snapshot says. O(state).
#[cfg(feature = "cli")]
pub(crate) fn recount(medium: &dyn Medium, list: &SnapshotList) -> Result<()> {
    if !accepts(list) {
        return Ok(());
    }
    let mut recount = Recount::default();
    for pair in Base::read(medium, list)?.walk(b"") {
        let (key, bytes) = pair?;
        recount.take(&key, &bytes)?;
    }
    recount.check().map_err(|error| error.in_file(name::snapshot(list.position)))
}

fn differs(name: &str, said: &Tally, found: &Tally) -> Error {
    let what = format!(
        "collection {name:?} should have {} documents, {} of them in series, of {} bytes and with the sum {:032x} in a \
         snapshot, and has {}, {}, {} and {:032x}",
        said.documents,
        said.entries,
        said.bytes,
        said.sum,
        found.documents,
        found.entries,
        found.bytes,
        found.sum
    );
    Error::new(ErrorKind::Damaged, what)
        .advise("the log is the truth, and nothing of it is lost; please report this")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_that_cannot_be_are_damage() {
        let read = |text: &str| read(text.as_bytes());
        let sum = "0".repeat(32);
        assert_eq!(read(&format!(r#"{{"a":[2,1,40,"{sum}",7]}}"#)).expect("reads").size(), 1);
        let most = u64::MAX;
        for text in [
            format!(r#"{{"a":[1,2,40,"{sum}",7]}}"#),
            format!(r#"{{"a":[{most},0,40,"{sum}",7]}}"#),
            format!(r#"{{"a":[0,0,{most},"{sum}",7]}}"#),
            format!(r#"{{"a":[1,0,{half},"{sum}",7],"b":[1,0,{half},"{sum}",7]}}"#, half = BYTES_MAX / 2 + 1),
            r#"{"a":[0,0,0,"x",7]}"#.to_owned(),
            r#"{"a":[0,0,0]}"#.to_owned(),
        ] {
            assert_eq!(read(&text).expect_err(&text).kind(), &ErrorKind::Damaged);
        }
    }

    #[test]
    fn what_was_not_counted_cannot_leave() {
        let entry = key::entry("a", "s", crate::clock::Timestamp::ZERO, Lsn::ZERO);
        let document = key::document("a", "k");
        let value = Value::from("v");
        let both = Tally::default().with(&document, &value).and_then(|tally| tally.with(&entry, &value));
        let both = both.expect("there is room");
        assert_eq!((both.documents, both.entries), (2, 1));
        let document_alone = both.without(&entry, &value).expect("was there");
        assert_eq!(document_alone.without(&entry, &value), None);
        assert_eq!(both.without(&document, &value).expect("was there").without(&document, &value), None);
        assert_eq!(document_alone.without(&document, &value), Some(Tally::default()));
        assert_eq!(Tally::default().without(&document, &value), None);
        assert_eq!(Tally { bytes: 3, ..both }.without(&document, &value), None);
        assert_eq!(Tally { documents: u64::MAX, ..both }.with(&document, &value), None);
    }

    #[cfg(feature = "cli")]
    #[test]
    fn a_snapshot_whose_counts_are_false_is_found_by_counting() {
        use crate::medium::Sim;
        use crate::store::Store;

        let sim = Sim::new(1);
        let store = Store::options().open_on(Arc::new(sim.clone())).expect("opens");
        store.set("a.k", &1).expect("sets");
        let position = store.snapshot().expect("makes one");
        store.set("a.l", &2).expect("sets");
        store.remove("a.k").expect("removes");
        let later = store.snapshot().expect("makes one");
        for position in [position, later] {
            let list = crate::snapshot::list::read(&sim, position).expect("reads");
            recount(&sim, &list).expect("says what it has");
        }
        let mut list = crate::snapshot::list::read(&sim, later).expect("reads");
        let mut writer = store.order.journal.run_writer().expect("a run");
        let said = Tally { documents: 7, bytes: 1000, ..Tally::default() };
        writer.push(key::TALLIES, &write(&Tallies::from_iter([("a".into(), said)]))).expect("counts");
        list.runs.push(writer.finish().expect("a run"));
        let error = recount(&sim, &list).expect_err("false counts");
        assert_eq!(error.kind(), &ErrorKind::Damaged);
        assert_eq!(error.file(), Some(name::snapshot(later).as_str()));
    }

    #[cfg(feature = "sim")]
    #[test]
    fn a_run_with_false_counts_makes_changes_fail_and_leaves_everything_as_it_is() {
        use crate::clock::Timestamp;
        use crate::medium::Sim;
        use crate::path;
        use crate::state::Stamp;
        use crate::store::Store;
        use crate::store::base::Base;
        use crate::store::op::Op;
        use crate::store::version::Version;

        let store = Store::options().open_on(Arc::new(Sim::new(1))).expect("opens");
        let log = store.series::<u8>("a.log");
        let fill = |tx: &mut crate::store::Tx<'_>| {
            tx.set("a.k", &1)?;
            (0..3).try_for_each(|number| tx.push(&log, &number).map(drop))
        };
        store.transaction(fill).expect("fills");
        let (view, journal) = (store.view(), &store.order.journal);
        let whole: Vec<_> = view.version().whole().map(|pair| pair.expect("reads")).collect();
        let (cut, clear) = (
            Op::Cut { path: path!("a", "log"), time: Timestamp::MAX, lsn: Lsn::MAX },
            Op::Remove { path: path!("a") },
        );
        for (documents, entries, op) in [
            (0, 0, Op::Remove { path: path!("a", "k") }),
            (0, 0, Op::Set { path: path!("a", "k"), value: Value::Null }),
            (2, 2, cut),
            (3, 3, clear.clone()),
            (2, 1, clear),
        ] {
            let mut writer = journal.run_writer().expect("a run");
            let told = Tally { documents, entries, bytes: 1000 * documents, ..Tally::default() };
            writer.push(key::TALLIES, &write(&Tallies::from_iter([("a".into(), told)]))).expect("counts");
            whole[1..].iter().for_each(|(key, bytes)| writer.push(key, bytes).expect("takes it"));
            let base = Base::open(journal, &[writer.finish().expect("a run")]).expect("opens");
            let (position, time) = (view.version().position, view.version().time);
            let mut version = Version::of_base(base.into(), position, time).expect("reads");
            let error = version.apply(&op, &Stamp::new(position, time)).expect_err("false counts");
            assert_eq!(error.kind(), &ErrorKind::Damaged, "{op:?}");
            assert!(!version.has_delta(), "{op:?}");
            assert_eq!(version.tally("a"), told);
        }
    }
}
