//! The router core, told message by message what its peers say.

use campanile_wamp::error::uris;
use campanile_wamp::message::codes;
use campanile_wamp::router::{
    CloseReason, Core, LIMIT_EXCEEDED, Output, PeerId, RealmConfig, Role, SessionLimits,
};
use campanile_wamp::{Dict, Message, Payload, Value};

/// A core and what it has sent to whom.
struct Bus {
    core: Core,
    outputs: Vec<Output>,
}

impl Bus {
    fn new() -> Self {
        Self::with_limits(SessionLimits::default())
    }

    fn with_limits(limits: SessionLimits) -> Self {
        let config = RealmConfig { limits, ..RealmConfig::for_ocs("test_realm", "observatory") };
        Self { core: Core::new(config, 7), outputs: Vec::new() }
    }

    fn attach(&mut self) -> PeerId {
        self.core.attach()
    }

    fn join(&mut self) -> PeerId {
        self.join_with(hello("test_realm")).0
    }

    fn join_with(&mut self, hello: Message) -> (PeerId, u64) {
        let peer = self.attach();
        match self.tell(peer, hello).as_slice() {
            [Message::Welcome { session, .. }] => (peer, *session),
            other => panic!("no WELCOME but {other:?}"),
        }
    }

    /// Says something and takes what comes back to the speaker; what others get stays for [`Self::heard`].
    fn tell(&mut self, peer: PeerId, message: Message) -> Vec<Message> {
        self.core.receive(peer, message, &mut self.outputs);
        self.heard(peer)
    }

    /// What was sent to this peer and not looked at before.
    fn heard(&mut self, peer: PeerId) -> Vec<Message> {
        let mut heard = Vec::new();
        for output in &mut self.outputs {
            match output {
                Output::Send { to, message } if *to == peer => heard.push(message.clone()),
                Output::Event { to, message } if to.contains(&peer) => {
                    heard.push(message.clone());
                    to.retain(|receiver| *receiver != peer);
                }
                _ => {}
            }
        }
        self.outputs.retain(|output| !matches!(output, Output::Send { to, .. } if *to == peer));
        heard
    }

    fn closed(&mut self, peer: PeerId) -> Option<CloseReason> {
        let at = self
            .outputs
            .iter()
            .position(|output| matches!(output, Output::Close { to, .. } if *to == peer))?;
        match self.outputs.remove(at) {
            Output::Close { reason, .. } => Some(reason),
            _ => None,
        }
    }

    fn leave(&mut self, peer: PeerId) {
        self.core.detach(peer, &mut self.outputs);
    }

    fn subscribe(&mut self, peer: PeerId, topic: &str, matching: &str) -> u64 {
        let options = Dict::new().with("match", matching);
        match self.tell(peer, Message::Subscribe { request: 1, options, topic: topic.into() }).as_slice() {
            [Message::Subscribed { request: 1, subscription }] => *subscription,
            other => panic!("no SUBSCRIBED but {other:?}"),
        }
    }

    fn register(&mut self, peer: PeerId, procedure: &str) -> u64 {
        match self.tell(peer, register(procedure, Dict::new())).as_slice() {
            [Message::Registered { request: 1, registration }] => *registration,
            other => panic!("no REGISTERED but {other:?}"),
        }
    }

    /// The request id of the one INVOCATION that the callee got.
    fn invoked(&mut self, callee: PeerId) -> u64 {
        match self.heard(callee).as_slice() {
            [Message::Invocation { request, .. }] => *request,
            other => panic!("no INVOCATION but {other:?}"),
        }
    }

    fn pending_calls(&self) -> usize {
        self.core.stats().pending_calls
    }
}

fn hello(realm: &str) -> Message {
    let features = Dict::new().with("features", Dict::new().with("call_canceling", true));
    let roles = Dict::new().with("caller", Dict::new()).with("callee", features);
    Message::Hello { realm: realm.into(), details: Dict::new().with("roles", roles) }
}

fn register(procedure: &str, options: Dict) -> Message {
    Message::Register { request: 1, options, procedure: procedure.into() }
}

fn call(request: u64, procedure: &str) -> Message {
    call_with(request, procedure, Dict::new())
}

fn call_with(request: u64, procedure: &str, options: Dict) -> Message {
    Message::Call { request, options, procedure: procedure.into(), payload: text("argument") }
}

fn publish(topic: &str, options: Dict) -> Message {
    Message::Publish { request: 9, options, topic: topic.into(), payload: text("event") }
}

fn text(text: &str) -> Payload {
    Payload::text(text)
}

/// Type of the request, its id, and the URI of the error.
fn refusal(messages: &[Message]) -> (u64, u64, &str) {
    match messages {
        [Message::Error { request_type, request, error, .. }] => (*request_type, *request, error),
        other => panic!("no ERROR but {other:?}"),
    }
}

#[test]
fn a_wrong_realm_or_authentication_method_is_refused_with_abort() {
    let mut bus = Bus::new();
    let ticket = |methods: &[&str]| {
        let Message::Hello { realm, details } = hello("test_realm") else { unreachable!() };
        let methods: Vec<Value> = methods.iter().map(|&method| Value::from(method)).collect();
        Message::Hello { realm, details: details.with("authmethods", methods) }
    };
    for (hello, expected) in
        [(hello("nope"), uris::NO_SUCH_REALM), (ticket(&["ticket"]), uris::NO_AUTH_METHOD)]
    {
        let peer = bus.attach();
        let answer = bus.tell(peer, hello);
        assert!(matches!(&answer[..], [Message::Abort { reason, .. }] if reason == expected), "{answer:?}");
        assert_eq!(bus.closed(peer), Some(CloseReason::SessionEnded));
    }
    bus.join_with(ticket(&["ticket", "anonymous"]));
    bus.join_with(ticket(&[]));
}

#[test]
fn what_breaks_the_protocol_costs_the_connection() {
    let mut bus = Bus::new();
    let violates = |bus: &mut Bus, peer, message: Message| {
        assert_eq!(bus.tell(peer, message.clone()), [], "{message:?}");
        assert!(matches!(bus.closed(peer), Some(CloseReason::ProtocolViolation(_))), "{message:?}");
    };
    let no_roles = Message::Hello { realm: "test_realm".into(), details: Dict::new() };
    for early in [no_roles, call(1, "observatory.a"), Message::Welcome { session: 1, details: Dict::new() }] {
        let peer = bus.attach();
        violates(&mut bus, peer, early);
    }
    let bad = |key: &str, value: Value| Dict::new().with(key, value);
    for message in [
        hello("test_realm"),
        Message::Published { request: 1, publication: 1 },
        register("observatory.a", bad("match", "regex".into())),
        call_with(1, "observatory.a", bad("timeout", (-1).into())),
        publish("observatory.a", bad("exclude", 5.into())),
        Message::Cancel { request: 1, options: bad("mode", "softly".into()) },
    ] {
        let peer = bus.join();
        violates(&mut bus, peer, message);
        assert!(!bus.core.is_joined(peer));
    }
}

#[test]
fn subscribers_of_one_topic_share_the_subscription_and_the_publisher_is_left_out() {
    let mut bus = Bus::new();
    let (a, b) = (bus.join(), bus.join());
    let id = bus.subscribe(a, "observatory.t", "exact");
    assert_eq!(bus.subscribe(b, "observatory.t", "exact"), id);
    assert_eq!(bus.subscribe(a, "observatory.t", "exact"), id, "again");

    assert_eq!(bus.tell(a, publish("observatory.t", Dict::new())), []);
    let heard = bus.heard(b);
    assert!(
        matches!(&heard[..], [Message::Event { subscription, details, .. }] if *subscription == id && details.is_empty())
    );

    let both = Dict::new().with("exclude_me", false).with("acknowledge", true);
    let heard = bus.tell(a, publish("observatory.t", both));
    assert!(
        matches!(&heard[..], [Message::Published { request: 9, publication: one }, Message::Event { publication: two, .. }] if one == two)
    );
}

#[test]
fn an_event_of_a_pattern_tells_its_topic() {
    let mut bus = Bus::new();
    let (a, b) = (bus.join(), bus.join());
    let wildcard = bus.subscribe(a, "observatory..feeds.heartbeat", "wildcard");
    let prefix = bus.subscribe(a, "observatory.fa", "prefix");
    let topic = "observatory.faker1.feeds.heartbeat";
    bus.tell(b, publish(topic, Dict::new()));
    let heard = bus.heard(a);
    let ids: Vec<u64> = heard
        .iter()
        .map(|message| match message {
            Message::Event { subscription, details, payload, .. } => {
                assert_eq!(details.get("topic"), Some(&Value::from(topic)));
                assert_eq!(*payload, text("event"));
                *subscription
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids, [prefix, wildcard]);
}

#[test]
fn a_publisher_can_name_who_gets_the_event_and_who_does_not() {
    let mut bus = Bus::new();
    let publisher = bus.join();
    let (peer, id) = bus.join_with(hello("test_realm"));
    bus.subscribe(peer, "observatory.t", "exact");
    let list = |value: Value| Value::List(vec![value]);
    for (options, arrives) in [
        (Dict::new().with("exclude", list(id.into())), false),
        (Dict::new().with("exclude", list(1.into())), true),
        (Dict::new().with("eligible", list(id.into())), true),
        (Dict::new().with("eligible", Value::List(Vec::new())), false),
        (Dict::new().with("eligible_authrole", list("iocs_agent".into())), true),
        (Dict::new().with("eligible_authrole", list("other".into())), false),
        (Dict::new().with("exclude_authrole", list("iocs_agent".into())), false),
        (Dict::new().with("eligible_authid", list("nobody".into())), false),
    ] {
        bus.tell(publisher, publish("observatory.t", options.clone()));
        assert_eq!(bus.heard(peer).len(), usize::from(arrives), "{options:?}");
    }
}

#[test]
fn only_an_acknowledged_publisher_is_told_that_it_may_not() {
    let mut bus = Bus::new();
    let peer = bus.join();
    assert_eq!(bus.tell(peer, publish("foo.x", Dict::new())), []);
    let answer = bus.tell(peer, publish("foo.x", Dict::new().with("acknowledge", true)));
    assert_eq!(refusal(&answer), (codes::PUBLISH, 9, uris::NOT_AUTHORIZED));
    assert_eq!(bus.closed(peer), None);
}

#[test]
fn names_outside_the_address_root_and_invalid_ones_are_refused_with_an_error() {
    let mut bus = Bus::new();
    let peer = bus.join();
    for (name, error) in [
        ("foo.bar", uris::NOT_AUTHORIZED),
        ("observatory", uris::NOT_AUTHORIZED),
        ("observatory.a b", uris::INVALID_URI),
        ("observatory..a", uris::INVALID_URI),
        ("", uris::INVALID_URI),
    ] {
        let subscribe = Message::Subscribe { request: 4, options: Dict::new(), topic: name.into() };
        assert_eq!(refusal(&bus.tell(peer, subscribe)), (codes::SUBSCRIBE, 4, error), "{name}");
        let answer = bus.tell(peer, register(name, Dict::new()));
        assert_eq!(refusal(&answer), (codes::REGISTER, 1, error), "{name}");
        assert_eq!(refusal(&bus.tell(peer, call(5, name))), (codes::CALL, 5, error), "{name}");
    }
    assert_eq!(bus.closed(peer), None);
}

#[test]
fn the_bridge_may_call_but_not_register() {
    let mut bus = Bus::new();
    let bridge = bus.core.attach_joined(Role::iocs_controller("observatory"), 10);
    let answer = bus.tell(bridge, register("observatory.a", Dict::new()));
    assert_eq!(refusal(&answer).2, uris::NOT_AUTHORIZED);
    assert_eq!(refusal(&bus.tell(bridge, call(1, "observatory.a"))).2, uris::NO_SUCH_PROCEDURE);
}

#[test]
fn a_procedure_has_one_callee_until_it_is_unregistered() {
    let mut bus = Bus::new();
    let (a, b) = (bus.join(), bus.join());
    let id = bus.register(a, "observatory.a");
    for peer in [a, b] {
        let answer = bus.tell(peer, register("observatory.a", Dict::new()));
        assert_eq!(refusal(&answer).2, uris::PROCEDURE_ALREADY_EXISTS);
    }
    let unregister = Message::Unregister { request: 3, registration: id };
    assert_eq!(refusal(&bus.tell(b, unregister.clone())).2, uris::NO_SUCH_REGISTRATION);
    assert!(matches!(bus.tell(a, unregister.clone())[..], [Message::Unregistered { request: 3, .. }]));
    assert_eq!(refusal(&bus.tell(a, unregister)).2, uris::NO_SUCH_REGISTRATION);
    bus.register(b, "observatory.a");
}

#[test]
fn a_call_is_passed_on_with_its_timeout_and_answered() {
    let mut bus = Bus::new();
    let (callee, caller) = (bus.join(), bus.join());
    let registration = bus.register(callee, "observatory.a");
    let options = Dict::new().with("timeout", 500).with("receive_progress", true).with("unknown", "x");
    bus.tell(caller, call_with(42, "observatory.a", options));
    let heard = bus.heard(callee);
    let [Message::Invocation { request, registration: of, details, payload }] = &heard[..] else {
        panic!("{heard:?}")
    };
    assert_eq!((*of, payload), (registration, &text("argument")));
    assert_eq!(*details, Dict::new().with("timeout", 500).with("receive_progress", true));

    let request = *request;
    let progress = |on: bool| if on { Dict::new().with("progress", true) } else { Dict::new() };
    for (on, said) in [(true, "1"), (true, "2"), (false, "3")] {
        bus.tell(callee, Message::Yield { request, options: progress(on), payload: text(said) });
        let expected = Message::Result { request: 42, details: progress(on), payload: text(said) };
        assert_eq!(bus.heard(caller), [expected]);
    }
    // It is over now.
    bus.tell(callee, Message::Yield { request, options: Dict::new(), payload: text("late") });
    assert_eq!((bus.heard(caller), bus.pending_calls()), (vec![], 0));
}

#[test]
fn progress_that_nobody_asked_for_is_dropped() {
    let mut bus = Bus::new();
    let (callee, caller) = (bus.join(), bus.join());
    bus.register(callee, "observatory.a");
    bus.tell(caller, call(1, "observatory.a"));
    let request = bus.invoked(callee);
    bus.tell(
        callee,
        Message::Yield { request, options: Dict::new().with("progress", true), payload: text("1") },
    );
    assert_eq!(bus.heard(caller), []);
    bus.tell(callee, Message::Yield { request, options: Dict::new(), payload: text("2") });
    assert_eq!(bus.heard(caller).len(), 1);
}

#[test]
fn an_error_of_the_callee_reaches_the_caller_with_a_valid_uri() {
    let mut bus = Bus::new();
    let (callee, caller) = (bus.join(), bus.join());
    bus.register(callee, "observatory.a");
    for (said, heard) in [("my.error", "my.error"), ("not a uri", uris::INVALID_URI)] {
        bus.tell(caller, call(1, "observatory.a"));
        let request = bus.invoked(callee);
        let error = said.to_owned();
        let details = Dict::new();
        let message =
            Message::Error { request_type: codes::INVOCATION, request, details, error, payload: text("why") };
        bus.tell(callee, message);
        assert_eq!(refusal(&bus.heard(caller)), (codes::CALL, 1, heard));
    }
}

#[test]
fn a_lost_callee_is_told_to_its_callers_and_its_names_are_free_at_once() {
    let mut bus = Bus::new();
    let (callee, caller) = (bus.join(), bus.join());
    bus.register(callee, "observatory.a");
    bus.tell(caller, call(1, "observatory.a"));
    bus.tell(caller, call(1, "observatory.a")); // request ids may repeat
    bus.leave(callee);
    let heard = bus.heard(caller);
    assert_eq!(heard.len(), 2);
    for message in heard {
        let Message::Error { request: 1, error, payload, .. } = message else { panic!("{message:?}") };
        assert_eq!(
            (error.as_str(), payload),
            (uris::CANCELED, text("callee disconnected from in-flight request"))
        );
    }
    assert_eq!(refusal(&bus.tell(caller, call(2, "observatory.a"))).2, uris::NO_SUCH_PROCEDURE);
    bus.register(caller, "observatory.a");
}

#[test]
fn a_callee_that_says_goodbye_is_lost_as_well() {
    let mut bus = Bus::new();
    let (callee, caller) = (bus.join(), bus.join());
    bus.register(callee, "observatory.a");
    bus.tell(caller, call(1, "observatory.a"));
    bus.invoked(callee);
    let goodbye = Message::Goodbye { details: Dict::new(), reason: uris::CLOSE_NORMAL.into() };
    assert_eq!(bus.tell(callee, goodbye.clone()), [goodbye]);
    assert_eq!(refusal(&bus.heard(caller)).2, uris::CANCELED);
    // The connection stays and may join again.
    assert!(matches!(bus.tell(callee, hello("test_realm"))[..], [Message::Welcome { .. }]));
}

#[test]
fn a_lost_caller_interrupts_its_callee_and_leaves_nothing_behind() {
    let mut bus = Bus::new();
    let (callee, caller) = (bus.join(), bus.join());
    bus.register(callee, "observatory.a");
    bus.tell(caller, call(1, "observatory.a"));
    let request = bus.invoked(callee);
    bus.leave(caller);
    let options = Dict::new().with("mode", "killnowait");
    assert_eq!(bus.heard(callee), [Message::Interrupt { request, options }]);
    assert_eq!(bus.pending_calls(), 0);
    assert_eq!(bus.tell(callee, Message::Yield { request, options: Dict::new(), payload: text("late") }), []);
}

#[test]
fn a_cancelled_call_is_answered_in_the_way_of_its_mode() {
    for (mode, interrupted, at_once) in [
        (Some("skip"), false, true),
        (Some("kill"), true, false),
        (Some("killnowait"), true, true),
        (None, true, true),
    ] {
        let mut bus = Bus::new();
        let (callee, caller) = (bus.join(), bus.join());
        bus.register(callee, "observatory.a");
        bus.tell(caller, call(1, "observatory.a"));
        let request = bus.invoked(callee);
        let options = mode.map_or_else(Dict::new, |mode| Dict::new().with("mode", mode));
        let answer = bus.tell(caller, Message::Cancel { request: 1, options });
        assert_eq!(answer.len(), usize::from(at_once), "{mode:?}");
        assert_eq!(bus.heard(callee).len(), usize::from(interrupted), "{mode:?}");
        let stopped = Message::Error {
            request_type: codes::INVOCATION,
            request,
            details: Dict::new(),
            error: uris::CANCELED.into(),
            payload: text("stopped"),
        };
        bus.tell(callee, stopped);
        let later = bus.heard(caller);
        assert_eq!(later.len(), usize::from(!at_once), "{mode:?}");
        let last = answer.into_iter().chain(later).collect::<Vec<_>>();
        assert_eq!(refusal(&last), (codes::CALL, 1, uris::CANCELED));
        assert_eq!(bus.pending_calls(), 0);
    }
}

#[test]
fn a_callee_that_knows_no_interrupt_is_not_waited_for() {
    let mut bus = Bus::new();
    let roles = Dict::new().with("callee", Dict::new());
    let details = Dict::new().with("roles", roles);
    let (callee, _) = bus.join_with(Message::Hello { realm: "test_realm".into(), details });
    let caller = bus.join();
    bus.register(callee, "observatory.a");
    bus.tell(caller, call(1, "observatory.a"));
    bus.invoked(callee);
    let kill = Message::Cancel { request: 1, options: Dict::new().with("mode", "kill") };
    assert_eq!(refusal(&bus.tell(caller, kill)).2, uris::CANCELED);
    assert_eq!(bus.heard(callee), []);
}

#[test]
fn limits_are_told_with_an_error_and_cost_nothing_else() {
    let limits = SessionLimits { max_sessions: 2, max_subscriptions: 1, max_registrations: 1, max_calls: 1 };
    let mut bus = Bus::with_limits(limits);
    let (a, b) = (bus.join(), bus.join());
    let third = bus.attach();
    let answer = bus.tell(third, hello("test_realm"));
    assert!(matches!(&answer[..], [Message::Abort { reason, .. }] if reason == LIMIT_EXCEEDED));

    bus.subscribe(a, "observatory.t", "exact");
    let more = Message::Subscribe { request: 2, options: Dict::new(), topic: "observatory.u".into() };
    assert_eq!(refusal(&bus.tell(a, more)), (codes::SUBSCRIBE, 2, LIMIT_EXCEEDED));
    bus.register(a, "observatory.a");
    assert_eq!(refusal(&bus.tell(a, register("observatory.b", Dict::new()))).2, LIMIT_EXCEEDED);
    assert_eq!(bus.tell(b, call(1, "observatory.a")), []);
    assert_eq!(refusal(&bus.tell(b, call(2, "observatory.a"))), (codes::CALL, 2, LIMIT_EXCEEDED));
    let request = bus.invoked(a);
    bus.tell(a, Message::Yield { request, options: Dict::new(), payload: text("done") });
    assert!(matches!(bus.heard(b)[..], [Message::Result { request: 1, .. }]));
}

#[test]
fn a_shutdown_says_goodbye_to_all_and_closes_who_answers() {
    let mut bus = Bus::new();
    let (a, b) = (bus.join(), bus.join());
    bus.core.say_goodbye(&mut bus.outputs);
    for peer in [a, b] {
        let heard = bus.heard(peer);
        assert!(matches!(&heard[..], [Message::Goodbye { reason, .. }] if reason == uris::SYSTEM_SHUTDOWN));
    }
    assert_eq!(bus.tell(a, call(1, "observatory.a")), [], "no more requests");
    let answer = Message::Goodbye { details: Dict::new(), reason: uris::GOODBYE_AND_OUT.into() };
    assert_eq!(bus.tell(a, answer), []);
    assert_eq!(bus.closed(a), Some(CloseReason::SessionEnded));
    assert!(!bus.core.is_joined(a) && bus.core.is_joined(b));
}
