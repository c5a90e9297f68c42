//! Planned moves without a gap: the new aggregator collects first, the old one lets go when it is no longer needed. Pure.
//!
//! **Expected flow.** A unit is given to another aggregator while the old one still collects it and both are well: a
//! [`Handover`] begins. The new one starts the producer, and is looked at every [`LOOK_MS`]; when it has a sample of
//! every set of it, the old one stops. The tier above knows the sets of the new one by then, and takes them as soon as
//! those of the old one are gone.
//!
//! **Guarantees.** Both collect for [`Conductor::overlap_ms`] at most once the new one is connected. A producer that the
//! new aggregator cannot reach stays with the old one until it can. What moves because an aggregator failed is no
//! handover: an old one that answers again lets go at once.
//!
//! **What ldmsd does not bear.** While two aggregators offer a set of one name, the tier above has it from the first, and
//! refuses the other's without asking for it. Only when it has *none* of both, because it has just been started, or because
//! the sampler was, does it ask both at once; then it takes the end of the one it did not take for the end of the other, and
//! can never again have a set of that name (4.5.1: `LDMS_SET_F_PDEL`, then a leaked reference at every update). So a
//! handover is carried through once it has begun; it ends at once when a daemon above or the sampler fails or returns; none
//! begins before the tier above can have the sets again that it lost by a failure ([`Conductor::dwell_ms`]); and nobody
//! above starts a producer before it has ended. An aggregator that hung, perhaps just while it let go, stays cut off from
//! above until all that it had has arrived there by others ([`Conductor::clear_suspicion`]). With three tiers that was
//! not enough: in one of some ten runs on real daemons a set never reached the third tier again. So there, and higher, a
//! move breaks before it makes.

use std::collections::{BTreeMap, BTreeSet};

use campanile_ldms::api::updater::MatchField;

use crate::model::Group;
use crate::seen::State;

use super::{Conductor, Health, Look};

/// How often the new aggregator is looked at.
pub(super) const LOOK_MS: u64 = 250;
/// How long both may collect, beside three intervals of the updater: connecting, and the second that ldmsd waits between
/// a lookup and the first update.
const OVERLAP_MS: u64 = 5_000;

/// A producer that goes from one aggregator to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// Place of the old aggregator.
    pub from: usize,
    /// Place of the new one.
    pub to: usize,
    /// When it began.
    since_ms: u64,
    /// When the new one was first seen to be connected.
    connected_ms: Option<u64>,
    /// So many sets had samples at the last look.
    sampled: usize,
    /// The old one is no longer needed.
    over: bool,
}

/// When a set of a producer was sampled, as its aggregator has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetTime {
    /// The producer.
    pub producer: String,
    /// The set.
    pub set: String,
    /// Its schema.
    pub schema: String,
    /// Microseconds since the epoch; 0 when it has no sample yet.
    pub at_us: u64,
}

impl Handover {
    /// Whether the old one is no longer needed.
    pub(super) const fn is_over(&self) -> bool {
        self.over
    }

    /// The old one is no longer needed.
    pub(super) const fn end(&mut self) {
        self.over = true;
    }
}

impl Conductor {
    /// How long both aggregators of a handover may collect, from the connection of the new one.
    pub(super) fn overlap_ms(group: &Group) -> u64 {
        let longest_us = group.updaters.iter().map(|updater| updater.schedule.interval_us).max().unwrap_or(0);
        OVERLAP_MS + 3 * u64::try_from(longest_us).unwrap_or(0) / 1_000
    }

    /// Begins handovers of what has just been given to others.
    pub(super) fn begin_handovers(&mut self, group: usize, before: &[Option<u16>], now_ms: u64) {
        let breaks = self.assignments[group].by_sets || !self.may_hand_over(group);
        for (unit, old) in before.iter().enumerate() {
            let new = self.assignments[group].at.get(unit).copied().flatten();
            if *old == new {
                continue;
            }
            let producer =
                self.assignments[group].units.get(unit).map_or(unit, |unit| unit.producer as usize);
            let known = self.assignments[group].handovers.remove(&producer);
            let from = known.map(|known| known.from).or(old.map(usize::from));
            let (Some(from), Some(to)) = (from, new.map(usize::from)) else { continue };
            if from != to && self.serves(group, from, producer) {
                if breaks {
                    continue;
                }
                let handover =
                    Handover { from, to, since_ms: now_ms, connected_ms: None, sampled: 0, over: false };
                self.assignments[group].handovers.insert(producer, handover);
            } else if from != to {
                self.assignments[group].fled_ms.insert(producer, now_ms);
            }
        }
    }

    /// Takes over the handovers that a leader has under way: for each producer the old aggregator.
    pub(super) fn follow_handovers(&mut self, group: usize, from: &BTreeMap<String, String>, now_ms: u64) {
        let desired = &self.desired.groups[group];
        let place = |name: &str| {
            let is = |member: &crate::model::Member| *self.desired.daemons[member.daemon].name == *name;
            desired.aggregators.iter().position(is)
        };
        let mut known = std::mem::take(&mut self.assignments[group].handovers);
        let mut handovers = BTreeMap::new();
        for (producer, from) in from {
            let at = desired.index.get(producer.as_str()).copied();
            let to = at.and_then(|at| self.assignments[group].at.get(at).copied().flatten()).map(usize::from);
            let (Some(at), Some(from), Some(to)) = (at, place(from), to) else { continue };
            if from == to {
                continue;
            }
            let same = known.remove(&at).filter(|known| known.from == from && known.to == to);
            let begun =
                || Handover { from, to, since_ms: now_ms, connected_ms: None, sampled: 0, over: false };
            handovers.insert(at, same.unwrap_or_else(begun));
        }
        self.assignments[group].handovers = handovers;
    }

    /// The handovers of a group that are under way: for each producer the old aggregator, by names.
    #[must_use]
    pub fn handing_over(&self, group: usize) -> BTreeMap<String, String> {
        let desired = &self.desired.groups[group];
        let name = |place: usize| {
            let member = desired.aggregators.get(place)?;
            Some(self.desired.daemons[member.daemon].name.to_string())
        };
        let handovers = self.assignments[group].handovers.iter();
        handovers
            .filter_map(|(at, one)| Some((desired.producers.get(*at)?.name.to_string(), name(one.from)?)))
            .collect()
    }

    /// Whether it collects from samplers alone, and nobody collects from those above it.
    fn may_hand_over(&self, group: usize) -> bool {
        let of_samplers = self.desired.groups[group]
            .producers
            .iter()
            .filter_map(|producer| producer.daemon)
            .all(|daemon| self.desired.daemons[daemon].member_of.is_empty());
        of_samplers && self.above(group).iter().all(|upper| self.above(*upper).is_empty())
    }

    /// Whether an aggregator is well, and connected to a producer, or will be: that it has connected since it was last
    /// looked at may not be known yet.
    fn serves(&self, group: usize, place: usize, producer: usize) -> bool {
        let Some(member) = self.desired.groups[group].aggregators.get(place) else { return false };
        let track = &self.tracks[member.daemon];
        let peer = self.desired.groups[group].producers[producer].daemon;
        let answers = peer.is_some_and(|peer| self.tracks[peer].health == Health::Up);
        track.health == Health::Up
            && !track.suspect
            && match self.state_on(group, place, producer) {
                State::Connected => true,
                State::Trying => answers,
                _ => false,
            }
    }

    /// Whether the old aggregator of a handover has to go on.
    pub(super) fn is_handing_over(&self, group: usize, producer: usize) -> Option<&Handover> {
        let handover = self.assignments[group].handovers.get(&producer)?;
        (!handover.over && self.serves(group, handover.from, producer)).then_some(handover)
    }

    /// Ends handovers that have had their time, or whose old aggregator has let go.
    pub(super) fn tend_handovers(&mut self, now_ms: u64) {
        for group in 0..self.assignments.len() {
            if self.assignments[group].handovers.is_empty() {
                continue;
            }
            let overlap_ms = Self::overlap_ms(&self.desired.groups[group]);
            let mut handovers = std::mem::take(&mut self.assignments[group].handovers);
            handovers.retain(|producer, handover| {
                if !self.serves(group, handover.from, *producer) {
                    let ended_by_failure = !handover.over;
                    if ended_by_failure {
                        self.assignments[group].fled_ms.insert(*producer, now_ms);
                    }
                    return false;
                }
                let connected = self.state_on(group, handover.to, *producer) == State::Connected;
                if handover.connected_ms.is_none() && connected {
                    handover.connected_ms = Some(now_ms);
                }
                if !handover.over && handover.connected_ms.is_some_and(|at_ms| now_ms >= at_ms + overlap_ms) {
                    handover.over = true;
                    self.dirty.insert(self.desired.groups[group].aggregators[handover.from].daemon);
                }
                // Another manager sets the new one, and may not know of the handover any more: then it waits until
                // this one has let go.
                let to = self.desired.groups[group].aggregators[handover.to].daemon;
                let tries = self.state_on(group, handover.to, *producer).is_active();
                if !handover.over && !self.mine[to] && !tries && now_ms >= handover.since_ms + overlap_ms {
                    handover.over = true;
                    self.dirty.insert(self.desired.groups[group].aggregators[handover.from].daemon);
                }
                true
            });
            if handovers.is_empty() {
                for upper in self.above(group) {
                    let members = self.desired.groups[upper].aggregators.iter().map(|member| member.daemon);
                    self.dirty.extend(members.filter(|member| self.tracks[*member].waits));
                }
            }
            self.assignments[group].handovers = handovers;
        }
    }

    /// Ends at once what must not be under way when a daemon above, or the sampler, has failed or is back.
    pub(super) fn cut_handovers(&mut self, daemon: usize) {
        for group in 0..self.assignments.len() {
            if self.assignments[group].handovers.is_empty() {
                continue;
            }
            let above = self.above(group);
            let is_above = self.desired.daemons[daemon].member_of.iter().any(|(of, _)| above.contains(of));
            for (producer, handover) in &mut self.assignments[group].handovers {
                let is_source = self.desired.groups[group].producers[*producer].daemon == Some(daemon);
                if (is_above || is_source) && !handover.over {
                    handover.over = true;
                    self.dirty.insert(self.desired.groups[group].aggregators[handover.from].daemon);
                }
            }
        }
    }

    /// Whether a group below has handovers that are not stuck: nothing is to be started in this one.
    pub(super) fn waits_for_below(&self, group: usize, now_ms: u64) -> bool {
        (0..self.assignments.len())
            .any(|other| self.is_busy_with(other, now_ms) && self.above(other).contains(&group))
    }

    fn is_busy_with(&self, group: usize, now_ms: u64) -> bool {
        let stuck_ms = Self::overlap_ms(&self.desired.groups[group]);
        self.assignments[group].handovers.values().any(|one| now_ms < one.since_ms + stuck_ms)
    }

    /// What is under way stays where it goes, as long as whoever it goes to is well; and nothing else is begun while
    /// another tier on the way has not finished (see [`super::renew`] for what ldmsd would make of it).
    pub(super) fn keep_handovers(
        &self,
        group: usize,
        before: &[Option<u16>],
        at: &mut [Option<u16>],
        now_ms: u64,
    ) -> bool {
        let mut kept = false;
        if at != before {
            let linked = self.linked_hands_over(group, now_ms);
            let unsettled = self.unsettled(group, now_ms);
            for (unit, what) in self.assignments[group].units.iter().enumerate() {
                if at[unit] == before[unit] {
                    continue;
                }
                let producer = what.producer as usize;
                let held = linked || unsettled.get(producer).copied().unwrap_or(false);
                let old = before[unit].map(usize::from);
                let planned = old.is_some_and(|old| self.serves(group, old, producer));
                if held && planned {
                    at[unit] = before[unit];
                    kept = true;
                }
            }
        }
        for (producer, handover) in &self.assignments[group].handovers {
            let member = &self.desired.groups[group].aggregators[handover.to];
            if self.tracks[member.daemon].health == Health::Up && at[*producer] != before[*producer] {
                at[*producer] = before[*producer];
                kept = true;
            }
        }
        kept
    }

    /// Whether a group above or below has handovers that are not stuck.
    fn linked_hands_over(&self, group: usize, now_ms: u64) -> bool {
        let busy = |other: &usize| *other != group && self.is_busy_with(*other, now_ms);
        let busy: Vec<usize> = (0..self.assignments.len()).filter(busy).collect();
        busy.iter().any(|other| self.above(group).contains(other) || self.above(*other).contains(&group))
    }

    /// The groups above a group.
    pub(super) fn above(&self, group: usize) -> BTreeSet<usize> {
        let mut above = BTreeSet::new();
        let mut next = vec![group];
        while let Some(group) = next.pop() {
            for member in &self.desired.groups[group].aggregators {
                for (upper, _) in &self.produces_in[member.daemon] {
                    if above.insert(*upper) {
                        next.push(*upper);
                    }
                }
            }
        }
        above
    }

    /// The producers that a daemon is taking over.
    pub(super) fn taking_over(&self, daemon: usize) -> Vec<String> {
        let mut names = Vec::new();
        for (group, place) in &self.desired.daemons[daemon].member_of {
            let taken =
                self.assignments[*group].handovers.iter().filter(|(_, one)| one.to == *place && !one.over);
            names.extend(taken.map(|(at, _)| self.desired.groups[*group].producers[*at].name.to_string()));
        }
        names
    }

    /// Takes in the times of the sets of producers that a daemon is taking over.
    pub(super) fn look_at_set_times(&mut self, daemon: usize, look: &Look) {
        let Some(times) = &look.set_times else { return };
        for (group, place) in self.desired.daemons[daemon].member_of.clone() {
            let desired = &self.desired.groups[group];
            let mut over = Vec::new();
            let mut handovers = std::mem::take(&mut self.assignments[group].handovers);
            for (at, handover) in handovers.iter_mut().filter(|(_, one)| one.to == place && !one.over) {
                let producer = &desired.producers[*at];
                let (mut sampled, mut waiting) = (0, 0);
                for time in times.iter().filter(|time| *time.producer == *producer.name) {
                    if !is_updated(desired, *at, time) {
                        continue;
                    }
                    *(if time.at_us > 0 { &mut sampled } else { &mut waiting }) += 1;
                }
                let known = producer.daemon.and_then(|daemon| self.tracks[daemon].sampled.as_ref());
                let all_there = desired.updaters.iter().any(|updater| !updater.matches.is_empty())
                    || known.is_none_or(|known| sampled >= known.len());
                // A directory may come in parts: twice the same is all of it.
                if sampled > 0 && waiting == 0 && all_there && handover.sampled == sampled {
                    handover.over = true;
                    self.untold.insert(daemon);
                    over.push(handover.from);
                }
                handover.sampled = if waiting == 0 { sampled } else { 0 };
            }
            self.assignments[group].handovers = handovers;
            for from in over {
                self.dirty.insert(self.desired.groups[group].aggregators[from].daemon);
            }
        }
    }

    /// Whether any move is under way of which the old aggregator still collects.
    #[must_use]
    pub fn hands_over(&self) -> usize {
        self.assignments.iter().map(|assignment| assignment.handovers.len()).sum()
    }
}

/// Whether a set of a producer is taken by an updater of its group.
fn is_updated(group: &Group, producer: usize, time: &SetTime) -> bool {
    let mut covering = group.updaters.iter().filter(|updater| updater.covers(producer)).peekable();
    if covering.peek().is_none() {
        return false;
    }
    covering.any(|updater| {
        updater.matches.is_empty()
            || updater.matches.iter().any(|(text, field)| {
                let name = if *field == MatchField::Schema { &time.schema } else { &time.set };
                // An expression that only ldmsd understands is taken to fit.
                regex::Regex::new(text).map_or(true, |regex| regex.is_match(name))
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conductor::{Settings, fixture};
    use crate::model::BalanceBy;
    use crate::seen::{ProducerSeen, Seen};

    /// What an aggregator is connected to; the rest is stopped.
    fn connected(conductor: &mut Conductor, place: usize, to: &[usize]) {
        let state = |at| if to.contains(&at) { State::Connected } else { State::Stopped };
        let producers =
            (0..6).map(|at| ProducerSeen { state: state(at), ..ProducerSeen::default() }).collect();
        conductor.observe(6 + place, Seen { producers: vec![producers], ..Seen::default() });
        conductor.done(6 + place, Vec::new(), 0);
    }

    /// Six samplers, two with each of three aggregators.
    fn begun() -> Conductor {
        let desired = fixture::desired(&fixture::file(6, 3), BalanceBy::Producers);
        let mut conductor = Conductor::new(desired, Settings::default(), 0);
        (0..9).for_each(|daemon| conductor.up(daemon, 10));
        (0..6).for_each(|sampler| conductor.observe(sampler, Seen::default()));
        for place in 0..3 {
            connected(&mut conductor, place, &[place, place + 3]);
        }
        conductor.decide(10_000);
        assert_eq!(conductor.assignment(0).at, [0, 1, 2, 0, 1, 2].map(Some));
        conductor
    }

    fn drained(conductor: &mut Conductor, now_ms: u64) {
        conductor.set_drained([conductor.desired().daemons[6].name.clone()].into());
        conductor.decide(now_ms);
    }

    /// Which producers the plan of an aggregator stops.
    fn stops(conductor: &Conductor, place: usize, now_ms: u64) -> usize {
        let plan = conductor.plan_for(6 + place, now_ms).unwrap();
        plan.steps.iter().filter(|step| step.request.verb().starts_with("prdcr_stop")).count()
    }

    fn sampled(conductor: &mut Conductor, place: usize, producer: usize, at_us: u64, now_ms: u64) {
        let name = conductor.desired().groups[0].producers[producer].name.to_string();
        let set = |kind: &str| SetTime {
            producer: name.clone(),
            set: kind.to_owned(),
            schema: String::new(),
            at_us,
        };
        let look = Look { set_times: Some(vec![set("meminfo")]), ..Look::default() };
        conductor.look(6 + place, look, now_ms);
        conductor.decide(now_ms);
    }

    #[test]
    fn the_old_one_lets_go_when_the_new_one_has_a_sample_of_every_set() {
        let mut conductor = begun();
        drained(&mut conductor, 20_000);
        let at: Vec<usize> = conductor.assignment(0).at.iter().map(|at| usize::from(at.unwrap())).collect();
        assert_eq!(conductor.hands_over(), 2);
        assert_eq!(stops(&conductor, 0, 20_000), 0);
        let starts = conductor.plan_for(6 + at[0], 20_000).unwrap();
        assert!(starts.steps.iter().any(|step| step.request.verb() == "prdcr_start_regex"), "{starts:?}");
        for place in 1..3 {
            let to: Vec<usize> = (0..6).filter(|producer| at[*producer] == place).collect();
            connected(&mut conductor, place, &to);
        }
        conductor.decide(20_500);
        (6..9).for_each(|daemon| conductor.done(daemon, Vec::new(), 20_500));
        assert!(!conductor.due_looks(20_900).is_empty(), "the new ones are looked at");
        // Looked up, not sampled; then sampled, once and again: a directory may come in parts.
        for (at_us, over) in [(0, false), (7, false), (7, true)] {
            sampled(&mut conductor, at[0], 0, at_us, 21_000);
            assert_eq!(stops(&conductor, 0, 21_000) > 0, over, "{at_us}");
        }
        assert_eq!(stops(&conductor, 0, 21_000), 1, "the other one is still needed");
        connected(&mut conductor, 0, &[3]);
        conductor.decide(21_100);
        assert_eq!(conductor.hands_over(), 1);
        // Whatever the sets say, it ends.
        conductor.decide(20_500 + Conductor::overlap_ms(&conductor.desired().groups[0].clone()));
        assert_eq!(stops(&conductor, 0, 30_000), 1);
    }

    #[test]
    fn what_has_fled_from_a_failure_is_moved_by_plan_when_the_tier_above_can_have_it_again() {
        let mut conductor = begun();
        conductor.down(6, "connection closed", 20_000);
        conductor.decide(20_000);
        assert_eq!(conductor.assignment(0).counts(3)[0], 0);
        let fled = conductor.assignment(0).at.clone();
        for place in 1..3 {
            let to = |producer: &usize| fled[*producer].map(usize::from) == Some(place);
            connected(&mut conductor, place, &(0..6).filter(to).collect::<Vec<_>>());
        }
        conductor.up(6, 20_100);
        connected(&mut conductor, 0, &[]);
        // Everything goes back; two seconds, and three of its intervals: here nobody is above. What did not flee need
        // not wait.
        let others = [7, 8].map(|daemon: usize| conductor.desired().daemons[daemon].name.clone());
        conductor.set_drained(others.into());
        for (now_ms, back) in [(20_200, 4), (24_900, 4), (25_200, 6)] {
            conductor.decide(now_ms);
            assert_eq!(conductor.assignment(0).counts(3)[0], back, "{now_ms}");
            assert_eq!([0, 3].map(|fled: usize| conductor.assignment(0).at[fled] == Some(0)), [back == 6; 2]);
        }
    }

    #[test]
    fn when_the_sampler_fails_a_handover_ends_at_once() {
        let mut conductor = begun();
        drained(&mut conductor, 20_000);
        conductor.down(0, "connection closed", 20_100);
        conductor.decide(20_100);
        assert_eq!(stops(&conductor, 0, 20_100), 1);
    }

    #[test]
    fn when_the_new_one_fails_the_old_one_goes_on_and_when_the_old_one_fails_it_is_no_handover() {
        let mut conductor = begun();
        drained(&mut conductor, 20_000);
        let to = usize::from(conductor.assignment(0).at[0].unwrap());
        conductor.set_drained(std::collections::BTreeSet::new());
        conductor.decide(20_100);
        assert_eq!(conductor.assignment(0).at[0].map(usize::from), Some(to), "it is carried through");
        conductor.down(6 + to, "connection closed", 20_200);
        conductor.decide(20_200);
        let now = usize::from(conductor.assignment(0).at[0].unwrap());
        assert_ne!(now, to);
        assert_eq!(stops(&conductor, 0, 20_200), 0);
        conductor.hung(6, "no answer", 20_300);
        conductor.decide(20_300);
        assert_eq!(conductor.hands_over(), 0);
        conductor.up(6, 20_400);
        connected(&mut conductor, 0, &[0, 3]);
        conductor.decide(20_400);
        assert_eq!(stops(&conductor, 0, 20_400), 1, "it lets go of what is another's at once");
    }

    #[test]
    fn an_aggregator_that_hung_while_it_let_go_stays_cut_off_until_what_it_had_has_arrived_above() {
        let mut conductor = begun();
        drained(&mut conductor, 20_000);
        assert_eq!(conductor.hands_over(), 2);
        conductor.set_drained(std::collections::BTreeSet::new());
        conductor.hung(6, "no answer", 20_100);
        conductor.decide(20_100);
        assert_eq!(conductor.hands_over(), 0);
        conductor.up(6, 20_200);
        let state = |conductor: &mut Conductor, state: State, now_ms: u64| {
            let producers = (0..6).map(|_| ProducerSeen { state, ..ProducerSeen::default() }).collect();
            conductor.observe(6, Seen { producers: vec![producers], ..Seen::default() });
            conductor.done(6, Vec::new(), now_ms);
            conductor.decide(now_ms);
        };
        // A producer that is stopping still has its sets.
        state(&mut conductor, State::Stopping, 40_000);
        assert!(conductor.track(6).suspect);
        assert_eq!(conductor.assignment(0).counts(3)[0], 0, "nobody above would collect from it");
        // It hung again, and returns before its sets can have arrived: two seconds and three intervals.
        conductor.hung(6, "no answer", 50_000);
        conductor.assignments[0].fled_ms.insert(0, 50_000);
        conductor.up(6, 50_100);
        state(&mut conductor, State::Stopped, 50_200);
        assert!(conductor.track(6).suspect);
        assert!(conductor.next_wake_ms().is_some_and(|at_ms| at_ms <= 55_000));
        conductor.decide(54_999);
        assert!(conductor.track(6).suspect);
        conductor.decide(55_000);
        assert!(!conductor.track(6).suspect, "time alone clears it");
        conductor.decide(62_000);
        assert_eq!(conductor.assignment(0).counts(3)[0], 2, "it gets its share again");
    }

    #[test]
    fn who_does_not_decide_is_not_woken_to_decide() {
        let mut leaves: [fn(&mut Conductor); 2] = [
            |conductor| conductor.set_hands_off(true),
            |conductor| _ = conductor.set_role(false, vec![true; 9]),
        ];
        for leave in &mut leaves {
            let mut conductor = begun();
            drained(&mut conductor, 20_000);
            conductor.hung(6, "no answer", 20_100);
            conductor.decide(20_100);
            conductor.up(6, 20_200);
            connected(&mut conductor, 0, &[]);
            conductor.decide(20_200);
            assert!(conductor.next_wake_ms().is_some(), "it gets its share again, later");
            leave(&mut conductor);
            conductor.decide(40_000);
            assert!(!conductor.track(6).suspect);
            assert!(conductor.next_wake_ms().is_none_or(|at_ms| at_ms > 40_000));
        }
    }
}
