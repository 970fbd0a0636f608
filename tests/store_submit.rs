//! A submitted transaction has its place at once and its answer when that stands on the disk, whoever waits for it.

#![cfg(all(feature = "sim", feature = "store"))]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "this is a test")]

mod store_kit;

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use everlog::journal::Retention;
use everlog::medium::Sim;
use everlog::medium::sim::Crash;
use everlog::store::{StoreOptions, WatchItem};
use everlog::{Durability, Error, ErrorKind, Meta, When, path};
use store_kit::{NOW, block_on, inline, on, threads};

/// E05, H26: nothing is cancelled, nobody has to wait.
#[test]
fn a_dropped_ticket_becomes_durable_and_readers_see_it() {
    let store = threads(&Sim::new(1));
    for _ in 0..20 {
        drop(store.submit(|tx| tx.increment("counters.n", 1)).unwrap());
    }
    let last = store.submit(|tx| tx.increment("counters.n", 1)).unwrap().position();
    store.wait(last).unwrap();
    assert_eq!(store.get::<u64>("counters.n").unwrap(), Some(21));
}

#[test]
fn a_ticket_gives_answer_and_receipt_to_who_waits_and_to_who_polls() {
    let store = threads(&Sim::new(2));
    let tickets: Vec<_> =
        (0..10).map(|_| store.submit(|tx| tx.increment("counters.n", 1)).unwrap()).collect();
    for (ticket, n) in tickets.into_iter().zip(1..) {
        let position = ticket.position();
        let (answer, receipt) = if n % 2 == 0 { ticket.wait().unwrap() } else { block_on(ticket).unwrap() };
        assert_eq!((answer, receipt.position), (n, position));
        assert!(store.get::<i64>("counters.n").unwrap() >= Some(n), "it can be read");
    }
    let mut again = store.submit(|tx| tx.increment("counters.n", 1)).unwrap();
    block_on(Pin::new(&mut again)).unwrap();
    assert_eq!(block_on(again).expect_err("given already").kind(), &ErrorKind::Input);
}

/// J4, S19: an answer that was decided on what is not durable waits for it; the one who submits does not.
#[test]
fn an_answer_without_changes_is_held_back_until_what_it_saw_is_durable_and_blocks_nobody() {
    let sim = Sim::new(3);
    let store = inline(&sim);
    store.set("a.b", &0).unwrap();
    let first = store.submit(|tx| tx.set("a.b", &1)).unwrap();
    let nothing = store.submit(|tx| tx.set("a.b", &1)).unwrap();
    let refused = store
        .submit(|tx| {
            let seen: Option<u64> = tx.get("a.b")?;
            Err::<(), _>(Error::new(ErrorKind::Refused, format!("there is {seen:?}")))
        })
        .unwrap();
    let mut context = Context::from_waker(Waker::noop());
    let (mut nothing, mut refused) = (pin!(nothing), pin!(refused));
    assert!(!nothing.is_settled() && nothing.as_mut().poll(&mut context).is_pending());
    assert!(!refused.is_settled() && refused.as_mut().poll(&mut context).is_pending());
    assert_eq!(nothing.position(), first.position(), "what it was decided on");
    let receipt = first.wait().unwrap().1;
    let Poll::Ready(Ok((false, same))) = nothing.as_mut().poll(&mut context) else { panic!("no answer") };
    assert_eq!(same.position, receipt.position);
    let Poll::Ready(Err(error)) = refused.as_mut().poll(&mut context) else { panic!("no answer") };
    assert_eq!((error.kind(), error.what()), (&ErrorKind::Refused, "there is Some(1)"));
    let settled = store.submit(|tx| tx.set("a.b", &1)).unwrap();
    assert!(settled.is_settled(), "all of it is durable");
}

#[test]
fn an_answer_that_was_decided_on_what_the_disk_had_no_room_for_is_void() {
    let sim = Sim::new(4);
    let store = inline(&sim);
    store.set("a.b", &"x").unwrap();
    sim.capacity(Some(0));
    let large = "x".repeat(300_000);
    let first = store.submit(|tx| tx.set("a.b", &large)).unwrap();
    let nothing = store.submit(|tx| tx.set("a.b", &large)).unwrap();
    assert_eq!(first.wait().expect_err("no room").kind(), &ErrorKind::Full);
    assert_eq!(nothing.wait().expect_err("void").kind(), &ErrorKind::Full);
    assert_eq!(store.get::<String>("a.b").unwrap().as_deref(), Some("x"));
}

/// What was durable when it was decided on cannot become void, whatever is refused afterwards.
#[test]
fn an_answer_that_stands_on_what_is_durable_is_given_whatever_happens_to_others() {
    let sim = Sim::new(4);
    let store = inline(&sim);
    store.set("a.b", &"x").unwrap();
    let asked = store.submit(|tx| tx.get::<String>("a.b")).unwrap();
    sim.capacity(Some(0));
    assert_eq!(store.set("a.b", &"x".repeat(300_000)).expect_err("no room").kind(), &ErrorKind::Full);
    assert_eq!(asked.wait().expect("an answer").0.as_deref(), Some("x"));
}

#[test]
fn after_a_failed_sync_every_ticket_says_so_and_none_is_accepted() {
    let sim = Sim::new(5);
    let store = inline(&sim);
    store.set("a.b", &0).unwrap();
    sim.fail_next_sync();
    let first = store.submit(|tx| tx.set("a.b", &1)).unwrap();
    let nothing = store.submit(|tx| tx.set("a.b", &1)).unwrap();
    assert_eq!(first.wait().expect_err("failed").kind(), &ErrorKind::FateUnknown);
    assert_eq!(nothing.wait().expect_err("failed").kind(), &ErrorKind::FateUnknown);
    assert_eq!(store.submit(|tx| tx.set("a.b", &2)).expect_err("poisoned").kind(), &ErrorKind::Poisoned);
    assert_eq!(store.get::<u64>("a.b").unwrap(), Some(0));
}

#[test]
fn the_size_is_known_beforehand_and_asking_writes_nothing() {
    let sim = Sim::new(6);
    let store = inline(&sim).with_meta(Meta::new().actor("ada"));
    store.set("a.b", &0).unwrap();
    let (position, steps) = (store.position(), sim.steps());
    let large: Vec<u64> = (0..40_000).collect();
    assert_eq!(store.estimate_size(|tx| tx.set("a.b", &0)).unwrap(), 0);
    let small = store.estimate_size(|tx| tx.set("a.b", &1)).unwrap();
    assert!(small <= 160, "{small}");
    let size = store.estimate_size(|tx| tx.set("a.large", &large)).unwrap();
    let error = store.estimate_size(|tx| tx.set("a.b.c", &1)).expect_err("a scalar is in the way");
    assert_eq!(error.kind(), &ErrorKind::WrongType);
    assert_eq!((store.position(), sim.steps()), (position, steps));
    assert!(!store.contains("a.large").unwrap());
    let text = serde_json::to_string(&large).unwrap().len() as u64;
    assert!(size > text && size < text + 300, "{size} for {text}");
}

#[test]
fn a_pin_stands_before_the_changes_in_the_same_write_and_sync() {
    let sim = Sim::new(7);
    let store = inline(&sim);
    store.set("notes.1", "first").unwrap();
    let steps = sim.steps();
    store.set("notes.2", "second").unwrap();
    let plain = sim.steps() - steps;
    let before = store.position();
    let (gone, receipt) = store.pin_before("cleanup", |tx| tx.remove("notes")).unwrap();
    assert!(gone);
    assert_eq!(sim.steps() - steps - plain, plain, "no dearer than any other commit");
    assert_eq!(
        (receipt.first_lsn.get(), receipt.position.lsn.get()),
        (before.lsn.get() + 1, before.lsn.get() + 2)
    );
    assert_eq!(store.position(), receipt.position);
    assert!(store.keys("notes").unwrap().is_empty());
    let pin = store.pins().into_iter().next().expect("one");
    assert_eq!((&*pin.name, pin.position), ("cleanup", before));
    for store in [store, inline(&sim.crash(Crash::LoseAll))] {
        assert_eq!(store.at(When::pin("cleanup")).unwrap().keys("notes").unwrap(), ["1", "2"]);
        assert_eq!(store.get_value("notes").unwrap(), None);
    }
}

#[test]
fn without_the_changes_there_is_no_pin_and_without_changes_only_the_pin() {
    let store = inline(&Sim::new(8)).with_meta(Meta::new().actor("ada"));
    let error = store.pin_before("p", |tx| tx.set("a.b", &1).and_then(|_| tx.set("a.b.c", &1)));
    assert_eq!(error.expect_err("a scalar is in the way").kind(), &ErrorKind::WrongType);
    assert!(store.pins().is_empty() && store.position().lsn.get() == 0);
    assert_eq!(store.pin_before("", |_| Ok(())).expect_err("no name").kind(), &ErrorKind::Input);
    store.pin_before("at the start", |_| Ok(())).unwrap();
    assert_eq!(store.pins().len(), 1);
    let mut watch = store.watch("a").unwrap();
    let (_, receipt) = store.pin_before("again", |tx| tx.set("a.b", &2)).unwrap();
    store.set("a.c", &3).unwrap();
    let entry = store.entry("a.b").unwrap().unwrap();
    assert_eq!((entry.revision, entry.actor.as_deref()), (receipt.position, Some("ada")));
    let told = std::iter::from_fn(|| watch.next_timeout(NOW)).map(Result::unwrap);
    let changed = told.filter(|item| matches!(item, WatchItem::Changed { .. })).count();
    assert_eq!(changed, 2);
    assert_eq!(store.at(receipt.position).unwrap().get::<u64>("a.b").unwrap(), Some(2));
    assert!(!store.at(When::pin("again")).unwrap().contains("a.b").unwrap());
}

#[test]
fn pins_tickets_commits_and_compaction_of_many_threads_leave_what_each_was_told() {
    let options = StoreOptions::new().journal(|journal| journal.segment_bytes(16 << 10, 16 << 10));
    let store = on(options, &Sim::new(9));
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..200 {
                    let counter = path!("counters", thread);
                    match n % 4 {
                        0 => drop(store.pin_before(&format!("{thread}"), |tx| tx.increment(&counter, 1))),
                        1 => drop(store.submit(|tx| tx.increment(&counter, 1)).expect("enters")),
                        2 => drop(store.pin(&format!("other {thread}"), When::now(), "")),
                        _ => drop(store.increment(&counter, 1)),
                    }
                    if n % 50 == 49 {
                        store.compact(&Retention::forever().bytes(40_000)).expect("compacts");
                    }
                }
            });
        }
    });
    for thread in 0..3 {
        let (_, receipt) = store.transaction(|tx| tx.increment(path!("counters", thread), 0)).unwrap();
        store.wait(receipt.position).unwrap();
        assert_eq!(store.get::<u64>(path!("counters", thread)).unwrap(), Some(150));
        let pinned = store.at(When::pin(format!("{thread}"))).unwrap();
        assert_eq!(pinned.get::<u64>(path!("counters", thread)).unwrap(), Some(147));
    }
    let buffered = store.with_durability(Durability::Buffered);
    buffered.set("a.b", &1).unwrap();
    store.close().unwrap();
}
