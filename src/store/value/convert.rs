//! Values to and from the types of a program, by serde.

use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer, forward_to_deserialize_any};
use serde_json::Error as JsonError;

use crate::error::{Error, ErrorKind, Result};
use crate::store::value::deep::TOO_DEEP;
use crate::store::value::{DEPTH_MAX, Value};

/// The value that `source` serialises to.
pub(super) fn from_serde<T: Serialize + ?Sized>(source: &T) -> Result<Value> {
    let json = serde_json::to_value(source)
        .map_err(|error| Error::new(ErrorKind::Input, format!("value has no JSON form: {error}")))?;
    from_json(json, 0)
}

fn from_json(json: serde_json::Value, depth: usize) -> Result<Value> {
    if depth > DEPTH_MAX {
        return Err(Error::new(ErrorKind::Input, format!("value is nested deeper than {DEPTH_MAX} levels")));
    }
    Ok(match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(truth) => Value::Bool(truth),
        serde_json::Value::Number(number) => Value::Number(number),
        serde_json::Value::String(text) => Value::String(text.into()),
        serde_json::Value::Array(elements) => {
            let elements = elements.into_iter().map(|element| from_json(element, depth + 1));
            Value::Array(elements.collect::<Result<_>>()?)
        }
        serde_json::Value::Object(members) => {
            let members = members.into_iter().map(|(key, value)| Ok((key, from_json(value, depth + 1)?)));
            Value::Object(members.collect::<Result<_>>()?)
        }
    })
}

/// Reads a value as a `T`.
pub(super) fn to_serde<T: DeserializeOwned>(value: &Value) -> Result<T> {
    T::deserialize(value).map_err(|error| {
        let what = format!("value does not have the shape that was asked for: {error}");
        Error::new(ErrorKind::WrongType, what).advise("read it as the type it was written as, or as a Value")
    })
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.is_too_deep() {
            return Err(serde::ser::Error::custom(TOO_DEEP));
        }
        match self {
            Value::Null => to.serialize_unit(),
            Value::Bool(truth) => to.serialize_bool(*truth),
            Value::Number(number) => number.serialize(to),
            Value::String(text) => to.serialize_str(text),
            Value::Array(array) => {
                let mut elements = to.serialize_seq(Some(array.len()))?;
                array.iter().try_for_each(|value| elements.serialize_element(value))?;
                elements.end()
            }
            Value::Object(object) => {
                let mut members = to.serialize_map(Some(object.len()))?;
                object.iter().try_for_each(|(key, value)| members.serialize_entry(key, value))?;
                members.end()
            }
        }
    }
}

impl<'de> IntoDeserializer<'de, JsonError> for &'de Value {
    type Deserializer = &'de Value;

    fn into_deserializer(self) -> &'de Value {
        self
    }
}

/// A newtype stands in JSON as what it holds.
macro_rules! newtypes {
    () => {
        fn deserialize_newtype_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            visitor: V,
        ) -> Result<V::Value, JsonError> {
            visitor.visit_newtype_struct(self)
        }
    };
}

impl<'de> Deserializer<'de> for &'de Value {
    type Error = JsonError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        if self.is_too_deep() {
            return Err(JsonError::custom(TOO_DEEP));
        }
        match self {
            Value::Null => visitor.visit_unit(),
            Value::Bool(truth) => visitor.visit_bool(*truth),
            Value::Number(number) => number.deserialize_any(visitor),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(array) => {
                let mut elements = SeqDeserializer::new(array.iter());
                let read = visitor.visit_seq(&mut elements)?;
                elements.end()?;
                Ok(read)
            }
            Value::Object(object) => {
                let mut members = MapDeserializer::new(object.iter().map(|(key, value)| (Key(key), value)));
                let read = visitor.visit_map(&mut members)?;
                members.end()?;
                Ok(read)
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        match self {
            Value::Null => visitor.visit_none(),
            value => visitor.visit_some(value),
        }
    }

    newtypes!();

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        match self {
            Value::String(text) => Key(text).deserialize_enum(name, variants, visitor),
            Value::Object(object) if object.len() == 1 => {
                let members = object.iter().map(|(key, value)| (Key(key), value));
                visitor.visit_enum(MapAccessDeserializer::new(MapDeserializer::new(members)))
            }
            other => Err(JsonError::custom(format_args!("{} where a variant was expected", other.kind()))),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

/// The key of a member: a text, or what a program has for keys in its place, such as numbers.
struct Key<'a>(&'a str);

macro_rules! parsed {
    ($($method:ident => $visit:ident),*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
            match self.0.parse() {
                Ok(number) => visitor.$visit(number),
                Err(_) => visitor.visit_borrowed_str(self.0),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = JsonError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        visitor.visit_borrowed_str(self.0)
    }

    parsed! {
        deserialize_i8 => visit_i8, deserialize_i16 => visit_i16, deserialize_i32 => visit_i32,
        deserialize_i64 => visit_i64, deserialize_u8 => visit_u8, deserialize_u16 => visit_u16,
        deserialize_u32 => visit_u32, deserialize_u64 => visit_u64, deserialize_bool => visit_bool,
        deserialize_i128 => visit_i128, deserialize_u128 => visit_u128
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        match self.0.parse::<f32>().ok().filter(|number| number.is_finite()) {
            Some(number) => visitor.visit_f32(number),
            None => visitor.visit_borrowed_str(self.0),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        match self.0.parse::<f64>().ok().filter(|number| number.is_finite()) {
            Some(number) => visitor.visit_f64(number),
            None => visitor.visit_borrowed_str(self.0),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        visitor.visit_some(self)
    }

    newtypes!();

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        visitor.visit_enum(IntoDeserializer::<JsonError>::into_deserializer(self.0))
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, JsonError> for Key<'de> {
    type Deserializer = Key<'de>;

    fn into_deserializer(self) -> Key<'de> {
        self
    }
}
