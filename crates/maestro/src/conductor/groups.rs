//! Who carries what: units, their weights, adoption of what is found, the balance, and what follows for one aggregator.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::balance::{self, Bin, Work};
use crate::model::{BalanceBy, Name, Source};
use crate::plan::exactly;
use crate::seen::State;

use super::{Conductor, Handover, Health, MAX_SETTLE_MS};

/// What is assigned as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Unit {
    /// The producer.
    pub producer: u32,
    /// One set of it, where single sets are divided.
    pub set: Option<Name>,
}

/// Who carries what in a group.
#[derive(Clone, Debug, Default)]
pub struct Assignment {
    /// The units. Without sets, unit and producer have the same position.
    pub units: Vec<Unit>,
    /// The place in the group of the aggregator of each unit.
    pub at: Vec<Option<u16>>,
    /// Whether it has been decided at least once.
    pub ready: bool,
    /// Counts its changes.
    pub generation: u64,
    /// Moves of which the old aggregator still collects, by producer.
    pub handovers: BTreeMap<usize, Handover>,
    /// When producers last went to another aggregator because the old one had failed, or were left to it by one that
    /// failed while it let go.
    pub(super) fled_ms: BTreeMap<usize, u64>,
    /// Places that carry more than their limit.
    pub over: Vec<usize>,
    /// The producers of each place, where whole producers are divided.
    places: Vec<Vec<u32>>,
    /// What the units weigh; none while that has to be found out anew.
    pub(super) weights: Option<Arc<[u64]>>,
    pub(super) dirty: bool,
    pub(super) by_sets: bool,
}

impl Assignment {
    /// Whether the aggregator at `place` carries something of a producer.
    #[must_use]
    pub fn carries(&self, producer: usize, place: usize) -> bool {
        let here = |at: &Option<u16>| at.is_some_and(|at| usize::from(at) == place);
        if self.by_sets {
            return self
                .units
                .iter()
                .zip(&self.at)
                .any(|(unit, at)| unit.producer as usize == producer && here(at));
        }
        self.at.get(producer).is_some_and(here)
    }

    /// Gives each unit its place.
    pub(super) fn set(&mut self, at: Vec<Option<u16>>) -> Vec<Option<u16>> {
        self.places.iter_mut().for_each(Vec::clear);
        if !self.by_sets {
            for (producer, place) in at.iter().enumerate() {
                let Some(place) = place.map(usize::from) else { continue };
                if self.places.len() <= place {
                    self.places.resize_with(place + 1, Vec::new);
                }
                self.places[place].push(u32::try_from(producer).unwrap_or(u32::MAX));
            }
        }
        std::mem::replace(&mut self.at, at)
    }

    /// The producers of a place, in order, where whole producers are divided.
    pub(super) fn of_place(&self, place: usize) -> &[u32] {
        self.places.get(place).map_or(&[], Vec::as_slice)
    }

    /// How many units each of `count` aggregators carries.
    #[must_use]
    pub fn counts(&self, count: usize) -> Vec<usize> {
        let mut counts = vec![0; count];
        for at in self.at.iter().flatten() {
            if let Some(count) = counts.get_mut(usize::from(*at)) {
                *count += 1;
            }
        }
        counts
    }
}

/// At the first decision about a group an aggregator that refuses connections may just be starting, for so long.
const STARTING_MS: u64 = 1_000;

/// So much longer than for others it is waited for daemons that another manager watches.
const HEARSAY_MS: u64 = 5_000;

/// While units wait to be moved to level the load, they are looked at again after this time.
const LEVEL_MS: u64 = 200;

impl Conductor {
    /// Brings the list of units up to date, keeping what is assigned.
    pub(super) fn refresh_units(&mut self, group: usize) {
        let desired = &self.desired.groups[group];
        let by_sets =
            desired.by == BalanceBy::Sets && desired.producers.iter().any(|p| self.is_sampler(p.daemon));
        let assignment = &self.assignments[group];
        if !by_sets {
            if assignment.units.len() != desired.producers.len() || assignment.by_sets {
                let kept = self.places_by_producer(group);
                let assignment = &mut self.assignments[group];
                let count = u32::try_from(desired.producers.len()).unwrap_or(u32::MAX);
                assignment.units = (0..count).map(|producer| Unit { producer, set: None }).collect();
                let at = (0..count).map(|producer| kept.get(&producer).copied()).collect();
                assignment.by_sets = false;
                assignment.weights = None;
                assignment.set(at);
                assignment.dirty = true;
            }
            return;
        }
        let mut units = Vec::new();
        for (at, producer) in desired.producers.iter().enumerate() {
            let at = u32::try_from(at).unwrap_or(u32::MAX);
            let mut sets = self.sets_of(producer.daemon);
            if sets.is_empty() {
                units.push(Unit { producer: at, set: None });
            }
            units.extend(sets.drain(..).map(|set| Unit { producer: at, set: Some(set) }));
        }
        if units == assignment.units && assignment.by_sets {
            return;
        }
        let kept: HashMap<&Unit, u16> = assignment
            .units
            .iter()
            .zip(&assignment.at)
            .filter_map(|(unit, at)| Some((unit, (*at)?)))
            .collect();
        let mut at: Vec<Option<u16>> = units.iter().map(|unit| kept.get(unit).copied()).collect();
        // A leader may have decided about a unit before it was known here.
        if let Some(given) = self.given.get(&desired.name).filter(|_| !self.leading) {
            let places = self.places_by_name(group);
            for (unit, at) in units.iter().zip(&mut at).filter(|(_, at)| at.is_none()) {
                *at = given.get(&self.unit_key(group, unit)).and_then(|name| places.get(&**name).copied());
            }
        }
        let assignment = &mut self.assignments[group];
        assignment.units = units;
        assignment.by_sets = true;
        assignment.weights = None;
        assignment.set(at);
        assignment.dirty = true;
    }

    fn places_by_producer(&self, group: usize) -> HashMap<u32, u16> {
        let assignment = &self.assignments[group];
        assignment
            .units
            .iter()
            .zip(&assignment.at)
            .filter_map(|(unit, at)| Some((unit.producer, (*at)?)))
            .collect()
    }

    fn is_sampler(&self, daemon: Option<usize>) -> bool {
        daemon.is_some_and(|daemon| self.desired.daemons[daemon].member_of.is_empty())
    }

    /// The sets of a sampler: those it has, and those it will have when it is configured.
    pub(super) fn sets_of(&self, daemon: Option<usize>) -> Vec<Name> {
        let Some(daemon) = daemon else { return Vec::new() };
        let desired = &self.desired.daemons[daemon];
        let seen = self.tracks[daemon].seen.as_ref();
        let mut sets: Vec<Name> = match (seen, &self.tracks[daemon].sampled) {
            (Some(seen), _) => seen.sets.keys().map(|set| set.as_str().into()).collect(),
            // It has not been looked at since a change of the configuration.
            (None, Some(sampled)) => sampled.keys().cloned().collect(),
            (None, None) => Vec::new(),
        };
        for plugin in &desired.plugins {
            let there = seen.and_then(|seen| seen.plugins.get(&*plugin.name));
            let has_sets = there.is_some_and(|there| !there.sets.is_empty());
            if let Some(set) = &plugin.set
                && !has_sets
                && !sets.contains(set)
            {
                sets.push(set.clone());
            }
        }
        sets
    }

    /// The aggregators of a group as places for work.
    pub(super) fn bins(&self, group: usize, now_ms: u64) -> Vec<Bin> {
        let members = &self.desired.groups[group].aggregators;
        let there = |daemon: usize| {
            let track = &self.tracks[daemon];
            let drained = self.drained.contains(&self.desired.daemons[daemon].name);
            track.health == Health::Up && track.seen.is_some() && !drained
        };
        // Nobody above collects from one that is under suspicion: it gets something only where there is no other.
        let suspect = |daemon: usize| self.tracks[daemon].suspect;
        let others = members.iter().any(|member| there(member.daemon) && !suspect(member.daemon));
        let bin = |member: &crate::model::Member| Bin {
            capacity: member.capacity,
            open: there(member.daemon) && !(others && suspect(member.daemon)),
            settled: now_ms >= self.settled_ms(member.daemon),
            limit: member.limit,
        };
        members.iter().map(bin).collect()
    }

    /// From when on an aggregator takes part in levelling: at once at the start, later the more often it has failed.
    fn settled_ms(&self, daemon: usize) -> u64 {
        if self.tracks[daemon].failures.is_empty() {
            return 0;
        }
        let failures = u32::try_from(self.tracks[daemon].failures.len()).unwrap_or(u32::MAX);
        let factor = 1_u64 << failures.saturating_sub(1).min(10);
        let settle_ms =
            self.settings.settle_ms.saturating_mul(factor).min(MAX_SETTLE_MS.max(self.settings.settle_ms));
        self.tracks[daemon].since_ms + settle_ms
    }

    /// Whether all aggregators of a group are known, or have had their time since the start or the last change of the
    /// configuration.
    fn is_synced(&self, group: usize, now_ms: u64) -> bool {
        let starting = now_ms < self.started_ms + self.starting_ms() && !self.assignments[group].ready;
        let members = &self.desired.groups[group].aggregators;
        let in_time = |daemon: usize| now_ms < self.synced_ms(daemon);
        members.iter().all(|member| match self.tracks[member.daemon].health {
            Health::Unknown => !in_time(member.daemon),
            Health::Up => self.tracks[member.daemon].seen.is_some() || !in_time(member.daemon),
            Health::Hung => true,
            Health::Down => !starting,
        })
    }

    /// Until when a daemon is waited for: one that another manager has to look at first, and to tell of, has more time.
    fn synced_ms(&self, daemon: usize) -> u64 {
        let more_ms = if self.watched[daemon] { 0 } else { HEARSAY_MS };
        self.started_ms + self.settings.sync_ms + more_ms
    }

    fn starting_ms(&self) -> u64 {
        STARTING_MS.min(self.settings.sync_ms)
    }

    pub(super) fn rebalance(&mut self, now_ms: u64) {
        let passed_s = now_ms.saturating_sub(self.refilled_ms) as f64 / 1000.0;
        let most = self.settings.moves_per_s.max(1.0);
        self.allowance = (self.allowance + passed_s * self.settings.moves_per_s).min(most);
        self.refilled_ms = now_ms;
        let due = self.level_ms.is_some_and(|at_ms| at_ms <= now_ms);
        if due {
            self.level_ms = None;
        }
        for group in 0..self.assignments.len() {
            if self.assignments[group].dirty || due || !self.assignments[group].ready {
                self.rebalance_group(group, now_ms);
            }
        }
    }

    fn rebalance_group(&mut self, group: usize, now_ms: u64) {
        if !self.is_synced(group, now_ms) {
            let starting_ms = self.started_ms + self.starting_ms();
            let sync_ms = self.started_ms + self.settings.sync_ms;
            let later_ms = [starting_ms, sync_ms].into_iter().find(|at_ms| now_ms < *at_ms);
            self.wake_at(later_ms.unwrap_or(sync_ms + HEARSAY_MS).max(now_ms + 1));
            return;
        }
        self.refresh_units(group);
        let first = !self.assignments[group].ready;
        if first {
            self.adopt(group);
        }
        let before = self.assignments[group].at.clone();
        let weights = match &self.assignments[group].weights {
            Some(known) => Arc::clone(known),
            None => {
                let weights: Arc<[u64]> = self.weights(group).into();
                self.assignments[group].weights = Some(Arc::clone(&weights));
                weights
            }
        };
        let bins = self.bins(group, now_ms);
        let mut at = before.clone();
        let desired = &self.desired.groups[group];
        // Only listeners make advertised producers.
        let restricted = !desired.listeners.is_empty()
            && desired.producers.iter().any(|producer| producer.source == Source::Advertised);
        let allowed = |unit: usize, bin: usize| self.is_allowed(group, unit, bin);
        let measures = self.measures(group, &bins);
        let work = Work {
            weights: &weights,
            bins: &bins,
            measures: &measures,
            allowed: if restricted { Some(&allowed) } else { None },
        };
        let placed = balance::place(&work, &mut at);
        let in_time = now_ms < self.started_ms + self.settings.sync_ms;
        let guesses = in_time && !self.knows_weights(group);
        let budget = if guesses { 0 } else { self.allowance.floor().max(0.0) as usize };
        let levelled = balance::level(&work, &mut at, budget);
        let over = balance::over_limit(&work, &at);
        let kept = self.keep_handovers(group, &before, &mut at, now_ms);
        self.allowance -= levelled.len() as f64;
        if kept {
            self.wake_at(now_ms + LEVEL_MS);
        }
        if guesses {
            self.wake_at(self.started_ms + self.settings.sync_ms);
        } else if levelled.len() >= budget && self.settings.moves_per_s > 0.0 {
            self.wake_at(now_ms + LEVEL_MS);
        }
        let members = self.desired.groups[group].aggregators.iter().zip(&bins);
        let unsettled = members.filter(|(_, bin)| bin.open && !bin.settled);
        if let Some(at_ms) = unsettled.map(|(member, _)| self.settled_ms(member.daemon)).min() {
            self.wake_at(at_ms);
        }
        let assignment = &mut self.assignments[group];
        if assignment.at != at {
            assignment.set(at);
        }
        assignment.dirty = false;
        assignment.ready = true;
        let newly: Vec<usize> = over.iter().copied().filter(|bin| !assignment.over.contains(bin)).collect();
        assignment.over = over;
        self.tell_over(group, &newly);
        let assignment = &mut self.assignments[group];
        if first || assignment.at != before {
            assignment.generation += 1;
            self.begin_handovers(group, &before, now_ms);
            self.wake_members(group, &before, first);
            self.tell_moves(group, &before, placed.len(), levelled.len());
        }
    }

    fn tell_over(&mut self, group: usize, places: &[usize]) {
        for place in places {
            let daemon = self.desired.groups[group].aggregators[*place].daemon;
            let name = self.desired.daemons[daemon].name.clone();
            let text =
                "carries more than the limit that is configured for it: nobody else has room".to_owned();
            self.tell("over-limit", &name, text);
        }
    }

    pub(super) fn wake_at(&mut self, at_ms: u64) {
        if self.leading && !self.hands_off {
            self.level_ms = Some(self.level_ms.map_or(at_ms, |other| other.min(at_ms)));
        }
    }

    /// Those who gain or lose something look again.
    pub(super) fn wake_members(&mut self, group: usize, before: &[Option<u16>], all: bool) {
        let members = &self.desired.groups[group].aggregators;
        let mut touched = vec![all; members.len()];
        for (old, new) in before.iter().zip(&self.assignments[group].at) {
            if old != new {
                for place in [old, new].into_iter().flatten() {
                    if let Some(touched) = touched.get_mut(usize::from(*place)) {
                        *touched = true;
                    }
                }
            }
        }
        for (member, touched) in members.iter().zip(touched) {
            if touched {
                self.dirty.insert(member.daemon);
            }
        }
    }

    fn tell_moves(&mut self, group: usize, before: &[Option<u16>], placed: usize, levelled: usize) {
        let assignment = &self.assignments[group];
        let changes = before.iter().zip(&assignment.at).filter(|(old, new)| old != new && old.is_some());
        let mut ways: BTreeMap<(u16, u16), usize> = BTreeMap::new();
        for (old, new) in changes {
            if let (Some(old), Some(new)) = (old, new) {
                *ways.entry((*old, *new)).or_default() += 1;
            }
        }
        let name = |place: u16| {
            let member = self.desired.groups[group].aggregators.get(usize::from(place));
            member
                .map_or_else(|| "?".to_owned(), |member| self.desired.daemons[member.daemon].name.to_string())
        };
        let list: Vec<String> = ways
            .iter()
            .map(|((old, new), count)| format!("{count} from {} to {}", name(*old), name(*new)))
            .collect();
        let subject = self.desired.groups[group].name.clone();
        let text = match (list.is_empty(), levelled) {
            (true, _) => format!("{placed} assigned"),
            (false, 0) => format!("moved {}", list.join(", ")),
            (false, _) => format!("moved to even the load: {}", list.join(", ")),
        };
        self.tell(if list.is_empty() { "assigned" } else { "moved" }, &subject, text);
    }

    fn is_allowed(&self, group: usize, unit: usize, place: usize) -> bool {
        let producer = self.assignments[group].units[unit].producer as usize;
        if self.desired.groups[group].producers[producer].source != Source::Advertised {
            return true;
        }
        self.state_on(group, place, producer) != State::Absent
    }

    /// The state of a producer on an aggregator.
    pub(super) fn state_on(&self, group: usize, place: usize, producer: usize) -> State {
        let daemon = self.desired.groups[group].aggregators[place].daemon;
        let entry = self.desired.daemons[daemon].member_of.iter().position(|(other, _)| *other == group);
        let seen = self.tracks[daemon].seen.as_ref();
        let list = seen.zip(entry).and_then(|(seen, entry)| seen.producers.get(entry));
        list.and_then(|list| list.get(producer)).map_or(State::Absent, |producer| producer.state)
    }

    /// What runs stays where it runs: whoever is found collecting a unit keeps it.
    fn adopt(&mut self, group: usize) {
        let desired = &self.desired.groups[group];
        let remembered = self.remembered.get(&*desired.name);
        let by_name = remembered.map(|_| self.places_by_name(group)).unwrap_or_default();
        let mut loads = vec![0_usize; desired.aggregators.len()];
        let mut at = self.assignments[group].at.clone();
        let open = self.assignments[group].units.iter().zip(&at).filter(|(_, place)| place.is_none());
        let open: HashSet<u32> = open.map(|(unit, _)| unit.producer).collect();
        if open.is_empty() {
            return;
        }
        let busy = self.collectors_of_these(group, &open);
        for (unit, place) in self.assignments[group].units.iter().zip(&mut at) {
            if place.is_some() {
                continue;
            }
            let known = remembered.and_then(|known| known.get(&self.unit_key(group, unit)));
            let known = known.and_then(|name| by_name.get(name.as_str())).map(|place| usize::from(*place));
            let runs = |place: &usize| self.collects(group, *place, unit);
            let on = busy.get(&unit.producer).map_or(&[][..], Vec::as_slice);
            let found = known
                .filter(runs)
                .or_else(|| on.iter().copied().filter(runs).min_by_key(|place| loads[*place]));
            if let Some(found) = found.or(known) {
                loads[found] += 1;
                *place = u16::try_from(found).ok();
            }
        }
        self.assignments[group].set(at);
    }

    /// The name under which a unit is remembered.
    pub(super) fn unit_key(&self, group: usize, unit: &Unit) -> String {
        let producer = &self.desired.groups[group].producers[unit.producer as usize].name;
        unit.set.as_ref().map_or_else(|| producer.to_string(), |set| format!("{producer} {set}"))
    }

    /// Whether an aggregator that answers is seen collecting a unit.
    pub(super) fn collects(&self, group: usize, place: usize, unit: &Unit) -> bool {
        let daemon = self.desired.groups[group].aggregators[place].daemon;
        let track = &self.tracks[daemon];
        if track.health != Health::Up || !self.state_on(group, place, unit.producer as usize).is_active() {
            return false;
        }
        let (Some(set), Some(seen)) = (&unit.set, &track.seen) else { return true };
        let wanted = (exactly(set), false);
        seen.updaters.values().any(|updater| updater.matches.contains(&wanted))
    }

    /// Places of the aggregators that are seen to have one of these producers running, or stopping.
    fn collectors_of_these(&self, group: usize, producers: &HashSet<u32>) -> HashMap<u32, Vec<usize>> {
        let mut places: HashMap<u32, Vec<usize>> = HashMap::new();
        for (place, member) in self.desired.groups[group].aggregators.iter().enumerate() {
            let entry = self.desired.daemons[member.daemon].member_of.iter().position(|(at, _)| *at == group);
            let noted = entry.and_then(|entry| self.tracks[member.daemon].noted.get(entry));
            let busy = noted.map_or(&[][..], |noted| &noted.busy);
            for producer in busy.iter().filter(|producer| producers.contains(producer)) {
                places.entry(*producer).or_default().push(place);
            }
        }
        places
    }

    /// The aggregators of a group by name.
    fn places_by_name(&self, group: usize) -> HashMap<&str, u16> {
        let members = self.desired.groups[group].aggregators.iter().enumerate();
        members
            .filter_map(|(place, member)| {
                Some((&*self.desired.daemons[member.daemon].name, u16::try_from(place).ok()?))
            })
            .collect()
    }

    /// Takes over an assignment decided by another manager, keys as [`Self::export`] gives them, and the handovers that
    /// it has begun ([`Self::handing_over`]).
    pub fn follow(
        &mut self,
        group: usize,
        held: Arc<BTreeMap<String, String>>,
        handing: &BTreeMap<String, String>,
        now_ms: u64,
    ) {
        self.given.insert(self.desired.groups[group].name.clone(), Arc::clone(&held));
        let (before, first) = self.take_over(group, &held);
        self.follow_handovers(group, handing, now_ms);
        self.wake_members(group, &before, first);
    }

    /// Takes over an assignment of before. Keys as [`Self::export`] gives them.
    pub fn import(&mut self, group: usize, held: &BTreeMap<String, String>, now_ms: u64) {
        let (before, first) = self.take_over(group, held);
        self.begin_handovers(group, &before, now_ms);
        self.wake_members(group, &before, first);
    }

    fn take_over(&mut self, group: usize, held: &BTreeMap<String, String>) -> (Vec<Option<u16>>, bool) {
        self.refresh_units(group);
        let places = self.places_by_name(group);
        let at: Vec<Option<u16>> = self.assignments[group]
            .units
            .iter()
            .map(|unit| {
                held.get(&self.unit_key(group, unit)).and_then(|name| places.get(name.as_str()).copied())
            })
            .collect();
        let before = self.assignments[group].set(at);
        let first = !std::mem::replace(&mut self.assignments[group].ready, true);
        (before, first)
    }

    /// Who carries what, by names: what [`Self::import`] and [`Conductor::remember`] take.
    #[must_use]
    pub fn export(&self, group: usize) -> BTreeMap<String, String> {
        let assignment = &self.assignments[group];
        let name = |place: u16| {
            let member = self.desired.groups[group].aggregators.get(usize::from(place))?;
            Some(self.desired.daemons[member.daemon].name.to_string())
        };
        let pairs = assignment.units.iter().zip(&assignment.at);
        pairs.filter_map(|(unit, at)| Some((self.unit_key(group, unit), name((*at)?)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conductor::{Settings, fixture};
    use crate::model::Schedule;
    use crate::seen::{Seen, SetSeen};

    fn sampling(sets: &[&str]) -> Seen {
        let set = SetSeen {
            data_bytes: 500,
            schedule: Some(Schedule { interval_us: 1_000_000, offset_us: None }),
            generation: 1,
            changed_ms: 0,
        };
        Seen { sets: sets.iter().map(|name| ((*name).to_owned(), set.clone())).collect(), ..Seen::default() }
    }

    #[test]
    fn a_set_that_appears_later_is_assigned_and_expected_and_moves_no_other() {
        let desired = fixture::desired(&fixture::file(4, 2), BalanceBy::Sets);
        let mut conductor = Conductor::new(desired, Settings::default(), 0);
        (0..6).for_each(|daemon| conductor.up(daemon, 10));
        for (daemon, set) in ["s1/mem", "s2/mem", "s3/mem", "s4/mem"].into_iter().enumerate() {
            conductor.observe(daemon, sampling(&[set]));
        }
        (4..6).for_each(|aggregator| conductor.observe(aggregator, Seen::default()));
        conductor.decide(10_000);
        let before = conductor.export(0);
        assert_eq!((before.len(), conductor.assignment(0).counts(2)), (4, vec![2, 2]));
        conductor.observe(0, sampling(&["s1/mem", "s1/job-1", "s1/job-2"]));
        conductor.decide(20_000);
        let after = conductor.export(0);
        assert_eq!((after.len(), conductor.assignment(0).counts(2)), (6, vec![3, 3]));
        assert!(before.iter().all(|(unit, by)| after.get(unit) == Some(by)), "{before:?} {after:?}");
        let expected = crate::coverage::expected(conductor.desired(), &|daemon| conductor.sampled(daemon));
        assert_eq!(expected.len(), 6);
        // And one that is gone is nobody's.
        conductor.observe(0, sampling(&["s1/mem", "s1/job-2"]));
        conductor.decide(30_000);
        assert_eq!(conductor.export(0).len(), 5);
    }
}
