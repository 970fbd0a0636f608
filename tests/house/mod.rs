//! What the tests of the house rules share: the files of this repository, and Rust source with its meaning marked.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by them, also in its helpers")]
#![allow(clippy::disallowed_methods, reason = "these tests read the repository's own files")]
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file of the repository, with plain line ends.
pub(crate) fn read(path: &str) -> String {
    let text = fs::read_to_string(root().join(path));
    text.unwrap_or_else(|error| panic!("{path}: {error}")).replace("\r\n", "\n")
}

/// Whether the repository has this file or directory.
pub(crate) fn exists(path: &str) -> bool {
    root().join(path).exists()
}

/// All files below the places named, as paths from the root with `/`, in order. What git ignores is left out.
pub(crate) fn files(places: &[&str]) -> Vec<String> {
    const IGNORED: [&str; 7] =
        [".git", "target", "corpus", "artifacts", "coverage", "mutants.out", "mutants.out.old"];
    let mut found = Vec::new();
    let mut todo: Vec<PathBuf> = places.iter().map(|place| root().join(place)).collect();
    while let Some(path) = todo.pop() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if IGNORED.contains(&name.as_str()) {
            continue;
        }
        if let Ok(entries) = fs::read_dir(&path) {
            todo.extend(entries.map(|entry| entry.expect("a directory that can be listed").path()));
        } else if path.exists() {
            let short = path.strip_prefix(root()).expect("a path below the root");
            found.push(short.to_string_lossy().replace('\\', "/"));
        }
    }
    found.sort();
    found
}

/// One Rust file.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
    /// The text with comments, strings and characters blanked; offsets and lines are the same.
    pub(crate) code: String,
    /// For each line, whether it is there for tests only.
    pub(crate) for_tests: Vec<bool>,
}

impl Source {
    /// The lines of code that are not for tests, with their numbers from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.code.lines().enumerate();
        lines.filter(|(index, _)| !self.for_tests[*index]).map(|(index, line)| (index + 1, line))
    }

    /// Whether the whole file is there for tests only.
    pub(crate) fn is_test(&self) -> bool {
        self.for_tests.iter().all(|test| *test)
    }
}

/// All Rust files below `src`, in order.
pub(crate) fn sources() -> Vec<Source> {
    let paths: Vec<String> = files(&["src"]).into_iter().filter(|path| path.ends_with(".rs")).collect();
    let mut sources: Vec<Source> = paths
        .into_iter()
        .map(|path| {
            let text = read(&path);
            let code = blank(&text);
            let for_tests = vec![false; text.lines().count()];
            Source { path, text, code, for_tests }
        })
        .collect();
    let mut test_files = BTreeSet::new();
    for source in &mut sources {
        mark_tests(source, &mut test_files);
    }
    for source in &mut sources {
        let below = |stem: &String| {
            source.path == format!("{stem}.rs") || source.path.starts_with(&format!("{stem}/"))
        };
        if test_files.iter().any(below) {
            source.for_tests.fill(true);
        }
    }
    sources
}

/// Marks the items under `#[cfg(test)]`, and notes the files that such items stand for, without `.rs`.
fn mark_tests(source: &mut Source, test_files: &mut BTreeSet<String>) {
    let code: Vec<&str> = source.code.lines().collect();
    let text: Vec<&str> = source.text.lines().collect();
    let mut line = 0;
    while line < code.len() {
        let attribute = code[line].trim_start();
        if !attribute.starts_with("#[cfg(test)]") && !attribute.starts_with("#[cfg(all(test") {
            line += 1;
            continue;
        }
        let start = line;
        let mut path = None;
        while line < code.len() && code[line].trim_start().starts_with("#[") {
            path = path.or_else(|| text[line].trim().strip_prefix("#[path = \"")?.strip_suffix("\"]"));
            line += 1;
        }
        let item = code.get(line).copied().unwrap_or_default();
        let mut depth = 0_i32;
        while line < code.len() {
            let opened = code[line].matches('{').count() as i32;
            let closed = code[line].matches('}').count() as i32;
            depth += opened - closed;
            line += 1;
            if depth <= 0 && (opened > 0 || closed > 0 || code[line - 1].trim_end().ends_with(';')) {
                break;
            }
        }
        source.for_tests[start..line].fill(true);
        let name = item.trim().trim_start_matches("pub(crate) ").strip_prefix("mod ");
        if let Some(name) = name.and_then(|name| name.strip_suffix(';')) {
            let own = source.path.trim_end_matches(".rs");
            let (folder, file) = own.rsplit_once('/').expect("a file below src");
            let stem = match path {
                Some(path) => format!("{folder}/{}", path.trim_end_matches(".rs")),
                None if ["mod", "lib", "main"].contains(&file) => format!("{folder}/{name}"),
                None => format!("{own}/{name}"),
            };
            test_files.insert(stem);
        }
    }
}

/// `text` with everything blanked that is not code.
pub(crate) fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => at + length_until(&bytes[at..], b"\n"),
            b'/' if bytes[at..].starts_with(b"/*") => at + 2 + length_until(&bytes[at + 2..], b"*/") + 2,
            b'"' => string_end(bytes, at),
            b'r' if !in_word(bytes, at) && raw_hashes(bytes, at).is_some() => {
                let hashes = raw_hashes(bytes, at).unwrap_or_default();
                let close = [b"\"".as_slice(), "#".repeat(hashes).as_bytes()].concat();
                let body = at + 2 + hashes;
                body + length_until(&bytes[body..], &close) + close.len()
            }
            b'\'' => character_end(bytes, at),
            _ => at + 1,
        };
        let end = end.min(bytes.len());
        if end > at + 1 {
            for byte in &mut out[at..end] {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
        }
        at = end;
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn length_until(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).position(|window| window == what).unwrap_or(bytes.len())
}

fn in_word(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() && bytes[at - 1] != b'b' || bytes[at - 1] == b'_')
}

fn raw_hashes(bytes: &[u8], at: usize) -> Option<usize> {
    let hashes = bytes[at + 1..].iter().take_while(|byte| **byte == b'#').count();
    (bytes.get(at + 1 + hashes) == Some(&b'"')).then_some(hashes)
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// The end of a character; a lifetime is left as it is.
fn character_end(bytes: &[u8], start: usize) -> usize {
    if bytes.get(start + 1) == Some(&b'\\') {
        return start + 3 + length_until(&bytes[(start + 3).min(bytes.len())..], b"'") + 1;
    }
    let end = (start + 2..=start + 5).find(|at| bytes.get(*at) == Some(&b'\''));
    match end {
        Some(end) if std::str::from_utf8(&bytes[start + 1..end]).is_ok_and(|it| it.chars().count() == 1) => {
            end + 1
        }
        _ => start + 1,
    }
}

/// The words of a text, in lower case; `snake_case` and `CamelCase` come apart.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut small = false;
    for letter in text.chars() {
        let starts = small && letter.is_uppercase();
        if starts || !letter.is_alphanumeric() {
            words.push(String::new());
        }
        small = letter.is_lowercase();
        if letter.is_alphanumeric() {
            let last = words.last_mut().expect("never empty");
            last.extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Fails with all findings at once.
pub(crate) fn none(findings: Vec<String>, rule: &str) {
    assert!(findings.is_empty(), "{rule}:\n  {}\n", findings.join("\n  "));
}
