//! One turn of the loop as a value: what was seen goes in, what is to be remembered and done comes out. PURE.
//!
//! The manager writes down what a turn has changed, then carries its orders out, then enters their outcomes here
//! ([`Memory::created`], [`Memory::drained`]). Killed between any two of these it finds its way again: a node that is
//! written down and was never requested is given up when its cloud does not list it; one that was requested and not
//! written down cannot be.

use std::collections::{BTreeMap, BTreeSet};

use crate::batch::{DrainAnswer, DrainMode};
use crate::clouds::CloudError;
use crate::config::PoolConfig;
use crate::health::Health;
use crate::identity::{Servers, Sight, Workers};
use crate::life::{self, Act, Known};
use crate::model::{
    CloudLimits, Demand, Ending, Flavor, Node, NodeState, Resources, Server, Worker, WorkerState,
};
use crate::names::server_name;
use crate::plan::{CloudView, Controls, Creation, Input, Plan, plan};

/// What was seen of one cloud; `None` where it did not answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CloudSeen {
    /// Its name.
    pub name: String,
    /// All servers with our mark.
    pub servers: Option<Vec<Server>>,
    /// What it allows.
    pub limits: Option<CloudLimits>,
    /// What can be bought.
    pub flavors: Option<Vec<Flavor>>,
}

/// What was seen of the world, once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// When.
    pub now_ms: u64,
    /// The clouds, in the order of the configuration.
    pub clouds: Vec<CloudSeen>,
    /// All workers; `None`: nothing is known.
    pub workers: Option<Vec<Worker>>,
    /// The queue; `None`: nothing is known.
    pub demand: Option<Demand>,
}

/// What is remembered between two turns.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// All nodes that are not gone.
    pub nodes: Vec<Node>,
    /// How clouds and flavors fare.
    pub health: Health,
    /// What operators have asked for.
    pub controls: Controls,
    /// Since when each cloud has answered without a gap.
    pub cloud_since_ms: BTreeMap<String, u64>,
    /// Since when the batch system has answered without a gap.
    pub batch_since_ms: Option<u64>,
    /// When nodes were requested of late.
    pub recent_creations_ms: Vec<u64>,
    /// The cloud of the last request.
    pub last_cloud: Option<String>,
    /// For lots: names, choices.
    pub seed: u64,
    /// Counts lots.
    pub lots: u64,
    /// Alarms that were raised and hold on, so that each is told once.
    pub alarms: BTreeSet<String>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The node, if it is about one.
    pub node: Option<String>,
    /// The cloud, if it is about one.
    pub cloud: Option<String>,
    /// What, in words.
    pub text: String,
    /// Whether somebody should look.
    pub is_alarm: bool,
}

/// Something to be done for one node. Orders of one node are carried out in their order, those of different nodes at
/// the same time.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Request it.
    Create(Creation),
    /// Drain its worker.
    Drain(Box<Worker>, DrainMode, String),
    /// Switch its drained worker off.
    Off(Box<Worker>),
    /// Keep its console's end.
    Examine(String),
    /// Delete its server.
    Delete(String),
    /// Let the batch system forget it.
    Forget(Option<String>),
}

/// The orders for one node.
#[derive(Clone, Debug, PartialEq)]
pub struct Orders {
    /// Its name.
    pub node: String,
    /// Its cloud.
    pub cloud: String,
    /// What to do.
    pub orders: Vec<Order>,
}

/// What a turn asks for.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    /// Nodes to be written down before anything is done; those that are gone among them.
    pub changed: Vec<Node>,
    /// What happened.
    pub events: Vec<Event>,
    /// What is to be done.
    pub orders: Vec<Orders>,
    /// The decision about growing and shrinking.
    pub plan: Plan,
}

/// Takes a turn.
pub fn turn(memory: &mut Memory, seen: &Seen, config: &PoolConfig) -> Turn {
    let mut turn = Turn::default();
    memory.note_answers(seen);
    let before: BTreeMap<String, Node> =
        memory.nodes.iter().map(|node| (node.name.clone(), node.clone())).collect();
    let mut alarms = enter_found_servers(memory, seen, config, &mut turn);
    alarms.append(&mut look_at_nodes(memory, seen, config, &mut turn));
    alarm(memory, alarms, &mut turn);
    let gone: Vec<Node> = memory.nodes.iter().filter(|node| node.state == NodeState::Gone).cloned().collect();
    memory.nodes.retain(|node| node.state != NodeState::Gone);
    decide(memory, seen, config, &mut turn);
    turn.changed = memory.nodes.iter().filter(|node| before.get(&node.name) != Some(node)).cloned().collect();
    turn.changed.extend(gone);
    turn
}

/// Decides without remembering or doing anything: the answer to "what would you do now?".
#[must_use]
pub fn preview(memory: &Memory, seen: &Seen, config: &PoolConfig) -> Turn {
    turn(&mut memory.clone(), seen, config)
}

/// Servers that bear our mark and are in no record: the record was lost, or an answer came after it was given up.
/// Returns what somebody should look at.
fn enter_found_servers(
    memory: &mut Memory,
    seen: &Seen,
    config: &PoolConfig,
    turn: &mut Turn,
) -> BTreeSet<String> {
    let mut found: Vec<Node> = Vec::new();
    let mut alarms = BTreeSet::new();
    for cloud in &seen.clouds {
        let here: Vec<&Node> = memory.nodes.iter().filter(|node| node.cloud == cloud.name).collect();
        let servers = Servers::of(cloud.servers.as_deref().unwrap_or_default(), &here);
        for server in &servers.unknown {
            let name = server.node.clone().unwrap_or_else(|| server.name.clone());
            let is_taken = memory.nodes.iter().chain(&found).any(|node| node.name == name);
            if is_taken {
                alarms.insert(format!(
                    "server {} in {} has the name of another node, {name}",
                    server.id, cloud.name
                ));
                continue;
            }
            turn.events.push(Event {
                node: Some(name.clone()),
                cloud: Some(cloud.name.clone()),
                text: format!("server {} bears our mark and is in no record: it is taken in", server.id),
                is_alarm: false,
            });
            found.push(node_of(server, name, &cloud.name, cloud.flavors.as_deref(), config, seen.now_ms));
        }
    }
    memory.nodes.append(&mut found);
    alarms
}

fn node_of(
    server: &Server,
    name: String,
    cloud: &str,
    flavors: Option<&[Flavor]>,
    config: &PoolConfig,
    now_ms: u64,
) -> Node {
    let flavor = flavors
        .unwrap_or_default()
        .iter()
        .find(|flavor| flavor.name == server.flavor || flavor.id == server.flavor);
    let resources = server.resources.or(flavor.map(|flavor| flavor.resources)).unwrap_or_default();
    let settings = config.clouds.iter().find(|settings| settings.name == cloud);
    let cost = settings.zip(flavor).map_or(0.0, |(settings, flavor)| crate::plan::cost(settings, flavor));
    Node {
        name,
        cloud: cloud.to_owned(),
        worker_type: server
            .worker_type
            .clone()
            .filter(|name| config.worker_types.iter().any(|kind| kind.name == *name))
            .or_else(|| config.worker_types.first().map(|kind| kind.name.clone()))
            .unwrap_or_default(),
        flavor: flavor.map_or_else(|| server.flavor.clone(), |flavor| flavor.name.clone()),
        image: String::new(),
        resources,
        cost_per_hour: cost,
        state: NodeState::Requested,
        since_ms: now_ms,
        created_ms: server.created_ms.min(now_ms),
        server_id: Some(server.id.clone()),
        worker_handle: None,
        idle_since_ms: None,
        cordoned: false,
        ending: None,
        detail: String::new(),
        delete_tries: 0,
        asked_ms: None,
        missing_since_ms: None,
    }
}

fn look_at_nodes(memory: &mut Memory, seen: &Seen, config: &PoolConfig, turn: &mut Turn) -> BTreeSet<String> {
    let nodes = memory.nodes.clone();
    let workers = seen.workers.as_deref().map(|workers| Workers::of(workers, &nodes));
    let servers: BTreeMap<&str, Servers<'_>> = seen
        .clouds
        .iter()
        .filter_map(|cloud| {
            let here: Vec<&Node> = nodes.iter().filter(|node| node.cloud == cloud.name).collect();
            Some((cloud.name.as_str(), Servers::of(cloud.servers.as_deref()?, &here)))
        })
        .collect();
    let mut uncertain = BTreeSet::new();
    for node in &mut memory.nodes {
        let server =
            servers.get(node.cloud.as_str()).map_or(Sight::Unknown, |servers| servers.sight(&node.name));
        let worker = workers.as_ref().map_or(Sight::Unknown, |workers| workers.sight(&node.name));
        if server == Sight::Ambiguous || worker == Sight::Ambiguous {
            uncertain.insert(format!("two claim to be {}; neither is touched", node.name));
        }
        let known = Known {
            cloud_since_ms: memory.cloud_since_ms.get(&node.cloud).copied().unwrap_or(seen.now_ms),
            batch_since_ms: memory.batch_since_ms.unwrap_or(seen.now_ms),
        };
        let step = life::look(node, server, worker, known, &config.deadlines, seen.now_ms);
        if node.state.is_coming() && step.node.state.is_working() {
            memory.health.node_joined(&node.cloud, &node.flavor);
        }
        let has_failed = step.node.ending.is_some_and(Ending::is_failure) && node.ending.is_none();
        if has_failed && node.state.is_coming() {
            memory.health.node_failed(&node.cloud, &node.flavor, &step.node.detail, seen.now_ms);
        }
        for text in step.events {
            turn.events.push(Event {
                node: Some(node.name.clone()),
                cloud: Some(node.cloud.clone()),
                is_alarm: has_failed || text == step.node.detail,
                text,
            });
        }
        let mut orders = orders_of(&step.node, &step.acts, worker.get());
        if let (Some(worker), true) = (worker.get(), node.cordoned && step.node.state.is_working()) {
            orders.extend(cordon(worker));
        }
        *node = step.node;
        if !orders.is_empty() {
            turn.orders.push(Orders { node: node.name.clone(), cloud: node.cloud.clone(), orders });
        }
    }
    uncertain
}

/// A node that is cordoned takes no new jobs.
fn cordon(worker: &Worker) -> Option<Order> {
    let takes_jobs = matches!(worker.state, WorkerState::Idle | WorkerState::Busy);
    let order = || Order::Drain(Box::new(worker.clone()), DrainMode::Peaceful, "cordoned".to_owned());
    takes_jobs.then(order)
}

fn orders_of(node: &Node, acts: &[Act], worker: Option<&Worker>) -> Vec<Order> {
    let order = |act: &Act| match act {
        Act::Drain => {
            let worker = Box::new(worker?.clone());
            Some(Order::Drain(worker, drain_mode(node.ending), node.detail.clone()))
        }
        Act::Off => Some(Order::Off(Box::new(worker?.clone()))),
        Act::Examine => node.server_id.clone().map(Order::Examine),
        Act::Delete => node.server_id.clone().map(Order::Delete),
        Act::Forget => Some(Order::Forget(node.worker_handle.clone())),
    };
    acts.iter().filter_map(order).collect()
}

/// What is not needed goes only if it is idle; what an operator, or the lease, wants gone finishes its jobs.
fn drain_mode(ending: Option<Ending>) -> DrainMode {
    match ending {
        Some(Ending::Asked | Ending::LeaseOver) => DrainMode::Peaceful,
        _ => DrainMode::OnlyIfIdle,
    }
}

/// Tells each alarm once, as long as it holds on.
fn alarm(memory: &mut Memory, now: BTreeSet<String>, turn: &mut Turn) {
    for text in now.difference(&memory.alarms) {
        turn.events.push(Event { node: None, cloud: None, text: text.clone(), is_alarm: true });
    }
    memory.alarms = now;
}

fn decide(memory: &mut Memory, seen: &Seen, config: &PoolConfig, turn: &mut Turn) {
    let nodes = memory.nodes.clone();
    let workers = seen.workers.as_deref().map(|workers| Workers::of(workers, &nodes));
    let views: Vec<CloudView<'_>> = config
        .clouds
        .iter()
        .map(|cloud| {
            let answer = seen.clouds.iter().find(|answer| answer.name == cloud.name);
            let here: Vec<&Node> = nodes.iter().filter(|node| node.cloud == cloud.name).collect();
            let listed = answer.and_then(|answer| answer.servers.as_deref());
            let sorted = Servers::of(listed.unwrap_or_default(), &here);
            let mut strays = sorted.doubles();
            strays.extend(&sorted.unknown);
            let resources = strays.iter().filter_map(|server| server.resources);
            CloudView {
                config: cloud,
                flavors: answer.and_then(|answer| answer.flavors.as_deref()),
                limits: answer.and_then(|answer| answer.limits.as_ref()),
                is_listed: listed.is_some(),
                strays: strays.len() as u64,
                stray_resources: resources.fold(Resources::default(), |sum, each| sum + each),
            }
        })
        .collect();
    memory.lots += 1;
    let input = Input {
        config,
        clouds: &views,
        nodes: &nodes,
        workers: workers.as_ref(),
        demand: seen.demand.as_ref(),
        health: &memory.health,
        controls: &memory.controls,
        recent_creations_ms: &memory.recent_creations_ms,
        last_cloud: memory.last_cloud.as_deref(),
        seed: memory.seed.wrapping_add(memory.lots),
        now_ms: seen.now_ms,
    };
    turn.plan = plan(&input);
    for removal in &turn.plan.remove {
        let Some(node) = memory.nodes.iter_mut().find(|node| node.name == removal.node) else { continue };
        life::begin_drain(node, removal.ending, seen.now_ms);
        let worker = workers.as_ref().and_then(|workers| workers.sight(&node.name).get());
        let Some(worker) = worker.cloned().map(Box::new) else { continue };
        turn.events.push(event(node, format!("is drained: {}", removal.ending.words())));
        let order = Order::Drain(worker, removal.mode(), removal.ending.words().to_owned());
        turn.orders.push(Orders { node: node.name.clone(), cloud: node.cloud.clone(), orders: vec![order] });
    }
    for creation in turn.plan.create.clone() {
        let node = memory.request(&creation, config, seen.now_ms);
        turn.events.push(event(&node, format!("is requested: {} in {}", creation.flavor, creation.cloud)));
        turn.orders.push(Orders {
            node: node.name.clone(),
            cloud: node.cloud.clone(),
            orders: vec![Order::Create(creation)],
        });
        memory.nodes.push(node);
    }
}

fn event(node: &Node, text: String) -> Event {
    Event { node: Some(node.name.clone()), cloud: Some(node.cloud.clone()), text, is_alarm: false }
}

impl Memory {
    fn note_answers(&mut self, seen: &Seen) {
        match seen.workers {
            Some(_) => drop(self.batch_since_ms.get_or_insert(seen.now_ms)),
            None => self.batch_since_ms = None,
        }
        for cloud in &seen.clouds {
            match cloud.servers {
                Some(_) => drop(self.cloud_since_ms.entry(cloud.name.clone()).or_insert(seen.now_ms)),
                None => drop(self.cloud_since_ms.remove(&cloud.name)),
            }
        }
        const KEEP_MS: u64 = 24 * 3_600_000;
        self.recent_creations_ms.retain(|at_ms| seen.now_ms.saturating_sub(*at_ms) < KEEP_MS);
    }

    /// A new node, with a name that none has.
    fn request(&mut self, creation: &Creation, config: &PoolConfig, now_ms: u64) -> Node {
        let name = loop {
            self.lots += 1;
            let lot = (self.seed ^ now_ms).wrapping_add(self.lots).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
            let name = server_name(&config.mark.prefix, "execute", now_ms, lot);
            if !self.nodes.iter().any(|node| node.name == name) {
                break name;
            }
        };
        self.recent_creations_ms.push(now_ms);
        self.last_cloud = Some(creation.cloud.clone());
        Node {
            name,
            cloud: creation.cloud.clone(),
            worker_type: creation.worker_type.clone(),
            flavor: creation.flavor.clone(),
            image: creation.image.clone(),
            resources: creation.resources,
            cost_per_hour: creation.cost_per_hour,
            state: NodeState::Requested,
            since_ms: now_ms,
            created_ms: now_ms,
            server_id: None,
            worker_handle: None,
            idle_since_ms: None,
            cordoned: false,
            ending: None,
            detail: String::new(),
            delete_tries: 0,
            asked_ms: None,
            missing_since_ms: None,
        }
    }

    /// The node of this name.
    pub fn node_mut(&mut self, name: &str) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| node.name == name)
    }

    /// Enters what the cloud answered to a request. Returns the node as it is to be written down, and what happened.
    pub fn created(
        &mut self,
        name: &str,
        answer: &Result<String, CloudError>,
        now_ms: u64,
    ) -> Option<(Node, Event)> {
        let node = self.node_mut(name)?;
        life::after_create(node, answer, now_ms);
        let node = node.clone();
        let text = match answer {
            Ok(id) => format!("is accepted by the cloud as server {id}"),
            Err(error) if error.may_have_been_done() => {
                format!("it is not known whether it was accepted ({error}); the cloud's list will tell")
            }
            Err(error) => format!("is refused: {error}"),
        };
        match answer {
            Ok(_) => self.health.create_accepted(&node.cloud),
            Err(error) => self.health.create_failed(&node.cloud, &node.flavor, error, now_ms),
        }
        self.nodes.retain(|node| node.state != NodeState::Gone);
        let event = Event { is_alarm: answer.is_err(), ..event(&node, text) };
        Some((node, event))
    }

    /// Enters that a node cannot be prepared (the batch system does not admit it): nothing was requested.
    pub fn not_admitted(&mut self, name: &str, why: &str, now_ms: u64) -> Option<(Node, Event)> {
        let node = self.node_mut(name)?;
        node.state = NodeState::Gone;
        node.since_ms = now_ms;
        node.ending = Some(Ending::Refused);
        why.clone_into(&mut node.detail);
        let node = node.clone();
        self.nodes.retain(|node| node.state != NodeState::Gone);
        let event = Event { is_alarm: true, ..event(&node, format!("is not requested: {why}")) };
        Some((node, event))
    }

    /// Enters what the batch system answered to a drain. Returns the node if it changed, and what happened.
    pub fn drained(&mut self, name: &str, answer: DrainAnswer, now_ms: u64) -> Option<(Node, Event)> {
        let node = self.node_mut(name).filter(|node| node.state == NodeState::Draining)?;
        match answer {
            DrainAnswer::Accepted | DrainAnswer::NoSuchWorker => None,
            DrainAnswer::Busy => {
                life::end_drain(node, now_ms);
                let text = "stays: a job had started on it when the drain was asked for".to_owned();
                Some((node.clone(), event(node, text)))
            }
        }
    }

    /// An operator wants a node gone: it finishes its jobs, then it is deleted.
    ///
    /// # Errors
    /// In words: there is no such node, or it is going already.
    pub fn ask_gone(&mut self, name: &str, now_ms: u64) -> Result<Node, String> {
        let node = self.node_mut(name).ok_or_else(|| format!("there is no node {name}"))?;
        match node.state {
            NodeState::Idle | NodeState::Busy | NodeState::Lost => {
                life::begin_drain(node, Ending::Asked, now_ms);
                // The order goes out with the next turn.
                node.asked_ms = None;
            }
            NodeState::Requested if node.server_id.is_none() => {
                return Err(format!("the cloud has not listed {name} yet; ask again in a minute"));
            }
            NodeState::Requested | NodeState::Building | NodeState::Booted => {
                node.state = NodeState::Deleting;
                node.since_ms = now_ms;
                node.ending = Some(Ending::Asked);
                Ending::Asked.words().clone_into(&mut node.detail);
                node.asked_ms = None;
            }
            NodeState::Draining if node.ending != Some(Ending::Asked) => node.ending = Some(Ending::Asked),
            NodeState::Draining | NodeState::Deleting | NodeState::Gone => {
                return Err(format!("{name} is going already ({})", node.state.name()));
            }
        }
        Ok(node.clone())
    }
}
