//! The HostManager of this host: asked by its control socket where it is ours and runs, else on the bus.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use campanile_control::state_dir::file_name;
use campanile_host::run::{CONTROL_SOCKET, ROLE};
use campanile_ocs::client::{Action, Endpoint, OcsClient, OcsError, OpReply, Passwords};
use campanile_ocs::codes::OpStatus;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::process::{self, Identity};
use super::router::Started;

/// How long it has to answer a question.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long it has to end with all of its agents, of which each may have a minute of its own.
const END_TIMEOUT: Duration = Duration::from_secs(180);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The HostManager of this host, running or not.
#[derive(Clone)]
pub(crate) struct LocalManager {
    pub(crate) instance_id: String,
    address: String,
    state: PathBuf,
    bus: Endpoint,
    passwords: Passwords,
}

/// How it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) running: bool,
    pub(crate) process_running: bool,
    pub(crate) on_the_bus: bool,
}

impl LocalManager {
    /// The HostManager at this address; `state` is the base of the state.
    pub(crate) fn new(
        instance_id: &str,
        address: String,
        state: &Path,
        bus: Endpoint,
        passwords: Passwords,
    ) -> Self {
        Self { instance_id: instance_id.to_owned(), address, state: state.to_owned(), bus, passwords }
    }

    fn own_dir(&self) -> PathBuf {
        self.state.join(ROLE).join(file_name(&self.address))
    }

    /// Connections to it that may work: its own socket, then the bus.
    async fn clients(&self) -> Vec<(OcsClient, bool)> {
        let socket = Endpoint::Unix(self.own_dir().join(CONTROL_SOCKET));
        let mut clients = Vec::new();
        for (endpoint, is_bus) in [(socket, false), (self.bus.clone(), true)] {
            if let Ok(client) = OcsClient::connect(endpoint, ANSWER_TIMEOUT).await {
                clients.push((client.with_passwords(self.passwords.clone()), is_bus));
            }
        }
        clients
    }

    /// Asks both ways.
    pub(crate) async fn condition(&self) -> Condition {
        let mut condition = Condition::default();
        for (client, is_bus) in self.clients().await {
            let Ok(reply) = client.op(&self.address, Action::Status, "manager", Value::Null, None).await
            else {
                continue;
            };
            condition.running = true;
            condition.on_the_bus |= is_bus;
            let session = reply.session.as_ref();
            condition.process_running |= session.is_some_and(|session| session.status == OpStatus::Running);
        }
        condition
    }

    async fn op(&self, action: Action, op: &str, params: Value) -> anyhow::Result<OpReply> {
        let mut last = anyhow::anyhow!("it is not running");
        for (client, _) in self.clients().await {
            match client.op(&self.address, action, op, params.clone(), Some(Duration::from_secs(1))).await {
                Ok(reply) => return Ok(reply),
                Err(OcsError::NoSuchAgent { .. }) => {}
                Err(error) => last = error.into(),
            }
        }
        Err(last)
    }

    /// Starts its `manager` process, with the targets of the site config.
    pub(crate) async fn start_process(&self) -> anyhow::Result<()> {
        accepted(&self.op(Action::Start, "manager", json!({})).await?)
    }

    /// Stops its `manager` process, and waits until all agents are down.
    pub(crate) async fn stop_process(&self) -> anyhow::Result<()> {
        accepted(&self.op(Action::Stop, "manager", Value::Null).await?)?;
        let deadline = Instant::now() + END_TIMEOUT;
        while self.condition().await.process_running {
            anyhow::ensure!(
                Instant::now() < deadline,
                "its manager process has not ended within {} s; agents may take their time, see `campanile status`",
                END_TIMEOUT.as_secs()
            );
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Its process, where it is ours and on this machine: told by its control socket.
    async fn process(&self) -> Option<Identity> {
        let (client, _) = self.clients().await.into_iter().find(|(_, is_bus)| !is_bus)?;
        let pid = client.api(&self.address).await.ok()?.instance_pid?;
        Identity::of(u32::try_from(pid).ok()?)
    }

    /// Has it end in good order, with its agents, and waits until it has.
    pub(crate) async fn die(&self) -> anyhow::Result<()> {
        let process = self.process().await;
        match self.op(Action::Start, "die", json!({})).await {
            Ok(reply) => accepted(&reply)?,
            // It may be faster than its answer.
            Err(error) if !self.condition().await.running => {
                tracing::debug!(%error, "gone before it answered");
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        let deadline = Instant::now() + END_TIMEOUT;
        while self.condition().await.running {
            anyhow::ensure!(
                Instant::now() < deadline,
                "it has not ended within {} s; agents may take their time, see `campanile status`",
                END_TIMEOUT.as_secs()
            );
            sleep(LOOK_EVERY).await;
        }
        // Until its process is gone it holds its identity, and nobody could start it again.
        if let Some(process) = process {
            anyhow::ensure!(process.gone_within(END_TIMEOUT).await, "process {} has not ended", process.pid);
        }
        Ok(())
    }

    /// Starts it in the background with these arguments of `campanile`.
    pub(crate) fn start(&self, args: &[String]) -> anyhow::Result<Started> {
        let dir = self.own_dir();
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let log = dir.join("local-support.log");
        let mut command = command(args)?;
        command.args(["--log-level", "warn"]);
        let child = process::start(&mut command, &log).context("cannot start campanile host")?;
        Ok(Started::new(child, log))
    }
}

/// This program with other arguments.
pub(crate) fn command(args: &[String]) -> anyhow::Result<Command> {
    let program = std::env::current_exe().context("cannot find out where this program is")?;
    let mut command = Command::new(program);
    command.args(args);
    Ok(command)
}

fn accepted(reply: &OpReply) -> anyhow::Result<()> {
    anyhow::ensure!(reply.is_ok(), "{}", reply.message);
    Ok(())
}
