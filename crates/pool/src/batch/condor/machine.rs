//! Slot ads (`condor_status -json`) as workers, one per startd. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::model::{Resources, Worker, WorkerState};

/// What is asked for of each slot.
pub(super) const ATTRIBUTES: &str = "Name,Machine,SlotType,Cpus,Memory,Disk,GPUs,TotalSlotCpus,TotalSlotMemory,\
TotalSlotDisk,TotalSlotGPUs,State,Activity,NumDynamicSlots,NumDynamicSlotsTime,EnteredCurrentActivity,Draining,Start,\
LastHeardFrom,DaemonStartTime,ElasticNode,AuthenticatedIdentity";
/// Dynamic slots are told of by the slot that they were cut from.
pub(super) const CONSTRAINT: &str = "SlotType =!= \"Dynamic\"";
/// What is asked for of each master: one of ours whose startd has ended is a drained worker.
pub(super) const MASTER_ATTRIBUTES: &str = "Name,ElasticNode,LastHeardFrom,AuthenticatedIdentity";

/// An empty answer is nothing at all, not `[]`.
pub(super) fn ads(text: &str) -> Result<Vec<Map<String, Value>>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// Workers by their slots, and the masters that are left without a startd.
pub(super) fn workers(slots: &[Map<String, Value>], masters: &[Map<String, Value>]) -> Vec<Worker> {
    let mut by_startd: BTreeMap<String, Worker> = BTreeMap::new();
    for ad in slots {
        let Some(worker) = slot(ad) else { continue };
        let name = worker.startd_name.clone().unwrap_or_default();
        match by_startd.get_mut(&name) {
            Some(known) => add_slot(known, worker),
            None => {
                by_startd.insert(name, worker);
            }
        }
    }
    for ad in masters {
        let (Some(name), Some(node)) = (text(ad, "Name"), text(ad, "ElasticNode")) else { continue };
        by_startd.entry(name.clone()).or_insert_with(|| Worker {
            handle: name.clone(),
            elastic_node: Some(node),
            startd_name: Some(name),
            machine: None,
            state: WorkerState::Drained,
            total: Resources::default(),
            free: Resources::default(),
            jobs: 0,
            idle_since_ms: None,
            heard_ms: ms(ad, "LastHeardFrom"),
            identity: text(ad, "AuthenticatedIdentity"),
            worker_types: Vec::new(),
        });
    }
    by_startd.into_values().collect()
}

/// The startd of a slot: `slot1@w1@host` belongs to `w1@host`.
pub(super) fn startd_of(slot: &str) -> &str {
    match slot.split_once('@') {
        Some((slot, startd)) if slot.starts_with("slot") => startd,
        _ => slot,
    }
}

fn slot(ad: &Map<String, Value>) -> Option<Worker> {
    let handle = text(ad, "Name")?;
    let partitionable = ad.get("SlotType").and_then(Value::as_str) == Some("Partitionable");
    let (state, activity) = (text(ad, "State").unwrap_or_default(), text(ad, "Activity").unwrap_or_default());
    let claimed = matches!(state.as_str(), "Claimed" | "Matched" | "Preempting");
    let jobs = if partitionable { number(ad, "NumDynamicSlots") } else { u64::from(claimed) };
    let total = resources(ad, "TotalSlotCpus", "TotalSlotMemory", "TotalSlotDisk", "TotalSlotGPUs");
    let free = if !partitionable && claimed {
        Resources::default()
    } else {
        resources(ad, "Cpus", "Memory", "Disk", "GPUs")
    };
    // While a startd ends peacefully, START is undefined: the attribute is left out.
    let closing = flag(ad, "Draining") == Some(true) || state == "Drained" || !ad.contains_key("Start");
    let state = match (closing, jobs) {
        (true, 0) => WorkerState::Drained,
        (true, _) => WorkerState::Draining,
        (false, 0) if state == "Owner" || flag(ad, "Start") == Some(false) => WorkerState::Unusable,
        (false, 0) if activity == "Killing" || activity == "Vacating" => WorkerState::Busy,
        (false, 0) => WorkerState::Idle,
        (false, _) => WorkerState::Busy,
    };
    // A partitionable slot is idle since its last child left; one that never had a child, since it is there.
    let since = if partitionable { ms(ad, "NumDynamicSlotsTime") } else { ms(ad, "EnteredCurrentActivity") };
    let idle_since_ms =
        if jobs == 0 { since.filter(|at| *at > 0).or_else(|| ms(ad, "DaemonStartTime")) } else { None };
    Some(Worker {
        startd_name: Some(startd_of(&handle).to_owned()),
        handle,
        elastic_node: text(ad, "ElasticNode"),
        machine: text(ad, "Machine"),
        state,
        total,
        free,
        jobs,
        idle_since_ms,
        heard_ms: ms(ad, "LastHeardFrom"),
        identity: text(ad, "AuthenticatedIdentity"),
        worker_types: Vec::new(),
    })
}

/// A startd may have several slots that are not cut up (or several that are).
fn add_slot(worker: &mut Worker, other: Worker) {
    use WorkerState::{Busy, Drained, Draining, Idle, Unusable};
    worker.total += other.total;
    worker.free += other.free;
    worker.jobs += other.jobs;
    worker.heard_ms = worker.heard_ms.max(other.heard_ms);
    worker.idle_since_ms = match (worker.idle_since_ms, other.idle_since_ms) {
        (Some(a), Some(b)) => Some(a.max(b)),
        _ => None,
    };
    // A drain takes the whole startd.
    worker.state = match (worker.state, other.state) {
        (Draining, _) | (_, Draining) | (Drained, Busy) | (Busy, Drained) => Draining,
        (Drained, _) | (_, Drained) => Drained,
        (Busy, _) | (_, Busy) => Busy,
        (Idle, _) | (_, Idle) => Idle,
        (Unusable, Unusable) => Unusable,
    };
}

fn text(ad: &Map<String, Value>, key: &str) -> Option<String> {
    ad.get(key)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn flag(ad: &Map<String, Value>, key: &str) -> Option<bool> {
    ad.get(key)?.as_bool()
}

/// Whole numbers sometimes come as floats (`TotalSlotDisk`).
fn number(ad: &Map<String, Value>, key: &str) -> u64 {
    let Some(value) = ad.get(key) else { return 0 };
    let float = || value.as_f64().filter(|number| (0.0..9.0e15).contains(number)).map(|number| number as u64);
    value.as_u64().or_else(float).unwrap_or(0)
}

fn ms(ad: &Map<String, Value>, key: &str) -> Option<u64> {
    ad.contains_key(key).then(|| number(ad, key).saturating_mul(1000))
}

fn resources(ad: &Map<String, Value>, cpus: &str, memory: &str, disk: &str, gpus: &str) -> Resources {
    let small = |key: &str| u32::try_from(number(ad, key)).unwrap_or(u32::MAX);
    Resources {
        cores: small(cpus),
        memory_mib: number(ad, memory),
        disk_mib: number(ad, disk) / 1024,
        gpus: small(gpus),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers_of(slots: &str) -> Vec<Worker> {
        workers(&ads(slots).unwrap(), &[])
    }

    /// Printed by `condor_status` of HTCondor 23.9.6.
    const SLOT: &str = r#"[
{"Activity": "Idle", "AuthenticatedIdentity": "worker@site.local", "Cpus": 0, "DaemonStartTime": 1795653091,
 "Disk": 39807588, "ElasticNode": "w1", "EnteredCurrentActivity": 1795653092, "GPUs": 0, "LastHeardFrom": 1795653100,
 "Machine": "127-0-0-1.site.local", "Memory": 768, "Name": "slot1@w1@127-0-0-1.site.local", "NumDynamicSlots": 2,
 "NumDynamicSlotsTime": 1795653099, "SlotType": "Partitionable", "Start": true, "State": "Unclaimed",
 "TotalSlotCpus": 2, "TotalSlotDisk": 39811684.0, "TotalSlotMemory": 1024}
]"#;

    #[test]
    fn a_partitionable_slot_with_children_is_busy_whatever_its_state() {
        let found = workers_of(SLOT);
        let worker = &found[0];
        assert_eq!((worker.state, worker.jobs, worker.idle_since_ms), (WorkerState::Busy, 2, None));
        assert_eq!((worker.total.cores, worker.free.cores), (2, 0));
        assert_eq!(worker.total.disk_mib, 38878);
        assert_eq!(worker.startd_name.as_deref(), Some("w1@127-0-0-1.site.local"));
        assert_eq!(worker.elastic_node.as_deref(), Some("w1"));
        assert_eq!(worker.heard_ms, Some(1_795_653_100_000));
    }

    #[test]
    fn an_idle_one_is_idle_since_its_last_child_left() {
        let idle = SLOT.replace("\"NumDynamicSlots\": 2", "\"NumDynamicSlots\": 0");
        let found = workers_of(&idle);
        assert_eq!((found[0].state, found[0].idle_since_ms), (WorkerState::Idle, Some(1_795_653_099_000)));
    }

    #[test]
    fn a_drain_and_a_peaceful_end_are_both_seen() {
        let draining = SLOT.replace("\"Start\": true", "\"Start\": true, \"Draining\": true");
        assert_eq!(workers_of(&draining)[0].state, WorkerState::Draining);
        // condor_off -peaceful never shows Draining: START gets undefined
        let ending = SLOT.replace("\"Start\": true, ", "");
        assert_eq!(workers_of(&ending)[0].state, WorkerState::Draining);
        let empty = ending.replace("\"NumDynamicSlots\": 2", "\"NumDynamicSlots\": 0");
        assert_eq!(workers_of(&empty)[0].state, WorkerState::Drained);
    }

    #[test]
    fn a_master_of_ours_without_a_startd_is_a_drained_worker() {
        let masters = ads(r#"[{"Name": "w1@h", "ElasticNode": "w1"}, {"Name": "head@h"}]"#).unwrap();
        let found = workers(&[], &masters);
        assert_eq!(
            (found.len(), found[0].state, found[0].handle.as_str()),
            (1, WorkerState::Drained, "w1@h")
        );
    }

    #[test]
    fn static_slots_of_one_startd_are_one_worker() {
        let slots = r#"[
            {"Name": "slot1@h", "SlotType": "Static", "State": "Claimed", "Activity": "Busy", "Start": true,
             "TotalSlotCpus": 1, "Cpus": 1, "EnteredCurrentActivity": 10},
            {"Name": "slot2@h", "SlotType": "Static", "State": "Unclaimed", "Activity": "Idle", "Start": true,
             "TotalSlotCpus": 1, "Cpus": 1, "EnteredCurrentActivity": 20}]"#;
        let found = workers_of(slots);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].state, found[0].jobs, found[0].total.cores, found[0].free.cores),
            (WorkerState::Busy, 1, 2, 1)
        );
        assert_eq!(found[0].idle_since_ms, None);
    }

    #[test]
    fn an_empty_answer_is_no_ads_and_garbage_is_an_error() {
        assert!(ads("").unwrap().is_empty());
        assert!(ads("All queues are empty").is_err());
        assert!(ads("[{\"Name\":").is_err());
    }

    #[test]
    fn a_name_without_a_slot_is_its_own_startd() {
        assert_eq!(startd_of("slot1@w1@h"), "w1@h");
        assert_eq!(startd_of("slot1_2@h"), "h");
        assert_eq!(startd_of("w1@h"), "w1@h");
    }
}
