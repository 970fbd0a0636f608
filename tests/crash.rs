//! Crash at every step (J1, J2, J3, J6, J7): whatever a power cut leaves, everything acknowledged is there, in order
//! and whole, nothing legal is refused, and the recovery itself can be crashed.
#![cfg(feature = "sim")]

mod crash_kit;

use crash_kit::{ACTS, COMPACTING, Lie, Notes, check, play};
use everlog::medium::Sim;
use everlog::medium::sim::Fault;
use everlog::testing::Crashes;

/// `EVERLOG_SEEDS` asks for more than the usual number.
fn seeds(usual: u64) -> u64 {
    std::env::var("EVERLOG_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn all_acts(sim: &Sim, notes: &mut Notes) -> everlog::testing::Outcome {
    play(sim, notes, ACTS, Lie::None)
}

#[test]
fn a_power_cut_at_every_step_and_another_during_recovery_lose_nothing_acknowledged() {
    for seed in 0..seeds(1) {
        let tally = Crashes::new(seed).images(8).recoveries(2, 1).everywhere(all_acts, check);
        println!("seed {seed}: {tally}");
        assert!(tally.states > 1000, "{tally}");
    }
}

#[test]
fn a_power_cut_at_every_step_of_snapshots_and_compactions_loses_nothing_acknowledged() {
    for seed in 0..seeds(1) {
        let compacting = |sim: &Sim, notes: &mut Notes| play(sim, notes, COMPACTING, Lie::None);
        let tally = Crashes::new(seed).images(6).recoveries(2, 1).everywhere(compacting, check);
        println!("seed {seed}, compacting: {tally}");
        assert!(tally.states > 1000, "{tally}");
    }
}

/// The workload goes on with the next owner after each error, so one crash afterwards is enough.
fn error_everywhere(fault: Fault) {
    let tally = Crashes::new(3).fault(fault).images(1).recoveries(0, 0).everywhere(all_acts, check);
    println!("{fault:?}: {tally}");
}

#[test]
fn an_error_at_every_step_loses_nothing_acknowledged_and_the_next_owner_goes_on() {
    error_everywhere(Fault::Error(std::io::ErrorKind::Other));
}

#[test]
fn a_sync_that_fails_in_part_at_every_step_loses_nothing_acknowledged() {
    error_everywhere(Fault::ErrorPartly(std::io::ErrorKind::Other));
}

#[test]
fn a_full_disk_at_every_step_loses_nothing_acknowledged() {
    error_everywhere(Fault::Error(std::io::ErrorKind::StorageFull));
}

#[test]
fn short_writes_and_interruptions_at_every_step_lose_nothing_acknowledged() {
    error_everywhere(Fault::Short(1));
    error_everywhere(Fault::Interrupted);
}
