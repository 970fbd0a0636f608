//! A medium between the journal and the simulation: lies as broken code would, and dies as a process does.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use everlog::medium::{Access, Lock, Medium, MediumFile, Presence};

/// What the shim does instead of passing calls on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Nothing: all calls are passed on.
    None,
    /// Syncs of files say yes and do nothing: acknowledged before the sync.
    SkipSync,
    /// Syncs of names say yes and do nothing.
    SkipNames,
    /// A failed sync is tried again, and the second answer believed.
    RetrySync,
    /// The sync between the copied frames and the link of a mended segment is left out: the link is written early.
    EarlyLink,
    /// Only the sync of the root file is left out.
    SkipRootSync,
}

/// A medium with a lie, alive until it is told to die.
#[derive(Clone, Debug)]
pub struct Shim {
    inner: Arc<dyn Medium>,
    lie: Lie,
    alive: Arc<AtomicBool>,
}

#[derive(Debug)]
struct ShimFile {
    inner: Arc<dyn MediumFile>,
    name: String,
    shim: Shim,
    /// Whether the segment was made by this handle and has frames but neither a link nor a sync after them.
    copying: AtomicBool,
    made_here: bool,
}

impl Shim {
    pub fn new(inner: impl Medium + 'static, lie: Lie) -> Shim {
        Shim { inner: Arc::new(inner), lie, alive: Arc::new(AtomicBool::new(true)) }
    }

    /// Nothing reaches the medium any more; the lock is freed when it is dropped.
    pub fn die(&self) {
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
        Arc::new(ShimFile { inner, name: name.to_owned(), shim: self.clone(), copying, made_here })
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
        self.inner.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.shim.alive()?;
        match self.shim.lie {
            Lie::SkipSync => Ok(()),
            Lie::SkipRootSync if self.name == "journal" => Ok(()),
            Lie::EarlyLink if self.copying.swap(false, Ordering::SeqCst) => Ok(()),
            Lie::RetrySync => self.inner.sync().or_else(|_| self.inner.sync()),
            _ => self.inner.sync(),
        }
    }

    fn len(&self) -> io::Result<u64> {
        self.shim.alive()?;
        self.inner.len()
    }

    fn drop_cache(&self) {
        self.inner.drop_cache();
    }
}
