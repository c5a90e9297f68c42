//! Producers of one daemon: stopped where they do not belong, started where they do.
//!
//! They are started by expressions, never by name: ldmsd 4.5 keeps a producer that was started by name for ever, and
//! one request starts many.

use campanile_ldms::api::Call as _;
use campanile_ldms::api::Micros;
use campanile_ldms::api::producer::{PrdcrStartRegex, PrdcrStop, PrdcrStopRegex, PrdcrSubscribe};
use campanile_ldms::wire::errno;

use super::regex::{chunks, exactly};
use super::{Draft, Duty, Step, Why};
use crate::model::{Producer, Source};
use crate::seen::{Differs, ProducerSeen, State};

/// Whether this producer has to be defined anew, which must wait until it is stopped.
pub(super) fn redefine(producer: &Producer, seen: ProducerSeen) -> bool {
    seen.differs == Differs::Definition && producer.source != Source::Advertised
}

/// Stops what does not belong here, or not in this form.
pub(super) fn stop(draft: &mut Draft<'_>, entry: usize, duty: &Duty<'_>) {
    let Some(seen) = draft.seen().producers.get(entry) else { return };
    let (mut elsewhere, mut hanging, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    let mut lost = Vec::new();
    let known = seen.len().min(duty.group.producers.len());
    for at in duty.busy.iter().map(|at| *at as usize).take_while(|at| *at < known) {
        let producer = seen[at];
        if producer.state == State::Stopping {
            draft.plan.stopping.push(duty.group.producers[at].name.to_string());
            draft.recheck_soon();
        }
        if !producer.state.is_active() {
            continue;
        }
        let wanted = (duty.wants)(at);
        if wanted && producer.differs == Differs::No && !(duty.hangs)(at) {
            if (duty.renews)(at) {
                lost.push(&*duty.group.producers[at].name);
            }
            continue;
        }
        let name = &*duty.group.producers[at].name;
        if !wanted && (duty.lends)(at) {
            draft.plan.waits = true;
        } else if !wanted {
            elsewhere.push(name);
        } else if (duty.hangs)(at) {
            hanging.push(name);
        } else {
            changed.push(name);
        }
    }
    send_stops(draft, &elsewhere, &Why::AssignedElsewhere);
    send_stops(draft, &lost, &Why::Lost);
    send_stops(draft, &hanging, &Why::Hangs);
    send_stops(draft, &changed, &Why::Differs("definition"));
}

fn send_stops(draft: &mut Draft<'_>, names: &[&str], why: &Why) {
    if let [name] = names {
        let request = PrdcrStop { name: (*name).to_owned() }.request();
        draft.step(request, &[errno::EBUSY, errno::ENOENT], why.clone());
        return;
    }
    for regex in chunks(names) {
        draft.step(PrdcrStopRegex { regex }.request(), &[], why.clone());
    }
}

/// Stops producers that the configuration has no more; they are deleted with the change of the updaters.
pub(super) fn stop_retired(draft: &mut Draft<'_>) {
    let (seen, retired) = (draft.seen(), &draft.situation.memory.retired.producers);
    let active: Vec<&str> = retired
        .iter()
        .filter(|name| seen.strangers.get(*name).is_some_and(|state| state.is_active()))
        .map(String::as_str)
        .collect();
    send_stops(draft, &active, &Why::Gone);
    for name in retired.iter().filter(|name| seen.strangers.get(*name) == Some(&State::Stopping)) {
        draft.plan.stopping.push(name.clone());
        draft.recheck_soon();
    }
}

/// Starts what belongs here.
pub(super) fn start(draft: &mut Draft<'_>, entry: usize, duty: &Duty<'_>) {
    let none = Vec::new();
    let seen = draft.seen().producers.get(entry).unwrap_or(&none);
    let mut ready: Vec<(Option<i64>, &str)> = Vec::new();
    for at in duty.mine.iter().map(|at| *at as usize) {
        let state = seen.get(at).copied().unwrap_or_default();
        if state.state.is_active() || (duty.hangs)(at) {
            continue;
        }
        let producer = &duty.group.producers[at];
        match state.state {
            // It is added in this very plan, or it has not been advertised yet.
            State::Absent if producer.source == Source::Advertised => continue,
            State::Stopping => continue,
            _ => {}
        }
        // Advertised producers that were stopped come back by themselves, in STANDBY.
        if producer.source == Source::Advertised && state.state == State::Stopped {
            continue;
        }
        if !(duty.may_start)(at) {
            draft.plan.waits = true;
            continue;
        }
        let reconnect = (state.differs == Differs::Reconnect).then_some(producer.reconnect_us);
        ready.push((reconnect, &producer.name));
    }
    ready.sort_by_key(|(reconnect, _)| *reconnect);
    for group in ready.chunk_by(|a, b| a.0 == b.0) {
        let names: Vec<&str> = group.iter().map(|(_, name)| *name).collect();
        for regex in chunks(&names) {
            let reconnect = group[0].0.map(Micros);
            draft.step(PrdcrStartRegex { regex, reconnect }.request(), &[], Why::Assigned);
        }
    }
}

/// Subscribes to streams of producers: all once, later those that are new.
pub(super) fn subscribe(draft: &mut Draft<'_>, entry: usize, duty: &Duty<'_>) {
    let none = Vec::new();
    let seen = draft.seen().producers.get(entry).unwrap_or(&none);
    for subscription in &duty.group.subscriptions {
        let what = subscription.stream.as_deref().or(subscription.message_tag.as_deref()).unwrap_or_default();
        let key = format!("subscribe {} {what}", subscription.regex);
        let request = |regex: String| {
            PrdcrSubscribe {
                regex,
                stream: subscription.stream.clone(),
                message_tag: subscription.message_tag.clone(),
                rx_rate: Some(subscription.rx_rate),
            }
            .request()
        };
        if draft.marked(&key).is_none() {
            let mark = Some((key, 1));
            draft.push(Step {
                request: request(subscription.regex.clone()),
                tolerates: &[errno::EEXIST],
                mark,
                why: Why::Missing,
            });
            continue;
        }
        let Ok(regex) = regex::Regex::new(&subscription.regex) else { continue };
        for (at, producer) in duty.group.producers.iter().enumerate() {
            let absent = seen.get(at).is_none_or(|producer| producer.state == State::Absent);
            if absent && producer.source != Source::Advertised && regex.is_match(&producer.name) {
                draft.step(request(exactly(&producer.name)), &[errno::EEXIST], Why::Missing);
            }
        }
    }
}
