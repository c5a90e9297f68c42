//! The Python programs of OCS, run from the project's own virtual environment.

use crate::daemon::{Daemon, finish};
use crate::require::{Part, peers_dir, require};
use crate::site::TempSite;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// How long a Python command line client may take: half a second when idle, much more on a loaded machine.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(120);

/// What a command that ran to its end left behind.
#[derive(Clone, Debug)]
pub struct CommandOutput {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl CommandOutput {
    /// The exit code; -1 if a signal ended it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }
}

/// The Python interpreter of the peers, if it is there (see [`require`]).
#[track_caller]
pub fn python() -> Option<PathBuf> {
    require(Part::Python)
}

/// The installed Python side of OCS.
#[derive(Clone, Debug)]
pub struct Peers {
    python: PathBuf,
}

impl Peers {
    /// The peers, if all of them are there (see [`require`]).
    #[track_caller]
    pub fn require() -> Option<Self> {
        for part in [Part::Crossbar, Part::Ocsbow, Part::ClientCli] {
            require(part)?;
        }
        Some(Self { python: require(Part::Python)? })
    }

    /// The interpreter that can import `ocs`.
    pub fn python(&self) -> PathBuf {
        self.python.clone()
    }

    /// A command for `python -m ocs.agent_cli`: any agent of the site config, by its id.
    pub fn agent_command(&self, site: &TempSite, host: &str, instance_id: &str) -> Command {
        let mut command = self.command("python");
        command.args(["-m", "ocs.agent_cli", "--instance-id", instance_id]);
        command.args(site.args(host));
        command
    }

    /// Starts an agent of the site config (FakeDataAgent, RegistryAgent, …) by hand.
    #[track_caller]
    pub fn agent(&self, site: &TempSite, host: &str, instance_id: &str) -> Daemon {
        Daemon::spawn(instance_id, self.agent_command(site, host, instance_id))
    }

    /// Starts the original HostManager, which launches the instances of its host. `extra` are further options.
    #[track_caller]
    pub fn host_manager(&self, site: &TempSite, host: &str, instance_id: &str, extra: &[&str]) -> Daemon {
        let mut command = self.command("python");
        command.args(["-m", "ocs.agents.host_manager.agent", "--instance-id", instance_id]);
        command.args(site.args(host)).arg("--working-dir").arg(site.dir()).args(extra);
        Daemon::spawn(instance_id, command)
    }

    /// Runs the original `ocsbow` for a host of the site; site options stand before `args`.
    #[track_caller]
    pub fn ocsbow(&self, site: &TempSite, host: &str, args: &[&str]) -> CommandOutput {
        self.client("ocsbow", site, host, args)
    }

    /// Runs the original `ocs-client-cli` (`scan`, `listen`; it takes site options before the subcommand only).
    #[track_caller]
    pub fn client_cli(&self, site: &TempSite, host: &str, args: &[&str]) -> CommandOutput {
        self.client("ocs-client-cli", site, host, args)
    }

    /// Runs a Python program text with `args` in `sys.argv[1:]`.
    #[track_caller]
    pub fn run_script(&self, script: &str, args: &[&str]) -> CommandOutput {
        let mut command = self.command("python");
        command.args(["-c", script]).args(args);
        finish("python", command, CLIENT_TIMEOUT)
    }

    #[track_caller]
    fn client(&self, program: &str, site: &TempSite, host: &str, args: &[&str]) -> CommandOutput {
        let mut command = self.command(program);
        command.args(site.args(host)).args(args);
        finish(program, command, CLIENT_TIMEOUT)
    }

    /// A program of the virtual environment. What the user's own OCS set-up exports must not reach it.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(peers_dir().join("bin").join(program));
        for name in
            ["OCS_CONFIG_DIR", "INSTANCE_ID", "SITE_HUB", "SITE_HTTP", "SITE_HOST", "CROSSBAR_TIMEOUT"]
        {
            command.env_remove(name);
        }
        command.env("PYTHONUNBUFFERED", "1").env("PYTHONWARNINGS", "ignore");
        command
    }
}
