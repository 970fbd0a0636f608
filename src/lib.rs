//! An embedded, append-only, event-sourced journal: state that is never lost.

pub mod clock;
pub mod error;
pub mod medium;
pub mod position;
mod segment;
pub(crate) mod sync;

pub use error::{Error, ErrorKind, Result};
