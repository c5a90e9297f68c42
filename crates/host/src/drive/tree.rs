//! Everything that an instance has started: finding it, signalling it, and killing it so that nothing is left.
//!
//! A process belongs to an instance if its environment says so ([`Mark`]), if its output goes to the instance's files
//! (a program that overwrites its environment still has those), if it is in the process group of the leader, or if
//! its parent belongs. So a child that called `setsid`, or that was started with an empty environment by a living
//! parent, is found. What gives up all four is not: only a control group holds that, and where an instance has one, it
//! alone says what belongs to it.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::cgroup;
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
        Marks::new([self].into_iter()).on(pid).is_some()
    }
}

/// Many marks at once, so that every process has to be looked at only once.
struct Marks<'a> {
    by_name: HashMap<&'a str, usize>,
    by_output: HashMap<&'a Path, usize>,
}

impl<'a> Marks<'a> {
    fn new(marks: impl Iterator<Item = &'a Mark>) -> Self {
        let mut all = Self { by_name: HashMap::new(), by_output: HashMap::new() };
        for (index, mark) in marks.enumerate() {
            all.by_name.insert(&mark.name, index);
            all.by_output.extend(mark.outputs.iter().map(|output| (output.as_path(), index)));
        }
        all
    }

    /// Which of the marks a process shows.
    fn on(&self, pid: u32) -> Option<usize> {
        let outputs = proc_fs::outputs_of(pid);
        outputs.iter().flatten().find_map(|output| self.by_output.get(output.as_path()).copied()).or_else(
            || {
                let value = proc_fs::env_of(pid, VARIABLE)?;
                value.split(SEPARATOR).find_map(|name| self.by_name.get(name).copied())
            },
        )
    }
}

/// An instance whose processes are looked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// How they are recognised.
    pub mark: Mark,
    /// The process that was launched, if any was.
    pub leader: Option<Leader>,
    /// The control group that holds them, if one does.
    pub group: Option<PathBuf>,
}

/// The living processes of some instances, each with the place of its instance in the list.
#[must_use]
pub fn members(wanted: &[Wanted]) -> Vec<(usize, Stat)> {
    let mut all = Vec::new();
    let mut marked = Vec::new();
    for (index, one) in wanted.iter().enumerate() {
        let Some(group) = &one.group else {
            marked.push((index, one));
            continue;
        };
        let stats = cgroup::members(group).into_iter().filter_map(proc_fs::stat);
        all.extend(stats.filter(|stat| !stat.is_zombie()).map(|stat| (index, stat)));
    }
    if !marked.is_empty() {
        let (indices, marked): (Vec<usize>, Vec<Wanted>) =
            marked.into_iter().map(|(index, one)| (index, one.clone())).unzip();
        all.extend(marked_members(&marked).into_iter().map(|(index, stat)| (indices[index], stat)));
    }
    all
}

/// The same for instances without a control group.
fn marked_members(wanted: &[Wanted]) -> Vec<(usize, Stat)> {
    let me = std::process::id();
    let all: Vec<Stat> = proc_fs::pids().into_iter().filter_map(proc_fs::stat).collect();
    let mut found = in_groups(wanted, &all);
    let marks = Marks::new(wanted.iter().map(|wanted| &wanted.mark));
    for stat in all.iter().filter(|stat| stat.pid != me && !stat.is_zombie()) {
        if let Entry::Vacant(vacant) = found.entry(stat.pid)
            && let Some(index) = marks.on(stat.pid)
        {
            vacant.insert(index);
        }
    }
    add_descendants(&all, &mut found);
    found.remove(&me);
    let living = all.into_iter().filter(|stat| !stat.is_zombie());
    living.filter_map(|stat| Some((*found.get(&stat.pid)?, stat))).collect()
}

/// Who is in the process group of which leader. When a leader has ended its number may be used again: a process of that
/// number with another start, or a group in another session, is somebody else's.
fn in_groups(wanted: &[Wanted], all: &[Stat]) -> HashMap<u32, usize> {
    let session = all.iter().find(|stat| stat.pid == std::process::id()).map_or(0, |stat| stat.session);
    let mut groups: HashMap<u32, (u64, usize)> = HashMap::new();
    for (index, leader) in
        wanted.iter().enumerate().filter_map(|(index, wanted)| Some((index, wanted.leader?)))
    {
        groups.insert(leader.pid, (leader.start_ticks, index));
    }
    for stat in all {
        if groups.get(&stat.pid).is_some_and(|(start_ticks, _)| *start_ticks != stat.start_ticks) {
            groups.remove(&stat.pid);
        }
    }
    let of_group = |stat: &Stat| groups.get(&stat.pgrp).map(|(_, index)| (stat.pid, *index));
    all.iter().filter(|stat| stat.session == session).filter_map(of_group).collect()
}

fn add_descendants(all: &[Stat], found: &mut HashMap<u32, usize>) {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for stat in all {
        children.entry(stat.ppid).or_default().push(stat.pid);
    }
    let mut open: Vec<(u32, usize)> = found.iter().map(|(pid, index)| (*pid, *index)).collect();
    while let Some((pid, index)) = open.pop() {
        for child in children.get(&pid).into_iter().flatten() {
            if let Entry::Vacant(vacant) = found.entry(*child) {
                vacant.insert(index);
                open.push((*child, index));
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

/// SIGINT to the process groups of the leaders, as a terminal's Ctrl-C.
pub fn interrupt_groups(wanted: &[Wanted]) {
    let all: Vec<Stat> = proc_fs::pids().into_iter().filter_map(proc_fs::stat).collect();
    let mut groups = HashSet::new();
    for leader in wanted.iter().filter_map(|one| one.leader) {
        // A group lives as long as its leader runs; only then is the number its own for sure.
        let is_it = |stat: &Stat| stat.pid == leader.pid && stat.start_ticks == leader.start_ticks;
        if all.iter().any(is_it) {
            groups.insert(leader.pid);
        }
    }
    for stat in all.iter().filter(|stat| groups.contains(&stat.pgrp)) {
        signal(stat, Signal::INT);
    }
}

/// Sends a signal to every process of some instances; returns how many there were.
pub fn signal_all(wanted: &[Wanted], what: Signal) -> usize {
    let members = members(wanted);
    for (_, member) in &members {
        signal(member, what);
    }
    members.len()
}

/// Kills every process of some instances until nothing is left, or [`KILL_TIMEOUT`] is over; returns how many are left.
///
/// All are stopped before the first is killed, and looked for again until no new one appears: otherwise one that is
/// just being forked could escape. Blocks; meant for a thread that may.
#[must_use]
pub fn kill(wanted: &[Wanted]) -> usize {
    let deadline = Instant::now() + KILL_TIMEOUT;
    for group in wanted.iter().filter_map(|one| one.group.as_ref()) {
        cgroup::kill(group);
    }
    loop {
        let mut stopped = 0;
        let targets = loop {
            let seen = members(wanted);
            for (_, member) in &seen {
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
        for (_, target) in &targets {
            signal(target, Signal::KILL);
        }
        if Instant::now() >= deadline {
            return members(wanted).len();
        }
        std::thread::sleep(KILL_POLL);
    }
}

/// How many processes there are of each of some instances, in their order.
#[must_use]
pub fn census(wanted: &[Wanted]) -> Vec<u32> {
    let mut counts = vec![0; wanted.len()];
    for (index, _) in members(wanted) {
        counts[index] += 1;
    }
    counts
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

    fn wanted(mark: &Mark, child: Option<&Child>) -> [Wanted; 1] {
        let leader = child.map(|child| {
            let start_ticks = proc_fs::stat(child.id()).unwrap().start_ticks;
            Leader { pid: child.id(), start_ticks }
        });
        [Wanted { mark: mark.clone(), leader, group: None }]
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
        let wanted = wanted(&mark, Some(&child));
        campanile_testkit::wait_until(Duration::from_secs(10), "the tree", || members(&wanted).len() >= 4);
        assert_eq!(kill(&wanted), 0);
        assert_eq!(members(&wanted), []);
        child.wait().unwrap();
    }

    #[test]
    fn what_overwrote_its_environment_is_known_by_its_output() {
        let mark = mark("quiet");
        let output = std::fs::File::create(&mark.outputs[0]).unwrap();
        let mut child = Command::new("sleep").arg("1000").env_clear().stdout(output).spawn().unwrap();
        campanile_testkit::wait_until(Duration::from_secs(10), "the process", || {
            members(&wanted(&mark, None)).iter().any(|(_, stat)| stat.pid == child.id())
        });
        assert_eq!(census(&wanted(&mark, None)), [1]);
        assert_eq!(kill(&wanted(&mark, None)), 0);
        child.wait().unwrap();
        std::fs::remove_file(&mark.outputs[0]).unwrap();
    }

    #[test]
    fn another_instance_is_left_alone() {
        let (mine, other) = (mark("mine"), mark("other"));
        let mut child = spawn(&other, "exec sleep 1000");
        assert_eq!(kill(&wanted(&mine, None)), 0);
        assert_eq!(child.try_wait().unwrap(), None);
        assert_eq!(kill(&wanted(&other, Some(&child))), 0);
        child.wait().unwrap();
    }

    #[test]
    fn a_process_group_whose_number_was_used_again_is_left_alone() {
        let (mine, other) = (mark("ended"), mark("newcomer"));
        let mut child = spawn(&other, "exec sleep 1000");
        let ended = Some(Leader { pid: child.id(), start_ticks: 1 });
        assert_eq!(kill(&[Wanted { mark: mine, leader: ended, group: None }]), 0);
        assert_eq!(child.try_wait().unwrap(), None);
        assert_eq!(kill(&wanted(&other, Some(&child))), 0);
        child.wait().unwrap();
    }
}
