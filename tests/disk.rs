//! The real file system keeps the medium's promises: names, kinds of files, permissions, locks, maps.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by them, also in its helpers")]
#![allow(clippy::disallowed_methods, reason = "what the medium did is checked from outside it")]

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use everlog::ErrorKind;
use everlog::medium::{Access, Disk, Medium, Presence};

/// Set for the copy of this program that holds a lock until it is killed.
const HOLD: &str = "EVERLOG_TEST_HOLD";

fn scratch() -> (tempfile::TempDir, Disk) {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let disk = Disk::open(directory.path(), Presence::MustExist).expect("open");
    (directory, disk)
}

/// Runs `step` and fails if it hangs.
fn in_time<T: Send + 'static>(step: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(step()));
    receiver.recv_timeout(Duration::from_secs(20)).expect("an answer instead of waiting for ever")
}

/// Opening `name` must be refused at once, for either access, with `words` in the message.
fn is_refused(directory: &Path, name: &str, words: &str) {
    for access in [Access::Read, Access::Write] {
        let (directory, owned) = (directory.to_owned(), name.to_owned());
        let outcome = in_time(move || {
            Disk::open(&directory, Presence::MustExist).expect("open").open(&owned, access).map(|_| ())
        });
        let error = outcome.expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name}, {access:?}: {error}");
        assert!(error.to_string().contains(words), "{name}, {access:?}: {error}");
    }
}

fn lock_is_taken(path: &Path) -> bool {
    let disk = Disk::open(path, Presence::MustExist).expect("open");
    match disk.lock() {
        Ok(_) => false,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => true,
        Err(error) => panic!("neither free nor taken: {error}"),
    }
}

fn names(disk: &dyn Medium) -> Vec<String> {
    let mut names = disk.names().expect("names");
    names.sort();
    names
}

#[test]
fn what_was_written_is_read_back_until_the_end_and_not_beyond() {
    let (_directory, disk) = scratch();
    let file = disk.create("0000000001.seg").expect("create");
    assert!(file.is_empty().expect("length"));
    assert_eq!(file.write_at(b"hello", 0).expect("write"), 5);
    assert_eq!(file.write_at(b"world", 7).expect("write past the end"), 5);
    file.sync().expect("sync");
    disk.sync_names().expect("sync names");
    file.drop_cache(0..u64::MAX);
    assert_eq!(file.len().expect("length"), 12);

    let file = disk.open("0000000001.seg", Access::Read).expect("open");
    let mut buffer = [7; 100];
    assert_eq!(file.read_at(&mut buffer, 0).expect("read"), 12);
    assert_eq!(&buffer[..13], b"hello\0\0world\x07");
    assert_eq!(file.read_at(&mut buffer, 9).expect("short read at the end"), 3);
    assert_eq!(file.read_at(&mut buffer, 12).expect("read at the end"), 0);
    assert_eq!(file.read_at(&mut buffer, 1 << 40).expect("read far behind the end"), 0);
    assert!(file.write_at(b"x", 0).is_err(), "opened for reading only");
}

#[test]
fn a_file_is_created_once_and_gone_when_removed() {
    let (_directory, disk) = scratch();
    assert_eq!(names(&disk), [""; 0]);
    disk.create("journal").expect("create");
    let again = disk.create("journal").expect_err("there is one");
    assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(names(&disk), ["journal"]);
    assert_eq!(names(&disk), ["journal"], "listing twice lists the same");
    disk.remove("journal").expect("remove");
    disk.sync_names().expect("sync names");
    assert_eq!(names(&disk), [""; 0]);
    for outcome in [disk.remove("journal"), disk.open("journal", Access::Read).map(|_| ())] {
        assert_eq!(outcome.expect_err("gone").kind(), io::ErrorKind::NotFound);
    }
}

#[test]
fn names_that_lead_elsewhere_are_refused_by_every_call() {
    let (directory, _) = scratch();
    fs::create_dir(directory.path().join("inner")).expect("directory");
    fs::write(directory.path().join("outside"), "kept").expect("file");
    let disk = Disk::open(&directory.path().join("inner"), Presence::MustExist).expect("open");
    let absolute = directory.path().join("outside").display().to_string();
    let long = "x".repeat(300);
    let bad = [
        "",
        ".",
        "..",
        "../outside",
        "a/b",
        "a\\b",
        "..\\outside",
        "c:x",
        "x:stream",
        "nul\0",
        ".x",
        "x.",
        "x ",
        "é",
        &long,
        &absolute,
    ];
    for name in bad {
        let outcomes = [
            disk.open(name, Access::Read).map(|_| ()),
            disk.open(name, Access::Write).map(|_| ()),
            disk.create(name).map(|_| ()),
            disk.remove(name),
            disk.child(name, Presence::CreateMissing).map(|_| ()),
        ];
        for outcome in outcomes {
            assert_eq!(outcome.expect_err("refused").kind(), io::ErrorKind::InvalidInput, "{name:?}");
        }
    }
    assert_eq!(names(&disk), [""; 0]);
    assert_eq!(fs::read(directory.path().join("outside")).expect("read"), b"kept");
}

#[test]
fn a_directory_in_place_of_a_file_is_refused() {
    let (directory, _disk) = scratch();
    fs::create_dir(directory.path().join("journal")).expect("directory");
    is_refused(directory.path(), "journal", "is a directory");
}

#[test]
fn missing_parents_are_created_when_asked_for_and_only_then() {
    let (directory, _) = scratch();
    let path = directory.path().join("a/b/c");
    let error = Disk::open(&path, Presence::MustExist).expect_err("missing");
    assert_eq!(error.kind(), &ErrorKind::Missing);
    assert_eq!(error.next(), Some("check the path, or mount the disk"));
    assert!(!directory.path().join("a").exists(), "nothing was created");

    let disk = Disk::open(&path, Presence::CreateMissing).expect("create");
    assert!(disk.created());
    assert_eq!(names(&disk), [""; 0]);
    assert!(!Disk::open(&path, Presence::CreateMissing).expect("open").created());
    assert!(!Disk::open(&path, Presence::MustExist).expect("open").created());
    assert!(Disk::open(&path.join("d"), Presence::CreateMissing).expect("create").created());
}

#[test]
fn a_file_is_not_taken_for_a_journal() {
    let (directory, _) = scratch();
    let file = directory.path().join("file");
    fs::write(&file, "text").expect("file");
    for path in [file.clone(), file.join("below")] {
        for presence in [Presence::MustExist, Presence::CreateMissing] {
            let error = Disk::open(&path, presence).expect_err("refused");
            let below_is_missing = cfg!(windows) && presence == Presence::MustExist && path != file;
            let kind = if below_is_missing { ErrorKind::Missing } else { ErrorKind::NotAJournal };
            assert_eq!(error.kind(), &kind, "{path:?}, {presence:?}: {error}");
        }
    }
    assert_eq!(
        Disk::open(Path::new(""), Presence::CreateMissing).expect_err("empty").kind(),
        &ErrorKind::Input
    );
}

#[test]
fn a_child_directory_is_a_medium_of_its_own() {
    let (directory, disk) = scratch();
    let missing = disk.child("quarantine", Presence::MustExist).expect_err("missing");
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    let child = disk.child("quarantine", Presence::CreateMissing).expect("create");
    child.create("x.cut").expect("create").write_at(b"cut", 0).expect("write");
    child.sync_names().expect("sync names");
    let again = disk.child("quarantine", Presence::CreateMissing).expect("open");
    assert_eq!(names(&*again), ["x.cut"]);
    assert_eq!(fs::read(directory.path().join("quarantine/x.cut")).expect("read"), b"cut");

    disk.create("journal").expect("create");
    let error = disk.child("journal", Presence::CreateMissing).expect_err("a file");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
}

#[test]
fn a_map_shows_the_bytes_also_after_the_file_was_removed() {
    let (_directory, disk) = scratch();
    let bytes: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
    let file = disk.create("0000000000000001.run").expect("create");
    assert!(file.map().is_none(), "an empty file is not mapped");
    assert_eq!(file.write_at(&bytes, 0).expect("write"), bytes.len());
    file.sync().expect("sync");
    let map = disk.open("0000000000000001.run", Access::Read).expect("open").map();
    assert_eq!(map.is_some(), cfg!(target_pointer_width = "64"));
    let Some(map) = map else { return };
    drop(file);
    assert!(map.as_ref() == bytes);
    // Windows may refuse to remove what is mapped; that must not harm the map either.
    let removed = disk.remove("0000000000000001.run");
    assert!(removed.is_ok() || cfg!(windows), "{removed:?}");
    assert!(map.as_ref() == bytes);
}

#[test]
fn a_second_lock_is_refused_at_once_and_granted_after_the_first() {
    let (directory, disk) = scratch();
    let lock = disk.lock().expect("lock");
    assert!(lock.still_ours());
    assert_eq!(disk.lock().expect_err("same handle").kind(), io::ErrorKind::WouldBlock);
    assert!(lock_is_taken(directory.path()), "another handle");
    drop(disk);
    assert!(lock_is_taken(directory.path()), "the lock does not need the handle it came from");
    drop(lock);
    assert!(!lock_is_taken(directory.path()));
}

#[test]
fn a_lock_outlives_all_files_in_the_directory() {
    let (directory, disk) = scratch();
    disk.create("journal").expect("create");
    let lock = disk.lock().expect("lock");
    for entry in fs::read_dir(directory.path()).expect("list") {
        // On Windows the file that is locked cannot be removed.
        let removed = fs::remove_file(entry.expect("entry").path());
        assert!(removed.is_ok() || cfg!(windows), "{removed:?}");
    }
    assert!(lock_is_taken(directory.path()));
    assert!(lock.still_ours());
}

#[test]
fn a_lock_ends_with_the_process_that_held_it() {
    if let Some(path) = std::env::var_os(HOLD) {
        let disk = Disk::open(&PathBuf::from(path), Presence::MustExist).expect("open");
        let _lock = disk.lock().expect("lock");
        println!("\nheld");
        thread::sleep(Duration::from_secs(60));
        return;
    }
    let (directory, _disk) = scratch();
    let mut holder = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "a_lock_ends_with_the_process_that_held_it", "--nocapture"])
        .env(HOLD, directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start the holder");
    let output = BufReader::new(holder.stdout.take().expect("its output"));
    let held = output.lines().any(|line| line.expect("text").trim() == "held");
    assert!(held, "the holder has the lock");
    assert!(lock_is_taken(directory.path()));
    holder.kill().expect("kill");
    holder.wait().expect("wait");
    assert!(!lock_is_taken(directory.path()));
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    fn mode(path: PathBuf) -> u32 {
        fs::metadata(path).expect("metadata").permissions().mode() & 0o777
    }

    #[test]
    fn links_pipes_and_sockets_are_refused_without_hanging() {
        let (directory, disk) = scratch();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("target"), "kept").expect("file");
        symlink(at("target"), at("link")).expect("link");
        symlink(at("nowhere"), at("dangling")).expect("link");
        symlink(directory.path(), at("around")).expect("link");
        let made = Command::new("mkfifo").arg(at("pipe")).status().expect("mkfifo");
        assert!(made.success());
        let _listener = UnixListener::bind(at("socket")).expect("socket");

        is_refused(directory.path(), "link", "is a symbolic link");
        is_refused(directory.path(), "dangling", "is a symbolic link");
        is_refused(directory.path(), "pipe", "is a pipe");
        is_refused(directory.path(), "socket", "is a socket");
        let create = disk.create("dangling").expect_err("a link is there");
        assert_eq!(create.kind(), io::ErrorKind::AlreadyExists);
        assert!(!at("nowhere").exists());
        for name in ["around", "pipe"] {
            let child = disk.child(name, Presence::CreateMissing).expect_err("not a directory");
            assert_eq!(child.kind(), io::ErrorKind::InvalidInput, "{name}: {child}");
        }
        let pipe = at("pipe");
        let error = in_time(move || Disk::open(&pipe, Presence::CreateMissing).map(|_| ()));
        assert_eq!(error.expect_err("a pipe").kind(), &ErrorKind::NotAJournal);
        assert_eq!(fs::read(at("target")).expect("read"), b"kept");
    }

    #[test]
    fn a_link_to_the_directory_itself_is_followed() {
        let (directory, _disk) = scratch();
        fs::create_dir(directory.path().join("real")).expect("directory");
        symlink("real", directory.path().join("link")).expect("link");
        let disk = Disk::open(&directory.path().join("link"), Presence::CreateMissing).expect("open");
        disk.create("journal").expect("create");
        assert!(directory.path().join("real/journal").exists());
        assert!(disk.lock().expect("lock").still_ours());
        assert!(!lock_is_taken(&directory.path().join("real")), "given back");
    }

    #[test]
    fn only_the_owner_can_use_what_is_created() {
        let (directory, _) = scratch();
        let disk = Disk::open(&directory.path().join("a/b"), Presence::CreateMissing).expect("create");
        disk.create("journal").expect("create");
        disk.child("quarantine", Presence::CreateMissing).expect("create");
        let at = |name: &str| directory.path().join(name);
        for (name, wanted) in
            [("a", 0o700), ("a/b", 0o700), ("a/b/journal", 0o600), ("a/b/quarantine", 0o700)]
        {
            assert_eq!(mode(at(name)), wanted, "{name}");
        }
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_warned_of() {
        let (directory, disk) = scratch();
        let before = disk.caution().unwrap_or_default();
        assert!(!before.contains("other users"), "{before}");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o770)).expect("chmod");
        assert!(disk.caution().expect("a warning").contains("other users can write"));
    }

    #[test]
    fn a_lock_tells_when_its_directory_was_moved_or_replaced() {
        let (directory, _) = scratch();
        let (path, away) = (directory.path().join("here"), directory.path().join("away"));
        let disk = Disk::open(&path, Presence::CreateMissing).expect("create");
        let lock = disk.lock().expect("lock");
        assert!(lock.still_ours());
        fs::rename(&path, &away).expect("move");
        assert!(!lock.still_ours(), "moved");
        fs::create_dir(&path).expect("replace");
        assert!(!lock.still_ours(), "replaced");
        disk.create("journal").expect("the open directory stays the same");
        assert!(away.join("journal").exists() && !path.join("journal").exists());
        fs::remove_dir(&path).expect("remove");
        fs::rename(&away, &path).expect("move back");
        assert!(lock.still_ours());
    }

    #[test]
    fn an_open_file_stays_the_same_when_another_takes_its_name() {
        let (directory, disk) = scratch();
        let path = directory.path().join("journal");
        disk.create("journal").expect("create").write_at(b"first", 0).expect("write");
        let first = disk.open("journal", Access::Write).expect("open");
        fs::write(directory.path().join("other"), "second").expect("file");
        fs::rename(directory.path().join("other"), &path).expect("replace");
        let mut buffer = [0; 10];
        assert_eq!(first.read_at(&mut buffer, 0).expect("read"), 5);
        assert_eq!(first.write_at(b"FIRST", 0).expect("write"), 5);
        assert_eq!(fs::read(&path).expect("read"), b"second");
        let second = disk.open("journal", Access::Read).expect("open");
        assert_eq!(second.len().expect("length"), 6);
    }

    #[test]
    fn a_directory_without_rights_is_denied() {
        if rustix::process::geteuid().is_root() {
            eprintln!("NOT CHECKED: rights do not bind root; run this test as another user");
            return;
        }
        let (directory, disk) = scratch();
        disk.create("journal").expect("create");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o500)).expect("chmod");
        for outcome in [disk.create("x").map(|_| ()), disk.remove("journal")] {
            assert_eq!(outcome.expect_err("refused").kind(), io::ErrorKind::PermissionDenied);
        }
        let below = Disk::open(&directory.path().join("below"), Presence::CreateMissing);
        assert_eq!(below.expect_err("refused").kind(), &ErrorKind::Denied);
        let reader = Disk::open(directory.path(), Presence::MustExist).expect("open for reading");
        reader.open("journal", Access::Read).expect("read");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o000)).expect("chmod");
        let closed = Disk::open(directory.path(), Presence::MustExist);
        assert_eq!(closed.expect_err("refused").kind(), &ErrorKind::Denied);
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).expect("chmod");
    }
}
