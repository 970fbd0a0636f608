//! Undo and redo of what one part of a program did, never of what others did: [`UndoScope`].
//!
//! Each group leaves a note in the log that says which scope it belongs to, and so does each undo and redo. The stacks are
//! made of these notes again when the store is opened; what a group changed is read from the log when it is needed.
//!
//! # Format
//!
//! The note of a group is `["note", "undo", {"scope": name, "label": text}]`, its last record. An undo also has
//! `"undo": lsn`, a redo `"redo": lsn`: the number of the note of the group that it takes back or does again.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Result};
use crate::journal::{Durability, Journal, Receipt, RecordKind};
use crate::position::Lsn;
use crate::segment::record::Records;
use crate::state::commit::Manner;
use crate::store::diff::{Difference, PathChange, Scope};
use crate::store::key::{self, Key};
use crate::store::op::Op;
use crate::store::order::Order;
use crate::store::path::IntoPath;
use crate::store::rollback::perform;
use crate::store::timeline::{LABEL, UNDO, object};
use crate::store::transaction::Tx;
use crate::store::value::Value;
use crate::store::version::Version;
use crate::store::{Store, replay};

/// How many groups can be undone unless another number is given, and the highest number.
const DEPTH: usize = 100;
const DEPTH_MAX: usize = 10_000;
const NAME_BYTES_MAX: usize = 128;
/// How the record of a note of ours begins.
const NOTE_START: &[u8] = br#"["note","undo","#;

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

#[derive(Clone, Debug, Default)]
struct Stacks {
    /// The newest at the back.
    undo: VecDeque<Group>,
    redo: VecDeque<Group>,
}

/// One committed group.
#[derive(Clone, Debug)]
struct Group {
    first: Lsn,
    /// The number of its note.
    last: Lsn,
    label: String,
    /// What it changed, if that was not forgotten since.
    differences: Option<Arc<[Difference]>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Undo,
    Redo,
}

impl Way {
    fn word(self) -> &'static str {
        match self {
            Way::Undo => "undo",
            Way::Redo => "redo",
        }
    }
}

impl Stacks {
    fn stack(&mut self, way: Way) -> &mut VecDeque<Group> {
        match way {
            Way::Undo => &mut self.undo,
            Way::Redo => &mut self.redo,
        }
    }

    fn push(&mut self, group: Group, depth: usize) {
        self.redo.clear();
        self.undo.push_back(group);
        self.undo.drain(..self.undo.len().saturating_sub(depth));
    }

    /// A group was undone or done again: it goes to the other stack.
    fn turned(&mut self, way: Way, last: Lsn) {
        let stack = self.stack(way);
        if stack.back().is_some_and(|group| group.last == last)
            && let Some(group) = stack.pop_back()
        {
            self.stack(if way == Way::Undo { Way::Redo } else { Way::Undo }).push_back(group);
        }
    }

    /// Lets groups go that neither memory nor the log has any more.
    fn prune(&mut self, horizon: Lsn) {
        let is_there = |group: &Group| group.differences.is_some() || group.first > horizon;
        self.undo.retain(is_there);
        self.redo.retain(is_there);
    }
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
    /// again. Always durable on return, whatever the handle says. A body that changes nothing is no group.
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
            if !differences.is_empty() {
                let first = tx.numbered_ops().next().map(|(lsn, _)| lsn);
                tx.apply(self.note(label, None))?;
                done = Some((first, differences));
            }
            Ok(answer)
        })?;
        if let Some((first, differences)) = done {
            // If somebody came between, new entries of series have other numbers than were seen here; the log has them.
            let known = first == Some(receipt.first_lsn);
            let group = Group {
                first: receipt.first_lsn,
                last: receipt.position.lsn,
                label: label.to_owned(),
                differences: known.then(|| differences.into()),
            };
            self.with_stacks(|stacks| stacks.push(group, self.depth));
        }
        Ok((answer, receipt))
    }

    /// Takes the newest group back: an ordinary commit that puts at each place what stood there before it.
    ///
    /// # Errors
    ///
    /// `Absent` if there is nothing to undo; `Conflict` if others have changed a place of the group since: nothing is
    /// overwritten and the group stays on the stack; `Input` if the group has places outside the prefixes of this handle;
    /// and as [`Store::set`].
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
        let changes = self.changes(&group, way)?;
        let source = self.source(&group, way)?;
        let store = Store { order: Arc::clone(&self.order), manner: self.manner.clone() };
        let body = |tx: &mut Tx<'_>| self.carry_out(tx, &group, way, changes.clone(), source);
        store.try_out(body)?.1.clear()?;
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
        let changes = self.changes(&group, way)?;
        let source = self.source(&group, way)?;
        let body = |tx: &mut Tx<'_>| self.carry_out(tx, &group, way, changes, source);
        let receipt = self.order.commit(&self.manner, body)?.1;
        self.with_stacks(|stacks| stacks.turned(way, group.last));
        Ok(receipt)
    }

    fn carry_out(
        &self,
        tx: &mut Tx<'_>,
        group: &Group,
        way: Way,
        changes: Vec<PathChange>,
        source: Option<Arc<Version>>,
    ) -> Result<()> {
        for change in &changes {
            self.check_untouched(change, tx.version(), group, way)?;
        }
        source.into_iter().for_each(|source| tx.draft.restore_from(source));
        perform(tx, changes)?;
        tx.apply(self.note(&group.label, Some((way, group.last)))).map(drop)
    }

    /// The state that values come back from, if there are bytes out of line that may come back with them.
    fn source(&self, group: &Group, way: Way) -> Result<Option<Arc<Version>>> {
        if self.order.view().tally(key::CHUNKS).changed == Lsn::ZERO {
            return Ok(None);
        }
        let lsn = match way {
            Way::Undo => group.first.before(),
            Way::Redo => group.last,
        };
        self.order.fold_to(lsn).map(Arc::new).map(Some)
    }

    /// What has to change to undo a group or do it again.
    fn changes(&self, group: &Group, way: Way) -> Result<Vec<PathChange>> {
        let differences = match &group.differences {
            Some(differences) => Arc::clone(differences),
            None => differences_in_log(&self.order.journal, group)?.into(),
        };
        let mut changes = Vec::new();
        for difference in differences.iter() {
            if !self.prefixes.meets(difference.path()) {
                return Err(self.outside(difference.path()));
            }
            changes.append(&mut match way {
                Way::Undo => difference.reversed().changes(&self.prefixes),
                Way::Redo => difference.changes(&self.prefixes),
            });
        }
        Ok(changes)
    }

    fn check_untouched(&self, change: &PathChange, now: &Version, group: &Group, way: Way) -> Result<()> {
        if change.found_in(now)? == change.old {
            return Ok(());
        }
        let what =
            format!("cannot {} {:?}: others have changed {} since", way.word(), group.label, change.path);
        Err(Error::new(ErrorKind::Conflict, what)
            .advise("nothing was overwritten; look at what is there now"))
    }

    fn check_inside(&self, tx: &Tx<'_>) -> Result<()> {
        let mut users = tx.effects().iter().map(|(_, effect)| &effect.path);
        // What the store notes for itself is not undone and need not lie inside.
        let outside = users.find(|path| key::is_users(path.collection()) && !self.prefixes.covers(path));
        outside.map_or(Ok(()), |path| Err(self.outside(path)))
    }

    fn outside(&self, path: &crate::store::Path) -> Error {
        let what = format!("{path} lies outside of the paths of the undo scope {:?}", self.name);
        Error::new(ErrorKind::Input, what)
            .advise("change it in a transaction of the store, or widen the scope")
    }

    fn note(&self, label: &str, turned: Option<(Way, Lsn)>) -> Op {
        let (scope, label) = (("scope", Value::from(self.name.as_str())), (LABEL, Value::from(label)));
        let value = match turned {
            None => object([scope, label]),
            Some((way, lsn)) => object([scope, label, (way.word(), Value::from(lsn.get()))]),
        };
        Op::Note { what: UNDO.to_owned(), value }
    }
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
        Op::Remove { path } if path.key().is_none() => all(&key::documents(path.collection()), keys)?,
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

/// The same, from the log.
fn differences_in_log(journal: &Journal, group: &Group) -> Result<Vec<Difference>> {
    let before = replay::fold_to(journal, group.first.before())?;
    let mut after = before.clone();
    replay::catch_up(journal, &mut after, group.last)?;
    let mut ops = Vec::new();
    each_event(journal, group.first.before(), group.last, &mut |lsn, version, payload, _| {
        ops.push((lsn, Op::decode(version, payload)?));
        Ok(())
    })?;
    differences(ops.iter().map(|(lsn, op)| (*lsn, op)), &before, &after)
}

type SeeEvent<'a> = dyn FnMut(Lsn, u16, &[u8], bool) -> Result<()> + 'a;

/// Visits the events in `(after, through]`: number, version, payload, and whether it ends its transaction.
fn each_event(journal: &Journal, after: Lsn, through: Lsn, see: &mut SeeEvent<'_>) -> Result<()> {
    journal.each_frame(after, through, &mut |header, body| {
        let mut lsn = header.first_lsn;
        for view in Records::new(body) {
            let view = view?;
            if lsn > after && lsn <= through && view.kind == RecordKind::Event {
                see(lsn, view.type_version, view.payload, view.end).map_err(|error| error.at_lsn(lsn))?;
            }
            lsn = lsn.next();
        }
        Ok(())
    })
}

/// Makes the stacks of a scope from the notes in the log.
fn stacks_in_log(journal: &Journal, name: &str) -> Result<Stacks> {
    let (mut stacks, mut first) = (Stacks::default(), None);
    let (horizon, end) = (journal.horizon().lsn, journal.durable_lsn());
    each_event(journal, horizon, end, &mut |lsn, version, payload, ends| {
        let start = *first.get_or_insert(lsn);
        if payload.starts_with(NOTE_START)
            && let Op::Note { value, .. } = Op::decode(version, payload)?
            && value.get("scope").and_then(Value::as_str) == Some(name)
        {
            let turned = |way: Way| value.get(way.word()).and_then(Value::as_u64).map(Lsn::new);
            match (turned(Way::Undo), turned(Way::Redo)) {
                (Some(last), _) => stacks.turned(Way::Undo, last),
                (None, Some(last)) => stacks.turned(Way::Redo, last),
                (None, None) => {
                    let label = value.get(LABEL).and_then(Value::as_str).unwrap_or_default().to_owned();
                    stacks.push(Group { first: start, last: lsn, label, differences: None }, DEPTH_MAX);
                }
            }
        }
        if ends {
            first = None;
        }
        Ok(())
    })?;
    Ok(stacks)
}

impl Store {
    /// Undo and redo for what is committed through the scope called `name`, over what lies below `prefixes`. The first
    /// time in a session it reads the whole log that is kept, to find what it did before.
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
                *stacks = Some(stacks_in_log(&self.order.journal, name)?);
            }
        }
        let manner = Manner { durability: Durability::Synced, ..self.manner.clone() };
        let order = Arc::clone(&self.order);
        Ok(UndoScope { order, manner, name: name.to_owned(), prefixes, depth: DEPTH, shared })
    }
}
