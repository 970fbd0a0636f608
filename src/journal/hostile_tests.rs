//! Journals with checksums that hold and a history that does not: refused by name, or their prefix kept, never guessed.

#![allow(clippy::expect_used, reason = "this is a test")]

use std::sync::Arc;

use super::forge::{Sheet, events, header, journal, open, options, put, slot};
use crate::error::ErrorKind;
use crate::journal::Damaged;
use crate::journal::root::Slot;
use crate::medium::{Medium, Presence, Sim, name};
use crate::position::{Epoch, Lsn};
use crate::segment::frame::{FrameHeader, FrameKind};
use crate::segment::record::RecordKind;
use crate::segment::{FRAMES_OFFSET, LINK_OFFSET};

type Case = (&'static str, Slot, Vec<Sheet>, u64);

/// A name for what is wrong, the root's slot, the segments, and the segment to be named.
fn refused() -> Vec<Case> {
    let one = || Sheet::new(1).event(1, 1).event(1, 2);
    let two = || Sheet::new(2).event(1, 3);
    let end = one().at;
    let sum = one().previous;
    let floor = |newest, lsn| slot(newest).raised(Epoch::new(1), Lsn::new(lsn));
    let beyond = |end| crate::segment::slot::Junction { end, ..one().junction() };
    let mut torn = one().event(1, 3);
    torn.bytes[end as usize + 60] ^= 1;
    let vouched = torn.clone().bare(FrameKind::Mark, 1, 3, 3);
    let sealed = torn.bare(FrameKind::Seal, 1, 3, 0);
    vec![
        ("records after the base are missing", slot(1), vec![Sheet::new(1).event(1, 5)], 1),
        ("does not continue the history's numbers", slot(2), vec![one().rolled(2), two().event(1, 4)], 0),
        (
            "does not continue the history's numbers",
            slot(2),
            vec![one().rolled(2), Sheet::new(2).event(1, 9)],
            2,
        ),
        ("goes on in another epoch", slot(1), vec![one().begun(1, 3).event(2, 4)], 1),
        ("own record does not decode", slot(1), vec![one().record(RecordKind::Pin, 1, 3, b"?")], 1),
        ("own record does not decode", slot(1), vec![one().record(RecordKind::Unpin, 1, 3, b"?")], 1),
        ("own record does not decode", slot(1), vec![one().record(RecordKind::Rollback, 1, 3, b"?")], 1),
        ("own record does not decode", slot(1), vec![one().record(RecordKind::Clock, 1, 3, b"?")], 1),
        ("own record has bytes left over", slot(1), vec![one().record(RecordKind::Clock, 1, 3, &[0; 17])], 1),
        ("segments form a circle", slot(2), vec![one().rolled(2), two().rolled(1)], 1),
        ("segments form a circle", slot(1), vec![one().rolled(1)], 1),
        (
            "two links of the same epoch",
            slot(1),
            vec![one(), two().linked(2, one().junction()), Sheet::new(3).linked(2, one().junction())],
            3,
        ),
        ("segment is missing", slot(2), vec![one()], 2),
        ("segment is missing", slot(2), vec![one().rolled(3), two()], 3),
        ("nothing leads to this segment", slot(2), vec![one(), two()], 2),
        (
            "nothing leads to this segment",
            slot(2).raised(Epoch::new(3), Lsn::ZERO),
            vec![one(), two(), Sheet::new(3).linked(3, one().junction())],
            2,
        ),
        ("frames end too early", slot(2), vec![one().rolled_at(2, end + 64, sum), two()], 1),
        ("frames end too early", slot(2), vec![one().rolled_at(2, end, sum + 1), two()], 1),
        ("frames end too early", slot(2), vec![one(), two().linked(2, beyond(end + 64))], 1),
        (
            "frames end too early",
            slot(2),
            vec![one(), two().linked(2, crate::segment::slot::Junction { sum: sum + 1, ..one().junction() })],
            1,
        ),
        ("frame passes the end", slot(2), vec![one(), two().linked(2, beyond(end - 8))], 1),
        ("frame does not continue the numbers", floor(1, 3), vec![one().event(1, 9)], 1),
        ("frame is of an older epoch", floor(1, 3), vec![Sheet::new(1).event(2, 1).event(1, 2)], 1),
        ("records that were durable are gone", floor(1, 3), vec![one()], 1),
        ("frames before the seal of a clean close", slot(1).closed_at(1, end + 64), vec![one()], 1),
        ("a frame before a seal does not check", slot(1), vec![sealed], 1),
        ("a later frame vouches for records", slot(1), vec![vouched], 1),
    ]
}

#[test]
fn a_history_that_does_not_hold_together_is_refused_by_name_and_left_alone() {
    for (what, slot, sheets, number) in refused() {
        if number == 0 {
            let sim = journal(slot, &sheets);
            assert_eq!(events(&open(&sim).expect(what)), [1, 2, 3, 4], "the healthy counterpart");
            continue;
        }
        let sim = journal(slot, &sheets);
        let hash = sim.image_hash();
        let error = open(&sim).expect_err(what);
        assert_eq!(error.kind(), &ErrorKind::Damaged, "{what}: {error}");
        assert!(error.what().contains(what), "{what}: {error}");
        assert_eq!(error.file(), Some(name::segment(number).as_str()), "{what}: {error}");
        assert!(error.offset().is_some(), "{what}: {error}");
        assert!(error.next().is_some(), "{what}: says what to do next: {error}");
        let reader = options().read_only().open_on(Arc::new(sim.clone())).expect_err(what);
        assert_eq!(reader.what(), error.what(), "{what}");
        let looked = options().damaged(Damaged::ReadOnly).open_on(Arc::new(sim.clone()));
        // Without a start there is no prefix to show.
        assert_eq!(looked.is_err(), what.contains("circle") || what.contains("base"), "{what}: {looked:?}");
        if let Ok(prefix) = looked {
            assert!([&[1, 2][..], &[1, 2, 3], &[1]].contains(&&events(&prefix)[..]), "{what}");
            assert_eq!(prefix.report().damage.as_ref().map(|error| error.what()), Some(error.what()));
        }
        assert_eq!(sim.image_hash(), hash, "{what}: a refusal changed something");
    }
}

#[test]
fn the_error_names_the_frame_that_does_not_fit() {
    let begun = Sheet::new(1).event(1, 1).begun(1, 2);
    let error = open(&journal(slot(1), &[begun.clone().event(2, 3)])).expect_err("another epoch");
    assert_eq!((error.offset(), error.lsn()), (Some(begun.at), Some(Lsn::new(3))), "{error}");
    let one = Sheet::new(1).event(1, 1);
    let error =
        open(&journal(slot(2), &[one.clone().rolled(2), Sheet::new(2).event(1, 5)])).expect_err("gap");
    assert_eq!((error.offset(), error.lsn()), (Some(FRAMES_OFFSET), Some(Lsn::new(2))), "{error}");
    let error = open(&journal(slot(1), &[one.clone().record(RecordKind::Pin, 1, 2, b"?")])).expect_err("pin");
    assert_eq!((error.offset(), error.lsn()), (Some(one.at), Some(Lsn::new(2))), "{error}");
}

#[test]
fn a_newer_format_anywhere_is_named_and_left_alone() {
    let one = || Sheet::new(1).event(1, 1);
    let second = one().at;
    let roll_seal = 3 * 4096;
    let cases = [
        vec![one().event(1, 2).newer_at(second)],
        vec![one().newer_at(FRAMES_OFFSET)],
        vec![one().rolled(2).newer_at(roll_seal)],
        vec![one(), Sheet::new(2).linked(2, one().junction()).newer_at(LINK_OFFSET)],
        vec![one().rolled(2), Sheet::new(2).event(1, 2).newer_at(FRAMES_OFFSET)],
    ];
    for (index, sheets) in cases.into_iter().enumerate() {
        let sim = journal(slot(1), &sheets);
        let hash = sim.image_hash();
        let error = open(&sim).expect_err("newer");
        assert_eq!(error.kind(), &ErrorKind::NewerFormat, "{index}: {error}");
        assert_eq!(error.file(), Some(name::segment(sheets.len() as u64).as_str()), "{index}: {error}");
        let looked = options().damaged(Damaged::ReadOnly).open_on(Arc::new(sim.clone()));
        assert_eq!(looked.expect_err("newer").kind(), &ErrorKind::NewerFormat, "{index}");
        assert_eq!(sim.image_hash(), hash, "{index}");
    }
}

#[test]
fn a_device_that_does_not_answer_is_not_taken_for_damage() {
    let one = Sheet::new(1).event(1, 1).event(1, 2).rolled(2);
    let three = Sheet::new(3).linked(2, Sheet::new(2).event(1, 3).junction()).event(2, 4);
    let sheets = [one, Sheet::new(2).event(1, 3).event(1, 4), three];
    let make = || journal(slot(2), &sheets);
    let sim = make();
    let looking = || options().damaged(Damaged::ReadOnly);
    let before = sim.reads();
    assert!(looking().open_on(Arc::new(sim.clone())).expect("opens").report().damage.is_none());
    let reads = sim.reads() - before;
    assert!(reads > 10, "{reads}");
    for read in 1..=reads {
        let sim = make();
        sim.fail_read(sim.reads() + read, std::io::ErrorKind::TimedOut);
        let error = looking().open_on(Arc::new(sim.clone())).expect_err("unreadable");
        assert_eq!(error.kind(), &ErrorKind::Io, "read {read}: {error}");
        sim.clear_faults();
        assert_eq!(events(&open(&sim).expect("opens")), [1, 2, 3, 4], "read {read}");
    }
}

#[test]
fn the_newest_link_wins_in_whatever_order_the_files_come() {
    let short = Sheet::new(1).event(1, 1);
    let long = short.clone().event(1, 2);
    for (newer, older) in [(2, 3), (3, 2)] {
        let winner = Sheet::new(newer).linked(3, short.junction()).event(3, 2).event(3, 3).event(3, 4);
        let loser = Sheet::new(older).linked(2, long.junction()).event(2, 3);
        for newest in [1, older, newer] {
            let sim = journal(slot(newest), &[long.clone(), winner.clone(), loser.clone()]);
            let journal = open(&sim).expect("opens");
            assert_eq!(events(&journal), [1, 2, 3, 4]);
            assert_eq!(journal.position().epoch, Epoch::new(3));
            journal.append([5; 20]).expect("appends");
            assert_eq!(journal.position().epoch, Epoch::new(4), "after every epoch that was used");
            assert!(sim.bytes(&name::segment(older)).is_none(), "the superseded branch is swept");
        }
    }
}

#[test]
fn when_the_epochs_or_the_numbers_are_used_up_nothing_is_changed() {
    let one = Sheet::new(1).event(1, 1);
    let sealed = one.clone().bare(FrameKind::Seal, 1, 1, 1);
    let last = slot(1).raised(Epoch::new(u32::MAX), Lsn::new(1));
    for slot in [last, last.closed_at(1, sealed.at)] {
        let sim = journal(slot, std::slice::from_ref(&sealed));
        let hash = sim.image_hash();
        let error = open(&sim).expect_err("no epoch is left");
        assert_eq!(error.kind(), &ErrorKind::Unsupported);
        assert!(error.what().contains("epochs"), "{error}");
        assert_eq!(sim.image_hash(), hash);
    }
    let sim = journal(slot(1), &[one]);
    put(&sim, &name::segment(u64::MAX), &[]);
    let error = open(&sim).expect_err("no number is left");
    assert_eq!(error.kind(), &ErrorKind::Unsupported);
    assert!(error.what().contains("numbers"), "{error}");
    sim.remove_at_rest(&name::segment(u64::MAX)).expect("removes");
    assert_eq!(events(&open(&sim).expect("opens")), [1]);
}

/// What the quarantine holds.
fn quarantined(sim: &Sim) -> Vec<(String, Vec<u8>)> {
    let mut names = sim.child("quarantine", Presence::MustExist).expect("there").names().expect("lists");
    names.sort();
    let content = |name: &String| sim.bytes(&format!("quarantine/{name}")).expect("there");
    names.iter().map(|name| (name.clone(), content(name))).collect()
}

#[test]
fn every_part_of_an_unfinished_transaction_is_kept_aside() {
    let one = Sheet::new(1).event(1, 1);
    let marked = one.clone().bare(FrameKind::Mark, 1, 1, 1);
    let across = [one.clone().begun(1, 2).rolled(2), Sheet::new(2).begun(1, 3)];
    let behind = [one.clone().rolled(2), Sheet::new(2).begun(1, 2).begun(1, 3)];
    let behind_mark = [marked.rolled(2), Sheet::new(2).begun(1, 2).begun(1, 3)];
    for sheets in [across, behind, behind_mark] {
        let sim = journal(slot(2), &sheets);
        let journal = open(&sim).expect("opens");
        assert_eq!(events(&journal), [1]);
        let cut = journal.report().cut.clone().expect("cut");
        assert_eq!(cut.what, "unfinished transaction");
        assert_eq!((cut.unfinished_records, cut.lsn), (2, Lsn::new(2)));
        let kept = quarantined(&sim);
        for record in [[2; 20], [3; 20]] {
            let holds = |bytes: &[u8]| bytes.windows(20).any(|window| window == record);
            assert!(kept.iter().any(|(_, bytes)| holds(bytes)), "{record:?} of {cut:?}");
        }
        assert_eq!(kept.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>(), cut.bytes, "{cut:?}");
        let first = cut.kept_in.expect("kept");
        assert!(kept.iter().any(|(name, _)| first.ends_with(name)), "{first}");
        let start = &sheets[(cut.file == name::segment(2)) as usize].bytes[cut.offset as usize..];
        assert!(sim.bytes(&first).is_some_and(|bytes| start.starts_with(&bytes)));
        journal.append([2; 20]).expect("appends");
        journal.close().expect("closes");
        assert_eq!(events(&open(&sim).expect("opens")), [1, 2]);
    }
}

#[test]
fn only_a_file_of_zeros_counts_as_never_used() {
    const MIB: usize = 1024 * 1024;
    let one = Sheet::new(1).event(1, 1);
    let mut header_only = Sheet::new(3).bytes;
    header_only.truncate(4096);
    let mut used_late = vec![0; 3 * MIB];
    used_late[2 * MIB + 5000] = 1;
    for (bytes, unused) in
        [(vec![0; 3 * MIB], true), (header_only, true), (vec![0; 10], true), (used_late, false)]
    {
        let sim = journal(slot(1), std::slice::from_ref(&one));
        put(&sim, &name::segment(3), &bytes);
        match open(&sim) {
            Ok(journal) => {
                assert!(unused, "{} bytes", bytes.len());
                assert_eq!(events(&journal), [1]);
                assert!(sim.bytes(&name::segment(3)).is_none_or(|now| now.len() != bytes.len()), "swept");
            }
            Err(error) => {
                assert!(!unused, "{error}");
                assert_eq!((error.kind(), error.file()), (&ErrorKind::Damaged, Some("0000000003.seg")));
            }
        }
    }
    let mut short = Sheet::new(2).event(1, 2);
    short.bytes.truncate(4096);
    let error = open(&journal(slot(2), &[one.rolled(2), short])).expect_err("it was in use");
    assert!(error.what().contains("missing"), "{error}");
}

#[test]
fn a_frame_of_an_empty_transaction_or_a_bare_frame_with_a_body_is_a_hole() {
    let one = || Sheet::new(1).event(1, 1);
    for bad in [
        one().frame(header(FrameKind::Data, 1, 2), &[]),
        one().frame(header(FrameKind::Mark, 1, 2), b"body"),
        one().frame(header(FrameKind::Link, 1, 2), &[]),
        one().frame(FrameHeader { continues: true, ..header(FrameKind::Mark, 1, 2) }, &[]),
    ] {
        let sim = journal(slot(1), &[bad]);
        let journal = open(&sim).expect("a torn tail");
        assert_eq!(events(&journal), [1]);
        assert!(journal.report().cut.is_some());
    }
}

#[test]
fn lengths_in_the_root_are_not_believed() {
    let blocks = [(0, 48), (4096, 48), (8192, 32), (12288, 32)];
    for (pair, length) in [(0..2, u32::MAX), (0..2, 3), (2..4, 4057), (2..4, 200), (2..4, 0)] {
        let sim = journal(slot(1), &[Sheet::new(1).event(1, 1)]);
        for (start, at) in &blocks[pair] {
            let mut block = sim.bytes("journal").expect("there")[*start..*start + 4096].to_vec();
            block[*at..*at + 4].copy_from_slice(&u32::to_le_bytes(length));
            let sum = crc32fast::hash(&block[..4092]);
            block[4092..].copy_from_slice(&sum.to_le_bytes());
            sim.overwrite("journal", *start as u64, &block).expect("writes");
        }
        let hash = sim.image_hash();
        let error = open(&sim).expect_err("refused");
        assert_eq!((error.kind(), error.file()), (&ErrorKind::Damaged, Some("journal")), "{length}: {error}");
        assert_eq!(sim.image_hash(), hash);
    }
}

#[test]
fn a_chain_field_of_a_kept_frame_is_left_behind_with_its_segment() {
    let chained = Sheet::new(1).event(1, 1).chained(1, 2);
    let sim = journal(slot(1), &[chained]);
    let journal = open(&sim).expect("opens");
    assert_eq!(events(&journal), [1, 2]);
    journal.append([3; 20]).expect("appends");
    journal.close().expect("closes");
    assert_eq!(events(&open(&sim).expect("opens")), [1, 2, 3]);
}
