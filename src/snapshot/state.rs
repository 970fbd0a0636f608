//! One opaque state, such as an encoded `Journaled` value, kept as a run of chunks.
//!
//! # Format
//!
//! The key of chunk n, from 0, is n as a big-endian u32, so that chunks are in order. Every chunk has 65536 bytes but
//! the last, which has at least one. An empty state has no chunk.

use std::io;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::medium::Medium;
use crate::snapshot::index::RunInfo;
use crate::snapshot::reader::{Run, RunIter};
use crate::snapshot::run::RunWriter;

const CHUNK_BYTES: usize = 64 * 1024;

/// Takes the bytes of a state and writes them as a run.
#[derive(Debug)]
pub(crate) struct StateWriter {
    run: RunWriter,
    chunk: Vec<u8>,
    chunks: u32,
    /// The error behind the first failed write, which the codec above may have wrapped beyond recognition.
    failed: Option<Error>,
}

impl StateWriter {
    /// Starts run `id`, whose file must not be there.
    pub(crate) fn create(medium: &Arc<dyn Medium>, id: u64, journal_id: [u8; 16]) -> Result<StateWriter> {
        let run = RunWriter::create(medium, id, journal_id)?;
        Ok(StateWriter { run, chunk: Vec::with_capacity(CHUNK_BYTES), chunks: 0, failed: None })
    }

    /// Writes what is left and syncs the run.
    pub(crate) fn finish(mut self) -> Result<RunInfo> {
        if !self.chunk.is_empty() {
            self.push_chunk()?;
        }
        match self.failed.take() {
            Some(error) => Err(error),
            None => self.run.finish(),
        }
    }

    fn push_chunk(&mut self) -> Result<()> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let outcome = match self.chunks.checked_add(1) {
            Some(next) => {
                let key = self.chunks.to_be_bytes();
                self.chunks = next;
                self.run.push(&key, &self.chunk)
            }
            None => {
                let max = u64::from(u32::MAX) * CHUNK_BYTES as u64;
                let kind = ErrorKind::TooLarge { actual: max + self.chunk.len() as u64, max };
                Err(Error::new(kind, "state is over its limit"))
            }
        };
        self.failed = outcome.as_ref().err().cloned();
        self.chunk.clear();
        outcome
    }
}

impl io::Write for StateWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(error) = &self.failed {
            return Err(io::Error::other(error.clone()));
        }
        let count = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..count]);
        if self.chunk.len() == CHUNK_BYTES {
            self.push_chunk().map_err(io::Error::other)?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads the bytes of a state back.
pub(crate) fn read_state(run: &Run) -> StateReader {
    let name = crate::medium::name::run(run.info().id);
    StateReader { name, chunks: run.iter(), next: 0, chunk: Vec::new(), at: 0, failed: None, ended: false }
}

/// The bytes of a state, each chunk checked before any of it is given.
#[derive(Debug)]
pub(crate) struct StateReader {
    name: String,
    chunks: RunIter,
    /// The number that the next chunk must have.
    next: u64,
    chunk: Vec<u8>,
    at: usize,
    failed: Option<Error>,
    ended: bool,
}

impl StateReader {
    /// The error behind a failed read, which the codec above may have wrapped beyond recognition.
    pub(crate) fn error(&self) -> Option<&Error> {
        self.failed.as_ref()
    }

    fn next_chunk(&mut self) -> Result<()> {
        let damage = |what| Err(Error::damaged(&self.name, 0, what));
        let Some((key, value)) = self.chunks.next().transpose()? else {
            self.ended = true;
            return Ok(());
        };
        if u32::try_from(self.next).map(u32::to_be_bytes).map_or(true, |next| key != next) {
            return damage("chunks of the state are not in order");
        }
        if self.next > 0 && self.chunk.len() != CHUNK_BYTES {
            return damage("a chunk of the state is too short");
        }
        if value.is_empty() || value.len() > CHUNK_BYTES {
            return damage("a chunk of the state has a length that was never written");
        }
        self.next += 1;
        self.chunk = value;
        self.at = 0;
        Ok(())
    }
}

impl io::Read for StateReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(error) = &self.failed {
            return Err(io::Error::other(error.clone()));
        }
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.at == self.chunk.len() && !self.ended {
            self.next_chunk().map_err(|error| {
                self.failed = Some(error.clone());
                io::Error::other(error)
            })?;
        }
        let count = buffer.len().min(self.chunk.len() - self.at);
        buffer[..count].copy_from_slice(&self.chunk[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
