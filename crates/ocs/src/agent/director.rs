//! The agent and its access director: the rules come over a feed, and are asked for whenever the bus is joined.
//!
//! *Expected flow*: subscribe to the director's feed `controls`; when that is done, call its `agent_poll`; a second
//! later it publishes the rules for us. Afterwards only the feed matters: the director publishes every change, and all
//! of its rules once a minute.
//!
//! *Guarantees*: until rules arrive everyone is blocked; once they have, they stay through every loss of the router or
//! the director until new ones arrive. A director that does not answer is asked again and again, with growing waits.

use std::sync::{Arc, Weak};
use std::time::Duration;

use campanile_control::backoff::Backoff;
use campanile_control::worker::{WorkerHandle, Workers};
use campanile_wamp::net::client::{CallOptions, Client, Event, RegistrationState, State, Subscription};
use campanile_wamp::{Dict, Match};
use tokio::sync::watch;

use super::runtime::Shared;
use super::unix_now_s;

/// How long the director may take to answer a poll.
const POLL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long its rules may take after the answer; the original sends them within about a second.
const RULES_TIMEOUT: Duration = Duration::from_secs(10);
/// From one poll to the next, while no rules come.
const RETRY: Backoff = Backoff { first_ms: 1000, max_ms: 60_000, factor: 2.0 };

/// Starts to follow a director, for as long as the agent lives. Without a bus there is none to follow.
pub(super) fn follow(shared: &Arc<Shared>, address_root: &str, director_id: &str, workers: Option<&Workers>) {
    let worker = workers.map(|workers| workers.register("access director"));
    let Some(client) = shared.client() else {
        shared.log("no bus, so no access director: all requests are blocked".to_owned());
        return;
    };
    let address = format!("{address_root}.{director_id}");
    let weak = Arc::downgrade(shared);
    let topic = format!("{address}.feeds.controls");
    let subscription = client.subscribe(&topic, Match::Exact, Arc::new(move |event| take(&weak, &event)));
    let follower = Follower {
        client: client.clone(),
        shared: Arc::downgrade(shared),
        rules: shared.access.subscribe(),
        link: client.state(),
        subscription,
        procedure: format!("{address}.agent_poll"),
        worker,
    };
    let mut closing = shared.closing.subscribe();
    tokio::spawn(async move {
        tokio::select! {
            () = follower.run() => {}
            _ = closing.wait_for(|closing| *closing) => {}
        }
    });
}

/// An event of the feed: `[message, feed info]`.
fn take(shared: &Weak<Shared>, event: &Event) {
    let Some(shared) = shared.upgrade() else { return };
    let message = event.args.first().and_then(|data| data.as_list()).and_then(|data| data.first());
    let message = message.map_or(serde_json::Value::Null, campanile_wamp::Value::to_json);
    let taken = {
        let mut state = shared.lock();
        let access = state.ops.access_mut();
        access.take(&message, unix_now_s()).map(|changed| changed.then(|| access.update_count()))
    };
    match taken {
        Ok(None) => {}
        Ok(Some(count)) => {
            if count == 1 {
                shared.log("received the access rules from the access director".to_owned());
            }
            shared.access.send_replace(count);
        }
        Err(error) => shared.log(error.to_string()),
    }
}

struct Follower {
    client: Client,
    shared: Weak<Shared>,
    /// How often rules have come.
    rules: watch::Receiver<u64>,
    link: watch::Receiver<State>,
    subscription: Subscription,
    procedure: String,
    worker: Option<WorkerHandle>,
}

impl Follower {
    async fn run(self) {
        while let Some(session) = self.joined().await {
            self.busy("asking for the access rules");
            let mut link = self.link.clone();
            let lost = async { link.wait_for(|state| session_of(state) != Some(session)).await.is_ok() };
            tokio::pin!(lost);
            let goes_on = tokio::select! {
                () = self.ask() => {
                    if let Some(worker) = &self.worker {
                        worker.idle();
                    }
                    // Rules came. A session that is another one has to be asked for them again.
                    lost.await
                }
                goes_on = &mut lost => goes_on,
            };
            if !goes_on {
                return;
            }
        }
    }

    /// The number of the session, once there is one; `None` when there will never be one again.
    async fn joined(&self) -> Option<u64> {
        self.busy("waiting for the router");
        let mut link = self.link.clone();
        let state =
            link.wait_for(|state| matches!(state, State::Joined { .. } | State::Closed)).await.ok()?;
        session_of(&state)
    }

    /// Asks until rules come. What comes is heard only once the subscription stands.
    async fn ask(&self) {
        let mut standing = self.subscription.state();
        let listens = |state: &RegistrationState| matches!(state, RegistrationState::Active { .. });
        if standing.wait_for(listens).await.is_err() {
            return std::future::pending().await;
        }
        let mut rules = self.rules.clone();
        rules.mark_unchanged();
        let mut retry = 0;
        let mut said: Option<String> = None;
        loop {
            let problem = match self.poll().await {
                Err(problem) => problem,
                Ok(()) => match tokio::time::timeout(RULES_TIMEOUT, rules.changed()).await {
                    Ok(_) => return,
                    Err(_) => format!("it answered, but sent nothing within {} s", RULES_TIMEOUT.as_secs()),
                },
            };
            self.complain(&problem, &mut said);
            let wait = Duration::from_millis(RETRY.wait_ms(retry) + fastrand::u64(..RETRY.first_ms));
            retry += 1;
            if tokio::time::timeout(wait, rules.changed()).await.is_ok() {
                return;
            }
        }
    }

    async fn poll(&self) -> Result<(), String> {
        let kwargs = {
            let shared = self.shared.upgrade().ok_or_else(|| "the agent has ended".to_owned())?;
            Dict::new()
                .with("instance_id", shared.instance_id.as_str())
                .with("agent_class", shared.publisher.agent_class.as_str())
        };
        let options = CallOptions::timeout(POLL_TIMEOUT);
        let answer = self.client.call(&self.procedure, Vec::new(), kwargs, options).await;
        match answer {
            Ok(reply) if reply.args.first().and_then(campanile_wamp::Value::as_bool) == Some(false) => {
                Err("it does not take the name or the class of this agent".to_owned())
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Says a problem, but not again and again.
    fn complain(&self, problem: &str, said: &mut Option<String>) {
        let text =
            format!("Failed to request access rules from access director ({}): {problem}", self.procedure);
        if let Some(worker) = &self.worker {
            worker.error(&text);
        }
        if said.as_deref() != Some(problem) {
            *said = Some(problem.to_owned());
            if let Some(shared) = self.shared.upgrade() {
                shared.log(format!("{text}; asking again until it answers"));
            }
        }
    }

    fn busy(&self, what: &str) {
        if let Some(worker) = &self.worker {
            worker.busy(what);
        }
    }
}

fn session_of(state: &State) -> Option<u64> {
    match state {
        State::Joined { session_id } => Some(*session_id),
        State::Connecting { .. } | State::Closed => None,
    }
}
