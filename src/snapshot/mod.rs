//! Folded state on disk: lists of immutable sorted runs, and the policy that says how long they stay.
//!
//! A snapshot is one list file, named by its position, and the runs that it lists. Runs are written and synced first,
//! the list last, so a list that reads back stands on files that are there (J9). Removing goes the other way: the list
//! first, then the runs that no list names. Runs may be shared between lists.
//!
//! This layer knows the medium and nothing of the journal: what the pairs of a run mean, and which branch of the
//! history a position belongs to, is the business of those above.
//!
//! # Errors
//!
//! * `Damaged`: bytes that no longer check, or a listed run that is missing. Nothing of them is returned.
//! * `NewerFormat`: a later major version, or a required feature bit that this version does not know.
//! * `Absent`: there is no list at the position asked for.

mod block;
mod header;
mod index;
pub(crate) mod list;
pub(crate) mod policy;
mod reader;
mod run;
mod state;

pub(crate) use block::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
pub(crate) use index::RunInfo;
pub(crate) use list::SnapshotList;
pub(crate) use reader::{Reading, Run, RunIter, RunRev};
pub(crate) use run::RunWriter;
pub(crate) use state::{StateReader, StateWriter, read_state};

#[cfg(test)]
mod test_medium;
#[cfg(test)]
mod tests;
