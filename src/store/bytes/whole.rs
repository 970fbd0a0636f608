//! Bytes that are out of line, in exports and imports: there all of them stand inside the JSON, as small ones always do.

use std::cell::RefCell;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Error as _, SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::error::{Error, ErrorKind, Result};
use crate::store::bytes::{CHUNK_BYTES, INLINE_BYTES_MAX, Marked, chunks_at, chunks_of, decoded};
use crate::store::key::CHUNKS;
use crate::store::path::Path;
use crate::store::transaction::Draft;
use crate::store::value::{BYTES, Value};
use crate::store::version::Version;

/// The longest text of bytes that stand inside the JSON of a store.
const INLINE_TEXT_MAX: usize = INLINE_BYTES_MAX.div_ceil(3) * 4;

/// What an export reads from, and why it could not.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) version: &'a Version,
    /// Whether there are bytes out of line at all.
    has_chunks: bool,
    /// Errors of serializers are only texts: what went wrong in here stands here.
    fault: RefCell<Option<Error>>,
}

impl<'a> Reading<'a> {
    pub(crate) fn new(version: &'a Version) -> Reading<'a> {
        let has_chunks = version.tally(CHUNKS).entries > 0;
        Reading { version, has_chunks, fault: RefCell::new(None) }
    }

    /// A value that stands under `key`, with all bytes in it.
    pub(crate) fn whole<'b>(&'b self, key: Option<&'b str>, value: &'b Value) -> Whole<'b> {
        Whole { reading: self, key, value }
    }

    /// Ends with an error in the words of the serializer.
    pub(crate) fn fail<E: serde::ser::Error>(&self, error: Error) -> E {
        let text = E::custom(&error);
        self.fault.replace(Some(error));
        text
    }

    /// What came of writing: what went wrong in here counts before what the serializer makes of it.
    pub(crate) fn outcome<T>(&self, written: Result<T, serde_json::Error>) -> Result<T> {
        match self.fault.take() {
            Some(fault) => Err(fault),
            None => written.map_err(|error| Error::io("write", "export", error.into())),
        }
    }
}

/// A value as an export has it. Of bytes that are out of line one chunk at a time is in memory.
#[derive(Debug)]
pub(crate) struct Whole<'a> {
    reading: &'a Reading<'a>,
    key: Option<&'a str>,
    value: &'a Value,
}

impl Serialize for Whole<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let reading = self.reading;
        match self.value {
            value if !reading.has_chunks => value.serialize(to),
            Value::String(text) if self.key == Some(BYTES) => self.marker(text, to),
            Value::Array(array) => {
                let mut elements = to.serialize_seq(Some(array.len()))?;
                array.iter().try_for_each(|value| elements.serialize_element(&reading.whole(None, value)))?;
                elements.end()
            }
            Value::Object(object) => {
                let mut members = to.serialize_map(Some(object.len()))?;
                object.iter().try_for_each(|(key, value)| {
                    members.serialize_entry(key, &reading.whole(Some(key), value))
                })?;
                members.end()
            }
            value => value.serialize(to),
        }
    }
}

impl Whole<'_> {
    fn marker<S: Serializer>(&self, text: &str, to: S) -> Result<S::Ok, S::Error> {
        let reading = self.reading;
        let Some(Marked::Chunks { id, len }) = chunks_of(text) else { return to.serialize_str(text) };
        let at = chunks_at(id);
        match reading.version.series(&at) {
            // A text that somebody wrote, and that only looks like one of ours.
            Ok(None) => to.serialize_str(text),
            Ok(Some(_)) => {
                let done = to.collect_str(&Chunks { reading, at, len })?;
                match reading.fault.borrow().as_ref() {
                    Some(fault) => Err(S::Error::custom(fault)),
                    None => Ok(done),
                }
            }
            Err(error) => Err(reading.fail(error)),
        }
    }
}

/// Chunks as one text of base64.
struct Chunks<'a> {
    reading: &'a Reading<'a>,
    at: Path,
    len: u64,
}

impl fmt::Display for Chunks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Only errors of `f` may leave as such: the serializer looks for their cause in what it writes to.
        self.write(f)?.unwrap_or_else(|fault| {
            self.reading.fault.replace(Some(fault));
        });
        Ok(())
    }
}

impl Chunks<'_> {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> Result<Result<()>, fmt::Error> {
        let entries = match self.reading.version.entries(&self.at, &..) {
            Ok(entries) => entries,
            Err(error) => return Ok(Err(error)),
        };
        // The chunks end anywhere, texts of base64 at every third byte.
        let (mut rest, mut found) = (Vec::new(), 0);
        for pair in entries {
            let chunk = pair.and_then(|(_, entry)| decoded(&self.at, entry.value.as_str().unwrap_or("?")));
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => return Ok(Err(error)),
            };
            found += chunk.len() as u64;
            rest.extend_from_slice(&chunk);
            let end = rest.len() - rest.len() % 3;
            f.write_str(&STANDARD.encode(&rest[..end]))?;
            rest.drain(..end);
        }
        f.write_str(&STANDARD.encode(&rest))?;
        if found != self.len {
            let what = format!("bytes at {} should be {}, and there are {found}", self.at, self.len);
            return Ok(Err(Error::new(ErrorKind::Damaged, what)));
        }
        Ok(Ok(()))
    }
}

/// What is to stand in place of a text, `None` for the text itself; beside it what stands there in the store.
type Change<'a> = dyn FnMut(&str, Option<&str>) -> Result<Option<Value>> + 'a;

/// Calls `change` with each text that stands for bytes which are not, or should not be, inside the JSON, and with what
/// stands in its place in `stored`; has the answers stand there instead. `None` if there are none.
fn replaced(
    key: Option<&str>,
    value: &Value,
    stored: Option<&Value>,
    change: &mut Change<'_>,
) -> Result<Option<Value>> {
    match value {
        Value::String(text) if key == Some(BYTES) => {
            let is_large = text.len() > INLINE_TEXT_MAX || chunks_of(text).is_some();
            if is_large { change(text, stored.and_then(Value::as_str)) } else { Ok(None) }
        }
        Value::Array(array) => {
            let mut new = None;
            for (place, element) in array.iter().enumerate() {
                let stored = stored.and_then(Value::as_array).and_then(|stored| stored.get(place));
                if let Some(element) = replaced(None, element, stored, change)? {
                    new.get_or_insert_with(|| array.clone()).set(place, element);
                }
            }
            Ok(new.map(Value::Array))
        }
        Value::Object(object) => {
            let mut new = None;
            for (key, member) in object.iter() {
                let stored = stored.and_then(Value::as_object).and_then(|stored| stored.get(key));
                if let Some(member) = replaced(Some(key), member, stored, change)? {
                    new.get_or_insert_with(|| object.clone()).insert(key, member);
                }
            }
            Ok(new.map(Value::Object))
        }
        _ => Ok(None),
    }
}

impl Version {
    /// A value as the store would have it if all its bytes were at hand: what `stored` has already stands there as it does
    /// in `stored`.
    ///
    /// # Errors
    ///
    /// `Input` if it stands for bytes that are neither in it nor in `stored`.
    pub(crate) fn known_bytes(&self, stored: Option<&Value>, value: Value) -> Result<Value> {
        let new = replaced(None, &value, stored, &mut |text, stored| {
            let known = stored.and_then(chunks_of);
            match (chunks_of(text), known) {
                (Some(_), _) if stored == Some(text) => Ok(None),
                (Some(_), _) => {
                    let what = "a value stands for bytes that are kept in a store, and not in this source";
                    let next = "take an export of that store: it has them";
                    Err(Error::new(ErrorKind::Input, what).advise(next))
                }
                (None, Some(Marked::Chunks { id, len })) if self.has_chunks(id, len, text)? => {
                    Ok(stored.map(Value::from))
                }
                (None, _) => Ok(None),
            }
        })?;
        Ok(new.unwrap_or(value))
    }

    /// Whether the chunks under `id` are what a text of base64 says.
    fn has_chunks(&self, id: &str, len: u64, text: &str) -> Result<bool> {
        let Ok(bytes) = STANDARD.decode(text) else { return Ok(false) };
        if len != bytes.len() as u64 {
            return Ok(false);
        }
        let mut rest = bytes.as_slice();
        for pair in self.entries(&chunks_at(id), &..)? {
            let chunk = decoded(&chunks_at(id), pair?.1.value.as_str().unwrap_or("?"))?;
            match rest.strip_prefix(chunk.as_slice()) {
                Some(behind) => rest = behind,
                None => return Ok(false),
            }
        }
        Ok(rest.is_empty())
    }
}

impl Draft {
    /// Puts the bytes in a value that are too large to stand inside it out of line; returns what is to stand there.
    pub(crate) fn put_bytes_out(&mut self, value: Value) -> Result<Value> {
        let new = replaced(None, &value, None, &mut |text, _| {
            // What is no base64 is a text that somebody put there.
            let bytes = STANDARD.decode(text).ok().filter(|bytes| bytes.len() > INLINE_BYTES_MAX);
            bytes.map(|bytes| self.push_chunks(&bytes)).transpose()
        })?;
        Ok(new.unwrap_or(value))
    }
}

/// About the bytes that chunks take beside their text, for bytes of so many as text.
pub(crate) fn around_chunks(bytes: u64) -> u64 {
    const AROUND: u64 = 128;
    bytes / (CHUNK_BYTES as u64) * AROUND
}
