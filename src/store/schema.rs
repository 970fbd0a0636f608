//! JSON Schemas of collections: compiled when a store is opened, and passed by everything that writes.

mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jsonschema::Validator;

use crate::error::{Error, ErrorKind, Result, Violation};
use crate::store::collection::check_users;
use crate::store::key;
use crate::store::op::Op;
use crate::store::path::{IntoPath, Path};
use crate::store::value::{Object, Value};
use crate::store::version::Version;
use crate::store::{Collection, StoreOptions};
use tree::{Node, Tree};

/// More violations than this are not listed.
const VIOLATIONS_MAX: usize = 1000;

/// A JSON Schema for a collection: for each of its documents, or for the collection as one object of documents by key.
///
/// The draft is the one that `$schema` names, 2020-12 if it names none. Nothing is ever fetched: a reference must lead
/// into the schema itself or to a draft.
///
/// # Examples
///
/// ```
/// # fn main() -> everlog::Result<()> {
/// # let directory = tempfile::tempdir().expect("a directory");
/// use everlog::store::Schema;
/// use everlog::{Store, path};
///
/// let store = Store::options()
///     .schema("notes", Schema::each(r#"{"type": "object", "required": ["title"]}"#))
///     .open(directory.path().join("store"))?;
/// let error = store.set("notes.17.body", "Milk").unwrap_err();
/// assert_eq!(error.violations()[0].path, "notes.17");
/// assert_eq!(error.violations()[0].rule, "/required");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    scope: Scope,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Each,
    Whole,
}

impl Schema {
    /// Each document must be valid by this schema, and each entry of a series. Give it as text, or as a value that
    /// displays as JSON. It is compiled when the store is opened.
    pub fn each(json: impl fmt::Display) -> Schema {
        Schema { scope: Scope::Each, text: json.to_string() }
    }

    /// The collection must be valid, defaults included, by this schema, as one object of all its documents by key. A change of one document
    /// then costs a look at all of them: for collections that are small, as settings are.
    pub fn whole(json: impl fmt::Display) -> Schema {
        Schema { scope: Scope::Whole, text: json.to_string() }
    }

    fn compile(&self, collection: &str) -> Result<Compiled> {
        let fault = |what: String| {
            Error::new(ErrorKind::Input, format!("schema of collection {collection:?} {what}"))
                .advise("mend the schema; the store was not opened")
        };
        let json: serde_json::Value =
            serde_json::from_str(&self.text).map_err(|error| fault(format!("is not JSON: {error}")))?;
        let validator = jsonschema::options_for::<Tree>().offline().build(&json);
        let validator = validator.map_err(|error| {
            let place = match error.instance_path().as_str() {
                "" => String::new(),
                place => format!(" at {place}"),
            };
            fault(format!("is not a schema{place}: {error}"))
        })?;
        Ok(Compiled { scope: self.scope, validator })
    }
}

impl StoreOptions {
    /// What the documents of `collection` must look like. A collection may have several schemas, which all hold.
    ///
    /// Everything that writes passes them, migrations, imports, rollbacks and undo included. Only what a commit touches is
    /// looked at: documents that were there before are not, until they are changed; see
    /// [`check_all`](StoreOptions::check_all).
    #[must_use]
    pub fn schema(mut self, collection: impl Into<String>, schema: Schema) -> StoreOptions {
        self.schemas.push((collection.into(), schema));
        self
    }
}

impl Collection {
    /// What each of its documents must look like, see [`Schema::each`].
    pub fn schema_each(mut self, json: impl fmt::Display) -> Collection {
        self.schemas.push(Schema::each(json));
        self
    }

    /// What it must look like as a whole, see [`Schema::whole`].
    pub fn schema_whole(mut self, json: impl fmt::Display) -> Collection {
        self.schemas.push(Schema::whole(json));
        self
    }
}

struct Compiled {
    scope: Scope,
    validator: Validator<Tree>,
}

/// The schemas of a store.
#[derive(Default)]
pub(crate) struct Schemas(BTreeMap<String, Vec<Compiled>>);

impl fmt::Debug for Schemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What a commit touches in a collection.
#[derive(Default)]
struct Touched<'a> {
    keys: BTreeSet<&'a str>,
    entries: Vec<(&'a Path, &'a Value)>,
}

impl Schemas {
    /// Compiles them.
    pub(crate) fn compile<'a>(schemas: impl Iterator<Item = (&'a str, &'a Schema)>) -> Result<Schemas> {
        let mut compiled: BTreeMap<String, Vec<Compiled>> = BTreeMap::new();
        for (collection, schema) in schemas {
            check_users(collection)?;
            compiled.entry(collection.to_owned()).or_default().push(schema.compile(collection)?);
        }
        Ok(Schemas(compiled))
    }

    /// What is not valid of that which `ops` touched, in the version that they led to.
    pub(crate) fn check(&self, ops: &[Op], version: &Version) -> Result<Vec<Violation>> {
        let mut found = Vec::new();
        if self.0.is_empty() {
            return Ok(found);
        }
        for (collection, touched) in self.touched(ops) {
            let documents = touched.keys.iter().map(|key| {
                let path = Path::of_segments([collection, key]);
                let value = version.layered(&path)?;
                Ok((path, value))
            });
            for document in documents.collect::<Result<Vec<_>>>()? {
                if let (path, Some(value)) = document {
                    self.look(collection, Scope::Each, &path, &value, &mut found);
                }
            }
            for (path, value) in touched.entries {
                self.look(collection, Scope::Each, path, value, &mut found);
            }
            self.look_at_whole(collection, version, &mut found)?;
        }
        Ok(found)
    }

    fn touched<'a>(&self, ops: &'a [Op]) -> BTreeMap<&'a str, Touched<'a>> {
        let mut touched: BTreeMap<&str, Touched<'_>> = BTreeMap::new();
        for op in ops {
            let path = match op {
                Op::Set { path, .. } | Op::Remove { path } | Op::Append { path, .. } => path,
                Op::Push { path, .. } | Op::Entry { path, .. } => path,
                Op::Cut { .. } | Op::Note { .. } => continue,
            };
            if !self.0.contains_key(path.collection()) {
                continue;
            }
            let touched = touched.entry(path.collection()).or_default();
            match (op, path.key()) {
                (Op::Entry { value: None, .. }, _) => {}
                (Op::Push { value, .. } | Op::Entry { value: Some(value), .. }, _) => {
                    touched.entries.push((path, value))
                }
                (_, Some(key)) => drop(touched.keys.insert(key)),
                (_, None) => {}
            }
        }
        touched
    }

    /// What is not valid of everything that is there.
    pub(crate) fn check_all(&self, version: &Version) -> Result<Vec<Violation>> {
        let mut found = Vec::new();
        for collection in self.0.keys() {
            for pair in version.range(&key::all_of(collection)) {
                let (bytes, document) = pair?;
                let (path, value) = match key::read(&bytes) {
                    Some(key::Named::Document { key, .. }) => {
                        let path = Path::of_segments([collection, key]);
                        let value = version.layered(&path)?;
                        (path, value.unwrap_or_else(|| document.value.clone()))
                    }
                    Some(key::Named::Entry { key, .. }) => {
                        (Path::of_segments([collection, &key]), document.value.clone())
                    }
                    None => continue,
                };
                self.look(collection, Scope::Each, &path, &value, &mut found);
            }
            if version.tally(collection).documents > 0 {
                self.look_at_whole(collection, version, &mut found)?;
            }
        }
        Ok(found)
    }

    fn look_at_whole(&self, collection: &str, version: &Version, found: &mut Vec<Violation>) -> Result<()> {
        let schemas = self.0.get(collection);
        if schemas.is_some_and(|schemas| schemas.iter().any(|schema| schema.scope == Scope::Whole)) {
            let path = Path::of_segments([collection]);
            let value = version.layered(&path)?.unwrap_or_else(|| Object::new().into());
            self.look(collection, Scope::Whole, &path, &value, found);
        }
        Ok(())
    }

    fn look(&self, collection: &str, scope: Scope, path: &Path, value: &Value, found: &mut Vec<Violation>) {
        let schemas = self.0.get(collection).into_iter().flatten();
        for schema in schemas.filter(|schema| schema.scope == scope) {
            if found.len() < VIOLATIONS_MAX && !schema.validator.is_valid(Node(value)) {
                let errors = schema.validator.iter_errors(Node(value));
                let room = VIOLATIONS_MAX - found.len();
                found.extend(errors.take(room).map(|error| violation(path, &error)));
            }
        }
    }
}

fn violation(path: &Path, error: &jsonschema::ValidationError<'_>) -> Violation {
    const CHARACTERS_MAX: usize = 500;
    let pointer = format!("{}{}", path.to_pointer(), error.instance_path().as_str());
    let path = pointer.as_str().into_path().map_or(pointer, |path| path.to_string());
    let what = error.masked().to_string().chars().take(CHARACTERS_MAX).collect();
    Violation { path, rule: error.schema_path().as_str().to_owned(), what }
}
