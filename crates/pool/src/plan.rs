//! The decision: which nodes to request and which to let go, given the queue, what there is, and what is allowed.
//!
//! **Expected flow.** Idle jobs are placed on what works, then on what is idle, then on what is on its way; for what is
//! left nodes are planned (`grow`). Nodes on which nothing was placed, and which have been idle for long, may go
//! (`shrink`).
//!
//! **Guarantees.** Never more nodes, cores or cost than allowed, counting every server that bears our mark whatever its
//! status, and every request whose answer is not known. Only nodes without a job go, and the batch system is asked to
//! check that once more at the moment of the drain. Without a trustworthy answer of the batch system nothing goes, and
//! only `nodes_min` is worked towards.
//!
//! **Assumptions.** The nodes were looked at ([`crate::life`]) with the same answers that come in here.
//!
//! **Architecture invariant:** no clock, no I/O, no randomness (a seed comes in), no tokio in this file or in what it
//! uses.

mod grow;
mod options;
mod shrink;
mod words;

pub(crate) use options::cost;

use std::collections::HashMap;

use serde::Serialize;

use crate::batch::DrainMode;
use crate::config::{CloudConfig, PoolConfig};
use crate::health::Health;
use crate::identity::{Sight, Workers};
use crate::model::{CloudLimits, Demand, Ending, Flavor, Node, NodeState, Resources, WorkerState};
use crate::packing::{Class, Group, Kind, Packing, Types, coarsen, sort_groups};

/// More worker types than this cannot be told apart in a [`Types`].
pub const MAX_WORKER_TYPES: usize = 64;

/// What a cloud has answered.
#[derive(Clone, Copy, Debug)]
pub struct CloudView<'a> {
    /// What the configuration says of it.
    pub config: &'a CloudConfig,
    /// What can be bought; `None`: no answer.
    pub flavors: Option<&'a [Flavor]>,
    /// What it allows; `None`: no answer.
    pub limits: Option<&'a CloudLimits>,
    /// Whether its servers are known at the moment.
    pub is_listed: bool,
    /// Servers with our mark beyond those of the nodes (doubles).
    pub strays: u64,
    /// What those have.
    pub stray_resources: Resources,
}

/// What operators have asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Controls {
    /// Nothing is created or removed.
    pub paused: bool,
    /// Instead of `nodes_min`.
    pub nodes_min: Option<u64>,
    /// Instead of `nodes_max`; never above it.
    pub nodes_max: Option<u64>,
    /// Instead of `nodes_spare`.
    pub nodes_spare: Option<u64>,
}

/// All that the decision rests on.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// What is wanted.
    pub config: &'a PoolConfig,
    /// The clouds, in the order of the configuration.
    pub clouds: &'a [CloudView<'a>],
    /// All nodes that are not gone.
    pub nodes: &'a [Node],
    /// The workers; `None`: nothing is known.
    pub workers: Option<&'a Workers<'a>>,
    /// The queue; `None`: nothing is known.
    pub demand: Option<&'a Demand>,
    /// How clouds and flavors fare.
    pub health: &'a Health,
    /// What operators have asked for.
    pub controls: &'a Controls,
    /// When nodes were requested, those of the last minute at least.
    pub recent_creations_ms: &'a [u64],
    /// The cloud of the last node that was requested.
    pub last_cloud: Option<&'a str>,
    /// For choices by lot.
    pub seed: u64,
    /// The time.
    pub now_ms: u64,
}

/// A node to be requested.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Creation {
    /// Its cloud.
    pub cloud: String,
    /// Its worker type.
    pub worker_type: String,
    /// Its flavor, by name.
    pub flavor: String,
    /// Its image.
    pub image: String,
    /// What it has.
    pub resources: Resources,
    /// What it costs per hour.
    pub cost_per_hour: f64,
    /// What it is for.
    pub purpose: Purpose,
}

/// What a new node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// For jobs that wait.
    Jobs,
    /// For `nodes_min`.
    Min,
    /// For `nodes_spare`.
    Spare,
}

/// A node that is to go.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Removal {
    /// Its name.
    pub node: String,
    /// Why.
    pub ending: Ending,
    /// Whether the batch system is to check that it is idle.
    pub only_if_idle: bool,
}

impl Removal {
    /// How its worker is drained.
    #[must_use]
    pub fn mode(&self) -> DrainMode {
        if self.only_if_idle { DrainMode::OnlyIfIdle } else { DrainMode::Peaceful }
    }
}

/// What was counted on the way.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Numbers {
    /// Jobs that wait and that a worker type can run.
    pub idle_jobs: u64,
    /// Cores they ask for.
    pub idle_cores: u64,
    /// Jobs that wait and that no worker type can run.
    pub unrunnable_jobs: u64,
    /// Jobs for which there is room on what has joined.
    pub jobs_placed: u64,
    /// Jobs for which there is room on what is on its way.
    pub jobs_coming: u64,
    /// Jobs for which nodes are requested now.
    pub jobs_new: u64,
    /// Jobs for which nothing can be done now.
    pub jobs_unserved: u64,
    /// Servers with our mark and open requests: what the caps count.
    pub nodes: u64,
    /// Nodes on their way.
    pub nodes_coming: u64,
    /// Nodes without a job.
    pub nodes_idle: u64,
    /// Nodes with jobs.
    pub nodes_busy: u64,
    /// Nodes that drain or are being deleted.
    pub nodes_going: u64,
    /// Workers that are not ours.
    pub foreign_workers: u64,
    /// Cores of all nodes.
    pub cores: u64,
    /// Cost of all nodes per hour.
    pub cost_per_hour: f64,
}

/// The decision.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Plan {
    /// Nodes to be requested, in this order.
    pub create: Vec<Creation>,
    /// Nodes to go, in this order.
    pub remove: Vec<Removal>,
    /// Why, in words, one sentence each.
    pub why: Vec<String>,
    /// What was counted.
    pub numbers: Numbers,
}

/// Decides.
#[must_use]
pub fn plan(input: &Input<'_>) -> Plan {
    let mut plan = Plan { numbers: count(input), ..Plan::default() };
    let mut scene = Scene::of(input);
    scene.place_on_present(&mut plan.numbers);
    let mut said = words::Said::default();
    if input.controls.paused {
        said.paused = true;
        plan.numbers.jobs_unserved = scene.unplaced();
    } else {
        grow::grow(input, &mut scene, &mut plan, &mut said);
        shrink::shrink(input, &scene, &mut plan, &mut said);
    }
    plan.why = words::words(input, &plan, &said);
    plan
}

/// What the caps count: all nodes that are not gone, and strays.
fn count(input: &Input<'_>) -> Numbers {
    let mut numbers = Numbers::default();
    for node in input.nodes.iter().filter(|node| node.state != NodeState::Gone) {
        numbers.nodes += 1;
        numbers.cores += u64::from(node.resources.cores);
        numbers.cost_per_hour += node.cost_per_hour;
        match node.state {
            state if state.is_coming() => numbers.nodes_coming += 1,
            NodeState::Idle => numbers.nodes_idle += 1,
            NodeState::Busy => numbers.nodes_busy += 1,
            NodeState::Draining | NodeState::Deleting => numbers.nodes_going += 1,
            _ => {}
        }
    }
    for cloud in input.clouds {
        numbers.nodes += cloud.strays;
        numbers.cores += u64::from(cloud.stray_resources.cores);
    }
    numbers.foreign_workers = input.workers.map_or(0, |workers| workers.foreign.len() as u64);
    numbers
}

/// Jobs and machines, as the placing sees them.
struct Scene {
    groups: Vec<Group>,
    packing: Packing,
    /// For the idle nodes of ours: which label of [`Kind::Idle`] each has.
    labels: HashMap<(Types, Resources), usize>,
}

impl Scene {
    fn of(input: &Input<'_>) -> Self {
        let all: Types = Types::MAX;
        let types: HashMap<&str, Types> = bits(input.config);
        let bit = |name: &str| types.get(name).copied().unwrap_or(0);
        let mut labels = HashMap::new();
        let mut classes = Vec::with_capacity(input.nodes.len());
        for node in input.nodes {
            let own = bit(&node.worker_type);
            let mut add = |free: Resources, kind: Kind, untouched: bool, label: usize| {
                classes.push(Class { free, types: own, kind, label, untouched, count: 1 });
            };
            if node.state.is_coming() {
                add(capacity(input.config, &node.worker_type, node.resources), Kind::Coming, true, 0);
                continue;
            }
            let Some(worker) = usable_worker(input, node) else { continue };
            if node.state == NodeState::Busy {
                add(worker.free, Kind::Working, false, 0);
            } else {
                let next = labels.len();
                let label = *labels.entry((own, worker.free)).or_insert(next);
                add(worker.free, Kind::Idle, true, label);
            }
        }
        for worker in input.workers.iter().flat_map(|workers| &workers.foreign) {
            if !matches!(worker.state, WorkerState::Idle | WorkerState::Busy) {
                continue;
            }
            let named: Types = worker.worker_types.iter().map(|name| bit(name)).fold(0, |a, b| a | b);
            let types = if worker.worker_types.is_empty() { all } else { named };
            let class =
                Class { free: worker.free, types, kind: Kind::Working, label: 0, untouched: false, count: 1 };
            classes.push(class);
        }
        let mut groups: Vec<Group> = input
            .demand
            .iter()
            .flat_map(|demand| &demand.groups)
            .map(|group| Group {
                request: at_least_one_core(group.request),
                types: group.worker_types.iter().map(|name| bit(name)).fold(0, |a, b| a | b),
                jobs: group.jobs,
            })
            .collect();
        sort_groups(&mut groups);
        coarsen(&mut groups, &largest(input));
        Self { groups, packing: Packing::new(classes), labels }
    }

    /// Places what there is room for; the groups keep what is left.
    fn place_on_present(&mut self, numbers: &mut Numbers) {
        for group in &mut self.groups {
            if group.types == 0 {
                numbers.unrunnable_jobs += group.jobs;
                group.jobs = 0;
                continue;
            }
            numbers.idle_jobs += group.jobs;
            numbers.idle_cores += group.jobs.saturating_mul(u64::from(group.request.cores));
            let left_of_joined = self.packing.place_up_to(group, Kind::Idle);
            numbers.jobs_placed += group.jobs - left_of_joined;
            group.jobs = left_of_joined;
            let left = self.packing.place_up_to(group, Kind::Coming);
            numbers.jobs_coming += group.jobs - left;
            group.jobs = left;
        }
        self.groups.retain(|group| group.jobs > 0);
    }

    fn unplaced(&self) -> u64 {
        self.groups.iter().map(|group| group.jobs).sum()
    }
}

/// The worker of a node, if it takes jobs.
fn usable_worker<'a>(input: &Input<'a>, node: &Node) -> Option<&'a crate::model::Worker> {
    if !node.state.is_working() || node.cordoned {
        return None;
    }
    match input.workers?.sight(&node.name) {
        Sight::Seen(worker) if matches!(worker.state, WorkerState::Idle | WorkerState::Busy) => Some(worker),
        _ => None,
    }
}

/// What a machine has for jobs, when its system has taken its part.
pub(crate) fn capacity(config: &PoolConfig, worker_type: &str, machine: Resources) -> Resources {
    let reserved = config.worker_types.iter().find(|kind| kind.name == worker_type).map(|kind| kind.reserved);
    machine.minus(&reserved.unwrap_or_default())
}

/// A job that asks for no core takes one all the same: else a machine would have room for any number.
fn at_least_one_core(request: Resources) -> Resources {
    Resources { cores: request.cores.max(1), ..request }
}

fn bits(config: &PoolConfig) -> HashMap<&str, Types> {
    let names = config.worker_types.iter().take(MAX_WORKER_TYPES).enumerate();
    names.map(|(index, kind)| (kind.name.as_str(), 1 << index)).collect()
}

fn largest(input: &Input<'_>) -> Resources {
    let mut largest = Resources::default();
    for flavor in input.clouds.iter().filter_map(|cloud| cloud.flavors).flatten() {
        largest.memory_mib = largest.memory_mib.max(flavor.resources.memory_mib);
        largest.disk_mib = largest.disk_mib.max(flavor.resources.disk_mib);
    }
    largest
}
