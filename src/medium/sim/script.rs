//! What shall go wrong, and when: counters of steps and reads, and the faults waiting for them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::medium::sim::file::Reach;

/// Something that goes wrong at one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The call fails and does nothing. A file's sync fails as devices do: its pages count as clean, none is durable.
    Error(io::ErrorKind),
    /// As [`Fault::Error`], with an error number of the operating system.
    ErrorRaw(i32),
    /// As [`Fault::Error`], but a sync gets some of its pages, or of its names, onto the device first, by seed.
    ErrorPartly(io::ErrorKind),
    /// A write writes no more than this many bytes and says so. Other calls are not harmed.
    Short(usize),
    /// The call is interrupted and does nothing; the same call may succeed later, also a sync.
    Interrupted,
    /// This call and all after it fail, reads too. The step itself may be done in part: see [`Crash`](crate::medium::sim::Crash).
    PowerCut,
}

/// Whether a standing condition holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Switch {
    /// It does not.
    #[default]
    Off,
    /// It does.
    On,
}

/// The plan of faults of one device.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    pub(crate) steps: u64,
    pub(crate) reads: u64,
    pub(crate) step_faults: BTreeMap<u64, Fault>,
    pub(crate) read_faults: BTreeMap<u64, io::ErrorKind>,
    pub(crate) next_sync: Option<Fault>,
    pub(crate) power_lost: bool,
    pub(crate) standing: Standing,
}

/// Conditions of the device that outlive a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    pub(crate) short_writes: Switch,
    pub(crate) short_reads: Switch,
    pub(crate) read_only: Switch,
    pub(crate) capacity: Option<u64>,
    pub(crate) denied: BTreeSet<String>,
}

impl Script {
    /// Counts a step and says what goes wrong in it. Interruptions and lost power are errors at once.
    pub(crate) fn step(&mut self) -> io::Result<Option<Fault>> {
        self.powered()?;
        self.steps += 1;
        let fault = self.step_faults.remove(&self.steps);
        match fault {
            Some(Fault::Interrupted) => Err(io::Error::from(io::ErrorKind::Interrupted)),
            Some(Fault::PowerCut) => {
                self.power_lost = true;
                Ok(fault)
            }
            None | Some(Fault::Short(_)) if self.standing.read_only == Switch::On => Err(read_only()),
            _ => Ok(fault),
        }
    }

    pub(crate) fn read(&mut self) -> io::Result<()> {
        self.powered()?;
        self.reads += 1;
        match self.read_faults.remove(&self.reads) {
            Some(kind) => Err(scripted(kind)),
            None => Ok(()),
        }
    }

    pub(crate) fn powered(&self) -> io::Result<()> {
        if self.power_lost { Err(power_lost()) } else { Ok(()) }
    }
}

impl Fault {
    /// The error the call fails with, and how far a sync got; `None` when the call goes on.
    pub(crate) fn failure(self) -> Option<(io::Error, Reach)> {
        match self {
            Fault::Error(kind) => Some((scripted(kind), Reach::Nothing)),
            Fault::ErrorRaw(number) => Some((io::Error::from_raw_os_error(number), Reach::Nothing)),
            Fault::ErrorPartly(kind) => Some((scripted(kind), Reach::Some)),
            Fault::Interrupted => Some((scripted(io::ErrorKind::Interrupted), Reach::Nothing)),
            Fault::PowerCut => Some((power_lost(), Reach::Nothing)),
            Fault::Short(_) => None,
        }
    }
}

pub(crate) fn read_only() -> io::Error {
    io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "the simulated device is read-only")
}

fn power_lost() -> io::Error {
    io::Error::other("power lost")
}

fn scripted(kind: io::ErrorKind) -> io::Error {
    io::Error::new(kind, "simulated fault")
}
