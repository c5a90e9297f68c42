//! The metric sets of a daemon: those it samples and those it has fetched.

use bytes::Bytes;

use super::{ConnId, Daemon};
use crate::wire::dir::{DirEntry, Info, Timestamp};
use crate::wire::set::{Meta, Owner, Sample};
use crate::wire::xprt::{DirKind, Message};

/// Where the contents of a set come from.
#[derive(Debug)]
pub(super) enum Contents {
    /// A sampler of this daemon; made when somebody reads.
    Sampled { sampler: String },
    /// A producer; kept as they were read.
    Mirror { producer: String, meta: Bytes, data: Bytes },
}

/// What is known of a set beside its metrics.
#[derive(Debug, Default)]
pub(super) struct SetInfo {
    /// Said by this daemon.
    pub(super) own: Vec<(String, String)>,
    /// Said by the producer; what this daemon says itself comes before it.
    pub(super) remote: Vec<(String, String)>,
}

/// Someone who wants a set pushed.
#[derive(Debug)]
pub(super) struct PushPeer {
    pub(super) conn: ConnId,
    pub(super) remote_id: u64,
    pub(super) flags: u32,
    pub(super) meta_generation: u64,
}

/// A metric set.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) id: u64,
    pub(super) schema: String,
    pub(super) contents: Contents,
    pub(super) info: SetInfo,
    /// Whether the directory shows it.
    pub(super) published: bool,
    /// Bytes of description and values, as counted against the daemon's memory.
    pub(super) bytes: u64,
    pub(super) looked_up_by: Vec<ConnId>,
    pub(super) push_peers: Vec<PushPeer>,
}

/// One set, as tests and demonstrations look at it from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetReport {
    /// Its name.
    pub name: String,
    /// Its schema.
    pub schema: String,
    /// The daemon that sampled it.
    pub origin: String,
    /// Whether this daemon samples it.
    pub own: bool,
    /// When it was sampled, in microseconds since the epoch; 0 when it never was.
    pub sampled_us: u64,
}

pub(super) const HINT: &str = "updt_hint_us";

impl Set {
    /// Whether its description must be fetched before its values mean anything.
    pub(super) fn needs_meta(&self) -> bool {
        match &self.contents {
            Contents::Sampled { .. } => false,
            Contents::Mirror { meta, data, .. } => {
                let meta = Meta::decode(meta).map(|meta| meta.generation);
                let data = Sample::decode(data).map(|sample| sample.meta_generation);
                meta.is_err() || meta.ok() != data.ok()
            }
        }
    }

    /// The sample it holds now.
    pub(super) fn sample(&self, daemon: &Daemon) -> Sample {
        let none =
            Sample { time_us: 0, duration_us: 0, consistent: false, generation: 0, meta_generation: 0 };
        match &self.contents {
            Contents::Sampled { sampler } => {
                daemon.samplers.get(sampler).map_or(none, |sampler| sampler.sample(daemon.now_us))
            }
            Contents::Mirror { data, .. } => Sample::decode(data).unwrap_or(none),
        }
    }

    /// The daemon that sampled it.
    pub(super) fn origin(&self, daemon: &Daemon) -> String {
        match &self.contents {
            Contents::Sampled { sampler } => {
                daemon.samplers.get(sampler).map(|sampler| sampler.producer.clone()).unwrap_or_default()
            }
            Contents::Mirror { meta, .. } => Meta::decode(meta).map(|meta| meta.producer).unwrap_or_default(),
        }
    }

    /// Its description and its values.
    pub(super) fn image(&self, daemon: &Daemon) -> (Bytes, Bytes) {
        match &self.contents {
            Contents::Sampled { sampler } => match daemon.samplers.get(sampler) {
                Some(sampler) => sampler.image(daemon.now_us),
                None => (Bytes::new(), Bytes::new()),
            },
            Contents::Mirror { meta, data, .. } => (meta.clone(), data.clone()),
        }
    }

    /// What is known of it; what this daemon says itself comes first and hides what the producer says.
    pub(super) fn all_info(&self) -> impl Iterator<Item = &(String, String)> {
        let hidden = |key: &str| self.info.own.iter().any(|(own, _)| own == key);
        self.info.own.iter().chain(self.info.remote.iter().filter(move |(key, _)| !hidden(key)))
    }
}

impl Daemon {
    /// All sets, as they are now.
    #[must_use]
    pub fn sets(&self) -> Vec<SetReport> {
        let report = |(name, set): (&String, &Set)| SetReport {
            name: name.clone(),
            schema: set.schema.clone(),
            origin: set.origin(self),
            own: matches!(set.contents, Contents::Sampled { .. }),
            sampled_us: set.sample(self).time_us,
        };
        self.sets.iter().filter(|(_, set)| set.published).map(report).collect()
    }

    /// Adds a set; the directory shows it once it is published.
    pub(super) fn insert_set(&mut self, name: &str, schema: &str, contents: Contents, info: SetInfo) {
        let id = self.next_set;
        self.next_set += 1;
        let set = Set {
            id,
            schema: schema.to_owned(),
            contents,
            info,
            published: false,
            bytes: 0,
            looked_up_by: Vec::new(),
            push_peers: Vec::new(),
        };
        self.set_names.insert(id, name.to_owned());
        self.sets.insert(name.to_owned(), set);
    }

    /// New contents of a fetched set.
    pub(super) fn mirror(&mut self, name: &str, new_meta: Option<Bytes>, new_data: Option<Bytes>) {
        let Some(set) = self.sets.get_mut(name) else { return };
        let Contents::Mirror { meta, data, .. } = &mut set.contents else { return };
        if let Some(new) = new_meta {
            *meta = new;
        }
        if let Some(new) = new_data {
            *data = new;
        }
        let bytes = (meta.len() + data.len()) as u64;
        self.count_bytes(name, bytes);
    }

    /// Shows a set in the directory, and tells those who watch it.
    pub(super) fn publish(&mut self, name: &str) {
        if let Some(set) = self.sets.get_mut(name) {
            set.published = true;
            self.announce(name, DirKind::Add);
        }
    }

    /// Says how often a set is sampled or updated here.
    pub(super) fn show_hint(&mut self, name: &str, hint: String) {
        let Some(set) = self.sets.get_mut(name) else { return };
        match set.info.own.iter_mut().find(|(key, _)| key == HINT) {
            Some((_, value)) if *value == hint => return,
            Some((_, value)) => *value = hint,
            None => set.info.own.push((HINT.to_owned(), hint)),
        }
        self.changed_sets.push(name.to_owned());
    }

    /// Tells those who watch the directory which sets have changed.
    pub(super) fn announce_changes(&mut self) {
        for name in std::mem::take(&mut self.changed_sets) {
            if self.sets.get(&name).is_some_and(|set| set.published) {
                self.announce(&name, DirKind::Update);
            }
        }
    }

    pub(super) fn announce(&mut self, name: &str, kind: DirKind) {
        let watchers: Vec<(ConnId, u64)> =
            self.conns.iter().filter_map(|(id, conn)| Some((*id, conn.peer_dir?))).collect();
        if watchers.is_empty() {
            return;
        }
        let Some(entry) = self.sets.get(name).map(|set| self.entry(name, set)) else { return };
        let json: Bytes = crate::wire::dir::render(&[entry]).into();
        for (id, xid) in watchers {
            let json = json.clone();
            self.send(id, &Message::DirReply { xid, rc: 0, changed: true, kind, more: false, json });
            self.flush(id);
        }
    }

    /// Removes a set, and tells those who have looked it up.
    pub(super) fn delete_set(&mut self, name: &str) {
        let Some(set) = self.sets.remove(name) else { return };
        self.set_bytes = self.set_bytes.saturating_sub(set.bytes);
        self.set_names.remove(&set.id);
        for id in set.looked_up_by {
            if let Some(conn) = self.conns.get_mut(&id) {
                conn.looked_up.remove(&set.id);
            }
            let xid = self.next_xid;
            self.next_xid += 1;
            self.send(id, &Message::SetDelete { xid, name: name.to_owned() });
            self.flush(id);
        }
    }

    /// Bytes that sets still may take.
    pub(super) fn memory_left(&self) -> u64 {
        self.options.set_memory.saturating_sub(self.set_bytes)
    }

    /// Counts the bytes of a set against the daemon's memory.
    pub(super) fn count_bytes(&mut self, name: &str, bytes: u64) {
        if let Some(set) = self.sets.get_mut(name) {
            self.set_bytes =
                (self.set_bytes + bytes).saturating_sub(std::mem::replace(&mut set.bytes, bytes));
        }
    }

    /// A set as the directory shows it.
    pub(super) fn entry(&self, name: &str, set: &Set) -> DirEntry {
        let (meta, _) = set.image(self);
        let sample = set.sample(self);
        let described = Meta::decode(&meta).ok();
        let number = |pick: fn(&Meta) -> u32| described.as_ref().map_or(0, |meta| u64::from(pick(meta)));
        let owner = described.as_ref().map_or(Owner { uid: 0, gid: 0, perm: 0 }, |meta| meta.owner);
        let digest = described.as_ref().map(|meta| hex(&meta.digest)).unwrap_or_default();
        let consistent = if sample.consistent { 'C' } else { ' ' };
        let local = if matches!(set.contents, Contents::Sampled { .. }) { 'L' } else { 'R' };
        let info = |(key, value): &(String, String)| Info { key: key.clone(), value: value.clone() };
        DirEntry {
            name: name.to_owned(),
            schema: set.schema.clone(),
            digest,
            flags: format!("{consistent}{local} "),
            meta_size: number(|meta| meta.meta_size),
            data_size: number(|meta| meta.data_size),
            heap_size: number(|meta| meta.heap_size),
            uid: owner.uid.into(),
            gid: owner.gid.into(),
            perm: permissions(owner.perm),
            card: number(|meta| meta.cardinality),
            array_card: number(|meta| meta.array_cardinality),
            meta_gn: described.as_ref().map_or(0, |meta| meta.generation),
            data_gn: sample.generation,
            timestamp: Timestamp::from_us(sample.time_us),
            duration: Timestamp::from_us(sample.duration_us),
            info: set.all_info().map(info).collect(),
        }
    }
}

/// `-rwxr-xr--`.
fn permissions(perm: u32) -> String {
    let bit = |shift: u32, c: char| if perm >> shift & 1 == 1 { c } else { '-' };
    let mut text = String::from("-");
    for shift in [6, 3, 0] {
        text.extend([bit(shift + 2, 'r'), bit(shift + 1, 'w'), bit(shift, 'x')]);
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
