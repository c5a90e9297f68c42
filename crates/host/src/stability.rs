//! How stable an instance is: the figure by which OCS clients call it `unstable`.
//!
//! OCS documentation, HostManager agent, `stability_factor`: a single failure ten seconds ago gives 0.5, more failures
//! give less, none gives 1.0.

/// Failures older than this count no more, save the newest one.
pub const WINDOW_MS: u64 = 120_000;
/// No more failures are remembered.
pub const MAX_TIMES: usize = 200;

/// Forgets failures outside the window; the newest one is always kept. `times_ms` is in ascending order.
pub fn cull(times_ms: &mut Vec<u64>, now_ms: u64) {
    let Some((&newest, older)) = times_ms.split_last() else { return };
    let recent = &older[older.len().saturating_sub(MAX_TIMES - 1)..];
    let oldest_ms = now_ms.saturating_sub(WINDOW_MS);
    let mut kept: Vec<u64> = recent.iter().copied().filter(|time_ms| *time_ms >= oldest_ms).collect();
    kept.push(newest);
    *times_ms = kept;
}

/// One minus the sum of five seconds over the age of each failure, but not below zero.
///
/// A failure at this very moment has no age; it makes the figure zero, as any failure less than 5 s old does.
#[must_use]
pub fn factor(times_ms: &[u64], now_ms: u64) -> f64 {
    let loss: f64 = times_ms
        .iter()
        .map(|time_ms| match now_ms.saturating_sub(*time_ms) {
            0 => f64::INFINITY,
            age_ms => 5000.0 / age_ms as f64,
        })
        .sum();
    (1.0 - loss).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_documented_values() {
        assert_eq!(factor(&[], 99), 1.0);
        assert_eq!(factor(&[90_000], 100_000), 0.5);
        assert_eq!(factor(&[90_000, 96_000], 100_000), 0.0);
        assert_eq!(factor(&[100_000], 100_000), 0.0);
        assert!((factor(&[0], 100_000) - 0.95).abs() < 1e-12);
    }

    #[test]
    fn the_newest_failure_is_never_forgotten() {
        let mut times_ms = vec![1000, 2000, 3000];
        cull(&mut times_ms, 122_500);
        assert_eq!(times_ms, [3000]);
        cull(&mut times_ms, 9_000_000);
        assert_eq!(times_ms, [3000]);
    }

    proptest! {
        #[test]
        fn is_a_share_and_grows_while_nothing_fails(
            mut times_ms in proptest::collection::vec(0_u64..200_000, 0..300), wait_ms in 0_u64..1_000_000,
        ) {
            times_ms.sort_unstable();
            let now_ms = 200_000;
            cull(&mut times_ms, now_ms);
            prop_assert!(times_ms.len() <= MAX_TIMES);
            let value = factor(&times_ms, now_ms);
            prop_assert!((0.0..=1.0).contains(&value));
            prop_assert!(factor(&times_ms, now_ms + wait_ms) >= value);
        }
    }
}
