//! `everlog import`: JSON files of other programs become documents, all of them or none.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::error::{Error, ErrorKind};
use crate::store::{Format, Import, ImportReport, Source, Told};
use crate::tool::outcome::{Outcome, Stop, Verdict, command, quoted};
use crate::tool::render::{Form, Output, bytes, clean, plural};
use crate::tool::store::look::entries;
use crate::tool::store::open::{Way, trying, writing};

const FORMATS: [Format; 6] =
    [Format::Auto, Format::Json, Format::Conf, Format::Lowdb, Format::Tauri, Format::Lines];

/// Import a JSON file of electron-store, conf, lowdb, tauri-plugin-store or any other, or JSON Lines
#[derive(Debug, Args)]
pub(crate) struct ImportVerb {
    /// The store's directory; created if it is missing
    pub(crate) dir: PathBuf,
    /// The file; - is standard input
    file: PathBuf,
    /// The collection that takes the documents; the file's name if not given
    #[arg(long = "as", value_name = "NAME")]
    collection: Option<String>,
    /// What the file looks like: auto, json, conf, lowdb, tauri, lines
    #[arg(long, default_value = "auto", value_parser = parse_format)]
    format: Format,
    /// Make each element of the list NAME a document under its KEY; may be given several times
    #[arg(long, value_name = "NAME:KEY", value_parser = parse_split)]
    split: Vec<(String, String)>,
    /// The encryption key of a file of conf or electron-store
    #[arg(long)]
    key: Option<String>,
    /// Of a file that is cut or has problems, import what is whole
    #[arg(long)]
    salvage: bool,
    /// Import also what was imported before
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    way: Way,
}

fn parse_format(text: &str) -> Result<Format, String> {
    let found = FORMATS.into_iter().find(|format| format.word() == text);
    found.ok_or_else(|| format!("not one of {}", FORMATS.map(Format::word).join(", ")))
}

fn parse_split(text: &str) -> Result<(String, String), String> {
    match text.rsplit_once(':') {
        Some((name, key)) if !key.is_empty() => Ok((name.to_owned(), key.to_owned())),
        _ => Err("not a list's name and its elements' key, such as posts:id".to_owned()),
    }
}

pub(crate) fn import(args: &ImportVerb, form: Form) -> Outcome {
    let mut output = Output::new(form);
    let (source, import) = (source_of(&args.file)?, import_of(args));
    let Way { dry_run, said, .. } = &args.way;
    let refused = |error| in_flags(error, args);
    let try_out = |source: &Source| {
        let store = trying(&args.dir, args.way.missing(), said)?;
        let report = store.import(source.clone(), &import.clone().dry_run()).map_err(refused)?;
        if report.problem_count > 0 && !dry_run {
            // A dry run tells of problems; the import may be refused for them.
            store.import(source.clone(), &import).map_err(refused)?;
        }
        Ok::<_, Stop>(report)
    };
    let report = if *dry_run {
        try_out(&source)?
    } else {
        if !args.dir.exists() {
            // What is refused leaves no empty store behind.
            try_out(&source)?;
        }
        writing(&args.dir, args.way.missing(), said, |store| {
            Ok(store.import(source, &import).map_err(refused)?)
        })?
    };
    match output.is_json() {
        true => output.json(&shown(&report))?,
        false => print(&mut output, &report)?,
    }
    output.flush()?;
    Ok(if report.problem_count > 0 { Verdict::Findings } else { Verdict::Well })
}

/// An error with the flag that helps in place of the method.
fn in_flags(error: Error, args: &ImportVerb) -> Error {
    let again = |flags: &str| command("import", &args.dir, &format!("{} {flags}", quoted(&args.file)));
    let next = match (error.kind(), error.next().unwrap_or_default()) {
        (ErrorKind::Missing, "") => "check the path of the file".to_owned(),
        (_, next) if next.contains("split(") => {
            format!("say which member of each element is its key: {}", again("--split :KEY"))
        }
        (_, next) if next.contains("salvage") => {
            let all = again("--dry-run");
            format!(
                "nothing was imported; see all that is wrong: {all}, or import what is whole with --salvage"
            )
        }
        (_, next) if next.contains("as_collection") => format!("name it: {}", again("--as NAME")),
        (_, next) if next.contains("encryptionKey") => {
            format!("give the encryptionKey of the program that wrote it: {}", again("--key KEY"))
        }
        (_, next) if next.contains("transaction_bytes_max") => {
            "import it in parts; a program may raise transaction_bytes_max".to_owned()
        }
        _ => return error,
    };
    error.advise(next)
}

fn source_of(file: &Path) -> Outcome<Source> {
    if file != Path::new("-") {
        return Ok(Source::from(file));
    }
    let mut piped = Vec::new();
    let read = std::io::stdin().read_to_end(&mut piped);
    read.map_err(|error| Error::io("read", "standard input", error))?;
    Ok(Source::Bytes(piped))
}

fn import_of(args: &ImportVerb) -> Import {
    let mut way = Import::new().format(args.format);
    if let Some(collection) = &args.collection {
        way = way.as_collection(collection);
    }
    for (member, id) in &args.split {
        way = way.split(member, id);
    }
    if let Some(key) = &args.key {
        way = way.key(key);
    }
    if args.salvage {
        way = way.salvage();
    }
    if args.again { way.again() } else { way }
}

fn shown(report: &ImportReport) -> serde_json::Value {
    let problem = |problem: &crate::store::Problem| json!({ "line": problem.line, "column": problem.column, "what": problem.what });
    json!({
        "dry_run": report.is_dry_run,
        "format": report.format.word(),
        "hash": report.hash,
        "source_bytes": report.source_bytes,
        "already_imported": report.already_imported.map(|(position, _)| position.to_string()),
        "documents": report.documents,
        "added": report.added,
        "replaced": report.replaced,
        "unchanged": report.unchanged,
        "entries": report.entries,
        "bytes": report.bytes,
        "collections": report.collections.keys().collect::<Vec<_>>(),
        "duplicates": report.duplicates.count,
        "numbers_rounded": report.numbers.count,
        "surrogates_replaced": report.surrogates_replaced,
        "bytes_replaced": report.bytes_replaced,
        "problem_count": report.problem_count,
        "problems": report.problems.iter().map(problem).collect::<Vec<_>>(),
        "position": report.receipt.as_ref().map(|receipt| receipt.position.to_string()),
    })
}

fn print(output: &mut Output, report: &ImportReport) -> Outcome<()> {
    if let Some((position, time)) = report.already_imported {
        let next = "give --again to import it once more";
        return output.line(format!("imported before, at {position} on {time}; nothing was changed, {next}"));
    }
    let word = if report.is_dry_run { "would import" } else { "imported" };
    let places: Vec<String> = report.collections.keys().map(|name| clean(name)).collect();
    output.line(format!(
        "{word} {} ({} new, {} replaced, {} as they were){}, {}, into {}",
        plural(report.documents, "document"),
        report.added,
        report.replaced,
        report.unchanged,
        if report.entries > 0 {
            format!(" and {} of series", entries(report.entries))
        } else {
            String::new()
        },
        bytes(report.bytes),
        if places.is_empty() { "nothing".to_owned() } else { places.join(", ") },
    ))?;
    several(output, &report.duplicates)?;
    several(output, &report.numbers)?;
    if report.surrogates_replaced + report.bytes_replaced > 0 {
        let count = report.surrogates_replaced + report.bytes_replaced;
        output.line(format!("{} that are no text became U+FFFD", plural(count, "piece")))?;
    }
    for problem in &report.problems {
        output.line(format!("not imported: {}", clean(&problem.to_string())))?;
    }
    if let Some(receipt) = &report.receipt {
        output.line(receipt.position)?;
    }
    Ok(())
}

/// What is worth telling, the first of it.
fn several(output: &mut Output, told: &Told) -> Outcome<()> {
    const SHOWN: usize = 10;
    for (line, what) in told.first.iter().take(SHOWN) {
        let line = line.map_or(String::new(), |line| format!("line {line}: "));
        output.line(format!("note: {line}{}", clean(what)))?;
    }
    match told.count.saturating_sub(SHOWN as u64) {
        0 => Ok(()),
        more => output.line(format!("note: and {more} more of that kind")),
    }
}
