//! Mapped files: the one place with unsafe code.

#![allow(
    unsafe_code,
    reason = "mapping a file cannot be made safe by any wrapper; the argument stands at the call"
)]

use std::fs::File;
use std::sync::Arc;

use memmap2::Mmap;

use crate::medium::Mapped;

/// Maps all of `file`, read-only; `None` if it is empty, does not fit, or the system refuses.
///
/// Call this for files that are finished: bytes added later are not seen.
pub(crate) fn map(file: &File) -> Option<Mapped> {
    // A 32-bit address space is soon full of maps, and a failing map would then fail the open. Reading is slower there.
    if cfg!(not(target_pointer_width = "64")) {
        return None;
    }
    // Mapping nothing is an error on some systems.
    if file.metadata().ok()?.len() == 0 {
        return None;
    }
    // SAFETY: the bytes under a `&[u8]` must not change and must stay there. This crate maps run files only, which are
    // written once, synced, and afterwards never written, grown or truncated by it, only removed; a removed file keeps
    // its bytes for as long as it is mapped. Nothing stops *another* program, or this one behind our back, from writing
    // to the file or cutting it. The first shows other bytes than before, which is undefined behaviour to the letter;
    // in practice every block is checksummed when it is read and a change is found as damage or not at all. The second,
    // like a device that fails to read a mapped page, ends the process with SIGBUS (Windows: an in-page exception)
    // instead of an error. That is the price of the map; whoever cannot pay it reads with `read_at`. Files are created
    // for their owner only, and on Windows a mapped file cannot be cut at all.
    let bytes = unsafe { Mmap::map(file) }.ok()?;
    Some(Mapped::new(Arc::new(bytes)))
}
