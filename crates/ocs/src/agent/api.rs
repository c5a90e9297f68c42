//! What an agent tells about itself: the procedure `{address}` with its questions (OCS docs, "Agent API").

use campanile_wamp::Value;

use super::feed::{Feed, Publisher};
use super::ops::OpTable;
use super::session::SessionImage;
use crate::codes::OpType;

/// Where an agent runs, as `get_api` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whereabouts {
    /// The name of the host.
    pub hostname: String,
    /// The process id.
    pub pid: u32,
}

/// An answer that is complete but for the data of sessions, which a provider may still have to give.
pub struct Answer(Build);

enum Build {
    Ready(Value),
    Ops(Vec<(String, Option<SessionImage>, serde_json::Value)>),
    Object(Vec<(&'static str, Self)>),
}

impl Answer {
    /// The value on the wire. Data providers are called here: hold no lock.
    #[must_use]
    pub fn into_value(self) -> Value {
        self.0.into_value()
    }
}

impl Build {
    fn into_value(self) -> Value {
        match self {
            Self::Ready(value) => value,
            Self::Ops(ops) => Value::List(ops.into_iter().map(op_entry).collect()),
            Self::Object(entries) => {
                Value::Dict(entries.into_iter().map(|(key, part)| (key, part.into_value())).collect())
            }
        }
    }
}

fn op_entry((name, session, info): (String, Option<SessionImage>, serde_json::Value)) -> Value {
    let session = match session {
        Some(session) => session.into_json(),
        None => serde_json::json!({"op_name": name, "status": "no_history"}),
    };
    Value::List(vec![Value::Str(name), session.into(), info.into()])
}

/// The answer to a question: `get_api`, `get_tasks`, `get_processes`, `get_feeds` or `get_agent_class`; to any other
/// it is null.
#[must_use]
pub fn answer(
    question: &str,
    publisher: &Publisher,
    whereabouts: &Whereabouts,
    ops: &OpTable,
    feeds: &[Feed],
) -> Answer {
    let listing = |op_type| Build::Ops(ops.listing(op_type));
    let feed_list = || {
        let entry = |feed: &Feed| Value::List(vec![feed.name().into(), Value::Dict(feed.info().clone())]);
        Build::Ready(Value::List(feeds.iter().map(entry).collect()))
    };
    let class = || Build::Ready(publisher.agent_class.as_str().into());
    Answer(match question {
        "get_api" => Build::Object(vec![
            ("agent_class", class()),
            ("instance_hostname", Build::Ready(whereabouts.hostname.as_str().into())),
            ("instance_pid", Build::Ready(whereabouts.pid.into())),
            ("feeds", feed_list()),
            ("processes", listing(OpType::Process)),
            ("tasks", listing(OpType::Task)),
            ("access_control", Build::Ready(ops.access().to_json().into())),
        ]),
        "get_tasks" => listing(OpType::Task),
        "get_processes" => listing(OpType::Process),
        "get_feeds" => feed_list(),
        "get_agent_class" => class(),
        _ => Build::Ready(Value::Null),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::agent::access::{AccessControl, Caller, CredLevel};
    use crate::agent::feed::FeedSpec;
    use crate::agent::ops::OpInfo;
    use crate::agent::params::ParamSpec;

    fn ask(question: &str) -> serde_json::Value {
        let publisher = Publisher {
            agent_address: "observatory.hm-host-1".into(),
            agent_class: "HostManager".into(),
            session_id: "1795344054.118503".into(),
        };
        let whereabouts = Whereabouts { hostname: "vm".into(), pid: 1421 };
        let mut ops = OpTable::new(AccessControl::none(1795344054.118624));
        for (name, op_type) in [
            ("update", OpType::Task),
            ("manager", OpType::Process),
            ("die", OpType::Task),
            ("count", OpType::Task),
        ] {
            ops.declare(OpInfo {
                name: name.into(),
                op_type,
                doc: (name != "count").then(|| format!("{name}()")),
                blocking: false,
                abortable: false,
                min_privs: CredLevel::Blocked,
                params: ParamSpec::none(),
            });
        }
        ops.start("update", &json!({}), Caller::Internal, 5.5);
        let feeds = [Feed::new(FeedSpec::plain("heartbeat"), &publisher)];
        answer(question, &publisher, &whereabouts, &ops, &feeds).into_value().to_json()
    }

    #[test]
    fn get_api_has_the_shape_that_python_clients_read() {
        let feed = json!({"agent_address": "observatory.hm-host-1", "agg_params": {}, "feed_name": "heartbeat",
            "address": "observatory.hm-host-1.feeds.heartbeat", "record": false,
            "session_id": "1795344054.118503", "agent_class": "HostManager"});
        let task = |doc| json!({"blocking": false, "abortable": false, "docstring": doc, "op_type": "task", "min_privs": 1});
        let expected = json!({
            "agent_class": "HostManager",
            "instance_hostname": "vm",
            "instance_pid": 1421,
            "feeds": [["heartbeat", feed]],
            "processes": [["manager", {"op_name": "manager", "status": "no_history"},
                {"blocking": false, "docstring": "manager()", "op_type": "process", "min_privs": 1}]],
            "tasks": [
                ["count", {"op_name": "count", "status": "no_history"}, task(None)],
                ["die", {"op_name": "die", "status": "no_history"}, task(Some("die()"))],
                ["update", {"session_id": 0, "op_name": "update", "op_code": 2, "cred_level": 1, "status": "starting",
                    "degraded": false, "success": null, "start_time": 5.5, "end_time": null, "data": {},
                    "messages": [[5.5, "Status is now \"starting\"."]]}, task(Some("update()"))],
            ],
            "access_control": {"version": 1, "policy": "none", "update_timestamp": 1795344054.118624,
                "update_count": 0, "step": 0},
        });
        assert_eq!(ask("get_api").to_string(), expected.to_string());
    }

    #[test]
    fn the_single_questions_give_the_parts_and_others_give_null() {
        let api = ask("get_api");
        assert_eq!(ask("get_tasks"), api["tasks"]);
        assert_eq!(ask("get_processes"), api["processes"]);
        assert_eq!(ask("get_feeds"), api["feeds"]);
        assert_eq!(ask("get_agent_class"), api["agent_class"]);
        assert_eq!(ask("get_weather"), json!(null));
    }
}
