//! The runs of a snapshot, newest first, as one sorted map; and the walk over it together with what is newer.

use std::cmp::Ordering;
use std::iter::Peekable;

use crate::error::Result;
use crate::journal::Journal;
use crate::snapshot::{Run, RunInfo, RunIter};
use crate::store::back::WalkBack;
use crate::store::document::Slot;
use crate::store::key::Key;

/// What lies on disk below a version. Shared by all versions since the snapshot was taken in.
#[derive(Debug, Default)]
pub(crate) struct Base {
    /// Newest first: what an earlier run says of a key is not to be seen.
    runs: Vec<Run>,
}

impl Base {
    /// Opens the runs of a list, which has the oldest first.
    pub(crate) fn open(journal: &Journal, infos: &[RunInfo]) -> Result<Base> {
        let runs = infos.iter().rev().map(|info| journal.open_run(info)).collect::<Result<_>>()?;
        Ok(Base { runs })
    }

    /// What the newest run that knows `key` says.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Slot>> {
        for run in &self.runs {
            if let Some(bytes) = run.get(key)? {
                return Slot::decode(&bytes).map(Some);
            }
        }
        Ok(None)
    }

    /// The bytes that the newest run has under `key`.
    pub(crate) fn bytes(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.runs.iter().find_map(|run| run.get(key).transpose()).transpose()
    }

    /// All pairs below `below` from the last to the first, removed ones included, still encoded.
    pub(crate) fn walk_back(&self, below: Option<&[u8]>) -> WalkBack {
        WalkBack::new(self.runs.iter().map(|run| run.rev_below(below)))
    }

    /// All pairs at and above `from`, removed ones included, still encoded.
    pub(crate) fn walk(&self, from: &[u8]) -> Walk {
        Walk { sources: self.runs.iter().map(|run| run.iter_from(from).peekable()).collect() }
    }
}

/// A key and what stands under it, as runs have them.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// Pairs of several runs in order; where two have the same key the newer counts.
pub(crate) struct Walk {
    sources: Vec<Peekable<RunIter>>,
}

impl Iterator for Walk {
    type Item = Result<Pair>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut least: Option<Vec<u8>> = None;
        for source in &mut self.sources {
            match source.peek() {
                Some(Ok((key, _))) if least.as_ref().is_none_or(|least| key < least) => {
                    least = Some(key.clone())
                }
                Some(Err(_)) => return source.next(),
                _ => {}
            }
        }
        let least = least?;
        let mut found = None;
        for source in &mut self.sources {
            if source.peek().is_some_and(|pair| pair.as_ref().is_ok_and(|(key, _)| *key == least)) {
                found = found.or(source.next());
            }
        }
        found
    }
}

/// What an overlay says over what a base says, in order, each key once.
pub(crate) struct Merge<O: Iterator, B: Iterator, S> {
    overlay: Peekable<O>,
    base: Peekable<B>,
    decode: fn(&[u8]) -> Result<S>,
}

impl<S, O, B> Merge<O, B, S>
where
    O: Iterator<Item = (Key, S)>,
    B: Iterator<Item = Result<Pair>>,
{
    /// `decode` reads what the base has.
    pub(crate) fn new(overlay: O, base: B, decode: fn(&[u8]) -> Result<S>) -> Merge<O, B, S> {
        Merge { overlay: overlay.peekable(), base: base.peekable(), decode }
    }
}

impl<S, O, B> Iterator for Merge<O, B, S>
where
    O: Iterator<Item = (Key, S)>,
    B: Iterator<Item = Result<Pair>>,
{
    type Item = Result<(Key, S)>;

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.overlay.peek(), self.base.peek()) {
            (Some((newer, _)), Some(Ok((older, _)))) => (**newer).cmp(older.as_slice()),
            (Some(_), None) => Ordering::Less,
            // Also an error, which is told before anything that may stand behind it.
            (_, _) => Ordering::Greater,
        };
        if order.is_le() {
            if order.is_eq() {
                self.base.next();
            }
            return self.overlay.next().map(Ok);
        }
        let pair = self.base.next()?;
        Some(pair.and_then(|(key, bytes)| Ok((Key::from(key), (self.decode)(&bytes)?))))
    }
}
