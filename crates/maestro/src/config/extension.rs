//! The `campanile:` section of a cluster file: what the original has no words for. The original ignores it.

use std::path::PathBuf;

use indexmap::IndexMap;

/// Probes of a daemon are this far apart, in milliseconds, unless the file says otherwise.
pub const DEFAULT_PROBE_INTERVAL_MS: u64 = 1_000;
/// So many unanswered probes make a daemon hung, unless the file says otherwise.
pub const DEFAULT_PROBE_STRIKES: u32 = 3;
/// Producers moved back per second to an aggregator that has returned, unless the file says otherwise.
pub const DEFAULT_RETURN_PER_S: u32 = 50;

/// The `campanile:` section; every part has a default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extension {
    /// What is balanced; none leaves it to the command line.
    pub balance: Option<Balance>,
    /// How daemons are watched.
    pub probe: Probe,
    /// How fast load goes back to an aggregator that has returned.
    pub moves: Moves,
    /// What single aggregators can bear, by name of the daemon.
    pub aggregators: IndexMap<String, AggregatorShare>,
    /// Weights of producers by name of the producer or of its daemon; the others weigh what they collect.
    pub weights: IndexMap<String, f64>,
    /// Bytes of one metric set by schema, plugin library or plugin instance; for estimates before any set is there.
    pub set_bytes: IndexMap<String, u64>,
    /// Daemons that the manager starts and stops, by name of the daemon.
    pub start: IndexMap<String, Start>,
}

impl Extension {
    /// What this aggregator can bear.
    #[must_use]
    pub fn share_of(&self, aggregator: &str) -> AggregatorShare {
        self.aggregators.get(aggregator).copied().unwrap_or_default()
    }

    /// The weight given to a producer, by its own name or that of its daemon.
    #[must_use]
    pub fn weight_of(&self, producer: &str, daemon: &str) -> Option<f64> {
        self.weights.get(producer).or_else(|| self.weights.get(daemon)).copied()
    }
}

/// What is balanced over the aggregators of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Balance {
    /// Whole producers.
    Producers,
    /// Metric sets.
    Sets,
}

/// How daemons are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Time between two probes, in milliseconds.
    pub interval_ms: u64,
    /// Unanswered probes that make a daemon hung.
    pub strikes: u32,
}

impl Default for Probe {
    fn default() -> Self {
        Self { interval_ms: DEFAULT_PROBE_INTERVAL_MS, strikes: DEFAULT_PROBE_STRIKES }
    }
}

/// How load is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moves {
    /// Producers moved back per second.
    pub return_per_s: u32,
    /// How long an aggregator must have been well before anything moves back, in milliseconds.
    pub settle_ms: u64,
}

impl Default for Moves {
    fn default() -> Self {
        Self { return_per_s: DEFAULT_RETURN_PER_S, settle_ms: 5_000 }
    }
}

/// What an aggregator can bear.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AggregatorShare {
    /// Its share beside the others of its group: with 2 it gets twice as much as one with 1.
    pub weight: f64,
    /// Most producers it may have; none for no limit.
    pub max_producers: Option<u64>,
    /// Most bytes per second it may collect; none for no limit.
    pub max_bytes_per_s: Option<u64>,
}

impl Default for AggregatorShare {
    fn default() -> Self {
        Self { weight: 1.0, max_producers: None, max_bytes_per_s: None }
    }
}

/// How the manager starts and stops a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// As a process of the manager's own machine.
    Local {
        /// The program; `ldmsd` from the search path where none is named.
        ldmsd: Option<PathBuf>,
        /// Arguments behind those that the configuration gives.
        args: Vec<String>,
    },
    /// Through the target of an instance that the site config of its host declares.
    Instance {
        /// The instance-id of the HostManager.
        manager: String,
        /// The instance-id of the daemon there.
        instance: String,
    },
}
