//! The clock that sessions of several programs of one machine agree on.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since the boot of the machine, sleep included.
pub(super) fn since_boot_ms() -> i64 {
    let now = clock_gettime(ClockId::Boottime);
    // Both parts are small: a machine that runs for 1000 years has 3.2e13 ms.
    now.tv_sec * 1000 + now.tv_nsec / 1_000_000
}

/// What tells one boot from another.
pub(super) fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// The moment of [`Instant`]'s clock at which the one above shows `at_ms`.
///
/// That clock may stand still while the machine sleeps. After a sleep the moment would come too late, so a holder must
/// not rely on it alone; [`passed`] is asked, too.
pub(super) fn instant_of(at_ms: i64) -> Instant {
    let left_ms = u64::try_from(at_ms - since_boot_ms()).unwrap_or(0);
    Instant::now() + Duration::from_millis(left_ms)
}

/// Whether that time is over.
pub(super) fn passed(at_ms: i64) -> bool {
    since_boot_ms() >= at_ms
}
