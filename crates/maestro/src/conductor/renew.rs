//! Sets that have got lost on their way to the top, although everybody on it is well: their producer is renewed. Pure.
//!
//! ldmsd (4.5.1) marks a set as deleted when *any* daemon that had offered a set of that name says that it is gone, not
//! only the one it has it from; the tier above then drops it for good. It may also ignore a directory while it still has
//! the old set. A new connection of the lowest aggregator to the sampler announces the set to all tiers again, and
//! interrupts nothing but what is lost. Where that does not help, the tier above has the old set and does not let go of
//! it: a new connection of that tier to the one below makes it. For a moment it holds nothing of that aggregator, so it is
//! the second thing to try, and it is tried twice at most.
//!
//! With several managers the leader finds out, and the one that speaks to the aggregator is asked for it
//! ([`Conductor::wishes`], [`Conductor::wish`]).
//!
//! **Guarantees.** Nothing is renewed while any daemon on the way is not well, or a move is under way. A few at a time,
//! and of one sampler less and less often.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Name;
use crate::seen::State;

use super::{Conductor, Health};

/// A set must have been missing for so long, beside the time it may be late.
const MIN_MS: u64 = 5_000;
/// So long, beside two intervals, a sampler is told to take samples after it was seen to.
const SAMPLED_MS: u64 = 60_000;
/// The longest pause between renewals of one sampler.
const MAX_MS: u64 = 600_000;
/// Samplers whose producers are renewed at once.
const MAX_AT_ONCE: usize = 8;
/// Tiers above a sampler; more would be a circle.
const TIERS_MAX: usize = 8;

/// Producers of one aggregator that are to be connected anew, by group: how often that was asked for so far.
pub type Wish = BTreeMap<String, BTreeMap<String, u32>>;

/// A sampler whose sets do not come to the top.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost {
    renewed: u32,
    again_ms: u64,
}

impl Conductor {
    /// Says which samplers have sets that are no longer fresh at the top, and up to which age they would be.
    pub fn missing(&mut self, missing: &BTreeMap<usize, u64>, now_ms: u64) {
        let found: Vec<usize> =
            self.lost.keys().copied().filter(|daemon| !missing.contains_key(daemon)).collect();
        for daemon in found {
            self.lost.remove(&daemon);
            self.forget_renewal(daemon);
        }
        if !self.leading || self.hands_off {
            return;
        }
        let mut renewed = 0;
        for (daemon, fresh_ms) in missing {
            let wait_ms = MIN_MS.max(*fresh_ms);
            if !self.samples(*daemon) || !self.is_way_whole(*daemon, TIERS_MAX) {
                // A renewal itself looks like this: how often there was one is not forgotten by it.
                if let Some(lost) = self.lost.get_mut(daemon) {
                    lost.again_ms = lost.again_ms.max(now_ms + wait_ms);
                    self.forget_renewal(*daemon);
                }
                continue;
            }
            let lost = self.lost.entry(*daemon).or_insert(Lost { renewed: 0, again_ms: now_ms + wait_ms });
            if now_ms < lost.again_ms || renewed >= MAX_AT_ONCE {
                continue;
            }
            renewed += 1;
            lost.renewed = lost.renewed.saturating_add(1);
            lost.again_ms = now_ms + wait_ms.saturating_mul(1 << lost.renewed.min(16)).min(MAX_MS);
            let times = lost.renewed;
            self.renew(*daemon, times);
        }
    }

    /// What the managers of other aggregators are asked to connect anew: for each aggregator, by group, the producers
    /// and how often so far.
    #[must_use]
    pub fn wishes(&self) -> BTreeMap<Name, Wish> {
        let mut wishes: BTreeMap<Name, Wish> = BTreeMap::new();
        for (member, list) in &self.wished {
            let wish = wishes.entry(self.desired.daemons[*member].name.clone()).or_default();
            for ((group, producer), times) in list {
                let group = &self.desired.groups[*group];
                let producers = wish.entry(group.name.to_string()).or_default();
                producers.insert(group.producers[*producer].name.to_string(), *times);
            }
        }
        wishes
    }

    /// Does what a leader asks for, where this manager speaks to the aggregator: connects anew what has been asked for
    /// more often than before, and leaves alone what is asked for no longer.
    pub fn wish(&mut self, aggregator: usize, before: &Wish, now: &Wish) {
        if !self.mine[aggregator] {
            return;
        }
        let times = |wish: &Wish, group: &str, producer: &str| {
            wish.get(group).and_then(|list| list.get(producer)).copied().unwrap_or(0)
        };
        for (group, _) in self.desired.daemons[aggregator].member_of.clone() {
            let name = self.desired.groups[group].name.clone();
            let named =
                [before, now].into_iter().filter_map(|wish| wish.get(&*name)).flat_map(BTreeMap::keys);
            for producer in named.collect::<BTreeSet<_>>() {
                let Some(at) = self.desired.groups[group].index.get(producer.as_str()).copied() else {
                    continue;
                };
                let (old, new) = (times(before, &name, producer), times(now, &name, producer));
                let renew = &mut self.tracks[aggregator].renew;
                let changed = match new {
                    0 => renew.remove(&(group, at)),
                    new => new != old && renew.insert((group, at)),
                };
                if changed {
                    self.dirty.insert(aggregator);
                }
            }
        }
    }

    /// Connects a sampler anew, for the first time at the lowest aggregator, then a tier higher each time, twice over.
    fn renew(&mut self, daemon: usize, times: u32) {
        let tiers = self.way_up(daemon);
        let tried_all = tiers.len() > 1 && times as usize >= 2 * tiers.len();
        let upper: BTreeSet<usize> = tiers.iter().skip(1).flatten().map(|(member, ..)| *member).collect();
        let at = usize::try_from(times.saturating_sub(1)).unwrap_or(usize::MAX);
        let at = if at < 2 * tiers.len() { at % tiers.len() } else { 0 };
        let Some(tier) = tiers.into_iter().nth(at) else { return };
        let mut by = Vec::new();
        for (member, group, producer) in tier {
            if self.is_mine(member) {
                self.tracks[member].renew.insert((group, producer));
                self.dirty.insert(member);
            } else {
                self.wished.entry(member).or_default().insert((group, producer), times);
            }
            let producer = &self.desired.groups[group].producers[producer].name;
            by.push(format!("{producer} to {}", self.desired.daemons[member].name));
        }
        if by.is_empty() {
            return;
        }
        let name = self.desired.daemons[daemon].name.clone();
        let mut text = format!("its sets do not come to the top; connected anew: {}", by.join(", "));
        if tried_all {
            let upper: Vec<&str> = upper.iter().map(|member| &*self.desired.daemons[*member].name).collect();
            let which = upper.join(" or ");
            text += &format!("; if they stay away, {which} has lost their names, as ldmsd can: restart it");
        }
        self.tell("renewed", &name, text);
    }

    /// Who collects from a daemon, tier by tier: aggregator, group, and the producer there.
    fn way_up(&self, daemon: usize) -> Vec<Vec<(usize, usize, usize)>> {
        let mut tiers = Vec::new();
        let mut below = BTreeSet::from([daemon]);
        while tiers.len() < TIERS_MAX {
            let mut tier = BTreeSet::new();
            for (group, producer) in below.iter().flat_map(|daemon| &self.produces_in[*daemon]) {
                for place in self.carriers(*group, *producer) {
                    tier.insert((self.desired.groups[*group].aggregators[place].daemon, *group, *producer));
                }
            }
            if tier.is_empty() {
                break;
            }
            below = tier.iter().map(|(member, _, _)| *member).collect();
            tiers.push(tier.into_iter().collect());
        }
        tiers
    }

    /// Its sets have come: what has not been done is no longer needed.
    fn forget_renewal(&mut self, daemon: usize) {
        let carried = self.way_up(daemon).into_iter().flatten();
        let own = self.produces_in[daemon].iter().flat_map(|(group, producer)| {
            let members = self.desired.groups[*group].aggregators.iter();
            members.map(|member| (member.daemon, *group, *producer))
        });
        for (member, group, producer) in carried.chain(own).collect::<Vec<_>>() {
            if self.tracks[member].renew.remove(&(group, producer)) {
                self.dirty.insert(member);
            }
            if let Some(wished) = self.wished.get_mut(&member) {
                wished.remove(&(group, producer));
            }
        }
        self.wished.retain(|_, list| !list.is_empty());
    }

    fn carriers(&self, group: usize, producer: usize) -> Vec<usize> {
        let count = self.desired.groups[group].aggregators.len();
        (0..count).filter(|place| self.assignments[group].carries(producer, *place)).collect()
    }

    /// Whether a sampler was seen to take new samples between the last two looks at it.
    pub(super) fn samples(&self, daemon: usize) -> bool {
        let track = &self.tracks[daemon];
        if track.second_hand {
            return track.health == Health::Up && track.told.as_ref().is_some_and(|told| told.sampling);
        }
        let seen = track.seen.as_ref().filter(|_| track.health == Health::Up);
        seen.is_some_and(|seen| seen.sets.values().any(|set| set.changed_ms >= seen.sets_ms))
    }

    /// Whether it was seen to take samples lately: what others are told, which is not to change with every look.
    pub(super) fn has_sampled(&self, daemon: usize) -> bool {
        let Some(seen) = &self.tracks[daemon].seen else { return false };
        seen.sets.values().any(|set| {
            let interval_us = set.schedule.map_or(0, |schedule| schedule.interval_us);
            let lately_ms = SAMPLED_MS + 2 * u64::try_from(interval_us).unwrap_or(0) / 1_000;
            set.changed_ms + lately_ms >= seen.sets_ms
        })
    }

    /// Whether everybody from a daemon to the top is well and connected.
    fn is_way_whole(&self, daemon: usize, tiers: usize) -> bool {
        tiers > 0
            && self.produces_in[daemon].iter().all(|(group, producer)| {
                let carriers = self.carriers(*group, *producer);
                !carriers.is_empty()
                    && !self.assignments[*group].handovers.contains_key(producer)
                    && carriers.into_iter().all(|place| {
                        let member = self.desired.groups[*group].aggregators[place].daemon;
                        let track = &self.tracks[member];
                        track.health == Health::Up
                            && !track.suspect
                            && self.state_on(*group, place, *producer) == State::Connected
                            && self.is_way_whole(member, tiers - 1)
                    })
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conductor::{Settings, fixture};
    use crate::model::BalanceBy;

    #[test]
    fn the_manager_of_an_aggregator_does_what_the_leader_asks_for_once() {
        let desired = fixture::desired(&fixture::file(6, 3), BalanceBy::Producers);
        let mut other = Conductor::new(desired, Settings::default(), 0);
        let (none, group) = (Wish::new(), other.desired().groups[0].name.to_string());
        let name = other.desired().groups[0].producers[1].name.to_string();
        let wish = |times: u32| Wish::from([(group.clone(), BTreeMap::from([(name.clone(), times)]))]);
        other.set_role(false, (0..9).map(|at| at != 8).collect());
        other.wish(8, &none, &wish(1));
        assert!(other.tracks[8].renew.is_empty(), "it is another's");
        other.wish(7, &none, &wish(1));
        assert_eq!(other.tracks[7].renew, [(0, 1)].into());
        other.tracks[7].renew.clear();
        other.wish(7, &wish(1), &wish(1));
        assert!(other.tracks[7].renew.is_empty(), "it has been done");
        other.wish(7, &wish(1), &wish(2));
        assert_eq!(other.tracks[7].renew, [(0, 1)].into());
        other.wish(7, &wish(2), &none);
        assert!(other.tracks[7].renew.is_empty(), "it is not needed any more");
    }

    #[test]
    fn what_only_a_restart_brings_back_is_said_when_all_else_has_been_tried() {
        let desired = fixture::desired(&fixture::two_tiers(2, 1), BalanceBy::Producers);
        let mut conductor = Conductor::new(desired, Settings::default(), 0);
        (0..4).for_each(|daemon| conductor.up(daemon, 10));
        (0..4).for_each(|daemon| conductor.observe(daemon, crate::seen::Seen::default()));
        conductor.decide(10_000);
        conductor.take_events();
        let tried: Vec<String> = (1..=5)
            .map(|times| {
                conductor.renew(0, times);
                conductor.take_events().remove(0).text
            })
            .collect();
        let (below, above) = ("connected anew: s1-ep to a1", "connected anew: a1-ep to t1");
        let hint = "; if they stay away, t1 has lost their names, as ldmsd can: restart it";
        let ends = [below.to_owned(), above.to_owned(), below.to_owned()];
        let ends = ends.into_iter().chain([format!("{above}{hint}"), format!("{below}{hint}")]);
        for (text, end) in tried.iter().zip(ends) {
            assert!(text.ends_with(&end), "{text}, not {end}");
        }
    }
}
