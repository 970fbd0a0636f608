//! However many threads commit, there is one order; readers see a growing prefix of it (J12, J4).

#![cfg(feature = "sim")]
#![allow(clippy::expect_used, clippy::panic, reason = "this is a test")]

mod state_parts;

use std::sync::atomic::{AtomicBool, Ordering};

use everlog::journal::Retention;
use everlog::{ErrorKind, Journaled, Lsn, When};
use state_parts::*;

#[test]
fn durable_reads_only_grow_and_every_acknowledged_event_is_seen_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let bank = Journaled::<Bank>::open(directory.path()).expect("opens");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut seen = 0;
                while !stop.load(Ordering::SeqCst) {
                    let now = bank.read(|bank| bank.events).expect("reads");
                    assert!(now >= seen, "from {seen} back to {now}");
                    seen = now;
                }
            });
        }
        let writers: Vec<_> = (0..4)
            .map(|account| {
                let bank = &bank;
                scope.spawn(move || {
                    for count in 1..=100 {
                        bank.commit(deposit(account, 1)).expect("commits");
                        assert!(
                            bank.read(|bank| bank.of(account)).expect("reads") == count,
                            "own writes are seen"
                        );
                        if count % 25 == 0 {
                            bank.pin(&format!("{account}"), When::now(), "").expect("pins");
                            bank.commit(Event::Moved { from: account, to: 99, cents: 1000 })
                                .expect_err("panics");
                        }
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().expect("no panic"));
        stop.store(true, Ordering::SeqCst);
    });
    let live = state(&bank);
    assert_eq!((live.total(), live.events, live.of(99)), (400, 400, 0));
    assert_eq!(bank.latest(Bank::clone).expect("reads"), live);
    assert_eq!(bank.at(When::now()).expect("folds").into_state(), live, "the log says the same (J10)");
    bank.close().expect("closes");
    let bank = Journaled::<Bank>::open(directory.path()).expect("opens");
    assert_eq!(state(&bank), live);
    assert_eq!(bank.position().lsn, Lsn::new(400 + 16));
}

#[test]
fn transactions_of_many_threads_never_decide_on_the_same_state() {
    let directory = tempfile::tempdir().expect("a directory");
    let bank = Journaled::<Bank>::open(directory.path()).expect("opens");
    bank.commit(deposit(1, 100)).expect("commits");
    let taken: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let take = || {
                        bank.try_transaction(
                            |bank| if bank.of(1) < 1 { Err(()) } else { Ok([withdraw(1, 1)]) },
                        )
                        .is_ok()
                    };
                    (0..50).filter(|_| take()).count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!(taken, 100);
    assert_eq!(bank.read(Bank::total).expect("reads"), 0);
}

#[test]
fn readers_of_the_past_and_a_compaction_that_passes_by_never_speak_of_damage() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = Journaled::<Bank>::options().journal(|journal| journal.segment_bytes(16 << 10, 16 << 10));
    let bank = options.open(directory.path()).expect("opens");
    let stop = AtomicBool::new(false);
    let gone = |error: &everlog::Error| matches!(error.kind(), ErrorKind::BeforeHorizon { .. });
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                let live = bank.at(When::now()).expect("now is always there");
                assert_eq!(live.total(), live.events);
                let back = bank.position().lsn.get() / 2;
                match bank.at(When::lsn(Lsn::new(back))) {
                    Ok(past) => assert!(past.events <= back),
                    Err(error) => assert!(gone(&error), "{error}"),
                }
                let events = bank.events(..).and_then(|events| events.collect::<everlog::Result<Vec<_>>>());
                assert!(events.as_ref().err().is_none_or(gone), "{:?}", events.err());
            }
        });
        for _ in 0..40 {
            bank.transaction(|_| Ok((0..150).map(|_| deposit(1, 1)))).expect("commits");
            bank.compact(&Retention::forever().bytes(16 << 10)).expect("compacts");
        }
        stop.store(true, Ordering::SeqCst);
    });
    assert!(bank.horizon().lsn > Lsn::new(1000), "the horizon moved");
}
