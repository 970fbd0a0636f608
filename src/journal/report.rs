//! What opening found and did, for the application to look at and the operator to read.

use std::fmt;

use crate::error::Error;
use crate::position::{Epoch, Lsn, Position};

/// The report of an opening.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Whether the journal was created just now. If you expected data, the path is wrong or a disk is not mounted.
    pub created: bool,
    /// The last record.
    pub position: Position,
    /// The lowest position that can still be read up from.
    pub horizon: Position,
    /// The snapshot that replay started from, if any.
    pub snapshot: Option<Position>,
    /// How many records were replayed.
    pub replayed: u64,
    /// Whether the last writer closed the journal.
    pub clean: bool,
    /// What a crash left behind and this opening cut.
    pub cut: Option<Cut>,
    /// Records beyond the last proven mark that a read-only opening does not show.
    pub unproven: u64,
    /// Damage, with [`Damaged::ReadOnly`](crate::journal::Damaged): everything before it is readable.
    pub damage: Option<Error>,
    /// Things that are not as they should be but cost nothing: a bad copy of something kept twice, a snapshot that
    /// does not check, a segment file that is no part of the history.
    pub flaws: Vec<Error>,
    /// Warnings about the place: a network file system, wide permissions.
    pub cautions: Vec<String>,
}

/// A torn tail that was cut: bytes never acknowledged as synced.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cut {
    /// The segment file.
    pub file: String,
    /// Where the cut starts.
    pub offset: u64,
    /// How many bytes, up to the last one that is not zero; of an unfinished transaction those in later segments too.
    pub bytes: u64,
    /// The number that the first lost record would have had.
    pub lsn: Lsn,
    /// The life of the tail that ended here.
    pub old_epoch: Epoch,
    /// How many checked records of an unfinished transaction went with it.
    pub unfinished_records: u64,
    /// What stands at the cut.
    pub what: String,
    /// Where the cut bytes are kept; what was in later segments lies beside it, named by its segment.
    pub kept_in: Option<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.created {
            return f.write_str("created");
        }
        write!(f, "at position {}, {} records replayed", self.position, self.replayed)?;
        if let Some(snapshot) = self.snapshot {
            write!(f, " after the snapshot at {snapshot}")?;
        }
        f.write_str(if self.clean { ", closed cleanly" } else { ", not closed by its last writer" })?;
        if let Some(cut) = &self.cut {
            write!(f, ", {} bytes of a torn tail cut at {} offset {}", cut.bytes, cut.file, cut.offset)?;
        }
        if self.unproven > 0 {
            write!(f, ", {} records unproven", self.unproven)?;
        }
        if let Some(damage) = &self.damage {
            write!(f, ", damaged: {damage}")?;
        }
        Ok(())
    }
}
