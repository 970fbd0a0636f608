//! Points in the history as they are typed: a position, a number, a time, a span ago, a pin.

use std::str::FromStr;
use std::time::Duration;

use crate::clock::{Clock, SystemClock, Timestamp};
use crate::error::{Error, ErrorKind, Result};
use crate::journal::Journal;
use crate::position::{Lsn, Position};
use crate::state;

/// A point in the history, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Position(Position),
    Lsn(Lsn),
    Time(Timestamp),
    Ago(Duration),
    Pin(String),
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<When, String> {
        if let Some(name) = text.strip_prefix("pin:") {
            return Ok(When::Pin(name.to_owned()));
        }
        if let Ok(number) = text.parse() {
            return Ok(When::Lsn(Lsn::new(number)));
        }
        if let Ok(position) = text.parse() {
            return Ok(When::Position(position));
        }
        if let Ok(time) = text.parse() {
            return Ok(When::Time(time));
        }
        if let Some(span) = text.strip_suffix("ago") {
            return parse_span(span).map(When::Ago);
        }
        Err("not a position (1:42), a record's number (42), a time (2026-11-19T18:00:00Z), a span (2h ago) or a pin \
             (pin:NAME)"
            .to_owned())
    }
}

impl From<&When> for state::When {
    fn from(when: &When) -> state::When {
        match when {
            When::Position(position) => state::When::position(*position),
            When::Lsn(lsn) => state::When::lsn(*lsn),
            When::Time(time) => state::When::timestamp(*time),
            When::Ago(span) => state::When::ago(*span),
            When::Pin(name) => state::When::pin(name.clone()),
        }
    }
}

/// A length of time as typed: `90s`, `15m`, `2h`, `7d`, `2 weeks`, `1d 12h`.
pub(crate) fn parse_span(text: &str) -> Result<Duration, String> {
    let refuse = || format!("{:?} is not a length of time such as 90s, 15m, 2h or 7d", text.trim());
    let mut rest = text.trim();
    let mut seconds: u64 = 0;
    if rest.is_empty() {
        return Err(refuse());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(refuse)?;
        let number: u64 = rest[..digits].parse().map_err(|_| refuse())?;
        rest = rest[digits..].trim_start();
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "s" | "sec" | "second" | "seconds" => 1,
            "m" | "min" | "minute" | "minutes" => 60,
            "h" | "hour" | "hours" => 3600,
            "d" | "day" | "days" => 86_400,
            "w" | "week" | "weeks" => 7 * 86_400,
            _ => return Err(refuse()),
        };
        let added = number.checked_mul(unit).and_then(|added| seconds.checked_add(added));
        seconds = added.ok_or_else(refuse)?;
        rest = rest[letters..].trim_start();
    }
    Ok(Duration::from_secs(seconds))
}

/// A number of bytes as typed: `4096`, `64KiB`, `2 GiB`, `10M`.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let refuse = || format!("{text:?} is not a number of bytes such as 4096, 64KiB or 2GiB");
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
    let number: u64 = trimmed[..digits].parse().map_err(|_| refuse())?;
    let shift = match trimmed[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        "t" | "tib" => 40,
        _ => return Err(refuse()),
    };
    number.checked_mul(1 << shift).ok_or_else(refuse)
}

/// The present time.
pub(crate) fn now() -> Timestamp {
    SystemClock::new().wall()
}

/// A point found in a journal: from here on, or up to here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// A record.
    Record(Position),
    /// An instant.
    Time(Timestamp),
}

impl When {
    /// Finds the point in `journal`.
    pub(crate) fn find(&self, journal: &Journal) -> Result<Point> {
        Ok(match self {
            When::Position(position) => {
                journal.check_branch(*position)?;
                Point::Record(*position)
            }
            When::Lsn(lsn) => Point::Record(journal.with_summary(|summary| summary.position_of(*lsn))),
            When::Time(time) => Point::Time(*time),
            When::Ago(span) => Point::Time(now().minus(*span)),
            When::Pin(name) => Point::Record(journal.find_pin(name)?.position),
        })
    }

    /// The position that stands for the point: the last record at or before a time.
    pub(crate) fn position(&self, journal: &Journal) -> Result<Position> {
        let last = journal.position();
        let position = match self.find(journal)? {
            Point::Record(position) => position,
            Point::Time(time) => {
                let after = Timestamp::from_micros(time.micros().saturating_add(1));
                match journal.records_since(after)?.next() {
                    Some(record) => {
                        let lsn = record?.position.lsn.before();
                        journal.with_summary(|summary| summary.position_of(lsn))
                    }
                    None => last,
                }
            }
        };
        if position.lsn > last.lsn {
            let what = format!("there is no record {position} yet; the last one is {last}");
            return Err(Error::new(ErrorKind::Absent, what));
        }
        Ok(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_name_a_point_is_understood() {
        let parse = |text: &str| text.parse::<When>();
        assert_eq!(parse("42"), Ok(When::Lsn(Lsn::new(42))));
        assert_eq!(parse("1:42"), Ok(When::Position("1:42".parse().unwrap())));
        assert_eq!(parse("2h ago"), Ok(When::Ago(Duration::from_secs(7200))));
        assert_eq!(parse("1d 12h ago"), Ok(When::Ago(Duration::from_secs(129_600))));
        assert_eq!(parse("pin:before"), Ok(When::Pin("before".to_owned())));
        assert!(matches!(parse("2026-11-19T18:00:00Z"), Ok(When::Time(_))));
        for bad in ["", "yesterday", "ago", "2x ago", "99999999999999999999w ago"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn bytes_are_read_with_and_without_units() {
        assert_eq!(parse_bytes("4096"), Ok(4096));
        assert_eq!(parse_bytes("64KiB"), Ok(65_536));
        assert_eq!(parse_bytes("2 g"), Ok(2 << 30));
        assert!(parse_bytes("many").is_err());
        assert!(parse_bytes("99999999999t").is_err());
    }
}
