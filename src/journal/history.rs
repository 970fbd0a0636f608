//! The live list of segments for readers: where each starts and ends, kept up by the writing end, and waypoints inside.

use std::collections::BTreeMap;

use parking_lot::RwLock;

use crate::clock::Timestamp;
use crate::journal::chain::Stretch;
use crate::position::Lsn;
use crate::segment::reader::{Place, SegmentFile};

/// Waypoints stand at least this far apart, so that finding a record reads little more than this.
const WAYPOINT_BYTES: u64 = 64 * 1024;

/// One segment as readers see it.
#[derive(Clone, Debug)]
pub(crate) struct Leg {
    pub(crate) segment: SegmentFile,
    /// Where its live frames end; `None` for the active one.
    pub(crate) end: Option<u64>,
    /// The first record in it, or the next to come.
    pub(crate) first_lsn: Lsn,
}

/// A checked place inside a segment where reading can start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waypoint {
    pub(crate) place: Place,
    /// The time of the last record before it.
    pub(crate) time: Timestamp,
}

impl Waypoint {
    fn lsn(&self) -> Lsn {
        self.place.next_lsn.unwrap_or_default()
    }
}

/// All segments of the history in order.
#[derive(Debug)]
pub(crate) struct History {
    legs: RwLock<Vec<Leg>>,
    /// The sparse index, by segment number: filled by whoever writes or reads past. It only speeds reading up; every
    /// frame behind a waypoint is checked like any other.
    waypoints: RwLock<BTreeMap<u64, Vec<Waypoint>>>,
}

impl History {
    /// The history that a chain makes up; `next_lsn` is the record after the last one.
    pub(crate) fn of(stretches: &[Stretch], next_lsn: Lsn) -> History {
        let mut legs: Vec<Leg> = Vec::new();
        let mut first_after = next_lsn;
        for stretch in stretches.iter().rev() {
            let first_lsn = stretch.first_lsn.filter(|first| *first <= first_after).unwrap_or(first_after);
            first_after = first_lsn;
            legs.push(Leg { segment: stretch.segment.clone(), end: stretch.end(), first_lsn });
        }
        legs.reverse();
        History { legs: RwLock::new(legs), waypoints: RwLock::default() }
    }

    /// Notes a place just passed in segment `number`, if it is far enough from the last one; `time` is asked for only
    /// then. Returns the offset from which the next one may stand.
    pub(crate) fn pass(&self, number: u64, place: Place, time: impl FnOnce() -> Timestamp) -> u64 {
        let from = |known: Option<&Vec<Waypoint>>| {
            known.and_then(|known| known.last()).map_or(0, |last| last.place.offset + WAYPOINT_BYTES)
        };
        let next = from(self.waypoints.read().get(&number));
        if place.offset < next {
            return next;
        }
        let time = time();
        let mut waypoints = self.waypoints.write();
        let known = waypoints.entry(number).or_default();
        if place.offset >= from(Some(known)) {
            known.push(Waypoint { place, time });
        }
        from(Some(known))
    }

    /// The offset of the last waypoint of segment `number`: at least so much of it is filled.
    pub(crate) fn passed(&self, number: u64) -> u64 {
        let waypoints = self.waypoints.read();
        waypoints.get(&number).and_then(|known| known.last()).map_or(0, |last| last.place.offset)
    }

    /// The last waypoint of segment `number` at or before `lsn`.
    pub(crate) fn waypoint_at(&self, number: u64, lsn: Lsn) -> Option<Place> {
        let waypoints = self.waypoints.read();
        let known = waypoints.get(&number)?;
        let after = known.partition_point(|waypoint| waypoint.lsn() <= lsn);
        known[..after].last().map(|waypoint| waypoint.place)
    }

    /// The record at the last waypoint of segment `number` that has only records before `time` behind it.
    pub(crate) fn waypoint_before(&self, number: u64, time: Timestamp) -> Option<Lsn> {
        let waypoints = self.waypoints.read();
        let known = waypoints.get(&number)?;
        let after = known.partition_point(|waypoint| waypoint.time < time);
        known[..after].last().map(Waypoint::lsn)
    }

    /// Ends the active segment at `end` and goes on with `next`.
    pub(crate) fn roll(&self, end: u64, next: SegmentFile, first_lsn: Lsn) {
        let mut legs = self.legs.write();
        if let Some(last) = legs.last_mut() {
            last.end = Some(end);
        }
        legs.push(Leg { segment: next, end: None, first_lsn });
    }

    /// The segment that holds `lsn`, or the first one.
    pub(crate) fn leg_for(&self, lsn: Lsn) -> Option<Leg> {
        let legs = self.legs.read();
        let index = legs.partition_point(|leg| leg.first_lsn <= lsn).saturating_sub(1);
        legs.get(index).cloned()
    }

    /// The segment that holds `lsn`, if segment `number` was let go meanwhile.
    pub(crate) fn leg_instead_of(&self, number: u64, lsn: Lsn) -> Option<Leg> {
        let legs = self.legs.read();
        let first = legs.first()?;
        (first.segment.birth.number > number && first.first_lsn <= lsn).then(|| first.clone())
    }

    /// The segment after the one numbered `number`.
    pub(crate) fn leg_after(&self, number: u64) -> Option<Leg> {
        let legs = self.legs.read();
        let index = legs.iter().position(|leg| leg.segment.birth.number == number)?;
        legs.get(index + 1).cloned()
    }

    /// A copy of the list.
    pub(crate) fn legs(&self) -> Vec<Leg> {
        self.legs.read().clone()
    }

    /// Forgets the segments before the one numbered `first`; returns them.
    pub(crate) fn drop_before(&self, first: u64) -> Vec<Leg> {
        let mut legs = self.legs.write();
        let index = legs.iter().position(|leg| leg.segment.birth.number == first).unwrap_or(0);
        let dropped: Vec<Leg> = legs.drain(..index).collect();
        let mut waypoints = self.waypoints.write();
        for leg in &dropped {
            waypoints.remove(&leg.segment.birth.number);
        }
        dropped
    }
}
