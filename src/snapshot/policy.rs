//! Which snapshots stay and where the horizon goes: decisions only, no files.
//!
//! What must hold, whatever the history policy says (J9):
//!
//! * The horizon never goes back, and moves only to a verified snapshot.
//! * It never passes the oldest pin.
//! * From it up, at least two verified snapshots are kept.
//! * What is in the window stays restorable: the horizon's snapshot is at least as old as the window.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::position::{Lsn, Position};

/// How much history a journal keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum History {
    /// All of it.
    Forever,
    /// What is inside the limits. History goes when it is past either of them; a limit that is `None` lets none go.
    Within {
        /// Every instant as far back as this stays restorable.
        age: Option<Duration>,
        /// Bytes of segments to hold to, even if the age would keep more.
        bytes: Option<u64>,
    },
}

/// A snapshot of the living branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) position: Position,
    /// The time of its last record.
    pub(crate) time: Timestamp,
    pub(crate) trust: Trust,
}

/// What is known of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Every block was read back and checked.
    Verified,
    /// Not so, or not yet.
    Unverified,
}

/// A segment, as far as retention cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The last record in it.
    pub(crate) last: Lsn,
    pub(crate) bytes: u64,
}

/// All that a decision rests on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) snapshots: &'a [Held],
    pub(crate) pins: &'a [Position],
    pub(crate) segments: &'a [Extent],
    pub(crate) history: History,
    /// The horizon until now; `Position::START` while the log is whole.
    pub(crate) horizon: Position,
    /// The journal's own time, in which a step of the wall clock does not count (J8).
    pub(crate) now: Timestamp,
}

/// What retention does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    /// Segments that end at or below it may go.
    pub(crate) horizon: Position,
    /// Snapshots that stay, newest first.
    pub(crate) keep: Vec<Position>,
    /// Snapshots that go, oldest first.
    pub(crate) drop: Vec<Position>,
}

/// How many of the newest snapshots are kept, and how many verified ones.
const NEWEST_KEPT: usize = 2;
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Decides on the facts, and on nothing else.
pub(crate) fn decide(facts: &Facts<'_>) -> Decision {
    let mut snapshots = facts.snapshots.to_vec();
    snapshots.sort_unstable_by_key(|held| std::cmp::Reverse(order(held.position)));
    let horizon = horizon(facts, &snapshots);
    let kept = ladder(facts, &snapshots, horizon);
    let (keep, mut drop): (Vec<Position>, Vec<Position>) =
        snapshots.iter().map(|held| held.position).partition(|position| kept.contains(&order(*position)));
    drop.reverse();
    Decision { horizon, keep, drop }
}

/// Lsn first: on one branch it is the order of the records.
fn order(position: Position) -> (Lsn, crate::position::Epoch) {
    (position.lsn, position.epoch)
}

/// The new horizon; `snapshots` are newest first.
fn horizon(facts: &Facts<'_>, snapshots: &[Held]) -> Position {
    let History::Within { age, bytes } = facts.history else { return facts.horizon };
    let oldest_pin = facts.pins.iter().map(|pin| pin.lsn).min().unwrap_or(Lsn::MAX);
    // Verified ones but the newest: each leaves itself and at least one above it. Newest first.
    let candidates: Vec<&Held> = snapshots
        .iter()
        .filter(|held| held.trust == Trust::Verified)
        .skip(NEWEST_KEPT - 1)
        .filter(|held| held.position.lsn > facts.horizon.lsn && held.position.lsn <= oldest_pin)
        .collect();
    let by_age = age.and_then(|age| {
        let edge = facts.now.minus(age);
        candidates.iter().find(|held| held.time <= edge)
    });
    let by_bytes =
        bytes.filter(|max| bytes_above(facts.segments, facts.horizon.lsn) > *max).and_then(|max| {
            let fits = |held: &&&Held| bytes_above(facts.segments, held.position.lsn) <= max;
            candidates.iter().rev().find(fits).or(candidates.first())
        });
    let wanted = by_age.into_iter().chain(by_bytes).map(|held| held.position);
    wanted.chain([facts.horizon]).max_by_key(|position| order(*position)).unwrap_or(facts.horizon)
}

/// Bytes of the segments that must stay while records above `horizon` are readable.
fn bytes_above(segments: &[Extent], horizon: Lsn) -> u64 {
    let staying = segments.iter().filter(|segment| segment.last > horizon);
    staying.fold(0, |sum, segment| sum.saturating_add(segment.bytes))
}

/// The snapshots to keep; `snapshots` are newest first. In each hour of the last day, and in each day before that, it is
/// the oldest verified one, which stays the oldest however many follow.
fn ladder(
    facts: &Facts<'_>,
    snapshots: &[Held],
    horizon: Position,
) -> BTreeSet<(Lsn, crate::position::Epoch)> {
    let usable: Vec<&Held> = snapshots.iter().filter(|held| held.position.lsn >= horizon.lsn).collect();
    let verified = || usable.iter().filter(|held| held.trust == Trust::Verified);
    let mut kept: BTreeSet<_> = usable
        .iter()
        .take(NEWEST_KEPT)
        .chain(verified().take(NEWEST_KEPT))
        .map(|held| order(held.position))
        .collect();
    kept.extend(
        usable
            .iter()
            .map(|held| held.position)
            .filter(|position| *position == horizon || facts.pins.contains(position))
            .map(order),
    );
    let mut rungs = BTreeSet::new();
    kept.extend(
        verified()
            .rev()
            .filter(|held| rungs.insert(rung(facts.now, held.time)))
            .map(|held| order(held.position)),
    );
    kept
}

/// The hour or the day that a snapshot stands for.
fn rung(now: Timestamp, time: Timestamp) -> (Duration, u128) {
    let width = if now.since(time) < DAY { HOUR } else { DAY };
    (width, u128::from(time.micros()) / width.as_micros())
}
