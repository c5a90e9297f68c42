//! The rules of parameters, of argument lists and of feeds, compared with what the Python package does with the same
//! input.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is wrong")]

#[path = "common/python.rs"]
mod python;

use campanile_ocs::agent::call::OpsCall;
use campanile_ocs::agent::feed::{Feed, Publisher, check_field_name};
use campanile_ocs::agent::{FeedSpec, Param, ParamSpec, ParamType};
use campanile_testkit::Peers;
use campanile_wamp::Value;
use python::python_answers;
use serde_json::{Value as Json, json};

fn values() -> Vec<Json> {
    vec![
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(1),
        json!(-3),
        json!(5.0),
        json!(2.5),
        json!(1e20),
        json!(1.25e-7),
        json!(123_456_789_012_345_680.0),
        json!(""),
        json!("yes"),
        json!("it's \"so\"\n\t\\ é\u{7f}"),
        json!([]),
        json!([1, "a", null, [true, 2.5e-5]]),
        json!({}),
        json!({"a": 1.5, "b c": ["x", {}]}),
    ]
}

#[test]
fn parameters_are_taken_and_refused_as_by_ocs() {
    let Some(peers) = Peers::require() else { return };
    let types = [
        (None, "None"),
        (Some(ParamType::Bool), "bool"),
        (Some(ParamType::Int), "int"),
        (Some(ParamType::Float), "float"),
        (Some(ParamType::Number), "(int, float)"),
        (Some(ParamType::Str), "str"),
        (Some(ParamType::List), "list"),
        (Some(ParamType::Dict), "dict"),
    ];
    let (mut cases, mut ours) = (Vec::new(), Vec::new());
    for (kind, python_type) in types {
        for default in [None, Some(json!(null)), Some(json!(7))] {
            for choices in [Vec::new(), vec![json!(1), json!("yes"), json!(2.5)]] {
                for null_is_a_value in [false, true] {
                    // A default must fit the type and the choices, in OCS and here; 7 does not always.
                    let fits = choices.is_empty()
                        && matches!(kind, None | Some(ParamType::Int | ParamType::Float | ParamType::Number));
                    if default == Some(json!(7)) && !fits {
                        continue;
                    }
                    let mut param = Param::new("v").choices(choices.clone());
                    if let Some(kind) = kind {
                        param = param.of_type(kind);
                    }
                    if let Some(default) = &default {
                        param = param.default(default.clone());
                    }
                    if null_is_a_value {
                        param = param.null_is_a_value();
                    }
                    let spec = ParamSpec::of([param]);
                    let given = values().into_iter().map(|value| json!({"v": value}));
                    let odd =
                        [json!(null), json!({}), json!({"w": 1, "x's": 2}), json!([]), json!("v"), json!(5)];
                    for given in given.chain(odd) {
                        ours.push(match spec.check(&given) {
                            Ok(taken) => json!({"ok": taken}),
                            Err(error) => json!({"error": error.0}),
                        });
                        cases.push(
                            json!({"type": python_type, "default": default, "has_default": default.is_some(),
                            "choices": choices, "null": null_is_a_value, "given": given}),
                        );
                    }
                }
            }
        }
    }
    let answer = r#"
from ocs.ocs_agent import ParamHandler, ParamError
def answer(case):
    kw = {"type": eval(case["type"]), "treat_none_as_missing": not case["null"]}
    if case["has_default"]: kw["default"] = case["default"]
    if case["choices"]: kw["choices"] = case["choices"]
    try:
        return {"ok": ParamHandler(case["given"]).batch([("v", kw)])}
    except ParamError as err:
        return {"error": err.msg}
    except Exception as err:
        return {"error": f"CRASH: during param pre-processing: {err}"}
"#;
    let theirs = python_answers(&peers, answer, &cases);
    assert!(cases.len() > 1000);
    for ((case, ours), theirs) in cases.iter().zip(&ours).zip(&theirs) {
        // Python hands an int parameter that was given as true on as True, which counts as 1; here it is made 1.
        let is_flag = ours["ok"]["v"].is_number() && theirs["ok"]["v"].is_boolean();
        let same = if is_flag {
            ours["ok"]["v"].as_f64() == Some(f64::from(u8::from(theirs["ok"]["v"] == true)))
        } else {
            ours == theirs
        };
        assert!(same, "{case}\nours:   {ours}\ntheirs: {theirs}");
    }
}

#[test]
fn argument_lists_that_do_not_fit_are_refused_in_the_words_of_python() {
    let Some(peers) = Peers::require() else { return };
    let cases = [
        json!([[], {}]),
        json!([["start"], {}]),
        json!([[], {"op_name": "x"}]),
        json!([[], {"action": "x"}]),
        json!([["start", "x"], {"op_name": "y"}]),
        json!([["start", "x"], {"foo": 1}]),
        json!([["a", "b", "c", "d", "e", "f"], {}]),
        json!([["a", "b", "c", "d", "e", "f", "g"], {"foo": 1}]),
        json!([["a", "b", "c", "d", "e", "f"], {"action": 1}]),
        json!([[], {"foo": 1}]),
    ];
    let ours: Vec<Json> = cases
        .iter()
        .map(|case| {
            let (Value::List(args), Value::Dict(kwargs)) = (case[0].clone().into(), case[1].clone().into())
            else {
                panic!("a list and a dict")
            };
            OpsCall::from_arguments(args, kwargs).unwrap_err().message().unwrap().into()
        })
        .collect();
    let answer = r#"
from ocs.ocs_agent import OCSAgent
agent = OCSAgent.__new__(OCSAgent)
def answer(case):
    try:
        agent._ops_handler(*case[0], **case[1])
    except TypeError as err:
        return str(err)
"#;
    assert_eq!(ours, python_answers(&peers, answer, &cases));
}

#[test]
fn field_names_are_judged_as_by_ocs() {
    let Some(peers) = Peers::require() else { return };
    let mut names =
        vec![String::new(), "x".repeat(255), "x".repeat(256), "é".into(), "a\n".into(), "_".repeat(300)];
    for first in ["", "_", "__", "1", "a", "Z"] {
        for second in ["", "_", "1", "b", "-", " ", ".", "_9z"] {
            names.push(format!("{first}{second}"));
        }
    }
    let cases: Vec<Json> = names.iter().map(|name| json!(name)).collect();
    let ours: Vec<Json> = names.iter().map(|name| json!(check_field_name(name).is_ok())).collect();
    let answer = r#"
from ocs.ocs_feed import Feed
def answer(case):
    try:
        return Feed.verify_data_field_string(case)
    except ValueError:
        return False
"#;
    let theirs = python_answers(&peers, answer, &cases);
    for ((name, ours), theirs) in names.iter().zip(ours).zip(theirs) {
        assert_eq!(ours, theirs, "{name:?}");
    }
}

#[test]
fn record_feeds_publish_what_ocs_publishes() {
    let Some(peers) = Peers::require() else { return };
    let tags = json!({"x": {"_field": "temperature", "channel": 1}});
    let cases = [
        json!({"block_name": "b", "timestamp": 1.5, "data": {"x": 1}}),
        json!({"block_name": "b", "timestamps": [1.5, 2], "data": {"x": [true, "s"]}}),
        json!({"block_name": "b", "timestamp": 1.5, "data": {"x": 1}, "influxdb_tags": tags}),
        json!({"block_name": "b", "timestamp": 2.5, "data": {"x": 2}}),
        json!({"block_name": "b", "timestamp": 2.5, "data": {"y": 2}}),
        json!({"block_name": "c", "timestamp": 2.5, "data": {"x": 2, "y": [1]}, "influxdb_tags": tags}),
        json!({"block_name": "c", "timestamp": 2.5, "data": {"x": 2, "y": {}}}),
        json!({"block_name": "c", "timestamp": 2.5, "data": {"x": null}}),
        json!({"block_name": "d", "timestamp": 2.5, "data": {"x": 1}, "influxdb_tags": {"x": {}}}),
        json!({"block_name": "d", "timestamp": 2.5, "data": {"x": 1}, "influxdb_tags": {"x": {"_field": 1}, "y": {"_field": 1}}}),
        json!({"block_name": "d", "data": {"x": 1}}),
        json!({"block_name": "e", "timestamps": [1], "data": {"x": [1, 2]}}),
        json!({"timestamp": 1, "data": {"x": 1}}),
        json!({"block_name": "f", "timestamp": 1}),
    ];
    let publisher = Publisher {
        agent_address: "observatory.a".into(),
        agent_class: "A".into(),
        session_id: "1795344054.118503".into(),
    };
    let mut feed = Feed::new(FeedSpec::record("temps"), &publisher);
    let ours: Vec<Json> = cases
        .iter()
        .map(|case| {
            feed.event(case.clone().into())
                .map_or(json!(null), |event| event.values().unwrap().0[0].to_json())
        })
        .collect();
    let answer = r#"
from ocs import ocs_feed
ocs_feed.in_reactor_context = lambda: True
class Agent:
    agent_address, agent_session_id, class_name = "observatory.a", "1795344054.118503", "A"
    def publish(self, address, event):
        self.event = json.loads(json.dumps(event))
agent = Agent()
feed = ocs_feed.Feed(agent, "temps", record=True)
def answer(case):
    try:
        feed.publish_message(case)
        return agent.event
    except Exception:
        # A block that was refused half way is left in the original's cache, and spoils what follows.
        feed.blocks = {k: b for k, b in feed.blocks.items() if not b.timestamps}
        return None
"#;
    let theirs = python_answers(&peers, answer, &cases);
    for ((case, ours), theirs) in cases.iter().zip(ours).zip(theirs) {
        assert_eq!(ours, theirs, "{case}");
    }
}
