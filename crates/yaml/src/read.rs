//! Reading a document into one's own types: getters that report what does not fit.
//!
//! Each takes the collection of diagnostics, adds an error when the node is something else, and then returns `None`.
//! Of a node that is broken already nothing more is said.

use crate::diagnostic::Diagnostics;
use crate::node::{Kind, Node};
use crate::suggest::did_you_mean;
use crate::tag::Tag;
use crate::value::Value;

impl<'d> Node<'d> {
    /// A text. A number, a boolean or a date without quotes is none.
    pub fn want_str(self, diagnostics: &mut Diagnostics) -> Option<&'d str> {
        if self.is_str() {
            return self.text();
        }
        self.refuse("a text", diagnostics);
        None
    }

    /// Any scalar but null, as it was written.
    pub fn want_text(self, diagnostics: &mut Diagnostics) -> Option<&'d str> {
        match self.text() {
            Some(text) if !self.is_null() && !self.is_broken() => Some(text),
            _ => {
                self.refuse("a text", diagnostics);
                None
            }
        }
    }

    /// A boolean: `yes`, `no`, `true`, `false`, `on`, `off`.
    pub fn want_bool(self, diagnostics: &mut Diagnostics) -> Option<bool> {
        match self.scalar() {
            Some(Value::Bool(value)) => Some(value),
            _ => {
                self.refuse("yes or no", diagnostics);
                None
            }
        }
    }

    /// An integer of 64 bits.
    pub fn want_int(self, diagnostics: &mut Diagnostics) -> Option<i64> {
        match self.scalar() {
            Some(Value::Int(value)) => Some(value),
            _ => {
                self.refuse("an integer", diagnostics);
                None
            }
        }
    }

    /// A number, with or without a fraction.
    pub fn want_number(self, diagnostics: &mut Diagnostics) -> Option<f64> {
        match self.scalar() {
            Some(Value::Float(value)) => Some(value),
            #[expect(clippy::cast_precision_loss, reason = "a float is what was asked for")]
            Some(Value::Int(value)) => Some(value as f64),
            _ => {
                self.refuse("a number", diagnostics);
                None
            }
        }
    }

    /// A list: the node itself, for [`Node::items`].
    pub fn want_list(self, diagnostics: &mut Diagnostics) -> Option<Self> {
        if self.kind() == Kind::List && !self.is_broken() {
            return Some(self);
        }
        self.refuse("a list", diagnostics);
        None
    }

    /// A map: the node itself, for [`Node::get`] and [`Node::entries`].
    pub fn want_map(self, diagnostics: &mut Diagnostics) -> Option<Self> {
        if self.kind() == Kind::Map && !self.is_broken() {
            return Some(self);
        }
        self.refuse("a map", diagnostics);
        None
    }

    /// Warns of keys of this map that are not `known` but look like a misspelling of one that is.
    ///
    /// Other unknown keys are left alone: a site may keep its own remarks there.
    pub fn warn_of_misspelt_keys(self, known: &[&str], diagnostics: &mut Diagnostics) {
        for (key, _) in self.entries() {
            let Some(name) = key.text().filter(|name| !known.contains(name)) else { continue };
            // A key that is there, too, cannot be what was meant.
            let absent = known.iter().copied().filter(|candidate| self.get(candidate).is_none());
            if let Some(meant) = did_you_mean(name, absent) {
                let problem = key.warning(format!("unknown key `{name}`"));
                diagnostics.push(problem.hint(format!("did you mean `{meant}`?")));
            }
        }
    }

    fn scalar(self) -> Option<Value> {
        (self.kind() == Kind::Scalar).then(|| self.safe())
    }

    fn refuse(self, wanted: &str, diagnostics: &mut Diagnostics) {
        if self.is_broken() {
            return;
        }
        let problem = self.error(format!("expected {wanted}, found {}", self.description()));
        let quotable =
            wanted == "a text" && matches!(self.tag(), Tag::Bool | Tag::Int | Tag::Float | Tag::Timestamp);
        let hint = quotable.then(|| format!("put it in quotes: '{}'", self.text().unwrap_or_default()));
        diagnostics.push(problem.maybe_hint(hint));
    }
}
