//! ldmsd records: the upper layer.
//!
//! A message (request or reply) is a list of attributes, ended by a zero word. It travels in one or several
//! records, each with a header of 24 bytes; the bytes of the attributes simply continue in the next record.

use std::collections::HashMap;

use bytes::{BufMut, Bytes, BytesMut};

use super::ids::{AttrId, RequestId};
use super::{Reader, WireError};
use crate::limits;

/// Bytes of the header of a record.
pub const HEADER_LEN: usize = 24;
const MARKER: u32 = 0xffff_ffff;
const COMMAND: u32 = 1;
const RESPONSE: u32 = 2;
const START: u32 = 1;
const END: u32 = 2;

/// The header of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whether it belongs to a reply (else to a request).
    pub response: bool,
    /// Whether it is the first of its message.
    pub first: bool,
    /// Whether it is the last of its message.
    pub last: bool,
    /// The number of the message: unique among those under way on a connection, repeated by the reply.
    pub msg_no: u32,
    /// The request id, or the error number of a reply.
    pub code: u32,
    /// Bytes of the record, header included.
    pub len: u32,
}

impl Header {
    /// Reads the header at the head of `bytes`.
    ///
    /// # Errors
    /// When the marker is missing or the bytes end too soon.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes, "record header");
        if reader.u32()? != MARKER {
            return Err(WireError::NoMarker);
        }
        let kind = reader.u32()?;
        let flags = reader.u32()?;
        Ok(Self {
            response: match kind {
                COMMAND => false,
                RESPONSE => true,
                _ => return Err(WireError::Malformed("record type")),
            },
            first: flags & START != 0,
            last: flags & END != 0,
            msg_no: reader.u32()?,
            code: reader.u32()?,
            len: reader.u32()?,
        })
    }

    fn encode(self, out: &mut BytesMut) {
        out.put_u32(MARKER);
        out.put_u32(if self.response { RESPONSE } else { COMMAND });
        out.put_u32(if self.first { START } else { 0 } | if self.last { END } else { 0 });
        out.put_u32(self.msg_no);
        out.put_u32(self.code);
        out.put_u32(self.len);
    }
}

/// One attribute of a request or a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Which attribute.
    pub id: AttrId,
    /// Its bytes. Text ends with a NUL in requests, which ldmsd insists on, and with or without one in replies.
    /// A keyword has none.
    pub raw: Bytes,
}

impl Attribute {
    /// An attribute with text. Text after a NUL is cut off, since the wire cannot carry it.
    #[must_use]
    pub fn text(id: AttrId, text: &str) -> Self {
        let text = text.split('\0').next().unwrap_or_default();
        let mut raw = BytesMut::with_capacity(text.len() + 1);
        raw.put_slice(text.as_bytes());
        raw.put_u8(0);
        Self { id, raw: raw.freeze() }
    }

    /// An attribute without a value.
    #[must_use]
    pub fn keyword(id: AttrId) -> Self {
        Self { id, raw: Bytes::new() }
    }

    /// The bytes without the NUL that ends them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.raw.strip_suffix(&[0]).unwrap_or(&self.raw)
    }

    /// The value as text; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn value(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.bytes())
    }
}

/// A whole request or reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Whether it is a reply.
    pub response: bool,
    /// Its number (see [`Header::msg_no`]).
    pub msg_no: u32,
    /// The request id, or the error number of a reply.
    pub code: u32,
    /// What it says.
    pub attributes: Vec<Attribute>,
}

impl Message {
    /// A request.
    #[must_use]
    pub fn request(msg_no: u32, id: RequestId, attributes: Vec<Attribute>) -> Self {
        Self { response: false, msg_no, code: id.0, attributes }
    }

    /// A reply.
    #[must_use]
    pub fn response(msg_no: u32, errcode: u32, attributes: Vec<Attribute>) -> Self {
        Self { response: true, msg_no, code: errcode, attributes }
    }

    /// The first attribute with this id.
    #[must_use]
    pub fn attribute(&self, id: AttrId) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.id == id)
    }

    /// The records of the message, none longer than `max_record` bytes (at least one header and one byte).
    #[must_use]
    pub fn encode(&self, max_record: usize) -> Vec<Bytes> {
        let mut body = BytesMut::new();
        for attribute in &self.attributes {
            body.put_u32(1);
            body.put_u32(attribute.id.0);
            body.put_u32(u32_len(attribute.raw.len()));
            body.put_slice(&attribute.raw);
        }
        body.put_u32(0);
        let body = body.freeze();
        let room = max_record.saturating_sub(HEADER_LEN).max(1);
        let count = body.len().div_ceil(room);
        (0..count)
            .map(|index| {
                let part = body.slice(index * room..body.len().min((index + 1) * room));
                let header = Header {
                    response: self.response,
                    first: index == 0,
                    last: index + 1 == count,
                    msg_no: self.msg_no,
                    code: self.code,
                    len: u32_len(HEADER_LEN + part.len()),
                };
                let mut record = BytesMut::with_capacity(HEADER_LEN + part.len());
                header.encode(&mut record);
                record.put_slice(&part);
                record.freeze()
            })
            .collect()
    }
}

fn u32_len(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Joins records to messages, several messages at a time.
#[derive(Debug, Default)]
pub struct Assembler {
    partial: HashMap<(bool, u32), (Header, BytesMut)>,
}

impl Assembler {
    /// Takes one record; gives the message when this was its last.
    ///
    /// # Errors
    /// When the record has no place: the marker missing, lengths that contradict each other, a continuation of
    /// nothing, a number in use, too long, too many at once. The assembler stays usable; the message is dropped.
    pub fn feed(&mut self, record: &Bytes) -> Result<Option<Message>, WireError> {
        let header = Header::decode(record)?;
        let len = header.len as usize;
        if len > record.len() || len < HEADER_LEN {
            return Err(WireError::BadLength { what: "record", len, max: record.len() });
        }
        let part = record.slice(HEADER_LEN..len);
        let key = (header.response, header.msg_no);
        if header.first {
            if self.partial.contains_key(&key) {
                return Err(WireError::DuplicateMessage(header.msg_no));
            }
            if header.last {
                return parse(header, part).map(Some);
            }
            if self.partial.len() >= limits::MAX_PARTIAL_MESSAGES {
                let (len, max) = (self.partial.len() + 1, limits::MAX_PARTIAL_MESSAGES);
                return Err(WireError::TooLong { what: "number of unfinished messages", len, max });
            }
            self.partial.insert(key, (header, BytesMut::from(&part[..])));
            return Ok(None);
        }
        let Some((_, body)) = self.partial.get_mut(&key) else {
            return Err(WireError::UnknownMessage(header.msg_no));
        };
        let len = body.len() + part.len();
        if len > limits::MAX_MESSAGE {
            self.partial.remove(&key);
            return Err(WireError::TooLong { what: "message", len, max: limits::MAX_MESSAGE });
        }
        body.extend_from_slice(&part);
        if !header.last {
            return Ok(None);
        }
        match self.partial.remove(&key) {
            Some((first, body)) => parse(first, body.freeze()).map(Some),
            None => Ok(None),
        }
    }

    /// How many messages are unfinished.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.partial.len()
    }
}

fn parse(header: Header, body: Bytes) -> Result<Message, WireError> {
    let mut attributes = Vec::new();
    let mut at = 0;
    loop {
        let mut reader = Reader::new(&body[at..], "attribute list");
        if reader.u32()? == 0 {
            break;
        }
        let id = AttrId(reader.u32()?);
        let len = reader.u32()? as usize;
        at += 12;
        let max = body.len() - at;
        if len > max {
            return Err(WireError::BadLength { what: "attribute", len, max });
        }
        if attributes.len() == limits::MAX_ATTRIBUTES {
            let len = limits::MAX_ATTRIBUTES + 1;
            return Err(WireError::TooLong { what: "attribute list", len, max: limits::MAX_ATTRIBUTES });
        }
        attributes.push(Attribute { id, raw: body.slice(at..at + len) });
        at += len;
    }
    Ok(Message { response: header.response, msg_no: header.msg_no, code: header.code, attributes })
}
