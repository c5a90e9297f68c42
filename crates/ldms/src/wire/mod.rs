//! What travels on the socket, from the bottom up. Pure: no I/O, no clock.
//!
//! * [`frame`]: zap `sock` frames (connect, accept, send, rendezvous, remote read).
//! * [`connect`]: the version and authentication announcement inside the first frames.
//! * [`xprt`]: ldms transport messages inside send frames (directory, lookup, message, authentication).
//! * [`record`]: ldmsd request and reply records inside transport messages.
//! * [`set`]: the image of a metric set that remote reads fetch; [`lookup`]: the message that offers it.
//! * [`dir`]: the JSON of a directory.
//!
//! All of it is big endian but for a few fields that the original leaves in host order (little endian on every
//! machine LDMS runs on today); they are marked where they occur.

pub mod connect;
mod cursor;
pub mod dir;
pub mod errno;
mod error;
pub mod frame;
pub mod ids;
pub mod lookup;
pub mod record;
pub mod set;
pub mod xprt;

pub use cursor::Reader;
pub use error::WireError;

/// An ldms protocol version: major, minor, patch, flags.
pub type Version = [u8; 4];

/// The ldms protocol version this crate speaks (that of ldmsd 4.5); ldmsd accepts no other.
pub const LDMS_VERSION: Version = [4, 2, 0, 0];

/// The zap version this crate speaks; major and minor must match.
pub const ZAP_VERSION: Version = [1, 3, 1, 0];
