//! The simulated daemon, pure: no socket, no clock, no randomness of its own.
//!
//! A driver gives it [`Input`]s with the time they happen at, carries out its [`Output`]s, and calls
//! [`Daemon::tick`] when [`Daemon::next_deadline_us`] has come. Time is in microseconds since the epoch, because the
//! schedules of ldmsd are aligned to it.

use core::net::SocketAddr;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use bytes::Bytes;

use crate::auth::{Auth, Decoded, Peer};
use crate::wire::record::Message as Record;

mod advertise;
mod answer;
mod conn;
mod daemon_requests;
mod dispatch;
mod fault;
mod figures;
mod object;
mod options;
mod plugins;
mod producers;
mod pull;
mod serve;
mod setgroups;
mod sets;
mod stores;
mod subscribe;
mod trace;
mod update_times;
mod updaters;

pub use fault::{FailRule, Faults};
pub use options::{Listen, Options, Timings};
pub use sets::SetReport;

use answer::Args;
use conn::Conn;
use figures::Figures;
use object::{Domain, PrdcrListen};
use plugins::{Sampler, StorePlugin};
use producers::Producer;
use sets::Set;
use stores::Store;
use updaters::Updater;

/// A connection of a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u64);

/// What happens to a daemon.
#[derive(Debug)]
pub enum Input<'a> {
    /// A connection that the daemon asked for is there.
    Connected {
        /// Which.
        conn: ConnId,
        /// This end.
        local: Option<SocketAddr>,
        /// The other end.
        peer: Option<SocketAddr>,
    },
    /// Bytes of a peer.
    Bytes {
        /// From which connection.
        conn: ConnId,
        /// The bytes.
        data: &'a [u8],
    },
    /// A connection is gone, or could not be made.
    Closed {
        /// Which.
        conn: ConnId,
    },
    /// munged has made a credential.
    Encoded {
        /// For which connection.
        conn: ConnId,
        /// The credential, or why there is none.
        credential: Result<String, String>,
    },
    /// munged has checked a credential.
    Decoded {
        /// For which connection.
        conn: ConnId,
        /// What it says.
        decoded: Result<Decoded, String>,
    },
    /// A port that the daemon asked for is open, or cannot be.
    Listening {
        /// The port.
        port: u16,
        /// Whether it is open.
        open: bool,
    },
}

/// What a daemon wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Open a port; answer with [`Input::Listening`].
    Listen(Listen),
    /// Connect; answer with [`Input::Connected`] or [`Input::Closed`].
    Connect {
        /// The number of the new connection.
        conn: ConnId,
        /// Where to.
        host: String,
        /// Where to.
        port: u16,
    },
    /// Send.
    Send {
        /// On which connection.
        conn: ConnId,
        /// What.
        data: Bytes,
    },
    /// Close, after what was sent; answer with [`Input::Closed`].
    Close {
        /// Which.
        conn: ConnId,
    },
    /// Have munged make a credential.
    Encode {
        /// For which connection.
        conn: ConnId,
        /// How to reach munged.
        auth: Auth,
        /// What for.
        payload: Vec<u8>,
    },
    /// Have munged check a credential.
    Decode {
        /// For which connection.
        conn: ConnId,
        /// How to reach munged.
        auth: Auth,
        /// The credential.
        credential: Bytes,
    },
    /// The daemon ends (it was asked to).
    Exit,
}

/// What a daemon waits for by time.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Timer {
    /// A producer connects (again).
    Connect { producer: String, generation: u64 },
    /// A producer that was stopped is done stopping.
    Stopped { producer: String, generation: u64 },
    /// A schedule of an updater is due.
    Update { updater: String, generation: u64, schedule: updaters::Schedule },
    /// A sampler whose sets are pushed has sampled.
    Push { sampler: String, generation: u64 },
    /// An answer that was held back.
    Late { conn: ConnId, records: Vec<Bytes> },
    /// A read of a set that was held back.
    LateRead { conn: ConnId, token: (u32, u64), key: u32, addr: u64, len: u32 },
    /// The daemon begins to listen.
    Ready,
}

/// An advertisement of the daemon's own that waits for its answer.
#[derive(Debug)]
struct Advertisement {
    producer: String,
}

/// A simulated ldmsd.
#[derive(Debug)]
pub struct Daemon {
    options: Options,
    faults: Faults,
    now_us: u64,
    /// State of the generator that spreads delays; seeded with the name, so that a run repeats.
    dice: u64,
    outputs: VecDeque<Output>,
    timers: BTreeMap<(u64, u64), Timer>,
    next_timer: u64,
    conns: HashMap<ConnId, Conn>,
    next_conn: u64,
    rails: HashSet<(Option<core::net::IpAddr>, u32, u64, u32)>,
    listening: BTreeMap<u16, Listen>,
    /// Requests to listen that wait for the driver.
    listen_requests: BTreeMap<u16, (ConnId, Record)>,
    domains: BTreeMap<String, Domain>,
    producers: BTreeMap<String, Producer>,
    updaters: BTreeMap<String, Updater>,
    stores: BTreeMap<String, Store>,
    samplers: BTreeMap<String, Sampler>,
    store_plugins: BTreeMap<String, StorePlugin>,
    prdcr_listens: BTreeMap<String, PrdcrListen>,
    sets: BTreeMap<String, Set>,
    set_names: HashMap<u64, String>,
    next_set: u64,
    /// Bytes that sets take.
    set_bytes: u64,
    /// Sets whose information has changed since those who watch the directory were told.
    changed_sets: Vec<String>,
    next_xid: u64,
    lookups: HashMap<u64, pull::Lookup>,
    reads: HashMap<u64, pull::Read>,
    cfg_cntr: u64,
    next_msg_no: u32,
    sent: HashMap<u32, Advertisement>,
    streams: bool,
    messages: bool,
    log_level: String,
    /// Set groups and their members.
    groups: BTreeMap<String, BTreeSet<String>>,
    figures: Figures,
    /// Owner and permissions of sets whose plugin does not say.
    default_authz: crate::wire::set::Owner,
    env: BTreeMap<String, String>,
    trace: Option<Vec<String>>,
    requests: u64,
    over: bool,
}

/// The domain that listeners and producers use unless they name one.
const DEFAULT_DOMAIN: &str = "DEFAULT";

impl Daemon {
    /// A daemon that begins to listen, and has its configuration files behind it, after its start-up time.
    #[must_use]
    pub fn new(options: Options, now_us: u64) -> Self {
        let dice = options.name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mut daemon = Self {
            faults: Faults::default(),
            now_us,
            dice: dice | 1,
            outputs: VecDeque::new(),
            timers: BTreeMap::new(),
            next_timer: 0,
            conns: HashMap::new(),
            next_conn: 0,
            rails: HashSet::new(),
            listening: BTreeMap::new(),
            listen_requests: BTreeMap::new(),
            domains: BTreeMap::new(),
            producers: BTreeMap::new(),
            updaters: BTreeMap::new(),
            stores: BTreeMap::new(),
            samplers: BTreeMap::new(),
            store_plugins: BTreeMap::new(),
            prdcr_listens: BTreeMap::new(),
            sets: BTreeMap::new(),
            set_names: HashMap::new(),
            next_set: 1,
            set_bytes: 0,
            changed_sets: Vec::new(),
            next_xid: 1,
            lookups: HashMap::new(),
            reads: HashMap::new(),
            cfg_cntr: 0,
            next_msg_no: 1,
            sent: HashMap::new(),
            streams: false,
            messages: false,
            log_level: "ERROR,CRITICAL".to_owned(),
            groups: BTreeMap::new(),
            figures: Figures::new(now_us),
            default_authz: crate::wire::set::Owner { uid: options.uid, gid: options.gid, perm: 0o440 },
            env: options.env.clone(),
            trace: options.trace.then(Vec::new),
            requests: 0,
            over: false,
            options,
        };
        let auth = daemon.options.auth.clone();
        daemon.domains.insert(DEFAULT_DOMAIN.to_owned(), Domain { auth: Ok(auth) });
        daemon.at(now_us + daemon.options.timings.start_us, Timer::Ready);
        daemon
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// What it was started with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// How it misbehaves.
    pub fn faults_mut(&mut self) -> &mut Faults {
        &mut self.faults
    }

    /// How many requests it has answered.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Whether it was asked to end.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// The next thing it wants done.
    pub fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When it wants [`Self::tick`] called next.
    #[must_use]
    pub fn next_deadline_us(&self) -> Option<u64> {
        self.timers.first_key_value().map(|((at, _), _)| *at)
    }

    /// The address a new connection from `peer` is taken at, and its number.
    pub fn accept(&mut self, port: u16, local: SocketAddr, peer: SocketAddr, now_us: u64) -> ConnId {
        self.now_us = self.now_us.max(now_us);
        self.accepted(port, local, peer)
    }

    /// Tells it what has happened.
    pub fn handle(&mut self, input: Input<'_>, now_us: u64) {
        self.now_us = self.now_us.max(now_us);
        match input {
            Input::Connected { conn, local, peer } => self.connected(conn, local, peer),
            Input::Bytes { conn, data } => self.received(conn, data),
            Input::Closed { conn } => self.closed(conn),
            Input::Encoded { conn, credential } => self.encoded(conn, credential),
            Input::Decoded { conn, decoded } => self.decoded(conn, decoded),
            Input::Listening { port, open } => self.listening(port, open),
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, now_us: u64) {
        self.now_us = self.now_us.max(now_us);
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 > self.now_us {
                break;
            }
            match entry.remove() {
                Timer::Connect { producer, generation } => self.connect_due(&producer, generation),
                Timer::Stopped { producer, generation } => self.stop_due(&producer, generation),
                Timer::Update { updater, generation, schedule } => {
                    self.update_due(&updater, generation, schedule);
                }
                Timer::Push { sampler, generation } => self.push_due(&sampler, generation),
                Timer::Late { conn, records } => self.put_records(conn, records),
                Timer::LateRead { conn, token, key, addr, len } => {
                    self.answer_read(conn, token, key, addr, len);
                    self.flush(conn);
                }
                Timer::Ready => self.ready(),
            }
        }
    }

    fn at(&mut self, at_us: u64, timer: Timer) {
        self.next_timer += 1;
        self.timers.insert((at_us, self.next_timer), timer);
    }

    fn after(&mut self, delay_us: u64, timer: Timer) {
        self.at(self.now_us + delay_us, timer);
    }

    fn put(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// A number in a range, from the daemon's own sequence (xorshift).
    fn roll(&mut self, range: core::ops::RangeInclusive<u64>) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        let (low, high) = range.into_inner();
        low + self.dice % (high.saturating_sub(low) + 1)
    }

    /// The default port to advertise: the first one listened at.
    fn first_port(&self) -> u16 {
        self.options.listen.first().map_or(0, |listen| listen.port)
    }

    /// Start-up is over: the ports open, and the configuration is carried out.
    fn ready(&mut self) {
        for listen in self.options.listen.clone() {
            self.next_conn += 1;
            self.listening.insert(listen.port, listen.clone());
            self.put(Output::Listen(listen));
        }
        let config = std::mem::take(&mut self.options.config);
        for request in config {
            let record = Record::request(0, request.id, request.attributes.clone());
            let answer = self.carry_out(None, Peer { uid: self.options.uid, gid: self.options.gid }, &record);
            if let Err(refused) = answer {
                tracing::warn!(daemon = %self.options.name, verb = request.verb(), text = %refused.text, "configuration");
            }
        }
    }

    fn args<'a>(&'a self, record: &'a Record) -> Args<'a> {
        Args::new(record, &self.env)
    }
}
