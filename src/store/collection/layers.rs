//! Stored values over defaults: what is read where both are, and how a default becomes stored before a part of it changes.

use crate::error::Result;
use crate::store::Tx;
use crate::store::op::Op;
use crate::store::path::Path;
use crate::store::value::Value;
use crate::store::version::Version;

impl Version {
    /// The value at `path` as a reader sees it: what is stored, over the defaults.
    pub(crate) fn layered(&self, path: &Path) -> Result<Option<Value>> {
        let stored = self.value(path)?;
        let Some(default) = self.declared.default_at(path) else { return Ok(stored) };
        Ok(match stored {
            Some(stored) => Some(over(default, stored)),
            None if self.is_shadowed(path)? => None,
            None => Some(default.clone()),
        })
    }

    /// Whether something is stored on the way to `path` that is no object, so that no default shows below it.
    pub(crate) fn is_shadowed(&self, path: &Path) -> Result<bool> {
        let Some(document) = self.document(path)? else { return Ok(false) };
        let mut value = &document.value;
        for segment in path.inner() {
            if value.as_object().is_none() {
                return Ok(true);
            }
            match value.get(segment) {
                Some(below) => value = below,
                None => return Ok(false),
            }
        }
        Ok(false)
    }
}

/// Layers `stored` over `default`.
fn over(default: &Value, stored: Value) -> Value {
    let (Value::Object(defaults), Value::Object(object)) = (default, &stored) else { return stored };
    let mut layered = object.clone();
    for (key, default) in defaults.iter() {
        match object.get(key) {
            None => layered.insert(key, default.clone()),
            Some(Value::Object(below)) if default.as_object().is_some() => {
                layered.insert(key, over(default, Value::Object(below.clone())));
            }
            Some(_) => {}
        }
    }
    Value::Object(layered)
}

impl Tx<'_> {
    /// Stores a list that stands only in the defaults before a part of it is changed; `is_whole` if `path` may name the list
    /// itself.
    pub(crate) fn ground(&mut self, path: &Path, is_whole: bool) -> Result<()> {
        let version = self.draft.version();
        if version.declared.defaults(path.collection()).is_none() {
            return Ok(());
        }
        let segments = path.segments();
        let longest = if is_whole { segments.len() } else { segments.len().saturating_sub(1) };
        for length in 2..=longest {
            let prefix = Path::of_segments(&segments[..length]);
            let Some(Value::Array(list)) = version.declared.default_at(&prefix) else { continue };
            if version.value(&prefix)?.is_none() && !version.is_shadowed(&prefix)? {
                let value = Value::Array(list.clone());
                self.draft.apply(Op::Set { path: prefix, value })?;
            }
            return Ok(());
        }
        Ok(())
    }
}
