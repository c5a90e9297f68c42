//! What Slurm's programs say, in the shapes of 22.05 (plain numbers, one state) and of 24.11 (`{"set", "number"}`, lists
//! of states). Pure.

use serde_json::Value;

use super::super::Candidate;
use crate::model::{Demand, JobGroup, Resources, Worker, WorkerState};

/// Pending for one of these reasons, a job waits for machines. For any other it waits for something else: a hold, a
/// dependency, a limit of its account, or it asks for more than any node has (`man squeue`, JOB REASON CODES).
const WAITS_FOR_NODES: [&str; 5] = ["None", "Resources", "Priority", "ReqNodeNotAvail", "BeginTimeReached"];

/// A number in either shape; `None` where it is not set or infinite.
pub(super) fn number(value: &Value) -> Option<u64> {
    if let Some(plain) = value.as_u64() {
        return Some(plain);
    }
    if value["set"] == true && value["infinite"] != true {
        return value["number"].as_u64();
    }
    None
}

/// States in either shape, in capitals; flags are states, too.
pub(super) fn states(value: &Value, flags: &Value) -> Vec<String> {
    let words = |value: &Value| -> Vec<String> {
        match value {
            Value::String(one) => vec![one.to_uppercase()],
            Value::Array(all) => all.iter().filter_map(|one| one.as_str().map(str::to_uppercase)).collect(),
            _ => Vec::new(),
        }
    };
    [words(value), words(flags)].concat()
}

/// One job of the queue, added to the demand.
pub(super) fn add_job(demand: &mut Demand, job: &Value, candidates: &[Candidate], partitions: &[String]) {
    let states = states(&job["job_state"], &Value::Null);
    let is = |state: &str| states.iter().any(|one| one == state);
    let count = pending_tasks(job["array_task_string"].as_str().unwrap_or_default());
    if is("RUNNING") || is("COMPLETING") || is("CONFIGURING") {
        demand.running_jobs += 1;
        return;
    }
    if is("SUSPENDED") {
        demand.suspended_jobs += 1;
        return;
    }
    if !is("PENDING") {
        return;
    }
    let reason = job["state_reason"].as_str().unwrap_or("None");
    if job["hold"] == true || number(&job["priority"]) == Some(0) || reason.starts_with("JobHeld") {
        demand.held_jobs += count;
        return;
    }
    let partition = job["partition"].as_str().unwrap_or_default();
    // A job may name several: it starts in the first that has room.
    let serves = |wanted: &str| partition.split(',').any(|one| one == wanted);
    let served = partitions.is_empty() || partitions.iter().any(|one| serves(one));
    if !WAITS_FOR_NODES.contains(&reason) || !served {
        demand.other_jobs += count;
        return;
    }
    let nodes = number(&job["node_count"]).unwrap_or(1).max(1);
    let request = request(job, nodes);
    let features = job["features"].as_str().unwrap_or_default();
    let worker_types: Vec<String> = candidates
        .iter()
        .filter(|candidate| request.fits(&candidate.resources))
        .filter(|candidate| has_features(features, &attribute(candidate, "Feature")))
        .filter(|candidate| {
            let own = attribute(candidate, "Partition");
            own.is_empty() || own.iter().any(|one| serves(one))
        })
        .map(|candidate| candidate.worker_type.clone())
        .collect();
    let jobs = count.saturating_mul(nodes);
    let oldest_ms = number(&job["submit_time"]).filter(|at| *at > 0).map(|at| at.saturating_mul(1000));
    let same =
        demand.groups.iter_mut().find(|group| group.request == request && group.worker_types == worker_types);
    match same {
        Some(group) => {
            group.jobs += jobs;
            group.oldest_ms = group.oldest_ms.into_iter().chain(oldest_ms).min();
        }
        None => demand.groups.push(JobGroup { request, jobs, worker_types, oldest_ms }),
    }
}

/// What a job asks for on each of its nodes.
fn request(job: &Value, nodes: u64) -> Resources {
    let all = number(&job["cpus"]).unwrap_or(1).max(1);
    let cores = all.div_ceil(nodes).max(number(&job["minimum_cpus_per_node"]).unwrap_or(1));
    let memory_mib = number(&job["memory_per_node"])
        .or_else(|| number(&job["memory_per_cpu"]).map(|each| each.saturating_mul(cores)))
        .unwrap_or(0);
    Resources {
        cores: u32::try_from(cores).unwrap_or(u32::MAX),
        memory_mib,
        disk_mib: number(&job["minimum_tmp_disk_per_node"]).unwrap_or(0),
        gpus: gpus(job["tres_per_node"].as_str().unwrap_or_default()),
    }
}

/// `gres:gpu:2`, `gres/gpu:a100=1`, `gpu`: how many of them.
fn gpus(text: &str) -> u32 {
    let one = |part: &str| {
        let part = part.trim_start_matches("gres").trim_start_matches([':', '/']);
        let Some(rest) = part.strip_prefix("gpu") else { return 0 };
        rest.rsplit([':', '='])
            .next()
            .map_or(1, |last| if last.is_empty() { 1 } else { last.parse().unwrap_or(1) })
    };
    text.split(',').map(one).sum()
}

/// Jobs that one record of a pending array stands for: `0-9`, `1,3,5-7%2`, `0-30:2`; a job that is no array is one.
fn pending_tasks(text: &str) -> u64 {
    let list = text.split('%').next().unwrap_or_default();
    let one = |part: &str| {
        let (range, step) = part.split_once(':').unwrap_or((part, "1"));
        let step = step.parse::<u64>().unwrap_or(1).max(1);
        match range.split_once('-') {
            Some((from, to)) => match (from.parse::<u64>(), to.parse::<u64>()) {
                (Ok(from), Ok(to)) if from <= to => (to - from) / step + 1,
                _ => 1,
            },
            None => 1,
        }
    };
    list.split(',').filter(|part| !part.is_empty()).map(one).sum::<u64>().max(1)
}

/// Whether a machine with these features will do. Of the constraint language alternatives and conjunctions are
/// understood (`a&b`, `a|b`, `[a|b]`); counts are left out of account.
fn has_features(wanted: &str, features: &[String]) -> bool {
    let bare: String = wanted.chars().filter(|c| !matches!(c, '[' | ']' | '(' | ')' | ' ')).collect();
    bare.split(['&', ',']).filter(|all| !all.is_empty()).all(|all| {
        all.split('|').any(|one| {
            let name = one.split('*').next().unwrap_or(one);
            features.iter().any(|feature| feature == name)
        })
    })
}

/// The words of an attribute of a candidate.
fn attribute(candidate: &Candidate, name: &str) -> Vec<String> {
    let own = candidate.attributes.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
    let words = own.flat_map(|(_, value)| value.split([',', ' ', '&']));
    words.map(|word| word.trim_matches('"').to_owned()).filter(|word| !word.is_empty()).collect()
}

/// A node of Slurm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SlurmNode {
    pub(super) name: String,
    pub(super) states: Vec<String>,
    /// The comment: whose server has taken the name.
    pub(super) comment: String,
    pub(super) total: Resources,
    pub(super) allocated_cores: u64,
    pub(super) allocated_memory_mib: u64,
    pub(super) last_busy_s: Option<u64>,
    pub(super) machine: String,
}

impl SlurmNode {
    pub(super) fn read(value: &Value) -> Option<Self> {
        Some(Self {
            name: value["name"].as_str()?.to_owned(),
            states: states(&value["state"], &value["state_flags"]),
            comment: value["comment"].as_str().unwrap_or_default().to_owned(),
            total: Resources {
                cores: u32::try_from(number(&value["cpus"]).unwrap_or(0)).unwrap_or(u32::MAX),
                memory_mib: number(&value["real_memory"]).unwrap_or(0),
                disk_mib: number(&value["temporary_disk"]).unwrap_or(0),
                gpus: gpus(value["gres"].as_str().unwrap_or_default()),
            },
            allocated_cores: number(&value["alloc_cpus"]).unwrap_or(0),
            allocated_memory_mib: number(&value["alloc_memory"]).unwrap_or(0),
            last_busy_s: number(&value["last_busy"]).filter(|at| *at > 0),
            machine: value["address"].as_str().unwrap_or_default().to_owned(),
        })
    }

    pub(super) fn is(&self, state: &str) -> bool {
        self.states.iter().any(|one| one == state)
    }

    /// Whether there is a machine behind the name, as far as the controller knows.
    pub(super) fn is_there(&self) -> bool {
        let away = [
            "POWERED_DOWN",
            "POWERING_DOWN",
            "POWERING_UP",
            "FUTURE",
            "NOT_RESPONDING",
            "UNKNOWN",
            "POWER_DOWN",
        ];
        !away.iter().any(|state| self.is(state))
    }

    /// As a worker of the node that has taken its name.
    pub(super) fn worker(&self, elastic_node: Option<String>) -> Worker {
        let busy = self.allocated_cores > 0 || self.is("COMPLETING");
        let broken =
            ["DOWN", "FAIL", "FAILING", "ERROR", "INVALID_REG", "MAINT"].iter().any(|state| self.is(state));
        let state = match (self.is("DRAIN"), busy) {
            (true, true) => WorkerState::Draining,
            (true, false) => WorkerState::Drained,
            (false, true) => WorkerState::Busy,
            (false, false) if broken => WorkerState::Unusable,
            (false, false) => WorkerState::Idle,
        };
        let taken = Resources::new(
            u32::try_from(self.allocated_cores).unwrap_or(u32::MAX),
            self.allocated_memory_mib,
        );
        Worker {
            handle: self.name.clone(),
            elastic_node,
            startd_name: Some(self.name.clone()),
            machine: Some(self.machine.clone()).filter(|text| !text.is_empty()),
            state,
            total: self.total,
            free: self.total.minus(&taken),
            // Slurm's nodes do not say how many jobs they have.
            jobs: u64::from(busy),
            idle_since_ms: if busy { None } else { self.last_busy_s.map(|at| at.saturating_mul(1000)) },
            heard_ms: None,
            identity: None,
            worker_types: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn candidate(cores: u32, attributes: &[(&str, &str)]) -> Candidate {
        Candidate {
            worker_type: "w".to_owned(),
            resources: Resources::new(cores, 4000),
            attributes: attributes
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    fn demand(job: &Value, candidates: &[Candidate]) -> Demand {
        let mut demand = Demand::default();
        add_job(&mut demand, job, candidates, &[]);
        demand
    }

    #[test]
    fn both_shapes_of_a_job_mean_the_same() {
        let old = json!({"job_state": "PENDING", "state_reason": "Resources", "cpus": 2, "node_count": 1, "priority": 9,
            "memory_per_node": 500, "memory_per_cpu": null, "partition": "main", "array_task_string": "", "submit_time": 7});
        let set = |n: u64| json!({"set": true, "infinite": false, "number": n});
        let unset = json!({"set": false, "infinite": false, "number": 0});
        let new = json!({"job_state": ["PENDING"], "state_reason": "Resources", "cpus": set(2), "node_count": set(1),
            "priority": set(9), "memory_per_node": set(500), "memory_per_cpu": unset, "partition": "main", "hold": false,
            "array_task_string": "", "submit_time": set(7)});
        let all = [candidate(4, &[])];
        assert_eq!(demand(&old, &all), demand(&new, &all));
        let group = &demand(&new, &all).groups[0];
        assert_eq!((group.request, group.jobs, group.oldest_ms), (Resources::new(2, 500), 1, Some(7000)));
        assert_eq!(group.worker_types, ["w"]);
    }

    #[test]
    fn only_jobs_that_wait_for_nodes_are_demand() {
        let job = |reason: &str, priority: u64| json!({"job_state": "PENDING", "state_reason": reason, "cpus": 1, "node_count": 1, "priority": priority});
        let all = [candidate(4, &[])];
        assert_eq!(demand(&job("Priority", 5), &all).idle_jobs(), 1);
        assert_eq!(demand(&job("JobHeldUser", 0), &all).held_jobs, 1);
        assert_eq!(demand(&job("PartitionConfig", 5), &all).other_jobs, 1);
        assert_eq!(demand(&job("Dependency", 5), &all).other_jobs, 1);
    }

    #[test]
    fn arrays_and_jobs_on_many_nodes_count_as_many() {
        let job = json!({"job_state": "PENDING", "state_reason": "Resources", "cpus": 8, "node_count": 4, "priority": 1,
            "array_task_string": "1,3,5-7%2", "memory_per_cpu": 100});
        let group = demand(&job, &[candidate(4, &[])]).groups[0].clone();
        assert_eq!((group.jobs, group.request), (20, Resources::new(2, 200)));
        assert_eq!(pending_tasks("0-30:2"), 16);
    }

    #[test]
    fn features_partitions_and_gpus_decide_where_a_job_runs() {
        let job = |features: &str, partition: &str, tres: &str| {
            json!({"job_state": "PENDING", "state_reason": "None", "cpus": 1, "node_count": 1, "priority": 1,
                "features": features, "partition": partition, "tres_per_node": tres})
        };
        let fast = [candidate(4, &[("Feature", "fast,ssd"), ("Partition", "main")])];
        let runs = |job: &Value| !demand(job, &fast).groups[0].worker_types.is_empty();
        assert!(runs(&job("fast&ssd", "main", "")));
        assert!(runs(&job("slow|fast", "other,main", "")));
        assert!(!runs(&job("slow", "main", "")));
        assert!(!runs(&job("", "other", "")));
        assert!(!runs(&job("", "main", "gres:gpu:1")));
        assert_eq!(
            (gpus("gres:gpu:a100:2"), gpus("gres/gpu=3"), gpus("gpu"), gpus("craynetwork:1")),
            (2, 3, 1, 0)
        );
    }

    #[test]
    fn both_shapes_of_a_node_are_read() {
        let old = json!({"name": "n1", "state": "mixed", "state_flags": ["DRAIN"], "cpus": 2, "alloc_cpus": 1,
            "real_memory": 1000, "alloc_memory": 500, "comment": "ehos-1", "last_busy": 5, "address": "10.0.0.1"});
        let node = SlurmNode::read(&old).unwrap();
        assert_eq!(node.worker(None).state, WorkerState::Draining);
        assert_eq!((node.worker(None).free, node.comment.as_str()), (Resources::new(1, 500), "ehos-1"));
        let new = json!({"name": "c1", "state": ["IDLE", "DRAIN"], "cpus": 2, "alloc_cpus": 0, "real_memory": 1000,
            "last_busy": {"set": true, "infinite": false, "number": 5}});
        let worker = SlurmNode::read(&new).unwrap().worker(Some("x".to_owned()));
        assert_eq!((worker.state, worker.idle_since_ms), (WorkerState::Drained, Some(5000)));
        let away =
            SlurmNode::read(&json!({"name": "c2", "state": ["IDLE", "CLOUD", "POWERED_DOWN"]})).unwrap();
        assert!(!away.is_there());
        let down =
            SlurmNode::read(&json!({"name": "c3", "state": "down", "state_flags": ["NOT_RESPONDING"]}))
                .unwrap();
        assert!(!down.is_there());
    }
}
