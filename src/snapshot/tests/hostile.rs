//! No bytes in a file make a reader panic, or give an answer that was never written (J13).

use crate::error::{Error, ErrorKind, Result};
use crate::medium::Medium;
use crate::snapshot::tests::{
    BOTH, JOURNAL, Pairs, medium, open, position, some_list, some_pairs, write_run,
};
use crate::snapshot::{Reading, Run, RunInfo, SnapshotList, list};

const RUN: &str = "0000000000000007.run";
const LIST: &str = "00000000000000000042-0000000003.snap";

/// Reads a run in every way there is; what comes must be what was written.
fn read_all(medium: &dyn Medium, info: &RunInfo, reading: Reading, pairs: &Pairs) -> Result<()> {
    let run = Run::open(medium, info, JOURNAL, reading)?;
    let mut failure = None;
    for (key, value) in pairs {
        match run.get(key) {
            Ok(found) => assert_eq!(found.as_ref(), Some(value)),
            Err(error) => failure = Some(error),
        }
    }
    let mut iter = run.iter();
    let mut expected = pairs.iter();
    for pair in iter.by_ref() {
        match pair {
            Ok(pair) => assert_eq!(Some(&pair), expected.next()),
            Err(error) => failure = Some(error),
        }
    }
    assert!(iter.next().is_none(), "an iterator stays ended");
    assert!(failure.is_some() || expected.next().is_none(), "pairs were skipped");
    let mut expected = pairs.iter().rev();
    let mut is_whole = true;
    for pair in run.rev_below(None) {
        match pair {
            Ok(pair) => assert_eq!(Some(&pair), expected.next()),
            Err(_) => is_whole = false,
        }
    }
    assert_eq!(is_whole, failure.is_none(), "going back finds what going forward finds");
    assert!(!is_whole || expected.next().is_none(), "pairs were skipped going back");
    let verified = run.verify();
    assert_eq!(verified.is_err(), failure.is_some(), "verify finds what reading finds");
    failure.map_or(verified, Err)
}

fn assert_telling(error: &Error) {
    assert!(matches!(error.kind(), ErrorKind::Damaged | ErrorKind::NewerFormat), "{error}");
    assert!(error.file().is_some() && error.offset().is_some(), "{error}");
}

#[test]
fn every_flipped_bit_of_a_run_is_found() {
    let (test, medium) = medium();
    let pairs = some_pairs(12);
    let info = write_run(&medium, 7, 60, &pairs);
    assert!(info.blocks > 3);
    let good = test.bytes(RUN);
    for at in 0..good.len() {
        for mask in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
            let mut bad = good.clone();
            bad[at] ^= mask;
            test.set(RUN, &bad);
            for reading in BOTH {
                let error = read_all(&*medium, &info, reading, &pairs).expect_err("a flip is found");
                assert_telling(&error);
            }
        }
    }
    test.set(RUN, &good);
    BOTH.iter().for_each(|reading| read_all(&*medium, &info, *reading, &pairs).expect("whole"));
}

#[test]
fn a_run_cut_or_continued_at_any_length_is_found() {
    let (test, medium) = medium();
    let pairs = some_pairs(12);
    let info = write_run(&medium, 7, 150, &pairs);
    let good = test.bytes(RUN);
    let longer = [good.as_slice(), &good].concat();
    for bytes in (0..good.len()).chain(good.len() + 1..good.len() + 130) {
        test.set(RUN, &longer[..bytes]);
        for reading in BOTH {
            assert_telling(&read_all(&*medium, &info, reading, &pairs).expect_err("a cut is found"));
            let lying = RunInfo { bytes: bytes as u64, ..info };
            assert_telling(&read_all(&*medium, &lying, reading, &pairs).expect_err("also with that length"));
        }
    }
}

#[test]
fn damage_names_file_offset_and_keys_and_spares_the_other_blocks() {
    let (test, medium) = medium();
    let pairs = some_pairs(12);
    let info = write_run(&medium, 7, 150, &pairs);
    let mut bad = test.bytes(RUN);
    bad[64 + 30] ^= 1;
    test.set(RUN, &bad);
    let run = open(&medium, &info, Reading::Mapped);
    let error = run.get(b"k00002").expect_err("damaged");
    assert_eq!((error.file(), error.offset()), (Some(RUN), Some(64)));
    assert!(error.what().contains("from \"k00000\" to before \"k000"), "{error}");
    assert_eq!(run.get(b"k00022").expect("another block").as_ref(), Some(&pairs[11].1));
    assert!(run.iter_from(b"k00022").all(|pair| pair.is_ok()));
}

#[test]
fn a_run_under_another_id_or_journal_is_refused() {
    let (test, medium) = medium();
    let info = write_run(&medium, 7, 150, &some_pairs(12));
    let other = RunInfo { id: 8, ..info };
    let missing = Run::open(&*medium, &other, JOURNAL, Reading::Read).expect_err("missing");
    assert_eq!(missing.kind(), &ErrorKind::Damaged);
    test.set("0000000000000008.run", &test.bytes(RUN));
    assert_telling(&Run::open(&*medium, &other, JOURNAL, Reading::Read).expect_err("other id"));
    assert_telling(&Run::open(&*medium, &info, [9; 16], Reading::Read).expect_err("other journal"));
    for wrong in [
        RunInfo { entries: 11, ..info },
        RunInfo { blocks: 1, ..info },
        RunInfo { checksum: info.checksum ^ 1, ..info },
        RunInfo { bytes: u64::MAX, ..info },
    ] {
        assert_telling(&Run::open(&*medium, &wrong, JOURNAL, Reading::Read).expect_err("not the listed one"));
    }
}

/// Changes header bytes and gives the header its checksum again, as another writer would.
fn with_header(good: &[u8], at: usize, field: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    bytes[at..at + field.len()].copy_from_slice(field);
    let checksum = crc32fast::hash(&bytes[..60]);
    bytes[60..64].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

#[test]
fn newer_versions_and_required_bits_are_refused_by_name_and_optional_ones_are_not() {
    let (test, medium) = medium();
    let info = write_run(&medium, 7, 150, &some_pairs(12));
    list::write(&*medium, &some_list(position(3, 42), vec![info])).expect("write");
    let run = || Run::open(&*medium, &info, JOURNAL, Reading::Read).map(drop);
    let list = || list::read(&*medium, position(3, 42)).map(drop);
    let both: [(&str, &dyn Fn() -> Result<()>); 2] = [(RUN, &run), (LIST, &list)];
    for (name, read) in both {
        let good = test.bytes(name);
        test.set(name, &with_header(&good, 8, &2u16.to_le_bytes()));
        let newer = read().expect_err("version");
        assert_eq!(newer.kind(), &ErrorKind::NewerFormat);
        assert!(newer.what().contains("version 2"), "{newer}");
        test.set(name, &with_header(&good, 12, &(1u32 << 5).to_le_bytes()));
        let newer = read().expect_err("bit");
        assert_eq!(newer.kind(), &ErrorKind::NewerFormat);
        assert!(newer.what().contains("feature bit 5"), "{newer}");
        test.set(name, &with_header(&good, 16, &u32::MAX.to_le_bytes()));
        read().expect("unknown optional bits");
        test.set(name, &with_header(&good, 10, &9u16.to_le_bytes()));
        read().expect("later minor version");

        let three = [(0, "magic"), (30, "checksum")].map(|(at, word)| {
            let mut bad = good.clone();
            bad[at] ^= 1;
            test.set(name, &bad);
            read().expect_err("damaged").what().contains(word)
        });
        assert_eq!(three, [true, true]);
        test.set(name, &good);
    }
}

#[test]
fn every_flip_cut_and_tail_of_a_list_is_found() {
    let (test, medium) = medium();
    let info = write_run(&medium, 7, 150, &some_pairs(12));
    list::write(&*medium, &some_list(position(3, 42), vec![info, info])).expect("write");
    let good = test.bytes(LIST);
    let assert_found = |bad: &[u8]| {
        test.set(LIST, bad);
        assert_telling(&list::read(&*medium, position(3, 42)).expect_err("found"));
    };
    for at in 0..good.len() {
        assert_found(&good[..at]);
        for mask in 1..=255 {
            let mut bad = good.clone();
            bad[at] ^= mask;
            assert_found(&bad);
        }
    }
    assert_found(&[good.as_slice(), b"x"].concat());
    test.set("00000000000000000042-0000000004.snap", &good);
    assert_telling(&list::read(&*medium, position(4, 42)).expect_err("another name"));
}

/// A list whose checksums are right whatever its body says.
fn forged(body: &[u8]) -> Vec<u8> {
    let mut bytes = [&b"EVLGSNP\n"[..], &[1], &[0; 55], body].concat();
    bytes[40..44].copy_from_slice(&(body.len() as u32).to_le_bytes());
    let checksum = crc32fast::hash(&[LIST.as_bytes(), body].concat());
    bytes[44..48].copy_from_slice(&checksum.to_le_bytes());
    with_header(&bytes, 0, b"EVLGSNP\n")
}

#[test]
fn forged_lists_with_right_checksums_neither_panic_nor_take_memory() {
    let (test, medium) = medium();
    let info = write_run(&medium, 7, 150, &some_pairs(12));
    let written = some_list(position(3, 42), vec![info]);
    list::write(&*medium, &written).expect("write");
    let body = test.bytes(LIST)[64..].to_vec();
    assert_eq!(
        list::decode(LIST, &forged(&body)).map(|list| list.runs).expect("forging works"),
        written.runs
    );
    for at in 0..body.len() {
        for huge in [u64::MAX, 1 << 40, 1 << 31, 1 << 20] {
            let mut bad = body.clone();
            let end = body.len().min(at + 8);
            bad[at..end].copy_from_slice(&huge.to_le_bytes()[..end - at]);
            // Any answer is right as long as there is one.
            drop::<Result<SnapshotList>>(list::decode(LIST, &forged(&bad)));
        }
        drop::<Result<SnapshotList>>(list::decode(LIST, &forged(&body[..at])));
    }
}
