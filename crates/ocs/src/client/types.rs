//! What agents answer, as types. Reading is lenient towards older versions of OCS: what they did not have yet gets its
//! neutral value, and keys that are new are kept where they may matter (the data of a session) and ignored elsewhere.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::Value;

use crate::codes::{OpCode, OpStatus, OpType, ReplyCode};

/// What an agent can do and what it is doing: the answer to `get_api`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct AgentApi {
    /// The class of the agent.
    #[serde(default)]
    pub agent_class: Option<String>,
    /// The host it runs on.
    #[serde(default)]
    pub instance_hostname: Option<String>,
    /// Its process id there.
    #[serde(default)]
    pub instance_pid: Option<i64>,
    /// Its feeds.
    #[serde(default)]
    pub feeds: Vec<(String, Value)>,
    /// Its processes.
    #[serde(default)]
    pub processes: Vec<OpEntry>,
    /// Its tasks.
    #[serde(default)]
    pub tasks: Vec<OpEntry>,
    /// How it controls access; if absent, it takes no passwords.
    #[serde(default)]
    pub access_control: Option<Value>,
}

impl AgentApi {
    /// The operation of this name, be it a task or a process.
    #[must_use]
    pub fn op(&self, name: &str) -> Option<&OpEntry> {
        self.processes.iter().chain(&self.tasks).find(|op| op.name == name)
    }
}

/// An operation in `get_api`: `[name, session, info]` on the wire.
#[derive(Clone, Debug, PartialEq)]
pub struct OpEntry {
    /// Its name.
    pub name: String,
    /// Its newest run, if it ever ran.
    pub session: Option<Session>,
    /// What it is.
    pub info: OpInfo,
}

impl<'de> Deserialize<'de> for OpEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (name, session, info) = <(String, Value, OpInfo)>::deserialize(deserializer)?;
        let session = session_of(session).map_err(D::Error::custom)?;
        Ok(Self { name, session, info })
    }
}

/// What an operation is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct OpInfo {
    /// Task or process.
    pub op_type: OpType,
    /// What it does, for people.
    #[serde(default)]
    pub docstring: Option<String>,
    /// Whether it runs in a thread of a Python agent; nothing that a client needs.
    #[serde(default)]
    pub blocking: Option<bool>,
    /// Whether a task can be aborted.
    #[serde(default)]
    pub abortable: Option<bool>,
    /// The level needed to start it.
    #[serde(default = "basic")]
    pub min_privs: i64,
}

const fn basic() -> i64 {
    1
}

/// One run of an operation.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Session {
    /// Its number.
    pub session_id: i64,
    /// The operation.
    pub op_name: String,
    /// The number that sums up status and success; absent before OCS 0.7.
    #[serde(default)]
    pub op_code: Option<i64>,
    /// The level of the caller that started it.
    #[serde(default)]
    pub cred_level: Option<i64>,
    /// How far it is.
    pub status: OpStatus,
    /// Whether it runs but cannot do its primary job.
    #[serde(default)]
    pub degraded: bool,
    /// How it ended, if it has.
    #[serde(default)]
    pub success: Option<bool>,
    /// When it began, in unix seconds.
    pub start_time: f64,
    /// When it ended, in unix seconds.
    #[serde(default)]
    pub end_time: Option<f64>,
    /// What the operation shows of itself.
    #[serde(default)]
    pub data: Value,
    /// Its messages: when, in unix seconds, and what.
    #[serde(default)]
    pub messages: Vec<(f64, String)>,
}

impl Session {
    /// The code of the run; worked out from the other fields where the agent does not send it.
    #[must_use]
    pub fn code(&self) -> OpCode {
        self.op_code.and_then(OpCode::from_number).unwrap_or(match (self.status, self.success) {
            (OpStatus::Starting, _) => OpCode::Starting,
            (OpStatus::Running, _) => OpCode::Running,
            (OpStatus::Stopping, _) => OpCode::Stopping,
            (OpStatus::Done, Some(true)) => OpCode::Succeeded,
            (OpStatus::Done, _) => OpCode::Failed,
        })
    }
}

/// The answer to a request on an operation: `[code, message, session]` on the wire.
#[derive(Clone, Debug, PartialEq)]
pub struct OpReply {
    /// Whether the request was carried out.
    pub code: ReplyCode,
    /// For people.
    pub message: String,
    /// The run it is about, if there is one.
    pub session: Option<Session>,
}

impl OpReply {
    /// Reads a reply.
    ///
    /// # Errors
    /// A text that says what does not fit.
    pub fn from_json(value: Value) -> Result<Self, String> {
        let (code, message, session) = serde_json::from_value::<(i64, String, Value)>(value)
            .map_err(|error| format!("not a reply: {error}"))?;
        let code = ReplyCode::from_number(code).ok_or_else(|| format!("unknown reply code {code}"))?;
        Ok(Self { code, message, session: session_of(session)? })
    }

    /// Whether the request was carried out.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.code == ReplyCode::Ok
    }
}

/// A session, or `None` for the two ways in which agents say that there is none.
fn session_of(value: Value) -> Result<Option<Session>, String> {
    let absent = match &value {
        Value::Null => true,
        Value::Object(entries) => entries.is_empty() || entries.get("status") == Some(&"no_history".into()),
        _ => false,
    };
    if absent {
        return Ok(None);
    }
    serde_json::from_value(value).map(Some).map_err(|error| format!("not a session: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reply_without_a_run_has_no_session() {
        let reply = OpReply::from_json(json!([0, "Idle.", {}])).unwrap();
        assert_eq!(reply, OpReply { code: ReplyCode::Ok, message: "Idle.".into(), session: None });
        assert!(OpReply::from_json(json!([7, "?", {}])).is_err());
        assert!(OpReply::from_json(json!("?")).is_err());
    }

    #[test]
    fn sessions_of_older_agents_are_read_too() {
        let old = json!([0, "Session active.", {"session_id": 3, "op_name": "acq", "status": "done", "success": false,
            "start_time": 1.5, "end_time": 2, "messages": [[1.5, "Status is now \"done\"."]], "new_key": [1]}]);
        let session = OpReply::from_json(old).unwrap().session.unwrap();
        assert_eq!(session.code(), OpCode::Failed);
        assert_eq!(session.end_time, Some(2.0));
        assert!(!session.degraded);
    }

    #[test]
    fn an_api_lists_operations_with_and_without_history() {
        let api: AgentApi = serde_json::from_value(json!({
            "agent_class": "FakeDataAgent", "instance_hostname": "vm", "instance_pid": 12,
            "feeds": [["heartbeat", {}]],
            "processes": [["acq", {"op_name": "acq", "status": "no_history"},
                {"blocking": true, "docstring": null, "op_type": "process", "min_privs": 1}]],
            "tasks": [["delay", {"session_id": 0, "op_name": "delay", "op_code": 5, "status": "done", "success": true,
                "start_time": 1.0, "end_time": 2.0, "data": {}, "messages": []},
                {"blocking": false, "abortable": true, "docstring": "delay()", "op_type": "task", "min_privs": 2}]],
            "access_control": {"version": 1},
        }))
        .unwrap();
        assert!(api.op("acq").unwrap().session.is_none());
        let delay = api.op("delay").unwrap();
        assert_eq!((delay.info.min_privs, delay.info.abortable), (2, Some(true)));
        assert_eq!(delay.session.as_ref().unwrap().code(), OpCode::Succeeded);
        assert!(api.op("nosuch").is_none());
    }
}
