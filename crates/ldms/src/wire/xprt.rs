//! ldms transport messages: the middle layer (ldms protocol version 4.2).
//!
//! A request has a header of 16 bytes, a reply one of 20 that ends with a return code. The transaction number is
//! the requester's own and comes back unchanged.

use bytes::{BufMut, Bytes, BytesMut};

use super::cursor::c_str;
use super::{Reader, WireError};
use crate::limits;

/// Directory kinds in a reply: which change of the directory it reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirKind {
    /// The whole directory.
    List,
    /// Sets that are gone (only peers older than 4.3.4 send it).
    Delete,
    /// Sets that are new.
    Add,
    /// Sets whose information has changed.
    Update,
}

impl DirKind {
    fn from_wire(kind: u32) -> Result<Self, WireError> {
        Ok(match kind {
            0 => Self::List,
            1 => Self::Delete,
            2 => Self::Add,
            3 => Self::Update,
            _ => return Err(WireError::Malformed("directory kind")),
        })
    }

    fn to_wire(self) -> u32 {
        match self {
            Self::List => 0,
            Self::Delete => 1,
            Self::Add => 2,
            Self::Update => 3,
        }
    }
}

/// `Dir::flags`: report changes of the directory from now on.
pub const DIR_NOTIFY: u32 = 1;
/// `Lookup::flags`: the name is that of a schema.
pub const LOOKUP_BY_SCHEMA: u32 = 1;
/// `Lookup::flags`: the name is a regular expression.
pub const LOOKUP_REGEX: u32 = 2;
/// `Push::flags`: more parts of this push follow.
pub const PUSH_MORE: u32 = 0x8000_0000;
/// `Push::flags`: set on every push.
pub const PUSH: u32 = 0x1000_0000;
/// `Push::flags`: no push follows this one.
pub const PUSH_LAST: u32 = 0x2000_0000;

/// One transport message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Asks for the directory.
    Dir {
        /// Transaction number.
        xid: u64,
        /// 0 or [`DIR_NOTIFY`].
        flags: u32,
    },
    /// Ends the reports of directory changes.
    DirCancel {
        /// Transaction number.
        xid: u64,
    },
    /// Asks for access to metric sets; answered by a rendezvous frame, or by a [`Message::LookupReply`] on error.
    Lookup {
        /// Transaction number.
        xid: u64,
        /// 0, [`LOOKUP_BY_SCHEMA`], [`LOOKUP_REGEX`].
        flags: u32,
        /// Name, schema or expression; at most [`limits::MAX_SET_NAME`] bytes.
        path: String,
    },
    /// Carries ldmsd records (requests *and* replies).
    Send {
        /// Transaction number; 0 in use.
        xid: u64,
        /// The records.
        data: Bytes,
    },
    /// Carries a message of the authentication plugin.
    Auth {
        /// Transaction number; 0 in use.
        xid: u64,
        /// The message.
        data: Bytes,
    },
    /// Ends pushes of a set.
    CancelPush {
        /// The set, as the peer numbered it.
        set_id: u64,
    },
    /// The sender deletes a set that the receiver has looked up; wants an answer.
    SetDelete {
        /// Transaction number.
        xid: u64,
        /// Name of the set.
        name: String,
    },
    /// A request this program has no use for (message service, quota, notifications).
    OtherRequest {
        /// Transaction number.
        xid: u64,
        /// The command.
        cmd: u32,
        /// What follows the header.
        data: Bytes,
    },
    /// A directory, or a change of it (when `changed`).
    DirReply {
        /// Transaction number of the `Dir`.
        xid: u64,
        /// An error number, or 0.
        rc: u32,
        /// Whether it reports a change instead of answering.
        changed: bool,
        /// Which.
        kind: DirKind,
        /// Whether more parts follow.
        more: bool,
        /// JSON (see [`super::dir`]).
        json: Bytes,
    },
    /// Directory changes are no longer reported.
    DirCancelReply {
        /// Transaction number.
        xid: u64,
        /// An error number, or 0.
        rc: u32,
    },
    /// A lookup has failed.
    LookupReply {
        /// Transaction number.
        xid: u64,
        /// An error number.
        rc: u32,
    },
    /// New contents of a set, without being asked.
    Push {
        /// The set, as the receiver numbered it.
        set_id: u64,
        /// [`PUSH`], [`PUSH_LAST`], [`PUSH_MORE`].
        flags: u32,
        /// Where in the set the bytes belong.
        offset: u32,
        /// The bytes.
        data: Bytes,
    },
    /// The answer to a `SetDelete`.
    SetDeleteReply {
        /// Transaction number.
        xid: u64,
        /// An error number, or 0.
        rc: u32,
        /// When the request came: seconds and nanoseconds since the epoch.
        received: (u64, u64),
    },
    /// A reply this program has no use for.
    OtherReply {
        /// Transaction number.
        xid: u64,
        /// The command.
        cmd: u32,
        /// An error number, or 0.
        rc: u32,
        /// What follows the header.
        data: Bytes,
    },
}

mod cmd {
    pub(super) const DIR: u32 = 0;
    pub(super) const DIR_CANCEL: u32 = 1;
    pub(super) const LOOKUP: u32 = 2;
    pub(super) const SEND: u32 = 5;
    pub(super) const AUTH: u32 = 6;
    pub(super) const CANCEL_PUSH: u32 = 7;
    pub(super) const SET_DELETE: u32 = 9;
    pub(super) const REPLY: u32 = 0x100;
    pub(super) const DIR_REPLY: u32 = 0x101;
    pub(super) const DIR_CANCEL_REPLY: u32 = 0x102;
    pub(super) const DIR_UPDATE_REPLY: u32 = 0x103;
    pub(super) const LOOKUP_REPLY: u32 = 0x104;
    pub(super) const PUSH_REPLY: u32 = 0x108;
    pub(super) const SET_DELETE_REPLY: u32 = 0x10a;
}

const REQUEST_HEADER: usize = 16;
const REPLY_HEADER: usize = 20;

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// When it is not one the protocol allows.
    pub fn decode(bytes: &Bytes) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes, "transport message");
        let xid = reader.u64_le()?;
        let cmd = reader.u32()?;
        let len = reader.u32()? as usize;
        if len > bytes.len() || len < REQUEST_HEADER {
            return Err(WireError::BadLength { what: "transport message", len, max: bytes.len() });
        }
        let body = bytes.slice(..len);
        if cmd < cmd::REPLY { decode_request(xid, cmd, &body) } else { decode_reply(xid, cmd, &body) }
    }

    /// The bytes of the message.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Self::Dir { xid, flags } => {
                request(&mut out, *xid, cmd::DIR, 4);
                out.put_u32(*flags);
            }
            Self::DirCancel { xid } => request(&mut out, *xid, cmd::DIR_CANCEL, 0),
            Self::Lookup { xid, flags, path } => {
                request(&mut out, *xid, cmd::LOOKUP, 8 + path.len() + 1);
                out.put_u32(*flags);
                put_string(&mut out, path);
            }
            Self::Send { xid, data } | Self::Auth { xid, data } => {
                let cmd = if matches!(self, Self::Send { .. }) { cmd::SEND } else { cmd::AUTH };
                request(&mut out, *xid, cmd, 4 + data.len());
                put_len(&mut out, data.len());
                out.put_slice(data);
            }
            Self::CancelPush { set_id } => {
                request(&mut out, 0, cmd::CANCEL_PUSH, 8);
                out.put_u64_le(*set_id);
            }
            Self::SetDelete { xid, name } => {
                request(&mut out, *xid, cmd::SET_DELETE, 4 + name.len() + 1);
                put_string(&mut out, name);
            }
            Self::OtherRequest { xid, cmd, data } => {
                request(&mut out, *xid, *cmd, data.len());
                out.put_slice(data);
            }
            Self::DirReply { xid, rc, changed, kind, more, json } => {
                let cmd = if *changed { cmd::DIR_UPDATE_REPLY } else { cmd::DIR_REPLY };
                reply(&mut out, *xid, cmd, *rc, 12 + json.len());
                out.put_u32(kind.to_wire());
                out.put_u32((*more).into());
                put_len(&mut out, json.len());
                out.put_slice(json);
            }
            Self::DirCancelReply { xid, rc } => reply(&mut out, *xid, cmd::DIR_CANCEL_REPLY, *rc, 0),
            Self::LookupReply { xid, rc } => reply(&mut out, *xid, cmd::LOOKUP_REPLY, *rc, 0),
            Self::Push { set_id, flags, offset, data } => {
                reply(&mut out, 0, cmd::PUSH_REPLY, 0, 20 + data.len());
                out.put_u64_le(*set_id);
                out.put_u32(*flags);
                out.put_u32(*offset);
                put_len(&mut out, data.len());
                out.put_slice(data);
            }
            Self::SetDeleteReply { xid, rc, received } => {
                reply(&mut out, *xid, cmd::SET_DELETE_REPLY, *rc, 16);
                out.put_u64(received.0);
                out.put_u64(received.1);
            }
            Self::OtherReply { xid, cmd, rc, data } => {
                reply(&mut out, *xid, *cmd, *rc, data.len());
                out.put_slice(data);
            }
        }
        out.freeze()
    }
}

fn decode_request(xid: u64, cmd: u32, bytes: &Bytes) -> Result<Message, WireError> {
    let mut reader = Reader::new(&bytes[REQUEST_HEADER..], "transport request");
    Ok(match cmd {
        cmd::DIR => Message::Dir { xid, flags: reader.u32()? },
        cmd::DIR_CANCEL => Message::DirCancel { xid },
        cmd::LOOKUP => {
            let flags = reader.u32()?;
            Message::Lookup { xid, flags, path: string(&mut reader, "lookup", limits::MAX_SET_NAME)? }
        }
        cmd::SEND | cmd::AUTH => {
            let len = reader.u32()? as usize;
            let at = REQUEST_HEADER + 4;
            let max = bytes.len() - at;
            if len > max {
                return Err(WireError::BadLength { what: "transport request", len, max });
            }
            let data = bytes.slice(at..at + len);
            if cmd == cmd::SEND {
                Message::Send { xid, data }
            } else {
                if len > limits::MAX_AUTH_MESSAGE {
                    let what = "authentication message";
                    return Err(WireError::TooLong { what, len, max: limits::MAX_AUTH_MESSAGE });
                }
                Message::Auth { xid, data }
            }
        }
        cmd::CANCEL_PUSH => Message::CancelPush { set_id: reader.u64_le()? },
        cmd::SET_DELETE => {
            Message::SetDelete { xid, name: string(&mut reader, "set name", limits::MAX_SET_NAME)? }
        }
        _ => Message::OtherRequest { xid, cmd, data: bytes.slice(REQUEST_HEADER..) },
    })
}

fn decode_reply(xid: u64, cmd: u32, bytes: &Bytes) -> Result<Message, WireError> {
    let mut reader = Reader::new(&bytes[REQUEST_HEADER..], "transport reply");
    let rc = reader.u32()?;
    Ok(match cmd {
        cmd::DIR_REPLY | cmd::DIR_UPDATE_REPLY => {
            let kind = DirKind::from_wire(reader.u32()?)?;
            let more = reader.u32()? != 0;
            // The length that stands here is not used: some versions count the NUL and some do not.
            reader.u32()?;
            let json = bytes.slice(REPLY_HEADER + 12..);
            let end = json.iter().position(|&byte| byte == 0).unwrap_or(json.len());
            let changed = cmd == cmd::DIR_UPDATE_REPLY;
            Message::DirReply { xid, rc, changed, kind, more, json: json.slice(..end) }
        }
        cmd::DIR_CANCEL_REPLY => Message::DirCancelReply { xid, rc },
        cmd::LOOKUP_REPLY => Message::LookupReply { xid, rc },
        cmd::PUSH_REPLY => {
            let (set_id, flags, offset) = (reader.u64_le()?, reader.u32()?, reader.u32()?);
            let len = reader.u32()? as usize;
            let data = bytes.slice(REPLY_HEADER + 20..);
            if len > data.len() {
                return Err(WireError::BadLength { what: "push", len, max: data.len() });
            }
            Message::Push { set_id, flags, offset, data: data.slice(..len) }
        }
        cmd::SET_DELETE_REPLY => {
            Message::SetDeleteReply { xid, rc, received: (reader.u64()?, reader.u64()?) }
        }
        _ => Message::OtherReply { xid, cmd, rc, data: bytes.slice(REPLY_HEADER..) },
    })
}

/// A length and so many bytes of NUL-terminated text.
fn string(reader: &mut Reader<'_>, what: &'static str, max: usize) -> Result<String, WireError> {
    let len = reader.u32()? as usize;
    if len > max + 1 {
        return Err(WireError::TooLong { what, len, max });
    }
    Ok(c_str(reader.take(len)?, what)?.to_owned())
}

fn put_string(out: &mut BytesMut, text: &str) {
    put_len(out, text.len() + 1);
    out.put_slice(text.as_bytes());
    out.put_u8(0);
}

fn put_len(out: &mut BytesMut, len: usize) {
    out.put_u32(u32::try_from(len).unwrap_or(u32::MAX));
}

fn request(out: &mut BytesMut, xid: u64, cmd: u32, body: usize) {
    out.reserve(REQUEST_HEADER + body);
    out.put_u64_le(xid);
    out.put_u32(cmd);
    put_len(out, REQUEST_HEADER + body);
}

fn reply(out: &mut BytesMut, xid: u64, cmd: u32, rc: u32, body: usize) {
    out.reserve(REPLY_HEADER + body);
    out.put_u64_le(xid);
    out.put_u32(cmd);
    put_len(out, REPLY_HEADER + body);
    out.put_u32(rc);
}
