//! Ways to commit other than to wait for it: a ticket, the size beforehand, and a pin that stands before the changes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::error::{Error, ErrorKind, Result};
use crate::journal::Receipt;
use crate::journal::commit::{Entered, Sitter};
use crate::journal::seat::{Cell, Fate};
use crate::position::Position;
use crate::segment::frame;
use crate::state::TransactionError;
use crate::store::Store;
use crate::store::encoded::Encoded;
use crate::store::order::{Decided, Order, Standing};
use crate::store::transaction::Tx;

/// A transaction under way, and its answer, which is given when it stands on something durable (J4). Wait for it, poll it
/// as a `Future` without a runtime, or drop it: dropping cancels nothing, what was accepted becomes durable and readers
/// see it.
#[must_use = "a ticket is not a proof: wait for it to learn whether the commit is durable"]
pub struct StoreTicket<T> {
    order: Arc<Order>,
    answer: Option<Result<T>>,
    receipt: Receipt,
    /// What it waits for; none if that was durable at once.
    cell: Option<crate::sync::Arc<Cell>>,
}

impl<T> std::fmt::Debug for StoreTicket<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreTicket").field("receipt", &self.receipt).finish_non_exhaustive()
    }
}

// Nothing in it is pinned.
impl<T> Unpin for StoreTicket<T> {}

impl<T> StoreTicket<T> {
    /// Blocks until the transaction is acknowledged with the durability asked for, or until what the answer was decided
    /// on is durable.
    ///
    /// # Errors
    ///
    /// What the closure failed with; `FateUnknown` if the write or sync failed; `Full` or `Quota` if it was refused, and
    /// is not in the journal.
    pub fn wait(mut self) -> Result<(T, Receipt)> {
        let waited = match &self.cell {
            Some(cell) => self.order.journal.writer_core()?.complete_ticket(cell),
            None => Ok(()),
        };
        self.finish(waited)
    }

    /// Whether the outcome is known, so that [`StoreTicket::wait`] returns at once.
    pub fn is_settled(&self) -> bool {
        self.cell.as_ref().is_none_or(|cell| cell.settled())
    }

    /// The position that the transaction will have if it succeeds; if it changes nothing, the one it was decided on.
    pub fn position(&self) -> Position {
        self.receipt.position
    }

    fn finish(&mut self, waited: Result<()>) -> Result<(T, Receipt)> {
        waited?;
        self.order.keep_up();
        let answer = self.answer.take().unwrap_or_else(|| {
            Err(Error::new(ErrorKind::Input, "the ticket was polled again after its answer was given"))
        });
        Ok((answer?, self.receipt))
    }
}

impl<T> Future for StoreTicket<T> {
    type Output = Result<(T, Receipt)>;

    /// Never waits for the disk: the journal's sync thread leads.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let ticket = self.get_mut();
        let waited = match &ticket.cell {
            None => Ok(()),
            Some(cell) => {
                cell.wake_task(context.waker());
                match cell.fate() {
                    Fate::Settled(outcome) => outcome,
                    Fate::Waiting | Fate::LeadWrite | Fate::LeadSync => return Poll::Pending,
                }
            }
        };
        Poll::Ready(ticket.finish(waited))
    }
}

impl Store {
    /// Does what [`Store::transaction`] does, but returns as soon as `body` has run and its changes have their place in
    /// the order; waits only while the queue is full. The ticket gives the answer, a refusal by `body` too. If nothing was
    /// changed it gives it when what `body` saw is durable.
    ///
    /// # Errors
    ///
    /// `Poisoned`, `ReadOnly`, `Closed`, `Reentered`: `body` did not run. All else is the ticket's.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> everlog::Result<()> {
    /// # let directory = tempfile::tempdir().expect("a directory");
    /// # let store = everlog::Store::open(directory.path().join("store"))?;
    /// let tickets: Vec<_> =
    ///     (0..100).map(|_| store.submit(|tx| tx.increment("counters.hits", 1))).collect::<everlog::Result<_>>()?;
    /// for ticket in tickets {
    ///     ticket.wait()?;
    /// }
    /// assert_eq!(store.get::<u64>("counters.hits")?, Some(100));
    /// # Ok(())
    /// # }
    /// ```
    pub fn submit<T>(&self, body: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<StoreTicket<T>> {
        let (outcome, standing) = self.order.decide_now(&self.manner, Sitter::Ticket, body)?;
        let ticket = match outcome {
            Ok(Decided::Entered(answer, entered)) => self.ticket(answer, entered),
            Ok(Decided::Nothing(answer, receipt)) => self.standing_ticket(Ok(answer), receipt, standing)?,
            Err(TransactionError::Refused(error) | TransactionError::Journal(error)) => {
                let receipt = standing.receipt();
                self.standing_ticket(Err(error), receipt, standing)?
            }
        };
        self.order.ring();
        // Readers and snapshots keep up also where nobody ever waits; trouble meets whoever does.
        self.order.keep_up();
        Ok(ticket)
    }

    fn ticket<T>(&self, answer: T, entered: Entered) -> StoreTicket<T> {
        let receipt = self.order.journal.receipt(&entered);
        let order = Arc::clone(&self.order);
        StoreTicket { order, answer: Some(Ok(answer)), receipt, cell: Some(entered.cell) }
    }

    fn standing_ticket<T>(
        &self,
        answer: Result<T>,
        receipt: Receipt,
        standing: Standing,
    ) -> Result<StoreTicket<T>> {
        let journal = &self.order.journal;
        let seat = journal.sit_until_durable(standing.last.lsn);
        let (cell, answer) = match (standing.refusal(journal)?, seat) {
            // Whoever takes it back from now on settles the seat.
            (None, seat) => (seat?, answer),
            (Some(refusal), _) => (None, Err(refusal)),
        };
        let order = Arc::clone(&self.order);
        Ok(StoreTicket { order, answer: Some(answer), receipt, cell })
    }

    /// The bytes that a transaction would put on the disk in a group of its own: `body` runs and what it does is thrown
    /// away. The answer comes when what `body` saw is durable.
    ///
    /// # Errors
    ///
    /// What `body` fails with; `TooLarge` if the transaction is over the limits; and as [`Store::set`].
    pub fn estimate_size<T>(&self, body: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<u64> {
        let aligned = self.order.journal.opened_with().limits.aligned;
        let look = |draft: &_, bounded: Result<()>| {
            bounded?;
            let encoded = Encoded::of(draft, &self.manner)?;
            let records = encoded.records();
            if records.is_empty() {
                return Ok(0);
            }
            self.order.journal.check_records(&records)?;
            let body = records.iter().map(|record| record.encoded_bytes()).sum();
            Ok(frame::room(body, aligned))
        };
        let rehearsed = self.order.rehearse(&self.manner, body, look);
        Ok(rehearsed.map_err(Error::from)?.1)
    }

    /// [`Store::transaction`], with a pin called `name` at the position before it: both are there or none, in one write
    /// and one sync. A pin of that name moves. A transaction that changes nothing leaves the pin.
    ///
    /// Waits while history is being compacted, so that the position cannot pass below the horizon.
    ///
    /// # Errors
    ///
    /// `Input` if the name is empty or over 1024 bytes; and as [`Store::transaction`].
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> everlog::Result<()> {
    /// # let directory = tempfile::tempdir().expect("a directory");
    /// # let store = everlog::Store::open(directory.path().join("store"))?;
    /// use everlog::When;
    ///
    /// store.set("notes.1", "first")?;
    /// store.pin_before("cleanup", |tx| tx.remove("notes"))?;
    /// assert!(!store.contains("notes.1")?);
    /// assert!(store.at(When::pin("cleanup"))?.contains("notes.1")?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn pin_before<T>(
        &self,
        name: &str,
        body: impl FnOnce(&mut Tx<'_>) -> Result<T>,
    ) -> Result<(T, Receipt)> {
        self.order.outside()?;
        self.order.journal.writer_core()?;
        let _alone = self.order.journal.keep_upkeep_away();
        self.transaction(|tx| {
            tx.draft.pin_base(name)?;
            body(tx)
        })
    }
}
