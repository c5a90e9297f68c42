//! The loop: what is asked for and what is observed goes into the table, what the plan decides comes out of it.
//!
//! **Expected flow.** The process `manager` waits for news of processes, for requests, and for the time that the plan
//! has named; then it decides about the instances concerned and carries the decisions out. Nothing is polled.
//!
//! **Guarantees.** The table is locked only to read or change it, never while anything is done or waited for. What
//! goes wrong with one instance, the site config, Python or the disk is told, and stops nothing else.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use campanile_control::{Clock, Workers};
use campanile_ocs::agent::OpContext;
use campanile_yaml::Diagnostics;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc, watch};

use crate::act::act;
use crate::config::{self, Classes, LaunchContext};
use crate::drive::process::{Change, News, Processes};
use crate::drive::tree;
use crate::model::{Key, Process, Spec, Target};
use crate::plan::Action;
use crate::reload::{Wanted, reload};
use crate::report;
use crate::requests::{self, Request};
use crate::table::Table;
use crate::targets::{TargetFile, Targets};

/// The key of the site config in `config_parse_status`.
const SITE_CONFIG: &str = "[SCF]";
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
    state: Mutex<State>,
    news: Mutex<Option<mpsc::Receiver<News>>>,
    /// Something was changed in the table: decide about all instances.
    pub(crate) changed: Notify,
    running: AtomicBool,
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
            untold: Vec::new(),
        };
        state.untold = state.take_config(config, now);
        let shared = Shared {
            clock,
            workers,
            processes,
            read_config,
            targets,
            state: Mutex::new(state),
            news: Mutex::new(Some(news)),
            changed: Notify::new(),
            running: AtomicBool::new(false),
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
        self.find_survivors().await;
        self.ask_classes();
    }

    /// The instances that still run from before are counted; the plan ends them before it launches anything.
    async fn find_survivors(&self) {
        let (keys, wanted): (Vec<Key>, Vec<_>) = {
            let state = self.lock();
            let wanted = |entry: &crate::table::Entry| {
                let mark = self.shared.processes.mark(&entry.instance.spec.instance_id);
                (entry.instance.key, tree::Wanted { mark, leader: None })
            };
            state.table.iter().map(wanted).unzip()
        };
        let counts = tokio::task::spawn_blocking(move || tree::census(&wanted)).await.unwrap_or_default();
        let mut state = self.lock();
        for (key, count) in keys.into_iter().zip(counts).filter(|(_, count)| *count > 0) {
            let Some(entry) = state.table.get_mut(key) else { continue };
            entry.observed.leftovers = Some(count);
            self.shared.processes.found_running(key, &entry.instance.spec.instance_id);
        }
    }

    /// Whether the process `manager` has ever begun to run.
    #[must_use]
    pub fn was_started(&self) -> bool {
        *self.shared.started.borrow()
    }

    /// Whether the process `manager` runs and takes requests.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.shared.running.load(Ordering::Acquire)
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
        let (ok, at_s, message) = &state.config_status;
        json!({
            "child_states": report::child_states(&state.table, self.shared.clock.now()),
            "config_parse_status": { SITE_CONFIG: [ok, at_s, message] },
            "orphans": {},
            "new_tags": {},
        })
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
        if !is_first && params["reload_config"].as_bool().unwrap_or(true) {
            self.begin_anew(context).await;
        }
        self.tell(context, self.apply(&requests));
        self.shared.running.store(true, Ordering::Release);
        self.keep(context, &mut news.receiver).await;
        self.forget_targets(context).await;
        Ok("Exited.".to_owned())
    }

    async fn keep(&self, context: &OpContext, news: &mut mpsc::Receiver<News>) {
        let mut stopping = false;
        let mut concerned = self.lock().table.keys();
        let mut batch = Vec::with_capacity(NEWS_BATCH);
        loop {
            let is_idle = self.decide(context, &concerned);
            if stopping && is_idle {
                return;
            }
            concerned.clear();
            let wake = self.lock().table.next_wake_ms().and_then(|at_ms| self.shared.clock.instant_of(at_ms));
            tokio::select! {
                _count = news.recv_many(&mut batch, NEWS_BATCH) => {
                    concerned.extend(self.take_in(batch.drain(..)));
                }
                () = self.shared.changed.notified() => concerned = self.lock().table.keys(),
                () = sleep_until(wake) => {}
                () = context.stop_requested(), if !stopping => {
                    stopping = true;
                    self.shared.running.store(false, Ordering::Release);
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
        let (launch, is_idle) = {
            let mut state = self.lock();
            let now_ms = self.shared.clock.now().mono_ms;
            messages.append(&mut state.untold);
            for key in concerned {
                let Some(plan) = state.table.decide(*key, now_ms) else { continue };
                messages.extend(plan.messages);
                let spec = plan.instance.spec;
                to_do.extend(plan.actions.into_iter().map(|action| (*key, Arc::clone(&spec), action)));
                if plan.forget {
                    forgotten.push(*key);
                }
            }
            (Arc::clone(&state.launch), state.table.is_idle())
        };
        for (key, spec, action) in to_do {
            act(&self.shared.processes, &launch, key, &spec, &action);
        }
        for key in forgotten {
            self.shared.processes.forget(key);
        }
        self.tell(context, messages);
        is_idle
    }

    /// Enters news into the table; returns whom it is about.
    fn take_in(&self, news: impl Iterator<Item = News>) -> BTreeSet<Key> {
        let mut state = self.lock();
        let mut concerned = BTreeSet::new();
        for News { key, launch, change } in news {
            let Some(entry) = state.table.get_mut(key) else { continue };
            let observed = &mut entry.observed;
            match change {
                Change::Running { pid, since_ms } => {
                    observed.launch = launch;
                    observed.process = Process::Running { pid, since_ms };
                    observed.leftovers = Some(0);
                }
                Change::Ended(ended) => {
                    observed.launch = launch;
                    observed.process = Process::Ended(ended);
                    observed.leftovers = None;
                }
                Change::Left(count) if observed.launch == launch => observed.leftovers = Some(count),
                Change::Left(_) => continue,
            }
            concerned.insert(key);
        }
        concerned
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
    /// Takes a site config that was read; returns what is to be told to people.
    pub(crate) fn take_config(&mut self, config: Config, now: campanile_control::Now) -> Vec<String> {
        let mut messages = config.messages;
        self.config_status = (true, now.unix_s, messages.join("\n"));
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
        self.shared.running.store(false, Ordering::Release);
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
