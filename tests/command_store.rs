//! The verbs of a store: they change, read, compare and return at any moment, and a no is told apart from a failure.
//! Rows T01, T27, H65, C26 and C27 of docs/requirements.md.

#![cfg(feature = "cli")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by them, also in its helpers")]
#![allow(clippy::disallowed_methods, reason = "files are prepared and damaged from outside")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use everlog::Store;
use serde_json::{Value, json};
use tempfile::TempDir;

mod command_kit;

use command_kit::{code, damage, err, everlog, out, place, run_at, tree};

/// A store of four commits, each of its own session: a note, its title, a setting, another title.
fn store() -> (TempDir, PathBuf) {
    let (home, directory) = place();
    for rest in [
        &["notes.a", r#"{"title": "Milk", "n": 1}"#, "--actor", "ann", "--cause", "shopping"][..],
        &["notes.a.title", "Bread", "--text"],
        &["settings.theme", r#""dark""#],
        &["notes.a.title", r#""Butter""#, "--actor", "bob"],
    ] {
        well(&run_at(&directory, "set", rest));
    }
    (home, directory)
}

#[track_caller]
fn well(output: &Output) -> String {
    assert_eq!(code(output), 0, "{}{}", out(output), err(output));
    out(output)
}

/// The lines of JSON that a verb prints.
#[track_caller]
fn told(directory: &Path, verb: &str, rest: &[&str]) -> Vec<Value> {
    let output = run_at(directory, verb, &[rest, &["--json"]].concat());
    well(&output);
    command_kit::json(&output)
}

#[track_caller]
fn value(directory: &Path, rest: &[&str]) -> Value {
    serde_json::from_str(&well(&run_at(directory, "get", rest))).expect("JSON")
}

fn piped(directory: &Path, verb: &str, rest: &[&str], input: &[u8]) -> Output {
    let mut command = everlog();
    command.arg(verb).arg(directory).args(rest);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    child.stdin.take().expect("piped").write_all(input).expect("written");
    child.wait_with_output().expect("ends")
}

#[test]
fn what_is_set_is_read_back_listed_and_removed() {
    let (_home, directory) = place();
    let output = run_at(&directory, "set", &["notes.a", r#"{"title": "Milk", "n": -5}"#]);
    assert_eq!(well(&output), "1:1\n");
    assert!(err(&output).starts_with("created "), "{}", err(&output));
    well(&run_at(&directory, "set", &["notes.a.n", "-7"]));
    well(&run_at(&directory, "set", &["/notes/b.c/title", "{bare", "--text"]));
    well(&piped(&directory, "set", &["settings.sizes", "-"], b" [1, 18446744073709551615]\n"));
    assert_eq!(value(&directory, &["notes.a"]), json!({"title": "Milk", "n": -7}));
    assert_eq!(value(&directory, &["settings.sizes.1"]), json!(18_446_744_073_709_551_615_u64));
    assert_eq!(well(&run_at(&directory, "get", &["notes.a.title", "--raw"])), "Milk\n");
    assert_eq!(well(&run_at(&directory, "get", &[r"notes.b\.c.title"])), "\"{bare\"\n");
    assert_eq!(well(&run_at(&directory, "keys", &[])), "notes\nsettings\n");
    assert_eq!(well(&run_at(&directory, "keys", &["notes"])), "a\nb.c\n");
    assert_eq!(told(&directory, "keys", &["notes.a"]), [json!({"key": "n"}), json!({"key": "title"})]);
    assert_eq!(
        told(&directory, "set", &["notes.a.n", "-7"])[0]["changed"],
        false,
        "an equal value is no change"
    );
    well(&run_at(&directory, "remove", &["notes"]));
    assert_eq!(well(&run_at(&directory, "keys", &[])), "settings\n");
}

#[test]
fn a_no_is_told_apart_from_a_failure_and_each_names_the_next_step() {
    let (_home, directory) = store();
    let before = tree(&directory);
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    for (verb, rest, expected, next) in [
        ("get", &["notes.b"][..], 4, "everlog keys"),
        ("get", &["notes.a", "--at", "pin:none"], 4, ""),
        ("get", &["notes.a", "--at", "99"], 4, ""),
        ("get", &["notes..a"], 2, "JSON Pointer"),
        ("get", &["notes.a", "--at", "sometime"], 2, ""),
        ("keys", &["nothing"], 4, "everlog keys"),
        ("remove", &["notes.a.x", "--dry-run"], 4, "everlog keys"),
        ("set", &["notes.b", "bare", "--dry-run"], 2, "--text"),
        ("set", &["notes.b", &deep, "--dry-run"], 2, ""),
        ("set", &["notes.a.title.x", "1", "--dry-run"], 2, "another path"),
        ("set", &["notes", "1", "--dry-run"], 2, ""),
        ("diff", &["1", "no..path"], 2, "everlog diff --help"),
        ("rollback", &["2"], 4, "--yes"),
        ("rollback", &["pin:none", "--yes"], 4, ""),
        ("undo", &["editor"], 4, ""),
        ("timeline", &["--cursor", "mine"], 2, "without a cursor"),
    ] {
        let output = run_at(&directory, verb, rest);
        assert_eq!(code(&output), expected, "{verb} {rest:.40?}: {}", err(&output));
        assert!(err(&output).contains(next), "{verb} {rest:.40?}: {}", err(&output));
        if expected == 4 || verb == "set" {
            let errors = command_kit::json(&run_at(&directory, verb, &[rest, &["--json"]].concat()));
            assert!(errors.iter().any(|line| line["level"] == "error"), "{verb}: {errors:?}");
        }
    }
    let events = |tree: &[(PathBuf, Vec<u8>)]| tree.iter().filter(|(path, _)| path.ends_with("seg")).count();
    assert_eq!(events(&tree(&directory)), events(&before));
    assert_eq!(told(&directory, "log", &[]).len(), 4, "nothing was committed");
}

#[test]
fn looking_creates_and_changes_nothing_and_neither_do_dry_runs() {
    let (_home, directory) = store();
    let before = tree(&directory);
    for (verb, rest) in [
        ("get", &["notes.a"][..]),
        ("keys", &[]),
        ("state", &["--pretty"]),
        ("history", &["notes.a"]),
        ("diff", &["1"]),
        ("timeline", &[]),
        ("watch", &["--for", "0s"]),
        ("undo", &["editor", "--list"]),
        ("set", &["notes.a.n", "2", "--dry-run"]),
        ("remove", &["notes.a", "--dry-run"]),
        ("rollback", &["1", "--dry-run"]),
        ("compact", &["--keep-bytes", "1", "--dry-run"]),
        ("verify", &[]),
        ("inspect", &[]),
        ("stats", &[]),
        ("log", &[]),
    ] {
        well(&run_at(&directory, verb, rest));
        assert_eq!(tree(&directory), before, "{verb}");
        let missing = directory.with_file_name("missing");
        let expected = if verb == "set" { 0 } else { 3 };
        assert_eq!(code(&run_at(&missing, verb, rest)), expected, "{verb}");
        assert!(!missing.exists(), "{verb}");
    }
    let missing = directory.with_file_name("missing");
    assert_eq!(code(&run_at(&missing, "set", &["a.b", "1", "--must-exist"])), 3);
    assert!(!missing.exists());
    let step = &told(&directory, "set", &["notes.a.n", "2", "--dry-run"])[0];
    assert_eq!(*step, json!({"path": "notes.a.n", "old": 1, "new": 2}));
}

#[test]
fn every_moment_can_be_read_by_position_time_and_pin() {
    let (_home, directory) = store();
    assert_eq!(value(&directory, &["notes.a.title", "--at", "2"]), "Bread");
    assert_eq!(value(&directory, &["notes.a.title", "--at", "1:1"]), "Milk");
    let second = told(&directory, "log", &["--from", "2", "--limit", "1"])[0]["time"].clone();
    assert_eq!(value(&directory, &["notes.a.title", "--at", second.as_str().unwrap()]), "Bread");
    well(&run_at(&directory, "pin", &["before", "3", "--note", "the old title"]));
    assert_eq!(value(&directory, &["notes.a.title", "--at", "pin:before"]), "Bread");
    let state = well(&run_at(&directory, "state", &["--at", "pin:before"]));
    let expected = json!({"notes": {"a": {"n": 1, "title": "Bread"}}, "settings": {"theme": "dark"}});
    assert_eq!(serde_json::from_str::<Value>(&state).unwrap(), expected);
    assert_eq!(well(&run_at(&directory, "keys", &["--at", "2"])), "notes\n");
    let got = &told(&directory, "get", &["notes.a.title"])[0];
    assert_eq!(
        (&got["value"], &got["revision"], &got["actor"]),
        (&json!("Butter"), &json!("4:4"), &json!("bob"))
    );
    well(&run_at(&directory, "pin", &["before", "--remove"]));
    assert_eq!(code(&run_at(&directory, "state", &["--at", "pin:before"])), 4);
}

#[test]
fn history_difference_and_timeline_say_where_when_and_by_whom() {
    let (_home, directory) = store();
    let history = told(&directory, "history", &["notes.a.title"]);
    let steps: Vec<_> = history.iter().map(|line| (&line["position"], &line["old"], &line["new"])).collect();
    assert_eq!(
        steps,
        [
            (&json!("1:1"), &Value::Null, &json!("Milk")),
            (&json!("2:2"), &json!("Milk"), &json!("Bread")),
            (&json!("4:4"), &json!("Bread"), &json!("Butter")),
        ]
    );
    assert_eq!((&history[0]["actor"], &history[0]["cause"]), (&json!("ann"), &json!("shopping")));
    let newest = told(&directory, "history", &["notes.a.title", "--newest", "--limit", "1"]);
    assert_eq!(newest[0]["new"], "Butter");
    assert_eq!(told(&directory, "history", &["notes.a.title", "--from", "2", "--to", "3"]).len(), 1);
    let text = well(&run_at(&directory, "history", &["notes.a.title"]));
    assert!(text.contains("bob") && text.contains(r#""Bread" -> "Butter""#), "{text}");

    assert_eq!(told(&directory, "diff", &["1"]).len(), 2);
    let difference = told(&directory, "diff", &["1", "2"]);
    assert_eq!(difference, [json!({"path": "notes.a.title", "old": "Milk", "new": "Bread"})]);
    let difference = told(&directory, "diff", &["1", "settings"]);
    assert_eq!(difference, [json!({"path": "settings.theme", "new": "dark"})]);

    let page = told(&directory, "timeline", &["--limit", "3"]);
    assert_eq!(page[0]["position"], "4:4");
    assert_eq!(page[0]["paths"], json!(["notes.a.title"]));
    let cursor = page[3]["cursor"].as_str().expect("there is more");
    assert_eq!(told(&directory, "timeline", &["--cursor", cursor])[0]["position"], "1:1");
    assert_eq!(told(&directory, "timeline", &["--prefix", "settings"]).len(), 1);
}

#[test]
fn a_rollback_shows_what_it_does_and_needs_a_yes() {
    let (_home, directory) = store();
    let preview = told(&directory, "rollback", &["1", "--dry-run"]);
    assert_eq!(preview.len(), 2);
    assert_eq!(preview[0]["rollback"], "changes");
    let refused = run_at(&directory, "rollback", &["1"]);
    assert_eq!(code(&refused), 4);
    assert!(err(&refused).contains("rollback") && err(&refused).contains("1:1 --yes"), "{}", err(&refused));
    well(&run_at(&directory, "rollback", &["1", "--only", "notes", "--yes", "--actor", "cleo"]));
    assert_eq!(value(&directory, &["notes.a.title"]), "Milk");
    assert_eq!(value(&directory, &["settings.theme"]), "dark");
    let newest = &told(&directory, "timeline", &["--limit", "1"])[0];
    assert_eq!((&newest["rollback_to"], &newest["actor"]), (&json!("1:1"), &json!("cleo")));
    well(&run_at(&directory, "rollback", &["4", "--yes"]));
    assert_eq!(value(&directory, &["notes.a.title"]), "Butter", "a rollback can be rolled back");
    let again = told(&directory, "rollback", &["4", "--yes"]);
    assert_eq!(again[0]["changed"], false, "{again:?}");
}

#[test]
fn an_undo_scope_is_taken_back_and_done_again_but_never_over_others() {
    let (_home, directory) = store();
    let store = Store::open(&directory).unwrap();
    let editor = store.undo_scope("editor", ["drafts"]).unwrap();
    editor.transaction("first words", |tx| tx.set("drafts.one.text", "Once")).unwrap();
    store.close().unwrap();
    let can = told(&directory, "undo", &["editor", "--list"]);
    assert_eq!(can, [json!({"can": "undo", "label": "first words"})]);
    let preview = told(&directory, "undo", &["editor", "--dry-run"]);
    assert_eq!(preview[0]["old"], json!({"text": "Once"}), "{preview:?}");
    well(&run_at(&directory, "undo", &["editor"]));
    assert_eq!(code(&run_at(&directory, "get", &["drafts.one"])), 4);
    well(&run_at(&directory, "undo", &["editor", "--redo"]));
    assert_eq!(value(&directory, &["drafts.one.text"]), "Once");
    well(&run_at(&directory, "set", &["drafts.one.text", "Twice", "--text"]));
    for rest in [&["editor"][..], &["editor", "--dry-run"]] {
        let refused = run_at(&directory, "undo", rest);
        assert_eq!(code(&refused), 4);
        assert!(err(&refused).contains("others have changed drafts.one"), "{}", err(&refused));
    }
    well(&run_at(&directory, "undo", &["editor", "--skip"]));
    assert_eq!(value(&directory, &["drafts.one.text"]), "Twice");
    assert_eq!(code(&run_at(&directory, "undo", &["editor"])), 4, "nothing is left to undo");
}

#[test]
fn a_held_store_is_read_and_watched_but_not_written() {
    let (_home, directory) = place();
    let store = Store::open(&directory).unwrap();
    store.set("notes.a", "one").unwrap();
    let mut watch = everlog();
    watch.arg("watch").arg(&directory).args(["notes", "--limit", "3", "--for", "30s", "--json"]);
    let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let began = BufReader::new(watch.stderr.take().unwrap()).lines().next();
    assert!(began.expect("a line").unwrap().starts_with("watching "));
    for value in ["two", "three", "four"] {
        store.set("other.x", value).unwrap();
        store.set("notes.a", value).unwrap();
    }
    // What a writer wrote last is proven by what it writes next, so that the first was not seen when watching began.
    for expected in ["one", "two", "three"] {
        let line: Value = serde_json::from_str(&lines.next().expect("a line").unwrap()).unwrap();
        assert_eq!((&line["path"], &line["new"]), (&json!("notes.a"), &json!(expected)), "{line}");
    }
    assert!(watch.wait().unwrap().success());
    let read = value(&directory, &["notes.a"]);
    assert!(["three", "four"].contains(&read.as_str().unwrap()), "what is proven is seen");
    for (verb, rest) in
        [("set", &["notes.a", "5"][..]), ("remove", &["notes.a"]), ("rollback", &["1", "--yes"])]
    {
        let refused = run_at(&directory, verb, rest);
        assert_eq!(code(&refused), 5, "{verb}: {}", err(&refused));
        assert!(err(&refused).contains("everlog inspect"), "{}", err(&refused));
    }
    store.close().unwrap();
}

#[test]
fn a_file_is_imported_once_and_exported_as_it_was() {
    let (home, directory) = place();
    let file = home.path().join("config.json");
    std::fs::write(&file, r#"{"theme": "dark", "posts": [{"id": 7, "text": "x"}]}"#).unwrap();
    let file = file.to_str().unwrap();
    let import = |rest: &[&str]| told(&directory, "import", &[&[file, "--as", "settings"], rest].concat());
    let foreseen = import(&["--dry-run", "--split", "posts:id"]);
    assert!(!directory.exists(), "a dry run creates nothing");
    assert_eq!((&foreseen[0]["added"], &foreseen[0]["dry_run"]), (&json!(2), &json!(true)), "{foreseen:?}");
    let done = &import(&["--split", "posts:id", "--actor", "ann"])[0];
    assert_eq!((&done["documents"], &done["collections"]), (&json!(2), &json!(["posts", "settings"])));
    assert_eq!(value(&directory, &["posts.7.text"]), "x");
    assert_eq!(told(&directory, "get", &["settings.theme"])[0]["actor"], "ann");
    let again = &import(&["--split", "posts:id"])[0];
    assert!(again["already_imported"].is_string(), "{again}");
    assert_eq!(
        well(&run_at(&directory, "keys", &[])),
        "posts\nsettings\n",
        "what is the store's own is not listed"
    );

    well(&run_at(&directory, "set", &["settings.theme", "light", "--text"]));
    let then = well(&run_at(&directory, "export", &["settings", "--at", done["position"].as_str().unwrap()]));
    assert_eq!(serde_json::from_str::<Value>(&then).unwrap(), json!({"theme": "dark"}));
    let lines = home.path().join("lines.jsonl");
    well(&run_at(&directory, "export", &["--lines", "-o", lines.to_str().unwrap()]));
    let other = home.path().join("other");
    let text = std::fs::read(&lines).unwrap();
    well(&piped(&other, "import", &["-", "--format", "lines"], &text));
    let state = |directory: &Path| well(&run_at(directory, "state", &[]));
    assert_eq!(state(&other), state(&directory));
    let whole = well(&run_at(&directory, "export", &[]));
    let (whole, state) =
        (serde_json::from_str::<Value>(&whole), serde_json::from_str::<Value>(&state(&directory)));
    assert_eq!(whole.unwrap(), state.unwrap());
    assert_eq!(code(&run_at(&directory, "export", &["nothing"])), 4);
    assert_eq!(code(&run_at(&directory, "import", &["missing.json"])), 3);
    let cut = piped(&directory, "import", &["-", "--as", "cut", "--format", "json"], b"{\"a\": 1, \"b\": [");
    assert_eq!(code(&cut), 2, "{}", err(&cut));
}

#[test]
fn a_fork_is_a_store_of_its_own() {
    let (home, directory) = store();
    let out_there = home.path().join("fork");
    let target = out_there.to_str().unwrap();
    assert_eq!(code(&run_at(&directory, "fork", &["pin:none", target])), 4);
    well(&run_at(&directory, "fork", &["2", target]));
    assert_eq!(value(&out_there, &["notes.a.title"]), "Bread");
    well(&run_at(&out_there, "set", &["notes.a.title", "1"]));
    assert_eq!(value(&directory, &["notes.a.title"]), "Butter");
    assert_eq!(code(&run_at(&directory, "fork", &["2", target])), 4, "there is a journal already");
}

#[test]
fn series_are_listed_and_shown_entry_by_entry() {
    let (_home, directory) = store();
    let store = Store::open(&directory).unwrap();
    let log = store.series::<String>("notes.log");
    log.push(&"first".to_owned()).unwrap();
    log.push(&"second".to_owned()).unwrap();
    store.close().unwrap();
    let entries = told(&directory, "get", &["notes.log"]);
    assert_eq!(entries.iter().map(|entry| &entry["value"]).collect::<Vec<_>>(), ["first", "second"]);
    assert!(told(&directory, "keys", &["notes"]).contains(&json!({"series": "log", "entries": 2})));
    let state = run_at(&directory, "state", &[]);
    well(&state);
    assert!(err(&state).contains("2 entries") && err(&state).contains("export"), "{}", err(&state));
    assert_eq!(told(&directory, "history", &["notes.log"]).len(), 2);
}

#[test]
fn other_journals_say_what_to_use_instead() {
    let (_home, raw) = command_kit::journal(3);
    for (verb, rest) in [("state", &[][..]), ("get", &["a.b"]), ("set", &["a.b", "1"]), ("watch", &[])] {
        let refused = run_at(&raw, verb, rest);
        assert_eq!(code(&refused), 2, "{verb}");
        assert!(
            err(&refused).contains("raw records") && err(&refused).contains("everlog log "),
            "{}",
            err(&refused)
        );
    }
    let (_home, directory) = store();
    let refused = run_at(&directory, "append", &[]);
    assert_eq!(code(&refused), 2);
    assert!(err(&refused).contains("everlog set "), "{}", err(&refused));
}

#[test]
fn the_verbs_of_journals_know_stores() {
    let (_home, directory) = store();
    let log = told(&directory, "log", &[]);
    assert_eq!(log[0]["payload"], json!(["set", "/notes/a", {"n": 1, "title": "Milk"}]));
    assert_eq!(log[0]["meta"], json!({"actor": "ann", "cause": "shopping"}));
    let state = well(&run_at(&directory, "state", &[]));
    well(&run_at(&directory, "snapshot", &[]));
    let report = told(&directory, "inspect", &[]);
    assert!(report.iter().any(|line| line["what"] == "snapshot"), "{report:?}");
    assert!(report.iter().any(|line| line["face"] == "a store"), "{report:?}");
    well(&run_at(&directory, "verify", &[]));
    let stats = &told(&directory, "stats", &[])[0];
    assert_eq!(stats["store"], json!({"collections": 2, "documents": 2, "bytes": stats["store"]["bytes"]}));
    well(&run_at(&directory, "compact", &["--keep-bytes", "1"]));
    well(&run_at(&directory, "recover", &[]));
    assert_eq!(well(&run_at(&directory, "state", &[])), state);
    let salvaged = directory.with_file_name("salvaged");
    well(&run_at(&directory, "salvage", &[salvaged.to_str().unwrap()]));
    assert_eq!(well(&run_at(&salvaged, "state", &[])), state);
}

#[test]
fn migrate_shows_the_version_of_the_data_and_changes_nothing() {
    use everlog::store::{Migration, Migrations};
    let (_home, directory) = store();
    assert_eq!(told(&directory, "migrate", &[]), [json!({"data_version": null})]);
    let text = well(&run_at(&directory, "migrate", &[]));
    assert!(text.contains("no migrations"), "{text}");
    let migrations =
        Migrations::new().add(Migration::renaming(2, 3, "looks").rename("settings.theme", "settings.look"));
    Store::options().migrations(migrations).open(&directory).unwrap().close().unwrap();
    let before = tree(&directory);
    assert_eq!(told(&directory, "migrate", &[]), [json!({"data_version": "2.3"})]);
    assert_eq!(well(&run_at(&directory, "migrate", &[])), "2.3\n");
    assert_eq!(tree(&directory), before);
    assert_eq!(value(&directory, &["settings.look"]), "dark");
    let missing = directory.with_file_name("missing");
    assert_eq!(code(&run_at(&missing, "migrate", &[])), 3);
    assert!(!missing.exists());
}

#[test]
fn what_is_the_stores_own_is_neither_shown_nor_changed() {
    let (home, directory) = store();
    let file = home.path().join("config.json");
    std::fs::write(&file, r#"{"theme": "dark"}"#).unwrap();
    well(&run_at(&directory, "import", &[file.to_str().unwrap()]));
    let before = tree(&directory);
    for own in ["$everlog", "$everlog.x", "/$bytes/1-1", "$mine.a"] {
        for (verb, rest) in [
            ("get", &[own][..]),
            ("get", &[own, "--raw"]),
            ("keys", &[own]),
            ("history", &[own]),
            ("export", &[own]),
            ("watch", &[own, "--for", "0s"]),
            ("timeline", &["--prefix", own]),
            ("diff", &["1", own]),
            ("rollback", &["1", "--only", own]),
            ("set", &[own, "1"]),
            ("set", &[own, "1", "--dry-run"]),
            ("remove", &[own]),
            ("remove", &[own, "--dry-run"]),
        ] {
            let refused = run_at(&directory, verb, rest);
            assert_eq!(code(&refused), 2, "{verb} {rest:?}: {}{}", out(&refused), err(&refused));
            assert!(err(&refused).contains("the store's own"), "{verb} {rest:?}: {}", err(&refused));
        }
    }
    assert_eq!(out(&run_at(&directory, "state", &[])).matches('$').count(), 0);
    let events = |tree: &[(PathBuf, Vec<u8>)]| tree.iter().filter(|(path, _)| path.ends_with("seg")).count();
    assert_eq!(events(&tree(&directory)), events(&before));
    assert_eq!(told(&directory, "log", &[]).len(), 6, "nothing was committed");
}

#[test]
fn of_a_damaged_store_what_is_whole_is_shown_and_the_rest_told() {
    let (_home, directory) = store();
    damage(&directory, "Butter");
    let output = run_at(&directory, "get", &["notes.a.title"]);
    assert_eq!((code(&output), out(&output).as_str()), (1, "\"Bread\"\n"), "{}", err(&output));
    assert!(err(&output).contains("everlog verify "), "{}", err(&output));
    let refused = run_at(&directory, "set", &["notes.a.title", "1"]);
    assert_eq!(code(&refused), 1);
    assert!(err(&refused).contains("everlog "), "{}", err(&refused));
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let (_home, directory) = place();
    let store = Store::open(&directory).unwrap();
    store.set("notes.long", &vec!["text"; 50_000]).unwrap();
    store.close().unwrap();
    let mut command = everlog();
    command.args(["state"]).arg(&directory).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut start = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut start).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((code(&output), err(&output).as_str()), (0, ""));
}
