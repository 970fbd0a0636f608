//! Series inside a version: their entries, how many there are, and what cutting them does.

use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::position::Lsn;
use crate::state::Stamp;
use crate::store::document::Document;
use crate::store::key::{self, Key, Named};
use crate::store::op::Op;
use crate::store::path::Path;
use crate::store::tally::miscounted;
use crate::store::value::Value;
use crate::store::version::{DOCUMENT_BYTES_MAX, Effect, Version, check_depth};

/// What is known of a series that has entries. In a run it stands as `[count, time, lsn]` under a key of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// How many entries it has.
    pub(crate) count: u64,
    /// No entry lies before this time and number. So what was cut is not walked over again.
    floor: (Timestamp, Lsn),
}

impl Known {
    fn read(value: &Value) -> Option<Known> {
        let parts = value.as_array()?;
        let number = |place| parts.get(place).and_then(Value::as_u64);
        let floor = (Timestamp::from_micros(number(1)?), Lsn::new(number(2)?));
        Some(Known { count: number(0).filter(|count| *count < u64::MAX)?, floor })
    }

    fn write(&self) -> Value {
        let parts = [self.count, self.floor.0.micros(), self.floor.1.get()];
        Value::Array(parts.into_iter().map(Value::from).collect())
    }
}

/// Which entries of a series may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Keep {
    /// All but so many at the end.
    pub(crate) last: Option<u64>,
    /// Those that were written longer ago.
    pub(crate) max_age: Option<Duration>,
}

impl Keep {
    /// What both allow to go.
    pub(crate) fn and(self, other: Keep) -> Keep {
        let least = |one: Option<u64>, other: Option<u64>| one.into_iter().chain(other).min();
        let max_age = self.max_age.into_iter().chain(other.max_age).min();
        Keep { last: least(self.last, other.last), max_age }
    }

    pub(crate) fn is_everything(&self) -> bool {
        *self == Keep::default()
    }
}

/// Refuses what cannot name a series.
pub(crate) fn check_path(path: &Path) -> Result<()> {
    key::check_collection(path.collection())?;
    if path.segments().len() != 2 {
        let what = format!("path {path} names no series: that has a collection and one key");
        return Err(Error::new(ErrorKind::Input, what).advise("join further parts into the key"));
    }
    Ok(())
}

fn names(path: &Path) -> (&str, &str) {
    (path.collection(), path.key().unwrap_or_default())
}

/// The effect of an entry that goes.
fn gone(path: Path, key: &Key, document: &Document) -> Effect {
    let entry = match key::read(key) {
        Some(Named::Entry { time, lsn, .. }) => Some((time, lsn)),
        _ => None,
    };
    Effect { path, old: Some(document.value.clone()), new: None, entry }
}

impl Version {
    /// What is known of the series at `path`; nothing if it has no entries.
    pub(crate) fn series(&self, path: &Path) -> Result<Option<Known>> {
        let (collection, name) = names(path);
        if self.tally(collection).entries == 0 {
            return Ok(None);
        }
        let Some(document) = self.slot(&key::known(collection, name))? else { return Ok(None) };
        let damage = || Error::new(ErrorKind::Damaged, format!("count of the series {path} does not check"));
        Known::read(&document.value).map(Some).ok_or_else(damage)
    }

    fn set_series(&mut self, path: &Path, known: Known, stamp: &Stamp) {
        let (collection, name) = names(path);
        let document = (known.count > 0).then(|| Document::new(known.write(), stamp));
        self.put_uncounted(key::known(collection, name), document);
    }

    /// Refuses a document where a series is.
    pub(crate) fn check_no_series(&self, path: &Path) -> Result<()> {
        match self.series(path)? {
            None => Ok(()),
            Some(_) => {
                let (collection, name) = names(path);
                let what =
                    format!("at {} stands a series, not a document", Path::of_segments([collection, name]));
                Err(Error::new(ErrorKind::WrongType, what)
                    .advise("clear the series first, or use another key"))
            }
        }
    }

    fn check_no_document(&self, path: &Path) -> Result<()> {
        if self.document(path)?.is_none() {
            return Ok(());
        }
        let what = format!("at {path} stands a document, not a series");
        Err(Error::new(ErrorKind::WrongType, what).advise("remove it first, or use another key"))
    }

    pub(crate) fn push(
        &mut self,
        path: &Path,
        time: Timestamp,
        value: &Value,
        stamp: &Stamp,
    ) -> Result<Effect> {
        check_path(path)?;
        check_depth(path, 0, value)?;
        self.check_no_document(path)?;
        let bytes = value.bytes();
        if bytes > DOCUMENT_BYTES_MAX {
            let kind = ErrorKind::TooLarge { actual: bytes, max: DOCUMENT_BYTES_MAX };
            let what = format!("entry for {path} has {bytes} bytes, more than {DOCUMENT_BYTES_MAX}");
            return Err(Error::new(kind, what).advise("spread it over several entries"));
        }
        let place = (time, stamp.position.lsn);
        let mut known = self.series(path)?.unwrap_or(Known { count: 0, floor: place });
        known.count += 1;
        known.floor = known.floor.min(place);
        let (collection, name) = names(path);
        let key = key::entry(collection, name, place.0, place.1);
        self.put(key, None, Some(Document::new(value.clone(), stamp)), stamp)?;
        self.set_series(path, known, stamp);
        Ok(Effect { path: path.clone(), old: None, new: Some(value.clone()), entry: Some(place) })
    }

    /// Puts an entry where it stood before, or takes it out.
    pub(crate) fn place(
        &mut self,
        path: &Path,
        place: (Timestamp, Lsn),
        new: Option<&Value>,
        stamp: &Stamp,
    ) -> Result<Option<Effect>> {
        check_path(path)?;
        let (collection, name) = names(path);
        let key = key::entry(collection, name, place.0, place.1);
        let present = self.slot(&key)?;
        let old = present.as_ref().map(|present| present.value.clone());
        if old.as_ref() == new {
            return Ok(None);
        }
        if new.is_some() {
            self.check_no_document(path)?;
        }
        let mut known = self.series(path)?.unwrap_or(Known { count: 0, floor: place });
        known.count = (known.count + u64::from(new.is_some()))
            .checked_sub(u64::from(old.is_some()))
            .ok_or_else(|| miscounted(collection))?;
        known.floor = known.floor.min(place);
        let document = new.map(|value| Document::new(value.clone(), stamp));
        self.put(key, present.as_deref(), document, stamp)?;
        self.set_series(path, known, stamp);
        Ok(Some(Effect { path: path.clone(), old, new: new.cloned(), entry: Some(place) }))
    }

    pub(crate) fn cut(
        &mut self,
        path: &Path,
        time: Timestamp,
        lsn: Lsn,
        stamp: &Stamp,
    ) -> Result<Vec<Effect>> {
        let Some(mut known) = self.series(path)? else { return Ok(Vec::new()) };
        let (collection, name) = names(path);
        let floor = key::entry(collection, name, known.floor.0, known.floor.1);
        let end = key::entry(collection, name, time, lsn);
        let due: Vec<(Key, Arc<Document>)> =
            self.span(floor.to_vec(), Some(end.to_vec())).collect::<Result<_>>()?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        known.count = known.count.checked_sub(due.len() as u64).ok_or_else(|| miscounted(collection))?;
        known.floor = known.floor.max((time, lsn));
        let mut effects = Vec::with_capacity(due.len());
        for (key, document) in due {
            effects.push(gone(path.clone(), &key, &document));
            self.put(key, Some(&document), None, stamp)?;
        }
        self.set_series(path, known, stamp);
        Ok(effects)
    }

    /// Takes out all series of a collection.
    pub(crate) fn clear_series(&mut self, path: &Path, stamp: &Stamp) -> Result<Vec<Effect>> {
        let collection = path.collection();
        if self.tally(collection).entries == 0 {
            return Ok(Vec::new());
        }
        let entries: Vec<_> = self.range(&key::all_series(collection)).collect::<Result<_>>()?;
        let known: Vec<_> = self.range(&key::all_known(collection)).collect::<Result<_>>()?;
        let mut effects = Vec::with_capacity(entries.len());
        for (bytes, document) in entries {
            if let Some(Named::Entry { key, .. }) = key::read(&bytes) {
                effects.push(gone(path.join(key), &bytes, &document));
            }
            self.put(bytes, Some(&document), None, stamp)?;
        }
        known.into_iter().for_each(|(key, _)| self.put_uncounted(key, None));
        Ok(effects)
    }

    /// The keys of all series of a collection that have entries, each with their number.
    pub(crate) fn all_series(&self, collection: &str) -> Result<Vec<(String, u64)>> {
        let prefix = key::all_known(collection);
        let mut found = Vec::new();
        for pair in self.range(&prefix) {
            let (key, document) = pair?;
            let known = std::str::from_utf8(&key[prefix.len()..]).ok().zip(Known::read(&document.value));
            let damage = || Error::new(ErrorKind::Damaged, format!("count of a series of {collection}"));
            let (name, known) = known.ok_or_else(damage)?;
            found.push((name.to_owned(), known.count));
        }
        Ok(found)
    }

    /// The keys between which the entries of these times lie.
    fn entry_bounds(
        &self,
        path: &Path,
        times: &impl RangeBounds<Timestamp>,
    ) -> Result<(Vec<u8>, Option<Vec<u8>>)> {
        let (collection, name) = names(path);
        let end = key::after(&key::series(collection, name));
        let Some(known) = self.series(path)? else { return Ok((end.clone().unwrap_or_default(), end)) };
        let at = |time| key::entry(collection, name, time, Lsn::ZERO).to_vec();
        let behind = |time: Timestamp| match time {
            Timestamp::MAX => end.clone(),
            time => Some(at(time.plus(Duration::from_micros(1)))),
        };
        let floor = key::entry(collection, name, known.floor.0, known.floor.1).to_vec();
        let from = match times.start_bound() {
            Bound::Unbounded => floor,
            Bound::Included(time) => at(*time).max(floor),
            Bound::Excluded(time) => behind(*time).unwrap_or_default().max(floor),
        };
        let below = match times.end_bound() {
            Bound::Unbounded => end,
            Bound::Included(time) => behind(*time),
            Bound::Excluded(time) => Some(at(*time)),
        };
        Ok((from, below))
    }

    /// The entries of these times, the earliest first. O(log n + results).
    pub(crate) fn entries(
        &self,
        path: &Path,
        times: &impl RangeBounds<Timestamp>,
    ) -> Result<impl Iterator<Item = Result<(Key, Arc<Document>)>> + '_> {
        let (from, below) = self.entry_bounds(path, times)?;
        Ok(self.span(from, below))
    }

    /// The same, the latest first.
    pub(crate) fn entries_back(
        &self,
        path: &Path,
        times: &impl RangeBounds<Timestamp>,
    ) -> Result<impl Iterator<Item = Result<(Key, Arc<Document>)>> + '_> {
        let (from, below) = self.entry_bounds(path, times)?;
        Ok(self.span_back(from, below))
    }

    /// The cut that leaves the series at `path` with what is to be kept, if there is something to cut. `age` tells how
    /// long ago a document was written. O(log n + entries that go).
    pub(crate) fn due(
        &self,
        path: &Path,
        keep: Keep,
        age: &dyn Fn(&Document) -> Result<Duration>,
    ) -> Result<Option<Op>> {
        let Some(known) = self.series(path)? else { return Ok(None) };
        let spare = keep.last.map_or(0, |last| known.count.saturating_sub(last));
        if spare == 0 && keep.max_age.is_none() {
            return Ok(None);
        }
        let mut passed = 0;
        let mut end = (Timestamp::MAX, Lsn::MAX);
        for pair in self.entries(path, &..)? {
            let (key, document) = pair?;
            let is_old = match keep.max_age {
                Some(max_age) if passed >= spare => age(&document)? > max_age,
                _ => false,
            };
            if passed >= spare && !is_old {
                if let Some(Named::Entry { time, lsn, .. }) = key::read(&key) {
                    end = (time, lsn);
                }
                break;
            }
            passed += 1;
        }
        Ok((passed > 0).then(|| Op::Cut { path: path.clone(), time: end.0, lsn: end.1 }))
    }
}
