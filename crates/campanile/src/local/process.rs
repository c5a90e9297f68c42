//! A process that goes on when this program has ended: started in a group of its own, remembered in a file, ended by
//! its id.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use campanile_control::atomic_file;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

/// How often a process is looked at that was told to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a killed process may take to be gone.
const KILL_GRACE: Duration = Duration::from_secs(5);

/// Starts a program that no Ctrl-C and no end of this terminal reaches. Its stderr goes to `log`, which begins anew,
/// its stdout nowhere.
pub(crate) fn start(command: &mut Command, log: &Path) -> io::Result<Child> {
    let log = File::create(log)?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0).spawn()
}

/// A process, told from others that may have its id later by the time it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) pid: u32,
    /// Clock ticks since the machine started (proc_pid_stat(5), field 22).
    started: u64,
}

impl Identity {
    /// The living process of that id; `None` for one that has ended, also when nobody has taken note of it yet.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name may hold blanks and parentheses; what follows its last parenthesis does not.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let alive = !matches!(*fields.first()?, "Z" | "X");
        alive.then_some(Self { pid, started: fields.get(19)?.parse().ok()? })
    }

    /// What the file remembers, if that process still lives.
    pub(crate) fn remembered(file: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(file).ok()?;
        let (pid, started) = text.trim().split_once(' ')?;
        let remembered = Self { pid: pid.parse().ok()?, started: started.parse().ok()? };
        remembered.is_alive().then_some(remembered)
    }

    /// Writes it to the file.
    pub(crate) fn remember(self, file: &Path) -> io::Result<()> {
        atomic_file::replace(file, format!("{} {}\n", self.pid, self.started).as_bytes())
    }

    pub(crate) fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// SIGTERM, and SIGKILL after the grace; says whether it is gone.
    pub(crate) async fn end(self, grace: Duration) -> bool {
        self.signal(Signal::TERM);
        if self.gone_within(grace).await {
            return true;
        }
        self.signal(Signal::KILL);
        self.gone_within(KILL_GRACE).await
    }

    fn signal(self, signal: Signal) {
        if let (true, Some(pid)) = (self.is_alive(), i32::try_from(self.pid).ok().and_then(Pid::from_raw)) {
            // It may have ended this very moment.
            let _ = kill_process(pid, signal);
        }
    }

    pub(crate) async fn gone_within(self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        while self.is_alive() {
            if Instant::now() >= deadline {
                return false;
            }
            sleep(LOOK_EVERY).await;
        }
        true
    }
}

/// The last lines of a log, for the message about a program that did not come up.
pub(crate) fn last_lines(log: &Path, count: usize) -> String {
    let text =
        std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].iter().map(|line| format!("\n  {line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_is_remembered_and_another_one_with_its_id_is_not_taken_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let mut child = start(Command::new("sleep").arg("1000"), &dir.path().join("log")).unwrap();
        let identity = Identity::of(child.id()).unwrap();
        identity.remember(&file).unwrap();
        assert_eq!(Identity::remembered(&file), Some(identity));
        Identity { started: identity.started + 1, ..identity }.remember(&file).unwrap();
        assert_eq!(Identity::remembered(&file), None);
        assert!(
            !Identity { started: 0, ..identity }.end(Duration::from_secs(10)).await || identity.is_alive()
        );
        assert!(identity.end(Duration::from_secs(10)).await);
        assert_eq!(Identity::of(child.id()), None, "a zombie does not live");
        child.wait().unwrap();
    }

    #[tokio::test]
    async fn one_that_ignores_sigterm_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; echo ready >&2; while :; do sleep 0.1; done"]);
        let mut child = start(&mut command, &log).unwrap();
        while !last_lines(&log, 1).contains("ready") {
            sleep(LOOK_EVERY).await;
        }
        assert!(Identity::of(child.id()).unwrap().end(Duration::from_millis(200)).await);
        child.wait().unwrap();
    }
}
