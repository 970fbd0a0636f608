//! Runs whose checksums are right and whose numbers are not: decoders answer, and take no memory for promises (J13).

use crate::snapshot::block::{BLOCK_HEADER_BYTES, Identity, check_block, pair_at, push_pair, seal_block};
use crate::snapshot::index::{Footer, INDEX_HEADER_BYTES, push_place, read_index, seal_index};
use crate::snapshot::tests::{BOTH, JOURNAL, medium, some_pairs, write_run};
use crate::snapshot::{Run, RunInfo};

const IDENTITY: Identity = Identity { journal_id: JOURNAL, run: 7 };
const HUGE: [u64; 5] = [u64::MAX, u64::MAX - 63, 1 << 40, u32::MAX as u64, 1 << 20];

#[test]
fn forged_numbers_in_the_footer_are_refused() {
    let (test, medium) = medium();
    let info = write_run(&medium, 7, 60, &some_pairs(12));
    let name = "0000000000000007.run";
    let good = test.bytes(name);
    let at = good.len() - 64;
    for field in [0, 8, 16, 24, 32] {
        for huge in HUGE.into_iter().chain([0, 1, 63, 64]) {
            let mut bad = good.clone();
            bad[at + field..at + field + 8].copy_from_slice(&huge.to_le_bytes());
            let checksum = IDENTITY.checksum(at as u64, &bad[at..at + 56], &[]);
            bad[at + 56..at + 60].copy_from_slice(&checksum.to_le_bytes());
            test.set(name, &bad);
            let footer = Footer::decode(&bad[at..], IDENTITY, at as u64).expect("forging works");
            // The list may be forged to agree with the file.
            for info in [info, RunInfo { bytes: info.bytes, ..footer.info }, footer.info] {
                for reading in BOTH {
                    let run = Run::open(&*medium, &info, JOURNAL, reading);
                    let unchanged = bad == good;
                    let verified = run.and_then(|run| run.verify());
                    assert_eq!(verified.is_ok(), unchanged, "field {field}, {huge}");
                }
            }
        }
    }
}

#[test]
fn forged_entries_of_the_index_are_refused() {
    let mut good = vec![0; INDEX_HEADER_BYTES];
    push_place(&mut good, 64, 100, 1, b"a");
    push_place(&mut good, 164, 50, 2, b"b");
    let read = |index: &mut Vec<u8>| {
        seal_index(index, IDENTITY, 214);
        read_index(index, IDENTITY, 64, 214)
    };
    assert_eq!(read(&mut good.clone()).expect("whole").len(), 2);
    for at in INDEX_HEADER_BYTES..good.len() {
        for huge in HUGE {
            let mut bad = good.clone();
            let end = bad.len().min(at + 8);
            bad[at..end].copy_from_slice(&huge.to_le_bytes()[..end - at]);
            // Keys and checksums may hold anything; what is taken must still be in the file.
            if let Ok(places) = read(&mut bad) {
                assert!(places.iter().all(|place| place.offset + u64::from(place.bytes) <= 214));
            }
        }
        let cut = read(&mut good[..at].to_vec());
        assert!(cut.is_err(), "cut at {at}");
    }
    for keys in [[b"b", b"a"], [b"a", b"a"]] {
        let mut bad = vec![0; INDEX_HEADER_BYTES];
        push_place(&mut bad, 64, 100, 1, keys[0]);
        push_place(&mut bad, 164, 50, 2, keys[1]);
        assert!(read(&mut bad).is_err());
    }
}

#[test]
fn forged_blocks_are_refused() {
    type Pairs = [(&'static [u8], &'static [u8])];
    let seal = |pairs: &Pairs, count: u32| {
        let mut block = vec![0; BLOCK_HEADER_BYTES];
        pairs.iter().for_each(|(key, value)| push_pair(&mut block, key, value));
        let checksum = seal_block(&mut block, IDENTITY, 64, count);
        (block, checksum)
    };
    let check =
        |(block, checksum): (Vec<u8>, u32)| check_block(&block, IDENTITY, 64, checksum, b"a", Some(b"c"));
    assert_eq!(check(seal(&[(b"a", b"1"), (b"b", b"2")], 2)), Ok(2));
    let bad: [(&Pairs, u32); 7] = [
        (&[(b"a", b"1"), (b"b", b"2")], 3),
        (&[(b"a", b"1"), (b"a", b"2")], 2),
        (&[(b"b", b"1")], 1),
        (&[(b"a", b"1"), (b"c", b"2")], 2),
        (&[(b"a", b"1"), (b"A", b"2")], 2),
        (&[], 0),
        (&[], u32::MAX),
    ];
    for (pairs, count) in bad {
        assert!(check(seal(pairs, count)).is_err(), "{pairs:?} {count}");
    }
    let (mut block, _) = seal(&[(b"a", b"1")], 1);
    block[12] = 1;
    let checksum = seal_block(&mut block, IDENTITY, 64, 1);
    assert_eq!(check((block, checksum)), Err("block is compressed in an unknown way"));
}

#[test]
fn forged_lengths_of_pairs_are_refused() {
    let mut body = Vec::new();
    push_pair(&mut body, b"key", b"value");
    for field in [0, 4] {
        for huge in [u32::MAX, 1 << 31, (1 << 24) + 1, 1 << 24, 20, 10] {
            let mut bad = body.clone();
            bad[field..field + 4].copy_from_slice(&huge.to_le_bytes());
            assert!(pair_at(&bad, 0).is_err(), "{field} {huge}");
        }
    }
    for at in 1..body.len() {
        assert!(pair_at(&body[..at], 0).is_err());
    }
    assert!(pair_at(&body, usize::MAX).is_err());
}
