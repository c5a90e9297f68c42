//! Many simulated daemons in one process, on real sockets.
//!
//! Each daemon is a pure [`Daemon`] behind a mutex; each listening port and each connection is a small task. One
//! task for all of them waits for the earliest deadline of any, so an idle daemon costs no wake-ups at all.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::daemon::{ConnId, Daemon, Faults, Input, Options, Output, SetReport};

mod io_tasks;

use io_tasks::Pipe;

/// Why a daemon of a fleet cannot be started or found.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// No daemon of that name.
    #[error("there is no daemon '{0}'")]
    Unknown(String),
    /// There is one already.
    #[error("there is a daemon '{0}' already")]
    Exists(String),
    /// It is not running.
    #[error("the daemon '{0}' is not running")]
    Down(String),
    /// A port cannot be opened.
    #[error("daemon '{name}': port {port} cannot be opened")]
    Port {
        /// The daemon.
        name: String,
        /// The port.
        port: u16,
        /// Why.
        source: io::Error,
    },
}

/// Many simulated daemons. Dropping it ends them all.
#[derive(Debug)]
pub struct Fleet {
    shared: Arc<Shared>,
    timer: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    members: Mutex<HashMap<String, Arc<Member>>>,
    schedule: Mutex<Schedule>,
    /// Wakes the timer task when an earlier deadline has come up.
    earlier: Notify,
    started: Instant,
    started_us: u64,
}

/// Who wants to be woken when.
#[derive(Debug, Default)]
struct Schedule {
    queue: BTreeSet<(u64, u64)>,
    members: HashMap<u64, Weak<Member>>,
}

#[derive(Debug)]
struct Member {
    id: u64,
    /// What it is (re)started with; ports are the ones it has got.
    options: Options,
    state: Mutex<State>,
    hung: watch::Sender<bool>,
    shared: Weak<Shared>,
}

#[derive(Debug, Default)]
struct State {
    /// Absent while the daemon is down.
    daemon: Option<Daemon>,
    /// Counts the lives of the daemon; tasks of an earlier life are ignored.
    life: u64,
    pipes: HashMap<ConnId, Arc<Pipe>>,
    listeners: Vec<AbortHandle>,
    /// Ports the system has chosen before the daemon's start.
    bound: HashMap<u16, std::net::TcpListener>,
    due_us: Option<u64>,
}

/// A poisoned lock means that a test's assertion failed while it held one; the fleet goes on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

static NEXT_MEMBER: AtomicU64 = AtomicU64::new(1);

impl Default for Fleet {
    fn default() -> Self {
        Self::new()
    }
}

impl Fleet {
    /// An empty fleet. Needs a tokio runtime.
    #[must_use]
    pub fn new() -> Self {
        let started_us = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_micros();
        let shared = Arc::new(Shared {
            members: Mutex::default(),
            schedule: Mutex::default(),
            earlier: Notify::new(),
            started: Instant::now(),
            started_us: u64::try_from(started_us).unwrap_or(0),
        });
        let timer = tokio::spawn(run_timer(Arc::downgrade(&shared))).abort_handle();
        Self { shared, timer }
    }

    /// Starts a daemon. Ports given as 0 are chosen by the system. Gives the first port.
    ///
    /// # Errors
    /// When there is one of that name, or no port to be had.
    pub fn start(&self, mut options: Options) -> Result<u16, FleetError> {
        let name = options.name.clone();
        if lock(&self.shared.members).contains_key(&name) {
            return Err(FleetError::Exists(name));
        }
        let mut bound = HashMap::new();
        for listen in &mut options.listen {
            if listen.port == 0 {
                let host = listen.host.as_deref().unwrap_or("127.0.0.1");
                let error = |source| FleetError::Port { name: name.clone(), port: 0, source };
                let listener = std::net::TcpListener::bind((host, 0)).map_err(error)?;
                listener.set_nonblocking(true).map_err(error)?;
                listen.port = listener.local_addr().map_err(error)?.port();
                bound.insert(listen.port, listener);
            }
        }
        let port = options.listen.first().map_or(0, |listen| listen.port);
        let member = Arc::new(Member {
            id: NEXT_MEMBER.fetch_add(1, Ordering::Relaxed),
            options,
            state: Mutex::new(State { bound, ..State::default() }),
            hung: watch::channel(false).0,
            shared: Arc::downgrade(&self.shared),
        });
        lock(&self.shared.schedule).members.insert(member.id, Arc::downgrade(&member));
        lock(&self.shared.members).insert(name, Arc::clone(&member));
        member.revive();
        Ok(port)
    }

    /// The names of all daemons, running or not.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = lock(&self.shared.members).keys().cloned().collect();
        names.sort();
        names
    }

    fn member(&self, name: &str) -> Result<Arc<Member>, FleetError> {
        lock(&self.shared.members).get(name).cloned().ok_or_else(|| FleetError::Unknown(name.to_owned()))
    }

    /// The first port of a daemon.
    ///
    /// # Errors
    /// When there is none of that name; so for all below.
    pub fn port(&self, name: &str) -> Result<u16, FleetError> {
        Ok(self.member(name)?.options.listen.first().map_or(0, |listen| listen.port))
    }

    /// Ends a daemon as a crash does: its connections break, what it knew is lost. Its ports are closed.
    ///
    /// # Errors
    /// See [`Self::port`].
    pub fn crash(&self, name: &str) -> Result<(), FleetError> {
        self.member(name)?.kill();
        Ok(())
    }

    /// Starts a daemon again that has crashed or ended.
    ///
    /// # Errors
    /// When it is running, and see [`Self::port`].
    pub fn restart(&self, name: &str) -> Result<(), FleetError> {
        let member = self.member(name)?;
        if lock(&member.state).daemon.is_some() {
            return Err(FleetError::Exists(name.to_owned()));
        }
        member.hung.send_replace(false);
        member.revive();
        Ok(())
    }

    /// Ends a daemon and forgets it.
    ///
    /// # Errors
    /// See [`Self::port`].
    pub fn remove(&self, name: &str) -> Result<(), FleetError> {
        let member = self.member(name)?;
        member.kill();
        lock(&self.shared.schedule).members.remove(&member.id);
        lock(&self.shared.members).remove(name);
        Ok(())
    }

    /// Stops a daemon as SIGSTOP does: the system still takes connections and bytes for it, but it does nothing.
    ///
    /// # Errors
    /// See [`Self::port`].
    pub fn hang(&self, name: &str) -> Result<(), FleetError> {
        self.member(name)?.hung.send_replace(true);
        Ok(())
    }

    /// Lets a hung daemon go on.
    ///
    /// # Errors
    /// See [`Self::port`].
    pub fn resume(&self, name: &str) -> Result<(), FleetError> {
        let member = self.member(name)?;
        member.hung.send_replace(false);
        member.tick();
        Ok(())
    }

    /// Whether a daemon is running (a hung one is).
    ///
    /// # Errors
    /// See [`Self::port`].
    pub fn is_up(&self, name: &str) -> Result<bool, FleetError> {
        Ok(lock(&self.member(name)?.state).daemon.is_some())
    }

    /// Whether a daemon hangs.
    ///
    /// # Errors
    /// See [`Self::port`].
    pub fn is_hung(&self, name: &str) -> Result<bool, FleetError> {
        Ok(*self.member(name)?.hung.borrow())
    }

    /// Makes a daemon misbehave, or behave again. A restart ends it.
    ///
    /// # Errors
    /// When it is not running, and see [`Self::port`].
    pub fn faults<T>(&self, name: &str, change: impl FnOnce(&mut Faults) -> T) -> Result<T, FleetError> {
        self.with(name, |daemon| change(daemon.faults_mut()))
    }

    /// Looks at a daemon from outside.
    ///
    /// # Errors
    /// When it is not running, and see [`Self::port`].
    pub fn with<T>(&self, name: &str, look: impl FnOnce(&mut Daemon) -> T) -> Result<T, FleetError> {
        let member = self.member(name)?;
        let mut state = lock(&member.state);
        state.daemon.as_mut().map(look).ok_or_else(|| FleetError::Down(name.to_owned()))
    }

    /// The sets a daemon has, with the times of their samples.
    ///
    /// # Errors
    /// When it is not running, and see [`Self::port`].
    pub fn sets(&self, name: &str) -> Result<Vec<SetReport>, FleetError> {
        self.member(name)?.tick();
        self.with(name, |daemon| daemon.sets())
    }

    /// How many of the sets that running daemons sample have, in one of `aggregators`, a sample not older than
    /// `fresh`: collected and all.
    #[must_use]
    pub fn coverage(&self, aggregators: &[&str], fresh: Duration) -> (usize, usize) {
        let now_us = self.shared.now_us();
        let oldest_us = now_us.saturating_sub(u64::try_from(fresh.as_micros()).unwrap_or(u64::MAX));
        let mut seen: BTreeSet<String> = BTreeSet::new();
        for aggregator in aggregators {
            let sets = self.sets(aggregator).unwrap_or_default();
            let fresh = sets.into_iter().filter(|set| !set.own && set.sampled_us >= oldest_us);
            seen.extend(fresh.map(|set| set.name));
        }
        let mut all = BTreeSet::new();
        for name in self.names() {
            let own = self.sets(&name).unwrap_or_default().into_iter().filter(|set| set.own);
            all.extend(own.map(|set| set.name));
        }
        (all.intersection(&seen).count(), all.len())
    }

    /// The time the daemons go by, in microseconds since the epoch.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        self.shared.now_us()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.timer.abort();
        for member in lock(&self.shared.members).values() {
            member.kill();
        }
    }
}

impl Shared {
    fn now_us(&self) -> u64 {
        self.started_us + u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX / 2)
    }
}

/// Wakes daemons whose deadlines have come.
async fn run_timer(shared: Weak<Shared>) {
    loop {
        let Some(strong) = shared.upgrade() else { return };
        let now_us = strong.now_us();
        let mut due = Vec::new();
        let next_us = {
            let mut schedule = lock(&strong.schedule);
            while let Some((at_us, id)) = schedule.queue.first().copied() {
                if at_us > now_us {
                    break;
                }
                schedule.queue.remove(&(at_us, id));
                due.extend(schedule.members.get(&id).and_then(Weak::upgrade));
            }
            schedule.queue.first().map(|(at_us, _)| *at_us)
        };
        if !due.is_empty() {
            for member in due {
                lock(&member.state).due_us = None;
                member.tick();
            }
            continue;
        }
        let wait = Duration::from_micros(next_us.map_or(3_600_000_000, |at_us| at_us.saturating_sub(now_us)));
        let earlier = strong.earlier.notified();
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = earlier => {}
        }
    }
}

impl Member {
    /// Begins a life.
    fn revive(self: &Arc<Self>) {
        let Some(shared) = self.shared.upgrade() else { return };
        {
            let mut state = lock(&self.state);
            state.life += 1;
            state.daemon = Some(Daemon::new(self.options.clone(), shared.now_us()));
        }
        self.tick();
    }

    /// Ends a life.
    fn kill(&self) {
        let mut state = lock(&self.state);
        state.daemon = None;
        state.life += 1;
        for listener in state.listeners.drain(..) {
            listener.abort();
        }
        for (_, pipe) in state.pipes.drain() {
            pipe.cut();
        }
    }

    /// Does what is due; a hung daemon does not.
    fn tick(self: &Arc<Self>) {
        if !*self.hung.borrow() {
            self.act(None, |daemon, now_us| daemon.tick(now_us));
        }
    }

    fn handle(self: &Arc<Self>, life: u64, input: Input<'_>) {
        self.act(Some(life), |daemon, now_us| daemon.handle(input, now_us));
    }

    /// Lets the daemon do something, and does what it wants done then.
    fn act<T>(self: &Arc<Self>, life: Option<u64>, act: impl FnOnce(&mut Daemon, u64) -> T) -> Option<T> {
        let shared = self.shared.upgrade()?;
        let mut state = lock(&self.state);
        if life.is_some_and(|life| life != state.life) {
            return None;
        }
        let life = state.life;
        let daemon = state.daemon.as_mut()?;
        let result = act(daemon, shared.now_us());
        let mut outputs = Vec::new();
        while let Some(output) = daemon.next_output() {
            outputs.push(output);
        }
        let due_us = daemon.next_deadline_us();
        let mut over = false;
        for output in outputs {
            over |= output == Output::Exit;
            self.perform(&mut state, life, output);
        }
        if due_us != state.due_us {
            let old_us = std::mem::replace(&mut state.due_us, due_us);
            let mut schedule = lock(&shared.schedule);
            if let Some(old_us) = old_us {
                schedule.queue.remove(&(old_us, self.id));
            }
            if let Some(at_us) = due_us {
                schedule.queue.insert((at_us, self.id));
                if schedule.queue.first() == Some(&(at_us, self.id)) {
                    shared.earlier.notify_one();
                }
            }
        }
        drop(state);
        if over {
            // What is left to send leaves first; then it is gone.
            let member = Arc::clone(self);
            tokio::spawn(async move {
                tokio::time::sleep(EXIT_DELAY).await;
                if lock(&member.state).life == life {
                    member.kill();
                }
            });
        }
        Some(result)
    }
}

/// How long a daemon that was asked to end takes for it.
const EXIT_DELAY: Duration = Duration::from_millis(10);

/// Where a listener takes its connections from.
fn local_of(address: io::Result<SocketAddr>, port: u16) -> SocketAddr {
    address.unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], port)))
}

/// A flag that a task looks at.
type Flag = AtomicBool;
