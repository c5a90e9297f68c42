//! Asking a running daemon through its control socket.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use campanile_control::state_dir;
use campanile_ocs::client::{Endpoint, OcsClient};
use campanile_pool::run::{ADDRESS_FILE, CONTROL_SOCKET, ROLE, state_path};
use campanile_wamp::{Dict, Value};
use serde_json::{Value as Json, json};

use super::{ANSWER_TIMEOUT, Whom, show};
use crate::failure::{EXIT_WORLD, Failure, Outcome};
use crate::output::{print, print_json};
use crate::this_pool::ThisPool;

/// Events that `why NODE` shows.
const EVENTS: u64 = 30;

/// A daemon that answers.
struct Daemon {
    client: OcsClient,
    address: String,
}

impl Daemon {
    async fn find(whom: &Whom) -> Result<Self, Failure> {
        let dir = directory(whom)?;
        let none = || anyhow!("no pool daemon answers on {}", dir.join(CONTROL_SOCKET).display());
        let address = std::fs::read_to_string(dir.join(ADDRESS_FILE)).with_context(none)?;
        let endpoint = Endpoint::Unix(dir.join(CONTROL_SOCKET));
        let client = OcsClient::connect(endpoint, ANSWER_TIMEOUT).await.with_context(none)?;
        Ok(Self { client, address: address.trim().to_owned() })
    }

    async fn call(&self, procedure: &str, question: Json) -> Result<Json, Failure> {
        let name = format!("{}{procedure}", self.address);
        let answer = self.client.call(&name, vec![Value::from(question)], Dict::new()).await;
        Ok(answer.context("the pool daemon does not answer")?.to_json())
    }
}

/// The state directory of the daemon that is meant.
fn directory(whom: &Whom) -> Result<PathBuf, Failure> {
    if !whom.config.is_empty() {
        let config = ThisPool::read(&whom.config)?.config;
        return Ok(state_path(whom.state_dir.as_deref(), &config).context("no place for state")?);
    }
    let env = |name: &str| std::env::var(name).ok();
    let base = state_dir::base(whom.state_dir.as_deref(), &env, state_dir::is_root())
        .context("no place for state")?;
    let role = base.join(ROLE);
    let living = |path: &Path| path.join(CONTROL_SOCKET).exists();
    let entries = std::fs::read_dir(&role).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = entries.filter(|path| living(path)).collect();
    found.sort();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(anyhow!("no pool daemon runs here (there is none below {})", role.display()).into()),
        several => {
            let names: Vec<String> = several
                .iter()
                .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
                .collect();
            let text = format!("several pools run here ({}); say which with --config", names.join(", "));
            Err(Failure::Usage(text))
        }
    }
}

/// `status`.
pub(super) async fn status(whom: &Whom, as_json: bool, workers: bool) -> Outcome {
    let status = Daemon::find(whom).await?.call(".status", json!(null)).await?;
    if as_json { print_json(&status) } else { print(&show::status(&status, workers)) }
}

/// `plan`.
pub(super) async fn plan(whom: &Whom, as_json: bool) -> Outcome {
    let plan = Daemon::find(whom).await?.call(".plan", json!(null)).await?;
    if as_json { print_json(&plan) } else { print(&show::plan(&plan)) }
}

/// `why`, of the pool or of one node.
pub(super) async fn why(whom: &Whom, node: Option<&str>) -> Outcome {
    let daemon = Daemon::find(whom).await?;
    let Some(node) = node else {
        let plan = daemon.call(".plan", json!(null)).await?;
        return print(&show::why(&plan));
    };
    let page = daemon.call(".events", json!({ "subject": node, "limit": EVENTS })).await?;
    let text = show::events(&page);
    if text.is_empty() {
        return Err(anyhow!("nothing is known of a node {node}").into());
    }
    print(&text)
}

/// `events`, the newest.
pub(super) async fn events(whom: &Whom, lines: u64, as_json: bool) -> Outcome {
    let page = Daemon::find(whom).await?.call(".events", json!({ "limit": lines })).await?;
    if as_json { print_json(&page) } else { print(&show::events_of_all(&page)) }
}

/// `adopt`: the list, and with `confirm` the deed.
pub(super) async fn adopt(whom: &Whom, question: Json, confirm: bool) -> Outcome {
    let answer = Daemon::find(whom).await?.call(".adopt", question).await?;
    print(&show::adoption(&answer, confirm))?;
    let list = |key: &str| answer[key].as_array().cloned().unwrap_or_default();
    let is_well =
        |entry: &Json| matches!(entry["state"].as_str(), Some("adopted" | "is ours" | "can be adopted"));
    if !list("missing").is_empty() || !list("problems").is_empty() || !list("found").iter().all(is_well) {
        return Err(Failure::Told(EXIT_WORLD));
    }
    Ok(())
}

/// A task of the daemon.
pub(super) async fn task(whom: &Whom, name: &str, params: Json) -> Outcome {
    let daemon = Daemon::find(whom).await?;
    let reply = daemon.client.run(&daemon.address, name, params, Some(ANSWER_TIMEOUT)).await;
    let reply = reply.context("the pool daemon does not answer")?;
    let Some(session) = reply.session.filter(|session| session.success.is_some()) else {
        return Err(anyhow!("{name}: {}", reply.message).into());
    };
    // The last message says how it ended; the one before holds what its code had to say.
    let text = session
        .messages
        .iter()
        .rev()
        .map(|(_, text)| text.as_str())
        .find(|text| !text.starts_with("Status is"));
    let message = text.unwrap_or(name).to_owned();
    if session.success == Some(true) { print(&format!("{message}\n")) } else { Err(anyhow!(message).into()) }
}
