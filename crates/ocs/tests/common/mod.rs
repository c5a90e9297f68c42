//! A Rust agent with the operations of OCS's FakeDataAgent, so that both can be asked the same things.

#[allow(dead_code, reason = "only tests that have a peer compare answers")]
pub(crate) mod interview;

use std::time::{Duration, Instant};

use campanile_ocs::agent::{
    AgentBuilder, AgentConfig, FeedSpec, OpContext, Param, ParamSpec, ParamType, ProcessSpec, TaskSpec,
    unix_now_s,
};
use campanile_wamp::{Dict, Value};
use serde_json::json;

/// The agent.
pub(crate) fn faker(config: AgentConfig) -> AgentBuilder {
    let acq_params = ParamSpec::of([
        Param::new("test_mode").of_type(ParamType::Bool).default(false),
        Param::new("degradation_period").of_type(ParamType::Float).default(json!(null)),
    ]);
    let delay_params = ParamSpec::of([
        Param::new("succeed").of_type(ParamType::Bool).default(true),
        Param::new("delay").of_type(ParamType::Float).default(5.0).check(|value| value.as_f64() >= Some(0.0)),
    ]);
    let heartbeat_params = ParamSpec::of([Param::new("heartbeat").of_type(ParamType::Bool).default(true)]);
    AgentBuilder::new(config)
        .feed(FeedSpec::record("false_temperatures").agg_params(Dict::new().with("frame_length", 60)))
        .process(ProcessSpec { blocking: true, ..ProcessSpec::new("acq").params(acq_params) }, acq)
        .process(ProcessSpec::new("count").params(ParamSpec::unchecked()), count)
        .task(
            TaskSpec { blocking: true, ..TaskSpec::new("set_heartbeat").params(heartbeat_params) },
            set_heartbeat,
        )
        .task(TaskSpec::new("delay_task").params(delay_params).abortable(), delay_task)
}

async fn acq(context: OpContext, params: serde_json::Value) -> Result<String, String> {
    let agent = context.agent();
    while context.sleep(Duration::from_millis(200)).await {
        let timestamp = unix_now_s();
        let block = json!({"block_name": "temps", "timestamps": [timestamp], "data": {"channel_00": [0.1]}});
        // Without a router the samples are lost, as with OCS.
        let _ = agent.publish("false_temperatures", Value::from(block));
        context.set_data(json!({"fields": {"channel_00": 0.1}, "timestamp": timestamp}));
        if params["test_mode"] == true {
            break;
        }
    }
    Ok("Acquisition exited cleanly.".to_owned())
}

async fn count(context: OpContext, _params: serde_json::Value) -> Result<String, String> {
    context.set_data(json!({"counter": 0, "last_update": unix_now_s()}));
    while context.sleep(Duration::from_secs(1)).await {
        context.with_data(|data| data["counter"] = json!(data["counter"].as_i64().unwrap_or(0) + 1));
    }
    Ok("Exited on request.".to_owned())
}

async fn set_heartbeat(context: OpContext, params: serde_json::Value) -> Result<String, String> {
    let on = params["heartbeat"] == true;
    context.agent().set_heartbeat(on);
    Ok(format!("Set heartbeat_on: {}", if on { "True" } else { "False" }))
}

async fn delay_task(context: OpContext, params: serde_json::Value) -> Result<String, String> {
    let delay_s = params["delay"].as_f64().unwrap_or(0.0);
    let begun = Instant::now();
    context.set_data(json!({"requested_delay": delay_s, "delay_so_far": 0.0}));
    let undisturbed = context.sleep(Duration::from_secs_f64(delay_s)).await;
    let so_far = begun.elapsed().as_secs_f64();
    context.with_data(|data| data["delay_so_far"] = json!(so_far));
    if !undisturbed {
        return Err(format!("Aborted after {so_far:.1} seconds"));
    }
    let text = format!("Exited after {so_far:.1} seconds");
    if params["succeed"] == true { Ok(text) } else { Err(text) }
}
