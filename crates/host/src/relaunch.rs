//! How long to wait before an instance that ended by itself is launched again.
//!
//! The first [`FREE_FAILURES`] within the window wait for `delay_ms` (3 s, as OCS has it). Further ones wait twice as
//! long each time, up to `max_ms`, and go on growing until a run has lasted for a whole window: a program that cannot
//! work at all is not launched a thousand times an hour, and one that fails once a day is back in three seconds.

use campanile_control::Backoff;

use crate::stability::{self, WINDOW_MS};

/// That many failures within the window are waited for `delay_ms` only.
pub const FREE_FAILURES: usize = 5;
/// An exit code by which a program says that launching it again is of no use (as s6 has it).
pub const GIVE_UP_CODE: i32 = 125;

/// The waits of one instance (`restart` in the site config).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartPolicy {
    /// The wait after an ordinary failure, milliseconds.
    pub delay_ms: u64,
    /// The longest wait, milliseconds; counts as `delay_ms` if it is shorter.
    pub max_ms: u64,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self { delay_ms: 3000, max_ms: 30_000 }
    }
}

/// The unexpected ends of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    times_ms: Vec<u64>,
    grown: u32,
}

impl Failures {
    /// Notes an unexpected end after a run of `ran_ms`.
    pub fn note(&mut self, now_ms: u64, ran_ms: u64) {
        self.times_ms.push(now_ms);
        stability::cull(&mut self.times_ms, now_ms);
        if ran_ms >= WINDOW_MS {
            self.grown = 0;
        } else if self.grown > 0 || self.times_ms.len() > FREE_FAILURES {
            self.grown = self.grown.saturating_add(1);
        }
    }

    /// The wait before the next launch, milliseconds.
    #[must_use]
    pub fn wait_ms(&self, policy: RestartPolicy) -> u64 {
        let max_ms = policy.max_ms.max(policy.delay_ms);
        Backoff { first_ms: policy.delay_ms, max_ms, factor: 2.0 }.wait_ms(self.grown)
    }

    /// How many there were in the window before `now_ms`.
    #[must_use]
    pub fn recent(&self, now_ms: u64) -> usize {
        let oldest_ms = now_ms.saturating_sub(WINDOW_MS);
        self.times_ms.iter().filter(|time_ms| **time_ms >= oldest_ms).count()
    }

    /// The stability of the instance, see [`stability::factor`].
    #[must_use]
    pub fn stability(&self, now_ms: u64) -> f64 {
        let mut times_ms = self.times_ms.clone();
        stability::cull(&mut times_ms, now_ms);
        stability::factor(&times_ms, now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits of a program that runs for `ran_ms` and fails, `count` times.
    fn waits(failures: &mut Failures, now_ms: &mut u64, ran_ms: u64, count: usize) -> Vec<u64> {
        let policy = RestartPolicy::default();
        let one = |_| {
            *now_ms += ran_ms;
            failures.note(*now_ms, ran_ms);
            let wait_ms = failures.wait_ms(policy);
            *now_ms += wait_ms;
            wait_ms / 1000
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn five_quick_ones_then_longer_and_longer() {
        let (mut failures, mut now_ms) = (Failures::default(), 1_000_000);
        assert_eq!(waits(&mut failures, &mut now_ms, 10, 9), [3, 3, 3, 3, 3, 6, 12, 24, 30]);
        // Thirty seconds apart there are never six in the window; it has not become better, though.
        assert_eq!(waits(&mut failures, &mut now_ms, 10, 3), [30, 30, 30]);
        // A run of two minutes is a recovery.
        assert_eq!(waits(&mut failures, &mut now_ms, 120_000, 2), [3, 3]);
    }

    #[test]
    fn a_program_that_fails_seldom_is_always_back_soon() {
        let (mut failures, mut now_ms) = (Failures::default(), 1_000_000);
        assert_eq!(waits(&mut failures, &mut now_ms, 27_000, 8), [3; 8]);
    }

    #[test]
    fn the_policy_of_the_entry_is_kept() {
        let mut failures = Failures::default();
        (0..20).for_each(|_| failures.note(5, 0));
        assert_eq!(failures.wait_ms(RestartPolicy { delay_ms: 100, max_ms: 700 }), 700);
        assert_eq!(failures.wait_ms(RestartPolicy { delay_ms: 9000, max_ms: 700 }), 9000);
    }
}
