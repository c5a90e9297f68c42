//! [`Backoff`]: how long to wait before the next attempt.

/// Waits that double from `first_ms` to `max_ms`, each shortened by up to a quarter so that many clients of one
/// restarted router do not come back in step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure, in milliseconds.
    pub first_ms: u64,
    /// The longest wait, in milliseconds.
    pub max_ms: u64,
}

impl Backoff {
    /// The wait after the `failures`th failure in a row (from 1), with `jitter` from 0 (the whole wait) to 1 (three
    /// quarters of it).
    pub fn delay_ms(&self, failures: u32, jitter: f64) -> u64 {
        let doublings = failures.saturating_sub(1).min(32);
        let whole = self.first_ms.saturating_mul(1 << doublings).min(self.max_ms);
        whole - (whole as f64 / 4.0 * jitter.clamp(0.0, 1.0)) as u64
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first_ms: 500, max_ms: 10_000 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_stay_there() {
        let backoff = Backoff::default();
        let waits: Vec<u64> = (1..=7).map(|failures| backoff.delay_ms(failures, 0.0)).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
        assert_eq!(backoff.delay_ms(u32::MAX, 0.0), 10_000);
    }

    #[test]
    fn jitter_shortens_by_at_most_a_quarter() {
        assert_eq!(Backoff::default().delay_ms(1, 1.0), 375);
        assert_eq!(Backoff::default().delay_ms(1, 99.0), 375);
        assert_eq!(Backoff::default().delay_ms(1, f64::NAN), 500);
    }
}
