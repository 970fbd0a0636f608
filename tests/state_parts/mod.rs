//! What the tests of typed journals share: a bank, a clock, and openings on a simulated device.
#![allow(dead_code, clippy::expect_used, reason = "each test file uses a part of it, and it is for tests")]

use std::collections::BTreeMap;
use std::sync::Arc;

use everlog::journal::Background;
use everlog::medium::Sim;
use everlog::testing::ManualClock;
use everlog::{Fold, Journaled, JournaledOptions, Stamp};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Event {
    Deposited {
        account: u32,
        cents: u64,
    },
    Withdrawn {
        account: u32,
        cents: u64,
    },
    /// Panics when the account has not this much, halfway through.
    Moved {
        from: u32,
        to: u32,
        cents: u64,
    },
}

/// Knows balances, and what it was told with the last event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bank {
    pub(crate) balances: BTreeMap<u32, u64>,
    pub(crate) events: u64,
    pub(crate) last: Option<(String, u64, Option<String>)>,
}

impl Bank {
    pub(crate) fn of(&self, account: u32) -> u64 {
        self.balances.get(&account).copied().unwrap_or(0)
    }

    pub(crate) fn total(&self) -> u64 {
        self.balances.values().sum()
    }
}

impl Fold for Bank {
    type Event = Event;
    const NAME: &'static str = "bank";
    const VERSION: u16 = 1;
    const STATE_VERSION: Option<u16> = Some(1);

    fn apply(&mut self, event: &Event, at: &Stamp) {
        match event {
            Event::Deposited { account, cents } => *self.balances.entry(*account).or_default() += cents,
            Event::Withdrawn { account, cents } => *self.balances.entry(*account).or_default() -= cents,
            Event::Moved { from, to, cents } => {
                *self.balances.entry(*to).or_default() += cents;
                let left = self.of(*from).checked_sub(*cents).expect("the account has not this much");
                self.balances.insert(*from, left);
            }
        }
        self.events += 1;
        self.last = Some((at.position.to_string(), at.time.micros(), at.actor().map(str::to_owned)));
    }
}

pub(crate) fn deposit(account: u32, cents: u64) -> Event {
    Event::Deposited { account, cents }
}

pub(crate) fn withdraw(account: u32, cents: u64) -> Event {
    Event::Withdrawn { account, cents }
}

/// Small segments and no threads.
pub(crate) fn inline<S: Fold>() -> JournaledOptions<S> {
    Journaled::<S>::options()
        .background(Background::Inline)
        .journal(|journal| journal.segment_bytes(16 * 1024, 64 * 1024))
}

pub(crate) fn open_on(sim: &Sim) -> Journaled<Bank> {
    inline().open_on(Arc::new(sim.clone())).expect("opens")
}

pub(crate) fn state(bank: &Journaled<Bank>) -> Bank {
    bank.read(Bank::clone).expect("reads")
}

/// When the clocks of these tests start.
pub(crate) const START: &str = "2026-11-19T18:00:00Z";

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(START.parse().expect("a time")))
}
