//! Everything that an instance has started: finding it, signalling it, and killing it so that nothing is left.
//!
//! A process belongs to an instance if its environment says so ([`Mark`]), if its output goes to the instance's files
//! (a program that overwrites its environment still has those), if it is in the process group of the leader, or if
//! its parent belongs. So a child that called `setsid`, or that was started with an empty environment by a living
//! parent, is found. What gives up all four is not: only a control group holds that.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::proc_fs::{self, Stat};

/// The environment variable that names the instances a process belongs to: an outer manager's first, ours last.
pub const VARIABLE: &str = "CAMPANILE_INSTANCE";
/// Separates the names in the variable; encoded where a name has it.
const SEPARATOR: char = ';';
/// A kill that has not succeeded after this time is reported, and tried again when the plan says so.
pub const KILL_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait between two looks at processes that have been killed.
const KILL_POLL: Duration = Duration::from_millis(2);

/// How the processes of one instance are recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    name: String,
    outputs: [PathBuf; 2],
}

/// How the processes of one manager are recognised: a number made of its state directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner(pub u64);

/// The process that was launched; it may have ended since. It led a process group of its own in the manager's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Its process id.
    pub pid: u32,
    /// Its start, see [`Stat::start_ticks`].
    pub start_ticks: u64,
}

impl Leader {
    /// Which of all processes are in its group. When it has ended its number may be used again: a process of that
    /// number with another start, or a group in another session, is somebody else's.
    fn group(self, all: &[Stat], session: u32) -> impl Iterator<Item = &Stat> {
        let reused = all.iter().any(|stat| stat.pid == self.pid && stat.start_ticks != self.start_ticks);
        all.iter().filter(move |stat| !reused && stat.pgrp == self.pid && stat.session == session)
    }
}

impl Mark {
    /// The mark of an instance whose standard output and error go to `outputs`.
    #[must_use]
    pub fn new(owner: Owner, instance_id: &str, outputs: [PathBuf; 2]) -> Self {
        let instance_id = instance_id.replace('%', "%25").replace(SEPARATOR, "%3B");
        Self { name: format!("{:016x}/{instance_id}", owner.0), outputs }
    }

    /// The value of [`VARIABLE`] for a process of this instance. `inherited` is the manager's own value: if it is kept
    /// by a manager itself, then its processes are that one's, too.
    #[must_use]
    pub fn value(&self, inherited: Option<&str>) -> String {
        match inherited {
            Some(outer) if !outer.is_empty() => format!("{outer}{SEPARATOR}{}", self.name),
            _ => self.name.clone(),
        }
    }

    /// Whether a process shows this mark, in its environment or by where its output goes.
    #[must_use]
    pub fn is_on(&self, pid: u32) -> bool {
        let in_environment = || {
            proc_fs::env_of(pid, VARIABLE)
                .is_some_and(|value| value.split(SEPARATOR).any(|name| name == self.name))
        };
        let by_output = || {
            let outputs = proc_fs::outputs_of(pid);
            outputs.iter().flatten().any(|output| self.outputs.contains(output))
        };
        by_output() || in_environment()
    }
}

/// The living processes of an instance.
#[must_use]
pub fn members(mark: &Mark, leader: Option<Leader>) -> Vec<Stat> {
    let me = std::process::id();
    let all: Vec<Stat> = proc_fs::pids().into_iter().filter_map(proc_fs::stat).collect();
    let session = all.iter().find(|stat| stat.pid == me).map_or(0, |stat| stat.session);
    let mut found: HashSet<u32> = HashSet::new();
    if let Some(leader) = leader {
        found.extend(leader.group(&all, session).map(|stat| stat.pid));
    }
    for stat in &all {
        if stat.pid != me && !stat.is_zombie() && !found.contains(&stat.pid) && mark.is_on(stat.pid) {
            found.insert(stat.pid);
        }
    }
    add_descendants(&all, &mut found);
    found.remove(&me);
    all.into_iter().filter(|stat| found.contains(&stat.pid) && !stat.is_zombie()).collect()
}

fn add_descendants(all: &[Stat], found: &mut HashSet<u32>) {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for stat in all {
        children.entry(stat.ppid).or_default().push(stat.pid);
    }
    let mut open: Vec<u32> = found.iter().copied().collect();
    while let Some(pid) = open.pop() {
        for child in children.get(&pid).into_iter().flatten() {
            if found.insert(*child) {
                open.push(*child);
            }
        }
    }
}

/// Sends a signal to exactly the process that was seen, never to another one that has got its number since. `false` if
/// it is gone or may not be signalled.
pub fn signal(seen: &Stat, signal: Signal) -> bool {
    let Some(pid) = i32::try_from(seen.pid).ok().and_then(Pid::from_raw) else { return false };
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    // The handle holds one process for good; that it is the one that was seen is checked through it being open.
    let is_same = proc_fs::stat(seen.pid).is_some_and(|now| now.start_ticks == seen.start_ticks);
    is_same && pidfd_send_signal(&pidfd, signal).is_ok()
}

/// Sends a signal to every process of an instance; returns how many there were.
pub fn signal_all(mark: &Mark, leader: Option<Leader>, what: Signal) -> usize {
    let members = members(mark, leader);
    for member in &members {
        signal(member, what);
    }
    members.len()
}

/// Kills every process of an instance until nothing is left, or [`KILL_TIMEOUT`] is over; returns how many are left.
///
/// All are stopped before the first is killed, and looked for again until no new one appears: otherwise one that is
/// just being forked could escape. Blocks; meant for a thread that may.
#[must_use]
pub fn kill(mark: &Mark, leader: Option<Leader>) -> usize {
    let deadline = Instant::now() + KILL_TIMEOUT;
    loop {
        let mut stopped = 0;
        let targets = loop {
            let seen = members(mark, leader);
            for member in &seen {
                signal(member, Signal::STOP);
            }
            if seen.len() <= stopped || Instant::now() >= deadline {
                break seen;
            }
            stopped = seen.len();
        };
        if targets.is_empty() {
            return 0;
        }
        for target in &targets {
            signal(target, Signal::KILL);
        }
        if Instant::now() >= deadline {
            return members(mark, leader).len();
        }
        std::thread::sleep(KILL_POLL);
    }
}

/// How many processes of each instance run already, before the first launch: what an earlier manager with the same
/// state directory has left. `marks` names the instances to look for.
#[must_use]
pub fn census<K: Clone>(marks: &[(K, Mark)]) -> Vec<(K, u32)> {
    let me = std::process::id();
    let mut counts = vec![0_u32; marks.len()];
    let by_name: HashMap<&str, usize> =
        marks.iter().enumerate().map(|(index, (_, mark))| (mark.name.as_str(), index)).collect();
    let by_output: HashMap<&PathBuf, usize> = marks
        .iter()
        .enumerate()
        .flat_map(|(index, (_, mark))| mark.outputs.iter().map(move |output| (output, index)))
        .collect();
    for pid in proc_fs::pids().into_iter().filter(|pid| *pid != me) {
        let outputs = proc_fs::outputs_of(pid);
        let index =
            outputs.iter().flatten().find_map(|output| by_output.get(output).copied()).or_else(|| {
                let value = proc_fs::env_of(pid, VARIABLE)?;
                value.split(SEPARATOR).find_map(|name| by_name.get(name).copied())
            });
        let alive = || proc_fs::stat(pid).is_some_and(|stat| !stat.is_zombie());
        if let Some(index) = index.filter(|_| alive()) {
            counts[index] += 1;
        }
    }
    marks.iter().map(|(key, _)| key.clone()).zip(counts).filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};

    fn mark(instance_id: &str) -> Mark {
        let owner = Owner(u64::from(std::process::id()));
        let outputs = ["out", "err"].map(|name| std::env::temp_dir().join(format!("{instance_id}.{name}")));
        Mark::new(owner, instance_id, outputs)
    }

    fn spawn(mark: &Mark, script: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]).process_group(0).stdin(Stdio::null()).stdout(Stdio::null());
        command.env(VARIABLE, mark.value(None)).spawn().unwrap()
    }

    fn leader(child: &Child) -> Option<Leader> {
        let start_ticks = proc_fs::stat(child.id()).unwrap().start_ticks;
        Some(Leader { pid: child.id(), start_ticks })
    }

    #[test]
    fn names_of_an_outer_manager_are_kept_and_a_separator_in_a_name_does_no_harm() {
        let mark = Mark::new(Owner(1), "a;b%", [PathBuf::new(), PathBuf::new()]);
        assert_eq!(mark.value(None), "0000000000000001/a%3Bb%25");
        assert_eq!(mark.value(Some("outer/x")), "outer/x;0000000000000001/a%3Bb%25");
    }

    #[test]
    fn a_forking_tree_that_left_its_session_and_ignores_sigterm_is_killed_whole() {
        let mark = mark("forks");
        let script = "trap '' TERM INT
            setsid sh -c \"trap '' TERM; while :; do sleep 0.01; done\" &
            env -i setsid sleep 1000 &
            while :; do sleep 0.01; done";
        let mut child = spawn(&mark, script);
        let leader = leader(&child);
        campanile_testkit::wait_until(Duration::from_secs(10), "the tree", || {
            members(&mark, leader).len() >= 4
        });
        assert_eq!(kill(&mark, leader), 0);
        assert_eq!(members(&mark, leader), []);
        child.wait().unwrap();
    }

    #[test]
    fn what_overwrote_its_environment_is_known_by_its_output() {
        let mark = mark("quiet");
        let output = std::fs::File::create(&mark.outputs[0]).unwrap();
        let mut child = Command::new("sleep").arg("1000").env_clear().stdout(output).spawn().unwrap();
        campanile_testkit::wait_until(Duration::from_secs(10), "the process", || {
            members(&mark, None).iter().any(|stat| stat.pid == child.id())
        });
        assert_eq!(census(&[(7, mark.clone())]), [(7, 1)]);
        assert_eq!(kill(&mark, None), 0);
        child.wait().unwrap();
        std::fs::remove_file(&mark.outputs[0]).unwrap();
    }

    #[test]
    fn another_instance_is_left_alone() {
        let (mine, other) = (mark("mine"), mark("other"));
        let mut child = spawn(&other, "exec sleep 1000");
        assert_eq!(kill(&mine, None), 0);
        assert_eq!(child.try_wait().unwrap(), None);
        assert_eq!(kill(&other, leader(&child)), 0);
        child.wait().unwrap();
    }

    #[test]
    fn a_process_group_whose_number_was_used_again_is_left_alone() {
        let (mine, other) = (mark("ended"), mark("newcomer"));
        let mut child = spawn(&other, "exec sleep 1000");
        let ended = Leader { pid: child.id(), start_ticks: 1 };
        assert_eq!(kill(&mine, Some(ended)), 0);
        assert_eq!(child.try_wait().unwrap(), None);
        assert_eq!(kill(&other, leader(&child)), 0);
        child.wait().unwrap();
    }
}
