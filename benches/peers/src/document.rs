//! What is kept: one document of many members of one shape, and many small documents.

use serde_json::{Value, json};

/// A document of `members` objects of about 166 bytes, as editors and settings keep them.
#[derive(Clone, Copy, Debug)]
pub struct Document {
    members: u64,
}

impl Document {
    /// 2,500 members, 418 KB.
    pub const LARGE: Document = Document { members: 2500 };
    /// 12 members, 2 KB.
    pub const SMALL: Document = Document { members: 12 };

    /// The name of the member that the change number `n` is for.
    pub fn member(self, n: u64) -> String {
        format!("entry{:04}", n % self.members)
    }

    /// The whole of it.
    pub fn value(self) -> Value {
        let member = |n: u64| {
            let title = format!("{n:0>100}");
            (self.member(n), json!({ "title": title, "done": false, "tags": ["a", "b"], "n": n }))
        };
        Value::Object((0..self.members).map(member).collect())
    }
}

/// 100,000 documents of 200 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Many;

impl Many {
    /// How many there are.
    pub const COUNT: u64 = 100_000;

    /// The key of one.
    pub fn key(n: u64) -> String {
        format!("{:08}", n % Many::COUNT)
    }

    /// The value of one.
    pub fn value(n: u64) -> Value {
        json!({ "id": n, "text": "x".repeat(174) })
    }
}
