//! What a manager writes down for the others, and when. Pure.
//!
//! **Guarantees.** Nothing is written that the others know already: etcd keeps every value until it is compacted, and
//! a cluster at rest must not fill it. What the others decide by is written at once, the rest once in [`CALM_MS`] per
//! daemon, judgements once in [`JUDGED_MS`]; figures of aggregators, which are never the same twice, once in
//! [`FIGURES_MS`], those of samplers never. Of one daemon at most one value a second is written in the long run, [`BURST`]
//! in a row, however it behaves.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::conductor::Told;

/// What nobody decides by is written at most this often per daemon.
const CALM_MS: u64 = 1_000;
/// Judgements of its performance are written at most this often per daemon, unless something else is.
const JUDGED_MS: u64 = 60_000;
/// Figures of aggregators are written at most this often, unless something else is.
const FIGURES_MS: u64 = 600_000;
/// Values of one daemon that may be written in a row; one more each second.
const BURST: f64 = 8.0;
/// Values written at once, and their bytes: what etcd takes as one change is more.
pub(super) const MAX_KEYS: usize = 256;
/// See [`MAX_KEYS`]. A single value beyond it, of an aggregator with some fifty thousand connected producers, is not
/// written.
pub(super) const MAX_BYTES: usize = 1_000_000;

/// All that is told of one daemon.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Saying {
    /// The daemon.
    pub daemon: String,
    /// What the others decide by.
    pub told: Told,
    /// Since when it is so: seconds since the epoch.
    pub since_s: f64,
    /// Its sets that may be late.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspects: Vec<String>,
    /// The performance of an aggregator, as [`crate::manager::Manager::status`] shows it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub performance: Value,
    /// What is wrong with its performance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub judgement: Vec<String>,
}

impl Saying {
    /// What is wrong with its performance, without the numbers.
    fn judged(&self) -> Vec<String> {
        let word = |text: &String| text.chars().filter(|c| !c.is_ascii_digit()).collect();
        self.judgement.iter().map(word).collect()
    }
}

#[derive(Debug)]
struct Said {
    saying: Saying,
    at_ms: u64,
    tokens: f64,
}

/// What has been written, and what waits.
#[derive(Debug, Default)]
pub(super) struct News {
    said: BTreeMap<String, Said>,
    /// Daemons to be asked about, and from when on.
    waiting: BTreeMap<String, u64>,
}

impl News {
    /// Something may have changed about these.
    pub(super) fn changed(&mut self, daemons: impl IntoIterator<Item = String>, now_ms: u64) {
        for daemon in daemons {
            let at_ms = self.waiting.entry(daemon).or_insert(now_ms);
            *at_ms = now_ms.min(*at_ms);
        }
    }

    /// Daemons to be asked about now, as many as one change may carry.
    pub(super) fn due(&self, now_ms: u64) -> Vec<String> {
        let due = self.waiting.iter().filter(|(_, at_ms)| **at_ms <= now_ms);
        due.map(|(daemon, _)| daemon.clone()).take(MAX_KEYS).collect()
    }

    /// Whether there are any.
    pub(super) fn has_due(&self, now_ms: u64) -> bool {
        self.waiting.values().any(|at_ms| *at_ms <= now_ms)
    }

    /// Whether what is to be told of this daemon is to be written now. What waits comes back with [`Self::due`].
    pub(super) fn offer(&mut self, saying: Saying, now_ms: u64) -> bool {
        self.waiting.remove(&saying.daemon);
        let Some(said) = self.said.get_mut(&saying.daemon) else {
            let said = Said { saying: saying.clone(), at_ms: now_ms, tokens: BURST - 1.0 };
            self.said.insert(saying.daemon, said);
            return true;
        };
        let before = &said.saying;
        let tokens = (said.tokens + now_ms.saturating_sub(said.at_ms) as f64 / 1_000.0).min(BURST);
        let at_ms = if saying.told.is_urgent_after(&before.told) {
            let missing = (1.0 - tokens).max(0.0);
            now_ms + (missing * 1_000.0).ceil() as u64
        } else if saying.told.differs_from(&before.told) {
            said.at_ms + CALM_MS
        } else if (saying.judged(), &saying.suspects) != (before.judged(), &before.suspects) {
            said.at_ms + JUDGED_MS
        } else if saying.performance != before.performance {
            said.at_ms + FIGURES_MS
        } else {
            return false;
        };
        if at_ms > now_ms {
            self.waiting.insert(saying.daemon, at_ms);
            return false;
        }
        *said = Said { saying, at_ms: now_ms, tokens: (tokens - 1.0).max(0.0) };
        true
    }

    /// Nothing is to be told of this daemon now.
    pub(super) fn skip(&mut self, daemon: &str) {
        self.waiting.remove(daemon);
    }

    /// Forgets all daemons but these; gives the names of those of which something was written.
    pub(super) fn keep(&mut self, daemons: &BTreeSet<String>) -> Vec<String> {
        let gone: Vec<String> =
            self.said.keys().filter(|daemon| !daemons.contains(*daemon)).cloned().collect();
        gone.iter().for_each(|daemon| drop(self.said.remove(daemon)));
        self.waiting.retain(|daemon, _| daemons.contains(daemon));
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conductor::Health;

    fn saying(health: Health, cfg_cntr: u64, slow: &str) -> Saying {
        let told = Told { health, cfg_cntr, reason: slow.to_owned(), ..Told::default() };
        let judgement = vec![slow.to_owned()];
        Saying { daemon: "s-1".to_owned(), told, judgement, ..Saying::default() }
    }

    #[test]
    fn what_is_decided_by_is_written_at_once_the_rest_seldom_and_nothing_twice() {
        let mut news = News::default();
        news.changed(["s-1".to_owned()], 0);
        assert_eq!(news.due(0), ["s-1"]);
        assert!(news.offer(saying(Health::Up, 1, "300 ms"), 0));
        assert!(news.due(10_000).is_empty());
        assert!(!news.offer(saying(Health::Up, 1, "300 ms"), 10), "it is known");
        assert!(
            !news.offer(saying(Health::Up, 1, "412 ms"), 90_000) && !news.has_due(u64::MAX),
            "numbers are not news"
        );
        news.said.clear();
        assert!(news.offer(saying(Health::Up, 1, "300 ms"), 0));
        // A change of the configuration: a second after the last. Another judgement: after a minute.
        assert!(!news.offer(saying(Health::Up, 2, "300 ms"), 100));
        assert!(news.due(999).is_empty());
        assert_eq!(news.due(1_000), ["s-1"]);
        assert!(news.offer(saying(Health::Up, 2, "300 ms"), 1_000));
        assert!(!news.offer(saying(Health::Up, 2, "busy"), 2_000));
        assert_eq!((news.due(60_999), news.due(61_000)), (vec![], vec!["s-1".to_owned()]));
        // Its death: at once.
        assert!(news.offer(saying(Health::Down, 2, "busy"), 2_010));
        assert!(news.keep(&["s-1".to_owned()].into()).is_empty());
        assert_eq!(news.keep(&BTreeSet::new()), ["s-1"]);
        assert!(news.offer(saying(Health::Down, 2, "busy"), 2_020), "it has been taken back");
    }

    #[test]
    fn one_that_comes_and_goes_all_the_time_is_written_once_a_second() {
        let mut news = News::default();
        let mut written = 0;
        for at in 0..600_u64 {
            let health = if at % 2 == 0 { Health::Up } else { Health::Down };
            written += usize::from(news.offer(saying(health, 1, ""), at * 100));
        }
        assert!((60..=70).contains(&written), "{written}");
        assert!(!news.due(61_000).is_empty(), "the last word comes, too");
    }
}
