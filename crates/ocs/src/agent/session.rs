//! One run of one operation: its status, its messages and its data (OCS docs, "OpSession").
//!
//! Pure: the caller says what time it is, in unix seconds as OCS has them on the wire.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::access::CredLevel;
use crate::codes::{OpCode, OpStatus};

/// Messages kept whatever their age; the oldest goes when one more comes.
pub const MAX_MESSAGES: usize = 10_000;
/// Messages that are kept however old they are.
pub const MIN_MESSAGES: usize = 5;
/// Age in seconds from which a message may be dropped.
pub const MESSAGE_MIN_AGE_S: f64 = 3600.0;
/// Seconds between two purges of old messages.
pub const PURGE_EVERY_S: f64 = 720.0;

/// A function that gives the data of a run when somebody asks for it.
pub type DataProvider = Arc<dyn Fn() -> Value + Send + Sync>;

/// The record of one run of one operation.
#[derive(Clone)]
pub struct OpSession {
    session_id: u64,
    op_name: String,
    cred_level: CredLevel,
    status: OpStatus,
    degraded: bool,
    success: Option<bool>,
    start_s: f64,
    end_s: Option<f64>,
    data: Value,
    provider: Option<DataProvider>,
    messages: VecDeque<(f64, String)>,
}

impl OpSession {
    /// A run that begins now, in status [`OpStatus::Starting`].
    #[must_use]
    pub fn new(session_id: u64, op_name: &str, cred_level: CredLevel, now_s: f64) -> Self {
        let mut session = Self {
            session_id,
            op_name: op_name.to_owned(),
            cred_level,
            status: OpStatus::Starting,
            degraded: false,
            success: None,
            start_s: now_s,
            end_s: None,
            data: Value::Object(Map::new()),
            provider: None,
            messages: VecDeque::new(),
        };
        session.announce_status(now_s);
        session
    }

    /// The number of this run; one counter per agent, from 0.
    #[must_use]
    pub const fn session_id(&self) -> u64 {
        self.session_id
    }

    /// How far the run has come.
    #[must_use]
    pub const fn status(&self) -> OpStatus {
        self.status
    }

    /// How the run ended; `None` until it has.
    #[must_use]
    pub const fn success(&self) -> Option<bool> {
        self.success
    }

    /// The level of the caller that started it.
    #[must_use]
    pub const fn cred_level(&self) -> CredLevel {
        self.cred_level
    }

    /// Moves the status forward and says so in a message, which is returned. A move backward, or none, changes
    /// nothing and gives `None`: an operation may report "running" after a stop request overtook it.
    pub fn advance(&mut self, status: OpStatus, now_s: f64) -> Option<&str> {
        if status <= self.status {
            return None;
        }
        self.status = status;
        if status == OpStatus::Done {
            self.end_s = Some(now_s);
        }
        Some(self.announce_status(now_s))
    }

    /// Ends the run, if it has not ended.
    pub fn finish(&mut self, success: bool, now_s: f64) {
        if self.status != OpStatus::Done {
            self.success = Some(success);
            self.advance(OpStatus::Done, now_s);
        }
    }

    /// Adds a message. Beyond [`MAX_MESSAGES`] the oldest goes.
    pub fn add_message(&mut self, text: impl Into<String>, now_s: f64) {
        while self.messages.len() >= MAX_MESSAGES {
            self.messages.pop_front();
        }
        self.messages.push_back((now_s, text.into()));
    }

    /// Drops old messages: those older than [`MESSAGE_MIN_AGE_S`], but never the newest [`MIN_MESSAGES`].
    pub fn purge(&mut self, now_s: f64) {
        let cutoff_s = now_s - MESSAGE_MIN_AGE_S;
        while self.messages.len() > MIN_MESSAGES
            && self.messages.front().is_some_and(|(time_s, _)| *time_s < cutoff_s)
        {
            self.messages.pop_front();
        }
    }

    /// Replaces the data of the run, and a provider if there is one.
    pub fn set_data(&mut self, data: Value) {
        self.provider = None;
        self.data = data;
    }

    /// Lets a function give the data for each reply from now on.
    pub fn set_provider(&mut self, provider: DataProvider) {
        self.provider = Some(provider);
    }

    /// The function that gives the data, if one does.
    #[must_use]
    pub const fn provider(&self) -> Option<&DataProvider> {
        self.provider.as_ref()
    }

    /// The data of the run, to be changed in place. From now on it is what replies carry; a provider is dropped.
    pub fn data_mut(&mut self) -> &mut Value {
        self.provider = None;
        &mut self.data
    }

    /// Sets the flag that the operation runs but cannot do its primary job.
    pub const fn set_degraded(&mut self, degraded: bool) {
        self.degraded = degraded;
    }

    /// The number that sums up status, success and the degraded flag.
    #[must_use]
    pub const fn op_code(&self) -> OpCode {
        match self.status {
            OpStatus::Starting => OpCode::Starting,
            OpStatus::Running if self.degraded => OpCode::Degraded,
            OpStatus::Running => OpCode::Running,
            OpStatus::Stopping => OpCode::Stopping,
            OpStatus::Done => match self.success {
                Some(true) => OpCode::Succeeded,
                _ => OpCode::Failed,
            },
        }
    }

    /// What goes on the wire, with the data still to be asked for (see [`SessionImage::into_json`]).
    #[must_use]
    pub fn image(&self) -> SessionImage {
        let messages = self.messages.iter().map(|(time_s, text)| json!([time_s, text])).collect();
        let mut head = Map::with_capacity(11);
        head.insert("session_id".into(), self.session_id.into());
        head.insert("op_name".into(), self.op_name.as_str().into());
        head.insert("op_code".into(), self.op_code().number().into());
        head.insert("cred_level".into(), self.cred_level.number().into());
        head.insert("status".into(), self.status.word().into());
        head.insert("degraded".into(), self.degraded.into());
        head.insert("success".into(), self.success.into());
        head.insert("start_time".into(), self.start_s.into());
        head.insert("end_time".into(), self.end_s.into());
        let data = match &self.provider {
            Some(provider) => ImageData::Provider(Arc::clone(provider)),
            None => ImageData::Value(self.data.clone()),
        };
        SessionImage { head, data, messages: Value::Array(messages) }
    }

    fn announce_status(&mut self, now_s: f64) -> &str {
        self.add_message(format!("Status is now \"{}\".", self.status), now_s);
        self.messages.back().map_or("", |(_, text)| text)
    }
}

/// A session as it was at one moment, but for its data, which a provider may still have to give.
///
/// It exists so that the state of an agent is never locked while foreign code (a provider) runs.
pub struct SessionImage {
    head: Map<String, Value>,
    data: ImageData,
    messages: Value,
}

enum ImageData {
    Value(Value),
    Provider(DataProvider),
}

impl SessionImage {
    /// The session as OCS has it on the wire: all keys, in OCS's order.
    #[must_use]
    pub fn into_json(self) -> Value {
        let mut object = self.head;
        let data = match self.data {
            ImageData::Value(value) => value,
            // A provider that panics must not take the reply with it.
            ImageData::Provider(provider) => catch_unwind(AssertUnwindSafe(|| provider()))
                .unwrap_or_else(|_| json!({"error": "the operation could not give its data"})),
        };
        object.insert("data".into(), data);
        object.insert("messages".into(), self.messages);
        Value::Object(object)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn session() -> OpSession {
        OpSession::new(7, "acq", CredLevel::Basic, 100.5)
    }

    #[test]
    fn a_new_session_has_every_key_in_the_order_of_ocs() {
        let value = session().image().into_json();
        let keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "session_id",
                "op_name",
                "op_code",
                "cred_level",
                "status",
                "degraded",
                "success",
                "start_time",
                "end_time",
                "data",
                "messages"
            ]
        );
        assert_eq!(
            value,
            json!({"session_id": 7, "op_name": "acq", "op_code": 2, "cred_level": 1, "status": "starting",
                "degraded": false, "success": null, "start_time": 100.5, "end_time": null, "data": {},
                "messages": [[100.5, "Status is now \"starting\"."]]})
        );
    }

    #[test]
    fn a_finished_session_keeps_its_end_and_its_success() {
        let mut session = session();
        session.advance(OpStatus::Running, 101.0);
        session.finish(true, 102.0);
        session.finish(false, 103.0);
        let value = session.image().into_json();
        assert_eq!(value["op_code"], 5);
        assert_eq!(value["success"], true);
        assert_eq!(value["end_time"], 102.0);
        assert_eq!(value["messages"][2], json!([102.0, "Status is now \"done\"."]));
    }

    #[test]
    fn degraded_shows_in_the_code_only_while_running() {
        let mut session = session();
        session.set_degraded(true);
        assert_eq!(session.op_code(), OpCode::Starting);
        session.advance(OpStatus::Running, 1.0);
        assert_eq!(session.op_code(), OpCode::Degraded);
        session.advance(OpStatus::Stopping, 1.0);
        assert_eq!(session.op_code(), OpCode::Stopping);
        session.finish(false, 1.0);
        assert_eq!(session.op_code(), OpCode::Failed);
    }

    #[test]
    fn a_provider_is_asked_for_each_reply() {
        let mut session = session();
        session.set_provider(Arc::new(|| json!({"live": 1})));
        assert_eq!(session.image().into_json()["data"], json!({"live": 1}));
        session.data_mut()["set"] = json!(2);
        assert_eq!(session.image().into_json()["data"], json!({"set": 2}), "data that is set is what counts");
    }

    #[test]
    fn nan_in_the_data_is_null() {
        let mut session = session();
        session.set_data(json!({"t": f64::NAN}));
        assert_eq!(session.image().into_json()["data"], json!({"t": null}));
    }

    #[test]
    fn a_purge_keeps_the_newest_five_and_all_that_are_young() {
        let mut session = session();
        for second in 0..20 {
            session.add_message("m", 200.0 + f64::from(second));
        }
        session.purge(200.0 + 10.0 + MESSAGE_MIN_AGE_S);
        assert_eq!(session.messages.len(), 10);
        assert!((session.messages[0].0 - 210.0).abs() < 1e-9);
        session.purge(1e9);
        assert_eq!(session.messages.len(), MIN_MESSAGES);
    }

    #[test]
    fn a_flood_of_messages_never_exceeds_the_limit() {
        let mut session = session();
        for _ in 0..MAX_MESSAGES + 10 {
            session.add_message("m", 1.0);
        }
        assert_eq!(session.messages.len(), MAX_MESSAGES);
    }

    proptest! {
        #[test]
        fn the_status_never_moves_backward(steps in proptest::collection::vec(0_u8..4, 0..20)) {
            let mut session = session();
            let mut expected = OpStatus::Starting;
            for (time, step) in steps.iter().enumerate() {
                let status = [OpStatus::Starting, OpStatus::Running, OpStatus::Stopping, OpStatus::Done][usize::from(*step)];
                let announced = session.advance(status, time as f64).is_some();
                prop_assert_eq!(announced, status > expected);
                expected = expected.max(status);
                prop_assert_eq!(session.status(), expected);
            }
        }
    }
}
