//! Telling those who watch what became durable: a bounded pipe for each, filled when versions are published.
//!
//! Whoever publishes only puts things down, under the lock of the queue and for no longer than that takes; what a change
//! means to a watcher is found out by the watcher itself. Publishing happens in commits and reads, and where a thread may
//! run beside them, in one that waits for the durable end to move.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::error::Error;
use crate::journal::options::Background;
use crate::journal::{Journal, spawn};
use crate::store::order::{Committed, Order};
use crate::store::status::Changes;
use crate::store::version::Version;
use crate::store::watch::{Backlog, Step};

/// How long one wait lasts at most before it looks around.
pub(crate) const WAIT: Duration = Duration::from_secs(3600);
/// The same where nobody else publishes.
const WAIT_ALONE: Duration = Duration::from_millis(20);

/// What lies between the store and one who listens.
#[derive(Debug)]
pub(crate) struct Pipe<S> {
    state: Mutex<State<S>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<S> {
    content: S,
    /// Nothing more comes, and why, if that is an error.
    ended: Option<Option<Error>>,
    waker: Option<Waker>,
    /// The task that waits has something to look at.
    due: bool,
}

/// What a listener finds.
#[derive(Debug)]
pub(crate) enum Found<T> {
    Item(T),
    Nothing,
    /// All was taken, and nothing more comes.
    Ended(Option<Error>),
}

impl<S> Pipe<S> {
    pub(crate) fn new(content: S) -> Pipe<S> {
        let state = State { content, ended: None, waker: None, due: false };
        Pipe { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Changes the content and wakes whoever blocks on it.
    pub(crate) fn change(&self, change: impl FnOnce(&mut S)) {
        let mut state = self.state.lock();
        change(&mut state.content);
        state.due = true;
        self.changed.notify_all();
    }

    fn end(&self, error: Option<Error>) {
        let mut state = self.state.lock();
        state.ended.get_or_insert(error);
        state.due = true;
        self.changed.notify_all();
    }

    /// The task to wake, if it has something to look at.
    fn waker_due(&self) -> Option<Waker> {
        let mut state = self.state.lock();
        let due = std::mem::take(&mut state.due);
        if due { state.waker.take() } else { None }
    }

    /// Takes something out, waiting for it at most `timeout`.
    fn take<T>(&self, timeout: Duration, mut take: impl FnMut(&mut S) -> Option<T>) -> Found<T> {
        let mut state = self.state.lock();
        let mut found = None;
        let mut nothing = |state: &mut State<S>| {
            found = take(&mut state.content);
            found.is_none() && state.ended.is_none()
        };
        if nothing(&mut state) && !timeout.is_zero() {
            self.changed.wait_while_for(&mut state, nothing, timeout);
        }
        match (found, &state.ended) {
            (Some(item), _) => Found::Item(item),
            (None, Some(error)) => Found::Ended(error.clone()),
            (None, None) => Found::Nothing,
        }
    }

    /// Takes something out, or leaves word whom to wake.
    fn poll<T>(&self, context: &Context<'_>, take: impl FnOnce(&mut S) -> Option<T>) -> Poll<Found<T>> {
        // What a waker does when it is copied and let go is not ours: never under the lock.
        let waker = context.waker().clone();
        let mut state = self.state.lock();
        if let Some(item) = take(&mut state.content) {
            return Poll::Ready(Found::Item(item));
        }
        if let Some(error) = &state.ended {
            return Poll::Ready(Found::Ended(error.clone()));
        }
        let old = state.waker.replace(waker);
        drop(state);
        drop(old);
        Poll::Pending
    }

    /// Nobody listens any more.
    fn leave(&self) {
        let old = self.state.lock().waker.take();
        drop(old);
    }
}

/// A listener's end of a pipe. It does not keep the store open.
#[derive(Debug)]
pub(crate) struct Ear<S> {
    pipe: Arc<Pipe<S>>,
    order: Weak<Order>,
    /// Whether a thread publishes beside the commits.
    fed: bool,
}

impl<S> Ear<S> {
    pub(crate) fn new(pipe: Arc<Pipe<S>>, order: &Arc<Order>, feeds: &Feeds) -> Ear<S> {
        Ear { pipe, order: Arc::downgrade(order), fed: feeds.tended }
    }

    /// Takes something out, waiting for it at most `timeout`.
    pub(crate) fn take<T>(&self, timeout: Duration, mut take: impl FnMut(&mut S) -> Option<T>) -> Found<T> {
        if self.fed {
            return self.pipe.take(timeout, take);
        }
        let mut left = timeout;
        loop {
            if let Some(order) = self.order.upgrade() {
                order.tend();
            }
            match self.pipe.take(left.min(WAIT_ALONE), &mut take) {
                Found::Nothing if left > WAIT_ALONE => left -= WAIT_ALONE,
                found => return found,
            }
        }
    }

    /// Takes something out, or leaves word whom to wake.
    pub(crate) fn poll<T>(
        &self,
        context: &Context<'_>,
        take: impl FnOnce(&mut S) -> Option<T>,
    ) -> Poll<Found<T>> {
        self.pipe.poll(context, take)
    }
}

impl<S> Drop for Ear<S> {
    fn drop(&mut self) {
        // Whoever tells may hold the pipe a moment longer, under a lock: the waker is not to go with it.
        self.pipe.leave();
    }
}

/// All who listen.
#[derive(Debug, Default)]
pub(crate) struct Feeds {
    watches: Vec<Weak<Pipe<Backlog>>>,
    statuses: Vec<Weak<Pipe<Changes>>>,
    ended: Option<Option<Error>>,
    /// A thread tends them.
    tended: bool,
}

impl Feeds {
    pub(crate) fn add_watch(&mut self, pipe: &Arc<Pipe<Backlog>>) {
        self.watches.retain(|known| known.strong_count() > 0);
        self.watches.push(Arc::downgrade(pipe));
        if let Some(ended) = &self.ended {
            pipe.end(ended.clone());
        }
    }

    pub(crate) fn add_status(&mut self, pipe: &Arc<Pipe<Changes>>) {
        self.statuses.retain(|known| known.strong_count() > 0);
        self.statuses.push(Arc::downgrade(pipe));
        if let Some(ended) = &self.ended {
            pipe.end(ended.clone());
        }
    }

    /// Tells of a commit that is durable and can be read.
    pub(crate) fn tell(&mut self, before: &Arc<Version>, committed: &Arc<Committed>) {
        for pipe in self.watches.iter().filter_map(Weak::upgrade) {
            let step = || Step { before: Arc::clone(before), committed: Arc::clone(committed) };
            let concerns = pipe.state.lock().content.concerns(committed);
            if concerns {
                pipe.change(|backlog| backlog.push(step()));
            }
        }
    }

    /// Tells that `waiting` commits are not durable yet.
    pub(crate) fn accepted(&mut self, waiting: usize) {
        self.each_status(|changes| changes.accepted(waiting));
    }

    /// Tells that commits are durable and `waiting` others are not.
    pub(crate) fn saved(&mut self, done: &[Arc<Committed>], waiting: usize) {
        if let Some(newest) = done.last() {
            let (position, time) = (newest.version.position, newest.version.time);
            let filled = if self.statuses.is_empty() { Vec::new() } else { newest.version.filled() };
            self.each_status(|changes| {
                changes.saved(position, time, waiting);
                changes.filled(&filled);
            });
        }
    }

    /// Tells that what was not durable is none of the store's any more.
    pub(crate) fn taken_back(&mut self) {
        self.each_status(Changes::taken_back);
    }

    fn each_status(&self, change: impl Fn(&mut Changes)) {
        self.statuses.iter().filter_map(Weak::upgrade).for_each(|pipe| pipe.change(&change));
    }

    pub(crate) fn end(&mut self, error: Option<Error>) {
        let error = self.ended.get_or_insert(error).clone();
        self.watches.iter().filter_map(Weak::upgrade).for_each(|pipe| pipe.end(error.clone()));
        self.statuses.iter().filter_map(Weak::upgrade).for_each(|pipe| pipe.end(error.clone()));
    }

    fn wakers_due(&self) -> Vec<Waker> {
        let watches = self.watches.iter().filter_map(Weak::upgrade).filter_map(|pipe| pipe.waker_due());
        let statuses = self.statuses.iter().filter_map(Weak::upgrade).filter_map(|pipe| pipe.waker_due());
        watches.chain(statuses).collect()
    }
}

impl Order {
    /// Wakes the tasks that have something to look at. Holds no lock of the order while it does.
    pub(crate) fn ring(&self) {
        if !self.listened.load(Ordering::Acquire) {
            return;
        }
        let wakers = self.queue.lock().feeds.wakers_due();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Tells a watcher of everything that is published after the version that it is given.
    pub(crate) fn listen(self: &Arc<Order>, pipe: Arc<Pipe<Backlog>>) -> (Arc<Version>, Ear<Backlog>) {
        // What is durable by now is to be seen; an error leaves the older version, and more to tell.
        let _unheard = self.publish();
        let mut queue = self.queue.lock();
        // Whatever is published holds this lock: nothing falls between the version and the feed.
        let version = self.view_unlagged();
        if self.journal.writer_core().is_err() {
            queue.feeds.end(None);
        }
        queue.feeds.add_watch(&pipe);
        self.ensure_tended(&mut queue.feeds);
        let ear = Ear::new(pipe, self, &queue.feeds);
        (version, ear)
    }

    /// Publishes what is durable, tells who listens, and ends that after a failure. Tells whether it goes on.
    pub(crate) fn tend(&self) -> bool {
        let Ok(core) = self.journal.writer_core() else { return false };
        // A close drains first, and ends the feeds itself.
        let closed = core.is_closed();
        let published = self.publish();
        let failure = core.failure().map(|failure| failure.poisoned()).or(published.err());
        let goes_on = failure.is_none() && !closed;
        if failure.is_some() {
            self.queue.lock().feeds.end(failure);
        }
        self.ring();
        goes_on
    }

    /// Tells what became durable with the close, and that nothing more comes.
    pub(crate) fn end_feeds(&self) {
        self.tend();
        self.queue.lock().feeds.end(None);
        self.ring();
    }

    /// Starts the thread that publishes beside the commits, for those who listen, unless it runs.
    pub(crate) fn ensure_tended(&self, feeds: &mut Feeds) {
        self.listened.store(true, Ordering::Release);
        let threads = self.journal.opened_with().background == Background::Threads;
        if feeds.tended || !threads || self.journal.writer_core().is_err() {
            return;
        }
        let (order, journal) = (Weak::clone(&self.me), self.journal.clone());
        match spawn("everlog-watch", move || tend_on(&order, &journal)) {
            Ok(_) => feeds.tended = true,
            Err(error) => self.journal.note_trouble(error),
        }
    }
}

/// Tends a store until it is closed, dropped or failed.
fn tend_on(order: &Weak<Order>, journal: &Journal) {
    let Ok(core) = journal.writer_core() else { return };
    loop {
        let (seen, refusals) = (journal.durable_lsn(), core.refusals());
        match order.upgrade() {
            Some(order) if order.tend() => {}
            _ => return,
        }
        core.watch_or(seen, WAIT, |now| now != refusals);
    }
}
