//! What a transaction says, as the records that go into the journal, and the stamp that each of them gets.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::journal::RecordKind;
use crate::journal::group::NewRecord;
use crate::position::Position;
use crate::state::commit::Manner;
use crate::state::{Meta, Stamp};
use crate::store::op::OP_VERSION;
use crate::store::transaction::Draft;

/// What a draft says, as records.
pub(crate) struct Encoded {
    /// The journal's own record that stands before the changes, if there is one.
    own: Option<(RecordKind, Vec<u8>)>,
    changes: Vec<Vec<u8>>,
    meta: Option<Vec<u8>>,
    /// It makes the state smaller.
    is_relief: bool,
}

impl Encoded {
    pub(crate) fn of(draft: &Draft, manner: &Manner) -> Result<Encoded> {
        let changes = draft.ops().iter().map(|op| op.encode()).collect();
        let meta = manner.meta.as_ref().map(|meta| meta.encode()).transpose()?;
        Ok(Encoded { own: draft.own().cloned(), changes, meta, is_relief: draft.is_relief() })
    }

    /// The records; the first one says what was said about the commit.
    pub(crate) fn records(&self) -> Vec<NewRecord<'_>> {
        let own =
            self.own.iter().map(|(kind, payload)| NewRecord { kind: *kind, ..NewRecord::event(payload, 0) });
        let is_relief = self.is_relief;
        let change = |payload| NewRecord { is_relief, ..NewRecord::event(payload, OP_VERSION) };
        let changes = self.changes.iter().map(|payload| change(payload));
        let mut meta = self.meta.as_deref();
        own.chain(changes).map(|record| NewRecord { meta: meta.take(), ..record }).collect()
    }
}

/// The stamp of the `index`th record of a commit.
pub(crate) fn stamp_at(start: Position, index: usize, time: Timestamp, meta: &Option<Arc<Meta>>) -> Stamp {
    let position = Position::new(start.epoch, start.lsn.plus(index as u64));
    Stamp { meta: meta.clone(), ..Stamp::new(position, time) }
}
