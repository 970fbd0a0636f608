//! Runs a workload again and again, with the power cut at one step after the other, and checks every device that may
//! be left, and every device that may be left when the recovery from it is cut too.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::medium::Sim;
use crate::medium::sim::Fault;

/// What a workload and a check return: nothing, or why not.
pub type Outcome = Result<(), Box<dyn std::error::Error>>;

/// How a workload is crashed.
#[derive(Clone, Copy, Debug)]
pub struct Crashes {
    seed: u64,
    images_max: usize,
    recoveries_max: u64,
    recovery_images_max: usize,
    fault: Fault,
}

/// How much was tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Steps of the workload, each of them hit once.
    pub steps: u64,
    /// Devices that were checked.
    pub states: u64,
    /// How many of them were left by a second crash, during the recovery from a first one.
    pub recoveries: u64,
}

/// A crash after which something promised does not hold.
#[derive(Clone, Debug)]
pub struct Violation(String);

impl Crashes {
    /// Power cuts with `seed` for everything random: up to 16 devices per step, one of them crashed again during
    /// recovery at up to 6 places, with up to 3 devices each.
    pub fn new(seed: u64) -> Crashes {
        Crashes { seed, images_max: 16, recoveries_max: 6, recovery_images_max: 3, fault: Fault::PowerCut }
    }

    /// How many devices to check per step.
    #[must_use]
    pub fn images(mut self, count_max: usize) -> Crashes {
        self.images_max = count_max;
        self
    }

    /// At how many places to crash the recovery, per step, and how many devices to check for each.
    #[must_use]
    pub fn recoveries(mut self, count_max: u64, images_max: usize) -> Crashes {
        self.recoveries_max = count_max;
        self.recovery_images_max = images_max;
        self
    }

    /// What goes wrong at each step instead of a power cut, which then follows when the workload has returned.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Crashes {
        self.fault = fault;
        self
    }

    /// Runs `workload` once to count its steps, then once per step with the fault there, each time on a fresh device
    /// with the same seed; `check` looks at every device that may be left, which also includes the one left when only
    /// the process dies.
    ///
    /// The workload notes in its second argument what it was promised, and returns at the first error. The check opens
    /// what the workload wrote and holds it against the notes; it returns errors and does not panic on them, since it
    /// is itself run with the power cut in between.
    ///
    /// # Errors
    ///
    /// The first violation, with everything needed to see it again.
    pub fn run<A: Default>(
        &self,
        workload: impl Fn(&Sim, &mut A) -> Outcome,
        check: impl Fn(&Sim, &A) -> Outcome,
    ) -> Result<Tally, Violation> {
        let sim = Sim::new(self.seed);
        let mut notes = A::default();
        workload(&sim, &mut notes)
            .map_err(|error| Violation(format!("seed {}, no fault at all: {error}", self.seed)))?;
        let mut tally = Tally { steps: sim.steps(), ..Tally::default() };
        for step in 1..=tally.steps {
            let sim = Sim::new(self.seed);
            sim.fail_step(step, self.fault);
            let mut notes = A::default();
            let ran = catch_unwind(AssertUnwindSafe(|| workload(&sim, &mut notes)));
            let place = format!("seed {}, {:?} at step {step} of {}", self.seed, self.fault, tally.steps);
            if ran.is_err() {
                return Err(Violation(format!("{place}: the workload panicked")));
            }
            self.check_all(&sim, step, &notes, &check, &mut tally)
                .map_err(|(crash, error)| Violation(format!("{place}, then {crash}: {error}")))?;
        }
        Ok(tally)
    }

    /// As [`Crashes::run`], for tests.
    ///
    /// # Panics
    ///
    /// On a violation.
    pub fn everywhere<A: Default>(
        &self,
        workload: impl Fn(&Sim, &mut A) -> Outcome,
        check: impl Fn(&Sim, &A) -> Outcome,
    ) -> Tally {
        match self.run(workload, check) {
            Ok(tally) => tally,
            #[allow(clippy::panic, reason = "OK because a test that finds a violation must fail")]
            Err(violation) => panic!("{violation}"),
        }
    }

    fn check_all<A>(
        &self,
        sim: &Sim,
        step: u64,
        notes: &A,
        check: &impl Fn(&Sim, &A) -> Outcome,
        tally: &mut Tally,
    ) -> Result<(), (String, String)> {
        let mut images = sim.crash_images(self.images_max, self.seed ^ step);
        images.push(("death of the process".to_owned(), sim.kill()));
        let crashed_again = step as usize % images.len();
        for (index, (label, image)) in images.into_iter().enumerate() {
            let fresh = image.kill();
            tally.states += 1;
            judge(&image, notes, check).map_err(|error| (label.clone(), error))?;
            if index == crashed_again {
                self.crash_recovery(&fresh, image.steps(), step, notes, check, tally)
                    .map_err(|(again, error)| (format!("{label}, then {again}"), error))?;
            }
        }
        Ok(())
    }

    /// Crashes the check itself, at up to so many of its steps, others each time.
    fn crash_recovery<A>(
        &self,
        image: &Sim,
        steps: u64,
        salt: u64,
        notes: &A,
        check: &impl Fn(&Sim, &A) -> Outcome,
        tally: &mut Tally,
    ) -> Result<(), (String, String)> {
        let stride = steps.div_ceil(self.recoveries_max.max(1)).max(1);
        let mut step = 1 + salt % stride;
        while step <= steps && self.recoveries_max > 0 {
            let again = image.kill();
            again.power_cut_at(step);
            // What it says is not asked for: the power went.
            let _cut = judge(&again, notes, check);
            for (label, left) in again.crash_images(self.recovery_images_max, self.seed ^ salt ^ (step << 32))
            {
                tally.states += 1;
                tally.recoveries += 1;
                judge(&left, notes, check)
                    .map_err(|error| (format!("step {step} of the recovery and {label}"), error))?;
            }
            step += stride;
        }
        Ok(())
    }
}

fn judge<A>(image: &Sim, notes: &A, check: &impl Fn(&Sim, &A) -> Outcome) -> Result<(), String> {
    match catch_unwind(AssertUnwindSafe(|| check(image, notes))) {
        Ok(outcome) => outcome.map_err(|error| error.to_string()),
        Err(_) => Err("the check panicked".to_owned()),
    }
}

/// Cuts the power at every step of `workload` and checks every device that may be left: [`Crashes::everywhere`] with
/// the defaults of [`Crashes::new`].
///
/// # Panics
///
/// If the check finds a promise broken; the message names the seed, the step and the crash.
pub fn crash_everywhere<A: Default>(
    seed: u64,
    workload: impl Fn(&Sim, &mut A) -> Outcome,
    check: impl Fn(&Sim, &A) -> Outcome,
) -> Tally {
    Crashes::new(seed).everywhere(workload, check)
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} steps, {} states checked, {} of them after a second crash",
            self.steps, self.states, self.recoveries
        )
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Violation {}
