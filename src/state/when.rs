//! Ways to name a moment of the history, [`When`], and what position it is.

use std::ops::{Bound, RangeBounds};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::Journal;
use crate::journal::cursor::find_time;
use crate::position::{Lsn, Position};
use crate::segment::record::Records;

/// A moment of the history: a position, a time, so long ago, a pin, or now.
///
/// A time means *as of*: everything that happened at or before it. All parts of a transaction happen at once.
///
/// ```
/// use everlog::When;
/// use std::time::Duration;
///
/// let moments = [
///     When::time("2026-11-19T19:00:00+01:00")?,
///     When::ago(Duration::from_secs(3600)),
///     When::position("3:1204".parse().unwrap()),
///     When::pin("before the migration"),
/// ];
/// # Ok::<(), everlog::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct When(Moment);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Moment {
    Position(Position),
    Lsn(Lsn),
    Time(Timestamp),
    Ago(Duration),
    Pin(String),
    Now,
}

impl When {
    /// After the record at `position`; [`Position::START`] is before the first. In the middle of a transaction it
    /// means before that transaction.
    pub fn position(position: Position) -> When {
        When(Moment::Position(position))
    }

    /// After record `lsn` of the present history.
    pub fn lsn(lsn: Lsn) -> When {
        When(Moment::Lsn(lsn))
    }

    /// As of an RFC 3339 time with a zone, such as `2026-11-19T18:00:00Z`.
    ///
    /// # Errors
    ///
    /// `Input` if the text is not such a time.
    pub fn time(text: &str) -> Result<When> {
        let time = text.parse().map_err(|error| {
            Error::new(ErrorKind::Input, format!("{text:?} is {error}"))
                .advise("write it as RFC 3339, with a zone")
        })?;
        Ok(When::timestamp(time))
    }

    /// As of an instant.
    pub fn timestamp(time: Timestamp) -> When {
        When(Moment::Time(time))
    }

    /// As of `distance` before now. Now is what the journal's clock shows, or the time of its last record if the
    /// clock shows less.
    pub fn ago(distance: Duration) -> When {
        When(Moment::Ago(distance))
    }

    /// The position that a pin keeps.
    pub fn pin(name: impl Into<String>) -> When {
        When(Moment::Pin(name.into()))
    }

    /// After the last durable record.
    pub fn now() -> When {
        When(Moment::Now)
    }

    /// What position of `journal` this is.
    ///
    /// # Errors
    ///
    /// `BeforeHorizon` names the earliest moment that can be read; `Diverged` if the position was cut after a crash;
    /// `Absent` if there is no such record or pin; `Damaged` if what has to be read does not check.
    pub fn position_in(&self, journal: &Journal) -> Result<Position> {
        Ok(resolve(journal, self)?.position)
    }
}

impl From<&When> for When {
    fn from(when: &When) -> When {
        when.clone()
    }
}

impl From<Position> for When {
    fn from(position: Position) -> When {
        When::position(position)
    }
}

impl From<Timestamp> for When {
    fn from(time: Timestamp) -> When {
        When::timestamp(time)
    }
}

/// A moment, found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// The end of a whole transaction.
    pub(crate) position: Position,
    /// Whether something may still happen at or before the moment, so that asking later may give another answer (J8).
    pub(crate) is_open: bool,
}

/// Finds the position of a moment.
pub(crate) fn resolve(journal: &Journal, when: &When) -> Result<Resolved> {
    let end = End::of(journal)?;
    let (lsn, is_open) = match end.instant(when) {
        Some(time) => (end.last(time, Edge::After)?, time >= end.time),
        None => (whole_end(journal, end.record(when)?)?, when.0 == Moment::Now),
    };
    Ok(Resolved { position: journal.with_summary(|summary| summary.position_of(lsn)), is_open })
}

/// The first and the last record of a range; it is empty when the last lies before the first.
pub(crate) fn resolve_range(journal: &Journal, range: &impl RangeBounds<When>) -> Result<(Lsn, Lsn)> {
    let end = End::of(journal)?;
    let first = match range.start_bound() {
        Bound::Unbounded => journal.horizon().lsn.next(),
        Bound::Included(when) => end.edge(when, Edge::Before)?.next(),
        Bound::Excluded(when) => end.edge(when, Edge::After)?.next(),
    };
    let last = match range.end_bound() {
        Bound::Unbounded => end.lsn,
        Bound::Included(when) => end.edge(when, Edge::After)?,
        Bound::Excluded(when) => end.edge(when, Edge::Before)?,
    };
    Ok((first, last))
}

/// On which side of what happens at a moment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Edge {
    Before,
    After,
}

/// A journal up to what is durable now.
struct End<'a> {
    journal: &'a Journal,
    lsn: Lsn,
    time: Timestamp,
}

impl End<'_> {
    fn of(journal: &Journal) -> Result<End<'_>> {
        let (lsn, time) = journal.durable_end()?;
        Ok(End { journal, lsn, time })
    }

    /// The last record on this side of a moment.
    fn edge(&self, when: &When, side: Edge) -> Result<Lsn> {
        match (self.instant(when), side) {
            (Some(time), side) => self.last(time, side),
            (None, Edge::After) => self.record(when),
            (None, Edge::Before) => Ok(self.record(when)?.before().max(self.journal.horizon().lsn)),
        }
    }

    /// The instant of a moment that is told by time.
    fn instant(&self, when: &When) -> Option<Timestamp> {
        match &when.0 {
            Moment::Time(time) => Some(*time),
            Moment::Ago(distance) => {
                let now = self.journal.opened_with().clock.wall().max(self.time);
                Some(now.minus(*distance))
            }
            _ => None,
        }
    }

    /// The record of a moment that is told by place: it is there, or was.
    fn record(&self, when: &When) -> Result<Lsn> {
        let journal = self.journal;
        let position_of = |lsn| journal.with_summary(|summary| summary.position_of(lsn));
        let position = match &when.0 {
            Moment::Position(position) => *position,
            Moment::Lsn(lsn) => position_of(*lsn),
            Moment::Pin(name) => journal.find_pin(name)?.position,
            Moment::Time(_) | Moment::Ago(_) | Moment::Now => position_of(self.lsn),
        };
        journal.check_branch(position)?;
        if position.lsn > self.lsn {
            let what = format!("there is no durable record {position} yet");
            return Err(Error::new(ErrorKind::Absent, what).at_lsn(position.lsn));
        }
        if position.lsn < journal.horizon().lsn {
            return Err(journal.before_horizon(&format!("position {position} lies before the horizon")));
        }
        Ok(position.lsn)
    }

    /// The last record before `time`, or at it with [`Edge::After`].
    fn last(&self, time: Timestamp, side: Edge) -> Result<Lsn> {
        let horizon = self.journal.horizon();
        if horizon.lsn > Lsn::ZERO && time < self.journal.time_of(horizon)? {
            return Err(self.journal.before_horizon(&format!("{time} lies before the horizon")));
        }
        let beyond = match side {
            Edge::Before => time,
            Edge::After if time >= self.time => return Ok(self.lsn),
            Edge::After => Timestamp::from_micros(time.micros() + 1),
        };
        let found = find_time(self.journal.history(), beyond, horizon.lsn.next(), self.lsn)?;
        Ok(found.before())
    }
}

/// The end of the last whole transaction at or before `lsn`.
fn whole_end(journal: &Journal, lsn: Lsn) -> Result<Lsn> {
    let horizon = journal.horizon().lsn;
    let mut at = lsn;
    while at > horizon {
        let (mut end, mut first) = (None, at);
        journal.each_frame(at.before(), at, &mut |header, body| {
            first = header.first_lsn;
            let mut lsn = header.first_lsn;
            for record in Records::new(body) {
                if record?.end && lsn <= at {
                    end = Some(lsn);
                }
                lsn = lsn.next();
            }
            Ok(())
        })?;
        match end {
            Some(end) => return Ok(end.max(horizon)),
            // The transaction goes back beyond this frame.
            None => at = first.before(),
        }
    }
    Ok(horizon)
}
