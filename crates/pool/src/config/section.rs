//! One section of several files: a later file's key overrides an earlier one's, sections are merged.

use campanile_yaml::{Diagnostics, Document, Kind, Node, did_you_mean};

/// The parts of a section, one for each file that has it, in the order of the files.
#[derive(Clone, Debug, Default)]
pub(super) struct Section<'d> {
    parts: Vec<Node<'d>>,
}

/// Whether there is something: null, nothing at all, and the word `None` (which EHOS's samples have for "nothing") are
/// not.
fn is_something(node: Node<'_>) -> bool {
    !node.is_null() && node.text() != Some("None")
}

impl<'d> Section<'d> {
    /// The outermost one.
    pub(super) fn of_files(documents: &'d [Document], diagnostics: &mut Diagnostics) -> Self {
        let roots = documents.iter().map(Document::root).filter(|root| is_something(*root));
        Self { parts: roots.filter_map(|root| root.want_map(diagnostics)).collect() }
    }

    /// One that is in one file.
    pub(super) fn of_node(node: Node<'d>) -> Self {
        Self { parts: vec![node] }
    }

    /// A section of this one; several names are one section, the later ones override.
    pub(super) fn section(&self, names: &[&str], diagnostics: &mut Diagnostics) -> Self {
        let named = |part: &Node<'d>| -> Vec<Node<'d>> {
            let found = names.iter().filter_map(|name| part.get(name));
            found.filter(|node| is_something(*node)).collect()
        };
        let nodes = self.parts.iter().flat_map(named);
        Self { parts: nodes.filter_map(|node| node.want_map(diagnostics)).collect() }
    }

    /// Whether no file has it.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// A place to point at when something is missing in it.
    pub(super) fn node(&self) -> Option<Node<'d>> {
        self.parts.last().copied()
    }

    /// The value of a key, of the last file that has something there.
    pub(super) fn get(&self, key: &str) -> Option<Node<'d>> {
        self.parts.iter().rev().filter_map(|part| part.get(key)).find(|node| is_something(*node))
    }

    /// All keys, each once, in the order of the files.
    pub(super) fn keys(&self) -> Vec<&'d str> {
        let mut keys = Vec::new();
        for (key, _) in self.parts.iter().flat_map(|part| part.entries()) {
            if let Some(name) = key.text().filter(|name| !keys.contains(name)) {
                keys.push(name);
            }
        }
        keys
    }

    /// A text; numbers and the like are taken as they are written.
    pub(super) fn text(&self, key: &str, diagnostics: &mut Diagnostics) -> Option<String> {
        let text = self.get(key)?.want_text(diagnostics)?;
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// A text, or a list of them.
    pub(super) fn texts(&self, key: &str, diagnostics: &mut Diagnostics) -> Vec<String> {
        self.get(key).map(|node| texts(node, diagnostics)).unwrap_or_default()
    }

    /// A whole number from 0 on, with or without quotes.
    pub(super) fn number(&self, key: &str, diagnostics: &mut Diagnostics) -> Option<u64> {
        number(self.get(key)?, diagnostics)
    }

    /// A number from 0 on, with or without quotes.
    pub(super) fn amount(&self, key: &str, diagnostics: &mut Diagnostics) -> Option<f64> {
        let node = self.get(key)?;
        let parsed = node.text().and_then(|text| text.trim().parse::<f64>().ok());
        match parsed.filter(|value| value.is_finite() && *value >= 0.0) {
            Some(value) => Some(value),
            None => {
                diagnostics
                    .push(node.error(format!("expected a number from 0 on, found {}", node.description())));
                None
            }
        }
    }

    /// Yes or no.
    pub(super) fn flag(&self, key: &str, diagnostics: &mut Diagnostics) -> Option<bool> {
        self.get(key)?.want_bool(diagnostics)
    }

    /// Warns of keys that look like a misspelling of a known one.
    pub(super) fn warn_of_misspelt_keys(&self, known: &[&str], diagnostics: &mut Diagnostics) {
        for part in &self.parts {
            part.warn_of_misspelt_keys(known, diagnostics);
        }
    }
}

/// A text, or a list of them.
pub(super) fn texts(node: Node<'_>, diagnostics: &mut Diagnostics) -> Vec<String> {
    let one = |node: Node<'_>, diagnostics: &mut Diagnostics| node.want_text(diagnostics).map(str::to_owned);
    match node.kind() {
        Kind::List => node.items().filter_map(|item| one(item, diagnostics)).collect(),
        _ => one(node, diagnostics).into_iter().collect(),
    }
}

/// A whole number from 0 on.
pub(super) fn number(node: Node<'_>, diagnostics: &mut Diagnostics) -> Option<u64> {
    // Without quotes `010` is eight to YAML 1.1, as it was to the original.
    let parsed = match node.safe() {
        campanile_yaml::Value::Int(value) => u64::try_from(value).ok(),
        campanile_yaml::Value::Str(text) => text.trim().parse::<u64>().ok(),
        _ => None,
    };
    if parsed.is_none() && !node.is_broken() {
        diagnostics
            .push(node.error(format!("expected a whole number from 0 on, found {}", node.description())));
    }
    parsed
}

/// A name that is not one of those known.
pub(super) fn unknown_name<'n>(
    node: Node<'_>,
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'n str>,
    diagnostics: &mut Diagnostics,
) {
    let known: Vec<&str> = known.collect();
    let hint = match did_you_mean(name, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if known.is_empty() => "there are none".to_owned(),
        None => format!("known are {}", known.join(", ")),
    };
    diagnostics.push(node.error(format!("there is no {what} `{name}`")).hint(hint));
}
