//! `ocs-install-systemd`: the two files by which systemd runs a HostManager.
//!
//! Names, options and wording are those of the original; what differs on purpose is listed in the book's chapter on
//! the other OCS commands.

pub(crate) mod install;
pub(crate) mod quote;
pub(crate) mod text;
