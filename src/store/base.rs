//! The runs of a snapshot, newest first, as one sorted map; and the walk over it together with what is newer.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::sync::Arc;

use crate::error::Result;
use crate::journal::Journal;
use crate::snapshot::{Run, RunInfo, RunIter};
use crate::store::back::WalkBack;
use crate::store::cache::Cache;
use crate::store::document::{Document, Slot};
use crate::store::key::Key;

/// What lies on disk below a version. Shared by all versions since the snapshot was taken in.
#[derive(Debug, Default)]
pub(crate) struct Base {
    /// Newest first: what an earlier run says of a key is not to be seen.
    runs: Vec<Run>,
    /// Documents that were read lately.
    cache: Cache,
}

impl Base {
    /// Opens the runs of a list, which has the oldest first.
    pub(crate) fn open(journal: &Journal, infos: &[RunInfo]) -> Result<Base> {
        let runs = infos.iter().rev().map(|info| journal.open_run(info)).collect::<Result<_>>()?;
        Ok(Base { runs, cache: Cache::default() })
    }

    /// The document under `key`, if there is one.
    pub(crate) fn document(&self, key: &[u8]) -> Result<Option<Arc<Document>>> {
        if self.runs.is_empty() {
            return Ok(None);
        }
        if let Some(known) = self.cache.get(key) {
            return Ok(Some(known));
        }
        let Some(bytes) = self.bytes(key)? else { return Ok(None) };
        let document = Slot::decode(&bytes)?.document();
        if let Some(document) = &document {
            self.cache.put(key.into(), Arc::clone(document));
        }
        Ok(document)
    }

    /// Remembers documents that a run just written has, and those that were known below it and are not changed by it.
    /// `newer` has the newest first.
    pub(crate) fn warm<'a>(&self, below: &Base, newer: impl Iterator<Item = (&'a Key, &'a Slot)>) {
        self.cache.take_from(&below.cache, newer.map(|(key, slot)| (Arc::clone(key), slot.document())));
    }

    /// The bytes that the newest run has under `key`.
    pub(crate) fn bytes(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.runs.iter().find_map(|run| run.get(key).transpose()).transpose()
    }

    /// The runs that `other` does not have.
    pub(crate) fn runs_beyond<'a>(&'a self, other: &'a Base) -> impl Iterator<Item = &'a Run> {
        self.runs.iter().filter(|run| other.runs.iter().all(|known| known.info() != run.info()))
    }

    /// All pairs below `below` from the last to the first, removed ones included, still encoded.
    pub(crate) fn walk_back(&self, below: Option<&[u8]>) -> WalkBack {
        WalkBack::new(self.runs.iter().map(|run| run.rev_below(below)))
    }

    /// All pairs at and above `from`, removed ones included, still encoded.
    pub(crate) fn walk(&self, from: &[u8]) -> Walk {
        Walk::over(&self.runs, from)
    }
}

/// A key and what stands under it, as runs have them.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// Pairs of several runs in order; where two have the same key the newer counts.
pub(crate) struct Walk {
    sources: Vec<Peekable<RunIter>>,
}

impl Walk {
    /// Over `runs`, newest first, at and above `from`.
    pub(crate) fn over(runs: &[Run], from: &[u8]) -> Walk {
        Walk { sources: runs.iter().map(|run| run.iter_from(from).peekable()).collect() }
    }
}

impl Iterator for Walk {
    type Item = Result<Pair>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut least: Option<(usize, &[u8])> = None;
        for place in 0..self.sources.len() {
            if self.sources[place].peek().is_some_and(|pair| pair.is_err()) {
                return self.sources[place].next();
            }
        }
        for (place, source) in self.sources.iter_mut().enumerate() {
            if let Some(Ok((key, _))) = source.peek()
                && least.is_none_or(|(_, least)| key.as_slice() < least)
            {
                least = Some((place, key));
            }
        }
        let place = least?.0;
        let found = self.sources[place].next()?;
        if let Ok((key, _)) = &found {
            for source in &mut self.sources[place + 1..] {
                source.next_if(|pair| pair.as_ref().is_ok_and(|(other, _)| other == key));
            }
        }
        Some(found)
    }
}

/// What several overlays say, in order; where two have the same key the newer counts.
pub(crate) struct Newest<O: Iterator> {
    /// Newest first.
    sources: Vec<Peekable<O>>,
}

impl<S, O: Iterator<Item = (Key, S)>> Newest<O> {
    pub(crate) fn of(overlays: Vec<O>) -> Newest<O> {
        Newest { sources: overlays.into_iter().map(Iterator::peekable).collect() }
    }
}

impl<S, O: Iterator<Item = (Key, S)>> Iterator for Newest<O> {
    type Item = (Key, S);

    fn next(&mut self) -> Option<(Key, S)> {
        let mut least: Option<(usize, &Key)> = None;
        for (place, source) in self.sources.iter_mut().enumerate() {
            if let Some((key, _)) = source.peek()
                && least.is_none_or(|(_, least)| key < least)
            {
                least = Some((place, key));
            }
        }
        let place = least?.0;
        let found = self.sources[place].next()?;
        for source in &mut self.sources[place + 1..] {
            source.next_if(|(other, _)| *other == found.0);
        }
        Some(found)
    }
}

/// The keys of overlays and of runs in order, each once.
pub(crate) struct Keys<O: Iterator> {
    pub(crate) newer: Peekable<O>,
    pub(crate) runs: Peekable<Walk>,
}

impl<O: Iterator<Item = (Key, Slot)>> Iterator for Keys<O> {
    type Item = Result<Key>;

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.newer.peek(), self.runs.peek()) {
            (Some((newer, _)), Some(Ok((older, _)))) => (**newer).cmp(older.as_slice()),
            (Some(_), None) => Ordering::Less,
            (_, _) => Ordering::Greater,
        };
        if order.is_le() {
            if order.is_eq() {
                self.runs.next();
            }
            return self.newer.next().map(|(key, _)| Ok(key));
        }
        Some(self.runs.next()?.map(|(key, _)| Key::from(key)))
    }
}

/// What overlays say over what a base says, in order, each key once.
pub(crate) struct Merge<O: Iterator, B: Iterator, S> {
    newer: Peekable<O>,
    base: Peekable<B>,
    decode: fn(&[u8]) -> Result<S>,
}

impl<S, O, B> Merge<O, B, S>
where
    O: Iterator<Item = (Key, S)>,
    B: Iterator<Item = Result<Pair>>,
{
    /// `decode` reads what the base has.
    pub(crate) fn new(newer: O, base: B, decode: fn(&[u8]) -> Result<S>) -> Merge<O, B, S> {
        Merge { newer: newer.peekable(), base: base.peekable(), decode }
    }
}

impl<S, O, B> Iterator for Merge<O, B, S>
where
    O: Iterator<Item = (Key, S)>,
    B: Iterator<Item = Result<Pair>>,
{
    type Item = Result<(Key, S)>;

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.newer.peek(), self.base.peek()) {
            (Some((newer, _)), Some(Ok((older, _)))) => (**newer).cmp(older.as_slice()),
            (Some(_), None) => Ordering::Less,
            // Also an error, which is told before anything that may stand behind it.
            (_, _) => Ordering::Greater,
        };
        if order.is_le() {
            if order.is_eq() {
                self.base.next();
            }
            return self.newer.next().map(Ok);
        }
        let pair = self.base.next()?;
        Some(pair.and_then(|(key, bytes)| Ok((Key::from(key), (self.decode)(&bytes)?))))
    }
}
