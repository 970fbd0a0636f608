//! How a journal is opened: plain values with stated defaults.

use std::path::Path;
use std::sync::Arc;

use crate::clock::{Clock, SystemClock};
use crate::error::Result;
use crate::journal::Journal;
use crate::medium::{Disk, Medium, Presence};
use crate::segment::{BLOCK_BYTES, CAPACITY_MIN};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// What to do with acknowledged bytes that no longer check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damaged {
    /// Opening fails and says where. The default.
    Refuse,
    /// Opening gives the whole prefix before the damage, read-only; the report tells what is missing.
    ReadOnly,
}

/// Who does the work beside the writers: preparing segments, syncing behind buffered commits, marks when idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Background {
    /// Helper threads, started when first needed. The default.
    Threads,
    /// Nobody, until [`Journal::tick`] is called or somebody waits: deterministic, for tests on a simulated medium.
    Inline,
}

/// Options for [`Journal::open`] and its relatives. All have defaults; sizes are in bytes.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) limits: Limits,
    pub(crate) must_exist: bool,
    pub(crate) read_only: bool,
    pub(crate) damaged: Damaged,
    pub(crate) background: Background,
    pub(crate) snapshot_every_bytes: Option<u64>,
    pub(crate) snapshot_every_records: u64,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) face: Face,
}

/// Sizes, checked before anything is written.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) segment_bytes_min: u64,
    pub(crate) segment_bytes_max: u64,
    pub(crate) record_bytes_max: u64,
    pub(crate) frame_bytes_max: u32,
    pub(crate) transaction_bytes_max: u64,
    pub(crate) journal_bytes_max: Option<u64>,
    pub(crate) aligned: bool,
    pub(crate) read_back: bool,
}

impl Limits {
    /// The capacity of the next segment of a journal whose frames take `used_bytes`: it doubles with them, between limits.
    pub(crate) fn segment_capacity(&self, used_bytes: u64) -> u64 {
        let wanted = used_bytes.clamp(self.segment_bytes_min, self.segment_bytes_max);
        crate::segment::align_up(wanted, BLOCK_BYTES).max(CAPACITY_MIN)
    }
}

/// What a journal holds (J15): recorded at creation, compared at every opening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Face {
    /// 0 raw, 1 typed, 2 store; `None` accepts whatever is there, for tools that only read.
    pub(crate) kind: Option<u8>,
    pub(crate) type_name: String,
    pub(crate) codec: u8,
    /// The newest event version that the program understands.
    pub(crate) type_version: u16,
}

pub(crate) const FACE_RAW: u8 = 0;
pub(crate) const FACE_TYPED: u8 = 1;
#[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "the command uses it"))]
pub(crate) const FACE_STORE: u8 = 2;

impl Face {
    pub(crate) fn raw() -> Face {
        Face { kind: Some(FACE_RAW), type_name: String::new(), codec: 0, type_version: u16::MAX }
    }

    /// Whatever the journal holds.
    #[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "the command uses it"))]
    pub(crate) fn any() -> Face {
        Face { kind: None, ..Face::raw() }
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            limits: Limits {
                segment_bytes_min: 64 * KIB,
                segment_bytes_max: 64 * MIB,
                record_bytes_max: 16 * MIB,
                frame_bytes_max: MIB as u32,
                transaction_bytes_max: 64 * MIB,
                journal_bytes_max: None,
                aligned: false,
                read_back: false,
            },
            must_exist: false,
            read_only: false,
            damaged: Damaged::Refuse,
            background: Background::Threads,
            snapshot_every_bytes: Some(64 * MIB),
            snapshot_every_records: u64::MAX,
            clock: Arc::new(SystemClock::new()),
            face: Face::raw(),
        }
    }
}

impl Options {
    /// The defaults.
    pub fn new() -> Options {
        Options::default()
    }

    /// Sizes of segment files: they start at `min` and double with the journal up to `max`.
    /// Default 64 KiB to 64 MiB. Rounded up to 4096; at least 16 KiB.
    #[must_use]
    pub fn segment_bytes(mut self, min: u64, max: u64) -> Options {
        self.limits.segment_bytes_min = min.max(CAPACITY_MIN);
        self.limits.segment_bytes_max = max.max(self.limits.segment_bytes_min);
        self
    }

    /// The largest record; 16 MiB by default, 512 MiB at most.
    #[must_use]
    pub fn record_bytes_max(mut self, bytes: u64) -> Options {
        self.limits.record_bytes_max = bytes.min(512 * MIB);
        self
    }

    /// The largest body of a frame that holds more than one record; 1 MiB by default. A group is at most this large.
    #[must_use]
    pub fn frame_bytes_max(mut self, bytes: u32) -> Options {
        self.limits.frame_bytes_max = bytes.clamp(1024, 256 * MIB as u32);
        self
    }

    /// The largest transaction; 64 MiB by default.
    #[must_use]
    pub fn transaction_bytes_max(mut self, bytes: u64) -> Options {
        self.limits.transaction_bytes_max = bytes;
        self
    }

    /// The most that all segments together may take; no limit by default. Checked before anything is written.
    #[must_use]
    pub fn journal_bytes_max(mut self, bytes: u64) -> Options {
        self.limits.journal_bytes_max = Some(bytes);
        self
    }

    /// Pads every group to 4096 bytes, for devices whose torn writes harm neighbouring bytes (J1). Off by default.
    #[must_use]
    pub fn align_groups(mut self) -> Options {
        self.limits.aligned = true;
        self
    }

    /// Reads every group back after its sync, around the cache where the platform can, and compares. Off by default.
    #[must_use]
    pub fn read_back(mut self) -> Options {
        self.limits.read_back = true;
        self
    }

    /// Never creates: a missing or empty directory is an error, as when a disk is not mounted (J16).
    #[must_use]
    pub fn must_exist(mut self) -> Options {
        self.must_exist = true;
        self
    }

    /// Opens for reading only, also beside a live writer: up to what is proven durable. Changes nothing (J14).
    #[must_use]
    pub fn read_only(mut self) -> Options {
        self.read_only = true;
        self.must_exist = true;
        self
    }

    /// What to do with damage; [`Damaged::ReadOnly`] implies [`Options::read_only`].
    #[must_use]
    pub fn damaged(mut self, damaged: Damaged) -> Options {
        self.damaged = damaged;
        if damaged == Damaged::ReadOnly { self.read_only() } else { self }
    }

    /// Who works beside the writers.
    #[must_use]
    pub fn background(mut self, background: Background) -> Options {
        self.background = background;
        self
    }

    /// Makes a snapshot beside the writers whenever about this many bytes were appended since the last one, so that
    /// opening stays short; `None` leaves it to [`Journal::snapshot`]. 64 MiB by default; nothing happens by itself with
    /// [`Background::Inline`].
    #[must_use]
    pub fn snapshot_every_bytes(mut self, bytes: Option<u64>) -> Options {
        self.snapshot_every_bytes = bytes;
        self
    }

    /// Makes one also when about this many records were appended since the last, unless
    /// [`Options::snapshot_every_bytes`] is `None`. Without a limit by default; 30,000 in a [`Store`](crate::Store), which
    /// keeps what they changed in memory until then.
    #[must_use]
    pub fn snapshot_every_records(mut self, records: u64) -> Options {
        self.snapshot_every_records = records;
        self
    }

    /// Where time comes from; the system's clock by default.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Options {
        self.clock = clock;
        self
    }

    pub(crate) fn face(mut self, face: Face) -> Options {
        self.face = face;
        self
    }

    /// Opens the journal in the directory `path`, which is created if it is missing.
    ///
    /// # Errors
    ///
    /// As [`Journal::open`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<Journal> {
        let presence = if self.must_exist { Presence::MustExist } else { Presence::CreateMissing };
        let disk = Disk::open(path.as_ref(), presence)?;
        self.open_on(Arc::new(disk))
    }

    /// Opens the journal on a medium, such as a simulated one.
    ///
    /// # Errors
    ///
    /// As [`Journal::open`].
    pub fn open_on(self, medium: Arc<dyn Medium>) -> Result<Journal> {
        Journal::open_with(medium, self)
    }
}
