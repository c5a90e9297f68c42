//! A changed configuration: what was, what is now, and what is to be removed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::{Daemon, Desired};
use crate::plan::Retired;

use super::{Assignment, Conductor, Health, Track};

/// What a change of the configuration means for the driver. Positions are those of the new configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// For each daemon its position before; none for a new one, or one that is managed elsewhere now.
    pub before: Vec<Option<usize>>,
}

impl Conductor {
    /// Takes a new configuration. Every daemon has to be looked at afresh.
    pub fn change(&mut self, mut desired: Desired, now_ms: u64) -> Change {
        let positions: HashMap<String, usize> =
            desired.daemons.iter().enumerate().map(|(at, daemon)| (daemon.name.to_string(), at)).collect();
        // Aggregators that are gone stay until they have let go of what they collected.
        for (at, daemon) in self.desired.daemons.iter().enumerate() {
            let track = &self.tracks[at];
            let was_aggregator =
                !daemon.member_of.is_empty() || (track.leaving && !track.memory.retired.is_empty());
            if !positions.contains_key(&*daemon.name) && was_aggregator && track.health != Health::Down {
                desired.daemons.push(Daemon {
                    listens: Vec::new(),
                    plugins: Vec::new(),
                    advertisers: Vec::new(),
                    domains: Vec::new(),
                    member_of: Vec::new(),
                    ..daemon.clone()
                });
            }
        }
        let old = std::mem::take(&mut self.desired);
        let old_positions: HashMap<String, usize> =
            old.daemons.iter().enumerate().map(|(at, daemon)| (daemon.name.to_string(), at)).collect();
        let names_before: Vec<Retired> = (0..old.daemons.len()).map(|at| names(&old, at)).collect();
        let held: BTreeMap<String, BTreeMap<String, String>> = {
            self.desired = old;
            (0..self.desired.groups.len())
                .filter(|group| self.assignments[*group].ready)
                .map(|group| (self.desired.groups[group].name.to_string(), self.export(group)))
                .collect()
        };
        let old = std::mem::replace(&mut self.desired, desired);
        let mut tracks: Vec<Track> = Vec::with_capacity(self.desired.daemons.len());
        let mut before = Vec::with_capacity(self.desired.daemons.len());
        for (at, daemon) in self.desired.daemons.iter().enumerate() {
            let was = old_positions.get(&*daemon.name).copied();
            let same_place = was.filter(|was| old.daemons[*was].control == daemon.control);
            let mut track = match same_place {
                Some(was) => self.tracks[was].clone(),
                None => Track { since_ms: now_ms, ..Track::default() },
            };
            track.seen = None;
            track.busy = false;
            track.recheck_ms = None;
            track.renew.clear();
            track.taking.clear();
            track.leaving = at >= positions.len();
            if let Some(was) = same_place {
                retire(&mut track.memory.retired, &names_before[was], &names(&self.desired, at));
            }
            tracks.push(track);
            before.push(same_place);
        }
        self.tracks = tracks;
        self.lost.clear();
        // Until all have been looked at again nothing is decided by those that happen to be the first.
        self.started_ms = now_ms;
        // With others, a new daemon is nobody's until it has been agreed whose.
        let alone = self.mine.iter().all(|mine| *mine);
        let of = |list: &[bool]| -> Vec<bool> {
            before.iter().map(|was| was.map_or(alone, |was| list[was])).collect()
        };
        (self.mine, self.watched) = (of(&self.mine), of(&self.watched));
        self.refresh_watched();
        self.wished.clear();
        self.untold = (0..self.tracks.len()).collect();
        self.dirty = (0..self.tracks.len()).collect();
        self.rechecks.clear();
        self.clearing.clear();
        self.index();
        self.assignments = self.desired.groups.iter().map(|_| Assignment::default()).collect();
        for group in 0..self.assignments.len() {
            self.refresh_units(group);
            if let Some(held) = held.get(&*self.desired.groups[group].name) {
                self.import(group, held, now_ms);
            }
            self.assignments[group].dirty = true;
        }
        for daemon in 0..self.tracks.len() {
            self.weigh(daemon);
        }
        self.hear_again(now_ms);
        let (added, gone) = (
            self.desired.daemons.iter().filter(|daemon| !old_positions.contains_key(&*daemon.name)).count(),
            old_positions.keys().filter(|name| !positions.contains_key(*name)).count(),
        );
        let text = format!("configuration changed: {added} daemons added, {gone} removed");
        self.tell("config", "cluster", text);
        Change { before }
    }

    /// Whether a daemon that is no longer configured has let go of everything, or cannot be asked to.
    #[must_use]
    pub fn has_left(&self, daemon: usize) -> bool {
        let track = &self.tracks[daemon];
        track.leaving
            && (track.memory.retired.is_empty() || matches!(track.health, Health::Down | Health::Hung))
    }
}

/// Everything that a configuration names on a daemon.
fn names(desired: &Desired, at: usize) -> Retired {
    let daemon = &desired.daemons[at];
    let mut names = Retired::default();
    names.plugins.extend(daemon.plugins.iter().map(|plugin| plugin.name.to_string()));
    names.advertisers.extend(daemon.advertisers.iter().map(|object| object.name.to_string()));
    for (group, place) in &daemon.member_of {
        let group = &desired.groups[*group];
        let defined = group.producers.iter().filter(|p| p.source != crate::model::Source::Advertised);
        names.producers.extend(defined.map(|producer| producer.name.to_string()));
        names.updaters.extend(group.updaters.iter().map(|updater| updater.name_on(&daemon.name)));
        names.plugins.extend(group.plugins.iter().map(|plugin| plugin.name.to_string()));
        let stores = group.stores.iter().filter(|(other, _)| other == place);
        names.stores.extend(stores.map(|(_, store)| store.name.to_string()));
    }
    names
}

fn retire(retired: &mut Retired, before: &Retired, after: &Retired) {
    let parts: [(&mut BTreeSet<String>, &BTreeSet<String>, &BTreeSet<String>); 5] = [
        (&mut retired.producers, &before.producers, &after.producers),
        (&mut retired.updaters, &before.updaters, &after.updaters),
        (&mut retired.stores, &before.stores, &after.stores),
        (&mut retired.plugins, &before.plugins, &after.plugins),
        (&mut retired.advertisers, &before.advertisers, &after.advertisers),
    ];
    for (retired, before, after) in parts {
        retired.extend(before.difference(after).cloned());
        retired.retain(|name| !after.contains(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conductor::{Settings, fixture};
    use crate::model::BalanceBy;
    use crate::seen::Seen;

    fn desired(text: &str) -> Desired {
        fixture::desired(text, BalanceBy::Producers)
    }

    #[test]
    fn a_change_moves_nothing_in_whatever_order_daemons_are_looked_at_again() {
        let mut conductor = Conductor::new(desired(&fixture::file(6, 3)), Settings::default(), 0);
        for daemon in 0..9 {
            conductor.up(daemon, 10);
            conductor.observe(daemon, Seen::default());
        }
        conductor.decide(10);
        let before = conductor.assignment(0).at.clone();
        assert_eq!(conductor.assignment(0).counts(3), [2, 2, 2]);
        // Long after the start; the aggregators answer one after the other.
        let slower = fixture::file(6, 3).replace("interval: 1s, config", "interval: 2s, config");
        conductor.change(desired(&slower), 60_000);
        for (daemon, now_ms) in [(8, 60_001), (0, 60_002), (7, 60_400), (6, 60_900)] {
            conductor.observe(daemon, Seen::default());
            conductor.decide(now_ms);
            assert_eq!(conductor.assignment(0).at, before, "after {daemon}");
        }
    }

    #[test]
    fn at_the_start_an_aggregator_that_refuses_connections_may_just_be_starting() {
        let mut conductor = Conductor::new(desired(&fixture::file(6, 3)), Settings::default(), 0);
        (0..6).for_each(|sampler| conductor.up(sampler, 10));
        conductor.up(6, 10);
        conductor.observe(6, Seen::default());
        conductor.down(7, "connection refused", 10);
        conductor.down(8, "connection refused", 10);
        conductor.decide(10);
        assert!(!conductor.assignment(0).ready);
        conductor.up(7, 300);
        conductor.observe(7, Seen::default());
        conductor.decide(300);
        assert!(!conductor.assignment(0).ready);
        let wake_ms = conductor.next_wake_ms();
        assert_eq!(wake_ms, Some(1_000));
        conductor.decide(1_000);
        assert_eq!(conductor.assignment(0).counts(3), [3, 3, 0], "one is dead indeed");
    }
}
