//! A version read backwards: the runs of its base and its overlay as one sorted map, from the last key to the first.

use std::iter::Peekable;

use crate::error::Result;
use crate::snapshot::RunRev;
use crate::store::base::Pair;
use crate::store::document::Slot;
use crate::store::key::Key;

/// Pairs of several runs in descending order; where two have the same key the newer counts.
pub(crate) struct WalkBack {
    /// Newest first.
    sources: Vec<Peekable<RunRev>>,
}

impl WalkBack {
    pub(crate) fn new(newest_first: impl Iterator<Item = RunRev>) -> WalkBack {
        WalkBack { sources: newest_first.map(Iterator::peekable).collect() }
    }
}

impl Iterator for WalkBack {
    type Item = Result<Pair>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut greatest: Option<Vec<u8>> = None;
        for source in &mut self.sources {
            match source.peek() {
                Some(Ok((key, _))) if greatest.as_ref().is_none_or(|greatest| key > greatest) => {
                    greatest = Some(key.clone());
                }
                Some(Err(_)) => return source.next(),
                _ => {}
            }
        }
        let greatest = greatest?;
        let mut found = None;
        for source in &mut self.sources {
            if source.peek().is_some_and(|pair| pair.as_ref().is_ok_and(|(key, _)| *key == greatest)) {
                found = found.or(source.next());
            }
        }
        found
    }
}

/// Slots of several overlays in descending order; where two have the same key the newer counts.
pub(crate) struct NewestBack<O: Iterator> {
    /// Newest first.
    sources: Vec<Peekable<O>>,
}

impl<O: Iterator<Item = (Key, Slot)>> NewestBack<O> {
    pub(crate) fn of(overlays: Vec<O>) -> NewestBack<O> {
        NewestBack { sources: overlays.into_iter().map(Iterator::peekable).collect() }
    }
}

impl<O: Iterator<Item = (Key, Slot)>> Iterator for NewestBack<O> {
    type Item = (Key, Slot);

    fn next(&mut self) -> Option<(Key, Slot)> {
        let mut greatest: Option<(usize, &Key)> = None;
        for (place, source) in self.sources.iter_mut().enumerate() {
            if let Some((key, _)) = source.peek()
                && greatest.is_none_or(|(_, greatest)| key > greatest)
            {
                greatest = Some((place, key));
            }
        }
        let place = greatest?.0;
        let found = self.sources[place].next()?;
        for source in &mut self.sources[place + 1..] {
            source.next_if(|(other, _)| *other == found.0);
        }
        Some(found)
    }
}

/// Slots of an overlay over those of a base, in descending order, each key once.
pub(crate) struct MergeBack<O: Iterator, B: Iterator> {
    overlay: Peekable<O>,
    base: Peekable<B>,
}

impl<O, B> MergeBack<O, B>
where
    O: Iterator<Item = (Key, Slot)>,
    B: Iterator<Item = Result<Pair>>,
{
    pub(crate) fn new(overlay: O, base: B) -> MergeBack<O, B> {
        MergeBack { overlay: overlay.peekable(), base: base.peekable() }
    }
}

impl<O, B> Iterator for MergeBack<O, B>
where
    O: Iterator<Item = (Key, Slot)>,
    B: Iterator<Item = Result<Pair>>,
{
    type Item = Result<(Key, Slot)>;

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.overlay.peek(), self.base.peek()) {
            (Some((newer, _)), Some(Ok((older, _)))) => (**newer).cmp(older.as_slice()).reverse(),
            (Some(_), None) => std::cmp::Ordering::Less,
            // Also an error, which is told before anything that may stand behind it.
            (_, _) => std::cmp::Ordering::Greater,
        };
        if order.is_le() {
            if order.is_eq() {
                self.base.next();
            }
            return self.overlay.next().map(Ok);
        }
        let pair = self.base.next()?;
        Some(pair.and_then(|(key, bytes)| Ok((Key::from(key), Slot::decode(&bytes)?))))
    }
}
