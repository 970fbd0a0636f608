//! The writer of a run: pairs in ascending order, written once from front to back.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::medium::{Medium, MediumFile, name, write_all};
use crate::snapshot::block::{
    BLOCK_HEADER_BYTES, BODY_BYTES_AIM, Identity, KEY_BYTES_MAX, OWN_RUN_AT, PAIR_HEADER_BYTES,
    VALUE_BYTES_MAX, push_pair, seal_block,
};
use crate::snapshot::header::{HEADER_BYTES, Header, OWN_BYTES, RUN, put};
use crate::snapshot::index::{FOOTER_BYTES, Footer, INDEX_HEADER_BYTES, RunInfo, push_place, seal_index};

/// Bytes gathered for one write.
const WRITE_BYTES: usize = 256 * 1024;
/// Bytes after which a sync is made early, so that the last one is short and does not stall those of the log.
const SYNC_BYTES: u64 = 8 * 1024 * 1024;

/// Writes one run. Dropping it unfinished removes the file, as well as that can be done.
#[derive(Debug)]
pub(crate) struct RunWriter {
    medium: Arc<dyn Medium>,
    file: Arc<dyn MediumFile>,
    name: String,
    identity: Identity,
    /// Bytes that follow those already in the file.
    buffer: Vec<u8>,
    written_bytes: u64,
    synced_bytes: u64,
    /// The open block, with space for its header in front.
    block: Vec<u8>,
    block_pairs: u32,
    block_first: Vec<u8>,
    body_bytes_aim: usize,
    index: Vec<u8>,
    blocks: u64,
    entries: u64,
    fingerprint: crc32fast::Hasher,
    last_key: Option<Vec<u8>>,
    /// The first failure of the medium; it is the answer to every later call (J5).
    failed: Option<Error>,
    finished: bool,
}

impl RunWriter {
    /// Starts run `id`, whose file must not be there.
    pub(crate) fn create(medium: &Arc<dyn Medium>, id: u64, journal_id: [u8; 16]) -> Result<RunWriter> {
        let name = name::run(id);
        let file = medium.create(&name).map_err(|error| Error::io("create", &name, error))?;
        let mut own = [0; OWN_BYTES];
        put(&mut own, OWN_RUN_AT, &id.to_le_bytes());
        Ok(RunWriter {
            medium: Arc::clone(medium),
            file,
            name,
            identity: Identity { journal_id, run: id },
            buffer: RUN.encode(&Header { journal_id, own }).to_vec(),
            written_bytes: 0,
            synced_bytes: 0,
            block: vec![0; BLOCK_HEADER_BYTES],
            block_pairs: 0,
            block_first: Vec::new(),
            body_bytes_aim: BODY_BYTES_AIM,
            index: vec![0; INDEX_HEADER_BYTES],
            blocks: 0,
            entries: 0,
            fingerprint: crc32fast::Hasher::new(),
            last_key: None,
            failed: None,
            finished: false,
        })
    }

    /// Adds a pair; its key must be above all before it. A refused pair changes nothing.
    pub(crate) fn push(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.check(key, value)?;
        let body_bytes = self.block.len() - BLOCK_HEADER_BYTES;
        if self.block_pairs > 0
            && body_bytes + PAIR_HEADER_BYTES + key.len() + value.len() > self.body_bytes_aim
        {
            self.close_block()?;
        }
        if self.block_pairs == 0 {
            self.block_first = key.to_vec();
        }
        push_pair(&mut self.block, key, value);
        self.block_pairs += 1;
        self.entries += 1;
        let last = self.last_key.get_or_insert_default();
        last.clear();
        last.extend_from_slice(key);
        Ok(())
    }

    /// Writes what is left and syncs the file. Its name is made durable by whoever lists it.
    pub(crate) fn finish(mut self) -> Result<RunInfo> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.block_pairs > 0 {
            self.close_block()?;
        }
        let index_offset = self.offset();
        let mut index = std::mem::take(&mut self.index);
        seal_index(&mut index, self.identity, index_offset);
        let index_bytes = index.len() as u64;
        let info = RunInfo {
            id: self.identity.run,
            bytes: index_offset + index_bytes + FOOTER_BYTES as u64,
            blocks: self.blocks,
            entries: self.entries,
            checksum: self.fingerprint.clone().finalize(),
        };
        self.put(&index)?;
        self.put(&Footer { index_offset, index_bytes, info }.encode(self.identity))?;
        self.write_out()?;
        self.sync()?;
        self.finished = true;
        Ok(info)
    }

    /// Makes blocks small, so that a test with few bytes has many.
    #[cfg(test)]
    pub(crate) fn with_body_bytes_aim(mut self, bytes: usize) -> RunWriter {
        self.body_bytes_aim = bytes;
        self
    }

    fn check(&self, key: &[u8], value: &[u8]) -> Result<()> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        for (noun, actual, max) in
            [("key", key.len(), KEY_BYTES_MAX), ("value", value.len(), VALUE_BYTES_MAX)]
        {
            if actual > max {
                let kind = ErrorKind::TooLarge { actual: actual as u64, max: max as u64 };
                let what = format!("{noun} of {actual} bytes is over the limit of {max}");
                return Err(Error::new(kind, what).in_file(&self.name));
            }
        }
        if self.last_key.as_deref().is_some_and(|last| last >= key) {
            let what = "keys of a run must ascend, each above the one before";
            return Err(Error::new(ErrorKind::Input, what).in_file(&self.name));
        }
        Ok(())
    }

    fn offset(&self) -> u64 {
        self.written_bytes + self.buffer.len() as u64
    }

    fn close_block(&mut self) -> Result<()> {
        let offset = self.offset();
        let mut block = std::mem::take(&mut self.block);
        let checksum = seal_block(&mut block, self.identity, offset, self.block_pairs);
        push_place(&mut self.index, offset, block.len() as u32, checksum, &self.block_first);
        self.fingerprint.update(&checksum.to_le_bytes());
        self.blocks += 1;
        self.put(&block)?;
        block.clear();
        block.shrink_to(2 * BODY_BYTES_AIM);
        block.resize(BLOCK_HEADER_BYTES, 0);
        self.block = block;
        self.block_pairs = 0;
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() < WRITE_BYTES {
            return Ok(());
        }
        self.write_out()?;
        if self.written_bytes - self.synced_bytes >= SYNC_BYTES { self.sync() } else { Ok(()) }
    }

    fn write_out(&mut self) -> Result<()> {
        let outcome = write_all(&*self.file, &self.name, &self.buffer, self.written_bytes);
        self.remember(outcome)?;
        self.written_bytes += self.buffer.len() as u64;
        self.buffer.clear();
        self.buffer.shrink_to(2 * WRITE_BYTES);
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        let outcome = self.file.sync().map_err(|error| Error::io("sync", &self.name, error));
        self.remember(outcome)?;
        self.synced_bytes = self.written_bytes;
        Ok(())
    }

    fn remember(&mut self, outcome: Result<()>) -> Result<()> {
        self.failed = outcome.as_ref().err().cloned();
        outcome
    }
}

impl Drop for RunWriter {
    fn drop(&mut self) {
        if !self.finished {
            // Best effort: no list names the file, so one that stays is removed with the other unlisted runs.
            drop(self.medium.remove(&self.name));
        }
    }
}
