//! The agent on its bus: its names, its heartbeat, and what it does while the router is away (nothing, and it goes on).
//!
//! *Expected flow*: the client connects and registers by itself, again after every loss. One task watches it: as soon
//! as the two names that every agent has are ours, its heart is started; it stops with them.
//!
//! *Guarantees*: no heartbeat without the names, since clients that see one ask for the API at once, and since a second
//! agent of the same identity must stay silent.

use std::future::{Future as _, poll_fn};
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use campanile_control::worker::{WorkerHandle, Workers};
use campanile_wamp::error::uris;
use campanile_wamp::net::client::{
    Client, Handler, Invocation, RegisterOptions, Registration, RegistrationState, State,
};
use campanile_wamp::{Reply, WampError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::access::Caller;
use super::beat::Heart;
use super::caller;
use super::identity::{ConflictWatch, Names};
use super::runtime::Shared;
use super::session::PURGE_EVERY_S;

/// The first names of an agent are those that every agent has; without them it is not an agent to anybody.
const BASIC_NAMES: usize = 2;
/// How long startup operations wait for a router that cannot be reached.
const STARTUP_PATIENCE: Duration = Duration::from_secs(3);

/// How the agent stands with its bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusState {
    /// The agent has no bus.
    Off,
    /// The router cannot be reached; it is tried for ever.
    Connecting {
        /// How often it was tried since it was last reached.
        attempt: u32,
        /// What happened the last time.
        last_error: Option<String>,
    },
    /// The router is reached, the names are asked for.
    Registering,
    /// The names are ours: clients reach the agent.
    Up,
    /// The router refuses the names; it is asked again for ever.
    Refused {
        /// The error URI and what the router says.
        reason: String,
    },
    /// The agent has ended.
    Closed,
}

impl BusState {
    pub(super) const fn initial() -> Self {
        Self::Connecting { attempt: 0, last_error: None }
    }
}

/// Registers the names of an agent (`.ops` first, as OCS does) and starts the task that watches over them.
pub(super) fn join(
    shared: &Arc<Shared>,
    extra: Vec<String>,
    startup: Vec<(String, serde_json::Value)>,
    workers: Option<&Workers>,
) {
    let address = &shared.publisher.agent_address;
    let registrations = shared.client().map_or_else(Vec::new, |client| {
        let names = [format!("{address}.ops"), address.clone()].into_iter().chain(extra);
        names.map(|name| register(client, shared, name)).collect()
    });
    let watcher = Watcher {
        link: shared.client().map(Client::state),
        names: registrations.iter().map(Registration::state).collect(),
        shared: Arc::clone(shared),
        conflict: ConflictWatch::default(),
        startup,
        worker: workers.map(|workers| workers.register("bus")),
        epoch: Instant::now(),
    };
    tokio::spawn(watcher.watch());
}

fn register(client: &Client, shared: &Arc<Shared>, name: String) -> Registration {
    let (weak, procedure): (Weak<Shared>, Arc<str>) = (Arc::downgrade(shared), name.as_str().into());
    let handler: Handler = Arc::new(move |invocation: Invocation| {
        let (agent, procedure) = (weak.upgrade(), Arc::clone(&procedure));
        Box::pin(async move {
            let Some(agent) = agent else {
                return Err(WampError::new(uris::CANCELED, "the agent has ended"));
            };
            let actor = Some(caller::on_bus(&invocation.details));
            agent.dispatch(&procedure, invocation.args, invocation.kwargs, actor).await.map(Reply::of)
        })
    });
    client.register(&name, RegisterOptions::default(), handler)
}

struct Watcher {
    shared: Arc<Shared>,
    link: Option<watch::Receiver<State>>,
    names: Vec<watch::Receiver<RegistrationState>>,
    conflict: ConflictWatch,
    startup: Vec<(String, serde_json::Value)>,
    worker: Option<WorkerHandle>,
    epoch: Instant,
}

impl Watcher {
    async fn watch(mut self) {
        let mut closing = self.shared.closing.subscribe();
        let mut next_purge = Instant::now() + Duration::from_secs_f64(PURGE_EVERY_S);
        let mut heart: Option<Heart> = None;
        loop {
            let (state, names) = self.look();
            let conflict_due = self.note(state, names);
            if names == Names::Ours {
                heart.get_or_insert_with(|| Heart::start(Arc::clone(&self.shared)));
            } else {
                heart = None;
            }
            self.start_what_is_due();

            let deadlines = [Some(next_purge), conflict_due, self.startup_due()];
            let deadline = deadlines.into_iter().flatten().min().unwrap_or(next_purge);
            tokio::select! {
                () = sleep_until(deadline) => {}
                () = any_changed(self.link.as_mut_slice()) => {}
                () = any_changed(&mut self.names) => {}
                _ = closing.wait_for(|closing| *closing) => {
                    self.shared.bus.send_replace(BusState::Closed);
                    return;
                }
            }
            let now = Instant::now();
            if now >= next_purge {
                self.shared.purge();
                next_purge = now + Duration::from_secs_f64(PURGE_EVERY_S);
            }
        }
    }

    /// The state of the bus, and of our names on it.
    fn look(&mut self) -> (BusState, Names) {
        let Some(link) = &mut self.link else {
            return (BusState::Off, Names::Away);
        };
        match &*link.borrow_and_update() {
            State::Connecting { attempt, last_error } => {
                let state = BusState::Connecting { attempt: *attempt, last_error: last_error.clone() };
                return (state, Names::Away);
            }
            State::Closed => return (BusState::Closed, Names::Away),
            State::Joined { .. } => {}
        }
        let (mut state, mut names) = (BusState::Up, Names::Ours);
        for (index, name) in self.names.iter_mut().enumerate() {
            let is_basic = index < BASIC_NAMES;
            match &*name.borrow_and_update() {
                RegistrationState::Active { .. } => {}
                RegistrationState::Refused { uri, message } => {
                    state = BusState::Refused { reason: format!("{uri}: {message}") };
                    if is_basic {
                        let is_taken = uri == uris::PROCEDURE_ALREADY_EXISTS;
                        return (state, if is_taken { Names::Taken } else { Names::Unknown });
                    }
                }
                RegistrationState::Pending => {
                    if state == BusState::Up {
                        state = BusState::Registering;
                    }
                    if is_basic {
                        names = Names::Unknown;
                    }
                }
            }
        }
        (state, names)
    }

    /// Tells the state to whoever watches. Gives when a refusal of our names becomes a conflict, if it is to.
    fn note(&mut self, state: BusState, names: Names) -> Option<Instant> {
        let now_ms = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.conflict.observe(names, now_ms);
        let shared = &self.shared;
        let is_conflict = self.conflict.is_conflict(now_ms);
        let changed = shared.conflict.send_if_modified(|conflict| {
            let before = conflict.is_some();
            if is_conflict != before {
                *conflict = is_conflict.then(|| {
                    format!(
                        "another agent has held the address {} for 15 seconds: is this agent already running?",
                        shared.publisher.agent_address
                    )
                });
            }
            is_conflict != before
        });
        if changed && let Some(text) = shared.conflict.borrow().clone() {
            shared.log(text);
        }
        let said = shared.bus.send_if_modified(|known| {
            let differs = *known != state;
            if differs {
                known.clone_from(&state);
            }
            differs
        });
        if said {
            if let Some(text) = describe(&state) {
                shared.log(text);
            }
            if let Some(worker) = &self.worker {
                report(worker, &state);
            }
        }
        if is_conflict {
            return None;
        }
        self.conflict.conflict_at_ms().map(|at_ms| self.epoch + Duration::from_millis(at_ms))
    }

    /// When startup operations are due by time alone.
    fn startup_due(&self) -> Option<Instant> {
        let waits = !self.startup.is_empty() && is_without_router(&self.shared.bus.borrow());
        waits.then(|| self.epoch + STARTUP_PATIENCE)
    }

    fn start_what_is_due(&mut self) {
        if self.startup.is_empty() {
            return;
        }
        let due = match &*self.shared.bus.borrow() {
            BusState::Off | BusState::Up => true,
            state @ BusState::Connecting { .. } => {
                is_without_router(state) && self.epoch.elapsed() >= STARTUP_PATIENCE
            }
            BusState::Registering | BusState::Refused { .. } | BusState::Closed => false,
        };
        if due {
            for (name, params) in self.startup.drain(..) {
                self.shared.log(format!("startup-op: launching {name}"));
                self.shared.start(&name, &params, Caller::Internal, None);
            }
        }
    }
}

/// Whether there is no router, as opposed to one that is just slow: only a failed attempt tells. Beside a slow router
/// another agent of this identity may be at work.
fn is_without_router(state: &BusState) -> bool {
    matches!(state, BusState::Connecting { last_error: Some(_), .. })
}

/// A line for the log about a change of the bus; attempts after the first are not worth one.
fn describe(state: &BusState) -> Option<String> {
    match state {
        BusState::Up => Some("joined the bus".to_owned()),
        BusState::Refused { reason } => Some(format!("Failed to register basic handlers! Error: {reason}")),
        BusState::Connecting { attempt: 1, last_error: Some(error) } => {
            Some(format!("no router: {error}; trying again until there is one"))
        }
        _ => None,
    }
}

/// Tells the registry of background loops how the bus is.
fn report(worker: &WorkerHandle, state: &BusState) {
    match state {
        BusState::Connecting { last_error: Some(error), .. } => worker.error(error),
        BusState::Refused { reason } => worker.error(reason),
        _ => {}
    }
    match state {
        BusState::Connecting { .. } => worker.busy("connecting to the router"),
        BusState::Registering | BusState::Refused { .. } => worker.busy("registering"),
        BusState::Off | BusState::Up | BusState::Closed => worker.idle(),
    }
}

/// Waits until one of them changes; for ever when none can any more.
async fn any_changed<T>(receivers: &mut [watch::Receiver<T>]) {
    let mut changes: Vec<_> =
        receivers.iter_mut().map(|receiver| Some(Box::pin(receiver.changed()))).collect();
    poll_fn(|context| {
        for change in &mut changes {
            match change.as_mut().map(|change| change.as_mut().poll(context)) {
                Some(Poll::Ready(Ok(()))) => return Poll::Ready(()),
                Some(Poll::Ready(Err(_))) => *change = None,
                Some(Poll::Pending) | None => {}
            }
        }
        Poll::Pending
    })
    .await;
}
