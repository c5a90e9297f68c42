//! When daemons are looked at again, and what one of them would be asked now. Pure.

use super::tools::{Noted, Reach, Tools};
use super::{Conductor, Health};
use crate::plan::{self, Duty, Plan, Situation};
use crate::seen::State;

/// A look that is due. One at nothing in particular is one at everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DueLook {
    /// The daemon.
    pub daemon: usize,
    /// The producers to look at.
    pub producers: Vec<String>,
    /// Producers whose sets' times are to be looked at, too.
    pub set_times: Vec<String>,
}

impl Conductor {
    /// Looks that are due. To be called before [`Self::decide`]; answered by [`Self::look`] and [`Self::looked`].
    pub fn due_looks(&mut self, now_ms: u64) -> Vec<DueLook> {
        let mut due = Vec::new();
        while let Some((at_ms, daemon)) = self.rechecks.first().copied().filter(|(at_ms, _)| *at_ms <= now_ms)
        {
            self.rechecks.remove(&(at_ms, daemon));
            let track = &mut self.tracks[daemon];
            if track.recheck_ms != Some(at_ms)
                || track.busy
                || track.health != Health::Up
                || !self.mine[daemon]
                || track.second_hand
            {
                continue;
            }
            track.recheck_ms = None;
            track.busy = true;
            let set_times = std::mem::take(&mut track.taking);
            let mut producers = std::mem::take(&mut track.stopping);
            producers.extend(set_times.iter().cloned());
            due.push(DueLook { daemon, producers, set_times });
        }
        due
    }

    /// A look that [`Self::due_looks`] asked for has been given (or failed).
    pub fn looked(&mut self, daemon: usize) {
        self.tracks[daemon].busy = false;
        self.dirty.insert(daemon);
    }

    /// When [`Self::decide`] is to be called again if nothing happens before.
    #[must_use]
    pub fn next_wake_ms(&self) -> Option<u64> {
        let recheck_ms = self.rechecks.first().map(|(at_ms, _)| *at_ms);
        recheck_ms.into_iter().chain(self.level_ms).chain(self.clearing.values().copied()).min()
    }

    /// The plan for a daemon as of now; none while this manager itself has not looked at it.
    #[must_use]
    pub fn plan_for(&self, daemon: usize, now_ms: u64) -> Option<Plan> {
        // What others tell of a daemon is not all that a plan looks at.
        if self.tracks[daemon].second_hand {
            return None;
        }
        let mut reach: Vec<Option<Reach>> = self.assignments.iter().map(|_| None).collect();
        self.plan_within(daemon, now_ms, &mut reach)
    }

    /// The same, with what is known of the groups: it is found out once for all daemons of a decision.
    pub(super) fn plan_within(
        &self,
        daemon: usize,
        now_ms: u64,
        reach: &mut [Option<Reach>],
    ) -> Option<Plan> {
        let track = &self.tracks[daemon];
        let seen = track.seen.as_ref()?;
        let member_of = &self.desired.daemons[daemon].member_of;
        let ready = member_of.iter().all(|(group, _)| self.assignments[*group].ready);
        if !ready {
            return None;
        }
        for (group, _) in member_of {
            reach[*group].get_or_insert_with(|| Reach::of(self, *group, now_ms));
        }
        let reach = |group: usize| reach[group].as_ref();
        let tools = member_of
            .iter()
            .map(|(group, place)| Some(Tools::new(self, *group, *place, reach(*group)?)))
            .collect::<Option<Vec<Tools<'_>>>>()?;
        let mine: Vec<_> = tools.iter().map(Tools::mine).collect();
        let none = Noted::default();
        let wants: Vec<_> = tools.iter().map(|tool| |at: usize| tool.wants(at)).collect();
        let starts: Vec<_> = tools.iter().map(|tool| |at: usize| tool.may_start(at)).collect();
        let hangs: Vec<_> = tools.iter().map(|tool| |at: usize| tool.hangs(at)).collect();
        let lends: Vec<_> = tools.iter().map(|tool| |at: usize| tool.lends(at)).collect();
        let renews: Vec<_> =
            member_of.iter().map(|(group, _)| |at: usize| track.renew.contains(&(*group, at))).collect();
        let duties: Vec<Duty<'_>> = tools
            .iter()
            .enumerate()
            .map(|(at, tool)| Duty {
                group: tool.group(),
                place: member_of[at].1,
                mine: &mine[at],
                busy: &track.noted.get(at).unwrap_or(&none).busy,
                odd: &track.noted.get(at).unwrap_or(&none).odd,
                wants: &wants[at],
                may_start: &starts[at],
                hangs: &hangs[at],
                lends: &lends[at],
                renews: &renews[at],
                sets: tool.sets(),
            })
            .collect();
        Some(plan::plan(&Situation {
            desired: &self.desired,
            daemon: &self.desired.daemons[daemon],
            seen,
            memory: &track.memory,
            duties: &duties,
            now_ms,
        }))
    }

    /// An aggregator that had hung is clean once it collects nothing that is another's, and has no set of it any more;
    /// and when what others have taken over has had its time to arrive above. See [`super::handover`] for why.
    pub(super) fn clear_suspicion(&mut self, daemon: usize, now_ms: u64) {
        if !self.tracks[daemon].suspect {
            return;
        }
        let Some(seen) = &self.tracks[daemon].seen else { return };
        let member_of = &self.desired.daemons[daemon].member_of;
        let clean = member_of.iter().enumerate().all(|(entry, (group, place))| {
            let reach = Reach::of(self, *group, 0);
            let tools = Tools::new(self, *group, *place, &reach);
            let has_sets = |state: State| state.is_active() || state == State::Stopping;
            seen.producers.get(entry).is_none_or(|list| {
                list.iter().enumerate().all(|(at, producer)| !has_sets(producer.state) || tools.wants(at))
            })
        });
        if !clean {
            return;
        }
        let arrived_ms = |(group, place): &(usize, usize)| self.arrived_ms(*group, *place, now_ms);
        if let Some(at_ms) = member_of.iter().filter_map(arrived_ms).max() {
            self.clearing.insert(daemon, at_ms);
            return;
        }
        self.clearing.remove(&daemon);
        self.tracks[daemon].suspect = false;
        self.untold.insert(daemon);
        self.wake_collectors(daemon);
        for (group, _) in &self.desired.daemons[daemon].member_of {
            self.assignments[*group].dirty = true;
        }
        self.wake_at(now_ms);
    }

    /// Clears those of which only the time was missing.
    pub(super) fn clear_suspects(&mut self, now_ms: u64) {
        let due: Vec<usize> =
            self.clearing.iter().filter(|(_, at_ms)| **at_ms <= now_ms).map(|(daemon, _)| *daemon).collect();
        for daemon in due {
            self.clearing.remove(&daemon);
            if self.tracks[daemon].health == Health::Up {
                self.clear_suspicion(daemon, now_ms);
            }
        }
    }
}
