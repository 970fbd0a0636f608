//! A list is durable after its runs, reads back, and goes before them (J9).

use crate::error::ErrorKind;
use crate::snapshot::list;
use crate::snapshot::tests::{medium, position, some_list, some_pairs, write_run};

const LIST: &str = "00000000000000000042-0000000003.snap";

#[test]
fn a_list_survives_a_round_trip_and_its_runs_are_verified() {
    let (test, medium) = medium();
    let runs = vec![write_run(&medium, 7, 150, &some_pairs(12)), write_run(&medium, 9, 150, &some_pairs(40))];
    let written = some_list(position(3, 42), runs);
    list::write(&*medium, &written).expect("write");
    assert_eq!(list::read(&*medium, position(3, 42)).expect("read"), written);
    list::verify(&*medium, &written).expect("verify");

    let mut bad = test.bytes("0000000000000009.run");
    bad[300] ^= 1;
    test.set("0000000000000009.run", &bad);
    let error = list::verify(&*medium, &written).expect_err("damaged run");
    assert_eq!((error.kind(), error.file()), (&ErrorKind::Damaged, Some("0000000000000009.run")));
}

#[test]
fn names_of_runs_are_durable_before_the_list_is_there() {
    let (test, medium) = medium();
    let info = write_run(&medium, 7, 150, &some_pairs(12));
    list::write(&*medium, &some_list(position(3, 42), vec![info])).expect("write");
    let list_calls = ["sync names", &format!("create {LIST}"), &format!("sync {LIST}"), "sync names"];
    let run_calls = ["create 0000000000000007.run", "sync 0000000000000007.run"];
    assert_eq!(test.calls(), [&run_calls[..], &list_calls].concat());
}

#[test]
fn a_damaged_leftover_is_replaced_and_a_valid_one_is_not() {
    let (test, medium) = medium();
    let written = some_list(position(3, 42), Vec::new());
    test.set(LIST, b"EVLGSNP\n torn");
    list::write(&*medium, &written).expect("write");
    let again = list::write(&*medium, &written).expect_err("there is one");
    assert_eq!(again.kind(), &ErrorKind::Conflict);
    assert_eq!(list::read(&*medium, position(3, 42)).expect("untouched"), written);
}

#[test]
fn a_list_whose_sync_failed_does_not_stay() {
    let (test, medium) = medium();
    *test.syncs_max.lock() = Some(0);
    let error = list::write(&*medium, &some_list(position(3, 42), Vec::new())).expect_err("sync");
    assert_eq!(error.kind(), &ErrorKind::Io);
    let absent = list::read(&*medium, position(3, 42)).expect_err("gone");
    assert_eq!(absent.kind(), &ErrorKind::Absent);
}

#[test]
fn a_list_over_its_limit_is_refused_before_anything_is_written() {
    let (test, medium) = medium();
    let mut long = some_list(position(3, 42), Vec::new());
    let rest = test.bytes(LIST).len();
    assert_eq!(rest, 0);
    long.summary = vec![0; list::BODY_BYTES_MAX];
    let error = list::write(&*medium, &long).expect_err("limit");
    assert!(matches!(error.kind(), ErrorKind::TooLarge { .. }), "{error}");
    assert!(test.calls().is_empty());
    // 44 fixed bytes, three lengths, and the name: the longest list that fits is read back.
    long.summary = vec![0; list::BODY_BYTES_MAX - 44 - 3 * 8 - long.type_name.len()];
    list::write(&*medium, &long).expect("just fits");
}

#[test]
fn lists_come_newest_first_and_foreign_names_are_left_alone() {
    let (test, medium) = medium();
    for position in [position(1, 5), position(2, 5), position(1, 100), position(3, 42)] {
        list::write(&*medium, &some_list(position, Vec::new())).expect("write");
    }
    test.set("notes.snap", b"");
    let found = list::positions(&*medium).expect("positions");
    assert_eq!(found, [position(1, 100), position(3, 42), position(2, 5), position(1, 5)]);
}

#[test]
fn runs_are_unlisted_only_when_every_list_is_known() {
    let (test, medium) = medium();
    let infos: Vec<_> = (1..=4).map(|id| write_run(&medium, id, 150, &some_pairs(3))).collect();
    let first = some_list(position(1, 10), vec![infos[0], infos[1]]);
    let second = some_list(position(1, 20), vec![infos[1], infos[2]]);
    list::write(&*medium, &first).expect("write");
    list::write(&*medium, &second).expect("write");
    let both = [first, second];
    assert_eq!(list::unlisted_runs(&*medium, &both).expect("runs"), [4]);
    let error = list::unlisted_runs(&*medium, &both[1..]).expect_err("one list is not known");
    assert_eq!(error.kind(), &ErrorKind::Conflict);

    list::remove(&*medium, position(1, 10)).expect("remove");
    list::remove(&*medium, position(1, 10)).expect("remove again");
    assert_eq!(test.calls().last().map(String::as_str), Some("sync names"));
    assert_eq!(list::unlisted_runs(&*medium, &both[1..]).expect("runs"), [1, 4]);
}
