//! [`Value`]: one value inside a WAMP message, whatever the serializer.

use crate::dict::Dict;

/// What arguments, keyword arguments and options are made of.
///
/// Integers stay integers and floats stay floats (`1.0` never becomes `1`), since Python peers tell them apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// `null`, `None`, CBOR `undefined`.
    #[default]
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer that fits `i64`.
    Int(i64),
    /// An integer above `i64::MAX`; smaller ones are [`Value::Int`].
    UInt(u64),
    /// A float; NaN and infinities are kept by CBOR and MessagePack, and become `null` in JSON.
    Float(f64),
    /// Text.
    Str(String),
    /// Bytes; in JSON a string of NUL and Base64 (WAMP spec, "Binary support in JSON").
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Self>),
    /// A dict.
    Dict(Dict),
}

impl Value {
    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The integer, if it is one and fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The integer, if it is one and not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Int(value) => u64::try_from(*value).ok(),
            Self::UInt(value) => Some(*value),
            _ => None,
        }
    }

    /// The number as a float, be it an integer or a float.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::UInt(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// The text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(value) => Some(value),
            _ => None,
        }
    }

    /// The elements, if it is a list.
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(value) => Some(value),
            _ => None,
        }
    }

    /// The dict, if it is one.
    pub fn as_dict(&self) -> Option<&Dict> {
        match self {
            Self::Dict(value) => Some(value),
            _ => None,
        }
    }

    /// The entry `key`, if this is a dict that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_dict()?.get(key)
    }

    /// The same as JSON: NaN and infinities become `null`, bytes the string that WAMP uses for them in JSON.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Int(value) => Json::from(*value),
            Self::UInt(value) => Json::from(*value),
            Self::Float(value) => Json::from(*value),
            Self::Str(value) => Json::from(value.as_str()),
            Self::Bytes(value) => Json::from(crate::codec::bytes_as_json_text(value)),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Dict(dict) => Json::Object(dict.iter().map(|(k, v)| (k.to_owned(), v.to_json())).collect()),
        }
    }
}

impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(value),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => Self::Int(value),
                (None, Some(value)) => Self::UInt(value),
                (None, None) => number.as_f64().map_or(Self::Null, Self::Float),
            },
            Json::String(text) => match crate::codec::json_text_as_bytes(&text) {
                Some(bytes) => Self::Bytes(bytes),
                None => Self::Str(text),
            },
            Json::Array(items) => Self::List(items.into_iter().map(Self::from).collect()),
            Json::Object(entries) => Self::Dict(entries.into_iter().collect()),
        }
    }
}

macro_rules! value_from {
    ($($from:ty => |$value:ident| $to:expr;)*) => {
        $(impl From<$from> for Value {
            fn from($value: $from) -> Self {
                $to
            }
        })*
    };
}

value_from! {
    bool => |value| Self::Bool(value);
    i32 => |value| Self::Int(value.into());
    u32 => |value| Self::Int(value.into());
    i64 => |value| Self::Int(value);
    u64 => |value| i64::try_from(value).map_or(Self::UInt(value), Self::Int);
    f64 => |value| Self::Float(value);
    &str => |value| Self::Str(value.to_owned());
    String => |value| Self::Str(value);
    Vec<Value> => |value| Self::List(value);
    Dict => |value| Self::Dict(value);
    () => |_unit| Self::Null;
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_comes_back_as_it_was() {
        let json = json!({"b": [1, -1, 1.0, 18446744073709551615u64, null, true, "x"], "a": {}});
        assert_eq!(Value::from(json.clone()).to_json(), json);
        assert_eq!(Value::from(json!(1.0)), Value::Float(1.0));
        assert_eq!(Value::from(json!(1)), Value::Int(1));
    }

    #[test]
    fn what_json_cannot_say_becomes_null_or_text() {
        let odd =
            Value::List(vec![Value::Float(f64::NAN), Value::Float(f64::INFINITY), Value::Bytes(vec![1, 2])]);
        assert_eq!(odd.to_json(), json!([null, null, "\u{0}AQI="]));
        assert_eq!(Value::from(json!("\u{0}AQI=")), Value::Bytes(vec![1, 2]));
    }
}
