//! Crash at every step (J1, J2, J3, J6, J7): whatever a power cut leaves, everything acknowledged is there, in order
//! and whole, nothing legal is refused, and the recovery itself can be crashed.
#![cfg(feature = "sim")]

mod crash_kit;

use crash_kit::{ACTS, Lie, Notes, check, play};
use everlog::medium::sim::Fault;
use everlog::testing::Crashes;

/// `EVERLOG_SEEDS` asks for more than the usual number.
fn seeds(usual: u64) -> u64 {
    std::env::var("EVERLOG_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn all_acts(sim: &everlog::medium::Sim, notes: &mut Notes) -> everlog::testing::Outcome {
    play(sim, notes, ACTS, Lie::None)
}

#[test]
fn a_power_cut_at_every_step_and_another_during_recovery_lose_nothing_acknowledged() {
    for seed in 0..seeds(1) {
        let tally = Crashes::new(seed).images(12).recoveries(4, 2).everywhere(all_acts, check);
        println!("seed {seed}: {tally}");
        assert!(tally.states > 1000, "{tally}");
    }
}

#[test]
fn an_error_at_every_step_loses_nothing_acknowledged_and_the_next_owner_goes_on() {
    let kinds = [
        Fault::Error(std::io::ErrorKind::Other),
        Fault::ErrorPartly(std::io::ErrorKind::Other),
        Fault::Error(std::io::ErrorKind::StorageFull),
        Fault::Interrupted,
        Fault::Short(1),
    ];
    for fault in kinds {
        let tally = Crashes::new(3).fault(fault).images(4).recoveries(1, 1).everywhere(all_acts, check);
        println!("{fault:?}: {tally}");
    }
}
