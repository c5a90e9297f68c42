//! What a request is answered with, and how its attributes are read.

use std::collections::BTreeMap;

use crate::wire::errno;
use crate::wire::ids::AttrId;
use crate::wire::record::{Attribute, Message as Record};

/// The body of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing.
    Done,
    /// Text.
    Text(String),
    /// JSON, without a NUL at its end: the state of objects.
    Json(String),
    /// JSON with a NUL at its end: figures.
    Stats(String),
    /// It comes later.
    Deferred,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) errcode: u32,
    pub(super) text: String,
}

pub(super) type Handled = Result<Answer, Refused>;

/// A refusal with this text.
pub(super) fn refuse(errcode: u32, text: impl Into<String>) -> Refused {
    Refused { errcode, text: text.into() }
}

impl Answer {
    pub(super) fn attributes(&self) -> Vec<Attribute> {
        match self {
            Self::Done | Self::Deferred => Vec::new(),
            Self::Text(text) if text.is_empty() => Vec::new(),
            Self::Text(text) => vec![Attribute::text(AttrId::STRING, text)],
            Self::Json(text) => vec![Attribute { id: AttrId::JSON, raw: text.clone().into() }],
            Self::Stats(text) => vec![Attribute::text(AttrId::JSON, text)],
        }
    }
}

/// The attributes of a request, with `${VAR}` replaced from the daemon's environment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Args<'a> {
    record: &'a Record,
    env: &'a BTreeMap<String, String>,
}

impl<'a> Args<'a> {
    pub(super) fn new(record: &'a Record, env: &'a BTreeMap<String, String>) -> Self {
        Self { record, env }
    }

    pub(super) fn get(&self, id: AttrId) -> Option<String> {
        self.record.attribute(id).map(|attribute| expand(&attribute.value(), self.env))
    }

    pub(super) fn has(&self, id: AttrId) -> bool {
        self.record.attribute(id).is_some()
    }

    /// The attribute, or the refusal of most handlers.
    pub(super) fn require(&self, id: AttrId, text: impl FnOnce() -> String) -> Result<String, Refused> {
        self.get(id).ok_or_else(|| refuse(errno::EINVAL, text()))
    }

    /// The attribute, or the refusal that names it and the command.
    pub(super) fn required_by(&self, id: AttrId, verb: &str) -> Result<String, Refused> {
        let word = id.word().unwrap_or_default();
        self.require(id, || format!("The attribute '{word}' is required by {verb}."))
    }
}

/// Replaces `${VAR}`; what is not set becomes nothing.
pub(super) fn expand(text: &str, env: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(len) = rest[start..].find('}') else { break };
        out.push_str(&rest[..start]);
        if let Some(value) = env.get(&rest[start + 2..start + len]) {
            out.push_str(value);
        }
        rest = &rest[start + len + 1..];
    }
    out.push_str(rest);
    out
}

/// Text as it stands between the quotation marks of JSON.
pub(super) fn json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_from_the_environment() {
        let env = BTreeMap::from([("ID".to_owned(), "7".to_owned())]);
        assert_eq!(expand("a=${ID} b=${NONE} c=${ID", &env), "a=7 b= c=${ID");
        assert_eq!(json("a\"b\\"), "a\\\"b\\\\");
    }
}
