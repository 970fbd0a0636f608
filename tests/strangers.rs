//! A segment file that is provably no part of the history is named in the report and left alone; any other that does not
//! check refuses the opening (J6).
#![cfg(feature = "sim")]

mod crash_kit;

use crash_kit::{KIB, Lie, Shim, open, open_on};
use everlog::journal::Retention;
use everlog::medium::sim::Crash;
use everlog::medium::{Medium, Sim};
use everlog::testing::payloads;
use everlog::{ErrorKind, Journal};

fn fill(journal: &Journal, count: u8) {
    (0..count).for_each(|index| journal.append([index; 900]).map(drop).expect("appends"));
}

/// A journal of several segments with a horizon, closed.
fn compacted(seed: u64) -> Sim {
    let sim = Sim::new(seed);
    let journal = open(&sim).expect("opens");
    fill(&journal, 100);
    journal.compact(&Retention::forever().bytes(48 * KIB)).expect("compacts");
    journal.close().expect("closes");
    sim
}

fn put(sim: &Sim, name: &str, bytes: &[u8]) {
    let file = sim.create(name).expect("creates");
    file.write_at(bytes, 0).expect("writes");
    file.sync().expect("syncs");
    sim.sync_names().expect("syncs");
}

fn segments(sim: &Sim) -> Vec<String> {
    let mut names: Vec<_> =
        sim.names().expect("lists").into_iter().filter(|name| name.ends_with(".seg")).collect();
    names.sort();
    names
}

fn foreign_segment() -> Vec<u8> {
    let other = compacted(99);
    other.bytes(&segments(&other)[1]).expect("there")
}

/// Opens with exactly one remark, which names the file; the file is as it was.
fn remarked(sim: &Sim, name: &str, records: usize) {
    let before = sim.bytes(name);
    let journal = open(sim).expect("opens");
    let flaws = &journal.report().flaws;
    assert_eq!(flaws.iter().filter_map(|flaw| flaw.file()).collect::<Vec<_>>(), [name]);
    assert_eq!(payloads(&journal).expect("reads").len(), records);
    assert_eq!(sim.bytes(name), before, "it is left alone");
}

#[test]
fn a_stranger_is_remarked_upon_through_rolls_crashes_and_closes() {
    for name in ["0000000001.seg", "0000000002.seg", "0000000031.seg", "0000009999.seg"] {
        let mut sim = compacted(1);
        let mut records = payloads(&open(&sim).expect("opens")).expect("reads").len();
        put(&sim, name, &foreign_segment());
        for _ in 0..3 {
            remarked(&sim, name, records);
            let shim = Shim::new(sim.clone(), Lie::None);
            let journal = open_on(shim.clone()).expect("opens");
            // The numbers of its segments pass that of the stranger.
            fill(&journal, 60);
            records += 60;
            shim.die();
            drop(journal);
            sim = sim.crash(Crash::LoseAll);
        }
        remarked(&sim, name, records);
    }
}

#[test]
fn a_damaged_segment_below_the_horizon_is_remarked_upon() {
    let sim = compacted(2);
    let records = payloads(&open(&sim).expect("opens")).expect("reads").len();
    put(&sim, "0000000001.seg", &[0xA5; 16384]);
    remarked(&sim, "0000000001.seg", records);
}

#[test]
fn a_stranger_in_the_place_of_any_segment_of_the_history_is_refused() {
    let sim = compacted(3);
    let names = segments(&sim);
    assert!(names.len() >= 3, "{names:?}");
    for name in names {
        let replaced = sim.crash(Crash::KeepAll);
        replaced.remove_at_rest(&name).expect("removes");
        put(&replaced, &name, &foreign_segment());
        let error = open(&replaced).map(drop).expect_err("refused");
        assert_eq!((error.kind(), error.file()), (&ErrorKind::Damaged, Some(name.as_str())), "{error}");
    }
}

#[test]
fn a_stranger_in_the_place_of_a_mended_segment_is_refused() {
    for records_after in [0, 1, 60] {
        let sim = compacted(4);
        let shim = Shim::new(sim.clone(), Lie::None);
        let journal = open_on(shim.clone()).expect("opens");
        journal.append("not closed").expect("appends");
        shim.die();
        drop(journal);
        let sim = sim.crash(Crash::LoseAll);
        let before = segments(&sim);
        let shim = Shim::new(sim.clone(), Lie::None);
        let journal = open_on(shim.clone()).expect("mends");
        fill(&journal, records_after);
        shim.die();
        drop(journal);
        let sim = sim.crash(Crash::LoseAll);
        let mended = segments(&sim).into_iter().find(|name| !before.contains(name)).expect("a fresh segment");
        sim.remove_at_rest(&mended).expect("removes");
        put(&sim, &mended, &foreign_segment());
        let error = open(&sim).map(drop).expect_err("refused");
        assert_eq!(error.kind(), &ErrorKind::Damaged, "{error}");
    }
}
