//! What goes into a run comes out of it, and nothing else goes in.

use std::io::{Read, Write};

use crate::error::ErrorKind;
use crate::snapshot::tests::{BOTH, JOURNAL, Pairs, medium, open, some_pairs, write_run};
use crate::snapshot::{KEY_BYTES_MAX, Reading, RunWriter, StateWriter, VALUE_BYTES_MAX, read_state};

#[test]
fn thousands_of_pairs_survive_a_round_trip() {
    let (_, medium) = medium();
    let pairs = some_pairs(9000);
    let info = write_run(&medium, 7, 64 * 1024, &pairs);
    assert_eq!(info.entries, 9000);
    assert!(info.blocks > 5, "{info:?}");
    for reading in BOTH {
        let run = open(&medium, &info, reading);
        assert_eq!(run.iter().collect::<Result<Pairs, _>>().expect("pairs"), pairs);
        run.verify().expect("verify");
        for number in (0..9000).step_by(37) {
            let (key, value) = &pairs[number];
            assert_eq!(run.get(key).expect("get").as_ref(), Some(value));
            assert_eq!(run.get(&[key.as_slice(), b"x"].concat()).expect("get"), None);
        }
        assert_eq!(run.get(b"a").expect("get"), None);
        assert_eq!(run.get(b"z").expect("get"), None);
    }
}

#[test]
fn an_iterator_starts_at_any_key_there_or_not() {
    let (_, medium) = medium();
    let pairs = some_pairs(300);
    let info = write_run(&medium, 7, 200, &pairs);
    for reading in BOTH {
        let run = open(&medium, &info, reading);
        for number in 0..=601 {
            let from = format!("k{number:05}").into_bytes();
            let expected: Vec<_> = pairs.iter().filter(|(key, _)| *key >= from).take(3).cloned().collect();
            let found = run.iter_from(&from).take(3).collect::<Result<Pairs, _>>().expect("pairs");
            assert_eq!(found, expected, "from {number}");
        }
        assert_eq!(run.iter_from(b"").count(), 300);
    }
}

#[test]
fn an_iterator_goes_back_from_any_key_there_or_not() {
    let (_, medium) = medium();
    let pairs = some_pairs(300);
    let info = write_run(&medium, 7, 200, &pairs);
    let mut back = pairs.clone();
    back.reverse();
    for reading in BOTH {
        let run = open(&medium, &info, reading);
        assert_eq!(run.rev_below(None).collect::<Result<Pairs, _>>().expect("pairs"), back);
        for number in 0..=601 {
            let below = format!("k{number:05}").into_bytes();
            let expected: Vec<_> = back.iter().filter(|(key, _)| *key < below).take(9).cloned().collect();
            let found = run.rev_below(Some(&below)).take(9).collect::<Result<Pairs, _>>().expect("pairs");
            assert_eq!(found, expected, "below {number}");
        }
        assert_eq!(run.rev_below(Some(b"")).count(), 0);
        assert_eq!(run.rev_below(Some(b"z")).count(), 300);
    }
}

#[test]
fn an_empty_run_and_an_empty_key_are_fine() {
    let (_, medium) = medium();
    let info = write_run(&medium, 1, 64, &Vec::new());
    let run = open(&medium, &info, Reading::Mapped);
    assert_eq!((run.iter().count(), run.get(b"").expect("get")), (0, None));
    assert_eq!(run.rev_below(None).count(), 0);
    run.verify().expect("verify");

    let info = write_run(&medium, 2, 64, &vec![(Vec::new(), Vec::new()), (vec![0], vec![1])]);
    let run = open(&medium, &info, Reading::Mapped);
    assert_eq!(run.get(b"").expect("get"), Some(Vec::new()));
    assert_eq!(run.iter().count(), 2);
}

#[test]
fn keys_that_do_not_ascend_are_refused_and_change_nothing() {
    let (_, medium) = medium();
    let mut writer = RunWriter::create(&medium, 1, JOURNAL).expect("create");
    writer.push(b"b", b"1").expect("push");
    for key in [b"b".as_slice(), b"a", b""] {
        assert_eq!(writer.push(key, b"2").expect_err("order").kind(), &ErrorKind::Input);
    }
    writer.push(b"ba", b"3").expect("push");
    let info = writer.finish().expect("finish");
    assert_eq!(open(&medium, &info, Reading::Read).iter().count(), 2);
}

#[test]
fn limits_of_key_and_value_are_exact() {
    let (_, medium) = medium();
    let (key, value) = (vec![7; KEY_BYTES_MAX + 1], vec![8; VALUE_BYTES_MAX + 1]);
    let mut writer = RunWriter::create(&medium, 1, JOURNAL).expect("create");
    let too_large = |actual: usize| ErrorKind::TooLarge { actual: actual as u64, max: actual as u64 - 1 };
    assert_eq!(writer.push(&key, b"").expect_err("key").kind(), &too_large(key.len()));
    assert_eq!(writer.push(b"", &value).expect_err("value").kind(), &too_large(value.len()));
    let (key, value) = (&key[1..], &value[1..]);
    writer.push(b"", b"small").expect("push");
    writer.push(key, value).expect("push");
    let info = writer.finish().expect("finish");
    assert_eq!(info.blocks, 2);
    let run = open(&medium, &info, Reading::Read);
    assert_eq!(run.get(key).expect("get").as_deref(), Some(value));
}

#[test]
fn a_long_run_is_synced_early_and_at_its_end() {
    let (test, medium) = medium();
    let pairs: Pairs = (0..20u8).map(|number| (vec![number], vec![number; 1 << 20])).collect();
    write_run(&medium, 1, 64 * 1024, &pairs);
    let syncs = test.calls().iter().filter(|call| *call == "sync 0000000000000001.run").count();
    assert_eq!(syncs, 3);
}

#[test]
fn a_failed_sync_is_final_and_the_file_goes() {
    let (test, medium) = medium();
    *test.syncs_max.lock() = Some(0);
    let mut writer = RunWriter::create(&medium, 1, JOURNAL).expect("create");
    let value = vec![0; 9 << 20];
    let first = writer.push(b"a", &value).and_then(|()| writer.push(b"b", b"")).expect_err("sync");
    assert_eq!(first.kind(), &ErrorKind::Io);
    *test.syncs_max.lock() = None;
    assert_eq!(writer.push(b"c", b"").expect_err("final").to_string(), first.to_string());
    assert_eq!(writer.finish().expect_err("final").to_string(), first.to_string());
    assert_eq!(medium.names().expect("names").len(), 0);
}

#[test]
fn a_run_is_never_written_over() {
    let (_, medium) = medium();
    let info = write_run(&medium, 1, 64, &some_pairs(3));
    assert!(RunWriter::create(&medium, 1, JOURNAL).is_err());
    open(&medium, &info, Reading::Read).verify().expect("untouched");
}

#[test]
fn an_opaque_state_survives_a_round_trip_at_every_chunk_boundary() {
    let (_, medium) = medium();
    for (id, bytes) in [0usize, 1, 65535, 65536, 65537, 131072, 300_001].into_iter().enumerate() {
        let state: Vec<u8> = (0..bytes).map(|at| (at / 7) as u8).collect();
        let mut writer = StateWriter::create(&medium, id as u64, JOURNAL).expect("create");
        state.chunks(1000).for_each(|part| writer.write_all(part).expect("write"));
        let info = writer.finish().expect("finish");
        assert_eq!(info.entries, bytes.div_ceil(65536) as u64);
        let mut reader = read_state(&open(&medium, &info, Reading::Mapped));
        let mut back = Vec::new();
        reader.read_to_end(&mut back).expect("read");
        assert!(back == state, "{bytes} bytes");
    }
}

#[test]
fn a_state_of_misplaced_chunks_is_damaged() {
    let (_, medium) = medium();
    let chunk = |number: u32, bytes: usize| (number.to_be_bytes().to_vec(), vec![1; bytes]);
    let bad = [
        vec![chunk(1, 5)],
        vec![chunk(0, 65536), chunk(2, 5)],
        vec![chunk(0, 65535), chunk(1, 5)],
        vec![chunk(0, 0)],
        vec![chunk(0, 65537)],
    ];
    for (id, pairs) in bad.into_iter().enumerate() {
        let info = write_run(&medium, id as u64, 64, &pairs);
        let mut reader = read_state(&open(&medium, &info, Reading::Read));
        reader.read_to_end(&mut Vec::new()).expect_err("damaged");
        assert_eq!(reader.error().expect("typed").kind(), &ErrorKind::Damaged);
        reader.read_to_end(&mut Vec::new()).expect_err("still damaged");
    }
}
