//! The manager's side of docker: what is seen of it enters the table, what the plan decides goes to it.

use std::sync::Arc;

use campanile_ocs::agent::OpContext;
use serde_json::{Value, json};

use crate::drive::docker::{Dockers, Options};
use crate::manager::{Manager, State};
use crate::model::{Key, Spec, Target};
use crate::plan::Action;
use crate::services::{Engine, View, settle};

/// The grace of `remove_orphans` when none is given, seconds; the longest that is taken.
const DEFAULT_STOP_TIME_S: f64 = 10.0;
const MAX_STOP_TIME_S: f64 = 3600.0;

impl Manager {
    /// Manages these compose files from now on. Once, before the process `manager` runs.
    pub fn manage_docker(&self, options: Options) {
        let dockers = Dockers::start(options, self.shared.clock.clone(), &self.shared.workers);
        let is_first = self.shared.docker.set(dockers).is_ok();
        debug_assert!(is_first, "compose files are named once");
    }

    /// The docker service that is kept as this instance, and docker; `None` if it is no docker instance.
    pub(crate) fn service_of(&self, instance_id: &str) -> Option<(Dockers, String)> {
        let docker = self.shared.docker.get()?;
        let state = self.lock();
        let service = state.table.find(instance_id)?.instance.spec.service()?.to_owned();
        Some((docker.clone(), service))
    }

    /// Waits for news of docker; for ever where there is none.
    pub(crate) async fn docker_changed(&self) {
        match self.shared.docker.get() {
            Some(docker) => docker.changed().await,
            None => std::future::pending().await,
        }
    }

    /// Whether it is known what runs of the docker services and nothing is being stopped, or that it cannot be known; so
    /// it is where there are none.
    pub(crate) fn docker_is_at_rest(&self) -> bool {
        let Some(docker) = self.shared.docker.get() else { return true };
        let view = docker.view();
        match view.engine {
            Engine::Waiting => false,
            Engine::Away(_) => true,
            Engine::Seen => {
                !view.has_unread_files()
                    && view.services.values().all(|service| service.is_complete)
                    && !docker.is_stopping()
            }
        }
    }

    /// Enters what is seen of docker into the table; returns whom it concerns.
    pub(crate) fn settle_docker(
        &self,
        context: &OpContext,
        state: &mut State,
        messages: &mut Vec<String>,
        now_ms: u64,
    ) -> Vec<Key> {
        let Some(docker) = self.shared.docker.get() else { return Vec::new() };
        messages.append(&mut docker.take_messages());
        let settled = settle::settle(&mut state.table, &docker.view(), now_ms);
        messages.extend(settled.messages);
        for key in settled.started {
            let Some(entry) = state.table.get(key) else { continue };
            let (launch, spec) = (entry.observed.launch, Arc::clone(&entry.instance.spec));
            let probe = self.watch_readiness(context, key, launch, &spec, &state.launch);
            state.replace_probe(key, probe);
        }
        settled.concerned
    }

    /// Carries out an action for a docker instance; `false` if it is none.
    pub(crate) fn act_on_docker(&self, spec: &Spec, action: &Action) -> bool {
        let (Some(docker), Some(service)) = (self.shared.docker.get(), spec.service()) else { return false };
        match action {
            Action::Launch { launch } => docker.launch(service, *launch),
            Action::Interrupt | Action::Terminate => docker.stop(service),
            Action::Kill => docker.kill(service),
        }
        true
    }

    /// Fills in what clients are told of docker.
    pub(crate) fn add_docker_data(&self, state: &State, data: &mut Value) {
        let Some(docker) = self.shared.docker.get() else { return };
        let view = docker.view();
        data["orphans"] = settle::orphans(&view);
        data["new_tags"] = settle::new_tags(&state.table, &view);
        let children = data["child_states"].as_array_mut();
        for (child, entry) in children.into_iter().flatten().zip(state.table.iter()) {
            let service = entry.instance.spec.service().and_then(|service| view.services.get(service));
            if let Some(service) = service {
                child["docker"] = settle::described(service);
            }
        }
        for (name, status) in parse_status(&view) {
            data["config_parse_status"][name] = status;
        }
    }

    /// Reads the compose files again, as part of a reload.
    pub(crate) async fn read_compose_files_again(&self, context: &OpContext) -> Result<(), String> {
        let Some(docker) = self.shared.docker.get() else { return Ok(()) };
        docker.read_again().await.map_err(|why| {
            context.message(why);
            "A compose file cannot be used; the last good one stays in force.".to_owned()
        })
    }

    /// The task `docker_pull`.
    ///
    /// # Errors
    /// In words for the client: what could not be had.
    pub async fn docker_pull(&self, context: &OpContext) -> Result<String, String> {
        let Some(docker) = self.shared.docker.get() else {
            return Ok("There are no docker compose files to pull for.".to_owned());
        };
        docker.pull(&mut |line| context.message(line)).await
    }

    /// The task `remove_orphans`.
    ///
    /// # Errors
    /// In words for the client: what could not be removed, or that the parameter makes no sense.
    pub async fn remove_orphans(&self, context: &OpContext, params: &Value) -> Result<String, String> {
        let stop_time_s = match &params["stop_time"] {
            Value::Null => DEFAULT_STOP_TIME_S,
            value => value.as_f64().filter(|seconds| (0.0..=MAX_STOP_TIME_S).contains(seconds)).ok_or_else(
                || format!("stop_time must be seconds from 0 to {MAX_STOP_TIME_S}, not {value}"),
            )?,
        };
        let Some(docker) = self.shared.docker.get() else {
            return Ok("There are no docker compose files that could have orphans.".to_owned());
        };
        docker.remove_orphans(stop_time_s, &mut |line| context.message(line)).await
    }

    /// From now on docker instances are only looked at, so that the end of the manager leaves them as they are.
    pub fn disown_dockers(&self) {
        for entry in self.lock().table.iter_mut().filter(|entry| entry.instance.spec.service().is_some()) {
            entry.instance.passive = true;
            entry.instance.target = Target::Passive;
            entry.instance.again = false;
        }
        self.shared.changed.notify_one();
    }
}

/// The entries of `config_parse_status`. While the engine is away nothing can be said of a file's services.
fn parse_status(view: &View) -> Vec<(String, Value)> {
    let one = |file: &crate::services::FileState| {
        let (ok, at_s, message) = file.status.clone()?;
        let status = match &view.engine {
            Engine::Away(why) if ok => {
                let text = format!("Failed to interpret {} and/or its service states: {why}", file.name);
                json!([false, at_s, text])
            }
            Engine::Away(_) | Engine::Seen | Engine::Waiting => json!([ok, at_s, message]),
        };
        Some((file.name.clone(), status))
    };
    view.files.iter().filter_map(one).collect()
}
