//! Blocking calls as futures: the work runs on a thread of its own, so that no executor is ever blocked.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Result};
use crate::journal::options::Options;
use crate::journal::{Journal, spawn};

/// The outcome of a blocking call that runs elsewhere.
#[must_use = "the call runs in any case, but only polling tells how it went"]
#[derive(Debug)]
pub struct Offloaded<T> {
    shared: Arc<Mutex<Shared<T>>>,
}

#[derive(Debug)]
struct Shared<T> {
    outcome: Option<Result<T>>,
    waker: Option<Waker>,
}

impl<T> Future for Offloaded<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let mut shared = self.shared.lock();
        match shared.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                shared.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Settles the future on every way out, also when the work panics.
struct Settle<T>(Arc<Mutex<Shared<T>>>);

impl<T> Settle<T> {
    fn with(&self, outcome: Result<T>) {
        let mut shared = self.0.lock();
        shared.outcome = Some(outcome);
        if let Some(waker) = shared.waker.take() {
            drop(shared);
            waker.wake();
        }
    }
}

impl<T> Drop for Settle<T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.with(Err(Error::new(ErrorKind::Io, "the helper thread panicked")));
        }
    }
}

/// Runs `work` on a thread of its own.
pub(crate) fn offload<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Offloaded<T> {
    let shared = Arc::new(Mutex::new(Shared { outcome: None, waker: None }));
    let settle = Settle(Arc::clone(&shared));
    if let Err(error) = spawn(name, move || settle.with(work())) {
        shared.lock().outcome = Some(Err(error));
    }
    Offloaded { shared }
}

impl Options {
    /// [`Options::open`] as a future, for async programs: recovery runs on a thread of its own.
    pub fn open_async(self, path: impl Into<PathBuf>) -> Offloaded<Journal> {
        let path = path.into();
        offload("everlog-open", move || self.open(path))
    }
}

impl Journal {
    /// [`Journal::close`] as a future. The journal closes even if nobody polls it.
    pub fn close_async(&self) -> Offloaded<()> {
        let journal = self.clone();
        offload("everlog-close", move || journal.close())
    }
}

#[cfg(test)]
mod tests {
    use std::task::Wake;
    use std::thread::Thread;

    use super::*;

    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    fn block_on<T>(mut future: Offloaded<T>) -> Result<T> {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        loop {
            match Pin::new(&mut future).poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(outcome) => return outcome,
                Poll::Pending => std::thread::park(),
            }
        }
    }

    #[test]
    fn opening_and_closing_as_futures_work_and_a_panic_is_an_error() {
        let directory = tempfile::tempdir().expect("a directory");
        let journal = block_on(Options::new().open_async(directory.path())).expect("opens");
        journal.append(b"x").expect("appends");
        block_on(journal.close_async()).expect("closes");
        let error = block_on(offload::<()>("everlog-test", || panic!("on purpose"))).expect_err("panicked");
        assert!(error.what().contains("panicked"));
    }
}
