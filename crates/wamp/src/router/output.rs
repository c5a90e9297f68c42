//! What the core wants done after a message.

use crate::Message;

/// One connection, from [`super::Core::attach`] to [`super::Core::detach`]; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub(super) u64);

/// What the driver has to do, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send a message to one peer.
    Send {
        /// The receiver.
        to: PeerId,
        /// The message.
        message: Message,
    },
    /// Send the same EVENT to many peers: it needs to be encoded only once for each serializer among them.
    Event {
        /// The receivers, each once.
        to: Vec<PeerId>,
        /// The EVENT.
        message: Message,
    },
    /// Close the connection once what was sent before is out, and then [`super::Core::detach`] the peer.
    Close {
        /// Whom.
        to: PeerId,
        /// Why.
        reason: CloseReason,
    },
}

/// Why the router closes a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The session was refused with ABORT, or has ended by GOODBYE on our side.
    SessionEnded,
    /// The peer broke the protocol; the text says how.
    ProtocolViolation(String),
}
