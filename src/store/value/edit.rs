//! Changing a value at a path inside it, and the difference between two values as such changes.

use crate::store::value::{Array, Object, Value};

/// Why a path does not lead to a place in a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// After so many segments stands something that is neither object nor array.
    Scalar { segments: usize, kind: &'static str },
    /// After so many segments stands an array of this length, and the next segment is no index of it.
    Index { segments: usize, len: usize },
}

impl Fault {
    fn deeper(self) -> Fault {
        match self {
            Fault::Scalar { segments, kind } => Fault::Scalar { segments: segments + 1, kind },
            Fault::Index { segments, len } => Fault::Index { segments: segments + 1, len },
        }
    }
}

/// The index that a segment means where the value is an array.
pub(crate) fn array_index(segment: &str) -> Option<usize> {
    let plain = segment == "0" || !segment.starts_with(['0', '+']);
    segment.parse().ok().filter(|_| plain)
}

/// A place inside a value and what is to be there; nothing means that it goes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) path: Vec<String>,
    pub(crate) new: Option<Value>,
}

impl Value {
    /// What stands at `path`, if anything.
    pub(crate) fn at(&self, path: &[impl AsRef<str>]) -> Option<&Value> {
        path.iter().try_fold(self, |value, segment| value.get(segment.as_ref()))
    }

    /// Puts `new` at `path`. Missing parents become objects; the index just behind the end of an array adds to it.
    pub(crate) fn set_at(&mut self, path: &[impl AsRef<str>], new: Value) -> Result<(), Fault> {
        let Some((segment, rest)) = path.split_first() else {
            *self = new;
            return Ok(());
        };
        let segment = segment.as_ref();
        let mut child = match self {
            Value::Object(object) => object.get(segment).cloned(),
            Value::Array(array) => {
                let len = array.len();
                let index = array_index(segment).filter(|index| *index <= len);
                array.get(index.ok_or(Fault::Index { segments: 0, len })?).cloned()
            }
            other => return Err(Fault::Scalar { segments: 0, kind: other.kind() }),
        }
        .unwrap_or_else(|| Value::Object(Object::new()));
        child.set_at(rest, new).map_err(Fault::deeper)?;
        match self {
            Value::Object(object) => object.insert(segment, child),
            Value::Array(array) => match array_index(segment) {
                Some(index) if index < array.len() => {
                    array.set(index, child);
                }
                _ => array.push(child),
            },
            _ => {}
        }
        Ok(())
    }

    /// Takes out what stands at `path`, which has at least one segment. Elements behind one of an array move up.
    pub(crate) fn remove_at(&mut self, path: &[impl AsRef<str>]) -> Option<Value> {
        let (segment, rest) = path.split_first()?;
        let segment = segment.as_ref();
        if rest.is_empty() {
            return match self {
                Value::Object(object) => object.remove(segment),
                Value::Array(array) => array.remove(array_index(segment)?),
                _ => None,
            };
        }
        let mut child = self.get(segment)?.clone();
        let removed = child.remove_at(rest)?;
        match self {
            Value::Object(object) => object.insert(segment, child),
            Value::Array(array) => {
                array.set(array_index(segment)?, child);
            }
            _ => {}
        }
        Some(removed)
    }

    /// The value with an RFC 7396 merge patch applied: members of objects are merged, `null` takes a member out, all
    /// else replaces.
    pub(crate) fn merged(&self, patch: &Value) -> Value {
        let Value::Object(patch) = patch else { return patch.clone() };
        let mut target = self.as_object().cloned().unwrap_or_default();
        for (key, change) in patch.iter() {
            if change.is_null() {
                target.remove(key);
            } else {
                let merged = target.get(key).unwrap_or(&Value::Null).merged(change);
                target.insert(key, merged);
            }
        }
        Value::Object(target)
    }

    /// This value with what somebody changed who saw only a part of it: saw `before` and left `after`. Members that
    /// were not seen stay, also inside elements of lists that were kept.
    pub(crate) fn rebased(&self, before: &Value, after: &Value) -> Value {
        match (self, before, after) {
            _ if before == after => self.clone(),
            (Value::Object(stored), Value::Object(before), Value::Object(after)) => {
                let mut new = stored.clone();
                for (key, _) in before.iter().filter(|(key, _)| after.get(key).is_none()) {
                    new.remove(key);
                }
                for (key, value) in after.iter() {
                    let known = stored.get(key).zip(before.get(key));
                    let value =
                        known.map_or_else(|| value.clone(), |(stored, before)| stored.rebased(before, value));
                    new.insert(key, value);
                }
                Value::Object(new)
            }
            (Value::Array(stored), Value::Array(before), Value::Array(after))
                if stored.len() == before.len() =>
            {
                Value::Array(rebased_elements(stored, before, after))
            }
            _ => after.clone(),
        }
    }

    /// The changes that make `new` of this value, none where both are the same. Paths into arrays are given only where
    /// elements change in place or come at the end.
    pub(crate) fn changes_to(&self, new: &Value) -> Vec<Change> {
        let mut changes = Vec::new();
        collect(self, new, &mut Vec::new(), &mut changes);
        changes
    }
}

fn collect(old: &Value, new: &Value, path: &mut Vec<String>, changes: &mut Vec<Change>) {
    match (old, new) {
        _ if old == new => {}
        (Value::Object(old), Value::Object(new)) => {
            for (key, _) in old.iter().filter(|(key, _)| new.get(key).is_none()) {
                within(path, key.to_owned(), |path| changes.push(Change { path: path.clone(), new: None }));
            }
            for (key, value) in new.iter() {
                within(path, key.to_owned(), |path| match old.get(key) {
                    Some(before) => collect(before, value, path, changes),
                    None => changes.push(Change { path: path.clone(), new: Some(value.clone()) }),
                });
            }
        }
        (Value::Array(old), Value::Array(new)) if in_place(old, new) => {
            for (index, value) in new.iter().enumerate() {
                within(path, index.to_string(), |path| match old.get(index) {
                    Some(before) => collect(before, value, path, changes),
                    None => changes.push(Change { path: path.clone(), new: Some(value.clone()) }),
                });
            }
        }
        _ => changes.push(Change { path: path.clone(), new: Some(new.clone()) }),
    }
}

/// Elements that were left as they were seen keep what was not seen of them. One that changed in its place keeps it, too,
/// unless what stood there is known again elsewhere.
fn rebased_elements(stored: &Array, before: &Array, after: &Array) -> Array {
    let mut from = 0;
    let same_as: Vec<Option<usize>> = after
        .iter()
        .map(|value| {
            let found = (from..before.len()).find(|place| before.get(*place) == Some(value))?;
            from = found + 1;
            Some(found)
        })
        .collect();
    let element = |(place, value): (usize, &Value)| {
        let in_place = before.len() == after.len() && !same_as.contains(&Some(place));
        let source = same_as[place].or(in_place.then_some(place));
        let known = source.and_then(|place| stored.get(place).zip(before.get(place)));
        known.map_or_else(|| value.clone(), |(stored, before)| stored.rebased(before, value))
    };
    after.iter().enumerate().map(element).collect()
}

/// Whether an array became another by a few changed and added elements, so that it pays to name them.
fn in_place(old: &Array, new: &Array) -> bool {
    let changed = old.iter().zip(new.iter()).filter(|(old, new)| old != new).count();
    old.len() <= new.len() && 2 * changed <= old.len()
}

fn within(path: &mut Vec<String>, segment: String, visit: impl FnOnce(&mut Vec<String>)) {
    path.push(segment);
    visit(path);
    path.pop();
}
