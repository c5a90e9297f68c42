//! Talking to OCS agents.
