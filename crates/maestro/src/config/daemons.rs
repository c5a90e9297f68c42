//! `daemons`: every ldmsd, its host, and where it listens.

use std::collections::HashMap;
use std::sync::Arc;

use campanile_yaml::{Kind, Node};
use indexmap::IndexMap;

use super::fields::Fields;
use super::model::{Daemon, DaemonSettings, Endpoint, Names, OptionValue};
use super::pairing::{self, Spread};

/// Every daemon, and where in the file each is named.
#[derive(Debug, Default)]
pub(super) struct Daemons<'d> {
    pub(super) by_name: IndexMap<String, Daemon>,
    /// The entry of each, by position in `by_name`.
    pub(super) entries: Vec<Node<'d>>,
    /// The daemons that own an endpoint of this name, by position in `by_name`.
    pub(super) owners: HashMap<String, Vec<usize>>,
    /// The hostlists of the entries, for naming a group of owners.
    pub(super) groups: Vec<Names>,
}

/// Keys of an entry that are no options of ldmsd.
const OWN_KEYS: [&str; 6] = ["names", "hosts", "endpoints", "environment", "stream_enable", "msg_enable"];
const ENDPOINT_KEYS: [&str; 7] = ["names", "ports", "hosts", "bind_all", "xprt", "maestro_comm", "auth"];

pub(super) fn read<'d>(root: Node<'d>, fields: &mut Fields) -> Daemons<'d> {
    let mut daemons = Daemons::default();
    let Some(list) = fields.required(root, "daemons", "the file") else { return daemons };
    for entry in fields.maps(list, "`daemons`") {
        read_entry(entry, fields, &mut daemons);
    }
    for (at, daemon) in daemons.by_name.values().enumerate() {
        for endpoint in &daemon.endpoints {
            daemons.owners.entry(endpoint.name.clone()).or_default().push(at);
        }
    }
    daemons
}

fn read_entry<'d>(entry: Node<'d>, fields: &mut Fields, daemons: &mut Daemons<'d>) {
    let what = "this entry of `daemons`";
    let names_at = fields.required(entry, "names", what);
    let names = names_at.and_then(|at| fields.key_names(at));
    let hosts_at = fields.required(entry, "hosts", what);
    let hosts = hosts_at.and_then(|at| fields.names(at));
    let settings = Arc::new(settings(entry, fields));
    let endpoints = fields.required(entry, "endpoints", what).map(|at| fields.maps(at, "`endpoints`"));
    let (Some(names_at), Some(names)) = (names_at, names) else { return };
    let hosts = hosts_at
        .zip(hosts)
        .and_then(|(at, hosts)| pairing::spread(fields, at, &names, &hosts, Spread::Blocks, "host"));
    let mut columns = Vec::new();
    for endpoint in endpoints.into_iter().flatten() {
        columns.extend(read_endpoints(endpoint, fields, &names));
    }
    // A fault of the hosts has been told. That these daemons exist is true all the same, and whoever refers to them is
    // not at fault as well.
    let hosts = hosts.unwrap_or_else(|| names.list.to_vec());
    let mut columns: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
    for (name, host) in names.list.iter().zip(hosts) {
        let endpoints = columns.iter_mut().filter_map(Iterator::next).collect();
        if let Some((at, _, _)) = daemons.by_name.get_full(name) {
            let message = format!("the daemon `{name}` is defined twice");
            let earlier = daemons.entries[at];
            let earlier = earlier.get("names").unwrap_or(earlier);
            fields.diagnostics.push(names_at.error(message).related(earlier.place(), "it is here, too"));
            continue;
        }
        let daemon = Daemon { name: name.clone(), host, endpoints, settings: Arc::clone(&settings) };
        daemons.by_name.insert(name.clone(), daemon);
        daemons.entries.push(entry);
    }
    digits_only(names_at, &names, fields);
    daemons.groups.push(names);
}

/// The original takes a key of etcd that is a number for a place in a list.
fn digits_only(at: Node<'_>, names: &Names, fields: &mut Fields) {
    if let Some(name) = names.list.iter().find(|name| name.bytes().all(|c| c.is_ascii_digit())) {
        let message = format!("the name `{name}` has nothing but digits");
        let hint = "the original Maestro cannot read it back from etcd; Campanile can";
        fields.diagnostics.push(at.warning(message).hint(hint));
    }
}

/// One endpoint for each daemon, in the order of the daemons.
fn read_endpoints(entry: Node<'_>, fields: &mut Fields, daemons: &Names) -> Option<Vec<Endpoint>> {
    let what = "this entry of `endpoints`";
    fields.known_keys(entry, &ENDPOINT_KEYS, what);
    let names_at = fields.required(entry, "names", what);
    let ports_at = fields.required(entry, "ports", what);
    let names = names_at.and_then(|at| fields.key_names(at));
    let ports = ports_at.and_then(|at| fields.names(at));
    let hosts_at = fields.optional(entry, "hosts");
    let hosts = hosts_at.and_then(|at| fields.names(at));
    let xprt: Arc<str> = fields.optional_text(entry, "xprt").unwrap_or_else(|| "sock".to_owned()).into();
    let maestro_comm = fields.switch(entry, "maestro_comm").is_some();
    let bind_all = fields.switch(entry, "bind_all");
    let auth = fields.auth(entry);
    let (names_at, names) = (names_at?, names?);
    if names.list.len() > daemons.list.len() {
        let (many, few) = (names.list.len(), daemons.list.len());
        let extra = &names.list[few];
        let message = format!("{many} endpoints for {few} daemons: nobody owns `{extra}` and those after it");
        let hint = "each entry gives one endpoint to each daemon; write another entry for a second one";
        fields.error_hint(names_at, message, hint);
        return None;
    }
    let names_of_daemons = pairing::one_each(fields, names_at, daemons, &names)?;
    let ports = pairing::spread(fields, ports_at?, &names, &ports?, Spread::Cycle, "port")?;
    let ports_of: HashMap<&String, String> = names.list.iter().zip(ports).collect();
    let hosts_of: Option<HashMap<&String, String>> = match (hosts_at, hosts) {
        (Some(at), Some(hosts)) => {
            let hosts = pairing::spread(fields, at, &names, &hosts, Spread::Blocks, "host")?;
            Some(names.list.iter().zip(hosts).collect())
        }
        _ => None,
    };
    let mut endpoints = Vec::with_capacity(names_of_daemons.len());
    for name in names_of_daemons {
        let port_text = ports_of.get(&name).map_or("", String::as_str);
        let Some(port) = port_text.parse::<u16>().ok().filter(|port| *port > 0) else {
            fields.error(ports_at?, format!("`{port_text}` is not a port (1 to 65535)"));
            return None;
        };
        let host = hosts_of.as_ref().and_then(|hosts| hosts.get(&name)).cloned();
        let (xprt, bind_all, auth) = (Arc::clone(&xprt), bind_all.clone(), auth.clone());
        endpoints.push(Endpoint { name, xprt, port, host, bind_all, maestro_comm, auth });
    }
    Some(endpoints)
}

fn settings(entry: Node<'_>, fields: &mut Fields) -> DaemonSettings {
    let mut settings = DaemonSettings {
        stream_enable: fields.switch(entry, "stream_enable"),
        msg_enable: fields.switch(entry, "msg_enable"),
        ..DaemonSettings::default()
    };
    if let Some(environment) = fields.optional(entry, "environment") {
        settings.environment = pairs(environment, fields);
    }
    let options = entry.entries().filter(|(key, _)| key.text().is_some_and(|key| !OWN_KEYS.contains(&key)));
    for (key, value) in options {
        let key = key.text().unwrap_or_default().to_owned();
        let value = match value.kind() {
            Kind::Map => OptionValue::Arguments(arguments(value, fields)),
            _ => match fields.text(value) {
                Some(text) => OptionValue::Word(text),
                None => continue,
            },
        };
        settings.options.push((key, value));
    }
    settings
}

/// The arguments of a command; a permission among them in the form the original gives it.
fn arguments(value: Node<'_>, fields: &mut Fields) -> Vec<(String, String)> {
    let perm = fields.perm(value);
    let mut arguments = pairs(value, fields);
    for (key, text) in &mut arguments {
        if let ("perm", Some(perm)) = (key.as_str(), &perm) {
            text.clone_from(perm);
        }
    }
    arguments
}

fn pairs(value: Node<'_>, fields: &mut Fields) -> Vec<(String, String)> {
    let Some(map) = value.want_map(&mut fields.diagnostics) else { return Vec::new() };
    let mut pairs = Vec::new();
    for (key, value) in map.entries() {
        let Some(key) = key.text() else { continue };
        if let Some(value) = fields.text(value) {
            pairs.push((key.to_owned(), value));
        }
    }
    pairs
}
