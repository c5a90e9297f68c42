//! Requests about producers: the daemons an aggregator collects from.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{AttrValue, Json, Micros, Perm, calls, lenient};

/// Who connects to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ProducerType {
    /// The aggregator connects.
    #[default]
    Active,
    /// The producer connects.
    Passive,
    /// The aggregator connects, and is collected from over that connection.
    Bridge,
    /// The daemon connects to an aggregator and offers itself.
    Advertiser,
}

impl fmt::Display for ProducerType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::Bridge => "bridge",
            Self::Advertiser => "advertiser",
        })
    }
}

impl AttrValue for ProducerType {
    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }
}

/// The state of a producer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum ProducerState {
    /// Not running.
    Stopped,
    /// Running, not connected; tried again after the reconnect interval.
    Disconnected,
    /// Connecting.
    Connecting,
    /// Connected.
    Connected,
    /// Told to stop; its connection is not gone yet, and it cannot be started until it is.
    Stopping,
    /// Advertised and connected, but not started.
    Standby,
    /// A state this program does not know.
    Other(String),
}

impl From<String> for ProducerState {
    fn from(text: String) -> Self {
        match text.as_str() {
            "STOPPED" => Self::Stopped,
            "DISCONNECTED" => Self::Disconnected,
            "CONNECTING" => Self::Connecting,
            "CONNECTED" => Self::Connected,
            "STOPPING" => Self::Stopping,
            "STANDBY" => Self::Standby,
            _ => Self::Other(text),
        }
    }
}

impl From<ProducerState> for String {
    fn from(state: ProducerState) -> Self {
        state.to_string()
    }
}

impl fmt::Display for ProducerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "STOPPED",
            Self::Disconnected => "DISCONNECTED",
            Self::Connecting => "CONNECTING",
            Self::Connected => "CONNECTED",
            Self::Stopping => "STOPPING",
            Self::Standby => "STANDBY",
            Self::Other(text) => text,
        })
    }
}

/// A set of a producer, in [`Producer`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerSet {
    /// Name of the set.
    pub inst_name: String,
    /// Name of its schema.
    #[serde(default)]
    pub schema_name: String,
    /// `START`, `LOOKUP`, `READY`, `UPDATING`.
    #[serde(default)]
    pub state: String,
}

/// One producer, in the answer to [`PrdcrStatus`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Producer {
    /// Its name.
    pub name: String,
    /// Its type, such as `active` or `advertised, passive`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Its host.
    #[serde(default)]
    pub host: String,
    /// Its port.
    #[serde(default, deserialize_with = "lenient::number")]
    pub port: Option<i64>,
    /// Its transport.
    #[serde(default)]
    pub transport: String,
    /// The authentication domain.
    #[serde(default)]
    pub auth: String,
    /// How long it waits before it connects again, in microseconds.
    #[serde(default, deserialize_with = "lenient::number")]
    pub reconnect_us: Option<i64>,
    /// Its state.
    pub state: ProducerState,
    /// Its sets; empty in a summary.
    #[serde(default)]
    pub sets: Vec<ProducerSet>,
}

/// One set of a producer, in the answer to [`PrdcrSetStatus`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetStatus {
    /// Name of the set.
    pub inst_name: String,
    /// Name of its schema.
    #[serde(default)]
    pub schema_name: String,
    /// `START`, `LOOKUP`, `READY`, `UPDATING`.
    #[serde(default)]
    pub state: String,
    /// The daemon that sampled it.
    #[serde(default)]
    pub origin: String,
    /// The producer it comes by.
    #[serde(default)]
    pub producer: String,
    /// When it was sampled: seconds since the epoch.
    #[serde(rename = "timestamp.sec", default, deserialize_with = "lenient::number")]
    pub timestamp_sec: Option<i64>,
    /// And microseconds.
    #[serde(rename = "timestamp.usec", default, deserialize_with = "lenient::number")]
    pub timestamp_usec: Option<i64>,
}

/// Sets that share an update hint, in [`ProducerHints`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// Interval in microseconds.
    #[serde(default, deserialize_with = "lenient::number")]
    pub interval_us: Option<i64>,
    /// Offset in microseconds.
    #[serde(default, deserialize_with = "lenient::number")]
    pub offset_us: Option<i64>,
    /// The sets.
    #[serde(default)]
    pub sets: Vec<String>,
}

/// The answer to [`PrdcrHintTree`], for one producer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerHints {
    /// The producer.
    pub name: String,
    /// Its hints.
    #[serde(default)]
    pub hints: Vec<Hint>,
}

calls! {
    /// Adds a producer; it stays stopped.
    PrdcrAdd = PRDCR_ADD {
        /// Its name.
        name: String => NAME,
        /// Its type.
        kind: ProducerType => TYPE,
        /// Transport.
        xprt: String => XPRT,
        /// Host.
        host: String => HOST,
        /// Port.
        port: u16 => PORT,
        /// How long it waits before it connects again.
        reconnect: Micros => INTERVAL,
        /// Authentication domain; must exist on the aggregator; its default when absent.
        auth: Option<String> => AUTH,
        /// Permissions.
        perm: Option<Perm> => PERM,
        /// Connections.
        rail: Option<u32> => RAIL,
        /// Stream bytes before acknowledgement.
        quota: Option<String> => QUOTA,
        /// Stream bytes per second.
        rx_rate: Option<String> => RX_RATE,
        /// `false` resolves the host name again at every connection.
        cache_ip: Option<String> => IP,
    } -> ();

    /// Deletes a producer, which must be stopped.
    PrdcrDel = PRDCR_DEL {
        /// Its name.
        name: String => NAME,
    } -> ();

    /// Starts a producer, which must be stopped (a producer that is still stopping is refused as busy).
    PrdcrStart = PRDCR_START {
        /// Its name.
        name: String => NAME,
        /// Another reconnect interval.
        reconnect: Option<Micros> => INTERVAL,
    } -> ();

    /// Stops a producer. It may go on stopping after the answer.
    PrdcrStop = PRDCR_STOP {
        /// Its name.
        name: String => NAME,
    } -> ();

    /// Starts all producers that match.
    PrdcrStartRegex = PRDCR_START_REGEX {
        /// The expression.
        regex: String => REGEX,
        /// Another reconnect interval.
        reconnect: Option<Micros> => INTERVAL,
    } -> ();

    /// Stops all producers that match.
    PrdcrStopRegex = PRDCR_STOP_REGEX {
        /// The expression.
        regex: String => REGEX,
    } -> ();

    /// State of producers.
    PrdcrStatus = PRDCR_STATUS {
        /// Only this one.
        name: Option<String> => NAME,
        /// Leave their sets out.
        summary: bool => SUMMARY,
        /// Only those in this state, in lower case.
        state: Option<String> => STATE,
    } -> Json<Vec<Producer>>;

    /// State of the sets of producers, with the times of their samples.
    PrdcrSetStatus = PRDCR_SET_STATUS {
        /// Only this producer.
        producer: Option<String> => PRODUCER,
        /// Only this set.
        instance: Option<String> => INSTANCE,
        /// Only this schema.
        schema: Option<String> => SCHEMA,
    } -> Json<Vec<SetStatus>>;

    /// How often the sets of producers want to be updated.
    PrdcrHintTree = PRDCR_HINT_TREE {
        /// Only this producer.
        name: Option<String> => NAME,
    } -> Json<Vec<ProducerHints>>;

    /// Subscribes to a stream or a message tag of producers.
    PrdcrSubscribe = PRDCR_SUBSCRIBE {
        /// The producers.
        regex: String => REGEX,
        /// The stream; or
        stream: Option<String> => STREAM,
        /// the message tag.
        message_tag: Option<String> => MSG_TAG,
        /// Bytes per second; -1 is no limit.
        rx_rate: Option<i64> => RX_RATE,
    } -> ();

    /// Ends a subscription.
    PrdcrUnsubscribe = PRDCR_UNSUBSCRIBE {
        /// The producers.
        regex: String => REGEX,
        /// The stream; or
        stream: Option<String> => STREAM,
        /// the message tag.
        message_tag: Option<String> => MSG_TAG,
    } -> ();

    /// State of the streams of connected producers.
    PrdcrStreamStatus = PRDCR_STREAM_STATUS {
        /// The producers.
        regex: String => REGEX,
    } -> Json<serde_json::Value>;

    /// Adds a bridge: the daemon connects to another that cannot connect to it, and is collected from over that
    /// connection.
    BridgeAdd = BRIDGE_ADD {
        /// Its name.
        name: String => NAME,
        /// Transport.
        xprt: String => XPRT,
        /// Host.
        host: String => HOST,
        /// Port.
        port: u16 => PORT,
        /// How long it waits before it connects again.
        reconnect: Micros => INTERVAL,
        /// Authentication domain; the daemon's default when absent.
        auth: Option<String> => AUTH,
        /// `bridge`; ldmsd wants it said.
        kind: BridgeType => TYPE,
    } -> ();
}

/// The type of a bridge on the wire; there is only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct BridgeType;

impl AttrValue for BridgeType {
    fn text(&self) -> Option<String> {
        ProducerType::Bridge.text()
    }
}
