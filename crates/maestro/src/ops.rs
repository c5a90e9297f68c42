//! The manager as an OCS agent: its operations, its feeds, and procedures for what the console and commands show.

use std::time::Duration;

use campanile_control::Workers;
use campanile_control::journal::Journal;
use campanile_ocs::agent::{
    Agent, AgentBuilder, AgentConfig, FeedSpec, OpContext, Param, ParamSpec, ProcessSpec, TaskSpec,
};
use campanile_wamp::error::uris;
use campanile_wamp::{Value, WampError};
use serde_json::json;

use crate::manager::{AggregatorFigures, Manager};

/// The record feed of coverage: `percent`, `expected`, `fresh`.
pub const COVERAGE_FEED: &str = "coverage";
/// The record feed of load: for each aggregator the units it carries, the producers it is connected to, the sets that are
/// late to it, and the updates it has left out because the one before had not ended.
pub const LOAD_FEED: &str = "load";
/// How often both are published.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);

const MANAGER_DOC: &str = "manager()

        **Process** - Keeps the cluster covered: watches all daemons,
        configures what is missing, moves producers from aggregators
        that fail, and moves them back.

        Notes:

          It runs from the start of the agent. session.data has the
          entry 'coverage'; the procedure '.status' has everything.
          The feeds 'coverage' and 'load' are for recording.

        ";

/// Makes an agent of a manager.
#[must_use]
pub fn agent(config: AgentConfig, manager: &Manager, journal: &Journal, workers: &Workers) -> Agent {
    let process = ProcessSpec::new("manager").doc(MANAGER_DOC).startup(json!({}));
    let aggregator = || ParamSpec::of([Param::new("aggregator")]);
    let task = |name: &str, doc: &str, params| TaskSpec::new(name).doc(doc).params(params);
    let drain =
        task("drain", "drain(aggregator)\n\n**Task** - Moves everything from an aggregator.", aggregator());
    let undrain =
        task("undrain", "undrain(aggregator)\n\n**Task** - Lets an aggregator carry again.", aggregator());
    let rebalance = task("rebalance", "rebalance()\n\n**Task** - Evens the load now.", ParamSpec::none());
    let (m1, m2, m3, m4) = (manager.clone(), manager.clone(), manager.clone(), manager.clone());
    let (s1, s2, s3) = (manager.clone(), manager.clone(), manager.clone());
    AgentBuilder::new(config)
        .feed(FeedSpec::record(COVERAGE_FEED))
        .feed(FeedSpec::record(LOAD_FEED))
        .process(process, move |context, _params| {
            let manager = m1.clone();
            async move { run(&context, &manager).await }
        })
        .task(drain, move |context, params| {
            let manager = m2.clone();
            async move { set_drained(&context, &manager, &params, true).await }
        })
        .task(undrain, move |context, params| {
            let manager = m3.clone();
            async move { set_drained(&context, &manager, &params, false).await }
        })
        .task(rebalance, move |context, _params| {
            let manager = m4.clone();
            async move {
                manager.rebalance(context.actor().cloned());
                Ok("The load is being evened.".to_owned())
            }
        })
        .procedure(".status", move |_args, _kwargs| {
            let status = s1.status();
            async move { Ok(Value::from(status)) }
        })
        .procedure(".plan", move |_args, _kwargs| {
            let plan = s2.plan();
            async move { Ok(Value::from(plan)) }
        })
        .procedure(".why", move |args, _kwargs| {
            let name = args.first().and_then(Value::as_str).unwrap_or_default().to_owned();
            let answer = s3.why(&name);
            async move {
                answer
                    .map(Value::from)
                    .map_err(|text| WampError::new(uris::INVALID_ARGUMENT, text))
            }
        })
        .journal(journal, workers, &["drain", "undrain", "rebalance"])
        .spawn()
}

async fn set_drained(
    context: &OpContext,
    manager: &Manager,
    params: &serde_json::Value,
    drained: bool,
) -> Result<String, String> {
    let name = params["aggregator"].as_str().ok_or("aggregator must be a name")?;
    manager.drain(name, drained, context.actor().cloned())?;
    // What was promised to an operator outlives a manager that is killed in the next moment.
    manager.save_now().await;
    Ok(match drained {
        true => format!("{name} is being drained."),
        false => format!("{name} takes work again."),
    })
}

/// The process: what it manages runs all the time; here it is shown and published.
async fn run(context: &OpContext, manager: &Manager) -> Result<String, String> {
    let shown = manager.clone();
    context.set_data_provider(std::sync::Arc::new(move || json!({ "coverage": shown.coverage() })));
    while context.sleep(PUBLISH_EVERY).await {
        let agent = context.agent();
        let timestamp = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64());
        let figures = manager.figures();
        let late = |figures: &AggregatorFigures| figures.updates.is_some_and(|updates| updates.late_sets > 0);
        if let Some(coverage) = manager.coverage() {
            let stale = coverage.fresh_of_living < coverage.expected_of_living;
            context.set_degraded(stale || figures.iter().any(late));
            let data = json!({
                "percent": coverage.percent(), "expected": coverage.expected, "fresh": coverage.fresh,
            });
            // Without a router the message is gone, as with OCS.
            let _ = agent.publish(
                COVERAGE_FEED,
                Value::from(json!({"block_name": "coverage", "timestamp": timestamp, "data": data})),
            );
        }
        for group in manager.with(|conductor| conductor.groups()) {
            for member in group.members {
                let name = field_name(&member.daemon);
                let own = figures.iter().find(|figures| figures.name == member.daemon);
                let updates = own.and_then(|figures| figures.updates).unwrap_or_default();
                let data = json!({
                    format!("{name}_assigned"): member.assigned, format!("{name}_connected"): member.connected,
                    format!("{name}_late_sets"): updates.late_sets, format!("{name}_overruns"): updates.overruns,
                });
                let message = json!({"block_name": name, "timestamp": timestamp, "data": data});
                let _ = agent.publish(LOAD_FEED, Value::from(message));
            }
        }
    }
    Ok("The cluster is no longer shown; it is still looked after until the agent ends.".to_owned())
}

/// A name as OCS allows it for a field: letters, digits and underscores, a letter first.
fn field_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let text: String = name.chars().map(plain).collect();
    if text.starts_with(|c: char| c.is_ascii_alphabetic()) { text } else { format!("d_{text}") }
}
