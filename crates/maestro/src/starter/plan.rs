//! What is to be done about one daemon of this machine. Pure.
//!
//! **Guarantees.** Never two processes for one daemon; one that ends at once again and again is started less and less
//! often, at last every 30 s; one that has run well for a minute is started at once.

use campanile_control::backoff::Backoff;

use crate::conductor::Health;

/// Waits before a daemon that has ended soon after its start is started again; the first one is started at once.
pub const RESTARTS: Backoff = Backoff { first_ms: 1_000, max_ms: 30_000, factor: 2.0 };
/// A daemon that has run for so long has run well.
pub const WELL_MS: u64 = 60_000;
/// One that was told to end is killed after this time; ldmsd takes milliseconds.
pub const END_GRACE_MS: u64 = 10_000;

/// What is known of the process of a daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    running: bool,
    begun_ms: u64,
    ended_ms: u64,
    /// Ends in a row that came soon after the start.
    short_lives: u32,
    told_to_end_ms: Option<u64>,
}

impl Process {
    /// One that runs since an earlier manager.
    #[must_use]
    pub fn adopted(now_ms: u64) -> Self {
        Self { running: true, begun_ms: now_ms, ..Self::default() }
    }

    /// It was started.
    pub fn has_begun(&mut self, now_ms: u64) {
        (self.running, self.begun_ms, self.told_to_end_ms) = (true, now_ms, None);
    }

    /// It has ended.
    pub fn has_ended(&mut self, now_ms: u64) {
        let well = now_ms.saturating_sub(self.begun_ms) >= WELL_MS;
        self.short_lives = if well { 0 } else { self.short_lives.saturating_add(1) };
        (self.running, self.ended_ms) = (false, now_ms);
    }

    /// It was told to end.
    pub fn asked_to_end(&mut self, now_ms: u64) {
        self.told_to_end_ms = Some(now_ms);
    }
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Nothing,
    /// Start it.
    Launch,
    /// Tell it to end.
    Terminate,
    /// Kill it.
    Kill,
}

/// Decides about one daemon. `health` is that of the connection to it.
#[must_use]
pub fn plan(wanted: bool, health: &Health, process: &Process, now_ms: u64) -> Step {
    match (wanted, process.running) {
        (true, true) | (false, false) => Step::Nothing,
        // Something answers, or may yet: then there is nothing to start.
        (true, false) if *health != Health::Down => Step::Nothing,
        (true, false) => {
            let wait_ms = process.short_lives.checked_sub(2).map_or(0, |retry| RESTARTS.wait_ms(retry));
            if now_ms >= process.ended_ms.saturating_add(wait_ms) { Step::Launch } else { Step::Nothing }
        }
        (false, true) => match process.told_to_end_ms {
            None => Step::Terminate,
            Some(told_ms) if now_ms >= told_ms + END_GRACE_MS => Step::Kill,
            Some(_) => Step::Nothing,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_started_once_and_again_when_it_has_ended_less_and_less_often() {
        let mut process = Process::default();
        assert_eq!(plan(true, &Health::Unknown, &process, 5), Step::Nothing, "nobody knows yet");
        assert_eq!(plan(true, &Health::Up, &process, 5), Step::Nothing, "somebody has started it");
        assert_eq!(plan(true, &Health::Hung, &process, 5), Step::Nothing);
        let mut now_ms = 10;
        let mut waits = Vec::new();
        for _ in 0..8 {
            let since_ms = now_ms;
            while plan(true, &Health::Down, &process, now_ms) != Step::Launch {
                now_ms += 1;
            }
            waits.push(now_ms - since_ms);
            process.has_begun(now_ms);
            assert_eq!(plan(true, &Health::Down, &process, now_ms), Step::Nothing, "it has only just begun");
            now_ms += 50;
            process.has_ended(now_ms);
        }
        assert_eq!(waits, [0, 0, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000]);
        process.has_begun(now_ms);
        process.has_ended(now_ms + WELL_MS);
        assert_eq!(plan(true, &Health::Down, &process, now_ms + WELL_MS), Step::Launch, "it had run well");
    }

    #[test]
    fn one_that_is_no_longer_configured_is_told_to_end_and_killed_when_it_does_not() {
        let mut process = Process::adopted(0);
        assert_eq!(plan(false, &Health::Up, &process, 0), Step::Terminate);
        process.asked_to_end(0);
        assert_eq!(plan(false, &Health::Up, &process, END_GRACE_MS - 1), Step::Nothing);
        assert_eq!(plan(false, &Health::Up, &process, END_GRACE_MS), Step::Kill);
        process.has_ended(END_GRACE_MS);
        assert_eq!(plan(false, &Health::Down, &process, END_GRACE_MS), Step::Nothing);
    }
}
