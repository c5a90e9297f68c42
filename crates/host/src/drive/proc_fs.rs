//! What `/proc` says of processes. Every question may find the process gone; that is `None`, never an error.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// No environment longer than this is read; Linux allows 6 MiB for arguments and environment together, and a variable
/// that we have set lies near the beginning.
const MAX_ENVIRON_BYTES: u64 = 256 * 1024;

/// What most files of the kernel's own are shorter than.
const USUAL_BYTES: usize = 4096;
/// What they are all shorter than: a list of a hundred thousand processes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// A line of `/proc/PID/stat`, as far as it is of interest (proc_pid_stat(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Process id.
    pub pid: u32,
    /// `R`, `S`, `D`, `T`, `Z`, …
    pub state: char,
    /// Parent.
    pub ppid: u32,
    /// Process group.
    pub pgrp: u32,
    /// Session.
    pub session: u32,
    /// Start in clock ticks since the machine's start: with the pid it names one process for good.
    pub start_ticks: u64,
    /// CPU time in clock ticks, of itself and of the children that it has waited for.
    pub cpu_ticks: u64,
    /// Resident memory in pages.
    pub rss_pages: u64,
}

impl Stat {
    /// Whether it has ended and only waits for its parent to ask how.
    #[must_use]
    pub fn is_zombie(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

/// The processes that there are.
#[must_use]
pub fn pids() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// A small file of the kernel's own. Their size is unknown to the system, and asking for it would only cost.
pub(super) fn read(path: impl AsRef<Path>) -> Option<String> {
    read_open(fs::File::open(path).ok()?)
}

/// The same of one that is open. What comes in one piece that leaves half of the buffer free is all: the kernel ends a
/// piece early only before a line that does not fit a page.
pub(super) fn read_open(mut file: fs::File) -> Option<String> {
    let mut buffer = [0; USUAL_BYTES];
    let count = retry(|| file.read(&mut buffer)).ok()?;
    let mut bytes = buffer[..count].to_vec();
    if count > USUAL_BYTES / 2 {
        file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).ok()?;
    }
    String::from_utf8(bytes).ok()
}

/// A system call that a signal has interrupted is made again.
fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// State and relations of a process.
#[must_use]
pub fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&read(format!("/proc/{pid}/stat"))?)
}

/// Resident memory of a process, in pages (proc_pid_statm(5)).
#[must_use]
pub fn rss_pages(pid: u32) -> Option<u64> {
    read(format!("/proc/{pid}/statm"))?.split(' ').nth(1)?.parse().ok()
}

fn parse_stat(line: &str) -> Option<Stat> {
    // The name stands in parentheses and may contain anything, parentheses and spaces too.
    let (before, after) = line.rsplit_once(')')?;
    let (pid, _name) = before.split_once('(')?;
    let fields: Vec<&str> = after.split_ascii_whitespace().collect();
    Some(Stat {
        pid: pid.trim().parse().ok()?,
        state: fields.first()?.chars().next()?,
        ppid: fields.get(1)?.parse().ok()?,
        pgrp: fields.get(2)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        start_ticks: fields.get(19)?.parse().ok()?,
        cpu_ticks: fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum(),
        rss_pages: fields.get(21)?.parse().ok()?,
    })
}

/// How a process ended that nobody has reaped yet, as wait(2) encodes it; `None` if it is no zombie, another process
/// has its number, or we may not know. Field 52, from Linux 3.5 on.
#[must_use]
pub fn status_of_zombie(pid: u32, start_ticks: u64) -> Option<i32> {
    use std::os::unix::fs::MetadataExt;
    let path = format!("/proc/{pid}/stat");
    // Others are shown a zero, which would look like a good end.
    let me = rustix::process::geteuid();
    let is_visible = me.is_root() || fs::metadata(&path).is_ok_and(|data| data.uid() == me.as_raw());
    let line = fs::read_to_string(path).ok().filter(|_| is_visible)?;
    let stat = parse_stat(&line)?;
    if stat.state != 'Z' || stat.start_ticks != start_ticks {
        return None;
    }
    line.rsplit_once(')')?.1.split_ascii_whitespace().nth(49)?.parse().ok()
}

/// How long a process has been running, milliseconds.
#[must_use]
pub fn age_ms(start_ticks: u64) -> Option<u64> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    let uptime_s: f64 = text.split(' ').next()?.parse().ok()?;
    let started_s = start_ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    Some(((uptime_s - started_s) * 1000.0).max(0.0) as u64)
}

/// The value that a variable had when the program was started. Only processes of the same user can be asked, and
/// those that set their process title (as Python's OCS agents do) have overwritten it.
#[must_use]
pub fn env_of(pid: u32, name: &str) -> Option<String> {
    let mut bytes = Vec::new();
    fs::File::open(format!("/proc/{pid}/environ"))
        .ok()?
        .take(MAX_ENVIRON_BYTES)
        .read_to_end(&mut bytes)
        .ok()?;
    let value = bytes.split(|byte| *byte == 0).find_map(|entry| {
        let (key, value) = entry.split_at_checked(name.len())?;
        if key == name.as_bytes() { value.strip_prefix(b"=") } else { None }
    })?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// The files to which standard output and standard error go.
#[must_use]
pub fn outputs_of(pid: u32) -> [Option<PathBuf>; 2] {
    [1, 2].map(|fd| fs::read_link(Path::new("/proc").join(format!("{pid}/fd/{fd}"))).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let line = "42 (a) S (b)) R 7 9 8 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 123456 1 2 3";
        let expected = Stat {
            pid: 42,
            state: 'R',
            ppid: 7,
            pgrp: 9,
            session: 8,
            start_ticks: 123_456,
            cpu_ticks: 5 + 6 + 7 + 8,
            rss_pages: 2,
        };
        assert_eq!(parse_stat(line), Some(expected));
        assert_eq!(parse_stat("garbage"), None);
    }

    #[test]
    fn a_zombie_tells_how_it_ended() {
        let mut child = std::process::Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
        let pid = child.id();
        let start_ticks = stat(pid).unwrap().start_ticks;
        campanile_testkit::wait_until(std::time::Duration::from_secs(10), "the zombie", || {
            status_of_zombie(pid, start_ticks) == Some(7 << 8)
        });
        assert_eq!(status_of_zombie(pid, start_ticks + 1), None);
        child.wait().unwrap();
        assert_eq!(status_of_zombie(pid, start_ticks), None);
        let me = stat(std::process::id()).unwrap();
        assert!(age_ms(me.start_ticks).unwrap() < 3_600_000);
    }

    #[test]
    fn this_process_knows_itself() {
        let me = std::process::id();
        assert!(pids().contains(&me));
        assert!(!stat(me).unwrap().is_zombie());
        assert_eq!(env_of(me, "PATH"), std::env::var("PATH").ok());
        assert_eq!(env_of(me, "PAT"), None);
    }

    #[test]
    fn a_process_that_is_not_there_is_no_error() {
        let nobody = u32::MAX - 1;
        assert_eq!((stat(nobody), env_of(nobody, "PATH"), outputs_of(nobody)), (None, None, [None, None]));
    }
}
