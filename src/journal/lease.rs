//! The sole right to write: the medium's lock, and a note for people about who holds it.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::medium::name::HOLDER;
use crate::medium::{Access, Lock, Medium, read_range, write_all};

const NOTE_BYTES: usize = 128;

/// The right to write, until it is given back.
#[derive(Debug)]
pub(crate) struct Lease {
    lock: Mutex<Option<Box<dyn Lock>>>,
    label: String,
}

impl Lease {
    /// Refuses to go on when the path leads elsewhere by now: what is written would be lost to whoever opens it there.
    /// Costs a look at a name or two, so it is asked wherever files are made, and not for each group.
    pub(crate) fn check(&self) -> Result<()> {
        if self.lock.lock().as_ref().is_none_or(|lock| lock.still_ours()) {
            return Ok(());
        }
        let what = format!("the journal {} was moved, removed or replaced while it was open", self.label);
        Err(Error::new(ErrorKind::Missing, what).advise("put it back where it was, then open it again"))
    }

    pub(crate) fn is_held(&self) -> bool {
        self.lock.lock().is_some()
    }

    /// Gives the right back when dropped; `None` if that was done before.
    pub(crate) fn end(&self) -> Option<Box<dyn Lock>> {
        self.lock.lock().take()
    }
}

/// Takes the right to write, at once or not at all.
pub(crate) fn take(medium: &dyn Medium) -> Result<Arc<Lease>> {
    match medium.lock() {
        Ok(lock) => Ok(Arc::new(Lease { lock: Mutex::new(Some(lock)), label: medium.label() })),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let holder = holder(medium).unwrap_or_else(|| "another process or handle".to_owned());
            Err(Error::new(ErrorKind::Held, format!("the journal {} is held by {holder}", medium.label()))
                .advise("close it there first, or open it read-only"))
        }
        Err(error) => Err(Error::io("lock", &medium.label(), error)),
    }
}

/// Who says to hold the journal. Means nothing for the lock itself.
pub(crate) fn holder(medium: &dyn Medium) -> Option<String> {
    let file = medium.open(HOLDER, Access::Read).ok()?;
    let bytes = read_range(&*file, HOLDER, 0, NOTE_BYTES as u64).ok()?;
    let text = String::from_utf8_lossy(&bytes).trim_matches(['\0', ' ', '\n']).to_owned();
    (!text.is_empty()).then_some(text)
}

/// Leaves a note about the present holder. Best effort: nothing depends on it.
pub(crate) fn sign(medium: &dyn Medium, now: Timestamp) {
    let mut note = format!("process {} since {now}", std::process::id()).into_bytes();
    note.resize(NOTE_BYTES, b' ');
    let file = medium.open(HOLDER, Access::Write).or_else(|_| medium.create(HOLDER));
    if let Ok(file) = file {
        let _unneeded = write_all(&*file, HOLDER, &note, 0);
    }
}
