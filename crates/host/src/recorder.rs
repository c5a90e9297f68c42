//! The loop that publishes the record feeds ([`crate::records`]): all instances once a minute, when what they use has just
//! been measured, and those that changed a second after the change.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use campanile_control::journal::kinds;
use campanile_ocs::agent::{Agent, PublishError, unix_now_s};
use campanile_wamp::Value;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep};

use crate::manager::Manager;
use crate::model::{Key, Target};
use crate::records::{self, Record};
use crate::report;

/// Publishes for ever; without a journal there is nobody who tells of changes, and nothing is published.
pub(crate) async fn run(agent: Agent, manager: Manager) {
    let Some(mut live) = manager.journal().map(campanile_control::Journal::subscribe) else { return };
    let worker = manager.shared.workers.register("records");
    let mut tagged = Tagged::default();
    // Measurements come a minute apart, or more often if somebody looks.
    let every =
        Duration::from_secs(records::EVERY_S).saturating_sub(Duration::from_millis(records::GATHER_MS));
    let mut last_all: Option<Instant> = None;
    loop {
        let mut changed = BTreeSet::new();
        let mut all = false;
        tokio::select! {
            () = manager.shared.measured.notified() => {
                // Between two minutes: those of which nothing was known yet.
                all = last_all.is_none_or(|last| last.elapsed() >= every);
            }
            event = live.recv() => match event {
                Ok(event) if event.kind == kinds::STATE || event.kind == kinds::CRASH => {
                    changed.insert(event.subject.clone());
                }
                Ok(_) => continue,
                Err(RecvError::Lagged(_)) => all = true,
                Err(RecvError::Closed) => return,
            },
        }
        if !all && !changed.is_empty() {
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
        if all {
            last_all = Some(Instant::now());
        }
        worker.busy("publishing");
        let is_wanted = |id: &str| all || changed.contains(id);
        if let Err(error) = publish(&agent, &manager, &mut tagged, is_wanted) {
            worker.error(&error.to_string());
        }
        worker.idle();
    }
}

/// Instances whose tags the feeds have been given.
#[derive(Debug, Default)]
struct Tagged {
    states: HashSet<Key>,
    usage: HashSet<Key>,
}

/// Publishes all that is wanted, and of the others what they use if that is known for the first time. Many instances go
/// into one event; one that cannot be published holds up no other, and the first error is told.
fn publish(
    agent: &Agent,
    manager: &Manager,
    tagged: &mut Tagged,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<(), PublishError> {
    let now_s = unix_now_s();
    let (mut states, mut usages): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
    let state = manager.lock();
    tagged.states.retain(|key| state.table.get(*key).is_some());
    tagged.usage.retain(|key| state.table.get(*key).is_some());
    for entry in state.table.iter() {
        let key = entry.instance.key;
        let is_wanted = is_wanted(&entry.instance.spec.instance_id);
        let record = Record {
            instance_id: &entry.instance.spec.instance_id,
            state: report::state_name(entry),
            is_wanted: entry.instance.target == Target::Up,
            restarts: entry.instance.restarts,
            usage: entry.usage,
        };
        if is_wanted {
            states.push(record.states(tagged.states.insert(key), now_s));
        }
        let is_new = !tagged.usage.contains(&key);
        if let (true, Some(usage)) = (is_wanted || is_new, record.usage(is_new, now_s)) {
            usages.push(usage);
            tagged.usage.insert(key);
        }
    }
    drop(state);
    let mut result = Ok(());
    for (feed, messages) in [(records::STATES, states), (records::USAGE, usages)] {
        match agent.publish_all(feed, messages) {
            // Without a router nobody could store it.
            Ok(()) | Err(PublishError::NotConnected) => {}
            Err(error) => result = result.and(Err(error)),
        }
    }
    result
}
