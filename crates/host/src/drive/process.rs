//! Launching, watching and ending the processes of this host.
//!
//! **Guarantees.** Every launch is answered by exactly one [`Change::Running`] followed by one [`Change::Ended`], or by
//! an [`Change::Ended`] alone if the program could not be started; then counts of what is left follow until it is
//! zero. An end is noticed through a pidfd, at once. At most [`PARALLEL_LAUNCHES`] programs are being started at a
//! time, off the event loop, so that a thousand launches, or one on a hung file system, hold up nobody else.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use campanile_control::{Clock, WorkerHandle, Workers};
use campanile_ocs::site_config::Limits;
use rustix::process::{
    Pid, PidfdFlags, Signal, getpid, kill_process_group, pidfd_open, pidfd_send_signal, set_child_subreaper,
};
use tokio::sync::{Notify, Semaphore, mpsc};

use super::adopt::{self, Candidate, Found, Survivor};
use super::cgroup::Groups;
use super::child::Child;
use super::launcher::Launcher;
use super::logs::LogStore;
use super::open_files::OpenFiles;
use super::runs::{self, Run, Runs};
use super::sweep::{self, Families, Family, Running};
use super::tree::{self, Mark, Owner};
use super::usage::{Roster, Runner};
use crate::model::{Ended, Hold, Key, Spec};

/// So many programs are being started at a time. Starting one takes about a millisecond of mostly kernel time.
pub const PARALLEL_LAUNCHES: usize = 4;
/// So many outputs of children that have ended are being read at a time.
const PARALLEL_TAILS: usize = 4;
/// So many walks over all processes of the machine are made at a time.
const PARALLEL_WALKS: usize = 2;
/// News that nobody has taken yet; a child whose news does not fit waits.
pub const MAX_NEWS: usize = 1024;
/// Two sweeps are at least this far apart.
const SWEEP_SPACING: Duration = Duration::from_millis(20);
/// While something is left of an instance it is counted again after this time at the latest.
const SWEEP_AGAIN: Duration = Duration::from_millis(200);
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
        /// How the system holds it.
        hold: Hold,
    },
    /// It does its work.
    Ready,
    /// It has ended, or could not be started.
    Ended(Arc<Ended>),
    /// So many processes are left of it.
    Left(u32),
}

/// What a manager's processes need beside the system.
#[derive(Debug)]
pub struct Means {
    /// Whose processes they are.
    pub owner: Owner,
    /// Where their output goes.
    pub logs: Arc<LogStore>,
    /// Where their runs are noted.
    pub runs: Runs,
    /// What becomes the program.
    pub launcher: Launcher,
    /// The control groups that hold them, or why there are none.
    pub groups: Result<Groups, String>,
}

/// Launches and ends processes. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Processes {
    shared: Arc<Shared>,
}

/// What the launches of a manager share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clock: Clock,
    owner: Owner,
    pub(super) logs: Arc<LogStore>,
    pub(super) runs: Runs,
    pub(super) launcher: Launcher,
    groups: Result<Groups, String>,
    pub(super) families: Families,
    /// What ran when it was last measured, and the number of changes of the families by then.
    roster: Mutex<(u64, Arc<Roster>)>,
    pub(super) files: OpenFiles,
    pub(super) launches: Semaphore,
    /// At most so many threads read what children have printed last.
    pub(super) tails: Semaphore,
    orders: Mutex<Vec<(Key, Order)>>,
    order_now: Notify,
    tree_walks: Arc<Semaphore>,
    pub(super) sweep_now: Notify,
    pub(super) news: mpsc::Sender<News>,
    pub(super) inherited_mark: Option<String>,
}

impl Processes {
    /// Becomes the reaper of this process's descendants and starts the background work. News comes from the receiver.
    ///
    /// # Errors
    /// The system lets us not be a subreaper, or has no pidfds (Linux before 5.3).
    pub fn start(means: Means, clock: Clock, workers: &Workers) -> io::Result<(Self, mpsc::Receiver<News>)> {
        set_child_subreaper(Some(getpid()))?;
        pidfd_open(getpid(), PidfdFlags::empty())?;
        let mut child_signals = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::child())?;
        let (news, receiver) = mpsc::channel(MAX_NEWS);
        let shared = Arc::new(Shared {
            clock,
            owner: means.owner,
            logs: means.logs,
            runs: means.runs,
            launcher: means.launcher,
            groups: means.groups,
            families: Families::default(),
            roster: Mutex::default(),
            files: OpenFiles::raise(),
            launches: Semaphore::new(PARALLEL_LAUNCHES),
            tails: Semaphore::new(PARALLEL_TAILS),
            orders: Mutex::default(),
            order_now: Notify::new(),
            tree_walks: Arc::new(Semaphore::new(PARALLEL_WALKS)),
            sweep_now: Notify::new(),
            news,
            inherited_mark: std::env::var(tree::VARIABLE).ok(),
        });
        tokio::spawn(carry_out_orders(Arc::clone(&shared)));
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

    /// What holds the processes of this manager: control groups, or, for the reason that is given, less.
    ///
    /// # Errors
    /// Why there are no control groups.
    pub fn containment(&self) -> Result<(), &str> {
        self.shared.groups.as_ref().map(|_| ()).map_err(String::as_str)
    }

    /// Looks for what an earlier manager has left running of these instances. Blocks.
    #[must_use]
    pub fn find_survivors(&self, instances: &[(Key, String)]) -> Vec<(Key, Found)> {
        let candidate = |(key, instance_id): &(Key, String)| Candidate {
            key: *key,
            instance_id: instance_id.clone(),
            mark: self.mark(instance_id),
        };
        let candidates: Vec<Candidate> = instances.iter().map(candidate).collect();
        adopt::find(self.shared.owner, &self.shared.runs, &candidates)
    }

    /// The runs that an earlier manager has noted, of whatever instance. Blocks.
    #[must_use]
    pub fn noted_runs(&self) -> Vec<Run> {
        self.shared.runs.noted()
    }

    /// Goes on with a program that an earlier manager has launched.
    pub fn adopt(&self, key: Key, spec: Arc<Spec>, survivor: Survivor) {
        let family = Family {
            mark: self.mark(&spec.instance_id),
            leader: Some(survivor.running.leader),
            running: Some(survivor.running.clone()),
            launch: survivor.launch,
            count: false,
            foreign: true,
            group: survivor.group.clone(),
        };
        self.shared.families.lock().insert(key, family);
        let child = Child { shared: Arc::clone(&self.shared), key, launch: survivor.launch, spec };
        tokio::spawn(child.live_on(survivor));
    }

    /// Tells of an instance of which something was found running before its first launch: it will be counted until it
    /// is gone.
    pub fn found_running(&self, key: Key, instance_id: &str, group: Option<PathBuf>) {
        let mark = self.mark(instance_id);
        let family =
            Family { mark, leader: None, running: None, launch: 0, count: true, foreign: true, group };
        self.shared.families.lock().insert(key, family);
        self.shared.sweep_now.notify_one();
    }

    /// Launches a program for an instance. Returns at once; what comes of it is news.
    pub fn launch(&self, key: Key, launch: u32, spec: &Arc<Spec>, command: CommandLine) {
        let child = Child { shared: Arc::clone(&self.shared), key, launch, spec: Arc::clone(spec) };
        let mark = self.mark(&spec.instance_id);
        tokio::spawn(child.live(mark, command));
    }

    /// Tells that an instance was seen to be ready.
    pub async fn tell_ready(&self, key: Key, launch: u32) {
        // Nobody listens any more when the manager is about to end.
        let _ = self.shared.news.send(News { key, launch, change: Change::Ready }).await;
    }

    /// What runs now, to be measured. The same one again for as long as nothing is launched and nothing ends.
    #[must_use]
    pub fn roster(&self) -> Arc<Roster> {
        let (families, changes) = self.shared.families.look();
        let mut kept = self.shared.roster.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.0 != changes {
            let runs = |(key, family): (&Key, &Family)| {
                let leader = family.running.as_ref()?.leader;
                Some(Runner { key: *key, leader, group: family.group.clone() })
            };
            *kept = (changes, Arc::new(families.iter().filter_map(runs).collect()));
        }
        Arc::clone(&kept.1)
    }

    /// Sets the limits of an instance that runs; returns what is not enforced, and why. Blocks for a moment.
    #[must_use]
    pub fn limit(&self, key: Key, spec: &Spec) -> Vec<String> {
        let group = self.shared.families.look().0.get(&key).and_then(|family| family.group.clone());
        self.shared.limit(group.as_deref(), spec)
    }

    /// Removes what the system keeps for a manager whose instances are all down.
    pub fn tidy(&self) {
        if let Ok(groups) = &self.shared.groups {
            groups.tidy();
        }
    }

    /// SIGINT to the program that was launched; with `whole_group` to its process group, as a terminal's Ctrl-C.
    pub fn interrupt(&self, key: Key, whole_group: bool) {
        let family = self.shared.families.look().0.get(&key).cloned();
        let is_foreign = family.as_ref().is_some_and(|family| family.foreign);
        let Some(Running { leader, pidfd }) = family.and_then(|family| family.running) else { return };
        if is_foreign && whole_group {
            // Somebody else may have reaped it, so the number of its group is looked at more closely.
            return self.order(key, Order::Interrupt);
        }
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
        self.order(key, Order::Terminate);
    }

    /// SIGKILL to everything of an instance, until nothing is left of it.
    pub fn kill(&self, key: Key) {
        self.order(key, Order::Kill);
    }

    /// Forgets an instance.
    pub fn forget(&self, key: Key) {
        self.shared.families.lock().remove(&key);
    }

    fn order(&self, key: Key, order: Order) {
        self.shared.lock_orders().push((key, order));
        self.shared.order_now.notify_one();
    }
}

/// Something to be done to all processes of an instance. Finding them means to look at every process of the machine,
/// so orders that come together are carried out together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Interrupt,
    Terminate,
    Kill,
}

impl Shared {
    /// The control group for the next run of an instance.
    pub(super) fn group_for(&self, instance_id: &str) -> Option<PathBuf> {
        let groups = self.groups.as_ref().ok()?;
        match groups.prepare(instance_id) {
            Ok(group) => Some(group),
            Err(error) => {
                tracing::warn!(instance_id, %error, "it cannot have a control group");
                None
            }
        }
    }

    /// Limits what an instance may use; returns what is not enforced, and why.
    pub(super) fn limit(&self, group: Option<&Path>, spec: &Spec) -> Vec<String> {
        let Limits { memory_bytes, cpu_cores } = spec.limits;
        match (&self.groups, group) {
            (Ok(groups), Some(group)) => groups.limit(group, memory_bytes, cpu_cores),
            _ if spec.limits == Limits::default() => Vec::new(),
            (Ok(_), None) => vec!["it has no control group".to_owned()],
            (Err(why), _) => vec![format!("there are no control groups: {why}")],
        }
    }

    /// Notes a run before its program begins. A program is worth more than the note of it: where that cannot be
    /// written (a full disk) it runs all the same, and is recognised by its mark.
    pub(super) fn note(&self, spec: &Spec, launch: u32, running: &Running, output_starts: Option<[u64; 2]>) {
        let run = Run {
            instance_id: spec.instance_id.clone(),
            agent_class: spec.agent_class.clone(),
            grace_ms: spec.stop.grace_ms,
            kill: spec.stop.kill,
            launch,
            pid: running.leader.pid,
            start_ticks: running.leader.start_ticks,
            pidfd_inode: runs::inode(running.pidfd.as_fd()),
            boot_id: self.runs.boot_id().to_owned(),
            form: spec.form(),
            output_starts,
        };
        if let Err(error) = self.runs.note(&run) {
            tracing::warn!(instance_id = %spec.instance_id, %error, "its run cannot be noted");
            // An older note would be a wrong one.
            self.runs.forget(&spec.instance_id);
        }
    }

    fn lock_orders(&self) -> MutexGuard<'_, Vec<(Key, Order)>> {
        // Orders are pushed and taken whole.
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn carry_out_orders(shared: Arc<Shared>) {
    loop {
        shared.order_now.notified().await;
        // The semaphore is never closed. A kill that hangs leaves room for the orders after it.
        let permit = Arc::clone(&shared.tree_walks).acquire_owned().await;
        let orders = std::mem::take(&mut *shared.lock_orders());
        let shared = Arc::clone(&shared);
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            for order in [Order::Interrupt, Order::Terminate, Order::Kill] {
                carry_out(&shared, order, &orders);
            }
            shared.sweep_now.notify_one();
        });
    }
}

fn carry_out(shared: &Shared, order: Order, orders: &[(Key, Order)]) {
    let wanted: Vec<_> = {
        let (families, _) = shared.families.look();
        let meant = orders.iter().filter(|(_, given)| *given == order);
        meant.filter_map(|(key, _)| families.get(key).map(Family::wanted)).collect()
    };
    if wanted.is_empty() {
        return;
    }
    match order {
        Order::Interrupt => tree::interrupt_groups(&wanted),
        Order::Terminate => {
            tree::signal_all(&wanted, Signal::TERM);
        }
        Order::Kill => {
            let left = tree::kill(&wanted);
            if left > 0 {
                tracing::warn!(left, "processes survive SIGKILL; they hang in the kernel");
            }
        }
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
