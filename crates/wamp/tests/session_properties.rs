//! The client's session under any order of events: it keeps its promises, and never panics.

use std::collections::{HashMap, HashSet};

use campanile_wamp::backoff::Backoff;
use campanile_wamp::session::{
    BindingId, BindingState, CallId, CallSettings, InvocationId, Kind, Output, Session, SessionOptions,
};
use campanile_wamp::{Dict, Match, Message, Payload};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Connect,
    Disconnect,
    Leave,
    Receive(Message),
    Call { timeout_ms: Option<u64> },
    Publish,
    Cancel(prop::sample::Index),
    Bind(Kind, u8),
    Unbind(prop::sample::Index),
    Answer(prop::sample::Index),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Connect),
        1 => Just(Step::Disconnect),
        1 => Just(Step::Leave),
        4 => Just(Step::Receive(Message::Welcome { session: 1, details: Dict::new() })),
        12 => message().prop_map(Step::Receive),
        4 => prop::option::of(0_u64..50).prop_map(|timeout_ms| Step::Call { timeout_ms }),
        2 => Just(Step::Publish),
        2 => any::<prop::sample::Index>().prop_map(Step::Cancel),
        3 => (prop_oneof![Just(Kind::Registration), Just(Kind::Subscription)], 0_u8..3)
            .prop_map(|(kind, name)| Step::Bind(kind, name)),
        2 => any::<prop::sample::Index>().prop_map(Step::Unbind),
        2 => any::<prop::sample::Index>().prop_map(Step::Answer),
        3 => (0_u64..1000).prop_map(Step::Wait),
    ]
}

/// Messages of a router, with ids that may well mean something.
fn message() -> impl Strategy<Value = Message> {
    let id = 0_u64..8;
    (0..14, id.clone(), id, any::<bool>()).prop_map(|(kind, request, id, flag)| {
        let (details, payload) = (Dict::new(), Payload::empty());
        match kind {
            0 => Message::Registered { request, registration: id },
            1 => Message::Subscribed { request, subscription: id },
            2 => Message::Error { request_type: 48, request, details, error: "a.b".into(), payload },
            3 => Message::Result { request, details: Dict::new().with("progress", flag), payload },
            4 => Message::Published { request, publication: id },
            5 => Message::Event { subscription: id, publication: 1, details, payload },
            6 | 7 => Message::Invocation { request, registration: id, details, payload },
            8 => Message::Interrupt { request, options: details },
            9 => Message::Unregistered { request: 0, details: Dict::new().with("registration", id) },
            10 => Message::Unsubscribed { request: 0, details: Dict::new().with("subscription", id) },
            11 => Message::Unsubscribed { request, details },
            12 => Message::Goodbye { details, reason: "a.b".into() },
            _ => Message::Abort { details, reason: "a.b".into() },
        }
    })
}

/// What an observer knows of the session by its outputs alone.
#[derive(Default)]
struct Observer {
    /// A transport is up, and the session may send.
    connected: bool,
    said_goodbye: bool,
    calls: HashMap<CallId, usize>,
    cancelled: HashSet<CallId>,
    wanted: Vec<BindingId>,
    active: HashSet<BindingId>,
    invocations: Vec<InvocationId>,
    unanswered: HashSet<u64>,
}

impl Observer {
    fn look(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Send(message) => self.sent(&message),
                Output::Over(_) => self.connected = false,
                Output::Done { call, .. } => {
                    *self.calls.entry(call).or_default() += 1;
                    assert!(!self.cancelled.contains(&call), "a call that was given up has ended");
                }
                Output::Progress { call, .. } => {
                    assert_eq!(self.calls.get(&call), None, "a step after the end")
                }
                Output::Binding { binding, state } => {
                    assert!(self.wanted.contains(&binding), "a state of what is not wanted");
                    match state {
                        BindingState::Active { .. } => self.active.insert(binding),
                        _ => self.active.remove(&binding),
                    };
                }
                Output::Event { bindings, .. } => {
                    assert!(bindings.iter().all(|binding| self.active.contains(binding)));
                }
                Output::Invoke { binding, invocation, .. } => {
                    assert!(self.active.contains(&binding));
                    self.invocations.push(invocation);
                }
                Output::Joined { .. } | Output::Interrupted { .. } => {}
            }
        }
    }

    fn sent(&mut self, message: &Message) {
        assert!(self.connected, "{message:?} without a connection");
        assert!(!self.said_goodbye, "{message:?} after GOODBYE");
        match message {
            Message::Goodbye { .. } => self.said_goodbye = true,
            Message::Error { request, .. } | Message::Yield { request, .. } => {
                assert!(self.unanswered.remove(request), "an invocation was answered twice");
            }
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn the_session_keeps_its_promises(steps in prop::collection::vec(step(), 1..60)) {
        let backoff = Backoff { first_ms: 10, max_ms: 100 };
        let options =
            SessionOptions { realm: "r".into(), agent: None, join_timeout_ms: 100, refused_backoff: backoff, max_pending_calls: 4 };
        let mut session = Session::new(options);
        let mut observer = Observer::default();
        let mut calls: Vec<CallId> = Vec::new();
        let mut now_ms = 0;
        for step in steps {
            match step {
                Step::Connect => {
                    session.disconnected();
                    observer.look(session.take_outputs());
                    observer = Observer { connected: true, said_goodbye: false, unanswered: HashSet::new(), ..observer };
                    session.connected(now_ms);
                }
                Step::Disconnect => {
                    session.disconnected();
                    observer.look(session.take_outputs());
                    observer.connected = false;
                }
                Step::Leave => session.leave(now_ms),
                Step::Receive(message) => {
                    if let (Message::Invocation { request, .. }, true) = (&message, session.is_joined()) {
                        // A router does not use an id again before it has been answered.
                        if !observer.unanswered.insert(*request) {
                            continue;
                        }
                    }
                    session.receive(message, now_ms);
                }
                Step::Call { timeout_ms } => {
                    let settings = CallSettings { timeout_ms, progress: true };
                    calls.extend(session.call("a", Payload::empty(), settings, now_ms));
                }
                Step::Publish => calls.extend(session.publish_acknowledged("a", Payload::empty(), 20, now_ms)),
                Step::Cancel(which) if !calls.is_empty() => {
                    let call = *which.get(&calls);
                    session.cancel(call);
                    if !observer.calls.contains_key(&call) {
                        observer.cancelled.insert(call);
                    }
                }
                Step::Bind(kind, name) => {
                    observer.wanted.push(session.bind(kind, &name.to_string(), Match::Exact));
                }
                Step::Unbind(which) if !observer.wanted.is_empty() => {
                    let binding = observer.wanted.remove(which.index(observer.wanted.len()));
                    session.unbind(binding);
                    observer.active.remove(&binding);
                }
                Step::Answer(which) if !observer.invocations.is_empty() => {
                    let invocation = *which.get(&observer.invocations);
                    session.answer(invocation, Payload::empty(), false);
                }
                Step::Wait(wait_ms) => {
                    now_ms += wait_ms;
                    session.tick(now_ms);
                    prop_assert!(session.next_wake_ms().is_none_or(|wake_ms| wake_ms > now_ms), "something is overdue");
                }
                Step::Cancel(_) | Step::Unbind(_) | Step::Answer(_) => {}
            }
            observer.look(session.take_outputs());
        }
        session.disconnected();
        observer.look(session.take_outputs());
        for call in calls {
            let expected = usize::from(!observer.cancelled.contains(&call));
            prop_assert_eq!(observer.calls.get(&call).copied().unwrap_or(0), expected);
        }
        prop_assert_eq!(observer.active.len(), 0, "nothing is in force without a connection");
    }
}
