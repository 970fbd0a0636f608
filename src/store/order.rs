//! The one order of a store: commits decide on the pending version, readers see the newest that is durable (J4, J12).
//!
//! Each commit leaves a version behind it, which waits until it is durable and is then published (`publish.rs`). When numbers are taken back (a full disk) the pending version is made anew
//! from the log, which alone knows what became of them.
//!
//! Locks are taken in the order pending, queue, and those of the journal last.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::{Mutex, MutexGuard};

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::commit::{Entered, Reserved, Sitter};
use crate::journal::{Durability, Journal, Receipt};
use crate::position::{Epoch, Lsn, Position};
use crate::state::Meta;
use crate::state::commit::{Manner, TransactionError};
use crate::state::inside::{self, Inside};
use crate::state::registry::{self, Place};
use crate::store::bounds::{Ages, Pace};
use crate::store::collection::Declared;
use crate::store::diff::Scope;
use crate::store::encoded::Encoded;
use crate::store::feed::Feeds;
use crate::store::offer::Offers;
use crate::store::replay;
use crate::store::rules::Rules;
use crate::store::transaction::{Draft, Tx};
use crate::store::undo::Scopes;
use crate::store::version::{Effect, Version};

/// What all clones of a store share.
pub(crate) struct Order {
    /// Tells stores apart.
    pub(crate) id: u64,
    pub(crate) journal: Journal,
    pub(super) epoch: Epoch,
    /// Held while a commit decides and takes its place.
    pub(super) pending: Mutex<Pending>,
    pub(super) queue: Mutex<Queue>,
    /// Somebody listens, or did once.
    pub(super) listened: AtomicBool,
    pub(super) published: ArcSwap<Version>,
    /// The end of the first commit in the queue, for readers that look without a lock; `u64::MAX` if there is none.
    pub(super) first_waiting: AtomicU64,
    /// Set once the handle is one that others may be given.
    pub(crate) place: OnceLock<Place>,
    /// What the program demands of the data.
    pub(crate) rules: Arc<Rules>,
    /// What a rollback leaves alone.
    pub(super) kept: Scope,
    pub(super) undo: Scopes,
    /// What was offered and has no place yet.
    pub(super) offers: Offers,
    /// Held while a snapshot is made.
    pub(super) upkeep: Mutex<()>,
    /// For the threads that work beside the commits.
    pub(super) me: Weak<Order>,
}

/// The version of everything that has a place in the order.
pub(super) struct Pending {
    pub(super) version: Version,
    /// How often numbers had been taken back when it was made.
    pub(super) refusals: u64,
    /// The number of the last sealed overlay.
    sealed: u64,
    /// The journal has failed, and it was made from the published one for the last time.
    frozen: bool,
    pace: Pace,
}

pub(super) struct Queue {
    pub(super) waiting: VecDeque<Arc<Committed>>,
    /// How often numbers had been taken back when its numbers were given.
    pub(super) refusals: u64,
    /// Who is told of what is published.
    pub(super) feeds: Feeds,
}

/// A commit that has its place: the version it leaves, and what it did.
#[derive(Clone, Debug)]
pub(crate) struct Committed {
    pub(crate) version: Arc<Version>,
    pub(crate) meta: Option<Arc<Meta>>,
    /// Each with the position of its record.
    pub(crate) effects: Vec<(Position, Effect)>,
}

/// What became of a decision.
pub(crate) enum Decided<T> {
    /// It has its place; the journal tells when it is durable.
    Entered(T, Entered),
    /// It changed nothing, and what it was decided on is durable.
    Nothing(T, Receipt),
}

/// How a transaction came out.
pub(crate) type Outcome<T, E> = Result<Decided<T>, TransactionError<E>>;

/// A decision that has begun: the order is held.
struct Begun<'a> {
    pending: MutexGuard<'a, Pending>,
    standing: Standing,
    reserved: Reserved,
    draft: Draft,
}

/// What an answer stands on: it may leave when the record is durable and no number was taken back (J4).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) last: Position,
    pub(crate) time: Timestamp,
    refusals: u64,
    /// It was durable when the decision began, so that nothing can take it back any more.
    is_durable: bool,
}

impl Standing {
    /// What a decision that begins now stands on. The order is held: nobody else is given numbers.
    fn of(pending: &Pending, journal: &Journal) -> Standing {
        let Position { lsn, .. } = pending.version.position;
        let is_durable = lsn <= journal.durable_lsn();
        let (last, time) = (pending.version.position, pending.version.time);
        Standing { last, time, refusals: pending.refusals, is_durable }
    }

    /// The error that it was taken back with, if it may have been.
    pub(crate) fn refusal(&self, journal: &Journal) -> Result<Option<Error>> {
        let core = journal.writer_core()?;
        Ok(if self.is_durable { None } else { core.refusal_since(self.refusals) })
    }

    /// The receipt of a transaction that changed nothing.
    pub(crate) fn receipt(&self) -> Receipt {
        let (position, time) = (self.last, self.time);
        Receipt { position, first_lsn: position.lsn, time, durability: Durability::Synced }
    }
}

impl Order {
    /// Folds the log of an opened journal.
    pub(crate) fn new(
        journal: Journal,
        rules: Arc<Rules>,
        kept: Scope,
        declared: Declared,
    ) -> Result<Arc<Order>> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1 << 32);
        let mut version = replay::fold_to(&journal, journal.durable_lsn())?;
        version.declared = Arc::new(declared.of_store(journal.identity().id));
        let pace = Pace::new(&journal, version.position.lsn);
        let epoch = journal.writer_core().map_or(Epoch::ZERO, |core| core.sink().epoch());
        Ok(Arc::new_cyclic(|me| Order {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            journal,
            epoch,
            pending: Mutex::new(Pending {
                version: version.clone(),
                refusals: 0,
                sealed: 0,
                frozen: false,
                pace,
            }),
            queue: Mutex::new(Queue { waiting: VecDeque::new(), refusals: 0, feeds: Feeds::default() }),
            listened: AtomicBool::new(false),
            published: ArcSwap::from_pointee(version),
            first_waiting: AtomicU64::new(u64::MAX),
            place: OnceLock::new(),
            rules,
            kept,
            undo: Scopes::default(),
            offers: Offers::default(),
            upkeep: Mutex::new(()),
            me: me.clone(),
        }))
    }

    /// Closes the journal and frees its directory for another handle.
    pub(crate) fn close(&self) -> Result<()> {
        self.log_offered();
        let closed = registry::close(self.place.get(), self.id, &self.journal);
        self.end_feeds();
        closed
    }

    /// The version at a record of the past, which must be durable.
    pub(crate) fn fold_to(&self, through: Lsn) -> Result<Version> {
        let declared = Arc::clone(&self.published.load().declared);
        let mut version = replay::fold_to(&self.journal, through)?;
        version.declared = declared;
        Ok(version)
    }

    /// While this lives, the thread is inside a closure of the store.
    fn inside(&self) -> (Inside, Option<Inside>) {
        (inside::enter(self.id), self.place.get().map(Place::enter))
    }

    /// Refuses calls from inside a closure.
    pub(crate) fn outside(&self) -> Result<()> {
        inside::refuse(self.id)
    }

    /// Lets `body` decide on the pending version, exactly once, and gives what it did its place in the order. Whatever
    /// was decided is answered once it stands on something durable (J4).
    pub(crate) fn decide<T, E>(
        &self,
        manner: &Manner,
        sitter: Sitter,
        body: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<Decided<T>, TransactionError<E>> {
        let (outcome, standing) = self.decide_now(manner, sitter, body)?;
        self.ring();
        if !matches!(outcome, Ok(Decided::Entered(..))) {
            self.settle(standing)?;
        }
        outcome
    }

    /// Takes the order and looks at the place that a decision would have.
    fn begin(&self, manner: &Manner) -> Result<Begun<'_>> {
        self.outside()?;
        self.rules.admit()?;
        let pending = self.lock_pending()?;
        self.journal.writer_core()?.accepting()?;
        let standing = Standing::of(&pending, &self.journal);
        let reserved = self.reserve(pending.refusals)?;
        let start = Position::new(self.epoch, reserved.first_lsn);
        let draft = Draft::new(&pending.version, start, reserved.time, manner.meta.clone());
        Ok(Begun { pending, standing, reserved, draft })
    }

    /// The same, but waits for nothing: the outcome must be kept back until what it stands on is durable, unless it has
    /// a place of its own.
    pub(crate) fn decide_now<T, E>(
        &self,
        manner: &Manner,
        sitter: Sitter,
        body: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<(Outcome<T, E>, Standing)> {
        let Begun { mut pending, standing, reserved, mut draft } = self.begin(manner)?;
        let decided = {
            let _inside = self.inside();
            body(&mut Tx::new(&mut draft, self)).map_err(TransactionError::Refused)
        };
        let decided = decided.and_then(|answer| {
            let elapsed = self.bound(&pending, &mut draft).map_err(TransactionError::Journal)?;
            Ok((answer, elapsed))
        });
        let outcome = match decided {
            Ok((answer, _)) if draft.is_empty() => Ok(Decided::Nothing(answer, standing.receipt())),
            Ok((answer, elapsed)) => {
                match self.enter(&mut pending, manner, sitter, draft, (reserved, elapsed)) {
                    Ok(entered) => Ok(Decided::Entered(answer, entered)),
                    Err(error) => Err(TransactionError::Journal(error)),
                }
            }
            Err(refusal) => Err(refusal),
        };
        Ok((outcome, standing))
    }

    /// Has a draft keep the bounds of collections and the limits of the store; tells when that was.
    pub(super) fn bound(&self, pending: &Pending, draft: &mut Draft) -> Result<Duration> {
        let elapsed = self.journal.opened_with().clock.elapsed();
        draft.bound(&Ages::new(&self.journal, &pending.pace, elapsed))?;
        Ok(elapsed)
    }

    /// Lets `body` decide as if it were a commit, and lets `look` look at what it would do and whether that is within the
    /// bounds. Nothing comes of it.
    pub(crate) fn rehearse<T, E, L>(
        &self,
        manner: &Manner,
        body: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
        look: impl FnOnce(&Draft, Result<()>) -> Result<L>,
    ) -> Result<(T, L), TransactionError<E>> {
        let Begun { pending, standing, mut draft, .. } = self.begin(manner)?;
        let decided = {
            let _inside = self.inside();
            body(&mut Tx::new(&mut draft, self)).map_err(TransactionError::Refused)
        };
        let outcome = decided.and_then(|answer| {
            let bounded = self.bound(&pending, &mut draft).map(drop);
            let seen = look(&draft, bounded).map_err(TransactionError::Journal)?;
            Ok((answer, seen))
        });
        drop(pending);
        self.settle(standing)?;
        outcome
    }

    /// The same on a version at hand, for a store that is only read.
    pub(crate) fn rehearse_on<T, E, L>(
        &self,
        version: &Version,
        manner: &Manner,
        body: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
        look: impl FnOnce(&Draft, Result<()>) -> Result<L>,
    ) -> Result<(T, L), TransactionError<E>> {
        self.outside()?;
        self.rules.admit()?;
        let now = self.journal.opened_with().clock.wall().max(version.time);
        let start = Position::new(version.position.epoch, version.position.lsn.next());
        let mut draft = Draft::new(version, start, now, manner.meta.clone());
        let answer = {
            let _inside = self.inside();
            body(&mut Tx::new(&mut draft, self)).map_err(TransactionError::Refused)?
        };
        let bounded = draft.bound(&Ages::at(&self.journal, now));
        let seen = look(&draft, bounded).map_err(TransactionError::Journal)?;
        Ok((answer, seen))
    }

    /// Commits what `body` does and returns when it is as durable as the manner says.
    pub(crate) fn commit<T, E>(
        &self,
        manner: &Manner,
        body: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<(T, Receipt), TransactionError<E>> {
        match self.decide(manner, Sitter::Thread, body)? {
            Decided::Nothing(answer, receipt) => Ok((answer, receipt)),
            Decided::Entered(answer, entered) => {
                let receipt = self.journal.complete(entered)?;
                self.keep_up();
                Ok((answer, receipt))
            }
        }
    }

    pub(super) fn enter(
        &self,
        pending: &mut Pending,
        manner: &Manner,
        sitter: Sitter,
        draft: Draft,
        (reserved, elapsed): (Reserved, Duration),
    ) -> Result<Entered> {
        let encoded = Encoded::of(&draft, manner)?;
        let records = encoded.records();
        self.journal.check_records(&records)?;
        self.rules.check(draft.ops(), draft.version())?;
        let durability = if draft.is_relaxed() { Durability::Buffered } else { manner.durability };
        match self.journal.enter_reserved(&records, durability, sitter, &reserved)? {
            Some(entered) => {
                let committed = draft.into_committed();
                pending.version = (*committed.version).clone();
                pending.pace.take(&self.journal, pending.version.position.lsn, elapsed);
                self.enqueue(committed);
                Ok(entered)
            }
            // Whoever writes holds the order, pins included, and the place was looked at under it.
            None => Err(Error::new(ErrorKind::Busy, "somebody wrote past the order of the store")
                .advise("try again; nothing was written")),
        }
    }

    pub(super) fn reserve(&self, refusals: u64) -> Result<Reserved> {
        let core = self.journal.writer_core()?;
        let reserved = core.reserve()?;
        match core.refusal_since(refusals) {
            Some(refusal) => Err(refusal),
            None => Ok(reserved),
        }
    }

    /// Takes the order, with a pending version that is what the order says and has all that was offered.
    pub(super) fn lock_pending(&self) -> Result<MutexGuard<'_, Pending>> {
        let mut pending = self.pending.lock();
        self.refresh(&mut pending)?;
        self.enter_offered(&mut pending);
        Ok(pending)
    }

    /// Makes pending anew if numbers were taken back or the journal failed.
    fn refresh(&self, pending: &mut Pending) -> Result<()> {
        let core = self.journal.writer_core()?;
        loop {
            if core.failure().is_some() {
                return self.freeze(pending);
            }
            let refusals = core.refusals();
            if refusals == pending.refusals {
                return Ok(());
            }
            // What still has a place will be durable or be taken back, too; then the log tells what is left.
            let waited = core.wait_durable(core.latest());
            let mut queue = self.queue.lock();
            if core.refusals() != refusals || core.failure().is_some() {
                continue;
            }
            waited?;
            self.read_log(&mut queue.feeds, 0)?;
            queue.waiting.clear();
            queue.refusals = refusals;
            queue.feeds.taken_back();
            self.note_first(&queue);
            pending.version = (*self.published.load_full()).clone();
            pending.refusals = refusals;
        }
    }

    /// After a failure pending is what is durable: the fate of the rest is unknown until the journal is reopened (J5).
    fn freeze(&self, pending: &mut Pending) -> Result<()> {
        if !pending.frozen {
            self.publish()?;
            let mut queue = self.queue.lock();
            queue.waiting.clear();
            self.note_first(&queue);
            pending.version = (*self.published.load_full()).clone();
            pending.refusals = self.journal.writer_core()?.refusals();
            pending.frozen = true;
        }
        Ok(())
    }

    /// What follows a commit: readers get to see it, and now and then there is a snapshot.
    pub(crate) fn keep_up(&self) {
        if self.lags()
            && let Err(error) = self.publish()
        {
            // The commit is durable and is answered as such; readers see it later.
            self.journal.note_trouble(error);
        }
        self.ring();
        let me = self.me.clone();
        self.journal.snapshot_if_due(move |journal| match me.upgrade() {
            Some(order) => {
                let position = order.snapshot()?;
                order.tidy_if_due()?;
                Ok(position)
            }
            None => Ok(journal.position()),
        });
    }

    /// Puts the overlay of the pending version aside; returns its number, the version as it is now, and how often
    /// numbers had been taken back by then.
    pub(super) fn seal(&self) -> Result<(u64, Version, u64)> {
        let mut pending = self.lock_pending()?;
        pending.sealed += 1;
        let number = pending.sealed;
        pending.version.seal(number);
        Ok((number, pending.version.clone(), pending.refusals))
    }

    /// Returns when the version that something was decided on is durable (J4). If it was taken back, that is the error.
    fn settle(&self, standing: Standing) -> Result<()> {
        let core = self.journal.writer_core()?;
        let waited = core.wait_durable(standing.last.lsn);
        match standing.refusal(&self.journal)? {
            Some(refusal) => Err(refusal),
            None => waited,
        }
    }
}

impl Drop for Order {
    fn drop(&mut self) {
        if !self.journal.is_own_thread() {
            self.log_offered();
        }
        registry::abandon(self.place.get(), self.id, &self.journal);
        self.end_feeds();
    }
}
