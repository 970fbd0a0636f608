//! The helper beside the writers: prepares the next segment and writes a mark when the journal falls idle.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::error::{Error, Result};
use crate::journal::commit::Core;
use crate::journal::tail::Tail;

/// How long nothing may happen before the journal counts as idle and gets a mark.
const IDLE: Duration = Duration::from_millis(20);

/// Wakes the keeper; asleep it costs nothing.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    state: Mutex<BellState>,
    rung: Condvar,
}

#[derive(Debug, Default)]
struct BellState {
    due: bool,
    stop: bool,
    /// The first trouble of background work since the opening; it stays until then.
    trouble: Option<Error>,
}

impl Bell {
    /// There may be something to do.
    pub(crate) fn ring(&self) {
        let mut state = self.state.lock();
        if !state.due {
            state.due = true;
            self.rung.notify_one();
        }
    }

    /// Ends the keeper.
    pub(crate) fn stop(&self) {
        self.state.lock().stop = true;
        self.rung.notify_all();
    }

    /// Notes that background work failed.
    pub(crate) fn note(&self, error: Error) {
        self.state.lock().trouble.get_or_insert(error);
    }

    /// The first trouble of background work.
    pub(crate) fn trouble(&self) -> Option<Error> {
        self.state.lock().trouble.clone()
    }

    /// Waits until rung; `false` means stop.
    fn wait(&self) -> bool {
        let mut state = self.state.lock();
        while !state.due && !state.stop {
            self.rung.wait(&mut state);
        }
        state.due = false;
        !state.stop
    }

    /// Waits a moment; `false` means stop.
    fn pause(&self) -> bool {
        let mut state = self.state.lock();
        if !state.stop {
            self.rung.wait_while_for(&mut state, |state| !state.stop, IDLE);
        }
        !state.stop
    }
}

/// The keeper's life, on a thread of its own.
pub(crate) fn keep(core: &Arc<Core<Tail>>, bell: &Bell) {
    while bell.wait() {
        work(core, bell);
        let mut before = core.durable();
        while core.sink().wants_mark() && core.failure().is_none() {
            if !bell.pause() {
                return;
            }
            let now = core.durable();
            if now == before && now == core.latest() {
                mark(core);
            }
            before = now;
            work(core, bell);
        }
    }
}

/// One round of work without waiting, for those who have no thread.
pub(crate) fn tick(core: &Core<Tail>, bell: &Bell) -> Result<()> {
    while core.drive() {}
    work(core, bell);
    if core.sink().wants_mark() && core.durable() == core.latest() {
        mark(core);
    }
    match core.failure() {
        Some(failure) => Err(failure.poisoned()),
        None => Ok(()),
    }
}

fn work(core: &Core<Tail>, bell: &Bell) {
    if core.failure().is_some() {
        return;
    }
    let spares = &core.sink().spares;
    if !spares.is_wanted() {
        return;
    }
    if let Err(error) = core.sink().check_lease() {
        core.poison(error);
    } else if let Err(error) = spares.prepare() {
        bell.note(error);
    }
}

fn mark(core: &Core<Tail>) {
    if let Err(error) = core.sink().mark() {
        core.poison(error);
    }
}
