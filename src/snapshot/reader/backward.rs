//! A run read from its end to its start: block by block, each checked before it is used.

use std::ops::Range;

use crate::error::Result;
use crate::snapshot::block::pair_at;
use crate::snapshot::reader::{Block, Run};

/// A key and its value, as a run has them.
type Pair = (Vec<u8>, Vec<u8>);

/// Pairs of a run in descending order. After an error it stays at its end.
#[derive(Debug)]
pub(crate) struct RunRev {
    run: Run,
    /// Pairs at and above this are passed over.
    below: Option<Vec<u8>>,
    /// Blocks before this one are still to come.
    blocks_left: usize,
    block: Option<Block>,
    /// Where the pairs of the block stand that are still to come.
    pairs: Vec<Range<usize>>,
}

impl Run {
    /// The pairs below `key` in descending order; all of them without a key.
    pub(crate) fn rev_below(&self, key: Option<&[u8]>) -> RunRev {
        let blocks_left = match key {
            Some(key) => self.0.block_of(key).map_or(0, |block| block + 1),
            None => self.0.index.places.len(),
        };
        RunRev {
            run: self.clone(),
            below: key.map(<[u8]>::to_vec),
            blocks_left,
            block: None,
            pairs: Vec::new(),
        }
    }
}

impl RunRev {
    fn step(&mut self) -> Result<Option<Pair>> {
        loop {
            if let (Some(place), Some(block)) = (self.pairs.pop(), &self.block) {
                let read = pair_at(block.body(), place.start);
                let read = read.map_err(|what| self.run.0.damage(self.blocks_left, what))?;
                return Ok(read.map(|(pair, _)| (pair.key.to_vec(), pair.value.to_vec())));
            }
            let Some(number) = self.blocks_left.checked_sub(1) else { return Ok(None) };
            self.blocks_left = number;
            self.enter(number)?;
        }
    }

    /// Goes to the end of a block.
    fn enter(&mut self, number: usize) -> Result<()> {
        let block = self.run.0.block(number)?;
        let mut at = 0;
        while let Some((pair, end)) =
            pair_at(block.body(), at).map_err(|what| self.run.0.damage(number, what))?
        {
            if self.below.as_deref().is_some_and(|below| pair.key >= below) {
                break;
            }
            self.pairs.push(at..end);
            at = end;
        }
        self.below = None;
        self.block = Some(block);
        Ok(())
    }
}

impl Iterator for RunRev {
    type Item = Result<Pair>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.pairs.clear();
            self.blocks_left = 0;
        }
        step.transpose()
    }
}
