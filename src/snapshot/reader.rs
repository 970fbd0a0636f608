//! The reader of a run: pairs by key or in order, each block checked before anything of it is used.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};
use crate::medium::{Access, Mapped, Medium, MediumFile, name, read_most, read_range};
use crate::snapshot::block::{BLOCK_HEADER_BYTES, Identity, OWN_RUN_AT, check_block, pair_at};
use crate::snapshot::header::{HEADER_BYTES, RUN, u64_at};
use crate::snapshot::index::{
    FOOTER_BYTES, Footer, INDEX_HEADER_BYTES, Place, RunInfo, fingerprint, read_index,
};

mod backward;

pub(crate) use backward::RunRev;

/// How the blocks of a run are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Through a map where the medium has one: a block is hashed at its first touch only.
    Mapped,
    /// By reads: a block is hashed each time.
    Read,
}

/// An open run. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Run(Arc<Inner>);

struct Inner {
    file: Arc<dyn MediumFile>,
    name: String,
    identity: Identity,
    info: RunInfo,
    index: Index,
    map: Option<Mapped>,
    /// One bit for each block: it was checked in `map`, whose bytes do not change. A bit says nothing about other
    /// memory, so relaxed is enough; decoders stay total all the same (J13).
    checked: Vec<AtomicU64>,
}

struct Index {
    bytes: Vec<u8>,
    places: Vec<Place>,
}

impl Run {
    /// Opens the run that `info` describes. Checks header, footer and index, and that they are those of `info`; blocks
    /// are checked when they are touched.
    pub(crate) fn open(
        medium: &dyn Medium,
        info: &RunInfo,
        journal_id: [u8; 16],
        reading: Reading,
    ) -> Result<Run> {
        let name = name::run(info.id);
        let file = medium.open(&name, Access::Read).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::damaged(&name, 0, "a listed run is missing"),
            _ => Error::io("open", &name, error),
        })?;
        let identity = Identity { journal_id, run: info.id };
        let index = read_frame(&*file, &name, info, identity)?;
        let map = match reading {
            Reading::Mapped => file.map().filter(|map| map.as_ref().len() as u64 == info.bytes),
            Reading::Read => None,
        };
        let words = if map.is_some() { index.places.len().div_ceil(64) } else { 0 };
        let checked = std::iter::repeat_with(|| AtomicU64::new(0)).take(words).collect();
        Ok(Run(Arc::new(Inner { file, name, identity, info: *info, index, map, checked })))
    }

    /// What the list says of this run.
    pub(crate) fn info(&self) -> &RunInfo {
        &self.0.info
    }

    /// The value of `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(number) = self.0.block_of(key) else { return Ok(None) };
        let block = self.0.block(number)?;
        let mut at = 0;
        while let Some((pair, end)) = pair_at(block.body(), at).map_err(|what| self.0.damage(number, what))? {
            if pair.key >= key {
                return Ok((pair.key == key).then(|| pair.value.to_vec()));
            }
            at = end;
        }
        Ok(None)
    }

    /// All pairs in order.
    pub(crate) fn iter(&self) -> RunIter {
        RunIter { run: self.clone(), from: None, next_block: 0, block: None, at: 0 }
    }

    /// The pairs at and above `key`, in order.
    pub(crate) fn iter_from(&self, key: &[u8]) -> RunIter {
        let next_block = self.0.block_of(key).unwrap_or(0);
        RunIter { run: self.clone(), from: Some(key.to_vec()), next_block, block: None, at: 0 }
    }

    /// Reads the whole file anew, around the cache where that is possible, and checks every block (J9).
    pub(crate) fn verify(&self) -> Result<()> {
        let inner = &*self.0;
        inner.file.drop_cache(0..u64::MAX);
        read_frame(&*inner.file, &inner.name, &inner.info, inner.identity)?;
        let mut entries = 0;
        for number in 0..inner.index.places.len() {
            entries += inner.check(number, &inner.read_block(number)?)?;
        }
        if entries != inner.info.entries {
            let what = format!("run holds {entries} pairs, its footer says {}", inner.info.entries);
            return Err(Error::damaged(&inner.name, inner.info.bytes - FOOTER_BYTES as u64, what));
        }
        Ok(())
    }
}

/// Pairs of a run in ascending order. After an error it stays at its end.
#[derive(Debug)]
pub(crate) struct RunIter {
    run: Run,
    /// Pairs below this are passed over.
    from: Option<Vec<u8>>,
    next_block: usize,
    block: Option<Block>,
    at: usize,
}

impl Iterator for RunIter {
    type Item = Result<(Vec<u8>, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.block = None;
            self.next_block = usize::MAX;
        }
        step.transpose()
    }
}

impl RunIter {
    fn step(&mut self) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let inner = &*self.run.0;
        loop {
            if self.block.is_none() {
                if self.next_block >= inner.index.places.len() {
                    return Ok(None);
                }
                self.block = Some(inner.block(self.next_block)?);
                self.next_block += 1;
                self.at = 0;
            }
            let Some(block) = &self.block else { return Ok(None) };
            let read = pair_at(block.body(), self.at);
            match read.map_err(|what| inner.damage(self.next_block - 1, what))? {
                None => self.block = None,
                Some((pair, end)) => {
                    self.at = end;
                    if self.from.as_deref().is_none_or(|from| pair.key >= from) {
                        let owned = (pair.key.to_vec(), pair.value.to_vec());
                        self.from = None;
                        return Ok(Some(owned));
                    }
                }
            }
        }
    }
}

impl Inner {
    fn first_key(&self, number: usize) -> Option<&[u8]> {
        self.index.places.get(number).and_then(|place| self.index.bytes.get(place.key.clone()))
    }

    /// The only block that can hold `key`.
    fn block_of(&self, key: &[u8]) -> Option<usize> {
        let places = &self.index.places;
        places.partition_point(|place| &self.index.bytes[place.key.clone()] <= key).checked_sub(1)
    }

    fn block(&self, number: usize) -> Result<Block> {
        let Some(map) = &self.map else {
            let bytes = self.read_block(number)?;
            self.check(number, &bytes)?;
            return Ok(Block::Owned(bytes));
        };
        let range =
            self.place_range(number).ok_or_else(|| self.damage(number, "block is not in the file"))?;
        let block = Block::Mapped(map.clone(), range);
        let (word, bit) = (&self.checked[number / 64], 1 << (number % 64));
        if word.load(Ordering::Relaxed) & bit == 0 {
            self.check(number, block.bytes())?;
            word.fetch_or(bit, Ordering::Relaxed);
        }
        Ok(block)
    }

    fn place_range(&self, number: usize) -> Option<Range<usize>> {
        let place = &self.index.places[number];
        let start = usize::try_from(place.offset).ok()?;
        Some(start..start.checked_add(place.bytes as usize)?)
    }

    fn read_block(&self, number: usize) -> Result<Vec<u8>> {
        let place = &self.index.places[number];
        let mut bytes = vec![0; place.bytes as usize];
        let count = read_most(&*self.file, &self.name, &mut bytes, place.offset)?;
        if count < bytes.len() {
            return Err(self.damage(number, "file ends inside the block"));
        }
        Ok(bytes)
    }

    /// Checks everything about a block; returns how many pairs it holds.
    fn check(&self, number: usize, bytes: &[u8]) -> Result<u64> {
        let place = &self.index.places[number];
        let first = self.first_key(number).unwrap_or_default();
        check_block(bytes, self.identity, place.offset, place.checksum, first, self.first_key(number + 1))
            .map_err(|what| self.damage(number, what))
    }

    fn damage(&self, number: usize, what: &str) -> Error {
        let from = readable(self.first_key(number).unwrap_or_default());
        let what = match self.first_key(number + 1) {
            Some(next) => format!("{what}; lost are the keys from {from} to before {}", readable(next)),
            None => format!("{what}; lost are the keys from {from} to the last"),
        };
        let offset = self.index.places.get(number).map_or(0, |place| place.offset);
        Error::damaged(&self.name, offset, what)
    }
}

/// A key for people: escaped, and cut when it is long.
fn readable(key: &[u8]) -> String {
    const SHOWN_BYTES: usize = 64;
    let dots = if key.len() > SHOWN_BYTES { ".." } else { "" };
    format!("\"{}\"{dots}", key[..key.len().min(SHOWN_BYTES)].escape_ascii())
}

/// Reads and checks all but the blocks: header, footer, index, and that they are those of `info`.
fn read_frame(file: &dyn MediumFile, name: &str, info: &RunInfo, identity: Identity) -> Result<Index> {
    let bytes = file.len().map_err(|error| Error::io("stat", name, error))?;
    let header = RUN.decode(name, &read_range(file, name, 0, HEADER_BYTES as u64)?)?;
    if header.journal_id != identity.journal_id {
        return Err(Error::damaged(name, 0, "run belongs to another journal"));
    }
    if u64_at(&header.own, OWN_RUN_AT) != Some(identity.run) {
        return Err(Error::damaged(name, 0, "run id is not that of the file's name"));
    }
    let footer_bytes = FOOTER_BYTES as u64;
    if bytes != info.bytes || bytes < HEADER_BYTES as u64 + INDEX_HEADER_BYTES as u64 + footer_bytes {
        let what = format!("run has {bytes} bytes, its list says {}", info.bytes);
        return Err(Error::damaged(name, bytes.min(info.bytes), what));
    }
    let footer_at = bytes - footer_bytes;
    let footer = read_range(file, name, footer_at, footer_bytes)?;
    let footer =
        Footer::decode(&footer, identity, footer_at).map_err(|what| Error::damaged(name, footer_at, what))?;
    if footer.info != *info {
        return Err(Error::damaged(name, footer_at, "run is not the one that its list names"));
    }
    if footer.index_offset.checked_add(footer.index_bytes) != Some(footer_at) {
        return Err(Error::damaged(name, footer_at, "footer names an index that cannot be there"));
    }
    let index = read_range(file, name, footer.index_offset, footer.index_bytes)?;
    let damage = |what| Error::damaged(name, footer.index_offset, what);
    let places = read_index(&index, identity, HEADER_BYTES as u64, footer.index_offset).map_err(damage)?;
    if places.len() as u64 != info.blocks
        || fingerprint(places.iter().map(|place| place.checksum)) != info.checksum
    {
        return Err(damage("index is not the one that the footer names"));
    }
    Ok(Index { bytes: index, places })
}

/// The bytes of one block, checked.
enum Block {
    Owned(Vec<u8>),
    Mapped(Mapped, Range<usize>),
}

impl Block {
    fn bytes(&self) -> &[u8] {
        match self {
            Block::Owned(bytes) => bytes,
            Block::Mapped(map, range) => map.as_ref().get(range.clone()).unwrap_or_default(),
        }
    }

    fn body(&self) -> &[u8] {
        self.bytes().get(BLOCK_HEADER_BYTES..).unwrap_or_default()
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({} bytes)", self.bytes().len())
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.name, self.info)
    }
}
