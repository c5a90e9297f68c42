//! The loop that publishes the record feeds ([`crate::records`]): all instances once a minute, when what they use has just
//! been measured, and those that changed a second after the change.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use campanile_control::journal::kinds;
use campanile_ocs::agent::feed::MAX_BLOCKS_PER_EVENT;
use campanile_ocs::agent::{Agent, PublishError, unix_now_s};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep};

use crate::manager::Manager;
use crate::model::{Key, Spec, Target, Usage};
use crate::records::{self, Record};
use crate::report;
use crate::table::Entry;

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
        let is_due = |id: &str| all || changed.contains(id);
        if let Err(error) = publish(&agent, &manager, &mut tagged, is_due).await {
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

/// What is published of an instance.
struct Seen {
    key: Key,
    spec: Arc<Spec>,
    state: &'static str,
    is_up_wanted: bool,
    restarts: u64,
    usage: Option<Usage>,
    /// Whether it is to be published, also if nothing is new.
    is_due: bool,
}

impl Seen {
    fn record(&self) -> Record<'_> {
        Record {
            instance_id: &self.spec.instance_id,
            state: self.state,
            is_wanted: self.is_up_wanted,
            restarts: self.restarts,
            usage: self.usage,
        }
    }
}

/// Publishes all that is due, and of the others what they use if that is known for the first time. Many instances go
/// into one event, and each event is sent before the next one is made; one instance that cannot be published holds up no
/// other, and the first error is told.
async fn publish(
    agent: &Agent,
    manager: &Manager,
    tagged: &mut Tagged,
    is_due: impl Fn(&str) -> bool,
) -> Result<(), PublishError> {
    let now_s = unix_now_s();
    let seen: Vec<Seen> = {
        let state = manager.lock();
        tagged.states.retain(|key| state.table.get(*key).is_some());
        tagged.usage.retain(|key| state.table.get(*key).is_some());
        let seen = |entry: &Entry| Seen {
            key: entry.instance.key,
            spec: Arc::clone(&entry.instance.spec),
            state: report::state_name(entry),
            is_up_wanted: entry.instance.target == Target::Up,
            restarts: entry.instance.restarts,
            usage: entry.usage,
            is_due: is_due(&entry.instance.spec.instance_id),
        };
        state.table.iter().map(seen).filter(|seen| seen.is_due || !tagged.usage.contains(&seen.key)).collect()
    };
    let mut result = Ok(());
    for seen in seen.chunks(MAX_BLOCKS_PER_EVENT) {
        let due = seen.iter().filter(|seen| seen.is_due);
        let states = due.map(|seen| seen.record().states(tagged.states.insert(seen.key), now_s));
        let states = agent.publish_all(records::STATES, states);
        let usages = seen.iter().filter_map(|seen| {
            let usage = seen.record().usage(!tagged.usage.contains(&seen.key), now_s)?;
            tagged.usage.insert(seen.key);
            Some(usage)
        });
        let usages = agent.publish_all(records::USAGE, usages);
        for error in [states, usages].into_iter().filter_map(Result::err) {
            // Without a router nobody could store it.
            if !matches!(error, PublishError::NotConnected) {
                result = result.and(Err(error));
            }
        }
        tokio::task::yield_now().await;
    }
    result
}
