//! Several stores, the forks of one, each with its model.

use std::collections::BTreeMap;
use std::sync::Mutex;

use everlog::Durability;
use everlog::medium::sim::Crash;

use super::program::{Act, Step};
use super::run::Run;

/// How often something happened that a program is made for; a test that meets nothing proves nothing.
static MET: Mutex<BTreeMap<&str, u64>> = Mutex::new(BTreeMap::new());

pub(crate) fn meet(what: &'static str) {
    *MET.lock().expect("nobody fails meanwhile").entry(what).or_default() += 1;
}

pub(crate) fn met() -> BTreeMap<&'static str, u64> {
    MET.lock().expect("nobody fails meanwhile").clone()
}

/// So many stores at most.
const STORES_MAX: usize = 3;

pub(crate) struct World {
    runs: Vec<Run>,
    steps: usize,
}

impl World {
    pub(crate) fn new() -> World {
        World { runs: vec![Run::new()], steps: 0 }
    }

    /// Carries out a program; then everything that was ever true of each store is looked at.
    pub(crate) fn carry_out(program: &[Act]) {
        let mut world = World::new();
        for (who, step) in program {
            world.act(*who, step);
        }
        world.runs.iter_mut().for_each(Run::check_everything);
    }

    pub(crate) fn act(&mut self, who: usize, step: &Step) {
        let who = who % self.runs.len();
        self.runs[who].tick();
        if let Step::Fork(back) = step {
            if self.runs.len() < STORES_MAX {
                self.runs.extend(self.runs[who].fork(*back).inspect(|_| meet("fork")));
            }
        } else {
            act(&mut self.runs[who], step);
        }
        // Whatever happened to one, all are what they ought to be: now, and at some earlier moment.
        self.steps += 1;
        self.runs.iter().for_each(Run::check_view);
        self.runs[who].past(self.steps * 7 % 23);
    }
}

fn act(run: &mut Run, step: &Step) {
    match step {
        Step::One(change) => run.commit(std::slice::from_ref(change), false, Durability::Synced),
        Step::Many(changes, fails) => run.commit(changes, *fails, Durability::Synced),
        Step::Loose(change) => run.commit(std::slice::from_ref(change), false, Durability::Buffered),
        Step::Once(key, changes) => run.once(*key, changes),
        Step::Compare(place, back, new) => run.compare(*place, *back, new),
        Step::PinBefore(name, changes) => run.pin_before(*name, changes),
        Step::Pin(name, back) => run.pin(*name, *back),
        Step::Unpin(name) => run.unpin(*name),
        Step::Group(scope, changes) => run.group(*scope, changes),
        Step::Undo(scope) => run.turn(*scope, true),
        Step::Redo(scope) => run.turn(*scope, false),
        Step::Turns(scope, undos, redos) => {
            (0..*undos).for_each(|_| run.turn(*scope, true));
            (0..*redos).for_each(|_| run.turn(*scope, false));
        }
        Step::Rollback(back, scope, between) => run.rollback(*back, scope, between.as_ref()),
        Step::RollbackToPin(name) => run.rollback_to_pin(*name),
        Step::Fork(_) => {}
        Step::Snapshot => run.snapshot(),
        Step::Compact(bytes) => run.compact(*bytes),
        Step::Past(back) => run.past(*back),
        Step::Diff(one, other, scope) => run.diff(*one, *other, scope),
        Step::History(prefix) => run.history(prefix),
        Step::ClockBack => run.clock_back(),
        Step::Reopen => run.close_and_reopen(),
        Step::Crash(seed, changes) => {
            for change in changes {
                run.commit(std::slice::from_ref(change), false, Durability::Buffered);
            }
            let sim = run.sim.crash(Crash::Random(*seed));
            run.reopen(sim);
            run.check_all_stacks();
        }
    }
}
