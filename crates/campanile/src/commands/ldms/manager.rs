//! The manager of an LDMS cluster on this host, asked by its control socket.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use campanile_control::state_dir::{self, file_name};
use campanile_maestro::run::{ADDRESS_FILE, CONTROL_SOCKET, ROLE};
use campanile_ocs::client::{Endpoint, OcsClient};
use campanile_wamp::{Dict, Value};

use crate::failure::Failure;

/// How long it may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Which manager is asked.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct ManagerArgs {
    /// Name of the LDMS cluster
    #[arg(long, value_name = "NAME", default_value = "cluster")]
    prefix: String,
    /// Where the manager keeps its state [default: as `campanile maestro`]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

impl ManagerArgs {
    /// The manager of the cluster without a name of its own, with its state at a place.
    pub(crate) fn at(state_dir: PathBuf) -> Self {
        Self { prefix: "cluster".to_owned(), state_dir: Some(state_dir) }
    }
}

/// A manager that answers.
pub(crate) struct Manager {
    client: OcsClient,
    address: String,
}

impl Manager {
    /// Finds the manager of a cluster on this host.
    pub(crate) async fn find(args: &ManagerArgs) -> Result<Self, Failure> {
        let env = |name: &str| std::env::var(name).ok();
        let base = state_dir::base(args.state_dir.as_deref(), &env, state_dir::is_root())
            .map_err(|error| Failure::Usage(error.to_string()))?;
        let role = base.join(ROLE);
        let own = file_name(&args.prefix);
        let mut names = vec![own.clone()];
        // One that is an agent on a bus has its instance-id behind the name of the cluster.
        let entries = std::fs::read_dir(&role).into_iter().flatten().filter_map(Result::ok);
        let others = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.extend(others.filter(|name| name.starts_with(&format!("{own}."))));
        for name in names {
            let dir = role.join(name);
            let Ok(address) = std::fs::read_to_string(dir.join(ADDRESS_FILE)) else { continue };
            let endpoint = Endpoint::Unix(dir.join(CONTROL_SOCKET));
            if let Ok(client) = OcsClient::connect(endpoint, ANSWER_TIMEOUT).await {
                return Ok(Self { client, address: address.trim().to_owned() });
            }
        }
        Err(anyhow::anyhow!(
            "no manager of the cluster '{}' runs on this host (looked in {}); start one with `campanile maestro`",
            args.prefix,
            role.display()
        )
        .into())
    }

    /// Calls one of its procedures.
    pub(crate) async fn call(&self, procedure: &str, args: Vec<Value>) -> Result<serde_json::Value, Failure> {
        let name = format!("{}.{procedure}", self.address);
        let answer = self.client.call(&name, args, Dict::new()).await;
        Ok(answer
            .map(|answer| answer.to_json())
            .with_context(|| format!("the manager does not answer '{procedure}'"))?)
    }

    /// Runs one of its tasks to its end; gives what it says.
    pub(crate) async fn task(&self, task: &str, params: serde_json::Value) -> Result<String, Failure> {
        let failed = || format!("the manager does not carry out '{task}'");
        let reply =
            self.client.run(&self.address, task, params, Some(ANSWER_TIMEOUT)).await.with_context(failed)?;
        if !reply.is_ok() {
            return Err(anyhow::anyhow!("{}: {}", failed(), reply.message).into());
        }
        let session = reply.session;
        let Some(session) = session else { return Err(anyhow::anyhow!(failed()).into()) };
        // The last message of a task is OCS's own, about the end of it.
        let own = session.messages.iter().rev().find(|(_, text)| !text.starts_with("Status is now"));
        let said = own.map(|(_, text)| text.clone()).unwrap_or_default();
        match session.success {
            Some(true) => Ok(said),
            _ => Err(anyhow::anyhow!("{said}").into()),
        }
    }
}
