//! The decision: what to do about one instance, given what is wanted, what is seen, and the time.
//!
//! **Expected flow.** `down → start → wait_start → up`, and back by `wait_dead`; after an unexpected end `start_at`.
//! The names and their meaning are those of the OCS HostManager (`resolve_child_state`), so that its clients read them.
//! Where the original walks one step a second, this walks as far as it can at once, then names the moment of the next
//! step. Where it behaves differently on purpose is tabled in `tests/intended_differences.md`.
//!
//! **Guarantees.** A launch is asked for only when the one before has ended and nothing of it is left. A stop always
//! ends: SIGINT, SIGTERM at half the grace, SIGKILL of the tree at its end, again until nothing is left (without
//! SIGKILL where the site config forbids it). The next wake-up lies in the future. An instance that cannot be
//! manipulated never keeps the others, or the end of the manager, waiting.
//!
//! **Assumptions.** The observation of a launch comes sooner or later: it runs, it has ended, or it was not started.
//! Observations of older launches may arrive late; they are recognised by their number.
//!
//! **Architecture invariant:** no clock, no I/O, no randomness, no tokio in this file or in what it uses.

use std::sync::Arc;

use crate::model::{
    End, Ended, Fate, Instance, Observed, Operable, Process, Readiness, State, StopStep, Stopping, Target,
};
use crate::order;
use crate::relaunch::GIVE_UP_CODE;
use crate::words;

/// A launch that is not confirmed after this time is remarked on; it is not launched a second time.
pub const SLOW_LAUNCH_MS: u64 = 15_000;
/// What outlives its leader has at most this time from SIGTERM to SIGKILL.
pub const LEFTOVER_GRACE_MS: u64 = 5_000;
/// After a SIGKILL that did not help, the next one comes after this time.
pub const KILL_AGAIN_MS: u64 = 5_000;
/// No decision needs more steps; a longer walk would be a circle.
const MAX_STEPS: usize = 12;

/// An effect that a plan asks for. Each is carried out at most once per plan, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Launch it; the number goes into what is observed of this launch.
    Launch {
        /// Number of the launch.
        launch: u32,
    },
    /// SIGINT to the leader.
    Interrupt,
    /// SIGTERM to everything of the instance.
    Terminate,
    /// SIGKILL to everything of the instance, until nothing is left.
    Kill,
}

/// The decision about one instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What is to be remembered.
    pub instance: Instance,
    /// What is to be done, in this order.
    pub actions: Vec<Action>,
    /// What is to be told to people.
    pub messages: Vec<String>,
    /// When to decide again if nothing is observed before; always later than the `now_ms` of this decision.
    pub wake_at_ms: Option<u64>,
    /// It was retired and is gone: stop tracking it.
    pub forget: bool,
}

/// Decides about one instance: walks until nothing more can be done at this moment.
#[must_use]
pub fn plan(instance: &Instance, observed: &Observed, now_ms: u64) -> Plan {
    let mut walk =
        Walk { instance: instance.clone(), observed, now_ms, actions: Vec::new(), messages: Vec::new() };
    let settled = (0..MAX_STEPS).any(|_| !walk.step());
    debug_assert!(settled, "no circle in {:?}", walk.instance);
    let wake_at_ms = walk.wake_at_ms();
    let forget = walk.instance.fate == Fate::Retired
        && observed.process != Process::Unseen
        && is_idle(&walk.instance, observed);
    Plan { instance: walk.instance, actions: walk.actions, messages: walk.messages, wake_at_ms, forget }
}

/// Whether nothing of the instance runs or is about to: it does not keep the manager from ending.
#[must_use]
pub fn is_idle(instance: &Instance, observed: &Observed) -> bool {
    match instance.state {
        State::Inoperable => true,
        State::Down => observed.leftovers == Some(0),
        // What is only looked at may go on without us.
        State::Up => instance.passive && instance.wanted() == Target::Passive,
        State::StartAt { .. } | State::Start | State::WaitStart { .. } | State::WaitDead(_) => false,
    }
}

struct Walk<'a> {
    instance: Instance,
    observed: &'a Observed,
    now_ms: u64,
    actions: Vec<Action>,
    messages: Vec<String>,
}

impl Walk<'_> {
    /// Takes one step; `false` if there is none to take.
    fn step(&mut self) -> bool {
        match (self.instance.state, self.instance.wanted()) {
            (state, _) if self.observed.process == Process::Unseen => {
                state != State::Inoperable && self.enter(State::Inoperable)
            }
            (State::WaitStart { since_ms, overdue }, _) => self.in_wait_start(since_ms, overdue),
            (State::WaitDead(stopping), _) => self.in_wait_dead(stopping),
            (State::Up, Target::Passive) if !self.runs() => self.passively_down(),
            (State::Up, _) if !self.runs() => self.ended_unexpectedly(),
            (State::Up, Target::Up) if self.instance.again => self.interrupt(),
            (State::Up, Target::Up) => self.reached() | self.becomes_ready(),
            (State::Up, Target::Passive) => false,
            (State::Up, Target::Down) => self.observed.order.down.is_none() && self.interrupt(),
            // From here on nothing runs, or should not.
            (State::Inoperable | State::Down, _) if self.becomes_something_else() => true,
            (State::Inoperable, _) => self.in_inoperable(),
            (State::Down | State::StartAt { .. } | State::Start, _) if self.is_inoperable() => {
                self.enter(State::Inoperable)
            }
            (State::Down, wanted) => self.in_down(wanted),
            (State::StartAt { .. } | State::Start, Target::Down) => {
                let (name, state) = (self.name(), self.instance.state.name());
                self.say(format!("Modifying state of {name} from {state} to idle"));
                self.enter(State::Down)
            }
            (State::StartAt { .. } | State::Start, Target::Passive) => self.enter(State::Down),
            (State::Start, Target::Up) if self.runs() => self.found_running(),
            (State::StartAt { at_ms }, Target::Up) => self.now_ms >= at_ms && self.relaunch(),
            (State::Start, Target::Up) => self.start(),
        }
    }

    fn in_wait_start(&mut self, since_ms: u64, overdue: bool) -> bool {
        let name = self.name();
        match (self.launch_is_observed(), &self.observed.process) {
            (true, Process::Running { .. }) => {
                self.say(format!("Launched {name}"));
                self.reached();
                self.enter(State::Up)
            }
            (true, Process::Ended(ended)) => {
                let ended = Arc::clone(ended);
                if !matches!(ended.how, End::NotStarted(_)) {
                    self.say(format!("Launched {name}"));
                }
                self.failed(ended)
            }
            _ if !overdue && self.now_ms >= since_ms + SLOW_LAUNCH_MS => {
                let seconds = SLOW_LAUNCH_MS / 1000;
                self.say(format!("Launch of {name} is not confirmed after {seconds} s; waiting for it."));
                self.instance.state = State::WaitStart { since_ms, overdue: true };
                true
            }
            _ => false,
        }
    }

    fn in_wait_dead(&mut self, stopping: Stopping) -> bool {
        let name = self.name();
        if self.is_gone() {
            self.remember_end();
            self.say(format!("Agent instance {name} has exited"));
            if !self.instance.again {
                self.reached();
            }
            return self.enter(State::Down);
        }
        if let (StopStep::Interrupted, false, Some(count)) =
            (stopping.step, self.runs(), self.observed.leftovers)
        {
            // The leader has ended by SIGINT. What it left has had no signal of its own yet.
            self.say(format!("{name} has exited and left {}", words::processes(count)));
            return self.terminate(stopping.since_ms);
        }
        if self.due_ms(stopping).is_none_or(|due_ms| self.now_ms < due_ms) {
            return false;
        }
        let policy = self.instance.spec.stop;
        match stopping.step {
            StopStep::Interrupted => {
                self.say(match self.instance.spec.service() {
                    Some(_) => format!("The container of {name} is not gone yet; asking docker once more"),
                    None => format!("{name} has not ended by SIGINT; sending SIGTERM"),
                });
                self.terminate(stopping.since_ms)
            }
            StopStep::Terminated if policy.kill => {
                let what = if self.instance.spec.service().is_some() {
                    "its container"
                } else {
                    "everything it started"
                };
                self.say(format!("Agent instance {name} refused to die. Killing {what}."));
                self.kill(stopping.since_ms)
            }
            StopStep::Terminated => {
                self.say(format!(
                    "Agent instance {name} refused to die. It may not be killed; waiting for it."
                ));
                self.stop_step(stopping.since_ms, StopStep::Refused, None)
            }
            StopStep::Killed => self.kill(stopping.since_ms),
            StopStep::Refused => false,
        }
    }

    fn in_inoperable(&mut self) -> bool {
        match (&self.instance.operable, self.instance.wanted()) {
            (Operable::No(_) | Operable::Pending(_), _) => false,
            (Operable::Yes, _) if self.runs() => self.found_running(),
            (Operable::Yes, Target::Passive) => self.enter(State::Down),
            (Operable::Yes, Target::Up) => self.enter(State::Start),
            (Operable::Yes, Target::Down) => {
                let name = self.name();
                self.say(format!("Modifying state of {name} from ? to idle"));
                self.enter(State::Down)
            }
        }
    }

    fn in_down(&mut self, wanted: Target) -> bool {
        if self.runs() {
            return self.found_running();
        }
        match (wanted, self.observed.leftovers) {
            (Target::Down, Some(count)) if count > 0 => self.end_leftovers(count),
            (Target::Down, _) => self.reached(),
            (Target::Up, _) if self.instance.operable == Operable::Yes && !self.instance.given_up => {
                self.enter(State::Start)
            }
            _ => false,
        }
    }

    /// It runs, and nobody has launched it here.
    fn found_running(&mut self) -> bool {
        let name = self.name();
        self.say(match (self.instance.wanted(), self.instance.spec.service()) {
            (Target::Passive, _) => format!("Passively tracked {name} is now up."),
            (Target::Up, Some(_)) => {
                format!("Docker-based instance {} seems to be running.", self.instance.spec.instance_id)
            }
            (Target::Up, None) => format!("{name} runs already."),
            (Target::Down, Some(_)) => {
                format!("Detected unexpected session for {name} (probably docker); it will be shut down.")
            }
            (Target::Down, None) => format!("Detected unexpected session for {name}; it will be shut down."),
        });
        self.enter(State::Up)
    }

    /// The end of something that is only looked at.
    fn passively_down(&mut self) -> bool {
        let name = self.name();
        self.remember_end();
        self.say(format!("Passively tracked {name} is now down."));
        self.enter(State::Down)
    }

    /// What is only looked at is held to a target no longer than until it is reached. Says whether that changed it.
    fn reached(&mut self) -> bool {
        let changes = self.instance.passive && self.instance.target != Target::Passive;
        if changes {
            self.instance.target = Target::Passive;
        }
        changes
    }

    /// A replaced instance that is down becomes what it is replaced by.
    fn becomes_something_else(&mut self) -> bool {
        let Fate::Replaced { by, operable } = self.instance.fate.clone() else { return false };
        if !self.is_gone() {
            return false;
        }
        let fresh = Instance::new(self.instance.key, by, operable, self.now_ms);
        let (target, launches) = (self.instance.target, self.instance.launches);
        self.instance = Instance { target, launches, ..fresh };
        true
    }

    fn start(&mut self) -> bool {
        if self.runs() || !self.launch_is_observed() {
            return false;
        }
        match self.observed.leftovers {
            None => return false,
            Some(0) => {}
            Some(count) => return self.end_leftovers(count),
        }
        if !self.may_come_up() {
            return false;
        }
        if self.instance.readiness == Readiness::Idle {
            self.instance.readiness = Readiness::Trying { since_ms: self.now_ms, overdue: false };
        }
        self.instance.again = false;
        self.instance.launches += 1;
        let launch = self.instance.launches;
        let name = self.name();
        self.say(format!("Requested launch for {name}"));
        self.actions.push(Action::Launch { launch });
        self.enter(State::WaitStart { since_ms: self.now_ms, overdue: false })
    }

    /// Whether it need not wait for others before it is launched.
    fn may_come_up(&mut self) -> bool {
        let Some(hold) = &self.observed.order.up else { return true };
        if hold.until_ms.is_none_or(|until_ms| self.now_ms < until_ms) {
            return false;
        }
        let name = self.name();
        self.say(format!("{name} does not wait any longer for {}, which is not ready", hold.of));
        true
    }

    /// One that runs is ready if nobody has said how to see it.
    fn is_ready(&self) -> bool {
        self.observed.ready || self.instance.spec.ready.is_none()
    }

    fn becomes_ready(&mut self) -> bool {
        let name = self.name();
        match self.instance.readiness {
            Readiness::Ready => false,
            Readiness::Idle | Readiness::Trying { .. } if self.is_ready() => {
                if self.instance.spec.ready.is_some() {
                    self.say(format!("{name} is ready"));
                }
                self.instance.readiness = Readiness::Ready;
                true
            }
            Readiness::Idle => {
                self.instance.readiness = Readiness::Trying { since_ms: self.now_ms, overdue: false };
                true
            }
            Readiness::Trying { since_ms, overdue: false } => {
                let timeout_ms = order::timeout_ms(&self.instance);
                if self.now_ms < since_ms + timeout_ms {
                    return false;
                }
                self.say(format!("{name} is not ready after {}", words::duration(timeout_ms)));
                self.instance.readiness = Readiness::Trying { since_ms, overdue: true };
                true
            }
            Readiness::Trying { overdue: true, .. } => false,
        }
    }

    fn relaunch(&mut self) -> bool {
        self.instance.restarts += 1;
        self.enter(State::Start)
    }

    fn interrupt(&mut self) -> bool {
        let name = self.name();
        self.say(format!("Requesting termination of {name}"));
        self.actions.push(Action::Interrupt);
        let half_ms = self.instance.spec.stop.grace_ms / 2;
        self.stop_step(self.now_ms, StopStep::Interrupted, Some(self.now_ms + half_ms.max(1)))
    }

    fn end_leftovers(&mut self, count: u32) -> bool {
        let name = self.name();
        self.say(format!("Ending {} that an earlier run of {name} left", words::processes(count)));
        self.terminate(self.now_ms)
    }

    /// SIGTERM to all; SIGKILL follows when the grace is over, or sooner if only leftovers have to go.
    fn terminate(&mut self, since_ms: u64) -> bool {
        self.actions.push(Action::Terminate);
        let grace_end_ms = since_ms + self.instance.spec.stop.grace_ms;
        let kill_ms = if self.runs() {
            grace_end_ms
        } else if self.instance.launches == 0 {
            // Left by an earlier manager: it may be a whole agent that needs its time.
            self.now_ms + self.instance.spec.stop.grace_ms
        } else {
            // At least a moment, even if the leader has used up the whole grace.
            self.now_ms + LEFTOVER_GRACE_MS.min(self.instance.spec.stop.grace_ms)
        };
        self.stop_step(since_ms, StopStep::Terminated, Some(kill_ms.max(self.now_ms + 1)))
    }

    fn kill(&mut self, since_ms: u64) -> bool {
        self.actions.push(Action::Kill);
        self.stop_step(since_ms, StopStep::Killed, Some(self.now_ms + KILL_AGAIN_MS))
    }

    fn stop_step(&mut self, since_ms: u64, step: StopStep, next_ms: Option<u64>) -> bool {
        self.enter(State::WaitDead(Stopping { since_ms, step, step_ms: self.now_ms, next_ms }))
    }

    /// It was up, and is not any more.
    fn ended_unexpectedly(&mut self) -> bool {
        match &self.observed.process {
            Process::Ended(ended) => {
                let ended = Arc::clone(ended);
                self.failed(ended)
            }
            // Up without a process can only be said of a launch whose observation was lost; look again from the start.
            Process::None | Process::Running { .. } | Process::Unseen => self.enter(State::Down),
        }
    }

    fn failed(&mut self, ended: Arc<Ended>) -> bool {
        let name = self.name();
        if self.instance.readiness == Readiness::Ready {
            self.instance.readiness = Readiness::Trying { since_ms: self.now_ms, overdue: false };
        }
        self.messages.extend(words::end_messages(&name, &ended, self.instance.last_end.as_deref()));
        self.instance.last_end = Some(Arc::clone(&ended));
        self.reached();
        if self.instance.wanted() != Target::Up {
            return self.enter(State::Down);
        }
        self.instance.failures.note(self.now_ms, ended.ran_ms);
        if ended.how == End::Code(GIVE_UP_CODE) {
            self.instance.given_up = true;
            self.say(format!(
                "{name} says with exit code {GIVE_UP_CODE} not to launch it again; it stays down until asked up."
            ));
            return self.enter(State::Down);
        }
        let policy = self.instance.spec.restart;
        let wait_ms = self.instance.failures.wait_ms(policy);
        if wait_ms > policy.delay_ms {
            let recent = self.instance.failures.recent(self.now_ms);
            let wait_s = wait_ms as f64 / 1000.0;
            self.say(format!("{name} failed {recent} times in two minutes; next launch in {wait_s} s"));
        }
        self.enter(State::StartAt { at_ms: self.now_ms + wait_ms.max(1) })
    }

    fn wake_at_ms(&self) -> Option<u64> {
        match self.instance.state {
            State::StartAt { at_ms } => Some(at_ms),
            State::WaitStart { since_ms, overdue: false } => Some(since_ms + SLOW_LAUNCH_MS),
            State::WaitDead(stopping) => self.due_ms(stopping),
            State::Start => self.observed.order.up.as_ref().and_then(|hold| hold.until_ms),
            State::Up => self.overdue_at_ms(),
            State::Inoperable | State::Down | State::WaitStart { .. } => None,
        }
        .map(|at_ms| at_ms.max(self.now_ms + 1))
    }

    /// When it is to be said of one that runs that it is not ready.
    fn overdue_at_ms(&self) -> Option<u64> {
        match self.instance.readiness {
            Readiness::Trying { since_ms, overdue: false } if self.instance.wanted() == Target::Up => {
                Some(since_ms + order::timeout_ms(&self.instance))
            }
            Readiness::Idle | Readiness::Ready | Readiness::Trying { .. } => None,
        }
    }

    /// When the next step of a stop is due. What is left after the end of the leader has less time than the leader had.
    fn due_ms(&self, stopping: Stopping) -> Option<u64> {
        match (stopping.step, &self.observed.process) {
            (StopStep::Terminated, Process::Ended(ended)) => {
                let alone_since_ms = ended.at_ms.max(stopping.step_ms);
                stopping.next_ms.map(|next_ms| next_ms.min(alone_since_ms + LEFTOVER_GRACE_MS))
            }
            _ => stopping.next_ms,
        }
    }

    fn remember_end(&mut self) {
        if let (true, Process::Ended(ended)) = (self.launch_is_observed(), &self.observed.process) {
            self.instance.last_end = Some(Arc::clone(ended));
        }
    }

    fn enter(&mut self, state: State) -> bool {
        if self.instance.state.name() != state.name() {
            self.instance.since_ms = self.now_ms;
        }
        if matches!(state, State::Down | State::Inoperable) {
            self.instance.readiness = Readiness::Idle;
        }
        self.instance.state = state;
        true
    }

    fn say(&mut self, message: String) {
        self.messages.push(message);
    }

    fn name(&self) -> String {
        self.instance.spec.full_name()
    }

    fn is_inoperable(&self) -> bool {
        matches!(self.instance.operable, Operable::No(_))
    }

    /// Whether what is observed belongs to the last launch, and not to one before.
    fn launch_is_observed(&self) -> bool {
        self.observed.launch == self.instance.launches
    }

    fn runs(&self) -> bool {
        matches!(self.observed.process, Process::Running { .. })
    }

    /// The last launch has ended, and nothing is left of it.
    fn is_gone(&self) -> bool {
        let seen = self.observed.process != Process::Unseen;
        seen && self.launch_is_observed() && !self.runs() && self.observed.leftovers == Some(0)
    }
}
