//! What is noted of every run on disk, so that a manager's successor can tell for sure which process it was.
//!
//! One small file per instance, replaced at each launch before the program begins, removed when its end was seen.
//! They are worth nothing after a power cut (nothing runs then), so they are not flushed to the disk.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use campanile_control::state_dir::file_name;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use super::proc_fs;

/// Below the state directory.
pub const DIR: &str = "runs";
/// A file that is longer was not written by us.
const MAX_BYTES: u64 = 64 * 1024;
/// The file system of pidfds from Linux 6.9 on ("PIDF"). On it the inode number names one process for good.
const PIDFS_MAGIC: u64 = 0x5049_4446;
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What is noted of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Whose.
    pub instance_id: String,
    /// Its class.
    pub agent_class: String,
    /// How it is stopped, if the site config has forgotten it: the grace, milliseconds.
    pub grace_ms: u64,
    /// And whether it may be killed.
    pub kill: bool,
    /// Number of the launch.
    pub launch: u32,
    /// The process.
    pub pid: u32,
    /// Its start, see [`proc_fs::Stat::start_ticks`].
    pub start_ticks: u64,
    /// The inode of its pidfd, where the kernel numbers processes so.
    pub pidfd_inode: Option<u64>,
    /// Which run of the machine.
    pub boot_id: String,
    /// What was launched, see [`crate::model::Spec::form`].
    pub form: u64,
    /// Where its output begins, see [`super::logs::Opened::starts`].
    pub output_starts: Option<[u64; 2]>,
}

/// Where runs are noted.
#[derive(Clone, Debug)]
pub struct Runs {
    dir: PathBuf,
    boot_id: String,
}

impl Runs {
    /// In a directory, which is made if it is not there.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(dir: PathBuf) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let boot_id = fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned();
        Ok(Self { dir, boot_id })
    }

    /// This run of the machine.
    #[must_use]
    pub fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// Notes a run.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn note(&self, run: &Run) -> io::Result<()> {
        let (path, fresh) = (self.path(&run.instance_id, "json"), self.path(&run.instance_id, "new"));
        let text = serde_json::to_vec(run).map_err(io::Error::other)?;
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        io::Write::write_all(&mut file, &text)?;
        fs::rename(fresh, path)
    }

    /// Removes what was noted of an instance.
    pub fn forget(&self, instance_id: &str) {
        match fs::remove_file(self.path(instance_id, "json")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::debug!(instance_id, %error, "the note of a run");
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// The runs that were noted since the start of the machine, whether they still run or not.
    #[must_use]
    pub fn noted(&self) -> Vec<Run> {
        let Ok(entries) = fs::read_dir(&self.dir) else { return Vec::new() };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let runs = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
        runs.filter_map(|path| read(&path)).filter(|run| run.boot_id == self.boot_id).collect()
    }

    /// The noted run of an instance, with a handle of its process, if exactly that process still runs.
    #[must_use]
    pub fn alive(&self, instance_id: &str) -> Option<(Run, OwnedFd)> {
        let run = read(&self.path(instance_id, "json"))?;
        if run.instance_id != instance_id || run.boot_id != self.boot_id {
            return None;
        }
        let pidfd = open(run.pid)?;
        // The handle is open, so the number cannot be used again: what is seen now is what the handle means.
        let stat = proc_fs::stat(run.pid)?;
        let is_same = stat.start_ticks == run.start_ticks
            && run.pidfd_inode.is_none_or(|noted| inode(&pidfd).is_none_or(|now| now == noted));
        (is_same && !stat.is_zombie()).then_some((run, pidfd))
    }

    fn path(&self, instance_id: &str, extension: &str) -> PathBuf {
        self.dir.join(Path::new(&format!("{}.{extension}", file_name(instance_id))))
    }
}

fn read(path: &Path) -> Option<Run> {
    if fs::metadata(path).ok()?.len() > MAX_BYTES {
        return None;
    }
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// A handle of a process.
#[must_use]
pub fn open(pid: u32) -> Option<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

/// The inode of a pidfd, where it names a process for good.
#[must_use]
pub fn inode(pidfd: impl AsFd) -> Option<u64> {
    let system = rustix::fs::fstatfs(&pidfd).ok()?;
    let is_pidfs = u64::try_from(system.f_type) == Ok(PIDFS_MAGIC);
    is_pidfs.then(|| rustix::fs::fstat(&pidfd).ok())?.map(|stat| stat.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn run_of(runs: &Runs, pid: u32) -> Run {
        let pidfd = open(pid).unwrap();
        Run {
            instance_id: "a/b".to_owned(),
            agent_class: "A".to_owned(),
            grace_ms: 1,
            kill: true,
            launch: 3,
            pid,
            start_ticks: proc_fs::stat(pid).unwrap().start_ticks,
            pidfd_inode: inode(&pidfd),
            boot_id: runs.boot_id().to_owned(),
            form: 7,
            output_starts: None,
        }
    }

    #[test]
    fn a_noted_run_is_found_as_long_as_exactly_that_process_runs() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Runs::open(dir.path().join(DIR)).unwrap();
        assert!(runs.alive("a/b").is_none(), "nothing was noted");
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let run = run_of(&runs, child.id());
        runs.note(&run).unwrap();
        assert_eq!(runs.alive("a/b").unwrap().0, run);
        for wrong in [
            Run { start_ticks: run.start_ticks + 1, ..run.clone() },
            Run { boot_id: "another".to_owned(), ..run.clone() },
            Run { pidfd_inode: run.pidfd_inode.map(|inode| inode + 1), start_ticks: 0, ..run.clone() },
        ] {
            runs.note(&wrong).unwrap();
            assert!(runs.alive("a/b").is_none(), "{wrong:?}");
        }
        runs.note(&run).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(runs.alive("a/b").is_none(), "it has ended");
        runs.forget("a/b");
        runs.forget("a/b");
        assert_eq!(fs::read_dir(dir.path().join(DIR)).unwrap().count(), 0);
    }

    #[test]
    fn a_zombie_does_not_run() {
        let dir = tempfile::tempdir().unwrap();
        let runs = Runs::open(dir.path().to_owned()).unwrap();
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        runs.note(&run_of(&runs, child.id())).unwrap();
        child.kill().unwrap();
        campanile_testkit::wait_until(std::time::Duration::from_secs(10), "the zombie", || {
            runs.alive("a/b").is_none()
        });
        child.wait().unwrap();
    }
}
