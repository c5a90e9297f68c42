//! An agent without a bus: its operations run, wait, stop and fail as they would on one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends at the first thing that is wrong")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use campanile_ocs::agent::{Agent, AgentBuilder, AgentConfig, ProcessSpec, TaskSpec};
use campanile_wamp::{Dict, Value, WampError};
use serde_json::json;

fn config() -> AgentConfig {
    AgentConfig::new("observatory", "faker1", "FakeDataAgent")
}

async fn ops(agent: &Agent, args: serde_json::Value) -> serde_json::Value {
    let Value::List(args) = Value::from(args) else { panic!("a list") };
    agent.dispatch_ops(args, Dict::new()).await.unwrap().to_json()
}

async fn until(is_so: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(tokio::time::Instant::now() < deadline, "what was waited for never came");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn texts(reply: &serde_json::Value) -> Vec<String> {
    let messages = reply[2]["messages"].as_array().unwrap();
    messages.iter().map(|message| message[1].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_task_runs_and_everyone_who_waits_learns_its_end() {
    let agent = common::faker(config()).spawn();
    let started = ops(&agent, json!(["start", "delay_task", {"delay": 0.05}])).await;
    assert_eq!((&started[0], &started[2]["op_code"]), (&json!(0), &json!(2)));
    let (one, two) = tokio::join!(
        ops(&agent, json!(["wait", "delay_task"])),
        ops(&agent, json!(["wait", "delay_task", null, 20.0]))
    );
    assert_eq!(one, two);
    assert_eq!(one[1], "Operation \"delay_task\" is currently not running (SUCCEEDED).");
    let texts = texts(&one);
    assert_eq!(texts[..2], ["Status is now \"starting\".", "Status is now \"running\"."]);
    assert!(texts[2].starts_with("Exited after 0."), "{texts:?}");
    assert_eq!(texts[3..], ["Status is now \"done\"."]);
    assert_eq!(one[2]["data"]["requested_delay"], 0.05);
}

#[tokio::test]
async fn a_wait_ends_at_its_timeout_and_not_before_the_run_if_it_has_none() {
    let agent = common::faker(config()).spawn();
    ops(&agent, json!(["start", "delay_task", {"delay": 30}])).await;
    for timeout in [json!(0), json!(-1), json!(0.02)] {
        let reply = ops(&agent, json!(["wait", "delay_task", null, timeout])).await;
        assert_eq!((&reply[0], &reply[2]["status"]), (&json!(1), &json!("running")));
    }
    let waiting = tokio::spawn({
        let agent = agent.clone();
        async move { ops(&agent, json!(["wait", "delay_task"])).await }
    });
    let aborted = ops(&agent, json!(["abort", "delay_task"])).await;
    assert_eq!((&aborted[0], &aborted[2]["status"]), (&json!(0), &json!("stopping")));
    let reply = waiting.await.unwrap();
    assert_eq!(reply[1], "Operation \"delay_task\" is currently not running (FAILED).");
    assert!(texts(&reply).iter().any(|text| text.starts_with("Aborted after ")), "{reply}");
}

#[tokio::test]
async fn a_process_runs_until_it_is_stopped() {
    let agent = common::faker(config()).spawn();
    ops(&agent, json!(["start", "count", []])).await;
    let stopped = ops(&agent, json!(["stop", "count"])).await;
    assert_eq!(stopped[1], "Requested stop on process \"count\".");
    let done = ops(&agent, json!(["wait", "count"])).await;
    assert_eq!((&done[2]["success"], &done[2]["op_code"]), (&json!(true), &json!(5)));
}

#[tokio::test]
async fn a_panic_fails_the_run_and_leaves_the_agent_alone() {
    let agent = AgentBuilder::new(config())
        .task(TaskSpec::new("broken"), |_context, _params| async { panic!("the probe fell off") })
        .task(TaskSpec::new("broken_early"), |_context, params| {
            assert!(params.is_null(), "parameters are never null");
            async { Ok(String::new()) }
        })
        .procedure(".broken", |_args, _kwargs| async { panic!("no answer") })
        .spawn();
    for (op, text) in
        [("broken", "CRASH: the probe fell off"), ("broken_early", "CRASH: parameters are never null")]
    {
        ops(&agent, json!(["start", op])).await;
        let reply = ops(&agent, json!(["wait", op])).await;
        assert_eq!((&reply[2]["success"], &reply[2]["op_code"]), (&json!(false), &json!(6)));
        assert!(texts(&reply).contains(&text.to_owned()), "{reply}");
    }
    let error = agent.dispatch("observatory.faker1.broken", Vec::new(), Dict::new()).await.unwrap_err();
    assert_eq!(error, WampError::new("wamp.error.runtime_error", "CRASH: no answer"));
}

#[tokio::test]
async fn data_can_be_given_when_it_is_asked_for_and_is_kept_when_the_run_ends() {
    let agent = AgentBuilder::new(config())
        .process(ProcessSpec::new("live"), |context, _params| async move {
            let asked = Arc::new(std::sync::atomic::AtomicU64::new(0));
            context.set_data_provider(Arc::new(
                move || json!({"asked": asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed)}),
            ));
            context.stop_requested().await;
            Ok("over".to_owned())
        })
        .spawn();
    ops(&agent, json!(["start", "live"])).await;
    until(|| agent.status("live")[2]["data"]["asked"].is_u64()).await;
    let first = agent.status("live");
    let second = agent.status("live");
    assert_eq!(first[2]["data"]["asked"].as_u64().map(|n| n + 1), second[2]["data"]["asked"].as_u64());
    agent.stop("live");
    let last = ops(&agent, json!(["wait", "live"])).await;
    assert_eq!(last[2]["data"], agent.status("live")[2]["data"], "after the end nobody is asked any more");
}

#[tokio::test]
async fn startup_operations_do_not_wait_for_a_bus_that_there_is_not() {
    let agent = AgentBuilder::new(config())
        .process(ProcessSpec::new("main").startup(json!({})), |context, _params| async move {
            context.stop_requested().await;
            Ok("over".to_owned())
        })
        .spawn();
    until(|| agent.status("main")[2]["status"] == "running").await;
}

#[tokio::test]
async fn the_end_of_an_agent_stops_what_can_be_stopped_and_cuts_off_the_rest() {
    let agent = common::faker(config())
        .task(TaskSpec::new("stubborn"), |_context, _params| async {
            std::future::pending::<()>().await;
            Ok(String::new())
        })
        .spawn();
    for op in ["count", "stubborn"] {
        assert_eq!(ops(&agent, json!(["start", op])).await[0], 0);
    }
    let waiting = tokio::spawn({
        let agent = agent.clone();
        async move { ops(&agent, json!(["wait", "stubborn"])).await }
    });
    until(|| agent.status("stubborn")[2]["status"] == "running").await;
    agent.shutdown(Duration::from_millis(50)).await;
    assert_eq!(agent.status("count")[2]["success"], true);
    assert_eq!(waiting.await.unwrap()[2]["success"], false);
    assert_eq!(ops(&agent, json!(["start", "count"])).await, json!([-1, "The agent is shutting down.", {}]));
}

#[tokio::test]
async fn procedures_of_other_agents_are_not_answered() {
    let agent = common::faker(config()).spawn();
    for procedure in ["observatory.faker2", "observatory.faker1.nosuch", "observatory.faker12.ops", ""] {
        let error = agent.dispatch(procedure, Vec::new(), Dict::new()).await.unwrap_err();
        assert_eq!(error.uri, "wamp.error.no_such_procedure");
    }
    let class = agent.dispatch("observatory.faker1", vec!["get_agent_class".into()], Dict::new()).await;
    assert_eq!(class, Ok("FakeDataAgent".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_callers_at_once_leave_nothing_running_and_nobody_waiting() {
    const CALLERS: usize = 16;
    const CALLS: usize = 200;
    let agent = common::faker(config()).spawn();
    let callers = (0..CALLERS).map(|caller| {
        let agent = agent.clone();
        tokio::spawn(async move {
            let mut started = Vec::new();
            for call in 0..CALLS {
                let args = match (caller * 7 + call * 13) % 6 {
                    0 => json!(["start", "delay_task", {"delay": 0.001}]),
                    1 => json!(["abort", "delay_task"]),
                    2 => json!(["wait", "delay_task"]),
                    3 => json!(["start", "count"]),
                    4 => json!(["stop", "count"]),
                    _ => json!(["wait", "count", null, 0.001]),
                };
                let reply = ops(&agent, args.clone()).await;
                if args[0] == "start" && reply[0] == 0 {
                    started.push(reply[2]["session_id"].as_u64().unwrap());
                }
            }
            started
        })
    });
    let callers: Vec<_> = callers.collect();
    let mut started = Vec::new();
    for caller in callers {
        let ended = tokio::time::timeout(Duration::from_secs(60), caller).await;
        started.extend(ended.expect("every call is answered").unwrap());
    }
    started.sort_unstable();
    assert_eq!(started, (0..started.len() as u64).collect::<Vec<_>>(), "each run has a number of its own");
    agent.shutdown(Duration::from_secs(10)).await;
    for op in ["delay_task", "count"] {
        assert_eq!(agent.status(op)[2]["status"], "done");
    }
}
