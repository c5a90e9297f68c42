//! The serializers, and how messages lie in a WebSocket message.
//!
//! Each serializer is a *reader*, which walks the encoded bytes of one value and tells a `sink::Sink` what it
//! finds, and a *writer*, which is such a sink. So the same code checks a value, decodes it, and carries it over to
//! another serializer, and what passes the check on the way in can always be decoded later.

mod batch;
mod cbor_read;
mod cbor_write;
mod input;
mod json_read;
mod json_text;
mod json_write;
mod msgpack_read;
mod msgpack_write;
pub(crate) mod sink;

use std::fmt;

use bytes::Bytes;

use crate::{Limits, Message, Value};

pub use batch::Messages;
pub(crate) use cbor_write::CborWriter;
pub(crate) use input::Input;
pub(crate) use json_text::{bytes_as_json_text, json_text_as_bytes};
pub(crate) use json_write::JsonWriter;
pub(crate) use msgpack_write::MsgPackWriter;

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Serializer {
    /// JSON text; bytes as NUL and Base64, NaN and infinities as `null`.
    Json,
    /// MessagePack.
    MsgPack,
    /// CBOR (RFC 8949).
    Cbor,
}

impl Serializer {
    /// Appends `value` to `out`.
    pub fn encode_value(self, value: &Value, out: &mut Vec<u8>) {
        match self {
            Self::Json => sink::feed(value, &mut JsonWriter::new(out)),
            Self::MsgPack => sink::feed(value, &mut MsgPackWriter::new(out)),
            Self::Cbor => sink::feed(value, &mut CborWriter::new(out)),
        }
    }

    /// Decodes exactly one value.
    ///
    /// # Errors
    /// When the bytes are not one value, or pass a limit.
    pub fn decode_value(self, bytes: &[u8], limits: &Limits) -> Result<Value, DecodeError> {
        let mut input = Input::new(bytes, limits)?;
        let mut built = sink::Build::default();
        self.walk(&mut input, &mut built)?;
        self.finish(&mut input)?;
        Ok(built.into_value())
    }

    /// Reads one value and tells `sink`.
    pub(crate) fn walk(self, input: &mut Input<'_>, sink: &mut impl sink::Sink) -> Result<(), DecodeError> {
        match self {
            Self::Json => json_read::value(input, sink),
            Self::MsgPack => msgpack_read::value(input, sink),
            Self::Cbor => cbor_read::value(input, sink),
        }
    }

    /// Reads the list that a message is, and calls `each` where an element begins; `each` must read it.
    pub(crate) fn elements<'a>(
        self,
        input: &mut Input<'a>,
        each: impl FnMut(&mut Input<'a>) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        match self {
            Self::Json => json_read::elements(input, each),
            Self::MsgPack => msgpack_read::elements(input, each),
            Self::Cbor => cbor_read::elements(input, each),
        }
    }

    /// Nothing but white space, where the serializer has such, may follow.
    pub(crate) fn finish(self, input: &mut Input<'_>) -> Result<(), DecodeError> {
        if self == Self::Json {
            json_read::skip_space(input);
        }
        input.finish()
    }

    /// Appends `message` to `out`, with no framing.
    pub fn encode(self, message: &Message, out: &mut Vec<u8>) {
        message.encode(self, out);
    }

    /// Decodes one message that has no framing. Its arguments are checked and stay encoded, as slices of `bytes`.
    ///
    /// # Errors
    /// When the bytes are not a WAMP message, or pass a limit.
    pub fn decode(self, bytes: &Bytes, limits: &Limits) -> Result<Message, DecodeError> {
        Message::decode(self, bytes, limits)
    }
}

/// A serializer, with or without batching: what is negotiated as `Sec-WebSocket-Protocol` (WAMP spec, "WebSocket
/// Transport" and "Batched Transport").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subprotocol {
    /// How values are written.
    pub serializer: Serializer,
    /// Whether one WebSocket message carries several WAMP messages.
    pub batched: bool,
}

impl Subprotocol {
    /// All of them, in the order in which a client should offer them: the cheapest first.
    pub const ALL: [Self; 6] = [
        Self { serializer: Serializer::Cbor, batched: true },
        Self { serializer: Serializer::Cbor, batched: false },
        Self { serializer: Serializer::MsgPack, batched: true },
        Self { serializer: Serializer::MsgPack, batched: false },
        Self { serializer: Serializer::Json, batched: true },
        Self { serializer: Serializer::Json, batched: false },
    ];

    /// The name in the WebSocket handshake.
    pub fn name(self) -> &'static str {
        match (self.serializer, self.batched) {
            (Serializer::Json, false) => "wamp.2.json",
            (Serializer::Json, true) => "wamp.2.json.batched",
            (Serializer::MsgPack, false) => "wamp.2.msgpack",
            (Serializer::MsgPack, true) => "wamp.2.msgpack.batched",
            (Serializer::Cbor, false) => "wamp.2.cbor",
            (Serializer::Cbor, true) => "wamp.2.cbor.batched",
        }
    }

    /// From the name in the WebSocket handshake.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|subprotocol| subprotocol.name() == name)
    }

    /// Whether it travels in text messages; else in binary ones.
    pub fn is_text(self) -> bool {
        self.serializer == Serializer::Json
    }

    /// Appends `message` to the frame `out`. Where batched, any number of messages may follow one another in a frame;
    /// else the frame must be empty before.
    pub fn encode(self, message: &Message, out: &mut Vec<u8>) {
        if self.batched {
            batch::encode(self.serializer, message, out);
        } else {
            debug_assert!(out.is_empty(), "one message per frame");
            message.encode(self.serializer, out);
        }
    }

    /// The messages of one received frame (the whole WebSocket message), one after the other.
    pub fn decode(self, frame: Bytes, limits: &Limits) -> Messages {
        Messages::new(self, frame, *limits)
    }
}

impl fmt::Display for Subprotocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why bytes from a peer were refused. All of these are a breach of the protocol by the peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside a value.
    #[error("the message ends too early")]
    Truncated,
    /// More follows where the value should have ended.
    #[error("there is more after the end of the message, at byte {at}")]
    TrailingBytes {
        /// Offset in bytes.
        at: usize,
    },
    /// Above [`Limits::max_message_bytes`].
    #[error("the message has {bytes} bytes, above the limit of {limit}")]
    TooLarge {
        /// The size of the message.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Above [`Limits::max_depth`].
    #[error("the message nests too deeply")]
    TooDeep,
    /// Above [`Limits::max_elements`].
    #[error("the message has too many elements")]
    TooManyElements,
    /// Not what the serializer defines.
    #[error("malformed {what} at byte {at}")]
    Malformed {
        /// What should have been there.
        what: &'static str,
        /// Offset in bytes.
        at: usize,
    },
    /// Not a list that begins with a message type.
    #[error("not a WAMP message")]
    NotAMessage,
    /// A message type that WAMP does not have.
    #[error("unknown WAMP message type {0}")]
    UnknownType(u64),
    /// A message with too few or too many elements.
    #[error("{message} has a wrong number of elements")]
    WrongLength {
        /// The name of the message.
        message: &'static str,
    },
    /// An element of a message has the wrong type.
    #[error("{message} has no valid {field}")]
    BadField {
        /// The name of the message.
        message: &'static str,
        /// What the element is called in the WAMP spec.
        field: &'static str,
    },
}
