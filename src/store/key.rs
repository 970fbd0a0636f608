//! The keys under which a store's documents stand in the order of a run.
//!
//! # Format
//!
//! | bytes | field |
//! | --- | --- |
//! | n | collection, without zeros |
//! | 1 | zero |
//! | 1 | kind: `d` document, `n` what is known of a series, `s` entry of a series |
//! | … | of a document: its key as it is; of what is known of a series: the series' key as it is |
//! | … | of an entry: the series' key with each zero as 0 255, then 0 1, then time (8) and Lsn (8), big-endian |
//!
//! A key that starts with a zero belongs to the store itself.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::position::Lsn;

/// A key as its bytes, in whose order the keys stand.
pub(crate) type Key = Arc<[u8]>;

const DOCUMENT: u8 = b'd';
const KNOWN: u8 = b'n';
const SERIES: u8 = b's';

/// Where the counts of all collections stand.
pub(crate) const TALLIES: &[u8] = b"\0tallies";

/// The collection of the store itself: what was imported, and the like. No view lists it.
pub(crate) const SYSTEM: &str = "$everlog";

/// The collection of the chunks of bytes that are stored out of line.
pub(crate) const CHUNKS: &str = "$bytes";

/// Whether a collection is one of a user: names that start with a dollar are the store's own.
pub(crate) fn is_users(collection: &str) -> bool {
    !collection.starts_with('$')
}

/// Refuses what cannot name a collection.
pub(crate) fn check_collection(name: &str) -> Result<()> {
    const BYTES_MAX: usize = 128;
    if name.is_empty() || name.len() > BYTES_MAX || name.contains('\0') {
        let what = format!("collection {name:?} needs a name of 1 to {BYTES_MAX} bytes without zeros");
        return Err(Error::new(ErrorKind::Input, what));
    }
    Ok(())
}

/// Refuses what cannot name a collection of a user.
pub(crate) fn check_users(name: &str) -> Result<()> {
    if !is_users(name) {
        let what = format!("collection {name:?} would be the store's own");
        return Err(
            Error::new(ErrorKind::Input, what).advise("choose a name that does not start with a dollar")
        );
    }
    check_collection(name)
}

fn under(collection: &str, kind: u8) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(collection.len() + 34);
    bytes.extend_from_slice(collection.as_bytes());
    bytes.extend_from_slice(&[0, kind]);
    bytes
}

/// The key of a document.
pub(crate) fn document(collection: &str, key: &str) -> Key {
    let mut bytes = under(collection, DOCUMENT);
    bytes.extend_from_slice(key.as_bytes());
    bytes.into()
}

/// What the keys of all documents of a collection start with.
pub(crate) fn documents(collection: &str) -> Vec<u8> {
    under(collection, DOCUMENT)
}

/// What the keys of everything in a collection start with.
pub(crate) fn all_of(collection: &str) -> Vec<u8> {
    [collection.as_bytes(), &[0]].concat()
}

/// Where the count of a series stands.
pub(crate) fn known(collection: &str, key: &str) -> Key {
    let mut bytes = under(collection, KNOWN);
    bytes.extend_from_slice(key.as_bytes());
    bytes.into()
}

/// What the keys under which the counts of a collection's series stand start with.
pub(crate) fn all_known(collection: &str) -> Vec<u8> {
    under(collection, KNOWN)
}

/// What the keys of all entries of all series of a collection start with.
pub(crate) fn all_series(collection: &str) -> Vec<u8> {
    under(collection, SERIES)
}

/// What the keys of all entries of a series start with.
pub(crate) fn series(collection: &str, key: &str) -> Vec<u8> {
    let mut bytes = under(collection, SERIES);
    for byte in key.bytes() {
        bytes.push(byte);
        if byte == 0 {
            bytes.push(255);
        }
    }
    bytes.extend_from_slice(&[0, 1]);
    bytes
}

/// The key of an entry of a series.
pub(crate) fn entry(collection: &str, key: &str, time: Timestamp, lsn: Lsn) -> Key {
    let mut bytes = series(collection, key);
    bytes.extend_from_slice(&time.micros().to_be_bytes());
    bytes.extend_from_slice(&lsn.get().to_be_bytes());
    bytes.into()
}

/// The end of all keys that start with `prefix`; `None` if nothing lies behind them.
pub(crate) fn after(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 255)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// What a key says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named<'a> {
    /// A document of a collection.
    Document { collection: &'a str, key: &'a str },
    /// An entry of a series.
    Entry { collection: &'a str, key: String, time: Timestamp, lsn: Lsn },
}

/// The collection of a key; empty where it belongs to the store itself.
pub(crate) fn collection(bytes: &[u8]) -> &str {
    let zero = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    // OK because keys are made of texts: the collection's part is one.
    std::str::from_utf8(&bytes[..zero]).unwrap_or_default()
}

fn kind(bytes: &[u8]) -> Option<u8> {
    let zero = bytes.iter().position(|byte| *byte == 0).filter(|zero| *zero > 0)?;
    bytes.get(zero + 1).copied()
}

/// Whether a key is that of an entry of a series.
pub(crate) fn is_entry(bytes: &[u8]) -> bool {
    kind(bytes) == Some(SERIES)
}

/// Whether the count of a series stands under a key.
pub(crate) fn is_known(bytes: &[u8]) -> bool {
    kind(bytes) == Some(KNOWN)
}

/// Whether a key is that of a document or an entry of a series.
pub(crate) fn is_counted(bytes: &[u8]) -> bool {
    matches!(kind(bytes), Some(DOCUMENT | SERIES))
}

/// Reads a key; `None` if it is not one of a document or entry.
pub(crate) fn read(bytes: &[u8]) -> Option<Named<'_>> {
    let zero = bytes.iter().position(|byte| *byte == 0).filter(|zero| *zero > 0)?;
    let collection = std::str::from_utf8(&bytes[..zero]).ok()?;
    let (kind, rest) = bytes[zero + 1..].split_first()?;
    match *kind {
        DOCUMENT => Some(Named::Document { collection, key: std::str::from_utf8(rest).ok()? }),
        SERIES => {
            let (front, lsn) = rest.split_last_chunk::<8>()?;
            let (front, time) = front.split_last_chunk::<8>()?;
            let escaped = front.strip_suffix(&[0, 1])?;
            let mut key = Vec::with_capacity(escaped.len());
            let mut at = escaped.iter();
            while let Some(byte) = at.next() {
                key.push(*byte);
                if *byte == 0 && at.next() != Some(&255) {
                    return None;
                }
            }
            let time = Timestamp::from_micros(u64::from_be_bytes(*time));
            let lsn = Lsn::new(u64::from_be_bytes(*lsn));
            Some(Named::Entry { collection, key: String::from_utf8(key).ok()?, time, lsn })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_and_entries_stand_in_the_order_of_time() {
        for key in ["", "a", "a\0b", "\0", "ä"] {
            let bytes = document("notes", key);
            assert_eq!(read(&bytes), Some(Named::Document { collection: "notes", key }));
            let mut keys = Vec::new();
            for (time, lsn) in [(1, 9), (2, 1), (2, 2), (u64::MAX, 0)] {
                let (time, lsn) = (Timestamp::from_micros(time), Lsn::new(lsn));
                let bytes = entry("notes", key, time, lsn);
                assert!(bytes.starts_with(&series("notes", key)));
                let named = Named::Entry { collection: "notes", key: key.to_owned(), time, lsn };
                assert_eq!(read(&bytes), Some(named));
                keys.push(bytes);
            }
            assert!(keys.is_sorted());
        }
    }

    #[test]
    fn no_series_lies_among_the_entries_of_another() {
        let last = entry("c", "a", Timestamp::from_micros(u64::MAX), Lsn::new(u64::MAX));
        assert!(last < entry("c", "a\0", Timestamp::ZERO, Lsn::ZERO));
        assert!(last < entry("c", "aa", Timestamp::ZERO, Lsn::ZERO));
        assert_eq!(after(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(after(b"\xff"), None);
    }
}
