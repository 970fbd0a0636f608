//! Stores on the simulated device, and the clock that a test moves.

use std::sync::Arc;

use everlog::Store;
use everlog::medium::Sim;
use everlog::store::StoreOptions;
use everlog::testing::ManualClock;

use super::{quiet, small};

/// Opens what is on the device, which stays the test's.
pub(crate) fn on(options: StoreOptions, sim: &Sim) -> Store {
    options.open_on(Arc::new(sim.clone())).expect("opens")
}

/// A store without threads of its own.
pub(crate) fn inline(sim: &Sim) -> Store {
    on(quiet(), sim)
}

/// A store as applications have it.
pub(crate) fn threads(sim: &Sim) -> Store {
    on(Store::options(), sim)
}

/// A clock that stands at six in the evening.
pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new("2026-11-19T18:00:00Z".parse().expect("a time")))
}

/// A store of small segments that goes by `clock`.
pub(crate) fn clocked(sim: &Sim, clock: &Arc<ManualClock>) -> Store {
    on(small().clock(Arc::<ManualClock>::clone(clock)), sim)
}
