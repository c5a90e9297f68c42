//! Numbers for others: InfluxDB's line protocol as EHOS sends it, Prometheus' text format, and the record feed.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::config::InfluxConfig;
use crate::manager::{Pool, Sight};
use crate::model::NodeState;

/// How long InfluxDB may take.
const INFLUX_DEADLINE: Duration = Duration::from_secs(5);

/// The numbers of one turn, name and value; the names of EHOS first.
#[must_use]
pub fn numbers(sight: &Sight) -> Vec<(&'static str, f64)> {
    let of = |state: NodeState| sight.memory.nodes.iter().filter(|node| node.state == state).count() as f64;
    let plan = &sight.plan.numbers;
    let demand = sight.seen.demand.as_ref();
    let jobs = |get: fn(&crate::model::Demand) -> u64| demand.map_or(f64::NAN, |demand| get(demand) as f64);
    let coming = of(NodeState::Requested) + of(NodeState::Building) + of(NodeState::Booted);
    let all = vec![
        ("nodes_busy", of(NodeState::Busy)),
        ("nodes_idle", of(NodeState::Idle)),
        ("jobs_running", jobs(|demand| demand.running_jobs)),
        ("jobs_idle", jobs(crate::model::Demand::idle_jobs)),
        ("nodes_total", sight.memory.nodes.len() as f64),
        ("nodes_coming", coming),
        ("nodes_lost", of(NodeState::Lost)),
        ("nodes_draining", of(NodeState::Draining)),
        ("nodes_deleting", of(NodeState::Deleting)),
        ("jobs_held", jobs(|demand| demand.held_jobs)),
        ("jobs_unrunnable", plan.unrunnable_jobs as f64),
        ("jobs_unserved", plan.jobs_unserved as f64),
        ("cores", plan.cores as f64),
        ("cost_per_hour", plan.cost_per_hour),
        ("workers_foreign", plan.foreign_workers as f64),
    ];
    // What is not known is left out, never sent as zero.
    all.into_iter().filter(|(_, value)| value.is_finite()).collect()
}

/// A line for InfluxDB: measurement `ehos`, tag `host`.
#[must_use]
pub fn influx_line(host: &str, fields: &[(&str, f64)]) -> String {
    line("ehos", host, fields)
}

/// A line of any measurement with the tag `host`.
#[must_use]
pub fn line(measurement: &str, host: &str, fields: &[(&str, f64)]) -> String {
    let escape =
        |text: &str| text.replace('\\', "\\\\").replace(',', "\\,").replace(' ', "\\ ").replace('=', "\\=");
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{measurement},host={} {}", escape(host), fields.join(","))
}

/// A client for InfluxDB, with the certificates that the system trusts.
///
/// # Errors
/// In words: TLS cannot be set up.
pub fn client() -> Result<reqwest::Client, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let builder = reqwest::Client::builder().tls_backend_preconfigured(tls).connect_timeout(INFLUX_DEADLINE);
    builder.build().map_err(|error| format!("TLS: {error}"))
}

/// Sends a line to InfluxDB.
///
/// # Errors
/// In words; without a password.
pub async fn send_influx(
    client: &reqwest::Client,
    config: &InfluxConfig,
    line: String,
) -> Result<(), String> {
    let url = format!("{}/write", config.url.trim_end_matches('/'));
    let mut url = url::Url::parse(&url).map_err(|error| format!("influxdb.url: {error}"))?;
    url.query_pairs_mut().append_pair("db", &config.db);
    let mut request = client.post(url).timeout(INFLUX_DEADLINE).body(line);
    if let Some(user) = &config.username {
        request = request.basic_auth(user, config.password.as_ref().map(crate::config::Secret::reveal));
    }
    let answer = request.send().await.map_err(|error| format!("InfluxDB: {}", error.without_url()))?;
    if answer.status().is_success() { Ok(()) } else { Err(format!("InfluxDB answers {}", answer.status())) }
}

/// The message of the record feed `pool`: one block of all numbers.
#[must_use]
pub fn feed_message(sight: &Sight) -> Value {
    // A block keeps its fields, so what is not known now stands as −1 there.
    let known = numbers(sight);
    let names = [
        "nodes_busy",
        "nodes_idle",
        "jobs_running",
        "jobs_idle",
        "nodes_total",
        "nodes_coming",
        "nodes_lost",
        "nodes_draining",
        "nodes_deleting",
        "jobs_held",
        "jobs_unrunnable",
        "jobs_unserved",
        "cores",
        "cost_per_hour",
        "workers_foreign",
    ];
    let value = |name: &str| known.iter().find(|(known, _)| *known == name).map_or(-1.0, |(_, value)| *value);
    let data: serde_json::Map<String, Value> =
        names.iter().map(|name| ((*name).to_owned(), value(name).into())).collect();
    json!({ "block_name": "pool", "timestamp": sight.turn_ms as f64 / 1000.0, "data": data })
}

/// Prometheus' text format.
#[must_use]
pub fn prometheus(pool: &Pool) -> String {
    let sight = pool.sight();
    let mut text = String::new();
    let mut family = |name: &str, help: &str, kind: &str, samples: &[(String, f64)]| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# HELP campanile_pool_{name} {help}\n# TYPE campanile_pool_{name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(text, "campanile_pool_{name}{labels} {value}");
        }
    };
    let mut nodes = Vec::new();
    for cloud in &pool.config().clouds {
        for state in NodeState::ALL.into_iter().filter(|state| *state != NodeState::Gone) {
            let here =
                sight.memory.nodes.iter().filter(|node| node.cloud == cloud.name && node.state == state);
            let labels = format!("{{cloud=\"{}\",state=\"{}\"}}", label(&cloud.name), state.name());
            nodes.push((labels, here.count() as f64));
        }
    }
    family("nodes", "Nodes by cloud and state.", "gauge", &nodes);
    if let Some(demand) = &sight.seen.demand {
        let jobs = [
            ("idle", demand.idle_jobs()),
            ("running", demand.running_jobs),
            ("held", demand.held_jobs),
            ("suspended", demand.suspended_jobs),
            ("unrunnable", sight.plan.numbers.unrunnable_jobs),
            ("unserved", sight.plan.numbers.jobs_unserved),
        ];
        let samples: Vec<_> =
            jobs.iter().map(|(state, n)| (format!("{{state=\"{state}\"}}"), *n as f64)).collect();
        family("jobs", "Jobs of the queue.", "gauge", &samples);
    }
    family("cores", "Cores of all nodes.", "gauge", &[(String::new(), sight.plan.numbers.cores as f64)]);
    family(
        "cost_per_hour",
        "Cost of all nodes.",
        "gauge",
        &[(String::new(), sight.plan.numbers.cost_per_hour)],
    );
    family("turns_total", "Turns of the loop.", "counter", &[(String::new(), sight.turns as f64)]);
    let last = [(String::new(), sight.turn_ms as f64 / 1000.0)];
    family("last_turn_timestamp_seconds", "When the last turn was.", "gauge", &last);
    let up: Vec<_> = pool
        .sides_status()
        .iter()
        .map(|side| {
            let is_up = side.error.is_none() && side.answered_ms.is_some();
            (format!("{{side=\"{}\"}}", label(&side.name)), f64::from(u8::from(is_up)))
        })
        .collect();
    family("side_up", "Whether a cloud, or the batch system, answers.", "gauge", &up);
    let paused = f64::from(u8::from(sight.memory.controls.paused));
    family("paused", "Whether an operator has paused the pool.", "gauge", &[(String::new(), paused)]);
    text
}

/// A label's value as the format wants it.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_that_of_ehos_with_its_tag_escaped() {
        assert_eq!(
            influx_line("my host,1", &[("nodes_busy", 2.0), ("cost_per_hour", 0.5)]),
            "ehos,host=my\\ host\\,1 nodes_busy=2,cost_per_hour=0.5"
        );
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let sight = Sight::default();
        assert!(numbers(&sight).iter().all(|(name, _)| *name != "jobs_idle"));
        assert_eq!(feed_message(&sight)["data"]["jobs_idle"], -1.0);
        assert_eq!(numbers(&sight).len() + 3, feed_message(&sight)["data"].as_object().unwrap().len());
    }
}
