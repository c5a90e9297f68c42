//! A simulated LDMS cluster beside the site: an aggregator dies, the load moves, and the coverage line tells it.
//!
//! The daemons are those of `campanile ldms sim`, on real sockets of the loopback address; the manager is that of
//! `campanile maestro`. Both live in the process of the demo and end with it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Context as _;
use campanile_control::{Clock, Workers};
use campanile_ldms::sim::daemon::Options as Simulated;
use campanile_ldms::sim::fleet::Fleet;
use campanile_maestro::conductor::Settings;
use campanile_maestro::config::{self, Pairing};
use campanile_maestro::desired::desired;
use campanile_maestro::link::Watch;
use campanile_maestro::manager::{Manager, Options};
use campanile_maestro::model::BalanceBy;

const SAMPLERS: usize = 12;
const AGGREGATORS: [&str; 3] = ["l1-1", "l1-2", "l1-3"];
const TOP: &str = "l2";
/// The one that dies.
const VICTIM: &str = "l1-2";
/// How long everything is well before it dies, and how long it stays dead, seconds.
const PAUSE_S: f64 = 6.0;

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
    manager: Manager,
    scene: Scene,
    /// Whether an aggregator is killed for the sake of the show.
    plays: bool,
    last: String,
}

impl Cluster {
    /// Starts daemons and manager. Needs a tokio runtime.
    pub(crate) fn begin(plays: bool) -> anyhow::Result<Self> {
        let fleet = Fleet::new();
        let samplers: Vec<String> = (1..=SAMPLERS).map(|at| format!("s-{at}")).collect();
        let mut ports = BTreeMap::new();
        for name in samplers.iter().map(String::as_str).chain(AGGREGATORS).chain([TOP]) {
            let port = fleet.start(Simulated::new(name, 0)).context("a simulated ldmsd cannot be started")?;
            ports.insert(name.to_owned(), port);
        }
        let text = cluster_file(&samplers, &ports);
        let (cluster, _) = config::parse("demo.yaml".as_ref(), text.as_bytes(), Pairing::Written);
        let cluster = cluster.context("the cluster of the demo is no cluster")?;
        let options = Options {
            watch: Watch::default(),
            settings: Settings { settle_ms: 2_000, ..Settings::default() },
        };
        let clock = Clock::system();
        let workers = Workers::new(clock.clone());
        let wanted = desired(&cluster, BalanceBy::Producers);
        let manager = Manager::start(wanted, options, clock, &workers, None, None);
        Ok(Self { fleet, manager, scene: Scene::Begin, plays, last: String::new() })
    }

    /// Plays on; gives what there is to tell since the last time.
    pub(crate) fn look(&mut self, now_s: f64) -> Vec<String> {
        let mut told = Vec::new();
        let line = self.coverage_line();
        if let Some(line) = line.clone().filter(|line| *line != self.last) {
            told.push(line.clone());
            self.last = line;
        }
        let whole = self.is_whole();
        let carries = |manager: &Manager| manager.with(|conductor| conductor.assignment(0).counts(3)[1]);
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
            Scene::Back(since_s)
                if now_s - since_s >= PAUSE_S
                    && whole
                    && carries(&self.manager) == SAMPLERS / AGGREGATORS.len() =>
            {
                told.push(format!("LDMS: {VICTIM} carries again, and every set is fresh"));
                Scene::Told
            }
            other => other,
        };
        told
    }

    fn is_whole(&self) -> bool {
        self.manager
            .coverage()
            .is_some_and(|coverage| coverage.fresh == coverage.expected && coverage.expected == SAMPLERS)
    }

    /// `LDMS: coverage 100.0 % (12 of 12 sets fresh); l1-1 4, l1-2 4, l1-3 4`
    fn coverage_line(&self) -> Option<String> {
        let coverage = self.manager.coverage()?;
        let mut line = format!(
            "LDMS: coverage {:.1} % ({} of {} sets fresh);",
            coverage.percent(),
            coverage.fresh,
            coverage.expected
        );
        let counts = self.manager.with(|conductor| conductor.assignment(0).counts(AGGREGATORS.len()));
        for (at, (name, count)) in AGGREGATORS.iter().zip(counts).enumerate() {
            // Writing to a String cannot fail.
            let _ = write!(line, "{} {name} {count}", if at == 0 { "" } else { "," });
        }
        Some(line)
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
    text
}
