//! What is seen: what a daemon says it has, translated once into positions of the desired cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use campanile_ldms::api::producer::ProducerState;

use crate::model::{MatchField, Name, Schedule};

/// A producer of a group as one aggregator has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum State {
    /// Not there.
    #[default]
    Absent,
    /// There and not running.
    Stopped,
    /// Told to stop; its connection is not gone yet.
    Stopping,
    /// Running, not connected.
    Trying,
    /// Running and connected.
    Connected,
    /// Advertised, connected, not started.
    Standby,
}

impl State {
    /// Whether sets are, or would be, collected.
    #[must_use]
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Trying | Self::Connected)
    }

    /// Whether a start is possible.
    #[must_use]
    pub const fn is_startable(self) -> bool {
        matches!(self, Self::Stopped | Self::Standby)
    }
}

impl From<&ProducerState> for State {
    fn from(state: &ProducerState) -> Self {
        match state {
            ProducerState::Stopped => Self::Stopped,
            ProducerState::Stopping => Self::Stopping,
            ProducerState::Connected => Self::Connected,
            ProducerState::Standby => Self::Standby,
            // A state this program does not know is treated as running: it may be stopped, never started blindly.
            ProducerState::Disconnected | ProducerState::Connecting | ProducerState::Other(_) => Self::Trying,
        }
    }
}

/// How the definition of a producer differs from the desired one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Differs {
    /// Not at all.
    #[default]
    No,
    /// Only in its reconnect interval, which a start can change.
    Reconnect,
    /// In what only a new definition can change.
    Definition,
}

/// A producer of a group on one aggregator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProducerSeen {
    /// Its state.
    pub state: State,
    /// Whether it is defined as it should be.
    pub differs: Differs,
}

/// An updater on one aggregator.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdaterSeen {
    /// How often, and when.
    pub schedule: Schedule,
    /// As the daemon writes it: `Pull`, `Push on Request`, `Push on Change`.
    pub mode: String,
    /// Whether it follows the sets' own intervals.
    pub auto: bool,
    /// `STOPPED`, `STOPPING`, `RUNNING`.
    pub running: bool,
    /// The producers it covers.
    pub producers: Arc<BTreeSet<Name>>,
    /// Which sets it takes.
    pub matches: BTreeSet<(String, bool)>,
}

/// Turns a field into the form [`UpdaterSeen::matches`] has: whether it is a schema.
#[must_use]
pub fn by_schema(field: MatchField) -> bool {
    field == MatchField::Schema
}

/// A storage policy on one aggregator.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoreSeen {
    /// The plugin instance.
    pub plugin: String,
    /// Container.
    pub container: String,
    /// Schema.
    pub schema: String,
    /// Expression for schemas.
    pub regex: String,
    /// Time between flushes, microseconds.
    pub flush_us: Option<i64>,
    /// Decomposition file.
    pub decomposition: String,
    /// Whether it runs.
    pub running: bool,
}

/// A set that a daemon samples or has.
#[derive(Clone, Debug, PartialEq)]
pub struct SetSeen {
    /// Bytes of the values.
    pub data_bytes: u64,
    /// When it is sampled, as far as the daemon says.
    pub schedule: Option<Schedule>,
    /// Changes with every sample.
    pub generation: u64,
    /// When that was last seen to change, or when the set was first seen: monotonic milliseconds.
    pub changed_ms: u64,
}

/// A plugin instance on a daemon.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PluginSeen {
    /// The plugin.
    pub plugin: String,
    /// Names of its sets; none where the daemon does not say.
    pub sets: Vec<String>,
}

/// Everything that is seen of one daemon. Parts that were never looked at are absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Changes of the daemon's configuration so far.
    pub cfg_cntr: u64,
    /// Producers of the groups the daemon is in: one list per entry of `Daemon::member_of`.
    pub producers: Vec<Vec<ProducerSeen>>,
    /// Producers of no group, by name.
    pub strangers: BTreeMap<String, State>,
    /// Updaters by name.
    pub updaters: BTreeMap<String, UpdaterSeen>,
    /// Plugin instances by name.
    pub plugins: BTreeMap<String, PluginSeen>,
    /// The sets it samples itself, by name.
    pub sets: BTreeMap<String, SetSeen>,
    /// When those were last looked at: monotonic milliseconds.
    pub sets_ms: u64,
    /// Storage policies by name.
    pub stores: BTreeMap<String, StoreSeen>,
    /// Listeners for advertisements by name: whether they run.
    pub listeners: BTreeMap<String, bool>,
}
