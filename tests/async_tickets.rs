//! A polled ticket does no I/O and blocks nobody; a dropped one becomes durable without anybody waiting.

use std::collections::HashSet;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread, ThreadId};
use std::time::Duration;

use everlog::journal::Options;
use everlog::medium::{Access, Disk, Lock, Mapped, Medium, MediumFile, Presence};
use everlog::{Durability, Journal, Lsn, Ticket, Transaction};

/// Which threads wrote or synced.
type Workers = Arc<Mutex<HashSet<ThreadId>>>;

/// A disk that notes who works on it.
#[derive(Debug)]
struct Watched {
    medium: Arc<dyn Medium>,
    workers: Workers,
}

#[derive(Debug)]
struct WatchedFile {
    file: Arc<dyn MediumFile>,
    workers: Workers,
}

impl Watched {
    fn wrap(&self, file: Arc<dyn MediumFile>) -> Arc<dyn MediumFile> {
        Arc::new(WatchedFile { file, workers: Arc::clone(&self.workers) })
    }
}

impl Medium for Watched {
    fn label(&self) -> String {
        self.medium.label()
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.medium.names()
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn MediumFile>> {
        Ok(self.wrap(self.medium.open(name, access)?))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn MediumFile>> {
        Ok(self.wrap(self.medium.create(name)?))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.medium.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.medium.sync_names()
    }

    fn child(&self, name: &str, presence: Presence) -> io::Result<Arc<dyn Medium>> {
        let medium = self.medium.child(name, presence)?;
        Ok(Arc::new(Watched { medium, workers: Arc::clone(&self.workers) }))
    }

    fn lock(&self) -> io::Result<Box<dyn Lock>> {
        self.medium.lock()
    }
}

impl WatchedFile {
    fn note(&self) {
        self.workers.lock().expect("no panic").insert(thread::current().id());
    }
}

impl MediumFile for WatchedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.note();
        self.file.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.note();
        self.file.sync()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn map(&self) -> Option<Mapped> {
        self.file.map()
    }
}

fn open(directory: &tempfile::TempDir) -> (Journal, Workers) {
    let workers = Workers::default();
    let disk = Disk::open(directory.path(), Presence::MustExist).expect("opens");
    let watched = Watched { medium: Arc::new(disk), workers: Arc::clone(&workers) };
    let journal = Options::new().open_on(Arc::new(watched)).expect("opens");
    workers.lock().expect("no panic").clear();
    (journal, workers)
}

/// Wakes the one thread that the executor runs on.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future on this thread and nowhere else.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

/// All tickets, polled in turn whenever one of them calls.
struct All(Vec<Ticket>, usize);

impl Future for All {
    type Output = usize;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<usize> {
        let mut done = 0;
        self.0.retain_mut(|ticket| match Pin::new(ticket).poll(context) {
            Poll::Ready(receipt) => {
                assert_eq!(receipt.expect("commits").durability, Durability::Synced);
                done += 1;
                false
            }
            Poll::Pending => true,
        });
        self.1 += done;
        if self.0.is_empty() { Poll::Ready(self.1) } else { Poll::Pending }
    }
}

#[test]
fn a_thousand_polled_tickets_complete_and_their_thread_never_touches_the_disk() {
    let directory = tempfile::tempdir().expect("a directory");
    let (journal, workers) = open(&directory);
    let done = block_on(async {
        let transaction = Transaction::new().record(b"x");
        let submit = |_| journal.submit(&transaction, Durability::Synced).expect("submits");
        All((0..1000).map(submit).collect(), 0).await
    });
    assert_eq!(done, 1000);
    assert_eq!(journal.position().lsn, Lsn::new(1000));
    let workers = workers.lock().expect("no panic").clone();
    assert!(!workers.is_empty() && !workers.contains(&thread::current().id()));
    journal.close().expect("closes");
}

#[test]
fn a_thousand_dropped_tickets_become_durable_without_anybody_waiting() {
    let directory = tempfile::tempdir().expect("a directory");
    let (journal, workers) = open(&directory);
    let transaction = Transaction::new().record(b"x");
    for _ in 0..1000 {
        drop(journal.submit(&transaction, Durability::Synced).expect("submits"));
    }
    let mut looks = 0;
    while journal.position().lsn < Lsn::new(1000) {
        looks += 1;
        assert!(looks < 10_000, "still at {:?}", journal.position());
        thread::sleep(Duration::from_millis(1));
    }
    assert!(!workers.lock().expect("no panic").contains(&thread::current().id()));
    journal.close().expect("closes");
}
