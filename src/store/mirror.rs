//! A mirror: a readable JSON file that follows a collection. A copy for people; never read unless somebody asks for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path as FilePath, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Result};
use crate::journal::options::Background;
use crate::journal::{Journal, Receipt, spawn};
use crate::medium::outside::{self, Look, Turn};
use crate::position::{Lsn, Position};
use crate::store::export::write_collection;
use crate::store::import::Told;
use crate::store::mirror_file::{self, Header};
use crate::store::order::Order;
use crate::store::path::Path;
use crate::store::value::text;
use crate::store::value::{Value, keyed_sum};
use crate::store::version::Version;
use crate::store::{Store, Tx, key};

/// How long the thread waits for something new before it looks whether it is still wanted.
const WAIT: Duration = Duration::from_secs(60);

/// A readable JSON file that follows a collection; it keeps the store open. Dropping it writes what is not written yet,
/// unless that happens inside a closure of the store, and leaves the file there.
pub struct Mirror {
    shared: Arc<Shared>,
    order: Arc<Order>,
}

/// How a mirror is doing.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct MirrorStatus {
    /// The position whose state the file shows.
    pub position: Option<Position>,
    /// Why the file could not be written the last time, if so. It is tried again after the next commit.
    pub failure: Option<Error>,
}

/// What came of reading a mirror.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct MirrorImport {
    /// The documents that somebody changed in the file.
    pub changed: Vec<Path>,
    /// The documents that somebody took out of the file.
    pub removed: Vec<Path>,
    /// The proof that they are in the store.
    pub receipt: Option<Receipt>,
    /// Numbers of the file that are not held exactly.
    pub numbers: Told,
    /// Keys of the file that came twice; the last counts.
    pub duplicates: Told,
    /// Why the file was not brought up to date afterwards, if so. The store has the changes all the same.
    pub file_failure: Option<Error>,
}

struct Shared {
    collection: String,
    file: PathBuf,
    /// Locked while the file is written, behind its [`Turn`].
    state: Mutex<State>,
    is_over: AtomicBool,
    /// Held by the thread while it holds the store, so that whoever drops the mirror is the last to.
    round: Mutex<()>,
}

#[derive(Default)]
struct State {
    status: MirrorStatus,
    /// The last change of the collection that is in the file.
    changed: Option<Lsn>,
    /// How the file looked when it was written.
    look: Option<Look>,
}

impl Store {
    /// Keeps `file` as a readable copy of a collection: a JSON object of its documents, and behind them a member
    /// `$everlog` that names the position. It is written now, and by a thread after commits that change the collection, at
    /// most once for each; what comes meanwhile is written at once. It is replaced as a whole, durably: a reader never sees
    /// half of it.
    ///
    /// Edits by people are neither read nor written over: the mirror then stops with `Conflict` in its status until
    /// [`Store::import_mirror`] has taken them in, or the file is gone. With
    /// [`Background::Inline`](crate::journal::Background) there is no thread; call [`Mirror::write`].
    ///
    /// # Errors
    ///
    /// `Conflict` if `file` is there and was edited, or is something else; `Input` if `collection` cannot be one;
    /// `ReadOnly`; and what the system says of `file`.
    pub fn mirror(&self, collection: &str, file: impl AsRef<FilePath>) -> Result<Mirror> {
        key::check_users(collection)?;
        self.order.journal.writer_core()?;
        let shared = Arc::new(Shared {
            collection: collection.to_owned(),
            file: file.as_ref().to_path_buf(),
            state: Mutex::default(),
            is_over: AtomicBool::new(false),
            round: Mutex::default(),
        });
        let mirror = Mirror { shared, order: Arc::clone(&self.order) };
        mirror.write()?;
        if self.order.journal.opened_with().background == Background::Threads {
            mirror.start()?;
        }
        Ok(mirror)
    }

    /// Takes in what somebody edited in the file of a mirror, in one transaction, and brings the file up to date. Only
    /// documents that differ from what the mirror had written are touched.
    ///
    /// # Errors
    ///
    /// `Conflict` if one of them was changed in the store, too, since the position that the file names; it names them, and
    /// nothing is changed. `Input` if the file is not JSON or not that of a mirror, or if it holds what no value can: half
    /// of a surrogate pair, bytes that are no UTF-8, a number beyond all floats. `BeforeHorizon` if what the mirror had
    /// written is no longer known; and as [`Store::set`].
    pub fn import_mirror(&self, file: impl AsRef<FilePath>) -> Result<MirrorImport> {
        let file = file.as_ref();
        // Whoever waits for the turn must not hold up whoever has it and waits for a closure to end.
        self.order.outside()?;
        let turn = Turn::at(file);
        let look = outside::look(file)?;
        let Found { header, documents: found, numbers, duplicates, .. } = read(file)?.unaltered(file)?;
        let base = self.base_of(&header)?;
        let keys: BTreeSet<&String> = found.keys().chain(base.keys()).collect();
        let edited: Vec<&String> = keys.into_iter().filter(|key| found.get(*key) != base.get(*key)).collect();
        let (mut taken, receipt) = self.transaction(|tx| {
            let mut taken = MirrorImport::default();
            let mut conflicts = Vec::new();
            for key in &edited {
                let path = Path::of_segments([&header.collection, *key]);
                if !take(tx, &path, base.get(*key), found.get(*key), &mut taken)? {
                    conflicts.push(path.to_string());
                }
            }
            if conflicts.is_empty() { Ok(taken) } else { Err(conflict(&conflicts, &header)) }
        })?;
        taken.receipt = Some(receipt);
        (taken.numbers, taken.duplicates) = (numbers, duplicates);
        let written = unchanged(file, look)
            .and_then(|()| self.order.settled_view())
            .and_then(|version| write(&version, &header.collection, &turn));
        taken.file_failure = written.err();
        Ok(taken)
    }

    /// The documents that a mirror had written.
    fn base_of(&self, header: &Header) -> Result<BTreeMap<String, Value>> {
        let current = documents(self.view().version(), &header.collection)?;
        if sum(&current) == header.sum {
            return Ok(current);
        }
        let view = self.at(header.position)?;
        let base = documents(view.version(), &header.collection)?;
        if sum(&base) != header.sum {
            let what = format!("the store had something else at {} than the file says", header.position);
            return Err(Error::new(ErrorKind::Conflict, what).advise("import the file as plain JSON instead"));
        }
        Ok(base)
    }
}

/// Refuses to write over what somebody has written since.
fn unchanged(file: &FilePath, since: Option<Look>) -> Result<()> {
    if outside::look(file)? == since {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Conflict, "the file was edited once more meanwhile")
        .in_file(file.display().to_string())
        .advise("import it again; nothing was written over"))
}

/// Takes in one edit; `false` if the store has moved, too.
fn take(
    tx: &mut Tx<'_>,
    path: &Path,
    base: Option<&Value>,
    new: Option<&Value>,
    taken: &mut MirrorImport,
) -> Result<bool> {
    // As it is stored: the file shows no defaults.
    let current = tx.version().value(path)?;
    if current.as_ref() != base && current.as_ref() != new {
        return Ok(false);
    }
    match new {
        Some(new) => {
            tx.change_to(path, current, new.clone())?;
            taken.changed.push(path.clone());
        }
        None => {
            tx.remove(path)?;
            taken.removed.push(path.clone());
        }
    }
    Ok(true)
}

fn conflict(paths: &[String], header: &Header) -> Error {
    const NAMED_MAX: usize = 10;
    let named = paths.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    let more = if paths.len() > NAMED_MAX {
        format!(" and {} more", paths.len() - NAMED_MAX)
    } else {
        String::new()
    };
    let what = format!("changed in the store and in the file since {}: {named}{more}", header.position);
    Error::new(ErrorKind::Conflict, what)
        .advise("take the edits of these out of the file, or set them in the store")
}

impl Mirror {
    /// Writes the file now if it does not show the newest durable state.
    ///
    /// # Errors
    ///
    /// As [`Store::mirror`].
    pub fn write(&self) -> Result<()> {
        self.shared.write(&self.order)
    }

    /// How it is doing.
    pub fn status(&self) -> MirrorStatus {
        self.shared.state.lock().status.clone()
    }

    fn start(&self) -> Result<()> {
        let (shared, order) = (Arc::clone(&self.shared), Arc::downgrade(&self.order));
        let journal = self.order.journal.clone();
        spawn("everlog-mirror", move || follow(&shared, &order, &journal)).map(drop)
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        if let Ok(core) = self.order.journal.writer_core() {
            core.nudge();
        }
        if self.order.outside().is_err() {
            // The thread may wait for the closure that this is called from.
            return;
        }
        drop(self.shared.round.lock());
        // Whoever wants to know how it went calls write.
        let _unheard = self.write();
    }
}

impl std::fmt::Debug for Mirror {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mirror").field("file", &self.shared.file).finish_non_exhaustive()
    }
}

/// Writes the file again and again, until the mirror or the journal is over.
fn follow(shared: &Shared, order: &Weak<Order>, journal: &Journal) {
    let Ok(core) = journal.writer_core() else { return };
    loop {
        let seen = journal.durable_lsn();
        {
            let _round = shared.round.lock();
            if shared.is_over.load(Ordering::Acquire) {
                return;
            }
            let Some(order) = order.upgrade() else { return };
            let closed = core.is_closed();
            // The status tells of a failure, and the next commit is the next attempt.
            let _told = shared.write(&order);
            if closed {
                return;
            }
        }
        let end = core.watch_or(seen, WAIT, |_| shared.is_over.load(Ordering::Acquire));
        if end <= seen && core.failure().is_some() {
            return;
        }
    }
}

impl Shared {
    fn write(&self, order: &Order) -> Result<()> {
        order.outside()?;
        let turn = Turn::at(&self.file);
        // Looked at by whoever has the turn: an older state never comes after a newer one.
        let version = order.settled_view()?;
        let mut state = self.state.lock();
        let changed = version.tally(&self.collection).changed;
        if state.changed.is_some_and(|written| written >= changed) {
            return Ok(());
        }
        let outcome = self.check(&state, &version).and_then(|()| write(&version, &self.collection, &turn));
        match outcome {
            Ok(look) => {
                let status = MirrorStatus { position: Some(version.position), failure: None };
                *state = State { status, changed: Some(changed), look: Some(look) };
                Ok(())
            }
            Err(error) => {
                state.status.failure = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Refuses to write over what somebody else has written, unless that is in the store.
    fn check(&self, state: &State, version: &Version) -> Result<()> {
        let look = outside::look(&self.file)?;
        if look.is_none() || look == state.look {
            return Ok(());
        }
        let refusal = |what: &str| {
            let error = Error::new(ErrorKind::Conflict, what).in_file(self.file.display().to_string());
            error.advise(
                "take the edits in with import_mirror, or move the file away; nothing was written over",
            )
        };
        let Found { header, documents: found, altered, .. } =
            read(&self.file).map_err(|_| refusal("the file is not one that a mirror wrote"))?;
        if header.collection != self.collection {
            return Err(refusal("the file is the mirror of another collection"));
        }
        if altered.is_some() || sum(&found) != header.sum && found != documents(version, &self.collection)? {
            return Err(refusal("the file was edited since the mirror wrote it"));
        }
        Ok(())
    }
}

fn write(version: &Version, collection: &str, turn: &Turn) -> Result<Look> {
    turn.replace(|to| {
        let mut to = serde_json::Serializer::pretty(to);
        write_collection(version, collection, true, &mut to)?;
        let end = to.into_inner().write_all(b"\n");
        end.map_err(|error| Error::io("write", "mirror", error))
    })
}

/// What stands in the file of a mirror.
struct Found {
    header: Header,
    documents: BTreeMap<String, Value>,
    /// What of the text no value can hold, if there is any: the documents have something else in its place.
    altered: Option<&'static str>,
    numbers: Told,
    duplicates: Told,
}

impl Found {
    /// Refuses what is not what the file says.
    fn unaltered(self, file: &FilePath) -> Result<Found> {
        let Some(what) = self.altered else { return Ok(self) };
        Err(Error::new(ErrorKind::Input, what)
            .in_file(file.display().to_string())
            .advise("mend it; nothing was changed"))
    }
}

fn altered(notes: &text::Notes) -> Option<&'static str> {
    if notes.surrogates + notes.bytes > 0 {
        return Some("a text in the file has half of a surrogate pair, or is not UTF-8");
    }
    (notes.overflows > 0).then_some("a number in the file is beyond all floats")
}

/// Reads the file of a mirror.
fn read(file: &FilePath) -> Result<Found> {
    let name = || file.display().to_string();
    let bytes = outside::read(file)?;
    let parsed = text::parse(&bytes);
    if let Some(fault) = parsed.fault {
        let what =
            format!("the file is not JSON: line {}, column {}: {}", fault.line, fault.column, fault.what);
        return Err(Error::new(ErrorKind::Input, what)
            .in_file(name())
            .advise("mend it; nothing was changed"));
    }
    let (mut numbers, mut duplicates) = (Told::default(), Told::default());
    let altered = altered(&parsed.notes);
    numbers.take(parsed.notes.inexact, parsed.notes.inexact_count);
    duplicates.take(parsed.notes.twice, parsed.notes.twice_count);
    let mut header = None;
    let mut documents = BTreeMap::new();
    for part in parsed.parts {
        if part.key == mirror_file::HEADER {
            header = Header::read(&part.value);
        } else if documents.insert(mirror_file::unescape(&part.key).to_owned(), part.value).is_some() {
            let what = format!("key {} came twice; the last counts", text::short(&part.key));
            duplicates.push(Some(part.line), what);
        }
    }
    let none = || Error::new(ErrorKind::Input, "the file has no member $everlog of a mirror").in_file(name());
    Ok(Found { header: header.ok_or_else(none)?, documents, altered, numbers, duplicates })
}

fn documents(version: &Version, collection: &str) -> Result<BTreeMap<String, Value>> {
    let mut found = BTreeMap::new();
    for pair in version.range(&key::documents(collection)) {
        let (bytes, document) = pair?;
        if let Some(key::Named::Document { key, .. }) = key::read(&bytes) {
            found.insert(key.to_owned(), document.value.clone());
        }
    }
    Ok(found)
}

fn sum(documents: &BTreeMap<String, Value>) -> u128 {
    documents.iter().fold(0, |sum: u128, (key, value)| sum.wrapping_add(keyed_sum(key.as_bytes(), value)))
}
