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
mod config;
mod dealer;
mod hello;
mod ids;
mod options;
mod output;
mod pattern;
mod sessions;

use std::collections::HashSet;
use std::sync::Arc;

pub use auth::{Action, Permission, Role};
pub use config::{RealmConfig, SessionLimits};
pub use output::{CloseReason, Output, PeerId};

use broker::{Audience, Broker, Publication};
use dealer::{Call, CancelMode, Dealer};
use ids::Ids;
use options::{Options, Violation};
use sessions::{Session, Sessions};

use crate::error::uris;
use crate::message::codes;
use crate::uri::{self, MAX_URI_BYTES, Match};
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
    /// Every connection, joined or not.
    connected: HashSet<PeerId>,
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

/// A request that is not done, as the ERROR tells it.
struct Refusal {
    error: &'static str,
    text: String,
}

impl Core {
    /// A router with no peers. Different seeds give different ids.
    pub fn new(config: RealmConfig, seed: u64) -> Self {
        Self {
            anonymous_role: Arc::new(config.anonymous_role.clone()),
            config,
            ids: Ids::new(seed),
            last_peer: 0,
            connected: HashSet::new(),
            sessions: Sessions::default(),
            broker: Broker::new(),
            dealer: Dealer::new(),
        }
    }

    /// A new connection, which will say HELLO.
    pub fn attach(&mut self) -> PeerId {
        self.last_peer += 1;
        let peer = PeerId(self.last_peer);
        self.connected.insert(peer);
        peer
    }

    /// A part of this program that acts as a session without HELLO, with a role of its own and as many unanswered
    /// calls as `max_calls`.
    pub fn attach_joined(&mut self, role: Role, max_calls: usize) -> PeerId {
        let peer = self.attach();
        let id = self.new_session_id();
        self.sessions.insert(peer, Session::new(id, Arc::new(role), &Dict::new(), max_calls));
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
        if !self.connected.contains(&peer) {
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

    fn receive_in_session(
        &mut self,
        peer: PeerId,
        message: Message,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        match message {
            Message::Publish { request, options, topic, payload } => {
                self.publish(peer, request, &options, &topic, payload, outputs)
            }
            Message::Call { request, options, procedure, payload } => {
                self.call(peer, request, &options, &procedure, payload, outputs)
            }
            Message::Yield { request, options, payload } => {
                let progress = Options::new("YIELD", &options).flag("progress", false)?;
                Dealer::result(&mut self.sessions, peer, request, progress, payload, outputs);
                Ok(())
            }
            Message::Error { request_type: codes::INVOCATION, request, error, payload, .. } => {
                Dealer::error(&mut self.sessions, peer, request, &error, payload, outputs);
                Ok(())
            }
            Message::Cancel { request, options } => {
                let options = Options::new("CANCEL", &options);
                let mode = match options.text("mode")? {
                    None => CancelMode::KillNoWait,
                    Some(name) => CancelMode::from_name(name).ok_or_else(|| options.invalid("mode"))?,
                };
                Dealer::cancel(&mut self.sessions, peer, request, mode, outputs);
                Ok(())
            }
            Message::Subscribe { request, options, topic } => {
                self.subscribe(peer, request, &options, topic, outputs)
            }
            Message::Unsubscribe { request, subscription } => {
                self.unsubscribe(peer, request, subscription, outputs);
                Ok(())
            }
            Message::Register { request, options, procedure } => {
                self.register(peer, request, &options, &procedure, outputs)
            }
            Message::Unregister { request, registration } => {
                self.unregister(peer, request, registration, outputs);
                Ok(())
            }
            Message::Goodbye { .. } => {
                // The connection stays: the client may say HELLO again, and closes it else.
                let reason = uris::CLOSE_NORMAL.to_owned();
                let message = Message::Goodbye { details: Dict::new(), reason };
                outputs.push(Output::Send { to: peer, message });
                self.end_session(peer, outputs);
                Ok(())
            }
            unexpected => Err(Violation(format!("unexpected {} in a session", unexpected.name()))),
        }
    }

    fn publish(
        &mut self,
        peer: PeerId,
        request: u64,
        options: &Dict,
        topic: &str,
        payload: Payload,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        let options = Options::new("PUBLISH", options);
        let audience = Audience::from_options(&options)?;
        let acknowledge = options.flag("acknowledge", false)?;
        if let Err(refusal) = self.check(peer, Action::Publish, topic, Match::Exact) {
            // Without `acknowledge` a publisher is told nothing, not even this (WAMP, "Publishing").
            if acknowledge {
                outputs.push(refusal.answer(peer, codes::PUBLISH, request));
            }
            return Ok(());
        }
        let id = self.ids.next();
        if acknowledge {
            outputs.push(Output::Send { to: peer, message: Message::Published { request, publication: id } });
        }
        let publication = Publication { id, publisher: peer, topic, payload };
        self.broker.publish(&self.sessions, publication, &audience, outputs);
        Ok(())
    }

    fn call(
        &mut self,
        peer: PeerId,
        request: u64,
        options: &Dict,
        procedure: &str,
        payload: Payload,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        let options = Options::new("CALL", options);
        let timeout_ms = options.number("timeout")?;
        let progress = options.flag("receive_progress", false)?;
        let max = self.sessions.get(peer).map_or(0, |session| session.max_calls);
        let checked = self
            .check(peer, Action::Call, procedure, Match::Exact)
            .and_then(|()| self.check_limit(peer, "unanswered calls", max, |session| session.calling.len()));
        match checked {
            Ok(()) => {
                let call = Call { request, procedure, payload, timeout_ms, progress };
                self.dealer.call(&mut self.sessions, peer, call, outputs);
            }
            Err(refusal) => outputs.push(refusal.answer(peer, codes::CALL, request)),
        }
        Ok(())
    }

    fn subscribe(
        &mut self,
        peer: PeerId,
        request: u64,
        options: &Dict,
        topic: String,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        let matching = Options::new("SUBSCRIBE", options).matching()?;
        let max = self.config.limits.max_subscriptions;
        let checked = self.check(peer, Action::Subscribe, &topic, matching).and_then(|()| {
            self.check_limit(peer, "subscriptions", max, |session| session.subscriptions.len())
        });
        if let Err(refusal) = checked {
            outputs.push(refusal.answer(peer, codes::SUBSCRIBE, request));
        } else if let Some(session) = self.sessions.get_mut(peer) {
            let subscription = self.broker.subscribe(peer, session, matching, topic, &mut self.ids);
            outputs.push(Output::Send { to: peer, message: Message::Subscribed { request, subscription } });
        }
        Ok(())
    }

    fn unsubscribe(&mut self, peer: PeerId, request: u64, subscription: u64, outputs: &mut Vec<Output>) {
        let Some(session) = self.sessions.get_mut(peer) else { return };
        if session.subscriptions.remove(&subscription) {
            self.broker.unsubscribe(peer, subscription);
            let message = Message::Unsubscribed { request, details: Dict::new() };
            outputs.push(Output::Send { to: peer, message });
        } else {
            let (code, uri) = (codes::UNSUBSCRIBE, uris::NO_SUCH_SUBSCRIPTION);
            outputs.push(error(peer, code, request, uri, Payload::empty()));
        }
    }

    fn register(
        &mut self,
        peer: PeerId,
        request: u64,
        options: &Dict,
        procedure: &str,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        let options = Options::new("REGISTER", options);
        let matching = options.matching()?;
        let invoke = options.text("invoke")?.unwrap_or("single");
        let max = self.config.limits.max_registrations;
        let checked = self
            .check(peer, Action::Register, procedure, matching)
            .and_then(|()| {
                self.check_limit(peer, "registrations", max, |session| session.registrations.len())
            })
            .and_then(|()| match invoke {
                "single" => Ok(()),
                shared => Err(Refusal {
                    error: uris::OPTION_NOT_ALLOWED,
                    text: format!("a procedure has one callee here; invoke=\"{shared}\" is not offered"),
                }),
            });
        if let Err(refusal) = checked {
            outputs.push(refusal.answer(peer, codes::REGISTER, request));
            return Ok(());
        }
        let Some(session) = self.sessions.get_mut(peer) else { return Ok(()) };
        match self.dealer.register(peer, session, matching, procedure, &mut self.ids) {
            Some(registration) => {
                let message = Message::Registered { request, registration };
                outputs.push(Output::Send { to: peer, message });
            }
            None => {
                let text = format!("register for already registered procedure '{procedure}'");
                let refusal = Refusal { error: uris::PROCEDURE_ALREADY_EXISTS, text };
                outputs.push(refusal.answer(peer, codes::REGISTER, request));
            }
        }
        Ok(())
    }

    fn unregister(&mut self, peer: PeerId, request: u64, registration: u64, outputs: &mut Vec<Output>) {
        let Some(session) = self.sessions.get_mut(peer) else { return };
        if session.registrations.remove(&registration) {
            self.dealer.unregister(registration);
            let message = Message::Unregistered { request, details: Dict::new() };
            outputs.push(Output::Send { to: peer, message });
        } else {
            let (code, uri) = (codes::UNREGISTER, uris::NO_SUCH_REGISTRATION);
            outputs.push(error(peer, code, request, uri, Payload::empty()));
        }
    }

    /// Whether the session of `peer` may do this: the name is valid, not the router's own, and its role allows it.
    fn check(&self, peer: PeerId, action: Action, name: &str, matching: Match) -> Result<(), Refusal> {
        // Said in full, a name that is too long would come back in every refusal.
        let shown = if name.len() <= MAX_URI_BYTES { name } else { "(too long)" };
        if !uri::is_valid(name, matching) {
            let text = format!("cannot {} '{shown}': not a valid URI", action.in_words());
            return Err(Refusal { error: uris::INVALID_URI, text });
        }
        if matches!(action, Action::Register | Action::Publish) && name.starts_with("wamp.") {
            let text =
                format!("cannot {} '{shown}': the URI is reserved for the protocol", action.in_words());
            return Err(Refusal { error: uris::INVALID_URI, text });
        }
        match self.sessions.get(peer) {
            Some(session) if session.role.allows(action, name) => Ok(()),
            session => {
                let who = session.map_or_else(String::new, |session| {
                    let Session { id, authid, role, .. } = session;
                    format!(" (session_id={id}, authid=\"{authid}\", authrole=\"{}\")", role.name)
                });
                let (what, realm) = (action.in_words(), &self.config.realm);
                let text =
                    format!("session{who} is not authorized to {what} \"{shown}\" on realm \"{realm}\"");
                Err(Refusal { error: uris::NOT_AUTHORIZED, text })
            }
        }
    }

    fn check_limit(
        &self,
        peer: PeerId,
        what: &str,
        max: usize,
        count: impl Fn(&Session) -> usize,
    ) -> Result<(), Refusal> {
        match self.sessions.get(peer) {
            Some(session) if count(session) >= max => {
                Err(Refusal { error: LIMIT_EXCEEDED, text: format!("a session may have {max} {what}") })
            }
            _ => Ok(()),
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

impl Refusal {
    fn answer(self, to: PeerId, request_type: u64, request: u64) -> Output {
        error(to, request_type, request, self.error, Payload::text(self.text))
    }
}

fn error(to: PeerId, request_type: u64, request: u64, error: &str, payload: Payload) -> Output {
    let error = error.to_owned();
    Output::Send {
        to,
        message: Message::Error { request_type, request, details: Dict::new(), error, payload },
    }
}
