//! How a verb ends: the exit code, and the error as people and machines read it.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use crate::error::{Error, ErrorKind};
use crate::tool::render::{Colour, Output, clean, paint};

/// How a verb ended when nothing stopped it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All is well.
    Well,
    /// Something is damaged; the output says what.
    Findings,
}

impl Verdict {
    pub(crate) fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Verdict::Well => 0,
            Verdict::Findings => 1,
        })
    }
}

/// Why a verb stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// An error, with the command to run next where there is one.
    Failed(Error),
    /// Whoever read the output went away: nothing to say, and nobody to say it to.
    ClosedPipe,
}

/// What every verb returns.
pub(crate) type Outcome<T = Verdict> = Result<T, Stop>;

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Failed(error)
    }
}

impl From<io::Error> for Stop {
    /// Only output is written with plain calls of the standard library.
    fn from(error: io::Error) -> Stop {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Stop::ClosedPipe,
            _ => Stop::Failed(Error::io("write", "standard output", error)),
        }
    }
}

/// What writing for a reader failed with; one that went away is no error.
pub(crate) fn quiet(error: Error) -> Stop {
    let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<io::Error>());
    match cause.map(io::Error::kind) {
        Some(io::ErrorKind::BrokenPipe) => Stop::ClosedPipe,
        _ => Stop::Failed(error),
    }
}

impl Stop {
    /// The exit code: 1 damage, 2 usage, 3 input or output, 4 the answer is no, 5 held.
    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Stop::ClosedPipe => ExitCode::SUCCESS,
            Stop::Failed(error) => ExitCode::from(code_of(error.kind())),
        }
    }
}

fn code_of(kind: &ErrorKind) -> u8 {
    match kind {
        ErrorKind::Damaged => 1,
        ErrorKind::Input
        | ErrorKind::Invalid { .. }
        | ErrorKind::WrongType
        | ErrorKind::TooLarge { .. }
        | ErrorKind::Unsupported => 2,
        ErrorKind::Absent
        | ErrorKind::BeforeHorizon { .. }
        | ErrorKind::Diverged { .. }
        | ErrorKind::Conflict
        | ErrorKind::Refused => 4,
        ErrorKind::Held | ErrorKind::Busy => 5,
        ErrorKind::Missing
        | ErrorKind::NotAJournal
        | ErrorKind::ReadOnly
        | ErrorKind::Denied
        | ErrorKind::Full
        | ErrorKind::Quota { .. }
        | ErrorKind::NewerFormat
        | ErrorKind::FateUnknown
        | ErrorKind::Poisoned
        | ErrorKind::Closed
        | ErrorKind::Reentered
        | ErrorKind::Io => 3,
    }
}

/// An error or a finding as one line of JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Trouble<'a> {
    /// `error`, `fault` or `note`.
    pub(crate) level: &'static str,
    pub(crate) kind: &'a str,
    pub(crate) what: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) offset: Option<u64>,
    /// The record's number, which is a position that every verb accepts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<&'a str>,
}

impl<'a> Trouble<'a> {
    pub(crate) fn of(level: &'static str, error: &'a Error) -> Trouble<'a> {
        Trouble {
            level,
            kind: error.kind().word(),
            what: error.what(),
            file: error.file(),
            offset: error.offset(),
            position: error.lsn().map(|lsn| lsn.to_string()),
            next: error.next(),
        }
    }
}

/// Says what went wrong: a line of JSON on standard output, or a few lines for people on standard error.
pub(crate) fn tell(output: &mut Output, level: &'static str, error: &Error) -> Outcome<()> {
    if output.is_json() {
        return output.json(&Trouble::of(level, error));
    }
    output.flush()?;
    let colour = if level == "note" { Colour::Yellow } else { Colour::Red };
    let mut text = format!("{}: {}", paint(output.colours().1, colour, level), clean(error.what()));
    let place = place(error);
    if !place.is_empty() {
        text.push_str(&format!("\n  where: {place}"));
    }
    if let Some(next) = error.next() {
        text.push_str(&format!("\n  next:  {}", clean(next)));
    }
    eprintln!("{text}");
    Ok(())
}

/// File, offset and record in words.
pub(crate) fn place(error: &Error) -> String {
    let mut parts = Vec::new();
    parts.extend(error.file().map(clean));
    parts.extend(error.offset().map(|offset| format!("offset {offset}")));
    parts.extend(error.lsn().map(|lsn| format!("record {lsn}")));
    parts.join(", ")
}

/// A command line that can be pasted into a shell.
pub(crate) fn command(verb: &str, directory: &Path, rest: &str) -> String {
    let space = if rest.is_empty() { "" } else { " " };
    format!("everlog {verb} {}{space}{rest}", quoted(directory))
}

/// A path as a shell takes it.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%,~\\".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// An error for what was typed.
pub(crate) fn usage(what: impl Into<String>, next: impl Into<String>) -> Stop {
    Stop::Failed(Error::new(ErrorKind::Input, what).advise(next))
}

/// Gives an error of opening `directory` the command that comes next.
pub(crate) fn with_next(error: Error, directory: &Path) -> Error {
    let next = match error.kind() {
        ErrorKind::Damaged => command("verify", directory, ""),
        ErrorKind::Held => {
            format!("{} to see who, or close it there first", command("inspect", directory, ""))
        }
        ErrorKind::Missing => format!("check the path, or mount the disk: ls {}", quoted(directory)),
        _ => return error,
    };
    error.advise(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_spaces_and_quotes_can_be_pasted_into_a_shell() {
        assert_eq!(command("verify", Path::new("/a/b-1"), ""), "everlog verify /a/b-1");
        assert_eq!(command("salvage", Path::new("it's here"), "OUT"), "everlog salvage 'it'\\''s here' OUT");
    }
}
