//! One launch, from the start of the program to its end.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::logs::{LogStore, Stream};
use super::process::{Change, CommandLine, News, Shared};
use super::sweep::{Family, Running};
use super::tree::{self, Leader, Mark};
use crate::model::{End, Ended, Key};

/// How often a process is looked at that cannot be watched.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// One launch, from the program's start to its end.
pub(super) struct Child {
    pub(super) shared: Arc<Shared>,
    pub(super) key: Key,
    pub(super) launch: u32,
    pub(super) instance_id: String,
}

/// A program that was started.
struct Started {
    running: Running,
    since_ms: u64,
    output_starts: Option<[u64; 2]>,
}

impl Child {
    /// Starts the program, waits for its end, and tells both.
    pub(super) async fn live(self, mark: Mark, command: CommandLine) {
        let started = match self.start(mark, command).await {
            Ok(started) => started,
            Err(why) => {
                self.tell_end(End::NotStarted(why), None).await;
                self.tell(Change::Left(0)).await;
                return;
            }
        };
        self.tell(Change::Running { pid: started.running.leader.pid, since_ms: started.since_ms }).await;
        let how = end_of(&started.running.pidfd).await;
        self.reap(&started.running);
        self.tell_end(how, Some(&started)).await;
        // Only now, so that the count cannot be told before the end.
        if let Some(family) = self.shared.families.lock().get_mut(&self.key) {
            family.count |= family.launch == self.launch;
        }
        self.shared.sweep_now.notify_one();
    }

    async fn start(&self, mark: Mark, command: CommandLine) -> Result<Started, String> {
        // The semaphore is never closed, so a permit always comes.
        let _permit = self.shared.launches.acquire().await;
        let (shared, key, launch) = (Arc::clone(&self.shared), self.key, self.launch);
        let instance_id = self.instance_id.clone();
        let starting = tokio::task::spawn_blocking(move || {
            start_process(&shared, key, launch, &instance_id, mark, &command)
        });
        starting.await.map_err(|error| format!("starting it failed: {error}"))?
    }

    /// Frees the number of a process that has ended. From here on nothing is sent to it or to its group.
    fn reap(&self, running: &Running) {
        let mut families = self.shared.families.lock();
        if let Some(family) = families.get_mut(&self.key).filter(|family| family.launch == self.launch) {
            family.running = None;
        }
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        if let Err(error) = waitid(WaitId::PidFd(running.pidfd.as_fd()), options) {
            tracing::warn!(pid = running.leader.pid, %error, "a process that has ended cannot be reaped");
        }
    }

    async fn tell(&self, change: Change) {
        // Nobody listens any more when the manager is about to end.
        let _ = self.shared.news.send(News { key: self.key, launch: self.launch, change }).await;
    }

    async fn tell_end(&self, how: End, started: Option<&Started>) {
        let at_ms = self.shared.clock.now().mono_ms;
        let (stdout_tail, stderr_tail) = match started.and_then(|started| started.output_starts) {
            Some(starts) => self.tails(starts).await,
            None => Default::default(),
        };
        let ran_ms = started.map_or(0, |started| at_ms.saturating_sub(started.since_ms));
        self.tell(Change::Ended(Arc::new(Ended { how, at_ms, ran_ms, stdout_tail, stderr_tail }))).await;
    }

    async fn tails(&self, starts: [u64; 2]) -> (String, String) {
        let _permit = self.shared.tails.acquire().await;
        let (logs, id) = (Arc::clone(&self.shared.logs), self.instance_id.clone());
        let reading = tokio::task::spawn_blocking(move || {
            (logs.tail(&id, Stream::Stdout, starts[0]), logs.tail(&id, Stream::Stderr, starts[1]))
        });
        reading.await.unwrap_or_default()
    }
}

/// Starts the program and enters it into its family. Blocks until it is exec'd or that has failed.
fn start_process(
    shared: &Shared,
    key: Key,
    launch: u32,
    instance_id: &str,
    mark: Mark,
    line: &CommandLine,
) -> Result<Started, String> {
    let (program, arguments) = line.argv.split_first().ok_or("its command is empty")?;
    if let Some(cwd) = line.cwd.as_deref().filter(|cwd| !cwd.is_dir()) {
        return Err(format!("its working directory {} does not exist", cwd.display()));
    }
    let mut command = Command::new(program);
    command.args(arguments).envs(line.env.iter().map(|(name, value)| (name, value)));
    command.env(tree::VARIABLE, mark.value(shared.inherited_mark.as_deref()));
    command.process_group(0).stdin(Stdio::null());
    if let Some(cwd) = &line.cwd {
        command.current_dir(cwd);
    }
    let output_starts = direct_output(&mut command, &shared.logs, instance_id);
    let _starting = shared.families.starting.read().map_err(|error| error.to_string())?;
    let mut child = command.spawn().map_err(|error| {
        format!("cannot run \"{}\": {}", program.to_string_lossy(), without_number(&error.to_string()))
    })?;
    let since_ms = shared.clock.now().mono_ms;
    let running = match watch(child.id()) {
        Ok(running) => running,
        Err(error) => {
            // One that cannot be watched must not run.
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("it cannot be watched: {}", without_number(&error.to_string())));
        }
    };
    shared.files.restore_in(running.leader.pid);
    let (leader, launched) = (Some(running.leader), Some(running.clone()));
    let family = Family { mark, leader, running: launched, launch, count: false, foreign: false };
    shared.families.lock().insert(key, family);
    Ok(Started { running, since_ms, output_starts })
}

/// Directs the output into the instance's files; returns where it begins there. An agent is worth more than its
/// output: if the files cannot be had (a full disk) it runs without.
fn direct_output(command: &mut Command, logs: &LogStore, instance_id: &str) -> Option<[u64; 2]> {
    match logs.open_for_launch(instance_id) {
        Ok(opened) => {
            command.stdout(opened.stdout).stderr(opened.stderr);
            Some(opened.starts)
        }
        Err(error) => {
            tracing::warn!(instance_id, %error, "its output cannot be kept");
            command.stdout(Stdio::null()).stderr(Stdio::null());
            None
        }
    }
}

/// Gets a handle of a child that was just started. We are the parent and nobody else reaps it, so the number is this
/// child's until we do.
fn watch(pid: u32) -> io::Result<Running> {
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(rustix::io::Errno::SRCH)?;
    let pidfd = pidfd_open(raw, PidfdFlags::empty())?;
    let start_ticks = super::proc_fs::stat(pid).map_or(0, |stat| stat.start_ticks);
    Ok(Running { leader: Leader { pid, start_ticks }, pidfd: Arc::new(pidfd) })
}

/// Waits until the process has ended; it is still to be reaped then.
async fn end_of(pidfd: &Arc<OwnedFd>) -> End {
    #[expect(
        deprecated,
        reason = "its successor is an unsafe function; an Arc<OwnedFd> keeps the file descriptor \
                                   open and the same for as long as the AsyncFd lives, which is all that it asks"
    )]
    let watched = AsyncFd::with_interest(Arc::clone(pidfd), Interest::READABLE);
    let watched = match watched {
        Ok(watched) => watched,
        Err(error) => {
            tracing::error!(%error, "a process cannot be watched by notification, so it is looked at");
            return end_by_polling(pidfd).await;
        }
    };
    loop {
        if let Some(how) = end_now(pidfd) {
            return how;
        }
        match watched.readable().await {
            Ok(mut ready) => ready.clear_ready(),
            Err(error) => {
                tracing::error!(%error, "a process cannot be watched by notification, so it is looked at");
                return end_by_polling(pidfd).await;
            }
        }
    }
}

async fn end_by_polling(pidfd: &Arc<OwnedFd>) -> End {
    loop {
        if let Some(how) = end_now(pidfd) {
            return how;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// How the process has ended, if it has.
fn end_now(pidfd: &Arc<OwnedFd>) -> Option<End> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    match waitid(WaitId::PidFd(pidfd.as_fd()), options) {
        Ok(Some(status)) => Some(match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => End::Code(code),
            (None, Some(number)) => End::Signal { number, core: status.dumped() },
            (None, None) => End::Unknown,
        }),
        Ok(None) | Err(rustix::io::Errno::INTR) => None,
        Err(error) => {
            tracing::error!(%error, "the end of a process cannot be asked for");
            Some(End::Unknown)
        }
    }
}

/// Rust appends the number of an error to the system's words, which tells people nothing more.
fn without_number(text: &str) -> &str {
    text.rsplit_once(" (os error").map_or(text, |(words, _number)| words)
}
