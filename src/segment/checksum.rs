//! Checksums that bind bytes to their place: CRC-32 (IEEE) seeded with salt, epoch and offset.

use crc32fast::Hasher;

use crate::position::Epoch;

/// The place that a checksum is bound to. The same bytes elsewhere do not verify (fault D8).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// The segment's random salt.
    pub(crate) salt: u64,
    /// The epoch of the frame.
    pub(crate) epoch: Epoch,
    /// The offset of the checked bytes in the file.
    pub(crate) offset: u64,
}

/// The checksum of `bytes` at `place`: CRC-32 over salt, epoch, offset (8 + 4 + 8 bytes) and then the bytes.
pub(crate) fn at_place(place: Place, bytes: &[u8]) -> u32 {
    let mut seed = [0; 20];
    seed[..8].copy_from_slice(&place.salt.to_le_bytes());
    seed[8..12].copy_from_slice(&place.epoch.get().to_le_bytes());
    seed[12..].copy_from_slice(&place.offset.to_le_bytes());
    let mut hasher = Hasher::new();
    hasher.update(&seed);
    hasher.update(bytes);
    hasher.finalize()
}

/// The plain checksum of `bytes`: CRC-32 without a seed.
pub(crate) fn plain(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_elsewhere_do_not_verify() {
        let place = Place { salt: 7, epoch: Epoch::new(1), offset: 8192 };
        let here = at_place(place, b"bytes");
        assert_eq!(here, at_place(place, b"bytes"));
        assert_ne!(here, at_place(Place { salt: 8, ..place }, b"bytes"));
        assert_ne!(here, at_place(Place { epoch: Epoch::new(2), ..place }, b"bytes"));
        assert_ne!(here, at_place(Place { offset: 8200, ..place }, b"bytes"));
    }
}
