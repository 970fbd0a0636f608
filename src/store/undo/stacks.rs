//! The groups that an undo scope can undo and do again, kept in memory and found again in the log.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::error::Result;
use crate::journal::Journal;
use crate::position::Lsn;
use crate::store::diff::Difference;
use crate::store::op::Op;
use crate::store::replay;
use crate::store::timeline::LABEL;
use crate::store::value::Value;

/// How the record of a note of ours begins.
const NOTE_START: &[u8] = br#"["note","undo","#;
/// What a note says that lets a group go.
pub(super) const SKIP: &str = "skip";
/// The highest number of groups.
pub(super) const DEPTH_MAX: usize = 10_000;

/// What can be undone and done again.
#[derive(Clone, Debug, Default)]
pub(super) struct Stacks {
    /// The newest at the back.
    pub(super) undo: VecDeque<Group>,
    pub(super) redo: VecDeque<Group>,
    /// How many groups the log has since the noted start.
    pushed: usize,
}

/// One committed group.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) first: Lsn,
    /// The number of its note.
    pub(super) last: Lsn,
    /// Its last record: after the note comes what bounds removed.
    pub(super) end: Lsn,
    pub(super) label: String,
    /// What it changed, if that was not forgotten since.
    pub(super) differences: Option<Arc<[Difference]>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Undo,
    Redo,
}

impl Way {
    pub(super) fn word(self) -> &'static str {
        match self {
            Way::Undo => "undo",
            Way::Redo => "redo",
        }
    }
}

impl Stacks {
    pub(super) fn stack(&mut self, way: Way) -> &mut VecDeque<Group> {
        match way {
            Way::Undo => &mut self.undo,
            Way::Redo => &mut self.redo,
        }
    }

    /// Takes in a new group; `anew` if the start of all that count was noted with it.
    pub(super) fn push(&mut self, group: Group, depth: usize, anew: bool) {
        self.redo.clear();
        self.undo.push_back(group);
        self.undo.drain(..self.undo.len().saturating_sub(depth));
        self.pushed = if anew { self.undo.len() } else { self.pushed + 1 };
    }

    /// From where on the log has all groups that count once there is one more, which starts at `first`; `None` if what is
    /// noted is near enough.
    pub(super) fn since(&self, first: Lsn, depth: usize, is_noted: bool) -> Option<Lsn> {
        if is_noted && self.pushed < 2 * depth {
            return None;
        }
        let oldest = self.undo.get(self.undo.len().saturating_sub(depth - 1));
        Some(oldest.map_or(first, |oldest| oldest.first))
    }

    /// A group was let go.
    pub(super) fn skipped(&mut self, last: Lsn) {
        self.undo.retain(|group| group.last != last);
        self.redo.retain(|group| group.last != last);
    }

    /// A group was undone or done again: it goes to the other stack.
    pub(super) fn turned(&mut self, way: Way, last: Lsn) {
        let stack = self.stack(way);
        if stack.back().is_some_and(|group| group.last == last)
            && let Some(group) = stack.pop_back()
        {
            self.stack(if way == Way::Undo { Way::Redo } else { Way::Undo }).push_back(group);
        }
    }

    /// Lets groups go that neither memory nor the log has any more.
    pub(super) fn prune(&mut self, horizon: Lsn) {
        let is_there = |group: &Group| group.differences.is_some() || group.first > horizon;
        self.undo.retain(is_there);
        self.redo.retain(is_there);
    }
}

/// Makes the stacks of a scope from the notes in the log from `since` on.
pub(super) fn stacks_in_log(journal: &Journal, name: &str, since: Lsn) -> Result<Stacks> {
    let (mut stacks, mut first, mut open) = (Stacks::default(), None, None);
    let (after, end) = (journal.horizon().lsn.max(since.before()), journal.durable_lsn());
    replay::each_event(journal, after, end, &mut |position, view| {
        let lsn = position.lsn;
        let start = *first.get_or_insert(lsn);
        if view.payload.starts_with(NOTE_START)
            && let Op::Note { value, .. } = replay::decode(lsn, view)?
            && value.get("scope").and_then(Value::as_str) == Some(name)
        {
            let about = |what: &str| value.get(what).and_then(Value::as_u64).map(Lsn::new);
            match (about(Way::Undo.word()), about(Way::Redo.word()), about(SKIP)) {
                (Some(last), ..) => stacks.turned(Way::Undo, last),
                (_, Some(last), _) => stacks.turned(Way::Redo, last),
                (.., Some(last)) => stacks.skipped(last),
                (None, None, None) => {
                    let label = value.get(LABEL).and_then(Value::as_str).unwrap_or_default().to_owned();
                    open = Some(Group { first: start, last: lsn, end: lsn, label, differences: None });
                }
            }
        }
        if view.end {
            first = None;
            if let Some(group) = open.take() {
                stacks.push(Group { end: lsn, ..group }, DEPTH_MAX, false);
            }
        }
        Ok(())
    })?;
    Ok(stacks)
}
