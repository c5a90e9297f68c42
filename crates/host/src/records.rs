//! What can be stored of the instances: the record feeds for the InfluxDB publisher and the aggregator of OCS. Pure.
//!
//! * `instance_states`: `state` (the word of OCS), `up` (1 or 0), `wanted` (1 if the target is up), `restarts`.
//! * `instance_usage`: `memory_bytes`, `cpu_s`, `cpu_share` (of one core), for instances of which they are known.
//!
//! Each instance is a block, and has another one for `cpu_share`: the fields of a block must always be the same, and
//! the share is known later than the rest, from the second look at a process on. The tags of the InfluxDB publisher give the fields the same names for all of them, with
//! the instance as a tag, so that one query draws them all. An instance-id goes into the line protocol unescaped there,
//! so what could break a line becomes an underscore.

use serde_json::{Map, Value, json};

/// The feed of states.
pub const STATES: &str = "instance_states";
/// The feed of memory and CPU.
pub const USAGE: &str = "instance_usage";
/// Without a change an instance is recorded so often, in seconds.
pub const EVERY_S: u64 = 60;
/// Instances that can be recorded; the fields of each are remembered by the feeds.
pub const MAX_INSTANCES: usize = 10_000;
/// Blocks of each instance at most.
pub const BLOCKS_PER_INSTANCE: usize = 2;
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
    let instance = plain(id);
    let mut messages = vec![(STATES, block(&instance, &instance, &states, now_s))];
    // A number that is an integer here and a float there would be two types of one field in InfluxDB.
    let number = |key: &str| child[key].as_f64();
    if let (Some(memory), Some(cpu_s)) = (number("memory_bytes"), number("cpu_s")) {
        let usage = [("memory_bytes", json!(memory)), ("cpu_s", json!(cpu_s))];
        messages.push((USAGE, block(&instance, &instance, &usage, now_s)));
    }
    if let Some(share) = number("cpu_share") {
        let name = format!("{instance}.cpu_share");
        messages.push((USAGE, block(&name, &instance, &[("cpu_share", json!(share))], now_s)));
    }
    messages
}

/// A name in which nothing can break a line of the line protocol.
fn plain(id: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '_' };
    id.chars().map(plain).collect()
}

fn block(name: &str, instance: &str, fields: &[(&str, Value)], now_s: f64) -> Value {
    let data: Map<String, Value> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let tags: Map<String, Value> = fields
        .iter()
        .map(|(name, _)| ((*name).to_owned(), json!({ "_field": name, "instance": instance })))
        .collect();
    json!({ "block_name": name, "timestamp": now_s, "data": data, "influxdb_tags": tags })
}
