//! Overlays and runs in order of their keys as one: each key once, with what the newest says, forwards or backwards.

use std::cmp::Ordering;
use std::iter::Peekable;

use crate::error::Result;
use crate::store::key::Key;

/// A key and what stands under it, as runs have them.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// Where a walk starts and ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Direction {
    /// From the first key to the last.
    Forwards,
    /// From the last key to the first.
    Backwards,
}

impl Direction {
    /// Which of two keys comes first.
    fn order(self, left: &[u8], right: &[u8]) -> Ordering {
        match self {
            Direction::Forwards => left.cmp(right),
            Direction::Backwards => right.cmp(left),
        }
    }
}

/// What stands under a key.
pub(crate) trait Keyed {
    /// The key. An error has none: it is told before anything that may stand behind it.
    fn key(&self) -> Option<&[u8]>;
}

impl<S> Keyed for (Key, S) {
    fn key(&self) -> Option<&[u8]> {
        Some(&self.0)
    }
}

impl Keyed for Result<Pair> {
    fn key(&self) -> Option<&[u8]> {
        self.as_ref().ok().map(|(key, _)| key.as_slice())
    }
}

/// What several overlays, or several runs, say: of each key what the newest does.
pub(crate) struct Newest<I: Iterator> {
    direction: Direction,
    /// Newest first.
    sources: Vec<Peekable<I>>,
}

impl<I: Iterator> Newest<I> {
    /// Of sources that go the same way.
    pub(crate) fn of(direction: Direction, newest_first: impl Iterator<Item = I>) -> Newest<I> {
        Newest { direction, sources: newest_first.map(Iterator::peekable).collect() }
    }
}

impl<I: Iterator<Item: Keyed>> Iterator for Newest<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        let is_error = |source: &mut Peekable<I>| source.peek().is_some_and(|item| item.key().is_none());
        if let Some(place) = self.sources.iter_mut().position(is_error) {
            return self.sources[place].next();
        }
        let mut first: Option<(usize, &[u8])> = None;
        for (place, source) in self.sources.iter_mut().enumerate() {
            if let Some(key) = source.peek().and_then(Keyed::key)
                && first.is_none_or(|(_, first)| self.direction.order(key, first).is_lt())
            {
                first = Some((place, key));
            }
        }
        let place = first?.0;
        let found = self.sources[place].next()?;
        for source in &mut self.sources[place + 1..] {
            source.next_if(|older| older.key() == found.key());
        }
        Some(found)
    }
}

/// What overlays say over what runs say: of each key one.
pub(crate) struct Merge<O: Iterator, B: Iterator, S> {
    direction: Direction,
    newer: Peekable<O>,
    base: Peekable<B>,
    decode: fn(Vec<u8>) -> Result<S>,
}

impl<S, O, B> Merge<O, B, S>
where
    O: Iterator<Item = (Key, S)>,
    B: Iterator<Item = Result<Pair>>,
{
    /// Both go the same way; `decode` reads what the base has.
    pub(crate) fn new(
        direction: Direction,
        newer: O,
        base: B,
        decode: fn(Vec<u8>) -> Result<S>,
    ) -> Merge<O, B, S> {
        Merge { direction, newer: newer.peekable(), base: base.peekable(), decode }
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
            (Some((newer, _)), Some(Ok((older, _)))) => self.direction.order(newer, older),
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
        Some(pair.and_then(|(key, bytes)| Ok((Key::from(key), (self.decode)(bytes)?))))
    }
}
