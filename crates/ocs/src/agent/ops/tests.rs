//! The replies, case by case, and what must hold over any sequence of requests.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::agent::params::{Param, ParamType};

const ANYONE: Caller<'static> = Caller::Client { password: None };

fn table() -> OpTable {
    let op = |name: &str, op_type, abortable, min_privs| OpInfo {
        name: name.to_owned(),
        op_type,
        doc: Some(format!("{name}()")),
        blocking: false,
        abortable,
        min_privs,
        params: ParamSpec::of([Param::new("reload_config").of_type(ParamType::Bool).default(false)]),
    };
    let mut table = OpTable::new(AccessControl::none(0.0));
    table.declare(op("update", OpType::Task, false, CredLevel::Blocked));
    table.declare(op("delay", OpType::Task, true, CredLevel::Basic));
    table.declare(op("secret", OpType::Task, true, CredLevel::Advanced));
    table.declare(op("manager", OpType::Process, false, CredLevel::Basic));
    table
}

fn start(table: &mut OpTable, name: &str, params: Value) -> Value {
    match table.start(name, &params, ANYONE, 10.0) {
        Start::Refused(reply) | Start::Started { reply, .. } => reply.into_json(),
    }
}

fn stop(table: &mut OpTable, kind: StopKind, name: &str) -> Value {
    match table.stop(kind, name, ANYONE, 20.0) {
        Stop::Refused(reply) | Stop::Requested { reply, .. } => reply.into_json(),
    }
}

fn wait(table: &OpTable, name: &str) -> Option<Value> {
    match table.wait(name) {
        Wait::Answer(reply) => Some(reply.into_json()),
        Wait::Until(_) => None,
    }
}

fn finish(table: &mut OpTable, name: &str, session_id: u64, success: bool) {
    table.session_mut(name, session_id).unwrap().finish(success, 30.0);
}

#[test]
fn before_anything_ran_the_replies_are_those_of_ocs() {
    let mut table = table();
    assert_eq!(table.status("update").into_json(), json!([0, "No session active.", {}]));
    assert_eq!(table.status("nosuch").into_json(), json!([-1, "No task or process called \"nosuch\"", {}]));
    assert_eq!(wait(&table, "update"), Some(json!([0, "Idle.", {}])));
    assert_eq!(wait(&table, "nosuch"), Some(json!([-1, "Unknown operation \"nosuch\".", {}])));
    assert_eq!(
        start(&mut table, "nosuch", json!({})),
        json!([-1, "No task or process called \"nosuch\"", {}])
    );
    assert_eq!(stop(&mut table, StopKind::Abort, "delay"), json!([-1, "No session active.", {}]));
    assert_eq!(
        stop(&mut table, StopKind::Stop, "nosuch"),
        json!([-1, "No operation called \"nosuch\".", {}])
    );
}

#[test]
fn a_start_is_answered_with_a_session_that_is_starting() {
    let mut table = table();
    let reply = start(&mut table, "manager", json!(null));
    assert_eq!((&reply[0], &reply[1]), (&json!(0), &json!("Started process \"manager\".")));
    assert_eq!((&reply[2]["status"], &reply[2]["op_code"]), (&json!("starting"), &json!(2)));
    assert_eq!(start(&mut table, "update", json!({}))[1], "Started task \"update\".");
    assert_eq!(table.status("update").into_json()[2]["session_id"], 1, "one counter for the whole agent");
    let again = start(&mut table, "manager", json!({}));
    assert_eq!((&again[0], &again[1]), (&json!(-1), &json!("Operation \"manager\" already in progress.")));
    assert_eq!(again[2]["session_id"], 0);
}

#[test]
fn a_refused_start_leaves_the_record_of_the_last_run() {
    let mut table = table();
    start(&mut table, "delay", json!({}));
    finish(&mut table, "delay", 0, true);
    let refused = start(&mut table, "delay", json!({"foo": 1}));
    assert_eq!(refused, json!([-1, "params included unexpected values: ['foo']", {}]));
    assert_eq!(table.status("delay").into_json()[2]["session_id"], 0);
}

#[test]
fn a_caller_of_too_low_a_level_is_told_so() {
    let mut table = table();
    let text = "The action requires credential level 2-ADVANCED but the client has only level 1-BASIC";
    let remark = format!("{text} No access policy -- level 1 for all.");
    assert_eq!(start(&mut table, "secret", json!({})), json!([-1, remark, {}]));
    assert_eq!(stop(&mut table, StopKind::Abort, "secret"), json!([-1, text, {}]));
}

#[test]
fn a_wait_is_answered_when_the_run_has_ended() {
    let mut table = table();
    start(&mut table, "delay", json!({}));
    assert!(wait(&table, "delay").is_none());
    let timed_out = table.wait_timed_out("delay").into_json();
    assert_eq!(
        (&timed_out[0], &timed_out[1]),
        (&json!(1), &json!("Operation \"delay\" still running; wait timed out."))
    );
    finish(&mut table, "delay", 0, false);
    let reply = wait(&table, "delay").unwrap();
    assert_eq!(
        (&reply[0], &reply[1]),
        (&json!(0), &json!("Operation \"delay\" is currently not running (FAILED)."))
    );
}

#[test]
fn each_kind_of_operation_has_its_own_way_to_end() {
    let mut table = table();
    for name in ["manager", "delay", "update"] {
        start(&mut table, name, json!({}));
    }
    let text = |reply: &Value| reply[1].as_str().unwrap().to_owned();
    let reply = stop(&mut table, StopKind::Stop, "delay");
    assert_eq!(text(&reply), "Cannot \"stop\" \"delay\" because it is a \"task\".");
    let reply = stop(&mut table, StopKind::Abort, "manager");
    assert_eq!(text(&reply), "Cannot \"abort\" \"manager\" because it is a \"process\".");
    let reply = stop(&mut table, StopKind::Abort, "update");
    assert_eq!(text(&reply), "Cannot \"abort\" \"update\" because it is not abortable.");
    let reply = stop(&mut table, StopKind::Stop, "manager");
    assert_eq!(text(&reply), "Requested stop on process \"manager\".");
    assert_eq!(reply[2]["status"], "stopping");
    let reply = stop(&mut table, StopKind::Stop, "manager");
    assert_eq!(reply, json!([-1, "The operation is already stopping", {}]));
    let id = table.active().iter().find(|(name, _, _)| name == "manager").unwrap().2;
    finish(&mut table, "manager", id, true);
    let reply = stop(&mut table, StopKind::Stop, "manager");
    assert_eq!(reply, json!([-1, "The operation is already done", {}]));
}

#[test]
fn a_heartbeat_lists_operations_in_the_order_of_declaration() {
    let mut table = table();
    start(&mut table, "manager", json!({}));
    let codes: Vec<(&str, OpCode)> = table.op_codes().collect();
    assert_eq!(
        codes,
        [
            ("update", OpCode::None),
            ("delay", OpCode::None),
            ("secret", OpCode::None),
            ("manager", OpCode::Starting)
        ]
    );
}

#[test]
fn an_old_session_cannot_be_written_to_through_a_new_one() {
    let mut table = table();
    start(&mut table, "delay", json!({}));
    finish(&mut table, "delay", 0, true);
    start(&mut table, "delay", json!({}));
    assert!(table.session_mut("delay", 0).is_none());
    assert!(table.session_mut("delay", 1).is_some());
}

#[derive(Clone, Debug)]
enum Step {
    Start(usize),
    Stop(usize),
    Abort(usize),
    Finish(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let op = 0..4_usize;
    prop_oneof![
        op.clone().prop_map(Step::Start),
        op.clone().prop_map(Step::Stop),
        op.clone().prop_map(Step::Abort),
        (op, any::<bool>()).prop_map(|(op, ok)| Step::Finish(op, ok)),
    ]
}

proptest! {
    #[test]
    fn session_numbers_only_grow_and_one_run_at_a_time_is_active(steps in proptest::collection::vec(step(), 0..60)) {
        let names = ["update", "delay", "secret", "manager"];
        let mut table = table();
        let mut newest: Option<u64> = None;
        for step in steps {
            match step {
                Step::Start(op) => {
                    let was_active = table.active().iter().any(|(name, _, _)| name == names[op]);
                    if let Start::Started { session_id, .. } = table.start(names[op], &Value::Null, ANYONE, 1.0) {
                        prop_assert!(!was_active);
                        prop_assert_eq!(session_id, newest.map_or(0, |id| id + 1));
                        newest = Some(session_id);
                    } else {
                        prop_assert!(was_active || names[op] == "secret");
                    }
                }
                Step::Stop(op) => { stop(&mut table, StopKind::Stop, names[op]); }
                Step::Abort(op) => { stop(&mut table, StopKind::Abort, names[op]); }
                Step::Finish(op, ok) => {
                    let active = table.active();
                    if let Some((name, _, id)) = active.iter().find(|(name, _, _)| name == names[op]) {
                        finish(&mut table, name, *id, ok);
                        prop_assert!(wait(&table, name).is_some());
                    }
                }
            }
        }
    }
}
