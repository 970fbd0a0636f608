//! What is done to values of any depth without recursion: comparing, measuring, printing and dropping them.

use std::fmt::{self, Write as _};

use crate::store::value::{DEPTH_MAX, Value};

/// Around the deepest document may be its collection, and around that the whole store.
const READ_DEPTH_MAX: usize = DEPTH_MAX + 2;

/// What is said of a value that is nested deeper than anything that is stored.
pub(super) const TOO_DEEP: &str = "value is nested deeper than anything that can be stored";

impl Value {
    /// How deep it is nested; 0 for anything but arrays and objects. Visits all of it.
    pub fn depth(&self) -> usize {
        let (mut deepest, mut due) = (0, vec![(self, 0)]);
        while let Some((value, level)) = due.pop() {
            match value {
                Value::Array(array) => due.extend(array.iter().map(|value| (value, level + 1))),
                Value::Object(object) => due.extend(object.iter().map(|(_, value)| (value, level + 1))),
                _ => continue,
            }
            deepest = deepest.max(level + 1);
        }
        deepest
    }

    /// Whether it is nested at most so deep. O(1), but for what was once deeper.
    pub(crate) fn is_within(&self, depth: usize) -> bool {
        self.reach().depth <= depth || self.depth() <= depth
    }

    /// Whether it is nested deeper than anything that is read from a store, so that recursion is out of the question.
    pub(super) fn is_too_deep(&self) -> bool {
        !self.is_within(READ_DEPTH_MAX)
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        are_equal(self, other)
    }
}

pub(super) fn are_equal(one: &Value, other: &Value) -> bool {
    let (mut due, mut first) = (Vec::new(), Some((one, other)));
    while let Some(pair) = first.take().or_else(|| due.pop()) {
        let is_equal = match pair {
            (Value::Null, Value::Null) => true,
            (Value::Bool(one), Value::Bool(other)) => one == other,
            (Value::Number(one), Value::Number(other)) => {
                // Zero and minus zero are not written alike.
                one == other && one.as_f64().map(f64::to_bits) == other.as_f64().map(f64::to_bits)
            }
            (Value::String(one), Value::String(other)) => one == other,
            (Value::Array(one), Value::Array(other)) => {
                let may_be = one.len() == other.len() && one.total() == other.total();
                if may_be && !one.is_same(other) {
                    due.extend(one.iter().zip(other.iter()));
                }
                may_be
            }
            (Value::Object(one), Value::Object(other)) => {
                let mut may_be = one.len() == other.len() && one.total() == other.total();
                if may_be && !one.is_same(other) {
                    for ((key, one), (other_key, other)) in one.iter().zip(other.iter()) {
                        may_be &= key == other_key;
                        due.push((one, other));
                    }
                }
                may_be
            }
            _ => false,
        };
        if !is_equal {
            return false;
        }
    }
    true
}

/// Drops what `first` puts into a list, and what is in that, one after the other.
pub(super) fn let_go(first: impl FnOnce(&mut Vec<Value>)) {
    let mut due = Vec::new();
    first(&mut due);
    while let Some(mut value) = due.pop() {
        match &mut value {
            Value::Array(array) => array.empty_into(&mut due),
            Value::Object(object) => object.empty_into(&mut due),
            _ => {}
        }
    }
}

/// An array or object of which a part is written.
struct Open<'a> {
    rest: Box<dyn Iterator<Item = (Option<&'a str>, &'a Value)> + 'a>,
    end: char,
    is_begun: bool,
}

/// Writes JSON without spaces.
pub(super) fn write(value: &Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (mut open, mut next): (Vec<Open<'_>>, _) = (Vec::new(), Some(value));
    loop {
        match next.take() {
            Some(Value::Array(array)) => {
                f.write_char('[')?;
                let rest = Box::new(array.iter().map(|value| (None, value)));
                open.push(Open { rest, end: ']', is_begun: false });
            }
            Some(Value::Object(object)) => {
                f.write_char('{')?;
                let rest = Box::new(object.iter().map(|(key, value)| (Some(key), value)));
                open.push(Open { rest, end: '}', is_begun: false });
            }
            Some(single) => f.write_str(&serde_json::to_string(single).map_err(|_| fmt::Error)?)?,
            None => {}
        }
        let Some(inner) = open.last_mut() else { return Ok(()) };
        match inner.rest.next() {
            Some((key, value)) => {
                if std::mem::replace(&mut inner.is_begun, true) {
                    f.write_char(',')?;
                }
                if let Some(key) = key {
                    write!(f, "{}:", serde_json::to_string(key).map_err(|_| fmt::Error)?)?;
                }
                next = Some(value);
            }
            None => {
                f.write_char(inner.end)?;
                open.pop();
            }
        }
    }
}
