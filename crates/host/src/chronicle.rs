//! What happened to an instance, as events for the journal. Pure.

use campanile_control::journal::{Actor, NewEvent, kinds};
use campanile_yaml::Diagnostics;
use serde_json::Value;

use crate::model::{End, Ended, Instance, Observed, Operable, Process, State, StopStep, Target};
use crate::requests::{ALL, Request};
use crate::words;

/// So much of the end of an output goes into an event, in bytes.
const TAIL_BYTES: usize = 3 * 1024;

/// The events of one decision: an instance before it and after it, what was seen of it, and the time of the decision.
#[must_use]
pub fn step(before: &Instance, after: &Instance, observed: &Observed, now_ms: u64) -> Vec<NewEvent> {
    let is_new_end = match (&before.last_end, &after.last_end) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(before), Some(after)) => !std::sync::Arc::ptr_eq(before, after),
    };
    let was_running = matches!(before.state, State::Up | State::WaitStart { .. });
    let is_watched_only = before.passive && before.wanted() == Target::Passive;
    let mut events = Vec::new();
    match after.last_end.as_deref().filter(|_| is_new_end) {
        Some(ended) if was_running && !is_watched_only => events.push(crash(after, ended, now_ms)),
        ended => events.extend(state(before, after, observed, ended)),
    }
    events
}

/// The event of an instance that is not tracked any more.
pub fn forgotten(instance: &Instance) -> NewEvent {
    let text = "is not managed any more: it is gone from the configuration";
    NewEvent::new(kinds::STATE, &*instance.spec.instance_id, text).field("state", "gone")
}

fn crash(instance: &Instance, ended: &Ended, now_ms: u64) -> NewEvent {
    let ran = words::duration(ended.ran_ms);
    let how = match &ended.how {
        End::NotStarted(why) => format!("could not be started: {why}"),
        how => format!("ended by itself after {ran}: {how}"),
    };
    let (next, next_in_ms) = match instance.state {
        State::StartAt { at_ms } => {
            let wait_ms = at_ms.saturating_sub(now_ms);
            (format!("; launched again in {}", words::duration(wait_ms)), Some(wait_ms))
        }
        _ if instance.given_up => ("; it asks not to be launched again".to_owned(), None),
        _ => (String::new(), None),
    };
    let event = NewEvent::new(kinds::CRASH, &*instance.spec.instance_id, format!("{how}{next}"))
        .field("state", instance.state.name())
        .field("reason", ended.how.to_string())
        .field("ran_ms", ended.ran_ms)
        .field("next_in_ms", next_in_ms)
        .field("restarts", instance.restarts)
        .field("stderr_tail", tail(&ended.stderr_tail))
        .field("stdout_tail", tail(&ended.stdout_tail));
    with_end(event, ended)
}

fn with_end(event: NewEvent, ended: &Ended) -> NewEvent {
    match &ended.how {
        End::Code(code) => event.field("code", *code),
        End::Signal { number, core } => event.field("signal", *number).field("core", *core),
        End::Unknown | End::NotStarted(_) => event,
    }
}

fn state(
    before: &Instance,
    after: &Instance,
    observed: &Observed,
    ended: Option<&Ended>,
) -> Option<NewEvent> {
    let step = |state: State| match state {
        State::WaitDead(stopping) => Some(stopping.step),
        _ => None,
    };
    let is_same = before.state.name() == after.state.name() && step(before.state) == step(after.state);
    // What will be done at once is no state that anybody could see.
    if (is_same && ended.is_none()) || matches!(after.state, State::Start) {
        return None;
    }
    let pid = match observed.process {
        Process::Running { pid, .. } => Some(pid),
        _ => None,
    };
    let text = match after.state {
        State::Inoperable => match &after.operable {
            Operable::No(why) | Operable::Pending(why) => format!("cannot be managed: {why}"),
            Operable::Yes => "cannot be seen at the moment".to_owned(),
        },
        State::Down => match ended {
            Some(ended) => format!("is down: {}", ended.how),
            None => "is down".to_owned(),
        },
        State::StartAt { .. } => "will be launched".to_owned(),
        State::Start | State::WaitStart { overdue: false, .. } => "is launched".to_owned(),
        State::WaitStart { overdue: true, .. } => "is still being launched".to_owned(),
        State::Up => match (pid, before.state) {
            (Some(pid), State::WaitStart { .. }) => format!("is up, process {pid}"),
            (Some(pid), _) => format!("was found running, process {pid}"),
            (None, _) => "is up".to_owned(),
        },
        State::WaitDead(stopping) => match stopping.step {
            StopStep::Interrupted => "was asked to end (SIGINT)".to_owned(),
            StopStep::Terminated => "did not end yet, was asked once more (SIGTERM)".to_owned(),
            StopStep::Killed => "did not end within its grace and is killed".to_owned(),
            StopStep::Refused => "did not end within its grace and may not be killed".to_owned(),
        },
    };
    let event = NewEvent::new(kinds::STATE, &*after.spec.instance_id, text)
        .field("state", after.state.name())
        .field("target", after.target.name())
        .field("pid", pid.filter(|_| after.state == State::Up));
    Some(match ended {
        Some(ended) => {
            with_end(event.field("reason", ended.how.to_string()).field("ran_ms", ended.ran_ms), ended)
        }
        None => event,
    })
}

/// The events of requests for targets: each about the instance it names, or about `manager` where it names all.
#[must_use]
pub fn requested(requests: &[Request], manager: &str, actor: Option<&Actor>) -> Vec<NewEvent> {
    let one = |request: &Request| {
        let (subject, text) = if request.whom == ALL {
            (manager, format!("{} was asked for all instances", request.state))
        } else {
            (request.whom.as_str(), format!("{} was asked for", request.state))
        };
        let event = NewEvent::new(kinds::REQUEST, subject, text).by(actor.cloned());
        event.field("target", request.state.as_str())
    };
    requests.iter().map(one).collect()
}

/// The event of a site config that was read again; `told` is what there is to say about it.
pub fn config_taken(manager: &str, told: &[String], actor: Option<&Actor>) -> NewEvent {
    let text = match told.len() {
        0 => "the site config was read again".to_owned(),
        1 => format!("the site config was read again: {}", told[0]),
        count => format!("the site config was read again, with {count} remarks"),
    };
    NewEvent::new(kinds::CONFIG, manager, text).by(actor.cloned()).field("ok", true).field("told", list(told))
}

/// The event of a site config that cannot be used.
pub fn config_refused(manager: &str, problems: &Diagnostics, actor: Option<&Actor>) -> NewEvent {
    let lines: Vec<String> = problems.iter().map(campanile_yaml::Diagnostic::one_line).collect();
    let first = lines.first().map_or("?", String::as_str);
    let text = format!("the site config cannot be used, the last good one stays in force: {first}");
    NewEvent::new(kinds::CONFIG, manager, text)
        .by(actor.cloned())
        .field("ok", false)
        .field("told", list(&lines))
}

fn list(lines: &[String]) -> Value {
    if lines.is_empty() { Value::Null } else { lines.into() }
}

/// The end of a text, from the beginning of a line on; null if there is none.
fn tail(text: &str) -> Value {
    let begin = text.ceil_char_boundary(text.len().saturating_sub(TAIL_BYTES));
    let rest = &text[begin..];
    let rest = match rest.split_once('\n') {
        Some((_part_of_a_line, rest)) if begin > 0 => rest,
        _ => rest,
    };
    if rest.is_empty() { Value::Null } else { rest.into() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::Key;
    use crate::plan::plan;
    use crate::plan_tests::spec;

    const NOW_MS: u64 = 100_000;

    fn ended(how: End) -> Process {
        let (stdout_tail, stderr_tail) = (String::new(), "no such device".to_owned());
        Process::Ended(Arc::new(Ended { how, at_ms: 99_000, ran_ms: 1500, stdout_tail, stderr_tail }))
    }

    /// The events of the decisions over these observations, one after the other.
    fn story(target: Target, observations: &[(u32, Process)]) -> Vec<NewEvent> {
        let mut instance = Instance::new(Key(1), Arc::new(spec("Lakeshore")), Operable::Yes, NOW_MS);
        instance.target = target;
        let mut events = Vec::new();
        for (launch, process) in observations {
            let observed = Observed { launch: *launch, process: process.clone(), ..Observed::default() };
            let after = plan(&instance, &observed, NOW_MS).instance;
            events.extend(step(&instance, &after, &observed, NOW_MS));
            instance = after;
        }
        events
    }

    fn said(events: &[NewEvent]) -> Vec<String> {
        events.iter().map(|event| format!("{}: {}", event.kind(), event.text())).collect()
    }

    #[test]
    fn a_launch_and_a_crash_are_told_with_cause_and_outlook() {
        let running = Process::Running { pid: 7, since_ms: 90_000 };
        let signal = ended(End::Signal { number: 11, core: false });
        let events = story(Target::Up, &[(0, Process::None), (1, running), (1, signal.clone()), (1, signal)]);
        assert_eq!(
            said(&events),
            [
                "state: is launched",
                "state: is up, process 7",
                "crash: ended by itself after 1.5 s: signal 11 (SIGSEGV); launched again in 3.0 s",
            ]
        );
        assert_eq!(events[2].fields()["signal"], 11);
        assert_eq!(events[2].fields()["stderr_tail"], "no such device");
    }

    #[test]
    fn a_program_that_cannot_be_started_is_a_crash_too() {
        let not_started = ended(End::NotStarted("cannot run \"x\": No such file".to_owned()));
        let events = story(Target::Up, &[(0, Process::None), (1, not_started)]);
        assert!(said(&events)[1].starts_with("crash: could not be started: cannot run"), "{events:?}");
    }

    #[test]
    fn one_that_asks_not_to_be_launched_again_is_told_so() {
        let events = story(Target::Up, &[(0, Process::None), (1, ended(End::Code(125)))]);
        assert!(said(&events)[1].ends_with("exit code 125; it asks not to be launched again"), "{events:?}");
    }

    #[test]
    fn requests_name_their_instance_or_the_manager() {
        let request = |whom: &str| Request { whom: whom.to_owned(), state: "down".to_owned() };
        let actor = Actor::new("user alice (uid 1000)", "control socket, process 7");
        let events = requested(&[request("thermo1"), request(ALL)], "hm-1", Some(&actor));
        assert_eq!(
            said(&events),
            ["request: down was asked for", "request: down was asked for all instances"]
        );
        assert_eq!([events[0].subject(), events[1].subject()], ["thermo1", "hm-1"]);
    }

    #[test]
    fn a_long_output_is_cut_at_the_beginning_of_a_line() {
        let text = format!("{}\nlast", "x".repeat(2 * TAIL_BYTES));
        assert_eq!(tail(&text), "last");
        assert_eq!(tail("one\ntwo"), "one\ntwo");
        assert_eq!(tail(""), Value::Null);
    }
}
