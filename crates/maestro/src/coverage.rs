//! Coverage: the share of expected metric sets that are fresh at the top tier. Pure.
//!
//! A set is fresh while its age is at most twice the sum of the intervals on its path, plus one second. Its age is that
//! of the newest sample of it that has come to the top: ldmsd has a set under one name once, so that one that changes its
//! way is gone from the top for a moment, which loses nothing as long as the next sample comes in time. How many are not
//! there is counted beside it ([`Coverage::absent`]).

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::model::{Desired, Mode, Name};

/// A set that is to be found at the top.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// Its name.
    pub set: Name,
    /// The daemon that samples it.
    pub sampler: usize,
    /// It is fresh up to this age.
    pub fresh_us: u64,
}

/// A set of a sampler, and how often it is sampled.
pub type Sampled = (Name, i64);

/// A measurement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    /// Sets that are expected.
    pub expected: usize,
    /// Those that are fresh.
    pub fresh: usize,
    /// Expected sets of samplers that answer.
    pub expected_of_living: usize,
    /// Those of them that are fresh.
    pub fresh_of_living: usize,
    /// Sets that no aggregator of the top tier has at this moment.
    pub absent: usize,
    /// The first sets of samplers that answer which are not fresh.
    pub stale: Vec<Name>,
}

/// Names in [`Coverage::stale`], at most.
pub const MAX_STALE: usize = 20;

impl Coverage {
    /// In percent; a cluster without sets is covered.
    #[must_use]
    pub fn percent(&self) -> f64 {
        if self.expected == 0 { 100.0 } else { self.fresh as f64 * 100.0 / self.expected as f64 }
    }
}

/// What is to be found at the top, where `sampled` gives the sets of a daemon.
pub fn expected(desired: &Desired, sampled: &dyn Fn(usize) -> Vec<Sampled>) -> Vec<Expected> {
    let mut above: HashMap<usize, Vec<usize>> = HashMap::new();
    for (group, of) in desired.groups.iter().enumerate() {
        for producer in &of.producers {
            if let Some(daemon) = producer.daemon {
                above.entry(daemon).or_default().push(group);
            }
        }
    }
    let mut list = Vec::new();
    for (sampler, daemon) in desired.daemons.iter().enumerate() {
        if !daemon.member_of.is_empty() {
            continue;
        }
        for group in above.get(&sampler).into_iter().flatten().take(1) {
            for (set, interval_us) in sampled(sampler) {
                let sum_us = interval_us + path_us(desired, &above, *group, interval_us, &mut HashSet::new());
                let fresh_us = u64::try_from(2 * sum_us + 1_000_000).unwrap_or(u64::MAX);
                list.push(Expected { set, sampler, fresh_us });
            }
        }
    }
    list
}

/// The sum of the intervals from a group to the top.
fn path_us(
    desired: &Desired,
    above: &HashMap<usize, Vec<usize>>,
    group: usize,
    sampled_us: i64,
    passed: &mut HashSet<usize>,
) -> i64 {
    if !passed.insert(group) {
        return 0;
    }
    let of = &desired.groups[group];
    let interval = |updater: &crate::model::Updater| match updater.mode {
        Mode::Auto => sampled_us.max(updater.schedule.interval_us.min(sampled_us)),
        Mode::Pull | Mode::Push | Mode::OnChange => updater.schedule.interval_us,
    };
    let own_us = of.updaters.iter().map(interval).max().unwrap_or(0);
    let next =
        of.aggregators.iter().find_map(|member| above.get(&member.daemon)).and_then(|groups| groups.first());
    own_us + next.map_or(0, |next| path_us(desired, above, *next, sampled_us, passed))
}

/// What the top tier has of a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Newest {
    /// The newest sample of it that was seen there, microseconds since the epoch.
    pub at_us: u64,
    /// Whether it is there now.
    pub there: bool,
}

/// Samples longer ago than this are forgotten when their sets are gone.
const KEEP_US: u64 = 3_600_000_000;

/// Takes in the sets that one aggregator of the top tier has now: names and times of their samples.
pub fn take_in(found: &mut HashMap<String, Newest>, list: Vec<(String, u64)>, now_us: u64) {
    found.values_mut().for_each(|set| set.there = false);
    for (name, at_us) in list {
        // One that was only looked up has no sample yet.
        if at_us > 0 {
            let set = found.entry(name).or_default();
            *set = Newest { at_us: set.at_us.max(at_us), there: true };
        }
    }
    found.retain(|_, set| set.there || now_us.saturating_sub(set.at_us) < KEEP_US);
}

/// The daemons that sample what is no longer fresh, and up to which age it would be, milliseconds.
#[must_use]
pub fn stale_samplers(
    expected: &[Expected],
    found: &HashMap<String, Newest>,
    now_us: u64,
) -> BTreeMap<usize, u64> {
    let stale = expected.iter().filter(|set| {
        let at_us = found.get(&*set.set).map_or(0, |newest| newest.at_us);
        now_us.saturating_sub(at_us) > set.fresh_us
    });
    stale.map(|set| (set.sampler, set.fresh_us / 1_000)).collect()
}

/// Compares what is expected with what the top tier has.
#[must_use]
pub fn measure(
    expected: &[Expected],
    found: &HashMap<String, Newest>,
    living: &dyn Fn(usize) -> bool,
    now_us: u64,
) -> Coverage {
    let mut coverage = Coverage { expected: expected.len(), ..Coverage::default() };
    for set in expected {
        let newest = found.get(&*set.set).copied().unwrap_or_default();
        let fresh = now_us.saturating_sub(newest.at_us) <= set.fresh_us;
        coverage.absent += usize::from(!newest.there);
        let lives = living(set.sampler);
        coverage.fresh += usize::from(fresh);
        coverage.expected_of_living += usize::from(lives);
        coverage.fresh_of_living += usize::from(lives && fresh);
        if lives && !fresh && coverage.stale.len() < MAX_STALE {
            coverage.stale.push(set.set.clone());
        }
    }
    coverage
}
