//! What a [`Session`](super::Session) is told, and what it wants done.

use super::{BindingId, BindingState, CallId};
use crate::backoff::Backoff;
use crate::{Dict, Message, Payload};

/// What a session needs to know.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// The realm to join.
    pub realm: String,
    /// What the client says it is, in HELLO; `None` for the name of this library.
    pub agent: Option<String>,
    /// How long the router may take to answer HELLO, in milliseconds.
    pub join_timeout_ms: u64,
    /// How long to wait before asking again for a refused registration or subscription.
    pub refused_backoff: Backoff,
    /// How many calls may wait for their answer.
    pub max_pending_calls: usize,
}

/// How one call is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallSettings {
    /// How long to wait for the answer, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Whether progressive results are wanted.
    pub progress: bool,
}

/// What the driver has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send this.
    Send(Message),
    /// The session is open.
    Joined {
        /// The id that the router gave it.
        session_id: u64,
    },
    /// The session is over: close the transport, after what is to be sent before.
    Over(Over),
    /// A step of a progressive call.
    Progress {
        /// Which call.
        call: CallId,
        /// The step.
        payload: Payload,
    },
    /// A call or an acknowledged publication has come to its end.
    Done {
        /// Which call.
        call: CallId,
        /// How it ended.
        outcome: Outcome,
    },
    /// A registration or subscription has changed.
    Binding {
        /// Which one.
        binding: BindingId,
        /// How it stands now.
        state: BindingState,
    },
    /// Serve this call; then [`Session::answer`](super::Session::answer).
    Invoke {
        /// The registration it is for.
        binding: BindingId,
        /// What to answer.
        invocation: InvocationId,
        /// What the router says about it.
        details: Dict,
        /// The arguments.
        payload: Payload,
    },
    /// Nobody waits for the answer to this invocation any more; it has been answered.
    Interrupted {
        /// Which one.
        invocation: InvocationId,
    },
    /// An event.
    Event {
        /// The subscriptions it is for: all that share an id at the router.
        bindings: Vec<BindingId>,
        /// The id of the publication.
        publication: u64,
        /// What the router says about it; has `topic` where the subscription is a pattern.
        details: Dict,
        /// The arguments.
        payload: Payload,
    },
}

/// An invocation; never used again, not even in a later session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InvocationId {
    pub(super) session: u64,
    pub(super) request: u64,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// With a result.
    Result(Payload),
    /// Accepted, for a publication, with its id.
    Published(u64),
    /// With an error.
    Error {
        /// The URI of the error.
        uri: String,
        /// Its arguments.
        payload: Payload,
    },
    /// No answer in time; the call was cancelled.
    TimedOut,
    /// The session ended before.
    Lost,
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Over {
    /// The router sent ABORT.
    #[error("the router refused the session: {uri}: {message}")]
    Refused {
        /// The URI of the reason.
        uri: String,
        /// The text for people.
        message: String,
    },
    /// The router wants us to authenticate, which this client cannot do.
    #[error("the router asks for authentication by \"{method}\", which is not supported")]
    Challenged {
        /// The authentication method.
        method: String,
    },
    /// The router sent GOODBYE.
    #[error("the router closed the session: {uri}")]
    Closed {
        /// The URI of the reason.
        uri: String,
    },
    /// The router broke the protocol.
    #[error("the router broke the protocol: {0}")]
    Violation(String),
    /// The router did not answer HELLO in time.
    #[error("the router did not open a session in time")]
    JoinTimedOut,
    /// The program wanted so.
    #[error("the session was left")]
    Left,
}

/// Why nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// There is no session.
    #[error("there is no session")]
    NotJoined,
    /// [`SessionOptions::max_pending_calls`] calls wait for their answer.
    #[error("too many calls wait for their answer")]
    TooManyCalls,
}
