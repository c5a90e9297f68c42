//! The balance: which aggregator carries what. Pure.
//!
//! **Guarantees.** What lies well stays where it lies: [`place`] moves only what has no aggregator, [`level`] only what
//! brings the load nearer to even, one unit at a time, and never more than it is allowed. After [`place`] no aggregator
//! that took something carries more than its even share and one unit. [`level`] ends when every load lies within one
//! unit or [`TOLERANCE`] of its even share.
//!
//! **Architecture invariant:** no clock, no I/O, no randomness; equal inputs give equal results.

use std::collections::{BTreeSet, HashMap};

/// How far from its even share an aggregator may stay, as a part of it.
pub const TOLERANCE: f64 = 0.05;

/// What an aggregator can bear at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// Producers; none for no limit.
    pub producers: Option<u64>,
    /// Bytes per second; none for no limit.
    pub bytes_per_s: Option<u64>,
}

/// An aggregator as a place for work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// How much it should carry in relation to the others; more than 0.
    pub capacity: f64,
    /// Whether it takes work, and may keep what it has.
    pub open: bool,
    /// Whether work may be moved to it only to even the load: it has been there for a while.
    pub settled: bool,
    /// What it can bear. It is passed only when no other place is left: data that comes late is better than none.
    pub limit: Limit,
}

/// What a unit counts against a [`Limit`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measure {
    /// Its producer; units of one producer count once.
    pub producer: u32,
    /// Bytes per second, as far as known.
    pub bytes_per_s: u64,
}

/// What is divided.
pub struct Work<'a> {
    /// The weight of each unit; more than 0.
    pub weights: &'a [u64],
    /// Where it can go.
    pub bins: &'a [Bin],
    /// For limits: bytes per second of each unit, and the producer it belongs to. Not looked at where no bin has a limit.
    pub measures: &'a [Measure],
    /// Whether a unit can go to a bin; everything can go everywhere where this is absent.
    pub allowed: Option<&'a dyn Fn(usize, usize) -> bool>,
}

impl Work<'_> {
    fn fits(&self, unit: usize, bin: usize) -> bool {
        self.bins[bin].open && self.allowed.is_none_or(|allowed| allowed(unit, bin))
    }

    fn is_limited(&self) -> bool {
        self.bins.iter().any(|bin| bin.limit != Limit::default()) && self.measures.len() == self.weights.len()
    }

    /// The load of each bin, in relation to its capacity.
    #[must_use]
    pub fn loads(&self, at: &[Option<u16>]) -> Vec<f64> {
        let mut loads = vec![0_u64; self.bins.len()];
        for (unit, bin) in at.iter().enumerate() {
            if let Some(load) = bin.and_then(|bin| loads.get_mut(usize::from(bin))) {
                *load += self.weights[unit];
            }
        }
        loads.iter().zip(self.bins).map(|(load, bin)| *load as f64 / bin.capacity).collect()
    }
}

/// What lies in each bin, measured against its limit; nothing is counted where there are no limits.
struct Fill<'a> {
    work: &'a Work<'a>,
    limited: bool,
    producers: Vec<HashMap<u32, usize>>,
    bytes_per_s: Vec<u64>,
}

impl<'a> Fill<'a> {
    fn of(work: &'a Work<'a>, at: &[Option<u16>]) -> Self {
        let count = work.bins.len();
        let limited = work.is_limited();
        let mut fill = Self {
            work,
            limited,
            producers: vec![HashMap::new(); if limited { count } else { 0 }],
            bytes_per_s: vec![0; if limited { count } else { 0 }],
        };
        for (unit, bin) in at.iter().enumerate().take(if limited { at.len() } else { 0 }) {
            if let Some(bin) = bin.map(usize::from).filter(|bin| *bin < count) {
                fill.put(unit, bin);
            }
        }
        fill
    }

    fn put(&mut self, unit: usize, bin: usize) {
        if self.limited {
            let measure = self.work.measures[unit];
            *self.producers[bin].entry(measure.producer).or_default() += 1;
            self.bytes_per_s[bin] += measure.bytes_per_s;
        }
    }

    fn take(&mut self, unit: usize, bin: usize) {
        if self.limited {
            let measure = self.work.measures[unit];
            if let Some(count) = self.producers[bin].get_mut(&measure.producer) {
                *count -= 1;
                if *count == 0 {
                    self.producers[bin].remove(&measure.producer);
                }
            }
            self.bytes_per_s[bin] = self.bytes_per_s[bin].saturating_sub(measure.bytes_per_s);
        }
    }

    /// Whether a bin stays within its limit with one more unit.
    fn has_room(&self, unit: usize, bin: usize) -> bool {
        if !self.limited {
            return true;
        }
        let (limit, measure) = (self.work.bins[bin].limit, self.work.measures[unit]);
        let more = u64::from(!self.producers[bin].contains_key(&measure.producer));
        limit.producers.is_none_or(|most| self.producers[bin].len() as u64 + more <= most)
            && limit.bytes_per_s.is_none_or(|most| self.bytes_per_s[bin] + measure.bytes_per_s <= most)
    }

    fn is_over(&self, bin: usize) -> bool {
        let limit = self.work.bins[bin].limit;
        self.limited
            && (limit.producers.is_some_and(|most| self.producers[bin].len() as u64 > most)
                || limit.bytes_per_s.is_some_and(|most| self.bytes_per_s[bin] > most))
    }
}

/// The bins that carry more than their limit.
#[must_use]
pub fn over_limit(work: &Work<'_>, at: &[Option<u16>]) -> Vec<usize> {
    let fill = Fill::of(work, at);
    (0..work.bins.len()).filter(|bin| fill.is_over(*bin)).collect()
}

/// Finds a bin for every unit that has none, or whose bin is closed: the heaviest first, each to the bin that is least
/// loaded with it and has room for it, or if none has room to the least loaded of all. Gives the units that moved. A
/// unit that fits nowhere stays where it is.
pub fn place(work: &Work<'_>, at: &mut [Option<u16>]) -> Vec<usize> {
    let lies_well = |unit: usize, bin: Option<u16>| {
        bin.is_some_and(|bin| usize::from(bin) < work.bins.len() && work.fits(unit, usize::from(bin)))
    };
    let mut homeless: Vec<usize> = (0..at.len()).filter(|unit| !lies_well(*unit, at[*unit])).collect();
    if homeless.is_empty() || !work.bins.iter().any(|bin| bin.open) {
        return Vec::new();
    }
    homeless.sort_by_key(|unit| (std::cmp::Reverse(work.weights[*unit]), *unit));
    let mut kept = at.to_vec();
    for unit in &homeless {
        kept[*unit] = None;
    }
    let mut loads = work.loads(&kept);
    let mut fill = Fill::of(work, &kept);
    let mut moved = Vec::with_capacity(homeless.len());
    if let Some(mut lightest) = Lightest::of(work, &loads) {
        for unit in homeless {
            let best = lightest.take(work.weights[unit]);
            if at[unit] != best {
                at[unit] = best;
                moved.push(unit);
            }
        }
        return moved;
    }
    for unit in homeless {
        let weight = work.weights[unit] as f64;
        let with = |bin: usize| loads[bin] + weight / work.bins[bin].capacity;
        let fitting = || (0..work.bins.len()).filter(|bin| work.fits(unit, *bin));
        let least = |a: &usize, b: &usize| with(*a).total_cmp(&with(*b));
        let roomy = fitting().filter(|bin| fill.has_room(unit, *bin)).min_by(least);
        let Some(best) = roomy.or_else(|| fitting().min_by(least)) else { continue };
        loads[best] = with(best);
        fill.put(unit, best);
        let best = u16::try_from(best).unwrap_or(u16::MAX);
        if at[unit] != Some(best) {
            at[unit] = Some(best);
            moved.push(unit);
        }
    }
    moved
}

/// The open bins, the lightest first, where every unit fits into every one of them and all are alike.
struct Lightest(BTreeSet<(u64, usize)>);

impl Lightest {
    fn of(work: &Work<'_>, loads: &[f64]) -> Option<Self> {
        let open: Vec<usize> = (0..work.bins.len()).filter(|bin| work.bins[*bin].open).collect();
        let capacity = work.bins[*open.first()?].capacity;
        let alike = open.iter().all(|bin| work.bins[*bin].capacity.total_cmp(&capacity).is_eq());
        if !alike || work.allowed.is_some() || work.is_limited() {
            return None;
        }
        // Loads of bins that are alike are in relation as their weights are, which are whole numbers.
        let weight = |bin: usize| (loads[bin] * capacity).round() as u64;
        Some(Self(open.into_iter().map(|bin| (weight(bin), bin)).collect()))
    }

    /// Puts a weight into the lightest bin; gives the bin.
    fn take(&mut self, weight: u64) -> Option<u16> {
        let (load, bin) = self.0.pop_first()?;
        self.0.insert((load.saturating_add(weight), bin));
        u16::try_from(bin).ok()
    }
}

/// Moves up to `budget` units: first from bins beyond their limit to settled ones with room, then from loaded bins to
/// settled ones that carry too little and have room. Gives the units that moved.
pub fn level(work: &Work<'_>, at: &mut [Option<u16>], budget: usize) -> Vec<usize> {
    let open: Vec<usize> = (0..work.bins.len()).filter(|bin| work.bins[*bin].open).collect();
    if budget == 0 || open.len() < 2 {
        return Vec::new();
    }
    let mut loads = work.loads(at);
    let capacity: f64 = open.iter().map(|bin| work.bins[*bin].capacity).sum();
    let share = open.iter().map(|bin| loads[*bin] * work.bins[*bin].capacity).sum::<f64>() / capacity;
    let slack = share * TOLERANCE;
    let even = |load: f64| (load - share).abs() <= slack;
    let mut fill = Fill::of(work, at);
    let mut moved = Vec::new();
    while moved.len() < budget
        && let Some((unit, source, sink)) = relief(work, at, &loads, &fill, &open)
    {
        shift(work, at, &mut loads, &mut fill, (unit, source, sink));
        moved.push(unit);
    }
    while moved.len() < budget {
        let mut sources = open.clone();
        sources.sort_by(|a, b| loads[*b].total_cmp(&loads[*a]).then(a.cmp(b)));
        let mut sinks: Vec<usize> = open.iter().copied().filter(|bin| work.bins[*bin].settled).collect();
        sinks.sort_by(|a, b| loads[*a].total_cmp(&loads[*b]).then(a.cmp(b)));
        let worth = |source: usize, sink: usize| {
            loads[source] > loads[sink] && (!even(loads[source]) || !even(loads[sink]))
        };
        let pairs = sources.iter().flat_map(|source| sinks.iter().map(move |sink| (*source, *sink)));
        let step = pairs.filter(|(source, sink)| worth(*source, *sink)).find_map(|(source, sink)| {
            Some((best_unit(work, at, &loads, &fill, source, sink)?, source, sink))
        });
        let Some((unit, source, sink)) = step else { break };
        shift(work, at, &mut loads, &mut fill, (unit, source, sink));
        moved.push(unit);
    }
    moved
}

fn shift(
    work: &Work<'_>,
    at: &mut [Option<u16>],
    loads: &mut [f64],
    fill: &mut Fill<'_>,
    (unit, source, sink): (usize, usize, usize),
) {
    let weight = work.weights[unit] as f64;
    loads[source] -= weight / work.bins[source].capacity;
    loads[sink] += weight / work.bins[sink].capacity;
    fill.take(unit, source);
    fill.put(unit, sink);
    at[unit] = u16::try_from(sink).ok();
}

/// The lightest unit of a bin beyond its limit that another one has room for, and the least loaded such one.
fn relief(
    work: &Work<'_>,
    at: &[Option<u16>],
    loads: &[f64],
    fill: &Fill<'_>,
    open: &[usize],
) -> Option<(usize, usize, usize)> {
    let source = open.iter().copied().find(|bin| fill.is_over(*bin))?;
    let from = u16::try_from(source).ok()?;
    let mut units: Vec<usize> = (0..at.len()).filter(|unit| at[*unit] == Some(from)).collect();
    units.sort_by_key(|unit| (work.weights[*unit], *unit));
    units.into_iter().find_map(|unit| {
        let sinks = open.iter().copied().filter(|sink| {
            *sink != source
                && work.bins[*sink].settled
                && work.fits(unit, *sink)
                && fill.has_room(unit, *sink)
        });
        let sink = sinks.min_by(|a, b| loads[*a].total_cmp(&loads[*b]))?;
        Some((unit, source, sink))
    })
}

/// The unit of `source` whose move to `sink` leaves the heavier of the two lightest; none if no move helps.
fn best_unit(
    work: &Work<'_>,
    at: &[Option<u16>],
    loads: &[f64],
    fill: &Fill<'_>,
    source: usize,
    sink: usize,
) -> Option<usize> {
    let from = u16::try_from(source).ok()?;
    let after = |unit: usize| {
        let weight = work.weights[unit] as f64;
        let left = loads[source] - weight / work.bins[source].capacity;
        left.max(loads[sink] + weight / work.bins[sink].capacity)
    };
    let candidates = (0..at.len())
        .filter(|unit| at[*unit] == Some(from) && work.fits(*unit, sink) && fill.has_room(*unit, sink));
    let best = candidates.min_by(|a, b| after(*a).total_cmp(&after(*b)))?;
    // A move that changes nothing but rounding would go on for ever.
    (after(best) < loads[source] * (1.0 - 1e-9)).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bins(count: usize) -> Vec<Bin> {
        vec![Bin { capacity: 1.0, open: true, settled: true, limit: Limit::default() }; count]
    }

    fn counts(at: &[Option<u16>], bins: usize) -> Vec<usize> {
        (0..bins).map(|bin| at.iter().filter(|place| **place == Some(bin as u16)).count()).collect()
    }

    #[test]
    fn eight_sets_over_three_aggregators_leave_none_out() {
        let work = Work { weights: &[544; 8], bins: &bins(3), measures: &[], allowed: None };
        let mut at = vec![None; 8];
        place(&work, &mut at);
        assert_eq!(counts(&at, 3), [3, 3, 2]);
    }

    #[test]
    fn a_failure_moves_only_what_the_failed_one_had() {
        let mut three = bins(3);
        let weights = [1; 24];
        let mut at = vec![None; 24];
        place(&Work { weights: &weights, bins: &three, measures: &[], allowed: None }, &mut at);
        assert_eq!(counts(&at, 3), [8, 8, 8]);
        let before = at.clone();
        three[1].open = false;
        let moved = place(&Work { weights: &weights, bins: &three, measures: &[], allowed: None }, &mut at);
        assert_eq!(moved.len(), 8);
        assert!((0..24).all(|unit| moved.contains(&unit) == (before[unit] == Some(1))));
        assert_eq!(counts(&at, 3), [12, 0, 12]);
        three[1].open = true;
        let work = Work { weights: &weights, bins: &three, measures: &[], allowed: None };
        assert_eq!(level(&work, &mut at, 3).len(), 3, "the budget is kept");
        assert_eq!(level(&work, &mut at, 100).len(), 5, "and the least moves");
        assert_eq!(counts(&at, 3), [8, 8, 8]);
    }

    #[test]
    fn nothing_is_taken_from_an_aggregator_when_all_are_closed_or_not_settled() {
        let closed = vec![Bin { capacity: 1.0, open: false, settled: true, limit: Limit::default() }; 2];
        let mut at = vec![Some(0), None];
        assert!(
            place(&Work { weights: &[1, 1], bins: &closed, measures: &[], allowed: None }, &mut at)
                .is_empty()
        );
        assert_eq!(at, [Some(0), None]);
        let fresh = [bins(1)[0], Bin { settled: false, ..bins(1)[0] }];
        let mut at = vec![Some(0); 4];
        assert!(
            level(&Work { weights: &[1; 4], bins: &fresh, measures: &[], allowed: None }, &mut at, 9)
                .is_empty()
        );
    }

    #[test]
    fn capacities_are_kept() {
        let mut two = bins(2);
        two[0].capacity = 3.0;
        let mut at = vec![None; 40];
        place(&Work { weights: &[5; 40], bins: &two, measures: &[], allowed: None }, &mut at);
        assert_eq!(counts(&at, 2), [30, 10]);
    }

    fn limited(weights: &[u64], limits: &[Option<u64>], by_bytes: bool) -> (Vec<Bin>, Vec<Measure>) {
        let bin = |limit: &Option<u64>| {
            let limit = match by_bytes {
                true => Limit { producers: None, bytes_per_s: *limit },
                false => Limit { producers: *limit, bytes_per_s: None },
            };
            Bin { limit, ..bins(1)[0] }
        };
        let measures = weights.iter().enumerate();
        let measures = measures.map(|(at, bytes)| Measure { producer: at as u32, bytes_per_s: *bytes });
        (limits.iter().map(bin).collect(), measures.collect())
    }

    #[test]
    fn limits_are_kept_while_another_has_room_and_passed_rather_than_leaving_anything_out() {
        let weights = [1; 30];
        let (bins, measures) = limited(&weights, &[Some(4), None, None], false);
        let work = Work { weights: &weights, bins: &bins, measures: &measures, allowed: None };
        let mut at = vec![None; 30];
        place(&work, &mut at);
        assert_eq!(counts(&at, 3), [4, 13, 13]);
        assert!(level(&work, &mut at, 100).is_empty(), "the one that is full stays full");
        assert!(over_limit(&work, &at).is_empty());
        // A limit that is set later is kept, at the rate of levelling.
        let mut at: Vec<Option<u16>> = (0..30).map(|unit| Some(unit % 3)).collect();
        assert_eq!(level(&work, &mut at, 2).len(), 2);
        assert_eq!(level(&work, &mut at, 100).len(), 4);
        assert_eq!(counts(&at, 3), [4, 13, 13]);
        // All together can bear 12: everything is collected all the same.
        let (bins, measures) = limited(&weights, &[Some(4); 3], false);
        let work = Work { weights: &weights, bins: &bins, measures: &measures, allowed: None };
        let mut at = vec![None; 30];
        place(&work, &mut at);
        assert_eq!(counts(&at, 3), [10, 10, 10]);
        assert_eq!(over_limit(&work, &at), [0, 1, 2]);
    }

    #[test]
    fn bytes_per_second_are_limited_and_sets_of_one_producer_count_once() {
        let weights = [500, 400, 300, 200, 100];
        let (bins, measures) = limited(&weights, &[Some(350), None], true);
        let work = Work { weights: &weights, bins: &bins, measures: &measures, allowed: None };
        let mut at = vec![None; 5];
        place(&work, &mut at);
        let first: u64 = (0..5).filter(|unit| at[*unit] == Some(0)).map(|unit| weights[unit]).sum();
        assert!(first <= 350 && first > 0, "{at:?}");
        let sets = [Measure { producer: 7, bytes_per_s: 1 }; 5];
        let (bins, _) = limited(&weights, &[Some(1), Some(1)], false);
        let work = Work { weights: &weights, bins: &bins, measures: &sets, allowed: None };
        let mut at = vec![None; 5];
        place(&work, &mut at);
        assert!(over_limit(&work, &at).is_empty());
        assert!(at.contains(&Some(0)) && at.contains(&Some(1)));
    }

    #[test]
    fn a_heavy_unit_does_not_hide_a_move_that_helps() {
        let mut at = vec![Some(0), Some(1), Some(1), Some(1)];
        let work = Work { weights: &[100, 10, 10, 10], bins: &bins(3), measures: &[], allowed: None };
        level(&work, &mut at, 9);
        assert!(at.contains(&Some(2)), "{at:?}");
    }

    proptest! {
        #[test]
        fn everything_is_placed_within_one_unit_of_even(
            weights in prop::collection::vec(1_u64..1000, 1..200),
            count in 1_usize..12,
        ) {
            let bins = bins(count);
            let work = Work { weights: &weights, bins: &bins, measures: &[], allowed: None };
            let mut at = vec![None; weights.len()];
            place(&work, &mut at);
            prop_assert!(at.iter().all(Option::is_some));
            let share = weights.iter().sum::<u64>() as f64 / count as f64;
            let heaviest = *weights.iter().max().unwrap() as f64;
            for load in work.loads(&at) {
                prop_assert!(load <= share + heaviest);
            }
        }

        #[test]
        fn failures_and_returns_move_little_and_end_even(
            units in 1_usize..120, count in 2_usize..9, events in prop::collection::vec((any::<bool>(), 0_usize..9), 1..30),
        ) {
            let weights = vec![1_u64; units];
            let mut bins = bins(count);
            let mut at = vec![None; units];
            place(&Work { weights: &weights, bins: &bins, measures: &[], allowed: None }, &mut at);
            for (open, bin) in events {
                let before = at.clone();
                bins[bin % count].open = open;
                let work = Work { weights: &weights, bins: &bins, measures: &[], allowed: None };
                let moved = place(&work, &mut at);
                for unit in 0..units {
                    let was_well = before[unit].is_some_and(|bin| bins[usize::from(bin)].open);
                    prop_assert!(!was_well || at[unit] == before[unit], "a unit moved that lay well");
                }
                prop_assert!(moved.len() <= units);
                let mut rounds = 0;
                loop {
                    let start = at.clone();
                    let moved = level(&work, &mut at, 3);
                    prop_assert!(moved.len() <= 3);
                    prop_assert_eq!(moved.len(), (0..units).filter(|unit| start[*unit] != at[*unit]).count());
                    rounds += 1;
                    prop_assert!(rounds < 1000, "it ends");
                    if moved.is_empty() { break }
                }
                let open: Vec<usize> = (0..count).filter(|bin| bins[*bin].open).collect();
                if open.is_empty() { continue }
                let loads = work.loads(&at);
                let share = units as f64 / open.len() as f64;
                for bin in open {
                    prop_assert!((loads[bin] - share).abs() <= f64::max(1.0, share * TOLERANCE), "{loads:?}");
                }
            }
        }

        #[test]
        fn weighted_levelling_never_makes_the_most_loaded_worse(
            weights in prop::collection::vec(1_u64..1000, 1..100), count in 2_usize..8, seed in any::<u64>(),
        ) {
            let bins = bins(count);
            let work = Work { weights: &weights, bins: &bins, measures: &[], allowed: None };
            let mut at: Vec<Option<u16>> = (0..weights.len())
                .map(|unit| Some(((seed.rotate_left(unit as u32 % 64) ^ unit as u64) % count as u64) as u16))
                .collect();
            let worst = |at: &[Option<u16>]| work.loads(at).into_iter().fold(0.0, f64::max);
            let before = worst(&at);
            level(&work, &mut at, usize::MAX);
            prop_assert!(worst(&at) <= before);
            let share = weights.iter().sum::<u64>() as f64 / count as f64;
            let heaviest = *weights.iter().max().unwrap() as f64;
            prop_assert!(worst(&at) <= share + f64::max(heaviest, share * TOLERANCE));
        }
    }
}
