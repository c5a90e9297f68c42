//! Reading single fields of an entry, each with its own kind of text; every problem is noted and reading goes on.

use std::collections::HashMap;
use std::sync::Arc;

use campanile_ldms::{hostlist, time};
use campanile_yaml::{Diagnostics, Kind, Node, Value, did_you_mean};

use super::Pairing;
use super::model::{Auth, Interval, Names};

/// What every part of the reader needs: where problems go, and hostlists that were expanded before.
#[derive(Debug)]
pub(super) struct Fields {
    pub(super) diagnostics: Diagnostics,
    pub(super) pairing: Pairing,
    expanded: HashMap<String, Names>,
    auths: HashMap<Auth, Arc<Auth>>,
}

impl Fields {
    pub(super) fn new(diagnostics: Diagnostics, pairing: Pairing) -> Self {
        Self { diagnostics, pairing, expanded: HashMap::new(), auths: HashMap::new() }
    }

    pub(super) fn error(&mut self, at: Node<'_>, message: impl Into<String>) {
        self.diagnostics.push(at.error(message));
    }

    pub(super) fn error_hint(&mut self, at: Node<'_>, message: impl Into<String>, hint: impl Into<String>) {
        self.diagnostics.push(at.error(message).hint(hint));
    }

    pub(super) fn warn(&mut self, at: Node<'_>, message: impl Into<String>) {
        self.diagnostics.push(at.warning(message));
    }

    /// A field that must be there.
    pub(super) fn required<'d>(&mut self, entry: Node<'d>, key: &str, what: &str) -> Option<Node<'d>> {
        match entry.get(key) {
            Some(value) if value.is_null() => {
                self.error(value, format!("`{key}` of {what} is empty"));
                None
            }
            Some(value) => Some(value),
            None => {
                let near = entry.entries().filter_map(|(key, _)| key.text());
                let hint = did_you_mean(key, near).map(|near| format!("`{near}` may be meant for it"));
                self.diagnostics.push(entry.error(format!("{what} has no `{key}`")).maybe_hint(hint));
                None
            }
        }
    }

    /// A field that may be missing; an empty one counts as missing.
    pub(super) fn optional<'d>(&self, entry: Node<'d>, key: &str) -> Option<Node<'d>> {
        entry.get(key).filter(|value| !value.is_null())
    }

    /// One value, as written.
    pub(super) fn text(&mut self, value: Node<'_>) -> Option<String> {
        value.want_text(&mut self.diagnostics).map(str::to_owned)
    }

    /// The text of a field that may be missing.
    pub(super) fn optional_text(&mut self, entry: Node<'_>, key: &str) -> Option<String> {
        let value = self.optional(entry, key)?;
        self.text(value)
    }

    /// The text of a field that must be there.
    pub(super) fn required_text(&mut self, entry: Node<'_>, key: &str, what: &str) -> Option<String> {
        let value = self.required(entry, key, what)?;
        self.text(value)
    }

    /// The word that switches something on, or none: `True`, `true`, `yes`, `on`.
    pub(super) fn switch(&mut self, entry: Node<'_>, key: &str) -> Option<String> {
        let value = self.optional(entry, key)?;
        let text = value.text().unwrap_or_default();
        match value.safe() {
            Value::Bool(on) => on.then(|| text.to_owned()),
            _ if matches!(text, "True" | "true") => Some(text.to_owned()),
            _ if matches!(text, "False" | "false") => None,
            _ => {
                let message = format!("`{key}` must be True or False, found {}", value.description());
                self.error(value, message);
                None
            }
        }
    }

    /// A time: `1.0s`, microseconds, or a reference to a variable.
    pub(super) fn interval(&mut self, value: Node<'_>) -> Option<Interval> {
        let text = self.text(value)?;
        if is_variable(&text) {
            return Some(Interval { text, us: None });
        }
        match time::parse_us(&text) {
            Ok(us) => Some(Interval { text, us: Some(us) }),
            Err(error) => {
                let hint = "write a number and one of us, ms, s, m, h, d, such as \"1.5s\"";
                self.error_hint(value, error.to_string(), hint);
                None
            }
        }
    }

    /// The time of a field that may be missing.
    pub(super) fn optional_interval(&mut self, entry: Node<'_>, key: &str) -> Option<Interval> {
        let value = self.optional(entry, key)?;
        self.interval(value)
    }

    /// An interval, which must be longer than nothing.
    pub(super) fn positive_interval(&mut self, value: Node<'_>) -> Option<Interval> {
        let interval = self.interval(value)?;
        if interval.us.is_some_and(|us| us <= 0) {
            self.error(value, format!("an interval must be longer than 0, found `{}`", interval.text));
            return None;
        }
        Some(interval)
    }

    /// Permissions, in the form the original makes of them: `0644`.
    pub(super) fn perm(&mut self, entry: Node<'_>) -> Option<String> {
        let value = self.optional(entry, "perm")?;
        let text = self.text(value)?;
        let perm = permissions(&text);
        if perm.is_none() {
            let message = format!("`{text}` is not a permission");
            self.error_hint(value, message, "write octal digits (\"0644\") or \"rw-r--r--\"");
        }
        perm
    }

    /// A hostlist, or a list of them.
    pub(super) fn names(&mut self, value: Node<'_>) -> Option<Names> {
        if value.kind() == Kind::List {
            let mut texts = Vec::new();
            let mut list = Vec::new();
            for item in value.items() {
                let text = self.text(item)?;
                list.extend(self.expand(item, &text)?.list.iter().cloned());
                texts.push(text);
            }
            if self.pairing == Pairing::Original {
                list.sort();
            }
            return Some(Names::new(&texts.join(","), list));
        }
        let text = self.text(value)?;
        self.expand(value, &text)
    }

    /// The names that a text stands for; `at` is where it is written.
    pub(super) fn expand(&mut self, at: Node<'_>, text: &str) -> Option<Names> {
        if let Some(names) = self.expanded.get(text) {
            return Some(names.clone());
        }
        let mut list = match hostlist::expand(text) {
            Ok(list) => list,
            Err(error) => {
                let place = error.at.map(|at| format!(" at character {}", at + 1)).unwrap_or_default();
                let hint = "a hostlist is written like node-[001-128,200],login[1-2]";
                self.error_hint(at, format!("not a hostlist: {}{place}", error.kind), hint);
                return None;
            }
        };
        if list.is_empty() {
            self.error(at, "this hostlist stands for no name at all");
            return None;
        }
        if self.pairing == Pairing::Original {
            list.sort();
        }
        let names = Names::new(text, list);
        self.expanded.insert(text.to_owned(), names.clone());
        Some(names)
    }

    /// Names that become part of a key of etcd, where a slash divides: the older format has slashes in names of
    /// endpoints, and they become dashes.
    pub(super) fn key_names(&mut self, value: Node<'_>) -> Option<Names> {
        let names = self.names(value)?;
        if !names.text.contains('/') {
            return Some(names);
        }
        let hint = "the original refuses the slash; here it is read as a dash";
        self.diagnostics.push(value.warning("a name with a slash").hint(hint));
        let list = names.list.iter().map(|name| name.replace('/', "-")).collect();
        Some(Names::new(&names.text.replace('/', "-"), list))
    }

    /// An `auth` block. One without a name is none, as in the original.
    pub(super) fn auth(&mut self, entry: Node<'_>) -> Option<Arc<Auth>> {
        let block = self.optional(entry, "auth")?.want_map(&mut self.diagnostics)?;
        self.known_keys(block, &["name", "plugin", "conf"], "an authentication domain");
        let name = self.required_text(block, "name", "this authentication domain")?;
        let plugin = self.optional_text(block, "plugin");
        let conf = self.optional_text(block, "conf");
        let auth = Auth { name, plugin, conf };
        Some(Arc::clone(self.auths.entry(auth.clone()).or_insert_with(|| Arc::new(auth))))
    }

    /// A list of maps; what is something else is reported and left out.
    pub(super) fn maps<'d>(&mut self, value: Node<'d>, what: &str) -> Vec<Node<'d>> {
        if value.kind() != Kind::List {
            let message = format!("{what} must be a list of entries, found {}", value.description());
            self.error_hint(value, message, "begin each entry with a dash");
            return Vec::new();
        }
        value.items().filter_map(|item| item.want_map(&mut self.diagnostics)).collect()
    }

    /// A list of single values, or one of them alone.
    pub(super) fn texts(&mut self, value: Node<'_>) -> Vec<String> {
        match value.kind() {
            Kind::List => value.items().filter_map(|item| self.text(item)).collect(),
            _ => self.text(value).into_iter().collect(),
        }
    }

    /// Warns of every key that is not known.
    pub(super) fn known_keys(&mut self, entry: Node<'_>, known: &[&str], what: &str) {
        for (key, _) in entry.entries() {
            let Some(name) = key.text().filter(|name| !known.contains(name)) else { continue };
            let absent = known.iter().copied().filter(|candidate| entry.get(candidate).is_none());
            let hint = match did_you_mean(name, absent) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known are {}", known.join(", ")),
            };
            self.diagnostics.push(key.warning(format!("unknown key `{name}` of {what}")).hint(hint));
        }
    }
}

/// A reference to an environment variable of ldmsd, `$VAR` or `${VAR}`, that stands for a whole value.
fn is_variable(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('$') else { return false };
    let name = rest.strip_prefix('{').map_or(Some(rest), |rest| rest.strip_suffix('}'));
    name.is_some_and(|name| {
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

/// Permissions as the original writes them: octal digits (`644`, `0644`) or `rw-r--r--` become `0644`.
fn permissions(text: &str) -> Option<String> {
    let bits = if text.len() == 9 && text.is_ascii() {
        let mut bits = 0_u32;
        for (at, c) in text.chars().enumerate() {
            let (letter, bit) = match at % 3 {
                0 => ('r', 4),
                1 => ('w', 2),
                _ => ('-', 0),
            };
            bits = (bits << (3 * u32::from(at % 3 == 0))) | if c == letter { bit } else { 0 };
            if c != letter && c != '-' {
                return None;
            }
        }
        bits
    } else {
        let digits = if text.len() == 4 { text.strip_prefix('0')? } else { text };
        let is_octal = digits.bytes().all(|c| (b'0'..=b'7').contains(&c));
        if digits.is_empty() || digits.len() > 3 || !is_octal {
            return None;
        }
        u32::from_str_radix(digits, 8).ok()?
    };
    Some(format!("0{bits:o}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_octal_or_written_out_and_come_out_as_the_original_has_them() {
        for (text, perm) in [
            ("0777", "0777"),
            ("777", "0777"),
            ("7", "07"),
            ("0", "00"),
            ("00", "00"),
            ("0000", "00"),
            ("044", "044"),
            ("rw-r--r--", "0644"),
            ("---------", "00"),
            ("rw-rw-rw-", "0666"),
            ("-w-------", "0200"),
        ] {
            assert_eq!(permissions(text).as_deref(), Some(perm), "{text}");
        }
        for text in ["", "8", "07777", "77777", "rwxr-xr-x", "rw-r--r-", "0o644", "r w-r--r-"] {
            assert_eq!(permissions(text), None, "{text}");
        }
    }

    #[test]
    fn a_variable_may_stand_for_a_whole_value() {
        assert!(is_variable("$X") && is_variable("${LDMS_1}"));
        assert!(!is_variable("$") && !is_variable("${X") && !is_variable("$1") && !is_variable("${A}s"));
    }
}
