//! Feeds: the topics that an agent publishes on, and the form of what it publishes there (OCS docs, "Feeds").
//!
//! An event has one positional argument, a list of two: the message, and a description of the feed. A feed with
//! `record: true` carries blocks of samples that the aggregator and the InfluxDB publisher store; its messages are
//! checked as OCS checks them, since those two trust what they get.

use std::collections::BTreeMap;
use std::sync::Arc;

use campanile_wamp::{Dict, Encoded, Encoder, Payload, Value};

use super::pyrepr;

/// Length of a field name of a record feed, in characters (OCS docs, "Field Names").
pub const MAX_FIELD_NAME: usize = 255;
/// Blocks of different names that one feed may carry unless it says otherwise ([`FeedSpec::max_blocks`]). Each one's
/// fields are remembered.
pub const MAX_BLOCKS: usize = 1000;
/// Blocks that one event carries at most: some ten kilobytes, for which neither side needs more memory than it has.
pub const MAX_BLOCKS_PER_EVENT: usize = 50;
/// The name of the feed that every agent has.
pub const HEARTBEAT: &str = "heartbeat";

/// A feed that an agent offers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeedSpec {
    /// The last part of its topic.
    pub name: String,
    /// Whether what it carries is to be stored; then its messages are blocks of samples.
    pub record: bool,
    /// Hints for those who store it (`frame_length`, `fresh_time`, `exclude_aggregator`, `exclude_influx`).
    pub agg_params: Dict,
    /// Blocks of different names that it may carry; [`MAX_BLOCKS`] if absent.
    pub max_blocks: Option<usize>,
}

impl FeedSpec {
    /// A feed whose messages may have any form, and are not stored.
    #[must_use]
    pub fn plain(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// A feed of samples to be stored.
    #[must_use]
    pub fn record(name: &str) -> Self {
        Self { name: name.to_owned(), record: true, ..Self::default() }
    }

    /// Sets the hints for those who store it.
    #[must_use]
    pub fn agg_params(mut self, agg_params: Dict) -> Self {
        self.agg_params = agg_params;
        self
    }

    /// Sets how many blocks of different names it may carry.
    #[must_use]
    pub const fn max_blocks(mut self, max_blocks: usize) -> Self {
        self.max_blocks = Some(max_blocks);
        self
    }
}

/// Who publishes: what the description of a feed says about its agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publisher {
    /// `{address_root}.{instance-id}`.
    pub agent_address: String,
    /// The class of the agent.
    pub agent_class: String,
    /// Names this run of the agent: the unix time of its start, as text.
    pub session_id: String,
}

/// A feed in use.
#[derive(Clone, Debug)]
pub struct Feed {
    spec: FeedSpec,
    topic: String,
    info: Dict,
    encoded_info: Encoded,
    blocks: BTreeMap<String, Block>,
    /// The fields of the newest block: most blocks of a feed have the same.
    last_fields: Arc<[String]>,
    /// The number of the event that is being made.
    event: u64,
}

/// What is remembered of a block: its fields, the tags that were last given for it, and the event that it was last in.
#[derive(Clone, Debug)]
struct Block {
    fields: Arc<[String]>,
    tags: Encoded,
    event: u64,
}

/// Why a message cannot go out on a record feed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// Something that a message of a record feed has is missing, or of a wrong type.
    #[error("a message of a record feed needs {0}")]
    Missing(&'static str),
    /// A field name that those who store it would not take.
    #[error("field name {name}: {problem}")]
    FieldName {
        /// The name, quoted.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A sample that is no number, string or truth value.
    #[error("field \"{field}\" has a sample of type {found}; only float, int, str and bool can be stored")]
    SampleType {
        /// The field.
        field: String,
        /// The type, as Python names it.
        found: &'static str,
    },
    /// The fields of a block are not those that it had before.
    #[error("Block structure does not match: {0}")]
    Structure(String),
    /// A field with more or fewer samples than there are timestamps.
    #[error("field \"{field}\" has {samples} samples for {timestamps} timestamps")]
    Length {
        /// The field.
        field: String,
        /// Its samples.
        samples: usize,
        /// The timestamps of the block.
        timestamps: usize,
    },
    /// `influxdb_tags` that do not fit the fields.
    #[error("'influxdb_tags': {0}")]
    Tags(String),
    /// More names than the feed may carry.
    #[error("the feed carries {0} different blocks already")]
    TooManyBlocks(usize),
}

impl Feed {
    /// A feed as an agent offers it.
    #[must_use]
    pub fn new(spec: FeedSpec, publisher: &Publisher) -> Self {
        let topic = format!("{}.feeds.{}", publisher.agent_address, spec.name);
        let info = Dict::new()
            .with("agent_address", publisher.agent_address.as_str())
            .with("agg_params", spec.agg_params.clone())
            .with("feed_name", spec.name.as_str())
            .with("address", topic.as_str())
            .with("record", spec.record)
            .with("session_id", publisher.session_id.as_str())
            .with("agent_class", publisher.agent_class.as_str());
        let encoded_info = Encoded::of(&Value::Dict(info.clone()));
        Self { spec, topic, info, encoded_info, blocks: BTreeMap::new(), last_fields: Arc::new([]), event: 1 }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Where it is published.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Its description, as `get_api` and every event have it.
    #[must_use]
    pub const fn info(&self) -> &Dict {
        &self.info
    }

    /// The arguments of the event that carries `message`. On a record feed, `message` is one sample (`block_name`,
    /// `timestamp`, `data: {field: value}`) or several (`timestamps`, `data: {field: [values]}`), either with
    /// `influxdb_tags`, which stay in force until others are given.
    ///
    /// # Errors
    /// [`FeedError`] when the message does not fit a record feed.
    pub fn event(&mut self, message: Value) -> Result<Payload, FeedError> {
        if !self.spec.record {
            return Ok(self.described(&message));
        }
        let sample = self.check(message)?;
        let mut blocks = Encoder::default();
        self.write(&sample, &mut blocks);
        Ok(self.blocks_event(1, &blocks))
    }

    /// The arguments of as few events as carry all of `messages`: on a record feed an event may hold many blocks, each
    /// name once, as those of OCS do that flush their buffer. What does not fit the feed is left out; the first error
    /// comes beside the events. Each message is made use of before the next one is asked for.
    pub fn events(
        &mut self,
        messages: impl IntoIterator<Item = Value>,
    ) -> (Vec<Payload>, Result<(), FeedError>) {
        let (mut events, mut result) = (Vec::new(), Ok(()));
        let (mut count, mut blocks) = (0, Encoder::default());
        for message in messages {
            if !self.spec.record {
                events.push(self.described(&message));
                continue;
            }
            match self.check(message) {
                Ok(sample) => {
                    let is_in = self.blocks.get(&sample.name).is_some_and(|block| block.event == self.event);
                    if is_in || count >= MAX_BLOCKS_PER_EVENT {
                        events.push(self.blocks_event(count, &blocks));
                        count = 0;
                        blocks.clear();
                    }
                    self.write(&sample, &mut blocks);
                    count += 1;
                }
                Err(error) => result = result.and(Err(error)),
            }
        }
        if count > 0 {
            events.push(self.blocks_event(count, &blocks));
        }
        (events, result)
    }

    /// A message with the description of the feed.
    fn described(&self, message: &Value) -> Payload {
        let mut args = Encoder::default();
        args.list(1).list(2).value(message).encoded(&self.encoded_info);
        args.into_args()
    }

    /// So many blocks with the description of the feed; what is written next belongs to another event.
    fn blocks_event(&mut self, count: usize, blocks: &Encoder) -> Payload {
        self.event += 1;
        let mut args = Encoder::default();
        args.list(1).list(2).dict(count).append(blocks).encoded(&self.encoded_info);
        args.into_args()
    }

    /// Checks a message of a record feed, and remembers its block.
    fn check(&mut self, message: Value) -> Result<Sample, FeedError> {
        let Value::Dict(mut message) = message else { return Err(FeedError::Missing("block_name")) };
        let Some(Value::Str(name)) = message.remove("block_name") else {
            return Err(FeedError::Missing("block_name"));
        };
        let Some(Value::Dict(data)) = message.remove("data") else {
            return Err(FeedError::Missing("data: {field: value}"));
        };
        for (field, samples) in data.iter() {
            check_field_name(field)?;
            check_samples(field, samples)?;
        }
        let tags = message.remove("influxdb_tags").filter(|tags| !tags.is_null());
        if let Some(tags) = &tags {
            check_tags(tags, &data)?;
        }
        let time = time(message, &data)?;
        if !self.blocks.contains_key(&name) {
            self.remember(&name, &data)?;
        }
        let Some(block) = self.blocks.get_mut(&name) else { return Err(FeedError::Structure(name)) };
        let is_in_order = data.iter().map(|(field, _)| field).eq(block.fields.iter());
        let has_all = |data: &Dict| block.fields.iter().all(|field| data.get(field).is_some());
        if !is_in_order && (data.len() != block.fields.len() || !has_all(&data)) {
            return Err(FeedError::Structure(name));
        }
        if let Some(tags) = tags {
            block.tags = Encoded::of(&tags);
        }
        Ok(Sample { name, time, data, is_in_order })
    }

    /// A block of a new name.
    fn remember(&mut self, name: &str, data: &Dict) -> Result<(), FeedError> {
        let max_blocks = self.spec.max_blocks.unwrap_or(MAX_BLOCKS);
        if self.blocks.len() >= max_blocks {
            return Err(FeedError::TooManyBlocks(max_blocks));
        }
        if !data.iter().map(|(field, _)| field).eq(self.last_fields.iter()) {
            self.last_fields = data.iter().map(|(field, _)| field.to_owned()).collect();
        }
        let fields = Arc::clone(&self.last_fields);
        self.blocks.insert(name.to_owned(), Block { fields, tags: Encoded::of(&Value::Null), event: 0 });
        Ok(())
    }

    /// Writes a block, name and all, to those of the event that is being made.
    fn write(&mut self, sample: &Sample, blocks: &mut Encoder) {
        // It has been checked, and so is remembered.
        let Some(block) = self.blocks.get_mut(&sample.name) else { return };
        block.event = self.event;
        blocks.key(&sample.name).dict(4).key("block_name").text(&sample.name);
        blocks.key("data").dict(sample.data.len());
        if sample.is_in_order {
            sample.data.iter().for_each(|(field, samples)| sample.time.column(field, samples, blocks));
        } else {
            let columns =
                block.fields.iter().filter_map(|field| Some((field.as_str(), sample.data.get(field)?)));
            columns.for_each(|(field, samples)| sample.time.column(field, samples, blocks));
        }
        blocks.key("influxdb_tags").encoded(&block.tags);
        match &sample.time {
            Time::One(timestamp) => blocks.key("timestamps").list(1).value(timestamp),
            Time::Many(timestamps) => blocks.key("timestamps").value(timestamps),
        };
    }
}

/// A message of a record feed that has been checked.
struct Sample {
    name: String,
    time: Time,
    data: Dict,
    /// Whether the fields are in the order that the block had at first.
    is_in_order: bool,
}

/// When the samples were taken: with one time each field is one sample, with a list of them a list as long.
enum Time {
    One(Value),
    Many(Value),
}

impl Time {
    /// A field as a column of samples, which is what it is in an event in either case.
    fn column(&self, field: &str, samples: &Value, out: &mut Encoder) {
        match self {
            Self::One(_) => out.key(field).list(1).value(samples),
            Self::Many(_) => out.key(field).value(samples),
        };
    }
}

/// The times of the samples.
fn time(mut message: Dict, data: &Dict) -> Result<Time, FeedError> {
    if let Some(timestamp) = message.remove("timestamp") {
        return Ok(Time::One(timestamp));
    }
    let Some(Value::List(timestamps)) = message.remove("timestamps") else {
        return Err(FeedError::Missing("timestamp or timestamps"));
    };
    for (field, samples) in data.iter() {
        let samples = samples.as_list().ok_or(FeedError::Missing("a list of samples for each field"))?.len();
        if samples != timestamps.len() {
            return Err(FeedError::Length { field: field.to_owned(), samples, timestamps: timestamps.len() });
        }
    }
    Ok(Time::Many(Value::List(timestamps)))
}

/// Letters, digits and underscores; the first that is no underscore is a letter; 1 to [`MAX_FIELD_NAME`] characters.
///
/// # Errors
/// [`FeedError::FieldName`] says which rule is broken.
pub fn check_field_name(name: &str) -> Result<(), FeedError> {
    let problem = |problem| FeedError::FieldName { name: pyrepr::quote(name), problem };
    if name.is_empty() {
        return Err(problem("it is empty"));
    }
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(problem("valid characters are a-z, A-Z, 0-9, and underscore"));
    }
    if name.trim_start_matches('_').starts_with(|c: char| !c.is_ascii_alphabetic()) {
        return Err(problem("it does not start with a letter (after any number of leading underscores)"));
    }
    if name.len() > MAX_FIELD_NAME {
        return Err(problem("it is longer than 255 characters"));
    }
    Ok(())
}

fn check_samples(field: &str, samples: &Value) -> Result<(), FeedError> {
    let one = std::slice::from_ref(samples);
    for sample in samples.as_list().unwrap_or(one) {
        let found = match sample {
            Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::Float(_) | Value::Str(_) => continue,
            Value::Null => "NoneType",
            Value::Bytes(_) => "bytes",
            Value::List(_) => "list",
            Value::Dict(_) => "dict",
        };
        return Err(FeedError::SampleType { field: field.to_owned(), found });
    }
    Ok(())
}

/// Every field has tags, every set of tags names its `_field`, and there are no others.
fn check_tags(tags: &Value, data: &Dict) -> Result<(), FeedError> {
    let tags = tags.as_dict().ok_or_else(|| FeedError::Tags("a dict of dicts is needed".to_owned()))?;
    for (field, set) in tags.iter() {
        if set.get("_field").is_none() {
            return Err(FeedError::Tags(format!("'_field' not supplied for '{field}'")));
        }
        if data.get(field).is_none() {
            return Err(FeedError::Tags(format!("contains extra tag '{field}'")));
        }
    }
    match data.iter().find(|(field, _)| tags.get(field).is_none()) {
        Some((field, _)) => Err(FeedError::Tags(format!("does not contain tags for '{field}'"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn publisher() -> Publisher {
        Publisher {
            agent_address: "observatory.faker1".into(),
            agent_class: "FakeDataAgent".into(),
            session_id: "1795344054.118503".into(),
        }
    }

    fn event(feed: &mut Feed, message: serde_json::Value) -> Result<serde_json::Value, FeedError> {
        feed.event(message.into()).map(|event| argument(&event))
    }

    /// The one positional argument of an event.
    fn argument(event: &Payload) -> serde_json::Value {
        let (args, kwargs) = event.values().unwrap();
        assert!(args.len() == 1 && kwargs.is_empty(), "{args:?} {kwargs:?}");
        args[0].to_json()
    }

    #[test]
    fn an_event_is_the_message_and_the_description_of_the_feed() {
        let mut feed = Feed::new(FeedSpec::plain("heartbeat"), &publisher());
        assert_eq!(feed.topic(), "observatory.faker1.feeds.heartbeat");
        let expected = json!([{"acq": 3}, {"agent_address": "observatory.faker1", "agg_params": {},
            "feed_name": "heartbeat", "address": "observatory.faker1.feeds.heartbeat", "record": false,
            "session_id": "1795344054.118503", "agent_class": "FakeDataAgent"}]);
        let got = event(&mut feed, json!({"acq": 3})).unwrap();
        assert_eq!(got.to_string(), expected.to_string(), "the order of the keys is that of OCS, too");
    }

    #[test]
    fn one_sample_and_several_come_out_in_the_same_form() {
        let mut feed = Feed::new(FeedSpec::record("temps"), &publisher());
        let one = event(&mut feed, json!({"block_name": "b", "timestamp": 1.5, "data": {"x": 1, "y": "on"}}))
            .unwrap();
        assert_eq!(
            one[0],
            json!({"b": {"block_name": "b", "data": {"x": [1], "y": ["on"]}, "influxdb_tags": null,
                "timestamps": [1.5]}})
        );
        let tags = json!({"x": {"_field": "x"}, "y": {"_field": "y", "n": 1}});
        let message = json!({"block_name": "b", "timestamps": [1.0, 2.0], "data": {"y": [true, false], "x": [1, 2]},
            "influxdb_tags": tags});
        let several = event(&mut feed, message).unwrap();
        assert_eq!(several[0]["b"]["influxdb_tags"], tags);
        let later =
            event(&mut feed, json!({"block_name": "b", "timestamp": 3.0, "data": {"x": 1, "y": 2}})).unwrap();
        assert_eq!(later[0]["b"]["influxdb_tags"], tags, "tags stay until others are given");
    }

    #[test]
    fn many_blocks_share_events_and_a_bad_one_holds_up_no_other() {
        let mut feed = Feed::new(FeedSpec::record("temps"), &publisher());
        let one =
            |name: &str, x: i64| Value::from(json!({"block_name": name, "timestamp": 1.5, "data": {"x": x}}));
        let mut messages: Vec<Value> =
            (0..MAX_BLOCKS_PER_EVENT + 1).map(|index| one(&format!("b{index}"), 1)).collect();
        messages.push(Value::from(json!({"block_name": "bad", "timestamp": 1, "data": {"x": null}})));
        messages.push(one("last", 1));
        messages.push(one("last", 2));
        let (events, result) = feed.events(messages);
        assert!(matches!(result, Err(FeedError::SampleType { .. })), "{result:?}");
        let events: Vec<_> = events.iter().map(argument).collect();
        let blocks: Vec<usize> = events.iter().map(|event| event[0].as_object().unwrap().len()).collect();
        assert_eq!(blocks, [MAX_BLOCKS_PER_EVENT, 2, 1], "a name stands once in an event");
        assert_eq!(events[2][0]["last"]["data"], json!({"x": [2]}));
        assert_eq!(events[2][1]["feed_name"], "temps");
        assert_eq!(events[1][0]["last"]["data"], json!({"x": [1]}));
        assert_eq!(feed.events(Vec::new()), (Vec::new(), Ok(())));
        let (later, _) = feed.events([one("last", 3)]);
        assert_eq!(
            argument(&later[0])[0]["last"]["data"],
            json!({"x": [3]}),
            "another event may have it again"
        );
    }

    #[test]
    fn what_the_aggregator_could_not_store_is_refused() {
        let mut feed = Feed::new(FeedSpec::record("temps"), &publisher());
        let bad = |feed: &mut Feed, message| event(feed, message).unwrap_err();
        assert_eq!(bad(&mut feed, json!({"data": {}})), FeedError::Missing("block_name"));
        assert!(matches!(
            bad(&mut feed, json!({"block_name": "b", "timestamp": 1, "data": {"2x": 1}})),
            FeedError::FieldName { .. }
        ));
        assert!(matches!(
            bad(&mut feed, json!({"block_name": "b", "timestamp": 1, "data": {"x": null}})),
            FeedError::SampleType { found: "NoneType", .. }
        ));
        assert!(matches!(
            bad(&mut feed, json!({"block_name": "b", "timestamps": [1, 2], "data": {"x": [1]}})),
            FeedError::Length { .. }
        ));
        event(&mut feed, json!({"block_name": "b", "timestamp": 1, "data": {"x": 1}})).unwrap();
        assert_eq!(
            bad(&mut feed, json!({"block_name": "b", "timestamp": 1, "data": {"y": 1}})).to_string(),
            "Block structure does not match: b"
        );
        for tags in [json!({}), json!({"x": {}}), json!({"x": {"_field": 1}, "z": {"_field": 1}}), json!(5)] {
            let message = json!({"block_name": "b", "timestamp": 1, "data": {"x": 1}, "influxdb_tags": tags});
            assert!(matches!(bad(&mut feed, message), FeedError::Tags(_)));
        }
    }

    #[test]
    fn field_names_follow_the_rules_of_ocs() {
        let long = "x".repeat(MAX_FIELD_NAME);
        for good in ["a", "_a", "__A9_", "channel_00", long.as_str(), "___"] {
            assert!(check_field_name(good).is_ok(), "{good}");
        }
        let longer = "x".repeat(MAX_FIELD_NAME + 1);
        for bad in ["", "9a", "_9a", "a-b", "a b", "é", longer.as_str()] {
            assert!(check_field_name(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_name_that_passes_is_plain_ascii(name in ".{0,12}") {
            if check_field_name(&name).is_ok() {
                prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
                prop_assert!(!name.starts_with(|c: char| c.is_ascii_digit()));
            }
        }
    }
}
