//! The Unix part of [`Disk`](crate::medium::Disk): every name is resolved from one open directory.

use std::fs::File;
use std::io;
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process;

use rustix::fs::{AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::medium::disk::{patiently, uninterrupted};
use crate::medium::{Access, Lock, name};

/// An open directory.
#[derive(Debug)]
pub(crate) struct Directory {
    handle: OwnedFd,
    path: PathBuf,
}

impl Directory {
    /// Opens the directory at `path`, following links. Whatever else is there is refused without being opened.
    pub(crate) fn open(path: &Path) -> io::Result<Directory> {
        let handle = rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty())?;
        Ok(Directory { handle, path: path.to_owned() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// All names but `.` and `..`; bytes that are not text are shown as such and are never one of ours.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        uninterrupted(|| {
            // Through a handle of its own, because a listing moves the position in the directory.
            let mut names = Vec::new();
            for entry in Dir::new(self.reopen()?)? {
                let name = entry?.file_name().to_string_lossy().into_owned();
                if name != "." && name != ".." {
                    names.push(name);
                }
            }
            Ok(names)
        })
    }

    pub(crate) fn open_file(&self, name: &str, access: Access) -> io::Result<File> {
        let access = match access {
            Access::Read => OFlags::RDONLY,
            Access::Write => OFlags::RDWR,
        };
        match rustix::fs::openat(&self.handle, name, access | FILE, Mode::empty()) {
            Ok(handle) => {
                let kind = file_type(&rustix::fs::fstat(&handle)?);
                if kind == FileType::RegularFile { Ok(File::from(handle)) } else { Err(unfit(name, kind)) }
            }
            Err(error) => Err(self.refusal(name, FileType::RegularFile, error)),
        }
    }

    pub(crate) fn create_file(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | FILE;
        Ok(File::from(rustix::fs::openat(&self.handle, name, flags, Mode::RUSR | Mode::WUSR)?))
    }

    pub(crate) fn remove_file(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.handle, name, AtFlags::empty())?)
    }

    pub(crate) fn sync_names(&self) -> io::Result<()> {
        sync_handle(&self.handle)
    }

    pub(crate) fn create_child(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&self.handle, name, Mode::RWXU)?)
    }

    pub(crate) fn open_child(&self, name: &str) -> io::Result<Directory> {
        match rustix::fs::openat(&self.handle, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(handle) => Ok(Directory { handle, path: self.path.join(name) }),
            Err(error) => Err(self.refusal(name, FileType::Directory, error)),
        }
    }

    pub(crate) fn caution(&self) -> Option<String> {
        let open_to_all = rustix::fs::fstat(&self.handle).is_ok_and(|stat| stat.st_mode & 0o022 != 0);
        let warnings = [
            foreign_storage(&self.handle).map(|what| {
                format!("this is {what}: locks and syncs may not hold there, and the journal can be lost or damaged")
            }),
            open_to_all.then(|| "other users can write to the journal's directory; take that right away".to_owned()),
        ];
        let warnings: Vec<String> = warnings.into_iter().flatten().collect();
        if warnings.is_empty() { None } else { Some(warnings.join("; ")) }
    }

    /// Locks the directory itself, so that no file needs to be there or to stay.
    ///
    /// The lock belongs to a handle opened for it alone: another handle of the same process is refused as well, and
    /// `exec` closes it. Where the file system refuses to lock directories, or may lock them on this machine only, the
    /// file [`name::LOCK`] is locked too. It is not the root file, because some network file systems keep everyone from
    /// reading what is locked.
    pub(crate) fn lock(&self) -> io::Result<DirectoryLock> {
        let handle = patiently(|| self.reopen())?;
        let identity = identity(&rustix::fs::fstat(&handle)?);
        let whole = match rustix::fs::flock(&handle, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => foreign_storage(&handle).is_none(),
            Err(Errno::BADF | Errno::INVAL | Errno::ISDIR | Errno::NOSYS | Errno::OPNOTSUPP) => false,
            Err(error) => return Err(error.into()),
        };
        let mut lock =
            DirectoryLock { handle, path: self.path.clone(), identity, file: None, process: process::id() };
        if !whole {
            lock.file = Some(self.lock_file(&lock.handle)?);
        }
        Ok(lock)
    }

    /// Locks the file [`name::LOCK`], creating it if needed.
    fn lock_file(&self, directory: &OwnedFd) -> io::Result<(OwnedFd, Identity)> {
        loop {
            let flags = OFlags::RDWR | OFlags::CREATE | FILE;
            let open = || Ok(rustix::fs::openat(directory, name::LOCK, flags, Mode::RUSR | Mode::WUSR)?);
            let file = patiently(open)?;
            let stat = rustix::fs::fstat(&file)?;
            if file_type(&stat) != FileType::RegularFile {
                return Err(unfit(name::LOCK, file_type(&stat)));
            }
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
            // Somebody may have removed it between opening and locking; then the name is free for others to lock.
            if is_still(directory, name::LOCK, identity(&stat), AtFlags::SYMLINK_NOFOLLOW) {
                return Ok((file, identity(&stat)));
            }
        }
    }

    /// Another handle of the same directory, with a position and a lock of its own.
    fn reopen(&self) -> io::Result<OwnedFd> {
        Ok(rustix::fs::openat(&self.handle, ".", DIRECTORY, Mode::empty())?)
    }

    /// Why `name` could not be opened: systems answer differently to a link or a pipe, so look what it is.
    fn refusal(&self, name: &str, wanted: FileType, error: Errno) -> io::Error {
        match rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if file_type(&stat) != wanted => unfit(name, file_type(&stat)),
            _ => error.into(),
        }
    }
}

/// A held lock of a directory.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    handle: OwnedFd,
    path: PathBuf,
    identity: Identity,
    file: Option<(OwnedFd, Identity)>,
    process: u32,
}

impl Lock for DirectoryLock {
    /// False when the path leads elsewhere or nowhere, and in a process forked from the one that took the lock. When
    /// the system does not say where the path leads, the lock counts as ours: it still covers the directory we write.
    fn still_ours(&self) -> bool {
        let file_is_ours = self.file.as_ref().is_none_or(|(_, identity)| {
            is_still(&self.handle, name::LOCK, *identity, AtFlags::SYMLINK_NOFOLLOW)
        });
        file_is_ours
            && process::id() == self.process
            && is_still(CWD, &self.path, self.identity, AtFlags::empty())
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Closing would leave the lock with a child that was just forked and has not yet called exec; a child that
        // drops its copy, on the other hand, must not take the lock from its parent.
        if process::id() == self.process {
            let _ = rustix::fs::flock(&self.handle, FlockOperation::Unlock);
            if let Some((file, _)) = &self.file {
                let _ = rustix::fs::flock(file, FlockOperation::Unlock);
            }
        }
    }
}

/// Creates one directory for its owner only.
pub(crate) fn create_directory(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::mkdirat(CWD, path, Mode::RWXU)?)
}

/// Makes the names in the directory at `path` durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    patiently(|| Directory::open(path))?.sync_names()
}

pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(buffer, offset)
}

pub(crate) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    file.write_at(bytes, offset)
}

/// Forces data, and what is needed to find it again such as the length, to the device. Not by the standard library,
/// which repeats an interrupted sync: the repetition may say yes to pages that the first has given up.
pub(crate) fn sync_data(file: &File) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    return Ok(rustix::fs::fdatasync(file)?);
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    return sync_handle(file);
}

/// Asks the system to forget the file's clean pages that hold any of `bytes`.
pub(crate) fn drop_cache(file: &File, bytes: Range<u64>) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        // A page that is only partly asked for would be kept.
        let start = bytes.start / PAGE_BYTES * PAGE_BYTES;
        let end = bytes.end.checked_next_multiple_of(PAGE_BYTES).unwrap_or(bytes.end);
        if let Some(length) = NonZeroU64::new(end.saturating_sub(start)) {
            let _ = rustix::fs::fadvise(file, start, Some(length), rustix::fs::Advice::DontNeed);
        }
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (file, bytes);
}

/// At least a page of memory on the systems that take the advice.
#[cfg(any(target_os = "linux", target_os = "android"))]
const PAGE_BYTES: u64 = 64 * 1024;

/// Whether the refusal passes: a shortage, or somebody else's work.
pub(crate) fn is_transient(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| TRANSIENT.contains(&code))
}

/// The codes of refusals that pass.
pub(crate) const TRANSIENT: [i32; 5] = [
    Errno::AGAIN.raw_os_error(),
    Errno::MFILE.raw_os_error(),
    Errno::NFILE.raw_os_error(),
    Errno::NOMEM.raw_os_error(),
    Errno::BUSY.raw_os_error(),
];

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Not following links, not waiting for the other end of a pipe, not becoming a terminal's owner.
const FILE: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// Device and inode: what tells one directory from another of the same name.
type Identity = (u64, u64);

#[allow(clippy::unnecessary_cast, reason = "the types differ between platforms")]
fn identity(stat: &Stat) -> Identity {
    (stat.st_dev as u64, stat.st_ino as u64)
}

/// Whether `path` leads to what it led to; yes also when that cannot be learned.
fn is_still(directory: impl AsFd, path: impl rustix::path::Arg, was: Identity, flags: AtFlags) -> bool {
    match rustix::fs::statat(directory, path, flags) {
        Ok(stat) => identity(&stat) == was,
        Err(error) => !matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::LOOP),
    }
}

fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

fn unfit(name: &str, kind: FileType) -> io::Error {
    let what = match kind {
        FileType::RegularFile => "a file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "of an unknown kind",
    };
    io::Error::new(io::ErrorKind::InvalidInput, format!("{name} is {what}, which is not used"))
}

/// Forces a file or directory with all its properties to the device, past the device's own cache where that needs
/// asking for.
fn sync_handle(handle: impl AsFd) -> io::Result<()> {
    #[cfg(target_vendor = "apple")]
    return Ok(rustix::fs::fcntl_fullfsync(handle)?);
    #[cfg(not(target_vendor = "apple"))]
    return Ok(rustix::fs::fsync(handle)?);
}

/// The kind of file system, if it is one that passes requests on to somebody else.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn foreign_storage(handle: &OwnedFd) -> Option<&'static str> {
    let found = rustix::fs::fstatfs(handle).ok()?;
    // The lower half is the number; its sign and width differ between platforms.
    match found.f_type as u32 {
        0x6969 => Some("a network file system (NFS)"),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => Some("a network file system (SMB)"),
        0x5346_414f | 0x6b41_4653 => Some("a network file system (AFS)"),
        0x00c3_6400 => Some("a network file system (Ceph)"),
        0x0bd0_0bd0 => Some("a network file system (Lustre)"),
        0x7375_7245 => Some("a network file system (Coda)"),
        0x0102_1997 => Some("a folder shared with a host (9p)"),
        0x786f_4256 => Some("a folder shared with a host (VirtualBox)"),
        0x6573_5546 => Some("a file system run by a program (FUSE)"),
        _ => None,
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn foreign_storage(_handle: &OwnedFd) -> Option<&'static str> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_excludes_others_and_its_loss_is_noticed() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let directory = Directory::open(scratch.path()).expect("open");
        let mut lock = directory.lock().expect("lock");
        lock.file = Some(directory.lock_file(&lock.handle).expect("lock the file"));
        assert!(lock.still_ours());
        let refused = directory.lock_file(&lock.handle).expect_err("taken");
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);

        directory.remove_file(name::LOCK).expect("remove");
        assert!(!lock.still_ours());
        drop(lock);
        let again = directory.lock_file(&directory.handle).expect("free");
        drop(again);
    }
}
