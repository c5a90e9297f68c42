//! One connection, either end, as a state machine: framing, handshake, authentication, then messages both ways.
//!
//! Bytes from the socket go in ([`Link::buffer`] or [`Link::feed`]), bytes for the socket come out
//! ([`Link::take_output`]), and [`Link::poll`] says what happened. The owner does the I/O, asks munged when told
//! to, and decides whether a connection is accepted.

use core::net::SocketAddr;
use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::auth::{Auth, Decoded, Peer, Session, Step};
use crate::wire::connect::{ConnectMessage, Rail};
use crate::wire::frame::{self, Body, Frame};
use crate::wire::lookup::Rendezvous;
use crate::wire::xprt::Message;
use crate::wire::{LDMS_VERSION, WireError, ZAP_VERSION};

/// Why a connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The peer breaks the protocol.
    #[error("protocol error")]
    Wire(#[from] WireError),
    /// The peer refuses the connection.
    #[error("connection refused by the daemon: {0}")]
    Rejected(String),
    /// The peer does not prove who it is.
    #[error("authentication failed: {0}")]
    Auth(String),
}

/// What the owner must know for the handshake.
#[derive(Debug, Clone)]
pub struct Handshake {
    /// How to authenticate.
    pub auth: Auth,
    /// The long form of the handshake, or the short one. Whoever accepts answers in the peer's form.
    pub rail: Option<Rail>,
    /// A random number for `ovis`.
    pub challenge: u64,
    /// This end.
    pub local: Option<SocketAddr>,
    /// The other end.
    pub peer: Option<SocketAddr>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A peer wants to connect: answer with [`Link::accept`] or [`Link::reject`].
    Requested(ConnectMessage),
    /// Have munged make a credential for this, and call [`Link::encoded`].
    EncodeCredential(Vec<u8>),
    /// Have munged check this, and call [`Link::decoded`].
    DecodeCredential(Bytes),
    /// The handshake is over; messages may be sent.
    Open(Peer),
    /// A transport message.
    Message(Message),
    /// Memory is offered (a set that was looked up, or one that wants pushes).
    Rendezvous {
        /// Its key.
        key: u32,
        /// Its address.
        addr: u64,
        /// Its length.
        len: u32,
        /// What it is.
        offer: Rendezvous,
    },
    /// The peer reads offered memory; answer with [`Link::read_response`].
    Read {
        /// Number and context to answer with.
        token: (u32, u64),
        /// The key.
        key: u32,
        /// The address.
        addr: u64,
        /// How many bytes.
        len: u32,
    },
    /// What a read that this end asked for has brought.
    ReadDone {
        /// The context it was asked with.
        ctxt: u64,
        /// 0, or a zap error number.
        status: u16,
        /// The bytes.
        data: Bytes,
    },
}

#[derive(Debug)]
enum State {
    /// Waits for the peer's first frame.
    AwaitConnect,
    /// Waits for the owner to accept or reject.
    AwaitDecision { rail: Option<Rail> },
    /// Has accepted, waits for the peer to have seen it.
    AwaitAck,
    /// Has asked to connect, waits for the answer.
    AwaitAccept,
    /// Authenticates.
    Authenticating(Session),
    /// Open.
    Open,
    /// Over.
    Failed(LinkError),
}

/// One end of a connection.
#[derive(Debug)]
pub struct Link {
    handshake: Handshake,
    state: State,
    input: BytesMut,
    output: BytesMut,
    events: VecDeque<Event>,
    /// Questions to munged that the owner has not answered. Frames wait meanwhile: a peer that is content sends its
    /// first request before munged has told this end that it may be content too.
    asked: usize,
    next_xid: u32,
}

impl Link {
    /// The end that connects. Its first frame is ready to be sent.
    #[must_use]
    pub fn connect(handshake: Handshake) -> Self {
        let mut link = Self::new(handshake, State::AwaitAccept);
        let data = link.announcement(link.handshake.rail.clone());
        link.put(0, Body::Connect { version: ZAP_VERSION, data });
        link
    }

    /// The end that is connected to.
    #[must_use]
    pub fn listen(handshake: Handshake) -> Self {
        Self::new(handshake, State::AwaitConnect)
    }

    fn new(handshake: Handshake, state: State) -> Self {
        let (input, output, events) = (BytesMut::new(), BytesMut::new(), VecDeque::new());
        Self { handshake, state, input, output, events, asked: 0, next_xid: 1 }
    }

    fn announcement(&self, rail: Option<Rail>) -> Bytes {
        let auth = self.handshake.auth.plugin().to_owned();
        ConnectMessage { version: LDMS_VERSION, auth, rail }.encode()
    }

    /// Where bytes from the socket go.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    /// Gives back the memory of both buffers where no bytes wait in them: a client may have thousands of links at rest.
    pub fn rest(&mut self) {
        for buffer in [&mut self.input, &mut self.output] {
            if buffer.is_empty() {
                *buffer = BytesMut::new();
            }
        }
    }

    /// Takes bytes from the socket.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// Whether there are bytes for the socket.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// The bytes for the socket.
    pub fn take_output(&mut self) -> BytesMut {
        self.output.split()
    }

    /// Whether the handshake is over.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// The next thing that happened, or `None` until more bytes come.
    ///
    /// # Errors
    /// When the connection cannot go on; then what [`Self::take_output`] has is still to be sent, and every further
    /// call says the same.
    pub fn poll(&mut self) -> Result<Option<Event>, LinkError> {
        loop {
            if let State::Failed(error) = &self.state {
                return Err(error.clone());
            }
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            // The owner's answer comes before the next frame is looked at.
            if matches!(self.state, State::AwaitDecision { .. }) || self.asked > 0 {
                return Ok(None);
            }
            match frame::decode(&mut self.input) {
                Ok(Some(frame)) => {
                    if let Err(error) = self.take(frame) {
                        self.state = State::Failed(error);
                    }
                }
                Ok(None) => return Ok(None),
                Err(error) => self.state = State::Failed(error.into()),
            }
        }
    }

    fn take(&mut self, frame: Frame) -> Result<(), LinkError> {
        let unexpected = |what, when| Err(LinkError::Wire(WireError::Unexpected { what, when }));
        match (&mut self.state, frame.body) {
            (State::AwaitConnect, Body::Connect { version, data }) => {
                if version[..2] != ZAP_VERSION[..2] {
                    return Err(WireError::ZapVersion(version).into());
                }
                match ConnectMessage::decode(&data) {
                    Ok(message) => {
                        self.state = State::AwaitDecision { rail: message.rail.clone() };
                        self.events.push_back(Event::Requested(message));
                    }
                    Err(error) => {
                        self.reject("Bad msg");
                        return Err(error.into());
                    }
                }
            }
            (State::AwaitAccept, Body::Accepted(data)) => {
                let message = ConnectMessage::decode(&data)?;
                if message.version != LDMS_VERSION {
                    return Err(WireError::LdmsVersion(message.version).into());
                }
                self.put(0, Body::AckAccepted(Bytes::new()));
                self.authenticate();
            }
            (State::AwaitAccept, Body::Rejected(data)) => {
                let end = data.iter().position(|&byte| byte == 0).unwrap_or(data.len());
                return Err(LinkError::Rejected(String::from_utf8_lossy(&data[..end]).into_owned()));
            }
            (State::AwaitAck, Body::AckAccepted(_)) => self.authenticate(),
            (State::Authenticating(session), Body::SendRecv(data)) => match Message::decode(&data)? {
                Message::Auth { data, .. } => {
                    let steps = session.received(&data);
                    self.step(steps);
                }
                // A peer may finish first and send at once; ldmsd refuses that too.
                _ => return unexpected("message", "during the authentication"),
            },
            (State::Open, Body::SendRecv(data)) => match Message::decode(&data)? {
                Message::Auth { .. } => {
                    return Err(LinkError::Auth("a message after the end of the authentication".into()));
                }
                message => self.events.push_back(Event::Message(message)),
            },
            (State::Open, Body::Rendezvous { key, addr, len, message, .. }) => {
                let offer = Rendezvous::decode(&message)?;
                self.events.push_back(Event::Rendezvous { key, addr, len, offer });
            }
            (State::Open, Body::ReadReq { key, addr, len }) => {
                let token = (frame.xid, frame.ctxt);
                self.events.push_back(Event::Read { token, key, addr, len });
            }
            (State::Open, Body::ReadResp { status, data }) => {
                self.events.push_back(Event::ReadDone { ctxt: frame.ctxt, status, data });
            }
            (State::Open, body) => return unexpected(body.name(), "on an open connection"),
            (_, body) => return unexpected(body.name(), "during the handshake"),
        }
        Ok(())
    }

    /// Accepts the connection that [`Event::Requested`] asked for.
    pub fn accept(&mut self) {
        if let State::AwaitDecision { rail } = &mut self.state {
            let rail = rail.take();
            let data = self.announcement(rail);
            self.put(0, Body::Accepted(data));
            self.state = State::AwaitAck;
        }
    }

    /// Refuses the connection that [`Event::Requested`] asked for.
    pub fn reject(&mut self, reason: &str) {
        let mut data = BytesMut::from(reason.as_bytes());
        data.extend_from_slice(&[0]);
        self.put(0, Body::Rejected(data.freeze()));
        self.state = State::Failed(LinkError::Rejected(reason.to_owned()));
    }

    fn authenticate(&mut self) {
        let Handshake { auth, challenge, local, peer, .. } = &self.handshake;
        let (session, steps) = Session::start(auth.clone(), *challenge, *local, *peer);
        self.state = State::Authenticating(session);
        self.step(steps);
    }

    fn step(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Send(data) => self.put_message(&Message::Auth { xid: 0, data }),
                Step::Encode(payload) => {
                    self.asked += 1;
                    self.events.push_back(Event::EncodeCredential(payload));
                }
                Step::Decode(credential) => {
                    self.asked += 1;
                    self.events.push_back(Event::DecodeCredential(credential));
                }
                Step::Done(peer) => {
                    self.state = State::Open;
                    self.events.push_back(Event::Open(peer));
                }
                Step::Failed(reason) => self.state = State::Failed(LinkError::Auth(reason)),
            }
        }
    }

    /// Takes the credential that was asked for, or why there is none.
    pub fn encoded(&mut self, credential: Result<String, String>) {
        self.asked = self.asked.saturating_sub(1);
        if let State::Authenticating(session) = &mut self.state {
            let steps = session.encoded(credential);
            self.step(steps);
        }
    }

    /// Takes what munged said of a credential.
    pub fn decoded(&mut self, decoded: Result<Decoded, String>) {
        self.asked = self.asked.saturating_sub(1);
        if let State::Authenticating(session) = &mut self.state {
            let steps = session.decoded(decoded);
            self.step(steps);
        }
    }

    /// Sends a transport message. Only on an open connection; elsewhere it is dropped.
    pub fn send(&mut self, message: &Message) {
        if self.is_open() {
            self.put_message(message);
        }
    }

    /// Offers memory, with a message that says what it is.
    pub fn offer(&mut self, key: u32, addr: u64, len: u32, offer: &Rendezvous) {
        if self.is_open() {
            let message = offer.encode();
            self.put(0, Body::Rendezvous { key, access: ACCESS_READ, addr, len, message });
        }
    }

    /// Asks for `len` bytes at `addr` of offered memory; they come as [`Event::ReadDone`] with this context.
    pub fn read(&mut self, ctxt: u64, key: u32, addr: u64, len: u32) {
        if self.is_open() {
            self.put(ctxt, Body::ReadReq { key, addr, len });
        }
    }

    /// Answers [`Event::Read`].
    pub fn read_response(&mut self, token: (u32, u64), status: u16, data: Bytes) {
        if self.is_open() {
            let (xid, ctxt) = token;
            self.write(&Frame { xid, ctxt, body: Body::ReadResp { status, data } });
        }
    }

    fn put_message(&mut self, message: &Message) {
        self.put(0, Body::SendRecv(message.encode()));
    }

    fn put(&mut self, ctxt: u64, body: Body) {
        let xid = self.next_xid;
        self.next_xid = self.next_xid.wrapping_add(1);
        self.write(&Frame { xid, ctxt, body });
    }

    fn write(&mut self, frame: &Frame) {
        if let Err(error) = frame::encode(frame, &mut self.output) {
            // The owner has built something no peer would take.
            self.state = State::Failed(error.into());
        }
    }
}

const ACCESS_READ: u32 = 2;

#[cfg(test)]
mod tests;
