//! The pool as an OCS agent: its process, its tasks, its record feed, and procedures of its own.

use std::sync::Arc;

use campanile_ocs::agent::{
    Agent, AgentBuilder, AgentConfig, FeedSpec, Param, ParamSpec, ParamType, ProcessSpec, TaskSpec,
};
use campanile_wamp::Value;
use serde_json::json;
use tokio::sync::watch;

use crate::adopt;
use crate::manager::{Ask, Pool};
use crate::report;

/// The record feed.
pub const FEED: &str = "pool";

const MANAGER_DOC: &str = r#"manager()

        **Process** - Keeps as many workers as the queue can use: looks
        at queue, workers and clouds, requests nodes, drains and removes
        them.

        Notes:

          Stopping the process lets the nodes go on as they are; they
          end themselves when their lease is over. session.data has the
          entries 'counts' (nodes by state), 'jobs', 'why' (the last
          decision in words), 'paused' and 'trouble'.

        "#;
const PAUSE_DOC: &str = "pause()

        **Task** - Creates and removes nothing until ``resume``. Survives a restart.

        ";
const RESUME_DOC: &str = "resume()

        **Task** - Ends a ``pause``.

        ";
const DRAIN_DOC: &str = "drain(node)

        **Task** - Lets a node finish its jobs, then removes it.

        Args:

          node (str): Its name.

        ";
const CORDON_DOC: &str = "cordon(node, undo=False)

        **Task** - Lets a node take no new jobs and keeps it, for somebody to look at; or undoes that.

        Args:

          node (str): Its name.
          undo (bool): Whether it is to take jobs again.

        ";
const SCALE_DOC: &str = "scale(min=None, max=None, spare=None, reset=False)

        **Task** - Sets other numbers than those of the configuration. They survive a restart.

        Args:

          min (int): Instead of nodes_min.
          max (int): Instead of nodes_max, which is never exceeded.
          spare (int): Instead of nodes_spare.
          reset (bool): Back to the configuration first.

        ";

/// Makes an agent of a pool. Its process starts by itself; `running` says whether it is to work.
#[must_use]
pub fn agent(config: AgentConfig, pool: &Arc<Pool>, running: &watch::Sender<bool>) -> Agent {
    let process = ProcessSpec::new("manager").doc(MANAGER_DOC).startup(json!({}));
    let task = |name: &str, doc: &str, params: Vec<Param>| {
        TaskSpec::new(name).doc(doc).params(ParamSpec::of(params))
    };
    let node = || Param::new("node").of_type(ParamType::Str);
    let number = |name: &str| Param::new(name).default(json!(null));
    let flag = |name: &str| Param::new(name).of_type(ParamType::Bool).default(false);
    let (for_process, running) = (Arc::clone(pool), running.clone());
    let mut builder =
        AgentBuilder::new(config).feed(FeedSpec::record(FEED)).process(process, move |context, _params| {
            let (pool, running) = (Arc::clone(&for_process), running.clone());
            async move {
                let data_of = Arc::clone(&pool);
                context.set_data_provider(Arc::new(move || data(&data_of)));
                running.send_replace(true);
                context.stop_requested().await;
                running.send_replace(false);
                Ok("Exited; the nodes go on.".to_owned())
            }
        });
    type ToAsk = fn(&serde_json::Value) -> Result<Ask, String>;
    let tasks: [(TaskSpec, ToAsk); 5] = [
        (task("pause", PAUSE_DOC, vec![]), |_| Ok(Ask::Pause)),
        (task("resume", RESUME_DOC, vec![]), |_| Ok(Ask::Resume)),
        (task("drain", DRAIN_DOC, vec![node()]), |params| Ok(Ask::Drain(text(&params["node"])))),
        (task("cordon", CORDON_DOC, vec![node(), flag("undo")]), |params| {
            Ok(Ask::Cordon(text(&params["node"]), params["undo"] != json!(true)))
        }),
        (
            task("scale", SCALE_DOC, vec![number("min"), number("max"), number("spare"), flag("reset")]),
            |params| {
                let count = |name: &str| match &params[name] {
                    serde_json::Value::Null => Ok(None),
                    value => {
                        value.as_u64().map(Some).ok_or_else(|| format!("`{name}` is a number from 0 on"))
                    }
                };
                Ok(Ask::Scale {
                    min: count("min")?,
                    max: count("max")?,
                    spare: count("spare")?,
                    reset: params["reset"] == json!(true),
                })
            },
        ),
    ];
    for (spec, to_ask) in tasks {
        let pool = Arc::clone(pool);
        builder = builder.task(spec, move |_context, params| {
            let pool = Arc::clone(&pool);
            async move { pool.ask(to_ask(&params)?).await }
        });
    }
    let (for_status, for_plan, for_adopt) = (Arc::clone(pool), Arc::clone(pool), Arc::clone(pool));
    builder
        .procedure(".status", move |_args, _kwargs| {
            let status = report::status(&for_status);
            async move { Ok(Value::from(status)) }
        })
        .procedure(".plan", move |_args, _kwargs| {
            let plan = report::plan(&for_plan);
            async move { Ok(Value::from(plan)) }
        })
        .procedure(".adopt", move |args, _kwargs| {
            let pool = Arc::clone(&for_adopt);
            async move {
                let question = args.first().map(Value::to_json).unwrap_or_default();
                Ok(Value::from(adopt::adopt(&pool, &question).await))
            }
        })
        .journal(&pool.journal, &pool.workers, &[])
        .spawn()
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn data(pool: &Pool) -> serde_json::Value {
    let sight = pool.sight();
    json!({
        "counts": report::counts(&sight),
        "jobs": report::jobs(&sight),
        "why": sight.plan.why,
        "paused": sight.memory.controls.paused,
        "trouble": [sight.record_trouble, sight.config_trouble],
    })
}
