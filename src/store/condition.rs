//! Conditions on which a transaction stands, decided inside the order: what is there, what did not change, not too often.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};
use crate::journal::{Receipt, RecordKind};
use crate::position::{Lsn, Position};
use crate::store::Store;
use crate::store::follow::Follower;
use crate::store::key;
use crate::store::op::Op;
use crate::store::order::{Committed, Order};
use crate::store::path::{IntoPath, Path};
use crate::store::replay;
use crate::store::transaction::Tx;
use crate::store::value::Value;
use crate::store::version::Version;
use crate::store::watch::{changed_under, may_shift};

/// The longest name that something of the store's own may be kept under, in bytes.
const NAME_BYTES_MAX: usize = 512;

/// How long a key of [`Tx::at_most_once_per`] is kept at least.
const KEY_KEPT: Duration = Duration::from_secs(3600);

/// What must be at a path for a change to be made.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Expected {
    /// The document is as the record at this position left it: see [`Entry::revision`](crate::store::Entry).
    Revision(Position),
    /// This value.
    Value(Value),
    /// Nothing.
    Absent,
}

impl Expected {
    /// That the value is what `value` serialises to.
    ///
    /// # Errors
    ///
    /// `Input` if it has no JSON form.
    pub fn value<T: Serialize + ?Sized>(value: &T) -> Result<Expected> {
        Ok(Expected::Value(Value::of(value)?))
    }
}

impl From<Position> for Expected {
    fn from(position: Position) -> Expected {
        Expected::Revision(position)
    }
}

impl Store {
    /// Puts `new` at `path` if there is what is `expected`.
    ///
    /// # Errors
    ///
    /// `Conflict` names what is there; it comes when that is durable (J4). Otherwise as [`Store::set`].
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> everlog::Result<()> {
    /// # let directory = tempfile::tempdir().expect("a directory");
    /// # let store = everlog::Store::open(directory.path().join("store"))?;
    /// use everlog::ErrorKind;
    /// use everlog::store::Expected;
    ///
    /// let first = store.compare_and_set("notes.1", Expected::Absent, "Milk")?;
    /// store.compare_and_set("notes.1", first.position, "Milk, eggs")?;
    /// let error = store.compare_and_set("notes.1", first.position, "Bread").expect_err("it has moved on");
    /// assert_eq!(error.kind(), &ErrorKind::Conflict);
    /// # Ok(())
    /// # }
    /// ```
    pub fn compare_and_set<T: Serialize + ?Sized>(
        &self,
        path: impl IntoPath,
        expected: impl Into<Expected>,
        new: &T,
    ) -> Result<Receipt> {
        let (path, expected, new) = (path.into_path()?, expected.into(), Value::of(new)?);
        self.one(|tx| {
            tx.require(&path, expected)?;
            tx.set_value(&path, new)
        })
    }
}

impl Tx<'_> {
    /// Puts `new` at `path` if there is what is `expected`; tells whether that changes anything.
    ///
    /// # Errors
    ///
    /// As [`Tx::require`] and [`Tx::set`].
    pub fn compare_and_set<T: Serialize + ?Sized>(
        &mut self,
        path: impl IntoPath,
        expected: impl Into<Expected>,
        new: &T,
    ) -> Result<bool> {
        let (path, new) = (path.into_path()?, Value::of(new)?);
        self.require(&path, expected)?;
        self.set_value(&path, new)
    }

    /// Refuses to go on unless there is at `path` what is `expected`; changes of this transaction count.
    ///
    /// # Errors
    ///
    /// `Conflict` names what is there; and as [`Tx::get`].
    pub fn require(&self, path: impl IntoPath, expected: impl Into<Expected>) -> Result<()> {
        let (path, expected) = (path.into_path()?, expected.into());
        let found = self.entry(&path)?;
        let met = match (&expected, &found) {
            (Expected::Revision(revision), Some(entry)) => entry.revision == *revision,
            (Expected::Value(value), Some(entry)) => entry.value == *value,
            (Expected::Absent, found) => found.is_none(),
            (_, None) => false,
        };
        if met {
            return Ok(());
        }
        let wanted = match expected {
            Expected::Revision(revision) => format!("revision {revision}"),
            Expected::Value(value) => excerpt(&value),
            Expected::Absent => "nothing".to_owned(),
        };
        let there = match found {
            Some(entry) => format!("{} of revision {}", excerpt(&entry.value), entry.revision),
            None => "nothing".to_owned(),
        };
        Err(conflict(format!("at {path} stands {there}, expected was {wanted}")))
    }

    /// Refuses to go on if anything at or under `prefix` was changed after the record at `since`, by others or by
    /// tickets that are not durable yet; changes of this transaction do not count. What was changed and changed back
    /// counts.
    ///
    /// Mostly O(log n), by the revision of the document. Where that cannot decide, for a value inside a document that did
    /// change or for a document that is missing, the records after `since` are read while everything else waits. Of a
    /// series with the name of a document it is not seen that all of its entries were taken out.
    ///
    /// # Errors
    ///
    /// `Conflict` names the record; `Diverged` if `since` was cut after a crash; `BeforeHorizon` if what has to be read was
    /// compacted away; `Input` if `prefix` leads nowhere; `Damaged`.
    pub fn require_unchanged(&self, prefix: impl IntoPath, since: Position) -> Result<()> {
        let prefix = prefix.into_path()?;
        self.order.journal.check_branch(since)?;
        match self.order.changed_since(self.draft.base(), &prefix, since)? {
            None => Ok(()),
            Some(lsn) => {
                Err(conflict(format!("{prefix} was changed by record {lsn}, after {since}")).at_lsn(lsn))
            }
        }
    }

    /// Refuses to go on if a transaction with this condition and `key` was committed less than `interval` ago, by the
    /// times of the records, which never go back (J8). O(log n).
    ///
    /// A key is kept for an hour, or for the interval that was asked for when it was last committed if that is longer.
    /// Who asks for more than both may not find it any more, and goes on.
    ///
    /// # Errors
    ///
    /// `Conflict` says when it was and when it may be again; `Input` if `key` is empty or over 512 bytes.
    pub fn at_most_once_per(&mut self, key: &str, interval: Duration) -> Result<()> {
        let path = own_path("at:", key)?;
        let now = self.draft.time();
        if let Some(document) = self.version().document(&path)?
            && now.since(document.time) < interval
        {
            let (last, next) = (document.time, document.time.plus(interval));
            return Err(conflict(format!("{key:?} was last done at {last} and may be done again at {next}")));
        }
        self.forget_past(&path)?;
        let until = now.plus(interval.max(KEY_KEPT));
        let value = [Value::from(now.micros()), Value::from(until.micros())];
        self.apply(Op::Set { path, value: Value::Array(value.into_iter().collect()) }).map(drop)
    }

    /// Lets keys of [`Tx::at_most_once_per`] go whose time is over: two of those behind `path`, so that a few more
    /// keys than are alive stay.
    fn forget_past(&mut self, path: &Path) -> Result<()> {
        let (now, version) = (self.draft.time(), self.version());
        let prefix = key::document(key::SYSTEM, "at:").to_vec();
        let here = key::document(key::SYSTEM, path.key().unwrap_or_default());
        let behind = version.range_from(&prefix, [&here[..], &[0]].concat());
        let mut past = Vec::new();
        for pair in behind.chain(version.range(&prefix)).take(2) {
            let (bytes, document) = pair?;
            let until = document.value.get("1").and_then(Value::as_u64);
            if let Some(key::Named::Document { collection, key }) = key::read(&bytes)
                && until.is_some_and(|until| until < now.micros())
            {
                past.push(Path::of_segments([collection, key]));
            }
        }
        past.into_iter().try_for_each(|path| self.apply(Op::Remove { path }).map(drop))
    }
}

/// The path of a document of the store's own.
pub(crate) fn own_path(kind: &str, name: &str) -> Result<Path> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        let what = format!("name {name:?} needs 1 to {NAME_BYTES_MAX} bytes");
        return Err(Error::new(ErrorKind::Input, what));
    }
    Ok(Path::of_segments([key::SYSTEM.to_owned(), format!("{kind}{name}")]))
}

fn conflict(what: String) -> Error {
    Error::new(ErrorKind::Conflict, what).advise("read what is there and decide again")
}

/// A value as it fits into a message.
fn excerpt(value: &Value) -> String {
    const BYTES_MAX: u64 = 80;
    if value.bytes() > BYTES_MAX {
        format!("{} of {} bytes", value.kind(), value.bytes())
    } else {
        value.to_string()
    }
}

/// How a change at one path bears on another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bears {
    No,
    Perhaps,
    Surely,
}

/// How a change at `path` bears on what is at and under `prefix`.
fn bears(prefix: &Path, path: &Path, in_series: bool, removes: bool) -> Bears {
    let shifts = || removes && may_shift(path).is_some_and(|list| list.is_prefix_of(prefix));
    match () {
        _ if prefix.is_prefix_of(path) => Bears::Surely,
        _ if in_series => Bears::No,
        _ if path.is_prefix_of(prefix) || shifts() => Bears::Perhaps,
        _ => Bears::No,
    }
}

impl Order {
    /// The record that last changed something at or under `prefix` after `since`, or one of those that did. `base` is the
    /// pending version, which the caller holds.
    fn changed_since(&self, base: &Version, prefix: &Path, since: Position) -> Result<Option<Lsn>> {
        let changed = base.tally(prefix.collection()).changed;
        if changed <= since.lsn {
            return Ok(None);
        }
        let Some(name) = prefix.key() else { return Ok(Some(changed)) };
        if let Some(document) = base.document(prefix)? {
            let is_whole = prefix.inner().is_empty();
            let has_series = || base.range(&key::series(prefix.collection(), name)).next().is_some();
            match document.revision.lsn > since.lsn {
                true if is_whole => return Ok(Some(document.revision.lsn)),
                false if !is_whole || !has_series() => return Ok(None),
                _ => {}
            }
        }
        self.search(prefix, since)
    }

    /// Looks for a change in the log and in what is not durable yet.
    fn search(&self, prefix: &Path, since: Position) -> Result<Option<Lsn>> {
        self.publish()?;
        let (end, waiting) = {
            let queue = self.queue.lock();
            (self.view_unlagged(), queue.waiting.clone())
        };
        let mut perhaps = false;
        let mut cursor = self.journal.records_after(since)?;
        while let Some(record) = cursor.read()? {
            let lsn = record.position.lsn;
            if lsn > end.position.lsn {
                break;
            }
            if record.kind != RecordKind::Event {
                continue;
            }
            match bears_of(prefix, &Op::decode(record.type_version, record.payload)?) {
                Bears::Surely => return Ok(Some(lsn)),
                found => perhaps |= found == Bears::Perhaps,
            }
        }
        for (position, effect) in waiting.iter().flat_map(|committed| &committed.effects) {
            match bears(prefix, &effect.path, effect.in_series(), effect.new.is_none()) {
                Bears::Surely if position.lsn > since.lsn => return Ok(Some(position.lsn)),
                found => perhaps |= found != Bears::No,
            }
        }
        if perhaps { self.search_states(prefix, since, &end, &waiting) } else { Ok(None) }
    }

    /// Something above the prefix changed: only the states before and after tell whether the prefix did.
    fn search_states(
        &self,
        prefix: &Path,
        since: Position,
        end: &Version,
        waiting: &VecDeque<Arc<Committed>>,
    ) -> Result<Option<Lsn>> {
        let pending = waiting.partition_point(|committed| committed.version.position.lsn <= since.lsn);
        let start = match pending.checked_sub(1).and_then(|last| waiting.get(last)) {
            Some(committed) => (*committed.version).clone(),
            None if since.lsn >= end.position.lsn => end.clone(),
            None => replay::fold_to(&self.journal, since.lsn)?,
        };
        let mut before = Arc::new(start.clone());
        let mut follower = Follower::new(&self.journal, start);
        while before.position.lsn < end.position.lsn {
            let Some(committed) = follower.next()? else { break };
            if let Some(place) = changed_under(prefix, &before, &committed)?.first() {
                return Ok(Some(place.position.lsn));
            }
            before = committed.version;
        }
        for committed in waiting.iter().skip(pending) {
            if let Some(place) = changed_under(prefix, &before, committed)?.first() {
                return Ok(Some(place.position.lsn));
            }
            before = Arc::clone(&committed.version);
        }
        Ok(None)
    }
}

fn bears_of(prefix: &Path, op: &Op) -> Bears {
    match op {
        Op::Set { path, .. } | Op::Append { path, .. } => bears(prefix, path, false, false),
        Op::Remove { path } => bears(prefix, path, false, true),
        Op::Push { path, .. } | Op::Entry { path, .. } | Op::Cut { path, .. } => {
            bears(prefix, path, true, false)
        }
        Op::Note { .. } => Bears::No,
    }
}
