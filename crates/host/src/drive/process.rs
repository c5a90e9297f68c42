//! Launching, watching and ending the processes of this host.
//!
//! **Guarantees.** Every launch is answered by exactly one [`Change::Running`] followed by one [`Change::Ended`], or by
//! an [`Change::Ended`] alone if the program could not be started; then counts of what is left follow until it is
//! zero. An end is noticed through a pidfd, at once. At most [`PARALLEL_LAUNCHES`] programs are being started at a
//! time, off the event loop, so that a thousand launches, or one on a hung file system, hold up nobody else.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use campanile_control::{Clock, WorkerHandle, Workers};
use rustix::process::{
    Pid, PidfdFlags, Signal, getpid, kill_process_group, pidfd_open, pidfd_send_signal, set_child_subreaper,
};
use tokio::sync::{Notify, Semaphore, mpsc};

use super::child::Child;
use super::logs::LogStore;
use super::open_files::OpenFiles;
use super::sweep::{self, Families, Family, Running};
use super::tree::{self, Mark, Owner};
use crate::model::{Ended, Key};

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

/// What the launches of a manager share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clock: Clock,
    owner: Owner,
    pub(super) logs: Arc<LogStore>,
    pub(super) families: Families,
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
    Terminate,
    Kill,
}

impl Shared {
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
            for order in [Order::Terminate, Order::Kill] {
                carry_out(&shared, order, &orders);
            }
            shared.sweep_now.notify_one();
        });
    }
}

fn carry_out(shared: &Shared, order: Order, orders: &[(Key, Order)]) {
    let wanted: Vec<_> = {
        let families = shared.families.lock();
        let meant = orders.iter().filter(|(_, given)| *given == order);
        meant.filter_map(|(key, _)| families.get(key).map(Family::wanted)).collect()
    };
    if wanted.is_empty() {
        return;
    }
    match order {
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
