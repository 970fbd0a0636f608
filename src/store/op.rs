//! What a store writes into its journal: the change, as a short JSON array that people and `everlog log` can read.
//!
//! # Format
//!
//! | record | meaning |
//! | --- | --- |
//! | `["set", path, value]` | `value` now stands at `path`; missing parents are objects |
//! | `["remove", path]` | nothing stands at `path` any more; with one segment: the collection is empty |
//! | `["append", path, value]` | `value` is added to the list at `path`, which is there from now on |
//! | `["append", path, value, n]` | and the list keeps its last `n` elements |
//! | `["push", path, time, value]` | the series at `path` has an entry more, of that time |
//! | `["cut", path, time, lsn]` | the series at `path` has lost its entries before that time and number |
//! | `["entry", path, time, lsn, value]` | the series at `path` has this entry of that time and number |
//! | `["entry", path, time, lsn]` | and this one not any more |
//! | `["note", what, value]` | changes nothing; says something about the commit |
//!
//! Paths are JSON Pointers, times microseconds since 1970. One record holds one change; a transaction is a run of them.
//! The limits of what may be entered as a path do not hold here: a rollback names members as they are called.

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::position::Lsn;
use crate::store::path::Path;
use crate::store::value::text::Entry;
use crate::store::value::{Value, parse_entry};

/// The version of these records.
pub(crate) const OP_VERSION: u16 = 1;

/// One change of a store.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    Set { path: Path, value: Value },
    Remove { path: Path },
    Append { path: Path, value: Value, keep_last: Option<u64> },
    Push { path: Path, time: Timestamp, value: Value },
    Cut { path: Path, time: Timestamp, lsn: Lsn },
    Entry { path: Path, time: Timestamp, lsn: Lsn, value: Option<Value> },
    Note { what: String, value: Value },
}

impl Op {
    /// The record.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let path = |path: &Path| Value::from(path.to_pointer().as_str());
        let micros = |time: &Timestamp| Value::from(time.micros());
        let parts = match self {
            Op::Set { path: at, value } => vec![Value::from("set"), path(at), value.clone()],
            Op::Remove { path: at } => vec![Value::from("remove"), path(at)],
            Op::Append { path: at, value, keep_last } => {
                let mut parts = vec![Value::from("append"), path(at), value.clone()];
                parts.extend(keep_last.map(Value::from));
                parts
            }
            Op::Push { path: at, time, value } => {
                vec![Value::from("push"), path(at), micros(time), value.clone()]
            }
            Op::Cut { path: at, time, lsn } => {
                vec![Value::from("cut"), path(at), micros(time), Value::from(lsn.get())]
            }
            Op::Entry { path: at, time, lsn, value } => {
                let mut parts = vec![Value::from("entry"), path(at), micros(time), Value::from(lsn.get())];
                parts.extend(value.clone());
                parts
            }
            Op::Note { what, value } => vec![Value::from("note"), Value::from(what.as_str()), value.clone()],
        };
        // OK because texts, numbers and trees of them always have a JSON text, and a vector takes all of it.
        serde_json::to_vec(&parts).unwrap_or_default()
    }

    /// Reads a record.
    pub(crate) fn decode(version: u16, payload: &[u8]) -> Result<Op> {
        if version > OP_VERSION {
            let what = format!("record of version {version} of the store; this program knows {OP_VERSION}");
            return Err(
                Error::new(ErrorKind::NewerFormat, what).advise("use the newer program; nothing was changed")
            );
        }
        let entry = parse_entry(payload).map_err(|error| {
            Error::new(ErrorKind::Damaged, format!("record of a store: {}", error.what()))
        })?;
        read(entry).ok_or_else(|| Error::new(ErrorKind::Damaged, "record is not a change of a store"))
    }
}

fn read(Entry { name, path: text, rest }: Entry<'_>) -> Option<Op> {
    let path = || Path::stored(&text);
    let micros = |value: Value| value.as_u64().map(Timestamp::from_micros);
    let lsn = |value: Value| value.as_u64().map(Lsn::new);
    let mut rest = rest.into_iter();
    let mut next = || rest.next();
    let op = match &*name {
        "set" => Op::Set { path: path()?, value: next()? },
        "remove" => Op::Remove { path: path()? },
        "append" => {
            let (path, value) = (path()?, next()?);
            let keep_last = match next() {
                None => None,
                Some(count) => Some(count.as_u64()?),
            };
            Op::Append { path, value, keep_last }
        }
        "push" => Op::Push { path: path()?, time: micros(next()?)?, value: next()? },
        "cut" => Op::Cut { path: path()?, time: micros(next()?)?, lsn: lsn(next()?)? },
        "entry" => Op::Entry { path: path()?, time: micros(next()?)?, lsn: lsn(next()?)?, value: next() },
        "note" => Op::Note { what: text.to_string(), value: next()? },
        _ => return None,
    };
    next().is_none().then_some(op)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path;

    #[test]
    fn records_read_back_and_look_as_the_format_says() {
        let time = Timestamp::from_micros(7);
        let value = Value::from("x");
        for (op, text) in [
            (Op::Set { path: path!("a", "b/c"), value: value.clone() }, r#"["set","/a/b~1c","x"]"#),
            (Op::Remove { path: path!("a") }, r#"["remove","/a"]"#),
            (
                Op::Append { path: path!("a", "b"), value: value.clone(), keep_last: None },
                r#"["append","/a/b","x"]"#,
            ),
            (
                Op::Append { path: path!("a", "b"), value: value.clone(), keep_last: Some(3) },
                r#"["append","/a/b","x",3]"#,
            ),
            (Op::Push { path: path!("a", ""), time, value: value.clone() }, r#"["push","/a/",7,"x"]"#),
            (Op::Cut { path: path!("a", "b"), time, lsn: Lsn::new(9) }, r#"["cut","/a/b",7,9]"#),
            (
                Op::Entry { path: path!("a", "b"), time, lsn: Lsn::new(9), value: Some(value.clone()) },
                r#"["entry","/a/b",7,9,"x"]"#,
            ),
            (
                Op::Entry { path: path!("a", "b"), time, lsn: Lsn::new(9), value: None },
                r#"["entry","/a/b",7,9]"#,
            ),
            (Op::Note { what: "label".to_owned(), value }, r#"["note","label","x"]"#),
        ] {
            assert_eq!(String::from_utf8(op.encode()).expect("text"), text);
            assert_eq!(Op::decode(OP_VERSION, text.as_bytes()).expect("reads"), op);
        }
    }

    #[test]
    fn paths_read_back_however_long_as_long_as_a_document_can_have_such_a_place() {
        let path = |segments: usize| Path::of_segments(vec!["x".repeat(5000); segments]);
        let read = |segments| Op::decode(OP_VERSION, &Op::Remove { path: path(segments) }.encode());
        for segments in [1, 2, 514] {
            assert_eq!(read(segments).expect("reads"), Op::Remove { path: path(segments) });
        }
        assert!(read(515).is_err());
    }

    #[test]
    fn what_is_no_change_is_an_error_and_a_newer_version_another() {
        for text in [
            "",
            "{}",
            "[]",
            r#"["set"]"#,
            r#"["set","/a"]"#,
            r#"["set",1,"/a"]"#,
            r#"[["set"],"/a"]"#,
            r#"["remove","/a"] 1"#,
            r#"["remove","/a",1]"#,
            r#"["remove","/a""#,
            r#"["set","a.b",1,2]"#,
            r#"["jump","/a"]"#,
            r#"["remove","a"]"#,
            r#"["remove","//a"]"#,
            r#"["push","/a",-1,1]"#,
        ] {
            let error = Op::decode(OP_VERSION, text.as_bytes()).expect_err(text);
            assert_eq!(error.kind(), &ErrorKind::Damaged, "{text}");
        }
        let error = Op::decode(OP_VERSION + 1, b"?").expect_err("newer");
        assert_eq!(error.kind(), &ErrorKind::NewerFormat);
    }
}
