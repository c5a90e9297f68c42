//! What can be stored of the instances: the record feeds for the InfluxDB publisher and the aggregator of OCS. Pure.
//!
//! * `instance_states`: `state` (the word of OCS), `up` (1 or 0), `wanted` (1 if the target is up), `restarts`.
//! * `instance_usage`: `memory_bytes`, `cpu_s`, `cpu_share` (of one core), for instances of which they are known.
//!
//! Each instance is a block. The tags of the InfluxDB publisher give the fields the same names for all of them, with
//! the instance as a tag, so that one query draws them all. An instance-id goes into the line protocol unescaped there,
//! so what could break a line becomes an underscore.

use serde_json::{Map, Value, json};

/// The feed of states.
pub const STATES: &str = "instance_states";
/// The feed of memory and CPU.
pub const USAGE: &str = "instance_usage";
/// Without a change an instance is recorded so often, in seconds.
pub const EVERY_S: u64 = 60;
/// Changes are collected for so long, in milliseconds: a thousand launches are not a thousand looks at the table.
pub const GATHER_MS: u64 = 1000;

/// The messages about one instance, each with its feed, from its entry in `child_states`.
#[must_use]
pub fn of_child(child: &Value, now_s: f64) -> Vec<(&'static str, Value)> {
    let Some(id) = child["instance_id"].as_str() else { return Vec::new() };
    let state = child["next_action"].as_str().unwrap_or("?");
    let states = [
        ("state", json!(state)),
        ("up", json!(i32::from(state == "up"))),
        ("wanted", json!(i32::from(child["target_state"] == "up"))),
        ("restarts", json!(child["restarts"].as_u64().unwrap_or(0))),
    ];
    let mut messages = vec![(STATES, block(id, &states, now_s))];
    let number = |key: &str| child[key].as_f64();
    if let (Some(memory), Some(cpu_s)) = (number("memory_bytes"), number("cpu_s")) {
        // A number that is an integer here and a float there would be two types of one field in InfluxDB.
        let usage = [
            ("memory_bytes", json!(memory)),
            ("cpu_s", json!(cpu_s)),
            ("cpu_share", json!(number("cpu_share").unwrap_or(0.0))),
        ];
        messages.push((USAGE, block(id, &usage, now_s)));
    }
    messages
}

fn block(id: &str, fields: &[(&str, Value)], now_s: f64) -> Value {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '_' };
    let instance: String = id.chars().map(plain).collect();
    let data: Map<String, Value> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let tags: Map<String, Value> = fields
        .iter()
        .map(|(name, _)| ((*name).to_owned(), json!({ "_field": name, "instance": instance })))
        .collect();
    json!({ "block_name": instance, "timestamp": now_s, "data": data, "influxdb_tags": tags })
}
