//! A JSON value as the store keeps it: immutable, cheap to clone, changed by sharing what stays the same.
//!
//! Objects and arrays are persistent trees: a changed copy shares all but the way to the change with its original, so
//! that one field of a large document costs one field. Each carries the size of its text and a sum over its leaves,
//! kept up as it changes: two values with the same sum are the same for all purposes of a self-check (J10).

mod convert;
mod deep;
mod edit;
mod members;
mod object;
mod parse;
mod sum;
pub(crate) mod text;

use std::fmt::{self, Write as _};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Number;

use crate::error::Result;

pub(crate) use edit::{Change, Fault, array_index};
pub(crate) use object::BYTES;
pub use object::{Array, Object};
pub(crate) use parse::parse_entry;
pub(crate) use sum::keyed_sum;

/// How deep values may be nested. Deeper ones are refused before anything is written.
pub const DEPTH_MAX: usize = 512;

/// A JSON value. Cloning costs no more than a pointer.
///
/// The keys of objects are in the order of their bytes, whatever order they came in. Integers are exact from `i64::MIN`
/// to `u64::MAX`; other numbers are finite floats. Two numbers are equal if they are written alike: `1` is not `1.0`.
///
/// # Examples
///
/// ```
/// use everlog::store::Value;
///
/// let value: Value = r#"{"theme": "dark", "sizes": [1, 2]}"#.parse()?;
/// assert_eq!(value.get("theme").and_then(Value::as_str), Some("dark"));
/// assert_eq!(value.to_string(), r#"{"sizes":[1,2],"theme":"dark"}"#);
/// # Ok::<(), everlog::Error>(())
/// ```
#[derive(Clone, Default)]
pub enum Value {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    String(Arc<str>),
    /// A list.
    Array(Array),
    /// Values by key.
    Object(Object),
}

impl Value {
    /// The value that `source` serialises to.
    ///
    /// # Errors
    ///
    /// `Input` if it has no JSON form, as a map whose keys are no texts, or is nested deeper than [`DEPTH_MAX`]. A float
    /// that is not finite becomes `null`, as in JavaScript.
    pub fn of<T: Serialize + ?Sized>(source: &T) -> Result<Value> {
        convert::from_serde(source)
    }

    /// Reads the value as a `T`.
    ///
    /// # Errors
    ///
    /// `WrongType` if it does not have the shape of a `T`, or is nested deeper than anything that can be stored.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        convert::to_serde(self)
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is an integer that fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    /// The number, if it is an integer that fits.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Value::Number(number) => number.as_u64(),
            _ => None,
        }
    }

    /// The number, as near as a float comes to it.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Number(number) => number.as_f64(),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// The object, if it is one.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The array, if it is one.
    pub fn as_array(&self) -> Option<&Array> {
        match self {
            Value::Array(array) => Some(array),
            _ => None,
        }
    }

    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// What an object has under `key`, or an array at that index.
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Value::Object(object) => object.get(key),
            Value::Array(array) => array.get(edit::array_index(key)?),
            _ => None,
        }
    }

    /// The number of bytes of its text without spaces. O(1).
    pub fn bytes(&self) -> u64 {
        match self {
            Value::Null => 4,
            Value::Bool(truth) => 5 - u64::from(*truth),
            Value::Number(number) => with_text(number, |text| text.len() as u64),
            Value::String(text) => text_bytes(text),
            Value::Array(array) => array.bytes(),
            Value::Object(object) => object.bytes(),
        }
    }

    /// Whether something in it may stand for bytes out of line; not whether it does itself. O(1).
    pub(crate) fn may_have_chunks(&self) -> bool {
        self.reach().has_chunks
    }

    fn reach(&self) -> object::Reach {
        match self {
            Value::Array(array) => array.reach(),
            Value::Object(object) => object.reach(),
            _ => object::Reach::NONE,
        }
    }

    /// What kind of value it is, in JSON's words.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        }
    }
}

/// Lets `look` look at how a number is written, which takes no memory but for numbers of another crate's precision.
fn with_text<T>(number: &Number, look: impl FnOnce(&str) -> T) -> T {
    let mut text = Short { bytes: [0; 32], len: 0 };
    match write!(text, "{number}").ok().and_then(|()| std::str::from_utf8(&text.bytes[..text.len]).ok()) {
        Some(text) => look(text),
        None => look(&number.to_string()),
    }
}

/// A text that is as long as any number of 64 bits.
struct Short {
    bytes: [u8; 32],
    len: usize,
}

impl fmt::Write for Short {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.len..self.len + piece.len()).ok_or(fmt::Error)?;
        room.copy_from_slice(piece.as_bytes());
        self.len += piece.len();
        Ok(())
    }
}

/// The bytes of a text between quotation marks, with what has to be escaped.
fn text_bytes(text: &str) -> u64 {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0C => 2,
        0..=0x1F => 6,
        _ => 1,
    };
    2 + text.bytes().map(escaped).sum::<u64>()
}

impl fmt::Display for Value {
    /// Writes JSON without spaces; with the alternate flag `{:#}` over several lines, unless it is nested too deep for that.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_too_deep() {
            return deep::write(self, f);
        }
        let text =
            if f.alternate() { serde_json::to_string_pretty(self) } else { serde_json::to_string(self) };
        f.write_str(&text.map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::String(text.into())
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Value {
        Value::Bool(truth)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Number(number.into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        Value::Number(number.into())
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Value {
        Value::Object(object)
    }
}

impl From<Array> for Value {
    fn from(array: Array) -> Value {
        Value::Array(array)
    }
}

#[cfg(test)]
mod tests;
