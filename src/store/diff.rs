//! What differs between two states: found by comparing documents in the order of their keys, not by reading the log.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::position::{Lsn, Position};
use crate::state::When;
use crate::state::when::resolve;
use crate::store::document::Document;
use crate::store::key::{self, Key};
use crate::store::path::{IntoPath, Path};
use crate::store::value::Value;
use crate::store::version::Version;
use crate::store::{Store, replay};

/// A place that differs: what stood there and what stands there then.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PathChange {
    /// The place.
    pub path: Path,
    /// What was there; `None` if nothing was.
    pub old: Option<Value>,
    /// What is there then; `None` if nothing is.
    pub new: Option<Value>,
    /// Time and number of the entry, if the place is a series.
    pub entry: Option<(Timestamp, Lsn)>,
}

/// Paths that something is restricted to, none of them inside another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope(Vec<Path>);

impl Scope {
    pub(crate) fn of(prefixes: impl IntoIterator<Item = impl IntoPath>) -> Result<Scope> {
        let mut paths: Vec<Path> = prefixes.into_iter().map(IntoPath::into_path).collect::<Result<_>>()?;
        // A prefix of a path stands before it.
        paths.sort();
        paths.dedup_by(|later, earlier| earlier.is_prefix_of(later));
        Ok(Scope(paths))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn paths(&self) -> &[Path] {
        &self.0
    }

    /// Whether all of `path` lies inside.
    pub(crate) fn covers(&self, path: &Path) -> bool {
        self.0.iter().any(|prefix| prefix.is_prefix_of(path))
    }

    /// Those that lie below `path`.
    pub(crate) fn below<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a Path> {
        self.0.iter().filter(move |prefix| path.is_prefix_of(prefix) && *prefix != path)
    }

    /// Whether `path` and anything of this have something in common.
    pub(crate) fn meets(&self, path: &Path) -> bool {
        self.covers(path) || self.below(path).next().is_some()
    }

    /// What the keys of all that may lie inside start with; `true` if only the very key does.
    fn key_prefixes(&self) -> Vec<(Vec<u8>, bool)> {
        if self.0.is_empty() {
            return vec![(Vec::new(), false)];
        }
        let mut prefixes = Vec::new();
        for path in &self.0 {
            match path.key() {
                None => prefixes.push(([path.collection().as_bytes(), &[0]].concat(), false)),
                Some(name) => {
                    prefixes.push((key::document(path.collection(), name).to_vec(), true));
                    prefixes.push((key::series(path.collection(), name), false));
                }
            }
        }
        prefixes.sort();
        prefixes.dedup();
        prefixes
    }
}

/// A document, or an entry of a series, that differs.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    path: Path,
    entry: Option<(Timestamp, Lsn)>,
    pub(crate) old: Option<Value>,
    pub(crate) new: Option<Value>,
}

impl Difference {
    /// What two versions have under `key`, if it differs and is a user's.
    pub(crate) fn under(key: &[u8], old: &Version, new: &Version) -> Result<Option<Difference>> {
        let (path, entry) = match key::read(key) {
            Some(key::Named::Document { collection, key }) if key::is_users(collection) => {
                (Path::of_segments([collection, key]), None)
            }
            Some(key::Named::Entry { collection, key, time, lsn }) if key::is_users(collection) => {
                (Path::of_segments([collection, &key]), Some((time, lsn)))
            }
            _ => return Ok(None),
        };
        let value = |document: Option<Arc<Document>>| document.map(|document| document.value.clone());
        let (old, new) = (old.slot(key)?, new.slot(key)?);
        let same = match (&old, &new) {
            (Some(old), Some(new)) => old.revision == new.revision || old.value == new.value,
            (old, new) => old.is_none() && new.is_none(),
        };
        Ok((!same).then(|| Difference { path, entry, old: value(old), new: value(new) }))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is one of a series.
    pub(crate) fn is_entry(&self) -> bool {
        self.entry.is_some()
    }

    /// What `version` has under its key.
    pub(crate) fn found_in(&self, version: &Version) -> Result<Option<Value>> {
        found(&self.path, self.entry, version)
    }

    /// The same the other way round.
    pub(crate) fn reversed(&self) -> Difference {
        Difference { old: self.new.clone(), new: self.old.clone(), ..self.clone() }
    }

    /// The places inside `scope` that differ; all of them if it is empty.
    pub(crate) fn changes(&self, scope: &Scope) -> Vec<PathChange> {
        if self.is_inside(scope) {
            return self.changes_at(&self.path, self.old.clone(), self.new.clone());
        }
        scope.below(&self.path).flat_map(|path| self.changes_below(path)).collect()
    }

    /// The same, but of a list that a path of `scope` leads into all places: one that comes or goes moves the others.
    pub(crate) fn changes_of_lists(&self, scope: &Scope) -> Vec<PathChange> {
        if self.is_inside(scope) {
            return self.changes(scope);
        }
        let mut parts: Vec<Path> = scope.below(&self.path).map(|path| self.list_or(path)).collect();
        parts.dedup();
        parts.iter().flat_map(|path| self.changes_below(path)).collect()
    }

    /// The outermost list that a path leads into, or all of the path if there is none.
    pub(crate) fn list_or(&self, path: &Path) -> Path {
        let steps = steps_to_list(self.old.as_ref(), self.new.as_ref(), path.inner());
        Path::of_segments(path.segments().iter().take(2 + steps).cloned())
    }

    fn is_inside(&self, scope: &Scope) -> bool {
        scope.is_empty() || scope.covers(&self.path) || self.is_entry()
    }

    fn changes_below(&self, path: &Path) -> Vec<PathChange> {
        let at = |value: &Option<Value>| value.as_ref()?.at(path.inner()).cloned();
        self.changes_at(path, at(&self.old), at(&self.new))
    }

    fn changes_at(&self, path: &Path, old: Option<Value>, new: Option<Value>) -> Vec<PathChange> {
        let (Some(before), Some(after), None) = (&old, &new, self.entry) else {
            let is_something = old != new;
            let change = PathChange { path: path.clone(), old, new, entry: self.entry };
            return is_something.then_some(change).into_iter().collect();
        };
        let changes = before.changes_to(after).into_iter();
        let change = |change: crate::store::value::Change| PathChange {
            path: change.path.iter().fold(path.clone(), |path, segment| path.join(segment.as_str())),
            old: before.at(&change.path).cloned(),
            new: change.new,
            entry: None,
        };
        changes.map(change).collect()
    }
}

/// Visits all that differs inside `scope`, or at all if it is empty, in the order of the keys.
pub(crate) fn each_difference(
    old: &Version,
    new: &Version,
    scope: &Scope,
    visit: &mut dyn FnMut(Difference) -> Result<()>,
) -> Result<()> {
    for (prefix, exact) in scope.key_prefixes() {
        for key in old.keys_apart(new, &prefix) {
            let key: Key = key?;
            if exact && *key != *prefix {
                break;
            }
            if let Some(difference) = Difference::under(&key, old, new)? {
                visit(difference)?;
            }
        }
    }
    Ok(())
}

impl PathChange {
    /// The document that the place is in, or the entry that it is.
    pub(crate) fn found_in(&self, version: &Version) -> Result<Option<Value>> {
        found(&self.path, self.entry, version)
    }

    /// The revision of the document that the place is in.
    pub(crate) fn revision_in(&self, version: &Version) -> Result<Option<Position>> {
        Ok(version.slot(&key_of(&self.path, self.entry))?.map(|document| document.revision))
    }

    /// Whether at the place in the document `now` stands what stood there in `seen`. Of a list on the way to it all has to
    /// be the same: nobody knows which of its elements came, went or moved.
    pub(crate) fn is_unmoved(&self, seen: Option<&Value>, now: Option<&Value>) -> bool {
        let inner = self.path.inner();
        let way = &inner[..steps_to_list(seen, now, inner)];
        let at = |value: Option<&Value>| value.and_then(|value| value.at(way)).cloned();
        at(seen) == at(now)
    }
}

/// How many steps of `path` lead to the outermost list on the way, in one of two documents or both; all if there is none.
fn steps_to_list(one: Option<&Value>, other: Option<&Value>, path: &[String]) -> usize {
    let (mut here, mut there) = (one, other);
    for (steps, segment) in path.iter().enumerate() {
        if [here, there].iter().flatten().any(|value| value.as_array().is_some()) {
            return steps;
        }
        here = here.and_then(|value| value.get(segment));
        there = there.and_then(|value| value.get(segment));
    }
    path.len()
}

fn key_of(path: &Path, entry: Option<(Timestamp, Lsn)>) -> Key {
    let (collection, name) = (path.collection(), path.key().unwrap_or_default());
    match entry {
        Some((time, lsn)) => key::entry(collection, name, time, lsn),
        None => key::document(collection, name),
    }
}

/// The document that a path leads to or into, or an entry.
fn found(path: &Path, entry: Option<(Timestamp, Lsn)>, version: &Version) -> Result<Option<Value>> {
    Ok(version.slot(&key_of(path, entry))?.map(|document| document.value.clone()))
}

/// What differs between two moments of a store.
#[derive(Clone, Debug)]
pub struct Diff {
    old: Arc<Version>,
    new: Arc<Version>,
    scope: Scope,
}

impl Diff {
    /// Only what lies below one of `prefixes`.
    ///
    /// # Errors
    ///
    /// `Input` if one of them leads nowhere.
    pub fn only(self, prefixes: impl IntoIterator<Item = impl IntoPath>) -> Result<Diff> {
        Ok(Diff { scope: Scope::of(prefixes)?, ..self })
    }

    /// The position of the first of the two moments.
    pub fn from(&self) -> Position {
        self.old.position
    }

    /// The position of the second of the two moments.
    pub fn to(&self) -> Position {
        self.new.position
    }

    /// Shows each place that differs, documents in the order of their keys. Keeps no more than one document in memory.
    ///
    /// # Errors
    ///
    /// `Damaged`, with file and offset, if something cannot be read; what `visit` fails with.
    pub fn each(&self, mut visit: impl FnMut(PathChange) -> Result<()>) -> Result<()> {
        each_difference(&self.old, &self.new, &self.scope, &mut |difference| {
            difference.changes(&self.scope).into_iter().try_for_each(&mut visit)
        })
    }

    /// All places that differ.
    ///
    /// # Errors
    ///
    /// As [`Diff::each`].
    pub fn changes(&self) -> Result<Vec<PathChange>> {
        let mut changes = Vec::new();
        self.each(|change| {
            changes.push(change);
            Ok(())
        })?;
        Ok(changes)
    }
}

impl Store {
    /// What differs between the moments `from` and `to`, whichever is earlier: member by member inside objects, element
    /// by element inside lists where that is shorter. Takes time in proportion to what changed since the snapshots that
    /// the two states stand on, and to what lies between those snapshots; equal documents are not looked into.
    ///
    /// # Errors
    ///
    /// As [`Store::at`].
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> everlog::Result<()> {
    /// # let directory = tempfile::tempdir().expect("a directory");
    /// # let store = everlog::Store::open(directory.path().join("store"))?;
    /// use everlog::When;
    ///
    /// let before = store.set("settings.theme", "dark")?.position;
    /// store.set("settings.theme", "light")?;
    /// let changes = store.diff(before, When::now())?.only(["settings"])?.changes()?;
    /// assert_eq!(changes[0].path.to_string(), "settings.theme");
    /// assert_eq!(changes[0].old.as_ref().and_then(|old| old.as_str()), Some("dark"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn diff(&self, from: impl Into<When>, to: impl Into<When>) -> Result<Diff> {
        let (old, new) = (self.version_at(&from.into())?, self.version_at(&to.into())?);
        Ok(Diff { old, new, scope: Scope::default() })
    }

    /// The state at a moment: from the published one on where that is near, else as [`Store::at`].
    pub(crate) fn version_at(&self, when: &When) -> Result<Arc<Version>> {
        let published = self.order.view();
        let journal = &self.order.journal;
        match resolve(journal, when) {
            Ok(resolved) if resolved.position.lsn == published.position.lsn => Ok(published),
            Ok(resolved) if resolved.position.lsn > published.position.lsn => {
                let mut version = (*published).clone();
                replay::catch_up(journal, &mut version, resolved.position.lsn)?;
                Ok(Arc::new(version))
            }
            // Also an error: the horizon may have passed by, which is dealt with there.
            _ => Ok(Arc::clone(self.at(when)?.version())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_keeps_no_path_inside_another_and_knows_what_it_meets() {
        let scope = Scope::of(["b.c", "a", "a.x", "a.x.y", "ab", "b.c.d"]).expect("paths");
        assert_eq!(scope.paths().iter().map(Path::to_string).collect::<Vec<_>>(), ["a", "ab", "b.c"]);
        let path = |text: &str| text.into_path().expect("a path");
        assert!(scope.covers(&path("a.b")) && scope.covers(&path("b.c")) && !scope.covers(&path("b")));
        assert!(scope.meets(&path("b")) && !scope.meets(&path("b.d")));
    }
}
