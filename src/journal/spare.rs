//! Segments made ready beside the writers: filled with zeros, born, synced, their names durable (J11).

use std::io;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::error::{Error, ErrorKind, Result};
use crate::medium::name;
use crate::medium::{Medium, MediumFile, write_all};
use crate::segment::header::{Birth, JournalId};
use crate::segment::reader::SegmentFile;
use crate::segment::{BLOCK_BYTES, CAPACITY_MAX, CAPACITY_MIN, FRAMES_OFFSET, align_up};

const ZEROS_BYTES: usize = 1024 * 1024;
static ZEROS: [u8; ZEROS_BYTES] = [0; ZEROS_BYTES];

/// Makes segments, one ahead.
#[derive(Debug)]
pub(crate) struct Spares {
    medium: Arc<dyn Medium>,
    journal_id: JournalId,
    state: Mutex<State>,
    /// Signalled when a segment became ready or its making failed.
    made: Condvar,
}

#[derive(Debug)]
struct State {
    next_number: u64,
    ready: Option<SegmentFile>,
    /// A helper is making one right now.
    making: bool,
    /// The capacity of the one to make next; `None` when one is ready or none is wanted.
    wanted: Option<u64>,
}

impl Spares {
    pub(crate) fn new(medium: Arc<dyn Medium>, journal_id: JournalId, next_number: u64) -> Spares {
        let state = State { next_number, ready: None, making: false, wanted: None };
        Spares { medium, journal_id, state: Mutex::new(state), made: Condvar::new() }
    }

    /// Asks for a segment of `capacity` to be made ready.
    pub(crate) fn want(&self, capacity: u64) {
        let mut state = self.state.lock();
        if state.ready.is_none() {
            state.wanted = Some(capacity);
        }
    }

    /// Whether a segment is to be made.
    pub(crate) fn is_wanted(&self) -> bool {
        let state = self.state.lock();
        state.wanted.is_some() && !state.making
    }

    /// Makes the wanted segment ready, if any: the helper's job.
    pub(crate) fn prepare(&self) -> Result<()> {
        let mut state = self.state.lock();
        if state.making {
            return Ok(());
        }
        let Some(capacity) = state.wanted.take() else { return Ok(()) };
        let number = state.next_number;
        state.next_number = after(number)?;
        state.making = true;
        drop(state);
        let made = self.make(number, capacity);
        let mut state = self.state.lock();
        state.making = false;
        self.made.notify_all();
        match made {
            Ok(segment) => {
                state.ready = Some(segment);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The next segment, with room for frames of `room` bytes; made here and now unless one is ready.
    pub(crate) fn take(&self, capacity: u64, room: u64) -> Result<SegmentFile> {
        let mut state = self.state.lock();
        while state.making {
            self.made.wait(&mut state);
        }
        state.wanted = None;
        let needed = capacity_for(room);
        match state.ready.take() {
            Some(ready) if ready.birth.capacity >= needed => return Ok(ready),
            Some(small) => {
                // It stays behind as an unused file until the next clean-up.
                self.discard(&small);
            }
            None => {}
        }
        let number = state.next_number;
        state.next_number = after(number)?;
        drop(state);
        self.make(number, capacity.max(needed))
    }

    /// Makes segment `number`, or a later one where a file that could not be removed stands in the way.
    fn make(&self, mut number: u64, capacity: u64) -> Result<SegmentFile> {
        loop {
            match make(&*self.medium, self.journal_id, number, capacity) {
                Err(error) if is_taken(&error) => {
                    let mut state = self.state.lock();
                    number = state.next_number;
                    state.next_number = after(number)?;
                }
                made => return made,
            }
        }
    }

    /// Gives up the ready segment: the ballast on a full disk, and tidiness at close. Tells whether there was one.
    pub(crate) fn give_up(&self) -> bool {
        let mut state = self.state.lock();
        while state.making {
            self.made.wait(&mut state);
        }
        state.wanted = None;
        let Some(ready) = state.ready.take() else { return false };
        drop(state);
        self.discard(&ready);
        true
    }

    /// Gives up the ready segment if it is larger than `capacity`.
    pub(crate) fn give_up_over(&self, capacity: u64) {
        let ready = self.state.lock().ready.take_if(|ready| ready.birth.capacity > capacity);
        ready.iter().for_each(|ready| self.discard(ready));
    }

    /// Removes a segment that holds nothing.
    pub(crate) fn discard(&self, segment: &SegmentFile) {
        // A spare holds nothing; if it cannot be removed now the next opening removes it.
        if self.medium.remove(&segment.name).is_ok() {
            let _unneeded = self.medium.sync_names();
        }
    }
}

/// The smallest capacity with room for frames of `room` bytes.
pub(crate) fn capacity_for(room: u64) -> u64 {
    align_up(room.saturating_add(FRAMES_OFFSET + BLOCK_BYTES), BLOCK_BYTES).clamp(CAPACITY_MIN, CAPACITY_MAX)
}

fn is_taken(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::AlreadyExists)
}

/// Creates segment `number`: zeros, birth header, sync, names synced. A failed one is removed again.
pub(crate) fn make(
    medium: &dyn Medium,
    journal_id: JournalId,
    number: u64,
    capacity: u64,
) -> Result<SegmentFile> {
    let name = name::segment(number);
    let birth = Birth::new(journal_id, number, random_u64()?, capacity);
    let file = medium.create(&name).map_err(|error| Error::io("create", &name, error))?;
    let made = fill(medium, file, &name, birth);
    if made.is_err() {
        // Nothing depends on it; a leftover is recognised and removed by the next opening.
        let _unneeded = medium.remove(&name);
    }
    made
}

fn fill(medium: &dyn Medium, file: Arc<dyn MediumFile>, name: &str, birth: Birth) -> Result<SegmentFile> {
    let mut offset = BLOCK_BYTES;
    while offset < birth.capacity {
        let count = usize::try_from(birth.capacity - offset).unwrap_or(usize::MAX).min(ZEROS_BYTES);
        write_all(&*file, name, &ZEROS[..count], offset)?;
        offset += count as u64;
    }
    write_all(&*file, name, &birth.encode(), 0)?;
    file.sync().map_err(|error| Error::io("sync", name, error))?;
    medium.sync_names().map_err(|error| Error::io("sync of the directory", name, error))?;
    Ok(SegmentFile { file, name: name.to_owned(), birth })
}

/// The segment number after `number`.
pub(crate) fn after(number: u64) -> Result<u64> {
    number.checked_add(1).ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "the segment numbers of this journal are used up")
            .advise("move a segment with an absurd number out of the directory if you put it there")
    })
}

/// A random number from the system's generator.
pub(crate) fn random_u64() -> Result<u64> {
    getrandom::u64().map_err(|error| {
        Error::new(ErrorKind::Io, format!("the system's random number generator failed: {error}"))
    })
}
