//! What instances use of the machine: memory and CPU time of everything that they have started.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::cgroup::Parent;
use super::proc_fs::{self, Stat};
use super::tree::Leader;
use crate::model::{Key, Usage};

/// An instance that runs.
#[derive(Clone, Debug)]
pub struct Runner {
    /// Its entry in the table.
    pub key: Key,
    /// Its program.
    pub leader: Leader,
    /// The control group that holds it, if one does.
    pub group: Option<PathBuf>,
}

/// Measures all of them. Blocks, for some ten microseconds per instance.
///
/// Without a control group an instance is what is in its process group, or descends from that; CPU time of processes
/// that have ended counts if their parent has waited for them.
#[must_use]
pub fn measure(runners: &[Runner]) -> Vec<(Key, Usage)> {
    let mut result = Vec::with_capacity(runners.len());
    let mut without = Vec::new();
    // All groups of one manager are in one directory; those that were adopted may be in another.
    let mut parents: HashMap<&Path, Option<Parent>> = HashMap::new();
    for runner in runners {
        let Some((path, name)) =
            runner.group.as_deref().and_then(|group| Some((group.parent()?, group.file_name()?)))
        else {
            without.push(runner);
            continue;
        };
        let parent = parents.entry(path).or_insert_with(|| Parent::open(path).ok());
        result
            .push((runner.key, parent.as_ref().map_or_else(Usage::default, |parent| of_group(parent, name))));
    }
    if !without.is_empty() {
        let all: Vec<Stat> = proc_fs::pids().into_iter().filter_map(proc_fs::stat).collect();
        result.extend(by_descent(&without, &all));
    }
    result
}

/// The kernel adds up the CPU time of a group; of the processes only the memory is asked, the cheapest of questions.
fn of_group(parent: &Parent, name: &OsStr) -> Usage {
    let pids = parent.members(name).into_iter();
    let Some(cpu_us) = parent.cpu_us(name) else {
        let stats: Vec<Stat> = pids.filter_map(proc_fs::stat).collect();
        return sum(stats.iter());
    };
    let page_bytes = rustix::param::page_size() as u64;
    let usage = Usage { cpu_s: cpu_us as f64 / 1e6, ..Usage::default() };
    pids.filter_map(proc_fs::rss_pages).fold(usage, |sum, pages| Usage {
        processes: sum.processes + 1,
        memory_bytes: sum.memory_bytes + pages * page_bytes,
        ..sum
    })
}

fn by_descent(runners: &[&Runner], all: &[Stat]) -> Vec<(Key, Usage)> {
    let by_pid: HashMap<u32, &Stat> = all.iter().map(|stat| (stat.pid, stat)).collect();
    let leaders: HashMap<u32, usize> =
        runners.iter().enumerate().map(|(index, runner)| (runner.leader.pid, index)).collect();
    // Of every process: up its parents, until one is in the group of a leader.
    let owner_of = |stat: &Stat| {
        let mut at = *stat;
        for _ in 0..by_pid.len() {
            if let Some(index) = leaders.get(&at.pgrp) {
                return Some(*index);
            }
            at = **by_pid.get(&at.ppid)?;
        }
        None
    };
    let mut members: Vec<Vec<&Stat>> = vec![Vec::new(); runners.len()];
    for stat in all {
        if let Some(index) = owner_of(stat) {
            members[index].push(stat);
        }
    }
    let usage = |(runner, members): (&&Runner, Vec<&Stat>)| (runner.key, sum(members.into_iter()));
    runners.iter().zip(members).map(usage).collect()
}

fn sum<'a>(stats: impl Iterator<Item = &'a Stat>) -> Usage {
    let page_bytes = rustix::param::page_size() as u64;
    let ticks_per_s = rustix::param::clock_ticks_per_second() as f64;
    stats.fold(Usage::default(), |sum, stat| Usage {
        processes: sum.processes + 1,
        memory_bytes: sum.memory_bytes + stat.rss_pages * page_bytes,
        cpu_s: sum.cpu_s + stat.cpu_ticks as f64 / ticks_per_s,
        cpu_share: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    #[test]
    fn what_a_group_and_its_descendants_use_is_counted() {
        let text = "setsid sleep 1000 & i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; wait";
        let mut child = Command::new("sh").args(["-c", text]).process_group(0).spawn().unwrap();
        let leader = Leader { pid: child.id(), start_ticks: 0 };
        let runner = Runner { key: Key(1), leader, group: None };
        campanile_testkit::wait_until(std::time::Duration::from_secs(20), "both, and some work", || {
            let (_, usage) = measure(std::slice::from_ref(&runner))[0];
            usage.processes == 2 && usage.memory_bytes > 100_000 && usage.cpu_s > 0.0
        });
        for stat in proc_fs::pids().into_iter().filter_map(proc_fs::stat) {
            if stat.ppid == child.id() {
                super::super::tree::signal(&stat, rustix::process::Signal::KILL);
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
