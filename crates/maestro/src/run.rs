//! The whole life of a manager process: store, configuration, identity, bus, daemons, orderly end.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use campanile_control::journal::{Journal, JournalOptions, NewEvent, kinds};
use campanile_control::{Clock, StateDir, StateDirError, Workers, state_dir};
use campanile_ocs::agent::{AgentConfig, LogOptions, Policy, host_name};
use campanile_ocs::client::{Endpoint, Passwords};
use campanile_ocs::control_socket::ControlSocket;
use campanile_ocs::site_config::{Mode, select};
use campanile_store::apart::Apart;
use campanile_store::embedded::EmbeddedStore;
use campanile_store::etcd::{EtcdStore, read_cluster_file};
use campanile_store::{Store, StoreError};
use campanile_wamp::net::client::ClientOptions;
use campanile_yaml::{Diagnostic, Diagnostics};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{AGENT_CLASS, MaestroArgs};
use crate::board::Board;
use crate::conductor::Settings;
use crate::keys::Layout;
use crate::link::Watch;
use crate::manager::{Manager, Options};
use crate::source::{Source, SourceError};
use crate::starter::{Bus, Starter};
use crate::state::StateFile;
use crate::{metrics, ops};

/// The role of a manager below the state directory.
pub const ROLE: &str = "maestro";
/// The control socket below a manager's own state directory.
pub const CONTROL_SOCKET: &str = "control.sock";
/// The file beside it that says under which address the manager answers there.
pub const ADDRESS_FILE: &str = "address";
/// The address under which a manager without a bus answers on its control socket.
pub const LOCAL_ROOT: &str = "ldms";
/// The directory of the embedded store below the base of the state directories.
pub const STORE_DIR: &str = "store";
/// Notes and output of the daemons it has started, below a manager's own state directory.
pub const STARTED_DIR: &str = "started";
/// What operations have at the end.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);
/// At most this many daemons are looked at in full per second, for safety; more are looked at less often.
const LOOKS_PER_S: u64 = 200;

/// Why a manager could not start.
#[derive(Debug, thiserror::Error)]
pub enum MaestroError {
    /// A file or an option cannot be used.
    #[error("the configuration cannot be used")]
    Config(Diagnostics),
    /// There is no configuration to begin with.
    #[error(transparent)]
    Source(SourceError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state directory cannot be had, or another manager of this identity runs.
    #[error(transparent)]
    State(#[from] StateDirError),
    /// The system does not play along.
    #[error("{what}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl MaestroError {
    fn usage(text: impl Into<String>) -> Self {
        Self::Config(Diagnostic::error(text.into()).into())
    }
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Runs a manager until it is told to end. Needs a tokio runtime with I/O and time enabled.
///
/// # Errors
/// [`MaestroError`].
pub async fn run(args: MaestroArgs) -> Result<(), MaestroError> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |source| MaestroError::System { what, source }
    };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed("cannot watch for signals"))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed("cannot watch for signals"))?;
    let layout = Layout::of(&args.prefix).map_err(|error| MaestroError::usage(error.to_string()))?;
    let base = state_dir::base(args.state_dir.as_deref(), &env, state_dir::is_root())?;
    let store = open_store(&args, &base).await?;
    let source = match (&args.file, &store) {
        (Some(file), _) => Source::File(file.clone()),
        (None, Some(store)) => Source::Store(Arc::clone(store), layout.clone()),
        (None, None) => return Err(MaestroError::usage("no place for the configuration")),
    };
    let place = store.as_ref().map_or_else(
        || args.file.as_deref().unwrap_or(Path::new("")).display().to_string(),
        |store| store.describe(),
    );
    let state = StateDir::open(&base, ROLE, &identity(&args), &place)?;
    let clock = Clock::system();
    let workers = Workers::new(clock.clone());
    let journal =
        Journal::open(JournalOptions::in_dir(state.path(), &args.prefix), clock.clone(), &workers).await;
    let cluster = source.read(&args.prefix).await.map_err(|error| match error {
        SourceError::File(diagnostics) => MaestroError::Config(diagnostics),
        other => MaestroError::Source(other),
    })?;
    let reading = args.reading();
    let wanted = reading.desired(&cluster);
    let mut options = options(&args, &cluster, wanted.daemons.len());
    options.shared = store.is_some();
    let manager = Manager::start(
        wanted,
        options,
        clock.clone(),
        &workers,
        Some(journal.clone()),
        Some(StateFile::in_dir(state.path())),
    );
    journal.record(NewEvent::new(kinds::DAEMON, args.prefix.clone(), "manager started"));
    let follow =
        source.follow(args.prefix.clone(), manager.clone(), reading, workers.register("configuration"));
    let mut tasks = vec![tokio::spawn(follow)];
    // What managers tell each other must not wait behind ten thousand daemons: a thread, and a connection to etcd, apart.
    let shared = if args.cluster.is_some() { open_store(&args, &base).await? } else { store };
    let board = match shared {
        Some(store) => {
            let id = format!("{}-{}", host_name(), std::process::id());
            let worker = workers.register("managers");
            let board = Board::new(store, layout.runtime(), id, manager.clone(), worker);
            Some(Apart::begin("managers", board.run()).map_err(failed("cannot start a thread"))?)
        }
        None => None,
    };
    if let Some(port) = args.metrics {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port))
            .await
            .map_err(failed(&format!("cannot serve metrics at port {port}")))?;
        tasks.push(tokio::spawn(metrics::serve(listener, manager.clone())));
    }
    let (config, bus) = agent_config(&args, &workers)?;
    let starter = Starter::new(manager.clone(), clock.clone(), state.path().join(STARTED_DIR), bus);
    tasks.push(tokio::spawn(starter.run(workers.register("starting"))));
    let agent = ops::agent(config, &manager, &journal, &workers);
    let address_file = state.path().join(ADDRESS_FILE);
    campanile_control::atomic_file::replace(&address_file, agent.address().as_bytes())
        .map_err(failed("cannot write into the state directory"))?;
    let _control = match ControlSocket::serve(&state.path().join(CONTROL_SOCKET), agent.clone()).await {
        Ok(socket) => Some(socket),
        Err(error) => {
            tracing::warn!(%error, "no control socket");
            None
        }
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    // The daemons go on; nothing is stopped with us.
    journal.record(NewEvent::new(kinds::DAEMON, args.prefix.clone(), "manager ends; the cluster goes on"));
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    drop(board);
    agent.shutdown(SHUTDOWN_GRACE).await;
    manager.save_now().await;
    journal.close(SHUTDOWN_GRACE).await;
    Ok(())
}

/// The identity of a manager in the state directory: several may manage one cluster, on one host for tests.
#[must_use]
pub fn identity(args: &MaestroArgs) -> String {
    match &args.site.instance_id {
        Some(id) => format!("{}.{id}", args.prefix),
        None => args.prefix.clone(),
    }
}

async fn open_store(args: &MaestroArgs, base: &Path) -> Result<Option<Arc<dyn Store>>, MaestroError> {
    if args.file.is_some() {
        return Ok(None);
    }
    if let Some(path) = &args.cluster {
        let (cluster, diagnostics) = read_cluster_file(path);
        if diagnostics.has_errors() {
            return Err(MaestroError::Config(diagnostics));
        }
        return Ok(Some(Arc::new(EtcdStore::open(&cluster)?)));
    }
    let dir = args.store.clone().unwrap_or_else(|| base.join(STORE_DIR));
    Ok(Some(Arc::new(EmbeddedStore::open(&dir).await?)))
}

fn options(args: &MaestroArgs, cluster: &crate::config::Cluster, daemons: usize) -> Options {
    let (probe, moves) = (cluster.extension.probe, cluster.extension.moves);
    let longest_ms = (args.timeout.max(0.1) * 1000.0) as u64;
    let strikes = probe.strikes.max(1);
    // A hung daemon is noticed within --timeout, whatever the probes are set to.
    let probe_ms = probe.interval_ms.clamp(10, (longest_ms / u64::from(strikes)).max(10));
    let many = daemons as u64 / LOOKS_PER_S;
    let watch = Watch {
        probe: Duration::from_millis(probe_ms),
        strikes,
        connect: Duration::from_millis((probe_ms * u64::from(strikes)).min(longest_ms).max(500)),
        look: Duration::from_secs(10.max(many)),
        figures: Duration::from_secs(10.max(many)),
        coverage: Duration::from_secs((many / 10).max(1)),
        updates: Duration::from_secs(30.max(many)),
    };
    let settings = Settings {
        settle_ms: moves.settle_ms,
        moves_per_s: f64::from(moves.return_per_s),
        sync_ms: longest_ms.min(Settings::default().sync_ms),
    };
    Options { watch, settings, shared: false }
}

fn agent_config(args: &MaestroArgs, workers: &Workers) -> Result<(AgentConfig, Option<Bus>), MaestroError> {
    if !args.wants_bus() {
        let mut config = AgentConfig::new(LOCAL_ROOT, &args.prefix, AGENT_CLASS);
        config.workers = Some(workers.clone());
        return Ok((config, None));
    }
    let selected = select(Mode::Agent(AGENT_CLASS), &args.site, &host_name(), &env)
        .map_err(|error| MaestroError::Config(error.diagnostics))?;
    let hub = &selected.site.hub;
    let instance = selected.instance.as_ref();
    let policy = Policy::parse(hub.access_policy.as_deref())
        .map_err(|error| MaestroError::usage(error.to_string()))?;
    let (passwords, problems) = Passwords::of_user(&env);
    let passwords = passwords.ok_or(MaestroError::Config(problems))?;
    let endpoint = Endpoint::Ws(hub.wamp_server.clone(), hub.wamp_realm.clone());
    let bus = Bus { endpoint, root: hub.address_root.clone(), passwords };
    let config = AgentConfig {
        address_root: hub.address_root.clone(),
        instance_id: instance.map_or_else(|| args.prefix.clone(), |instance| instance.instance_id.clone()),
        agent_class: AGENT_CLASS.to_owned(),
        wamp: Some(ClientOptions::new(hub.wamp_server.clone(), hub.wamp_realm.clone())),
        policy,
        log: LogOptions { dir: selected.host.as_ref().and_then(|host| host.log_dir.clone()), stdout: false },
        workers: Some(workers.clone()),
    };
    Ok((config, Some(bus)))
}
