//! A whole site in one picture: what its config file says should be managed, and what each HostManager reports.
//!
//! * [`declared`] — hosts and instances as the site config lists them;
//! * [`report`] — one HostManager's answer, read from the session of its `manager` process;
//! * [`survey`] — both joined, row by row (pure, so that the tables can be tested to the byte);
//! * [`narrow`] — the options that narrow a command to hosts, classes and states (pure);
//! * [`select`] — which managers and instances a list of names on the command line means (pure);
//! * [`request`] — what to ask a HostManager so that its targets change (pure);
//! * [`ask`] — the calls themselves: all HostManagers at the same time, each with a deadline;
//! * [`change`] — new targets for all HostManagers concerned;
//! * [`wait`] — watching until the targets are reached.

pub(crate) mod ask;
pub(crate) mod change;
pub(crate) mod declared;
pub(crate) mod narrow;
pub(crate) mod report;
pub(crate) mod request;
pub(crate) mod select;
pub(crate) mod survey;
pub(crate) mod wait;
mod words;

/// The agent class whose instances manage a host; the OCS clients know HostManagers by this name alone.
pub(crate) const HOSTMANAGER_CLASS: &str = "HostManager";
