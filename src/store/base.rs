//! The runs of a snapshot, newest first, as one sorted map.

use std::sync::Arc;

use crate::error::Result;
use crate::journal::Journal;
#[cfg(feature = "cli")]
use crate::medium::Medium;
#[cfg(feature = "cli")]
use crate::snapshot::{Reading, SnapshotList};
use crate::snapshot::{Run, RunInfo, RunIter, RunRev};
use crate::store::cache::Cache;
use crate::store::document::{Document, Slot};
use crate::store::key::Key;
use crate::store::walk::{Direction, Newest};

/// What lies on disk below a version. Shared by all versions since the snapshot was taken in.
#[derive(Debug, Default)]
pub(crate) struct Base {
    /// Newest first: what an earlier run says of a key is not to be seen.
    runs: Vec<Run>,
    /// Documents that were read lately.
    cache: Cache,
}

impl Base {
    /// Opens the runs of a list, which has the oldest first.
    pub(crate) fn open(journal: &Journal, infos: &[RunInfo]) -> Result<Base> {
        let runs = infos.iter().rev().map(|info| journal.open_run(info)).collect::<Result<_>>()?;
        Ok(Base { runs, cache: Cache::default() })
    }

    /// Opens the runs that a snapshot lists, not mapped.
    #[cfg(feature = "cli")]
    pub(crate) fn read(medium: &dyn Medium, list: &SnapshotList) -> Result<Base> {
        let open = |info| Run::open(medium, info, list.journal_id, Reading::Read);
        Ok(Base { runs: list.runs.iter().rev().map(open).collect::<Result<_>>()?, cache: Cache::default() })
    }

    /// The document under `key`, if there is one.
    pub(crate) fn document(&self, key: &[u8]) -> Result<Option<Arc<Document>>> {
        if self.runs.is_empty() {
            return Ok(None);
        }
        if let Some(known) = self.cache.get(key) {
            return Ok(Some(known));
        }
        let Some(bytes) = self.bytes(key)? else { return Ok(None) };
        let document = Slot::decode(&bytes)?.document();
        if let Some(document) = &document {
            self.cache.put(key.into(), Arc::clone(document));
        }
        Ok(document)
    }

    /// Remembers documents that a run just written has, and those that were known below it and are not changed by it.
    /// `newer` has the newest first.
    pub(crate) fn warm<'a>(&self, below: &Base, newer: impl Iterator<Item = (&'a Key, &'a Slot)>) {
        self.cache.take_from(&below.cache, newer.map(|(key, slot)| (Arc::clone(key), slot.document())));
    }

    /// The bytes that the newest run has under `key`.
    pub(crate) fn bytes(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.runs.iter().find_map(|run| run.get(key).transpose()).transpose()
    }

    /// The runs that `other` does not have.
    pub(crate) fn runs_beyond<'a>(&'a self, other: &'a Base) -> impl Iterator<Item = &'a Run> {
        self.runs.iter().filter(|run| other.runs.iter().all(|known| known.info() != run.info()))
    }

    /// All pairs below `below` from the last to the first, removed ones included, still encoded.
    pub(crate) fn walk_back(&self, below: Option<&[u8]>) -> Newest<RunRev> {
        Newest::of(Direction::Backwards, self.runs.iter().map(|run| run.rev_below(below)))
    }

    /// All pairs at and above `from`, removed ones included, still encoded.
    pub(crate) fn walk(&self, from: &[u8]) -> Newest<RunIter> {
        Newest::of(Direction::Forwards, self.runs.iter().map(|run| run.iter_from(from)))
    }
}
