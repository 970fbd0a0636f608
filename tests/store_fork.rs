//! A fork starts with the state of another store at a moment, is one of its own, and is there wholly or not at all.

#![cfg(all(feature = "sim", feature = "store"))]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is a test")]
#![allow(clippy::disallowed_methods, reason = "files are prepared from outside")]

mod store_kit;

use std::sync::Arc;

use everlog::journal::Retention;
use everlog::medium::Sim;
use everlog::testing::{Crashes, Outcome};
use everlog::{ErrorKind, Position, Store, When, path};
use store_kit::{json, on, shut, small};

fn open(sim: &Sim) -> everlog::Result<Store> {
    small().open_on(Arc::new(sim.clone()))
}

/// A store with a snapshot, and the moment to fork from, which is not its last.
fn source() -> (Store, Position, String) {
    let store = on(small(), &Sim::new(9));
    for number in 0..20 {
        store.set(path!("notes", number, "n"), &number).expect("sets");
    }
    store.snapshot().expect("a snapshot");
    store.remove("notes.3").expect("removes");
    store.set("notes.4.n", &"changed").expect("sets");
    let (position, state) = (store.position(), json(&store, "notes"));
    store.set("notes.5.n", &"later").expect("sets");
    (store, position, state)
}

#[test]
fn a_fork_has_the_state_of_its_moment_and_goes_its_own_way() {
    let (store, position, state) = source();
    let sim = Sim::new(1);
    let now = json(&store, "notes");
    assert_eq!(store.fork_on(position, Arc::new(sim.clone())).unwrap(), position);
    let fork = on(small(), &sim);
    assert!(fork.report().clean && !fork.report().created);
    assert_eq!((json(&fork, "notes"), fork.horizon()), (state.clone(), position));
    assert_eq!(fork.position().lsn, position.lsn.next(), "one record says where it comes from");
    assert!(fork.timeline().page(1, None).unwrap().points.is_empty(), "and changes nothing");
    let (old, new) = (store.at(position).unwrap(), fork.entry("notes.4").unwrap().unwrap());
    assert_eq!(old.entry("notes.4").unwrap().unwrap(), new, "revision and time stay what they were");
    fork.set("notes.1.n", &"fork").unwrap();
    store.set("notes.1.n", &"store").unwrap();
    let fork_now = json(&fork, "notes");
    assert!(fork_now.contains("fork") && !now.contains("fork"));
    assert!(fork.set("notes.x", &1).unwrap().position > position, "numbered on");
    fork.rollback_to(position).unwrap().commit().unwrap();
    assert_eq!(json(&fork, "notes"), state);
    fork.snapshot().unwrap();
    fork.compact(&Retention::forever().bytes(1)).unwrap();
    fork.close().unwrap();
    drop(fork);
    let fork = on(small(), &sim);
    assert_eq!(json(&fork, "notes"), state);
    let before = fork.at(Position::START).expect_err("its history begins with the fork");
    assert!(matches!(before.kind(), ErrorKind::BeforeHorizon { .. }));
    assert_eq!(fork.history("notes.1.n").unwrap().count(), 2, "its own changes only");
    assert!(json(&store, "notes").contains("store"), "the original has its own");
}

#[test]
fn forks_of_the_beginning_of_now_and_of_a_fork_are_stores_too() {
    let (store, ..) = source();
    let (empty, now, again) = (Sim::new(1), Sim::new(2), Sim::new(3));
    store.fork_on(Position::START, Arc::new(empty.clone())).unwrap();
    assert_eq!(json(&on(small(), &empty), "notes"), "-");
    store.fork_on(When::now(), Arc::new(now.clone())).unwrap();
    let fork = on(small(), &now);
    assert_eq!(json(&fork, "notes"), json(&store, "notes"));
    fork.fork_on(fork.position(), Arc::new(again.clone())).unwrap();
    assert_eq!(json(&on(small(), &again), "notes"), json(&store, "notes"));
}

#[test]
fn a_directory_with_anything_in_it_is_refused_and_left_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path().join("store")).unwrap();
    let position = store.set("notes.a", &1).unwrap().position;
    let other = Store::open(directory.path().join("other")).unwrap();
    other.set("notes.a", &2).unwrap();
    other.close().unwrap();
    let foreign = directory.path().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("letter.txt"), "dear").unwrap();
    for (name, kind) in
        [("store", ErrorKind::Conflict), ("other", ErrorKind::Conflict), ("foreign", ErrorKind::NotAJournal)]
    {
        let error = store.fork(position, directory.path().join(name)).expect_err(name);
        assert_eq!(error.kind(), &kind, "{name}: {error}");
    }
    assert_eq!(std::fs::read_dir(&foreign).unwrap().count(), 1);
    let other = Store::open(directory.path().join("other")).unwrap();
    assert_eq!(other.get("notes.a").unwrap(), Some(2));
    store.fork(position, directory.path().join("new/fork")).unwrap();
    let fork = Store::open(directory.path().join("new/fork")).unwrap();
    assert_eq!(fork.get("notes.a").unwrap(), Some(1));
    assert!(store.fork("9:9".parse::<Position>().unwrap(), directory.path().join("none")).is_err());
}

/// J9: the log before a fork stays behind, so that its state is there twice. Rot in one of them is told with file and
/// offset, never read, and made good from the other; rot in both is told, and takes nothing else with it.
#[test]
fn a_fork_has_two_ways_to_its_state_and_a_rotten_block_loses_nothing() {
    const COUNT: usize = 600;
    let store = on(small(), &Sim::new(9));
    for number in 0..COUNT {
        store.set(path!("notes", number), &"x".repeat(300)).unwrap();
    }
    let position = store.position();
    let state = json(&store, "notes");
    let runs = |sim: &Sim| -> Vec<(String, u64)> {
        sim.files().into_iter().filter(|(name, _)| name.ends_with(".run")).collect()
    };
    for rotten in [vec![0], vec![1], vec![0, 1]] {
        let sim = Sim::new(4);
        store.fork_on(position, Arc::new(sim.clone())).unwrap();
        let there = runs(&sim);
        assert_eq!(there.len(), 2, "{there:?}");
        for place in &rotten {
            sim.flip(&there[*place].0, there[*place].1 / 2, 0x10).unwrap();
        }
        let fork = on(small(), &sim);
        let damage = (0..COUNT).find_map(|number| fork.get::<String>(path!("notes", number)).err());
        if let Some(error) = damage {
            assert_eq!(error.kind(), &ErrorKind::Damaged);
            assert!(error.file().is_some_and(|file| file.ends_with(".run")) && error.offset().is_some());
        }
        if rotten.len() == 2 {
            assert_eq!(fork.mend().expect_err("nothing else has it").kind(), &ErrorKind::Damaged);
            let whole = (0..COUNT).filter(|number| fork.contains(path!("notes", number)).is_ok()).count();
            assert!((100..COUNT).contains(&whole), "{whole} of 200 are as readable as before");
            fork.set("more.a", &1).unwrap();
            continue;
        }
        fork.mend().unwrap();
        assert_eq!(json(&fork, "notes"), state, "made anew from the other");
        fork.set("notes.more", &1).unwrap();
        fork.snapshot().unwrap();
        shut(fork);
        let fork = on(small(), &sim);
        assert_eq!(fork.keys("notes").unwrap().len(), COUNT + 1);
        assert!((0..COUNT).all(|number| fork.get::<String>(path!("notes", number)).is_ok()));
    }
}

/// J7, J16: whatever is left of a fork that was interrupted is no store, and the next fork succeeds; or it is all there.
#[test]
fn a_fork_cut_at_every_step_is_no_store_or_a_whole_one() {
    #[derive(Default)]
    struct Promised {
        forked: bool,
        used: bool,
    }
    let workload = |sim: &Sim, promised: &mut Promised| -> Outcome {
        let (store, position, _) = source();
        store.fork_on(position, Arc::new(sim.clone()))?;
        promised.forked = true;
        let fork = open(sim)?;
        fork.set("notes.used", &1)?;
        promised.used = true;
        Ok(fork.close()?)
    };
    let check = |sim: &Sim, promised: &Promised| -> Outcome {
        let (store, position, state) = source();
        let opened = small().must_exist().open_on(Arc::new(sim.clone()));
        let fork = match opened {
            Err(error) if *error.kind() == ErrorKind::Missing && !promised.forked => {
                store.fork_on(position, Arc::new(sim.clone()))?;
                open(sim)?
            }
            opened => opened?,
        };
        if everlog::medium::Medium::names(sim)?.iter().any(|name| name == "forking") {
            return Err("a store in use must not look like a fork in the making".into());
        }
        if json(&fork, "notes") != state && !fork.contains("notes.used")? {
            return Err("the fork has another state".into());
        }
        if fork.at(position)?.get_value("notes")?.map(|value| value.to_string()) != Some(state) {
            return Err("the fork does not start with the state".into());
        }
        if promised.used && !fork.contains("notes.used")? {
            return Err("what was acknowledged in the fork is missing".into());
        }
        Ok(fork.close()?)
    };
    let tally = Crashes::new(5).images(8).recoveries(3, 2).everywhere(workload, check);
    assert!(tally.states > 300, "{tally:?}");
}
