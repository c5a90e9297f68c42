//! Requests about plugins: samplers and stores.

use serde::{Deserialize, Serialize};

use super::{Json, Micros, calls};

/// One plugin instance, in the answer to [`PluginStatus`]. Neither interval nor running state are told: the
/// directory has the interval (`DirEntry::update_hint_us`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plugin {
    /// Name of the instance.
    pub name: String,
    /// Name of the plugin.
    #[serde(default)]
    pub plugin: String,
    /// `sampler[M]`, `sampler[S]`, `store[M]`, …; M allows several instances.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Where it was loaded from.
    #[serde(default)]
    pub libpath: String,
}

/// The sets of a plugin instance, in the answer to [`PluginSets`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetsOfPlugin {
    /// The instance.
    pub plugin: String,
    /// Its sets.
    #[serde(default)]
    pub sets: Vec<String>,
}

calls! {
    /// Loads a plugin.
    Load = PLUGN_LOAD {
        /// Name of the instance.
        name: String => NAME,
        /// Name of the plugin; that of the instance when absent.
        plugin: Option<String> => PLUGIN,
    } -> ();

    /// Configures a plugin instance, which must not be running.
    Config = PLUGN_CONFIG {
        /// The instance.
        name: String => NAME,
        /// `key=value` and keywords, separated by blanks; the daemon expands `${VAR}` from its environment.
        options: String => STRING,
    } -> ();

    /// Starts a sampler, which must be configured and not running.
    Start = PLUGN_START {
        /// The instance.
        name: String => NAME,
        /// How often it samples.
        interval: Micros => INTERVAL,
        /// When within the interval; at most half of it.
        offset: Option<Micros> => OFFSET,
        /// In a thread of its own: `1`.
        exclusive_thread: Option<String> => XTHREAD,
    } -> ();

    /// Stops a sampler.
    Stop = PLUGN_STOP {
        /// The instance.
        name: String => NAME,
    } -> ();

    /// Unloads a plugin instance, which must not be running or used by a storage policy.
    Term = PLUGN_TERM {
        /// The instance.
        name: String => NAME,
    } -> ();

    /// The plugin instances.
    PluginStatus = PLUGN_STATUS {} -> Json<Vec<Plugin>>;

    /// The sets of sampler instances.
    PluginSets = PLUGN_SETS {
        /// Only this one.
        name: Option<String> => NAME,
    } -> Json<Vec<SetsOfPlugin>>;

    /// What a plugin takes.
    Usage = PLUGN_USAGE {
        /// Only this instance.
        name: Option<String> => NAME,
    } -> String;

    /// Has a sampler sample once.
    Oneshot = ONESHOT {
        /// The instance.
        name: String => NAME,
        /// When: seconds since the epoch, or `now+SECONDS`.
        time: String => TIME,
    } -> ();
}
