//! Whatever the facts, retention keeps what it promises (J9).

use std::time::Duration;

use proptest::prelude::*;

use crate::clock::Timestamp;
use crate::position::{Lsn, Position};
use crate::snapshot::policy::{Decision, Extent, Facts, Held, History, Trust, decide};
use crate::snapshot::tests::position;

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;
const NOW: u64 = 100 * DAY;

fn seconds(seconds: u64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

/// A verified snapshot at `lsn`, made `age` seconds ago.
fn held(lsn: u64, age: u64) -> Held {
    Held { position: position(1, lsn), time: seconds(NOW - age), trust: Trust::Verified }
}

fn facts<'a>(snapshots: &'a [Held], history: History) -> Facts<'a> {
    let horizon = Position::START;
    Facts { snapshots, pins: &[], segments: &[], history, horizon, now: seconds(NOW) }
}

fn days(days: u64) -> History {
    History::Within { age: Some(Duration::from_secs(days * DAY)), bytes: None }
}

fn lsns(positions: &[Position]) -> Vec<u64> {
    positions.iter().map(|position| position.lsn.get()).collect()
}

#[test]
fn the_horizon_follows_the_age_and_stops_at_pins_and_at_the_second_newest() {
    let four = [held(10, 9 * DAY), held(20, 8 * DAY), held(30, 6 * DAY), held(40, DAY)];
    let table: [(&[Held], &[Position], History, u64); 9] = [
        (&four, &[], days(7), 20),
        (&four, &[], days(8), 20),
        (&four, &[], days(100), 0),
        (&four, &[], days(0), 30),
        (&four, &[], History::Forever, 0),
        (&four, &[], History::Within { age: None, bytes: None }, 0),
        (&four, &[position(1, 35), position(1, 15)], days(0), 10),
        (&four, &[position(1, 9)], days(0), 0),
        (&four[..1], &[], days(0), 0),
    ];
    for (snapshots, pins, history, expected) in table {
        let decision = decide(&Facts { pins, ..facts(snapshots, history) });
        assert_eq!(decision.horizon.lsn.get(), expected, "{pins:?} {history:?}");
    }
}

#[test]
fn only_verified_snapshots_carry_the_horizon() {
    let mut four = [held(10, 9 * DAY), held(20, 8 * DAY), held(30, 6 * DAY), held(40, DAY)];
    four[3].trust = Trust::Unverified;
    assert_eq!(decide(&facts(&four, days(0))).horizon, position(1, 20));
    four[1].trust = Trust::Unverified;
    assert_eq!(decide(&facts(&four, days(0))).horizon, position(1, 10));
    four[0].trust = Trust::Unverified;
    assert_eq!(decide(&facts(&four, days(0))).horizon, Position::START);
}

#[test]
fn bytes_over_the_cap_move_the_horizon_no_further_than_needed() {
    let four = [held(10, 4), held(20, 3), held(30, 2), held(40, 1)];
    let segments = [10, 20, 30, 40, 50].map(|last| Extent { last: Lsn::new(last), bytes: 100 });
    for (cap, expected) in [(500, 0), (499, 10), (300, 20), (299, 30), (0, 30)] {
        let history = History::Within { age: Some(Duration::from_secs(DAY)), bytes: Some(cap) };
        let decision = decide(&Facts { segments: &segments, ..facts(&four, history) });
        assert_eq!(decision.horizon.lsn.get(), expected, "cap {cap}");
    }
}

#[test]
fn the_ladder_keeps_two_and_one_for_each_hour_and_then_one_for_each_day() {
    let ages = [60, 120, 180, HOUR + 60, HOUR + 120, 2 * DAY - 60, 2 * DAY - 120, 3 * DAY - 60];
    let snapshots: Vec<Held> =
        ages.iter().enumerate().map(|(number, age)| held(100 - number as u64, *age)).collect();
    let decision = decide(&facts(&snapshots, History::Forever));
    assert_eq!(lsns(&decision.keep), [100, 99, 98, 96, 94, 93]);
    assert_eq!(lsns(&decision.drop), [95, 97]);
}

#[test]
fn a_snapshot_every_minute_for_a_month_leaves_some_dozens_at_any_time() {
    let mut snapshots = Vec::new();
    for minute in 0..30 * 24 * 60 {
        let now = NOW + minute * 60;
        snapshots.push(Held { time: seconds(now), ..held(minute + 1, 0) });
        let decision = decide(&Facts { now: seconds(now), ..facts(&snapshots, History::Forever) });
        snapshots.retain(|held| decision.keep.contains(&held.position));
        assert!(snapshots.len() <= 2 + 25 + 31, "{} at {minute}", snapshots.len());
    }
    assert!(snapshots.len() >= 24 + 28);
}

fn any_facts() -> impl Strategy<Value = (Vec<Held>, Vec<Position>, Vec<Extent>, History, u64)> {
    let snapshot = (1u64..20, any::<bool>());
    let snapshots = prop::collection::vec(snapshot, 0..12).prop_map(|steps| {
        let mut lsn = 0;
        let held = |(step, verified): (u64, bool)| {
            lsn += step;
            let trust = if verified { Trust::Verified } else { Trust::Unverified };
            Held { position: position(1, lsn), time: seconds(lsn * HOUR), trust }
        };
        steps.into_iter().map(held).collect::<Vec<_>>()
    });
    let pins = prop::collection::vec((1u64..240).prop_map(|lsn| position(1, lsn)), 0..3);
    let segments = prop::collection::vec((1u64..240, 0u64..1000), 0..6).prop_map(|mut segments| {
        segments.sort_unstable();
        segments.into_iter().map(|(last, bytes)| Extent { last: Lsn::new(last), bytes }).collect()
    });
    let age = prop::option::of((0u64..240).prop_map(|hours| Duration::from_secs(hours * HOUR)));
    let within = (age, prop::option::of(0u64..4000)).prop_map(|(age, bytes)| History::Within { age, bytes });
    (snapshots, pins, segments, prop_oneof![Just(History::Forever), within], 0u64..12)
}

proptest! {
    #[test]
    fn no_facts_lead_to_a_broken_promise((snapshots, pins, segments, history, old) in any_facts()) {
        let horizon = snapshots.get(old as usize).map_or(Position::START, |held| held.position);
        let facts = Facts {
            snapshots: &snapshots, pins: &pins, segments: &segments, history, horizon, now: seconds(240 * HOUR),
        };
        let decision = decide(&facts);
        check(&facts, &decision);
        let kept: Vec<Held> =
            snapshots.iter().filter(|held| decision.keep.contains(&held.position)).copied().collect();
        let again = decide(&Facts { snapshots: &kept, horizon: decision.horizon, ..facts });
        prop_assert_eq!(&again.keep, &decision.keep, "deciding twice is deciding once");
        prop_assert_eq!(again.horizon, decision.horizon);
    }
}

fn check(facts: &Facts<'_>, decision: &Decision) {
    let horizon = decision.horizon;
    assert!(horizon.lsn >= facts.horizon.lsn, "the horizon never goes back");
    assert_eq!(decision.keep.len() + decision.drop.len(), facts.snapshots.len());
    let kept = |held: &&Held| decision.keep.contains(&held.position);
    if facts.snapshots.iter().any(|held| held.position == horizon) {
        assert!(decision.keep.contains(&horizon), "the snapshot at the horizon stays");
    }
    if let Some(newest) = facts.snapshots.last().filter(|held| held.position.lsn >= horizon.lsn) {
        assert!(decision.keep.contains(&newest.position), "the newest stays");
    }
    if horizon == facts.horizon {
        return;
    }
    assert!(facts.pins.iter().all(|pin| horizon.lsn <= pin.lsn), "no pin is passed");
    let verified: Vec<&Held> = facts.snapshots.iter().filter(|held| held.trust == Trust::Verified).collect();
    let base = verified.iter().find(|held| held.position == horizon).expect("a verified snapshot carries it");
    let above = verified.iter().copied().filter(kept).filter(|held| held.position.lsn >= horizon.lsn);
    assert!(above.count() >= 2, "two verified snapshots are left");
    match facts.history {
        History::Forever => panic!("forever is for ever"),
        History::Within { age: Some(age), bytes: None } => assert!(base.time <= facts.now.minus(age)),
        History::Within { .. } => {}
    }
}
