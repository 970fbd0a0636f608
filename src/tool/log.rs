//! `everlog log`: the records in order, for people or as JSON Lines, of any journal and of what is left of one.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind};
use crate::journal::options::Face;
use crate::journal::{Damaged, Journal, Options, Record};
use crate::position::{Lsn, Position};
use crate::tool::loose;
use crate::tool::outcome::{Outcome, Verdict, command, tell, with_next};
use crate::tool::render::{Colour, Form, Output, paint, plural};
use crate::tool::show::{Payloads, Shown, line};
use crate::tool::site::Site;
use crate::tool::walk::each_record;
use crate::tool::when::{Point, When};

/// How much of a payload a person sees on a terminal.
const SHOWN_CHARACTERS: usize = 160;

/// Show the records in order
#[derive(Debug, Args)]
pub(crate) struct Log {
    /// The journal's directory
    pub(crate) dir: PathBuf,
    /// Start here: position 1:42, record 42, time 2026-11-19T18:00:00Z, span "2h ago" or pin:NAME
    #[arg(long, value_name = "WHEN")]
    from: Option<When>,
    /// Stop after this: as for --from, and included
    #[arg(long, value_name = "WHEN")]
    to: Option<When>,
    /// Show at most this many records
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

/// Opens a journal of any face for reading, beside a live writer too; damaged ones up to the damage.
pub(crate) fn open_for_reading(dir: &Path) -> Outcome<Journal> {
    let options = Options::new().damaged(Damaged::ReadOnly).face(Face::any());
    options.open(dir).map_err(|error| with_next(error, dir).into())
}

pub(crate) fn run(args: &Log, form: Form) -> Outcome {
    let mut output = Output::new(form);
    let options = Options::new().damaged(Damaged::ReadOnly).face(Face::any());
    let journal = match options.open(&args.dir) {
        Ok(journal) => journal,
        Err(error) if *error.kind() == ErrorKind::Damaged => return remains(args, &error, &mut output),
        Err(error) => return Err(with_next(error, &args.dir).into()),
    };
    let payloads = Payloads::of(&journal.identity().creation);
    let mut left = args.limit.unwrap_or(u64::MAX);
    for record in between(&journal, args)? {
        if left == 0 {
            break;
        }
        show(&mut output, &record?, payloads)?;
        left -= 1;
    }
    output.flush()?;
    if journal.report().unproven > 0 {
        let number = plural(journal.report().unproven, "more record");
        let what = format!("{number} beyond the last proven mark not shown: a writer is at work, or crashed");
        let note = Error::new(ErrorKind::Busy, what).advise(command("recover", &args.dir, "--dry-run"));
        tell(&mut output, "note", &note)?;
    }
    let verdict = damage(&journal, &args.dir, &mut output)?;
    output.flush()?;
    Ok(verdict)
}

/// Says what a reading verb could not show.
pub(crate) fn damage(journal: &Journal, dir: &Path, output: &mut Output) -> Outcome {
    match &journal.report().damage {
        None => Ok(Verdict::Well),
        Some(damage) => {
            tell(output, "fault", &damage.clone().advise(command("verify", dir, "")))?;
            Ok(Verdict::Findings)
        }
    }
}

/// The records that were asked for.
fn between(journal: &Journal, args: &Log) -> Outcome<impl Iterator<Item = Result<Record, Error>> + use<>> {
    let cursor = match &args.from {
        None => journal.records()?,
        Some(when) => match when.find(journal)? {
            Point::Time(time) => journal.records_since(time)?,
            Point::Record(position) => {
                let before = position.lsn.before();
                let horizon = journal.horizon();
                let before = journal.with_summary(|summary| summary.position_of(before));
                journal.records_after(if before.lsn == horizon.lsn { horizon } else { before })?
            }
        },
    };
    let (last, until) = match args.to.as_ref().map(|when| when.find(journal)).transpose()? {
        None => (Lsn::MAX, Timestamp::MAX),
        Some(Point::Record(position)) => (position.lsn, Timestamp::MAX),
        Some(Point::Time(time)) => (Lsn::MAX, time),
    };
    let wanted = move |record: &Result<Record, Error>| match record {
        Ok(record) => record.position.lsn <= last && record.time <= until,
        Err(_) => true,
    };
    Ok(cursor.take_while(wanted))
}

fn show(output: &mut Output, record: &Record, payloads: Payloads) -> Outcome<()> {
    if output.is_json() {
        return output.json(&Shown::of(record, payloads));
    }
    let width = output.is_terminal().then_some(SHOWN_CHARACTERS);
    let (on, _) = output.colours();
    let position = paint(on, Colour::Bold, &record.position.to_string());
    let time = paint(on, Colour::Dim, &record.time.to_string());
    output.line(format!("{position} {time} {} {}", record.kind.word(), line(record, payloads, width)))
}

/// What is left of a journal that does not open: whole frames, segment by segment, each number once.
fn remains(args: &Log, error: &Error, output: &mut Output) -> Outcome {
    let site = Site::look(&args.dir)?;
    let payloads = site.identity.as_ref().map_or(Payloads::Raw, |identity| Payloads::of(&identity.creation));
    let mut left = args.limit.unwrap_or(u64::MAX);
    let mut seen = std::collections::BTreeSet::new();
    for segment in site.segments.values() {
        let mut from = 0;
        while let Some(frame) = loose::next_whole(segment, from, u64::MAX)? {
            from = frame.header.next_offset();
            if !seen.insert((frame.header.epoch, frame.header.first_lsn)) {
                continue;
            }
            let mut records = Vec::new();
            each_record(&frame.header, &frame.body, &mut |lsn, view| {
                records.push(Record::of(Position::new(frame.header.epoch, lsn), view));
            });
            for record in records.into_iter().filter(|record| asked_for(args, record)) {
                if left > 0 {
                    show(output, &record, payloads)?;
                    left -= 1;
                }
            }
        }
    }
    output.flush()?;
    let next = command("verify", &args.dir, "");
    let what = format!("the journal does not open, shown are all whole records: {}", error.what());
    let mut fault = Error::new(ErrorKind::Damaged, what).advise(next);
    fault = error.file().map_or(fault.clone(), |file| fault.clone().in_file(file));
    fault = error.offset().map_or(fault.clone(), |offset| fault.at_offset(offset));
    tell(output, "fault", &fault)?;
    output.flush()?;
    Ok(Verdict::Findings)
}

fn asked_for(args: &Log, record: &Record) -> bool {
    let reaches = |when: &When| match when {
        When::Position(position) => record.position.lsn.cmp(&position.lsn),
        When::Lsn(lsn) => record.position.lsn.cmp(lsn),
        When::Time(time) => record.time.cmp(time),
        When::Ago(span) => record.time.cmp(&crate::tool::when::now().minus(*span)),
        // Pins are records too, and cannot be trusted to be found here.
        When::Pin(_) => std::cmp::Ordering::Equal,
    };
    args.from.as_ref().is_none_or(|from| reaches(from).is_ge())
        && args.to.as_ref().is_none_or(|to| reaches(to).is_le())
}
