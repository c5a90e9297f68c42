//! The router on the network: `/ws` for WAMP over websocket, `/call` for calls over HTTP, `/info`.
//!
//! Everything runs well on a current-thread runtime: the work of a router is small, and handing it between threads
//! costs more than it gains.

mod accept;
mod frame;
mod handshake;
pub(super) mod hub;
mod info;
mod outbox;
mod reader;
mod session;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::routing::any;

use crate::Limits;
use crate::net::bridge;
use crate::router::{RealmConfig, Role, Stats};

use accept::ConnectionPermit;
use hub::Hub;

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
    /// How long a connection has for the body of its HTTP request, and for its HELLO.
    pub handshake_timeout: Duration,
    /// How long a connection may be idle before and between HTTP requests, and take for the head of one.
    pub http_idle_timeout: Duration,
    /// A websocket peer of which nothing was heard for this long is pinged.
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
            http_idle_timeout: Duration::from_secs(60),
            ping_interval: Duration::from_secs(10),
            ping_timeout: Duration::from_secs(5),
            http_call_timeout: Duration::from_secs(24 * 3600),
            shutdown_grace: Duration::from_secs(2),
        }
    }
}

/// A router that serves websocket and HTTP clients. Clones are the same router.
#[derive(Clone)]
pub struct Router {
    hub: Arc<Hub>,
}

impl Router {
    /// A router with no clients yet.
    pub fn new(config: RouterConfig) -> Self {
        Self { hub: Arc::new(Hub::new(config)) }
    }

    /// `/ws`, `/call` and `/info`, to be mounted in a server of the caller's own. [`Self::serve`] does more: it limits
    /// connections and ends sessions in an orderly way.
    pub fn service(&self) -> axum::Router {
        axum::Router::new()
            .route("/ws", any(handshake::upgrade))
            .route("/call", any(bridge::call))
            .route("/info", axum::routing::get(info::info))
            .with_state(Arc::clone(&self.hub))
    }

    /// How much is in the router now. The session of the HTTP bridge counts.
    pub fn stats(&self) -> Stats {
        self.hub.stats()
    }

    /// Accepts connections until `shutdown` is ready, then says GOODBYE to all sessions, gives them
    /// [`ConnectionLimits::shutdown_grace`], and ends.
    ///
    /// # Errors
    /// When the listener itself cannot be used; errors of single connections are logged and end only them.
    pub async fn serve(
        self,
        listener: tokio::net::TcpListener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> io::Result<()> {
        accept::serve(&self, listener, shutdown).await
    }
}
