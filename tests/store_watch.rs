//! A watch tells what is there and every change after it, each once, in order, only when it is durable (J4).

#![cfg(all(feature = "sim", feature = "store"))]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "this is a test")]

mod store_kit;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use everlog::journal::Background;
use everlog::medium::Sim;
use everlog::store::{Saving, StoreTicket, Value, WatchItem};
use everlog::{Durability, ErrorKind, Meta, Store, When, path};
use store_kit::{NOW, SOON, block_on, inline, on, text, threads};

/// An item as a line.
fn line(item: &WatchItem) -> String {
    match item {
        WatchItem::Current { path, value } => format!("{path} is {value}"),
        WatchItem::CaughtUp { .. } => "caught up".to_owned(),
        WatchItem::Changed { path, old, new, .. } => format!("{path}: {} -> {}", text(old), text(new)),
        WatchItem::Lagged { missed } => format!("lagged {missed}"),
        other => panic!("{other:?}"),
    }
}

/// All that can be told now.
fn told(watch: &mut everlog::store::Watch) -> Vec<String> {
    std::iter::from_fn(|| watch.next_timeout(NOW)).map(|item| line(&item.expect("reads"))).collect()
}

/// E36: an event for each key that really changed, with old and new value.
#[test]
fn it_tells_what_is_there_and_then_only_what_really_changed_under_it() {
    let store = inline(&Sim::new(1));
    store.set("settings.window", &serde_json::json!({"width": 1, "tabs": ["a", "b"]})).unwrap();
    store.set("settings.theme", "dark").unwrap();
    store.set("notes.1", "Milk").unwrap();
    let mut all = store.watch("settings").unwrap();
    let mut width = store.watch("settings.window.width").unwrap();
    let mut second = store.watch("settings.window.tabs.1").unwrap();
    assert_eq!(
        told(&mut all),
        [r#"settings.theme is "dark""#, r#"settings.window is {"tabs":["a","b"],"width":1}"#, "caught up"]
    );
    assert_eq!(told(&mut width), ["settings.window.width is 1", "caught up"]);
    assert_eq!(told(&mut second), [r#"settings.window.tabs.1 is "b""#, "caught up"]);
    // Elsewhere, the same again, and there and back: nothing is told.
    store.set("notes.2", "Eggs").unwrap();
    store.set("settings.theme", "dark").unwrap();
    store
        .transaction(|tx| {
            tx.set("settings.theme", "light")?;
            tx.set("settings.theme", "dark")
        })
        .unwrap();
    assert!(told(&mut all).is_empty() && told(&mut width).is_empty());
    // Several steps of one transaction are one change.
    store
        .transaction(|tx| {
            tx.set("settings.window.width", &2)?;
            tx.set("settings.window.height", &3)?;
            tx.set("settings.window.width", &4)
        })
        .unwrap();
    assert_eq!(told(&mut all), ["settings.window.height: - -> 3", "settings.window.width: 1 -> 4"]);
    assert_eq!(told(&mut width), ["settings.window.width: 1 -> 4"]);
    // What is set above is told as what it means below, if it means anything.
    store.set("settings.window", &serde_json::json!({"width": 4, "tabs": ["a", "b"]})).unwrap();
    assert!(told(&mut width).is_empty());
    store.set("settings.window", &serde_json::json!({"width": 5, "tabs": ["a", "b"]})).unwrap();
    assert_eq!(told(&mut width), ["settings.window.width: 4 -> 5"]);
    assert_eq!(told(&mut all).len(), 2);
    // An element that is taken out moves those behind it.
    store.remove("settings.window.tabs.0").unwrap();
    assert_eq!(told(&mut second), [r#"settings.window.tabs.1: "b" -> -"#]);
    assert_eq!(told(&mut all), [r#"settings.window.tabs: ["a","b"] -> ["b"]"#]);
    store.remove("settings").unwrap();
    assert_eq!(told(&mut width), ["settings.window.width: 5 -> -"]);
    assert_eq!(told(&mut all).len(), 2, "each document");
}

#[test]
fn a_change_names_who_when_and_where_in_the_order() {
    let store = inline(&Sim::new(1));
    let mut watch = store.watch_all().unwrap();
    let receipt = store.with_meta(Meta::new().actor("ada")).set("a.b", &1).unwrap();
    let items: Vec<_> = std::iter::from_fn(|| watch.next_timeout(NOW)).map(Result::unwrap).collect();
    let changed = WatchItem::Changed {
        path: path!("a", "b"),
        old: None,
        new: Some(Value::from(1_u64)),
        actor: Some("ada".into()),
        position: receipt.position,
        time: receipt.time,
    };
    let [WatchItem::CaughtUp { position }, change] = &items[..] else { panic!("{items:?}") };
    assert_eq!((position.lsn.get(), change), (0, &changed));
    store.transaction_once("key", |tx| tx.set("a.b", &1)).unwrap();
    assert!(told(&mut watch).is_empty(), "what the store keeps for itself is nobody's business");
    assert_eq!(store.watch("$everlog").expect_err("refused").kind(), &ErrorKind::Input);
}

#[test]
fn nothing_is_told_before_it_is_durable() {
    let store = inline(&Sim::new(2));
    store.set("a.b", &0).unwrap();
    let mut watch = store.watch("a").unwrap();
    assert_eq!(told(&mut watch).len(), 2);
    let ticket = store.with_durability(Durability::Buffered).submit(|tx| tx.set("a.b", &1)).unwrap();
    assert!(told(&mut watch).is_empty());
    let position = ticket.wait().unwrap().1.position;
    store.wait(position).unwrap();
    assert_eq!(told(&mut watch), ["a.b: 0 -> 1"]);
}

#[test]
fn what_a_full_disk_refused_is_never_told_and_what_it_let_in_is_told_once() {
    let sim = Sim::new(2);
    let store = inline(&sim);
    store.set("counters.n", &0).unwrap();
    let mut watch = store.watch_with("counters", 10_000).unwrap();
    assert_eq!(told(&mut watch), ["counters.n is 0", "caught up"]);
    sim.capacity(Some(0));
    let buffered = store.with_durability(Durability::Buffered);
    let mut kept = 0;
    let refused = loop {
        let tickets: Vec<_> =
            (0..20).map_while(|_| buffered.submit(|tx| tx.increment("counters.n", 1)).ok()).collect();
        let count = tickets.len();
        let good = tickets.into_iter().filter_map(|ticket| ticket.wait().ok()).count();
        kept += good;
        if good < count || kept > 5000 {
            break count - good;
        }
    };
    sim.capacity(None);
    assert!(kept > 0 && refused > 0, "{kept} kept, {refused} refused");
    store.pin("takes a number", When::now(), "").unwrap();
    store.increment("counters.n", 1).unwrap();
    let wanted: Vec<String> = (0..=kept).map(|n| format!("counters.n: {n} -> {}", n + 1)).collect();
    assert_eq!(told(&mut watch), wanted);
}

/// C34: changes while watching.
#[test]
fn nothing_is_left_out_or_told_twice_however_many_write() {
    let store = threads(&Sim::new(3));
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|thread| {
                let store = &store;
                scope.spawn(move || {
                    for _ in 0..100 {
                        store.increment(path!("counters", thread), 1).expect("commits");
                    }
                })
            })
            .collect();
        let watchers: Vec<_> = (0..6)
            .map(|_| {
                let store = &store;
                scope.spawn(move || {
                    let watch = store.watch_with("counters", 1_000).expect("watches");
                    let mut seen: BTreeMap<String, i64> = BTreeMap::new();
                    let mut last = None;
                    for item in watch {
                        match item.expect("reads") {
                            WatchItem::Current { path, value } => {
                                let old = seen.insert(path.to_string(), value.as_i64().expect("a number"));
                                assert_eq!(old, None);
                            }
                            WatchItem::CaughtUp { position } => last = Some(position),
                            WatchItem::Changed { path, old, new, position, .. } => {
                                assert!(last < Some(position), "in order and none before it caught up");
                                last = Some(position);
                                let value = |value: Option<Value>| value.and_then(|value| value.as_i64());
                                let new = value(new).expect("a number");
                                assert_eq!(value(old), seen.insert(path.to_string(), new));
                            }
                            other => panic!("{other:?}"),
                        }
                        if seen.len() == 4 && seen.values().all(|count| *count == 100) {
                            return;
                        }
                    }
                    panic!("ended early: {seen:?}");
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().expect("no panic"));
        watchers.into_iter().for_each(|watcher| watcher.join().expect("no panic"));
    });
}

/// C34, J5: the same on a disk that is full now and then, beside snapshots, with tickets that nobody waits for.
#[test]
fn watchers_and_readers_agree_however_often_the_disk_is_full() {
    let sim = Sim::new(12);
    let store = threads(&sim);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = store.watch_with("counters", usize::MAX).unwrap();
        let watcher = scope.spawn(move || {
            let mut seen: BTreeMap<String, i64> = BTreeMap::new();
            for item in watch {
                if let WatchItem::Changed { path, old, new, .. } = item.expect("reads") {
                    let value = |value: Option<Value>| value.and_then(|value| value.as_i64());
                    let new = value(new).expect("a number");
                    assert_eq!(
                        value(old),
                        seen.insert(path.to_string(), new),
                        "{path}: none twice, none left out"
                    );
                }
            }
            seen
        });
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                sim.capacity(Some(0));
                std::thread::sleep(Duration::from_millis(2));
                sim.capacity(None);
                std::thread::sleep(Duration::from_millis(2));
                let _full = store.snapshot();
            }
        });
        let writers: Vec<_> = (0..3)
            .map(|thread| {
                let store = &store;
                scope.spawn(move || {
                    let text = "x".repeat(2_000);
                    for n in 0..150 {
                        let path = path!("counters", thread);
                        let ticket = store.submit(|tx| {
                            tx.set(path!("filler", thread), &format!("{n}{text}"))?;
                            tx.increment(&path, 1)
                        });
                        match ticket.map(|ticket| if n % 3 > 0 { ticket.wait().map(drop) } else { Ok(()) }) {
                            Ok(Ok(())) => {}
                            Err(error) | Ok(Err(error)) => {
                                assert_eq!(error.kind(), &ErrorKind::Full, "{error}")
                            }
                        }
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().expect("no panic"));
        done.store(true, Ordering::SeqCst);
        sim.capacity(None);
        store.set("other.n", &1).or_else(|_| store.set("other.n", &2)).expect("there is room again");
        let kept = store.view();
        let closed = store.close();
        assert!(closed.is_ok() || *closed.expect_err("trouble").kind() == ErrorKind::Full);
        let seen = watcher.join().expect("no panic");
        for (path, count) in &seen {
            assert_eq!(kept.get::<i64>(path.as_str()).unwrap(), Some(*count));
        }
        assert_eq!(seen.len(), kept.keys("counters").unwrap().len());
        let again = inline(&sim);
        assert_eq!(again.get_value("counters").unwrap(), kept.get_value("counters").unwrap());
    });
}

/// H26: nobody who watches holds up a commit.
#[test]
fn one_who_does_not_listen_delays_nobody_and_is_told_what_was_missed_and_what_is_there() {
    let store = threads(&Sim::new(4));
    let mut watch = store.watch_with("a", 10).unwrap();
    let mut other = store.watch_with("a.b", 10).unwrap();
    for n in 0..50 {
        store.set("a.b", &n).unwrap();
        store.set(path!("a", n, "c"), &n).unwrap();
    }
    let lines = told(&mut watch);
    assert_eq!(lines[..2], ["caught up", "lagged 100"]);
    assert_eq!(lines.len(), 2 + 51 + 1, "each document, and caught up again");
    assert_eq!(told(&mut other), ["caught up", "lagged 50", "a.b is 49", "caught up"]);
    store.set("a.b", &50).unwrap();
    assert_eq!(told(&mut watch), ["a.b: 49 -> 50"]);
    assert_eq!(told(&mut other), ["a.b: 49 -> 50"]);
}

/// T64: a value and its changes for the screen, without a runtime.
#[test]
fn a_dropped_ticket_wakes_those_who_block_and_those_who_poll() {
    let store = threads(&Sim::new(5));
    store.set("a.b", &0).unwrap();
    let mut blocked = store.watch("a.b").unwrap();
    let mut polled = store.watch("a.b").unwrap();
    assert_eq!(told(&mut blocked).len() + told(&mut polled).len(), 4);
    let other = store.clone();
    let writer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        drop(other.submit(|tx| tx.set("a.b", &1)).expect("enters"));
    });
    let item = block_on(polled.next_async()).expect("one").expect("reads");
    assert_eq!(line(&item), "a.b: 0 -> 1");
    let item = blocked.next_timeout(SOON).expect("one").expect("reads");
    assert_eq!(line(&item), "a.b: 0 -> 1");
    writer.join().expect("no panic");
}

#[test]
fn it_ends_with_the_store_and_does_not_keep_it_open() {
    let sim = Sim::new(6);
    let store = threads(&sim);
    let watcher = |store: &Store| {
        let watch = store.watch("a").expect("watches");
        std::thread::spawn(move || watch.map(|item| line(&item.expect("reads"))).collect::<Vec<_>>())
    };
    let (first, second) = (watcher(&store), watcher(&store));
    drop(store.submit(|tx| tx.set("a.b", &1)).unwrap());
    store.close().unwrap();
    for watcher in [first, second] {
        assert_eq!(watcher.join().expect("no panic"), ["caught up", "a.b: - -> 1"]);
    }
    let lines: Vec<_> = store.watch("a").unwrap().map(|item| line(&item.unwrap())).collect();
    assert_eq!(lines, ["a.b is 1", "caught up"], "of a closed store what is there");
    drop(store);
    let store = threads(&sim);
    let watcher = watcher(&store);
    drop(store);
    assert_eq!(watcher.join().expect("no panic"), ["a.b is 1", "caught up"]);
    inline(&sim);
}

#[test]
fn of_a_store_that_is_read_only_it_tells_what_is_there_and_ends() {
    let sim = Sim::new(7);
    let store = inline(&sim);
    for n in 0..200 {
        store.set(path!("notes", format!("{n:03}")), &n).unwrap();
    }
    store.close().unwrap();
    let store = on(Store::options().read_only(), &sim);
    let lines: Vec<_> = store.watch("notes").unwrap().map(|item| line(&item.unwrap())).collect();
    assert_eq!((lines.len(), &*lines[0], &*lines[199]), (201, "notes.000 is 0", "notes.199 is 199"));
    assert_eq!(lines[200], "caught up");
}

/// S27: whether all is saved, as a stream.
#[test]
fn the_status_goes_from_clean_over_dirty_and_saving_to_saved_and_clean() {
    let store = inline(&Sim::new(8));
    let mut changes = store.status_changes();
    store.set("a.b", &0).unwrap();
    let words = |changes: &mut everlog::store::StatusChanges| {
        let word = |change| match change {
            Saving::Clean => "clean".to_owned(),
            Saving::Dirty(count) => format!("dirty {count}"),
            Saving::Saving => "saving".to_owned(),
            Saving::Saved { position, .. } => format!("saved {}", position.lsn),
            Saving::Failed(error) => format!("failed {}", error.kind().word()),
            other => panic!("{other:?}"),
        };
        std::iter::from_fn(|| changes.next_timeout(NOW)).map(word).collect::<Vec<_>>()
    };
    assert_eq!(words(&mut changes), ["clean", "dirty 1", "saving", "saved 1", "clean"]);
    let tickets: Vec<_> = (1..4).map(|n| store.submit(move |tx| tx.set("a.b", &n)).unwrap()).collect();
    assert_eq!(words(&mut changes), ["dirty 1", "saving", "dirty 3"]);
    tickets.into_iter().for_each(|ticket| assert!(ticket.wait().unwrap().0));
    assert_eq!(words(&mut changes), ["saved 4", "clean"]);
    for n in 0..200 {
        store.set("a.b", &n).unwrap();
    }
    let last = words(&mut changes);
    assert_eq!((last.len(), &*last[63], &*last[62]), (64, "clean", "saved 204"), "the newest stay");
}

#[test]
fn after_a_failed_sync_watch_and_status_say_so_and_end() {
    for background in [Background::Inline, Background::Threads] {
        let sim = Sim::new(9);
        let store = on(Store::options().background(background), &sim);
        store.set("a.b", &0).unwrap();
        let (mut watch, mut changes) = (store.watch("a.b").unwrap(), store.status_changes());
        assert_eq!(told(&mut watch).len(), 2);
        // A sync of the next segment beside the commits may be the one that fails; it harms nothing.
        let attempt = |n: usize| {
            sim.fail_next_sync();
            store.set("a.b", &n).err()
        };
        let error = (1..1000).find_map(attempt).expect("fails");
        assert_eq!(error.kind(), &ErrorKind::FateUnknown);
        let error = std::iter::from_fn(|| watch.next_timeout(SOON)).find_map(Result::err).expect("failed");
        assert_eq!(error.kind(), &ErrorKind::Poisoned);
        assert!(watch.next().is_none() && watch.has_ended());
        let last = std::iter::from_fn(|| changes.next_timeout(SOON)).last();
        assert!(matches!(last, Some(Saving::Failed(_))), "{last:?}");
        assert!(changes.next().is_none());
    }
}

#[test]
fn a_snapshot_in_between_changes_nothing_for_a_watcher() {
    let store = inline(&Sim::new(10));
    store.set("a.b", &0).unwrap();
    store.snapshot().unwrap();
    let mut watch = store.watch("a").unwrap();
    store.set("a.b", &1).unwrap();
    store.set("a.c", &1).unwrap();
    store.snapshot().unwrap();
    store.set("a.b", &2).unwrap();
    assert_eq!(told(&mut watch), ["a.b is 0", "caught up", "a.b: 0 -> 1", "a.c: - -> 1", "a.b: 1 -> 2"]);
}

/// E36: a collection may hold more than fits into one read.
#[test]
fn what_is_there_is_told_in_full_however_many_series_there_are() {
    for count in [63_usize, 64, 65, 128] {
        let store = inline(&Sim::new(13));
        store
            .transaction(|tx| {
                (0..count).try_for_each(|n| {
                    let series = store.series::<usize>(path!("messages", format!("{n:03}")));
                    tx.push(&series, &n)
                })
            })
            .unwrap();
        store.set("notes.a", &1).unwrap();
        let messages: Vec<String> = (0..count).map(|n| format!("messages.{n:03} is {n}")).collect();
        let mut lines = told(&mut store.watch("messages").unwrap());
        assert_eq!(lines.pop().as_deref(), Some("caught up"));
        assert_eq!(lines, messages, "of {count} series");
        let mut all = store.watch_all().unwrap();
        let lines = told(&mut all);
        assert_eq!(
            (&lines[..count], &lines[count..]),
            (&messages[..], &["notes.a is 1", "caught up"].map(String::from)[..])
        );

        let mut slow = store.watch_with("messages", 1).unwrap();
        assert_eq!(told(&mut slow).len(), count + 1);
        let first = store.series::<usize>(path!("messages", "000"));
        for n in 0..3 {
            first.push(&n).unwrap();
        }
        let lines = told(&mut slow);
        assert_eq!((lines.len(), &*lines[0]), (count + 5, "lagged 3"), "all of it once more");
    }
}

/// H13: entries are watched as documents are.
#[test]
fn each_entry_of_a_series_that_comes_or_goes_is_told_under_the_path_of_the_series() {
    let store = inline(&Sim::new(14));
    let chat = store.series::<u64>(path!("messages", "chat")).keep_last(2);
    let other = store.series::<u64>(path!("messages", "other"));
    chat.push(&1).unwrap();
    let mut watches = ["messages", "messages.chat"].map(|prefix| store.watch(prefix).unwrap());
    let mut all = store.watch_all().unwrap();
    let mut told_all = |what: &[&str]| {
        watches.iter_mut().chain([&mut all]).for_each(|watch| assert_eq!(told(watch), what));
    };
    told_all(&["messages.chat is 1", "caught up"]);
    chat.push(&2).unwrap();
    told_all(&["messages.chat: - -> 2"]);
    chat.push(&3).unwrap();
    told_all(&["messages.chat: 1 -> -", "messages.chat: - -> 3"]);
    // What came and went within one transaction was never there.
    store.transaction(|tx| [4, 5, 6].iter().try_for_each(|n| tx.push(&chat, n))).unwrap();
    told_all(&[
        "messages.chat: 2 -> -",
        "messages.chat: 3 -> -",
        "messages.chat: - -> 5",
        "messages.chat: - -> 6",
    ]);
    chat.clear().unwrap();
    told_all(&["messages.chat: 5 -> -", "messages.chat: 6 -> -"]);
    let mut chat = store.watch("messages.chat").unwrap();
    other.push(&1).unwrap();
    assert_eq!(told(&mut chat), ["caught up"], "another series");
}

/// S27, J5: what the disk had no room for is nobody's work any more, also if nobody commits again.
#[test]
fn after_a_full_disk_the_status_is_clean_again_and_what_was_let_in_is_saved() {
    for background in [Background::Inline, Background::Threads] {
        let sim = Sim::new(15);
        let store = on(Store::options().background(background), &sim);
        store.set("counters.n", &0).unwrap();
        let mut changes = store.status_changes();
        // The last word, once it is the one to wait for.
        let mut last = |wanted: fn(&Saving) -> bool| {
            let mut last = None;
            for _ in 0..2_000 {
                last = changes.next_timeout(Duration::from_millis(10)).or(last);
                if last.as_ref().is_some_and(wanted) {
                    break;
                }
            }
            last
        };
        assert!(matches!(last(|word| matches!(word, Saving::Clean)), Some(Saving::Clean)));
        sim.capacity(Some(0));
        let large = "x".repeat(300_000);
        assert_eq!(store.set("large.a", &large).expect_err("no room").kind(), &ErrorKind::Full);
        let word = last(|word| matches!(word, Saving::Clean));
        assert!(matches!(word, Some(Saving::Clean)), "{background:?}: {word:?}");
        assert!(
            matches!(store.status_changes().next_timeout(NOW), Some(Saving::Clean)),
            "also for who asks now"
        );

        let buffered = store.with_durability(Durability::Buffered);
        let kept = buffered.submit(|tx| tx.increment("counters.n", 1));
        let kept = kept.and_then(StoreTicket::wait);
        let refused = store.submit(|tx| tx.set("large.a", &large)).and_then(StoreTicket::wait);
        assert_eq!(refused.expect_err("no room").kind(), &ErrorKind::Full);
        let Ok((_, receipt)) = kept else { panic!("there is room for a small one: {kept:?}") };
        store.wait(receipt.position).unwrap();
        assert_eq!(store.get::<u64>("counters.n").unwrap(), Some(1));
        let mut saved = false;
        for _ in 0..2_000 {
            match changes.next_timeout(Duration::from_millis(10)) {
                Some(Saving::Saved { position, .. }) => saved |= position == receipt.position,
                Some(Saving::Clean) if saved => break,
                _ => {}
            }
        }
        assert!(saved, "{background:?}: what was let in is told as saved");
        sim.capacity(None);
        store.set("counters.n", &2).unwrap();
    }
}

/// A task that looks into the store when it is let go.
struct Curious(Store);

impl Wake for Curious {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Curious {
    fn drop(&mut self) {
        self.0.increment("counters.dropped", 1).expect("commits");
    }
}

#[test]
fn a_task_that_uses_the_store_while_it_is_let_go_holds_up_nobody() {
    let (done, finished) = std::sync::mpsc::channel();
    let worker = std::thread::spawn(move || {
        let store = threads(&Sim::new(16));
        let mut watch = store.watch("counters").unwrap();
        assert_eq!(told(&mut watch), ["caught up"]);
        let poll = |watch: &mut everlog::store::Watch| {
            let waker = Waker::from(Arc::new(Curious(store.clone())));
            watch.poll_next(&mut Context::from_waker(&waker)).is_pending()
        };
        assert!(poll(&mut watch));
        let _ready_or_not = poll(&mut watch);
        assert!(store.get::<u64>("counters.dropped").unwrap() > Some(0));
        drop(watch);
        done.send(()).expect("somebody waits");
    });
    finished.recv_timeout(SOON).expect("it ends");
    worker.join().expect("no panic");
}
