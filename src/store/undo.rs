//! Undo and redo of what one part of a program did, never of what others did: [`UndoScope`].
//!
//! Each group leaves a note in the log that says which scope it belongs to, and so does each undo and redo. The stacks are
//! made of these notes again when the store is opened; what a group changed is read from the log when it is needed.
//!
//! # Format
//!
//! The note of a group is `["note", "undo", {"scope": name, "label": text}]`, its last record but for what the bounds of
//! collections remove. An undo also has `"undo": lsn`, a redo `"redo": lsn`: the number of the note of the group that it
//! takes back or does again; and `"skip": lsn` lets that group go from its stack.
//!
//! In the collection `$everlog` the document `undo:NAME` is the number of a record from which on the log has all groups that
//! the scope can still undo. It moves on when there are about twice as many as it can.

mod stacks;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Result};
use crate::journal::{Durability, Receipt};
use crate::position::Lsn;
use crate::state::commit::Manner;
use crate::store::collection::Declared;
use crate::store::condition::own_path;
use crate::store::diff::{Difference, PathChange, Scope};
use crate::store::key::{self, Key};
use crate::store::op::Op;
use crate::store::order::Order;
use crate::store::path::{IntoPath, Path};
use crate::store::rollback::perform;
use crate::store::timeline::{LABEL, UNDO, object};
use crate::store::transaction::Tx;
use crate::store::value::Value;
use crate::store::version::Version;
use crate::store::{Store, replay};
use stacks::{DEPTH_MAX, Group, SKIP, Stacks, Way, stacks_in_log};

/// How many groups can be undone unless another number is given.
const DEPTH: usize = 100;
const NAME_BYTES_MAX: usize = 128;
/// How the key begins under which the start of what counts is noted.
const SINCE: &str = "undo:";

/// All scopes of a store that were asked for, by name.
#[derive(Default)]
pub(super) struct Scopes(Mutex<HashMap<String, Arc<Shared>>>);

/// What all handles of one scope share.
#[derive(Default)]
struct Shared {
    /// Held while a group is committed, undone or done again.
    turn: Mutex<()>,
    /// Held for a look only. `None` until the log was read.
    stacks: Mutex<Option<Stacks>>,
}

/// What a group came to: what was done in it, and what bounds removed for it and can come back.
struct Came {
    own: Arc<[Difference]>,
    bounds: Vec<Difference>,
}

/// What has to change to turn a group, and what is to change, too, where nobody has touched it since.
struct Turn {
    own: Vec<Difference>,
    bounds: Vec<Difference>,
}

/// Undo and redo for one part of a program, such as an editor, over the paths it works on. It undoes only what was committed
/// through it, newest first, and never overwrites what others changed since. All handles of one name share one stack, which
/// survives reopening as long as the history of its groups is kept.
#[derive(Clone)]
pub struct UndoScope {
    order: Arc<Order>,
    manner: Manner,
    name: String,
    prefixes: Scope,
    depth: usize,
    shared: Arc<Shared>,
}

impl fmt::Debug for UndoScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UndoScope").field("name", &self.name).finish_non_exhaustive()
    }
}

impl UndoScope {
    /// How many groups can be undone at most; 100 if not given, 10,000 at most. Those that are too many go at the next commit.
    #[must_use]
    pub fn depth(self, groups: usize) -> UndoScope {
        UndoScope { depth: groups.clamp(1, DEPTH_MAX), ..self }
    }

    /// Commits a group: what `body` does is undone together, under `label`. What was undone before can then not be done
    /// again. Always durable on return, unless all it changes is declared [`relaxed`](crate::store::Collection::relaxed). A
    /// body that changes nothing is no group.
    ///
    /// # Errors
    ///
    /// `Input` if `body` changes something outside the prefixes of the scope: nothing is written; what `body` fails with;
    /// and as [`Store::set`].
    pub fn transaction<T>(
        &self,
        label: &str,
        body: impl FnOnce(&mut Tx<'_>) -> Result<T>,
    ) -> Result<(T, Receipt)> {
        self.order.outside()?;
        let _turn = self.shared.turn.lock();
        let mut done = None;
        let (answer, receipt) = self.order.commit(&self.manner, |tx: &mut Tx<'_>| -> Result<T> {
            let before = tx.version().clone();
            let answer = body(tx)?;
            self.check_inside(tx)?;
            let differences = differences(tx.numbered_ops(), &before, tx.version())?;
            let first = tx.numbered_ops().next().map(|(lsn, _)| lsn);
            if let Some(first) = first.filter(|_| !differences.is_empty()) {
                let since = self.note_since(tx, first)?;
                let last = tx.draft.next_position().lsn;
                tx.apply(self.note(label, None))?;
                done = Some((first, last, since, differences));
            }
            Ok(answer)
        })?;
        if let Some((first, last, since, differences)) = done {
            // Bounds may have removed something afterwards; the log has it all.
            let (end, known) = (receipt.position.lsn, last == receipt.position.lsn);
            let group = Group {
                first,
                last,
                end,
                label: label.to_owned(),
                differences: known.then(|| differences.into()),
            };
            self.with_stacks(|stacks| stacks.push(group, self.depth, since));
        }
        Ok((answer, receipt))
    }

    /// Notes from where on the log has all groups that count, if that has moved far.
    fn note_since(&self, tx: &mut Tx<'_>, first: Lsn) -> Result<bool> {
        let path = own_path(SINCE, &self.name)?;
        let is_noted = tx.version().value(&path)?.is_some();
        let since = self.with_stacks(|stacks| stacks.since(first, self.depth, is_noted));
        since.map_or(Ok(false), |since| tx.apply(Op::Set { path, value: Value::from(since.get()) }))
    }

    /// Takes the newest group back: an ordinary commit that puts at each place what stood there before it.
    ///
    /// What the group displaced comes back, too: documents and entries of series below the prefixes that went in the same
    /// commit because a collection or a series keeps only so many. Where something stands there again that stays. What
    /// goes for its age is gone for good: nothing comes back where the collection declares an age. All of it is in the
    /// history.
    ///
    /// # Errors
    ///
    /// `Absent` if there is nothing to undo; `Conflict` if others have changed a place of the group since, or anything in a
    /// list that it leads into: nothing is overwritten and the group stays on the stack, until it can be undone again or
    /// [`UndoScope::skip_undo`] lets it go; `Input` if the group has places outside the prefixes of this handle; and as
    /// [`Store::set`].
    pub fn undo(&self) -> Result<Receipt> {
        self.turn(Way::Undo)
    }

    /// Does again what was undone last.
    ///
    /// # Errors
    ///
    /// As [`UndoScope::undo`].
    pub fn redo(&self) -> Result<Receipt> {
        self.turn(Way::Redo)
    }

    /// Lets the newest group go without undoing it: what it changed stays, and the group before it is the next to be undone.
    /// For a group that is in conflict with what others did. Written down, so that it holds after reopening.
    ///
    /// # Errors
    ///
    /// `Absent` if there is nothing to undo; and as [`Store::set`].
    pub fn skip_undo(&self) -> Result<Receipt> {
        self.skip(Way::Undo)
    }

    /// The same for the group that would be done again.
    ///
    /// # Errors
    ///
    /// As [`UndoScope::skip_undo`].
    pub fn skip_redo(&self) -> Result<Receipt> {
        self.skip(Way::Redo)
    }

    fn skip(&self, way: Way) -> Result<Receipt> {
        self.order.outside()?;
        let _turn = self.shared.turn.lock();
        let group = self.newest(way)?;
        let note = self.note(&group.label, Some((SKIP, group.last)));
        let ((), receipt) =
            self.order.commit(&self.manner, |tx: &mut Tx<'_>| -> Result<()> { tx.apply(note).map(drop) })?;
        self.with_stacks(|stacks| stacks.skipped(group.last));
        Ok(receipt)
    }

    /// Whether there is a group to undo. That others changed its places since shows only when it is tried.
    pub fn can_undo(&self) -> bool {
        self.undo_label().is_some()
    }

    /// Whether there is a group to do again.
    pub fn can_redo(&self) -> bool {
        self.redo_label().is_some()
    }

    /// The label of the group that would be undone.
    pub fn undo_label(&self) -> Option<String> {
        self.with_stacks(|stacks| stacks.undo.back().map(|group| group.label.clone()))
    }

    /// The label of the group that would be done again.
    pub fn redo_label(&self) -> Option<String> {
        self.with_stacks(|stacks| stacks.redo.back().map(|group| group.label.clone()))
    }

    /// The labels of all groups that can be undone, the next one first.
    pub fn undo_labels(&self) -> Vec<String> {
        self.with_stacks(|stacks| stacks.undo.iter().rev().map(|group| group.label.clone()).collect())
    }

    /// The labels of all groups that can be done again, the next one first.
    pub fn redo_labels(&self) -> Vec<String> {
        self.with_stacks(|stacks| stacks.redo.iter().rev().map(|group| group.label.clone()).collect())
    }

    /// What undoing the newest group would change, and what the group is called.
    ///
    /// # Errors
    ///
    /// As [`UndoScope::undo`].
    #[cfg(feature = "cli")]
    pub(crate) fn foresee_undo(&self) -> Result<(String, Vec<PathChange>)> {
        self.foresee(Way::Undo)
    }

    /// The same for what would be done again.
    ///
    /// # Errors
    ///
    /// As [`UndoScope::undo`].
    #[cfg(feature = "cli")]
    pub(crate) fn foresee_redo(&self) -> Result<(String, Vec<PathChange>)> {
        self.foresee(Way::Redo)
    }

    #[cfg(feature = "cli")]
    fn foresee(&self, way: Way) -> Result<(String, Vec<PathChange>)> {
        let group = self.newest(way)?;
        let turn = self.changes(&group, way)?;
        let source = self.source(&group, way)?;
        let store = Store { order: Arc::clone(&self.order), manner: self.manner.clone() };
        let (changes, preflight) = store.try_out(|tx| self.carry_out(tx, &group, way, turn, source))?;
        preflight.clear()?;
        Ok((group.label, changes))
    }

    fn newest(&self, way: Way) -> Result<Group> {
        self.with_stacks(|stacks| stacks.stack(way).back().cloned()).ok_or_else(|| {
            let what = format!("there is nothing to {} in the undo scope {:?}", way.word(), self.name);
            Error::new(ErrorKind::Absent, what).advise("only commits through the scope count: check its name")
        })
    }

    fn with_stacks<T>(&self, look: impl FnOnce(&mut Stacks) -> T) -> T {
        let mut stacks = self.shared.stacks.lock();
        let stacks = stacks.get_or_insert_default();
        stacks.prune(self.order.journal.horizon().lsn);
        look(stacks)
    }

    fn turn(&self, way: Way) -> Result<Receipt> {
        self.order.outside()?;
        let _turn = self.shared.turn.lock();
        let group = self.newest(way)?;
        let turn = self.changes(&group, way)?;
        let source = self.source(&group, way)?;
        let body = |tx: &mut Tx<'_>| self.carry_out(tx, &group, way, turn, source);
        let receipt = self.order.commit(&self.manner, body)?.1;
        self.with_stacks(|stacks| stacks.turned(way, group.last));
        Ok(receipt)
    }

    /// Turns a group; tells what that changes.
    fn carry_out(
        &self,
        tx: &mut Tx<'_>,
        group: &Group,
        way: Way,
        turn: Turn,
        source: Option<Arc<Version>>,
    ) -> Result<Vec<PathChange>> {
        let changes = self.ready(turn, tx.version(), group, way)?;
        source.into_iter().for_each(|source| tx.draft.restore_from(source));
        perform(tx, changes.clone())?;
        tx.apply(self.note(&group.label, Some((way.word(), group.last))))?;
        Ok(changes)
    }

    /// The state that values come back from, if there are bytes out of line that may come back with them.
    fn source(&self, group: &Group, way: Way) -> Result<Option<Arc<Version>>> {
        if self.order.view().tally(key::CHUNKS).changed == Lsn::ZERO {
            return Ok(None);
        }
        let lsn = match way {
            Way::Undo => group.first.before(),
            Way::Redo => group.end,
        };
        self.order.fold_to(lsn).map(Arc::new).map(Some)
    }

    /// What has to change to undo a group or do it again.
    fn changes(&self, group: &Group, way: Way) -> Result<Turn> {
        let came = match &group.differences {
            Some(own) => Came { own: Arc::clone(own), bounds: Vec::new() },
            None => self.came_in_log(group)?,
        };
        let turned = |difference: &Difference| match way {
            Way::Undo => difference.reversed(),
            Way::Redo => difference.clone(),
        };
        came.own.iter().try_for_each(|difference| self.check_met(difference))?;
        Ok(Turn {
            own: came.own.iter().map(turned).collect(),
            bounds: came.bounds.iter().map(turned).collect(),
        })
    }

    /// What is to be done on `now`: all of the group, or an error, and of what bounds did what nobody has touched.
    fn ready(&self, turn: Turn, now: &Version, group: &Group, way: Way) -> Result<Vec<PathChange>> {
        let mut ready = Vec::new();
        for (difference, is_own) in
            turn.own.iter().map(|own| (own, true)).chain(turn.bounds.iter().map(|bound| (bound, false)))
        {
            let found = difference.found_in(now)?;
            for change in difference.changes_of_lists(&self.prefixes) {
                match change.is_unmoved(difference.old.as_ref(), found.as_ref()) {
                    true => ready.push(change),
                    false if is_own => return Err(conflict(&change, group, way)),
                    false => {}
                }
            }
        }
        Ok(ready)
    }

    /// Refuses what was changed outside the prefixes of this handle.
    fn check_met(&self, difference: &Difference) -> Result<()> {
        let changes = difference.changes(&Scope::default()).into_iter();
        let mut places = changes.map(|change| difference.list_or(&change.path));
        let is_met = |place: &Path| match difference.is_entry() {
            true => self.prefixes.covers(place),
            false => self.prefixes.meets(place),
        };
        let stray = places.find(|place| !is_met(place));
        stray.map_or(Ok(()), |place| Err(self.outside(&place)))
    }

    /// Whether what a bound removed comes back when that which displaced it goes.
    fn is_displaced(&self, op: &Op, declared: &Declared) -> bool {
        let (path, ages) = match op {
            Op::Remove { path } => (path, declared.of(path.collection()).and_then(|one| one.max_age)),
            Op::Cut { path, .. } => (path, declared.of(path.collection()).and_then(|one| one.series.max_age)),
            _ => return false,
        };
        ages.is_none() && self.prefixes.covers(path)
    }

    /// What a group came to, from the log.
    fn came_in_log(&self, group: &Group) -> Result<Came> {
        let (journal, declared) = (&self.order.journal, Arc::clone(&self.order.view().declared));
        let before = replay::fold_to(journal, group.first.before())?;
        let mut after = before.clone();
        replay::catch_up(journal, &mut after, group.end)?;
        let (mut own, mut bounds) = (BTreeSet::new(), BTreeSet::new());
        replay::each_event(journal, group.first.before(), group.end, &mut |position, view| {
            let lsn = position.lsn;
            let op = replay::decode(lsn, view)?;
            match lsn <= group.last {
                true => touched(lsn, &op, &before, &mut own),
                false if self.is_displaced(&op, &declared) => touched(lsn, &op, &before, &mut bounds),
                false => Ok(()),
            }
        })?;
        let under = |key: &Key| Difference::under(key, &before, &after).transpose();
        let bounds = bounds.difference(&own).filter_map(under).collect::<Result<_>>()?;
        Ok(Came { own: own.iter().filter_map(under).collect::<Result<_>>()?, bounds })
    }

    fn check_inside(&self, tx: &Tx<'_>) -> Result<()> {
        let mut users = tx.effects().iter().map(|(_, effect)| &effect.path);
        // What the store notes for itself is not undone and need not lie inside.
        let outside = users.find(|path| key::is_users(path.collection()) && !self.prefixes.covers(path));
        outside.map_or(Ok(()), |path| Err(self.outside(path)))
    }

    fn outside(&self, path: &Path) -> Error {
        let what = format!("{path} lies outside of the paths of the undo scope {:?}", self.name);
        Error::new(ErrorKind::Input, what)
            .advise("change it in a transaction of the store, or widen the scope")
    }

    fn note(&self, label: &str, about: Option<(&str, Lsn)>) -> Op {
        let (scope, label) = (("scope", Value::from(self.name.as_str())), (LABEL, Value::from(label)));
        let value = match about {
            None => object([scope, label]),
            Some((what, lsn)) => object([scope, label, (what, Value::from(lsn.get()))]),
        };
        Op::Note { what: UNDO.to_owned(), value }
    }
}

fn conflict(change: &PathChange, group: &Group, way: Way) -> Error {
    let what = format!("cannot {} {:?}: others have changed {} since", way.word(), group.label, change.path);
    Error::new(ErrorKind::Conflict, what).advise("nothing was overwritten; look at what is there now")
}

/// What a group of changes came to, document by document.
fn differences<'a>(
    ops: impl Iterator<Item = (Lsn, &'a Op)>,
    before: &Version,
    after: &Version,
) -> Result<Vec<Difference>> {
    let mut keys = BTreeSet::new();
    for (lsn, op) in ops {
        touched(lsn, op, before, &mut keys)?;
    }
    let differences = keys.iter().map(|key| Difference::under(key, before, after));
    differences.filter_map(Result::transpose).collect()
}

/// The keys that a change may touch.
fn touched(lsn: Lsn, op: &Op, before: &Version, keys: &mut BTreeSet<Key>) -> Result<()> {
    let all = |prefix: &[u8], keys: &mut BTreeSet<Key>| -> Result<()> {
        for pair in before.range(prefix) {
            keys.insert(pair?.0);
        }
        Ok(())
    };
    match op {
        Op::Note { .. } => {}
        Op::Remove { path } if path.key().is_none() => {
            all(&key::documents(path.collection()), keys)?;
            all(&key::all_series(path.collection()), keys)?;
        }
        Op::Cut { path, .. } => {
            all(&key::series(path.collection(), path.key().unwrap_or_default()), keys)?;
        }
        Op::Set { path, .. } | Op::Remove { path } | Op::Append { path, .. } => {
            keys.insert(key::document(path.collection(), path.key().unwrap_or_default()));
        }
        Op::Push { path, time, .. } => {
            keys.insert(key::entry(path.collection(), path.key().unwrap_or_default(), *time, lsn));
        }
        Op::Entry { path, time, lsn, .. } => {
            keys.insert(key::entry(path.collection(), path.key().unwrap_or_default(), *time, *lsn));
        }
    }
    Ok(())
}

impl Store {
    /// Undo and redo for what is committed through the scope called `name`, over what lies below `prefixes`. The first
    /// time in a session it reads the log since the oldest group that can still be undone, or about as many groups before
    /// that again; of a scope that was never used, nothing.
    ///
    /// # Errors
    ///
    /// `Input` if the name has not 1 to 128 bytes, a path leads nowhere, or there is none; `Damaged` if the log does not
    /// check.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> everlog::Result<()> {
    /// # let directory = tempfile::tempdir().expect("a directory");
    /// # let store = everlog::Store::open(directory.path().join("store"))?;
    /// let editor = store.undo_scope("editor", ["notes"])?;
    /// editor.transaction("write a title", |tx| tx.set("notes.a.title", "Milk"))?;
    /// assert_eq!(editor.undo_label().as_deref(), Some("write a title"));
    /// editor.undo()?;
    /// assert!(!store.contains("notes.a.title")?);
    /// editor.redo()?;
    /// assert!(store.contains("notes.a.title")?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn undo_scope(
        &self,
        name: &str,
        prefixes: impl IntoIterator<Item = impl IntoPath>,
    ) -> Result<UndoScope> {
        self.order.outside()?;
        let prefixes = Scope::of(prefixes)?;
        if name.is_empty() || name.len() > NAME_BYTES_MAX || prefixes.is_empty() {
            let what = format!("an undo scope needs a name of 1 to {NAME_BYTES_MAX} bytes and a path");
            return Err(Error::new(ErrorKind::Input, what));
        }
        let shared = Arc::clone(self.order.undo.0.lock().entry(name.to_owned()).or_default());
        {
            let _turn = shared.turn.lock();
            let mut stacks = shared.stacks.lock();
            if stacks.is_none() {
                // Whatever it did before this session is in this version.
                let since = self.order.view().value(&own_path(SINCE, name)?)?;
                let since = since.as_ref().and_then(Value::as_u64).map(Lsn::new);
                let read = |since| stacks_in_log(&self.order.journal, name, since);
                *stacks = Some(since.map_or_else(|| Ok(Stacks::default()), read)?);
            }
        }
        let manner = Manner { durability: Durability::Synced, ..self.manner.clone() };
        let order = Arc::clone(&self.order);
        Ok(UndoScope { order, manner, name: name.to_owned(), prefixes, depth: DEPTH, shared })
    }
}
