//! A subscription gives everything durable after a position, in order, each once, also after a restart.

#![cfg(feature = "sim")]
#![allow(clippy::expect_used, clippy::panic, reason = "this is a test")]

mod state_parts;

use std::time::Duration;

use everlog::medium::Sim;
use everlog::medium::sim::Crash;
use everlog::{Durability, ErrorKind, Item, Journaled, Position, Recorded, When};
use state_parts::*;

const SOON: Duration = Duration::from_secs(10);
const NOW: Duration = Duration::ZERO;

fn lsn(recorded: &Recorded<Event>) -> u64 {
    recorded.position.lsn.get()
}

#[test]
fn it_resumes_where_it_was_left_across_rollbacks_and_restarts() {
    let sim = Sim::new(1);
    let bank = open_on(&sim);
    let first = bank.commit(deposit(1, 1)).expect("commits").position;
    bank.commit(deposit(1, 2)).expect("commits");
    let mut feed = bank.subscribe(first).expect("subscribes");
    let second = feed.next().expect("one").expect("checks");
    assert_eq!((lsn(&second), second.item.event()), (2, Some(&deposit(1, 2))));
    bank.pin("a pin is no item", When::now(), "").expect("pins");
    bank.rollback_to(first).expect("previews").commit().expect("commits");
    bank.close().expect("closes");
    assert!(!feed.has_ended(), "it has not seen everything");
    let bank = open_on(&sim);
    let mut feed = bank.subscribe(second.position).expect("subscribes");
    let rollback = feed.next().expect("one").expect("checks");
    assert_eq!((lsn(&rollback), rollback.item), (4, Item::Rollback { target: first }));
    assert!(feed.next_timeout(NOW).is_none() && !feed.has_ended(), "nothing yet");
    bank.commit(deposit(1, 3)).expect("commits");
    assert_eq!(lsn(&feed.next_timeout(NOW).expect("one").expect("checks")), 5);
}

#[test]
fn it_shows_nothing_that_is_not_durable() {
    let bank = open_on(&Sim::new(2));
    bank.commit(deposit(1, 1)).expect("proves the session");
    let mut feed = bank.subscribe(bank.position()).expect("subscribes");
    let ticket = bank.with_durability(Durability::Buffered).submit(deposit(1, 2)).expect("enters");
    assert!(feed.next_timeout(NOW).is_none());
    let receipt = ticket.wait().expect("is written");
    bank.wait(receipt.position).expect("is durable");
    assert_eq!(lsn(&feed.next_timeout(NOW).expect("one").expect("checks")), 2);
}

#[test]
fn a_blocked_reader_gets_what_others_commit_and_ends_with_the_journal() {
    let directory = tempfile::tempdir().expect("a directory");
    let bank = Journaled::<Bank>::open(directory.path()).expect("opens");
    let feeds: Vec<_> = (0..2)
        .map(|_| {
            let feed = bank.subscribe(Position::START).expect("subscribes");
            std::thread::spawn(move || feed.map(|item| lsn(&item.expect("checks"))).collect::<Vec<_>>())
        })
        .collect();
    let writers: Vec<_> = (0..4)
        .map(|account| {
            let bank = bank.clone();
            std::thread::spawn(move || {
                for _ in 0..50 {
                    bank.commit(deposit(account, 1)).expect("commits");
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().expect("no panic"));
    bank.close().expect("closes");
    for feed in feeds {
        assert_eq!(feed.join().expect("no panic"), (1..=200).collect::<Vec<_>>());
    }
}

#[test]
fn a_wait_ends_after_its_time_or_with_an_item() {
    let directory = tempfile::tempdir().expect("a directory");
    let bank = Journaled::<Bank>::open(directory.path()).expect("opens");
    let mut feed = bank.subscribe(Position::START).expect("subscribes");
    assert!(feed.next_timeout(Duration::from_millis(5)).is_none());
    let other = bank.clone();
    let writer = std::thread::spawn(move || other.commit(deposit(1, 1)).expect("commits"));
    assert_eq!(lsn(&feed.next_timeout(SOON).expect("one").expect("checks")), 1);
    writer.join().expect("no panic");
}

#[test]
fn a_position_that_a_crash_cut_is_refused_with_the_last_one_in_common() {
    let sim = Sim::new(3);
    let bank = open_on(&sim);
    let common = bank.commit(deposit(1, 1)).expect("commits").position;
    let buffered = bank.with_durability(Durability::Buffered).submit(deposit(1, 2)).expect("enters");
    let lost = buffered.position();
    let after = sim.crash(Crash::LoseAll);
    let bank = open_on(&after);
    bank.commit(deposit(1, 3)).expect("gives the number again");
    for error in [bank.subscribe(lost).err(), bank.at(lost).err()] {
        assert_eq!(error.expect("refused").kind(), &ErrorKind::Diverged { common });
    }
    assert_eq!(
        bank.subscribe(common).expect("subscribes").next().expect("one").expect("checks").position.lsn,
        lost.lsn
    );
    drop(buffered);
}
