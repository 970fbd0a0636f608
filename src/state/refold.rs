//! Folding the log as read back: at opening, for reads of the past, and for snapshots.

use std::any::Any;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::compaction::SnapshotMaker;
use crate::journal::options::FACE_TYPED;
use crate::journal::summary::{RollbackRecord, decode_own};
use crate::journal::{Journal, RecordKind};
use crate::position::{Lsn, Position};
use crate::segment::frame::FrameHeader;
use crate::segment::record::{RecordView, Records};
use crate::snapshot::{RunInfo, SnapshotList, read_state};
use crate::state::fold::{Fold, Meta, Stamp, state_version};

/// A state folded up to a position, in as many copies as were asked for.
#[derive(Debug)]
pub(crate) struct Folded<S> {
    pub(crate) states: Vec<S>,
    /// The last record that changed the state, or the snapshot it came from.
    pub(crate) changed: Lsn,
    /// The time of the last record up to there, of whatever kind.
    pub(crate) time: Timestamp,
}

/// Folds the history up to `through`, which must be durable, from the newest snapshot that can be used.
pub(crate) fn fold_to<S: Fold>(journal: &Journal, through: Lsn, copies: usize) -> Result<Folded<S>> {
    let mut bad = BTreeSet::new();
    loop {
        let horizon = journal.horizon();
        let accept = |list: &SnapshotList| accepts::<S>(horizon, list) && !bad.contains(&list.position);
        let base = match journal.base_at(through, &accept) {
            Ok(base) => base,
            // The horizon passed by and took what was being looked for.
            Err(_) if journal.horizon() != horizon => continue,
            Err(error) => return Err(error),
        };
        let position = base.list.as_ref().map(|list| list.position);
        let attempt = start::<S>(journal, base.list.as_ref(), copies).map_err(|error| (error, position));
        let attempt = attempt.and_then(|states| {
            let (after, time) = (base.summary.position().lsn, base.summary.time());
            let mut folded = Folded { states, changed: after, time };
            catch_up(journal, &mut folded, after, through).map_err(|error| (error, None))?;
            Ok(folded)
        });
        match attempt {
            Ok(folded) => return Ok(folded),
            // The horizon passed by and took what was being read.
            Err(_) if journal.horizon() != horizon => {}
            // Above the horizon a snapshot is only a short cut (J9).
            Err((_, Some(position))) if position.lsn > horizon.lsn => drop(bad.insert(position)),
            Err((error, _)) => return Err(error),
        }
    }
}

/// Takes in the records in `(after, through]`, which must be durable.
pub(crate) fn catch_up<S: Fold>(
    journal: &Journal,
    folded: &mut Folded<S>,
    after: Lsn,
    through: Lsn,
) -> Result<()> {
    journal.each_frame(after, through, &mut |header, body| {
        fold_frame(journal, folded, header, body, |lsn| lsn > after && lsn <= through)
    })
}

fn fold_frame<S: Fold>(
    journal: &Journal,
    folded: &mut Folded<S>,
    header: &FrameHeader,
    body: &[u8],
    wanted: impl Fn(Lsn) -> bool,
) -> Result<()> {
    let mut lsn = header.first_lsn;
    for view in Records::new(body) {
        let view = view?;
        if wanted(lsn) {
            let position = Position::new(header.epoch, lsn);
            if fold_record(journal, &mut folded.states, position, &view)? {
                folded.changed = lsn;
            }
            folded.time = view.time;
        }
        lsn = lsn.next();
    }
    Ok(())
}

/// Takes in one record; tells whether it may have changed the state.
fn fold_record<S: Fold>(
    journal: &Journal,
    states: &mut [S],
    position: Position,
    view: &RecordView<'_>,
) -> Result<bool> {
    match view.kind {
        RecordKind::Event => {
            let (event, stamp) = read_event::<S>(position, view)?;
            for state in states {
                apply(state, &event, &stamp).map_err(|error| {
                    error.at_lsn(position.lsn).advise("mend the fold: it must accept what is in the log")
                })?;
            }
            Ok(true)
        }
        RecordKind::Rollback => {
            let record: RollbackRecord =
                decode_own(view.payload).map_err(|error| error.at_lsn(position.lsn))?;
            let bytes = read_rolled_back(journal, &record).map_err(|error| error.at_lsn(position.lsn))?;
            for state in states {
                *state = S::decode_state(view.type_version, &bytes)?;
            }
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// Decodes an event record.
pub(crate) fn read_event<S: Fold>(position: Position, view: &RecordView<'_>) -> Result<(S::Event, Stamp)> {
    let event = S::decode(view.type_version, view.payload).map_err(|error| error.at_lsn(position.lsn))?;
    Ok((event, stamp_of(position, view.time, view.meta)?))
}

/// The stamp of a record as read back.
pub(crate) fn stamp_of(position: Position, time: Timestamp, meta: Option<&[u8]>) -> Result<Stamp> {
    let meta = meta.map(Meta::decode).transpose().map_err(|error| error.at_lsn(position.lsn))?;
    Ok(Stamp { meta: meta.map(Arc::new), ..Stamp::new(position, time) })
}

/// Applies an event. After an error the state is half changed and must be thrown away.
pub(crate) fn apply<S: Fold>(state: &mut S, event: &S::Event, stamp: &Stamp) -> Result<()> {
    catch_unwind(AssertUnwindSafe(|| state.apply(event, stamp))).map_err(|panic| {
        let what = format!("the fold {:?} panicked on an event: {}", S::NAME, message(&*panic));
        Error::new(ErrorKind::Refused, what)
    })
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Whether a snapshot can be started from: one of this fold as it is, or the one that the history starts with.
fn accepts<S: Fold>(horizon: Position, list: &SnapshotList) -> bool {
    let ours = list.face == FACE_TYPED && list.type_name == S::NAME && list.codec == S::CODEC.number();
    let same = list.state_version == state_version::<S>() && list.fold_revision == S::FOLD_REVISION;
    ours && (same || (horizon.lsn > Lsn::ZERO && list.position == horizon))
}

fn start<S: Fold>(journal: &Journal, list: Option<&SnapshotList>, copies: usize) -> Result<Vec<S>> {
    let Some(list) = list else { return Ok((0..copies).map(|_| S::default()).collect()) };
    let [run] = &list.runs[..] else {
        let what = format!("snapshot at {} has {} runs, a state has one", list.position, list.runs.len());
        return Err(Error::new(ErrorKind::Damaged, what));
    };
    let bytes = read_run(journal, run)?;
    (0..copies).map(|_| S::decode_state(list.state_version, &bytes)).collect()
}

/// The bytes of the state that a rollback returned to.
fn read_rolled_back(journal: &Journal, record: &RollbackRecord) -> Result<Vec<u8>> {
    let info = RunInfo {
        id: record.run_id,
        bytes: record.run_bytes,
        blocks: record.run_blocks,
        entries: record.run_entries,
        checksum: record.run_sum,
    };
    let bytes = read_run(journal, &info)?;
    if crc32fast::hash(&bytes) != record.state_sum {
        let name = crate::medium::name::run(record.run_id);
        return Err(Error::damaged(name, 0, "state of a rollback is not the one that was recorded"));
    }
    Ok(bytes)
}

fn read_run(journal: &Journal, info: &RunInfo) -> Result<Vec<u8>> {
    let run = journal.open_run(info)?;
    let mut reader = read_state(&run);
    let mut bytes = Vec::new();
    match reader.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(reader
            .error()
            .cloned()
            .unwrap_or_else(|| Error::io("read", &crate::medium::name::run(info.id), error))),
    }
}

/// Writes the bytes of a state as a synced run.
pub(crate) fn write_run(journal: &Journal, bytes: &[u8]) -> Result<RunInfo> {
    let mut writer = journal.state_writer()?;
    let written = writer.write_all(bytes);
    // The writer keeps the error behind a failed write and answers with it here.
    let info = writer.finish()?;
    written.map_err(|error| Error::io("write", &crate::medium::name::run(info.id), error))?;
    Ok(info)
}

/// Makes a snapshot at the durable end.
pub(crate) fn snapshot<S: Fold>(journal: &Journal) -> Result<Position> {
    with_maker::<S, _>(journal, |maker| journal.make_snapshot(maker))
}

/// Works with a maker, again if a snapshot to start from does not read back: it is only a short cut.
pub(crate) fn with_maker<S: Fold, T>(
    journal: &Journal,
    mut work: impl FnMut(&mut Maker<S>) -> Result<T>,
) -> Result<T> {
    let mut maker = Maker::new(journal);
    loop {
        match work(&mut maker) {
            Err(_) if maker.set_aside() => {}
            outcome => return outcome,
        }
    }
}

/// Makes snapshots of a folded state from the log as read back (J10).
pub(crate) struct Maker<S> {
    journal: Journal,
    horizon: Position,
    folded: Folded<S>,
    after: Lsn,
    /// Snapshots whose state did not read back.
    bad: BTreeSet<Position>,
    started: Option<Position>,
}

impl<S: Fold> Maker<S> {
    pub(crate) fn new(journal: &Journal) -> Maker<S> {
        Maker {
            journal: journal.clone(),
            horizon: journal.horizon(),
            folded: Folded { states: Vec::new(), changed: Lsn::ZERO, time: Timestamp::ZERO },
            after: Lsn::ZERO,
            bad: BTreeSet::new(),
            started: None,
        }
    }

    /// After a failure: whether another attempt would start from another snapshot.
    pub(crate) fn set_aside(&mut self) -> bool {
        match self.started.take() {
            Some(position) if self.folded.states.is_empty() && position.lsn > self.horizon.lsn => {
                self.bad.insert(position)
            }
            _ => false,
        }
    }
}

impl<S: Fold> SnapshotMaker for Maker<S> {
    fn accepts(&self, list: &SnapshotList) -> bool {
        accepts::<S>(self.horizon, list) && !self.bad.contains(&list.position)
    }

    fn start(&mut self, list: Option<&SnapshotList>) -> Result<()> {
        self.folded.states.clear();
        self.started = list.map(|list| list.position);
        self.after = list.map_or(Lsn::ZERO, |list| list.position.lsn);
        self.folded.states = start(&self.journal, list, 1)?;
        Ok(())
    }

    fn frame(&mut self, header: &FrameHeader, body: &[u8]) -> Result<()> {
        let after = self.after;
        fold_frame(&self.journal, &mut self.folded, header, body, |lsn| lsn > after)
    }

    fn runs(&mut self) -> Result<Vec<RunInfo>> {
        let state = self.folded.states.first();
        let state = state.ok_or_else(|| Error::new(ErrorKind::Absent, "no state was folded"))?;
        let bytes = S::CODEC.encode(state)?;
        // A snapshot that would not read back is not made.
        S::decode_state(state_version::<S>(), &bytes)?;
        Ok(vec![write_run(&self.journal, &bytes)?])
    }

    fn versions(&self) -> (u16, u32) {
        (state_version::<S>(), S::FOLD_REVISION)
    }
}
