//! The connections of a daemon: those it accepts and those it makes to its producers.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeSet;

use super::answer::Answer;
use super::{ConnId, DEFAULT_DOMAIN, Daemon, Input, Listen, Output};
use crate::auth::{Auth, Decoded, Peer};
use crate::link::{Event, Handshake, Link};
use crate::wire::LDMS_VERSION;
use crate::wire::connect::{ConnectMessage, Rail};
use crate::wire::record::{Assembler, Message as Record};

/// One connection.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) link: Option<Link>,
    auth: Auth,
    /// The number ldmsd would give it, for traces.
    pub(super) number: u64,
    /// Who the peer is, once that is known.
    pub(super) peer: Peer,
    pub(super) peer_address: Option<SocketAddr>,
    rail: Option<(Option<IpAddr>, u32, u64, u32)>,
    pub(super) assembler: Assembler,
    /// The producer that is collected from, or advertised to, over it.
    pub(super) producer: Option<String>,
    /// Transaction number of the directory this end asked for.
    pub(super) own_dir: Option<u64>,
    /// Transaction number under which the peer wants changes of the directory reported.
    pub(super) peer_dir: Option<u64>,
    /// Sets the peer has looked up.
    pub(super) looked_up: BTreeSet<u64>,
}

impl Daemon {
    fn new_conn(&mut self, auth: Auth, producer: Option<String>) -> (ConnId, Conn) {
        self.next_conn += 1;
        let conn = Conn {
            link: None,
            auth,
            number: self.next_conn,
            peer: Peer::ROOT,
            peer_address: None,
            rail: None,
            assembler: Assembler::default(),
            producer,
            own_dir: None,
            peer_dir: None,
            looked_up: BTreeSet::new(),
        };
        (ConnId(self.next_conn), conn)
    }

    /// A peer has connected to a port.
    pub(super) fn accepted(&mut self, port: u16, local: SocketAddr, peer: SocketAddr) -> ConnId {
        let domain = self.listening.get(&port).and_then(|listen| listen.domain.clone());
        let auth = self.domain_auth(domain.as_deref()).unwrap_or(Auth::None);
        let challenge = self.roll(0..=u64::MAX - 1);
        let (id, mut conn) = self.new_conn(auth.clone(), None);
        conn.peer_address = Some(peer);
        conn.link = Some(Link::listen(Handshake {
            auth,
            rail: None,
            challenge,
            local: Some(local),
            peer: Some(peer),
        }));
        self.conns.insert(id, conn);
        id
    }

    /// Connects to a producer; the driver says what came of it.
    pub(super) fn open(&mut self, producer: &str, auth: Auth, host: &str, port: u16) -> ConnId {
        let (conn, state) = self.new_conn(auth, Some(producer.to_owned()));
        self.conns.insert(conn, state);
        self.put(Output::Connect { conn, host: host.to_owned(), port });
        conn
    }

    pub(super) fn connected(&mut self, id: ConnId, local: Option<SocketAddr>, peer: Option<SocketAddr>) {
        let challenge = self.roll(0..=u64::MAX - 1);
        let Some(conn) = self.conns.get_mut(&id) else {
            // It was given up meanwhile.
            self.put(Output::Close { conn: id });
            return;
        };
        conn.peer_address = peer;
        // ldmsd connects to its producers in the long form; the process id is the name's, so that rails differ.
        let pid = u32::try_from(self.dice >> 33).unwrap_or(1);
        let rail = Some(Rail::single(pid, id.0));
        let auth = conn.auth.clone();
        conn.link = Some(Link::connect(Handshake { auth, rail, challenge, local, peer }));
        self.run(id);
    }

    pub(super) fn received(&mut self, id: ConnId, data: &[u8]) {
        if let Some(link) = self.conns.get_mut(&id).and_then(|conn| conn.link.as_mut()) {
            link.feed(data);
            self.run(id);
        }
    }

    pub(super) fn encoded(&mut self, id: ConnId, credential: Result<String, String>) {
        if let Some(link) = self.conns.get_mut(&id).and_then(|conn| conn.link.as_mut()) {
            link.encoded(credential);
            self.run(id);
        }
    }

    pub(super) fn decoded(&mut self, id: ConnId, decoded: Result<Decoded, String>) {
        if let Some(link) = self.conns.get_mut(&id).and_then(|conn| conn.link.as_mut()) {
            link.decoded(decoded);
            self.run(id);
        }
    }

    /// Handles all that has happened on a connection, and sends what came of it.
    fn run(&mut self, id: ConnId) {
        loop {
            let Some(link) = self.conns.get_mut(&id).and_then(|conn| conn.link.as_mut()) else { return };
            match link.poll() {
                Ok(Some(event)) => self.event(id, event),
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(daemon = %self.options.name, %error, "connection ends");
                    self.flush(id);
                    self.hang_up(id);
                    return;
                }
            }
        }
        self.flush(id);
    }

    /// Sends what a connection has to send.
    pub(super) fn flush(&mut self, id: ConnId) {
        let Some(link) = self.conns.get_mut(&id).and_then(|conn| conn.link.as_mut()) else { return };
        if link.has_output() {
            let data = link.take_output().freeze();
            self.put(Output::Send { conn: id, data });
        }
    }

    fn event(&mut self, id: ConnId, event: Event) {
        match event {
            Event::Requested(message) => self.decide(id, message),
            Event::EncodeCredential(payload) => {
                if let Some(auth) = self.conns.get(&id).map(|conn| conn.auth.clone()) {
                    self.put(Output::Encode { conn: id, auth, payload });
                }
            }
            Event::DecodeCredential(credential) => {
                if let Some(auth) = self.conns.get(&id).map(|conn| conn.auth.clone()) {
                    self.put(Output::Decode { conn: id, auth, credential });
                }
            }
            Event::Open(peer) => {
                self.figures.opened += 1;
                if let Some(conn) = self.conns.get_mut(&id) {
                    conn.peer = peer;
                    if let Some(producer) = conn.producer.clone() {
                        self.producer_connected(&producer, id);
                    }
                }
            }
            Event::Message(message) => self.message(id, message),
            Event::Rendezvous { key, addr, len, offer } => self.offered(id, key, addr, len, offer),
            Event::Read { token, key, addr, len } => self.serve_read(id, token, key, addr, len),
            Event::ReadDone { ctxt, status, data } => self.read_done(ctxt, status, &data),
        }
    }

    /// Accepts a connection, or refuses it in the words of ldmsd.
    fn decide(&mut self, id: ConnId, message: ConnectMessage) {
        self.figures.requested += 1;
        let Some(conn) = self.conns.get(&id) else { return };
        let rail = message.rail.as_ref().map(|rail| {
            let address = conn.peer_address.map(|address| address.ip());
            (address, rail.pid, rail.generation, rail.index)
        });
        let refusal = if let Some(reason) = &self.faults.reject {
            Some(reason.clone())
        } else if message.version != LDMS_VERSION {
            Some("Version mismatch".to_owned())
        } else if message.auth != conn.auth.plugin() {
            Some("Auth mismatch".to_owned())
        } else if rail.is_some_and(|rail| self.rails.contains(&rail)) {
            let index = message.rail.as_ref().map_or(0, |rail| rail.index);
            Some(format!("bad ep_idx {index}, the endpoint already existed"))
        } else {
            None
        };
        if let Some(conn) = self.conns.get_mut(&id)
            && let Some(link) = conn.link.as_mut()
        {
            match refusal {
                Some(reason) => {
                    self.figures.rejected += 1;
                    link.reject(&reason);
                }
                None => {
                    link.accept();
                    conn.rail = rail;
                    self.rails.extend(rail);
                }
            }
        }
    }

    /// Closes a connection from this end. Its producer learns of it at once.
    pub(super) fn hang_up(&mut self, id: ConnId) {
        self.put(Output::Close { conn: id });
        self.closed(id);
    }

    /// A connection is gone.
    pub(super) fn closed(&mut self, id: ConnId) {
        let Some(conn) = self.conns.remove(&id) else { return };
        self.figures.closed += 1;
        if let Some(rail) = conn.rail {
            self.rails.remove(&rail);
        }
        for set in &conn.looked_up {
            self.forget_peer(*set, id);
        }
        self.abandon_io(id);
        if let Some(producer) = conn.producer {
            self.producer_disconnected(&producer, id);
        }
    }

    /// The authentication of a domain; the default one when none is named.
    pub(super) fn domain_auth(&self, domain: Option<&str>) -> Result<Auth, String> {
        let name = domain.unwrap_or(DEFAULT_DOMAIN);
        match self.domains.get(name) {
            Some(domain) => domain.auth.clone(),
            None => Err(format!("Authentication domain '{name}' not found.")),
        }
    }

    /// The driver has opened a port, or could not.
    pub(super) fn listening(&mut self, port: u16, open: bool) {
        if !open {
            self.listening.remove(&port);
        }
        let Some((conn, request)) = self.listen_requests.remove(&port) else {
            if !open {
                tracing::warn!(daemon = %self.options.name, port, "port cannot be opened");
            }
            return;
        };
        let answer = if open {
            self.cfg_cntr += 1;
            Ok(Answer::Done)
        } else {
            let text = format!("Failed to listen on the endpoint sock:{port}.");
            Err(super::answer::refuse(crate::wire::errno::ENOEXEC, text))
        };
        self.reply(conn, request.msg_no, answer);
        self.flush(conn);
    }

    /// Asks the driver for a port on behalf of a request.
    pub(super) fn listen_later(&mut self, conn: Option<ConnId>, request: &Record, listen: Listen) {
        if let Some(conn) = conn {
            self.listen_requests.insert(listen.port, (conn, request.clone()));
        }
        self.next_conn += 1;
        self.listening.insert(listen.port, listen.clone());
        self.put(Output::Listen(listen));
    }
}

/// So that a driver which carries inputs over a thread boundary can keep them.
impl Input<'_> {
    /// The connection it is about.
    #[must_use]
    pub fn conn(&self) -> Option<ConnId> {
        match self {
            Self::Connected { conn, .. }
            | Self::Bytes { conn, .. }
            | Self::Closed { conn }
            | Self::Encoded { conn, .. }
            | Self::Decoded { conn, .. } => Some(*conn),
            Self::Listening { .. } => None,
        }
    }
}
