//! What docker says of the services, entered into the table: who can be manipulated, what runs, who is a stranger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Container, Engine, Launch, NO_EXIT_CODE, ServiceState, View};
use crate::model::{
    End, Ended, Fate, Instance, Key, Observed, Operable, Process, Program, STRANGER_CLASS, Spec, State,
    StopPolicy, Target,
};
use crate::relaunch::RestartPolicy;
use crate::table::{Entry, Table};

/// Compose itself needs some time beside the grace that it gives to a container.
const COMPOSE_MARGIN_MS: u64 = 20_000;
/// The grace of a service that is in no site config; that of an entry that says nothing.
const STRANGER_GRACE_MS: u64 = 60_000;

/// What entering it has changed.
#[derive(Debug, Default, PartialEq)]
pub struct Settled {
    /// The entries about which has to be decided anew.
    pub concerned: Vec<Key>,
    /// The entries of which a new run was seen; whether they get ready has yet to be looked at.
    pub started: Vec<Key>,
    /// What is to be told to people.
    pub messages: Vec<String>,
}

/// Enters what is known of docker into the table.
///
/// * An instance whose service is there can be manipulated and has the class suffix `[d]`; else it cannot, with the
///   reason, and has `[d?]`.
/// * A service that no instance claims is tracked with the class `[docker]`, and only looked at; it is forgotten when
///   the file has it no more, or an instance claims it.
/// * While the engine is away nothing of docker is seen; what was known is neither believed nor acted on.
pub fn settle(table: &mut Table, view: &View, now_ms: u64) -> Settled {
    let mut settled = Settled::default();
    if view.engine == Engine::Waiting {
        return settled;
    }
    let claimed = claimed(table);
    let mut leaving = Vec::new();
    for entry in table.iter_mut() {
        let Some(service) = entry.instance.spec.service().map(str::to_owned) else { continue };
        if entry.instance.spec.is_stranger() && is_leaving(&service, entry, view, &claimed, &mut settled) {
            leaving.push(entry.instance.key);
        } else {
            settle_entry(entry, &service, view, &mut settled);
        }
    }
    for key in leaving {
        table.remove(key);
    }
    if view.engine == Engine::Seen {
        add_strangers(table, view, &claimed, now_ms, &mut settled);
    }
    settled
}

/// Services that instances of the site config stand for, or will when they have become what the site config says.
fn claimed(table: &Table) -> BTreeMap<String, String> {
    let mut claimed = BTreeMap::new();
    for Entry { instance, .. } in table.iter().filter(|entry| !entry.instance.spec.is_stranger()) {
        let becomes = match &instance.fate {
            Fate::Replaced { by, .. } => Some(by.as_ref()),
            Fate::Kept | Fate::Retired => None,
        };
        for spec in [Some(instance.spec.as_ref()), becomes].into_iter().flatten() {
            if let Some(service) = spec.service() {
                claimed.insert(service.to_owned(), spec.instance_id.clone());
            }
        }
    }
    claimed
}

fn is_leaving(
    service: &str,
    entry: &Entry,
    view: &View,
    claimed: &BTreeMap<String, String>,
    settled: &mut Settled,
) -> bool {
    if let Some(id) = claimed.get(service) {
        let text = format!("Unmanaged docker service {service} will now be managed as instance_id={id}.");
        settled.messages.push(text);
        return true;
    }
    let is_gone =
        view.engine == Engine::Seen && !view.has_unread_files() && !view.services.contains_key(service);
    if is_gone {
        settled.messages.push(format!("Deleting non-agent service {}", entry.instance.spec.instance_id));
    }
    is_gone
}

fn settle_entry(entry: &mut Entry, service: &str, view: &View, settled: &mut Settled) {
    let before = (entry.instance.clone(), entry.observed.clone());
    entry.observed.leaving = false;
    let state = view.services.get(service);
    let launch = view.launches.get(service).filter(|launch| launch.number == entry.instance.launches);
    match (&view.engine, state) {
        (Engine::Waiting, _) => return,
        (Engine::Away(why), _) => {
            entry.instance.operable = Operable::No(why.clone());
            entry.observed.process = Process::Unseen;
        }
        (Engine::Seen, None) if view.has_unread_files() => return,
        (Engine::Seen, None) => {
            if entry.instance.operable == Operable::Yes {
                let id = &entry.instance.spec.instance_id;
                settled.messages.push(format!("Marking missing service for {id}"));
            }
            entry.instance.operable = Operable::No(missing(service, view));
            if matches!(entry.instance.state, State::WaitStart { .. }) {
                observe(&mut entry.observed, None, launch);
            } else {
                // What may run of it is an orphan now, and no failure of the instance.
                entry.observed.process = Process::None;
            }
        }
        (Engine::Seen, Some(state)) if !state.is_complete => return,
        (Engine::Seen, Some(state)) => {
            entry.instance.operable = Operable::Yes;
            observe(&mut entry.observed, state.container.as_ref(), launch);
        }
    }
    entry.observed.leftovers = Some(0);
    if entry.observed.process != before.1.process {
        entry.observed.ready = false;
        if matches!(entry.observed.process, Process::Running { .. }) {
            settled.started.push(entry.instance.key);
        }
    }
    entry.instance.restart_required = state.is_some_and(ServiceState::needs_restart);
    let is_known = entry.instance.operable == Operable::Yes;
    dress(&mut entry.instance.spec, state, is_known);
    if before != (entry.instance.clone(), entry.observed.clone()) {
        settled.concerned.push(entry.instance.key);
    }
}

fn missing(service: &str, view: &View) -> String {
    let broken = view.files.iter().filter_map(|file| match &file.status {
        Some((false, _, why)) if file.document.is_none() => Some(why.clone()),
        _ => None,
    });
    match broken.reduce(|all, why| format!("{all}; {why}")) {
        Some(why) => why,
        None => {
            let files: Vec<&str> = view.files.iter().map(|file| file.name.as_str()).collect();
            format!("there is no service {service} in {}", files.join(", "))
        }
    }
}

/// What is seen of a service's container.
fn observe(observed: &mut Observed, container: Option<&Container>, launch: Option<&Launch>) {
    observed.leaving = container.is_some_and(|container| container.leaving);
    let failure = match launch {
        // While docker is at a launch, what is seen of the service is still that of the run before.
        Some(Launch { done: None, .. }) => {
            if observed.process == Process::Unseen {
                observed.process = Process::None;
            }
            return;
        }
        Some(Launch { number, done: Some((at_ms, result)) }) => {
            observed.launch = *number;
            // A failed launch is what there is to tell, until something newer happens to the container.
            let is_last = container.is_none_or(|container| {
                !container.running && container.started_ms.max(container.ended_ms) < *at_ms
            });
            result.as_ref().err().filter(|_| is_last).map(|why| (*at_ms, why.clone()))
        }
        None => None,
    };
    let process = match (failure, container) {
        (Some((at_ms, why)), _) => ended(End::NotStarted(why), at_ms, 0, None),
        (None, Some(container)) if container.running => {
            Process::Running { pid: container.pid, since_ms: container.started_ms }
        }
        (None, Some(container)) if container.started_ms > 0 => {
            let how = match container.exit_code {
                Some(code) => End::Code(i32::try_from(code).unwrap_or(i32::MAX)),
                None => End::Unknown,
            };
            let ran_ms = container.ended_ms.saturating_sub(container.started_ms);
            ended(how, container.ended_ms, ran_ms, Some(container))
        }
        // Its container was made and never started, or was removed before anybody saw how it ended.
        (None, _) => match (&observed.process, launch.and_then(|launch| launch.done.as_ref())) {
            (Process::Running { .. } | Process::Unseen | Process::None, Some((at_ms, Ok(())))) => {
                ended(End::Unknown, *at_ms, 0, None)
            }
            (Process::Ended(last), _) => Process::Ended(Arc::clone(last)),
            (Process::None | Process::Running { .. } | Process::Unseen, _) => Process::None,
        },
    };
    observed.process = process;
}

fn ended(how: End, at_ms: u64, ran_ms: u64, container: Option<&Container>) -> Process {
    let tail = container.map(|container| container.tail.clone()).unwrap_or_default();
    let ended = Ended { how, at_ms, ran_ms, stdout_tail: tail.stdout, stderr_tail: tail.stderr };
    Process::Ended(Arc::new(ended))
}

/// The class says whether the service is known, and the grace is never shorter than the one in the compose file.
fn dress(spec: &mut Arc<Spec>, state: Option<&ServiceState>, is_known: bool) {
    let class = match spec.is_stranger() {
        true => STRANGER_CLASS.to_owned(),
        false => format!("{}{}", spec.base_class(), if is_known { "[d]" } else { "[d?]" }),
    };
    let needed_ms =
        state.and_then(|state| state.service.stop_grace_ms).map_or(0, |ms| ms + COMPOSE_MARGIN_MS);
    if spec.agent_class != class || spec.stop.grace_ms < needed_ms {
        let spec = Arc::make_mut(spec);
        spec.agent_class = class;
        spec.stop.grace_ms = spec.stop.grace_ms.max(needed_ms);
    }
}

fn add_strangers(
    table: &mut Table,
    view: &View,
    claimed: &BTreeMap<String, String>,
    now_ms: u64,
    settled: &mut Settled,
) {
    // A service that bears the id of an instance could not be told from it.
    let taken: BTreeSet<String> = table.iter().map(|entry| entry.instance.spec.instance_id.clone()).collect();
    let is_new = |name: &String| !claimed.contains_key(name) && !taken.contains(name);
    for (name, state) in view.services.iter().filter(|(name, state)| state.is_complete && is_new(name)) {
        settled.messages.push(format!("Adding non-agent service \"{name}\""));
        let mut observed = Observed::default();
        observe(&mut observed, state.container.as_ref(), None);
        table.add(observed, |key| {
            settled.concerned.push(key);
            let mut instance = Instance::new(key, Arc::new(stranger(name)), Operable::Yes, now_ms);
            dress(&mut instance.spec, Some(state), true);
            instance.restart_required = state.needs_restart();
            if state.is_running() {
                instance.state = State::Up;
            }
            instance
        });
    }
}

fn stranger(service: &str) -> Spec {
    Spec {
        instance_id: service.to_owned(),
        agent_class: STRANGER_CLASS.to_owned(),
        program: Program::Docker(service.to_owned()),
        arguments: Vec::new(),
        env: Vec::new(),
        cwd: None,
        stop: StopPolicy { grace_ms: STRANGER_GRACE_MS, kill: true },
        restart: RestartPolicy::default(),
        after: Vec::new(),
        ready: None,
        limits: Default::default(),
        start: Target::Passive,
    }
}

/// A service and its container, in the words of OCS (`parse_docker_state`).
#[must_use]
pub fn described(state: &ServiceState) -> serde_json::Value {
    let container = state.container.as_ref().filter(|container| !container.is_gone);
    serde_json::json!({
        "compose_file": state.compose_file,
        "service": state.service.name,
        "image_tag": state.service.image,
        "image_id": state.image_id.as_deref().unwrap_or("unknown"),
        "container_found": container.is_some(),
        "container_id": container.map(|container| &container.id),
        "running": state.is_running(),
        "running_image": container.map(|container| &container.image_id),
        "exit_code": state.container.as_ref().and_then(|container| container.exit_code).unwrap_or(NO_EXIT_CODE),
    })
}

/// The `orphans` of the session data, as OCS has them.
#[must_use]
pub fn orphans(view: &View) -> serde_json::Value {
    let one = |(id, orphan): (&String, &super::Orphan)| {
        let container = &orphan.container;
        let value = serde_json::json!({
            "compose_file": orphan.compose_file,
            "service": container.service,
            "container_id": id,
            "running": container.running,
            "exit_code": container.exit_code.unwrap_or(NO_EXIT_CODE),
            "container_found": true,
            "running_image": container.image_id,
        });
        (id.clone(), value)
    };
    serde_json::Value::Object(view.orphans.iter().map(one).collect())
}

/// The `new_tags` of the session data, as OCS has them.
#[must_use]
pub fn new_tags(table: &Table, view: &View) -> serde_json::Value {
    let tag = |entry: &Entry| {
        let spec = &entry.instance.spec;
        let tag = view.services.get(spec.service()?)?.new_tag()?;
        Some((spec.instance_id.clone(), serde_json::Value::from(tag)))
    };
    serde_json::Value::Object(table.iter().filter_map(tag).collect())
}
