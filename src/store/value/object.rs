//! Objects and arrays as persistent trees that know the size of their text and the sum over their leaves.

use std::fmt;
use std::sync::Arc;

use rpds::VectorSync;

use crate::store::value::members::{self, Members};
use crate::store::value::{DEPTH_MAX, Value, deep, sum, text_bytes};

/// The key of the member that says what bytes a value stands for.
pub(crate) const BYTES: &str = "$bytes";

/// What is known of everything inside of a value. It is never less than what is there; it may be more where something was
/// taken out again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    /// How deep it is nested.
    pub(super) depth: usize,
    /// Whether a value in it may stand for bytes out of line.
    pub(super) has_chunks: bool,
}

impl Reach {
    /// Of what is neither array nor object.
    pub(super) const NONE: Reach = Reach { depth: 0, has_chunks: false };
    /// Of an array or object with nothing inside.
    const EMPTY: Reach = Reach { depth: 1, has_chunks: false };

    /// Takes in a member, or an element, which has no key.
    fn include(&mut self, key: Option<&str>, value: &Value) {
        let stands_for_some = key == Some(BYTES) && value.as_str().is_some_and(|text| text.starts_with('#'));
        self.depth = self.depth.max(1 + value.reach().depth);
        self.has_chunks |= stands_for_some || value.reach().has_chunks;
    }
}

/// What is so deep inside that it is not let go by recursion.
fn deep_ones<'a>(values: impl Iterator<Item = &'a Value>) -> impl Iterator<Item = Value> {
    values.filter(|value| value.reach().depth > DEPTH_MAX).cloned()
}

/// Values by key, in the order of the keys' bytes.
#[derive(Clone)]
pub struct Object(Arc<ObjectNode>);

#[derive(Clone)]
struct ObjectNode {
    members: Members,
    /// The bytes of all members as text, without commas.
    members_bytes: u64,
    total: u128,
    reach: Reach,
}

impl ObjectNode {
    fn empty_into(&mut self, due: &mut Vec<Value>) {
        due.extend(deep_ones(self.members.iter().map(|(_, value)| value)));
        self.members = Members::default();
        self.reach = Reach::EMPTY;
    }
}

impl Drop for ObjectNode {
    fn drop(&mut self) {
        if self.reach.depth > DEPTH_MAX {
            deep::let_go(|due| self.empty_into(due));
        }
    }
}

impl Object {
    /// An empty object.
    pub fn new() -> Object {
        let (members, reach) = (Members::default(), Reach::EMPTY);
        Object(Arc::new(ObjectNode { members, members_bytes: 0, total: 0, reach }))
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        self.0.members.len()
    }

    /// Whether it has no members.
    pub fn is_empty(&self) -> bool {
        self.0.members.len() == 0
    }

    /// The value under `key`. O(log n).
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.members.get(key).map(|(_, value)| value)
    }

    /// Puts `value` under `key`, in place of what was there. O(log n); clones of this object stay as they are.
    pub fn insert(&mut self, key: &str, value: Value) {
        let node = Arc::make_mut(&mut self.0);
        let known = node
            .members
            .get(key)
            .map(|(key, old)| (Arc::clone(key), member_bytes(key, old), sum::member(key, old)));
        let key = match known {
            Some((key, bytes, sum)) => {
                node.members_bytes -= bytes;
                node.total = node.total.wrapping_sub(sum);
                key
            }
            None => members::shared(key),
        };
        node.reach.include(Some(&key), &value);
        node.members_bytes += member_bytes(&key, &value);
        node.total = node.total.wrapping_add(sum::member(&key, &value));
        node.members.insert(key, value);
    }

    /// Takes out what is under `key`. O(log n).
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let old = self.get(key)?.clone();
        let node = Arc::make_mut(&mut self.0);
        node.members_bytes -= member_bytes(key, &old);
        node.total = node.total.wrapping_sub(sum::member(key, &old));
        node.members.remove(key);
        Some(old)
    }

    /// All members in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &Value)> {
        self.0.members.iter().map(|(key, value)| (&**key, value))
    }

    pub(crate) fn bytes(&self) -> u64 {
        2 + self.0.members_bytes + (self.len() as u64).saturating_sub(1)
    }

    pub(crate) fn total(&self) -> u128 {
        self.0.total
    }

    pub(super) fn reach(&self) -> Reach {
        self.0.reach
    }

    /// Moves what is nested deep in it to `due`, if nobody else has it.
    pub(super) fn empty_into(&mut self, due: &mut Vec<Value>) {
        Arc::get_mut(&mut self.0).into_iter().for_each(|node| node.empty_into(due));
    }

    pub(crate) fn is_same(&self, other: &Object) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

fn member_bytes(key: &str, value: &Value) -> u64 {
    text_bytes(key) + 1 + value.bytes()
}

impl Default for Object {
    fn default() -> Object {
        Object::new()
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Object) -> bool {
        deep::are_equal(&Value::Object(self.clone()), &Value::Object(other.clone()))
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: AsRef<str>> FromIterator<(K, Value)> for Object {
    /// Of two members with the same key the last counts.
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(members: I) -> Object {
        let mut object = Object::new();
        members.into_iter().for_each(|(key, value)| object.insert(key.as_ref(), value));
        object
    }
}

/// A list of values.
#[derive(Clone)]
pub struct Array(Arc<ArrayNode>);

#[derive(Clone)]
struct ArrayNode {
    elements: VectorSync<Value>,
    elements_bytes: u64,
    total: u128,
    reach: Reach,
}

impl ArrayNode {
    fn empty_into(&mut self, due: &mut Vec<Value>) {
        due.extend(deep_ones(self.elements.iter()));
        self.elements = VectorSync::default();
        self.reach = Reach::EMPTY;
    }
}

impl Drop for ArrayNode {
    fn drop(&mut self) {
        if self.reach.depth > DEPTH_MAX {
            deep::let_go(|due| self.empty_into(due));
        }
    }
}

impl Array {
    /// An empty array.
    pub fn new() -> Array {
        let (elements, reach) = (VectorSync::default(), Reach::EMPTY);
        Array(Arc::new(ArrayNode { elements, elements_bytes: 0, total: 0, reach }))
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.0.elements.len()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.0.elements.is_empty()
    }

    /// The element at `index`. O(log n).
    pub fn get(&self, index: usize) -> Option<&Value> {
        self.0.elements.get(index)
    }

    /// Adds `value` at the end. O(log n); clones of this array stay as they are.
    pub fn push(&mut self, value: Value) {
        let node = Arc::make_mut(&mut self.0);
        node.reach.include(None, &value);
        node.elements_bytes += value.bytes();
        node.total = node.total.wrapping_add(sum::element(node.elements.len(), &value));
        node.elements.push_back_mut(value);
    }

    /// Puts `value` at `index`; `false` if there is no such element. O(log n).
    pub fn set(&mut self, index: usize, value: Value) -> bool {
        let Some(old) = self.0.elements.get(index).cloned() else { return false };
        let node = Arc::make_mut(&mut self.0);
        node.reach.include(None, &value);
        node.elements_bytes = node.elements_bytes - old.bytes() + value.bytes();
        node.total = node.total.wrapping_sub(sum::element(index, &old));
        node.total = node.total.wrapping_add(sum::element(index, &value));
        node.elements.set_mut(index, value)
    }

    /// Takes out the element at `index`; those behind it move up. O(n).
    pub fn remove(&mut self, index: usize) -> Option<Value> {
        let old = self.get(index)?.clone();
        let kept = self.iter().enumerate().filter(|(place, _)| *place != index);
        *self = kept.map(|(_, value)| value.clone()).collect();
        Some(old)
    }

    /// Takes out elements at the start until at most `count` are left. O(n) if there is something to take out.
    pub fn keep_last(&mut self, count: usize) {
        if self.len() > count {
            let skipped = self.len() - count;
            *self = self.iter().skip(skipped).cloned().collect();
        }
    }

    /// All elements in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Value> {
        self.0.elements.iter()
    }

    pub(crate) fn bytes(&self) -> u64 {
        2 + self.0.elements_bytes + (self.len() as u64).saturating_sub(1)
    }

    pub(crate) fn total(&self) -> u128 {
        self.0.total
    }

    pub(super) fn reach(&self) -> Reach {
        self.0.reach
    }

    /// Moves what is nested deep in it to `due`, if nobody else has it.
    pub(super) fn empty_into(&mut self, due: &mut Vec<Value>) {
        Arc::get_mut(&mut self.0).into_iter().for_each(|node| node.empty_into(due));
    }

    pub(crate) fn is_same(&self, other: &Array) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Default for Array {
    fn default() -> Array {
        Array::new()
    }
}

impl PartialEq for Array {
    fn eq(&self, other: &Array) -> bool {
        deep::are_equal(&Value::Array(self.clone()), &Value::Array(other.clone()))
    }
}

impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl FromIterator<Value> for Array {
    fn from_iter<I: IntoIterator<Item = Value>>(elements: I) -> Array {
        let mut array = Array::new();
        elements.into_iter().for_each(|value| array.push(value));
        array
    }
}
