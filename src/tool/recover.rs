//! `everlog recover`: opens for writing, which mends what a crash left, and tells what that came to.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::error::ErrorKind;
use crate::journal::options::Face;
use crate::journal::{Options, Report};
use crate::tool::outcome::{Outcome, Verdict, command, tell, with_next};
use crate::tool::render::{Form, Output, bytes, clean, plural};
use crate::tool::site::Site;
use crate::tool::verify::{gather, torn_note};

/// Do what the next opening does: cut a torn tail (kept in quarantine/), mend copies; then close cleanly
#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// The journal's directory
    pub(crate) dir: PathBuf,
    /// Only say what would be cut; change nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Recovered<'a> {
    position: String,
    replayed: u64,
    clean: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<CutShown<'a>>,
    flaws: Vec<String>,
}

#[derive(Serialize)]
struct CutShown<'a> {
    file: &'a str,
    offset: u64,
    bytes: u64,
    position: String,
    unfinished_records: u64,
    what: &'a str,
    kept_in: Option<&'a str>,
}

pub(crate) fn run(args: &Recover, form: Form) -> Outcome {
    let mut output = Output::new(form);
    if args.dry_run {
        return foresee(args, &mut output);
    }
    let options = Options::new().must_exist().face(Face::any());
    let journal = options.open(&args.dir).map_err(|error| match error.kind() {
        ErrorKind::Damaged => {
            let next = format!(
                "{}, then {}",
                command("verify", &args.dir, ""),
                command("salvage", &args.dir, "OUT")
            );
            error.advise(next)
        }
        _ => with_next(error, &args.dir),
    })?;
    let report = journal.report().clone();
    journal.close()?;
    print(&mut output, &report)?;
    output.flush()?;
    Ok(Verdict::Well)
}

fn print(output: &mut Output, report: &Report) -> Outcome<()> {
    let cut = report.cut.as_ref();
    if output.is_json() {
        return output.json(&Recovered {
            position: report.position.to_string(),
            replayed: report.replayed,
            clean: report.clean,
            cut: cut.map(|cut| CutShown {
                file: &cut.file,
                offset: cut.offset,
                bytes: cut.bytes,
                position: cut.lsn.to_string(),
                unfinished_records: cut.unfinished_records,
                what: &cut.what,
                kept_in: cut.kept_in.as_deref(),
            }),
            flaws: report.flaws.iter().map(ToString::to_string).collect(),
        });
    }
    match cut {
        None if report.clean => output.line("nothing to mend: its last writer closed it")?,
        None => output.line("its last writer did not close it, but left nothing torn")?,
        Some(cut) => {
            output.line(format!(
                "cut {} of a torn tail at {}, offset {} ({}); records from {} on were never acknowledged as synced",
                bytes(cut.bytes),
                cut.file,
                cut.offset,
                cut.what,
                cut.lsn
            ))?;
            if let Some(kept) = &cut.kept_in {
                output.line(format!("the cut bytes are kept in {kept}"))?;
            }
        }
    }
    for flaw in &report.flaws {
        output.line(format!("mended or passed over: {}", clean(&flaw.to_string())))?;
    }
    let replayed = plural(report.replayed, "record");
    output.line(format!("open up to position {}, {replayed} replayed; closed cleanly", report.position))
}

/// What recovery would do, found by reading.
fn foresee(args: &Recover, output: &mut Output) -> Outcome {
    let site = Site::look(&args.dir)?;
    let findings = gather(&site)?;
    let damaged = findings.faults.iter().find(|fault| {
        // What is kept twice is mended by opening.
        !(site.has_whole_root() && fault.file() == Some(crate::medium::name::ROOT))
    });
    if let Some(fault) = damaged {
        tell(output, "fault", fault)?;
        return Ok(Verdict::Findings);
    }
    let walked = &findings.walked;
    match &walked.torn {
        Some(torn) => tell(output, "note", &torn_note(torn, &site))?,
        None if output.is_json() => {}
        None if walked.clean => output.line("nothing to mend: its last writer closed it")?,
        None => output.line("its last writer did not close it, or is at work; nothing torn would be cut")?,
    }
    let (epoch, last) = (walked.keep.epoch, walked.keep.last);
    if output.is_json() {
        output.json(&serde_json::json!({
            "dry_run": true,
            "position": format!("{epoch}:{last}"),
            "cut_bytes": walked.torn.as_ref().map_or(0, |torn| torn.bytes),
            "unfinished_records": walked.torn.as_ref().map_or(0, |torn| torn.unfinished),
        }))?;
    } else {
        output.line(format!("would open up to position {epoch}:{last}; nothing was changed"))?;
    }
    output.flush()?;
    Ok(Verdict::Well)
}
