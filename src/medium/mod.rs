//! The only code that talks to the operating system, behind one trait: [`Medium`].
//!
//! # Fault contract
//!
//! Upper layers assume no more than this; `Sim` gives no more than this:
//!
//! * Bytes written are durable only after a [`MediumFile::sync`] that *began* after the write returned, and then only
//!   if that sync returned success. Without it a crash may keep all of them, none, any part, in any order; each byte
//!   is old or new. Bytes outside the written range are unharmed.
//! * A name created or removed is durable only after [`Medium::sync_names`] returned success.
//! * After a sync failed, nothing is known about the bytes it covered: reading them back may show what was written
//!   although the device has not got it, and a second sync may say yes to a lie.
//! * [`MediumFile::write_at`] and [`MediumFile::read_at`] may do less than asked. Any call may fail.
//! * Names are plain file names made by this crate; a medium refuses separators and never follows links.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};

pub mod disk;
#[cfg(unix)]
mod disk_unix;
#[cfg(windows)]
mod disk_windows;
mod map;
pub(crate) mod name;
#[cfg(feature = "store")]
pub(crate) mod outside;
#[cfg(feature = "sim")]
pub mod sim;

pub use disk::Disk;
#[cfg(feature = "sim")]
pub use sim::Sim;

/// One open directory of a storage device.
pub trait Medium: Send + Sync + fmt::Debug {
    /// A name for people: the path of the directory, or what the simulation is called.
    fn label(&self) -> String;

    /// The names of all entries, in no particular order.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Opens an existing regular file. Links, pipes, devices and directories are refused without waiting on them.
    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn MediumFile>>;

    /// Creates a new file, readable and writable by the owner only; fails with `AlreadyExists` if there is one.
    fn create(&self, name: &str) -> io::Result<Arc<dyn MediumFile>>;

    /// Removes a file. The name is durably gone after [`Medium::sync_names`].
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes created and removed names durable.
    fn sync_names(&self) -> io::Result<()>;

    /// Opens a directory inside this one; creates it first (owner only, not yet durable) if asked to.
    fn child(&self, name: &str, presence: Presence) -> io::Result<Arc<dyn Medium>>;

    /// A warning for people where this kind of storage is known to break promises, such as a network file system.
    fn caution(&self) -> Option<String> {
        None
    }

    /// Takes the sole right to write, at once or not at all (`WouldBlock`). It ends when the value is dropped or the
    /// process dies, and does not depend on any file that could be removed meanwhile.
    fn lock(&self) -> io::Result<Box<dyn Lock>>;
}

/// One open file.
pub trait MediumFile: Send + Sync + fmt::Debug {
    /// Reads into `buffer` from `offset`; 0 means end of file. May read less than asked.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes `bytes` at `offset`; may write less than asked. Writing past the end makes the file longer.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Forces what was written before this call to the device. Never retried: a failed sync is final (J5).
    fn sync(&self) -> io::Result<()>;

    /// The length in bytes, from the open handle.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file is empty.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Asks the system to forget clean cached pages that hold any of `bytes`, so that the next read of them comes from
    /// the device. Best effort. A writer that fills a page after it was forgotten waits until it has been read again.
    fn drop_cache(&self, bytes: Range<u64>) {
        let _ = bytes;
    }

    /// The file's bytes, mapped; `None` where that is not possible or not wanted. Only for files that no one writes.
    fn map(&self) -> Option<Mapped> {
        None
    }
}

/// A held lock; dropping it gives it back.
pub trait Lock: Send + Sync + fmt::Debug {
    /// Whether what is locked is still what the name points at.
    fn still_ours(&self) -> bool;
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing.
    Write,
}

/// Whether a directory may be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It must be there.
    MustExist,
    /// It is created, with its parents, when missing.
    CreateMissing,
}

/// Read-only bytes of a whole file, mapped into memory.
#[derive(Clone)]
pub struct Mapped(Arc<dyn AsRef<[u8]> + Send + Sync>);

impl Mapped {
    /// Wraps bytes that stay the same for as long as the value lives.
    pub(crate) fn new(bytes: Arc<dyn AsRef<[u8]> + Send + Sync>) -> Mapped {
        Mapped(bytes)
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

impl fmt::Debug for Mapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mapped({} bytes)", self.as_ref().len())
    }
}

/// Writes all of `bytes`, continuing after short writes and interruptions (faults E9, E10).
pub(crate) fn write_all(file: &dyn MediumFile, name: &str, bytes: &[u8], offset: u64) -> Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        match file.write_at(&bytes[done..], offset + done as u64) {
            Ok(0) => {
                let none = io::Error::new(io::ErrorKind::WriteZero, "the system wrote nothing");
                return Err(Error::io("write", name, none).at_offset(offset + done as u64));
            }
            Ok(count) => done += count.min(bytes.len() - done),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("write", name, error).at_offset(offset + done as u64)),
        }
    }
    Ok(())
}

/// Fills `buffer` from `offset` as far as the file goes; returns how many bytes were there.
pub(crate) fn read_most(file: &dyn MediumFile, name: &str, buffer: &mut [u8], offset: u64) -> Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("read", name, error).at_offset(offset + done as u64)),
        }
    }
    Ok(done)
}

/// Reads up to `bytes_max` bytes from `offset`, taking memory only for bytes that are there (J13).
pub(crate) fn read_range(file: &dyn MediumFile, name: &str, offset: u64, bytes_max: u64) -> Result<Vec<u8>> {
    let length = file.len().map_err(|error| Error::io("stat", name, error))?;
    let there = length.saturating_sub(offset).min(bytes_max);
    let size = usize::try_from(there)
        .map_err(|_| Error::new(crate::error::ErrorKind::Unsupported, "range does not fit in memory"))?;
    let mut buffer = vec![0; size];
    let count = read_most(file, name, &mut buffer, offset)?;
    buffer.truncate(count);
    Ok(buffer)
}
