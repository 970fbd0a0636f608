//! What differs between two states of the model, place by place, restricted to scopes; and putting such differences.

use std::collections::BTreeSet;

use everlog::store::{Path, PathChange};
use everlog::{Timestamp, path};
use serde_json::{Value, json};

use super::data::{COLLECTIONS, Data, Draft, KEYS, Place, member, next};

/// What something is restricted to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Prefix {
    Collection(usize),
    Document(Place),
    Member(Place, u8),
}

impl Prefix {
    pub(crate) fn path(&self) -> Path {
        match self {
            Prefix::Collection(collection) => path!(COLLECTIONS[*collection]),
            Prefix::Document(place) => path_of(*place),
            Prefix::Member(place, m) => path_of(*place).join(member(*m)),
        }
    }

    pub(crate) fn covers(&self, place: Place, inner: &[String]) -> bool {
        match self {
            Prefix::Member(at, m) => *at == place && inner.first() == Some(&member(*m)),
            _ => self.covers_all_of(place),
        }
    }

    /// Whether it covers all of a document, or a series.
    pub(crate) fn covers_all_of(&self, place: Place) -> bool {
        match self {
            Prefix::Collection(collection) => *collection == place.0,
            Prefix::Document(at) => *at == place,
            Prefix::Member(..) => false,
        }
    }
}

/// Several prefixes; none is everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Scope(pub(crate) Vec<Prefix>);

impl Scope {
    pub(crate) fn paths(&self) -> Vec<Path> {
        self.0.iter().map(Prefix::path).collect()
    }

    pub(crate) fn covers(&self, place: Place, inner: &[String]) -> bool {
        self.0.is_empty() || self.0.iter().any(|prefix| prefix.covers(place, inner))
    }

    pub(crate) fn covers_all_of(&self, place: Place) -> bool {
        self.0.is_empty() || self.0.iter().any(|prefix| prefix.covers_all_of(place))
    }
}

pub(crate) fn path_of(place: Place) -> Path {
    path!(COLLECTIONS[place.0], KEYS[place.1])
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum At {
    Inner(Vec<String>),
    Entry((u64, u64)),
}

/// A place that differs, with what was there and what is there then.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mark {
    pub(crate) place: Place,
    pub(crate) at: At,
    pub(crate) old: Option<Value>,
    pub(crate) new: Option<Value>,
}

/// How a difference looks when it is compared with another: entries by their times, whatever their numbers.
pub(crate) type Told = (String, Option<u64>, String, String);

pub(crate) fn told(change: &PathChange) -> Told {
    let text = |value: &Option<everlog::store::Value>| value.as_ref().map_or("-".into(), ToString::to_string);
    let time = change.entry.map(|(time, _)| time.micros());
    (change.path.to_string(), time, text(&change.old), text(&change.new))
}

impl Mark {
    pub(crate) fn told(&self) -> Told {
        let text = |value: &Option<Value>| value.as_ref().map_or("-".into(), ToString::to_string);
        let (path, time) = match &self.at {
            At::Inner(inner) => (inner.iter().fold(path_of(self.place), |path, name| path.join(name)), None),
            At::Entry((time, _)) => (path_of(self.place), Some(Timestamp::from_micros(*time).micros())),
        };
        (path.to_string(), time, text(&self.old), text(&self.new))
    }

    /// What `data` has at the place.
    pub(crate) fn found(&self, data: &Data) -> Option<Value> {
        match &self.at {
            At::Inner(inner) => at(data.documents.get(&self.place)?, inner).cloned(),
            At::Entry(entry) => data.series.get(&self.place)?.get(entry).cloned(),
        }
    }
}

impl Mark {
    /// Whether `now` has at the place what was `seen` there; of a list on the way to it all must be the same.
    pub(crate) fn is_unmoved(&self, seen: &Data, now: &Data) -> bool {
        let At::Inner(inner) = &self.at else { return self.found(seen) == self.found(now) };
        let (seen, now) = (seen.documents.get(&self.place), now.documents.get(&self.place));
        let part =
            |value: Option<&Value>, steps: usize| value.and_then(|value| at(value, &inner[..steps])).cloned();
        let leads_into_list = |steps: &usize| {
            [seen, now].into_iter().any(|value| part(value, *steps).is_some_and(|value| value.is_array()))
        };
        let steps = (0..inner.len()).find(leads_into_list).unwrap_or(inner.len());
        part(seen, steps) == part(now, steps)
    }
}

pub(crate) fn at<'a>(value: &'a Value, inner: &[String]) -> Option<&'a Value> {
    inner.iter().try_fold(value, |value, segment| match value {
        Value::Array(list) => list.get(segment.parse::<usize>().ok()?),
        other => other.get(segment),
    })
}

/// All that differs inside `scope`.
pub(crate) fn marks(old: &Data, new: &Data, scope: &Scope) -> Vec<Mark> {
    let mut marks = Vec::new();
    let places: BTreeSet<Place> = old.documents.keys().chain(new.documents.keys()).copied().collect();
    for place in places {
        let (old, new) = (old.documents.get(&place), new.documents.get(&place));
        if scope.covers_all_of(place) {
            between(place, &[], old, new, &mut marks);
            continue;
        }
        let mut inner: Vec<_> = (0..4).map(|m| vec![member(m)]).collect();
        inner.retain(|inner| scope.covers(place, inner));
        for inner in inner {
            let part = |value: Option<&Value>| value.and_then(|value| at(value, &inner)).cloned();
            between(place, &inner, part(old).as_ref(), part(new).as_ref(), &mut marks);
        }
    }
    let places: BTreeSet<Place> = old.series.keys().chain(new.series.keys()).copied().collect();
    for place in places.into_iter().filter(|place| scope.covers_all_of(*place)) {
        let series = |data: &Data| data.series.get(&place).cloned().unwrap_or_default();
        let (old, new) = (series(old), series(new));
        for entry in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
            let (old, new) = (old.get(entry).cloned(), new.get(entry).cloned());
            if old != new {
                marks.push(Mark { place, at: At::Entry(*entry), old, new });
            }
        }
    }
    marks
}

fn between(place: Place, inner: &[String], old: Option<&Value>, new: Option<&Value>, marks: &mut Vec<Mark>) {
    let mut push = |rest: Vec<String>, old: Option<Value>, new: Option<Value>| {
        marks.push(Mark { place, at: At::Inner([inner, &rest].concat()), old, new });
    };
    if let (Some(old), Some(new)) = (old, new) {
        for (rest, new) in inner_changes(old, new) {
            push(rest.clone(), at(old, &rest).cloned(), new);
        }
    } else if old != new {
        push(vec![], old.cloned(), new.cloned());
    }
}

/// The changes that make `new` of `old`: member by member, and element by element in a list that did not get shorter and
/// of which no more than half changed.
pub(crate) fn inner_changes(old: &Value, new: &Value) -> Vec<(Vec<String>, Option<Value>)> {
    let mut changes = Vec::new();
    let mut below = |segment: &str, old: Option<&Value>, new: Option<&Value>| {
        let inner = match (old, new) {
            (Some(old), Some(new)) => inner_changes(old, new),
            (old, new) if old == new => vec![],
            (_, new) => vec![(vec![], new.cloned())],
        };
        let deeper = |(rest, new): (Vec<String>, _)| ([vec![segment.to_owned()], rest].concat(), new);
        changes.extend(inner.into_iter().map(deeper));
    };
    match (old, new) {
        _ if old == new => {}
        (Value::Object(old), Value::Object(new)) => {
            for key in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
                below(key, old.get(key), new.get(key));
            }
        }
        (Value::Array(old), Value::Array(new))
            if old.len() <= new.len()
                && 2 * old.iter().zip(new).filter(|(old, new)| old != new).count() <= old.len() =>
        {
            for index in 0..new.len() {
                below(&index.to_string(), old.get(index), new.get(index));
            }
        }
        _ => changes.push((vec![], Some(new.clone()))),
    }
    changes
}

/// Puts at each place what is to be there; `None` if that must be refused.
pub(crate) fn put(draft: &mut Draft, mut marks: Vec<Mark>) -> Option<()> {
    marks.sort_by_key(|mark| match (&mark.at, &mark.new) {
        (At::Entry(_), None) => 0,
        (At::Inner(_), _) => 1,
        (At::Entry(_), Some(_)) => 2,
    });
    marks.into_iter().try_for_each(|Mark { place, at, new, .. }| match at {
        At::Entry(entry) => {
            if new.is_some() && draft.data.documents.contains_key(&place) {
                return None;
            }
            draft.data.put_entry(place, entry, new);
            Some(())
        }
        At::Inner(inner) => put_inner(draft, place, &inner, new),
    })
}

fn put_inner(draft: &mut Draft, place: Place, inner: &[String], new: Option<Value>) -> Option<()> {
    let there = draft.data.documents.get(&place).cloned();
    let after = match (there.clone(), new) {
        (None, None) => None,
        (Some(_), None) if inner.is_empty() => None,
        (Some(mut there), None) => {
            take(&mut there, inner);
            Some(there)
        }
        (there, Some(new)) => {
            if there.is_none() && draft.data.series.contains_key(&place) {
                return None;
            }
            let mut after = there.unwrap_or_else(|| json!({}));
            set(&mut after, inner, new)?;
            Some(after)
        }
    };
    if after == there {
        return Some(());
    }
    draft.revisions.insert(place, next());
    match after {
        Some(after) => drop(draft.data.documents.insert(place, after)),
        None => drop(draft.data.documents.remove(&place)),
    }
    Some(())
}

fn set(value: &mut Value, inner: &[String], new: Value) -> Option<()> {
    let Some((segment, rest)) = inner.split_first() else {
        *value = new;
        return Some(());
    };
    let child = match value {
        Value::Object(object) => object.entry(segment.clone()).or_insert_with(|| json!({})),
        Value::Array(list) => {
            let index = segment.parse::<usize>().ok().filter(|index| *index <= list.len())?;
            if index == list.len() {
                list.push(json!({}));
            }
            &mut list[index]
        }
        _ => return None,
    };
    set(child, rest, new)
}

fn take(value: &mut Value, inner: &[String]) {
    let (segment, rest) = inner.split_first().expect("a part of it");
    match value {
        Value::Object(object) if rest.is_empty() => drop(object.remove(segment)),
        Value::Array(list) if rest.is_empty() => {
            segment.parse().ok().filter(|index| *index < list.len()).map(|index: usize| list.remove(index));
        }
        Value::Object(object) => object.get_mut(segment).into_iter().for_each(|child| take(child, rest)),
        Value::Array(list) => {
            let child = segment.parse::<usize>().ok().and_then(|index| list.get_mut(index));
            child.into_iter().for_each(|child| take(child, rest));
        }
        _ => {}
    }
}
