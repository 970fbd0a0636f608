//! JSON Lines: each line stands for itself, so that a bad one takes nothing else with it.

use crate::clock::Timestamp;
use crate::error::Result;
use crate::store::import::Import;
use crate::store::import::plan::Plan;
use crate::store::import::shape::element;
use crate::store::value::text::{self, Outside, Parsed};
use crate::store::value::{Object, Value};

/// Whether a file is called like one of lines.
pub(super) fn is_likely(name: Option<&str>) -> bool {
    let ending = name.and_then(|name| name.rsplit_once('.')).map(|(_, ending)| ending.to_ascii_lowercase());
    matches!(ending.as_deref(), Some("jsonl" | "ndjson"))
}

/// Whether a text that was read as one value is lines: another one follows, or it is a line of an export.
pub(super) fn is_seen(bytes: &[u8], parsed: &Parsed) -> bool {
    if parsed.outside != Outside::Object {
        return false;
    }
    match &parsed.fault {
        None => {
            let has = |key: &str| parsed.parts.iter().any(|part| part.key == key);
            has("collection") && has("value") && has("revision") && (has("key") || has("series"))
        }
        Some(_) => parsed.is_followed && bytes[parsed.end..].starts_with(b"{"),
    }
}

/// Reads lines into a plan.
pub(super) fn read(plan: &mut Plan, bytes: &[u8], collection: Option<&str>, import: &Import) -> Result<()> {
    let ends_whole = bytes.ends_with(b"\n");
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let count = lines.len();
    for (index, line) in lines.into_iter().enumerate() {
        let number = index as u64 + 1;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let mut parsed = text::parse(line);
        let mut notes = std::mem::take(&mut parsed.notes);
        for noted in notes.twice.iter_mut().chain(&mut notes.inexact) {
            noted.line = number;
        }
        if let Some(fault) = parsed.fault {
            let is_last = index + 1 == count && !ends_whole;
            let what = match fault.is_cut && is_last {
                true => "the last line ends in the middle; it is not imported".to_owned(),
                false => format!("not JSON: {}", fault.what),
            };
            plan.problem(Some(number), Some(fault.column), &what);
            continue;
        }
        plan.notes(notes);
        take(plan, parsed, number, collection, import);
    }
    Ok(())
}

fn take(plan: &mut Plan, parsed: Parsed, line: u64, collection: Option<&str>, import: &Import) {
    if parsed.outside != Outside::Object {
        return plan.problem(Some(line), None, "the line is not an object");
    }
    let mut object = Object::new();
    for part in parsed.parts {
        if object.get(&part.key).is_some() {
            plan.report
                .duplicates
                .push(Some(line), format!("key {} came twice; the last counts", text::short(&part.key)));
        }
        object.insert(&part.key, part.value);
    }
    let exported = |key: &str| object.get(key).and_then(Value::as_str);
    let into = import.collection.as_deref().or(exported("collection"));
    match (into, exported("key"), exported("series"), object.get("value")) {
        (Some(into), Some(key), None, Some(value)) => plan.document(into, key, value.clone(), Some(line)),
        (Some(into), None, Some(series), Some(value)) => {
            let time = exported("time").and_then(|time| time.parse::<Timestamp>().ok());
            match time {
                Some(time) => plan.entry(into, series, time, value.clone(), Some(line)),
                None => plan.problem(Some(line), None, "the entry of a series has no time"),
            }
        }
        _ => match (collection, import.splits.iter().find(|(member, _)| member.is_empty())) {
            (Some(collection), Some((_, id))) => {
                element(plan, collection, &(line - 1).to_string(), id, Value::from(object), Some(line));
            }
            _ => {
                let what = "the line has no collection, key and value, and no split names its key";
                plan.problem(Some(line), None, what);
            }
        },
    }
}
