//! What can go wrong at a client.

use crate::{DecodeError, WampError};

/// Why something could not be sent, or the session was not there in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// There is no session at the moment; the client goes on trying.
    #[error("not connected to the router")]
    NotConnected,
    /// The queue of outgoing messages is full: the router does not take them quickly enough.
    #[error("too much is waiting to be sent to the router")]
    QueueFull,
    /// No session came to be in the time given.
    #[error("no session within the time given{}", .last_error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default())]
    TimedOut {
        /// Why the last attempt failed, if one did.
        last_error: Option<String>,
    },
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
}

/// Why a call, or an acknowledged publication, has no result.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CallError {
    /// The router or the callee answered with an error.
    #[error(transparent)]
    Wamp(#[from] WampError),
    /// There was no session; nothing was sent.
    #[error("not connected to the router")]
    NotConnected,
    /// The queue of outgoing messages is full, or too many calls wait for their answer; nothing was sent.
    #[error("too many calls are waiting for the router")]
    QueueFull,
    /// The connection was lost while the call was under way: whether it was carried out is unknown.
    #[error("the connection was lost during the call")]
    ConnectionLost,
    /// No answer in the time given; the call was cancelled.
    #[error("no answer in the time given")]
    TimedOut,
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
    /// The answer cannot be read.
    #[error("the answer cannot be read")]
    Decode(#[from] DecodeError),
}

impl From<ClientError> for CallError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::NotConnected => Self::NotConnected,
            ClientError::QueueFull => Self::QueueFull,
            ClientError::TimedOut { .. } => Self::TimedOut,
            ClientError::Closed => Self::Closed,
        }
    }
}
