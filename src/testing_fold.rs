//! Given, when, then: tests of a fold without any journal, and the pin for the shape of a bincode event type.

use std::fmt::Debug;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::position::{Epoch, Lsn, Position};
use crate::state::{Codec, Fold, Stamp};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A state made of events, on which something is decided.
///
/// Events and states go through the codec as in a journal: one that does not read back fails the test.
///
/// ```
/// # use everlog::{Fold, Stamp};
/// # use everlog::testing_fold::Given;
/// # use serde::{Deserialize, Serialize};
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// enum Event {
///     Deposited(u64),
///     Withdrawn(u64),
/// }
///
/// #[derive(Default, Debug, Serialize, Deserialize)]
/// struct Account {
///     cents: u64,
/// }
///
/// impl Account {
///     fn withdraw(&self, cents: u64) -> Result<Vec<Event>, &'static str> {
///         if self.cents < cents { Err("overdrawn") } else { Ok(vec![Event::Withdrawn(cents)]) }
///     }
/// }
/// # impl Fold for Account {
/// #     type Event = Event;
/// #     const NAME: &'static str = "account";
/// #     const VERSION: u16 = 1;
/// #     fn apply(&mut self, event: &Event, _: &Stamp) {
/// #         match event {
/// #             Event::Deposited(cents) => self.cents += cents,
/// #             Event::Withdrawn(cents) => self.cents -= cents,
/// #         }
/// #     }
/// # }
///
/// Given::<Account>::nothing().when(|account| account.withdraw(1)).then_refused("overdrawn");
/// Given::<Account>::events([Event::Deposited(100)])
///     .when(|account| account.withdraw(60))
///     .then([Event::Withdrawn(60)])
///     .then_state(|account| assert_eq!(account.cents, 40));
/// ```
#[derive(Debug)]
pub struct Given<S> {
    state: S,
    next_lsn: Lsn,
}

impl<S: Fold> Given<S> {
    /// Nothing has happened.
    pub fn nothing() -> Given<S> {
        Given { state: S::default(), next_lsn: Lsn::FIRST }
    }

    /// These have happened, one per second from 1970 on.
    ///
    /// # Panics
    ///
    /// If one does not read back from its codec, or the fold panics.
    pub fn events(events: impl IntoIterator<Item = S::Event>) -> Given<S> {
        let mut given = Given::nothing();
        events.into_iter().for_each(|event| given.apply(&event));
        given
    }

    /// Decides on the state.
    pub fn when<I, E>(self, decide: impl FnOnce(&S) -> Result<I, E>) -> Decided<S, E>
    where
        I: IntoIterator<Item = S::Event>,
    {
        let outcome = decide(&self.state).map(|events| events.into_iter().collect());
        Decided { given: self, outcome }
    }

    /// Looks at the state.
    pub fn then_state(self, look: impl FnOnce(&S)) -> Given<S> {
        look(&self.state);
        self
    }

    fn apply(&mut self, event: &S::Event) {
        let lsn = self.next_lsn;
        let read_back = S::CODEC.encode(event).and_then(|bytes| S::decode(S::VERSION, &bytes));
        let event = sound("the event does not read back", read_back);
        let time = Timestamp::from_micros(lsn.get() * 1_000_000);
        self.state.apply(&event, &Stamp::new(Position::new(Epoch::new(1), lsn), time));
        let read_back = S::CODEC.encode(&self.state).and_then(|bytes| S::CODEC.decode(&bytes));
        self.state = sound("the state does not read back", read_back);
        self.next_lsn = lsn.next();
    }
}

/// What was decided.
#[derive(Debug)]
pub struct Decided<S: Fold, E> {
    given: Given<S>,
    outcome: Result<Vec<S::Event>, E>,
}

impl<S: Fold, E: Debug> Decided<S, E> {
    /// These events were chosen; they are applied for what comes next.
    ///
    /// # Panics
    ///
    /// If it was refused, or others were chosen.
    pub fn then(mut self, expected: impl IntoIterator<Item = S::Event>) -> Given<S>
    where
        S::Event: PartialEq + Debug,
    {
        let events = sound("it was refused", self.outcome);
        assert_eq!(events, expected.into_iter().collect::<Vec<_>>(), "other events were chosen");
        events.iter().for_each(|event| self.given.apply(event));
        self.given
    }

    /// It was refused with this.
    ///
    /// # Panics
    ///
    /// If it was not.
    pub fn then_refused(self, expected: impl Into<E>) -> Given<S>
    where
        E: PartialEq,
        S::Event: Debug,
    {
        assert_eq!(self.outcome.err(), Some(expected.into()), "it was not refused with that");
        self.given
    }
}

/// Pins the shape of a type that is kept with [`Codec::Bincode`]: reordered variants, swapped or inserted fields give
/// other bytes, which bincode itself would read without an error as another value. Give samples of all variants, and the
/// bytes of all samples one after another in hexadecimal. When this fails, put the old type back or raise the version.
///
/// # Panics
///
/// If the samples encode to other bytes, or do not read back; the message has the bytes.
///
/// ```
/// # #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
/// enum Event {
///     Deposited { account: u32, cents: u64 },
///     Closed,
/// }
///
/// let samples = [Event::Deposited { account: 7, cents: 256 }, Event::Closed];
/// everlog::testing_fold::pins_shape(&samples, "00000000 07000000 0001000000000000 01000000");
/// ```
pub fn pins_shape<E>(samples: &[E], golden_hex: &str)
where
    E: Serialize + DeserializeOwned,
{
    let mut hex = String::new();
    for sample in samples {
        let bytes = sound("a sample cannot be encoded", Codec::Bincode.encode(sample));
        let back: E = sound("a sample does not read back", Codec::Bincode.decode(&bytes));
        let again = sound("a sample cannot be encoded", Codec::Bincode.encode(&back));
        assert_eq!(bytes, again, "a sample reads back as another value");
        hex.extend(bytes.iter().map(|byte| format!("{byte:02x}")));
    }
    let golden: String = golden_hex.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_lowercase();
    assert_eq!(hex, golden, "the shape of {} has changed", std::any::type_name::<E>());
}

#[allow(clippy::panic, reason = "this is for tests, which fail by a panic")]
fn sound<T, E: Debug>(what: &str, outcome: Result<T, E>) -> T {
    outcome.unwrap_or_else(|error| panic!("{what}: {error:?}"))
}
