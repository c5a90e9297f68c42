//! The whole life of the daemon: configuration, identity, record, agent, loop, orderly end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use campanile_control::journal::{Journal, JournalOptions, NewEvent, kinds};
use campanile_control::{Clock, StateDir, StateDirError, Workers, atomic_file, state_dir};
use campanile_ocs::agent::{Agent, AgentConfig, LogOptions, Policy, host_name};
use campanile_ocs::control_socket::ControlSocket;
use campanile_ocs::site_config::{Mode, select};
use campanile_wamp::net::client::ClientOptions;
use campanile_yaml::{Diagnostic, Diagnostics};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::args::PoolArgs;
use crate::config::{self, Place, PoolConfig};
use crate::cycle::Memory;
use crate::manager::{Desk, Pool, ReadConfig};
use crate::record::{Record, RecordError};
use crate::sides::Sides;
use crate::time::Time;
use crate::{metrics, ops, rest};

/// The role below the state directory.
pub const ROLE: &str = "pool";
/// The control socket below the daemon's own state directory.
pub const CONTROL_SOCKET: &str = "control.sock";
/// The file that holds the agent's address, for clients of the socket.
pub const ADDRESS_FILE: &str = "address";
/// The class as an OCS agent.
pub const AGENT_CLASS: &str = "CampanilePool";
/// Name of the configuration where none is given.
const DEFAULT_CONFIG: &str = "ehos.yaml";
/// How long the start waits for a record that cannot be reached.
const RECORD_PATIENCE: Duration = Duration::from_secs(60);
/// Between two attempts at it.
const RECORD_RETRY: Duration = Duration::from_secs(2);
/// What operations have at the end.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);

/// Why the daemon could not start.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The configuration, or the site config, cannot be used.
    #[error("the configuration cannot be used")]
    Config(Diagnostics),
    /// The state directory cannot be had, or another daemon has this identity.
    #[error(transparent)]
    State(#[from] StateDirError),
    /// The record cannot be opened or read. Without it nothing is safe.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The system refuses something.
    #[error("{what}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another agent has our address on the bus.
    #[error("another agent has held the address {0} for 15 s")]
    IdentityTaken(String),
}

impl PoolError {
    /// The exit code of the process: 2 for what the user must correct, 1 for the rest.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if matches!(self, Self::Config(_)) { 2 } else { 1 }
    }
}

/// The files that are meant: those given, found by the search path of EHOS, else its `ehos.yaml`.
///
/// # Errors
/// Diagnostics: one of them is nowhere.
pub fn config_files(given: &[PathBuf], place: &Place) -> Result<Vec<PathBuf>, Diagnostics> {
    let names: Vec<PathBuf> = if given.is_empty() { vec![DEFAULT_CONFIG.into()] } else { given.to_vec() };
    let mut diagnostics = Diagnostics::new();
    let mut files = Vec::new();
    for name in names {
        match config::find_file(&name, &place.working_dir, &place.working_dir) {
            Some(file) => files.push(file),
            None => diagnostics.push(
                Diagnostic::error(format!("{} is not found", name.display()))
                    .hint(format!("looked for here and in {}", config::SEARCH_PATH.join(", "))),
            ),
        }
    }
    if diagnostics.is_empty() { Ok(files) } else { Err(diagnostics) }
}

/// Where the state of a pool lies.
///
/// # Errors
/// There is no place for state at all.
pub fn state_path(state_dir_option: Option<&Path>, config: &PoolConfig) -> Result<PathBuf, StateDirError> {
    let env = |name: &str| std::env::var(name).ok();
    let base = state_dir::base(state_dir_option, &env, state_dir::is_root())?;
    Ok(base.join(ROLE).join(state_dir::file_name(&config.mark.value())))
}

/// Runs the daemon until it is told to end. The nodes go on without it.
///
/// # Errors
/// [`PoolError`]; [`PoolError::exit_code`] gives the code for the shell.
pub async fn run(args: PoolArgs) -> Result<(), PoolError> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |source| PoolError::System { what, source }
    };
    let place = Place::here().map_err(failed("there is no working directory"))?;
    let files = config_files(&args.config, &place).map_err(PoolError::Config)?;
    let (config, diagnostics) = config::read(&files, &place);
    let Some(config) = config else { return Err(PoolError::Config(diagnostics)) };
    for warning in diagnostics.iter() {
        tracing::warn!("{}", warning.one_line());
    }
    let mut signals = Signals::listen().map_err(failed("signals cannot be watched"))?;
    let env = |name: &str| std::env::var(name).ok();
    let base = state_dir::base(args.state_dir.as_deref(), &env, state_dir::is_root())?;
    let state = StateDir::open(&base, ROLE, &config.mark.value(), "")?;
    let clock = Clock::system();
    let workers = Workers::new(clock.clone());
    let journal = Journal::open(JournalOptions::in_dir(state.path(), ROLE), clock.clone(), &workers).await;
    let record = open_record(&config, state.path()).await?;
    let (nodes, kept) = record.load().await?;
    let (config, read_config) = with_settings(config, files, place, &record).await?;
    let sides = Sides::open(&config, state.path()).await.map_err(|problems| {
        let mut diagnostics = Diagnostics::new();
        problems.into_iter().for_each(|problem| diagnostics.push(Diagnostic::error(problem)));
        PoolError::Config(diagnostics)
    })?;

    let latest_ms = nodes.iter().map(|node| node.since_ms).max().unwrap_or(0);
    let time = Time::begin(clock, latest_ms);
    let found = nodes.len();
    let memory = Memory {
        nodes,
        controls: kept.controls,
        last_cloud: kept.last_cloud,
        seed: time.now_ms() ^ (u64::from(std::process::id()) << 40),
        ..Memory::default()
    };
    tracing::info!(record = record.place(), nodes = found, mark = config.mark.value(), "the pool begins");
    journal.record(NewEvent::new(kinds::DAEMON, ROLE, format!("begins with {found} nodes in its record")));
    let agent_config = agent_config(&args, &workers)?;
    let rest_config = config.rest.clone();
    let (pool, mut desk) = Pool::new(
        config,
        sides,
        memory,
        (time, journal.clone(), record.clone(), workers),
        read_config,
        state.path(),
    );
    let (running, _) = watch::channel(false);
    let agent = ops::agent(agent_config, &pool, &running);
    atomic_file::replace(&state.path().join(ADDRESS_FILE), agent.address().as_bytes())
        .map_err(failed("the agent's address cannot be written down"))?;
    let _socket = serve_control(state.path(), &agent).await;
    let listen = args.listen.clone().or(rest_config.as_ref().map(|rest| rest.listen.clone()));
    if let Some(address) = listen {
        let token_file = rest_config.and_then(|rest| rest.token_file);
        serve_rest(&address, &pool, token_file)
            .await
            .map_err(failed(&format!("cannot listen on {address}")))?;
    }
    let outcome = work(&mut desk, &agent, &running, &mut signals).await;
    agent.shutdown(SHUTDOWN_GRACE).await;
    journal.record(NewEvent::new(kinds::DAEMON, ROLE, "ends; the nodes go on"));
    journal.close(SHUTDOWN_GRACE).await;
    record.close().await;
    outcome
}

/// Why the desk was left.
enum Left {
    Signal,
    Stopped,
    Conflict,
}

/// Turns, as long as the process `manager` runs; until a signal.
async fn work(
    desk: &mut Desk,
    agent: &Agent,
    running: &watch::Sender<bool>,
    signals: &mut Signals,
) -> Result<(), PoolError> {
    let client = metrics::client();
    if let Err(problem) = &client {
        tracing::warn!("no metrics can be sent: {problem}");
    }
    let publish = |pool: &Pool| publish(pool, agent, client.as_ref().ok());
    let mut conflict = agent.identity_conflict();
    loop {
        let mut on = running.subscribe();
        tokio::select! {
            _ = on.wait_for(|on| *on) => {}
            () = signals.recv() => return Ok(()),
            _ = conflict.wait_for(Option::is_some) => {
                return Err(PoolError::IdentityTaken(agent.address().to_owned()));
            }
        }
        let left = async {
            tokio::select! {
                () = signals.recv() => Left::Signal,
                _ = on.wait_for(|on| !*on) => Left::Stopped,
                _ = conflict.wait_for(Option::is_some) => Left::Conflict,
            }
        };
        match desk.run(left, publish).await {
            Left::Signal => return Ok(()),
            Left::Conflict => return Err(PoolError::IdentityTaken(agent.address().to_owned())),
            Left::Stopped => {}
        }
    }
}

fn publish(pool: &Pool, agent: &Agent, client: Option<&reqwest::Client>) {
    let sight = pool.sight();
    // Without a router nobody listens, as with OCS.
    let _ = agent.publish(ops::FEED, campanile_wamp::Value::from(metrics::feed_message(&sight)));
    let config = pool.config();
    if let (Some(influx), Some(client)) = (config.influx.clone(), client) {
        let line = metrics::influx_line(&config.mark.host, &metrics::numbers(&sight));
        let (client, handle) = (client.clone(), pool.loop_handle("influxdb"));
        tokio::spawn(async move {
            handle.busy("sending");
            if let Err(problem) = metrics::send_influx(&client, &influx, line).await {
                handle.error(&problem);
            }
            handle.idle();
        });
    }
}

/// A database server may come up after us.
async fn open_record(config: &PoolConfig, state: &Path) -> Result<Record, RecordError> {
    let began = tokio::time::Instant::now();
    loop {
        match Record::open(&config.database, state, &config.mark).await {
            Ok(record) => return Ok(record),
            Err(error) if began.elapsed() >= RECORD_PATIENCE => return Err(error),
            Err(error) => {
                tracing::warn!("{}; trying again", crate::manager::with_source(&error));
                tokio::time::sleep(RECORD_RETRY).await;
            }
        }
    }
}

/// With `use_db_settings` the table overrides the file, and is filled from it when it is empty.
async fn with_settings(
    config: PoolConfig,
    files: Vec<PathBuf>,
    place: Place,
    record: &Record,
) -> Result<(PoolConfig, ReadConfig), PoolError> {
    let read: ReadConfig = {
        let files = files.clone();
        let place = place.clone();
        Arc::new(move |settings: &BTreeMap<String, String>| {
            config::read_with_settings(&files, &place, settings)
        })
    };
    if !config.use_db_settings {
        return Ok((config, read));
    }
    let settings = record.settings().await?;
    if settings.is_empty() {
        for (name, value) in config::of_config(&config) {
            record.set_setting(&name, &value).await?;
        }
        return Ok((config, read));
    }
    let (config, diagnostics) = config::read_with_settings(&files, &place, &settings);
    config.map(|config| (config, read)).ok_or(PoolError::Config(diagnostics))
}

fn agent_config(args: &PoolArgs, workers: &Workers) -> Result<AgentConfig, PoolError> {
    let mut config = AgentConfig::new("campanile", "pool", AGENT_CLASS);
    config.workers = Some(workers.clone());
    config.log = LogOptions { dir: None, stdout: false };
    if !args.bus {
        return Ok(config);
    }
    let env = |name: &str| std::env::var(name).ok();
    let selected = select(Mode::Agent(AGENT_CLASS), &args.site, &host_name(), &env)
        .map_err(|error| PoolError::Config(error.diagnostics))?;
    let hub = &selected.site.hub;
    config.address_root.clone_from(&hub.address_root);
    if let Some(instance) = &selected.instance {
        config.instance_id.clone_from(&instance.instance_id);
    }
    config.wamp = Some(ClientOptions::new(hub.wamp_server.clone(), hub.wamp_realm.clone()));
    config.policy = Policy::parse(hub.access_policy.as_deref())
        .map_err(|error| PoolError::Config(Diagnostic::error(error.to_string()).into()))?;
    config.log.dir = selected.host.and_then(|host| host.log_dir);
    Ok(config)
}

async fn serve_rest(address: &str, pool: &Arc<Pool>, token_file: Option<PathBuf>) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "status and metrics are served");
    let pool = Arc::clone(pool);
    let handle = pool.workers.register("rest");
    tokio::spawn(async move {
        handle.busy("serving");
        if let Err(error) = rest::serve(listener, pool, token_file).await {
            handle.error(&error.to_string());
        }
    });
    Ok(())
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

/// The signals that end us.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn recv(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
