//! Whether everything is saved, as a stream: clean, dirty, saving, saved, failed; and when a limit is half used up.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::position::Position;
use crate::store::Store;
use crate::store::bounds::Filled;
use crate::store::feed::{Ear, Found, Pipe, WAIT};

/// The most that waits for one listener; the newest stay.
const CHANGES_MAX: usize = 64;

/// What there is to say about what was accepted and is not on the disk yet.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Saving {
    /// Everything that was accepted is durable.
    Clean,
    /// So many commits were accepted and are not durable yet.
    Dirty(u64),
    /// They are on their way: saving begins as soon as the disk is free, by itself.
    Saving,
    /// Everything up to there is durable.
    Saved {
        /// The last record of the last commit.
        position: Position,
        /// Its time.
        time: Timestamp,
    },
    /// A limit is half used up: the time to tell somebody. Said once each time that it comes to be so, and at the beginning if
    /// it is. [`Store::usage`] has it all, and whether it still is so.
    HalfFull {
        /// The collection whose limit it is; `None` for that of the store.
        collection: Option<String>,
        /// Bytes of all keys and values as text.
        current: u64,
        /// The limit.
        max: u64,
    },
    /// A write or sync failed: nothing is accepted until the store is reopened (J5). The last thing said.
    Failed(Error),
}

/// What waits for one listener.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    due: VecDeque<Saving>,
    waiting: usize,
    /// The limits that are half used up, and were said to be.
    high: BTreeSet<Option<String>>,
}

impl Changes {
    pub(crate) fn accepted(&mut self, waiting: usize) {
        let begins = self.waiting == 0;
        self.waiting = waiting;
        self.push(Saving::Dirty(waiting as u64));
        if begins {
            self.push(Saving::Saving);
        }
    }

    pub(crate) fn saved(&mut self, position: Position, time: Timestamp, waiting: usize) {
        self.waiting = waiting;
        self.push(Saving::Saved { position, time });
        match waiting {
            0 => self.push(Saving::Clean),
            _ => {
                self.push(Saving::Dirty(waiting as u64));
                self.push(Saving::Saving);
            }
        }
    }

    pub(crate) fn taken_back(&mut self) {
        if std::mem::take(&mut self.waiting) > 0 {
            self.push(Saving::Clean);
        }
    }

    /// Says which limits have come to be half used up; `high` are all that are.
    pub(crate) fn filled(&mut self, high: &[Filled]) {
        self.high.retain(|known| high.iter().any(|filled| filled.collection == *known));
        for Filled { collection, current, max } in high {
            if self.high.insert(collection.clone()) {
                // Of one limit only the newest waits, so that there are never more than there are limits.
                self.due.retain(
                    |due| !matches!(due, Saving::HalfFull { collection: of, .. } if of == collection),
                );
                let collection = collection.clone();
                self.push(Saving::HalfFull { collection, current: *current, max: *max });
            }
        }
    }

    /// Adds what is new; of two numbers in a row the newer stays.
    fn push(&mut self, change: Saving) {
        if let (Some(Saving::Dirty(last)), Saving::Dirty(new)) = (self.due.back_mut(), &change) {
            *last = *new;
            return;
        }
        if self.due.len() >= CHANGES_MAX {
            // What is said only once stays.
            let oldest = self.due.iter().position(|due| !matches!(due, Saving::HalfFull { .. }));
            oldest.map(|oldest| self.due.remove(oldest));
        }
        self.due.push_back(change);
    }
}

/// A stream of [`Saving`], from [`Store::status_changes`]. As an iterator it blocks, and ends when the store is closed,
/// when its last handle is gone, or after [`Saving::Failed`].
///
/// Whoever is slow misses older ones and never the newest, nor a [`Saving::HalfFull`]; memory is bounded, and no commit waits.
#[derive(Debug)]
pub struct StatusChanges {
    ear: Ear<Changes>,
    ended: bool,
}

impl StatusChanges {
    /// The next one, waiting for it at most `timeout`; `None` if there is none by then, or no more
    /// ([`StatusChanges::has_ended`]).
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<Saving> {
        if self.ended {
            return None;
        }
        let found = self.ear.take(timeout, |changes| changes.due.pop_front());
        self.tell(found)
    }

    /// Whether nothing more will come.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The next one, as a stream is polled: `Ready(None)` is the end. Never blocks.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Saving>> {
        if self.ended {
            return Poll::Ready(None);
        }
        self.ear.poll(context, |changes| changes.due.pop_front()).map(|found| self.tell(found))
    }

    /// The next one as a future; `None` is the end. Needs no runtime.
    pub async fn next_async(&mut self) -> Option<Saving> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    fn tell(&mut self, found: Found<Saving>) -> Option<Saving> {
        match found {
            Found::Item(change) => Some(change),
            Found::Nothing => None,
            Found::Ended(error) => {
                self.ended = true;
                error.map(Saving::Failed)
            }
        }
    }
}

impl Iterator for StatusChanges {
    type Item = Saving;

    fn next(&mut self) -> Option<Saving> {
        while !self.ended {
            let next = self.next_timeout(WAIT);
            if next.is_some() {
                return next;
            }
        }
        None
    }
}

impl Store {
    /// Tells from now on when commits are accepted and when they are on the disk, as a program shows beside a document, and
    /// when a limit comes to be half used up. The first item is how it is now. Does not keep the store open.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> everlog::Result<()> {
    /// # let directory = tempfile::tempdir().expect("a directory");
    /// use everlog::Store;
    /// use everlog::store::Saving;
    ///
    /// let store = Store::open(directory.path().join("store"))?;
    /// let changes = store.status_changes();
    /// store.set("settings.theme", "dark")?;
    /// store.close()?;
    /// let words: Vec<Saving> = changes.collect();
    /// assert!(matches!(words[..], [Saving::Clean, Saving::Dirty(1), Saving::Saving, Saving::Saved { .. }, Saving::Clean]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn status_changes(&self) -> StatusChanges {
        // What is durable by now, or was taken back, waits for nothing; an error leaves more to tell.
        let _unheard = self.order.publish();
        let mut queue = self.order.queue.lock();
        let mut changes = Changes::default();
        match queue.waiting.len() {
            0 => changes.push(Saving::Clean),
            waiting => changes.accepted(waiting),
        }
        changes.filled(&self.order.view_unlagged().filled());
        let pipe = Arc::new(Pipe::new(changes));
        if self.order.journal.writer_core().is_err() {
            queue.feeds.end(None);
        }
        queue.feeds.add_status(&pipe);
        self.order.ensure_tended(&mut queue.feeds);
        StatusChanges { ear: Ear::new(pipe, &self.order, &queue.feeds), ended: false }
    }
}
