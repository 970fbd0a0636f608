//! Snapshots made from the log as read back, and moving the horizon to one of them (J9, J10).

use std::sync::atomic::Ordering;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::cursor::FrameCursor;
use crate::journal::history::Leg;
use crate::journal::options::{Background, FACE_RAW};
use crate::journal::retention::Retention;
use crate::journal::spare::random_u64;
use crate::journal::summary::Summary;
use crate::journal::{Journal, spawn};
use crate::medium::name;
use crate::position::{Lsn, Position};
use crate::segment::frame::FrameHeader;
#[cfg(feature = "store")]
use crate::snapshot::RunWriter;
use crate::snapshot::list::{self, SnapshotList};
use crate::snapshot::policy::{self, Extent, Facts, Held, Trust};
use crate::snapshot::{Reading, Run, RunInfo, StateWriter};

/// The system forgets whole pages, none larger than this.
const CACHE_BYTES: u64 = 64 * 1024;

/// What a compaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compacted {
    /// The horizon now.
    pub horizon: Position,
    /// How many segments went.
    pub segments_removed: u64,
    /// Their bytes.
    pub bytes_freed: u64,
    /// How many snapshots went.
    pub snapshots_removed: u64,
}

/// A snapshot's knowledge to start from; without a list it is the empty beginning.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) summary: Summary,
    pub(crate) list: Option<SnapshotList>,
}

/// Folds the log into the state that a snapshot holds.
pub(crate) trait SnapshotMaker {
    /// Whether it can start from this snapshot.
    fn accepts(&self, list: &SnapshotList) -> bool;

    /// Starts from a snapshot's state, or from the beginning.
    fn start(&mut self, list: Option<&SnapshotList>) -> Result<()>;

    /// Takes in a data frame, as read back.
    fn frame(&mut self, header: &FrameHeader, body: &[u8]) -> Result<()>;

    /// Writes the present state as synced runs. Called at growing positions.
    fn runs(&mut self) -> Result<Vec<RunInfo>>;

    /// State version and fold revision.
    fn versions(&self) -> (u16, u32);
}

/// A snapshot that is being made; the next may begin when this goes, however that comes about.
struct Underway(Journal);

impl Drop for Underway {
    fn drop(&mut self) {
        self.0.inner.snapshotting.store(false, Ordering::Release);
    }
}

/// A raw journal has no state beyond what it knows of itself.
struct Nothing;

impl SnapshotMaker for Nothing {
    fn accepts(&self, _: &SnapshotList) -> bool {
        true
    }

    fn start(&mut self, _: Option<&SnapshotList>) -> Result<()> {
        Ok(())
    }

    fn frame(&mut self, _: &FrameHeader, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn runs(&mut self) -> Result<Vec<RunInfo>> {
        Ok(Vec::new())
    }

    fn versions(&self) -> (u16, u32) {
        (0, 0)
    }
}

impl Journal {
    /// Makes a snapshot at the durable end, from the log as read back, beside the writers. The next opening replays
    /// only what follows it. Returns its position.
    ///
    /// # Errors
    ///
    /// `Damaged` if the log reads back differently from what was appended (J10); `Unsupported` on a journal of typed
    /// events, whose application has to make it; `Full` if there is no space, and then the journal is as before.
    pub fn snapshot(&self) -> Result<Position> {
        self.only_raw("snapshot")?;
        self.make_snapshot(&mut Nothing)
    }

    /// Moves the horizon as far as `retention` and pins allow, and removes what lies below it. Takes the snapshots
    /// that this needs; every block of them is read back first. What cannot be removed now goes the next time.
    ///
    /// Segments go as a whole. If what may go is in the one that is written to, that one ends with this call, and a
    /// compaction after the next commit removes it as soon as all of it may go.
    ///
    /// # Errors
    ///
    /// As [`Journal::snapshot`].
    pub fn compact(&self, retention: &Retention) -> Result<Compacted> {
        self.only_raw("compact")?;
        self.compact_with(retention, &mut Nothing)
    }

    pub(super) fn only_raw(&self, verb: &str) -> Result<()> {
        if self.identity().creation.face == FACE_RAW {
            return Ok(());
        }
        let what = format!("cannot {verb} a journal of typed events without its application");
        Err(Error::new(ErrorKind::Unsupported, what)
            .advise("call it from the application that knows the fold"))
    }

    /// The newest good snapshot at or before `at_most` that `accept` takes, or the beginning while the log is whole.
    pub(crate) fn base_at(&self, at_most: Lsn, accept: &dyn Fn(&SnapshotList) -> bool) -> Result<Base> {
        let horizon = self.horizon().lsn;
        if at_most < horizon {
            return Err(self.before_horizon("that lies before the horizon"));
        }
        let medium = &**self.medium();
        let id = self.identity().id;
        let mut refused = None;
        for position in list::positions(medium)? {
            if position.lsn > at_most || position.lsn < horizon {
                continue;
            }
            match list::read(medium, position) {
                Ok(found) if found.journal_id == id && accept(&found) => {
                    let summary = Summary::decode(&found.summary)?;
                    return Ok(Base { summary, list: Some(found) });
                }
                Ok(_) => {}
                Err(error) => refused = Some(error),
            }
        }
        if horizon > Lsn::ZERO {
            let error =
                Error::new(ErrorKind::Damaged, "no snapshot at the horizon can be used").at_lsn(horizon);
            return Err(refused
                .unwrap_or(error)
                .advise("restore the snapshot from a backup, or use the program that made it"));
        }
        Ok(Base { summary: Summary::default(), list: None })
    }

    /// Visits the data frames with records in `(after, through]`, checked as they are read.
    pub(crate) fn each_frame(
        &self,
        after: Lsn,
        through: Lsn,
        visit: &mut dyn FnMut(&FrameHeader, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut frames = FrameCursor::new(std::sync::Arc::clone(self.history()), after.next());
        while let Some(header) = frames.next(through)? {
            visit(&header, frames.body())?;
        }
        Ok(())
    }

    /// A new run for an opaque state.
    pub(crate) fn state_writer(&self) -> Result<StateWriter> {
        StateWriter::create(self.medium(), random_u64()?, self.identity().id)
    }

    /// A new run for pairs that a face knows how to read.
    #[cfg(feature = "store")]
    pub(crate) fn run_writer(&self) -> Result<RunWriter> {
        RunWriter::create(self.medium(), random_u64()?, self.identity().id)
    }

    /// Opens a run of this journal.
    pub(crate) fn open_run(&self, info: &RunInfo) -> Result<Run> {
        Run::open(&**self.medium(), info, self.identity().id, Reading::Mapped)
    }

    /// Keeps snapshots and compaction away while held: for whoever writes a run that nothing lists yet.
    pub(crate) fn keep_upkeep_away(&self) -> parking_lot::MutexGuard<'_, ()> {
        self.inner.upkeep.lock()
    }

    /// Starts a snapshot beside the writers when enough was appended since the last one and none is being made.
    /// Its error, if any, stays in the status and is returned by `close`.
    pub(crate) fn snapshot_if_due(&self, make: impl FnOnce(&Journal) -> Result<Position> + Send + 'static) {
        let options = self.opened_with();
        let (Some(every), Background::Threads) = (options.snapshot_every_bytes, options.background) else {
            return;
        };
        let Ok(core) = self.writer_core() else { return };
        let (bytes, records) = (core.sink().bytes_since_snapshot(), core.sink().records_since_snapshot());
        let is_due = bytes >= every || records >= options.snapshot_every_records;
        if !is_due || self.inner.upkeep.is_locked() || self.inner.snapshotting.swap(true, Ordering::AcqRel) {
            return;
        }
        core.sink().begin_snapshot();
        let underway = Underway(self.clone());
        let started = spawn("everlog-snapshot", move || {
            let journal = &underway.0;
            if let Err(error) = make(journal)
                && *error.kind() != ErrorKind::Closed
            {
                journal.note_trouble(error);
            }
        });
        if let Err(error) = started {
            self.note_trouble(error);
        }
    }

    /// Makes a snapshot at the durable end.
    pub(crate) fn make_snapshot(&self, maker: &mut dyn SnapshotMaker) -> Result<Position> {
        let _alone = self.inner.upkeep.lock();
        let position = self.fold_snapshots(maker, None)?;
        self.thin_out()?;
        Ok(position)
    }

    /// Lets snapshots go that the ladder of the policy does not need: not every one is kept for ever.
    fn thin_out(&self) -> Result<()> {
        let medium = &**self.medium();
        let lists: Vec<(SnapshotList, Trust)> = list::positions(medium)?
            .into_iter()
            .filter_map(|position| list::read(medium, position).ok())
            .map(|list| (list, Trust::Verified))
            .collect();
        let decision = self.decide(&Retention::forever(), self.effective_now()?, &lists);
        let mut unheard =
            Compacted { horizon: self.horizon(), segments_removed: 0, bytes_freed: 0, snapshots_removed: 0 };
        if !decision.drop.is_empty() {
            self.drop_snapshots(&decision.drop, &mut unheard);
        }
        Ok(())
    }

    /// Folds from the newest usable snapshot to the durable end, leaving a snapshot there and, if asked for, one at
    /// the first whole transaction at or after `stop_at`.
    fn fold_snapshots(&self, maker: &mut dyn SnapshotMaker, stop_at: Option<Lsn>) -> Result<Position> {
        let core = self.writer_core()?;
        self.check_open()?;
        core.sink().begin_snapshot();
        let point = core.sink().proven();
        let through = point.position.lsn;
        let base = self.base_at(stop_at.unwrap_or(through), &|list| maker.accepts(list))?;
        maker.start(base.list.as_ref())?;
        let mut summary = base.summary;
        let mut stop_at = stop_at.filter(|stop| summary.position().lsn < *stop);
        for leg in self.history().legs() {
            // Around the cache where the platform can: what is folded should come from the device. Not what the writers
            // fill next: they would wait for it to be read.
            let passed = || self.history().passed(leg.segment.birth.number);
            let end = leg.end.unwrap_or_else(|| passed() / CACHE_BYTES * CACHE_BYTES);
            leg.segment.file.drop_cache(0..end);
        }
        self.each_frame(summary.position().lsn, through, &mut |header, body| {
            maker.frame(header, body)?;
            summary.apply(header, body)?;
            let here = summary.position().lsn;
            if !header.continues && stop_at.is_some_and(|stop| here >= stop) && here < through {
                stop_at = None;
                self.publish_snapshot(maker, &summary)?;
            }
            Ok(())
        })?;
        if summary.position() != point.position || summary.fingerprint != point.fingerprint {
            let what =
                format!("the log reads back differently from what was appended up to {}", point.position);
            return Err(Error::new(ErrorKind::Damaged, what)
                .at_lsn(through)
                .advise("run everlog verify; the snapshot was not made"));
        }
        self.publish_snapshot(maker, &summary)
    }

    fn publish_snapshot(&self, maker: &mut dyn SnapshotMaker, summary: &Summary) -> Result<Position> {
        let position = summary.position();
        let medium = &**self.medium();
        let present = list::positions(medium)?.contains(&position);
        if present && list::read(medium, position).is_ok_and(|list| maker.accepts(&list)) {
            return Ok(position);
        }
        if present {
            list::remove(medium, position)?;
        }
        let runs = self.with_ballast(|| maker.runs())?;
        let identity = self.identity();
        let (state_version, fold_revision) = maker.versions();
        let list = SnapshotList {
            journal_id: identity.id,
            position,
            time: summary.time(),
            made_at: self.opened_with().clock.wall(),
            face: identity.creation.face,
            type_name: identity.creation.type_name,
            codec: identity.creation.codec,
            state_version,
            fold_revision,
            fingerprint: u64::from(summary.fingerprint),
            summary: summary.encode()?,
            runs,
        };
        self.with_ballast(|| list::write(medium, &list))?;
        self.writer_core()?.sink().note_snapshot(list.runs.iter().map(|run| run.bytes).sum());
        Ok(position)
    }

    /// Tries again without the spare segment when the disk is full.
    fn with_ballast<T>(&self, mut work: impl FnMut() -> Result<T>) -> Result<T> {
        match work() {
            Err(error) if *error.kind() == ErrorKind::Full => {
                if self.writer_core()?.sink().spares.give_up() {
                    work()
                } else {
                    Err(error)
                }
            }
            outcome => outcome,
        }
    }

    /// Moves the horizon, with a maker for the snapshots that this needs.
    pub(crate) fn compact_with(
        &self,
        retention: &Retention,
        maker: &mut dyn SnapshotMaker,
    ) -> Result<Compacted> {
        let _alone = self.inner.upkeep.lock();
        self.check_open()?;
        let now = self.effective_now()?;
        if let Some(target) = self.wanted_horizon(retention, now)? {
            self.fold_snapshots(maker, Some(target))?;
        }
        let lists = self.good_lists(maker)?;
        let decision = self.decide(retention, now, &lists);
        let mut compacted =
            Compacted { horizon: self.horizon(), segments_removed: 0, bytes_freed: 0, snapshots_removed: 0 };
        if decision.horizon.lsn > compacted.horizon.lsn {
            self.move_horizon(decision.horizon, &lists, &mut compacted)?;
        }
        self.drop_snapshots(&decision.drop, &mut compacted);
        self.end_early(retention)?;
        Ok(compacted)
    }

    /// All lists that can be used, with every block of their runs read back.
    fn good_lists(&self, maker: &dyn SnapshotMaker) -> Result<Vec<(SnapshotList, Trust)>> {
        let medium = &**self.medium();
        let mut good = Vec::new();
        for position in list::positions(medium)? {
            let Ok(found) = list::read(medium, position) else { continue };
            let usable = maker.accepts(&found) && list::verify(medium, &found).is_ok();
            good.push((found, if usable { Trust::Verified } else { Trust::Unverified }));
        }
        Ok(good)
    }

    fn decide(
        &self,
        retention: &Retention,
        now: Timestamp,
        lists: &[(SnapshotList, Trust)],
    ) -> policy::Decision {
        let legs = self.history().legs();
        let pins: Vec<Position> = self.pins().iter().map(|pin| pin.position).collect();
        let held: Vec<Held> = self.with_summary(|summary| {
            let held = |(list, trust): &(SnapshotList, Trust)| {
                let elapsed = summary.elapsed(list.position.lsn, list.time, now);
                Held { position: list.position, time: now.minus(elapsed), trust: *trust }
            };
            lists.iter().map(held).collect()
        });
        let last_of = |index: usize| match legs.get(index + 1) {
            Some(next) => next.first_lsn.before(),
            None => Lsn::MAX,
        };
        let extent =
            |(index, leg): (usize, &Leg)| Extent { last: last_of(index), bytes: leg.segment.birth.capacity };
        let segments: Vec<Extent> = legs.iter().enumerate().map(extent).collect();
        policy::decide(&Facts {
            snapshots: &held,
            pins: &pins,
            segments: &segments,
            history: retention.history(),
            horizon: self.horizon(),
            now,
        })
    }

    /// First the proof that the tail stands on its own, then the root in both slots, then the files.
    fn move_horizon(
        &self,
        horizon: Position,
        lists: &[(SnapshotList, Trust)],
        compacted: &mut Compacted,
    ) -> Result<()> {
        let core = self.writer_core()?;
        if let Err(error) = core.sink().mark() {
            core.poison(error.clone());
            return Err(error);
        }
        let leg = self.history().leg_for(horizon.lsn.next());
        let leg = leg.ok_or_else(|| Error::new(ErrorKind::Absent, "no segment at the horizon"))?;
        let birth = leg.segment.birth;
        let time = lists.iter().find(|(list, _)| list.position == horizon).map(|(list, _)| list.time);
        {
            let mut root = self.inner.root.lock();
            for _copy in 0..2 {
                let time = time.unwrap_or_default().micros();
                let slot = root.slot.with_horizon(horizon, time, birth.number, birth.salt);
                if let Err(error) = root.write_slot(slot) {
                    core.poison(error.clone());
                    return Err(error);
                }
            }
        }
        compacted.horizon = horizon;
        let (medium, mut used_bytes) = (self.medium(), 0);
        for leg in self.history().drop_before(birth.number) {
            used_bytes += leg.end.unwrap_or_default();
            // What cannot be removed now is unused from here on and goes at the next opening.
            if medium.remove(&leg.segment.name).is_ok() {
                compacted.segments_removed += 1;
                compacted.bytes_freed += leg.segment.birth.capacity;
            }
        }
        core.sink().released(compacted.bytes_freed, used_bytes);
        core.sink().prune_summary(horizon.lsn);
        let _later = medium.sync_names();
        Ok(())
    }

    /// Removes snapshots that the policy lets go, and runs that nothing lists. Never an error: it is tried again.
    fn drop_snapshots(&self, positions: &[Position], compacted: &mut Compacted) {
        let medium = &**self.medium();
        for position in positions {
            if list::remove(medium, *position).is_ok() {
                compacted.snapshots_removed += 1;
            }
        }
        let lists: Result<Vec<SnapshotList>> = list::positions(medium).and_then(|positions| {
            positions.into_iter().map(|position| list::read(medium, position)).collect()
        });
        let Ok(unlisted) = lists.and_then(|lists| list::unlisted_runs(medium, &lists)) else { return };
        let horizon = self.horizon().lsn;
        let needed: Vec<u64> = self.with_summary(|summary| summary.rollback_runs(horizon).collect());
        for run in unlisted.into_iter().filter(|run| !needed.contains(run)) {
            let _later = medium.remove(&name::run(run));
        }
    }
}
