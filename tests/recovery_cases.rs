//! Recovery as a table (J6, J16): each thing an opening may come upon, and the one right answer.
#![cfg(feature = "sim")]

mod crash_kit;

use std::sync::Arc;

use crash_kit::{Lie, Shim, open, open_on, options};
use everlog::journal::Background;
use everlog::medium::sim::Crash;
use everlog::medium::{Medium, Presence, Sim};
use everlog::testing::payloads;
use everlog::{Durability, ErrorKind, Journal, Transaction};

/// The right answer.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// So many records, closed cleanly.
    Clean(usize),
    /// So many records, not closed, nothing cut.
    Whole(usize),
    /// So many records, and a torn tail was cut and kept aside.
    Cut(usize),
    /// A new journal.
    Created,
    /// Refused, with this kind, naming this file.
    Refused(ErrorWord, &'static str),
    /// So many records, with a flaw in the report.
    Flawed(usize),
    /// The same, and the flaw stays: it is no part of the journal.
    Stranger(usize),
}

#[derive(Clone, Copy, Debug)]
enum ErrorWord {
    Damaged,
    NotAJournal,
    NewerFormat,
}

const SEGMENTS: [&str; 3] = ["0000000001.seg", "0000000002.seg", "0000000003.seg"];
/// Where frames start, and where the roll seal of these segments stands.
const FRAMES: u64 = 8192;
const ROLL_SEAL: u64 = 12288;

/// Seven records, in a closed journal of two full segments and one that holds the last record.
fn closed() -> Sim {
    let sim = Sim::new(1);
    let journal = rolled(&sim);
    journal.close().expect("closes");
    at_rest(&sim)
}

/// The same, not closed.
fn crashed() -> Sim {
    let sim = Sim::new(1);
    let _journal = rolled(&sim);
    at_rest(&sim)
}

fn rolled(sim: &Sim) -> Journal {
    let journal = open(sim).expect("opens");
    (0..7).for_each(|index| {
        journal.append([index + 1; 1000]).expect("appends");
    });
    assert_eq!(journal.status().segments, 3);
    journal
}

/// Three synced records and three buffered ones of one unsynced window, all on the device.
fn window() -> Sim {
    let sim = Sim::new(1);
    let journal = open(&sim).expect("opens");
    (0..3).for_each(|index| {
        journal.append([index + 1; 100]).expect("appends");
    });
    for index in 3..6 {
        let transaction = Transaction::new().record([index + 1; 100]);
        journal.commit(&transaction, Durability::Buffered).expect("commits");
    }
    at_rest(&sim)
}

/// Three synced records and a snapshot of them, not closed.
fn snapshotted() -> Sim {
    let sim = Sim::new(1);
    let journal = open(&sim).expect("opens");
    (0..3).for_each(|index| {
        journal.append([index + 1; 100]).expect("appends");
    });
    journal.snapshot().expect("makes a snapshot");
    at_rest(&sim)
}

fn at_rest(sim: &Sim) -> Sim {
    sim.crash(Crash::KeepAll)
}

/// Spoils the record with this number.
fn spoil(sim: &Sim, file: &str, record: u8) {
    let bytes = sim.bytes(file).expect("there");
    let at = bytes.windows(90).position(|window| window == [record; 90]).expect("the record is there");
    sim.flip(file, at as u64, 1).expect("flips");
}

/// Where the bytes that are not zero end, before the roll seal.
fn frames_end(sim: &Sim, file: &str) -> u64 {
    let bytes = sim.bytes(file).expect("there");
    let end =
        bytes[..ROLL_SEAL as usize].iter().rposition(|byte| *byte != 0).map_or(FRAMES, |at| at as u64 + 1);
    end.next_multiple_of(8)
}

/// A preamble block whose version or feature bits are newer, with a checksum that holds.
fn newer(sim: &Sim, file: &str, block: u64, at: usize) {
    let bytes = sim.bytes(file).expect("there");
    let start = block as usize * 4096;
    let mut content = bytes[start..start + 4096].to_vec();
    content[at] = 9;
    let sum = crc32fast::hash(&content[..4092]);
    content[4092..].copy_from_slice(&sum.to_le_bytes());
    sim.overwrite(file, start as u64, &content).expect("writes");
}

fn put(sim: &Sim, name: &str, bytes: &[u8]) {
    let file = sim.create(name).expect("creates");
    file.write_at(bytes, 0).expect("writes");
    file.sync().expect("syncs");
    sim.sync_names().expect("syncs");
}

type Case = (&'static str, fn() -> Sim, fn(&Sim), Answer);

use Answer::{Clean, Created, Cut, Flawed, Refused, Stranger, Whole};
use ErrorWord::{Damaged, NewerFormat, NotAJournal};

#[rustfmt::skip]
const CASES: &[Case] = &[
    ("an empty directory", || Sim::new(1), |_| {}, Created),
    ("not a journal", || Sim::new(1), |sim| put(sim, "notes.txt", b"text"), Refused(NotAJournal, "")),
    ("a foreign directory", || Sim::new(1), |sim| drop(sim.child("photos", Presence::CreateMissing)), Refused(NotAJournal, "")),
    ("closed cleanly", closed, |_| {}, Clean(7)),
    ("not closed", crashed, |_| {}, Whole(7)),
    ("prepared zeros behind the frames", window, |_| {}, Whole(6)),

    ("a short last frame", window, |sim| sim.overwrite(SEGMENTS[0], frames_end(sim, SEGMENTS[0]) - 40, &[0; 40]).unwrap(), Cut(5)),
    ("a zero-filled tail", window, |sim| sim.overwrite(SEGMENTS[0], frames_end(sim, SEGMENTS[0]) - 500, &[0; 500]).unwrap(), Cut(3)),
    ("a garbage tail", window, |sim| sim.overwrite(SEGMENTS[0], frames_end(sim, SEGMENTS[0]), &[0xA5; 300]).unwrap(), Cut(6)),
    ("the first of a window torn", window, |sim| spoil(sim, SEGMENTS[0], 4), Cut(3)),
    ("the middle of a window torn", window, |sim| spoil(sim, SEGMENTS[0], 5), Cut(4)),
    ("the last of a window torn", window, |sim| spoil(sim, SEGMENTS[0], 6), Cut(5)),
    ("first and last of a window torn", window, |sim| { spoil(sim, SEGMENTS[0], 4); spoil(sim, SEGMENTS[0], 6); }, Cut(3)),
    ("all of a window torn", window, |sim| (4..7).for_each(|record| spoil(sim, SEGMENTS[0], record)), Cut(3)),
    ("a record before the mark damaged", window, |sim| spoil(sim, SEGMENTS[0], 2), Refused(Damaged, SEGMENTS[0])),
    ("garbage behind a clean close", closed, |sim| sim.overwrite(SEGMENTS[2], frames_end(sim, SEGMENTS[2]), b"garbage").unwrap(), Cut(7)),
    ("garbage behind the file's end", closed, |sim| sim.append(SEGMENTS[2], b"garbage").unwrap(), Clean(7)),

    ("a snapshot beside its records", snapshotted, |_| {}, Whole(3)),
    ("the first frame below a snapshot", snapshotted, |sim| sim.flip(SEGMENTS[0], FRAMES + 1, 1).unwrap(), Refused(Damaged, SEGMENTS[0])),
    ("all frames below a snapshot", snapshotted, |sim| sim.overwrite(SEGMENTS[0], FRAMES, &[0; 4096]).unwrap(), Refused(Damaged, SEGMENTS[0])),
    ("the last frame below a snapshot", snapshotted, |sim| spoil(sim, SEGMENTS[0], 3), Refused(Damaged, SEGMENTS[0])),

    ("damage before valid frames", closed, |sim| spoil(sim, SEGMENTS[1], 4), Refused(Damaged, SEGMENTS[1])),
    ("a damaged sealed segment, not closed", crashed, |sim| spoil(sim, SEGMENTS[0], 1), Refused(Damaged, SEGMENTS[0])),
    ("the last record of a closed journal", closed, |sim| spoil(sim, SEGMENTS[2], 7), Refused(Damaged, SEGMENTS[2])),
    ("a damaged roll seal", closed, |sim| sim.flip(SEGMENTS[0], ROLL_SEAL + 20, 1).unwrap(), Refused(Damaged, SEGMENTS[0])),
    ("a zeroed roll seal", crashed, |sim| sim.overwrite(SEGMENTS[1], ROLL_SEAL, &[0; 4096]).unwrap(), Refused(Damaged, SEGMENTS[2])),
    ("a damaged birth header", closed, |sim| sim.flip(SEGMENTS[1], 60, 1).unwrap(), Refused(Damaged, SEGMENTS[1])),
    ("a segment of zeros", closed, |sim| sim.overwrite(SEGMENTS[1], 0, &[0; 16384]).unwrap(), Refused(Damaged, SEGMENTS[1])),

    ("a missing first segment", closed, |sim| sim.remove_at_rest(SEGMENTS[0]).unwrap(), Refused(Damaged, SEGMENTS[0])),
    ("a missing segment", closed, |sim| sim.remove_at_rest(SEGMENTS[1]).unwrap(), Refused(Damaged, SEGMENTS[1])),
    ("a missing last segment", crashed, |sim| sim.remove_at_rest(SEGMENTS[2]).unwrap(), Refused(Damaged, SEGMENTS[2])),
    ("an emptied segment", closed, |sim| sim.truncate(SEGMENTS[1], 0).unwrap(), Refused(Damaged, SEGMENTS[1])),
    ("a segment cut at a frame", closed, |sim| sim.truncate(SEGMENTS[2], frames_end(sim, SEGMENTS[2])).unwrap(), Refused(Damaged, SEGMENTS[2])),
    ("swapped segments", closed, |sim| sim.swap_at_rest(SEGMENTS[0], SEGMENTS[1]).unwrap(), Refused(Damaged, SEGMENTS[0])),
    ("a duplicated segment", closed, |sim| sim.copy_at_rest(SEGMENTS[0], "0000000009.seg").unwrap(), Stranger(7)),
    ("a duplicated segment and one bad slot", closed, |sim| { sim.copy_at_rest(SEGMENTS[0], "0000000009.seg").unwrap(); sim.flip("journal", 8232, 1).unwrap(); }, Refused(Damaged, "0000000009.seg")),
    ("a segment nobody knows with a damaged header", closed, |sim| { sim.copy_at_rest(SEGMENTS[0], "0000000009.seg").unwrap(); sim.flip("0000000009.seg", 60, 1).unwrap(); }, Refused(Damaged, "0000000009.seg")),
    ("a foreign segment", closed, |sim| {
        let other = closed();
        sim.overwrite(SEGMENTS[1], 0, &other.bytes(SEGMENTS[1]).unwrap()).unwrap();
    }, Refused(Damaged, SEGMENTS[1])),
    ("a stale last segment", closed, |sim| sim.overwrite(SEGMENTS[2], FRAMES, &[0; 4096]).unwrap(), Refused(Damaged, SEGMENTS[2])),
    ("a stale sealed segment", crashed, |sim| sim.overwrite(SEGMENTS[1], ROLL_SEAL - 2100, &[0; 2200]).unwrap(), Refused(Damaged, SEGMENTS[1])),
    ("a leftover prepared segment", closed, |sim| put(sim, "0000000007.seg", &[0; 16384]), Clean(7)),

    ("a missing root", closed, |sim| sim.remove_at_rest("journal").unwrap(), Refused(Damaged, "journal")),
    ("an emptied root", closed, |sim| sim.truncate("journal", 0).unwrap(), Refused(Damaged, "journal")),
    ("one bad copy of the identity", closed, |sim| sim.flip("journal", 40, 1).unwrap(), Flawed(7)),
    ("the other copy of the identity", closed, |sim| sim.flip("journal", 4096 + 40, 1).unwrap(), Flawed(7)),
    ("two bad copies of the identity", closed, |sim| { sim.flip("journal", 40, 1).unwrap(); sim.flip("journal", 4136, 1).unwrap(); }, Refused(Damaged, "journal")),
    ("one bad slot", closed, |sim| sim.flip("journal", 8192 + 40, 1).unwrap(), Flawed(7)),
    ("the other slot", closed, |sim| sim.flip("journal", 12288 + 40, 1).unwrap(), Flawed(7)),
    ("two bad slots", closed, |sim| { sim.flip("journal", 8232, 1).unwrap(); sim.flip("journal", 12328, 1).unwrap(); }, Refused(Damaged, "journal")),
    ("a root cut short", closed, |sim| sim.truncate("journal", 5000).unwrap(), Refused(Damaged, "journal")),

    ("a root of a newer version", closed, |sim| { newer(sim, "journal", 0, 8); newer(sim, "journal", 1, 8); }, Refused(NewerFormat, "journal")),
    ("a root that requires more", closed, |sim| { newer(sim, "journal", 0, 16); newer(sim, "journal", 1, 16); }, Refused(NewerFormat, "journal")),
    ("a segment of a newer version", closed, |sim| newer(sim, SEGMENTS[1], 0, 8), Refused(NewerFormat, SEGMENTS[1])),
    ("a minor version more", closed, |sim| newer(sim, "journal", 0, 10), Clean(7)),
    ("an optional feature more", closed, |sim| newer(sim, "journal", 0, 24), Clean(7)),

    ("a creation that only made the first segment", half_created, |sim| sim.remove_at_rest("journal").unwrap(), Created),
    ("a creation with an empty root", half_created, |sim| sim.truncate("journal", 0).unwrap(), Created),
    ("a creation with half a root", half_created, |sim| sim.overwrite("journal", 0, &[0; 8192]).unwrap(), Created),
    ("a creation without its end", half_created, |_| {}, Whole(0)),
    ("a created journal whose segment is gone", half_created, |sim| sim.remove_at_rest(SEGMENTS[0]).unwrap(), Refused(Damaged, SEGMENTS[0])),
];

fn half_created() -> Sim {
    let sim = Sim::new(1);
    let shim = Shim::new(sim.clone(), Lie::None);
    let journal = open_on(shim.clone()).expect("opens");
    shim.die();
    drop(journal);
    at_rest(&sim)
}

#[test]
fn every_case_has_its_one_answer() {
    for (name, make, damage, answer) in CASES {
        let sim = make();
        damage(&sim);
        let hash = sim.image_hash();
        match (open(&sim), answer) {
            (Err(error), Refused(word, file)) => {
                let kind = match word {
                    Damaged => ErrorKind::Damaged,
                    NotAJournal => ErrorKind::NotAJournal,
                    NewerFormat => ErrorKind::NewerFormat,
                };
                assert_eq!(
                    (error.kind(), error.file().unwrap_or_default()),
                    (&kind, *file),
                    "{name}: {error}"
                );
                assert!(error.next().is_some(), "{name}: says what to do next: {error}");
                assert_eq!(sim.image_hash(), hash, "{name}: a refusal changed something");
            }
            (Err(error), _) => panic!("{name}: {error}, not {answer:?}"),
            (Ok(journal), answer) => accepted(&journal, &sim, name, *answer),
        }
    }
    println!("{} cases", CASES.len());
}

fn accepted(journal: &Journal, sim: &Sim, name: &str, answer: Answer) {
    let report = journal.report();
    let found = payloads(journal).expect("reads");
    assert!(
        found.iter().zip(1..).all(|(payload, number)| payload.iter().all(|byte| *byte == number)),
        "{name}"
    );
    let facts = (report.created, report.clean, report.cut.is_some(), found.len());
    match answer {
        Clean(count) => assert_eq!(facts, (false, true, false, count), "{name}: {report}"),
        Whole(count) => assert_eq!(facts, (false, false, false, count), "{name}: {report}"),
        Cut(count) => {
            assert_eq!(facts, (false, false, true, count), "{name}: {report}");
            let kept_in = report.cut.as_ref().and_then(|cut| cut.kept_in.clone()).expect("kept");
            let kept = sim.bytes(&kept_in).expect("the quarantine has it");
            assert_eq!(kept.len() as u64, report.cut.as_ref().map_or(0, |cut| cut.bytes), "{name}");
        }
        Created => assert_eq!((report.created, found.len()), (true, 0), "{name}: {report}"),
        Flawed(count) | Stranger(count) => {
            assert_eq!((report.flaws.len(), found.len()), (1, count), "{name}: {report}");
            assert!(report.cut.is_none(), "{name}: {report}");
        }
        Refused(..) => panic!("{name}: opened with {report}, not {answer:?}"),
    }
    journal.append([found.len() as u8 + 1; 1000]).expect("goes on");
    journal.close().expect("closes");
    let again = open(&at_rest(sim)).expect("opens again");
    let flaws_left = usize::from(matches!(answer, Stranger(_)));
    assert!(again.report().clean && again.report().flaws.len() == flaws_left, "{name}: {}", again.report());
    assert_eq!(payloads(&again).expect("reads").len(), found.len() + 1, "{name}");
}

#[test]
fn a_cut_is_kept_aside_once_however_often_recovery_is_crashed() {
    let torn = window();
    spoil(&torn, SEGMENTS[0], 5);
    let whole = torn.kill();
    let expected = open(&whole).expect("opens").report().cut.clone().expect("cut").kept_in.expect("kept");
    let content = whole.bytes(&expected).expect("there");
    for step in 1..=whole.steps() {
        let cut = torn.kill();
        cut.power_cut_at(step);
        drop(open(&cut));
        for (label, image) in cut.crash_images(20, step) {
            drop(open(&image).expect("opens"));
            // Once recovery is through, the close that follows may be torn and cut in turn, elsewhere.
            let of_this_cut = |name: &str| name.starts_with("quarantine/0000000001");
            let kept: Vec<_> = image.files().into_iter().filter(|file| of_this_cut(&file.0)).collect();
            assert_eq!(kept.len(), 1, "step {step}, {label}: {kept:?}");
            assert!(image.bytes(&expected).as_ref() == Some(&content), "step {step}, {label}");
        }
    }
}

#[test]
fn the_tables_answers_hold_for_readers_too() {
    for (name, make, damage, answer) in CASES {
        let sim = make();
        damage(&sim);
        let (hash, steps) = (sim.image_hash(), sim.steps());
        let opened = options().read_only().background(Background::Inline).open_on(Arc::new(sim.clone()));
        match (opened, answer) {
            (Err(error), Created) => assert_eq!(error.kind(), &ErrorKind::Missing, "{name}: {error}"),
            (Err(_), Refused(..)) => {}
            (Err(error), answer) => panic!("{name}: {error}, not {answer:?}"),
            (Ok(_), Refused(..) | Created) => panic!("{name}: a reader may look, not {answer:?}"),
            (Ok(journal), Clean(count) | Whole(count) | Cut(count) | Flawed(count) | Stranger(count)) => {
                let shown = payloads(&journal).expect("reads").len() as u64;
                assert_eq!(shown + journal.report().unproven, *count as u64, "{name}: {}", journal.report());
            }
        }
        assert_eq!((sim.image_hash(), sim.steps()), (hash, steps), "{name}: a reader changed something");
    }
}
