//! Thin doors to the encoders and decoders of the format, for the fuzz targets and the tests of `docs/format.md`.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::journal::RecordKind;
use crate::journal::root::{Creation, Identity, RootFile, Slot};
use crate::journal::summary::{PinRecord, RollbackRecord, encode_own};
use crate::medium::name::ROOT;
use crate::medium::{Medium, MediumFile, Sim, name, read_range, write_all};
use crate::position::{Epoch, Lsn, Position};
use crate::segment::field;
use crate::segment::frame::{self, FrameHeader, FrameKind};
use crate::segment::header;
use crate::segment::record::{self, RecordView, Records};
use crate::segment::slot::{self, Extent, Junction, SlotPlace};
use crate::snapshot::{Reading, Run, RunInfo, RunWriter, list};

mod repair;

pub use repair::{repair_frame, repair_frames, repair_list, repair_preamble, repair_run};

/// A record and all its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of docs/format.md")]
pub struct Record {
    pub kind: RecordKind,
    pub end: bool,
    pub type_version: u16,
    pub time: u64,
    pub key_id: Option<u32>,
    pub meta: Option<Vec<u8>>,
    pub payload: Vec<u8>,
}

/// Records as a body.
pub fn write_records(records: &[Record]) -> Vec<u8> {
    let mut body = Vec::new();
    for record in records {
        let view = RecordView {
            kind: record.kind,
            end: record.end,
            type_version: record.type_version,
            time: Timestamp::from_micros(record.time),
            key_id: record.key_id,
            meta: record.meta.as_deref(),
            payload: &record.payload,
        };
        view.encode(&mut body);
    }
    body
}

/// A change of a store, as its record would be written anew.
///
/// # Errors
///
/// `Damaged` if it is none.
#[cfg(feature = "store")]
pub fn read_change(payload: &[u8]) -> Result<Vec<u8>> {
    crate::store::fuzzing::read_change(payload)
}

/// A document in a run, as it would be written anew.
///
/// # Errors
///
/// `Damaged` if it is none.
#[cfg(feature = "store")]
pub fn read_document(bytes: &[u8]) -> Result<Vec<u8>> {
    crate::store::fuzzing::read_document(bytes)
}

/// The records of a body, up to the first that does not decode.
pub fn read_records(body: &[u8]) -> (Vec<Record>, Option<Error>) {
    let mut records = Vec::new();
    for view in Records::new(body) {
        match view {
            Ok(view) => records.push(Record {
                kind: view.kind,
                end: view.end,
                type_version: view.type_version,
                time: view.time.micros(),
                key_id: view.key_id,
                meta: view.meta.map(<[u8]>::to_vec),
                payload: view.payload.to_vec(),
            }),
            Err(error) => return (records, Some(error)),
        }
    }
    (records, None)
}

/// Whether a body is right for its frame's header.
pub fn check_body(body: &[u8], count: u32, continues: bool) -> Result<bool> {
    record::check_body(body, count, continues)
}

/// A frame and all its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of docs/format.md")]
pub struct Frame {
    pub kind: u8,
    pub continues: bool,
    pub chain: Option<[u8; 32]>,
    pub aligned: bool,
    pub record_count: u32,
    pub epoch: u32,
    pub previous: u32,
    pub first_lsn: u64,
    pub mark: u64,
    pub offset: u64,
    pub body: Vec<u8>,
}

/// The bytes of a frame and its header's checksum; `None` for a kind that there is not.
pub fn write_frame(frame: &Frame, salt: u64) -> Option<(Vec<u8>, u32)> {
    let header = FrameHeader {
        kind: FrameKind::from_byte(frame.kind)?,
        continues: frame.continues,
        chain: frame.chain.is_some(),
        aligned: frame.aligned,
        body_bytes: frame.body.len() as u32,
        record_count: frame.record_count,
        epoch: Epoch::new(frame.epoch),
        previous: frame.previous,
        first_lsn: Lsn::new(frame.first_lsn),
        mark: Lsn::new(frame.mark),
        offset: frame.offset,
    };
    let mut bytes = vec![0; frame::HEADER_BYTES];
    bytes.extend_from_slice(frame.chain.as_ref().map_or(&[], |chain| &chain[..]));
    bytes.extend_from_slice(&frame.body);
    let sum = frame::complete(&mut bytes, &header, salt);
    Some((bytes, sum))
}

/// The frame at the start of `bytes`, if header, chain and body check.
pub fn read_frame(bytes: &[u8], salt: u64, offset: u64) -> Result<Option<Frame>> {
    let Some((header, _)) = FrameHeader::decode(bytes, salt, offset)? else { return Ok(None) };
    let length = usize::try_from(header.frame_bytes()).unwrap_or(usize::MAX);
    let Some(bytes) = bytes.get(..length).filter(|bytes| header.body_checks(bytes, salt)) else {
        return Ok(None);
    };
    Ok(Some(Frame {
        kind: header.kind.byte(),
        continues: header.continues,
        chain: if header.chain { bytes[frame::HEADER_BYTES..].first_chunk().copied() } else { None },
        aligned: header.aligned,
        record_count: header.record_count,
        epoch: header.epoch.get(),
        previous: header.previous,
        first_lsn: header.first_lsn.get(),
        mark: header.mark.get(),
        offset: header.offset,
        body: bytes[header.body_start()..][..header.body_bytes as usize].to_vec(),
    }))
}

/// A birth header's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of docs/format.md")]
pub struct Birth {
    pub journal_id: [u8; 16],
    pub number: u64,
    pub salt: u64,
    pub capacity: u64,
}

/// A birth header block.
pub fn write_birth(birth: &Birth) -> Vec<u8> {
    header::Birth::new(birth.journal_id, birth.number, birth.salt, birth.capacity).encode()
}

/// The fields of a birth header block.
pub fn read_birth(block: &[u8]) -> Result<Birth> {
    let birth = header::Birth::decode(block, "segment")?;
    let header::Birth { journal_id, number, salt, capacity, .. } = birth;
    Ok(Birth { journal_id, number, salt, capacity })
}

/// A root file's fields; the positions of a slot are left out where they are 0.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of docs/format.md")]
pub struct Root {
    pub journal_id: [u8; 16],
    pub face: u8,
    pub codec: u8,
    pub aligned: bool,
    pub created: u64,
    pub segment_bytes: (u64, u64),
    pub frame_bytes_max: u32,
    pub type_name: String,
    pub sequence: u64,
    pub epoch: u32,
    pub floor: u64,
    /// Epoch, Lsn and time.
    pub horizon: (u32, u64, u64),
    /// Number and salt.
    pub first_segment: (u64, u64),
    pub newest_segment: u64,
    /// Number and end of the frames; zeros if none.
    pub clean: (u64, u64),
}

/// A root file with the same slot twice.
pub fn write_root(root: &Root) -> Result<Vec<u8>> {
    let creation = Creation {
        face: root.face,
        codec: root.codec,
        aligned: root.aligned,
        created_micros: root.created,
        segment_bytes_min: root.segment_bytes.0,
        segment_bytes_max: root.segment_bytes.1,
        frame_bytes_max: root.frame_bytes_max,
        type_name: root.type_name.clone(),
    };
    let horizon = Position::new(Epoch::new(root.horizon.0), Lsn::new(root.horizon.1));
    let mut slot = Slot::first(root.first_segment.0, root.first_segment.1)
        .raised(Epoch::new(root.epoch), Lsn::new(root.floor))
        .moved_to(root.newest_segment)
        .with_horizon(horizon, root.horizon.2, root.first_segment.0, root.first_segment.1)
        .closed_at(root.clean.0, root.clean.1);
    slot.sequence = root.sequence;
    let file = file_of(ROOT, &[])?;
    RootFile::create(Arc::clone(&file), Identity { id: root.journal_id, creation }, slot)?;
    read_range(&*file, ROOT, 0, u64::MAX)
}

/// The fields of a root file, from its better slot.
pub fn read_root(bytes: &[u8]) -> Result<Root> {
    let root = RootFile::open(file_of(ROOT, bytes)?)?;
    let (Identity { id, creation }, slot) = (root.identity, root.slot);
    Ok(Root {
        journal_id: id,
        face: creation.face,
        codec: creation.codec,
        aligned: creation.aligned,
        created: creation.created_micros,
        segment_bytes: (creation.segment_bytes_min, creation.segment_bytes_max),
        frame_bytes_max: creation.frame_bytes_max,
        type_name: creation.type_name,
        sequence: slot.sequence,
        epoch: slot.epoch().get(),
        floor: slot.floor().get(),
        horizon: (slot.horizon().epoch.get(), slot.horizon().lsn.get(), slot.horizon_time),
        first_segment: (slot.first_segment, slot.first_salt),
        newest_segment: slot.newest_segment,
        clean: slot.clean().unwrap_or_default(),
    })
}

fn file_of(name: &str, bytes: &[u8]) -> Result<Arc<dyn MediumFile>> {
    let file = Sim::new(0).create(name).map_err(|error| Error::io("create", name, error))?;
    write_all(&*file, name, bytes, 0)?;
    Ok(file)
}

/// A roll seal's fields: end and checksum of the last frame, number and salt of the successor, Lsns, times.
pub type RollSeal = (u64, u32, (u64, u64), (u64, u64), (u64, u64));
/// A link's fields: old epoch, last kept Lsn, bytes cut, then number, salt, end and checksum in the predecessor.
pub type Link = (u32, u64, u64, (u64, u64, u64, u32));

/// A roll seal's frame, written in `epoch`.
pub fn write_roll_seal(seal: RollSeal, epoch: u32, salt: u64, capacity: u64) -> Result<Vec<u8>> {
    let (end, sum, successor, lsns, times) = seal;
    let extent = Extent {
        first_lsn: Lsn::new(lsns.0),
        last_lsn: Lsn::new(lsns.1),
        first_time: Timestamp::from_micros(times.0),
        last_time: Timestamp::from_micros(times.1),
    };
    let place = SlotPlace { salt, epoch: Epoch::new(epoch), last_lsn: extent.last_lsn };
    slot::encode_roll_seal(slot::RollSeal::new(end, sum, successor, extent), place, capacity)
}

/// The roll seal in a slot.
pub fn read_roll_seal(bytes: &[u8], salt: u64, capacity: u64) -> Result<Option<RollSeal>> {
    let Some(seal) = slot::decode_roll_seal(bytes, salt, capacity)? else { return Ok(None) };
    let (extent, successor) = (seal.extent(), (seal.successor, seal.successor_salt));
    let lsns = (extent.first_lsn.get(), extent.last_lsn.get());
    Ok(Some((
        seal.end,
        seal.end_sum,
        successor,
        lsns,
        (extent.first_time.micros(), extent.last_time.micros()),
    )))
}

/// A link's frame, which begins `epoch`.
pub fn write_link(link: Link, epoch: u32, salt: u64) -> Result<Vec<u8>> {
    let (old_epoch, kept, cut, (number, old_salt, end, sum)) = link;
    let junction = Junction { number, salt: old_salt, end, sum };
    let place = SlotPlace { salt, epoch: Epoch::new(epoch), last_lsn: Lsn::new(kept) };
    slot::encode_link(slot::Link::new(Epoch::new(old_epoch), Lsn::new(kept), cut, junction), place)
}

/// The link in a slot, and the epoch that it begins.
pub fn read_link(bytes: &[u8], salt: u64) -> Result<Option<(u32, Link)>> {
    let Some((epoch, link)) = slot::decode_link(bytes, salt)? else { return Ok(None) };
    let from = link.junction();
    let from = (from.number, from.salt, from.end, from.sum);
    Ok(Some((epoch.get(), (link.old_epoch().get(), link.last_kept().get(), link.bytes_cut, from))))
}

/// The payload of a pin: name, position, time, note.
pub fn write_pin(name: &str, position: (u32, u64), time: u64, note: &str) -> Result<Vec<u8>> {
    let (epoch, lsn) = position;
    encode_own(PinRecord { name: name.to_owned(), epoch, lsn, time, note: note.to_owned() })
}

/// The payload of an unpin.
pub fn write_unpin(name: &str) -> Result<Vec<u8>> {
    encode_own(name)
}

/// The payload of a rollback: target, checksum of the state, and its run's id, bytes, blocks, pairs and fingerprint.
pub fn write_rollback(target: (u32, u64), state_sum: u32, run: (u64, u64, u64, u64, u32)) -> Result<Vec<u8>> {
    let (target_epoch, target_lsn) = target;
    let (run_id, run_bytes, run_blocks, run_entries, run_sum) = run;
    encode_own(RollbackRecord {
        target_epoch,
        target_lsn,
        state_sum,
        run_id,
        run_bytes,
        run_blocks,
        run_entries,
        run_sum,
    })
}

/// The payload of a clock record: the time expected and the time shown.
pub fn write_clock(expected: u64, wall: u64) -> Result<Vec<u8>> {
    encode_own((expected, wall))
}

/// A snapshot list as it would be written again, and how many runs it has.
pub fn read_list(name: &str, bytes: &[u8]) -> Result<(Vec<u8>, usize)> {
    let list = list::decode(name, bytes)?;
    Ok((list::encode(name, &list)?, list.runs.len()))
}

/// A run of `pairs`, whose keys ascend.
pub fn write_run(id: u64, journal_id: [u8; 16], pairs: &[(Vec<u8>, Vec<u8>)]) -> Result<Vec<u8>> {
    let sim = Sim::new(0);
    let medium: Arc<dyn Medium> = Arc::new(sim.clone());
    let mut run = RunWriter::create(&medium, id, journal_id)?;
    pairs.iter().try_for_each(|(key, value)| run.push(key, value))?;
    run.finish()?;
    Ok(sim.bytes(&name::run(id)).unwrap_or_default())
}

/// All pairs of a run that its list describes as it does itself; checked whole, then read `mapped` or not.
pub fn read_run(
    id: u64,
    journal_id: [u8; 16],
    bytes: &[u8],
    mapped: bool,
) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let sim = Sim::new(0);
    let name = name::run(id);
    let file = sim.create(&name).map_err(|error| Error::io("create", &name, error))?;
    write_all(&*file, &name, bytes, 0)?;
    let footer = bytes.len().checked_sub(64).map_or([0; 64].as_slice(), |at| &bytes[at..]);
    let info = RunInfo {
        id,
        bytes: bytes.len() as u64,
        blocks: field!(u64, footer, 16),
        entries: field!(u64, footer, 24),
        checksum: field!(u32, footer, 40),
    };
    let reading = if mapped { Reading::Mapped } else { Reading::Read };
    let run = Run::open(&sim, &info, journal_id, reading)?;
    run.verify()?;
    run.iter().collect()
}
