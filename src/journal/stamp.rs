//! Times for records: never before the last one, with a note when the wall clock steps (J8).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::journal::commit::Stamper;
use crate::journal::summary::encode_own;

/// A step of the wall clock beyond this is recorded.
const STEP_MAX: Duration = Duration::from_secs(3600);

/// Stamps transactions from a clock.
#[derive(Debug)]
pub(crate) struct WallStamper {
    clock: Arc<dyn Clock>,
    last: Timestamp,
    wall: Timestamp,
    elapsed: Duration,
    /// Wall and elapsed time before the last step.
    before: (Timestamp, Duration),
    /// How many steps were noticed; shared with the status.
    steps: Arc<AtomicU64>,
}

impl WallStamper {
    /// Continues after a record with the time `last`.
    pub(crate) fn new(clock: Arc<dyn Clock>, last: Timestamp, steps: Arc<AtomicU64>) -> WallStamper {
        let (wall, elapsed) = (clock.wall(), clock.elapsed());
        WallStamper { clock, last, wall, elapsed, before: (wall, elapsed), steps }
    }
}

impl Stamper for WallStamper {
    fn stamp(&mut self) -> (Timestamp, Option<Vec<u8>>) {
        let (wall, elapsed) = (self.clock.wall(), self.clock.elapsed());
        let expected = self.wall.plus(elapsed.saturating_sub(self.elapsed));
        let stepped = wall.since(expected) > STEP_MAX || expected.since(wall) > STEP_MAX;
        self.last = self.last.max(wall);
        if !stepped {
            return (self.last, None);
        }
        self.before = (self.wall, self.elapsed);
        self.wall = wall;
        self.elapsed = elapsed;
        self.steps.fetch_add(1, Ordering::Relaxed);
        // OK because two numbers always encode; without the note the times are still right.
        (self.last, encode_own((expected.micros(), wall.micros())).ok())
    }

    /// Goes back to before the last step. Had it been written after all, telling it twice would do no harm: the second
    /// time the records' own time is there already.
    fn take_back(&mut self) {
        (self.wall, self.elapsed) = self.before;
    }
}
