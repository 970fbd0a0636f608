//! What readers see of a store: the newest version that is durable, published by whoever committed or by the next reader (J4).
//!
//! Each commit leaves a version behind it. Until a sync covers it the version waits in a queue.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;

use crate::error::Result;
use crate::store::base::Base;
use crate::store::feed::Feeds;
use crate::store::follow::Follower;
use crate::store::order::{Committed, Order, Queue};
use crate::store::version::Version;

impl Order {
    /// The newest durable version. Waits for nobody.
    pub(crate) fn view(&self) -> Arc<Version> {
        if self.lags()
            && let Some(queue) = self.queue.try_lock()
        {
            // An error leaves the older version, and whoever commits next meets it.
            let _unheard = self.publish_with(queue);
        }
        self.published.load_full()
    }

    /// The version of everything that is durable by now. Waits for a commit that is being decided.
    pub(crate) fn settled_view(&self) -> Result<Arc<Version>> {
        self.outside()?;
        // Whoever holds this may have a place in the journal, and none in the queue yet.
        drop(self.pending.lock());
        self.publish()?;
        Ok(self.published.load_full())
    }

    /// The version that was published last. Who holds the queue knows that there is none after it.
    pub(super) fn view_unlagged(&self) -> Arc<Version> {
        self.published.load_full()
    }

    pub(super) fn enqueue(&self, committed: Committed) {
        let mut queue = self.queue.lock();
        queue.waiting.push_back(Arc::new(committed));
        self.note_first(&queue);
        let count = queue.waiting.len();
        queue.feeds.accepted(count);
        if self.listened.load(Ordering::Acquire) {
            // It may have been refused before it was put here, and then nobody else looks. An error meets the next.
            let _unheard = self.publish_with(queue);
        }
    }

    pub(super) fn note_first(&self, queue: &Queue) {
        let first = queue.waiting.front().map_or(u64::MAX, |first| first.version.position.lsn.get());
        self.first_waiting.store(first, Ordering::Release);
    }

    /// Puts the runs of a snapshot below all versions, in place of what was sealed under `number` and before.
    pub(super) fn settle_on(&self, number: u64, base: &Arc<Base>) -> Result<()> {
        let mut pending = self.lock_pending()?;
        // All versions at or before the snapshot must be gone from the queue: `base` is newer than they are.
        self.publish()?;
        let mut queue = self.queue.lock();
        pending.version.settle(number, base);
        for waiting in &mut queue.waiting {
            Arc::make_mut(&mut Arc::make_mut(waiting).version).settle(number, base);
        }
        let mut published = (*self.published.load_full()).clone();
        published.settle(number, base);
        self.published.store(Arc::new(published));
        Ok(())
    }

    /// Whether something durable is not published yet.
    pub(super) fn lags(&self) -> bool {
        self.first_waiting.load(Ordering::Acquire) <= self.journal.durable_lsn().get()
    }

    /// Publishes what became durable.
    pub(crate) fn publish(&self) -> Result<()> {
        self.publish_with(self.queue.lock())
    }

    fn publish_with(&self, mut queue: MutexGuard<'_, Queue>) -> Result<()> {
        // The end is read first: if no number was taken back by the time the refusals are looked at, then none that
        // waits at or below it was.
        let end = self.journal.durable_lsn();
        let core = self.journal.writer_core()?;
        if core.refusals() != queue.refusals {
            // If nothing has a number above the end all is settled: nobody enters before the order is made anew.
            let settled = core.latest() <= end;
            let left = if settled { 0 } else { queue.waiting.len().max(1) };
            self.read_log(&mut queue.feeds, left)?;
            if settled {
                queue.waiting.clear();
                queue.feeds.taken_back();
                self.note_first(&queue);
            }
            return Ok(());
        }
        let count = queue.waiting.partition_point(|waiting| waiting.version.position.lsn <= end);
        if count > 0 {
            let done: Vec<Arc<Committed>> = queue.waiting.drain(..count).collect();
            self.show(&done, &mut queue.feeds);
            let left = queue.waiting.len();
            queue.feeds.saved(&done, left);
        }
        self.note_first(&queue);
        Ok(())
    }

    /// Lets readers see commits, and tells those who watch. The queue is locked by the caller.
    fn show(&self, done: &[Arc<Committed>], feeds: &mut Feeds) {
        let Some(newest) = done.last() else { return };
        let mut before = self.published.swap(Arc::clone(&newest.version));
        for committed in done {
            feeds.tell(&before, committed);
            before = Arc::clone(&committed.version);
        }
    }

    /// Publishes what is durable by reading the log, and tells that `left` commits are not. The queue is locked by the
    /// caller.
    pub(super) fn read_log(&self, feeds: &mut Feeds, left: usize) -> Result<()> {
        let version = (*self.published.load_full()).clone();
        if self.journal.durable_lsn() <= version.position.lsn {
            return Ok(());
        }
        let mut follower = Follower::new(&self.journal, version);
        while let Some(committed) = follower.next()? {
            let done = [Arc::new(committed)];
            self.show(&done, feeds);
            feeds.saved(&done, left);
        }
        Ok(())
    }
}
