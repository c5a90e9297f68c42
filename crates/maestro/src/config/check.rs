//! What can only be seen with all sections at hand.

use std::collections::{HashMap, HashSet};

use campanile_ldms::hostlist;
use campanile_yaml::{Node, did_you_mean};

use super::daemons::Daemons;
use super::fields::Fields;
use super::model::{Auth, Cluster};
use super::plugins::Plugins;
use super::stores::Stores;
use super::{aggregators, samplers};

/// All sections as they were read, each part with its place.
#[derive(Debug)]
pub(super) struct Read<'d> {
    pub(super) daemons: Daemons<'d>,
    pub(super) plugins: Plugins<'d>,
    pub(super) groups: Vec<aggregators::Group<'d>>,
    pub(super) samplers: Vec<samplers::Group<'d>>,
    pub(super) stores: Stores<'d>,
}

pub(super) fn check(read: &Read<'_>, fields: &mut Fields) {
    for group in &read.groups {
        daemons_exist(group.at, &group.group.daemons.list, read, fields);
        plugins_exist(&group.plugins_at, &group.group.plugins, read, fields);
    }
    for group in &read.samplers {
        daemons_exist(group.at, &group.group.daemons.list, read, fields);
        plugins_exist(&group.plugins_at, &group.group.plugins, read, fields);
    }
    for (at, store) in read.stores.by_name.values().enumerate() {
        plugins_exist(&[read.stores.plugin_at[at]], std::slice::from_ref(&store.plugin), read, fields);
        daemons_exist(read.stores.at[at], &store.daemons.list, read, fields);
    }
    one_daemon_per_port(read, fields);
}

fn daemons_exist(at: Node<'_>, names: &[String], read: &Read<'_>, fields: &mut Fields) {
    let absent: Vec<&String> =
        names.iter().filter(|name| !read.daemons.by_name.contains_key(*name)).collect();
    let Some(first) = absent.first() else { return };
    let near = did_you_mean(first, read.daemons.by_name.keys().map(String::as_str));
    let problem = at.error(format!("no such daemon: {}", hostlist::fold(&absent)));
    let near = near.map(|near| format!("did you mean `{near}`?"));
    fields.diagnostics.push(problem.maybe_hint(near));
}

fn plugins_exist(at: &[Node<'_>], names: &[String], read: &Read<'_>, fields: &mut Fields) {
    for (at, name) in at.iter().zip(names).filter(|(_, name)| !read.plugins.by_name.contains_key(*name)) {
        let near = did_you_mean(name, read.plugins.by_name.keys().map(String::as_str));
        let near = near.map(|near| format!("did you mean `{near}`?"));
        let hint = near.unwrap_or_else(|| "define it in the top-level map `plugins`".to_owned());
        fields.error_hint(*at, format!("no such plugin instance: `{name}`"), hint);
    }
}

/// Two daemons cannot listen on one port.
fn one_daemon_per_port(read: &Read<'_>, fields: &mut Fields) {
    let mut seen: HashMap<(&str, &str, u16), usize> = HashMap::new();
    for (at, daemon) in read.daemons.by_name.values().enumerate() {
        for endpoint in &daemon.endpoints {
            let place = (daemon.host_of(endpoint), &*endpoint.xprt, endpoint.port);
            let earlier = *seen.entry(place).or_insert(at);
            if earlier == at {
                continue;
            }
            let (host, xprt, port) = place;
            let other = &read.daemons.by_name[earlier].name;
            let message =
                format!("`{other}` and `{}` both listen on {host}, {xprt} port {port}", daemon.name);
            let entry = read.daemons.entries[at];
            let problem = entry.get("names").unwrap_or(entry).error(message);
            fields.diagnostics.push(problem.hint("give each its own port or host"));
            break;
        }
    }
}

/// What only a look at the whole cluster shows.
pub(super) fn check_cluster(cluster: &Cluster, places: &Places<'_>, fields: &mut Fields) {
    loops(cluster, places, fields);
    plugins_of_samplers_have_intervals(cluster, places, fields);
    every_sampler_is_collected(cluster, places, fields);
    domains_are_the_same_everywhere(cluster, places, fields);
    managed_over_sock(cluster, places, fields);
    stores_are_on_aggregators(cluster, places, fields);
}

/// Where groups, stores and daemons are in the file.
#[derive(Debug)]
pub(super) struct Places<'d> {
    pub(super) groups: Vec<Node<'d>>,
    pub(super) samplers: Vec<Node<'d>>,
    pub(super) sampler_plugins: Vec<Vec<Node<'d>>>,
    pub(super) stores: Vec<Node<'d>>,
    pub(super) daemons: Vec<Node<'d>>,
}

impl<'d> Places<'d> {
    pub(super) fn of(read: &Read<'d>) -> Self {
        Self {
            groups: read.groups.iter().map(|group| group.at).collect(),
            samplers: read.samplers.iter().map(|group| group.at).collect(),
            sampler_plugins: read.samplers.iter().map(|group| group.plugins_at.clone()).collect(),
            stores: read.stores.at.clone(),
            daemons: read.daemons.entries.clone(),
        }
    }
}

/// Aggregators that collect from themselves, however far round.
fn loops(cluster: &Cluster, places: &Places<'_>, fields: &mut Fields) {
    let sources = crate::summary::sources(cluster);
    let mut told = vec![false; sources.len()];
    for start in 0..sources.len() {
        if told[start] {
            continue;
        }
        let Some(circle) = circle_from(start, &sources) else { continue };
        for at in &circle {
            told[*at] = true;
        }
        let names: Vec<&str> = circle.iter().map(|at| &*cluster.aggregators[*at].daemons.text).collect();
        let message = match names.as_slice() {
            [one] => format!("the aggregators `{one}` collect from themselves"),
            _ => format!("these aggregators collect from each other in a circle: {}", names.join(" from ")),
        };
        let problem = places.groups[start].error(message);
        fields.diagnostics.push(problem.hint("take one of them out of the `peers` of another"));
    }
}

/// A shortest way from a group back to itself.
fn circle_from(start: usize, sources: &[Vec<usize>]) -> Option<Vec<usize>> {
    let mut came_from: Vec<Option<usize>> = vec![None; sources.len()];
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(at) = queue.pop_front() {
        for &next in &sources[at] {
            if next == start {
                let mut circle = vec![at];
                while let Some(before) = came_from[*circle.last()?] {
                    circle.push(before);
                }
                circle.reverse();
                return Some(circle);
            }
            if came_from[next].is_none() {
                came_from[next] = Some(at);
                queue.push_back(next);
            }
        }
    }
    None
}

fn plugins_of_samplers_have_intervals(cluster: &Cluster, places: &Places<'_>, fields: &mut Fields) {
    for (group, at) in cluster.samplers.iter().zip(&places.sampler_plugins) {
        for (name, at) in group.plugins.iter().zip(at) {
            let without = cluster.plugins.get(name).is_some_and(|plugin| plugin.interval.is_none());
            if without {
                let message = format!("the plugin `{name}` is used by a sampler, and has no `interval`");
                fields.error_hint(
                    *at,
                    message,
                    "say in `plugins` how often it samples, such as interval: \"1s\"",
                );
            }
        }
    }
}

fn every_sampler_is_collected(cluster: &Cluster, places: &Places<'_>, fields: &mut Fields) {
    let collected: HashSet<&str> = cluster
        .aggregators
        .iter()
        .flat_map(|group| group.producers().map(|(_, producer)| producer.daemon.as_str()))
        .collect();
    let aggregators: HashSet<&str> =
        cluster.aggregators.iter().flat_map(|group| group.daemons.list.iter().map(String::as_str)).collect();
    let listening: HashSet<(&str, u16)> = cluster
        .aggregators
        .iter()
        .filter(|group| !group.listeners.is_empty())
        .flat_map(|group| group.daemons.list.iter().filter_map(|name| cluster.daemon(name)))
        .flat_map(|daemon| {
            daemon.endpoints.iter().flat_map(move |endpoint| {
                // It is found by the host of the daemon and by that of the endpoint.
                [(daemon.host.as_str(), endpoint.port), (daemon.host_of(endpoint), endpoint.port)]
            })
        })
        .collect();
    for (group, at) in cluster.samplers.iter().zip(&places.samplers) {
        if let Some(advertise) = &group.advertise {
            let port = advertise.port.parse::<u16>().unwrap_or(0);
            let deaf: Vec<&String> = advertise
                .hosts
                .list
                .iter()
                .filter(|host| !listening.contains(&(host.as_str(), port)))
                .collect();
            if !deaf.is_empty() {
                let message = format!(
                    "they advertise to port {port} of {}, where no aggregator with `prdcr_listen` listens",
                    hostlist::fold(&deaf)
                );
                fields.warn(*at, message);
            }
            continue;
        }
        let left: Vec<&String> = group
            .daemons
            .list
            .iter()
            .filter(|name| !collected.contains(name.as_str()) && !aggregators.contains(name.as_str()))
            .collect();
        if !left.is_empty() {
            let message = format!("no aggregator collects from {}", hostlist::fold(&left));
            let problem = at.warning(message);
            fields.diagnostics.push(problem.hint("name their endpoints in the `peers` of an aggregator"));
        }
    }
}

/// A daemon keeps the first definition it is given of a domain.
fn domains_are_the_same_everywhere(cluster: &Cluster, places: &Places<'_>, fields: &mut Fields) {
    let mut first: HashMap<&str, (usize, &Auth)> = HashMap::new();
    let mut told: HashSet<&str> = HashSet::new();
    for (at, daemon) in cluster.daemons.values().enumerate() {
        for auth in daemon.endpoints.iter().filter_map(|endpoint| endpoint.auth.as_deref()) {
            let (earlier, known) = *first.entry(&auth.name).or_insert((at, auth));
            if known != auth && told.insert(&auth.name) {
                let message = format!("the authentication domain `{}` is defined in two ways", auth.name);
                let problem = places.daemons[at].warning(message);
                let problem = problem.related(places.daemons[earlier].place(), "the other way");
                fields
                    .diagnostics
                    .push(problem.hint("a daemon that needs both keeps the first; use two names"));
            }
        }
    }
}

/// A manager speaks over `sock`.
fn managed_over_sock(cluster: &Cluster, places: &Places<'_>, fields: &mut Fields) {
    let mut told: HashSet<(u32, String)> = HashSet::new();
    for (at, daemon) in cluster.daemons.values().enumerate() {
        let Some(endpoint) = daemon.managed_at().filter(|endpoint| &*endpoint.xprt != "sock") else {
            continue;
        };
        let entry = places.daemons[at];
        if told.insert((entry.place().start.line, endpoint.xprt.to_string())) {
            let message = format!(
                "the endpoint `{}` has `maestro_comm` over {}; a manager talks to daemons over sock",
                endpoint.name, endpoint.xprt
            );
            let problem = entry.warning(message);
            fields.diagnostics.push(problem.hint("set `maestro_comm` at an endpoint with xprt: sock"));
        }
    }
}

fn stores_are_on_aggregators(cluster: &Cluster, places: &Places<'_>, fields: &mut Fields) {
    for (at, store) in cluster.stores.values().enumerate() {
        let idle: Vec<&String> = store
            .daemons
            .list
            .iter()
            .filter(|name| cluster.daemons.contains_key(*name) && cluster.groups_of(name).next().is_none())
            .collect();
        if !idle.is_empty() {
            let message =
                format!("the store `{}` is on {}, no aggregator", store.name, hostlist::fold(&idle));
            fields.warn(places.stores[at], message);
        }
    }
}
