//! A subscription gives every transaction after a position that the store remembers, over restarts and crashes.

#![cfg(all(feature = "sim", feature = "store"))]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "this is a test")]

mod store_kit;

use std::sync::Arc;

use everlog::journal::Retention;
use everlog::medium::Sim;
use everlog::medium::sim::Crash;
use everlog::store::{Collection, Delivered, StoreSubscription};
use everlog::{Durability, ErrorKind, Meta, Position, Store, When, path};
use store_kit::{NOW, SOON, kind, on, quiet, scratch, small, text};

fn next(feed: &mut StoreSubscription) -> Delivered {
    feed.next_timeout(SOON).expect("one").expect("reads")
}

fn line(delivered: &Delivered) -> String {
    let changes = delivered.changes.iter();
    let lines: Vec<_> = changes
        .map(|change| format!("{}: {} -> {}", change.path, text(&change.old), text(&change.new)))
        .collect();
    lines.join(", ")
}

/// T02, S13: told of changes, and again from where it was after a restart.
#[test]
fn what_was_not_acknowledged_comes_again_after_a_restart_and_what_was_does_not() {
    let sim = Sim::new(1);
    let store = on(small(), &sim);
    store.set("notes.0", "before").unwrap();
    let mut feed = store.subscribe("titles").unwrap();
    assert!(feed.view().contains("notes.0").unwrap(), "the state that the first follows");
    store.with_meta(Meta::new().actor("ada")).set("notes.1", "Milk").unwrap();
    store.pin("nobody is told of", When::now(), "").unwrap();
    store
        .transaction(|tx| {
            tx.set("notes.2", "Eggs")?;
            tx.set("notes.2", "Bread")?;
            tx.remove("notes.1")
        })
        .unwrap();
    let first = next(&mut feed);
    assert_eq!(line(&first), r#"notes.1: - -> "Milk""#);
    assert_eq!(first.meta.as_ref().and_then(|meta| meta.actor.as_deref()), Some("ada"));
    let second = next(&mut feed);
    assert_eq!(line(&second), r#"notes.1: "Milk" -> -, notes.2: - -> "Bread""#);
    assert_eq!(feed.view().keys("notes").unwrap(), ["0", "2"]);
    feed.ack(first.position).unwrap();
    assert!(
        feed.next_timeout(NOW).is_none() && !feed.has_ended(),
        "what the store keeps for itself is not told"
    );
    let store = on(small(), &sim.crash(Crash::LoseAll));
    let mut feed = store.subscribe("titles").unwrap();
    assert_eq!(feed.acknowledged(), first.position);
    assert_eq!(next(&mut feed), second);
    feed.ack(second.position).unwrap();
    feed.ack(first.position).unwrap();
    assert_eq!(feed.acknowledged(), second.position);
    let ahead = Position { lsn: store.position().lsn.next(), ..store.position() };
    assert_eq!(kind(feed.ack(ahead)), ErrorKind::Input);
    assert!(store.unsubscribe("titles").unwrap() && !store.unsubscribe("titles").unwrap());
    assert!(store.subscribe("titles").unwrap().next_timeout(NOW).is_none(), "a new one begins now");
    let mut again = store.subscribe_at("titles", Position::START).unwrap();
    assert_eq!(line(&next(&mut again)), r#"notes.0: - -> "before""#);
}

/// C07, C08, C11: what is made of the changes is neither left out nor made twice, whenever the power goes.
#[test]
fn effects_in_the_same_transaction_happen_exactly_once_whenever_the_power_goes() {
    let workload = |sim: &Sim| -> everlog::Result<()> {
        let store = quiet().open_on(Arc::new(sim.clone()))?;
        let mut feed = store.subscribe_at("sum", Position::START)?.under("numbers")?;
        for n in 0..4 {
            store.set(path!("numbers", n), &(n + 1))?;
            while let Some(delivered) = feed.next_timeout(NOW) {
                let new = delivered?.changes.iter().filter_map(|change| change.new.as_ref()?.as_i64()).sum();
                feed.transaction(|tx| tx.increment("totals.sum", new))?;
            }
        }
        store.close()
    };
    let sim = Sim::new(2);
    workload(&sim).expect("works");
    let steps = sim.steps();
    for step in (1..=steps).step_by(3) {
        let sim = Sim::new(step);
        sim.power_cut_at(step);
        let _cut = workload(&sim);
        for style in [Crash::LoseAll, Crash::KeepAll] {
            let store = on(small(), &sim.crash(style));
            let mut feed = store.subscribe("sum").unwrap().under("numbers").unwrap();
            while let Some(delivered) = feed.next_timeout(NOW) {
                let changes = delivered.unwrap().changes;
                let new = changes.iter().filter_map(|change| change.new.as_ref()?.as_i64()).sum();
                feed.transaction(|tx| tx.increment("totals.sum", new)).unwrap();
            }
            let all: i64 = (0..4).filter_map(|n| store.get::<i64>(path!("numbers", n)).unwrap()).sum();
            let sum = store.get::<i64>("totals.sum").unwrap().unwrap_or(0);
            assert_eq!(sum, all, "step {step}");
        }
    }
}

#[test]
fn a_transaction_that_fails_leaves_the_position_and_a_second_of_the_name_gets_nothing() {
    let store = on(small(), &Sim::new(3));
    let mut feed = store.subscribe("one").unwrap();
    assert_eq!(kind(feed.transaction(|_| Ok(()))), ErrorKind::Input);
    store.set("a.b", &1).unwrap();
    let mut rival = store.subscribe("one").unwrap();
    next(&mut rival);
    let delivered = next(&mut feed);
    assert_eq!(kind(feed.transaction(|tx| tx.set("a.b.c", &1))), ErrorKind::WrongType);
    feed.transaction(|tx| tx.set("copies.b", &1)).unwrap();
    assert_eq!(feed.acknowledged(), delivered.position);
    assert_eq!(kind(rival.transaction(|tx| tx.set("copies.c", &1))), ErrorKind::Conflict);
    assert_eq!(kind(rival.ack(delivered.position)), ErrorKind::Conflict);
    assert!(!store.contains("copies.c").unwrap());
    assert_eq!(kind(store.transaction(|_| rival.next_timeout(NOW).expect("one"))), ErrorKind::Reentered);
}

#[test]
fn a_blocked_reader_gets_what_many_threads_commit_and_ends_with_the_store() {
    let (_directory, store) = scratch();
    let feeds: Vec<_> = ["one", "two"]
        .map(|name| {
            let feed = store.subscribe(name).expect("subscribes").under("counters").expect("a path");
            std::thread::spawn(move || {
                let mut last = Position::START;
                let mut count = 0;
                for delivered in feed {
                    let delivered = delivered.expect("reads");
                    assert!(delivered.position > last, "in order");
                    last = delivered.position;
                    count += delivered.changes.len();
                }
                count
            })
        })
        .into();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..50 {
                    store.increment(path!("counters", thread), 1).expect("commits");
                    if n == 25 {
                        store.snapshot().expect("snapshots");
                    }
                }
            });
        }
    });
    drop(store.submit(|tx| tx.set("counters.last", &1)).expect("enters"));
    store.close().expect("closes");
    for feed in feeds {
        assert_eq!(feed.join().expect("no panic"), 201);
    }
}

#[test]
fn it_shows_nothing_that_is_not_durable() {
    let store = on(small(), &Sim::new(4));
    store.set("a.b", &0).unwrap();
    let mut feed = store.subscribe("one").unwrap();
    let ticket = store.with_durability(Durability::Buffered).submit(|tx| tx.set("a.b", &1)).unwrap();
    assert!(feed.next_timeout(NOW).is_none());
    store.wait(ticket.wait().unwrap().1.position).unwrap();
    assert_eq!(line(&next(&mut feed)), "a.b: 0 -> 1");
}

#[test]
fn a_position_that_was_compacted_away_or_cut_is_an_error_that_says_how_to_go_on() {
    let sim = Sim::new(5);
    let store = on(small(), &sim);
    let common = store.set("a.b", &0).unwrap().position;
    let lost = store.with_durability(Durability::Buffered).submit(|tx| tx.set("a.b", &1)).unwrap().position();
    let store = on(small(), &sim.crash(Crash::LoseAll));
    store.set("a.b", &2).unwrap();
    let error = store.subscribe_at("one", lost).expect_err("cut");
    assert_eq!(error.kind(), &ErrorKind::Diverged { common });
    store.subscribe_at("one", common).unwrap();
    for n in 0..400 {
        store.set("a.b", &format!("{n:0100}")).unwrap();
    }
    let mut late = store.subscribe("one").unwrap();
    store.compact(&Retention::forever().bytes(40_000)).unwrap();
    assert!(store.horizon().lsn > common.lsn);
    let error = late.next_timeout(NOW).expect("one").expect_err("compaction passed by");
    assert!(matches!(error.kind(), ErrorKind::BeforeHorizon { .. }), "{error}");
    let error = store.subscribe("one").expect_err("compacted away");
    assert!(matches!(error.kind(), ErrorKind::BeforeHorizon { .. }));
    assert!(error.next().is_some_and(|next| next.contains("subscribe_at")), "{error}");
    store.subscribe_at("one", When::now()).unwrap();
    assert!(store.subscribe("one").is_ok());
}

/// Defaults are layered under what is stored, for whoever reads.
#[test]
fn its_view_has_the_defaults_of_collections_from_the_first_moment() {
    let sim = Sim::new(6);
    let open = || {
        let settings = Collection::new("settings").defaults(&serde_json::json!({"theme": "light"})).unwrap();
        on(quiet().collection(settings), &sim)
    };
    let store = open();
    let mut feed = store.subscribe("one").unwrap();
    store.set("settings.size", &1).unwrap();
    store.set("settings.size", &2).unwrap();
    let first = next(&mut feed);
    feed.ack(first.position).unwrap();
    drop((feed, store));
    let store = open();
    let theme = |feed: &StoreSubscription| feed.view().get::<String>("settings.theme").unwrap();
    let mut feed = store.subscribe("one").unwrap();
    assert_eq!(theme(&feed).as_deref(), Some("light"), "behind what was acknowledged");
    assert_eq!(feed.view().get::<u8>("settings.size").unwrap(), Some(1));
    assert_eq!(line(&next(&mut feed)), "settings.size: 1 -> 2");
    assert_eq!(theme(&feed).as_deref(), Some("light"));
}

/// T02: at least once means the whole transaction.
#[test]
fn a_position_inside_a_transaction_acknowledges_what_lies_before_it_and_one_of_another_branch_nothing() {
    let store = on(small(), &Sim::new(7));
    let mut feed = store.subscribe("one").unwrap();
    let begun = feed.acknowledged();
    let two = |n: u8| store.transaction(|tx| tx.set("a.b", &n).and(tx.set("a.c", &n))).unwrap().1.position;
    let (first, _) = (two(1), two(2));
    next(&mut feed);
    let second = next(&mut feed);
    assert!(second.changes[0].position < second.position);
    let elsewhere = Position { epoch: everlog::Epoch::new(77), ..second.position };
    assert_eq!(kind(feed.ack(elsewhere)), ErrorKind::Input);
    assert_eq!(feed.acknowledged(), begun);
    feed.ack(second.changes[0].position).unwrap();
    assert_eq!(feed.acknowledged(), first, "the second is not dealt with as a whole");
    let mut again = store.subscribe("one").unwrap();
    assert_eq!(next(&mut again), second, "it comes again, undivided");
    again.ack(second.position).unwrap();
    assert!(store.subscribe("one").unwrap().next_timeout(NOW).is_none());
}

/// H13: entries of a series are delivered as documents are.
#[test]
fn entries_of_a_series_that_come_and_go_are_delivered() {
    let sim = Sim::new(8);
    let store = on(small(), &sim);
    let chat = store.series::<u64>(path!("messages", "chat")).keep_last(2);
    let subscribe = |store: &Store| store.subscribe("one").unwrap().under("messages.chat").unwrap();
    let mut feed = subscribe(&store);
    chat.push(&1).unwrap();
    store.series::<u64>(path!("messages", "other")).push(&9).unwrap();
    store.transaction(|tx| tx.push(&chat, &2).and(tx.push(&chat, &3))).unwrap();
    let first = next(&mut feed);
    assert_eq!(line(&first), "messages.chat: - -> 1");
    feed.ack(first.position).unwrap();
    let store = on(small(), &sim.crash(Crash::LoseAll));
    let mut feed = subscribe(&store);
    assert_eq!(line(&next(&mut feed)), "messages.chat: 1 -> -, messages.chat: - -> 2, messages.chat: - -> 3");
    store.series::<u64>(path!("messages", "chat")).clear().unwrap();
    assert_eq!(line(&next(&mut feed)), "messages.chat: 2 -> -, messages.chat: 3 -> -");
    assert!(feed.next_timeout(NOW).is_none());
}
