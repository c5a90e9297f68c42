//! A HostManager without a bus over real processes, for tests to order about.

#![allow(dead_code, reason = "every test file uses a part of it")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use campanile_control::{Clock, Workers};
use campanile_host::config::LaunchContext;
use campanile_host::drive::cgroup::Groups;
use campanile_host::drive::docker;
use campanile_host::drive::launcher::Launcher;
use campanile_host::drive::logs::LogStore;
use campanile_host::drive::proc_fs;
use campanile_host::drive::process::{Means, Processes};
use campanile_host::drive::runs::{self, Runs};
use campanile_host::drive::tree::Owner;
use campanile_host::manager::{Config, FirstStart, Manager};
use campanile_host::model::{Operable, Program, Spec, StopPolicy, Target};
use campanile_host::ops;
use campanile_host::relaunch::RestartPolicy;
use campanile_host::reload::Wanted;
use campanile_host::targets::TargetFile;
use campanile_ocs::agent::{Agent, AgentConfig};
use campanile_wamp::{Dict, Value as WampValue};
use campanile_yaml::{Diagnostic, Diagnostics};
use serde_json::{Value, json};
use tokio::sync::{MutexGuard, watch};

/// Nothing here takes longer on any machine that can run tests at all.
pub(crate) const SOON: Duration = Duration::from_secs(90);

/// One manager per process at a time: it reaps all orphans of the process, another one's children among them.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// An instance that runs a shell script.
pub(crate) fn script(id: &str, text: &str) -> Wanted {
    command(id, &["/bin/sh", "-c", text])
}

/// An instance that runs a program.
pub(crate) fn command(id: &str, argv: &[&str]) -> Wanted {
    let spec = Spec {
        instance_id: id.to_owned(),
        agent_class: "Test".to_owned(),
        program: Program::Command(argv.iter().map(|word| (*word).to_owned()).collect()),
        arguments: Vec::new(),
        env: Vec::new(),
        cwd: None,
        stop: StopPolicy { grace_ms: 20_000, kill: true },
        restart: RestartPolicy { delay_ms: 50, max_ms: 400 },
        after: Vec::new(),
        ready: None,
        limits: Default::default(),
        start: Target::Up,
    };
    Wanted { spec: Arc::new(spec), operable: Operable::Yes, problem: None }
}

/// The same with another specification.
pub(crate) fn with(mut wanted: Wanted, change: impl FnOnce(&mut Spec)) -> Wanted {
    change(Arc::make_mut(&mut wanted.spec));
    wanted
}

type Site = Arc<Mutex<Result<Vec<Wanted>, String>>>;

/// A HostManager that runs in this process.
pub(crate) struct World {
    pub(crate) agent: Agent,
    pub(crate) manager: Manager,
    pub(crate) logs: Arc<LogStore>,
    site: Site,
    dir: Option<tempfile::TempDir>,
    state: PathBuf,
    docker: Option<docker::Options>,
    _only: MutexGuard<'static, ()>,
}

impl World {
    /// Starts a manager over these instances.
    pub(crate) async fn start(wanted: Vec<Wanted>) -> Self {
        Self::start_with(wanted, 1 << 20).await
    }

    /// The same with a limit for each output.
    pub(crate) async fn start_with(wanted: Vec<Wanted>, output_limit_bytes: u64) -> Self {
        let only = ONE_AT_A_TIME.lock().await;
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().to_owned();
        Self::start_in(only, Some(dir), &state, wanted, output_limit_bytes, None, None).await
    }

    /// The same with a target that is forced at the start.
    pub(crate) async fn start_at(wanted: Vec<Wanted>, initial_state: Target) -> Self {
        let only = ONE_AT_A_TIME.lock().await;
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().to_owned();
        Self::start_in(only, Some(dir), &state, wanted, 1 << 20, Some(initial_state), None).await
    }

    /// Starts a manager of compose files over these instances.
    pub(crate) async fn start_docker(wanted: Vec<Wanted>, options: docker::Options) -> Self {
        let only = ONE_AT_A_TIME.lock().await;
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().to_owned();
        Self::start_in(only, Some(dir), &state, wanted, 1 << 20, None, Some(options)).await
    }

    /// A manager that leaves everything running, and its successor over the same state.
    pub(crate) async fn hand_over(self) -> Self {
        let Self { agent, manager, dir, state, site, docker, _only: only, .. } = self;
        let wanted = site.lock().unwrap().clone().unwrap();
        manager.hand_over();
        agent.shutdown(Duration::ZERO).await;
        Self::start_in(only, dir, &state, wanted, 1 << 20, None, docker).await
    }

    async fn start_in(
        only: MutexGuard<'static, ()>,
        dir: Option<tempfile::TempDir>,
        state: &Path,
        wanted: Vec<Wanted>,
        output_limit_bytes: u64,
        initial_state: Option<Target>,
        docker: Option<docker::Options>,
    ) -> Self {
        let clock = Clock::system();
        let workers = Workers::new(clock.clone());
        let logs = Arc::new(LogStore::open(state.join("output"), output_limit_bytes).unwrap());
        let owner = Owner(campanile_control::state_dir::fnv1a(state.as_os_str().as_encoded_bytes()));
        let means = Means {
            owner,
            logs: Arc::clone(&logs),
            runs: Runs::open(state.join(runs::DIR)).unwrap(),
            launcher: Launcher::at(&launcher()),
            groups: Groups::find(owner),
        };
        let processes = Processes::start(means, clock.clone(), &workers).unwrap();
        let site: Site = Arc::new(Mutex::new(Ok(wanted)));
        let source = Arc::clone(&site);
        let read = Arc::new(move || read(&source));
        let targets = TargetFile::in_dir(state);
        let first = FirstStart { kept: targets.read().unwrap(), initial_state };
        let config = read().unwrap();
        let manager = Manager::new(processes, clock, workers, targets, read, config);
        if let Some(options) = docker.clone() {
            manager.manage_docker(options);
        }
        manager.prepare(first).await;
        let (dying, _) = watch::channel(false);
        let agent = ops::agent(AgentConfig::new("test", "hm", "HostManager"), &manager, &logs, &dying);
        let world = Self { agent, manager, logs, site, dir, state: state.to_owned(), docker, _only: only };
        world.until("the manager runs", |world| world.manager.is_running()).await;
        world
    }

    /// Puts another site config in place, to be read at the next reload.
    pub(crate) fn edit_site(&self, wanted: Result<Vec<Wanted>, &str>) {
        *self.site.lock().unwrap() = wanted.map_err(str::to_owned);
    }

    /// Where the state is.
    pub(crate) fn state_dir(&self) -> &Path {
        &self.state
    }

    /// One call of `.ops`: `[code, message, session]`.
    pub(crate) async fn call(&self, action: &str, op: &str, params: Value) -> Value {
        let args = vec![WampValue::from(action), WampValue::from(op), WampValue::from(params)];
        self.agent.dispatch_ops(args, Dict::new()).await.unwrap().to_json()
    }

    /// Runs the task `update` to its end; gives its session.
    pub(crate) async fn update(&self, params: Value) -> Value {
        let started = self.call("start", "update", params).await;
        assert_eq!(started[0], 0, "{started}");
        self.call("wait", "update", Value::Null).await[2].clone()
    }

    /// Asks for a target.
    pub(crate) async fn ask(&self, whom: &str, state: &str) {
        let session = self.update(json!({ "requests": [[whom, state]] })).await;
        assert_eq!(session["success"], true, "{session}");
    }

    /// What clients are told of an instance.
    pub(crate) fn child(&self, id: &str) -> Option<Value> {
        let data = self.manager.data();
        data["child_states"].as_array().unwrap().iter().find(|child| child["instance_id"] == id).cloned()
    }

    /// How many instances are in a state.
    pub(crate) fn count(&self, state: &str) -> usize {
        let data = self.manager.data();
        data["child_states"].as_array().unwrap().iter().filter(|child| child["next_action"] == state).count()
    }

    /// The state of an instance, as OCS names it; `gone` if it is not tracked.
    pub(crate) fn state(&self, id: &str) -> String {
        self.child(id).map_or("gone".to_owned(), |child| child["next_action"].as_str().unwrap().to_owned())
    }

    /// The process of an instance.
    pub(crate) fn pid(&self, id: &str) -> Option<u32> {
        u32::try_from(self.child(id)?["pid"].as_u64()?).ok()
    }

    /// All messages of the process `manager`, a line each.
    pub(crate) fn messages(&self) -> String {
        let status = self.agent.status("manager");
        let messages = status[2]["messages"].as_array().unwrap();
        messages.iter().map(|message| format!("{}\n", message[1].as_str().unwrap())).collect()
    }

    /// Waits until something is so.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let deadline = Instant::now() + SOON;
            while !condition(self) {
                if Instant::now() > deadline {
                    let data = self.manager.data();
                    panic!("{caller}: in vain: {what}\n{data:#}\n{}", self.messages());
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    }

    /// Waits until an instance is in a state.
    pub(crate) async fn until_state(&self, id: &str, state: &str) {
        self.until(&format!("{id} is {state}"), |world| world.state(id) == state).await;
    }

    /// Waits until a message has been told.
    pub(crate) async fn until_told(&self, text: &str) {
        self.until(&format!("told {text:?}"), |world| world.messages().contains(text)).await;
    }

    /// Stops the manager, as SIGTERM does.
    pub(crate) async fn stop(self) {
        assert!(ops::stop_manager(&self.agent, &self.manager).await, "{}", self.messages());
        self.agent.shutdown(SOON).await;
    }
}

/// The launcher of these tests; a copy of it where they run as a user that cannot see the original.
fn launcher() -> PathBuf {
    campanile_testkit::copy_for_ordinary_user(env!("CARGO_BIN_EXE_campanile-launcher"))
}

fn read(site: &Site) -> Result<Config, Diagnostics> {
    let wanted = site.lock().unwrap().clone();
    let wanted = wanted.map_err(|text| Diagnostics::from(Diagnostic::error(text)))?;
    let launch = LaunchContext {
        python: "/no/such/python".into(),
        site_file: "/no/such/site.yaml".into(),
        host_name: "host-1".to_owned(),
        working_dir: "/".into(),
    };
    Ok(Config { wanted, messages: Vec::new(), launch })
}

/// Whether a process is there and no zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    proc_fs::stat(pid).is_some_and(|stat| !stat.is_zombie())
}

/// The processes with this text in their command line.
pub(crate) fn running(text: &str) -> Vec<u32> {
    let shows = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(text)
    };
    proc_fs::pids().into_iter().filter(shows).filter(|pid| is_alive(*pid)).collect()
}

/// The children of this process, zombies among them.
pub(crate) fn children() -> Vec<u32> {
    let all = proc_fs::pids().into_iter().filter_map(proc_fs::stat);
    all.filter(|stat| stat.ppid == std::process::id()).map(|stat| stat.pid).collect()
}
