//! Many simulated daemons in virtual time, without sockets: a run is the same every time, and a minute of a cluster
//! takes milliseconds.

use core::net::SocketAddr;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use bytes::Bytes;

use super::daemon::{ConnId, Daemon, Input, Options, Output};
use crate::api::{Request, Response};
use crate::auth::Auth;
use crate::limits;
use crate::link::{Event, Handshake, Link};
use crate::wire::record::{Assembler, Message as Record};
use crate::wire::xprt::Message;

/// How long bytes take from one daemon to another, in microseconds.
const HOP_US: u64 = 100;
/// How long a caller of [`World::request`] waits for an answer, in virtual microseconds.
const PATIENCE_US: u64 = 60_000_000;

/// One end of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum End {
    Daemon(String, ConnId),
    Controller(usize),
}

/// What is on its way.
#[derive(Debug)]
enum Parcel {
    Bytes(Bytes),
    Closed,
}

#[derive(Debug)]
struct Resident {
    daemon: Option<Daemon>,
    options: Options,
    hung: bool,
    /// When it is due, as the world's agenda has it.
    due_us: Option<u64>,
    /// What came while it hung.
    missed: VecDeque<(ConnId, Parcel)>,
}

/// Someone outside who talks to a daemon.
#[derive(Debug)]
struct Controller {
    link: Link,
    assembler: Assembler,
    answers: VecDeque<Record>,
    open: bool,
}

/// A cluster in virtual time.
#[derive(Debug)]
pub struct World {
    now_us: u64,
    residents: BTreeMap<String, Resident>,
    /// Who is due when.
    agenda: BTreeSet<(u64, String)>,
    /// Who listens where.
    ports: HashMap<(String, u16), String>,
    /// Which ends belong together.
    pairs: HashMap<End, End>,
    mail: BTreeMap<(u64, u64), (End, Parcel)>,
    next_mail: u64,
    controllers: Vec<Controller>,
    next_port: u16,
}

impl World {
    /// An empty world at this time (microseconds since the epoch).
    #[must_use]
    pub fn new(now_us: u64) -> Self {
        Self {
            now_us,
            residents: BTreeMap::new(),
            agenda: BTreeSet::new(),
            ports: HashMap::new(),
            pairs: HashMap::new(),
            mail: BTreeMap::new(),
            next_mail: 0,
            controllers: Vec::new(),
            next_port: 40_000,
        }
    }

    /// The time.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        self.now_us
    }

    /// Starts a daemon, or starts it again.
    pub fn start(&mut self, options: Options) {
        let name = options.name.clone();
        let daemon = Daemon::new(options.clone(), self.now_us);
        let (daemon, missed) = (Some(daemon), VecDeque::new());
        let resident = Resident { daemon, options, hung: false, due_us: None, missed };
        if let Some(Resident { due_us: Some(due_us), .. }) = self.residents.insert(name.clone(), resident) {
            self.agenda.remove(&(due_us, name.clone()));
        }
        self.settle(&name);
    }

    /// A daemon, if it runs.
    #[must_use]
    pub fn daemon(&self, name: &str) -> Option<&Daemon> {
        self.residents.get(name)?.daemon.as_ref()
    }

    /// A daemon, if it runs.
    pub fn daemon_mut(&mut self, name: &str) -> Option<&mut Daemon> {
        self.residents.get_mut(name)?.daemon.as_mut()
    }

    /// Ends a daemon as a crash does.
    pub fn crash(&mut self, name: &str) {
        let Some(resident) = self.residents.get_mut(name) else { return };
        resident.daemon = None;
        resident.missed.clear();
        resident.hung = false;
        self.plan(name);
        self.ports.retain(|_, owner| owner != name);
        let mine = |end: &&End| matches!(end, End::Daemon(owner, _) if owner == name);
        let ends: Vec<End> = self.pairs.keys().filter(mine).cloned().collect();
        for end in ends {
            self.close(&end);
        }
    }

    /// Starts a daemon again that has crashed.
    pub fn restart(&mut self, name: &str) {
        if let Some(options) = self.residents.get(name).map(|resident| resident.options.clone()) {
            self.start(options);
        }
    }

    /// Stops a daemon as SIGSTOP does.
    pub fn hang(&mut self, name: &str) {
        if let Some(resident) = self.residents.get_mut(name) {
            resident.hung = true;
            self.plan(name);
        }
    }

    /// Lets a hung daemon go on.
    pub fn resume(&mut self, name: &str) {
        let Some(resident) = self.residents.get_mut(name) else { return };
        resident.hung = false;
        for (conn, parcel) in std::mem::take(&mut resident.missed) {
            self.deliver(End::Daemon(name.to_owned(), conn), parcel);
        }
        self.plan(name);
    }

    /// Writes into the agenda when a daemon is due.
    fn plan(&mut self, name: &str) {
        let Some(resident) = self.residents.get_mut(name) else { return };
        let due_us = match &resident.daemon {
            Some(daemon) if !resident.hung => daemon.next_deadline_us(),
            _ => None,
        };
        if due_us != resident.due_us {
            if let Some(old_us) = std::mem::replace(&mut resident.due_us, due_us) {
                self.agenda.remove(&(old_us, name.to_owned()));
            }
            self.agenda.extend(due_us.map(|due_us| (due_us, name.to_owned())));
        }
    }

    /// Lets time pass until this moment.
    pub fn run_until(&mut self, until_us: u64) {
        while let Some(at_us) = self.next_us().filter(|at_us| *at_us <= until_us) {
            self.now_us = self.now_us.max(at_us);
            self.step();
        }
        self.now_us = self.now_us.max(until_us);
    }

    /// Lets this much time pass.
    pub fn run_for(&mut self, us: u64) {
        self.run_until(self.now_us + us);
    }

    /// When something happens next.
    fn next_us(&self) -> Option<u64> {
        let mail = self.mail.first_key_value().map(|((at_us, _), _)| *at_us);
        mail.into_iter().chain(self.agenda.first().map(|(at_us, _)| *at_us)).min()
    }

    /// Does everything that happens now.
    fn step(&mut self) {
        while let Some(entry) = self.mail.first_entry() {
            if entry.key().0 > self.now_us {
                break;
            }
            let (end, parcel) = entry.remove();
            self.deliver(end, parcel);
        }
        let now_us = self.now_us;
        while let Some((_, name)) = self.agenda.first().filter(|(at_us, _)| *at_us <= now_us).cloned() {
            if let Some(daemon) = self.daemon_mut(&name) {
                daemon.tick(now_us);
            }
            self.settle(&name);
        }
    }

    fn post(&mut self, to: End, parcel: Parcel) {
        self.next_mail += 1;
        self.mail.insert((self.now_us + HOP_US, self.next_mail), (to, parcel));
    }

    /// Breaks a connection; the other end learns of it.
    fn close(&mut self, end: &End) {
        if let Some(other) = self.pairs.remove(end) {
            self.post(other, Parcel::Closed);
        }
    }

    fn deliver(&mut self, end: End, parcel: Parcel) {
        let now_us = self.now_us;
        match end {
            End::Controller(index) => {
                let Some(controller) = self.controllers.get_mut(index) else { return };
                match parcel {
                    Parcel::Bytes(data) => controller.received(&data),
                    Parcel::Closed => {
                        controller.open = false;
                        self.pairs.remove(&End::Controller(index));
                    }
                }
                self.flush(index);
            }
            End::Daemon(name, conn) => {
                let Some(resident) = self.residents.get_mut(&name) else { return };
                if resident.hung {
                    resident.missed.push_back((conn, parcel));
                    return;
                }
                let Some(daemon) = resident.daemon.as_mut() else { return };
                match parcel {
                    Parcel::Bytes(data) => daemon.handle(Input::Bytes { conn, data: &data }, now_us),
                    Parcel::Closed => {
                        self.pairs.remove(&End::Daemon(name.clone(), conn));
                        daemon.handle(Input::Closed { conn }, now_us);
                    }
                }
                self.settle(&name);
            }
        }
    }

    /// Does what a daemon wants done.
    fn settle(&mut self, name: &str) {
        while let Some(output) = self.daemon_mut(name).and_then(Daemon::next_output) {
            let own = |conn| End::Daemon(name.to_owned(), conn);
            match output {
                Output::Listen(listen) => {
                    let host = listen.host.unwrap_or_default();
                    let taken =
                        self.ports.get(&(host.clone(), listen.port)).is_some_and(|owner| owner != name);
                    if !taken {
                        self.ports.insert((host, listen.port), name.to_owned());
                    }
                    let (port, open, now_us) = (listen.port, !taken, self.now_us);
                    if let Some(daemon) = self.daemon_mut(name) {
                        daemon.handle(Input::Listening { port, open }, now_us);
                    }
                }
                Output::Connect { conn, host, port } => self.connect(name, conn, &host, port),
                Output::Send { conn, data } => {
                    if let Some(other) = self.pairs.get(&own(conn)).cloned() {
                        self.post(other, Parcel::Bytes(data));
                    }
                }
                Output::Close { conn } => self.close(&own(conn)),
                Output::Encode { conn, .. } => {
                    let credential = Err("there is no munge in a virtual world".to_owned());
                    let now_us = self.now_us;
                    if let Some(daemon) = self.daemon_mut(name) {
                        daemon.handle(Input::Encoded { conn, credential }, now_us);
                    }
                }
                Output::Decode { .. } => {}
                Output::Exit => {
                    self.crash(name);
                    return;
                }
            }
        }
        self.plan(name);
    }

    fn listener(&self, host: &str, port: u16) -> Option<String> {
        let exact = self.ports.get(&(host.to_owned(), port));
        exact.or_else(|| self.ports.get(&(String::new(), port))).cloned()
    }

    fn address(&mut self) -> SocketAddr {
        self.next_port = self.next_port.checked_add(1).unwrap_or(40_000);
        SocketAddr::from(([127, 0, 0, 1], self.next_port))
    }

    fn connect(&mut self, name: &str, conn: ConnId, host: &str, port: u16) {
        let now_us = self.now_us;
        let Some(peer) = self.listener(host, port) else {
            self.post(End::Daemon(name.to_owned(), conn), Parcel::Closed);
            return;
        };
        let (from, to) = (self.address(), SocketAddr::from(([127, 0, 0, 1], port)));
        let Some(accepted) = self.daemon_mut(&peer).map(|daemon| daemon.accept(port, to, from, now_us))
        else {
            return;
        };
        let (ours, theirs) = (End::Daemon(name.to_owned(), conn), End::Daemon(peer, accepted));
        self.pairs.insert(ours.clone(), theirs.clone());
        self.pairs.insert(theirs, ours);
        if let Some(daemon) = self.daemon_mut(name) {
            daemon.handle(Input::Connected { conn, local: Some(from), peer: Some(to) }, now_us);
        }
    }

    /// Connects a controller to a daemon; gives its number, or nothing when nobody listens there.
    pub fn control(&mut self, host: &str, port: u16, auth: Auth) -> Option<usize> {
        let name = self.listener(host, port)?;
        let (from, to) = (self.address(), SocketAddr::from(([127, 0, 0, 1], port)));
        let now_us = self.now_us;
        let conn = self.daemon_mut(&name)?.accept(port, to, from, now_us);
        let index = self.controllers.len();
        let link =
            Link::connect(Handshake { auth, rail: None, challenge: 1, local: Some(from), peer: Some(to) });
        let (assembler, answers) = (Assembler::default(), VecDeque::new());
        self.controllers.push(Controller { link, assembler, answers, open: true });
        let (ours, theirs) = (End::Controller(index), End::Daemon(name, conn));
        self.pairs.insert(ours.clone(), theirs.clone());
        self.pairs.insert(theirs, ours);
        self.flush(index);
        let until_us = self.now_us + PATIENCE_US;
        while !self.controllers.get(index).is_some_and(|controller| controller.link.is_open()) {
            let waits = self.next_us().filter(|at_us| *at_us <= until_us)?;
            if !self.controllers.get(index).is_some_and(|controller| controller.open) {
                return None;
            }
            self.run_until(waits);
        }
        Some(index)
    }

    fn flush(&mut self, index: usize) {
        let Some(controller) = self.controllers.get_mut(index) else { return };
        if controller.link.has_output() {
            let data = controller.link.take_output().freeze();
            if let Some(other) = self.pairs.get(&End::Controller(index)).cloned() {
                self.post(other, Parcel::Bytes(data));
            }
        }
    }

    /// Sends a request under this number and waits for its answer; nothing when the daemon is gone or silent.
    pub fn request(&mut self, controller: usize, msg_no: u32, request: &Request) -> Option<Response> {
        let sender = self.controllers.get_mut(controller)?;
        let message = Record::request(msg_no, request.id, request.attributes.clone());
        for data in message.encode(limits::MAX_RECORD) {
            sender.link.send(&Message::Send { xid: 0, data });
        }
        self.flush(controller);
        let until_us = self.now_us + PATIENCE_US;
        loop {
            let waiting = self.controllers.get_mut(controller)?;
            let found = waiting.answers.iter().position(|answer| answer.msg_no == msg_no);
            if let Some(answer) = found.and_then(|index| waiting.answers.remove(index)) {
                return Some(answer.into());
            }
            if !waiting.open {
                return None;
            }
            let next_us = self.next_us().filter(|at_us| *at_us <= until_us)?;
            self.run_until(next_us);
        }
    }
}

impl Controller {
    fn received(&mut self, data: &[u8]) {
        self.link.feed(data);
        while let Ok(Some(event)) = self.link.poll() {
            if let Event::Message(Message::Send { data, .. }) = event
                && let Ok(Some(message)) = self.assembler.feed(&data)
                && message.response
            {
                self.answers.push_back(message);
            }
        }
    }
}
