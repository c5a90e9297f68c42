//! What becomes of updates, set by set, and the request about it.

use super::Daemon;
use super::answer::{Answer, Handled, json, refuse};
use super::figures::HISTOGRAM;
use super::producers::Producer;
use crate::api::producer::ProducerState;
use crate::wire::errno;
use crate::wire::ids::AttrId;
use crate::wire::record::Message as Record;

/// The figures that ldmsd keeps for each set of a producer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Updates {
    /// When the last began; with pushes, when the updater last came by.
    began_us: u64,
    count: u64,
    min_us: Option<u64>,
    max_us: u64,
    sum_us: u64,
    skipped: u64,
    oversampled: u64,
}

impl Updates {
    /// An update begins.
    pub(super) fn begin(&mut self, now_us: u64) {
        self.began_us = now_us;
    }

    /// An update has come to its end, whatever it has brought.
    pub(super) fn end(&mut self, now_us: u64) {
        let took_us = now_us.saturating_sub(self.began_us);
        self.count += 1;
        self.sum_us += took_us;
        self.min_us = Some(self.min_us.map_or(took_us, |min_us| min_us.min(took_us)));
        self.max_us = self.max_us.max(took_us);
    }

    /// An update was due while the one before was still under way.
    pub(super) fn skip(&mut self) {
        self.skipped += 1;
    }

    /// An update has found the sample of the one before.
    pub(super) fn oversample(&mut self) {
        self.oversampled += 1;
    }

    fn reset(&mut self) {
        *self = Self { began_us: self.began_us, ..Self::default() };
    }

    fn json(&self) -> String {
        // Before the first update ldmsd says the largest number there is.
        let min_us = self.min_us.map_or(f64::MAX, |min_us| min_us as f64);
        let mean_us = if self.count == 0 { 0.0 } else { self.sum_us as f64 / self.count as f64 };
        format!(
            "{{\"min\":{min_us:.6},\"max\":{:.6},\"avg\":{mean_us:.6},\"cnt\":{},\"skipped_cnt\":{},\
             \"oversampled_cnt\":{}}}",
            self.max_us as f64, self.count, self.skipped, self.oversampled
        )
    }
}

impl Daemon {
    /// The figures of the sets of connected producers, updater by updater. With matches ldmsd goes through the producers
    /// once for each, and leaves a comma after a histogram that nothing follows.
    pub(super) fn update_time_stats(&mut self, message: &Record) -> Handled {
        let args = self.args(message);
        let truth = |id| args.get(id).is_some_and(|text| !text.eq_ignore_ascii_case("false"));
        let (name, reset, summary) = (args.get(AttrId::NAME), truth(AttrId::RESET), truth(AttrId::SUMMARY));
        if let Some(name) = name.as_ref().filter(|name| !self.updaters.contains_key(*name)) {
            return Err(refuse(errno::ENOENT, format!("updtr '{name}' doesn't exist.")));
        }
        let mut rows = Vec::new();
        for (key, updater) in
            self.updaters.iter().filter(|(key, _)| name.as_ref().is_none_or(|name| name == *key))
        {
            let passes: Vec<_> = match &updater.matches[..] {
                [] => vec![None],
                some => some.iter().map(Some).collect(),
            };
            let mut parts = Vec::new();
            for fits in passes {
                for name in &updater.producers {
                    let connected = |producer: &&mut Producer| producer.state == ProducerState::Connected;
                    let Some(producer) = self.producers.get_mut(name).filter(connected) else { continue };
                    let mut sets = Vec::new();
                    for (set, state) in &mut producer.sets {
                        let wanted = fits.is_none_or(|(regex, by_schema)| {
                            regex.matches(if *by_schema { &state.schema } else { set })
                        });
                        if wanted {
                            sets.push(format!("\"{}\":{}", json(set), state.updates.json()));
                            if reset {
                                state.updates.reset();
                            }
                        }
                    }
                    parts.push(format!("\"{}\":{{{}}}", json(name), sets.join(",")));
                }
            }
            let histogram = if summary { String::new() } else { format!("\"histogram\":{HISTOGRAM},") };
            rows.push(format!("\"{}\":{{{histogram}{}}}", json(key), parts.join(",")));
        }
        Ok(Answer::Text(format!("{{{}}}", rows.join(","))))
    }

    /// All sets begin to count anew.
    pub(super) fn reset_updates(&mut self) {
        let sets = self.producers.values_mut().flat_map(|producer| producer.sets.values_mut());
        sets.for_each(|set| set.updates.reset());
    }
}
