//! What holds of every history, checked against a simulated world in which processes ignore signals, fork, crash,
//! and in which news arrives late.

use std::collections::VecDeque;
use std::sync::Arc;

use proptest::prelude::*;

use crate::model::*;
use crate::plan::{Action, is_idle, plan};
use crate::relaunch::RestartPolicy;

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
enum Event {
    Ask(Target),
    /// The oldest piece of news that is still on its way arrives.
    News,
    Passes {
        ms: u64,
    },
    /// To the wake-up that the plan asked for, if it did.
    Wakes,
    Crashes {
        code: i32,
        leaving: u32,
    },
    /// What was left behind ends by itself.
    LeftoversEnd,
    /// From now on processes heed these signals, or not.
    Manners {
        int: bool,
        term: bool,
    },
    /// From now on launches fail, or not.
    Launchable(bool),
    Replaced,
    Retired,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => prop_oneof![Just(Target::Up), Just(Target::Down)].prop_map(Event::Ask),
        6 => Just(Event::News),
        2 => (0_u64..40_000).prop_map(|ms| Event::Passes { ms }),
        4 => Just(Event::Wakes),
        3 => (prop_oneof![Just(0), Just(1), Just(125)], 0_u32..3)
            .prop_map(|(code, leaving)| Event::Crashes { code, leaving }),
        1 => Just(Event::LeftoversEnd),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(int, term)| Event::Manners { int, term }),
        1 => any::<bool>().prop_map(Event::Launchable),
        1 => Just(Event::Replaced),
        1 => Just(Event::Retired),
    ]
}

/// The truth, as opposed to what the manager has been told of it.
struct World {
    running: Option<u32>,
    leftovers: u32,
    launching: Option<u32>,
    heeds_int: bool,
    heeds_term: bool,
    launchable: bool,
    news: VecDeque<Observed>,
    started_ms: u64,
}

struct Simulation {
    instance: Instance,
    observed: Observed,
    now_ms: u64,
    wake_at_ms: Option<u64>,
    world: World,
}

fn spec(kill: bool) -> Spec {
    Spec {
        instance_id: "x".to_owned(),
        agent_class: "Agent".to_owned(),
        program: Program::Plugin,
        arguments: Vec::new(),
        env: Vec::new(),
        cwd: None,
        stop: StopPolicy { grace_ms: 20_000, kill },
        restart: RestartPolicy::default(),
        after: Vec::new(),
        ready: None,
        limits: Default::default(),
        start: Target::Up,
    }
}

impl Simulation {
    fn new(kill: bool) -> Self {
        let instance = Instance::new(Key(1), Arc::new(spec(kill)), Operable::Yes, 0);
        let world = World {
            running: None,
            leftovers: 0,
            launching: None,
            heeds_int: true,
            heeds_term: true,
            launchable: true,
            news: VecDeque::new(),
            started_ms: 0,
        };
        Self { instance, observed: Observed::default(), now_ms: 1, wake_at_ms: None, world }
    }

    fn ends(&mut self, how: End, leaving: u32) {
        let Some(launch) = self.world.running.take() else { return };
        self.world.leftovers = leaving;
        let ran_ms = self.now_ms - self.world.started_ms;
        let (stdout_tail, stderr_tail) = (String::new(), String::new());
        let process =
            Process::Ended(Arc::new(Ended { how, at_ms: self.now_ms, ran_ms, stdout_tail, stderr_tail }));
        let told = Observed { launch, process, leftovers: None, ..Observed::default() };
        self.world.news.push_back(told.clone());
        self.world.news.push_back(Observed { leftovers: Some(leaving), ..told });
    }

    fn leftovers_end(&mut self) {
        if self.world.leftovers == 0 {
            return;
        }
        self.world.leftovers = 0;
        let last = self.world.news.back().unwrap_or(&self.observed).clone();
        self.world.news.push_back(Observed { leftovers: Some(0), ..last });
    }

    fn happens(&mut self, event: Event) -> Result<(), TestCaseError> {
        match event {
            Event::Ask(target) => {
                self.instance.target = target;
                self.instance.given_up = false;
            }
            Event::News => self.news(),
            Event::Passes { ms } => self.now_ms += ms,
            Event::Wakes => self.now_ms = self.wake_at_ms.unwrap_or(self.now_ms).max(self.now_ms),
            Event::Crashes { code, leaving } => self.ends(End::Code(code), leaving),
            Event::LeftoversEnd => self.leftovers_end(),
            Event::Manners { int, term } => (self.world.heeds_int, self.world.heeds_term) = (int, term),
            Event::Launchable(yes) => self.world.launchable = yes,
            Event::Replaced => {
                let by = Arc::new(spec(self.instance.spec.stop.kill));
                self.instance.fate = Fate::Replaced { by, operable: Operable::Yes };
            }
            Event::Retired => self.instance.fate = Fate::Retired,
        }
        self.decide()
    }

    fn news(&mut self) {
        if let Some(observed) = self.world.news.pop_front() {
            self.observed = observed;
        } else if let Some(launch) = self.world.launching.take() {
            let process = if self.world.launchable {
                self.world.running = Some(launch);
                self.world.started_ms = self.now_ms;
                Process::Running { pid: 9, since_ms: self.now_ms }
            } else {
                let how = End::NotStarted("no".to_owned());
                let (stdout_tail, stderr_tail) = (String::new(), String::new());
                let at_ms = self.now_ms;
                Process::Ended(Arc::new(Ended { how, at_ms, ran_ms: 0, stdout_tail, stderr_tail }))
            };
            self.observed = Observed { launch, process, leftovers: Some(0), ..Observed::default() };
        }
    }

    fn decide(&mut self) -> Result<(), TestCaseError> {
        let decision = plan(&self.instance, &self.observed, self.now_ms);
        self.instance = decision.instance;
        self.wake_at_ms = decision.wake_at_ms;
        if let Some(at_ms) = decision.wake_at_ms {
            prop_assert!(at_ms > self.now_ms, "wakes in the past: {:?}", self.instance.state);
        }
        let again = plan(&self.instance, &self.observed, self.now_ms);
        prop_assert!(again.actions.is_empty(), "not settled: {:?}", again);
        prop_assert_eq!(&again.instance, &self.instance);
        prop_assert_eq!(decision.forget, again.forget);
        if decision.forget {
            prop_assert!(self.world.running.is_none() && self.world.launching.is_none(), "forgot what runs");
        }
        for action in decision.actions {
            self.act(&action)?;
        }
        Ok(())
    }

    fn act(&mut self, action: &Action) -> Result<(), TestCaseError> {
        match action {
            Action::Launch { launch } => {
                prop_assert!(self.world.running.is_none(), "launched while one runs");
                prop_assert!(self.world.launching.is_none(), "launched while a launch is under way");
                prop_assert_eq!(self.world.leftovers, 0, "launched beside what is left");
                self.world.launching = Some(*launch);
            }
            Action::Interrupt if self.world.heeds_int => self.ends(End::Code(0), 0),
            Action::Terminate if self.world.heeds_term => self.everything_ends(15),
            Action::Interrupt | Action::Terminate => {}
            Action::Kill => {
                prop_assert!(self.instance.spec.stop.kill, "killed what may not be killed");
                self.everything_ends(9);
            }
        }
        Ok(())
    }

    fn everything_ends(&mut self, number: i32) {
        self.ends(End::Signal { number, core: false }, 0);
        self.leftovers_end();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn no_history_breaks_a_guarantee(kill: bool, history in proptest::collection::vec(event(), 0..80)) {
        let mut simulation = Simulation::new(kill);
        simulation.decide()?;
        for event in history {
            simulation.happens(event)?;
        }
    }

    #[test]
    fn every_history_converges_once_the_world_obeys(
        kill: bool,
        target in prop_oneof![Just(Target::Up), Just(Target::Down)],
        history in proptest::collection::vec(event(), 0..60),
    ) {
        let mut simulation = Simulation::new(kill);
        simulation.decide()?;
        for event in history {
            simulation.happens(event)?;
        }
        simulation.instance.fate = Fate::Kept;
        simulation.happens(Event::Manners { int: true, term: true })?;
        simulation.happens(Event::Launchable(true))?;
        while !simulation.world.news.is_empty() || simulation.world.launching.is_some() {
            simulation.happens(Event::News)?;
        }
        // Asked last, since the news may be that the program does not want to be launched again.
        simulation.happens(Event::Ask(target))?;
        for _ in 0..20 {
            simulation.happens(Event::News)?;
            simulation.happens(Event::Wakes)?;
        }
        // What has had both polite signals before the world became polite may only be waited for.
        let waits = !kill && matches!(simulation.instance.state, State::WaitDead(_));
        if waits {
            simulation.everything_ends(0);
            for _ in 0..10 {
                simulation.happens(Event::News)?;
            }
        }
        match target {
            Target::Passive => unreachable!("nobody can ask for it"),
            Target::Up => prop_assert_eq!(simulation.instance.state, State::Up),
            Target::Down => {
                prop_assert_eq!(simulation.instance.state, State::Down);
                prop_assert!(is_idle(&simulation.instance, &simulation.observed));
            }
        }
        prop_assert_eq!(simulation.world.running.is_some(), target == Target::Up);
        prop_assert_eq!(simulation.wake_at_ms, None);
    }
}
