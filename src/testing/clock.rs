//! A clock that stands still until a test moves it.

use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::{Clock, Timestamp};

/// A [`Clock`] set by hand: time on the wall and elapsed time move separately, as they do when somebody sets the
/// system's clock.
#[derive(Debug)]
pub struct ManualClock {
    now: Mutex<(Timestamp, Duration)>,
}

impl ManualClock {
    /// A clock that shows `wall`; nothing has elapsed.
    pub fn new(wall: Timestamp) -> ManualClock {
        ManualClock { now: Mutex::new((wall, Duration::ZERO)) }
    }

    /// Lets time pass: wall and elapsed time both move by `distance`.
    pub fn advance(&self, distance: Duration) {
        self.advance_wall(distance);
        self.advance_elapsed(distance);
    }

    /// Moves the wall forward while no time passes.
    pub fn advance_wall(&self, distance: Duration) {
        let mut now = self.now.lock();
        now.0 = now.0.plus(distance);
    }

    /// Lets time pass while the wall stands still.
    pub fn advance_elapsed(&self, distance: Duration) {
        let mut now = self.now.lock();
        now.1 = now.1.saturating_add(distance);
    }

    /// Sets the wall, forward or back, while no time passes.
    pub fn set_wall(&self, wall: Timestamp) {
        self.now.lock().0 = wall;
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> Timestamp {
        self.now.lock().0
    }

    fn elapsed(&self) -> Duration {
        self.now.lock().1
    }
}
