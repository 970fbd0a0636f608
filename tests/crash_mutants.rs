//! The crash checker is worth something only if it catches broken code: each lie here breaks one rule of the design, and
//! the same workload and check that pass without it must find a violation.
#![cfg(feature = "sim")]

mod crash_kit;

use crash_kit::{ACTS, Act, Lie, check, play};
use everlog::testing::Crashes;

/// What the checker says about `lie`; fails if it says nothing.
fn caught(lie: Lie, acts: &[Act]) -> String {
    let found =
        Crashes::new(5).images(12).recoveries(6, 3).run(|sim, notes| play(sim, notes, acts, lie), check);
    let violation = found.expect_err("the lie goes unnoticed").to_string();
    println!("{lie:?}: {violation}");
    violation
}

#[test]
fn acknowledging_before_the_sync_is_caught() {
    assert!(caught(Lie::SkipSync, ACTS).contains("J"));
}

#[test]
fn leaving_out_the_sync_of_names_is_caught() {
    assert!(caught(Lie::SkipNames, ACTS).contains("J"));
}

#[test]
fn believing_a_sync_that_was_tried_again_is_caught() {
    let acts = [Act::Do(crash_kit::appends), Act::FailSync, Act::Do(crash_kit::appends)];
    assert!(caught(Lie::RetrySync, &acts).contains("J1"));
}

#[test]
fn a_link_written_before_the_copies_are_durable_is_caught() {
    let acts = [Act::Do(crash_kit::appends), Act::Die, Act::Do(crash_kit::appends), Act::Die, Act::Die];
    assert!(caught(Lie::EarlyLink, &acts).contains("J"));
}

#[test]
fn a_mark_that_is_too_high_is_caught() {
    let acts =
        [Act::Do(crash_kit::appends), Act::Do(crash_kit::buffered_unwaited), Act::Do(crash_kit::ticks)];
    assert!(caught(Lie::MarkTooHigh, &acts).contains("J6"));
}
