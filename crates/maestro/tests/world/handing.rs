//! Which producers an order is about, which samples of them aggregators have, and that none lets go before another has
//! them.

use super::*;

impl World {
    /// An aggregator that is well lets go of a producer only when the one it was given to has samples of it.
    pub(super) fn check_let_go(&self, daemon: usize, producer: usize, step: &Step) {
        let desired = self.conductor.desired();
        let group = &desired.groups[0];
        let peer = group.producers[producer].daemon.unwrap_or(0);
        // What moved because it failed is another's at once.
        let within = |daemon: usize, ms: u64| {
            let since_ms = self.conductor.track(daemon).since_ms;
            since_ms > 1_000 && self.now_ms < since_ms + ms
        };
        // And what a daemon above, or the sampler, has to begin with afresh.
        let lately = within(daemon, 60_000)
            || within(peer, 20_000)
            || desired.groups[1].aggregators.iter().any(|member| within(member.daemon, 20_000));
        let served = self.daemons[daemon].has.producers[0][producer].state == State::Connected
            && self.daemons[peer].running
            && !self.daemons[peer].hung;
        let Some(new) = self.conductor.assignment(0).at[producer] else { return };
        let new = group.aggregators[usize::from(new)].daemon;
        let (real, state) = (&self.daemons[new], self.daemons[new].has.producers[0][producer].state);
        let sampled = self.sampled.get(&(new, producer)).is_some_and(|at_ms| *at_ms <= self.now_ms);
        let well = state == State::Connected && sampled && real.running && !real.hung;
        if served && !lately && !well && self.conductor.track(new).health == Health::Up && real.running {
            self.fail(&format!("{} lets go too early ({state:?}): {step}", desired.daemons[daemon].name));
        }
    }

    /// What an aggregator has of the sets of producers; one set each.
    pub(super) fn set_times(&self, daemon: usize, producers: &[String]) -> Vec<SetTime> {
        let group = &self.conductor.desired().groups[self.conductor.desired().daemons[daemon].member_of[0].0];
        let time = |name: &String| {
            let at = group.index.get(name.as_str()).copied()?;
            let connected = self.daemons[daemon].has.producers[0][at].state == State::Connected;
            let sampled = self.sampled.get(&(daemon, at)).is_some_and(|at_ms| *at_ms <= self.now_ms);
            connected.then(|| SetTime {
                producer: name.clone(),
                set: format!("{name}/meminfo"),
                schema: "meminfo".to_owned(),
                at_us: u64::from(sampled),
            })
        };
        producers.iter().filter_map(time).collect()
    }

    /// The positions of the producers that a request names.
    pub(super) fn producers_of(&self, group: usize, request: &Request) -> Vec<usize> {
        let value = |id| request.attributes.iter().find(|a| a.id == id).map(|a| a.value().into_owned());
        let names = match (value(AttrId::NAME), value(AttrId::REGEX)) {
            (Some(name), _) => vec![name],
            (None, Some(regex)) => plan::names_of(&regex).unwrap_or_default(),
            (None, None) => Vec::new(),
        };
        let index = &self.conductor.desired().groups[group].index;
        names.iter().filter_map(|name| index.get(name.as_str()).copied()).collect()
    }
}
