//! The locks, atomics and threads of the commit path, which loom can replace to try every interleaving.

#[cfg(not(loom))]
mod real {
    pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::sync::Arc;
    pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
    pub(crate) use std::thread;
    use std::time::Duration;

    /// Waits on `condvar` until notified; the guard is held again afterwards.
    pub(crate) fn wait<'a, T>(condvar: &Condvar, mut guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        condvar.wait(&mut guard);
        guard
    }

    /// The same for as long as `waits` says so, at most for `timeout`.
    pub(crate) fn wait_while_for<'a, T>(
        condvar: &Condvar,
        mut guard: MutexGuard<'a, T>,
        waits: impl FnMut(&mut T) -> bool,
        timeout: Duration,
    ) -> MutexGuard<'a, T> {
        condvar.wait_while_for(&mut guard, waits, timeout);
        guard
    }

    /// Where a thread sleeps until somebody wakes it. A call that comes before it sleeps is not lost.
    #[derive(Clone, Debug)]
    pub(crate) struct Bed(thread::Thread);

    impl Bed {
        pub(crate) fn for_this_thread() -> Bed {
            Bed(thread::current())
        }

        /// Only for the thread that it was made for. May return for no reason.
        pub(crate) fn sleep(&self) {
            thread::park();
        }

        pub(crate) fn wake(&self) {
            self.0.unpark();
        }
    }
}

#[cfg(loom)]
mod real {
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
    pub(crate) use loom::sync::{Arc, Condvar, MutexGuard};
    pub(crate) use loom::thread;
    use std::time::Duration;

    /// Loom's mutex with the face of the real one: locking cannot fail.
    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Mutex<T> {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            // OK because the model ends at the first panic, so nobody sees a poisoned lock.
            self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
        }
    }

    /// Waits on `condvar` until notified; the guard is held again afterwards.
    pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        condvar.wait(guard).unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The same for as long as `waits` says so; loom knows no time.
    pub(crate) fn wait_while_for<'a, T>(
        condvar: &Condvar,
        mut guard: MutexGuard<'a, T>,
        mut waits: impl FnMut(&mut T) -> bool,
        _timeout: Duration,
    ) -> MutexGuard<'a, T> {
        while waits(&mut guard) {
            guard = wait(condvar, guard);
        }
        guard
    }

    /// Loom's own parking forgets a call that comes while the thread waits for a mutex.
    #[derive(Clone, Debug)]
    pub(crate) struct Bed(Arc<(Mutex<bool>, Condvar)>);

    impl Bed {
        pub(crate) fn for_this_thread() -> Bed {
            Bed(Arc::new((Mutex::new(false), Condvar::new())))
        }

        pub(crate) fn sleep(&self) {
            let mut called = self.0.0.lock();
            while !*called {
                called = wait(&self.0.1, called);
            }
            *called = false;
        }

        pub(crate) fn wake(&self) {
            *self.0.0.lock() = true;
            self.0.1.notify_all();
        }
    }
}

pub(crate) use real::*;
