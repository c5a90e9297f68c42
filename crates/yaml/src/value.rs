//! A node's value with the type that PyYAML's `safe_load` gives it.

use serde_json::json;

use crate::key::Key;
use crate::python;
use crate::timestamp::{Date, DateTime};

/// A value of YAML 1.1, or (in the base view) the text of one.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, `~`, or nothing at all.
    Null,
    /// `yes`, `no`, `true`, `false`, `on`, `off`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer that does not fit 64 bits, in decimal digits.
    BigInt(String),
    /// A floating point number.
    Float(f64),
    /// A text.
    Str(String),
    /// `!!binary` data.
    Bytes(Vec<u8>),
    /// A day.
    Date(Date),
    /// A day and a time.
    DateTime(DateTime),
    /// A list.
    List(Vec<Self>),
    /// A map, in the order of the file, without repeated keys.
    Map(Vec<(Self, Self)>),
    /// A `!!set`, in the order of the file, without repeated elements.
    Set(Vec<Self>),
    /// An `!!omap` or `!!pairs`: repeated keys are kept.
    Pairs(Vec<(Self, Self)>),
}

impl Value {
    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a key that is a text, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => {
                entries.iter().find(|(name, _)| name.as_str() == Some(key)).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// What Python's `str()` prints for it: `True`, `None`, `1e-05`, `['a', 1]`.
    pub fn python_str(&self) -> String {
        python::str_of(self)
    }

    /// Whether two values are the same key of a Python dict (where `1`, `1.0` and `True` are).
    pub fn same_key(&self, other: &Self) -> bool {
        Key::of(self).is_some_and(|key| Some(key) == Key::of(other))
    }

    /// A JSON form that keeps the type of every value, for comparisons with another reader.
    ///
    /// Each value is an array of the type's name and what it holds: `["int", "12"]`, `["float", "1e-05"]` (Python's
    /// spelling), `["bytes", "00ff"]` (hexadecimal), `["datetime", "2001-12-14T21:59:43+00:00"]`, `["list", […]]`,
    /// `["map", [[key, value], …]]`. The elements of a set are sorted by their JSON text, since Python's have no order.
    pub fn to_tagged_json(&self) -> serde_json::Value {
        let pairs = |entries: &[(Self, Self)]| -> Vec<serde_json::Value> {
            entries.iter().map(|(key, value)| json!([key.to_tagged_json(), value.to_tagged_json()])).collect()
        };
        match self {
            Self::Null => json!(["null"]),
            Self::Bool(value) => json!(["bool", value]),
            Self::Int(value) => json!(["int", value.to_string()]),
            Self::BigInt(digits) => json!(["int", digits]),
            Self::Float(value) => json!(["float", python::float_repr(*value)]),
            Self::Str(text) => json!(["str", text]),
            Self::Bytes(bytes) => {
                json!(["bytes", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()])
            }
            Self::Date(date) => json!(["date", date.to_string()]),
            Self::DateTime(time) => json!(["datetime", time.iso_format('T')]),
            Self::List(items) => json!(["list", items.iter().map(Self::to_tagged_json).collect::<Vec<_>>()]),
            Self::Map(entries) => json!(["map", pairs(entries)]),
            Self::Set(items) => {
                let mut sorted: Vec<serde_json::Value> = items.iter().map(Self::to_tagged_json).collect();
                sorted.sort_by_key(serde_json::Value::to_string);
                json!(["set", sorted])
            }
            // Python has a list of pairs, which is a list like any other when it is empty.
            Self::Pairs(entries) if entries.is_empty() => json!(["list", []]),
            Self::Pairs(entries) => json!(["pairs", pairs(entries)]),
        }
    }
}
