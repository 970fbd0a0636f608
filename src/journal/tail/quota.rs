//! How large the next segment is, and whether the quota has room for it.

use std::sync::atomic::Ordering;

use crate::error::{Error, ErrorKind, Result};
use crate::journal::spare;
use crate::journal::tail::{End, Tail, reserve_bytes};
#[cfg(feature = "store")]
use crate::segment::frame;

impl Tail {
    /// Segments grow with the journal: each is as large as all before it, between the limits.
    pub(super) fn next_capacity(&self, end: &End) -> u64 {
        self.limits.segment_capacity(end.used_bytes + end.offset)
    }

    /// Refuses ordinary records of so many bytes if the quota would. What is under way is not counted yet.
    #[cfg(feature = "store")]
    pub(crate) fn would_fit(&self, bytes: usize) -> Result<()> {
        let end = self.end.lock();
        self.check_quota(&end, frame::room(bytes, self.limits.aligned), true)
    }

    /// The quota counts whole segments and the newest snapshot. Ordinary records leave a reserve of that snapshot and
    /// two segments, so that a full journal can still be compacted, unpinned and rolled back.
    pub(super) fn check_quota(&self, end: &End, total: u64, ordinary: bool) -> Result<()> {
        if self.limits.journal_bytes_max.is_none() || end.room(&self.limits) >= total {
            return Ok(());
        }
        let room = spare::capacity_for(total + reserve_bytes(self.limits.aligned));
        self.check_quota_of(end, self.next_capacity(end).max(room), ordinary)
    }

    /// The same for a segment more of `proposed` bytes.
    pub(super) fn check_quota_of(&self, end: &End, proposed: u64, ordinary: bool) -> Result<()> {
        let Some(max) = self.limits.journal_bytes_max else { return Ok(()) };
        let snapshot = self.snapshot_bytes.load(Ordering::Relaxed);
        let reserve = if ordinary { snapshot + 2 * self.next_capacity(end) } else { 0 };
        let current = end.live_bytes + snapshot;
        if current + proposed + reserve <= max {
            return Ok(());
        }
        let kind = ErrorKind::Quota { current, proposed, max };
        let what = format!(
            "journal quota reached: {current} bytes in use, {proposed} more needed, {reserve} in reserve, {max} allowed"
        );
        Err(Error::new(kind, what).advise("compact the journal or raise its quota; nothing was written"))
    }
}
