//! What the manager looks after beside its instances: what they use, and what is wrong with its own means.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use campanile_pages::ProgramPages;
use serde_json::{Value, json};

use crate::drive::usage;
use crate::manager::Manager;
use crate::model::{Key, Usage};
use crate::targets::Targets;

/// What instances use is measured so often when nobody asks.
const MEASURE_EVERY: Duration = Duration::from_secs(60);
/// Who asks gets a measurement that is no older than this, or the next time one that is newer.
const FRESH_MS: u64 = 3_000;
/// Two measurements closer together tell nothing of the CPU.
const LEAST_MS: u64 = 1_000;
/// Targets that could not be written are tried again after this time.
const WRITE_AGAIN: Duration = Duration::from_secs(2);

/// The last measurement.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    at_ms: u64,
    cpu_s: HashMap<Key, f64>,
}

impl Measured {
    /// Enters a measurement; gives each usage its share of one core since the last one.
    fn take(&mut self, now_ms: u64, usages: &mut [(Key, Usage)]) {
        let elapsed_ms = now_ms.saturating_sub(self.at_ms);
        for (key, usage) in usages.iter_mut().filter(|_| elapsed_ms >= LEAST_MS) {
            let before = self.cpu_s.get(key).copied();
            usage.cpu_share = before.map(|before| (usage.cpu_s - before).max(0.0) * 1e3 / elapsed_ms as f64);
        }
        self.at_ms = now_ms;
        self.cpu_s = usages.iter().map(|(key, usage)| (*key, usage.cpu_s)).collect();
    }
}

impl Manager {
    /// Measures what instances use, for as long as the program runs.
    pub(crate) async fn measure(self) {
        let worker = self.shared.workers.register("usage");
        let mut pages = ProgramPages::default();
        loop {
            let asked = self.shared.measure_now.notified();
            let _ = tokio::time::timeout(MEASURE_EVERY, asked).await;
            worker.busy("measuring memory and CPU of instances");
            let runners = self.shared.processes.runners();
            match tokio::task::spawn_blocking(move || usage::measure(&runners)).await {
                Ok(usages) => self.take_usages(usages),
                Err(error) => worker.error(&error.to_string()),
            }
            // A minute after the start, or after many launches, most of what was mapped for them is not needed any more.
            if let Err(error) = pages.give_back() {
                worker.error(&error.to_string());
            }
            worker.idle();
            // However many ask.
            tokio::time::sleep(Duration::from_millis(LEAST_MS)).await;
        }
    }

    fn take_usages(&self, mut usages: Vec<(Key, Usage)>) {
        let now_ms = self.shared.clock.now().mono_ms;
        let mut state = self.lock();
        state.measured.take(now_ms, &mut usages);
        for (key, usage) in usages {
            if let Some(entry) = state.table.get_mut(key) {
                entry.usage = Some(usage);
            }
        }
    }

    /// Somebody looks: what is too old is measured again for the next look.
    pub(crate) fn wants_usage(&self, state: &crate::manager::State) {
        if self.shared.clock.now().mono_ms.saturating_sub(state.measured.at_ms) > FRESH_MS {
            self.shared.measure_now.notify_one();
        }
    }

    /// Notes that something the manager needs does not work (or does again, with `None`). It shows in the data of the
    /// process `manager`, which counts as degraded meanwhile.
    pub fn problem(&self, what: &'static str, text: Option<String>) {
        let now_s = self.shared.clock.now().unix_s;
        let mut state = self.lock();
        let is_new = match text {
            Some(text) => {
                let before = state.problems.get(what).map(|(_, before)| before.as_str());
                let is_new = before != Some(text.as_str());
                if is_new {
                    tracing::warn!(what, %text, "a problem");
                    state.untold.push(text.clone());
                    if what != "journal" {
                        state.new_problems.push(text.clone());
                    }
                    state.problems.insert(what, (now_s, text));
                }
                is_new
            }
            None => state.problems.remove(what).is_some(),
        };
        drop(state);
        if is_new {
            self.shared.changed.notify_one();
        }
    }

    /// The entry `problems` of the data.
    pub(crate) fn problems(state: &crate::manager::State) -> Value {
        let one = |(what, (since, text)): (&&str, &(f64, String))| json!({"what": what, "since": since, "text": text});
        state.problems.iter().map(one).collect()
    }

    /// Writes the targets to the disk. What cannot be written is tried again until it can.
    pub(crate) async fn keep_targets(&self) {
        if self.write_targets().await || self.shared.writing_again.swap(true, Ordering::AcqRel) {
            return;
        }
        let manager = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(WRITE_AGAIN).await;
                if !manager.is_running() || manager.write_targets().await {
                    break;
                }
            }
            manager.shared.writing_again.store(false, Ordering::Release);
        });
    }

    /// Says whether they are written.
    async fn write_targets(&self) -> bool {
        let _one_at_a_time = self.shared.writing_targets.lock().await;
        let (targets, file) = (Targets::of(&self.lock().table), self.shared.targets.clone());
        let written = tokio::task::spawn_blocking(move || file.write(&targets)).await;
        let problem = match written {
            Ok(Err(error)) => {
                Some(format!("The targets that operators have set cannot be kept over a crash: {error}"))
            }
            Ok(Ok(())) | Err(_) => None,
        };
        let is_written = problem.is_none();
        self.problem("targets", problem);
        is_written
    }

    /// Sets the limits of everything that runs as the site config has them now.
    pub(crate) async fn limit_all(&self) {
        let running: Vec<_> = {
            let state = self.lock();
            let runs = state.table.iter().filter(|entry| entry.hold.containment.is_some());
            runs.map(|entry| (entry.instance.key, Arc::clone(&entry.instance.spec))).collect()
        };
        let processes = self.shared.processes.clone();
        let limiting = tokio::task::spawn_blocking(move || {
            running.into_iter().map(|(key, spec)| (key, processes.limit(key, &spec))).collect::<Vec<_>>()
        });
        let limited = limiting.await.unwrap_or_default();
        let mut state = self.lock();
        for (key, not_enforced) in limited {
            if let Some(entry) = state.table.get_mut(key) {
                entry.hold.not_enforced = not_enforced;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_a_core_is_that_since_the_last_measurement() {
        let usage = |cpu_s: f64| vec![(Key(1), Usage { cpu_s, ..Usage::default() })];
        let mut measured = Measured::default();
        let mut first = usage(5.0);
        measured.take(100_000, &mut first);
        assert_eq!(first[0].1.cpu_share, None);
        let mut second = usage(6.0);
        measured.take(104_000, &mut second);
        assert_eq!(second[0].1.cpu_share, Some(0.25));
        let mut again = usage(0.1);
        measured.take(106_000, &mut again);
        assert_eq!(again[0].1.cpu_share, Some(0.0), "another run began from nothing");
    }
}
