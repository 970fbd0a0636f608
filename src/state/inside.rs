//! Knows which handles the present thread is inside of, so that calling one again is an error and not a deadlock.

use std::cell::RefCell;

use crate::error::{Error, ErrorKind, Result};

thread_local! {
    static INSIDE: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// While it lives, the thread is inside a closure of the handle.
#[derive(Debug)]
pub(crate) struct Inside(());

/// Notes that a closure or fold of handle `id` is about to run on this thread.
pub(crate) fn enter(id: u64) -> Inside {
    INSIDE.with_borrow_mut(|ids| ids.push(id));
    Inside(())
}

impl Drop for Inside {
    fn drop(&mut self) {
        // OK because guards live on the stack, so the last one in is the first one out.
        let _id = INSIDE.with_borrow_mut(Vec::pop);
    }
}

/// Refuses a call of handle `id` from inside one of its own closures.
pub(crate) fn refuse(id: u64) -> Result<()> {
    if !INSIDE.with_borrow(|ids| ids.contains(&id)) {
        return Ok(());
    }
    let what = "the handle was called from inside its own closure or fold";
    Err(Error::new(ErrorKind::Reentered, what).advise("use the state that the closure is given"))
}
