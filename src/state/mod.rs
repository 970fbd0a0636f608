//! [`Journaled`]: a state of your own type, changed only by your own events.
//!
//! # Format
//!
//! The journal's face is 1, its type name is [`Fold::NAME`], its codec the number of [`Fold::CODEC`]. Of its records:
//!
//! * *event*: the type version is that of the event, the payload its encoding. The metadata block is that of `fold.rs`.
//! * *rollback*: the type version is that of the state, 0 if it has none. The payload names the target, the run that
//!   holds the encoded state as it was there, and the CRC-32 of those bytes. Replaying it replaces the state.
//!
//! Records of other kinds change no state. A snapshot has one run: the encoded state, of the state version and fold
//! revision that its list names.

use std::fmt;
use std::ops::RangeBounds;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::journal::commit::Sitter;
use crate::journal::{
    Compacted, Durability, Offloaded, Pin, Receipt, Report, Retention, Status, Ticket, offload,
};
use crate::position::Position;

mod codec;
pub(crate) mod commit;
mod events;
mod fold;
pub(crate) mod inside;
mod options;
mod past;
pub(crate) mod refold;
pub(crate) mod registry;
mod rollback;
mod twin;
pub(crate) mod when;

pub use codec::Codec;
pub use commit::TransactionError;
pub use events::{Events, Item, Recorded, Subscription};
pub use fold::{Fold, Meta, Stamp};
pub use options::JournaledOptions;
pub use past::Past;
pub use rollback::Preview;
pub use when::When;

use commit::Manner;
use refold::{snapshot, with_maker};
use twin::Twin;

/// A state of type `S` on disk, changed only by its own events.
///
/// Cheap to clone and to share between threads; all clones are the same journal, and so are all openings of one
/// directory in one process. Dropping the last one closes it as well as it can; [`Journaled::close`] tells how that went.
/// What was acknowledged is durable in any case.
///
/// It keeps the state twice: one copy to decide on, one that readers see. Readers see only what is durable, unless they
/// ask for [`Journaled::latest`]. The state should know nothing but what its events say; see [`Fold`].
///
/// No method may be called from inside a closure or fold of the same handle: that is the error `Reentered`.
///
/// ```
/// use everlog::{Fold, Journaled, Stamp};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// enum Event {
///     Added(u64),
/// }
///
/// #[derive(Default, Serialize, Deserialize)]
/// struct Total(u64);
///
/// impl Fold for Total {
///     type Event = Event;
///     const NAME: &'static str = "total";
///     const VERSION: u16 = 1;
///
///     fn apply(&mut self, event: &Event, _at: &Stamp) {
///         let Event::Added(amount) = event;
///         self.0 += amount;
///     }
/// }
///
/// let directory = tempfile::tempdir().unwrap();
/// let total = Journaled::<Total>::open(directory.path())?;
/// let first = total.commit(Event::Added(40))?; // returns when it is on disk
/// total.try_transaction(|total| if total.0 < 50 { Ok([Event::Added(2)]) } else { Err("enough") }).unwrap();
/// assert_eq!(total.read(|total| total.0)?, 42);
/// assert_eq!(total.at(first.position)?.0, 40);
/// total.rollback_to(first.position)?.commit()?;
/// assert_eq!(total.read(|total| total.0)?, 40);
/// total.close()?;
/// # Ok::<(), everlog::Error>(())
/// ```
pub struct Journaled<S: Fold> {
    twin: Arc<Twin<S>>,
    manner: Manner,
}

impl<S: Fold> Journaled<S> {
    /// Opens the journal in the directory `path`, which is created if it is missing, and folds what follows the newest
    /// snapshot.
    ///
    /// # Errors
    ///
    /// `WrongType` if it holds something else, or events of a later version than [`Fold::VERSION`]; `Refused` if the
    /// fold panics on an event of the log; `Held`, `Damaged`, `NotAJournal`, `NewerFormat`, `Denied`, `ReadOnly`, `Full`
    /// and `Io` as for [`Journal::open`](crate::journal::Journal::open). Nothing was changed then, or nothing that
    /// matters.
    pub fn open(path: impl AsRef<Path>) -> Result<Journaled<S>> {
        JournaledOptions::new().open(path)
    }

    /// The options to open with.
    pub fn options() -> JournaledOptions<S> {
        JournaledOptions::new()
    }

    fn of(twin: Arc<Twin<S>>) -> Journaled<S> {
        Journaled { twin, manner: Manner { meta: None, durability: Durability::Synced } }
    }

    /// The same handle with something said about all that is committed through it.
    #[must_use]
    pub fn with_meta(&self, meta: Meta) -> Journaled<S> {
        let meta = (meta != Meta::default()).then(|| Arc::new(meta));
        Journaled { twin: Arc::clone(&self.twin), manner: Manner { meta, ..self.manner.clone() } }
    }

    /// The same handle with another durability for what is committed through it. Readers see buffered commits once the
    /// sync that follows them at once is done; [`Journaled::wait`] is the barrier.
    #[must_use]
    pub fn with_durability(&self, durability: Durability) -> Journaled<S> {
        Journaled { twin: Arc::clone(&self.twin), manner: Manner { durability, ..self.manner.clone() } }
    }

    /// Commits one event and returns when it is durable.
    ///
    /// # Errors
    ///
    /// `Refused` if the fold panics on it, `Input` if it does not read back as it was written, `TooLarge`, `Full` and
    /// `Quota`: the event is not in the log, and nothing of it is seen. `FateUnknown`: the write or sync failed, and it
    /// may or may not be there after reopening (J5). `Poisoned`, `Closed`, `ReadOnly`, `Reentered`.
    pub fn commit(&self, event: S::Event) -> Result<Receipt> {
        let receipt = self.transaction(|_| Ok([event]))?;
        receipt.ok_or_else(|| Error::new(ErrorKind::Absent, "a commit of one event was empty"))
    }

    /// Gives an event its place in the order and returns at once; the ticket tells when it is durable.
    ///
    /// # Errors
    ///
    /// As [`Journaled::commit`], but the outcome of write and sync is the ticket's.
    pub fn submit(&self, event: S::Event) -> Result<Ticket> {
        let decided = self.twin.decide::<Error>(&self.manner, Sitter::Ticket, |_| Ok(vec![event]));
        self.twin.keep_up();
        match decided.map_err(flat)? {
            Some(entered) => self.twin.journal.ticket_for(entered),
            None => Err(Error::new(ErrorKind::Absent, "a commit of one event was empty")),
        }
    }

    /// Commits the events that `decide` makes of the latest state: all of them or none (J2). It runs exactly once and
    /// holds the order: nothing is committed between what it sees and what it decides. `None` if there were no events.
    ///
    /// The answer comes when the state that was decided on is durable, also when it is no (J4).
    ///
    /// # Errors
    ///
    /// The closure's own error, and as [`Journaled::commit`].
    pub fn transaction<I>(&self, decide: impl FnOnce(&S) -> Result<I>) -> Result<Option<Receipt>>
    where
        I: IntoIterator<Item = S::Event>,
    {
        self.try_transaction(decide).map_err(flat)
    }

    /// The same for closures with an error type of their own.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Refused`] is the closure's own error, [`TransactionError::Journal`] one of
    /// [`Journaled::commit`].
    pub fn try_transaction<I, E>(
        &self,
        decide: impl FnOnce(&S) -> Result<I, E>,
    ) -> Result<Option<Receipt>, TransactionError<E>>
    where
        I: IntoIterator<Item = S::Event>,
    {
        self.twin.commit_decided(&self.manner, |state| Ok(decide(state)?.into_iter().collect()))
    }

    /// Looks at the durable state. Other readers are not held up; commits wait if it takes long.
    ///
    /// # Errors
    ///
    /// `Reentered`; `Refused` or `Damaged` if the state has to be folded anew and cannot be.
    pub fn read<T>(&self, look: impl FnOnce(&S) -> T) -> Result<T> {
        self.twin.outside()?;
        let durable = self.twin.lock_durable()?;
        let _inside = self.twin.inside();
        Ok(look(durable.state()?))
    }

    /// Looks at the latest state, which a crash may take back. Holds the order meanwhile.
    ///
    /// # Errors
    ///
    /// As [`Journaled::read`].
    pub fn latest<T>(&self, look: impl FnOnce(&S) -> T) -> Result<T> {
        self.twin.outside()?;
        if self.twin.journal.writer_core().is_err() {
            return self.read(look);
        }
        let mut pending = self.twin.lock_pending()?;
        let _inside = self.twin.inside();
        Ok(look(pending.state()?))
    }

    /// The state at a moment of the past: the newest snapshot at or before it, and the events between.
    ///
    /// # Errors
    ///
    /// `BeforeHorizon` names the earliest moment; `Diverged` if the position was cut after a crash; `Absent` if there is
    /// no such record or pin; `Damaged`.
    pub fn at(&self, when: impl Into<When>) -> Result<Past<S>> {
        self.twin.outside()?;
        Past::at(&self.twin.journal, &when.into())
    }

    /// The events and rollbacks of a range, such as `When::ago(day)..`; `..` means all there are. A time as the end of
    /// a range means what happened at or before it with `..=`, before it with `..`.
    ///
    /// # Errors
    ///
    /// As [`Journaled::at`].
    pub fn events(&self, range: impl RangeBounds<When>) -> Result<Events<S>> {
        self.twin.outside()?;
        let (first, last) = when::resolve_range(&self.twin.journal, &range)?;
        Ok(Events::new(&self.twin.journal, first, last))
    }

    /// Everything that becomes durable after a position, and what became so since: [`Position::START`] means from the
    /// first record.
    ///
    /// # Errors
    ///
    /// `BeforeHorizon` if some of it was compacted away; `Diverged` if the position was cut after a crash, and names the
    /// last one in common.
    pub fn subscribe(&self, from: Position) -> Result<Subscription<S>> {
        self.twin.outside()?;
        Subscription::new(Arc::clone(&self.twin), from)
    }

    /// Prepares a return to the state of a moment. Nothing changes until [`Preview::commit`].
    ///
    /// # Errors
    ///
    /// As [`Journaled::at`]; `ReadOnly`.
    pub fn rollback_to(&self, when: impl Into<When>) -> Result<Preview<S>> {
        self.twin.outside()?;
        Preview::new(&self.twin, &self.manner, &when.into())
    }

    /// Makes a snapshot at the durable end from the log as read back, beside the writers, so that the next opening folds
    /// only what follows. Returns its position.
    ///
    /// # Errors
    ///
    /// `Damaged` if the log reads back differently from what was appended (J10); `WrongType` if the state would not read
    /// back; `Full`, and then the journal is as before.
    pub fn snapshot(&self) -> Result<Position> {
        self.twin.outside()?;
        snapshot::<S>(&self.twin.journal)
    }

    /// Moves the horizon as far as `retention` and pins allow, and removes what lies below it. Without this call a
    /// journal keeps everything: its events are the truth.
    ///
    /// # Errors
    ///
    /// `Unsupported` without [`Fold::STATE_VERSION`]: a state would become the base of the history, and it has no
    /// version to be read by later. Else as [`Journaled::snapshot`].
    pub fn compact(&self, retention: &Retention) -> Result<Compacted> {
        if S::STATE_VERSION.is_none() {
            let what =
                format!("the state {:?} has no version, so that it cannot replace its events", S::NAME);
            return Err(Error::new(ErrorKind::Unsupported, what).advise("give the fold a STATE_VERSION"));
        }
        self.twin.outside()?;
        with_maker::<S, _>(&self.twin.journal, |maker| self.twin.journal.compact_with(retention, maker))
    }

    /// What opening found and did.
    pub fn report(&self) -> &Report {
        self.twin.journal.report()
    }

    /// The last durable record.
    pub fn position(&self) -> Position {
        self.twin.journal.position()
    }

    /// The lowest position that can still be read up from.
    pub fn horizon(&self) -> Position {
        self.twin.journal.horizon()
    }

    /// How the journal is doing.
    pub fn status(&self) -> Status {
        self.twin.journal.status()
    }

    /// Returns when everything up to `position` is durable: the barrier behind buffered commits.
    ///
    /// # Errors
    ///
    /// As [`Journal::wait`](crate::journal::Journal::wait).
    pub fn wait(&self, position: Position) -> Result<()> {
        self.twin.outside()?;
        self.twin.journal.wait(position)
    }

    /// Keeps the state at a moment from being compacted away, under a name. Durable on return.
    ///
    /// # Errors
    ///
    /// As [`Journal::pin`](crate::journal::Journal::pin) and [`Journaled::at`].
    pub fn pin(&self, name: &str, when: impl Into<When>, note: &str) -> Result<Receipt> {
        self.twin.outside()?;
        let position = when.into().position_in(&self.twin.journal)?;
        self.twin.journal.pin(name, position, note)
    }

    /// Removes a pin. Durable on return.
    ///
    /// # Errors
    ///
    /// As [`Journal::unpin`](crate::journal::Journal::unpin).
    pub fn unpin(&self, name: &str) -> Result<Receipt> {
        self.twin.outside()?;
        self.twin.journal.unpin(name)
    }

    /// All pins, by name.
    pub fn pins(&self) -> Vec<Pin> {
        self.twin.journal.pins()
    }

    /// Does one round of background work by hand; only needed with [`Background::Inline`](crate::journal::Background).
    ///
    /// # Errors
    ///
    /// `Poisoned` after a failed write or sync.
    pub fn tick(&self) -> Result<()> {
        self.twin.outside()?;
        self.twin.journal.tick()
    }

    /// Accepts nothing from now on, makes everything accepted durable, and frees the directory. All clones are closed;
    /// reads go on showing what was durable. Closing twice is closing once.
    ///
    /// # Errors
    ///
    /// `Poisoned` after a failed write or sync, and the first error of background work; what was acknowledged is durable
    /// even then.
    pub fn close(&self) -> Result<()> {
        self.twin.outside()?;
        self.twin.close()
    }

    /// [`Journaled::close`] as a future, for async programs. The journal closes even if nobody polls it.
    pub fn close_async(&self) -> Offloaded<()> {
        let journaled = self.clone();
        offload("everlog-close", move || journaled.close())
    }
}

/// The one error type of closures that have no other.
fn flat(error: TransactionError<Error>) -> Error {
    match error {
        TransactionError::Refused(error) | TransactionError::Journal(error) => error,
    }
}

impl<S: Fold> Clone for Journaled<S> {
    fn clone(&self) -> Journaled<S> {
        Journaled { twin: Arc::clone(&self.twin), manner: self.manner.clone() }
    }
}

impl<S: Fold> fmt::Debug for Journaled<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journaled").field("name", &S::NAME).field("journal", &self.twin.journal).finish()
    }
}
