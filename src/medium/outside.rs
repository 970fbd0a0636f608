//! Files outside of a journal that a user names: read whole, and replaced so that a reader sees the old or the new one.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use parking_lot::{Condvar, Mutex};

use crate::error::{Error, ErrorKind, Result};
use crate::medium::disk::patiently;
#[cfg(unix)]
use crate::medium::disk_unix as platform;
#[cfg(windows)]
use crate::medium::disk_windows as platform;

/// What tells that a file was changed: its length and when it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    bytes: u64,
    written: Option<SystemTime>,
}

/// Reads the whole file at `path`.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = patiently(|| OpenOptions::new().read(true).open(path))
        .map_err(|error| explain("open", path, error))?;
    file.read_to_end(&mut bytes).map_err(|error| explain("read", path, error))?;
    Ok(bytes)
}

/// How the file at `path` looks; `None` if there is none.
pub(crate) fn look(path: &Path) -> Result<Option<Look>> {
    match path.metadata() {
        Ok(found) => Ok(Some(look_of(&found))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(explain("stat", path, error)),
    }
}

fn look_of(found: &Metadata) -> Look {
    Look { bytes: found.len(), written: found.modified().ok() }
}

/// The files that somebody in this process has the turn to replace.
static TAKEN: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
static GIVEN_BACK: Condvar = Condvar::new();

/// The turn to replace one file, until it is dropped: the new file has one place beside the old, which two cannot use at
/// once.
#[derive(Debug)]
pub(crate) struct Turn {
    target: PathBuf,
}

impl Turn {
    /// Waits until nobody else in this process has the turn for the file at `path`. Links are followed.
    pub(crate) fn at(path: &Path) -> Turn {
        let target = target_of(path);
        let mut taken = TAKEN.lock();
        while !taken.insert(target.clone()) {
            GIVEN_BACK.wait(&mut taken);
        }
        Turn { target }
    }

    /// Puts what `write` writes in the place of the file: see [`replace`].
    pub(crate) fn replace(&self, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<Look> {
        put(&self.target, write)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        TAKEN.lock().remove(&self.target);
        GIVEN_BACK.notify_all();
    }
}

/// One name for each file, whether it is there or not.
fn target_of(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            parent.canonicalize().map_or_else(|_| path.to_path_buf(), |parent| parent.join(name))
        }
        _ => path.to_path_buf(),
    })
}

/// Puts what `write` writes in the place of the file at `path`: written beside it, synced, renamed over it, and the name
/// synced. Whoever reads sees the old file or the new one, also after a power loss. Links are followed; the new file has
/// the permissions of the old one, or is its owner's only. Waits for whoever in this process has the turn. Tells how the
/// new file looks.
///
/// # Errors
///
/// What `write` fails with, and `Full`, `Denied`, `Missing` or `Io` of the system; the old file is then as it was.
#[cfg(any(feature = "cli", test))]
pub(crate) fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<Look> {
    Turn::at(path).replace(write)
}

fn put(target: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<Look> {
    let beside = beside(target)?;
    match fs_remove(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(explain("remove", &beside, error));
        }
        _ => {}
    }
    let written = fill(target, &beside, write);
    let outcome = written.and_then(|look| {
        patiently(|| fs_rename(&beside, target)).map_err(|error| explain("rename", target, error))?;
        let directory = target.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        platform::sync_directory(directory).map_err(|error| explain("sync directory", directory, error))?;
        Ok(look)
    });
    if outcome.is_err() {
        // What could not be put in place is of no use; that it may stay is no error of its own.
        let _left = fs_remove(&beside);
    }
    outcome
}

fn fill(target: &Path, beside: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<Look> {
    let file = create(beside).map_err(|error| explain("create", beside, error))?;
    let mut buffer = BufWriter::new(file);
    write(&mut buffer)?;
    let file = buffer.into_inner().map_err(|error| explain("write", beside, error.into_error()))?;
    if let Ok(old) = target.metadata() {
        file.set_permissions(old.permissions()).map_err(|error| explain("set permissions", beside, error))?;
    }
    platform::sync_data(&file).map_err(|error| explain("sync", beside, error))?;
    Ok(look_of(&file.metadata().map_err(|error| explain("stat", beside, error))?))
}

/// A new file for its owner only.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    patiently(|| options.open(path))
}

/// Where the new file is written: always the same place, so that a crash leaves one file at most.
fn beside(target: &Path) -> Result<PathBuf> {
    let name = target.file_name().ok_or_else(|| {
        Error::new(ErrorKind::Input, "the path names no file").in_file(target.display().to_string())
    })?;
    let mut new = OsString::from(name);
    new.push(".everlog-new");
    Ok(target.with_file_name(new))
}

#[allow(clippy::disallowed_methods, reason = "a file of the user is replaced here, none of a journal")]
fn fs_rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

#[allow(clippy::disallowed_methods, reason = "this is the medium")]
fn fs_remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

fn explain(call: &str, path: &Path, error: io::Error) -> Error {
    Error::io(call, &path.display().to_string(), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_or_not_at_all() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a copy.json");
        assert_eq!(look(&path).expect("looks"), None);
        let first = replace(&path, |to| to.write_all(b"one").map_err(|error| Error::io("write", "x", error)));
        assert_eq!(look(&path).expect("looks"), Some(first.expect("replaced")));
        let failed = replace(&path, |to| {
            to.write_all(b"half").map_err(|error| Error::io("write", "x", error))?;
            Err(Error::new(ErrorKind::Damaged, "no more"))
        });
        assert_eq!(failed.expect_err("fails").kind(), &ErrorKind::Damaged);
        assert_eq!(read(&path).expect("reads"), b"one");
        assert_eq!(directory.path().read_dir().expect("lists").count(), 1, "nothing is left beside it");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_permissions_kept() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().expect("a directory");
        let (path, link) = (directory.path().join("file"), directory.path().join("link"));
        replace(&path, |_| Ok(())).expect("created");
        let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("set");
        std::os::unix::fs::symlink(&path, &link).expect("linked");
        replace(&link, |to| to.write_all(b"new").map_err(|error| Error::io("write", "x", error)))
            .expect("replaced");
        assert!(link.is_symlink());
        assert_eq!((mode(&path), read(&path).expect("reads")), (0o644, b"new".to_vec()));
    }
}
