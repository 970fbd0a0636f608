//! How events and states of users become bytes: [`Codec`].

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// How events and states are encoded. Recorded when a journal is created (J15).
///
/// # Format
///
/// Number 1 is JSON text. Number 2 is bincode 2 over serde, little-endian with fixed-width integers; nothing may be
/// left over after the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Codec {
    /// Self-describing: names of fields and variants are in each record, so that their order means nothing and the
    /// command line can show them. The default.
    Json,
    /// Compact and fast; fields and variants are told apart by their order alone. Pin the shape of the event type with
    /// a test (`everlog::testing_fold::pins_shape`), and raise the version whenever it changes. Not for types that use
    /// `skip_serializing_if`, `untagged`, internally tagged enums or maps without order.
    Bincode,
}

impl Codec {
    /// Encodes a value.
    ///
    /// # Errors
    ///
    /// `Input` if the codec cannot express it.
    pub fn encode<T: Serialize + ?Sized>(self, value: &T) -> Result<Vec<u8>> {
        let encoded = match self {
            Codec::Json => serde_json::to_vec(value).map_err(|error| error.to_string()),
            Codec::Bincode => bincode::serde::encode_to_vec(value, bincode::config::legacy())
                .map_err(|error| error.to_string()),
        };
        encoded.map_err(|error| Error::new(ErrorKind::Input, format!("the value cannot be encoded: {error}")))
    }

    /// Decodes a value; all bytes must belong to it.
    ///
    /// # Errors
    ///
    /// `WrongType` if the bytes are not a `T`.
    pub fn decode<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<T> {
        let decoded = match self {
            Codec::Json => serde_json::from_slice(bytes).map_err(|error| error.to_string()),
            Codec::Bincode => decode_bincode(bytes),
        };
        decoded.map_err(|error| {
            let type_name = std::any::type_name::<T>();
            Error::new(ErrorKind::WrongType, format!("the bytes are not a {type_name}: {error}"))
                .advise("if the type has changed, raise its version and decode the older one")
        })
    }

    /// How it is recorded.
    pub(crate) fn number(self) -> u8 {
        match self {
            Codec::Json => 1,
            Codec::Bincode => 2,
        }
    }

    /// Whether two encodings mean the same value. Maps without order may be written in any.
    pub(crate) fn same(self, one: &[u8], other: &[u8]) -> bool {
        if one == other {
            return true;
        }
        let value = |bytes| serde_json::from_slice::<serde_json::Value>(bytes).ok();
        self == Codec::Json && value(one).is_some_and(|one| Some(one) == value(other))
    }
}

/// Decodes with a limit in proportion to the input, so that no length in the bytes decides how much memory is taken
/// (J13).
fn decode_bincode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let config = bincode::config::legacy();
    let decoded = match bytes.len() {
        0..=65_536 => bincode::serde::decode_from_slice(bytes, config.with_limit::<{ MIB }>()),
        65_537..=4_194_304 => bincode::serde::decode_from_slice(bytes, config.with_limit::<{ 64 * MIB }>()),
        _ => bincode::serde::decode_from_slice(bytes, config.with_limit::<{ 1024 * MIB }>()),
    };
    match decoded {
        Ok((value, used)) if used == bytes.len() => Ok(value),
        Ok((_, used)) => Err(format!("{} bytes are left over", bytes.len() - used)),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn what_is_left_over_or_claims_too_much_is_an_error() {
        for codec in [Codec::Json, Codec::Bincode] {
            let mut bytes = codec.encode(&(7_u32, "seven")).expect("encodes");
            assert_eq!(codec.decode::<(u32, String)>(&bytes).expect("decodes"), (7, "seven".to_owned()));
            bytes.push(b'x');
            let error = codec.decode::<(u32, String)>(&bytes).expect_err("left over");
            assert_eq!(error.kind(), &ErrorKind::WrongType);
        }
        let huge = (1_u64 << 40).to_le_bytes();
        assert!(Codec::Bincode.decode::<Vec<u8>>(&huge).is_err());
        assert!(Codec::Bincode.decode::<String>(&huge).is_err());
    }

    #[test]
    fn the_order_of_a_map_is_no_difference_in_json() {
        let map: HashMap<String, u32> = (0..100).map(|index| (index.to_string(), index)).collect();
        let one = Codec::Json.encode(&map).expect("encodes");
        let back: HashMap<String, u32> = Codec::Json.decode(&one).expect("decodes");
        assert!(Codec::Json.same(&one, &Codec::Json.encode(&back).expect("encodes")));
        assert!(!Codec::Json.same(b"1", b"2"));
        assert!(!Codec::Bincode.same(b"1", b"01"));
    }
}
