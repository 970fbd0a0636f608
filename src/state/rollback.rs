//! Returning to an earlier state: a [`Preview`] first, then a record that says so.
//!
//! The state that is returned to is written and synced as a run, names included, before the record that names it: the
//! run is part of the log until the horizon passes the record.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::journal::commit::{Entered, Sitter};
use crate::journal::group::NewRecord;
use crate::journal::summary::{RollbackRecord, encode_own};
use crate::journal::{Durability, Receipt, RecordKind};
use crate::medium::name;
use crate::position::{Lsn, Position};
use crate::snapshot::RunInfo;
use crate::state::commit::Manner;
use crate::state::fold::{Fold, state_version};
use crate::state::past::Past;
use crate::state::refold::write_run;
use crate::state::twin::{Change, Twin};
use crate::state::when::When;

/// A rollback that is not done yet: what is, and what would be. Dropping it does nothing.
#[must_use = "a preview changes nothing until it is committed"]
pub struct Preview<S: Fold> {
    twin: Arc<Twin<S>>,
    manner: Manner,
    /// The last change that the preview knows of.
    last: Lsn,
    before: Past<S>,
    after: Past<S>,
}

impl<S: Fold> Preview<S> {
    pub(crate) fn new(twin: &Arc<Twin<S>>, manner: &Manner, when: &When) -> Result<Preview<S>> {
        let (last, refusals) = {
            let pending = twin.lock_pending()?;
            (pending.last, pending.refusals)
        };
        twin.settle(last, refusals)?;
        let after = Past::at(&twin.journal, when)?;
        let here = last.max(twin.journal.horizon().lsn);
        let before = Past::at(&twin.journal, &When::lsn(here))?;
        Ok(Preview { twin: Arc::clone(twin), manner: manner.clone(), last, before, after })
    }

    /// The position whose state would be the state again.
    pub fn target(&self) -> Position {
        self.after.position()
    }

    /// The position that the preview was made at.
    pub fn from(&self) -> Position {
        self.before.position()
    }

    /// The state as it is.
    pub fn state_before(&self) -> &S {
        self.before.state()
    }

    /// The state as it would be.
    pub fn state_after(&self) -> &S {
        self.after.state()
    }

    /// Returns to the target: appends a record, forgets nothing, and can be rolled back itself. Durable on return.
    ///
    /// # Errors
    ///
    /// `Conflict` if anything was committed since the preview was made; `Diverged`, `Full` and the others as for a
    /// commit. Nothing has changed then, unless the kind is `FateUnknown`.
    pub fn commit(self) -> Result<Receipt> {
        let twin = Arc::clone(&self.twin);
        twin.outside()?;
        let bytes = S::CODEC.encode(self.after.state())?;
        // So that no clean-up takes the run for one that nobody needs.
        let _upkeep = twin.journal.keep_upkeep_away();
        let run = write_run(&twin.journal, &bytes)?;
        let medium = Arc::clone(twin.journal.medium());
        let synced = medium.sync_names().map_err(|error| Error::io("sync directory", &medium.label(), error));
        let entered = synced.and_then(|()| self.enter(&run, bytes)).inspect_err(|_| {
            // Nothing names it; one that stays goes at the next compaction.
            let _stays = medium.remove(&name::run(run.id));
        })?;
        let receipt = twin.journal.complete(entered)?;
        twin.keep_up();
        Ok(receipt)
    }

    fn enter(&self, run: &RunInfo, bytes: Vec<u8>) -> Result<Entered> {
        let twin = &self.twin;
        let state_sum = crc32fast::hash(&bytes);
        let payload = self.record(run, state_sum)?;
        let meta = self.manner.meta.as_ref().map(|meta| meta.encode()).transpose()?;
        let rollback = NewRecord::event(&payload, state_version::<S>());
        let record = NewRecord { kind: RecordKind::Rollback, meta: meta.as_deref(), ..rollback };
        twin.journal.check_records(&[record])?;
        let change = Change::State(bytes);
        let mut pending = twin.lock_pending()?;
        loop {
            if pending.last != self.last {
                let what = format!("something was committed since the preview at {}", self.from());
                return Err(Error::new(ErrorKind::Conflict, what).advise("make a new preview"));
            }
            let reserved = twin.reserve(pending.refusals)?;
            pending.broken = true;
            change.apply_to(pending.state()?)?;
            match twin.journal.enter_reserved(&[record], Durability::Synced, Sitter::Thread, &reserved)? {
                Some(entered) => {
                    pending.broken = false;
                    twin.enqueue(&mut pending, entered.last_lsn, change);
                    return Ok(entered);
                }
                None => twin.refresh(&mut pending)?,
            }
        }
    }

    fn record(&self, run: &RunInfo, state_sum: u32) -> Result<Vec<u8>> {
        encode_own(RollbackRecord {
            target_epoch: self.target().epoch.get(),
            target_lsn: self.target().lsn.get(),
            state_sum,
            run_id: run.id,
            run_bytes: run.bytes,
            run_blocks: run.blocks,
            run_entries: run.entries,
            run_sum: run.checksum,
        })
    }
}

impl<S: Fold> fmt::Debug for Preview<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Preview")
            .field("target", &self.target())
            .field("from", &self.from())
            .finish_non_exhaustive()
    }
}
