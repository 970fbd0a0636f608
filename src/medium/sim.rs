//! A simulated device for crash tests: in memory, seeded, with scripted faults and every legal outcome of a power cut.
//!
//! # Fault model
//!
//! * **Bytes.** A file has what reads see (*cached*) and what a power cut leaves (*durable*). A write changes the cached
//!   bytes and makes its 4096-byte pages dirty. A sync that succeeds makes each dirty page durable, whole, and the
//!   length. Until then a power cut may keep any part of each write, in any order; each byte is old or new, other bytes
//!   are unharmed, and the length may be ahead of the bytes, with zeros for those that were lost.
//! * **Failed syncs.** The pages count as clean though the device has none of them (or some: [`Fault::ErrorPartly`]).
//!   Reads keep showing the new bytes; the next sync succeeds and does not write these pages; dropping the cache brings
//!   the old bytes back. A later write to such a page makes it dirty again, whole, and carries the ghost bytes along.
//! * **Names.** Created and removed names and directories are durable after their directory's `sync_names`. Syncing a
//!   file does not make its name durable. A `sync_names` that fails leaves the names unsynced, and a later one is true.
//! * **Steps.** Each call that changes something (a write, sync, creation, removal, sync of names) is a step, each look
//!   (names, an open, a length, a read, a map) is a read; both are counted from 1, and a fault can wait for any of them.
//!   A power cut stops the step it hits and all after it; a write it hits is among the unsynced ones, and a sync it hits
//!   may have done any part of its work.
//! * **Crash and kill.** [`Sim::crash`] is the device after a power cut and a boot; [`Sim::kill`] is the device after
//!   the process died alone: the cache survives, ghosts included. Both are copies: old handles have no effect on them.
//! * **Not modelled.** Time, a `sync` that runs while others write (calls happen one after another), and devices that
//!   lie about a successful sync.
//!
//! # Example
//!
//! ```
//! use everlog::medium::sim::{Crash, Sim};
//! use everlog::medium::{Access, Medium};
//!
//! # fn main() -> std::io::Result<()> {
//! let sim = Sim::new(7);
//! let file = sim.create("log")?;
//! sim.sync_names()?;
//! file.write_at(b"safe", 0)?;
//! file.sync()?;
//! file.write_at(b" or not", 4)?;
//!
//! let after = sim.crash(Crash::LoseAll);
//! assert_eq!(after.bytes("log").as_deref(), Some(&b"safe"[..]));
//! for (label, after) in sim.crash_images(100, 1) {
//!     let mut kept = [0; 4];
//!     after.open("log", Access::Read)?.read_at(&mut kept, 0)?;
//!     assert_eq!(&kept, b"safe", "{label}");
//! }
//! # Ok(())
//! # }
//! ```

mod crash;
mod damage;
mod device;
mod file;
mod handle;
mod image;
mod random;
mod script;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

pub use crash::Crash;
use device::Device;
pub use script::{Fault, Switch};
use script::{Script, Standing};

/// A simulated device, and its top directory as a [`Medium`](crate::medium::Medium). Clones are the same device.
#[derive(Clone)]
pub struct Sim {
    /// Held for one call at a time, so that calls happen one after another.
    device: Arc<Mutex<Device>>,
    directory: usize,
}

impl Sim {
    /// An empty device; everything random about it comes from `seed`.
    pub fn new(seed: u64) -> Sim {
        Sim::of(Device::new(seed))
    }

    /// Lets step `step`, counted from 1, go wrong. A later fault for the same step replaces this one.
    pub fn fail_step(&self, step: u64, fault: Fault) {
        self.script(|script| script.step_faults.insert(step, fault));
    }

    /// Lets read `read`, counted from 1, fail; a map is then not possible.
    pub fn fail_read(&self, read: u64, kind: io::ErrorKind) {
        self.script(|script| script.read_faults.insert(read, kind));
    }

    /// Lets the next sync of a file fail, with nothing of it on the device.
    pub fn fail_next_sync(&self) {
        self.script(|script| script.next_sync = Some(Fault::Error(io::ErrorKind::Other)));
    }

    /// Cuts the power at step `step`: see [`Fault::PowerCut`].
    pub fn power_cut_at(&self, step: u64) {
        self.fail_step(step, Fault::PowerCut);
    }

    /// Forgets all scripted faults that have not happened yet.
    pub fn clear_faults(&self) {
        self.script(|script| {
            script.step_faults.clear();
            script.read_faults.clear();
            script.next_sync = None;
        });
    }

    /// Whether writes write less than asked, by seed, at least one byte.
    pub fn short_writes(&self, switch: Switch) {
        self.standing(|standing| standing.short_writes = switch);
    }

    /// Whether reads read less than asked, by seed, at least one byte.
    pub fn short_reads(&self, switch: Switch) {
        self.standing(|standing| standing.short_reads = switch);
    }

    /// Whether all steps, and opens for writing, fail with `ReadOnlyFilesystem`.
    pub fn read_only(&self, switch: Switch) {
        self.standing(|standing| standing.read_only = switch);
    }

    /// How long all named files may be together; `None` for no limit. Writes that do not make a file longer always fit.
    pub fn capacity(&self, bytes_max: Option<u64>) {
        self.standing(|standing| standing.capacity = bytes_max);
    }

    /// Lets opening `address` (`name` or `child/name`) fail with `PermissionDenied`; open handles keep working.
    pub fn deny(&self, address: &str) {
        self.standing(|standing| standing.denied.insert(address.to_owned()));
    }

    /// Takes a [`Sim::deny`] back.
    pub fn allow(&self, address: &str) {
        self.standing(|standing| standing.denied.remove(address));
    }

    /// How many steps were taken.
    pub fn steps(&self) -> u64 {
        self.script(|script| script.steps)
    }

    /// How many reads were made.
    pub fn reads(&self) -> u64 {
        self.script(|script| script.reads)
    }

    /// Whether a scripted power cut has happened.
    pub fn power_lost(&self) -> bool {
        self.script(|script| script.power_lost)
    }

    /// The device after a power cut now and a boot: no locks, no faults, no limits, counters at 0. This one goes on.
    pub fn crash(&self, style: Crash) -> Sim {
        Sim::of(crash::crash(&self.device.lock(), style))
    }

    /// Up to `count_max` different devices that a power cut now may leave, each with the [`Crash`] that makes it: nothing
    /// and all kept, places in time order, torn writes, and seeded mixtures.
    pub fn crash_images(&self, count_max: usize, seed: u64) -> Vec<(String, Sim)> {
        let device = self.device.lock().clone();
        let mut seen = BTreeSet::new();
        let mut images = Vec::new();
        for style in crash::styles(&device, count_max, seed) {
            if images.len() >= count_max {
                break;
            }
            let image = Sim::of(crash::crash(&device, style));
            if seen.insert(image.image_hash()) {
                images.push((format!("Crash::{style:?}"), image));
            }
        }
        images
    }

    /// The device after the process died now: cache, unsynced writes and standing conditions stay; locks and scripted
    /// faults are gone, counters at 0. This one goes on.
    pub fn kill(&self) -> Sim {
        let mut device = self.device.lock().clone();
        device.script = Script { standing: device.script.standing, ..Script::default() };
        for directory in &mut device.directories {
            directory.locked = false;
        }
        Sim::of(device)
    }

    fn of(device: Device) -> Sim {
        Sim { device: Arc::new(Mutex::new(device)), directory: 0 }
    }

    fn script<T>(&self, change: impl FnOnce(&mut Script) -> T) -> T {
        change(&mut self.device.lock().script)
    }

    fn standing<T>(&self, change: impl FnOnce(&mut Standing) -> T) -> T {
        change(&mut self.device.lock().script.standing)
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let device = self.device.lock();
        write!(f, "Sim(seed {}, step {}, {} files)", device.seed, device.script.steps, device.files.len())
    }
}
