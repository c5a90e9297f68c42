//! A simulated LDMS cluster beside the site: an aggregator dies, the load moves, and the coverage line tells it.
//!
//! The daemons are those of `campanile ldms sim`, on real sockets of the loopback address, in the process of the demo. The
//! manager is `campanile maestro`, a process of the stage and an agent on the demo's bus.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use campanile_ldms::sim::daemon::Options as Simulated;
use campanile_ldms::sim::fleet::Fleet;
use serde_json::Value;

use super::place::Place;
use super::stage::Stage;
use crate::commands::ldms::manager::{Manager, ManagerArgs};

const SAMPLERS: usize = 12;
const AGGREGATORS: [&str; 3] = ["l1-1", "l1-2", "l1-3"];
const TOP: &str = "l2";
/// The one that dies.
const VICTIM: &str = "l1-2";
/// How long everything is well before it dies, and how long it stays dead, seconds.
const PAUSE_S: f64 = 6.0;
/// How long the manager may take to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// What comes next in the story.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scene {
    /// Everything comes up.
    Begin,
    /// It is well, since this moment.
    Well(f64),
    /// The aggregator is dead, since this moment.
    Dead(f64),
    /// It has come back, and its load with it, since this moment.
    Back(f64),
    /// The story is told.
    Told,
}

/// The cluster.
pub(crate) struct Cluster {
    fleet: Fleet,
    state: PathBuf,
    manager: Option<Manager>,
    scene: Scene,
    /// Whether an aggregator is killed for the sake of the show.
    plays: bool,
    last: String,
}

/// What its manager says of it.
struct Report {
    fresh: u64,
    expected: u64,
    /// Producers of each of [`AGGREGATORS`].
    loads: Vec<u64>,
}

impl Cluster {
    /// Starts daemons and manager. Needs a tokio runtime.
    pub(crate) fn begin(place: &Place, stage: &mut Stage, plays: bool) -> anyhow::Result<Self> {
        let fleet = Fleet::new();
        let samplers: Vec<String> = (1..=SAMPLERS).map(|at| format!("s-{at}")).collect();
        let mut ports = BTreeMap::new();
        for name in samplers.iter().map(String::as_str).chain(AGGREGATORS).chain([TOP]) {
            let port = fleet.start(Simulated::new(name, 0)).context("a simulated ldmsd cannot be started")?;
            ports.insert(name.to_owned(), port);
        }
        let file = place.path().join("cluster.yaml");
        std::fs::write(&file, cluster_file(&samplers, &ports))
            .with_context(|| format!("cannot write {}", file.display()))?;
        stage.start_maestro(&file)?;
        Ok(Self {
            fleet,
            state: place.state(),
            manager: None,
            scene: Scene::Begin,
            plays,
            last: String::new(),
        })
    }

    /// Plays on; gives what there is to tell since the last time.
    pub(crate) async fn look(&mut self, now_s: f64) -> Vec<String> {
        let Some(report) = self.ask().await else { return Vec::new() };
        let mut told = Vec::new();
        let line = report.line();
        if line != self.last {
            told.push(line.clone());
            self.last = line;
        }
        let whole = report.fresh == report.expected && report.expected == SAMPLERS as u64;
        self.scene = match self.scene {
            Scene::Begin if whole => Scene::Well(now_s),
            Scene::Well(since_s) if self.plays && now_s - since_s >= PAUSE_S => {
                // A daemon of this very process cannot be unknown.
                let _ = self.fleet.crash(VICTIM);
                told.push(format!("* The aggregator {VICTIM} of the LDMS cluster is killed."));
                Scene::Dead(now_s)
            }
            Scene::Dead(since_s) if now_s - since_s >= PAUSE_S && whole => {
                let _ = self.fleet.restart(VICTIM);
                told.push(format!("* {VICTIM} is started again; it gets back what it had."));
                Scene::Back(now_s)
            }
            Scene::Back(since_s) if now_s - since_s >= PAUSE_S && whole && report.is_even() => {
                told.push(format!("LDMS: {VICTIM} carries again, and every set is fresh"));
                Scene::Told
            }
            other => other,
        };
        told
    }

    /// What the manager says; `None` while it does not answer.
    async fn ask(&mut self) -> Option<Report> {
        if self.manager.is_none() {
            let args = ManagerArgs::at(self.state.clone());
            self.manager = Some(Manager::find(&args).await.ok()?);
        }
        let status = self.manager.as_ref()?.call("status", Vec::new());
        match tokio::time::timeout(ANSWER, status).await {
            Ok(Ok(status)) => Report::of(&status),
            _ => {
                self.manager = None;
                None
            }
        }
    }
}

impl Report {
    fn of(status: &Value) -> Option<Self> {
        let coverage = &status["coverage"];
        let members = status["groups"][0]["members"].as_array()?;
        Some(Self {
            fresh: coverage["fresh"].as_u64()?,
            expected: coverage["expected"].as_u64()?,
            loads: members.iter().map(|member| member["assigned"].as_u64().unwrap_or(0)).collect(),
        })
    }

    /// `LDMS: coverage 100.0 % (12 of 12 sets fresh); l1-1 4, l1-2 4, l1-3 4`
    fn line(&self) -> String {
        let percent = 100.0 * self.fresh as f64 / (self.expected.max(1)) as f64;
        let mut line =
            format!("LDMS: coverage {percent:.1} % ({} of {} sets fresh);", self.fresh, self.expected);
        for (at, (name, count)) in AGGREGATORS.iter().zip(&self.loads).enumerate() {
            // Writing to a String cannot fail.
            let _ = write!(line, "{} {name} {count}", if at == 0 { "" } else { "," });
        }
        line
    }

    fn is_even(&self) -> bool {
        self.loads.iter().all(|load| *load == (SAMPLERS / AGGREGATORS.len()) as u64)
    }
}

/// The cluster as its file has it.
fn cluster_file(samplers: &[String], ports: &BTreeMap<String, u16>) -> String {
    let endpoints =
        |names: &[&str]| names.iter().map(|name| format!("{name}-ep")).collect::<Vec<_>>().join(",");
    let mut text = String::from("daemons:\n");
    for (name, port) in ports {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  - {{names: {name}, hosts: 127.0.0.1, endpoints: [{{names: {name}-ep, ports: {port}, maestro_comm: True}}]}}"
        );
    }
    let names: Vec<&str> = samplers.iter().map(String::as_str).collect();
    text.push_str("aggregators:\n");
    for (upper, lower) in [(&AGGREGATORS[..], &names[..]), (&[TOP][..], &AGGREGATORS[..])] {
        let _ = writeln!(
            text,
            "  - daemons: \"{}\"\n    peers:\n      - {{daemons: \"{}\", endpoints: \"{}\", reconnect: 1s, type: active, updaters: [{{mode: pull, interval: 1s, offset: 100ms}}]}}",
            upper.join(","),
            lower.join(","),
            endpoints(lower)
        );
    }
    let _ = writeln!(
        text,
        "samplers: [{{daemons: \"{}\", plugins: [meminfo]}}]\nplugins: {{meminfo: {{name: meminfo, interval: 1s, offset: 0s, config: [{{schema: meminfo}}]}}}}",
        names.join(",")
    );
    text.push_str("campanile: {moves: {settle: 2s}}\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_file_is_a_cluster_without_a_problem() {
        let samplers: Vec<String> = (1..=SAMPLERS).map(|at| format!("s-{at}")).collect();
        let names = samplers.iter().map(String::as_str).chain(AGGREGATORS).chain([TOP]);
        let ports = names.zip(10_001..).map(|(name, port)| (name.to_owned(), port)).collect();
        let text = cluster_file(&samplers, &ports);
        let pairing = campanile_maestro::config::Pairing::Written;
        let (cluster, problems) =
            campanile_maestro::config::parse("cluster.yaml".as_ref(), text.as_bytes(), pairing);
        assert!(cluster.is_some() && problems.is_empty(), "{}", problems.render(false));
    }
}
