//! One launch, from the start of the program to its end.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::adopt::Survivor;
use super::cgroup;
use super::launcher::{Launch, LaunchSpec};
use super::logs::{LogStore, Stream};
use super::proc_fs;
use super::process::{Change, CommandLine, News, Shared};
use super::sweep::{Family, Running};
use super::tree::{self, Leader, Mark};
use crate::model::{Containment, End, Ended, Hold, Key, Spec};

/// How often a process is looked at that cannot be watched.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// One launch, from the program's start to its end; or an earlier manager's from its adoption on.
pub(super) struct Child {
    pub(super) shared: Arc<Shared>,
    pub(super) key: Key,
    pub(super) launch: u32,
    pub(super) spec: Arc<Spec>,
}

/// A program that was started.
struct Started {
    running: Running,
    since_ms: u64,
    output_starts: Option<[u64; 2]>,
    hold: Hold,
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
        self.tell_running(&started).await;
        let how = end_of_child(&started.running.pidfd).await;
        self.has_ended(how, &started).await;
    }

    /// Waits for the end of a program that an earlier manager has started, and tells that it runs and its end.
    pub(super) async fn live_on(self, survivor: Survivor) {
        let now_ms = self.shared.clock.now().mono_ms;
        let age_ms = proc_fs::age_ms(survivor.running.leader.start_ticks).unwrap_or(0);
        let containment = if survivor.group.is_some() { Containment::Cgroup } else { Containment::Group };
        let not_enforced = self.shared.limit(survivor.group.as_deref(), &self.spec);
        let started = Started {
            running: survivor.running,
            since_ms: now_ms.saturating_sub(age_ms),
            output_starts: Some(survivor.output_starts.unwrap_or_default()),
            hold: Hold { containment: Some(containment), not_enforced, adopted: true },
        };
        self.tell_running(&started).await;
        let how = end_of_adopted(&started.running).await;
        self.has_ended(how, &started).await;
    }

    async fn tell_running(&self, started: &Started) {
        let (pid, since_ms, hold) = (started.running.leader.pid, started.since_ms, started.hold.clone());
        self.tell(Change::Running { pid, since_ms, hold }).await;
    }

    async fn has_ended(&self, how: End, started: &Started) {
        self.reap(&started.running, started.hold.adopted);
        self.tell_end(how, Some(started)).await;
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
        let spec = Arc::clone(&self.spec);
        let starting =
            tokio::task::spawn_blocking(move || start_process(&shared, key, launch, &spec, mark, &command));
        starting.await.map_err(|error| format!("starting it failed: {error}"))?
    }

    /// Frees the number of a process that has ended. From here on nothing is sent to it or to its group.
    fn reap(&self, running: &Running, is_adopted: bool) {
        let mut families = self.shared.families.lock();
        if let Some(family) = families.get_mut(&self.key).filter(|family| family.launch == self.launch) {
            family.running = None;
        }
        self.shared.runs.forget(&self.spec.instance_id);
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        if let Err(error) = waitid(WaitId::PidFd(running.pidfd.as_fd()), options)
            && !is_adopted
        {
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
        let (logs, id) = (Arc::clone(&self.shared.logs), self.spec.instance_id.clone());
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
    spec: &Spec,
    mark: Mark,
    line: &CommandLine,
) -> Result<Started, String> {
    let id = &spec.instance_id;
    let program = line.argv.first().ok_or("its command is empty")?.to_string_lossy().into_owned();
    if let Some(cwd) = line.cwd.as_deref().filter(|cwd| !cwd.is_dir()) {
        return Err(format!("its working directory {} does not exist", cwd.display()));
    }
    let group = shared.group_for(id);
    let (files, output_starts) = output_files(&shared.logs, id);
    let [stdout, stderr] = files.map_err(|error| format!("nowhere to put its output: {error}"))?;
    let mut env: BTreeMap<OsString, OsString> =
        line.env.iter().map(|(name, value)| (name.into(), value.into())).collect();
    env.insert(tree::VARIABLE.into(), mark.value(shared.inherited_mark.as_deref()).into());
    let (argv, env) = (line.argv.clone(), env.into_iter().collect());
    let what = LaunchSpec { argv, env, cwd: line.cwd.clone(), stdout, stderr };
    let starting = shared.families.starting.read().map_err(|error| error.to_string())?;
    let waiting = Launch::begin(&shared.launcher, group.as_deref(), &what)
        .map_err(|error| format!("cannot run \"{program}\": {}", without_number(&error.to_string())))?;
    if let Some(why) = &waiting.no_entry {
        tracing::warn!(instance_id = %id, %why, "it cannot have a control group");
    }
    let group = group.filter(|_| waiting.no_entry.is_none());
    let running = match watch(waiting.pid()) {
        Ok(running) => running,
        Err(error) => {
            // One that cannot be watched must not run.
            waiting.cancel();
            return Err(format!("it cannot be watched: {}", without_number(&error.to_string())));
        }
    };
    shared.files.restore_in(running.leader.pid);
    let (leader, launched) = (Some(running.leader), Some(running.clone()));
    let family = Family {
        mark,
        leader,
        running: launched,
        launch,
        count: false,
        foreign: false,
        group: group.clone(),
    };
    shared.families.lock().insert(key, family);
    drop(starting);
    shared.note(spec, launch, &running, output_starts);
    let not_enforced = shared.limit(group.as_deref(), spec);
    if let Err(why) = waiting.go() {
        if let Some(family) = shared.families.lock().get_mut(&key).filter(|family| family.launch == launch) {
            family.running = None;
        }
        shared.runs.forget(id);
        group.iter().for_each(|group| cgroup::remove(group));
        return Err(format!("cannot run \"{program}\": {}", without_number(&why)));
    }
    let containment = if group.is_some() { Containment::Cgroup } else { Containment::Group };
    let hold = Hold { containment: Some(containment), not_enforced, adopted: false };
    Ok(Started { running, since_ms: shared.clock.now().mono_ms, output_starts, hold })
}

/// The files that its output goes into, and where it begins there. An agent is worth more than its output: if the files
/// cannot be had (a full disk) it runs without.
fn output_files(logs: &LogStore, instance_id: &str) -> (io::Result<[File; 2]>, Option<[u64; 2]>) {
    match logs.open_for_launch(instance_id) {
        Ok(opened) => (Ok([opened.stdout, opened.stderr]), Some(opened.starts)),
        Err(error) => {
            tracing::warn!(instance_id, %error, "its output cannot be kept");
            let nowhere = OpenOptions::new().write(true).open("/dev/null");
            (nowhere.and_then(|file| Ok([file.try_clone()?, file])), None)
        }
    }
}

/// Gets a handle of a child that was just started. We are the parent and nobody else reaps it, so the number is this
/// child's until we do.
fn watch(pid: u32) -> io::Result<Running> {
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(rustix::io::Errno::SRCH)?;
    let pidfd = pidfd_open(raw, PidfdFlags::empty())?;
    let start_ticks = proc_fs::stat(pid).map_or(0, |stat| stat.start_ticks);
    Ok(Running { leader: Leader { pid, start_ticks }, pidfd: Arc::new(pidfd) })
}

/// Waits until a child has ended; it is still to be reaped then.
async fn end_of_child(pidfd: &Arc<OwnedFd>) -> End {
    let Some(watched) = watched(pidfd) else { return end_by_polling(pidfd).await };
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

/// Waits until a process has ended that is not our child. Only its parent is told how; for a moment `/proc` tells it
/// everybody, until the parent has asked.
async fn end_of_adopted(running: &Running) -> End {
    let is_readable = match watched(&running.pidfd) {
        Some(watched) => watched.readable().await.is_ok(),
        None => false,
    };
    let Leader { pid, start_ticks } = running.leader;
    while !is_readable
        && proc_fs::stat(pid).is_some_and(|stat| stat.start_ticks == start_ticks && !stat.is_zombie())
    {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    if let Ok(Some(_)) = waitid(WaitId::PidFd(running.pidfd.as_fd()), options) {
        return end_now(&running.pidfd).unwrap_or(End::Unknown);
    }
    match proc_fs::status_of_zombie(pid, start_ticks) {
        Some(status) if status & 0x7f == 0 => End::Code((status >> 8) & 0xff),
        Some(status) => End::Signal { number: status & 0x7f, core: status & 0x80 != 0 },
        None => End::Unknown,
    }
}

fn watched(pidfd: &Arc<OwnedFd>) -> Option<AsyncFd<Arc<OwnedFd>>> {
    #[expect(
        deprecated,
        reason = "its successor is an unsafe function; an Arc<OwnedFd> keeps the file descriptor \
                                   open and the same for as long as the AsyncFd lives, which is all that it asks"
    )]
    let watched = AsyncFd::with_interest(Arc::clone(pidfd), Interest::READABLE);
    watched
        .inspect_err(|error| {
            tracing::error!(%error, "a process cannot be watched by notification, so it is looked at");
        })
        .ok()
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
