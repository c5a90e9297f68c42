//! The state as people and programs ask for it.

use serde::Serialize;

use crate::model::Name;
use crate::seen::State;

use super::{Conductor, Health};

/// One aggregator of a group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MemberView {
    /// Its name.
    pub daemon: Name,
    /// `up`, `hung`, `down`, `unknown`.
    pub health: &'static str,
    /// Why, where that is not plain.
    pub reason: String,
    /// Whether it is to carry nothing.
    pub drained: bool,
    /// Units assigned to it.
    pub assigned: usize,
    /// Producers it is connected to.
    pub connected: usize,
    /// Producers it collects from, or tries to.
    pub active: usize,
    /// Whether it carries more than the limit that is configured for it, because nobody else has room.
    pub over_limit: bool,
    /// What it refuses.
    pub held: Vec<String>,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupView {
    /// Its name.
    pub name: Name,
    /// Its aggregators.
    pub members: Vec<MemberView>,
    /// Its producers.
    pub producers: usize,
    /// Units no aggregator carries.
    pub unassigned: usize,
}

/// Who collects from a daemon.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Collector {
    /// The group.
    pub group: Name,
    /// The producer that stands for the daemon there.
    pub producer: Name,
    /// The aggregators it is assigned to.
    pub assigned: Vec<Name>,
    /// Aggregators that have it running, with its state as they say.
    pub found: Vec<(Name, &'static str)>,
}

impl Conductor {
    /// The groups, in the order of the configuration.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupView> {
        let groups = self.desired.groups.iter().enumerate();
        groups
            .map(|(group, desired)| {
                let counts = self.assignments[group].counts(desired.aggregators.len());
                let members = desired.aggregators.iter().enumerate().map(|(place, member)| {
                    let track = &self.tracks[member.daemon];
                    let daemon = &self.desired.daemons[member.daemon];
                    let entry = daemon.member_of.iter().position(|(other, _)| *other == group);
                    // What one that is down had when it was last seen is connected to nothing.
                    let seen = track.seen.as_ref().filter(|_| track.health != Health::Down);
                    let seen = seen.zip(entry).and_then(|(seen, entry)| seen.producers.get(entry));
                    let count = |wanted: fn(State) -> bool| {
                        seen.map_or(0, |list| list.iter().filter(|producer| wanted(producer.state)).count())
                    };
                    MemberView {
                        daemon: daemon.name.clone(),
                        health: track.health.name(),
                        reason: track.reason.clone(),
                        drained: self.drained.contains(&daemon.name),
                        assigned: counts[place],
                        connected: count(|state| state == State::Connected),
                        active: count(State::is_active),
                        over_limit: self.assignments[group].over.contains(&place),
                        held: track.held.clone(),
                    }
                });
                GroupView {
                    name: desired.name.clone(),
                    members: members.collect(),
                    producers: desired.producers.len(),
                    unassigned: self.assignments[group].at.iter().filter(|at| at.is_none()).count(),
                }
            })
            .collect()
    }

    /// Who collects from a daemon, tier by tier.
    #[must_use]
    pub fn collectors_of(&self, daemon: usize) -> Vec<Collector> {
        let mut found = Vec::new();
        for (group, at) in &self.produces_in[daemon] {
            let desired = &self.desired.groups[*group];
            let name = |place: usize| self.desired.daemons[desired.aggregators[place].daemon].name.clone();
            let places = || 0..desired.aggregators.len();
            let assigned =
                places().filter(|place| self.assignments[*group].carries(*at, *place)).map(name).collect();
            let running = places().filter_map(|place| {
                let state = self.state_on(*group, place, *at);
                let word = match state {
                    State::Connected => "CONNECTED",
                    State::Trying => "DISCONNECTED",
                    State::Stopping => "STOPPING",
                    State::Absent | State::Stopped | State::Standby => return None,
                };
                Some((name(place), word))
            });
            found.push(Collector {
                group: desired.name.clone(),
                producer: desired.producers[*at].name.clone(),
                assigned,
                found: running.collect(),
            });
        }
        found
    }
}
