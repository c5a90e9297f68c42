//! Being collected from: directory, lookup, remote reads, pushes.

use bytes::Bytes;

use super::figures::Op;
use super::object::{Expression, allows};
use super::sets::{PushPeer, Set};
use super::updaters::Push;
use super::{ConnId, Daemon, Timer};
use crate::auth::Peer;
use crate::limits;
use crate::wire::errno;
use crate::wire::frame::read_error;
use crate::wire::lookup::{LookupOffer, Rendezvous};
use crate::wire::set::{Meta, Owner};
use crate::wire::xprt::{DIR_NOTIFY, DirKind, LOOKUP_BY_SCHEMA, LOOKUP_REGEX, Message, PUSH};

/// Sets are offered at invented addresses, this far apart.
const ADDRESS_STEP: u64 = 1 << 32;
/// Room that headers take in a message with a part of a directory.
const DIR_HEADERS: usize = 256;

impl Daemon {
    fn readable(&self, peer: Peer, set: &Set) -> bool {
        let owner = Meta::decode(&set.image(self).0).map(|meta| meta.owner);
        let Owner { uid, gid, perm } = owner.unwrap_or(Owner { uid: 0, gid: 0, perm: 0 });
        allows(peer, 0o444, uid, gid, perm)
    }

    /// Answers with the directory, in parts that fit into messages.
    pub(super) fn serve_dir(&mut self, id: ConnId, xid: u64, flags: u32) {
        self.figures.count(Op::DirRequest);
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.peer_dir = (flags & DIR_NOTIFY != 0).then_some(xid);
        let peer = conn.peer;
        let shown = |(_, set): &(&String, &Set)| set.published && self.readable(peer, set);
        // ldmsd lists the sets backwards.
        let entries: Vec<String> = self
            .sets
            .iter()
            .rev()
            .filter(shown)
            .map(|(name, set)| serde_json::to_string(&self.entry(name, set)).unwrap_or_default())
            .collect();
        let mut parts = vec![String::new()];
        for entry in entries {
            let room = limits::MAX_FRAME - DIR_HEADERS;
            match parts.last_mut() {
                Some(part) if part.len() + entry.len() < room => {
                    if !part.is_empty() {
                        part.push(',');
                    }
                    part.push_str(&entry);
                }
                _ => parts.push(entry),
            }
        }
        let last = parts.len() - 1;
        for (index, part) in parts.into_iter().enumerate() {
            let json = Bytes::from(format!("{{ \"directory\" : [{part}]}}"));
            let (kind, more) = (DirKind::List, index < last);
            self.send(id, &Message::DirReply { xid, rc: 0, changed: false, kind, more, json });
        }
    }

    /// Offers the sets that fit a lookup.
    pub(super) fn serve_lookup(&mut self, id: ConnId, xid: u64, flags: u32, path: &str) {
        let peer = self.conns.get(&id).map_or(Peer::ROOT, |conn| conn.peer);
        let found: Vec<String> = if flags == 0 {
            self.sets.get_key_value(path).map(|(name, _)| name.clone()).into_iter().collect()
        } else {
            let regex = if flags & LOOKUP_REGEX == 0 { None } else { Some(Expression::new(path)) };
            if let Some(Err(_)) = regex {
                self.send(id, &Message::LookupReply { xid, rc: errno::EINVAL });
                return;
            }
            let fits = |(name, set): &(&String, &Set)| {
                let text = if flags & LOOKUP_BY_SCHEMA == 0 { name.as_str() } else { set.schema.as_str() };
                match &regex {
                    Some(Ok(regex)) => regex.matches(text),
                    _ => text == path,
                }
            };
            let readable = self.sets.iter().filter(fits).filter(|(_, set)| self.readable(peer, set));
            readable.map(|(name, _)| name.clone()).collect()
        };
        if found.is_empty() {
            self.send(id, &Message::LookupReply { xid, rc: errno::ENOENT });
            return;
        }
        let last = found.len() - 1;
        for (index, name) in found.iter().enumerate() {
            self.offer(id, xid, name, index < last);
        }
    }

    fn offer(&mut self, id: ConnId, xid: u64, name: &str, more: bool) {
        let Some(set) = self.sets.get(name) else { return };
        let (meta, data) = set.image(self);
        let Ok(described) = Meta::decode(&meta) else { return };
        let offer = LookupOffer {
            xid,
            set_id: set.id,
            more,
            meta_len: described.meta_size,
            data_len: described.data_size,
            cardinality: described.cardinality,
            array_cardinality: described.array_cardinality,
            schema: set.schema.clone(),
            instance: name.to_owned(),
            info: set.all_info().cloned().collect(),
        };
        let (set_id, len) = (set.id, u32::try_from(meta.len() + data.len()).unwrap_or(u32::MAX));
        if let Some(set) = self.sets.get_mut(name)
            && !set.looked_up_by.contains(&id)
        {
            set.looked_up_by.push(id);
        }
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.looked_up.insert(set_id);
            if let Some(link) = conn.link.as_mut() {
                link.offer(key_of(set_id), address_of(set_id), len, &Rendezvous::Lookup(offer));
            }
        }
    }

    /// Answers a remote read, at once unless it is told to be late.
    pub(super) fn serve_read(&mut self, id: ConnId, token: (u32, u64), key: u32, addr: u64, len: u32) {
        match self.faults.late_reads_us {
            0 => self.answer_read(id, token, key, addr, len),
            late_us => self.after(late_us, Timer::LateRead { conn: id, token, key, addr, len }),
        }
    }

    pub(super) fn answer_read(&mut self, id: ConnId, token: (u32, u64), key: u32, addr: u64, len: u32) {
        let (status, data) = match self.readable_range(key, addr, len) {
            Ok(data) => (0, data),
            Err(status) => (status, Bytes::new()),
        };
        if let Some(link) = self.conns.get_mut(&id).and_then(|conn| conn.link.as_mut()) {
            link.read_response(token, status, data);
        }
    }

    fn readable_range(&self, key: u32, addr: u64, len: u32) -> Result<Bytes, u16> {
        let name = self.set_names.get(&u64::from(key)).ok_or(read_error::MAP)?;
        let set = self.sets.get(name).ok_or(read_error::MAP)?;
        let (meta, data) = set.image(self);
        let start = addr.checked_sub(address_of(set.id)).ok_or(read_error::LEN)?;
        let start = usize::try_from(start).map_err(|_| read_error::LEN)?;
        let end = start.checked_add(len as usize).ok_or(read_error::LEN)?;
        if end > meta.len() + data.len() {
            return Err(read_error::LEN);
        }
        if start >= meta.len() {
            return Ok(data.slice(start - meta.len()..end - meta.len()));
        }
        if end <= meta.len() {
            return Ok(meta.slice(start..end));
        }
        let mut whole = meta.slice(start..).to_vec();
        whole.extend_from_slice(&data[..end - meta.len()]);
        Ok(whole.into())
    }

    /// A peer that had looked a set up is gone.
    pub(super) fn forget_peer(&mut self, set_id: u64, id: ConnId) {
        let Some(set) = self.set_names.get(&set_id).and_then(|name| self.sets.get_mut(name)) else { return };
        set.looked_up_by.retain(|conn| *conn != id);
        set.push_peers.retain(|peer| peer.conn != id);
    }

    /// Asks a producer to push a set here.
    pub(super) fn register_push(&mut self, conn: ConnId, remote_id: u64, name: &str, push: Push) {
        let Some(set) = self.sets.get(name) else { return };
        let flags = if push == Push::OnChange { 3 } else { 1 };
        let (meta, data) = set.image(self);
        let len = u32::try_from(meta.len() + data.len()).unwrap_or(u32::MAX);
        let offer = Rendezvous::Push { lookup_set_id: remote_id, push_set_id: set.id, flags };
        let (key, addr) = (key_of(set.id), address_of(set.id));
        if let Some(link) = self.conns.get_mut(&conn).and_then(|conn| conn.link.as_mut()) {
            link.offer(key, addr, len, &offer);
        }
    }

    /// A peer wants a set pushed to it.
    pub(super) fn add_push_peer(&mut self, id: ConnId, set_id: u64, remote_id: u64, flags: u32) {
        let Some(name) = self.set_names.get(&set_id).cloned() else { return };
        let Some(set) = self.sets.get_mut(&name) else { return };
        set.push_peers.retain(|peer| peer.conn != id);
        set.push_peers.push(PushPeer { conn: id, remote_id, flags, meta_generation: 0 });
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.looked_up.insert(set_id);
        }
        self.arm_push(&name);
    }

    pub(super) fn cancel_push(&mut self, id: ConnId, set_id: u64) {
        let Some(set) = self.set_names.get(&set_id).and_then(|name| self.sets.get_mut(name)) else { return };
        set.push_peers.retain(|peer| peer.conn != id);
    }

    /// Wakes up with the next sample of a set that is pushed.
    pub(super) fn arm_push(&mut self, name: &str) {
        let super::sets::Contents::Sampled { sampler } = (match self.sets.get(name) {
            Some(set) if !set.push_peers.is_empty() => &set.contents,
            _ => return,
        }) else {
            return;
        };
        let sampler = sampler.clone();
        let Some(state) = self.samplers.get(&sampler) else { return };
        if let Some(at_us) = state.next_sample_us(self.now_us) {
            let generation = state.generation;
            self.at(at_us, Timer::Push { sampler, generation });
        }
    }

    /// A sampler whose sets are pushed has sampled.
    pub(super) fn push_due(&mut self, sampler: &str, generation: u64) {
        let Some(state) = self.samplers.get(sampler) else { return };
        if state.generation != generation {
            return;
        }
        for name in state.sets.clone() {
            self.push(&name, 2);
            self.arm_push(&name);
        }
    }

    /// Pushes a set to those who registered with one of `flags`.
    pub(super) fn push(&mut self, name: &str, flags: u32) {
        let Some(set) = self.sets.get(name) else { return };
        if set.push_peers.is_empty() {
            return;
        }
        let (meta, data) = set.image(self);
        let Ok(described) = Meta::decode(&meta) else { return };
        let mut pushes = Vec::new();
        if let Some(set) = self.sets.get_mut(name) {
            for peer in set.push_peers.iter_mut().filter(|peer| peer.flags & flags != 0) {
                let whole = peer.meta_generation != described.generation;
                peer.meta_generation = described.generation;
                pushes.push((peer.conn, peer.remote_id, whole));
            }
        }
        for (conn, set_id, whole) in pushes {
            let (offset, bytes) = if whole {
                (0, Bytes::from([&meta[..], &data[..]].concat()))
            } else {
                (u32::try_from(meta.len()).unwrap_or(u32::MAX), data.clone())
            };
            self.send(conn, &Message::Push { set_id, flags: PUSH, offset, data: bytes });
            self.flush(conn);
        }
    }
}

fn key_of(set_id: u64) -> u32 {
    // Sets are numbered from 1; a daemon that makes 4 billion of them has other troubles.
    u32::try_from(set_id).unwrap_or(u32::MAX)
}

fn address_of(set_id: u64) -> u64 {
    set_id * ADDRESS_STEP
}
