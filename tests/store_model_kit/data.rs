//! What a store ought to hold, as plain maps, and what each change ought to do to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::marks::{Scope, inner_changes};

/// A collection and a key in it.
pub(crate) type Place = (usize, usize);

pub(crate) const COLLECTIONS: [&str; 2] = ["notes", "settings"];
/// Keys that sort in another order than they are listed, and such that need escaping.
pub(crate) const KEYS: [&str; 5] = ["b", "a.b/c", "", "ä", "a"];

/// Documents and series. An entry stands under its time and then in the order in which entries were pushed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Data {
    pub(crate) documents: BTreeMap<Place, Value>,
    pub(crate) series: BTreeMap<Place, BTreeMap<(u64, u64), Value>>,
}

/// What a reader sees of it.
#[derive(Debug, PartialEq)]
pub(crate) struct Shown {
    pub(crate) documents: BTreeMap<Place, Value>,
    pub(crate) series: BTreeMap<Place, Vec<(u64, Value)>>,
}

#[derive(Clone, Debug)]
pub(crate) enum Change {
    Set(Place, Value),
    /// A member of a document, or a refusal where that is no object.
    Member(Place, u8, Value),
    Remove(Place),
    RemoveMember(Place, u8),
    Append(Place, u64),
    Merge(Place, Value),
    Clear(usize),
    /// An entry of a series, under a time of its own or that of the transaction; the series keeps so many.
    Push(Place, Option<u64>, u8, Option<u64>),
    Cut(Place, u64),
}

/// One number after the other: of entries, and of the changes of a document.
pub(crate) fn next() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

pub(crate) fn member(number: u8) -> String {
    format!("m{number}")
}

/// Where something happened: in a document, below these segments, or to an entry of a series.
pub(crate) type Effect = (Place, Option<Vec<String>>);

/// A transaction as the model does it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    pub(crate) data: Data,
    /// What tells apart whether a document was changed since.
    pub(crate) revisions: BTreeMap<Place, u64>,
    keep: BTreeMap<Place, u64>,
    pub(crate) effects: Vec<Effect>,
    /// Series that the transaction itself has cut.
    cut: BTreeSet<Place>,
    /// Entries that went at the end, because their series keeps only so many.
    pub(crate) displaced: Vec<(Place, (u64, u64))>,
}

impl Data {
    pub(crate) fn shown(&self) -> Shown {
        let entries = |(place, entries): (&Place, &BTreeMap<(u64, u64), Value>)| {
            (*place, entries.iter().map(|((time, _), value)| (*time, value.clone())).collect())
        };
        Shown { documents: self.documents.clone(), series: self.series.iter().map(entries).collect() }
    }

    /// Puts an entry, or takes it out; a series without entries is none.
    pub(crate) fn put_entry(&mut self, place: Place, at: (u64, u64), value: Option<Value>) {
        let series = self.series.entry(place).or_default();
        match value {
            Some(value) => drop(series.insert(at, value)),
            None => drop(series.remove(&at)),
        }
        if series.is_empty() {
            self.series.remove(&place);
        }
    }
}

impl Draft {
    pub(crate) fn new(data: &Data, revisions: &BTreeMap<Place, u64>) -> Draft {
        Draft { data: data.clone(), revisions: revisions.clone(), ..Draft::default() }
    }

    /// Does a change; `None` if it must be refused, and then nothing has changed. `time` is that of the transaction.
    pub(crate) fn apply(&mut self, change: &Change, time: u64) -> Option<()> {
        match change {
            Change::Set(place, value) => {
                let old = self.data.documents.get(place);
                if old == Some(value) {
                    return Some(());
                }
                self.put(*place, value.clone(), vec![])
            }
            Change::Member(place, m, value) => {
                let mut new = self.data.documents.get(place).cloned().unwrap_or_else(|| json!({}));
                if new.as_object_mut()?.insert(member(*m), value.clone()).as_ref() == Some(value) {
                    return Some(());
                }
                self.put(*place, new, vec![member(*m)])
            }
            Change::Remove(place) => {
                if self.data.documents.remove(place).is_some() {
                    self.touched(*place, vec![]);
                }
                Some(())
            }
            Change::RemoveMember(place, m) => {
                if let Some(Value::Object(there)) = self.data.documents.get_mut(place)
                    && there.remove(&member(*m)).is_some()
                {
                    self.touched(*place, vec![member(*m)]);
                }
                Some(())
            }
            Change::Append(place, keep) => self.append(*place, *keep),
            Change::Merge(place, patch) => self.merge(*place, patch),
            Change::Clear(collection) => {
                self.clear(*collection);
                Some(())
            }
            Change::Push(place, own, value, keep) => self.push(*place, own.unwrap_or(time), *value, *keep),
            Change::Cut(place, before) => {
                let entries = self.data.series.get(place).into_iter().flatten();
                let gone: Vec<_> = entries.map(|(at, _)| *at).filter(|(time, _)| time < before).collect();
                for at in gone {
                    self.data.put_entry(*place, at, None);
                    self.effects.push((*place, None));
                    self.cut.insert(*place);
                }
                Some(())
            }
        }
    }

    fn touched(&mut self, place: Place, inner: Vec<String>) {
        self.revisions.insert(place, next());
        self.effects.push((place, Some(inner)));
    }

    /// A document where a series is must be refused.
    fn put(&mut self, place: Place, value: Value, inner: Vec<String>) -> Option<()> {
        if self.data.series.contains_key(&place) {
            return None;
        }
        self.data.documents.insert(place, value);
        self.touched(place, inner);
        Some(())
    }

    fn append(&mut self, place: Place, keep: u64) -> Option<()> {
        let mut new = self.data.documents.get(&place).cloned().unwrap_or_else(|| json!([]));
        let list = new.as_array_mut()?;
        list.push(json!("new"));
        let surplus = list.len().saturating_sub(keep as usize);
        list.drain(..surplus);
        self.put(place, new, vec![])
    }

    fn merge(&mut self, place: Place, patch: &Value) -> Option<()> {
        let old = self.data.documents.get(&place).cloned();
        let mut new = old.clone().unwrap_or(Value::Null);
        merge(&mut new, patch);
        let Some(old) = old else { return self.put(place, new, vec![]) };
        for change in inner_changes(&old, &new) {
            self.touched(place, change.0);
        }
        self.data.documents.insert(place, new);
        Some(())
    }

    fn clear(&mut self, collection: usize) {
        let is_here = |place: &&Place| place.0 == collection;
        if self.data.documents.keys().chain(self.data.series.keys()).any(|place| is_here(&place)) {
            self.cut.extend((0..KEYS.len()).map(|key| (collection, key)));
        }
        let documents = self.data.documents.keys().copied().collect::<Vec<_>>();
        for place in documents.into_iter().filter(|place| place.0 == collection) {
            self.data.documents.remove(&place);
            self.touched(place, vec![]);
        }
        let series = self.data.series.keys().copied().collect::<Vec<_>>();
        for place in series.into_iter().filter(|place| place.0 == collection) {
            self.data.series.remove(&place);
            self.effects.push((place, None));
        }
    }

    fn push(&mut self, place: Place, time: u64, value: u8, keep: Option<u64>) -> Option<()> {
        if self.data.documents.contains_key(&place) {
            return None;
        }
        self.data.put_entry(place, (time, next()), Some(json!(value)));
        self.effects.push((place, None));
        if let Some(keep) = keep {
            let known = self.keep.entry(place).or_insert(keep);
            *known = keep.min(*known);
        }
        Some(())
    }

    /// What happens at the end of a transaction: series are cut to what they keep.
    pub(crate) fn end(&mut self) {
        for (place, keep) in std::mem::take(&mut self.keep) {
            let entries = self.data.series.get(&place).into_iter().flatten();
            let all: Vec<_> = entries.map(|(at, _)| *at).collect();
            let surplus = all.len().saturating_sub(keep as usize);
            for at in &all[..surplus] {
                self.data.put_entry(place, *at, None);
                self.displaced.push((place, *at));
            }
        }
    }

    /// What it displaced and did not take out itself.
    pub(crate) fn displaced(&self) -> Vec<(Place, (u64, u64))> {
        self.displaced.iter().copied().filter(|(place, _)| !self.cut.contains(place)).collect()
    }

    /// Whether all that it changed lies inside.
    pub(crate) fn is_inside(&self, scope: &Scope) -> bool {
        self.effects.iter().all(|(place, inner)| match inner {
            Some(inner) => scope.covers(*place, inner),
            None => scope.covers_all_of(*place),
        })
    }
}

/// RFC 7396, as its pseudo-code has it.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let members = target.as_object_mut().expect("an object");
    for (key, change) in patch {
        if change.is_null() {
            members.remove(key);
        } else {
            merge(members.entry(key.clone()).or_insert(Value::Null), change);
        }
    }
}
