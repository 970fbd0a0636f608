//! Bytes as values: small ones inside the JSON, large ones out of line, in chunks that come and go with their value.
//!
//! # Format
//!
//! Where the bytes are set stands `{"$bytes": "…"}` with their base64, or for large ones `{"$bytes": "#id length"}`. Then the
//! series of that id in the collection `$bytes` has the chunks, each as base64, under the times 0, 1, 2 and so on. They are
//! pushed and cut in the transaction that puts the value there or takes it away. The id is that of no other bytes, in no
//! other store: the place of the first chunk and a random number. A value with an id is refused where its chunks are not.
//!
//! An export writes every one of them as `{"$bytes": "…"}` with all of the base64, and an import puts the large ones out of
//! line again.

mod whole;

use std::collections::BTreeMap;
use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::Receipt;
use crate::journal::spare::random_u64;
use crate::position::Lsn;
use crate::store::key::CHUNKS;
use crate::store::op::Op;
use crate::store::path::{IntoPath, Path};
use crate::store::transaction::Draft;
use crate::store::value::{BYTES, Object, Value};
use crate::store::version::Version;
use crate::store::{Store, Tx, View};

pub(crate) use whole::{Reading, around_chunks};

/// Up to so many bytes stand inside the JSON.
const INLINE_BYTES_MAX: usize = 64 * 1024;
const CHUNK_BYTES: usize = 256 * 1024;

/// What a marker says.
enum Marked<'a> {
    Inline(&'a str),
    Chunks { id: &'a str, len: u64 },
}

fn marked(value: &Value) -> Option<Marked<'_>> {
    let text = value.as_object()?.get(BYTES)?.as_str()?;
    Some(chunks_of(text).unwrap_or(Marked::Inline(text)))
}

/// What the text under a marker says, if it does not say the bytes themselves.
fn chunks_of(text: &str) -> Option<Marked<'_>> {
    let (id, len) = text.strip_prefix('#')?.split_once(' ')?;
    Some(Marked::Chunks { id, len: len.parse().ok()? })
}

fn marker(text: Value) -> Value {
    Value::Object(Object::from_iter([(BYTES, text)]))
}

fn chunks_at(id: &str) -> Path {
    Path::of_segments([CHUNKS, id])
}

fn encoded(chunk: &[u8]) -> Value {
    Value::from(STANDARD.encode(chunk).as_str())
}

fn decoded(path: &Path, text: &str) -> Result<Vec<u8>> {
    let damage = |_| Error::new(ErrorKind::Damaged, format!("bytes at {path} are no base64"));
    STANDARD.decode(text).map_err(damage)
}

impl Version {
    /// Writes the bytes at `path` to `to`, chunk by chunk; tells how many there are.
    fn read_bytes(&self, path: &Path, to: &mut dyn Write) -> Result<Option<u64>> {
        let Some(value) = self.layered(path)? else { return Ok(None) };
        let mut put = |bytes: &[u8]| {
            to.write_all(bytes).map_err(|error| Error::io("write", "the writer for bytes", error))?;
            Ok::<_, Error>(bytes.len() as u64)
        };
        match marked(&value) {
            Some(Marked::Inline(text)) => put(&decoded(path, text)?).map(Some),
            Some(Marked::Chunks { id, len }) => {
                let mut found = 0;
                for pair in self.entries(&chunks_at(id), &..)? {
                    let (_, document) = pair?;
                    found += put(&decoded(path, document.value.as_str().unwrap_or("?"))?)?;
                }
                if found != len {
                    let what = format!("bytes at {path} should be {len}, and there are {found}");
                    return Err(Error::new(ErrorKind::Damaged, what));
                }
                Ok(Some(len))
            }
            None => {
                let what = format!("at {path} stands {}, not bytes", value.kind());
                Err(Error::new(ErrorKind::WrongType, what).advise("bytes are put there with set_bytes"))
            }
        }
    }

    fn get_bytes(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        Ok(self.read_bytes(path, &mut bytes)?.map(|_| bytes))
    }

    /// Whether just these bytes are at `path`.
    fn has_bytes(&self, path: &Path, bytes: &[u8]) -> Result<bool> {
        let Some(value) = self.value(path)? else { return Ok(false) };
        let Some(Marked::Chunks { id, len }) = marked(&value) else { return Ok(false) };
        if len != bytes.len() as u64 {
            return Ok(false);
        }
        let mut chunks = bytes.chunks(CHUNK_BYTES);
        for pair in self.entries(&chunks_at(id), &..)? {
            let (_, document) = pair?;
            if chunks.next().map(encoded).as_ref() != Some(&document.value) {
                return Ok(false);
            }
        }
        Ok(chunks.next().is_none())
    }
}

impl Tx<'_> {
    /// Puts bytes at `path`. Those that are large are stored out of line, so that the document around them stays small. Tells
    /// whether it changes anything.
    ///
    /// # Errors
    ///
    /// As [`Tx::set`]. Together with all else the bytes, a third larger as text, must fit into one transaction.
    pub fn set_bytes(&mut self, path: impl IntoPath, bytes: &[u8]) -> Result<bool> {
        let path = path.into_path()?;
        if bytes.len() <= INLINE_BYTES_MAX {
            return self.set_value(path, marker(encoded(bytes)));
        }
        if self.draft.version().has_bytes(&path, bytes)? {
            return Ok(false);
        }
        let text = self.draft.push_chunks(bytes)?;
        self.set_value(path, marker(text))
    }

    /// The bytes at `path`, if there are any.
    ///
    /// # Errors
    ///
    /// As [`View::get_bytes`].
    pub fn get_bytes(&self, path: impl IntoPath) -> Result<Option<Vec<u8>>> {
        self.draft.version().get_bytes(&path.into_path()?)
    }
}

impl View {
    /// The bytes at `path`, if there are any.
    ///
    /// # Errors
    ///
    /// `Input` if `path` leads nowhere; `WrongType` if something else is there; `Damaged`, with file and offset, if they
    /// cannot be read.
    pub fn get_bytes(&self, path: impl IntoPath) -> Result<Option<Vec<u8>>> {
        self.version().get_bytes(&path.into_path()?)
    }

    /// Whether what is at `path` is bytes.
    #[cfg(feature = "cli")]
    pub(crate) fn is_bytes(&self, path: &Path) -> Result<bool> {
        let value = self.version().layered(path)?;
        Ok(value.as_ref().and_then(marked).is_some_and(|marked| match marked {
            Marked::Inline(text) => STANDARD.decode(text).is_ok(),
            Marked::Chunks { .. } => true,
        }))
    }

    /// Writes the bytes at `path` to `to` without holding them all; tells how many there are, or that there are none.
    ///
    /// # Errors
    ///
    /// As [`View::get_bytes`], and what `to` fails with. Part of the bytes may have been written then.
    pub fn read_bytes(&self, path: impl IntoPath, to: &mut dyn Write) -> Result<Option<u64>> {
        self.version().read_bytes(&path.into_path()?, to)
    }
}

impl Store {
    /// Puts bytes at `path`; see [`Tx::set_bytes`]. They are part of the history as any value, and removed with it.
    ///
    /// # Errors
    ///
    /// As [`Tx::set_bytes`] and [`Store::set`].
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> everlog::Result<()> {
    /// # let directory = tempfile::tempdir().expect("a directory");
    /// # let store = everlog::Store::open(directory.path().join("store"))?;
    /// let picture = vec![7; 1_000_000];
    /// store.set_bytes("notes.17.picture", &picture)?;
    /// assert_eq!(store.get_bytes("notes.17.picture")?, Some(picture));
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_bytes(&self, path: impl IntoPath, bytes: &[u8]) -> Result<Receipt> {
        let path = path.into_path()?;
        self.one(|tx| tx.set_bytes(path, bytes))
    }

    /// The bytes at `path`, if there are any.
    ///
    /// # Errors
    ///
    /// As [`View::get_bytes`].
    pub fn get_bytes(&self, path: impl IntoPath) -> Result<Option<Vec<u8>>> {
        self.view().get_bytes(path)
    }

    /// Writes the bytes at `path` to `to` without holding them all.
    ///
    /// # Errors
    ///
    /// As [`View::read_bytes`].
    pub fn read_bytes(&self, path: impl IntoPath, to: &mut dyn Write) -> Result<Option<u64>> {
        self.view().read_bytes(path, to)
    }
}

/// Counts the values whose chunks are out of line. Costs nothing where there are none.
fn count<'a>(key: Option<&str>, value: &'a Value, by: i64, counts: &mut BTreeMap<&'a str, i64>) {
    match value {
        Value::String(text) if key == Some(BYTES) => {
            if let Some(Marked::Chunks { id, .. }) = chunks_of(text) {
                *counts.entry(id).or_default() += by;
            }
        }
        value if !value.may_have_chunks() => {}
        Value::Array(array) => array.iter().for_each(|value| count(None, value, by, counts)),
        Value::Object(object) => object.iter().for_each(|(key, value)| count(Some(key), value, by, counts)),
        _ => {}
    }
}

impl Draft {
    /// Puts bytes out of line; returns the text that stands for them.
    fn push_chunks(&mut self, bytes: &[u8]) -> Result<Value> {
        let first = self.next_position();
        let id = format!("{}-{}-{:016x}", first.epoch.get(), first.lsn.get(), random_u64()?);
        for (number, chunk) in bytes.chunks(CHUNK_BYTES).enumerate() {
            let time = Timestamp::from_micros(number as u64);
            self.apply(Op::Push { path: chunks_at(&id), time, value: encoded(chunk) })?;
        }
        Ok(Value::from(format!("#{id} {}", bytes.len()).as_str()))
    }

    /// Takes chunks away with the values that they belong to, and brings those back whose values came back.
    pub(crate) fn settle_chunks(&mut self) -> Result<()> {
        let mut counts = BTreeMap::new();
        for (_, effect) in self.effects() {
            if effect.path.collection() == CHUNKS {
                counts.entry(effect.path.key().unwrap_or_default()).or_default();
                continue;
            }
            let key = effect.path.inner().last().map(String::as_str);
            effect.old.iter().for_each(|old| count(key, old, -1, &mut counts));
            effect.new.iter().for_each(|new| count(key, new, 1, &mut counts));
        }
        let counts: Vec<(Path, i64)> = counts.into_iter().map(|(id, by)| (chunks_at(id), by)).collect();
        for (path, by) in counts {
            let was_there = self.base().series(&path)?.is_some();
            if by < 0 || (by == 0 && !was_there) {
                self.apply(Op::Cut { path, time: Timestamp::MAX, lsn: Lsn::MAX })?;
            } else if by > 1 || (by == 1 && was_there) {
                let what = "bytes that are stored out of line cannot be copied as a value";
                return Err(Error::new(ErrorKind::Input, what).advise("use get_bytes and set_bytes"));
            } else if by == 1 && self.version().series(&path)?.is_none() {
                self.bring_back(&path)?;
            }
        }
        Ok(())
    }

    fn bring_back(&mut self, path: &Path) -> Result<()> {
        let source = self.source().cloned().unwrap_or_default();
        let chunks: Vec<_> = source.entries(path, &..)?.collect::<Result<_>>()?;
        if chunks.is_empty() {
            let what = "a value stands for bytes out of line that are not there";
            return Err(Error::new(ErrorKind::Input, what).advise("put bytes there with set_bytes"));
        }
        for (number, (_, document)) in chunks.into_iter().enumerate() {
            let (time, value) = (Timestamp::from_micros(number as u64), document.value.clone());
            self.apply(Op::Push { path: path.clone(), time, value })?;
        }
        Ok(())
    }
}
