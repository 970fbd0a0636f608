//! A commit is in the log, in the state and acknowledged, or nothing of it is seen anywhere.

#![cfg(feature = "sim")]
#![allow(clippy::expect_used, clippy::panic, reason = "this is a test")]

mod state_parts;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use everlog::medium::Sim;
use everlog::medium::sim::Crash;
use everlog::{Durability, ErrorKind, Fold, Journaled, Meta, Position, Stamp, TransactionError};
use serde::{Deserialize, Serialize};
use state_parts::*;

#[test]
fn what_was_committed_is_read_and_still_there_after_reopening() {
    let directory = tempfile::tempdir().expect("a directory");
    let bank = Journaled::<Bank>::open(directory.path()).expect("opens");
    assert!(bank.report().created);
    let receipt = bank.commit(deposit(7, 100)).expect("commits");
    assert_eq!(bank.position(), receipt.position);
    assert_eq!(bank.read(|bank| bank.of(7)).expect("reads"), 100);
    let before = state(&bank);
    assert_eq!(before.last, Some((receipt.position.to_string(), receipt.time.micros(), None)));
    bank.close().expect("closes");
    assert_eq!(bank.commit(deposit(7, 1)).expect_err("closed").kind(), &ErrorKind::Closed);
    let bank = Journaled::<Bank>::open(directory.path()).expect("opens again");
    assert!(bank.report().clean && !bank.report().created);
    assert_eq!(state(&bank), before, "replay gives the live state");
}

#[test]
fn a_transaction_decides_once_on_the_latest_state_and_commits_all_or_nothing() {
    let bank = open_on(&Sim::new(1));
    bank.commit(deposit(1, 100)).expect("commits");
    let calls = AtomicU32::new(0);
    let receipt = bank.transaction(|bank| {
        calls.fetch_add(1, Ordering::SeqCst);
        Ok((0..3).map(|to| Event::Moved { from: 1, to: 10 + to, cents: bank.of(1) / 4 }).collect::<Vec<_>>())
    });
    let receipt = receipt.expect("commits").expect("had events");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!((receipt.first_lsn.get(), receipt.position.lsn.get()), (2, 4));
    let after = state(&bank);
    assert_eq!((after.of(1), after.of(10), after.of(12), after.events), (25, 25, 25, 4));
    assert!(bank.transaction(|_| Ok([])).expect("nothing to do").is_none());
    assert_eq!(state(&bank), after);
}

#[test]
fn a_refusal_is_the_users_own_error_and_commits_nothing() {
    #[derive(Debug, PartialEq)]
    struct Overdrawn(u64);
    let bank = open_on(&Sim::new(2));
    bank.commit(deposit(7, 50)).expect("commits");
    let refused = bank.try_transaction(|bank| match bank.of(7) {
        cents @ ..100 => Err(Overdrawn(cents)),
        _ => Ok([withdraw(7, 100)]),
    });
    assert!(matches!(refused, Err(TransactionError::Refused(Overdrawn(50)))));
    assert_eq!(bank.position().lsn.get(), 1);
}

#[test]
fn an_answer_decided_on_a_state_that_is_not_durable_waits_for_it() {
    let sim = Sim::new(3);
    let bank = open_on(&sim);
    bank.commit(deposit(7, 50)).expect("proves the session");
    let buffered = bank.with_durability(Durability::Buffered);
    let ticket = buffered.submit(deposit(7, 25)).expect("enters");
    assert_eq!(bank.read(|bank| bank.of(7)).expect("reads"), 50, "readers see durable state only");
    assert_eq!(bank.latest(|bank| bank.of(7)).expect("reads"), 75);
    let refused = bank.try_transaction(|bank| if bank.of(7) < 100 { Err(bank.of(7)) } else { Ok([]) });
    assert!(matches!(refused, Err(TransactionError::Refused(75))));
    let after = open_on(&sim.crash(Crash::LoseAll));
    assert_eq!(after.read(|bank| bank.of(7)).expect("reads"), 75, "what the refusal told is durable");
    ticket.wait().expect("is durable");
}

#[test]
fn an_event_on_which_the_fold_panics_leaves_nothing_behind() {
    let sim = Sim::new(4);
    let bank = open_on(&sim);
    bank.commit(deposit(1, 10)).expect("commits");
    let before = state(&bank);
    let error = bank.commit(Event::Moved { from: 1, to: 2, cents: 11 }).expect_err("panics");
    assert_eq!(error.kind(), &ErrorKind::Refused);
    assert!(error.what().contains("has not this much"), "{error}");
    let error = bank.transaction(|_| Ok([deposit(3, 5), Event::Moved { from: 1, to: 2, cents: 11 }]));
    assert_eq!(error.expect_err("panics").kind(), &ErrorKind::Refused);
    assert_eq!(state(&bank), before, "nothing half applied is durable");
    assert_eq!(bank.latest(Bank::clone).expect("reads"), before, "nor pending");
    assert_eq!(bank.position().lsn.get(), 1);
    bank.commit(Event::Moved { from: 1, to: 2, cents: 10 }).expect("goes on");
    let live = state(&bank);
    assert_eq!((live.of(1), live.of(2)), (0, 10));
    bank.close().expect("closes");
    assert_eq!(state(&open_on(&sim)), live);
}

#[test]
fn a_closure_that_panics_changes_nothing_and_blocks_nobody() {
    let bank = open_on(&Sim::new(5));
    let other = bank.clone();
    let panicked = std::thread::spawn(move || {
        other.transaction::<[Event; 0]>(|_| panic!("the application's own mistake"))
    });
    assert!(panicked.join().is_err());
    bank.commit(deposit(1, 1)).expect("goes on");
    assert_eq!(bank.read(Bank::total).expect("reads"), 1);
}

#[test]
fn calling_the_handle_from_inside_a_closure_is_an_error_and_not_a_deadlock() {
    let bank = open_on(&Sim::new(6));
    let other = bank.clone();
    let all = |other: &Journaled<Bank>| {
        let errors = [
            other.commit(deposit(1, 1)).err(),
            other.submit(deposit(1, 1)).err(),
            other.transaction(|_| Ok([])).err(),
            other.read(|_| ()).err(),
            other.latest(|_| ()).err(),
            other.at(everlog::When::now()).err(),
            other.events(..).err(),
            other.subscribe(Position::START).err(),
            other.rollback_to(everlog::When::now()).err(),
            other.snapshot().err(),
            other.tick().err(),
            other.close().err(),
        ];
        for (index, error) in errors.into_iter().enumerate() {
            assert_eq!(error.expect("refused").kind(), &ErrorKind::Reentered, "call {index}");
        }
    };
    bank.transaction(|_| {
        all(&other);
        Ok([deposit(1, 1)])
    })
    .expect("commits all the same");
    bank.read(|_| all(&other)).expect("reads");
    bank.latest(|_| all(&other)).expect("reads");
    let elsewhere = open_on(&Sim::new(66));
    bank.read(|_| elsewhere.commit(deposit(1, 1)).expect("another handle is another matter")).expect("reads");
}

#[test]
fn what_was_said_about_a_commit_is_kept_with_each_of_its_events() {
    let sim = Sim::new(7);
    let bank = open_on(&sim);
    let alice = bank.with_meta(Meta::new().actor("alice").cause("command 12"));
    alice.transaction(|_| Ok([deposit(1, 1), deposit(1, 2)])).expect("commits");
    bank.commit(deposit(1, 3)).expect("commits");
    let metas = |bank: &Journaled<Bank>| -> Vec<Option<Meta>> {
        let events = bank.events(..).expect("reads");
        events.map(|event| event.expect("checks").meta.map(|meta| (*meta).clone())).collect()
    };
    let alices = Some(Meta::new().actor("alice").cause("command 12"));
    assert_eq!(metas(&bank), [alices.clone(), alices.clone(), None]);
    let live = state(&bank);
    bank.close().expect("closes");
    let bank = open_on(&sim);
    assert_eq!(state(&bank), live, "the fold is told the same again");
    assert_eq!(metas(&bank), [alices.clone(), alices, None]);
}

#[test]
fn an_event_that_would_not_read_back_is_refused_before_anything_is_written() {
    #[derive(Default, Serialize, Deserialize)]
    struct Sum(f64);
    #[derive(Serialize, Deserialize)]
    struct Measured {
        value: f64,
        #[serde(skip)]
        note: u8,
        #[serde(skip_serializing_if = "Option::is_none", default = "seven")]
        extra: Option<u8>,
    }
    fn seven() -> Option<u8> {
        Some(7)
    }
    impl Fold for Sum {
        type Event = Measured;
        const NAME: &'static str = "sum";
        const VERSION: u16 = 1;
        fn apply(&mut self, event: &Measured, _: &Stamp) {
            self.0 += event.value + f64::from(event.note);
        }
    }
    let sum = inline::<Sum>().open_on(Arc::new(Sim::new(8))).expect("opens");
    let event = |value, extra| Measured { value, note: 0, extra };
    assert_eq!(sum.commit(event(f64::NAN, Some(1))).expect_err("no number").kind(), &ErrorKind::Input);
    assert_eq!(sum.commit(event(1.0, None)).expect_err("reads back as 7").kind(), &ErrorKind::Input);
    sum.commit(event(0.1 + 0.2, Some(1))).expect("a float reads back exactly");
    assert_eq!(sum.position().lsn.get(), 1);
    assert_eq!(sum.read(|sum| sum.0).expect("reads"), 0.1 + 0.2);
}

#[test]
fn the_same_directory_opened_twice_in_one_process_is_the_same_live_handle() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("bank");
    let one = Journaled::<Bank>::open(&path).expect("opens");
    let other =
        Journaled::<Bank>::open(directory.path().join(".").join("bank")).expect("opens by another name");
    one.commit(deposit(1, 5)).expect("commits");
    assert_eq!(other.read(Bank::total).expect("reads"), 5);
    drop(one);
    other.commit(deposit(1, 5)).expect("one owner is left");
    let sight = Journaled::<Bank>::options().read_only().open(&path).expect("a view of its own");
    assert_eq!(sight.commit(deposit(1, 5)).expect_err("read-only").kind(), &ErrorKind::ReadOnly);
    other.close().expect("closes");
    let fresh = Journaled::<Bank>::open(&path).expect("a closed handle is not given out");
    drop(other);
    assert_eq!(fresh.read(Bank::total).expect("reads"), 10);
    let again = Journaled::<Bank>::open(&path).expect("opens");
    again.commit(deposit(1, 5)).expect("the old handle's end did not close the new one");
    let racing: Vec<_> = (0..8)
        .map(|index| {
            let path = path.clone();
            std::thread::spawn(move || {
                for _ in 0..20 {
                    let bank = Journaled::<Bank>::open(&path).expect("opens while others drop it");
                    bank.commit(deposit(100 + index, 1)).expect("commits");
                }
            })
        })
        .collect();
    drop((fresh, again));
    racing.into_iter().for_each(|thread| thread.join().expect("no panic"));
    let bank = Journaled::<Bank>::open(&path).expect("opens");
    assert_eq!(bank.read(Bank::total).expect("reads"), 15 + 160);
}

#[test]
fn a_read_only_handle_shows_what_is_proven_and_changes_nothing() {
    let sim = Sim::new(9);
    let bank = open_on(&sim);
    bank.commit(deposit(1, 5)).expect("commits");
    bank.tick().expect("marks");
    let steps = sim.steps();
    let sight = inline::<Bank>().read_only().open_on(Arc::new(sim.clone())).expect("opens beside the writer");
    assert_eq!(state(&sight), state(&bank));
    assert_eq!(sight.latest(Bank::total).expect("reads"), 5);
    assert_eq!(sight.events(..).expect("reads").count(), 1);
    assert_eq!(sight.subscribe(Position::START).expect("subscribes").count(), 1, "ends where it is proven");
    for error in [
        sight.commit(deposit(1, 1)).err(),
        sight.transaction(|_| Ok([])).err(),
        sight.rollback_to(everlog::When::position(Position::START)).err(),
        sight.snapshot().err(),
    ] {
        assert_eq!(error.expect("refused").kind(), &ErrorKind::ReadOnly);
    }
    assert_eq!(sim.steps(), steps);
}

#[test]
fn snapshots_are_made_by_themselves_when_enough_was_appended() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = Journaled::<Bank>::options().journal(|journal| journal.snapshot_every_bytes(Some(20_000)));
    let bank = options.open(directory.path()).expect("opens");
    for _ in 0..10 {
        bank.transaction(|_| Ok((0..100).map(|_| deposit(1, 1)))).expect("commits");
    }
    bank.close().expect("closes, and had no trouble");
    let bank = Journaled::<Bank>::open(directory.path()).expect("opens");
    assert!(bank.report().snapshot.is_some(), "{}", bank.report());
    assert_eq!(bank.read(Bank::total).expect("reads"), 1000);
}

#[test]
fn handles_and_feeds_go_between_threads() {
    fn sendable<T: Send + Sync>() {}
    sendable::<Journaled<Bank>>();
    sendable::<everlog::Past<Bank>>();
    sendable::<everlog::Preview<Bank>>();
    fn movable<T: Send>() {}
    movable::<everlog::Events<Bank>>();
    movable::<everlog::Subscription<Bank>>();
}
