//! What units weigh, and what they count against limits. Pure.

use crate::balance::{Bin, Limit, Measure, TOLERANCE};
use crate::model::Weigh;

use super::groups::Unit;
use super::{Conductor, Health};

/// Weight of a set of which nothing is known, bytes per second at one sample per second.
const UNKNOWN_SET_BYTES: u64 = 1_000;

/// Tiers below an aggregator whose traffic is counted; more would be a circle.
const TIERS_MAX: usize = 8;

impl Conductor {
    /// The weight of each unit of a group.
    pub(super) fn weights(&self, group: usize) -> Vec<u64> {
        let desired = &self.desired.groups[group];
        let assignment = &self.assignments[group];
        let equal = desired.weigh == Weigh::Equal;
        if assignment.by_sets {
            let weigh = |unit: &Unit| {
                let producer = &desired.producers[unit.producer as usize];
                let set = producer.daemon.zip(unit.set.as_ref());
                let bytes = set.and_then(|(daemon, set)| self.set_traffic(daemon, set));
                match producer.weight {
                    Some(weight) => weight.max(1),
                    None if equal => 1,
                    None => bytes.unwrap_or(UNKNOWN_SET_BYTES).max(1),
                }
            };
            return assignment.units.iter().map(weigh).collect();
        }
        let known = |producer: &crate::model::Producer| {
            let traffic = producer.daemon.filter(|daemon| self.desired.daemons[*daemon].member_of.is_empty());
            traffic.and_then(|daemon| self.tracks[daemon].traffic).filter(|traffic| *traffic > 0)
        };
        let (mut sum, mut count) = (0_u64, 0_u64);
        let mut weights: Vec<u64> = desired
            .producers
            .iter()
            .map(|producer| match producer.weight {
                Some(weight) => weight.max(1),
                None if equal => 1,
                None => known(producer).map_or(0, |traffic| {
                    sum += traffic;
                    count += 1;
                    traffic
                }),
            })
            .collect();
        // What is not known weighs as much as the others do on average.
        let mean = sum.checked_div(count).unwrap_or(1).max(1);
        weights.iter_mut().filter(|weight| **weight == 0).for_each(|weight| *weight = mean);
        weights
    }

    /// What the units count against limits; nothing where there are none.
    pub(super) fn measures(&self, group: usize, bins: &[Bin]) -> Vec<Measure> {
        if bins.iter().all(|bin| bin.limit == Limit::default()) {
            return Vec::new();
        }
        let desired = &self.desired.groups[group];
        let measure = |unit: &Unit| {
            let daemon = desired.producers[unit.producer as usize].daemon;
            let bytes_per_s = daemon.map_or(0, |daemon| match &unit.set {
                Some(set) => self.set_traffic(daemon, set).unwrap_or(0),
                None => self.flow(daemon, TIERS_MAX),
            });
            Measure { producer: unit.producer, bytes_per_s }
        };
        self.assignments[group].units.iter().map(measure).collect()
    }

    /// Bytes per second that come from a daemon: what it samples, and what it collects.
    fn flow(&self, daemon: usize, tiers: usize) -> u64 {
        let own = self.tracks[daemon].traffic.unwrap_or(0);
        if tiers == 0 {
            return own;
        }
        let collected = self.desired.daemons[daemon].member_of.iter().map(|(group, place)| {
            let assignment = &self.assignments[*group];
            let mine = assignment.units.iter().zip(&assignment.at);
            let mine = mine.filter(|(_, at)| at.is_some_and(|at| usize::from(at) == *place));
            mine.filter_map(|(unit, _)| {
                let from = self.desired.groups[*group].producers[unit.producer as usize].daemon?;
                Some(match &unit.set {
                    Some(set) => self.set_traffic(from, set).unwrap_or(0),
                    None => self.flow(from, tiers - 1),
                })
            })
            .sum::<u64>()
        });
        own + collected.sum::<u64>()
    }

    /// Brings the traffic of a daemon up to date with what it samples and with the configuration. Groups in which it
    /// weighs something else now are looked at again.
    pub(super) fn weigh(&mut self, daemon: usize) {
        let Some(sampled) = &self.tracks[daemon].sampled else { return };
        let traffic = sampled.keys().filter_map(|set| self.set_traffic(daemon, set)).sum::<u64>();
        let before = self.tracks[daemon].traffic.replace(traffic);
        for (group, _) in &self.produces_in[daemon] {
            let assignment = &mut self.assignments[*group];
            if assignment.by_sets || before != Some(traffic) {
                assignment.weights = None;
            }
        }
        let differs = before.is_none_or(|before| traffic.abs_diff(before) as f64 > before as f64 * TOLERANCE);
        if differs {
            for (group, _) in &self.produces_in[daemon] {
                self.assignments[*group].dirty = true;
            }
        }
    }

    /// Whether the weights of a group are known as far as they can be: nothing is levelled by guesses.
    pub(super) fn knows_weights(&self, group: usize) -> bool {
        self.desired.groups[group].producers.iter().filter_map(|producer| producer.daemon).all(|daemon| {
            let managed = self.desired.daemons[daemon].control.is_some();
            let samples = !self.desired.daemons[daemon].plugins.is_empty();
            let track = &self.tracks[daemon];
            let known = match track.health {
                Health::Unknown => false,
                Health::Up => track.sampled.is_some(),
                Health::Hung | Health::Down => true,
            };
            known || !managed || !samples
        })
    }

    /// Bytes per second of one set: as often as it is configured to be sampled, so that a change of intervals that has
    /// reached only some of the samplers moves nothing.
    fn set_traffic(&self, daemon: usize, set: &str) -> Option<u64> {
        let (bytes, hint) = self.tracks[daemon].sampled.as_ref()?.get(set)?;
        let plugins = &self.desired.daemons[daemon].plugins;
        let planned = plugins.iter().find(|plugin| plugin.set.as_deref() == Some(set));
        let schedule = planned.and_then(|plugin| plugin.schedule).or(*hint)?;
        let interval_us = u64::try_from(schedule.interval_us).ok().filter(|us| *us > 0)?;
        Some(bytes.saturating_mul(1_000_000) / interval_us)
    }
}
