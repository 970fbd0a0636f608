//! `everlog pin`, `snapshot` and `compact`: history goes only where it may.

#![cfg(feature = "cli")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by them, also in its helpers")]
#![allow(clippy::disallowed_methods, reason = "files are prepared and damaged from outside")]

mod command_kit;

use command_kit::{code, journal, json, long_journal, out, run_at, segments};

#[test]
fn pins_are_set_listed_and_removed() {
    let (_home, directory) = journal(5);
    assert_eq!(code(&run_at(&directory, "pin", &["before", "3", "--note", "the migration"])), 0);
    let pins = json(&run_at(&directory, "pin", &["--json"]));
    assert_eq!(pins[0]["pin"], "before");
    assert_eq!((&pins[0]["position"], &pins[0]["note"]), (&"1:3".into(), &"the migration".into()));
    assert_eq!(code(&run_at(&directory, "pin", &["before", "99"])), 4, "no such record");
    assert_eq!(code(&run_at(&directory, "pin", &["before", "--remove"])), 0);
    assert_eq!(code(&run_at(&directory, "pin", &["before", "--remove"])), 4, "removed already");
    assert_eq!(json(&run_at(&directory, "pin", &["--json"])).len(), 0);
}

#[test]
fn snapshot_and_compact_shorten_the_history_and_verify_agrees() {
    let (_home, directory) = long_journal(3000);
    assert_eq!(code(&run_at(&directory, "snapshot", &[])), 0);
    let foreseen = json(&run_at(&directory, "compact", &["--keep-bytes", "64KiB", "--dry-run", "--json"]));
    assert!(foreseen[0]["segments_removed"].as_u64().unwrap() > 0);
    let before = segments(&directory).len();
    let done = json(&run_at(&directory, "compact", &["--keep-bytes", "64KiB", "--json"]));
    assert!(done[0]["segments_removed"].as_u64().unwrap() > 0, "{done:?}");
    assert!(segments(&directory).len() < before);
    let output = run_at(&directory, "verify", &[]);
    assert_eq!(code(&output), 0, "{}", out(&output));
    assert_eq!(code(&run_at(&directory, "log", &["--from", "1"])), 4, "before the horizon");
    assert_eq!(code(&run_at(&directory, "compact", &[])), 2, "how much to keep must be said");
}
