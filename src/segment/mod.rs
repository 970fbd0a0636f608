//! One file of frames: its birth header, its slots for a link and a roll seal, and the frames between them.
//!
//! # Format
//!
//! A segment is a file of `capacity` bytes, filled with zeros before it is used:
//!
//! | offset | bytes | what |
//! | --- | --- | --- |
//! | 0 | 4096 | birth header, see [`header`] |
//! | 4096 | 4096 | link slot: zeros, or one link frame ([`frame`], [`slot`]) |
//! | 8192 | capacity - 12288 | frames, each at a multiple of 8, zeros after the last |
//! | capacity - 4096 | 4096 | roll seal slot: zeros, or one roll seal frame |
//!
//! Everything is little-endian and of fixed width.

pub(crate) mod checksum;
pub(crate) mod frame;
pub(crate) mod header;
pub(crate) mod reader;
pub(crate) mod record;
pub(crate) mod scan;
pub(crate) mod slot;

/// Size of the blocks that separate what must not tear together: header, link slot, frames, roll seal slot.
pub(crate) const BLOCK_BYTES: u64 = 4096;
/// Where the link slot starts.
pub(crate) const LINK_OFFSET: u64 = BLOCK_BYTES;
/// Where the first frame starts.
pub(crate) const FRAMES_OFFSET: u64 = 2 * BLOCK_BYTES;
/// The smallest segment: its fixed blocks and room for small frames.
pub(crate) const CAPACITY_MIN: u64 = 4 * BLOCK_BYTES;
/// The largest segment that is believed before anything else is read.
pub(crate) const CAPACITY_MAX: u64 = 1 << 40;
/// Frames start at multiples of this.
pub(crate) const FRAME_ALIGN: u64 = 8;

/// Where the roll seal slot of a segment of `capacity` bytes starts; frames end at or before it.
pub(crate) const fn roll_seal_offset(capacity: u64) -> u64 {
    capacity - BLOCK_BYTES
}

/// `offset` rounded up to a multiple of `align`, which is a power of two.
pub(crate) const fn align_up(offset: u64, align: u64) -> u64 {
    (offset + (align - 1)) & !(align - 1)
}

/// Reads a fixed-width little-endian field; the caller has checked that `bytes` is long enough.
macro_rules! field {
    ($kind:ty, $bytes:expr, $offset:expr) => {{
        let mut raw = [0_u8; size_of::<$kind>()];
        raw.copy_from_slice(&$bytes[$offset..$offset + size_of::<$kind>()]);
        <$kind>::from_le_bytes(raw)
    }};
}
pub(crate) use field;

/// Writes a fixed-width little-endian field.
macro_rules! put {
    ($bytes:expr, $offset:expr, $value:expr) => {{
        let raw = $value.to_le_bytes();
        $bytes[$offset..$offset + raw.len()].copy_from_slice(&raw);
    }};
}
pub(crate) use put;
