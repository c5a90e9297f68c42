//! What an earlier manager has left running: adopted where its program runs, else ended before anything is launched.

use std::collections::HashSet;
use std::sync::Arc;

use crate::drive::adopt::{Found, Survivor};
use crate::drive::runs::Run;
use crate::manager::{Manager, State};
use crate::model::{
    Containment, Fate, Hold, Instance, Key, Observed, Operable, Process, Program, Readiness, Spec,
    StopPolicy, Target,
};
use crate::relaunch::RestartPolicy;

impl Manager {
    /// Finds what runs, and goes on with it. Before anything is launched.
    ///
    /// `is_fresh` says that no targets were kept: then the target of what is adopted is that of the site config,
    /// whatever `--initial-state` says.
    pub(crate) async fn adopt_survivors(&self, is_fresh: bool) {
        let processes = self.shared.processes.clone();
        let noted = tokio::task::spawn_blocking(move || processes.noted_runs()).await.unwrap_or_default();
        let instances: Vec<(Key, String)> = {
            let mut state = self.lock();
            state.track_the_forgotten(&noted, self.shared.clock.now().mono_ms);
            let id =
                |entry: &crate::table::Entry| (entry.instance.key, entry.instance.spec.instance_id.clone());
            state.table.iter().map(id).collect()
        };
        let processes = self.shared.processes.clone();
        let found = tokio::task::spawn_blocking(move || processes.find_survivors(&instances)).await;
        for (key, found) in found.unwrap_or_default() {
            match found {
                Found::Program(survivor) => self.adopt(key, survivor, is_fresh),
                Found::Leftovers { count, group } => {
                    let mut state = self.lock();
                    let Some(entry) = state.table.get_mut(key) else { continue };
                    entry.observed.leftovers = Some(count);
                    let id = &entry.instance.spec.instance_id;
                    self.shared.processes.found_running(key, id, group);
                }
            }
        }
    }

    fn adopt(&self, key: Key, survivor: Survivor, is_fresh: bool) {
        let now_ms = self.shared.clock.now().mono_ms;
        let mut state = self.lock();
        let Some(entry) = state.table.get_mut(key) else { return };
        let instance = &mut entry.instance;
        let name = instance.spec.full_name();
        let pid = survivor.running.leader.pid;
        let mut told = vec![format!("Adopted {name}, which an earlier manager launched as process {pid}")];
        if is_fresh && instance.fate == Fate::Kept {
            instance.target = instance.spec.start;
        }
        let is_other = survivor.form.is_some_and(|form| form != instance.spec.form());
        if is_other && instance.fate == Fate::Kept && !matches!(instance.operable, Operable::No(_)) {
            told.push(format!(
                "{name} was launched with another class, command or arguments and is being reset"
            ));
            instance.fate =
                Fate::Replaced { by: Arc::clone(&instance.spec), operable: instance.operable.clone() };
        }
        instance.launches = survivor.launch;
        instance.state = crate::model::State::Up;
        instance.since_ms = now_ms;
        instance.readiness = Readiness::Trying { since_ms: now_ms, overdue: false };
        entry.observed = Observed {
            launch: survivor.launch,
            process: Process::Running { pid, since_ms: now_ms },
            ..Observed::default()
        };
        let containment = if survivor.group.is_some() { Containment::Cgroup } else { Containment::Group };
        entry.hold = Hold { containment: Some(containment), not_enforced: Vec::new(), adopted: true };
        let spec = Arc::clone(&instance.spec);
        state.untold.append(&mut told);
        self.shared.processes.adopt(key, spec, survivor);
    }
}

impl State {
    /// What was launched and is not in the site config any more is tracked until it is gone, as after a reload.
    fn track_the_forgotten(&mut self, noted: &[Run], now_ms: u64) {
        let known: HashSet<String> =
            self.table.iter().map(|entry| entry.instance.spec.instance_id.clone()).collect();
        for run in noted.iter().filter(|run| !known.contains(&run.instance_id)) {
            let spec = Spec {
                instance_id: run.instance_id.clone(),
                agent_class: run.agent_class.clone(),
                // What it is does not matter any more; a command is interrupted with its whole group.
                program: Program::Command(vec![run.agent_class.clone()]),
                arguments: Vec::new(),
                env: Vec::new(),
                cwd: None,
                stop: StopPolicy { grace_ms: run.grace_ms, kill: run.kill },
                restart: RestartPolicy::default(),
                after: Vec::new(),
                ready: None,
                limits: Default::default(),
                start: Target::Down,
            };
            self.table.add(Observed::default(), |key| {
                let fresh = Instance::new(key, Arc::new(spec), Operable::Yes, now_ms);
                Instance { fate: Fate::Retired, ..fresh }
            });
        }
    }
}
