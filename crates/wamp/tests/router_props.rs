//! The router core under random scripts: whatever peers say and whenever they go, it holds what it guarantees.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

use std::collections::{BTreeMap, BTreeSet};

use campanile_wamp::message::codes;
use campanile_wamp::router::{Core, Output, PeerId, RealmConfig, Stats};
use campanile_wamp::{Dict, Match, Message, Payload, Value};
use proptest::prelude::*;

const NAMES: [&str; 5] = ["observatory.a", "observatory.a.b", "observatory.b.b", "foo.bar", "not valid"];
const PATTERNS: [(&str, &str); 9] = [
    ("exact", "observatory.a"),
    ("exact", "observatory.a.b"),
    ("exact", "foo.bar"),
    ("prefix", "observatory."),
    ("prefix", "observatory.a"),
    ("wildcard", "observatory..b"),
    ("wildcard", "observatory.a."),
    ("wildcard", "..."),
    ("regex", "observatory.a"),
];
const PEERS: usize = 5;

/// One thing that the peer with this number does. Ids are chosen small, so that they often hit what exists.
#[derive(Clone, Debug)]
enum Act {
    Connect,
    Vanish,
    Hello { canceling: bool, realm: bool },
    Goodbye,
    Subscribe(usize),
    Unsubscribe(usize),
    Publish { name: usize, exclude_me: bool, acknowledge: bool },
    Register(usize),
    Unregister(usize),
    Call { name: usize, progress: bool },
    Cancel { back: u64, mode: usize },
    Answer { nth: usize, progress: bool, error: bool },
    Odd(usize),
}

fn act() -> impl Strategy<Value = Act> {
    let name = 0..NAMES.len();
    let pattern = 0..PATTERNS.len();
    prop_oneof![
        2 => Just(Act::Connect),
        1 => Just(Act::Vanish),
        6 => (prop::bool::weighted(0.8), prop::bool::weighted(0.95)).prop_map(|(canceling, realm)| Act::Hello { canceling, realm }),
        1 => Just(Act::Goodbye),
        4 => pattern.clone().prop_map(Act::Subscribe),
        2 => (0..4usize).prop_map(Act::Unsubscribe),
        4 => (name.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(name, exclude_me, acknowledge)| Act::Publish { name, exclude_me, acknowledge }),
        4 => pattern.prop_map(Act::Register),
        1 => (0..4usize).prop_map(Act::Unregister),
        8 => (name, any::<bool>()).prop_map(|(name, progress)| Act::Call { name, progress }),
        2 => (0..3u64, 0..5usize).prop_map(|(back, mode)| Act::Cancel { back, mode }),
        6 => (0..4usize, any::<bool>(), any::<bool>())
            .prop_map(|(nth, progress, error)| Act::Answer { nth, progress, error }),
        1 => (0..3usize).prop_map(Act::Odd),
    ]
}

/// What one peer knows from its own messages.
#[derive(Default)]
struct Peer {
    joined: bool,
    closing: bool,
    next_request: u64,
    subscriptions: BTreeMap<u64, (Match, String)>,
    /// SUBSCRIBE requests without an answer.
    subscribing: BTreeMap<u64, (Match, String)>,
    registrations: BTreeSet<u64>,
    /// Calls without a final answer.
    calls: BTreeSet<u64>,
    /// INVOCATIONs that it has not answered.
    invocations: Vec<u64>,
}

struct World {
    core: Core,
    peers: BTreeMap<PeerId, Peer>,
    slots: [Option<PeerId>; PEERS],
}

impl World {
    fn new(seed: u64) -> Self {
        let core = Core::new(RealmConfig::for_ocs("test_realm", "observatory"), seed);
        Self { core, peers: BTreeMap::new(), slots: [None; PEERS] }
    }

    fn act(&mut self, slot: usize, act: &Act) {
        let Some(id) = self.slots[slot] else {
            if matches!(act, Act::Connect) {
                let id = self.core.attach();
                assert!(self.peers.insert(id, Peer::default()).is_none(), "peer ids are never given twice");
                self.slots[slot] = Some(id);
            }
            return;
        };
        if matches!(act, Act::Vanish) {
            return self.vanish(slot);
        }
        if self.peers[&id].closing {
            return;
        }
        let Some(message) = self.message(id, act) else { return };
        let expected = self.receivers(id, &message);
        let mut outputs = Vec::new();
        self.core.receive(id, message, &mut outputs);
        if let Some(expected) = expected {
            assert_eq!(events(&outputs), expected, "who gets the event");
        }
        self.take_in(outputs);
    }

    fn vanish(&mut self, slot: usize) {
        let Some(id) = self.slots[slot].take() else { return };
        self.peers.remove(&id);
        let mut outputs = Vec::new();
        self.core.detach(id, &mut outputs);
        self.take_in(outputs);
    }

    fn message(&mut self, id: PeerId, act: &Act) -> Option<Message> {
        let peer = self.peers.get_mut(&id).unwrap();
        peer.next_request += 1;
        let request = peer.next_request;
        let flag = |key: &str, on: bool| if on { Dict::new().with(key, true) } else { Dict::new() };
        let payload = Payload::text("x");
        Some(match act {
            Act::Connect | Act::Vanish => return None,
            Act::Hello { canceling, realm } => {
                let callee = Dict::new().with("features", flag("call_canceling", *canceling));
                let details = Dict::new().with("roles", Dict::new().with("callee", callee));
                Message::Hello { realm: if *realm { "test_realm" } else { "other" }.into(), details }
            }
            Act::Goodbye => {
                // What it held is over; its calls get no answer any more.
                if peer.joined {
                    let next_request = peer.next_request;
                    *peer = Peer { next_request, ..Peer::default() };
                }
                Message::Goodbye { details: Dict::new(), reason: "wamp.close.normal".into() }
            }
            Act::Subscribe(pattern) => {
                let (matching, topic) = PATTERNS[*pattern];
                if let (true, Some(known)) = (peer.joined, Match::from_name(matching)) {
                    peer.subscribing.insert(request, (known, topic.into()));
                }
                let options = Dict::new().with("match", matching);
                Message::Subscribe { request, options, topic: topic.into() }
            }
            Act::Unsubscribe(nth) => {
                let subscription = peer.subscriptions.keys().nth(*nth).copied().unwrap_or(17);
                peer.subscriptions.remove(&subscription);
                Message::Unsubscribe { request, subscription }
            }
            Act::Publish { name, exclude_me, acknowledge } => {
                let options = Dict::new().with("exclude_me", *exclude_me).with("acknowledge", *acknowledge);
                Message::Publish { request, options, topic: NAMES[*name].into(), payload }
            }
            Act::Register(pattern) => {
                let (matching, procedure) = PATTERNS[*pattern];
                let options = Dict::new().with("match", matching);
                Message::Register { request, options, procedure: procedure.into() }
            }
            Act::Unregister(nth) => {
                let registration = peer.registrations.iter().nth(*nth).copied().unwrap_or(17);
                peer.registrations.remove(&registration);
                Message::Unregister { request, registration }
            }
            Act::Call { name, progress } => {
                if peer.joined {
                    peer.calls.insert(request);
                }
                let options = flag("receive_progress", *progress);
                Message::Call { request, options, procedure: NAMES[*name].into(), payload }
            }
            Act::Cancel { back, mode } => {
                let mode = ["skip", "kill", "killnowait", "softly", ""][*mode];
                let options = if mode.is_empty() { Dict::new() } else { Dict::new().with("mode", mode) };
                Message::Cancel { request: request.saturating_sub(back + 1), options }
            }
            Act::Answer { nth, progress, error } => {
                let request = match peer.invocations.get(*nth).copied() {
                    Some(request) if *progress && !*error => request,
                    Some(_) => peer.invocations.remove(*nth),
                    None => 17,
                };
                if *error {
                    let (details, error) = (Dict::new(), "my.error".into());
                    Message::Error { request_type: codes::INVOCATION, request, details, error, payload }
                } else {
                    Message::Yield { request, options: flag("progress", *progress), payload }
                }
            }
            Act::Odd(0) => Message::Welcome { session: 1, details: Dict::new() },
            Act::Odd(1) => Message::Abort { details: Dict::new(), reason: "x".into() },
            Act::Odd(_) => Message::Interrupt { request, options: Dict::new() },
        })
    }

    /// Who must get the events of this message, by comparing with every subscription.
    fn receivers(&self, id: PeerId, message: &Message) -> Option<BTreeSet<(PeerId, u64)>> {
        let Message::Publish { topic, options, .. } = message else { return None };
        let mut receivers = BTreeSet::new();
        let allowed = topic.starts_with("observatory.") && !topic.contains(' ') && self.peers[&id].joined;
        let exclude_me = options.get("exclude_me").and_then(Value::as_bool).unwrap();
        for (&receiver, peer) in &self.peers {
            for (&subscription, (matching, pattern)) in &peer.subscriptions {
                if allowed && matching.matches(pattern, topic) && !(exclude_me && receiver == id) {
                    receivers.insert((receiver, subscription));
                }
            }
        }
        Some(receivers)
    }

    fn take_in(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Send { to, message } => self.hear(to, message),
                Output::Event { to, message } => {
                    assert!(!to.is_empty());
                    for to in to {
                        self.hear(to, message.clone());
                    }
                }
                Output::Close { to, .. } => {
                    let peer = self.peers.get_mut(&to).expect("only who is connected is closed");
                    *peer = Peer { closing: true, ..Peer::default() };
                }
            }
        }
    }

    fn hear(&mut self, to: PeerId, message: Message) {
        let peer = self.peers.get_mut(&to).unwrap_or_else(|| panic!("{message:?} to one who is gone"));
        assert!(!peer.closing, "{message:?} to one who is being closed");
        match &message {
            Message::Welcome { .. } => {
                assert!(!peer.joined);
                peer.joined = true;
            }
            Message::Abort { .. } | Message::Goodbye { .. } => assert!(!peer.joined),
            _ => assert!(peer.joined, "{message:?} to one who is not joined"),
        }
        let mut final_answer = |request: u64| {
            assert!(peer.calls.remove(&request), "a second or wrong answer: {message:?}");
        };
        match message {
            Message::Result { request, ref details, .. } if details.get("progress").is_none() => {
                final_answer(request)
            }
            Message::Error { request_type: codes::CALL, request, .. } => final_answer(request),
            Message::Result { request, .. } => assert!(peer.calls.contains(&request)),
            Message::Subscribed { request, subscription } => {
                let pattern = peer.subscribing.remove(&request).unwrap();
                peer.subscriptions.insert(subscription, pattern);
            }
            Message::Registered { registration, .. } => {
                peer.registrations.insert(registration);
            }
            Message::Invocation { request, .. } => peer.invocations.push(request),
            _ => {}
        }
    }

    /// All callees answer what they still owe.
    fn settle(&mut self) {
        for slot in 0..PEERS {
            while self.slots[slot].is_some_and(|id| !self.peers[&id].invocations.is_empty()) {
                self.act(slot, &Act::Answer { nth: 0, progress: false, error: false });
            }
        }
    }
}

fn events(outputs: &[Output]) -> BTreeSet<(PeerId, u64)> {
    let mut events = BTreeSet::new();
    for output in outputs {
        if let Output::Event { to, message: Message::Event { subscription, .. } } = output {
            for &to in to {
                assert!(events.insert((to, *subscription)), "an event twice");
            }
        }
    }
    events
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn every_call_gets_one_answer_every_event_its_receivers_and_nothing_is_left_behind(
        seed in any::<u64>(),
        script in prop::collection::vec((0..PEERS, act()), 0..120),
        order in Just((0..PEERS).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let mut world = World::new(seed);
        for slot in 0..PEERS {
            world.act(slot, &Act::Connect);
            world.act(slot, &Act::Hello { canceling: true, realm: true });
        }
        for (slot, act) in &script {
            world.act(*slot, act);
        }
        world.settle();
        prop_assert_eq!(world.core.stats().pending_calls, 0);
        for peer in world.peers.values() {
            prop_assert_eq!(&peer.calls, &BTreeSet::new(), "calls without an answer");
        }
        for slot in order {
            world.vanish(slot);
        }
        prop_assert_eq!(world.core.stats(), Stats::default());
    }
}
