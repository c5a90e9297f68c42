//! Backoff as a value: how long to wait before try number n. Pure; whoever waits supplies clock and jitter.

/// Waits that begin at `first_ms`, are multiplied by `factor` at each further try, and end at `max_ms`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// Wait before the first retry, milliseconds.
    pub first_ms: u64,
    /// No wait is longer, milliseconds. A `first_ms` above it is cut to it.
    pub max_ms: u64,
    /// Multiplier from one wait to the next; 1.0 keeps them equal. Values below 1.0 count as 1.0.
    pub factor: f64,
}

impl Backoff {
    /// The wait before retry number `retry` (0 is the first retry), in milliseconds.
    #[must_use]
    pub fn wait_ms(&self, retry: u32) -> u64 {
        let exponent = i32::try_from(retry).unwrap_or(i32::MAX);
        let wait_ms = self.first_ms as f64 * self.factor.max(1.0).powi(exponent);
        // The comparison in f64 also catches an overflow to infinity; a NaN cannot arise from these operands.
        if wait_ms >= self.max_ms as f64 { self.max_ms } else { wait_ms as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn doubles_up_to_its_limit() {
        let backoff = Backoff { first_ms: 3000, max_ms: 30_000, factor: 2.0 };
        let waits: Vec<u64> = (0..6).map(|retry| backoff.wait_ms(retry)).collect();
        assert_eq!(waits, [3000, 6000, 12_000, 24_000, 30_000, 30_000]);
        assert_eq!(backoff.wait_ms(u32::MAX), 30_000);
    }

    proptest! {
        #[test]
        fn never_shrinks_and_never_passes_the_limit(
            first_ms in 0_u64..1_000_000, max_ms in 0_u64..1_000_000, factor in 0.0_f64..10.0, retry in 0_u32..100,
        ) {
            let backoff = Backoff { first_ms, max_ms, factor };
            prop_assert!(backoff.wait_ms(retry) <= max_ms);
            prop_assert!(backoff.wait_ms(retry) <= backoff.wait_ms(retry + 1));
        }
    }
}
