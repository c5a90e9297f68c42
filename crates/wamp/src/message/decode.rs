//! From bytes to [`Message`].

use std::ops::Range;

use bytes::Bytes;

use super::{codes, name};
use crate::codec::sink::Check;
use crate::codec::{DecodeError, Input, Serializer};
use crate::{Dict, Limits, Message, Payload, Value};

/// No WAMP message has more elements: ERROR with both kinds of arguments.
const MAX_ELEMENTS: usize = 7;

impl Message {
    /// Decodes one message: the whole is checked, the head decoded, the payload kept as it is.
    pub(crate) fn decode(
        serializer: Serializer,
        bytes: &Bytes,
        limits: &Limits,
    ) -> Result<Self, DecodeError> {
        let mut elements = Elements::split(serializer, bytes, limits)?;
        let code = elements.value()?.and_then(|code| code.as_u64()).ok_or(DecodeError::NotAMessage)?;
        elements.message = name(code);
        let e = &mut elements;
        let message = match code {
            codes::HELLO => Self::Hello { realm: e.text("realm")?, details: e.dict("details")? },
            codes::WELCOME => Self::Welcome { session: e.id("session")?, details: e.dict("details")? },
            codes::ABORT => Self::Abort { details: e.dict("details")?, reason: e.text("reason")? },
            codes::CHALLENGE => Self::Challenge { method: e.text("method")?, extra: e.dict("extra")? },
            codes::AUTHENTICATE => {
                Self::Authenticate { signature: e.text("signature")?, extra: e.dict("extra")? }
            }
            codes::GOODBYE => Self::Goodbye { details: e.dict("details")?, reason: e.text("reason")? },
            codes::ERROR => Self::Error {
                request_type: e.id("request type")?,
                request: e.id("request")?,
                details: e.dict("details")?,
                error: e.text("error")?,
                payload: e.payload()?,
            },
            codes::PUBLISH => Self::Publish {
                request: e.id("request")?,
                options: e.dict("options")?,
                topic: e.text("topic")?,
                payload: e.payload()?,
            },
            codes::PUBLISHED => {
                Self::Published { request: e.id("request")?, publication: e.id("publication")? }
            }
            codes::SUBSCRIBE => Self::Subscribe {
                request: e.id("request")?,
                options: e.dict("options")?,
                topic: e.text("topic")?,
            },
            codes::SUBSCRIBED => {
                Self::Subscribed { request: e.id("request")?, subscription: e.id("subscription")? }
            }
            codes::UNSUBSCRIBE => {
                Self::Unsubscribe { request: e.id("request")?, subscription: e.id("subscription")? }
            }
            codes::UNSUBSCRIBED => {
                Self::Unsubscribed { request: e.id("request")?, details: e.optional_dict("details")? }
            }
            codes::EVENT => Self::Event {
                subscription: e.id("subscription")?,
                publication: e.id("publication")?,
                details: e.dict("details")?,
                payload: e.payload()?,
            },
            codes::CALL => Self::Call {
                request: e.id("request")?,
                options: e.dict("options")?,
                procedure: e.text("procedure")?,
                payload: e.payload()?,
            },
            codes::CANCEL => Self::Cancel { request: e.id("request")?, options: e.dict("options")? },
            codes::RESULT => {
                Self::Result { request: e.id("request")?, details: e.dict("details")?, payload: e.payload()? }
            }
            codes::REGISTER => Self::Register {
                request: e.id("request")?,
                options: e.dict("options")?,
                procedure: e.text("procedure")?,
            },
            codes::REGISTERED => {
                Self::Registered { request: e.id("request")?, registration: e.id("registration")? }
            }
            codes::UNREGISTER => {
                Self::Unregister { request: e.id("request")?, registration: e.id("registration")? }
            }
            codes::UNREGISTERED => {
                Self::Unregistered { request: e.id("request")?, details: e.optional_dict("details")? }
            }
            codes::INVOCATION => Self::Invocation {
                request: e.id("request")?,
                registration: e.id("registration")?,
                details: e.dict("details")?,
                payload: e.payload()?,
            },
            codes::INTERRUPT => Self::Interrupt { request: e.id("request")?, options: e.dict("options")? },
            codes::YIELD => {
                Self::Yield { request: e.id("request")?, options: e.dict("options")?, payload: e.payload()? }
            }
            unknown => return Err(DecodeError::UnknownType(unknown)),
        };
        elements.end()?;
        Ok(message)
    }
}

/// Where the elements of a message are, and which is next.
struct Elements<'a> {
    serializer: Serializer,
    bytes: &'a Bytes,
    ranges: [Range<usize>; MAX_ELEMENTS],
    len: usize,
    next: usize,
    loose: bool,
    /// For error messages.
    message: &'static str,
}

impl<'a> Elements<'a> {
    /// Checks the whole message, once, and finds its elements.
    fn split(serializer: Serializer, bytes: &'a Bytes, limits: &Limits) -> Result<Self, DecodeError> {
        let mut input = Input::new(bytes, limits)?;
        let mut ranges: [Range<usize>; MAX_ELEMENTS] = Default::default();
        let mut len = 0;
        serializer.elements(&mut input, |input| {
            let range = ranges.get_mut(len).ok_or(DecodeError::NotAMessage)?;
            let start = input.at();
            serializer.walk(input, &mut Check)?;
            *range = start..input.at();
            len += 1;
            Ok(())
        })?;
        serializer.finish(&mut input)?;
        Ok(Self { serializer, bytes, ranges, len, next: 0, loose: input.loose, message: "message" })
    }

    fn next(&mut self) -> Option<Range<usize>> {
        if self.next == self.len {
            return None;
        }
        self.next += 1;
        Some(self.ranges[self.next - 1].clone())
    }

    fn value(&mut self) -> Result<Option<Value>, DecodeError> {
        let Some(range) = self.next() else { return Ok(None) };
        self.serializer.decode_value(&self.bytes[range], &Limits::TRUSTED).map(Some)
    }

    fn required(&mut self) -> Result<Value, DecodeError> {
        self.value()?.ok_or(DecodeError::WrongLength { message: self.message })
    }

    fn bad(&self, field: &'static str) -> DecodeError {
        DecodeError::BadField { message: self.message, field }
    }

    fn id(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        self.required()?.as_u64().ok_or_else(|| self.bad(field))
    }

    fn text(&mut self, field: &'static str) -> Result<String, DecodeError> {
        match self.required()? {
            Value::Str(text) => Ok(text),
            _ => Err(self.bad(field)),
        }
    }

    fn dict(&mut self, field: &'static str) -> Result<Dict, DecodeError> {
        // Nearly all options and details are empty.
        if self.next < self.len && is_empty_dict(self.serializer, &self.bytes[self.ranges[self.next].clone()])
        {
            self.next += 1;
            return Ok(Dict::new());
        }
        match self.required()? {
            Value::Dict(dict) => Ok(dict),
            _ => Err(self.bad(field)),
        }
    }

    fn optional_dict(&mut self, field: &'static str) -> Result<Dict, DecodeError> {
        if self.next == self.len { Ok(Dict::new()) } else { self.dict(field) }
    }

    fn payload(&mut self) -> Result<Payload, DecodeError> {
        let args = self.part("arguments", is_list)?;
        let kwargs = self.part("keyword arguments", is_dict)?;
        let payload = Payload::encoded(self.serializer, args, kwargs);
        if self.loose {
            payload.into_values().map(|(args, kwargs)| Payload::new(args, kwargs))
        } else {
            Ok(payload)
        }
    }

    /// One half of a payload as it is encoded; nothing, where it is absent or null.
    fn part(&mut self, field: &'static str, fits: fn(Serializer, u8) -> bool) -> Result<Bytes, DecodeError> {
        let Some(range) = self.next() else { return Ok(Bytes::new()) };
        let part = self.bytes.slice(range);
        match part.first() {
            Some(&first) if fits(self.serializer, first) => Ok(part),
            Some(&first) if is_null(self.serializer, first) => Ok(Bytes::new()),
            _ => Err(self.bad(field)),
        }
    }

    fn end(&self) -> Result<(), DecodeError> {
        if self.next == self.len { Ok(()) } else { Err(DecodeError::WrongLength { message: self.message }) }
    }
}

// Every serializer tells the type of a value by its first byte.

fn is_list(serializer: Serializer, first: u8) -> bool {
    match serializer {
        Serializer::Json => first == b'[',
        Serializer::MsgPack => matches!(first, 0x90..=0x9f | 0xdc | 0xdd),
        Serializer::Cbor => first >> 5 == 4,
    }
}

fn is_dict(serializer: Serializer, first: u8) -> bool {
    match serializer {
        Serializer::Json => first == b'{',
        Serializer::MsgPack => matches!(first, 0x80..=0x8f | 0xde | 0xdf),
        Serializer::Cbor => first >> 5 == 5,
    }
}

fn is_empty_dict(serializer: Serializer, encoded: &[u8]) -> bool {
    encoded
        == match serializer {
            Serializer::Json => &b"{}"[..],
            Serializer::MsgPack => &[0x80],
            Serializer::Cbor => &[0xa0],
        }
}

fn is_null(serializer: Serializer, first: u8) -> bool {
    match serializer {
        Serializer::Json => first == b'n',
        Serializer::MsgPack => first == 0xc0,
        Serializer::Cbor => first == 0xf6,
    }
}
