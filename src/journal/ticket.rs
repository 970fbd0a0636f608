//! A ticket: a commit that has its place in the order and is not yet known to be durable.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::clock::Timestamp;
use crate::error::Result;
use crate::journal::commit::Core;
use crate::journal::seat::{Cell, Fate, Need};
use crate::journal::tail::Tail;
use crate::position::{Lsn, Position};

/// How safe a commit is when it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// After a sync that covers it: survives power loss (J1).
    Synced,
    /// When the operating system has it: survives the death of the process; power loss may take it together with
    /// everything after it. The first commit of a session is always synced.
    Buffered,
}

impl Durability {
    pub(crate) fn need(self) -> Need {
        match self {
            Durability::Synced => Need::Synced,
            Durability::Buffered => Need::Written,
        }
    }
}

/// Proof that a commit is in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The position of the commit's last record.
    pub position: Position,
    /// The number of its first record.
    pub first_lsn: Lsn,
    /// The time it was stamped with.
    pub time: Timestamp,
    /// The durability that it was acknowledged with.
    pub durability: Durability,
}

/// A commit under way. Wait for it, poll it as a `Future`, or drop it: dropping cancels nothing.
#[must_use = "a ticket is not a proof: wait for it to learn whether the commit is durable"]
pub struct Ticket {
    core: Arc<Core<Tail>>,
    cell: crate::sync::Arc<Cell>,
    receipt: Receipt,
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticket").field("receipt", &self.receipt).finish_non_exhaustive()
    }
}

impl Ticket {
    pub(crate) fn new(core: Arc<Core<Tail>>, cell: crate::sync::Arc<Cell>, receipt: Receipt) -> Ticket {
        Ticket { core, cell, receipt }
    }

    /// Blocks until the commit is acknowledged with the durability asked for.
    ///
    /// # Errors
    ///
    /// `FateUnknown` if the write or sync failed; `Full` or `Quota` if it was refused, and is not in the journal.
    pub fn wait(self) -> Result<Receipt> {
        self.core.complete_ticket(&self.cell)?;
        Ok(self.receipt)
    }

    /// Whether the outcome is known, so that [`Ticket::wait`] returns at once.
    pub fn is_settled(&self) -> bool {
        self.cell.settled()
    }

    /// The position that the commit will have if it succeeds.
    pub fn position(&self) -> Position {
        self.receipt.position
    }
}

impl Future for Ticket {
    type Output = Result<Receipt>;

    /// Does no I/O and never blocks: the journal's sync thread leads.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Receipt>> {
        self.cell.wake_task(context.waker());
        match self.cell.fate() {
            Fate::Settled(outcome) => Poll::Ready(outcome.map(|()| self.receipt)),
            Fate::Waiting | Fate::LeadWrite | Fate::LeadSync => Poll::Pending,
        }
    }
}
