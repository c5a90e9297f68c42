//! What can be stored of the instances: the record feeds for the InfluxDB publisher and the aggregator of OCS. Pure.
//!
//! * `instance_states`: `state` (the word of OCS), `up` (1 or 0), `wanted` (1 if the target is up), `restarts`.
//! * `instance_usage`: `memory_bytes`, `cpu_s`, `cpu_share` (of one core), for instances of which all three are known:
//!   the fields of a block must always be the same.
//!
//! Each instance is a block. The tags of the InfluxDB publisher give the fields the same names for all of them, with
//! the instance as a tag, so that one query draws them all; a feed remembers them, so they are given once. An
//! instance-id goes into the line protocol unescaped there, so what could break a line becomes an underscore.

use campanile_wamp::{Dict, Value};

use crate::model::Usage;

/// The feed of states.
pub const STATES: &str = "instance_states";
/// The feed of memory and CPU.
pub const USAGE: &str = "instance_usage";
/// Without a change an instance is recorded so often, in seconds.
pub const EVERY_S: u64 = 60;
/// Instances that can be recorded; the fields of each are remembered by the feeds.
pub const MAX_INSTANCES: usize = 10_000;
/// Changes are collected for so long, in milliseconds: a thousand launches are not a thousand looks at the table.
pub const GATHER_MS: u64 = 1000;

/// What is recorded of one instance.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its instance-id.
    pub instance_id: &'a str,
    /// The word of OCS for its state.
    pub state: &'a str,
    /// Whether its target is up.
    pub is_wanted: bool,
    /// How often it was launched again.
    pub restarts: u64,
    /// What it uses, if it runs and was measured.
    pub usage: Option<Usage>,
}

impl Record<'_> {
    /// The message of [`STATES`] at `now_s`, seconds since the Unix epoch.
    #[must_use]
    pub fn states(&self, with_tags: bool, now_s: f64) -> Value {
        let fields = [
            ("state", Value::from(self.state)),
            ("up", Value::from(i64::from(self.state == "up"))),
            ("wanted", Value::from(i64::from(self.is_wanted))),
            ("restarts", Value::from(self.restarts)),
        ];
        self.block(fields, with_tags, now_s)
    }

    /// The message of [`USAGE`], if all that it holds is known. Numbers are all floats: an integer here and a float
    /// there would be two types of one field in InfluxDB.
    #[must_use]
    pub fn usage(&self, with_tags: bool, now_s: f64) -> Option<Value> {
        let usage = self.usage?;
        let fields = [
            ("memory_bytes", Value::from(usage.memory_bytes as f64)),
            ("cpu_s", Value::from(usage.cpu_s)),
            ("cpu_share", Value::from(usage.cpu_share?)),
        ];
        Some(self.block(fields, with_tags, now_s))
    }

    fn block<const N: usize>(&self, fields: [(&str, Value); N], with_tags: bool, now_s: f64) -> Value {
        let instance = plain(self.instance_id);
        let tag = |name: &str| Dict::new().with("_field", name).with("instance", instance.as_str());
        let tags: Option<Dict> =
            with_tags.then(|| fields.iter().map(|(name, _)| (*name, Value::from(tag(name)))).collect());
        let data: Dict = fields.into_iter().collect();
        let block = Dict::new().with("block_name", instance).with("timestamp", now_s).with("data", data);
        Value::Dict(match tags {
            Some(tags) => block.with("influxdb_tags", tags),
            None => block,
        })
    }
}

/// A name in which nothing can break a line of the line protocol.
fn plain(id: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '_' };
    id.chars().map(plain).collect()
}
