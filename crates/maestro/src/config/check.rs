//! What can only be seen with all sections at hand.

use std::collections::HashMap;

use campanile_ldms::hostlist;
use campanile_yaml::{Node, did_you_mean};

use super::daemons::Daemons;
use super::fields::Fields;
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
