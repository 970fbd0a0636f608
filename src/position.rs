//! Where a record stands in the one total order: [`Lsn`], [`Epoch`] and [`Position`].

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// The number of a record: the first is 1, each next one is larger by 1. Zero means *before the first*.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(u64);

impl Lsn {
    /// Before the first record.
    pub const ZERO: Lsn = Lsn(0);
    /// The first record of a journal.
    pub const FIRST: Lsn = Lsn(1);
    /// The largest number there is.
    pub const MAX: Lsn = Lsn(u64::MAX);

    /// Makes a number from its value.
    pub const fn new(value: u64) -> Lsn {
        Lsn(value)
    }

    /// The plain value.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number after this one; stays at [`Lsn::MAX`] at the end.
    pub const fn next(self) -> Lsn {
        Lsn(self.0.saturating_add(1))
    }

    /// The number before this one; stays at zero at the beginning.
    pub const fn before(self) -> Lsn {
        Lsn(self.0.saturating_sub(1))
    }

    /// The number `count` further on; stays at [`Lsn::MAX`] at the end.
    pub const fn plus(self, count: u64) -> Lsn {
        Lsn(self.0.saturating_add(count))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a life of the tail. Each session that writes has a larger one than those before it, so that an
/// [`Lsn`] that was cut and given again can be told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u32);

impl Epoch {
    /// Before the first session.
    pub const ZERO: Epoch = Epoch(0);

    /// Makes an epoch from its value.
    pub const fn new(value: u32) -> Epoch {
        Epoch(value)
    }

    /// The plain value.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The next life; `None` when the numbers are used up.
    pub fn next(self) -> Option<Epoch> {
        self.0.checked_add(1).map(Epoch)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place in the history: a record, and the life of the tail in which it was written.
///
/// Written and parsed as `epoch:lsn`, for example `3:1204`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The life of the tail in which the record was written.
    pub epoch: Epoch,
    /// The number of the record.
    pub lsn: Lsn,
}

impl Position {
    /// Before the first record of a journal.
    pub const START: Position = Position { epoch: Epoch::ZERO, lsn: Lsn::ZERO };

    /// Makes a position from its parts.
    pub const fn new(epoch: Epoch, lsn: Lsn) -> Position {
        Position { epoch, lsn }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.lsn)
    }
}

impl FromStr for Position {
    type Err = ParsePositionError;

    /// Parses `epoch:lsn`.
    fn from_str(text: &str) -> Result<Position, ParsePositionError> {
        let (epoch, lsn) = text.split_once(':').ok_or(ParsePositionError)?;
        let epoch = epoch.parse().map_err(|_: ParseIntError| ParsePositionError)?;
        let lsn = lsn.parse().map_err(|_: ParseIntError| ParsePositionError)?;
        Ok(Position::new(Epoch::new(epoch), Lsn::new(lsn)))
    }
}

/// The text is not a position of the form `epoch:lsn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParsePositionError;

impl fmt::Display for ParsePositionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a position of the form epoch:lsn, for example 1:42")
    }
}

impl std::error::Error for ParsePositionError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_survive_a_round_trip_through_text() {
        let position = Position::new(Epoch::new(3), Lsn::new(1204));
        assert_eq!(position.to_string(), "3:1204");
        assert_eq!("3:1204".parse(), Ok(position));
        for bad in ["", "3", ":", "a:1", "1:b", "1:2:3", "-1:2", "99999999999:1"] {
            assert_eq!(bad.parse::<Position>(), Err(ParsePositionError), "{bad:?}");
        }
    }

    #[test]
    fn numbers_stop_at_their_ends() {
        assert_eq!(Lsn::MAX.next(), Lsn::MAX);
        assert_eq!(Lsn::ZERO.before(), Lsn::ZERO);
        assert_eq!(Epoch::new(u32::MAX).next(), None);
    }
}
