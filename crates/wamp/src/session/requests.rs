//! The requests of a session that wait for an answer.

use std::collections::{BTreeSet, HashMap};

use super::BindingId;

/// A call or an acknowledged publication; never used again, not even in a later session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(u64);

/// What an answer is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pending {
    Call { call: CallId, deadline_ms: Option<u64> },
    Publish { call: CallId, deadline_ms: Option<u64> },
    Bind(BindingId),
    Unbind,
}

#[derive(Debug, Default)]
pub(super) struct Requests {
    last_id: u64,
    last_call: u64,
    pending: HashMap<u64, Pending>,
    /// Where each call that waits is in `pending`.
    calls: HashMap<CallId, u64>,
    deadlines: BTreeSet<(u64, u64)>,
}

impl Requests {
    /// Request ids begin anew.
    pub(super) fn begin_session(&mut self) {
        self.last_id = 0;
    }

    /// Forgets everything; returns the calls that will never be answered, in their order.
    pub(super) fn end_session(&mut self) -> Vec<CallId> {
        self.pending.clear();
        self.deadlines.clear();
        let mut lost: Vec<CallId> = self.calls.drain().map(|(call, _)| call).collect();
        lost.sort_unstable();
        lost
    }

    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn waiting_calls(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn add_call(&mut self, deadline_ms: Option<u64>) -> (u64, CallId) {
        self.add_waiting(deadline_ms, |call| Pending::Call { call, deadline_ms })
    }

    pub(super) fn add_publish(&mut self, deadline_ms: u64) -> (u64, CallId) {
        let deadline_ms = Some(deadline_ms);
        self.add_waiting(deadline_ms, |call| Pending::Publish { call, deadline_ms })
    }

    fn add_waiting(
        &mut self,
        deadline_ms: Option<u64>,
        pending: impl FnOnce(CallId) -> Pending,
    ) -> (u64, CallId) {
        self.last_call += 1;
        let call = CallId(self.last_call);
        let request = self.add(pending(call));
        self.calls.insert(call, request);
        self.deadlines.extend(deadline_ms.map(|deadline_ms| (deadline_ms, request)));
        (request, call)
    }

    pub(super) fn add(&mut self, pending: Pending) -> u64 {
        let request = self.next_id();
        self.pending.insert(request, pending);
        request
    }

    /// The call that has this request id.
    pub(super) fn call(&self, request: u64) -> Option<CallId> {
        match self.pending.get(&request)? {
            Pending::Call { call, .. } => Some(*call),
            _ => None,
        }
    }

    /// What waits for an answer with this id.
    pub(super) fn get(&self, request: u64) -> Option<&Pending> {
        self.pending.get(&request)
    }

    /// What is answered by this id; it waits no more.
    pub(super) fn take(&mut self, request: u64) -> Option<Pending> {
        let pending = self.pending.remove(&request)?;
        if let Pending::Call { call, deadline_ms } | Pending::Publish { call, deadline_ms } = &pending {
            self.calls.remove(call);
            if let Some(deadline_ms) = deadline_ms {
                self.deadlines.remove(&(*deadline_ms, request));
            }
        }
        Some(pending)
    }

    /// Takes a call that is given up; `None` if it has ended, or is a publication, which cannot be cancelled.
    pub(super) fn take_call(&mut self, call: CallId) -> Option<u64> {
        let request = *self.calls.get(&call)?;
        match self.take(request)? {
            Pending::Call { .. } => Some(request),
            _ => None,
        }
    }

    pub(super) fn next_deadline_ms(&self) -> Option<u64> {
        self.deadlines.first().map(|(deadline_ms, _)| *deadline_ms)
    }

    /// A call whose time has come; with its request id if it can be cancelled.
    pub(super) fn take_expired(&mut self, now_ms: u64) -> Option<Expired> {
        let (deadline_ms, request) = *self.deadlines.first()?;
        if deadline_ms > now_ms {
            return None;
        }
        match self.take(request)? {
            Pending::Call { call, .. } => Some(Expired { call, cancel: Some(request) }),
            Pending::Publish { call, .. } => Some(Expired { call, cancel: None }),
            Pending::Bind(_) | Pending::Unbind => None,
        }
    }
}

/// A call that was not answered in time.
pub(super) struct Expired {
    pub(super) call: CallId,
    /// The request to cancel at the router, if that can be.
    pub(super) cancel: Option<u64>,
}
