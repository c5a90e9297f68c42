//! [`Message`]: every message of the protocol that a client or a router meets.

mod decode;
mod encode;

use crate::{Dict, Payload};

/// A WAMP message (WAMP spec, "Messages"). Ids are those of the spec: session, request, subscription, publication
/// and registration; any `u64` is accepted.
///
/// Decoding checks the shape of the message alone; whether a URI is valid and allowed is for the router to judge.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are named in the WAMP spec")]
pub enum Message {
    /// Client to router: opens a session on a realm.
    Hello { realm: String, details: Dict },
    /// Router to client: the session is open.
    Welcome { session: u64, details: Dict },
    /// Either side: the session does not come to be.
    Abort { details: Dict, reason: String },
    /// Router to client: authenticate yourself.
    Challenge { method: String, extra: Dict },
    /// Client to router: the answer to a challenge.
    Authenticate { signature: String, extra: Dict },
    /// Either side: closes the session, or confirms that.
    Goodbye { details: Dict, reason: String },
    /// The request of type `request_type` with id `request` failed.
    Error { request_type: u64, request: u64, details: Dict, error: String, payload: Payload },
    /// Client to router: an event for a topic.
    Publish { request: u64, options: Dict, topic: String, payload: Payload },
    /// Router to client: the acknowledged publication was accepted.
    Published { request: u64, publication: u64 },
    /// Client to router: send me the events of a topic, or of all that match.
    Subscribe { request: u64, options: Dict, topic: String },
    /// Router to client: subscribed.
    Subscribed { request: u64, subscription: u64 },
    /// Client to router: no more of these events.
    Unsubscribe { request: u64, subscription: u64 },
    /// Router to client: unsubscribed; with request 0 and the subscription in `details`, revoked by the router.
    Unsubscribed { request: u64, details: Dict },
    /// Router to client: an event.
    Event { subscription: u64, publication: u64, details: Dict, payload: Payload },
    /// Client to router: calls a procedure.
    Call { request: u64, options: Dict, procedure: String, payload: Payload },
    /// Client to router: never mind that call.
    Cancel { request: u64, options: Dict },
    /// Router to client: the result of a call, or with `progress` a step of it.
    Result { request: u64, details: Dict, payload: Payload },
    /// Client to router: I serve this procedure.
    Register { request: u64, options: Dict, procedure: String },
    /// Router to client: registered.
    Registered { request: u64, registration: u64 },
    /// Client to router: I serve it no more.
    Unregister { request: u64, registration: u64 },
    /// Router to client: unregistered; with request 0 and the registration in `details`, revoked by the router.
    Unregistered { request: u64, details: Dict },
    /// Router to client: serve this call.
    Invocation { request: u64, registration: u64, details: Dict, payload: Payload },
    /// Router to client: never mind that invocation.
    Interrupt { request: u64, options: Dict },
    /// Client to router: the result of an invocation, or with `progress` a step of it.
    Yield { request: u64, options: Dict, payload: Payload },
}

/// The message types of the WAMP spec ("Message Codes and Direction").
#[expect(missing_docs, reason = "the names are those of the messages")]
pub mod codes {
    pub const HELLO: u64 = 1;
    pub const WELCOME: u64 = 2;
    pub const ABORT: u64 = 3;
    pub const CHALLENGE: u64 = 4;
    pub const AUTHENTICATE: u64 = 5;
    pub const GOODBYE: u64 = 6;
    pub const ERROR: u64 = 8;
    pub const PUBLISH: u64 = 16;
    pub const PUBLISHED: u64 = 17;
    pub const SUBSCRIBE: u64 = 32;
    pub const SUBSCRIBED: u64 = 33;
    pub const UNSUBSCRIBE: u64 = 34;
    pub const UNSUBSCRIBED: u64 = 35;
    pub const EVENT: u64 = 36;
    pub const CALL: u64 = 48;
    pub const CANCEL: u64 = 49;
    pub const RESULT: u64 = 50;
    pub const REGISTER: u64 = 64;
    pub const REGISTERED: u64 = 65;
    pub const UNREGISTER: u64 = 66;
    pub const UNREGISTERED: u64 = 67;
    pub const INVOCATION: u64 = 68;
    pub const INTERRUPT: u64 = 69;
    pub const YIELD: u64 = 70;
}

impl Message {
    /// The message type.
    pub fn code(&self) -> u64 {
        match self {
            Self::Hello { .. } => codes::HELLO,
            Self::Welcome { .. } => codes::WELCOME,
            Self::Abort { .. } => codes::ABORT,
            Self::Challenge { .. } => codes::CHALLENGE,
            Self::Authenticate { .. } => codes::AUTHENTICATE,
            Self::Goodbye { .. } => codes::GOODBYE,
            Self::Error { .. } => codes::ERROR,
            Self::Publish { .. } => codes::PUBLISH,
            Self::Published { .. } => codes::PUBLISHED,
            Self::Subscribe { .. } => codes::SUBSCRIBE,
            Self::Subscribed { .. } => codes::SUBSCRIBED,
            Self::Unsubscribe { .. } => codes::UNSUBSCRIBE,
            Self::Unsubscribed { .. } => codes::UNSUBSCRIBED,
            Self::Event { .. } => codes::EVENT,
            Self::Call { .. } => codes::CALL,
            Self::Cancel { .. } => codes::CANCEL,
            Self::Result { .. } => codes::RESULT,
            Self::Register { .. } => codes::REGISTER,
            Self::Registered { .. } => codes::REGISTERED,
            Self::Unregister { .. } => codes::UNREGISTER,
            Self::Unregistered { .. } => codes::UNREGISTERED,
            Self::Invocation { .. } => codes::INVOCATION,
            Self::Interrupt { .. } => codes::INTERRUPT,
            Self::Yield { .. } => codes::YIELD,
        }
    }

    /// The name of the message in the WAMP spec, for logs.
    pub fn name(&self) -> &'static str {
        name(self.code())
    }
}

/// The name of a message type in the WAMP spec.
pub(crate) fn name(code: u64) -> &'static str {
    match code {
        codes::HELLO => "HELLO",
        codes::WELCOME => "WELCOME",
        codes::ABORT => "ABORT",
        codes::CHALLENGE => "CHALLENGE",
        codes::AUTHENTICATE => "AUTHENTICATE",
        codes::GOODBYE => "GOODBYE",
        codes::ERROR => "ERROR",
        codes::PUBLISH => "PUBLISH",
        codes::PUBLISHED => "PUBLISHED",
        codes::SUBSCRIBE => "SUBSCRIBE",
        codes::SUBSCRIBED => "SUBSCRIBED",
        codes::UNSUBSCRIBE => "UNSUBSCRIBE",
        codes::UNSUBSCRIBED => "UNSUBSCRIBED",
        codes::EVENT => "EVENT",
        codes::CALL => "CALL",
        codes::CANCEL => "CANCEL",
        codes::RESULT => "RESULT",
        codes::REGISTER => "REGISTER",
        codes::REGISTERED => "REGISTERED",
        codes::UNREGISTER => "UNREGISTER",
        codes::UNREGISTERED => "UNREGISTERED",
        codes::INVOCATION => "INVOCATION",
        codes::INTERRUPT => "INTERRUPT",
        codes::YIELD => "YIELD",
        _ => "message",
    }
}
