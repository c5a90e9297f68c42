//! The core with its connections: what all tasks of the router share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::RouterConfig;
use super::frame::{self, close_code};
use super::outbox::{Cork, End, Outbox};
use crate::router::{CloseReason, Core, Output, PeerId, Stats};
use crate::{Dict, Message, Payload, Subprotocol};

/// The core, and where its outputs go.
///
/// One lock covers both, so that two messages for one peer are put into its outbox in the order in which the core gave
/// them. Nothing is written to a socket while it is held.
pub(crate) struct Hub {
    pub(crate) config: RouterConfig,
    pub(super) started: Instant,
    state: Mutex<State>,
}

struct State {
    core: Core,
    /// Where what is for a peer goes.
    links: HashMap<PeerId, Arc<Outbox>>,
    bridge: Bridge,
    /// Always empty between two uses; kept for its capacity.
    outputs: Vec<Output>,
}

/// The session of all callers over HTTP.
struct Bridge {
    peer: PeerId,
    last_request: u64,
    /// Who waits for the answer to a call, by its request id.
    waiting: HashMap<u64, oneshot::Sender<Message>>,
}

impl Hub {
    pub(super) fn new(config: RouterConfig) -> Self {
        let mut core = Core::new(config.realm.clone(), fastrand::u64(..));
        let peer = core.attach_joined(config.bridge_role.clone(), config.connection_limits.max_connections);
        let bridge = Bridge { peer, last_request: 0, waiting: HashMap::new() };
        let state = State { core, links: HashMap::new(), bridge, outputs: Vec::new() };
        Self { config, started: Instant::now(), state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The core does not panic; if it ever does, the others are served on with what it was left with.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stats(&self) -> Stats {
        self.lock().core.stats()
    }

    pub(super) fn attach(self: &Arc<Self>, outbox: &Arc<Outbox>, from: Option<String>) -> Attached {
        let mut state = self.lock();
        let peer = state.core.attach_from(from);
        state.links.insert(peer, Arc::clone(outbox));
        Attached { hub: Arc::clone(self), peer }
    }

    /// Ends all sessions: GOODBYE to each.
    pub(super) fn say_goodbye(&self) {
        let mut cork = Cork::default();
        self.with_core(&mut cork, |core, outputs| core.say_goodbye(outputs));
    }

    /// Closes all connections, whatever state they are in.
    pub(super) fn close_all(&self) {
        let mut state = self.lock();
        // Without a sender, their callers are told.
        state.bridge.waiting.clear();
        for outbox in state.links.values() {
            outbox.end(End::Close(close_code::GOING_AWAY, "the router is shutting down".to_owned()));
        }
    }

    /// How many websocket connections there are.
    pub(super) fn connections(&self) -> usize {
        self.lock().links.len()
    }

    /// Lets the core do something and carries out what it wants done.
    fn with_core<T>(&self, cork: &mut Cork, act: impl FnOnce(&mut Core, &mut Vec<Output>) -> T) -> T {
        let state = &mut *self.lock();
        let result = act(&mut state.core, &mut state.outputs);
        let mut outputs = std::mem::take(&mut state.outputs);
        for output in outputs.drain(..) {
            state.deliver(output, cork);
        }
        state.outputs = outputs;
        result
    }

    /// Starts a call of the HTTP bridge. The answer is an ERROR or a RESULT; the call is cancelled if the
    /// [`BridgeCall`] is dropped before. `caller` says for whom it is made ([`crate::CALLER_FROM`]).
    pub(crate) fn bridge_call(
        self: &Arc<Self>,
        procedure: String,
        payload: Payload,
        caller: Dict,
    ) -> BridgeCall {
        let mut cork = Cork::default();
        let (sender, answer) = oneshot::channel();
        let state = &mut *self.lock();
        state.bridge.last_request += 1;
        let (peer, request) = (state.bridge.peer, state.bridge.last_request);
        state.bridge.waiting.insert(request, sender);
        let call = Message::Call { request, options: caller, procedure, payload };
        let mut outputs = Vec::new();
        state.core.receive(peer, call, &mut outputs);
        for output in outputs {
            state.deliver(output, &mut cork);
        }
        BridgeCall { hub: Arc::clone(self), request, answer }
    }
}

impl State {
    fn deliver(&mut self, output: Output, cork: &mut Cork) {
        match output {
            Output::Send { to, message } if to == self.bridge.peer => self.bridge.deliver(message),
            Output::Send { to, message } => {
                if let Some(outbox) = self.links.get(&to) {
                    outbox.push(frame::message(outbox.subprotocol, &message), cork);
                }
            }
            Output::Event { to, message } => {
                let mut frames = SharedFrames::new(&message);
                for peer in to {
                    if let Some(outbox) = self.links.get(&peer) {
                        outbox.push(frames.get(outbox.subprotocol), cork);
                    }
                }
            }
            Output::Close { to, reason } => {
                if let Some(outbox) = self.links.get(&to) {
                    outbox.end(match reason {
                        CloseReason::SessionEnded => End::Close(close_code::NORMAL, String::new()),
                        CloseReason::ProtocolViolation(text) => {
                            End::Close(close_code::PROTOCOL_ERROR, format!("WAMP Protocol Error ({text})"))
                        }
                    });
                }
            }
        }
    }
}

/// One message in the frames of all subprotocols that have been asked for.
struct SharedFrames<'a> {
    message: &'a Message,
    frames: [Option<Bytes>; Subprotocol::ALL.len()],
}

impl<'a> SharedFrames<'a> {
    fn new(message: &'a Message) -> Self {
        Self { message, frames: Default::default() }
    }

    fn get(&mut self, subprotocol: Subprotocol) -> Bytes {
        let at = 2 * subprotocol.serializer as usize + usize::from(subprotocol.batched);
        self.frames[at].get_or_insert_with(|| frame::message(subprotocol, self.message)).clone()
    }
}

impl Bridge {
    fn deliver(&mut self, message: Message) {
        if let Message::Result { request, .. } | Message::Error { request, .. } = &message
            && let Some(waiting) = self.waiting.remove(request)
        {
            // A caller that is gone is about to cancel its call.
            let _ = waiting.send(message);
        }
    }
}

/// One websocket connection in the hub; it is detached when this is dropped, also by a panic of its task.
pub(super) struct Attached {
    hub: Arc<Hub>,
    peer: PeerId,
}

impl Attached {
    /// Hands a message to the core; tells whether the peer is in a session after it.
    pub(super) fn receive(&self, message: Message, cork: &mut Cork) -> bool {
        self.hub.with_core(cork, |core, outputs| {
            core.receive(self.peer, message, outputs);
            core.is_joined(self.peer)
        })
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let mut cork = Cork::default();
        self.hub.lock().links.remove(&self.peer);
        self.hub.with_core(&mut cork, |core, outputs| core.detach(self.peer, outputs));
    }
}

/// A call over HTTP that is under way.
pub(crate) struct BridgeCall {
    hub: Arc<Hub>,
    request: u64,
    answer: oneshot::Receiver<Message>,
}

impl BridgeCall {
    /// The RESULT or ERROR; nothing, when the router shuts down.
    pub(crate) async fn answer(&mut self) -> Option<Message> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for BridgeCall {
    fn drop(&mut self) {
        let mut cork = Cork::default();
        let mut state = self.hub.lock();
        let Some(_unanswered) = state.bridge.waiting.remove(&self.request) else { return };
        let peer = state.bridge.peer;
        drop(state);
        let cancel = Message::Cancel { request: self.request, options: Dict::new() };
        self.hub.with_core(&mut cork, |core, outputs| core.receive(peer, cancel, outputs));
    }
}
