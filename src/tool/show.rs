//! One record as people and machines see it, without the application's types.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};

use crate::clock::Timestamp;
use crate::journal::options::FACE_RAW;
use crate::journal::root::Creation;
use crate::journal::summary::{PinRecord, RollbackRecord, decode_own};
use crate::journal::{Record, RecordKind};
use crate::state::Meta;
use crate::store;
use crate::tool::render::clean;

/// How the application's payloads are stored, as the journal says (J15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payloads {
    /// Whatever was appended.
    Raw,
    /// JSON documents.
    Json,
    /// Bytes that mean something to the application only.
    Binary,
}

impl Payloads {
    /// How a journal of this origin stores them.
    pub(crate) fn of(creation: &Creation) -> Payloads {
        match (creation.face, creation.codec) {
            (FACE_RAW, _) => Payloads::Raw,
            (_, CODEC_BINCODE) => Payloads::Binary,
            _ => Payloads::Json,
        }
    }
}

/// The number of the codec whose payloads cannot be read without the application's types.
const CODEC_BINCODE: u8 = 2;

/// One record as one line of JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    pub(crate) position: String,
    pub(crate) time: String,
    pub(crate) kind: &'static str,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) type_version: u16,
    /// Present where the transaction goes on with the next record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) transaction: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) meta: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) meta_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) payload: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) payload_base64: Option<String>,
}

// The signature is serde's.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u16) -> bool {
    *number == 0
}

impl Shown {
    pub(crate) fn of(record: &Record, payloads: Payloads) -> Shown {
        let meta = record.meta.as_deref().and_then(|meta| said(meta, payloads));
        let unread = record.meta.as_ref().filter(|_| meta.is_none());
        let meta_base64 = unread.map(|meta| STANDARD.encode(meta));
        let payload = value(record, payloads);
        let payload_base64 = payload.is_none().then(|| STANDARD.encode(&record.payload));
        Shown {
            position: record.position.to_string(),
            time: record.time.to_string(),
            kind: record.kind.word(),
            type_version: record.type_version,
            transaction: (!record.ends_transaction).then_some("continues"),
            meta,
            meta_base64,
            payload,
            payload_base64,
        }
    }
}

/// What was said about a commit, as a value, if it is one: by programs that append raw records, whatever they like.
fn said(meta: &[u8], payloads: Payloads) -> Option<Value> {
    if payloads == Payloads::Raw {
        return std::str::from_utf8(meta).ok().map(Value::from);
    }
    let Meta { actor, cause, correlation } = Meta::decode(meta).ok()?;
    let members = [("actor", actor), ("cause", cause), ("correlation", correlation)];
    let told = members.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Value::from(text?))));
    Some(Value::Object(told.collect()))
}

/// The payload as a value, if it is one.
fn value(record: &Record, payloads: Payloads) -> Option<Value> {
    if let Some(own) = own_value(record) {
        return Some(own);
    }
    let text = std::str::from_utf8(&record.payload).ok();
    if record.kind == RecordKind::Event && payloads == Payloads::Binary {
        return None;
    }
    let is_json = record.kind == RecordKind::Event && payloads == Payloads::Json;
    let parsed = text.filter(|_| is_json).and_then(parse);
    parsed.or_else(|| text.map(|text| Value::String(text.to_owned())))
}

/// Reads JSON, also where it is nested as deep as a store allows.
fn parse(text: &str) -> Option<Value> {
    let shallow = serde_json::from_str(text).ok();
    shallow.or_else(|| serde_json::to_value(store::Value::parse(text.as_bytes()).ok()?).ok())
}

/// What everlog itself recorded.
fn own_value(record: &Record) -> Option<Value> {
    let payload = &record.payload;
    match record.kind {
        RecordKind::Pin => {
            let pin: PinRecord = decode_own(payload).ok()?;
            let time = Timestamp::from_micros(pin.time).to_string();
            let position = format!("{}:{}", pin.epoch, pin.lsn);
            Some(json!({ "name": pin.name, "position": position, "time": time, "note": pin.note }))
        }
        RecordKind::Unpin => Some(json!({ "name": decode_own::<String>(payload).ok()? })),
        RecordKind::Rollback => {
            let rollback: RollbackRecord = decode_own(payload).ok()?;
            Some(json!({ "target": format!("{}:{}", rollback.target_epoch, rollback.target_lsn) }))
        }
        RecordKind::Clock => {
            let (expected, wall): (u64, u64) = decode_own(payload).ok()?;
            let text = |micros| Timestamp::from_micros(micros).to_string();
            Some(json!({ "expected": text(expected), "wall": text(wall) }))
        }
        RecordKind::Event => None,
    }
}

/// The payload on one line for people, cut to `width` characters if one is given.
pub(crate) fn line(record: &Record, payloads: Payloads, width: Option<usize>) -> String {
    let text = match value(record, payloads) {
        Some(Value::String(text)) => clean(&text),
        Some(value) => clean(&value.to_string()),
        None => format!("<{} bytes> {}", record.payload.len(), STANDARD.encode(&record.payload)),
    };
    match width {
        Some(width) if text.chars().count() > width => {
            let cut: String = text.chars().take(width).collect();
            format!("{cut}… ({} bytes)", record.payload.len())
        }
        _ => text,
    }
}
