//! A compaction that dies at any step, by power cut, error or kill, loses nothing and can be repeated (J9).

#![cfg(feature = "sim")]

use std::io::ErrorKind as IoKind;
use std::sync::Arc;

use everlog::Journal;
use everlog::journal::{Background, Options, Retention};
use everlog::medium::Sim;
use everlog::medium::sim::{Crash, Fault};

fn options() -> Options {
    Options::new().background(Background::Inline).segment_bytes(16 * 1024, 16 * 1024)
}

fn open(sim: &Sim) -> everlog::Result<Journal> {
    options().open_on(Arc::new(sim.clone()))
}

/// The first and the last record, all in between being there and whole.
fn extent(journal: &Journal) -> (u64, u64) {
    let records = journal.records().expect("readable").map(|record| record.expect("checks"));
    let lsns: Vec<u64> = records
        .map(|record| {
            assert_eq!(record.payload, payload(record.position.lsn.get()));
            record.position.lsn.get()
        })
        .collect();
    let first = journal.horizon().lsn.get() + 1;
    assert_eq!(lsns, (first..first + lsns.len() as u64).collect::<Vec<_>>());
    (first, first + lsns.len() as u64 - 1)
}

fn payload(lsn: u64) -> Vec<u8> {
    vec![lsn as u8; 300]
}

fn append(journal: &Journal, count: u64) {
    for _ in 0..count {
        let next = journal.position().lsn.get() + 1;
        journal.append(payload(next)).expect("appends");
    }
}

fn keep() -> Retention {
    Retention::forever().bytes(48 * 1024)
}

fn lives_on(label: &str, image: &Sim, last: u64, horizons: &mut std::collections::BTreeSet<u64>) {
    let mut device = image.clone();
    let mut last = last;
    for life in 0..3 {
        let journal = open(&device).unwrap_or_else(|error| panic!("{label}: life {life}: {error}"));
        let (first, end) = extent(&journal);
        assert_eq!(end, last, "{label}: life {life}");
        horizons.insert(first - 1);
        if life == 1 {
            journal.compact(&keep()).unwrap_or_else(|error| panic!("{label}: {error}"));
        }
        append(&journal, 1);
        last += 1;
        device = device.crash(if life == 0 { Crash::LoseAll } else { Crash::Random(last) });
    }
}

fn compaction_dies(label: &str, device: &Sim, last: u64) {
    let mut horizons = std::collections::BTreeSet::new();
    for step in 1.. {
        let mut images = Vec::new();
        let copy = device.kill();
        let journal = open(&copy).expect("opens");
        copy.power_cut_at(copy.steps() + step);
        let compacted = journal.compact(&keep());
        let died = copy.power_lost();
        for style in [Crash::LoseAll, Crash::KeepAll, Crash::NamesLost(step), Crash::Random(step)] {
            images.push((format!("{label}, cut at {step}, {style:?}"), copy.crash(style)));
        }
        drop((journal, compacted));
        if !died {
            break;
        }
        for fault in [
            Fault::Error(IoKind::Other),
            Fault::ErrorPartly(IoKind::Other),
            Fault::Error(IoKind::StorageFull),
        ] {
            let copy = device.kill();
            let journal = open(&copy).expect("opens");
            copy.fail_step(copy.steps() + step, fault);
            drop(journal.compact(&keep()));
            // Again in the same life, over what the first one left.
            drop(journal.compact(&keep()));
            images.push((format!("{label}, {fault:?} at {step}, kill"), copy.kill()));
            images.push((format!("{label}, {fault:?} at {step}, lost"), copy.crash(Crash::LoseAll)));
            images.push((format!("{label}, {fault:?} at {step}, names"), copy.crash(Crash::NamesLost(step))));
            drop(journal);
        }
        for (how, image) in images {
            lives_on(&how, &image, last, &mut horizons);
        }
    }
    assert!(horizons.len() > 1, "{label}: the horizon moved: {horizons:?}");
}

#[test]
fn over_segments_that_rolled() {
    let sim = Sim::new(1);
    let journal = open(&sim).expect("opens");
    append(&journal, 300);
    compaction_dies("rolled", &sim.crash(Crash::LoseAll), 300);
}

#[test]
fn over_segments_that_were_mended() {
    let mut sim = Sim::new(2);
    let mut last = 0;
    for life in 0..12 {
        let journal = open(&sim).expect("opens");
        append(&journal, 13 + life);
        last += 13 + life;
        if life % 3 == 0 {
            journal.tick().expect("marks");
        }
        if life % 4 == 3 {
            journal.snapshot().expect("snapshot");
        }
        sim = sim.crash(if life % 2 == 0 { Crash::LoseAll } else { Crash::KeepAll });
    }
    compaction_dies("mended", &sim, last);
}
