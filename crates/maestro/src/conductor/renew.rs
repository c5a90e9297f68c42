//! Sets that have got lost on their way to the top, although everybody on it is well: their producer is renewed. Pure.
//!
//! ldmsd (4.5.1) marks a set as deleted when *any* daemon that had offered a set of that name says that it is gone, not
//! only the one it has it from; the tier above then drops it for good. It may also ignore a directory while it still has
//! the old set. A new connection of the lowest aggregator to the sampler announces the set to all tiers again; it
//! interrupts nothing but what is lost.
//!
//! With several managers, only aggregators that the leader itself sets are asked for it.
//!
//! **Guarantees.** Nothing is renewed while any daemon on the way is not well, or a move is under way. A few at a time,
//! and of one sampler less and less often.

use std::collections::BTreeMap;

use crate::seen::State;

use super::{Conductor, Health};

/// A set must have been missing for so long, beside the time it may be late.
const MIN_MS: u64 = 5_000;
/// The longest pause between renewals of one sampler.
const MAX_MS: u64 = 600_000;
/// Samplers whose producers are renewed at once.
const MAX_AT_ONCE: usize = 8;
/// Tiers above a sampler; more would be a circle.
const TIERS_MAX: usize = 8;

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
            if !self.samples(*daemon) || !self.is_way_whole(*daemon, TIERS_MAX) {
                self.lost.remove(daemon);
                self.forget_renewal(*daemon);
                continue;
            }
            let wait_ms = MIN_MS.max(*fresh_ms);
            let lost = self.lost.entry(*daemon).or_insert(Lost { renewed: 0, again_ms: now_ms + wait_ms });
            if now_ms < lost.again_ms || renewed >= MAX_AT_ONCE {
                continue;
            }
            renewed += 1;
            lost.renewed = lost.renewed.saturating_add(1);
            lost.again_ms = now_ms + wait_ms.saturating_mul(1 << lost.renewed.min(16)).min(MAX_MS);
            self.renew(*daemon);
        }
    }

    fn renew(&mut self, daemon: usize) {
        let mut by = Vec::new();
        for (group, producer) in self.produces_in[daemon].clone() {
            for place in self.carriers(group, producer) {
                let member = self.desired.groups[group].aggregators[place].daemon;
                // What another manager sets would wait here for ever: it is not told of this.
                if !self.is_mine(member) {
                    continue;
                }
                self.tracks[member].renew.insert((group, producer));
                self.dirty.insert(member);
                by.push(self.desired.daemons[member].name.to_string());
            }
        }
        if by.is_empty() {
            return;
        }
        let name = self.desired.daemons[daemon].name.clone();
        let text = format!("its sets do not come to the top; it is connected anew to {}", by.join(", "));
        self.tell("renewed", &name, text);
    }

    /// Its sets have come: what has not been done is no longer needed.
    fn forget_renewal(&mut self, daemon: usize) {
        for (group, producer) in self.produces_in[daemon].clone() {
            for member in &self.desired.groups[group].aggregators {
                if self.tracks[member.daemon].renew.remove(&(group, producer)) {
                    self.dirty.insert(member.daemon);
                }
            }
        }
    }

    fn carriers(&self, group: usize, producer: usize) -> Vec<usize> {
        let count = self.desired.groups[group].aggregators.len();
        (0..count).filter(|place| self.assignments[group].carries(producer, *place)).collect()
    }

    /// Whether a sampler was seen to take new samples between the last two looks at it.
    fn samples(&self, daemon: usize) -> bool {
        let track = &self.tracks[daemon];
        let seen = track.seen.as_ref().filter(|_| track.health == Health::Up);
        seen.is_some_and(|seen| seen.sets.values().any(|set| set.changed_ms >= seen.sets_ms))
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
