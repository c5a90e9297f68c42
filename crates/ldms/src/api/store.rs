//! Requests about storage policies: which sets an aggregator stores, and with what.

use serde::{Deserialize, Serialize};

use super::{Json, Perm, calls};

/// One storage policy, in the answer to [`StrgpStatus`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// Its name.
    pub name: String,
    /// Container of the store plugin.
    #[serde(default)]
    pub container: String,
    /// Schema, or `-`.
    #[serde(default)]
    pub schema: String,
    /// Expression for schemas, or `-`.
    #[serde(default)]
    pub regex: String,
    /// The store plugin.
    #[serde(default)]
    pub plugin: String,
    /// Seconds between flushes, as text.
    #[serde(default)]
    pub flush: String,
    /// `STOPPED`, `RUNNING`.
    pub state: String,
    /// Decomposition file, or `-`.
    #[serde(default)]
    pub decomp: String,
    /// Expressions for producers; none is all.
    #[serde(default)]
    pub producers: Vec<String>,
    /// Metrics; none is all.
    #[serde(default)]
    pub metrics: Vec<String>,
}

calls! {
    /// Adds a storage policy; it stays stopped. Refused without its plugin loaded. (ldmsd 4.5 deletes an existing,
    /// stopped policy of that name when it refuses; do not repeat it needlessly.)
    StrgpAdd = STRGP_ADD {
        /// Its name.
        name: String => NAME,
        /// Instance of a store plugin.
        plugin: String => PLUGIN,
        /// Container.
        container: Option<String> => CONTAINER,
        /// Schema; or
        schema: Option<String> => SCHEMA,
        /// an expression for schemas, which needs a decomposition.
        regex: Option<String> => REGEX,
        /// Decomposition file on the daemon's host.
        decomposition: Option<String> => DECOMPOSITION,
        /// Interval between flushes, such as `10s`.
        flush: Option<String> => INTERVAL,
        /// Permissions.
        perm: Option<Perm> => PERM,
    } -> ();

    /// Deletes a storage policy, which must be stopped.
    StrgpDel = STRGP_DEL {
        /// Its name.
        name: String => NAME,
    } -> ();

    /// Starts a storage policy; busy when it runs already.
    StrgpStart = STRGP_START {
        /// Its name.
        name: String => NAME,
    } -> ();

    /// Stops a storage policy.
    StrgpStop = STRGP_STOP {
        /// Its name.
        name: String => NAME,
    } -> ();

    /// Limits it to producers that match.
    StrgpPrdcrAdd = STRGP_PRDCR_ADD {
        /// The policy.
        name: String => NAME,
        /// The expression.
        regex: String => REGEX,
    } -> ();

    /// Takes such a limit back.
    StrgpPrdcrDel = STRGP_PRDCR_DEL {
        /// The policy.
        name: String => NAME,
        /// The expression.
        regex: String => REGEX,
    } -> ();

    /// Limits it to a metric.
    StrgpMetricAdd = STRGP_METRIC_ADD {
        /// The policy.
        name: String => NAME,
        /// The metric.
        metric: String => METRIC,
    } -> ();

    /// Takes such a limit back.
    StrgpMetricDel = STRGP_METRIC_DEL {
        /// The policy.
        name: String => NAME,
        /// The metric.
        metric: String => METRIC,
    } -> ();

    /// State of storage policies.
    StrgpStatus = STRGP_STATUS {
        /// Only this one.
        name: Option<String> => NAME,
    } -> Json<Vec<Store>>;
}
