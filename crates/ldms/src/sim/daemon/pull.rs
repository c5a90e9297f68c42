//! Collecting: directory, lookup, update of the sets of producers.

use bytes::Bytes;

use super::answer::{Answer, Handled, json};
use super::figures::Op;
use super::producers::not_found;
use super::sets::{Contents, Set, SetInfo};
use super::update_times::Updates;
use super::updaters::{Push, Schedule};
use super::{ConnId, Daemon};
use crate::wire::dir::{self, DirEntry};
use crate::wire::ids::AttrId;
use crate::wire::lookup::Rendezvous;
use crate::wire::record::Message as Record;
use crate::wire::set::{Meta, Sample};
use crate::wire::xprt::{DirKind, Message, PUSH_MORE};

/// The state of a set of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SetState {
    /// Known from the directory.
    Start,
    /// Being looked up.
    Lookup,
    /// Looked up; updated now and then.
    Ready,
    /// Being updated.
    Updating,
}

impl SetState {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Start => "START",
            Self::Lookup => "LOOKUP",
            Self::Ready => "READY",
            Self::Updating => "UPDATING",
        }
    }
}

/// A set of a producer.
#[derive(Debug)]
pub(super) struct ProducerSet {
    pub(super) schema: String,
    pub(super) state: SetState,
    /// How often the producer says it changes.
    pub(super) hint: Option<Schedule>,
    pub(super) looked_up_us: u64,
    /// Where it can be read.
    key: u32,
    addr: u64,
    meta_len: u32,
    data_len: u32,
    array_cardinality: u32,
    /// How the producer numbers it.
    remote_id: u64,
    last_generation: u64,
    push_registered: bool,
    /// What became of its updates.
    pub(super) updates: Updates,
}

/// A lookup under way.
#[derive(Debug)]
pub(super) struct Lookup {
    conn: ConnId,
    producer: String,
    set: String,
}

/// A read under way.
#[derive(Debug)]
pub(super) struct Read {
    conn: ConnId,
    producer: String,
    set: String,
    /// The updater that asked for it; none when it completes a lookup.
    updater: Option<String>,
}

impl Daemon {
    /// A directory, or a change of one, has come.
    pub(super) fn directory_came(
        &mut self,
        id: ConnId,
        xid: u64,
        rc: u32,
        changed: bool,
        kind: DirKind,
        json: &[u8],
    ) {
        let Some(conn) = self.conns.get(&id) else { return };
        let Some(producer) = conn.producer.clone() else { return };
        if conn.own_dir != Some(xid) || rc != 0 {
            return;
        }
        self.figures.count(Op::DirReply);
        let Ok(entries) = dir::parse(json) else { return };
        for entry in entries {
            match (changed, kind) {
                (_, DirKind::List | DirKind::Add) => self.add_producer_set(&producer, &entry),
                (_, DirKind::Delete) => self.drop_set(&producer, &entry.name),
                (_, DirKind::Update) => {
                    if let Some(set) = self.producer_set(&producer, &entry.name) {
                        set.hint = hint_of(&entry);
                        self.schedule_set(&producer, &entry.name);
                    }
                }
            }
        }
        self.announce_changes();
    }

    fn producer_set(&mut self, producer: &str, set: &str) -> Option<&mut ProducerSet> {
        self.producers.get_mut(producer)?.sets.get_mut(set)
    }

    fn add_producer_set(&mut self, producer: &str, entry: &DirEntry) {
        let Some(owner) = self.producers.get_mut(producer) else { return };
        if owner.sets.contains_key(&entry.name) {
            return;
        }
        let set = ProducerSet {
            schema: entry.schema.clone(),
            state: SetState::Start,
            hint: hint_of(entry),
            looked_up_us: 0,
            key: 0,
            addr: 0,
            meta_len: 0,
            data_len: 0,
            array_cardinality: 1,
            remote_id: 0,
            last_generation: 0,
            push_registered: false,
            updates: Updates::default(),
        };
        owner.sets.insert(entry.name.clone(), set);
        self.schedule_set(producer, &entry.name);
    }

    /// The producer says that it deletes a set.
    pub(super) fn remote_set_deleted(&mut self, id: ConnId, name: &str) {
        if let Some(producer) = self.conns.get(&id).and_then(|conn| conn.producer.clone()) {
            self.drop_set(&producer, name);
        }
    }

    fn drop_set(&mut self, producer: &str, name: &str) {
        let Some(owner) = self.producers.get_mut(producer) else { return };
        if owner.sets.remove(name).is_none() {
            return;
        }
        let mirrored =
            |set: &Set| matches!(&set.contents, Contents::Mirror { producer: from, .. } if from == producer);
        if self.sets.get(name).is_some_and(mirrored) {
            self.delete_set(name);
        }
    }

    /// A producer that is gone takes its sets along.
    pub(super) fn drop_producer_sets(&mut self, producer: &str) {
        let Some(owner) = self.producers.get(producer) else { return };
        for name in owner.sets.keys().cloned().collect::<Vec<_>>() {
            self.drop_set(producer, &name);
        }
    }

    /// Whether anything is under way on a connection.
    pub(super) fn io_under_way(&self, id: ConnId) -> bool {
        self.lookups.values().any(|lookup| lookup.conn == id)
            || self.reads.values().any(|read| read.conn == id)
    }

    /// A connection is gone, and with it what was under way on it.
    pub(super) fn abandon_io(&mut self, id: ConnId) {
        self.lookups.retain(|_, lookup| lookup.conn != id);
        let mut updaters = Vec::new();
        self.reads.retain(|_, read| {
            if read.conn == id {
                updaters.extend(read.updater.clone());
            }
            read.conn != id
        });
        for updater in updaters {
            self.update_over(&updater);
        }
    }

    fn update_over(&mut self, updater: &str) {
        if let Some(updater) = self.updaters.get_mut(updater) {
            updater.in_flight = updater.in_flight.saturating_sub(1);
        }
    }

    /// An updater wants a set looked at: looks it up, updates it, registers for pushes, or leaves it.
    pub(super) fn refresh(&mut self, updater: &str, push: Push, producer: &str, name: &str) {
        let (now_us, settle_us) = (self.now_us, self.options.timings.settle_us);
        let Some(owner) = self.producers.get_mut(producer) else { return };
        let Some(conn) = owner.conn else { return };
        let Some(set) = owner.sets.get_mut(name) else { return };
        match set.state {
            SetState::Start => {
                if self.sets.contains_key(name) {
                    // Another producer has a set of this name: ldmsd logs it and leaves this one in START.
                    return;
                }
                set.state = SetState::Lookup;
                let xid = self.next_xid;
                self.next_xid += 1;
                let lookup = Lookup { conn, producer: producer.to_owned(), set: name.to_owned() };
                self.lookups.insert(xid, lookup);
                self.send(conn, &Message::Lookup { xid, flags: 0, path: name.to_owned() });
            }
            SetState::Ready if push != Push::No => {
                set.updates.begin(now_us);
                if !std::mem::replace(&mut set.push_registered, true) {
                    let remote_id = set.remote_id;
                    self.register_push(conn, remote_id, name, push);
                }
            }
            SetState::Ready if now_us.saturating_sub(set.looked_up_us) >= settle_us => {
                set.state = SetState::Updating;
                set.updates.begin(now_us);
                let whole = self.sets.get(name).is_none_or(Set::needs_meta) || set.array_cardinality != 1;
                let (offset, len) = if whole {
                    (0, set.meta_len.saturating_add(set.data_len.saturating_mul(set.array_cardinality)))
                } else {
                    (set.meta_len, set.data_len)
                };
                let (key, addr) = (set.key, set.addr + u64::from(offset));
                if let Some(updater) = self.updaters.get_mut(updater) {
                    updater.in_flight += 1;
                }
                self.read(conn, producer, name, Some(updater.to_owned()), (key, addr, len));
            }
            // While one is still under way, the next is left out.
            SetState::Updating => set.updates.skip(),
            SetState::Ready | SetState::Lookup => {}
        }
    }

    fn read(
        &mut self,
        conn: ConnId,
        producer: &str,
        set: &str,
        updater: Option<String>,
        at: (u32, u64, u32),
    ) {
        let ctxt = self.next_xid;
        self.next_xid += 1;
        let (producer, set) = (producer.to_owned(), set.to_owned());
        self.reads.insert(ctxt, Read { conn, producer, set, updater });
        if let Some(link) = self.conns.get_mut(&conn).and_then(|conn| conn.link.as_mut()) {
            link.read(ctxt, at.0, at.1, at.2);
        }
    }

    /// Memory is offered: a set that was looked up, or one that wants pushes.
    pub(super) fn offered(&mut self, id: ConnId, key: u32, addr: u64, len: u32, offer: Rendezvous) {
        match offer {
            Rendezvous::Push { lookup_set_id, push_set_id, flags } => {
                self.add_push_peer(id, lookup_set_id, push_set_id, flags);
            }
            Rendezvous::Lookup(offer) => {
                let Some(lookup) = self.lookups.remove(&offer.xid) else { return };
                let taken = self.sets.contains_key(&lookup.set);
                let Some(set) = self.producer_set(&lookup.producer, &lookup.set) else { return };
                let fits = offer.meta_len.checked_add(offer.data_len).is_some_and(|total| total <= len);
                if taken || !fits {
                    set.state = SetState::Start;
                    return;
                }
                set.key = key;
                set.addr = addr;
                set.meta_len = offer.meta_len;
                set.data_len = offer.data_len;
                set.array_cardinality = offer.array_cardinality.max(1);
                set.remote_id = offer.set_id;
                let contents = Contents::Mirror {
                    producer: lookup.producer.clone(),
                    meta: Bytes::new(),
                    data: Bytes::new(),
                };
                let info = SetInfo { own: Vec::new(), remote: offer.info };
                if self.memory_left() < u64::from(offer.meta_len) + u64::from(offer.data_len) {
                    // ldmsd says so in its log, and tries again at every update.
                    if let Some(set) = self.producer_set(&lookup.producer, &lookup.set) {
                        set.state = SetState::Start;
                    }
                    return;
                }
                self.insert_set(&lookup.set, &offer.schema, contents, info);
                self.read(id, &lookup.producer, &lookup.set, None, (key, addr, offer.meta_len));
            }
        }
    }

    pub(super) fn lookup_failed(&mut self, xid: u64, rc: u32) {
        let Some(lookup) = self.lookups.remove(&xid) else { return };
        if rc == crate::wire::errno::ENOENT {
            self.drop_set(&lookup.producer, &lookup.set);
        } else if let Some(set) = self.producer_set(&lookup.producer, &lookup.set) {
            set.state = SetState::Start;
        }
    }

    /// A read is answered: a lookup is complete, or an update.
    pub(super) fn read_done(&mut self, ctxt: u64, status: u16, bytes: &Bytes) {
        let Some(read) = self.reads.remove(&ctxt) else { return };
        self.figures.count(if read.updater.is_some() { Op::Update } else { Op::Lookup });
        if let Some(updater) = &read.updater {
            self.update_over(updater);
        }
        let now_us = self.now_us;
        let Some(set) = self.producer_set(&read.producer, &read.set) else { return };
        let meta_len = set.meta_len as usize;
        if read.updater.is_none() {
            if status != 0 || Meta::decode(bytes).is_err() {
                set.state = SetState::Start;
                self.delete_set(&read.set);
                return;
            }
            set.state = SetState::Ready;
            set.looked_up_us = now_us;
            self.mirror(&read.set, Some(bytes.clone()), None);
            self.schedule_set(&read.producer, &read.set);
            self.publish(&read.set);
            self.announce_changes();
            return;
        }
        set.state = SetState::Ready;
        set.updates.end(now_us);
        if status != 0 {
            return;
        }
        let (meta, data) = if bytes.len() > set.data_len as usize {
            (Some(bytes.slice(..meta_len.min(bytes.len()))), bytes.slice(meta_len.min(bytes.len())..))
        } else {
            (None, bytes.clone())
        };
        let Ok(sample) = Sample::decode(&data) else { return };
        let fresh = sample.consistent && sample.generation != set.last_generation;
        if fresh {
            set.last_generation = sample.generation;
        } else if sample.consistent {
            set.updates.oversample();
        }
        self.mirror(&read.set, meta, Some(data));
        if fresh {
            self.updated(&read.producer, &read.set);
        }
    }

    /// New contents of a set, without being asked.
    pub(super) fn pushed(&mut self, id: ConnId, set_id: u64, flags: u32, offset: u32, bytes: &Bytes) {
        let Some(name) = self.set_names.get(&set_id).cloned() else { return };
        let Some(producer) = self.conns.get(&id).and_then(|conn| conn.producer.clone()) else { return };
        // A set that is too long for one message comes in parts; only whole ones are taken.
        if flags & PUSH_MORE != 0 || bytes.is_empty() {
            return;
        }
        let now_us = self.now_us;
        let Some(set) = self.producer_set(&producer, &name) else { return };
        let meta_len = set.meta_len as usize;
        let (meta, data) = match offset as usize {
            0 if bytes.len() > meta_len => (Some(bytes.slice(..meta_len)), bytes.slice(meta_len..)),
            at if at == meta_len => (None, bytes.clone()),
            _ => return,
        };
        let Ok(sample) = Sample::decode(&data) else { return };
        set.updates.end(now_us);
        if sample.generation == set.last_generation {
            set.updates.oversample();
        } else {
            set.last_generation = sample.generation;
            self.mirror(&name, meta, Some(data));
            self.updated(&producer, &name);
        }
    }

    /// A set has new contents: they are stored, and pushed on to those who asked for it.
    fn updated(&mut self, producer: &str, name: &str) {
        self.store(producer, name);
        self.push(name, 1);
    }

    pub(super) fn producer_set_status(&self, message: &Record) -> Handled {
        let args = self.args(message);
        let (instance, schema) = (args.get(AttrId::INSTANCE), args.get(AttrId::SCHEMA));
        let mut rows = Vec::new();
        for (producer, owner) in self.find_producers(&args, AttrId::PRODUCER) {
            for (name, set) in &owner.sets {
                let wanted = instance.as_ref().is_none_or(|instance| instance == name)
                    && schema.as_ref().is_none_or(|schema| *schema == set.schema);
                if !wanted {
                    continue;
                }
                let (origin, time_us, duration_us) = self.sets.get(name).map_or_else(
                    || (String::new(), 0, 0),
                    |set| {
                        let sample = set.sample(self);
                        (set.origin(self), sample.time_us, sample.duration_us)
                    },
                );
                rows.push(format!(
                    "{{ \"inst_name\":\"{}\",\"schema_name\":\"{}\",\"state\":\"{}\",\"origin\":\"{}\",\
                     \"producer\":\"{}\",\"timestamp.sec\":\"{}\",\"timestamp.usec\":\"{}\",\
                     \"duration.sec\":\"{}\",\"duration.usec\":\"{}\"}}",
                    json(name),
                    json(&set.schema),
                    set.state.text(),
                    json(&origin),
                    json(producer),
                    time_us / 1_000_000,
                    time_us % 1_000_000,
                    duration_us / 1_000_000,
                    duration_us % 1_000_000,
                ));
            }
        }
        Ok(Answer::Json(format!("[{}]", rows.join(",\n"))))
    }

    pub(super) fn hint_tree(&self, message: &Record) -> Handled {
        let args = self.args(message);
        let mut rows = Vec::new();
        for (name, owner) in self.find_producers(&args, AttrId::NAME) {
            let mut hints: std::collections::BTreeMap<Schedule, Vec<String>> =
                std::collections::BTreeMap::new();
            for (set, state) in &owner.sets {
                let hint = state.hint.unwrap_or_default();
                hints.entry(hint).or_default().push(format!("\"{}\"", json(set)));
            }
            let hints: Vec<String> = hints
                .into_iter()
                .map(|(hint, sets)| format!("{{{},\"sets\":[{}]}}", hint.json(), sets.join(",")))
                .collect();
            rows.push(format!("{{\"name\":\"{}\",\"hints\":[{}]}}", json(name), hints.join(",")));
        }
        if rows.is_empty() && args.has(AttrId::NAME) {
            let name = args.get(AttrId::NAME).unwrap_or_default();
            return Err(super::answer::Refused { text: format!("prdcr '{name}' not found"), ..not_found() });
        }
        Ok(Answer::Json(format!("[{}]", rows.join(",\n"))))
    }
}

/// How often a set says it changes; what makes no sense is ignored.
fn hint_of(entry: &DirEntry) -> Option<Schedule> {
    let (interval_us, offset_us) = entry.update_hint_us()?;
    let schedule = Schedule { interval_us: u64::try_from(interval_us).ok()?, offset_us };
    (interval_us > 0 && offset_us.unwrap_or(0) < interval_us).then_some(schedule)
}
