//! Advertising: daemons that offer themselves to aggregators, and aggregators that take them.

use super::answer::{Answer, Handled, Refused, refuse};
use super::object::{Expression, PrdcrListen, Rights};
use super::producers::{Kind, Origin};
use super::{Advertisement, ConnId, Daemon};
use crate::api::producer::ProducerState;
use crate::auth::Peer;
use crate::time;
use crate::wire::errno;
use crate::wire::ids::{AttrId, RequestId};
use crate::wire::record::{Attribute, Message as Record};

impl Daemon {
    pub(super) fn advertising_request(
        &mut self,
        conn: Option<ConnId>,
        peer: Peer,
        id: RequestId,
        message: &Record,
    ) -> Handled {
        match id {
            RequestId::ADVERTISER_ADD => {
                let name = self.add_producer(peer, message, "advertiser")?;
                if let Some(line) = self.producer_line("advertiser_add", &name, false) {
                    self.log(|| line);
                }
                Ok(Answer::Done)
            }
            RequestId::ADVERTISER_START => {
                let name = self.args(message).get(AttrId::NAME).unwrap_or_default();
                if !self.producers.contains_key(&name) {
                    self.add_producer(peer, message, "advertiser")?;
                }
                self.start_producer_request(peer, message, "advertiser_start", "advertiser")?;
                if let Some(line) = self.producer_line("advertiser_start", &name, true) {
                    self.log(|| line);
                }
                Ok(Answer::Done)
            }
            RequestId::ADVERTISER_STOP => {
                self.stop_producer_request(peer, message, "advertiser_stop", "advertiser")
            }
            RequestId::ADVERTISER_DEL => self.delete_producer(peer, message, "advertiser_del", "advertiser"),
            RequestId::PRDCR_LISTEN_ADD => self.add_prdcr_listen(peer, message),
            RequestId::PRDCR_LISTEN_DEL => {
                let name = self.listener_name(message)?;
                let text = |what: &str| format!("The producer listen '{name}' {what}.\n");
                let missing = || refuse(errno::ENOENT, text("does not exist"));
                self.prdcr_listens.get(&name).ok_or_else(missing)?.rights.check_write(peer)?;
                // ldmsd 4.5 never lets a listener go, not even one that was never started.
                Err(refuse(errno::EBUSY, text("is in use")))
            }
            RequestId::PRDCR_LISTEN_START | RequestId::PRDCR_LISTEN_STOP => {
                let name = self.listener_name(message)?;
                let text = format!("The listen_producer '{name}' does not exist.");
                let missing = || refuse(errno::ENOENT, text);
                let listen = self.prdcr_listens.get_mut(&name).ok_or_else(missing)?;
                listen.rights.check_write(peer)?;
                listen.running = id == RequestId::PRDCR_LISTEN_START;
                Ok(Answer::Done)
            }
            RequestId::PRDCR_LISTEN_STATUS => Ok(Answer::Json(self.prdcr_listen_status(message))),
            RequestId::ADVERTISE => self.advertised(conn, message),
            _ => Err(refuse(errno::ENOSYS, "The request is not implemented")),
        }
    }

    fn listener_name(&self, message: &Record) -> Result<String, Refused> {
        self.args(message).require(AttrId::NAME, || "The attribute 'name' is required,".to_owned())
    }

    fn add_prdcr_listen(&mut self, peer: Peer, message: &Record) -> Handled {
        let args = self.args(message);
        let name = args.require(AttrId::NAME, || "The attribute 'name' is required.".to_owned())?;
        if self.prdcr_listens.contains_key(&name) {
            let text = format!("The prdcr listener {name} already exists.");
            return Err(refuse(errno::EEXIST, text));
        }
        let disabled = args.get(AttrId::AUTO_INTERVAL);
        let disabled = disabled.is_some_and(|text| text == "1" || text.eq_ignore_ascii_case("true"));
        let regex = match args.get(AttrId::REGEX) {
            None => None,
            Some(text) => Some(Expression::new(&text).map_err(|_| {
                refuse(errno::EINVAL, format!("The regular expression string '{text}' is invalid."))
            })?),
        };
        let active = match args.get(AttrId::TYPE).map(|text| text.to_ascii_lowercase()).as_deref() {
            None | Some("passive") => None,
            Some("active") => {
                let require = |id, word: &str| {
                    args.require(id, || format!("The attribute '{word}' is required for the 'active' mode."))
                };
                let port = require(AttrId::PORT, "advertiser_port")?;
                let invalid = || refuse(errno::EINVAL, format!("The port value '{port}' is invalid."));
                let number = port.parse().ok().filter(|port| *port > 0).ok_or_else(invalid)?;
                let reconnect = require(AttrId::INTERVAL, "reconnect")?;
                let invalid =
                    |_| refuse(errno::EINVAL, format!("The reconnect value '{reconnect}' is invalid."));
                let us = time::parse_us(&reconnect).map_err(invalid)?;
                let xprt = require(AttrId::XPRT, "advertiser_xprt")?;
                Some((xprt, number, args.get(AttrId::AUTH), us.unsigned_abs()))
            }
            Some(text) => {
                return Err(refuse(errno::EINVAL, format!("The type value '{text}' is invalid.")));
            }
        };
        let ip = args.get(AttrId::IP);
        if let Some(text) = &ip
            && text.split('/').next().is_none_or(|address| address.parse::<core::net::IpAddr>().is_err())
        {
            return Err(refuse(errno::EINVAL, format!("The given CIDR string '{text}' is invalid.")));
        }
        let listen = PrdcrListen {
            running: false,
            regex,
            ip,
            auto_start: !disabled,
            active,
            producers: Vec::new(),
            rights: Rights::new(peer, args.get(AttrId::PERM).as_deref()),
        };
        self.prdcr_listens.insert(name, listen);
        Ok(Answer::Done)
    }

    fn prdcr_listen_status(&self, message: &Record) -> String {
        let summary = self.args(message).get(AttrId::SUMMARY);
        let summary = summary.is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let rows = self.prdcr_listens.iter().map(|(name, listen)| {
            let state = if listen.running { "running" } else { "stopped" };
            let regex = listen.regex.as_ref().map_or("-", |regex| &regex.text);
            let kind = match &listen.active {
                None => "\"type\":\"passive\"".to_owned(),
                Some((xprt, port, auth, us)) => format!(
                    "\"type\":\"active\",\"xprt\":\"{xprt}\",\"port\":\"{port}\",\"auth_dom\":\"{}\",\"rail_sz\":\"1\",\"reconnect\":\"{us}\"",
                    auth.as_deref().unwrap_or("_DEFAULT_")
                ),
            };
            let producers: Vec<String> = match summary {
                true => Vec::new(),
                false => listen.producers.iter().map(|name| format!("\"{name}\"")).collect(),
            };
            format!(
                "{{\"name\":\"{name}\",\"state\":\"{state}\",\"regex\":\"{regex}\",\"IP range\":\"{}\",\"quota\":\"-1\",\"rx_rate\":\"-1\",{kind},\"producers\":[{}]}}",
                listen.ip.as_deref().unwrap_or("-"),
                producers.join(",")
            )
        });
        format!("[{}]", rows.collect::<Vec<_>>().join(","))
    }

    /// This daemon is connected to an aggregator and offers itself.
    pub(super) fn advertise(&mut self, producer: &str, conn: ConnId) {
        let port = self.first_port().to_string();
        let attributes = vec![
            Attribute::text(AttrId::NAME, producer),
            Attribute::text(AttrId::HOST, &self.options.hostname),
            Attribute::text(AttrId::PORT, &port),
        ];
        self.ask(conn, attributes, Advertisement { producer: producer.to_owned() });
    }

    /// The aggregator has answered.
    pub(super) fn advertisement_answered(&mut self, conn: ConnId, producer: &str, errcode: u32) {
        tracing::debug!(daemon = %self.options.name, producer, errcode, "advertisement answered");
        // Nobody there yet who wants it: try again later, over a new connection.
        if matches!(errcode, errno::ENOENT | errno::EAGAIN) {
            self.hang_up(conn);
        }
    }

    /// A daemon offers itself.
    fn advertised(&mut self, conn: Option<ConnId>, message: &Record) -> Handled {
        let args = self.args(message);
        let required = || "The attribute 'hostname' is required.".to_owned();
        let host = args.require(AttrId::HOST, required)?;
        let port = args.get(AttrId::PORT);
        let Some(conn) = conn else { return Err(refuse(errno::EINVAL, "Invalid advertisement message")) };
        let address = self.conns.get(&conn).and_then(|conn| conn.peer_address);
        let fits = |listen: &PrdcrListen| {
            listen.running
                && listen.regex.as_ref().is_none_or(|regex| regex.matches(&host))
                && listen
                    .ip
                    .as_ref()
                    .is_none_or(|range| address.is_some_and(|address| in_range(address.ip(), range)))
        };
        let Some(name) =
            self.prdcr_listens.iter().find(|(_, listen)| fits(listen)).map(|(name, _)| name.clone())
        else {
            let text = format!("The given hostname '{host}' doesn't match any `prdcr_listen`'s regex.");
            return Err(refuse(errno::ENOENT, text));
        };
        match self.take_advertisement(&name, conn, &host, port.as_deref()) {
            Ok(()) => Ok(Answer::Done),
            Err(errno::EBUSY) => {
                let text = "The client already has a running producer with the given name.";
                Err(refuse(errno::EBUSY, text))
            }
            Err(errcode) => Err(refuse(errcode, format!("An error '{errcode}' occurred on the peer."))),
        }
    }

    fn take_advertisement(
        &mut self,
        listener: &str,
        conn: ConnId,
        host: &str,
        port: Option<&str>,
    ) -> Result<(), u32> {
        let listen = self.prdcr_listens.get(listener).ok_or(errno::ENOENT)?;
        let (active, auto_start) = (listen.active.clone(), listen.auto_start);
        let port = match &active {
            Some((_, port, ..)) => port.to_string(),
            None => port.ok_or(errno::EINVAL)?.to_owned(),
        };
        let name = format!("{host}:{port}");
        let owner = Peer { uid: self.options.uid, gid: self.options.gid };
        if let Some(producer) = self.producers.get_mut(&name) {
            match (producer.kind, &producer.state) {
                (Kind::AdvertisedActive, _) => {}
                (Kind::AdvertisedPassive, ProducerState::Connected | ProducerState::Standby) => {
                    return Err(errno::EBUSY);
                }
                (Kind::AdvertisedPassive, ProducerState::Stopping) => return Err(errno::EAGAIN),
                (Kind::AdvertisedPassive, ProducerState::Stopped) => {
                    producer.conn = Some(conn);
                    producer.state = ProducerState::Standby;
                    if let Some(conn) = self.conns.get_mut(&conn) {
                        conn.producer = Some(name.clone());
                    }
                }
                (Kind::AdvertisedPassive, ProducerState::Disconnected) => self.adopt(&name, conn),
                (Kind::AdvertisedPassive, _) => return Err(errno::EINVAL),
                _ => return Err(errno::EEXIST),
            }
            self.offer_to_updaters(&name);
            return Ok(());
        }
        match active {
            Some((xprt, port, auth, us)) => {
                let origin = Origin { xprt, host: host.to_owned(), port, domain: auth, reconnect_us: us };
                self.insert_advertised(&name, Kind::AdvertisedActive, origin);
            }
            None => {
                let address = self.conns.get(&conn).and_then(|conn| conn.peer_address);
                let port = address.map_or(0, |address| address.port());
                // It never connects, so it never waits before it connects again: ldmsd says INT_MAX.
                let (reconnect_us, host) = (i32::MAX.unsigned_abs().into(), host.to_owned());
                let origin = Origin { xprt: "sock".to_owned(), host, port, domain: None, reconnect_us };
                self.insert_advertised(&name, Kind::AdvertisedPassive, origin);
                if let Some(producer) = self.producers.get_mut(&name) {
                    producer.conn = Some(conn);
                    producer.state = ProducerState::Standby;
                }
                if let Some(conn) = self.conns.get_mut(&conn) {
                    conn.producer = Some(name.clone());
                }
            }
        }
        if let Some(listen) = self.prdcr_listens.get_mut(listener) {
            listen.producers.push(name.clone());
        }
        self.offer_to_updaters(&name);
        if auto_start {
            let _ = self.start_producer(owner, &name, "producer");
        }
        Ok(())
    }
}

/// Whether an address lies in a range such as `10.1.0.0/16`.
fn in_range(address: core::net::IpAddr, range: &str) -> bool {
    let (network, bits) = range.split_once('/').unwrap_or((range, ""));
    let Ok(network) = network.parse::<core::net::IpAddr>() else { return false };
    let (address, network, width) = match (address.to_canonical(), network) {
        (core::net::IpAddr::V4(a), core::net::IpAddr::V4(n)) => {
            (u128::from(u32::from(a)), u128::from(u32::from(n)), 32)
        }
        (core::net::IpAddr::V6(a), core::net::IpAddr::V6(n)) => (u128::from(a), u128::from(n), 128),
        _ => return false,
    };
    let bits = bits.parse().unwrap_or(width).min(width);
    let shift = width - bits;
    shift >= 128 || address >> shift == network >> shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_matched_with_ranges() {
        let address = |text: &str| text.parse().unwrap();
        assert!(in_range(address("10.1.2.3"), "10.1.0.0/16"));
        assert!(!in_range(address("10.2.2.3"), "10.1.0.0/16"));
        assert!(in_range(address("::ffff:10.1.2.3"), "10.1.2.3"));
        assert!(in_range(address("fe80::1"), "::/0"));
        assert!(!in_range(address("10.1.2.3"), "nonsense"));
    }
}
