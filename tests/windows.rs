//! On Windows, files that other programs hold are waited for, but not for ever.

#![cfg(windows)]
#![allow(clippy::expect_used, reason = "a test fails by it, also in its helpers")]
#![allow(clippy::disallowed_methods, reason = "another program is played from outside the medium")]

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::windows::fs::{OpenOptionsExt, symlink_dir, symlink_file};
use std::path::Path;
use std::thread;
use std::time::Duration;

use everlog::clock::{Clock, SystemClock};
use everlog::medium::{Access, Disk, Medium, Presence};

const SHARING_VIOLATION: i32 = 32;

fn scratch() -> (tempfile::TempDir, Disk) {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let disk = Disk::open(directory.path(), Presence::MustExist).expect("open");
    (directory, disk)
}

/// Holds `path` the way a scanner does: shared with nobody.
fn hold(path: &Path) -> File {
    OpenOptions::new().read(true).share_mode(0).open(path).expect("hold the file")
}

/// Runs `step` while the file is held for 200 ms; it must succeed, and not before that.
fn succeeds_after_the_holder<T>(path: &Path, step: impl FnOnce() -> T) -> T {
    let held = hold(path);
    let clock = SystemClock::new();
    let holder = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        drop(held);
    });
    let outcome = step();
    let waited = clock.elapsed();
    holder.join().expect("the holder ends");
    assert!(waited >= Duration::from_millis(150), "it did wait: {waited:?}");
    outcome
}

#[test]
fn a_file_held_for_a_moment_is_opened_after_it() {
    let (directory, disk) = scratch();
    drop(disk.create("journal").expect("create"));
    let path = directory.path().join("journal");
    for access in [Access::Read, Access::Write] {
        succeeds_after_the_holder(&path, || disk.open("journal", access)).expect("open in the end");
    }
}

#[test]
fn a_file_held_for_a_moment_is_removed_after_it() {
    let (directory, disk) = scratch();
    drop(disk.create("journal").expect("create"));
    let path = directory.path().join("journal");
    succeeds_after_the_holder(&path, || disk.remove("journal")).expect("remove in the end");
    assert!(!path.exists());
}

#[test]
fn a_lock_file_held_for_a_moment_is_locked_after_it() {
    let (directory, disk) = scratch();
    drop(disk.lock().expect("lock"));
    let path = directory.path().join("lock");
    let lock = succeeds_after_the_holder(&path, || disk.lock()).expect("lock in the end");
    assert!(lock.still_ours());
}

#[test]
fn a_file_held_for_long_is_a_clear_error_in_bounded_time() {
    let (directory, disk) = scratch();
    drop(disk.create("journal").expect("create"));
    let held = hold(&directory.path().join("journal"));
    let clock = SystemClock::new();
    for outcome in [disk.open("journal", Access::Read).map(|_| ()), disk.remove("journal")] {
        let error = outcome.expect_err("still held");
        assert_eq!(error.raw_os_error(), Some(SHARING_VIOLATION), "{error}");
    }
    let waited = clock.elapsed();
    assert!(waited >= Duration::from_millis(900) && waited < Duration::from_secs(20), "{waited:?}");
    drop(held);
    disk.remove("journal").expect("nothing is left behind");
}

#[test]
fn a_locked_file_cannot_be_removed_nor_its_directory_moved() {
    let (directory, _) = scratch();
    let (path, away) = (directory.path().join("here"), directory.path().join("away"));
    let disk = Disk::open(&path, Presence::CreateMissing).expect("create");
    let lock = disk.lock().expect("lock");
    assert!(fs::remove_file(path.join("lock")).is_err(), "the lock file stays");
    assert!(fs::rename(path.join("lock"), path.join("other")).is_err(), "under its name");
    assert!(fs::rename(&path, &away).is_err(), "and its directory too");
    assert!(lock.still_ours());
    drop((lock, disk));
    fs::remove_file(path.join("lock")).expect("free again");
}

#[test]
fn an_open_file_can_be_removed_and_read_on() {
    let (_directory, disk) = scratch();
    let file = disk.create("0000000001.seg").expect("create");
    file.write_at(b"kept", 0).expect("write");
    disk.remove("0000000001.seg").expect("remove");
    let mut buffer = [0; 4];
    assert_eq!(file.read_at(&mut buffer, 0).expect("read"), 4);
    assert_eq!(&buffer, b"kept");
}

#[test]
fn links_are_refused() {
    let (directory, disk) = scratch();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("target"), "kept").expect("file");
    fs::create_dir(at("inner")).expect("directory");
    let made = symlink_file(at("target"), at("link")).and_then(|()| symlink_dir(at("inner"), at("around")));
    // Wine 8 says yes and makes nothing.
    let are_there = ["link", "around"].iter().all(|name| at(name).is_symlink());
    if made.is_err() || !are_there {
        eprintln!("NOT CHECKED: this user, or this Windows, cannot create links");
        return;
    }
    for outcome in [
        disk.open("link", Access::Write).map(|_| ()),
        disk.open("around", Access::Read).map(|_| ()),
        disk.child("around", Presence::CreateMissing).map(|_| ()),
    ] {
        assert_eq!(outcome.expect_err("refused").kind(), ErrorKind::InvalidInput);
    }
    assert_eq!(fs::read(at("target")).expect("read"), b"kept");
}
