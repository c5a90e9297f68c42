//! Starts and stops daemons: those of this machine itself, others through the HostManager of their host.
//!
//! **Expected flow.** A few times a second it is looked which daemons should be started ([`Daemon::start`]), how each
//! is by its connection, and which processes there are; [`plan`] says what is to be done with each.
//!
//! **Guarantees.** A daemon is started only where nothing answers at its port and no process of ours stands for it, so
//! that one that was started by hand is left alone. Processes outlive the manager, also its SIGKILL, and the next one
//! adopts them by their notes: process id and start time. Remote hosts are told a target, never a command. Without a
//! valid session on the store nothing is started or stopped.
//!
//! [`Daemon::start`]: crate::model::Daemon::start

pub mod local;
pub mod plan;
mod remote;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use campanile_control::journal::{NewEvent, kinds};
use campanile_control::{Clock, WorkerHandle};

use crate::conductor::Health;
use crate::manager::Manager;
use crate::model::{Launch, Name, Start};

pub use remote::Bus;

use local::Local;
use plan::Step;
use remote::Remote;

/// How often it is looked.
const EVERY: Duration = Duration::from_millis(100);

/// A daemon that is to be started when it does not run.
struct Wanted {
    start: Arc<Start>,
    health: Health,
}

/// Starts and stops daemons of a cluster.
pub struct Starter {
    manager: Manager,
    clock: Clock,
    local: Local,
    remote: Remote,
    /// Whether a host name is this machine: found out once each.
    here: HashMap<String, bool>,
    states: BTreeMap<Name, plan::Process>,
}

impl Starter {
    /// A starter that keeps its notes and the daemons' output in `dir`. `bus` leads to HostManagers.
    #[must_use]
    pub fn new(manager: Manager, clock: Clock, dir: PathBuf, bus: Option<Bus>) -> Self {
        let remote = Remote::new(bus);
        let local = Local::new(dir);
        Self { manager, clock, local, remote, here: HashMap::new(), states: BTreeMap::new() }
    }

    /// Works for as long as it is not dropped.
    pub async fn run(mut self, worker: WorkerHandle) {
        let now_ms = self.clock.now().mono_ms;
        for (name, pid) in self.local.adopt() {
            self.tell(
                &name,
                kinds::STATE,
                format!("runs since before this manager (pid {pid}); it is adopted"),
            );
            self.states.insert(name, plan::Process::adopted(now_ms));
        }
        loop {
            worker.idle();
            tokio::time::sleep(EVERY).await;
            if self.manager.with(|conductor| conductor.is_hands_off()) {
                continue;
            }
            let wanted = self.wanted();
            if wanted.is_empty() && self.states.is_empty() && self.remote.is_idle() {
                continue;
            }
            worker.busy("looking after the daemons that it starts");
            self.look_after(&wanted, &worker).await;
        }
    }

    fn wanted(&self) -> BTreeMap<Name, Wanted> {
        self.manager.with(|conductor| {
            let daemons = conductor.desired().daemons.iter().enumerate();
            let wanted = daemons.filter_map(|(at, daemon)| {
                let start = Arc::clone(daemon.start.as_ref()?);
                // An aggregator that is no longer configured has to let go of what it collects first.
                if conductor.has_left(at) {
                    return None;
                }
                Some((daemon.name.clone(), Wanted { start, health: conductor.track(at).health.clone() }))
            });
            wanted.collect()
        })
    }

    async fn look_after(&mut self, wanted: &BTreeMap<Name, Wanted>, worker: &WorkerHandle) {
        let now_ms = self.clock.now().mono_ms;
        for name in self.local.ended() {
            if let Some(state) = self.states.get_mut(&name.0) {
                state.has_ended(now_ms);
            }
            self.tell(&name.0, kinds::CRASH, format!("has ended: {}", name.1));
        }
        for (name, entry) in wanted {
            match &*entry.start {
                Start::Local(launch) => {
                    if !self.is_here(&launch.host).await {
                        continue;
                    }
                    let state = self.states.entry(name.clone()).or_default();
                    if plan::plan(true, &entry.health, state, now_ms) == Step::Launch {
                        self.launch(name, launch, now_ms, worker);
                    }
                }
                Start::Instance { manager, instance } => {
                    let leads = self.manager.with(|conductor| conductor.leads());
                    if leads && entry.health == Health::Down {
                        self.remote.up(name, manager, instance, now_ms);
                    }
                }
            }
        }
        let gone: Vec<Name> =
            self.states.keys().filter(|name| !wanted.contains_key(*name)).cloned().collect();
        for name in gone {
            let state = self.states.entry(name.clone()).or_default();
            match plan::plan(false, &Health::Unknown, state, now_ms) {
                Step::Terminate => {
                    state.asked_to_end(now_ms);
                    self.local.terminate(&name);
                    self.tell(&name, kinds::STATE, "is no longer configured: it is told to end".to_owned());
                }
                Step::Kill => self.local.kill(&name),
                Step::Launch | Step::Nothing => {}
            }
            if !self.local.runs(&name) {
                self.states.remove(&name);
            }
        }
        self.remote.down_all_but(wanted.keys(), now_ms);
        for (name, said) in self.remote.said(now_ms) {
            self.report(&name, said, worker);
        }
    }

    fn launch(&mut self, name: &Name, launch: &Launch, now_ms: u64, worker: &WorkerHandle) {
        let state = self.states.entry(name.clone()).or_default();
        match self.local.launch(name, launch) {
            Ok(pid) => {
                state.has_begun(now_ms);
                self.tell(name, kinds::STATE, format!("was started (pid {pid})"));
            }
            Err(error) => {
                state.has_begun(now_ms);
                state.has_ended(now_ms);
                let text = format!("{} cannot be started: {error}", launch.program.display());
                worker.error(&format!("{name}: {text}"));
                self.tell(name, kinds::ERROR, text);
            }
        }
    }

    fn report(&self, name: &Name, said: Result<String, String>, worker: &WorkerHandle) {
        match said {
            Ok(text) => self.tell(name, kinds::STATE, text),
            Err(text) => {
                worker.error(&format!("{name}: {text}"));
                self.tell(name, kinds::ERROR, text);
            }
        }
    }

    fn tell(&self, name: &Name, kind: &'static str, text: String) {
        tracing::info!(daemon = %name, "{text}");
        if let Some(journal) = self.manager.journal() {
            journal.record(NewEvent::new(kind, name.to_string(), text));
        }
    }

    /// Whether a host name or address is this machine. Looking it up may take its time.
    async fn is_here(&mut self, host: &str) -> bool {
        if let Some(here) = self.here.get(host) {
            return *here;
        }
        let name = host.to_owned();
        let here = tokio::task::spawn_blocking(move || local::is_this_machine(&name)).await.unwrap_or(false);
        self.here.insert(host.to_owned(), here);
        here
    }
}
