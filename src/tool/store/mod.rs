//! The verbs of a store of JSON documents.

mod back;
mod change;
mod export;
mod fork;
mod import;
mod look;
mod migrate;
mod open;
mod past;
mod show;
mod watch;

pub(crate) use back::{Rollback, Undo, rollback, undo};
pub(crate) use change::{Remove, Set, remove, set};
pub(crate) use export::{Export, export};
pub(crate) use fork::{Fork, fork};
pub(crate) use import::{ImportVerb, import};
pub(crate) use look::{Get, Keys, State, get, keys, state};
pub(crate) use migrate::{Migrate, migrate};
pub(crate) use open::{Missing, Said, reading, writing};
pub(crate) use past::{DiffVerb, HistoryVerb, TimelineVerb, diff, history, timeline};
pub(crate) use watch::{WatchVerb, watch};
