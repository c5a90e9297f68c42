//! Figures a daemon keeps of itself: what the `…_stats` requests answer with.

use std::collections::BTreeMap;

use super::Daemon;
use crate::api::producer::ProducerState;
use crate::wire::ids::AttrId;
use crate::wire::record::Message as Record;

/// What is counted, under the names that `xprt_stats` has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Op {
    Lookup,
    Update,
    DirRequest,
    DirReply,
    Send,
    Receive,
}

/// All operations `xprt_stats` lists; those without an [`Op`] never happen here.
const OPS: [(&str, Option<Op>); 11] = [
    ("LOOKUP", Some(Op::Lookup)),
    ("UPDATE", Some(Op::Update)),
    ("PUBLISH", None),
    ("SET_DELETE", None),
    ("DIR_REQ", Some(Op::DirRequest)),
    ("DIR_REP", Some(Op::DirReply)),
    ("SEND", Some(Op::Send)),
    ("RECV", Some(Op::Receive)),
    ("MSG_PUBLISH", None),
    ("MSG_SUBSCRIBE", None),
    ("MSG_UNSUBSCRIBE", None),
];

/// Counters since the start of the daemon.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) started_us: u64,
    pub(super) requested: u64,
    pub(super) opened: u64,
    pub(super) closed: u64,
    pub(super) rejected: u64,
    ops: BTreeMap<Op, u64>,
}

impl Figures {
    pub(super) fn new(started_us: u64) -> Self {
        Self { started_us, ..Self::default() }
    }

    pub(super) fn count(&mut self, op: Op) {
        *self.ops.entry(op).or_default() += 1;
    }
}

/// ldmsd counts ten values before it draws a histogram; a simulated daemon never comes to that.
pub(super) const HISTOGRAM: &str = "{\"n_warmup\":10,\"warmup_count\":0,\"warmup_in_progress\":true}";

impl Daemon {
    pub(super) fn set_stats(&self, message: &Record) -> String {
        if self.args(message).get(AttrId::SUMMARY).is_some_and(|text| text.eq_ignore_ascii_case("true")) {
            return format!(
                "{{ \"active_count\": {},\n \"deleting_count\": 0,\n \"summary\": \"true\",\n \"compute_time\": 1\n}}",
                self.sets.len()
            );
        }
        let (used, total) = (self.set_bytes / 1024, self.options.set_memory / 1024);
        format!(
            "{{ \"active_count\": {},\n \"deleting_count\": 0,\n \"mem_total_kb\": {total},\n \"mem_free_kb\": {},\n \
             \"mem_used_kb\": {used},\n \"set_load\": 0,\n \"compute_time\": 1\n}}",
            self.sets.len(),
            total.saturating_sub(used)
        )
    }

    pub(super) fn producer_stats(&self) -> String {
        let count = |state: &ProducerState| {
            self.producers.values().filter(|producer| producer.state == *state).count()
        };
        let sets: usize = self.producers.values().map(|producer| producer.sets.len()).sum();
        format!(
            "{{ \"prdcr_count\": {},\n \"stopped_count\": {},\n \"disconnected_count\": {},\n \
             \"connecting_count\": {},\n \"connected_count\": {},\n \"stopping_count\": {},\n \
             \"standby_count\": {},\n \"set_count\": {sets},\n \"compute_time\": 1\n}}",
            self.producers.len(),
            count(&ProducerState::Stopped),
            count(&ProducerState::Disconnected),
            count(&ProducerState::Connecting),
            count(&ProducerState::Connected),
            count(&ProducerState::Stopping),
            count(&ProducerState::Standby),
        )
    }

    pub(super) fn connection_stats(&self) -> String {
        let figures = &self.figures;
        let seconds = self.now_us.saturating_sub(figures.started_us).max(1) as f64 / 1e6;
        let rate = |count: u64| format!("{:.6}", count as f64 / seconds);
        let mut rails: Vec<String> = self
            .listening
            .values()
            .map(|_| "{\"state\":\"listen\",\"n_eps\":1,\"endpoints\":{}}".to_owned())
            .collect();
        let (mut open, mut opening) = (0, 0);
        for conn in self.conns.values() {
            let is_open = conn.link.as_ref().is_some_and(crate::link::Link::is_open);
            *(if is_open { &mut open } else { &mut opening }) += 1;
            let remote = conn.peer_address.map(|address| address.to_string()).unwrap_or_default();
            let state = if is_open { "connect" } else { "connecting" };
            rails.push(format!(
                "{{\"state\":\"{state}\",\"remote_host\":\"{remote}\",\"n_eps\":1,\"endpoints\":{{\"ep0\":{{\"sq_sz\":0}}}}}}"
            ));
        }
        let ops = OPS.iter().map(|(name, op)| {
            let count = op.and_then(|op| figures.ops.get(&op)).copied().unwrap_or(0);
            format!(
                "\"{name}\":{{\"count\":{count},\"total_us\":0,\"min_us\":0,\"min_peer\":\"0.0.0.0:0:0\",\
                 \"min_peer_type\":\"????\",\"max_us\":0,\"max_peer\":\"0.0.0.0:0:0\",\"max_peer_type\":\"????\",\
                 \"mean_us\":0,\"hist\":{HISTOGRAM}}}"
            )
        });
        format!(
            "{{\"level\":0,\"rails\":[{}],\"compute_time_us\":1,\"connect_rate_s\":{},\
             \"connect_request_rate_s\":{},\"disconnect_rate_s\":{},\"reject_rate_s\":{},\"auth_fail_rate_s\":0.0,\
             \"xprt_count\":{},\"connect_count\":{open},\"connecting_count\":{opening},\"listen_count\":{},\
             \"close_count\":0,\"duration\":{seconds:.6},\"op_stats\":{{{}}}}}",
            rails.join(","),
            rate(figures.opened),
            rate(figures.requested),
            rate(figures.closed),
            rate(figures.rejected),
            open + opening + self.listening.len(),
            self.listening.len(),
            ops.collect::<Vec<_>>().join(","),
        )
    }

    /// A daemon with one thread of each kind, all idle: what a simulation has to say of threads.
    pub(super) fn thread_stats(&self) -> String {
        let total = self.now_us.saturating_sub(self.figures.started_us);
        const WORKS: [&str; 19] = [
            "Zap",
            "Other",
            "Connecting",
            "Dir Requests",
            "Dir Replies",
            "Lookup Requests",
            "Lookup Replies",
            "Update Requests",
            "Update Completes",
            "Message Service Data",
            "Message Service Client",
            "Push Requests",
            "Push Replies",
            "Set Delete Requests",
            "Set Delete Replies",
            "Send Messages",
            "Receive Messages",
            "Authentication",
            "Disconnecting",
        ];
        let works: String = WORKS.iter().map(|work| format!(",\"{work}\":0")).collect();
        let worker = |name: &str| {
            format!(
                "{{\"name\":\"{name}\",\"tid\":0,\"thread_id\":\"0x0\",\"idle_tot\":{total},\"active_tot\":0,\
                 \"total_us\":{total},\"utilization\":0.0,\"idle_us\":0,\"active_us\":0,\"refresh_us\":0,\"ev_cnt\":0}}"
            )
        };
        format!(
            "{{\"count\":1,\"io_threads\":[{{\"name\":\"zap_sock_io\",\"tid\":0,\"thread_id\":\"0x0\",\
             \"idle_tot\":{total},\"active_tot\":0,\"total_us\":{total},\"idle_us\":0,\"active_us\":0,\"refresh_us\":0,\
             \"utilization\":0.0,\"sq_sz\":0,\"n_eps\":{},\"ldms_xprt\":{{\"Idle\":{total}{works}}}}}],\
             \"worker_threads\":[{}],\"xthreads\":[],\"storage threads\":[{}],\"compute_time\":1}}",
            self.conns.len(),
            worker("ldmsd_wkr_0"),
            worker("str:wrk:0"),
        )
    }

    /// The parts of the daemon that log, and how much.
    pub(super) fn log_status(&self) -> String {
        const PARTS: [(&str, &str); 8] = [
            ("ldmsd (default)", "The default log subsystem"),
            ("config", "Messages for the configuration infrastructure"),
            ("producer", "Messages for the producer infrastructure"),
            ("sampler", "Messages for the common sampler infrastructure"),
            ("store", "Messages for the common storage infrastructure"),
            ("updater", "Messages for the updater infrastructure"),
            ("xprt.ldms", "Messages for ldms"),
            ("xprt.zap.sock", "Messages for zap_sock"),
        ];
        let row = |(name, description): &(&str, &str)| {
            let level = if name.contains("(default)") { self.log_level.as_str() } else { "default" };
            format!("{{\"name\":\"{name}\",\"desc\":\"{description}\",\"level\":\"{level}\"}}")
        };
        format!("[{}]", PARTS.iter().map(row).collect::<Vec<_>>().join(","))
    }
}
