//! A medium between the journal and the simulation: lies as broken code would, and dies as a process does.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use everlog::medium::{Access, Lock, Medium, MediumFile, Presence};

/// What the shim does instead of passing calls on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// Nothing: all calls are passed on.
    None,
    /// Syncs of files say yes and do nothing: acknowledged before the sync.
    SkipSync,
    /// Syncs of names say yes and do nothing.
    SkipNames,
    /// Syncs of runs say yes and do nothing.
    SkipRunSync,
    /// A failed sync is tried again, and the second answer believed.
    RetrySync,
    /// The sync between the copied frames and the link of a mended segment is left out: the link is written early.
    EarlyLink,
    /// None, but a sync that fails takes until the gate is open to say so: another may come in between.
    LateFailure,
    /// Frames say that they are durable themselves.
    MarkTooHigh,
}

/// A medium with a lie, alive until it is told to die.
#[derive(Clone, Debug)]
pub(crate) struct Shim {
    inner: Arc<dyn Medium>,
    lie: Lie,
    alive: Arc<AtomicBool>,
    /// Locked while syncs hang.
    gate: Arc<Mutex<()>>,
}

#[derive(Debug)]
struct ShimFile {
    inner: Arc<dyn MediumFile>,
    name: String,
    shim: Shim,
    /// Whether the segment was made by this handle and has frames but neither a link nor a sync after them.
    copying: AtomicBool,
    made_here: bool,
    forger: Mutex<Forger>,
}

/// Raises the mark of each data frame to its own last record, and keeps the chain of checksums whole.
#[derive(Debug, Default)]
struct Forger {
    salt: [u8; 8],
    /// The last frame's checksum, as written and as forged.
    last: Option<([u8; 4], [u8; 4])>,
}

impl Forger {
    fn forge(&mut self, bytes: &[u8], offset: u64) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        if !bytes.starts_with(b"EVL1") || bytes[4] > 3 {
            return bytes;
        }
        let written: [u8; 4] = bytes[52..56].try_into().unwrap();
        if let Some((_, forged)) = self.last.filter(|last| last.0 == bytes[20..24]) {
            bytes[20..24].copy_from_slice(&forged);
        }
        if bytes[4] == 1 {
            let first = u64::from_le_bytes(bytes[24..32].try_into().unwrap());
            let count = u32::from_le_bytes(bytes[12..16].try_into().unwrap());
            bytes[32..40].copy_from_slice(&(first + u64::from(count) - 1).to_le_bytes());
        }
        let mut seeded = self.salt.to_vec();
        seeded.extend_from_slice(&bytes[16..20]);
        seeded.extend_from_slice(&offset.to_le_bytes());
        seeded.extend_from_slice(&bytes[..52]);
        let forged = crc32fast::hash(&seeded).to_le_bytes();
        bytes[52..56].copy_from_slice(&forged);
        self.last = Some((written, forged));
        bytes
    }
}

impl Shim {
    pub(crate) fn new(inner: impl Medium + 'static, lie: Lie) -> Shim {
        let (alive, gate) = (Arc::new(AtomicBool::new(true)), Arc::default());
        Shim { inner: Arc::new(inner), lie, alive, gate }
    }

    /// Syncs of files hang until the guard is dropped.
    pub(crate) fn hang(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().unwrap()
    }

    /// Nothing reaches the medium any more; the lock is freed when it is dropped.
    pub(crate) fn die(&self) {
        self.alive.store(false, Ordering::SeqCst);
    }

    fn alive(&self) -> io::Result<()> {
        match self.alive.load(Ordering::SeqCst) {
            true => Ok(()),
            false => Err(io::Error::other("the process died")),
        }
    }

    fn wrap(&self, inner: Arc<dyn MediumFile>, name: &str, made_here: bool) -> Arc<dyn MediumFile> {
        let copying = AtomicBool::new(false);
        let (name, forger) = (name.to_owned(), Mutex::default());
        Arc::new(ShimFile { inner, name, shim: self.clone(), copying, made_here, forger })
    }
}

impl Medium for Shim {
    fn label(&self) -> String {
        self.inner.label()
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.alive()?;
        self.inner.names()
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn MediumFile>> {
        self.alive()?;
        Ok(self.wrap(self.inner.open(name, access)?, name, false))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn MediumFile>> {
        self.alive()?;
        Ok(self.wrap(self.inner.create(name)?, name, true))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.alive()?;
        self.inner.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.alive()?;
        if self.lie == Lie::SkipNames { Ok(()) } else { self.inner.sync_names() }
    }

    fn child(&self, name: &str, presence: Presence) -> io::Result<Arc<dyn Medium>> {
        self.alive()?;
        Ok(Arc::new(Shim { inner: self.inner.child(name, presence)?, ..self.clone() }))
    }

    fn lock(&self) -> io::Result<Box<dyn Lock>> {
        self.alive()?;
        self.inner.lock()
    }
}

impl MediumFile for ShimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.shim.alive()?;
        self.inner.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.shim.alive()?;
        if self.made_here && self.name.ends_with(".seg") {
            // Frames start at 8192, the link stands at 4096; the zeros of the making start at 4096 too.
            self.copying.store(offset >= 8192 && bytes.starts_with(b"EVL1"), Ordering::SeqCst);
        }
        if self.shim.lie == Lie::MarkTooHigh && self.name.ends_with(".seg") {
            let mut forger = self.forger.lock().unwrap();
            // A handle that was opened rather than created has not seen the header.
            self.inner.read_at(&mut forger.salt, 56)?;
            return self.inner.write_at(&forger.forge(bytes, offset), offset);
        }
        self.inner.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.shim.alive()?;
        if self.shim.lie == Lie::LateFailure {
            return self.inner.sync().inspect_err(|_| drop(self.shim.gate.lock()));
        }
        drop(self.shim.gate.lock());
        match self.shim.lie {
            Lie::SkipSync => Ok(()),
            Lie::SkipRunSync if self.name.ends_with(".run") => Ok(()),
            Lie::EarlyLink if self.copying.swap(false, Ordering::SeqCst) => Ok(()),
            Lie::RetrySync => self.inner.sync().or_else(|_| self.inner.sync()),
            _ => self.inner.sync(),
        }
    }

    fn len(&self) -> io::Result<u64> {
        self.shim.alive()?;
        self.inner.len()
    }

    fn drop_cache(&self, bytes: std::ops::Range<u64>) {
        self.inner.drop_cache(bytes);
    }
}
