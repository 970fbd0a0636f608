//! The state as of a moment is the fold of all records at or before it, and the answer names the position (J8).

#![cfg(feature = "sim")]
#![allow(clippy::expect_used, clippy::panic, reason = "this is a test")]

mod state_parts;

use std::sync::Arc;
use std::time::Duration;

use everlog::clock::Clock;
use everlog::journal::Retention;
use everlog::medium::Sim;
use everlog::testing::ManualClock;
use everlog::{ErrorKind, Journaled, Lsn, Position, Timestamp, When};
use state_parts::*;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn open(sim: &Sim, clock: &Arc<ManualClock>) -> Journaled<Bank> {
    inline().clock(clock.clone()).open_on(Arc::new(sim.clone())).expect("opens")
}

/// One deposit of 1 cent a minute.
fn deposit_each_minute(bank: &Journaled<Bank>, clock: &ManualClock, count: u32) {
    for _ in 0..count {
        bank.commit(deposit(1, 1)).expect("commits");
        clock.advance(MINUTE);
    }
}

fn total(bank: &Journaled<Bank>, when: &When) -> u64 {
    bank.at(when).expect("is there").total()
}

#[test]
fn a_moment_is_named_by_position_time_distance_or_pin() {
    let clock = clock();
    let bank = open(&Sim::new(1), &clock);
    deposit_each_minute(&bank, &clock, 30);
    let third = bank.events(..).expect("reads").nth(2).expect("a third").expect("checks");
    bank.pin("third", When::position(third.position), "for later").expect("pins");
    for when in [
        When::position(third.position),
        When::lsn(Lsn::new(3)),
        When::timestamp(third.time),
        When::time("2026-11-19T18:02:00Z").expect("a time"),
        When::time("2026-11-19T20:02:59.999999+02:00").expect("a time"),
        When::ago(28 * MINUTE),
        When::pin("third"),
    ] {
        let past = bank.at(&when).expect("is there");
        assert_eq!((past.total(), past.position(), past.time()), (3, third.position, third.time), "{when:?}");
        assert!(!past.is_open());
    }
    assert_eq!(total(&bank, &When::now()), 30);
    assert_eq!(total(&bank, &When::position(Position::START)), 0);
    assert_eq!(total(&bank, &When::time("2026-11-19T17:59:59Z").expect("a time")), 0, "before the first");
    assert_eq!(When::time("2026-11-19T18:00:00").expect_err("no zone").kind(), &ErrorKind::Input);
    assert_eq!(bank.at(When::pin("fourth")).expect_err("no pin").kind(), &ErrorKind::Absent);
    assert_eq!(bank.at(When::lsn(Lsn::new(99))).expect_err("not yet").kind(), &ErrorKind::Absent);
}

#[test]
fn events_at_the_same_instant_are_all_in_and_the_instant_stays_open() {
    let clock = clock();
    let bank = open(&Sim::new(2), &clock);
    let first = bank.commit(deposit(1, 1)).expect("commits");
    let second = bank.commit(deposit(1, 2)).expect("commits");
    assert_eq!(first.time, second.time, "the clock stands still");
    let past = bank.at(When::timestamp(first.time)).expect("is there");
    assert_eq!((past.total(), past.position()), (3, second.position));
    assert!(past.is_open(), "more may happen at this instant");
    bank.commit(deposit(1, 4)).expect("commits");
    assert_eq!(total(&bank, &When::timestamp(first.time)), 7, "and did");
    assert_eq!(total(&bank, &When::position(first.position)), 1, "positions tell them apart");
    clock.advance(MINUTE);
    bank.commit(deposit(1, 8)).expect("commits");
    let past = bank.at(When::timestamp(first.time)).expect("is there");
    assert_eq!(past.total(), 7);
    assert!(!past.is_open(), "something later has happened");
}

#[test]
fn a_clock_that_steps_back_reorders_nothing() {
    let clock = clock();
    let sim = Sim::new(3);
    let bank = open(&sim, &clock);
    deposit_each_minute(&bank, &clock, 3);
    clock.set_wall(clock.wall().minus(5 * HOUR));
    let stepped = bank.commit(deposit(1, 10)).expect("commits");
    deposit_each_minute(&bank, &clock, 2);
    let times: Vec<Timestamp> =
        bank.events(..).expect("reads").map(|event| event.expect("checks").time).collect();
    assert!(times.is_sorted() && times.len() == 6, "{times:?}");
    assert_eq!(bank.status().clock_steps, 1);
    assert_eq!(total(&bank, &When::position(stepped.position)), 13);
    assert_eq!(total(&bank, &When::timestamp(times[2])), 15, "all at the last time before the step");
    let live = state(&bank);
    assert_eq!(live.last.as_ref().map(|last| last.1), Some(times[5].micros()));
    bank.close().expect("closes");
    assert_eq!(state(&open(&sim, &clock)), live, "the note about the step moved no event");
}

#[test]
fn a_position_inside_a_transaction_means_before_the_whole_of_it() {
    let clock = clock();
    let bank = open(&Sim::new(4), &clock);
    deposit_each_minute(&bank, &clock, 2);
    // Large enough to span frames.
    let many = 40_000;
    let receipt =
        bank.transaction(|_| Ok((0..many).map(|_| deposit(2, 1)))).expect("commits").expect("events");
    let inside = Position { lsn: receipt.first_lsn.plus(many / 2), ..receipt.position };
    let past = bank.at(inside).expect("is there");
    assert_eq!((past.total(), past.position().lsn.get()), (2, 2));
    assert_eq!(total(&bank, &When::position(receipt.position)), 2 + many);
}

#[test]
fn ranges_of_events_have_the_ends_that_were_asked_for() {
    let clock = clock();
    let bank = open(&Sim::new(5), &clock);
    deposit_each_minute(&bank, &clock, 10);
    let at = |minute: u64| {
        let start: Timestamp = START.parse().expect("a time");
        When::timestamp(start.plus(minute as u32 * MINUTE))
    };
    let lsn = |lsn| When::lsn(Lsn::new(lsn));
    let lsns = |events: everlog::Events<Bank>| -> Vec<u64> {
        events.map(|event| event.expect("checks").position.lsn.get()).collect()
    };
    assert_eq!(lsns(bank.events(..).expect("reads")), (1..=10).collect::<Vec<_>>());
    assert_eq!(lsns(bank.events(at(7)..).expect("reads")), [8, 9, 10]);
    assert_eq!(lsns(bank.events(at(3)..at(5)).expect("reads")), [4, 5]);
    assert_eq!(lsns(bank.events(at(3)..=at(5)).expect("reads")), [4, 5, 6]);
    assert_eq!(lsns(bank.events(lsn(3)..lsn(5)).expect("reads")), [3, 4]);
    assert_eq!(lsns(bank.events(lsn(3)..=lsn(3)).expect("reads")), [3]);
    assert_eq!(lsns(bank.events(..lsn(3)).expect("reads")), [1, 2]);
    assert_eq!(lsns(bank.events(When::ago(2 * MINUTE)..).expect("reads")), [9, 10]);
    assert_eq!(lsns(bank.events(lsn(5)..lsn(3)).expect("reads")), [0; 0]);
    let after = (std::ops::Bound::Excluded(lsn(8)), std::ops::Bound::Unbounded);
    assert_eq!(lsns(bank.events(after).expect("reads")), [9, 10]);
}

#[test]
fn a_moment_before_the_horizon_is_an_error_that_names_the_earliest() {
    let clock = clock();
    let sim = Sim::new(6);
    let bank = open(&sim, &clock);
    deposit_each_minute(&bank, &clock, 2000);
    bank.tick().expect("works");
    bank.snapshot().expect("makes a snapshot");
    deposit_each_minute(&bank, &clock, 2000);
    let compacted = bank.compact(&Retention::forever().age(HOUR)).expect("compacts");
    let horizon = compacted.horizon;
    assert!(horizon.lsn > Lsn::new(2000), "{compacted:?}");
    for when in [When::position(Position { lsn: Lsn::new(7), ..horizon }), When::ago(4000 * MINUTE)] {
        let errors = [bank.at(&when).err(), bank.events(when.clone()..).err(), bank.rollback_to(&when).err()];
        for error in errors {
            let error = error.expect("gone");
            let ErrorKind::BeforeHorizon { earliest, earliest_time } = error.kind() else {
                panic!("{error}")
            };
            assert_eq!(*earliest, horizon);
            assert_eq!(total(&bank, &When::position(*earliest)), horizon.lsn.get());
            assert_eq!(total(&bank, &When::timestamp(*earliest_time)), horizon.lsn.get());
            assert!(error.what().contains(&horizon.to_string()), "{error}");
        }
    }
    let gone = bank.subscribe(Position { lsn: Lsn::new(7), ..horizon }).expect_err("gone");
    assert!(matches!(gone.kind(), ErrorKind::BeforeHorizon { .. }));
    assert_eq!(total(&bank, &When::ago(HOUR)), 4000 - 60 + 1, "inside the window every instant is there");
    let live = state(&bank);
    bank.close().expect("closes");
    let bank = open(&sim, &clock);
    assert_eq!(state(&bank), live);
    assert_eq!(bank.events(..).expect("reads").count() as u64, 4000 - horizon.lsn.get());
}

#[test]
fn a_state_without_a_version_is_not_compacted() {
    #[derive(Default, serde::Serialize, serde::Deserialize)]
    struct Plain(u64);
    impl everlog::Fold for Plain {
        type Event = u64;
        const NAME: &'static str = "plain";
        const VERSION: u16 = 1;
        fn apply(&mut self, event: &u64, _: &everlog::Stamp) {
            self.0 += event;
        }
    }
    let plain = inline::<Plain>().open_on(Arc::new(Sim::new(7))).expect("opens");
    plain.commit(1).expect("commits");
    plain.snapshot().expect("a snapshot is only a short cut");
    let error = plain.compact(&Retention::forever()).expect_err("refused");
    assert_eq!(error.kind(), &ErrorKind::Unsupported);
    assert!(error.to_string().contains("STATE_VERSION"), "{error}");
}
