//! A cluster configuration becomes what should run where. Pure.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use campanile_ldms::api::advertise::{
    AdvertiserAdd, AdvertiserStart, AdvertiserType, PrdcrListenAdd, PrdcrListenStart,
};
use campanile_ldms::api::producer::ProducerType;
use campanile_ldms::api::updater::MatchField;
use campanile_ldms::api::{Call as _, Micros, Perm};
use regex::Regex;

use crate::balance::Limit;
use crate::config::extension::Balance;
use crate::config::model as config;
use crate::model::{
    BalanceBy, Control, Daemon, Desired, Domain, Group, Listen, Member, Mode, Name, Object, Plugin, Producer,
    ProducerExtra, Schedule, Source, Store, Subscription, Updater, Weigh,
};

mod launch;

pub use launch::{LDMSD, start_aggregators};

/// How long an aggregator waits before it connects again, where the configuration does not say.
const DEFAULT_RECONNECT_US: i64 = 20_000_000;
/// How often an updater updates, where its interval is a variable of ldmsd.
const DEFAULT_INTERVAL_US: i64 = 1_000_000;
/// A weight of 1.0 in the configuration, as the balance counts: bytes per second.
const WEIGHT_UNIT: f64 = 1_000.0;

/// What a cluster configuration wants. `by` is used unless the configuration itself says what is divided.
#[must_use]
pub fn desired(cluster: &config::Cluster, by: BalanceBy) -> Desired {
    let by = match cluster.extension.balance {
        Some(Balance::Producers) => BalanceBy::Producers,
        Some(Balance::Sets) => BalanceBy::Sets,
        None => by,
    };
    let positions: HashMap<&str, usize> =
        cluster.daemons.keys().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
    let mut daemons: Vec<Daemon> = cluster.daemons.values().map(|of| daemon(cluster, of)).collect();
    for samplers in &cluster.samplers {
        for (at, name) in samplers.daemons.list.iter().enumerate() {
            let Some(position) = positions.get(name.as_str()) else { continue };
            let daemon = &mut daemons[*position];
            let plugins = samplers.plugins.iter().filter_map(|plugin| cluster.plugins.get(plugin));
            daemon.plugins.extend(plugins.map(|plugin| sampler(plugin, name)));
            if let Some(advertise) = &samplers.advertise {
                daemon.advertisers.extend(advertisers(advertise, at));
            }
        }
    }
    let mut groups = Vec::with_capacity(cluster.aggregators.len());
    for (at, aggregators) in cluster.aggregators.iter().enumerate() {
        for (place, name) in aggregators.daemons.list.iter().enumerate() {
            if let Some(position) = positions.get(name.as_str()) {
                let daemon = &mut daemons[*position];
                daemon.member_of.push((at, place));
                if let Some(advertise) = &aggregators.advertise {
                    daemon.advertisers.extend(advertisers(advertise, place));
                }
            }
        }
        groups.push(group(cluster, aggregators, &positions, by));
    }
    Desired { daemons, groups }
}

fn perm(text: Option<&String>) -> Option<u32> {
    u32::from_str_radix(text?, 8).ok()
}

fn domain(auth: Option<&Arc<config::Auth>>) -> Option<Domain> {
    let auth = auth?;
    Some(Domain {
        name: auth.name.as_str().into(),
        plugin: auth.plugin_name().into(),
        conf: auth.conf.as_deref().map(Into::into),
    })
}

fn daemon(cluster: &config::Cluster, daemon: &config::Daemon) -> Daemon {
    let managed = daemon.managed_at();
    let control = managed.map(|endpoint| Control {
        host: daemon.host_of(endpoint).to_owned(),
        port: endpoint.port,
        xprt: endpoint.xprt.to_string(),
        plugin: endpoint.auth_plugin().to_owned(),
        conf: endpoint.auth.as_deref().and_then(|auth| auth.conf.clone()),
    });
    let others = daemon.endpoints.iter().filter(|endpoint| !endpoint.maestro_comm);
    let listens = others.map(|endpoint| Listen {
        xprt: endpoint.xprt.to_string(),
        port: endpoint.port,
        host: match endpoint.bind_all {
            Some(_) => None,
            None => Some(daemon.host_of(endpoint).to_owned()),
        },
        domain: domain(endpoint.auth.as_ref()),
    });
    Daemon {
        name: daemon.name.as_str().into(),
        control,
        stream_enable: daemon.settings.stream_enable.is_some(),
        msg_enable: daemon.settings.msg_enable.is_some(),
        listens: listens.collect(),
        plugins: Vec::new(),
        advertisers: Vec::new(),
        domains: Vec::new(),
        member_of: Vec::new(),
        start: launch::start(cluster, daemon),
    }
}

fn schedule(interval: &config::Interval, offset: Option<&config::Interval>) -> Schedule {
    Schedule {
        interval_us: interval.us.unwrap_or(DEFAULT_INTERVAL_US),
        offset_us: offset.and_then(|offset| offset.us),
    }
}

fn options(line: &config::ConfigLine, defaults: &[(&str, String)]) -> String {
    let list = match line {
        config::ConfigLine::Verbatim(text) => return text.clone(),
        config::ConfigLine::Options(list) => list,
    };
    let given: BTreeSet<&str> = list.iter().map(|(key, _)| key.as_str()).collect();
    let defaults = defaults.iter().filter(|(key, _)| !given.contains(key));
    let mut words: Vec<String> = defaults.map(|(key, value)| format!("{key}={value}")).collect();
    for (key, value) in list {
        match value {
            config::ConfigValue::Keyword => words.push(key.clone()),
            config::ConfigValue::Text(text) => words.push(format!("{key}={text}")),
            config::ConfigValue::Repeated(values) => words.extend(values.iter().map(|value| match value {
                Some(text) => format!("{key}={text}"),
                None => key.clone(),
            })),
        }
    }
    words.join(" ")
}

fn sampler(plugin: &config::Plugin, daemon: &str) -> Plugin {
    let set = format!("{daemon}/{}", plugin.name);
    let mut defaults = vec![
        ("producer", daemon.to_owned()),
        ("instance", set.clone()),
        ("component_id", "${LDMS_COMPONENT_ID}".to_owned()),
    ];
    if let Some(perm) = &plugin.perm {
        defaults.push(("perm", perm.clone()));
    }
    let empty = [config::ConfigLine::Options(Vec::new())];
    let lines = if plugin.config.is_empty() { &empty[..] } else { &plugin.config[..] };
    let named = lines.iter().find_map(|line| match line {
        config::ConfigLine::Options(list) => {
            list.iter().find_map(|(key, value)| match (key.as_str(), value) {
                ("instance", config::ConfigValue::Text(text)) => Some(text.clone()),
                _ => None,
            })
        }
        config::ConfigLine::Verbatim(text) => {
            text.split_whitespace().find_map(|word| word.strip_prefix("instance=")).map(str::to_owned)
        }
    });
    let schedule = plugin.interval.as_ref().map(|interval| schedule(interval, plugin.offset.as_ref()));
    Plugin {
        name: plugin.name.as_str().into(),
        plugin: plugin.library.clone(),
        configs: lines.iter().map(|line| options(line, &defaults)).collect(),
        schedule,
        set: schedule.map(|_| named.unwrap_or(set).as_str().into()),
    }
}

fn other_plugin(plugin: &config::Plugin) -> Plugin {
    Plugin {
        name: plugin.name.as_str().into(),
        plugin: plugin.library.clone(),
        configs: plugin
            .config
            .iter()
            .map(|line| options(line, &[]))
            .filter(|text| !text.is_empty())
            .collect(),
        schedule: None,
        set: None,
    }
}

fn number(text: Option<&String>) -> Option<u32> {
    text?.trim().parse().ok()
}

fn advertisers(advertise: &config::Advertise, at: usize) -> Vec<Object> {
    let Some(name) = advertise.names.list.get(at) else { return Vec::new() };
    let domain = domain(advertise.auth.as_ref());
    let hosts: BTreeSet<&String> = advertise.hosts.list.iter().collect();
    hosts
        .into_iter()
        .map(|host| {
            let name = format!("{name}-{host}");
            let add = AdvertiserAdd {
                name: name.clone(),
                kind: AdvertiserType,
                xprt: advertise.xprt.clone(),
                host: host.clone(),
                port: advertise.port.trim().parse().unwrap_or(0),
                reconnect: Micros(advertise.reconnect.us.unwrap_or(DEFAULT_RECONNECT_US)),
                auth: domain.as_ref().map(|domain| domain.name.to_string()),
                perm: perm(advertise.perm.as_ref()).map(Perm),
                rail: number(advertise.rail.as_ref()),
                quota: advertise.quota.clone(),
                rx_rate: advertise.rx_rate.clone(),
            };
            let start = AdvertiserStart { name: name.clone() }.request();
            Object { name: name.as_str().into(), add: add.request(), start, domain: domain.clone() }
        })
        .collect()
}

fn group(
    cluster: &config::Cluster,
    group: &config::AggregatorGroup,
    positions: &HashMap<&str, usize>,
    by: BalanceBy,
) -> Group {
    let members: Vec<Member> = group
        .daemons
        .list
        .iter()
        .filter_map(|name| {
            let share = cluster.extension.share_of(name);
            Some(Member {
                daemon: *positions.get(name.as_str())?,
                capacity: share.weight.max(1e-6),
                limit: Limit { producers: share.max_producers, bytes_per_s: share.max_bytes_per_s },
            })
        })
        .collect();
    let mut made = Group::new(&group.daemons.text, members, Vec::new());
    for peers in &group.peers {
        let extra = Arc::new(ProducerExtra {
            perm: perm(peers.perm.as_ref()),
            rail: number(peers.rail.as_ref()),
            quota: peers.quota.clone(),
            rx_rate: peers.rx_rate.clone(),
            cache_ip: peers.cache_ip.clone(),
        });
        for producer in &peers.producers {
            if let Some(producer) = self::producer(cluster, peers, producer, &extra, positions) {
                made.add_producer(producer);
            }
        }
    }
    made.updaters = group.updaters().map(|updater| self::updater(updater, &made)).collect();
    made.listeners = group.listeners.iter().map(listener).collect();
    made.subscriptions = group.subscribe.iter().map(subscription).collect();
    made.by = by;
    made.weigh = Weigh::Traffic;
    let mut plugins: Vec<&str> = group.plugins.iter().map(String::as_str).collect();
    for (place, name) in group.daemons.list.iter().enumerate() {
        for store in cluster.stores_of(name) {
            plugins.push(&store.plugin);
            made.stores.push((place, self::store(store)));
        }
    }
    let mut seen = BTreeSet::new();
    plugins.retain(|name| seen.insert(*name));
    made.plugins = plugins
        .into_iter()
        .filter_map(|name| cluster.plugins.get(name))
        .map(|plugin| other_plugin(plugin))
        .collect();
    made
}

fn producer(
    cluster: &config::Cluster,
    peers: &config::Peers,
    producer: &config::Producer,
    extra: &Arc<ProducerExtra>,
    positions: &HashMap<&str, usize>,
) -> Option<Producer> {
    let daemon = cluster.daemon(&producer.daemon)?;
    let endpoint = cluster.endpoint(&producer.daemon, &producer.name)?;
    let source = match peers.kind.as_str() {
        "passive" => Source::Defined(ProducerType::Passive),
        "bridge" => Source::Defined(ProducerType::Bridge),
        "advertised" => Source::Advertised,
        _ => Source::Defined(ProducerType::Active),
    };
    let weight = cluster.extension.weight_of(&producer.name, &producer.daemon);
    Some(Producer {
        name: producer.name.as_str().into(),
        source,
        host: daemon.host_of(endpoint).into(),
        port: endpoint.port,
        xprt: endpoint.xprt.as_ref().into(),
        reconnect_us: peers
            .reconnect
            .as_ref()
            .and_then(|reconnect| reconnect.us)
            .unwrap_or(DEFAULT_RECONNECT_US),
        domain: domain(endpoint.auth.as_ref()),
        extra: Arc::clone(extra),
        daemon: positions.get(producer.daemon.as_str()).copied(),
        weight: weight.map(|weight| (weight * WEIGHT_UNIT).round().max(1.0) as u64),
    })
}

fn updater(updater: &config::Updater, group: &Group) -> Updater {
    let all = updater.producers.iter().any(|regex| regex == ".*");
    let covers = (!all).then(|| {
        let regexes: Vec<Regex> = updater.producers.iter().filter_map(|text| Regex::new(text).ok()).collect();
        let fits = |producer: &Producer| regexes.iter().any(|regex| regex.is_match(&producer.name));
        group.producers.iter().map(fits).collect()
    });
    let field = |text: &str| if text == "schema" { MatchField::Schema } else { MatchField::Instance };
    let everything = updater.sets.iter().any(|set| set.regex == ".*");
    Updater {
        key: updater.name.as_str().into(),
        schedule: schedule(&updater.interval, updater.offset.as_ref()),
        mode: match updater.mode {
            config::UpdateMode::Pull => Mode::Pull,
            config::UpdateMode::Push => Mode::Push,
            config::UpdateMode::OnChange => Mode::OnChange,
            config::UpdateMode::Auto => Mode::Auto,
        },
        perm: perm(updater.perm.as_ref()),
        covers,
        producers: if all { vec![".*".to_owned()] } else { updater.producers.clone() },
        matches: match everything {
            true => Vec::new(),
            false => updater.sets.iter().map(|set| (set.regex.clone(), field(&set.field))).collect(),
        },
    }
}

fn listener(listener: &config::Listener) -> Object {
    let domain = domain(listener.advertiser_auth.as_ref());
    let add = PrdcrListenAdd {
        name: listener.name.clone(),
        reconnect: listener.reconnect.as_ref().and_then(|reconnect| reconnect.us).map(Micros),
        regex: listener.regex.clone(),
        ip: listener.ip.clone(),
        // The manager says who collects; a producer that started by itself would be collected by all.
        disable_start: true,
        kind: listener.kind.clone(),
        advertiser_xprt: listener.advertiser_xprt.clone(),
        advertiser_port: listener.advertiser_port.as_ref().and_then(|port| port.trim().parse().ok()),
        advertiser_auth: domain.as_ref().map(|domain| domain.name.to_string()),
        perm: None,
        rail: number(listener.rail.as_ref()),
        quota: listener.quota.clone(),
        rx_rate: listener.rx_rate.clone(),
    };
    let name: Name = listener.name.as_str().into();
    let start = PrdcrListenStart { name: listener.name.clone() }.request();
    Object { name, add: add.request(), start, domain }
}

fn subscription(subscription: &config::Subscription) -> Subscription {
    let of = |kind: &str| (subscription.kind == kind).then(|| subscription.what.clone());
    Subscription {
        regex: subscription.regex.clone(),
        stream: of("stream"),
        message_tag: of("message_tag").or_else(|| of("message_channel")),
        rx_rate: subscription.rx_rate.as_deref().and_then(|rate| rate.trim().parse().ok()).unwrap_or(-1),
    }
}

fn store(store: &config::StoragePolicy) -> Store {
    Store {
        name: store.name.as_str().into(),
        plugin: store.plugin.as_str().into(),
        // ldmsd wants one even where the store has no use for it.
        container: store.container.clone().filter(|container| !container.is_empty()),
        schema: store.schema.clone(),
        regex: store.regex.clone(),
        decomposition: store.decomposition.clone(),
        flush: store.flush.as_ref().map(|flush| flush.text.clone()),
        perm: perm(store.perm.as_ref()),
    }
}
