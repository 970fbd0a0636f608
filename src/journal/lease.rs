//! The sole right to write: the medium's lock, and a note for people about who holds it.

use std::io;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::medium::name::HOLDER;
use crate::medium::{Access, Lock, Medium, read_range, write_all};

const NOTE_BYTES: usize = 128;

/// Takes the right to write, at once or not at all.
pub(crate) fn take(medium: &dyn Medium) -> Result<Box<dyn Lock>> {
    match medium.lock() {
        Ok(lock) => Ok(lock),
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
