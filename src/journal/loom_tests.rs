//! Group commit under loom: every interleaving of two or three threads, up to a bound of preemptions.
//!
//! Run with `RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test --lib --release loom_`. A thread that is
//! never woken shows as a deadlock, which loom reports. A leader's panic ends a model, so that promise is tested with
//! real threads in `commit_tests.rs`.

use loom::sync::atomic::{AtomicBool, AtomicU64 as Counter};

use super::*;
use crate::sync::Bed;

/// Counts what it is given; fails and refuses when told to.
#[derive(Default)]
struct Paper {
    written: Counter,
    syncs: Counter,
    fail_sync: AtomicBool,
    fail_write: AtomicBool,
    refuse: AtomicBool,
    /// Set by the first failure; a call after it is one that must not happen.
    failed: AtomicBool,
    writing: AtomicBool,
    syncing: AtomicBool,
}

impl Sink for Arc<Paper> {
    fn write(&self, group: &mut Group) -> Result<(), WriteError> {
        assert!(!self.writing.swap(true, Ordering::SeqCst), "one writes at a time");
        assert!(!group.is_empty(), "there is something to write");
        let refused = self.refuse.swap(false, Ordering::SeqCst);
        let failed = self.fail_write.load(Ordering::SeqCst);
        if !refused && !failed {
            let records: u32 = group.drafts.iter().map(|draft| draft.record_count).sum();
            self.written.fetch_add(u64::from(records), Ordering::SeqCst);
        }
        self.writing.store(false, Ordering::SeqCst);
        if refused {
            return Err(WriteError::Refused(Error::new(ErrorKind::Full, "full")));
        }
        if failed {
            assert!(!self.failed.swap(true, Ordering::SeqCst), "nothing is tried after a failure");
            return Err(WriteError::Failed(Error::new(ErrorKind::Io, "broken")));
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        assert!(!self.syncing.swap(true, Ordering::SeqCst), "one syncs at a time");
        self.syncs.fetch_add(1, Ordering::SeqCst);
        self.syncing.store(false, Ordering::SeqCst);
        if self.fail_sync.load(Ordering::SeqCst) {
            assert!(!self.failed.swap(true, Ordering::SeqCst), "nothing is tried after a failure");
            return Err(Error::new(ErrorKind::Io, "broken"));
        }
        Ok(())
    }
}

struct Still;

impl Stamper for Still {
    fn stamp(&mut self) -> (Timestamp, Option<Vec<u8>>) {
        (Timestamp::from_micros(1), None)
    }
}

type TestCore = Arc<Core<Arc<Paper>>>;

fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(builder.preemption_bound.unwrap_or(2));
    builder.check(model);
}

fn core() -> (TestCore, Arc<Paper>) {
    let paper = Arc::new(Paper::default());
    (Arc::new(Core::new(Arc::clone(&paper), Lsn::ZERO, Box::new(Still), 4096)), paper)
}

fn commit(core: &Core<Arc<Paper>>, need: Need) -> Result<Lsn> {
    let entered = core.enter(&[NewRecord::event(b"x", 0)], need, Sitter::Thread, Patience::Wait)?;
    core.complete(&entered.cell)?;
    Ok(entered.last_lsn)
}

fn submit(core: &Core<Arc<Paper>>) -> Arc<Cell> {
    let entered = core.enter(&[NewRecord::event(b"x", 0)], Need::Synced, Sitter::Ticket, Patience::Wait);
    entered.expect("enters").cell
}

fn beside(core: &TestCore, work: impl FnOnce(&Core<Arc<Paper>>) + 'static) -> loom::thread::JoinHandle<()> {
    let core = Arc::clone(core);
    loom::thread::spawn(move || work(&core))
}

#[test]
fn loom_two_committers_are_both_durable_on_return() {
    explore(|| {
        let (core, paper) = core();
        let other = beside(&core, |core| {
            let lsn = commit(core, Need::Synced).expect("commits");
            assert!(core.durable() >= lsn);
        });
        let lsn = commit(&core, Need::Synced).expect("commits");
        assert!(core.durable() >= lsn);
        other.join().expect("joins");
        assert_eq!(core.durable(), Lsn::new(2));
        assert_eq!(paper.written.load(Ordering::SeqCst), 2);
        assert!(paper.syncs.load(Ordering::SeqCst) <= 2);
    });
}

#[test]
fn loom_three_committers_all_wake() {
    explore(|| {
        let (core, paper) = core();
        let others = [(); 2].map(|()| beside(&core, |core| assert!(commit(core, Need::Synced).is_ok())));
        commit(&core, Need::Synced).expect("commits");
        for other in others {
            other.join().expect("joins");
        }
        assert_eq!(core.durable(), Lsn::new(3));
        assert_eq!(paper.written.load(Ordering::SeqCst), 3);
    });
}

#[test]
fn loom_a_dropped_ticket_beside_a_committer_becomes_durable_by_the_pump() {
    explore(|| {
        let (core, _paper) = core();
        let pump = beside(&core, |core| core.pump());
        let submitter = beside(&core, |core| drop(submit(core)));
        commit(&core, Need::Synced).expect("commits");
        submitter.join().expect("joins");
        core.close().expect("drains");
        pump.join().expect("ends");
        assert_eq!(core.durable(), Lsn::new(2));
    });
}

#[test]
fn loom_two_who_wait_for_tickets_need_no_pump() {
    explore(|| {
        let (core, _paper) = core();
        let other = beside(&core, |core| {
            let cell = submit(core);
            core.complete_ticket(&cell).expect("commits");
        });
        let cell = submit(&core);
        core.complete_ticket(&cell).expect("commits");
        other.join().expect("joins");
        assert_eq!(core.durable(), Lsn::new(2));
    });
}

#[test]
fn loom_a_polled_ticket_wakes_its_task() {
    struct Task(Bed);

    impl std::task::Wake for Task {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.wake();
        }
    }

    explore(|| {
        let (core, _paper) = core();
        let pump = beside(&core, |core| core.pump());
        let cell = submit(&core);
        let bed = Bed::for_this_thread();
        let waker = std::task::Waker::from(std::sync::Arc::new(Task(bed.clone())));
        loop {
            cell.wake_task(&waker);
            if cell.settled() {
                break;
            }
            bed.sleep();
        }
        core.close().expect("drains");
        pump.join().expect("ends");
        assert_eq!(core.durable(), Lsn::new(1));
    });
}

#[test]
fn loom_a_failing_sync_wakes_everyone_with_an_error() {
    explore(|| {
        let (core, paper) = core();
        paper.fail_sync.store(true, Ordering::SeqCst);
        let other = beside(&core, |core| drop(commit(core, Need::Synced).expect_err("fails")));
        commit(&core, Need::Synced).expect_err("fails");
        other.join().expect("joins");
        assert_eq!(core.durable(), Lsn::ZERO);
        assert_eq!(paper.syncs.load(Ordering::SeqCst), 1, "never tried again");
    });
}

#[test]
fn loom_a_failing_write_wakes_everyone_with_an_error() {
    explore(|| {
        let (core, paper) = core();
        paper.fail_write.store(true, Ordering::SeqCst);
        let other = beside(&core, |core| drop(commit(core, Need::Synced).expect_err("fails")));
        commit(&core, Need::Synced).expect_err("fails");
        other.join().expect("joins");
        assert_eq!(paper.syncs.load(Ordering::SeqCst), 0, "nothing to sync");
    });
}

#[test]
fn loom_a_failure_from_outside_strands_no_committer() {
    explore(|| {
        let (core, _paper) = core();
        let other =
            beside(&core, |core| core.poison(Error::new(ErrorKind::Io, "a mark could not be synced")));
        // It may be acknowledged before the failure, but it returns.
        let outcome = commit(&core, Need::Synced);
        let durable = core.durable();
        assert!(outcome.is_err() || durable == Lsn::new(1));
        other.join().expect("joins");
        assert_eq!(core.durable(), durable, "a failed journal acknowledges nothing more");
        commit(&core, Need::Synced).expect_err("poisoned");
    });
}

#[test]
fn loom_the_barrier_beside_a_buffered_commit_returns_when_it_is_durable() {
    explore(|| {
        let (core, _paper) = core();
        commit(&core, Need::Synced).expect("commits");
        let pump = beside(&core, |core| core.pump());
        let other = beside(&core, |core| assert!(commit(core, Need::Written).is_ok()));
        let lsn = commit(&core, Need::Written).expect("commits");
        core.wait_durable(lsn).expect("syncs");
        assert!(core.durable() >= lsn);
        other.join().expect("joins");
        core.close().expect("drains");
        pump.join().expect("ends");
        assert_eq!(core.durable(), Lsn::new(3));
    });
}

#[test]
fn loom_a_refused_group_gives_its_numbers_back_and_strands_nobody() {
    explore(|| {
        let (core, paper) = core();
        paper.refuse.store(true, Ordering::SeqCst);
        let other = beside(&core, |core| drop(commit(core, Need::Synced)));
        let _either = commit(&core, Need::Synced);
        other.join().expect("joins");
        let written = paper.written.load(Ordering::SeqCst);
        assert!(written <= 1, "at least one of two was refused");
        assert_eq!(core.durable(), Lsn::new(written));
        assert_eq!(core.latest(), Lsn::new(written));
        assert_eq!(core.refusals(), 1);
    });
}
