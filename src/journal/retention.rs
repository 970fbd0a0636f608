//! What retention asks of a journal: how far the horizon may go, and whether the active segment is to end for it.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::journal::Journal;
use crate::journal::commit::WriteError;
#[cfg(feature = "cli")]
use crate::journal::options::FACE_STORE;
#[cfg(feature = "cli")]
use crate::journal::summary::Summary;
use crate::position::Lsn;
use crate::snapshot::policy;

/// How much history to keep when compacting. Pins are kept in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    age: Option<Duration>,
    bytes: Option<u64>,
}

impl Retention {
    /// Everything.
    pub fn forever() -> Retention {
        Retention::default()
    }

    /// Every instant as far back as `age` stays restorable. Counts elapsed time: a step of the clock expires nothing,
    /// and a pause between two sessions counts as a day at most.
    #[must_use]
    pub fn age(mut self, age: Duration) -> Retention {
        self.age = Some(age);
        self
    }

    /// Segments of at most this many bytes, even if the age would keep more.
    #[must_use]
    pub fn bytes(mut self, bytes: u64) -> Retention {
        self.bytes = Some(bytes);
        self
    }

    pub(super) fn history(self) -> policy::History {
        match (self.age, self.bytes) {
            (None, None) => policy::History::Forever,
            (age, bytes) => policy::History::Within { age, bytes },
        }
    }
}

impl Journal {
    /// Up to which record [`Journal::compact`] would free segments now, if any. Changes nothing, and can be asked of a
    /// journal that is open for reading only.
    #[cfg(feature = "cli")]
    pub(crate) fn compaction_target(&self, retention: &Retention) -> Result<Option<Lsn>> {
        if self.identity().creation.face != FACE_STORE {
            self.only_raw("compact")?;
        }
        let now = match self.writer_core() {
            Ok(_) => self.effective_now()?,
            Err(_) => self.with_summary(Summary::time),
        };
        self.wanted_horizon(retention, now)
    }

    /// Whether a compaction would free segments now. Reads no snapshot.
    #[cfg(feature = "store")]
    pub(crate) fn is_compaction_due(&self, retention: &Retention) -> Result<bool> {
        Ok(self.wanted_horizon(retention, self.effective_now()?)?.is_some())
    }

    /// Ends the active segment if a later compaction can free it then, and does nothing else.
    #[cfg(feature = "store")]
    pub(crate) fn end_early_if_due(&self, retention: &Retention) -> Result<()> {
        let _alone = self.inner.upkeep.lock();
        self.end_early(retention)
    }

    /// The same, for a compaction.
    pub(super) fn end_early(&self, retention: &Retention) -> Result<()> {
        // What fails in between must not be vouched for by what comes after it.
        self.check_open()?;
        let Some(number) = self.early_end(retention, self.effective_now()?)? else { return Ok(()) };
        let core = self.writer_core()?;
        match core.sink().end_early(number) {
            Ok(()) => Ok(()),
            Err(WriteError::Refused(error)) => Err(error),
            Err(WriteError::Failed(error)) => {
                core.poison(error.clone());
                Err(error)
            }
        }
    }

    /// The active segment, if only that it has room keeps it: what retention lets go would stay for as long as little is
    /// written.
    fn early_end(&self, retention: &Retention, now: Timestamp) -> Result<Option<u64>> {
        let legs = self.history().legs();
        let (Some(active), end) = (legs.last(), self.durable_lsn()) else { return Ok(None) };
        if active.first_lsn > end || self.pins().iter().any(|pin| pin.position.lsn < end) {
            return Ok(None);
        }
        let total: u64 = legs.iter().map(|leg| leg.segment.birth.capacity).sum();
        let half = |max| self.writer_core().is_ok_and(|core| core.sink().active_bytes() > max / 2);
        let too_big = retention.bytes.is_some_and(|max| total > max && half(max));
        let too_old = match retention.age {
            Some(age) => self.age_at(active.first_lsn, now)? >= age,
            None => false,
        };
        Ok((too_old || too_big).then_some(active.segment.birth.number))
    }

    /// The journal's own time: what its clock shows, but no more after the last record than has passed since the
    /// opening.
    pub(super) fn effective_now(&self) -> Result<Timestamp> {
        let elapsed = self.opened_with().clock.elapsed();
        self.now_after(elapsed.saturating_sub(self.inner.opened_at))
    }

    /// The journal's own time: what its clock shows, but no more than `passed` after the last record.
    pub(crate) fn now_after(&self, passed: Duration) -> Result<Timestamp> {
        let last = self.writer_core()?.sink().proven().time;
        Ok(self.opened_with().clock.wall().min(last.plus(passed)).max(last))
    }

    /// The first record boundary up to which segments may go by age and bytes, short of the oldest pin.
    pub(super) fn wanted_horizon(&self, retention: &Retention, now: Timestamp) -> Result<Option<Lsn>> {
        let legs = self.history().legs();
        let total: u64 = legs.iter().map(|leg| leg.segment.birth.capacity).sum();
        let horizon = self.horizon().lsn;
        let mut wanted = None;
        let mut freed = 0;
        for pair in legs.windows(2) {
            freed += pair[0].segment.birth.capacity;
            let boundary = pair[1].first_lsn.before();
            if boundary <= horizon || boundary >= self.durable_lsn() {
                continue;
            }
            let too_old = match retention.age {
                Some(age) => self.age_at(boundary, now)? >= age,
                None => false,
            };
            let before = total - (freed - pair[0].segment.birth.capacity);
            let too_big = retention.bytes.is_some_and(|bytes| before > bytes);
            if (too_old || too_big) && self.pins().iter().all(|pin| boundary <= pin.position.lsn) {
                wanted = Some(boundary);
            }
        }
        Ok(wanted)
    }

    fn age_at(&self, lsn: Lsn, now: Timestamp) -> Result<Duration> {
        // The state at `lsn` is that of every instant up to the next record.
        let record = self.cursor(lsn.next()).next().transpose()?;
        let time = record.map_or(now, |record| record.time);
        Ok(self.with_summary(|summary| summary.elapsed(lsn, time, now)))
    }
}
