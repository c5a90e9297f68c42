//! What a client and its calls may be told.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::backoff::Backoff;
use crate::session::SessionOptions;
use crate::{Limits, Match, Reply, Subprotocol};

/// Where to connect, and the limits of it. [`ClientOptions::new`] has values that fit a site.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// `ws://host:port/path` or `wss://…`, which trusts the certificates that this machine trusts (`SSL_CERT_FILE` names
    /// others).
    pub url: String,
    /// The realm to join.
    pub realm: String,
    /// What this program says it is; the router tells it to those who ask who called them. `None` for a plain name.
    pub agent: Option<String>,
    /// What is offered to the router, which picks one; it prefers the first.
    pub serializers: Vec<Subprotocol>,
    /// How long to wait before connecting again.
    pub backoff: Backoff,
    /// How long to wait before asking again for a refused registration or subscription.
    pub refused_backoff: Backoff,
    /// What the router may send.
    pub limits: Limits,
    /// For everything from name lookup to the WebSocket handshake.
    pub connect_timeout: Duration,
    /// From the HELLO to the WELCOME.
    pub join_timeout: Duration,
    /// How long a connection must have been joined for the waits to begin anew.
    pub stable_after: Duration,
    /// A router of which nothing was heard for this long is pinged. A little more than the 10 s after which routers
    /// ping by default: who is pinged hears that the router lives.
    pub ping_every: Duration,
    /// A connection on which nothing at all was heard for this long after a ping is dropped.
    pub ping_timeout: Duration,
    /// How much may wait to be sent, in bytes; what does not fit is refused at once.
    pub max_queued_bytes: usize,
    /// How many calls may wait for their answer.
    pub max_pending_calls: usize,
    /// How many invocations may run at a time; one more is answered with an error.
    pub max_running_invocations: usize,
}

impl ClientOptions {
    /// The usual options for a router and a realm.
    pub fn new(url: impl Into<String>, realm: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            realm: realm.into(),
            agent: None,
            serializers: Subprotocol::ALL.to_vec(),
            backoff: Backoff::default(),
            refused_backoff: Backoff::default(),
            limits: Limits::default(),
            connect_timeout: Duration::from_secs(10),
            join_timeout: Duration::from_secs(10),
            stable_after: Duration::from_secs(10),
            ping_every: Duration::from_secs(12),
            ping_timeout: Duration::from_secs(10),
            max_queued_bytes: 16 << 20,
            max_pending_calls: 10_000,
            max_running_invocations: 1_000,
        }
    }

    /// What the session needs of this.
    pub(super) fn session(&self) -> SessionOptions {
        SessionOptions {
            realm: self.realm.clone(),
            agent: self.agent.clone(),
            join_timeout_ms: as_ms(self.join_timeout),
            refused_backoff: self.refused_backoff,
            max_pending_calls: self.max_pending_calls,
        }
    }
}

/// In milliseconds, as the session counts.
pub(super) fn as_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Takes the steps of a progressive call, on the client's task: it must be quick.
pub type OnProgress = Arc<dyn Fn(Reply) + Send + Sync>;

/// How one call is made.
#[derive(Clone, Default)]
pub struct CallOptions {
    /// How long to wait for the answer; then the call is cancelled. `None` waits as long as the session lasts.
    pub timeout: Option<Duration>,
    /// Asks for progressive results, and who gets them.
    pub progress: Option<OnProgress>,
}

impl CallOptions {
    /// With a timeout.
    pub fn timeout(timeout: Duration) -> Self {
        Self { timeout: Some(timeout), progress: None }
    }
}

impl fmt::Debug for CallOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallOptions")
            .field("timeout", &self.timeout)
            .field("progress", &self.progress.is_some())
            .finish()
    }
}

/// How a procedure is registered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegisterOptions {
    /// Whether the procedure is a name or a pattern.
    pub matching: Match,
}
