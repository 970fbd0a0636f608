//! A hash of a value that can be kept up: the sum over its leaves, so that one changed field costs one field (J10).

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::store::value::{Value, with_text};

/// A hash of bytes under a tag that keeps kinds apart.
fn hash(tag: u8, parts: [&[u8]; 2]) -> u128 {
    let mut hasher = SipHasher13::new();
    hasher.write(&[tag]);
    hasher.write(&(parts[0].len() as u64).to_le_bytes());
    hasher.write(parts[0]);
    hasher.write(parts[1]);
    hasher.finish128().as_u128()
}

impl Value {
    /// The sum of this value. O(1) for arrays and objects, which keep theirs.
    pub(crate) fn sum(&self) -> u128 {
        match self {
            Value::Null => hash(0, [b"", b""]),
            Value::Bool(truth) => hash(1, [&[u8::from(*truth)], b""]),
            Value::Number(number) => with_text(number, |text| hash(2, [text.as_bytes(), b""])),
            Value::String(text) => hash(3, [text.as_bytes(), b""]),
            Value::Array(array) => hash(4, [&array.total().to_le_bytes(), b""]),
            Value::Object(object) => hash(5, [&object.total().to_le_bytes(), b""]),
        }
    }
}

/// What a member adds to the total of its object.
pub(crate) fn member(key: &str, value: &Value) -> u128 {
    hash(6, [key.as_bytes(), &value.sum().to_le_bytes()])
}

/// What an element adds to the total of its array.
pub(crate) fn element(place: usize, value: &Value) -> u128 {
    hash(7, [&(place as u64).to_le_bytes(), &value.sum().to_le_bytes()])
}

/// The sum of a value under a key, for sums over many.
pub(crate) fn keyed_sum(key: &[u8], value: &Value) -> u128 {
    hash(8, [key, &value.sum().to_le_bytes()])
}
