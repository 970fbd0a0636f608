//! Watching a part of a store: what is there, and from then on what changes, each change once and when it is durable.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::position::{Lsn, Position};
use crate::store::Store;
use crate::store::feed::{Ear, Found, Pipe, WAIT};
use crate::store::key::{self, Named};
use crate::store::order::Committed;
use crate::store::path::{IntoPath, Path};
use crate::store::value::Value;
use crate::store::version::{Effect, Version};

/// How many transactions wait for one watcher before it is told that it missed some.
pub const WATCH_WAITING_MAX: usize = 1024;
/// How many documents are read at once while telling what is there.
const PAGE: usize = 64;

/// What a watcher is told.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum WatchItem {
    /// This is there. Of a collection each document, and each entry of its series under the path of the series.
    Current {
        /// Where: the watched path, or what is under it.
        path: Path,
        /// What is there.
        value: Value,
    },
    /// That was all that is there; what follows are changes.
    CaughtUp {
        /// The last record that is in what was told.
        position: Position,
    },
    /// A transaction changed this.
    Changed {
        /// Where: the watched path, or what is under it.
        path: Path,
        /// What stood there before the transaction.
        old: Option<Value>,
        /// What stands there after it.
        new: Option<Value>,
        /// Who did it, if that was said.
        actor: Option<Arc<str>>,
        /// The last record of the transaction that had to do with it.
        position: Position,
        /// When it was.
        time: Timestamp,
    },
    /// So many transactions came faster than they were taken, and are not told. What is there follows once more, as at the
    /// start: forget what you know.
    Lagged {
        /// How many transactions are not told.
        missed: u64,
    },
}

/// A transaction that has to do with what is watched.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) before: Arc<Version>,
    pub(crate) committed: Arc<Committed>,
}

/// What waits for one watcher.
#[derive(Debug)]
pub(crate) struct Backlog {
    prefix: Path,
    waiting: VecDeque<Step>,
    waiting_max: usize,
    /// How many were dropped, and the version after the last of them.
    lag: Option<(u64, Arc<Version>)>,
}

enum Due {
    Step(Step),
    Lag(u64, Arc<Version>),
}

impl Backlog {
    /// Whether a commit may have to do with what is watched.
    pub(crate) fn concerns(&self, committed: &Committed) -> bool {
        committed.effects.iter().any(|(_, effect)| {
            let removes = effect.new.is_none();
            let shifts =
                removes && may_shift(&effect.path).is_some_and(|list| list.is_prefix_of(&self.prefix));
            shifts || related(&self.prefix, &effect.path)
        })
    }

    pub(crate) fn push(&mut self, step: Step) {
        let lagged = self.lag.as_ref().map(|(missed, _)| *missed);
        if lagged.is_none() && self.waiting.len() < self.waiting_max {
            self.waiting.push_back(step);
            return;
        }
        let missed = lagged.unwrap_or(0) + self.waiting.len() as u64 + 1;
        self.waiting.clear();
        self.lag = Some((missed, Arc::clone(&step.committed.version)));
    }

    fn pop(&mut self) -> Option<Due> {
        if let Some((missed, version)) = self.lag.take() {
            return Some(Due::Lag(missed, version));
        }
        self.waiting.pop_front().map(Due::Step)
    }
}

fn related(prefix: &Path, path: &Path) -> bool {
    key::is_users(path.collection()) && (prefix.is_prefix_of(path) || path.is_prefix_of(prefix))
}

/// The path above `path`, if that may be a list: when the element at `path` is taken out, those behind it move up.
pub(crate) fn may_shift(path: &Path) -> Option<Path> {
    let (last, list) = path.segments().split_last()?;
    let digits = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    (digits && list.len() > 1).then(|| Path::of_segments(list))
}

/// One place under a prefix that a transaction changed.
pub(crate) struct Place {
    pub(crate) path: Path,
    pub(crate) old: Option<Value>,
    pub(crate) new: Option<Value>,
    pub(crate) position: Position,
}

/// What a transaction really changed under `prefix`: the difference between before and after, each place once and none
/// inside another; of series each entry.
pub(crate) fn changed_under(prefix: &Path, before: &Version, committed: &Committed) -> Result<Vec<Place>> {
    let after = &committed.version;
    let mut entries: BTreeMap<(Path, (Timestamp, Lsn)), Place> = BTreeMap::new();
    let mut touched: BTreeMap<Path, Position> = BTreeMap::new();
    for (position, effect) in &committed.effects {
        let position = *position;
        if let Some(entry) = effect.entry {
            if key::is_users(effect.path.collection()) && prefix.is_prefix_of(&effect.path) {
                let Effect { path, old, new, .. } = effect.clone();
                let first = || Place { path: path.clone(), old, new: None, position };
                let place = entries.entry((path.clone(), entry)).or_insert_with(first);
                (place.new, place.position) = (new, position);
            }
            continue;
        }
        let list = if effect.new.is_none() { may_shift(&effect.path) } else { None };
        let path = match list {
            Some(list) if is_list(before, &list)? || is_list(after, &list)? => list,
            _ => effect.path.clone(),
        };
        if related(prefix, &path) {
            touched.insert(if prefix.is_prefix_of(&path) { path } else { prefix.clone() }, position);
        }
    }
    let mut places: Vec<Place> = Vec::new();
    for (path, position) in touched {
        // In the order of paths what is inside another comes right behind it.
        if let Some(above) = places.last_mut().filter(|above| above.path.is_prefix_of(&path)) {
            above.position = above.position.max(position);
            continue;
        }
        let (old, new) = (before.value(&path)?, after.value(&path)?);
        places.push(Place { path, old, new, position });
    }
    places.extend(entries.into_values());
    places.retain(|place| place.old != place.new);
    Ok(places)
}

fn is_list(version: &Version, path: &Path) -> Result<bool> {
    Ok(version.value(path)?.is_some_and(|value| value.as_array().is_some()))
}

/// Tells what is there, a page at a time.
#[derive(Debug)]
struct Walk {
    version: Arc<Version>,
    /// What the keys start with, and the key to go on from; `None` when all was told.
    rest: Option<(Vec<u8>, Vec<u8>)>,
}

impl Walk {
    /// Begins to tell what `version` has under `prefix`; a value inside a document is told at once.
    fn begin(prefix: &Path, version: Arc<Version>, due: &mut VecDeque<WatchItem>) -> Result<Walk> {
        let mut rest = match (prefix.segments(), prefix.key()) {
            // Keys that begin with a zero are no documents.
            ([], _) => Some((Vec::new(), vec![1])),
            ([collection], _) => Some((key::all_of(collection), key::all_of(collection))),
            ([collection, name], _) => Some((key::series(collection, name), key::series(collection, name))),
            _ => None,
        };
        if prefix.segments().len() > 1
            && let Some(value) = version.value(prefix)?
        {
            due.push_back(WatchItem::Current { path: prefix.clone(), value });
        }
        if prefix.segments().len() > 2 {
            rest = None;
        }
        Ok(Walk { version, rest })
    }

    /// Tells some more; the last is that it is all.
    fn go_on(&mut self, due: &mut VecDeque<WatchItem>) -> Result<bool> {
        let Some((prefix, from)) = self.rest.take() else {
            due.push_back(WatchItem::CaughtUp { position: self.version.position });
            return Ok(false);
        };
        let mut count = 0;
        for pair in self.version.range_from(&prefix, from).take(PAGE) {
            let (bytes, document) = pair?;
            count += 1;
            // Whatever the last of them is, a document or not: there may be more behind it.
            if count == PAGE {
                self.rest = Some((prefix.clone(), [&bytes[..], &[0]].concat()));
            }
            let path = match key::read(&bytes) {
                Some(Named::Document { collection, key }) => Path::of_segments([collection, key]),
                Some(Named::Entry { collection, key, .. }) => Path::of_segments([collection, &*key]),
                None => continue,
            };
            if key::is_users(path.collection()) {
                due.push_back(WatchItem::Current { path, value: document.value.clone() });
            }
        }
        Ok(true)
    }
}

/// What is there and what changes, from [`Store::watch`].
///
/// As an iterator it blocks until there is something, and ends when the store is closed, when its last handle is gone, or
/// after an error: a watch does not keep the store open. As a stream it is polled with [`Watch::poll_next`].
#[derive(Debug)]
pub struct Watch {
    prefix: Path,
    ear: Ear<Backlog>,
    walk: Option<Walk>,
    /// Ready to be told.
    due: VecDeque<WatchItem>,
    ended: bool,
}

impl Watch {
    /// The next item, waiting for it at most `timeout`; `None` if there is none by then, or no more
    /// ([`Watch::has_ended`]).
    ///
    /// # Errors
    ///
    /// `Damaged` if what is there cannot be read; `Poisoned` after a failed write or sync. The watch has ended then.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<Result<WatchItem>> {
        loop {
            if let Some(ready) = self.ready() {
                return ready;
            }
            let found = self.ear.take(timeout, Backlog::pop);
            if let Some(outcome) = self.take_in(found) {
                return outcome;
            }
        }
    }

    /// Whether nothing more will come.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The next item, as a stream is polled: `Ready(None)` is the end. Waits for nothing; what is there may have to be
    /// read from the disk.
    ///
    /// # Errors
    ///
    /// As [`Watch::next_timeout`].
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<WatchItem>>> {
        loop {
            if let Some(ready) = self.ready() {
                return Poll::Ready(ready);
            }
            let Poll::Ready(found) = self.ear.poll(context, Backlog::pop) else { return Poll::Pending };
            if let Some(outcome) = self.take_in(found) {
                return Poll::Ready(outcome);
            }
        }
    }

    /// The next item as a future; `None` is the end. Needs no runtime.
    ///
    /// # Errors
    ///
    /// As [`Watch::next_timeout`].
    pub async fn next_async(&mut self) -> Option<Result<WatchItem>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// What can be told without waiting; `Some(None)` is the end.
    fn ready(&mut self) -> Option<Option<Result<WatchItem>>> {
        loop {
            if let Some(item) = self.due.pop_front() {
                return Some(Some(Ok(item)));
            }
            if self.ended {
                return Some(None);
            }
            match self.walk.as_mut()?.go_on(&mut self.due) {
                Ok(true) => {}
                Ok(false) => self.walk = None,
                Err(error) => return Some(self.fail(error)),
            }
        }
    }

    fn fail(&mut self, error: Error) -> Option<Result<WatchItem>> {
        self.ended = true;
        self.due.clear();
        Some(Err(error))
    }

    /// Makes items of what came; the outcome if there is none to be made.
    fn take_in(&mut self, found: Found<Due>) -> Option<Option<Result<WatchItem>>> {
        let taken = match found {
            Found::Nothing => return Some(None),
            Found::Ended(error) => {
                self.ended = true;
                return Some(error.map(Err));
            }
            Found::Item(Due::Step(step)) => self.tell(&step),
            Found::Item(Due::Lag(missed, version)) => {
                self.due.push_back(WatchItem::Lagged { missed });
                Walk::begin(&self.prefix, version, &mut self.due).map(|walk| self.walk = Some(walk))
            }
        };
        taken.err().map(|error| self.fail(error))
    }

    fn tell(&mut self, step: &Step) -> Result<()> {
        let committed = &step.committed;
        let actor: Option<Arc<str>> =
            committed.meta.as_ref().and_then(|meta| meta.actor.as_deref()).map(Arc::from);
        let time = committed.version.time;
        for place in changed_under(&self.prefix, &step.before, committed)? {
            let Place { path, old, new, position } = place;
            self.due.push_back(WatchItem::Changed { path, old, new, actor: actor.clone(), position, time });
        }
        Ok(())
    }
}

impl Iterator for Watch {
    type Item = Result<WatchItem>;

    fn next(&mut self) -> Option<Result<WatchItem>> {
        loop {
            let next = self.next_timeout(WAIT);
            if next.is_some() || self.ended {
                return next;
            }
        }
    }
}

impl Store {
    /// Tells what is at and under `prefix`, and from then on every change there, without a gap and without telling
    /// anything twice: first [`WatchItem::Current`] for each document, then [`WatchItem::CaughtUp`], then
    /// [`WatchItem::Changed`] as transactions become durable, in their order.
    ///
    /// A transaction is told by what differs before and after it: a value that was set to what it was is not told, and a
    /// change above the watched path is told if, and as, it changes what is watched. A watcher never delays a commit. One
    /// that is slow is told that it [`Lagged`](WatchItem::Lagged) when [`WATCH_WAITING_MAX`] transactions wait for it.
    ///
    /// Of a store that was opened for reading only it tells what is there, and ends.
    ///
    /// # Errors
    ///
    /// `Input` if `prefix` leads nowhere; `Damaged` if what is there cannot be read.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> everlog::Result<()> {
    /// # let directory = tempfile::tempdir().expect("a directory");
    /// use everlog::Store;
    /// use everlog::store::WatchItem;
    ///
    /// let store = Store::open(directory.path().join("store"))?;
    /// store.set("settings.theme", "dark")?;
    /// let watch = store.watch("settings.theme")?;
    /// store.set("settings.theme", "light")?;
    /// store.close()?;
    /// let items: Vec<WatchItem> = watch.collect::<everlog::Result<_>>()?;
    /// assert!(matches!(
    ///     &items[..],
    ///     [WatchItem::Current { .. }, WatchItem::CaughtUp { .. }, WatchItem::Changed { new: Some(new), .. }]
    ///         if new.as_str() == Some("light")
    /// ));
    /// # Ok(())
    /// # }
    /// ```
    pub fn watch(&self, prefix: impl IntoPath) -> Result<Watch> {
        self.watch_bounded(prefix.into_path()?, WATCH_WAITING_MAX)
    }

    /// [`Store::watch`] with a bound of your own for what waits.
    ///
    /// # Errors
    ///
    /// As [`Store::watch`].
    pub fn watch_with(&self, prefix: impl IntoPath, waiting_max: usize) -> Result<Watch> {
        self.watch_bounded(prefix.into_path()?, waiting_max)
    }

    /// [`Store::watch`] of everything.
    ///
    /// # Errors
    ///
    /// As [`Store::watch`].
    pub fn watch_all(&self) -> Result<Watch> {
        self.watch_bounded(Path::of_segments([] as [&str; 0]), WATCH_WAITING_MAX)
    }

    fn watch_bounded(&self, prefix: Path, waiting_max: usize) -> Result<Watch> {
        self.order.outside()?;
        if !prefix.segments().is_empty() && !key::is_users(prefix.collection()) {
            let what = format!("{prefix} is of the store itself, and not to be watched");
            return Err(Error::new(ErrorKind::Input, what));
        }
        let backlog = Backlog {
            prefix: prefix.clone(),
            waiting: VecDeque::new(),
            waiting_max: waiting_max.max(1),
            lag: None,
        };
        let pipe = Arc::new(Pipe::new(backlog));
        let (version, ear) = self.order.listen(pipe);
        let mut due = VecDeque::new();
        let walk = Some(Walk::begin(&prefix, version, &mut due)?);
        Ok(Watch { prefix, ear, walk, due, ended: false })
    }
}
