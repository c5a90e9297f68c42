//! A program that runs beside a test and ends with it.

use crate::procfs;
use crate::wait::{wait_for, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// Every process of a daemon carries this variable; it is how its descendants are found at the end.
const MARKER: &str = "CAMPANILE_TEST_MARK";

/// How long a SIGKILL may take to be carried out.
const KILL_TIMEOUT: Duration = Duration::from_secs(60);

/// How much of the output is shown when the test fails, in bytes, counted from the end.
const SHOWN_OUTPUT: usize = 16 * 1024;

/// A running program whose standard output and error go to one file. On drop it and everything it started
/// are killed; if the test is failing, the end of the output is printed first.
///
/// What it started is found by a variable in the environment (so those that left its session are found too)
/// and by parenthood, which is looked at before a kill: a program that sets its process title, as Python's
/// agents do, overwrites the environment that `/proc` shows.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    command: Command,
    child: Option<Child>,
    status: Option<ExitStatus>,
    mark: String,
    /// Descendants known from before a kill, with their start times: a pid alone could be another process.
    known: BTreeMap<u32, u64>,
    dir: TempDir,
}

impl Daemon {
    /// Starts `command`. `name` is how it is called in messages. Panics if it cannot be started.
    #[track_caller]
    pub fn spawn(name: &str, mut command: Command) -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let mark = format!("{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        command.env(MARKER, &mark).stdin(Stdio::null());
        let dir = TempDir::new().expect("a directory for the output can be created");
        let name = name.to_owned();
        let mut daemon = Self { name, command, child: None, status: None, mark, known: BTreeMap::new(), dir };
        daemon.launch();
        daemon
    }

    #[track_caller]
    fn launch(&mut self) {
        let log = OpenOptions::new().create(true).append(true).open(self.output_path());
        let log = log.expect("the file for the output can be opened");
        let errors = log.try_clone().expect("the file handle can be duplicated");
        let spawned = self.command.stdout(log).stderr(errors).spawn();
        let child = spawned.unwrap_or_else(|error| panic!("{}: {:?}: {error}", self.name, self.command));
        self.child = Some(child);
        self.status = None;
    }

    /// The process id; of the last run, if it has ended.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// The file that holds standard output and error of all runs.
    pub fn output_path(&self) -> PathBuf {
        self.dir.path().join("output")
    }

    /// All that it printed up to now.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.output_path()).unwrap_or_default()).into_owned()
    }

    /// Waits until the output contains `text`; panics after `timeout`, or at once when the program ended
    /// without having printed it.
    #[track_caller]
    pub fn wait_for_output(&mut self, timeout: Duration, text: &str) {
        let what = format!("{}: output containing {text:?}", self.name);
        wait_until(timeout, &what, || {
            let ended = self.try_wait();
            let found = self.output().contains(text);
            assert!(found || ended.is_none(), "{} ended ({ended:?}) without printing {text:?}", self.name);
            found
        });
    }

    /// The exit status, if it has ended.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            let child = self.child.as_mut()?;
            self.status = child.try_wait().expect("a child can be waited for");
        }
        self.status
    }

    /// Waits for its end; panics after `timeout`.
    #[track_caller]
    pub fn wait(&mut self, timeout: Duration) -> ExitStatus {
        let what = format!("{}: the end of process {}", self.name, self.pid());
        wait_for(timeout, &what, || self.try_wait())
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        self.child.is_some() && self.try_wait().is_none()
    }

    /// Sends a signal to the process alone; nothing happens if it has ended.
    pub fn signal(&mut self, signal: Signal) {
        if self.is_running() {
            assert!(send_signal(self.pid(), signal), "a running child can be signalled");
        }
    }

    /// Asks it to end with SIGTERM and waits for its end; panics after `timeout`.
    #[track_caller]
    pub fn stop(&mut self, timeout: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait(timeout)
    }

    /// Kills the process alone, as `kill -9` does, and waits for its end. What it started lives on until this
    /// value is dropped.
    pub fn kill9(&mut self) {
        self.remember_descendants();
        self.signal(Signal::KILL);
        if self.child.is_some() {
            self.wait(KILL_TIMEOUT);
        }
    }

    /// Starts the same command again after its end; panics if it is still running.
    #[track_caller]
    pub fn restart(&mut self) {
        assert!(!self.is_running(), "{} is still running", self.name);
        self.launch();
    }

    /// The living processes of this daemon, itself included.
    pub fn processes(&mut self) -> Vec<u32> {
        self.remember_descendants();
        let known = self.known.iter();
        let mut alive: BTreeSet<u32> = known
            .filter(|&(&pid, &start)| procfs::is_alive(pid) && procfs::start_time_of(pid) == Some(start))
            .map(|(&pid, _)| pid)
            .collect();
        alive.extend(procfs::pids_with_env(MARKER, &self.mark));
        alive.extend(self.is_running().then(|| self.pid()));
        alive.into_iter().collect()
    }

    fn remember_descendants(&mut self) {
        if self.is_running() {
            for pid in procfs::descendants_of(self.pid()) {
                self.known.extend(procfs::start_time_of(pid).map(|start| (pid, start)));
            }
        }
    }

    /// Kills the process and everything it started, and waits until all are gone.
    pub fn kill_all(&mut self) {
        self.kill9();
        wait_until(KILL_TIMEOUT, &format!("{}: the end of all it started", self.name), || {
            let left = self.processes();
            left.iter().for_each(|&pid| kill(pid));
            left.is_empty()
        });
    }
}

/// SIGKILL to a process that may have ended meanwhile.
fn kill(pid: u32) {
    send_signal(pid, Signal::KILL);
}

/// Sends a signal to one process, and says whether there was one to send it to.
pub fn send_signal(pid: u32, signal: Signal) -> bool {
    Pid::from_raw(pid as i32).is_some_and(|pid| kill_process(pid, signal).is_ok())
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let output = self.output();
            let from = output.ceil_char_boundary(output.len().saturating_sub(SHOWN_OUTPUT));
            let state = self.try_wait().map_or("running".to_owned(), |status| status.to_string());
            eprintln!("---- output of {} ({state}) ----\n{}\n----", self.name, &output[from..]);
            self.kill9();
            self.processes().into_iter().for_each(kill);
        } else {
            self.kill_all();
        }
    }
}

/// Runs `command` to its end with output captured; kills it and everything it started, and panics, after
/// `timeout`.
#[track_caller]
pub fn finish(name: &str, mut command: Command, timeout: Duration) -> crate::CommandOutput {
    let dir = TempDir::new().expect("a directory for the output can be created");
    let open = |file: &str| fs::File::create(dir.path().join(file)).expect("an output file can be created");
    let read = |file: &str| {
        let raw = fs::read(dir.path().join(file)).expect("the output can be read");
        String::from_utf8_lossy(&raw).into_owned()
    };
    command.stdin(Stdio::null()).stdout(open("out")).stderr(open("err"));
    let spawned = command.spawn();
    let mut child = spawned.unwrap_or_else(|error| panic!("{name}: {command:?}: {error}"));
    let deadline = std::time::Instant::now() + timeout;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            break status;
        }
        if std::time::Instant::now() >= deadline {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{name} did not end within {timeout:?}: {command:?}\n{}\n{}", read("out"), read("err"));
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    crate::CommandOutput { status, stdout: read("out"), stderr: read("err") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_daemon_and_a_child_that_left_its_session_end_with_the_value() {
        let mut daemon = Daemon::spawn("runaway", shell("setsid sleep 1000 & echo up; wait"));
        daemon.wait_for_output(SOON, "up");
        wait_until(SOON, "both processes", || {
            daemon.processes().iter().any(|&pid| procfs::command_line_of(pid) == "sleep 1000")
        });
        let pids = daemon.processes();
        assert!(pids.len() >= 2, "{pids:?}");
        drop(daemon);
        assert!(pids.iter().all(|&pid| !procfs::is_alive(pid)));
    }

    #[test]
    fn a_child_whose_environment_cannot_be_read_ends_too_even_after_its_parent_was_killed() {
        let mut daemon = Daemon::spawn("scrubber", shell("env -i sleep 1001 & echo up; wait"));
        daemon.wait_for_output(SOON, "up");
        let child = crate::wait_for(SOON, "the child", || {
            let pids = procfs::descendants_of(daemon.pid());
            pids.into_iter().find(|&pid| procfs::command_line_of(pid) == "sleep 1001")
        });
        daemon.kill9();
        assert!(procfs::is_alive(child));
        drop(daemon);
        assert!(!procfs::is_alive(child));
    }

    #[test]
    fn output_of_all_runs_is_kept_and_a_stopped_daemon_can_be_started_again() {
        let mut daemon = Daemon::spawn("counter", shell("echo run; echo trouble >&2; exec sleep 1000"));
        daemon.wait_for_output(SOON, "trouble");
        let first = daemon.pid();
        assert!(!daemon.stop(SOON).success());
        daemon.restart();
        assert_ne!(daemon.pid(), first);
        wait_until(SOON, "the second run", || daemon.output().matches("run").count() == 2);
    }

    #[test]
    #[should_panic(expected = "without printing \"never\"")]
    fn waiting_for_output_of_a_program_that_ended_fails_at_once() {
        Daemon::spawn("short", shell("exit 3")).wait_for_output(Duration::from_secs(600), "never");
    }

    #[test]
    fn a_command_gives_its_status_and_both_outputs() {
        let output = finish("talker", shell("echo out; echo err >&2; exit 7"), SOON);
        assert_eq!(output.status.code(), Some(7));
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"));
    }
}
