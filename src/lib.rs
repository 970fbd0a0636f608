//! An embedded, append-only, event-sourced journal: state that is never lost.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

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
pub mod state;
#[cfg(feature = "store")]
pub mod store;
pub(crate) mod sync;
#[cfg(feature = "sim")]
pub mod testing;
#[cfg(feature = "sim")]
pub mod testing_fold;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod tool;

pub use clock::Timestamp;
pub use error::{Error, ErrorKind, Result, Violation};
pub use journal::{Cursor, Durability, Journal, Receipt, Record, RecordRef, Ticket, Transaction};
pub use position::{Epoch, Lsn, Position};
pub use state::{
    Codec, Events, Fold, Item, Journaled, JournaledOptions, Meta, Past, Preview, Recorded, Stamp,
    Subscription, TransactionError, When,
};
#[cfg(feature = "store")]
pub use store::{Store, Tx, View, app_dir};

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// So are those of the guide.
#[cfg(all(doctest, feature = "store"))]
#[doc = include_str!("../docs/guide.md")]
struct Guide;
