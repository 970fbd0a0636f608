//! The bytes of a run's blocks, on which its writer and its reader agree.
//!
//! # Format
//!
//! A run holds key and value pairs of plain bytes, keys strictly ascending (bytewise, a prefix before what it begins).
//! Its file is named `{id:016x}.run`: header, blocks, then the index and the footer of `index.rs`, without gaps: the
//! first block starts at 64, the footer ends the file. All numbers are little-endian. A checksum *at* an offset is the
//! crc32 of: journal id (16 bytes), run id (8), that offset in the file (8), then the bytes named.
//!
//! **Header**, 64 bytes at offset 0: as in `header.rs`; own fields:
//!
//! | offset | bytes | field                          |
//! |--------|-------|--------------------------------|
//! | 40     | 8     | run id, as in the file's name  |
//! | 48     | 12    | reserved: zero, ignored        |
//!
//! **Block**: as many pairs as fit into a body of 65536 bytes; a pair that is larger has a block of its own.
//!
//! | offset | bytes | field                                                              |
//! |--------|-------|--------------------------------------------------------------------|
//! | 0      | 4     | magic `EBLK`                                                       |
//! | 4      | 4     | bytes of the body                                                  |
//! | 8      | 4     | pairs in the body, at least 1                                      |
//! | 12     | 1     | compression: 0, none; any other needs a required feature bit       |
//! | 13     | 3     | reserved: zero, ignored                                            |
//! | 16     | 4     | checksum at the block's offset: bytes 0 to 16, then the body       |
//! | 20     |       | body: pairs without gaps                                           |
//!
//! | offset | bytes | field of a pair                  |
//! |--------|-------|----------------------------------|
//! | 0      | 4     | bytes of the key, at most 65536  |
//! | 4      | 4     | bytes of the value, at most 2^24 |
//! | 8      |       | key, then value                  |

use crate::snapshot::header::{field_at, put, u32_at};

/// The longest key.
pub(crate) const KEY_BYTES_MAX: usize = 64 * 1024;
/// The longest value.
pub(crate) const VALUE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A body closes before it passes this, unless one pair alone does.
pub(crate) const BODY_BYTES_AIM: usize = 64 * 1024;
/// The longest body: one pair at its limits.
pub(crate) const BODY_BYTES_MAX: usize = PAIR_HEADER_BYTES + KEY_BYTES_MAX + VALUE_BYTES_MAX;

/// Where the run id stands among the header's own fields.
pub(crate) const OWN_RUN_AT: usize = 0;

pub(crate) const BLOCK_HEADER_BYTES: usize = 20;
const BLOCK_MAGIC: [u8; 4] = *b"EBLK";
const BLOCK_MAGIC_AT: usize = 0;
const BLOCK_BODY_BYTES_AT: usize = 4;
const BLOCK_PAIRS_AT: usize = 8;
const BLOCK_COMPRESSION_AT: usize = 12;
const BLOCK_CHECKSUM_AT: usize = 16;

const PAIR_KEY_BYTES_AT: usize = 0;
const PAIR_VALUE_BYTES_AT: usize = 4;
pub(crate) const PAIR_HEADER_BYTES: usize = 8;

/// What every checksum of a run begins with, so that a block of another run or place never checks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) journal_id: [u8; 16],
    pub(crate) run: u64,
}

impl Identity {
    /// The checksum at `offset` of `front` and `rest`.
    pub(crate) fn checksum(&self, offset: u64, front: &[u8], rest: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.journal_id);
        hasher.update(&self.run.to_le_bytes());
        hasher.update(&offset.to_le_bytes());
        hasher.update(front);
        hasher.update(rest);
        hasher.finalize()
    }
}

/// Adds a pair to a body.
pub(crate) fn push_pair(body: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    body.extend_from_slice(&(key.len() as u32).to_le_bytes());
    body.extend_from_slice(&(value.len() as u32).to_le_bytes());
    body.extend_from_slice(key);
    body.extend_from_slice(value);
}

/// The pair of `body` that starts at `at`, and where the next one does; `None` at the end.
pub(crate) fn pair_at(body: &[u8], at: usize) -> Result<Option<(Pair<'_>, usize)>, &'static str> {
    let rest = body.get(at..).ok_or("a pair starts past the end of its block")?;
    if rest.is_empty() {
        return Ok(None);
    }
    let cut = "a pair is longer than its block";
    let key_bytes = u32_at(rest, PAIR_KEY_BYTES_AT).ok_or(cut)? as usize;
    let value_bytes = u32_at(rest, PAIR_VALUE_BYTES_AT).ok_or(cut)? as usize;
    if key_bytes > KEY_BYTES_MAX || value_bytes > VALUE_BYTES_MAX {
        return Err("a pair is over the limits");
    }
    let value_at = PAIR_HEADER_BYTES + key_bytes;
    let end = value_at + value_bytes;
    let key = rest.get(PAIR_HEADER_BYTES..value_at).ok_or(cut)?;
    let value = rest.get(value_at..end).ok_or(cut)?;
    Ok(Some((Pair { key, value }, at + end)))
}

/// One key and its value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
}

/// Fills in the header of a block whose body stands behind the space for it; returns the checksum.
pub(crate) fn seal_block(block: &mut [u8], identity: Identity, offset: u64, pairs: u32) -> u32 {
    let body_bytes = (block.len() - BLOCK_HEADER_BYTES) as u32;
    put(block, BLOCK_MAGIC_AT, &BLOCK_MAGIC);
    put(block, BLOCK_BODY_BYTES_AT, &body_bytes.to_le_bytes());
    put(block, BLOCK_PAIRS_AT, &pairs.to_le_bytes());
    let checksum = identity.checksum(offset, &block[..BLOCK_CHECKSUM_AT], &block[BLOCK_HEADER_BYTES..]);
    put(block, BLOCK_CHECKSUM_AT, &checksum.to_le_bytes());
    checksum
}

/// Checks the block at `offset` against what the index has of it: its checksum, its first key, and the first key of the
/// block after it. Returns how many pairs it holds.
pub(crate) fn check_block(
    block: &[u8],
    identity: Identity,
    offset: u64,
    indexed: u32,
    first: &[u8],
    next: Option<&[u8]>,
) -> Result<u64, &'static str> {
    let body = block.get(BLOCK_HEADER_BYTES..).ok_or("block ends inside its header")?;
    if field_at(block, BLOCK_MAGIC_AT) != Some(BLOCK_MAGIC) {
        return Err("block magic does not match");
    }
    let checksum = identity.checksum(offset, &block[..BLOCK_CHECKSUM_AT], body);
    if u32_at(block, BLOCK_CHECKSUM_AT) != Some(checksum) || checksum != indexed {
        return Err("block checksum does not match");
    }
    if u32_at(block, BLOCK_BODY_BYTES_AT).map(|bytes| bytes as usize) != Some(body.len()) {
        return Err("block length does not match");
    }
    if block[BLOCK_COMPRESSION_AT] != 0 {
        return Err("block is compressed in an unknown way");
    }
    let (mut at, mut pairs, mut last) = (0, 0u64, None);
    while let Some((pair, end)) = pair_at(body, at)? {
        if last.map_or(pair.key != first, |last| pair.key <= last) {
            return Err("keys of the block are not in order");
        }
        (at, pairs, last) = (end, pairs + 1, Some(pair.key));
    }
    if last.zip(next).is_some_and(|(last, next)| last >= next) {
        return Err("keys of the block reach into the next one");
    }
    if u32_at(block, BLOCK_PAIRS_AT).map(u64::from) != Some(pairs) || pairs == 0 {
        return Err("block holds another number of pairs than it says");
    }
    Ok(pairs)
}
