//! What happened to one path: each change of what stands there, oldest or newest first, with what it was before.

use std::collections::VecDeque;
use std::fmt;
use std::ops::RangeBounds;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::journal::Journal;
use crate::journal::cursor::FrameCursor;
use crate::position::{Lsn, Position};
use crate::state::when::{resolve, resolve_range};
use crate::state::{Meta, Stamp, When};
use crate::store::Store;
use crate::store::path::{IntoPath, Path};
use crate::store::replay::{self, Stamps};
use crate::store::value::{Object, Value};
use crate::store::version::{Effect, Version};
use crate::store::watch::may_shift;

/// How many records are folded at once when the newest change comes first.
const WINDOW_RECORDS: u64 = 4096;
const WINDOW_RECORDS_MAX: u64 = 256 * 1024;

/// A change of what stands at a path.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Changed {
    /// The path asked for, or the series below it that has an entry more or less.
    pub path: Path,
    /// The record that did it.
    pub position: Position,
    /// When that was. Positions tell the order, also of changes in the same microsecond.
    pub time: Timestamp,
    /// What was said about the commit.
    pub meta: Option<Arc<Meta>>,
    /// What stood there before.
    pub old: Option<Value>,
    /// What stood there afterwards.
    pub new: Option<Value>,
    /// Time and number of the entry, if it is one of a series.
    pub entry: Option<(Timestamp, Lsn)>,
}

impl Changed {
    /// Who did it, if that was said.
    pub fn actor(&self) -> Option<&str> {
        self.meta.as_ref().and_then(|meta| meta.actor.as_deref())
    }
}

/// Keeps up with what stands at a path, from the effects of one record after the other.
#[derive(Debug)]
pub(crate) struct Tracker {
    path: Path,
    current: Option<Value>,
}

impl Tracker {
    pub(crate) fn new(path: Path, current: Option<Value>) -> Tracker {
        Tracker { path, current }
    }

    /// Whether an effect may have moved something else to the path: an element was taken out of a list that it leads
    /// through. What stands there then only the whole state tells.
    fn is_moved_by(&self, effect: &Effect) -> bool {
        let removes = effect.entry.is_none() && effect.new.is_none();
        removes && may_shift(&effect.path).is_some_and(|list| list.is_prefix_of(&self.path))
    }

    /// What an effect did at the path, if it did anything there.
    fn take(&mut self, effect: Effect, stamp: &Stamp) -> Option<Changed> {
        if effect.entry.is_some() {
            let is_here = self.path.is_prefix_of(&effect.path);
            let Effect { path, old, new, entry } = effect;
            return is_here.then(|| Changed { entry, ..changed(path, old, new, stamp) });
        }
        let new = if effect.path.is_prefix_of(&self.path) {
            let rest = &self.path.segments()[effect.path.segments().len()..];
            effect.new.as_ref().and_then(|new| new.at(rest)).cloned()
        } else if self.path.is_prefix_of(&effect.path) {
            self.with_inner(&effect)
        } else {
            return None;
        };
        self.become_as(new, stamp)
    }

    /// Takes in what stands at the path now.
    fn become_as(&mut self, new: Option<Value>, stamp: &Stamp) -> Option<Changed> {
        if new == self.current {
            return None;
        }
        let old = std::mem::replace(&mut self.current, new.clone());
        Some(changed(self.path.clone(), old, new, stamp))
    }

    /// The value with a change of something inside it.
    fn with_inner(&self, effect: &Effect) -> Option<Value> {
        let rest = &effect.path.segments()[self.path.segments().len()..];
        let mut value = self.current.clone().unwrap_or_else(|| Value::Object(Object::new()));
        match &effect.new {
            // OK because the change was accepted where the whole document stands.
            Some(new) => value.set_at(rest, new.clone()).unwrap_or_default(),
            None => {
                value.remove_at(rest);
            }
        }
        // A collection without documents is none; an empty object inside a document is one.
        let is_none = self.path.key().is_none() && value.as_object().is_some_and(Object::is_empty);
        (!is_none).then_some(value)
    }
}

fn changed(path: Path, old: Option<Value>, new: Option<Value>, stamp: &Stamp) -> Changed {
    let (position, time, meta) = (stamp.position, stamp.time, stamp.meta.clone());
    Changed { path, position, time, meta, old, new, entry: None }
}

/// One walk over a part of the log, frame by frame.
struct Walk {
    version: Version,
    tracker: Tracker,
    frames: FrameCursor,
    stamps: Stamps,
    after: Lsn,
    through: Lsn,
}

impl Walk {
    /// Over the records after `after`, which ends a transaction.
    fn new(journal: &Journal, path: &Path, after: Lsn, through: Lsn) -> Result<Walk> {
        let version = replay::fold_to(journal, after)?;
        let tracker = Tracker::new(path.clone(), version.value(path)?);
        let frames = FrameCursor::new(Arc::clone(journal.history()), after.next());
        Ok(Walk { version, tracker, frames, stamps: Stamps::default(), after, through })
    }

    /// Takes in the next frame; `false` if there is none.
    fn step(&mut self, found: &mut VecDeque<Changed>) -> Result<bool> {
        let Some(header) = self.frames.next(self.through)? else { return Ok(false) };
        let Walk { version, tracker, stamps, .. } = self;
        let wanted = self.after..self.through;
        let mut show = |after: &Version, stamp: &Stamp, effects: Vec<Effect>| {
            for effect in effects {
                let change = match tracker.is_moved_by(&effect) {
                    true => tracker.become_as(after.value(&tracker.path)?, stamp),
                    false => tracker.take(effect, stamp),
                };
                found.extend(change);
            }
            Ok(())
        };
        replay::fold_frame(version, stamps, &header, self.frames.body(), wanted, &mut show)?;
        Ok(true)
    }
}

/// The changes of what stands at a path; after an error it ends.
pub struct History {
    journal: Journal,
    path: Path,
    /// The last record before the range.
    after: Lsn,
    /// The last record of the range, or of what is still to be read when the newest comes first.
    through: Lsn,
    newest_first: bool,
    window: u64,
    walk: Option<Walk>,
    found: VecDeque<Changed>,
    ended: bool,
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History").field("path", &self.path).finish_non_exhaustive()
    }
}

impl History {
    /// Only what happened in `range`.
    ///
    /// # Errors
    ///
    /// As [`Store::at`].
    pub fn within(mut self, range: impl RangeBounds<When>) -> Result<History> {
        let (first, last) = resolve_range(&self.journal, &range)?;
        (self.after, self.through) = (first.before(), last);
        Ok(self)
    }

    /// The newest change first; otherwise the oldest is.
    #[must_use]
    pub fn newest_first(self) -> History {
        History { newest_first: true, ..self }
    }

    fn step(&mut self) -> Result<Option<Changed>> {
        loop {
            let next = if self.newest_first { self.found.pop_back() } else { self.found.pop_front() };
            if next.is_some() || self.through <= self.after {
                return Ok(next);
            }
            if self.newest_first {
                self.read_window()?;
            } else {
                self.read_frame()?;
            }
        }
    }

    fn read_frame(&mut self) -> Result<()> {
        if self.walk.is_none() {
            self.walk = Some(Walk::new(&self.journal, &self.path, self.after, self.through)?);
        }
        if let Some(walk) = &mut self.walk
            && !walk.step(&mut self.found)?
        {
            self.walk = None;
            self.after = self.through;
        }
        Ok(())
    }

    /// Reads the last records that were not read yet, all of them, to give them from behind.
    fn read_window(&mut self) -> Result<()> {
        let wanted = Lsn::new(self.through.get().saturating_sub(self.window)).max(self.after);
        let after = resolve(&self.journal, &When::lsn(wanted))?.position.lsn.max(self.after);
        let mut walk = Walk::new(&self.journal, &self.path, after, self.through)?;
        while walk.step(&mut self.found)? {}
        self.through = after;
        self.window = (2 * self.window).min(WINDOW_RECORDS_MAX);
        Ok(())
    }

    /// If compaction took what was to be read the error says so and does not speak of damage.
    fn explain(&self, error: Error) -> Error {
        let seen = if self.newest_first { self.through.before() } else { self.after };
        let seen = self.walk.as_ref().map_or(seen, |walk| walk.version.position.lsn);
        match self.journal.horizon().lsn > seen {
            true => self.journal.before_horizon("the history was compacted away while it was read"),
            false => error,
        }
    }
}

impl Iterator for History {
    type Item = Result<Changed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let step = self.step().map_err(|error| self.explain(error)).transpose();
        self.ended = !matches!(step, Some(Ok(_)));
        step
    }
}

impl Store {
    /// What happened at `path` within the history that is kept, oldest first: a change of something that the path is in,
    /// or that is in it, counts if what stands at the path is another one afterwards. Of a series, each entry that came or
    /// went. Read from the log bit by bit: memory is bounded by the value at the path and one frame, or one window of
    /// records when the newest comes first.
    ///
    /// # Errors
    ///
    /// `Input` if `path` leads nowhere. The iterator's: `Damaged` if what has to be read does not check; `BeforeHorizon`
    /// if it was compacted away meanwhile.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> everlog::Result<()> {
    /// # let directory = tempfile::tempdir().expect("a directory");
    /// # let store = everlog::Store::open(directory.path().join("store"))?;
    /// store.set("settings.theme", "dark")?;
    /// store.set("settings.theme", "light")?;
    /// for change in store.history("settings.theme")?.newest_first() {
    ///     let change = change?;
    ///     println!("{} {:?} to {:?}", change.time, change.old, change.new);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn history(&self, path: impl IntoPath) -> Result<History> {
        let (journal, path) = (self.order.journal.clone(), path.into_path()?);
        let (after, through) = (journal.horizon().lsn, journal.durable_lsn());
        Ok(History {
            journal,
            path,
            after,
            through,
            newest_first: false,
            window: WINDOW_RECORDS,
            walk: None,
            found: VecDeque::new(),
            ended: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_beside_the_path_or_to_the_same_value_is_none() {
        let path = |text: &str| text.into_path().expect("a path");
        let value = |text: &str| text.parse::<Value>().expect("a value");
        let stamp = Stamp::new(Position::default(), Timestamp::ZERO);
        let mut tracker = Tracker::new(path("c.d.e"), None);
        let mut take = |at: &str, new: Option<&str>| {
            let effect = Effect { path: path(at), old: None, new: new.map(value), entry: None };
            tracker.take(effect, &stamp).map(|changed| (changed.old, changed.new))
        };
        assert_eq!(take("c.d", Some(r#"{"f":1}"#)), None, "beside it");
        assert_eq!(take("c.d", Some(r#"{"e":{"f":1}}"#)), Some((None, Some(value(r#"{"f":1}"#)))));
        assert_eq!(take("c.d", Some(r#"{"e":{"f":1},"g":2}"#)), None, "the same");
        let old = Some(value(r#"{"f":1}"#));
        assert_eq!(take("c.d.e.f", Some("2")), Some((old, Some(value(r#"{"f":2}"#)))));
        assert_eq!(take("c.x", None), None);
        assert_eq!(take("c.d", None), Some((Some(value(r#"{"f":2}"#)), None)));
    }
}
