//! What a full disk refused is in no state; what a failed sync leaves unknown is read by nobody (J5).

#![cfg(feature = "sim")]
#![allow(clippy::expect_used, clippy::panic, reason = "this is a test")]

mod state_parts;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use everlog::journal::Background;
use everlog::medium::Sim;
use everlog::{Durability, ErrorKind, TransactionError, When};
use state_parts::*;

#[test]
fn a_refused_group_is_taken_out_of_every_state_and_commits_go_on() {
    let sim = Sim::new(1);
    let options = inline::<Bank>().journal(|journal| journal.journal_bytes_max(64 * 1024));
    let bank = options.open_on(Arc::new(sim.clone())).expect("opens");
    bank.commit(deposit(1, 1)).expect("commits");
    let mut committed = 1;
    let error = loop {
        match bank.transaction(|_| Ok((0..100).map(|_| deposit(1, 1)))) {
            Ok(_) => committed += 100,
            Err(error) => break error,
        }
        assert!(committed < 10_000, "the limit is met some time");
    };
    assert!(matches!(error.kind(), ErrorKind::Quota { .. }), "{error}");
    assert_eq!(bank.read(Bank::total).expect("reads"), committed);
    assert_eq!(bank.latest(Bank::total).expect("reads"), committed, "what was refused is not decided on");
    let refused = bank.try_transaction(|bank| Err::<[Event; 0], _>(bank.total()));
    assert!(matches!(refused, Err(TransactionError::Refused(total)) if total == committed));
    let mut singles = 0;
    while bank.commit(deposit(2, 1)).is_ok() {
        singles += 1;
    }
    assert_eq!(bank.read(|bank| (bank.of(1), bank.of(2))).expect("reads"), (committed, singles));
    let live = state(&bank);
    assert_eq!(bank.at(When::now()).expect("folds").into_state(), live);
    bank.close().expect("closes");
    let bank = open_on(&sim);
    assert_eq!(state(&bank), live);
    bank.commit(deposit(3, 1)).expect("there is room again");
}

#[test]
fn numbers_that_were_taken_back_and_given_to_a_pin_fool_no_reader() {
    let sim = Sim::new(2);
    let bank = open_on(&sim);
    bank.commit(deposit(1, 1)).expect("commits");
    // So much that a new segment is needed, for which there is no room.
    sim.capacity(Some(0));
    let buffered = bank.with_durability(Durability::Buffered);
    let tickets: Vec<_> = (0..600).map_while(|_| buffered.submit(deposit(6, 1)).ok()).collect();
    let kept = tickets.into_iter().filter_map(|ticket| ticket.wait().ok()).count() as u64;
    assert!(kept < 600, "some were refused");
    sim.capacity(None);
    let mut pins = 0;
    while bank.position().lsn.get() < 610 {
        pins += 1;
        bank.pin(&format!("takes a number {pins}"), When::now(), "").expect("pins");
    }
    assert_eq!(bank.read(|bank| bank.of(6)).expect("reads"), kept);
    bank.commit(deposit(7, 1)).expect("commits");
    let live = state(&bank);
    assert_eq!((live.of(6), live.of(7)), (kept, 1));
    assert_eq!(bank.latest(Bank::clone).expect("reads"), live);
    assert_eq!(bank.at(When::now()).expect("folds").into_state(), live);
    bank.close().expect("closes");
    assert_eq!(state(&open_on(&sim)), live);
}

#[test]
fn what_was_decided_on_a_state_that_was_then_refused_is_void() {
    for say_no in [true, false] {
        let sim = Sim::new(5);
        let bank = open_on(&sim);
        bank.commit(deposit(1, 1)).expect("commits");
        sim.capacity(Some(0));
        let buffered = bank.with_durability(Durability::Buffered);
        let mut tickets: Vec<_> = (0..600).map(|_| buffered.submit(deposit(6, 1)).expect("enters")).collect();
        let last = tickets.pop().expect("one");
        let outcome = bank.try_transaction(|bank| {
            assert_eq!(bank.of(6), 600);
            assert_eq!(last.wait().expect_err("no room").kind(), &ErrorKind::Full);
            if say_no { Err("too rich") } else { Ok([withdraw(6, 600)]) }
        });
        assert!(matches!(outcome, Err(TransactionError::Journal(error)) if *error.kind() == ErrorKind::Full));
        assert_eq!(bank.read(|bank| bank.of(6)).expect("reads"), 0);
        assert_eq!(bank.latest(Bank::total).expect("reads"), 1);
        drop(tickets);
    }
}

#[test]
fn many_threads_on_a_disk_that_is_full_now_and_then_keep_what_was_acknowledged_and_no_more() {
    let sim = Sim::new(4);
    let options = inline::<Bank>().background(Background::Threads);
    let bank = options.open_on(Arc::new(sim.clone())).expect("opens");
    let stop = AtomicBool::new(false);
    let acknowledged: u64 = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                sim.capacity(Some(0));
                std::thread::sleep(Duration::from_millis(3));
                sim.capacity(None);
                std::thread::sleep(Duration::from_millis(3));
            }
            sim.capacity(None);
        });
        scope.spawn(|| {
            let mut seen = 0;
            while !stop.load(Ordering::SeqCst) {
                let now = bank.read(|bank| bank.events).expect("reads");
                assert!(now >= seen);
                seen = now;
                // Takes numbers that may have been given before.
                let _full = bank.pin("one", When::now(), "");
            }
        });
        let writers: Vec<_> = (0..3)
            .map(|account| {
                let bank = &bank;
                scope.spawn(move || {
                    let mut kept = 0;
                    for _ in 0..200 {
                        let events = (0..20).map(|_| deposit(account, 1));
                        match bank.transaction(|_| Ok(events)) {
                            Ok(_) => kept += 20,
                            Err(error) => assert_eq!(error.kind(), &ErrorKind::Full, "{error}"),
                        }
                        assert_eq!(bank.read(|bank| bank.of(account)).expect("reads"), kept);
                    }
                    kept
                })
            })
            .collect();
        let kept = writers.into_iter().map(|writer| writer.join().expect("no panic")).sum();
        stop.store(true, Ordering::SeqCst);
        kept
    });
    assert!(acknowledged < 3 * 200 * 20, "the disk was full some time");
    let live = state(&bank);
    assert_eq!(live.total(), acknowledged);
    assert_eq!(bank.latest(Bank::clone).expect("reads"), live);
    assert_eq!(bank.at(When::now()).expect("folds").into_state(), live);
}

#[test]
fn after_a_failed_sync_readers_keep_what_was_durable_and_nothing_is_accepted() {
    let sim = Sim::new(3);
    let bank = open_on(&sim);
    bank.commit(deposit(1, 1)).expect("commits");
    let before = state(&bank);
    sim.fail_next_sync();
    let error = bank.commit(deposit(1, 2)).expect_err("unknown");
    assert_eq!(error.kind(), &ErrorKind::FateUnknown, "{error}");
    assert_eq!(bank.commit(deposit(1, 4)).expect_err("poisoned").kind(), &ErrorKind::Poisoned);
    assert_eq!(state(&bank), before);
    assert_eq!(bank.latest(Bank::clone).expect("reads"), before, "pending is what is durable");
    assert!(bank.close().is_err());
    let total = open_on(&sim).read(Bank::total).expect("reads");
    assert!(total == 1 || total == 3, "{total}");
}
