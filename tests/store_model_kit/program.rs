//! Random programs over several stores: what is done, in what order, to which of them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::data::{Change, Place};
use super::marks::{Prefix, Scope};

#[derive(Clone, Debug)]
pub(crate) enum Step {
    One(Change),
    /// Several at once; with `true` the closure fails at the end.
    Many(Vec<Change>, bool),
    /// Buffered, and nobody waits for the disk.
    Loose(Change),
    /// Under a key, once.
    Once(u8, Vec<Change>),
    /// If a document is still of the revision that it had so many states ago.
    Compare(Place, usize, Value),
    /// With a pin before it.
    PinBefore(u8, Vec<Change>),
    Pin(u8, usize),
    Unpin(u8),
    /// In an undo scope.
    Group(u8, Vec<Change>),
    Undo(u8),
    Redo(u8),
    /// So many undone, and so many of them done again.
    Turns(u8, u8, u8),
    /// To an earlier state; somebody may do something between preview and commit.
    Rollback(usize, Scope, Option<Change>),
    RollbackToPin(u8),
    Fork(usize),
    Snapshot,
    Compact(u64),
    Past(usize),
    Diff(usize, usize, Scope),
    History(Prefix),
    /// The clock is set back.
    ClockBack,
    Reopen,
    /// After some changes that nobody has waited for.
    Crash(u64, Vec<Change>),
}

/// A step of one of the stores.
pub(crate) type Act = (usize, Step);

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        (0..5_u32).prop_map(|n| json!(n)),
        "[a-c]{0,40}".prop_map(|text| json!(text)),
        (0..3_u8, 0..3_u8).prop_map(|(n, m)| json!({ "m0": n, "m1": { "deep": m } })),
        prop::collection::vec(0..9_u8, 0..4).prop_map(|list| json!(list)),
    ]
}

fn places() -> impl Strategy<Value = Place> {
    (0..2_usize, 0..5_usize)
}

fn pushes() -> impl Strategy<Value = Change> {
    let time = prop::option::of(0..7_u64);
    (places(), time, 0..9_u8, prop::option::of(1..4_u64))
        .prop_map(|(place, time, value, keep)| Change::Push(place, time, value, keep))
}

fn changes() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (places(), values()).prop_map(|(place, value)| Change::Set(place, value)),
        4 => (places(), 0..3_u8, values()).prop_map(|(place, m, value)| Change::Member(place, m, value)),
        2 => places().prop_map(Change::Remove),
        1 => (places(), 0..3_u8).prop_map(|(place, m)| Change::RemoveMember(place, m)),
        2 => (places(), 1..4_u64).prop_map(|(place, keep)| Change::Append(place, keep)),
        2 => (places(), values()).prop_map(|(place, patch)| Change::Merge(place, patch)),
        1 => (0..2_usize).prop_map(Change::Clear),
        6 => pushes(),
        1 => (places(), 0..9_u64).prop_map(|(place, time)| Change::Cut(place, time)),
    ]
}

fn prefixes() -> impl Strategy<Value = Prefix> {
    prop_oneof![
        (0..2_usize).prop_map(Prefix::Collection),
        places().prop_map(Prefix::Document),
        (places(), 0..2_u8).prop_map(|(place, m)| Prefix::Member(place, m)),
    ]
}

fn scopes() -> impl Strategy<Value = Scope> {
    prop::collection::vec(prefixes(), 0..3).prop_map(Scope)
}

fn several() -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec(changes(), 0..6)
}

/// The paths of the undo scopes.
pub(crate) fn undo_scope(number: u8) -> Scope {
    Scope(match number {
        0 => vec![Prefix::Collection(0), Prefix::Collection(1)],
        1 => vec![Prefix::Collection(0)],
        _ => vec![Prefix::Document((1, 4)), Prefix::Member((0, 0), 0)],
    })
}

/// What is done in an undo scope, mostly inside of its paths.
fn groups() -> impl Strategy<Value = Step> {
    let inside = prop_oneof![
        2 => values().prop_map(|value| Change::Set((1, 4), value)),
        2 => (0..3_u8, values()).prop_map(|(m, value)| Change::Member((1, 4), m, value)),
        3 => values().prop_map(|value| Change::Member((0, 0), 0, value)),
        1 => Just(Change::RemoveMember((0, 0), 0)),
        2 => (0..7_u64, 1..4_u64).prop_map(|(time, keep)| Change::Push((1, 4), Some(time), 1, Some(keep))),
        1 => changes(),
    ];
    prop_oneof![
        3 => several().prop_map(|changes| Step::Group(0, changes)),
        3 => prop::collection::vec(changes().prop_map(Change::of_notes), 1..3)
            .prop_map(|changes| Step::Group(1, changes)),
        3 => prop::collection::vec(inside, 1..3).prop_map(|changes| Step::Group(2, changes)),
    ]
}

impl Change {
    /// The same in the first collection.
    fn of_notes(self) -> Change {
        match self {
            Change::Set((_, key), value) => Change::Set((0, key), value),
            Change::Member((_, key), m, value) => Change::Member((0, key), m, value),
            Change::Remove((_, key)) => Change::Remove((0, key)),
            Change::RemoveMember((_, key), m) => Change::RemoveMember((0, key), m),
            Change::Append((_, key), keep) => Change::Append((0, key), keep),
            Change::Merge((_, key), patch) => Change::Merge((0, key), patch),
            Change::Clear(_) => Change::Clear(0),
            Change::Push((_, key), time, value, keep) => Change::Push((0, key), time, value, keep),
            Change::Cut((_, key), time) => Change::Cut((0, key), time),
        }
    }
}

fn writes() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => changes().prop_map(Step::One),
        4 => (prop::collection::vec(changes(), 0..12), prop::bool::weighted(0.2))
            .prop_map(|(changes, fails)| Step::Many(changes, fails)),
        3 => changes().prop_map(Step::Loose),
        2 => (0..3_u8, several()).prop_map(|(key, changes)| Step::Once(key, changes)),
        2 => (places(), 0..6_usize, values()).prop_map(|(place, back, new)| Step::Compare(place, back, new)),
        2 => (0..3_u8, several()).prop_map(|(name, changes)| Step::PinBefore(name, changes)),
        6 => groups(),
    ]
}

fn returns() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..3_u8).prop_map(Step::Undo),
        2 => (0..3_u8).prop_map(Step::Redo),
        3 => (0..3_u8, 1..4_u8, 1..4_u8).prop_map(|(scope, undos, redos)| Step::Turns(scope, undos, redos)),
        4 => (0..30_usize, scopes(), prop::option::of(changes()))
            .prop_map(|(back, scope, between)| Step::Rollback(back, scope, between)),
        1 => (0..3_u8).prop_map(Step::RollbackToPin),
    ]
}

fn others() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..3_u8, 0..10_usize).prop_map(|(name, back)| Step::Pin(name, back)),
        1 => (0..3_u8).prop_map(Step::Unpin),
        2 => (0..20_usize).prop_map(Step::Fork),
        3 => Just(Step::Snapshot),
        3 => (0..30_000_u64).prop_map(Step::Compact),
        2 => (0..30_usize).prop_map(Step::Past),
        3 => (0..30_usize, 0..30_usize, scopes()).prop_map(|(a, b, scope)| Step::Diff(a, b, scope)),
        3 => prefixes().prop_map(Step::History),
        1 => Just(Step::ClockBack),
        2 => Just(Step::Reopen),
        3 => (any::<u64>(), several()).prop_map(|(seed, changes)| Step::Crash(seed, changes)),
    ]
}

pub(crate) fn programs() -> impl Strategy<Value = Vec<Act>> {
    let step = prop_oneof![5 => writes(), 2 => returns(), 3 => others()];
    prop::collection::vec((0..6_usize, step), 1..80)
}
