//! The loop that publishes the record feeds ([`crate::records`]): all instances once a minute, and those that changed
//! a second after the change.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use campanile_control::journal::kinds;
use campanile_ocs::agent::{Agent, PublishError, unix_now_s};
use campanile_wamp::Value;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::manager::Manager;
use crate::records;

/// Publishes for ever; without a journal there is nobody who tells of changes, and nothing is published.
pub(crate) async fn run(agent: Agent, manager: Manager) {
    let Some(mut live) = manager.journal().map(campanile_control::Journal::subscribe) else { return };
    let worker = manager.shared.workers.register("records");
    let mut every = interval(Duration::from_secs(records::EVERY_S));
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let mut changed = BTreeSet::new();
        let mut all = false;
        tokio::select! {
            _ = every.tick() => all = true,
            event = live.recv() => match event {
                Ok(event) if event.kind == kinds::STATE || event.kind == kinds::CRASH => {
                    changed.insert(event.subject.clone());
                }
                Ok(_) => continue,
                Err(RecvError::Lagged(_)) => all = true,
                Err(RecvError::Closed) => return,
            },
        }
        if !all {
            sleep(Duration::from_millis(records::GATHER_MS)).await;
            loop {
                match live.try_recv() {
                    Ok(event) => {
                        changed.insert(event.subject.clone());
                    }
                    Err(tokio::sync::broadcast::error::TryRecvError::Lagged(_)) => all = true,
                    Err(_) => break,
                }
            }
        }
        worker.busy("publishing");
        if let Err(error) = publish(&agent, &manager, |id| all || changed.contains(id)) {
            worker.error(&error.to_string());
        }
        worker.idle();
    }
}

/// Publishes all that is wanted, many instances in one event; one that cannot be published holds up no other, and the
/// first error is told.
fn publish(agent: &Agent, manager: &Manager, is_wanted: impl Fn(&str) -> bool) -> Result<(), PublishError> {
    let data = manager.data();
    let now_s = unix_now_s();
    let mut messages: BTreeMap<&'static str, Vec<Value>> = BTreeMap::new();
    let children = data["child_states"].as_array().into_iter().flatten();
    for child in children.filter(|child| child["instance_id"].as_str().is_some_and(&is_wanted)) {
        for (feed, message) in records::of_child(child, now_s) {
            messages.entry(feed).or_default().push(Value::from(message));
        }
    }
    let mut result = Ok(());
    for (feed, messages) in messages {
        match agent.publish_all(feed, messages) {
            // Without a router nobody could store it.
            Ok(()) | Err(PublishError::NotConnected) => {}
            Err(error) => result = result.and(Err(error)),
        }
    }
    result
}
