//! What a schema says of a collection holds for everything that writes, and what does not hold is told whole.

#![cfg(feature = "schema")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is a test")]

mod store_kit;

use everlog::store::{Collection, Migration, Migrations, Schema, StoreOptions};
use everlog::{ErrorKind, Store, path};
use serde_json::json;
use store_kit::{place, shut};

const NOTE: &str = r#"{
    "type": "object",
    "required": ["title"],
    "properties": {
        "title": {"type": "string", "minLength": 1},
        "stars": {"type": "integer", "minimum": 0, "maximum": 5},
        "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": true}
    },
    "additionalProperties": false
}"#;

fn noted() -> StoreOptions {
    Store::options().schema("notes", Schema::each(NOTE))
}

/// H14, H56, T08: the failing path and rule, all of them at once.
#[test]
fn every_violation_is_named_with_path_and_rule_and_nothing_is_written() {
    let (_directory, path) = place();
    let store = noted().open(&path).unwrap();
    store.set("notes.a", &json!({"title": "Milk", "stars": 3})).unwrap();
    let before = store.position();
    let error = store
        .transaction(|tx| {
            tx.set("notes.a.stars", &9)?;
            tx.set("notes.a.tags", &["x", "x"])?;
            tx.set(path!("notes", "b.c"), &json!({"title": "", "colour": 1}))?;
            tx.set("elsewhere.free", &1)
        })
        .expect_err("not valid");
    let mut found: Vec<(&str, &str)> = error
        .violations()
        .iter()
        .map(|violation| (violation.path.as_str(), violation.rule.as_str()))
        .collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("notes.a.stars", "/properties/stars/maximum"),
            ("notes.a.tags", "/properties/tags/uniqueItems"),
            (r"notes.b\.c", "/additionalProperties"),
            (r"notes.b\.c.title", "/properties/title/minLength"),
        ]
    );
    assert_eq!(error.kind().word(), "invalid");
    assert!(error.to_string().contains("and 1 more"), "{error}");
    assert_eq!(store.position(), before, "nothing was written");
    assert_eq!(store.get_value("notes.a").unwrap().unwrap().to_string(), r#"{"stars":3,"title":"Milk"}"#);
    assert!(!store.contains("elsewhere.free").unwrap());
    store.set("notes.a.stars", &4).unwrap();
    store.remove("notes.a").unwrap();
}

/// H40: free text where a choice is meant.
#[test]
fn each_way_to_write_passes_the_schema() {
    let (_directory, path) = place();
    let kinds = json!({"type": "object", "properties": {
        "phase": {"enum": ["dns", "tcp", "tls", 4, null, true, 1.0]},
        "list": {"maxItems": 2},
        "count": {"maximum": 2},
    }});
    let store = Store::options().schema("log", Schema::each(kinds)).open(&path).unwrap();
    for good in [json!("dns"), json!(4), json!(null), json!(true), json!(1)] {
        store.set("log.a.phase", &good).unwrap();
    }
    let invalid = |outcome: everlog::Result<()>| {
        let error = outcome.expect_err("not valid");
        assert!(matches!(error.kind(), ErrorKind::Invalid { .. }), "{error}");
    };
    invalid(store.set("log.a.phase", "free text").map(drop));
    invalid(store.set("log.a.phase", &false).map(drop));
    invalid(store.merge("log.a", &json!({"phase": 5})).map(drop));
    store.append("log.a.list", &1, None).unwrap();
    store.append("log.a.list", &1, None).unwrap();
    invalid(store.append("log.a.list", &1, None).map(drop));
    store.append("log.a.list", &1, Some(2)).unwrap();
    store.increment("log.a.count", 2).unwrap();
    invalid(store.increment("log.a.count", 1).map(drop));
    invalid(store.set("log.b", &7).map(drop));
    assert_eq!(store.get::<i64>("log.a.count").unwrap(), Some(2));
}

#[test]
fn a_collection_as_a_whole_is_held_against_its_schema_at_each_change() {
    let (_directory, path) = place();
    let whole = json!({"required": ["theme"], "properties": {"theme": {"enum": ["dark", "light"]}}, "maxProperties": 2});
    let store = Store::options().schema("settings", Schema::whole(whole)).open(&path).unwrap();
    let error = store.set("settings.size", &1).expect_err("the theme is missing");
    assert_eq!((&*error.violations()[0].path, &*error.violations()[0].rule), ("settings", "/required"));
    store.transaction(|tx| Ok((tx.set("settings.size", &1)?, tx.set("settings.theme", "dark")?))).unwrap();
    let error = store.set("settings.third", &1).expect_err("too many");
    assert_eq!(error.violations()[0].rule, "/maxProperties");
    let error = store.remove("settings").expect_err("the theme is needed");
    assert_eq!(error.violations()[0].rule, "/required");
    assert_eq!(store.set("settings.theme", "blue").expect_err("no").violations()[0].path, "settings.theme");
    store.remove("settings.size").unwrap();
}

#[test]
fn a_bad_schema_is_a_clear_error_before_anything_is_touched() {
    let (_directory, path) = place();
    for (schema, what) in [
        ("{", "is not JSON"),
        (r#"{"type": "text"}"#, "is not a schema at /type"),
        (r#"{"properties": {"a": {"minimum": "x"}}}"#, "is not a schema at /properties/a/minimum"),
        (r#"{"$ref": "https://example.org/schema.json"}"#, "is not a schema"),
        (r#"{"$ref": "file:///etc/passwd"}"#, "is not a schema"),
        (r#"{"pattern": "("}"#, "is not a schema"),
    ] {
        let error = Store::options().schema("notes", Schema::each(schema)).open(&path).expect_err(schema);
        assert_eq!(error.kind(), &ErrorKind::Input);
        assert!(error.what().contains(what) && error.what().contains("\"notes\""), "{error}");
        assert!(!path.exists());
    }
    let error = Store::options().schema("$everlog", Schema::each("true")).open(&path).expect_err("reserved");
    assert_eq!(error.kind(), &ErrorKind::Input);
}

/// T34: domains with rules of their own.
#[test]
fn a_collection_declares_its_schemas_and_defaults_count() {
    let (_directory, path) = place();
    let settings = Collection::new("settings")
        .defaults(&json!({"theme": "light", "window": {"width": 800}}))
        .unwrap()
        .schema_whole(json!({"required": ["theme", "window"]}))
        .schema_each(json!({"if": {"type": "object"}, "then": {"required": ["width"]}}));
    let store = Store::options().collection(settings).check_all().open(&path).unwrap();
    store.set("settings.window.height", &600).expect("the width is there by default");
    store.set("settings.size", &1).unwrap();
    let error = store.set("settings.frame", &json!({"height": 1})).expect_err("no width");
    assert_eq!(error.violations()[0].path, "settings.frame");
    assert_eq!(store.check_all().unwrap(), []);
    let series = store.series::<serde_json::Value>("settings.log");
    series.push(&json!({"width": 1})).unwrap();
    let error = series.push(&json!({"height": 1})).expect_err("entries are looked at, too");
    assert_eq!(error.violations()[0].path, "settings.log");
}

/// T32: what was valid once need not be valid today, and does not come back by a rollback or by undo.
#[test]
fn rollbacks_and_undo_pass_the_schema_of_today() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    let editor = store.undo_scope("editor", ["notes"]).unwrap();
    let past = store.set("notes.a", &json!({"name": "Milk"})).unwrap().position;
    editor.transaction("retitle", |tx| tx.set("notes.a", &json!({"title": "Milk"}))).unwrap();
    store.close().unwrap();
    drop((editor, store));
    let store = noted().open(&path).unwrap();
    let end = store.position();
    let error = store.rollback_to(past).unwrap().commit().expect_err("not valid");
    assert_eq!(error.violations().len(), 2, "{error}");
    let editor = store.undo_scope("editor", ["notes"]).unwrap();
    let error = editor.undo().expect_err("not valid");
    assert_eq!(error.violations().len(), 2, "{error}");
    assert_eq!(store.position(), end);
    assert_eq!(store.get_value("notes.a").unwrap().unwrap().to_string(), r#"{"title":"Milk"}"#);
}

/// C03: at opening, when asked for, everything is looked at; nothing is silent and nothing is refused.
#[test]
fn the_whole_state_is_checked_at_opening_when_that_is_asked_for() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    store.set("notes.good", &json!({"title": "Milk"})).unwrap();
    store.set("notes.old", &json!({"name": "Bread"})).unwrap();
    store.set("other.old", &1).unwrap();
    shut(store);
    let store = noted().check_all().open(&path).unwrap();
    let rules: Vec<&str> = store.violations().iter().map(|violation| violation.rule.as_str()).collect();
    assert_eq!(rules.len(), 2);
    assert!(store.violations().iter().all(|violation| violation.path == "notes.old"));
    store.set("notes.good.stars", &1).expect("only what is touched is looked at");
    assert!(store.set("notes.old.stars", &1).is_err());
    store.set("notes.old", &json!({"title": "Bread"})).unwrap();
    assert_eq!(store.check_all().unwrap(), []);
    assert_eq!(store.violations().len(), 2, "what was found at opening");
    shut(store);
    assert_eq!(noted().open(&path).unwrap().violations(), []);
}

/// T32: migrations pass the schemas, too.
#[test]
fn a_migration_that_breaks_the_schema_changes_nothing() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    store.set("notes.a.name", "Milk").unwrap();
    shut(store);
    let half =
        Migrations::new().add(Migration::renaming(1, 0, "titles").rename("notes.*.name", "notes.*.caption"));
    let look = noted().migrations(half.clone()).read_only().open(&path).unwrap();
    assert_eq!(look.dry_run().unwrap().violations.len(), 2, "a dry run tells, too");
    drop(look);
    let error = noted().migrations(half).open(&path).expect_err("not valid");
    assert_eq!(error.violations().len(), 2);
    let whole =
        Migrations::new().add(Migration::renaming(1, 0, "titles").rename("notes.*.name", "notes.*.title"));
    let store = noted().migrations(whole).open(&path).unwrap();
    assert_eq!(store.get::<String>("notes.a.title").unwrap().as_deref(), Some("Milk"));
    assert_eq!(store.pins().len(), 1, "the failed one left no pin");
}

#[test]
fn deep_values_and_schemas_that_refer_to_themselves_do_not_exhaust_the_stack() {
    let (_directory, path) = place();
    let tree = json!({"$ref": "#/$defs/node", "$defs": {"node": {
        "properties": {"in": {"$ref": "#/$defs/node"}, "leaf": {"type": "integer"}}, "additionalProperties": false}}});
    let circle =
        json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}});
    let options =
        Store::options().schema("trees", Schema::each(tree)).schema("circles", Schema::each(circle));
    let store = options.open(&path).unwrap();
    let inner = path!("trees", "t");
    let deep = (0..500).fold(inner, |path, _| path.join("in"));
    store.set(deep.join("leaf"), &1).unwrap();
    let error = store.set(deep.join("leaf"), "x").expect_err("not valid");
    assert!(error.violations()[0].path.ends_with("in.leaf"));
    store.set("circles.c", &1).unwrap();
}

/// T08, E48: an import is held against the schemas like any other commit, and a dry run of it too.
#[test]
fn an_import_names_every_violation_by_path_and_rule_and_writes_nothing() {
    use everlog::store::Import;
    let (_directory, path) = scratch();
    let store = noted().open(&path).unwrap();
    store.set("notes.old", &json!({"title": "Milk"})).unwrap();
    let before = store.position();
    let text =
        r#"{"good": {"title": "x"}, "a.b": {"title": "", "stars": 9}, "none": {}, "old": {"title": 1}}"#;
    let lines = r#"{"collection": "notes", "key": "a", "value": {"stars": 7}}
        {"collection": "free", "key": "b", "value": 1}"#;
    let file = Import::new().as_collection("notes");
    let all = [
        (r"notes.a\.b.stars", "/properties/stars/maximum"),
        (r"notes.a\.b.title", "/properties/title/minLength"),
        ("notes.none", "/required"),
        ("notes.old.title", "/properties/title/type"),
    ];
    let one = [("notes.a", "/required"), ("notes.a.stars", "/properties/stars/maximum")];
    for (text, how, expected) in
        [(text, file.clone(), &all[..]), (text, file.clone().salvage(), &all), (lines, Import::new(), &one)]
    {
        let (wet, dry) =
            (store.import(text.as_bytes(), &how), store.import(text.as_bytes(), &how.clone().dry_run()));
        let (wet, dry) = (wet.expect_err("not valid"), dry.expect_err("not valid"));
        let mut found: Vec<(&str, &str)> = wet
            .violations()
            .iter()
            .map(|violation| (violation.path.as_str(), violation.rule.as_str()))
            .collect();
        found.sort_unstable();
        assert_eq!(found, expected);
        assert_eq!(dry.violations(), wet.violations(), "a dry run says the same");
        assert_eq!(dry.to_string(), wet.to_string());
        assert_eq!(store.position(), before, "nothing is written");
    }
    let good = r#"{"good": {"title": "x"}}"#;
    let report = store.import(good.as_bytes(), &file.clone().dry_run()).unwrap();
    assert_eq!((report.added, store.position()), (1, before));
    assert_eq!(store.import(good.as_bytes(), &file).unwrap().added, 1);
}
