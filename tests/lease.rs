//! A journal that was moved or replaced while it was open notices it and stops, rather than write where nobody looks.
#![cfg(feature = "sim")]

mod crash_kit;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crash_kit::options;
use everlog::journal::{Background, Retention};
use everlog::medium::sim::Crash;
use everlog::medium::{Access, Lock, Medium, MediumFile, Presence, Sim};
use everlog::testing::payloads;
use everlog::{ErrorKind, Journal};

/// A device whose path leads elsewhere from some moment on.
#[derive(Clone, Debug)]
struct Movable {
    sim: Sim,
    moved: Arc<AtomicBool>,
}

#[derive(Debug)]
struct MovableLock {
    _held: Box<dyn Lock>,
    moved: Arc<AtomicBool>,
}

impl Lock for MovableLock {
    fn still_ours(&self) -> bool {
        !self.moved.load(Ordering::SeqCst)
    }
}

impl Medium for Movable {
    fn label(&self) -> String {
        self.sim.label()
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.sim.names()
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn MediumFile>> {
        self.sim.open(name, access)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn MediumFile>> {
        self.sim.create(name)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.sim.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.sim.sync_names()
    }

    fn child(&self, name: &str, presence: Presence) -> io::Result<Arc<dyn Medium>> {
        self.sim.child(name, presence)
    }

    fn lock(&self) -> io::Result<Box<dyn Lock>> {
        Ok(Box::new(MovableLock { _held: self.sim.lock()?, moved: Arc::clone(&self.moved) }))
    }
}

/// A journal with a record in it, and then `act` on it after it was moved.
fn after_a_move(act: fn(&Journal) -> everlog::Result<()>) {
    let medium = Movable { sim: Sim::new(1), moved: Arc::default() };
    let journal = options().open_on(Arc::new(medium.clone())).expect("opens");
    journal.append("one").expect("appends");
    medium.moved.store(true, Ordering::SeqCst);
    let files = medium.sim.names().expect("lists");
    let error = act(&journal).expect_err("is noticed");
    assert!(error.to_string().contains("was moved, removed or replaced"), "{error}");
    assert_eq!(journal.append("more").expect_err("poisoned").kind(), &ErrorKind::Poisoned);
    assert_eq!(medium.sim.names().expect("lists"), files, "nothing is made or removed");
    assert_eq!(payloads(&journal).expect("is readable").first().expect("one"), b"one");
    drop(journal);
    let found = options().open_on(Arc::new(medium.sim.crash(Crash::LoseAll))).expect("nothing is damaged");
    assert_eq!(payloads(&found).expect("reads").first().expect("one"), b"one");
}

#[test]
fn a_roll_notices_that_the_journal_was_moved() {
    after_a_move(|journal| (0..40).try_for_each(|_| journal.append([1; 900]).map(drop)));
}

#[test]
fn a_round_of_background_work_notices_that_the_journal_was_moved() {
    after_a_move(Journal::tick);
}

#[test]
fn a_snapshot_notices_that_the_journal_was_moved() {
    after_a_move(|journal| journal.snapshot().map(drop));
}

#[test]
fn a_compaction_notices_that_the_journal_was_moved() {
    after_a_move(|journal| journal.compact(&Retention::forever()).map(drop));
}

#[test]
fn a_close_notices_that_the_journal_was_moved_and_seals_nothing() {
    let medium = Movable { sim: Sim::new(2), moved: Arc::default() };
    let journal = options().open_on(Arc::new(medium.clone())).expect("opens");
    journal.append("one").expect("appends");
    medium.moved.store(true, Ordering::SeqCst);
    let steps = medium.sim.steps();
    assert_eq!(journal.close().expect_err("is noticed").kind(), &ErrorKind::Poisoned);
    assert_eq!(medium.sim.steps(), steps, "nothing is written");
    journal.close().expect("closing twice is closing once");
}

#[cfg(unix)]
#[test]
fn on_a_real_disk_an_idle_moment_after_the_move_is_enough() {
    let directory = tempfile::tempdir().expect("a directory");
    let (here, away) = (directory.path().join("here"), directory.path().join("away"));
    let journal = options().background(Background::Threads).open(&here).expect("opens");
    journal.append("one").expect("appends");
    #[allow(clippy::disallowed_methods, reason = "another program is played from outside the medium")]
    std::fs::rename(&here, &away).expect("moves");
    // The keeper marks what is durable when nothing happens for a moment.
    let moment = std::time::Duration::from_millis(50);
    let noticed = (0..400).any(|_| {
        std::thread::sleep(moment);
        journal.append("two").is_err()
    });
    assert!(noticed, "not within twenty seconds");
    let failure = journal.status().failure.expect("poisoned").to_string();
    assert!(failure.contains("was moved, removed or replaced"), "{failure}");
    drop(journal);
    let found = payloads(&Journal::open(&away).expect("opens there")).expect("reads");
    assert_eq!(found[0], b"one");
}
