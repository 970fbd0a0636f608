//! Calls that come back into the handle that made them, or from a thread of its own, get an error or go on; none hangs.

#![cfg(feature = "store")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is a test")]

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use everlog::store::{Migration, Migrations};
use everlog::{Durability, Error, ErrorKind, Journal, Store, Transaction};

/// Runs `work` on a thread of its own; a hang is an error and not a test that never ends.
fn within_limits<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(work()));
    told.recv_timeout(Duration::from_secs(60)).expect("it ends")
}

fn scratch() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("here");
    (directory, path)
}

fn opened_inside(path: &Path) -> ErrorKind {
    Store::open(path).expect_err("is refused").kind().clone()
}

#[test]
fn a_migration_that_opens_its_own_store_is_told_so() {
    let (_directory, path) = scratch();
    Store::options()
        .migrations(Migrations::new().add(Migration::renaming(1, 0, "the first")))
        .open(&path)
        .unwrap();
    let kind = within_limits(move || {
        let (seen, here) = (Arc::new(Mutex::new(None)), path.clone());
        let note = Arc::clone(&seen);
        let step = Migration::new(1, 1, "opens", move |tx| {
            *note.lock().unwrap() = Some(opened_inside(&here));
            tx.set("a.b", &1).map(drop)
        });
        let migrations = Migrations::new().add(Migration::renaming(1, 0, "the first")).add(step);
        let store = Store::options().migrations(migrations).open(&path).expect("opens");
        assert_eq!(store.get::<u8>("a.b").unwrap(), Some(1));
        seen.lock().unwrap().take()
    });
    assert_eq!(kind, Some(ErrorKind::Reentered));
}

#[test]
fn a_transaction_that_opens_its_own_store_is_told_so_while_another_thread_closes_it() {
    let (_directory, path) = scratch();
    let kind = within_limits(move || {
        let store = Store::open(&path).unwrap();
        let closing = store.clone();
        let mut closer = None;
        let kind = store.pin_before("before", |tx| {
            closer = Some(std::thread::spawn(move || closing.close()));
            // So that it waits for this transaction, with the directory in its hands.
            std::thread::sleep(Duration::from_millis(100));
            tx.set("a.b", &1)?;
            Ok(opened_inside(&path))
        });
        closer.expect("was started").join().expect("ends").expect("closes");
        kind
    });
    assert_eq!(kind.expect("commits, or was closed before").0, ErrorKind::Reentered);
}

/// A task that owns what is woken through it, as those of executors do; once woken it is dropped.
struct Task<T>(Mutex<Option<T>>);

impl<T: Send + 'static> Wake for Task<T> {
    fn wake(self: Arc<Self>) {
        drop(self.0.lock().unwrap().take());
    }
}

/// Polls `future` once and leaves it to the task together with `handle`; returns when the task has dropped both.
fn leave<F: Future + Send + Unpin + 'static, H: Send + 'static>(mut future: F, handle: H) {
    let task = Arc::new(Task(Mutex::new(None)));
    let waker = Waker::from(Arc::clone(&task));
    // Held, so that a wake-up waits until the task owns all.
    let mut owned = task.0.lock().unwrap();
    match Pin::new(&mut future).poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(_) => drop(handle),
        Poll::Pending => *owned = Some((future, handle)),
    }
    drop(owned);
    while task.0.lock().unwrap().is_some() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn soon<T>(mut attempt: impl FnMut() -> Result<T, Error>) -> T {
    for _ in 0..12_000 {
        match attempt() {
            Err(error) if *error.kind() == ErrorKind::Held => std::thread::sleep(Duration::from_millis(5)),
            outcome => return outcome.expect("opens"),
        }
    }
    attempt().expect("opens")
}

/// Closing waits for the thread that wakes tasks; that thread must not be the one that closes.
#[test]
fn the_last_handle_of_a_store_may_be_dropped_by_a_task_that_is_woken() {
    for round in 0..20_u32 {
        let (_directory, path) = scratch();
        let store = within_limits(move || {
            let store = Store::open(&path).unwrap();
            let ticket = store.submit(|tx| tx.set("a.b", &round)).unwrap();
            leave(ticket, store);
            soon(|| Store::open(&path))
        });
        assert_eq!(store.get::<u32>("a.b").unwrap(), Some(round));
    }
}

#[test]
fn the_last_handle_of_a_journal_may_be_dropped_by_a_task_that_is_woken() {
    for _ in 0..20 {
        let (_directory, path) = scratch();
        let journal = within_limits(move || {
            let journal = Journal::open(&path).unwrap();
            let ticket = journal.submit(&Transaction::new().record("event"), Durability::Synced).unwrap();
            leave(ticket, journal);
            soon(|| Journal::open(&path))
        });
        assert_eq!(journal.records().unwrap().count(), 1);
    }
}
