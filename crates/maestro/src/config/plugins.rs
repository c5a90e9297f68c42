//! `plugins`: instances of libraries with their options; and those that the older format embeds elsewhere.

use std::sync::Arc;

use campanile_yaml::{Kind, Node};
use indexmap::IndexMap;

use super::fields::Fields;
use super::model::{ConfigLine, ConfigValue, Plugin};

/// Every instance, and where it is defined.
#[derive(Debug, Default)]
pub(super) struct Plugins<'d> {
    pub(super) by_name: IndexMap<String, Arc<Plugin>>,
    /// The definition of each, by position in `by_name`.
    pub(super) at: Vec<Node<'d>>,
}

const PLUGIN_KEYS: [&str; 5] = ["name", "interval", "offset", "perm", "config"];

pub(super) fn read<'d>(root: Node<'d>, fields: &mut Fields) -> Plugins<'d> {
    let mut plugins = Plugins::default();
    let Some(map) = fields.optional(root, "plugins") else { return plugins };
    let Some(map) = map.want_map(&mut fields.diagnostics) else { return plugins };
    for (key, entry) in map.entries() {
        let Some(name) = fields.text(key) else { continue };
        no_slash(key, &name, fields);
        let Some(entry) = entry.want_map(&mut fields.diagnostics) else { continue };
        let what = format!("the plugin `{name}`");
        fields.known_keys(entry, &PLUGIN_KEYS, &what);
        let library = fields.required_text(entry, "name", &what);
        let config = fields.required(entry, "config", &what).map(|config| read_config(config, fields));
        let plugin = Plugin {
            name: name.clone(),
            library: library.unwrap_or_default(),
            interval: fields.optional(entry, "interval").and_then(|at| fields.positive_interval(at)),
            offset: fields.optional_interval(entry, "offset"),
            perm: fields.perm(entry),
            config: config.unwrap_or_default(),
        };
        plugins.by_name.insert(name, Arc::new(plugin));
        plugins.at.push(key);
    }
    plugins
}

/// A slash divides the keys of etcd, and cannot be in one.
pub(super) fn no_slash(at: Node<'_>, name: &str, fields: &mut Fields) {
    if name.contains('/') {
        fields.error(at, format!("a slash cannot be in the name `{name}`, which becomes a key of etcd"));
    }
}

fn read_config(config: Node<'_>, fields: &mut Fields) -> Vec<ConfigLine> {
    if config.kind() != Kind::List {
        let message = format!("`config` must be a list of commands, found {}", config.description());
        fields.error_hint(config, message, "begin each command with a dash");
        return Vec::new();
    }
    config.items().filter_map(|item| config_line(item, fields)).collect()
}

fn config_line(item: Node<'_>, fields: &mut Fields) -> Option<ConfigLine> {
    match item.kind() {
        Kind::Map => Some(ConfigLine::Options(options(item.entries(), fields))),
        Kind::Scalar => fields.text(item).map(ConfigLine::Verbatim),
        Kind::List => {
            fields.error(item, "a command of `config` must be a map of options or a text, found a list");
            None
        }
    }
}

fn options<'d>(
    entries: impl Iterator<Item = (Node<'d>, Node<'d>)>,
    fields: &mut Fields,
) -> Vec<(String, ConfigValue)> {
    let mut options = Vec::new();
    for (key, value) in entries {
        let Some(key) = fields.text(key) else { continue };
        let value = match value.kind() {
            Kind::Scalar if value.is_null() => ConfigValue::Keyword,
            Kind::Scalar => ConfigValue::Text(value.text().unwrap_or_default().to_owned()),
            Kind::List => {
                let mut texts = Vec::new();
                for item in value.items() {
                    match item.kind() {
                        Kind::Scalar if item.is_null() => texts.push(None),
                        Kind::Scalar => texts.push(item.text().map(str::to_owned)),
                        _ => fields.error(item, format!("`{key}` must have single values in its list")),
                    }
                }
                ConfigValue::Repeated(texts)
            }
            Kind::Map => {
                fields.error(value, format!("the option `{key}` cannot be a map"));
                continue;
            }
        };
        options.push((key, value));
    }
    options
}

/// The older format: plugins that are defined where they are used.
impl<'d> Plugins<'d> {
    /// The plugins of a sampler's `config` list: their instance names, and where they are.
    pub(super) fn embedded_samplers(
        &mut self,
        config: Node<'d>,
        fields: &mut Fields,
    ) -> (Vec<String>, Vec<Node<'d>>) {
        let mut names: Vec<String> = Vec::new();
        let mut places = Vec::new();
        for entry in fields.maps(config, "`config`") {
            let Some(library) = fields.required_text(entry, "name", "this plugin") else { continue };
            let rest = entry
                .entries()
                .filter(|(key, _)| !matches!(key.text(), Some("name" | "interval" | "offset")));
            let plugin = Plugin {
                name: String::new(),
                library,
                interval: fields.optional(entry, "interval").and_then(|at| fields.positive_interval(at)),
                offset: fields.optional_interval(entry, "offset"),
                perm: None,
                config: vec![ConfigLine::Options(options(rest, fields))],
            };
            let name = self.insert(plugin, entry, &names);
            names.push(name);
            places.push(entry);
        }
        (names, places)
    }

    /// The plugin of a store that embeds it: `plugin: {name: store_csv, config: {…}}`.
    pub(super) fn embedded_store(&mut self, entry: Node<'d>, fields: &mut Fields) -> Option<String> {
        fields.known_keys(entry, &["name", "config"], "the plugin of this store");
        let library = fields.required_text(entry, "name", "the plugin of this store")?;
        let config = match fields.optional(entry, "config") {
            None => Vec::new(),
            Some(config) if config.kind() == Kind::List => read_config(config, fields),
            Some(config) => config_line(config, fields).into_iter().collect(),
        };
        let plugin =
            Plugin { name: String::new(), library, interval: None, offset: None, perm: None, config };
        Some(self.insert(plugin, entry, &[]))
    }

    /// Adds an instance named like its library; one with the same content is shared, unless it is `taken` by the same
    /// user; one with other content gets a number behind its name.
    fn insert(&mut self, mut plugin: Plugin, at: Node<'d>, taken: &[String]) -> String {
        for number in 1_u32.. {
            plugin.name =
                if number == 1 { plugin.library.clone() } else { format!("{}_{number}", plugin.library) };
            match self.by_name.get(&plugin.name) {
                Some(known) if **known == plugin && !taken.contains(&plugin.name) => return plugin.name,
                Some(_) => {}
                None => break,
            }
        }
        let name = plugin.name.clone();
        self.by_name.insert(name.clone(), Arc::new(plugin));
        self.at.push(at);
        name
    }
}
