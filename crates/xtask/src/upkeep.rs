//! What every file keeps to: its size, nothing left behind, nothing of the machine it was written on.

use crate::problem::Problem;
use crate::tree::{SourceFile, Tree};
use std::path::Path;

/// Above this a file holds a second concept.
const MAX_LINES: usize = 600;

/// Files of code, whose length counts.
const CODE: [&str; 5] = [".rs", ".py", ".sh", ".js", ".css"];

/// What is unfinished must not be landed. Written in two parts, so that this file does not name them.
const LEFT_BEHIND: [&str; 5] = [
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("#[ig", "nore"),
];

/// Directories that are no one's home: a text may name them.
const COMMON: [&str; 8] = ["/", "/tmp", "/home", "/root", "/opt", "/srv", "/usr", "/var"];

/// Files that set up and build: which servers packages come from is the user's choice, not theirs.
const SET_UP: [&str; 4] = ["Makefile", ".ci/run", "scripts/setup", "scripts/peers.txt"];

/// The crates that may hold a piece of `unsafe` code, and so cannot take the workspace's lints.
const WITH_UNSAFE: [&str; 2] = ["crates/pages/Cargo.toml", "crates/spawn/Cargo.toml"];

/// Looks at every file.
pub(crate) fn check(tree: &Tree) -> Vec<Problem> {
    let homes = homes(tree);
    let mut problems = Vec::new();
    for file in &tree.files {
        problems.extend(too_long(file));
        problems.extend(lines_with(file, &homes, "names a directory of the machine it was written on"));
        if file.path.ends_with(".rs") {
            problems.extend(lines_with(file, &LEFT_BEHIND.map(str::to_owned), "is unfinished"));
        }
        if SET_UP.contains(&file.path.as_str()) {
            let urls = ["http://".to_owned(), "https://".to_owned()];
            problems.extend(lines_with(file, &urls, "names a server"));
        }
        let is_manifest = file.path.starts_with("crates/") && file.path.ends_with("/Cargo.toml");
        if is_manifest && !WITH_UNSAFE.contains(&file.path.as_str()) {
            problems.extend(without_lints(file));
        }
    }
    problems
}

fn too_long(file: &SourceFile) -> Option<Problem> {
    let lines = file.text.lines().count();
    let counts = CODE.iter().any(|end| file.path.ends_with(end));
    let message = || format!("{lines} lines, more than {MAX_LINES}: what is the second concept in it?");
    (counts && lines > MAX_LINES).then(|| Problem::new(&file.path, 0, message()))
}

fn without_lints(file: &SourceFile) -> Option<Problem> {
    let message = "does not take the workspace's lints: `[lints]` with `workspace = true`";
    (!file.text.contains("[lints]\nworkspace = true")).then(|| Problem::new(&file.path, 0, message))
}

fn lines_with(file: &SourceFile, needles: &[String], what: &str) -> Vec<Problem> {
    let lines = (1..).zip(file.text.lines());
    let found = lines.filter_map(|(line, text)| {
        let needle = needles.iter().find(|needle| text.contains(needle.as_str()))?;
        Some(Problem::new(&file.path, line, format!("{what}: {needle:?}")))
    });
    found.collect()
}

/// Directories that mean nothing to another user: where this checkout lies, the one above, and the home.
fn homes(tree: &Tree) -> Vec<String> {
    let above = tree.root.parent().map(Path::to_path_buf);
    let home = std::env::var_os("HOME").map(std::path::PathBuf::from);
    let all = [Some(tree.root.clone()), above, home].into_iter().flatten();
    let named = all.filter_map(|path| path.to_str().map(str::to_owned));
    named.filter(|path| !COMMON.contains(&path.as_str())).map(|path| format!("{path}/")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(path: &str, text: &str) -> Vec<String> {
        check(&Tree::of(&[(path, text)])).iter().map(Problem::to_string).collect()
    }

    #[test]
    fn a_file_that_is_too_long_is_caught() {
        assert!(messages("crates/x/src/a.rs", &"\n".repeat(600)).is_empty());
        assert_eq!(messages("crates/x/src/a.rs", &"\n".repeat(601)).len(), 1);
        assert!(messages("docs/long.md", &"\n".repeat(601)).is_empty());
    }

    #[test]
    fn what_is_unfinished_is_caught_with_its_line() {
        let text = format!("fn a() {{\n    {}\n}}\n", concat!("todo", "!()"));
        assert!(messages("crates/x/src/a.rs", &text)[0].starts_with("crates/x/src/a.rs:2: is unfinished"));
    }

    #[test]
    fn the_place_of_the_checkout_a_server_and_missing_lints_are_caught() {
        assert_eq!(messages("docs/a.md", "see /somewhere/else/docs").len(), 1);
        assert_eq!(messages("docs/a.md", "see /somewhere/other").len(), 1, "the directory above");
        assert_eq!(messages("scripts/setup", "pip install --index https://example.org/simple").len(), 1);
        assert_eq!(messages("crates/x/Cargo.toml", "[package]\n").len(), 1);
        assert!(messages("crates/x/Cargo.toml", "[lints]\nworkspace = true\n").is_empty());
    }
}
