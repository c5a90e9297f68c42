//! Telling a name that is taken from one that will be free in a moment.
//!
//! After a crash or a lost connection the router keeps the names of the old session until it notices, so a refusal
//! alone means little. One that lasts means that another agent of the same identity is alive.

/// Milliseconds that a refusal must last to count as a conflict.
pub(super) const CONFLICT_AFTER_MS: u64 = 15_000;

/// What is known about the names of the agent at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// They are ours.
    Ours,
    /// The router says that somebody has them.
    Taken,
    /// Asked for, no answer yet; or refused for another reason.
    Unknown,
    /// No router.
    Away,
}

/// Measures how long the names have been taken. Times are milliseconds of any steady clock.
#[derive(Debug, Default)]
pub(super) struct ConflictWatch {
    taken_since_ms: Option<u64>,
}

impl ConflictWatch {
    /// Takes in the state of the names. Asking again (`Unknown`) does not reset the measure.
    pub(super) fn observe(&mut self, names: Names, now_ms: u64) {
        match names {
            Names::Taken => {
                self.taken_since_ms.get_or_insert(now_ms);
            }
            Names::Ours | Names::Away => self.taken_since_ms = None,
            Names::Unknown => {}
        }
    }

    /// When the refusal becomes a conflict, if nothing changes.
    pub(super) fn conflict_at_ms(&self) -> Option<u64> {
        self.taken_since_ms.map(|since_ms| since_ms + CONFLICT_AFTER_MS)
    }

    /// Whether it is one.
    pub(super) fn is_conflict(&self, now_ms: u64) -> bool {
        self.conflict_at_ms().is_some_and(|at_ms| now_ms >= at_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_stays_taken_is_a_conflict_after_fifteen_seconds() {
        let mut watch = ConflictWatch::default();
        watch.observe(Names::Taken, 1000);
        watch.observe(Names::Unknown, 5000);
        watch.observe(Names::Taken, 9000);
        assert!(!watch.is_conflict(15_999));
        assert!(watch.is_conflict(16_000));
    }

    #[test]
    fn a_name_that_becomes_free_or_a_router_that_goes_is_none() {
        for change in [Names::Ours, Names::Away] {
            let mut watch = ConflictWatch::default();
            watch.observe(Names::Taken, 0);
            watch.observe(change, 14_000);
            watch.observe(Names::Taken, 14_500);
            assert!(!watch.is_conflict(20_000));
            assert_eq!(watch.conflict_at_ms(), Some(29_500));
        }
    }
}
