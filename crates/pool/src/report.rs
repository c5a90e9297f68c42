//! What is told about a pool, as JSON with a stable shape: `status`, `plan`, and the data of the process `manager`.

use serde_json::{Value, json};

use crate::manager::{Pool, Sight};
use crate::model::{Node, NodeState};
use crate::names::iso_time;

/// The whole state.
///
/// Keys: `pool` (mark, paused, sizes in force, batch system), `counts` (by state), `jobs`, `nodes` (a list), `sides` (who
/// answers), `backoff` (what is left alone), `why` (the last decision in words), `turn` (when it was), `trouble`,
/// `workers` (background loops).
#[must_use]
pub fn status(pool: &Pool) -> Value {
    let sight = pool.sight();
    let config = pool.config();
    let now_ms = pool.time.now_ms();
    let controls = &sight.memory.controls;
    let sizes = &config.sizes;
    json!({
        "pool": {
            "mark": config.mark.value(),
            "prefix": config.mark.prefix,
            "host": config.mark.host,
            "paused": controls.paused,
            "nodes_min": controls.nodes_min.unwrap_or(sizes.nodes_min),
            "nodes_max": controls.nodes_max.unwrap_or(sizes.nodes_max).min(sizes.nodes_max),
            "nodes_spare": controls.nodes_spare.unwrap_or(sizes.nodes_spare),
            "step_s": config.step_ms as f64 / 1000.0,
            "batch": pool.sides().batch.kind(),
            "record": pool.record.place(),
        },
        "counts": counts(&sight),
        "jobs": jobs(&sight),
        "nodes": sight.memory.nodes.iter().map(|node| of_node(node, now_ms)).collect::<Vec<_>>(),
        "sides": pool.sides_status(),
        "backoff": backoff(&sight, now_ms),
        "why": sight.plan.why,
        "turn": { "number": sight.turns, "at": time(sight.turn_ms), "age_s": age_s(sight.turn_ms, now_ms) },
        "trouble": {
            "record": sight.record_trouble,
            "config": sight.config_trouble,
            "alarms": sight.memory.alarms,
        },
        "workers": pool.workers.snapshot(),
    })
}

/// The last decision: what it creates, what goes, and why.
#[must_use]
pub fn plan(pool: &Pool) -> Value {
    let sight = pool.sight();
    let now_ms = pool.time.now_ms();
    let coming = |node: &&Node| node.state.is_coming();
    let going = |node: &&Node| matches!(node.state, NodeState::Draining | NodeState::Deleting);
    json!({
        "at": time(sight.turn_ms),
        "age_s": age_s(sight.turn_ms, now_ms),
        "paused": sight.memory.controls.paused,
        "create": sight.plan.create,
        "remove": sight.plan.remove,
        "why": sight.plan.why,
        "numbers": sight.plan.numbers,
        "coming": sight.memory.nodes.iter().filter(coming).map(|node| of_node(node, now_ms)).collect::<Vec<_>>(),
        "going": sight.memory.nodes.iter().filter(going).map(|node| of_node(node, now_ms)).collect::<Vec<_>>(),
    })
}

/// Nodes by state; every state is there.
#[must_use]
pub fn counts(sight: &Sight) -> Value {
    let of = |state: NodeState| sight.memory.nodes.iter().filter(|node| node.state == state).count();
    let states = NodeState::ALL.into_iter().filter(|state| *state != NodeState::Gone);
    let mut counts: serde_json::Map<String, Value> =
        states.map(|state| (state.name().to_owned(), of(state).into())).collect();
    counts.insert("total".to_owned(), sight.memory.nodes.len().into());
    counts.into()
}

/// Jobs as the last turn has seen them; null where the batch system did not answer.
#[must_use]
pub fn jobs(sight: &Sight) -> Value {
    let Some(demand) = &sight.seen.demand else { return Value::Null };
    json!({
        "idle": demand.idle_jobs(),
        "running": demand.running_jobs,
        "held": demand.held_jobs,
        "suspended": demand.suspended_jobs,
        "other": demand.other_jobs,
        "unrunnable": sight.plan.numbers.unrunnable_jobs,
        "unserved": sight.plan.numbers.jobs_unserved,
    })
}

/// One node.
#[must_use]
pub fn of_node(node: &Node, now_ms: u64) -> Value {
    json!({
        "name": node.name,
        "cloud": node.cloud,
        "worker_type": node.worker_type,
        "flavor": node.flavor,
        "state": node.state.name(),
        "since": time(node.since_ms),
        "in_state_s": age_s(node.since_ms, now_ms),
        "age_s": age_s(node.created_ms, now_ms),
        "idle_s": node.idle_since_ms.map(|at_ms| age_s(at_ms, now_ms)),
        "cordoned": node.cordoned,
        "cores": node.resources.cores,
        "memory_mib": node.resources.memory_mib,
        "cost_per_hour": node.cost_per_hour,
        "server_id": node.server_id,
        "worker": node.worker_handle,
        "ending": node.ending,
        "detail": node.detail,
    })
}

fn backoff(sight: &Sight, now_ms: u64) -> Vec<Value> {
    let waiting = sight.memory.health.waiting(now_ms);
    let one = |(cloud, flavor, fare): &(&str, Option<&str>, &crate::health::Fare)| {
        json!({
            "cloud": cloud,
            "flavor": flavor,
            "for_s": (fare.until_ms - now_ms).div_ceil(1000),
            "failures": fare.failures,
            "why": fare.why,
        })
    };
    waiting.iter().map(one).collect()
}

fn time(at_ms: u64) -> Option<String> {
    (at_ms > 0).then(|| iso_time(at_ms))
}

fn age_s(at_ms: u64, now_ms: u64) -> f64 {
    now_ms.saturating_sub(at_ms) as f64 / 1000.0
}
