//! Doors to the decoders of the store, for the fuzz targets.

use crate::error::Result;
use crate::store::document::Slot;
use crate::store::op::{OP_VERSION, Op};

/// A change, as its record would be written anew.
pub(crate) fn read_change(payload: &[u8]) -> Result<Vec<u8>> {
    Ok(Op::decode(OP_VERSION, payload)?.encode())
}

/// A document in a run, as it would be written anew.
pub(crate) fn read_document(bytes: &[u8]) -> Result<Vec<u8>> {
    Ok(Slot::decode(bytes)?.encode())
}
