//! A document, or an entry of a series: a value and where it comes from, and its form in a run.
//!
//! # Format
//!
//! The value of a pair in a run:
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 1 | 0: removed, nothing follows; 1: here |
//! | 1 | 4 | epoch of the last change |
//! | 5 | 8 | Lsn of the last change |
//! | 13 | 8 | time of the last change, microseconds since 1970 |
//! | 21 | 2 | bytes of the actor, 65,535 for none |
//! | 23 | n | actor |
//! | … | … | value as JSON text |

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::position::{Epoch, Lsn, Position};
use crate::state::Stamp;
use crate::store::value::Value;

const GONE: u8 = 0;
const HERE: u8 = 1;
const HEADER_BYTES: usize = 23;
const NO_ACTOR: u16 = u16::MAX;

/// A value with its last change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Document {
    pub(crate) value: Value,
    pub(crate) revision: Position,
    pub(crate) time: Timestamp,
    pub(crate) actor: Option<Arc<str>>,
}

impl Document {
    pub(crate) fn new(value: Value, stamp: &Stamp) -> Document {
        let actor = stamp.actor().map(Arc::from);
        Document { value, revision: stamp.position, time: stamp.time, actor }
    }
}

/// What a run or an overlay says about a key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Slot {
    Here(Arc<Document>),
    /// Removed: what lies below is not to be seen.
    Gone,
}

impl Slot {
    pub(crate) fn document(&self) -> Option<Arc<Document>> {
        match self {
            Slot::Here(document) => Some(Arc::clone(document)),
            Slot::Gone => None,
        }
    }

    /// Whether the value of a pair says that the document was removed.
    pub(crate) fn is_gone(bytes: &[u8]) -> bool {
        bytes == [GONE]
    }

    /// The value of a pair.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let Slot::Here(document) = self else { return vec![GONE] };
        // Longer names are cut in the copy that a snapshot keeps; the log has them whole.
        let actor = document
            .actor
            .as_deref()
            .map(|actor| &actor.as_bytes()[..actor.len().min(NO_ACTOR as usize - 1)]);
        let mut bytes = vec![HERE];
        bytes.extend_from_slice(&document.revision.epoch.get().to_le_bytes());
        bytes.extend_from_slice(&document.revision.lsn.get().to_le_bytes());
        bytes.extend_from_slice(&document.time.micros().to_le_bytes());
        bytes.extend_from_slice(&actor.map_or(NO_ACTOR, |actor| actor.len() as u16).to_le_bytes());
        bytes.extend_from_slice(actor.unwrap_or_default());
        // OK because a value always has a JSON text, and a vector takes all of it.
        bytes.extend_from_slice(&serde_json::to_vec(&document.value).unwrap_or_default());
        bytes
    }

    /// Reads the value of a pair.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Slot> {
        let Some((head, text)) = split(bytes)? else { return Ok(Slot::Gone) };
        let value = Value::parse_stored(text).map_err(|error| damage(error.what()))?;
        let Head { revision, time, actor, .. } = head;
        Ok(Slot::Here(Arc::new(Document { value, revision, time, actor })))
    }
}

/// What can be said of a document without reading its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Head {
    pub(crate) revision: Position,
    pub(crate) time: Timestamp,
    pub(crate) actor: Option<Arc<str>>,
    /// Bytes of the value as text.
    pub(crate) bytes: u64,
}

impl Head {
    /// Of what an overlay has.
    pub(crate) fn of(slot: &Slot) -> Option<Head> {
        let Slot::Here(document) = slot else { return None };
        let (revision, time, actor) = (document.revision, document.time, document.actor.clone());
        Some(Head { revision, time, actor, bytes: document.value.bytes() })
    }

    /// Of the value of a pair, whose text is not looked at; nothing if it is removed.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Option<Head>> {
        Ok(split(bytes)?.map(|(head, _)| head))
    }
}

fn damage(what: &str) -> Error {
    Error::new(ErrorKind::Damaged, format!("document in a snapshot: {what}"))
}

/// Head and text of the value of a pair; nothing if it is removed.
fn split(bytes: &[u8]) -> Result<Option<(Head, &[u8])>> {
    match bytes.first() {
        Some(&GONE) if bytes.len() == 1 => return Ok(None),
        Some(&HERE) if bytes.len() >= HEADER_BYTES => {}
        _ => return Err(damage("its header does not check")),
    }
    let (header, rest) = bytes.split_at(HEADER_BYTES);
    let number = |from: usize, to: usize| {
        header[from..to].iter().rev().fold(0, |number: u64, byte| number << 8 | u64::from(*byte))
    };
    let (actor, text) = match number(21, 23) as u16 {
        NO_ACTOR => (None, rest),
        length => {
            let (actor, text) =
                rest.split_at_checked(length as usize).ok_or_else(|| damage("its actor is too long"))?;
            (Some(String::from_utf8_lossy(actor).into()), text)
        }
    };
    let revision = Position::new(Epoch::new(number(1, 5) as u32), Lsn::new(number(5, 13)));
    let time = Timestamp::from_micros(number(13, 21));
    Ok(Some((Head { revision, time, actor, bytes: text.len() as u64 }, text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_read_back_and_cut_ones_are_damage() {
        for actor in [None, Some("")] {
            let document = Document {
                value: Value::from("v"),
                revision: Position::new(Epoch::new(3), Lsn::new(1 << 40)),
                time: Timestamp::from_micros(77),
                actor: actor.map(Arc::from),
            };
            let slot = Slot::Here(Arc::new(document.clone()));
            let bytes = slot.encode();
            assert_eq!(Head::decode(&bytes).expect("reads"), Head::of(&slot));
            assert_eq!(Slot::decode(&bytes).expect("reads"), Slot::Here(Arc::new(document)));
            for length in 0..bytes.len() {
                let error = Slot::decode(&bytes[..length]).expect_err("cut");
                assert_eq!(error.kind(), &ErrorKind::Damaged);
            }
        }
        assert_eq!(Slot::decode(&Slot::Gone.encode()).expect("reads"), Slot::Gone);
    }
}
