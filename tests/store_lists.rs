//! Undo and rollback of lists, whose elements change their places: exactly what was is there again, or nothing changes (E33,
//! E38).

#![cfg(all(feature = "sim", feature = "store"))]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is a test")]

use std::sync::Arc;

use everlog::journal::Background;
use everlog::medium::Sim;
use everlog::store::Tx;
use everlog::{ErrorKind, Store, path};
use proptest::prelude::*;

const LIST: &str = "c.k.list";

/// An edit of the list; places are taken round by its length.
#[derive(Clone, Copy, Debug)]
enum Edit {
    Set(usize, u8),
    Insert(usize, u8),
    Remove(usize),
    Append(u8),
    /// With no more than four at the end.
    Slide(u8),
    Clear,
    Gone,
    /// What stands beside the list.
    Beside(u8),
}

/// Few values, so that elements are often taken for one another.
fn edit() -> impl Strategy<Value = Edit> {
    let (place, value) = (0..6_usize, 0..3_u8);
    prop_oneof![
        3 => (place.clone(), value.clone()).prop_map(|(place, value)| Edit::Set(place, value)),
        3 => (place.clone(), value.clone()).prop_map(|(place, value)| Edit::Insert(place, value)),
        3 => place.prop_map(Edit::Remove),
        2 => value.clone().prop_map(Edit::Append),
        1 => value.clone().prop_map(Edit::Slide),
        1 => Just(Edit::Clear),
        1 => Just(Edit::Gone),
        2 => value.prop_map(Edit::Beside),
    ]
}

fn act(tx: &mut Tx<'_>, edit: Edit) -> everlog::Result<()> {
    let mut list: Vec<u8> = tx.get(LIST)?.unwrap_or_default();
    let at = |place: usize| path!("c", "k", "list", place % list.len());
    match edit {
        Edit::Set(place, value) if !list.is_empty() => tx.set(at(place), &value),
        Edit::Remove(place) if !list.is_empty() => tx.remove(at(place)),
        Edit::Set(..) | Edit::Remove(_) => Ok(false),
        Edit::Insert(place, value) => {
            list.insert(place % (list.len() + 1), value);
            tx.set(LIST, &list)
        }
        Edit::Append(value) => tx.append(LIST, &value, None),
        Edit::Slide(value) => tx.append(LIST, &value, Some(4)),
        Edit::Clear => tx.set(LIST, &[0_u8; 0]),
        Edit::Gone => tx.remove(LIST),
        Edit::Beside(value) => tx.set("c.k.beside", &value),
    }
    .map(drop)
}

/// What something failed with.
fn kind<T: std::fmt::Debug>(done: everlog::Result<T>, why: &str) -> ErrorKind {
    done.expect_err(why).kind().clone()
}

type List = Option<Vec<u8>>;

fn list(store: &Store) -> List {
    store.get(LIST).unwrap()
}

/// What only others change.
fn beside(store: &Store) -> Option<u8> {
    store.get("c.k.beside").unwrap()
}

fn open(sim: &Sim) -> Store {
    let options = Store::options().background(Background::Inline);
    let store = options.open_on(Arc::new(sim.clone())).expect("opens");
    if !store.contains("c.k").unwrap() {
        store.set("c.k", &serde_json::json!({"list": [0, 1, 2, 1], "beside": 0})).unwrap();
    }
    store
}

#[derive(Clone, Debug)]
enum Step {
    Group(Vec<Edit>),
    Others(Edit),
    Undo,
    Redo,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => proptest::collection::vec(edit(), 1..4).prop_map(Step::Group),
        2 => edit().prop_map(Step::Others),
        4 => Just(Step::Undo),
        2 => Just(Step::Redo),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// An undo or redo either puts back the list that was there, when it is as its group left it, or says that there is a
    /// conflict and writes nothing.
    #[test]
    fn an_undo_restores_exactly_the_list_that_was_or_changes_nothing(
        steps in proptest::collection::vec(step(), 1..24),
        whole in any::<bool>(),
    ) {
        let sim = Sim::new(1);
        let mut store = open(&sim);
        let prefix = if whole { "c" } else { LIST };
        let mut scope = store.undo_scope("editor", [prefix]).unwrap();
        let (mut undo, mut redo): (Vec<(List, List)>, Vec<(List, List)>) = Default::default();
        for step in steps {
            match step {
                Step::Group(edits) => {
                    let before = list(&store);
                    let edits = edits.into_iter().filter(|edit| !matches!(edit, Edit::Beside(_)));
                    scope.transaction("group", |tx| edits.into_iter().try_for_each(|edit| act(tx, edit))).unwrap();
                    if list(&store) != before {
                        undo.push((before, list(&store)));
                        redo.clear();
                    }
                }
                Step::Others(edit) => drop(store.transaction(|tx| act(tx, edit)).unwrap()),
                Step::Reopen => {
                    store.close().unwrap();
                    drop((store, scope));
                    store = open(&sim);
                    scope = store.undo_scope("editor", [prefix]).unwrap();
                }
                Step::Undo | Step::Redo => {
                    let is_undo = matches!(step, Step::Undo);
                    let (from, to) = if is_undo { (&mut undo, &mut redo) } else { (&mut redo, &mut undo) };
                    let (position, now, other) = (store.position(), list(&store), beside(&store));
                    let done = if is_undo { scope.undo() } else { scope.redo() };
                    let Some((old, new)) = from.last().cloned() else {
                        prop_assert_eq!(kind(done, "nothing"), ErrorKind::Absent);
                        continue;
                    };
                    let (left, aim) = if is_undo { (new, old) } else { (old, new) };
                    if now == left {
                        prop_assert!(done.is_ok(), "{:?} to {:?}: {:?}", now, aim, done);
                        prop_assert_eq!(list(&store), aim);
                        prop_assert_eq!(beside(&store), other);
                        to.extend(from.pop());
                    } else {
                        prop_assert_eq!(kind(done, "moved"), ErrorKind::Conflict);
                        prop_assert_eq!((store.position(), list(&store)), (position, now));
                    }
                }
            }
            prop_assert_eq!((scope.undo_labels().len(), scope.redo_labels().len()), (undo.len(), redo.len()));
        }
    }

    /// A rollback of some places of a list changes these and no other, or nothing: where others moved elements after the
    /// preview, and where a place lies behind the end.
    #[test]
    fn a_rollback_of_some_places_of_a_list_changes_no_other(
        then in proptest::collection::vec(0..9_u8, 0..14), now in proptest::collection::vec(0..9_u8, 0..14),
        places in proptest::collection::btree_set(0..14_usize, 1..6), between in proptest::option::of(edit()),
    ) {
        let store = open(&Sim::new(1));
        let before = store.set(LIST, &then).unwrap().position;
        store.set(LIST, &now).unwrap();
        let only = places.iter().map(|place| path!("c", "k", "list", place));
        let preview = store.rollback_to(before).unwrap().only(only).unwrap();
        let mut aim = now.clone();
        let mut is_reached = true;
        for place in places.iter().copied().filter(|place| *place < then.len()) {
            match aim.len() {
                len if place < len => aim[place] = then[place],
                len if place == len => aim.push(then[place]),
                _ => is_reached = false,
            }
        }
        let mut place = 0;
        aim.retain(|_| {
            place += 1;
            place <= then.len() || !places.contains(&(place - 1))
        });
        prop_assert_eq!(preview.changes().is_empty(), aim == now && is_reached);
        let is_nothing = preview.changes().is_empty();
        if let Some(edit) = between {
            store.transaction(|tx| act(tx, edit)).unwrap();
        }
        let (position, left) = (store.position(), list(&store));
        let done = preview.commit();
        if is_nothing {
            prop_assert!(done.is_ok());
            prop_assert_eq!(list(&store), left);
        } else if left.as_ref() != Some(&now) {
            prop_assert_eq!(kind(done, "moved"), ErrorKind::Conflict);
            prop_assert_eq!((store.position(), list(&store)), (position, left));
        } else if is_reached {
            prop_assert!(done.is_ok(), "{:?}", done);
            prop_assert_eq!(list(&store), Some(aim));
        } else {
            prop_assert_eq!(kind(done, "behind the end"), ErrorKind::Input);
            prop_assert_eq!((store.position(), list(&store)), (position, left));
        }
    }
}
