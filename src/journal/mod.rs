//! Many segments as one history: the [`Journal`] of raw records, and everything that keeps it whole.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::medium::Medium;
use crate::position::{Lsn, Position};

pub(crate) mod chain;
pub(crate) mod commit;
pub(crate) mod compaction;
mod create;
pub(crate) mod cursor;
#[cfg(all(test, feature = "sim", not(loom)))]
mod forge;
#[cfg(feature = "store")]
pub(crate) mod fork;
pub(crate) mod group;
pub(crate) mod history;
pub(crate) mod judge;
mod keeper;
pub(crate) mod lease;
mod offload;
mod open;
pub(crate) mod options;
mod recovery;
mod replay;
mod report;
mod retention;
pub(crate) mod root;
pub(crate) mod seat;
pub(crate) mod spare;
mod stamp;
pub(crate) mod summary;
mod tail;
mod ticket;
pub(crate) mod transaction;
mod writer;

#[cfg(all(test, feature = "sim", not(loom)))]
mod beside_tests;
#[cfg(all(test, feature = "sim", not(loom)))]
mod hostile_tests;

pub use crate::segment::record::RecordKind;
pub use compaction::Compacted;
pub use cursor::{Cursor, Record, RecordRef};
pub use offload::Offloaded;
pub(crate) use offload::offload;
pub use options::{Background, Damaged, Options};
pub use report::{Cut, Report};
pub use retention::Retention;
pub use ticket::{Durability, Receipt, Ticket};
pub use transaction::{Pin, Status, Transaction};

use commit::{Core, Entered, Patience, Sitter};
use cursor::Limit;
use group::NewRecord;
use history::History;
use root::RootFile;
use seat::Need;
use summary::Summary;
use tail::Tail;
use writer::Writer;
pub(crate) use writer::spawn;

/// A journal of raw records: the whole ordered history in one directory.
///
/// Cheap to clone; all clones are the same journal. Dropping the last one closes it as well as it can; call
/// [`Journal::close`] to learn how that went. What was acknowledged is durable in any case.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

struct Inner {
    medium: Arc<dyn Medium>,
    options: Options,
    report: Report,
    root: Arc<Mutex<RootFile>>,
    history: Arc<History>,
    /// `None` when opened for reading only.
    writer: Option<Writer>,
    /// With a read-only opening: the last record shown, and the summary there.
    fixed: (Lsn, Summary),
    /// The clock's elapsed time at the opening.
    opened_at: Duration,
    /// Held during snapshots and compaction: one at a time.
    upkeep: Mutex<()>,
    /// A thread makes a snapshot, or is about to.
    snapshotting: AtomicBool,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("medium", &self.inner.medium.label()).finish_non_exhaustive()
    }
}

impl Journal {
    /// Opens the journal in the directory `path`, which is created if it is missing, with default [`Options`].
    ///
    /// Opening replays what follows the newest snapshot, cuts a torn tail and refuses damage; [`Journal::report`]
    /// says what was found. Takes time in proportion to the records after the newest snapshot.
    ///
    /// # Errors
    ///
    /// `Held` if somebody else writes it; `Damaged` if acknowledged bytes no longer check; `NotAJournal` if the
    /// directory holds other files; `NewerFormat`, `WrongType`, `Denied`, `ReadOnly`, `Full` and `Io` as they say.
    /// Nothing was changed then, or nothing that matters.
    ///
    /// ```
    /// let directory = tempfile::tempdir().unwrap();
    /// let journal = everlog::Journal::open(directory.path())?;
    /// let receipt = journal.append(b"first")?; // returns when it is on disk
    /// assert_eq!(receipt.position.lsn.get(), 1);
    /// let payloads: Vec<_> = journal.records()?.map(|record| Ok(record?.payload)).collect::<everlog::Result<_>>()?;
    /// assert_eq!(payloads, [b"first"]);
    /// journal.close()?;
    /// # Ok::<(), everlog::Error>(())
    /// ```
    pub fn open(path: impl AsRef<Path>) -> Result<Journal> {
        Options::new().open(path)
    }

    /// The options to open a journal with.
    pub fn options() -> Options {
        Options::new()
    }

    pub(crate) fn open_with(medium: Arc<dyn Medium>, options: Options) -> Result<Journal> {
        let opened = open::open(&medium, &options)?;
        let history = Arc::new(History::of(&opened.chain.stretches, opened.last.next()));
        let root = Arc::new(Mutex::new(opened.root));
        let fixed = (opened.last, opened.summary);
        let writer = match opened.writer {
            Some((start, lease)) => Some(Writer::start(&medium, &options, &root, &history, start, lease)?),
            None => None,
        };
        let report = opened.report;
        let opened_at = options.clock.elapsed();
        let upkeep = Mutex::new(());
        let snapshotting = AtomicBool::new(false);
        let inner =
            Inner { medium, options, report, root, history, writer, fixed, opened_at, upkeep, snapshotting };
        Ok(Journal { inner: Arc::new(inner) })
    }

    /// What opening found and did.
    pub fn report(&self) -> &Report {
        &self.inner.report
    }

    /// Appends one record and returns when it is durable.
    ///
    /// # Errors
    ///
    /// `TooLarge`, `Full` and `Quota`: nothing was written. `FateUnknown`: the write or sync failed, and the record
    /// may or may not be there after reopening (J5). `Poisoned` and `Closed`: reopen first. `ReadOnly`.
    pub fn append(&self, payload: impl AsRef<[u8]>) -> Result<Receipt> {
        let record = NewRecord::event(payload.as_ref(), 0);
        self.commit_records(&[record], Durability::Synced)
    }

    /// Commits a transaction and returns when it is as durable as asked for. All of its records become durable, or
    /// none (J2).
    ///
    /// # Errors
    ///
    /// As [`Journal::append`]; `Input` for an empty transaction.
    pub fn commit(&self, transaction: &Transaction, durability: Durability) -> Result<Receipt> {
        self.commit_records(&transaction.records(), durability)
    }

    /// Gives a transaction its place in the order and returns at once; waits only while the queue is full.
    ///
    /// # Errors
    ///
    /// As [`Journal::commit`], but the outcome of write and sync is the ticket's.
    pub fn submit(&self, transaction: &Transaction, durability: Durability) -> Result<Ticket> {
        self.ticket(&transaction.records(), durability, Patience::Wait)
    }

    /// The same, but answers `Busy` instead of waiting.
    ///
    /// # Errors
    ///
    /// As [`Journal::submit`], and `Busy`.
    pub fn try_submit(&self, transaction: &Transaction, durability: Durability) -> Result<Ticket> {
        self.ticket(&transaction.records(), durability, Patience::Try)
    }

    /// Returns when everything up to `position` is durable: the barrier behind buffered commits.
    ///
    /// # Errors
    ///
    /// `FateUnknown` or `Poisoned` if the journal failed; `Diverged` if the position was cut; `Input` if it lies
    /// beyond the end.
    pub fn wait(&self, position: Position) -> Result<()> {
        self.check_branch(position)?;
        self.writer()?.core.wait_durable(position.lsn)
    }

    /// The last durable record.
    pub fn position(&self) -> Position {
        let last = self.durable_lsn();
        self.with_summary(|summary| summary.position_of(last))
    }

    /// All records that can be read, from the horizon on.
    ///
    /// # Errors
    ///
    /// As [`Journal::records_after`].
    pub fn records(&self) -> Result<Cursor> {
        self.records_after(self.horizon())
    }

    /// The records after `position`; [`Position::START`] means from the first. Finding the start takes time in
    /// proportion to one segment.
    ///
    /// # Errors
    ///
    /// `BeforeHorizon` if they were compacted away, `Diverged` if the position was cut after a crash.
    pub fn records_after(&self, position: Position) -> Result<Cursor> {
        self.check_branch(position)?;
        if position.lsn < self.horizon().lsn {
            return Err(self.before_horizon(&format!("position {position} lies before the horizon")));
        }
        Ok(self.cursor(position.lsn.next()))
    }

    /// The records at or after `time`.
    ///
    /// # Errors
    ///
    /// `Damaged` if a segment on the way does not check.
    pub fn records_since(&self, time: Timestamp) -> Result<Cursor> {
        let first = self.horizon().lsn.next();
        let lsn = cursor::find_time(&self.inner.history, time, first, self.durable_lsn())?;
        Ok(self.cursor(lsn).not_before(time))
    }

    /// The lowest position that can still be read up from.
    pub fn horizon(&self) -> Position {
        self.inner.root.lock().slot.horizon()
    }

    /// Waits until records after `position` are durable, at most for `timeout`; tells whether there are some.
    ///
    /// # Errors
    ///
    /// `Poisoned` after a failed write or sync.
    pub fn wait_beyond(&self, position: Position, timeout: Duration) -> Result<bool> {
        let writer = self.writer()?;
        let durable = writer.core.watch(position.lsn, timeout);
        match writer.core.failure() {
            Some(failure) if durable <= position.lsn => Err(failure.poisoned()),
            _ => Ok(durable > position.lsn),
        }
    }

    /// Does one round of background work by hand; only needed with [`Background::Inline`].
    ///
    /// # Errors
    ///
    /// `Poisoned` after a failed write or sync; `Closed`.
    pub fn tick(&self) -> Result<()> {
        let writer = self.writer()?;
        self.check_open()?;
        keeper::tick(&writer.core, &writer.bell)
    }

    /// Accepts nothing from now on, makes everything accepted durable, seals the journal and frees it for others.
    /// All clones are closed. Closing twice is closing once.
    ///
    /// # Errors
    ///
    /// `Poisoned` after a failed write or sync, and the first error of background work; what was acknowledged is
    /// durable even then.
    pub fn close(&self) -> Result<()> {
        match &self.inner.writer {
            Some(writer) => {
                writer.check_thread()?;
                // A snapshot or compaction under way ends first: nobody writes after the lease is given back.
                let _alone = self.inner.upkeep.lock();
                writer.close()
            }
            None => Ok(()),
        }
    }
}

impl Journal {
    /// Whether this is a thread of the journal's own that closing waits for.
    pub(crate) fn is_own_thread(&self) -> bool {
        self.inner.writer.as_ref().is_some_and(Writer::is_own_thread)
    }

    pub(crate) fn medium(&self) -> &Arc<dyn Medium> {
        &self.inner.medium
    }

    pub(crate) fn opened_with(&self) -> &Options {
        &self.inner.options
    }

    pub(crate) fn writer_core(&self) -> Result<&Arc<Core<Tail>>> {
        Ok(&self.writer()?.core)
    }

    /// Refuses work on files after the lease was given back or lost, and after a failure (J5).
    pub(crate) fn check_open(&self) -> Result<()> {
        let writer = self.writer()?;
        if let Some(failure) = writer.core.failure() {
            return Err(failure.poisoned());
        }
        if !writer.lease.is_held() {
            return Err(Error::new(ErrorKind::Closed, "the journal was closed").advise("open it again"));
        }
        writer.lease.check().inspect_err(|error| writer.core.poison(error.clone()))
    }

    pub(crate) fn note_trouble(&self, error: Error) {
        if let Some(writer) = &self.inner.writer {
            writer.bell.note(error);
        }
    }

    fn writer(&self) -> Result<&Writer> {
        self.inner.writer.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::ReadOnly, "the journal was opened for reading only")
                .advise("open it for writing")
        })
    }

    pub(crate) fn durable_lsn(&self) -> Lsn {
        match &self.inner.writer {
            Some(writer) => writer.core.durable(),
            None => self.inner.fixed.0,
        }
    }

    pub(crate) fn with_summary<T>(&self, look: impl FnOnce(&Summary) -> T) -> T {
        match &self.inner.writer {
            Some(writer) => writer.core.sink().with_summary(look),
            None => look(&self.inner.fixed.1),
        }
    }

    pub(crate) fn identity(&self) -> root::Identity {
        self.inner.root.lock().identity.clone()
    }

    pub(crate) fn history(&self) -> &Arc<History> {
        &self.inner.history
    }

    pub(crate) fn cursor(&self, from: Lsn) -> Cursor {
        let limit: Arc<dyn Limit> = match &self.inner.writer {
            Some(writer) => Arc::clone(&writer.core) as Arc<dyn Limit>,
            None => Arc::new(Fixed(self.inner.fixed.0)),
        };
        Cursor::new(Arc::clone(&self.inner.history), limit, Arc::clone(&self.inner.root), from)
    }

    /// Refuses a position that was cut after a crash (rule 9).
    pub(crate) fn check_branch(&self, position: Position) -> Result<()> {
        let common = self.with_summary(|summary| match &self.inner.writer {
            // Beyond the end in an earlier life: it was cut, also when nothing has taken its number yet.
            Some(writer) if position.lsn > summary.position().lsn && position.epoch < writer.epoch => {
                summary.position()
            }
            _ => summary.common(position),
        });
        if common == position {
            return Ok(());
        }
        let what = format!("position {position} was cut after a crash; both histories share {common}");
        Err(Error::new(ErrorKind::Diverged { common }, what).advise("continue from the common position"))
    }

    pub(crate) fn before_horizon(&self, what: &str) -> Error {
        root::before_horizon(&self.inner.root.lock().slot, what)
    }

    pub(crate) fn enter(
        &self,
        records: &[NewRecord<'_>],
        durability: Durability,
        sitter: Sitter,
        patience: Patience,
    ) -> Result<Entered> {
        let writer = self.writer()?;
        transaction::check_sizes(records, &self.inner.options.limits)?;
        let need = durability.need();
        if sitter == Sitter::Ticket || need == Need::Written {
            writer.ensure_pump(self.inner.options.background);
        }
        writer.core.enter(records, need, sitter, patience)
    }

    pub(crate) fn receipt(&self, entered: &Entered) -> Receipt {
        let epoch = self.inner.writer.as_ref().map(|writer| writer.epoch).unwrap_or_default();
        Receipt {
            position: Position::new(epoch, entered.last_lsn),
            first_lsn: entered.first_lsn,
            time: entered.time,
            durability: match entered.need {
                Need::Synced => Durability::Synced,
                Need::Written => Durability::Buffered,
            },
        }
    }

    pub(crate) fn complete(&self, entered: Entered) -> Result<Receipt> {
        let writer = self.writer()?;
        writer.core.complete(&entered.cell)?;
        Ok(self.receipt(&entered))
    }

    /// Snapshots by itself where nobody else has to.
    fn snapshot_raw_if_due(&self) {
        if self.inner.options.face.kind == Some(options::FACE_RAW) {
            self.snapshot_if_due(Journal::snapshot);
        }
    }

    pub(crate) fn commit_records(
        &self,
        records: &[NewRecord<'_>],
        durability: Durability,
    ) -> Result<Receipt> {
        let entered = self.enter(records, durability, Sitter::Thread, Patience::Wait)?;
        let receipt = self.complete(entered)?;
        self.snapshot_raw_if_due();
        Ok(receipt)
    }

    fn ticket(
        &self,
        records: &[NewRecord<'_>],
        durability: Durability,
        patience: Patience,
    ) -> Result<Ticket> {
        let entered = self.enter(records, durability, Sitter::Ticket, patience)?;
        self.snapshot_raw_if_due();
        self.ticket_for(entered)
    }

    pub(crate) fn ticket_for(&self, entered: Entered) -> Result<Ticket> {
        let receipt = self.receipt(&entered);
        Ok(Ticket::new(Arc::clone(&self.writer()?.core), entered.cell, receipt))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take_if(|writer| writer.is_own_thread()) {
            // A task that was woken was dropped, and the last handle with it: somebody else has to wait for this thread.
            // If there can be none the lease ends with the process.
            let _unheard = spawn("everlog-close", move || drop(writer));
        }
    }
}

impl Limit for Core<Tail> {
    fn last(&self) -> Lsn {
        self.durable()
    }
}

struct Fixed(Lsn);

impl Limit for Fixed {
    fn last(&self) -> Lsn {
        self.0
    }
}
