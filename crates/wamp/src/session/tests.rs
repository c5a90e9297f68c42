use super::*;
use crate::backoff::Backoff;
use crate::{Value, WampError};

const OPTIONS: SessionOptions = SessionOptions {
    agent: None,
    realm: String::new(),
    join_timeout_ms: 10_000,
    refused_backoff: Backoff { first_ms: 500, max_ms: 10_000 },
    max_pending_calls: 3,
};

fn sent(session: &mut Session) -> Vec<Message> {
    let outputs = session.take_outputs().into_iter();
    outputs
        .filter_map(|output| if let Output::Send(message) = output { Some(message) } else { None })
        .collect()
}

fn joined() -> Session {
    let mut session = Session::new(OPTIONS);
    join(&mut session);
    session.take_outputs();
    session
}

fn join(session: &mut Session) {
    session.connected(0);
    session.receive(Message::Welcome { session: 7, details: Dict::new() }, 0);
    assert!(session.is_joined());
}

fn one(value: impl Into<Value>) -> Payload {
    Payload::new(vec![value.into()], Dict::new())
}

fn over(session: &mut Session) -> Option<Over> {
    let outputs = session.take_outputs().into_iter();
    outputs.filter_map(|output| if let Output::Over(over) = output { Some(over) } else { None }).next()
}

fn done(session: &mut Session) -> Vec<(CallId, Outcome)> {
    let outputs = session.take_outputs().into_iter();
    outputs
        .filter_map(
            |output| if let Output::Done { call, outcome } = output { Some((call, outcome)) } else { None },
        )
        .collect()
}

fn states(session: &mut Session) -> Vec<(BindingId, BindingState)> {
    let outputs = session.take_outputs().into_iter();
    outputs
        .filter_map(|output| {
            if let Output::Binding { binding, state } = output { Some((binding, state)) } else { None }
        })
        .collect()
}

fn error(request_type: u64, request: u64, uri: &str) -> Message {
    let payload = WampError::new(uri, "text").into();
    Message::Error { request_type, request, details: Dict::new(), error: uri.into(), payload }
}

#[test]
fn hello_offers_anonymous_and_the_features_that_are_there() {
    let mut session = Session::new(SessionOptions { realm: "r".into(), ..OPTIONS });
    session.connected(0);
    let [Message::Hello { realm, details }] = &sent(&mut session)[..] else { panic!("no HELLO") };
    assert_eq!(realm, "r");
    assert_eq!(details.get("authmethods"), Some(&Value::List(vec!["anonymous".into()])));
    let features = details.get("roles").unwrap().get("callee").unwrap().get("features").unwrap();
    assert_eq!(features.get("call_canceling"), Some(&Value::Bool(true)));
}

#[test]
fn the_router_may_refuse_the_session_in_several_ways() {
    let refusals = [
        (
            Message::Abort { details: Dict::new().with("message", "no"), reason: uris::NO_SUCH_REALM.into() },
            Over::Refused { uri: uris::NO_SUCH_REALM.into(), message: "no".into() },
        ),
        (
            Message::Challenge { method: "ticket".into(), extra: Dict::new() },
            Over::Challenged { method: "ticket".into() },
        ),
        (Message::Goodbye { details: Dict::new(), reason: "x".into() }, Over::Closed { uri: "x".into() }),
        (
            Message::Published { request: 1, publication: 1 },
            Over::Violation("PUBLISHED before WELCOME".into()),
        ),
    ];
    for (message, expected) in refusals {
        let mut session = Session::new(OPTIONS);
        session.connected(0);
        session.receive(message, 1);
        assert_eq!(over(&mut session), Some(expected));
        assert!(!session.is_joined() && session.next_wake_ms().is_none());
    }
}

#[test]
fn a_router_that_never_answers_hello_is_left() {
    let mut session = Session::new(OPTIONS);
    session.connected(5);
    assert_eq!(session.next_wake_ms(), Some(10_005));
    session.tick(10_004);
    assert_eq!(over(&mut session), None);
    session.tick(10_005);
    assert_eq!(over(&mut session), Some(Over::JoinTimedOut));
}

#[test]
fn request_ids_count_from_one_in_each_session() {
    let mut session = joined();
    for _ in 0..2 {
        session.publish("a", Payload::empty()).unwrap();
        session.call("a", Payload::empty(), CallSettings::default(), 0).unwrap();
        let ids: Vec<u64> = sent(&mut session)
            .iter()
            .map(|message| match message {
                Message::Publish { request, .. } | Message::Call { request, .. } => *request,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(ids, [1, 2]);
        join(&mut session);
        session.take_outputs();
    }
}

#[test]
fn a_call_ends_with_its_result_its_error_its_time_or_its_session() {
    let mut session = joined();
    let settings = CallSettings { timeout_ms: Some(100), progress: false };
    let mut call = |now_ms| {
        let call = session.call("a", Payload::empty(), settings, now_ms).unwrap();
        session.take_outputs();
        call
    };
    let (first, second, third) = (call(0), call(1), call(2));
    session.receive(Message::Result { request: 1, details: Dict::new(), payload: one(5) }, 3);
    assert_eq!(done(&mut session), [(first, Outcome::Result(one(5)))]);
    session.receive(error(codes::CALL, 2, "a.b"), 3);
    assert_eq!(done(&mut session), [(second, Outcome::Error { uri: "a.b".into(), payload: one("text") })]);
    assert_eq!(session.next_wake_ms(), Some(102));
    session.tick(102);
    let outputs = session.take_outputs();
    let options = Dict::new().with("mode", "killnowait");
    assert_eq!(outputs[0], Output::Send(Message::Cancel { request: 3, options }));
    assert_eq!(outputs[1], Output::Done { call: third, outcome: Outcome::TimedOut });
    session.receive(error(codes::CALL, 3, uris::CANCELED), 103);
    assert_eq!(session.take_outputs(), [], "the late answer finds nobody");
    let fourth = session.call("a", Payload::empty(), settings, 104).unwrap();
    session.take_outputs();
    session.disconnected();
    assert_eq!(done(&mut session), [(fourth, Outcome::Lost)]);
    assert_eq!(session.call("a", Payload::empty(), settings, 105), Err(NotSent::NotJoined));
    assert_eq!(session.publish("a", Payload::empty()), Err(NotSent::NotJoined));
}

#[test]
fn a_call_that_is_given_up_is_cancelled_once_and_never_heard_of_again() {
    let mut session = joined();
    let call = session.call("a", Payload::empty(), CallSettings::default(), 0).unwrap();
    session.take_outputs();
    session.cancel(call);
    assert!(matches!(sent(&mut session)[..], [Message::Cancel { request: 1, .. }]));
    session.cancel(call);
    session.receive(Message::Result { request: 1, details: Dict::new(), payload: one(5) }, 1);
    assert_eq!(session.take_outputs(), []);
}

#[test]
fn only_so_many_calls_may_wait() {
    let mut session = joined();
    for _ in 0..3 {
        session.call("a", Payload::empty(), CallSettings::default(), 0).unwrap();
    }
    let refused = session.call("a", Payload::empty(), CallSettings::default(), 0);
    assert_eq!(refused, Err(NotSent::TooManyCalls));
    assert_eq!(session.publish_acknowledged("a", Payload::empty(), 1, 0), Err(NotSent::TooManyCalls));
    assert!(session.publish("a", Payload::empty()).is_ok(), "nothing waits for this one");
    session.receive(error(codes::CALL, 1, "a"), 0);
    assert!(session.call("a", Payload::empty(), CallSettings::default(), 0).is_ok());
}

#[test]
fn progressive_results_come_before_the_last_one() {
    let mut session = joined();
    let settings = CallSettings { timeout_ms: None, progress: true };
    let call = session.call("a", Payload::empty(), settings, 0).unwrap();
    let [Message::Call { options, .. }] = &sent(&mut session)[..] else { panic!("no CALL") };
    assert_eq!(options.get("receive_progress"), Some(&Value::Bool(true)));
    let details = Dict::new().with("progress", true);
    session.receive(Message::Result { request: 1, details, payload: one(1) }, 1);
    session.receive(Message::Result { request: 1, details: Dict::new(), payload: one(2) }, 2);
    let step = Output::Progress { call, payload: one(1) };
    assert_eq!(session.take_outputs(), [step, Output::Done { call, outcome: Outcome::Result(one(2)) }]);
}

#[test]
fn an_acknowledged_publication_ends_with_its_id_its_error_or_its_time() {
    let mut session = joined();
    let mut publish = || session.publish_acknowledged("a", one(1), 50, 0).unwrap();
    let (first, second, third) = (publish(), publish(), publish());
    session.take_outputs();
    session.receive(Message::Published { request: 1, publication: 99 }, 0);
    session.receive(error(codes::PUBLISH, 2, uris::NOT_AUTHORIZED), 0);
    session.tick(50);
    let outputs = session.take_outputs();
    assert!(
        !outputs.iter().any(|output| matches!(output, Output::Send(_))),
        "a publication cannot be cancelled"
    );
    let outcomes: Vec<_> =
        outputs
            .into_iter()
            .map(|output| {
                if let Output::Done { call, outcome } = output {
                    (call, outcome)
                } else {
                    panic!("{output:?}")
                }
            })
            .collect();
    assert_eq!(outcomes[0], (first, Outcome::Published(99)));
    assert!(
        matches!(&outcomes[1], (call, Outcome::Error { uri, .. }) if *call == second && uri == uris::NOT_AUTHORIZED)
    );
    assert_eq!(outcomes[2], (third, Outcome::TimedOut));
}

#[test]
fn what_is_wanted_is_asked_for_in_every_session_in_the_same_order() {
    let mut session = Session::new(OPTIONS);
    let ops = session.bind(Kind::Registration, "a.ops", Match::Exact);
    let topic = session.bind(Kind::Subscription, "a..heartbeat", Match::Wildcard);
    assert_eq!(session.take_outputs(), []);
    for id in [100, 200] {
        join(&mut session);
        let asked = &sent(&mut session)[1..];
        let options = Dict::new().with("match", "wildcard");
        assert_eq!(
            asked,
            [
                Message::Register {
                    request: 1,
                    options: Dict::new().with("disclose_caller", true),
                    procedure: "a.ops".into()
                },
                Message::Subscribe { request: 2, options, topic: "a..heartbeat".into() },
            ]
        );
        session.receive(Message::Registered { request: 1, registration: id }, 0);
        session.receive(Message::Subscribed { request: 2, subscription: id + 1 }, 0);
        assert_eq!(
            states(&mut session),
            [(ops, BindingState::Active { id }), (topic, BindingState::Active { id: id + 1 })]
        );
        session.disconnected();
        assert_eq!(states(&mut session), [(ops, BindingState::Pending), (topic, BindingState::Pending)]);
    }
}

#[test]
fn a_refused_registration_is_asked_for_again_after_growing_waits() {
    let mut session = joined();
    let ops = session.bind(Kind::Registration, "a.ops", Match::Exact);
    let mut now_ms = 0;
    for (round, wait_ms) in [500, 1000, 2000].into_iter().enumerate() {
        assert!(matches!(sent(&mut session)[..], [Message::Register { .. }]), "round {round}");
        session.receive(error(codes::REGISTER, round as u64 + 1, uris::PROCEDURE_ALREADY_EXISTS), now_ms);
        let refused =
            BindingState::Refused { uri: uris::PROCEDURE_ALREADY_EXISTS.into(), message: "text".into() };
        assert_eq!(states(&mut session), [(ops, refused)]);
        assert_eq!(session.next_wake_ms(), Some(now_ms + wait_ms));
        now_ms += wait_ms;
        session.tick(now_ms - 1);
        assert_eq!(session.take_outputs(), []);
        session.tick(now_ms);
    }
    session.receive(Message::Registered { request: 4, registration: 5 }, now_ms);
    assert_eq!(states(&mut session), [(ops, BindingState::Active { id: 5 })]);
    assert_eq!(session.next_wake_ms(), None);
}

#[test]
fn what_the_router_revokes_is_asked_for_again() {
    let mut session = joined();
    let ops = session.bind(Kind::Registration, "a", Match::Exact);
    session.receive(Message::Registered { request: 1, registration: 5 }, 0);
    session.take_outputs();
    let details = Dict::new().with("registration", 5).with("reason", "wamp.x");
    session.receive(Message::Unregistered { request: 0, details }, 0);
    assert!(
        matches!(&states(&mut session)[..], [(id, BindingState::Refused { uri, .. })] if *id == ops && uri == "wamp.x")
    );
    session.tick(500);
    assert!(matches!(sent(&mut session)[..], [Message::Register { .. }]));
}

/// A session with one registration, and an invocation of it.
fn invoked(request: u64) -> (Session, InvocationId) {
    let mut session = joined();
    let binding = session.bind(Kind::Registration, "a", Match::Exact);
    session.receive(Message::Registered { request: 1, registration: 5 }, 0);
    session.take_outputs();
    let invocation = invoke(&mut session, request, 5);
    let [Output::Invoke { binding: invoked, invocation, .. }] = invocation[..] else {
        panic!("{invocation:?}")
    };
    assert_eq!(invoked, binding);
    (session, invocation)
}

fn invoke(session: &mut Session, request: u64, registration: u64) -> Vec<Output> {
    let invocation = Message::Invocation { request, registration, details: Dict::new(), payload: one(1) };
    session.receive(invocation, 0);
    session.take_outputs()
}

#[test]
fn an_invocation_is_answered_once() {
    let (mut session, invocation) = invoked(1);
    assert!(session.answer(invocation, one(2), true), "a step");
    assert!(session.answer(invocation, one(3), false));
    assert!(!session.answer(invocation, one(3), false));
    assert!(!session.answer_error(invocation, "a", Payload::empty()));
    let sent = sent(&mut session);
    assert!(
        matches!(&sent[..], [Message::Yield { .. }, Message::Yield { options, .. }] if options.is_empty())
    );
}

#[test]
fn an_invocation_of_what_is_not_registered_any_more_is_refused() {
    let (mut session, _) = invoked(1);
    let outputs = invoke(&mut session, 2, 6);
    let [Output::Send(Message::Error { request: 2, error, .. })] = &outputs[..] else {
        panic!("{outputs:?}")
    };
    assert_eq!(error, uris::NO_SUCH_PROCEDURE);
}

#[test]
fn an_answer_for_an_earlier_session_is_not_sent_in_the_next() {
    let (mut session, invocation) = invoked(1);
    join(&mut session);
    session.receive(Message::Registered { request: 1, registration: 5 }, 0);
    session.take_outputs();
    let again = invoke(&mut session, 1, 5);
    assert!(!session.answer(invocation, Payload::empty(), false));
    let [Output::Invoke { invocation, .. }] = again[..] else { panic!("{again:?}") };
    assert!(session.answer(invocation, Payload::empty(), false));
}

#[test]
fn an_interrupt_answers_the_invocation_and_stops_it() {
    let (mut session, invocation) = invoked(9);
    for _ in 0..2 {
        session.receive(Message::Interrupt { request: 9, options: Dict::new() }, 0);
    }
    let outputs = session.take_outputs();
    let [Output::Send(Message::Error { request_type, request: 9, error, .. }), interrupted] = &outputs[..]
    else {
        panic!("{outputs:?}")
    };
    assert_eq!((*request_type, error.as_str()), (codes::INVOCATION, uris::CANCELED));
    assert_eq!(*interrupted, Output::Interrupted { invocation });
    assert!(!session.answer(invocation, Payload::empty(), false), "the late result finds nobody");
}

#[test]
fn subscriptions_to_the_same_topic_share_an_id_until_the_last_one_goes() {
    let mut session = joined();
    let first = session.bind(Kind::Subscription, "a", Match::Exact);
    let second = session.bind(Kind::Subscription, "a", Match::Exact);
    session.receive(Message::Subscribed { request: 1, subscription: 5 }, 0);
    session.receive(Message::Subscribed { request: 2, subscription: 5 }, 0);
    session.take_outputs();
    let event = || Message::Event {
        subscription: 5,
        publication: 1,
        details: Dict::new(),
        payload: Payload::empty(),
    };
    let receivers = |session: &mut Session| {
        session.receive(event(), 0);
        match &session.take_outputs()[..] {
            [Output::Event { bindings, .. }] => bindings.clone(),
            [] => Vec::new(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(receivers(&mut session), [first, second]);
    session.unbind(first);
    assert_eq!(session.take_outputs(), []);
    assert_eq!(receivers(&mut session), [second]);
    session.unbind(second);
    assert!(matches!(sent(&mut session)[..], [Message::Unsubscribe { subscription: 5, .. }]));
    assert_eq!(receivers(&mut session), []);
}

#[test]
fn a_subscription_withdrawn_before_the_answer_is_undone_unless_another_one_needs_it() {
    for another in [false, true] {
        let mut session = joined();
        let early = session.bind(Kind::Subscription, "a", Match::Exact);
        session.unbind(early);
        if another {
            session.bind(Kind::Subscription, "a", Match::Exact);
        }
        session.take_outputs();
        session.receive(Message::Subscribed { request: 1, subscription: 5 }, 0);
        let undone = matches!(sent(&mut session)[..], [Message::Unsubscribe { subscription: 5, .. }]);
        assert_eq!(undone, !another);
    }
}

#[test]
fn leaving_says_goodbye_and_waits_for_it() {
    let mut session = joined();
    session.bind(Kind::Registration, "a", Match::Exact);
    session.receive(Message::Registered { request: 1, registration: 5 }, 0);
    session.take_outputs();
    session.leave(100);
    assert!(matches!(sent(&mut session)[..], [Message::Goodbye { .. }]));
    session.leave(101);
    assert_eq!(session.take_outputs(), [], "once is enough");
    session.receive(Message::Goodbye { details: Dict::new(), reason: uris::GOODBYE_AND_OUT.into() }, 102);
    assert_eq!(over(&mut session), Some(Over::Left));
    let mut silent = joined();
    silent.leave(100);
    silent.take_outputs();
    silent.tick(silent.next_wake_ms().unwrap());
    assert_eq!(over(&mut silent), Some(Over::Left));
}

#[test]
fn a_goodbye_of_the_router_is_answered() {
    let mut session = joined();
    session.receive(Message::Goodbye { details: Dict::new(), reason: uris::SYSTEM_SHUTDOWN.into() }, 0);
    let outputs = session.take_outputs();
    assert!(
        matches!(&outputs[0], Output::Send(Message::Goodbye { reason, .. }) if reason == uris::GOODBYE_AND_OUT)
    );
    assert_eq!(outputs[1], Output::Over(Over::Closed { uri: uris::SYSTEM_SHUTDOWN.into() }));
}

#[test]
fn a_router_that_breaks_the_protocol_is_told_and_left() {
    let mut session = joined();
    session.receive(Message::Welcome { session: 1, details: Dict::new() }, 0);
    let outputs = session.take_outputs();
    assert!(
        matches!(&outputs[0], Output::Send(Message::Abort { reason, .. }) if reason == uris::PROTOCOL_VIOLATION)
    );
    assert!(matches!(&outputs[1], Output::Over(Over::Violation(_))));
}

#[test]
fn an_answer_that_does_not_fit_its_request_ends_the_session_and_with_it_the_call() {
    let wrong = [
        Message::Published { request: 1, publication: 5 },
        Message::Registered { request: 1, registration: 5 },
        Message::Unregistered { request: 1, details: Dict::new() },
    ];
    for message in wrong {
        let mut session = joined();
        let call = session.call("a", Payload::empty(), CallSettings::default(), 0).unwrap();
        session.take_outputs();
        session.receive(message, 1);
        let outputs = session.take_outputs();
        assert!(outputs.contains(&Output::Done { call, outcome: Outcome::Lost }), "{outputs:?}");
        assert!(matches!(outputs.last(), Some(Output::Over(Over::Violation(_)))), "{outputs:?}");
    }
}
