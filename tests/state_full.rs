//! What a full disk refused is in no state; what a failed sync leaves unknown is read by nobody (J5).

#![cfg(feature = "sim")]

mod state_parts;

use std::sync::Arc;

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
    assert_eq!(bank.at(&When::now()).expect("folds").into_state(), live);
    bank.close().expect("closes");
    let bank = open_on(&sim);
    assert_eq!(state(&bank), live);
    bank.commit(deposit(3, 1)).expect("there is room again");
}

#[test]
fn everything_queued_behind_a_refused_group_goes_with_it_and_pins_take_its_numbers() {
    let sim = Sim::new(2);
    let bank = open_on(&sim);
    bank.commit(deposit(1, 1)).expect("commits");
    let whole = sim.steps();
    assert!(whole > 0);
    let filling = bank.transaction(|_| Ok((0..150).map(|_| deposit(9, 1)))).expect("commits");
    assert!(filling.is_some());
    sim.capacity(Some(0));
    let buffered = bank.with_durability(Durability::Buffered);
    let mut tickets = Vec::new();
    for _ in 0..5 {
        let events = bank.try_transaction(|_| Ok::<_, ()>((0..200).map(|_| deposit(5, 1))));
        if events.is_err() {
            break;
        }
    }
    for _ in 0..3 {
        tickets.extend(buffered.submit(deposit(6, 1)));
    }
    let results: Vec<_> = tickets.into_iter().map(|ticket| ticket.wait().is_ok()).collect();
    sim.capacity(None);
    let kept = results.iter().filter(|kept| **kept).count() as u64;
    bank.pin("takes the next number", &When::now(), "").expect("pins");
    assert_eq!(bank.read(|bank| bank.of(6)).expect("reads"), kept, "a reader is not fooled by given numbers");
    bank.commit(deposit(7, 1)).expect("commits");
    let live = state(&bank);
    assert_eq!((live.of(6), live.of(7)), (kept, 1));
    assert_eq!(bank.latest(Bank::clone).expect("reads"), live);
    assert_eq!(bank.at(&When::now()).expect("folds").into_state(), live);
    bank.close().expect("closes");
    assert_eq!(state(&open_on(&sim)), live);
}

#[test]
fn after_a_failed_sync_readers_keep_what_was_durable_and_nothing_is_accepted() {
    let sim = Sim::new(3);
    let bank = open_on(&sim);
    bank.commit(deposit(1, 1)).expect("commits");
    let before = state(&bank);
    sim.fail_next_sync();
    assert_eq!(bank.commit(deposit(1, 2)).expect_err("unknown").kind(), &ErrorKind::FateUnknown);
    assert_eq!(bank.commit(deposit(1, 4)).expect_err("poisoned").kind(), &ErrorKind::Poisoned);
    assert_eq!(state(&bank), before);
    assert_eq!(bank.latest(Bank::clone).expect("reads"), before, "pending is what is durable");
    assert!(bank.close().is_err());
    let total = open_on(&sim).read(Bank::total).expect("reads");
    assert!(total == 1 || total == 3, "{total}");
}
