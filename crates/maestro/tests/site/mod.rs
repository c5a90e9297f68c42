//! A simulated cluster on real sockets, a manager of it, and what is seen of both from outside.

#![allow(dead_code, reason = "not every test binary needs everything")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use campanile_control::{Clock, Workers};
use campanile_ldms::api::producer::{PrdcrSetStatus, PrdcrStatus, Producer, SetStatus};
use campanile_ldms::client::{Client, Endpoint, Options as ClientOptions};
use campanile_ldms::sim::daemon::{Options as SimOptions, Timings};
use campanile_ldms::sim::fleet::Fleet;
use campanile_maestro::conductor::{Health, Settings};
use campanile_maestro::config::{self, Pairing};
use campanile_maestro::desired::desired;
use campanile_maestro::link::Watch;
use campanile_maestro::manager::{Manager, Options};
use campanile_maestro::model::{BalanceBy, Desired};

mod real;
pub(crate) mod store;

use real::Real;

/// Daemons: simulated ones, or real ones where `LDMSD` names a program.
pub(crate) enum Daemons {
    Simulated(Fleet),
    Real(Real),
}

impl Daemons {
    fn new() -> Self {
        match std::env::var_os("LDMSD").filter(|program| !program.is_empty()) {
            Some(program) => Self::Real(Real::new(program.into())),
            None => Self::Simulated(Fleet::new()),
        }
    }

    fn start(&self, name: &str) -> u16 {
        match self {
            Self::Simulated(fleet) => {
                let mut options = SimOptions::new(name, 0);
                options.timings = Timings { start_us: 50_000, settle_us: 100_000, ..Timings::real() };
                fleet.start(options).unwrap()
            }
            Self::Real(real) => real.start(name),
        }
    }

    pub(crate) fn crash(&self, name: &str) {
        match self {
            Self::Simulated(fleet) => fleet.crash(name).unwrap(),
            Self::Real(real) => real.crash(name),
        }
    }

    /// As it is told to end. A simulated one has nothing to do at its end.
    pub(crate) fn end(&self, name: &str) {
        match self {
            Self::Simulated(fleet) => fleet.crash(name).unwrap(),
            Self::Real(real) => real.end(name),
        }
    }

    pub(crate) fn restart(&self, name: &str) {
        match self {
            Self::Simulated(fleet) => {
                if !fleet.is_up(name).unwrap() {
                    fleet.restart(name).unwrap();
                }
            }
            Self::Real(real) => real.restart(name),
        }
    }

    pub(crate) fn hang(&self, name: &str) {
        match self {
            Self::Simulated(fleet) => fleet.hang(name).unwrap(),
            Self::Real(real) => real.hang(name),
        }
    }

    pub(crate) fn resume(&self, name: &str) {
        match self {
            Self::Simulated(fleet) => fleet.resume(name).unwrap(),
            Self::Real(real) => real.resume(name),
        }
    }

    /// Lets the sets of a daemon be read so late, until the value is dropped. A real one stands still for that long again
    /// and again.
    pub(crate) fn slow(&self, name: &str, by: Duration) -> Slow<'_> {
        match self {
            Self::Simulated(fleet) => {
                let late_us = u64::try_from(by.as_micros()).unwrap();
                fleet.faults(name, |faults| faults.late_reads_us = late_us).unwrap();
                Slow { daemons: self, name: name.to_owned(), pulse: None }
            }
            Self::Real(real) => {
                Slow { daemons: self, name: name.to_owned(), pulse: Some(real.pulse(name, by)) }
            }
        }
    }

    /// Starts again what has ended by itself.
    pub(crate) fn revive(&self) -> Vec<String> {
        match self {
            Self::Simulated(_) => Vec::new(),
            Self::Real(real) => real.revive(),
        }
    }
}

/// A daemon that is slow.
pub(crate) struct Slow<'d> {
    daemons: &'d Daemons,
    name: String,
    pulse: Option<real::Pulse>,
}

impl Drop for Slow<'_> {
    fn drop(&mut self) {
        self.pulse.take();
        if let Daemons::Simulated(fleet) = self.daemons {
            let _ = fleet.faults(&self.name, |faults| faults.late_reads_us = 0);
        }
    }
}

/// What a test waits for at most; the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The shape of a cluster.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) samplers: usize,
    pub(crate) l1: usize,
    pub(crate) l2: usize,
    pub(crate) l3: usize,
}

/// What is written in the cluster file.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) shape: Shape,
    pub(crate) ports: BTreeMap<String, u16>,
    pub(crate) sampler_interval: String,
    pub(crate) updater_interval: String,
    pub(crate) plugins: Vec<String>,
    pub(crate) samplers: Vec<usize>,
    pub(crate) extra: String,
}

impl File {
    pub(crate) fn text(&self) -> String {
        let mut text = String::from("daemons:\n");
        let mut endpoint = |name: &str| {
            let port = self.ports[name];
            text.push_str(&format!(
                "  - names: \"{name}\"\n    hosts: \"127.0.0.1\"\n    endpoints:\n      - names: \"{name}-ep\"\n        ports: \"{port}\"\n        maestro_comm: True\n        xprt: sock\n        auth: {{ name: none, plugin: none }}\n"
            ));
        };
        let names = |kind: &str, list: &[usize]| -> Vec<String> {
            list.iter().map(|at| format!("{kind}-{at}")).collect()
        };
        let tier = |kind: &str, count: usize| names(kind, &(1..=count).collect::<Vec<_>>());
        let tiers = [
            names("s", &self.samplers),
            tier("l1", self.shape.l1),
            tier("l2", self.shape.l2),
            tier("l3", self.shape.l3),
        ];
        tiers.iter().flatten().for_each(|name| endpoint(name));
        text.push_str("aggregators:\n");
        for (lower, upper) in tiers.iter().zip(&tiers[1..]) {
            if upper.is_empty() {
                continue;
            }
            let endpoints: Vec<String> = lower.iter().map(|name| format!("{name}-ep")).collect();
            text.push_str(&format!(
                "  - daemons: \"{}\"\n    peers:\n      - daemons: \"{}\"\n        endpoints: \"{}\"\n        reconnect: 500ms\n        type: active\n        updaters:\n          - mode: pull\n            interval: \"{}\"\n            offset: \"100ms\"\n",
                upper.join(","), lower.join(","), endpoints.join(","), self.updater_interval
            ));
        }
        text.push_str(&format!(
            "samplers:\n  - daemons: \"{}\"\n    plugins: [{}]\nplugins:\n",
            tiers[0].join(","),
            self.plugins.join(", ")
        ));
        for plugin in &self.plugins {
            text.push_str(&format!(
                "  {plugin}:\n    name: {plugin}\n    interval: \"{}\"\n    offset: \"0ms\"\n    config:\n      - schema: {plugin}\n",
                self.sampler_interval
            ));
        }
        text.push_str(&self.extra);
        text
    }

    pub(crate) fn desired(&self, by: BalanceBy) -> Desired {
        let (cluster, diagnostics) =
            config::parse(Path::new("cluster.yaml"), self.text().as_bytes(), Pairing::Written);
        assert!(!diagnostics.has_errors(), "{diagnostics:?}\n{}", self.text());
        desired(&cluster.unwrap(), by)
    }
}

/// Waits that are short, so that tests are.
pub(crate) fn quick() -> Options {
    Options {
        watch: Watch {
            probe: Duration::from_millis(300),
            strikes: 4,
            look: Duration::from_secs(3),
            coverage: Duration::from_millis(300),
            updates: Duration::from_secs(3),
            ..Watch::default()
        },
        settings: Settings { settle_ms: 500, moves_per_s: 100.0, sync_ms: 3_000 },
        shared: false,
    }
}

/// A cluster of simulated daemons.
pub(crate) struct Site {
    pub(crate) daemons: Daemons,
    pub(crate) file: File,
}

impl Site {
    pub(crate) fn new(shape: Shape) -> Self {
        let daemons = Daemons::new();
        let mut ports = BTreeMap::new();
        let tiers = [("s", shape.samplers), ("l1", shape.l1), ("l2", shape.l2), ("l3", shape.l3)];
        for (kind, count) in tiers {
            for at in 1..=count {
                let name = format!("{kind}-{at}");
                let port = daemons.start(&name);
                ports.insert(name, port);
            }
        }
        let file = File {
            shape,
            ports,
            sampler_interval: "500ms".to_owned(),
            updater_interval: "500ms".to_owned(),
            plugins: vec!["meminfo".to_owned(), "vmstat".to_owned()],
            samplers: (1..=shape.samplers).collect(),
            extra: String::new(),
        };
        Self { daemons, file }
    }

    pub(crate) fn manage(&self) -> Manager {
        self.manage_by(BalanceBy::Producers)
    }

    pub(crate) fn manage_by(&self, by: BalanceBy) -> Manager {
        let clock = Clock::system();
        let workers = Workers::new(clock.clone());
        Manager::start(self.file.desired(by), quick(), clock, &workers, None, None)
    }

    fn top(&self) -> Vec<String> {
        let Shape { l2, l3, .. } = self.file.shape;
        let (kind, count) = if l3 > 0 { ("l3", l3) } else { ("l2", l2) };
        (1..=count).map(|at| format!("{kind}-{at}")).collect()
    }

    /// Connects for a question that may go unanswered.
    async fn try_ask(&self, daemon: &str) -> Option<Client> {
        let endpoint = Endpoint::sock("127.0.0.1", self.file.ports[daemon]);
        let options = ClientOptions {
            connect_timeout: Duration::from_secs(2),
            request_timeout: Duration::from_secs(2),
            ..ClientOptions::default()
        };
        Client::connect(&endpoint, &options).await.ok()
    }

    /// Sets at the top whose age is at most `fresh`, by asking the top tier as anybody can.
    pub(crate) async fn fresh(&self, fresh: Duration) -> BTreeSet<String> {
        self.sampled_since(SystemTime::now() - fresh).await
    }

    /// Sets at the top that were sampled after this moment.
    pub(crate) async fn sampled_since(&self, since: SystemTime) -> BTreeSet<String> {
        let since_s = since.duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let mut found = BTreeSet::new();
        for top in self.top() {
            let Some(client) = self.try_ask(&top).await else { continue };
            let Ok(sets) = client.call(&PrdcrSetStatus::default()).await else { continue };
            for set in sets.0 {
                let at_s =
                    set.timestamp_sec.unwrap_or(0) as f64 + set.timestamp_usec.unwrap_or(0) as f64 / 1e6;
                if at_s >= since_s {
                    found.insert(set.inst_name);
                }
            }
        }
        found
    }

    /// The set of a sampler's plugin.
    pub(crate) fn set(sampler: &str, plugin: &str) -> String {
        format!("{sampler}/{plugin}")
    }

    /// Waits until everything that is expected is covered.
    pub(crate) async fn covered(&self, manager: &Manager, expected: usize) {
        let began = Instant::now();
        loop {
            let fresh = self.fresh(Duration::from_millis(5_000)).await;
            if fresh.len() >= expected {
                return;
            }
            if began.elapsed() > PATIENCE {
                let sets = self.sets_everywhere().await;
                panic!(
                    "{sets:#?}\ncovered {} of {expected}: {fresh:?}\n{:#}\n{:#}",
                    fresh.len(),
                    manager.status(),
                    manager.plan()
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What every aggregator has of every set: its producer, state and the second of its sample.
    pub(crate) async fn sets_everywhere(&self) -> BTreeMap<String, Vec<String>> {
        let mut all = BTreeMap::new();
        for name in self.file.ports.keys().filter(|name| name.starts_with('l')) {
            let Some(client) = self.try_ask(name).await else { continue };
            let sets = client.call(&PrdcrSetStatus::default()).await.map(|list| list.0).unwrap_or_default();
            let line = |set: SetStatus| {
                let at = set.timestamp_sec.unwrap_or(0);
                format!("{} by {}: {} {at}", set.inst_name, set.producer, set.state)
            };
            all.insert(name.clone(), sets.into_iter().map(line).collect());
        }
        all
    }

    /// Connections that a daemon has accepted, as the system counts them.
    pub(crate) fn connections(&self, daemon: &str) -> usize {
        let port = format!(":{:04X}", self.file.ports[daemon]);
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let established = |line: &&str| {
            let mut words = line.split_whitespace().skip(1);
            let local = words.next().is_some_and(|local| local.ends_with(&port));
            local && words.nth(1) == Some("01")
        };
        table.lines().skip(1).filter(established).count()
    }

    pub(crate) async fn rest(&self, manager: &Manager) {
        until("the manager comes to rest", || manager.is_at_rest()).await;
    }

    pub(crate) async fn ask(&self, daemon: &str) -> Client {
        let began = Instant::now();
        loop {
            if let Some(client) = self.try_ask(daemon).await {
                return client;
            }
            assert!(began.elapsed() < PATIENCE, "{daemon} takes no connection");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The producers of an aggregator, as soon as it answers.
    pub(crate) async fn producers(&self, aggregator: &str) -> Vec<Producer> {
        let began = Instant::now();
        loop {
            if let Some(client) = self.try_ask(aggregator).await
                && let Ok(list) = client.call(&PrdcrStatus::default()).await
            {
                return list.0;
            }
            assert!(began.elapsed() < PATIENCE, "{aggregator} does not answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Who collects from whom in the first tier: for each sampler the aggregators that run its producer.
    pub(crate) async fn collectors(&self, aggregators: &[&str]) -> BTreeMap<String, Vec<String>> {
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for aggregator in aggregators {
            for producer in self.producers(aggregator).await {
                let state = producer.state.to_string();
                let entry = found.entry(producer.name).or_default();
                if !matches!(state.as_str(), "STOPPED" | "STANDBY" | "STOPPING") {
                    entry.push((*aggregator).to_owned());
                }
            }
        }
        found
    }
}

/// Whether the manager sees every daemon well.
pub(crate) fn all_up(manager: &Manager) -> bool {
    manager.with(|conductor| {
        (0..conductor.desired().daemons.len()).all(|at| conductor.track(at).health == Health::Up)
    })
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
