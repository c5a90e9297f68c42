//! The passwords of a user: the file `~/.ocs-passwords.yaml`, or the one that `OCS_PASSWORDS_FILE` names (OCS docs,
//! "Access Control": OCS Password File).
//!
//! ```yaml
//! - default: true
//!   password_3: "for everything"
//! - agent_class: "FakeDataAgent"
//!   instance_id: "!faker4"
//!   password_2: "for most fakers"
//! ```
//!
//! Of the entries that cover an agent and have a password of the level that is needed, or of a higher one, the most
//! specific counts; of several, the last.
//!
//! *Guarantee*: nothing of the file shows in what is said about it but places and the names of keys.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use campanile_yaml::{Diagnostic, Diagnostics, Node, Schema, Source, read_file};

use crate::agent::CredLevel;
use crate::scope::Scope;
use crate::secret::Secret;

/// Where the file is, if `OCS_PASSWORDS_FILE` does not say otherwise: below the home directory.
pub const FILE_NAME: &str = ".ocs-passwords.yaml";
/// Entries of a file.
pub const MAX_ENTRIES: usize = 10_000;

const KEYS: &[&str] =
    &["default", "agent_class", "instance_id", "password_1", "password_2", "password_3", "password_4"];

/// The passwords of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passwords {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry {
    scope: Scope,
    level_2: Option<Secret>,
    level_3: Option<Secret>,
}

impl Passwords {
    /// Where the passwords of this user are: `$OCS_PASSWORDS_FILE`, else [`FILE_NAME`] below `$HOME`. The flag says
    /// that the user has named the file, so that it must exist.
    #[must_use]
    pub fn path(env: &dyn Fn(&str) -> Option<String>) -> Option<(PathBuf, bool)> {
        let named = env("OCS_PASSWORDS_FILE").filter(|path| !path.is_empty());
        let usual = || env("HOME").map(|home| (Path::new(&home).join(FILE_NAME), false));
        named.map(|path| (PathBuf::from(path), true)).or_else(usual)
    }

    /// The passwords of this user. Without a file there are none, unless the user has named it.
    ///
    /// They are `None` when there is any error; warnings come along all the same.
    #[must_use]
    pub fn of_user(env: &dyn Fn(&str) -> Option<String>) -> (Option<Self>, Diagnostics) {
        match Self::path(env) {
            Some((path, named)) if named || path.exists() => Self::load(&path),
            _ => (Some(Self::default()), Diagnostics::new()),
        }
    }

    /// Reads a file. A file that others than its owner may read is warned of.
    ///
    /// They are `None` when there is any error; all of them are told, with their places.
    #[must_use]
    pub fn load(path: &Path) -> (Option<Self>, Diagnostics) {
        let (document, problems) = read_file(path, Schema::Safe);
        let mut diagnostics = hide(problems, document.is_none());
        warn_of_open_file(path, &mut diagnostics);
        let Some(document) = document else { return (None, diagnostics) };
        let mut found = Diagnostics::new();
        let entries = read_entries(document.root(), &mut found);
        diagnostics.extend(hide(found, false));
        let passwords = (!diagnostics.has_errors()).then_some(Self { entries });
        (passwords, diagnostics)
    }

    /// The password for a level at an agent; `None` when none is needed (level 1) or there is none.
    #[must_use]
    pub fn choose(&self, level: CredLevel, agent_class: &str, instance_id: &str) -> Option<&Secret> {
        if level <= CredLevel::Basic {
            return None;
        }
        let candidates = self.entries.iter().filter(|entry| entry.scope.covers(agent_class, instance_id));
        let candidates = candidates.filter_map(|entry| {
            let of_two = entry.level_2.as_ref().filter(|_| level <= CredLevel::Advanced);
            let password = of_two.or(entry.level_3.as_ref().filter(|_| level <= CredLevel::Full))?;
            Some((entry.scope.specificity(), password))
        });
        // Of several that are equally specific, this gives the last.
        let (_, password) = candidates.max_by_key(|(specificity, _)| *specificity)?;
        Some(password).filter(|password| !password.is_empty())
    }

    /// Whether there are no passwords at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn read_entries(root: Node<'_>, diagnostics: &mut Diagnostics) -> Vec<Entry> {
    let Some(list) = root.want_list(diagnostics) else { return Vec::new() };
    if list.items().count() > MAX_ENTRIES {
        diagnostics.push(list.error(format!("more than {MAX_ENTRIES} entries")));
        return Vec::new();
    }
    list.items().filter_map(|item| read_entry(item, diagnostics)).collect()
}

fn read_entry(item: Node<'_>, diagnostics: &mut Diagnostics) -> Option<Entry> {
    let map = item.want_map(diagnostics)?;
    map.warn_of_misspelt_keys(KEYS, diagnostics);
    let present = |key| map.get(key).filter(|node| !node.is_null());
    let mut pattern = |key| present(key)?.want_str(diagnostics).map(str::to_owned);
    let (agent_class, instance_id) = (pattern("agent_class"), pattern("instance_id"));
    let default = present("default").is_some_and(|node| node.want_bool(diagnostics).unwrap_or_default());
    let mut password = |key| {
        let node = map.get(key)?;
        if !node.is_null() && !node.is_str() {
            let problem = node.error(format!("`{key}` is not a text"));
            diagnostics.push(problem.hint("put the password in quotes"));
            return None;
        }
        Some(Secret::new(if node.is_null() { "" } else { node.text().unwrap_or_default() }))
    };
    let entry =
        Entry { level_2: password("password_2"), level_3: password("password_3"), scope: Scope::default() };
    let scope = Scope { default, agent_class, instance_id };
    if scope == Scope::default() {
        let problem = map.warning("this entry is for no agent");
        diagnostics.push(problem.hint("it needs `default: true`, `agent_class` or `instance_id`"));
    } else if entry.level_2.is_none() && entry.level_3.is_none() {
        let problem = map.warning("this entry has no password that a client uses");
        diagnostics.push(problem.hint("it needs `password_2` or `password_3`"));
    }
    Some(Entry { scope, ..entry })
}

fn warn_of_open_file(path: &Path, diagnostics: &mut Diagnostics) {
    let Ok(facts) = std::fs::metadata(path) else { return };
    let mode = facts.permissions().mode() & 0o777;
    // A file that is no regular one (`/dev/stdin`, a pipe of the shell) has no readers.
    if facts.is_file() && mode & 0o077 != 0 {
        let problem = Diagnostic::warning(format!("other users may get at these passwords (mode {mode:o})"));
        let problem = problem.in_source(&Arc::new(Source::new(path, "")));
        diagnostics.push(problem.hint(format!("run `chmod 600 {}`", path.display())));
    }
}

/// Takes out of what is said all that may be a password: the text of the file, but for the names of keys, and, where a
/// parser speaks that knows nothing of passwords, whatever it quotes.
fn hide(diagnostics: Diagnostics, unread: bool) -> Diagnostics {
    let mut masked: Option<Arc<Source>> = None;
    diagnostics.map(|mut diagnostic| {
        if let Some(source) = &diagnostic.source {
            let masked = masked.get_or_insert_with(|| Arc::new(mask(source)));
            diagnostic.source = Some(Arc::clone(masked));
        }
        // Without a file there is nothing to hide, only the reason why.
        let is_about_text = diagnostic.span.is_some();
        if is_about_text || !unread {
            diagnostic.message = hide_quoted(&diagnostic.message);
            diagnostic.hint = diagnostic.hint.as_deref().map(hide_quoted);
            diagnostic.label = diagnostic.label.as_deref().map(hide_quoted);
            for related in &mut diagnostic.related {
                related.message = hide_quoted(&related.message);
            }
        }
        diagnostic
    })
}

/// A text of the same length that keeps of each line no more than its indentation and a key that is known.
fn mask(source: &Source) -> Source {
    let mut text = String::with_capacity(source.text().len());
    for line in source.text().split_inclusive('\n') {
        let kept = line.split_once(':').map_or(0, |(key, _)| {
            let name = key.trim_start_matches([' ', '-', '\t']);
            if KEYS.contains(&name) { key.len() + 1 } else { 0 }
        });
        text.push_str(&line[..kept]);
        for c in line[kept..].chars() {
            if c.is_whitespace() {
                text.push(c);
            } else {
                text.extend(std::iter::repeat_n('*', c.len_utf8()));
            }
        }
    }
    Source::new(source.name(), text)
}

/// The text without what it quotes, unless that is nothing but names of keys. From the first mark to the last: a
/// password may hold such marks itself.
fn hide_quoted(text: &str) -> String {
    let is_known = |part: &str| KEYS.contains(&part.trim_end_matches(": true"));
    let mut out = text.to_owned();
    if !text.split('`').skip(1).step_by(2).all(is_known) {
        hide_between(&mut out, '`');
    }
    hide_between(&mut out, '\'');
    out
}

fn hide_between(text: &mut String, mark: char) {
    if let (Some(from), Some(to)) = (text.find(mark), text.rfind(mark))
        && from < to
    {
        text.replace_range(from + 1..to, "…");
    }
}

#[cfg(test)]
#[path = "passwords_tests.rs"]
mod tests;
