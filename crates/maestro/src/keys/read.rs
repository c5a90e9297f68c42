//! The original's keys as a cluster. Daemons come in the order of the keys: the written order is not among them.

use std::collections::BTreeMap;
use std::sync::Arc;

use campanile_ldms::{hostlist, time};
use indexmap::IndexMap;

use super::tree::Tree;
use crate::config::model::{
    Advertise, AggregatorGroup, Auth, Cluster, ConfigLine, ConfigValue, Daemon, DaemonSettings, Endpoint,
    Interval, Listener, Names, OptionValue, Peers, Plugin, Producer, RawUpdater, SamplerGroup, SetMatch,
    StoragePolicy, Subscription, UpdateMode, Updater,
};

/// The cluster that keys below its prefix stand for, and what in them makes no sense, one sentence each. Parts that make
/// no sense are left out.
#[must_use]
pub fn from_keys(keys: &BTreeMap<String, String>) -> (Cluster, Vec<String>) {
    let tree = Tree::of(keys);
    let mut reader = Reader { problems: Vec::new() };
    let mut cluster = Cluster::default();
    for (name, daemon) in tree.below("daemons") {
        if let Some(daemon) = reader.daemon(name, daemon) {
            cluster.daemons.insert(name.clone(), daemon);
        }
    }
    for (name, plugin) in tree.below("plugins") {
        let plugin = reader.plugin(name, plugin);
        cluster.plugins.insert(name.clone(), Arc::new(plugin));
    }
    for (text, group) in tree.below("aggregators") {
        let daemons = reader.names(text, group);
        cluster.aggregators.push(reader.aggregators(&tree, daemons, group));
    }
    for (text, group) in tree.below("samplers") {
        let daemons = reader.names(text, &Tree::default());
        let advertise = group.get("advertise").and_then(|advertise| reader.advertise(advertise));
        cluster.samplers.push(SamplerGroup { daemons, plugins: group.list("plugins"), advertise });
    }
    for (text, group) in tree.below("stores") {
        for (name, store) in &group.branches {
            if let Some(store) = reader.store(text, name, store) {
                cluster.stores.insert(name.clone(), store);
            }
        }
    }
    (cluster, reader.problems)
}

struct Reader {
    problems: Vec<String>,
}

const STORE_KEYS: [&str; 9] =
    ["name", "daemons", "plugin", "container", "schema", "regex", "decomposition", "flush", "perm"];

impl Reader {
    fn problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// The names of a group, in the order its text gives them.
    fn names(&mut self, text: &str, members: &Tree) -> Names {
        match hostlist::expand(text) {
            Ok(list) => Names::new(text, list),
            Err(error) => {
                self.problem(error.to_string());
                Names::new(text, members.branches.keys().cloned().collect())
            }
        }
    }

    fn interval(&mut self, at: &str, text: Option<String>) -> Option<Interval> {
        let text = text?;
        if text.starts_with('$') {
            return Some(Interval { text, us: None });
        }
        match time::parse_us(&text) {
            Ok(us) => Some(Interval { text, us: Some(us) }),
            Err(error) => {
                self.problem(format!("{at}: {error}"));
                None
            }
        }
    }

    fn auth(tree: &Tree) -> Option<Arc<Auth>> {
        let auth = tree.get("auth")?;
        let name = auth.text("name")?;
        Some(Arc::new(Auth { name, plugin: auth.text("plugin"), conf: auth.text("conf") }))
    }

    fn daemon(&mut self, name: &str, tree: &Tree) -> Option<Daemon> {
        let Some(host) = tree.text("addr") else {
            self.problem(format!("daemons/{name} has no addr"));
            return None;
        };
        let text = |(key, tree): (&String, &Tree)| Some((key.clone(), tree.value.clone()?));
        let options = tree.below("cli_opt").map(|(key, option)| {
            let value = match &option.value {
                Some(word) => OptionValue::Word(word.clone()),
                None => OptionValue::Arguments(option.branches.iter().filter_map(text).collect()),
            };
            (key.clone(), value)
        });
        let settings = DaemonSettings {
            environment: tree.below("environment").filter_map(text).collect(),
            options: options.collect(),
            stream_enable: switch(tree.text("stream_enable")),
            msg_enable: switch(tree.text("msg_enable")),
        };
        let mut endpoints = Vec::new();
        for (endpoint, tree) in tree.below("endpoints") {
            let Some(port) = tree.text("port").and_then(|port| port.parse().ok()) else {
                self.problem(format!("daemons/{name}/endpoints/{endpoint} has no port"));
                continue;
            };
            endpoints.push(Endpoint {
                name: endpoint.clone(),
                xprt: tree.text("xprt").unwrap_or_else(|| "sock".to_owned()).into(),
                port,
                host: tree.text("host"),
                bind_all: switch(tree.text("bind_all")),
                maestro_comm: switch(tree.text("maestro_comm")).is_some(),
                auth: Self::auth(tree),
            });
        }
        Some(Daemon { name: name.to_owned(), host, endpoints, settings: Arc::new(settings) })
    }

    fn plugin(&mut self, name: &str, tree: &Tree) -> Plugin {
        let at = format!("plugins/{name}");
        let config = tree.below("config").map(|(_, line)| match &line.value {
            Some(text) => ConfigLine::Verbatim(text.clone()),
            None => ConfigLine::Options(
                line.branches.iter().map(|(key, value)| (key.clone(), config_value(value))).collect(),
            ),
        });
        Plugin {
            name: name.to_owned(),
            library: tree.text("name").unwrap_or_else(|| name.to_owned()),
            interval: self.interval(&at, tree.text("interval")),
            offset: self.interval(&at, tree.text("offset")),
            perm: tree.text("perm"),
            config: config.collect(),
        }
    }

    fn aggregators(&mut self, root: &Tree, daemons: Names, members: &Tree) -> AggregatorGroup {
        let text = daemons.text.to_string();
        let group_of = |section: &str| root.get(section).and_then(|section| section.get(&text));
        let mut updaters: Vec<Updater> = Vec::new();
        for (name, tree) in group_of("updaters").into_iter().flat_map(|group| &group.branches) {
            updaters.extend(self.updater(name, tree));
        }
        let number = |updater: &Updater| updater.name.trim_start_matches("updtr_").parse::<u64>().ok();
        updaters.sort_by_key(number);
        let mut listeners = Vec::new();
        for (name, tree) in group_of("prdcr_listeners").into_iter().flat_map(|group| &group.branches) {
            listeners.push(self.listener(name, tree));
        }
        let producers = group_of("producers");
        let mut peers = producers.map(|producers| self.peers(producers, &mut updaters)).unwrap_or_default();
        // Those of no peers are the listeners'.
        match (listeners.first_mut(), peers.first_mut()) {
            (Some(listener), _) => listener.updaters = updaters,
            (None, Some(peers)) => peers.updaters.extend(updaters),
            (None, None) => {}
        }
        // Every aggregator of a group has the same plugins and subscriptions.
        let any = members.branches.values().next();
        let subscribe = any.into_iter().flat_map(|member| member.below("subscribe"));
        let subscribe = subscribe.filter_map(|(_, tree)| subscription(tree)).collect();
        let plugins = any.map(|member| member.list("plugins")).unwrap_or_default();
        let advertise = group_of("advertisers").and_then(|advertise| self.advertise(advertise));
        AggregatorGroup { daemons, peers, listeners, subscribe, plugins, advertise }
    }

    /// Producers with the same settings are one entry; it takes its updaters out of those of the group.
    fn peers(&mut self, producers: &Tree, updaters: &mut Vec<Updater>) -> Vec<Peers> {
        let mut entries: IndexMap<Vec<(String, String)>, (Peers, &Tree)> = IndexMap::new();
        for (name, tree) in &producers.branches {
            let own = ["daemon", "name", "endpoint"];
            let settings: Vec<_> =
                tree.leaves().into_iter().filter(|(key, _)| !own.contains(&key.as_str())).collect();
            let producer = Producer {
                name: name.clone(),
                daemon: tree.text("daemon").unwrap_or_default(),
                peer_group: tree.text("dmn_grp").unwrap_or_default().into(),
            };
            if let Some((peers, _)) = entries.get_mut(&settings) {
                peers.producers.push(producer);
                continue;
            }
            let peers = Peers {
                producers: vec![producer],
                kind: tree.text("type").unwrap_or_else(|| "active".to_owned()),
                reconnect: self.interval(&format!("producers/…/{name}"), tree.text("reconnect")),
                perm: tree.text("perm"),
                rail: tree.text("rail"),
                quota: tree.text("quota"),
                rx_rate: tree.text("rx_rate"),
                cache_ip: tree.text("cache_ip"),
                updaters: Vec::new(),
            };
            entries.insert(settings, (peers, tree));
        }
        let mut all = Vec::new();
        for (mut peers, tree) in entries.into_values() {
            for (_, raw) in tree.below("updaters") {
                if let Some(at) = updaters.iter().position(|updater| is_of(updater, raw)) {
                    let mut updater = updaters.remove(at);
                    updater.raw = Arc::new(RawUpdater { leaves: raw.leaves() });
                    peers.updaters.push(updater);
                }
            }
            all.push(peers);
        }
        all
    }

    fn updater(&mut self, name: &str, tree: &Tree) -> Option<Updater> {
        let at = format!("updaters/…/{name}");
        let interval = self.interval(&at, tree.text("interval"))?;
        let mode_text = tree.text("mode").unwrap_or_else(|| "pull".to_owned());
        let mode = match mode_text.as_str() {
            "push" => UpdateMode::Push,
            "onchange" => UpdateMode::OnChange,
            "auto" | "auto_interval" => UpdateMode::Auto,
            _ => UpdateMode::Pull,
        };
        let sets = tree
            .below("sets")
            .filter_map(|(_, set)| Some(SetMatch { regex: set.text("regex")?, field: set.text("field")? }));
        let mut producers = tree.list("producers");
        if producers.is_empty() {
            producers.push(".*".to_owned());
        }
        Some(Updater {
            name: name.to_owned(),
            mode,
            mode_text,
            interval,
            offset: self.interval(&at, tree.text("offset")),
            perm: tree.text("perm"),
            producers,
            sets: sets.collect(),
            raw: Arc::default(),
        })
    }

    fn listener(&mut self, name: &str, tree: &Tree) -> Listener {
        let auth = |name| Arc::new(Auth { name, plugin: None, conf: None });
        Listener {
            name: name.to_owned(),
            regex: tree.text("regex"),
            ip: tree.text("ip"),
            disable_start: tree.text("disable_start"),
            kind: tree.text("type"),
            reconnect: self.interval(&format!("prdcr_listeners/…/{name}"), tree.text("reconnect")),
            rail: tree.text("rail"),
            quota: tree.text("quota"),
            rx_rate: tree.text("rx_rate"),
            advertiser_xprt: tree.text("advertiser_xprt"),
            advertiser_port: tree.text("advertiser_port"),
            advertiser_auth: tree.text("advertiser_auth").map(auth),
            updaters: Vec::new(),
        }
    }

    fn advertise(&mut self, tree: &Tree) -> Option<Advertise> {
        let names = tree.text("names").unwrap_or_default();
        let hosts = tree.text("hosts")?;
        let text = tree.text("reconnect")?;
        Some(Advertise {
            names: self.names(&names, &Tree::default()),
            hosts: self.names(&hosts, &Tree::default()),
            xprt: tree.text("xprt").unwrap_or_else(|| "sock".to_owned()),
            port: tree.text("port")?,
            reconnect: self.interval("advertisers", Some(text))?,
            auth: Self::auth(tree),
            perm: tree.text("perm"),
            rail: tree.text("rail"),
            quota: tree.text("quota"),
            rx_rate: tree.text("rx_rate"),
        })
    }

    fn store(&mut self, group: &str, name: &str, tree: &Tree) -> Option<StoragePolicy> {
        let Some(plugin) = tree.text("plugin") else {
            self.problem(format!("stores/{group}/{name} has no plugin"));
            return None;
        };
        let other = tree.leaves().into_iter().filter(|(key, _)| !STORE_KEYS.contains(&key.as_str()));
        Some(StoragePolicy {
            name: name.to_owned(),
            daemons: self.names(group, &Tree::default()),
            plugin,
            container: tree.text("container"),
            schema: tree.text("schema"),
            regex: tree.text("regex"),
            decomposition: tree.text("decomposition"),
            flush: self.interval(&format!("stores/{group}/{name}"), tree.text("flush")),
            perm: tree.text("perm"),
            other: other.collect(),
        })
    }
}

/// The word of a switch that is on. (The original writes `false` as it stands in the file.)
fn switch(word: Option<String>) -> Option<String> {
    word.filter(|word| !matches!(word.to_lowercase().as_str(), "false" | "no" | "off" | ""))
}

fn config_value(tree: &Tree) -> ConfigValue {
    match &tree.value {
        Some(text) => ConfigValue::Text(text.clone()),
        None => ConfigValue::Repeated(tree.branches.values().map(|item| item.value.clone()).collect()),
    }
}

fn subscription(tree: &Tree) -> Option<Subscription> {
    let kinds = ["stream", "message_tag", "message_channel"];
    let (kind, what) = kinds.iter().find_map(|kind| Some((*kind, tree.text(kind)?)))?;
    Some(Subscription {
        kind: kind.to_owned(),
        what,
        regex: tree.text("regex").unwrap_or_else(|| ".*".to_owned()),
        rx_rate: tree.text("rx_rate"),
        raw: tree.leaves(),
    })
}

/// Whether an updater is what this part of the file became.
fn is_of(updater: &Updater, raw: &Tree) -> bool {
    let us = |text: Option<String>| text.and_then(|text| time::parse_us(&text).ok()).unwrap_or(0);
    let offset = updater.offset.as_ref().and_then(|offset| offset.us).unwrap_or(0);
    us(raw.text("interval")) == updater.interval.us.unwrap_or(0)
        && us(raw.text("offset")) == offset
        && raw.text("mode").unwrap_or_else(|| "pull".to_owned()) == updater.mode_text
}
