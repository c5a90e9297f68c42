//! Values of attributes, and of replies that write numbers as text.

use std::fmt;

/// What an attribute can be made of.
pub trait AttrValue {
    /// The text on the wire; `None` leaves the attribute out.
    fn text(&self) -> Option<String>;
}

impl AttrValue for String {
    fn text(&self) -> Option<String> {
        Some(self.clone())
    }
}

impl AttrValue for str {
    fn text(&self) -> Option<String> {
        Some(self.to_owned())
    }
}

impl<T: AttrValue + ?Sized> AttrValue for &T {
    fn text(&self) -> Option<String> {
        (**self).text()
    }
}

impl<T: AttrValue> AttrValue for Option<T> {
    fn text(&self) -> Option<String> {
        self.as_ref().and_then(AttrValue::text)
    }
}

macro_rules! as_displayed {
    ($($kind:ty),*) => {$(
        impl AttrValue for $kind {
            fn text(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )*};
}
as_displayed!(u16, u32, u64, i64, Micros, Perm);

/// An attribute that is left out unless it is true.
impl AttrValue for bool {
    fn text(&self) -> Option<String> {
        self.then(|| "true".to_owned())
    }
}

/// Microseconds, which LDMS counts intervals in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Micros(pub i64);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Permission bits. Written with a leading 0, since ldmsd guesses the base from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Perm(pub u32);

impl fmt::Display for Perm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0{:o}", self.0)
    }
}

/// Numbers and truths in replies, which ldmsd writes bare or as text.
pub mod lenient {
    use serde::{Deserialize, Deserializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(i64),
        Float(f64),
        Truth(bool),
        Text(String),
    }

    /// A number; text that is none (such as `None`) is absent.
    ///
    /// # Errors
    /// When it is neither number nor text.
    pub fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
        Ok(match Either::deserialize(from)? {
            Either::Number(number) => Some(number),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a float beyond i64 saturates, which is meant"
            )]
            Either::Float(number) => Some(number as i64),
            Either::Truth(truth) => Some(truth.into()),
            Either::Text(text) => text.trim().parse().ok(),
        })
    }

    /// A truth; text counts when it is `true`.
    ///
    /// # Errors
    /// When it is neither truth, number nor text.
    pub fn truth<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
        Ok(match Either::deserialize(from)? {
            Either::Number(number) => number != 0,
            Either::Float(number) => number != 0.0,
            Either::Truth(truth) => truth,
            Either::Text(text) => text.eq_ignore_ascii_case("true"),
        })
    }
}
