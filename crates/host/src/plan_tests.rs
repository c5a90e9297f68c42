//! The decisions, told as scripts: what happens, and what the plan makes of it.
//!
//! A line is `event => state [+seconds to the next step] [actions]`. Events:
//!
//! | event | what happens |
//! |---|---|
//! | `up`, `down` | an operator asks for it |
//! | `runs` | the launch is seen to run |
//! | `exits CODE`, `dies SIGNAL` | the process ends, nothing is left of it |
//! | `exits CODE leaving N` | … and N processes are left of it |
//! | `exits CODE leaving ?` | … and it is being counted what is left |
//! | `left N` | so many are left now |
//! | `refused TEXT` | the launch failed |
//! | `after SECONDS` | time passes |
//! | `retire`, `replace CLASS` | a reload of the site config |
//! | `inoperable`, `pending`, `operable` | what is known of it changes |
//! | `says TEXT` | the messages so far contain the text (and are forgotten) |

use std::sync::Arc;

use crate::model::*;
use crate::plan::{Action, Plan, plan};
use crate::relaunch::RestartPolicy;

pub(crate) fn spec(class: &str) -> Spec {
    Spec {
        instance_id: "x".to_owned(),
        agent_class: class.to_owned(),
        program: Program::Command(vec!["/bin/true".to_owned()]),
        arguments: Vec::new(),
        env: Vec::new(),
        cwd: None,
        stop: StopPolicy { grace_ms: 60_000, kill: true },
        restart: RestartPolicy::default(),
        after: Vec::new(),
        ready: None,
        limits: Default::default(),
        start: Target::Down,
    }
}

struct Script {
    instance: Instance,
    observed: Observed,
    now_ms: u64,
    messages: Vec<String>,
    forgotten: bool,
}

impl Script {
    fn new(spec: Spec) -> Self {
        let now_ms = 1_000_000;
        let instance = Instance::new(Key(1), Arc::new(spec), Operable::Yes, now_ms);
        Self { instance, observed: Observed::default(), now_ms, messages: Vec::new(), forgotten: false }
    }

    fn happens(&mut self, event: &str) -> String {
        let words: Vec<&str> = event.split_whitespace().collect();
        match words[0] {
            "up" | "down" => {
                self.instance.target = Target::from_name(words[0]).unwrap();
                self.instance.given_up = false;
            }
            "runs" => {
                self.observed.launch = self.instance.launches;
                self.observed.process = Process::Running { pid: 77, since_ms: self.now_ms };
            }
            "exits" => self.ends(End::Code(words[1].parse().unwrap()), &words[2..]),
            "dies" => {
                self.ends(End::Signal { number: words[1].parse().unwrap(), core: false }, &words[2..]);
            }
            "refused" => self.ends(End::NotStarted(words[1..].join(" ")), &[]),
            "left" => self.observed.leftovers = Some(words[1].parse().unwrap()),
            "after" => self.now_ms += (words[1].parse::<f64>().unwrap() * 1000.0) as u64,
            "retire" => self.instance.fate = Fate::Retired,
            "replace" => {
                let by = Arc::new(Spec { start: Target::Up, ..spec(words[1]) });
                self.instance.target = Target::Up;
                self.instance.fate = Fate::Replaced { by, operable: Operable::Yes };
            }
            "inoperable" => self.instance.operable = Operable::No("because".to_owned()),
            "pending" => self.instance.operable = Operable::Pending("wait".to_owned()),
            "operable" => self.instance.operable = Operable::Yes,
            other => panic!("no such event: {other}"),
        }
        let plan = plan(&self.instance, &self.observed, self.now_ms);
        self.render(plan)
    }

    fn ends(&mut self, how: End, leaving: &[&str]) {
        let ran_ms = match self.observed.process {
            Process::Running { since_ms, .. } => self.now_ms - since_ms,
            Process::None | Process::Ended(_) | Process::Unseen => 0,
        };
        let (stdout_tail, stderr_tail) = ("last words".to_owned(), String::new());
        let ended = Ended { how, at_ms: self.now_ms, ran_ms, stdout_tail, stderr_tail };
        self.observed = Observed {
            launch: self.instance.launches,
            process: Process::Ended(Arc::new(ended)),
            leftovers: match leaving {
                [] => Some(0),
                ["leaving", "?"] => None,
                ["leaving", count] => Some(count.parse().unwrap()),
                other => panic!("leaving what? {other:?}"),
            },
            ..Observed::default()
        };
    }

    fn render(&mut self, plan: Plan) -> String {
        self.messages.extend(plan.messages);
        self.forgotten = plan.forget;
        let mut text = plan.instance.state.name().to_owned();
        if let Some(at_ms) = plan.wake_at_ms {
            assert!(at_ms > self.now_ms, "a wake-up that is not in the future is a busy loop");
            text += &format!(" +{}", (at_ms - self.now_ms) as f64 / 1000.0);
        }
        for action in &plan.actions {
            text += match action {
                Action::Launch { .. } => " launch",
                Action::Interrupt => " int",
                Action::Terminate => " term",
                Action::Kill => " kill",
            };
        }
        if plan.forget {
            text += " forgotten";
        }
        self.instance = plan.instance;
        text
    }
}

#[track_caller]
fn check_with(spec: Spec, script: &str) -> Script {
    let mut world = Script::new(spec);
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(text) = line.strip_prefix("says ") {
            let messages = std::mem::take(&mut world.messages).join("\n");
            assert!(messages.contains(text), "{text:?} is not in:\n{messages}");
            continue;
        }
        let (event, expected) = line.split_once("=>").expect("a line of a script");
        let seen = world.happens(event);
        assert_eq!(seen, expected.trim(), "after {:?}; messages: {:#?}", event.trim(), world.messages);
    }
    world
}

#[track_caller]
fn check(script: &str) -> Script {
    check_with(spec("Agent"), script)
}

#[test]
fn up_and_down_and_up_again() {
    check(
        "up          => wait_start +15 launch
         says Requested launch for Agent:x
         runs        => up
         says Launched Agent:x
         after 999   => up
         down        => wait_dead +30 int
         says Requesting termination of Agent:x
         exits 0     => down
         says Agent instance Agent:x has exited
         up          => wait_start +15 launch",
    );
}

#[test]
fn an_unexpected_end_is_told_and_launched_again_after_three_seconds() {
    let world = check(
        "up          => wait_start +15 launch
         runs        => up
         after 60    => up
         exits 2     => start_at +3
         says Detected exit of Agent:x with code 2.
         after 2.999 => start_at +0.001
         after 0.001 => wait_start +15 launch
         runs        => up
         after 60    => up
         dies 11     => start_at +3
         says by signal 11 (SIGSEGV)",
    );
    assert_eq!(world.instance.restarts, 1);
    assert!(world.instance.failures.stability(world.now_ms + 10_000) < 0.5);
}

#[test]
fn a_crash_before_anybody_looked_is_seen_counted_and_told() {
    let world = check(
        "up          => wait_start +15 launch
         exits 1     => start_at +3
         says Launched Agent:x
         after 3     => wait_start +15 launch
         exits 1     => start_at +3
         says stdout output from Agent:x: (the same lines as before)",
    );
    assert_eq!(world.instance.failures.recent(world.now_ms), 2);
    assert_eq!(world.instance.failures.stability(world.now_ms), 0.0);
}

#[test]
fn a_program_that_cannot_be_started_is_a_failure_with_the_systems_words() {
    check(
        "up          => wait_start +15 launch
         refused \"/no/such\": No such file or directory => start_at +3
         says Launch of Agent:x failed: \"/no/such\": No such file or directory",
    );
}

#[test]
fn waits_grow_after_five_failures() {
    check(
        "up       => wait_start +15 launch
         exits 1  => start_at +3
         after 3  => wait_start +15 launch
         exits 1  => start_at +3
         after 3  => wait_start +15 launch
         exits 1  => start_at +3
         after 3  => wait_start +15 launch
         exits 1  => start_at +3
         after 3  => wait_start +15 launch
         exits 1  => start_at +3
         after 3  => wait_start +15 launch
         exits 1  => start_at +6
         says Agent:x failed 6 times in two minutes; next launch in 6 s
         after 6  => wait_start +15 launch
         exits 1  => start_at +12
         after 12 => wait_start +15 launch
         exits 1  => start_at +24
         after 24 => wait_start +15 launch
         exits 1  => start_at +30",
    );
}

#[test]
fn exit_code_125_means_do_not_try_again_until_asked() {
    check(
        "up         => wait_start +15 launch
         runs       => up
         exits 125  => down
         says stays down until asked up
         after 999  => down
         up         => wait_start +15 launch",
    );
}

#[test]
fn a_stubborn_one_gets_sigterm_at_half_its_grace_and_sigkill_at_its_end() {
    check(
        "up         => wait_start +15 launch
         runs       => up
         down       => wait_dead +30 int
         after 29   => wait_dead +1
         after 1    => wait_dead +30 term
         says has not ended by SIGINT; sending SIGTERM
         after 30   => wait_dead +5 kill
         says refused to die
         after 5    => wait_dead +5 kill
         dies 9     => down",
    );
}

#[test]
fn an_instrument_that_may_not_be_killed_is_waited_for() {
    let mut gentle = spec("Telescope");
    gentle.stop = StopPolicy { grace_ms: 10_000, kill: false };
    check_with(
        gentle,
        "up         => wait_start +15 launch
         runs       => up
         down       => wait_dead +5 int
         after 5    => wait_dead +5 term
         after 5    => wait_dead
         says Agent instance Telescope:x refused to die. It may not be killed
         after 999  => wait_dead
         up         => wait_dead
         exits 0    => wait_start +15 launch",
    );
}

#[test]
fn what_an_agent_leaves_behind_ends_with_it() {
    check(
        "up                 => wait_start +15 launch
         runs               => up
         down               => wait_dead +30 int
         exits 0 leaving ?  => wait_dead +30
         left 2             => wait_dead +5 term
         says Agent:x has exited and left 2 processes
         left 1             => wait_dead +5
         after 5            => wait_dead +5 kill
         left 0             => down",
    );
}

#[test]
fn what_is_left_after_sigterm_does_not_get_the_rest_of_the_grace() {
    check(
        "up                 => wait_start +15 launch
         runs               => up
         down               => wait_dead +30 int
         after 30           => wait_dead +30 term
         after 1            => wait_dead +29
         dies 15 leaving 1  => wait_dead +5
         after 5            => wait_dead +5 kill",
    );
}

#[test]
fn nothing_is_launched_while_something_of_the_last_run_is_left() {
    check(
        "up                 => wait_start +15 launch
         runs               => up
         exits 1 leaving ?  => start_at +3
         after 3            => start
         left 1             => wait_dead +5 term
         says Ending one process that an earlier run of Agent:x left
         left 0             => wait_start +15 launch",
    );
}

#[test]
fn what_an_earlier_manager_left_of_an_instance_that_should_be_down_is_ended() {
    check(
        "left 1    => wait_dead +60 term
         after 60  => wait_dead +5 kill
         left 0    => down",
    );
}

#[test]
fn a_launch_that_takes_long_is_remarked_on_and_never_doubled() {
    check(
        "up         => wait_start +15 launch
         after 15   => wait_start
         says is not confirmed after 15 s
         after 999  => wait_start
         down       => wait_start
         runs       => wait_dead +30 int",
    );
}

#[test]
fn asked_down_before_the_relaunch_it_stays_down() {
    check(
        "up         => wait_start +15 launch
         runs       => up
         exits 1    => start_at +3
         down       => down
         says Modifying state of Agent:x from start_at to idle
         after 999  => down",
    );
}

#[test]
fn asked_up_while_it_stops_it_is_launched_after_its_end() {
    check(
        "up         => wait_start +15 launch
         runs       => up
         down       => wait_dead +30 int
         up         => wait_dead +30
         exits 0    => wait_start +15 launch",
    );
}

#[test]
fn a_retired_one_is_forgotten_when_it_has_ended() {
    check(
        "up         => wait_start +15 launch
         runs       => up
         retire     => wait_dead +30 int
         exits 0 leaving 1  => wait_dead +5 term
         left 0     => down forgotten",
    );
}

#[test]
fn a_replaced_one_ends_before_its_successor_is_launched() {
    let world = check(
        "up               => wait_start +15 launch
         runs             => up
         replace Other    => wait_dead +30 int
         after 10         => wait_dead +20
         exits 0          => wait_start +15 launch
         says Requested launch for Other:x",
    );
    assert_eq!((world.instance.launches, world.instance.restarts), (2, 0));
}

#[test]
fn nothing_is_launched_before_it_is_known_whether_it_can_be() {
    check(
        "pending    => down
         up         => down
         after 99   => down
         operable   => wait_start +15 launch",
    );
}

#[test]
fn what_cannot_be_manipulated_is_a_question_mark_and_launches_nothing() {
    check(
        "inoperable => ?
         up         => ?
         after 999  => ?
         pending    => ?
         operable   => wait_start +15 launch
         inoperable => wait_start +15
         runs       => up
         exits 1    => ?
         down       => ?
         operable   => down
         says Modifying state of Agent:x from ? to idle",
    );
}
