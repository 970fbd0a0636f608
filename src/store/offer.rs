//! Values that may be lost, such as where a window is: held in memory, and logged now and then, the newest only.
//!
//! What is held has no place in the order, and nothing that stands in the log depends on it. Whoever takes the order gives it
//! a place first, so that a commit comes after all that was offered before it.

use std::sync::Weak;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};
use crate::journal::commit::Sitter;
use crate::journal::options::Background;
use crate::journal::{Durability, spawn};
use crate::position::Position;
use crate::state::Stamp;
use crate::state::commit::Manner;
use crate::store::Store;
use crate::store::bounds;
use crate::store::op::Op;
use crate::store::order::{Order, Pending};
use crate::store::path::{IntoPath, Path};
use crate::store::transaction::{Draft, Tx};
use crate::store::value::Value;

/// How long a value that was [offered](Store::offer) is held at most before it is logged.
pub const OFFER_INTERVAL: Duration = Duration::from_secs(1);
/// So many values, and so many bytes of them, are held at most.
const HELD_MAX: usize = 1024;
const HELD_BYTES_MAX: u64 = 1024 * 1024;

/// What is held.
#[derive(Default)]
pub(super) struct Offers(Mutex<Held>);

#[derive(Default)]
struct Held {
    /// In the order in which they are to be set.
    values: Vec<(Path, Value)>,
    /// When something was logged last, by elapsed time.
    logged: Option<Duration>,
    /// A thread logs what is held.
    is_tended: bool,
}

impl Held {
    /// Puts a value in the place of an older one at the same path; what was held inside that path goes.
    fn put(&mut self, path: Path, value: Value) {
        self.values.retain(|(held, _)| *held == path || !path.is_prefix_of(held));
        match self.values.iter_mut().find(|(held, _)| *held == path) {
            Some((_, held)) => *held = value,
            None => self.values.push((path, value)),
        }
    }

    fn is_due(&self, now: Duration) -> bool {
        self.logged.is_none_or(|logged| now.saturating_sub(logged) >= OFFER_INTERVAL)
    }

    fn is_full(&self) -> bool {
        let bytes: u64 = self.values.iter().map(|(_, value)| value.bytes()).sum();
        self.values.len() >= HELD_MAX || bytes >= HELD_BYTES_MAX
    }
}

impl Order {
    /// Gives what is held its place, before whatever takes the order now.
    pub(super) fn enter_offered(&self, pending: &mut Pending) {
        let values = {
            let mut held = self.offers.0.lock();
            if held.values.is_empty() {
                return;
            }
            held.logged = Some(self.elapsed());
            std::mem::take(&mut held.values)
        };
        if self.enter_values(pending, &values).is_ok() {
            return;
        }
        // One that cannot be set takes no other with it.
        for value in values {
            if let Err(error) = self.enter_values(pending, &[value]) {
                self.journal.note_trouble(error);
            }
        }
    }

    /// Sets values in a commit of their own, for which nobody waits.
    fn enter_values(&self, pending: &mut Pending, values: &[(Path, Value)]) -> Result<()> {
        let manner = Manner { meta: None, durability: Durability::Buffered };
        let reserved = self.reserve(pending.refusals)?;
        let start = Position::new(self.epoch, reserved.first_lsn);
        let mut draft = Draft::new(&pending.version, start, reserved.time, None);
        for (path, value) in values {
            Tx::new(&mut draft, self).set_value(path, value.clone())?;
        }
        let elapsed = self.bound(pending, &mut draft)?;
        if draft.is_empty() {
            return Ok(());
        }
        self.enter(pending, &manner, Sitter::Ticket, draft, (reserved, elapsed)).map(drop)
    }

    /// Gives what is held its place, if there is anything.
    pub(super) fn log_offered(&self) {
        if !self.offers.0.lock().values.is_empty() {
            // What could not be done is told by whatever is done next.
            drop(self.lock_pending());
        }
    }

    /// Holds a value, or logs it if enough time has passed since something was.
    fn offer(&self, path: Path, value: Value) -> Result<()> {
        let now = self.elapsed();
        {
            let mut held = self.offers.0.lock();
            if !held.is_due(now) {
                held.put(path, value);
                if held.is_full() {
                    drop(held);
                    self.log_offered();
                } else {
                    self.ensure_logged(&mut held);
                }
                return Ok(());
            }
            held.logged = Some(now);
        }
        let mut pending = self.lock_pending()?;
        self.enter_values(&mut pending, &[(path, value)])
    }

    fn elapsed(&self) -> Duration {
        self.journal.opened_with().clock.elapsed()
    }

    /// Starts the thread that logs what is held, unless it runs, or none may.
    fn ensure_logged(&self, held: &mut Held) {
        if held.is_tended || self.journal.opened_with().background != Background::Threads {
            return;
        }
        let order = Weak::clone(&self.me);
        match spawn("everlog-offer", move || tend(&order)) {
            Ok(_) => held.is_tended = true,
            Err(error) => self.journal.note_trouble(error),
        }
    }
}

/// Logs what is held now and then, until nothing is.
fn tend(order: &Weak<Order>) {
    loop {
        std::thread::sleep(OFFER_INTERVAL);
        let Some(order) = order.upgrade() else { return };
        {
            let mut held = order.offers.0.lock();
            held.is_tended = !held.values.is_empty();
            if !held.is_tended {
                return;
            }
        }
        order.log_offered();
        order.keep_up();
    }
}

impl Store {
    /// Offers a value for `path` that may be lost: for what changes many times a second and is worth little, such as where
    /// a window is, a cursor, how far a list is scrolled. Only for collections that are declared
    /// [`relaxed`](crate::store::Collection::relaxed). Of all values offered for a path only the newest is kept; it is held
    /// in memory and logged after [`OFFER_INTERVAL`] at the latest, before the next commit of anything, before a snapshot
    /// and on closing. So the log grows by a commit or two a second, or with the commits that there are anyway.
    ///
    /// There is no receipt, as there is nothing to rely on: a crash, also of the program alone, takes what is held.
    /// Readers, watchers and the history see what was logged once it is durable (J4), and never what was replaced before
    /// that. Transactions that begin later see it and come after it (J12), and [`Store::offered`] shows it. With
    /// [`Background::Inline`] no thread runs, and what is held waits for one of the others, or for the next offer.
    ///
    /// # Errors
    ///
    /// `Input` if `path` leads nowhere, or its collection is not relaxed; `TooLarge`; and as [`Store::set`]. What shows only
    /// when a value is logged, such as a schema that refuses it, is told by [`Store::status`] and [`Store::close`]; that
    /// value is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> everlog::Result<()> {
    /// # let directory = tempfile::tempdir().expect("a directory");
    /// use everlog::Store;
    /// use everlog::store::Collection;
    ///
    /// let open = || Store::options().collection(Collection::new("ui").relaxed()).open(directory.path().join("store"));
    /// let store = open()?;
    /// for y in 0..600 {
    ///     store.offer("ui.list.scroll", &y)?;
    /// }
    /// assert_eq!(store.offered("ui.list.scroll")?, Some(599));
    /// store.close()?;
    /// let store = open()?;
    /// assert_eq!(store.get("ui.list.scroll")?, Some(599));
    /// assert!(store.history("ui.list.scroll")?.count() < 600);
    /// # Ok(())
    /// # }
    /// ```
    pub fn offer<T: Serialize + ?Sized>(&self, path: impl IntoPath, value: &T) -> Result<()> {
        let (order, path, value) = (&self.order, path.into_path()?, Value::of(value)?);
        order.outside()?;
        order.rules.admit()?;
        order.journal.writer_core()?.accepting()?;
        let version = order.view_unlagged();
        check_relaxed(&version.declared, &path)?;
        let op = Op::Set { path, value };
        bounds::check_value(&version, &op)?;
        if let Op::Set { path, value } = op {
            order.offer(path, value)?;
        }
        order.keep_up();
        Ok(())
    }

    /// What stands at `path` of a relaxed collection with all that was [offered](Store::offer) and committed, durable or
    /// not: what a crash may take back.
    ///
    /// # Errors
    ///
    /// `Input` if `path` leads nowhere, or its collection is not relaxed; as [`Store::get`].
    pub fn offered<T: DeserializeOwned>(&self, path: impl IntoPath) -> Result<Option<T>> {
        let path = path.into_path()?;
        self.order.outside()?;
        check_relaxed(&self.order.view_unlagged().declared, &path)?;
        // First what is held: if it takes its place meanwhile it is in both.
        let held = self.order.offers.0.lock().values.clone();
        let mut version = self.order.pending.lock().version.clone();
        let stamp = Stamp::new(version.position, version.time);
        for (path, value) in held {
            // One that cannot be set is dropped later, too.
            let _unheard = version.apply(&Op::Set { path, value }, &stamp);
        }
        version.layered(&path)?.map(|value| value.read()).transpose()
    }
}

fn check_relaxed(declared: &crate::store::collection::Declared, path: &Path) -> Result<()> {
    let name = path.collection();
    if path.key().is_some() && declared.of(name).is_some_and(|collection| collection.is_relaxed) {
        return Ok(());
    }
    let what = format!("{path} cannot be offered: collection {name} is not relaxed, or it names all of it");
    Err(Error::new(ErrorKind::Input, what)
        .advise("set it, or declare the collection relaxed, which is lossy"))
}
