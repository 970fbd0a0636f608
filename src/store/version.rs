//! The state of a store at one position: immutable, cheap to clone, overlays of changes over the runs of a snapshot.
//!
//! There is one overlay that commits change. When a snapshot is about to be made it is *sealed* and an empty one takes its
//! place; once the snapshot is there the sealed one is let go and the new runs are what lies below. Both take no longer
//! for a large overlay than for a small one.

use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::position::{Lsn, Position};
use crate::state::Stamp;
use crate::store::base::Base;
use crate::store::bounds::{Recency, remember};
use crate::store::collection::Declared;
use crate::store::document::{Document, Head, Slot};
use crate::store::key::{self, Key};
use crate::store::op::Op;
use crate::store::path::Path;
use crate::store::tally::{self, Tallies, Tally};
use crate::store::value::{Array, DEPTH_MAX, Fault, Object, Value};
use crate::store::walk::{Direction, Merge, Newest, Pair};

/// The largest document, in bytes of its text.
pub(crate) const DOCUMENT_BYTES_MAX: u64 = 15 * 1024 * 1024;

/// One place that a commit changed: what stood there and what stands there now.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Effect {
    pub(crate) path: Path,
    pub(crate) old: Option<Value>,
    pub(crate) new: Option<Value>,
    /// Which entry it was, if the place is a series.
    pub(crate) entry: Option<(Timestamp, Lsn)>,
}

impl Effect {
    /// Whether the path is that of a series, and the values are those of one entry of it.
    pub(crate) fn in_series(&self) -> bool {
        self.entry.is_some()
    }

    /// Something inside a document, or all of it.
    fn inside(path: Path, old: Option<Value>, new: Option<Value>) -> Effect {
        Effect { path, old, new, entry: None }
    }
}

/// What is newer than the runs below.
type Overlay = RedBlackTreeMapSync<Key, Slot>;

/// The whole state at a position.
#[derive(Clone, Debug, Default)]
pub(crate) struct Version {
    pub(crate) position: Position,
    pub(crate) time: Timestamp,
    /// What was declared about the collections; the past has what is declared today.
    pub(crate) declared: Arc<Declared>,
    /// Of collections whose oldest documents go: remembered when first needed, then kept up.
    pub(crate) recency: RedBlackTreeMapSync<Arc<str>, Recency>,
    overlay: Overlay,
    /// Sealed ones, newest first, each with its number.
    sealed: Vec<(u64, Overlay)>,
    tallies: Tallies,
    base: Arc<Base>,
}

impl Version {
    /// The state that a snapshot at `position` holds.
    pub(crate) fn of_base(base: Arc<Base>, position: Position, time: Timestamp) -> Result<Version> {
        let tallies = match base.bytes(key::TALLIES)? {
            Some(bytes) => tally::read(&bytes)?,
            None => Tallies::default(),
        };
        Ok(Version { position, time, tallies, base, ..Version::default() })
    }

    /// What stands under `key`, if anything.
    pub(crate) fn slot(&self, key: &[u8]) -> Result<Option<Arc<Document>>> {
        match self.overlays().find_map(|overlay| overlay.get(key)) {
            Some(slot) => Ok(slot.document()),
            None => self.base.document(key),
        }
    }

    /// The document that `path` leads to or into.
    pub(crate) fn document(&self, path: &Path) -> Result<Option<Arc<Document>>> {
        key_of(path).map_or(Ok(None), |key| self.slot(&key))
    }

    /// The same, to be changed.
    fn place_of(&self, path: &Path) -> Result<Place> {
        let key = key_of(path);
        let document = key.as_ref().map_or(Ok(None), |key| self.slot(key))?;
        Ok(Place { key, document })
    }

    /// The value at `path`; a path of one segment gives the collection as one object.
    pub(crate) fn value(&self, path: &Path) -> Result<Option<Value>> {
        if path.key().is_none() {
            return self.collection(path.collection());
        }
        Ok(self.document(path)?.and_then(|document| document.value.at(path.inner()).cloned()))
    }

    fn collection(&self, name: &str) -> Result<Option<Value>> {
        let mut object = Object::new();
        for pair in self.range(&key::documents(name)) {
            let (bytes, document) = pair?;
            if let Some(key::Named::Document { key, .. }) = key::read(&bytes) {
                object.insert(key, document.value.clone());
            }
        }
        Ok((!object.is_empty()).then_some(Value::Object(object)))
    }

    /// The keys at `path` as a reader sees them, in order: of the documents of a collection, or of the members of an object.
    pub(crate) fn keys(&self, path: &Path) -> Result<Vec<String>> {
        if path.key().is_some() {
            let value = self.layered(path)?;
            let members = value.as_ref().and_then(Value::as_object).into_iter().flat_map(Object::iter);
            return Ok(members.map(|(key, _)| key.to_owned()).collect());
        }
        let mut keys = Vec::new();
        for pair in self.range(&key::documents(path.collection())) {
            if let Some(key::Named::Document { key, .. }) = key::read(&pair?.0) {
                keys.push(key.to_owned());
            }
        }
        if let Some(defaults) = self.declared.defaults(path.collection()) {
            keys.extend(defaults.iter().map(|(key, _)| key.to_owned()));
            keys.sort_unstable();
            keys.dedup();
        }
        Ok(keys)
    }

    /// All documents whose keys start with `prefix`, in order.
    pub(crate) fn range(&self, prefix: &[u8]) -> impl Iterator<Item = Result<(Key, Arc<Document>)>> + '_ {
        self.range_from(prefix, prefix.to_vec())
    }

    /// The same, from the key `from` on.
    pub(crate) fn range_from(
        &self,
        prefix: &[u8],
        from: Vec<u8>,
    ) -> impl Iterator<Item = Result<(Key, Arc<Document>)>> + '_ {
        self.span(from, key::after(prefix))
    }

    /// All documents and entries whose keys lie at or above `from` and below `below`, in order. What lies outside is not
    /// read.
    pub(crate) fn span(
        &self,
        from: Vec<u8>,
        below: Option<Vec<u8>>,
    ) -> impl Iterator<Item = Result<(Key, Arc<Document>)>> + '_ {
        let bounds = Within::new(from, below);
        let walk = bounds.clone().of(self.base.walk(&bounds.from));
        let newer = Newest::of(Direction::Forwards, self.overlays().map(|overlay| bounds.slots(overlay)));
        Merge::new(Direction::Forwards, newer, walk, |bytes| Slot::decode(&bytes))
            .filter_map(here(|slot: Slot| slot.document()))
    }

    /// The same from the last to the first.
    pub(crate) fn span_back(
        &self,
        from: Vec<u8>,
        below: Option<Vec<u8>>,
    ) -> impl Iterator<Item = Result<(Key, Arc<Document>)>> + '_ {
        let bounds = Within::new(from, below);
        let walk = bounds.clone().of(self.base.walk_back(bounds.below.as_deref()));
        let newer =
            Newest::of(Direction::Backwards, self.overlays().map(|overlay| bounds.slots(overlay).rev()));
        Merge::new(Direction::Backwards, newer, walk, |bytes| Slot::decode(&bytes))
            .filter_map(here(|slot: Slot| slot.document()))
    }

    /// What can be said of all documents whose keys start with `prefix`, from the key `from` on, without reading values.
    pub(crate) fn heads(
        &self,
        prefix: &[u8],
        from: Vec<u8>,
    ) -> impl Iterator<Item = Result<(Key, Head)>> + '_ {
        let bounds = Within::new(from, key::after(prefix));
        let walk = bounds.clone().of(self.base.walk(&bounds.from));
        let newer = Newest::of(Direction::Forwards, self.overlays().map(|overlay| bounds.slots(overlay)));
        let newer = newer.map(|(key, slot)| (key, Head::of(&slot)));
        Merge::new(Direction::Forwards, newer, walk, |bytes| Head::decode(&bytes))
            .filter_map(here(|head| head))
    }

    /// What a collection has.
    pub(crate) fn tally(&self, collection: &str) -> Tally {
        self.tallies.get(collection).copied().unwrap_or_default()
    }

    /// All collections that ever had something, with what they have.
    pub(crate) fn tallies(&self) -> impl Iterator<Item = (&str, &Tally)> {
        self.tallies.iter().map(|(name, tally)| (&**name, tally))
    }

    /// The bytes of all keys and values as text.
    pub(crate) fn bytes(&self) -> u64 {
        self.tallies.iter().map(|(_, tally)| tally.bytes).sum()
    }

    /// The sum over everything: the same for the same contents (J10).
    pub(crate) fn sum(&self) -> u128 {
        self.tallies.iter().fold(0, |sum, (_, tally)| sum.wrapping_add(tally.sum))
    }

    /// All overlays, newest first.
    fn overlays(&self) -> impl Iterator<Item = &Overlay> {
        std::iter::once(&self.overlay).chain(self.sealed.iter().map(|(_, overlay)| overlay))
    }

    /// Puts the present overlay aside under `number`, which grows from one sealing to the next.
    pub(crate) fn seal(&mut self, number: u64) {
        if !self.overlay.is_empty() {
            self.sealed.insert(0, (number, std::mem::take(&mut self.overlay)));
        }
    }

    /// Lets go the overlays sealed under `number` and before: `base` has all that is in them.
    pub(crate) fn settle(&mut self, number: u64, base: &Arc<Base>) {
        self.sealed.retain(|(sealed, _)| *sealed > number);
        self.base = Arc::clone(base);
    }

    /// What was sealed under `number` and before, newest first.
    pub(crate) fn sealed(&self, number: u64) -> impl Iterator<Item = (&Key, &Slot)> {
        let due = self.sealed.iter().filter(move |(sealed, _)| *sealed <= number);
        due.flat_map(|(_, overlay)| overlay.iter())
    }

    /// What lies below.
    pub(crate) fn base(&self) -> &Arc<Base> {
        &self.base
    }

    /// The keys at and above `prefix` that start with it and under which this version may differ from `other`, in order:
    /// those of all that the two do not share.
    pub(crate) fn keys_apart<'a>(
        &'a self,
        other: &'a Version,
        prefix: &[u8],
    ) -> impl Iterator<Item = Result<Key>> + 'a {
        let prefix = prefix.to_vec();
        let overlays = self.overlays().chain(other.overlays());
        let slots = overlays.map(|overlay| Within::new(prefix.clone(), key::after(&prefix)).slots(overlay));
        let newer = Newest::of(Direction::Forwards, slots).map(|(key, _)| (key, ()));
        let runs = self.base.runs_beyond(&other.base).chain(other.base.runs_beyond(&self.base));
        let runs = Newest::of(Direction::Forwards, runs.map(|run| run.iter_from(&prefix)));
        let keys = Merge::new(Direction::Forwards, newer, runs, |_| Ok(())).map(|pair| Ok(pair?.0));
        keys.take_while(move |key| key.as_ref().map_or(true, |key| key.starts_with(&prefix)))
    }

    /// Takes in one change; tells what it did, nothing if it changed nothing. After an error nothing has changed. The
    /// position stays where it was.
    pub(crate) fn apply(&mut self, op: &Op, stamp: &Stamp) -> Result<Vec<Effect>> {
        Ok(match op {
            Op::Set { path, value } => self.set(path, value, stamp)?.into_iter().collect(),
            Op::Remove { path } if path.key().is_none() => self.whole_or_not(|all| all.clear(path, stamp))?,
            Op::Remove { path } => self.remove(path, stamp)?.into_iter().collect(),
            Op::Append { path, value, keep_last } => {
                self.append(path, value, *keep_last, stamp)?.into_iter().collect()
            }
            Op::Push { path, time, value } => vec![self.push(path, *time, value, stamp)?],
            Op::Cut { path, time, lsn } => self.whole_or_not(|all| all.cut(path, *time, *lsn, stamp))?,
            Op::Entry { path, time, lsn, value } => {
                self.place(path, (*time, *lsn), value.as_ref(), stamp)?.into_iter().collect()
            }
            Op::Note { .. } => Vec::new(),
        })
    }

    /// Does what consists of many changes, of which one may fail.
    fn whole_or_not<T>(&mut self, change: impl FnOnce(&mut Version) -> Result<T>) -> Result<T> {
        let mut changed = self.clone();
        let done = change(&mut changed)?;
        *self = changed;
        Ok(done)
    }

    /// Moves on over a record: the version is now that of its position.
    pub(crate) fn pass(&mut self, position: Position, time: Timestamp) {
        self.position = position;
        self.time = time;
    }

    fn set(&mut self, path: &Path, new: &Value, stamp: &Stamp) -> Result<Option<Effect>> {
        check_depth(path, 0, new)?;
        let place = self.place_of(path)?;
        let old = place.value(path);
        if old == Some(new) {
            return Ok(None);
        }
        let old = old.cloned();
        self.edit(path, place, stamp, |value| value.set_at(path.inner(), new.clone()))?;
        Ok(Some(Effect::inside(path.clone(), old, Some(new.clone()))))
    }

    fn append(
        &mut self,
        path: &Path,
        element: &Value,
        keep_last: Option<u64>,
        stamp: &Stamp,
    ) -> Result<Option<Effect>> {
        let place = self.place_of(path)?;
        let old = place.value(path).cloned();
        check_depth(path, 1, element)?;
        let mut list = match &old {
            None => Array::new(),
            Some(Value::Array(list)) => list.clone(),
            Some(other) => return Err(not_a(path, other, "a list")),
        };
        list.push(element.clone());
        if let Some(count) = keep_last {
            list.keep_last(usize::try_from(count).unwrap_or(usize::MAX));
        }
        let new = Value::Array(list);
        self.edit(path, place, stamp, |value| value.set_at(path.inner(), new.clone()))?;
        Ok(Some(Effect::inside(path.clone(), old, Some(new))))
    }

    fn remove(&mut self, path: &Path, stamp: &Stamp) -> Result<Option<Effect>> {
        let place = self.place_of(path)?;
        let Some(old) = place.value(path).cloned() else { return Ok(None) };
        if let (true, Place { key: Some(key), document }) = (path.inner().is_empty(), &place) {
            self.put(Arc::clone(key), document.as_deref(), None, stamp)?;
            return Ok(Some(Effect::inside(path.clone(), Some(old), None)));
        }
        self.edit(path, place, stamp, |value| {
            value.remove_at(path.inner());
            Ok(())
        })?;
        Ok(Some(Effect::inside(path.clone(), Some(old), None)))
    }

    fn clear(&mut self, path: &Path, stamp: &Stamp) -> Result<Vec<Effect>> {
        let prefix = key::documents(path.collection());
        let all: Vec<(Key, Arc<Document>)> = self.range(&prefix).collect::<Result<_>>()?;
        let mut effects = self.clear_series(path, stamp)?;
        for (bytes, document) in all {
            if let Some(key::Named::Document { key, .. }) = key::read(&bytes) {
                effects.push(Effect::inside(path.join(key), Some(document.value.clone()), None));
            }
            self.put(bytes, Some(&document), None, stamp)?;
        }
        Ok(effects)
    }

    /// Changes a document, or makes it.
    fn edit(
        &mut self,
        path: &Path,
        place: Place,
        stamp: &Stamp,
        change: impl FnOnce(&mut Value) -> Result<(), Fault>,
    ) -> Result<()> {
        key::check_collection(path.collection())?;
        let Place { key: Some(key), document } = place else {
            let what = format!("path {path} names a collection, not a document in it");
            return Err(
                Error::new(ErrorKind::Input, what).advise("name a document, or replace the collection")
            );
        };
        if document.is_none() {
            self.check_no_series(path)?;
        }
        let known = document.as_ref().map(|document| document.value.clone());
        let fresh = || if path.inner().is_empty() { Value::Null } else { Object::new().into() };
        let mut value = known.unwrap_or_else(fresh);
        change(&mut value).map_err(|fault| explain(path, fault))?;
        let bytes = value.bytes();
        if bytes > DOCUMENT_BYTES_MAX {
            let kind = ErrorKind::TooLarge { actual: bytes, max: DOCUMENT_BYTES_MAX };
            let what = format!("document of {path} would have {bytes} bytes, more than {DOCUMENT_BYTES_MAX}");
            return Err(Error::new(kind, what).advise("spread it over several documents, or use a series"));
        }
        self.put(key, document.as_deref(), Some(Document::new(value, stamp)), stamp)
    }

    /// Puts what belongs to no count under `key`.
    pub(crate) fn put_uncounted(&mut self, key: Key, new: Option<Document>) {
        self.overlay.insert_mut(key, new.map_or(Slot::Gone, |new| Slot::Here(Arc::new(new))));
    }

    /// Puts `new` in the place of `old` and keeps the counts up. After an error nothing has changed.
    pub(crate) fn put(
        &mut self,
        key: Key,
        old: Option<&Document>,
        new: Option<Document>,
        stamp: &Stamp,
    ) -> Result<()> {
        let name = key::collection(&key);
        let known = self.tallies.get_key_value(name).map(|(name, tally)| (Arc::clone(name), *tally));
        let (name, tally) = known.unwrap_or_else(|| (name.into(), Tally::default()));
        let without = old.map_or(Some(tally), |old| tally.without(&key, &old.value));
        let with =
            without.and_then(|tally| new.as_ref().map_or(Some(tally), |new| tally.with(&key, &new.value)));
        let tally = with.ok_or_else(|| tally::miscounted(&name))?;
        if !key::is_entry(&key)
            && let Some(recency) = self.recency.get_mut(&name)
        {
            if let Some(old) = old {
                recency.remove_mut(&(old.revision.lsn, Arc::clone(&key)));
            }
            if let Some(new) = &new {
                remember(recency, new.revision.lsn, &key, new.time);
            }
        }
        self.tallies.insert_mut(name, Tally { changed: stamp.position.lsn, ..tally });
        self.put_uncounted(key, new);
        Ok(())
    }

    /// Whether there is anything that is not in the runs below.
    pub(crate) fn has_delta(&self) -> bool {
        !self.overlay.is_empty()
    }

    /// All that there is, as pairs of one run in order; the counts come first.
    pub(crate) fn whole(&self) -> impl Iterator<Item = Result<(Key, Vec<u8>)>> + '_ {
        let tallies = (Key::from(key::TALLIES), tally::write(&self.tallies));
        let all = self
            .range_from(b"", vec![1])
            .map(|pair| pair.map(|(key, document)| (key, Slot::Here(document).encode())));
        std::iter::once(Ok(tallies)).chain(all)
    }

    /// All that is not in the runs below, of a version without sealed overlays, as pairs of a run in order; the counts come first.
    pub(crate) fn delta(&self) -> impl Iterator<Item = (Key, Vec<u8>)> + '_ {
        let tallies = (Key::from(key::TALLIES), tally::write(&self.tallies));
        std::iter::once(tallies)
            .chain(self.overlay.iter().map(|(key, slot)| (Arc::clone(key), slot.encode())))
    }
}

/// The key of the document that a path leads to or into.
fn key_of(path: &Path) -> Option<Key> {
    path.key().map(|key| key::document(path.collection(), key))
}

/// Where a path leads to or into, and what is there.
struct Place {
    key: Option<Key>,
    document: Option<Arc<Document>>,
}

impl Place {
    /// What stands at `path`.
    fn value(&self, path: &Path) -> Option<&Value> {
        self.document.as_ref().and_then(|document| document.value.at(path.inner()))
    }
}

/// All keys from one on and below another.
#[derive(Clone)]
struct Within {
    from: Vec<u8>,
    below: Option<Vec<u8>>,
}

impl Within {
    fn new(from: Vec<u8>, below: Option<Vec<u8>>) -> Within {
        // The tree does not take a range that ends before it starts.
        let below = below.map(|below| below.max(from.clone()));
        Within { from, below }
    }

    /// The slots of an overlay.
    fn slots<'a>(&self, overlay: &'a Overlay) -> impl DoubleEndedIterator<Item = (Key, Slot)> + use<'a> {
        overlay.range(self.clone()).map(|(key, slot)| (Arc::clone(key), slot.clone()))
    }

    /// The pairs of a walk, up to the first that lies outside.
    fn of(self, walk: impl Iterator<Item = Result<Pair>>) -> impl Iterator<Item = Result<Pair>> {
        walk.take_while(move |pair| {
            pair.as_ref().map_or(true, |(key, _)| RangeBounds::<[u8]>::contains(&self, key.as_slice()))
        })
    }
}

impl RangeBounds<[u8]> for Within {
    fn start_bound(&self) -> Bound<&[u8]> {
        Bound::Included(&self.from)
    }

    fn end_bound(&self) -> Bound<&[u8]> {
        self.below.as_deref().map_or(Bound::Unbounded, Bound::Excluded)
    }
}

/// What stands under a key, read or not.
type Found<T> = Result<(Key, T)>;

/// Leaves out what is removed.
fn here<S, T>(read: fn(S) -> Option<T>) -> impl FnMut(Found<S>) -> Option<Found<T>> {
    move |pair| pair.map(|(key, found)| read(found).map(|found| (key, found))).transpose()
}

/// Refuses to nest a document deeper than it could be read back: with a value so many levels below a path.
pub(crate) fn check_depth(path: &Path, below: usize, value: &Value) -> Result<()> {
    let around = path.inner().len() + below;
    if around > DEPTH_MAX || !value.is_within(DEPTH_MAX - around) {
        let depth = around + value.depth();
        let what = format!("document of {path} would be nested {depth} levels deep, more than {DEPTH_MAX}");
        return Err(Error::new(ErrorKind::Input, what).advise("put inner parts into documents of their own"));
    }
    Ok(())
}

fn not_a(path: &Path, found: &Value, wanted: &str) -> Error {
    let what = format!("at {path} stands {}, not {wanted}", found.kind());
    Error::new(ErrorKind::WrongType, what).advise("remove it first, or use another path")
}

/// Says what is in the way of a path.
fn explain(path: &Path, fault: Fault) -> Error {
    let way = |segments: usize| Path::of_segments(path.segments().iter().take(segments + 2).cloned());
    match fault {
        Fault::Scalar { segments, kind } => {
            let what = format!("path {path} leads into {}, which holds {kind}", way(segments));
            Error::new(ErrorKind::WrongType, what).advise("remove that value first, or use another path")
        }
        Fault::Index { segments, len } => {
            let what =
                format!("path {path} leads into {}, a list of {len}, where it names no index", way(segments));
            Error::new(ErrorKind::Input, what).advise(format!("use an index up to {len}, or append"))
        }
    }
}
