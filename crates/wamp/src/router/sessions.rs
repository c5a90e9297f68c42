//! The sessions that are joined, and what each of them holds.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::auth::Role;
use super::output::PeerId;
use crate::{Dict, Value};

/// So much of what a client says it is goes on to callees, in bytes.
const MAX_AGENT_BYTES: usize = 120;

/// What a client calls itself, fit to be shown.
pub(super) fn shown(agent: &str) -> String {
    let printable: String = agent.chars().filter(|c| !c.is_control()).collect();
    printable[..printable.floor_char_boundary(MAX_AGENT_BYTES)].to_owned()
}

/// One joined session.
#[derive(Debug)]
pub(super) struct Session {
    /// The id that WELCOME told.
    pub(super) id: u64,
    pub(super) authid: String,
    pub(super) role: Arc<Role>,
    /// What its client says it is, and where its connection comes from.
    pub(super) agent: Option<String>,
    pub(super) from: Option<String>,
    /// It is a part of this program, and says with each call for whom it makes it.
    pub(super) calls_for_others: bool,
    /// As a callee it understands INTERRUPT.
    pub(super) takes_interrupts: bool,
    /// We have said GOODBYE and wait for the answer.
    pub(super) leaving: bool,
    /// Ids of subscriptions.
    pub(super) subscriptions: BTreeSet<u64>,
    /// Ids of registrations.
    pub(super) registrations: BTreeSet<u64>,
    /// The request id of the last INVOCATION sent to this session.
    pub(super) last_invocation: u64,
    /// Invocations that this session has not answered yet, by their request id.
    pub(super) serving: BTreeMap<u64, Invocation>,
    /// Calls of this session that are not answered yet. Request ids are the caller's own and may repeat.
    pub(super) calling: BTreeSet<PendingCall>,
    /// How many of them there may be.
    pub(super) max_calls: usize,
}

/// A call as its callee holds it.
#[derive(Clone, Debug)]
pub(super) struct Invocation {
    pub(super) caller: PeerId,
    /// The request id of the CALL.
    pub(super) call: u64,
    /// The caller wants progressive results.
    pub(super) progress: bool,
    /// The caller has cancelled it and waits for the last word of the callee.
    pub(super) cancelled: bool,
}

/// A call as its caller holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PendingCall {
    /// The request id of the CALL; first, so that calls are found by it.
    pub(super) call: u64,
    pub(super) callee: PeerId,
    /// The request id of the INVOCATION.
    pub(super) invocation: u64,
}

impl Session {
    pub(super) fn new(id: u64, role: Arc<Role>, details: &Dict, max_calls: usize) -> Self {
        let feature = |role: &str, feature: &str| {
            let features = details.get("roles")?.get(role)?.get("features")?;
            features.get(feature)?.as_bool()
        };
        Self {
            id,
            authid: format!("anonymous-{id:x}"),
            role,
            agent: details.get("agent").and_then(Value::as_str).map(shown),
            from: None,
            calls_for_others: false,
            takes_interrupts: feature("callee", "call_canceling").unwrap_or(false),
            leaving: false,
            subscriptions: BTreeSet::new(),
            registrations: BTreeSet::new(),
            last_invocation: 0,
            serving: BTreeMap::new(),
            calling: BTreeSet::new(),
            max_calls,
        }
    }
}

/// All joined sessions.
#[derive(Debug, Default)]
pub(super) struct Sessions(HashMap<PeerId, Session>);

impl Sessions {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, peer: PeerId) -> Option<&Session> {
        self.0.get(&peer)
    }

    pub(super) fn get_mut(&mut self, peer: PeerId) -> Option<&mut Session> {
        self.0.get_mut(&peer)
    }

    pub(super) fn insert(&mut self, peer: PeerId, session: Session) {
        self.0.insert(peer, session);
    }

    pub(super) fn remove(&mut self, peer: PeerId) -> Option<Session> {
        self.0.remove(&peer)
    }

    pub(super) fn has_id(&self, id: u64) -> bool {
        self.0.values().any(|session| session.id == id)
    }

    /// In no particular order.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (PeerId, &mut Session)> {
        self.0.iter_mut().map(|(&peer, session)| (peer, session))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Session> {
        self.0.values()
    }
}
