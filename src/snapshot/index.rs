//! The end of a run: the index of its blocks, and the footer.
//!
//! # Format
//!
//! Checksums *at* an offset are those of `block.rs`.
//!
//! **Index**: one entry for each block, in order, without gaps.
//!
//! | offset | bytes | field                                                              |
//! |--------|-------|--------------------------------------------------------------------|
//! | 0      | 4     | magic `EIDX`                                                       |
//! | 4      | 4     | checksum at the index's offset: bytes 0 to 4, then all entries     |
//! | 8      |       | entries                                                            |
//!
//! | offset | bytes | field of an entry                            |
//! |--------|-------|----------------------------------------------|
//! | 0      | 8     | offset of the block in the file              |
//! | 8      | 4     | bytes of the block, its header included      |
//! | 12     | 4     | checksum of the block, as in its header      |
//! | 16     | 4     | bytes of the block's first key               |
//! | 20     |       | the block's first key                        |
//!
//! **Footer**, the last 64 bytes:
//!
//! | offset | bytes | field                                                              |
//! |--------|-------|--------------------------------------------------------------------|
//! | 0      | 8     | offset of the index                                                |
//! | 8      | 8     | bytes of the index                                                 |
//! | 16     | 8     | blocks                                                             |
//! | 24     | 8     | pairs                                                              |
//! | 32     | 8     | bytes of the file                                                  |
//! | 40     | 4     | fingerprint of the run: crc32 of all block checksums, 4 bytes each |
//! | 44     | 12    | reserved: zero, ignored                                            |
//! | 56     | 4     | checksum at the footer's offset: bytes 0 to 56                     |
//! | 60     | 4     | magic `EFTR`                                                       |

use std::ops::Range;

use crate::snapshot::block::{
    BLOCK_HEADER_BYTES, BODY_BYTES_MAX, Identity, KEY_BYTES_MAX, PAIR_HEADER_BYTES,
};
use crate::snapshot::header::{field_at, put, u32_at, u64_at};

pub(crate) const INDEX_HEADER_BYTES: usize = 8;
const INDEX_MAGIC: [u8; 4] = *b"EIDX";
const INDEX_MAGIC_AT: usize = 0;
const INDEX_CHECKSUM_AT: usize = 4;

const PLACE_OFFSET_AT: usize = 0;
const PLACE_BYTES_AT: usize = 8;
const PLACE_CHECKSUM_AT: usize = 12;
const PLACE_KEY_BYTES_AT: usize = 16;
const PLACE_HEADER_BYTES: usize = 20;

pub(crate) const FOOTER_BYTES: usize = 64;
const FOOTER_MAGIC: [u8; 4] = *b"EFTR";
const FOOTER_INDEX_OFFSET_AT: usize = 0;
const FOOTER_INDEX_BYTES_AT: usize = 8;
const FOOTER_BLOCKS_AT: usize = 16;
const FOOTER_PAIRS_AT: usize = 24;
const FOOTER_FILE_BYTES_AT: usize = 32;
const FOOTER_FINGERPRINT_AT: usize = 40;
const FOOTER_CHECKSUM_AT: usize = 56;
const FOOTER_MAGIC_AT: usize = 60;

/// What a finished run is known by: its list holds this, and opening compares it with the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunInfo {
    /// The run's number, from which its file is named.
    pub(crate) id: u64,
    /// Bytes of the file.
    pub(crate) bytes: u64,
    /// Blocks in it.
    pub(crate) blocks: u64,
    /// Pairs in it.
    pub(crate) entries: u64,
    /// The fingerprint of the whole run.
    pub(crate) checksum: u32,
}

/// Where a block stands, and where the index keeps its first key.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) offset: u64,
    pub(crate) bytes: u32,
    pub(crate) checksum: u32,
    pub(crate) key: Range<usize>,
}

/// Adds a block to the index.
pub(crate) fn push_place(index: &mut Vec<u8>, offset: u64, bytes: u32, checksum: u32, key: &[u8]) {
    index.extend_from_slice(&offset.to_le_bytes());
    index.extend_from_slice(&bytes.to_le_bytes());
    index.extend_from_slice(&checksum.to_le_bytes());
    index.extend_from_slice(&(key.len() as u32).to_le_bytes());
    index.extend_from_slice(key);
}

/// Fills in the header of an index whose entries stand behind the space for it.
pub(crate) fn seal_index(index: &mut [u8], identity: Identity, offset: u64) {
    put(index, INDEX_MAGIC_AT, &INDEX_MAGIC);
    let checksum = identity.checksum(offset, &INDEX_MAGIC, &index[INDEX_HEADER_BYTES..]);
    put(index, INDEX_CHECKSUM_AT, &checksum.to_le_bytes());
}

/// Reads an index whose blocks fill the file from `start` to the index itself. The places are in the order of the file
/// and their keys ascend.
pub(crate) fn read_index(
    index: &[u8],
    identity: Identity,
    start: u64,
    offset: u64,
) -> Result<Vec<Place>, &'static str> {
    let entries = index.get(INDEX_HEADER_BYTES..).ok_or("index ends inside its header")?;
    if field_at(index, INDEX_MAGIC_AT) != Some(INDEX_MAGIC) {
        return Err("index magic does not match");
    }
    if u32_at(index, INDEX_CHECKSUM_AT) != Some(identity.checksum(offset, &INDEX_MAGIC, entries)) {
        return Err("index checksum does not match");
    }
    let (mut places, mut at, mut next_offset) = (Vec::<Place>::new(), INDEX_HEADER_BYTES, start);
    while at < index.len() {
        let place = place_at(index, at).ok_or("index entry is longer than the index")?;
        let body_bytes = (place.bytes as usize).checked_sub(BLOCK_HEADER_BYTES + PAIR_HEADER_BYTES);
        if place.offset != next_offset || body_bytes.is_none_or(|bytes| bytes > BODY_BYTES_MAX) {
            return Err("index names a block that cannot be there");
        }
        if places.last().is_some_and(|last| index[last.key.clone()] >= index[place.key.clone()]) {
            return Err("keys of the index are not in order");
        }
        at = place.key.end;
        next_offset = next_offset.saturating_add(u64::from(place.bytes));
        places.push(place);
    }
    if next_offset == offset { Ok(places) } else { Err("blocks of the index do not reach up to it") }
}

fn place_at(index: &[u8], at: usize) -> Option<Place> {
    let entry = index.get(at..)?;
    let offset = u64_at(entry, PLACE_OFFSET_AT)?;
    let bytes = u32_at(entry, PLACE_BYTES_AT)?;
    let checksum = u32_at(entry, PLACE_CHECKSUM_AT)?;
    let key_bytes = u32_at(entry, PLACE_KEY_BYTES_AT)? as usize;
    let key = at + PLACE_HEADER_BYTES..(at + PLACE_HEADER_BYTES).checked_add(key_bytes)?;
    (key_bytes <= KEY_BYTES_MAX && index.get(key.clone()).is_some()).then_some(Place {
        offset,
        bytes,
        checksum,
        key,
    })
}

/// The crc32 of all block checksums.
pub(crate) fn fingerprint(checksums: impl Iterator<Item = u32>) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    checksums.for_each(|checksum| hasher.update(&checksum.to_le_bytes()));
    hasher.finalize()
}

/// The end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) index_offset: u64,
    pub(crate) index_bytes: u64,
    pub(crate) info: RunInfo,
}

impl Footer {
    /// The bytes of the footer; it starts where the index ends.
    pub(crate) fn encode(&self, identity: Identity) -> [u8; FOOTER_BYTES] {
        let mut bytes = [0; FOOTER_BYTES];
        put(&mut bytes, FOOTER_INDEX_OFFSET_AT, &self.index_offset.to_le_bytes());
        put(&mut bytes, FOOTER_INDEX_BYTES_AT, &self.index_bytes.to_le_bytes());
        put(&mut bytes, FOOTER_BLOCKS_AT, &self.info.blocks.to_le_bytes());
        put(&mut bytes, FOOTER_PAIRS_AT, &self.info.entries.to_le_bytes());
        put(&mut bytes, FOOTER_FILE_BYTES_AT, &self.info.bytes.to_le_bytes());
        put(&mut bytes, FOOTER_FINGERPRINT_AT, &self.info.checksum.to_le_bytes());
        let offset = self.index_offset + self.index_bytes;
        let checksum = identity.checksum(offset, &bytes[..FOOTER_CHECKSUM_AT], &[]);
        put(&mut bytes, FOOTER_CHECKSUM_AT, &checksum.to_le_bytes());
        put(&mut bytes, FOOTER_MAGIC_AT, &FOOTER_MAGIC);
        bytes
    }

    /// Reads the footer that stands at `offset`.
    pub(crate) fn decode(bytes: &[u8], identity: Identity, offset: u64) -> Result<Footer, &'static str> {
        if field_at(bytes, FOOTER_MAGIC_AT) != Some(FOOTER_MAGIC) {
            return Err("footer magic does not match");
        }
        let covered = bytes.get(..FOOTER_CHECKSUM_AT).unwrap_or_default();
        if u32_at(bytes, FOOTER_CHECKSUM_AT) != Some(identity.checksum(offset, covered, &[])) {
            return Err("footer checksum does not match");
        }
        Footer::fields(bytes, identity.run).ok_or("footer is cut")
    }

    fn fields(bytes: &[u8], id: u64) -> Option<Footer> {
        let info = RunInfo {
            id,
            bytes: u64_at(bytes, FOOTER_FILE_BYTES_AT)?,
            blocks: u64_at(bytes, FOOTER_BLOCKS_AT)?,
            entries: u64_at(bytes, FOOTER_PAIRS_AT)?,
            checksum: u32_at(bytes, FOOTER_FINGERPRINT_AT)?,
        };
        let index_offset = u64_at(bytes, FOOTER_INDEX_OFFSET_AT)?;
        let index_bytes = u64_at(bytes, FOOTER_INDEX_BYTES_AT)?;
        Some(Footer { index_offset, index_bytes, info })
    }
}
