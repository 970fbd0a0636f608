//! Which directories this process has open as typed journals: a second opening gives the same live handle.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::error::{Error, ErrorKind, Result};
use crate::journal::{Journal, spawn};
use crate::state::inside::{self, Inside};

static PLACES: LazyLock<Mutex<HashMap<PathBuf, Place>>> = LazyLock::new(Mutex::default);

/// A directory, as far as this process is concerned. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Tells places apart, from each other and from handles.
    id: u64,
    /// Locked while somebody opens or closes here.
    tenant: Mutex<Option<Tenant>>,
    freed: Condvar,
}

impl Default for Inner {
    fn default() -> Inner {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1 << 48);
        Inner { id: NEXT_ID.fetch_add(1, Ordering::Relaxed), tenant: Mutex::default(), freed: Condvar::new() }
    }
}

#[derive(Debug)]
struct Tenant {
    id: u64,
    type_id: TypeId,
    type_name: &'static str,
    handle: Weak<dyn Any + Send + Sync>,
}

/// What is at a place.
pub(crate) enum Found<'a, T> {
    /// A live handle.
    Live(Arc<T>),
    /// Nothing: whoever holds this may move in.
    Free(Vacancy<'a>),
}

/// The right to open at a place.
pub(crate) struct Vacancy<'a> {
    tenant: MutexGuard<'a, Option<Tenant>>,
    /// What runs while somebody moves in, such as a migration, must not come back here.
    _inside: Inside,
}

impl Place {
    /// The place with the real path `path`.
    pub(crate) fn at(path: PathBuf) -> Place {
        let mut places = PLACES.lock();
        places.retain(|_, place| Arc::strong_count(&place.0) > 1);
        places.entry(path).or_default().clone()
    }

    /// The live handle there, or the right to open one; waits for a handle that is being closed. Refused from inside a
    /// closure of the handle there.
    pub(crate) fn look<T: Any + Send + Sync>(&self) -> Result<Found<'_, T>> {
        inside::refuse(self.0.id)?;
        let mut tenant = self.0.tenant.lock();
        loop {
            let Some(present) = &*tenant else {
                return Ok(Found::Free(Vacancy { tenant, _inside: self.enter() }));
            };
            if present.handle.strong_count() > 0 && present.type_id != TypeId::of::<T>() {
                let what =
                    format!("this process has the directory open as {}, another type", present.type_name);
                return Err(
                    Error::new(ErrorKind::WrongType, what).advise("open it as that, or close it there")
                );
            }
            match present.handle.upgrade().map(Arc::downcast::<T>) {
                Some(Ok(live)) => return Ok(Found::Live(live)),
                // Its last owner has dropped it and is about to free the place.
                _ => self.0.freed.wait(&mut tenant),
            }
        }
    }

    /// Notes that this thread is inside a closure of the handle there.
    pub(crate) fn enter(&self) -> Inside {
        inside::enter(self.0.id)
    }

    /// Runs `close` for handle `id` and, if it is the one that lives here, lets others in.
    pub(crate) fn free<R>(&self, id: u64, close: impl FnOnce() -> R) -> R {
        let mut tenant = self.0.tenant.lock();
        let outcome = close();
        if tenant.as_ref().is_some_and(|tenant| tenant.id == id) {
            *tenant = None;
            self.0.freed.notify_all();
        }
        outcome
    }
}

/// Closes the journal of handle `id` and frees its place.
pub(crate) fn close(place: Option<&Place>, id: u64, journal: &Journal) -> Result<()> {
    match place {
        Some(place) if !journal.is_own_thread() => place.free(id, || journal.close()),
        _ => journal.close(),
    }
}

/// The same for a handle that nobody has any more. Whoever wants to know how it went calls close before.
pub(crate) fn abandon(place: Option<&Place>, id: u64, journal: &Journal) {
    if !journal.is_own_thread() {
        let _unheard = close(place, id, journal);
        return;
    }
    // A task that was woken was dropped, and the last handle with it: closing waits for this very thread.
    let (its_place, journal) = (place.cloned(), journal.clone());
    let closing = move || drop(close(its_place.as_ref(), id, &journal));
    if let (Err(_), Some(place)) = (spawn("everlog-close", closing), place) {
        // Nobody closes it, then: who opens it again is told that it is held, and does not wait for ever.
        place.free(id, || ());
    }
}

impl Vacancy<'_> {
    /// Makes `handle`, called `id`, the one that later openings get.
    pub(crate) fn move_in<T: Any + Send + Sync>(mut self, id: u64, handle: &Arc<T>) {
        let weak = Arc::downgrade(handle);
        let (type_id, type_name) = (TypeId::of::<T>(), std::any::type_name::<T>());
        *self.tenant = Some(Tenant { id, type_id, type_name, handle: weak });
    }
}
