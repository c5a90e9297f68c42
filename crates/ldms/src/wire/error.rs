//! What can be wrong with bytes from a peer.

use super::Version;

/// Why bytes from a peer are not what the protocol allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A frame announces a length above the limit.
    #[error("{kind} frame of {len} bytes exceeds the limit of {max}")]
    FrameTooLong {
        /// What kind of frame.
        kind: &'static str,
        /// The announced length.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// A frame announces a length that cannot hold its own header.
    #[error("frame of {len} bytes is shorter than its header")]
    FrameTooShort {
        /// The announced length.
        len: usize,
    },
    /// A frame of a kind that zap `sock` does not have.
    #[error("unknown frame type {0}")]
    UnknownFrame(u16),
    /// Something ends before all of it is there.
    #[error("{what} is cut short: {need} bytes needed, {have} there")]
    Truncated {
        /// What is cut short.
        what: &'static str,
        /// Bytes needed.
        need: usize,
        /// Bytes there.
        have: usize,
    },
    /// An inner length contradicts the one around it.
    #[error("{what} announces {len} bytes where {max} fit")]
    BadLength {
        /// What announces it.
        what: &'static str,
        /// The announced length.
        len: usize,
        /// What fits.
        max: usize,
    },
    /// The peer does not open with the signature of a zap `sock` transport.
    #[error("peer is not a zap sock transport")]
    BadSignature,
    /// The peer speaks another zap version.
    #[error("peer speaks zap {}.{}, this program 1.3", .0[0], .0[1])]
    ZapVersion(Version),
    /// The peer speaks another ldms protocol version.
    #[error("peer speaks ldms protocol {}.{}.{}.{}, this program 4.2.0.0", .0[0], .0[1], .0[2], .0[3])]
    LdmsVersion(Version),
    /// A record does not start with the marker.
    #[error("record marker is missing")]
    NoMarker,
    /// A message is longer than the limit.
    #[error("{what} of {len} bytes exceeds the limit of {max}")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// Its length.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// Something that must be text is not.
    #[error("{0} is not valid text")]
    NotText(&'static str),
    /// A frame or message that has no place at this point of the conversation.
    #[error("unexpected {what} {when}")]
    Unexpected {
        /// What came.
        what: &'static str,
        /// When it came.
        when: &'static str,
    },
    /// A record continues a message of which nothing is known.
    #[error("record continues message {0}, of which nothing is known")]
    UnknownMessage(u32),
    /// A record starts a message whose number is in use.
    #[error("message number {0} is already in use")]
    DuplicateMessage(u32),
    /// A structure contradicts itself.
    #[error("malformed {0}")]
    Malformed(&'static str),
}
