//! What instances use of the machine: memory and CPU time of everything that they have started.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

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

/// All that run, as long as these run. It is looked at once a minute, when nothing of it is in any cache of the machine,
/// so it is kept close together.
#[derive(Debug, Default)]
pub struct Roster {
    grouped: Vec<Grouped>,
    /// The names of their groups, one after the other.
    names: Vec<u8>,
    /// The directories of those. All groups of one manager are in one; those that were adopted may be in another.
    dirs: Vec<PathBuf>,
    others: Vec<Runner>,
}

/// An instance in a control group.
#[derive(Clone, Copy, Debug)]
struct Grouped {
    key: Key,
    dir: usize,
    name_end: usize,
}

impl FromIterator<Runner> for Roster {
    fn from_iter<I: IntoIterator<Item = Runner>>(runners: I) -> Self {
        let mut this = Self::default();
        for runner in runners {
            let place = runner.group.as_deref().and_then(|group| Some((group.parent()?, group.file_name()?)));
            let Some((dir, name)) = place else {
                this.others.push(runner);
                continue;
            };
            let dir = this.dirs.iter().position(|known| known == dir).unwrap_or_else(|| {
                this.dirs.push(dir.to_owned());
                this.dirs.len() - 1
            });
            this.names.extend_from_slice(name.as_encoded_bytes());
            this.grouped.push(Grouped { key: runner.key, dir, name_end: this.names.len() });
        }
        this
    }
}

impl Roster {
    /// How many are in control groups.
    #[must_use]
    pub const fn grouped(&self) -> usize {
        self.grouped.len()
    }

    /// Measures some of those that are in control groups. Blocks, for some ten microseconds each.
    pub fn measure_grouped(&self, some: Range<usize>) -> Vec<(Key, Usage)> {
        let mut opened: Option<(usize, Option<Parent>)> = None;
        let mut name_begin = some.start.checked_sub(1).map_or(0, |before| self.grouped[before].name_end);
        let measure = |grouped: &Grouped| {
            let name = OsStr::from_bytes(&self.names[name_begin..grouped.name_end]);
            name_begin = grouped.name_end;
            if opened.as_ref().is_none_or(|(dir, _)| *dir != grouped.dir) {
                opened = Some((grouped.dir, Parent::open(&self.dirs[grouped.dir]).ok()));
            }
            let parent = opened.as_ref().and_then(|(_, parent)| parent.as_ref());
            (grouped.key, parent.map_or_else(Usage::default, |parent| of_group(parent, name)))
        };
        self.grouped[some].iter().map(measure).collect()
    }

    /// Whether there are any without a control group.
    #[must_use]
    pub const fn has_others(&self) -> bool {
        !self.others.is_empty()
    }

    /// Measures the others: an instance is then what is in its process group, or descends from that; CPU time of processes
    /// that have ended counts if their parent has waited for them. Blocks, for some ten microseconds per process of the
    /// machine.
    #[must_use]
    pub fn measure_others(&self) -> Vec<(Key, Usage)> {
        let all: Vec<Stat> = proc_fs::pids().into_iter().filter_map(proc_fs::stat).collect();
        by_descent(&self.others, &all)
    }
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

fn by_descent(runners: &[Runner], all: &[Stat]) -> Vec<(Key, Usage)> {
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
    let usage = |(runner, members): (&Runner, Vec<&Stat>)| (runner.key, sum(members.into_iter()));
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
    use std::fs;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    #[test]
    fn what_a_group_and_its_descendants_use_is_counted() {
        let text = "setsid sleep 1000 & i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; wait";
        let mut child = Command::new("sh").args(["-c", text]).process_group(0).spawn().unwrap();
        let leader = Leader { pid: child.id(), start_ticks: 0 };
        let roster: Roster = [Runner { key: Key(1), leader, group: None }].into_iter().collect();
        assert!(roster.grouped() == 0 && roster.has_others());
        campanile_testkit::wait_until(std::time::Duration::from_secs(20), "both, and some work", || {
            let (_, usage) = roster.measure_others()[0];
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

    #[test]
    fn instances_in_groups_of_several_directories_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let groups =
            [("own", "a1", 7), ("own", "a", 11), ("earlier", "b", 13), ("own", "gone", 0), ("own", "c", 17)];
        let runner = |(index, (parent, name, cpu_us)): (usize, &(&str, &str, u64))| {
            let group = dir.path().join(parent).join(name);
            if *cpu_us > 0 {
                fs::create_dir_all(&group).unwrap();
                fs::write(group.join("cpu.stat"), format!("usage_usec {cpu_us}\nuser_usec 1\n")).unwrap();
                fs::write(group.join("cgroup.procs"), format!("{}\n", std::process::id())).unwrap();
            }
            let leader = Leader { pid: std::process::id(), start_ticks: 0 };
            Runner { key: Key(index as u64), leader, group: Some(group) }
        };
        let roster: Roster = groups.iter().enumerate().map(runner).collect();
        assert!(roster.grouped() == groups.len() && !roster.has_others());
        for ends in [&[5][..], &[2, 5], &[1, 4, 5]] {
            let mut measured = Vec::new();
            for end in ends {
                measured.extend(roster.measure_grouped(measured.len()..*end));
            }
            let cpu: Vec<(Key, u64)> =
                measured.iter().map(|(key, usage)| (*key, (usage.cpu_s * 1e6).round() as u64)).collect();
            let expected: Vec<_> =
                groups.iter().enumerate().map(|(index, group)| (Key(index as u64), group.2)).collect();
            assert_eq!(cpu, expected);
            assert!(measured[0].1.memory_bytes > 100_000 && measured[0].1.processes == 1);
        }
    }
}
