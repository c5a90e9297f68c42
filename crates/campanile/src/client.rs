//! What every client command does first: find the site, reach its router, and pick the hosts that are meant.

use std::path::PathBuf;

use campanile_ldms::hostlist;
use campanile_ocs::client::Passwords;
use campanile_ocs::site_config::{Mode, Selected, SiteArgs};

use crate::failure::Failure;
use crate::fleet::ask::{Bus, RouterState};
use crate::fleet::declared::DeclaredHost;
use crate::fleet::narrow::Selectors;
use crate::{output, this_site};

/// What gives a client rights, for commands that change anything.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct AccessArgs {
    /// The file with the passwords for agents under access control
    /// [default: $OCS_PASSWORDS_FILE, or ~/.ocs-passwords.yaml]
    #[arg(long, value_name = "FILE", overrides_with = "password_file")]
    pub(crate) password_file: Option<PathBuf>,
}

impl AccessArgs {
    /// Reads the file. What it has to say about it never quotes a password.
    pub(crate) fn passwords(&self) -> Result<Passwords, Failure> {
        let (passwords, diagnostics) = match &self.password_file {
            Some(path) => Passwords::load(path),
            None => Passwords::of_user(&|name| std::env::var(name).ok()),
        };
        match passwords {
            None => Err(Failure::Config(diagnostics)),
            Some(passwords) => {
                output::print_error(&diagnostics.render(output::stderr_coloured()));
                Ok(passwords)
            }
        }
    }
}

/// A site, ready to be asked.
pub(crate) struct Client {
    pub(crate) selected: Selected,
    pub(crate) bus: Bus,
}

impl Client {
    /// Reads the site config and connects.
    ///
    /// Entries of the site config that cannot be used are mentioned on stderr; they stop nothing.
    pub(crate) async fn open(args: &SiteArgs) -> Result<Self, Failure> {
        let selected = this_site::select(Mode::Control, args)?;
        if selected.diagnostics.has_errors() {
            let count = selected.diagnostics.error_count();
            output::print_error(&format!(
                "warning: {count} error{} in {}; see `campanile config check`\n",
                if count == 1 { "" } else { "s" },
                selected.site.path.display(),
            ));
        }
        let bus = Bus::open(&selected.site).await?;
        Ok(Self { selected, bus })
    }

    /// The same, with the passwords of the user: for commands that change anything.
    pub(crate) async fn open_to_change(args: &SiteArgs, access: &AccessArgs) -> Result<Self, Failure> {
        let passwords = access.passwords()?;
        let mut client = Self::open(args).await?;
        client.bus = client.bus.with_passwords(passwords);
        Ok(client)
    }

    /// The site config's file, for people.
    pub(crate) fn site_file(&self) -> String {
        self.selected.site.path.display().to_string()
    }

    /// The hosts of these names, in the order of the site config; all of them without a name.
    pub(crate) fn hosts(&self, names: &[String]) -> Result<Vec<DeclaredHost>, Failure> {
        let all = self.bus.declared();
        let known: Vec<&str> = all.iter().map(|host| host.name.as_str()).collect();
        let unknown: Vec<&str> =
            names.iter().map(String::as_str).filter(|name| !known.contains(name)).collect();
        if !unknown.is_empty() {
            return Err(Failure::World(anyhow::anyhow!(
                "no host {} in {}; it has {}",
                unknown.join(", "),
                self.site_file(),
                known.join(", ")
            )));
        }
        Ok(all.iter().filter(|host| names.is_empty() || names.contains(&host.name)).cloned().collect())
    }

    /// The hosts that the selectors mean, in the order of the site config.
    pub(crate) fn hosts_of(&self, only: &Selectors) -> Result<Vec<DeclaredHost>, Failure> {
        let all = self.bus.declared();
        let known: Vec<&str> = all.iter().map(|host| host.name.as_str()).collect();
        let unknown = only.without_host(&known);
        if !unknown.is_empty() {
            let unknown = hostlist::fold(&unknown);
            return Err(Failure::World(anyhow::anyhow!(
                "no host {unknown} in {}; it has {}",
                self.site_file(),
                known.join(", ")
            )));
        }
        Ok(all.iter().filter(|host| only.takes_host(&host.name)).cloned().collect())
    }

    /// `Err` when the router was not reached.
    pub(crate) fn verdict(&self, router: &RouterState) -> Result<(), Failure> {
        match router {
            RouterState::Reached => Ok(()),
            RouterState::Unreachable { reason } => Err(self.bus.unreachable(reason)),
        }
    }
}

/// Unix time in seconds, for showing how long ago things were.
pub(crate) fn unix_now() -> f64 {
    campanile_ocs::agent::unix_now_s()
}
