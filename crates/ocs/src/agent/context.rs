//! What the code of an operation has of its agent: [`OpContext`].

use std::sync::Arc;
use std::time::Duration;

use campanile_control::journal::Actor;
use serde_json::Value;
use tokio::sync::watch;

use super::access::CredLevel;
use super::handle::Agent;
use super::runtime::Shared;
use super::session::DataProvider;

/// The run of an operation, as its code sees it. Clones are the same run; what they say after it has ended is ignored.
#[derive(Clone)]
pub struct OpContext {
    pub(super) shared: Arc<Shared>,
    pub(super) op_name: Arc<str>,
    pub(super) session_id: u64,
    pub(super) cred_level: CredLevel,
    pub(super) actor: Option<Actor>,
    pub(super) stop: watch::Receiver<bool>,
}

impl OpContext {
    /// The number of this run.
    #[must_use]
    pub const fn session_id(&self) -> u64 {
        self.session_id
    }

    /// The name of the operation.
    #[must_use]
    pub fn op_name(&self) -> &str {
        &self.op_name
    }

    /// The level of the caller that started it.
    #[must_use]
    pub const fn cred_level(&self) -> CredLevel {
        self.cred_level
    }

    /// The instance-id of the agent.
    #[must_use]
    pub fn instance_id(&self) -> &str {
        &self.shared.instance_id
    }

    /// Who started it, as far as that is known; `None` where the agent did so itself.
    #[must_use]
    pub const fn actor(&self) -> Option<&Actor> {
        self.actor.as_ref()
    }

    /// The agent, to publish or to start other operations.
    #[must_use]
    pub fn agent(&self) -> Agent {
        Agent::from_shared(Arc::clone(&self.shared))
    }

    /// Adds a message to the record of the run; it also goes to the log. All messages of the last hour go out with
    /// every status reply, so they are for events, not for measurements.
    pub fn message(&self, text: impl Into<String>) {
        self.shared.message(&self.op_name, self.session_id, text.into());
    }

    /// Replaces the data of the run.
    pub fn set_data(&self, data: Value) {
        self.shared.with_session(&self.op_name, self.session_id, |session| session.set_data(data));
    }

    /// Changes the data of the run in place. The closure runs under the agent's lock: keep it short, and call nothing
    /// of the agent in it.
    pub fn with_data(&self, change: impl FnOnce(&mut Value)) {
        self.shared.with_session(&self.op_name, self.session_id, |session| change(session.data_mut()));
    }

    /// Lets a function give the data whenever somebody asks, instead of setting it at each change. When the run ends
    /// it is asked a last time.
    pub fn set_data_provider(&self, provider: DataProvider) {
        self.shared.with_session(&self.op_name, self.session_id, |session| session.set_provider(provider));
    }

    /// Says whether the operation, while running, cannot do its primary job at the moment.
    pub fn set_degraded(&self, degraded: bool) {
        self.shared.with_session(&self.op_name, self.session_id, |session| session.set_degraded(degraded));
    }

    /// Whether a stop or abort was requested, or the agent ends.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }

    /// Waits until a stop or abort is requested, or the agent ends.
    pub async fn stop_requested(&self) {
        // An error means that the run has ended, which is a request to stop as well.
        let _ = self.stop.clone().wait_for(|stop| *stop).await;
    }

    /// Sleeps. Gives `false`, at once, when a stop is requested.
    pub async fn sleep(&self, duration: Duration) -> bool {
        tokio::select! {
            () = self.stop_requested() => false,
            () = tokio::time::sleep(duration) => true,
        }
    }
}
