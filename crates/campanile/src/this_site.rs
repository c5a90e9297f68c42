//! Which site, seen from this process: its environment, its machine's name.

use campanile_ocs::site_config::{self, Mode, SelectError, Selected, SiteArgs};

/// Finds the site config as every OCS program does.
///
/// # Errors
/// See [`site_config::select`].
pub(crate) fn select(mode: Mode<'_>, args: &SiteArgs) -> Result<Selected, SelectError> {
    site_config::select(mode, args, &hostname(), &|name| std::env::var(name).ok())
}

/// This machine's name, as `hostname` prints it.
pub(crate) fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
