//! Managers in processes of their own, which can be killed and stopped: this test program again, as `campanile maestro`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use campanile_maestro::args::MaestroArgs;
use campanile_maestro::run::{ADDRESS_FILE, CONTROL_SOCKET, ROLE, run};
use campanile_ocs::client::{Endpoint, OcsClient};
use campanile_testkit::Daemon;
use campanile_wamp::{Dict, Value};
use clap::Parser as _;

/// Set for the process that is a manager: its arguments, a line each.
const ARGUMENTS: &str = "CAMPANILE_TEST_MAESTRO";
/// The name of the cluster.
pub(crate) const CLUSTER: &str = "orion";
/// A manager that is well answers at once, unless the machine is busy.
const ANSWER: Duration = Duration::from_secs(5);

#[derive(clap::Parser)]
struct CommandLine {
    #[command(flatten)]
    maestro: MaestroArgs,
}

/// Not a test by itself: what [`Maestro::start`] starts.
#[test]
fn stands_in_for_campanile_maestro() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else { return };
    let line = CommandLine::parse_from(std::iter::once("maestro").chain(arguments.lines()));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(run(line.maestro)).unwrap();
}

/// A manager.
pub(crate) struct Maestro {
    pub(crate) name: String,
    pub(crate) process: Daemon,
    state: PathBuf,
}

impl Maestro {
    /// Starts one on the store that `members` (a file) names, with its state below `dir`, that divides producers or sets.
    pub(crate) fn start(name: &str, members: &Path, dir: &Path, by: &str) -> Self {
        let state = dir.join(name);
        let arguments = [
            format!("--cluster={}", members.display()),
            format!("--prefix={CLUSTER}"),
            format!("--rebalance={by}"),
            format!("--state-dir={}", state.display()),
        ];
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "maestro::stands_in_for_campanile_maestro", "--nocapture"]);
        command.env(ARGUMENTS, arguments.join("\n"));
        Self { name: name.to_owned(), process: Daemon::spawn(name, command), state }
    }

    /// Asks it by its control socket, as the commands do; none when it does not answer.
    pub(crate) async fn ask(&self, procedure: &str) -> Option<serde_json::Value> {
        let own = self.state.join(ROLE).join(CLUSTER);
        let address = std::fs::read_to_string(own.join(ADDRESS_FILE)).ok()?;
        let name = format!("{}.{procedure}", address.trim());
        let asking = async {
            let client = OcsClient::connect(Endpoint::Unix(own.join(CONTROL_SOCKET)), ANSWER).await.ok()?;
            client.call(&name, Vec::<Value>::new(), Dict::new()).await.ok()
        };
        Some(tokio::time::timeout(ANSWER, asking).await.ok()??.to_json())
    }

    /// What is not well with it, or what it finds not well.
    pub(crate) async fn flaw(&mut self) -> Option<String> {
        assert!(self.process.is_running(), "{} has ended: {}", self.name, self.process.output());
        let Some(status) = self.ask("status").await else {
            return Some(format!("{} does not answer", self.name));
        };
        if status["hands_off"] != false {
            return Some(format!("{} keeps its hands off", self.name));
        }
        let daemons = status["daemons"].as_array().unwrap();
        if let Some(daemon) = daemons.iter().find(|daemon| daemon["health"] != "up") {
            return Some(format!("{} says {} is {}", self.name, daemon["daemon"], daemon["health"]));
        }
        let plan = self.ask("plan").await?;
        match plan["daemons"].as_array().unwrap().first() {
            Some(daemon) => Some(format!("{} is not done with {daemon}", self.name)),
            None => None,
        }
    }

    /// Everything it has to say, for whoever reads why a test failed.
    pub(crate) async fn testimony(&self) -> String {
        let mut said = self.name.clone();
        for procedure in ["status", "plan", "events"] {
            let answer = self.ask(procedure).await.unwrap_or_default();
            said.push_str(&format!("\n{procedure}: {answer}"));
        }
        said
    }
}
