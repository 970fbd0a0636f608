//! The way back: rollbacks, undo and redo, held against the model.

use std::rc::Rc;

use everlog::store::{RollbackPreview, UndoScope};
use everlog::{Durability, ErrorKind, When};

use super::data::{Change, next};
use super::marks::{At, Mark, Scope, marks, put, told};
use super::program::undo_scope;
use super::run::{Group, KEPT, Run, carry_out, name};
use super::world::meet;

fn sorted<T: Ord>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut all: Vec<T> = all.collect();
    all.sort();
    all
}

impl Run {
    pub(crate) fn rollback(&mut self, back: usize, scope: &Scope, between: Option<&Change>) {
        let (position, _) = self.back(back);
        match self.store.rollback_to(position) {
            Ok(preview) => self.roll_back(preview, scope, between),
            Err(error) => self.check_lost(position, &error),
        }
    }

    pub(crate) fn rollback_to_pin(&mut self, number: u8) {
        let is_there = self.state_at(self.store.position().lsn).pins.contains_key(&name(number));
        match self.store.rollback_to(When::pin(name(number))) {
            Ok(preview) => self.roll_back(preview, &Scope::default(), None),
            Err(error) => assert!(!is_there && *error.kind() == ErrorKind::Absent, "{error}"),
        }
    }

    fn roll_back(&mut self, preview: RollbackPreview, scope: &Scope, between: Option<&Change>) {
        let preview = if scope.0.is_empty() { preview } else { preview.only(scope.paths()).expect("paths") };
        let now = self.state_at(preview.from().lsn).data.clone();
        let then = self.state_at(preview.target().lsn).data.clone();
        let (kept, changes): (Vec<Mark>, Vec<Mark>) =
            marks(&now, &then, scope).into_iter().partition(|mark| mark.place == KEPT);
        assert_eq!(sorted(preview.changes().iter().map(told)), sorted(changes.iter().map(Mark::told)));
        assert_eq!(sorted(preview.kept().iter().map(told)), sorted(kept.iter().map(Mark::told)));
        if let Some(change) = between {
            self.commit(std::slice::from_ref(change), false, Durability::Synced);
        }
        let mut draft = self.draft();
        let has_moved = changes.iter().any(|mark| !mark.is_unmoved(&now, &draft.data));
        let allowed = !has_moved && put(&mut draft, changes).is_some();
        match preview.commit() {
            Ok(receipt) => {
                assert!(allowed, "what has moved since was rolled back");
                meet("rollback");
                if scope.0.is_empty() && between.is_none() && kept.is_empty() && now == self.state().data {
                    assert_eq!(draft.data, then);
                }
                self.done(&receipt, draft, |_, _| {});
            }
            Err(error) => {
                assert!(!allowed && (!has_moved || *error.kind() == ErrorKind::Conflict), "{error}");
                meet("rollback refused");
                self.all_sure();
            }
        }
    }

    /// The scope, and the model's stacks without what has been lost below the horizon.
    fn scope(&mut self, number: u8) -> UndoScope {
        let paths = undo_scope(number).paths();
        let scope = self.store.undo_scope(&name(number), paths).expect("a scope");
        let (horizon, session) = (self.store.horizon().lsn, self.session);
        let stacks = &mut self.state_mut().stacks[number as usize];
        let is_there = |group: &Rc<Group>| group.session == session || group.first > horizon;
        stacks.undo.retain(is_there);
        stacks.redo.retain(is_there);
        scope
    }

    fn check_stacks(&self, number: u8, scope: &UndoScope) {
        let labels = |groups: &[Rc<Group>]| -> Vec<String> {
            groups.iter().rev().map(|group| group.label.clone()).collect()
        };
        let stacks = &self.state().stacks[number as usize];
        assert_eq!(scope.undo_labels(), labels(&stacks.undo), "what can be undone in {number}");
        assert_eq!(scope.redo_labels(), labels(&stacks.redo), "what can be done again in {number}");
        assert_eq!((scope.can_undo(), scope.can_redo()), (!stacks.undo.is_empty(), !stacks.redo.is_empty()));
    }

    pub(crate) fn check_all_stacks(&mut self) {
        for number in 0..3 {
            let scope = self.scope(number);
            self.check_stacks(number, &scope);
        }
    }

    pub(crate) fn group(&mut self, number: u8, changes: &[Change]) {
        let scope = self.scope(number);
        let (mut draft, label) = (self.draft(), format!("group {}", next()));
        let outcome = scope.transaction(&label, |tx| {
            carry_out(tx, &self.store, &mut draft, changes);
            Ok(())
        });
        let is_inside = draft.is_inside(&undo_scope(number));
        match outcome {
            Ok(((), receipt)) => {
                assert!(is_inside, "what lies outside was changed");
                // Also if it all has to make room at once.
                let is_group = draft.data != self.state().data;
                draft.end();
                let displaced = draft.displaced();
                // With what bounds did it is read from the log also in its own session.
                let session = if draft.displaced.is_empty() { self.session } else { 0 };
                self.done(&receipt, draft, |state, run| {
                    let (before, after) = (run.state().data.clone(), state.data.clone());
                    if is_group {
                        let first = receipt.first_lsn;
                        let stacks = &mut state.stacks[number as usize];
                        stacks.undo.push(Rc::new(Group { label, first, session, before, after, displaced }));
                        stacks.redo.clear();
                    }
                });
            }
            Err(error) => {
                assert!(!is_inside && *error.kind() == ErrorKind::Input, "{error}");
                self.all_sure();
            }
        }
        self.check_stacks(number, &scope);
    }

    /// Undoes the newest group of a scope, or does it again.
    pub(crate) fn turn(&mut self, number: u8, undoes: bool) {
        let scope = self.scope(number);
        let stacks = &self.state().stacks[number as usize];
        let group = if undoes { stacks.undo.last() } else { stacks.redo.last() }.cloned();
        let outcome = if undoes { scope.undo() } else { scope.redo() };
        let Some(group) = group else {
            assert_eq!(outcome.expect_err("there is none").kind(), &ErrorKind::Absent);
            return self.check_stacks(number, &scope);
        };
        let (from, to) = if undoes { (&group.after, &group.before) } else { (&group.before, &group.after) };
        let is_displaced = |mark: &Mark| matches!(mark.at, At::Entry(entry) if group.displaced.contains(&(mark.place, entry)));
        let (displaced, mut changes): (Vec<Mark>, Vec<Mark>) =
            marks(from, to, &undo_scope(number)).into_iter().partition(is_displaced);
        let mut draft = self.draft();
        let is_foreign = changes.iter().any(|mark| !mark.is_unmoved(from, &draft.data));
        // What had to make room comes back where nobody has touched it.
        changes.extend(displaced.into_iter().filter(|mark| mark.found(&draft.data) == mark.old));
        let allowed = !is_foreign && put(&mut draft, changes).is_some();
        match outcome {
            Ok(receipt) => {
                assert!(allowed, "what others changed was overwritten by {undoes} {group:?}");
                meet(if undoes { "undo" } else { "redo" });
                self.done(&receipt, draft, |state, _| {
                    let stacks = &mut state.stacks[number as usize];
                    if undoes {
                        stacks.redo.extend(stacks.undo.pop());
                    } else {
                        stacks.undo.extend(stacks.redo.pop());
                    }
                });
            }
            Err(error) => {
                assert!(!allowed && (!is_foreign || *error.kind() == ErrorKind::Conflict), "{error}");
                meet("undo or redo refused");
                self.all_sure();
            }
        }
        self.check_stacks(number, &scope);
    }
}
