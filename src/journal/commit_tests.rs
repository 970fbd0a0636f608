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
    fail_sync: AtomicU64,
    refuse: AtomicU64,
    panic: AtomicU64,
}

impl Sink for Arc<Paper> {
    fn write(&self, group: &mut Group) -> Result<(), WriteError> {
        assert_eq!(self.panic.load(Ordering::SeqCst), 0, "asked to panic");
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
        std::thread::sleep(Duration::from_micros(200));
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
fn closing_drains_and_then_refuses() {
    let (core, paper) = core();
    let record = NewRecord::event(b"x", 0);
    let _dropped = core.enter(&[record], Need::Synced, Sitter::Ticket, Patience::Wait).expect("enters");
    core.close().expect("drains");
    assert_eq!(paper.lines.lock().len(), 1);
    assert_eq!(commit(&core, b"late", Need::Synced).expect_err("closed").kind(), &ErrorKind::Closed);
}
