//! The two frames with places of their own: the roll seal that ends a segment, the link that makes one live.
//!
//! # Format
//!
//! Each is a frame ([`crate::segment::frame`]) alone in its slot, without records; its body is fixed-width fields in
//! this order.
//!
//! Roll seal: end of the frames u64, header checksum of the last frame u32, successor's number u64 and salt u64,
//! first and last Lsn u64 each, time of the first and of the last record u64 each.
//!
//! Link: old epoch u32, last kept Lsn u64, bytes cut u64, predecessor's number u64, salt u64, end u64 and header
//! checksum of its last kept frame u32.

use bincode::{Decode, Encode};

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::position::{Epoch, Lsn};
use crate::segment::frame::{self, FrameHeader, FrameKind};
use crate::segment::{BLOCK_BYTES, LINK_OFFSET, roll_seal_offset};

const BODY_LIMIT: usize = 1024;

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_little_endian().with_fixed_int_encoding().with_limit::<BODY_LIMIT>()
}

/// How a full segment ends and which one comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct RollSeal {
    /// Where the frames end.
    pub(crate) end: u64,
    /// The header checksum of the last frame.
    pub(crate) end_sum: u32,
    /// The number of the segment that goes on.
    pub(crate) successor: u64,
    /// The salt in its birth header.
    pub(crate) successor_salt: u64,
    first_lsn: u64,
    last_lsn: u64,
    first_time: u64,
    last_time: u64,
}

/// What a segment holds, as its roll seal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) first_lsn: Lsn,
    pub(crate) last_lsn: Lsn,
    pub(crate) first_time: Timestamp,
    pub(crate) last_time: Timestamp,
}

impl RollSeal {
    pub(crate) fn new(end: u64, end_sum: u32, successor: (u64, u64), extent: Extent) -> RollSeal {
        RollSeal {
            end,
            end_sum,
            successor: successor.0,
            successor_salt: successor.1,
            first_lsn: extent.first_lsn.get(),
            last_lsn: extent.last_lsn.get(),
            first_time: extent.first_time.micros(),
            last_time: extent.last_time.micros(),
        }
    }

    #[cfg_attr(
        not(any(feature = "cli", feature = "sim")),
        allow(dead_code, reason = "the command and the tests use it")
    )]
    pub(crate) fn extent(&self) -> Extent {
        Extent {
            first_lsn: Lsn::new(self.first_lsn),
            last_lsn: Lsn::new(self.last_lsn),
            first_time: Timestamp::from_micros(self.first_time),
            last_time: Timestamp::from_micros(self.last_time),
        }
    }
}

/// What a mended segment continues, and what was left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Link {
    old_epoch: u32,
    last_kept: u64,
    /// How many bytes after the last kept frame were not zero up to the last one that was not.
    pub(crate) bytes_cut: u64,
    /// The segment that this one continues.
    pub(crate) predecessor: u64,
    /// The salt in its birth header.
    pub(crate) predecessor_salt: u64,
    /// Where its live frames end; what follows is dead.
    pub(crate) predecessor_end: u64,
    /// The header checksum of its last live frame.
    pub(crate) predecessor_sum: u32,
}

/// The place in an older segment that a link continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Junction {
    pub(crate) number: u64,
    pub(crate) salt: u64,
    pub(crate) end: u64,
    pub(crate) sum: u32,
}

impl Link {
    pub(crate) fn new(old_epoch: Epoch, last_kept: Lsn, bytes_cut: u64, junction: Junction) -> Link {
        Link {
            old_epoch: old_epoch.get(),
            last_kept: last_kept.get(),
            bytes_cut,
            predecessor: junction.number,
            predecessor_salt: junction.salt,
            predecessor_end: junction.end,
            predecessor_sum: junction.sum,
        }
    }

    #[cfg_attr(not(feature = "sim"), allow(dead_code, reason = "the tests of the format use it"))]
    pub(crate) fn old_epoch(&self) -> Epoch {
        Epoch::new(self.old_epoch)
    }

    /// The last record that survived; what the old epoch numbered above it is gone.
    #[cfg_attr(
        not(any(feature = "cli", feature = "sim")),
        allow(dead_code, reason = "the command and the tests use it")
    )]
    pub(crate) fn last_kept(&self) -> Lsn {
        Lsn::new(self.last_kept)
    }

    /// Where the kept history leaves the predecessor.
    pub(crate) fn junction(&self) -> Junction {
        Junction {
            number: self.predecessor,
            salt: self.predecessor_salt,
            end: self.predecessor_end,
            sum: self.predecessor_sum,
        }
    }
}

/// The header fields that a slot's frame shares with all frames.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlotPlace {
    pub(crate) salt: u64,
    pub(crate) epoch: Epoch,
    /// The last Lsn known durable, which is the last one there is.
    pub(crate) last_lsn: Lsn,
}

fn encode(kind: FrameKind, body: impl Encode, place: SlotPlace, offset: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![0; frame::HEADER_BYTES];
    let body = bincode::encode_to_vec(body, config())
        .map_err(|error| Error::new(ErrorKind::Input, format!("cannot encode a slot: {error}")))?;
    bytes.extend_from_slice(&body);
    let header = FrameHeader {
        kind,
        continues: false,
        chain: false,
        aligned: false,
        body_bytes: body.len() as u32,
        record_count: 0,
        epoch: place.epoch,
        previous: 0,
        first_lsn: place.last_lsn.next(),
        mark: place.last_lsn,
        offset,
    };
    frame::complete(&mut bytes, &header, place.salt);
    Ok(bytes)
}

fn decode<T: Decode<()>>(
    kind: FrameKind,
    slot: &[u8],
    salt: u64,
    offset: u64,
) -> Result<Option<(FrameHeader, T)>> {
    let Some((header, _)) = FrameHeader::decode(slot, salt, offset)? else {
        return Ok(None);
    };
    let length = header.frame_bytes() as usize;
    let plain = header.record_count == 0 && !header.continues && header.previous == 0;
    if header.kind != kind || !plain || length > slot.len() || !header.body_checks(&slot[..length], salt) {
        return Ok(None);
    }
    let body = &slot[header.body_start()..][..header.body_bytes as usize];
    match bincode::decode_from_slice(body, config()) {
        Ok((value, consumed)) if consumed == body.len() => Ok(Some((header, value))),
        _ => Ok(None),
    }
}

/// A roll seal as stored in its slot.
pub(crate) fn encode_roll_seal(seal: RollSeal, place: SlotPlace, capacity: u64) -> Result<Vec<u8>> {
    encode(FrameKind::RollSeal, seal, place, roll_seal_offset(capacity))
}

/// Reads the roll seal slot; `None` if it holds no valid one.
pub(crate) fn decode_roll_seal(slot: &[u8], salt: u64, capacity: u64) -> Result<Option<RollSeal>> {
    let found = decode::<RollSeal>(FrameKind::RollSeal, slot, salt, roll_seal_offset(capacity))?;
    Ok(found.map(|(_, seal)| seal))
}

/// A link as stored in its slot.
pub(crate) fn encode_link(link: Link, place: SlotPlace) -> Result<Vec<u8>> {
    encode(FrameKind::Link, link, place, LINK_OFFSET)
}

/// Reads the link slot; `None` if it holds no valid one. The epoch is the one that the link begins.
pub(crate) fn decode_link(slot: &[u8], salt: u64) -> Result<Option<(Epoch, Link)>> {
    let found = decode::<Link>(FrameKind::Link, slot, salt, LINK_OFFSET)?;
    Ok(found.map(|(header, link)| (header.epoch, link)))
}

const _: () = assert!(frame::HEADER_BYTES + 128 < BLOCK_BYTES as usize, "a slot's frame fits its block");

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: SlotPlace = SlotPlace { salt: 9, epoch: Epoch::new(2), last_lsn: Lsn::new(40) };

    #[test]
    fn slots_survive_a_round_trip_and_notice_every_flipped_byte() {
        let extent = Extent {
            first_lsn: Lsn::new(1),
            last_lsn: Lsn::new(40),
            first_time: Timestamp::from_micros(5),
            last_time: Timestamp::from_micros(6),
        };
        let seal = RollSeal::new(9000, 77, (4, 1234), extent);
        let bytes = encode_roll_seal(seal, PLACE, 65536).expect("encodes");
        assert_eq!(decode_roll_seal(&bytes, 9, 65536).expect("known"), Some(seal));
        assert_eq!(seal.extent(), extent);
        let junction = Junction { number: 3, salt: 8, end: 8200, sum: 5 };
        let link = Link::new(Epoch::new(1), Lsn::new(40), 17, junction);
        let stored = encode_link(link, PLACE).expect("encodes");
        assert_eq!(decode_link(&stored, 9).expect("known"), Some((Epoch::new(2), link)));
        assert_eq!(link.junction(), junction);
        for index in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[index] ^= 0x10;
            assert_eq!(decode_roll_seal(&flipped, 9, 65536).ok().flatten(), None, "byte {index}");
        }
        assert_eq!(decode_link(&bytes, 9).expect("known"), None, "another kind is not a link");
        assert_eq!(decode_link(&[0; 4096], 9).expect("known"), None);
        assert_eq!(decode_link(&stored, 10).expect("known"), None, "another salt");
    }
}
