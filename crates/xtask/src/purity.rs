//! Invariant 1: the modules that decide, and those that know a protocol, have no effects and no clock.

use crate::problem::Problem;
use crate::tree::{SourceFile, Tree};
use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemUse, Macro, Path, UseTree};

/// Paths that a pure module must not name, whole or as a beginning.
const EFFECTS: [&str; 14] = [
    "tokio",
    "rustix",
    "rand",
    "fastrand",
    "getrandom",
    "std::env",
    "std::fs",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::time::UNIX_EPOCH",
];

/// Names that are enough by themselves, however they were imported.
const CLOCKS: [&str; 2] = ["Instant", "SystemTime"];

/// Modules that are pure beside every `plan.rs` and the core of `wamp`: what `plan.rs` uses, the codecs of `ldms`, the
/// rules of an agent.
const PURE: [(&str, &[&str]); 5] = [
    ("ldms", &["api", "hostlist", "link", "time", "wire"]),
    (
        "host",
        &[
            "chronicle",
            "model",
            "order",
            "records",
            "relaunch",
            "reload",
            "requests",
            "services",
            "stability",
            "table",
            "words",
        ],
    ),
    (
        "pool",
        &[
            "config/model",
            "cycle",
            "deploy/choose",
            "deploy/cloud_init",
            "deploy/compose",
            "deploy/edit",
            "deploy/jobs",
            "deploy/keystone",
            "health",
            "identity",
            "life",
            "model",
            "names",
            "packing",
            "room",
            "userdata",
        ],
    ),
    (
        "maestro",
        &[
            "balance",
            "board/news",
            "board/share",
            "board/wishes",
            "conductor",
            "config",
            "generate",
            "keys",
            "late",
            "model",
            "seen",
        ],
    ),
    (
        "ocs",
        &[
            "agent/access",
            "agent/api",
            "agent/call",
            "agent/feed",
            "agent/identity",
            "agent/ops",
            "agent/params",
            "agent/pyrepr",
            "agent/session",
            "codes",
            "http_call",
        ],
    ),
];

/// Whether the module at this path has to be pure.
fn must_be_pure(path: &str) -> bool {
    let Some((room, module)) = path.strip_prefix("crates/").and_then(|rest| rest.split_once("/src/")) else {
        return false;
    };
    let is =
        |name: &str| module.strip_prefix(name).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'));
    if room == "wamp" {
        return !is("net");
    }
    is("plan")
        || PURE.iter().any(|(pure_room, modules)| *pure_room == room && modules.iter().any(|name| is(name)))
}

/// A name in the list above that no file bears any more would be a check that checks nothing.
fn stale_entries(tree: &Tree) -> Vec<Problem> {
    let names = PURE
        .iter()
        .flat_map(|(room, modules)| modules.iter().map(move |module| format!("crates/{room}/src/{module}")));
    let stale = names.filter(|name| !tree.contains(name) && !tree.contains(&format!("{name}.rs")));
    stale.map(|name| Problem::new(name, 0, "is listed as a pure module and does not exist")).collect()
}

/// Finds effects in the modules that must be pure.
pub(crate) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = stale_entries(tree);
    problems.extend(tree.ending(".rs").filter(|file| must_be_pure(&file.path)).flat_map(check_file));
    problems
}

fn check_file(file: &SourceFile) -> Vec<Problem> {
    let parsed = match syn::parse_file(&file.text) {
        Ok(parsed) => parsed,
        Err(error) => return vec![Problem::new(&file.path, error.span().start().line, error.to_string())],
    };
    let mut finder = Finder { file, problems: Vec::new() };
    finder.visit_file(&parsed);
    finder.problems
}

struct Finder<'a> {
    file: &'a SourceFile,
    problems: Vec<Problem>,
}

impl Finder<'_> {
    fn look_at(&mut self, path: &[String], line: usize) {
        let joined = path.join("::");
        let begins = |effect: &&str| joined == **effect || joined.starts_with(&format!("{effect}::"));
        let driver = path.len() > 1 && path[0] == "crate" && path[1] == "net";
        let clock = path.iter().any(|segment| CLOCKS.contains(&segment.as_str()));
        if driver || clock || EFFECTS.iter().any(begins) {
            let message = format!("a pure module names `{joined}` (ARCHITECTURE.md, invariant 1)");
            let problem = Problem::new(&self.file.path, line, message);
            if !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
        }
    }

    fn look_at_use(&mut self, tree: &UseTree, before: &[String]) {
        let with = |name: &Ident| before.iter().cloned().chain([name.to_string()]).collect::<Vec<_>>();
        match tree {
            UseTree::Path(path) => self.look_at_use(&path.tree, &with(&path.ident)),
            UseTree::Name(name) => self.look_at(&with(&name.ident), line_of(&name.ident)),
            UseTree::Rename(rename) => self.look_at(&with(&rename.ident), line_of(&rename.ident)),
            UseTree::Glob(glob) => self.look_at(before, glob.star_token.span.start().line),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.look_at_use(tree, before)),
        }
    }

    /// The arguments of a macro are not parsed: runs of names joined by `::` are looked at.
    fn look_at_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        path.clear();
                    }
                    path.push(ident.to_string());
                    colons = 0;
                    self.look_at(&path, line_of(&ident));
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.look_at_tokens(group.stream());
                    path.clear();
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => path.clear(),
            }
        }
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.look_at_use(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if let Some(first) = path.segments.first() {
            self.look_at(&segments, line_of(&first.ident));
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.look_at_tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}

fn line_of(ident: &Ident) -> usize {
    ident.span().start().line
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Whether the item exists in test builds only.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        let problems = check(&Tree::of(&[(path, text)]));
        problems.iter().filter(|problem| problem.line > 0).map(|problem| problem.line).collect()
    }

    #[test]
    fn a_listed_module_that_does_not_exist_is_caught() {
        let problems =
            check(&Tree::of(&[("crates/host/src/model.rs", ""), ("crates/ocs/src/agent/ops/tests.rs", "")]));
        let named = |name: &str| problems.iter().any(|problem| problem.file == std::path::Path::new(name));
        assert!(
            named("crates/host/src/table")
                && !named("crates/host/src/model")
                && !named("crates/ocs/src/agent/ops")
        );
    }

    #[test]
    fn an_effect_is_caught_however_it_is_named() {
        for text in [
            "use tokio::sync::watch;",
            "use std::{collections::HashMap, fs::{self, File}};",
            "fn f() { std::fs::read(\"x\").ok(); }",
            "use std::time::{Duration, Instant};",
            "fn f(t: std::time::SystemTime) {}",
            "fn f() { assert!(std::net::TcpListener::bind(x).is_ok()); }",
            "fn f() -> u64 { fastrand::u64(..) }",
            "use crate::net::client;",
        ] {
            assert!(!lines("crates/host/src/plan.rs", text).is_empty(), "{text}");
        }
    }

    #[test]
    fn the_line_is_named_and_tests_and_comments_may_say_anything() {
        let text = "//! no tokio here\nuse std::time::Duration;\nuse std::fs;\n#[cfg(test)]\nmod tests { use std::fs; }\n";
        assert_eq!(lines("crates/pool/src/plan/grow.rs", text), [3]);
    }

    #[test]
    fn only_the_rooms_that_promise_it_are_pure() {
        let text = "use tokio::net::TcpStream;";
        assert_eq!(lines("crates/wamp/src/router/broker.rs", text), [1]);
        assert!(lines("crates/wamp/src/net/client.rs", text).is_empty());
        assert!(lines("crates/wamp/tests/conformance.rs", text).is_empty());
        assert_eq!(lines("crates/ocs/src/agent/ops/replies.rs", text), [1]);
        assert!(lines("crates/host/src/act.rs", text).is_empty());
    }
}
