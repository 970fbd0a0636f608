//! The store's values as the validator of schemas reads them: in place, without a copy.

use std::borrow::Cow;

use jsonschema::JsonType;
use jsonschema::json::{self, NodeIdentity, cmp};
use serde_json::Number;

use crate::store::value::{Array, Object, Value};

/// The form that the store has for JSON.
pub(super) struct Tree;

/// A value, looked at.
#[derive(Clone, Copy)]
pub(super) struct Node<'a>(pub(super) &'a Value);

impl json::Json for Tree {
    type Node<'a> = Node<'a>;
    type PreparedKey = String;
    type StringBuffer = Value;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>(buffer: &mut Value, string: &str, f: impl FnOnce(Node<'_>) -> T) -> T {
        *buffer = Value::from(string);
        f(Node(buffer))
    }
}

impl<'a> json::Node<'a, Tree> for Node<'a> {
    type Object = Members<'a>;
    type Array = Elements<'a>;
    type Number = &'a Number;

    fn as_object(&self) -> Option<Members<'a>> {
        self.0.as_object().map(Members)
    }

    fn as_array(&self) -> Option<Elements<'a>> {
        self.0.as_array().map(Elements)
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        self.0.as_str().map(Cow::Borrowed)
    }

    fn as_number(&self) -> Option<&'a Number> {
        match self.0 {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    fn as_boolean(&self) -> Option<bool> {
        self.0.as_bool()
    }

    fn is_null(&self) -> bool {
        matches!(self.0, Value::Null)
    }

    fn json_type(&self) -> JsonType {
        match self.0 {
            Value::Null => JsonType::Null,
            Value::Bool(_) => JsonType::Boolean,
            Value::Number(_) => JsonType::Number,
            Value::String(_) => JsonType::String,
            Value::Array(_) => JsonType::Array,
            Value::Object(_) => JsonType::Object,
        }
    }

    fn equals_value(&self, expected: &serde_json::Value) -> bool {
        match (self.0, expected) {
            (Value::String(text), expected) => expected.as_str() == Some(text),
            (Value::Bool(truth), expected) => expected.as_bool() == Some(*truth),
            (Value::Null, expected) => expected.is_null(),
            _ => cmp::equal(&self.to_value(), expected),
        }
    }

    fn to_value(&self) -> Cow<'a, serde_json::Value> {
        // OK because a value always has a JSON form.
        Cow::Owned(serde_json::to_value(self.0).unwrap_or_default())
    }

    fn identity(&self) -> Option<NodeIdentity> {
        // Values stay where they are while the tree that they are in is looked at.
        Some(NodeIdentity::new(std::ptr::from_ref(self.0) as usize))
    }
}

/// The members of an object.
#[derive(Clone, Copy)]
pub(super) struct Members<'a>(&'a Object);

impl<'a> json::Object<'a, Tree> for Members<'a> {
    type Node = Node<'a>;
    type MemberName = &'a str;
    type MembersIter = Box<dyn Iterator<Item = (&'a str, Node<'a>)> + 'a>;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, key: &String) -> Option<Node<'a>> {
        self.0.get(key).map(Node)
    }

    fn members(&self) -> Self::MembersIter {
        Box::new(self.0.iter().map(|(key, value)| (key, Node(value))))
    }
}

/// The elements of an array.
#[derive(Clone, Copy)]
pub(super) struct Elements<'a>(&'a Array);

impl<'a> json::Array<'a, Tree> for Elements<'a> {
    type Node = Node<'a>;
    type ElementsIter = Box<dyn Iterator<Item = Node<'a>> + 'a>;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn elements(&self) -> Self::ElementsIter {
        Box::new(self.0.iter().map(Node))
    }
}
