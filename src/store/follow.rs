//! Reading the log transaction by transaction on top of a version: what each did, and the version it left.

use std::sync::Arc;

use crate::error::Result;
use crate::journal::{Cursor, Journal, RecordKind};
use crate::position::Position;
use crate::state::refold::stamp_of;
use crate::state::{Meta, Stamp};
use crate::store::op::Op;
use crate::store::order::Committed;
use crate::store::replay::impossible;
use crate::store::version::Version;

/// Reads on from a version to the durable end, and on again when more is durable. After an error it has ended.
pub(crate) struct Follower {
    journal: Journal,
    cursor: Cursor,
    version: Version,
}

impl Follower {
    /// Follows `version`, whose position must be on the living branch and not below the horizon.
    pub(crate) fn new(journal: &Journal, version: Version) -> Follower {
        let cursor = journal.cursor(version.position.lsn.next());
        Follower { journal: journal.clone(), cursor, version }
    }

    /// The version after the last transaction that was read.
    pub(crate) fn version(&self) -> &Version {
        &self.version
    }

    /// The last record that was read; records that change nothing count.
    pub(crate) fn seen(&self) -> Position {
        self.version.position
    }

    /// Goes on with `version` where it is the same as its own: what is shared costs no memory twice.
    pub(crate) fn share(&mut self, version: &Version) {
        if version.position == self.version.position {
            self.version = version.clone();
        }
    }

    /// The next transaction, also if it changed nothing; `None` at the durable end for now.
    pub(crate) fn next(&mut self) -> Result<Option<Committed>> {
        let mut effects = Vec::new();
        let mut meta: Option<Arc<Meta>> = None;
        let mut within = false;
        loop {
            let read = self.cursor.read().map_err(|error| {
                match self.journal.horizon().lsn > self.version.position.lsn {
                    true => self.journal.before_horizon(&format!(
                        "record {} was compacted away",
                        self.version.position.lsn.next()
                    )),
                    false => error,
                }
            })?;
            // The durable end is the end of a transaction.
            let Some(record) = read else { return Ok(None) };
            let (position, time, ends) = (record.position, record.time, record.ends_transaction);
            if !within {
                meta = stamp_of(position, time, record.meta)?.meta;
                within = true;
            }
            if record.kind == RecordKind::Event {
                let lsn = position.lsn;
                let op =
                    Op::decode(record.type_version, record.payload).map_err(|error| error.at_lsn(lsn))?;
                let stamp = Stamp { meta: meta.clone(), ..Stamp::new(position, time) };
                let done = self.version.apply(&op, &stamp).map_err(|error| impossible(error, lsn))?;
                effects.extend(done.into_iter().map(|effect| (position, effect)));
            }
            self.version.pass(position, time);
            if ends {
                return Ok(Some(Committed { version: Arc::new(self.version.clone()), meta, effects }));
            }
        }
    }
}
