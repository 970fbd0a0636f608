//! What a store shows, now and of its past, held against the model.

use std::collections::BTreeMap;

use everlog::store::{Changed, Path, View};
use everlog::{Error, ErrorKind, Position, When};
use serde_json::{Map, Value, json};

use super::data::{COLLECTIONS, Data, KEYS, Place, Shown};
use super::marks::{Mark, Prefix, Scope, at, marks, path_of, told};
use super::run::Run;
use super::world::meet;

fn place_of(collection: &str, key: &str) -> Place {
    let place = |all: &[&str], name: &str| all.iter().position(|one| *one == name).expect("a known name");
    (place(&COLLECTIONS, collection), place(&KEYS, key))
}

fn serde(value: &everlog::store::Value) -> Value {
    serde_json::from_str(&value.to_string()).expect("JSON")
}

/// Everything that a view shows.
fn shown(view: &View) -> Shown {
    let mut shown = Shown { documents: BTreeMap::new(), series: BTreeMap::new() };
    for collection in view.collections() {
        for key in view.keys(everlog::path!(&collection)).expect("reads") {
            let place = place_of(&collection, &key);
            let value = view.get_value(path_of(place)).expect("reads").expect("is there");
            shown.documents.insert(place, serde(&value));
        }
        for (key, count) in view.series_keys(everlog::path!(&collection)).expect("reads") {
            let place = place_of(&collection, &key);
            let series = view.series::<Value>(path_of(place)).expect("a series");
            let entries: Vec<_> = series.range(..).expect("reads").into_iter().collect();
            assert_eq!(entries.len() as u64, count);
            shown
                .series
                .insert(place, entries.into_iter().map(|one| (one.time.micros(), one.value)).collect());
        }
    }
    shown
}

/// What stands at a path.
fn value_at(data: &Data, prefix: &Prefix) -> Option<Value> {
    match prefix {
        Prefix::Collection(collection) => {
            let here = data.documents.iter().filter(|(place, _)| place.0 == *collection);
            let all: Map<String, Value> =
                here.map(|(place, value)| (KEYS[place.1].to_owned(), value.clone())).collect();
            (!all.is_empty()).then_some(Value::Object(all))
        }
        Prefix::Document(place) => data.documents.get(place).cloned(),
        Prefix::Member(place, m) => at(data.documents.get(place)?, &[super::data::member(*m)]).cloned(),
    }
}

/// The entries under a path, in no order.
fn entries_at(data: &Data, prefix: &Prefix) -> Vec<String> {
    let here = data.series.iter().filter(|(place, _)| prefix.covers_all_of(**place));
    let all = here.flat_map(|(place, entries)| {
        entries.iter().map(|((time, _), value)| entry(&path_of(*place), *time, value))
    });
    let mut all: Vec<String> = all.collect();
    all.sort();
    all
}

fn entry(path: &Path, time: u64, value: &Value) -> String {
    format!("{path} {time} {value}")
}

/// What history tells of one path, folded.
struct Told {
    value: Option<Value>,
    entries: Vec<String>,
}

impl Told {
    fn take(&mut self, change: &Changed) {
        let (old, new) = (change.old.as_ref().map(serde), change.new.as_ref().map(serde));
        assert_ne!(old, new, "a change that is none");
        let Some((time, _)) = change.entry else {
            assert_eq!(old, self.value, "what was there before {}", change.position);
            self.value = new;
            return;
        };
        if let Some(old) = old {
            let gone = entry(&change.path, time.micros(), &old);
            let place = self.entries.iter().position(|one| *one == gone).expect("it was there");
            self.entries.remove(place);
        }
        self.entries.extend(new.map(|new| entry(&change.path, time.micros(), &new)));
        self.entries.sort();
    }
}

impl Run {
    pub(crate) fn check_view(&self) {
        let view = self.store.view();
        let lsn = view.position().lsn;
        assert_eq!(shown(&view), self.state_at(lsn).data.shown(), "what is shown at {lsn}");
        let known = self.noted.partition_point(|(position, _)| position.lsn <= lsn);
        let sure = &self.noted[self.sure - 1].1.data;
        assert!(known >= self.sure || self.state_at(lsn).data == *sure, "older than what was acknowledged");
    }

    pub(crate) fn check_lost(&self, position: Position, error: &Error) {
        assert!(matches!(error.kind(), ErrorKind::BeforeHorizon { .. }), "{error}");
        assert!(self.is_lost(position), "{position} is not below {}", self.store.horizon());
        meet("asked for what is below the horizon");
    }

    pub(crate) fn past(&self, back: usize) {
        let (position, state) = self.back(back);
        match self.store.at(position) {
            Ok(view) => {
                assert_eq!(view.position().lsn, position.lsn);
                assert_eq!(shown(&view), state.data.shown(), "at {position}");
            }
            Err(error) => self.check_lost(position, &error),
        }
    }

    /// A pin keeps its moment, whatever was let go.
    pub(crate) fn check_pins(&self) {
        for pin in self.store.pins() {
            let view = self.store.at(When::pin(&pin.name)).expect("a pin keeps its moment");
            assert_eq!(shown(&view), self.state_at(pin.position.lsn).data.shown(), "at {}", pin.name);
        }
    }

    pub(crate) fn diff(&self, one: usize, other: usize, scope: &Scope) {
        let ((from, old), (to, new)) = (self.back(one), self.back(other));
        if self.is_lost(from) || self.is_lost(to) {
            return;
        }
        let diff = self.store.diff(from, to).expect("both are there");
        let diff = if scope.0.is_empty() { diff } else { diff.only(scope.paths()).expect("paths") };
        let mut found: Vec<_> = diff.changes().expect("reads").iter().map(told).collect();
        let mut expected: Vec<_> = marks(&old.data, &new.data, scope).iter().map(Mark::told).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "from {from} to {to}");
    }

    pub(crate) fn history(&self, prefix: &Prefix) {
        let read = |newest_first: bool| -> Vec<Changed> {
            let history = self.store.history(prefix.path()).expect("a path");
            let history = if newest_first { history.newest_first() } else { history };
            history.collect::<Result<_, _>>().expect("reads")
        };
        let (changes, mut backward) = (read(false), read(true));
        backward.reverse();
        assert_eq!(changes, backward, "the newest first");
        let (start, end) = (self.store.horizon().lsn, self.store.position().lsn);
        let first = &self.state_at(start).data;
        let mut told = Told { value: value_at(first, prefix), entries: entries_at(first, prefix) };
        let mut left = changes.iter().peekable();
        for (position, state) in
            self.noted.iter().filter(|(position, _)| start <= position.lsn && position.lsn <= end)
        {
            while let Some(change) = left.next_if(|change| change.position.lsn <= position.lsn) {
                told.take(change);
            }
            assert_eq!(told.value, value_at(&state.data, prefix), "{prefix:?} at {position}");
            assert_eq!(told.entries, entries_at(&state.data, prefix), "{prefix:?} at {position}");
        }
        assert!(left.next().is_none(), "changes beyond the end");
    }

    /// Everything that there is to be seen of it.
    pub(crate) fn check_everything(&mut self) {
        for back in 0..self.sure {
            self.past(back);
        }
        self.check_view();
        self.check_pins();
        self.check_all_stacks();
        for prefix in [Prefix::Collection(0), Prefix::Document((0, 0)), Prefix::Member((0, 0), 0)] {
            self.history(&prefix);
        }
        self.diff(self.sure, 0, &Scope::default());
        self.store.transaction(|tx| tx.set("settings.a", &json!("goes on"))).map(drop).unwrap_or_else(
            |error| {
                assert_eq!(error.kind(), &ErrorKind::WrongType, "{error}");
            },
        );
    }
}
