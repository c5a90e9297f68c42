//! Request ids and attribute ids of ldmsd 4.5, with the words for them in commands.

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u32);

/// Which attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttrId(pub u32);

/// Who may send a request, and whether it counts as a change of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Everyone may (else only the daemon's own user, its group, and root).
    pub all: bool,
    /// When it succeeds it is counted by `cfg_cntr`.
    pub modifies: bool,
}

macro_rules! requests {
    ($($name:ident $id:literal $verb:literal $trace:literal $access:tt;)*) => {
        impl RequestId {
            $(#[doc = concat!("`", $verb, "`")] pub const $name: Self = Self($id);)*

            const TABLE: &[(Self, &'static str, &'static str, Access)] =
                &[$((Self($id), $verb, $trace, requests!(@access $access)),)*];
        }
    };
    (@access all) => { Access { all: true, modifies: false } };
    (@access own) => { Access { all: false, modifies: false } };
    (@access change) => { Access { all: false, modifies: true } };
}

// Columns: name, id, verb of the command, name in the daemon's request trace, who may send it.
requests! {
    EXAMPLE 0x1 "example" "EXAMPLE_REQ" all;
    GREETING 0x2 "greeting" "GREETING_REQ" own;
    CFG_CNTR 0x3 "cfg_cntr" "cfg_cntr" own;
    DUMP_CFG 0x4 "dump_cfg" "DUMP_CFG_REQ" own;
    PRDCR_ADD 0x100 "prdcr_add" "PRDCR_ADD_REQ" change;
    PRDCR_DEL 0x101 "prdcr_del" "PRDCR_DEL_REQ" change;
    PRDCR_START 0x102 "prdcr_start" "PRDCR_START_REQ" change;
    PRDCR_STOP 0x103 "prdcr_stop" "PRDCR_STOP_REQ" change;
    PRDCR_STATUS 0x104 "prdcr_status" "PRDCR_STATUS_REQ" all;
    PRDCR_START_REGEX 0x105 "prdcr_start_regex" "PRDCR_START_REGEX_REQ" change;
    PRDCR_STOP_REGEX 0x106 "prdcr_stop_regex" "PRDCR_STOP_REGEX_REQ" change;
    PRDCR_SET_STATUS 0x107 "prdcr_set_status" "PRDCR_SET_REQ" own;
    PRDCR_HINT_TREE 0x108 "prdcr_hint_tree" "PRDCR_HINT_TREE_REQ" all;
    PRDCR_SUBSCRIBE 0x109 "prdcr_subscribe" "PRDCR_SUBSCRIBE_REQ" change;
    PRDCR_UNSUBSCRIBE 0x10a "prdcr_unsubscribe" "PRDCR_UNSUBSCRIBE_REQ" change;
    PRDCR_STREAM_STATUS 0x10b "prdcr_stream_status" "prdcr_stream_status" own;
    BRIDGE_ADD 0x10c "bridge_add" "bridge_add" change;
    ADVERTISER_ADD 0x10d "advertiser_add" "advertiser_add" own;
    ADVERTISER_START 0x10e "advertiser_start" "advertiser_start" own;
    ADVERTISER_STOP 0x10f "advertiser_stop" "advertiser_stop" own;
    ADVERTISER_DEL 0x110 "advertiser_del" "advertiser_del" own;
    PRDCR_LISTEN_ADD 0x111 "prdcr_listen_add" "PRDCR_LISTEN_REQ" own;
    PRDCR_LISTEN_DEL 0x112 "prdcr_listen_del" "prdcr_listen_del" own;
    PRDCR_LISTEN_START 0x113 "prdcr_listen_start" "prdcr_listen_start" change;
    PRDCR_LISTEN_STOP 0x114 "prdcr_listen_stop" "prdcr_listen_stop" change;
    PRDCR_LISTEN_STATUS 0x115 "prdcr_listen_status" "prdcr_listen_status" all;
    ADVERTISE 0x116 "advertise" "LDMSD_ADVERTISE_REQ" own;
    STRGP_ADD 0x200 "strgp_add" "STRGP_ADD_REQ" change;
    STRGP_DEL 0x201 "strgp_del" "STRGP_DEL_REQ" change;
    STRGP_START 0x202 "strgp_start" "STRGP_START_REQ" change;
    STRGP_STOP 0x203 "strgp_stop" "STRGP_STOP_REQ" change;
    STRGP_STATUS 0x204 "strgp_status" "STRGP_STATUS_REQ" all;
    STRGP_PRDCR_ADD 0x205 "strgp_prdcr_add" "STRGP_PRDCR_ADD_REQ" change;
    STRGP_PRDCR_DEL 0x206 "strgp_prdcr_del" "STRGP_PRDCR_DEL_REQ" change;
    STRGP_METRIC_ADD 0x207 "strgp_metric_add" "STRGP_METRIC_ADD_REQ" change;
    STRGP_METRIC_DEL 0x208 "strgp_metric_del" "STRGP_METRIC_DEL_REQ" change;
    STORE_TIME_STATS 0x209 "store_time_stats" "store_time_stats" all;
    STRGP_PI_STATS 0x20a "strgp_pi_stats" "STRGP_PI_STATS_REQ" all;
    UPDTR_ADD 0x300 "updtr_add" "UPDTR_ADD_REQ" change;
    UPDTR_DEL 0x301 "updtr_del" "UPDTR_DEL_REQ" change;
    UPDTR_START 0x302 "updtr_start" "UPDTR_START_REQ" change;
    UPDTR_STOP 0x303 "updtr_stop" "UPDTR_STOP_REQ" change;
    UPDTR_STATUS 0x304 "updtr_status" "UPDTR_STATUS_REQ" all;
    UPDTR_PRDCR_ADD 0x305 "updtr_prdcr_add" "UPDTR_PRDCR_ADD_REQ" change;
    UPDTR_PRDCR_DEL 0x306 "updtr_prdcr_del" "UPDTR_PRDCR_DEL_REQ" change;
    UPDTR_MATCH_ADD 0x307 "updtr_match_add" "UPDTR_MATCH_ADD_REQ" change;
    UPDTR_MATCH_DEL 0x308 "updtr_match_del" "UPDTR_MATCH_DEL_REQ" change;
    UPDTR_TASK 0x309 "updtr_task" "UPDTR_TASK_REQ" all;
    UPDTR_MATCH_LIST 0x30a "updtr_match_list" "UPDTR_MATCH_LIST_REQ" own;
    UPDATE_TIME_STATS 0x30b "update_time_stats" "update_time_stats" all;
    PLUGN_START 0x502 "start" "PLUGN_START_REQ" change;
    PLUGN_STOP 0x503 "stop" "PLUGN_STOP_REQ" change;
    PLUGN_STATUS 0x504 "plugn_status" "PLUGN_STATUS_REQ" all;
    PLUGN_LOAD 0x505 "load" "PLUGN_LOAD_REQ" change;
    PLUGN_TERM 0x506 "term" "PLUGN_TERM_REQ" change;
    PLUGN_CONFIG 0x507 "config" "PLUGN_CONFIG_REQ" change;
    PLUGN_USAGE 0x508 "usage" "PLUGN_USAGE_REQ" all;
    PLUGN_SETS 0x509 "plugn_sets" "PLUGN_SETS_REQ" all;
    SET_UDATA 0x600 "udata" "SET_UDATA_REQ" change;
    SET_UDATA_REGEX 0x601 "udata_regex" "SET_UDATA_REGEX_REQ" change;
    LOG_LEVEL 0x602 "log_level" "VERBOSE_REQ" own;
    DAEMON_STATUS 0x603 "daemon_status" "DAEMON_STATUS_REQ" all;
    VERSION 0x604 "version" "VERSION_REQ" all;
    ENV 0x605 "env" "ENV_REQ" change;
    INCLUDE 0x606 "include" "INCLUDE_REQ" change;
    ONESHOT 0x607 "oneshot" "ONESHOT_REQ" change;
    LOGROTATE 0x608 "logrotate" "LOGROTATE_REQ" change;
    DAEMON_EXIT 0x609 "daemon_exit" "EXIT_DAEMON_REQ" change;
    XPRT_STATS 0x60c "xprt_stats" "xprt_stats" all;
    THREAD_STATS 0x60d "thread_stats" "thread_stats" all;
    PRDCR_STATS 0x60e "prdcr_stats" "prdcr_stats" all;
    SET_STATS 0x60f "set_stats" "set_stats" all;
    LISTEN 0x610 "listen" "listen" change;
    SET_DEFAULT_AUTHZ 0x611 "metric_sets_default_authz" "metric_sets_default_authz" change;
    OPTION 0x612 "option" "CMDLINE_OPTION_SET_REQ" own;
    SET_SEC_MOD 0x613 "set_sec_mod" "SET_SEC_REQ" change;
    LOG_STATUS 0x614 "log_status" "LOG_STATUS_REQ" own;
    STATS_RESET 0x615 "stats_reset" "stats_reset" all;
    DEFAULT_AUTH 0x616 "default_auth" "default_auth" own;
    MEMORY 0x617 "set_memory" "set_memory" own;
    LOG_FILE 0x618 "log_file" "log_file" own;
    PUBLISH_KERNEL 0x619 "publish_kernel" "publish_kernel" own;
    DAEMON_NAME 0x61a "daemon_name" "daemon_name" own;
    WORKER_THREADS 0x61b "worker_threads" "worker_threads" own;
    DEFAULT_QUOTA 0x61c "default_quota" "default_quota" own;
    PID_FILE 0x61d "pid_file" "pid_file" own;
    BANNER 0x61e "banner" "banner" own;
    PROFILING 0x61f "profiling" "PROFILING_REQ" all;
    PROFILING_DISABLE 0x620 "profiling_disable" "PROFILING_DISABLE_REQ" change;
    PROFILING_ENABLE 0x621 "profiling_enable" "PROFILING_ENABLE_REQ" change;
    STORAGE_THREADS 0x622 "storage_threads" "STORAGE_THR_SET_REQ" own;
    STORAGE_QUEUE 0x623 "storage_queue" "STORAGE_MAX_Q_DEPTH_SET_REQ" own;
    FAILOVER_CONFIG 0x700 "failover_config" "FAILOVER_CONFIG_REQ" change;
    FAILOVER_PEERCFG_START 0x701 "failover_peercfg_start" "FAILOVER_PEERCFG_START_REQ" change;
    FAILOVER_PEERCFG_STOP 0x702 "failover_peercfg_stop" "FAILOVER_PEERCFG_STOP_REQ" change;
    FAILOVER_STATUS 0x704 "failover_status" "FAILOVER_STATUS_REQ" own;
    FAILOVER_START 0x770 "failover_start" "FAILOVER_START_REQ" change;
    FAILOVER_STOP 0x771 "failover_stop" "FAILOVER_STOP_REQ" change;
    SETGROUP_ADD 0x800 "setgroup_add" "SETGROUP_ADD_REQ" change;
    SETGROUP_MOD 0x801 "setgroup_mod" "SETGROUP_MOD_REQ" change;
    SETGROUP_DEL 0x802 "setgroup_del" "SETGROUP_DEL_REQ" change;
    SETGROUP_INS 0x803 "setgroup_ins" "SETGROUP_INS_REQ" change;
    SETGROUP_RM 0x804 "setgroup_rm" "SETGROUP_RM_REQ" change;
    STREAM_PUBLISH 0x900 "publish" "STREAM_PUBLISH_REQ" all;
    STREAM_SUBSCRIBE 0x901 "subscribe" "STREAM_SUBSCRIBE_REQ" change;
    STREAM_UNSUBSCRIBE 0x902 "unsubscribe" "LDMSD_STREAM_UNSUBSCRIBE_REQ" change;
    STREAM_CLIENT_DUMP 0x903 "stream_client_dump" "stream_client_dump" own;
    STREAM_STATUS 0x905 "stream_status" "stream_status" all;
    STREAM_DISABLE 0x906 "stream_disable" "stream_disable" change;
    STREAM_ENABLE 0x907 "stream_enable" "stream_enable" change;
    AUTH_ADD 0xa00 "auth_add" "auth_add" change;
    AUTH_DEL 0xa01 "auth_del" "auth_del" own;
    QGROUP_CONFIG 0xb00 "qgroup_config" "qgroup_config" own;
    QGROUP_MEMBER_ADD 0xb01 "qgroup_member_add" "qgroup_member_add" own;
    QGROUP_MEMBER_DEL 0xb02 "qgroup_member_del" "qgroup_member_del" own;
    QGROUP_START 0xb03 "qgroup_start" "qgroup_start" own;
    QGROUP_STOP 0xb04 "qgroup_stop" "qgroup_stop" own;
    QGROUP_INFO 0xb05 "qgroup_info" "qgroup_info" own;
    MSG_STATS 0xc00 "msg_stats" "msg_stats" all;
    MSG_CLIENT_STATS 0xc01 "msg_client_stats" "msg_client_stats" all;
    MSG_DISABLE 0xc02 "msg_disable" "msg_disable" change;
    MSG_ENABLE 0xc03 "msg_enable" "msg_enable" change;
    SMPLRP_ADD 0xd00 "smplrp_add" "LDMSD_SMPLR_ADD_REQ" own;
    SMPLRP_DEL 0xd01 "smplrp_del" "LDMSD_SMPLR_DEL_REQ" own;
    SMPLRP_START 0xd02 "smplrp_start" "LDMSD_SMPLR_START_REQ" own;
    SMPLRP_STOP 0xd03 "smplrp_stop" "LDMSD_SMPLR_STOP_REQ" own;
}

/// Other words for requests, as ldmsd takes them in files.
const ALIASES: &[(&str, RequestId)] = &[
    ("bridge_del", RequestId::PRDCR_DEL),
    ("bridge_start", RequestId::PRDCR_START),
    ("bridge_stop", RequestId::PRDCR_STOP),
    ("daemon", RequestId::DAEMON_STATUS),
    ("exit", RequestId::DAEMON_EXIT),
    ("loglevel", RequestId::LOG_LEVEL),
    ("memory", RequestId::MEMORY),
];

impl RequestId {
    /// The request for the verb of a command.
    #[must_use]
    pub fn from_verb(verb: &str) -> Option<Self> {
        let in_table = Self::TABLE.iter().find(|row| row.1 == verb).map(|row| row.0);
        in_table.or_else(|| ALIASES.iter().find(|(word, _)| *word == verb).map(|(_, id)| *id))
    }

    /// All verbs, for suggestions and completion.
    pub fn verbs() -> impl Iterator<Item = &'static str> {
        Self::TABLE.iter().map(|row| row.1)
    }

    /// The verb of the command that sends this request.
    #[must_use]
    pub fn verb(self) -> Option<&'static str> {
        self.row().map(|row| row.1)
    }

    /// The name ldmsd gives the request in its trace.
    #[must_use]
    pub fn trace_name(self) -> &'static str {
        self.row().map_or("UNKNOWN_REQ", |row| row.2)
    }

    /// Who may send it; `None` for a request ldmsd does not have.
    #[must_use]
    pub fn access(self) -> Option<Access> {
        self.row().map(|row| row.3)
    }

    fn row(self) -> Option<&'static (Self, &'static str, &'static str, Access)> {
        Self::TABLE.binary_search_by_key(&self, |row| row.0).ok().map(|index| &Self::TABLE[index])
    }
}

macro_rules! attributes {
    ($($name:ident $id:literal $word:literal;)*) => {
        impl AttrId {
            $(#[doc = concat!("`", $word, "`")] pub const $name: Self = Self($id);)*

            const TABLE: &[(Self, &'static str)] = &[$((Self($id), $word),)*];
        }
    };
}

attributes! {
    NAME 1 "name";
    INTERVAL 2 "interval";
    OFFSET 3 "offset";
    REGEX 4 "regex";
    TYPE 5 "type";
    PRODUCER 6 "producer";
    INSTANCE 7 "instance";
    XPRT 8 "xprt";
    HOST 9 "host";
    PORT 10 "port";
    MATCH 11 "match";
    PLUGIN 12 "plugin";
    CONTAINER 13 "container";
    SCHEMA 14 "schema";
    METRIC 15 "metric";
    STRING 16 "string";
    UDATA 17 "udata";
    BASE 18 "base";
    INCREMENT 19 "incr";
    LEVEL 20 "level";
    PATH 21 "path";
    TIME 22 "time";
    PUSH 23 "push";
    TEST 24 "test";
    REC_LEN 25 "rec_len";
    JSON 26 "json";
    PERM 27 "perm";
    AUTO_SWITCH 28 "auto_switch";
    PEER_NAME 29 "peer_name";
    TIMEOUT_FACTOR 30 "timeout_factor";
    AUTO_INTERVAL 31 "auto_interval";
    UID 32 "uid";
    GID 33 "gid";
    STREAM 34 "stream";
    AUTH 35 "auth";
    RESET 36 "reset";
    DECOMPOSITION 37 "decomposition";
    RAIL 38 "rail";
    QUOTA 39 "quota";
    RX_RATE 40 "rx_rate";
    SUMMARY 41 "summary";
    SIZE 42 "size";
    IP 43 "ip";
    ASK_INTERVAL 44 "ask_interval";
    ASK_MARK 45 "ask_mark";
    ASK_AMOUNT 46 "ask_amount";
    RESET_INTERVAL 47 "reset_interval";
    XTHREAD 48 "exclusive_thread";
    MSG_TAG 49 "message_tag";
    STATE 50 "state";
    HIST_RECAL 51 "hist_recalibrate";
}

/// Other words for attributes.
const ATTR_ALIASES: &[(&str, AttrId)] = &[
    ("advertiser_auth", AttrId::AUTH),
    ("advertiser_port", AttrId::PORT),
    ("advertiser_xprt", AttrId::XPRT),
    ("cache_ip", AttrId::IP),
    ("count", AttrId::SIZE),
    ("depth", AttrId::SIZE),
    ("disable_start", AttrId::AUTO_INTERVAL),
    ("flush", AttrId::INTERVAL),
    ("interval_us", AttrId::INTERVAL),
    ("message_channel", AttrId::MSG_TAG),
    ("mode", AttrId::LEVEL),
    ("num", AttrId::SIZE),
    ("period", AttrId::INTERVAL),
    ("reconnect", AttrId::INTERVAL),
];

impl AttrId {
    /// The attribute for a word of a command.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let in_table = Self::TABLE.iter().find(|row| row.1 == word).map(|row| row.0);
        in_table.or_else(|| ATTR_ALIASES.iter().find(|(alias, _)| *alias == word).map(|(_, id)| *id))
    }

    /// All words for attributes, for suggestions and completion.
    pub fn words() -> impl Iterator<Item = &'static str> {
        let aliases = ATTR_ALIASES.iter().map(|(word, _)| *word);
        Self::TABLE.iter().map(|row| row.1).chain(aliases)
    }

    /// The word for the attribute in commands.
    #[must_use]
    pub fn word(self) -> Option<&'static str> {
        Self::TABLE.iter().find(|row| row.0 == self).map(|row| row.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_table_is_sorted_so_that_it_can_be_searched() {
        assert!(RequestId::TABLE.is_sorted_by_key(|row| row.0));
        for row in RequestId::TABLE {
            assert_eq!(row.0.verb(), Some(row.1));
            assert_eq!(RequestId::from_verb(row.1), Some(row.0));
        }
        assert_eq!(RequestId(0x60b).verb(), None);
        assert_eq!(RequestId(0x60b).trace_name(), "UNKNOWN_REQ");
    }

    #[test]
    fn words_of_attributes_and_their_aliases_are_known() {
        assert_eq!(AttrId::from_word("reconnect"), Some(AttrId::INTERVAL));
        assert_eq!(AttrId::from_word("message_tag"), Some(AttrId(49)));
        assert_eq!(AttrId::from_word("conf"), None);
        assert_eq!(AttrId::MSG_TAG.word(), Some("message_tag"));
    }
}
