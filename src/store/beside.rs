//! For whoever only reads a store: what it ever had, and what happened after a view of it.

use std::sync::Arc;

use crate::error::Result;
use crate::store::history::Changed;
use crate::store::view::View;
use crate::store::{Store, key, replay};

impl View {
    /// The names of all collections that have something or had it, in order.
    pub(crate) fn collections_ever(&self) -> Vec<String> {
        let names = self.version().tallies().map(|(name, _)| name);
        names.filter(|name| key::is_users(name)).map(str::to_owned).collect()
    }

    /// How many collections and documents there are; entries of series count.
    pub(crate) fn count(&self) -> (u64, u64) {
        let tallies = self.version().tallies();
        let here = tallies.filter(|(name, tally)| key::is_users(name) && tally.documents > 0);
        here.fold((0, 0), |(collections, documents), (_, tally)| {
            (collections + 1, documents + tally.documents)
        })
    }
}

impl Store {
    /// What was done after the state of `view`, which may be of an earlier opening, record by record; and the state now.
    ///
    /// # Errors
    ///
    /// `BeforeHorizon` if the history in between was compacted away; `Damaged` if the log does not check.
    pub(crate) fn changes_after(&self, view: &View) -> Result<(Vec<Changed>, View)> {
        let journal = &self.order.journal;
        let mut version = (**view.version()).clone();
        let mut changes = Vec::new();
        journal.check_branch(version.position)?;
        if version.position.lsn < journal.horizon().lsn {
            return Err(journal.before_horizon("the history after what was shown last was compacted away"));
        }
        replay::visit(journal, &mut version, journal.durable_lsn(), &mut |_, stamp, effects| {
            changes.extend(effects.into_iter().map(|effect| Changed {
                path: effect.path,
                position: stamp.position,
                time: stamp.time,
                meta: stamp.meta.clone(),
                old: effect.old,
                new: effect.new,
                entry: effect.entry,
            }));
            Ok(())
        })?;
        Ok((changes, View::new(Arc::new(version), true)))
    }
}
