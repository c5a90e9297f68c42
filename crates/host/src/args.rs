//! The options of the HostManager: those of the OCS agent, and our own.

use std::path::PathBuf;

use campanile_ocs::site_config::SiteArgs;
use clap::Parser;

/// The class name under which a HostManager stands in the site config and on the bus.
pub const AGENT_CLASS: &str = "HostManager";

/// Options of `campanile host`.
#[derive(clap::Args, Clone, Debug)]
pub struct HostArgs {
    /// Which site config, host block and instance to use
    #[command(flatten)]
    pub site: SiteArgs,
    /// Force a single target state for all agents, on start-up
    #[arg(long, value_enum, value_name = "STATE", help_heading = "Agent options")]
    pub initial_state: Option<InitialState>,
    /// Comma-separated list of docker compose files to manage
    #[arg(long, value_name = "FILE[,FILE]", help_heading = "Agent options")]
    pub docker_compose: Option<String>,
    /// What the names of docker services have before the instance-id [default: ocs-]
    #[arg(long, value_name = "PREFIX", help_heading = "Agent options")]
    pub docker_service_prefix: Option<String>,
    /// The docker-compose program, relative to the working directory
    #[arg(long, value_name = "FILE", help_heading = "Agent options")]
    pub docker_compose_bin: Option<PathBuf>,
    /// Print nothing to stdout and stderr
    #[arg(long, help_heading = "Agent options")]
    pub quiet: bool,
    /// The Python interpreter with OCS and the plugins of the site, for agents without a command of their own
    /// [default: python3]
    #[arg(long, value_name = "FILE", help_heading = "Agent options")]
    pub python: Option<PathBuf>,
    /// Where to keep state [default: $STATE_DIRECTORY, /var/lib/campanile for root, or ~/.local/state/campanile]
    #[arg(long, value_name = "DIR", help_heading = "Agent options")]
    pub state_dir: Option<PathBuf>,
    /// Forget the targets that operators set before a crash or a power cut, and begin with those of the site config
    #[arg(long, help_heading = "Agent options")]
    pub reset: bool,
    /// What becomes the programs of instances, see [`crate::drive::launcher`]; this very executable if absent.
    #[arg(skip)]
    pub launcher: Option<PathBuf>,
}

impl HostArgs {
    /// The compose files, as they were named.
    #[must_use]
    pub fn compose_files(&self) -> Vec<String> {
        let names = self.docker_compose.iter().flat_map(|names| names.split(','));
        names.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    /// The interpreter that is used when none is named.
    pub const DEFAULT_PYTHON: &str = "python3";

    /// Fills in what the command line leaves open from the `arguments` of the HostManager's own entry in the site
    /// config, which OCS reads as command line options of lower rank.
    ///
    /// # Errors
    /// They are not options of a HostManager; the text says which.
    pub fn with_defaults_from(mut self, arguments: &[String]) -> Result<Self, String> {
        let lower = EntryArgs::try_parse_from(
            std::iter::once(AGENT_CLASS).chain(arguments.iter().map(String::as_str)),
        )
        .map_err(|error| error.render().to_string().trim_end().to_owned())?
        .host;
        self.initial_state = self.initial_state.or(lower.initial_state);
        self.docker_compose = self.docker_compose.or(lower.docker_compose);
        self.docker_service_prefix = self.docker_service_prefix.or(lower.docker_service_prefix);
        self.docker_compose_bin = self.docker_compose_bin.or(lower.docker_compose_bin);
        self.python = self.python.or(lower.python);
        self.state_dir = self.state_dir.or(lower.state_dir);
        self.quiet |= lower.quiet;
        self.reset |= lower.reset;
        let (site, lower) = (&mut self.site, lower.site);
        site.site_hub = site.site_hub.take().or(lower.site_hub);
        site.site_http = site.site_http.take().or(lower.site_http);
        site.site_realm = site.site_realm.take().or(lower.site_realm);
        site.address_root = site.address_root.take().or(lower.address_root);
        site.log_dir = site.log_dir.take().or(lower.log_dir);
        site.working_dir = site.working_dir.take().or(lower.working_dir);
        site.access_policy = site.access_policy.take().or(lower.access_policy);
        Ok(self)
    }
}

/// The options as they stand in the site config.
#[derive(Parser)]
#[command(no_binary_name = false, disable_help_flag = true)]
struct EntryArgs {
    #[command(flatten)]
    host: HostArgs,
}

/// A target state for all instances at once.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitialState {
    /// Start them all.
    Up,
    /// Start none.
    Down,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> HostArgs {
        EntryArgs::try_parse_from(line.split(' ')).unwrap().host
    }

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_command_line_goes_before_the_arguments_of_the_entry() {
        let given = parse("host --initial-state up --log-dir /here");
        let entry = words("--initial-state down --docker-compose a.yaml,b.yaml --log-dir /there --quiet");
        let args = given.with_defaults_from(&entry).unwrap();
        assert_eq!(args.initial_state, Some(InitialState::Up));
        assert_eq!(args.docker_compose.as_deref(), Some("a.yaml,b.yaml"));
        assert_eq!(args.site.log_dir, Some(PathBuf::from("/here")));
        assert!(args.quiet);
    }

    #[test]
    fn an_argument_that_no_host_manager_knows_is_told() {
        let error = parse("host").with_defaults_from(&words("--initial-stat up")).unwrap_err();
        assert!(error.contains("--initial-stat"), "{error}");
    }
}
