//! What the documents say about the code, held against the code.

mod house;

use std::collections::BTreeMap;

use house::{Source, exists, files, none, read, root, sources};

const MAP_BEGIN: &str = "<!-- map: begin -->\n";
const MAP_END: &str = "<!-- map: end -->\n";

fn documents() -> Vec<String> {
    let all = files(&["docs", "README.md", "CHANGELOG.md"]);
    all.into_iter().filter(|path| path.ends_with(".md")).collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split("```").step_by(2).flat_map(|prose| prose.split('`').skip(1).step_by(2))
}

#[test]
fn every_test_named_in_a_document_exists() {
    let mut findings = Vec::new();
    for path in documents() {
        let text = read(&path);
        for (file, name) in quoted(&text).filter_map(|quote| quote.split_once(".rs::")) {
            let file = format!("{file}.rs");
            let found = exists(&file) && read(&file).contains(&format!("fn {name}("));
            if !found {
                findings.push(format!("{path}: {file}::{name}"));
            }
        }
    }
    none(findings, "a document names a test that does not exist");
}

#[test]
fn every_invariant_is_explained_proved_and_cited_by_a_test() {
    let durability = read("docs/durability.md");
    let sources = sources();
    let in_src = |source: &Source| {
        let lines = source.text.lines().zip(&source.for_tests);
        let lines = lines.filter(|(_, test)| **test).map(|(line, _)| line);
        lines.collect::<Vec<_>>().join("\n")
    };
    let in_tests =
        files(&["tests"]).into_iter().filter(|path| path.ends_with(".rs") && !path.contains("house"));
    let tests: Vec<String> = in_tests
        .filter(|path| path != "tests/docs.rs")
        .map(|path| read(&path))
        .chain(sources.iter().map(in_src))
        .collect();
    let mut findings = Vec::new();
    for number in 1..=16 {
        let heading = format!("\n### J{number} ");
        let section =
            durability.split_once(&heading).map(|(_, rest)| rest.split("\n##").next().unwrap_or(rest));
        match section {
            None => findings.push(format!("J{number} has no section in docs/durability.md")),
            Some(section) if !section.contains(".rs::") => findings.push(format!("J{number} names no test")),
            Some(_) => {}
        }
        let name = format!("J{number}");
        let cites = |text: &String| text.split(|c: char| !c.is_alphanumeric()).any(|word| word == name);
        if !tests.iter().any(cites) {
            findings.push(format!("no test cites {name}"));
        }
    }
    none(findings, "an invariant without proof is a wish");
}

#[test]
fn every_link_leads_somewhere() {
    let mut findings = Vec::new();
    for path in documents() {
        let text = read(&path);
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            let outside = file.is_empty() || target.contains("://");
            let inside = format!("{folder}/{file}");
            if !outside && !exists(inside.trim_start_matches('/')) {
                findings.push(format!("{path}: {target}"));
            }
        }
    }
    none(findings, "a link leads nowhere");
}

#[test]
fn every_kind_of_error_has_a_section_for_the_operator() {
    let operations = read("docs/operations.md");
    let words: Vec<String> = read("src/error.rs")
        .lines()
        .filter_map(|line| line.trim().strip_prefix("ErrorKind::")?.split_once("=> \""))
        .filter_map(|(_, word)| Some(word.strip_suffix("\",")?.to_owned()))
        .collect();
    assert!(words.len() > 20, "{words:?}");
    let missing = words.into_iter().filter(|word| !operations.contains(&format!("\n## {word}\n")));
    none(missing.collect(), "docs/operations.md does not say what to do at");
}

/// Write the map anew with `EVERLOG_WRITE_DOCS=1 cargo test --test docs`.
#[test]
fn the_map_lists_every_file_with_its_first_line() {
    let path = "docs/architecture.md";
    let text = read(path);
    let (before, rest) = text.split_once(MAP_BEGIN).expect("the map begins");
    let (found, after) = rest.split_once(MAP_END).expect("the map ends");
    let wanted = map();
    if std::env::var_os("EVERLOG_WRITE_DOCS").is_some() {
        write(path, &[before, MAP_BEGIN, &wanted, MAP_END, after].concat());
        return;
    }
    let lines: Vec<&str> = found.lines().collect();
    let missing = wanted.lines().filter(|line| !lines.contains(line)).map(|line| format!("missing: {line}"));
    let wrong = lines.iter().filter(|line| !wanted.lines().any(|other| other == **line));
    let findings = missing.chain(wrong.map(|line| format!("no longer so: {line}"))).collect();
    none(
        findings,
        "the map in docs/architecture.md is not up to date: EVERLOG_WRITE_DOCS=1 cargo test --test docs",
    );
}

#[allow(clippy::disallowed_methods, reason = "documents are files of the repository, not of a journal")]
fn write(path: &str, text: &str) {
    std::fs::write(root().join(path), text).expect("a document that can be written");
}

fn map() -> String {
    let mut folders: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let (folder, file) = source.path.rsplit_once('/').expect("a file below src");
        let line =
            source.text.lines().next().unwrap_or_default().trim_start_matches("//! ").trim_end_matches('.');
        let line = plain(line).replace('|', "\\|");
        folders.entry(folder.to_owned()).or_default().push(format!("| `{file}` | {line} |\n"));
    }
    let mut map = String::new();
    for (folder, mut rows) in folders {
        rows.sort_by_key(|row| !row.starts_with("| `mod.rs`"));
        map += &format!("\n`{folder}/`\n\n| file | for |\n| --- | --- |\n{}", rows.concat());
    }
    map + "\n"
}

/// A line without the links of rustdoc.
fn plain(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("[`") {
        let (name, tail) = after.split_once("`]").unwrap_or((after, ""));
        out += &format!("{before}`{name}`");
        rest = match tail.strip_prefix('(').and_then(|tail| tail.split_once(')')) {
            Some((_, tail)) => tail,
            None => tail,
        };
    }
    out + rest
}

#[test]
fn all_301_requirements_are_accounted_for() {
    let text = read("docs/requirements.md");
    let mut findings = Vec::new();
    for (letter, count) in [('E', 57), ('S', 45), ('H', 70), ('T', 68), ('C', 61)] {
        for number in 1..=count {
            let head = format!("| {letter}{number:02} |");
            let rows: Vec<&str> = text.lines().filter(|line| line.starts_with(&head)).collect();
            let [row] = rows.as_slice() else {
                findings.push(format!("{letter}{number:02}: {} rows", rows.len()));
                continue;
            };
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            let [_, subject, status, proof] = cells.as_slice() else {
                findings.push(format!("{letter}{number:02}: {} cells", cells.len()));
                continue;
            };
            let known = ["done", "partly", "next", "later", "out of scope"].contains(status);
            let proved = *status != "done" || proof.contains(".rs::") || proof.contains(".ci/");
            let reasoned = *status == "done" || !proof.is_empty();
            if subject.is_empty() || !known || !proved || !reasoned {
                findings.push(format!("{letter}{number:02}: status {status:?}, proof {proof:?}"));
            }
        }
    }
    none(findings, "a row has a subject, a status, and a test or a reason");
}

#[test]
fn the_two_commands_of_the_readme_are_the_ones_that_are_run() {
    let readme = read("README.md");
    let test = "cargo test --all-features";
    assert!(readme.contains(test), "README.md names the test command");
    if exists(".ci/run") {
        assert!(read(".ci/run").contains(&format!("\nrun {test}\n")), ".ci/run calls the test command");
    }
    assert!(
        readme.contains("cargo run --release --features cli -- demo"),
        "README.md names the demo command"
    );
}

#[test]
fn every_command_named_in_a_document_exists() {
    let verbs = read("src/tool/mod.rs").to_lowercase();
    let mut findings = Vec::new();
    for path in documents() {
        let text = read(&path);
        for rest in text.split("everlog ").skip(1) {
            let verb: String = rest.chars().take_while(char::is_ascii_lowercase).collect();
            let is_command = rest[verb.len()..].starts_with(" DIR") || rest[verb.len()..].starts_with('`');
            if !verb.is_empty()
                && is_command
                && !verbs.contains(&format!("    {verb}("))
                && !verbs.contains(&format!("    {verb}verb("))
            {
                findings.push(format!("{path}: everlog {verb}"));
            }
        }
    }
    none(findings, "the command has no such verb");
}

#[test]
fn an_ignored_advisory_has_a_reason_and_a_date() {
    if !exists("deny.toml") {
        return;
    }
    let deny = read("deny.toml");
    let ignored: Vec<&str> = deny.lines().filter(|line| line.contains("id = \"RUSTSEC-")).collect();
    assert_eq!(ignored.len(), 1, "one exception, no more: {ignored:?}");
    assert!(ignored.iter().all(|line| line.contains("reason = ") && line.contains("review by 20")));
}
