//! The one [`Error`] of the crate; its [`ErrorKind`] tells the caller what to do.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::position::{Lsn, Position};

/// What every fallible call of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, where, and what to do next.
///
/// Cheap to clone: when a sync fails, every waiter gets the same error (J5). Decide by [`Error::kind`]; the text is
/// for people and may change.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    what: String,
    file: Option<String>,
    offset: Option<u64>,
    lsn: Option<Lsn>,
    next: Option<String>,
    source: Option<Arc<io::Error>>,
}

/// What the caller can do about an [`Error`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The journal must exist and does not. Check the path or mount the disk; nothing was created.
    Missing,
    /// The path is not a journal and not an empty directory. Nothing was changed.
    NotAJournal,
    /// Another process or handle writes this journal. The message names the holder.
    Held,
    /// The file system or this handle does not allow writing. Nothing was changed.
    ReadOnly,
    /// The operating system refuses access. Nothing was changed.
    Denied,
    /// The disk is full. Nothing was written; the journal is readable and writing resumes when there is space.
    Full,
    /// The journal's own limit would be passed. Nothing was written.
    Quota {
        /// Bytes in use now.
        current: u64,
        /// Bytes that the call would add.
        proposed: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// A record or transaction is over its limit. Nothing was written.
    TooLarge {
        /// Size in bytes.
        actual: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// Acknowledged bytes no longer check. Nothing was changed; run `everlog verify`, then `everlog salvage`.
    Damaged,
    /// The journal was written by a newer version that this one does not understand. Nothing was changed.
    NewerFormat,
    /// The journal holds something else than what it was opened as (J15). Nothing was changed.
    WrongType,
    /// The write or sync of this commit failed: it may or may not be there after reopening (J5).
    FateUnknown,
    /// An earlier write or sync failed; nothing is accepted until the journal is reopened (J5).
    Poisoned,
    /// The position or time lies before the horizon: it was compacted away.
    BeforeHorizon {
        /// The earliest position that can be read.
        earliest: Position,
        /// The time of that position.
        earliest_time: Timestamp,
    },
    /// The position belongs to a branch that was cut after a crash.
    Diverged {
        /// The last position that both histories share.
        common: Position,
    },
    /// No such position, pin or snapshot.
    Absent,
    /// What the caller passed makes no sense; the message says why.
    Input,
    /// Documents would break the schema of their collection. Nothing was written.
    Invalid {
        /// Each place and rule, see [`Error::violations`].
        violations: Vec<Violation>,
    },
    /// The fold panicked on an event: a new one is not in the log then; one of the log is named by its Lsn.
    Refused,
    /// Something moved since the preview was made; make a new one.
    Conflict,
    /// The queue is full right now; try again or use the waiting form.
    Busy,
    /// A handle was called from inside its own closure or fold, which would wait for itself. Use what the closure
    /// is given.
    Reentered,
    /// The handle was closed.
    Closed,
    /// This platform or this kind of journal cannot do that; the message says why.
    Unsupported,
    /// The operating system reported an error; the message names the call and the file.
    Io,
}

/// A place in the data that breaks a rule of a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The place, as a text that is a path.
    pub path: String,
    /// The rule, as a JSON Pointer into the schema; its last segment is the keyword.
    pub rule: String,
    /// What the rule says. Does not repeat the value, which may be long or secret.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (rule {})", self.path, self.what, self.rule)
    }
}

impl ErrorKind {
    /// A stable word for machines, as in the `kind` of `--json` output.
    pub fn word(&self) -> &'static str {
        match self {
            ErrorKind::Missing => "missing",
            ErrorKind::NotAJournal => "not_a_journal",
            ErrorKind::Held => "held",
            ErrorKind::ReadOnly => "read_only",
            ErrorKind::Denied => "denied",
            ErrorKind::Full => "full",
            ErrorKind::Quota { .. } => "quota",
            ErrorKind::TooLarge { .. } => "too_large",
            ErrorKind::Damaged => "damaged",
            ErrorKind::NewerFormat => "newer_format",
            ErrorKind::WrongType => "wrong_type",
            ErrorKind::FateUnknown => "fate_unknown",
            ErrorKind::Poisoned => "poisoned",
            ErrorKind::BeforeHorizon { .. } => "before_horizon",
            ErrorKind::Diverged { .. } => "diverged",
            ErrorKind::Absent => "absent",
            ErrorKind::Input => "input",
            ErrorKind::Invalid { .. } => "invalid",
            ErrorKind::Refused => "refused",
            ErrorKind::Conflict => "conflict",
            ErrorKind::Busy => "busy",
            ErrorKind::Reentered => "reentered",
            ErrorKind::Closed => "closed",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Io => "io",
        }
    }
}

impl Error {
    /// An error of a kind, with the sentence that says what happened.
    pub fn new(kind: ErrorKind, what: impl Into<String>) -> Error {
        let what = what.into();
        Error(Arc::new(Inner { kind, what, file: None, offset: None, lsn: None, next: None, source: None }))
    }

    /// Damage found in a file: acknowledged bytes that no longer check.
    pub fn damaged(file: impl Into<String>, offset: u64, what: impl Into<String>) -> Error {
        Error::new(ErrorKind::Damaged, what).in_file(file).at_offset(offset)
    }

    /// An error of the operating system in `call` on `file`; its kind follows from the cause.
    pub fn io(call: &str, file: &str, source: io::Error) -> Error {
        let kind = match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Full,
            io::ErrorKind::PermissionDenied => ErrorKind::Denied,
            io::ErrorKind::ReadOnlyFilesystem => ErrorKind::ReadOnly,
            io::ErrorKind::NotFound => ErrorKind::Missing,
            _ => ErrorKind::Io,
        };
        let mut error = Error::new(kind, format!("{call} failed: {source}")).in_file(file);
        error.change(|inner| inner.source = Some(Arc::new(source)));
        error
    }

    /// Places that break schemas; nothing was written.
    pub fn invalid(violations: Vec<Violation>) -> Error {
        const SHOWN: usize = 3;
        let shown: Vec<String> = violations.iter().take(SHOWN).map(Violation::to_string).collect();
        let more = match violations.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let what = format!("not what the schema says: {}{more}", shown.join("; "));
        Error::new(ErrorKind::Invalid { violations }, what)
    }

    /// The same error, with what was being done in front of the sentence.
    #[must_use]
    pub fn during(mut self, doing: &str) -> Error {
        self.change(|inner| inner.what.insert_str(0, &format!("{doing}: ")));
        self
    }

    /// Names the file.
    #[must_use]
    pub fn in_file(mut self, file: impl Into<String>) -> Error {
        let file = file.into();
        self.change(|inner| inner.file = Some(file));
        self
    }

    /// Names the byte offset in the file.
    #[must_use]
    pub fn at_offset(mut self, offset: u64) -> Error {
        self.change(|inner| inner.offset = Some(offset));
        self
    }

    /// Names the record.
    #[must_use]
    pub fn at_lsn(mut self, lsn: Lsn) -> Error {
        self.change(|inner| inner.lsn = Some(lsn));
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn advise(mut self, next: impl Into<String>) -> Error {
        let next = next.into();
        self.change(|inner| inner.next = Some(next));
        self
    }

    /// The same error as seen by those whose commit was under way: its fate is unknown (J5).
    #[must_use]
    pub fn fate_unknown(&self) -> Error {
        self.recast(ErrorKind::FateUnknown, "fate of this commit unknown: ")
    }

    /// The same error as seen by every later call: the journal is poisoned (J5).
    #[must_use]
    pub fn poisoned(&self) -> Error {
        self.recast(ErrorKind::Poisoned, "journal is poisoned by an earlier failure: ")
    }

    fn recast(&self, kind: ErrorKind, prefix: &str) -> Error {
        let mut error = self.clone();
        let next = "reopen the journal; what was acknowledged is safe";
        error.change(|inner| {
            inner.kind = kind;
            inner.what.insert_str(0, prefix);
            inner.next = Some(next.to_owned());
        });
        error
    }

    fn change(&mut self, change: impl FnOnce(&mut Inner)) {
        change(Arc::make_mut(&mut self.0));
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// What breaks a schema, if that is the error: all of it, at most some thousand places.
    pub fn violations(&self) -> &[Violation] {
        match &self.0.kind {
            ErrorKind::Invalid { violations } => violations,
            _ => &[],
        }
    }

    /// What happened, without place and advice.
    pub fn what(&self) -> &str {
        &self.0.what
    }

    /// The file concerned, by its name in the journal's directory.
    pub fn file(&self) -> Option<&str> {
        self.0.file.as_deref()
    }

    /// The byte offset in that file.
    pub fn offset(&self) -> Option<u64> {
        self.0.offset
    }

    /// The record concerned.
    pub fn lsn(&self) -> Option<Lsn> {
        self.0.lsn
    }

    /// What to do next.
    pub fn next(&self) -> Option<&str> {
        self.0.next.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.what)?;
        let mut separator = " (";
        if let Some(file) = &self.0.file {
            write!(f, "{separator}file {file}")?;
            separator = ", ";
        }
        if let Some(offset) = self.0.offset {
            write!(f, "{separator}offset {offset}")?;
            separator = ", ";
        }
        if let Some(lsn) = self.0.lsn {
            write!(f, "{separator}lsn {lsn}")?;
            separator = ", ";
        }
        if separator == ", " {
            f.write_str(")")?;
        }
        if let Some(next) = &self.0.next {
            write!(f, "; {next}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source.as_ref() as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_file_offset_and_lsn_and_the_next_step() {
        let error = Error::damaged("0000000001.seg", 8192, "frame checksum does not match")
            .at_lsn(Lsn::new(14))
            .advise("run everlog verify");
        let text = error.to_string();
        assert_eq!(
            text,
            "frame checksum does not match (file 0000000001.seg, offset 8192, lsn 14); run everlog verify"
        );
    }

    #[test]
    fn causes_of_the_system_become_kinds() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(Error::io("write", "x", full).kind(), &ErrorKind::Full);
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(Error::io("open", "x", denied).kind(), &ErrorKind::Denied);
        let unknown = Error::io("sync", "x", io::Error::from(io::ErrorKind::Other));
        assert_eq!(unknown.fate_unknown().kind(), &ErrorKind::FateUnknown);
        assert_eq!(unknown.poisoned().kind(), &ErrorKind::Poisoned);
        assert!(std::error::Error::source(&unknown).is_some());
    }
}
