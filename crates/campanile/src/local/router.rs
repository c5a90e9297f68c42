//! The router that this host keeps: a crossbar as OCS runs it, or ours.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use campanile_control::state_dir::file_name;
use campanile_ocs::site_config::CrossbarConfig;
use tokio::time::timeout;

use super::process::{self, Identity};
use crate::failure::Failure;

/// The name by which a site config asks for our router: `crossbar: {bin: campanile}`.
const OURS: &str = "campanile";
const CROSSBAR: &str = "crossbar";
/// How long a crossbar has to say whether it runs, and to stop: it is a Python program.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long our router has to say goodbye.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// So much is shown of what a router said that did not come up.
const LAST_LINES: usize = 10;

/// The router of a host.
#[derive(Clone, Debug)]
pub(crate) struct LocalRouter {
    kind: Kind,
    /// Where it is remembered, and where its complaints go.
    dir: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Crossbar { bin: PathBuf, config_dir: Option<String> },
    Ours { program: PathBuf, args: Vec<String> },
}

impl LocalRouter {
    /// The router that the host block asks for: the program of `bin`; without one the `crossbar` on PATH, or ours where
    /// there is none. `site` holds the options by which our router finds the site, `state` is the base of the state.
    pub(crate) fn new(
        crossbar: &CrossbarConfig,
        search_path: &[PathBuf],
        site: Vec<String>,
        state: &Path,
        url: &str,
    ) -> Result<Self, Failure> {
        let dir = state.join("local-support").join(file_name(url));
        let on_path = || search_path.iter().map(|dir| dir.join(CROSSBAR)).find(|path| path.is_file());
        let named = crossbar.bin.as_deref().map(PathBuf::from);
        let kind = match named.filter(|bin| bin.file_stem() != Some(OURS.as_ref())) {
            Some(bin) if !bin.is_file() => {
                return Err(Failure::Usage(format!(
                    "the crossbar program of the site config does not exist: {}\n  help: correct `bin`, or write \
                     `bin: campanile` for Campanile's own router",
                    bin.display()
                )));
            }
            Some(bin) => Kind::Crossbar { bin, config_dir: crossbar.config_dir.clone() },
            None => match on_path().filter(|_| crossbar.bin.is_none()) {
                Some(bin) => Kind::Crossbar { bin, config_dir: crossbar.config_dir.clone() },
                None => {
                    let program = std::env::current_exe().context("cannot find out where this program is")?;
                    Kind::Ours { program, args: site }
                }
            },
        };
        Ok(Self { kind, dir })
    }

    /// How it is called in what is told.
    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            Kind::Crossbar { .. } => CROSSBAR,
            Kind::Ours { .. } => "campanile router",
        }
    }

    fn pid_file(&self) -> PathBuf {
        self.dir.join("router.pid")
    }

    fn log(&self) -> PathBuf {
        self.dir.join("router.log")
    }

    /// A command of a crossbar, or the one that runs our router.
    fn command(&self, verb: &str) -> Command {
        match &self.kind {
            Kind::Crossbar { bin, config_dir } => {
                let mut command = Command::new(bin);
                command.arg(verb);
                if let Some(dir) = config_dir {
                    command.args(["--cbdir", dir]);
                }
                command
            }
            Kind::Ours { program, args } => {
                let mut command = Command::new(program);
                command.arg("router").args(args);
                command
            }
        }
    }

    /// Does it run? Of a crossbar, the program itself is asked, by its configuration directory.
    pub(crate) async fn is_running(&self) -> anyhow::Result<bool> {
        match &self.kind {
            // A running one keeps its process id there; without the file there is no need to start a Python program.
            Kind::Crossbar { config_dir: Some(dir), .. } if !Path::new(dir).join("node.pid").exists() => {
                Ok(false)
            }
            Kind::Crossbar { .. } => {
                let mut command = self.command("status");
                command.arg("--assert=running").stdout(Stdio::null()).stderr(Stdio::null());
                Ok(self.finish(command).await?.success())
            }
            Kind::Ours { .. } => Ok(Identity::remembered(&self.pid_file()).is_some()),
        }
    }

    async fn finish(&self, mut command: Command) -> anyhow::Result<std::process::ExitStatus> {
        command.stdin(Stdio::null());
        let what = format!("{command:?}");
        let mut child = tokio::process::Command::from(command);
        let status = timeout(ANSWER_TIMEOUT, child.kill_on_drop(true).status()).await;
        status
            .with_context(|| format!("{what} did not end within {} s", ANSWER_TIMEOUT.as_secs()))?
            .with_context(|| format!("cannot run {what}"))
    }

    /// A crossbar without a configuration cannot start.
    pub(crate) fn refuse_unconfigured(&self) -> Result<(), Failure> {
        let Kind::Crossbar { config_dir: Some(dir), .. } = &self.kind else { return Ok(()) };
        if ["config.json", "config.yaml"].iter().any(|name| Path::new(dir).join(name).is_file()) {
            return Ok(());
        }
        Err(Failure::Usage(format!(
            "there is no config.json in {dir}, the config-dir of crossbar\n  help: `ocs-local-support \
             generate_crossbar_config` writes one"
        )))
    }

    /// Becomes the router, in this terminal.
    pub(crate) fn run_in_foreground(&self) -> anyhow::Error {
        let error = self.command("start").exec();
        anyhow::Error::new(error).context(format!("cannot run {}", self.name()))
    }

    /// Starts it in the background.
    pub(crate) fn start(&self) -> anyhow::Result<Started> {
        std::fs::create_dir_all(&self.dir)
            .with_context(|| format!("cannot create {}", self.dir.display()))?;
        let mut command = self.command("start");
        if matches!(self.kind, Kind::Crossbar { .. }) {
            command.args(["--loglevel", "error"]);
        } else {
            command.args(["--log-level", "warn"]);
        }
        let child = process::start(&mut command, &self.log())
            .with_context(|| format!("cannot start {}", self.name()))?;
        if let (Kind::Ours { .. }, Some(identity)) = (&self.kind, Identity::of(child.id())) {
            identity.remember(&self.pid_file()).context("cannot remember the router's process")?;
        }
        Ok(Started { child, log: self.log() })
    }

    /// Stops it; says whether it is gone.
    pub(crate) async fn stop(&self) -> anyhow::Result<bool> {
        match self.kind {
            Kind::Crossbar { .. } => {
                let status = self.finish(self.command("stop")).await?;
                Ok(status.success() && !self.is_running().await?)
            }
            Kind::Ours { .. } => {
                let Some(identity) = Identity::remembered(&self.pid_file()) else { return Ok(true) };
                let gone = identity.end(STOP_GRACE).await;
                if gone {
                    // Without its process the file means nothing.
                    let _ = std::fs::remove_file(self.pid_file());
                }
                Ok(gone)
            }
        }
    }
}

/// A program that was started in the background.
pub(crate) struct Started {
    child: std::process::Child,
    log: PathBuf,
}

impl Started {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Why it has ended already, with its last words, if it has.
    pub(crate) fn has_ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(format!("{status}{}", process::last_lines(&self.log, LAST_LINES)))
    }

    pub(crate) fn new(child: std::process::Child, log: PathBuf) -> Self {
        Self { child, log }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(bin: Option<&str>, path: &[PathBuf]) -> Result<Kind, Failure> {
        let crossbar = CrossbarConfig { config_dir: Some("/c".into()), bin: bin.map(str::to_owned) };
        LocalRouter::new(&crossbar, path, Vec::new(), Path::new("/s"), "ws://h/ws").map(|router| router.kind)
    }

    #[test]
    fn the_site_config_decides_which_router_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("crossbar");
        std::fs::write(&program, "").unwrap();
        let with = [dir.path().to_owned()];
        let bin = program.to_str().unwrap();
        let is_crossbar =
            |kind: Result<Kind, Failure>| matches!(kind, Ok(Kind::Crossbar { bin, .. }) if bin == program);
        assert!(is_crossbar(kind(Some(bin), &[])));
        assert!(is_crossbar(kind(None, &with)));
        for (bin, path) in [(None, &[][..]), (Some("campanile"), &with), (Some("/opt/campanile"), &with)] {
            assert!(matches!(kind(bin, path), Ok(Kind::Ours { .. })), "{bin:?}");
        }
        assert!(matches!(kind(Some("/nowhere/crossbar"), &with), Err(Failure::Usage(_))));
    }
}
