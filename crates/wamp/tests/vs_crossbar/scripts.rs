//! What is played on both routers.

use campanile_wamp::{Dict, Subprotocol, Value};

use super::stage::Stage;
use crate::peer::{hello, open};

/// A script and its name.
pub(crate) type Script = (&'static str, fn(&mut Stage));

/// Scripts in which peers use JSON, so that wrong messages can be written down.
pub(crate) const SCRIPTS: [Script; 22] = [
    ("joins", joins),
    ("handshakes", handshakes),
    ("before hello", before_hello),
    ("goodbye", goodbye),
    ("violations", violations),
    ("frames", frames),
    ("names", names),
    ("permission", permission),
    ("registrations", registrations),
    ("pattern registrations", pattern_registrations),
    ("subscriptions", subscriptions),
    ("events", events),
    ("audience", audience),
    ("calls", calls),
    ("progress", progress),
    ("cancel", cancel),
    ("cancel without interrupts", cancel_without_interrupts),
    ("callee loss", callee_loss),
    ("caller loss", caller_loss),
    ("reconnect", reconnect),
    ("serializers", serializers),
    ("big messages", big_messages),
];

/// HELLO with other details than usual.
fn hello_with(details: Value) -> Value {
    Value::List(vec![1.into(), "test_realm".into(), details])
}

fn joins(stage: &mut Stage) {
    stage.join("A");
    for message in [
        say!([1, "nope", {"roles": {"caller": {}}}]),
        say!([1, "not a realm", {"roles": {"caller": {}}}]),
        say!([1, null, {"roles": {"caller": {}}}]),
        hello_with(say!({"roles": {"caller": {}}, "authmethods": ["ticket"]})),
        hello_with(say!({"roles": {"caller": {}}, "authmethods": ["ticket", "anonymous"], "authid": "joe"})),
        hello_with(say!({"roles": {"caller": {}}, "authmethods": []})),
        hello_with(say!({"roles": {"caller": {}}, "authmethods": "anonymous"})),
        hello_with(say!({})),
        hello_with(say!({"roles": {}})),
        hello_with(say!({"roles": {"caller": {}, "bogus": {}}})),
    ] {
        stage.connect("B");
        stage.say("B", &message);
        stage.hear("B");
    }
    // A session can do everything, whatever roles it has named.
    stage.connect("C");
    stage.say("C", &hello_with(say!({"roles": {"caller": {}}})));
    stage.hear("C");
    let uri = stage.uri("x");
    stage.register("C", &uri);
    stage.subscribe("C", &uri, "exact");
}

fn handshakes(stage: &mut Stage) {
    let port = stage.port();
    for offers in [
        None,
        Some("mqtt"),
        Some("wamp.2.json,wamp.2.msgpack"),
        Some("wamp.2.cbor.batched,wamp.2.cbor,wamp.2.json.batched,wamp.2.json"),
        Some("mqtt, wamp.2.msgpack"),
    ] {
        let taken = match open(port, offers) {
            Ok((_, taken)) => format!("{taken:?}"),
            Err(status) => format!("status {status}"),
        };
        stage.note(format!("{offers:?} -> {taken}"));
    }
}

fn before_hello(stage: &mut Stage) {
    for message in [
        say!([48, 1, {}, "observatory.x"]),
        say!([6, {}, "wamp.close.normal"]),
        say!([3, {}, "wamp.error.x"]),
    ] {
        stage.connect("A");
        stage.say("A", &message);
        stage.hear_or_silence("A");
    }
    stage.connect("A");
    stage.say_frame("A", b"garbage".to_vec());
    stage.hear("A");
}

fn goodbye(stage: &mut Stage) {
    stage.join("A");
    stage.join("B");
    let uri = stage.uri("x");
    stage.register("A", &uri);
    stage.say("B", &say!([48, 7, {}, uri]));
    stage.hear("A");
    stage.say("A", &say!([6, {}, "wamp.close.normal"]));
    stage.hear("A");
    stage.hear("B");
    // The same connection joins again and takes its name back.
    stage.say("A", &hello());
    stage.hear("A");
    stage.register("A", &uri);
    stage.say("A", &say!([6, {"message": "bye"}, "wamp.close.other"]));
    stage.hear("A");
    stage.join("A");
    stage.say("A", &say!([6, {}, "not a uri"]));
    stage.hear("A");
}

/// Messages that a peer must not send; each costs the connection.
fn violations(stage: &mut Stage) {
    for message in [
        hello(),
        say!([2, 77, {"roles": {"broker": {}}}]),
        say!([3, {}, "wamp.error.x"]),
        say!([36, 1, 2, {}]),
        say!([50, 1, {}]),
        say!([99, 1]),
        say!([]),
        say!(["x"]),
        say!([true, 2, {}]),
        say!({"a": 1}),
        say!([48, 4]),
        say!([48, 4, {}, "observatory.x", [], {}, 1, 2]),
        say!([48, 4, {}, "observatory.x", {}]),
        say!([48, 4, {}, "observatory.x", [], []]),
        say!([48, 4, [], "observatory.x"]),
        say!([48, "4", {}, "observatory.x"]),
        say!([48, -1, {}, "observatory.x"]),
        say!([48, 1.0, {}, "observatory.x"]),
        say!([48, 9007199254740993u64, {}, "observatory.x"]),
        say!([48, 4, {"timeout": "x"}, "observatory.x"]),
        say!([48, 4, {"timeout": -1}, "observatory.x"]),
        say!([49, 4, {"mode": "bogus"}]),
        say!([8, 48, 1, {}, "wamp.error.x"]),
        say!([16, 1, {"acknowledge": 1}, "observatory.x"]),
        say!([16, 1, {"exclude_me": "x"}, "observatory.x"]),
        say!([16, 1, {"exclude": 5}, "observatory.x"]),
        say!([16, 1, {"exclude": ["x"]}, "observatory.x"]),
        say!([16, 1, {}, "observatory.x", null, null]),
        say!([32, 1, {"match": "bogus"}, "observatory.x"]),
        say!([64, 1, {"match": "bogus"}, "observatory.x"]),
        say!([64, 1, {"invoke": "bogus"}, "observatory.x"]),
    ] {
        stage.join("A");
        stage.say("A", &message);
        stage.settle("A");
    }
    // These are allowed.
    stage.join("A");
    stage.say("A", &say!([48, 0, {}, "observatory.x"]));
    stage.settle("A");
    stage.say("A", &say!([48, 9007199254740992u64, {"unknown": -1}, "observatory.x"]));
    stage.settle("A");
    stage.say("A", &say!([49, 999, {"mode": "kill"}]));
    stage.settle("A");
    stage.say("A", &say!([70, 999, {}, ["of nothing"]]));
    stage.settle("A");
    stage.say("A", &say!([8, 68, 999, {}, "wamp.error.x"]));
    stage.settle("A");
}

fn frames(stage: &mut Stage) {
    for frame in
        ["hello", "", "[48,4,{},\"observatory.x\"", "[48,4,{},\"observatory.x\"][48,5,{},\"observatory.x\"]"]
    {
        stage.join("A");
        stage.say_frame("A", frame.as_bytes().to_vec());
        stage.settle("A");
    }
    stage.join_with("A", "wamp.2.json.batched");
    stage.say_frame("A", b"[48,4,{},\"observatory.x\"]\x18[48,5,{},\"observatory.x\"]\x18".to_vec());
    stage.settle("A");
    stage.join_with("A", "wamp.2.cbor.batched");
    stage.say_frame("A", vec![0, 0, 0, 200, 0x80]);
    stage.settle("A");
}

/// Names that are not valid, or valid only as patterns.
fn names(stage: &mut Stage) {
    let messages = |name: &str, matching: &str| {
        [
            say!([32, 4, {"match": matching}, name]),
            say!([64, 4, {"match": matching}, name]),
            say!([48, 4, {}, name]),
            say!([16, 4, {"acknowledge": true}, name]),
            say!([16, 4, {}, name]),
        ]
    };
    let cases = [
        ("observatory.a b", "exact", 0..5),
        ("observatory.a#b", "exact", 0..2),
        ("observatory..b", "exact", 0..5),
        ("", "exact", 0..1),
        ("observatory.", "exact", 1..3),
        ("observatory.Upper-Case_1!", "exact", 0..4),
        ("", "prefix", 0..1),
        ("observatory", "prefix", 0..2),
        ("observatory.names.", "prefix", 0..2),
        ("", "wildcard", 0..1),
        ("observatory..b", "wildcard", 0..2),
        ("observatory.a b.", "wildcard", 0..1),
        (".a.b", "wildcard", 0..2),
    ];
    for (name, matching, which) in cases {
        for message in &messages(name, matching)[which] {
            stage.join("A");
            stage.say("A", message);
            stage.settle("A");
        }
    }
}

fn permission(stage: &mut Stage) {
    stage.join("A");
    for message in [
        say!([64, 3, {}, "foo.bar"]),
        say!([32, 3, {}, "foo.bar"]),
        say!([48, 3, {}, "foo.bar"]),
        say!([16, 3, {"acknowledge": true}, "foo.bar"]),
        say!([16, 3, {}, "foo.bar"]),
        say!([64, 3, {}, "observatory"]),
        say!([64, 3, {}, "observatoryx.a"]),
        say!([64, 3, {}, "wamp.x"]),
        say!([16, 3, {"acknowledge": true}, "wamp.x"]),
        say!([32, 3, {}, "wamp.session.on_leave"]),
        say!([48, 3, {}, "wamp.session.count"]),
    ] {
        stage.say("A", &message);
        stage.settle("A");
    }
}

fn registrations(stage: &mut Stage) {
    stage.join("A");
    stage.join("B");
    let uri = stage.uri("a");
    let id = stage.register("A", &uri);
    for peer in ["A", "B"] {
        stage.say(peer, &say!([64, 2, {}, uri]));
        stage.hear(peer);
    }
    stage.say("B", &say!([66, 3, id]));
    stage.hear("B");
    // A call under way outlives the registration.
    stage.say("B", &say!([48, 4, {}, uri]));
    let invocation = stage.hear_id("A", 1);
    stage.say("A", &say!([66, 3, id]));
    stage.hear("A");
    stage.say("A", &say!([70, invocation, {}, ["done"]]));
    stage.hear("B");
    for gone in [id, 12345] {
        stage.say("A", &say!([66, 4, gone]));
        stage.hear("A");
    }
    stage.say("B", &say!([48, 5, {}, uri]));
    stage.hear("B");
    stage.register("B", &uri);
    stage.say("A", &say!([64, 9, {"invoke": "roundrobin"}, stage.uri("shared")]));
    stage.hear("A");
}

fn pattern_registrations(stage: &mut Stage) {
    stage.join("A");
    stage.join("B");
    for (matching, rest) in [
        ("prefix", "p"),
        ("wildcard", ".ops"),
        ("exact", "p.q.ops"),
        ("prefix", "p.q"),
        ("wildcard", "p..ops"),
        ("wildcard", ".q.x"),
    ] {
        let uri = stage.uri(rest);
        stage.say("A", &say!([64, 1, {"match": matching}, uri]));
        stage.hear("A");
        stage.say("B", &say!([64, 1, {"match": matching}, uri]));
        stage.hear("B");
    }
    for rest in ["p.q.ops", "p.q.x", "p.z.x", "x.ops", "p.ops", "pz", "p.w.ops", "z.q.x"] {
        let uri = stage.uri(rest);
        stage.say("B", &say!([48, 2, {}, uri, [1]]));
        let invocation = stage.hear_id("A", 1);
        stage.say("A", &say!([70, invocation, {}, [2]]));
        stage.hear("B");
    }
    let none = stage.uri("none");
    stage.say("B", &say!([48, 3, {}, none]));
    stage.hear("B");
}

fn subscriptions(stage: &mut Stage) {
    stage.join("A");
    stage.join("B");
    let uri = stage.uri("t");
    for matching in ["exact", "prefix", "wildcard"] {
        let id = stage.subscribe("A", &uri, matching);
        assert_eq!(stage.subscribe("A", &uri, matching), id, "again");
        assert_eq!(stage.subscribe("B", &uri, matching), id, "shared");
    }
    let id = stage.subscribe("A", &uri, "exact");
    stage.say("A", &say!([34, 5, id]));
    stage.hear("A");
    for gone in [id, 12345] {
        stage.say("A", &say!([34, 6, gone]));
        stage.hear("A");
    }
    // B is still subscribed.
    stage.say("A", &say!([16, 7, {"acknowledge": true}, uri]));
    stage.hear("A");
    stage.settle("B");
}

fn events(stage: &mut Stage) {
    stage.join("A");
    stage.join("B");
    let topic = stage.uri("agent1.feeds.heartbeat");
    let wildcard = stage.uri(".feeds.heartbeat");
    let prefix = stage.uri("ag");
    stage.subscribe("A", &topic, "exact");
    stage.subscribe("A", &prefix, "prefix");
    stage.subscribe("A", &wildcard, "wildcard");
    for options in [say!({}), say!({"acknowledge": true}), say!({"disclose_me": true}), say!({"unknown": 1})]
    {
        for arguments in [say!([]), say!([[1, {"a": null}]]), say!([[], {"k": 1}]), say!([[1], {"k": 1}])] {
            let Value::List(arguments) = arguments else { unreachable!("a list was written") };
            let mut message = vec![16.into(), 5.into(), options.clone(), topic.as_str().into()];
            message.extend(arguments);
            stage.say("B", &message.into());
            stage.settle("B");
            stage.settle("A");
        }
    }
    for other in ["agent1.feeds.other", "agent1.heartbeat", "other.x"] {
        let other = stage.uri(other);
        stage.say("B", &say!([16, 6, {}, other]));
        stage.settle("B");
        stage.settle("A");
    }
    // A publisher gets its own event only if it asks for it.
    for exclude_me in [true, false] {
        stage.say("A", &say!([16, 7, {"exclude_me": exclude_me, "acknowledge": true}, topic]));
        stage.settle("A");
    }
}

fn audience(stage: &mut Stage) {
    stage.join("A");
    stage.join("B");
    let topic = stage.uri("t");
    stage.subscribe("A", &topic, "exact");
    let (a, b) = (stage.session("A"), stage.session("B"));
    for options in [
        say!({"exclude": [a]}),
        say!({"exclude": [b]}),
        say!({"eligible": [a]}),
        say!({"eligible": [b]}),
        say!({"eligible": []}),
        say!({"eligible": [a], "exclude": [a]}),
        say!({"exclude_authrole": ["iocs_agent"]}),
        say!({"eligible_authrole": ["iocs_agent"]}),
        say!({"eligible_authrole": ["other"]}),
        say!({"eligible_authid": ["nobody"]}),
    ] {
        let mut options = options.to_json();
        options["acknowledge"] = true.into();
        stage.say("B", &say!([16, 5, options, topic]));
        stage.settle("B");
        stage.settle("A");
    }
}

fn calls(stage: &mut Stage) {
    stage.join("A");
    stage.join("B");
    let uri = stage.uri("a");
    stage.register("A", &uri);
    for message in [
        say!([48, 8, {}, uri]),
        say!([48, 9, {}, uri, ["status", "x"], {"timeout": 3}]),
        say!([48, 11, {"timeout": 500}, uri, [], {"k": 1}]),
        say!([48, 43, {"disclose_me": true}, uri, [[]], {}]),
        say!([48, 5, {"receive_progress": true}, uri]),
    ] {
        stage.say("B", &message);
        let invocation = stage.hear_id("A", 1);
        stage.say("A", &say!([70, invocation, {}, [null], {"k": [1.5]}]));
        stage.hear("B");
    }
    for error in ["my.own.error", "wamp.error.runtime_error"] {
        stage.say("B", &say!([48, 12, {}, uri]));
        let invocation = stage.hear_id("A", 1);
        stage.say("A", &say!([8, 68, invocation, {}, error, ["boom"], {"k": 1}]));
        stage.hear("B");
    }
    // Two calls with one request id, answered in the other order.
    stage.say("B", &say!([48, 13, {}, uri, [1]]));
    let first = stage.hear_id("A", 1);
    stage.say("B", &say!([48, 13, {}, uri, [2]]));
    let second = stage.hear_id("A", 1);
    stage.say("A", &say!([70, second, {}, [2]]));
    stage.hear("B");
    stage.say("A", &say!([70, first, {}, [1]]));
    stage.hear("B");
    // A session calls itself.
    stage.say("A", &say!([48, 14, {}, uri]));
    let invocation = stage.hear_id("A", 1);
    stage.say("A", &say!([70, invocation, {}]));
    stage.hear("A");
    stage.say("B", &say!([48, 15, {}, stage.uri("none")]));
    stage.hear("B");
}

fn progress(stage: &mut Stage) {
    stage.join("A");
    stage.join("B");
    let uri = stage.uri("a");
    stage.register("A", &uri);
    for wanted in [true, false] {
        stage.say("B", &say!([48, 8, {"receive_progress": wanted}, uri]));
        let invocation = stage.hear_id("A", 1);
        for step in 1..3 {
            stage.say("A", &say!([70, invocation, {"progress": true}, [step]]));
            stage.settle("A");
            stage.settle("B");
        }
        stage.say("A", &say!([70, invocation, {}, [3]]));
        stage.settle("A");
        stage.settle("B");
    }
}

fn cancel(stage: &mut Stage) {
    stage.join("A");
    let uri = stage.uri("a");
    stage.register("A", &uri);
    for options in [say!({"mode": "skip"}), say!({"mode": "kill"}), say!({"mode": "killnowait"}), say!({})] {
        for answer in ["error", "result", "progress"] {
            stage.join("B");
            stage.say("B", &say!([48, 20, {"receive_progress": true}, uri]));
            let invocation = stage.hear_id("A", 1);
            stage.say("B", &say!([49, 20, options.to_json()]));
            stage.settle("B");
            stage.settle("A");
            let message = match answer {
                "error" => say!([8, 68, invocation, {}, "wamp.error.canceled", ["stopped"]]),
                "result" => say!([70, invocation, {}, ["late"]]),
                _ => say!([70, invocation, {"progress": true}, ["part"]]),
            };
            stage.say("A", &message);
            stage.settle("A");
            stage.settle("B");
            if answer == "progress" {
                stage.say("A", &say!([70, invocation, {}, ["late"]]));
                stage.settle("A");
                stage.settle("B");
            }
        }
    }
    // Twice.
    stage.join("B");
    stage.say("B", &say!([48, 20, {}, uri]));
    stage.hear("A");
    for mode in ["kill", "kill", "killnowait"] {
        stage.say("B", &say!([49, 20, {"mode": mode}]));
        stage.settle("B");
        stage.settle("A");
    }
}

fn cancel_without_interrupts(stage: &mut Stage) {
    stage.connect("A");
    stage.say("A", &hello_with(say!({"roles": {"callee": {}}})));
    stage.hear("A");
    stage.join("B");
    let uri = stage.uri("a");
    stage.register("A", &uri);
    for mode in ["kill", "killnowait"] {
        stage.say("B", &say!([48, 20, {}, uri]));
        stage.hear("A");
        stage.say("B", &say!([49, 20, {"mode": mode}]));
        stage.settle("B");
        stage.settle("A");
    }
}

fn callee_loss(stage: &mut Stage) {
    stage.join("A");
    stage.join("B");
    let uri = stage.uri("lossy");
    stage.register("A", &uri);
    stage.say("B", &say!([48, 1, {}, uri]));
    stage.hear("A");
    let body = format!("{{\"procedure\":\"{uri}\",\"args\":[1]}}");
    let http = stage.http("POST", "/call", &[], body.as_bytes());
    stage.hear("A");
    stage.vanish("A");
    stage.hear("B");
    stage.http_answer(http);
    stage.say("B", &say!([48, 2, {}, uri]));
    stage.hear("B");
    stage.register("B", &uri);
}

fn caller_loss(stage: &mut Stage) {
    stage.join("A");
    stage.join("B");
    let uri = stage.uri("a");
    stage.register("A", &uri);
    stage.say("B", &say!([48, 1, {}, uri]));
    let invocation = stage.hear_id("A", 1);
    stage.vanish("B");
    stage.hear("A");
    stage.say("A", &say!([70, invocation, {}, ["late"]]));
    stage.settle("A");
}

/// As a Python agent does: request ids go on after the reconnect, ids of before are asked for.
fn reconnect(stage: &mut Stage) {
    let (ops, topic) = (stage.uri("agent.ops"), stage.uri("agent.feeds.heartbeat"));
    let mut request = 0;
    let mut subscription = 0;
    for _ in 0..3 {
        stage.join("A");
        if subscription != 0 {
            stage.say("A", &say!([34, request + 1, subscription]));
            stage.hear("A");
        }
        stage.say("A", &say!([64, request + 8, {}, ops]));
        stage.hear("A");
        stage.say("A", &say!([32, request + 9, {"match": "wildcard"}, topic]));
        subscription = stage.hear_id("A", 2);
        stage.say("A", &say!([16, request + 10, {}, topic, [[{}, {}]]]));
        stage.settle("A");
        request += 43;
        stage.join("B");
        stage.say("B", &say!([48, 1, {}, ops]));
        stage.hear("A");
        stage.vanish("A");
        stage.hear("B"); // then the name is free
    }
}

/// Every serializer to every other.
fn serializers(stage: &mut Stage) {
    const NAMES: [&str; 6] = ["p0", "p1", "p2", "p3", "p4", "p5"];
    let topic = stage.uri("t");
    for (name, protocol) in NAMES.into_iter().zip(Subprotocol::ALL) {
        stage.join_with(name, protocol.name());
        stage.subscribe(name, &topic, "exact");
        let procedure = stage.uri(name);
        stage.register(name, &procedure);
    }
    let common = say!([null, true, 0, -1, 255, 65536, 9007199254740992u64, -2147483649i64, 1.5, 1.0, -0.25, 1e300,
        "", "ä€😀\n\"\u{1}", [], {}, [[[]]], {"k": {"l": [1, {"m": null}]}}, "x".repeat(300)]);
    let binary = Value::List(vec![
        Value::Float(f64::INFINITY),
        Value::Bytes(vec![0, 1, 255]),
        Value::UInt(u64::MAX),
        Value::Int(i64::MIN),
    ]);
    for (from, protocol) in NAMES.into_iter().zip(Subprotocol::ALL) {
        let kwargs: Value = Dict::new().with("common", common.clone()).into();
        let event = vec![16.into(), 1.into(), say!({}), topic.as_str().into(), common.clone(), kwargs];
        stage.say(from, &event.into());
        for to in NAMES.into_iter().filter(|&to| to != from) {
            stage.hear(to);
        }
        for (to, other) in NAMES.into_iter().zip(Subprotocol::ALL) {
            let textual = protocol.is_text() || other.is_text();
            let arguments = if textual { common.clone() } else { binary.clone() };
            let procedure = stage.uri(to);
            stage
                .say(from, &vec![48.into(), 2.into(), say!({}), procedure.as_str().into(), arguments].into());
            let invocation = stage.hear(to);
            let Value::List(invocation) = invocation else { panic!("no INVOCATION") };
            // Back as it came.
            let result = vec![70.into(), invocation[1].clone(), say!({}), invocation[4].clone()];
            stage.say(to, &result.into());
            stage.hear(from);
        }
    }
}

fn big_messages(stage: &mut Stage) {
    let topic = stage.uri("t");
    stage.join_with("A", "wamp.2.cbor.batched");
    stage.subscribe("A", &topic, "exact");
    stage.join_with("B", "wamp.2.cbor.batched");
    stage.join_with("C", "wamp.2.msgpack");
    stage.subscribe("C", &topic, "exact");
    for bytes in [500_000, 1_500_000, 3_000_000, 16_000_000] {
        let text = "x".repeat(bytes);
        stage.say_quietly("B", &say!([16, 1, {"acknowledge": true}, topic, [text]]));
        stage.hear("B");
        for receiver in ["A", "C"] {
            let event = stage.hear_quietly(receiver);
            let got =
                event.as_list().and_then(|event| event.get(4)?.as_list()?.first()?.as_str().map(str::len));
            stage.note(format!("{receiver} gets {got:?} of {bytes} bytes"));
        }
    }
    stage.say_quietly("B", &say!([16, 1, {"acknowledge": true}, topic, ["x".repeat(40_000_000)]]));
    stage.hear("B");
    stage.settle("A");
}
