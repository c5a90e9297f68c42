//! The manager as an OCS agent: its operations, as documented for the OCS HostManager, and two procedures of our own.

use std::sync::Arc;
use std::time::Duration;

use campanile_ocs::agent::{
    Agent, AgentBuilder, AgentConfig, FeedSpec, Param, ParamSpec, ParamType, ProcessSpec, TaskSpec,
};
use campanile_wamp::{Dict, Value};
use serde_json::json;
use tokio::sync::watch;

use crate::drive::logs::LogStore;
use crate::log_pages;
use crate::manager::Manager;
use crate::records;

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
            instance; the target_state is 'up' or 'down', or 'restart',
            which stops what runs and launches it again (with the image
            that its compose file names now, if it is a container). With
            'all' that concerns only what runs and should.
          reload_config (bool): Whether to read the site config file
            and the docker compose files again. What is new in it is tracked, what is gone from it is
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

const DIE_DOC: &str = r#"die(disown_dockers=False, disown=False)

        **Task** - Stops the Process ``manager``, which brings down all
        instances, and then ends this agent.

        Args:

          disown_dockers (bool): Whether to leave docker containers as
            they are. The next HostManager finds those that run and goes
            on with them.
          disown (bool): Whether to leave everything running as it is,
            for the next HostManager of this host to adopt.

        "#;

const DOCKER_PULL_DOC: &str = r#"docker_pull()

        **Task** - Gets the images that the managed docker compose files
        name, as ``docker compose pull`` does. Its progress is told in
        the messages. It fails if any image cannot be had.

        Notes:

          Nothing is restarted by it. An instance for which a newer
          image has come has 'restart_required' set.

        "#;

const REMOVE_ORPHANS_DOC: &str = r#"remove_orphans(stop_time=10.)

        **Task** - Stops and removes the containers that the managed
        docker compose files once had and have no more.

        Args:

          stop_time (float): Seconds that a container has to stop before
            it is killed.

        Notes:

          It fails if one of them cannot be removed; the others are
          removed all the same.

        "#;

/// Makes an agent of a manager. `dying` becomes true when the task `die` has done its work.
#[must_use]
pub fn agent(
    config: AgentConfig,
    manager: &Manager,
    logs: &Arc<LogStore>,
    dying: &watch::Sender<bool>,
) -> Agent {
    let requests = || Param::new("requests").default(json!([]));
    let reload = |default: bool| Param::new("reload_config").of_type(ParamType::Bool).default(default);
    let process = ProcessSpec::new("manager")
        .doc(MANAGER_DOC)
        .params(ParamSpec::of([requests(), reload(true)]))
        .startup(json!({}));
    let update = TaskSpec::new("update").doc(UPDATE_DOC).params(ParamSpec::of([requests(), reload(false)]));
    let flag = |name: &str| Param::new(name).of_type(ParamType::Bool).default(false);
    let die = TaskSpec::new("die").doc(DIE_DOC);
    let die = die.params(ParamSpec::of([flag("disown_dockers"), flag("disown")]));
    let pull = TaskSpec::new("docker_pull").doc(DOCKER_PULL_DOC).params(ParamSpec::unchecked());
    let remove = TaskSpec::new("remove_orphans").doc(REMOVE_ORPHANS_DOC).params(ParamSpec::unchecked());

    let (for_pull, for_remove) = (manager.clone(), manager.clone());
    let (for_process, for_update, for_die) = (manager.clone(), manager.clone(), manager.clone());
    let (for_plan, for_logs, logs, dying) =
        (manager.clone(), manager.clone(), Arc::clone(logs), dying.clone());
    let mut builder = AgentBuilder::new(config);
    if let Some(journal) = manager.journal() {
        builder = builder
            .journal(journal, &manager.shared.workers, &["update"])
            .feed(FeedSpec::record(records::STATES).max_blocks(records::MAX_INSTANCES))
            .feed(FeedSpec::record(records::USAGE).max_blocks(records::MAX_INSTANCES));
    }
    builder
        .process(process, move |context, params| {
            let manager = for_process.clone();
            async move { manager.run(&context, &params).await }
        })
        .task(update, move |context, params| {
            let manager = for_update.clone();
            async move { manager.update(&context, &params).await }
        })
        .task(die, move |context, params| {
            let (manager, dying) = (for_die.clone(), dying.clone());
            async move {
                if params["disown"].as_bool().unwrap_or(false) {
                    manager.hand_over();
                }
                if params["disown_dockers"].as_bool().unwrap_or(false) {
                    manager.disown_dockers();
                }
                let runs = manager.comes_to_run(&context.agent()).await;
                context.message(if runs {
                    "Requesting exit of manager process."
                } else {
                    "Manager process is not running."
                });
                match end_manager(&context.agent(), &manager).await {
                    true if runs => context.message("... manager Process has exited."),
                    true => {}
                    false => context.message("... timed-out waiting for manager Process exit!"),
                }
                dying.send_replace(true);
                Ok("This HostManager should terminate in about 1 second.".to_owned())
            }
        })
        .task(pull, move |context, _params| {
            let manager = for_pull.clone();
            async move { manager.docker_pull(&context).await }
        })
        .task(remove, move |context, params| {
            let manager = for_remove.clone();
            async move { manager.remove_orphans(&context, &params).await }
        })
        .procedure(".plan", move |_args, _kwargs| {
            let plan = for_plan.plan();
            async move { Ok(Value::from(plan)) }
        })
        .procedure(".logs", move |args, kwargs| {
            let (manager, logs) = (for_logs.clone(), Arc::clone(&logs));
            async move { log_pages::answer(&manager, &logs, &args, &kwargs).await }
        })
        .spawn()
}

/// Ends the process `manager` for good, and with it all that runs, unless it is handed over. One that was never started
/// may have adopted something, which must not be left behind. Says whether it has ended.
pub async fn end_manager(agent: &Agent, manager: &Manager) -> bool {
    manager.begin_to_end();
    if !manager.was_started() {
        // Refused if somebody was faster, which is as well.
        agent.start("manager", &json!({}));
    }
    stop_manager(agent, manager).await
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
