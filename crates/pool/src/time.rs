//! The time of a pool: milliseconds since the epoch that never go back within a run.

use campanile_control::Clock;

/// Begins with the wall clock, goes on with the monotonic one: a step of the wall clock moves nothing.
#[derive(Clone, Debug)]
pub struct Time {
    clock: Clock,
    begin_mono_ms: u64,
    begin_unix_ms: u64,
}

impl Time {
    /// The time from now on. It begins no earlier than `at_least_ms`, the latest time in the record: a machine whose
    /// clock was set back would otherwise wait for what is past.
    #[must_use]
    pub fn begin(clock: Clock, at_least_ms: u64) -> Self {
        let now = clock.now();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the time since 1970 in ms"
        )]
        let unix_ms = (now.unix_s * 1000.0) as u64;
        Self { clock, begin_mono_ms: now.mono_ms, begin_unix_ms: unix_ms.max(at_least_ms) }
    }

    /// Now.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.begin_unix_ms + self.clock.now().mono_ms.saturating_sub(self.begin_mono_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn it_goes_on_from_the_record_where_the_wall_clock_was_set_back() {
        let clock = Clock::manual(100.0);
        let time = Time::begin(clock.clone(), 500_000);
        assert_eq!(time.now_ms(), 500_000);
        clock.advance(Duration::from_secs(1));
        assert_eq!(time.now_ms(), 501_000);
        assert_eq!(Time::begin(clock, 0).now_ms(), 101_000);
    }
}
