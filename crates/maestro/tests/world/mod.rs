//! An invented cluster: daemons reduced to the states of their producers, plugins and updaters, with the delays,
//! races and refusals of real ones.

mod handing;
mod ldmsd;
mod shape;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use campanile_ldms::api::Request;
use campanile_ldms::api::producer::ProducerType;
use campanile_ldms::wire::ids::{AttrId, RequestId};
use campanile_maestro::conductor::{Conductor, DueLook, Health, Look, Order, Outcome, SetTime, Settings};
use campanile_maestro::model::{
    Control, Daemon, Desired, Group, Member, Mode, Name, Plugin, Producer, ProducerExtra, Schedule, Source,
    Updater,
};
use campanile_maestro::plan::{self, Step};
use campanile_maestro::seen::{Differs, PluginSeen, ProducerSeen, Seen, SetSeen, State, UpdaterSeen};

use self::shape::desired;

/// How many daemons.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) samplers: usize,
    pub(crate) l1: usize,
    pub(crate) l2: usize,
}

/// A daemon as it really is.
struct Real {
    running: bool,
    hung: bool,
    life: u64,
    has: Seen,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum News {
    /// A producer's connection is there, or gone.
    Connected {
        daemon: usize,
        life: u64,
        producer: usize,
    },
    Stopped {
        daemon: usize,
        life: u64,
        producer: usize,
    },
    /// An order reaches its daemon.
    Carried {
        daemon: usize,
        life: u64,
        number: usize,
    },
    Looked {
        daemon: usize,
        life: u64,
        set_times: Vec<String>,
    },
    /// The manager notices.
    Noticed {
        daemon: usize,
        life: u64,
        how: Notice,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Notice {
    Up,
    Hung,
    Down,
}

pub(crate) struct World {
    size: Size,
    seed: u64,
    rng: fastrand::Rng,
    pub(crate) now_ms: u64,
    pub(crate) conductor: Conductor,
    daemons: Vec<Real>,
    queue: BTreeSet<(u64, u64, News)>,
    next: u64,
    orders: HashMap<usize, Vec<Step>>,
    all_producers: Vec<Arc<BTreeSet<Name>>>,
    /// When an aggregator has the first sample of a producer it is connected to: after a lookup and a second.
    sampled: HashMap<(usize, usize), u64>,
    refusals: u32,
    faults: usize,
    sent: usize,
    verbs: BTreeMap<&'static str, usize>,
}

const PROBE_MS: u64 = 3_000;

impl World {
    /// A cluster in which everything runs and the manager knows nothing yet.
    pub(crate) fn new(size: Size, seed: u64) -> Self {
        let desired = desired(size);
        let names = |group: &Group| Arc::new(group.producers.iter().map(|p| p.name.clone()).collect());
        let all_producers = desired.groups.iter().map(names).collect();
        let settings = Settings { settle_ms: 1_000, moves_per_s: 500.0, sync_ms: 3_000 };
        let conductor = Conductor::new(desired, settings, 0);
        let count = conductor.desired().daemons.len();
        let mut world = Self {
            size,
            seed,
            rng: fastrand::Rng::with_seed(seed),
            now_ms: 0,
            conductor,
            daemons: Vec::new(),
            queue: BTreeSet::new(),
            next: 0,
            orders: HashMap::new(),
            all_producers,
            sampled: HashMap::new(),
            refusals: 0,
            faults: 0,
            sent: 0,
            verbs: BTreeMap::new(),
        };
        for at in 0..count {
            // As after an earlier run of the manager: everything is defined.
            let has = world.defined(at);
            world.daemons.push(Real { running: true, hung: false, life: 1, has });
            world.tell_manager(at, 1, Notice::Up);
        }
        world
    }

    fn fresh(&self, at: usize) -> Seen {
        let member_of = &self.conductor.desired().daemons[at].member_of;
        let producers = member_of
            .iter()
            .map(|(group, _)| {
                vec![ProducerSeen::default(); self.conductor.desired().groups[*group].producers.len()]
            })
            .collect();
        Seen { producers, ..Seen::default() }
    }

    fn defined(&self, at: usize) -> Seen {
        let mut has = self.fresh(at);
        for list in &mut has.producers {
            list.fill(ProducerSeen { state: State::Stopped, differs: Differs::No });
        }
        let daemon = &self.conductor.desired().daemons[at];
        for (group, _) in &daemon.member_of {
            has.updaters.insert(format!("updtr_0_{}", daemon.name), self.updater(*group, true));
        }
        if let Some(plugin) = daemon.plugins.first() {
            sample(&mut has, plugin);
        }
        has
    }

    fn updater(&self, group: usize, full: bool) -> UpdaterSeen {
        UpdaterSeen {
            schedule: Schedule { interval_us: 1_000_000, offset_us: Some(0) },
            mode: "Pull".to_owned(),
            auto: true,
            running: true,
            producers: if full { Arc::clone(&self.all_producers[group]) } else { Arc::default() },
            matches: BTreeSet::new(),
        }
    }

    fn later(&mut self, delay_ms: u64, news: News) {
        self.next += 1;
        self.queue.insert((self.now_ms + delay_ms, self.next, news));
    }

    fn tell_manager(&mut self, daemon: usize, delay_ms: u64, how: Notice) {
        let life = self.daemons[daemon].life;
        self.later(delay_ms, News::Noticed { daemon, life, how });
    }

    /// Lets a random while pass: often nothing, sometimes enough for everything.
    pub(crate) fn pass_random(&mut self) {
        let pause_ms = match self.rng.u32(0..10) {
            0..4 => 0,
            4..7 => self.rng.u64(0..300),
            7..9 => self.rng.u64(0..4_000),
            _ => self.rng.u64(0..15_000),
        };
        self.pass(pause_ms);
    }

    /// Lets time pass until nothing moves any more.
    pub(crate) fn settle(&mut self) {
        for _ in 0..400 {
            self.pass(500);
            if self.queue.is_empty() && self.conductor.next_wake_ms().is_none() {
                return;
            }
        }
        if self.conductor.next_wake_ms().is_some_and(|at_ms| at_ms > self.now_ms + 1_000) {
            return;
        }
        self.fail(&format!(
            "it never comes to rest: {:?} {:?}",
            self.queue.first(),
            self.conductor.next_wake_ms()
        ));
    }

    fn pass(&mut self, ms: u64) {
        let end_ms = self.now_ms + ms;
        self.decide();
        loop {
            let event_ms = self.queue.first().map(|(at_ms, ..)| *at_ms);
            let wake_ms = self.conductor.next_wake_ms().map(|at_ms| at_ms.max(self.now_ms + 1));
            let next_ms = [event_ms, wake_ms].into_iter().flatten().min();
            let Some(next_ms) = next_ms.filter(|at_ms| *at_ms <= end_ms) else { break };
            self.now_ms = self.now_ms.max(next_ms);
            let mut told = wake_ms.is_some_and(|at_ms| at_ms <= self.now_ms);
            while let Some(entry) = self.queue.first().cloned()
                && entry.0 <= self.now_ms
            {
                self.queue.remove(&entry);
                // What only the daemons know of changes no decision.
                told |= !matches!(entry.2, News::Connected { .. } | News::Stopped { .. });
                self.happen(entry.2);
            }
            if told {
                self.decide();
            }
        }
        self.now_ms = end_ms;
    }

    fn decide(&mut self) {
        for DueLook { daemon, set_times, .. } in self.conductor.due_looks(self.now_ms) {
            let life = self.daemons[daemon].life;
            self.later(1, News::Looked { daemon, life, set_times });
        }
        let orders = self.conductor.decide(self.now_ms);
        for Order { daemon, steps } in orders {
            self.check_order(daemon, &steps);
            self.sent += steps.len();
            for step in &steps {
                *self.verbs.entry(step.request.verb()).or_default() += 1;
            }
            self.next += 1;
            let (number, life) = (self.next as usize, self.daemons[daemon].life);
            self.orders.insert(number, steps);
            let delay_ms = self.rng.u64(1..6);
            self.later(delay_ms, News::Carried { daemon, life, number });
        }
        self.check_assignment();
        self.conductor.take_events();
    }

    /// What no order may do, whatever is wrong elsewhere.
    fn check_order(&mut self, daemon: usize, steps: &[Step]) {
        let desired = self.conductor.desired();
        let Some((group, place)) = desired.daemons[daemon].member_of.first().copied() else { return };
        for step in steps {
            let start = match step.request.id {
                RequestId::PRDCR_START_REGEX => true,
                RequestId::PRDCR_STOP | RequestId::PRDCR_STOP_REGEX => false,
                RequestId::UPDTR_DEL => self.fail(&format!("an updater is deleted: {step}")),
                _ => continue,
            };
            for at in self.producers_of(group, &step.request) {
                let carries = self.conductor.assignment(group).carries(at, place);
                let producer = desired.groups[group].producers[at].daemon.unwrap_or(0);
                if start && !carries {
                    self.fail(&format!("a producer is started where it does not belong: {step}"));
                }
                let hangs = self.conductor.track(producer).health != Health::Up || group == 1;
                if !start && carries && !hangs {
                    self.fail(&format!("a producer that stays is stopped: {step}"));
                }
                if !start && !carries && group == 0 {
                    self.check_let_go(daemon, at, step);
                }
                if start {
                    let members = &desired.groups[group].aggregators;
                    for member in members {
                        let track = self.conductor.track(member.daemon);
                        let seen = track.seen.as_ref().map(|seen| seen.producers[0][at].state);
                        let collects = track.health == Health::Up && seen.is_none_or(State::is_active);
                        let handover = self.conductor.assignment(group).handovers.get(&at);
                        let lender = handover.filter(|one| one.to == place).map(|one| one.from);
                        let lends = lender.is_some_and(|from| members[from].daemon == member.daemon);
                        if member.daemon != daemon && collects && !lends {
                            self.fail(&format!("a second aggregator starts a producer: {step}"));
                        }
                    }
                }
            }
        }
    }

    /// Nothing is assigned to an aggregator that is known to be away while another one is there.
    fn check_assignment(&self) {
        for group in 0..2 {
            let assignment = self.conductor.assignment(group);
            if !assignment.ready {
                continue;
            }
            let members = &self.conductor.desired().groups[group].aggregators;
            let usable: Vec<bool> = members
                .iter()
                .map(|member| {
                    let track = self.conductor.track(member.daemon);
                    track.health == Health::Up && track.seen.is_some()
                })
                .collect();
            if !usable.contains(&true) {
                continue;
            }
            let well = assignment.at.iter().all(|at| at.is_some_and(|at| usable[usize::from(at)]));
            if !well {
                self.fail("something is assigned to nobody, or to one who is away");
            }
        }
    }

    fn happen(&mut self, news: News) {
        match news {
            News::Connected { daemon, life, producer } => {
                if self.daemons[daemon].life != life || !self.daemons[daemon].running {
                    return;
                }
                let group = self.conductor.desired().daemons[daemon].member_of[0].0;
                let peer = self.conductor.desired().groups[group].producers[producer].daemon.unwrap_or(0);
                let there = self.daemons[peer].running && !self.daemons[peer].hung;
                let state = &mut self.daemons[daemon].has.producers[0][producer].state;
                if state.is_active() {
                    let before =
                        std::mem::replace(state, if there { State::Connected } else { State::Trying });
                    if there && before != State::Connected {
                        let at_ms = self.now_ms + self.rng.u64(1_000..3_000);
                        self.sampled.insert((daemon, producer), at_ms);
                    }
                }
            }
            News::Stopped { daemon, life, producer } => {
                if self.daemons[daemon].life == life {
                    let state = &mut self.daemons[daemon].has.producers[0][producer].state;
                    if *state == State::Stopping {
                        *state = State::Stopped;
                    }
                }
            }
            News::Carried { daemon, life, number } => self.carry_out(daemon, life, number),
            News::Looked { daemon, life, set_times } => {
                let real = &self.daemons[daemon];
                if real.life == life && real.running {
                    if real.hung {
                        self.later(200, News::Looked { daemon, life, set_times });
                    } else if self.conductor.track(daemon).health == Health::Up {
                        let has = real.has.clone();
                        if !set_times.is_empty() {
                            let times = self.set_times(daemon, &set_times);
                            let look = Look { set_times: Some(times), ..Look::default() };
                            self.conductor.look(daemon, look, self.now_ms);
                        }
                        self.conductor.observe(daemon, has);
                        self.conductor.looked(daemon);
                    }
                }
            }
            News::Noticed { daemon, life, how } => {
                let real = &self.daemons[daemon];
                let current = real.life == life;
                match how {
                    Notice::Up if current && real.running && !real.hung => {
                        let seen = real.has.clone();
                        self.conductor.up(daemon, self.now_ms);
                        self.conductor.observe(daemon, seen);
                    }
                    Notice::Hung if current && real.running && real.hung => {
                        self.conductor.hung(daemon, "does not answer", self.now_ms);
                    }
                    Notice::Down => self.conductor.down(daemon, "connection refused", self.now_ms),
                    _ => {}
                }
            }
        }
    }

    fn carry_out(&mut self, daemon: usize, life: u64, number: usize) {
        let real = &self.daemons[daemon];
        if real.life != life || !real.running {
            self.orders.remove(&number);
            return;
        }
        if real.hung {
            // It lies in the socket until the daemon goes on.
            self.later(200, News::Carried { daemon, life, number });
            return;
        }
        let steps = self.orders.remove(&number).unwrap_or_default();
        let outcomes: Vec<_> = steps
            .into_iter()
            .map(|step| {
                let refused = self.rng.u32(0..1000) < self.refusals;
                let refusal = match refused {
                    true => Some((12, "out of memory".to_owned())),
                    false => self.apply(daemon, &step.request).err(),
                };
                Outcome { step, refusal }
            })
            .collect();
        self.daemons[daemon].has.cfg_cntr += 1;
        if self.conductor.track(daemon).health == Health::Up {
            let seen = self.daemons[daemon].has.clone();
            self.conductor.observe(daemon, seen);
            self.conductor.done(daemon, outcomes, self.now_ms);
        }
    }

    /// Something goes wrong, or right again.
    pub(crate) fn fault(&mut self) {
        self.faults += 1;
        let Size { samplers, l1, l2 } = self.size;
        let victim = match self.rng.u32(0..10) {
            0..6 => samplers + self.rng.usize(0..l1),
            6..8 => samplers + l1 + self.rng.usize(0..l2),
            _ => self.rng.usize(0..samplers),
        };
        let real = &self.daemons[victim];
        match (real.running, real.hung, self.rng.u32(0..10)) {
            (false, ..) => self.restart(victim),
            (true, true, 0..8) => self.resume(victim),
            (true, true, _) | (true, false, 0..4) => self.kill(victim),
            (true, false, 4..8) => self.hang(victim),
            // A glitch that is over before anybody has looked twice.
            (true, false, 8) => {
                self.kill(victim);
                self.restart(victim);
            }
            (true, false, _) => self.refusals = self.rng.u32(0..60),
        }
    }

    fn kill(&mut self, at: usize) {
        self.daemons[at].running = false;
        self.daemons[at].hung = false;
        self.daemons[at].life += 1;
        let delay_ms = self.rng.u64(1..30);
        self.tell_manager(at, delay_ms, Notice::Down);
        self.disconnect(at);
    }

    fn disconnect(&mut self, at: usize) {
        let desired = self.conductor.desired();
        let of = |group: &Group| group.index.get(&desired.daemons[at].name).copied();
        let places: Vec<(usize, usize)> = desired
            .groups
            .iter()
            .filter_map(|group| Some((of(group)?, group)))
            .flat_map(|(producer, group)| {
                group.aggregators.iter().map(move |member| (member.daemon, producer))
            })
            .collect();
        for (daemon, producer) in places {
            let life = self.daemons[daemon].life;
            let state = &mut self.daemons[daemon].has.producers[0][producer].state;
            if *state == State::Connected {
                *state = State::Trying;
                self.later(1_000, News::Connected { daemon, life, producer });
            }
        }
    }

    fn restart(&mut self, at: usize) {
        self.daemons[at].running = true;
        self.daemons[at].has = self.fresh(at);
        let delay_ms = self.rng.u64(30..1_200);
        self.tell_manager(at, delay_ms, Notice::Up);
        // Whoever tries to connect to it succeeds.
        let desired = self.conductor.desired();
        let name = desired.daemons[at].name.clone();
        let mut waiting = Vec::new();
        for group in &desired.groups {
            if let Some(producer) = group.index.get(&name) {
                waiting.extend(group.aggregators.iter().map(|member| (member.daemon, *producer)));
            }
        }
        for (daemon, producer) in waiting {
            let life = self.daemons[daemon].life;
            let delay_ms = self.rng.u64(200..1_900);
            self.later(delay_ms, News::Connected { daemon, life, producer });
        }
    }

    fn hang(&mut self, at: usize) {
        self.daemons[at].hung = true;
        self.tell_manager(at, PROBE_MS, Notice::Hung);
    }

    fn resume(&mut self, at: usize) {
        self.daemons[at].hung = false;
        self.tell_manager(at, 2, Notice::Up);
    }

    /// Everything runs again.
    pub(crate) fn repair(&mut self) {
        self.refusals = 0;
        for at in 0..self.daemons.len() {
            match (self.daemons[at].running, self.daemons[at].hung) {
                (false, _) => self.restart(at),
                (true, true) => self.resume(at),
                (true, false) => {}
            }
        }
        // What was refused for the last time is tried again within a minute.
        self.pass(61_000);
        // And what has failed often takes part in levelling again within five.
        self.pass(300_000);
    }

    /// Every sampler samples and is collected once, every first-tier aggregator is collected once, evenly.
    pub(crate) fn assert_whole(&self) {
        let desired = self.conductor.desired();
        for (at, daemon) in desired.daemons.iter().enumerate() {
            if let Some(plugin) = daemon.plugins.first()
                && !self.daemons[at].has.sets.contains_key(plugin.set.as_deref().unwrap_or_default())
            {
                self.fail(&format!("{} does not sample", daemon.name));
            }
        }
        for group in &desired.groups {
            let mut collectors: BTreeMap<usize, usize> = BTreeMap::new();
            for (at, producer) in group.producers.iter().enumerate() {
                let states =
                    group.aggregators.iter().map(|m| (m.daemon, self.daemons[m.daemon].has.producers[0][at]));
                let active: Vec<usize> =
                    states.filter(|(_, p)| p.state.is_active()).map(|(d, _)| d).collect();
                if active.len() != 1 {
                    self.fail(&format!("{} is collected by {active:?}", producer.name));
                }
                *collectors.entry(active[0]).or_default() += 1;
            }
            let share = group.producers.len() as f64 / group.aggregators.len() as f64;
            for member in &group.aggregators {
                let load = collectors.get(&member.daemon).copied().unwrap_or(0) as f64;
                if (load - share).abs() > f64::max(1.0, share * 0.05) {
                    self.fail(&format!("the load is uneven: {collectors:?}"));
                }
                let name = format!("updtr_0_{}", desired.daemons[member.daemon].name);
                let updater = self.daemons[member.daemon].has.updaters.get(&name);
                if updater.is_none_or(|u| !u.running || u.producers.len() != group.producers.len()) {
                    self.fail(&format!("{name} does not update everything"));
                }
            }
        }
    }

    pub(crate) fn summary(&self) -> String {
        format!(
            "seed {}: {} samplers, {} + {} aggregators, {} faults in {} virtual seconds, {} requests {:?}",
            self.seed,
            self.size.samplers,
            self.size.l1,
            self.size.l2,
            self.faults,
            self.now_ms / 1000,
            self.sent,
            self.verbs
        )
    }

    fn fail(&self, what: &str) -> ! {
        panic!("{what}\nCAMPANILE_SEED={} replays it: {}", self.seed, self.summary());
    }
}

fn sample(has: &mut Seen, plugin: &Plugin) {
    let set = plugin.set.as_deref().unwrap_or_default().to_owned();
    has.plugins.insert(
        plugin.name.to_string(),
        PluginSeen { plugin: plugin.plugin.clone(), sets: vec![set.clone()] },
    );
    has.sets.insert(
        set,
        SetSeen { data_bytes: 500, schedule: plugin.schedule, generation: 1, changed_ms: u64::MAX },
    );
}
