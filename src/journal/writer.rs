//! A journal that is open for writing: the group commit, the threads beside it, and how all of them end.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Result};
use crate::journal::commit::Core;
use crate::journal::history::History;
use crate::journal::keeper::{self, Bell};
use crate::journal::lease::Lease;
use crate::journal::options::{Background, Options};
use crate::journal::root::RootFile;
use crate::journal::spare;
use crate::journal::stamp::WallStamper;
use crate::journal::tail::{Tail, TailStart};
use crate::medium::Medium;
use crate::position::Epoch;

/// What only who writes has.
pub(super) struct Writer {
    pub(super) core: Arc<Core<Tail>>,
    /// The epoch of all that this session writes.
    pub(super) epoch: Epoch,
    pub(super) bell: Arc<Bell>,
    pub(super) clock_steps: Arc<AtomicU64>,
    pump: Mutex<Option<JoinHandle<()>>>,
    keeper: Mutex<Option<JoinHandle<()>>>,
    /// Given back when closed.
    pub(super) lease: Arc<Lease>,
}

impl Writer {
    pub(super) fn start(
        medium: &Arc<dyn Medium>,
        options: &Options,
        root: &Arc<Mutex<RootFile>>,
        history: &Arc<History>,
        start: TailStart,
        lease: Arc<Lease>,
    ) -> Result<Writer> {
        let last = start.summary.position().lsn;
        let epoch = start.epoch;
        let clock_steps = Arc::new(AtomicU64::new(0));
        let stamper =
            WallStamper::new(Arc::clone(&options.clock), start.summary.time(), Arc::clone(&clock_steps));
        let next_number = spare::after(start.segment.birth.number)?;
        let id = root.lock().identity.id;
        let spares = Arc::new(spare::Spares::new(Arc::clone(medium), id, next_number));
        let bell = Arc::new(Bell::default());
        let tail = Tail::new(
            options.limits.clone(),
            spares,
            Arc::clone(root),
            Arc::clone(history),
            Arc::clone(&bell),
            Arc::clone(&lease),
            start,
        );
        let frame_bytes_max = options.limits.frame_bytes_max as usize;
        let core = Arc::new(Core::new(tail, last, Box::new(stamper), frame_bytes_max));
        let writer = Writer {
            core,
            epoch,
            bell,
            clock_steps,
            pump: Mutex::new(None),
            keeper: Mutex::new(None),
            lease,
        };
        if options.background == Background::Threads {
            let (core, bell) = (Arc::clone(&writer.core), Arc::clone(&writer.bell));
            *writer.keeper.lock() = Some(spawn("everlog-keeper", move || keeper::keep(&core, &bell))?);
            writer.bell.ring();
        }
        Ok(writer)
    }

    pub(super) fn ensure_pump(&self, background: Background) {
        if background == Background::Inline {
            return;
        }
        let mut pump = self.pump.lock();
        if pump.is_none() {
            let core = Arc::clone(&self.core);
            match spawn("everlog-sync", move || core.pump()) {
                Ok(handle) => *pump = Some(handle),
                // Whoever waits does the work then.
                Err(error) => self.bell.note(error),
            }
        }
    }

    /// Whether this is a thread that closing waits for.
    pub(super) fn is_own_thread(&self) -> bool {
        let me = std::thread::current().id();
        [&self.pump, &self.keeper]
            .into_iter()
            .any(|own| own.lock().as_ref().is_some_and(|own| own.thread().id() == me))
    }

    /// Refuses to close on a thread that closing waits for.
    pub(super) fn check_thread(&self) -> Result<()> {
        if self.is_own_thread() {
            let what = "the journal was closed from inside the wake-up of a task, on a thread that closing waits for";
            return Err(Error::new(ErrorKind::Reentered, what).advise("close it from a thread of your own"));
        }
        Ok(())
    }

    pub(super) fn close(&self) -> Result<()> {
        if let Err(error) = self.lease.check() {
            self.core.poison(error);
        }
        let Some(lease) = self.lease.end() else { return Ok(()) };
        let mut outcome = self.core.close();
        self.bell.stop();
        let threads = [self.pump.lock().take(), self.keeper.lock().take()];
        for thread in threads.into_iter().flatten() {
            // A helper that panicked has poisoned the core, which is the error to report.
            let _panicked = thread.join();
        }
        if outcome.is_ok() {
            outcome = self.core.sink().seal();
        }
        self.core.sink().spares.give_up();
        drop(lease);
        match (outcome, self.bell.trouble()) {
            (Ok(()), Some(trouble)) => Err(trouble),
            (outcome, _) => outcome,
        }
    }
}

/// Starts a thread of the journal's own.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|error| Error::io("start of a thread", name, error))
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Whoever wants to know how it went calls close.
        let _unheard = self.close();
    }
}
