//! The faces that the journal sees: the simulation as a [`Medium`], its open files and its locks.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::medium::sim::Sim;
use crate::medium::sim::device::Device;
use crate::medium::sim::script::Switch;
use crate::medium::{Access, Lock, Mapped, Medium, MediumFile, Presence};

impl Medium for Sim {
    fn label(&self) -> String {
        let device = self.device.lock();
        format!("simulation {}/{}", device.seed, device.directories[self.directory].prefix)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut device = self.device.lock();
        device.script.read()?;
        Ok(device.directories[self.directory].live.keys().map(|name| name.to_string()).collect())
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn MediumFile>> {
        let writing = match access {
            Access::Read => Switch::Off,
            Access::Write => Switch::On,
        };
        let file = self.device.lock().open(self.directory, name, writing)?;
        Ok(self.handle(name, file, access))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn MediumFile>> {
        let file = self.device.lock().create(self.directory, name)?;
        Ok(self.handle(name, file, Access::Write))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.device.lock().remove(self.directory, name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.device.lock().sync_names(self.directory)
    }

    fn child(&self, name: &str, presence: Presence) -> io::Result<Arc<dyn Medium>> {
        let directory = self.device.lock().child(self.directory, name, presence)?;
        Ok(Arc::new(Sim { device: Arc::clone(&self.device), directory }))
    }

    fn lock(&self) -> io::Result<Box<dyn Lock>> {
        let mut device = self.device.lock();
        device.script.powered()?;
        let locked = &mut device.directories[self.directory].locked;
        if std::mem::replace(locked, true) {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "another owner holds the directory"));
        }
        Ok(Box::new(SimLock { sim: self.clone() }))
    }
}

impl Sim {
    fn handle(&self, name: &str, file: usize, access: Access) -> Arc<dyn MediumFile> {
        Arc::new(SimFile { device: Arc::clone(&self.device), name: name.to_owned(), file, access })
    }
}

struct SimFile {
    device: Arc<Mutex<Device>>,
    name: String,
    file: usize,
    access: Access,
}

impl MediumFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.device.lock().read(self.file, buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        if self.access == Access::Read {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the file is open for reading only"));
        }
        self.device.lock().write(self.file, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.device.lock().sync(self.file)
    }

    fn len(&self) -> io::Result<u64> {
        let mut device = self.device.lock();
        device.script.read()?;
        Ok(device.files[self.file].cached.len())
    }

    fn drop_cache(&self, bytes: Range<u64>) {
        let mut device = self.device.lock();
        if device.script.powered().is_ok() {
            device.files[self.file].drop_cache(bytes);
        }
    }

    fn map(&self) -> Option<Mapped> {
        let mut device = self.device.lock();
        device.script.read().ok()?;
        let cached = device.files[self.file].cached.clone();
        drop(device);
        (cached.len() <= MAP_BYTES_MAX).then(|| Mapped::new(Arc::new(cached.range(0, u64::MAX))))
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimFile({}, {:?})", self.name, self.access)
    }
}

#[derive(Debug)]
struct SimLock {
    sim: Sim,
}

impl Lock for SimLock {
    fn still_ours(&self) -> bool {
        self.sim.device.lock().script.powered().is_ok()
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.sim.device.lock().directories[self.sim.directory].locked = false;
    }
}

/// Maps are copies here, so sparse giants are not mapped.
const MAP_BYTES_MAX: u64 = 1 << 28;
