//! One record inside a frame's body: kind, flags, type version, time, and the payload with what precedes it.
//!
//! # Format
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 4 | number of bytes after this header |
//! | 4 | 1 | kind: 1 event, 2 pin, 3 unpin, 4 rollback, 5 clock |
//! | 5 | 1 | flags: 1 last of its transaction, 2 metadata, 4 key id |
//! | 6 | 2 | version of the event's type |
//! | 8 | 8 | time in microseconds since 1970 |
//! | 16 | 4 | key id, only with its flag: what follows is encrypted, which this version refuses by name |
//! | … | 2 + n | metadata: its length and bytes, only with its flag |
//! | … | … | payload |

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::segment::{field, put};

/// The size of a record's header.
pub(crate) const HEADER_BYTES: usize = 16;
/// The largest metadata block.
pub(crate) const META_BYTES_MAX: usize = u16::MAX as usize;

const KIND_OFFSET: usize = 4;
const FLAGS_OFFSET: usize = 5;
const VERSION_OFFSET: usize = 6;
const TIME_OFFSET: usize = 8;

const FLAG_END: u8 = 1;
const FLAG_META: u8 = 2;
const FLAG_KEY: u8 = 4;
const FLAGS_KNOWN: u8 = FLAG_END | FLAG_META | FLAG_KEY;

/// What a record is. Unknown kinds are a newer format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecordKind {
    /// What the application appended.
    Event,
    /// A named position that retention keeps.
    Pin,
    /// The end of a pin.
    Unpin,
    /// The state returns to what it was at an earlier position.
    Rollback,
    /// The wall clock stepped; tells by how much.
    Clock,
}

impl RecordKind {
    /// A stable word for machines, as in the `kind` of `everlog log --json`.
    pub fn word(self) -> &'static str {
        match self {
            RecordKind::Event => "event",
            RecordKind::Pin => "pin",
            RecordKind::Unpin => "unpin",
            RecordKind::Rollback => "rollback",
            RecordKind::Clock => "clock",
        }
    }

    fn byte(self) -> u8 {
        match self {
            RecordKind::Event => 1,
            RecordKind::Pin => 2,
            RecordKind::Unpin => 3,
            RecordKind::Rollback => 4,
            RecordKind::Clock => 5,
        }
    }

    fn from_byte(byte: u8) -> Option<RecordKind> {
        Some(match byte {
            1 => RecordKind::Event,
            2 => RecordKind::Pin,
            3 => RecordKind::Unpin,
            4 => RecordKind::Rollback,
            5 => RecordKind::Clock,
            _ => return None,
        })
    }
}

/// One record, borrowed from where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordView<'a> {
    pub(crate) kind: RecordKind,
    /// Whether this record ends its transaction.
    pub(crate) end: bool,
    pub(crate) type_version: u16,
    pub(crate) time: Timestamp,
    pub(crate) key_id: Option<u32>,
    pub(crate) meta: Option<&'a [u8]>,
    pub(crate) payload: &'a [u8],
}

impl RecordView<'_> {
    /// The bytes that this record takes in a body.
    pub(crate) fn encoded_bytes(&self) -> usize {
        HEADER_BYTES + self.rest_bytes()
    }

    fn rest_bytes(&self) -> usize {
        self.key_id.map_or(0, |_| 4) + self.meta.map_or(0, |meta| 2 + meta.len()) + self.payload.len()
    }

    /// Adds the record to a body. Sizes were checked when the record was accepted.
    pub(crate) fn encode(&self, body: &mut Vec<u8>) {
        let mut header = [0; HEADER_BYTES];
        put!(header, 0, self.rest_bytes() as u32);
        header[KIND_OFFSET] = self.kind.byte();
        header[FLAGS_OFFSET] = u8::from(self.end) * FLAG_END
            + u8::from(self.meta.is_some()) * FLAG_META
            + u8::from(self.key_id.is_some()) * FLAG_KEY;
        put!(header, VERSION_OFFSET, self.type_version);
        put!(header, TIME_OFFSET, self.time.micros());
        body.extend_from_slice(&header);
        if let Some(key_id) = self.key_id {
            body.extend_from_slice(&key_id.to_le_bytes());
        }
        if let Some(meta) = self.meta {
            body.extend_from_slice(&(meta.len() as u16).to_le_bytes());
            body.extend_from_slice(meta);
        }
        body.extend_from_slice(self.payload);
    }

    /// Reads the record at the start of `body`; returns it and what follows it.
    pub(crate) fn decode(body: &[u8]) -> Result<(RecordView<'_>, &[u8])> {
        let broken = || Error::new(ErrorKind::Damaged, "record is longer than its frame");
        if body.len() < HEADER_BYTES {
            return Err(broken());
        }
        let (header, after) = body.split_at(HEADER_BYTES);
        let rest_bytes = field!(u32, header, 0) as usize;
        if rest_bytes > after.len() {
            return Err(broken());
        }
        let (mut rest, next) = after.split_at(rest_bytes);
        let flags = header[FLAGS_OFFSET];
        let (Some(kind), 0) = (RecordKind::from_byte(header[KIND_OFFSET]), flags & !FLAGS_KNOWN) else {
            return Err(Error::new(
                ErrorKind::NewerFormat,
                "record of an unknown kind or with unknown flags",
            )
            .advise("use a version of everlog that knows it; nothing was changed"));
        };
        let key_id = if flags & FLAG_KEY != 0 {
            let (key_id, after) = rest.split_first_chunk::<4>().ok_or_else(broken)?;
            rest = after;
            Some(u32::from_le_bytes(*key_id))
        } else {
            None
        };
        let meta = if flags & FLAG_META != 0 {
            let (length, after) = rest.split_first_chunk::<2>().ok_or_else(broken)?;
            let (meta, after) =
                after.split_at_checked(u16::from_le_bytes(*length) as usize).ok_or_else(broken)?;
            rest = after;
            Some(meta)
        } else {
            None
        };
        let record = RecordView {
            kind,
            end: flags & FLAG_END != 0,
            type_version: field!(u16, header, VERSION_OFFSET),
            time: Timestamp::from_micros(field!(u64, header, TIME_OFFSET)),
            key_id,
            meta,
            payload: rest,
        };
        Ok((record, next))
    }
}

/// The records of a body, in order. Ends after the first error.
#[derive(Clone, Debug)]
pub(crate) struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Records<'a> {
        Records { rest: body }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordView<'a>>;

    fn next(&mut self) -> Option<Result<RecordView<'a>>> {
        if self.rest.is_empty() {
            return None;
        }
        match RecordView::decode(self.rest) {
            Ok((record, next)) => {
                self.rest = next;
                Some(Ok(record))
            }
            Err(error) => {
                self.rest = &[];
                Some(Err(error))
            }
        }
    }
}

/// Checks that a body holds exactly `count` records, ends its last transaction unless it `continues`, and then ends
/// none: a transaction that spans frames shares them with no other. A record under a key is an error that names it.
pub(crate) fn check_body(body: &[u8], count: u32, continues: bool) -> Result<bool> {
    let mut seen = 0_u32;
    let (mut end, mut ends) = (!continues, false);
    for record in Records::new(body) {
        match record {
            Ok(record) => {
                seen += 1;
                end = record.end;
                ends |= record.end;
                if let Some(key_id) = record.key_id {
                    let what = format!("record is encrypted under key {key_id}");
                    return Err(Error::new(ErrorKind::NewerFormat, what)
                        .advise("use a version of everlog that knows keys; nothing was changed"));
                }
            }
            Err(error) if *error.kind() == ErrorKind::Damaged => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(seen == count && end != continues && !(continues && ends))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample<'a>(meta: Option<&'a [u8]>, key_id: Option<u32>) -> RecordView<'a> {
        RecordView {
            kind: RecordKind::Event,
            end: true,
            type_version: 3,
            time: Timestamp::from_micros(1_700_000_000_000_000),
            key_id,
            meta,
            payload: b"payload",
        }
    }

    #[test]
    fn records_survive_a_round_trip_with_every_combination_of_options() {
        let mut body = Vec::new();
        let samples = [
            sample(None, None),
            sample(Some(b"who"), None),
            sample(None, Some(9)),
            RecordView { end: false, kind: RecordKind::Pin, ..sample(Some(b""), Some(1)) },
        ];
        let mut bytes = 0;
        for record in &samples {
            record.encode(&mut body);
            bytes += record.encoded_bytes();
            assert_eq!(body.len(), bytes);
        }
        let read: Vec<_> = Records::new(&body).collect::<Result<_>>().expect("valid");
        assert_eq!(read, samples);
    }

    #[test]
    fn a_body_is_checked_for_count_ends_and_keys() {
        let body = |ends: &[bool]| {
            let mut body = Vec::new();
            ends.iter().for_each(|end| RecordView { end: *end, ..sample(None, None) }.encode(&mut body));
            body
        };
        let check =
            |ends: &[bool], count, continues| check_body(&body(ends), count, continues).expect("known");
        assert!(check(&[true, false, true], 3, false));
        assert!(check(&[false, false], 2, true));
        assert!(!check(&[true, false], 2, false), "the last transaction is open");
        assert!(!check(&[true, false], 2, true), "a spanning transaction shares its frames with no other");
        assert!(!check(&[false, true], 2, true), "the transaction is over");
        assert!(!check(&[true, true], 3, false), "the count is wrong");
        let mut keyed = Vec::new();
        sample(None, Some(9)).encode(&mut keyed);
        let error = check_body(&keyed, 1, false).expect_err("key");
        assert_eq!(error.kind(), &ErrorKind::NewerFormat);
        assert!(error.what().contains("key 9"), "{error}");
    }

    #[test]
    fn cut_records_are_errors_and_end_the_iteration() {
        let mut body = Vec::new();
        sample(Some(b"who"), Some(5)).encode(&mut body);
        for length in 1..body.len() {
            let mut records = Records::new(&body[..length]);
            assert!(records.next().expect("one item").is_err(), "length {length}");
            assert!(records.next().is_none());
        }
    }

    #[test]
    fn lengths_inside_a_record_are_bounded_by_it() {
        let mut body = Vec::new();
        sample(Some(b"who"), None).encode(&mut body);
        body[HEADER_BYTES] = 200;
        assert!(Records::new(&body).next().expect("one item").is_err());
        body[FLAGS_OFFSET] = 0x80;
        let error = RecordView::decode(&body).expect_err("unknown flag");
        assert_eq!(error.kind(), &ErrorKind::NewerFormat);
    }
}
