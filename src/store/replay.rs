//! Folding the log as read back into a version: at opening, for views of the past, and for snapshots.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::journal::compaction::SnapshotMaker;
use crate::journal::options::FACE_STORE;
use crate::journal::{Journal, RecordKind};
use crate::position::{Lsn, Position};
use crate::segment::frame::FrameHeader;
use crate::segment::record::{RecordView, Records};
use crate::snapshot::{RunInfo, SnapshotList};
use crate::state::refold::stamp_of;
use crate::state::{Meta, Stamp};
use crate::store::base::Base;
use crate::store::op::Op;
use crate::store::version::{Effect, Version};

/// The version of the form that runs have.
const STATE_VERSION: u16 = 1;
/// The revision of the fold: another one makes snapshots anew.
const FOLD_REVISION: u32 = 1;

/// Records of a transaction in order, each with the stamp it shares with the others.
#[derive(Default)]
pub(crate) struct Stamps {
    /// What the first record of the transaction under way said about it.
    meta: Option<Arc<Meta>>,
    within: bool,
}

impl Stamps {
    /// The stamp of the next record.
    pub(crate) fn next(&mut self, position: Position, view: &RecordView<'_>) -> Result<Stamp> {
        if !self.within {
            self.meta = stamp_of(position, view.time, view.meta)?.meta;
        }
        self.within = !view.end;
        Ok(Stamp { meta: self.meta.clone(), ..Stamp::new(position, view.time) })
    }
}

/// Folds the history up to `through`, which must be durable, from the newest snapshot that can be used.
pub(crate) fn fold_to(journal: &Journal, through: Lsn) -> Result<Version> {
    let mut bad = BTreeSet::new();
    loop {
        let horizon = journal.horizon();
        let base = journal.base_at(through, &|list| accepts(list) && !bad.contains(&list.position))?;
        let position = base.list.as_ref().map(|list| list.position);
        let attempt = start(journal, base.list.as_ref()).and_then(|mut version| {
            catch_up(journal, &mut version, through)?;
            Ok(version)
        });
        match attempt {
            Ok(version) => return Ok(version),
            // The horizon passed by and took what was being read.
            Err(_) if journal.horizon() != horizon => {}
            // Above the horizon a snapshot is only a short cut (J9).
            Err(_) if position.is_some_and(|position| position.lsn > horizon.lsn && bad.insert(position)) => {
            }
            Err(error) => return Err(error),
        }
    }
}

/// Takes in the records after the version's position up to `through`, which must be durable.
pub(crate) fn catch_up(journal: &Journal, version: &mut Version, through: Lsn) -> Result<()> {
    visit(journal, version, through, &mut |_, _| Ok(()))
}

/// The same; shows what each record did.
pub(crate) fn visit(
    journal: &Journal,
    version: &mut Version,
    through: Lsn,
    show: &mut dyn FnMut(&Stamp, Vec<Effect>) -> Result<()>,
) -> Result<()> {
    let after = version.position.lsn;
    let mut stamps = Stamps::default();
    journal.each_frame(after, through, &mut |header, body| {
        fold_frame(version, &mut stamps, header, body, after..through, show)
    })
}

/// Takes in the records of a frame whose numbers lie above the start of `wanted` and not above its end.
fn fold_frame(
    version: &mut Version,
    stamps: &mut Stamps,
    header: &FrameHeader,
    body: &[u8],
    wanted: std::ops::Range<Lsn>,
    show: &mut dyn FnMut(&Stamp, Vec<Effect>) -> Result<()>,
) -> Result<()> {
    let mut lsn = header.first_lsn;
    for view in Records::new(body) {
        let view = view?;
        if lsn > wanted.start && lsn <= wanted.end {
            let position = Position::new(header.epoch, lsn);
            let stamp = stamps.next(position, &view)?;
            if view.kind == RecordKind::Event {
                let op = Op::decode(view.type_version, view.payload).map_err(|error| error.at_lsn(lsn))?;
                let effects = version.apply(&op, &stamp).map_err(|error| impossible(error, lsn))?;
                show(&stamp, effects)?;
            }
            version.pass(position, view.time);
        }
        lsn = lsn.next();
    }
    Ok(())
}

/// A change that was accepted once must be accepted again.
fn impossible(error: Error, lsn: Lsn) -> Error {
    match error.kind() {
        ErrorKind::WrongType | ErrorKind::Input | ErrorKind::TooLarge { .. } => {
            let what = format!("the log has a change that its state does not allow: {}", error.what());
            Error::new(ErrorKind::Damaged, what).at_lsn(lsn).advise("run everlog verify")
        }
        _ => error.at_lsn(lsn),
    }
}

/// Whether a snapshot can be started from.
fn accepts(list: &SnapshotList) -> bool {
    list.face == FACE_STORE && list.state_version == STATE_VERSION && list.fold_revision == FOLD_REVISION
}

fn start(journal: &Journal, list: Option<&SnapshotList>) -> Result<Version> {
    match list {
        None => Ok(Version::default()),
        Some(list) => Version::of_base(Base::open(journal, &list.runs)?, list.position, list.time),
    }
}

/// Makes a snapshot at the durable end.
pub(crate) fn snapshot(journal: &Journal) -> Result<Position> {
    with_maker(journal, |maker| journal.make_snapshot(maker))
}

/// Works with a maker, again if a snapshot to start from does not read back: it is only a short cut.
pub(crate) fn with_maker<T>(journal: &Journal, mut work: impl FnMut(&mut Maker) -> Result<T>) -> Result<T> {
    let mut maker = Maker::new(journal);
    loop {
        match work(&mut maker) {
            Err(_) if maker.set_aside() => {}
            outcome => return outcome,
        }
    }
}

/// Makes snapshots of a store from the log as read back (J10): what changed since the last one becomes a run of its own.
pub(crate) struct Maker {
    journal: Journal,
    horizon: Position,
    version: Version,
    stamps: Stamps,
    after: Lsn,
    /// The runs below the version, oldest first.
    runs: Vec<RunInfo>,
    /// Snapshots that did not read back.
    bad: BTreeSet<Position>,
    started: Option<Position>,
}

impl Maker {
    pub(crate) fn new(journal: &Journal) -> Maker {
        Maker {
            journal: journal.clone(),
            horizon: journal.horizon(),
            version: Version::default(),
            stamps: Stamps::default(),
            after: Lsn::ZERO,
            runs: Vec::new(),
            bad: BTreeSet::new(),
            started: None,
        }
    }

    /// After a failure: whether another attempt would start from another snapshot.
    fn set_aside(&mut self) -> bool {
        match self.started.take() {
            Some(position) if position.lsn > self.horizon.lsn => self.bad.insert(position),
            _ => false,
        }
    }
}

impl SnapshotMaker for Maker {
    fn accepts(&self, list: &SnapshotList) -> bool {
        accepts(list) && !self.bad.contains(&list.position)
    }

    fn start(&mut self, list: Option<&SnapshotList>) -> Result<()> {
        self.started = list.map(|list| list.position);
        self.after = list.map_or(Lsn::ZERO, |list| list.position.lsn);
        self.runs = list.map(|list| list.runs.clone()).unwrap_or_default();
        self.stamps = Stamps::default();
        self.version = start(&self.journal, list)?;
        Ok(())
    }

    fn frame(&mut self, header: &FrameHeader, body: &[u8]) -> Result<()> {
        let wanted = self.after..header.next_lsn();
        fold_frame(&mut self.version, &mut self.stamps, header, body, wanted, &mut |_, _| Ok(()))
    }

    fn runs(&mut self) -> Result<Vec<RunInfo>> {
        let mut writer = self.journal.run_writer()?;
        for (key, bytes) in self.version.delta() {
            writer.push(&key, &bytes)?;
        }
        self.runs.push(writer.finish()?);
        // What follows goes on top of what was just written.
        let base = Base::open(&self.journal, &self.runs)?;
        let (position, time) = (self.version.position, self.version.time);
        self.version = Version::of_base(base, position, time)?;
        Ok(self.runs.clone())
    }

    fn versions(&self) -> (u16, u32) {
        (STATE_VERSION, FOLD_REVISION)
    }
}
