//! The router without I/O: one realm with its broker and dealer.
//!
//! The driver attaches a peer for every connection, hands in what each one sends, does what the [`Output`]s say, in
//! their order, and detaches the peer when its connection is gone. The core keeps no time and opens nothing; ids come
//! from a generator whose seed is given.
//!
//! ```text
//! connection ── attach ──▶ PeerId
//!            ── receive(peer, Message) ──▶ Outputs: Send, Event (one message, many receivers), Close
//!            ── detach(peer) ──▶ Outputs: what the others must be told
//! ```
//!
//! Guarantees: nothing is sent to a peer that is not joined, but ABORT and GOODBYE; a session that ends leaves no
//! subscription, registration or call behind; no message makes the core panic.
//!
//! Architecture Invariant: permission is decided in `Core::check` and nowhere else.

mod auth;
mod broker;
mod check;
mod config;
mod dealer;
mod hello;
mod ids;
mod options;
mod output;
mod pattern;
mod requests;
mod sessions;

use std::collections::HashMap;
use std::sync::Arc;

pub use auth::{Action, Permission, Role};
pub use config::{RealmConfig, SessionLimits};
pub use output::{CloseReason, Output, PeerId};

use broker::Broker;
use dealer::Dealer;
use ids::Ids;
use options::Violation;
use sessions::{Session, Sessions};

use crate::error::uris;
use crate::{Dict, Message, Payload};

/// The error of a request that would pass a limit of [`SessionLimits`]; the protocol names none.
pub const LIMIT_EXCEEDED: &str = "campanile.error.limit_exceeded";

/// A router for one realm.
#[derive(Debug)]
pub struct Core {
    config: RealmConfig,
    anonymous_role: Arc<Role>,
    ids: Ids,
    last_peer: u64,
    /// Every connection, joined or not, and where it comes from.
    connected: HashMap<PeerId, Option<String>>,
    sessions: Sessions,
    broker: Broker,
    dealer: Dealer,
}

/// How much is in the router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections, joined or not.
    pub connections: usize,
    /// Joined sessions.
    pub sessions: usize,
    /// Different topics and patterns that are subscribed to.
    pub subscriptions: usize,
    /// Registered procedures.
    pub registrations: usize,
    /// Calls that wait for their callee.
    pub pending_calls: usize,
}

impl Core {
    /// A router with no peers. Different seeds give different ids.
    pub fn new(config: RealmConfig, seed: u64) -> Self {
        Self {
            anonymous_role: Arc::new(config.anonymous_role.clone()),
            config,
            ids: Ids::new(seed),
            last_peer: 0,
            connected: HashMap::new(),
            sessions: Sessions::default(),
            broker: Broker::new(),
            dealer: Dealer::new(),
        }
    }

    /// A new connection, which will say HELLO.
    pub fn attach(&mut self) -> PeerId {
        self.attach_from(None)
    }

    /// A new connection from this address, which will say HELLO. Callees that ask for it are told the address.
    pub fn attach_from(&mut self, from: Option<String>) -> PeerId {
        self.last_peer += 1;
        let peer = PeerId(self.last_peer);
        self.connected.insert(peer, from);
        peer
    }

    /// A part of this program that acts as a session without HELLO, with a role of its own and as many unanswered
    /// calls as `max_calls`. It calls for others, so it says with the options [`crate::CALLER_FROM`] and
    /// [`crate::CALLER_AGENT`] for whom.
    pub fn attach_joined(&mut self, role: Role, max_calls: usize) -> PeerId {
        let peer = self.attach();
        let id = self.new_session_id();
        let mut session = Session::new(id, Arc::new(role), &Dict::new(), max_calls);
        session.calls_for_others = true;
        self.sessions.insert(peer, session);
        peer
    }

    /// The connection is gone. Its session ends, others are told what they wait for in vain.
    pub fn detach(&mut self, peer: PeerId, outputs: &mut Vec<Output>) {
        self.connected.remove(&peer);
        self.end_session(peer, outputs);
    }

    /// Whether the peer is in a session.
    pub fn is_joined(&self, peer: PeerId) -> bool {
        self.sessions.get(peer).is_some()
    }

    /// The numbers now.
    pub fn stats(&self) -> Stats {
        debug_assert_eq!(
            self.sessions.values().map(|session| session.serving.len()).sum::<usize>(),
            self.sessions.values().map(|session| session.calling.len()).sum::<usize>(),
            "callers and callees know the same calls"
        );
        Stats {
            connections: self.connected.len(),
            sessions: self.sessions.len(),
            subscriptions: self.broker.len(),
            registrations: self.dealer.len(),
            pending_calls: self.sessions.values().map(|session| session.serving.len()).sum(),
        }
    }

    /// Says GOODBYE to every session, for a shutdown. Their answers close their connections.
    pub fn say_goodbye(&mut self, outputs: &mut Vec<Output>) {
        for (to, session) in self.sessions.iter_mut().filter(|(_, session)| !session.leaving) {
            session.leaving = true;
            let details = Dict::new().with("message", "the router is shutting down");
            let message = Message::Goodbye { details, reason: uris::SYSTEM_SHUTDOWN.to_owned() };
            outputs.push(Output::Send { to, message });
        }
    }

    /// Takes in one message of a peer and appends what has to be done to `outputs`.
    pub fn receive(&mut self, peer: PeerId, message: Message, outputs: &mut Vec<Output>) {
        if !self.connected.contains_key(&peer) {
            return;
        }
        let done = match self.sessions.get(peer) {
            None => self.receive_greeting(peer, message, outputs),
            Some(session) if session.leaving => {
                if matches!(message, Message::Goodbye { .. } | Message::Abort { .. }) {
                    self.end_session(peer, outputs);
                    outputs.push(Output::Close { to: peer, reason: CloseReason::SessionEnded });
                }
                Ok(())
            }
            Some(_) => self.receive_in_session(peer, message, outputs),
        };
        if let Err(Violation(text)) = done {
            self.end_session(peer, outputs);
            outputs.push(Output::Close { to: peer, reason: CloseReason::ProtocolViolation(text) });
        }
    }

    fn new_session_id(&mut self) -> u64 {
        let sessions = &self.sessions;
        self.ids.next_free(|id| sessions.has_id(id))
    }

    fn end_session(&mut self, peer: PeerId, outputs: &mut Vec<Output>) {
        let Some(session) = self.sessions.remove(peer) else { return };
        for &id in &session.subscriptions {
            self.broker.unsubscribe(peer, id);
        }
        self.dealer.session_gone(&mut self.sessions, &session, peer, outputs);
    }
}

fn error(to: PeerId, request_type: u64, request: u64, error: &str, payload: Payload) -> Output {
    let error = error.to_owned();
    Output::Send {
        to,
        message: Message::Error { request_type, request, details: Dict::new(), error, payload },
    }
}
