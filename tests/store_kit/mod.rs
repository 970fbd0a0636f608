//! What the tests of the store share: stores in directories and on the simulated device, values as text, and waiting.
#![allow(
    dead_code,
    unused_imports,
    clippy::expect_used,
    clippy::panic,
    reason = "each test file uses a part of it, and it is for tests"
)]

#[cfg(feature = "sim")]
mod sim;

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use everlog::journal::Background;
use everlog::store::{IntoPath, StoreOptions, Value};
use everlog::{Error, ErrorKind, Store};
use tempfile::TempDir;

#[cfg(feature = "sim")]
pub(crate) use sim::{clock, clocked, inline, on, threads};

/// No wait at all.
pub(crate) const NOW: Duration = Duration::ZERO;
/// Longer than anything takes that happens at all.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A directory that goes with its handle, and where in it a store is to be.
pub(crate) fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("store");
    (directory, path)
}

/// A new store with `options` in a directory of its own.
pub(crate) fn scratch_with(options: StoreOptions) -> (TempDir, Store) {
    let (directory, path) = place();
    let store = options.open(path).expect("opens");
    (directory, store)
}

/// A new store in a directory of its own.
pub(crate) fn scratch() -> (TempDir, Store) {
    scratch_with(Store::options())
}

/// Closes a store and lets the last handle go, so that the next one opens it anew.
pub(crate) fn shut(store: Store) {
    store.close().expect("closes");
    drop(store);
}

/// Closes the store of [`scratch`] and opens it again.
pub(crate) fn reopen(directory: &TempDir, store: Store) -> Store {
    shut(store);
    Store::open(directory.path().join("store")).expect("opens again")
}

/// Without threads of the store's own: nothing happens that the test does not do.
pub(crate) fn quiet() -> StoreOptions {
    Store::options().background(Background::Inline)
}

/// As [`quiet`], with segments that little fills.
pub(crate) fn small() -> StoreOptions {
    quiet().journal(|journal| journal.segment_bytes(16 << 10, 16 << 10))
}

/// A value's JSON, and `-` for none.
pub(crate) fn text(value: &Option<Value>) -> String {
    value.as_ref().map_or("-".to_owned(), Value::to_string)
}

/// The JSON of what is at `path`, and `-` for nothing.
pub(crate) fn json(store: &Store, path: &str) -> String {
    text(&store.get_value(path).expect("reads"))
}

/// Why it was refused.
pub(crate) fn kind<T: std::fmt::Debug>(outcome: Result<T, Error>) -> ErrorKind {
    outcome.expect_err("refused").kind().clone()
}

/// Waits until `look` finds it so, and fails with `what` is wrong if it does not come to that.
pub(crate) fn patiently(what: &str, mut look: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if look() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{what}");
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The least runtime there is: this thread and one future.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(outcome) => return outcome,
            Poll::Pending => std::thread::park(),
        }
    }
}
