//! Requests about the daemon as a whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Json, Micros, Perm, calls};

/// The answer to [`DaemonStatus`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonState {
    /// Always `ready` in ldmsd 4.5.
    pub state: String,
}

/// The answer to [`Version`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// Of the daemon.
    #[serde(rename = "LDMSD Version", default)]
    pub ldmsd: String,
    /// Of the protocol.
    #[serde(rename = "LDMS Protocol Version", default)]
    pub protocol: String,
    /// Of the plugin interface.
    #[serde(rename = "LDMSD Plugin Interface Version", default)]
    pub plugin_interface: String,
    /// The revision it was built from.
    #[serde(rename = "git-SHA", default)]
    pub git_sha: String,
}

calls! {
    /// Whether the daemon answers: the cheapest request that always does.
    DaemonStatus = DAEMON_STATUS {} -> Json<DaemonState>;

    /// How many successful changes of its configuration the daemon has seen. A change by someone else shows here.
    CfgCntr = CFG_CNTR {} -> u64;

    /// Says hello.
    Greeting = GREETING {
        /// To whom.
        name: String => NAME,
    } -> String;

    /// What the daemon is.
    Version = VERSION {} -> Json<Versions>;

    /// Ends the daemon.
    DaemonExit = DAEMON_EXIT {} -> ();

    /// How much the daemon logs.
    LogLevel = LOG_LEVEL {
        /// `DEBUG`, `INFO`, `WARNING`, `ERROR`, `CRITICAL`, `QUIET` or `default`.
        level: String => LEVEL,
        /// Only this part of the daemon.
        name: Option<String> => NAME,
        /// Only the parts that match.
        regex: Option<String> => REGEX,
    } -> ();

    /// Sets environment variables of the daemon.
    Env = ENV {
        /// `NAME=value`, separated by blanks.
        variables: String => STRING,
    } -> ();

    /// Has the daemon read a configuration file on its own host.
    Include = INCLUDE {
        /// The file.
        path: String => PATH,
    } -> ();

    /// Opens a further listening port.
    Listen = LISTEN {
        /// Transport.
        xprt: String => XPRT,
        /// Port.
        port: u16 => PORT,
        /// Address or name to listen at; all when absent.
        host: Option<String> => HOST,
        /// Authentication domain; the daemon's default when absent.
        auth: Option<String> => AUTH,
    } -> ();

    /// Creates an authentication domain.
    AuthAdd = AUTH_ADD {
        /// Its name.
        name: String => NAME,
        /// The plugin; the name when absent.
        plugin: Option<String> => PLUGIN,
        /// Options of the plugin, `key=value` separated by blanks.
        options: Option<String> => STRING,
    } -> ();

    /// Deletes an authentication domain. (ldmsd 4.5 answers with error 0 and a text even when it succeeds.)
    AuthDel = AUTH_DEL {
        /// Its name.
        name: String => NAME,
    } -> ();

    /// Owner and permissions of sets that plugins create from now on.
    DefaultAuthz = SET_DEFAULT_AUTHZ {
        /// Owner.
        uid: Option<String> => UID,
        /// Group.
        gid: Option<String> => GID,
        /// Permissions.
        perm: Option<Perm> => PERM,
    } -> String;

    /// Switches the message service on.
    MsgEnable = MSG_ENABLE {} -> ();

    /// Switches the message service off.
    MsgDisable = MSG_DISABLE {} -> ();

    /// Switches streams on.
    StreamEnable = STREAM_ENABLE {} -> ();

    /// Switches streams off.
    StreamDisable = STREAM_DISABLE {} -> ();

    /// Rotates the log file.
    Logrotate = LOGROTATE {} -> ();

    /// Writes the configuration to a file on the daemon's host.
    DumpCfg = DUMP_CFG {
        /// The directory.
        path: String => PATH,
    } -> ();

    /// Figures about connections.
    XprtStats = XPRT_STATS {
        /// Start counting afresh.
        reset: bool => RESET,
    } -> Json<serde_json::Value>;

    /// Figures about threads.
    ThreadStats = THREAD_STATS {
        /// Start counting afresh.
        reset: bool => RESET,
    } -> Json<serde_json::Value>;

    /// Figures about producers as a whole.
    PrdcrStats = PRDCR_STATS {} -> Json<BTreeMap<String, serde_json::Value>>;

    /// Figures about sets as a whole.
    SetStats = SET_STATS {
        /// Leave memory and load out: only how many sets there are.
        summary: bool => SUMMARY,
    } -> Json<BTreeMap<String, serde_json::Value>>;

    /// State of the streams.
    StreamStatus = STREAM_STATUS {} -> Json<serde_json::Value>;

    /// Figures about the message service.
    MsgStats = MSG_STATS {
        /// Only tags that match.
        regex: Option<String> => REGEX,
    } -> Json<serde_json::Value>;

    /// Figures about the clients of the message service.
    MsgClientStats = MSG_CLIENT_STATS {} -> Json<serde_json::Value>;

    /// How much each part of the daemon logs.
    LogStatus = LOG_STATUS {} -> Json<Vec<serde_json::Value>>;

    /// Sets figures back to nothing.
    StatsReset = STATS_RESET {
        /// Which, separated by commas: `update`, `thread`, `xprt`, …; all when absent.
        names: Option<String> => STRING,
    } -> ();

    /// Owner and permissions of sets that are there.
    SetSecMod = SET_SEC_MOD {
        /// The sets.
        regex: String => REGEX,
        /// Owner.
        uid: Option<String> => UID,
        /// Group.
        gid: Option<String> => GID,
        /// Permissions.
        perm: Option<Perm> => PERM,
    } -> ();

    /// Creates a set group.
    SetGroupAdd = SETGROUP_ADD {
        /// Its name.
        name: String => NAME,
        /// The producer it pretends to come from.
        producer: Option<String> => PRODUCER,
        /// How often it is said to change.
        interval: Option<Micros> => INTERVAL,
        /// And when.
        offset: Option<Micros> => OFFSET,
    } -> ();

    /// Deletes a set group. (ldmsd 4.5 answers with error 0 and a text when there is none.)
    SetGroupDel = SETGROUP_DEL {
        /// Its name.
        name: String => NAME,
    } -> ();

    /// Puts sets into a group.
    SetGroupIns = SETGROUP_INS {
        /// The group.
        name: String => NAME,
        /// The sets, separated by commas.
        instance: String => INSTANCE,
    } -> ();

    /// Takes sets out of a group.
    SetGroupRm = SETGROUP_RM {
        /// The group.
        name: String => NAME,
        /// The sets, separated by commas.
        instance: String => INSTANCE,
    } -> ();
}
