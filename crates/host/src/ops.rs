//! The manager as an OCS agent: its operations, as documented for the OCS HostManager, and two procedures of our own.

use std::sync::Arc;
use std::time::Duration;

use campanile_ocs::agent::{
    Agent, AgentBuilder, AgentConfig, Param, ParamSpec, ParamType, ProcessSpec, TaskSpec,
};
use campanile_wamp::{Dict, Value, WampError};
use serde_json::json;
use tokio::sync::watch;

use crate::drive::logs::{From, LogStore, Page, Stream};
use crate::manager::Manager;

/// Lines that `.logs` gives when it is not told where to begin.
const DEFAULT_LINES: u64 = 100;
/// A call of `.logs` that waits for more to come waits no longer than this.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// How often a call of `.logs` that waits looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

const MANAGER_DOC: &str = r#"manager(requests=[], reload_config=True)

        **Process** - Keeps the instances of this host at their target
        states: launches those that should be up, launches them again
        when they end by themselves, and ends those that should be down.

        Args:

          requests (list): Target states to begin with, in the form that
            the Task ``update`` takes.
          reload_config (bool): Whether to forget what is known from an
            earlier run, and to begin with the targets of the site
            config file.

        Notes:

          When the process is stopped, all instances are brought down
          before it ends: SIGINT first, SIGTERM at half of the grace of
          the instance, SIGKILL of everything it started at its end.

          session.data has the entries:

          - 'child_states': a list with one dict per instance, with the
            keys 'instance_id', 'agent_class' ('[d]' or '[d?]' follows
            where docker keeps it), 'target_state', 'next_action' (which
            is the current state where nothing is to be done),
            'stability', 'operable', 'restart_required', and also 'pid',
            'since', 'restarts', 'last_exit', 'next_at' and 'reason'.
          - 'config_parse_status': a dict from file name, '[SCF]' for
            the site config file, to (success, timestamp, message).
          - 'orphans': a dict of orphaned docker containers.
          - 'new_tags': a dict from instance_id to a docker image tag
            that is not on this host yet.

        "#;

const UPDATE_DOC: &str = r#"update(requests=[], reload_config=False)

        **Task** - Sets the target states of instances; on request reads
        the site config file again before.

        Args:

          requests (list): Pairs (instance_id, target_state), carried
            out in this order. The instance_id 'all' means every
            instance; the target_state is 'up' or 'down'.
          reload_config (bool): Whether to read the site config file
            again. What is new in it is tracked, what is gone from it is
            brought down and forgotten, all else keeps its target. If
            the file cannot be used, the last good one stays in force
            and the Task fails; the requests are carried out all the
            same.

        Examples::

            update(requests=[('thermo1', 'down')])
            update(requests=[('all', 'up'), ('thermo1', 'down')])
            update(reload_config=True)

        Notes:

          The Task fails if the Process ``manager`` is not running. It
          does not wait until the targets are reached.

        "#;

const DIE_DOC: &str = r#"die(disown_dockers=False)

        **Task** - Stops the Process ``manager``, which brings down all
        instances, and then ends this agent.

        Args:

          disown_dockers (bool): Whether to leave docker containers as
            they are.

        "#;

const DOCKER_PULL_DOC: &str = r#"docker_pull()

        **Task** - Gets the images that the managed docker compose files
        name and that this host does not have.

        "#;

const REMOVE_ORPHANS_DOC: &str = r#"remove_orphans(stop_time=10.)

        **Task** - Stops and removes the containers that the managed
        docker compose files once had and have no more.

        "#;

/// Makes an agent of a manager. `has_docker` says whether it was given compose files. `dying` becomes true when the task `die` has done its work.
#[must_use]
pub fn agent(
    config: AgentConfig,
    manager: &Manager,
    logs: &Arc<LogStore>,
    has_docker: bool,
    dying: &watch::Sender<bool>,
) -> Agent {
    let requests = || Param::new("requests").default(json!([]));
    let reload = |default: bool| Param::new("reload_config").of_type(ParamType::Bool).default(default);
    let process = ProcessSpec::new("manager")
        .doc(MANAGER_DOC)
        .params(ParamSpec::of([requests(), reload(true)]))
        .startup(json!({}));
    let update = TaskSpec::new("update").doc(UPDATE_DOC).params(ParamSpec::of([requests(), reload(false)]));
    let disown = Param::new("disown_dockers").of_type(ParamType::Bool).default(false);
    let die = TaskSpec::new("die").doc(DIE_DOC).params(ParamSpec::of([disown]));
    let pull = TaskSpec::new("docker_pull").doc(DOCKER_PULL_DOC).params(ParamSpec::unchecked());
    let remove = TaskSpec::new("remove_orphans").doc(REMOVE_ORPHANS_DOC).params(ParamSpec::unchecked());

    let (for_process, for_update, for_die) = (manager.clone(), manager.clone(), manager.clone());
    let (for_plan, for_logs, logs, dying) =
        (manager.clone(), manager.clone(), Arc::clone(logs), dying.clone());
    AgentBuilder::new(config)
        .process(process, move |context, params| {
            let manager = for_process.clone();
            async move { manager.run(&context, &params).await }
        })
        .task(update, move |context, params| {
            let manager = for_update.clone();
            async move { manager.update(&context, &params).await }
        })
        .task(die, move |context, _params| {
            let (manager, dying) = (for_die.clone(), dying.clone());
            async move {
                if manager.is_running() {
                    context.message("Requesting exit of manager process.");
                    match stop_manager(&context.agent(), &manager).await {
                        true => context.message("... manager Process has exited."),
                        false => context.message("... timed-out waiting for manager Process exit!"),
                    }
                } else {
                    context.message("Manager process is not running.");
                }
                dying.send_replace(true);
                Ok("This HostManager should terminate in about 1 second.".to_owned())
            }
        })
        .task(pull, move |_context, _params| async move { docker(has_docker, "to pull for") })
        .task(remove, move |_context, _params| async move { docker(has_docker, "that could have orphans") })
        .procedure(".plan", move |_args, _kwargs| {
            let plan = for_plan.plan();
            async move { Ok(Value::from(plan)) }
        })
        .procedure(".logs", move |args, kwargs| {
            let (manager, logs) = (for_logs.clone(), Arc::clone(&logs));
            async move { read_logs(&manager, &logs, args, kwargs).await }
        })
        .spawn()
}

/// The tasks about docker: without compose files there is nothing to do, and with them nothing is done yet.
fn docker(has_docker: bool, what_for: &str) -> Result<String, String> {
    if has_docker {
        return Err("Docker compose files are not managed by this version.".to_owned());
    }
    Ok(format!("There are no docker compose files {what_for}."))
}

/// Stops the process `manager` and waits for its end, as long as its instances may take. Says whether it has ended.
pub async fn stop_manager(agent: &Agent, manager: &Manager) -> bool {
    const MARGIN: Duration = Duration::from_secs(15);
    let patience = Duration::from_millis(manager.longest_grace_ms()) + MARGIN;
    agent.stop("manager");
    let wait =
        vec![Value::from("wait"), Value::from("manager"), Value::Null, Value::from(patience.as_secs_f64())];
    let reply = agent.dispatch_ops(wait, Dict::new()).await.map(|reply| reply.to_json());
    reply.is_ok_and(|reply| reply[0] == 0)
}

/// What is asked of `.logs`.
struct Question {
    instance_id: String,
    streams: Vec<Stream>,
    lines: u64,
    offsets: [Option<u64>; 2],
    wait: Duration,
}

/// The procedure `{address}.logs` (instance_id, options): pages of what an instance has printed.
///
/// Options (a dict as second argument, or keywords): `stream` (`stdout` or `stderr`; both if absent), `lines` (so many
/// of the last ones), `offset` (where to read on: a number for one stream, or a dict by stream), `wait` (seconds to
/// wait for more if there is nothing at the offset, at most ten).
///
/// Answer: `{instance_id, streams: [{stream, offset, next_offset, end, skipped, text}]}`.
async fn read_logs(
    manager: &Manager,
    logs: &Arc<LogStore>,
    args: Vec<Value>,
    kwargs: Dict,
) -> Result<Value, WampError> {
    let question = Question::parse(&args, &kwargs).map_err(|why| WampError::new(INVALID_ARGUMENT, why))?;
    if !manager.knows(&question.instance_id) {
        let why = format!("no instance {} is managed here", question.instance_id);
        return Err(WampError::new(INVALID_ARGUMENT, why));
    }
    let deadline = tokio::time::Instant::now() + question.wait;
    let question = Arc::new(question);
    loop {
        let (asked, store) = (Arc::clone(&question), Arc::clone(logs));
        let pages = tokio::task::spawn_blocking(move || asked.read(&store)).await;
        let pages = pages
            .map_err(|error| error.to_string())
            .and_then(|pages| pages.map_err(|error| error.to_string()));
        let pages = pages.map_err(|why| WampError::new(campanile_wamp::error::uris::RUNTIME_ERROR, why))?;
        let is_empty = pages.iter().all(|page| page.text.is_empty());
        if !is_empty || tokio::time::Instant::now() >= deadline {
            return Ok(json!({ "instance_id": question.instance_id, "streams": pages }).into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

const INVALID_ARGUMENT: &str = campanile_wamp::error::uris::INVALID_ARGUMENT;

impl Question {
    fn parse(args: &[Value], kwargs: &Dict) -> Result<Self, String> {
        let options = args.get(1).map(Value::to_json).unwrap_or_else(|| json!({}));
        let option = |name: &str| {
            kwargs
                .get(name)
                .map(Value::to_json)
                .or_else(|| options.get(name).cloned())
                .filter(|value| !value.is_null())
        };
        let instance_id = args.first().map(Value::to_json).or_else(|| option("instance_id"));
        let instance_id =
            instance_id.and_then(|id| id.as_str().map(str::to_owned)).ok_or("instance_id is missing")?;
        let streams = match option("stream").as_ref().map(|name| name.as_str().unwrap_or_default()) {
            None | Some("both") => Stream::ALL.to_vec(),
            Some("stdout") => vec![Stream::Stdout],
            Some("stderr") => vec![Stream::Stderr],
            Some(other) => return Err(format!("stream must be stdout or stderr, not {other:?}")),
        };
        let lines = match option("lines") {
            None => DEFAULT_LINES,
            Some(value) => value.as_u64().ok_or_else(|| format!("lines must be a number, not {value}"))?,
        };
        let offset = option("offset");
        let offset_of = |stream: Stream| match &offset {
            Some(serde_json::Value::Object(by_stream)) => by_stream.get(stream.name())?.as_u64(),
            Some(number) => number.as_u64(),
            None => None,
        };
        let wait = option("wait").and_then(|value| value.as_f64()).unwrap_or(0.0);
        let wait = Duration::try_from_secs_f64(wait).unwrap_or_default().min(MAX_WAIT);
        Ok(Self { instance_id, streams, lines, offsets: Stream::ALL.map(offset_of), wait })
    }

    fn read(&self, store: &LogStore) -> std::io::Result<Vec<Page>> {
        let lines = usize::try_from(self.lines).unwrap_or(usize::MAX);
        let begin = |stream: Stream| {
            let offset = if stream == Stream::Stdout { self.offsets[0] } else { self.offsets[1] };
            offset.map_or(From::LastLines(lines), From::Offset)
        };
        self.streams.iter().map(|stream| store.read(&self.instance_id, *stream, begin(*stream))).collect()
    }
}
