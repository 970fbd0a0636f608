//! Running migrations: at opening, as a dry run, and on earlier states in memory.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result, Violation};
use crate::journal::Durability;
use crate::position::{Epoch, Position};
use crate::state::Meta;
use crate::state::commit::Manner;
use crate::store::diff::PathChange;
use crate::store::key;
use crate::store::migrate::plan::{Recorded, Standing};
use crate::store::migrate::{DataVersion, Migration, Migrations};
use crate::store::order::Order;
use crate::store::transaction::{Draft, Tx};
use crate::store::version::Version;
use crate::store::{Store, View};

/// Brings the data of an opened store to the version of its program. An error to give to writers if they are newer.
pub(crate) fn bring_up(order: &Order) -> Result<Option<Error>> {
    let Some(migrations) = &order.rules.migrations else { return Ok(None) };
    let view = order.view();
    let due = match migrations.standing(&view) {
        Ok(Standing::Newer(version)) => return Ok(Some(migrations.newer(version))),
        // What is only read needs no steps, and is not kept from being read by those that are missing.
        _ if order.journal.writer_core().is_err() => return Ok(None),
        due => due?,
    };
    let manner = |cause: String| Manner {
        meta: Some(Arc::new(Meta::new().actor("everlog").cause(cause))),
        durability: Durability::Synced,
    };
    match due {
        Standing::Fresh => {
            let born = Recorded::born(migrations.target()).op();
            order
                .commit(&manner("the first version".to_owned()), |tx| tx.apply(born))
                .map_err(Error::from)?;
        }
        Standing::Behind(recorded, steps) => {
            let from = name_of(recorded.as_ref());
            let manner = manner(format!("migration from {from} to {}", migrations.target()));
            let pin = format!("before-migration-{from}");
            // So that the horizon does not pass the pin's position.
            let _alone = order.journal.keep_upkeep_away();
            let step = |tx: &mut Tx<'_>| {
                if !steps.is_empty() {
                    tx.draft.pin_base(&pin)?;
                }
                migrations.go(tx, recorded, &steps)
            };
            order.commit(&manner, step).map_err(Error::from)?;
        }
        Standing::Current | Standing::Newer(_) => {}
    }
    Ok(None)
}

fn name_of(recorded: Option<&Recorded>) -> String {
    recorded.map_or_else(|| "the-first".to_owned(), |recorded| recorded.version.to_string())
}

impl Migrations {
    /// Does what `steps` do, and records them.
    fn go(&self, tx: &mut Tx<'_>, recorded: Option<Recorded>, steps: &[&Migration]) -> Result<()> {
        for step in steps {
            run(step, tx)?;
        }
        let recorded = recorded.unwrap_or_default().after(self.target(), steps, tx.draft.time());
        tx.apply(recorded.op()).map(drop)
    }

    /// The state of `version` as it would be today: what is due for it, done in memory.
    fn forward(&self, order: &Order, version: &Version) -> Result<Version> {
        let draft = self.draft(order, version)?.1;
        let mut forward = draft.version().clone();
        forward.pass(version.position, version.time);
        Ok(forward)
    }

    /// What is due for `version`, and a draft in which it is done.
    fn draft(&self, order: &Order, version: &Version) -> Result<(Vec<&Migration>, Draft)> {
        // An epoch that no journal reaches: what is only thought of must not look like a revision that there is.
        let start = Position::new(Epoch::new(u32::MAX), version.position.lsn.next());
        let mut draft = Draft::new(version, start, version.time, None);
        let steps = match self.standing(version)? {
            Standing::Fresh | Standing::Current => Vec::new(),
            Standing::Newer(newer) => return Err(self.newer(newer)),
            Standing::Behind(recorded, steps) => {
                self.go(&mut Tx::new(&mut draft, order), recorded, &steps)?;
                steps
            }
        };
        Ok((steps, draft))
    }
}

impl Order {
    /// A state of the past in today's form.
    pub(crate) fn forward(&self, version: Arc<Version>) -> Result<Arc<Version>> {
        match &self.rules.migrations {
            Some(migrations) => Ok(Arc::new(migrations.forward(self, &version)?)),
            None => Ok(version),
        }
    }
}

/// Runs one step; a panic in it is an error.
fn run(step: &Migration, tx: &mut Tx<'_>) -> Result<()> {
    let ran = catch_unwind(AssertUnwindSafe(|| step.apply(tx)));
    let outcome = ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let what = format!("panicked: {}", text.unwrap_or_else(|| "no message".to_owned()));
        Err(Error::new(ErrorKind::Refused, what))
    });
    let advice = "nothing was changed; the data can be read with read_only";
    outcome.map_err(|error| error.during(&step.to_string()).advise(advice))
}

/// What migrations would do.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DryRun {
    /// The version of the data; `None` if none was ever recorded.
    pub from: Option<DataVersion>,
    /// The version that they would have.
    pub to: DataVersion,
    /// The steps that would run, by name, in order.
    pub names: Vec<String>,
    /// What would change, in the order of the changes.
    pub changes: Vec<PathChange>,
    /// What would break the schemas then.
    pub violations: Vec<Violation>,
}

impl Store {
    /// What the migrations that the store was opened with would do, without doing it: open with
    /// [`read_only`](crate::store::StoreOptions::read_only) to look before they run. Writes nothing.
    ///
    /// # Errors
    ///
    /// What a step fails with; `Input` if a step is missing; `NewerFormat` if the data are newer.
    pub fn dry_run(&self) -> Result<DryRun> {
        let (rules, view) = (&self.order.rules, self.view());
        let from = Recorded::of(view.version())?.map(|recorded| recorded.version);
        let Some(migrations) = &rules.migrations else {
            return Ok(DryRun { from, to: from.unwrap_or_default(), ..DryRun::default() });
        };
        let (steps, draft) = migrations.draft(&self.order, view.version())?;
        let violations = rules.violations(draft.ops(), draft.version())?;
        let names = steps.iter().map(|step| step.name.clone()).collect();
        let mut changes = PathChange::all_of(draft.effects());
        changes.retain(|change| key::is_users(change.path.collection()));
        Ok(DryRun { from, to: migrations.target(), names, changes, violations })
    }

    /// The state of a view in today's form: the migrations that it has not seen done to it in memory. Its position stays;
    /// documents that they change have the revision of no record. Views of the past are what they were until this is asked for.
    ///
    /// # Errors
    ///
    /// As [`Store::dry_run`].
    pub fn upcast(&self, view: &View) -> Result<View> {
        let version = self.order.forward(Arc::clone(view.version()))?;
        Ok(View::new(version, view.is_open()))
    }

    /// The version of the data; `None` if none was ever recorded.
    ///
    /// # Errors
    ///
    /// `Damaged` if the record cannot be read.
    pub fn data_version(&self) -> Result<Option<DataVersion>> {
        Ok(Recorded::of(self.view().version())?.map(|recorded| recorded.version))
    }
}
