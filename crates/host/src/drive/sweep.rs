//! What our children leave behind: orphans come to us, since we are their subreaper.
//!
//! Orphans that have ended are reaped here (those of other parts of this program are not: they are in our own process
//! group). Living ones are counted for the instance whose leader has just ended. The count of an instance is repeated
//! until nothing is left of it.

use std::collections::{HashMap, HashSet};
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use rustix::process::{Pid, WaitId, WaitIdOptions, getpgrp, getpid, waitid};

use super::cgroup;
use super::proc_fs;
use super::tree::{self, Leader, Mark};
use crate::model::Key;

/// A process that was launched and has not been reaped.
#[derive(Clone, Debug)]
pub struct Running {
    /// The process.
    pub leader: Leader,
    /// Signals are sent through this handle, so that they can reach no other process.
    pub pidfd: Arc<OwnedFd>,
}

/// What is known of the processes of one instance.
#[derive(Clone, Debug)]
pub struct Family {
    /// How its processes are recognised.
    pub mark: Mark,
    /// The last process that was launched, running or not.
    pub leader: Option<Leader>,
    /// The same, while it runs.
    pub running: Option<Running>,
    /// The last launch, see [`crate::model::Observed::launch`].
    pub launch: u32,
    /// It is to be counted what is left.
    pub count: bool,
    /// What is left may not be our own child, since an earlier manager has launched it.
    pub foreign: bool,
    /// The control group that holds them, if one does.
    pub group: Option<PathBuf>,
}

/// The families of all instances that were ever launched, or found running.
#[derive(Debug, Default)]
pub struct Families {
    map: Mutex<HashMap<Key, Family>>,
    /// How often the map may have changed.
    changes: AtomicU64,
    /// Held for reading from before a process is started until it is entered above. Without it a child that ends at
    /// once could be taken for an orphan, and its exit code be lost.
    pub starting: RwLock<()>,
}

impl Families {
    /// The map itself, to be changed. Never held over anything that blocks.
    pub fn lock(&self) -> MutexGuard<'_, HashMap<Key, Family>> {
        // Every change below this lock is a single assignment, so a poisoned one guards a sound map.
        let map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        self.changes.fetch_add(1, Ordering::Relaxed);
        map
    }

    /// The same, to be looked at; with it a number that is another one after a change.
    pub fn look(&self) -> (impl Deref<Target = HashMap<Key, Family>>, u64) {
        let map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = self.changes.load(Ordering::Relaxed);
        (map, changes)
    }
}

/// What a sweep has found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// How many processes are left of each instance that was to be counted, with the launch that this is about.
    pub left: Vec<(Key, u32, u32)>,
    /// Something could not be done because a process was just being started; sweep again soon.
    pub again: bool,
}

/// Reaps orphans and counts what is left. Blocks for some milliseconds; meant for a thread that may.
#[must_use]
pub fn sweep(families: &Families) -> Found {
    let mut found = Found::default();
    let reaping = families.starting.try_write();
    let (leaders, counted): (HashSet<u32>, Vec<(Key, Family)>) = {
        let (map, _) = families.look();
        let leaders = map.values().filter_map(|family| Some(family.running.as_ref()?.leader.pid)).collect();
        let counted =
            map.iter().filter(|(_, family)| family.count).map(|(key, family)| (*key, family.clone()));
        (leaders, counted.collect())
    };
    let orphans = orphans(&leaders, reaping.is_ok());
    found.again = reaping.is_err();
    drop(reaping);
    // What a control group holds is in its list; what an earlier manager has launched is not our child.
    let (foreign, own): (Vec<_>, Vec<_>) =
        counted.into_iter().partition(|(_, family)| family.foreign || family.group.is_some());
    if !foreign.is_empty() {
        let wanted: Vec<_> = foreign.iter().map(|(_, family)| family.wanted()).collect();
        let counts = tree::census(&wanted);
        for ((key, family), left) in foreign.iter().zip(counts) {
            if let (Some(group), 0) = (&family.group, left) {
                cgroup::remove(group);
            }
            found.left.push((*key, family.launch, left));
        }
    }
    for (key, family) in own {
        let is_left = |orphan: &&proc_fs::Stat| {
            let in_group = family.leader.is_some_and(|leader| leader.pid == orphan.pgrp);
            in_group || family.mark.is_on(orphan.pid)
        };
        let left = orphans.iter().filter(is_left).count();
        found.left.push((key, family.launch, u32::try_from(left).unwrap_or(u32::MAX)));
    }
    found
}

impl Family {
    /// What to look for to find its processes.
    #[must_use]
    pub fn wanted(&self) -> tree::Wanted {
        tree::Wanted { mark: self.mark.clone(), leader: self.leader, group: self.group.clone() }
    }
}

/// Our living children that we have not launched. With `reap`, those that have ended are reaped.
fn orphans(leaders: &HashSet<u32>, reap: bool) -> Vec<proc_fs::Stat> {
    let me = getpid().as_raw_nonzero().get().unsigned_abs();
    let my_group = getpgrp().as_raw_nonzero().get().unsigned_abs();
    let is_orphan =
        |stat: &proc_fs::Stat| stat.ppid == me && !leaders.contains(&stat.pid) && stat.pgrp != my_group;
    let (ended, living): (Vec<_>, Vec<_>) = proc_fs::pids()
        .into_iter()
        .filter_map(proc_fs::stat)
        .filter(is_orphan)
        .partition(proc_fs::Stat::is_zombie);
    for stat in ended.iter().filter(|_| reap) {
        if let Some(pid) = i32::try_from(stat.pid).ok().and_then(Pid::from_raw) {
            // It is ours and has ended, so this cannot wait; whatever it returns, there is nothing more to do.
            let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        }
    }
    living
}
