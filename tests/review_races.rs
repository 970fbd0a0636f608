//! Failures that meet a second thread: nobody waits for ever, and nothing vouches for what was never written.

#![cfg(feature = "sim")]

use std::io;
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::Duration;

use everlog::journal::{Background, Options};
use everlog::medium::sim::Crash;
use everlog::medium::{Access, Lock, Medium, MediumFile, Presence, Sim};
use everlog::{Durability, ErrorKind, Journal, Transaction};

fn options() -> Options {
    Options::new().background(Background::Inline).segment_bytes(16 * 1024, 16 * 1024)
}

fn one(payload: impl Into<Vec<u8>>) -> Transaction {
    Transaction::new().record(payload)
}

/// Stops the call that it is set for, until it is let go, and lets it fail.
#[derive(Default)]
struct Gate {
    state: Mutex<(Option<&'static str>, bool)>,
    changed: Condvar,
}

impl Gate {
    fn set(&self, call: &'static str) {
        *self.state.lock().expect("no panic") = (Some(call), false);
    }

    /// Waits until somebody stands at the gate.
    fn wait(&self) {
        let state = self.state.lock().expect("no panic");
        drop(self.changed.wait_while(state, |state| !state.1).expect("no panic"));
    }

    fn open(&self) {
        self.state.lock().expect("no panic").0 = None;
        self.changed.notify_all();
    }

    fn pass(&self, call: &str, kind: io::ErrorKind) -> io::Result<()> {
        let mut state = self.state.lock().expect("no panic");
        if state.0 != Some(call) {
            return Ok(());
        }
        state.1 = true;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| state.0.is_some()).expect("no panic"));
        Err(kind.into())
    }
}

#[derive(Clone)]
struct Gated {
    inner: Arc<dyn Medium>,
    gate: Arc<Gate>,
}

struct GatedFile {
    inner: Arc<dyn MediumFile>,
    gate: Arc<Gate>,
}

impl std::fmt::Debug for Gated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gated")
    }
}

impl std::fmt::Debug for GatedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GatedFile")
    }
}

impl Gated {
    fn file(&self, inner: Arc<dyn MediumFile>) -> Arc<dyn MediumFile> {
        Arc::new(GatedFile { inner, gate: Arc::clone(&self.gate) })
    }
}

impl Medium for Gated {
    fn label(&self) -> String {
        self.inner.label()
    }
    fn names(&self) -> io::Result<Vec<String>> {
        self.inner.names()
    }
    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn MediumFile>> {
        Ok(self.file(self.inner.open(name, access)?))
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn MediumFile>> {
        self.gate.pass("create", io::ErrorKind::StorageFull)?;
        Ok(self.file(self.inner.create(name)?))
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

impl MediumFile for GatedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.gate.pass("write", io::ErrorKind::Other)?;
        self.inner.write_at(bytes, offset)
    }
    fn sync(&self) -> io::Result<()> {
        let synced = self.inner.sync();
        // Stops after the sync is done, and does not fail.
        drop(self.gate.pass("sync", io::ErrorKind::Other));
        synced
    }
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn drop_cache(&self, bytes: std::ops::Range<u64>) {
        self.inner.drop_cache(bytes);
    }
}

fn gated(sim: &Sim) -> (Journal, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let medium = Gated { inner: Arc::new(sim.clone()), gate: Arc::clone(&gate) };
    (options().open_on(Arc::new(medium)).expect("opens"), gate)
}

/// Runs `work` on a thread; panics if it takes longer than anything here may.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> mpsc::Receiver<T> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || send.send(work()));
    receive
}

fn outcome<T>(receive: &mpsc::Receiver<T>) -> T {
    receive.recv_timeout(Duration::from_secs(10)).expect("does not hang")
}

#[test]
fn a_sync_that_meets_a_failing_write_does_not_vouch_for_it() {
    let sim = Sim::new(1);
    let (journal, gate) = gated(&sim);
    journal.append(b"a").expect("appends");
    journal.commit(&one(*b"b"), Durability::Buffered).expect("writes");
    journal.commit(&one(*b"c"), Durability::Buffered).expect("writes");
    gate.set("write");
    let writer = journal.clone();
    let write = in_time(move || writer.commit(&one(*b"d"), Durability::Buffered));
    gate.wait();
    let syncer = journal.clone();
    let sync = in_time(move || drop(syncer.tick()));
    std::thread::sleep(Duration::from_millis(300));
    gate.open();
    outcome(&write).expect_err("the write failed");
    outcome(&sync);
    let kept = sim.crash(Crash::KeepAll);
    let lost = sim.crash(Crash::LoseAll);
    for (how, after) in [("kill", sim.kill()), ("kept", kept), ("lost", lost)] {
        let reopened = options().open_on(Arc::new(after)).unwrap_or_else(|error| panic!("{how}: {error}"));
        let there = reopened.records().expect("readable").map(|record| record.expect("checks").payload);
        let there: Vec<_> = there.collect();
        assert!(there.starts_with(&[b"a".to_vec()]) && there.len() <= 3, "{how}: {there:?}");
    }
}

/// Fills the first segment so that the next record needs another one.
fn nearly_full(journal: &Journal) {
    journal.append([0; 3000]).expect("appends");
}

#[test]
fn whoever_waits_for_a_position_that_is_taken_back_is_told() {
    let sim = Sim::new(2);
    let (journal, gate) = gated(&sim);
    nearly_full(&journal);
    gate.set("create");
    let ticket = journal.submit(&one(vec![1; 9000]), Durability::Synced).expect("accepted");
    let position = ticket.position();
    let write = in_time(move || ticket.wait());
    gate.wait();
    let waiter = journal.clone();
    let wait = in_time(move || waiter.wait(position));
    std::thread::sleep(Duration::from_millis(300));
    gate.open();
    assert_eq!(outcome(&write).expect_err("refused").kind(), &ErrorKind::Full);
    outcome(&wait).expect_err("the position is no more");
    journal.append(b"small").expect("goes on");
}

#[test]
fn closing_while_a_commit_is_refused_ends_and_is_clean() {
    let sim = Sim::new(3);
    let (journal, gate) = gated(&sim);
    nearly_full(&journal);
    gate.set("create");
    let ticket = journal.submit(&one(vec![1; 9000]), Durability::Synced).expect("accepted");
    let write = in_time(move || ticket.wait());
    gate.wait();
    let closer = journal.clone();
    let close = in_time(move || closer.close());
    std::thread::sleep(Duration::from_millis(300));
    gate.open();
    outcome(&write).expect_err("refused");
    outcome(&close).expect("everything accepted is durable");
    let reopened = options().open_on(Arc::new(sim.crash(Crash::LoseAll))).expect("opens");
    assert!(reopened.report().clean, "{}", reopened.report());
}

#[test]
fn two_threads_that_wait_for_tickets_without_helpers_both_return() {
    let sim = Sim::new(4);
    let (journal, gate) = gated(&sim);
    let first = journal.submit(&one(*b"a"), Durability::Synced).expect("accepted");
    gate.set("sync");
    let leader = in_time(move || first.wait());
    gate.wait();
    let second = journal.submit(&one(*b"b"), Durability::Synced).expect("accepted");
    let follower = in_time(move || second.wait());
    std::thread::sleep(Duration::from_millis(300));
    gate.open();
    outcome(&leader).expect("commits");
    outcome(&follower).expect("commits");
}

#[derive(Debug, Default)]
struct Set(std::sync::atomic::AtomicU64);

impl everlog::clock::Clock for Set {
    fn wall(&self) -> everlog::Timestamp {
        everlog::Timestamp::from_micros(self.0.load(std::sync::atomic::Ordering::SeqCst))
    }
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

#[test]
fn a_step_of_the_clock_is_recorded_even_if_the_first_commit_after_it_is_refused() {
    let clock = Arc::new(Set::default());
    let sim = Sim::new(5);
    let options = options().clock(Arc::clone(&clock) as Arc<dyn everlog::clock::Clock>);
    let journal = options.open_on(Arc::new(sim.clone())).expect("opens");
    nearly_full(&journal);
    clock.0.store(1_700_000_000_000_000, std::sync::atomic::Ordering::SeqCst);
    sim.capacity(Some(0));
    assert_eq!(journal.append([1; 9000]).expect_err("full").kind(), &ErrorKind::Full);
    sim.capacity(None);
    journal.append(b"after").expect("appends");
    let kinds: Vec<_> =
        journal.records().expect("readable").map(|record| record.expect("checks").kind).collect();
    assert!(kinds.contains(&everlog::journal::RecordKind::Clock), "{kinds:?}");
}

#[test]
fn nothing_is_snapshotted_or_compacted_after_a_failed_sync() {
    let sim = Sim::new(6);
    let journal = options().open_on(Arc::new(sim.clone())).expect("opens");
    journal.append(b"a").expect("appends");
    sim.fail_next_sync();
    journal.append(b"b").expect_err("fate unknown");
    let steps = sim.steps();
    assert_eq!(journal.snapshot().expect_err("poisoned").kind(), &ErrorKind::Poisoned);
    let keep = everlog::journal::Retention::forever().bytes(0);
    assert_eq!(journal.compact(&keep).expect_err("poisoned").kind(), &ErrorKind::Poisoned);
    assert_eq!(sim.steps(), steps, "nothing was touched");
}
