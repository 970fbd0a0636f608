//! What a program demands of the data of its store: schemas that every commit passes, and the version it is made for.

use std::sync::OnceLock;

use crate::error::{Error, Result, Violation};
use crate::store::Store;
use crate::store::migrate::Migrations;
use crate::store::op::Op;
#[cfg(feature = "schema")]
use crate::store::schema::Schemas;
use crate::store::version::Version;

/// The demands of the program that opened a store.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    #[cfg(feature = "schema")]
    pub(crate) schemas: Schemas,
    pub(crate) migrations: Option<Migrations>,
    /// What was not valid when the store was opened, if that was asked for.
    pub(crate) found_at_open: OnceLock<Vec<Violation>>,
    /// Why nothing is to be written.
    pub(crate) barred: OnceLock<Error>,
}

impl Rules {
    /// Refuses to write where the program must not.
    pub(crate) fn admit(&self) -> Result<()> {
        self.barred.get().cloned().map_or(Ok(()), Err)
    }

    /// What is not valid of that which `ops` touched, in the version that they led to.
    #[cfg_attr(not(feature = "schema"), allow(unused_variables, reason = "there are no schemas to look at"))]
    pub(crate) fn violations(&self, ops: &[Op], version: &Version) -> Result<Vec<Violation>> {
        #[cfg(feature = "schema")]
        return self.schemas.check(ops, version);
        #[cfg(not(feature = "schema"))]
        Ok(Vec::new())
    }

    /// The same as an error.
    pub(crate) fn check(&self, ops: &[Op], version: &Version) -> Result<()> {
        let violations = self.violations(ops, version)?;
        if violations.is_empty() { Ok(()) } else { Err(Error::invalid(violations)) }
    }

    /// What is not valid of all that is there.
    #[cfg_attr(not(feature = "schema"), allow(unused_variables, reason = "there are no schemas to look at"))]
    pub(crate) fn check_all(&self, version: &Version) -> Result<Vec<Violation>> {
        #[cfg(feature = "schema")]
        return self.schemas.check_all(version);
        #[cfg(not(feature = "schema"))]
        Ok(Vec::new())
    }
}

impl Store {
    /// Holds all documents of collections with schemas against them; what is not valid, at most some thousand places.
    /// Reads them all.
    ///
    /// # Errors
    ///
    /// `Damaged`, with file and offset, if a document cannot be read.
    pub fn check_all(&self) -> Result<Vec<Violation>> {
        self.order.rules.check_all(self.view().version())
    }

    /// What was not valid when the store was opened with
    /// [`StoreOptions::check_all`](crate::store::StoreOptions::check_all).
    pub fn violations(&self) -> &[Violation] {
        self.order.rules.found_at_open.get().map_or(&[], Vec::as_slice)
    }
}
