//! JSON text to a value: numbers exact, keys that come twice told, nesting bounded before it can exhaust the stack (J13).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Number;

use crate::error::{Error, ErrorKind, Result};
use crate::store::value::{Array, DEPTH_MAX, Object, Value};

/// What serde_json calls the only key of a number when another crate has asked it for numbers of any precision.
const NUMBER_TOKEN: &str = "$serde_json::private::Number";

impl Value {
    /// Reads JSON text.
    ///
    /// # Errors
    ///
    /// `Input` if it is not JSON or nested deeper than [`DEPTH_MAX`]; names line and column. Of members with the same
    /// key the last counts, as in JavaScript.
    pub fn parse(text: &[u8]) -> Result<Value> {
        Value::parse_noting(text, &mut |_| {})
    }

    /// The same; tells each key that came twice in one object.
    pub(crate) fn parse_noting(text: &[u8], twice: &mut dyn FnMut(&str)) -> Result<Value> {
        let mut source = serde_json::Deserializer::from_slice(text);
        // The seed counts for itself.
        source.disable_recursion_limit();
        let value =
            Seed { depth: 0, twice }.deserialize(&mut source).and_then(|value| source.end().map(|()| value));
        value.map_err(|error| Error::new(ErrorKind::Input, format!("text is not JSON: {error}")))
    }
}

impl FromStr for Value {
    type Err = Error;

    fn from_str(text: &str) -> Result<Value> {
        Value::parse(text.as_bytes())
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Value, D::Error> {
        Seed { depth: 0, twice: &mut |_| {} }.deserialize(source)
    }
}

struct Seed<'a> {
    depth: usize,
    twice: &'a mut dyn FnMut(&str),
}

impl Seed<'_> {
    fn deeper<E: serde::de::Error>(&mut self) -> Result<Seed<'_>, E> {
        if self.depth == DEPTH_MAX {
            return Err(E::custom(format_args!("nested deeper than {DEPTH_MAX} levels")));
        }
        Ok(Seed { depth: self.depth + 1, twice: self.twice })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Value, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
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

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<Value, A::Error> {
        let mut array = Array::new();
        while let Some(value) = elements.next_element_seed(self.deeper()?)? {
            array.push(value);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Object::new();
        while let Some(key) = members.next_key::<Cow<'_, str>>()? {
            if object.is_empty() && key == NUMBER_TOKEN {
                let text: Cow<'_, str> = members.next_value()?;
                return exact(&text).ok_or_else(|| A::Error::custom("number is out of range"));
            }
            let value = members.next_value_seed(self.deeper()?)?;
            if object.get(&key).is_some() {
                (self.twice)(&key);
            }
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
