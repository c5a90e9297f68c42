//! Options and details of messages, read with the types that the protocol gives them.

use crate::uri::Match;
use crate::{Dict, Value};

/// The peer broke the protocol; the text says how. It costs the peer its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation(pub(super) String);

/// The options of one message.
pub(super) struct Options<'a> {
    pub(super) dict: &'a Dict,
    /// The name of the message, for texts.
    pub(super) message: &'static str,
}

impl<'a> Options<'a> {
    pub(super) fn new(message: &'static str, dict: &'a Dict) -> Self {
        Self { dict, message }
    }

    fn read<T>(&self, key: &str, read: impl Fn(&'a Value) -> Option<T>) -> Result<Option<T>, Violation> {
        match self.dict.get(key) {
            None => Ok(None),
            Some(value) => match read(value) {
                Some(read) => Ok(Some(read)),
                None => Err(self.invalid(key)),
            },
        }
    }

    pub(super) fn invalid(&self, key: &str) -> Violation {
        Violation(format!("invalid value for option '{key}' in {}", self.message))
    }

    /// A truth value; absent, it is what `default` says.
    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool, Violation> {
        Ok(self.read(key, Value::as_bool)?.unwrap_or(default))
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>, Violation> {
        self.read(key, Value::as_str)
    }

    /// A whole number that is not negative.
    pub(super) fn number(&self, key: &str) -> Result<Option<u64>, Violation> {
        self.read(key, Value::as_u64)
    }

    pub(super) fn ids(&self, key: &str) -> Result<Option<Vec<u64>>, Violation> {
        self.read(key, |value| value.as_list()?.iter().map(Value::as_u64).collect())
    }

    pub(super) fn texts(&self, key: &str) -> Result<Option<Vec<&'a str>>, Violation> {
        self.read(key, |value| value.as_list()?.iter().map(Value::as_str).collect())
    }

    /// The option `match`.
    pub(super) fn matching(&self) -> Result<Match, Violation> {
        match self.text("match")? {
            None => Ok(Match::Exact),
            Some(name) => Match::from_name(name).ok_or_else(|| self.invalid("match")),
        }
    }
}
