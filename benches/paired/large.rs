//! The document that most questions about stores are about.

/// A document of about 418 KB with 2,500 members, as editors keep them.
pub(crate) fn large() -> serde_json::Value {
    let member = |n: usize| {
        let text = format!("{n:0>100}");
        (
            format!("entry{n:04}"),
            serde_json::json!({ "title": text, "done": false, "tags": ["a", "b"], "n": n }),
        )
    };
    serde_json::Value::Object((0..2500).map(member).collect())
}
