//! Time as the journal sees it: [`Timestamp`], the [`Clock`] it is read from, and text in and out.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// An instant, in whole microseconds since 1970-01-01T00:00:00Z. Times before that are shown as that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const ZERO: Timestamp = Timestamp(0);
    /// The latest instant that can be written down.
    pub const MAX: Timestamp = Timestamp(u64::MAX);

    /// Makes an instant from microseconds since 1970.
    pub const fn from_micros(micros: u64) -> Timestamp {
        Timestamp(micros)
    }

    /// Microseconds since 1970.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// This instant moved forward; stays at the end of time.
    pub fn plus(self, distance: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(u64::try_from(distance.as_micros()).unwrap_or(u64::MAX)))
    }

    /// This instant moved back; stays at 1970.
    pub fn minus(self, distance: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(u64::try_from(distance.as_micros()).unwrap_or(u64::MAX)))
    }

    /// The time from `earlier` to this instant; zero if `earlier` is later.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, with as many digits of a second as are needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match i64::try_from(self.0).ok().and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok()) {
            Some(instant) => instant.fmt(f),
            None => write!(f, "{} us after 1970", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    /// Parses RFC 3339 with a zone: `2026-11-19T18:00:00Z` or `2026-11-19T19:00:00+01:00`.
    fn from_str(text: &str) -> Result<Timestamp, ParseTimestampError> {
        let instant: jiff::Timestamp = text.parse().map_err(|_: jiff::Error| ParseTimestampError)?;
        u64::try_from(instant.as_microsecond()).map(Timestamp).map_err(|_| ParseTimestampError)
    }
}

/// The text is not an RFC 3339 time with a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseTimestampError;

impl fmt::Display for ParseTimestampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a time with a zone after 1970, for example 2026-11-19T18:00:00Z")
    }
}

impl std::error::Error for ParseTimestampError {}

/// Where the journal reads time. The system's clock by default; tests set their own.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The time on the wall. It may step back or ahead; the journal copes (J8).
    fn wall(&self) -> Timestamp;

    /// Time elapsed since some fixed point in the past. It never steps.
    fn elapsed(&self) -> Duration;
}

/// The clock of the operating system.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock that counts elapsed time from now.
    #[allow(clippy::disallowed_methods, reason = "this is the one place where time is read")]
    pub fn new() -> SystemClock {
        SystemClock { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the one place where time is read")]
    fn wall(&self) -> Timestamp {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::ZERO.plus(since_1970)
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written_as_rfc_3339() {
        let time: Timestamp = "2026-11-19T19:00:00.25+01:00".parse().expect("a time");
        assert_eq!(time.to_string(), "2026-11-19T18:00:00.25Z");
        assert_eq!(time.to_string().parse(), Ok(time));
        for bad in ["", "yesterday", "2026-11-19", "2026-11-19T18:00:00", "1969-12-31T23:59:59Z"] {
            assert_eq!(bad.parse::<Timestamp>(), Err(ParseTimestampError), "{bad:?}");
        }
    }

    #[test]
    fn arithmetic_stops_at_the_ends_of_time() {
        assert_eq!(Timestamp::ZERO.minus(Duration::from_secs(1)), Timestamp::ZERO);
        assert_eq!(Timestamp::MAX.plus(Duration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::ZERO.since(Timestamp::MAX), Duration::ZERO);
        assert!(!Timestamp::MAX.to_string().is_empty());
    }
}
