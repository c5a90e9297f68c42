//! The site config file (SCF): what it may say, how it is found, and which part of it is meant.
//!
//! The form is that of OCS ("Site config file" in its documentation), with the additions that [`InstanceConfig`] lists.
//! [`load`] reads a whole file and never stops at the first problem; [`select`] does what every program of a site does
//! first: find the file from the `--site-*` options ([`SiteArgs`]) and the environment, read it, and pick the host and
//! the instance that are meant; [`ConfigReport`] is for `config check`.
//!
//! Problems of the file as a whole (it cannot be parsed, the hub is missing) leave nothing to work with. Any other
//! problem disables one entry, which stays in the list with its [`InstanceConfig::problem`], and never its neighbours.
//!
//! **Differences from OCS**, all of them on purpose:
//! * Everything that is wrong is reported at once, with its line. OCS stops at the first error with a Python exception,
//!   or silently skips the entry.
//! * `manage: yes` without quotes, which YAML reads as a boolean, is taken for `host/up` (and `no` for `ignore`), with a
//!   warning; in OCS it makes the entry disappear.
//! * Merged arguments: see [`ArgContainer`].
//! * `--site-host` naming a block that does not exist falls back to `localhost` as in OCS, but with a warning.

mod args;
mod container;
mod extensions;
mod fields;
mod find;
mod host;
mod instance;
mod load;
mod model;
mod order;
mod pick;
mod report;
mod select;
mod units;

pub use args::SiteArgs;
pub use container::ArgContainer;
pub use find::find_file;
pub use load::{load, load_bytes};
pub use model::{
    CrossbarConfig, HostConfig, Hub, HubOverrides, InstanceConfig, Limits, Manage, Probe, Ready, Restart,
    SiteConfig, Stop,
};
pub use report::ConfigReport;
pub use select::{Mode, SelectError, SelectErrorKind, Selected, select};
