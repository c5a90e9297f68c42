//! What clients are told of the instances: the `session.data` of the process `manager`, and the plan in words.

use campanile_control::Now;
use serde_json::{Map, Value, json};

use crate::model::{
    Containment, End, Ended, Fate, Instance, Observed, Operable, Process, Readiness, State, StopStep, Target,
};
use crate::table::{Entry, Table};
use crate::words;

/// The entries of `child_states`: the documented keys, then ours (`pid`, `since`, `restarts`, `last_exit`, `next_at`,
/// `reason`, `ready`, `containment`, `adopted`, `not_enforced`, `processes`,
/// `memory_bytes`, `cpu_s`, `cpu_share`). The `pid` of a container is that of its first process, as
/// this host counts. Times are seconds since the Unix epoch.
#[must_use]
pub fn child_states(table: &Table, now: Now) -> Value {
    table.iter().map(|entry| child_state(entry, now)).collect()
}

fn child_state(entry: &Entry, now: Now) -> Value {
    let Entry { instance, observed, hold, usage, .. } = entry;
    let outlook = outlook(entry, now.mono_ms);
    let (pid, since_ms) = match observed.process {
        Process::Running { since_ms, .. } if observed.leaving => (None, since_ms),
        Process::Running { pid, since_ms } => (Some(pid), since_ms),
        Process::None | Process::Ended(_) | Process::Unseen => (None, instance.since_ms),
    };
    json!({
        "next_action": state_name(entry),
        "target_state": instance.target.name(),
        "stability": instance.failures.stability(now.mono_ms),
        "agent_class": instance.spec.agent_class,
        "instance_id": instance.spec.instance_id,
        "operable": !matches!(instance.operable, Operable::No(_)),
        "restart_required": instance.restart_required,
        "pid": pid,
        "since": now.unix_of(since_ms),
        "restarts": instance.restarts,
        "last_exit": instance.last_end.as_deref().map(|ended| last_exit(ended, now)),
        "next_at": outlook.at_ms.map(|at_ms| now.unix_of(at_ms)),
        "reason": outlook.reason,
        "ready": instance.readiness == Readiness::Ready,
        "containment": hold.containment.map(Containment::name),
        "adopted": hold.adopted,
        "not_enforced": hold.not_enforced,
        "processes": usage.map(|usage| usage.processes),
        "memory_bytes": usage.map(|usage| usage.memory_bytes),
        "cpu_s": usage.map(|usage| usage.cpu_s),
        "cpu_share": usage.and_then(|usage| usage.cpu_share),
    })
}

/// What clients see of one that was up, whose process has ended, and of which it is not told yet how.
const LEAVING: &str = "wait_dead";

/// The word of OCS for the state of an instance.
#[must_use]
pub fn state_name(entry: &Entry) -> &'static str {
    if is_leaving(entry) { LEAVING } else { entry.instance.state.name() }
}

fn is_leaving(entry: &Entry) -> bool {
    entry.observed.leaving && entry.instance.state == State::Up
}

fn last_exit(ended: &Ended, now: Now) -> Value {
    let mut exit = Map::new();
    exit.insert("time".to_owned(), json!(now.unix_of(ended.at_ms)));
    exit.insert("reason".to_owned(), json!(ended.how.to_string()));
    match &ended.how {
        End::Code(code) => exit.insert("code".to_owned(), json!(code)),
        End::Signal { number, .. } => exit.insert("signal".to_owned(), json!(number)),
        End::Unknown | End::NotStarted(_) => None,
    };
    Value::Object(exit)
}

/// The answer to `{address}.plan`: what will be done about each instance, when, and why.
#[must_use]
pub fn plan(table: &Table, now: Now) -> Value {
    let row = |entry: &Entry| {
        let (instance, outlook) = (&entry.instance, outlook(entry, now.mono_ms));
        json!({
            "instance_id": instance.spec.instance_id,
            "target": instance.target.name(),
            "state": state_name(entry),
            "next": outlook.next,
            "reason": outlook.reason,
            "at": outlook.at_ms.map(|at_ms| now.unix_of(at_ms)),
        })
    };
    json!({ "instances": table.iter().map(row).collect::<Vec<_>>() })
}

/// What comes next for an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// `nothing`, `wait`, `launch`, `SIGINT`, `SIGTERM`, `SIGKILL`, or `stop` (docker is asked once more).
    pub next: &'static str,
    /// Why, in words.
    pub reason: String,
    /// When, if that is known.
    pub at_ms: Option<u64>,
}

/// Says what comes next for an instance if nothing happens, and why.
#[must_use]
pub fn outlook(entry: &Entry, now_ms: u64) -> Outlook {
    let Entry { instance, observed, .. } = entry;
    let (next, reason, at_ms) = match instance.state {
        State::Inoperable => ("nothing", inoperable(instance), None),
        State::Down => down(instance, observed),
        State::StartAt { at_ms } => ("launch", after_failure(instance, now_ms), Some(at_ms)),
        State::Start => match &observed.order.up {
            Some(hold) => ("launch", format!("it waits until {} is ready", hold.of), hold.until_ms),
            None => ("wait", "it is being counted what is left of its last run".to_owned(), None),
        },
        State::WaitStart { overdue: false, .. } => ("wait", "it is being launched".to_owned(), None),
        State::WaitStart { since_ms, overdue: true } => {
            let waited = words::duration(now_ms.saturating_sub(since_ms));
            ("wait", format!("the system has been starting it for {waited}"), None)
        }
        State::Up if is_leaving(entry) => {
            ("wait", "it has ended; docker has not told yet how".to_owned(), None)
        }
        State::Up if instance.target == Target::Passive => {
            ("nothing", "it runs; it is only looked at".to_owned(), None)
        }
        State::Up if instance.restart_required && instance.wanted() == Target::Up => {
            ("nothing", "it runs as it should; a restart would bring a newer image".to_owned(), None)
        }
        State::Up => up(instance, observed),
        State::WaitDead(stopping) => {
            let next = match stopping.step {
                StopStep::Interrupted | StopStep::Terminated if instance.spec.service().is_some() => "stop",
                StopStep::Interrupted => "SIGTERM",
                StopStep::Terminated if instance.spec.stop.kill => "SIGKILL",
                StopStep::Terminated | StopStep::Refused => "wait",
                StopStep::Killed => "SIGKILL",
            };
            let at_ms = entry.wake_at_ms.filter(|_| next != "wait");
            (next, stopping_reason(instance, observed, stopping.step), at_ms)
        }
    };
    Outlook { next, reason, at_ms }
}

fn up(instance: &Instance, observed: &Observed) -> (&'static str, String, Option<u64>) {
    let reason = match (instance.wanted(), &observed.order.down, instance.readiness) {
        (Target::Down, Some(after), _) => format!("it goes down when {after} is down"),
        (Target::Up, _, Readiness::Trying { .. }) if instance.spec.ready.is_some() => {
            "it runs and is not ready yet".to_owned()
        }
        _ => "it runs as it should".to_owned(),
    };
    let next = if instance.wanted() == Target::Down { "SIGINT" } else { "nothing" };
    (next, reason, None)
}

fn inoperable(instance: &Instance) -> String {
    match &instance.operable {
        Operable::No(why) | Operable::Pending(why) => why.clone(),
        Operable::Yes => "it can be manipulated again".to_owned(),
    }
}

fn down(instance: &Instance, observed: &Observed) -> (&'static str, String, Option<u64>) {
    if instance.wanted() == Target::Passive {
        return ("nothing", "it is down; it is only looked at".to_owned(), None);
    }
    if instance.wanted() == Target::Down {
        return match observed.leftovers {
            None => ("wait", "it is being counted what is left of it".to_owned(), None),
            Some(_) => ("nothing", "it is down as it should be".to_owned(), None),
        };
    }
    match &instance.operable {
        _ if instance.given_up => {
            ("nothing", "it said with its exit code not to launch it again; ask it up".to_owned(), None)
        }
        Operable::Pending(what) => ("launch", what.clone(), None),
        Operable::Yes | Operable::No(_) => ("launch", "it should be up".to_owned(), None),
    }
}

fn after_failure(instance: &Instance, now_ms: u64) -> String {
    let how = instance.last_end.as_deref().map_or_else(String::new, |ended| ended.how.to_string());
    match instance.failures.recent(now_ms) {
        0 | 1 => format!("it failed: {how}"),
        count => format!("it failed {count} times in two minutes, the last time: {how}"),
    }
}

fn stopping_reason(instance: &Instance, observed: &Observed, step: StopStep) -> String {
    let why = match (&instance.fate, instance.target) {
        (Fate::Retired, _) => "it is gone from the site config",
        (Fate::Replaced { .. }, _) => "it became something else in the site config",
        (Fate::Kept, Target::Down) => "it should be down",
        (Fate::Kept, Target::Up | Target::Passive) => "it is launched again when this run has ended",
    };
    let runs = matches!(observed.process, Process::Running { .. });
    let how = match (step, runs, observed.leftovers) {
        (StopStep::Interrupted, ..) if instance.spec.service().is_some() => {
            "docker was asked to stop and remove its container".to_owned()
        }
        (StopStep::Terminated, ..) if instance.spec.service().is_some() => {
            "docker was asked twice to stop and remove its container".to_owned()
        }
        (StopStep::Interrupted, ..) => "SIGINT was sent".to_owned(),
        (StopStep::Terminated, true, _) => "it has not ended by SIGINT, SIGTERM was sent".to_owned(),
        (StopStep::Terminated, false, left) => {
            format!("{} of it did not end with it, SIGTERM was sent", words::processes(left.unwrap_or(0)))
        }
        (StopStep::Killed, ..) => "it has not ended even by SIGKILL".to_owned(),
        (StopStep::Refused, ..) => "it has not ended, and may not be killed".to_owned(),
    };
    format!("{why}; {how}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Key, Program, Spec, StopPolicy, Stopping};
    use crate::relaunch::RestartPolicy;

    const NOW: Now = Now { mono_ms: 100_000, unix_s: 1_000_000.0 };

    fn entry(change: impl FnOnce(&mut Instance, &mut Observed)) -> Entry {
        let spec = Spec {
            instance_id: "thermo1".to_owned(),
            agent_class: "Lakeshore".to_owned(),
            program: Program::Plugin,
            arguments: Vec::new(),
            env: Vec::new(),
            cwd: None,
            stop: StopPolicy { grace_ms: 60_000, kill: true },
            restart: RestartPolicy::default(),
            after: Vec::new(),
            ready: None,
            limits: Default::default(),
            start: Target::Up,
        };
        let mut instance = Instance::new(Key(0), Arc::new(spec), Operable::Yes, 40_000);
        let mut observed = Observed::default();
        change(&mut instance, &mut observed);
        let wake_at_ms = crate::plan::plan(&instance, &observed, NOW.mono_ms).wake_at_ms;
        Entry { instance, observed, wake_at_ms, hold: Default::default(), usage: None }
    }

    fn ended(how: End) -> Arc<Ended> {
        let (stdout_tail, stderr_tail) = (String::new(), String::new());
        Arc::new(Ended { how, at_ms: 99_000, ran_ms: 1000, stdout_tail, stderr_tail })
    }

    #[test]
    fn a_child_state_has_the_documented_keys_and_ours() {
        let mut entry = entry(|instance, observed| {
            instance.state = State::Up;
            instance.launches = 1;
            instance.last_end = Some(ended(End::Signal { number: 9, core: false }));
            observed.launch = 1;
            observed.process = Process::Running { pid: 4711, since_ms: 70_000 };
        });
        let why = "memory: there is no memory controller in cgroup version 2 here";
        entry.hold = crate::model::Hold {
            containment: Some(Containment::Cgroup),
            not_enforced: vec![why.to_owned()],
            adopted: true,
        };
        entry.usage =
            Some(crate::model::Usage { processes: 2, memory_bytes: 4096, cpu_s: 1.5, cpu_share: Some(0.25) });
        let expected = json!({
            "next_action": "up",
            "target_state": "up",
            "stability": 1.0,
            "agent_class": "Lakeshore",
            "instance_id": "thermo1",
            "operable": true,
            "restart_required": false,
            "pid": 4711,
            "since": 999_970.0,
            "restarts": 0,
            "last_exit": {"time": 999_999.0, "reason": "signal 9 (SIGKILL)", "signal": 9},
            "next_at": null,
            "reason": "it runs as it should",
            "ready": false,
            "containment": "cgroup",
            "adopted": true,
            "not_enforced": ["memory: there is no memory controller in cgroup version 2 here"],
            "processes": 2,
            "memory_bytes": 4096,
            "cpu_s": 1.5,
            "cpu_share": 0.25,
        });
        assert_eq!(child_state(&entry, NOW), expected);
    }

    #[test]
    fn the_plan_says_what_comes_next_when_and_why() {
        let relaunch = entry(|instance, observed| {
            instance.state = State::StartAt { at_ms: 103_000 };
            instance.failures.note(95_000, 10);
            instance.failures.note(100_000, 10);
            instance.last_end = Some(ended(End::Code(2)));
            observed.process = Process::Ended(ended(End::Code(2)));
        });
        let stopping = entry(|instance, observed| {
            instance.target = Target::Down;
            instance.launches = 1;
            observed.launch = 1;
            observed.process = Process::Running { pid: 7, since_ms: 0 };
            instance.state = State::WaitDead(Stopping {
                since_ms: 90_000,
                step: StopStep::Interrupted,
                step_ms: 90_000,
                next_ms: Some(120_000),
            });
        });
        let pending =
            entry(|instance, _| instance.operable = Operable::Pending("waits for Python".to_owned()));
        let odd = entry(|instance, _| {
            instance.state = State::Inoperable;
            instance.operable = Operable::No("no such class".to_owned());
        });
        let given_up = entry(|instance, _| instance.given_up = true);
        let said = |entry: &Entry| {
            let outlook = outlook(entry, NOW.mono_ms);
            let at = outlook.at_ms.map_or(String::new(), |at_ms| format!(" in {} ms", at_ms - NOW.mono_ms));
            format!("{}{at}: {}", outlook.next, outlook.reason)
        };
        assert_eq!(
            said(&relaunch),
            "launch in 3000 ms: it failed 2 times in two minutes, the last time: exit code 2"
        );
        assert_eq!(said(&stopping), "SIGTERM in 20000 ms: it should be down; SIGINT was sent");
        assert_eq!(said(&pending), "launch: waits for Python");
        assert_eq!(said(&odd), "nothing: no such class");
        assert_eq!(said(&given_up), "nothing: it said with its exit code not to launch it again; ask it up");
    }
}
