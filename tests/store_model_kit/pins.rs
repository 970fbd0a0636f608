//! Moments that are kept: pins, and forks, which are stores of their own.

use std::collections::BTreeMap;
use std::sync::Arc;

use everlog::medium::Sim;
use everlog::{ErrorKind, When};

use super::data::{Change, next};
use super::run::{Run, State, carry_out, name};

impl Run {
    pub(crate) fn pin_before(&mut self, number: u8, changes: &[Change]) {
        let mut draft = self.draft();
        let outcome = self.store.pin_before(&name(number), |tx| {
            carry_out(tx, &self.store, &mut draft, changes);
            Ok(())
        });
        let receipt = outcome.expect("commits").1;
        let before = self.state().data.clone();
        self.done(&receipt, draft, |state, run| {
            let pins = run.store.pins();
            let pin = pins.iter().find(|pin| pin.name == name(number)).expect("is there");
            assert_eq!(run.state_at(pin.position.lsn).data, before, "it keeps the state before");
            state.pins.insert(name(number), pin.position.lsn);
        });
        self.check_pins();
    }

    pub(crate) fn pin(&mut self, number: u8, back: usize) {
        let (position, _) = self.back(back);
        match self.store.pin(&name(number), position, "a note") {
            Ok(receipt) => {
                let draft = self.draft();
                self.done(&receipt, draft, |state, _| {
                    state.pins.insert(name(number), position.lsn);
                });
            }
            Err(error) => self.check_lost(position, &error),
        }
    }

    pub(crate) fn unpin(&mut self, number: u8) {
        let is_there = self.state().pins.contains_key(&name(number));
        match self.store.unpin(&name(number)) {
            Ok(receipt) => {
                assert!(is_there);
                let draft = self.draft();
                self.done(&receipt, draft, |state, _| {
                    state.pins.remove(&name(number));
                });
            }
            Err(error) => assert!(!is_there && *error.kind() == ErrorKind::Absent, "{error}"),
        }
    }

    /// A store of its own that starts with an earlier state.
    pub(crate) fn fork(&self, back: usize) -> Option<Run> {
        let (position, state) = self.back(back);
        let sim = Sim::new(next());
        match self.store.fork_on(When::position(position), Arc::new(sim.clone())) {
            Ok(from) => {
                assert_eq!(from, position);
                let state = State { pins: BTreeMap::new(), stacks: Default::default(), ..state };
                let mut fork = Run::on(sim, self.clock.clone(), (position, state));
                assert_eq!(fork.store.horizon(), position);
                fork.all_sure();
                Some(fork)
            }
            Err(error) => {
                self.check_lost(position, &error);
                None
            }
        }
    }
}
