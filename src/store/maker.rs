//! Snapshots of a store, made from the log as read back (J10): what changed since the last one becomes a run of its own,
//! merged with runs before it that are not much larger, so that there are few runs and little is written again.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::journal::Journal;
use crate::journal::compaction::SnapshotMaker;
use crate::position::{Lsn, Position};
use crate::segment::frame::FrameHeader;
use crate::snapshot::{RunInfo, SnapshotList};
use crate::store::base::Base;
use crate::store::document::Slot;
use crate::store::key::Key;
use crate::store::replay::{FOLD_REVISION, STATE_VERSION, Stamps, accepts, fold_frame, start};
use crate::store::tally::Recount;
use crate::store::version::Version;
use crate::store::walk::{Direction, Merge};

/// More runs than this are never listed.
const RUNS_MAX: usize = 8;
/// A run is merged with what comes on top of it when it is at most so many times as large.
const RATIO: u64 = 2;

/// Works with a maker, again if a snapshot to start from does not read back: it is only a short cut.
pub(crate) fn with_maker<T>(journal: &Journal, work: impl FnMut(&mut Maker) -> Result<T>) -> Result<T> {
    with_maker_without(journal, BTreeSet::new(), work)
}

/// The same, without the snapshots known to be bad.
pub(crate) fn with_maker_without<T>(
    journal: &Journal,
    bad: BTreeSet<Position>,
    mut work: impl FnMut(&mut Maker) -> Result<T>,
) -> Result<T> {
    let mut maker = Maker { bad, ..Maker::new(journal) };
    loop {
        match work(&mut maker) {
            Err(_) if maker.set_aside() => {}
            outcome => return outcome,
        }
    }
}

/// The same, but for snapshots whose runs are theirs alone: all of the state is written anew.
pub(crate) fn with_maker_afresh<T>(
    journal: &Journal,
    work: impl FnOnce(&mut Maker) -> Result<T>,
) -> Result<T> {
    work(&mut Maker { is_afresh: true, ..Maker::new(journal) })
}

/// Makes snapshots of a store.
pub(crate) struct Maker {
    journal: Journal,
    /// Shares no run with other snapshots.
    is_afresh: bool,
    horizon: Position,
    version: Version,
    stamps: Stamps,
    after: Lsn,
    /// The runs below the version, oldest first.
    runs: Vec<RunInfo>,
    /// Snapshots that did not read back.
    bad: BTreeSet<Position>,
    started: Option<Position>,
}

impl Maker {
    fn new(journal: &Journal) -> Maker {
        Maker {
            journal: journal.clone(),
            is_afresh: false,
            horizon: journal.horizon(),
            version: Version::default(),
            stamps: Stamps::default(),
            after: Lsn::ZERO,
            runs: Vec::new(),
            bad: BTreeSet::new(),
            started: None,
        }
    }

    /// After a failure: whether another attempt would start from another snapshot.
    fn set_aside(&mut self) -> bool {
        match self.started.take() {
            Some(position) if position.lsn > self.horizon.lsn => self.bad.insert(position),
            _ => false,
        }
    }

    /// Writes one run of `newer` over the listed runs from `first` on. What is removed is left out if nothing lies below, and
    /// what is there is counted, before the run can become part of a snapshot.
    fn write(&self, newer: impl Iterator<Item = (Key, Vec<u8>)>, first: usize) -> Result<RunInfo> {
        let mut writer = self.journal.run_writer()?;
        let older = Base::open(&self.journal, &self.runs[first..])?.walk(b"");
        let mut recount = (first == 0).then(Recount::default);
        for pair in Merge::new(Direction::Forwards, newer, older, Ok) {
            let (key, bytes) = pair?;
            if first > 0 || !Slot::is_gone(&bytes) {
                recount.iter_mut().try_for_each(|recount| recount.take(&key, &bytes))?;
                writer.push(&key, &bytes)?;
            }
        }
        recount.map_or(Ok(()), Recount::check)?;
        writer.finish()
    }
}

/// The first of the runs, oldest first, that are to be merged with `added` bytes on top of them.
fn first_to_merge(runs: &[u64], added: u64) -> usize {
    let (mut first, mut bytes) = (runs.len(), added);
    while first > 0 && (first >= RUNS_MAX || runs[first - 1] <= RATIO * bytes) {
        first -= 1;
        bytes += runs[first];
    }
    first
}

impl SnapshotMaker for Maker {
    fn accepts(&self, list: &SnapshotList) -> bool {
        accepts(list) && !self.bad.contains(&list.position)
    }

    fn start(&mut self, list: Option<&SnapshotList>) -> Result<()> {
        self.started = list.map(|list| list.position);
        self.after = list.map_or(Lsn::ZERO, |list| list.position.lsn);
        self.runs = list.map(|list| list.runs.clone()).unwrap_or_default();
        self.stamps = Stamps::default();
        self.version = start(&self.journal, list)?;
        Ok(())
    }

    fn frame(&mut self, header: &FrameHeader, body: &[u8]) -> Result<()> {
        let wanted = self.after..header.next_lsn();
        fold_frame(&mut self.version, &mut self.stamps, header, body, wanted, &mut |_, _, _| Ok(()))
    }

    fn runs(&mut self) -> Result<Vec<RunInfo>> {
        if self.is_afresh {
            let mut writer = self.journal.run_writer()?;
            self.version
                .whole()
                .try_for_each(|pair| pair.and_then(|(key, bytes)| writer.push(&key, &bytes)))?;
            return Ok(vec![writer.finish()?]);
        }
        if !self.version.has_delta() && !self.runs.is_empty() {
            return Ok(self.runs.clone());
        }
        let added = self.version.delta().map(|(key, bytes)| (key.len() + bytes.len()) as u64).sum();
        let sizes: Vec<u64> = self.runs.iter().map(|run| run.bytes).collect();
        let first = first_to_merge(&sizes, added);
        let run = self.write(self.version.delta(), first)?;
        self.runs.truncate(first);
        self.runs.push(run);
        // What follows goes on top of what was just written.
        let (position, time) = (self.version.position, self.version.time);
        let base = Base::open(&self.journal, &self.runs)?;
        self.version = Version::of_base(base.into(), position, time)?;
        Ok(self.runs.clone())
    }

    fn versions(&self) -> (u16, u32) {
        (STATE_VERSION, FOLD_REVISION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_stay_few_and_each_byte_is_written_again_only_as_often_as_the_store_doubles() {
        let (mut runs, mut written) = (Vec::new(), 0);
        for _ in 0..1000 {
            let first = first_to_merge(&runs, 10);
            let merged = 10 + runs[first..].iter().sum::<u64>();
            runs.truncate(first);
            runs.push(merged);
            written += merged;
            assert!(runs.len() <= RUNS_MAX, "{runs:?}");
        }
        assert_eq!(runs.iter().sum::<u64>(), 10_000);
        assert!(written < 10_000 * 12, "{written}");
    }

    #[cfg(feature = "sim")]
    #[test]
    fn a_merge_that_lost_a_document_an_entry_or_a_series_makes_no_snapshot() {
        use std::sync::Arc;

        use crate::error::ErrorKind;
        use crate::medium::Sim;
        use crate::path;
        use crate::state::Stamp;
        use crate::store::op::Op;
        use crate::store::value::Value;
        use crate::store::{Store, key};

        let store = Store::options().open_on(Arc::new(Sim::new(1))).expect("opens");
        let log = store.series::<u8>("notes.log");
        let fill = |tx: &mut crate::store::Tx<'_>| {
            (0..100).try_for_each(|number| tx.set(path!("notes", number), &number).map(drop))?;
            (0..3).try_for_each(|number| tx.push(&log, &number).map(drop))
        };
        store.transaction(fill).expect("fills");
        let (view, journal) = (store.view(), &store.order.journal);
        let version = view.version();
        let entry = version.range(&key::series("notes", "log")).nth(1).expect("an entry").expect("reads").0;
        let lost = [key::document("notes", "50"), entry, key::known("notes", "log")];
        for lost in lost.map(Some).into_iter().chain([None]) {
            let mut writer = journal.run_writer().expect("a run");
            for pair in version.whole() {
                let (key, bytes) = pair.expect("reads");
                if Some(&key) != lost.as_ref() {
                    writer.push(&key, &bytes).expect("takes it");
                }
            }
            let mut maker = Maker { runs: vec![writer.finish().expect("a run")], ..Maker::new(journal) };
            let base = Base::open(journal, &maker.runs).expect("opens").into();
            maker.version = Version::of_base(base, version.position, version.time).expect("reads");
            let value = Value::from("x".repeat(100_000).as_str());
            let stamp = Stamp::new(version.position, version.time);
            maker.version.apply(&Op::Set { path: path!("notes", "large"), value }, &stamp).expect("sets");
            let Some(lost) = lost else {
                assert_eq!(maker.runs().expect("nothing is lost").len(), 1);
                continue;
            };
            let error = maker.runs().expect_err("something is lost");
            assert_eq!(error.kind(), &ErrorKind::Damaged, "{lost:?}");
            assert!(error.what().contains("notes"), "{error}");
        }
    }

    #[test]
    fn a_small_change_leaves_large_runs_alone() {
        assert_eq!(first_to_merge(&[1_000_000, 1000], 10), 2);
        assert_eq!(first_to_merge(&[1_000_000, 15], 10), 1);
        assert_eq!(first_to_merge(&[1_000_000], 600_000), 0);
    }
}
