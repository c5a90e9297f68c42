//! Asking an agent with the operations of FakeDataAgent everything there is to ask, and writing down what it says.

use campanile_ocs::client::{OcsClient, OcsError};
use campanile_wamp::Value;
use serde_json::{Value as Json, json};

/// One question and its answer, without what differs from run to run.
pub(crate) type Record = Vec<(String, Json)>;

/// What is looked at in an answer.
enum Look {
    /// Code, text and session.
    Whole,
    /// Code and text: whether a session shows "stopping" at once depends on whether its code runs in a thread.
    Words,
}

/// Asks the agent at `address`. Afterwards nothing runs there any more.
pub(crate) async fn interview(client: &OcsClient, address: &str) -> Record {
    let mut record = Vec::new();
    let running = json!({"delay": 60});
    let brief = json!({"delay": 0.05});
    let fail = json!({"delay": 0, "succeed": false});
    for (look, args) in [
        (Look::Whole, json!(["status", "nosuch"])),
        (Look::Whole, json!(["wait", "nosuch"])),
        (Look::Whole, json!(["start", "nosuch"])),
        (Look::Whole, json!(["stop", "nosuch"])),
        (Look::Whole, json!(["abort", "nosuch"])),
        (Look::Whole, json!(["status", "delay_task"])),
        (Look::Whole, json!(["status", "delay_task", []])),
        (Look::Whole, json!(["wait", "delay_task"])),
        (Look::Whole, json!(["abort", "delay_task"])),
        (Look::Whole, json!(["stop", "acq"])),
        (Look::Whole, json!(["stop", "delay_task"])),
        (Look::Whole, json!(["abort", "acq"])),
        (Look::Whole, json!(["start", "delay_task", {"delay": "long"}])),
        (Look::Whole, json!(["start", "delay_task", {"delay": -1}])),
        (Look::Whole, json!(["start", "delay_task", {"speed": 1, "colour": 2}])),
        (Look::Whole, json!(["start", "delay_task", []])),
        (Look::Whole, json!(["start", "delay_task", running])),
        (Look::Words, json!(["start", "delay_task", brief])),
        (Look::Words, json!(["wait", "delay_task", null, 0.1])),
        (Look::Words, json!(["wait", "delay_task", null, -1])),
        (Look::Words, json!(["stop", "delay_task"])),
        (Look::Words, json!(["abort", "delay_task"])),
        (Look::Whole, json!(["wait", "delay_task"])),
        (Look::Whole, json!(["abort", "delay_task"])),
        (Look::Whole, json!(["wait", "delay_task", null, 0])),
        (Look::Whole, json!(["start", "delay_task", brief])),
        (Look::Whole, json!(["wait", "delay_task", {}, 30])),
        (Look::Whole, json!(["status", "delay_task", []])),
        (Look::Whole, json!(["start", "delay_task", fail])),
        (Look::Whole, json!(["wait", "delay_task"])),
        (Look::Whole, json!(["start", "acq", null])),
        (Look::Words, json!(["start", "acq", {"test_mode": true}])),
        (Look::Words, json!(["abort", "acq"])),
        (Look::Words, json!(["stop", "acq"])),
        (Look::Words, json!(["wait", "acq", null, 30])),
        (Look::Whole, json!(["stop", "acq"])),
        (Look::Whole, json!(["start", "count", []])),
        (Look::Words, json!(["stop", "count"])),
        (Look::Words, json!(["wait", "count", null, 30])),
        (Look::Whole, json!(["start", "set_heartbeat", {"heartbeat": 1}])),
        (Look::Whole, json!(["start", "set_heartbeat", {"heartbeat": null}])),
        (Look::Words, json!(["wait", "set_heartbeat"])),
        (Look::Whole, json!(["status", "set_heartbeat"])),
        (Look::Whole, json!(["dance", "acq"])),
        (Look::Whole, json!([])),
        (Look::Whole, json!(["start"])),
        (Look::Whole, json!([1, 2, 3, 4, 5, 6])),
    ] {
        let answer = ask(client, &format!("{address}.ops"), args.clone(), json!({})).await;
        record.push((
            args.to_string(),
            match look {
                Look::Whole => answer,
                Look::Words if answer.is_array() => json!([answer[0], answer[1]]),
                Look::Words => answer,
            },
        ));
    }
    for kwargs in
        [json!({"action": "status", "op_name": "count"}), json!({"action": "status", "verb": "count"})]
    {
        let answer = ask(client, &format!("{address}.ops"), json!([]), kwargs.clone()).await;
        record.push((kwargs.to_string(), answer));
    }
    for question in [
        json!(["get_api"]),
        json!(["get_tasks"]),
        json!(["get_processes"]),
        json!(["get_feeds"]),
        json!(["get_agent_class"]),
        json!(["get_lost"]),
        json!([]),
    ] {
        let answer = ask(client, address, question.clone(), json!({})).await;
        record.push((question.to_string(), answer));
    }
    record
}

async fn ask(client: &OcsClient, procedure: &str, args: Json, kwargs: Json) -> Json {
    let (Value::List(args), Value::Dict(kwargs)) = (args.into(), kwargs.into()) else {
        panic!("a list and a dict")
    };
    let mut answer = match client.call(procedure, args, kwargs).await {
        Ok(value) => value.to_json(),
        Err(OcsError::Remote { uri, args }) => json!({"error": uri, "args": Value::List(args).to_json()}),
        Err(error) => json!({"error": error.to_string()}),
    };
    blur(&mut answer, "");
    answer
}

/// Takes out what differs from run to run and from agent to agent: times, numbers in texts, process ids, docstrings,
/// the data of operations (each has its own), and the address.
fn blur(value: &mut Json, key: &str) {
    match (key, &mut *value) {
        (_, Json::Object(entries)) => {
            for (key, entry) in entries {
                blur(entry, key);
            }
        }
        (_, Json::Array(items)) => {
            for item in items {
                blur(item, key);
            }
        }
        ("start_time" | "end_time" | "instance_pid" | "update_timestamp" | "messages", Json::Number(_)) => {
            *value = json!("a number");
        }
        ("docstring", Json::Null) => *value = json!("a text"),
        ("docstring" | "session_id" | "address" | "agent_address", Json::String(_)) => {
            *value = json!("a text")
        }
        (_, Json::String(text)) if text.contains(" after ") => {
            text.retain(|c| !c.is_ascii_digit() && c != '.')
        }
        _ => {}
    }
    if key == "data" && value.is_object() {
        *value = json!({});
    }
}
