//! The Windows part of [`Disk`](crate::medium::Disk): full paths under a directory that is held in place.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::windows::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf, Prefix};

use crate::medium::disk::patiently;
use crate::medium::{Access, Lock, name};

/// An open directory.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// Not shared for deletion: while it is open, nobody renames or removes the directory, so that its path stays good.
    _pin: File,
}

impl Directory {
    /// Opens the directory at `path`, following links.
    pub(crate) fn open(path: &Path) -> io::Result<Directory> {
        // Canonical paths are taken literally: no device names, no stripped dots, no limit of 260 characters.
        let path = path.canonicalize()?;
        let pin = pin(&path, 0)?;
        if !pin.metadata()?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Directory { path, _pin: pin })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        let listing = self.path.read_dir()?;
        listing.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    pub(crate) fn open_file(&self, name: &str, access: Access) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(access == Access::Write).share_mode(SHARE_ALL);
        self.open_with(&mut options, name)
    }

    pub(crate) fn create_file(&self, name: &str) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).share_mode(SHARE_ALL);
        self.open_with(&mut options, name)
    }

    /// Removes a file. While somebody has it open, Windows may keep the name, refusing to open it, until they close it.
    #[allow(clippy::disallowed_methods, reason = "this is the medium")]
    pub(crate) fn remove_file(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    pub(crate) fn sync_names(&self) -> io::Result<()> {
        sync_directory(&self.path)
    }

    pub(crate) fn create_child(&self, name: &str) -> io::Result<()> {
        create_directory(&self.path.join(name))
    }

    pub(crate) fn open_child(&self, name: &str) -> io::Result<Directory> {
        let path = self.path.join(name);
        let pin = pin(&path, OPEN_REPARSE_POINT)?;
        let found = pin.metadata()?;
        if is_link(&found) || !found.is_dir() {
            return Err(unfit(name, &found));
        }
        Ok(Directory { path, _pin: pin })
    }

    pub(crate) fn caution(&self) -> Option<String> {
        let Some(Component::Prefix(prefix)) = self.path.components().next() else { return None };
        matches!(prefix.kind(), Prefix::UNC(..) | Prefix::VerbatimUNC(..)).then(|| {
            "this is a network share: locks and syncs may not hold there, and the journal can be lost or damaged"
                .to_owned()
        })
    }

    /// Locks the file [`name::LOCK`], creating it if needed. It is not shared for deletion: while the lock is held, the
    /// system refuses to remove or rename the file, and with it the directory.
    pub(crate) fn lock(&self) -> io::Result<DirectoryLock> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).share_mode(SHARE_READ_WRITE);
        let file = patiently(|| self.open_with(&mut options, name::LOCK))?;
        file.try_lock()?;
        Ok(DirectoryLock { file, path: self.path.join(name::LOCK) })
    }

    /// Opens `name` itself, not what a link of that name leads to, and refuses what is not a plain file.
    fn open_with(&self, options: &mut OpenOptions, name: &str) -> io::Result<File> {
        let path = self.path.join(name);
        match options.custom_flags(OPEN_REPARSE_POINT).open(&path) {
            Ok(file) => {
                let found = file.metadata()?;
                if is_link(&found) || !found.is_file() { Err(unfit(name, &found)) } else { Ok(file) }
            }
            // A directory is answered with "access denied", which looks as if it would pass.
            Err(error) => match path.symlink_metadata() {
                Ok(found) if error.kind() != io::ErrorKind::AlreadyExists && found.is_dir() => {
                    Err(unfit(name, &found))
                }
                _ => Err(error),
            },
        }
    }
}

/// A held lock of a directory. Closing its file gives the lock back.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    file: File,
    path: PathBuf,
}

impl Lock for DirectoryLock {
    /// The system keeps the file and its path in place while it is open; it is lost only with its device or share.
    fn still_ours(&self) -> bool {
        self.file.metadata().is_ok() && self.path.symlink_metadata().is_ok_and(|found| found.is_file())
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Closing unlocks too, but the system does not say how soon.
        let _ = self.file.unlock();
    }
}

/// Creates one directory; who may use it is inherited from its parent.
pub(crate) fn create_directory(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
}

/// Makes the names in the directory at `path` durable, as far as Windows offers that.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    let open =
        || OpenOptions::new().write(true).share_mode(SHARE_ALL).custom_flags(BACKUP_SEMANTICS).open(path);
    match open().and_then(|directory| directory.sync_all()) {
        // There is no documented call for this, and what there is needs rights that a plain user may not have, or is
        // refused by the file system. NTFS and ReFS journal changes of names in order, and flushing a file, which always
        // follows before anything is acknowledged, writes that journal out with it.
        Err(error) if error.raw_os_error().is_some_and(|code| NO_DIRECTORY_SYNC.contains(&code)) => Ok(()),
        other => other,
    }
}

pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.seek_read(buffer, offset)
}

pub(crate) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    file.seek_write(bytes, offset)
}

/// Forces data and length to the device (`FlushFileBuffers`).
pub(crate) fn sync_data(file: &File) -> io::Result<()> {
    file.sync_data()
}

/// Windows has no call for this.
pub(crate) fn drop_cache(_file: &File, _bytes: Range<u64>) {}

/// Whether the refusal passes: another program, often a scanner or a backup, holds the file. "Access denied" is among
/// them, because that is the answer for a file that is removed but still open somewhere.
pub(crate) fn is_transient(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| TRANSIENT.contains(&code))
}

/// Too many open files, access denied, not enough memory (twice), sharing violation, lock violation, out of resources.
pub(crate) const TRANSIENT: [i32; 7] = [32, 33, 5, 4, 8, 14, 1450];

/// Invalid function, access denied, invalid handle, not supported, invalid parameter.
const NO_DIRECTORY_SYNC: [i32; 5] = [1, 5, 6, 50, 87];

/// Opens a directory such that it stays where it is.
fn pin(path: &Path, flags: u32) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .share_mode(SHARE_READ_WRITE)
        .custom_flags(BACKUP_SEMANTICS | flags)
        .open(path)
}

fn is_link(found: &Metadata) -> bool {
    found.file_attributes() & ATTRIBUTE_REPARSE_POINT != 0
}

fn unfit(name: &str, found: &Metadata) -> io::Error {
    let what = if is_link(found) {
        "a link or another reparse point"
    } else if found.is_dir() {
        "a directory"
    } else if found.is_file() {
        "a file"
    } else {
        "a device"
    };
    io::Error::new(io::ErrorKind::InvalidInput, format!("{name} is {what}, which is not used"))
}

const SHARE_READ_WRITE: u32 = 1 | 2;
const SHARE_ALL: u32 = SHARE_READ_WRITE | 4;
/// Needed to open directories.
const BACKUP_SEMANTICS: u32 = 0x0200_0000;
/// Opens a link itself.
const OPEN_REPARSE_POINT: u32 = 0x0020_0000;
const ATTRIBUTE_REPARSE_POINT: u32 = 0x400;
