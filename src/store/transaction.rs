//! What a transaction sees and does: reads of everything before it and of its own changes, and changes in order.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::RecordKind;
use crate::journal::transaction::pin_payload;
use crate::position::{Lsn, Position};
use crate::state::Meta;
use crate::store::bounds;
use crate::store::encoded::stamp_at;
use crate::store::key;
use crate::store::op::Op;
use crate::store::order::{Committed, Order};
use crate::store::path::{IntoPath, Path};
use crate::store::series::Keep;
use crate::store::value::{Object, Value};
use crate::store::version::{Effect, Version};
use crate::store::view::Entry;

/// A commit in the making: a version ahead of the pending one, and the changes that lead to it.
pub(crate) struct Draft {
    /// What the changes are decided on.
    base: Version,
    version: Version,
    /// The place of the first record.
    start: Position,
    time: Timestamp,
    /// The journal's own record that stands before the changes: a pin that comes or goes.
    own: Option<(RecordKind, Vec<u8>)>,
    meta: Option<Arc<Meta>>,
    ops: Vec<Op>,
    effects: Vec<(Position, Effect)>,
    /// What series are to be cut to, beside what is declared.
    kept: Vec<(Path, Keep)>,
    /// What makes the last change of all.
    last: Option<Last>,
    /// From which state values come back, so that bytes out of line come back with them.
    source: Option<Arc<Version>>,
}

/// Makes the last change of a transaction, given how many records there are with it.
type Last = Box<dyn FnOnce(usize) -> Op>;

impl Draft {
    pub(crate) fn new(base: &Version, start: Position, time: Timestamp, meta: Option<Arc<Meta>>) -> Draft {
        let (version, base) = (base.clone(), base.clone());
        let (ops, effects, kept) = (Vec::new(), Vec::new(), Vec::new());
        Draft { base, version, start, time, own: None, meta, ops, effects, kept, last: None, source: None }
    }

    /// What the changes lead to so far, for what is only remembered and changes nothing.
    pub(crate) fn version_mut(&mut self) -> &mut Version {
        &mut self.version
    }

    /// Where the next record would stand.
    pub(crate) fn next_position(&self) -> Position {
        Position::new(self.start.epoch, self.start.lsn.plus(self.records() as u64))
    }

    /// Says from which state values come back, for rollbacks.
    pub(crate) fn restore_from(&mut self, source: Arc<Version>) {
        self.source = Some(source);
    }

    /// The state from which values come back, if there is one.
    pub(crate) fn source(&self) -> Option<&Arc<Version>> {
        self.source.as_ref()
    }

    /// Has a series cut to `keep` at the end.
    pub(crate) fn keep_series(&mut self, path: &Path, keep: Keep) {
        if !keep.is_everything() {
            self.kept.push((path.clone(), keep));
        }
    }

    /// What series are to be cut to, beside what is declared.
    pub(crate) fn kept(&self) -> &[(Path, Keep)] {
        &self.kept
    }

    /// The time that the commit gets.
    pub(crate) fn time(&self) -> Timestamp {
        self.time
    }

    /// The place of the first record.
    pub(crate) fn start(&self) -> Position {
        self.start
    }

    /// How many records there are so far.
    pub(crate) fn records(&self) -> usize {
        self.ops.len() + usize::from(self.own.is_some())
    }

    /// What the changes are decided on.
    pub(crate) fn base(&self) -> &Version {
        &self.base
    }

    /// What the changes lead to so far.
    pub(crate) fn version(&self) -> &Version {
        &self.version
    }

    /// Puts a pin of what the changes are decided on before them; there are none yet.
    pub(crate) fn pin_base(&mut self, name: &str) -> Result<()> {
        let payload = pin_payload(name, self.base.position, self.base.time, "")?;
        self.put_own(RecordKind::Pin, payload);
        Ok(())
    }

    /// Puts a record of the journal's own before the changes, of which there are none yet.
    pub(crate) fn put_own(&mut self, kind: RecordKind, payload: Vec<u8>) {
        self.own = Some((kind, payload));
        self.version.pass(self.start, self.time);
    }

    /// The journal's own record that stands before the changes, if there is one.
    pub(crate) fn own(&self) -> Option<&(RecordKind, Vec<u8>)> {
        self.own.as_ref()
    }

    /// Has `last` make the last change from how many records there will be with it, after the bounds.
    pub(crate) fn finish_with(&mut self, last: impl FnOnce(usize) -> Op + 'static) {
        self.last = Some(Box::new(last));
    }

    /// Makes the last change, if there is to be one.
    pub(crate) fn finish(&mut self) -> Result<()> {
        match self.last.take() {
            Some(last) => self.apply(last(self.records() + 1)).map(drop),
            None => Ok(()),
        }
    }

    /// What it did so far.
    pub(crate) fn effects(&self) -> &[(Position, Effect)] {
        &self.effects
    }

    pub(crate) fn ops(&self) -> &[Op] {
        &self.ops
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records() == 0
    }

    /// Takes in a change; tells whether it changes anything. After an error nothing has changed.
    pub(crate) fn apply(&mut self, op: Op) -> Result<bool> {
        bounds::check_value(&self.version, &op)?;
        self.restore(op)
    }

    /// The same with what was there already, if elsewhere or before: piece by piece it may have become larger than one
    /// value may be, and comes back in one.
    pub(crate) fn restore(&mut self, op: Op) -> Result<bool> {
        let stamp = stamp_at(self.start, self.records(), self.time, &self.meta);
        let effects = self.version.apply(&op, &stamp)?;
        if effects.is_empty() && !matches!(op, Op::Note { .. }) {
            return Ok(false);
        }
        self.version.pass(stamp.position, stamp.time);
        self.effects.extend(effects.into_iter().map(|effect| (stamp.position, effect)));
        self.ops.push(op);
        Ok(true)
    }

    pub(crate) fn into_committed(self) -> Committed {
        Committed { version: Arc::new(self.version), meta: self.meta, effects: self.effects }
    }
}

/// The hands of a transaction. Its reads see its own changes.
///
/// A change that is refused leaves the transaction as it was before it; the closure may go on without it.
pub struct Tx<'a> {
    pub(super) draft: &'a mut Draft,
    /// Where conditions on what happened before look.
    pub(super) order: &'a Order,
}

impl<'a> Tx<'a> {
    pub(crate) fn new(draft: &'a mut Draft, order: &'a Order) -> Tx<'a> {
        Tx { draft, order }
    }

    /// Takes in a change as it is to be logged; tells whether it changes anything.
    pub(crate) fn apply(&mut self, op: Op) -> Result<bool> {
        self.draft.apply(op)
    }

    /// The state as the transaction sees it.
    pub(crate) fn version(&self) -> &Version {
        &self.draft.version
    }

    /// What it did so far, each with the position of its record.
    pub(crate) fn effects(&self) -> &[(Position, Effect)] {
        &self.draft.effects
    }

    /// The changes so far, each with the number of its record.
    pub(crate) fn numbered_ops(&self) -> impl Iterator<Item = (Lsn, &Op)> {
        let first = self.draft.start.lsn.plus(u64::from(self.draft.own.is_some()));
        self.draft.ops.iter().enumerate().map(move |(place, op)| (first.plus(place as u64), op))
    }

    /// The value at `path` as a `T`, if there is one.
    ///
    /// # Errors
    ///
    /// `Input` if `path` leads nowhere; `WrongType` if the value does not have that shape; `Damaged` if it cannot be read.
    pub fn get<T: DeserializeOwned>(&self, path: impl IntoPath) -> Result<Option<T>> {
        self.get_value(path)?.map(|value| value.read()).transpose()
    }

    /// The value at `path`, if there is one.
    ///
    /// # Errors
    ///
    /// As [`Tx::get`].
    pub fn get_value(&self, path: impl IntoPath) -> Result<Option<Value>> {
        self.draft.version.layered(&path.into_path()?)
    }

    /// The value at `path` with its revision, if there is one.
    ///
    /// # Errors
    ///
    /// As [`Tx::get`].
    pub fn entry(&self, path: impl IntoPath) -> Result<Option<Entry>> {
        Entry::at(&self.draft.version, &path.into_path()?)
    }

    /// Whether there is a value at `path`, be it null.
    ///
    /// # Errors
    ///
    /// As [`Tx::get`].
    pub fn contains(&self, path: impl IntoPath) -> Result<bool> {
        Ok(self.get_value(path)?.is_some())
    }

    /// The keys at `path`, in order: of the documents of a collection, or of the members of an object.
    ///
    /// # Errors
    ///
    /// As [`Tx::get`].
    pub fn keys(&self, path: impl IntoPath) -> Result<Vec<String>> {
        self.draft.version.keys(&path.into_path()?)
    }

    /// Puts `value` at `path`; missing parents become objects. Tells whether it changes anything: an equal value does
    /// not, and is not written.
    ///
    /// # Errors
    ///
    /// `Input` if `path` leads nowhere or names a whole collection; `WrongType` if it leads into a value that is neither
    /// object nor list; `TooLarge` if the document grows over its limit.
    pub fn set<T: Serialize + ?Sized>(&mut self, path: impl IntoPath, value: &T) -> Result<bool> {
        self.set_value(path, Value::of(value)?)
    }

    /// [`Tx::set`] of a value at hand.
    ///
    /// # Errors
    ///
    /// As [`Tx::set`].
    pub fn set_value(&mut self, path: impl IntoPath, value: Value) -> Result<bool> {
        let path = of_users(path)?;
        self.ground(&path, false)?;
        self.draft.apply(Op::Set { path, value })
    }

    /// Takes out what is at `path`; with one segment, all documents of the collection. Tells whether there was anything.
    ///
    /// # Errors
    ///
    /// `Input` if `path` leads nowhere; `Damaged` if what is there cannot be read.
    pub fn remove(&mut self, path: impl IntoPath) -> Result<bool> {
        let path = of_users(path)?;
        self.ground(&path, false)?;
        self.draft.apply(Op::Remove { path })
    }

    /// Adds `value` to the list at `path`, which is made if it is missing. With `keep_last` the list keeps only so many
    /// elements at its end.
    ///
    /// # Errors
    ///
    /// As [`Tx::set`]; `WrongType` if something other than a list is there.
    pub fn append<T: Serialize + ?Sized>(
        &mut self,
        path: impl IntoPath,
        value: &T,
        keep_last: Option<u64>,
    ) -> Result<bool> {
        let (path, value) = (of_users(path)?, Value::of(value)?);
        self.ground(&path, true)?;
        self.draft.apply(Op::Append { path, value, keep_last })
    }

    /// Adds `by` to the integer at `path`, which counts as 0 if it is missing; returns the sum.
    ///
    /// # Errors
    ///
    /// As [`Tx::set`]; `WrongType` if no integer is there; `Input` if the sum does not fit.
    pub fn increment(&mut self, path: impl IntoPath, by: i64) -> Result<i64> {
        let path = of_users(path)?;
        let sum = match self.draft.version.layered(&path)? {
            None => by,
            Some(value) => {
                let number = value.as_i64().ok_or_else(|| {
                    let what = format!("at {path} stands {}, not an integer", value.kind());
                    Error::new(ErrorKind::WrongType, what)
                })?;
                number.checked_add(by).ok_or_else(|| {
                    Error::new(
                        ErrorKind::Input,
                        format!("{number} and {by} at {path} are more than 64 bits hold"),
                    )
                })?
            }
        };
        self.set_value(path, Value::from(sum))?;
        Ok(sum)
    }

    /// Applies a merge patch (RFC 7396) to the value at `path`: members of objects are merged, `null` takes a member out,
    /// all else replaces. Writes only what differs; tells whether anything does.
    ///
    /// # Errors
    ///
    /// As [`Tx::set`].
    pub fn merge<T: Serialize + ?Sized>(&mut self, path: impl IntoPath, patch: &T) -> Result<bool> {
        let (path, patch) = (of_users(path)?, Value::of(patch)?);
        let old = or_empty(&path, self.draft.version.value(&path)?);
        let new = old.as_ref().unwrap_or(&Value::Null).merged(&patch);
        self.change_to(&path, old, new)
    }

    /// Reads the value at `path` as a `T`, lets `change` change it, and writes only what differs before and after, so that
    /// members that `T` does not know stay. A missing value starts as the default. Tells whether anything differs.
    ///
    /// # Errors
    ///
    /// As [`Tx::get`] and [`Tx::set`].
    pub fn update<T: Serialize + DeserializeOwned + Default>(
        &mut self,
        path: impl IntoPath,
        change: impl FnOnce(&mut T),
    ) -> Result<bool> {
        let path = of_users(path)?;
        let stored = self.draft.version.layered(&path)?;
        let mut state: T = stored.as_ref().map(Value::read).transpose()?.unwrap_or_default();
        let before = Value::of(&state)?;
        change(&mut state);
        let after = Value::of(&state)?;
        let Some(stored) = or_empty(&path, stored) else {
            return self.draft.apply(Op::Set { path, value: after });
        };
        let new = stored.rebased(&before, &after);
        self.change_to(&path, Some(stored), new)
    }

    /// Writes the difference between `old`, which is there, and `new`.
    pub(crate) fn change_to(&mut self, path: &Path, old: Option<Value>, new: Value) -> Result<bool> {
        let Some(old) = old else {
            return self.draft.apply(Op::Set { path: path.clone(), value: new });
        };
        let mut changed = false;
        for change in old.changes_to(&new) {
            let path = change.path.iter().fold(path.clone(), |path, segment| path.join(segment.as_str()));
            changed |= match change.new {
                Some(value) => self.set_value(path, value)?,
                None => self.remove(path)?,
            };
        }
        Ok(changed)
    }
}

/// A collection is there, if nothing is in it.
fn or_empty(path: &Path, stored: Option<Value>) -> Option<Value> {
    stored.or_else(|| path.key().is_none().then(|| Value::Object(Object::new())))
}

/// A path that may be written by others than the store itself.
fn of_users(path: impl IntoPath) -> Result<Path> {
    let path = path.into_path()?;
    if !key::is_users(path.collection()) {
        let what = format!(
            "collection {:?} is the store's own: names with a dollar in front are",
            path.collection()
        );
        return Err(Error::new(ErrorKind::Input, what).advise("use another name"));
    }
    Ok(path)
}
