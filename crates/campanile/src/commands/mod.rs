//! The commands, one file each: options, help, and the few lines that wire the parts together.

pub(crate) mod agent;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod deploy;
pub(crate) mod ehosd;
pub(crate) mod events;
pub(crate) mod host;
pub(crate) mod install_systemd;
pub(crate) mod ldms;
pub(crate) mod local_support;
pub(crate) mod logs;
pub(crate) mod maestro;
pub(crate) mod maestro_ctrl;
pub(crate) mod ocsbow;
mod others;
pub(crate) mod plan;
pub(crate) mod pool;
pub(crate) mod restart;
pub(crate) mod router;
pub(crate) mod status;
pub(crate) mod updown;
pub(crate) mod why;
pub(crate) mod workers;
