//! `stores`: which sets are stored where.

use campanile_yaml::{Kind, Node};
use indexmap::IndexMap;

use super::aggregators::leaves;
use super::fields::Fields;
use super::model::StoragePolicy;
use super::plugins::{Plugins, no_slash};

/// Every policy, and where it is.
#[derive(Debug, Default)]
pub(super) struct Stores<'d> {
    pub(super) by_name: IndexMap<String, StoragePolicy>,
    /// The entry of each, by position in `by_name`.
    pub(super) at: Vec<Node<'d>>,
    /// Where the plugin of each is named, by position in `by_name`.
    pub(super) plugin_at: Vec<Node<'d>>,
}

const STORE_KEYS: [&str; 10] = [
    "name",
    "daemons",
    "plugin",
    "container",
    "schema",
    "regex",
    "decomposition",
    "flush",
    "perm",
    // Older files describe their stores.
    "description",
];

pub(super) fn read<'d>(root: Node<'d>, plugins: &mut Plugins<'d>, fields: &mut Fields) -> Stores<'d> {
    let mut stores = Stores::default();
    let Some(section) = fields.optional(root, "stores") else { return stores };
    match section.kind() {
        Kind::Map => {
            for (key, entry) in section.entries() {
                let Some(name) = fields.text(key) else { continue };
                no_slash(key, &name, fields);
                if let Some(entry) = entry.want_map(&mut fields.diagnostics) {
                    read_entry(key, name, entry, plugins, fields, &mut stores);
                }
            }
        }
        _ => {
            let entries = fields.maps(section, "`stores`");
            if !entries.is_empty() {
                let hint = "this is the older format; the original now wants a map of names";
                fields.diagnostics.push(section.warning("`stores` is a list").hint(hint));
            }
            for entry in entries {
                let Some(at) = fields.required(entry, "name", "this store") else { continue };
                let Some(name) = fields.text(at) else { continue };
                no_slash(at, &name, fields);
                read_entry(at, name, entry, plugins, fields, &mut stores);
            }
        }
    }
    stores
}

fn read_entry<'d>(
    at: Node<'d>,
    name: String,
    entry: Node<'d>,
    plugins: &mut Plugins<'d>,
    fields: &mut Fields,
    stores: &mut Stores<'d>,
) {
    let what = format!("the store `{name}`");
    fields.known_keys(entry, &STORE_KEYS, &what);
    let daemons = fields.required(entry, "daemons", &what).and_then(|at| fields.key_names(at));
    let plugin_at = fields.required(entry, "plugin", &what);
    let plugin = plugin_at.and_then(|plugin| match plugin.kind() {
        Kind::Map => plugins.embedded_store(plugin, fields),
        _ => fields.text(plugin),
    });
    let container = fields.optional_text(entry, "container");
    let schema = fields.optional_text(entry, "schema");
    let regex = fields.optional_text(entry, "regex");
    let decomposition = fields.optional_text(entry, "decomposition");
    let flush = fields.optional_interval(entry, "flush");
    let perm = fields.perm(entry);
    match (&decomposition, &schema, &regex) {
        (None, None, _) => fields.error(at, format!("{what} has no `schema`")),
        (Some(_), None, None) => {
            fields.error(at, format!("{what} has a `decomposition`, and so needs `schema` or `regex`"));
        }
        (Some(_), Some(_), Some(_)) => {
            let message = format!("{what} has a `decomposition` with both `schema` and `regex`");
            fields.error_hint(at, message, "keep one of them");
        }
        _ => {}
    }
    if container.is_none() {
        let hint = "the original Maestro refuses such a store when it runs";
        fields.diagnostics.push(at.warning(format!("{what} has no `container`")).hint(hint));
    }
    let mut other = Vec::new();
    for (key, value) in entry.entries() {
        let Some(key) = key.text().filter(|key| !STORE_KEYS.contains(key)) else { continue };
        leaves(value, key, &mut other);
    }
    let (Some(daemons), Some(plugin), Some(plugin_at)) = (daemons, plugin, plugin_at) else { return };
    if let Some(earlier) = stores.by_name.get_index_of(&name) {
        let problem = at.error(format!("{what} is defined twice"));
        fields.diagnostics.push(problem.related(stores.at[earlier].place(), "it is here, too"));
        return;
    }
    let key = name.clone();
    let policy =
        StoragePolicy { name, daemons, plugin, container, schema, regex, decomposition, flush, perm, other };
    stores.by_name.insert(key, policy);
    stores.at.push(at);
    stores.plugin_at.push(plugin_at);
}
