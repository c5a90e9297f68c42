//! zap `sock` frames: the lowest layer (zap `sock` transport, protocol version 1.3).
//!
//! A frame is a header of 20 bytes (type, its whole length, a transaction number, a context) and what the type
//! adds. The transaction number and the context are the sender's own and are echoed, so their byte order does
//! not matter; they are written little endian, as the original does on the machines it runs on.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Reader, Version, WireError};
use crate::limits;

/// Bytes of the header that every frame begins with.
pub const HEADER_LEN: usize = 20;

const SIGNATURE: [u8; 8] = *b"SOCKET\0\0";

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The sender's transaction number; a read response repeats that of its request.
    pub xid: u32,
    /// The sender's context; a read response repeats that of its request.
    pub ctxt: u64,
    /// What the frame says.
    pub body: Body,
}

/// What a frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The first frame of a connection, from the side that connects.
    Connect {
        /// The zap version of the sender.
        version: Version,
        /// An ldms connect message (see [`super::connect`]).
        data: Bytes,
    },
    /// An ldms transport message (see [`super::xprt`]).
    SendRecv(Bytes),
    /// An offer of memory that may be read or written remotely.
    Rendezvous {
        /// The key by which the sender knows the memory (opaque).
        key: u32,
        /// What is allowed: 1 write, 2 read.
        access: u32,
        /// The sender's address of it.
        addr: u64,
        /// Its length in bytes.
        len: u32,
        /// A message that says what it is (see [`super::lookup`]).
        message: Bytes,
    },
    /// Asks for `len` bytes at `addr` of the memory offered under `key`.
    ReadReq {
        /// The key of the offer.
        key: u32,
        /// The address, inside the offered memory.
        addr: u64,
        /// How many bytes.
        len: u32,
    },
    /// The answer to a read request.
    ReadResp {
        /// 0, or a zap error number (see [`read_error`]).
        status: u16,
        /// The bytes.
        data: Bytes,
    },
    /// Asks to write into offered memory. LDMS does not use it.
    WriteReq {
        /// The key of the offer.
        key: u32,
        /// The address, inside the offered memory.
        addr: u64,
        /// The bytes.
        data: Bytes,
    },
    /// The answer to a write request.
    WriteResp {
        /// 0, or a zap error number.
        status: u16,
    },
    /// The connection is accepted; with an ldms connect message.
    Accepted(Bytes),
    /// The connection is refused; with the reason as a C string.
    Rejected(Bytes),
    /// The side that connects has seen that it is accepted.
    AckAccepted(Bytes),
}

impl Body {
    fn kind(&self) -> u16 {
        match self {
            Self::Connect { .. } => 1,
            Self::SendRecv(_) => 2,
            Self::Rendezvous { .. } => 3,
            Self::ReadReq { .. } => 4,
            Self::ReadResp { .. } => 5,
            Self::WriteReq { .. } => 6,
            Self::WriteResp { .. } => 7,
            Self::Accepted(_) => 8,
            Self::Rejected(_) => 9,
            Self::AckAccepted(_) => 10,
        }
    }

    /// The name of the kind of frame, for messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        kind_name(self.kind()).unwrap_or("unknown")
    }
}

fn kind_name(kind: u16) -> Option<&'static str> {
    Some(match kind {
        1 => "CONNECT",
        2 => "SENDRECV",
        3 => "RENDEZVOUS",
        4 => "READ_REQ",
        5 => "READ_RESP",
        6 => "WRITE_REQ",
        7 => "WRITE_RESP",
        8 => "ACCEPTED",
        9 => "REJECTED",
        10 => "ACK_ACCEPTED",
        _ => return None,
    })
}

/// zap error numbers that a read response carries.
pub mod read_error {
    /// The range lies outside the offered memory.
    pub const LEN: u16 = 18;
    /// No memory is offered under this key.
    pub const MAP: u16 = 17;
    /// Reading is not allowed.
    pub const PERMISSION: u16 = 19;
}

/// Takes the next whole frame from `buffer`, or `None` when more bytes are needed.
///
/// Nothing is reserved for a length that is only announced: the buffer grows with what arrives, as its owner reads.
///
/// # Errors
/// When the bytes are not a frame that the protocol allows; the connection cannot go on after that.
pub fn decode(buffer: &mut BytesMut) -> Result<Option<Frame>, WireError> {
    if buffer.len() < HEADER_LEN {
        return Ok(None);
    }
    let mut header = Reader::new(&buffer[..HEADER_LEN], "frame header");
    let kind = header.u16()?;
    header.u16()?;
    let len = header.u32()? as usize;
    let xid = header.u32_le()?;
    let ctxt = header.u64_le()?;
    let name = kind_name(kind).ok_or(WireError::UnknownFrame(kind))?;
    if len < HEADER_LEN {
        return Err(WireError::FrameTooShort { len });
    }
    let max = if matches!(kind, 5 | 6) { limits::MAX_DATA_FRAME } else { limits::MAX_FRAME };
    if len > max {
        return Err(WireError::FrameTooLong { kind: name, len, max });
    }
    if buffer.len() < len {
        return Ok(None);
    }
    let mut rest = buffer.split_to(len).freeze();
    rest.advance(HEADER_LEN);
    Ok(Some(Frame { xid, ctxt, body: decode_body(kind, rest)? }))
}

fn decode_body(kind: u16, bytes: Bytes) -> Result<Body, WireError> {
    let mut reader = Reader::new(&bytes, "frame");
    Ok(match kind {
        1 => {
            let version = reader.four()?;
            if reader.take(SIGNATURE.len())? != SIGNATURE {
                return Err(WireError::BadSignature);
            }
            let len = reader.u32()? as usize;
            Body::Connect { version, data: inner(&bytes, 16, len)? }
        }
        3 => {
            let (key, access, addr) = (reader.u32_le()?, reader.u32()?, reader.u64()?);
            let len = reader.u32()?;
            Body::Rendezvous { key, access, addr, len, message: bytes.slice(20..) }
        }
        4 => Body::ReadReq { key: reader.u32_le()?, addr: reader.u64()?, len: reader.u32()? },
        5 => {
            let status = reader.u16()?;
            reader.take(10)?;
            let len = reader.u32()? as usize;
            Body::ReadResp { status, data: inner(&bytes, 16, len)? }
        }
        6 => {
            let (key, addr) = (reader.u32_le()?, reader.u64()?);
            let len = reader.u32()? as usize;
            Body::WriteReq { key, addr, data: inner(&bytes, 16, len)? }
        }
        7 => Body::WriteResp { status: reader.u16()? },
        2 | 8 | 9 | 10 => {
            let len = reader.u32()? as usize;
            let data = inner(&bytes, 4, len)?;
            match kind {
                2 => Body::SendRecv(data),
                8 => Body::Accepted(data),
                9 => Body::Rejected(data),
                _ => Body::AckAccepted(data),
            }
        }
        _ => return Err(WireError::UnknownFrame(kind)),
    })
}

/// The `len` bytes after `at`, which must be there.
fn inner(bytes: &Bytes, at: usize, len: usize) -> Result<Bytes, WireError> {
    let max = bytes.len().saturating_sub(at);
    if len > max {
        return Err(WireError::BadLength { what: "frame", len, max });
    }
    Ok(bytes.slice(at..at + len))
}

/// Writes `frame` to the end of `out`.
///
/// # Errors
/// When it would be longer than a peer takes.
pub fn encode(frame: &Frame, out: &mut BytesMut) -> Result<(), WireError> {
    let (fixed, data): (usize, &[u8]) = match &frame.body {
        Body::Connect { data, .. } | Body::ReadResp { data, .. } | Body::WriteReq { data, .. } => (16, data),
        Body::SendRecv(data) | Body::Accepted(data) | Body::Rejected(data) | Body::AckAccepted(data) => {
            (4, data)
        }
        Body::Rendezvous { message, .. } => (20, message),
        Body::ReadReq { .. } => (16, &[]),
        Body::WriteResp { .. } => (4, &[]),
    };
    let len = HEADER_LEN + fixed + data.len();
    let max = match frame.body {
        Body::ReadResp { .. } | Body::WriteReq { .. } => limits::MAX_DATA_FRAME,
        _ => limits::MAX_FRAME,
    };
    if len > max {
        return Err(WireError::FrameTooLong { kind: frame.body.name(), len, max });
    }
    out.reserve(len);
    out.put_u16(frame.body.kind());
    out.put_u16(0);
    out.put_u32(u32_len(len));
    out.put_u32_le(frame.xid);
    out.put_u64_le(frame.ctxt);
    match &frame.body {
        Body::Connect { version, data } => {
            out.put_slice(version);
            out.put_slice(&SIGNATURE);
            out.put_u32(u32_len(data.len()));
        }
        Body::SendRecv(data) | Body::Accepted(data) | Body::Rejected(data) | Body::AckAccepted(data) => {
            out.put_u32(u32_len(data.len()));
        }
        Body::Rendezvous { key, access, addr, len, .. } => {
            out.put_u32_le(*key);
            out.put_u32(*access);
            out.put_u64(*addr);
            out.put_u32(*len);
        }
        Body::ReadReq { key, addr, len } => {
            out.put_u32_le(*key);
            out.put_u64(*addr);
            out.put_u32(*len);
        }
        Body::ReadResp { status, data } => {
            out.put_u16(*status);
            out.put_bytes(0, 10);
            out.put_u32(u32_len(data.len()));
        }
        Body::WriteReq { key, addr, data } => {
            out.put_u32_le(*key);
            out.put_u64(*addr);
            out.put_u32(u32_len(data.len()));
        }
        Body::WriteResp { status } => {
            out.put_u16(*status);
            out.put_u16(0);
        }
    }
    out.put_slice(data);
    Ok(())
}

/// The length as the wire has it; lengths are below [`limits::MAX_DATA_FRAME`] here.
fn u32_len(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
