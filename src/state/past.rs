//! A state of the past: [`Past`].

use std::ops::Deref;

use crate::clock::Timestamp;
use crate::error::{ErrorKind, Result};
use crate::journal::Journal;
use crate::position::Position;
use crate::state::fold::Fold;
use crate::state::refold::fold_to;
use crate::state::when::{When, resolve};

/// The state at a moment: of its own, whatever happens to the journal. Reads like the state.
#[derive(Clone, Debug)]
pub struct Past<S> {
    state: S,
    position: Position,
    time: Timestamp,
    is_open: bool,
}

impl<S: Fold> Past<S> {
    /// Folds the history up to a moment.
    pub(crate) fn at(journal: &Journal, when: &When) -> Result<Past<S>> {
        loop {
            let horizon = journal.horizon();
            match Past::attempt(journal, when) {
                // The horizon passed by; a moment such as now is a later position by now, any other is gone for good.
                Err(error)
                    if matches!(error.kind(), ErrorKind::BeforeHorizon { .. })
                        && journal.horizon() != horizon => {}
                outcome => return outcome,
            }
        }
    }

    fn attempt(journal: &Journal, when: &When) -> Result<Past<S>> {
        let resolved = resolve(journal, when)?;
        let mut folded = fold_to::<S>(journal, resolved.position.lsn, 1)?;
        Ok(Past {
            state: folded.states.pop().unwrap_or_default(),
            position: resolved.position,
            time: folded.time,
            is_open: resolved.is_open,
        })
    }
}

impl<S> Past<S> {
    /// The state.
    pub fn state(&self) -> &S {
        &self.state
    }

    /// The state, to keep.
    pub fn into_state(self) -> S {
        self.state
    }

    /// The position that was chosen: the last record that is in the state.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The time of that record.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// Whether something may still happen at or before the moment asked for, so that asking again may give a later
    /// position (J8). Never so for a position or a pin.
    pub fn is_open(&self) -> bool {
        self.is_open
    }
}

impl<S> Deref for Past<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.state
    }
}
