//! One simulated file: what reads see, what a power cut leaves, and what lies between them.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use crate::medium::sim::image::{Image, PAGE};
use crate::medium::sim::random::Random;

/// A file. The durable image with all unsynced writes on top equals the cached image, except in ghost pages.
#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    /// What reads see.
    pub(crate) cached: Image,
    /// What a power cut leaves.
    pub(crate) durable: Image,
    /// Writes not covered by a sync yet, oldest first.
    pub(crate) unsynced: Vec<Write>,
    /// Pages that the next sync writes, whole.
    dirty: BTreeSet<u64>,
    /// Pages that a failed sync took for clean: cached, not durable, and skipped by later syncs.
    ghosts: BTreeSet<u64>,
}

/// Bytes that may or may not survive a power cut.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    /// The place in the order of everything that happened on the device.
    pub(crate) time: u64,
    pub(crate) offset: u64,
    pub(crate) bytes: Arc<[u8]>,
}

/// How much of a failed sync reached the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Nothing,
    Some,
}

impl File {
    /// A file after a boot: nothing cached that is not durable.
    pub(crate) fn at_rest(durable: Image) -> File {
        File { cached: durable.clone(), durable, ..File::default() }
    }

    pub(crate) fn write(&mut self, bytes: &[u8], offset: u64, time: u64) {
        if bytes.is_empty() {
            return;
        }
        self.cached.write(bytes, offset);
        let (mut start, mut end) = (offset, offset + bytes.len() as u64);
        let (first, last) = (start / PAGE, (end - 1) / PAGE);
        // Pages are written back whole: a write into a ghost page carries the ghost with it.
        if self.ghosts.contains(&first) {
            start = first * PAGE;
        }
        if self.ghosts.contains(&last) {
            end = ((last + 1) * PAGE).min(self.cached.len());
        }
        for index in first..=last {
            self.ghosts.remove(&index);
            self.dirty.insert(index);
        }
        self.unsynced.push(Write { time, offset: start, bytes: self.cached.range(start, end).into() });
    }

    pub(crate) fn sync(&mut self) {
        self.durable.grow(self.cached.len());
        for index in std::mem::take(&mut self.dirty) {
            self.durable.take_page(index, &self.cached);
        }
        self.unsynced.clear();
    }

    /// A sync that reports an error: its pages count as clean from now on, whether or not they reached the device.
    pub(crate) fn sync_failing(&mut self, reach: Reach, random: &mut Random) {
        if reach == Reach::Some && random.coin() {
            self.durable.grow(self.cached.len());
        }
        for index in std::mem::take(&mut self.dirty) {
            if reach == Reach::Some && random.coin() {
                self.durable.grow(self.cached.len().min((index + 1) * PAGE));
                self.durable.take_page(index, &self.cached);
            } else {
                self.ghosts.insert(index);
            }
        }
        self.unsynced.clear();
    }

    /// Forgets clean pages that hold any of `bytes`: ghosts give way to what the device has. The length is kept in
    /// memory and stays.
    pub(crate) fn drop_cache(&mut self, bytes: Range<u64>) {
        let pages = bytes.start / PAGE..bytes.end.div_ceil(PAGE);
        let (forgotten, kept) =
            std::mem::take(&mut self.ghosts).into_iter().partition(|page| pages.contains(page));
        self.ghosts = kept;
        let forgotten: BTreeSet<u64> = forgotten;
        for index in forgotten {
            self.cached.take_page(index, &self.durable);
        }
    }

    /// Changes what lies on the device and what is cached of it.
    pub(crate) fn damage(&mut self, mut change: impl FnMut(&mut Image)) {
        change(&mut self.cached);
        change(&mut self.durable);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(file: &File) -> Image {
        let mut image = file.durable.clone();
        for write in &file.unsynced {
            image.write(&write.bytes, write.offset);
        }
        image
    }

    #[test]
    fn durable_bytes_and_all_unsynced_writes_are_what_a_sync_would_leave() {
        let mut random = Random::new(5);
        let mut file = File::default();
        for time in 0..400 {
            let bytes = vec![time as u8; 1 + random.index(6_000)];
            file.write(&bytes, random.below(20_000), time);
            match random.below(8) {
                0 => file.sync(),
                1 => file.sync_failing(Reach::Some, &mut random),
                2 => file.drop_cache(0..u64::MAX),
                _ => {}
            }
            let mut expected = file.clone();
            expected.sync();
            let mut found = applied(&file);
            found.grow(file.cached.len());
            assert_eq!(found.digest(), expected.durable.digest(), "after write {time}");
        }
    }

    #[test]
    fn without_failures_nothing_differs_after_a_sync() {
        let mut random = Random::new(6);
        let mut file = File::default();
        for time in 0..100 {
            file.write(&vec![time as u8; 1 + random.index(6_000)], random.below(20_000), time);
        }
        assert_eq!(applied(&file).digest(), file.cached.digest());
        file.sync();
        assert_eq!(file.durable.digest(), file.cached.digest());
    }
}
