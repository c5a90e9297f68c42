//! Time as the managers use it: a monotonic count for every decision, and the wall clock for people only.
//!
//! A step of the wall clock (NTP, an operator) must never launch or kill anything, so decisions compare
//! [`Now::mono_ms`] alone. [`Now::unix_s`] goes into messages and status replies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Now {
    /// Milliseconds since an arbitrary start; never goes back.
    pub mono_ms: u64,
    /// Seconds since the Unix epoch, as OCS writes all its times.
    pub unix_s: f64,
}

impl Now {
    /// The wall-clock time that belongs to another monotonic reading of the same clock.
    #[must_use]
    pub fn unix_of(&self, mono_ms: u64) -> f64 {
        // Both differences are exact in f64 for any uptime below 285 000 years.
        self.unix_s + (mono_ms as f64 - self.mono_ms as f64) / 1000.0
    }
}

/// The source of time: the system's, or one that a test moves by hand. Cheap to clone; clones share the time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System { start: Instant },
    Manual { mono_ms: Arc<AtomicU64>, unix_start_s: f64 },
}

/// The system clock's monotonic count starts here (some thirty years) instead of at zero, so that "long ago" can be
/// subtracted from it: agents run for longer than their manager.
const SYSTEM_START_MS: u64 = 1_000_000_000_000;

impl Clock {
    /// The system's clocks.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System { start: Instant::now() })
    }

    /// A clock that stands still until [`Clock::advance`] is called.
    #[must_use]
    pub fn manual(unix_start_s: f64) -> Self {
        Self(Source::Manual { mono_ms: Arc::new(AtomicU64::new(SYSTEM_START_MS)), unix_start_s })
    }

    /// Reads both clocks.
    #[must_use]
    pub fn now(&self) -> Now {
        match &self.0 {
            Source::System { start } => {
                let elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX / 2);
                let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
                Now { mono_ms: SYSTEM_START_MS + elapsed_ms, unix_s: unix.as_secs_f64() }
            }
            Source::Manual { mono_ms, unix_start_s } => {
                let mono_ms = mono_ms.load(Ordering::Relaxed);
                let unix_s = unix_start_s + (mono_ms - SYSTEM_START_MS) as f64 / 1000.0;
                Now { mono_ms, unix_s }
            }
        }
    }

    /// The moment at which [`Now::mono_ms`] will be `mono_ms`, for a timer. `None` for a manual clock, which no timer
    /// follows.
    #[must_use]
    pub fn instant_of(&self, mono_ms: u64) -> Option<Instant> {
        match &self.0 {
            // One millisecond more: the count is rounded down, and a timer that fires early would fire twice.
            Source::System { start } => {
                let after_start = mono_ms.saturating_sub(SYSTEM_START_MS).saturating_add(1);
                start.checked_add(Duration::from_millis(after_start))
            }
            Source::Manual { .. } => None,
        }
    }

    /// Moves a manual clock forward; the system's clock is not moved.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual { mono_ms, .. } = &self.0 {
            let by_ms = u64::try_from(by.as_millis()).unwrap_or(0);
            mono_ms.fetch_add(by_ms, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::manual(1000.0);
        let first = clock.now();
        assert_eq!(clock.now(), first);
        clock.advance(Duration::from_millis(1500));
        assert_eq!(clock.now().mono_ms, first.mono_ms + 1500);
        assert_eq!(clock.now().unix_s, 1001.5);
        assert_eq!(clock.instant_of(first.mono_ms), None);
    }

    #[test]
    fn wall_time_of_a_past_and_a_future_reading() {
        let now = Now { mono_ms: 5000, unix_s: 100.0 };
        assert_eq!(now.unix_of(3000), 98.0);
        assert_eq!(now.unix_of(7500), 102.5);
    }

    #[test]
    fn a_timer_for_a_reading_never_fires_before_the_clock_shows_it() {
        let clock = Clock::system();
        let target_ms = clock.now().mono_ms + 5;
        let wake = clock.instant_of(target_ms).unwrap();
        std::thread::sleep(wake.saturating_duration_since(Instant::now()));
        assert!(clock.now().mono_ms >= target_ms);
    }
}
