//! A rollback appends: the state is what it was, nothing is forgotten, and it can be rolled back itself.

#![cfg(feature = "sim")]
#![allow(clippy::expect_used, clippy::panic, reason = "this is a test")]

mod state_parts;

use everlog::medium::Sim;
use everlog::medium::sim::Crash;
use everlog::{ErrorKind, Item, Journaled, Meta, Position, When};
use state_parts::*;

fn with_three_deposits(sim: &Sim) -> (Journaled<Bank>, Vec<Position>) {
    let bank = open_on(sim);
    let positions = (1..=3).map(|cents| bank.commit(deposit(1, cents)).expect("commits").position).collect();
    (bank, positions)
}

#[test]
fn the_state_is_what_it_was_at_the_target_now_and_after_reopening() {
    let sim = Sim::new(1);
    let (bank, positions) = with_three_deposits(&sim);
    let target = When::position(positions[0]);
    let was = bank.at(&target).expect("is there").into_state();
    let preview = bank.rollback_to(&target).expect("previews");
    assert_eq!((preview.target(), preview.from()), (positions[0], positions[2]));
    assert_eq!((preview.state_before().total(), preview.state_after().total()), (6, 1));
    assert_eq!(bank.read(Bank::total).expect("reads"), 6, "a preview changes nothing");
    let receipt = preview.commit().expect("commits");
    assert_eq!(state(&bank), was);
    assert_eq!(bank.latest(Bank::clone).expect("reads"), was);
    bank.commit(deposit(1, 10)).expect("goes on from there");
    assert_eq!(bank.read(Bank::total).expect("reads"), 11);
    assert_eq!(bank.at(receipt.position).expect("is there").into_state(), was);
    assert_eq!(bank.at(positions[2]).expect("is there").total(), 6, "nothing is forgotten");
    let live = state(&bank);
    for style in [Crash::LoseAll, Crash::KeepAll] {
        assert_eq!(state(&open_on(&sim.crash(style))), live, "{style:?}");
    }
    bank.snapshot().expect("makes a snapshot");
    bank.close().expect("closes");
    assert_eq!(state(&open_on(&sim)), live);
}

#[test]
fn a_rollback_can_be_rolled_back() {
    let sim = Sim::new(2);
    let (bank, positions) = with_three_deposits(&sim);
    let before = state(&bank);
    bank.rollback_to(Position::START).expect("previews").commit().expect("commits");
    assert_eq!(state(&bank), Bank::default());
    let undo = bank.rollback_to(positions[2]).expect("previews").commit().expect("commits");
    assert_eq!(state(&bank), before);
    bank.rollback_to(When::lsn(undo.position.lsn.before())).expect("previews").commit().expect("commits");
    assert_eq!(state(&bank), Bank::default(), "back to the first rollback");
    assert_eq!(state(&open_on(&sim.crash(Crash::LoseAll))), Bank::default());
}

#[test]
fn a_commit_since_the_preview_is_a_conflict_and_a_pin_is_not() {
    let (bank, positions) = with_three_deposits(&Sim::new(3));
    let target = When::position(positions[0]);
    let stale = bank.rollback_to(&target).expect("previews");
    bank.commit(deposit(1, 100)).expect("commits");
    let live = state(&bank);
    assert_eq!(stale.commit().expect_err("something moved").kind(), &ErrorKind::Conflict);
    assert_eq!(state(&bank), live);
    let preview = bank.rollback_to(&target).expect("previews");
    bank.pin("here", When::now(), "").expect("pins");
    preview.commit().expect("a pin changes no state");
    let stale = bank.rollback_to(When::pin("here")).expect("previews");
    bank.rollback_to(When::pin("here")).expect("previews").commit().expect("commits");
    assert_eq!(stale.commit().expect_err("a rollback is a change").kind(), &ErrorKind::Conflict);
    assert_eq!(state(&bank), live);
}

#[test]
fn rollbacks_stand_among_the_events_with_their_target() {
    let (bank, positions) = with_three_deposits(&Sim::new(4));
    let by_bob = bank.with_meta(Meta::new().actor("bob").cause("a mistake"));
    by_bob.rollback_to(positions[1]).expect("previews").commit().expect("commits");
    let last = bank.events(..).expect("reads").last().expect("some").expect("checks");
    assert_eq!(last.item, Item::Rollback { target: positions[1] });
    assert_eq!(last.meta.expect("was said").actor.as_deref(), Some("bob"));
}

#[test]
fn a_crash_at_any_step_of_a_rollback_leaves_the_state_before_or_after_it() {
    let prepare = || {
        let sim = Sim::new(5);
        let (bank, positions) = with_three_deposits(&sim);
        let preview = bank.rollback_to(positions[0]).expect("previews");
        (sim, bank, preview)
    };
    let (sim, bank, preview) = prepare();
    let first = sim.steps() + 1;
    preview.commit().expect("commits");
    let last = sim.steps();
    drop(bank);
    assert!(last > first + 3, "a run, its name and a record");
    for step in first..=last {
        let (sim, bank, preview) = prepare();
        sim.power_cut_at(step);
        let acknowledged = preview.commit().is_ok();
        for (label, after) in sim.crash_images(30, step) {
            let total = open_on(&after).read(Bank::total).expect("reads");
            assert!(total == 1 || (total == 6 && !acknowledged), "step {step}, {label}: {total}");
        }
        drop(bank);
    }
}
