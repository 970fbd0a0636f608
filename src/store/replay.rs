//! Folding the log as read back into a version: at opening, for views of the past, and for snapshots.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::journal::options::FACE_STORE;
use crate::journal::{Journal, RecordKind};
use crate::position::{Lsn, Position};
use crate::segment::frame::FrameHeader;
use crate::segment::record::{RecordView, Records};
use crate::snapshot::SnapshotList;
use crate::state::refold::stamp_of;
use crate::state::{Meta, Stamp};
use crate::store::base::Base;
use crate::store::op::Op;
use crate::store::version::{Effect, Version};

/// The version of the form that runs have.
pub(super) const STATE_VERSION: u16 = 1;
/// The revision of the fold: another one makes snapshots anew.
pub(super) const FOLD_REVISION: u32 = 1;

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
        let base = match journal.base_at(through, &|list| accepts(list) && !bad.contains(&list.position)) {
            Ok(base) => base,
            // The horizon passed by and took what was being looked for.
            Err(_) if journal.horizon() != horizon => continue,
            Err(error) => return Err(error),
        };
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
    visit(journal, version, through, &mut |_, _, _| Ok(()))
}

/// What is shown of a record: the version after it, its stamp, and what it did.
pub(crate) type Show<'a> = dyn FnMut(&Version, &Stamp, Vec<Effect>) -> Result<()> + 'a;

/// The same; shows what each record did.
pub(crate) fn visit(
    journal: &Journal,
    version: &mut Version,
    through: Lsn,
    show: &mut Show<'_>,
) -> Result<()> {
    let after = version.position.lsn;
    let mut stamps = Stamps::default();
    journal.each_frame(after, through, &mut |header, body| {
        fold_frame(version, &mut stamps, header, body, after..through, show)
    })
}

/// Takes in the records of a frame whose numbers lie above the start of `wanted` and not above its end.
pub(super) fn fold_frame(
    version: &mut Version,
    stamps: &mut Stamps,
    header: &FrameHeader,
    body: &[u8],
    wanted: std::ops::Range<Lsn>,
    show: &mut Show<'_>,
) -> Result<()> {
    each_record(header, body, wanted, &mut |position, view| {
        let stamp = stamps.next(position, view)?;
        if view.kind == RecordKind::Event {
            let effects = version.apply(&decode(position.lsn, view)?, &stamp);
            show(version, &stamp, effects.map_err(|error| impossible(error, position.lsn))?)?;
        }
        version.pass(position, view.time);
        Ok(())
    })
}

/// Visits the records of a frame whose numbers lie above the start of `wanted` and not above its end.
pub(super) fn each_record(
    header: &FrameHeader,
    body: &[u8],
    wanted: std::ops::Range<Lsn>,
    see: &mut dyn FnMut(Position, &RecordView<'_>) -> Result<()>,
) -> Result<()> {
    let mut lsn = header.first_lsn;
    for view in Records::new(body) {
        let view = view?;
        if lsn > wanted.start && lsn <= wanted.end {
            see(Position::new(header.epoch, lsn), &view)?;
        }
        lsn = lsn.next();
    }
    Ok(())
}

/// Visits the events in `(after, through]`.
pub(super) fn each_event(
    journal: &Journal,
    after: Lsn,
    through: Lsn,
    see: &mut dyn FnMut(Position, &RecordView<'_>) -> Result<()>,
) -> Result<()> {
    journal.each_frame(after, through, &mut |header, body| {
        each_record(header, body, after..through, &mut |position, view| match view.kind {
            RecordKind::Event => see(position, view),
            _ => Ok(()),
        })
    })
}

/// The change that an event is.
pub(super) fn decode(lsn: Lsn, view: &RecordView<'_>) -> Result<Op> {
    Op::decode(view.type_version, view.payload).map_err(|error| error.at_lsn(lsn))
}

/// A change that was accepted once must be accepted again.
pub(crate) fn impossible(error: Error, lsn: Lsn) -> Error {
    match error.kind() {
        ErrorKind::WrongType | ErrorKind::Input | ErrorKind::TooLarge { .. } => {
            let what = format!("the log has a change that its state does not allow: {}", error.what());
            Error::new(ErrorKind::Damaged, what).at_lsn(lsn).advise("run everlog verify")
        }
        _ => error.at_lsn(lsn),
    }
}

/// Whether a snapshot can be started from.
pub(super) fn accepts(list: &SnapshotList) -> bool {
    list.face == FACE_STORE && list.state_version == STATE_VERSION && list.fold_revision == FOLD_REVISION
}

/// The version that a snapshot holds, or the beginning.
pub(super) fn start(journal: &Journal, list: Option<&SnapshotList>) -> Result<Version> {
    match list {
        None => Ok(Version::default()),
        Some(list) => Version::of_base(Arc::new(Base::open(journal, &list.runs)?), list.position, list.time),
    }
}
