//! Launching, watching and ending the processes of this host.
//!
//! **Guarantees.** Every launch is answered by exactly one [`Change::Running`] followed by one [`Change::Ended`], or by
//! an [`Change::Ended`] alone if the program could not be started; then counts of what is left follow until it is
//! zero. An end is noticed through a pidfd, at once. At most [`PARALLEL_LAUNCHES`] programs are being started at a
//! time, off the event loop, so that a thousand launches, or one on a hung file system, hold up nobody else.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use campanile_control::{Clock, WorkerHandle, Workers};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getpid, kill_process_group, pidfd_open,
    pidfd_send_signal, set_child_subreaper, waitid,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, Semaphore, mpsc};

use super::logs::{LogStore, Stream};
use super::open_files::OpenFiles;
use super::sweep::{self, Families, Family, Running};
use super::tree::{self, Leader, Mark, Owner};
use crate::model::{End, Ended, Key};

/// So many programs are being started at a time. Starting one takes about a millisecond of mostly kernel time.
pub const PARALLEL_LAUNCHES: usize = 4;
/// News that nobody has taken yet; a child whose news does not fit waits.
pub const MAX_NEWS: usize = 1024;
/// Two sweeps are at least this far apart.
const SWEEP_SPACING: Duration = Duration::from_millis(20);
/// While something is left of an instance it is counted again after this time at the latest.
const SWEEP_AGAIN: Duration = Duration::from_millis(200);
/// How often a process is looked at that cannot be watched.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Orphans that have ended may wait this long to be reaped, so that a burst of them costs one sweep.
const REAP_DELAY: Duration = Duration::from_secs(1);

/// How to run a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// The program, looked up on PATH if it has no slash, and its arguments. Never empty.
    pub argv: Vec<OsString>,
    /// Added to the manager's own environment.
    pub env: Vec<(String, String)>,
    /// Working directory; the manager's own if absent.
    pub cwd: Option<PathBuf>,
}

/// Something that was seen of an instance.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    /// Which instance.
    pub key: Key,
    /// The launch that it is about.
    pub launch: u32,
    /// What was seen.
    pub change: Change,
}

/// What was seen.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It runs.
    Running {
        /// Its process id.
        pid: u32,
        /// When it was started, monotonic milliseconds.
        since_ms: u64,
    },
    /// It has ended, or could not be started.
    Ended(Arc<Ended>),
    /// So many processes are left of it.
    Left(u32),
}

/// Launches and ends processes. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Processes {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    owner: Owner,
    logs: Arc<LogStore>,
    families: Families,
    files: OpenFiles,
    launches: Semaphore,
    sweep_now: Notify,
    news: mpsc::Sender<News>,
    inherited_mark: Option<String>,
}

impl Processes {
    /// Becomes the reaper of this process's descendants and starts the background work. News comes from the receiver.
    ///
    /// # Errors
    /// The system lets us not be a subreaper, or has no pidfds (Linux before 5.3).
    pub fn start(
        owner: Owner,
        logs: Arc<LogStore>,
        clock: Clock,
        workers: &Workers,
    ) -> io::Result<(Self, mpsc::Receiver<News>)> {
        set_child_subreaper(Some(getpid()))?;
        pidfd_open(getpid(), PidfdFlags::empty())?;
        let mut child_signals = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::child())?;
        let (news, receiver) = mpsc::channel(MAX_NEWS);
        let shared = Arc::new(Shared {
            clock,
            owner,
            logs,
            families: Families::default(),
            files: OpenFiles::raise(),
            launches: Semaphore::new(PARALLEL_LAUNCHES),
            sweep_now: Notify::new(),
            news,
            inherited_mark: std::env::var(tree::VARIABLE).ok(),
        });
        let worker = workers.register("sweep");
        let sweeper = Arc::clone(&shared);
        tokio::spawn(async move {
            let mut pause = REAP_DELAY;
            loop {
                // Something asks for a sweep now, or a child has ended that may be an orphan.
                tokio::select! {
                    () = sweeper.sweep_now.notified() => {}
                    Some(()) = child_signals.recv() => {
                        let at_once = sweeper.sweep_now.notified();
                        let _ = tokio::time::timeout(pause, at_once).await;
                    }
                    () = tokio::time::sleep(pause), if pause < REAP_DELAY => {}
                }
                pause = sweep_once(&sweeper, &worker).await;
                tokio::time::sleep(SWEEP_SPACING).await;
            }
        });
        Ok((Self { shared }, receiver))
    }

    /// How the processes of an instance are recognised.
    #[must_use]
    pub fn mark(&self, instance_id: &str) -> Mark {
        Mark::new(self.shared.owner, instance_id, self.shared.logs.paths(instance_id))
    }

    /// Tells of an instance that has been found running before its first launch: it will be counted until it is gone.
    pub fn found_running(&self, key: Key, instance_id: &str) {
        let mark = self.mark(instance_id);
        let family = Family { mark, leader: None, running: None, launch: 0, count: true, foreign: true };
        self.shared.families.lock().insert(key, family);
        self.shared.sweep_now.notify_one();
    }

    /// Launches a program for an instance. Returns at once; what comes of it is news.
    pub fn launch(&self, key: Key, launch: u32, instance_id: &str, command: CommandLine) {
        let shared = Arc::clone(&self.shared);
        let (mark, instance_id) = (self.mark(instance_id), instance_id.to_owned());
        tokio::spawn(async move {
            let child = Child { shared, key, launch, instance_id };
            child.live(mark, command).await;
        });
    }

    /// SIGINT to the program that was launched; with `whole_group` to its process group, as a terminal's Ctrl-C.
    pub fn interrupt(&self, key: Key, whole_group: bool) {
        let running = self.shared.families.lock().get(&key).and_then(|family| family.running.clone());
        let Some(Running { leader, pidfd }) = running else { return };
        let pid = i32::try_from(leader.pid).ok().and_then(Pid::from_raw);
        // The leader is not reaped while its handle is in the map, so its number still means its own group.
        let sent = match pid.filter(|_| whole_group) {
            Some(pid) => kill_process_group(pid, Signal::INT),
            None => pidfd_send_signal(&pidfd, Signal::INT),
        };
        if let Err(error) = sent {
            tracing::debug!(pid = leader.pid, %error, "SIGINT");
        }
    }

    /// SIGTERM to everything of an instance.
    pub fn terminate(&self, key: Key) {
        self.on_tree(key, |mark, leader| {
            tree::signal_all(mark, leader, Signal::TERM);
        });
    }

    /// SIGKILL to everything of an instance, until nothing is left of it.
    pub fn kill(&self, key: Key) {
        self.on_tree(key, |mark, leader| {
            let left = tree::kill(mark, leader);
            if left > 0 {
                tracing::warn!(left, "processes survive SIGKILL; they hang in the kernel");
            }
        });
    }

    /// Forgets an instance.
    pub fn forget(&self, key: Key) {
        self.shared.families.lock().remove(&key);
    }

    fn on_tree(&self, key: Key, what: impl FnOnce(&Mark, Option<Leader>) + Send + 'static) {
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || {
            let family = shared.families.lock().get(&key).cloned();
            let Some(family) = family else { return };
            what(&family.mark, family.leader);
            shared.sweep_now.notify_one();
        });
    }
}

/// One sweep; returns how long to wait at most until the next.
async fn sweep_once(shared: &Arc<Shared>, worker: &WorkerHandle) -> Duration {
    worker.busy("looking for what children left");
    let sweeping = Arc::clone(shared);
    let found = match tokio::task::spawn_blocking(move || sweep::sweep(&sweeping.families)).await {
        Ok(found) => found,
        Err(error) => {
            worker.error(&error.to_string());
            return SWEEP_AGAIN;
        }
    };
    let mut again = found.again;
    for (key, launch, left) in found.left {
        again |= left > 0;
        if left == 0
            && let Some(family) =
                shared.families.lock().get_mut(&key).filter(|family| family.launch == launch)
        {
            family.count = false;
            family.foreign = false;
        }
        let news = News { key, launch, change: Change::Left(left) };
        if shared.news.send(news).await.is_err() {
            break;
        }
    }
    worker.idle();
    if again { SWEEP_AGAIN } else { REAP_DELAY }
}

/// One launch, from the program's start to its end.
struct Child {
    shared: Arc<Shared>,
    key: Key,
    launch: u32,
    instance_id: String,
}

/// A program that was started.
struct Started {
    running: Running,
    since_ms: u64,
    output_starts: Option<[u64; 2]>,
}

impl Child {
    async fn live(self, mark: Mark, command: CommandLine) {
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
