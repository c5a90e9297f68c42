//! When two keys of a map are the same.

use crate::timestamp::{Date, DateTime};
use crate::value::Value;

/// A key in the form in which equality is that of Python: numbers compare by value, whatever their type, so that
/// `1`, `1.0` and `true` are one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Null,
    /// An integer, a boolean, or a float without a fraction, in decimal digits.
    Integral(String),
    /// Any other float, by its bits; all NaN are one.
    Fraction(u64),
    Str(String),
    Bytes(Vec<u8>),
    Date(Date),
    /// Without a time zone, to the microsecond.
    Local(i64),
    /// With a time zone, in UTC, to the microsecond.
    Utc(i64),
}

impl Key {
    /// The key for a value; `None` when it cannot be one (a list, a map).
    pub(crate) fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Integral(u8::from(*value).to_string()),
            Value::Int(value) => Self::Integral(value.to_string()),
            Value::BigInt(digits) => Self::Integral(digits.clone()),
            Value::Float(value) => Self::of_float(*value),
            Value::Str(text) => Self::Str(text.clone()),
            Value::Bytes(bytes) => Self::Bytes(bytes.clone()),
            Value::Date(date) => Self::Date(*date),
            Value::DateTime(time) => Self::of_time(time),
            Value::List(_) | Value::Map(_) | Value::Set(_) | Value::Pairs(_) => return None,
        })
    }

    fn of_float(value: f64) -> Self {
        if value.is_nan() {
            Self::Fraction(f64::NAN.to_bits())
        } else if value == 0.0 {
            Self::Integral("0".to_owned())
        } else if value.is_finite() && value.fract() == 0.0 {
            Self::Integral(format!("{value:.0}"))
        } else {
            Self::Fraction(value.to_bits())
        }
    }

    fn of_time(time: &DateTime) -> Self {
        let local = time.micros_since_epoch();
        match time.offset_minutes {
            None => Self::Local(local),
            Some(minutes) => Self::Utc(local - i64::from(minutes) * 60_000_000),
        }
    }
}
