//! The loop: what links report goes to the conductor, what the conductor orders goes to the links.

mod core;
mod shared;
mod updates;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use campanile_control::journal::{Actor, Journal, NewEvent, kinds};
use campanile_control::{Clock, Workers};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};

use crate::conductor::{Conductor, Event, Health, Settings};
use crate::coverage::{self, Coverage, Expected, Newest};
use crate::health::Figures;
use crate::late::Late;
use crate::link::{Command, Link, Report, Watch};
use crate::model::{Desired, Name};
use crate::observe::Role;
use crate::plan::Plan;
use crate::state::{Runtime, StateFile};

pub use shared::{Given, Membership};
pub use updates::AggregatorFigures;

use shared::Shared;

/// Reports that wait for the loop; links wait when it is full.
const REPORTS: usize = 4_096;
/// Reports taken in before the next decision.
const BATCH: usize = 1_024;
/// Measurements of coverage that are kept: an hour, one a second.
const HISTORY: usize = 3_600;
/// What outlives the manager is saved this long after a change.
const SAVE_AFTER: Duration = Duration::from_secs(1);

/// How a manager works.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// How daemons are watched.
    pub watch: Watch,
    /// How it decides.
    pub settings: Settings,
    /// Whether there may be others: then it does nothing before it has met them.
    pub shared: bool,
}

/// A manager. Clones are the same one.
#[derive(Clone)]
pub struct Manager {
    inner: Arc<Inner>,
}

struct Inner {
    core: Mutex<Core>,
    nudge: Notify,
    /// There may be something to be told to other managers.
    news: Notify,
    clock: Clock,
    journal: Option<Journal>,
    state: Option<StateFile>,
    reports: mpsc::Sender<(u64, Report)>,
    watch: Watch,
    /// Where everything of this manager runs, whoever calls it from where.
    runtime: Handle,
}

struct Core {
    conductor: Conductor,
    links: Vec<Option<(u64, Link)>>,
    positions: HashMap<u64, usize>,
    next_id: u64,
    performance: Vec<Performance>,
    found: HashMap<usize, HashMap<String, Newest>>,
    expected: Option<Vec<Expected>>,
    /// Since when it leads others.
    leads_since_ms: Option<u64>,
    coverage: Option<Coverage>,
    history: VecDeque<(f64, f32)>,
    unsaved: bool,
    orders: u64,
    requests: u64,
    /// How often an operator has asked to even the load.
    levels: u64,
    /// Events beside those of the conductor.
    news: Vec<Event>,
    /// What is known by the other managers.
    shared: Shared,
}

/// How well a daemon does.
#[derive(Clone, Debug, Default)]
pub struct Performance {
    /// Time to the answer of a probe, milliseconds: the last, and the mean of the last few.
    pub latency_ms: Option<(f64, f64)>,
    /// Its own figures.
    pub figures: Figures,
    /// What becomes of its updates, where it is an aggregator.
    pub late: Late,
    /// When an updater or a plugin of it was last told something, monotonic milliseconds.
    pub told_ms: u64,
    /// Its sets that something speaks against, where another manager watches it.
    pub suspects: Vec<String>,
}

fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

fn role(desired: &Desired, daemon: usize, tops: &BTreeSet<usize>, measures: bool) -> Role {
    let of = &desired.daemons[daemon];
    Role {
        // One that has left its groups still has producers to let go of.
        aggregates: !of.member_of.is_empty() || (of.plugins.is_empty() && of.advertisers.is_empty()),
        samples: !of.plugins.is_empty(),
        advertises: !of.advertisers.is_empty(),
        listens: of.member_of.iter().any(|(group, _)| !desired.groups[*group].listeners.is_empty()),
        top: measures && of.member_of.iter().any(|(group, _)| tops.contains(group)),
    }
}

impl Manager {
    /// Starts a manager of a cluster. Needs a tokio runtime; it ends with the last clone.
    #[must_use]
    pub fn start(
        desired: Desired,
        options: Options,
        clock: Clock,
        workers: &Workers,
        journal: Option<Journal>,
        state: Option<StateFile>,
    ) -> Self {
        let now_ms = clock.now().mono_ms;
        let mut conductor = Conductor::new(desired, options.settings, now_ms);
        match state.as_ref().map(StateFile::read) {
            Some(Ok(Some(runtime))) => runtime.remind(&mut conductor),
            Some(Err(error)) => tracing::warn!(%error, "what an earlier run knew cannot be read"),
            Some(Ok(None)) | None => {}
        }
        if options.shared {
            conductor.set_role(false, Vec::new());
            conductor.set_hands_off(true);
        }
        let (reports, received) = mpsc::channel(REPORTS);
        let core = Core {
            conductor,
            links: Vec::new(),
            positions: HashMap::new(),
            next_id: 0,
            performance: Vec::new(),
            found: HashMap::new(),
            expected: None,
            leads_since_ms: None,
            coverage: None,
            history: VecDeque::new(),
            unsaved: false,
            orders: 0,
            requests: 0,
            levels: 0,
            news: Vec::new(),
            shared: Shared::default(),
        };
        let inner = Inner {
            core: Mutex::new(core),
            nudge: Notify::new(),
            news: Notify::new(),
            clock,
            journal,
            state,
            reports,
            watch: options.watch,
            runtime: Handle::current(),
        };
        let manager = Self { inner: Arc::new(inner) };
        manager.lock().open_links(&manager.inner, &[]);
        let weak = Arc::downgrade(&manager.inner);
        tokio::spawn(run(weak, received, workers.register("cluster")));
        manager
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.inner.lock()
    }

    /// Takes a new configuration.
    pub fn reconfigure(&self, desired: Desired) {
        let now_ms = self.inner.clock.now().mono_ms;
        let mut core = self.lock();
        if *core.conductor.desired() == desired {
            return;
        }
        let change = core.conductor.change(desired, now_ms);
        core.open_links(&self.inner, &change.before);
        core.apply_membership(&self.inner);
        core.follow_again(now_ms);
        core.expected = None;
        core.found.clear();
        core.unsaved = true;
        drop(core);
        self.inner.nudge.notify_one();
    }

    /// Says that an aggregator is to carry nothing, or something again.
    ///
    /// # Errors
    /// When there is no aggregator of that name.
    pub fn drain(&self, aggregator: &str, drained: bool, by: Option<Actor>) -> Result<(), String> {
        let mut core = self.lock();
        let known = core.conductor.desired().daemon(aggregator);
        let aggregates = known.is_some_and(|at| !core.conductor.desired().daemons[at].member_of.is_empty());
        if !aggregates {
            return Err(format!("there is no aggregator '{aggregator}'"));
        }
        let mut list = core.conductor.drained().clone();
        let name = Name::from(aggregator);
        if drained {
            list.insert(name)
        } else {
            list.remove(&name)
        };
        core.conductor.set_drained(list);
        core.unsaved = true;
        drop(core);
        let text = if drained { "is to be drained" } else { "takes work again" };
        self.inner.record(NewEvent::new(kinds::REQUEST, aggregator, text).by(by));
        self.inner.nudge.notify_one();
        Ok(())
    }

    /// Evens the load now, however lately aggregators have returned.
    pub fn rebalance(&self, by: Option<Actor>) {
        self.lock().levels += 1;
        self.level_now();
        self.inner.record(NewEvent::new(kinds::REQUEST, "cluster", "the load is to be evened now").by(by));
    }

    /// The same, asked for by another manager.
    pub fn level_now(&self) {
        self.lock().conductor.level_now();
        self.inner.nudge.notify_one();
    }

    /// How often it was asked to even the load, by [`Self::rebalance`].
    #[must_use]
    pub fn levels(&self) -> u64 {
        self.lock().levels
    }

    /// The aggregators that are to carry nothing.
    #[must_use]
    pub fn drained(&self) -> BTreeSet<String> {
        self.lock().conductor.drained().iter().map(ToString::to_string).collect()
    }

    /// Says which aggregators are to carry nothing, as all managers have agreed.
    pub fn set_drained(&self, names: &BTreeSet<String>) {
        let mut core = self.lock();
        core.conductor.set_drained(names.iter().map(|name| Name::from(name.as_str())).collect());
        core.unsaved = true;
        drop(core);
        self.inner.nudge.notify_one();
    }

    /// The last measurement of coverage.
    #[must_use]
    pub fn coverage(&self) -> Option<Coverage> {
        self.lock().coverage.clone()
    }

    /// The state of the cluster, for people and programs. Its shape is documented in the book.
    #[must_use]
    pub fn status(&self) -> Value {
        self.lock().status(&self.inner.clock)
    }

    /// What would be done now, daemon by daemon.
    #[must_use]
    pub fn plan(&self) -> Value {
        let now_ms = self.inner.clock.now().mono_ms;
        let core = self.lock();
        let daemons = core.conductor.desired().daemons.iter().enumerate().filter_map(|(at, daemon)| {
            let track = core.conductor.track(at);
            // Of one that another manager looks after only what is held up is known here.
            let told = || Plan { held: track.held.clone(), waits: track.waits(), ..Plan::default() };
            let plan = match core.conductor.is_mine(at) {
                true => core.conductor.plan_for(at, now_ms)?,
                false => told(),
            };
            let quiet = plan.steps.is_empty() && plan.held.is_empty() && !plan.waits;
            let steps: Vec<String> = plan.steps.iter().map(ToString::to_string).collect();
            (!quiet).then(|| {
                json!({"daemon": daemon.name, "steps": steps, "held": plan.held, "waits": plan.waits,
                    "health": core.conductor.track(at).health.name()})
            })
        });
        json!({ "daemons": daemons.collect::<Vec<_>>() })
    }

    /// Everything about one daemon, and who collects from it.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn why(&self, name: &str) -> Result<Value, String> {
        let core = self.lock();
        let at =
            core.conductor.desired().daemon(name).ok_or_else(|| format!("there is no daemon '{name}'"))?;
        let collectors = core.conductor.collectors_of(at);
        let track = core.conductor.track(at);
        let refusals: Vec<Value> = track
            .memory
            .refusals
            .iter()
            .map(|(key, refused)| json!({"step": key, "says": refused.text, "times": refused.times}))
            .collect();
        let now_us = unix_us();
        let conductor = &core.conductor;
        // Only who leads measures; the others know what is expected.
        let measures = conductor.leads();
        let expected = match &core.expected {
            Some(known) => std::borrow::Cow::Borrowed(known),
            None => std::borrow::Cow::Owned(coverage::expected(conductor.desired(), &|daemon| {
                conductor.sampled(daemon)
            })),
        };
        let measured_by = core.shared.leader().filter(|_| !measures);
        let sets: Vec<Value> = expected
            .iter()
            .filter(|expected| expected.sampler == at)
            .map(|expected| {
                let newest = core.found.values().filter_map(|found| found.get(&*expected.set));
                let newest_us = newest.map(|newest| newest.at_us).max();
                let age_s = newest_us.map(|at_us| now_us.saturating_sub(at_us) as f64 / 1e6);
                json!({"set": expected.set, "age_s": age_s, "fresh_up_to_s": expected.fresh_us as f64 / 1e6})
            })
            .collect();
        let (performance, judgement) = core.performance_and_judgement(at);
        Ok(json!({
            "daemon": name,
            "health": track.health.name(),
            "reason": track.reason,
            "since_s": self.inner.clock.now().unix_of(track.since_ms),
            "collectors": collectors,
            "sets": sets,
            "measured_by": measured_by,
            "watched_by": core.watched_by(name),
            "refusals": refusals,
            "performance": performance,
            "judgement": judgement,
        }))
    }

    /// The journal, if it has one.
    #[must_use]
    pub fn journal(&self) -> Option<&Journal> {
        self.inner.journal.as_ref()
    }

    /// Orders and requests sent so far.
    #[must_use]
    pub fn sent(&self) -> (u64, u64) {
        let core = self.lock();
        (core.orders, core.requests)
    }

    /// Whether every daemon has been heard of, nothing is to be done, and nothing is under way.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        let now_ms = self.inner.clock.now().mono_ms;
        let core = self.lock();
        let conductor = &core.conductor;
        conductor.hands_over() == 0
            && (0..conductor.desired().daemons.len()).all(|at| match conductor.track(at).health {
                Health::Unknown => conductor.desired().daemons[at].control.is_none(),
                Health::Up => {
                    if !conductor.is_mine(at) {
                        return !conductor.track(at).waits();
                    }
                    let plan = conductor.plan_for(at, now_ms);
                    !conductor.track(at).is_busy()
                        && plan.is_some_and(|plan| plan.steps.is_empty() && !plan.waits)
                }
                Health::Hung | Health::Down => true,
            })
    }

    /// Says whether anything may be changed at all.
    pub fn set_hands_off(&self, hands_off: bool) {
        let mut core = self.lock();
        if core.conductor.is_hands_off() != hands_off {
            core.conductor.set_hands_off(hands_off);
            drop(core);
            self.inner.nudge.notify_one();
        }
    }

    /// What has been decided about groups since these generations: name, generation, who has what and what is moving.
    #[must_use]
    pub fn decided(&self, since: &std::collections::BTreeMap<String, u64>) -> Vec<(String, u64, Given)> {
        let core = self.lock();
        let conductor = &core.conductor;
        let groups = conductor.desired().groups.iter().enumerate();
        groups
            .filter(|(at, group)| {
                let assignment = conductor.assignment(*at);
                assignment.ready && since.get(&*group.name) != Some(&assignment.generation)
            })
            .map(|(at, group)| {
                let given =
                    Given { held: Arc::new(conductor.export(at)), handing: conductor.handing_over(at) };
                (group.name.to_string(), conductor.assignment(at).generation, given)
            })
            .collect()
    }

    /// Saves what outlives the manager.
    pub async fn save_now(&self) {
        let worker = Workers::new(self.inner.clock.clone()).register("cluster");
        save(&self.inner, &worker).await;
    }

    /// Looks into the conductor: for tests and for what has no function of its own.
    pub fn with<T>(&self, look: impl FnOnce(&Conductor) -> T) -> T {
        look(&self.lock().conductor)
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Core> {
        // Whoever panicked left whole values behind; the cluster must still be looked after.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, event: NewEvent) {
        if let Some(journal) = &self.journal {
            journal.record(event);
        }
    }
}

async fn run(
    manager: std::sync::Weak<Inner>,
    mut received: mpsc::Receiver<(u64, Report)>,
    worker: campanile_control::WorkerHandle,
) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut save_at: Option<Instant> = None;
    loop {
        let Some(inner) = manager.upgrade() else { return };
        let wake_ms = {
            worker.busy("deciding");
            let mut core = inner.lock();
            core.step(&inner, &mut batch);
            if core.unsaved && save_at.is_none() {
                save_at = Some(Instant::now() + SAVE_AFTER);
            }
            core.conductor.next_wake_ms()
        };
        worker.idle();
        if save_at.is_some_and(|at| at <= Instant::now()) {
            save_at = None;
            save(&inner, &worker).await;
        }
        let wake = wake_ms.and_then(|at_ms| inner.clock.instant_of(at_ms)).map(Instant::from_std);
        let wake = wake.into_iter().chain(save_at).min();
        let pause = async {
            match wake {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            count = received.recv_many(&mut batch, BATCH) => if count == 0 { return },
            () = inner.nudge.notified() => {}
            () = pause => {}
        }
    }
}

async fn save(inner: &Arc<Inner>, worker: &campanile_control::WorkerHandle) {
    let Some(state) = inner.state.clone() else {
        inner.lock().unsaved = false;
        return;
    };
    let runtime = {
        let mut core = inner.lock();
        core.unsaved = false;
        Runtime::of(&core.conductor)
    };
    let written = tokio::task::spawn_blocking(move || state.write(&runtime)).await;
    if let Ok(Err(error)) = written {
        worker.error(&format!("what should outlive the manager cannot be saved: {error}"));
        inner.lock().unsaved = true;
    }
}
