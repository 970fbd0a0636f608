//! `everlog migrate`: which version the data of a store has come to; only its program has the steps.

use std::path::PathBuf;

use clap::Args;

use crate::tool::outcome::Outcome;
use crate::tool::render::{Form, Output};
use crate::tool::store::open::{finish, reading};

/// Show which version the data of a store has come to; its program migrates it
#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// The store's directory; only read
    pub(crate) dir: PathBuf,
}

pub(crate) fn migrate(args: &Migrate, form: Form) -> Outcome {
    let mut output = Output::new(form);
    let store = reading(&args.dir)?;
    let version = store.data_version()?.map(|version| version.to_string());
    if output.is_json() {
        output.json(&serde_json::json!({ "data_version": version }))?;
    } else {
        output.line(version.as_deref().unwrap_or("no migrations were ever run here"))?;
    }
    finish(&store, &args.dir, &mut output)
}
