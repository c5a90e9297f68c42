//! What the manager looks after beside its instances: what they use, and what is wrong with its own means.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use campanile_control::Ticker;
use campanile_pages::ProgramPages;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::manager::Manager;
use crate::model::{Key, Process, Usage};
use crate::targets::Targets;

/// What instances use is measured so often when nobody asks, in seconds.
const MEASURE_EVERY_S: u32 = 60;
/// So many instances that have control groups are measured before others get their turn: for a fraction of a millisecond.
/// To have it done elsewhere would cost more, a thread every minute. Without groups it takes a look at all processes of
/// the machine.
const MEASURED_AT_ONCE: usize = 16;
/// Who asks gets a measurement that is no older than this, or the next time one that is newer.
const FRESH_MS: u64 = 3_000;
/// Pages of the program file are given back so often at most; a little less than [`MEASURE_EVERY_S`], after which it is done.
const PAGES_EVERY: Duration = Duration::from_secs(50);
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
    /// Enters a measurement; gives each usage its share of one core since the last one, or since its launch, if that was
    /// later. `launched_ms` is that, where it is known: an adopted process was launched before anybody measured.
    fn take(&mut self, now_ms: u64, usages: &mut [(Key, Usage)], launched_ms: impl Fn(Key) -> Option<u64>) {
        let since_last_ms = now_ms.saturating_sub(self.at_ms);
        for (key, usage) in usages.iter_mut() {
            let (before_s, elapsed_ms) = match launched_ms(*key) {
                Some(launched_ms) if launched_ms >= self.at_ms => (0.0, now_ms.saturating_sub(launched_ms)),
                _ => match self.cpu_s.get(key) {
                    Some(before_s) => (*before_s, since_last_ms),
                    None => continue,
                },
            };
            if elapsed_ms >= LEAST_MS {
                usage.cpu_share = Some((usage.cpu_s - before_s).max(0.0) * 1e3 / elapsed_ms as f64);
            }
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
        let mut pages_at = Instant::now() + PAGES_EVERY;
        let mut rhythm = Ticker::every_s(MEASURE_EVERY_S);
        loop {
            tokio::select! {
                () = self.shared.measure_now.notified() => {}
                () = rhythm.tick() => {}
            }
            worker.busy("measuring memory and CPU of instances");
            let roster = self.shared.processes.roster();
            let mut usages = Vec::with_capacity(roster.grouped());
            while usages.len() < roster.grouped() {
                let some = usages.len()..roster.grouped().min(usages.len() + MEASURED_AT_ONCE);
                usages.extend(roster.measure_grouped(some));
                tokio::task::yield_now().await;
            }
            if roster.has_others() {
                match tokio::task::spawn_blocking(move || roster.measure_others()).await {
                    Ok(others) => usages.extend(others),
                    Err(error) => worker.error(&error.to_string()),
                }
            }
            self.take_usages(usages);
            self.shared.measured.notify_one();
            // A minute after the start, or after many launches, most of what was mapped for them is not needed any more.
            // However often somebody looks: what is mapped while everything starts is no measure of what is used.
            if Instant::now() >= pages_at {
                pages_at = Instant::now() + PAGES_EVERY;
                if let Err(error) = pages.give_back() {
                    worker.error(&error.to_string());
                }
            }
            worker.idle();
            // However many ask.
            tokio::time::sleep(Duration::from_millis(LEAST_MS)).await;
        }
    }

    fn take_usages(&self, mut usages: Vec<(Key, Usage)>) {
        let now_ms = self.shared.clock.now().mono_ms;
        let mut state = self.lock();
        let state = &mut *state;
        let launched_ms = |key| {
            let entry = state.table.get(key).filter(|entry| !entry.hold.adopted)?;
            match entry.observed.process {
                Process::Running { since_ms, .. } => Some(since_ms),
                Process::None | Process::Ended(_) | Process::Unseen => None,
            }
        };
        state.measured.take(now_ms, &mut usages, launched_ms);
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
    fn the_share_of_a_core_is_that_since_the_last_measurement_or_the_launch() {
        let usage = |cpu_s: f64| vec![(Key(1), Usage { cpu_s, ..Usage::default() })];
        let take = |measured: &mut Measured, now_ms, cpu_s, launched_ms| {
            let mut usages = usage(cpu_s);
            measured.take(now_ms, &mut usages, |_| launched_ms);
            usages[0].1.cpu_share
        };
        let mut adopted = Measured::default();
        assert_eq!(take(&mut adopted, 100_000, 5.0, None), None);
        assert_eq!(take(&mut adopted, 104_000, 6.0, None), Some(0.25));
        assert_eq!(take(&mut adopted, 104_500, 6.1, None), None, "too short a time to tell");

        let mut launched = Measured::default();
        assert_eq!(take(&mut launched, 100_000, 5.0, Some(90_000)), Some(0.5));
        assert_eq!(take(&mut launched, 104_000, 6.0, Some(90_000)), Some(0.25));
        assert_eq!(
            take(&mut launched, 106_000, 0.1, Some(105_000)),
            Some(0.1),
            "another run began from nothing"
        );
    }
}
