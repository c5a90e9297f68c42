//! What a cluster configuration amounts to: its tiers, and what each aggregator can be expected to carry.

use std::collections::HashMap;

use crate::config::model::{AggregatorGroup, Cluster, Daemon, Plugin, UpdateMode};
use crate::generate::Split;

/// Bytes of a metric set whose size nobody has named. (That of meminfo is 544.)
pub const DEFAULT_SET_BYTES: u64 = 1024;

/// A cluster in figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Daemons in all.
    pub daemons: usize,
    /// Daemons that a manager can talk to (`maestro_comm`).
    pub managed: usize,
    /// Daemons that sample.
    pub samplers: usize,
    /// Metric sets that are sampled.
    pub sets: u64,
    /// Groups of aggregators, the highest tier first.
    pub groups: Vec<GroupSummary>,
    /// Groups of samplers, in written order: text, daemons, plugin instances.
    pub sampler_groups: Vec<(String, usize, Vec<String>)>,
}

/// A group of aggregators in figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupSummary {
    /// The text of its hostlist.
    pub text: String,
    /// 1 for those that collect from samplers.
    pub tier: usize,
    /// Texts of the groups it collects from.
    pub collects_from: Vec<String>,
    /// Storage policies it carries out.
    pub stores: Vec<String>,
    /// Each aggregator.
    pub aggregators: Vec<(String, Load)>,
}

/// What a daemon has to offer, or carries. Bytes per second are an estimate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Producers it collects from.
    pub producers: u64,
    /// Metric sets.
    pub sets: u64,
    /// Their size together.
    pub bytes: u64,
    /// How much of it moves per second.
    pub bytes_per_s: f64,
}

impl Summary {
    /// The figures of a cluster. Groups that collect from each other in a circle are all put on the tier that is
    /// reached.
    #[must_use]
    pub fn of(cluster: &Cluster) -> Self {
        let mut loads: HashMap<&str, Load> = HashMap::new();
        for group in &cluster.samplers {
            let load = sampled(cluster, &group.plugins);
            for daemon in group.daemons.list.iter() {
                let known = loads.entry(daemon).or_default();
                known.sets += load.sets;
                known.bytes += load.bytes;
                known.bytes_per_s += load.bytes_per_s;
            }
        }
        let samplers = loads.len();
        let sets = loads.values().map(|load| load.sets).sum();
        let tiers = tiers(cluster);
        let mut order: Vec<usize> = (0..cluster.aggregators.len()).collect();
        order.sort_by_key(|at| tiers[*at]);
        let mut groups = Vec::new();
        for at in order {
            let group = &cluster.aggregators[at];
            let aggregators = carried(cluster, group, &loads);
            for (name, load) in &aggregators {
                // What it carries it offers to the tier above, beside what it samples itself.
                if let Some(name) = group.daemons.list.iter().find(|known| *known == name) {
                    let known = loads.entry(name).or_default();
                    known.sets += load.sets;
                    known.bytes += load.bytes;
                    known.bytes_per_s += load.bytes_per_s;
                }
            }
            let stores = cluster.stores.values().filter(|store| {
                group.daemons.list.first().is_some_and(|first| store.daemons.contains(first))
            });
            groups.push(GroupSummary {
                text: group.daemons.text.to_string(),
                tier: tiers[at],
                collects_from: collects_from(cluster, group),
                stores: stores.map(|store| store.name.clone()).collect(),
                aggregators,
            });
        }
        groups.reverse();
        let sampler_groups = cluster
            .samplers
            .iter()
            .map(|group| (group.daemons.text.to_string(), group.daemons.list.len(), group.plugins.clone()));
        Self {
            daemons: cluster.daemons.len(),
            managed: cluster.daemons.values().filter(|daemon| daemon.managed_at().is_some()).count(),
            samplers,
            sets,
            groups,
            sampler_groups: sampler_groups.collect(),
        }
    }
}

/// What the plugins of a sampler give: a set each.
fn sampled(cluster: &Cluster, plugins: &[String]) -> Load {
    let mut load = Load::default();
    for plugin in plugins.iter().filter_map(|name| cluster.plugins.get(name)) {
        let bytes = set_bytes(cluster, plugin);
        load.sets += 1;
        load.bytes += bytes;
        if let Some(us) = plugin.interval.as_ref().and_then(|interval| interval.us).filter(|us| *us > 0) {
            load.bytes_per_s += per_second(bytes, us);
        }
    }
    load
}

fn set_bytes(cluster: &Cluster, plugin: &Plugin) -> u64 {
    let known = &cluster.extension.set_bytes;
    let named = known.get(&plugin.name).or_else(|| known.get(&plugin.library));
    named.copied().unwrap_or(if plugin.library == "meminfo" { 544 } else { DEFAULT_SET_BYTES })
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn per_second(bytes: u64, interval_us: i64) -> f64 {
    bytes as f64 * 1e6 / interval_us as f64
}

/// What each aggregator of a group carries when its producers are divided as the generator divides them.
fn carried(cluster: &Cluster, group: &AggregatorGroup, loads: &HashMap<&str, Load>) -> Vec<(String, Load)> {
    let split = Split::of(group);
    let mut all: Vec<(String, Load)> =
        group.daemons.list.iter().map(|name| (name.clone(), Load::default())).collect();
    for (position, (_, load)) in all.iter_mut().enumerate() {
        for place in split.producers_of(position) {
            let peers = &group.peers[place.peers];
            let offered =
                loads.get(peers.producers[place.producer].daemon.as_str()).copied().unwrap_or_default();
            add(load, offered, peers.updaters.first().map(|updater| (updater.mode, updater.interval.us)));
        }
    }
    let count = all.len().max(1);
    for (at, daemon) in advertised_to(cluster, group).enumerate() {
        let offered = loads.get(daemon.name.as_str()).copied().unwrap_or_default();
        let updater = group.listeners.iter().flat_map(|listener| &listener.updaters).next();
        add(&mut all[at % count].1, offered, updater.map(|updater| (updater.mode, updater.interval.us)));
    }
    all
}

fn add(load: &mut Load, offered: Load, updater: Option<(UpdateMode, Option<i64>)>) {
    load.producers += 1;
    load.sets += offered.sets;
    load.bytes += offered.bytes;
    load.bytes_per_s += match updater {
        Some((UpdateMode::Pull, Some(us))) if us > 0 => per_second(offered.bytes, us),
        _ => offered.bytes_per_s,
    };
}

/// The daemons that offer themselves to the listeners of a group.
fn advertised_to<'c>(cluster: &'c Cluster, group: &'c AggregatorGroup) -> impl Iterator<Item = &'c Daemon> {
    let hosts: Vec<&str> = if group.listeners.is_empty() {
        Vec::new()
    } else {
        let daemons = group.daemons.list.iter().filter_map(|name| cluster.daemon(name));
        daemons.map(|daemon| daemon.host.as_str()).collect()
    };
    let groups = cluster.samplers.iter().filter(move |samplers| {
        let advertise = samplers.advertise.as_ref();
        advertise.is_some_and(|advertise| hosts.iter().any(|host| advertise.hosts.contains(host)))
    });
    groups.flat_map(|samplers| samplers.daemons.list.iter()).filter_map(|name| cluster.daemon(name))
}

fn collects_from(cluster: &Cluster, group: &AggregatorGroup) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for (_, producer) in group.producers() {
        if texts.last().is_none_or(|last| *last != *producer.peer_group) {
            texts.push(producer.peer_group.to_string());
        }
    }
    for samplers in cluster.samplers.iter().filter(|samplers| samplers.advertise.is_some()) {
        if advertised_to(cluster, group).any(|daemon| samplers.daemons.contains(&daemon.name)) {
            texts.push(samplers.daemons.text.to_string());
        }
    }
    let mut seen = std::collections::HashSet::new();
    texts.retain(|text| seen.insert(text.clone()));
    texts
}

/// For each group of aggregators, the groups it collects from.
#[must_use]
pub fn sources(cluster: &Cluster) -> Vec<Vec<usize>> {
    let mut groups_of: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, group) in cluster.aggregators.iter().enumerate() {
        for daemon in group.daemons.list.iter() {
            groups_of.entry(daemon).or_default().push(at);
        }
    }
    let sources = cluster.aggregators.iter().map(|group| {
        let producers = group.producers().filter_map(|(_, producer)| groups_of.get(producer.daemon.as_str()));
        let mut sources: Vec<usize> = producers.flatten().copied().collect();
        sources.sort_unstable();
        sources.dedup();
        sources
    });
    sources.collect()
}

/// The tier of each group: one more than the highest it collects from.
fn tiers(cluster: &Cluster) -> Vec<usize> {
    let sources = sources(cluster);
    let mut tiers = vec![1; sources.len()];
    // A tier can be raised at most as often as there are groups, unless they form a circle.
    for _ in 0..sources.len() {
        for (at, sources) in sources.iter().enumerate() {
            let below = sources.iter().map(|source| tiers[*source]).max().unwrap_or(0);
            tiers[at] = (below + 1).min(tiers.len());
        }
    }
    tiers
}
