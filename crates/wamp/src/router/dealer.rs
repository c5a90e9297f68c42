//! The dealer: who serves which procedure, and which calls are under way (WAMP, "Remote Procedure Calls").
//!
//! A call under way is kept twice: with its callee, by the request id of the INVOCATION, and with its caller, by the
//! request id of the CALL. Both are removed together, so nothing is left when either side goes.

use std::collections::HashMap;

use super::ids::Ids;
use super::output::{Output, PeerId};
use super::pattern::PatternIndex;
use super::sessions::{Invocation, PendingCall, Session, Sessions};
use crate::error::uris;
use crate::message::codes;
use crate::uri::{self, Match};
use crate::{CALLER_AGENT, CALLER_FROM, Dict, Message, Payload};

/// What a caller is told whose callee is gone. OCS's `ocsbow` looks for this error; the text is crossbar's.
const CALLEE_LOST: &str = "callee disconnected from in-flight request";

/// All registrations.
#[derive(Debug)]
pub(super) struct Dealer {
    by_pattern: PatternIndex<u64>,
    by_id: HashMap<u64, Registration>,
}

#[derive(Debug)]
struct Registration {
    matching: Match,
    procedure: String,
    callee: PeerId,
    /// The callee wants to know who calls.
    disclose_caller: bool,
}

/// A call on its way to its callee.
pub(super) struct Call<'a> {
    pub(super) request: u64,
    pub(super) procedure: &'a str,
    pub(super) payload: Payload,
    /// In ms, for the callee to observe.
    pub(super) timeout_ms: Option<u64>,
    pub(super) progress: bool,
    /// For whom it is made, where the caller calls for others: its address, and what it says it is.
    pub(super) on_behalf_of: [Option<String>; 2],
}

/// How a call is cancelled (WAMP, "Call Canceling").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CancelMode {
    /// The caller is answered at once, the callee is not told.
    Skip,
    /// The callee is told, and the caller gets its answer.
    Kill,
    /// The caller is answered at once, the callee is told.
    KillNoWait,
}

impl CancelMode {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::Skip, Self::Kill, Self::KillNoWait].into_iter().find(|mode| mode.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Kill => "kill",
            Self::KillNoWait => "killnowait",
        }
    }
}

impl Dealer {
    pub(super) fn new() -> Self {
        Self { by_pattern: PatternIndex::new(), by_id: HashMap::new() }
    }

    /// How many registrations there are.
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Registers a procedure and gives its id, or nothing if it is registered already.
    pub(super) fn register(
        &mut self,
        callee: PeerId,
        session: &mut Session,
        matching: Match,
        procedure: &str,
        disclose_caller: bool,
        ids: &mut Ids,
    ) -> Option<u64> {
        if self.by_pattern.get(matching, procedure).is_some() {
            return None;
        }
        let id = ids.next_free(|id| self.by_id.contains_key(&id));
        self.by_pattern.insert(matching, procedure, id);
        self.by_id
            .insert(id, Registration { matching, procedure: procedure.to_owned(), callee, disclose_caller });
        session.registrations.insert(id);
        Some(id)
    }

    /// Forgets a registration; calls of it that are under way go on.
    pub(super) fn unregister(&mut self, id: u64) {
        if let Some(ended) = self.by_id.remove(&id) {
            self.by_pattern.remove(ended.matching, &ended.procedure);
        }
    }

    /// Passes a call on to its callee.
    pub(super) fn call(
        &self,
        sessions: &mut Sessions,
        caller: PeerId,
        call: Call<'_>,
        outputs: &mut Vec<Output>,
    ) {
        let Call { request, procedure, payload, timeout_ms, progress, on_behalf_of } = call;
        let found = self.by_pattern.best_match(procedure).and_then(|(matching, &registration)| {
            let Registration { callee, disclose_caller, .. } = *self.by_id.get(&registration)?;
            Some((matching, registration, callee, disclose_caller))
        });
        let Some((matching, registration, callee, disclose_caller)) = found else {
            let text = format!("no callee registered for procedure <{procedure}>");
            outputs.push(call_error(caller, request, uris::NO_SUCH_PROCEDURE, Payload::text(text)));
            return;
        };
        let Some(session) = sessions.get_mut(callee) else { return };
        session.last_invocation += 1;
        let invocation = session.last_invocation;
        session.serving.insert(invocation, Invocation { caller, call: request, progress, cancelled: false });
        if let Some(session) = sessions.get_mut(caller) {
            session.calling.insert(PendingCall { call: request, callee, invocation });
        }

        let mut details = match sessions.get(caller) {
            Some(session) if disclose_caller => caller_details(session, on_behalf_of),
            _ => Dict::new(),
        };
        if let Some(timeout_ms) = timeout_ms {
            details.insert("timeout", timeout_ms);
        }
        if progress {
            details.insert("receive_progress", true);
        }
        if matching != Match::Exact {
            details.insert("procedure", procedure);
        }
        let message = Message::Invocation { request: invocation, registration, details, payload };
        outputs.push(Output::Send { to: callee, message });
    }

    /// Passes a result on to its caller. One for a call that is over already is dropped.
    pub(super) fn result(
        sessions: &mut Sessions,
        callee: PeerId,
        invocation: u64,
        progress: bool,
        payload: Payload,
        outputs: &mut Vec<Output>,
    ) {
        if progress {
            // A caller that did not ask for it would take a step for the whole result; one that has cancelled wants
            // no more of them.
            let served = sessions.get(callee).and_then(|session| session.serving.get(&invocation));
            if let Some(served) = served.filter(|served| served.progress && !served.cancelled) {
                let details = Dict::new().with("progress", true);
                let message = Message::Result { request: served.call, details, payload };
                outputs.push(Output::Send { to: served.caller, message });
            }
            return;
        }
        if let Some(served) = take_invocation(sessions, callee, invocation) {
            let message = Message::Result { request: served.call, details: Dict::new(), payload };
            outputs.push(Output::Send { to: served.caller, message });
        }
    }

    /// Passes an error on to the caller. One for a call that is over already is dropped.
    pub(super) fn error(
        sessions: &mut Sessions,
        callee: PeerId,
        invocation: u64,
        error: &str,
        payload: Payload,
        outputs: &mut Vec<Output>,
    ) {
        if let Some(served) = take_invocation(sessions, callee, invocation) {
            // Clients end their session over an error URI that is not valid: the callee's fault must not cost the
            // caller its connection.
            let error = if uri::is_valid(error, Match::Exact) { error } else { uris::INVALID_URI };
            outputs.push(call_error(served.caller, served.call, error, payload));
        }
    }

    /// Cancels the calls that `caller` made with this request id; without any, the answer has crossed the CANCEL.
    pub(super) fn cancel(
        sessions: &mut Sessions,
        caller: PeerId,
        request: u64,
        mode: CancelMode,
        outputs: &mut Vec<Output>,
    ) {
        let Some(session) = sessions.get(caller) else { return };
        let pending: Vec<PendingCall> = session
            .calling
            .range(PendingCall { call: request, callee: PeerId(0), invocation: 0 }..)
            .take_while(|pending| pending.call == request)
            .copied()
            .collect();
        for PendingCall { callee, invocation, .. } in pending {
            let Some(session) = sessions.get_mut(callee) else { continue };
            let takes_interrupts = session.takes_interrupts;
            let Some(served) = session.serving.get_mut(&invocation) else { continue };
            if mode != CancelMode::Skip && takes_interrupts && !served.cancelled {
                outputs.push(interrupt(callee, invocation, mode));
            }
            // A callee that is not told gives no answer to wait for.
            if mode == CancelMode::Kill && takes_interrupts {
                served.cancelled = true;
            } else if let Some(served) = take_invocation(sessions, callee, invocation) {
                outputs.push(call_error(caller, served.call, uris::CANCELED, Payload::empty()));
            }
        }
    }

    /// Ends everything that a session which is gone had to do with calls: its registrations, the calls it served, and
    /// the calls it made.
    pub(super) fn session_gone(
        &mut self,
        sessions: &mut Sessions,
        gone: &Session,
        peer: PeerId,
        outputs: &mut Vec<Output>,
    ) {
        for &id in &gone.registrations {
            self.unregister(id);
        }
        for (&invocation, served) in &gone.serving {
            let Some(caller) = sessions.get_mut(served.caller) else { continue };
            caller.calling.remove(&PendingCall { call: served.call, callee: peer, invocation });
            let payload = Payload::text(CALLEE_LOST);
            outputs.push(call_error(served.caller, served.call, uris::CANCELED, payload));
        }
        for &PendingCall { callee, invocation, .. } in &gone.calling {
            let Some(session) = sessions.get_mut(callee) else { continue };
            if let Some(served) = session.serving.remove(&invocation)
                && session.takes_interrupts
                && !served.cancelled
            {
                outputs.push(interrupt(callee, invocation, CancelMode::KillNoWait));
            }
        }
    }
}

/// Who calls (WAMP, "Caller Identification"), and from where.
fn caller_details(caller: &Session, [from, agent]: [Option<String>; 2]) -> Dict {
    let details = Dict::new()
        .with("caller", caller.id)
        .with("caller_authid", caller.authid.as_str())
        .with("caller_authrole", caller.role.name.as_str());
    let places = [
        (CALLER_FROM, from.or_else(|| caller.from.clone())),
        (CALLER_AGENT, agent.or_else(|| caller.agent.clone())),
    ];
    places.into_iter().fold(details, |details, (name, value)| match value {
        Some(value) => details.with(name, value),
        None => details,
    })
}

/// Ends a call under way, on both sides.
fn take_invocation(sessions: &mut Sessions, callee: PeerId, invocation: u64) -> Option<Invocation> {
    let served = sessions.get_mut(callee)?.serving.remove(&invocation)?;
    if let Some(caller) = sessions.get_mut(served.caller) {
        caller.calling.remove(&PendingCall { call: served.call, callee, invocation });
    }
    Some(served)
}

fn interrupt(to: PeerId, request: u64, mode: CancelMode) -> Output {
    let options = Dict::new().with("mode", mode.name());
    Output::Send { to, message: Message::Interrupt { request, options } }
}

fn call_error(to: PeerId, request: u64, error: &str, payload: Payload) -> Output {
    super::error(to, codes::CALL, request, error, payload)
}
