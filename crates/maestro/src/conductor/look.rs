//! What a daemon says it has, taken in.

use std::collections::BTreeMap;
use std::sync::Arc;

use campanile_ldms::api::advertise::Listener;
use campanile_ldms::api::plugin::{Plugin, SetsOfPlugin};
use campanile_ldms::api::producer::Producer as ProducerStatus;
use campanile_ldms::api::store::Store as StoreStatus;
use campanile_ldms::api::updater::{Updater, UpdaterMatches};
use campanile_ldms::wire::dir::DirEntry;

use serde::{Deserialize, Serialize};

use crate::model::{Name, Producer, ProducerExtra, Schedule, Source};
use crate::seen::{Differs, PluginSeen, ProducerSeen, Seen, SetSeen, State, StoreSeen, UpdaterSeen};

use super::tools::Noted;
use super::{Conductor, SetTime};

/// A look at one daemon: the parts that were asked for.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Changes of its configuration, as it said before the rest.
    pub cfg_cntr: Option<u64>,
    /// Its producers.
    pub producers: Option<Vec<ProducerStatus>>,
    /// Whether those are all of them.
    pub all_producers: bool,
    /// Its updaters.
    pub updaters: Option<Vec<Updater>>,
    /// Their matches.
    pub matches: Option<Vec<UpdaterMatches>>,
    /// Its plugin instances.
    pub plugins: Option<Vec<Plugin>>,
    /// The sets of its samplers.
    pub plugin_sets: Option<Vec<SetsOfPlugin>>,
    /// The sets it has.
    pub directory: Option<Vec<DirEntry>>,
    /// Its storage policies.
    pub stores: Option<Vec<StoreStatus>>,
    /// Its listeners for advertisements.
    pub listeners: Option<Vec<Listener>>,
    /// The times of the sets of producers that it takes over.
    pub set_times: Option<Vec<SetTime>>,
}

/// A daemon that has advertised itself to an aggregator, as that one says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advertised {
    /// The name of its producer.
    pub name: Name,
    /// Its host.
    pub host: Name,
    /// Its port; 0 where the aggregator does not say.
    pub port: i64,
    /// Transport.
    pub xprt: Name,
    /// How long the aggregator waits before it connects again.
    pub reconnect_us: i64,
    /// It waits to be started.
    pub standby: bool,
}

impl From<&ProducerStatus> for Advertised {
    fn from(status: &ProducerStatus) -> Self {
        Self {
            name: status.name.as_str().into(),
            host: status.host.as_str().into(),
            port: status.port.unwrap_or(0),
            xprt: status.transport.as_str().into(),
            reconnect_us: status.reconnect_us.unwrap_or(0),
            standby: State::from(&status.state) == State::Standby,
        }
    }
}

impl Advertised {
    /// The same from what has become of it.
    pub(super) fn of(producer: &Producer, standby: bool) -> Self {
        Self {
            name: producer.name.clone(),
            host: producer.host.clone(),
            port: i64::from(producer.port),
            xprt: producer.xprt.clone(),
            reconnect_us: producer.reconnect_us,
            standby,
        }
    }
}

impl Conductor {
    /// Takes in a look at a daemon.
    pub fn look(&mut self, daemon: usize, look: Look, now_ms: u64) {
        self.look_at_set_times(daemon, &look);
        let mut seen = self.tracks[daemon].seen.take().unwrap_or_default();
        if let Some(cfg_cntr) = look.cfg_cntr {
            seen.cfg_cntr = cfg_cntr;
        }
        if let Some(producers) = look.producers {
            self.look_at_producers(daemon, &mut seen, producers, look.all_producers);
        }
        if let Some(updaters) = look.updaters {
            let shared = |name: String| self.shared_name(daemon, name);
            look_at_updaters(&mut seen, updaters, look.matches.unwrap_or_default(), shared);
        }
        if let Some(plugins) = look.plugins {
            let sets: BTreeMap<String, Vec<String>> = look
                .plugin_sets
                .unwrap_or_default()
                .into_iter()
                .map(|entry| (entry.plugin, entry.sets))
                .collect();
            let seen_as = |plugin: Plugin| {
                let sets = sets.get(&plugin.name).cloned().unwrap_or_default();
                (plugin.name, PluginSeen { plugin: plugin.plugin, sets })
            };
            seen.plugins = plugins.into_iter().map(seen_as).collect();
        }
        if let Some(directory) = look.directory {
            look_at_sets(&mut seen, directory, now_ms);
            let sampled =
                seen.sets.iter().map(|(name, set)| (name.as_str().into(), (set.data_bytes, set.schedule)));
            self.tracks[daemon].sampled = Some(sampled.collect());
            self.weigh(daemon);
        }
        if let Some(stores) = look.stores {
            seen.stores = stores.into_iter().map(|store| (store.name.clone(), store_seen(store))).collect();
        }
        if let Some(listeners) = look.listeners {
            seen.listeners =
                listeners.into_iter().map(|listener| (listener.name, listener.state == "running")).collect();
        }
        self.forget_removed(daemon, &seen, look.all_producers);
        self.observe(daemon, seen);
    }

    /// Takes in a whole picture of a daemon.
    pub fn observe(&mut self, daemon: usize, seen: Seen) {
        self.tracks[daemon].second_hand = false;
        self.untold.insert(daemon);
        self.take_seen(daemon, seen);
    }

    /// The same, whoever has seen it.
    pub(super) fn take_seen(&mut self, daemon: usize, seen: Seen) {
        let track = &mut self.tracks[daemon];
        // The count begins anew with every life of a daemon.
        if seen.cfg_cntr < track.memory.cfg_cntr {
            track.memory.forget_life();
        }
        track.memory.cfg_cntr = seen.cfg_cntr;
        let first = track.seen.is_none();
        track.noted = seen.producers.iter().map(|list| Noted::of(list)).collect();
        track.seen = Some(seen);
        self.dirty.insert(daemon);
        for (group, _) in &self.desired.daemons[daemon].member_of {
            let assignment = &mut self.assignments[*group];
            assignment.dirty |= first
                || !assignment.ready
                || self.desired.groups[*group].producers.len() != assignment.units.len();
        }
        for (group, _) in &self.produces_in[daemon].clone() {
            if self.desired.groups[*group].by == crate::model::BalanceBy::Sets {
                self.refresh_units(*group);
            }
        }
        self.wake_waiting(daemon);
    }

    /// Others of the group may wait for this one to let go of a producer.
    pub(super) fn wake_waiting(&mut self, daemon: usize) {
        for (group, _) in &self.desired.daemons[daemon].member_of {
            let members = &self.desired.groups[*group].aggregators;
            for member in members {
                if self.tracks[member.daemon].waits {
                    self.dirty.insert(member.daemon);
                }
            }
        }
    }

    fn look_at_producers(&mut self, daemon: usize, seen: &mut Seen, list: Vec<ProducerStatus>, all: bool) {
        let member_of = self.desired.daemons[daemon].member_of.clone();
        if all {
            seen.strangers.clear();
            seen.producers.clear();
        }
        seen.producers.resize_with(member_of.len(), Vec::new);
        for (entry, (group, _)) in member_of.iter().enumerate() {
            seen.producers[entry]
                .resize(self.desired.groups[*group].producers.len(), ProducerSeen::default());
        }
        for status in list {
            let place = member_of.iter().enumerate().find_map(|(entry, (group, _))| {
                Some((entry, *group, *self.desired.groups[*group].index.get(status.name.as_str())?))
            });
            if let Some((entry, group, at)) = place {
                let differs = differs(&self.desired.groups[group].producers[at], &status);
                seen.producers[entry][at] = ProducerSeen { state: State::from(&status.state), differs };
            } else if status.kind.starts_with("advertised")
                && let Some((group, _)) =
                    member_of.iter().find(|(group, _)| !self.desired.groups[*group].listeners.is_empty())
            {
                let entry = member_of.iter().position(|(other, _)| other == group).unwrap_or(0);
                let one = Advertised::from(&status);
                let at = self.advertised(*group, &one);
                seen.producers[entry].resize(at + 1, ProducerSeen::default());
                seen.producers[entry][at] =
                    ProducerSeen { state: State::from(&status.state), differs: Differs::No };
            } else {
                seen.strangers.insert(status.name, State::from(&status.state));
            }
        }
    }

    /// The name of a producer as the configuration holds it: a hundred aggregators name ten thousand producers each.
    fn shared_name(&self, daemon: usize, name: String) -> Name {
        let groups =
            self.desired.daemons[daemon].member_of.iter().map(|(group, _)| &self.desired.groups[*group]);
        let known = groups.filter_map(|group| group.index.get_key_value(name.as_str())).next();
        known.map_or_else(|| name.into(), |(known, _)| Name::clone(known))
    }

    /// A producer that has advertised itself joins the group.
    pub(super) fn advertised(&mut self, group: usize, status: &Advertised) -> usize {
        let daemon = self.behind_advertised(status);
        let producer = Producer {
            name: status.name.clone(),
            source: Source::Advertised,
            host: status.host.clone(),
            port: u16::try_from(status.port).unwrap_or(0),
            xprt: status.xprt.clone(),
            reconnect_us: status.reconnect_us,
            domain: None,
            extra: Arc::new(ProducerExtra::default()),
            daemon,
            weight: None,
        };
        let at = self.desired.groups[group].add_producer(producer);
        if let Some(daemon) = daemon
            && !self.produces_in[daemon].contains(&(group, at))
        {
            self.produces_in[daemon].push((group, at));
        }
        self.assignments[group].dirty = true;
        at
    }

    /// The daemon that has advertised itself. It calls itself `HOSTNAME:PORT`, and its host may be called otherwise in
    /// the configuration: then it is known by its port, if only one that advertises has it.
    fn behind_advertised(&self, status: &Advertised) -> Option<usize> {
        let daemons = &self.desired.daemons;
        if let Some(named) = daemons.iter().position(|daemon| *daemon.name == *status.name) {
            return Some(named);
        }
        let (host, port) = match status.name.rsplit_once(':') {
            Some((host, port)) => (host, port.parse::<i64>().ok()),
            None => (&*status.host, Some(status.port)),
        };
        let has_port = |daemon: &crate::model::Daemon| {
            daemon.control.as_ref().is_some_and(|control| Some(i64::from(control.port)) == port)
        };
        let advertises = |daemon: &crate::model::Daemon| !daemon.advertisers.is_empty();
        let with_port: Vec<usize> =
            (0..daemons.len()).filter(|at| advertises(&daemons[*at]) && has_port(&daemons[*at])).collect();
        let short = |name: &str| name.split('.').next().unwrap_or(name).to_owned();
        let same_host = |at: &usize| {
            let control = daemons[*at].control.as_ref();
            control.is_some_and(|control| {
                control.host == host || control.host == *status.host || short(&control.host) == short(host)
            })
        };
        let by_host = with_port.iter().copied().find(same_host);
        by_host.or(if let [only] = with_port[..] { Some(only) } else { None })
    }

    /// What was to be removed and is gone need not be remembered.
    fn forget_removed(&mut self, daemon: usize, seen: &Seen, all: bool) {
        let retired = &mut self.tracks[daemon].memory.retired;
        if retired.is_empty() {
            return;
        }
        if all {
            retired.producers.retain(|name| seen.strangers.contains_key(name));
            retired.advertisers.retain(|name| seen.strangers.contains_key(name));
        }
        retired.updaters.retain(|name| seen.updaters.contains_key(name));
        retired.stores.retain(|name| seen.stores.contains_key(name));
        retired.plugins.retain(|name| seen.plugins.contains_key(name));
    }
}

fn differs(wanted: &Producer, status: &ProducerStatus) -> Differs {
    let Source::Defined(kind) = wanted.source else { return Differs::No };
    let domain = wanted.domain.as_ref().map_or("DEFAULT", |domain| &*domain.name);
    let port = status.port == Some(i64::from(wanted.port))
        || kind == campanile_ldms::api::producer::ProducerType::Passive;
    let same = status.host == *wanted.host
        && port
        && status.transport == *wanted.xprt
        && status.kind == kind.to_string()
        && (status.auth == domain || status.auth.is_empty());
    match (same, status.reconnect_us == Some(wanted.reconnect_us)) {
        (false, _) => Differs::Definition,
        (true, false) => Differs::Reconnect,
        (true, true) => Differs::No,
    }
}

fn look_at_updaters(
    seen: &mut Seen,
    updaters: Vec<Updater>,
    matches: Vec<UpdaterMatches>,
    shared: impl Fn(String) -> Name,
) {
    let mut matches: BTreeMap<String, _> =
        matches.into_iter().map(|entry| (entry.name, entry.matches)).collect();
    seen.updaters.clear();
    for updater in updaters {
        let matches = matches.remove(&updater.name).unwrap_or_default();
        let of_schema = |selector: &str| selector.to_ascii_lowercase().starts_with("schema");
        let seen_as = UpdaterSeen {
            schedule: Schedule { interval_us: updater.interval.unwrap_or(0), offset_us: updater.offset },
            mode: updater.mode,
            auto: updater.auto,
            running: updater.state == "RUNNING",
            producers: Arc::new(
                updater.producers.into_iter().map(|producer| shared(producer.name)).collect(),
            ),
            matches: matches.into_iter().map(|entry| (entry.regex, of_schema(&entry.selector))).collect(),
        };
        seen.updaters.insert(updater.name, seen_as);
    }
}

fn look_at_sets(seen: &mut Seen, directory: Vec<DirEntry>, now_ms: u64) {
    let mut before = std::mem::take(&mut seen.sets);
    seen.sets_ms = now_ms;
    for entry in directory.into_iter().filter(|entry| entry.flags.contains('L')) {
        let hint = entry.update_hint_us();
        let old = before.remove(&entry.name);
        let changed_ms = match old {
            Some(old) if old.generation == entry.data_gn => old.changed_ms,
            _ => now_ms,
        };
        let set = SetSeen {
            data_bytes: entry.data_size,
            schedule: hint.map(|(interval_us, offset_us)| Schedule { interval_us, offset_us }),
            generation: entry.data_gn,
            changed_ms,
        };
        seen.sets.insert(entry.name, set);
    }
}

fn store_seen(store: StoreStatus) -> StoreSeen {
    let text = |text: String| if text == "-" { String::new() } else { text };
    let flush_us = store.flush.trim().parse::<f64>().ok().map(|seconds| (seconds * 1e6).round() as i64);
    StoreSeen {
        plugin: store.plugin,
        container: store.container,
        schema: text(store.schema),
        regex: text(store.regex),
        flush_us,
        decomposition: text(store.decomp),
        running: store.state == "RUNNING",
    }
}
