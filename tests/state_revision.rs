//! A changed fold or state never meets a snapshot that it would misread: it folds anew, or takes the step it was given.

#![cfg(feature = "sim")]
#![allow(clippy::expect_used, clippy::panic, reason = "this is a test")]
#![cfg(feature = "sim")]

mod state_parts;

use std::sync::Arc;

use everlog::journal::Retention;
use everlog::medium::Sim;
use everlog::{Codec, ErrorKind, Fold, Journaled, Result, Stamp, When};
use serde::{Deserialize, Serialize};
use state_parts::*;

/// Defines a fold of numbers called "sum".
macro_rules! sum {
    ($name:ident { $($field:ident: $type:ty),* }, $revision:literal, $state_version:expr, $apply:expr, $($rest:tt)*) => {
        #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct $name { $($field: $type),* }

        impl Fold for $name {
            type Event = u64;
            const NAME: &'static str = "sum";
            const VERSION: u16 = 1;
            const STATE_VERSION: Option<u16> = Some($state_version);
            const FOLD_REVISION: u32 = $revision;

            fn apply(&mut self, event: &u64, _: &Stamp) {
                let apply: fn(&mut $name, u64) = $apply;
                apply(self, *event);
            }

            $($rest)*
        }
    };
}

sum!(Sum { sum: u64 }, 0, 1, |state, event| state.sum += event,);
sum!(Doubled { sum: u64 }, 1, 1, |state, event| state.sum += 2 * event,);
sum!(
    Counted { total: u64, count: u64 },
    1,
    2,
    |state, event| {
        state.total += event;
        state.count += 1;
    },
    fn decode_state(version: u16, bytes: &[u8]) -> Result<Counted> {
        match version {
            1 => Ok(Counted { total: Codec::Json.decode::<Sum>(bytes)?.sum, count: 0 }),
            _ => Codec::Json.decode(bytes),
        }
    }
);
sum!(Stepless { total: u64 }, 1, 2, |state, event| state.total += event,);
sum!(Picky { sum: u64 }, 2, 1, |state, event| {
    assert!(event != 7, "not that one");
    state.sum += event;
},);

fn open<S: Fold>(sim: &Sim) -> Result<Journaled<S>> {
    inline().open_on(Arc::new(sim.clone()))
}

/// Ones, with a snapshot among them; after a compaction the first ones are gone.
fn sim_with_ones(count: u64) -> Sim {
    let sim = Sim::new(1);
    let sum = open::<Sum>(&sim).expect("opens");
    for index in 0..count {
        sum.commit(1).expect("commits");
        if index == count / 2 {
            sum.snapshot().expect("makes a snapshot");
        }
    }
    sum.close().expect("closes");
    sim
}

fn compacted() -> (Sim, u64) {
    let sim = sim_with_ones(3000);
    let sum = open::<Sum>(&sim).expect("opens");
    let horizon = sum.compact(&Retention::forever().bytes(0)).expect("compacts").horizon.lsn.get();
    assert!(horizon > 100, "something was compacted away");
    sum.commit(1).expect("commits");
    sum.close().expect("closes");
    (sim, horizon)
}

#[test]
fn another_revision_folds_the_whole_log_anew() {
    let sim = sim_with_ones(10);
    let sum = open::<Doubled>(&sim).expect("opens");
    assert_eq!(sum.read(|sum| sum.sum).expect("reads"), 20);
    assert_eq!(sum.at(When::now()).expect("folds").sum, 20);
    sum.snapshot().expect("makes a snapshot of its own");
    sum.commit(1).expect("commits");
    sum.close().expect("closes");
    assert_eq!(open::<Doubled>(&sim).expect("opens").read(|sum| sum.sum).expect("reads"), 22);
    assert_eq!(open::<Sum>(&sim).expect("opens").read(|sum| sum.sum).expect("reads"), 11, "and back");
}

#[test]
fn another_shape_folds_the_whole_log_anew_without_any_step() {
    let counted = open::<Counted>(&sim_with_ones(10)).expect("opens");
    assert_eq!(counted.read(|state| (state.total, state.count)).expect("reads"), (10, 10));
    assert_eq!(
        open::<Stepless>(&sim_with_ones(10)).expect("opens").read(|state| state.total).expect("reads"),
        10
    );
}

#[test]
fn where_the_log_is_gone_the_state_takes_the_step_that_it_was_given() {
    let (sim, horizon) = compacted();
    let counted = open::<Counted>(&sim).expect("opens");
    let state = counted.read(|state| (state.total, state.count)).expect("reads");
    assert_eq!(state, (3001, 3001 - horizon), "the base as it was, the rest by the new fold");
    let error = open::<Stepless>(&compacted().0).expect_err("no step");
    assert_eq!(error.kind(), &ErrorKind::WrongType);
    assert!(error.to_string().contains("Fold::decode_state"), "{error}");
}

#[test]
fn a_fold_that_no_longer_accepts_what_is_in_the_log_says_which_record() {
    let sim = sim_with_ones(3);
    let sum = open::<Sum>(&sim).expect("opens");
    sum.commit(7).expect("commits");
    sum.close().expect("closes");
    let error = open::<Picky>(&sim).expect_err("panics");
    assert_eq!((error.kind(), error.lsn().map(|lsn| lsn.get())), (&ErrorKind::Refused, Some(4)));
    assert!(error.what().contains("not that one"), "{error}");
    assert_eq!(open::<Sum>(&sim).expect("opens").read(|sum| sum.sum).expect("reads"), 10);
}

#[test]
fn a_large_state_survives_snapshots_rollbacks_and_a_fold_that_panics() {
    #[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
    struct Texts(Vec<String>);
    impl Fold for Texts {
        type Event = String;
        const NAME: &'static str = "texts";
        const VERSION: u16 = 1;
        fn apply(&mut self, event: &String, _: &Stamp) {
            self.0.push(event.clone());
            assert!(!event.is_empty(), "an empty text");
        }
    }
    let sim = Sim::new(2);
    let texts = open::<Texts>(&sim).expect("opens");
    let text =
        |length: u32| (0..length).map(|index| char::from(b'a' + (index % 26) as u8)).collect::<String>();
    for index in 0..10 {
        texts.commit(text(40_000 + index)).expect("commits");
    }
    let full = texts.read(Texts::clone).expect("reads");
    texts.snapshot().expect("makes a snapshot");
    texts.commit(String::new()).expect_err("panics");
    let preview = texts.rollback_to(When::lsn(everlog::Lsn::new(8))).expect("previews");
    preview.commit().expect("commits");
    assert_eq!(texts.read(|texts| texts.0.len()).expect("reads"), 8);
    let undone = texts.rollback_to(When::lsn(everlog::Lsn::new(10))).expect("previews");
    undone.commit().expect("commits");
    texts.commit(String::new()).expect_err("panics");
    assert!(texts.read(|texts| *texts == full).expect("reads"));
    assert!(texts.latest(|texts| *texts == full).expect("reads"));
    drop(texts);
    assert!(open::<Texts>(&sim).expect("opens").read(|texts| *texts == full).expect("reads"));
}
