//! Ways to change one field of a JSON document so that a power cut cannot undo it: everlog's, and those it stands beside.

#![allow(clippy::disallowed_methods, reason = "a benchmark makes files of its own")]

mod document;
mod everlog_store;
mod file;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use document::{Document, Many};
pub use everlog_store::EverlogStore;
pub use file::RewrittenFile;
#[cfg(feature = "sqlite")]
pub use sqlite::{Row, Sqlite, sqlite_version};

/// Sets one field of a document, durable when it returns. The number chooses the field and is its new value.
pub type Setter<'a> = dyn FnMut(u64) + 'a;

/// A way to keep a document. Shared by all threads that change it.
pub trait Way: Send + Sync {
    /// How the table calls it.
    fn name(&self) -> &'static str;

    /// Makes what one thread needs, such as a connection, and lends `user` the setter.
    fn lend(&self, user: &mut dyn FnMut(&mut Setter<'_>));
}

/// A way to keep many documents that can be opened again.
pub trait Reopen {
    /// How the table calls it.
    fn name(&self) -> &'static str;

    /// Opens, reads the field `id` of one document, tells `read` once it is there, and closes.
    fn open_and_read(&self, key: &str, read: &mut dyn FnMut(u64));
}
