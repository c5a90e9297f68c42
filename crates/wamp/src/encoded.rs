//! [`Encoder`] and [`Encoded`]: arguments that never exist as values.
//!
//! A tree of values is convenient, and costs an allocation for each key, text and list in it. What a daemon says every
//! second of its life, or of thousands of things at once, is written straight to bytes here. They are CBOR, which our
//! clients offer first; a payload goes out in whatever serializer a session has.

use std::borrow::Cow;

use bytes::Bytes;

use crate::codec::CborWriter;
use crate::codec::sink::{Sink as _, Writer as _, feed};
use crate::{Limits, Payload, Serializer, Value};

/// A value that was encoded once, to be part of many messages. Cloning it is cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded(Bytes);

impl Encoded {
    /// Encodes it.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        let mut encoder = Encoder::default();
        encoder.value(value);
        Self(encoder.0.into())
    }
}

/// Writes values piece by piece. After `list(n)` come n values, after `dict(n)` n times a key and a value; that they do
/// is the caller's promise, which [`Self::into_args`] checks in debug builds.
#[derive(Debug, Default)]
pub struct Encoder(Vec<u8>);

impl Encoder {
    fn writer(&mut self) -> CborWriter<'_> {
        CborWriter::new(&mut self.0)
    }

    /// A list of so many values.
    pub fn list(&mut self, len: usize) -> &mut Self {
        self.writer().list_start(Some(len));
        self
    }

    /// A dict of so many entries, whose keys must differ.
    pub fn dict(&mut self, len: usize) -> &mut Self {
        self.writer().dict_start(Some(len));
        self
    }

    /// A key of a dict.
    pub fn key(&mut self, key: &str) -> &mut Self {
        self.writer().key(Cow::Borrowed(key));
        self
    }

    /// A text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.writer().text(Cow::Borrowed(text));
        self
    }

    /// Any value.
    pub fn value(&mut self, value: &Value) -> &mut Self {
        feed(value, &mut self.writer());
        self
    }

    /// A value that was encoded before.
    pub fn encoded(&mut self, value: &Encoded) -> &mut Self {
        self.writer().raw(&value.0);
        self
    }

    /// All that another one has written so far.
    pub fn append(&mut self, other: &Self) -> &mut Self {
        self.writer().raw(&other.0);
        self
    }

    /// Forgets what was written, and keeps the memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// What was written is one list: the positional arguments of a message.
    #[must_use]
    pub fn into_args(self) -> Payload {
        debug_assert!(
            matches!(Serializer::Cbor.decode_value(&self.0, &Limits::TRUSTED), Ok(Value::List(_))),
            "not one list: {:?}",
            self.0
        );
        Payload::encoded(Serializer::Cbor, self.0.into(), Bytes::new())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Dict, Message};

    #[test]
    fn pieces_are_the_arguments_that_they_spell() {
        let tags = Encoded::of(&Value::Dict(Dict::new().with("unit", "K")));
        let mut body = Encoder::default();
        body.key("a").list(2).value(&Value::Float(1.5)).value(&Value::Null).key("b").encoded(&tags);
        let mut encoder = Encoder::default();
        encoder.list(2).text("x").dict(2).append(&body);
        let (args, kwargs) = encoder.into_args().into_values().unwrap();
        let dict = Dict::new()
            .with("a", vec![Value::Float(1.5), Value::Null])
            .with("b", Dict::new().with("unit", "K"));
        assert_eq!(args, [Value::from("x"), Value::Dict(dict)]);
        assert!(kwargs.is_empty());
    }

    #[test]
    #[should_panic(expected = "not one list")]
    #[cfg(debug_assertions)]
    fn a_broken_promise_is_noticed() {
        let mut encoder = Encoder::default();
        encoder.list(2).text("only one");
        let _ = encoder.into_args();
    }

    proptest! {
        // JSON takes a text that begins with NUL for bytes (WAMP spec, "Binary support in JSON").
        #[test]
        fn every_serializer_carries_the_same(texts in prop::collection::vec("[^\0].{0,8}", 0..4), number in any::<i64>()) {
            let values: Vec<Value> = texts.into_iter().map(Value::from).chain([Value::from(number)]).collect();
            let mut encoder = Encoder::default();
            encoder.list(values.len());
            values.iter().for_each(|value| { encoder.value(value); });
            let payload = encoder.into_args();
            for serializer in [Serializer::Json, Serializer::MsgPack, Serializer::Cbor] {
                let message = Message::Publish {
                    request: 1, options: Dict::new(), topic: "a.b".to_owned(), payload: payload.clone(),
                };
                let mut bytes = Vec::new();
                serializer.encode(&message, &mut bytes);
                let decoded = serializer.decode(&bytes.into(), &Limits::default());
                let Ok(Message::Publish { payload, .. }) = decoded else { panic!("{decoded:?}") };
                prop_assert_eq!(payload.values().unwrap().0, values.clone());
            }
        }
    }
}
