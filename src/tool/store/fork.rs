//! `everlog fork`: a store of its own from the state of any moment.

use std::path::PathBuf;

use clap::Args;

use crate::tool::outcome::{Outcome, command};
use crate::tool::render::{Form, Output};
use crate::tool::store::open::{finish, reading};
use crate::tool::when::When;

/// Make a store of its own from the state of another one at some moment
#[derive(Debug, Args)]
pub(crate) struct Fork {
    /// The store's directory; only read
    pub(crate) dir: PathBuf,
    /// The moment
    when: When,
    /// The new store's directory, missing or empty
    out: PathBuf,
}

pub(crate) fn fork(args: &Fork, form: Form) -> Outcome {
    let mut output = Output::new(form);
    let store = reading(&args.dir)?;
    let position = store.fork(&args.when, &args.out)?;
    if output.is_json() {
        output.json(&serde_json::json!({ "position": position.to_string() }))?;
    } else {
        output.line(format!("{} starts with the state at {position}", args.out.display()))?;
        output.line(format!("next: {}", command("state", &args.out, "")))?;
    }
    finish(&store, &args.dir, &mut output)
}
