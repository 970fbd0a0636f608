//! Group commit over a sink without files: one order (J12), sharing, refusal, failure (J5), panic, the barrier (J4).

#![allow(clippy::expect_used, reason = "this is a test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::*;
use crate::segment::record::Records;

#[derive(Default)]
struct Paper {
    lines: Mutex<Vec<Vec<u8>>>,
    syncs: AtomicU64,
    /// Syncs that are under way.
    syncing: AtomicU64,
    fail_sync: AtomicU64,
    refuse: AtomicU64,
    panic: AtomicU64,
    /// Happens once, during the next write.
    during_write: Hook,
    /// Happens once, during the next sync.
    during_sync: Hook,
}

type Hook = Mutex<Option<Box<dyn FnOnce() + Send>>>;

fn happen(hook: &Hook) {
    let happening = hook.lock().take();
    happening.into_iter().for_each(|happening| happening());
}

impl Sink for Arc<Paper> {
    fn write(&self, group: &mut Group) -> Result<(), WriteError> {
        assert_eq!(self.panic.load(Ordering::SeqCst), 0, "asked to panic");
        happen(&self.during_write);
        if self.refuse.load(Ordering::SeqCst) > 0 {
            self.refuse.fetch_sub(1, Ordering::SeqCst);
            return Err(WriteError::Refused(Error::new(ErrorKind::Full, "full")));
        }
        let mut lines = self.lines.lock();
        for draft in &group.drafts {
            lines.extend(Records::new(draft.body()).map(|record| record.expect("valid").payload.to_vec()));
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        assert_eq!(self.syncing.fetch_add(1, Ordering::SeqCst), 0, "at most one syncs");
        happen(&self.during_sync);
        std::thread::sleep(Duration::from_micros(200));
        self.syncing.fetch_sub(1, Ordering::SeqCst);
        match self.fail_sync.load(Ordering::SeqCst) {
            0 => Ok(()),
            _ => Err(Error::new(ErrorKind::Io, "broken")),
        }
    }
}

struct Still;

impl Stamper for Still {
    fn stamp(&mut self) -> (Timestamp, Option<Vec<u8>>) {
        (Timestamp::from_micros(1), None)
    }
}

fn core() -> (Arc<Core<Arc<Paper>>>, Arc<Paper>) {
    let paper = Arc::new(Paper::default());
    (Arc::new(Core::new(Arc::clone(&paper), Lsn::ZERO, Box::new(Still), 4096)), paper)
}

fn commit(core: &Core<Arc<Paper>>, payload: &[u8], need: Need) -> Result<Lsn> {
    let record = NewRecord::event(payload, 0);
    let entered = core.enter(&[record], need, Sitter::Thread, Patience::Wait)?;
    core.complete(&entered.cell)?;
    Ok(entered.last_lsn)
}

#[test]
fn many_writers_share_syncs_and_keep_one_order() {
    let (core, paper) = core();
    std::thread::scope(|scope| {
        for writer in 0..16_u8 {
            let core = &core;
            scope.spawn(move || {
                for round in 0..50_u8 {
                    let lsn = commit(core, &[writer, round], Need::Synced).expect("commits");
                    assert!(core.durable() >= lsn);
                }
            });
        }
    });
    let lines = paper.lines.lock();
    assert_eq!(lines.len(), 800);
    for writer in 0..16 {
        let rounds: Vec<u8> = lines.iter().filter(|line| line[0] == writer).map(|line| line[1]).collect();
        assert_eq!(rounds, (0..50).collect::<Vec<_>>());
    }
    assert!(paper.syncs.load(Ordering::SeqCst) < 400, "syncs are shared");
}

#[test]
fn a_failed_sync_wakes_everyone_with_the_same_error_and_is_final() {
    let (core, paper) = core();
    commit(&core, b"good", Need::Synced).expect("commits");
    paper.fail_sync.store(1, Ordering::SeqCst);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let error = commit(&core, b"bad", Need::Synced).expect_err("the sync fails");
                assert!(matches!(error.kind(), ErrorKind::FateUnknown | ErrorKind::Poisoned));
                assert!(error.what().contains("broken"));
            });
        }
    });
    paper.fail_sync.store(0, Ordering::SeqCst);
    let syncs = paper.syncs.load(Ordering::SeqCst);
    assert_eq!(commit(&core, b"later", Need::Synced).expect_err("poisoned").kind(), &ErrorKind::Poisoned);
    assert_eq!(paper.syncs.load(Ordering::SeqCst), syncs, "never synced again");
    assert_eq!(core.durable(), Lsn::new(1));
}

#[test]
fn a_leader_that_panics_strands_nobody() {
    let (core, paper) = core();
    paper.panic.store(1, Ordering::SeqCst);
    let outcomes: Vec<bool> = std::thread::scope(|scope| {
        let writers: Vec<_> =
            (0..4).map(|_| scope.spawn(|| commit(&core, b"x", Need::Synced).is_err())).collect();
        writers.into_iter().map(|writer| writer.join().unwrap_or(true)).collect()
    });
    assert_eq!(outcomes, [true; 4]);
}

#[test]
fn a_refused_group_gives_its_numbers_back() {
    let (core, paper) = core();
    assert_eq!(commit(&core, b"one", Need::Synced).expect("commits"), Lsn::new(1));
    paper.refuse.store(1, Ordering::SeqCst);
    assert_eq!(commit(&core, b"no", Need::Synced).expect_err("refused").kind(), &ErrorKind::Full);
    assert_eq!(commit(&core, b"two", Need::Synced).expect("commits"), Lsn::new(2));
    assert_eq!(*paper.lines.lock(), [b"one", b"two"]);
    assert_eq!(core.refusals(), 1);
}

#[test]
fn tickets_become_durable_without_anybody_waiting() {
    let (core, _paper) = core();
    let record = NewRecord::event(b"x", 0);
    for _ in 0..1000 {
        let entered = core.enter(&[record], Need::Synced, Sitter::Ticket, Patience::Wait).expect("enters");
        drop(entered);
    }
    while core.drive() {}
    assert_eq!(core.durable(), Lsn::new(1000));
}

#[test]
fn collecting_a_settled_ticket_leads_nothing() {
    let (core, paper) = core();
    let record = NewRecord::event(b"x", 0);
    let enter = || core.enter(&[record], Need::Synced, Sitter::Ticket, Patience::Wait).expect("enters");
    let (first, second) = (enter(), enter());
    core.complete_ticket(&first.cell).expect("commits");
    let third = enter();
    core.complete_ticket(&second.cell).expect("is settled");
    assert_eq!(paper.syncs.load(Ordering::SeqCst), 1, "the third still gathers company");
    core.complete_ticket(&third.cell).expect("commits");
    assert_eq!(paper.syncs.load(Ordering::SeqCst), 2);
}

#[test]
fn a_full_group_answers_busy_to_the_impatient() {
    let (core, _paper) = core();
    let large = NewRecord::event(&[7; 3000], 0);
    let _kept = core.enter(&[large], Need::Synced, Sitter::Ticket, Patience::Try).expect("enters");
    let error = core.enter(&[large], Need::Synced, Sitter::Ticket, Patience::Try).expect_err("no room");
    assert_eq!(error.kind(), &ErrorKind::Busy);
    let waited =
        core.enter(&[large], Need::Synced, Sitter::Ticket, Patience::Wait).expect("makes room itself");
    assert_eq!(waited.last_lsn, Lsn::new(2));
}

#[test]
fn buffered_commits_return_before_the_sync_and_the_barrier_waits_for_it() {
    let (core, paper) = core();
    commit(&core, b"first", Need::Written).expect("commits");
    assert_eq!(core.durable(), Lsn::new(1), "the first of a session is synced");
    let syncs = paper.syncs.load(Ordering::SeqCst);
    for _ in 0..10 {
        commit(&core, b"more", Need::Written).expect("commits");
    }
    assert_eq!(paper.syncs.load(Ordering::SeqCst), syncs, "no sync on the way");
    core.wait_durable(Lsn::new(11)).expect("syncs");
    assert_eq!(core.durable(), Lsn::new(11));
    assert_eq!(core.wait_durable(Lsn::new(12)).expect_err("not there").kind(), &ErrorKind::Input);
}

#[test]
fn a_barrier_on_what_was_written_during_a_sync_returns_after_the_next_one() {
    let (core, paper) = core();
    commit(&core, b"the first of a session", Need::Synced).expect("commits");
    let (tell, told) = std::sync::mpsc::channel();
    let inner = Arc::clone(&core);
    let during = move || {
        // The sync that is under way has begun without it.
        let last = commit(&inner, b"late", Need::Written).expect("commits");
        let waiting = Arc::clone(&inner);
        let waiter = std::thread::spawn(move || {
            let waited = waiting.wait_durable(last);
            (waited, waiting.durable() >= last)
        });
        while inner.state.lock().awaiting.is_empty() {
            std::thread::yield_now();
        }
        tell.send(waiter).expect("is taken");
    };
    *paper.during_sync.lock() = Some(Box::new(during));
    commit(&core, b"early", Need::Synced).expect("commits");
    let (waited, was_durable) = told.recv().expect("happened").join().expect("ends");
    waited.expect("there was no failure");
    assert!(was_durable, "it was told that it is");
    assert_eq!(paper.syncs.load(Ordering::SeqCst), 3);
}

#[test]
fn closing_drains_and_then_refuses() {
    let (core, paper) = core();
    let record = NewRecord::event(b"x", 0);
    let _dropped = core.enter(&[record], Need::Synced, Sitter::Ticket, Patience::Wait).expect("enters");
    core.close().expect("drains");
    assert_eq!(paper.lines.lock().len(), 1);
    assert_eq!(commit(&core, b"late", Need::Synced).expect_err("closed").kind(), &ErrorKind::Closed);
}

#[test]
fn after_another_failure_a_good_answer_acknowledges_nothing() {
    for during_sync in [false, true] {
        let (core, paper) = core();
        let poisoner = Arc::clone(&core);
        let hook = if during_sync { &paper.during_sync } else { &paper.during_write };
        *hook.lock() = Some(Box::new(move || poisoner.poison(Error::new(ErrorKind::Io, "elsewhere"))));
        let error = commit(&core, b"x", Need::Synced).expect_err("the journal failed meanwhile");
        assert_eq!(error.kind(), &ErrorKind::FateUnknown);
        assert!(error.what().contains("elsewhere"), "{error}");
        assert_eq!(core.durable(), Lsn::ZERO);
        assert_eq!(paper.syncs.load(Ordering::SeqCst), u64::from(during_sync), "no sync is begun any more");
        assert_eq!(core.wait_durable(Lsn::new(1)).expect_err("poisoned").kind(), &ErrorKind::Poisoned);
        assert_eq!(core.close().expect_err("poisoned").kind(), &ErrorKind::Poisoned);
    }
}

#[test]
fn who_is_called_upon_after_a_failure_leads_nothing() {
    let (core, paper) = core();
    let record = NewRecord::event(b"x", 0);
    let entered = core.enter(&[record], Need::Synced, Sitter::Thread, Patience::Wait).expect("enters");
    assert!(entered.cell.take_the_lead());
    core.poison(Error::new(ErrorKind::Io, "elsewhere"));
    core.lead_write();
    core.lead_sync();
    assert!(paper.lines.lock().is_empty(), "nothing is written");
    assert_eq!(paper.syncs.load(Ordering::SeqCst), 0, "nothing is synced");
    assert_eq!(core.complete(&entered.cell).expect_err("settled").kind(), &ErrorKind::FateUnknown);
    assert!(!entered.cell.take_the_lead(), "settled once and for all");
    assert!(!core.drive_surely(), "nothing is left to the pump");
}

#[test]
fn whoever_joins_a_group_that_wanted_no_sync_still_gets_one_from_its_writer() {
    let (core, paper) = core();
    commit(&core, b"first", Need::Synced).expect("commits");
    let record = NewRecord::event(b"x", 0);
    let enter = |need| core.enter(&[record], need, Sitter::Thread, Patience::Wait).expect("enters");
    let (written, synced) = (enter(Need::Written), enter(Need::Synced));
    core.complete(&written.cell).expect("commits");
    assert_eq!((core.durable(), paper.syncs.load(Ordering::SeqCst)), (Lsn::new(3), 2));
    core.complete(&synced.cell).expect("is settled");
    assert_eq!(paper.syncs.load(Ordering::SeqCst), 2, "one sync for both");
}

#[test]
fn a_refusal_takes_back_the_numbers_of_all_who_queued_behind() {
    let (core, paper) = core();
    commit(&core, b"one", Need::Synced).expect("commits");
    paper.refuse.store(1, Ordering::SeqCst);
    let behind = Arc::new(Mutex::new(None));
    let (late, kept) = (Arc::clone(&core), Arc::clone(&behind));
    *paper.during_write.lock() = Some(Box::new(move || {
        let record = NewRecord::event(b"behind", 0);
        *kept.lock() = late.enter(&[record], Need::Synced, Sitter::Ticket, Patience::Wait).ok();
    }));
    assert_eq!(commit(&core, b"no", Need::Synced).expect_err("refused").kind(), &ErrorKind::Full);
    let behind = behind.lock().take().expect("entered while the group was being written");
    assert_eq!(behind.last_lsn, Lsn::new(3));
    assert_eq!(core.complete(&behind.cell).expect_err("refused too").kind(), &ErrorKind::Full);
    assert_eq!(core.latest(), Lsn::new(1));
    assert_eq!(commit(&core, b"two", Need::Synced).expect("commits"), Lsn::new(2));
    assert_eq!(*paper.lines.lock(), [b"one", b"two"]);
    core.close().expect("closes");
}

#[test]
fn a_reservation_holds_unless_somebody_came_between_or_numbers_were_taken_back() {
    let (core, paper) = core();
    let record = NewRecord::event(b"x", 0);
    let enter = |reserved: &Reserved| core.enter_reserved(&[record], Need::Synced, Sitter::Thread, reserved);
    let reserved = core.reserve().expect("accepts");
    let entered = enter(&reserved).expect("accepts").expect("nobody came between");
    assert_eq!((entered.first_lsn, entered.time), (Lsn::new(1), reserved.time));
    core.complete(&entered.cell).expect("commits");
    let reserved = core.reserve().expect("accepts");
    commit(&core, b"between", Need::Synced).expect("commits");
    assert!(enter(&reserved).expect("accepts").is_none(), "somebody came between");
    let reserved = core.reserve().expect("accepts");
    assert_eq!(reserved.first_lsn, Lsn::new(3));
    paper.refuse.store(1, Ordering::SeqCst);
    commit(&core, b"no", Need::Synced).expect_err("refused");
    assert_eq!(enter(&reserved).expect_err("void").kind(), &ErrorKind::Full);
    assert_eq!(core.refusal_since(0).expect("one").kind(), &ErrorKind::Full);
    assert!(core.refusal_since(1).is_none() && core.accepting().is_ok() && !core.is_closed());
    core.close().expect("closes");
    assert!(core.is_closed());
    for error in [core.accepting().expect_err("closed"), core.reserve().expect_err("closed")] {
        assert_eq!(error.kind(), &ErrorKind::Closed);
    }
    assert_eq!(enter(&reserved).expect_err("closed").kind(), &ErrorKind::Closed);
}

#[test]
fn who_waits_for_room_gets_it_without_a_pump_also_when_what_was_before_it_is_refused() {
    for refused in [0, 1] {
        let (core, paper) = core();
        paper.refuse.store(refused, Ordering::SeqCst);
        let (inside, outside) = (Arc::clone(&core), Arc::new(Mutex::new(None)));
        let waiter = Arc::clone(&outside);
        *paper.during_write.lock() = Some(Box::new(move || {
            let enter = |core: &Core<Arc<Paper>>| {
                let large = NewRecord::event(&[7; 3000], 0);
                core.enter(&[large], Need::Synced, Sitter::Ticket, Patience::Wait).map(drop)
            };
            enter(&inside).expect("fills the open group");
            let late = Arc::clone(&inside);
            *waiter.lock() = Some(std::thread::spawn(move || enter(&late)));
            while inside.state.lock().waiting_for_room == 0 {
                std::thread::yield_now();
            }
        }));
        assert_eq!(commit(&core, b"x", Need::Synced).is_err(), refused == 1);
        ended(outside.lock().take().expect("started")).expect("has room");
        assert_eq!(core.latest(), Lsn::new(if refused == 1 { 1 } else { 3 }));
    }
}

/// What a thread came to that must not wait for ever.
fn ended(waiter: std::thread::JoinHandle<Result<()>>) -> Result<()> {
    for _ in 0..10_000 {
        if waiter.is_finished() {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(waiter.is_finished(), "it waits for ever");
    waiter.join().expect("no panic")
}

#[test]
fn a_barrier_on_numbers_that_are_taken_back_is_refused_with_them() {
    let (core, paper) = core();
    commit(&core, b"one", Need::Synced).expect("commits");
    paper.refuse.store(1, Ordering::SeqCst);
    let (inside, outside) = (Arc::clone(&core), Arc::new(Mutex::new(None)));
    let waiter = Arc::clone(&outside);
    *paper.during_write.lock() = Some(Box::new(move || {
        let late = Arc::clone(&inside);
        *waiter.lock() = Some(std::thread::spawn(move || late.wait_durable(Lsn::new(2))));
        while inside.state.lock().awaiting.is_empty() {
            std::thread::yield_now();
        }
    }));
    assert_eq!(commit(&core, b"no", Need::Synced).expect_err("refused").kind(), &ErrorKind::Full);
    let error = ended(outside.lock().take().expect("started")).expect_err("nothing of it is durable");
    assert_eq!(error.kind(), &ErrorKind::Full);
}
