//! Settings of the database: dotted paths and texts, as a file that overrides the others.

use std::collections::BTreeMap;

use super::model::PoolConfig;

/// A nested document of dotted paths. Only the sections `daemon` and `ehos` are taken: credentials belong into the file.
pub(super) fn as_yaml(settings: &BTreeMap<String, String>) -> String {
    let mut sections: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for (path, value) in settings {
        let Some((section, key)) = path.split_once('.') else { continue };
        if matches!(section, "daemon" | "ehos_daemon" | "ehos") && !key.contains('.') {
            sections.entry(section).or_default().push((key, value));
        }
    }
    let mut text = String::new();
    for (section, entries) in sections {
        text.push_str(&format!("{}:\n", quoted(section)));
        for (key, value) in entries {
            // The database has texts only: what reads as a number or a word of YAML was one.
            let plain =
                value.parse::<f64>().is_ok() || matches!(value, "True" | "False" | "true" | "false" | "None");
            let value = if plain { value.to_owned() } else { quoted(value) };
            text.push_str(&format!("  {}: {value}\n", quoted(key)));
        }
    }
    text
}

/// A text in quotes that YAML and JSON read alike.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What the table is filled with when it is empty: the numbers of the daemon.
#[must_use]
pub fn of_config(config: &PoolConfig) -> Vec<(String, String)> {
    let sizes = &config.sizes;
    vec![
        ("daemon.nodes_max".to_owned(), sizes.nodes_max.to_string()),
        ("daemon.nodes_min".to_owned(), sizes.nodes_min.to_string()),
        ("daemon.nodes_spare".to_owned(), sizes.nodes_spare.to_string()),
        ("daemon.sleep".to_owned(), (config.step_ms / 1000).to_string()),
        ("daemon.min_cores".to_owned(), config.quotas.cores.to_string()),
        ("daemon.min_instances".to_owned(), config.quotas.servers.to_string()),
    ]
}
