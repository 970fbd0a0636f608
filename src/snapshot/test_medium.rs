//! The least medium that tests of this layer need; `Sim` takes its place.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::medium::{Access, Lock, Mapped, Medium, MediumFile, Presence};

type Bytes = Arc<Mutex<Vec<u8>>>;

/// Files in memory. Writes are short, and every call that makes something durable is noted.
#[derive(Debug, Default)]
pub(crate) struct TestMedium {
    files: Mutex<BTreeMap<String, Bytes>>,
    calls: Arc<Mutex<Vec<String>>>,
    /// The number of syncs of files after which each fails.
    pub(crate) syncs_max: Arc<Mutex<Option<usize>>>,
}

impl TestMedium {
    pub(crate) fn set(&self, name: &str, bytes: &[u8]) {
        self.files.lock().insert(name.to_owned(), Arc::new(Mutex::new(bytes.to_vec())));
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        self.files.lock().get(name).map(|file| file.lock().clone()).unwrap_or_default()
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().clone()
    }

    fn note(&self, call: &str, name: &str) {
        self.calls.lock().push(format!("{call} {name}"));
    }

    fn file(&self, name: &str, bytes: Bytes) -> Arc<dyn MediumFile> {
        let (calls, syncs_max) = (Arc::clone(&self.calls), Arc::clone(&self.syncs_max));
        Arc::new(TestFile { name: name.to_owned(), bytes, calls, syncs_max })
    }
}

impl Medium for TestMedium {
    fn label(&self) -> String {
        "test".to_owned()
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.files.lock().keys().cloned().collect())
    }

    fn open(&self, name: &str, _: Access) -> io::Result<Arc<dyn MediumFile>> {
        let bytes = self.files.lock().get(name).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(self.file(name, bytes))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn MediumFile>> {
        if self.files.lock().contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.note("create", name);
        self.set(name, &[]);
        self.open(name, Access::Write)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.note("remove", name);
        self.files.lock().remove(name).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_names(&self) -> io::Result<()> {
        self.note("sync", "names");
        Ok(())
    }

    fn child(&self, _: &str, _: Presence) -> io::Result<Arc<dyn Medium>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn lock(&self) -> io::Result<Box<dyn Lock>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[derive(Debug)]
struct TestFile {
    name: String,
    bytes: Bytes,
    calls: Arc<Mutex<Vec<String>>>,
    syncs_max: Arc<Mutex<Option<usize>>>,
}

const TRANSFER_BYTES_MAX: usize = 5000;

impl MediumFile for TestFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.bytes.lock();
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len()).min(TRANSFER_BYTES_MAX);
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, new: &[u8], offset: u64) -> io::Result<usize> {
        let count = new.len().min(TRANSFER_BYTES_MAX);
        let mut bytes = self.bytes.lock();
        let end = offset as usize + count;
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[offset as usize..end].copy_from_slice(&new[..count]);
        Ok(count)
    }

    fn sync(&self) -> io::Result<()> {
        if let Some(left) = self.syncs_max.lock().as_mut() {
            *left = left.checked_sub(1).ok_or(io::Error::other("device error"))?;
        }
        self.calls.lock().push(format!("sync {}", self.name));
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().len() as u64)
    }

    fn map(&self) -> Option<Mapped> {
        Some(Mapped::new(Arc::new(self.bytes.lock().clone())))
    }
}
