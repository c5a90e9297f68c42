//! Control groups, version 2: one for each instance that runs, below one of the manager's own.
//!
//! A control group holds everything that an instance starts, whatever it does to its session, parent or environment.
//! It needs no controllers, so the hybrid layout of systemd (version 2 at `/sys/fs/cgroup/unified`) is as good; limits
//! need them.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};

use campanile_control::state_dir::file_name;

use super::proc_fs;
use super::tree::Owner;

/// The file that lists the processes of a group, and moves one into it.
const PROCS: &str = "cgroup.procs";
/// Control groups below an instance's own are followed no deeper (an agent may keep containers).
const MAX_DEPTH: usize = 8;
/// Of a directory without others in it the kernel counts two links: most groups need no listing.
const LINKS_OF_A_LEAF: u64 = 2;
/// Setting this variable to `0` keeps the manager from using control groups.
pub const SWITCH: &str = "CAMPANILE_CGROUPS";

/// The control group of one manager, with those of its instances in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    /// Where ours is: our own at our start, or the unit's above it.
    home: PathBuf,
    /// Ours, for this manager's instances.
    base: PathBuf,
    /// Whether controllers may be switched on in `home`.
    may_delegate: bool,
}

/// Where version 2 is mounted: the directory, and which part of the hierarchy it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    root: PathBuf,
    point: PathBuf,
}

impl Groups {
    /// Finds out whether instances can have control groups here.
    ///
    /// # Errors
    /// They cannot; says why, in words.
    pub fn find(owner: Owner) -> Result<Self, String> {
        if std::env::var_os(SWITCH).is_some_and(|value| value == "0") {
            return Err(format!("{SWITCH}=0 forbids it"));
        }
        let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
        let own = own_group(&read("/proc/self/cgroup")?).ok_or("there is no cgroup version 2")?;
        let dir = mounts(&read("/proc/self/mountinfo")?)
            .iter()
            .find_map(|mount| Some(mount.point.join(own.strip_prefix(&mount.root).ok()?)))
            .filter(|dir| dir.join(PROCS).exists())
            .ok_or("cgroup version 2 is not mounted")?;
        let (home, may_delegate) = home_of(&dir);
        let base = home.join(format!("campanile-{:016x}", owner.0));
        let refused = |error: io::Error| format!("{}: {error}", home.display());
        // A process may move to where it can write, if it can write to what is common to both places.
        fs::OpenOptions::new().write(true).open(home.join(PROCS)).map_err(refused)?;
        make(&base).map_err(refused)?;
        Ok(Self { home, base, may_delegate })
    }

    /// The group of an instance.
    #[must_use]
    pub fn of(&self, instance_id: &str) -> PathBuf {
        self.base.join(file_name(instance_id))
    }

    /// Makes the group of an instance, if it is not there.
    ///
    /// # Errors
    /// The system refuses (too many groups, a home that is gone).
    pub fn prepare(&self, instance_id: &str) -> io::Result<PathBuf> {
        make(&self.base)?;
        let group = self.of(instance_id);
        make(&group)?;
        Ok(group)
    }

    /// Removes the manager's own group, if nothing of its instances is left.
    pub fn tidy(&self) {
        let _ = fs::remove_dir(&self.base);
    }

    /// Limits a group. Returns what cannot be enforced, and why, in words.
    #[must_use]
    pub fn limit(&self, group: &Path, memory_bytes: Option<u64>, cpu_cores: Option<f64>) -> Vec<String> {
        let memory = memory_bytes.map_or("max".to_owned(), |bytes| bytes.to_string());
        let cpu = cpu_cores.map_or("max".to_owned(), cpu_quota);
        let settings = [
            ("memory", "memory.max", memory, memory_bytes.is_some()),
            ("cpu", "cpu.max", cpu, cpu_cores.is_some()),
        ];
        let mut not_enforced = Vec::new();
        for (controller, file, value, is_set) in settings {
            let path = group.join(file);
            if !is_set && !path.exists() {
                continue;
            }
            let set = self.delegate(controller).and_then(|()| {
                fs::write(&path, &value).map_err(|error| format!("{}: {error}", path.display()))
            });
            if let (Err(why), true) = (set, is_set) {
                not_enforced.push(format!("{controller}: {why}"));
            }
        }
        not_enforced
    }

    /// Switches a controller on for the groups of instances.
    fn delegate(&self, controller: &str) -> Result<(), String> {
        let has = |dir: &Path, file: &str| {
            let list = fs::read_to_string(dir.join(file)).unwrap_or_default();
            list.split_whitespace().any(|word| word == controller)
        };
        if !has(&self.home, "cgroup.controllers") {
            return Err(format!("there is no {controller} controller in cgroup version 2 here"));
        }
        for dir in [&self.home, &self.base] {
            if has(dir, "cgroup.subtree_control") {
                continue;
            }
            if !self.may_delegate && *dir == self.home {
                return Err(
                    "the unit of systemd that this manager runs in needs DelegateSubgroup=manager".to_owned()
                );
            }
            fs::write(dir.join("cgroup.subtree_control"), format!("+{controller}"))
                .map_err(|error| format!("{}: {error}", dir.display()))?;
        }
        Ok(())
    }
}

/// The quota of `cpu.max`: microseconds in each period of a tenth of a second.
fn cpu_quota(cores: f64) -> String {
    // The smallest quota that the kernel takes is a millisecond.
    format!("{} 100000", ((cores * 100_000.0).round() as u64).max(1000))
}

/// Our own group, as `/proc/self/cgroup` names it.
fn own_group(text: &str) -> Option<PathBuf> {
    text.lines().find_map(|line| line.strip_prefix("0::")).map(PathBuf::from)
}

/// The mounts of version 2, see proc_pid_mountinfo(5).
fn mounts(text: &str) -> Vec<Mount> {
    let mount = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        if after.split(' ').next() != Some("cgroup2") {
            return None;
        }
        let mut fields = before.split(' ').skip(3);
        Some(Mount { root: unescaped(fields.next()?), point: unescaped(fields.next()?) })
    };
    text.lines().filter_map(mount).collect()
}

/// Spaces and the like are written as three octal digits.
fn unescaped(text: &str) -> PathBuf {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let digits = after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match digits {
            Some(byte) => out.push(char::from(byte)),
            None => out.push('\\'),
        }
        rest = if digits.is_some() { &after[3..] } else { after };
    }
    out.push_str(rest);
    PathBuf::from(out)
}

/// Where the groups of a manager in the group `own` belong, and whether controllers may be switched on there.
///
/// Controllers cannot be switched on where processes are (save in the root). In a unit with a subgroup of its own for
/// the manager (`DelegateSubgroup=`) the unit's group has none. In one without, they could be had by moving ourselves;
/// but then systemd could not put a restarted manager into the unit while agents of ours go on below it.
fn home_of(own: &Path) -> (PathBuf, bool) {
    let is_unit = |path: &Path| path.extension().is_some_and(|extension| extension == "service");
    match own.parent() {
        Some(unit) if is_unit(unit) => (unit.to_owned(), true),
        _ => (own.to_owned(), !is_unit(own)),
    }
}

fn make(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The processes in a group and the groups below it.
#[must_use]
pub fn members(group: &Path) -> Vec<u32> {
    let mut found = Vec::new();
    walk(group, MAX_DEPTH, &mut |dir| {
        found.extend(pids(&proc_fs::read(dir.join(PROCS)).unwrap_or_default()));
    });
    found
}

fn pids(list: &str) -> Vec<u32> {
    list.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Kills everything in a group (Linux from 5.14 on; `false` where the kernel cannot).
pub fn kill(group: &Path) -> bool {
    fs::write(group.join("cgroup.kill"), "1").is_ok()
}

/// Removes a group in which nothing runs, and what is below it.
pub fn remove(group: &Path) {
    walk(group, MAX_DEPTH, &mut |dir| {
        // One that is not empty stays, and is used again.
        let _ = fs::remove_dir(dir);
    });
}

/// Visits the groups below a group, then itself.
fn walk(group: &Path, depth: usize, visit: &mut impl FnMut(&Path)) {
    if depth > 0
        && fs::metadata(group).is_ok_and(|data| data.nlink() != LINKS_OF_A_LEAF)
        && let Ok(entries) = fs::read_dir(group)
    {
        for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            walk(&entry.path(), depth - 1, visit);
        }
    }
    visit(group);
}

/// The directory in which groups are, opened once for questions about many of them: the way down from the root costs more
/// than the questions.
#[derive(Debug)]
pub struct Parent {
    path: PathBuf,
    dir: OwnedFd,
}

impl Parent {
    /// Opens it.
    ///
    /// # Errors
    /// It is not there, or may not be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { path: path.to_owned(), dir: rustix::fs::open(path, flags, Mode::empty())? })
    }

    /// The processes in the group `name` and the groups below it.
    #[must_use]
    pub fn members(&self, name: &OsStr) -> Vec<u32> {
        match rustix::fs::statat(&self.dir, name, AtFlags::empty()) {
            Ok(stat) if stat.st_nlink == LINKS_OF_A_LEAF => pids(&self.read(name, PROCS).unwrap_or_default()),
            Ok(_) => members(&self.path.join(name)),
            Err(_) => Vec::new(),
        }
    }

    /// The CPU time that the group `name` has used, microseconds, those of its processes that have ended included.
    #[must_use]
    pub fn cpu_us(&self, name: &OsStr) -> Option<u64> {
        let text = self.read(name, "cpu.stat")?;
        text.lines().find_map(|line| line.strip_prefix("usage_usec "))?.trim().parse().ok()
    }

    fn read(&self, name: &OsStr, file: &str) -> Option<String> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.dir, Path::new(name).join(file), flags, Mode::empty()).ok()?;
        proc_fs::read_open(fs::File::from(file))
    }
}

/// The group in which a process is, if it is one of this manager's, at whatever place an earlier one had it.
#[must_use]
pub fn of_process(owner: Owner, pid: u32, instance_id: &str) -> Option<PathBuf> {
    let own = own_group(&fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?)?;
    let tail = PathBuf::from(format!("campanile-{:016x}", owner.0)).join(file_name(instance_id));
    if !own.ends_with(&tail) {
        return None;
    }
    let text = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let dir = |mount: &Mount| Some(mount.point.join(own.strip_prefix(&mount.root).ok()?));
    mounts(&text).iter().find_map(dir).filter(|dir| dir.join(PROCS).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_two_is_found_wherever_it_is_mounted() {
        let hybrid = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
                      35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
        let root = PathBuf::from("/");
        assert_eq!(mounts(hybrid), [Mount { root: root.clone(), point: "/sys/fs/cgroup/unified".into() }]);
        let container = r"9 1 0:38 /docker/ab\040c /mnt/a\040b rw shared:9 - cgroup2 none rw";
        assert_eq!(mounts(container), [Mount { root: "/docker/ab c".into(), point: "/mnt/a b".into() }]);
        let file = "9:name=systemd:/a\n0::/system.slice/hm.service\n";
        assert_eq!(own_group(file), Some("/system.slice/hm.service".into()));
        assert_eq!(own_group("4:memory:/x\n"), None);
    }

    #[test]
    fn groups_of_instances_lie_beside_a_manager_that_has_a_subgroup_of_its_unit() {
        let home = |own: &str| home_of(Path::new(own));
        assert_eq!(home("/c/hm.service/manager"), ("/c/hm.service".into(), true));
        assert_eq!(home("/c/hm.service"), ("/c/hm.service".into(), false));
        assert_eq!(home("/c/session-1.scope"), ("/c/session-1.scope".into(), true));
    }

    #[test]
    fn limits_are_written_where_there_are_controllers_and_told_where_there_are_none() {
        let dir = tempfile::tempdir().unwrap();
        let (home, base) = (dir.path().to_owned(), dir.path().join("campanile"));
        let group = base.join("a");
        fs::create_dir_all(&group).unwrap();
        for (dir, file, text) in [
            (&home, "cgroup.controllers", "memory"),
            (&home, "cgroup.subtree_control", ""),
            (&base, "cgroup.subtree_control", ""),
        ] {
            fs::write(dir.join(file), text).unwrap();
        }
        let groups = Groups { home: home.clone(), base: base.clone(), may_delegate: true };
        let read = |path: PathBuf| fs::read_to_string(path).unwrap();
        let told = groups.limit(&group, Some(1 << 20), Some(0.5));
        assert_eq!(told, ["cpu: there is no cpu controller in cgroup version 2 here"]);
        assert_eq!(read(group.join("memory.max")), "1048576");
        assert_eq!(read(base.join("cgroup.subtree_control")), "+memory");
        fs::write(home.join("cgroup.controllers"), "memory cpu").unwrap();
        assert_eq!(groups.limit(&group, None, Some(1.5)), [""; 0]);
        assert_eq!(read(group.join("memory.max")), "max", "a limit that is gone is lifted");
        assert_eq!(read(group.join("cpu.max")), "150000 100000");
        let unit = Groups { may_delegate: false, ..groups.clone() };
        fs::write(home.join("cgroup.subtree_control"), "").unwrap();
        assert!(unit.limit(&group, Some(1), None)[0].contains("DelegateSubgroup"));
    }
}
