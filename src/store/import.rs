//! Importing JSON files.
pub(crate) mod text;
