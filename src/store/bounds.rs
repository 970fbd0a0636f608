//! What a store may hold: bounds of collections and series, kept inside each transaction, and the limits of the whole.
//!
//! Bounds are kept at the end of each transaction, whoever made it: what has to go is removed by changes of its own, which
//! are logged with the others. So folding the log needs no declaration. Limits are checked after that, before anything is
//! written.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::{Compacted, Journal};
use crate::position::Lsn;
use crate::store::Store;
use crate::store::collection::Collection;
use crate::store::document::Document;
use crate::store::key::{self, Named};
use crate::store::op::Op;
use crate::store::order::Order;
use crate::store::path::Path;
use crate::store::series::Keep;
use crate::store::tally::Tally;
use crate::store::transaction::Draft;
use crate::store::version::Version;

/// So many documents go at once from a collection that has more than it is to keep, beside as many as are written: a bound
/// that is new to a large collection is reached step by step, and no transaction grows without bound for it.
const GO_AT_ONCE: usize = 1000;

/// How full a store is when it calls itself half full.
const HIGH: u64 = 2;

/// Refuses a value over the limit.
pub(crate) fn check_value(version: &Version, op: &Op) -> Result<()> {
    let (Op::Set { path, value }
    | Op::Append { path, value, .. }
    | Op::Push { path, value, .. }
    | Op::Entry { path, value: Some(value), .. }) = op
    else {
        return Ok(());
    };
    let (actual, max) = (value.bytes(), version.declared.limits.value_bytes_max);
    if actual <= max || !key::is_users(path.collection()) {
        return Ok(());
    }
    let what = format!("value for {path} has {actual} bytes, more than {max}");
    let error = Error::new(ErrorKind::TooLarge { actual, max }, what);
    Err(error.advise("spread it over several documents, use set_bytes, or raise value_bytes_max"))
}

/// When commits were made, by elapsed time: what tells a pause from a step of the clock (J8).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// When a commit was made that is durable.
    durable: Duration,
    /// The commit that takes its place once it is.
    next: (Lsn, Duration),
}

impl Pace {
    /// Of a store that is opened after `last`.
    pub(crate) fn new(journal: &Journal, last: Lsn) -> Pace {
        let elapsed = journal.opened_with().clock.elapsed();
        Pace { durable: elapsed, next: (last, elapsed) }
    }

    /// How much time has passed at `elapsed` since the last durable commit, or somewhat more.
    fn passed(&self, journal: &Journal, elapsed: Duration) -> Duration {
        let last = if self.next.0 <= journal.durable_lsn() { self.next.1 } else { self.durable };
        elapsed.saturating_sub(last)
    }

    /// Takes in a commit that was decided at `elapsed`, has its place, and ends with `end`.
    pub(crate) fn take(&mut self, journal: &Journal, end: Lsn, elapsed: Duration) {
        if self.next.0 <= journal.durable_lsn() {
            self.durable = self.next.1;
            self.next = (end, elapsed);
        }
    }
}

/// How long ago something was written for sure: steps of the clock do not count (J8).
pub(crate) struct Ages<'a> {
    journal: &'a Journal,
    /// Time since the last durable commit.
    passed: Duration,
    /// Looked up when first needed: it takes a lock that whoever writes holds.
    now: Cell<Option<Timestamp>>,
}

impl<'a> Ages<'a> {
    /// As of `elapsed`, when something is decided.
    pub(crate) fn new(journal: &'a Journal, pace: &Pace, elapsed: Duration) -> Ages<'a> {
        Ages { journal, passed: pace.passed(journal, elapsed), now: Cell::new(None) }
    }

    /// At a time that is known.
    pub(crate) fn at(journal: &'a Journal, now: Timestamp) -> Ages<'a> {
        Ages { journal, passed: Duration::ZERO, now: Cell::new(Some(now)) }
    }

    fn of(&self, lsn: Lsn, time: Timestamp) -> Result<Duration> {
        let now = match self.now.get() {
            Some(now) => now,
            None => self.journal.now_after(self.passed)?,
        };
        self.now.set(Some(now));
        Ok(self.journal.with_summary(|summary| summary.elapsed(lsn, time, now)))
    }
}

impl Draft {
    /// Keeps the bounds and checks the limits. After an error the draft must not be committed.
    pub(crate) fn bound(&mut self, ages: &Ages<'_>) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        self.bound_series(ages)?;
        let touched: BTreeSet<String> = self.collections().map(str::to_owned).collect();
        for name in &touched {
            self.bound_documents(name, ages)?;
        }
        self.settle_chunks()?;
        self.finish()?;
        self.check_limits(&touched)
    }

    /// The collections that its changes are in.
    fn collections(&self) -> impl Iterator<Item = &str> {
        self.ops().iter().filter_map(|op| path_of(op).map(Path::collection))
    }

    /// Whether it may be acknowledged before it is on the disk: all that it changes was declared so.
    pub(crate) fn is_relaxed(&self) -> bool {
        let declared = &self.version().declared;
        let mut names = self.collections().peekable();
        // A pin, or what is only said about a commit, is nobody's to relax.
        names.peek().is_some()
            && self.own().is_none()
            && names.all(|name| declared.of(name).is_some_and(|collection| collection.is_relaxed))
    }

    /// Whether it leaves less than there was, so that it may use what is held in reserve.
    pub(crate) fn is_relief(&self) -> bool {
        self.version().bytes() < self.base().bytes()
    }

    fn bound_series(&mut self, ages: &Ages<'_>) -> Result<()> {
        let declared = self.version().declared.clone();
        let mut due: BTreeMap<Path, Keep> = BTreeMap::new();
        for op in self.ops() {
            if let Op::Push { path, .. } = op {
                let keep = declared.of(path.collection()).map(|collection| collection.series);
                due.entry(path.clone()).or_insert(keep.unwrap_or_default());
            }
        }
        for (path, keep) in self.kept() {
            let known = due.entry(path.clone()).or_default();
            *known = known.and(*keep);
        }
        let age = |document: &Document| ages.of(document.revision.lsn, document.time);
        for (path, keep) in due.into_iter().filter(|(_, keep)| !keep.is_everything()) {
            if let Some(cut) = self.version().due(&path, keep, &age)? {
                self.apply(cut)?;
            }
        }
        Ok(())
    }

    /// Removes the documents of a collection that it is not to keep: those whose last change is the longest ago.
    fn bound_documents(&mut self, name: &str, ages: &Ages<'_>) -> Result<()> {
        let declared = self.version().declared.clone();
        let Some(Collection { keep_last, max_age, .. }) = declared.of(name) else { return Ok(()) };
        for _ in 0..self.ops().len() + GO_AT_ONCE {
            let is_over = keep_last.is_some_and(|max| documents(&self.version().tally(name)) > max);
            if !is_over && max_age.is_none() {
                return Ok(());
            }
            let Some(oldest) = self.version_mut().oldest(name)? else { return Ok(()) };
            let is_old = match max_age {
                Some(max_age) if !is_over => ages.of(oldest.lsn, oldest.time)? > *max_age,
                _ => false,
            };
            if !is_over && !is_old {
                return Ok(());
            }
            self.apply(Op::Remove { path: Path::of_segments([name, &oldest.key]) })?;
        }
        Ok(())
    }

    /// Refuses what takes the store or a collection over its limit. What does not add is accepted also above it.
    fn check_limits(&self, touched: &BTreeSet<String>) -> Result<()> {
        let (before, after) = (self.base(), self.version());
        for name in touched {
            let max = after.declared.of(name).and_then(|collection| collection.bytes_max);
            let (current, wanted) = (before.tally(name).bytes, after.tally(name).bytes);
            if let Some(max) = max.filter(|max| wanted > *max && wanted > current) {
                return Err(over(&format!("collection {name}"), current, wanted, max));
            }
        }
        let (current, wanted) = (before.bytes(), after.bytes());
        let max = after.declared.limits.store_bytes_max;
        if wanted > max && wanted > current {
            return Err(over("store", current, wanted, max));
        }
        Ok(())
    }
}

fn over(what: &str, current: u64, wanted: u64, max: u64) -> Error {
    let proposed = wanted - current;
    let what = format!("{what} has {current} bytes, {proposed} more would be over its limit of {max}");
    let error = Error::new(ErrorKind::Quota { current, proposed, max }, what);
    error.advise("remove something, which is accepted, or raise the limit; nothing was written")
}

fn path_of(op: &Op) -> Option<&Path> {
    match op {
        Op::Set { path, .. } | Op::Remove { path } | Op::Append { path, .. } => Some(path),
        Op::Push { path, .. } | Op::Cut { path, .. } | Op::Entry { path, .. } => Some(path),
        Op::Note { .. } => None,
    }
}

fn documents(tally: &Tally) -> u64 {
    tally.documents - tally.entries
}

/// The document of a collection whose last change is the longest ago.
struct Oldest {
    key: String,
    lsn: Lsn,
    time: Timestamp,
}

/// A limit that is half used up, or more.
#[derive(Clone, Debug)]
pub(crate) struct Filled {
    /// `None`: that of the store.
    pub(crate) collection: Option<String>,
    pub(crate) current: u64,
    pub(crate) max: u64,
}

fn is_high(bytes: u64, max: u64) -> bool {
    bytes > 0 && bytes.saturating_mul(HIGH) >= max
}

impl Version {
    /// The limits that are half used up. O(collections).
    pub(crate) fn filled(&self) -> Vec<Filled> {
        let whole = (None, self.bytes(), self.declared.limits.store_bytes_max);
        let limited = self.declared.limited().map(|(name, max)| (Some(name), self.tally(name).bytes, max));
        let high = std::iter::once(whole).chain(limited).filter(|(_, bytes, max)| is_high(*bytes, *max));
        high.map(|(name, current, max)| Filled { collection: name.map(str::to_owned), current, max })
            .collect()
    }

    /// Finds it in O(log n), but for the first time, which remembers the order of all documents of the collection.
    fn oldest(&mut self, collection: &str) -> Result<Option<Oldest>> {
        if !self.recency.contains_key(collection) {
            let mut recency = Default::default();
            let prefix = key::documents(collection);
            for pair in self.heads(&prefix, prefix.clone()) {
                let (key, head) = pair?;
                remember(&mut recency, head.revision.lsn, &key, head.time);
            }
            self.recency.insert_mut(collection.into(), recency);
        }
        let first = self.recency.get(collection).and_then(|recency| recency.first());
        Ok(first.and_then(|((lsn, bytes), time)| match key::read(bytes)? {
            Named::Document { key, .. } => Some(Oldest { key: key.to_owned(), lsn: *lsn, time: *time }),
            Named::Entry { .. } => None,
        }))
    }
}

/// The documents of a collection in the order of their last changes, with the times of these.
pub(crate) type Recency = rpds::RedBlackTreeMapSync<(Lsn, key::Key), Timestamp>;

/// Notes the last change of a document.
pub(crate) fn remember(recency: &mut Recency, lsn: Lsn, key: &key::Key, time: Timestamp) {
    recency.insert_mut((lsn, key.clone()), time);
}

/// How full a store is, by its contents as text. History is not counted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Bytes of all keys and values as text.
    pub bytes: u64,
    /// The limit of the store.
    pub bytes_max: u64,
    /// Whether the store, or a collection with a limit, is at least half full: the time to tell somebody.
    /// [`Saving::HalfFull`](crate::store::Saving::HalfFull) says so by itself.
    pub is_high: bool,
    /// Each collection that has something, by name.
    pub collections: Vec<CollectionUsage>,
}

/// How full a collection is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CollectionUsage {
    /// Its name.
    pub name: String,
    /// How many documents it has.
    pub documents: u64,
    /// How many entries its series have together.
    pub entries: u64,
    /// Bytes of their keys and values as text.
    pub bytes: u64,
    /// Its limit, if one was declared.
    pub bytes_max: Option<u64>,
}

impl Order {
    /// Lets the history go that no declared window wants.
    fn tidy(&self) -> Result<Compacted> {
        self.compact(&self.view().declared.retention())
    }

    /// The same, if that would free something.
    pub(crate) fn tidy_if_due(&self) -> Result<()> {
        let retention = self.view().declared.retention();
        match self.journal.is_compaction_due(&retention)? {
            true => self.tidy().map(drop),
            false => self.journal.end_early_if_due(&retention),
        }
    }
}

impl Store {
    /// How full the store is: see [`Usage::is_high`]. O(collections).
    pub fn usage(&self) -> Usage {
        let view = self.view();
        let version = view.version();
        let declared = &version.declared;
        let collections: Vec<CollectionUsage> = version
            .tallies()
            .filter(|(name, tally)| tally.documents > 0 && key::is_users(name))
            .map(|(name, tally)| CollectionUsage {
                name: name.to_owned(),
                documents: documents(tally),
                entries: tally.entries,
                bytes: tally.bytes,
                bytes_max: declared.of(name).and_then(|collection| collection.bytes_max),
            })
            .collect();
        let (bytes, bytes_max) = (version.bytes(), declared.limits.store_bytes_max);
        let is_high = !version.filled().is_empty();
        Usage { bytes, bytes_max, is_high, collections }
    }

    /// Lets the history go that no declared window wants: see
    /// [`StoreOptions::history`](crate::store::StoreOptions::history). Done in the background now and then.
    ///
    /// # Errors
    ///
    /// As [`Store::compact`].
    pub fn tidy(&self) -> Result<Compacted> {
        self.order.outside()?;
        self.order.tidy()
    }
}
