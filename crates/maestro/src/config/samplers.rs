//! `samplers`: which daemons load which plugins, and how they advertise themselves.

use campanile_yaml::{Kind, Node};

use super::fields::Fields;
use super::model::{Advertise, Names, SamplerGroup};
use super::plugins::Plugins;

/// A group, and where it and its parts are in the file.
#[derive(Debug)]
pub(super) struct Group<'d> {
    pub(super) group: SamplerGroup,
    pub(super) at: Node<'d>,
    /// Where each plugin is named.
    pub(super) plugins_at: Vec<Node<'d>>,
}

pub(super) fn read<'d>(root: Node<'d>, plugins: &mut Plugins<'d>, fields: &mut Fields) -> Vec<Group<'d>> {
    let mut groups: Vec<Group<'d>> = Vec::new();
    let Some(list) = fields.optional(root, "samplers") else { return groups };
    for entry in fields.maps(list, "`samplers`") {
        let what = "this entry of `samplers`";
        fields.known_keys(entry, &["daemons", "plugins", "config", "advertise"], what);
        let daemons_at = fields.required(entry, "daemons", what);
        let names = daemons_at.and_then(|at| fields.key_names(at));
        let (names_of_plugins, plugins_at) = match (entry.get("plugins"), entry.get("config")) {
            (None, Some(config)) => {
                let hint = "this is the older format; each entry of `config` becomes a plugin instance";
                let problem = config.warning(format!("{what} has `config` instead of `plugins`"));
                fields.diagnostics.push(problem.hint(hint));
                plugins.embedded_samplers(config, fields)
            }
            _ => match fields.required(entry, "plugins", what) {
                Some(list) => (fields.texts(list), plugin_names(list)),
                None => (Vec::new(), Vec::new()),
            },
        };
        let (Some(at), Some(daemons)) = (daemons_at, names) else { continue };
        let advertise = fields.optional(entry, "advertise");
        let advertise = advertise.and_then(|advertise| read_advertise(advertise, &daemons, fields));
        if let Some(earlier) = groups.iter().find(|group| group.group.daemons.text == daemons.text) {
            let message = format!("`{}` has an entry of `samplers` already", daemons.text);
            let problem = at.error(message).related(earlier.at.place(), "it is here");
            fields.diagnostics.push(problem.hint("put all their plugins into one entry"));
            continue;
        }
        let group = SamplerGroup { daemons, plugins: names_of_plugins, advertise };
        groups.push(Group { group, at, plugins_at });
    }
    groups
}

/// Where the names in a list of plugins are.
pub(super) fn plugin_names(list: Node<'_>) -> Vec<Node<'_>> {
    match list.kind() {
        Kind::List => list.items().filter(|item| item.text().is_some() && !item.is_null()).collect(),
        _ => vec![list],
    }
}

pub(super) fn read_advertise(entry: Node<'_>, daemons: &Names, fields: &mut Fields) -> Option<Advertise> {
    let entry = entry.want_map(&mut fields.diagnostics)?;
    let what = "`advertise`";
    let known = ["names", "hosts", "xprt", "port", "reconnect", "auth", "perm", "rail", "quota", "rx_rate"];
    fields.known_keys(entry, &known, what);
    let names_at = fields.required(entry, "names", what);
    let names = names_at.and_then(|at| fields.names(at));
    let hosts = fields.required(entry, "hosts", what).and_then(|at| fields.names(at));
    let xprt = fields.required_text(entry, "xprt", what);
    let port = fields.required_text(entry, "port", what);
    if let Some(port) = port.as_deref().filter(|port| port.parse::<u16>().is_err()) {
        let at = entry.get("port").unwrap_or(entry);
        fields.error(at, format!("`{port}` is not a port (1 to 65535)"));
    }
    let reconnect = fields.required(entry, "reconnect", what).and_then(|at| fields.positive_interval(at));
    let auth = fields.auth(entry);
    let perm = fields.perm(entry);
    let rail = fields.optional_text(entry, "rail");
    let quota = fields.optional_text(entry, "quota");
    let rx_rate = fields.optional_text(entry, "rx_rate");
    if let (Some(at), Some(names)) = (names_at, &names) {
        let (given, wanted) = (names.list.len(), daemons.list.len());
        if given != wanted && wanted > 0 {
            let message = format!("{given} names of advertisers for {wanted} daemons");
            fields.error_hint(at, message, "give as many names as there are daemons");
        }
    }
    let (names, hosts, xprt, port, reconnect) = (names?, hosts?, xprt?, port?, reconnect?);
    Some(Advertise { names, hosts, xprt, port, reconnect, auth, perm, rail, quota, rx_rate })
}
