//! Gives mutated bytes the checksums that they need to reach the decoders behind them.

use crate::position::Epoch;
use crate::segment::checksum::{Place, at_place, plain};
use crate::segment::{FRAME_ALIGN, align_up, field, put};

const FRAME_HEADER: usize = 56;
const CHAIN: usize = 32;
const STRETCH: usize = 64 * 1024;

/// Makes `bytes` a preamble block: its length, magic, version, required bits and checksum.
pub fn repair_preamble(bytes: &mut Vec<u8>, magic: &[u8; 8]) {
    bytes.resize(4096, 0);
    bytes[..8].copy_from_slice(magic);
    put!(bytes, 8, 1_u16);
    put!(bytes, 16, 0_u64);
    let sum = plain(&bytes[..4092]);
    put!(bytes, 4092, sum);
}

/// Makes `bytes` begin with a frame that checks, if they are long enough; returns where it ends and its checksum.
pub fn repair_frame(bytes: &mut [u8], salt: u64, offset: u64) -> Option<(usize, u32)> {
    if bytes.len() < FRAME_HEADER {
        return None;
    }
    bytes[..4].copy_from_slice(b"EVL1");
    bytes[5] &= 7;
    bytes[6] = 0;
    bytes[7] = 0;
    put!(bytes, 40, offset);
    put!(bytes, 48, 0_u32);
    if bytes.len() < FRAME_HEADER + CHAIN {
        bytes[5] &= !2;
    }
    let chain = if bytes[5] & 2 == 0 { 0 } else { CHAIN };
    let room = bytes.len() - FRAME_HEADER - chain;
    let checks = (bytes.len() - FRAME_HEADER).div_ceil(STRETCH) * 4;
    let body = (field!(u32, bytes, 8) as usize).min(room.saturating_sub(checks));
    put!(bytes, 8, body as u32);
    let end = FRAME_HEADER + chain + body;
    let epoch = Epoch::new(field!(u32, bytes, 16));
    let sum = at_place(Place { salt, epoch, offset }, &bytes[..52]);
    put!(bytes, 52, sum);
    let mut at = FRAME_HEADER;
    let mut check_at = end;
    while at < end && check_at + 4 <= bytes.len() {
        let stop = (at + STRETCH).min(end);
        let check = at_place(Place { salt, epoch, offset: offset + at as u64 }, &bytes[at..stop]);
        put!(bytes, check_at, check);
        (at, check_at) = (stop, check_at + 4);
    }
    Some((check_at, sum))
}

/// Repairs one frame after the other where a magic begins one, each continuing the one before, and all numbers but the
/// first; returns where they end.
pub fn repair_frames(bytes: &mut [u8], salt: u64, offset: u64, mut previous: u32) -> u64 {
    let mut at = 0;
    let mut next_lsn: Option<u64> = None;
    while at + FRAME_HEADER <= bytes.len() && bytes[at..at + 4] == *b"EVL1" {
        let rest = &mut bytes[at..];
        put!(rest, 20, previous);
        if let Some(lsn) = next_lsn {
            put!(rest, 24, lsn);
        }
        let Some((length, sum)) = repair_frame(rest, salt, offset + at as u64) else { break };
        next_lsn = Some(field!(u64, rest, 24).wrapping_add(u64::from(field!(u32, rest, 12))));
        let align = if rest[5] & 4 == 0 { FRAME_ALIGN } else { 4096 };
        at = (align_up(offset + (at + length) as u64, align) - offset) as usize;
        previous = sum;
    }
    offset + at as u64
}

/// Gives a snapshot list's header its version, bits, lengths and checksums.
pub fn repair_list(bytes: &mut Vec<u8>, name: &str) {
    bytes.resize(bytes.len().max(64), 0);
    bytes[..8].copy_from_slice(b"EVLGSNP\n");
    put!(bytes, 40, (bytes.len() - 64) as u32);
    let sum = plain(&[name.as_bytes(), &bytes[64..]].concat());
    put!(bytes, 44, sum);
    repair_snapshot_header(bytes);
}

fn repair_snapshot_header(bytes: &mut [u8]) {
    put!(bytes, 8, 1_u16);
    put!(bytes, 12, 0_u32);
    let sum = plain(&bytes[..60]);
    put!(bytes, 60, sum);
}

/// Gives a run's header, blocks, index and footer their magics, checksums and the lengths of the file.
pub fn repair_run(bytes: &mut Vec<u8>, id: u64, journal_id: [u8; 16]) {
    bytes.resize(bytes.len().max(64 + 8 + 64), 0);
    bytes[..8].copy_from_slice(b"EVLGRUN\n");
    bytes[24..40].copy_from_slice(&journal_id);
    put!(bytes, 40, id);
    repair_snapshot_header(bytes);
    let checksum = |offset: usize, parts: &[&[u8]]| {
        let seed = [&journal_id[..], &id.to_le_bytes(), &(offset as u64).to_le_bytes()].concat();
        plain(&[&seed[..], &parts.concat()].concat())
    };
    let footer = bytes.len() - 64;
    let index = usize::try_from(field!(u64, bytes, footer)).unwrap_or(0).clamp(64, footer - 8);
    let mut sums = Vec::new();
    let mut at = index + 8;
    while at + 20 <= footer {
        let start = usize::try_from(field!(u64, bytes, at)).unwrap_or(usize::MAX);
        let end = start.saturating_add(field!(u32, bytes, at + 8) as usize);
        if start >= 64 && end <= index && end - start >= 20 {
            bytes[start..start + 4].copy_from_slice(b"EBLK");
            put!(bytes, start + 4, (end - start - 20) as u32);
            let sum = checksum(start, &[&bytes[start..start + 16], &bytes[start + 20..end]]);
            put!(bytes, start + 16, sum);
            put!(bytes, at + 12, sum);
        }
        sums.extend_from_slice(&bytes[at + 12..at + 16]);
        at = (at + 20).saturating_add(field!(u32, bytes, at + 16) as usize);
    }
    bytes[index..index + 4].copy_from_slice(b"EIDX");
    let sum = checksum(index, &[&bytes[index..index + 4], &bytes[index + 8..footer]]);
    put!(bytes, index + 4, sum);
    put!(bytes, footer, index as u64);
    put!(bytes, footer + 8, (footer - index) as u64);
    put!(bytes, footer + 16, (sums.len() / 4) as u64);
    put!(bytes, footer + 32, bytes.len() as u64);
    put!(bytes, footer + 40, plain(&sums));
    let sum = checksum(footer, &[&bytes[footer..footer + 56]]);
    put!(bytes, footer + 56, sum);
    bytes[footer + 60..].copy_from_slice(b"EFTR");
}
