//! The HTTP bridge: `POST /call`.
