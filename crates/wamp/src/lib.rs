//! WAMP: a sans-io core (values, codecs, messages, client session, router) and the tokio drivers around it.
//!
//! The protocol is the WAMP Basic Profile and those parts of the Advanced Profile that OCS sites use
//! (<https://wamp-proto.org/wamp_latest_ietf.html>). The rooms:
//!
//! | module | what it is |
//! |---|---|
//! | [`value`], [`dict`] | what a message carries |
//! | [`payload`] | arguments that stay encoded until somebody wants them |
//! | [`encoded`] | arguments that are written straight to bytes |
//! | [`message`] | every message, decoded and encoded |
//! | [`codec`] | JSON, MessagePack, CBOR, and batching |
//! | [`limits`], [`uri`], [`error`], [`backoff`] | limits on what is accepted, names, application errors, waits |
//! | [`session`] | the client's side of a session, without I/O |
//! | [`router`] | broker and dealer, without I/O |
//! | [`net`] | the tokio client, the axum server, the HTTP bridge |
//!
//! Architecture Invariant: everything outside [`net`] is free of I/O. It imports no tokio, no `std::fs`, no
//! `std::net`; it reads no clock and draws no random number; time comes in as a parameter.

pub mod backoff;
pub mod codec;
pub mod dict;
pub mod encoded;
pub mod error;
pub mod limits;
pub mod message;
pub mod payload;
pub mod router;
pub mod session;
pub mod uri;
pub mod value;

/// The drivers that move bytes: everything here is tokio, axum and tungstenite around the sans-io core.
pub mod net {
    pub mod bridge;
    pub mod client;
    pub mod server;
}

pub use codec::{DecodeError, Serializer, Subprotocol};
pub use dict::Dict;
pub use encoded::{Encoded, Encoder};
pub use error::{Reply, WampError};
pub use limits::Limits;
pub use message::Message;
pub use payload::Payload;
pub use uri::Match;
pub use value::Value;

/// A detail of an INVOCATION from our router, beside `caller`, `caller_authid` and `caller_authrole` of the
/// specification: the address and port that the caller's connection comes from.
pub const CALLER_FROM: &str = "_caller_from";
/// The same: what the caller's client says it is (`agent` of its HELLO, or `User-Agent` over HTTP). Proves nothing.
pub const CALLER_AGENT: &str = "_caller_agent";
