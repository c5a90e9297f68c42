//! When the tier above can have again what an aggregator lost by a failure. Pure.
//!
//! Until then nothing of it is moved by plan, and an aggregator that hung stays cut off. See [`super::handover`] for what
//! happens otherwise.

use super::Conductor;

/// See [`Conductor::dwell_ms`]: connecting, and the second that ldmsd waits between a lookup and the first update.
const DWELL_MS: u64 = 2_000;

impl Conductor {
    /// How long after a failure nothing is moved by plan: until the new aggregator has connected, looked up and updated
    /// the sets, and the tier above has done the same.
    pub(super) fn dwell_ms(&self, group: usize) -> u64 {
        let longest_us = |group: usize| {
            let updaters = self.desired.groups[group].updaters.iter();
            updaters.map(|updater| updater.schedule.interval_us).max().unwrap_or(0)
        };
        let above_us = self.above(group).into_iter().map(longest_us).max().unwrap_or(0);
        DWELL_MS + 3 * u64::try_from(longest_us(group) + above_us).unwrap_or(0) / 1_000
    }

    /// When all that others have taken over from an aggregator that failed has had its time to arrive above.
    /// None when it has.
    pub(super) fn arrived_ms(&self, group: usize, place: usize, now_ms: u64) -> Option<u64> {
        let assignment = &self.assignments[group];
        let dwell_ms = self.dwell_ms(group);
        let arrived = assignment.fled_ms.iter().map(|(producer, at_ms)| (*producer, at_ms + dwell_ms));
        let late = arrived.filter(|(_, at_ms)| now_ms < *at_ms);
        late.filter(|(producer, _)| !assignment.carries(*producer, place)).map(|(_, at_ms)| at_ms).max()
    }

    /// Which producers the tier above may not have again yet.
    pub(super) fn unsettled(&self, group: usize, now_ms: u64) -> Vec<bool> {
        let count = self.desired.groups[group].producers.len();
        let dwell_ms = self.dwell_ms(group);
        let lately = |at_ms: u64| now_ms < at_ms + dwell_ms;
        let returned = |daemon: usize| {
            let track = &self.tracks[daemon];
            !track.failures.is_empty() && lately(track.since_ms)
        };
        let above = self.above(group);
        let members = above.iter().flat_map(|upper| &self.desired.groups[*upper].aggregators);
        if members.into_iter().any(|member| returned(member.daemon)) {
            return vec![true; count];
        }
        let fled = &self.assignments[group].fled_ms;
        let producers = self.desired.groups[group].producers.iter().enumerate();
        producers
            .map(|(at, producer)| {
                producer.daemon.is_some_and(returned) || fled.get(&at).is_some_and(|at_ms| lately(*at_ms))
            })
            .collect()
    }
}
