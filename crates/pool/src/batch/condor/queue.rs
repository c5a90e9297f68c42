//! The lines of `condor_q -af:t`, one job each, summed up as they come. Pure.
//!
//! `-af` evaluates what it prints (`RequestDisk` and `RequestMemory` are expressions as a rule), and a job is a short line:
//! a hundred thousand of them pass without being kept.

use std::collections::HashMap;

use crate::model::{Demand, JobGroup, Resources};

/// What is asked for of each job, in this order; the operator's constraint follows.
pub(super) const COLUMNS: [&str; 10] = [
    "ClusterId",
    "ProcId",
    "JobStatus",
    "JobUniverse",
    "RequestCpus",
    "RequestMemory",
    "RequestDisk",
    "RequestGPUs",
    "AutoClusterId",
    "QDate",
];

/// What is asked for of each cluster whose jobs are materialized late (`condor_q -factory`).
pub(super) const FACTORY_COLUMNS: [&str; 9] = [
    "ClusterId",
    "TotalSubmitProcs",
    "JobMaterializeLimit",
    "JobMaterializeNextProcId",
    "JobMaterializePaused",
    "RequestCpus",
    "RequestMemory",
    "RequestDisk",
    "RequestGPUs",
];

/// One job of a group, by which the whole group is matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct JobId {
    pub(super) cluster: u64,
    pub(super) proc: u64,
}

/// Jobs of one schedd that are alike. HTCondor's own `AutoClusterId` says so, once the schedd has given one; until then
/// the jobs of one submission are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    auto: Option<u64>,
    cluster: Option<u64>,
    request: Resources,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    jobs: u64,
    oldest_ms: Option<u64>,
    representative: Option<JobId>,
}

/// The queue of one schedd.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    groups: HashMap<Key, Group>,
    /// Which group the idle jobs of a cluster are in: those that are still to be made go there.
    by_cluster: HashMap<u64, Key>,
    demand: Demand,
    /// Lines that are none; one of them makes the whole list unbelievable.
    pub(super) nonsense: Option<String>,
}

impl Queue {
    /// Takes in a line of the list of jobs.
    pub(super) fn job(&mut self, line: &str) {
        if self.read_job(line).is_none() {
            self.nonsense.get_or_insert_with(|| line.chars().take(120).collect());
        }
    }

    fn read_job(&mut self, line: &str) -> Option<()> {
        let mut fields = line.split('\t');
        let mut next = || fields.next().map(str::trim);
        let id = JobId { cluster: whole(next()?)?, proc: whole(next()?)? };
        let status = whole(next()?)?;
        let universe = whole(next()?)?;
        let request = request(next()?, next()?, next()?, next()?);
        let (auto, queued_s) = (whole(next()?), whole(next()?));
        let wanted = next()? == "1";
        match status {
            1 => {}
            2 | 6 => {
                self.demand.running_jobs += 1;
                return Some(());
            }
            5 => {
                self.demand.held_jobs += 1;
                return Some(());
            }
            7 => {
                self.demand.suspended_jobs += 1;
                return Some(());
            }
            _ => return Some(()),
        }
        // Jobs that a worker runs: vanilla (and containers), java, parallel, vm.
        if !matches!(universe, 5 | 10 | 11 | 13) || !wanted {
            self.demand.other_jobs += 1;
            return Some(());
        }
        let key = Key { auto, cluster: auto.is_none().then_some(id.cluster), request };
        let group =
            self.groups.entry(key).or_insert(Group { jobs: 0, oldest_ms: None, representative: Some(id) });
        group.jobs += 1;
        let queued_ms = queued_s.map(|seconds| seconds.saturating_mul(1000));
        group.oldest_ms = match (group.oldest_ms, queued_ms) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.by_cluster.insert(id.cluster, key);
        Some(())
    }

    /// Takes in a line of the list of factories. The jobs that are still to be made count as idle ones, after all lines
    /// of [`Queue::job`] were taken in.
    pub(super) fn factory(&mut self, line: &str) {
        if self.read_factory(line).is_none() {
            self.nonsense.get_or_insert_with(|| line.chars().take(120).collect());
        }
    }

    fn read_factory(&mut self, line: &str) -> Option<()> {
        let mut fields = line.split('\t');
        let mut next = || fields.next().map(str::trim);
        let cluster = whole(next()?)?;
        let (total, limit, made) = (whole(next()?), whole(next()?), whole(next()?).unwrap_or(0));
        let paused = whole(next()?).unwrap_or(0);
        let request = request(next()?, next()?, next()?, next()?);
        let all = match (total, limit) {
            (Some(total), Some(limit)) => total.min(limit),
            (one, other) => one.or(other).unwrap_or(0),
        };
        let waiting = all.saturating_sub(made);
        if waiting == 0 {
            return Some(());
        }
        if paused != 0 {
            self.demand.held_jobs += waiting;
            return Some(());
        }
        // Without an idle job there is nothing to match by: such a cluster has all that its limits allow in work.
        if let Some(group) = self.by_cluster.get(&cluster).and_then(|key| self.groups.get_mut(key)) {
            group.jobs += waiting;
        } else {
            let key = Key { auto: None, cluster: Some(cluster), request };
            let group =
                self.groups.entry(key).or_insert(Group { jobs: 0, oldest_ms: None, representative: None });
            group.jobs += waiting;
        }
        Some(())
    }

    /// One job of each group that has one.
    pub(super) fn representatives(&self) -> Vec<JobId> {
        let mut all: Vec<JobId> = self.groups.values().filter_map(|group| group.representative).collect();
        all.sort_unstable();
        all
    }

    /// The queue as the manager sees it. `runs` says which worker types can run the group of a job.
    pub(super) fn into_demand(mut self, mut runs: impl FnMut(JobId) -> Vec<String>) -> Demand {
        let mut groups: Vec<(Key, Group)> = self.groups.into_iter().collect();
        groups.sort_by_key(|(key, _)| *key);
        let mut merged: Vec<JobGroup> = Vec::new();
        for (key, group) in groups {
            // A cluster without an idle job waits for its running ones: it needs no worker that it does not have.
            let Some(id) = group.representative else {
                self.demand.other_jobs += group.jobs;
                continue;
            };
            let worker_types = runs(id);
            let same =
                merged.iter_mut().find(|one| one.request == key.request && one.worker_types == worker_types);
            match same {
                Some(one) => {
                    one.jobs += group.jobs;
                    one.oldest_ms = one.oldest_ms.into_iter().chain(group.oldest_ms).min();
                }
                None => merged.push(JobGroup {
                    request: key.request,
                    jobs: group.jobs,
                    worker_types,
                    oldest_ms: group.oldest_ms,
                }),
            }
        }
        Demand { groups: merged, ..self.demand }
    }
}

/// A number that `-af` prints; `undefined` and `error` are none. Some whole numbers come as floats.
fn whole(text: &str) -> Option<u64> {
    if let Ok(number) = text.parse::<u64>() {
        return Some(number);
    }
    let number: f64 = text.parse().ok()?;
    // Above 2^53 a float is no count of anything here.
    (number.is_finite() && (0.0..9.0e15).contains(&number)).then(|| number.ceil() as u64)
}

/// What a job asks for; memory in MiB, disk in KiB. What it does not say is HTCondor's default: one core, nothing else.
fn request(cpus: &str, memory: &str, disk: &str, gpus: &str) -> Resources {
    let small =
        |text: &str, default: u32| whole(text).map_or(default, |n| u32::try_from(n).unwrap_or(u32::MAX));
    Resources {
        cores: small(cpus, 1),
        memory_mib: whole(memory).unwrap_or(0),
        disk_mib: whole(disk).unwrap_or(0).div_ceil(1024),
        gpus: small(gpus, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn queue(jobs: &[&str], factories: &[&str]) -> Queue {
        let mut queue = Queue::default();
        jobs.iter().for_each(|line| queue.job(line));
        factories.iter().for_each(|line| queue.factory(line));
        queue
    }

    /// Printed by `condor_q` of HTCondor 23.9.6: a cluster of fifty with `max_idle = 3`, two running; one that asks for a
    /// gold card.
    const JOBS: [&str; 6] = [
        "1\t0\t2\t5\t1\t1\t45\tundefined\t2\t1795653097\t1",
        "1\t2\t1\t5\t1\t1\t45\tundefined\t2\t1795653097\t1",
        "1\t3\t1\t5\t1\t1\t45\tundefined\t2\t1795653097\t1",
        "1\t4\t1\t5\t1\t1\t45\tundefined\tundefined\t1795653097\t1",
        "2\t0\t1\t5\t4\t2048\t1048576.0\tundefined\t1\t1795653098\t1",
        "2\t1\t1\t5\t4\t2048\t1048576.0\tundefined\t1\t1795653098\t1",
    ];

    #[test]
    fn jobs_are_grouped_by_what_they_ask_for_and_where_they_can_run() {
        let queue = queue(&JOBS, &["1\t50\t50\t5\tundefined\t1\t1\t45\tundefined"]);
        assert_eq!(queue.nonsense, None);
        let demand =
            queue.into_demand(|id| if id.cluster == 1 { vec!["small".to_owned()] } else { Vec::new() });
        assert_eq!(demand.running_jobs, 1);
        let jobs: Vec<(u32, u64, usize)> = demand
            .groups
            .iter()
            .map(|group| (group.request.cores, group.jobs, group.worker_types.len()))
            .collect();
        // three idle ones and the forty-five that are still to be made
        assert_eq!(jobs, [(1, 48, 1), (4, 2, 0)]);
        assert_eq!(demand.groups[1].request.disk_mib, 1024);
        assert_eq!(demand.groups[0].oldest_ms, Some(1_795_653_097_000));
    }

    #[test]
    fn held_suspended_local_and_unwanted_jobs_are_no_demand() {
        let lines = [
            "1\t0\t5\t5\t1\t1\t1\tundefined\t1\t5\t1",
            "1\t1\t7\t5\t1\t1\t1\tundefined\t1\t5\t1",
            "1\t2\t1\t7\t1\t1\t1\tundefined\t1\t5\t1",
            "1\t3\t1\t5\t1\t1\t1\tundefined\t1\t5\t0",
            "1\t4\t4\t5\t1\t1\t1\tundefined\t1\t5\t1",
        ];
        let demand = queue(&lines, &[]).into_demand(|_| vec!["a".to_owned()]);
        assert!(demand.groups.is_empty());
        assert_eq!((demand.held_jobs, demand.suspended_jobs, demand.other_jobs), (1, 1, 2));
    }

    #[test]
    fn a_cluster_that_is_paused_or_has_no_idle_job_is_no_demand() {
        let factories =
            ["9\t100\t100\t10\t1\t1\t1\t1\tundefined", "8\t100\tundefined\t10\t0\t1\t1\t1\tundefined"];
        let demand = queue(&[], &factories).into_demand(|_| vec!["a".to_owned()]);
        assert!(demand.groups.is_empty());
        assert_eq!((demand.held_jobs, demand.other_jobs), (90, 90));
    }

    #[test]
    fn a_line_that_is_none_makes_the_list_unbelievable() {
        assert!(queue(&["1\t0\t1"], &[]).nonsense.is_some());
        assert!(queue(&["-- Failed to fetch ads from:"], &[]).nonsense.is_some());
    }

    proptest! {
        #[test]
        fn any_line_is_survived(line in ".{0,200}") {
            let mut queue = Queue::default();
            queue.job(&line);
            queue.factory(&line);
            queue.into_demand(|_| Vec::new());
        }

        #[test]
        fn no_idle_job_is_lost(count in 1_u64..300, autos in 1_u64..5) {
            let mut queue = Queue::default();
            for proc in 0..count {
                queue.job(&format!("7\t{proc}\t1\t5\t{}\t100\t0\tundefined\t{}\t5\t1", proc % 3 + 1, proc % autos));
            }
            prop_assert_eq!(queue.into_demand(|_| Vec::new()).idle_jobs(), count);
        }
    }
}
