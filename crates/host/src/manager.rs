//! The loop: what is asked for and what is observed goes into the table, what the plan decides comes out of it.
//!
//! **Expected flow.** The process `manager` waits for news of processes, for requests, and for the time that the plan
//! has named; then it decides about the instances concerned and carries the decisions out. Nothing is polled.
//!
//! **Guarantees.** The table is locked only to read or change it, never while anything is done or waited for. What
//! goes wrong with one instance, the site config, Python or the disk is told, and stops nothing else.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use campanile_control::{Clock, Journal, Workers};
use campanile_ocs::agent::{Agent, OpContext};
use campanile_ocs::site_config::Probe;
use campanile_yaml::Diagnostics;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::AbortHandle;

use crate::act::{act, command_line};
use crate::chronicle;
use crate::config::{self, Classes, LaunchContext};
use crate::drive::docker::Dockers;
use crate::drive::process::{Change, News, Processes};
use crate::drive::ready;
use crate::model::{Hold, Key, Process, Spec, Target};
use crate::plan::Action;
use crate::reload::{Wanted, reload};
use crate::report;
use crate::requests::{self, Request};
use crate::table::Table;
use crate::targets::{TargetFile, Targets};
use crate::watch::Measured;

/// The key of the site config in `config_parse_status`.
const SITE_CONFIG: &str = "[SCF]";
/// A process that was just started takes requests after this time at the latest, or is not waited for any longer.
const START_PATIENCE: Duration = Duration::from_secs(10);
/// News that is taken in at once.
const NEWS_BATCH: usize = 256;

/// What a reading of the site config gives.
#[derive(Clone, Debug)]
pub struct Config {
    /// What this host should run.
    pub wanted: Vec<Wanted>,
    /// What is to be told to people about it.
    pub messages: Vec<String>,
    /// What plugin agents are told at their launch.
    pub launch: LaunchContext,
}

/// Reads the site config. Blocks; called from threads that may.
pub type ReadConfig = Arc<dyn Fn() -> Result<Config, Diagnostics> + Send + Sync>;

/// The manager of one host. Cheap to clone; clones are the same manager.
#[derive(Clone)]
pub struct Manager {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) workers: Workers,
    pub(crate) processes: Processes,
    pub(crate) read_config: ReadConfig,
    pub(crate) targets: TargetFile,
    /// Docker, if compose files are managed.
    pub(crate) docker: OnceLock<Dockers>,
    state: Mutex<State>,
    news: Mutex<Option<mpsc::Receiver<News>>>,
    /// Something was changed in the table: decide about all instances.
    pub(crate) changed: Notify,
    /// Somebody wants to know what instances use.
    pub(crate) measure_now: Notify,
    /// A measurement has been entered; the recorder waits for it.
    pub(crate) measured: Notify,
    /// Held while the targets are written, so that the newest are written last.
    pub(crate) writing_targets: tokio::sync::Mutex<()>,
    /// The targets could not be written, and will be tried again.
    pub(crate) writing_again: AtomicBool,
    running: watch::Sender<bool>,
    /// The end of the process leaves everything running, for another manager.
    handing_over: AtomicBool,
    /// The program is about to end: nothing is launched any more.
    ending: AtomicBool,
    pub(crate) journal: OnceLock<Journal>,
    started: watch::Sender<bool>,
}

/// What the manager knows.
pub(crate) struct State {
    pub(crate) table: Table,
    pub(crate) launch: Arc<LaunchContext>,
    pub(crate) classes: Classes,
    /// Counts the questions for the classes, so that a late answer to an old one is not taken for the last word.
    pub(crate) classes_asked: u64,
    config_status: (bool, f64, String),
    /// Who looks whether an instance is ready.
    probes: HashMap<Key, AbortHandle>,
    pub(crate) measured: Measured,
    /// What does not work of what the manager needs, since when (Unix seconds), in words.
    pub(crate) problems: BTreeMap<&'static str, (f64, String)>,
    /// Those of them that are not in the journal yet.
    pub(crate) new_problems: Vec<String>,
    /// Messages that came up while no operation was at hand to tell them.
    pub(crate) untold: Vec<String>,
}

/// How the targets of the first start are found.
#[derive(Clone, Debug)]
pub struct FirstStart {
    /// Targets that were kept over an end that was not orderly.
    pub kept: Option<Targets>,
    /// What `--initial-state` asks for; not heeded when targets were kept.
    pub initial_state: Option<Target>,
}

impl Manager {
    /// A manager that does nothing until its process is run. `config` is the site config as it was read at the start.
    #[must_use]
    pub fn new(
        (processes, news): (Processes, mpsc::Receiver<News>),
        clock: Clock,
        workers: Workers,
        targets: TargetFile,
        read_config: ReadConfig,
        config: Config,
    ) -> Self {
        let now = clock.now();
        let mut state = State {
            table: Table::default(),
            launch: Arc::new(config.launch.clone()),
            classes: Classes::Unknown,
            classes_asked: 0,
            config_status: (true, now.unix_s, String::new()),
            probes: HashMap::new(),
            measured: Measured::default(),
            problems: BTreeMap::new(),
            new_problems: Vec::new(),
            untold: Vec::new(),
        };
        state.untold = state.take_config(config, now);
        let shared = Shared {
            clock,
            workers,
            processes,
            read_config,
            targets,
            docker: OnceLock::new(),
            state: Mutex::new(state),
            news: Mutex::new(Some(news)),
            changed: Notify::new(),
            measure_now: Notify::new(),
            measured: Notify::new(),
            writing_targets: tokio::sync::Mutex::new(()),
            writing_again: AtomicBool::new(false),
            running: watch::Sender::new(false),
            handing_over: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            journal: OnceLock::new(),
            started: watch::Sender::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Sets the targets for the first start, and finds what an earlier manager has left. Before anything is launched.
    pub async fn prepare(&self, first: FirstStart) {
        {
            let mut state = self.lock();
            let mut untold = match (&first.kept, first.initial_state) {
                (Some(kept), _) => kept.apply(&mut state.table),
                (None, Some(target)) => {
                    let all = Request { whom: requests::ALL.to_owned(), state: target.name().to_owned() };
                    requests::apply(&mut state.table, &[all])
                }
                (None, None) => Vec::new(),
            };
            state.untold.append(&mut untold);
        }
        self.adopt_survivors(first.kept.is_none()).await;
        self.ask_classes();
        tokio::spawn(self.clone().measure());
    }

    /// Whether the process `manager` has ever begun to run.
    #[must_use]
    pub fn was_started(&self) -> bool {
        *self.shared.started.borrow()
    }

    /// Whether the process `manager` runs and takes requests.
    #[must_use]
    pub fn is_running(&self) -> bool {
        *self.shared.running.borrow()
    }

    /// Whether the process `manager` runs; one that was just started is waited for, since its clients see it as running
    /// a moment before it takes requests.
    pub(crate) async fn comes_to_run(&self, agent: &Agent) -> bool {
        let mut running = self.shared.running.subscribe();
        if self.is_running() {
            return true;
        }
        let is_starting = || {
            let status = &agent.status("manager")[2]["status"];
            status == "starting" || status == "running"
        };
        if is_starting() {
            let _ = tokio::time::timeout(START_PATIENCE, running.wait_for(|running| *running)).await;
        }
        self.is_running()
    }

    /// From now on nothing is launched any more: the next end of the process `manager` is the last, and a run that
    /// begins now does nothing but end what there is.
    pub fn begin_to_end(&self) {
        self.shared.ending.store(true, Ordering::Release);
    }

    /// From now on the end of the process `manager` leaves everything running, for another manager to adopt.
    pub fn hand_over(&self) {
        self.shared.handing_over.store(true, Ordering::Release);
    }

    /// The longest time that an orderly stop of all instances may take, milliseconds.
    #[must_use]
    pub fn longest_grace_ms(&self) -> u64 {
        self.lock().table.iter().map(|entry| entry.instance.spec.stop.grace_ms).max().unwrap_or(0)
    }

    /// The answer to `{address}.plan`.
    #[must_use]
    pub fn plan(&self) -> Value {
        report::plan(&self.lock().table, self.shared.clock.now())
    }

    /// Whether an instance of that id is tracked.
    #[must_use]
    pub fn knows(&self, instance_id: &str) -> bool {
        self.lock().table.find(instance_id).is_some()
    }

    /// The data of the process `manager`, see the OCS documentation, HostManager agent.
    #[must_use]
    pub fn data(&self) -> Value {
        let state = self.lock();
        self.wants_usage(&state);
        let (ok, at_s, message) = &state.config_status;
        let mut data = json!({
            "child_states": report::child_states(&state.table, self.shared.clock.now()),
            "config_parse_status": { SITE_CONFIG: [ok, at_s, message] },
            "orphans": {},
            "new_tags": {},
            "problems": Self::problems(&state),
            "containment": match self.shared.processes.containment() {
                Ok(()) => json!({"kind": "cgroup", "reason": null}),
                Err(why) => json!({"kind": "group", "reason": why}),
            },
        });
        self.add_docker_data(&state, &mut data);
        data
    }

    /// The process `manager`: keeps all instances at their targets until it is asked to stop; then ends them all.
    ///
    /// # Errors
    /// In words for the client: the parameters make no sense.
    pub async fn run(&self, context: &OpContext, params: &Value) -> Result<String, String> {
        let requests = requests::parse(&params["requests"])?;
        let Some(mut news) = self.take_news() else {
            return Err("the last run of this process has not let go yet".to_owned());
        };
        let data_of = self.clone();
        context.set_data_provider(Arc::new(move || data_of.data()));
        // At the first start the site config was just read, and targets may have been kept.
        let is_first = !self.shared.started.send_replace(true);
        let is_last = self.shared.ending.load(Ordering::Acquire);
        if !is_first && !is_last && params["reload_config"].as_bool().unwrap_or(true) {
            self.begin_anew(context).await;
        }
        self.note_requests(context, &requests);
        self.tell(context, self.apply(&requests));
        self.shared.running.send_replace(true);
        // From here to an orderly end they are on the disk, so that any other end is known by them.
        self.keep_targets().await;
        let is_handed_over = tokio::select! {
            is_handed_over = self.keep(context, &mut news.receiver) => is_handed_over,
            never = self.show_journal(context) => match never {},
        };
        if is_handed_over {
            self.keep_targets().await;
            return Ok("Exited. Everything that ran goes on, for another manager.".to_owned());
        }
        self.forget_targets(context).await;
        self.shared.processes.tidy();
        Ok("Exited.".to_owned())
    }

    /// Returns when nothing runs any more, or with `true` when all is to be left to another manager.
    async fn keep(&self, context: &OpContext, news: &mut mpsc::Receiver<News>) -> bool {
        let (mut stopping, mut is_degraded) = (false, false);
        let mut concerned = self.lock().table.keys();
        let mut batch = Vec::with_capacity(NEWS_BATCH);
        if self.shared.ending.load(Ordering::Acquire) || context.is_stopping() {
            // It was over before it began: what runs is ended, and nothing is launched for it.
            stopping = true;
            self.shared.running.send_replace(false);
            if self.shared.handing_over.load(Ordering::Acquire) {
                return true;
            }
            concerned = self.all_down();
        }
        loop {
            let is_idle = self.decide(context, &concerned);
            let (has_problems, new_problems) = {
                let mut state = self.lock();
                (!state.problems.is_empty(), std::mem::take(&mut state.new_problems))
            };
            new_problems.iter().for_each(|text| self.note_error(context, text));
            if has_problems != is_degraded {
                is_degraded = has_problems;
                context.set_degraded(is_degraded);
            }
            // What docker has of this host's services is not known in the first moments, and is not all gone when the
            // last process is.
            if stopping && is_idle && self.docker_is_at_rest() {
                return false;
            }
            concerned.clear();
            let wake = self.lock().table.next_wake_ms().and_then(|at_ms| self.shared.clock.instant_of(at_ms));
            tokio::select! {
                _count = news.recv_many(&mut batch, NEWS_BATCH) => {
                    concerned.extend(self.take_in(context, batch.drain(..)));
                }
                () = self.shared.changed.notified() => concerned = self.lock().table.keys(),
                () = sleep_until(wake) => {}
                () = self.docker_changed() => {}
                () = context.stop_requested(), if !stopping => {
                    stopping = true;
                    self.shared.running.send_replace(false);
                    if self.shared.handing_over.load(Ordering::Acquire) {
                        return true;
                    }
                    concerned = self.all_down();
                }
            }
            let mut due = self.lock().table.due(self.shared.clock.now().mono_ms);
            concerned.append(&mut due);
            concerned.sort_unstable();
            concerned.dedup();
        }
    }

    /// Decides about these instances and carries the decisions out. Says whether nothing at all runs any more.
    fn decide(&self, context: &OpContext, concerned: &[Key]) -> bool {
        let mut messages = Vec::new();
        let mut to_do: Vec<(Key, Arc<Spec>, Action)> = Vec::new();
        let mut forgotten = Vec::new();
        let mut events = Vec::new();
        let (launch, is_idle) = {
            let mut state = self.lock();
            let now_ms = self.shared.clock.now().mono_ms;
            messages.append(&mut state.untold);
            let mut concerned = concerned.to_vec();
            // What becomes a docker instance by a decision has yet to be looked at by docker's eyes.
            loop {
                concerned.extend(self.settle_docker(context, &mut state, &mut messages, now_ms));
                if concerned.is_empty() {
                    break;
                }
                for key in std::mem::take(&mut concerned) {
                    let Some(before) = state.table.get(key).cloned() else { continue };
                    let Some(plan) = state.table.decide(key, now_ms) else { continue };
                    messages.extend(plan.messages);
                    events.extend(chronicle::step(
                        &before.instance,
                        &plan.instance,
                        &before.observed,
                        now_ms,
                    ));
                    if plan.forget {
                        events.push(chronicle::forgotten(&plan.instance));
                    }
                    let spec = plan.instance.spec;
                    to_do.extend(plan.actions.into_iter().map(|action| (key, Arc::clone(&spec), action)));
                    if plan.forget {
                        forgotten.push(key);
                    }
                }
                // Each of them has gone a step further, so this ends.
                concerned.extend(state.table.let_go());
            }
            (Arc::clone(&state.launch), state.table.is_idle())
        };
        for (key, spec, action) in to_do {
            if self.act_on_docker(&spec, &action) {
                continue;
            }
            act(&self.shared.processes, &launch, key, &spec, &action);
        }
        for key in forgotten {
            self.shared.processes.forget(key);
        }
        self.note(events);
        self.tell(context, messages);
        is_idle
    }

    /// Enters news into the table; returns whom it is about.
    fn take_in(&self, context: &OpContext, news: impl Iterator<Item = News>) -> BTreeSet<Key> {
        let mut state = self.lock();
        let mut concerned = BTreeSet::new();
        for News { key, launch, change } in news {
            let Some(entry) = state.table.get_mut(key) else { continue };
            let observed = &mut entry.observed;
            match change {
                Change::Running { pid, since_ms, hold } => {
                    observed.launch = launch;
                    observed.process = Process::Running { pid, since_ms };
                    observed.leftovers = Some(0);
                    entry.hold = hold;
                    observed.ready = false;
                    let spec = Arc::clone(&entry.instance.spec);
                    if let Some(probe) = self.watch_readiness(context, key, launch, &spec, &state.launch) {
                        state.replace_probe(key, Some(probe));
                    }
                }
                Change::Ready if observed.launch == launch => observed.ready = true,
                Change::Ended(ended) => {
                    observed.launch = launch;
                    observed.process = Process::Ended(ended);
                    observed.leftovers = None;
                    observed.ready = false;
                    entry.hold = Hold::default();
                    entry.usage = None;
                    state.replace_probe(key, None);
                }
                Change::Left(count) if observed.launch == launch => observed.leftovers = Some(count),
                Change::Left(_) | Change::Ready => continue,
            }
            concerned.insert(key);
        }
        concerned
    }

    /// Looks until an instance is ready, in the background.
    pub(crate) fn watch_readiness(
        &self,
        context: &OpContext,
        key: Key,
        launch: u32,
        spec: &Arc<Spec>,
        launch_context: &LaunchContext,
    ) -> Option<AbortHandle> {
        let ready = spec.ready.clone()?;
        let (agent, processes) = (context.agent(), self.shared.processes.clone());
        let root = agent.address().rsplit_once('.').map_or("", |(root, _id)| root);
        let address = format!("{root}.{}", spec.instance_id);
        let mut line = command_line(spec, launch_context);
        let task = tokio::spawn(async move {
            match ready.probe {
                Probe::Heartbeat => ready::heartbeat(&agent, &address).await,
                Probe::Port(port) => ready::port(port).await,
                Probe::Command(argv) => {
                    line.argv = argv.into_iter().map(Into::into).collect();
                    ready::command(&line).await;
                }
            }
            processes.tell_ready(key, launch).await;
        });
        Some(task.abort_handle())
    }

    pub(crate) fn apply(&self, requests: &[Request]) -> Vec<String> {
        requests::apply(&mut self.lock().table, requests)
    }

    /// The downs of a stop; not the operators' will, so they are not kept.
    fn all_down(&self) -> Vec<Key> {
        let mut state = self.lock();
        for entry in state.table.iter_mut() {
            let instance = &mut entry.instance;
            instance.target = if instance.passive { Target::Passive } else { Target::Down };
            instance.again = false;
        }
        state.table.keys()
    }

    pub(crate) fn tell(&self, context: &OpContext, messages: Vec<String>) {
        for message in messages {
            context.message(message);
        }
    }

    fn take_news(&self) -> Option<NewsGuard<'_>> {
        let receiver = self.shared.news.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(NewsGuard { receiver, shared: &self.shared })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // Decisions are made on copies and then assigned, so a poisoned lock guards a sound table.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(crate) fn replace_probe(&mut self, key: Key, probe: Option<AbortHandle>) {
        let old = match probe {
            Some(probe) => self.probes.insert(key, probe),
            None => self.probes.remove(&key),
        };
        if let Some(old) = old {
            old.abort();
        }
    }

    /// Takes a site config that was read; returns what is to be told to people.
    pub(crate) fn take_config(&mut self, config: Config, now: campanile_control::Now) -> Vec<String> {
        let mut messages = config.messages;
        let is_sound = config.wanted.iter().all(|want| want.problem.is_none());
        self.config_status = (is_sound, now.unix_s, messages.join("\n"));
        self.launch = Arc::new(config.launch);
        messages.extend(reload(&mut self.table, &config.wanted, now.mono_ms));
        let known = self.classes.clone();
        messages.extend(config::resolve_classes(&mut self.table, &known, false));
        messages
    }

    /// Notes that the site config could not be used, and says so.
    pub(crate) fn refuse_config(&mut self, diagnostics: &Diagnostics, now_s: f64) -> String {
        self.config_status = (false, now_s, lines(diagnostics).join("\n"));
        "The site config cannot be used; the last good one stays in force.".to_owned()
    }
}

/// Gives the receiver back when the process `manager` ends, however it ends.
struct NewsGuard<'a> {
    receiver: mpsc::Receiver<News>,
    shared: &'a Shared,
}

impl Drop for NewsGuard<'_> {
    fn drop(&mut self) {
        self.shared.running.send_replace(false);
        let (_, empty) = mpsc::channel(1);
        let receiver = std::mem::replace(&mut self.receiver, empty);
        *self.shared.news.lock().unwrap_or_else(PoisonError::into_inner) = Some(receiver);
    }
}

/// The problems, a line each.
pub(crate) fn lines(diagnostics: &Diagnostics) -> Vec<String> {
    diagnostics.iter().map(campanile_yaml::Diagnostic::one_line).collect()
}

async fn sleep_until(wake: Option<std::time::Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}
