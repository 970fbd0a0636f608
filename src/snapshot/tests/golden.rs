//! The bytes of version 1, kept for ever.

use crate::snapshot::tests::{JOURNAL, Pairs, medium, open, position, some_list, write_run};
use crate::snapshot::{Reading, RunInfo, list};

const RUN: &[u8] = include_bytes!("../../../tests/golden/run-v1.bin");
const LIST: &[u8] = include_bytes!("../../../tests/golden/snapshot-v1.bin");

fn pairs() -> Pairs {
    [("", "empty key"), ("a", ""), ("accounts/7", "100"), ("accounts/8", "250"), ("b\n", "\u{1f4d6}")]
        .map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .to_vec()
}

/// The two files as this version writes them.
fn written() -> (Vec<u8>, Vec<u8>, RunInfo) {
    let (test, medium) = medium();
    let info = write_run(&medium, 0xfeed, 40, &pairs());
    list::write(&*medium, &some_list(position(3, 42), vec![info])).expect("write");
    (test.bytes("000000000000feed.run"), test.bytes("00000000000000000042-0000000003.snap"), info)
}

/// With `EVERLOG_WRITE_GOLDEN=1` in the environment the files of a new version are written instead.
#[test]
#[allow(clippy::disallowed_methods, reason = "fixtures are files of the repository, not of a journal")]
fn files_are_written_as_version_1_was() {
    let (run, list, _) = written();
    if std::env::var_os("EVERLOG_WRITE_GOLDEN").is_some() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
        std::fs::write(format!("{folder}/run-v1.bin"), run).expect("write");
        std::fs::write(format!("{folder}/snapshot-v1.bin"), list).expect("write");
        return;
    }
    assert!(run == RUN, "the bytes of a run have changed");
    assert!(list == LIST, "the bytes of a list have changed");
}

#[test]
fn files_of_version_1_are_read() {
    let (test, medium) = medium();
    test.set("000000000000feed.run", RUN);
    test.set("00000000000000000042-0000000003.snap", LIST);
    let list = list::read(&*medium, position(3, 42)).expect("list");
    assert_eq!(list, some_list(position(3, 42), vec![written().2]));
    assert_eq!(list.journal_id, JOURNAL);
    list::verify(&*medium, &list).expect("verify");
    let run = open(&medium, &list.runs[0], Reading::Mapped);
    assert_eq!(run.iter().collect::<Result<Pairs, _>>().expect("pairs"), pairs());
}
