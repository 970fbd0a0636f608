//! The list that makes runs a snapshot: written last, read back, removed first.
//!
//! # Format
//!
//! The file is named `{lsn:020}-{epoch:010}.snap`. All numbers are little-endian. It is a header and a body, nothing
//! behind it. **Header**, 64 bytes: as in `header.rs`; own fields:
//!
//! | offset | bytes | field                                                             |
//! |--------|-------|-------------------------------------------------------------------|
//! | 40     | 4     | bytes of the body, at most 2^24                                   |
//! | 44     | 4     | crc32 of the file's name, without directory, then the body        |
//! | 48     | 12    | reserved: zero, ignored                                           |
//!
//! **Body**, at offset 64: bincode 2 with fixed-width integers, which is these fields without gaps:
//!
//! | bytes | field                                                                              |
//! |-------|------------------------------------------------------------------------------------|
//! | 8     | Lsn of the position                                                                |
//! | 4     | epoch of the position                                                              |
//! | 8     | time of the last record folded in, in microseconds since 1970                      |
//! | 8     | when the snapshot was made, in microseconds since 1970                             |
//! | 1     | face                                                                               |
//! | 1     | codec                                                                              |
//! | 2     | state version                                                                      |
//! | 4     | fold revision                                                                      |
//! | 8     | fingerprint of the state                                                           |
//! | 8 + n | type name: its bytes as a u64, then UTF-8                                          |
//! | 8 + n | summary: its bytes as a u64, then bytes that mean something to the face only       |
//! | 8     | runs                                                                               |
//! | 36    | each run: id u64, bytes u64, blocks u64, pairs u64, fingerprint u32                |

use bincode::{BorrowDecode, Decode, Encode};

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::medium::name::{self, FileName};
use crate::medium::{Access, Medium, read_range, write_all};
use crate::position::{Epoch, Lsn, Position};
use crate::snapshot::header::{HEADER_BYTES, Header, LIST, OWN_BYTES, put, u32_at};
use crate::snapshot::index::RunInfo;
use crate::snapshot::reader::{Reading, Run};

/// The longest body.
pub(crate) const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
const OWN_BODY_BYTES_AT: usize = 0;
const OWN_BODY_CHECKSUM_AT: usize = 4;
const RUN_BYTES: u64 = 36;

/// A snapshot: a folded state at a position, and the runs that hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotList {
    /// The journal that it belongs to.
    pub(crate) journal_id: [u8; 16],
    /// The last record folded in.
    pub(crate) position: Position,
    /// The time of that record.
    pub(crate) time: Timestamp,
    /// When the snapshot was made.
    pub(crate) made_at: Timestamp,
    /// Which face made it (J15).
    pub(crate) face: u8,
    /// The name of the state's type (J15).
    pub(crate) type_name: String,
    /// How the state is encoded.
    pub(crate) codec: u8,
    /// The version of the state's shape.
    pub(crate) state_version: u16,
    /// The revision of the fold that made it.
    pub(crate) fold_revision: u32,
    /// The fingerprint of the state (J10).
    pub(crate) fingerprint: u64,
    /// What the face wants to know before it opens a run.
    pub(crate) summary: Vec<u8>,
    /// The runs, in an order that means something to the face.
    pub(crate) runs: Vec<RunInfo>,
}

/// Makes `list` durable and reads it back (J9). All its runs must be finished; their names become durable here, before
/// the list's own. A damaged file in its place is removed first; a valid one is refused, since whether its bytes ever
/// reached the device is not known here.
pub(crate) fn write(medium: &dyn Medium, list: &SnapshotList) -> Result<()> {
    let name = name::snapshot(list.position);
    let bytes = encode(&name, list)?;
    match read(medium, list.position) {
        Err(error) if *error.kind() == ErrorKind::Absent => {}
        Err(error) if *error.kind() == ErrorKind::Damaged => {
            medium.remove(&name).map_err(|error| Error::io("remove", &name, error))?;
        }
        Err(error) => return Err(error),
        Ok(_) => {
            let what = "there is a snapshot at this position already";
            return Err(Error::new(ErrorKind::Conflict, what).in_file(&name).advise("remove it first"));
        }
    }
    sync_names(medium)?;
    let file = medium.create(&name).map_err(|error| Error::io("create", &name, error))?;
    let written = write_all(&*file, &name, &bytes, 0)
        .and_then(|()| file.sync().map_err(|error| Error::io("sync", &name, error)))
        .and_then(|()| sync_names(medium))
        .and_then(|()| {
            file.drop_cache(0..u64::MAX);
            match read(medium, list.position)? == *list {
                true => Ok(()),
                false => Err(Error::damaged(&name, 0, "list does not read back as it was written")),
            }
        });
    if written.is_err() {
        // Best effort: after a failed sync the cache may show a list that the device has not got (J5). A crash that
        // comes before the removal takes the cache with it.
        drop(medium.remove(&name));
    }
    written
}

/// Reads the list at `position` and checks all of it. Its runs are not touched.
pub(crate) fn read(medium: &dyn Medium, position: Position) -> Result<SnapshotList> {
    let name = name::snapshot(position);
    let file = medium.open(&name, Access::Read).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Error::new(ErrorKind::Absent, format!("no snapshot at {position}")).in_file(&name)
        }
        _ => Error::io("open", &name, error),
    })?;
    // One byte more than may be there, so that a longer file is told from one that just fits.
    let bytes = read_range(&*file, &name, 0, (HEADER_BYTES + BODY_BYTES_MAX + 1) as u64)?;
    let list = decode(&name, &bytes)?;
    if list.position != position {
        let what = format!("list of position {} has the name of another", list.position);
        return Err(Error::damaged(&name, HEADER_BYTES as u64, what));
    }
    Ok(list)
}

/// The positions of all lists in the directory, by name alone: newest first, highest Lsn and then epoch.
pub(crate) fn positions(medium: &dyn Medium) -> Result<Vec<Position>> {
    let mut positions: Vec<Position> = files(medium)?
        .into_iter()
        .filter_map(|file| match file {
            FileName::Snapshot(position) => Some(position),
            _ => None,
        })
        .collect();
    positions.sort_unstable_by_key(|position| std::cmp::Reverse((position.lsn, position.epoch)));
    Ok(positions)
}

/// Checks that the list on disk is `list`, and every block of every run of it (J9).
pub(crate) fn verify(medium: &dyn Medium, list: &SnapshotList) -> Result<()> {
    let name = name::snapshot(list.position);
    if let Ok(file) = medium.open(&name, Access::Read) {
        // After a failed sync and a failed removal the cache may show what the device has not got.
        file.drop_cache(0..u64::MAX);
    }
    if read(medium, list.position)? != *list {
        return Err(Error::damaged(name, 0, "list is not the one to be verified"));
    }
    list.runs.iter().try_for_each(|info| {
        Run::open(medium, info, list.journal_id, Reading::Read).and_then(|run| run.verify())
    })
}

/// Removes the list at `position`, durably, so that its runs may go next. One that is not there is removed already.
pub(crate) fn remove(medium: &dyn Medium, position: Position) -> Result<()> {
    let name = name::snapshot(position);
    match medium.remove(&name) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", &name, error)),
        _ => sync_names(medium),
    }
}

/// The ids of all run files that none of `lists` names, ascending. A run that is being written is among them.
///
/// # Errors
///
/// `Conflict` when the directory has a list that is not in `lists`: its runs cannot be told from unlisted ones.
pub(crate) fn unlisted_runs(medium: &dyn Medium, lists: &[SnapshotList]) -> Result<Vec<u64>> {
    let mut runs = Vec::new();
    for file in files(medium)? {
        match file {
            FileName::Run(id) => runs.push(id),
            FileName::Snapshot(position) if lists.iter().all(|list| list.position != position) => {
                let what = "which runs this list names was not said, so none can be called unlisted";
                return Err(Error::new(ErrorKind::Conflict, what)
                    .in_file(name::snapshot(position))
                    .advise("read it, or remove it if it is damaged and above the horizon"));
            }
            _ => {}
        }
    }
    let listed: std::collections::BTreeSet<u64> =
        lists.iter().flat_map(|list| &list.runs).map(|info| info.id).collect();
    runs.retain(|id| !listed.contains(id));
    runs.sort_unstable();
    Ok(runs)
}

fn files(medium: &dyn Medium) -> Result<Vec<FileName>> {
    let names = medium.names().map_err(|error| Error::io("list", &medium.label(), error))?;
    Ok(names.iter().map(|name| name::parse(name)).collect())
}

fn sync_names(medium: &dyn Medium) -> Result<()> {
    medium.sync_names().map_err(|error| Error::io("sync directory", &medium.label(), error))
}

/// The fixed front of a body, frozen as version 1.
#[derive(Encode, BorrowDecode)]
struct BodyV1<'a> {
    lsn: u64,
    epoch: u32,
    time_micros: u64,
    made_at_micros: u64,
    face: u8,
    codec: u8,
    state_version: u16,
    fold_revision: u32,
    fingerprint: u64,
    type_name: &'a str,
    summary: &'a [u8],
    runs: u64,
}

/// A run in a body, frozen as version 1.
#[derive(Encode, Decode)]
struct RunV1 {
    id: u64,
    bytes: u64,
    blocks: u64,
    pairs: u64,
    fingerprint: u32,
}

pub(crate) fn encode(name: &str, list: &SnapshotList) -> Result<Vec<u8>> {
    let front = BodyV1 {
        lsn: list.position.lsn.get(),
        epoch: list.position.epoch.get(),
        time_micros: list.time.micros(),
        made_at_micros: list.made_at.micros(),
        face: list.face,
        codec: list.codec,
        state_version: list.state_version,
        fold_revision: list.fold_revision,
        fingerprint: list.fingerprint,
        type_name: &list.type_name,
        summary: &list.summary,
        runs: list.runs.len() as u64,
    };
    let failed =
        |error| Error::new(ErrorKind::Input, format!("list cannot be encoded: {error}")).in_file(name);
    let mut body = bincode::encode_to_vec(front, config()).map_err(failed)?;
    for info in &list.runs {
        let run = RunV1 {
            id: info.id,
            bytes: info.bytes,
            blocks: info.blocks,
            pairs: info.entries,
            fingerprint: info.checksum,
        };
        body.append(&mut bincode::encode_to_vec(run, config()).map_err(failed)?);
    }
    // bincode holds to its limit when it decodes only, so what is too long would be written and never read again.
    if body.len() > BODY_BYTES_MAX {
        let kind = ErrorKind::TooLarge { actual: body.len() as u64, max: BODY_BYTES_MAX as u64 };
        return Err(Error::new(kind, "list of a snapshot is over its limit").in_file(name));
    }
    let mut own = [0; OWN_BYTES];
    put(&mut own, OWN_BODY_BYTES_AT, &(body.len() as u32).to_le_bytes());
    put(&mut own, OWN_BODY_CHECKSUM_AT, &checksum(name, &body).to_le_bytes());
    let mut bytes = LIST.encode(&Header { journal_id: list.journal_id, own }).to_vec();
    bytes.append(&mut body);
    Ok(bytes)
}

/// Decodes the whole of a list's file. Strings are borrowed and runs are taken one by one, so that no length in the
/// bytes decides how much memory is taken (J13).
pub(crate) fn decode(name: &str, bytes: &[u8]) -> Result<SnapshotList> {
    let header = LIST.decode(name, bytes)?;
    let body = &bytes[HEADER_BYTES..];
    let damage = |what: String| Error::damaged(name, HEADER_BYTES as u64, what);
    let length = u32_at(&header.own, OWN_BODY_BYTES_AT).unwrap_or_default() as usize;
    if length != body.len() || length > BODY_BYTES_MAX {
        return Err(damage(format!("body of the list has {} bytes, its header says {length}", body.len())));
    }
    if u32_at(&header.own, OWN_BODY_CHECKSUM_AT) != Some(checksum(name, body)) {
        return Err(damage("checksum of the list's body does not match".to_owned()));
    }
    let unreadable = |error| damage(format!("body of the list cannot be decoded: {error}"));
    let (front, mut at): (BodyV1<'_>, usize) =
        bincode::borrow_decode_from_slice(body, config()).map_err(unreadable)?;
    if front.runs.checked_mul(RUN_BYTES) != Some((body.len() - at) as u64) {
        return Err(damage("body of the list has another length than its runs".to_owned()));
    }
    let mut runs = Vec::new();
    for _ in 0..front.runs {
        let (run, count): (RunV1, usize) =
            bincode::decode_from_slice(&body[at..], config()).map_err(unreadable)?;
        let RunV1 { id, bytes, blocks, pairs, fingerprint } = run;
        runs.push(RunInfo { id, bytes, blocks, entries: pairs, checksum: fingerprint });
        at += count;
    }
    Ok(SnapshotList {
        journal_id: header.journal_id,
        position: Position::new(Epoch::new(front.epoch), Lsn::new(front.lsn)),
        time: Timestamp::from_micros(front.time_micros),
        made_at: Timestamp::from_micros(front.made_at_micros),
        face: front.face,
        type_name: front.type_name.to_owned(),
        codec: front.codec,
        state_version: front.state_version,
        fold_revision: front.fold_revision,
        fingerprint: front.fingerprint,
        summary: front.summary.to_vec(),
        runs,
    })
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_little_endian().with_fixed_int_encoding().with_limit::<BODY_BYTES_MAX>()
}

fn checksum(name: &str, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(name.as_bytes());
    hasher.update(body);
    hasher.finalize()
}
