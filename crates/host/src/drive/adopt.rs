//! Finding what an earlier manager has launched and left running.
//!
//! A run that was noted is known for sure: pid, start time and, where the kernel has it, the inode of its pidfd are
//! those of the process that runs now. Where the note is lost (a full disk, a state directory that was cleaned) the
//! program is known by its mark and by leading a process group. Everything else that bears the mark is left over.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use super::cgroup;
use super::launcher;
use super::proc_fs::{self, Stat};
use super::runs::{self, Run, Runs};
use super::sweep::Running;
use super::tree::{self, Leader, Mark, Owner, Wanted};
use crate::model::Key;

/// An instance whose processes are looked for.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its entry in the table.
    pub key: Key,
    /// Its id.
    pub instance_id: String,
    /// How its processes are recognised.
    pub mark: Mark,
}

/// What was found of an instance.
#[derive(Clone, Debug)]
pub enum Found {
    /// Its program runs.
    Program(Survivor),
    /// Its program does not, but something it has started does.
    Leftovers {
        /// How many processes.
        count: u32,
        /// The control group that holds them, if one does.
        group: Option<PathBuf>,
    },
}

/// A program that an earlier manager has launched.
#[derive(Clone, Debug)]
pub struct Survivor {
    /// The process, with a handle.
    pub running: Running,
    /// Number of its launch.
    pub launch: u32,
    /// What it was launched as, see [`crate::model::Spec::form`]; `None` if that is not known.
    pub form: Option<u64>,
    /// Where its output begins.
    pub output_starts: Option<[u64; 2]>,
    /// The control group that holds it, if one does.
    pub group: Option<PathBuf>,
}

/// Looks for the programs of all candidates; returns those of whom something runs. Blocks.
#[must_use]
pub fn find(owner: Owner, runs: &Runs, candidates: &[Candidate]) -> Vec<(Key, Found)> {
    let (mut found, mut open) = (Vec::new(), Vec::new());
    for candidate in candidates {
        match runs.alive(&candidate.instance_id) {
            Some((run, pidfd)) => found.push((candidate.key, Found::Program(noted(owner, run, pidfd)))),
            None => open.push(candidate),
        }
    }
    if open.is_empty() {
        return found;
    }
    let marks: Vec<Wanted> = open
        .iter()
        .map(|candidate| Wanted { mark: candidate.mark.clone(), leader: None, group: None })
        .collect();
    let mut members: Vec<Vec<Stat>> = vec![Vec::new(); open.len()];
    for (index, stat) in tree::members(&marks) {
        // One that waits for the word of a dead manager ends by itself.
        if !launcher::is_waiting(stat.pid) {
            members[index].push(stat);
        }
    }
    let noted: HashSet<String> = runs.noted().into_iter().map(|run| run.instance_id).collect();
    for (candidate, members) in open.into_iter().zip(members) {
        if let Some(what) = by_mark(owner, candidate, &members, noted.contains(&candidate.instance_id)) {
            found.push((candidate.key, what));
        }
    }
    found
}

fn noted(owner: Owner, run: Run, pidfd: OwnedFd) -> Survivor {
    let leader = Leader { pid: run.pid, start_ticks: run.start_ticks };
    Survivor {
        running: Running { leader, pidfd: Arc::new(pidfd) },
        launch: run.launch.max(1),
        form: Some(run.form),
        output_starts: run.output_starts,
        group: cgroup::of_process(owner, run.pid, &run.instance_id),
    }
}

/// `was_noted` says that the program is known, and that it does not run any more.
fn by_mark(owner: Owner, candidate: &Candidate, members: &[Stat], was_noted: bool) -> Option<Found> {
    let first = members.first()?;
    let pids: HashSet<u32> = members.iter().map(|stat| stat.pid).collect();
    // Launched programs lead their group, and no other process of the instance is their parent.
    let mut leaders = members.iter().filter(|stat| stat.pgrp == stat.pid && !pids.contains(&stat.ppid));
    if !was_noted
        && let (Some(stat), None) = (leaders.next(), leaders.next())
        && let Some(pidfd) = runs::open(stat.pid)
        && proc_fs::stat(stat.pid).is_some_and(|now| now.start_ticks == stat.start_ticks)
    {
        let leader = Leader { pid: stat.pid, start_ticks: stat.start_ticks };
        return Some(Found::Program(Survivor {
            running: Running { leader, pidfd: Arc::new(pidfd) },
            launch: 1,
            form: None,
            output_starts: None,
            group: cgroup::of_process(owner, stat.pid, &candidate.instance_id),
        }));
    }
    let count = u32::try_from(members.len()).unwrap_or(u32::MAX);
    let group = cgroup::of_process(owner, first.pid, &candidate.instance_id);
    Some(Found::Leftovers { count, group })
}
