//! With `read_back`, a device that stores other bytes than it was given is found out before anything is acknowledged.

#![cfg(feature = "sim")]
#![allow(clippy::expect_used, reason = "this is a test")]

use std::io;
use std::sync::Arc;

use everlog::ErrorKind;
use everlog::journal::{Background, Options};
use everlog::medium::{Access, Lock, Medium, MediumFile, Presence, Sim};

/// A device that changes one byte of whatever says "change me".
#[derive(Debug)]
struct Careless(Sim);

#[derive(Debug)]
struct CarelessFile(Arc<dyn MediumFile>);

fn careless(file: Arc<dyn MediumFile>) -> Arc<dyn MediumFile> {
    Arc::new(CarelessFile(file))
}

impl Medium for Careless {
    fn label(&self) -> String {
        self.0.label()
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.0.names()
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn MediumFile>> {
        self.0.open(name, access).map(careless)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn MediumFile>> {
        self.0.create(name).map(careless)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.0.sync_names()
    }

    fn child(&self, name: &str, presence: Presence) -> io::Result<Arc<dyn Medium>> {
        self.0.child(name, presence)
    }

    fn lock(&self) -> io::Result<Box<dyn Lock>> {
        self.0.lock()
    }
}

impl MediumFile for CarelessFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut bytes = bytes.to_vec();
        if let Some(at) = bytes.windows(9).position(|window| window == b"change me") {
            bytes[at] ^= 1;
        }
        self.0.write_at(&bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn drop_cache(&self, bytes: std::ops::Range<u64>) {
        self.0.drop_cache(bytes);
    }
}

#[test]
fn bytes_that_read_back_differently_are_never_acknowledged() {
    let options = || Options::new().background(Background::Inline);
    let sim = Sim::new(1);
    let journal = options().read_back().open_on(Arc::new(Careless(sim.clone()))).expect("opens");
    journal.append(b"fine").expect("reads back as written");
    let error = journal.append(b"change me").expect_err("reads back differently");
    assert_eq!(error.kind(), &ErrorKind::FateUnknown);
    assert!(error.what().contains("read back"), "{error}");
    assert_eq!(journal.append(b"later").expect_err("poisoned").kind(), &ErrorKind::Poisoned);
    drop(journal);
    let reopened = options().open_on(Arc::new(sim.kill())).expect("opens");
    assert_eq!(reopened.records().expect("readable").count(), 1);
}

#[test]
fn without_read_back_the_same_device_is_found_out_by_the_next_reader() {
    let sim = Sim::new(1);
    let options = Options::new().background(Background::Inline);
    let journal = options.open_on(Arc::new(Careless(sim))).expect("opens");
    journal.append(b"change me").expect("nobody looked");
    let read = journal.records().expect("readable").next().expect("something is there");
    assert_eq!(read.expect_err("does not check").kind(), &ErrorKind::Damaged);
}
