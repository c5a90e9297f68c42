//! What one HostManager said about itself and its children.
//!
//! The facts come from the session of its `manager` process, as documented for the OCS HostManager Agent: a list of
//! `child_states`. Our own HostManager adds a few keys (pid, since, restarts, last_exit, next_at, reason); a Python one
//! does not, so each of these is optional here.

use std::fmt;

use campanile_ocs::client::Session;
use campanile_ocs::codes::OpStatus;
use serde_json::Value;

/// The condition of a HostManager as the OCS documents name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ManagerState {
    /// It answers and its `manager` process runs.
    Up,
    /// It answers, but its `manager` process does not run, so nothing is managed.
    Sleeping,
    /// The router knows no such agent.
    Down,
    /// It could not be found out, for the reason given beside it.
    Unknown,
}

impl fmt::Display for ManagerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Up => "up",
            Self::Sleeping => "sleeping",
            Self::Down => "down",
            Self::Unknown => "?",
        })
    }
}

/// The answer of one HostManager, or the reason why there is none.
#[derive(Clone, Debug)]
pub(crate) struct ManagerReport {
    pub(crate) instance_id: String,
    pub(crate) state: ManagerState,
    /// Why the state is not [`ManagerState::Up`], in words for the operator.
    pub(crate) problem: Option<String>,
    /// Since when the `manager` process runs, in unix seconds.
    pub(crate) since: Option<f64>,
    pub(crate) children: Vec<Child>,
    /// Files that the manager could not read at its last look: name and message.
    pub(crate) unreadable: Vec<(String, String)>,
}

impl ManagerReport {
    /// The report of a manager that gave no usable answer; without a problem when the reason is told elsewhere.
    pub(crate) fn silent(instance_id: &str, state: ManagerState, problem: Option<String>) -> Self {
        Self {
            instance_id: instance_id.to_owned(),
            state,
            problem,
            since: None,
            children: Vec::new(),
            unreadable: Vec::new(),
        }
    }

    /// Reads the session of the `manager` process, `None` when it never ran.
    ///
    /// Missing or odd fields never fail: what cannot be read is left out, since a client must show what a foreign or
    /// newer manager says as far as it understands it.
    pub(crate) fn from_session(instance_id: &str, session: Option<&Session>) -> Self {
        let session = match session {
            Some(session) if session.status == OpStatus::Running => session,
            other => {
                let problem = match other {
                    None => "its manager process was never started".to_owned(),
                    Some(session) => format!("its manager process is {}", session.status.word()),
                };
                return Self::silent(instance_id, ManagerState::Sleeping, Some(problem));
            }
        };
        let children = session.data.get("child_states").and_then(Value::as_array);
        let files = session.data.get("config_parse_status").and_then(Value::as_object);
        Self {
            instance_id: instance_id.to_owned(),
            state: ManagerState::Up,
            problem: None,
            since: Some(session.start_time),
            children: children
                .map(|list| list.iter().filter_map(Child::from_json).collect())
                .unwrap_or_default(),
            unreadable: files
                .map(|files| files.iter().filter_map(|(name, entry)| unreadable_file(name, entry)).collect())
                .unwrap_or_default(),
        }
    }

    /// A report from the data of a running `manager` process.
    #[cfg(test)]
    pub(crate) fn running(instance_id: &str, start_time: f64, data: Value) -> Self {
        let session: Session = serde_json::from_value(serde_json::json!({
            "session_id": 0, "op_name": "manager", "op_code": 3, "status": "running", "start_time": start_time,
            "data": data,
        }))
        .expect("a complete session");
        Self::from_session(instance_id, Some(&session))
    }

    /// The report on one child.
    pub(crate) fn child(&self, instance_id: &str) -> Option<&Child> {
        self.children.iter().find(|child| child.instance_id == instance_id)
    }
}

/// `[ok, unix time, message]` of one file; `None` when it is fine.
fn unreadable_file(name: &str, entry: &Value) -> Option<(String, String)> {
    let fields = entry.as_array()?;
    if fields.first()?.as_bool()? {
        return None;
    }
    let message = fields.get(2).and_then(Value::as_str).unwrap_or_default();
    Some((name.to_owned(), message.to_owned()))
}

/// How a child ended the last time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LastExit {
    /// Unix seconds.
    pub(crate) time: Option<f64>,
    /// In words, such as `exit code 3` or `killed by signal 9 (SIGKILL)`.
    pub(crate) reason: String,
    /// The entry as the HostManager gave it, for `--json`.
    pub(crate) raw: Value,
}

/// One child as its HostManager reports it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Child {
    pub(crate) instance_id: String,
    /// With `[d]`, `[d?]` or `[docker]` where docker is concerned.
    pub(crate) agent_class: String,
    /// The state, in the words of OCS: `up`, `down`, `?`, or a transition such as `wait_start`.
    pub(crate) next_action: String,
    /// `up`, `down` or `passive`.
    pub(crate) target_state: String,
    /// From 0 (crashes again and again) to 1.
    pub(crate) stability: f64,
    pub(crate) operable: bool,
    pub(crate) restart_required: bool,
    pub(crate) pid: Option<u64>,
    /// When it entered its present state, in unix seconds.
    pub(crate) since: Option<f64>,
    /// Relaunches after an unexpected exit.
    pub(crate) restarts: Option<u64>,
    pub(crate) last_exit: Option<LastExit>,
    /// When the next step is due, in unix seconds.
    pub(crate) next_at: Option<f64>,
    /// Why it is in this state, when that needs words.
    pub(crate) reason: Option<String>,
    /// How the system holds it and what it uses, as the HostManager gives it, for `--json`; by [`HELD`].
    pub(crate) held: [Option<Value>; HELD.len()],
}

/// The keys of a child that say how the system holds it, and what it uses.
pub(crate) const HELD: [&str; 8] =
    ["ready", "containment", "adopted", "not_enforced", "processes", "memory_bytes", "cpu_s", "cpu_share"];

impl Child {
    /// `None` when the entry has no instance id, without which it cannot be shown.
    pub(crate) fn from_json(entry: &Value) -> Option<Self> {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
        let unknown = || "?".to_owned();
        Some(Self {
            instance_id: text("instance_id")?,
            agent_class: text("agent_class").unwrap_or_else(unknown),
            next_action: text("next_action").unwrap_or_else(unknown),
            target_state: text("target_state").unwrap_or_else(unknown),
            stability: entry.get("stability").and_then(Value::as_f64).unwrap_or(1.0),
            operable: entry.get("operable").and_then(Value::as_bool).unwrap_or(true),
            restart_required: entry.get("restart_required").and_then(Value::as_bool).unwrap_or(false),
            pid: entry.get("pid").and_then(Value::as_u64),
            since: entry.get("since").and_then(Value::as_f64),
            restarts: entry.get("restarts").and_then(Value::as_u64),
            last_exit: entry.get("last_exit").and_then(last_exit),
            next_at: entry.get("next_at").and_then(Value::as_f64),
            reason: text("reason").filter(|reason| !reason.is_empty()),
            held: HELD.map(|key| entry.get(key).filter(|value| !value.is_null()).cloned()),
        })
    }

    /// The state as the OCS documents define the column: a child that keeps crashing is `unstable`.
    pub(crate) fn state(&self) -> &str {
        if self.next_action != "down" && self.stability <= 0.5 { "unstable" } else { &self.next_action }
    }

    /// Is it meant to run, as far as its HostManager can make it?
    pub(crate) fn should_run(&self) -> bool {
        let wanted = match self.target_state.as_str() {
            "up" => true,
            "passive" => self.next_action == "up",
            _ => false,
        };
        wanted && self.operable
    }

    /// Has it arrived where `target` wants it?
    ///
    /// Docker services that the site config does not know go back to `passive` once they are there.
    pub(crate) fn reached(&self, target: &str) -> bool {
        self.next_action == target && (self.target_state == target || self.target_state == "passive")
    }
}

fn last_exit(entry: &Value) -> Option<LastExit> {
    if entry.is_null() {
        return None;
    }
    let reason = entry
        .get("reason")
        .and_then(Value::as_str)
        .or_else(|| entry.as_str())
        .map(str::to_owned)
        .or_else(|| entry.get("code").and_then(Value::as_i64).map(|code| format!("exit code {code}")))
        .or_else(|| entry.get("signal").map(|signal| format!("killed by signal {signal}")))?;
    Some(LastExit { time: entry.get("time").and_then(Value::as_f64), reason, raw: entry.clone() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_manager_that_never_ran_is_sleeping() {
        let report = ManagerReport::from_session("hm-1", None);
        assert_eq!(report.state, ManagerState::Sleeping);
        assert_eq!(report.problem.as_deref(), Some("its manager process was never started"));
    }

    #[test]
    fn a_stopping_manager_is_sleeping_and_its_old_children_are_not_shown() {
        let session: Session = serde_json::from_value(json!({"session_id": 0, "op_name": "manager",
            "status": "stopping", "start_time": 1.0, "data": {"child_states": [{"instance_id": "a"}]}}))
        .unwrap();
        let report = ManagerReport::from_session("hm-1", Some(&session));
        assert_eq!(report.state, ManagerState::Sleeping);
        assert_eq!(report.problem.as_deref(), Some("its manager process is stopping"));
        assert!(report.children.is_empty());
    }

    #[test]
    fn a_child_of_the_python_manager_is_read_without_the_extra_keys() {
        let report = ManagerReport::running(
            "hm-1",
            12.5,
            json!({
            "child_states": [{"next_action": "start_at", "target_state": "up", "stability": 0.88,
                "agent_class": "FakeDataAgent", "instance_id": "crasher1", "operable": true, "restart_required": false}],
            "config_parse_status": {"[SCF]": [false, 12.0, "no such file"], "compose.yaml": [true, 12.0, "ok"]}}),
        );
        assert_eq!(report.state, ManagerState::Up);
        assert_eq!(report.since, Some(12.5));
        let child = report.child("crasher1").unwrap();
        assert_eq!((child.state(), child.target_state.as_str(), child.pid), ("start_at", "up", None));
        assert_eq!(report.unreadable, [("[SCF]".to_owned(), "no such file".to_owned())]);
    }

    #[test]
    fn a_child_with_half_its_stability_left_is_unstable_unless_it_is_down() {
        let mut child =
            Child::from_json(&json!({"instance_id": "a", "next_action": "up", "stability": 0.5})).unwrap();
        assert_eq!(child.state(), "unstable");
        child.stability = 0.51;
        assert_eq!(child.state(), "up");
        child.stability = 0.0;
        child.next_action = "down".into();
        assert_eq!(child.state(), "down");
    }

    #[test]
    fn odd_entries_never_panic_and_only_an_entry_without_id_is_dropped() {
        for entry in [json!(null), json!(3), json!({"agent_class": "A"}), json!({"instance_id": 7})] {
            assert_eq!(Child::from_json(&entry), None);
        }
        let child =
            Child::from_json(&json!({"instance_id": "a", "stability": "x", "pid": -1, "last_exit": null}))
                .unwrap();
        assert_eq!((child.stability, child.pid, child.last_exit), (1.0, None, None));
    }

    #[test]
    fn a_passive_service_has_arrived_when_its_state_is_the_one_asked_for() {
        let child =
            Child::from_json(&json!({"instance_id": "db", "next_action": "up", "target_state": "passive"}))
                .unwrap();
        assert!(child.reached("up"));
        assert!(!child.reached("down"));
    }
}
