//! A store tells what happened: to a path, between two moments, and which moments there are to go back to (H, T rows).

#![cfg(all(feature = "sim", feature = "store"))]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is a test")]

mod store_kit;

use std::time::Duration;

use everlog::journal::Retention;
use everlog::medium::Sim;
use everlog::store::{Changed, PathChange};
use everlog::{ErrorKind, Meta, Store, Timestamp, When, path};
use proptest::prelude::*;
use store_kit::{clock, clocked, text};

fn store() -> Store {
    clocked(&Sim::new(1), &clock())
}

fn told(history: impl Iterator<Item = everlog::Result<Changed>>) -> Vec<String> {
    history
        .map(|change| change.expect("reads"))
        .map(|change| format!("{}>{}", text(&change.old), text(&change.new)))
        .collect()
}

fn listed(changes: &[PathChange]) -> Vec<String> {
    changes
        .iter()
        .map(|change| format!("{} {}>{}", change.path, text(&change.old), text(&change.new)))
        .collect()
}

/// T27, E36: position, time, actor, old and new, for changes of parents and children too, and for nothing else.
#[test]
fn the_history_of_a_path_has_each_real_change_of_it_with_old_and_new_and_who_did_it() {
    let store = store();
    store.set("settings.other", &1).unwrap();
    store.set("settings.window", &serde_json::json!({"width": 1})).unwrap();
    let anna = store.with_meta(Meta::new().actor("anna"));
    let receipt = anna.set("settings.window.width", &2).unwrap();
    store.set("settings.window.height", &5).unwrap();
    store.set("settings.window", &serde_json::json!({"width": 2, "height": 6})).unwrap();
    store.remove("settings.window").unwrap();
    store.set("settings.window", &7).unwrap();
    store.remove("settings").unwrap();
    let expected = ["->1", "1>2", "2>-"];
    assert_eq!(told(store.history("settings.window.width").unwrap()), expected);
    let reversed: Vec<String> = told(store.history("settings.window.width").unwrap().newest_first());
    assert!(reversed.iter().eq(expected.iter().rev()));
    let whole = told(store.history("settings.window").unwrap());
    assert_eq!(whole.len(), 7);
    assert_eq!(whole[6], "7>-", "the collection was emptied");
    assert_eq!(told(store.history("settings").unwrap()).last().unwrap(), r#"{"window":7}>-"#);
    let second = store.history("settings.window.width").unwrap().nth(1).unwrap().unwrap();
    assert_eq!((second.position, second.time), (receipt.position, receipt.time));
    assert_eq!(second.actor(), Some("anna"));
    let within = store.history("settings.window.width").unwrap();
    assert_eq!(told(within.within(When::position(receipt.position)..).unwrap()), ["1>2", "2>-"]);
    assert_eq!(store.history("a..b").expect_err("no path").kind(), &ErrorKind::Input);
}

/// T27: an element that is taken out of a list moves those behind it, and what they hold.
#[test]
fn an_element_taken_out_of_a_list_is_a_change_of_each_place_behind_it() {
    let store = store();
    store.set("c.k.l", &serde_json::json!(["a", "b", {"x": "c"}])).unwrap();
    store.remove("c.k.l.0").unwrap();
    store.set("c.k.l.1", "b").unwrap();
    store.set("c.k.l.1", "z").unwrap();
    store.remove("c.k.l.1").unwrap();
    let second = [r#"->"b""#, r#""b">{"x":"c"}"#, r#"{"x":"c"}>"b""#, r#""b">"z""#, r#""z">-"#];
    assert_eq!(told(store.history("c.k.l.1").unwrap()), second);
    let reversed = told(store.history("c.k.l.1").unwrap().newest_first());
    assert!(reversed.iter().eq(second.iter().rev()), "{reversed:?}");
    assert_eq!(told(store.history("c.k.l.0").unwrap()), [r#"->"a""#, r#""a">"b""#]);
    assert_eq!(told(store.history("c.k.l.2.x").unwrap()), [r#"->"c""#, r#""c">-"#]);
    assert_eq!(told(store.history("c.k.l.1.x").unwrap()), [r#"->"c""#, r#""c">-"#]);
    assert_eq!(told(store.history("c.k.l").unwrap()).len(), 5);
    // A key of digits in an object moves nothing.
    store.set("c.o", &serde_json::json!({"0": "a", "1": "b"})).unwrap();
    store.remove("c.o.0").unwrap();
    assert_eq!(told(store.history("c.o.1").unwrap()), [r#"->"b""#]);
}

/// J8: two changes in one microsecond, and a clock that steps back, stay in the order in which they were made.
#[test]
fn changes_in_one_instant_and_under_a_clock_that_steps_back_stay_in_order() {
    let clock = clock();
    let store = clocked(&Sim::new(1), &clock);
    let mut positions = Vec::new();
    for number in 0..6 {
        positions.push(store.set("a.n", &number).unwrap());
        if number == 3 {
            clock.set_wall("2026-11-19T17:00:00Z".parse().unwrap());
        }
    }
    assert!(positions.windows(2).all(|pair| pair[0].time <= pair[1].time));
    let expected = ["->0", "0>1", "1>2", "2>3", "3>4", "4>5"];
    assert_eq!(told(store.history("a.n").unwrap()), expected);
    for (number, receipt) in positions.iter().enumerate() {
        assert_eq!(store.at(receipt.position).unwrap().get("a.n").unwrap(), Some(number));
    }
    let changes = store.diff(positions[1].position, positions[4].position).unwrap().changes().unwrap();
    assert_eq!(listed(&changes), ["a.n 1>4"]);
    clock.advance(Duration::from_secs(7200));
    store.set("a.n", &6).unwrap();
    let hour = store.history("a.n").unwrap().within(When::ago(Duration::from_secs(1))..).unwrap();
    assert_eq!(told(hour), ["5>6"]);
}

/// J14, and bounded memory: a long history is read in parts, across snapshots, from either end.
#[test]
fn a_long_history_reads_the_same_from_both_ends() {
    let store = store();
    for number in 0..3000 {
        let actor = store.with_meta(Meta::new().actor(format!("actor {number}")));
        actor
            .with_durability(everlog::Durability::Buffered)
            .transaction(|tx| {
                tx.set(path!("b", number % 7), &number)?;
                tx.set(path!("c", number % 5), &number)?;
                tx.set(path!("a", number % 2), &number)
            })
            .unwrap();
        if number == 2000 {
            store.snapshot().unwrap();
        }
    }
    store.wait(store.position()).unwrap();
    // The first window from behind begins inside a transaction.
    store.set("a.1", &0).unwrap();
    store.set("a.1", &1).unwrap();
    let read = |history: everlog::store::History| history.collect::<everlog::Result<Vec<Changed>>>().unwrap();
    let forward = read(store.history("a.1").unwrap());
    let mut backward = read(store.history("a.1").unwrap().newest_first());
    assert_eq!(forward.len(), 1502);
    assert!(forward[..1500].iter().all(|change| change.actor().is_some()), "each knows who did it");
    backward.reverse();
    assert_eq!(forward, backward);
}

#[test]
fn before_the_horizon_there_is_an_error_that_names_the_earliest_moment() {
    let clock = clock();
    let sim = Sim::new(1);
    let store = clocked(&sim, &clock);
    let first = store.set("a.n", &0).unwrap();
    for number in 1..2000 {
        store.set("a.n", &number).unwrap();
        clock.advance(Duration::from_secs(60));
    }
    store.compact(&Retention::forever().age(Duration::from_secs(3600))).unwrap();
    let horizon = store.horizon();
    assert!(horizon > first.position, "something went");
    let error = store.diff(first.position, When::now()).expect_err("gone");
    assert!(matches!(error.kind(), ErrorKind::BeforeHorizon { earliest, .. } if *earliest == horizon));
    let error = store.history("a.n").unwrap().within(When::position(first.position)..).expect_err("gone");
    assert!(matches!(error.kind(), ErrorKind::BeforeHorizon { .. }));
    let oldest = store.history("a.n").unwrap().next().unwrap().unwrap();
    let at_horizon: u32 = store.at(horizon).unwrap().get("a.n").unwrap().unwrap();
    assert_eq!(oldest.old.unwrap().as_u64(), Some(u64::from(at_horizon)));
}

#[test]
fn a_difference_names_the_places_that_differ_and_no_others() {
    let store = store();
    store.set("notes.a", &serde_json::json!({"title": "Milk", "tags": [1, 2, 3, 4], "done": false})).unwrap();
    store.set("notes.b", &1).unwrap();
    store.set("other.x", &1).unwrap();
    let before = store.position();
    store.set("notes.a.done", &true).unwrap();
    store.append("notes.a.tags", &5, None).unwrap();
    store.remove("notes.b").unwrap();
    store.set("notes.c", &"new").unwrap();
    store.set("other.x", &2).unwrap();
    store.set("other.x", &1).unwrap();
    let diff = store.diff(before, When::now()).unwrap();
    assert_eq!((diff.from(), diff.to()), (before, store.position()));
    let expected = ["notes.a.done false>true", "notes.a.tags.4 ->5", "notes.b 1>-", r#"notes.c ->"new""#];
    assert_eq!(listed(&diff.changes().unwrap()), expected);
    let only = diff.clone().only(["notes.a.done", "notes.c.deeper"]).unwrap();
    assert_eq!(listed(&only.changes().unwrap()), [expected[0]]);
    let back = store.diff(When::now(), before).unwrap().only(["notes.b"]).unwrap();
    assert_eq!(listed(&back.changes().unwrap()), ["notes.b ->1"]);
}

#[derive(Clone, Debug)]
enum Step {
    Set(u8, u8, u8),
    Remove(u8),
    Clear,
    Snapshot,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..6_u8, 0..3_u8, 0..4_u8).prop_map(|(key, member, value)| Step::Set(key, member, value)),
        3 => (0..6_u8).prop_map(Step::Remove),
        1 => Just(Step::Clear),
        1 => Just(Step::Snapshot),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The states at any two moments differ by exactly the changes told, whatever snapshots they stand on.
    #[test]
    fn applying_a_difference_to_one_state_gives_the_other(
        steps in proptest::collection::vec(step(), 1..40), from in 0..40_usize, to in 0..40_usize,
    ) {
        let store = store();
        let mut positions = vec![store.position()];
        for step in &steps {
            match step {
                Step::Set(key, member, value) => {
                    drop(store.set(path!("c", key, member), value));
                }
                Step::Remove(key) => drop(store.remove(path!("c", key)).unwrap()),
                Step::Clear => drop(store.remove("c").unwrap()),
                Step::Snapshot => drop(store.snapshot().unwrap()),
            }
            positions.push(store.position());
        }
        let (from, to) = (positions[from % positions.len()], positions[to % positions.len()]);
        let scratch = self::store();
        let all = |view: everlog::View| view.get_value("c").unwrap().unwrap_or_else(|| "{}".parse().unwrap());
        scratch.transaction(|tx| {
            for (key, value) in all(store.at(from).unwrap()).as_object().unwrap().iter() {
                tx.set_value(path!("c", key), value.clone())?;
            }
            for change in store.diff(from, to)?.changes()? {
                assert_eq!(tx.get_value(&change.path)?, change.old);
                match change.new {
                    Some(new) => drop(tx.set_value(change.path, new)?),
                    None => drop(tx.remove(change.path)?),
                }
            }
            Ok(())
        }).unwrap();
        prop_assert_eq!(all(scratch.view()), all(store.at(to).unwrap()));
    }
}

#[test]
fn times_are_labels_and_positions_the_order() {
    let store = store();
    let first = store.set("a.n", &1).unwrap();
    let second = store.set("a.n", &2).unwrap();
    assert_eq!(first.time, second.time);
    assert!(first.time > Timestamp::ZERO && first.position < second.position);
    assert_eq!(store.at(first.time).unwrap().get("a.n").unwrap(), Some(2), "as of a time is all of it");
}

/// T27, E45: restore points newest first, in pages that new commits do not move.
#[test]
fn the_timeline_pages_through_all_commits_newest_first_and_stays_put_under_new_ones() {
    let store = store();
    for number in 0..2500 {
        let actor = store.with_meta(Meta::new().actor(format!("actor {number}")).cause("test"));
        let actor = actor.with_durability(everlog::Durability::Buffered);
        actor
            .transaction(|tx| {
                tx.label(&format!("label {number}"))?;
                tx.set(path!("a", number % 2, "n"), &number)?;
                tx.set(path!("b", number), &number)
            })
            .unwrap();
    }
    store.wait(store.position()).unwrap();
    store.pin("kept", When::now(), "").unwrap();
    let (mut cursor, mut seen) = (None, 0);
    loop {
        let page = store.timeline().page(70, cursor.as_deref()).unwrap();
        for point in &page.points {
            let number = 2499 - seen;
            assert_eq!(point.label.as_deref(), Some(format!("label {number}").as_str()));
            assert_eq!(point.actor(), Some(format!("actor {number}").as_str()));
            assert_eq!((point.cause(), point.changes), (Some("test"), 2));
            assert_eq!(point.paths, [path!("a", number % 2, "n"), path!("b", number)]);
            seen += 1;
        }
        assert_eq!(page.points.len(), if page.next.is_some() { 70 } else { 2500 % 70 });
        if seen == 210 {
            store.set("later.x", &1).unwrap();
            let view = store.at(page.points[69].position).unwrap();
            assert_eq!(view.get::<u32>(path!("b", 2290)).unwrap(), Some(2290), "is the state after it");
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, 2500);
    let under = store.timeline().under("a.1.n").unwrap().page(3, None).unwrap();
    let labels: Vec<_> = under.points.iter().map(|point| point.label.clone().unwrap()).collect();
    assert_eq!(labels, ["label 2499", "label 2497", "label 2495"]);
    assert_eq!(under.points[0].paths, [path!("a", 1, "n")], "only what was asked for");
    assert!(store.timeline().under("c").unwrap().page(3, None).unwrap().points.is_empty());
}

/// T27: what was said about a commit stands on its first record, which may be a pin.
#[test]
fn the_timeline_knows_who_and_why_also_where_a_pin_stands_before_the_changes() {
    let store = store().with_meta(Meta::new().actor("bob").cause("tidying"));
    store.set("a.n", &1).unwrap();
    store.pin_before("kept", |tx| tx.set("a.n", &2)).unwrap();
    let other = store.with_meta(Meta::new().actor("eve"));
    other.pin_before("kept too", |tx| tx.set("a.n", &3).and(tx.set("b.n", &3))).unwrap();
    let points = store.timeline().page(10, None).unwrap().points;
    let said: Vec<_> = points.iter().map(|point| (point.actor(), point.cause(), point.changes)).collect();
    assert_eq!(
        said,
        [(Some("eve"), None, 2), (Some("bob"), Some("tidying"), 1), (Some("bob"), Some("tidying"), 1)]
    );
    assert_eq!(points[1].pins, ["kept too"]);
}

/// What a prefix is in may be set without anything changing at the prefix: that is no moment to go back to for it.
#[test]
fn the_timeline_of_a_prefix_has_the_commits_that_changed_something_there_and_no_others() {
    let store = store();
    let label = |label: &str, change: &dyn Fn(&mut everlog::store::Tx<'_>) -> everlog::Result<bool>| {
        store
            .transaction(|tx| {
                tx.label(label)?;
                change(tx)
            })
            .unwrap();
    };
    let log = store.series::<u8>("c.s");
    label("whole", &|tx| tx.set("c.a", &serde_json::json!({"x": {"y": 1}, "z": 1})));
    label("beside, by the whole", &|tx| tx.set("c.a", &serde_json::json!({"x": {"y": 1}, "z": 2})));
    label("a part", &|tx| tx.set("c.a.x", &serde_json::json!({"y": 2})));
    label("beside, in the part", &|tx| tx.set("c.a.x.other", &1));
    label("an entry", &|tx| tx.push(&log, &1).map(|_| true));
    store.snapshot().unwrap();
    label("all gone", &|tx| tx.remove("c"));
    label("other", &|tx| tx.set("c.b", &1));
    label("gone, and it was not there", &|tx| tx.remove("c"));
    label("there again", &|tx| tx.set("c.a", &serde_json::json!({"x": {"y": 2}})));
    let under = |prefix: &str| -> Vec<String> {
        let page = store.timeline().under(prefix).unwrap().page(100, None).unwrap();
        page.points.into_iter().map(|point| point.label.unwrap()).collect()
    };
    assert_eq!(under("c.a.x.y"), ["there again", "all gone", "a part", "whole"]);
    assert_eq!(under("c.a.z"), ["all gone", "beside, by the whole", "whole"]);
    assert_eq!(under("c.s"), ["all gone", "an entry"]);
    assert_eq!(under("c.s.0"), [""; 0], "entries have no paths inside");
    assert_eq!(under("c").len(), 9);
    let mut pages = Vec::new();
    let mut cursor = None;
    loop {
        let page = store.timeline().under("c.a.x.y").unwrap().page(1, cursor.as_deref()).unwrap();
        pages.extend(page.points.into_iter().map(|point| point.label.unwrap()));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(pages, under("c.a.x.y"), "page by page the same");
}

#[test]
fn a_cursor_of_another_store_or_a_broken_one_is_refused_and_a_pinned_moment_is_told() {
    let (store, other) = (store(), store());
    for number in 0..3 {
        store.set("a.n", &number).unwrap();
        other.set("a.n", &number).unwrap();
    }
    store.pin("before the update", store.position(), "").unwrap();
    let page = store.timeline().page(2, None).unwrap();
    assert_eq!(page.points[0].pins, ["before the update"]);
    let cursor = page.next.unwrap();
    assert_eq!(store.timeline().page(2, Some(&cursor)).unwrap().points.len(), 1);
    let error = other.timeline().page(2, Some(&cursor)).expect_err("of another store");
    assert_eq!(error.kind(), &ErrorKind::Input);
    for broken in ["", "x", &cursor[1..], &cursor.replace('0', "1"), "ääääääääääääääääääääääää"]
    {
        let error = store.timeline().page(2, Some(broken)).expect_err(broken);
        assert_eq!(error.kind(), &ErrorKind::Input);
    }
}
