//! The test kit: journals in memory, a clock set by hand, and power cuts at every step of what your program does.
//!
//! Everything here runs on [`Sim`], which models what real devices and file systems may do; see its fault model.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use everlog::testing::{crash_everywhere, payloads, Acked};
//! use everlog::journal::{Background, Options};
//!
//! # fn main() {
//! let options = || Options::new().background(Background::Inline).segment_bytes(16 << 10, 16 << 10);
//! let tally = crash_everywhere(
//!     7,
//!     |sim, acked: &mut Acked| {
//!         let journal = options().open_on(Arc::new(sim.clone()))?;
//!         for text in ["one", "two", "three"] {
//!             acked.submit([text]);
//!             journal.append(text)?;
//!             acked.all_synced();
//!         }
//!         Ok(journal.close()?)
//!     },
//!     |sim, acked| {
//!         let journal = options().open_on(Arc::new(sim.clone()))?;
//!         acked.check(&payloads(&journal)?)
//!     },
//! );
//! assert!(tally.states > 100);
//! # }
//! ```

mod acked;
mod clock;
mod crashes;

use std::sync::Arc;

use crate::error::Result;
use crate::journal::{Background, Journal, Options, RecordKind};
use crate::medium::Sim;

pub use acked::Acked;
pub use clock::ManualClock;
pub use crashes::{Crashes, Outcome, Tally, Violation, crash_everywhere};

/// A new journal in memory, without threads: what nobody waits for happens in [`Journal::tick`].
///
/// # Errors
///
/// As [`Journal::open`]; on a fresh simulated device none is expected.
///
/// ```
/// let journal = everlog::testing::journal()?;
/// journal.append(b"first")?;
/// # Ok::<(), everlog::Error>(())
/// ```
pub fn journal() -> Result<Journal> {
    Options::new().background(Background::Inline).open_on(Arc::new(Sim::new(1)))
}

/// The payloads of all events that can be read, in order; not those of everlog's own records, such as pins.
///
/// # Errors
///
/// As [`Journal::records`] and its cursor.
pub fn payloads(journal: &Journal) -> Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    for record in journal.records()? {
        let record = record?;
        if record.kind == RecordKind::Event {
            found.push(record.payload);
        }
    }
    Ok(found)
}
