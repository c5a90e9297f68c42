//! What a manager shares with the others of its cluster: the place where the board and the loop meet.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::board::{Saying, share};
use crate::conductor::Wish;

/// Who begins to lead waits for so long until all of the top tier has told what it has, before it measures coverage.
const MEASURE_AFTER_MS: u64 = 5_000;

/// Sets of one aggregator that others are told of because something speaks against them.
const MAX_SUSPECTS: usize = 200;

/// Who manages the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// The name of this manager among them.
    pub id: String,
    /// All of them.
    pub members: BTreeSet<String>,
    /// The one that decides, if there is one.
    pub leader: Option<String>,
}

/// What a leader has decided about a group.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Who carries what.
    pub held: Arc<BTreeMap<String, String>>,
    /// Moves that are under way: for each producer the old aggregator.
    pub handing: BTreeMap<String, String>,
}

/// What a manager knows by the others, beside the daemons.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) membership: Option<Membership>,
    /// How often its share has changed.
    shares: u64,
    /// Performance and judgement of daemons that others watch, by name.
    pub(super) performance: HashMap<String, (Value, Vec<String>)>,
    /// What the leader has decided, by the name of the group as the board writes it.
    given: BTreeMap<String, Given>,
}

impl Shared {
    /// Who decides, and measures the coverage.
    pub(super) fn leader(&self) -> Option<&str> {
        self.membership.as_ref()?.leader.as_deref()
    }
}

impl Core {
    /// Finds out anew which daemons are its own, and opens and closes links as that wants it.
    pub(super) fn apply_membership(&mut self, inner: &Inner) -> bool {
        let Some(membership) = &self.shared.membership else { return false };
        let leads = membership.leader.as_ref() == Some(&membership.id);
        let mine = self.conductor.desired().daemons.iter().map(|daemon| {
            share(&membership.members, &daemon.name).is_some_and(|member| *member == membership.id)
        });
        let mine: Vec<bool> = mine.collect();
        if !self.conductor.set_role(leads, mine) {
            return false;
        }
        if !leads {
            self.found.clear();
            self.leads_since_ms = None;
        } else if self.leads_since_ms.is_none() {
            self.leads_since_ms = Some(inner.clock.now().mono_ms);
        }
        self.fit_links(inner);
        self.shared.shares += 1;
        true
    }

    /// Opens links to daemons it watches, closes those to others.
    fn fit_links(&mut self, inner: &Inner) {
        let tops: BTreeSet<usize> = self.conductor.desired().top_groups().collect();
        let _links_run_here = inner.runtime.enter();
        for at in 0..self.links.len() {
            let wanted = self.conductor.watches(at);
            let desired = self.conductor.desired();
            let Some(control) = desired.daemons[at].control.as_ref().filter(|_| wanted) else {
                if let Some((id, _)) = self.links[at].take() {
                    self.positions.remove(&id);
                    self.forget_updates(at, "another manager watches its daemon now");
                    self.performance[at] = Performance::default();
                }
                continue;
            };
            let role = role(desired, at, &tops, self.conductor.leads());
            let kept =
                self.links[at].as_mut().is_some_and(|(_, link)| link.role() == role || link.tell_role(role));
            if !kept {
                self.performance[at].suspects.clear();
                self.next_id += 1;
                let (id, reports) = (self.next_id, inner.reports.clone());
                let started = Link::start(id, control.clone(), role, inner.watch, reports);
                if let Some((old, _)) = self.links[at].replace((id, started)) {
                    self.positions.remove(&old);
                }
                self.positions.insert(id, at);
            }
        }
    }

    /// Whether this manager has lately begun to lead, and not all of the top tier has told yet what it has.
    pub(super) fn begins_to_measure(&self, now_ms: u64) -> bool {
        let lately = self.leads_since_ms.is_some_and(|since_ms| now_ms < since_ms + MEASURE_AFTER_MS);
        let conductor = &self.conductor;
        lately
            && conductor.desired().top_groups().any(|group| {
                let members = &conductor.desired().groups[group].aggregators;
                let silent = |daemon: usize| {
                    conductor.track(daemon).health == Health::Up && !self.found.contains_key(&daemon)
                };
                members.iter().any(|member| silent(member.daemon))
            })
    }

    /// Takes in again what a leader has decided: the configuration may have come later.
    pub(super) fn follow_again(&mut self, now_ms: u64) {
        if self.conductor.leads() {
            return;
        }
        for (group, given) in self.shared.given.clone() {
            self.follow(&group, &given, now_ms);
        }
    }

    fn follow(&mut self, group: &str, given: &Given, now_ms: u64) {
        let groups = &self.conductor.desired().groups;
        if let Some(at) = groups.iter().position(|at| crate::board::file_name(&at.name) == group) {
            self.conductor.follow(at, Arc::clone(&given.held), &given.handing, now_ms);
            self.unsaved = true;
        }
    }

    /// How many daemons each manager watches.
    pub(super) fn watching(&self) -> BTreeMap<&str, usize> {
        let Some(membership) = &self.shared.membership else { return BTreeMap::new() };
        let mut counts: BTreeMap<&str, usize> =
            membership.members.iter().map(|member| (member.as_str(), 0)).collect();
        for daemon in self.conductor.desired().daemons.iter().filter(|daemon| daemon.control.is_some()) {
            if let Some(member) = share(&membership.members, &daemon.name) {
                *counts.entry(member).or_default() += 1;
            }
        }
        counts
    }

    pub(super) fn watched_by(&self, daemon: &str) -> Option<&str> {
        let membership = self.shared.membership.as_ref()?;
        share(&membership.members, daemon).map(String::as_str)
    }
}

impl Manager {
    /// Says who manages the cluster, and so what part of it is this manager's.
    pub fn set_membership(&self, membership: &Membership) {
        let mut core = self.lock();
        if core.shared.membership.as_ref() == Some(membership) {
            return;
        }
        core.shared.membership = Some(membership.clone());
        if core.apply_membership(&self.inner) {
            drop(core);
            self.inner.nudge.notify_one();
        }
    }

    /// Ends when there may be something to be told to the others.
    pub async fn has_news(&self) {
        self.inner.news.notified().await;
    }

    /// Daemons of this manager of which something may have changed since the last call.
    #[must_use]
    pub fn take_untold(&self) -> Vec<String> {
        let mut core = self.lock();
        let untold = core.conductor.take_untold();
        let daemons = &core.conductor.desired().daemons;
        untold.into_iter().map(|at| daemons[at].name.to_string()).collect()
    }

    /// The daemons of this manager, if they are others now than when `since` was written; none of them counts when it
    /// is `alone`.
    pub fn mine_since(&self, since: &mut Option<u64>, alone: bool) -> Option<BTreeSet<String>> {
        let core = self.lock();
        let now = if alone { u64::MAX } else { core.shared.shares };
        if since.replace(now) == Some(now) {
            return None;
        }
        if alone {
            return Some(BTreeSet::new());
        }
        let daemons = core.conductor.desired().daemons.iter().enumerate();
        let mine = daemons.filter(|(at, _)| core.conductor.is_mine(*at));
        Some(mine.map(|(_, daemon)| daemon.name.to_string()).collect())
    }

    /// What is to be told of these daemons; none where there is nothing.
    #[must_use]
    pub fn sayings(&self, daemons: &[String]) -> Vec<Option<Saying>> {
        let now = self.inner.clock.now();
        let core = self.lock();
        let saying = |name: &String| {
            let at = core.conductor.desired().daemon(name)?;
            Some(Saying {
                daemon: name.clone(),
                told: core.conductor.tell_of(at)?,
                since_s: now.unix_of(core.conductor.track(at).since_ms),
                suspects: core.performance[at].suspects().take(MAX_SUSPECTS).map(str::to_owned).collect(),
                performance: match core.conductor.desired().daemons[at].member_of.is_empty() {
                    // Of samplers there are too many, and their figures are never the same twice.
                    true => Value::Null,
                    false => core.performance_of(at),
                },
                judgement: crate::health::judge(&core.performance[at]),
            })
        };
        daemons.iter().map(saying).collect()
    }

    /// Takes in what others have told.
    pub fn hear(&self, sayings: Vec<Saying>) {
        if sayings.is_empty() {
            return;
        }
        let now = self.inner.clock.now();
        let mut core = self.lock();
        for saying in sayings {
            if saying.told.sets.is_some() {
                core.expected = None;
            }
            let Some(at) = core.conductor.desired().daemon(&saying.daemon) else { continue };
            let age_ms = (now.unix_of(now.mono_ms) - saying.since_s).max(0.0) * 1_000.0;
            let since_ms = now.mono_ms.saturating_sub(age_ms as u64);
            // Whatever it was told, its updates may be late by that.
            if core.conductor.track(at).memory.cfg_cntr != saying.told.cfg_cntr {
                core.performance[at].told_ms = now.mono_ms;
            }
            core.conductor.hear(at, Arc::new(saying.told), since_ms, now.mono_ms);
            if !core.conductor.watches(at) {
                core.hear_updates(at, &saying.performance, &saying.judgement);
                core.performance[at].suspects = saying.suspects;
            }
            core.shared.performance.insert(saying.daemon, (saying.performance, saying.judgement));
        }
        drop(core);
        self.inner.nudge.notify_one();
    }

    /// Takes over what a leader has decided about a group (its name as [`crate::board`] writes it).
    pub fn follow(&self, group: &str, given: Given) {
        let mut core = self.lock();
        let now_ms = self.inner.clock.now().mono_ms;
        core.follow(group, &given, now_ms);
        core.shared.given.insert(group.to_owned(), given);
        drop(core);
        self.inner.nudge.notify_one();
    }

    /// What this manager asks those of other aggregators to connect anew (see [`Conductor::wishes`]).
    #[must_use]
    pub fn wishes(&self) -> BTreeMap<Name, Wish> {
        self.lock().conductor.wishes()
    }

    /// Does what the leader asks for about an aggregator (see [`Conductor::wish`]).
    pub fn wish(&self, aggregator: &str, before: &Wish, now: &Wish) {
        let mut core = self.lock();
        if let Some(at) = core.conductor.desired().daemon(aggregator) {
            core.conductor.wish(at, before, now);
        }
        drop(core);
        self.inner.nudge.notify_one();
    }

    /// Takes in the coverage that the leader has measured.
    pub fn hear_coverage(&self, coverage: Coverage) {
        let mut core = self.lock();
        if !core.conductor.leads() {
            core.keep_coverage(coverage, unix_us() as f64 / 1e6);
        }
    }

    /// How many daemons this manager has a link to.
    #[must_use]
    pub fn links(&self) -> usize {
        self.lock().links.iter().flatten().count()
    }

    /// How many daemons each manager of the cluster watches; nothing where there are no others to be.
    #[must_use]
    pub fn watching(&self) -> BTreeMap<String, usize> {
        let core = self.lock();
        core.watching().into_iter().map(|(member, count)| (member.to_owned(), count)).collect()
    }
}
