//! The real file system as a [`Medium`]: what is the same on every platform.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

#[cfg(unix)]
use crate::medium::disk_unix as platform;
#[cfg(windows)]
use crate::medium::disk_windows as platform;

use crate::error::{Error, ErrorKind, Result};
use crate::medium::{Access, Lock, Mapped, Medium, MediumFile, Presence, map};

#[cfg(not(any(unix, windows)))]
compile_error!("everlog knows how to make bytes durable on Unix and Windows only");

/// A directory of the real file system, opened once.
///
/// On Unix everything inside is reached through the open directory, so it stays the same directory when its path is
/// renamed or replaced. On Windows it is reached by its full path, and nobody can rename or remove the directory while
/// this value lives.
///
/// # Errors
///
/// Opening, creating and removing wait up to half a second in all for a shortage (file handles, memory) or for another
/// program (on Windows: a scanner or a backup that holds the file) before they report it. Interrupted calls are
/// continued, except a sync, whose failure is final.
#[derive(Debug)]
pub struct Disk {
    directory: platform::Directory,
    created: bool,
}

impl Disk {
    /// Opens the directory at `path`; with [`Presence::CreateMissing`] creates it and its missing parents first.
    ///
    /// Links in `path` are followed: where a journal lies is its user's choice. Links *inside* the directory are not.
    /// Created directories are for the owner only (mode 0700; on Windows as inherited).
    ///
    /// # Durability
    ///
    /// When this returns, the names of all created directories are synced: a power loss does not take them back. That
    /// includes those that an earlier call, killed halfway, had created.
    ///
    /// # Errors
    ///
    /// * [`ErrorKind::Missing`]: there is no such directory, and it was not to be created.
    /// * [`ErrorKind::NotAJournal`]: `path`, or a parent, is not a directory.
    /// * [`ErrorKind::Denied`], [`ErrorKind::ReadOnly`]: the system does not allow it.
    /// * [`ErrorKind::Input`]: `path` is empty or cannot be a path.
    /// * [`ErrorKind::Full`], [`ErrorKind::Io`]: any other refusal by the system.
    pub fn open(path: &Path, presence: Presence) -> Result<Disk> {
        // Absolute, so that it means the same after the process has changed its working directory.
        let path = &std::path::absolute(path).map_err(|error| explain("resolve", path, error))?;
        let created = match presence {
            Presence::MustExist => false,
            Presence::CreateMissing => create_missing(path)?,
        };
        let directory =
            patiently(|| platform::Directory::open(path)).map_err(|error| explain("open", path, error))?;
        if presence == Presence::CreateMissing && !created {
            let names = directory.names().map_err(|error| explain("list", path, error))?;
            if names.is_empty() {
                settle(path)?;
            }
        }
        Ok(Disk { directory, created })
    }

    /// Whether the directory was not there and was created when this value was opened.
    pub fn created(&self) -> bool {
        self.created
    }

    /// The path without links, the same for all ways to name this directory; as given where that cannot be found out.
    pub(crate) fn real_path(&self) -> PathBuf {
        let path = self.directory.path();
        path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
    }
}

impl Medium for Disk {
    fn label(&self) -> String {
        self.directory.path().display().to_string()
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.directory.names()
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn MediumFile>> {
        check(name)?;
        let file = patiently(|| self.directory.open_file(name, access))?;
        Ok(Arc::new(DiskFile { file }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn MediumFile>> {
        check(name)?;
        let file = patiently(|| self.directory.create_file(name))?;
        Ok(Arc::new(DiskFile { file }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        check(name)?;
        patiently(|| self.directory.remove_file(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        self.directory.sync_names()
    }

    fn child(&self, name: &str, presence: Presence) -> io::Result<Arc<dyn Medium>> {
        check(name)?;
        let mut created = false;
        let directory = match patiently(|| self.directory.open_child(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && presence == Presence::CreateMissing => {
                created = made(patiently(|| self.directory.create_child(name)))?;
                patiently(|| self.directory.open_child(name))?
            }
            other => other?,
        };
        Ok(Arc::new(Disk { directory, created }))
    }

    fn caution(&self) -> Option<String> {
        self.directory.caution()
    }

    fn lock(&self) -> io::Result<Box<dyn Lock>> {
        Ok(Box::new(self.directory.lock()?))
    }
}

/// One open file of a [`Disk`].
#[derive(Debug)]
struct DiskFile {
    file: File,
}

impl MediumFile for DiskFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        uninterrupted(|| platform::read_at(&self.file, buffer, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        uninterrupted(|| platform::write_at(&self.file, bytes, offset))
    }

    fn sync(&self) -> io::Result<()> {
        platform::sync_data(&self.file)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(uninterrupted(|| self.file.metadata())?.len())
    }

    fn drop_cache(&self, bytes: Range<u64>) {
        platform::drop_cache(&self.file, bytes);
    }

    fn map(&self) -> Option<Mapped> {
        map::map(&self.file)
    }
}

/// Creates `path` and what is missing above it, from the top, each name synced before the next is created. Returns
/// whether `path` itself was created.
fn create_missing(path: &Path) -> Result<bool> {
    let mut missing = Vec::new();
    let mut there = path;
    loop {
        match patiently(|| there.metadata()) {
            Ok(found) if found.is_dir() => break,
            Ok(_) => return Err(not_a_directory(there)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                missing.push(there);
                there = there.parent().ok_or_else(|| explain("open", path, error))?;
            }
            Err(error) => return Err(explain("stat", there, error)),
        }
    }
    if !missing.is_empty() {
        settle(there)?;
    }
    let mut created = false;
    for directory in missing.into_iter().rev() {
        created = made(patiently(|| platform::create_directory(directory)))
            .map_err(|error| explain("create directory", directory, error))?;
        if let Some(parent) = directory.parent() {
            platform::sync_directory(parent).map_err(|error| explain("sync directory", parent, error))?;
        }
    }
    Ok(created)
}

/// Makes the name of a directory durable that was there before: perhaps an earlier call was killed between creating and
/// syncing it, and a later power loss would take it away with all that is in it.
fn settle(path: &Path) -> Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    match platform::sync_directory(parent) {
        Ok(()) => Ok(()),
        // A parent that we may not read, or whose file system has no such sync, is not one we created things in: that
        // would have failed. Common above home directories and mount points.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied
                    | io::ErrorKind::ReadOnlyFilesystem
                    | io::ErrorKind::InvalidInput
                    | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        Err(error) => Err(explain("sync directory", parent, error)),
    }
}

/// Whether a directory was created by this call; that it is there already is fine.
fn made(outcome: io::Result<()>) -> io::Result<bool> {
    match outcome {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Refuses what this crate would not use as a name, whatever the platform makes of it: separators, drives and streams,
/// dots in front or at the end, names longer than any file system takes.
fn check(name: &str) -> io::Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let good = (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(plain)
        && !name.starts_with('.')
        && !name.ends_with('.');
    if good {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} is not a name of a journal's file")))
}

fn not_a_directory(path: &Path) -> Error {
    Error::new(ErrorKind::NotAJournal, "not a directory").in_file(path.display().to_string())
}

fn explain(call: &str, path: &Path, error: io::Error) -> Error {
    let file = path.display().to_string();
    match error.kind() {
        io::ErrorKind::NotADirectory => not_a_directory(path),
        io::ErrorKind::InvalidInput => {
            Error::new(ErrorKind::Input, format!("not a usable path: {error}")).in_file(file)
        }
        io::ErrorKind::NotFound => Error::io(call, &file, error).advise("check the path, or mount the disk"),
        _ => Error::io(call, &file, error),
    }
}

/// Repeats `step` for as long as it is interrupted.
pub(crate) fn uninterrupted<T>(mut step: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match step() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Repeats `step` while it is interrupted or fails for a reason that passes, pausing longer each time, until
/// [`PATIENCE`] is spent. Never for syncs, whose failure is final.
pub(crate) fn patiently<T>(mut step: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut left = PATIENCE;
    let mut pause = PAUSE_FIRST;
    loop {
        match uninterrupted(&mut step) {
            Err(error) if !left.is_zero() && platform::is_transient(&error) => {
                let now = pause.min(left);
                thread::sleep(now);
                left -= now;
                pause = (pause * 2).min(PAUSE_MAX);
            }
            other => return other,
        }
    }
}

/// How long a call waits in all for a passing refusal.
const PATIENCE: Duration = Duration::from_millis(500);
const PAUSE_FIRST: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// What every file system in use takes.
const NAME_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_interruption_is_not_an_end_and_a_lasting_error_is() {
        let mut interruptions = 3;
        let outcome = patiently(|| {
            interruptions -= 1;
            if interruptions == 0 { Ok(7) } else { Err(io::ErrorKind::Interrupted.into()) }
        });
        assert_eq!(outcome.expect("success"), 7);

        let mut calls = 0;
        let outcome: io::Result<()> = patiently(|| {
            calls += 1;
            Err(io::ErrorKind::NotFound.into())
        });
        assert_eq!(outcome.expect_err("an error").kind(), io::ErrorKind::NotFound);
        assert_eq!(calls, 1, "not repeated");
    }

    #[test]
    fn a_passing_refusal_is_waited_for_within_the_budget() {
        let refusal = platform::TRANSIENT[0];
        let mut calls = 0;
        let outcome = patiently(|| {
            calls += 1;
            if calls == 5 { Ok(()) } else { Err(io::Error::from_raw_os_error(refusal)) }
        });
        outcome.expect("success in the end");

        let clock = crate::clock::SystemClock::new();
        let outcome: io::Result<()> = patiently(|| Err(io::Error::from_raw_os_error(refusal)));
        let waited = crate::clock::Clock::elapsed(&clock);
        assert_eq!(outcome.expect_err("surfaced").raw_os_error(), Some(refusal));
        assert!(waited >= PATIENCE && waited < PATIENCE + Duration::from_secs(5), "{waited:?}");
    }
}
