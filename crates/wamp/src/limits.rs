//! Limits on what is accepted from a peer, checked before anything is allocated for it.

/// No message may nest deeper than this, whatever [`Limits::max_depth`] says: decoding is recursive, and this
/// depth fits the smallest thread stack in use with room to spare.
pub const DEPTH_CEILING: usize = 256;

/// What a peer may send in one message.
///
/// The defaults let every message of an OCS site pass (single events of 16 MB are seen there) and keep a hostile
/// one from costing more than a small multiple of its own size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The size of one WebSocket message, in bytes; a batch counts as one.
    pub max_message_bytes: usize,
    /// How deep lists and dicts may nest, the message's own list included; capped at [`DEPTH_CEILING`].
    pub max_depth: usize,
    /// How many list elements and dict entries one message may hold in all.
    pub max_elements: usize,
}

impl Limits {
    /// For what has passed the limits before: only the depth that decoding itself needs is checked.
    pub(crate) const TRUSTED: Self =
        Self { max_message_bytes: usize::MAX, max_depth: DEPTH_CEILING, max_elements: usize::MAX };
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_message_bytes: 32 << 20, max_depth: 100, max_elements: 4 << 20 }
    }
}
