//! Producers: the daemons this one collects from (and aggregators it advertises itself to).

use std::collections::BTreeMap;

use super::answer::{Answer, Args, Handled, Refused, json, refuse};
use super::object::{Expression, Rights};
use super::pull::ProducerSet;
use super::{ConnId, DEFAULT_DOMAIN, Daemon, Timer};
use crate::api::producer::ProducerState;
use crate::auth::Peer;
use crate::time;
use crate::wire::errno;
use crate::wire::ids::{AttrId, RequestId};
use crate::wire::record::Message as Record;
use crate::wire::xprt::{DIR_NOTIFY, Message};

/// What kind of producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Active,
    Passive,
    Bridge,
    Advertiser,
    AdvertisedPassive,
    AdvertisedActive,
}

impl Kind {
    fn from_text(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "active" => Self::Active,
            "passive" => Self::Passive,
            "bridge" => Self::Bridge,
            "advertiser" => Self::Advertiser,
            "advertised" => Self::AdvertisedPassive,
            _ => return None,
        })
    }

    fn text(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::Bridge => "bridge",
            Self::Advertiser => "advertiser",
            Self::AdvertisedPassive => "advertised, passive",
            Self::AdvertisedActive => "advertised, active",
        }
    }

    /// Whether this end connects.
    pub(super) fn connects(self) -> bool {
        !matches!(self, Self::Passive | Self::AdvertisedPassive)
    }

    /// Whether this end collects over the connection.
    pub(super) fn collects(self) -> bool {
        !matches!(self, Self::Bridge | Self::Advertiser)
    }
}

/// A producer.
#[derive(Debug)]
pub(super) struct Producer {
    pub(super) kind: Kind,
    pub(super) xprt: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) domain: String,
    pub(super) reconnect_us: u64,
    rail: String,
    quota: String,
    rx_rate: String,
    pub(super) state: ProducerState,
    pub(super) conn: Option<ConnId>,
    pub(super) sets: BTreeMap<String, ProducerSet>,
    /// Changes with every start and stop; timers of an earlier life are void.
    pub(super) generation: u64,
    /// ldmsd 4.5 never lets a producer go that was started by name.
    started_by_name: bool,
    rights: Rights,
}

/// What an advertisement says of a producer.
pub(super) struct Origin {
    pub(super) xprt: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) domain: Option<String>,
    pub(super) reconnect_us: u64,
}

const NOT_FOUND: &str = "The producer specified does not exist.";

impl Daemon {
    pub(super) fn producer_request(&mut self, peer: Peer, id: RequestId, message: &Record) -> Handled {
        match id {
            RequestId::PRDCR_ADD | RequestId::BRIDGE_ADD => {
                let name = self.add_producer(peer, message, "producer")?;
                if let Some(line) = self.producer_line("prdcr_add", &name, true) {
                    self.log(|| line);
                }
                Ok(Answer::Done)
            }
            RequestId::PRDCR_DEL => self.delete_producer(peer, message, "prdcr_del", "producer"),
            RequestId::PRDCR_START => {
                self.start_producer_request(peer, message, "prdcr_start", "producer")?;
                let args = self.args(message);
                let name = args.get(AttrId::NAME).unwrap_or_default();
                let reconnect = args.get(AttrId::INTERVAL).map(|us| format!(" reconnect={us}"));
                self.log(|| format!("prdcr_start name={name}{}", reconnect.unwrap_or_default()));
                Ok(Answer::Done)
            }
            RequestId::PRDCR_STOP => self.stop_producer_request(peer, message, "prdcr_stop", "producer"),
            RequestId::PRDCR_START_REGEX | RequestId::PRDCR_STOP_REGEX => {
                self.regex_request(peer, id, message)
            }
            RequestId::PRDCR_STATUS => self.producer_status(message),
            RequestId::PRDCR_SET_STATUS => self.producer_set_status(message),
            RequestId::PRDCR_HINT_TREE => self.hint_tree(message),
            RequestId::PRDCR_SUBSCRIBE | RequestId::PRDCR_UNSUBSCRIBE => self.subscribe(id, message),
            RequestId::PRDCR_STREAM_STATUS => Err(refuse(errno::ENOENT, "No matched producers")),
            _ => Err(refuse(errno::ENOSYS, "The request is not implemented")),
        }
    }

    /// Creates a producer from a request; gives its name.
    pub(super) fn add_producer(
        &mut self,
        peer: Peer,
        message: &Record,
        object: &str,
    ) -> Result<String, Refused> {
        let args = self.args(message);
        let require =
            |id: AttrId, word: &str| args.require(id, || format!("The attribute '{word}' is required."));
        let name = require(AttrId::NAME, "name")?;
        let kind = require(AttrId::TYPE, "type")?;
        if kind.eq_ignore_ascii_case("local") {
            let text = format!("{object} with type 'local' is not supported.");
            return Err(refuse(errno::EINVAL, text));
        }
        let invalid = || refuse(errno::EINVAL, format!("The attribute type '{kind}' is invalid."));
        let kind = Kind::from_text(&kind).ok_or_else(invalid)?;
        let xprt = require(AttrId::XPRT, "xprt")?;
        let host = require(AttrId::HOST, "host")?;
        let port = match kind {
            Kind::Passive => u16::MAX,
            _ => {
                let port = require(AttrId::PORT, "port")?;
                let number = port.parse().ok().filter(|port| *port > 0);
                number.ok_or_else(|| refuse(errno::EINVAL, "The attribute 'port' is required."))?
            }
        };
        let reconnect = require(AttrId::INTERVAL, "reconnect")?;
        let invalid = |_| refuse(errno::EINVAL, "The given 'reconnect' is invalid.");
        let reconnect_us = match time::parse_us(&reconnect).map_err(invalid)? {
            us if us > 0 => us.unsigned_abs(),
            _ => return Err(refuse(errno::EINVAL, "The reconnect interval must be a positive number.")),
        };
        let or_unlimited = |id| args.get(id).unwrap_or_else(|| "-1".to_owned());
        let rail = args.get(AttrId::RAIL).unwrap_or_else(|| "1".to_owned());
        if rail.parse::<i64>().unwrap_or(0) <= 0 {
            let text = format!("'rail' attribute must be a positive integer, got '{rail}'");
            return Err(refuse(errno::EINVAL, text));
        }
        let (quota, rx_rate) = (or_unlimited(AttrId::QUOTA), or_unlimited(AttrId::RX_RATE));
        let rights = Rights::new(peer, args.get(AttrId::PERM).as_deref());
        let domain = args.get(AttrId::AUTH);
        if self.producers.contains_key(&name) {
            return Err(refuse(errno::EEXIST, format!("The prdcr {name} already exists.")));
        }
        let domain = domain.unwrap_or_else(|| DEFAULT_DOMAIN.to_owned());
        if !self.domains.contains_key(&domain) {
            let text = "Authentication name not found, check the auth_add configuration.";
            return Err(refuse(errno::ENOENT, text));
        }
        let producer = Producer {
            kind,
            xprt,
            host,
            port,
            domain,
            reconnect_us,
            rail,
            quota,
            rx_rate,
            state: ProducerState::Stopped,
            conn: None,
            sets: BTreeMap::new(),
            generation: 0,
            started_by_name: false,
            rights,
        };
        self.producers.insert(name.clone(), producer);
        Ok(name)
    }

    /// A producer made from an advertisement.
    pub(super) fn insert_advertised(&mut self, name: &str, kind: Kind, origin: Origin) {
        let Origin { xprt, host, port, domain, reconnect_us } = origin;
        let unlimited = || "-1".to_owned();
        let producer = Producer {
            kind,
            xprt,
            host,
            port,
            domain: domain.unwrap_or_else(|| DEFAULT_DOMAIN.to_owned()),
            reconnect_us,
            rail: "1".to_owned(),
            quota: unlimited(),
            rx_rate: unlimited(),
            state: ProducerState::Stopped,
            conn: None,
            sets: BTreeMap::new(),
            generation: 0,
            started_by_name: false,
            rights: Rights { uid: self.options.uid, gid: self.options.gid, perm: 0o700 },
        };
        self.producers.insert(name.to_owned(), producer);
    }

    /// What the trace says of a producer that was added or started.
    pub(super) fn producer_line(&self, verb: &str, name: &str, full: bool) -> Option<String> {
        let producer = self.producers.get(name)?;
        let Producer { xprt, host, port, domain, reconnect_us, .. } = producer;
        let Rights { uid, gid, perm } = producer.rights;
        let kind =
            if verb == "prdcr_add" { format!(" type={}", producer.kind.text()) } else { String::new() };
        let reconnect = if full { format!(" reconnect={reconnect_us}") } else { String::new() };
        // A started object carries a mark in its permissions.
        let mark = if verb == "advertiser_start" { 0o1000 } else { 0 };
        Some(format!(
            "{verb} name={name} xprt={xprt} host={host} port={port}{kind}{reconnect} auth={domain} uid={uid} gid={gid} perm={:o}",
            perm | mark
        ))
    }

    pub(super) fn delete_producer(
        &mut self,
        peer: Peer,
        message: &Record,
        verb: &str,
        object: &str,
    ) -> Handled {
        let name = self.args(message).required_by(AttrId::NAME, verb)?;
        let missing = || refuse(errno::ENOENT, format!("The {object} specified does not exist."));
        let producer = self.producers.get(&name).ok_or_else(missing)?;
        producer.rights.check_write(peer)?;
        if producer.state != ProducerState::Stopped
            || producer.started_by_name
            || self.updaters.values().any(|updater| updater.producers.contains(&name))
        {
            return Err(refuse(errno::EBUSY, format!("The {object} is in use.")));
        }
        self.producers.remove(&name);
        self.log(|| format!("{verb} name={name}"));
        Ok(Answer::Done)
    }

    pub(super) fn start_producer_request(
        &mut self,
        peer: Peer,
        message: &Record,
        verb: &str,
        object: &str,
    ) -> Result<(), Refused> {
        let args = self.args(message);
        let name = args.required_by(AttrId::NAME, verb)?;
        let reconnect = args.get(AttrId::INTERVAL);
        let missing = || refuse(errno::ENOENT, format!("The {object} specified does not exist."));
        let producer = self.producers.get_mut(&name).ok_or_else(missing)?;
        if let Some(text) = reconnect {
            let invalid = |_| refuse(errno::EINVAL, format!("The 'reconnect' value ({text}) is invalid."));
            match time::parse_us(&text).map_err(invalid)? {
                us if us > 0 => producer.reconnect_us = us.unsigned_abs(),
                _ => {
                    let text = "The 'reconnect' interval must be a positive interval.";
                    // ldmsd forgets to turn the sign of this one.
                    return Err(refuse(errno::EINVAL.wrapping_neg(), text));
                }
            }
        }
        let started = self.start_producer(peer, &name, object);
        if let Some(producer) = self.producers.get_mut(&name) {
            producer.started_by_name = true;
        }
        started
    }

    /// Starts a producer; it connects after a while.
    pub(super) fn start_producer(&mut self, peer: Peer, name: &str, object: &str) -> Result<(), Refused> {
        let (low, high) = self.options.timings.connect_us;
        let delay_us = self.roll(low..=high);
        let missing = || refuse(errno::ENOENT, format!("The {object} specified does not exist."));
        let producer = self.producers.get_mut(name).ok_or_else(missing)?;
        producer.rights.check_write(peer)?;
        match (producer.kind, &producer.state) {
            (Kind::AdvertisedPassive, ProducerState::Standby) => {}
            (_, ProducerState::Stopped) => producer.state = ProducerState::Disconnected,
            _ => return Err(refuse(errno::EBUSY, format!("The {object} is already running."))),
        }
        producer.generation += 1;
        let generation = producer.generation;
        self.after(delay_us, Timer::Connect { producer: name.to_owned(), generation });
        Ok(())
    }

    pub(super) fn stop_producer_request(
        &mut self,
        peer: Peer,
        message: &Record,
        verb: &str,
        object: &str,
    ) -> Handled {
        let name = self.args(message).required_by(AttrId::NAME, verb)?;
        if !self.producers.contains_key(&name) {
            return Err(refuse(errno::ENOENT, format!("The {object} specified does not exist.")));
        }
        self.stop_producer(peer, &name, object)?;
        self.log(|| format!("{verb} name={name}"));
        Ok(Answer::Done)
    }

    /// Stops a producer. Its connection is closed; STOPPED it is only when that is done with.
    fn stop_producer(&mut self, peer: Peer, name: &str, object: &str) -> Result<(), Refused> {
        let Some(producer) = self.producers.get_mut(name) else { return Ok(()) };
        producer.rights.check_write(peer)?;
        match producer.state {
            ProducerState::Stopped | ProducerState::Standby => return Ok(()),
            ProducerState::Stopping => {
                return Err(refuse(errno::EBUSY, format!("The {object} is already stopped.")));
            }
            _ => {}
        }
        producer.generation += 1;
        let generation = producer.generation;
        let Some(conn) = producer.conn else {
            producer.state = ProducerState::Stopped;
            return Ok(());
        };
        producer.state = ProducerState::Stopping;
        let timings = &self.options.timings;
        let (low, high) = if self.io_under_way(conn) { timings.busy_stop_us } else { timings.stop_us };
        match self.roll(low..=high) {
            0 => self.stop_due(name, generation),
            delay_us => self.after(delay_us, Timer::Stopped { producer: name.to_owned(), generation }),
        }
        Ok(())
    }

    /// A stopped producer lets go of its connection.
    pub(super) fn stop_due(&mut self, name: &str, generation: u64) {
        let Some(producer) = self.producers.get_mut(name) else { return };
        if producer.generation != generation || producer.state != ProducerState::Stopping {
            return;
        }
        match producer.conn {
            Some(conn) => self.hang_up(conn),
            None => producer.state = ProducerState::Stopped,
        }
    }

    /// A running producer connects.
    pub(super) fn connect_due(&mut self, name: &str, generation: u64) {
        let Some(producer) = self.producers.get_mut(name) else { return };
        if producer.generation != generation {
            return;
        }
        match (&producer.state, producer.kind) {
            (ProducerState::Standby, _) => {
                // The advertiser's connection is there already.
                if let Some(conn) = producer.conn {
                    self.producer_connected(name, conn);
                }
            }
            (ProducerState::Disconnected, Kind::Passive) => {
                let host = producer.host.clone();
                let from_host = |address: core::net::SocketAddr| address.ip().to_string() == host;
                let conn = self
                    .conns
                    .iter()
                    .find(|(_, conn)| conn.producer.is_none() && conn.peer_address.is_some_and(from_host));
                match conn.map(|(id, _)| *id) {
                    Some(id) => self.adopt(name, id),
                    None => self.connect_later(name),
                }
            }
            (ProducerState::Disconnected, kind) if kind.connects() => {
                let (host, port, domain) = (producer.host.clone(), producer.port, producer.domain.clone());
                let sock = producer.xprt == "sock";
                match self.domain_auth(Some(&domain)) {
                    Ok(auth) if sock => {
                        let conn = self.open(name, auth, &host, port);
                        if let Some(producer) = self.producers.get_mut(name) {
                            producer.state = ProducerState::Connecting;
                            producer.conn = Some(conn);
                        }
                    }
                    _ => self.connect_later(name),
                }
            }
            _ => {}
        }
    }

    /// Collects from a peer over the connection it has made.
    pub(super) fn adopt(&mut self, name: &str, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.producer = Some(name.to_owned());
        }
        self.producer_connected(name, id);
    }

    fn connect_later(&mut self, name: &str) {
        if let Some(producer) = self.producers.get_mut(name) {
            let (generation, delay_us) = (producer.generation, producer.reconnect_us);
            self.after(delay_us, Timer::Connect { producer: name.to_owned(), generation });
        }
    }

    /// The connection of a producer is there.
    pub(super) fn producer_connected(&mut self, name: &str, id: ConnId) {
        let Some(producer) = self.producers.get_mut(name) else { return };
        producer.state = ProducerState::Connected;
        producer.conn = Some(id);
        let kind = producer.kind;
        if kind.collects() {
            let xid = self.next_xid;
            self.next_xid += 1;
            if let Some(conn) = self.conns.get_mut(&id) {
                conn.own_dir = Some(xid);
            }
            self.send(id, &Message::Dir { xid, flags: DIR_NOTIFY });
            self.flush(id);
        } else if kind == Kind::Advertiser {
            self.advertise(name, id);
        }
    }

    /// The connection of a producer is gone.
    pub(super) fn producer_disconnected(&mut self, name: &str, id: ConnId) {
        let Some(producer) = self.producers.get_mut(name) else { return };
        if producer.conn != Some(id) {
            return;
        }
        producer.conn = None;
        self.drop_producer_sets(name);
        let Some(producer) = self.producers.get_mut(name) else { return };
        match producer.state {
            ProducerState::Stopping | ProducerState::Standby | ProducerState::Stopped => {
                producer.state = ProducerState::Stopped;
            }
            _ => {
                producer.state = ProducerState::Disconnected;
                if producer.kind != Kind::AdvertisedPassive {
                    self.connect_later(name);
                }
            }
        }
    }

    fn regex_request(&mut self, peer: Peer, id: RequestId, message: &Record) -> Handled {
        let args = self.args(message);
        let start = id == RequestId::PRDCR_START_REGEX;
        let verb = if start { "prdcr_start_regex" } else { "prdcr_stop_regex" };
        let text = args.required_by(AttrId::REGEX, verb)?;
        let reconnect = args.get(AttrId::INTERVAL);
        let reconnect_us = match reconnect.as_deref().map(time::parse_us) {
            None => None,
            Some(Ok(us)) if us > 0 => Some(us.unsigned_abs()),
            Some(Ok(_)) => {
                let text = "The reconnect interval must be a positive interval.";
                return Err(refuse(errno::EINVAL, text));
            }
            Some(Err(_)) => {
                let text = reconnect.unwrap_or_default();
                let text = format!("The reconnect interval value ({text}) is invalid.");
                return Err(refuse(errno::EINVAL, text));
            }
        };
        let regex = Expression::new(&text).map_err(|_| bad_regex())?;
        let names: Vec<String> = self.producers.keys().filter(|name| regex.matches(name)).cloned().collect();
        for name in names {
            if start {
                if let (Some(us), Some(producer)) = (reconnect_us, self.producers.get_mut(&name)) {
                    producer.reconnect_us = us;
                }
                let _ = self.start_producer(peer, &name, "producer");
            } else {
                let _ = self.stop_producer(peer, &name, "producer");
            }
        }
        self.log(|| format!("{verb} regex={text}"));
        Ok(Answer::Done)
    }

    fn producer_status(&self, message: &Record) -> Handled {
        let args = self.args(message);
        let summary = args.get(AttrId::SUMMARY).as_deref() == Some("true");
        let wanted = match args.get(AttrId::STATE) {
            None => None,
            Some(text) => {
                let state = match text.to_ascii_uppercase().as_str() {
                    "RECONNECTING" => ProducerState::Connecting,
                    upper => ProducerState::from(upper.to_owned()),
                };
                if matches!(state, ProducerState::Other(_)) {
                    let text = format!("The given producer state '{text}' is invalid.");
                    return Err(refuse(errno::EINVAL, text));
                }
                Some(state)
            }
        };
        let name = args.get(AttrId::NAME);
        if let Some(name) = &name
            && !self.producers.contains_key(name)
        {
            return Err(refuse(errno::ENOENT, format!("prdcr '{name}' doesn't exist.")));
        }
        let picked = self.producers.iter().filter(|(key, producer)| match &name {
            Some(name) => *key == name,
            None => wanted.as_ref().is_none_or(|state| *state == producer.state),
        });
        let rows: Vec<String> = picked.map(|(name, producer)| status(name, producer, summary)).collect();
        Ok(Answer::Json(format!("[{}]", rows.join(",\n"))))
    }

    pub(super) fn find_producers<'a>(
        &'a self,
        args: &Args<'_>,
        id: AttrId,
    ) -> impl Iterator<Item = (&'a String, &'a Producer)> + use<'a> {
        let name = args.get(id);
        self.producers.iter().filter(move |(key, _)| name.as_ref().is_none_or(|name| *key == name))
    }
}

fn status(name: &str, producer: &Producer, summary: bool) -> String {
    let rows = |sets: &BTreeMap<String, ProducerSet>| {
        let row = |(name, set): (&String, &ProducerSet)| {
            let (name, schema, state) = (json(name), json(&set.schema), set.state.text());
            format!("{{ \"inst_name\":\"{name}\",\"schema_name\":\"{schema}\",\"state\":\"{state}\"}}")
        };
        sets.iter().map(row).collect::<Vec<_>>().join(",\n")
    };
    let sets = if summary { String::new() } else { rows(&producer.sets) };
    format!(
        "{{ \"name\":\"{}\",\"type\":\"{}\",\"host\":\"{}\",\"port\":{},\"transport\":\"{}\",\"auth\":\"{}\",\
         \"rail\":\"{}\",\"quota\":\"{}\",\"rx_rate\":\"{}\",\"reconnect_us\":\"{}\",\"state\":\"{}\",\"sets\": [{sets}]}}",
        json(name),
        producer.kind.text(),
        json(&producer.host),
        producer.port,
        json(&producer.xprt),
        json(&producer.domain),
        json(&producer.rail),
        json(&producer.quota),
        json(&producer.rx_rate),
        producer.reconnect_us,
        producer.state,
    )
}

/// The refusal of an expression, with the number where ldmsd puts it.
pub(super) fn bad_regex() -> Refused {
    refuse(errno::ENOENT, "22Invalid regular expression")
}

/// The refusal of requests about producers that are not there.
pub(super) fn not_found() -> Refused {
    refuse(errno::ENOENT, NOT_FOUND)
}
