//! Late sets and overruns: judges what became of the updates of an aggregator. Pure.
//!
//! **Expected flow.** An aggregator is asked now and then (`update_time_stats`); each answer is taken in by
//! [`Late::take_in`], which compares it with the one before, set by set.
//!
//! **What is late.** An *overrun* is an update that was due while the one before was still under way: ldmsd leaves it out
//! (`skipped_cnt`). A set is *late* to its updater when an update finds the sample of the update before
//! (`oversampled_cnt`) although, by the interval the set is sampled at, there should have been a new one. That an updater
//! comes more often than its sets are sampled is no fault.
//!
//! **Guarantees.** A set counts as late after two judgements in a row against it, and until four in a row are for it; a
//! judgement against it needs [`MIN_UPDATES`] updates, and a share of [`LATE_PERCENT`] of them, of half that where it is
//! late already: what is on the edge is late and stays so. An updater is late while one of its sets is. What is foreseen is no fault: a set is not judged over a time in which a daemon on its way was started, failed,
//! hung, or was told something else, nor when it is late further below already. A producer that moves is new where it
//! comes to, and is judged from there on.

use std::collections::{BTreeMap, BTreeSet};

use campanile_control::state_dir::fnv1a;
use campanile_ldms::api::update_times::{SetTimes, UpdateTimes};
use serde::{Deserialize, Serialize};

use crate::health::THREAD_BUSY_PERCENT;

/// Updates (or, of a set that is sampled less often, samples) that a judgement needs.
pub const MIN_UPDATES: u64 = 5;
/// A set is late when at least this share of its updates was left out or found nothing new, and no less than two. Percent.
pub const LATE_PERCENT: u64 = 10;
/// No fewer than this are held against a set.
const MIN_LATE: u64 = 2;
/// Judgements in a row against a set that make it late.
const AGAINST: i8 = 2;
/// Judgements in a row for a set that end it.
const FOR: i8 = 4;
/// Sets that are named in words, at most.
const EXAMPLES: usize = 3;

/// What a judgement needs to know of the cluster.
pub trait Ground {
    /// Since when nothing that is foreseen has touched the way of a set to this aggregator, monotonic milliseconds. None
    /// while something does.
    fn calm_since_ms(&mut self, producer: &str, set: &str) -> Option<u64>;
    /// How often its producer has a new sample of a set, microseconds; none where nobody knows.
    fn period_us(&mut self, producer: &str, set: &str) -> Option<u64>;
    /// Whether a set is late at its producer already.
    fn is_late_below(&mut self, producer: &str, set: &str) -> bool;
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    updates: u32,
    skipped: u32,
    oversampled: u32,
}

impl Counts {
    fn of(times: &SetTimes) -> Self {
        let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        Self {
            updates: count(times.updates),
            skipped: count(times.skipped),
            oversampled: count(times.oversampled),
        }
    }

    /// How much they have grown; none when they began anew.
    fn since(self, before: Self) -> Option<Self> {
        Some(Self {
            updates: self.updates.checked_sub(before.updates)?,
            skipped: self.skipped.checked_sub(before.skipped)?,
            oversampled: self.oversampled.checked_sub(before.oversampled)?,
        })
    }
}

/// What is kept of each set of each updater: small, since there are many.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// A number for updater, producer and set.
    key: u64,
    /// From when on it is judged next, and its counts then.
    since_ms: u64,
    counts: Counts,
    /// Judgements in a row: against it above zero, for it below.
    streak: i8,
    late: bool,
}

/// What is kept of a set beside that while something speaks against it.
#[derive(Clone, Debug)]
struct Suspect {
    producer: String,
    set: String,
    left_out: u64,
    stale: u64,
    span_ms: u64,
    /// The same three of the last judgement alone.
    last: (u64, u64, u64),
}

/// One updater of an aggregator at the last answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UpdaterView {
    /// The sets it has.
    pub sets: usize,
    /// Those that are late.
    pub late_sets: usize,
    /// Those that may be about to be.
    pub suspected: usize,
    /// Whether it counts as late.
    pub late: bool,
    /// Updates of those that were left out, over the time of the last two judgements of each.
    pub left_out: u64,
    /// Updates of those that found nothing new although they should have.
    pub stale: u64,
    /// That time, milliseconds.
    pub span_ms: u64,
    /// The producers they come from.
    #[serde(skip)]
    producers: BTreeSet<String>,
    /// The first of them.
    pub examples: Vec<String>,
}

/// Figures of all updates of an aggregator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Updates that ended since the manager watches. A set that two updaters have counts twice.
    pub updates: u64,
    /// Updates that were left out because the one before was still under way.
    pub overruns: u64,
    /// Updates that found nothing new, for whatever reason.
    pub oversampled: u64,
    /// Sets at the last answer.
    pub sets: usize,
    /// Those of them that are late.
    pub late_sets: usize,
    /// The mean time of an update since its producer was connected, milliseconds.
    pub mean_ms: f64,
    /// The longest, milliseconds.
    pub max_ms: f64,
}

/// An updater has become late, or is no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The updater.
    pub updater: String,
    /// What it is now.
    pub late: bool,
}

/// What is known of the updates of one aggregator.
#[derive(Clone, Debug, Default)]
pub struct Late {
    /// In the order of their keys.
    entries: Vec<Entry>,
    suspects: BTreeMap<u64, Suspect>,
    updaters: BTreeMap<String, UpdaterView>,
    totals: Totals,
}

/// What an answer says of one set.
enum Judgement {
    /// It is judged from now on.
    Anew,
    /// There was too little to judge; the time goes on.
    Open,
    Given {
        left_out: u64,
        stale: u64,
        late: bool,
    },
}

fn judge(
    before: &Entry,
    now: Counts,
    (producer, set): (&str, &str),
    ground: &mut dyn Ground,
    now_ms: u64,
) -> Judgement {
    let Some(grown) = now.since(before.counts) else { return Judgement::Anew };
    let (ended, left_out) = (u64::from(grown.updates), u64::from(grown.skipped));
    let attempts = ended + left_out;
    if attempts < MIN_UPDATES {
        return Judgement::Open;
    }
    let old = u64::from(grown.oversampled);
    if left_out < MIN_LATE && old < MIN_LATE {
        return Judgement::Given { left_out, stale: 0, late: false };
    }
    if ground.calm_since_ms(producer, set).is_none_or(|since_ms| since_ms > before.since_ms) {
        return Judgement::Anew;
    }
    let percent = if before.late { LATE_PERCENT / 2 } else { LATE_PERCENT };
    let against = |count: u64, of: u64| count >= MIN_LATE && count * 100 >= of * percent;
    let overruns = against(left_out, attempts);
    let elapsed_us = now_ms.saturating_sub(before.since_ms).saturating_mul(1_000);
    let due = ground.period_us(producer, set).map(|period_us| attempts.min(elapsed_us / period_us.max(1)));
    if due.is_some_and(|due| due < MIN_UPDATES) && !overruns {
        return Judgement::Open;
    }
    // One sample more or less may lie on either side of the ends.
    let stale = due.unwrap_or(0).saturating_sub(ended.saturating_sub(old) + left_out + 1);
    let late = against(stale, due.unwrap_or(0));
    if late && !overruns && ground.is_late_below(producer, set) {
        return Judgement::Anew;
    }
    Judgement::Given { left_out, stale: if late { stale } else { 0 }, late: late || overruns }
}

impl Late {
    /// Takes in an answer; says which updaters have become late by it, and which are no longer.
    pub fn take_in(&mut self, times: &UpdateTimes, ground: &mut dyn Ground, now_ms: u64) -> Vec<Change> {
        let mut entries = Vec::with_capacity(self.entries.len());
        let mut suspects = BTreeMap::new();
        let mut updaters = BTreeMap::new();
        let (mut sum_us, mut counted, mut max_us) = (0.0_f64, 0_u64, 0.0_f64);
        for (updater, of) in &times.updaters {
            let view: &mut UpdaterView = updaters.entry(updater.clone()).or_default();
            for (producer, sets) in &of.producers {
                for (set, times) in sets {
                    view.sets += 1;
                    sum_us += times.mean_us * times.updates as f64;
                    counted += times.updates;
                    max_us = max_us.max(times.max_us);
                    let key = fnv1a(format!("{updater}\u{0}{producer}\u{0}{set}").as_bytes());
                    let counts = Counts::of(times);
                    let (entry, suspect) = self.next(key, counts, (producer, set), ground, now_ms);
                    if let Some(suspect) = suspect {
                        match entry.late {
                            true => view.note(&suspect),
                            false => view.suspected += 1,
                        }
                        suspects.insert(key, suspect);
                    }
                    entries.push(entry);
                }
            }
        }
        entries.sort_unstable_by_key(|entry| entry.key);
        let was_late = |name: &str| self.updaters.get(name).is_some_and(|before: &UpdaterView| before.late);
        for (name, view) in &mut updaters {
            // It stays late while another set may be about to take the place of the last.
            view.late = view.late_sets > 0 || (was_late(name) && view.suspected > 0);
        }
        let is_late = |name: &str| updaters.get(name).is_some_and(|view: &UpdaterView| view.late);
        let names: BTreeSet<&String> = self.updaters.keys().chain(updaters.keys()).collect();
        let changed = names.into_iter().filter(|name| was_late(name) != is_late(name));
        let changes: Vec<Change> =
            changed.map(|name| Change { updater: name.clone(), late: is_late(name) }).collect();
        self.totals.sets = updaters.values().map(|view| view.sets).sum();
        self.totals.late_sets = updaters.values().map(|view| view.late_sets).sum();
        self.totals.mean_ms = if counted == 0 { 0.0 } else { sum_us / counted as f64 / 1_000.0 };
        self.totals.max_ms = max_us / 1_000.0;
        (self.entries, self.suspects, self.updaters) = (entries, suspects, updaters);
        changes
    }

    fn next(
        &mut self,
        key: u64,
        counts: Counts,
        of: (&str, &str),
        ground: &mut dyn Ground,
        now_ms: u64,
    ) -> (Entry, Option<Suspect>) {
        let anew = Entry { key, since_ms: now_ms, counts, streak: 0, late: false };
        let Ok(at) = self.entries.binary_search_by_key(&key, |entry| entry.key) else { return (anew, None) };
        let before = self.entries[at];
        let suspect = self.suspects.remove(&key);
        let judgement = judge(&before, counts, of, ground, now_ms);
        if !matches!(judgement, Judgement::Open) {
            // What has grown is counted once: when its time is over.
            let grown = counts.since(before.counts).unwrap_or_default();
            self.totals.updates += u64::from(grown.updates);
            self.totals.overruns += u64::from(grown.skipped);
            self.totals.oversampled += u64::from(grown.oversampled);
        }
        match judgement {
            Judgement::Anew => (anew, None),
            Judgement::Open => (before, suspect),
            Judgement::Given { left_out, stale, late } => {
                let streak = match late {
                    true => (before.streak.max(0) + 1).min(AGAINST),
                    false => (before.streak.min(0) - 1).max(-FOR),
                };
                let is_late = if before.late { streak > -FOR } else { streak >= AGAINST };
                let entry = Entry { streak, late: is_late, ..anew };
                let suspect = match (late, suspect) {
                    (true, earlier) => {
                        let (producer, set) = (of.0.to_owned(), of.1.to_owned());
                        let span_ms = now_ms.saturating_sub(before.since_ms);
                        let last = (left_out, stale, span_ms);
                        let mut suspect = Suspect { producer, set, left_out, stale, span_ms, last };
                        // The words tell of the last two judgements.
                        if let Some(earlier) = earlier.filter(|_| streak >= AGAINST) {
                            suspect.left_out += earlier.last.0;
                            suspect.stale += earlier.last.1;
                            suspect.span_ms += earlier.last.2;
                        }
                        Some(suspect)
                    }
                    (false, earlier) => earlier.filter(|_| is_late),
                };
                (entry, suspect)
            }
        }
    }

    /// What is known is void, since the aggregator is away; says which updaters were late.
    pub fn forget(&mut self) -> Vec<String> {
        self.entries = Vec::new();
        self.suspects.clear();
        (self.totals.sets, self.totals.late_sets) = (0, 0);
        let updaters = std::mem::take(&mut self.updaters);
        updaters.into_iter().filter(|(_, view)| view.late).map(|(name, _)| name).collect()
    }

    /// The sets that something speaks against.
    pub fn suspects(&self) -> impl Iterator<Item = &str> {
        self.suspects.values().map(|suspect| &*suspect.set)
    }

    /// The figures of all updates together; none before the first answer.
    #[must_use]
    pub fn totals(&self) -> Option<Totals> {
        (!self.updaters.is_empty()).then_some(self.totals)
    }

    /// The updaters by name.
    #[must_use]
    pub fn updaters(&self) -> &BTreeMap<String, UpdaterView> {
        &self.updaters
    }

    /// What is wrong, an updater each; `busy_percent` is how much its busiest thread works.
    #[must_use]
    pub fn words(&self, busy_percent: Option<f64>) -> Vec<String> {
        let late = self.updaters.iter().filter(|(_, view)| view.late_sets > 0);
        late.map(|(name, view)| view.words(name, busy_percent)).collect()
    }

    /// The same of one updater.
    #[must_use]
    pub fn words_of(&self, updater: &str, busy_percent: Option<f64>) -> String {
        self.updaters.get(updater).map(|view| view.words(updater, busy_percent)).unwrap_or_default()
    }
}

impl UpdaterView {
    fn note(&mut self, suspect: &Suspect) {
        self.late_sets += 1;
        self.left_out += suspect.left_out;
        self.stale += suspect.stale;
        self.span_ms = self.span_ms.max(suspect.span_ms);
        self.producers.insert(suspect.producer.clone());
        if self.examples.len() < EXAMPLES {
            self.examples.push(suspect.set.clone());
        }
    }

    fn words(&self, name: &str, busy_percent: Option<f64>) -> String {
        let were = if self.late_sets == 1 { "was" } else { "were" };
        let more = if self.late_sets > self.examples.len() { ", …" } else { "" };
        let one = self.producers.iter().next().filter(|_| self.producers.len() == 1);
        let mut text = match self.late_sets == 1 && self.sets == 1 {
            true => format!("updater {name}: its only set was late {}", span(self.span_ms)),
            false => {
                let (late, all) = (self.late_sets, self.sets);
                format!("updater {name}: {late} of {all} sets {were} late {}", span(self.span_ms))
            }
        };
        text.push_str(&format!(" ({}{more}): ", self.examples.join(", ")));
        let updates =
            |count: u64| if count == 1 { "1 update".to_owned() } else { format!("{count} updates") };
        if self.left_out > 0 {
            let hint = match (one, busy_percent) {
                (_, Some(percent)) if percent > THREAD_BUSY_PERCENT => {
                    "this aggregator is overloaded: give it more threads (-P), a longer interval, or fewer producers".to_owned()
                }
                (Some(one), _) => format!("{one} answers slowly: see to that host and the way to it"),
                (None, _) => {
                    "several producers answer slowly: see to the network and this host, or take a longer interval".to_owned()
                }
            };
            text.push_str(&format!(
                "{} left out, as the one before had not ended; {hint}",
                updates(self.left_out)
            ));
        }
        if self.stale > 0 {
            let and = if self.left_out > 0 { "; " } else { "" };
            text.push_str(&format!("{and}{} found no new sample", updates(self.stale)));
        }
        if self.stale > 0 && self.left_out == 0 {
            let who = one.map_or("their producers", |one| &**one);
            text.push_str(&format!(
                "; {who}: sampled too seldom, or after the updater came: its offset must be beyond that of the samplers"
            ));
        }
        text
    }
}

fn span(span_ms: u64) -> String {
    match span_ms {
        0..45_000 => format!("in the last {} s", span_ms.div_ceil(1_000).max(1)),
        45_000..90_000 => "in the last minute".to_owned(),
        _ => format!("in the last {} minutes", (span_ms + 30_000) / 60_000),
    }
}

#[cfg(test)]
mod tests;
