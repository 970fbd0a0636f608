//! A look beside a live writer, at every moment that the writer may move: what it shows is a prefix, and no refusal.

#![allow(clippy::expect_used, reason = "this is a test")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::forge::{Sheet, events, journal, open, options, slot};
use super::judge::{Verdict, judge};
use super::root::RootFile;
use super::{Retention, chain, replay};
use crate::error::{ErrorKind, Result};
use crate::medium::name::{self, ROOT};
use crate::medium::{Access, Lock, Medium, MediumFile, Presence, Sim};
use crate::position::Lsn;
use crate::segment::frame::FrameKind;

/// A medium that shows one image for so many reads and the next one from then on.
#[derive(Clone, Debug)]
struct Flicker {
    before: Arc<dyn Medium>,
    after: Arc<dyn Medium>,
    reads_left: Arc<AtomicU64>,
}

#[derive(Debug)]
struct FlickerFile {
    /// A handle keeps its file, also when the name is removed.
    before: Option<Arc<dyn MediumFile>>,
    after: Option<Arc<dyn MediumFile>>,
    reads_left: Arc<AtomicU64>,
}

fn count_down(reads_left: &AtomicU64) -> u64 {
    let step = |left: u64| Some(left.saturating_sub(1));
    reads_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, step).unwrap_or_default()
}

impl Flicker {
    fn new(before: &Sim, after: &Sim, reads: u64) -> Flicker {
        let reads_left = Arc::new(AtomicU64::new(reads));
        Flicker { before: Arc::new(before.clone()), after: Arc::new(after.clone()), reads_left }
    }

    fn now(&self) -> &dyn Medium {
        if count_down(&self.reads_left) > 0 { &*self.before } else { &*self.after }
    }
}

impl Medium for Flicker {
    fn label(&self) -> String {
        self.before.label()
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.now().names()
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn MediumFile>> {
        self.now().open(name, access)?;
        let (before, after) = (self.before.open(name, access).ok(), self.after.open(name, access).ok());
        Ok(Arc::new(FlickerFile { before, after, reads_left: Arc::clone(&self.reads_left) }))
    }

    fn create(&self, _name: &str) -> io::Result<Arc<dyn MediumFile>> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn remove(&self, _name: &str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }

    fn child(&self, name: &str, presence: Presence) -> io::Result<Arc<dyn Medium>> {
        self.before.child(name, presence)
    }

    fn lock(&self) -> io::Result<Box<dyn Lock>> {
        self.before.lock()
    }
}

impl MediumFile for FlickerFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let (now, other) = match count_down(&self.reads_left) {
            0 => (&self.after, &self.before),
            _ => (&self.before, &self.after),
        };
        let file = now.as_ref().or(other.as_ref());
        file.map_or(Ok(0), |file| file.read_at(buffer, offset))
    }

    fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let file = self.before.as_ref().or(self.after.as_ref());
        file.map_or(Ok(0), |file| file.len())
    }
}

/// One look, without the second one that an opening takes when the first was unlucky.
fn look_once(medium: &dyn Medium) -> Result<(Verdict, u64)> {
    let root = RootFile::open(medium.open(ROOT, Access::Read).expect("there"))?;
    let chain = chain::assemble(medium, Access::Read, root.identity.id, &root.slot, true)?;
    let replayed = replay::replay(&chain, &root.slot, super::Summary::default())?;
    assert_eq!(replayed.damage.map(|error| error.to_string()), None);
    Ok((judge(&replayed.evidence), replayed.records))
}

#[test]
fn frames_that_come_while_one_looks_are_not_a_hole() {
    let start = Sheet::new(1).event(1, 1).event(1, 2);
    let more = start.clone().event(1, 3).bare(FrameKind::Mark, 1, 3, 3);
    let closed = more.clone().bare(FrameKind::Seal, 1, 3, 3);
    for later in [more, closed] {
        let (before, after) = (journal(slot(1), std::slice::from_ref(&start)), journal(slot(1), &[later]));
        let mut shown = Vec::new();
        for reads in 0..20 {
            let (verdict, records) = look_once(&Flicker::new(&before, &after, reads)).expect("reads");
            assert!(!matches!(verdict, Verdict::Refuse(_)), "after {reads} reads: {verdict:?}");
            shown.push(records);
        }
        assert!(shown.iter().rev().is_sorted() && shown[0] == 3 && shown[19] == 2, "{shown:?}");
    }
}

#[test]
fn a_compaction_at_any_moment_of_a_look_costs_the_reader_nothing() {
    let sim = Sim::new(3);
    let writer = open(&sim).expect("opens");
    for lsn in 1..=60_u8 {
        writer.append([lsn; 900]).expect("appends");
    }
    let before = sim.kill();
    let compacted = writer.compact(&Retention::forever().bytes(32 * 1024)).expect("compacts");
    assert!(compacted.horizon.lsn > Lsn::ZERO);
    let after = sim.kill();
    assert!(after.bytes(&name::segment(1)).is_none(), "the first segment is gone");
    for reads in 0..150 {
        let flicker = Flicker::new(&before, &after, reads);
        let reader = options().read_only().open_on(Arc::new(flicker)).expect("opens");
        assert!(reader.position().lsn >= Lsn::new(59), "after {reads} reads: {}", reader.position());
    }
}

#[test]
fn a_segment_that_vanishes_under_the_writer_is_not_taken_for_an_unused_one() {
    let one = Sheet::new(1).event(1, 1);
    let (all, fewer) =
        (journal(slot(1), &[one.clone(), Sheet::new(2)]), journal(slot(1), std::slice::from_ref(&one)));
    let assemble =
        |access| chain::assemble(&Flicker::new(&all, &fewer, 1), access, super::forge::ID, &slot(1), true);
    assert_eq!(assemble(Access::Read).expect("a reader goes on").newest_number, 2);
    assert_eq!(assemble(Access::Write).expect_err("refused").kind(), &ErrorKind::Missing);
    let denied = journal(slot(1), &[one]);
    denied.deny(&name::segment(1));
    let refused = chain::assemble(&denied, Access::Read, super::forge::ID, &slot(1), true);
    assert_eq!(refused.expect_err("denied").kind(), &ErrorKind::Denied);
    assert_eq!(events(&open(&fewer).expect("opens")), [1]);
}
