//! The client's side of a session, without I/O.
