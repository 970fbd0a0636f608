//! Returning to an earlier state: a [`RollbackPreview`] first, then an ordinary transaction of the difference.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::journal::Receipt;
use crate::position::Position;
use crate::state::When;
use crate::state::commit::Manner;
#[cfg(feature = "cli")]
use crate::store::Preflight;
use crate::store::Store;
use crate::store::diff::{Difference, PathChange, Scope, each_difference};
use crate::store::op::Op;
use crate::store::order::Order;
use crate::store::path::{IntoPath, Path};
use crate::store::timeline::ROLLBACK;
use crate::store::transaction::Tx;
use crate::store::value::{Array, Object, Value, array_index};
use crate::store::version::Version;

/// A rollback that is not done yet: what would change, and what would stay. Dropping it does nothing.
#[must_use = "a preview changes nothing until it is committed"]
pub struct RollbackPreview {
    order: Arc<Order>,
    manner: Manner,
    from: Arc<Version>,
    target: Arc<Version>,
    scope: Scope,
    plan: Plan,
}

/// What a rollback does, and what it would do were it not to be left alone.
#[derive(Debug, Default)]
struct Plan {
    changes: Vec<PathChange>,
    kept: Vec<PathChange>,
}

impl fmt::Debug for RollbackPreview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RollbackPreview").field("target", &self.target()).finish_non_exhaustive()
    }
}

impl RollbackPreview {
    /// Only what lies below one of `prefixes`; all else stays as it is. An element of a list is what has its number: those
    /// around it stay, and move up where it goes. One that would come behind the end of its list is refused by
    /// [`commit`](RollbackPreview::commit), with `Input`.
    ///
    /// # Errors
    ///
    /// `Input` if one of them leads nowhere, or there is none; `Damaged` if what differs cannot be read.
    pub fn only(mut self, prefixes: impl IntoIterator<Item = impl IntoPath>) -> Result<RollbackPreview> {
        self.scope = Scope::of(prefixes)?;
        if self.scope.is_empty() {
            let error = Error::new(ErrorKind::Input, "a rollback of no paths");
            return Err(error.advise("name a path, or leave `only` out to roll everything back"));
        }
        self.plan = plan(&self.from, &self.target, &self.scope, &self.order.kept)?;
        Ok(self)
    }

    /// The position whose state would be the state again.
    pub fn target(&self) -> Position {
        self.target.position
    }

    /// The position that the preview was made at.
    pub fn from(&self) -> Position {
        self.from.position
    }

    /// What would change: what is there, and what was and would be there again.
    pub fn changes(&self) -> &[PathChange] {
        &self.plan.changes
    }

    /// What was different, too, and stays as it is, since it is not rolled back
    /// ([`StoreOptions::not_rolled_back`](crate::store::StoreOptions::not_rolled_back)).
    pub fn kept(&self) -> &[PathChange] {
        &self.plan.kept
    }

    /// Does it: an ordinary transaction that sets and removes what differs and says what it is. It can be rolled back like
    /// any other. Returns when it is as durable as the store's commits are; if nothing differs nothing is written.
    ///
    /// # Errors
    ///
    /// `Conflict` if one of the paths has changed since the preview was made, or the list that it leads into: nothing is
    /// written; `TooLarge` if the difference is more than a transaction may have; and as [`Store::set`].
    pub fn commit(self) -> Result<Receipt> {
        let committed = self.order.commit(&self.manner, |tx: &mut Tx<'_>| self.carry_out(tx));
        Ok(committed?.1)
    }

    /// What committing it would come to.
    ///
    /// # Errors
    ///
    /// As [`RollbackPreview::commit`].
    #[cfg(feature = "cli")]
    pub(crate) fn foresee(&self) -> Result<Preflight> {
        let store = Store { order: Arc::clone(&self.order), manner: self.manner.clone() };
        store.try_out(|tx| self.carry_out(tx))?.1.clear()
    }

    fn carry_out(&self, tx: &mut Tx<'_>) -> Result<()> {
        let RollbackPreview { from, target, scope, plan, .. } = self;
        check_unmoved(from, tx.version(), &plan.changes)?;
        tx.draft.restore_from(Arc::clone(target));
        perform(tx, plan.changes.clone())?;
        if tx.effects().is_empty() {
            return Ok(());
        }
        tx.apply(Op::Note { what: ROLLBACK.to_owned(), value: said(target.position, scope) }).map(drop)
    }
}

/// What the note of a rollback says.
fn said(target: Position, scope: &Scope) -> Value {
    let mut value = Object::new();
    value.insert("to", Value::from(target.to_string().as_str()));
    if !scope.is_empty() {
        let only = scope.paths().iter().map(|path| Value::from(path.to_pointer().as_str()));
        value.insert("only", Value::Array(only.collect::<Array>()));
    }
    Value::Object(value)
}

/// Refuses if what stands at one of the places is not what stood there in `seen`.
fn check_unmoved(seen: &Version, now: &Version, changes: &[PathChange]) -> Result<()> {
    for change in changes {
        if change.revision_in(seen)? == change.revision_in(now)? {
            continue;
        }
        if !change.is_unmoved(change.found_in(seen)?.as_ref(), change.found_in(now)?.as_ref()) {
            let what = format!("{} has changed since the preview was made", change.path);
            return Err(Error::new(ErrorKind::Conflict, what).advise("make a new preview and look again"));
        }
    }
    Ok(())
}

/// Puts at each place what is to be there.
pub(super) fn perform(tx: &mut Tx<'_>, changes: Vec<PathChange>) -> Result<()> {
    for PathChange { path, new, entry, .. } in arranged(changes) {
        tx.draft.restore(match (entry, new) {
            (Some((time, lsn)), value) => Op::Entry { path, time, lsn, value },
            (None, Some(value)) => Op::Set { path, value },
            (None, None) => Op::Remove { path },
        })?;
    }
    Ok(())
}

/// The order in which changes lead through states that may be. Where a series was is a document, or the other way round:
/// what is in the way goes first. What makes a document smaller comes before what makes it larger, so that it is never
/// larger than before or after. Elements of lists are taken out from the end and added towards it, so that each has the
/// number by which it is called.
fn arranged(changes: Vec<PathChange>) -> Vec<PathChange> {
    let bytes = |value: &Option<Value>| value.as_ref().map_or(0, Value::bytes);
    let step = |change: &PathChange| match (change.entry, &change.new) {
        (Some(_), None) => 0,
        (None, new) if bytes(new) <= bytes(&change.old) => 1,
        (None, _) => 2,
        (Some(_), Some(_)) => 3,
    };
    let mut changes: Vec<(u8, PathChange)> =
        changes.into_iter().map(|change| (step(&change), change)).collect();
    changes.sort_by(|(step, one), (other_step, other)| {
        let places = in_order(&one.path, &other.path);
        step.cmp(other_step).then(if *step < 2 { places.reverse() } else { places })
    });
    changes.into_iter().map(|(_, change)| change).collect()
}

/// The order of places in which elements of lists stand by their numbers.
fn in_order(one: &Path, other: &Path) -> Ordering {
    fn rank(segment: &String) -> (usize, &str) {
        array_index(segment).map_or((usize::MAX, segment), |index| (index, ""))
    }
    one.segments().iter().map(rank).cmp(other.segments().iter().map(rank))
}

fn plan(from: &Version, target: &Version, scope: &Scope, kept: &Scope) -> Result<Plan> {
    let mut plan = Plan::default();
    each_difference(from, target, scope, &mut |difference| {
        plan.take(difference, scope, kept);
        Ok(())
    })?;
    Ok(plan)
}

/// What a document has at a path.
fn at(document: &Option<Value>, path: &Path) -> Option<Value> {
    document.as_ref()?.at(path.inner()).cloned()
}

impl Plan {
    fn take(&mut self, mut difference: Difference, scope: &Scope, kept: &Scope) {
        if kept.covers(difference.path()) {
            self.kept.append(&mut difference.changes(scope));
            return;
        }
        let document = difference.path().clone();
        let mut inner: Vec<&Path> = kept.below(&document).collect();
        if !inner.is_empty() && !difference.is_entry() {
            let mut aim = difference.new.clone();
            // As changes are arranged: elements of lists keep their numbers.
            inner.sort_by(|one, other| in_order(one, other));
            let (here, gone): (Vec<_>, Vec<_>) =
                inner.into_iter().partition(|path| at(&difference.old, path).is_some());
            for path in here.into_iter().chain(gone.into_iter().rev()) {
                self.keep(path, &difference, scope, &mut aim);
            }
            difference.new = aim;
        }
        self.changes.append(&mut difference.changes(scope));
    }

    /// Puts into `aim` what stands at `path` and is to stay.
    fn keep(&mut self, path: &Path, difference: &Difference, scope: &Scope, aim: &mut Option<Value>) {
        let (old, new) = (at(&difference.old, path), at(&difference.new, path));
        if old == new {
            return;
        }
        let parent_is_gone = match &old {
            Some(old) => {
                let whole = aim.get_or_insert_with(|| Value::Object(Object::new()));
                whole.set_at(path.inner(), old.clone()).is_err()
            }
            None => {
                aim.iter_mut().for_each(|aim| drop(aim.remove_at(path.inner())));
                false
            }
        };
        if parent_is_gone {
            // Where it stood was something else that cannot hold it: the whole document stays.
            aim.clone_from(&difference.old);
        }
        if scope.is_empty() || scope.meets(path) {
            self.kept.push(PathChange { path: path.clone(), old, new, entry: None });
        }
    }
}

impl Store {
    /// Prepares a return to the state at a moment of the past. Data of an older version are brought to today's first, by the
    /// [`Migrations`](crate::store::Migrations) that the store was opened with. What would change is there to be looked at, and nothing
    /// changes before [`RollbackPreview::commit`]. Takes time as [`Store::diff`].
    ///
    /// # Errors
    ///
    /// As [`Store::at`]; what a migration fails with on that state.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> everlog::Result<()> {
    /// # let directory = tempfile::tempdir().expect("a directory");
    /// # let store = everlog::Store::open(directory.path().join("store"))?;
    /// let before = store.set("settings.theme", "dark")?.position;
    /// store.set("settings.theme", "light")?;
    /// store.set("notes.a", "Milk")?;
    /// let preview = store.rollback_to(before)?.only(["settings"])?;
    /// assert_eq!(preview.changes().len(), 1);
    /// preview.commit()?;
    /// assert_eq!(store.get::<String>("settings.theme")?.as_deref(), Some("dark"));
    /// assert!(store.contains("notes.a")?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn rollback_to(&self, when: impl Into<When>) -> Result<RollbackPreview> {
        self.order.outside()?;
        let (order, manner) = (Arc::clone(&self.order), self.manner.clone());
        let target = order.forward(self.version_at(&when.into())?)?;
        let from = order.view();
        let scope = Scope::default();
        let plan = plan(&from, &target, &scope, &order.kept)?;
        Ok(RollbackPreview { order, manner, from, target, scope, plan })
    }
}

#[cfg(test)]
#[cfg(feature = "sim")]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::Timestamp;
    use crate::medium::Sim;
    use crate::path;
    use crate::store::key;

    fn entries(store: &Store) -> Vec<(key::Key, Value)> {
        let version = store.view();
        let entries = version.version().range(&key::series("logs", "a"));
        entries.map(|pair| pair.expect("reads")).map(|(key, entry)| (key, entry.value.clone())).collect()
    }

    fn push(tx: &mut Tx<'_>, micros: u64) -> Result<bool> {
        let (path, time) = (path!("logs", "a"), Timestamp::from_micros(micros));
        tx.apply(Op::Push { path, time, value: Value::from(micros) })
    }

    #[test]
    fn entries_of_series_are_rolled_back_and_undone_and_stand_where_they_stood() {
        let store = Store::options().open_on(Arc::new(Sim::new(1))).expect("opens");
        let scope = store.undo_scope("a", ["logs"]).expect("a scope");
        for micros in [5, 3, 5, 9] {
            scope.transaction("push", |tx| push(tx, micros)).expect("pushes");
        }
        let (before, all) = (store.position(), entries(&store));
        let cut =
            Op::Cut { path: path!("logs", "a"), time: Timestamp::from_micros(9), lsn: crate::Lsn::ZERO };
        store.transaction(|tx| Ok((tx.apply(cut)?, push(tx, 1)?))).expect("cuts");
        let after = (store.position(), entries(&store));
        assert_eq!((all.len(), after.1.len()), (4, 2));
        let preview = store.rollback_to(before).expect("prepares");
        assert_eq!(preview.changes().len(), 4);
        preview.commit().expect("rolls back");
        assert_eq!(entries(&store), all);
        let told: Vec<_> = store.history(path!("logs", "a")).expect("reads").map(Result::unwrap).collect();
        assert_eq!(told.len(), 4 + 4 + 4, "each entry that came or went");
        store.rollback_to(after.0).expect("prepares").commit().expect("rolls back");
        assert_eq!(entries(&store), after.1);
        store.rollback_to(before).expect("prepares").commit().expect("rolls back");
        for left in (0..4).rev() {
            scope.undo().expect("undoes");
            assert_eq!(entries(&store).len(), left);
        }
        for _ in 0..4 {
            scope.redo().expect("does again");
        }
        assert_eq!(entries(&store), all);
    }
}
