//! What a JSON file is on the outside: which format, which members are documents, which lists are split, what is kept aside.

use std::collections::HashMap;

use crate::error::{Error, ErrorKind, Result};
use crate::store::import::plan::Plan;
use crate::store::import::{Format, Import, lines};
use crate::store::mirror_file;
use crate::store::value::text::{self, Fault, Outside, Parsed, Part};
use crate::store::value::{Object, Value};

/// What conf and electron-store keep for themselves.
const INTERNAL: &str = "__internal__";

/// Reads a source into a plan.
pub(crate) fn read(plan: &mut Plan, bytes: &[u8], name: Option<&str>, import: &Import) -> Result<()> {
    if bytes.starts_with(b"\xFE\xFF") || bytes.starts_with(b"\xFF\xFE") {
        let what = "source is UTF-16 text, and JSON is UTF-8";
        return Err(Error::new(ErrorKind::Input, what).advise("save it as UTF-8"));
    }
    let open = decrypted(bytes, import)?;
    let is_encrypted = open.is_some();
    let bytes = open.as_deref().unwrap_or(bytes);
    let collection = collection_of(name, import);
    if import.format == Format::Lines || (import.format == Format::Auto && lines::is_likely(name)) {
        plan.report.format = Format::Lines;
        return lines::read(plan, bytes, collection.as_deref(), import);
    }
    let parsed = text::parse(bytes);
    if import.format == Format::Auto && !is_encrypted && lines::is_seen(bytes, &parsed) {
        plan.report.format = Format::Lines;
        return lines::read(plan, bytes, collection.as_deref(), import);
    }
    let collection = collection.ok_or_else(|| {
        let what = "the collection that takes the documents has no name";
        Error::new(ErrorKind::Input, what).advise("name it with as_collection")
    })?;
    plan.report.format = match import.format {
        Format::Auto if is_encrypted || parsed.parts.iter().any(is_of_conf) => Format::Conf,
        Format::Auto => Format::Json,
        given => given,
    };
    documents(plan, bytes.len(), parsed, &collection, import)
}

#[cfg(feature = "import-encrypted")]
fn decrypted(bytes: &[u8], import: &Import) -> Result<Option<Vec<u8>>> {
    use crate::store::import::encrypted;
    match &import.key {
        Some(key) => encrypted::open(bytes, key),
        None if encrypted::is_likely(bytes) => {
            let what = "source looks like an encrypted file of conf or electron-store";
            Err(Error::new(ErrorKind::Input, what).advise("give its encryptionKey"))
        }
        None => Ok(None),
    }
}

#[cfg(not(feature = "import-encrypted"))]
fn decrypted(bytes: &[u8], _: &Import) -> Result<Option<Vec<u8>>> {
    if !is_sealed(bytes) {
        return Ok(None);
    }
    let what = "source looks like an encrypted file of conf or electron-store";
    Err(Error::new(ErrorKind::Unsupported, what)
        .advise("build with the feature import-encrypted and give its key"))
}

/// Whether bytes have the outside of an encrypted file: 16 bytes, a colon, whole blocks, and no JSON in front.
pub(crate) fn is_sealed(bytes: &[u8]) -> bool {
    let is_json = matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'[' | b'"'));
    bytes.get(16) == Some(&b':') && bytes.len() > 17 && (bytes.len() - 17).is_multiple_of(16) && !is_json
}

/// The name that was given, or that of the file without its ending.
pub(crate) fn collection_of(name: Option<&str>, import: &Import) -> Option<String> {
    let stem = || {
        let name = name?;
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        Some(stem.to_owned()).filter(|stem| !stem.is_empty())
    };
    import.collection.clone().or_else(stem)
}

fn is_of_conf(part: &Part) -> bool {
    part.key == INTERNAL && part.value.get("migrations").is_some()
}

fn documents(
    plan: &mut Plan,
    length: usize,
    mut parsed: Parsed,
    collection: &str,
    import: &Import,
) -> Result<()> {
    plan.notes(std::mem::take(&mut parsed.notes));
    if let Some(fault) = parsed.fault.take() {
        report_fault(plan, &fault, length, &parsed, import)?;
    }
    let whole_is_split = import.splits.iter().find(|(member, _)| member.is_empty());
    match (parsed.outside, whole_is_split) {
        (Outside::Object, _) => members(plan, parsed, collection, import),
        (Outside::Array, Some((_, id))) => {
            for (place, part) in parsed.parts.into_iter().enumerate() {
                element(plan, collection, &place.to_string(), id, part.value, Some(part.line));
            }
        }
        (Outside::Array, None) => {
            let error = Error::new(ErrorKind::Input, "source is a list, whose elements have no keys");
            return Err(error.advise("say which member of each element is its key, with split(\"\", …)"));
        }
        (Outside::Other, _) => {
            return Err(Error::new(
                ErrorKind::Input,
                "source is neither an object nor a list: nothing in it has a key",
            ));
        }
    }
    Ok(())
}

/// A fault is an error, unless what is whole was asked for; then it is a problem that tells what is left out.
fn report_fault(
    plan: &mut Plan,
    fault: &Fault,
    length: usize,
    parsed: &Parsed,
    import: &Import,
) -> Result<()> {
    let whole = match parsed.parts.len() {
        1 => "1 part before it is".to_owned(),
        several => format!("{several} parts before it are"),
    };
    let within = match &parsed.broken {
        Some((key, _)) => format!(", inside of {}", text::short(key)),
        None => String::new(),
    };
    let left = length.saturating_sub(parsed.whole_end);
    let what = format!("{}{within}; {whole} whole, the {left} bytes behind them are not read", fault.what);
    if import.salvage || import.dry_run {
        plan.problem(Some(fault.line), Some(fault.column), &what);
        return Ok(());
    }
    let what = format!("text is not JSON: line {}, column {}: {what}", fault.line, fault.column);
    let error = Error::new(ErrorKind::Input, what).at_offset(fault.offset as u64);
    Err(error.advise("mend the file, or import what is whole with salvage"))
}

fn members(plan: &mut Plan, parsed: Parsed, collection: &str, import: &Import) {
    // A text may have a member twice: only the last is looked into.
    let last: HashMap<String, (usize, u64)> =
        parsed.parts.iter().enumerate().map(|(place, part)| (part.key.clone(), (place, part.line))).collect();
    let is_mirror = parsed.parts.iter().any(|part| mirror_file::is_header(&part.key, &part.value));
    for (place, part) in parsed.parts.into_iter().enumerate() {
        if let Some((_, line)) = last.get(&part.key).filter(|(last, _)| *last != place) {
            let what = format!("key {} came twice; the last counts", text::short(&part.key));
            plan.report.duplicates.push(Some(*line), what);
            continue;
        }
        if plan.report.format == Format::Conf && part.key == INTERNAL {
            keep_aside(plan, part.value);
        } else if is_mirror && mirror_file::is_header(&part.key, &part.value) {
            plan.report.kept_aside = Some(part.value);
        } else {
            let key = if is_mirror { mirror_file::unescape(&part.key) } else { &part.key };
            member(plan, collection, key, part.value, Some(part.line), import);
        }
    }
    if let Some((key, elements)) = parsed.broken
        && let Some((_, id)) = import.splits.iter().find(|(member, _)| *member == key)
    {
        for (place, value) in elements.iter().enumerate() {
            element(plan, &key, &place.to_string(), id, value.clone(), None);
        }
    }
}

fn member(plan: &mut Plan, collection: &str, key: &str, value: Value, line: Option<u64>, import: &Import) {
    let split = import.splits.iter().find(|(member, _)| member == key && !member.is_empty());
    match (split, value) {
        (None, value) => plan.document(collection, key, value, line),
        (Some((_, id)), Value::Array(elements)) => {
            for (place, value) in elements.iter().enumerate() {
                element(plan, key, &place.to_string(), id, value.clone(), None);
            }
        }
        (Some(_), other) => {
            let what = format!("{} is {}, not a list that can be split", text::short(key), other.kind());
            plan.problem(line, None, &what);
        }
    }
}

/// Makes an element of a list a document under its own key.
pub(super) fn element(
    plan: &mut Plan,
    collection: &str,
    place: &str,
    id: &str,
    value: Value,
    line: Option<u64>,
) {
    let key = match value.as_object().and_then(|object| object.get(id)) {
        Some(Value::String(key)) => Some(key.to_string()),
        Some(Value::Number(number)) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    };
    match key {
        Some(key) => plan.document(collection, &key, value, line),
        None => {
            let what = format!(
                "element {place} of {collection} has no {} that is a text or an integer",
                text::short(id)
            );
            plan.problem(line, None, &what);
        }
    }
}

/// What conf keeps for itself is told, not imported.
fn keep_aside(plan: &mut Plan, value: Value) {
    let version = value.get("migrations").and_then(|migrations| migrations.get("version"));
    plan.report.migrated_to = version.and_then(Value::as_str).map(str::to_owned);
    let mut aside = Object::new();
    aside.insert(INTERNAL, value);
    plan.report.kept_aside = Some(Value::from(aside));
}
