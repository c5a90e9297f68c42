//! Named limits of everything that grows: frames, messages, replies, queues.
//!
//! Each is checked against the length a peer announces *before* memory is taken for it.

/// Longest zap `sock` frame, header included, in bytes. Both ends of the original refuse longer ones (except the
/// two kinds that carry the contents of metric sets, see [`MAX_DATA_FRAME`]).
pub const MAX_FRAME: usize = 1024 * 1024;

/// Longest frame that carries the contents of a metric set (`READ_RESP`, `WRITE_REQ`), in bytes. The original
/// has no limit here; ours is far above any set in use.
pub const MAX_DATA_FRAME: usize = 64 * 1024 * 1024;

/// Longest ldmsd record (header included) that ldmsd 4.x takes in one piece, in bytes: 1 MiB less the headers
/// of the two layers below. Longer requests travel in several records.
pub const MAX_RECORD: usize = 1_048_516;

/// Longest ldmsd message after its records have been joined, in bytes. A `prdcr_status` of 30 000 producers with
/// two sets each is about 15 MiB.
pub const MAX_MESSAGE: usize = 64 * 1024 * 1024;

/// Longest directory (all its parts together), in bytes.
pub const MAX_DIRECTORY: usize = 256 * 1024 * 1024;

/// Messages of which the first records have come and the last has not, per connection.
pub const MAX_PARTIAL_MESSAGES: usize = 256;

/// Requests that wait for their answers on one connection of the client.
pub const MAX_IN_FLIGHT: usize = 1024;

/// Attributes in one request or reply.
pub const MAX_ATTRIBUTES: usize = 4096;

/// Longest name of a metric set in a lookup, in bytes (`LDMS_LOOKUP_PATH_MAX`).
pub const MAX_SET_NAME: usize = 511;

/// Longest message of an authentication plugin, in bytes. A munge credential is about 200.
pub const MAX_AUTH_MESSAGE: usize = 16 * 1024;

/// Sets of one updater in an answer to `update_time_stats`: what 30 000 producers have, and some.
pub const MAX_TIMED_SETS: usize = 100_000;

/// Names one hostlist may stand for, as in the Python hostlist library that LDMS sites know.
pub const MAX_HOSTLIST: usize = 100_000;
