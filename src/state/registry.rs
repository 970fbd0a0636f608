//! Which directories this process has open as typed journals: a second opening gives the same live handle.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::error::{Error, ErrorKind, Result};

static PLACES: LazyLock<Mutex<HashMap<PathBuf, Place>>> = LazyLock::new(Mutex::default);

/// A directory, as far as this process is concerned. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Locked while somebody opens or closes here.
    tenant: Mutex<Option<Tenant>>,
    freed: Condvar,
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
pub(crate) struct Vacancy<'a>(MutexGuard<'a, Option<Tenant>>);

impl Place {
    /// The place with the real path `path`.
    pub(crate) fn at(path: PathBuf) -> Place {
        let mut places = PLACES.lock();
        places.retain(|_, place| Arc::strong_count(&place.0) > 1);
        places.entry(path).or_default().clone()
    }

    /// The live handle there, or the right to open one; waits for a handle that is being closed.
    pub(crate) fn look<T: Any + Send + Sync>(&self) -> Result<Found<'_, T>> {
        let mut tenant = self.0.tenant.lock();
        loop {
            let Some(present) = &*tenant else { return Ok(Found::Free(Vacancy(tenant))) };
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

impl Vacancy<'_> {
    /// Makes `handle`, called `id`, the one that later openings get.
    pub(crate) fn move_in<T: Any + Send + Sync>(mut self, id: u64, handle: &Arc<T>) {
        let weak = Arc::downgrade(handle);
        let (type_id, type_name) = (TypeId::of::<T>(), std::any::type_name::<T>());
        *self.0 = Some(Tenant { id, type_id, type_name, handle: weak });
    }
}
