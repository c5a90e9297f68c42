//! `ocs-local-support`: the router and the HostManager of this host, started and stopped by hand.
//!
//! * [`router`] — the router that the host block gives this host to keep: a crossbar, or ours;
//! * [`manager`] — the HostManager of this host, asked on the bus or by its control socket;
//! * [`facts`] — what of both is there;
//! * [`advice`] — what follows from that (pure);
//! * [`crossbar_config`] — the configuration of a crossbar for this site (pure).

pub(crate) mod advice;
pub(crate) mod crossbar_config;
pub(crate) mod facts;
pub(crate) mod manager;
pub(crate) mod process;
pub(crate) mod router;
