//! `ocsbow`: the OCS command line client, answered by us under its own name.
//!
//! Options, table and wording are those of the original as its documents and users know them; what differs on purpose
//! (exit codes, `down` for a HostManager that does not run, one dead HostManager never stopping the others) is listed
//! in the book's chapter on commands.

pub(crate) mod config;
pub(crate) mod plugins;
pub(crate) mod python;
pub(crate) mod table;
