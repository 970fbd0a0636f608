//! Parts of a collection: pages with cursors, ranges of keys, lists without values, and what changed last.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::position::Position;
use crate::store::View;
use crate::store::document::{Document, Head};
use crate::store::key::{self, Key, Named};
use crate::store::path::{IntoPath, Path};
use crate::store::view::Entry;

/// How many documents a page has if nothing is said.
pub const PAGE_SIZE: usize = 20;

/// How many documents a page has at most.
pub const PAGE_MAX: usize = 100;

/// A part of a collection, in the order of keys.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// What to ask for the next page with; nothing if this is the last.
    pub next: Option<String>,
}

/// A document as a list shows it: without its value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Listed {
    /// Its key in the collection.
    pub key: String,
    /// The record that last changed it.
    pub revision: Position,
    /// When that was.
    pub time: Timestamp,
    /// Who did it, if that was said.
    pub actor: Option<Arc<str>>,
    /// Bytes of its value as text.
    pub bytes: u64,
}

/// Documents whose keys start alike.
struct Prefix {
    collection: String,
    /// What keys in the order of runs start with.
    bytes: Vec<u8>,
}

impl Prefix {
    fn of(path: impl IntoPath) -> Result<Prefix> {
        let path: Path = path.into_path()?;
        if path.segments().len() > 2 {
            let what = format!("path {path} leads into a document; a part of a collection is named by");
            let what = format!("{what} the collection and, if wanted, the start of keys");
            return Err(Error::new(ErrorKind::Input, what));
        }
        let collection = path.collection().to_owned();
        let bytes = key::document(&collection, path.key().unwrap_or_default()).to_vec();
        Ok(Prefix { collection, bytes })
    }

    fn start(&self) -> usize {
        key::documents(&self.collection).len()
    }
}

impl View {
    /// A page of the documents that `prefix` names: a collection, or with a second segment those of its documents whose keys
    /// start with that text. `size` is [`PAGE_SIZE`] if nothing is said, and at most [`PAGE_MAX`]. The first page has no
    /// `cursor`; each page has that of the next. A cursor goes on after the last key that was seen, also in a later view,
    /// whatever came or went meanwhile. Stored documents only, as they are stored: defaults are not on pages.
    /// O(log n) and what is read.
    ///
    /// # Errors
    ///
    /// `Input` if `cursor` is not one, or one of another store or prefix, or `prefix` leads into a document; `Damaged`, with
    /// file and offset, if a document cannot be read.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> everlog::Result<()> {
    /// # let directory = tempfile::tempdir().expect("a directory");
    /// # let store = everlog::Store::open(directory.path().join("store"))?;
    /// # for number in 0..50 { store.set(everlog::path!("notes", number), &number)?; }
    /// let mut cursor = None;
    /// let mut seen = 0;
    /// loop {
    ///     let page = store.view().page("notes", None, cursor.as_deref())?;
    ///     seen += page.items.len();
    ///     cursor = page.next;
    ///     if cursor.is_none() {
    ///         break;
    ///     }
    /// }
    /// assert_eq!(seen, 50);
    /// # Ok(())
    /// # }
    /// ```
    pub fn page(
        &self,
        prefix: impl IntoPath,
        size: Option<usize>,
        cursor: Option<&str>,
    ) -> Result<Page<(String, Entry)>> {
        let prefix = Prefix::of(prefix)?;
        let from = self.start_of(&prefix, cursor)?;
        self.cut_page(&prefix, size, self.version().range_from(&prefix.bytes, from), entry)
    }

    /// The same without values, which are not even read.
    ///
    /// # Errors
    ///
    /// As [`View::page`].
    pub fn list_page(
        &self,
        prefix: impl IntoPath,
        size: Option<usize>,
        cursor: Option<&str>,
    ) -> Result<Page<Listed>> {
        let prefix = Prefix::of(prefix)?;
        let from = self.start_of(&prefix, cursor)?;
        self.cut_page(&prefix, size, self.version().heads(&prefix.bytes, from), listed)
    }

    /// All documents that `prefix` names, as in [`View::page`], without their values. O(documents under the prefix).
    ///
    /// # Errors
    ///
    /// As [`View::page`].
    pub fn list(&self, prefix: impl IntoPath) -> Result<Vec<Listed>> {
        self.changed(prefix, ..)
    }

    /// Those of them whose last change lies in `times`. O(documents under the prefix); values are not read.
    ///
    /// # Errors
    ///
    /// As [`View::page`].
    pub fn changed(&self, prefix: impl IntoPath, times: impl RangeBounds<Timestamp>) -> Result<Vec<Listed>> {
        let prefix = Prefix::of(prefix)?;
        let heads = self.version().heads(&prefix.bytes, prefix.bytes.clone());
        heads
            .filter(|pair| pair.as_ref().map_or(true, |(_, head)| times.contains(&head.time)))
            .map(|pair| pair.and_then(listed))
            .collect()
    }

    /// The `count` documents that `prefix` names whose last change is the latest, that one first. O(documents under the
    /// prefix), but only those that are returned are read. What is asked for often should be a series.
    ///
    /// # Errors
    ///
    /// As [`View::page`].
    pub fn latest(&self, prefix: impl IntoPath, count: usize) -> Result<Vec<(String, Entry)>> {
        let prefix = Prefix::of(prefix)?;
        let mut newest = BinaryHeap::new();
        for pair in self.version().heads(&prefix.bytes, prefix.bytes.clone()) {
            let (key, head) = pair?;
            newest.push(Reverse((head.revision.lsn, key)));
            if newest.len() > count {
                newest.pop();
            }
        }
        let mut found = Vec::with_capacity(newest.len());
        for Reverse((_, key)) in newest.into_sorted_vec() {
            if let Some(document) = self.version().slot(&key)? {
                found.push(entry((key, document))?);
            }
        }
        Ok(found)
    }

    /// The documents of a collection whose keys lie in `keys`, in order. O(log n) and what is read.
    ///
    /// # Errors
    ///
    /// `Damaged`, with file and offset, if a document cannot be read.
    pub fn range<'a>(
        &self,
        collection: impl IntoPath,
        keys: impl RangeBounds<&'a str>,
    ) -> Result<Vec<(String, Entry)>> {
        let path = collection.into_path()?;
        if path.key().is_some() {
            let what = format!("path {path} names a document; a range of keys is one of a collection");
            return Err(Error::new(ErrorKind::Input, what));
        }
        let at = |key: &str| key::document(path.collection(), key).to_vec();
        // Nothing lies between a key and the same key with a zero behind it.
        let behind = |key: &str| [at(key).as_slice(), b"\0"].concat();
        let from = match keys.start_bound() {
            Bound::Unbounded => at(""),
            Bound::Included(key) => at(key),
            Bound::Excluded(key) => behind(key),
        };
        let below = match keys.end_bound() {
            Bound::Unbounded => key::after(&at("")),
            Bound::Included(key) => Some(behind(key)),
            Bound::Excluded(key) => Some(at(key)),
        };
        self.version().span(from, below).map(|pair| pair.and_then(entry)).collect()
    }

    /// Where a page starts.
    fn start_of(&self, prefix: &Prefix, cursor: Option<&str>) -> Result<Vec<u8>> {
        let Some(cursor) = cursor else { return Ok(prefix.bytes.clone()) };
        let last = read_cursor(cursor, self.store_tag(), tag(&prefix.bytes))?;
        let mut from = key::documents(&prefix.collection);
        from.extend_from_slice(&last);
        from.push(0);
        // Anybody can make up a cursor: it leads nowhere that the prefix does not.
        Ok(from.max(prefix.bytes.clone()))
    }

    fn store_tag(&self) -> [u8; 4] {
        tag(&self.version().declared.store)
    }

    fn cut_page<S, T>(
        &self,
        prefix: &Prefix,
        size: Option<usize>,
        pairs: impl Iterator<Item = Result<(Key, S)>>,
        show: fn((Key, S)) -> Result<T>,
    ) -> Result<Page<T>> {
        let size = size.unwrap_or(PAGE_SIZE).clamp(1, PAGE_MAX);
        let mut items = Vec::with_capacity(size);
        let mut last: Option<Key> = None;
        for pair in pairs {
            let (key, found) = pair?;
            if items.len() == size {
                let last = last.as_deref().and_then(|last| last.get(prefix.start()..)).unwrap_or_default();
                let next = write_cursor(self.store_tag(), tag(&prefix.bytes), last);
                return Ok(Page { items, next: Some(next) });
            }
            last = Some(Arc::clone(&key));
            items.push(show((key, found))?);
        }
        Ok(Page { items, next: None })
    }
}

fn name(key: &Key) -> Result<String> {
    match key::read(key) {
        Some(Named::Document { key, .. }) => Ok(key.to_owned()),
        _ => Err(Error::new(ErrorKind::Damaged, "key of a document in a snapshot does not check")),
    }
}

fn entry((key, document): (Key, Arc<Document>)) -> Result<(String, Entry)> {
    let (revision, time, actor) = (document.revision, document.time, document.actor.clone());
    Ok((name(&key)?, Entry { value: document.value.clone(), revision, time, actor }))
}

fn listed((key, head): (Key, Head)) -> Result<Listed> {
    let Head { revision, time, actor, bytes } = head;
    Ok(Listed { key: name(&key)?, revision, time, actor, bytes })
}

const CURSOR_VERSION: u8 = 1;
const TAG_BYTES: usize = 4;

/// What tells stores and prefixes apart, well enough to notice a mistake.
fn tag(bytes: &[u8]) -> [u8; TAG_BYTES] {
    crc32fast::hash(bytes).to_le_bytes()
}

/// Version, tags of store and prefix, the last key that was seen, and a checksum over all of that.
fn write_cursor(store: [u8; TAG_BYTES], prefix: [u8; TAG_BYTES], last: &[u8]) -> String {
    let mut bytes = vec![CURSOR_VERSION];
    bytes.extend_from_slice(&store);
    bytes.extend_from_slice(&prefix);
    bytes.extend_from_slice(last);
    bytes.extend_from_slice(&tag(&bytes));
    URL_SAFE_NO_PAD.encode(bytes)
}

fn read_cursor(text: &str, store: [u8; TAG_BYTES], prefix: [u8; TAG_BYTES]) -> Result<Vec<u8>> {
    let fault = |what: &str| {
        Error::new(ErrorKind::Input, format!("cursor {what}")).advise("start again with the first page")
    };
    let bytes = URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
    let parts = bytes.split_last_chunk::<TAG_BYTES>().filter(|(front, sum)| tag(front) == **sum);
    let (front, _) = parts.ok_or_else(|| fault("is not one that a page gave, or was changed"))?;
    let rest = front.strip_prefix(&[CURSOR_VERSION]).ok_or_else(|| fault("is of another version"))?;
    let (of_store, rest) = rest.split_first_chunk::<TAG_BYTES>().ok_or_else(|| fault("is cut"))?;
    let (of_prefix, last) = rest.split_first_chunk::<TAG_BYTES>().ok_or_else(|| fault("is cut"))?;
    if *of_store != store {
        return Err(fault("is one of another store"));
    }
    if *of_prefix != prefix {
        return Err(fault("is one of another prefix"));
    }
    Ok(last.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_no_other_text_does() {
        let text = write_cursor(*b"stor", *b"pref", b"last key");
        assert_eq!(read_cursor(&text, *b"stor", *b"pref").expect("reads"), b"last key");
        let what = |text: &str, store, prefix| {
            read_cursor(text, store, prefix).expect_err("refused").what().to_owned()
        };
        assert!(what(&text, *b"STOR", *b"pref").contains("another store"));
        assert!(what(&text, *b"stor", *b"PREF").contains("another prefix"));
        for length in 0..text.len() {
            assert!(what(&text[..length], *b"stor", *b"pref").contains("not one"));
        }
        for text in ["", "ä", "!", "AAAA", "AAAAAA"] {
            what(text, *b"stor", *b"pref");
        }
    }
}
