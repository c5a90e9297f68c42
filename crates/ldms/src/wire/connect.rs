//! The announcement inside the first frames of a connection: protocol version and authentication plugin.
//!
//! It has two forms. The short one (20 bytes) opens a single connection; the long one (64 bytes) opens a "rail",
//! several connections that count as one. An ldmsd takes both and answers in the form it was asked in.

use bytes::{BufMut, Bytes, BytesMut};

use super::cursor::c_str;
use super::{Reader, Version, WireError};

/// Length of the name of an authentication plugin on the wire, with its NUL.
const AUTH_NAME_LEN: usize = 16;
const SHORT_LEN: usize = 20;
const RAIL_LEN: usize = 64;
const CONN_TYPE_RAIL: u32 = 1;

/// What one side announces of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectMessage {
    /// The ldms protocol version.
    pub version: Version,
    /// The name of the authentication plugin, at most 15 bytes; both sides must name the same.
    pub auth: String,
    /// The rail, in the long form.
    pub rail: Option<Rail>,
}

/// What the long form adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rail {
    /// Bytes per second the sender wants to receive of streams at most; -1 is no limit.
    pub rate_limit: i64,
    /// Bytes of streams the sender takes before it acknowledges; -1 is no limit.
    pub recv_quota: i64,
    /// How many connections the rail has.
    pub endpoints: u32,
    /// Which of them this is.
    pub index: u32,
    /// The process of the sender.
    pub pid: u32,
    /// The number of the rail in that process. The peer's address, `pid` and this identify a rail, so it must not
    /// be used twice.
    pub generation: u64,
    /// Whether the sender takes part in the message service.
    pub messages: bool,
}

impl Rail {
    /// A rail of one connection without limits.
    #[must_use]
    pub fn single(pid: u32, generation: u64) -> Self {
        Self { rate_limit: -1, recv_quota: -1, endpoints: 1, index: 0, pid, generation, messages: false }
    }
}

impl ConnectMessage {
    /// Reads an announcement. The version is *not* judged here.
    ///
    /// # Errors
    /// When the length fits neither form.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes, "connect message");
        let version = reader.four()?;
        let auth = c_str(reader.take(AUTH_NAME_LEN)?, "authentication name")?.to_owned();
        let rail = match bytes.len() {
            SHORT_LEN => None,
            RAIL_LEN => {
                if reader.u32()? != CONN_TYPE_RAIL {
                    return Err(WireError::Malformed("connect message"));
                }
                Some(Rail {
                    rate_limit: reader.u64()?.cast_signed(),
                    recv_quota: reader.u64()?.cast_signed(),
                    endpoints: reader.u32()?,
                    index: reader.u32()?,
                    pid: reader.u32()?,
                    generation: reader.u64()?,
                    messages: reader.u32()? != 0,
                })
            }
            _ => return Err(WireError::Malformed("connect message")),
        };
        Ok(Self { version, auth, rail })
    }

    /// The bytes of the announcement. A longer plugin name than the wire has room for is cut.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(RAIL_LEN);
        out.put_slice(&self.version);
        let name = &self.auth.as_bytes()[..self.auth.len().min(AUTH_NAME_LEN - 1)];
        out.put_slice(name);
        out.put_bytes(0, AUTH_NAME_LEN - name.len());
        if let Some(rail) = &self.rail {
            out.put_u32(CONN_TYPE_RAIL);
            out.put_i64(rail.rate_limit);
            out.put_i64(rail.recv_quota);
            out.put_u32(rail.endpoints);
            out.put_u32(rail.index);
            out.put_u32(rail.pid);
            out.put_u64(rail.generation);
            out.put_u32(rail.messages.into());
        }
        out.freeze()
    }
}
