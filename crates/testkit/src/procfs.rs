//! What `/proc` says about processes: alive, memory, CPU time, children.

use std::fs;
use std::time::{Duration, Instant};

/// Whether the process exists and is not a zombie.
pub fn is_alive(pid: u32) -> bool {
    stat_fields(pid).is_some_and(|fields| fields[0] != "Z" && fields[0] != "X")
}

/// The CPU time, user and system, that the process used since its start (resolution: one clock tick, 10 ms).
/// `None` if there is no such process.
pub fn cpu_time_of(pid: u32) -> Option<Duration> {
    let fields = stat_fields(pid)?;
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// When the process started, in clock ticks since the machine's start: with the pid it names one process for
/// good. `None` if there is no such process.
pub fn start_time_of(pid: u32) -> Option<u64> {
    stat_fields(pid)?.get(19)?.parse().ok()
}

/// Resident memory of the process in bytes (`VmRSS`), file pages included. `None` if there is no such process.
pub fn rss_of(pid: u32) -> Option<u64> {
    status_bytes(pid, "VmRSS:")
}

/// Anonymous resident memory of the process in bytes (`RssAnon`): what it really allocated.
pub fn anon_of(pid: u32) -> Option<u64> {
    status_bytes(pid, "RssAnon:")
}

/// The pids of the direct children, zombies included, in the order in which `/proc` lists them.
pub fn children_of(pid: u32) -> Vec<u32> {
    pids().filter(|&candidate| parent_of(candidate) == Some(pid)).collect()
}

/// The pids of all descendants that are still linked to the process by living parents.
pub fn descendants_of(pid: u32) -> Vec<u32> {
    let mut found = children_of(pid);
    let mut next = 0;
    while next < found.len() {
        found.extend(children_of(found[next]));
        next += 1;
    }
    found
}

/// The command line of the process, arguments joined by spaces; empty for a zombie or no process.
pub fn command_line_of(pid: u32) -> String {
    let raw = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&raw).trim_end_matches('\0').replace('\0', " ")
}

/// The pids of the living processes that were started with `NAME=value` in their environment; sees only
/// processes of the same user, and none that wrote over its environment (as setproctitle does).
pub fn pids_with_env(name: &str, value: &str) -> Vec<u32> {
    let wanted = format!("{name}={value}");
    let has = |pid: &u32| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|&byte| byte == 0).any(|entry| entry == wanted.as_bytes())
    };
    pids().filter(has).collect()
}

/// Measures which share of one core a process uses.
#[derive(Debug)]
pub struct CpuMeter {
    pid: u32,
    since: Instant,
    used: Duration,
}

impl CpuMeter {
    /// Starts measuring; panics if there is no such process.
    #[track_caller]
    pub fn start(pid: u32) -> Self {
        let used = cpu_time_of(pid).expect("the process to measure is running");
        Self { pid, since: Instant::now(), used }
    }

    /// The share of one core used since the start: 0.01 is one per cent. Panics if the process ended.
    #[track_caller]
    pub fn share(&self) -> f64 {
        let used = cpu_time_of(self.pid).expect("the measured process is running") - self.used;
        used.as_secs_f64() / self.since.elapsed().as_secs_f64()
    }
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").expect("/proc is mounted");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn parent_of(pid: u32) -> Option<u32> {
    stat_fields(pid)?.get(1)?.parse().ok()
}

/// The fields of `/proc/PID/stat` from the state on: the name before them may hold spaces and parentheses.
fn stat_fields(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    Some(after_name.split_whitespace().map(str::to_owned).collect())
}

fn status_bytes(pid: u32, key: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn this_process_is_alive_and_has_memory() {
        let pid = std::process::id();
        assert!(is_alive(pid));
        assert!(rss_of(pid).unwrap() >= anon_of(pid).unwrap());
        assert!(cpu_time_of(pid).is_some());
    }

    #[test]
    fn a_child_is_found_by_parent_and_by_environment_and_a_zombie_is_not_alive() {
        let marker = format!("m{}", std::process::id());
        let mut child = Command::new("sleep").arg("60").env("TESTKIT_MARK", &marker).spawn().unwrap();
        assert!(children_of(std::process::id()).contains(&child.id()));
        crate::wait_until(Duration::from_secs(5), "exec of sleep", || {
            pids_with_env("TESTKIT_MARK", &marker) == [child.id()]
                && command_line_of(child.id()) == "sleep 60"
        });
        child.kill().unwrap();
        crate::wait_until(Duration::from_secs(5), "the zombie", || !is_alive(child.id()));
        child.wait().unwrap();
        assert_eq!(rss_of(child.id()), None);
    }
}
