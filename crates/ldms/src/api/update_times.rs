//! What became of the updates of an aggregator, set by set: how long they took, which were left out, which found
//! nothing new.
//!
//! ldmsd keeps these figures for each set of a producer since the producer has it; they begin anew with every connection.
//! A set that several updaters cover is listed under each, with the same figures.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{FromResponse, ReplyError, Response, calls};
use crate::limits::MAX_TIMED_SETS;

/// Figures of one set of a producer. Its shortest update is left out: ldmsd says 1.8e308 until there was one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
pub struct SetTimes {
    /// The longest update, microseconds.
    #[serde(rename = "max", default)]
    pub max_us: f64,
    /// The mean of all, microseconds.
    #[serde(rename = "avg", default)]
    pub mean_us: f64,
    /// Updates that were completed, whether they brought a new sample or not.
    #[serde(rename = "cnt", default, deserialize_with = "count")]
    pub updates: u64,
    /// Updates that were due while the one before was still under way, and were therefore left out.
    #[serde(rename = "skipped_cnt", default, deserialize_with = "count")]
    pub skipped: u64,
    /// Updates that found the sample of the update before: the set had not been sampled since.
    #[serde(rename = "oversampled_cnt", default, deserialize_with = "count")]
    pub oversampled: u64,
}

/// ldmsd counts in 32 bits with a sign.
fn count<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    i64::deserialize(from).map(|count| u64::try_from(count).unwrap_or(0))
}

/// Sets by name.
pub type TimedSets = BTreeMap<String, SetTimes>;

/// One updater: its producers that are connected, by name, with their sets. (A producer called `histogram` cannot be
/// told from the histogram of all times, and is left out with it.)
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UpdaterTimes {
    /// The producers.
    pub producers: BTreeMap<String, TimedSets>,
}

impl<'de> Deserialize<'de> for UpdaterTimes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Producers;
        impl<'de> Visitor<'de> for Producers {
            type Value = UpdaterTimes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("producers with their sets")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UpdaterTimes, A::Error> {
                let mut times = UpdaterTimes::default();
                let mut sets = 0_usize;
                while let Some(name) = map.next_key::<String>()? {
                    if name == "histogram" {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    // An updater with several matches lists its producers once for each.
                    let found = map.next_value::<TimedSets>()?;
                    sets += found.len();
                    if sets > MAX_TIMED_SETS {
                        return Err(A::Error::custom("an updater with too many sets"));
                    }
                    times.producers.entry(name).or_default().extend(found);
                }
                Ok(times)
            }
        }
        from.deserialize_map(Producers)
    }
}

/// The answer to [`UpdateTimeStats`].
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct UpdateTimes {
    /// The updaters by name.
    pub updaters: BTreeMap<String, UpdaterTimes>,
}

impl FromResponse for UpdateTimes {
    fn from_response(verb: &'static str, response: &Response) -> Result<Self, ReplyError> {
        let text = response.text();
        let parsed = serde_json::from_str(&text).or_else(|_| serde_json::from_str(&mended(&text)));
        parsed.map_err(|source| ReplyError::Malformed { verb, source })
    }
}

/// The text without commas before a closing brace: ldmsd writes one after a histogram that no producer follows.
fn mended(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut quoted, mut escaped) = (false, false);
    for char in text.chars() {
        if char == '}' && !quoted && out.ends_with(',') {
            out.pop();
        }
        quoted ^= char == '"' && !escaped;
        escaped = char == '\\' && !escaped;
        out.push(char);
    }
    out
}

calls! {
    /// How long updates took and what came of them, set by set. The answer has about 130 bytes for each set and, where
    /// updaters have matches, 10 for each pair of a match and a producer.
    UpdateTimeStats = UPDATE_TIME_STATS {
        /// Only this updater.
        name: Option<String> => NAME,
        /// Start counting afresh, for everybody who asks.
        reset: bool => RESET,
        /// Leave the histograms out.
        summary: bool => SUMMARY,
    } -> UpdateTimes;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Call;
    use crate::wire::ids::AttrId;
    use crate::wire::record::Attribute;

    fn read(text: &str) -> Result<UpdateTimes, ReplyError> {
        let response = Response { errcode: 0, attributes: vec![Attribute::text(AttrId::STRING, text)] };
        UpdateTimeStats::default().reply(&response)
    }

    /// As ldmsd 4.5.1 answered with two samplers, each with a set sampled every second and one every five seconds, and
    /// an updater with an interval of a second.
    const RECORDED: &str = r#"{"all":{"histogram":{"bins":[23,0,0,0,13,10,0,0,0,0,0,0],"boundaries":[0.000000,8750.698667,17501.397333,26252.096000,35002.794667,43753.493333,52504.192000,61254.890667,70005.589333,78756.288000,87506.986667,96257.685333,105008.384000],"n_bins":12,"overflow":0,"scale":"linear","underflow":0,"warmup_in_progress":false},"s1":{"s35101/meminfo":{"min":105.984000,"max":2386.688000,"avg":528.597333,"cnt":12,"skipped_cnt":0,"oversampled_cnt":0},"s35101/vmstat":{"min":41258.752000,"max":48071.680000,"avg":44264.384000,"cnt":12,"skipped_cnt":0,"oversampled_cnt":8}},"s2":{"s35102/meminfo":{"min":39.168000,"max":298.496000,"avg":121.506909,"cnt":11,"skipped_cnt":0,"oversampled_cnt":0},"s35102/vmstat":{"min":41287.168000,"max":48074.752000,"avg":44404.992000,"cnt":11,"skipped_cnt":0,"oversampled_cnt":8}}}}"#;

    #[test]
    fn what_ldmsd_has_answered_is_read() {
        let times = read(RECORDED).unwrap();
        let all = &times.updaters["all"];
        assert_eq!(all.producers.keys().collect::<Vec<_>>(), ["s1", "s2"]);
        let vmstat = all.producers["s1"]["s35101/vmstat"];
        let expected =
            SetTimes { max_us: 48_071.68, mean_us: 44_264.384, updates: 12, skipped: 0, oversampled: 8 };
        assert_eq!(vmstat, expected);
    }

    /// Also recorded: no producer, matches, and a set that has not been updated since the figures were reset.
    #[test]
    fn odd_answers_of_ldmsd_are_read() {
        let empty =
            read(r#"{"all":{"histogram":{"n_warmup":10,"warmup_count":0,"warmup_in_progress":true},}}"#);
        assert_eq!(empty.unwrap().updaters["all"], UpdaterTimes::default());
        assert_eq!(read("{}").unwrap(), UpdateTimes::default());
        let never = format!("{:.6}", f64::MAX);
        assert!(never.len() > 300, "as long as ldmsd writes it");
        let two_matches = format!(
            r#"{{"all":{{"s1":{{"s1/vmstat":{{"min":{never},"max":0.000000,"avg":0.000000,"cnt":0,"skipped_cnt":0,"oversampled_cnt":0}}}},"s1":{{"s1/meminfo":{{"min":1.0,"max":2.0,"avg":1.5,"cnt":-2,"skipped_cnt":3,"oversampled_cnt":0}}}}}}}}"#
        );
        let times = read(&two_matches).unwrap();
        let sets = &times.updaters["all"].producers["s1"];
        assert_eq!(sets.keys().collect::<Vec<_>>(), ["s1/meminfo", "s1/vmstat"]);
        assert_eq!((sets["s1/meminfo"].updates, sets["s1/meminfo"].skipped), (0, 3));
    }

    #[test]
    fn an_updater_has_so_many_sets_at_most() {
        let sets: Vec<String> = (0..MAX_TIMED_SETS).map(|at| format!("\"{at}\":{{}}")).collect();
        let (most, one) = (sets.join(","), r#""one":{}"#);
        assert!(read(&format!(r#"{{"all":{{"s1":{{{most}}}}}}}"#)).is_ok());
        assert!(read(&format!(r#"{{"all":{{"s1":{{{most}}},"s2":{{{one}}}}}}}"#)).is_err());
    }

    #[test]
    fn other_forms_are_errors_and_names_are_not_mended() {
        assert_eq!(mended(r#"{"a,}":{"\",}":1,},}"#), r#"{"a,}":{"\",}":1}}"#);
        for wrong in ["", "[]", r#"{"all":[]}"#, r#"{"all":{"s1":{"x":{"cnt":"many"}}}}"#] {
            let error = read(wrong).unwrap_err();
            assert!(
                matches!(error, ReplyError::Malformed { verb: "update_time_stats", .. }),
                "{wrong}: {error}"
            );
        }
    }
}
