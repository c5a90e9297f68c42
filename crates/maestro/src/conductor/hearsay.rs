//! What managers tell each other of the daemons they watch. Pure.
//!
//! **Expected flow.** Whoever speaks to a daemon tells what the others need of it ([`Conductor::tell_of`]) when that has
//! changed ([`Conductor::take_untold`]); they take it in ([`Conductor::hear`]) as if they had seen it themselves, except
//! that they never order by it.
//!
//! **Guarantees.** Nobody hears of what he watches himself. What was last heard of a daemon holds until its next manager
//! has had a look of his own: that a manager dies looks like no death of daemons.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{Name, Schedule, Source};
use crate::plan::Retired;
use crate::seen::{PluginSeen, ProducerSeen, Seen, SetSeen, State, UpdaterSeen};

use super::look::Advertised;
use super::{Conductor, Health};

/// Producers of a group on an aggregator, by state. Those that are stopped are not named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Places {
    /// Running and connected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub connected: Vec<Name>,
    /// Running, not connected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trying: Vec<Name>,
    /// Told to stop.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stopping: Vec<Name>,
    /// Moves to this aggregator of which it has all sets: the old one may let go.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ready: Vec<Name>,
    /// Daemons that have advertised themselves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub advertised: Vec<Advertised>,
}

/// A set as its sampler has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetTold {
    /// Bytes of the values.
    pub bytes: u64,
    /// How often it is sampled, as far as the daemon says, microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_us: Option<i64>,
    /// Its offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset_us: Option<i64>,
}

/// What one manager tells the others of one daemon.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// How it is.
    pub health: Health,
    /// Why, where that is not plain.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// It has hung and may still collect what was moved away from it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub suspect: bool,
    /// What it collects, by the name of the group.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, Places>,
    /// The sets it samples; none when it does not sample, or has not been looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sets: Option<BTreeMap<Name, SetTold>>,
    /// Plugin instances that have sets.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub plugins: BTreeSet<Name>,
    /// Whether its samples were seen to change.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sampling: bool,
    /// Expressions for the sets its updaters take, where single sets are divided.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub matches: BTreeSet<String>,
    /// What it refuses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<String>,
    /// Something waits until another aggregator has let go of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub waits: bool,
    /// Changes of its configuration.
    pub cfg_cntr: u64,
    /// What was done in its life (see [`crate::plan::Memory::marks`]).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub marks: BTreeMap<String, u64>,
    /// What is to be removed from it.
    #[serde(skip_serializing_if = "Retired::is_empty")]
    pub retired: Retired,
}

impl Told {
    /// Whether the others must know at once: something of what they decide by has changed.
    #[must_use]
    pub fn is_urgent_after(&self, before: &Self) -> bool {
        let names = |told: &Self| told.sets.as_ref().map(|sets| sets.keys().cloned().collect::<Vec<_>>());
        self.health != before.health
            || self.suspect != before.suspect
            || self.groups != before.groups
            || self.matches != before.matches
            || names(self) != names(before)
    }

    /// Whether there is anything new in it. The reason why nobody answers may be another at every attempt.
    #[must_use]
    pub fn differs_from(&self, before: &Self) -> bool {
        self.health != before.health || Self { reason: before.reason.clone(), ..self.clone() } != *before
    }
}

impl Conductor {
    /// Daemons this manager speaks to of which something may have changed since the last call.
    pub fn take_untold(&mut self) -> Vec<usize> {
        let untold = std::mem::take(&mut self.untold);
        untold.into_iter().filter(|daemon| self.mine[*daemon]).collect()
    }

    /// Whether anything may have changed.
    #[must_use]
    pub fn has_untold(&self) -> bool {
        !self.untold.is_empty()
    }

    /// What the others are to know of a daemon; none while this manager does not know it at first hand, or has no
    /// business with it.
    #[must_use]
    pub fn tell_of(&self, daemon: usize) -> Option<Told> {
        let track = &self.tracks[daemon];
        let looked_at = track.health != Health::Up || track.seen.is_some();
        if !self.mine[daemon] || track.second_hand || track.health == Health::Unknown || !looked_at {
            return None;
        }
        let mut told = Told {
            health: track.health.clone(),
            reason: track.reason.clone(),
            suspect: track.suspect,
            held: track.held.clone(),
            waits: track.waits,
            cfg_cntr: track.memory.cfg_cntr,
            marks: track.memory.marks.clone(),
            retired: track.memory.retired.clone(),
            sampling: self.has_sampled(daemon),
            ..Told::default()
        };
        if let Some(sampled) = &track.sampled
            && !self.desired.daemons[daemon].plugins.is_empty()
        {
            let set = |(bytes, schedule): &(u64, Option<Schedule>)| SetTold {
                bytes: *bytes,
                interval_us: schedule.map(|schedule| schedule.interval_us),
                offset_us: schedule.and_then(|schedule| schedule.offset_us),
            };
            told.sets = Some(sampled.iter().map(|(name, sampled)| (name.clone(), set(sampled))).collect());
        }
        let Some(seen) = &track.seen else { return Some(told) };
        let with_sets = seen.plugins.iter().filter(|(_, plugin)| !plugin.sets.is_empty());
        told.plugins = with_sets.map(|(name, _)| name.as_str().into()).collect();
        for (entry, (group, place)) in self.desired.daemons[daemon].member_of.iter().enumerate() {
            let desired = &self.desired.groups[*group];
            let list = seen.producers.get(entry).map_or(&[][..], Vec::as_slice);
            let mut places = Places::default();
            for (producer, seen) in desired.producers.iter().zip(list) {
                let into = match seen.state {
                    State::Connected => Some(&mut places.connected),
                    State::Trying => Some(&mut places.trying),
                    State::Stopping => Some(&mut places.stopping),
                    State::Absent | State::Stopped | State::Standby => None,
                };
                if let Some(into) = into {
                    into.push(producer.name.clone());
                }
                if producer.source == Source::Advertised && seen.state != State::Absent {
                    places.advertised.push(Advertised::of(producer, seen.state == State::Standby));
                }
            }
            let handovers = self.assignments[*group].handovers.iter();
            let ready = handovers.filter(|(_, handover)| handover.to == *place && handover.is_over());
            places.ready.extend(ready.map(|(at, _)| desired.producers[*at].name.clone()));
            told.groups.insert(desired.name.to_string(), places);
            if desired.by == crate::model::BalanceBy::Sets {
                let by_name = seen.updaters.values().flat_map(|updater| &updater.matches);
                told.matches
                    .extend(by_name.filter(|(_, of_schema)| !of_schema).map(|(text, _)| text.clone()));
            }
        }
        Some(told)
    }

    /// Takes in what another manager tells of a daemon that has been so since `since_ms`. What this manager watches
    /// itself it need not be told.
    pub fn hear(&mut self, daemon: usize, told: Arc<Told>, since_ms: u64, now_ms: u64) {
        self.tracks[daemon].told = Some(Arc::clone(&told));
        if self.watched[daemon] || told.health == Health::Unknown {
            return;
        }
        let before = self.tracks[daemon].health.clone();
        self.tracks[daemon].second_hand = true;
        match told.health {
            Health::Up => self.up(daemon, now_ms),
            Health::Hung | Health::Down | Health::Unknown => {
                self.fail(daemon, told.health.clone(), &told.reason, now_ms);
            }
        }
        let track = &mut self.tracks[daemon];
        if track.health != before {
            track.since_ms = since_ms.min(now_ms);
        }
        track.suspect |= told.suspect || told.health == Health::Hung;
        track.held.clone_from(&told.held);
        track.waits = told.waits;
        track.memory.cfg_cntr = told.cfg_cntr;
        track.memory.marks.clone_from(&told.marks);
        track.memory.retired.clone_from(&told.retired);
        let seen = self.seen_by_others(daemon, &told);
        if let Some(sets) = &told.sets {
            let sampled = sets.iter().map(|(name, set)| (name.clone(), (set.bytes, set.schedule())));
            self.tracks[daemon].sampled = Some(sampled.collect());
            self.weigh(daemon);
        }
        if told.health == Health::Up {
            self.take_seen(daemon, seen);
            self.hear_readiness(daemon, &told);
        }
    }

    /// Takes in again what was told of the daemons this manager does not watch, after a change of the configuration.
    pub(super) fn hear_again(&mut self, now_ms: u64) {
        for daemon in 0..self.tracks.len() {
            if let Some(told) = self.tracks[daemon].told.clone() {
                let since_ms = self.tracks[daemon].since_ms;
                // Whoever told it may not have known yet what the new configuration has no more.
                let retired = self.tracks[daemon].memory.retired.clone();
                self.hear(daemon, told, since_ms, now_ms);
                self.tracks[daemon].memory.retired = retired;
            }
        }
    }

    fn seen_by_others(&mut self, daemon: usize, told: &Told) -> Seen {
        let mut seen = Seen { cfg_cntr: told.cfg_cntr, ..Seen::default() };
        for (group, _) in self.desired.daemons[daemon].member_of.clone() {
            let name = self.desired.groups[group].name.clone();
            let places = told.groups.get(&*name);
            let advertised: Vec<(usize, bool)> = places
                .map_or(&[][..], |places| &places.advertised)
                .iter()
                .map(|one| (self.advertised(group, one), one.standby))
                .collect();
            let desired = &self.desired.groups[group];
            // The others need to know who collects. What is defined, and how, is for its own manager to see.
            let defined = |producer: &crate::model::Producer| match producer.source {
                Source::Advertised => State::Absent,
                Source::Defined(_) => State::Stopped,
            };
            let mut states: Vec<State> = desired.producers.iter().map(defined).collect();
            for (at, standby) in advertised {
                states[at] = if standby { State::Standby } else { State::Stopped };
            }
            if let Some(places) = places {
                let named = [
                    (&places.connected, State::Connected),
                    (&places.trying, State::Trying),
                    (&places.stopping, State::Stopping),
                ];
                for (names, state) in named {
                    for at in names.iter().filter_map(|name| desired.index.get(name)) {
                        states[*at] = state;
                    }
                }
            }
            let list = states.into_iter().map(|state| ProducerSeen { state, ..ProducerSeen::default() });
            seen.producers.push(list.collect());
        }
        for (name, set) in told.sets.iter().flatten() {
            let seen_as =
                SetSeen { data_bytes: set.bytes, schedule: set.schedule(), generation: 0, changed_ms: 0 };
            seen.sets.insert(name.to_string(), seen_as);
        }
        let plugin = || PluginSeen { plugin: String::new(), sets: vec![String::new()] };
        seen.plugins = told.plugins.iter().map(|name| (name.to_string(), plugin())).collect();
        if !told.matches.is_empty() {
            let all = UpdaterSeen {
                schedule: Schedule { interval_us: 0, offset_us: None },
                mode: String::new(),
                auto: false,
                running: true,
                producers: Arc::new(BTreeSet::new()),
                matches: told.matches.iter().map(|text| (text.clone(), false)).collect(),
            };
            seen.updaters.insert(String::new(), all);
        }
        seen
    }

    fn hear_readiness(&mut self, daemon: usize, told: &Told) {
        for (group, place) in &self.desired.daemons[daemon].member_of {
            let desired = &self.desired.groups[*group];
            let Some(places) = told.groups.get(&*desired.name) else { continue };
            for at in places.ready.iter().filter_map(|name| desired.index.get(name)) {
                let handover = self.assignments[*group].handovers.get_mut(at);
                if let Some(handover) = handover.filter(|one| one.to == *place && !one.is_over()) {
                    handover.end();
                    self.dirty.insert(desired.aggregators[handover.from].daemon);
                }
            }
        }
    }
}

impl SetTold {
    fn schedule(&self) -> Option<Schedule> {
        self.interval_us.map(|interval_us| Schedule { interval_us, offset_us: self.offset_us })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conductor::{Settings, fixture};
    use crate::model::BalanceBy;

    /// The group that collects from the samplers; the other is above it.
    const L1: usize = 1;

    /// One of two managers of six samplers, three aggregators and one above; daemons of odd and even position are one's
    /// each.
    fn manager(leads: bool, odd: bool) -> Conductor {
        let desired = fixture::desired(&fixture::two_tiers(6, 3), BalanceBy::Producers);
        let mut conductor = Conductor::new(desired, Settings::default(), 0);
        conductor.set_role(leads, (0..10).map(|at| (at % 2 == 1) == odd).collect());
        conductor
    }

    fn aggregator(connected: &[usize]) -> Seen {
        let state = |at| if connected.contains(&at) { State::Connected } else { State::Stopped };
        let producers = (0..6).map(|at| ProducerSeen { state: state(at), ..ProducerSeen::default() });
        Seen { cfg_cntr: 7, producers: vec![producers.collect()], ..Seen::default() }
    }

    fn top() -> Seen {
        let connected = ProducerSeen { state: State::Connected, ..ProducerSeen::default() };
        Seen { producers: vec![vec![connected; 3]], ..Seen::default() }
    }

    fn sampler() -> Seen {
        let set = SetSeen { data_bytes: 500, schedule: None, generation: 1, changed_ms: 0 };
        Seen { sets: [("set".to_owned(), set)].into(), ..Seen::default() }
    }

    /// Shows each manager its own daemons.
    fn look(conductor: &mut Conductor, now_ms: u64) {
        for daemon in 0..10 {
            if conductor.watches(daemon) {
                conductor.up(daemon, now_ms);
                let seen = match daemon {
                    0..6 => sampler(),
                    6..9 => aggregator(&[daemon - 6, daemon - 3]),
                    _ => top(),
                };
                conductor.observe(daemon, seen);
            }
        }
    }

    /// As it goes over the wire.
    fn tell(from: &mut Conductor, to: &mut Conductor, now_ms: u64) {
        for daemon in from.take_untold() {
            let Some(told) = from.tell_of(daemon) else { continue };
            let text = serde_json::to_string(&told).unwrap();
            to.hear(daemon, Arc::new(serde_json::from_str(&text).unwrap()), now_ms, now_ms);
        }
    }

    #[test]
    fn who_is_told_decides_as_if_he_had_seen_it_and_orders_nothing_by_it() {
        let (mut leader, mut other) = (manager(true, false), manager(false, true));
        look(&mut leader, 10);
        look(&mut other, 10);
        leader.decide(2_000);
        assert!(!leader.assignment(L1).ready, "it waits for what the other has to tell");
        assert_eq!(leader.next_wake_ms(), Some(3_000));
        tell(&mut other, &mut leader, 2_100);
        let orders = leader.decide(2_100);
        assert_eq!(leader.assignment(L1).at, [0, 1, 2, 0, 1, 2].map(Some), "what runs stays where it runs");
        assert!(orders.iter().all(|order| leader.is_mine(order.daemon)));
        assert!((0..10).all(|daemon| leader.plan_for(daemon, 2_100).is_some() == leader.watches(daemon)));
        let untold = leader.take_untold();
        assert!(
            untold.iter().all(|daemon| daemon % 2 == 0) && untold.len() == 5,
            "nobody tells of another's"
        );
        // Nothing is told twice over: the leader has no word of its own about the other's daemons.
        assert!(leader.tell_of(1).is_none() && leader.tell_of(0).is_some());
    }

    #[test]
    fn a_death_that_is_told_of_moves_what_the_dead_one_had() {
        let (mut leader, mut other) = (manager(true, false), manager(false, true));
        look(&mut leader, 10);
        look(&mut other, 10);
        tell(&mut other, &mut leader, 20);
        leader.decide(20);
        other.down(7, "connection closed", 10_000);
        tell(&mut other, &mut leader, 10_000);
        leader.decide(10_000);
        assert_eq!(leader.assignment(L1).counts(3), [3, 0, 3]);
        other.down(1, "connection closed", 11_000);
        tell(&mut other, &mut leader, 11_000);
        assert_eq!(leader.track(1).health, Health::Down);
        assert!(
            leader.take_events().iter().any(|event| event.kind == "daemon-down" && event.subject == "s2")
        );
    }

    #[test]
    fn the_death_of_a_manager_is_no_death_of_its_daemons() {
        let (mut leader, mut other) = (manager(true, false), manager(false, true));
        look(&mut leader, 10);
        look(&mut other, 10);
        tell(&mut other, &mut leader, 20);
        leader.decide(20);
        for daemon in 0..10 {
            leader.done(daemon, Vec::new(), 30);
        }
        let before = leader.assignment(L1).at.clone();
        leader.take_events();
        // It falls to the leader. What it was told holds, and nothing is ordered, before it has looked itself.
        leader.set_role(true, vec![true; 10]);
        let orders = leader.decide(10_000);
        assert!(orders.iter().all(|order| order.daemon % 2 == 0 || order.daemon == 9), "{orders:?}");
        assert!((0..10).all(|daemon| leader.track(daemon).health == Health::Up));
        assert!(leader.due_looks(60_000).iter().all(|look| look.daemon % 2 == 0 || look.daemon == 9));
        assert!(leader.tell_of(7).is_none() && leader.tell_of(9).is_some(), "it watched the top before");
        look(&mut leader, 10_100);
        leader.decide(10_100);
        assert_eq!(leader.assignment(L1).at, before);
        assert_eq!(leader.take_events(), [], "nothing has happened");
        assert!(leader.tell_of(1).is_some());
        // A late word of somebody who still takes it for his own changes nothing.
        let late = Told { health: Health::Down, ..Told::default() };
        leader.hear(1, Arc::new(late), 0, 10_200);
        assert_eq!(leader.track(1).health, Health::Up);
    }

    #[test]
    fn a_changed_configuration_loses_nothing_of_what_was_told() {
        let (mut leader, mut other) = (manager(true, false), manager(false, true));
        look(&mut leader, 10);
        look(&mut other, 10);
        tell(&mut other, &mut leader, 20);
        leader.decide(20);
        let before = leader.assignment(L1).at.clone();
        let slower = fixture::two_tiers(6, 3).replace("interval: 1s, config", "interval: 2s, config");
        leader.change(fixture::desired(&slower, BalanceBy::Producers), 60_000);
        assert!(leader.track(3).seen.is_some() && leader.track(3).health == Health::Up);
        look(&mut leader, 60_100);
        leader.decide(60_100);
        assert_eq!(leader.assignment(L1).at, before);
    }

    #[test]
    fn a_new_aggregator_of_another_manager_says_when_it_has_everything() {
        let (mut leader, mut other) = (manager(true, false), manager(false, true));
        look(&mut leader, 10);
        look(&mut other, 10);
        tell(&mut other, &mut leader, 20);
        tell(&mut leader, &mut other, 20);
        leader.decide(20);
        other.follow(L1, Arc::new(leader.export(L1)), &leader.handing_over(L1), 20);
        leader.set_drained([leader.desired().daemons[6].name.clone()].into());
        leader.decide(20_000);
        let to_second: Vec<usize> = (0..6).filter(|at| leader.assignment(L1).at[*at] == Some(1)).collect();
        let taken = *to_second.iter().find(|at| **at % 3 == 0).expect("one of the two goes to the second");
        other.follow(L1, Arc::new(leader.export(L1)), &leader.handing_over(L1), 20_000);
        assert!(other.hands_over() > 0, "both know of the move");
        let stops = |conductor: &Conductor| {
            let plan = conductor.plan_for(6, 21_000).unwrap();
            plan.steps.iter().filter(|step| step.request.verb().starts_with("prdcr_stop")).count()
        };
        assert_eq!(stops(&leader), 0);
        other.observe(7, aggregator(&to_second));
        let name = other.desired().groups[L1].producers[taken].name.to_string();
        let time = |at_us| crate::conductor::SetTime {
            producer: name.clone(),
            set: "set".to_owned(),
            schema: String::new(),
            at_us,
        };
        for _ in 0..2 {
            let look = crate::conductor::Look { set_times: Some(vec![time(7)]), ..Default::default() };
            other.look(7, look, 21_000);
        }
        tell(&mut other, &mut leader, 21_000);
        leader.decide(21_000);
        assert!(stops(&leader) > 0, "the old one may let go");
    }
}
