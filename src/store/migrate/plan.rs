//! What is recorded of migrations in a store, and what follows from it: which steps are due, and which are missing.

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::store::key;
use crate::store::migrate::{DataVersion, Migration, Migrations};
use crate::store::op::Op;
use crate::store::path::Path;
use crate::store::value::{Array, Object, Value};
use crate::store::version::Version;

/// What a store knows of the version of its data.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Recorded {
    pub(super) version: DataVersion,
    /// The version that the data began with, if that is known.
    born: Option<DataVersion>,
    /// The steps that ran: version, name, and time as text.
    applied: Array,
}

/// Where the data stand, as the program sees it.
#[derive(Debug)]
pub(super) enum Standing<'a> {
    /// There are none.
    Fresh,
    /// They have the version that the program is made for.
    Current,
    /// They have a later one.
    Newer(DataVersion),
    /// These steps are due; none if only the version is to be noted.
    Behind(Option<Recorded>, Vec<&'a Migration>),
}

fn place() -> Path {
    Path::of_segments([key::SYSTEM, "schema"])
}

impl Recorded {
    /// What a store records; `None` if it never did.
    pub(super) fn of(version: &Version) -> Result<Option<Recorded>> {
        let Some(value) = version.value(&place())? else { return Ok(None) };
        let damage =
            || Error::new(ErrorKind::Damaged, format!("record of the data's version at {}", place()));
        let at = |key: &str| value.get(key).and_then(Value::as_str).and_then(DataVersion::parse);
        let applied = value.get("applied").and_then(Value::as_array).cloned().unwrap_or_default();
        Ok(Some(Recorded { version: at("version").ok_or_else(damage)?, born: at("born"), applied }))
    }

    /// The record of a store that begins with `version`.
    pub(super) fn born(version: DataVersion) -> Recorded {
        Recorded { version, born: Some(version), applied: Array::new() }
    }

    /// The record after these steps.
    pub(super) fn after(mut self, version: DataVersion, steps: &[&Migration], time: Timestamp) -> Recorded {
        self.version = version;
        for step in steps {
            self.applied.push(Value::from(Object::from_iter([
                ("version", Value::from(step.version.to_string().as_str())),
                ("name", Value::from(step.name.as_str())),
                ("time", Value::from(time.to_string().as_str())),
            ])));
        }
        self
    }

    /// The change that records it.
    pub(super) fn op(self) -> Op {
        let text = |version: DataVersion| Value::from(version.to_string().as_str());
        let mut value =
            Object::from_iter([("version", text(self.version)), ("applied", self.applied.into())]);
        if let Some(born) = self.born {
            value.insert("born", text(born));
        }
        Op::Set { path: place(), value: value.into() }
    }

    fn knows(&self, step: &Migration) -> bool {
        let version = step.version.to_string();
        let versions = self.applied.iter().filter_map(|applied| applied.get("version")?.as_str());
        self.born.is_some_and(|born| step.version <= born)
            || versions.into_iter().any(|known| known == version)
    }
}

impl Migrations {
    /// Where the data of `version` stand.
    pub(super) fn standing(&self, version: &Version) -> Result<Standing<'_>> {
        let target = self.target();
        let recorded = Recorded::of(version)?;
        let Some(known) = &recorded else {
            let mut users = version.tallies().filter(|(name, _)| key::is_users(name));
            if users.all(|(_, tally)| tally.documents == 0) {
                return Ok(Standing::Fresh);
            }
            let first = self.steps.first().map_or(target, |first| first.version);
            self.find_gaps(first.major, target)?;
            return Ok(Standing::Behind(None, self.steps.iter().collect()));
        };
        if known.version > target {
            return Ok(Standing::Newer(known.version));
        }
        if let Some(missed) =
            self.steps.iter().find(|step| step.version <= known.version && !known.knows(step))
        {
            let what =
                format!("{missed} never ran on these data, which are at version {} already", known.version);
            return Err(Error::new(ErrorKind::Input, what).advise("give it a version after that"));
        }
        self.find_gaps(known.version.major, target)?;
        if known.version == target {
            return Ok(Standing::Current);
        }
        let due = self.steps.iter().filter(|step| step.version > known.version).collect();
        Ok(Standing::Behind(recorded, due))
    }

    /// Refuses to pass by a major version without a migration.
    fn find_gaps(&self, from: u32, target: DataVersion) -> Result<()> {
        for major in from.saturating_add(1)..=target.major {
            let wanted = DataVersion { major, minor: 0 };
            if !self.steps.iter().any(|step| step.version == wanted) {
                let what = format!(
                    "there is no migration to version {wanted}; the data are at {from}, the program at {target}"
                );
                let error = Error::new(ErrorKind::Input, what);
                return Err(error.advise("add it; until then the data can be read with read_only"));
            }
        }
        Ok(())
    }

    /// The error of writing data that are newer than the program.
    pub(super) fn newer(&self, version: DataVersion) -> Error {
        let what = format!(
            "the data are at version {version}, newer than {}, which this program is made for",
            self.target()
        );
        Error::new(ErrorKind::NewerFormat, what).advise("use the newer program; here they can only be read")
    }
}
