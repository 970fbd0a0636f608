//! The readable file that a mirror keeps: a JSON object of the documents, and a first member that says what it shows.

use crate::position::Position;
use crate::store::value::{Object, Value};

/// The member that says which collection the file shows, and at which position.
pub(crate) const HEADER: &str = "$everlog";

/// What the first member says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) collection: String,
    pub(crate) position: Position,
    /// The sum over the collection there.
    pub(crate) sum: u128,
}

impl Header {
    pub(crate) fn to_value(&self, time: &str) -> Value {
        let mut object = Object::new();
        object.insert("collection", Value::from(self.collection.as_str()));
        object.insert("position", Value::from(self.position.to_string().as_str()));
        object.insert("sum", Value::from(format!("{:032x}", self.sum).as_str()));
        object.insert("time", Value::from(time));
        Value::from(object)
    }

    pub(crate) fn read(value: &Value) -> Option<Header> {
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        Some(Header {
            collection: text("collection")?.to_owned(),
            position: text("position")?.parse().ok()?,
            sum: u128::from_str_radix(text("sum")?, 16).ok()?,
        })
    }
}

/// Whether a member is the one that the mirror writes.
pub(crate) fn is_header(key: &str, value: &Value) -> bool {
    key == HEADER && Header::read(value).is_some()
}

/// The key of a document as it stands in the file: one that looks like the first member gets a dollar more.
pub(crate) fn escape(key: &str) -> String {
    if looks_like_it(key) { format!("${key}") } else { key.to_owned() }
}

/// The key of the document that stands under `key` in the file.
pub(crate) fn unescape(key: &str) -> &str {
    if key != HEADER && looks_like_it(key) { &key[1..] } else { key }
}

fn looks_like_it(key: &str) -> bool {
    key.starts_with('$') && key.trim_start_matches('$') == "everlog"
}
