//! [`Sink`]: who is told what a reader finds.

use std::borrow::Cow;

use crate::dict::last_wins;
use crate::{Dict, Value};

/// The most that is reserved for a list or dict because of its announced length alone.
const RESERVE: usize = 1024;

/// Takes one value, piece by piece. A reader calls it in a valid order only: between `list_start` and `list_end` the
/// elements, between `dict_start` and `dict_end` keys and values by turns.
pub(crate) trait Sink {
    fn null(&mut self);
    fn bool(&mut self, value: bool);
    fn int(&mut self, value: i64);
    /// An integer of any size; most are small.
    fn unsigned(&mut self, value: u64);
    fn float(&mut self, value: f64);
    fn text(&mut self, value: Cow<'_, str>);
    fn bytes(&mut self, value: &[u8]);
    /// The length is given where it is known; what is returned comes back at the end, with the true length.
    fn list_start(&mut self, len: Option<usize>) -> Mark;
    fn list_end(&mut self, mark: Mark, len: usize);
    fn dict_start(&mut self, len: Option<usize>) -> Mark;
    fn key(&mut self, key: Cow<'_, str>);
    fn dict_end(&mut self, mark: Mark, len: usize);
}

/// Where a writer left room for the length of a list or dict.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(pub(super) Option<usize>);

impl Mark {
    /// Writes the length into the four bytes that were left for it, if any were.
    pub(super) fn fill(self, out: &mut [u8], len: usize) {
        if let Some(at) = self.0 {
            // A length above u32 cannot be, since no message is that long.
            out[at..at + 4].copy_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
}

/// What stands for a dict key that is no text, as Python's `json` has it; `None` where the key is no plain value.
pub(super) fn key_text(key: Value) -> Option<String> {
    Some(match key {
        Value::Str(text) => text,
        Value::Int(value) => value.to_string(),
        Value::UInt(value) => value.to_string(),
        Value::Float(value) => format!("{value:?}"),
        Value::Bool(value) => value.to_string(),
        Value::Null => "null".to_owned(),
        Value::Bytes(_) | Value::List(_) | Value::Dict(_) => return None,
    })
}

/// A sink that can also take a value which is encoded already, in its own serializer.
pub(crate) trait Writer: Sink {
    const SERIALIZER: super::Serializer;
    fn raw(&mut self, encoded: &[u8]);
}

/// Tells `sink` what `value` is.
pub(crate) fn feed(value: &Value, sink: &mut impl Sink) {
    match value {
        Value::Null => sink.null(),
        Value::Bool(value) => sink.bool(*value),
        Value::Int(value) => sink.int(*value),
        Value::UInt(value) => sink.unsigned(*value),
        Value::Float(value) => sink.float(*value),
        Value::Str(value) => sink.text(Cow::Borrowed(value)),
        Value::Bytes(value) => sink.bytes(value),
        Value::List(items) => feed_list(items, sink),
        Value::Dict(dict) => feed_dict(dict, sink),
    }
}

pub(crate) fn feed_list(items: &[Value], sink: &mut impl Sink) {
    let mark = sink.list_start(Some(items.len()));
    for item in items {
        feed(item, sink);
    }
    sink.list_end(mark, items.len());
}

pub(crate) fn feed_dict(dict: &Dict, sink: &mut impl Sink) {
    let mark = sink.dict_start(Some(dict.len()));
    for (key, value) in dict.iter() {
        sink.key(Cow::Borrowed(key));
        feed(value, sink);
    }
    sink.dict_end(mark, dict.len());
}

/// Wants nothing: the reader only checks and finds the end.
pub(crate) struct Check;

impl Sink for Check {
    fn null(&mut self) {}
    fn bool(&mut self, _: bool) {}
    fn int(&mut self, _: i64) {}
    fn unsigned(&mut self, _: u64) {}
    fn float(&mut self, _: f64) {}
    fn text(&mut self, _: Cow<'_, str>) {}
    fn bytes(&mut self, _: &[u8]) {}
    fn list_start(&mut self, _: Option<usize>) -> Mark {
        Mark(None)
    }
    fn list_end(&mut self, _: Mark, _: usize) {}
    fn dict_start(&mut self, _: Option<usize>) -> Mark {
        Mark(None)
    }
    fn key(&mut self, _: Cow<'_, str>) {}
    fn dict_end(&mut self, _: Mark, _: usize) {}
}

/// Builds a [`Value`].
#[derive(Default)]
pub(crate) struct Build {
    open: Vec<Open>,
    done: Value,
}

enum Open {
    List(Vec<Value>),
    Dict(Vec<(String, Value)>),
}

impl Build {
    pub(crate) fn into_value(self) -> Value {
        self.done
    }

    fn put(&mut self, value: Value) {
        match self.open.last_mut() {
            None => self.done = value,
            Some(Open::List(items)) => items.push(value),
            // The key has put its entry there already.
            Some(Open::Dict(entries)) => {
                if let Some(entry) = entries.last_mut() {
                    entry.1 = value;
                }
            }
        }
    }
}

impl Sink for Build {
    fn null(&mut self) {
        self.put(Value::Null);
    }

    fn bool(&mut self, value: bool) {
        self.put(Value::Bool(value));
    }

    fn int(&mut self, value: i64) {
        self.put(Value::Int(value));
    }

    fn unsigned(&mut self, value: u64) {
        self.put(Value::from(value));
    }

    fn float(&mut self, value: f64) {
        self.put(Value::Float(value));
    }

    fn text(&mut self, value: Cow<'_, str>) {
        self.put(Value::Str(value.into_owned()));
    }

    fn bytes(&mut self, value: &[u8]) {
        self.put(Value::Bytes(value.to_vec()));
    }

    fn list_start(&mut self, len: Option<usize>) -> Mark {
        self.open.push(Open::List(Vec::with_capacity(len.unwrap_or(0).min(RESERVE))));
        Mark(None)
    }

    fn list_end(&mut self, _: Mark, _: usize) {
        if let Some(Open::List(items)) = self.open.pop() {
            self.put(Value::List(items));
        }
    }

    fn dict_start(&mut self, len: Option<usize>) -> Mark {
        self.open.push(Open::Dict(Vec::with_capacity(len.unwrap_or(0).min(RESERVE))));
        Mark(None)
    }

    fn key(&mut self, key: Cow<'_, str>) {
        if let Some(Open::Dict(entries)) = self.open.last_mut() {
            entries.push((key.into_owned(), Value::Null));
        }
    }

    fn dict_end(&mut self, _: Mark, _: usize) {
        if let Some(Open::Dict(entries)) = self.open.pop() {
            self.put(Value::Dict(last_wins(entries)));
        }
    }
}
