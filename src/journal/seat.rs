//! A seat in a group: where one commit waits for its fate, as a blocked thread or as a polled ticket.

use std::task::Waker;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::position::Lsn;
use crate::sync::{Arc, AtomicU32, Bed, Mutex, Ordering};

/// Nothing decided yet.
const WAITING: u32 = 0;
/// Called upon to write the open group.
const LEAD_WRITE: u32 = 1;
/// Called upon to sync what is written.
const LEAD_SYNC: u32 = 2;
/// Acknowledged.
const DONE: u32 = 3;
/// Failed; the error is inside.
const FAILED: u32 = 4;

/// What a look at a cell shows.
#[derive(Debug)]
pub(crate) enum Fate {
    Waiting,
    LeadWrite,
    LeadSync,
    Settled(Result<()>),
}

/// How the one who waits is woken.
#[derive(Debug)]
enum Wake {
    Nobody,
    Thread(Bed),
    Task(Waker),
}

/// Shared by the one who waits and the one who settles. Settled exactly once.
#[derive(Debug)]
pub(crate) struct Cell {
    /// Written last when settling (release), read first when waiting (acquire). Every change after the first reads
    /// and writes in one step, so that all have one order.
    status: AtomicU32,
    /// Not zero when a thread waits or will.
    sat: AtomicU32,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    error: Option<Error>,
    wake: Wake,
}

impl Cell {
    /// A cell for the calling thread, which will block in [`Cell::sleep`].
    pub(crate) fn for_this_thread() -> Arc<Cell> {
        Cell::with(Wake::Thread(Bed::for_this_thread()))
    }

    /// A cell that may be polled or waited for later.
    pub(crate) fn for_ticket() -> Arc<Cell> {
        Cell::with(Wake::Nobody)
    }

    fn with(wake: Wake) -> Arc<Cell> {
        let sat = AtomicU32::new(u32::from(matches!(wake, Wake::Thread(_))));
        let inner = Mutex::new(Inner { error: None, wake });
        Arc::new(Cell { status: AtomicU32::new(WAITING), sat, inner })
    }

    pub(crate) fn fate(&self) -> Fate {
        match self.status.load(Ordering::Acquire) {
            WAITING => Fate::Waiting,
            LEAD_WRITE => Fate::LeadWrite,
            LEAD_SYNC => Fate::LeadSync,
            DONE => Fate::Settled(Ok(())),
            _ => Fate::Settled(match &self.inner.lock().error {
                Some(error) => Err(error.clone()),
                None => Ok(()),
            }),
        }
    }

    /// Whether the outcome is known.
    pub(crate) fn settled(&self) -> bool {
        self.status.load(Ordering::Acquire) >= DONE
    }

    /// Takes up the call to lead; `false` if it was settled meanwhile, because the journal failed.
    pub(crate) fn take_the_lead(&self) -> bool {
        let call = self.status.load(Ordering::Acquire);
        matches!(call, LEAD_WRITE | LEAD_SYNC)
            && self.status.compare_exchange(call, WAITING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Makes the calling thread the one to wake; a look at the fate must follow before it sleeps.
    pub(crate) fn wake_this_thread(&self) {
        self.inner.lock().wake = Wake::Thread(Bed::for_this_thread());
        self.sat.store(1, Ordering::Release);
    }

    /// Whether a thread blocks on this cell, or is about to.
    pub(crate) fn has_thread(&self) -> bool {
        self.sat.load(Ordering::Acquire) != 0
    }

    /// Makes a task the one to wake; a look at the fate must follow.
    pub(crate) fn wake_task(&self, waker: &Waker) {
        let fresh = Wake::Task(waker.clone());
        let mut inner = self.inner.lock();
        let old = match &inner.wake {
            Wake::Task(known) if known.will_wake(waker) => fresh,
            _ => std::mem::replace(&mut inner.wake, fresh),
        };
        // A waker may own what takes locks when it goes.
        drop(inner);
        drop(old);
    }

    /// Blocks the calling thread until woken, perhaps for no reason.
    pub(crate) fn sleep(&self) {
        let bed = match &self.inner.lock().wake {
            Wake::Thread(bed) => bed.clone(),
            // Settled meanwhile.
            _ => return,
        };
        if self.status.load(Ordering::Acquire) == WAITING {
            bed.sleep();
        }
    }
}

/// What a seat still needs before it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// That the system has the bytes.
    Written,
    /// That a sync covers them.
    Synced,
}

/// Whether to wait for room in the open group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    Wait,
    Try,
}

/// Who will wait for a commit's fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sitter {
    /// The calling thread, at once.
    Thread,
    /// A ticket, some time or never.
    Ticket,
}

/// A commit that has its place in the order.
#[derive(Debug)]
pub(crate) struct Entered {
    pub(crate) first_lsn: Lsn,
    pub(crate) last_lsn: Lsn,
    pub(crate) time: Timestamp,
    pub(crate) need: Need,
    pub(crate) cell: Arc<Cell>,
}

/// One commit in a group.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) cell: Arc<Cell>,
    pub(crate) last_lsn: Lsn,
    pub(crate) need: Need,
    /// Whether a thread blocks on the cell, and so can be called upon to lead.
    pub(crate) can_lead: bool,
}

impl Seat {
    /// Settles the outcome; the one who waits is woken by [`Call::ring`], outside all locks.
    pub(crate) fn settle(self, outcome: &Result<()>) -> Call {
        let status = match outcome {
            Ok(()) => DONE,
            Err(error) => {
                self.cell.inner.lock().error = Some(error.clone());
                FAILED
            }
        };
        Call { cell: self.cell, status }
    }

    /// Calls upon the waiting thread to write.
    pub(crate) fn call_to_write(&self) -> Call {
        Call { cell: Arc::clone(&self.cell), status: LEAD_WRITE }
    }

    /// Calls upon the waiting thread to sync.
    pub(crate) fn call_to_sync(&self) -> Call {
        Call { cell: Arc::clone(&self.cell), status: LEAD_SYNC }
    }
}

/// A wake-up that is due once the locks are released.
#[derive(Debug)]
#[must_use]
pub(crate) struct Call {
    cell: Arc<Cell>,
    status: u32,
}

impl Call {
    /// Publishes the new status and wakes whoever waits for it. A call to lead that comes late does not unsettle: it
    /// rings outside the lock, and the journal may have failed in between.
    pub(crate) fn ring(self) {
        if self.status >= DONE {
            self.cell.status.swap(self.status, Ordering::AcqRel);
        } else {
            let status = &self.cell.status;
            if status.compare_exchange(WAITING, self.status, Ordering::AcqRel, Ordering::Acquire).is_err() {
                return;
            }
        }
        let mut inner = self.cell.inner.lock();
        let wake = match (&inner.wake, self.status < DONE) {
            // The thread stays the one to wake: it leads now and waits again afterwards.
            (Wake::Thread(bed), true) => Wake::Thread(bed.clone()),
            _ => std::mem::replace(&mut inner.wake, Wake::Nobody),
        };
        drop(inner);
        match wake {
            Wake::Nobody => {}
            Wake::Thread(bed) => bed.wake(),
            Wake::Task(waker) => waker.wake(),
        }
    }
}
