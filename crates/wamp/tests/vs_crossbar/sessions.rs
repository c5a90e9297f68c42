//! How sessions begin and end, and what ends them.

use super::scripts::hello_with;
use super::stage::Stage;
use crate::peer::{hello, open};

pub(crate) fn joins(stage: &mut Stage) {
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

pub(crate) fn handshakes(stage: &mut Stage) {
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

pub(crate) fn before_hello(stage: &mut Stage) {
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

pub(crate) fn goodbye(stage: &mut Stage) {
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
pub(crate) fn violations(stage: &mut Stage) {
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

pub(crate) fn frames(stage: &mut Stage) {
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

/// As a Python agent does: request ids go on after the reconnect, ids of before are asked for.
pub(crate) fn reconnect(stage: &mut Stage) {
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
