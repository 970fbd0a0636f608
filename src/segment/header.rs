//! The block that opens a file: magic, version, feature bits, checksum; and the birth header of a segment.
//!
//! # Format
//!
//! A preamble block is 4096 bytes. Its first 32 bytes and the place of its checksum are the same in every version.
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 8 | magic: `EVLGSEG\n` in a segment, `EVLGROOT` in the root file |
//! | 8 | 2 | major version: another one is refused |
//! | 10 | 2 | minor version: any is read |
//! | 12 | 4 | written as zero, ignored |
//! | 16 | 8 | required feature bits: an unknown one is refused by name |
//! | 24 | 8 | optional feature bits: unknown ones are ignored |
//! | 32 | 4060 | fields of the file's kind |
//! | 4092 | 4 | CRC-32 of bytes 0..4092 |
//!
//! A birth header has these fields:
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 32 | 16 | journal id |
//! | 48 | 8 | segment number, the one in the file's name |
//! | 56 | 8 | salt, random |
//! | 64 | 8 | capacity in bytes: the length of the file |
//!
//! It is valid if and only if magic, checksum, version and required bits are right, in this order, its number is not
//! 0, and its capacity is a multiple of 4096 between 16 KiB and 1 TiB.

use crate::error::{Error, ErrorKind, Result};
use crate::segment::{BLOCK_BYTES, CAPACITY_MAX, CAPACITY_MIN, checksum, field, put};

/// The size of a preamble block.
pub(crate) const PREAMBLE_BYTES: usize = BLOCK_BYTES as usize;
/// The version that this code writes.
pub(crate) const VERSION_MAJOR: u16 = 1;
const VERSION_MINOR: u16 = 0;
/// The required feature bits that this code understands: none yet.
const REQUIRED_KNOWN: u64 = 0;

const MAGIC_OFFSET: usize = 0;
const MAJOR_OFFSET: usize = 8;
const MINOR_OFFSET: usize = 10;
const REQUIRED_OFFSET: usize = 16;
/// Where the fields of the file's kind start.
pub(crate) const FIELDS_OFFSET: usize = 32;
const CHECKSUM_OFFSET: usize = PREAMBLE_BYTES - 4;

const SEGMENT_MAGIC: [u8; 8] = *b"EVLGSEG\n";
const ID_OFFSET: usize = FIELDS_OFFSET;
const NUMBER_OFFSET: usize = 48;
const SALT_OFFSET: usize = 56;
const CAPACITY_OFFSET: usize = 64;

/// The random identity of a journal.
pub(crate) type JournalId = [u8; 16];

/// Completes a preamble block whose own fields are in place.
pub(crate) fn seal_preamble(block: &mut [u8], magic: [u8; 8]) {
    block[MAGIC_OFFSET..MAGIC_OFFSET + 8].copy_from_slice(&magic);
    put!(block, MAJOR_OFFSET, VERSION_MAJOR);
    put!(block, MINOR_OFFSET, VERSION_MINOR);
    let sum = checksum::plain(&block[..CHECKSUM_OFFSET]);
    put!(block, CHECKSUM_OFFSET, sum);
}

/// Checks a preamble block: magic, checksum and version are three checks with three errors.
pub(crate) fn check_preamble(block: &[u8], magic: [u8; 8], file: &str, offset: u64) -> Result<()> {
    if block.len() != PREAMBLE_BYTES {
        return Err(Error::damaged(file, offset, "header is cut short"));
    }
    if block[MAGIC_OFFSET..MAGIC_OFFSET + 8] != magic {
        return Err(Error::damaged(file, offset, "header has a wrong magic"));
    }
    if field!(u32, block, CHECKSUM_OFFSET) != checksum::plain(&block[..CHECKSUM_OFFSET]) {
        return Err(Error::damaged(file, offset, "header checksum does not match"));
    }
    let major = field!(u16, block, MAJOR_OFFSET);
    if major != VERSION_MAJOR {
        let what = format!("format version {major} is not {VERSION_MAJOR}");
        return Err(newer(what, file, offset));
    }
    let unknown = field!(u64, block, REQUIRED_OFFSET) & !REQUIRED_KNOWN;
    if unknown != 0 {
        let what = format!("required feature bit {} is unknown", unknown.trailing_zeros());
        return Err(newer(what, file, offset));
    }
    Ok(())
}

fn newer(what: String, file: &str, offset: u64) -> Error {
    Error::new(ErrorKind::NewerFormat, what)
        .in_file(file)
        .at_offset(offset)
        .advise("use a version of everlog that knows this format; nothing was changed")
}

/// What a segment is born with: synced before the segment can be used, never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Birth {
    /// The journal it belongs to.
    pub(crate) journal_id: JournalId,
    /// Its number, also in its name.
    pub(crate) number: u64,
    /// The seed of all its checksums.
    pub(crate) salt: u64,
    /// The length of its file.
    pub(crate) capacity: u64,
    /// Its checksum as stored, which also covers what a later minor version has in the header.
    sum: u32,
}

impl Birth {
    /// The birth of a segment that this version makes.
    pub(crate) fn new(journal_id: JournalId, number: u64, salt: u64, capacity: u64) -> Birth {
        let mut birth = Birth { journal_id, number, salt, capacity, sum: 0 };
        birth.sum = field!(u32, birth.encode(), CHECKSUM_OFFSET);
        birth
    }

    /// The header block as this version stores it.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut block = vec![0; PREAMBLE_BYTES];
        block[ID_OFFSET..ID_OFFSET + 16].copy_from_slice(&self.journal_id);
        put!(block, NUMBER_OFFSET, self.number);
        put!(block, SALT_OFFSET, self.salt);
        put!(block, CAPACITY_OFFSET, self.capacity);
        seal_preamble(&mut block, SEGMENT_MAGIC);
        block
    }

    /// Reads a header block of the file `file`.
    pub(crate) fn decode(block: &[u8], file: &str) -> Result<Birth> {
        check_preamble(block, SEGMENT_MAGIC, file, 0)?;
        let mut journal_id = JournalId::default();
        journal_id.copy_from_slice(&block[ID_OFFSET..ID_OFFSET + 16]);
        let birth = Birth {
            journal_id,
            number: field!(u64, block, NUMBER_OFFSET),
            salt: field!(u64, block, SALT_OFFSET),
            capacity: field!(u64, block, CAPACITY_OFFSET),
            sum: field!(u32, block, CHECKSUM_OFFSET),
        };
        if birth.number == 0 {
            return Err(Error::damaged(file, NUMBER_OFFSET as u64, "segments are numbered from 1"));
        }
        if !(CAPACITY_MIN..=CAPACITY_MAX).contains(&birth.capacity)
            || !birth.capacity.is_multiple_of(BLOCK_BYTES)
        {
            return Err(Error::damaged(file, CAPACITY_OFFSET as u64, "capacity is out of range"));
        }
        Ok(birth)
    }

    /// What stands for the previous checksum in the first frame of this segment.
    pub(crate) fn first_previous(&self) -> u32 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Birth {
        Birth::new([7; 16], 3, 99, 65536)
    }

    #[test]
    fn a_birth_header_survives_a_round_trip() {
        assert_eq!(Birth::decode(&sample().encode(), "x").expect("valid"), sample());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_an_error() {
        let block = sample().encode();
        for index in 0..block.len() {
            for bit in 0..8 {
                let mut flipped = block.clone();
                flipped[index] ^= 1 << bit;
                let error = Birth::decode(&flipped, "x").expect_err("flipped");
                assert_eq!(error.kind(), &ErrorKind::Damaged);
            }
            assert!(Birth::decode(&block[..index], "x").is_err());
        }
    }

    #[test]
    fn magic_checksum_version_and_feature_bits_are_four_errors() {
        let resealed = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut block = sample().encode();
            change(&mut block);
            let sum = checksum::plain(&block[..CHECKSUM_OFFSET]);
            put!(block, CHECKSUM_OFFSET, sum);
            Birth::decode(&block, "x")
        };
        let message = |result: Result<Birth>| result.expect_err("refused").to_string();
        assert!(message(resealed(&|block| block[0] = b'X')).contains("magic"));
        assert!(message(resealed(&|block| block[MAJOR_OFFSET] = 2)).contains("version 2"));
        assert!(message(resealed(&|block| block[REQUIRED_OFFSET] = 8)).contains("feature bit 3"));
        assert!(resealed(&|block| block[REQUIRED_OFFSET + 8] = 8).is_ok(), "optional bits are ignored");
        let minor = resealed(&|block| block[MINOR_OFFSET] = 9).expect("any minor version is read");
        assert_ne!(minor.first_previous(), sample().first_previous(), "its frames continue its own checksum");
        assert!(message(resealed(&|block| block[NUMBER_OFFSET] = 0)).contains("from 1"));
        assert!(message(resealed(&|block| block[CAPACITY_OFFSET] = 1)).contains("capacity"));
    }
}
