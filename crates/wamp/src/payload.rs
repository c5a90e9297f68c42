//! [`Payload`]: the arguments of a message, which stay encoded until somebody wants them.

use bytes::Bytes;

use crate::codec::sink::{Writer, feed_dict, feed_list};
use crate::codec::{DecodeError, Input, Serializer};
use crate::{Dict, Limits, Value};

/// Positional and keyword arguments of a call, an event, a result or an error.
///
/// What came from a peer has been checked as a whole, but is kept as the bytes it came in. A router so passes it on
/// without looking inside where both sides use the same serializer, and otherwise carries it over in one pass.
/// Cloning it is cheap then.
#[derive(Clone, Debug, Default)]
pub struct Payload(Repr);

#[derive(Clone, Debug)]
enum Repr {
    Values {
        args: Vec<Value>,
        kwargs: Dict,
    },
    /// The encoded list and dict; without a byte where the message has none.
    Encoded {
        serializer: Serializer,
        args: Bytes,
        kwargs: Bytes,
    },
}

impl Default for Repr {
    fn default() -> Self {
        Self::Values { args: Vec::new(), kwargs: Dict::new() }
    }
}

impl Payload {
    /// From values.
    pub fn new(args: Vec<Value>, kwargs: Dict) -> Self {
        Self(Repr::Values { args, kwargs })
    }

    /// No arguments; allocates nothing.
    pub fn empty() -> Self {
        Self::default()
    }

    /// One text, as error messages have it.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(vec![Value::Str(text.into())], Dict::new())
    }

    /// From bytes that have been checked: `args` is a list and `kwargs` a dict, if they are not empty.
    pub(crate) fn encoded(serializer: Serializer, args: Bytes, kwargs: Bytes) -> Self {
        Self(Repr::Encoded { serializer, args, kwargs })
    }

    /// The arguments as values.
    ///
    /// # Errors
    /// None is known: what came from a peer has been checked on its way in by the same code.
    pub fn values(&self) -> Result<(Vec<Value>, Dict), DecodeError> {
        match &self.0 {
            Repr::Values { args, kwargs } => Ok((args.clone(), kwargs.clone())),
            Repr::Encoded { serializer, args, kwargs } => decode(*serializer, args, kwargs),
        }
    }

    /// As [`Self::values`], without a copy where the values are there already.
    ///
    /// # Errors
    /// As [`Self::values`].
    pub fn into_values(self) -> Result<(Vec<Value>, Dict), DecodeError> {
        match self.0 {
            Repr::Values { args, kwargs } => Ok((args, kwargs)),
            Repr::Encoded { serializer, args, kwargs } => decode(serializer, &args, &kwargs),
        }
    }

    /// Roughly how many bytes this takes in a message: exactly, where it is still encoded; else a guess.
    pub fn size_hint(&self) -> usize {
        match &self.0 {
            Repr::Values { args, kwargs } => 16 * (args.len() + kwargs.len()),
            Repr::Encoded { args, kwargs, .. } => args.len() + kwargs.len(),
        }
    }

    /// How many elements of a message this takes: 2 with keyword arguments, 1 with positional ones, or 0.
    pub(crate) fn elements(&self) -> usize {
        let (args, kwargs) = match &self.0 {
            Repr::Values { args, kwargs } => (!args.is_empty(), !kwargs.is_empty()),
            Repr::Encoded { args, kwargs, .. } => (!args.is_empty(), !kwargs.is_empty()),
        };
        if kwargs { 2 } else { usize::from(args) }
    }

    /// Writes the elements.
    pub(crate) fn write<W: Writer>(&self, writer: &mut W) {
        let elements = self.elements();
        match &self.0 {
            Repr::Values { args, kwargs } => {
                if elements > 0 {
                    feed_list(args, writer);
                }
                if elements > 1 {
                    feed_dict(kwargs, writer);
                }
            }
            Repr::Encoded { serializer, args, kwargs } => {
                for part in [args, kwargs].into_iter().filter(|part| !part.is_empty()) {
                    if *serializer == W::SERIALIZER {
                        writer.raw(part);
                    } else {
                        carry_over(*serializer, part, writer);
                    }
                }
            }
        }
    }
}

impl From<crate::WampError> for Payload {
    fn from(error: crate::WampError) -> Self {
        Self::new(error.args, error.kwargs)
    }
}

/// Two payloads are the same if their values are.
impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.values() == other.values()
    }
}

fn decode(serializer: Serializer, args: &[u8], kwargs: &[u8]) -> Result<(Vec<Value>, Dict), DecodeError> {
    let decode = |bytes: &[u8]| match bytes {
        [] => Ok(Value::Null),
        bytes => serializer.decode_value(bytes, &Limits::TRUSTED),
    };
    let args = match decode(args)? {
        Value::List(args) => args,
        _ => Vec::new(),
    };
    let kwargs = match decode(kwargs)? {
        Value::Dict(kwargs) => kwargs,
        _ => Dict::new(),
    };
    Ok((args, kwargs))
}

/// From one serializer to another, in one pass.
fn carry_over<W: Writer>(from: Serializer, encoded: &[u8], writer: &mut W) {
    let walked = Input::new(encoded, &Limits::TRUSTED).and_then(|mut input| from.walk(&mut input, writer));
    debug_assert_eq!(walked, Ok(()), "checked on the way in");
}
