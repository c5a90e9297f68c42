//! What one aggregator asks about one group when it is planned for. Pure.

use std::borrow::Cow;

use crate::model::Group;
use crate::plan::{escape, exactly};
use crate::seen::{ProducerSeen, State};

use super::{Conductor, Health, Unit};

/// Positions of producers that deserve a look, noted once per look at their aggregator.
#[derive(Clone, Debug, Default)]
pub(super) struct Noted {
    /// Those that run, or are stopping.
    pub(super) busy: Vec<u32>,
    /// Those that are not there, or not as they should be.
    pub(super) odd: Vec<u32>,
}

impl Noted {
    pub(super) fn of(list: &[ProducerSeen]) -> Self {
        let at = |wanted: fn(&ProducerSeen) -> bool| {
            let wanted = list.iter().enumerate().filter(move |(_, seen)| wanted(seen));
            wanted.map(|(at, _)| u32::try_from(at).unwrap_or(u32::MAX)).collect()
        };
        Self {
            busy: at(|seen| seen.state.is_active() || seen.state == State::Stopping),
            odd: at(|seen| seen.state == State::Absent || seen.differs != crate::seen::Differs::No),
        }
    }
}

/// Who within reach collects what in a group.
pub(super) struct Reach {
    /// How many aggregators that answer collect from each producer, or try to.
    active: Vec<u16>,
    /// A move below is under way: nothing is to be started.
    held: bool,
    /// Places of aggregators that answer and were not looked at yet.
    unseen: Vec<usize>,
}

impl Reach {
    pub(super) fn of(conductor: &Conductor, group: usize, now_ms: u64) -> Self {
        let held = conductor.waits_for_below(group, now_ms);
        let desired = &conductor.desired.groups[group];
        let mut reach = Self { held, active: vec![0; desired.producers.len()], unseen: Vec::new() };
        for (place, member) in desired.aggregators.iter().enumerate() {
            let track = &conductor.tracks[member.daemon];
            if track.health != Health::Up {
                continue;
            }
            let entry =
                conductor.desired.daemons[member.daemon].member_of.iter().position(|(g, _)| *g == group);
            let Some((seen, entry)) = track.seen.as_ref().zip(entry) else {
                reach.unseen.push(place);
                continue;
            };
            let (Some(list), Some(noted)) = (seen.producers.get(entry), track.noted.get(entry)) else {
                reach.unseen.push(place);
                continue;
            };
            for at in noted.busy.iter().map(|at| *at as usize) {
                if list.get(at).is_some_and(|seen| seen.state.is_active()) {
                    reach.active[at] += 1;
                }
            }
        }
        reach
    }
}

/// What one aggregator asks about one group.
pub(super) struct Tools<'a> {
    conductor: &'a Conductor,
    group: usize,
    place: usize,
    reach: &'a Reach,
    /// Which producers it carries, where sets are divided.
    carried: Option<Vec<bool>>,
    /// Producers of which a set leaves: only a new connection forgets it.
    purged: Vec<usize>,
}

impl<'a> Tools<'a> {
    pub(super) fn new(conductor: &'a Conductor, group: usize, place: usize, reach: &'a Reach) -> Self {
        let desired = &conductor.desired.groups[group];
        let assignment = &conductor.assignments[group];
        let mut tools = Self { conductor, group, place, reach, carried: None, purged: Vec::new() };
        if assignment.by_sets {
            let mut carried = vec![false; desired.producers.len()];
            for (unit, at) in assignment.units.iter().zip(&assignment.at) {
                carried[unit.producer as usize] |= at.is_some_and(|at| usize::from(at) == place);
            }
            tools.carried = Some(carried);
            tools.purged = tools.find_purged();
        }
        tools
    }

    pub(super) fn group(&self) -> &'a Group {
        &self.conductor.desired.groups[self.group]
    }

    /// The producers it should collect from, in order.
    pub(super) fn mine(&self) -> Cow<'a, [u32]> {
        match &self.carried {
            None => Cow::Borrowed(self.conductor.assignments[self.group].of_place(self.place)),
            Some(carried) => {
                let count = u32::try_from(carried.len()).unwrap_or(u32::MAX);
                Cow::Owned((0..count).filter(|at| self.wants(*at as usize)).collect())
            }
        }
    }

    pub(super) fn wants(&self, producer: usize) -> bool {
        match &self.carried {
            Some(carried) => carried[producer] && !self.purged.contains(&producer),
            None => {
                let at = self.conductor.assignments[self.group].at.get(producer).copied().flatten();
                at.is_some_and(|at| usize::from(at) == self.place)
            }
        }
    }

    /// Whether a producer that does not run here may be started: nobody else within reach collects from it, unless that
    /// one goes on only until its sets are here.
    pub(super) fn may_start(&self, producer: usize) -> bool {
        if self.reach.held {
            return false;
        }
        // Where sets are divided several aggregators may collect from one sampler.
        if self.carried.is_some() {
            return true;
        }
        let handover = self.conductor.assignments[self.group].handovers.get(&producer);
        let lender = handover.filter(|handover| handover.to == self.place).map(|handover| handover.from);
        if self.reach.unseen.iter().any(|place| *place != self.place && lender != Some(*place)) {
            return false;
        }
        let lends = lender.is_some_and(|from| {
            let daemon = self.group().aggregators[from].daemon;
            self.conductor.tracks[daemon].health == Health::Up
                && self.conductor.state_on(self.group, from, producer).is_active()
        });
        self.reach.active.get(producer).copied().unwrap_or(0) <= u16::from(lends)
    }

    /// Whether it goes on with a producer that is another's by now, until that one has its sets.
    pub(super) fn lends(&self, producer: usize) -> bool {
        let handover = self.conductor.is_handing_over(self.group, producer);
        handover.is_some_and(|handover| handover.from == self.place)
    }

    pub(super) fn hangs(&self, producer: usize) -> bool {
        let Some(daemon) = self.group().producers[producer].daemon else { return false };
        let track = &self.conductor.tracks[daemon];
        let aggregator = !self.conductor.desired.daemons[daemon].member_of.is_empty();
        aggregator && (track.health == Health::Hung || (track.suspect && track.health == Health::Up))
    }

    pub(super) fn sets(&self) -> Option<Vec<String>> {
        self.carried.as_ref()?;
        let assignment = &self.conductor.assignments[self.group];
        let mine = assignment
            .units
            .iter()
            .zip(&assignment.at)
            .filter(|(_, at)| at.is_some_and(|at| usize::from(at) == self.place));
        let mut sets: Vec<String> =
            mine.filter_map(|(unit, _)| unit.set.as_ref()).map(|set| exactly(set)).collect();
        if sets.is_empty() {
            // An updater without any match takes everything.
            sets.push(format!("^{}$", escape("(nothing)")));
        }
        Some(sets)
    }

    fn find_purged(&self) -> Vec<usize> {
        let member = &self.group().aggregators[self.place];
        let Some(seen) = &self.conductor.tracks[member.daemon].seen else { return Vec::new() };
        let assignment = &self.conductor.assignments[self.group];
        let leaving = |unit: &Unit| {
            unit.set.as_ref().is_some_and(|set| {
                let matched = (exactly(set), false);
                seen.updaters.values().any(|updater| updater.matches.contains(&matched))
            })
        };
        let there = |producer: usize| self.conductor.state_on(self.group, self.place, producer).is_active();
        let elsewhere = assignment.units.iter().zip(&assignment.at).filter(|(unit, at)| {
            at.is_some_and(|at| usize::from(at) != self.place)
                && there(unit.producer as usize)
                && leaving(unit)
        });
        elsewhere.map(|(unit, _)| unit.producer as usize).collect()
    }
}
