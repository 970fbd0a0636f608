//! Finding a time reads a few segments, however long the history is and however many segments were left empty.
#![cfg(feature = "sim")]

mod crash_kit;

use std::sync::Arc;
use std::time::Duration;

use crash_kit::options;
use everlog::Journal;
use everlog::medium::Sim;
use everlog::medium::sim::Crash;
use everlog::testing::ManualClock;

const SECOND: Duration = Duration::from_secs(1);

fn open(sim: &Sim, clock: &Arc<ManualClock>) -> Journal {
    options().clock(Arc::clone(clock) as _).open_on(Arc::new(sim.clone())).expect("opens")
}

/// One segment is full after about twenty of these; a second passes between any two.
fn fill(journal: &Journal, clock: &ManualClock, times: &mut Vec<everlog::Timestamp>) {
    for _ in 0..900 {
        clock.advance(SECOND);
        times.push(journal.append([1; 300]).expect("appends").time);
    }
}

#[test]
fn a_time_is_found_by_halves_also_where_crashes_left_empty_segments_behind() {
    let clock = Arc::new(ManualClock::new("2026-11-19T18:00:00Z".parse().expect("a time")));
    let mut times = Vec::new();
    let mut sim = Sim::new(1);
    let journal = open(&sim, &clock);
    fill(&journal, &clock, &mut times);
    sim = sim.crash(Crash::LoseAll);
    for _ in 0..40 {
        let _died_before_it_wrote = open(&sim, &clock);
        sim = sim.crash(Crash::LoseAll);
    }
    let journal = open(&sim, &clock);
    fill(&journal, &clock, &mut times);
    let segments = journal.status().segments;
    assert!(segments > 150, "{segments}");
    for index in (0..times.len()).step_by(7) {
        let before = sim.reads();
        let mut cursor = journal.records_since(times[index]).expect("is found");
        let found = cursor.next().expect("is there").expect("checks");
        let reads = sim.reads() - before;
        let first = times.partition_point(|time| *time < times[index]);
        assert_eq!(found.position.lsn.get(), first as u64 + 1, "record {index}");
        assert!(reads <= 30, "record {index}: {reads} reads in {segments} segments");
    }
}
