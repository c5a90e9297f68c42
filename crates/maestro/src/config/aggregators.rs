//! `aggregators`: groups that share their work, their peers, listeners, updaters and subscriptions.

use std::sync::Arc;

use campanile_ldms::hostlist;
use campanile_yaml::{Kind, Node, did_you_mean};

use super::daemons::Daemons;
use super::fields::Fields;
use super::model::{
    AggregatorGroup, Listener, Names, Peers, Producer, RawUpdater, SetMatch, Subscription, UpdateMode,
    Updater,
};
use super::samplers;

/// A group, and where it and its parts are in the file.
#[derive(Debug)]
pub(super) struct Group<'d> {
    pub(super) group: AggregatorGroup,
    pub(super) at: Node<'d>,
    /// The entry of each element of `peers`.
    pub(super) peers_at: Vec<Node<'d>>,
    /// Where each element of `plugins` is named.
    pub(super) plugins_at: Vec<Node<'d>>,
}

const GROUP_KEYS: [&str; 6] = ["daemons", "peers", "prdcr_listen", "plugins", "subscribe", "advertise"];
const PEER_KEYS: [&str; 10] =
    ["daemons", "endpoints", "reconnect", "type", "perm", "rail", "quota", "rx_rate", "cache_ip", "updaters"];
const LISTENER_KEYS: [&str; 13] = [
    "name",
    "regex",
    "ip",
    "disable_start",
    "type",
    "reconnect",
    "rail",
    "quota",
    "rx_rate",
    "advertiser_xprt",
    "advertiser_port",
    "auth",
    "updaters",
];
const UPDATER_KEYS: [&str; 6] = ["mode", "interval", "offset", "perm", "producers", "sets"];
const PEER_TYPES: [&str; 4] = ["active", "passive", "bridge", "advertised"];

pub(super) fn read<'d>(root: Node<'d>, daemons: &Daemons<'_>, fields: &mut Fields) -> Vec<Group<'d>> {
    let mut groups: Vec<Group<'d>> = Vec::new();
    let mut updaters = 0;
    let Some(list) = fields.optional(root, "aggregators") else { return groups };
    for entry in fields.maps(list, "`aggregators`") {
        let what = "this entry of `aggregators`";
        fields.known_keys(entry, &GROUP_KEYS, what);
        let Some(at) = fields.required(entry, "daemons", what) else { continue };
        let names = fields.key_names(at);
        let mut read = Group {
            group: AggregatorGroup {
                daemons: names.clone().unwrap_or_default(),
                ..AggregatorGroup::default()
            },
            at,
            peers_at: Vec::new(),
            plugins_at: Vec::new(),
        };
        read_entry(entry, daemons, fields, &mut read, &mut updaters);
        if names.is_none() {
            continue;
        }
        match groups.iter_mut().find(|group| group.group.daemons.text == read.group.daemons.text) {
            Some(group) => merge(group, read),
            None => groups.push(read),
        }
    }
    groups
}

/// Two entries with the same hostlist are one group.
fn merge<'d>(group: &mut Group<'d>, other: Group<'d>) {
    group.group.peers.extend(other.group.peers);
    group.group.listeners.extend(other.group.listeners);
    group.group.subscribe.extend(other.group.subscribe);
    group.group.plugins.extend(other.group.plugins);
    group.group.advertise = other.group.advertise.or_else(|| group.group.advertise.take());
    group.peers_at.extend(other.peers_at);
    group.plugins_at.extend(other.plugins_at);
}

fn read_entry<'d>(
    entry: Node<'d>,
    daemons: &Daemons<'_>,
    fields: &mut Fields,
    read: &mut Group<'d>,
    updaters: &mut usize,
) {
    if let Some(peers) = fields.optional(entry, "peers") {
        for peer in fields.maps(peers, "`peers`") {
            let peers = read_peers(peer, daemons, fields, updaters);
            read.group.peers.push(peers);
            read.peers_at.push(peer);
        }
    }
    if let Some(listeners) = fields.optional(entry, "prdcr_listen") {
        for listener in fields.maps(listeners, "`prdcr_listen`") {
            let listener = read_listener(listener, fields, updaters);
            read.group.listeners.extend(listener);
        }
    }
    if let Some(subscriptions) = fields.optional(entry, "subscribe") {
        for subscription in fields.maps(subscriptions, "`subscribe`") {
            read.group.subscribe.extend(read_subscription(subscription, fields));
        }
    }
    if let Some(plugins) = fields.optional(entry, "plugins") {
        read.plugins_at = samplers::plugin_names(plugins);
        read.group.plugins = fields.texts(plugins);
    }
    if let Some(advertise) = fields.optional(entry, "advertise") {
        read.group.advertise = samplers::read_advertise(advertise, &read.group.daemons, fields);
    }
}

fn read_peers(entry: Node<'_>, daemons: &Daemons<'_>, fields: &mut Fields, updaters: &mut usize) -> Peers {
    let what = "this entry of `peers`";
    fields.known_keys(entry, &PEER_KEYS, what);
    let kind = fields.required_text(entry, "type", what).unwrap_or_default();
    if !kind.is_empty() && !PEER_TYPES.contains(&kind.as_str()) {
        let at = entry.get("type").unwrap_or(entry);
        let near = did_you_mean(&kind, PEER_TYPES).map(|near| format!("did you mean `{near}`?"));
        let hint = near.unwrap_or_else(|| format!("known are {}", PEER_TYPES.join(", ")));
        fields.error_hint(at, format!("`{kind}` is no type of producer"), hint);
    }
    let reconnect =
        fields.required(entry, "reconnect", what).and_then(|value| fields.positive_interval(value));
    let mut peers = Peers {
        kind,
        reconnect,
        perm: fields.perm(entry),
        rail: fields.optional_text(entry, "rail"),
        quota: fields.optional_text(entry, "quota"),
        rx_rate: fields.optional_text(entry, "rx_rate"),
        cache_ip: fields.optional_text(entry, "cache_ip"),
        updaters: read_updaters(entry, fields, updaters),
        producers: Vec::new(),
    };
    let owners = fields.optional(entry, "daemons").map(|at| (at, fields.key_names(at)));
    let Some(endpoints_at) = fields.required(entry, "endpoints", what) else { return peers };
    let Some(endpoints) = fields.key_names(endpoints_at) else { return peers };
    match owners {
        Some((at, Some(owners))) => {
            let at = Places { owners: at, endpoints: endpoints_at };
            peers.producers = producers(&at, &owners, &endpoints, daemons, fields);
        }
        Some((_, None)) => {}
        None => {
            let hint = "this is the older format; the daemons that own the endpoints are taken";
            fields.diagnostics.push(entry.warning(format!("{what} has no `daemons`")).hint(hint));
            peers.producers = producers_of_owners(endpoints_at, &endpoints, daemons, fields);
        }
    }
    peers
}

struct Places<'d> {
    owners: Node<'d>,
    endpoints: Node<'d>,
}

/// The producers of endpoints whose daemons are named, too.
fn producers(
    at: &Places<'_>,
    owners: &Names,
    endpoints: &Names,
    daemons: &Daemons<'_>,
    fields: &mut Fields,
) -> Vec<Producer> {
    let absent: Vec<&String> =
        owners.list.iter().filter(|name| !daemons.by_name.contains_key(*name)).collect();
    if !absent.is_empty() {
        let near = did_you_mean(absent[0], daemons.by_name.keys().map(String::as_str));
        let message = format!("no such daemon: {}", hostlist::fold(&absent));
        let problem = at.owners.error(message);
        fields.diagnostics.push(problem.maybe_hint(near.map(|near| format!("did you mean `{near}`?"))));
    }
    let groups = peer_groups(owners, fields, at.owners);
    let mut unowned = Vec::new();
    let mut foreign = Vec::new();
    let mut producers = Vec::with_capacity(endpoints.list.len());
    for endpoint in endpoints.list.iter() {
        let Some(candidates) = daemons.owners.get(endpoint) else {
            unowned.push(endpoint);
            continue;
        };
        let names = candidates.iter().filter_map(|at| daemons.by_name.get_index(*at)).map(|(name, _)| name);
        let Some(daemon) = names.clone().find(|name| owners.contains(name)) else {
            foreign.extend(names.map(|name| (endpoint, name)).take(1));
            continue;
        };
        let group = groups.iter().find(|group| group.contains(daemon)).unwrap_or(owners);
        let (name, daemon) = (endpoint.clone(), daemon.clone());
        producers.push(Producer { name, daemon, peer_group: Arc::clone(&group.text) });
    }
    report_unowned(at.endpoints, &unowned, daemons, fields);
    if let Some((endpoint, owner)) = foreign.first().filter(|_| absent.is_empty()) {
        let more = if foreign.len() > 1 { format!(" ({} more)", foreign.len() - 1) } else { String::new() };
        let message =
            format!("the endpoint `{endpoint}` belongs to `{owner}`, which is not among `daemons`{more}");
        fields.error_hint(at.endpoints, message, "name the daemons that own the endpoints");
    }
    if absent.is_empty() {
        report_uncollected(at, owners, &producers, fields);
    }
    producers
}

/// Daemons that are named as peers although none of the endpoints is theirs.
fn report_uncollected(at: &Places<'_>, owners: &Names, producers: &[Producer], fields: &mut Fields) {
    let collected: std::collections::HashSet<&str> =
        producers.iter().map(|producer| producer.daemon.as_str()).collect();
    let left: Vec<&String> = owners.list.iter().filter(|name| !collected.contains(name.as_str())).collect();
    if !left.is_empty() && !producers.is_empty() {
        let message = format!("`endpoints` has none of {}", hostlist::fold(&left));
        fields.warn(at.owners, message);
    }
}

/// The groups that the original makes of one entry: it divides at commas.
fn peer_groups(owners: &Names, fields: &mut Fields, at: Node<'_>) -> Vec<Names> {
    let parts = split_outside_brackets(&owners.text);
    if parts.len() < 2 {
        return vec![owners.clone()];
    }
    parts.iter().filter_map(|part| fields.expand(at, part)).collect()
}

fn split_outside_brackets(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let parts = text.split(|c| {
        depth += i32::from(c == '[') - i32::from(c == ']');
        c == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// The producers of endpoints whose daemons are not named: the older format.
fn producers_of_owners(
    at: Node<'_>,
    endpoints: &Names,
    daemons: &Daemons<'_>,
    fields: &mut Fields,
) -> Vec<Producer> {
    let mut unowned = Vec::new();
    let mut owned = Vec::with_capacity(endpoints.list.len());
    for endpoint in endpoints.list.iter() {
        let owner = daemons.owners.get(endpoint).and_then(|owners| daemons.by_name.get_index(owners[0]));
        match owner {
            Some((owner, _)) => owned.push((endpoint.clone(), owner.clone())),
            None => unowned.push(endpoint),
        }
    }
    report_unowned(at, &unowned, daemons, fields);
    let mut names: Vec<&String> = Vec::new();
    for (_, owner) in &owned {
        if names.last() != Some(&owner) {
            names.push(owner);
        }
    }
    // Where they are just the daemons of one entry, the group is that entry's.
    let whole = daemons
        .groups
        .iter()
        .find(|group| group.list.len() == names.len() && names.iter().all(|name| group.contains(name)));
    let text: Arc<str> = whole.map_or_else(|| hostlist::fold(&names).into(), |group| Arc::clone(&group.text));
    let producers =
        owned.into_iter().map(|(name, daemon)| Producer { name, daemon, peer_group: Arc::clone(&text) });
    producers.collect()
}

fn report_unowned(at: Node<'_>, unowned: &[&String], daemons: &Daemons<'_>, fields: &mut Fields) {
    let Some(first) = unowned.first() else { return };
    let near = did_you_mean(first, daemons.owners.keys().map(String::as_str));
    let problem = at.error(format!("no daemon owns the endpoint {}", hostlist::fold(unowned)));
    let near = near.map(|near| format!("did you mean `{near}`?"));
    let hint = near.unwrap_or_else(|| "endpoints are defined in the entries of `daemons`".to_owned());
    fields.diagnostics.push(problem.hint(hint));
}

fn read_listener(entry: Node<'_>, fields: &mut Fields, updaters: &mut usize) -> Option<Listener> {
    let what = "this entry of `prdcr_listen`";
    fields.known_keys(entry, &LISTENER_KEYS, what);
    let name = fields.required_text(entry, "name", what);
    let listener = Listener {
        name: name.clone().unwrap_or_default(),
        regex: fields.optional_text(entry, "regex"),
        ip: fields.optional_text(entry, "ip"),
        disable_start: fields.optional_text(entry, "disable_start"),
        kind: fields.optional_text(entry, "type"),
        reconnect: fields.optional_interval(entry, "reconnect"),
        rail: fields.optional_text(entry, "rail"),
        quota: fields.optional_text(entry, "quota"),
        rx_rate: fields.optional_text(entry, "rx_rate"),
        advertiser_xprt: fields.optional_text(entry, "advertiser_xprt"),
        advertiser_port: fields.optional_text(entry, "advertiser_port"),
        advertiser_auth: fields.auth(entry),
        updaters: read_updaters(entry, fields, updaters),
    };
    name.map(|_| listener)
}

fn read_updaters(entry: Node<'_>, fields: &mut Fields, count: &mut usize) -> Vec<Updater> {
    let mut updaters = Vec::new();
    let Some(list) = fields.optional(entry, "updaters") else { return updaters };
    for entry in fields.maps(list, "`updaters`") {
        let name = format!("updtr_{count}");
        *count += 1;
        updaters.extend(read_updater(entry, name, fields));
    }
    updaters
}

fn read_updater(entry: Node<'_>, name: String, fields: &mut Fields) -> Option<Updater> {
    let what = "this entry of `updaters`";
    fields.known_keys(entry, &UPDATER_KEYS, what);
    let interval = fields.required(entry, "interval", what).and_then(|value| fields.positive_interval(value));
    let offset = fields.optional_interval(entry, "offset");
    let perm = fields.perm(entry);
    let mode_at = fields.optional(entry, "mode");
    let mode_text = mode_at.and_then(|at| fields.text(at)).unwrap_or_else(|| "pull".to_owned());
    let mode = match mode_text.as_str() {
        "pull" => UpdateMode::Pull,
        "push" => UpdateMode::Push,
        "onchange" => UpdateMode::OnChange,
        "auto" | "auto_interval" => UpdateMode::Auto,
        other => {
            let hint = "known are pull, push, onchange, auto, auto_interval";
            fields.error_hint(mode_at.unwrap_or(entry), format!("`{other}` is no mode of an updater"), hint);
            UpdateMode::Pull
        }
    };
    let producers = match fields.optional(entry, "producers") {
        None => vec![".*".to_owned()],
        Some(at) => producer_patterns(at, fields),
    };
    let mut sets = Vec::new();
    if let Some(list) = fields.optional(entry, "sets") {
        for set in fields.maps(list, "`sets`") {
            fields.known_keys(set, &["regex", "field"], "this entry of `sets`");
            let regex = fields.required_text(set, "regex", "this entry of `sets`");
            let field = fields.required_text(set, "field", "this entry of `sets`");
            if let Some(field) = field.as_deref().filter(|field| !matches!(*field, "inst" | "schema")) {
                let at = set.get("field").unwrap_or(set);
                fields.error_hint(at, format!("`{field}` is no field of a set"), "write inst or schema");
            }
            sets.extend(regex.zip(field).map(|(regex, field)| SetMatch { regex, field }));
        }
    }
    let mut raw = RawUpdater::default();
    leaves(entry, "", &mut raw.leaves);
    let raw = Arc::new(raw);
    Some(Updater { name, mode, mode_text, interval: interval?, offset, perm, producers, sets, raw })
}

/// A hostlist of several names, or a regular expression.
fn producer_patterns(at: Node<'_>, fields: &mut Fields) -> Vec<String> {
    let Some(text) = fields.text(at) else { return vec![".*".to_owned()] };
    match hostlist::expand(&text) {
        Ok(mut names) if names.len() > 1 => {
            if fields.pairing == super::Pairing::Original {
                names.sort();
            }
            names
        }
        _ => vec![text],
    }
}

/// Every single value below a node with its path, as the original writes it to etcd.
pub(super) fn leaves(node: Node<'_>, path: &str, into: &mut Vec<(String, String)>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}/{key}") };
    match node.kind() {
        Kind::Map => {
            for (key, value) in node.entries() {
                leaves(value, &below(key.text().unwrap_or_default()), into);
            }
        }
        Kind::List => {
            for (at, value) in node.items().enumerate() {
                leaves(value, &below(&format!("{at:06}")), into);
            }
        }
        Kind::Scalar => into.push((path.to_owned(), node.text().unwrap_or_default().to_owned())),
    }
}

const SUBSCRIPTION_KINDS: [&str; 3] = ["stream", "message_tag", "message_channel"];

fn read_subscription(entry: Node<'_>, fields: &mut Fields) -> Option<Subscription> {
    let what = "this entry of `subscribe`";
    fields.known_keys(entry, &["stream", "message_tag", "message_channel", "regex", "rx_rate"], what);
    let regex = fields.required_text(entry, "regex", what);
    let rx_rate = fields.optional_text(entry, "rx_rate");
    let found = SUBSCRIPTION_KINDS.iter().find_map(|kind| Some((*kind, fields.optional(entry, kind)?)));
    let Some((kind, at)) = found else {
        fields.error(entry, format!("{what} needs one of `stream`, `message_tag`, `message_channel`"));
        return None;
    };
    let what = fields.text(at)?;
    let mut raw = Vec::new();
    leaves(entry, "", &mut raw);
    Some(Subscription { kind: kind.to_owned(), what, regex: regex?, rx_rate, raw })
}
