//! The root file: who this journal is, and two slots that say what must be there.
//!
//! # Format
//!
//! Four preamble blocks ([`crate::segment::header`]) of 4096 bytes: identity, its copy, slot A, slot B.
//! Identity: journal id at 32 (16 bytes), length of the rest at 48 (u32), then in this order face u8, codec u8,
//! aligned u8, created u64 (microseconds since 1970), smallest segment u64, largest segment u64, largest frame body
//! u32, type name (length u64, UTF-8).
//! Slot: length of the rest at 32 (u32), then at 36 in this order sequence u64, epoch u32, floor u64, horizon Lsn u64,
//! horizon epoch u32, horizon time u64, first segment u64, its salt u64, newest segment u64, cleanly closed segment
//! u64 (0 none) and the end of its frames u64.
//!
//! Slots are written in turn, the older one each time, and synced; the valid one with the higher sequence counts.
//! A slot is written when the journal is created, rolls, mends, compacts or closes, and always after what it says has
//! become true and durable.

use std::sync::Arc;

use bincode::{Decode, Encode};

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::summary::{decode_own, encode_own};
use crate::medium::name::ROOT;
use crate::medium::{MediumFile, read_range, write_all};
use crate::position::{Epoch, Lsn, Position};
use crate::segment::header::{FIELDS_OFFSET, JournalId, PREAMBLE_BYTES, check_preamble, seal_preamble};
use crate::segment::{field, put};

const IDENTITY_MAGIC: [u8; 8] = *b"EVLGROOT";
const SLOT_MAGIC: [u8; 8] = *b"EVLGSLOT";
const BLOCK: u64 = PREAMBLE_BYTES as u64;
const IDENTITY_OFFSETS: [u64; 2] = [0, BLOCK];
pub(crate) const SLOT_OFFSETS: [u64; 2] = [2 * BLOCK, 3 * BLOCK];
const ID_OFFSET: usize = FIELDS_OFFSET;
const IDENTITY_LENGTH_OFFSET: usize = 48;
const SLOT_LENGTH_OFFSET: usize = FIELDS_OFFSET;
/// The longest type name.
pub(crate) const TYPE_NAME_BYTES_MAX: usize = 1024;

/// What was decided when the journal was created.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Creation {
    /// 0 raw, 1 typed, 2 store.
    pub(crate) face: u8,
    pub(crate) codec: u8,
    pub(crate) aligned: bool,
    pub(crate) created_micros: u64,
    pub(crate) segment_bytes_min: u64,
    pub(crate) segment_bytes_max: u64,
    pub(crate) frame_bytes_max: u32,
    pub(crate) type_name: String,
}

/// Who a journal is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: JournalId,
    pub(crate) creation: Creation,
}

impl Identity {
    fn encode(&self) -> Result<Vec<u8>> {
        let rest = encode_own(&self.creation)?;
        let mut block = vec![0; PREAMBLE_BYTES];
        block[ID_OFFSET..ID_OFFSET + 16].copy_from_slice(&self.id);
        put!(block, IDENTITY_LENGTH_OFFSET, rest.len() as u32);
        block[IDENTITY_LENGTH_OFFSET + 4..][..rest.len()].copy_from_slice(&rest);
        seal_preamble(&mut block, IDENTITY_MAGIC);
        Ok(block)
    }

    fn decode(block: &[u8], offset: u64) -> Result<Identity> {
        check_preamble(block, IDENTITY_MAGIC, ROOT, offset)?;
        let mut id = JournalId::default();
        id.copy_from_slice(&block[ID_OFFSET..ID_OFFSET + 16]);
        let rest = length_prefixed(block, IDENTITY_LENGTH_OFFSET, offset)?;
        Ok(Identity { id, creation: decode_own(rest).map_err(|error| error.in_file(ROOT))? })
    }
}

fn length_prefixed(block: &[u8], at: usize, offset: u64) -> Result<&[u8]> {
    let length = field!(u32, block, at) as usize;
    block[at + 4..PREAMBLE_BYTES - 4]
        .get(..length)
        .ok_or_else(|| Error::damaged(ROOT, offset + at as u64, "length is out of range"))
}

/// What must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Slot {
    pub(crate) sequence: u64,
    epoch: u32,
    floor: u64,
    horizon_lsn: u64,
    horizon_epoch: u32,
    /// Microseconds since 1970.
    pub(crate) horizon_time: u64,
    /// The segment at the horizon, where reading starts.
    pub(crate) first_segment: u64,
    pub(crate) first_salt: u64,
    /// The newest segment that may hold frames.
    pub(crate) newest_segment: u64,
    clean_segment: u64,
    clean_end: u64,
}

impl Slot {
    /// The slot of a journal whose only segment is empty.
    pub(crate) fn first(segment: u64, salt: u64) -> Slot {
        Slot {
            sequence: 1,
            epoch: 0,
            floor: 0,
            horizon_lsn: 0,
            horizon_epoch: 0,
            horizon_time: 0,
            first_segment: segment,
            first_salt: salt,
            newest_segment: segment,
            clean_segment: 0,
            clean_end: 0,
        }
    }

    pub(crate) fn epoch(&self) -> Epoch {
        Epoch::new(self.epoch)
    }

    /// All records up to this one were durable when the slot was written.
    pub(crate) fn floor(&self) -> Lsn {
        Lsn::new(self.floor)
    }

    /// Records up to this one are gone; a snapshot stands here.
    pub(crate) fn horizon(&self) -> Position {
        Position::new(Epoch::new(self.horizon_epoch), Lsn::new(self.horizon_lsn))
    }

    /// The segment whose seal was durable when the slot was written, and where its frames end.
    pub(crate) fn clean(&self) -> Option<(u64, u64)> {
        (self.clean_segment != 0).then_some((self.clean_segment, self.clean_end))
    }

    /// The same with a higher floor and epoch.
    #[must_use]
    pub(crate) fn raised(mut self, epoch: Epoch, floor: Lsn) -> Slot {
        self.epoch = self.epoch.max(epoch.get());
        self.floor = self.floor.max(floor.get());
        self
    }

    /// The same after mending: the history now ends at `last_kept`, be that below the floor of before, which may have
    /// counted the durable part of a transaction that was never finished.
    #[must_use]
    pub(crate) fn mended(self, epoch: Epoch, last_kept: Lsn, segment: u64) -> Slot {
        let slot = Slot { floor: last_kept.get(), ..self };
        slot.raised(epoch, last_kept).moved_to(segment)
    }

    /// The same with frames now going to `segment`.
    #[must_use]
    pub(crate) fn moved_to(mut self, segment: u64) -> Slot {
        self.newest_segment = segment;
        self.clean_segment = 0;
        self.clean_end = 0;
        self
    }

    /// The same after a clean close.
    #[must_use]
    pub(crate) fn closed_at(mut self, segment: u64, end: u64) -> Slot {
        self.clean_segment = segment;
        self.clean_end = end;
        self
    }

    /// The same with a higher horizon.
    #[must_use]
    pub(crate) fn with_horizon(mut self, horizon: Position, time: u64, segment: u64, salt: u64) -> Slot {
        self.horizon_lsn = horizon.lsn.get();
        self.horizon_epoch = horizon.epoch.get();
        self.horizon_time = time;
        self.first_segment = segment;
        self.first_salt = salt;
        self
    }

    fn encode(&self) -> Result<Vec<u8>> {
        let rest = encode_own(self)?;
        let mut block = vec![0; PREAMBLE_BYTES];
        put!(block, SLOT_LENGTH_OFFSET, rest.len() as u32);
        block[SLOT_LENGTH_OFFSET + 4..][..rest.len()].copy_from_slice(&rest);
        seal_preamble(&mut block, SLOT_MAGIC);
        Ok(block)
    }

    fn decode(block: &[u8], offset: u64) -> Result<Slot> {
        check_preamble(block, SLOT_MAGIC, ROOT, offset)?;
        let rest = length_prefixed(block, SLOT_LENGTH_OFFSET, offset)?;
        decode_own(rest).map_err(|error| error.in_file(ROOT))
    }
}

/// Why what was asked for cannot be read: it lies before the horizon of `slot`.
pub(crate) fn before_horizon(slot: &Slot, what: &str) -> Error {
    let (earliest, earliest_time) = (slot.horizon(), Timestamp::from_micros(slot.horizon_time));
    Error::new(
        ErrorKind::BeforeHorizon { earliest, earliest_time },
        format!("{what}; the earliest is {earliest} of {earliest_time}"),
    )
    .advise("ask for a later position, or keep more history next time")
}

/// The root file, open.
#[derive(Debug)]
pub(crate) struct RootFile {
    file: Arc<dyn MediumFile>,
    pub(crate) identity: Identity,
    /// The identity as stored, with what a later minor version may have put there.
    identity_block: Vec<u8>,
    /// Whether one of its copies does not check.
    identity_flawed: bool,
    /// What counts now.
    pub(crate) slot: Slot,
    /// The same as stored.
    slot_block: Vec<u8>,
    /// Where it stands.
    slot_index: usize,
    /// Copies that do not check, as messages; the other copy of each does.
    pub(crate) flaws: Vec<Error>,
    /// Whether this session has written what it goes by, so that it is on the device and not only in the cache.
    restated: bool,
}

impl RootFile {
    /// Writes a new root file into `file` and syncs it; the name is the caller's to sync.
    pub(crate) fn create(file: Arc<dyn MediumFile>, identity: Identity, slot: Slot) -> Result<RootFile> {
        let identity_block = identity.encode()?;
        let slot_block = slot.encode()?;
        let mut bytes = identity_block.clone();
        bytes.extend_from_slice(&identity_block);
        bytes.extend_from_slice(&slot_block);
        bytes.extend_from_slice(&slot_block);
        write_all(&*file, ROOT, &bytes, 0)?;
        file.sync().map_err(|error| Error::io("sync", ROOT, error))?;
        Ok(RootFile {
            file,
            identity,
            identity_block,
            identity_flawed: false,
            slot,
            slot_block,
            slot_index: 0,
            flaws: Vec::new(),
            restated: true,
        })
    }

    /// Reads a root file. One good copy of identity and slot is enough; the flaws of the others are noted.
    pub(crate) fn open(file: Arc<dyn MediumFile>) -> Result<RootFile> {
        let bytes = read_range(&*file, ROOT, 0, 4 * BLOCK)?;
        let block = |offset: u64| bytes.get(offset as usize..).unwrap_or_default();
        let cut = |offset: u64| &block(offset)[..block(offset).len().min(PREAMBLE_BYTES)];
        let mut flaws = Vec::new();
        let identities = IDENTITY_OFFSETS.map(|offset| Identity::decode(cut(offset), offset));
        let (copy, identity) = pick(identities, &mut flaws, |_| 0)?;
        let identity_block = cut(IDENTITY_OFFSETS[copy]).to_vec();
        let identity_flawed = !flaws.is_empty();
        let slots = SLOT_OFFSETS.map(|offset| Slot::decode(cut(offset), offset));
        let (slot_index, slot) = pick(slots, &mut flaws, |slot| slot.sequence)?;
        Ok(RootFile {
            file,
            identity,
            identity_block,
            identity_flawed,
            slot,
            slot_block: cut(SLOT_OFFSETS[slot_index]).to_vec(),
            slot_index,
            flaws,
            restated: false,
        })
    }

    /// Writes what this session goes by once more, where it stands, and syncs it. A sync that failed earlier may have
    /// left it in the cache alone: the device would then have nothing here, or an older slot than the one about to be
    /// overwritten. Where the device has it, the bytes are the same, so that a torn write harms nothing.
    pub(crate) fn restate(&mut self) -> Result<()> {
        if self.restated {
            return Ok(());
        }
        for offset in IDENTITY_OFFSETS {
            write_all(&*self.file, ROOT, &self.identity_block, offset)?;
        }
        write_all(&*self.file, ROOT, &self.slot_block, SLOT_OFFSETS[self.slot_index])?;
        self.file.sync().map_err(|error| Error::io("sync", ROOT, error))?;
        self.restated = true;
        Ok(())
    }

    /// Writes the next slot over the older one and syncs it. After an error the journal must be poisoned.
    pub(crate) fn write_slot(&mut self, slot: Slot) -> Result<()> {
        self.restate()?;
        let slot = Slot { sequence: self.slot.sequence + 1, ..slot };
        let index = 1 - self.slot_index;
        let block = slot.encode()?;
        write_all(&*self.file, ROOT, &block, SLOT_OFFSETS[index])?;
        self.file.sync().map_err(|error| Error::io("sync", ROOT, error))?;
        self.slot = slot;
        self.slot_block = block;
        self.slot_index = index;
        Ok(())
    }

    /// Writes the good identity over a copy that does not check, byte for byte.
    pub(crate) fn mend_identity(&mut self) -> Result<()> {
        if !self.identity_flawed {
            return Ok(());
        }
        for offset in IDENTITY_OFFSETS {
            if read_range(&*self.file, ROOT, offset, BLOCK)? != self.identity_block {
                write_all(&*self.file, ROOT, &self.identity_block, offset)?;
                self.file.sync().map_err(|error| Error::io("sync", ROOT, error))?;
            }
        }
        self.identity_flawed = false;
        Ok(())
    }
}

/// What stands in a root file, each copy judged by itself: for those who report every fault.
#[cfg(feature = "cli")]
#[derive(Debug)]
pub(crate) struct Copies {
    pub(crate) identities: [Result<Identity>; 2],
    pub(crate) slots: [Result<Slot>; 2],
}

#[cfg(feature = "cli")]
impl Copies {
    /// Reads all four blocks.
    pub(crate) fn read(file: &dyn MediumFile) -> Result<Copies> {
        let bytes = read_range(file, ROOT, 0, 4 * BLOCK)?;
        let block = |offset: u64| bytes.get(offset as usize..).unwrap_or_default();
        let cut = |offset: u64| &block(offset)[..block(offset).len().min(PREAMBLE_BYTES)];
        Ok(Copies {
            identities: IDENTITY_OFFSETS.map(|offset| Identity::decode(cut(offset), offset)),
            slots: SLOT_OFFSETS.map(|offset| Slot::decode(cut(offset), offset)),
        })
    }
}

/// Picks the best of two copies; an error only if both are bad, or one is of a newer format.
fn pick<T>(copies: [Result<T>; 2], flaws: &mut Vec<Error>, rank: impl Fn(&T) -> u64) -> Result<(usize, T)> {
    let mut best: Option<(usize, T)> = None;
    let mut bad = Vec::new();
    for (index, copy) in copies.into_iter().enumerate() {
        match copy {
            Ok(value) if best.as_ref().is_none_or(|(_, best)| rank(&value) > rank(best)) => {
                best = Some((index, value));
            }
            Ok(_) => {}
            Err(error) if *error.kind() == ErrorKind::NewerFormat => return Err(error),
            Err(error) => bad.push(error),
        }
    }
    match best {
        Some(best) => {
            flaws.append(&mut bad);
            Ok(best)
        }
        None => Err(bad
            .swap_remove(0)
            .advise("both copies are bad; restore the file `journal` from a backup, or run everlog salvage")),
    }
}
