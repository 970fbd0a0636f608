//! The header that runs and lists share.
//!
//! # Format
//!
//! All numbers are little-endian. `crc32` is the one of zlib and PNG. These 64 bytes have the same layout and the same
//! checksum in every major version, so that a damaged header is told from a newer one.
//!
//! | offset | bytes | field                                                                          |
//! |--------|-------|--------------------------------------------------------------------------------|
//! | 0      | 8     | magic: `EVLGRUN\n` for a run, `EVLGSNP\n` for a list                           |
//! | 8      | 2     | major version, 1; a reader refuses a larger one                                |
//! | 10     | 2     | minor version, 0; a reader ignores it                                          |
//! | 12     | 4     | required feature bits, 0; a reader refuses any bit that it does not know       |
//! | 16     | 4     | optional feature bits, 0; a reader ignores bits that it does not know          |
//! | 20     | 4     | reserved: written as zero, ignored                                             |
//! | 24     | 16    | journal id                                                                     |
//! | 40     | 20    | own fields of a run or a list, see there                                       |
//! | 60     | 4     | crc32 of bytes 0 to 60                                                         |
//!
//! Checks, in this order, each with an error of its own: magic, checksum, version, required bits.

use crate::error::{Error, ErrorKind, Result};

pub(crate) const HEADER_BYTES: usize = 64;
pub(crate) const OWN_BYTES: usize = 20;
const MAGIC_AT: usize = 0;
const MAJOR_AT: usize = 8;
const MINOR_AT: usize = 10;
const REQUIRED_AT: usize = 12;
const OPTIONAL_AT: usize = 16;
const JOURNAL_AT: usize = 24;
const OWN_AT: usize = 40;
const CHECKSUM_AT: usize = 60;

/// The required feature bits that this version knows.
const REQUIRED_KNOWN: u32 = 0;

/// A kind of file that begins with this header.
#[derive(Debug)]
pub(crate) struct Kind {
    magic: [u8; 8],
    noun: &'static str,
    major: u16,
    minor: u16,
}

/// An immutable sorted file of pairs.
pub(crate) const RUN: Kind = Kind { magic: *b"EVLGRUN\n", noun: "run", major: 1, minor: 0 };
/// The list that makes runs a snapshot.
pub(crate) const LIST: Kind = Kind { magic: *b"EVLGSNP\n", noun: "snapshot list", major: 1, minor: 0 };

/// What a header says beyond its kind and version.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The journal that the file belongs to.
    pub(crate) journal_id: [u8; 16],
    /// The fields of the file's kind.
    pub(crate) own: [u8; OWN_BYTES],
}

impl Kind {
    /// The bytes of `header`.
    pub(crate) fn encode(&self, header: &Header) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        put(&mut bytes, MAGIC_AT, &self.magic);
        put(&mut bytes, MAJOR_AT, &self.major.to_le_bytes());
        put(&mut bytes, MINOR_AT, &self.minor.to_le_bytes());
        put(&mut bytes, REQUIRED_AT, &0u32.to_le_bytes());
        put(&mut bytes, OPTIONAL_AT, &0u32.to_le_bytes());
        put(&mut bytes, JOURNAL_AT, &header.journal_id);
        put(&mut bytes, OWN_AT, &header.own);
        let checksum = crc32fast::hash(&bytes[..CHECKSUM_AT]);
        put(&mut bytes, CHECKSUM_AT, &checksum.to_le_bytes());
        bytes
    }

    /// Reads the header at the front of `bytes`, which come from `file`.
    pub(crate) fn decode(&self, file: &str, bytes: &[u8]) -> Result<Header> {
        let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else {
            let what = format!("file ends inside the header of a {}", self.noun);
            return Err(Error::damaged(file, bytes.len() as u64, what));
        };
        if field_at(bytes, MAGIC_AT) != Some(self.magic) {
            let what = format!("magic of a {} does not match", self.noun);
            return Err(Error::damaged(file, MAGIC_AT as u64, what));
        }
        if u32_at(bytes, CHECKSUM_AT) != Some(crc32fast::hash(&bytes[..CHECKSUM_AT])) {
            let what = format!("checksum of the header of a {} does not match", self.noun);
            return Err(Error::damaged(file, CHECKSUM_AT as u64, what));
        }
        self.check_version(file, bytes)?;
        let journal_id = field_at(bytes, JOURNAL_AT).unwrap_or_default();
        let own = field_at(bytes, OWN_AT).unwrap_or_default();
        Ok(Header { journal_id, own })
    }

    fn check_version(&self, file: &str, bytes: &[u8; HEADER_BYTES]) -> Result<()> {
        let newer = |offset: usize, what: String| {
            let error = Error::new(ErrorKind::NewerFormat, what).in_file(file).at_offset(offset as u64);
            Err(error.advise("open it with the version of everlog that wrote it, or a later one"))
        };
        let major = field_at(bytes, MAJOR_AT).map_or(0, u16::from_le_bytes);
        if major == 0 {
            let what = format!("a {} of version 0 was never written", self.noun);
            return Err(Error::damaged(file, MAJOR_AT as u64, what));
        }
        if major > self.major {
            let what = format!("{} has version {major}, this reader knows up to {}", self.noun, self.major);
            return newer(MAJOR_AT, what);
        }
        let unknown = u32_at(bytes, REQUIRED_AT).unwrap_or(u32::MAX) & !REQUIRED_KNOWN;
        if unknown != 0 {
            let bit = unknown.trailing_zeros();
            let what = format!("{} needs feature bit {bit}, which this reader does not know", self.noun);
            return newer(REQUIRED_AT, what);
        }
        Ok(())
    }
}

/// Copies `field` to `offset`.
pub(crate) fn put(bytes: &mut [u8], offset: usize, field: &[u8]) {
    bytes[offset..offset + field.len()].copy_from_slice(field);
}

/// The bytes of a field, if they are there.
pub(crate) fn field_at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk::<N>().copied()
}

/// A little-endian number, if it is there.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    field_at(bytes, offset).map(u32::from_le_bytes)
}

/// A little-endian number, if it is there.
pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    field_at(bytes, offset).map(u64::from_le_bytes)
}
