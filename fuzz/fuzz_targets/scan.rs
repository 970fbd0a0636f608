// Property: whatever bytes a segment holds beside a valid root, opening (for reading, in spite of damage, for writing)
// neither panics nor hangs nor takes memory out of proportion; reading changes nothing; and what an opening for writing
// kept is there, the same, after each later opening.
#![no_main]

use std::sync::Arc;

use everlog::fuzzing::{self, Birth, Root};
use everlog::journal::{Background, Damaged, Options, Record};
use everlog::medium::sim::Crash;
use everlog::medium::{Medium, Sim};
use everlog::{ErrorKind, Journal};
use libfuzzer_sys::fuzz_target;

const SALT: u64 = 0x0123_4567_89ab_cdef;
const CAPACITY: u64 = 32 * 1024;
const ID: [u8; 16] = *b"journal of tests";
const FIRST: &str = "0000000001.seg";

fuzz_target!(|input: &[u8]| {
    let [control, link_bytes, seal_bytes, rest @ ..] = input else { return };
    let (link, rest) = rest.split_at(usize::from(*link_bytes).min(rest.len()));
    let (seal, frames) = rest.split_at(usize::from(*seal_bytes).min(rest.len()));
    let sim = device(*control, link, seal, frames);
    let before = sim.image_hash();
    for options in [options().read_only(), options().damaged(Damaged::ReadOnly)] {
        if let Ok(journal) = options.open_on(Arc::new(sim.clone())) {
            // Damage above the base is met while reading, if opening was told to go on.
            journal.records().expect("a cursor").for_each(drop);
        }
    }
    assert_eq!(sim.steps(), 0);
    assert_eq!(sim.image_hash(), before);
    let Ok(journal) = options().open_on(Arc::new(sim.clone())) else { return };
    let kept = records(&journal);
    drop(journal);
    for sim in [sim.crash(Crash::LoseAll), sim.kill()] {
        let journal = options().open_on(Arc::new(sim.clone())).expect("it opened before");
        assert_eq!(records(&journal), kept);
        match journal.append(b"more") {
            Ok(_) => assert_eq!(records(&journal).len(), kept.len() + 1),
            // Numbers and time may be at their ends; then nothing more is accepted, and nothing is lost.
            Err(error) => assert_ne!(error.kind(), &ErrorKind::Damaged, "{error}"),
        }
    }
});

fn options() -> Options {
    Options::new().background(Background::Inline).segment_bytes(16 * 1024, 16 * 1024)
}

fn records(journal: &Journal) -> Vec<Record> {
    journal.records().expect("a cursor").map(|record| record.expect("checked by the opening")).collect()
}

/// A journal whose first segment holds the given bytes in its three regions. Bits of `control`: 1 repair the checksums,
/// 2 the root says it was closed cleanly, 4 a second segment stands beside it, 8 the first is cut short.
fn device(control: u8, link: &[u8], seal: &[u8], frames: &[u8]) -> Sim {
    let birth = Birth { journal_id: ID, number: 1, salt: SALT, capacity: CAPACITY };
    let block = fuzzing::write_birth(&birth);
    let previous = u32::from_le_bytes([block[4092], block[4093], block[4094], block[4095]]);
    let mut segment = block;
    segment.resize(CAPACITY as usize, 0);
    put(&mut segment[4096..8192], link);
    put(&mut segment[8192..CAPACITY as usize - 4096], frames);
    put(&mut segment[CAPACITY as usize - 4096..], seal);
    let mut end = 8192;
    if control & 1 == 1 {
        if !link.is_empty() {
            fuzzing::repair_frame(&mut segment[4096..8192], SALT, 4096);
        }
        if !seal.is_empty() {
            fuzzing::repair_frame(&mut segment[CAPACITY as usize - 4096..], SALT, CAPACITY - 4096);
        }
        end = fuzzing::repair_frames(&mut segment[8192..CAPACITY as usize - 4096], SALT, 8192, previous);
    }
    if control & 8 != 0 {
        segment.truncate(8192 + frames.len());
    }
    let mut newest = 1;
    let sim = Sim::new(u64::from(control));
    if control & 4 != 0 {
        let second = Birth { number: 2, salt: SALT + 1, ..birth };
        let mut bytes = fuzzing::write_birth(&second);
        bytes.resize(CAPACITY as usize, 0);
        file(&sim, "0000000002.seg", &bytes);
        newest = 2;
    }
    let root = Root {
        journal_id: ID,
        face: 0,
        codec: 0,
        aligned: false,
        created: 0,
        segment_bytes: (16 * 1024, 16 * 1024),
        frame_bytes_max: 1 << 20,
        type_name: String::new(),
        sequence: 7,
        epoch: 1,
        floor: 0,
        horizon: (0, 0, 0),
        first_segment: (1, SALT),
        newest_segment: newest,
        clean: if control & 2 == 0 { (0, 0) } else { (1, end) },
    };
    file(&sim, FIRST, &segment);
    file(&sim, "journal", &fuzzing::write_root(&root).expect("encodes"));
    sim.sync_names().expect("no fault is scripted");
    sim.crash(Crash::LoseAll)
}

fn put(region: &mut [u8], bytes: &[u8]) {
    let count = bytes.len().min(region.len());
    region[..count].copy_from_slice(&bytes[..count]);
}

fn file(sim: &Sim, name: &str, bytes: &[u8]) {
    let file = sim.create(name).expect("no fault is scripted");
    let mut done = 0;
    while done < bytes.len() {
        done += file.write_at(&bytes[done..], done as u64).expect("no fault is scripted");
    }
    file.sync().expect("no fault is scripted");
}
