use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// What a test says of the cluster.
#[derive(Default)]
struct Told {
    calm_since_ms: Option<u64>,
    period_us: Option<u64>,
    below: BTreeSet<String>,
}

impl Ground for Told {
    fn calm_since_ms(&mut self, _: &str, _: &str) -> Option<u64> {
        self.calm_since_ms
    }

    fn period_us(&mut self, _: &str, _: &str) -> Option<u64> {
        self.period_us
    }

    fn is_late_below(&mut self, _: &str, set: &str) -> bool {
        self.below.contains(set)
    }
}

/// Everything is well, and sets are sampled every second.
fn well() -> Told {
    Told { calm_since_ms: Some(0), period_us: Some(1_000_000), below: BTreeSet::new() }
}

/// An aggregator with one updater, asked every 30 s.
struct Aggregator {
    late: Late,
    now_ms: u64,
    sets: BTreeMap<(String, String), SetTimes>,
}

impl Aggregator {
    fn new(sets: usize) -> Self {
        let set = |at: usize| ((format!("s-{at}"), format!("s-{at}/meminfo")), SetTimes::default());
        let mut new = Self { late: Late::default(), now_ms: 1_000, sets: (0..sets).map(set).collect() };
        assert!(new.ask(&mut well()).is_empty());
        new
    }

    /// Sets that end in one of `which` have so many updates more: ended, left out, without a new sample.
    fn grow(&mut self, which: &[usize], (updates, skipped, oversampled): (u64, u64, u64)) {
        for at in which {
            let times = self.sets.get_mut(&(format!("s-{at}"), format!("s-{at}/meminfo"))).unwrap();
            times.updates += updates;
            times.skipped += skipped;
            times.oversampled += oversampled;
        }
    }

    fn ask(&mut self, ground: &mut dyn Ground) -> Vec<(String, bool)> {
        let mut times = UpdateTimes::default();
        let all = times.updaters.entry("all_agg".to_owned()).or_default();
        for ((producer, set), of) in &self.sets {
            all.producers.entry(producer.clone()).or_default().insert(set.clone(), *of);
        }
        let changes = self.late.take_in(&times, ground, self.now_ms);
        self.now_ms += 30_000;
        changes.into_iter().map(|change| (change.updater, change.late)).collect()
    }

    fn is_late(&self) -> bool {
        self.late.totals().is_some_and(|totals| totals.late_sets > 0)
    }
}

fn began() -> Vec<(String, bool)> {
    vec![("all_agg".to_owned(), true)]
}

fn ended() -> Vec<(String, bool)> {
    vec![("all_agg".to_owned(), false)]
}

#[test]
fn overruns_make_an_updater_late_after_two_judgements_and_it_is_well_after_four() {
    let mut agg = Aggregator::new(10);
    for changes in [vec![], began(), vec![]] {
        agg.grow(&[0, 1, 2, 3, 4, 5, 6, 7], (30, 0, 0));
        agg.grow(&[8, 9], (20, 10, 0));
        assert_eq!(agg.ask(&mut well()), changes);
    }
    let words = agg.late.words(None).join("");
    assert_eq!(
        words,
        "updater all_agg: 2 of 10 sets were late in the last minute (s-8/meminfo, s-9/meminfo): 40 updates left out, as \
         the one before had not ended; several producers answer slowly: see to the network and this host, or take a \
         longer interval"
    );
    assert!(agg.late.words(Some(95.0)).join("").contains("overloaded"), "{words}");
    let totals = agg.late.totals().unwrap();
    assert_eq!((totals.updates, totals.overruns, totals.late_sets), (3 * 280, 60, 2));
    for changes in [vec![], vec![], vec![], ended(), vec![]] {
        agg.grow(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], (30, 0, 0));
        assert_eq!(agg.ask(&mut well()), changes);
    }
    assert!(agg.late.words(None).is_empty());
}

#[test]
fn samples_that_do_not_come_are_late_and_an_updater_that_comes_more_often_is_not() {
    let mut agg = Aggregator::new(2);
    // Both find 24 of 30 times nothing new. The first is sampled every five seconds.
    let mut every_five = Told { period_us: Some(5_000_000), ..well() };
    for _ in 0..4 {
        agg.grow(&[0], (30, 0, 24));
        agg.grow(&[1], (30, 0, 1));
        assert!(agg.ask(&mut every_five).is_empty());
    }
    for changes in [vec![], began()] {
        agg.grow(&[0], (30, 0, 24));
        agg.grow(&[1], (30, 0, 1));
        assert_eq!(agg.ask(&mut well()), changes);
    }
    let words = agg.late.words(None).join("");
    assert!(words.contains("1 of 2 sets was late") && words.contains("s-0: sampled too seldom"), "{words}");
    // A set that has stopped is noticed, however seldom it is sampled: a minute's takes five minutes to be judged.
    let mut agg = Aggregator::new(1);
    let mut every_minute = Told { period_us: Some(60_000_000), ..well() };
    for ask in 0..30 {
        agg.grow(&[0], (30, 0, 30));
        agg.ask(&mut every_minute);
        assert_eq!(agg.is_late(), ask >= 19, "{ask}");
    }
    // Where nobody knows how often a set is sampled, nobody complains that it is not.
    let mut agg = Aggregator::new(1);
    for _ in 0..4 {
        agg.grow(&[0], (30, 0, 30));
        assert!(agg.ask(&mut Told { period_us: None, ..well() }).is_empty());
    }
}

#[test]
fn slow_updaters_are_judged_over_a_longer_time() {
    let mut agg = Aggregator::new(1);
    // Once a minute, every other one left out: five are there after two and a half minutes.
    for ask in 0..24 {
        let skipped = u64::from(ask % 4 == 1);
        agg.grow(&[0], (u64::from(ask % 4 == 3), skipped, 0));
        agg.ask(&mut Told { period_us: Some(60_000_000), ..well() });
        if ask < 18 {
            assert!(!agg.is_late(), "{ask}");
        }
    }
    assert!(agg.is_late());
    let words = agg.late.words(None).join("");
    assert!(words.contains("its only set was late in the last 10 minutes"), "{words}");
}

#[test]
fn what_is_foreseen_is_not_held_against_anybody() {
    let bad = (10, 20, 0);
    // A daemon on the way was started, or told something else, in every window.
    let mut agg = Aggregator::new(3);
    for _ in 0..6 {
        agg.grow(&[0, 1, 2], bad);
        let calm_since_ms = Some(agg.now_ms - 10_000);
        assert!(agg.ask(&mut Told { calm_since_ms, ..well() }).is_empty());
    }
    // One hangs.
    for _ in 0..6 {
        agg.grow(&[0, 1, 2], bad);
        assert!(agg.ask(&mut Told { calm_since_ms: None, ..well() }).is_empty());
    }
    // Producers come back, or from another aggregator, time and again: what ldmsd counts begins anew.
    for _ in 0..6 {
        agg.sets.values_mut().for_each(|times| *times = SetTimes::default());
        agg.grow(&[0, 1, 2], (5, 4, 0));
        assert!(agg.ask(&mut well()).is_empty());
        agg.sets.clear();
        agg.ask(&mut well());
        agg = Aggregator { late: agg.late, now_ms: agg.now_ms, sets: Aggregator::new(3).sets };
    }
    // Late below already.
    let mut agg = Aggregator::new(1);
    for _ in 0..6 {
        agg.grow(&[0], (30, 0, 30));
        assert!(agg.ask(&mut Told { below: ["s-0/meminfo".to_owned()].into(), ..well() }).is_empty());
    }
}

#[test]
fn one_that_goes_away_is_forgotten_with_what_was_held_against_it() {
    let mut agg = Aggregator::new(1);
    for _ in 0..3 {
        agg.grow(&[0], (10, 20, 0));
        agg.ask(&mut well());
    }
    assert!(agg.is_late() && agg.late.suspects().eq(["s-0/meminfo"]));
    assert_eq!(agg.late.forget(), ["all_agg"]);
    assert!(agg.late.totals().is_none() && agg.late.words(None).is_empty());
    assert!(agg.late.forget().is_empty());
    agg.grow(&[0], (10, 20, 0));
    assert!(agg.ask(&mut well()).is_empty(), "the first answer is what others are compared with");
}

#[test]
fn what_is_on_the_edge_stays_late() {
    let mut agg = Aggregator::new(1);
    let mut told = Vec::new();
    // Around the share that makes it late: now above, now below it.
    for (skipped, updates) in
        [(4, 26), (3, 27), (2, 28), (4, 26), (1, 29), (2, 28), (0, 30), (1, 29), (3, 27)].repeat(4)
    {
        agg.grow(&[0], (updates, skipped, 0));
        told.extend(agg.ask(&mut well()));
    }
    assert_eq!(told, began());
}

proptest! {
    /// Whatever is answered: an updater that begins to be late ends it before it begins again, never in the next window,
    /// and a few updates that go wrong make nobody late.
    #[test]
    fn nothing_flaps(windows in prop::collection::vec(prop::collection::vec((0_u64..40, 0_u64..8, 0_u64..40), 3), 1..60)) {
        let mut agg = Aggregator::new(3);
        let (mut late, mut since) = (false, 0_usize);
        for (at, window) in windows.iter().enumerate() {
            for (set, (updates, skipped, oversampled)) in window.iter().enumerate() {
                agg.grow(&[set], (*updates, *skipped, *oversampled.min(updates)));
            }
            let changes = agg.ask(&mut well());
            prop_assert!(changes.len() <= 1);
            for (_, now) in changes {
                prop_assert_ne!(late, now);
                prop_assert!(since == 0 || at - since >= if now { 2 } else { 4 }, "after {} windows", at - since);
                (late, since) = (now, at);
            }
            prop_assert_eq!(late, agg.is_late());
        }
    }

    #[test]
    fn one_update_in_twenty_makes_nobody_late(windows in prop::collection::vec((0_u64..2, 0_u64..2), 1..40)) {
        let mut agg = Aggregator::new(1);
        for (skipped, oversampled) in windows {
            agg.grow(&[0], (30 - skipped, skipped, oversampled));
            prop_assert!(agg.ask(&mut well()).is_empty());
        }
    }
}
