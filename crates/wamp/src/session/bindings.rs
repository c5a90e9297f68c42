//! What the program wants registered and subscribed, and how that stands at the router.

use std::collections::{BTreeMap, HashMap};

use super::Output;
use super::requests::{Pending, Requests};
use crate::backoff::Backoff;
use crate::{Dict, Match, Message};

/// A registration or subscription that is wanted; the same in all sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BindingId(u64);

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A procedure that is served.
    Registration,
    /// A topic that is listened to.
    Subscription,
}

/// How a registration or subscription stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindingState {
    /// The router has not answered yet, or there is no session.
    Pending,
    /// In force.
    Active {
        /// The id of the registration or subscription at the router.
        id: u64,
    },
    /// The router refused or revoked it; it will be asked for again.
    Refused {
        /// The URI of the error.
        uri: String,
        /// The text for people; empty if the router gave none.
        message: String,
    },
}

#[derive(Debug)]
struct Binding {
    kind: Kind,
    uri: String,
    matching: Match,
    phase: Phase,
    /// How often in a row it was refused.
    refusals: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// To be asked for.
    Wanted,
    Requested,
    Active {
        id: u64,
    },
    Refused {
        retry_ms: u64,
    },
}

#[derive(Debug)]
pub(super) struct Bindings {
    refused_backoff: Backoff,
    last_id: u64,
    /// In the order in which they were wanted.
    wanted: BTreeMap<BindingId, Binding>,
    /// Wanted no more, while the router has still to answer.
    withdrawn: HashMap<BindingId, Binding>,
    /// By the id at the router; several subscriptions may share one.
    active: HashMap<(Kind, u64), Vec<BindingId>>,
}

impl Bindings {
    pub(super) fn new(refused_backoff: Backoff) -> Self {
        Self {
            refused_backoff,
            last_id: 0,
            wanted: BTreeMap::new(),
            withdrawn: HashMap::new(),
            active: HashMap::new(),
        }
    }

    pub(super) fn add(&mut self, kind: Kind, uri: &str, matching: Match) -> BindingId {
        self.last_id += 1;
        let id = BindingId(self.last_id);
        self.wanted
            .insert(id, Binding { kind, uri: uri.to_owned(), matching, phase: Phase::Wanted, refusals: 0 });
        id
    }

    /// Those that have this id at the router.
    pub(super) fn active(&self, kind: Kind, id: u64) -> &[BindingId] {
        self.active.get(&(kind, id)).map_or(&[], Vec::as_slice)
    }

    /// Asks for all that is wanted.
    pub(super) fn begin_session(&mut self, requests: &mut Requests, outputs: &mut Vec<Output>) {
        let all: Vec<BindingId> = self.wanted.keys().copied().collect();
        for binding in all {
            self.request(binding, requests, outputs);
        }
    }

    pub(super) fn end_session(&mut self, outputs: &mut Vec<Output>) {
        self.active.clear();
        self.withdrawn.clear();
        for (&binding, wanted) in &mut self.wanted {
            if wanted.phase != Phase::Wanted {
                wanted.phase = Phase::Wanted;
                outputs.push(Output::Binding { binding, state: BindingState::Pending });
            }
            wanted.refusals = 0;
        }
    }

    pub(super) fn request(&mut self, binding: BindingId, requests: &mut Requests, outputs: &mut Vec<Output>) {
        let Some(wanted) = self.wanted.get_mut(&binding) else { return };
        wanted.phase = Phase::Requested;
        let request = requests.add(Pending::Bind(binding));
        let mut options = Dict::new();
        if wanted.matching != Match::Exact {
            options.insert("match", wanted.matching.name());
        }
        outputs.push(Output::Send(match wanted.kind {
            Kind::Registration => {
                // Routers that do not know the option ignore it.
                options.insert("disclose_caller", true);
                Message::Register { request, options, procedure: wanted.uri.clone() }
            }
            Kind::Subscription => Message::Subscribe { request, options, topic: wanted.uri.clone() },
        }));
    }

    /// The router has accepted it. If the program wants it no more by now, it is undone.
    pub(super) fn accepted(
        &mut self,
        binding: BindingId,
        id: u64,
        requests: &mut Requests,
        outputs: &mut Vec<Output>,
    ) {
        if let Some(withdrawn) = self.withdrawn.remove(&binding) {
            self.unbind(&withdrawn, id, requests, outputs);
        }
        let Some(wanted) = self.wanted.get_mut(&binding) else { return };
        wanted.phase = Phase::Active { id };
        wanted.refusals = 0;
        self.active.entry((wanted.kind, id)).or_default().push(binding);
        outputs.push(Output::Binding { binding, state: BindingState::Active { id } });
    }

    /// The router has refused it; it is asked for again later.
    pub(super) fn refused(
        &mut self,
        binding: BindingId,
        uri: String,
        message: String,
        now_ms: u64,
        outputs: &mut Vec<Output>,
    ) {
        self.withdrawn.remove(&binding);
        let Some(wanted) = self.wanted.get_mut(&binding) else { return };
        wanted.refusals = wanted.refusals.saturating_add(1);
        let retry_ms = now_ms.saturating_add(self.refused_backoff.delay_ms(wanted.refusals, 0.0));
        wanted.phase = Phase::Refused { retry_ms };
        outputs.push(Output::Binding { binding, state: BindingState::Refused { uri, message } });
    }

    /// The router has ended it.
    pub(super) fn revoked(
        &mut self,
        kind: Kind,
        id: u64,
        reason: &str,
        now_ms: u64,
        outputs: &mut Vec<Output>,
    ) {
        for binding in self.active.remove(&(kind, id)).unwrap_or_default() {
            self.refused(binding, reason.to_owned(), "revoked by the router".to_owned(), now_ms, outputs);
        }
    }

    pub(super) fn next_retry_ms(&self) -> Option<u64> {
        self.wanted.values().filter_map(Binding::retry_ms).min()
    }

    /// Asks again for what was refused long enough ago.
    pub(super) fn retry(&mut self, now_ms: u64, requests: &mut Requests, outputs: &mut Vec<Output>) {
        let due = |wanted: &Binding| wanted.retry_ms().is_some_and(|retry_ms| retry_ms <= now_ms);
        let due: Vec<BindingId> =
            self.wanted.iter().filter(|(_, wanted)| due(wanted)).map(|(&binding, _)| binding).collect();
        for binding in due {
            self.request(binding, requests, outputs);
        }
    }

    /// It is wanted no more.
    pub(super) fn remove(&mut self, binding: BindingId, requests: &mut Requests, outputs: &mut Vec<Output>) {
        let Some(removed) = self.wanted.remove(&binding) else { return };
        match removed.phase {
            Phase::Wanted | Phase::Refused { .. } => {}
            Phase::Requested => _ = self.withdrawn.insert(binding, removed),
            Phase::Active { id } => {
                if let Some(sharing) = self.active.get_mut(&(removed.kind, id)) {
                    sharing.retain(|other| *other != binding);
                }
                self.unbind(&removed, id, requests, outputs);
            }
        }
    }

    /// Tells the router that `unwanted` is not needed, unless another subscription to the same shares its id.
    fn unbind(&mut self, unwanted: &Binding, id: u64, requests: &mut Requests, outputs: &mut Vec<Output>) {
        let shares = |other: &Binding| {
            unwanted.kind == Kind::Subscription
                && other.kind == Kind::Subscription
                && other.uri == unwanted.uri
                && other.matching == unwanted.matching
                && matches!(other.phase, Phase::Requested | Phase::Active { .. })
        };
        if self.wanted.values().any(shares) {
            return;
        }
        self.active.remove(&(unwanted.kind, id));
        let request = requests.add(Pending::Unbind);
        outputs.push(Output::Send(match unwanted.kind {
            Kind::Registration => Message::Unregister { request, registration: id },
            Kind::Subscription => Message::Unsubscribe { request, subscription: id },
        }));
    }
}

impl Binding {
    fn retry_ms(&self) -> Option<u64> {
        match self.phase {
            Phase::Refused { retry_ms } => Some(retry_ms),
            _ => None,
        }
    }
}
