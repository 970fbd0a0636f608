//! Older data come up to the program in one step that is whole or was never taken, and the past stays what it was.

#![cfg(all(feature = "sim", feature = "store"))]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is a test")]

mod store_kit;

use std::path::PathBuf;

use everlog::store::{DataVersion, Migration, Migrations, StoreOptions};
use everlog::{Error, ErrorKind, Store, When};
use serde_json::json;
use store_kit::{place, shut};

fn with(migrations: Migrations) -> StoreOptions {
    Store::options().migrations(migrations)
}

/// Version 1.0: a theme at the top. 1.1 adds a size. 2.0 moves the theme.
fn one() -> Migrations {
    Migrations::new().add(Migration::renaming(1, 0, "the first"))
}

fn two() -> Migrations {
    let size = Migration::new(1, 1, "size", |tx| tx.set("settings.size", &12).map(drop));
    let look = Migration::renaming(2, 0, "look").rename("settings.theme", "settings.look.theme");
    one().add(look).add(size)
}

fn version(store: &Store) -> String {
    store.data_version().expect("reads").map_or_else(|| "none".to_owned(), |version| version.to_string())
}

fn text(store: &Store, path: &str) -> Option<String> {
    store.get_value(path).expect("reads").map(|value| value.to_string())
}

fn old_store(path: &PathBuf) {
    let store = with(one()).open(path).unwrap();
    store.set("settings.theme", "dark").unwrap();
    shut(store);
}

/// T09, T31, T44, T48: in order, once, behind a pin, and recorded.
#[test]
fn steps_run_once_in_order_behind_a_pin_and_are_recorded() {
    let (_directory, path) = place();
    old_store(&path);
    let store = with(two()).open(&path).unwrap();
    assert_eq!(version(&store), "2.0");
    assert_eq!(text(&store, "settings").unwrap(), r#"{"look":{"theme":"dark"},"size":12}"#);
    let before = store.at(When::pin("before-migration-1.0")).unwrap();
    assert_eq!(before.get_value("settings").unwrap().unwrap().to_string(), r#"{"theme":"dark"}"#);
    let recorded = store.get_value("$everlog.schema").unwrap().unwrap();
    let applied = recorded.get("applied").unwrap().as_array().unwrap();
    let names: Vec<&str> = applied.iter().map(|step| step.get("name").unwrap().as_str().unwrap()).collect();
    assert_eq!(names, ["size", "look"]);
    assert!(applied.iter().all(|step| step.get("time").unwrap().as_str().unwrap().ends_with('Z')));
    assert_eq!(store.entry("$everlog.schema").unwrap().unwrap().actor.as_deref(), Some("everlog"));
    assert_eq!(store.view().collections(), ["settings"], "the store's own collection is not listed");
    let end = store.position();
    shut(store);
    let store = with(two()).open(&path).unwrap();
    assert_eq!(store.position(), end, "nothing runs again");
    assert_eq!(store.pins().len(), 1);
}

#[test]
fn a_fresh_store_begins_with_the_newest_version_and_runs_nothing() {
    let (_directory, path) = place();
    let never = Migration::new(3, 0, "never", |_| panic!("there is nothing to migrate"));
    let store = with(two().add(never.clone())).open(&path).unwrap();
    assert_eq!(version(&store), "3.0");
    assert!(store.pins().is_empty());
    store.set("settings.look.theme", "light").unwrap();
    shut(store);
    shut(with(two().add(never)).open(&path).unwrap());
}

#[test]
fn data_without_a_version_are_older_than_every_step() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    store.set("settings.theme", "dark").unwrap();
    assert_eq!(version(&store), "none");
    shut(store);
    let store = with(two()).open(&path).unwrap();
    assert_eq!(
        (version(&store).as_str(), text(&store, "settings.look.theme").unwrap().as_str()),
        ("2.0", "\"dark\"")
    );
    assert_eq!(store.pins()[0].name, "before-migration-the-first");
}

/// T44: a minor version adds and needs no step; a major one needs one, and none may be missing.
#[test]
fn minor_versions_pass_and_missing_steps_are_named() {
    let (_directory, path) = place();
    old_store(&path);
    let store = with(one().version(1, 7)).open(&path).unwrap();
    assert_eq!(version(&store), "1.7");
    assert!(store.pins().is_empty(), "nothing was changed");
    shut(store);
    let end = with(Migrations::new().version(1, 7)).open(&path).unwrap();
    let position = end.position();
    shut(end);
    for (migrations, what) in [
        (one().version(2, 0), "no migration to version 2.0"),
        (one().add(Migration::renaming(3, 0, "third")), "no migration to version 2.0"),
        (one().add(Migration::renaming(2, 1, "late")), "no migration to version 2.0"),
        (two(), "migration 1.1 \"size\" never ran"),
        (one().add(Migration::renaming(1, 0, "again")), "have the same version"),
        (one().add(Migration::renaming(2, 0, "two")).version(1, 0), "lies past the version 1.0"),
    ] {
        let error = with(migrations).open(&path).expect_err(what);
        assert_eq!(error.kind(), &ErrorKind::Input);
        assert!(error.what().contains(what), "{error}");
    }
    let store = with(one().version(2, 0)).read_only().open(&path).expect("can be read");
    assert_eq!(text(&store, "settings.theme").unwrap(), "\"dark\"");
    drop(store);
    let store = Store::open(&path).unwrap();
    assert_eq!(store.position(), position);
}

#[test]
fn a_step_that_fails_or_panics_changes_nothing_and_opening_says_so() {
    let (_directory, path) = place();
    old_store(&path);
    let store = with(one()).open(&path).unwrap();
    store.set("settings.taken", &1).unwrap();
    let before = (store.position(), text(&store, "settings"));
    shut(store);
    let fails = Migration::new(2, 0, "fails", |tx| {
        tx.remove("settings")?;
        Err(Error::new(ErrorKind::Conflict, "not like this"))
    });
    let panics = Migration::new(2, 0, "panics", |tx| {
        tx.set("settings.new", &1)?;
        panic!("at {}", "the disco")
    });
    let clashes = Migration::renaming(2, 0, "clashes").rename("settings.theme", "settings.taken");
    let reserved = Migration::renaming(2, 0, "reserved").rename("settings.theme", "$everlog.schema");
    for (step, kind, what) in [
        (fails, ErrorKind::Conflict, "migration 2.0 \"fails\": not like this"),
        (panics, ErrorKind::Refused, "migration 2.0 \"panics\": panicked: at the disco"),
        (clashes, ErrorKind::Conflict, "something stands already"),
        (reserved, ErrorKind::Input, "the store's own"),
    ] {
        let error = with(one().add(step)).open(&path).expect_err(what);
        assert_eq!(error.kind(), &kind);
        assert!(error.what().contains(what), "{error}");
        assert!(error.next().unwrap().contains("read_only"));
        let store = with(one()).open(&path).unwrap();
        assert_eq!((store.position(), text(&store, "settings")), before);
        assert!(store.pins().is_empty());
        shut(store);
    }
}

#[test]
fn data_newer_than_the_program_open_for_reading_only() {
    let (_directory, path) = place();
    shut({
        let store = with(two()).open(&path).unwrap();
        store.set("settings.look.theme", "dark").unwrap();
        store
    });
    for older in [one(), one().version(1, 9), Migrations::new().version(0, 1)] {
        let store = with(older).open(&path).expect("opens for reading");
        assert_eq!(text(&store, "settings.look.theme").unwrap(), "\"dark\"");
        for error in [
            store.set("settings.look.theme", "light").expect_err("newer"),
            store.transaction(|_| Ok(())).expect_err("newer"),
            store.preflight(|_| Ok(())).expect_err("newer"),
            store.dry_run().expect_err("newer"),
        ] {
            assert_eq!(error.kind(), &ErrorKind::NewerFormat);
            assert!(error.what().contains("version 2.0"), "{error}");
        }
        assert!(store.pin("p", store.position(), "").is_err());
        let newer = with(two()).open(&path).expect("who may write is not kept out");
        shut(newer);
    }
}

/// T48: the difference that migrations would make, before they make it.
#[test]
fn a_dry_run_shows_what_would_change() {
    let (_directory, path) = place();
    old_store(&path);
    let look = with(two()).read_only().open(&path).unwrap();
    let dry = look.dry_run().unwrap();
    assert_eq!((dry.from, dry.to), (Some(DataVersion { major: 1, ..dry.to }), dry.to));
    assert_eq!(dry.names, ["size", "look"]);
    let changes: Vec<String> = dry
        .changes
        .iter()
        .map(|change| format!("{} {:?} {:?}", change.path, change.old, change.new))
        .collect();
    assert_eq!(
        changes,
        [
            "settings.size None Some(12)",
            r#"settings.theme Some("dark") None"#,
            r#"settings.look.theme None Some("dark")"#,
        ]
    );
    assert_eq!(version(&look), "1.0");
    drop(look);
    let store = with(two()).open(&path).unwrap();
    assert!(store.dry_run().unwrap().changes.is_empty(), "nothing is due any more");
}

#[test]
fn what_is_there_may_move_also_where_it_is_larger_than_one_value_may_be() {
    let (_directory, path) = scratch();
    let store = Store::open(&path).unwrap();
    store.set("c.large", &json!(["x".repeat(700), "y".repeat(700)])).unwrap();
    shut(store);
    let moves = Migrations::new().add(Migration::renaming(1, 0, "moves").rename("c.large", "d.large"));
    let store = with(moves).value_bytes_max(1000).open(&path).unwrap();
    assert_eq!((store.keys("c").unwrap().len(), store.keys("d").unwrap()), (0, vec!["large".to_owned()]));
}

#[test]
fn rename_maps_move_fields_of_all_documents_and_whole_collections() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    store.set("notes.a", &json!({"name": "Milk", "parts": [{"n": 1}, {"m": 2}]})).unwrap();
    store.set("notes.b", &json!({"body": "x"})).unwrap();
    store.set("old.k", &1).unwrap();
    store.set("old.l", &json!({"x": 1})).unwrap();
    shut(store);
    let step = Migration::renaming(1, 0, "names")
        .rename("notes.*.name", "notes.*.title")
        .rename("notes.*.parts.*.n", "notes.*.parts.*.number")
        .rename("notes.*.absent", "notes.*.there")
        .rename("old", "new")
        .rename("new.l", "new.m.inside");
    let store = with(Migrations::new().add(step)).open(&path).unwrap();
    assert_eq!(text(&store, "notes.a").unwrap(), r#"{"parts":[{"number":1},{"m":2}],"title":"Milk"}"#);
    assert_eq!(text(&store, "notes.b").unwrap(), r#"{"body":"x"}"#);
    assert_eq!(text(&store, "new").unwrap(), r#"{"k":1,"m":{"inside":{"x":1}}}"#);
    assert_eq!(text(&store, "old"), None);
    shut(store);
    let moves = Migrations::new()
        .add(Migration::renaming(1, 0, "names"))
        .add(Migration::renaming(1, 1, "k").rename("new.k", "new.z"));
    let defaults = everlog::store::Collection::new("new").defaults(&json!({"k": 7, "z": 8})).unwrap();
    let store = with(moves).collection(defaults).open(&path).unwrap();
    assert_eq!(store.get::<u8>("new.z").unwrap(), Some(1), "defaults are neither moved nor in the way");
    for (old, new) in [("a.*", "b.c"), ("a.b.*", "c"), ("a", "b.c")] {
        let path = path.with_extension(new);
        let store = Store::open(&path).unwrap();
        store.set("a.b", &1).unwrap();
        shut(store);
        let bad = Migrations::new().add(Migration::renaming(1, 0, "bad").rename(old, new));
        assert_eq!(with(bad).open(&path).expect_err(old).kind(), &ErrorKind::Input);
    }
}

/// Elements move up when one before them is taken out, and all the same none is left behind.
#[test]
fn rename_maps_move_all_elements_of_lists() {
    let (_directory, path) = scratch();
    let store = Store::open(&path).unwrap();
    let all: Vec<u8> = (0..12).collect();
    store.set("c.k", &json!({"list": all, "nested": [[1, 2], [3]], "parts": [{"n": 1}, {"n": 2}]})).unwrap();
    shut(store);
    let step = Migration::renaming(1, 0, "lists")
        .rename("c.k.list.*", "c.k.items.*")
        .rename("c.k.nested.*.*", "c.k.grid.*.*")
        .rename("c.k.parts.*", "c.k.parts.*.part");
    let store = with(Migrations::new().add(step)).open(&path).unwrap();
    let found: serde_json::Value = store.get("c.k").unwrap().unwrap();
    let items: serde_json::Map<_, _> = all.iter().map(|n| (n.to_string(), json!(n))).collect();
    assert_eq!(
        found,
        json!({
            "list": [], "items": items,
            "nested": [[], []], "grid": {"0": {"0": 1, "1": 2}, "1": {"0": 3}},
            "parts": [{"part": {"n": 1}}, {"part": {"n": 2}}],
        })
    );
    shut(store);
    let clash = Migration::renaming(1, 1, "clash").rename("c.k.items.*", "c.k.grid.*");
    let moves = Migrations::new().add(Migration::renaming(1, 0, "lists")).add(clash);
    assert_eq!(with(moves).open(&path).expect_err("taken").kind(), &ErrorKind::Conflict);
}

/// T67, H44: a view of the past is what it was, and in today's form when that is asked for.
#[test]
fn the_past_stays_as_it_was_and_reads_in_todays_form_when_asked() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    let unversioned = store.set("settings.theme", "green").unwrap().position;
    shut(store);
    let store = with(one()).open(&path).unwrap();
    let first = store.set("settings.theme", "dark").unwrap().position;
    shut(store);
    let store = with(two()).open(&path).unwrap();
    store.set("settings.size", &14).unwrap();
    for (position, theme) in [(unversioned, "green"), (first, "dark")] {
        let past = store.at(position).unwrap();
        assert_eq!(past.get::<String>("settings.theme").unwrap().as_deref(), Some(theme));
        assert!(!past.contains("settings.look").unwrap());
        let today = store.upcast(&past).unwrap();
        assert_eq!(today.position(), position);
        assert_eq!(today.get::<String>("settings.look.theme").unwrap().as_deref(), Some(theme));
        assert_eq!(today.get::<u8>("settings.size").unwrap(), Some(12));
        assert!(!today.contains("settings.theme").unwrap());
        assert!(past.contains("settings.theme").unwrap(), "the view itself is what it was");
    }
    let now = store.upcast(&store.view()).unwrap();
    assert_eq!(now.get::<u8>("settings.size").unwrap(), Some(14), "nothing is due");
    let end = store.position();
    assert_eq!(store.position(), end);
}

/// T67: what a rollback brings back has today's form, whatever revisions happen to be named alike.
#[test]
fn a_rollback_across_a_migration_brings_the_old_state_forward_first() {
    let (_directory, path) = place();
    let store = Store::open(&path).unwrap();
    let target = store.set("notes.c", &json!({"name": "Milk"})).unwrap().position;
    store.set("notes.c.body", &1).unwrap();
    store.set("notes.c", &json!({"body": 2})).unwrap();
    store.set("notes.d", &json!({"name": "Bread"})).unwrap();
    shut(store);
    let titles = Migration::renaming(1, 0, "titles").rename("notes.*.name", "notes.*.title");
    let store = with(Migrations::new().add(titles)).open(&path).unwrap();
    assert_eq!(text(&store, "notes").unwrap(), r#"{"c":{"body":2},"d":{"title":"Bread"}}"#);
    let preview = store.rollback_to(target).unwrap();
    let changes: Vec<String> =
        preview.changes().iter().map(|change| format!("{} {:?}", change.path, change.new)).collect();
    assert_eq!(changes, ["notes.c.body None", r#"notes.c.title Some("Milk")"#, "notes.d None"]);
    preview.commit().unwrap();
    assert_eq!(text(&store, "notes").unwrap(), r#"{"c":{"title":"Milk"}}"#);
    assert_eq!(version(&store), "1.0", "the version is not rolled back");
    let end = store.position();
    shut(store);
    let never = Migration::new(1, 0, "titles", |_| panic!("it ran already"));
    assert_eq!(with(Migrations::new().add(never)).open(&path).unwrap().position(), end);
}

/// The store's part of the crash suite: a migration cut at every step.
#[cfg(feature = "sim")]
mod crashes {
    use std::sync::Arc;

    use everlog::journal::{Background, Options};
    use everlog::medium::Sim;
    use everlog::testing::{Crashes, Outcome};

    use super::*;

    fn options() -> StoreOptions {
        let small = |journal: Options| journal.segment_bytes(16 << 10, 16 << 10);
        Store::options().journal(small).background(Background::Inline)
    }

    const NOTES: u32 = 200;

    /// Large enough to span frames and segments.
    fn migrations() -> Migrations {
        let body = |tx: &mut everlog::Tx<'_>| {
            for key in tx.keys("notes")? {
                let path = everlog::path!("notes", key, "text");
                tx.set(&path, &"y".repeat(100))?;
            }
            Ok(())
        };
        Migrations::new().add(Migration::new(2, 0, "rewrite", body).rename("notes.*.name", "notes.*.title"))
    }

    #[derive(Default)]
    struct Told {
        filled: bool,
        migrated: bool,
        more: bool,
    }

    fn workload(sim: &Sim, told: &mut Told) -> Outcome {
        let store = options().open_on(Arc::new(sim.clone()))?;
        store.transaction(|tx| {
            for number in 0..NOTES {
                tx.set(everlog::path!("notes", number, "name"), &number)?;
            }
            Ok(())
        })?;
        told.filled = true;
        store.snapshot()?;
        store.close()?;
        drop(store);
        let store = options().migrations(migrations()).open_on(Arc::new(sim.clone()))?;
        told.migrated = true;
        store.set("notes.0.title", &1000)?;
        told.more = true;
        Ok(store.close()?)
    }

    fn check(sim: &Sim, told: &Told) -> Outcome {
        let store = options().open_on(Arc::new(sim.clone()))?;
        let notes = store.get_value("notes")?;
        let Some(notes) = notes else { return told_nothing(told) };
        let notes = notes.as_object().ok_or("notes is no object")?;
        let with = |field: &str| notes.iter().filter(|(_, note)| note.get(field).is_some()).count() as u32;
        let (names, titles, texts) = (with("name"), with("title"), with("text"));
        let migrated = match (names, titles, texts) {
            (NOTES, 0, 0) => false,
            (0, NOTES, NOTES) => true,
            other => return Err(format!("half migrated: {other:?}").into()),
        };
        if store.data_version()?.is_some() != migrated || (told.migrated && !migrated) {
            return Err(format!("migrated {migrated}, recorded {:?}", store.data_version()?).into());
        }
        if told.more && store.get::<u32>("notes.0.title")? != Some(1000) {
            return Err("what came after the migration is lost".into());
        }
        if migrated {
            let before = store.at(When::pin("before-migration-the-first"))?;
            if before.get::<u32>("notes.7.name")? != Some(7) {
                return Err("the state before is lost".into());
            }
        }
        store.close()?;
        drop(store);
        let store = options().migrations(migrations()).open_on(Arc::new(sim.clone()))?;
        match store.get::<u32>("notes.7.title")? {
            Some(7) => Ok(()),
            other => Err(format!("the next opening does not migrate: {other:?}").into()),
        }
    }

    fn told_nothing(told: &Told) -> Outcome {
        if told.filled { Err("the notes are lost".into()) } else { Ok(()) }
    }

    /// J1, J3, T31: whole before or whole after, at every step and with the recovery crashed, too.
    #[test]
    fn a_migration_cut_at_every_step_was_never_begun_or_is_done() {
        let tally = Crashes::new(5).images(4).recoveries(1, 1).everywhere(workload, check);
        println!("{tally}");
        assert!(tally.states > 200, "{tally}");
    }
}
