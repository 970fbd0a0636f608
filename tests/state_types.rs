//! A journal is opened as what it is (J15): changed types are read as what they were meant to be, or refused by name.

#![cfg(feature = "sim")]
#![allow(clippy::expect_used, clippy::panic, reason = "this is a test")]

mod state_parts;

use std::sync::Arc;

use everlog::medium::Sim;
use everlog::testing_fold::{Given, pins_shape};
use everlog::{Codec, Error, ErrorKind, Fold, Journal, Journaled, Result, Stamp};
use serde::{Deserialize, Serialize};
use state_parts::*;

/// Defines a fold called "list" that keeps the texts of its events.
macro_rules! list {
    ($list:ident, $event:ident, $name:literal, $version:literal, $codec:ident, { $($body:tt)* }, $($decode:tt)*) => {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        enum $event { $($body)* }

        #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
        struct $list(Vec<String>);

        impl Fold for $list {
            type Event = $event;
            const NAME: &'static str = $name;
            const VERSION: u16 = $version;
            const CODEC: Codec = Codec::$codec;

            fn apply(&mut self, event: &$event, _: &Stamp) {
                self.0.push(format!("{event:?}"));
            }

            $($decode)*
        }
    };
}

list!(List, Entry, "list", 1, Json, { Put { key: u32, value: u32 }, Cleared },);
list!(Reordered, Reentry, "list", 1, Json, { Cleared, Put { value: u32, key: u32 } },);
list!(Other, OtherEntry, "other", 1, Json, { Put { key: u32, value: u32 }, Cleared },);
list!(Compact, CompactEntry, "list", 1, Bincode, { Put { key: u32, value: u32 }, Cleared },);
list!(Newer, NewerEntry, "list", 2, Json, { Set { key: u64, value: u64 }, Cleared },
fn decode(version: u16, bytes: &[u8]) -> Result<NewerEntry> {
    match version {
        1 => Ok(match Codec::Json.decode::<Entry>(bytes)? {
            Entry::Put { key, value } => NewerEntry::Set { key: key.into(), value: value.into() },
            Entry::Cleared => NewerEntry::Cleared,
        }),
        _ => Codec::Json.decode(bytes),
    }
});
list!(Forgetful, ForgetfulEntry, "list", 2, Json, { Set { key: u64 }, Cleared },);

fn open<S: Fold>(sim: &Sim) -> Result<Journaled<S>> {
    inline().open_on(Arc::new(sim.clone()))
}

fn sim_with_list() -> Sim {
    let sim = Sim::new(1);
    let list = open::<List>(&sim).expect("opens");
    list.commit(Entry::Put { key: 1, value: 2 }).expect("commits");
    list.commit(Entry::Cleared).expect("commits");
    list.close().expect("closes");
    sim
}

fn refused(outcome: Result<impl Sized>) -> Error {
    let error = outcome.err().expect("refused");
    assert_eq!(error.kind(), &ErrorKind::WrongType, "{error}");
    error
}

#[test]
fn reordered_variants_and_swapped_fields_mean_the_same() {
    let list = open::<Reordered>(&sim_with_list()).expect("opens");
    let texts = list.read(|list| list.0.clone()).expect("reads");
    assert_eq!(texts, ["Put { value: 2, key: 1 }", "Cleared"]);
}

#[test]
fn another_type_is_refused_before_anything_is_written() {
    let sim = sim_with_list();
    let steps = sim.steps();
    let image = sim.image_hash();
    let error = refused(open::<Other>(&sim));
    assert!(error.what().contains("\"list\"") && error.what().contains("\"other\""), "{error}");
    refused(open::<Compact>(&sim));
    refused(Journal::options().open_on(Arc::new(sim.clone())));
    assert_eq!((sim.steps(), sim.image_hash()), (steps, image), "nothing was changed");
    open::<List>(&sim).expect("opens as what it is");
}

#[test]
fn a_directory_that_is_open_as_one_type_is_not_opened_as_another() {
    let directory = tempfile::tempdir().expect("a directory");
    let _list = Journaled::<List>::open(directory.path()).expect("opens");
    refused(Journaled::<Other>::open(directory.path()));
    assert_eq!(Journal::open(directory.path()).expect_err("held").kind(), &ErrorKind::Held);
}

#[test]
fn events_of_a_later_version_are_refused_at_opening() {
    let sim = Sim::new(2);
    let list = open::<Newer>(&sim).expect("opens");
    list.commit(NewerEntry::Cleared).expect("commits");
    list.close().expect("closes");
    let error = refused(open::<List>(&sim));
    assert!(error.what().contains("version 2") && error.to_string().contains("newer program"), "{error}");
}

#[test]
fn older_events_are_read_by_decode_and_mix_with_new_ones() {
    let sim = sim_with_list();
    let list = open::<Newer>(&sim).expect("opens");
    list.commit(NewerEntry::Set { key: 1 << 40, value: 1 }).expect("commits");
    let texts = list.read(|list| list.0.clone()).expect("reads");
    assert_eq!(texts, ["Set { key: 1, value: 2 }", "Cleared", "Set { key: 1099511627776, value: 1 }"]);
    assert_eq!(list.events(..).expect("reads").count(), 3);
}

#[test]
fn without_a_step_from_an_older_version_the_error_says_what_to_implement() {
    let error = refused(open::<Forgetful>(&sim_with_list()));
    assert!(error.to_string().contains("Fold::decode"), "{error}");
    assert_eq!(error.lsn().map(|lsn| lsn.get()), Some(1));
}

#[test]
fn a_bincode_journal_keeps_its_events_and_its_shape_is_pinned() {
    let sim = Sim::new(3);
    let list = open::<Compact>(&sim).expect("opens");
    list.commit(CompactEntry::Put { key: 1, value: 2 }).expect("commits");
    list.snapshot().expect("makes a snapshot");
    list.commit(CompactEntry::Cleared).expect("commits");
    drop(list);
    let list = open::<Compact>(&sim).expect("opens");
    assert_eq!(list.read(|list| list.0.clone()).expect("reads"), ["Put { key: 1, value: 2 }", "Cleared"]);
    let shape = "00000000 01000000 02000000 01000000";
    pins_shape(&[CompactEntry::Put { key: 1, value: 2 }, CompactEntry::Cleared], shape);
    for changed in [
        std::panic::catch_unwind(|| {
            pins_shape(&[Reentry::Put { key: 1, value: 2 }, Reentry::Cleared], shape)
        }),
        std::panic::catch_unwind(|| {
            pins_shape(&[Swapped::Put { key: 1, value: 2 }, Swapped::Cleared], shape)
        }),
    ] {
        assert!(changed.is_err(), "a changed shape is noticed");
    }
}

#[derive(Serialize, Deserialize)]
enum Swapped {
    Put { value: u32, key: u32 },
    Cleared,
}

#[test]
fn folds_are_tested_without_a_journal() {
    let given = Given::<Bank>::events([deposit(1, 100)]);
    let transfer = |bank: &Bank| match bank.of(1) {
        cents @ 60.. => Ok([Event::Moved { from: 1, to: 2, cents: cents.min(60) }]),
        _ => Err("not enough"),
    };
    given
        .when(transfer)
        .then([Event::Moved { from: 1, to: 2, cents: 60 }])
        .then_state(|bank| assert_eq!(bank.of(2), 60))
        .when(transfer)
        .then_refused("not enough");
}
