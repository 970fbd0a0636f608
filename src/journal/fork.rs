//! Birth of a journal that starts with a state: a snapshot that stands at its horizon, made durable before its root.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::create::{self, Found};
use crate::journal::lease;
use crate::journal::options::Options;
use crate::journal::root::Identity;
use crate::journal::spare;
use crate::journal::summary::Summary;
use crate::medium::name::FORKING;
use crate::medium::{Access, Medium};
use crate::position::{Lsn, Position};
use crate::segment::header::JournalId;
use crate::snapshot::list::{self, SnapshotList};
use crate::snapshot::{RunInfo, RunWriter};

/// What a fork starts with.
pub(crate) struct Start {
    /// Where it stands in the journal that it is taken from; the fork's records come after it.
    pub(crate) position: Position,
    pub(crate) time: Timestamp,
    pub(crate) state_version: u16,
    pub(crate) fold_revision: u32,
}

/// Creates a journal of its own in an empty directory, with the state that `write` puts into a run.
///
/// A sign stands in the directory until the root is durable: what an interruption leaves is nothing, and the next
/// creation clears it away.
pub(crate) fn create(
    medium: &Arc<dyn Medium>,
    options: &Options,
    start: &Start,
    write: impl FnOnce(&mut RunWriter) -> Result<()>,
) -> Result<()> {
    only_nothing(&**medium)?;
    let _lease = lease::take(&**medium)?;
    only_nothing(&**medium)?;
    let now = options.clock.wall();
    if start.position.lsn == Lsn::ZERO {
        return create::create(medium, options, now).map(drop);
    }
    create::clear(&**medium)?;
    put_sign(&**medium)?;
    let identity = create::identity(options, now)?;
    let run = write_run(medium, identity.id, write)?;
    let list = list_of(&identity, start, run, now)?;
    list::write(&**medium, &list)?;
    list::verify(&**medium, &list)?;
    create::publish(medium, identity, options, |slot| {
        let (number, salt) = (slot.first_segment, slot.first_salt);
        let slot = slot.raised(start.position.epoch, start.position.lsn);
        slot.with_horizon(start.position, start.time.micros(), number, salt)
    })?;
    create::end_forking(&**medium)
}

fn only_nothing(medium: &dyn Medium) -> Result<()> {
    match create::look(medium, Access::Write)? {
        Found::Nothing => Ok(()),
        Found::Journal(_) => {
            let what = format!("{} holds a journal already", medium.label());
            Err(Error::new(ErrorKind::Conflict, what).advise("fork into an empty or missing directory"))
        }
    }
}

fn put_sign(medium: &dyn Medium) -> Result<()> {
    let file = medium.create(FORKING).map_err(|error| Error::io("create", FORKING, error))?;
    file.sync().map_err(|error| Error::io("sync", FORKING, error))?;
    medium.sync_names().map_err(|error| Error::io("sync of the directory", FORKING, error))
}

fn write_run(
    medium: &Arc<dyn Medium>,
    id: JournalId,
    write: impl FnOnce(&mut RunWriter) -> Result<()>,
) -> Result<RunInfo> {
    let mut writer = RunWriter::create(medium, spare::random_u64()?, id)?;
    write(&mut writer)?;
    writer.finish()
}

fn list_of(identity: &Identity, start: &Start, run: RunInfo, now: Timestamp) -> Result<SnapshotList> {
    let summary = Summary::starting_at(start.position, start.time);
    Ok(SnapshotList {
        journal_id: identity.id,
        position: start.position,
        time: start.time,
        made_at: now,
        face: identity.creation.face,
        type_name: identity.creation.type_name.clone(),
        codec: identity.creation.codec,
        state_version: start.state_version,
        fold_revision: start.fold_revision,
        fingerprint: u64::from(summary.fingerprint),
        summary: summary.encode()?,
        runs: vec![run],
    })
}
