//! The kit of the store's model test: what a store ought to hold as plain maps, random programs, and their carrying out.
#![allow(clippy::expect_used, clippy::panic, reason = "it is for tests")]

pub(crate) mod back;
pub(crate) mod data;
pub(crate) mod look;
pub(crate) mod marks;
pub(crate) mod pins;
pub(crate) mod program;
pub(crate) mod run;
pub(crate) mod world;
