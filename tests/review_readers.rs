//! Readers beside a live writer see what is durable, in order, and never call it damaged.

#![cfg(feature = "sim")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use everlog::journal::{Background, Options};
use everlog::medium::sim::Crash;
use everlog::medium::{Access, Lock, Medium, MediumFile, Presence, Sim};
use everlog::{Durability, ErrorKind, Journal, Position, Transaction};

fn options() -> Options {
    Options::new().background(Background::Inline).segment_bytes(16 * 1024, 64 * 1024)
}

#[test]
fn a_cursor_that_came_to_the_end_goes_on_when_there_is_more() {
    let journal = options().open_on(Arc::new(Sim::new(1))).expect("opens");
    journal.append(b"a").expect("appends");
    let mut cursor = journal.records().expect("readable");
    assert_eq!(cursor.next().expect("there").expect("checks").payload, b"a");
    assert!(cursor.next().is_none());
    for index in 0..200_u8 {
        journal.append([index; 300]).expect("appends");
        assert_eq!(cursor.next().expect("there").expect("checks").payload, [index; 300]);
        assert!(cursor.next().is_none());
    }
}

/// A view of a device on which something happens after every read.
struct Beside<F> {
    inner: Arc<dyn Medium>,
    after_read: Arc<F>,
}

struct BesideFile<F> {
    inner: Arc<dyn MediumFile>,
    after_read: Arc<F>,
}

impl<F> std::fmt::Debug for Beside<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Beside")
    }
}

impl<F> std::fmt::Debug for BesideFile<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BesideFile")
    }
}

impl<F: Fn() + Send + Sync + 'static> Medium for Beside<F> {
    fn label(&self) -> String {
        self.inner.label()
    }
    fn names(&self) -> io::Result<Vec<String>> {
        let names = self.inner.names();
        (self.after_read)();
        names
    }
    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn MediumFile>> {
        let inner = self.inner.open(name, access)?;
        Ok(Arc::new(BesideFile { inner, after_read: Arc::clone(&self.after_read) }))
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn MediumFile>> {
        self.inner.create(name)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }
    fn sync_names(&self) -> io::Result<()> {
        self.inner.sync_names()
    }
    fn child(&self, name: &str, presence: Presence) -> io::Result<Arc<dyn Medium>> {
        self.inner.child(name, presence)
    }
    fn lock(&self) -> io::Result<Box<dyn Lock>> {
        self.inner.lock()
    }
}

impl<F: Fn() + Send + Sync> MediumFile for BesideFile<F> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = self.inner.read_at(buffer, offset);
        (self.after_read)();
        count
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.inner.write_at(bytes, offset)
    }
    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn drop_cache(&self, bytes: std::ops::Range<u64>) {
        self.inner.drop_cache(bytes);
    }
}

/// Opens read-only while `writer` does `work` after each of the first `times` reads.
fn look_beside(sim: &Sim, times: u64, work: impl Fn() + Send + Sync + 'static) -> everlog::Result<Journal> {
    let count = AtomicU64::new(0);
    let after_read = Arc::new(move || {
        if count.fetch_add(1, Ordering::SeqCst) < times {
            work();
        }
    });
    let medium = Beside { inner: Arc::new(sim.clone()), after_read };
    options().read_only().open_on(Arc::new(medium))
}

#[test]
fn a_writer_that_appends_between_any_two_reads_does_not_look_damaged() {
    let sim = Sim::new(2);
    let writer = options().segment_bytes(1 << 20, 1 << 20).open_on(Arc::new(sim.clone())).expect("opens");
    writer.append(b"first").expect("appends");
    let busy = writer.clone();
    let reader = look_beside(&sim, 300, move || {
        for _ in 0..3 {
            busy.append(b"more").expect("appends");
        }
    });
    let reader = reader.unwrap_or_else(|error| panic!("{error}"));
    assert!(reader.records().expect("readable").all(|record| record.is_ok()));
    assert!(reader.position().lsn >= Position::START.lsn);
}

#[test]
fn files_that_a_writer_removes_between_two_reads_do_not_fail_the_opening() {
    for moment in 0..60 {
        let sim = Sim::new(3);
        let writer = options().open_on(Arc::new(sim.clone())).expect("opens");
        for _ in 0..500 {
            writer.append([1; 300]).expect("appends");
        }
        let at = AtomicU64::new(0);
        let reader = look_beside(&sim, u64::MAX, move || {
            if at.fetch_add(1, Ordering::SeqCst) == moment {
                let keep = everlog::journal::Retention::forever().bytes(64 * 1024);
                let compacted = writer.compact(&keep).expect("compacts");
                assert!(compacted.segments_removed > 0);
            }
        });
        reader.unwrap_or_else(|error| panic!("moment {moment}: {error}"));
    }
}

#[test]
fn a_position_that_was_cut_diverges_before_its_number_is_given_again() {
    let sim = Sim::new(4);
    let journal = options().open_on(Arc::new(sim.clone())).expect("opens");
    let kept = journal.append(b"a").expect("appends").position;
    let lost =
        journal.commit(&Transaction::new().record(*b"b"), Durability::Buffered).expect("writes").position;
    let journal = options().open_on(Arc::new(sim.crash(Crash::LoseAll))).expect("opens");
    let error = journal.records_after(lost).expect_err("cut");
    assert_eq!(error.kind(), &ErrorKind::Diverged { common: kept });
    journal.append(b"c").expect("appends");
    let error = journal.records_after(lost).expect_err("cut");
    assert_eq!(error.kind(), &ErrorKind::Diverged { common: kept });
    assert!(journal.records_after(kept).is_ok());
}
