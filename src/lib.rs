//! An embedded, append-only, event-sourced journal: state that is never lost.

pub mod clock;
pub mod error;
#[cfg(feature = "sim")]
#[doc(hidden)]
pub mod fuzzing;
pub mod journal;
pub mod medium;
pub mod position;
mod segment;
#[allow(dead_code, unused_imports, reason = "the faces that use it come above it")]
pub(crate) mod snapshot;
pub(crate) mod sync;
#[cfg(feature = "sim")]
pub mod testing;

pub use clock::Timestamp;
pub use error::{Error, ErrorKind, Result};
pub use journal::{Cursor, Durability, Journal, Receipt, Record, Ticket, Transaction};
pub use position::{Epoch, Lsn, Position};
