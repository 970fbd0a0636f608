//! The house rules that a program can check. Each failure names the file, the line and the rule.

mod house;

use house::{Source, files, none, read, sources, words};

/// The layers, from the ground up. A file may import from its own place in this list and from those before it.
const LAYERS: [&str; 11] = [
    "position", "clock", "sync", "error", "medium", "segment", "snapshot", "journal", "state", "store",
    "tool",
];
/// They stand on everything: the roof, the command's door, and the kit for users' tests.
const ROOF: [&str; 4] = ["src/lib.rs", "src/main.rs", "src/testing", "src/fuzzing"];

const FILE_LINES_MAX: usize = 600;
const FILE_LINES_MEDIAN_MAX: usize = 300;
const FUNCTION_LINES_MAX: usize = 70;

fn is_roof(path: &str) -> bool {
    ROOF.iter().any(|roof| path.starts_with(roof))
}

fn layer_of(path: &str) -> Option<usize> {
    let first = path.strip_prefix("src/")?.split(['/', '.']).next()?;
    LAYERS.iter().position(|layer| *layer == first)
}

#[test]
fn every_file_says_in_its_first_line_what_it_is_for() {
    let mut findings = Vec::new();
    for path in files(&["src", "tests", "benches", "fuzz"]).iter().filter(|path| path.ends_with(".rs")) {
        let text = read(path);
        let first = text.lines().next().unwrap_or_default();
        // A fuzz target has no documentation of its own: it opens with the property that it tries to break.
        let is_target = path.starts_with("fuzz/") && first.starts_with("// Property: ");
        if !is_target && (!first.starts_with("//! ") || first.len() < 20) {
            findings.push(format!("{path}:1: {first}"));
        }
    }
    none(findings, "a file opens with `//! ` and one sentence that says what it is for");
}

#[test]
fn files_stay_small() {
    let mut findings = Vec::new();
    let mut sizes = Vec::new();
    for source in sources() {
        let lines = source.for_tests.iter().filter(|test| !**test).count();
        if lines > FILE_LINES_MAX {
            findings.push(format!("{}: {lines} lines, {FILE_LINES_MAX} is the wall", source.path));
        }
        if !source.is_test() {
            sizes.push(lines);
        }
    }
    sizes.sort_unstable();
    let median = sizes[sizes.len() / 2];
    if median >= FILE_LINES_MEDIAN_MAX {
        findings.push(format!("the median file has {median} lines, {FILE_LINES_MEDIAN_MAX} is the wall"));
    }
    none(findings, "one job a file");
}

#[test]
fn functions_fit_a_screen() {
    let mut findings = Vec::new();
    for source in sources() {
        for (line, name, lines) in functions(&source.code) {
            if lines > FUNCTION_LINES_MAX {
                findings.push(format!("{}:{line}: {name} has {lines} lines", source.path));
            }
        }
    }
    none(findings, "no function is longer than 70 lines");
}

/// Line, name and length of each function with a body.
fn functions(code: &str) -> Vec<(usize, String, usize)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let starts_word = at == 0 || !code.as_bytes()[at - 1].is_ascii_alphanumeric();
        let name: String = code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if !starts_word || name.is_empty() {
            continue;
        }
        let Some(open) = code[at..].find(['{', ';']).map(|open| at + open) else { continue };
        if code.as_bytes()[open] == b';' {
            continue;
        }
        let mut depth = 0;
        for (offset, letter) in code[open..].char_indices() {
            depth += i32::from(letter == '{') - i32::from(letter == '}');
            if depth == 0 {
                let line = |at: usize| code[..at].matches('\n').count() + 1;
                found.push((line(at), name, line(open + offset) + 1 - line(at)));
                break;
            }
        }
    }
    found
}

#[test]
fn imports_point_down_and_name_the_layer_that_defines() {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|source| !is_roof(&source.path)) {
        let Some(own) = layer_of(&source.path) else {
            findings.push(format!("{}: not on any layer; see docs/architecture.md", source.path));
            continue;
        };
        for (line, code) in source.lines() {
            for (at, _) in code.match_indices("crate::") {
                if code[..at].ends_with('$') {
                    continue;
                }
                let rest = &code[at + "crate::".len()..];
                let target: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                match LAYERS.iter().position(|layer| *layer == target) {
                    Some(layer) if layer <= own => {}
                    Some(_) => findings.push(format!("{}:{line}: imports up, from {target}", source.path)),
                    None => findings.push(format!(
                        "{}:{line}: imports from the crate root: {}",
                        source.path,
                        code.trim()
                    )),
                }
            }
        }
    }
    none(findings, "imports point down the ladder of docs/architecture.md and never at the crate root");
}

#[test]
fn files_do_not_reach_for_their_parent() {
    findings_of("super::", "files never say super:: outside tests; name the layer", |_, _| false);
}

#[test]
fn whatever_could_panic_says_why_it_cannot() {
    let explained = |source: &Source, line: usize| {
        let above = source.text.lines().take(line).collect::<Vec<_>>();
        // The kit for users' tests fails as tests do.
        source.path.starts_with("src/testing")
            || above.iter().rev().take(4).any(|text| text.contains("OK because"))
    };
    for what in [".unwrap()", ".expect(", "panic!(", "unreachable!("] {
        findings_of(what, "only under a comment that begins with `OK because`", explained);
    }
}

#[test]
fn unsafe_code_is_in_one_file_and_argued_for() {
    let allowed = |source: &Source, line: usize| {
        let above: Vec<&str> = source.text.lines().take(line - 1).collect();
        let comment: Vec<_> = above.iter().rev().take_while(|text| text.trim().starts_with("//")).collect();
        source.path == "src/medium/map.rs" && comment.iter().any(|text| text.contains("SAFETY:"))
    };
    findings_of("unsafe ", "unsafe code is in src/medium/map.rs only, under a comment SAFETY", allowed);
}

fn findings_of(what: &str, rule: &str, allowed: impl Fn(&Source, usize) -> bool) {
    let mut findings = Vec::new();
    for source in sources() {
        for (line, code) in source.lines() {
            if code.contains(what) && !allowed(&source, line) {
                findings.push(format!("{}:{line}: {}", source.path, code.trim()));
            }
        }
    }
    none(findings, rule);
}

/// Files whose text is ours.
fn texts() -> Vec<String> {
    let places = [
        ".ci",
        "src",
        "tests",
        "benches",
        "fuzz",
        "docs",
        "README.md",
        "CHANGELOG.md",
        "Cargo.toml",
        "clippy.toml",
        "deny.toml",
        "rustfmt.toml",
    ];
    let is_text = |path: &String| {
        [".rs", ".md", ".toml", ".sh"].iter().any(|end| path.ends_with(end)) || path.starts_with(".ci/")
    };
    files(&places).into_iter().filter(is_text).collect()
}

#[test]
fn nothing_is_parked_for_later() {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX"), concat!("HA", "CK")];
    let macros = [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("dbg", "!(")];
    let mut findings = Vec::new();
    for path in texts() {
        for (index, line) in read(&path).lines().enumerate() {
            let has_mark = line.split(|c: char| !c.is_alphanumeric()).any(|word| marks.contains(&word));
            if has_mark || macros.iter().any(|what| line.contains(what)) {
                findings.push(format!("{path}:{}: {}", index + 1, line.trim()));
            }
        }
    }
    none(findings, "do it or leave it");
}

#[test]
fn no_file_names_a_place_on_somebodys_machine() {
    let places =
        [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("C:\\", "Users")];
    let mut findings = Vec::new();
    for path in texts() {
        for (index, line) in read(&path).lines().enumerate() {
            if places.iter().any(|place| line.contains(place)) {
                findings.push(format!("{path}:{}: {}", index + 1, line.trim()));
            }
        }
    }
    none(findings, "paths are relative to the repository");
}

#[test]
fn tests_that_need_a_feature_say_so() {
    let needs = [
        ("medium::sim", "sim"),
        ("medium::Sim", "sim"),
        ("everlog::testing", "sim"),
        ("CARGO_BIN_EXE", "cli"),
    ];
    let own = "tests/tidy.rs";
    let mut findings = Vec::new();
    for path in files(&["tests"]).iter().filter(|path| path.matches('/').count() == 1 && *path != own) {
        let text = if path.ends_with(".rs") { read(path) } else { continue };
        let header: String = text.lines().filter(|line| line.starts_with("#![cfg(")).collect();
        for (what, feature) in needs {
            if text.contains(what) && !header.contains(&format!("feature = \"{feature}\"")) {
                findings.push(format!("{path}: uses {what} without #![cfg(feature = \"{feature}\")]"));
            }
        }
    }
    none(findings, "`cargo test` works with any set of features");
}

/// The words of the glossary's last column that have no honest use here. Those in italics have one elsewhere.
fn banned() -> Vec<Vec<String>> {
    let glossary = read("docs/glossary.md");
    let is_row = |line: &&str| !["| ---", "| use |"].iter().any(|head| line.starts_with(head));
    let mut banned = Vec::new();
    for row in glossary.lines().filter(|line| line.starts_with("| ")).filter(is_row) {
        let Some(last) = row.trim_matches(['|', ' ']).rsplit('|').next() else { continue };
        for term in last.split(',').map(str::trim).filter(|term| !term.starts_with('*') && !term.is_empty()) {
            banned.push(words(term));
        }
    }
    banned
}

#[test]
fn there_is_one_word_for_each_thing() {
    let banned = banned();
    assert!(banned.len() > 20, "the glossary has {} banned words", banned.len());
    let mut findings = Vec::new();
    // SQLite's words are its own.
    let exempt = ["docs/glossary.md", "tests/tidy.rs", "Cargo.toml", "benches/peers/src/sqlite.rs"];
    for path in texts().into_iter().filter(|path| !exempt.contains(&path.as_str())) {
        for (index, line) in read(&path).lines().enumerate() {
            let words = words(line);
            for term in &banned {
                if words.windows(term.len()).any(|window| window == term.as_slice()) {
                    findings.push(format!("{path}:{}: {:?} in: {}", index + 1, term.join(" "), line.trim()));
                }
            }
        }
    }
    none(findings, "docs/glossary.md has a better word");
}

#[test]
fn the_checks_themselves_see_what_they_should() {
    let text = "fn a<'b>(c: &'b str) -> char {\n    let _ = \"fn x() {\"; // fn y() {\n    let _ = r#\"}\"\"#;\n    '}'\n}\n";
    let code = house::blank(text);
    assert_eq!(code.len(), text.len());
    assert_eq!(functions(&code), [(1, "a".to_owned(), 5)]);
    assert_eq!(words("the WAL_batch of OpLog"), ["the", "wal", "batch", "of", "op", "log"]);
    let sources = sources();
    assert!(sources.iter().any(|source| source.is_test() && source.path == "src/medium/sim/tests.rs"));
    let judge = sources.iter().find(|source| source.path == "src/journal/judge.rs").expect("the judge");
    assert!(judge.lines().any(|(_, line)| line.contains("fn judge(")));
    assert!(!judge.lines().any(|(_, line)| line.contains("fn every_combination")));
}
