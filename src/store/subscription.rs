//! Subscriptions: transactions from a position that the store itself remembers, so that nothing is left out over restarts.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::Receipt;
use crate::position::Position;
use crate::state::when::resolve;
use crate::state::{Meta, When};
use crate::store::Store;
use crate::store::condition::own_path;
use crate::store::feed::WAIT;
use crate::store::follow::Follower;
use crate::store::op::Op;
use crate::store::path::{IntoPath, Path};
use crate::store::transaction::Tx;
use crate::store::value::Value;
use crate::store::view::View;
use crate::store::watch::{Place, changed_under};

/// A transaction as a subscription gives it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Delivered {
    /// Its last record; what to acknowledge.
    pub position: Position,
    /// When it was committed.
    pub time: Timestamp,
    /// What was said about it.
    pub meta: Option<Arc<Meta>>,
    /// What it changed: the difference between before and after it.
    pub changes: Vec<Touched>,
}

/// One place that a transaction changed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Touched {
    /// Where. For an entry of a series the path of the series.
    pub path: Path,
    /// What stood there before.
    pub old: Option<Value>,
    /// What stands there now.
    pub new: Option<Value>,
    /// The record that had to do with it.
    pub position: Position,
}

impl Touched {
    fn of(place: Place) -> Touched {
        let Place { path, old, new, position } = place;
        Touched { path, old, new, position }
    }
}

/// All transactions after a remembered position, in order, from [`Store::subscribe`]. It reads from the log: one that is
/// slow costs no memory and delays nobody.
///
/// Each transaction comes at least once: until it is acknowledged it comes again after a restart. What is done in
/// [`StoreSubscription::transaction`] happens exactly once, since the position moves in the same transaction. As an
/// iterator it blocks, and ends when the store is closed or an error was given. It keeps the store open.
pub struct StoreSubscription {
    store: Store,
    path: Path,
    prefix: Path,
    follower: Follower,
    /// What the store remembers.
    acknowledged: Position,
    /// The last transaction that was given.
    delivered: Position,
    ended: bool,
}

impl fmt::Debug for StoreSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("StoreSubscription");
        f.field("path", &self.path).field("acknowledged", &self.acknowledged).finish_non_exhaustive()
    }
}

impl Store {
    /// Goes on with the subscription called `name` behind what it has acknowledged last. A new one begins here and now:
    /// [`StoreSubscription::view`] is the state that its first transaction follows. Of two that have the same name only
    /// one gets to acknowledge.
    ///
    /// Begins in O(log n) if nothing happened since, else it folds what lies between the snapshot before the position
    /// and the position.
    ///
    /// # Errors
    ///
    /// `BeforeHorizon` if what was not acknowledged is compacted away: take a view and begin again with
    /// [`Store::subscribe_at`]. `Diverged` if the position was cut after a crash. `Input` if the name is empty or over 512
    /// bytes; and as [`Store::transaction`].
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> everlog::Result<()> {
    /// # let directory = tempfile::tempdir().expect("a directory");
    /// # let store = everlog::Store::open(directory.path().join("store"))?;
    /// use std::time::Duration;
    ///
    /// let mut titles = store.subscribe("count titles")?.under("notes")?;
    /// store.set("notes.1.title", "Milk")?;
    /// while let Some(delivered) = titles.next_timeout(Duration::ZERO) {
    ///     let added = delivered?.changes.len() as i64;
    ///     titles.transaction(|tx| tx.increment("totals.titles", added))?; // exactly once
    /// }
    /// assert_eq!(store.get::<i64>("totals.titles")?, Some(1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn subscribe(&self, name: &str) -> Result<StoreSubscription> {
        let path = own_path("subscription:", name)?;
        let (position, _) = self.transaction(|tx| match remembered(tx, &path)? {
            Some(position) => Ok(position),
            None => {
                let here = tx.draft.base().position;
                remember(tx, &path, here)?;
                Ok(here)
            }
        })?;
        self.begin(path, position)
    }

    /// Begins the subscription called `name`, or begins it again, behind `when`; that is durable on return.
    ///
    /// # Errors
    ///
    /// As [`Store::at`] and [`Store::subscribe`].
    pub fn subscribe_at(&self, name: &str, when: impl Into<When>) -> Result<StoreSubscription> {
        self.order.outside()?;
        let path = own_path("subscription:", name)?;
        let position = resolve(&self.order.journal, &when.into())?.position;
        self.transaction(|tx| remember(tx, &path, position))?;
        self.begin(path, position)
    }

    /// Forgets the subscription called `name`; tells whether there was one.
    ///
    /// # Errors
    ///
    /// As [`Store::transaction`].
    pub fn unsubscribe(&self, name: &str) -> Result<bool> {
        let path = own_path("subscription:", name)?;
        Ok(self.transaction(|tx| tx.apply(Op::Remove { path }))?.0)
    }

    fn begin(&self, path: Path, position: Position) -> Result<StoreSubscription> {
        let journal = &self.order.journal;
        // Says so if the position cannot be followed.
        journal.records_after(position).map_err(|error| match error.kind() {
            ErrorKind::BeforeHorizon { .. } | ErrorKind::Diverged { .. } => {
                error.advise("take a view of the store, and begin again with subscribe_at")
            }
            _ => error,
        })?;
        let published = self.order.view();
        let version = match published.position == position {
            true => (*published).clone(),
            false => self.order.fold_to(position.lsn)?,
        };
        Ok(StoreSubscription {
            store: self.clone(),
            path,
            prefix: Path::of_segments([] as [&str; 0]),
            follower: Follower::new(journal, version),
            acknowledged: position,
            delivered: position,
            ended: false,
        })
    }
}

impl StoreSubscription {
    /// Leaves out what does not change anything at or under `prefix`.
    ///
    /// # Errors
    ///
    /// `Input` if `prefix` leads nowhere.
    pub fn under(self, prefix: impl IntoPath) -> Result<StoreSubscription> {
        Ok(StoreSubscription { prefix: prefix.into_path()?, ..self })
    }

    /// The state after the last transaction that was given.
    pub fn view(&self) -> View {
        View::new(Arc::new(self.follower.version().clone()), false)
    }

    /// The last transaction that was read, also if it was left out. To acknowledge it now and then keeps a subscription
    /// that rarely has anything from falling behind the horizon.
    pub fn reached(&self) -> Position {
        self.follower.version().position
    }

    /// The position that the store remembers.
    pub fn acknowledged(&self) -> Position {
        self.acknowledged
    }

    /// Whether nothing more will come: the store was closed, or there was an error.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The next transaction, waiting for it at most `timeout`; `None` if there is none by then, or no more
    /// ([`StoreSubscription::has_ended`]).
    ///
    /// # Errors
    ///
    /// `Reentered` from inside a closure of the same store; `BeforeHorizon` if compaction passed by; `Damaged` if a record
    /// does not check; `Poisoned` after a failed write or sync. The subscription has ended then.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<Result<Delivered>> {
        if self.ended {
            return None;
        }
        let step = self.step(timeout).transpose();
        self.ended |= matches!(step, Some(Err(_)));
        step
    }

    /// Remembers that everything up to `position` is dealt with; durable on return. A position that is remembered already
    /// is none the worse. One inside a transaction, as that of a single change, leaves this transaction to come again as
    /// a whole.
    ///
    /// # Errors
    ///
    /// `Input` if `position` was not given, or not yet; `Diverged` if it was cut after a crash; `Conflict` if another of
    /// the same name has acknowledged meanwhile; and as [`Store::transaction`].
    pub fn ack(&mut self, position: Position) -> Result<()> {
        if position.lsn > self.reached().lsn {
            let what = format!("position {position} was not given yet; the last was {}", self.reached());
            return Err(Error::new(ErrorKind::Input, what));
        }
        let position = self.whole(position)?;
        if position.lsn > self.acknowledged.lsn {
            self.move_to(position, |_| Ok(()))?;
        }
        Ok(())
    }

    /// The end of the last whole transaction at or before `position`.
    fn whole(&self, position: Position) -> Result<Position> {
        if position == self.delivered || position == self.reached() {
            return Ok(position);
        }
        let journal = &self.store.order.journal;
        journal.check_branch(position)?;
        let record = journal.with_summary(|summary| summary.position_of(position.lsn));
        if record != position && position.lsn >= journal.horizon().lsn {
            let what = format!("position {position} was never given; the record of that number is {record}");
            return Err(Error::new(ErrorKind::Input, what));
        }
        match resolve(journal, &When::position(position)) {
            Ok(resolved) => Ok(resolved.position),
            // Compaction passed by: what lies there comes again neither whole nor in parts.
            Err(error) if matches!(error.kind(), ErrorKind::BeforeHorizon { .. }) => Ok(position),
            Err(error) => Err(error),
        }
    }

    /// Does something because of what was given, and remembers in the same transaction that it is dealt with: however
    /// often the program is interrupted, it happens exactly once. If `body` fails nothing has happened, and it may be
    /// tried again.
    ///
    /// # Errors
    ///
    /// `Input` if there is nothing that was given and not acknowledged; `Conflict` if another of the same name has
    /// acknowledged meanwhile: nothing was done. And as [`Store::transaction`].
    pub fn transaction<T>(&mut self, body: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<(T, Receipt)> {
        if self.delivered == self.acknowledged {
            let what = "nothing was given that is not acknowledged already";
            return Err(Error::new(ErrorKind::Input, what).advise("take the next transaction first"));
        }
        self.move_to(self.delivered, body)
    }

    fn move_to<T>(
        &mut self,
        position: Position,
        body: impl FnOnce(&mut Tx<'_>) -> Result<T>,
    ) -> Result<(T, Receipt)> {
        let (path, acknowledged) = (&self.path, self.acknowledged);
        let done = self.store.transaction(|tx| {
            if remembered(tx, path)? != Some(acknowledged) {
                let what = format!("another subscription of the name has moved on from {acknowledged}");
                return Err(Error::new(ErrorKind::Conflict, what).advise("subscribe again"));
            }
            let answer = body(tx)?;
            remember(tx, path, position)?;
            Ok(answer)
        })?;
        self.acknowledged = position;
        self.delivered = self.delivered.max(position);
        Ok(done)
    }

    fn step(&mut self, timeout: Duration) -> Result<Option<Delivered>> {
        self.store.order.outside()?;
        let journal = self.store.order.journal.clone();
        let clock = Arc::clone(&journal.opened_with().clock);
        let start = clock.elapsed();
        loop {
            if let Some(delivered) = self.read_on()? {
                return Ok(Some(delivered));
            }
            let Ok(core) = journal.writer_core() else {
                self.ended = true;
                return Ok(None);
            };
            if core.is_closed() {
                // What was accepted before the close still becomes durable.
                let _failed = core.wait_durable(core.latest());
                let last = self.read_on()?;
                self.ended = last.is_none();
                return Ok(last);
            }
            let left = timeout.saturating_sub(clock.elapsed().saturating_sub(start));
            let more = journal.wait_beyond(self.follower.seen(), left.min(WAIT))?;
            if !more && !core.is_closed() {
                return Ok(None);
            }
        }
    }

    fn read_on(&mut self) -> Result<Option<Delivered>> {
        loop {
            let before = self.follower.version().clone();
            let Some(committed) = self.follower.next()? else {
                // At the end its version is that of all readers: it costs no memory of its own.
                self.follower.share(&self.store.order.view());
                return Ok(None);
            };
            let places = changed_under(&self.prefix, &before, &committed)?;
            if !places.is_empty() {
                let (position, time) = (committed.version.position, committed.version.time);
                self.delivered = position;
                let changes = places.into_iter().map(Touched::of).collect();
                return Ok(Some(Delivered { position, time, meta: committed.meta, changes }));
            }
        }
    }
}

impl Iterator for StoreSubscription {
    type Item = Result<Delivered>;

    fn next(&mut self) -> Option<Result<Delivered>> {
        while !self.ended {
            let next = self.next_timeout(WAIT);
            if next.is_some() {
                return next;
            }
        }
        None
    }
}

fn remember(tx: &mut Tx<'_>, path: &Path, position: Position) -> Result<()> {
    let value = Value::from(position.to_string().as_str());
    tx.apply(Op::Set { path: path.clone(), value }).map(drop)
}

fn remembered(tx: &Tx<'_>, path: &Path) -> Result<Option<Position>> {
    let Some(value) = tx.get_value(path)? else { return Ok(None) };
    let position = value.as_str().and_then(|text| text.parse().ok());
    position.map(Some).ok_or_else(|| {
        Error::new(ErrorKind::Damaged, format!("{path} holds {value}, which is not a position"))
    })
}
