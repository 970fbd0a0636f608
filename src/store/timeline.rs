//! The moments that there are to go back to, newest first, in pages: who did what when, and where.

use std::collections::BTreeSet;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::{Journal, RecordKind};
use crate::position::{Epoch, Lsn, Position};
use crate::state::when::{resolve, resolve_range};
use crate::state::{Meta, When};
use crate::store::diff::Scope;
use crate::store::op::Op;
use crate::store::path::{IntoPath, Path};
use crate::store::replay::{self, Stamps};
use crate::store::transaction::Tx;
use crate::store::value::{Object, Value};
use crate::store::version::Effect;
use crate::store::{Store, key};

/// What notes say about a commit: a label; that it is a rollback; that it belongs to an undo scope.
pub(super) const LABEL: &str = "label";
pub(super) const ROLLBACK: &str = "rollback";
pub(super) const UNDO: &str = "undo";

/// At most so many paths are told of one commit, and so many points in one page.
const PATHS_MAX: usize = 16;
const PAGE_MAX: usize = 100;
/// How many records are read at once, at first.
const WINDOW_RECORDS: u64 = 1024;
const WINDOW_RECORDS_MAX: u64 = 256 * 1024;

/// A commit, after which the state can be read again, compared and returned to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RestorePoint {
    /// The last record of the commit: [`Store::at`] gives the state after it.
    pub position: Position,
    /// When it was.
    pub time: Timestamp,
    /// What was said about the commit: actor, cause, correlation.
    pub meta: Option<Arc<Meta>>,
    /// What it is called: by [`Tx::label`], or in its undo scope.
    pub label: Option<String>,
    /// The position whose state it returned to, if it is a rollback.
    pub rollback_to: Option<Position>,
    /// Where it changed something, each place once, the first ones; there may be more.
    pub paths: Vec<Path>,
    /// How many records it has that change something.
    pub changes: u64,
    /// The pins that keep it.
    pub pins: Vec<String>,
}

impl RestorePoint {
    fn at(position: Position, time: Timestamp) -> RestorePoint {
        RestorePoint {
            position,
            time,
            meta: None,
            label: None,
            rollback_to: None,
            paths: Vec::new(),
            changes: 0,
            pins: Vec::new(),
        }
    }

    /// Who did it, if that was said.
    pub fn actor(&self) -> Option<&str> {
        self.meta.as_ref().and_then(|meta| meta.actor.as_deref())
    }

    /// Why, if that was said.
    pub fn cause(&self) -> Option<&str> {
        self.meta.as_ref().and_then(|meta| meta.cause.as_deref())
    }

    fn note(&mut self, what: &str, value: &Value) {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        match what {
            LABEL => self.label = text(Some(value)),
            ROLLBACK => self.rollback_to = text(value.get("to")).and_then(|to| to.parse().ok()),
            UNDO => self.label = text(value.get(LABEL)),
            _ => {}
        }
    }

    fn changed(&mut self, path: Path) {
        self.changes += 1;
        if self.paths.len() < PATHS_MAX && !self.paths.contains(&path) {
            self.paths.push(path);
        }
    }
}

/// A part of a [`Timeline`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TimelinePage {
    /// Newest first.
    pub points: Vec<RestorePoint>,
    /// Where the next page starts; `None` if there is none.
    pub next: Option<String>,
}

/// What is asked of the moments there are.
#[derive(Clone, Debug)]
pub struct Timeline {
    journal: Journal,
    scope: Scope,
    range: (Bound<When>, Bound<When>),
}

impl Timeline {
    /// Only commits that changed something at or below `prefix`. One that set or removed something that the prefix is in is
    /// one of them if what stands at the prefix was another one afterwards; to know that the log is folded.
    ///
    /// # Errors
    ///
    /// `Input` if `prefix` leads nowhere.
    pub fn under(self, prefix: impl IntoPath) -> Result<Timeline> {
        Ok(Timeline { scope: Scope::of([prefix])?, ..self })
    }

    /// Only what happened in `range`.
    #[must_use]
    pub fn within(self, range: impl RangeBounds<When>) -> Timeline {
        Timeline { range: (range.start_bound().cloned(), range.end_bound().cloned()), ..self }
    }

    /// The newest `size` points, at most 100, or those that follow the page that gave `cursor`. What is committed
    /// meanwhile moves nothing. Takes time in proportion to the records from the start of the page to its end, and with a
    /// prefix inside documents to those since the snapshot before it, too.
    ///
    /// # Errors
    ///
    /// `Input` if `cursor` is none of this store; `BeforeHorizon` names the earliest moment if the range begins before it,
    /// or the cursor was overtaken by it; `Diverged` if it was cut after a crash; `Damaged` if the log does not check.
    pub fn page(&self, size: usize, cursor: Option<&str>) -> Result<TimelinePage> {
        let (first, mut last) = resolve_range(&self.journal, &self.range)?;
        if let Some(cursor) = cursor {
            // The last point of the page before, if it is still there.
            let position =
                resolve(&self.journal, &When::position(read_cursor(&self.journal, cursor)?))?.position;
            last = last.min(position.lsn.before());
        }
        let size = size.clamp(1, PAGE_MAX);
        let (mut points, mut window) = (Vec::new(), WINDOW_RECORDS);
        // One more than asked for tells whether there is a next page.
        while points.len() <= size && last >= first {
            let wanted = Lsn::new(last.get().saturating_sub(window)).max(first.before());
            let after = resolve(&self.journal, &When::lsn(wanted))?.position.lsn;
            let found = self.read(after, last)?;
            points.extend(found.into_iter().rev().filter(|point| point.position.lsn >= first));
            last = after;
            window = (2 * window).min(WINDOW_RECORDS_MAX);
        }
        let more = points.len() > size;
        points.truncate(size);
        let next = points.last().filter(|_| more).map(|point| write_cursor(&self.journal, point.position));
        self.name_pins(&mut points);
        Ok(TimelinePage { points, next })
    }

    fn name_pins(&self, points: &mut [RestorePoint]) {
        for pin in self.journal.pins() {
            if let Some(point) = points.iter_mut().find(|point| point.position == pin.position) {
                point.pins.push(pin.name);
            }
        }
    }

    /// The points of whole transactions in `(after, through]`, oldest first. Both ends are ends of transactions.
    fn read(&self, after: Lsn, through: Lsn) -> Result<Vec<RestorePoint>> {
        let mut points =
            Points { scope: &self.scope, real: None, doubtful: false, open: None, found: Vec::new() };
        points.read(&self.journal, after, through)?;
        if points.doubtful {
            points.real = Some(self.really_changed(after, through)?);
            points.read(&self.journal, after, through)?;
        }
        Ok(points.found)
    }

    /// The records in `(after, through]` that changed what stands at a path of the scope by changing what that is in.
    fn really_changed(&self, after: Lsn, through: Lsn) -> Result<BTreeSet<Lsn>> {
        let mut version = replay::fold_to(&self.journal, after)?;
        let mut real = BTreeSet::new();
        replay::visit(&self.journal, &mut version, through, &mut |_, stamp, effects| {
            if effects.iter().any(|effect| changes_below(effect, &self.scope)) {
                real.insert(stamp.position.lsn);
            }
            Ok(())
        })?;
        Ok(real)
    }
}

/// Whether an effect changed anything that lies in the scope.
fn changes_below(effect: &Effect, scope: &Scope) -> bool {
    if scope.covers(&effect.path) {
        return true;
    }
    let at =
        |value: &Option<Value>, inner: &[String]| value.as_ref().and_then(|value| value.at(inner)).cloned();
    // What a series holds are entries, which have no paths of their own.
    !effect.in_series()
        && scope.below(&effect.path).any(|path| {
            let inner = &path.segments()[effect.path.segments().len()..];
            at(&effect.old, inner) != at(&effect.new, inner)
        })
}

/// Gathers points from the log.
struct Points<'a> {
    scope: &'a Scope,
    /// The records that change something of which the scope is a part, and really change what is in the scope; `None` if
    /// that was not found out yet.
    real: Option<BTreeSet<Lsn>>,
    /// There was a record of which that has to be known.
    doubtful: bool,
    open: Option<RestorePoint>,
    found: Vec<RestorePoint>,
}

impl Points<'_> {
    fn read(&mut self, journal: &Journal, after: Lsn, through: Lsn) -> Result<()> {
        (self.open, self.found) = (None, Vec::new());
        let mut stamps = Stamps::default();
        journal.each_frame(after, through, &mut |header, body| {
            replay::each_record(header, body, after..through, &mut |position, view| {
                // Each record counts: a pin may be the first, which says what is said about all of them.
                let stamp = stamps.next(position, view)?;
                if view.kind == RecordKind::Event {
                    let mut point = self.open.take().unwrap_or_else(|| RestorePoint::at(position, view.time));
                    (point.position, point.meta) = (position, stamp.meta);
                    self.tell(&mut point, position.lsn, replay::decode(position.lsn, view)?);
                    self.open = Some(point);
                }
                if view.end {
                    self.found.extend(self.open.take().filter(|point| point.changes > 0));
                }
                Ok(())
            })
        })
    }

    fn tell(&mut self, point: &mut RestorePoint, lsn: Lsn, op: Op) {
        match op {
            Op::Note { what, value } => point.note(&what, &value),
            Op::Set { path, .. }
            | Op::Remove { path }
            | Op::Append { path, .. }
            | Op::Push { path, .. }
            | Op::Cut { path, .. }
            | Op::Entry { path, .. } => {
                if key::is_users(path.collection()) && self.counts(&path, lsn) {
                    point.changed(path);
                }
            }
        }
    }

    /// Whether a change at `path` is one in the scope.
    fn counts(&mut self, path: &Path, lsn: Lsn) -> bool {
        if self.scope.is_empty() || self.scope.covers(path) {
            return true;
        }
        if self.scope.below(path).next().is_none() {
            return false;
        }
        self.doubtful |= self.real.is_none();
        self.real.as_ref().is_none_or(|real| real.contains(&lsn))
    }
}

/// A cursor: the journal it is of, a position, and a sum over both.
fn write_cursor(journal: &Journal, position: Position) -> String {
    let id: String = journal.identity().id[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!("{id}{:016x}{:08x}", position.lsn.get(), position.epoch.get());
    let sum = crc32fast::hash(text.as_bytes());
    format!("{text}{sum:08x}")
}

fn read_cursor(journal: &Journal, cursor: &str) -> Result<Position> {
    let read = || {
        let lsn = u64::from_str_radix(cursor.get(16..32)?, 16).ok()?;
        let epoch = u32::from_str_radix(cursor.get(32..40)?, 16).ok()?;
        let position = Position::new(Epoch::new(epoch), Lsn::new(lsn));
        (write_cursor(journal, position) == cursor).then_some(position)
    };
    read().ok_or_else(|| {
        Error::new(ErrorKind::Input, "the cursor is not one of this store's timeline")
            .advise("start again without a cursor")
    })
}

/// An object of a few texts and numbers, for notes.
pub(super) fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(members.into_iter().collect::<Object>())
}

impl Tx<'_> {
    /// Says what this transaction is to be called where its history is shown. A later label replaces an earlier one.
    ///
    /// # Errors
    ///
    /// `TooLarge` when it is committed, if the label is over the limit of a record.
    pub fn label(&mut self, label: &str) -> Result<()> {
        self.apply(Op::Note { what: LABEL.to_owned(), value: Value::from(label) }).map(drop)
    }
}

impl Store {
    /// The moments that there are to go back to: each commit that changed something, newest first.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> everlog::Result<()> {
    /// # let directory = tempfile::tempdir().expect("a directory");
    /// # let store = everlog::Store::open(directory.path().join("store"))?;
    /// store.transaction(|tx| {
    ///     tx.label("switch the theme")?;
    ///     tx.set("settings.theme", "dark")
    /// })?;
    /// let page = store.timeline().under("settings")?.page(20, None)?;
    /// assert_eq!(page.points[0].label.as_deref(), Some("switch the theme"));
    /// assert_eq!(page.points[0].paths[0].to_string(), "settings.theme");
    /// assert!(page.next.is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub fn timeline(&self) -> Timeline {
        let journal = self.order.journal.clone();
        Timeline { journal, scope: Scope::default(), range: (Bound::Unbounded, Bound::Unbounded) }
    }
}
