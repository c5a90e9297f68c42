//! The whole decision: health of all daemons, the balance, and a plan for each daemon that needs one. Pure.
//!
//! **Expected flow.** The driver says what it sees ([`Conductor::look`], [`Conductor::up`], [`Conductor::hung`],
//! [`Conductor::down`]) and what became of orders ([`Conductor::done`]); [`Conductor::decide`] gives the orders that
//! follow. A simulation drives the same value with invented daemons.
//!
//! **Guarantees.** No decision about a group before its aggregators are known ([`Settings::sync_ms`] at most). One order
//! at a time per daemon; a daemon that does not answer delays nobody else. An order is never repeated while the daemon
//! is as it was after it, except for what it refused, with growing pauses.
//!
//! **Assumptions.** After an order the driver looks at what it touched before it says that it is done.
//!
//! **Architecture invariant:** no clock, no I/O, no randomness, no tokio in this file or in what it uses.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{Desired, Name, Schedule};
use crate::plan::{self, Memory, Step};
use crate::seen::Seen;

mod arrival;
mod change;
mod due;
#[cfg(test)]
mod fixture;
mod groups;
mod handover;
mod hearsay;
mod look;
mod renew;
mod role;
mod tools;
mod view;
mod weights;

pub use due::DueLook;
pub use groups::{Assignment, Unit};
pub use handover::{Handover, SetTime};
pub use hearsay::{Places, SetTold, Told};
pub use look::{Advertised, Look};
pub use renew::Wish;
pub use view::{Collector, GroupView, MemberView};

/// How the conductor decides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// An aggregator that has been well for so long takes part in levelling; after repeated failures it takes longer.
    pub settle_ms: u64,
    /// Units moved per second to level the load.
    pub moves_per_s: f64,
    /// Nothing is decided about a group while an aggregator of it is still unknown, for so long after the start and after
    /// a change of the configuration.
    pub sync_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { settle_ms: 5_000, moves_per_s: 50.0, sync_ms: 3_000 }
    }
}

/// How a daemon is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Nobody knows yet.
    #[default]
    Unknown,
    /// It answers.
    Up,
    /// It takes connections and does not answer.
    Hung,
    /// There is no connection.
    Down,
}

impl Health {
    /// The word for it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Hung => "hung",
            Self::Down => "down",
        }
    }
}

/// Failures longer ago than this do not count against an aggregator.
const FORGIVE_MS: u64 = 600_000;
/// An aggregator that fails again and again settles after this time at most.
const MAX_SETTLE_MS: u64 = 300_000;

/// What is known of one daemon.
#[derive(Clone, Debug, Default)]
pub struct Track {
    /// How it is.
    pub health: Health,
    /// Since when.
    pub since_ms: u64,
    /// Why, where that is not plain.
    pub reason: String,
    /// When it failed lately.
    failures: Vec<u64>,
    /// Whether this manager has not seen it so itself: it was told, or has only begun to watch it.
    second_hand: bool,
    /// What another manager has last told of it.
    told: Option<Arc<Told>>,
    /// What was last seen of it; kept while it does not answer.
    pub seen: Option<Seen>,
    /// What of its producers deserves a look: one entry per entry of `seen.producers`.
    noted: Vec<tools::Noted>,
    /// What is remembered of it.
    pub memory: Memory,
    /// What its last plan holds up.
    pub held: Vec<String>,
    /// The sets it sampled when it was last looked at: bytes of each, and how often as the daemon says. Kept over
    /// changes of the configuration and while it does not answer.
    pub sampled: Option<BTreeMap<Name, (u64, Option<Schedule>)>>,
    /// Bytes per second that it samples, as often as it is configured to.
    pub traffic: Option<u64>,
    /// It has hung and may still collect what was moved away from it.
    suspect: bool,
    /// It is no longer in the configuration.
    leaving: bool,
    busy: bool,
    /// Something waits until another aggregator has let go of it.
    waits: bool,
    /// Producers that were STOPPING.
    stopping: Vec<String>,
    /// Producers that it is taking over from another.
    taking: Vec<String>,
    /// Producers that it is to connect to anew: group, position.
    renew: BTreeSet<(usize, usize)>,
    /// When it is to be looked at again; also in [`Conductor::rechecks`].
    recheck_ms: Option<u64>,
    /// A number for the last order, when it was given, and how often in a row.
    last_order: (u64, u64, u32),
}

/// An order that was carried out and changed nothing is given again after this time, then after twice that, ….
const REPEAT_MS: u64 = 100;
/// See [`REPEAT_MS`].
const MAX_REPEAT_MS: u64 = 10_000;

impl Track {
    /// Whether something waits until another aggregator has let go of it.
    #[must_use]
    pub const fn waits(&self) -> bool {
        self.waits
    }

    /// Whether an order or a look is under way.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        self.busy
    }

    /// Whether an order may be given now: one like the last waits, so that a daemon that accepts everything and does
    /// nothing is not asked without end.
    fn may_order(&mut self, steps: &[Step], now_ms: u64) -> bool {
        let number = steps.iter().fold(steps.len() as u64, |hash, step| step.number(hash));
        let (last, at_ms, times) = self.last_order;
        if last != number {
            self.last_order = (number, now_ms, 0);
            return true;
        }
        let wait_ms = REPEAT_MS.saturating_mul(1 << times.min(16)).min(MAX_REPEAT_MS);
        if now_ms >= at_ms + wait_ms {
            let times = if now_ms > at_ms + 2 * MAX_REPEAT_MS { 0 } else { times + 1 };
            self.last_order = (number, now_ms, times);
            return true;
        }
        let again_ms = at_ms + wait_ms;
        self.recheck_ms = Some(self.recheck_ms.map_or(again_ms, |other| other.min(again_ms)));
        false
    }
}

/// Requests for one daemon.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// The daemon.
    pub daemon: usize,
    /// What is to be sent, in order.
    pub steps: Vec<Step>,
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The step.
    pub step: Step,
    /// The daemon's refusal: error number and text; none when it was done.
    pub refusal: Option<(u32, String)>,
}

/// Something worth telling people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What kind: `daemon-up`, `daemon-down`, `daemon-hung`, `moved`, `refused`, `config`, …
    pub kind: &'static str,
    /// The daemon or group it is about.
    pub subject: String,
    /// The rest.
    pub text: String,
}

/// Events that wait for [`Conductor::take_events`]; the oldest give way.
const MAX_EVENTS: usize = 10_000;

/// The state of the whole decision.
#[derive(Clone, Debug)]
pub struct Conductor {
    desired: Desired,
    settings: Settings,
    tracks: Vec<Track>,
    assignments: Vec<Assignment>,
    /// Daemons of which the other managers may have to be told something.
    untold: BTreeSet<usize>,
    /// Daemons that need a new plan.
    dirty: BTreeSet<usize>,
    /// When which daemon is to be looked at again; entries that a daemon does not confirm are void.
    rechecks: BTreeSet<(u64, usize)>,
    /// When suspicion of which daemon may be over by time alone.
    clearing: BTreeMap<usize, u64>,
    /// Where each daemon is a producer: group and position.
    produces_in: Vec<Vec<(usize, usize)>>,
    drained: BTreeSet<Name>,
    /// Samplers whose sets do not come to the top although all is well.
    lost: BTreeMap<usize, renew::Lost>,
    /// What other managers are asked to connect anew: by aggregator, then group and producer; how often so far.
    wished: BTreeMap<usize, BTreeMap<(usize, usize), u32>>,
    /// What a leader has decided about each group, by name, as it was last imported.
    given: BTreeMap<Name, Arc<BTreeMap<String, String>>>,
    /// Who had what in an earlier life of the manager, by group and producer (or producer and set).
    remembered: BTreeMap<String, BTreeMap<String, String>>,
    /// When it was started, or given its present configuration.
    started_ms: u64,
    leading: bool,
    hands_off: bool,
    mine: Vec<bool>,
    watched: Vec<bool>,
    allowance: f64,
    refilled_ms: u64,
    level_ms: Option<u64>,
    events: Vec<Event>,
}

impl Conductor {
    /// A conductor that knows nothing yet, alone and in charge of all daemons.
    #[must_use]
    pub fn new(desired: Desired, settings: Settings, now_ms: u64) -> Self {
        let tracks: Vec<Track> =
            desired.daemons.iter().map(|_| Track { since_ms: now_ms, ..Track::default() }).collect();
        let assignments = desired.groups.iter().map(|_| Assignment::default()).collect();
        let mut conductor = Self {
            mine: vec![true; tracks.len()],
            watched: vec![true; tracks.len()],
            untold: BTreeSet::new(),
            dirty: (0..tracks.len()).collect(),
            rechecks: BTreeSet::new(),
            clearing: BTreeMap::new(),
            produces_in: Vec::new(),
            desired,
            settings,
            tracks,
            assignments,
            drained: BTreeSet::new(),
            lost: BTreeMap::new(),
            wished: BTreeMap::new(),
            given: BTreeMap::new(),
            remembered: BTreeMap::new(),
            started_ms: now_ms,
            leading: true,
            hands_off: false,
            allowance: settings.moves_per_s,
            refilled_ms: now_ms,
            level_ms: None,
            events: Vec::new(),
        };
        conductor.index();
        for group in 0..conductor.assignments.len() {
            conductor.refresh_units(group);
        }
        conductor
    }

    fn index(&mut self) {
        self.produces_in = vec![Vec::new(); self.desired.daemons.len()];
        for (group, desired) in self.desired.groups.iter().enumerate() {
            for (at, producer) in desired.producers.iter().enumerate() {
                if let Some(daemon) = producer.daemon {
                    self.produces_in[daemon].push((group, at));
                }
            }
        }
    }

    /// The cluster as it should be.
    #[must_use]
    pub fn desired(&self) -> &Desired {
        &self.desired
    }

    /// What is known of a daemon.
    #[must_use]
    pub fn track(&self, daemon: usize) -> &Track {
        &self.tracks[daemon]
    }

    /// Who carries what in a group.
    #[must_use]
    pub fn assignment(&self, group: usize) -> &Assignment {
        &self.assignments[group]
    }

    /// The events since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    fn tell(&mut self, kind: &'static str, subject: &str, text: String) {
        if self.events.len() < MAX_EVENTS {
            self.events.push(Event { kind, subject: subject.to_owned(), text });
        }
    }

    /// Gives what an earlier life of the manager knew: what is remembered of each daemon, who had what.
    pub fn remember(
        &mut self,
        memories: BTreeMap<String, Memory>,
        held: BTreeMap<String, BTreeMap<String, String>>,
        drained: BTreeSet<Name>,
    ) {
        for (name, memory) in memories {
            if let Some(daemon) = self.desired.daemon(&name) {
                self.tracks[daemon].memory = memory;
            }
        }
        self.remembered = held;
        self.drained = drained;
    }

    /// The aggregators that are to carry nothing.
    #[must_use]
    pub fn drained(&self) -> &BTreeSet<Name> {
        &self.drained
    }

    /// Says which aggregators are to carry nothing.
    pub fn set_drained(&mut self, drained: BTreeSet<Name>) {
        self.drained = drained;
        self.assignments.iter_mut().for_each(|assignment| assignment.dirty = true);
    }

    /// Evens the load at the next decision, without waiting for aggregators that have lately returned.
    pub fn level_now(&mut self) {
        self.tracks.iter_mut().for_each(|track| track.failures.clear());
        self.allowance = self.settings.moves_per_s.max(self.tracks.len() as f64);
        self.assignments.iter_mut().for_each(|assignment| assignment.dirty = true);
    }

    /// The sets of a sampler and how often it samples them, microseconds.
    #[must_use]
    pub fn sampled(&self, daemon: usize) -> Vec<(Name, i64)> {
        let seen = self.tracks[daemon].seen.as_ref();
        let plugins = &self.desired.daemons[daemon].plugins;
        let slowest =
            plugins.iter().filter_map(|plugin| plugin.schedule).map(|schedule| schedule.interval_us).max();
        let interval = |set: &Name| {
            let seen = seen.and_then(|seen| seen.sets.get(&**set)).and_then(|set| set.schedule);
            let planned =
                plugins.iter().find(|plugin| plugin.set.as_ref() == Some(set)).and_then(|p| p.schedule);
            let schedule = planned.or(seen);
            schedule.map(|schedule| schedule.interval_us).or(slowest).unwrap_or(1_000_000)
        };
        self.sets_of(Some(daemon)).into_iter().map(|set| (set.clone(), interval(&set))).collect()
    }

    /// A daemon answers; what it has must be given by [`Self::look`].
    pub fn up(&mut self, daemon: usize, now_ms: u64) {
        self.dirty.insert(daemon);
        self.untold.insert(daemon);
        let track = &mut self.tracks[daemon];
        if track.health == Health::Up {
            return;
        }
        let before = std::mem::replace(&mut track.health, Health::Up);
        track.since_ms = now_ms;
        track.last_order = (0, 0, 0);
        track.reason.clear();
        if before != Health::Unknown {
            let name = self.desired.daemons[daemon].name.clone();
            self.tell("daemon-up", &name, "answers again".to_owned());
        }
        self.health_changed(daemon);
    }

    /// A daemon takes connections and does not answer.
    pub fn hung(&mut self, daemon: usize, reason: &str, now_ms: u64) {
        self.tracks[daemon].second_hand = false;
        self.tracks[daemon].suspect = true;
        self.fail(daemon, Health::Hung, reason, now_ms);
    }

    /// There is no connection to a daemon.
    pub fn down(&mut self, daemon: usize, reason: &str, now_ms: u64) {
        self.tracks[daemon].second_hand = false;
        self.fail(daemon, Health::Down, reason, now_ms);
    }

    fn fail(&mut self, daemon: usize, health: Health, reason: &str, now_ms: u64) {
        self.untold.insert(daemon);
        let track = &mut self.tracks[daemon];
        reason.clone_into(&mut track.reason);
        track.busy = false;
        if track.health == health {
            return;
        }
        if track.health == Health::Up {
            track.failures.retain(|at_ms| now_ms.saturating_sub(*at_ms) < FORGIVE_MS);
            track.failures.push(now_ms);
        }
        let kind = if health == Health::Hung { "daemon-hung" } else { "daemon-down" };
        track.health = health;
        track.since_ms = now_ms;
        let name = self.desired.daemons[daemon].name.clone();
        self.tell(kind, &name, reason.to_owned());
        self.health_changed(daemon);
    }

    fn health_changed(&mut self, daemon: usize) {
        for (group, _) in &self.desired.daemons[daemon].member_of {
            self.assignments[*group].dirty = true;
        }
        self.cut_handovers(daemon);
        self.wake_waiting(daemon);
        self.wake_collectors(daemon);
    }

    /// Those that collect from an aggregator look again whether they should.
    fn wake_collectors(&mut self, daemon: usize) {
        if self.desired.daemons[daemon].member_of.is_empty() {
            return;
        }
        for (group, _) in &self.produces_in[daemon] {
            for member in &self.desired.groups[*group].aggregators {
                self.dirty.insert(member.daemon);
            }
        }
    }

    /// What became of an order. The look at what it touched comes first.
    pub fn done(&mut self, daemon: usize, outcomes: Vec<Outcome>, now_ms: u64) {
        let name = self.desired.daemons[daemon].name.clone();
        let mut news = Vec::new();
        self.dirty.insert(daemon);
        self.untold.insert(daemon);
        let track = &mut self.tracks[daemon];
        track.busy = false;
        for Outcome { step, refusal } in outcomes {
            let refusal = refusal.filter(|(errno, _)| !step.tolerates.contains(errno));
            match refusal {
                None => {
                    if !track.memory.refusals.is_empty() {
                        track.memory.refusals.remove(&step.key());
                    }
                    if let Some((key, value)) = step.mark {
                        track.memory.marks.insert(key, value);
                    }
                }
                Some((errno, text)) => {
                    let key = step.key();
                    let text = if text.is_empty() { format!("error {errno}") } else { text };
                    if !track.memory.refusals.contains_key(&key) {
                        news.push(format!("{key}: {text}"));
                    }
                    track.memory.refuse(key, text, now_ms);
                }
            }
        }
        for text in news {
            self.tell("refused", &name, text);
        }
    }

    /// The orders that follow from all that is known.
    pub fn decide(&mut self, now_ms: u64) -> Vec<Order> {
        self.clear_suspects(now_ms);
        if self.leading && !self.hands_off {
            self.rebalance(now_ms);
        } else {
            // Whoever begins to decide looks at everything; until then nothing waits for a time to decide.
            self.level_ms = None;
        }
        self.tend_handovers(now_ms);
        let mut orders = Vec::new();
        let mut reach: Vec<Option<tools::Reach>> = self.assignments.iter().map(|_| None).collect();
        for daemon in std::mem::take(&mut self.dirty) {
            let track = &self.tracks[daemon];
            if !self.mine[daemon] && track.health == Health::Up {
                // Another manager speaks to it; those that collect from it may be ours.
                self.clear_suspicion(daemon, now_ms);
                continue;
            }
            if track.busy || track.health != Health::Up || !self.mine[daemon] || track.second_hand {
                // The end of its order, its return, or the first look at it brings it back here.
                continue;
            }
            let Some(mut plan) = self.plan_within(daemon, now_ms, &mut reach) else { continue };
            let taking = self.taking_over(daemon);
            let look_ms = (!taking.is_empty()).then_some(now_ms + handover::LOOK_MS);
            let recheck_ms = plan.recheck_ms.map(|at_ms| at_ms.max(now_ms + 1));
            let recheck_ms = recheck_ms.into_iter().chain(look_ms).min();
            let track = &mut self.tracks[daemon];
            track.recheck_ms = recheck_ms;
            if track.held != plan.held || track.waits != plan.waits {
                self.untold.insert(daemon);
            }
            track.held = plan.held;
            track.waits = plan.waits;
            track.stopping = plan.stopping;
            track.taking = taking;
            plan.steps.truncate(plan::MAX_STEPS);
            if !plan.steps.is_empty() && !self.hands_off && track.may_order(&plan.steps, now_ms) {
                track.busy = true;
                track.renew.clear();
                orders.push(Order { daemon, steps: plan.steps });
            }
            if let Some(at_ms) = track.recheck_ms {
                self.rechecks.insert((at_ms, daemon));
            }
            self.clear_suspicion(daemon, now_ms);
        }
        orders
    }
}
