//! The whole life of a HostManager process: configuration, identity, bus, agents, orderly end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use campanile_control::journal::{JournalOptions, NewEvent, kinds};
use campanile_control::{Clock, Journal, StateDir, StateDirError, Ticker, Workers, state_dir};
use campanile_ocs::agent::{Agent, AgentConfig, LogOptions, Policy, host_name};
use campanile_ocs::control_socket::ControlSocket;
use campanile_ocs::site_config::{HostConfig, InstanceConfig, Mode, Selected, SiteArgs, select};
use campanile_wamp::net::client::ClientOptions;
use campanile_yaml::{Diagnostic, Diagnostics, Severity};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::args::{AGENT_CLASS, HostArgs, InitialState};
use crate::config::{self, DockerNames, LaunchContext};
use crate::drive::cgroup::Groups;
use crate::drive::docker;
use crate::drive::launcher::Launcher;
use crate::drive::logs::{self, LogStore};
use crate::drive::process::{Means, Processes};
use crate::drive::runs::{self, Runs};
use crate::drive::tree::Owner;
use crate::drive::unit;
use crate::manager::{Config, FirstStart, Manager, ReadConfig};
use crate::model::Target;
use crate::ops;
use crate::recorder;
use crate::targets::TargetFile;

/// The role of a HostManager below the state directory.
pub const ROLE: &str = "host";
/// The directory of the instances' output below a HostManager's own state directory.
pub const OUTPUT_DIR: &str = "output";
/// The control socket below a HostManager's own state directory.
pub const CONTROL_SOCKET: &str = "control.sock";

/// After `die` has done its work, its client has this time to hear of it.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// What operations other than `manager` have at the end.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);
/// The last events have this time to be saved.
const JOURNAL_PATIENCE: Duration = Duration::from_secs(3);
/// How often outputs are looked at for their size, in seconds, while they are small; and while one grows fast.
const TRIM_EVERY_S: u32 = 10;
const TRIM_SOON: Duration = Duration::from_millis(200);

/// Why a HostManager ended in good order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// SIGINT, SIGTERM or SIGHUP.
    Signal,
    /// The task `die`.
    Die,
    /// SIGUSR2: everything that runs goes on, for the next manager.
    HandOver,
}

impl ExitReason {
    /// For people.
    const fn in_words(self) -> &'static str {
        match self {
            Self::Signal => "a signal asked for it",
            Self::Die => "the task die asked for it",
            Self::HandOver => "everything that runs goes on, for the next one",
        }
    }
}

/// Why a HostManager could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The site config or the options cannot be used; everything that is wrong is in the diagnostics.
    #[error("the site config cannot be used")]
    Config(Diagnostics),
    /// The state directory cannot be had, or another HostManager of this identity runs.
    #[error(transparent)]
    State(#[from] StateDirError),
    /// Another agent has our address on the bus and keeps it.
    #[error("another agent has held the address {address} on {url} for 15 s; nothing was started")]
    IdentityTaken {
        /// The address on the bus.
        address: String,
        /// The router's URL.
        url: String,
    },
    /// The system refuses something without which no process can be supervised.
    #[error("cannot supervise processes here: {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

impl HostError {
    /// The exit code of the process: 2 for what the user must correct in files or options, 1 for the rest.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => 2,
            Self::State(_) | Self::IdentityTaken { .. } | Self::System { .. } => 1,
        }
    }
}

/// Runs a HostManager until it is told to end.
///
/// Needs a tokio runtime with I/O and time enabled. Diagnostics are returned, not printed.
///
/// # Errors
/// See [`HostError`]; [`HostError::exit_code`] gives the code for the shell.
pub async fn run(args: HostArgs) -> Result<ExitReason, HostError> {
    let failed = |what| move |source| HostError::System { what, source };
    // From here on no signal ends us without order.
    let signals = Signals::listen().map_err(failed("signals"))?;
    let place = Place::find(args).map_err(HostError::Config)?;
    let state = place.open_state()?;
    if let Some(aside) = state.set_aside() {
        tracing::warn!(path = %aside.display(), "the state of another site was set aside");
    }
    let clock = Clock::system();
    let workers = Workers::new(clock.clone());
    let logs = LogStore::open(state.path().join(OUTPUT_DIR), logs::LIMIT_BYTES)
        .map_err(failed("the directory for the instances' output"))?;
    let logs = Arc::new(logs);
    let owner = Owner(state_dir::fnv1a(state.path().as_os_str().as_encoded_bytes()));
    let runs = Runs::open(state.path().join(runs::DIR)).map_err(failed("the directory for notes of runs"))?;
    let groups = Groups::find(owner);
    let launcher = place.args.launcher.as_deref().map_or_else(Launcher::this_program, Launcher::at);
    let means = Means { owner, logs: Arc::clone(&logs), runs, launcher, groups };
    let processes =
        Processes::start(means, clock.clone(), &workers).map_err(failed("pidfd and subreaper"))?;

    let targets = TargetFile::in_dir(state.path());
    let (first, reader, docker) = (place.first_start(&targets), place.reader(), place.docker());
    let url = place.selected.site.hub.wamp_server.clone();
    let agent_config = place.agent_config(workers.clone());
    let id = place.instance.instance_id.clone();
    let journal = Journal::open(JournalOptions::in_dir(state.path(), &id), clock.clone(), &workers).await;
    journal.record(beginning(&id, &place.config.messages));
    let workers_of_trim = workers.clone();
    let manager = Manager::new(processes, clock, workers, targets, reader, place.config);
    manager.keep_journal(journal.clone());
    tokio::spawn(trim(Arc::clone(&logs), workers_of_trim, manager.clone()));
    if let Some(options) = docker {
        manager.manage_docker(options);
    }
    manager.prepare(first).await;
    tokio::spawn(look_at_unit(manager.clone()));

    let (dying, mut died) = watch::channel(false);
    let agent = ops::agent(agent_config, &manager, &logs, &dying);
    let _control = serve_control(state.path(), &agent).await;
    tokio::spawn(recorder::run(agent.clone(), manager.clone()));
    let reason = serve(&agent, &manager, signals, &mut died, url).await;
    let how = match &reason {
        Ok(reason) => reason.in_words().to_owned(),
        Err(error) => error.to_string(),
    };
    journal.record(NewEvent::new(kinds::DAEMON, id, format!("the HostManager ends: {how}")));
    journal.close(JOURNAL_PATIENCE).await;
    reason
}

/// The first event of a run.
fn beginning(id: &str, config_messages: &[String]) -> NewEvent {
    let version = env!("CARGO_PKG_VERSION");
    let text = format!("the HostManager begins: campanile {version}, process {}", std::process::id());
    let event =
        NewEvent::new(kinds::DAEMON, id, text).field("version", version).field("pid", std::process::id());
    if config_messages.is_empty() { event } else { event.field("told", config_messages.to_vec()) }
}

/// Lives until there is a reason to end.
async fn serve(
    agent: &Agent,
    manager: &Manager,
    mut signals: Signals,
    died: &mut watch::Receiver<bool>,
    url: String,
) -> Result<ExitReason, HostError> {
    let mut conflict = agent.identity_conflict();
    loop {
        tokio::select! {
            asked = signals.recv() => {
                if asked == Asked::HandOver {
                    manager.hand_over();
                }
                ops::end_manager(agent, manager).await;
                agent.shutdown(SHUTDOWN_GRACE).await;
                return Ok(if asked == Asked::HandOver { ExitReason::HandOver } else { ExitReason::Signal });
            }
            _ = died.wait_for(|dying| *dying) => {
                tokio::time::sleep(LAST_WORDS).await;
                agent.shutdown(SHUTDOWN_GRACE).await;
                return Ok(ExitReason::Die);
            }
            Ok(()) = conflict.changed() => {
                if conflict.borrow_and_update().is_some() && !manager.was_started() {
                    agent.shutdown(SHUTDOWN_GRACE).await;
                    return Err(HostError::IdentityTaken { address: agent.address().to_owned(), url });
                }
            }
        }
    }
}

/// The control socket is a convenience; without it the bus is the only way in.
async fn serve_control(state: &Path, agent: &Agent) -> Option<ControlSocket> {
    match ControlSocket::serve(&state.join(CONTROL_SOCKET), agent.clone()).await {
        Ok(socket) => Some(socket),
        Err(error) => {
            tracing::warn!(%error, "no control socket");
            None
        }
    }
}

/// Keeps the outputs below their limit.
async fn trim(logs: Arc<LogStore>, workers: Workers, manager: Manager) {
    let worker = workers.register("output");
    let mut rhythm = Ticker::every_s(TRIM_EVERY_S);
    loop {
        // Where nobody writes, no thread is made to look.
        let grown = logs.grown();
        let mut grows_fast = false;
        if !grown.is_empty() {
            let store = Arc::clone(&logs);
            worker.busy("looking at the size of outputs");
            match tokio::task::spawn_blocking(move || store.trim(&grown)).await {
                Ok(Ok(largest)) if largest > logs::LIMIT_BYTES => grows_fast = true,
                Ok(Ok(_)) => {}
                Ok(Err(error)) => worker.error(&error.to_string()),
                Err(error) => worker.error(&error.to_string()),
            }
            worker.idle();
        }
        manager.problem("disk", logs.full_disk());
        if grows_fast {
            tokio::time::sleep(TRIM_SOON).await;
        } else {
            rhythm.tick().await;
        }
    }
}

/// Says so if the unit that we run in would kill the agents with their manager.
async fn look_at_unit(manager: Manager) {
    if let Some(advice) = unit::advice().await {
        manager.problem("unit", Some(advice));
    }
}

/// The signals that end us.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    hand_over: Signal,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// To end with all instances.
    End,
    /// To end without them.
    HandOver,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            hand_over: signal(SignalKind::user_defined2())?,
        })
    }

    async fn recv(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::End,
            _ = self.terminate.recv() => Asked::End,
            _ = self.hang_up.recv() => Asked::End,
            _ = self.hand_over.recv() => Asked::HandOver,
        }
    }
}

/// Which HostManager of which site this is.
struct Place {
    args: HostArgs,
    selected: Selected,
    host: HostConfig,
    instance: InstanceConfig,
    policy: Policy,
    config: Config,
}

impl Place {
    fn find(args: HostArgs) -> Result<Self, Diagnostics> {
        let (selected, _, instance) = select_own(&args.site)?;
        let of_entry = instance.arguments.clone();
        let args = args.with_defaults_from(&of_entry).map_err(|why| {
            let id = &instance.instance_id;
            let text = format!("the arguments of {id} are not options of a HostManager: {why}");
            Diagnostics::from(Diagnostic::error(text))
        })?;
        // The entry's own arguments may hold site options, too.
        let (selected, host, instance) =
            if of_entry.is_empty() { unpack(selected)? } else { select_own(&args.site)? };
        let policy = Policy::parse(selected.site.hub.access_policy.as_deref())
            .map_err(|error| Diagnostics::from(Diagnostic::error(error.to_string())))?;
        let config = config_of(&selected, &host, &args);
        Ok(Self { args, selected, host, instance, policy, config })
    }

    fn address(&self) -> String {
        self.selected.site.address(&self.instance.instance_id)
    }

    fn open_state(&self) -> Result<StateDir, StateDirError> {
        let option = self.args.state_dir.as_deref();
        let base = state_dir::base(option, &env, state_dir::is_root())?;
        let hub = &self.selected.site.hub;
        StateDir::open(&base, ROLE, &self.address(), &format!("{} {}", hub.wamp_server, hub.wamp_realm))
    }

    fn first_start(&self, file: &TargetFile) -> FirstStart {
        let initial_state = self.args.initial_state.map(|state| match state {
            InitialState::Up => Target::Up,
            InitialState::Down => Target::Down,
        });
        if self.args.reset {
            return FirstStart { kept: None, initial_state };
        }
        let kept = file.read().unwrap_or_else(|error| {
            tracing::warn!(%error, "the targets from before cannot be read");
            None
        });
        FirstStart { kept, initial_state }
    }

    /// The compose files to manage, if there are any.
    fn docker(&self) -> Option<docker::Options> {
        let files = self.args.compose_files();
        (!files.is_empty()).then(|| docker::Options {
            files,
            working_dir: absolute(&self.selected.working_dir),
            compose_bin: self.args.docker_compose_bin.clone(),
            address: docker::Address::find(&env),
        })
    }

    fn reader(&self) -> ReadConfig {
        let args = self.args.clone();
        Arc::new(move || {
            let selected =
                select(Mode::Host, &args.site, &host_name(), &env).map_err(|error| error.diagnostics)?;
            match selected.host.clone() {
                Some(host) => Ok(config_of(&selected, &host, &args)),
                None => Err(no_host()),
            }
        })
    }

    fn agent_config(&self, workers: Workers) -> AgentConfig {
        let hub = &self.selected.site.hub;
        AgentConfig {
            address_root: hub.address_root.clone(),
            instance_id: self.instance.instance_id.clone(),
            agent_class: AGENT_CLASS.to_owned(),
            wamp: Some(ClientOptions::new(hub.wamp_server.clone(), hub.wamp_realm.clone())),
            policy: self.policy.clone(),
            log: LogOptions { dir: self.host.log_dir.clone(), stdout: !self.args.quiet },
            workers: Some(workers),
        }
    }
}

fn select_own(site: &SiteArgs) -> Result<(Selected, HostConfig, InstanceConfig), Diagnostics> {
    unpack(select(Mode::Agent(AGENT_CLASS), site, &host_name(), &env).map_err(|error| error.diagnostics)?)
}

fn unpack(selected: Selected) -> Result<(Selected, HostConfig, InstanceConfig), Diagnostics> {
    match (selected.host.clone(), selected.instance.clone()) {
        (Some(host), Some(instance)) => Ok((selected, host, instance)),
        _ => Err(no_host()),
    }
}

fn no_host() -> Diagnostics {
    Diagnostic::error("a HostManager needs a site config with a host block").into()
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn docker_names(args: &HostArgs) -> DockerNames {
    let prefix = args.docker_service_prefix.clone();
    let prefix = prefix.unwrap_or_else(|| DockerNames::DEFAULT_PREFIX.to_owned());
    DockerNames { prefix, has_files: !args.compose_files().is_empty() }
}

fn config_of(selected: &Selected, host: &HostConfig, args: &HostArgs) -> Config {
    let working_dir = absolute(&selected.working_dir);
    let (wanted, mut messages) = config::wanted(host, &working_dir, &docker_names(args));
    // Errors of single entries are told with their entries.
    let warnings = selected.diagnostics.iter().filter(|item| item.severity == Severity::Warning);
    messages.extend(warnings.map(Diagnostic::one_line));
    let python = args.python.clone().unwrap_or_else(|| HostArgs::DEFAULT_PYTHON.into());
    let launch = LaunchContext {
        python,
        site_file: selected.site.path.clone(),
        host_name: host.name.clone(),
        working_dir,
    };
    Config { wanted, messages, launch }
}
