//! JSON text, and what other formats of serde hold, to a value: nothing is lost, nesting is bounded (J13).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Number;

use crate::error::{Error, ErrorKind, Result};
use crate::store::value::text::{Entry, Fault, Notes};
use crate::store::value::{Array, DEPTH_MAX, Object, Value, text};

/// What serde_json calls the only key of a number when another crate has asked it for numbers of any precision.
const NUMBER_TOKEN: &str = "$serde_json::private::Number";

impl Value {
    /// Reads JSON text.
    ///
    /// # Errors
    ///
    /// `Input` if it is not JSON, holds what no value can hold, or is nested deeper than [`DEPTH_MAX`]; names line and
    /// column. Of members with the same key the last counts, as in JavaScript.
    pub fn parse(text: &[u8]) -> Result<Value> {
        Value::parse_within(text, DEPTH_MAX)
    }

    /// The same of what a store has written: around a value there may be the array that a record is.
    pub(crate) fn parse_stored(text: &[u8]) -> Result<Value> {
        Value::parse_within(text, DEPTH_MAX + 1)
    }

    fn parse_within(text: &[u8], depth_max: usize) -> Result<Value> {
        exactly(text::parse_value(text, depth_max))
    }
}

/// Reads an array that a store has written, which begins with two texts.
pub(crate) fn parse_entry(text: &[u8]) -> Result<Entry<'_>> {
    exactly(text::parse_entry(text, DEPTH_MAX + 1))
}

/// What was read, if nothing of it had to be replaced.
fn exactly<T>(parsed: Result<(T, Notes), Fault>) -> Result<T> {
    let fault = |what: &str| Error::new(ErrorKind::Input, format!("text is not JSON: {what}"));
    let (found, notes) = parsed
        .map_err(|error| fault(&format!("{} at line {} column {}", error.what, error.line, error.column)))?;
    if notes.surrogates + notes.bytes > 0 {
        return Err(fault("a text in it has half of a surrogate pair, or is not UTF-8"));
    }
    if notes.overflows > 0 {
        return Err(fault("a number in it is beyond all floats"));
    }
    Ok(found)
}

impl FromStr for Value {
    type Err = Error;

    fn from_str(text: &str) -> Result<Value> {
        Value::parse(text.as_bytes())
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Value, D::Error> {
        Seed { depth: 0 }.deserialize(source)
    }
}

#[derive(Clone, Copy)]
struct Seed {
    depth: usize,
}

impl Seed {
    fn deeper<E: serde::de::Error>(self) -> Result<Seed, E> {
        if self.depth == DEPTH_MAX {
            return Err(E::custom(format_args!("nested deeper than {DEPTH_MAX} levels")));
        }
        Ok(Seed { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Seed {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Value, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, source: D) -> Result<Value, D::Error> {
        self.deserialize(source)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut array = Array::new();
        while let Some(value) = elements.next_element_seed(self.deeper()?)? {
            array.push(value);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Object::new();
        // Objects at hand know how many members they have. What stands for a number of serde_json does not.
        let may_be_number = members.size_hint().is_none();
        while let Some(key) = members.next_key::<Cow<'_, str>>()? {
            if may_be_number && object.is_empty() && key == NUMBER_TOKEN {
                let text: Cow<'_, str> = members.next_value()?;
                return exact(&text).ok_or_else(|| A::Error::custom("number is out of range"));
            }
            let value = members.next_value_seed(self.deeper()?)?;
            object.insert(&key, value);
        }
        Ok(Value::Object(object))
    }
}

/// The number that `text` writes.
fn exact(text: &str) -> Option<Value> {
    let number = match (text.parse::<i64>(), text.parse::<u64>()) {
        (Ok(number), _) => number.into(),
        (_, Ok(number)) => number.into(),
        _ => Number::from_f64(text.parse().ok()?)?,
    };
    Some(Value::Number(number))
}
