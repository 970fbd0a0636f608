//! A frame: what one write puts down. A header with a checksum of its own, a body, a checksum per 64 KiB.
//!
//! # Format
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 4 | magic `EVL1` |
//! | 4 | 1 | kind: 1 data, 2 mark, 3 seal, 4 roll seal, 5 link |
//! | 5 | 1 | flags: 1 continues, 2 chain, 4 aligned |
//! | 6 | 1 | compression id: 0 none |
//! | 7 | 1 | zero |
//! | 8 | 4 | body length in bytes |
//! | 12 | 4 | number of records |
//! | 16 | 4 | epoch |
//! | 20 | 4 | previous: header checksum of the frame before, or of the birth header |
//! | 24 | 8 | first Lsn: of the first record, or of the next one to come |
//! | 32 | 8 | mark: the last Lsn whose bytes were all written before a successful sync began |
//! | 40 | 8 | the frame's own offset in the file |
//! | 48 | 4 | zero |
//! | 52 | 4 | header checksum: seeded, over bytes 0..52 |
//! | 56 | 32 | chain, only with its flag |
//! | 56 or 88 | … | body |
//! | after the body | 4 each | checksum of each started 64 KiB of chain and body, seeded with their offset |
//!
//! A seeded checksum is CRC-32 over salt (8), epoch (4), offset (8) and the bytes. The next frame starts at the next
//! multiple of 8, or of 4096 with the flag *aligned*; what lies between means nothing.

use crate::error::{Error, ErrorKind, Result};
use crate::position::{Epoch, Lsn};
use crate::segment::checksum::{self, Place};
use crate::segment::{BLOCK_BYTES, FRAME_ALIGN, align_up, field, put};

/// The size of a frame's header.
pub(crate) const HEADER_BYTES: usize = 56;
/// The size of the optional chain field.
pub(crate) const CHAIN_BYTES: usize = 32;
/// Each started stretch of this many bytes behind the header, chain and body together, has a checksum.
pub(crate) const CHECK_STRETCH: usize = 64 * 1024;
const CHECK_BYTES: usize = 4;
/// The largest body that is believed: a transaction's largest record and its surroundings.
pub(crate) const BODY_BYTES_MAX: u32 = 1 << 30;

pub(crate) const MAGIC: u32 = u32::from_le_bytes(*b"EVL1");
const KIND_OFFSET: usize = 4;
const FLAGS_OFFSET: usize = 5;
const COMPRESSION_OFFSET: usize = 6;
const ZERO_OFFSET: usize = 7;
const BODY_OFFSET: usize = 8;
const COUNT_OFFSET: usize = 12;
const EPOCH_OFFSET: usize = 16;
const PREVIOUS_OFFSET: usize = 20;
const FIRST_LSN_OFFSET: usize = 24;
const MARK_OFFSET: usize = 32;
const OWN_OFFSET: usize = 40;
const RESERVED_OFFSET: usize = 48;
const CHECKSUM_OFFSET: usize = 52;

const FLAG_CONTINUES: u8 = 1;
const FLAG_CHAIN: u8 = 2;
const FLAG_ALIGNED: u8 = 4;
const FLAGS_KNOWN: u8 = FLAG_CONTINUES | FLAG_CHAIN | FLAG_ALIGNED;

/// What a frame is for. Complete for format version 1; another kind is a newer format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// Records.
    Data,
    /// Says what is durable, without records.
    Mark,
    /// A clean close: all before it is durable.
    Seal,
    /// The end of a full segment, in its own slot.
    RollSeal,
    /// What makes a mended segment live, in its own slot.
    Link,
}

impl FrameKind {
    pub(crate) fn from_byte(byte: u8) -> Option<FrameKind> {
        Some(match byte {
            1 => FrameKind::Data,
            2 => FrameKind::Mark,
            3 => FrameKind::Seal,
            4 => FrameKind::RollSeal,
            5 => FrameKind::Link,
            _ => return None,
        })
    }

    pub(crate) fn byte(self) -> u8 {
        match self {
            FrameKind::Data => 1,
            FrameKind::Mark => 2,
            FrameKind::Seal => 3,
            FrameKind::RollSeal => 4,
            FrameKind::Link => 5,
        }
    }
}

/// The fields of a frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) kind: FrameKind,
    /// Whether the last record's transaction goes on in the next frame.
    pub(crate) continues: bool,
    /// Whether a chain field follows the header.
    pub(crate) chain: bool,
    /// Whether the next frame starts at a multiple of 4096.
    pub(crate) aligned: bool,
    pub(crate) body_bytes: u32,
    pub(crate) record_count: u32,
    pub(crate) epoch: Epoch,
    /// The header checksum of the frame before.
    pub(crate) previous: u32,
    pub(crate) first_lsn: Lsn,
    pub(crate) mark: Lsn,
    pub(crate) offset: u64,
}

impl FrameHeader {
    /// The header as stored, and its checksum.
    pub(crate) fn encode(&self, salt: u64) -> ([u8; HEADER_BYTES], u32) {
        let mut bytes = [0; HEADER_BYTES];
        put!(bytes, 0, MAGIC);
        bytes[KIND_OFFSET] = self.kind.byte();
        bytes[FLAGS_OFFSET] = u8::from(self.continues) * FLAG_CONTINUES
            + u8::from(self.chain) * FLAG_CHAIN
            + u8::from(self.aligned) * FLAG_ALIGNED;
        put!(bytes, BODY_OFFSET, self.body_bytes);
        put!(bytes, COUNT_OFFSET, self.record_count);
        put!(bytes, EPOCH_OFFSET, self.epoch.get());
        put!(bytes, PREVIOUS_OFFSET, self.previous);
        put!(bytes, FIRST_LSN_OFFSET, self.first_lsn.get());
        put!(bytes, MARK_OFFSET, self.mark.get());
        put!(bytes, OWN_OFFSET, self.offset);
        let place = Place { salt, epoch: self.epoch, offset: self.offset };
        let sum = checksum::at_place(place, &bytes[..CHECKSUM_OFFSET]);
        put!(bytes, CHECKSUM_OFFSET, sum);
        (bytes, sum)
    }

    /// Reads the header at `offset`. `Ok(None)`: not a valid header, whatever it is. An error: valid, but of a newer
    /// format.
    pub(crate) fn decode(bytes: &[u8], salt: u64, offset: u64) -> Result<Option<(FrameHeader, u32)>> {
        if bytes.len() < HEADER_BYTES
            || field!(u32, bytes, 0) != MAGIC
            || field!(u64, bytes, OWN_OFFSET) != offset
        {
            return Ok(None);
        }
        let epoch = Epoch::new(field!(u32, bytes, EPOCH_OFFSET));
        let sum = field!(u32, bytes, CHECKSUM_OFFSET);
        if sum != checksum::at_place(Place { salt, epoch, offset }, &bytes[..CHECKSUM_OFFSET]) {
            return Ok(None);
        }
        let kind = known_kind(bytes).map_err(|what| {
            let error = Error::new(ErrorKind::NewerFormat, what).at_offset(offset);
            error.advise("use a version of everlog that knows it; nothing was changed")
        })?;
        let flags = bytes[FLAGS_OFFSET];
        let header = FrameHeader {
            kind,
            continues: flags & FLAG_CONTINUES != 0,
            chain: flags & FLAG_CHAIN != 0,
            aligned: flags & FLAG_ALIGNED != 0,
            body_bytes: field!(u32, bytes, BODY_OFFSET),
            record_count: field!(u32, bytes, COUNT_OFFSET),
            epoch,
            previous: field!(u32, bytes, PREVIOUS_OFFSET),
            first_lsn: Lsn::new(field!(u64, bytes, FIRST_LSN_OFFSET)),
            mark: Lsn::new(field!(u64, bytes, MARK_OFFSET)),
            offset,
        };
        let possible = header.body_bytes <= BODY_BYTES_MAX && header.record_count <= header.body_bytes;
        Ok(possible.then_some((header, sum)))
    }

    /// The Lsn after the last record of this frame.
    pub(crate) fn next_lsn(&self) -> Lsn {
        self.first_lsn.plus(u64::from(self.record_count))
    }

    /// Where the body starts, counted from the frame's start.
    pub(crate) fn body_start(&self) -> usize {
        HEADER_BYTES + if self.chain { CHAIN_BYTES } else { 0 }
    }

    /// The frame's length: header, chain, body and checksums, without what follows to the next multiple.
    pub(crate) fn frame_bytes(&self) -> u64 {
        (HEADER_BYTES + with_checks(self.covered_bytes())) as u64
    }

    /// Where the next frame starts.
    pub(crate) fn next_offset(&self) -> u64 {
        align_up(self.offset + self.frame_bytes(), if self.aligned { BLOCK_BYTES } else { FRAME_ALIGN })
    }

    fn place(&self, salt: u64, within: usize) -> Place {
        Place { salt, epoch: self.epoch, offset: self.offset + within as u64 }
    }

    /// The bytes between header and checksums: chain and body.
    fn covered_bytes(&self) -> usize {
        self.body_start() - HEADER_BYTES + self.body_bytes as usize
    }

    /// Whether chain and body in `frame`, all bytes of this frame, match their checksums.
    pub(crate) fn body_checks(&self, frame: &[u8], salt: u64) -> bool {
        let end = HEADER_BYTES + self.covered_bytes();
        let sums = frame[end..].chunks_exact(CHECK_BYTES);
        frame[HEADER_BYTES..end].chunks(CHECK_STRETCH).enumerate().zip(sums).all(|((index, stretch), sum)| {
            let place = self.place(salt, HEADER_BYTES + index * CHECK_STRETCH);
            checksum::at_place(place, stretch) == field!(u32, sum, 0)
        })
    }
}

/// The kind of a header whose checksum is right, or what in it only a newer version can know.
fn known_kind(bytes: &[u8]) -> Result<FrameKind, String> {
    let flags = bytes[FLAGS_OFFSET] & !FLAGS_KNOWN;
    if flags != 0 {
        return Err(format!("frame flag {} is unknown", 1 << flags.trailing_zeros()));
    }
    if bytes[COMPRESSION_OFFSET] != 0 {
        return Err(format!("compression {} of a frame is unknown", bytes[COMPRESSION_OFFSET]));
    }
    if bytes[ZERO_OFFSET] != 0 || field!(u32, bytes, RESERVED_OFFSET) != 0 {
        return Err("a reserved field of a frame is in use".to_owned());
    }
    let byte = bytes[KIND_OFFSET];
    FrameKind::from_byte(byte).ok_or_else(|| format!("frame kind {byte} is unknown"))
}

/// `bytes` of chain and body together with their checksums.
const fn with_checks(bytes: usize) -> usize {
    bytes + bytes.div_ceil(CHECK_STRETCH) * CHECK_BYTES
}

/// The room that a frame of `body_bytes` takes in a segment, at most.
pub(crate) const fn room(body_bytes: usize, aligned: bool) -> u64 {
    let raw = (HEADER_BYTES + with_checks(CHAIN_BYTES + body_bytes)) as u64;
    align_up(raw, if aligned { BLOCK_BYTES } else { FRAME_ALIGN })
}

/// Completes a frame in `frame`, whose first [`HEADER_BYTES`] are free and whose chain, if any, and body follow: writes
/// the header, adds the checksums, and returns the header's checksum.
pub(crate) fn complete(frame: &mut Vec<u8>, header: &FrameHeader, salt: u64) -> u32 {
    let body_end = frame.len();
    let (head, sum) = header.encode(salt);
    frame[..HEADER_BYTES].copy_from_slice(&head);
    let mut at = HEADER_BYTES;
    while at < body_end {
        let end = (at + CHECK_STRETCH).min(body_end);
        let check = checksum::at_place(header.place(salt, at), &frame[at..end]);
        frame.extend_from_slice(&check.to_le_bytes());
        at = end;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(body_bytes: usize) -> FrameHeader {
        FrameHeader {
            kind: FrameKind::Data,
            continues: false,
            chain: false,
            aligned: false,
            body_bytes: body_bytes as u32,
            record_count: 1,
            epoch: Epoch::new(2),
            previous: 5,
            first_lsn: Lsn::new(7),
            mark: Lsn::new(6),
            offset: 8192,
        }
    }

    fn frame(body: &[u8]) -> (Vec<u8>, FrameHeader) {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes.extend_from_slice(body);
        let header = header(body.len());
        complete(&mut bytes, &header, 42);
        (bytes, header)
    }

    fn valid(bytes: &[u8], offset: u64) -> bool {
        match FrameHeader::decode(bytes, 42, offset) {
            Ok(Some((header, _))) => {
                bytes.len() as u64 == header.frame_bytes() && header.body_checks(bytes, 42)
            }
            _ => false,
        }
    }

    #[test]
    fn a_frame_survives_a_round_trip_at_every_size_around_a_stretch() {
        for size in [1, 16, CHECK_STRETCH - 1, CHECK_STRETCH, CHECK_STRETCH + 1, 3 * CHECK_STRETCH] {
            let (bytes, header) = frame(&vec![0xA5; size]);
            let (decoded, _) = FrameHeader::decode(&bytes, 42, 8192).expect("known").expect("valid");
            assert_eq!(decoded, header);
            assert_eq!(bytes.len() as u64, header.frame_bytes());
            assert!(valid(&bytes, 8192));
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let (bytes, _) = frame(b"some body bytes");
        for index in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[index] ^= 1 << bit;
                assert!(!valid(&flipped, 8192), "byte {index} bit {bit}");
            }
        }
    }

    #[test]
    fn zeros_other_places_and_other_salts_are_not_frames() {
        assert!(!valid(&[0; 200], 0));
        let (bytes, _) = frame(b"body");
        assert!(!valid(&bytes, 8200), "another offset");
        assert!(FrameHeader::decode(&bytes, 43, 8192).expect("known").is_none(), "another salt");
    }

    #[test]
    fn a_record_of_fifty_bytes_costs_at_most_128_on_disk() {
        assert!(align_up((HEADER_BYTES + with_checks(16 + 50)) as u64, FRAME_ALIGN) <= 128);
    }

    #[test]
    fn what_is_unknown_is_a_newer_format_and_named() {
        let unknown = [
            (KIND_OFFSET, 77, "frame kind 77"),
            (FLAGS_OFFSET, 0x28, "flag 8"),
            (COMPRESSION_OFFSET, 3, "compression 3"),
            (ZERO_OFFSET, 1, "reserved"),
            (RESERVED_OFFSET + 3, 1, "reserved"),
        ];
        for (at, value, name) in unknown {
            let (mut bytes, header) = frame(b"body");
            bytes[at] = value;
            let place = Place { salt: 42, epoch: header.epoch, offset: 8192 };
            let sum = checksum::at_place(place, &bytes[..CHECKSUM_OFFSET]);
            put!(bytes, CHECKSUM_OFFSET, sum);
            let error = FrameHeader::decode(&bytes, 42, 8192).expect_err("unknown");
            assert_eq!(error.kind(), &ErrorKind::NewerFormat);
            assert!(error.what().contains(name), "{error}");
        }
    }

    #[test]
    fn a_chain_field_is_read_over_and_covered_by_the_checksums() {
        for size in [4, CHECK_STRETCH - CHAIN_BYTES, CHECK_STRETCH - CHAIN_BYTES + 1] {
            let header = FrameHeader { chain: true, ..header(size) };
            let mut bytes = vec![0; HEADER_BYTES];
            bytes.extend_from_slice(&[0xC4; CHAIN_BYTES]);
            bytes.extend_from_slice(&vec![0xB0; size]);
            complete(&mut bytes, &header, 42);
            let (decoded, _) = FrameHeader::decode(&bytes, 42, 8192).expect("known").expect("valid");
            assert_eq!((decoded, decoded.frame_bytes()), (header, bytes.len() as u64));
            assert_eq!(bytes[decoded.body_start()..][..size], vec![0xB0; size]);
            assert!(valid(&bytes, 8192));
            bytes[HEADER_BYTES + 7] ^= 1;
            assert!(!valid(&bytes, 8192), "the chain is covered");
        }
    }
}
