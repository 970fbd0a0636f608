//! The live list of segments for readers: where each starts and ends, kept up by the writing end.

use parking_lot::RwLock;

use crate::journal::chain::Stretch;
use crate::position::Lsn;
use crate::segment::reader::SegmentFile;

/// One segment as readers see it.
#[derive(Clone, Debug)]
pub(crate) struct Leg {
    pub(crate) segment: SegmentFile,
    /// Where its live frames end; `None` for the active one.
    pub(crate) end: Option<u64>,
    /// The first record in it, or the next to come.
    pub(crate) first_lsn: Lsn,
}

/// All segments of the history in order.
#[derive(Debug)]
pub(crate) struct History {
    legs: RwLock<Vec<Leg>>,
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
        History { legs: RwLock::new(legs) }
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
        legs.drain(..index).collect()
    }
}
