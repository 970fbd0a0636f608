//! The trait that a user's state implements, [`Fold`], and what it is told with each event.
//!
//! # Format
//!
//! The metadata block of a typed record is everlog's own encoding (bincode with fixed-width integers) of three optional
//! texts: actor, cause, correlation. Each is one byte, 0 or 1, and after a 1 the text's length as a u64 and its UTF-8.
//! Every record of a transaction carries it; a commit about which nothing was said has none.

use std::sync::Arc;

use bincode::{Decode, Encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::summary::{decode_own, encode_own};
use crate::position::Position;
use crate::state::codec::Codec;

/// A state that changes only by its own events.
///
/// The state at any position is what [`Fold::apply`] makes of the default state and all events up to there, so `apply`
/// must depend on nothing else: no clock (the stamp has the time), no random numbers, no files. It should accept every
/// event that was ever committed; decide in [`transaction`](crate::state::Journaled::transaction) what may be.
///
/// The state must read back as it was written: snapshots and rollbacks keep it encoded.
///
/// ```
/// use everlog::{Fold, Stamp};
/// use serde::{Deserialize, Serialize};
/// use std::collections::BTreeMap;
///
/// #[derive(Serialize, Deserialize)]
/// enum Event {
///     Deposited { account: u32, cents: u64 },
///     Withdrawn { account: u32, cents: u64 },
/// }
///
/// #[derive(Default, Serialize, Deserialize)]
/// struct Bank {
///     balances: BTreeMap<u32, u64>,
/// }
///
/// impl Fold for Bank {
///     type Event = Event;
///     const NAME: &'static str = "bank";
///     const VERSION: u16 = 1;
///
///     fn apply(&mut self, event: &Event, _at: &Stamp) {
///         match event {
///             Event::Deposited { account, cents } => *self.balances.entry(*account).or_default() += cents,
///             Event::Withdrawn { account, cents } => *self.balances.entry(*account).or_default() -= cents,
///         }
///     }
/// }
/// ```
pub trait Fold: Default + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What happens to the state.
    type Event: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// The name that the journal records when it is created and compares at every opening (J15). Never change it.
    const NAME: &'static str;

    /// The version of the event type. Raise it when the type changes, and decode the older ones in [`Fold::decode`].
    /// A journal with events of a later version than this is not opened.
    const VERSION: u16;

    /// How events and states are encoded; recorded when the journal is created.
    const CODEC: Codec = Codec::Json;

    /// The version of the state's shape. `Some` allows [`compact`](crate::state::Journaled::compact): a snapshot may then
    /// become the base of the history, so that it must be readable for ever ([`Fold::decode_state`]).
    const STATE_VERSION: Option<u16> = None;

    /// Raise it whenever [`Fold::apply`] or the shape of the state changes: snapshots of another revision are ignored
    /// while the log is whole.
    const FOLD_REVISION: u32 = 0;

    /// Applies one event. A panic refuses the event: it does not enter the log, and nothing of it is seen.
    fn apply(&mut self, event: &Self::Event, at: &Stamp);

    /// Decodes an event of version `version`. Implement it to read versions before [`Fold::VERSION`]: decode the type
    /// as it was then, with [`Codec::decode`], and make today's of it.
    ///
    /// # Errors
    ///
    /// `WrongType` if there is no step from that version.
    fn decode(version: u16, bytes: &[u8]) -> Result<Self::Event> {
        match version == Self::VERSION {
            true => Self::CODEC.decode(bytes),
            false => Err(no_step("events", Self::NAME, version, Self::VERSION, "Fold::decode")),
        }
    }

    /// Decodes a state of version `version`, which is 0 without [`Fold::STATE_VERSION`].
    ///
    /// # Errors
    ///
    /// `WrongType` if there is no step from that version.
    fn decode_state(version: u16, bytes: &[u8]) -> Result<Self> {
        match version == state_version::<Self>() {
            true => Self::CODEC.decode(bytes),
            false => {
                let today = state_version::<Self>();
                Err(no_step("a state", Self::NAME, version, today, "Fold::decode_state"))
            }
        }
    }
}

/// The state version as it is recorded.
pub(crate) fn state_version<S: Fold>() -> u16 {
    S::STATE_VERSION.unwrap_or(0)
}

fn no_step(what: &str, name: &str, version: u16, today: u16, function: &str) -> Error {
    let what =
        format!("the journal holds {what} of {name:?} version {version}, this program reads {today} only");
    let next = if version < today { format!("implement {function}") } else { "use the newer program".into() };
    Error::new(ErrorKind::WrongType, what).advise(next)
}

/// Where and when an event happened, and what was said about its commit. The same at every replay.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stamp {
    /// Where the event stands in the order.
    pub position: Position,
    /// When it was accepted; the same for all events of a transaction, never before the event before it (J8).
    pub time: Timestamp,
    /// What was said about the commit; the same for all events of a transaction.
    pub meta: Option<Arc<Meta>>,
}

impl Stamp {
    /// A stamp, for tests of folds.
    pub fn new(position: Position, time: Timestamp) -> Stamp {
        Stamp { position, time, meta: None }
    }

    /// Who did it, if that was said.
    pub fn actor(&self) -> Option<&str> {
        self.meta.as_ref().and_then(|meta| meta.actor.as_deref())
    }
}

/// What is said about a commit; kept with its events. At most 65,535 bytes in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Meta {
    /// Who did it.
    pub actor: Option<String>,
    /// Why: the command, request or event that led to it.
    pub cause: Option<String>,
    /// What it belongs to: a session, a request that spans several commits.
    pub correlation: Option<String>,
}

impl Meta {
    /// Nothing said.
    pub fn new() -> Meta {
        Meta::default()
    }

    /// Who did it.
    #[must_use]
    pub fn actor(mut self, actor: impl Into<String>) -> Meta {
        self.actor = Some(actor.into());
        self
    }

    /// Why.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Meta {
        self.cause = Some(cause.into());
        self
    }

    /// What it belongs to.
    #[must_use]
    pub fn correlation(mut self, correlation: impl Into<String>) -> Meta {
        self.correlation = Some(correlation.into());
        self
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let Meta { actor, cause, correlation } = self.clone();
        encode_own(MetaRecord { actor, cause, correlation })
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Meta> {
        let MetaRecord { actor, cause, correlation } = decode_own(bytes)?;
        Ok(Meta { actor, cause, correlation })
    }
}

/// Metadata as recorded.
#[derive(Encode, Decode)]
struct MetaRecord {
    actor: Option<String>,
    cause: Option<String>,
    correlation: Option<String>,
}
