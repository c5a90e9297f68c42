//! What becomes of the updates of aggregators: judged with what the manager knows of the cluster, and shown.

use std::collections::HashSet;

use campanile_ldms::api::update_times::UpdateTimes;
use serde::Deserialize as _;

use super::*;
use crate::conductor::Outcome;
use crate::late::{Ground, Totals};
use crate::model::Mode;
use crate::plan::{Touched, touches};

/// The event of an updater whose sets have become late.
pub(super) const LATE: &str = "late";
/// The event of an updater whose sets are no longer late, or no longer judged.
pub(super) const IN_TIME: &str = "in-time";

/// An aggregator's place in the cluster. What it takes time to find out is found out when something speaks against a set.
struct Place<'c> {
    conductor: &'c Conductor,
    performance: &'c [Performance],
    aggregator: usize,
    /// The sets of each sampler it collects from, and how often they are sampled, microseconds.
    sampled: HashMap<usize, HashMap<Name, i64>>,
    /// The same of all samplers, and who they are, where it collects from aggregators.
    all: Option<HashMap<Name, (usize, i64)>>,
    /// What is below each producer that is an aggregator.
    below: HashMap<usize, Below<'c>>,
}

/// What an aggregator of the top does not see: the aggregators below one that it collects from.
struct Below<'c> {
    /// The longest interval of an updater there, microseconds.
    longest_us: i64,
    /// Since when they are all as they are; none while one hangs.
    calm_since_ms: Option<u64>,
    /// The sets that something speaks against there.
    suspects: HashSet<&'c str>,
}

impl<'c> Place<'c> {
    fn daemon_of(&self, producer: &str) -> Option<usize> {
        let desired = self.conductor.desired();
        desired.daemons[self.aggregator].member_of.iter().find_map(|(group, _)| {
            let group = &desired.groups[*group];
            group.producers[*group.index.get(producer)?].daemon
        })
    }

    fn is_aggregator(&self, daemon: usize) -> bool {
        !self.conductor.desired().daemons[daemon].member_of.is_empty()
    }

    /// Who samples a set that comes by this producer, and how often.
    fn sampler(&mut self, producer: usize, set: &str) -> Option<(usize, i64)> {
        let conductor = self.conductor;
        if !self.is_aggregator(producer) {
            let sets = self.sampled.entry(producer);
            let sets = sets.or_insert_with(|| conductor.sampled(producer).into_iter().collect());
            return sets.get(set).map(|interval_us| (producer, *interval_us));
        }
        let all = self.all.get_or_insert_with(|| {
            let daemons = conductor.desired().daemons.iter().enumerate();
            let samplers = daemons.filter(|(_, daemon)| daemon.member_of.is_empty());
            let sets = |at: usize| {
                conductor.sampled(at).into_iter().map(move |(set, interval_us)| (set, (at, interval_us)))
            };
            samplers.flat_map(|(at, _)| sets(at)).collect()
        });
        all.get(set).copied()
    }

    fn below(&mut self, aggregator: usize) -> &Below<'c> {
        let (conductor, performance) = (self.conductor, self.performance);
        self.below.entry(aggregator).or_insert_with(|| {
            let desired = conductor.desired();
            let suspects = performance[aggregator].suspects().collect();
            let mut below = Below { longest_us: 0, calm_since_ms: Some(0), suspects };
            let (mut daemons, mut groups) = (BTreeSet::new(), BTreeSet::new());
            let mut ahead = vec![aggregator];
            while let Some(at) = ahead.pop() {
                for (group, _) in &desired.daemons[at].member_of {
                    if !groups.insert(*group) {
                        continue;
                    }
                    let group = &desired.groups[*group];
                    let pulls = group.updaters.iter().filter(|updater| updater.mode == Mode::Pull);
                    let intervals = pulls.map(|updater| updater.schedule.interval_us);
                    below.longest_us = intervals.fold(below.longest_us, i64::max);
                    let aggregates = |daemon: &usize| !desired.daemons[*daemon].member_of.is_empty();
                    for daemon in group.producers.iter().filter_map(|p| p.daemon).filter(aggregates) {
                        if daemons.insert(daemon) {
                            ahead.push(daemon);
                        }
                    }
                }
            }
            for daemon in daemons {
                let (track, of) = (conductor.track(daemon), &performance[daemon]);
                below.suspects.extend(of.suspects());
                // What one that is down had has moved long ago; one that hangs may still offer it.
                below.calm_since_ms = below
                    .calm_since_ms
                    .filter(|_| track.health != Health::Hung)
                    .map(|since_ms| since_ms.max(track.since_ms).max(of.told_ms));
            }
            below
        })
    }

    /// Since when a daemon is as it is, and was told nothing; none while it is not well.
    fn calm(&self, daemon: usize) -> Option<u64> {
        if self.conductor.desired().daemons[daemon].control.is_none() {
            // Nobody can tell.
            return Some(0);
        }
        let track = self.conductor.track(daemon);
        let told_ms = self.performance[daemon].told_ms;
        (track.health == Health::Up).then(|| track.since_ms.max(told_ms))
    }
}

impl Ground for Place<'_> {
    fn calm_since_ms(&mut self, producer: &str, set: &str) -> Option<u64> {
        let mut since_ms = self.calm(self.aggregator)?;
        let Some(daemon) = self.daemon_of(producer) else { return Some(since_ms) };
        since_ms = since_ms.max(self.calm(daemon)?);
        if let Some((sampler, _)) = self.sampler(daemon, set) {
            since_ms = since_ms.max(self.calm(sampler)?);
        }
        if self.is_aggregator(daemon) {
            since_ms = since_ms.max(self.below(daemon).calm_since_ms?);
        }
        Some(since_ms)
    }

    fn period_us(&mut self, producer: &str, set: &str) -> Option<u64> {
        let daemon = self.daemon_of(producer)?;
        let (_, sampled_us) = self.sampler(daemon, set)?;
        let period_us = match self.is_aggregator(daemon) {
            true => sampled_us.max(self.below(daemon).longest_us),
            false => sampled_us,
        };
        u64::try_from(period_us).ok()
    }

    fn is_late_below(&mut self, producer: &str, set: &str) -> bool {
        let daemon = self.daemon_of(producer).filter(|daemon| self.is_aggregator(*daemon));
        daemon.is_some_and(|daemon| self.below(daemon).suspects.contains(set))
    }
}

impl Performance {
    /// The sets of an aggregator that something speaks against, whoever has found it.
    pub(super) fn suspects(&self) -> impl Iterator<Item = &str> {
        self.late.suspects().chain(self.suspects.iter().map(String::as_str))
    }
}

impl Core {
    pub(super) fn judge_updates(&mut self, at: usize, times: &UpdateTimes, now_ms: u64) {
        let mut late = std::mem::take(&mut self.performance[at].late);
        let mut place = Place {
            conductor: &self.conductor,
            performance: &self.performance,
            aggregator: at,
            sampled: HashMap::new(),
            all: None,
            below: HashMap::new(),
        };
        let changes = late.take_in(times, &mut place, now_ms);
        let busy = self.performance[at].figures.busiest_thread_percent;
        for change in changes {
            let text = change.late.then(|| late.words_of(&change.updater, busy));
            self.tell_of(at, &change.updater, text);
        }
        self.performance[at].late = late;
    }

    /// Takes in what another manager tells of an aggregator, before it takes the place of what was known.
    pub(super) fn hear_updates(&mut self, at: usize, performance: &Value, judgement: &[String]) {
        let late = |performance: &Value| -> BTreeSet<String> {
            let updaters = performance["updates"]["updaters"].as_object().into_iter().flatten();
            updaters.filter(|(_, view)| view["late"] == true).map(|(name, _)| name.clone()).collect()
        };
        let name = &self.conductor.desired().daemons[at].name;
        let before = self.shared.performance.get(&**name).map(|(before, _)| late(before)).unwrap_or_default();
        let now = late(performance);
        for updater in before.symmetric_difference(&now) {
            let begins = format!("updater {updater}: ");
            let words = || judgement.iter().find(|words| words.starts_with(&begins));
            let some = || words().cloned().unwrap_or_else(|| format!("{begins}sets of it are late"));
            self.tell_of(at, updater, now.contains(updater).then(some));
        }
    }

    /// One that is away is not judged, nor is one that another manager watches.
    pub(super) fn forget_updates(&mut self, at: usize, why: &str) {
        for updater in self.performance[at].late.forget() {
            self.note(at, IN_TIME, format!("updater {updater}: is not judged, {why}"));
        }
    }

    /// What follows from what a daemon was told is foreseen.
    pub(super) fn note_told(&mut self, at: usize, outcomes: &[Outcome], now_ms: u64) {
        let matters = |outcome: &Outcome| {
            let touched = touches(outcome.step.request.id);
            outcome.refusal.is_none() && matches!(touched, Touched::Updaters | Touched::Plugins)
        };
        if outcomes.iter().any(matters) {
            self.performance[at].told_ms = now_ms;
        }
    }

    /// Tells that an updater is late, in these words, or is no longer.
    fn tell_of(&mut self, at: usize, updater: &str, late: Option<String>) {
        match late {
            Some(words) => self.note(at, LATE, words),
            None => {
                self.note(at, IN_TIME, format!("updater {updater}: none of its sets counts as late any more"))
            }
        }
    }

    fn note(&mut self, at: usize, kind: &'static str, text: String) {
        let subject = self.conductor.desired().daemons[at].name.to_string();
        self.news.push(Event { kind, subject, text });
    }

    /// The updates of an aggregator as programs see them; null where there are none.
    pub(super) fn updates_of(&self, at: usize) -> Value {
        let late = &self.performance[at].late;
        late.totals().map_or(Value::Null, |totals| {
            let mut value = json!(totals);
            value["updaters"] = json!(late.updaters());
            value
        })
    }
}

/// How well an aggregator does.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregatorFigures {
    /// Its name.
    pub name: Name,
    /// The mean time to the answer of a probe, milliseconds.
    pub answer_ms: Option<f64>,
    /// How much of its memory for sets it uses, percent.
    pub memory_percent: Option<f64>,
    /// How much its busiest thread works, percent.
    pub busy_percent: Option<f64>,
    /// What becomes of its updates.
    pub updates: Option<Totals>,
}

impl Manager {
    /// The figures of all aggregators, in the order of the configuration: as this manager has found them, or as others
    /// have told it, a minute ago at most.
    #[must_use]
    pub fn figures(&self) -> Vec<AggregatorFigures> {
        let core = self.lock();
        let daemons = core.conductor.desired().daemons.iter().enumerate();
        let aggregators = daemons.filter(|(_, daemon)| !daemon.member_of.is_empty());
        aggregators
            .map(|(at, daemon)| {
                let (performance, _) = core.performance_and_judgement(at);
                let number = |name: &str| performance[name].as_f64();
                AggregatorFigures {
                    name: daemon.name.clone(),
                    answer_ms: number("mean_latency_ms"),
                    memory_percent: number("memory_used_percent"),
                    busy_percent: number("busiest_thread_percent"),
                    updates: Totals::deserialize(&performance["updates"]).ok(),
                }
            })
            .collect()
    }
}
